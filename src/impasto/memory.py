"""How much memory a run may take, and how each level is kept within it.

What a level needs is estimated from its pixels: the picture in its various roles, the optimiser's
history, the photo's features, and one tile on its way through the network. What does not fit is
bounded in the order of harm: the history becomes shorter, then the tiles smaller.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from pydantic import BaseModel, ConfigDict, Field

SAFE_SHARE = 0.6
"""Share of the free memory that a run takes at most when it is not told how much."""

PICTURE_BYTES = 3 * 4
"""One picture, per pixel: three channels in float32."""

PICTURES = {"lbfgs": 16, "lbfgs-pixel": 14, "adam": 12}
"""Pictures of the level's size that are held at the minimiser's worst moment, beside the history:
measured with `impasto stylize --print a3 --memory 6GB`, which says how much it used."""

PICTURES_BESIDE_TILES = 9
"""Pictures that are held while tiles go through the network, beside the history: measured likewise
at 2480 px, with `--memory 3GB` and `4GB`."""

TILE_BYTES = 900
"""One pixel of a tile on its way through the network and back, by compiled kernels in float32:
measured at 620, 1240 and 2480 px, for tiles down to relu5_1 and, not much less, down to relu3_1:
the first block takes most of it."""

PLAIN_TILE_BYTES = 1650
"""The same by torch, which keeps what goes into each layer, too."""

BASE_BYTES = 650 * 10**6
"""What a run holds at any size: libraries, weights, compiled kernels, the statistics of the deep
layers."""

COMPACT_ABOVE = 4_000_000
"""Above so many pixels, the photo's features of a picture in tiles are kept in half precision:
their error, 1 in 2000, is far below what the optimiser reaches."""

LEAST_TILE = 512 * 512
"""Tiles get no smaller than this, in pixels, before the history is made shorter."""

GOOD_TILE = 1536 * 1536
"""Tiles of so many pixels lose little to their halos, even at the deepest layers."""

LEAST_HISTORY = 3
"""Pairs of vectors that L-BFGS keeps in any case."""

SHORT_HISTORY = 6
"""Pairs that are worth more than larger tiles."""


@dataclass(frozen=True)
class Budget:
    """What a run may hold in all.

    Attributes:
        total: bytes.
        tile_bytes: what a pixel of a tile takes on its way through the network.
        held: bytes of pictures that are kept whatever the level: paintings and their masks.
    """

    total: int
    tile_bytes: int = TILE_BYTES
    held: int = 0


@dataclass(frozen=True)
class Allotment:
    """What one level may take.

    Attributes:
        tile_pixels: largest tile, in pixels, halo included; `None`: the whole picture.
        history: pairs of vectors that L-BFGS remembers.
        bounded: not everything fits, so that the budget has a say in the result's rounding.
        expected: bytes that the process is expected to hold at most.
    """

    tile_pixels: int | None
    history: int
    bounded: bool
    expected: int


class Limit(BaseModel):
    """What a run has to do with since memory ran out in it.

    A run that is made again, or goes on, with the same limits from the same places has the same
    tiles and histories, and so the same rounding.

    Attributes:
        level: index of the level from which on it holds, for the levels after it too.
        evaluation: of that level, from 1; 0: from its targets on.
        tile_pixels: largest tile, in pixels, halo included; `None`: as before.
        history: pairs of vectors that L-BFGS remembers at most; `None`: as before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    level: int = Field(ge=0)
    evaluation: int = Field(ge=0)
    tile_pixels: int | None = Field(default=None, ge=1)
    history: int | None = Field(default=None, ge=1)


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that could be taken now on a device: what the machine and the control group leave."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    for folder, limit, used in _control_groups():
        try:
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            # What files leave in memory goes when it is needed.
            for line in (folder / "memory.stat").read_text().splitlines():
                if line.startswith(("inactive_file ", "total_inactive_file ")):
                    left += int(line.split()[1])
        except (OSError, ValueError):
            # No such group, or "max": no limit.
            continue
        free = min(free, left)
    return max(0, free)


