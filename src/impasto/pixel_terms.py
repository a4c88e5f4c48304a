"""Losses of the picture's own pixels, which need no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

STRIP_PIXELS = 1 << 18
"""Pixels whose share of a gradient is worked out at once."""

FINE_CELLS, COARSE_CELLS = 128, 32
"""Cells along the long side of a picture that its structure is seen at."""


def laplacian_cells(height: int, width: int) -> tuple[int, ...]:
    """The sides of the cells that a picture is pooled by, px.

    At 512 px these are the 4 and 16 px of Li, Xu, Nie & Chua 2017. They grow with the picture, so
    that the same structure is held at every level.

    Args:
        height: of the picture, px.
        width: of the picture, px.
    """
    long = max(height, width)
    sides = (max(1, round(long / cells)) for cells in (FINE_CELLS, COARSE_CELLS))
    return tuple(dict.fromkeys(sides))


@dataclass(frozen=True, eq=False)
class Held:
    """A picture that a run's result is to stay close to where it is trusted.

    Attributes:
        picture: `(1, 3, H, W)` in [0, 1], of any size.
        trust: `(H, W)` in [0, 1], of the same size.
        weight: of the distance in the objective.
    """

    picture: Tensor
    trust: Tensor
    weight: float


class HeldTerm:
    """The distance from a picture, where that is trusted: `L = mean(c·(x − w)²)`.

    The temporal loss of Ruder, Dosovitskiy & Brox 2016, "Artistic Style Transfer for Videos",
    equation 7: `w` is the result of an earlier frame, moved along with the flow, and `c` its
    per-pixel weight.

    Args:
        picture: `w`, `(1, 3, H, W)`.
        trust: `c`, `(H, W)` in [0, 1].
    """

    def __init__(self, picture: Tensor, trust: Tensor) -> None:
        self._picture, self._trust = picture, trust

    def blank(self) -> float:
        """The loss of an empty picture to a picture that is trusted everywhere: a natural unit."""
        return float(self._picture.square().mean())

    def evaluate(
        self, picture: Tensor, gradient: Tensor | None = None, scale: float = 1.0
    ) -> float:
        """The loss, ≥ 0; NaN where the picture is not finite.

        Args:
            picture: of the held picture's shape.
            gradient: `scale · ∂L/∂x` is added to it, in place.
            scale: what the loss is multiplied by.
        """
        error = picture - self._picture
        counted = error * self._trust
        value = float((counted * error).mean())
        if gradient is not None:
            gradient.add_(counted, alpha=2 * scale / error.numel())
        return value if math.isfinite(value) else math.nan


class LaplacianTerm:
    """Edges and contours of the photo: squared differences of Laplacians.

    `L = Σ_p mean((Δ A_p x − Δ A_p photo)²)`, where `A_p` adds up the three channels and takes means
    over cells of `p × p` pixels and `Δ` is the sum of a cell's differences from its four neighbours
    (Li, Xu, Nie & Chua 2017, "Laplacian-Steered Neural Style Transfer", who have sums instead of
    means and a weight for each `p`). Beyond the border a map goes on as it ends; cells there may
    be smaller. Colours are left open, and all that changes slowly.

    It sees the whole picture at once, but keeps only maps of cells.

    Args:
        photo: `(1, 3, H, W)`, sRGB in [0, 1].
        cells: sides of the cells, px; `None`: those of `laplacian_cells`.
    """

    def __init__(self, photo: Tensor, cells: Sequence[int] | None = None) -> None:
        cells = laplacian_cells(photo.shape[-2], photo.shape[-1]) if cells is None else cells
        self._wanted = [(side, _laplacian(_pooled(photo, side))) for side in cells]

    def blank(self) -> float:
        """The loss of an empty picture: a natural unit."""
        return sum(float(wanted.square().mean()) for _, wanted in self._wanted)

    def evaluate(
        self, picture: Tensor, gradient: Tensor | None = None, scale: float = 1.0
    ) -> float:
        """The loss, ≥ 0; NaN where the picture is not finite.

        Args:
            picture: of the photo's shape.
            gradient: `scale · ∂L/∂x` is added to it, in place.
            scale: what the loss is multiplied by.
        """
        value = 0.0
        for side, wanted in self._wanted:
            error = _laplacian(_pooled(picture, side)) - wanted
            value += float(error.square().mean())
            if gradient is not None:
                # The Laplacian is symmetric.
                _spread(_laplacian(error).mul_(2 * scale / error.numel()), side, gradient)
        return value if math.isfinite(value) else math.nan


def _pooled(picture: Tensor, side: int) -> Tensor:
    """The sum over channels of the means over cells, `(rows, columns)`."""
    return F.avg_pool2d(picture, side, ceil_mode=True)[0].sum(0)


def _laplacian(values: Tensor) -> Tensor:
    """Each one's differences from its neighbours, summed; borders have fewer neighbours."""
    found = values.new_zeros(values.shape)
    for dim in (0, 1):
        if values.shape[dim] > 1:
            steps = values.diff(dim=dim)
            found.narrow(dim, 1, steps.shape[dim]).add_(steps)
            found.narrow(dim, 0, steps.shape[dim]).sub_(steps)
    return found


def _spread(slopes: Tensor, side: int, gradient: Tensor) -> None:
    """Adds the slopes of sums of means over cells to those of their pixels."""
    height, width = gradient.shape[-2:]
    down, across = (
        slopes.new_tensor([min(side, length - start) for start in range(0, length, side)])
        for length in (height, width)
    )
    each = slopes / (down[:, None] * across)
    step = max(1, STRIP_PIXELS // (width * side))
    for first in range(0, len(each), step):
        rows = each[first : first + step].repeat_interleave(side, 0).repeat_interleave(side, 1)
        strip = gradient[..., first * side : (first + step) * side, :]
        strip.add_(rows[: strip.shape[-2], :width])
