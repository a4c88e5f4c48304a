"""Noise that transfer networks make strokes of where a photo is flat.

A convolutional network sees the same everywhere in a clear sky, so it can only paint the same
everywhere: a weave with the period of its strides. Networks that are to invent texture are given
noise beside what they repaint (Ulyanov, Lebedev, Vedaldi & Lempitsky 2016, texture networks); here
it is added to the photo, in three sizes of blotches, so that the network keeps its shape. Where a
photo is flat there is most of it, for there it is all that strokes can be made of; where there is
detail, that leads the strokes, and little noise leaves it clear.

The noise at a place follows from the place alone: a part of a picture has the noise that it has in
the whole, and the same picture is repainted the same way again.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

SPACINGS = (2, 5, 14)
"""Distances between the random values that the noise runs through smoothly, px."""

BAND = 128
"""Rows that are made at a time."""

KEPT = 2**20
"""Pixels of a picture, at the most, whose noise is kept for the next one of its size."""

MOST = 2.6
"""How much noise there is where a picture is flat, against where it has much detail."""

ENOUGH = 0.08
"""Deviation that is not exceeded for the sake of flatness."""

DETAIL = 0.03
"""Deviation of a picture's brightness about a place where the noise is halfway between these."""

BLOCK = 8
"""Side of the blocks whose brightness is looked at, three by three of them, px."""


def noise(height: int, width: int, *, top: int = 0, seed: int = 0) -> Pixels:
    """Smooth coloured noise of three sizes, each with a standard deviation of 1.

    Args:
        height: of the part that is wanted, px.
        width: likewise.
        top: its first row.
        seed: of the random values.

    Returns:
        `(3, height, width)`; half of the variance is common to the three colours.
    """
    total = np.zeros((3, height, width), np.float32)
    for number, spacing in enumerate(SPACINGS):
        first = top // spacing
        rows = (top + height - 1) // spacing - first + 1
        columns = -(-width // spacing)
        values = _values(first, rows + 3, columns + 3, 3 * seed + number)
        ways = _ways(spacing)
        wide = np.zeros((3, rows + 3, columns, spacing), np.float32)
        for place in range(spacing):
            for k, way in enumerate(ways[place]):
                wide[..., place] += way * values[..., k : k + columns]
        wide = wide.reshape(3, rows + 3, -1)[..., :width]
        for place in range(min(spacing, height)):
            row, within = divmod(top + place, spacing)
            part = total[:, place::spacing]
            start = row - first
            for k, way in enumerate(ways[within]):
                part += way * wide[:, start + k : start + k + part.shape[1]]
    return total


def roughened(pixels: Pixels, amount: float, *, seed: int = 0, even: bool = False) -> Pixels:
    """A picture with noise.

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1]; left as they are.
        amount: standard deviation of each size of blotches where there is much detail; where the
            picture is flat `MOST` times as much, but not over `ENOUGH` for that; 0: none.
        seed: of the noise.
        even: whether there is as much of it everywhere.

    Returns:
        `(3, H, W)`, sRGB in [0, 1]; `pixels` themselves where the amount is 0.
    """
    if amount <= 0:
        return pixels
    found = np.empty_like(pixels)
    most = min(MOST, max(1.0, ENOUGH / amount))
    flat = None if even or most == 1 else _flatness(pixels)
    make = _kept if pixels[0].size <= KEPT else noise
    for top in range(0, pixels.shape[1], BAND):
        part = pixels[:, top : top + BAND]
        added = make(part.shape[1], part.shape[2], top=top, seed=seed)
        if flat is not None:
            added = added * (1 + np.float32(most - 1) * _spread(flat, top, *part.shape[1:]))
        np.clip(part + np.float32(amount) * added, 0, 1, out=found[:, top : top + BAND])
    return found


@lru_cache(maxsize=8)
def _kept(height: int, width: int, *, top: int, seed: int) -> Pixels:
    """The same as `noise`: sliders, folders and cameras want it again and again."""
    found = noise(height, width, top=top, seed=seed)
    found.flags.writeable = False
    return found


def _flatness(pixels: Pixels) -> Pixels:
    """How flat a picture is, from 0 to 1, at the middle of each of its blocks: `(⌈H/8⌉, ⌈W/8⌉)`."""
    sums = []
    for top in range(0, pixels.shape[1], BAND):
        grey = pixels[:, top : top + BAND].mean(0)
        height, width = grey.shape
        grey = np.pad(grey, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")
        blocks = grey.reshape(len(grey) // BLOCK, BLOCK, -1, BLOCK)
        sums.append(np.stack([blocks.mean((1, 3)), np.square(blocks).mean((1, 3))]))
    mean, square = (_about(one) for one in np.concatenate(sums, axis=1))
    detail = np.maximum(square - mean**2, 0) / DETAIL**2
    return _about(np.asarray(1 / (1 + detail), np.float32))


def _about(blocks: Pixels) -> Pixels:
    """The mean of each block and its eight neighbours; at the border it is its own neighbour."""
    for axis in range(2):
        wide = np.pad(blocks, [(int(axis == 0),) * 2, (int(axis == 1),) * 2], mode="edge")
        before, after = (wide.take(range(k, k + blocks.shape[axis]), axis) for k in (0, 2))
        blocks = np.asarray((before + blocks + after) / 3, np.float32)
    return blocks


def _spread(blocks: Pixels, top: int, height: int, width: int) -> Pixels:
    """Values of blocks at pixels, linearly between their middles: `(height, width)` from row `top`
    on."""
    for axis, (first, count) in enumerate(((top, height), (0, width))):
        last = blocks.shape[axis] - 1
        place = np.clip((np.arange(first, first + count) + 0.5) / BLOCK - 0.5, 0, last)
        low = place.astype(np.intp)
        way = (place - low).astype(np.float32)[(slice(None), None) if axis == 0 else slice(None)]
        one, other = blocks.take(low, axis), blocks.take(np.minimum(low + 1, last), axis)
        blocks = np.asarray(one + way * (other - one), np.float32)
    return blocks


def _values(first: int, rows: int, columns: int, seed: int) -> Pixels:
    """Random values of a lattice from a row on, `(3, rows, columns)`, with a deviation of 1."""
    y = np.arange(first, first + rows, dtype=np.uint32)[:, None]
    x = np.arange(columns, dtype=np.uint32)
    channel = np.arange(4, dtype=np.uint32)[:, None, None]
    start = np.uint32(np.random.SeedSequence(seed).generate_state(1)[0])
    found = _mixed(_mixed(_mixed(start ^ channel) + y) + x)
    uniform = found.astype(np.float32) * np.float32(2**-32) - np.float32(0.5)
    return (uniform[:3] + uniform[3]) * np.float32(6**0.5)


def _mixed(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The bits of numbers thoroughly mixed: the finaliser of MurmurHash3 (A. Appleby)."""
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return bits ^ (bits >> np.uint32(16))


def _ways(spacing: int) -> Pixels:
    """Weights of four values in a row at each pixel between the middle two, `(spacing, 4)`: a cubic
    B-spline's, enlarged so that the deviation stays 1."""
    t = (np.arange(spacing) + 0.5) / spacing
    falling, rising = (4 - 6 * way**2 + 3 * way**3 for way in (t, 1 - t))
    ways = np.stack([(1 - t) ** 3, falling, rising, t**3], axis=1)
    return (ways / np.sqrt(np.square(ways).sum(1).mean())).astype(np.float32)