def _control_groups() -> Iterator[tuple[Path, str, str]]:
    """Folders of this process's groups and all above them, with their files for limit and use."""
    try:
        lines = (PROCESS / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = CONTROL_GROUPS / "memory" if controllers else CONTROL_GROUPS
        limit, used = "memory.max", "memory.current"
        if controllers:
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        folder = root / path.strip("/")
        for place in (folder, *folder.parents):
            yield place, limit, used
            if place == root:
                break


PROCESS = Path("/proc/self")
CONTROL_GROUPS = Path("/sys/fs/cgroup")


def used_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that this process holds now on a device."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return psutil.Process().memory_info().rss


def hand_back(device: torch.device | str) -> None:
    """Gives back what torch keeps of a device's memory for later."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.empty_cache()
    elif kind == "mps":
        torch.mps.empty_cache()


def peak_memory() -> int | None:
    """The largest resident memory that this process has had, in bytes; `None`: not told."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a new process inherits there the size of the one that started it.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Windows counts it among the process's own figures.
    return getattr(psutil.Process().memory_info(), "peak_wset", None)


def memory_budget(device: torch.device | str = "cpu") -> int:
    """Bytes that a run which is not told takes at most: what it holds and a share of the rest.

    In coarse steps, so that small changes of what is free do not change tiles and thereby rounding.
    """
    budget = used_memory(device) + int(SAFE_SHARE * free_memory(device))
    step = 2 ** max(0, budget.bit_length() - 3)
    return budget // step * step


def allot(
    pixels: int,
    budget: Budget,
    *,
    optimizer: str,
    history: int,
    features: float,
) -> Allotment:
    """How a level fits into the memory that is left.

    Args:
        pixels: of the level.
        budget: what the process may hold in all.
        optimizer: its name in the options.
        history: pairs that L-BFGS would like to remember.
        features: numbers per pixel that are kept of the photo's features.

    Returns:
        The largest tiles and the longest history that fit; the smallest where nothing does.
    """
    picture = PICTURE_BYTES * pixels
    pair = 2 * picture if optimizer != "adam" else 0
    base = BASE_BYTES + budget.held
    # A tile is gone before the minimiser takes its step.
    stepping, beside = PICTURES[optimizer] * picture, PICTURES_BESIDE_TILES * picture

    def most(fixed: int, pairs: int, tile: int) -> int:
        return fixed + pairs * pair + max(stepping, beside + tile * budget.tile_bytes)

    whole = most(base + int(4 * features * pixels), history, pixels)
    if whole <= budget.total:
        return Allotment(None, history, False, whole)
    fixed = base + int((2 if pixels > COMPACT_ABOVE else 4) * features * pixels)
    left = budget.total - fixed

    def room(tile: int) -> int:
        return left - max(stepping, beside + tile * budget.tile_bytes)

    # A short history first, then tiles that are large enough for their halos, then the rest.
    kept = _within(LEAST_HISTORY, history, SHORT_HISTORY, room(LEAST_TILE), pair)
    tile = _within(LEAST_TILE, pixels, GOOD_TILE, left - beside - kept * pair, budget.tile_bytes)
    kept = _within(kept, history, history, room(tile), pair)
    tile = _within(tile, pixels, pixels, left - beside - kept * pair, budget.tile_bytes)
    bounded = kept < history or tile < pixels
    return Allotment(tile if tile < pixels else None, kept, bounded, most(fixed, kept, tile))


def limit_heap() -> None:
    """Makes the C library hand large freed blocks back at once.

    By default glibc raises the size from which it does so up to 32 MB, and feature maps freed below
    that size leave holes: measured at 512 px, a fifth more peak memory.
    """
    m_mmap_threshold = -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 8 << 20)


def keep_heap() -> None:
    """Makes the C library keep freed blocks, however large, for the next of their kind.

    By default glibc hands large ones back, and each that a step takes anew costs page faults.
    """
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(m_mmap_max, 0)
        library.mallopt(m_trim_threshold, 2**31 - 1)


def _within(least: int, most: int, wanted: int, room: int, size: int) -> int:
    """As many things of a size as there is room for: `least` to `wanted`, never over `most`."""
    fitting = room // size if size else wanted
    return min(most, max(least, min(wanted, fitting)))
