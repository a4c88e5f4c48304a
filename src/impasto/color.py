"""Colour spaces and colour statistics of pictures, as plain NumPy.

Pictures here are float arrays of shape `(3, H, W)`, or `(3, N)` for a list of colours. Functions
keep the array's float type. The conversions accept values outside [0, 1]; what changes the colours
of a picture stays within.

Sources:
    sRGB's transfer curve: IEC 61966-2-1:1999.
    OKLab: B. Ottosson, "A perceptual color space for image processing", 2020 (matrices as revised
    2021), https://bottosson.github.io/posts/oklab/.
    Matching of colour statistics: L. Gatys, A. Ecker, M. Bethge, A. Hertzmann, E. Shechtman,
    "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017, section 5; the symmetric
    map is that of F. Pitié and A. Kokaram, "The linear Monge-Kantorovitch linear colour mapping
    for example-based colour transfer", CVMP 2007.
    Matching of whole distributions: F. Pitié, A. Kokaram and R. Dahyot, "Automated colour grading
    using colour distribution transfer", Computer Vision and Image Understanding 107, 2007.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating)

VARIANCE_FLOOR = 1e-4
"""Least variance along any colour axis that `match_colors` scales by, in squared sRGB units.

A grey or flat picture has no variance along some axes. Dividing by it would turn rounding and
JPEG noise (a standard deviation below about 0.01) into coloured speckle.
"""

MOST_GAIN = 4.0
"""How many times `fit_colors` enlarges differences of colour at most: beyond that the grain of a
nearly grey picture shows as coloured speckle."""

CHROMA_GIVEN = 0.1
"""Share of a colour's chroma that `keep_colors` gives up at most where the gamut has no room for
the lightness asked for. Without it, texture would vanish in saturated parts."""

_KNEE = 4
"""How sharply `keep_colors` bends lightness at the gamut's border: more bends less of it."""

_HALVINGS = 12
"""Steps by which the gamut's border is found. With 8, faint tints (a chroma below 0.002) went where
a result is nearly black; with 12, no more than 1e-4 of any is lost by this."""

# Of histograms: turns of the axes, colours that are matched, nodes of a table along each axis, and
# over how many of them moves are averaged.
_TURNS = 24
_COLORS = 1 << 15
_NODES = 33
_BANDWIDTH = 3.0

_LINEAR_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# Inverted here rather than taken from the article: its rounded inverses do not round-trip exactly.
_LMS_TO_LINEAR_RGB = np.linalg.inv(_LINEAR_RGB_TO_LMS)
_LAB_TO_LMS = np.linalg.inv(_LMS_TO_LAB)

# Positions per step: bounds the copies of a very large picture.
_CHUNK = 1 << 20
# Of larger pictures, evenly spread pixels stand for all where colours are fitted.
_ENOUGH = 1 << 22
# Lightness of the grey that brighter colours outside the gamut go towards.
_ANCHOR = 0.75
# Share of a colour's brightest channel by which others may be outside the gamut by rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class ColorStatistics:
    """First two moments of a picture's colours.

    Attributes:
        mean: shape `(3,)`, float64, sRGB units.
        covariance: shape `(3, 3)`, float64, divided by the number of positions.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def srgb_to_linear(pixels: NDArray[Float]) -> NDArray[Float]:
    """Undo sRGB's transfer curve (IEC 61966-2-1), mirrored about zero for negative values."""
    size = np.abs(pixels)
    linear = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(linear, pixels)


def linear_to_srgb(pixels: NDArray[Float]) -> NDArray[Float]:
    """Apply sRGB's transfer curve (IEC 61966-2-1), mirrored about zero for negative values."""
    size = np.abs(pixels)
    encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    return np.copysign(encoded, pixels)


def srgb_to_oklab(pixels: NDArray[Float]) -> NDArray[Float]:
    """Convert sRGB `(3, H, W)` to OKLab `(3, H, W)`: L in [0, 1], a and b within about ±0.4."""
    lms = np.cbrt(_apply(_LINEAR_RGB_TO_LMS, srgb_to_linear(pixels)))
    return _apply(_LMS_TO_LAB, lms)


