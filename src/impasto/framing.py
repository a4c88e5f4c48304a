"""The size of a result, what part of a picture it shows, and what stands for invisible pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from impasto.images import Bitmap, fit_within, resize_image
from impasto.options import StyleOptions
from impasto.paper import parse_paper, print_size

Shown = tuple[int, int, int, int]
"""What part of a picture is shown: left, top, right and bottom in its pixels."""


def frame(shape: tuple[int, int], options: StyleOptions) -> tuple[int, int, Shown]:
    """Width and height of the result in px, and what part it shows of a picture of this shape.

    Args:
        shape: width and height in any unit.
        options: of the run.
    """
    if options.print is None:
        return *fit_within(*shape, options.size), (0, 0, *shape)
    paper, fill = parse_paper(options.print), options.print_fit == "fill"
    return print_size(paper, options.print_dpi, *shape, fill=fill)


def cut(bitmap: Bitmap, shown: Shown) -> Bitmap:
    """The part of a picture that is shown."""
    left, top, right, bottom = shown
    if (right - left, bottom - top) == (bitmap.width, bitmap.height):
        return bitmap
    alpha = None if bitmap.alpha is None else bitmap.alpha[top:bottom, left:right]
    return replace(bitmap, pixels=bitmap.pixels[:, top:bottom, left:right], alpha=alpha)


def no_larger(bitmap: Bitmap, side: int) -> Bitmap:
    """The picture, reduced where its longer side is more than `side` px."""
    if max(bitmap.width, bitmap.height) <= side:
        return bitmap
    return resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, side))


def visible(bitmap: Bitmap) -> Bitmap:
    """Invisible pixels hold arbitrary colours (often black): the mean visible colour instead."""
    if bitmap.alpha is None or float(bitmap.alpha.min()) >= 1 / 255:
        return bitmap
    seen = bitmap.alpha >= 1 / 255
    mean = bitmap.pixels[:, seen].mean(axis=1) if seen.any() else np.full(3, 0.5, np.float32)
    pixels = np.where(seen, bitmap.pixels, mean[:, None, None]).astype(np.float32)
    return replace(bitmap, pixels=pixels)
