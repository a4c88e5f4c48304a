"""From decoded samples of any type and colour model to a `Bitmap`."""

import math
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from impasto.color import linear_to_srgb
from impasto.errors import ImageError
from impasto.images.bitmap import Bitmap
from impasto.images.profiles import to_linear_srgb

FLOAT_TOLERANCE = 0.1
"""How far floats may overshoot [0, 1] (as after sharpening or resampling) and still be clipped."""

# Largest value of each sample type that can hold a picture; floats reach 1.
_FULL_SCALE = {"uchar": 255, "ushort": 65535, "uint": 4294967295, "float": 1, "double": 1}


def to_bitmap(image: pyvips.Image, name: str) -> Bitmap:
    """Turn a libvips picture with its metadata into sRGB; colour first, alpha apart.

    Args:
        image: as decoded, in any colour space, 8 or 16 bit or float.
        name: of the picture, for messages.

    Raises:
        ImageError: samples or channels of a kind that is not read.
    """
    if image.interpretation in ("lab", "labq", "labs", "lch", "xyz", "yxy", "hsv", "cmc"):
        image = image.colourspace("rgb16")
    image = image.copy_memory().autorot()
    full_scale = _FULL_SCALE.get(str(image.format))
    if full_scale is None:
        raise ImageError(
            f"{name}: holds {image.format} samples; save it as 8 or 16 bit, or as floats in [0, 1]"
        )
    colors = 4 if image.interpretation == "cmyk" else 1 if image.bands < 3 else 3
    if image.bands < colors:
        raise ImageError(f"{name}: CMYK picture with {image.bands} channels; save it as RGB")
    samples = image.numpy().reshape(image.height, image.width, image.bands)
    if full_scale == 1:
        samples = _checked_floats(samples, name)
    alpha = _plane(samples, colors, full_scale) if image.bands > colors else None
    if alpha is not None and alpha.min() == 1:
        alpha = None
    linear = to_linear_srgb(image, colors, full_scale)
    if linear is None:
        pixels = _planes(samples[:, :, :colors], full_scale)
    else:
        pixels = _planes(linear.numpy(), 1)
        for plane in pixels:
            np.clip(linear_to_srgb(plane), 0, 1, out=plane)
    return Bitmap(pixels, alpha, bits=8 if image.format == "uchar" else 16)


def _checked_floats(samples: NDArray[Any], name: str) -> NDArray[Any]:
    low, high = float(samples.min()), float(samples.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(f"{name}: holds NaN or infinite values; replace them by values in [0, 1]")
    if low < -FLOAT_TOLERANCE or high > 1 + FLOAT_TOLERANCE:
        raise ImageError(f"{name}: holds floats from {low:g} to {high:g}; scale them to [0, 1]")
    return np.clip(samples, 0, 1)


def _planes(samples: NDArray[Any], full_scale: float) -> NDArray[np.float32]:
    """Interleaved `(H, W, 1|3)` to float32 `(3, H, W)`, plane by plane to spare memory."""
    height, width, colors = samples.shape
    pixels = np.empty((3, height, width), np.float32)
    for channel in range(3):
        pixels[channel] = _plane(samples, min(channel, colors - 1), full_scale)
    return pixels


def _plane(samples: NDArray[Any], channel: int, full_scale: float) -> NDArray[np.float32]:
    # uint32 needs float64 for the division; for 8 and 16 bit float32 already rounds correctly.
    exact = np.float32 if full_scale <= 65535 else np.float64
    return np.divide(samples[:, :, channel], full_scale, dtype=exact).astype(np.float32, copy=False)