def oklab_to_srgb(lab: NDArray[Float]) -> NDArray[Float]:
    """Convert OKLab `(3, H, W)` to sRGB `(3, H, W)`.

    Colours outside sRGB's gamut come out below 0 or above 1: clip or map them as the use needs.
    """
    lms = _apply(_LAB_TO_LMS, lab) ** 3
    return linear_to_srgb(_apply(_LMS_TO_LINEAR_RGB, lms))


def color_statistics(
    pixels: NDArray[Float], weights: NDArray[np.floating] | None = None
) -> ColorStatistics:
    """Mean and covariance of the colours of `pixels`.

    Args:
        pixels: shape `(3, H, W)` with H·W ≥ 1.
        weights: how much each pixel counts, `(H, W)`, ≥ 0 with a positive sum; `None`: all alike.
    """
    colors = pixels.reshape(3, -1)
    count = float(colors.shape[1])
    counts = None
    if weights is None:
        mean = colors.mean(axis=1, dtype=np.float64)
    else:
        counts = weights.reshape(-1).astype(np.float64)
        count = float(counts.sum())
        mean = colors.astype(np.float64) @ counts / count
    covariance = np.zeros((3, 3))
    for start in range(0, colors.shape[1], _CHUNK):
        deviation = colors[:, start : start + _CHUNK] - mean[:, None]
        weighted = deviation if counts is None else deviation * counts[start : start + _CHUNK]
        covariance += weighted @ deviation.T
    return ColorStatistics(mean, covariance / count)


def mix_statistics(
    statistics: Sequence[ColorStatistics], shares: Sequence[float]
) -> ColorStatistics:
    """The colours of several pictures shown together, each with its share of the area.

    Means and second raw moments are mixed, since covariances alone would leave out the differences
    between the means.

    Args:
        statistics: at least one.
        shares: as many, not negative, not all 0; they are divided by their sum.
    """
    parts = np.asarray(shares, np.float64) / sum(shares)
    means = np.stack([one.mean for one in statistics])
    seconds = np.stack([one.covariance + np.outer(one.mean, one.mean) for one in statistics])
    mean, second = parts @ means, np.tensordot(parts, seconds, axes=1)
    return ColorStatistics(mean, second - np.outer(mean, mean))


def match_colors(
    pixels: NDArray[Float], target: ColorStatistics, source: ColorStatistics | None = None
) -> NDArray[Float]:
    """Move the colours of `pixels` by one affine map so that mean and covariance match `target`.

    Of all affine maps between the two Gaussians this is the one that moves colours least (optimal
    transport): `x ↦ A (x − μ_s) + μ_t` with `A = S^-½ (S^½ T S^½)^½ S^-½`, S and T the source's
    and target's covariances. Axes along which the source varies less than `VARIANCE_FLOOR` are
    treated as if they varied that much, so grey and flat pictures stay free of coloured noise.

    Args:
        pixels: shape `(3, H, W)`, sRGB in [0, 1].
        target: the statistics to reach, from `color_statistics`.
        source: the statistics that reach them; those of `pixels` by default.

    Returns:
        A new array of the same shape and type, clipped to [0, 1]; where clipping acts, the
        statistics are met only nearly.
    """
    source = color_statistics(pixels) if source is None else source
    values, vectors = np.linalg.eigh(source.covariance)
    deviations = np.sqrt(np.maximum(values, VARIANCE_FLOOR))
    matrix, offset = _transport(source, target, vectors, deviations)
    moved = _moved(pixels, matrix, offset)
    return np.clip(moved, 0, 1, out=moved)


