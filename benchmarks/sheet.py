"""A contact sheet against single runs: time for the same cells.

    python benchmarks/sheet.py [--size 256] [--evaluations 20] [--photos …] [--styles …]

`impasto sheet` makes all photos × styles in one process; `impasto stylize` makes each of them in a
process of its own, half of them before the sheet and half after it, so that a machine whose speed
drifts favours neither. All are processes with their start-up, without a plan and without a bar. The
files of both must be the same, byte for byte, or the script stops.
"""

import argparse
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from impasto.errors import ImpastoError, RunError
from impasto.sheet import read_sheet
from record import RESULTS, describe_run, write_json

PHOTOS = ["sample:astronaut", "sample:cat", "sample:coffee", "sample:rocket"]
STYLES = ["style:linocut", "style:mosaic", "style:night-sky", "style:stained-glass"]


def timed(*arguments: str) -> float:
    """Seconds that a command of impasto takes, from the start of its process to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "impasto", *arguments, "--quiet"], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--photos", nargs="+", default=PHOTOS)
    parser.add_argument("--styles", nargs="+", default=STYLES)
    parser.add_argument("--output", type=Path, default=RESULTS / "sheet.json")
    arguments = parser.parse_args()
    flags = [f"--size={arguments.size}", f"--evaluations={arguments.evaluations}"]
    photos, styles = arguments.photos, arguments.styles
    result: dict[str, Any] = {
        "question": "time of a contact sheet against that of single runs of the same cells",
        **describe_run(),
        "size": arguments.size,
        "evaluations": arguments.evaluations,
        "photos": photos,
        "styles": styles,
    }
    with TemporaryDirectory() as folder:
        place = Path(folder)
        # The kernels are compiled, and the weights converted, once on a machine.
        timed("stylize", photos[0], styles[0], "--size=64", "-o", str(place / "first.png"))
        pairs = list(enumerate(product(photos, styles)))
        single = {}
        for number, (photo, style) in pairs[::2]:
            one = str(place / f"{number}.png")
            single[number] = timed("stylize", photo, style, *flags, "-o", one)
        sheet = ["--photo", *photos, "--style", *styles, "-o", str(place / "sheet")]
        seconds = timed("sheet", *sheet, *flags)
        for number, (photo, style) in pairs[1::2]:
            one = str(place / f"{number}.png")
            single[number] = timed("stylize", photo, style, *flags, "-o", one)
        cells = read_sheet(place / "sheet").cells
        for number, cell in enumerate(cells):
            alone = (place / f"{number}.png").read_bytes()
            if (place / "sheet" / cell.file).read_bytes() != alone:
                raise RunError(f"{cell.file}: is not the picture of its single run")
        result["sheet_seconds"] = round(seconds, 2)
        result["single_seconds"] = [round(single[number], 2) for number, _ in pairs]
        result["cell_seconds"] = [cell.seconds for cell in cells]
    result["single_seconds_together"] = round(sum(single.values()), 2)
    result["ratio"] = round(seconds / sum(single.values()), 4)
    write_json(arguments.output, result)
    print(
        f"sheet of {len(photos)} x {len(styles)}: {seconds:.1f} s; {len(single)} single runs: "
        f"{sum(single.values()):.1f} s; ratio {result['ratio']:.3f}"
    )


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"sheet: {error}")
