"""Each position matched with the painting's most similar one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from impasto.moments import widened
from impasto.terms import Part

MOST_SAMPLES = 4096
"""Samples among which a position's nearest is looked for: the work grows with their number."""

_AT_ONCE = 1 << 22
"""Similarities that are computed at once."""

_FLOOR = 1e-3
"""This share of the samples' mean squared distance from the centre is added to that of each
position, whose slope, which grows with the inverse distance, so stays finite at the centre."""


class NearestTerm:
    """The mean cosine distance of a layer's positions from their nearest neighbours.

    `L = Σ_p w(p) min_j D(f(p) − c, s_j − c) / Σ_p w(p)` with the cosine distance
    `D(a, b) = 1 − a·b / (|a| |b|)` (Kolkin, Kučera, Paris, Sýkora, Shechtman & Shakhnarovich 2022,
    "Neural Neighbor Style Transfer", their final phase, which matches each layer for itself and
    anew at every step). They centre features and samples on the mean of each; here both are
    centred on one that does not change, so that the loss is a sum over positions. Neighbours are
    found anew for every map; the slope is that with neighbours held, which is the slope of the
    minimum wherever it has one.

    Only directions from the centre are compared. How far features are from it is left open: the
    loss sets shapes and hues, and goes well with one that sets contrast.

    Args:
        samples: the painting's features, `(n, C)`; of more than `MOST_SAMPLES` so many are chosen
            at random, always the same.
        weight: how much each position of the layer counts, `(H, W)` in [0, 1] with a positive sum;
            `None`: all alike.
        center: `c`, `(C,)`; `None`: the samples' mean.
    """

    def __init__(
        self, samples: Tensor, *, weight: Tensor | None = None, center: Tensor | None = None
    ) -> None:
        samples = widened(samples)
        self._center = samples.mean(0) if center is None else center.to(samples)
        if len(samples) > MOST_SAMPLES:
            generator = torch.Generator().manual_seed(0)
            chosen = torch.randperm(len(samples), generator=generator)[:MOST_SAMPLES]
            samples = samples[chosen.sort().values.to(samples.device)]
        around = samples - self._center
        # A sample in the centre has no direction, and is next to nothing.
        self._axes = torch.nn.functional.normalize(around)
        self._floor = float((_FLOOR * around.square().sum(1).mean()).clamp_min(1e-12))
        self._weight = None if weight is None else weight.to(samples)
        self._nearest = torch.empty(0, 0, dtype=torch.int32, device=samples.device)
        self._value = self._slopes = self._total = 0.0

    def blank(self) -> float:
        """A natural unit: the distance of features that point nowhere, 1."""
        return 1.0

    def begin(self, height: int, width: int) -> None:
        """See `LayerTerm`; the map has the size of `weight`."""
        if self._nearest.shape != (height, width):
            self._nearest = self._nearest.new_zeros(height, width)
        total = height * width if self._weight is None else float(self._weight.double().sum())
        self._value, self._slopes, self._total = 0.0, 0.0, total

    def see(self, features: Tensor, place: Part) -> None:
        """See `LayerTerm`."""
        nearest = self._nearest[place]
        for strip, around, weight in self._strips(features, place):
            along, found = (around @ self._axes.T).max(1)
            nearest[strip] = found.int().view(nearest[strip].shape)
            squares = around.square().sum(1)
            length = squares + self._floor
            distance = (1 - along / length.sqrt()) * weight
            # The square of what `pull` adds, where axes have length 1.
            slopes = (1 - along.square() * (2 - squares / length) / length) / length
            self._value += float(distance.sum(dtype=torch.float64))
            self._slopes += float((slopes * weight.square()).sum(dtype=torch.float64))

    def settle(self, *, slopes: bool) -> float:
        """See `LayerTerm`."""
        value = self._value / self._total
        return max(0.0, value) if math.isfinite(value) else math.nan

    def slope_size(self) -> float:
        """See `LayerTerm`."""
        entries = self._nearest.numel() * len(self._center)
        return math.sqrt(max(0.0, self._slopes) / entries) / self._total

    def pull(self, features: Tensor, place: Part, gradient: Tensor, scale: float) -> None:
        """See `LayerTerm`."""
        if not math.isfinite(self._value):
            gradient.fill_(math.nan)
            return
        nearest = self._nearest[place]
        for strip, around, weight in self._strips(features, place):
            axes = self._axes[nearest[strip].flatten()]
            along = (around * axes).sum(1, keepdim=True)
            length = around.square().sum(1, keepdim=True) + self._floor
            slopes = (around * (along / length) - axes) * (weight[:, None] / length.sqrt())
            part = gradient[0, :, strip]
            part.add_(slopes.T.view(part.shape), alpha=scale / self._total)

    def _strips(self, features: Tensor, place: Part) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Rows of some positions, as many as are worked on at once: which, their centred features
        `(positions, C)` and their weights `(positions,)`; those without any weight are left out."""
        height, width = features.shape[-2:]
        weights = None if self._weight is None else self._weight[place]
        step = max(1, _AT_ONCE // (width * len(self._axes)))
        for top in range(0, height, step):
            strip = slice(top, min(height, top + step))
            part = widened(features[0, :, strip]).to(self._axes)
            weight = part.new_ones(()).expand(part.shape[1:]) if weights is None else weights[strip]
            if bool(weight.any()):
                rows = part.permute(1, 2, 0).reshape(-1, len(part))
                yield strip, rows - self._center, weight.flatten()
