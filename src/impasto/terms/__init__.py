"""Losses at one layer of the network, for pictures larger than memory.

No loss here gets a whole layer at once. It *sees* the layer's positions a tile at a time, is then
*settled*, which gives its value and what the gradient depends on, and at last *pulls*: it adds its
share of the gradient at the positions of each tile, whose features are computed once more. A sum
over positions needs nothing else; a loss that compares positions with each other keeps what it
needs of those it has seen.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

Part = tuple[slice, slice]
"""Rows and columns of a layer's whole map."""


class PixelTerm(Protocol):
    """One loss of the picture's own pixels."""

    def blank(self) -> float:
        """The loss of an empty picture: a natural unit."""
        ...

    def evaluate(
        self, picture: Tensor, gradient: Tensor | None = None, scale: float = 1.0
    ) -> float:
        """The loss, ≥ 0; NaN where the picture is not finite.

        Args:
            picture: `(1, 3, H, W)`, the whole one.
            gradient: `scale · ∂loss/∂x` is added to it, in place; `None`: none is wanted.
            scale: what the loss is multiplied by.
        """
        ...


class LayerTerm(Protocol):
    """One loss at one layer.

    `begin`, `see` for all positions, `settle`, then `pull` for all positions, in any order of
    tiles; the features at a position are the same both times.
    """

    def begin(self, height: int, width: int) -> None:
        """Forgets what was seen; a map of `height` × `width` positions follows."""
        ...

    def see(self, features: Tensor, place: Part) -> None:
        """Takes the features at some positions.

        Args:
            features: `(1, C, h, w)`, in the network's number format, not to be kept as it is.
            place: where in the whole map they are.
        """
        ...

    def settle(self, *, slopes: bool) -> float:
        """The loss of all that was seen, ≥ 0; NaN where features were not finite.

        Args:
            slopes: `pull` follows.
        """
        ...

    def slope_size(self) -> float:
        """About how large `∂loss/∂f` is, as a root mean square over the layer; after `settle`."""
        ...

    def pull(self, features: Tensor, place: Part, gradient: Tensor, scale: float) -> None:
        """Adds `scale · ∂loss/∂f` to the gradient at some positions, in place.

        Args:
            features: as `see` had them.
            place: where in the whole map they are.
            gradient: of the shape of `features`, in its format or a wider one.
            scale: what the loss is multiplied by.
        """
        ...
