"""Tiles of a picture: geometry only, no network.

A tile has a *core*, which no other tile shares, and an *area*: the core and a halo around it, as
far as the features of the core look. Cores begin at multiples of the deepest layer's stride, so
that a tile's poolings fall where the whole picture's do. What lies beyond the area's edge is padded
wrongly inside the picture, but no position of the core sees that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise


@dataclass(frozen=True)
class Tile:
    """One tile, in pixels of a picture of `height × width`; bounds are half-open.

    Attributes:
        core: rows and columns that are this tile's own: (top, bottom, left, right).
        area: the core with its halo, within the picture unless that wraps around.
        height: of the whole picture.
        width: of the whole picture.
        wraps: what lies beyond an edge is the opposite edge.
    """

    core: tuple[int, int, int, int]
    area: tuple[int, int, int, int]
    height: int
    width: int
    wraps: bool = False

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The area's rows and columns in a picture that does not wrap around."""
        top, bottom, left, right = self.area
        return slice(top, bottom), slice(left, right)

    def own(self, stride: int) -> tuple[slice, slice]:
        """The core's positions in a feature map of the area at `stride` px per position."""
        rows, columns = self.place(stride)
        top, left = self.area[0] // stride, self.area[2] // stride
        return (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )

    def place(self, stride: int) -> tuple[slice, slice]:
        """The core's positions in a feature map of the whole picture."""
        top, bottom, left, right = self.core
        return _span(top, bottom, self.height, stride), _span(left, right, self.width, stride)


def _span(start: int, stop: int, length: int, stride: int) -> slice:
    # The last positions are those of the whole map, which is never empty.
    return slice(start // stride, max(1, length // stride) if stop == length else stop // stride)


@lru_cache(maxsize=256)
def plan_tiles(
    height: int, width: int, *, halo: int, stride: int, limit: int, wraps: bool = False
) -> tuple[Tile, ...]:
    """The tiles of a picture, row by row, with the least work that a limit allows.

    Args:
        height: of the picture, px.
        width: of the picture, px.
        halo: how far the features of a position look beyond its own pixels, px.
        stride: pixels per position of the deepest layer.
        limit: largest area of a tile, in pixels; not much smaller than what the halo alone takes,
            or next to nothing of a tile would be its own.
        wraps: the picture is a torus, whose sides are multiples of the stride; its tiles have a
            halo on all sides.

    Returns:
        One tile of the whole picture where that is within the limit.
    """
    limit = max(limit, smallest_limit(halo=halo, stride=stride))
    if not wraps and height * width <= limit:
        return _grid(height, width, 1, 1, halo, stride, wraps)
    best: tuple[int, int, int, int] | None = None
    for across in range(1, math.ceil(width / stride) + 1):
        columns = _cuts(width, across, halo, stride, wraps)
        widest = max(stop - start for _, (start, stop) in columns)
        # The fewest rows of tiles that stay within the limit.
        for down in range(1, math.ceil(height / stride) + 1):
            rows = _cuts(height, down, halo, stride, wraps)
            tallest = max(stop - start for _, (start, stop) in rows)
            if tallest * widest <= limit:
                work = sum(b - a for _, (a, b) in rows) * sum(b - a for _, (a, b) in columns)
                if best is None or work < best[0]:
                    best = (work, tallest * widest, down, across)
                break
        if best is not None and across > 4 * best[3] + 4:
            break
    if best is None:
        raise AssertionError("the smallest limit has room for a tile")
    return _grid(height, width, best[2], best[3], halo, stride, wraps)


def smallest_limit(*, halo: int, stride: int) -> int:
    """The smallest area of a tile that `plan_tiles` works with, in pixels."""
    return (2 * math.ceil(halo / stride) * stride + 4 * stride) ** 2


def _grid(
    height: int, width: int, down: int, across: int, halo: int, stride: int, wraps: bool
) -> tuple[Tile, ...]:
    return tuple(
        Tile((*own_rows, *own_columns), (*rows, *columns), height, width, wraps)
        for own_rows, rows in _cuts(height, down, halo, stride, wraps)
        for own_columns, columns in _cuts(width, across, halo, stride, wraps)
    )


@lru_cache(maxsize=1024)
def _cuts(
    length: int, count: int, halo: int, stride: int, wraps: bool
) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Cores and areas along one side, as equal as multiples of the stride can be."""
    whole = max(1, length // stride)
    count = min(count, whole)
    # What is left over at the end belongs to the last core: no position of its own begins there.
    edges = [round(whole * i / count) * stride for i in range(count)] + [length]
    margin = math.ceil(halo / stride) * stride
    low, high = (-margin, length + margin) if wraps else (0, length)
    return tuple(
        ((start, stop), (max(low, start - margin), min(high, stop + margin)))
        for start, stop in pairwise(edges)
    )
