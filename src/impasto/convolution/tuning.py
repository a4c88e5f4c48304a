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
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import platformdirs
import torch

from impasto.convolution.layer import Convolution
from impasto.convolution.running import engine

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

_FORM = 1
"""Raised with every change of the kernels that may change what pays."""

_TRIALS = 3


def fast_pays(inputs: int, outputs: int) -> bool:
    """Whether a convolution should be run by compiled kernels, as `Convolution` has them.

    The first call on a machine tries both ways on every shape of VGG, which takes about a second.
    Other shapes, and machines without the extra `fast`, are left to torch.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
    """
    if (inputs, outputs) not in SIDES:
        return False
    compiled = engine()
    if compiled is None:
        return False
    key = f"{_FORM}; {_processor()}; {compiled.key}; torch {torch.__version__}; "
    return _decisions(key + f"{torch.get_num_threads()} threads", _folder())[inputs, outputs]


def _folder() -> Path | None:
    chosen = os.environ.get("IMPASTO_CACHE")
    try:
        base = Path(chosen) if chosen else platformdirs.user_cache_path("impasto", appauthor=False)
    except RuntimeError:  # no home folder
        return None
    return base / "convolution"


@cache
def _decisions(key: str, folder: Path | None) -> dict[tuple[int, int], bool]:
    """Each shape of `SIDES` → whether the compiled kernels run it."""
    always = dict.fromkeys(SIDES, True)
    if folder is None:
        return always
    path = folder / f"{sha256(key.encode()).hexdigest()[:16]}.json"
    found = _read(path, key)
    if found is not None:
        return found
    # The place is tried before the measurement: without it, each run might find something else.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    except OSError:
        return always
    part = Path(name)
    try:
        found = {shape: _measure(*shape) for shape in SIDES}
        fast = {f"{inputs}x{outputs}": faster for (inputs, outputs), faster in found.items()}
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"key": key, "fast": fast}, file, indent=1)
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


def _read(path: Path, key: str) -> dict[tuple[int, int], bool] | None:
    """The decisions in a file, unless it is absent, damaged or of another machine."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        found = {shape: content["fast"][f"{shape[0]}x{shape[1]}"] for shape in SIDES}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if all(isinstance(value, bool) for value in found.values()) else None


def _measure(inputs: int, outputs: int) -> bool:
    """Tries one shape, forward and backward: whether compiled kernels are right and faster."""
    generator = torch.Generator().manual_seed(0)
    side = SIDES[inputs, outputs]
    kernel = torch.randn(outputs, inputs, 3, 3, generator=generator) / (9 * inputs) ** 0.5
    bias = torch.randn(outputs, generator=generator)
    picture = torch.randn(1, inputs, side, side, generator=generator)
    picture = picture.contiguous(memory_format=torch.channels_last).requires_grad_()
    ways = [Convolution(kernel, bias, fast=fast) for fast in (True, False)]
    best = [float("inf")] * len(ways)
    results = [torch.zeros(0)] * len(ways)
    with torch.enable_grad():
        for _ in range(_TRIALS):
            for number, way in enumerate(ways):
                began = time.perf_counter()
                result = way(picture)
                torch.autograd.grad(result, picture, result.detach())
                best[number] = min(best[number], time.perf_counter() - began)
                results[number] = result.detach()
    error = (results[0] - results[1]).norm() / results[1].norm()
    return best[0] < best[1] and float(error) < 1e-4


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
