"""Content: features compared position by position."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.moments import widened
from impasto.terms import Part


class ContentTerm:
    """`mean((F − P)²)` between a layer's features and the photo's.

    Gatys, Ecker & Bethge 2016, eq. 1, which has `½ Σ` instead of the mean.

    Args:
        target: the photo's features, `(1, C, H, W)`, in any number format.
    """

    def __init__(self, target: Tensor) -> None:
        self.target = target
        self._squares = 0.0

    def begin(self, height: int, width: int) -> None:
        """See `LayerTerm`."""
        self._squares = 0.0

    def see(self, features: Tensor, place: Part) -> None:
        """See `LayerTerm`."""
        self._squares += float(self._error(features, place).square().sum())

    def settle(self, *, slopes: bool) -> float:
        """See `LayerTerm`."""
        return self._squares / self.target.numel()

    def slope_size(self) -> float:
        """See `LayerTerm`."""
        count = self.target.numel()
        return 2 / count * (self._squares / count) ** 0.5

    def pull(self, features: Tensor, place: Part, gradient: Tensor, scale: float) -> None:
        """See `LayerTerm`."""
        error = self._error(features, place)
        gradient.add_(error, alpha=2 * scale / self.target.numel())

    def blank(self) -> float:
        """The loss of a layer without any activation: the mean square of the target."""
        # The squares of features in 16 bits have no place in 16 bits.
        dtype = torch.promote_types(self.target.dtype, torch.float32)
        norm = float(torch.linalg.vector_norm(self.target, dtype=dtype))
        return norm**2 / self.target.numel()

    def _error(self, features: Tensor, place: Part) -> Tensor:
        part = widened(features)
        return part - self.target[..., *place].to(part)
