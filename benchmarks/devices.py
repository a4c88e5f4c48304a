"""Seconds per evaluation on each device that is there, in each number format it computes in.

    python benchmarks/devices.py [--sizes 512 1024] [--repetitions 5]
                                 [--devices cuda cpu] [--precisions float32 bfloat16 float16]

An evaluation is the loss and its gradient with respect to the picture, of the default objective.
Two evaluations are not counted: the first finds memory and kernels. A GPU's clock is stopped only
when it has finished.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.devices import pick_device, pick_precision
from impasto.errors import ImpastoError, OptionError, is_out_of_memory
from impasto.objective import Objective
from impasto.options import make_options
from impasto.weights import load_weights
from problem import Problem, engine_objective, load_problem
from record import RESULTS, describe_run, write_json

WARM_UP = 2
PRECISIONS = ["float32", "bfloat16", "float16"]


def devices() -> list[str]:
    """The devices of this machine that torch can use, the CPU last."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(name for name, available in there.items() if available), "cpu"]


def synchronize(device: str) -> None:
    """Waits until a GPU has finished all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def time_evaluations(
    objective: Objective, picture: Tensor, device: str, repetitions: int
) -> tuple[list[float], float, Tensor]:
    """Seconds of each evaluation, in the order measured; the loss and the gradient."""
    seconds = []
    loss, gradient = 0.0, picture
    for repetition in range(WARM_UP + repetitions):
        synchronize(device)
        began = time.perf_counter()
        terms, gradient = objective.evaluate(picture)
        synchronize(device)
        if repetition >= WARM_UP:
            seconds.append(time.perf_counter() - began)
        loss = terms.loss
    return seconds, loss, gradient


def measure(
    problem: Problem, device: str, precision: str, repetitions: int
) -> tuple[dict[str, Any], Tensor]:
    """One case: its times, its loss, on CUDA its peak memory; and the gradient."""
    kind = pick_device(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    objective = engine_objective(
        problem,
        load_weights(problem.options.model),
        device=kind,
        precision=pick_precision(precision, kind),
    )
    picture = problem.photo.to(kind)
    seconds, loss, gradient = time_evaluations(objective, picture, device, repetitions)
    case: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "width": picture.shape[-1],
        "height": picture.shape[-2],
        "seconds": seconds,
        "median_s": statistics.median(seconds),
        "loss": loss,
    }
    if device == "cuda":
        case["peak_bytes"] = torch.cuda.max_memory_allocated()
    return case, gradient.cpu()


def measure_all(
    problem: Problem, device: str, precisions: Sequence[str], repetitions: int
) -> Iterator[dict[str, Any]]:
    """The cases of one device and size; one that it cannot do says why."""
    exact: Tensor | None = None
    for precision in precisions:
        line = f"{device:7} {precision:10} {max(problem.photo.shape[-2:]):>9}   "
        try:
            case, gradient = measure(problem, device, precision, repetitions)
        except (OptionError, MemoryError, RuntimeError) as error:
            if not isinstance(error, OptionError) and not is_out_of_memory(error):
                raise
            print(f"{line}{error}", flush=True)
            yield {"device": device, "precision": precision, "fault": str(error)}
            continue
        exact = gradient if precision == "float32" else exact
        line += f"{case['median_s']:7.4f}"
        if exact is not None:
            case["gradient_error"] = float((gradient - exact).norm() / exact.norm())
            line += f"   {case['gradient_error']:.5f}"
        print(line, flush=True)
        yield case


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--devices", nargs="+", default=devices(), choices=["cuda", "mps", "cpu"])
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=PRECISIONS,
        help="all by default, but on the CPU, where float16 takes minutes, not that",
    )
    parser.add_argument("--photo", default="sample:astronaut", help="the default one is square")
    parser.add_argument("--painting", default="style:night-sky")
    parser.add_argument("--output", type=Path, default=RESULTS / "devices.json")
    arguments = parser.parse_args()
    if arguments.repetitions < 1:
        parser.error("give --repetitions 1 or more")

    result: dict[str, Any] = {
        "question": "seconds per evaluation (loss and gradient) on each device in each number "
        "format, and how far loss and gradient are from float32 on the same device",
        **describe_run(),
        "gpu": torch.cuda.get_device_name() if "cuda" in arguments.devices else None,
        "photo": arguments.photo,
        "painting": arguments.painting,
        "cases": [],
    }
    print("device  precision       size   seconds   gradient's distance from float32's")
    for size in arguments.sizes:
        problem = load_problem(arguments.photo, arguments.painting, make_options({"size": size}))
        for device in arguments.devices:
            kept = arguments.precisions or (PRECISIONS[:2] if device == "cpu" else PRECISIONS)
            for case in measure_all(problem, device, kept, arguments.repetitions):
                result["cases"].append(case)
                # After each case, so that stopping a long run loses only the one at work.
                write_json(arguments.output, result)


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"devices: {error}")
