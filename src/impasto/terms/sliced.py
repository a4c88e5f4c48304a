"""Optimal transport along lines: the sliced Wasserstein and the histogram loss.

Between distributions on a line the cheapest transport keeps the order, so it is found by sorting.
`SlicedTerm` projects a layer's features on fixed directions and matches each projection's
distribution with the painting's; with the channels themselves for directions it matches their
histograms.

It is no sum over positions: where a value goes depends on its rank among all others. What tiles
show is kept, one number per direction and position, until all are seen, so that tiles are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.moments import widened
from impasto.terms import Part

_AT_ONCE = 1 << 18
"""Projections that are worked on at once."""

_NARROWEST = 1e-14
"""Intervals of levels below this width are rounding errors of coinciding ends."""


class _Quantiles(NamedTuple):
    """Quantile functions that are constant between levels.

    Attributes:
        values: in ascending order, `(K, n)`.
        levels: between which they hold, `(K, n + 1)` from 0 to 1, float64; `None`: even ones.
    """

    values: Tensor
    levels: Tensor | None

    def levels_at(self, rows: slice) -> Tensor:
        """The levels of some of them, or `(1, n + 1)` for all."""
        return _even(self.values) if self.levels is None else self.levels[rows]

    def means(self, rows: slice, cells: Tensor) -> Tensor:
        """The means of some of them, `R`, between neighbouring levels, in float64.

        Args:
            rows: which.
            cells: levels in ascending order, `(R, N + 1)`, or `(1, N + 1)` for all.

        Returns:
            `(R, N)`; 0 where levels coincide.
        """
        values = self.values[rows].double()
        levels = self.levels_at(rows).expand(len(values), -1)
        integral = F.pad((values * levels.diff()).cumsum(1), (1, 0))
        if self.levels is None:
            # Levels a rounding error off their step stand at its end, where the next begins.
            step = (cells * values.shape[1]).long()
        else:
            inside = cells.expand(len(values), -1).contiguous()
            step = torch.searchsorted(levels, inside, right=True) - 1
        step = step.clamp(0, values.shape[1] - 1).expand(len(values), -1)
        reached = (cells - levels.gather(1, step)) * values.gather(1, step)
        reached += integral.gather(1, step)
        width = cells.diff()
        return torch.where(width > _NARROWEST, reached.diff() / width, 0)

    def squares(self) -> Tensor:
        """`∫ Q²` of each, `(K,)`."""
        squares = self.values.double().square()
        return squares.mean(1) if self.levels is None else (squares * self.levels.diff()).sum(1)


def slices_for(channels: int, stride: int) -> int:
    """Directions of the sliced style loss at a layer: more where there are fewer positions.

    Args:
        channels: of the layer.
        stride: pixels of the picture per position.
    """
    return min(channels, 32 * stride)


def directions_for(channels: int, count: int, seed: int) -> Tensor:
    """Directions to project features on: as orthogonal as so many can be, and random otherwise.

    As many as channels are an orthonormal basis, more are several bases. They are the same for a
    seed on every device.

    Args:
        channels: of the layer.
        count: how many directions.
        seed: of their choice.

    Returns:
        `(count, channels)`, rows of length 1, float64.
    """
    generator = torch.Generator().manual_seed(seed)
    bases = []
    for _ in range(math.ceil(count / channels)):
        noise = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
        basis, triangle = torch.linalg.qr(noise)
        # QR leaves signs open; these make the basis uniform among all (Mezzadri 2007).
        bases.append((basis * triangle.diagonal().sign()).T)
    return torch.cat(bases)[:count].contiguous()


class SlicedTerm:
    """The squared 2-Wasserstein distance between projected features, as a mean over directions.

    `L = 1/K Σ_k ∫₀¹ (Q_k(t) − Q′_k(t))² dt`, where `Q_k` and `Q′_k` are the quantile functions of
    the layer's and the painting's features along direction `k` (Heitz, Vanhoey, Chambon & Belcour
    2021, "A Sliced Wasserstein Loss for Neural Texture Synthesis", who draw directions anew at
    each step; fixed ones leave line searches one function). The integral is exact for any numbers
    and weights of positions: each position goes to the mean of `Q′` over its own share of the
    levels, and how `Q′` varies there is a constant.

    Without directions the channels are the axes. That is the histogram loss of Risser, Wilmot &
    Barnes 2017, "Stable and Controllable Neural Texture Synthesis and Style Transfer Using
    Histogram Losses", as a mean over positions and channels: to match a channel's histogram is to
    move its values to those of equal rank. They count in bins; here nothing is rounded to any.

    Either has the unit of `losses.wasserstein2_loss`: squared features per channel. It keeps `2 K`
    numbers per position: 8 MiB in float32 for 16 directions at 256 × 256 positions.

    Args:
        samples: the painting's features, `(n, C)`, as many as there are or a fair choice of them.
        weight: how much each position of the layer counts, `(H, W)` in [0, 1] with a positive sum;
            `None`: all alike.
        sample_weight: how much each sample counts, `(n,)`, ≥ 0 with a positive sum.
        directions: `(K, C)` of rows of length 1, such as `directions_for` gives; `None`: the
            channels.
        origin: features that the samples are approached from, `(m, C)`.
        origin_weight: how much each of those counts, `(m,)`, ≥ 0 with a positive sum.
        strength: how far on the way from `origin` to `samples` the target is: their quantile
            functions are mixed (displacement interpolation, McCann 1997). Without an origin it has
            no effect.
    """

    def __init__(
        self,
        samples: Tensor,
        *,
        weight: Tensor | None = None,
        sample_weight: Tensor | None = None,
        directions: Tensor | None = None,
        origin: Tensor | None = None,
        origin_weight: Tensor | None = None,
        strength: float = 1.0,
    ) -> None:
        samples = widened(samples)
        self._dtype, self._device = samples.dtype, samples.device
        # MPS knows no float64, which levels and their integrals need.
        self._exact = torch.device("cpu") if samples.device.type == "mps" else samples.device
        self._weight = None if weight is None else weight.to(self._exact, torch.float64).flatten()
        self._directions = None if directions is None else directions.to(samples)
        self._target = self._quantiles(samples, sample_weight)
        if origin is not None:
            self._target = _between(self._quantiles(origin, origin_weight), self._target, strength)
        self._squares = self._target.squares()
        self._seen = samples.new_empty(0, 0, 0)
        self._goals: list[tuple[Tensor, float]] = []
        self._channels = samples.shape[1]
        self._size = 0.0

    def blank(self) -> float:
        """The loss of an empty layer (all features zero): a natural unit."""
        return float(self._squares.mean())

    def begin(self, height: int, width: int) -> None:
        """See `LayerTerm`; the map has the size of `weight`."""
        if self._seen.shape[1:] == (height, width):
            return
        self._seen = torch.empty(
            len(self._target.values), height, width, dtype=self._dtype, device=self._device
        )
        if self._weight is None:
            # Equal shares of the levels, whichever position has which.
            levels = _even(self._seen.flatten(1)).to(self._exact)
            self._goals = [self._goal(rows, levels) for rows in self._blocks()]

    def see(self, features: Tensor, place: Part) -> None:
        """See `LayerTerm`."""
        self._seen[:, *place] = self._project(features)

    def settle(self, *, slopes: bool) -> float:
        """See `LayerTerm`."""
        count = len(self._seen)
        value, squares = 0.0, 0.0
        for index, rows in enumerate(self._blocks()):
            seen = self._seen[rows].flatten(1)
            found, order = _sorted(seen.to(self._exact))
            share: Tensor | float = 1 / found.shape[1]
            if self._weight is None:
                goal, rest = self._goals[index]
            else:
                levels = _levels(self._weight[order])
                goal, rest = self._goal(rows, levels)
                share = levels.diff().to(found)
            error = found.sub_(goal)
            slope = error * share
            value += (float((error * slope).sum(dtype=torch.float64)) + rest) / count
            if slopes:
                squares += (2 / count * float(torch.linalg.vector_norm(slope))) ** 2
                seen.scatter_(1, order.to(seen.device), slope.mul_(2 / count).to(seen.device))
        # Several bases pull much the same way.
        squares *= max(1.0, count / self._channels)
        self._size = math.sqrt(squares / self._seen[0].numel() / self._channels)
        if not math.isfinite(value):
            self._seen.fill_(math.nan)
            return math.nan
        return value

    def slope_size(self) -> float:
        """See `LayerTerm`; exact for no more directions than channels."""
        return self._size

    def pull(self, features: Tensor, place: Part, gradient: Tensor, scale: float) -> None:
        """See `LayerTerm`."""
        slopes = self._seen[:, *place]
        if self._directions is not None:
            rows = slopes.reshape(len(slopes), -1).T @ self._directions
            slopes = rows.view(*slopes.shape[1:], -1).permute(2, 0, 1)
        gradient[0].add_(slopes, alpha=scale)

    def _project(self, features: Tensor) -> Tensor:
        """Features `(1, C, h, w)` along each direction, `(K, h, w)`."""
        given = widened(features[0]).to(self._dtype)
        if self._directions is None:
            return given
        rows = given.permute(1, 2, 0).reshape(-1, given.shape[0])
        return (self._directions @ rows.T).view(-1, *given.shape[1:])

    def _quantiles(self, samples: Tensor, weight: Tensor | None) -> _Quantiles:
        rows = self._project(samples.T[None, :, :, None])[:, :, 0].to(self._exact)
        values, order = _sorted(rows.contiguous())
        if weight is None:
            return _Quantiles(values, None)
        return _Quantiles(values, _levels(weight.to(self._exact, torch.float64)[order]))

    def _blocks(self) -> Iterator[slice]:
        """Directions in blocks that are worked on at once."""
        step = max(1, _AT_ONCE // self._seen[0].numel())
        for start in range(0, len(self._seen), step):
            yield slice(start, start + step)

    def _goal(self, rows: slice, levels: Tensor) -> tuple[Tensor, float]:
        """What positions between some levels are to become along some directions, and the part of
        the loss, summed over them, that is left when they have."""
        goal = self._target.means(rows, levels)
        rest = self._squares[rows] - (goal.square() * levels.diff()).sum(1)
        return goal.to(self._dtype), float(rest.clamp_min(0).sum())


def _even(values: Tensor) -> Tensor:
    """The levels between values of the same weight, `(K, n)` → `(1, n + 1)`."""
    count = values.shape[1]
    return torch.arange(count + 1, dtype=torch.float64, device=values.device)[None] / count


def _levels(weights: Tensor) -> Tensor:
    """The levels between values in order with given weights, `(K, n)` → `(K, n + 1)`."""
    sums = F.pad(weights.cumsum(1), (1, 0))
    return sums / sums[:, -1:]


def _between(start: _Quantiles, end: _Quantiles, strength: float) -> _Quantiles:
    """The mix of quantile functions, `(1 − strength) · start + strength · end`."""
    values, levels = [], []
    for k in range(len(end.values)):
        row = slice(k, k + 1)
        cells = torch.cat([start.levels_at(row), end.levels_at(row)], dim=1).sort().values
        mixed = torch.lerp(start.means(row, cells), end.means(row, cells), strength)
        values.append(mixed.to(end.values))
        levels.append(cells)
    return _Quantiles(torch.cat(values), torch.cat(levels))


def _sorted(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's values in ascending order and where they were; equal ones as they came."""
    if rows.device.type != "cpu" or rows.dtype != torch.float32:
        return rows.sort(dim=1, stable=True)
    # NumPy sorts whole numbers with vector instructions, many times as fast as torch sorts with
    # places. A float's bits, negative ones turned round, order as the float does; the place comes
    # behind them.
    keys = rows.numpy().view(np.int32).astype(np.int64)
    keys ^= (keys >> 31) & 0x7FFFFFFF
    keys <<= 32
    keys |= np.arange(keys.shape[1])
    keys.sort(axis=1)
    keys &= 0xFFFFFFFF
    order = torch.from_numpy(keys)
    return rows.gather(1, order), order
