"""The published objective against the clock: impasto's command in a tenth of plain PyTorch's time.

    python benchmarks/race.py [--size 256] [--evaluations 500] [--share 0.1] [--pair PHOTO PAINTING]

The yardstick minimises the Gatys objective from noise over pixels. Then the command, with the
same objective, gets a share of that time, its start-up and the saving of the picture included, and
the loss of the 8-bit picture that it saved is taken with the yardstick's own network. A second,
longer run tells what share would have been needed. Built-in styles are drawn to files beforehand.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from convergence import PAIRS
from impasto.errors import ImpastoError
from impasto.images import DEFAULT_MAX_PIXELS, read_image, write_image
from impasto.options import make_options
from impasto.sources import read_source
from impasto.weights import load_weights
from problem import as_tensor, engine_objective, load_problem
from record import RESULTS, describe_run, write_json
from yardstick import Yardstick, check_same

CHANNELS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}
OBJECTIVE = {
    "preset": "gatys",
    "pooling": "max",
    "content_weight": 5,
    "style_weight": 100,
    "style_layers": ",".join(f"{name}={c**-2!r}" for name, c in CHANNELS.items()),
}


def run_command(photo: str, painting: str, size: int, limit: float) -> dict[str, Any]:
    """Runs the command for so many seconds; the picture that it saved, and how it got there."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in OBJECTIVE.items()]
    with TemporaryDirectory() as folder:
        picture, trace = Path(folder) / "picture.png", Path(folder) / "trace.jsonl"
        # The limit ends the run, not the number of evaluations.
        command = [
            *(sys.executable, "-m", "impasto", "stylize", photo, painting),
            *("-o", str(picture), "--trace", str(trace), "--quiet"),
            *(f"--size={size}", f"--time-limit={limit}", "--evaluations=9999", *flags),
        ]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        wall = time.perf_counter() - began
        course = [json.loads(line) for line in trace.read_text().splitlines()]
        course = [row for row in course if "loss" in row]
        return {
            "wall": wall,
            "ending": wall - max(row["elapsed_s"] for row in course),
            "picture": as_tensor(read_image(picture)),
            "course": course,
        }


def as_file(painting: str, folder: Path) -> str:
    """The painting, drawn to a file if it is a built-in style."""
    if not painting.startswith("style:"):
        return painting
    file = folder / "painting.png"
    write_image(read_source(painting, DEFAULT_MAX_PIXELS), file, bits=8)
    return str(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--longest", type=float, default=0.3, help="share given to the longer run")
    parser.add_argument("--pair", nargs=2, action="append", metavar=("PHOTO", "PAINTING"))
    parser.add_argument("--output", type=Path, default=RESULTS / "race.json")
    arguments = parser.parse_args()
    options = make_options({**OBJECTIVE, "size": arguments.size, "device": "cpu"})
    weights = load_weights(options.model)
    result: dict[str, Any] = {
        "question": "loss of the command's saved picture in a share of the yardstick's time",
        **describe_run(),
        "size": arguments.size,
        "evaluations": arguments.evaluations,
        "share_given": arguments.share,
        "objective": OBJECTIVE,
        "pairs": [],
    }
    # Start-up counts in the command's own limit; saving and the system's part are taken from it.
    ending = run_command("sample:cat", "style:mosaic", arguments.size, 0.01)["ending"]
    for photo, painting in arguments.pair or PAIRS:
        problem = load_problem(photo, painting, options)
        yardstick = Yardstick(problem, weights)
        check_same(yardstick, engine_objective(problem, weights), problem.photo)
        noise = torch.rand(problem.photo.shape, generator=torch.Generator().manual_seed(0))
        losses: list[float] = []
        last: list[torch.Tensor] = []

        def note(
            loss: float,
            picture: torch.Tensor,
            losses: list[float] = losses,
            last: list[torch.Tensor] = last,
        ) -> None:
            losses.append(loss)
            if loss <= min(losses):
                last[:] = [picture.clone()]

        began = time.perf_counter()
        yardstick.minimize(noise, arguments.evaluations, on_evaluation=note)
        seconds = time.perf_counter() - began
        with TemporaryDirectory() as folder:
            file = as_file(painting, Path(folder))
            limit = max(0.01, seconds * arguments.share - 1.2 * ending)
            made = run_command(photo, file, arguments.size, limit)
            longer = run_command(photo, file, arguments.size, seconds * arguments.longest)
        with torch.no_grad():
            loss = yardstick.loss(made["picture"]).item()
            clamped = yardstick.loss(last[0].clamp(0, 1)).item()
        best = min(losses)
        needed = {
            name: next(
                (
                    round((row["elapsed_s"] + longer["ending"]) / seconds, 4)
                    for row in longer["course"]
                    if row["loss"] <= target
                ),
                None,
            )
            for name, target in (("unbounded", best), ("as_picture", clamped))
        }
        row = {
            "photo": photo,
            "painting": painting,
            "yardstick": {"seconds": seconds, "loss": best, "loss_as_picture": clamped},
            "impasto": {
                "seconds": made["wall"],
                "share": round(made["wall"] / seconds, 4),
                "evaluations": len(made["course"]),
                "loss_saved": loss,
            },
            "loss_against_unbounded": loss / best,
            "loss_against_picture": loss / clamped,
            "share_needed": needed,
        }
        result["pairs"].append(row)
        write_json(arguments.output, result)
        print(
            f"{photo} {painting}: yardstick {best:.6g} ({clamped:.6g} as a picture) in "
            f"{seconds:.1f} s; impasto {loss:.6g} in {made['wall']:.1f} s, "
            f"{len(made['course'])} evaluations; share of the time needed: {needed}",
            flush=True,
        )
    for name in ("loss_against_unbounded", "loss_against_picture"):
        ratios = [row[name] for row in result["pairs"]]
        print(f"{name}: mean {statistics.mean(ratios):.4f}, most {max(ratios):.4f}")


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"race: {error}")
