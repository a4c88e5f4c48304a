"""The peak resident memory of one whole run in a process of its own, as a line of JSON.

    python benchmarks/peak_memory.py impasto --size 512 --evaluations 55

`impasto` is a real run with the options' defaults, so with its coarse levels; `yardstick` is plain
PyTorch on the same pictures. Both hold the network, the targets and L-BFGS's history. A history
fills only after as many evaluations as it has pairs; `full_bytes` adds the missing pairs, two
float32 pictures each, to the peak that was measured.
"""

import argparse
import json
import sys
import time
from typing import Any

from impasto.errors import ImpastoError, RunError
from impasto.memory import limit_heap, peak_memory
from impasto.options import StyleOptions, make_options
from impasto.run import stylization
from impasto.weights import load_weights
from problem import load_problem
from yardstick import Yardstick

YARDSTICK_HISTORY = 100
"""Pairs that PyTorch's L-BFGS keeps by default."""


def peak_bytes() -> int:
    """The largest resident memory that this process has had.

    Raises:
        RunError: the system does not tell.
    """
    peak = peak_memory()
    if peak is None:
        raise RunError("the system does not tell the peak memory of a process")
    return peak


def run_impasto(photo: str, painting: str, options: StyleOptions) -> tuple[int, int, int, int]:
    """Runs impasto; returns width, height, evaluations at the full size and pairs held."""
    limit_heap()
    run = stylization(photo, painting, options)
    evaluations = accepted = 0
    for progress in run:
        if progress.level == len(progress.levels) - 1:
            evaluations += 1
            accepted += progress.terms.loss == progress.best_loss
    return run.width, run.height, evaluations, min(options.history, max(0, accepted - 1))


def run_yardstick(photo: str, painting: str, options: StyleOptions) -> tuple[int, int, int, int]:
    """Runs the yardstick; returns the same."""
    problem = load_problem(photo, painting, options)
    yardstick = Yardstick(problem, load_weights(options.model))
    pairs = yardstick.minimize(problem.photo, options.evaluations, history=YARDSTICK_HISTORY)
    height, width = problem.photo.shape[-2:]
    return width, height, options.evaluations, pairs


def measure(which: str, photo: str, painting: str, options: StyleOptions) -> dict[str, Any]:
    """Runs one of the two in this process and reads the peak."""
    began = time.perf_counter()
    run = run_impasto if which == "impasto" else run_yardstick
    width, height, evaluations, pairs = run(photo, painting, options)
    history = options.history if which == "impasto" else YARDSTICK_HISTORY
    peak, pair = peak_bytes(), 2 * 4 * 3 * width * height
    return {
        "peak_bytes": peak,
        "full_bytes": peak + (history - pairs) * pair,
        "pair_bytes": pair,
        "pairs": pairs,
        "history": history,
        "evaluations": evaluations,
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("which", choices=["impasto", "yardstick"])
    parser.add_argument("--size", type=int, default=256, help="long side, px")
    parser.add_argument("--preset", default="impasto")
    parser.add_argument("--evaluations", type=int, default=105, help="at the full size")
    parser.add_argument("--photo", default="sample:astronaut")
    parser.add_argument("--painting", default="style:night-sky")
    arguments = parser.parse_args()
    options = make_options(
        {
            "preset": arguments.preset,
            "size": arguments.size,
            "evaluations": arguments.evaluations,
            "device": "cpu",
        }
    )
    print(json.dumps(measure(arguments.which, arguments.photo, arguments.painting, options)))


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"peak_memory: {error}")
