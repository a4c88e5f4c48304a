"""Pictures that are, around every pixel, an affine function of a photo's colours.

Such a picture may have any colours and any light, but only the edges of the photo: between two
pixels of the same colour in the photo it can hardly change, and a straight edge stays straight.
How far a picture is from one is a quadratic form, Levin, Lischinski & Weiss's matting Laplacian
(2006), which Luan, Paris, Shechtman & Bala (2017) use to keep painterly texture out of
photographs. The nearest one, more or less, is what He, Sun & Tang's guided filter (2010) makes.

Both fit, in every window of pixels, a picture's channel `x` to the photo's colours `I`: the `a` and
`b` for which `Σ (x − a·I − b)² + ε |a|²` is least have `a = (Σ_I + ε)⁻¹ cov(I, x)` and
`b = mean(x) − a·mean(I)`. A window is centred on each pixel and ends where the picture does.

Sources:
    A. Levin, D. Lischinski, Y. Weiss, "A Closed-Form Solution to Natural Image Matting", CVPR 2006.
    K. He, J. Sun, X. Tang, "Fast Matting Using Large Kernel Matting Laplacian Matrices", CVPR 2010.
    K. He, J. Sun, X. Tang, "Guided Image Filtering", ECCV 2010.
    K. He, J. Sun, "Fast Guided Filter", arXiv:1505.00996, 2015.
    F. Luan, S. Paris, E. Shechtman, K. Bala, "Deep Photo Style Transfer", CVPR 2017.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP_POSITIONS = 1 << 17
"""Pixels that are worked on at once: what is needed on the way is some sixty numbers for each."""

TERM_SIDE = 256
"""The term's windows reach one pixel to each side for each so many of the picture's long side."""

TERM_EPS = 1e-5
"""ε of the term: a standard deviation of 0.003, less than a step of 8 bits."""

FIT_SIDE = 512
"""Long side, px, at which a photograph's affine functions are fitted at most."""

FIT_SHARE = 1 / 32
"""How far the windows of that fit reach to each side, as a share of the long side: chosen by eye;
windows half as wide let more painterly texture through."""

FIT_EPS = 1e-3
"""ε of that fit: detail of a standard deviation below 0.03 keeps the photo's own contrast. With a
tenth of it the noise of skies was amplified."""


class MattingTerm:
    """How much of a picture's local variation is no affine function of the photo's colours there.

    `Σ_c x_cᵀ M x_c` with the matting Laplacian `M` of the photo (Luan et al. 2017, eq. 2), divided
    by the number of terms in its sum: the mean variance that affine functions of the photo's
    colours leave unexplained within a window. In units of `blank` it is 0 for a picture that is
    locally affine in the photo, and nearly 1 for one that varies as much as the photo does and has
    nothing to do with it, at any size.

    `M` is never formed. With `a` and `b` of every window, `(M x)_i = n_i (x_i − ā_i·I_i − b̄_i)`,
    where `n_i` windows hold the pixel and the bars are means over them: a few box filters, however
    wide the windows are (He, Sun & Tang 2010, both papers).

    Args:
        photo: `(1, 3, H, W)` in [0, 1].
        radius: of the windows, px; they have `(2 r + 1)²` pixels. `None`: one that grows with the
            picture, from the papers' 3 × 3 pixels at 256 px, so that a window shows the same part
            of the scene at every size.
        eps: ε, in squared units of the value range: the variance of the photo's noise. Levin et
            al.'s ε is this times the number of pixels in a window.
    """

    def __init__(self, photo: Tensor, *, radius: int | None = None, eps: float = TERM_EPS) -> None:
        height, width = photo.shape[-2:]
        if radius is None:
            radius = max(1, round(max(height, width) / TERM_SIDE))
        self._photo, self._radius, self._eps = photo, radius, eps
        variance = count = 0.0
        for strip in _strips(height, width, radius):
            guide = _guide(photo[..., strip.seen, :], radius, eps)
            number = _counts(height, width, radius, strip.own, photo)
            variance += float((guide.variance[..., strip.inside, :].mean(1) * number).sum())
            count += float(number.sum())
        self._numbers = 3 * count
        # Of a flat photo only the noise is left that ε stands for.
        self._variance = variance / count + eps

    def blank(self) -> float:
        """The photo's own mean variance within a window: a natural unit."""
        return self._variance

    def evaluate(
        self, picture: Tensor, gradient: Tensor | None = None, scale: float = 1.0
    ) -> float:
        """The loss, ≥ 0; NaN where the picture is not finite.

        Args:
            picture: of the photo's shape.
            gradient: `scale · ∂L/∂x` is added to it, in place.
            scale: what the loss is multiplied by.
        """
        height, width = picture.shape[-2:]
        total = 0.0
        for strip in _strips(height, width, self._radius):
            x, photo = picture[..., strip.seen, :], self._photo[..., strip.seen, :]
            fit = _fit(x, _guide(photo, self._radius, self._eps), self._radius)
            number = _counts(height, width, self._radius, strip.own, picture)
            total += float((fit.residue[..., strip.inside, :] * number).sum())
            if gradient is not None:
                explained = _apply(_means(fit.maps, self._radius), photo)
                error = (x - explained)[..., strip.inside, :] * number
                gradient[..., strip.own, :].add_(error, alpha=2 * scale / self._numbers)
        return total / self._numbers if math.isfinite(total) else math.nan


