"""Seconds per evaluation and pixel of a print against a picture of one megapixel.

    python benchmarks/large.py [--width 4961 --height 3508] [--memory 6GB] [--repetitions 2]

Three objectives take turns in one process: all layers at about one megapixel, whole; all layers at
the print's size, in the tiles that the memory allows; and the print's size as runs work at it by
default, shallow layers held to a coarser picture.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features import Features
from impasto.levels import Level, allotment, budget_for
from impasto.memory import limit_heap, peak_memory
from impasto.objective import Objective
from impasto.optimize import level_objective
from impasto.options import StyleOptions, make_options
from impasto.targets import Painting, level_size, resize
from problem import load_problem
from record import RESULTS, describe_run, write_json


def prepare(
    features: Features, photo: Tensor, painting: Tensor, options: StyleOptions, level: Level
) -> tuple[Objective, Tensor, int | None]:
    """The objective of a level, the photo at its size, and its tiles' size in pixels."""
    budget = budget_for(options.memory or 0, features, [Painting(painting)])
    share = allotment(level, options, budget)
    picture = resize(photo, level.height, level.width).clamp(0, 1)
    coarse = None
    if level.anchored:
        width, height = level_size(level.width, level.height, max(level.width, level.height) // 2)
        coarse = resize(photo, height, width).clamp(0, 1)
    objective = level_objective(
        features,
        picture,
        [Painting(painting)],
        options,
        level.width,
        level.height,
        anchor=coarse,
        tile_pixels=share.tile_pixels,
    )
    return objective, picture, share.tile_pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--width", type=int, default=4961)
    parser.add_argument("--height", type=int, default=3508)
    parser.add_argument("--memory", default="6GB")
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--photo", default="sample:coffee")
    parser.add_argument("--painting", default="style:night-sky")
    parser.add_argument("--output", type=Path, default=RESULTS / "large.json")
    arguments = parser.parse_args()
    limit_heap()
    options = make_options({"memory": arguments.memory, "size": 1240, "device": "cpu"})
    problem = load_problem(arguments.photo, arguments.painting, options)
    features = Features(
        options.model, layers=[*options.content_layers, *options.style_layers], device="cpu"
    )
    small = (problem.photo.shape[-1], problem.photo.shape[-2])
    large = (arguments.width, arguments.height)
    cases = {
        "one megapixel, all layers": Level(*small, 1),
        "print, all layers": Level(*large, 1),
        "print, shallow layers and anchor": Level(*large, 1, anchored=True),
    }
    result: dict[str, Any] = {
        "question": "seconds per evaluation and megapixel, large against small",
        **describe_run(),
        "photo": arguments.photo,
        "painting": arguments.painting,
        "memory": arguments.memory,
        "cases": {},
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repetition in range(arguments.repetitions):
        for name, level in cases.items():
            # Made anew each time: two prints' targets would not be what a run holds.
            made = prepare(features, problem.photo, problem.painting, options, level)
            objective, picture, tile = made
            if repetition == 0 and name == "one megapixel, all layers":
                objective.evaluate(picture)
            began = time.perf_counter()
            objective.evaluate(picture)
            pixels = level.width * level.height
            seconds[name].append((time.perf_counter() - began) / pixels * 1e6)
            result["cases"][name] = {
                "width": level.width,
                "height": level.height,
                "tile_pixels": tile,
                "tiles": len(objective.tiles(level.height, level.width)),
                "seconds_per_megapixel": [round(s, 4) for s in seconds[name]],
            }
            result["peak_bytes"] = peak_memory()
            write_json(arguments.output, result)
            print(f"{name}: {seconds[name][-1]:.2f} s per megapixel", flush=True)
            del made, objective, picture
    base = statistics.median(seconds["one megapixel, all layers"])
    for name, times in seconds.items():
        print(f"{name:34} {statistics.median(times) / base:5.2f}")
    print(f"peak memory {(peak_memory() or 0) / 1e9:.2f} GB")


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"large: {error}")
