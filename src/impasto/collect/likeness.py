"""Tells pictures that show the same from pictures that do not: resized, recompressed, cropped.

Two steps. The first is quick: a perceptual hash of 64 bits, the signs of the lowest frequencies of
a picture's cosine transform (C. Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010, section 3.2.1). A crop moves everything and so changes the hash, so each picture
also has the hashes of its crops by up to 5 % a side, and two pictures are worth a closer look if
any hash of one is near the whole of the other.

The second step decides. It lays the better fitting crop of one over the other, at 64 × 64 pixels,
refines its edges, and asks two things: is little left of the brightness and colours once one is
taken from the other, and do the fine details agree? The second keeps apart pictures of one layout,
such as pages of print or skies, whose coarse shapes are all alike.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""Pixels a side of the thumbnail that decides."""
_HASH_SIDE = 32
_FIT_SIDE = 32
_CROPS = (0.0, 0.025, 0.05)
_NEAR = 14
"""Bits that two hashes may differ in and still be worth a closer look."""
_RESIDUAL = 0.08
"""Most of a picture's variance that may be left after the other one is taken from it."""
_ABSOLUTE = 0.02
"""Root mean square that may be left in any case, in units of the value range."""
_HOPELESS = 0.5
"""Share of the variance left by the best coarse fit, from which no finer one is tried."""
_DETAIL = 0.7
"""Least correlation of the fine details."""
_FLAT = 0.006
"""Details below this root mean square are noise of the encoder and say nothing."""
_FLAT_ABSOLUTE = 0.012

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Likeness:
    """What is kept of a picture to compare it by.

    Attributes:
        thumbnail: uint8 `(64, 64, 3)`, sRGB, the whole picture whatever its shape.
        aspect: width divided by height.
        hashes: uint64, the whole picture's first, then those of its crops.
    """

    thumbnail: NDArray[np.uint8]
    aspect: float
    hashes: Hashes

    @property
    def phash(self) -> str:
        """The hash of the whole picture, 16 hexadecimal digits."""
        return f"{int(self.hashes[0]):016x}"


def likeness(pixels: NDArray[np.float32], aspect: float) -> Likeness:
    """What to compare a picture by.

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1], any size; 200 pixels a side are enough.
        aspect: width divided by height of the picture itself.
    """
    _, height, width = pixels.shape
    rows, columns = _averages(height, 0.0, 1.0, SIDE), _averages(width, 0.0, 1.0, SIDE)
    small = np.einsum("yh,chw,xw->yxc", rows, pixels, columns, optimize=True)
    thumbnail = (small.clip(0, 1) * 255).round().astype(np.uint8)
    return Likeness(thumbnail, aspect, _hashes(thumbnail))