class Palette(NamedTuple):
    """A picture to take colours from.

    Attributes:
        pixels: `(3, H, W)`, sRGB in [0, 1].
        weights: how much each pixel counts, `(H, W)`, ≥ 0 with a positive sum; `None`: all alike.
        share: of this picture among several, ≥ 0.
    """

    pixels: NDArray[np.floating]
    weights: NDArray[np.floating] | None = None
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Moves:
    """A move for every colour, linear between the nodes of a grid and constant outside it.

    Attributes:
        table: the moves at the nodes, `(3, n, n, n)`.
        origin: `(3,)`, the first node.
        step: `(3,)`, > 0, from node to node.
    """

    table: NDArray[np.float64]
    origin: NDArray[np.float64]
    step: NDArray[np.float64]

    def __call__(self, colors: NDArray[Float]) -> NDArray[Float]:
        """The moves of colours `(3, …)`."""
        flat = colors.reshape(3, -1)
        last = self.table.shape[1] - 1
        origin, step = (one.astype(flat.dtype)[:, None] for one in (self.origin, self.step))
        place = np.clip((flat - origin) / step, 0, last)
        node = np.minimum(place.astype(np.intp), last - 1)
        beyond = place - node.astype(flat.dtype)
        table = self.table.astype(flat.dtype)
        moves = np.zeros_like(flat)
        for corner in np.ndindex(2, 2, 2):
            near = [b if c else 1 - b for b, c in zip(beyond, corner, strict=True)]
            x, y, z = (n + c for n, c in zip(node, corner, strict=True))
            moves += near[0] * near[1] * near[2] * table[:, x, y, z]
        return moves.reshape(colors.shape)


@dataclass(frozen=True, eq=False)
class ColorMap:
    """A map of colours, `x ↦ (1 − s)·x + s·T(x)` with `T(x) = y + m(y)`, `y = A x + b`.

    Attributes:
        space: where x lies, `rgb` (sRGB) or `oklab`.
        matrix: A, `(3, 3)`.
        offset: b, `(3,)`.
        moves: m; `None`: 0 everywhere.
        strength: s in [0, 1].
    """

    space: str
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    moves: Moves | None = None
    strength: float = 1.0

    def __call__(self, colors: NDArray[Float]) -> NDArray[Float]:
        """The colours `(3, …)`, which lie in the map's space, moved."""
        moved = _moved(colors, self.matrix, self.offset)
        if self.moves is not None:
            moved += self.moves(moved)
        if self.strength < 1:
            moved -= colors
            moved *= self.strength
            moved += colors
        return moved


def recolor(pixels: NDArray[Float], change: ColorMap) -> NDArray[Float]:
    """A picture `(3, H, W)` with its colours moved, a new array in [0, 1].

    What leaves it in sRGB is clipped. OKLab colours that sRGB has not go towards grey as far as
    they must: dark ones at their lightness, bright ones towards a grey that is darker, because at
    theirs most hues have no chroma left.
    """

    def convert(part: NDArray[Float]) -> NDArray[Float]:
        if change.space == "rgb":
            return np.clip(change(part), 0, 1)
        moved = change(srgb_to_oklab(part))
        # From grey towards what is wanted, as far as the gamut goes.
        reached = np.zeros_like(moved)
        np.clip(moved[0], 0, _ANCHOR, out=reached[0])
        reached += _within_gamut(reached, moved) * (moved - reached)
        return np.clip(oklab_to_srgb(reached), 0, 1)

    return _by_strips(convert, pixels)


def fit_colors(
    source: Palette,
    targets: Sequence[Palette],
    *,
    method: str = "covariance",
    space: str = "oklab",
    flat: float = 0.0,
) -> ColorMap:
    """The map that gives a picture the colours of others.

    `covariance` matches mean and covariance by the affine map of `match_colors`, which moves
    colours least. `histogram` goes on to match whole distributions by iterated transfer (Pitié,
    Kokaram and Dahyot 2007, section 3): turn the axes at random, match the distribution along each
    of them, turn them back, and again. That tears neighbouring colours apart, which shows as grain.
    So a colour moves by the mean of the moves around it, weighted by a Gaussian (the regression of
    E. Nadaraya, "On estimating regression", Theory of Probability and its Applications 9, 1964),
    and the distribution is reached nearly.

    Differences along any principal axis grow at most `MOST_GAIN` times before that, so that a grey
    picture or a painting of two colours gets no coloured speckle.

    Args:
        source: the picture whose colours will be moved.
        targets: one or several, with their shares.
        method: `covariance` or `histogram`.
        space: `rgb` (sRGB) or `oklab`.
        flat: where the targets' deviation, over all channels, is below this, the picture keeps its
            own contrast in part, at 0 wholly, and only its mean becomes theirs.
    """
    one, *others = (_enough(picture, space) for picture in (source, *targets))
    have = color_statistics(one.pixels, one.weights)
    want = mix_statistics(
        [color_statistics(other.pixels, other.weights) for other in others],
        [other.share for other in others],
    )
    values, vectors = np.linalg.eigh(have.covariance)
    wanted = np.einsum("ij,ik,kj->j", vectors, want.covariance, vectors)
    least = np.maximum(wanted / MOST_GAIN**2, np.finfo(np.float64).eps)
    matrix, offset = _transport(have, want, vectors, np.sqrt(np.maximum(values, least)))
    spread = math.sqrt(max(0.0, float(np.trace(want.covariance))))
    if spread < flat:
        own = 1 - spread / flat
        matrix = (1 - own) * matrix + own * np.eye(3)
        offset = want.mean - matrix @ have.mean
    if method == "covariance":
        return ColorMap(space, matrix, offset)
    generator = np.random.default_rng(0)
    colors = _moved(_draw([one], generator), matrix, offset)
    moved = _transfer(colors, _draw(others, generator), generator)
    return ColorMap(space, matrix, offset, _average(colors, moved - colors))


