"""Colour spaces and colour statistics of pictures, as plain NumPy.

Pictures here are float arrays of shape `(3, H, W)`, or `(3, N)` for a list of colours. Functions
keep the array's float type and accept values outside [0, 1]; only `match_colors` clips.

Sources:
    sRGB's transfer curve: IEC 61966-2-1:1999.
    OKLab: B. Ottosson, "A perceptual color space for image processing", 2020 (matrices as revised
    2021), https://bottosson.github.io/posts/oklab/.
    Matching of colour statistics: L. Gatys, A. Ecker, M. Bethge, A. Hertzmann, E. Shechtman,
    "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017, section 5; the symmetric
    map is that of F. Pitié and A. Kokaram, "The linear Monge-Kantorovitch linear colour mapping
    for example-based colour transfer", CVMP 2007.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating)

VARIANCE_FLOOR = 1e-4
"""Least variance along any colour axis that `match_colors` scales by, in squared sRGB units.

A grey or flat picture has no variance along some axes. Dividing by it would turn rounding and
JPEG noise (a standard deviation below about 0.01) into coloured speckle.
"""

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

# Positions per step when summing statistics: bounds the float64 copy of a very large picture.
_CHUNK = 1 << 20


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


def color_statistics(pixels: NDArray[Float]) -> ColorStatistics:
    """Mean and covariance of the colours of `pixels`, shape `(3, H, W)` with H·W ≥ 1."""
    colors = pixels.reshape(3, -1)
    count = colors.shape[1]
    mean = colors.mean(axis=1, dtype=np.float64)
    covariance = np.zeros((3, 3))
    for start in range(0, count, _CHUNK):
        deviation = colors[:, start : start + _CHUNK] - mean[:, None]
        covariance += deviation @ deviation.T
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
    root = (vectors * deviations) @ vectors.T
    inverse_root = (vectors / deviations) @ vectors.T
    matrix = inverse_root @ _square_root(root @ target.covariance @ root) @ inverse_root
    offset = (target.mean - matrix @ source.mean).astype(pixels.dtype)
    moved = _apply(matrix, pixels)
    moved += offset.reshape(3, *[1] * (pixels.ndim - 1))
    return np.clip(moved, 0, 1, out=moved)


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    # Rounding can leave an eigenvalue of a singular matrix just below zero.
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _apply(matrix: NDArray[np.float64], pixels: NDArray[Float]) -> NDArray[Float]:
    return np.tensordot(matrix.astype(pixels.dtype), pixels, axes=1)