def as_photograph(picture: Tensor, photo: Tensor) -> Tensor:
    """The picture's colours and light on the photo's own edges and textures.

    Args:
        picture: `(1, 3, H, W)` in [0, 1].
        photo: likewise.

    Returns:
        Likewise.
    """
    side = min(FIT_SIDE, max(photo.shape[-2:]))
    radius = max(1, round(side * FIT_SHARE))
    filtered = guided_projection(picture, photo, radius=radius, eps=FIT_EPS, side=side)
    return filtered.clamp_(0, 1)


def guided_projection(
    picture: Tensor, photo: Tensor, *, radius: int, eps: float, side: int | None = None
) -> Tensor:
    """The guided filtering of a picture with the photo as its guide.

    In every window the picture is replaced by the affine function of the photo's colours that fits
    it best; a pixel gets the mean of what its windows say (He, Sun & Tang 2010). Texture that the
    photo has not is gone, the photo's edges and detail are there. The filter is applied to the
    difference between the two, so that `ε` draws the functions to the photo itself and not to flat
    colour: where the photo has faint detail only, it stays as it is.

    Args:
        picture: `(1, 3, H, W)`.
        photo: likewise.
        radius: of the windows, px, at the size at which they are fitted.
        eps: ε, in squared units of the value range: detail whose variance is far below it is kept
            as it is, detail above it follows the picture.
        side: both pictures are shrunk to this long side for the fit, whose coefficients are then
            enlarged (He & Sun 2015), so that time and look do not depend on the size; `None`: they
            are fitted as they are.
    """
    height, width = photo.shape[-2:]
    scale = 1.0 if side is None else min(1.0, side / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small, guide = (_shrink(one, size) for one in (picture, photo))
    change = small - guide
    parts = []
    for strip in _strips(*size, radius):
        seen = _guide(guide[..., strip.seen, :], radius, eps)
        maps = _fit(change[..., strip.seen, :], seen, radius).maps
        parts.append(_means(maps, radius)[..., strip.inside, :])
    fitted = torch.cat(parts, -2)
    result = photo.clone()
    for strip in _strips(height, width, 0):
        maps = _enlarge(fitted, height, width, strip.own)
        result[..., strip.own, :] += _apply(maps, photo[..., strip.own, :])
    return result


class _Guide(NamedTuple):
    """A photo as windows see it; every entry `(1, ·, h, w)`."""

    photo: Tensor
    mean: Tensor
    variance: Tensor
    factors: tuple[Tensor, ...]


class _Fit(NamedTuple):
    """Affine functions of a photo's colours, one for each window.

    Attributes:
        maps: `(1, 12, h, w)`: for each channel of the picture three slopes and an offset.
        residue: `(1, 1, h, w)`: what they leave of the variance, ε's share included, summed over
            the picture's channels.
    """

    maps: Tensor
    residue: Tensor


class _Strip(NamedTuple):
    """Some rows of a picture (`own`), the rows that their values depend on (`seen`), and where the
    first are in the second (`inside`)."""

    own: slice
    seen: slice
    inside: slice


def _strips(height: int, width: int, radius: int) -> Iterator[_Strip]:
    # No strip is much thinner than what it has to see above and below itself.
    step = max(1, 4 * radius, STRIP_POSITIONS // width)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        first, last = max(0, top - 2 * radius), min(height, bottom + 2 * radius)
        yield _Strip(slice(top, bottom), slice(first, last), slice(top - first, bottom - first))


def _means(maps: Tensor, radius: int) -> Tensor:
    """Means over the windows of all pixels, cut off at the border."""
    height, width = maps.shape[-2:]
    sums = _sums(_sums(maps, radius, -1), radius, -2)
    return sums / _counts(height, width, radius, slice(0, height), maps)


def _sums(maps: Tensor, radius: int, axis: int) -> Tensor:
    """Sums along one axis over the `2 r + 1` neighbours of each entry, zeros beyond the border.

    They are put together from sums over 1, 2, 4, 8, … neighbours: no difference of large numbers
    is taken, as it is with running sums, and a wide window costs little more than a narrow one.
    """
    size, width = maps.shape[axis], 2 * radius + 1
    border = (radius, radius) if axis == -1 else (0, 0, radius, radius)
    block, length, begin = F.pad(maps, border), 1, 0
    total: Tensor | None = None
    while True:
        if width & length:
            part = block.narrow(axis, begin, size)
            total = part if total is None else total + part
            begin += length
        if 2 * length > width:
            assert total is not None
            return total
        whole = block.shape[axis] - length
        block = block.narrow(axis, 0, whole) + block.narrow(axis, length, whole)
        length *= 2


def _counts(height: int, width: int, radius: int, rows: slice, like: Tensor) -> Tensor:
    """How many pixels the windows have that are centred in some rows, `(h, W)`: as many as there
    are windows that hold the centre."""

    def along(length: int) -> Tensor:
        at = torch.arange(length, device=like.device)
        return (at + radius).clamp_max(length - 1) - (at - radius).clamp_min(0) + 1

    return (along(height)[rows, None] * along(width)).to(like)


def _guide(photo: Tensor, radius: int, eps: float) -> _Guide:
    """`Σ_I + ε` of every window, as the factors of `L D Lᵀ` with ones on L's diagonal."""
    r, g, b = photo.split(1, 1)
    found = _means(torch.cat([photo, r * r, g * g, b * b, r * g, r * b, g * b], 1), radius)
    mean, moments = found[:, :3], found[:, 3:]
    mr, mg, mb = mean.split(1, 1)
    rr, gg, bb, rg, rb, gb = (
        moments - torch.cat([mr * mr, mg * mg, mb * mb, mr * mg, mr * mb, mg * mb], 1)
    ).split(1, 1)
    # No pivot is less than ε but for rounding, which a grey photo would divide by otherwise.
    d0 = rr.clamp_min(0) + eps
    l10, l20 = rg / d0, rb / d0
    d1 = (gg - l10 * rg).clamp_min(0) + eps
    rest = gb - l10 * rb
    l21 = rest / d1
    d2 = (bb - l20 * rb - l21 * rest).clamp_min(0) + eps
    variance = torch.cat([rr, gg, bb], 1).clamp_min(0)
    return _Guide(photo, mean, variance, (d0, d1, d2, l10, l20, l21))


def _fit(picture: Tensor, guide: _Guide, radius: int) -> _Fit:
    d0, d1, d2, l10, l20, l21 = guide.factors
    maps, residues = [], []
    for x in picture.split(1, 1):
        found = _means(torch.cat([x, x * x, x * guide.photo], 1), radius)
        mean, square, product = found[:, :1], found[:, 1:2], found[:, 2:]
        c0, c1, c2 = (product - mean * guide.mean).split(1, 1)
        # L y = c, then Lᵀ a = y / D.
        y1 = c1 - l10 * c0
        y2 = c2 - l20 * c0 - l21 * y1
        a2 = y2 / d2
        a1 = y1 / d1 - l21 * a2
        a0 = c0 / d0 - l10 * a1 - l20 * a2
        slopes = torch.cat([a0, a1, a2], 1)
        maps += [slopes, mean - (slopes * guide.mean).sum(1, keepdim=True)]
        explained = c0 * c0 / d0 + y1 * y1 / d1 + y2 * y2 / d2
        residues.append((square - mean * mean - explained).clamp_min(0))
    return _Fit(torch.cat(maps, 1), torch.stack(residues).sum(0))


def _apply(maps: Tensor, photo: Tensor) -> Tensor:
    """The picture that affine functions make of a photo's colours, one at each pixel."""
    slopes = maps.unflatten(1, (3, 4))
    return (slopes[:, :, :3] * photo[:, None]).sum(2) + slopes[:, :, 3]


def _shrink(picture: Tensor, size: tuple[int, int]) -> Tensor:
    if picture.shape[-2:] == size:
        return picture
    return F.interpolate(picture, size, mode="bilinear", align_corners=False, antialias=True)


def _enlarge(maps: Tensor, height: int, width: int, rows: slice) -> Tensor:
    """Some rows of maps that are enlarged bilinearly to a picture's size."""
    if maps.shape[-2:] == (height, width):
        return maps[..., rows, :]
    count = maps.shape[-2]
    at = torch.arange(rows.start, rows.stop, device=maps.device, dtype=maps.dtype)
    at = ((at + 0.5) * count / height - 0.5).clamp(0, count - 1)
    above = at.floor().long()
    below = (above + 1).clamp_max(count - 1)
    share = (at - above)[:, None]
    between = torch.lerp(maps[..., above, :], maps[..., below, :], share)
    return F.interpolate(between, (between.shape[-2], width), mode="bilinear", align_corners=False)