def fit_lightness(source: Palette, target: Palette, strength: float = 1.0) -> ColorMap:
    """The map that gives a picture the mean and standard deviation of another one's lightness.

    A luminance picture of the painting for luminance-only transfer (Gatys et al. 2017, section
    5.1), with OKLab's L: `L ↦ (1 − s)·L + s·(σ_t/σ_s·(L − μ_s) + μ_t)`, with `σ_t/σ_s` up to
    `MOST_GAIN`. Of chroma `√(1 − s)` is left.

    Args:
        source: the picture whose colours will be moved.
        target: the other one.
        strength: s in [0, 1].
    """
    have, want = (
        color_statistics(one.pixels, one.weights)
        for one in (_enough(picture, "oklab") for picture in (source, target))
    )
    spread, wanted = (math.sqrt(max(0.0, one.covariance[0, 0])) for one in (have, want))
    gain = min(MOST_GAIN, wanted / max(spread, 1e-9))
    fading = fade_colors(strength)
    scale = 1 + strength * (gain - 1)
    shift = strength * (want.mean[0] - gain * have.mean[0])
    return replace(
        fading,
        matrix=fading.matrix @ np.diag([scale, 1, 1]),
        offset=np.array([shift, 0.0, 0.0]),
    )


def fade_colors(strength: float) -> ColorMap:
    """The map that leaves lightness as it is, and `√(1 − strength)` of the chroma in OKLab."""
    left = math.sqrt(1 - strength)
    return ColorMap("oklab", np.diag([1, left, left]), np.zeros(3))


def keep_colors(
    pixels: NDArray[Float], photo: NDArray[Float], strength: float = 1.0
) -> NDArray[Float]:
    """A picture in the colours of a photo: its own lightness with the photo's a and b in OKLab.

    Luminance-only transfer (Gatys et al. 2017, section 5.1) with a share s of the photo's colours:
    `ab = √(1 − s)·ab_picture + s·ab_photo`. Where sRGB has no such colour of that lightness,
    lightness gives way: it stays on its side of the photo's, with which the colour is possible, and
    is bent gradually towards the last that is possible with `1 − CHROMA_GIVEN` of the chroma, so
    that texture is softened and not cut off. What is then still missing, chroma gives.

    Args:
        pixels: `(3, H, W)`, sRGB in [0, 1].
        photo: likewise, of the same shape.
        strength: s in [0, 1].

    Returns:
        A new array in [0, 1]. With s = 1 it is exactly grey wherever the photo is.
    """

    mixed = math.sqrt(1 - strength)

    def convert(part: NDArray[Float], colors: NDArray[Float]) -> NDArray[Float]:
        lab, given = srgb_to_oklab(part), srgb_to_oklab(colors)
        own = lab[0] + strength * (given[0] - lab[0])
        chroma = mixed * lab[1:] + strength * given[1:]
        inside = np.stack([_bent(lab[0], own, chroma), *chroma])
        gray = inside.copy()
        gray[1:] = 0
        inside[1:] *= _within_gamut(gray, inside)
        kept = np.clip(oklab_to_srgb(inside), 0, 1)
        if strength == 1:
            neutral = (colors[0] == colors[1]) & (colors[1] == colors[2])
            np.copyto(kept, kept[1], where=neutral)
        return kept

    return _by_strips(convert, pixels, photo)


