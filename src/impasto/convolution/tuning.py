"""Which convolutions the compiled kernels run faster than torch, measured once on each machine.

Both differ in their rounding, so what was found is kept in a file: from then on every run on that
machine decides alike, and gives the same bytes. Where no file can be kept, nothing is measured.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from impasto.convolution.layer import Convolution
from impasto.convolution.running import engine
from impasto.convolution.storage import folder

SIDES = {
    (3, 64): 128,
    (64, 64): 128,
    (64, 128): 96,
    (128, 128): 96,
    (128, 256): 64,
    (256, 256): 64,
    (256, 512): 32,
    (512, 512): 32,
}
"""Input and output channels of VGG's convolutions; the side of the map they are tried on."""

CHANNELS = (64, 128, 256, 512)
"""Channels of VGG's feature maps, whose products with matrices are tried as well."""

_POSITIONS = 4096
"""Positions of the maps that products are tried on."""

_FORM = 5
"""Raised with every change of the kernels that may change what pays."""

_REPETITIONS = 3
_MOST_REPETITIONS = 30


def fast_pays(inputs: int, outputs: int) -> bool:
    """Whether a convolution should be run by compiled kernels, as `Convolution` has them.

    The first call on a machine tries both ways on every shape of VGG, which takes a second or two.
    Other shapes, and machines without the extra `fast`, are left to torch.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
    """
    return (inputs, outputs) in SIDES and _pays(f"{inputs}x{outputs}")


def fast_products_pay(channels: int) -> bool:
    """The same for `products`.

    Args:
        channels: of the feature map.
    """
    return channels in CHANNELS and _pays(f"products {channels}")


def _pays(name: str) -> bool:
    compiled = engine()
    if compiled is None:
        return False
    key = f"{_FORM}; {_processor()}; {compiled.key}; torch {torch.__version__}; "
    return _decisions(key + f"{torch.get_num_threads()} threads", folder())[name]


@cache
def _decisions(key: str, place: Path | None) -> dict[str, bool]:
    """Each trial's name → whether the compiled kernels won it."""
    trials = _trials()
    always = dict.fromkeys(trials, True)
    if place is None:
        return always
    path = place / f"{sha256(key.encode()).hexdigest()[:16]}.json"
    found = _read(path, key)
    if found is not None:
        return found
    # The place is tried before the measurement: without it, each run might find something else.
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place, suffix=".part")
    except OSError:
        return always
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            found = {name: trial() for name, trial in trials.items()}
            json.dump({"key": key, "fast": found}, file, indent=1)
        # The first of several processes to finish decides for all.
        earlier = _read(path, key)
        if earlier is not None:
            return earlier
        part.replace(path)
    except OSError:
        return always
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return found


def _read(path: Path, key: str) -> dict[str, bool] | None:
    """The decisions in a file, unless it is absent, damaged or of another machine."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        found = {name: content["fast"][name] for name in _trials()}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if all(isinstance(value, bool) for value in found.values()) else None


def _trials() -> dict[str, Callable[[], bool]]:
    trials = {f"{i}x{o}": partial(_try_convolution, i, o) for i, o in SIDES}
    return trials | {f"products {c}": partial(_try_products, c) for c in CHANNELS}


def _try_convolution(inputs: int, outputs: int) -> bool:
    """Tries one shape, forward and backward: whether compiled kernels are right and faster."""
    generator = torch.Generator().manual_seed(0)
    side = SIDES[inputs, outputs]
    kernel = torch.randn(outputs, inputs, 3, 3, generator=generator) / (9 * inputs) ** 0.5
    bias = torch.randn(outputs, generator=generator)
    picture = torch.randn(1, inputs, side, side, generator=generator)
    picture = picture.contiguous(memory_format=torch.channels_last).requires_grad_()

    def work(layer: Convolution) -> Tensor:
        with torch.enable_grad():
            result = layer(picture)
            torch.autograd.grad(result, picture, result.detach())
        return result.detach()

    layers = [Convolution(kernel, bias, fast=fast) for fast in (True, False)]
    return _wins(*(partial(work, layer) for layer in layers))


def _try_products(channels: int) -> bool:
    """Tries the Gram matrix and the product of one width likewise."""
    compiled = engine()
    assert compiled is not None
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, _POSITIONS, 1, channels, generator=generator).permute(0, 3, 1, 2)
    gradient = torch.zeros_like(features)
    matrix, constant = torch.eye(channels), torch.ones(channels)

    def own() -> Tensor:
        compiled.add_product(gradient, features, matrix, constant)
        return compiled.moments(features)[1]

    def plain() -> Tensor:
        rows = features[0, :, :, 0].T
        gradient[0, :, :, 0].T.addmm_(rows, matrix).add_(constant)
        return rows.T @ rows

    return _wins(own, plain)


def _wins(own: Callable[[], Tensor], plain: Callable[[], Tensor]) -> bool:
    """Whether the first of two ways to the same result is right, and the faster one.

    What is found is kept for good, and other programs may be at work: the first way has lost only
    where it loses again and again.
    """
    best = [float("inf"), float("inf")]
    results = [torch.zeros(0), torch.zeros(0)]
    for repetition in range(1, _MOST_REPETITIONS + 1):
        for number, way in enumerate((own, plain)):
            began = time.perf_counter()
            results[number] = way()
            best[number] = min(best[number], time.perf_counter() - began)
        if repetition >= _REPETITIONS and best[0] < best[1]:
            break
    error = (results[0] - results[1]).norm() / results[1].norm()
    return best[0] < best[1] and float(error) < 1e-4


@cache
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
