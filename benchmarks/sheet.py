"""A contact sheet against single runs: time for the same cells.

    python benchmarks/sheet.py [--size 256] [--evaluations 20] [--photos …] [--styles …]

`impasto sheet` makes all photos × styles in one process; `impasto stylize` makes each of them in a
process of its own. They take turns, cell by cell: the sheet is halted whenever it has finished a
cell, and a single run is made then, so that both meet the machine in the same state. All are whole
processes, from start-up to exit, without a plan and without a bar. The files of both must be the
same, byte for byte, or the script stops. Needs a system with signals that halt a process.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from impasto.errors import ImpastoError, RunError
from impasto.sheet import read_sheet
from record import RESULTS, describe_run, write_json

PHOTOS = ["sample:astronaut", "sample:cat", "sample:coffee", "sample:rocket"]
STYLES = ["style:linocut", "style:mosaic", "style:night-sky", "style:stained-glass"]


@dataclass
class Timed:
    """Seconds on the clock and on the processors."""

    wall: float = 0.0
    processor: float = 0.0


def command(*arguments: str) -> list[str]:
    """A command of impasto that shows nothing."""
    return [sys.executable, "-m", "impasto", *arguments, "--quiet"]


def finish(process: subprocess.Popen[bytes], timed: Timed) -> None:
    """Waits for a process, whose time on the processors is added.

    Raises:
        RunError: it failed.
    """
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    timed.processor += used.ru_utime + used.ru_stime
    if process.returncode:
        raise RunError(f"{process.args}: ended with {process.returncode}")


def run(arguments: list[str]) -> Timed:
    """What a command takes, from the start of its process to its end."""
    timed, began = Timed(), time.perf_counter()
    finish(subprocess.Popen(arguments), timed)
    timed.wall = time.perf_counter() - began
    return timed


def take_turns(
    sheet: list[str], folder: Path, singles: Iterator[Timed]
) -> tuple[Timed, list[Timed]]:
    """A sheet, halted after each of its cells for one of the single runs."""
    timed, found = Timed(), []
    began = time.perf_counter()
    with subprocess.Popen(sheet) as process:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if len(list(folder.glob("*-*.png"))) > len(found):
                process.send_signal(signal.SIGSTOP)
                timed.wall += time.perf_counter() - began
                found += [single for single in [next(singles, None)] if single is not None]
                began = time.perf_counter()
                process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        timed.wall += time.perf_counter() - began
        finish(process, timed)
    return timed, found


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
        run(command("stylize", photos[0], styles[0], "--size=64", "-o", str(place / "first.png")))
        pairs = list(product(photos, styles))
        singles = (
            run(command("stylize", photo, style, *flags, "-o", str(place / f"{number}.png")))
            for number, (photo, style) in enumerate(pairs)
        )
        made = place / "sheet"
        sheet = command("sheet", "--photo", *photos, "--style", *styles, "-o", str(made), *flags)
        together, alone = take_turns(sheet, made, singles)
        cells = read_sheet(made).cells
        for number, cell in enumerate(cells):
            if (made / cell.file).read_bytes() != (place / f"{number}.png").read_bytes():
                raise RunError(f"{cell.file}: is not the picture of its single run")
    wall, processor = sum(t.wall for t in alone), sum(t.processor for t in alone)
    result["sheet"] = {
        "seconds": round(together.wall, 2),
        "processor_seconds": round(together.processor, 2),
    }
    result["single_runs"] = {
        "seconds": round(wall, 2),
        "processor_seconds": round(processor, 2),
        "each": [round(t.wall, 2) for t in alone],
    }
    result["ratio"] = round(together.wall / wall, 4)
    result["processor_ratio"] = round(together.processor / processor, 4)
    write_json(arguments.output, result)
    print(
        f"sheet of {len(photos)} x {len(styles)}: {together.wall:.1f} s; {len(alone)} single runs: "
        f"{wall:.1f} s; ratio {result['ratio']:.3f}, of processor time "
        f"{result['processor_ratio']:.3f}"
    )


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"sheet: {error}")