def drop_colors(
    pixels: NDArray[Float], photo: NDArray[Float], strength: float = 1.0
) -> NDArray[Float]:
    """The inverse of `keep_colors`, but for what the gamut took; with s = 1 all chroma is dropped.

    Args: as for `keep_colors`.
    """

    def convert(part: NDArray[Float], colors: NDArray[Float]) -> NDArray[Float]:
        lab, given = srgb_to_oklab(part), srgb_to_oklab(colors)
        rest = lab[1:] - strength * given[1:]
        rest = rest / math.sqrt(1 - strength) if strength < 1 else 0 * rest
        return np.clip(oklab_to_srgb(np.stack([lab[0], *rest])), 0, 1)

    return _by_strips(convert, pixels, photo)


def _bent(lightness: NDArray[Float], own: NDArray[Float], chroma: NDArray[Float]) -> NDArray[Float]:
    """Lightness, on its side of `own`, bent into the room that the gamut has for a chroma."""
    end = (lightness > own).astype(own.dtype)
    less = (1 - CHROMA_GIVEN) * chroma
    share = _within_gamut(np.stack([own, *less]), np.stack([end, *less]))
    room = share * np.abs(end - own)
    way = np.abs(lightness - own) / np.maximum(room, np.finfo(own.dtype).tiny)
    way = np.minimum(way, 1 / np.maximum(share, 1e-4))
    # Of slope 1 at 0; 1 at `1 / share`, which is black or white; the identity where share is 1.
    way /= (1 + (1 - share**_KNEE) * way**_KNEE) ** (1 / _KNEE)
    return own + np.copysign(room * way, end - 0.5)