def near(hashes: Hashes, others: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Which of the others are worth a closer look, the nearest first.

    Args:
        hashes: of one picture, `(K,)`.
        others: of N pictures, `(N, K)`.
    """
    if not len(others):
        return np.empty(0, np.intp)
    distance = np.minimum(
        np.bitwise_count(others ^ hashes[0]).min(axis=1),
        np.bitwise_count(others[:, :1] ^ hashes).min(axis=1),
    )
    order = np.argsort(distance, kind="stable")
    return order[distance[order] <= _NEAR]


def same(one: Likeness, other: Likeness) -> bool:
    """Whether two pictures show the same, but for size, encoding and a crop of some 5 % a side."""
    # Crops of 6 % on both sides of one direction and none of the other change it by 12 %; the rest
    # is rounding in small versions.
    if not 0.86 <= one.aspect / other.aspect <= 1 / 0.86:
        return False
    return _crop_of(one, other) or _crop_of(other, one)


def _crop_of(crop: Likeness, whole: Likeness) -> bool:
    """Whether `crop` is `whole` or a part of it that lacks at most 6 % a side."""
    target, source = (np.divide(x.thumbnail, 255, dtype=np.float32) for x in (crop, whole))
    edges = _best_edges(_luma(target), _luma(source))
    if edges is None:
        return False
    fitted = np.einsum(
        "yh,hwc,xw->yxc",
        _averages(SIDE, edges[0], 1 - edges[1], SIDE),
        source,
        _averages(SIDE, edges[2], 1 - edges[3], SIDE),
        optimize=True,
    )
    # Blurred, since a crop shows its finest details a little sharper than the whole does.
    blur = _blur(SIDE)
    soft = [np.einsum("yh,hwc,xw->yxc", blur, x, blur, optimize=True) for x in (fitted, target)]
    left = float(np.sqrt(np.square(soft[0] - soft[1]).mean()))
    spread = float(min(x.std(axis=(0, 1)).max() for x in soft))
    details = [_detail(_luma(x)) for x in (fitted, target)]
    strength = min(float(np.sqrt(np.square(x).mean())) for x in details)
    if strength < _FLAT:
        return left <= _FLAT_ABSOLUTE and left**2 <= _RESIDUAL * max(spread**2, 1e-5)
    if left > _ABSOLUTE and left**2 > _RESIDUAL * spread**2:
        return False
    product = float((details[0] * details[1]).mean())
    return product >= _DETAIL * np.prod([np.sqrt(np.square(x).mean()) for x in details])


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def _luma(pixels: NDArray[np.floating]) -> NDArray[np.float32]:
    """The brightness of `(H, W, 3)` pixels (ITU-R BT.601)."""
    return (pixels @ _LUMA).astype(np.float32, copy=False)


def _best_edges(
    target: NDArray[np.float32], source: NDArray[np.float32]
) -> tuple[float, ...] | None:
    """How much to cut from the top, bottom, left and right of `source` to match `target` best;
    `None` where no cut comes near."""
    coarse = _averages(SIDE, 0.0, 1.0, _FIT_SIDE)
    wanted = coarse @ target @ coarse.T
    vertical, pairs = _windows(SIDE, _FIT_SIDE)
    parts = np.einsum("ayh,hw->ayw", vertical, source, optimize=True)
    crops = np.einsum("ayw,bxw->abyx", parts, vertical, optimize=True)
    errors = np.square(crops - wanted).mean(axis=(2, 3))
    if errors.min() > max(_HOPELESS * float(wanted.var()), _ABSOLUTE**2):
        return None
    first, second = np.unravel_index(int(errors.argmin()), errors.shape)
    edges = [*pairs[first], *pairs[second]]
    best = _error(target, source, edges)
    for step in (0.0125, 0.006, 0.003):
        for index, sign in itertools.product(range(4), (-1, 1)):
            trial = list(edges)
            trial[index] = round(min(max(trial[index] + sign * step, 0.0), 0.065), 4)
            if (error := _error(target, source, trial)) < best:
                best, edges = error, trial
    return tuple(edges)


def _error(target: NDArray[np.float32], source: NDArray[np.float32], edges: list[float]) -> float:
    rows = _averages(SIDE, edges[0], 1 - edges[1], SIDE)
    columns = _averages(SIDE, edges[2], 1 - edges[3], SIDE)
    return float(np.square(rows @ source @ columns.T - target).mean())


def _detail(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is finer than about eight pixels, the outermost pixels left out."""
    blur = _blur(SIDE)
    return np.asarray(luma - blur @ luma @ blur.T, np.float32)[2:-2, 2:-2]


def _hashes(thumbnail: NDArray[np.uint8]) -> Hashes:
    luma = _luma(thumbnail.astype(np.float32))
    vertical, _ = _windows(SIDE, _HASH_SIDE)
    low = _cosines(_HASH_SIDE)
    # Cropping and transforming an axis are one matrix each.
    axes = np.einsum("ky,ayh->akh", low, vertical, optimize=True)
    parts = np.einsum("akh,hw->akw", axes, luma, optimize=True)
    terms = np.einsum("akw,blw->abkl", parts, axes, optimize=True).reshape(-1, 64)
    # The constant term is left out of the median: it says only how bright the picture is.
    bits = terms > np.median(terms[:, 1:], axis=1, keepdims=True)
    weights = np.uint64(1) << np.arange(64, dtype=np.uint64)
    return (bits.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64)


@cache
def _windows(size: int, out: int) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
    """Matrices `(9, out, size)` that crop an axis and bring it to `out` pixels, and their cuts."""
    pairs = list(itertools.product(_CROPS, _CROPS))
    return np.stack([_averages(size, a, 1 - b, out) for a, b in pairs]), pairs


# The refinement of edges asks for few different ones, again and again.
@lru_cache(maxsize=512)
def _averages(size: int, start: float, stop: float, out: int) -> NDArray[np.float32]:
    """Brings the part from `start` to `stop` of an axis of `size` pixels to `out` pixels.

    Each output is the mean of the inputs under a tent one output wide on either side, or one input
    wide where the axis grows: linear interpolation that does not alias.
    """
    low, step = start * size, (stop - start) * size / out
    centers = low + (np.arange(out) + 0.5) * step
    distance = np.abs(np.arange(size) + 0.5 - centers[:, None]) / max(step, 1.0)
    weights = np.clip(1 - distance, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def _cosines(size: int) -> NDArray[np.float32]:
    """The eight lowest rows of the cosine transform DCT-II of an axis."""
    k, n = np.arange(8)[:, None], np.arange(size)
    return np.cos(np.pi * k * (2 * n + 1) / (2 * size)).astype(np.float32)


@cache
def _blur(size: int) -> NDArray[np.float32]:
    n = np.arange(size)
    weights = np.exp(-0.5 * ((n[:, None] - n) / 2.5) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
