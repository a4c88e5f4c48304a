"""Cuts pictures to a shape: around their middle, or where libvips finds most to see."""

from dataclasses import replace
from typing import Literal

import numpy as np

from impasto.errors import OptionError
from impasto.images.bitmap import Bitmap
from impasto.images.resizing import fit_within, resize_image
from impasto.images.vips import vips_from_array

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in px; right and bottom are the first that are left out."""

# Side in px of the small copy in which the place of the box is looked for. libvips itself shrinks
# pictures to far less before it looks.
_SEARCH_SIDE = 512


def crop_box(
    bitmap: Bitmap,
    shape: tuple[float, float],
    around: Literal["center", "entropy", "attention"] = "center",
) -> Box:
    """The largest box of a shape inside a picture.

    Args:
        bitmap: the picture.
        shape: width and height of the box, in any unit.
        around: where it lies: in the middle; where the entropy of the colours is largest; or where
            eyes go first: edges, saturated colours and tones of skin (libvips' `smartcrop`).

    Raises:
        OptionError: a side of the shape is not above 0.
    """
    if min(shape) <= 0:
        raise OptionError(f"a picture cannot be cut to {shape[0]:g}:{shape[1]:g}")
    across, down = bitmap.width, bitmap.height
    if across * shape[1] > down * shape[0]:
        across = min(across, max(1, round(down * shape[0] / shape[1])))
    else:
        down = min(down, max(1, round(across * shape[1] / shape[0])))
    free = bitmap.width - across, bitmap.height - down
    left, top = free[0] // 2, free[1] // 2
    if around != "center" and max(free):
        left, top = (
            min(round(place * space), space)
            for place, space in zip(_interesting(bitmap, across, down, around), free, strict=True)
        )
    return left, top, left + across, top + down


def _interesting(bitmap: Bitmap, across: int, down: int, around: str) -> tuple[float, float]:
    """Where libvips puts a box in a small copy: the share of the free space before it, 0 to 1."""
    small = resize_image(
        bitmap, *fit_within(bitmap.width, bitmap.height, _SEARCH_SIDE, enlarge=False)
    )
    pixels = small.pixels if small.alpha is None else small.pixels * small.alpha
    image = vips_from_array((pixels.transpose(1, 2, 0) * 255).round().astype(np.uint8))
    width = min(small.width, max(1, round(across * small.width / bitmap.width)))
    height = min(small.height, max(1, round(down * small.height / bitmap.height)))
    found = image.smartcrop(width, height, interesting=around)
    # libvips notes how far a cut has moved its origin.
    return (
        _share(-found.xoffset, small.width - width),
        _share(-found.yoffset, small.height - height),
    )


def _share(before: int, free: int) -> float:
    return before / free if free else 0.5


def crop_image(bitmap: Bitmap, box: Box) -> Bitmap:
    """The part of a picture inside a box."""
    left, top, right, bottom = box
    if box == (0, 0, bitmap.width, bitmap.height):
        return bitmap
    alpha = None if bitmap.alpha is None else bitmap.alpha[top:bottom, left:right]
    return replace(bitmap, pixels=bitmap.pixels[:, top:bottom, left:right], alpha=alpha)
