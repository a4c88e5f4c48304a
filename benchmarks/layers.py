"""Milliseconds per convolution of VGG19, compiled kernels against torch, and the least possible.

    python benchmarks/layers.py [--size 512] [--repetitions 7] [--threads 1]

A convolution is the forward pass with its ReLU and the backward pass to its input. Both ways take
turns in one process; the figure is the shortest of the repetitions. The least possible is the
larger of two times: Winograd's multiplications at the highest rate that the kernels' own matrix
product reaches here, and each map read and written once at the speed of a copy.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from impasto.convolution import Convolution
from impasto.convolution.running import engine
from impasto.features import layers_of
from record import RESULTS, describe_run, write_json


def shortest(ways: list[Callable[[], object]], repetitions: int) -> list[float]:
    """The shortest time of each way in seconds; they take turns, after one turn not counted."""
    best = [float("inf")] * len(ways)
    for repetition in range(repetitions + 1):
        for number, way in enumerate(ways):
            began = time.perf_counter()
            way()
            if repetition:
                best[number] = min(best[number], time.perf_counter() - began)
    return best


def machine_limits(repetitions: int) -> tuple[float, float]:
    """The product's floating-point operations per second, and a copy's bytes per second."""
    compiled = engine()
    assert compiled is not None
    rows, matrix = torch.randn(1, 2048, 1, 512).permute(0, 3, 1, 2), torch.randn(512, 512)
    result, constant = torch.zeros_like(rows), torch.zeros(512)
    many, copy = torch.zeros(1 << 24), torch.zeros(1 << 24)
    product, copying = shortest(
        [
            lambda: compiled.add_product(result, rows, matrix, constant),
            lambda: copy.copy_(many),
        ],
        3 * repetitions,
    )
    return 2 * 2048 * 512 * 512 / product, 2 * 4 * many.numel() / copying


def first_use(repetitions: int) -> tuple[float, float]:
    """Milliseconds to fill a new tensor of 64 MiB, and one that was filled before."""
    old = torch.zeros(1 << 24)
    ways: list[Callable[[], object]] = [
        lambda: torch.empty(1 << 24).fill_(1),
        lambda: old.fill_(1),
    ]
    new, again = shortest(ways, repetitions)
    return round(1e3 * new, 1), round(1e3 * again, 1)


def measure_layer(
    inputs: int, outputs: int, side: int, repetitions: int, limits: tuple[float, float]
) -> dict[str, float]:
    """Counts and times one convolution, forward and backward."""
    kernel, bias = torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5, torch.randn(outputs)
    x = torch.randn(1, inputs, side, side).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    slope = torch.randn(1, outputs, side, side).contiguous(memory_format=torch.channels_last)
    layers = [Convolution(kernel, bias, fast=fast) for fast in (True, False)]

    def work(layer: Convolution) -> None:
        torch.autograd.grad(layer(x), x, slope)

    compiled, plain = shortest([lambda: work(layers[0]), lambda: work(layers[1])], repetitions)
    # Forward reads x and writes y; backward reads the slope and y and writes x's gradient.
    touched = 4 * side * side * (2 * inputs + 3 * outputs)
    products = 2 * 36 * inputs * outputs * (-(-side // 4)) ** 2
    least = max(2 * products / limits[0], touched / limits[1])
    return {
        "direct_multiplications": 2 * 9 * inputs * outputs * side * side,
        "winograd_multiplications": products,
        "bytes": touched,
        "least_ms": round(1e3 * least, 2),
        "compiled_ms": round(1e3 * compiled, 2),
        "torch_ms": round(1e3 * plain, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=512, help="side of the square picture, px")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS / "layers.json")
    arguments = parser.parse_args()
    if engine() is None:
        sys.exit("layers: no compiled kernels here; run: pip install 'impasto[fast]'")
    torch.set_num_threads(arguments.threads)
    limits = machine_limits(arguments.repetitions)
    result: dict[str, Any] = {
        "question": "milliseconds per convolution of VGG19, forward and backward",
        **describe_run(),
        "size": arguments.size,
        "product_gflops": round(limits[0] / 1e9),
        "copy_gb_per_s": round(limits[1] / 1e9, 1),
        "fill_new_and_old_64_mib_ms": first_use(arguments.repetitions),
        "layers": {},
    }
    print("layer     10⁹ mult. direct / Winograd     MB     least  compiled     torch, ms   gain")
    inputs = 3
    for layer in layers_of("vgg19"):
        side = max(1, arguments.size // layer.stride)
        found = measure_layer(inputs, layer.channels, side, arguments.repetitions, limits)
        result["layers"][layer.name] = {"inputs": inputs, "outputs": layer.channels, **found}
        inputs = layer.channels
        print(
            f"{layer.name:8} {found['direct_multiplications'] / 1e9:17.2f} "
            f"{found['winograd_multiplications'] / 1e9:10.2f} {found['bytes'] / 1e6:7.0f} "
            f"{found['least_ms']:9.1f} {found['compiled_ms']:9.1f} {found['torch_ms']:9.1f} "
            f"{found['torch_ms'] / found['compiled_ms']:11.2f}",
            flush=True,
        )
        write_json(arguments.output, result)


if __name__ == "__main__":
    main()
