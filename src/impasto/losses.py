"""Content, style and smoothness terms, each with its source.

Every term is a mean, never a sum over positions, so that one weight gives the same look at any
size. Style terms see a layer only through its `Moments`. A style term is made for one target, so
that what depends on the target alone is computed once: `gram_loss(target)(moments)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.moments import Moments, mix_moments

StyleTerm = Callable[[Moments], Tensor]
"""How far some moments are from the target the term was made for: a scalar ≥ 0, differentiable."""

StyleLoss = Callable[[Moments], StyleTerm]
"""Makes the term of a target."""


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """`mean((F − P)²)` between two feature maps of the same shape `(1, C, H, W)`.

    Gatys, Ecker & Bethge 2016, eq. 1, which has `½ Σ` instead of the mean.
    """
    return (features - target).square().mean()


def gram_loss(target: Moments) -> StyleTerm:
    """`mean((G − A)²)` over the `C²` entries of the Gram matrices per position.

    Gatys, Ecker & Bethge 2016, eqs. 3–4: their `1/(4 N² M²) Σ (G − A)²`, with Gram matrices that
    are sums over `M` positions, is a quarter of this when both pictures have `M` positions.
    """
    wanted = target.gram

    def term(moments: Moments) -> Tensor:
        return (moments.gram - wanted).square().mean()

    return term


def mean_std_loss(target: Moments) -> StyleTerm:
    """`mean((μ − μ′)²) + mean((σ − σ′)²)` over channels.

    Huang & Belongie 2017, eq. 13 (norms there, means of squares here). The variances get a small
    floor inside the root, because its slope at zero is infinite.
    """
    floor = 1e-6 * target.variance.mean().clamp_min(1e-12)
    mean, std = target.mean, (target.variance + floor).sqrt()

    def term(moments: Moments) -> Tensor:
        error = (moments.mean - mean).square().mean()
        return error + ((moments.variance + floor).sqrt() - std).square().mean()

    return term


def gram_mean_std_loss(target: Moments) -> StyleTerm:
    """The Gram term plus the mean/std term, the second in the first one's units.

    Gram entries are squares of features, so their squared errors grow with the fourth power of the
    activations and those of mean and std with the second. The latter is multiplied by the target's
    mean square activation `tr(A)/C`, so that the balance does not depend on the layer's scale.
    """
    gram, mean_std = gram_loss(target), mean_std_loss(target)
    power = target.gram.diagonal().mean()

    def term(moments: Moments) -> Tensor:
        return gram(moments) + power * mean_std(moments)

    return term


class _RootTrace(torch.autograd.Function):
    """`tr((S Σ S)^½)` for a fixed symmetric `S`; its gradient is `½ S (S Σ S)^−½ S`.

    Written out because autograd through `eigh` divides by differences of eigenvalues, which are
    zero wherever channels never fire. Eigenvalues get a floor in the inverse root only: higher ones
    bend the gradient near the target (1e-7 by a tenth), lower ones let float32's rounding in where
    a layer has fewer positions than channels (1e-12 by a fortieth). The floor never falls far below
    the target's own scale: a flat target or picture has rounding errors for eigenvalues, whose
    inverse roots float32 cannot hold.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, root: Tensor) -> Tensor:
        product = root @ covariance @ root
        values, vectors = torch.linalg.eigh((product + product.T) / 2)
        values = values.clamp_min(0)
        scale = values[-1].maximum(1e-6 * root.square().sum().square())
        floor = scale * 1e-10 + torch.finfo(values.dtype).tiny
        half = (root @ vectors) * (values + floor).rsqrt().sqrt()
        ctx.save_for_backward(half)
        return values.sqrt().sum()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (half,) = ctx.saved_tensors
        return grads[0] * 0.5 * (half @ half.T), None


def wasserstein2_loss(target: Moments) -> StyleTerm:
    """Squared 2-Wasserstein distance between the Gaussians of the two moments, per channel.

    `(|μ − μ′|² + tr(Σ + Σ′ − 2 (Σ′^½ Σ Σ′^½)^½)) / C` (Dowson & Landau 1982; Olkin & Pukelsheim
    1982). Computed in float64, because the trace is a small difference of large numbers.
    """
    wanted = target.exact()
    mean, covariance = wanted.mean, wanted.covariance
    root, trace = _square_root(covariance), covariance.trace()

    def term(moments: Moments) -> Tensor:
        exact = moments.exact()
        cov = exact.covariance
        distance = (exact.mean - mean).square().sum() + cov.trace() + trace
        distance = distance - 2 * _RootTrace.apply(cov, root)
        return (distance / mean.shape[0]).to(moments.first)

    return term


STYLE_LOSSES: dict[str, StyleLoss] = {
    "gram": gram_loss,
    "gram+mean-std": gram_mean_std_loss,
    "mean-std": mean_std_loss,
    "wasserstein2": wasserstein2_loss,
}
"""The style terms by the names that options use."""


