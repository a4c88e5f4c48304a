"""Noise that transfer networks make strokes of where a photo is flat.

A convolutional network sees the same everywhere in a clear sky, so it can only paint the same
everywhere: a weave with the period of its strides. Networks that are to invent texture are given
noise beside what they repaint (Ulyanov, Lebedev, Vedaldi & Lempitsky 2016, texture networks); here
it is added to the photo, in three sizes of blotches, so that the network keeps its shape.

The noise at a place follows from the place alone: a part of a picture has the noise that it has in
the whole, and the same picture is repainted the same way again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

SPACINGS = (2, 5, 14)
"""Distances between the random values that the noise runs through smoothly, px."""

BAND = 128
"""Rows that are made at a time."""


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


def roughened(pixels: Pixels, amount: float, *, seed: int = 0) -> Pixels:
    """A picture with noise.

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1]; left as they are.
        amount: standard deviation of each size of blotches; 0: none.
        seed: of the noise.

    Returns:
        `(3, H, W)`, sRGB in [0, 1]; `pixels` themselves where the amount is 0.
    """
    if amount <= 0:
        return pixels
    found = np.empty_like(pixels)
    for top in range(0, pixels.shape[1], BAND):
        part = pixels[:, top : top + BAND]
        added = noise(part.shape[1], part.shape[2], top=top, seed=seed)
        np.clip(part + np.float32(amount) * added, 0, 1, out=found[:, top : top + BAND])
    return found


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
