"""Seconds per evaluation and peak memory: impasto against plain PyTorch, on the CPU.

    python benchmarks/speed.py [--sizes 256 512 1024] [--repetitions 9 7 3]
                               [--memory-evaluations 105 55 12]
                               [--presets impasto gatys]

An evaluation is the loss and its gradient with respect to the picture. Both sides take turns in
one process, in alternating order, after one evaluation each that is not counted, so that whatever
else the machine does meets both alike. Peak memory is that of a whole run, each in a process of
its own (see peak_memory.py).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.errors import ImpastoError, RunError
from impasto.options import make_options
from impasto.weights import load_weights
from peak_memory import YARDSTICK_HISTORY
from problem import engine_objective, load_problem
from record import RESULTS, describe_run, write_json
from yardstick import Yardstick, check_same

SIDES = ("impasto", "yardstick")


def time_evaluations(
    preset: str, size: int, repetitions: int, photo: str, painting: str
) -> dict[str, Any]:
    """Times both sides at one size; seconds per evaluation of each, in the order measured."""
    options = make_options({"preset": preset, "size": size, "device": "cpu"})
    problem = load_problem(photo, painting, options)
    weights = load_weights(options.model)
    objective, yardstick = engine_objective(problem, weights), Yardstick(problem, weights)
    check_same(yardstick, objective, problem.photo)
    evaluate: dict[str, Callable[[Tensor], object]] = {
        "impasto": objective.evaluate,
        "yardstick": yardstick.evaluate,
    }
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for repetition in range(repetitions + 1):
        for side in SIDES if repetition % 2 else reversed(SIDES):
            began = time.perf_counter()
            evaluate[side](problem.photo)
            if repetition:
                seconds[side].append(round(time.perf_counter() - began, 5))
    height, width = problem.photo.shape[-2:]
    return {
        "preset": preset,
        "width": width,
        "height": height,
        "seconds": seconds,
        "median_s": {side: statistics.median(seconds[side]) for side in SIDES},
    }


def measure_memory(
    side: str, preset: str, size: int, evaluations: int, photo: str, painting: str
) -> dict[str, Any]:
    """Runs one side in a process of its own.

    Raises:
        RunError: the run failed; the message is its last line.
    """
    command = [sys.executable, str(Path(__file__).with_name("peak_memory.py")), side]
    command += ["--preset", preset, "--size", str(size), "--evaluations", str(evaluations)]
    done = subprocess.run(
        [*command, "--photo", photo, "--painting", painting], capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunError(f"{side} at {size} px ({preset}): {reason}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument(
        "--repetitions", type=int, nargs="+", default=[9, 7, 3], help="for each size"
    )
    parser.add_argument(
        "--memory-evaluations",
        type=int,
        nargs="+",
        default=[105, 55, 12],
        help="full-size evaluations of the memory runs, for each size; 0 leaves them out",
    )
    parser.add_argument("--presets", nargs="+", default=["impasto", "gatys"])
    parser.add_argument("--photo", default="sample:astronaut", help="the default one is square")
    parser.add_argument("--painting", default="style:night-sky")
    parser.add_argument("--output", type=Path, default=RESULTS / "speed.json")
    arguments = parser.parse_args()
    counts = (arguments.sizes, arguments.repetitions, arguments.memory_evaluations)
    if len({len(values) for values in counts}) > 1 or min(arguments.repetitions) < 1:
        parser.error("give --repetitions (1 or more) and --memory-evaluations for each size")

    pictures = (arguments.photo, arguments.painting)
    result: dict[str, Any] = {
        "question": "seconds per evaluation (loss and gradient) and peak resident memory of a "
        "run, impasto against plain PyTorch",
        **describe_run(),
        "photo": arguments.photo,
        "painting": arguments.painting,
        "yardstick_history": YARDSTICK_HISTORY,
        "cases": [],
    }
    print(
        "                         seconds per evaluation      "
        "peak memory, MiB      with full history, MiB\n"
        "preset          size     impasto yardstick ratio     "
        "impasto yardstick     impasto yardstick"
    )
    for size, repetitions, evaluations in zip(*counts, strict=True):
        for preset in arguments.presets:
            case = time_evaluations(preset, size, repetitions, *pictures)
            ours, plain = (case["median_s"][side] for side in SIDES)
            shape = f"{case['width']} x {case['height']}"
            line = f"{preset:8} {shape:>11}     {ours:7.3f} {plain:9.3f} {plain / ours:5.2f}"
            if evaluations:
                case["memory"] = {
                    side: measure_memory(side, preset, size, evaluations, *pictures)
                    for side in SIDES
                }
                for figure in ("peak_bytes", "full_bytes"):
                    mebibytes = [case["memory"][side][figure] / 2**20 for side in SIDES]
                    line += f"     {mebibytes[0]:7.0f} {mebibytes[1]:9.0f}"
            print(line, flush=True)
            result["cases"].append(case)
            # After each case, so that stopping a long run loses only the one at work.
            write_json(arguments.output, result)


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"speed: {error}")
