"""Sizes with the same proportions, and Lanczos resampling to them."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from impasto.errors import OptionError
from impasto.images.bitmap import Bitmap

# Outputs per matrix product: enough to feed the processor, few enough to stay near the diagonal.
_BLOCK = 32


def fit_within(width: int, height: int, long_side: int, *, enlarge: bool = True) -> tuple[int, int]:
    """Size with the same proportions whose longer side is `long_side`; no side below 1.

    With `enlarge=False`, a picture that is already smaller keeps its size.

    Raises:
        OptionError: a side is below 1.
    """
    if min(width, height, long_side) < 1:
        raise OptionError(
            f"size: {width} x {height} within {long_side} is impossible; sides are 1 or more"
        )
    longest = max(width, height)
    if longest <= long_side and not enlarge:
        return width, height
    return (
        max(1, (2 * width * long_side + longest) // (2 * longest)),
        max(1, (2 * height * long_side + longest) // (2 * longest)),
    )


def resize_image(bitmap: Bitmap, width: int, height: int) -> Bitmap:
    """Resample to `width` × `height`: Lanczos-3, widened when shrinking so that nothing aliases.

    Colours are weighted by alpha, so those under transparent areas do not bleed into visible ones;
    where the result is wholly transparent its colour is black.

    Raises:
        OptionError: a side is below 1.
    """
    if min(width, height) < 1:
        raise OptionError(f"size: {width} x {height} is impossible; every side must be 1 or more")
    if (width, height) == (bitmap.width, bitmap.height):
        return bitmap
    if bitmap.alpha is None:
        return replace(bitmap, pixels=np.clip(_resample(bitmap.pixels, width, height), 0, 1))
    premultiplied = np.concatenate([bitmap.pixels * bitmap.alpha, bitmap.alpha[None]])
    resampled = _resample(premultiplied, width, height)
    alpha = np.clip(resampled[3], 0, 1)
    # Below a thousandth no output format can show the pixel, and the division would amplify noise.
    visible = alpha > 1e-3
    pixels = np.divide(
        resampled[:3],
        alpha,
        out=np.zeros_like(resampled[:3]),
        where=np.broadcast_to(visible, resampled[:3].shape),
    )
    return replace(bitmap, pixels=np.clip(pixels, 0, 1), alpha=alpha)


def _resample(planes: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    # Here rather than by libvips, whose enlarging of one axis alone shifts the other one.
    _, old_height, old_width = planes.shape
    if width * old_height < old_width * height:
        return _resample_rows(_resample_columns(planes, width), height)
    return _resample_columns(_resample_rows(planes, height), width)


def _resample_columns(planes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    result = np.empty((*planes.shape[:2], width), np.float32)
    for first, last, low, weights in _lanczos_blocks(planes.shape[2], width):
        result[:, :, first:last] = planes[:, :, low : low + weights.shape[1]] @ weights.T
    return result


def _resample_rows(planes: NDArray[np.float32], height: int) -> NDArray[np.float32]:
    result = np.empty((planes.shape[0], height, planes.shape[2]), np.float32)
    for first, last, low, weights in _lanczos_blocks(planes.shape[1], height):
        result[:, first:last] = weights @ planes[:, low : low + weights.shape[1]]
    return result


def _lanczos_blocks(old: int, new: int) -> Iterator[tuple[int, int, int, NDArray[np.float32]]]:
    """The resampling matrix of one axis, in blocks of neighbouring outputs that share inputs.

    Each block is the outputs `first:last`, the first input `low` they need, and their weights of
    shape `(outputs, inputs)`. When shrinking, the Lanczos window (C. Duchon, "Lanczos filtering in
    one and two dimensions", J. Appl. Meteorology, 1979) is widened to span 3 new pixels each way;
    at the borders the weights inside the picture are scaled up to sum to 1.
    """
    step = old / new
    stretch = max(step, 1.0)
    for first in range(0, new, _BLOCK):
        last = min(first + _BLOCK, new)
        centers = (np.arange(first, last) + 0.5) * step
        low = max(0, math.floor(centers[0] - 3 * stretch))
        high = min(old, math.ceil(centers[-1] + 3 * stretch))
        distance = (np.arange(low, high) + 0.5 - centers[:, None]) / stretch
        weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        yield first, last, low, weights.astype(np.float32)
