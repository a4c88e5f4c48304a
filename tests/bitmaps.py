"""Bitmaps as Pillow has pictures, and the check of an error's one line."""

from typing import Any

import numpy as np
import pytest

from impasto.images import Bitmap
from odd_images import smooth

RIGHT = smooth() / 255


def shown(bitmap: Bitmap) -> np.ndarray:
    """The pixels as `(H, W, 3)`, or `(H, W, 4)` with alpha, the way Pillow has them."""
    planes = bitmap.pixels if bitmap.alpha is None else [*bitmap.pixels, bitmap.alpha]
    return np.stack(list(planes), axis=2)


def bitmap_of(pixels: np.ndarray, **fields: Any) -> Bitmap:
    """A `Bitmap` from `(H, W, 3|4)` floats."""
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    return Bitmap(planes[:3], planes[3] if len(planes) == 4 else None, **fields)


def one_line(error: pytest.ExceptionInfo[BaseException], name: str) -> str:
    """The message, after checking that it is one line and names the file."""
    message = str(error.value)
    assert message.isprintable()
    assert message.startswith(name)
    return message