def _within_gamut(start: NDArray[Float], end: NDArray[Float]) -> NDArray[Float]:
    """How far one gets on the straight way between OKLab colours, (3, …) each, within sRGB's gamut:
    from 0 to 1. The way begins inside, or gets nowhere, and leaves at most once."""
    shape = start.shape[1:]
    first, last = (_apply(_LAB_TO_LMS, one).reshape(3, -1) for one in (start, end))

    def excess(share: NDArray[Float] | float) -> NDArray[Float]:
        lms = first + share * (last - first)
        linear = _apply(_LMS_TO_LINEAR_RGB, lms * lms * lms)
        least, most = linear.min(axis=0), linear.max(axis=0)
        return np.maximum(-least - _ROUNDING * most, most - 1 - _ROUNDING)

    shares = np.ones(first.shape[1], first.dtype)
    leaving = np.flatnonzero(excess(1.0) > 0)
    first, last = first[:, leaving], last[:, leaving]
    low, high = np.zeros_like(first[0]), np.ones_like(first[0])
    below, above = excess(0.0), excess(1.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = excess(middle)
        inside = found <= 0
        low, below = np.where(inside, middle, low), np.where(inside, found, below)
        high, above = np.where(inside, high, middle), np.where(inside, above, found)
    # Between the last two, where it is nearly straight.
    shares[leaving] = low + (high - low) * np.clip(below / (below - above), 0, 1)
    return shares.reshape(shape)


def _enough(picture: Palette, space: str) -> Palette:
    """The colours of a picture that count, thinned if they are very many, as float64 `(3, N)` in a
    colour space."""
    colors, weights = picture.pixels.reshape(3, -1), None
    if picture.weights is None:
        colors = colors[:, :: math.ceil(colors.shape[1] / _ENOUGH)]
    else:
        counting = np.flatnonzero(picture.weights)
        counting = counting[:: math.ceil(len(counting) / _ENOUGH)]
        colors, weights = colors[:, counting], picture.weights.reshape(-1)[counting]
    found = colors.astype(np.float64)
    return Palette(srgb_to_oklab(found) if space == "oklab" else found, weights, picture.share)


def _draw(pictures: Sequence[Palette], generator: np.random.Generator) -> NDArray[np.float64]:
    """Colours drawn from pictures by their shares and weights, `(3, _COLORS)`."""
    shares = np.array([picture.share for picture in pictures])
    ends = np.rint(np.cumsum(shares / shares.sum()) * _COLORS).astype(int)
    drawn = []
    for picture, count in zip(pictures, np.diff(ends, prepend=0), strict=True):
        # One from each of as many equal parts.
        at = (np.arange(count) + generator.random(count)) / max(1, count)
        colors = picture.pixels.reshape(3, -1)
        if picture.weights is None:
            chosen = (at * colors.shape[1]).astype(np.intp)
        else:
            sums = np.cumsum(picture.weights.reshape(-1), dtype=np.float64)
            chosen = np.searchsorted(sums / sums[-1], at, side="right")
        drawn.append(colors[:, np.minimum(chosen, colors.shape[1] - 1)])
    return np.concatenate(drawn, axis=1)


def _transfer(
    colors: NDArray[np.float64], wanted: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Colours `(3, N)` moved until they are distributed as wanted, `(3, N)` likewise."""
    for _ in range(_TURNS):
        axes, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        along = axes @ colors
        matched = np.empty_like(along)
        np.put_along_axis(matched, along.argsort(axis=1), np.sort(axes @ wanted, axis=1), axis=1)
        colors = colors + axes.T @ (matched - along)
    return colors


def _average(colors: NDArray[np.float64], moves: NDArray[np.float64]) -> Moves:
    """The mean move around each node of a grid over the colours `(3, N)` that made the moves."""
    origin = colors.min(axis=1)
    # A flat picture has no extent.
    step = np.maximum((colors.max(axis=1) - origin) / (_NODES - 1), 1e-6)
    nodes = np.rint((colors - origin[:, None]) / step[:, None]).astype(np.intp)
    at = np.ravel_multi_index(tuple(nodes), (_NODES,) * 3)
    sums = [np.bincount(at, of, minlength=_NODES**3) for of in (np.ones(colors.shape[1]), *moves)]
    numbers = np.arange(_NODES)
    distances = (numbers - numbers[:, None]) ** 2
    averaged = np.zeros((4, *(_NODES,) * 3))
    # Where there are no colours near, those further away say something, too.
    for width, weight in (_BANDWIDTH, 1.0), (4 * _BANDWIDTH, 1e-4):
        near = np.exp(-distances / (2 * width**2))
        turned = np.reshape(sums, averaged.shape)
        for _ in range(3):
            turned = np.moveaxis(turned @ near, -1, 1)
        averaged += weight * turned
    return Moves(averaged[1:] / averaged[0], origin, step)


def _by_strips(convert: Callable[..., NDArray[Float]], *pictures: NDArray[Float]) -> NDArray[Float]:
    """`convert` of pictures `(3, H, W)` of one shape, so many rows at a time that the memory that
    it takes is bounded."""
    result = np.empty_like(pictures[0])
    _, height, width = result.shape
    rows = max(1, _CHUNK // width)
    for top in range(0, height, rows):
        result[:, top : top + rows] = convert(*(one[:, top : top + rows] for one in pictures))
    return result


def _transport(
    source: ColorStatistics,
    target: ColorStatistics,
    vectors: NDArray[np.float64],
    deviations: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The affine map of `match_colors`, where the source is taken to have these deviations along
    the eigenvectors of its covariance."""
    root = (vectors * deviations) @ vectors.T
    inverse_root = (vectors / deviations) @ vectors.T
    matrix = inverse_root @ _square_root(root @ target.covariance @ root) @ inverse_root
    return matrix, target.mean - matrix @ source.mean


def _moved(
    colors: NDArray[Float], matrix: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[Float]:
    moved = _apply(matrix, colors)
    moved += offset.astype(colors.dtype).reshape(3, *[1] * (colors.ndim - 1))
    return moved


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    # Rounding can leave an eigenvalue of a singular matrix just below zero.
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _apply(matrix: NDArray[np.float64], pixels: NDArray[Float]) -> NDArray[Float]:
    return np.tensordot(matrix.astype(pixels.dtype), pixels, axes=1)
