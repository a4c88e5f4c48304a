"""Content by self-similarity: what resembles what within a picture, whatever it looks like."""

from __future__ import annotations

import math
from bisect import bisect_left

import torch
from torch import Tensor

from impasto.moments import widened
from impasto.terms import Part

MOST_POSITIONS = 1024
"""Positions of the grid at most: all pairs of them are compared."""

_FLOOR = 1e-6
"""This share of the photo's mean squared length is added to each: features of length 0 have no
direction."""

_FLAT = 1e-4
"""Added to mean distances: what is flat has rounding errors for distances, and no pattern."""


def similarity_grid(height: int, width: int) -> tuple[list[int], list[int]]:
    """The rows and columns of a layer's map where `SelfSimilarityTerm` looks.

    All of them where they are few enough, else as many as `MOST_POSITIONS` allows, evenly spread
    and as far apart across as down.

    Args:
        height: of the map, positions.
        width: of the map, positions.
    """
    step = max(1.0, math.sqrt(height * width / MOST_POSITIONS))
    rows, columns = max(1, int(height / step)), max(1, int(width / step))
    # A thin map's short side counts 1 however far apart its positions are.
    rows, columns = min(rows, MOST_POSITIONS), min(columns, MOST_POSITIONS)
    return _spread(height, rows), _spread(width, columns)


def _spread(length: int, count: int) -> list[int]:
    """The middles of so many equal parts of a side."""
    return [(2 * i + 1) * length // (2 * count) for i in range(count)]


class SelfSimilarityTerm:
    """The difference between two pictures' patterns of similarities within each.

    `L = 1/n Σ_ij |D_ij / Σ_i D_ij − P_ij / Σ_i P_ij|`, where `D` are the cosine distances between
    the layer's features at `n` positions and `P` those between the photo's (Kolkin, Salavon &
    Shakhnarovich 2019, "Style Transfer by Relaxed Optimal Transport and Self-Similarity", content
    loss; theirs has `1/n²`, which makes it smaller the more positions are compared). Features may
    become quite different ones, so long as what was alike stays alike and what was not does not.

    It is no sum over positions: it compares all pairs of a fixed grid (`similarity_grid`). The
    features there are gathered from the tiles, so that tiles are exact; other positions have no
    part in it. The grid takes `MOST_POSITIONS · C` numbers, and the pairs `MOST_POSITIONS²`.

    Args:
        photo: the photo's features at the grid's positions, `(rows · columns, C)`, row by row.
        rows: of the map that are in the grid, ascending.
        columns: of the map that are in the grid, ascending.
    """

    def __init__(self, photo: Tensor, rows: list[int], columns: list[int]) -> None:
        photo = widened(photo)
        self._rows, self._columns = rows, columns
        self._floor = float((_FLOOR * photo.square().sum(1).mean()).clamp_min(1e-12))
        self._wanted = self._pattern(photo)[0]
        self._seen = torch.empty_like(photo)
        self._slopes: Tensor | None = None
        self._entries = 0
        self._value = 0.0

    def blank(self) -> float:
        """The loss of an empty layer, where everything is as far from everything else: a natural
        unit."""
        pattern, _, _ = self._pattern(torch.zeros_like(self._seen))
        return self._difference(pattern)

    def begin(self, height: int, width: int) -> None:
        """See `LayerTerm`; the map has the size that the grid is for."""
        self._entries = height * width * self._seen.shape[1]

    def see(self, features: Tensor, place: Part) -> None:
        """See `LayerTerm`."""
        mine, there = self._crossings(place)
        grid = self._seen.view(len(self._rows), len(self._columns), -1)
        grid[mine] = widened(features[0, :, *there]).to(grid).permute(1, 2, 0)

    def settle(self, *, slopes: bool) -> float:
        """See `LayerTerm`."""
        pattern, axes, sums = self._pattern(self._seen)
        self._value = self._difference(pattern)
        if slopes:
            # ∂L/∂P, through the division by column sums to ∂L/∂D, then to the rows of unit length.
            slope = (pattern - self._wanted).sign_().div_(len(axes))
            slope = (slope - (slope * pattern).sum(0)) / sums
            slope.fill_diagonal_(0)
            turn = -((slope + slope.T) @ axes)
            length = (self._seen.square().sum(1, keepdim=True) + self._floor).sqrt()
            self._slopes = (turn - axes * (axes * turn).sum(1, keepdim=True)) / length
        return self._value

    def slope_size(self) -> float:
        """See `LayerTerm`."""
        if self._slopes is None:
            return 0.0
        return float(torch.linalg.vector_norm(self._slopes)) / math.sqrt(self._entries)

    def pull(self, features: Tensor, place: Part, gradient: Tensor, scale: float) -> None:
        """See `LayerTerm`."""
        if self._slopes is None or not math.isfinite(self._value):
            gradient.fill_(math.nan)
            return
        mine, there = self._crossings(place)
        grid = self._slopes.view(len(self._rows), len(self._columns), -1)
        share = grid[mine].permute(2, 0, 1) * scale
        pulled = gradient[0, :, *there] + share
        gradient[0, :, *there] = pulled.to(gradient)

    def _pattern(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cosine distances divided by their column sums; the features' directions; those sums."""
        axes = features / (features.square().sum(1, keepdim=True) + self._floor).sqrt()
        distances = (1 - axes @ axes.T).fill_diagonal_(0)
        sums = distances.sum(0) + _FLAT * len(axes)
        return distances / sums, axes, sums

    def _difference(self, pattern: Tensor) -> float:
        value = float((pattern - self._wanted).abs().sum(dtype=torch.float64)) / len(pattern)
        return value if math.isfinite(value) else math.nan

    def _crossings(self, place: Part) -> tuple[Part, tuple[Tensor, Tensor]]:
        """Which of the grid's positions are among some of the map's: in the grid, and there."""
        mine, there = [], []
        for grid, part in zip((self._rows, self._columns), place, strict=True):
            own = slice(bisect_left(grid, part.start), bisect_left(grid, part.stop))
            mine.append(own)
            inside = torch.tensor(grid[own], dtype=torch.long, device=self._seen.device)
            there.append(inside - part.start)
        return (mine[0], mine[1]), (there[0][:, None], there[1])
