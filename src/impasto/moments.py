"""The additive statistics that every style loss here is a function of.

A style loss that ignores where things are depends on a layer's features `f(p)` only through three
sums over positions `p`: the (weighted) count, `Σ f` and `Σ f fᵀ`. These are the layer's *moments*.
Moments of two parts add up to the moments of the whole; a mask is a weight per position; a blend of
paintings is a linear mix of *normalised* moments (mean and second raw moment), which is again a
valid pair of moments, as a mix of covariances would not be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.convolution import raw_moments


@dataclass(frozen=True)
class Moments:
    """Zeroth, first and second raw moments of one layer's features.

    Attributes:
        count: total weight of the positions, a scalar tensor > 0.
        first: `Σ f`, shape `(C,)`.
        second: `Σ f fᵀ`, shape `(C, C)`, symmetric.
    """

    count: Tensor
    first: Tensor
    second: Tensor

    def __add__(self, other: Moments) -> Moments:
        """Moments of the union of two sets of positions."""
        return Moments(
            self.count + other.count, self.first + other.first, self.second + other.second
        )

    @property
    def mean(self) -> Tensor:
        """`μ = Σf / n`, shape `(C,)`."""
        return self.first / self.count

    @property
    def gram(self) -> Tensor:
        """`G = Σffᵀ / n`, shape `(C, C)`: the Gram matrix per position (Gatys et al. 2016, eq. 3,
        divided by the number of positions)."""
        return self.second / self.count

    @property
    def covariance(self) -> Tensor:
        """`Σ = G − μμᵀ`, shape `(C, C)`."""
        mean = self.mean
        return self.gram - torch.outer(mean, mean)

    @property
    def variance(self) -> Tensor:
        """The diagonal of `covariance`, shape `(C,)`, not below 0."""
        return (self.gram.diagonal() - self.mean.square()).clamp_min(0)

    def detach(self) -> Moments:
        """The same numbers, cut from the graph."""
        return Moments(self.count.detach(), self.first.detach(), self.second.detach())

    def exact(self) -> Moments:
        """The same moments in float64, on the CPU where their device knows no float64 (MPS)."""
        device = "cpu" if self.first.device.type == "mps" else self.first.device
        parts = (self.count, self.first, self.second)
        return Moments(*(part.to(device, torch.float64) for part in parts))


def widened(values: Tensor) -> Tensor:
    """The same numbers in float32 where their own format has fewer bits.

    Sums over many positions would lose most of their digits in 16 bits.
    """
    return values.float() if torch.finfo(values.dtype).bits < 32 else values


def moments_of(features: Tensor, weight: Tensor | None = None, *, fast: bool = False) -> Moments:
    """Sums the moments of a feature map.

    Args:
        features: `(1, C, H, W)`, any memory format.
        weight: weight of each position, `(H, W)`, ≥ 0 with a positive sum; `None` weighs all 1.
        fast: without weights, use `convolution`'s compiled kernels where they pay.

    Returns:
        The moments, in the features' dtype (in float32 where they have 16 bits), differentiable
        with respect to `features`.
    """
    features = widened(features)
    if weight is None:
        count = features.new_tensor(features.shape[2] * features.shape[3])
        return Moments(count, *raw_moments(features, fast=fast))
    rows = features[0].permute(1, 2, 0).reshape(-1, features.shape[1])
    column = weight.reshape(-1, 1).to(rows)
    weighted = rows * column
    return Moments(column.sum(), weighted.sum(0), rows.T @ weighted)


def mix_moments(parts: Sequence[Moments], shares: Sequence[float]) -> Moments:
    """The moments of a blend of paintings: normalised raw moments, mixed linearly.

    Args:
        parts: moments of each painting at the same layer.
        shares: a share ≥ 0 for each, with a positive sum; they are normalised to 1.

    Returns:
        Moments with `count` 1.
    """
    total = float(sum(shares))
    count = torch.ones_like(parts[0].count)
    pairs = list(zip(parts, shares, strict=True))
    first = sum((p.mean * (s / total) for p, s in pairs), torch.zeros_like(parts[0].first))
    second = sum((p.gram * (s / total) for p, s in pairs), torch.zeros_like(parts[0].second))
    return Moments(count, first, second)