def between(loss: str, origin: Moments, target: Moments, strength: float) -> Moments:
    """The moments that lie some of the way from one picture's to another's, as a loss measures it.

    Under `wasserstein2` this is the Gaussian on the shortest path between the two (displacement
    interpolation: McCann 1997), so that its distance to `origin` is `strength²` of the squared
    distance between the two; elsewhere it is a linear mix of raw moments, for which the same holds
    of the Gram loss.

    Args:
        loss: a name in `STYLE_LOSSES`.
        origin: what 0 means.
        target: what 1 means.
        strength: in [0, 1].

    Returns:
        Moments with `count` 1.
    """
    if loss != "wasserstein2":
        return mix_moments([origin, target], [1 - strength, strength])
    first, last = origin.exact(), target.exact()
    mean = (1 - strength) * first.mean + strength * last.mean
    here, there = _square_root(first.covariance), _square_root(last.covariance)
    # x = here·z and y = there·R·z have the two covariances, and R brings them closest together.
    left, _, right = torch.linalg.svd(there @ here)
    root = (1 - strength) * here + strength * there @ (left @ right)
    second = root @ root.T + torch.outer(mean, mean)
    kind = target.first
    return Moments(torch.ones_like(target.count), mean.to(kind), second.to(kind))


def _square_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def blank_distance(loss: StyleLoss, target: Moments) -> Tensor:
    """A style loss of an empty layer (all features zero) to the target: a natural unit for it."""
    blank = Moments(
        torch.ones_like(target.count),
        torch.zeros_like(target.first),
        torch.zeros_like(target.second),
    )
    return loss(target)(blank)


def total_variation(picture: Tensor, height: int | None = None, *, below: bool = False) -> Tensor:
    """Mean absolute difference between neighbours, across and down (Rudin, Osher & Fatemi 1992, in
    the anisotropic l1 form).

    Args:
        picture: `(1, 3, H, W)` in [0, 1], or a strip of whole rows of one.
        height: of the picture that the strip is part of, px; the values of all strips add up.
        below: the strip's last row is the first one of the next strip.

    Returns:
        `mean|x(i, j+1) − x(i, j)| + mean|x(i+1, j) − x(i, j)|`; a direction with no neighbours
        counts 0.
    """
    rows = picture[..., :-1, :] if below else picture
    across = (rows[..., :, 1:] - rows[..., :, :-1]).abs()
    down = (picture[..., 1:, :] - picture[..., :-1, :]).abs()
    height = height or picture.shape[-2]
    return _mean(across, height) + _mean(down, height - 1)


def squared_variation(picture: Tensor, height: int | None = None, *, below: bool = False) -> Tensor:
    """Nine-point squared variation: squared differences to the four nearest neighbours and, at
    half weight (distance √2), to the four diagonal ones, each pair counted once.

    Args:
        picture: `(1, 3, H, W)` in [0, 1], or a strip of whole rows of one.
        height: of the picture that the strip is part of, px; the values of all strips add up.
        below: the strip's last row is the first one of the next strip.

    Returns:
        The sum over the four directions of the mean squared difference, diagonals halved.
    """
    rows = picture[..., :-1, :] if below else picture
    across = (rows[..., :, 1:] - rows[..., :, :-1]).square()
    down = (picture[..., 1:, :] - picture[..., :-1, :]).square()
    falling = (picture[..., 1:, 1:] - picture[..., :-1, :-1]).square()
    rising = (picture[..., 1:, :-1] - picture[..., :-1, 1:]).square()
    height = height or picture.shape[-2]
    diagonal = _mean(falling, height - 1) + _mean(rising, height - 1)
    return _mean(across, height) + _mean(down, height - 1) + diagonal / 2


def variation_around(picture: Tensor, kind: str) -> Tensor:
    """A smoothness term of a picture that wraps around: each pixel has all its neighbours.

    Args:
        picture: `(1, 3, H, W)` in [0, 1].
        kind: a name in `TV_LOSSES`.
    """
    neighbours = [(0, 1, 1.0), (1, 0, 1.0)]
    if kind == "squared":
        neighbours += [(1, 1, 0.5), (1, -1, 0.5)]
    total = picture.new_zeros(())
    for down, across, weight in neighbours:
        step = picture.roll((-down, -across), (-2, -1)) - picture
        total = total + weight * (step.square() if kind == "squared" else step.abs()).mean()
    return total


class Smoothness(Protocol):
    """A smoothness term of a picture or, as a sum over strips, of its strips."""

    def __call__(
        self, picture: Tensor, height: int | None = None, *, below: bool = False
    ) -> Tensor:
        """See `total_variation`."""
        ...


TV_LOSSES: dict[str, Smoothness] = {
    "l1": total_variation,
    "squared": squared_variation,
}
"""The smoothness terms by the names that options use."""


def _mean(values: Tensor, rows: int) -> Tensor:
    """The sum over a mean's count in the whole picture, which has so many rows of differences."""
    return values.sum() / max(1, values.shape[0] * values.shape[1] * rows * values.shape[3])
