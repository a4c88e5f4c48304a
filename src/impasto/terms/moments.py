"""Style losses that are functions of a layer's moments, in all of the picture or in a region."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impasto.convolution import add_product
from impasto.losses import StyleLoss
from impasto.moments import Moments, moments_of, widened
from impasto.terms import Part


class MomentTerm:
    """A style loss of the sums over a layer's positions, each with its weight.

    With weights these are the guided moments of Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017,
    eq. 4, per unit of the region's area.

    The loss is differentiated with respect to the moments alone. At features `f(p)` of weight
    `w(p)` it then has the slope `w(p) (∂L/∂Σf + (S + Sᵀ) f(p))`, where `S` is `∂L/∂Σffᵀ`.

    Args:
        loss: a moment loss of `losses`.
        target: what to match.
        weight: how much each position counts, `(H, W)` ≥ 0 with a positive sum; `None`: all 1.
        fast: use `convolution`'s compiled kernels where they pay.
    """

    def __init__(
        self, loss: StyleLoss, target: Moments, weight: Tensor | None = None, *, fast: bool = False
    ) -> None:
        self._term, self._weight, self._fast = loss(target), weight, fast
        self._sums: Moments | None = None
        self._constant = self._linear = target.first

    def begin(self, height: int, width: int) -> None:
        """See `LayerTerm`."""
        self._sums = None

    def see(self, features: Tensor, place: Part) -> None:
        """See `LayerTerm`."""
        weight = self._weights(place)
        if weight is None and self._weight is not None:
            return
        part = moments_of(features, weight, fast=self._fast)
        self._sums = part if self._sums is None else self._sums + part

    def settle(self, *, slopes: bool) -> float:
        """See `LayerTerm`."""
        sums = self._sums
        if sums is None:
            raise AssertionError("a region has at least one position")
        if not bool(torch.isfinite(sums.second).all()):
            # The eigenvalues of such a matrix are an error of their own.
            self._constant, self._linear = sums.first * math.nan, sums.second * math.nan
            return math.nan
        if not slopes:
            with torch.no_grad():
                return float(self._term(sums))
        with torch.enable_grad():
            first = sums.first.detach().requires_grad_()
            second = sums.second.detach().requires_grad_()
            value = self._term(Moments(sums.count, first, second))
            constant, linear = torch.autograd.grad(
                value, (first, second), allow_unused=True, materialize_grads=True
            )
        self._constant, self._linear = constant, linear + linear.T
        return float(value.detach())

    def slope_size(self) -> float:
        """See `LayerTerm`."""
        if self._sums is None:
            return 0.0
        moments = self._sums.exact()
        linear, constant = self._linear.double(), self._constant.double()
        square = constant @ constant + 2 * constant @ linear @ moments.mean
        square = square + (linear @ moments.gram * linear).sum()
        return float((square.clamp_min(0) / constant.numel()).sqrt())

    def pull(self, features: Tensor, place: Part, gradient: Tensor, scale: float) -> None:
        """See `LayerTerm`."""
        weight = self._weights(place)
        if weight is None and self._weight is not None:
            return
        given = widened(features)
        # Rounded once: the two summands may be much larger than what they add up to.
        wide = widened(gradient)
        constant, linear = self._constant * scale, self._linear * scale
        if weight is None:
            add_product(wide, given, linear, constant, fast=self._fast)
        else:
            share = torch.zeros_like(given, memory_format=torch.channels_last)
            add_product(share, given, linear, constant, fast=self._fast)
            wide.add_(share.mul_(weight))
        if wide is not gradient:
            gradient.copy_(wide)

    def _weights(self, place: Part) -> Tensor | None:
        """The weights of some positions; `None` where all are 1, or all 0."""
        if self._weight is None:
            return None
        weight = self._weight[place]
        return weight if bool(weight.any()) else None
