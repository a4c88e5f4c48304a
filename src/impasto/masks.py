"""Masks of regions: grey pictures, or painted label pictures of which one colour is meant."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageError
from impasto.images import Bitmap, ImageSource, resize_image
from impasto.sources import read_source, split_label

GREY = 0.1
"""Largest difference between a pixel's channels that is still grey, for all but a few pixels: what
JPEG makes of grey edges stays below."""

MAX_COLORS = 24
"""Most colours that a label picture may have."""


@dataclass(frozen=True, eq=False)
class FrameMask:
    """A mask that has been read already: that of a clip's frame. It may be black everywhere.

    Attributes:
        grey: `(H, W)` in [0, 1].
    """

    grey: NDArray[np.float32]


def read_mask(source: ImageSource | FrameMask, max_pixels: int) -> Bitmap:
    """A mask as a grey picture, white where the region is.

    Transparent parts are outside. Of a label picture, each pixel belongs to the one of its colours
    (`palette`) that it is closest to.

    Args:
        source: what `read_source` takes; a path may end in `#rrggbb`, the colour that is meant. Or
            a `FrameMask`.
        max_pixels: largest picture file to read, in pixels.

    Raises:
        ImageError: it cannot be read, is coloured though no colour is named, has none of the
            colour that is, or is black everywhere.
    """
    if isinstance(source, FrameMask):
        return Bitmap(np.repeat(source.grey[None], 3, axis=0))
    path, label = split_label(source)
    bitmap = read_source(path, max_pixels)
    name = path if isinstance(path, str | os.PathLike) else "the mask"
    grey = grey_of(bitmap, label, name)
    if float(grey.max()) < 1 / 255:
        raise ImageError(f"{name}: is black everywhere; paint the region white")
    return Bitmap(np.repeat(grey[None], 3, axis=0))


def grey_of(
    bitmap: Bitmap, label: tuple[int, int, int] | None, name: Any, *, absent: bool = False
) -> NDArray[np.float32]:
    """How much each pixel of a mask's picture belongs to the region, `(H, W)` in [0, 1].

    Args:
        bitmap: the picture.
        label: the colour that is meant, or `None`: it is grey.
        name: what to call it.
        absent: whether a label picture may have nothing of the colour.

    Raises:
        ImageError: it is coloured though no colour is named, or has none of the colour that is.
    """
    if label is None:
        spread = bitmap.pixels.max(axis=0) - bitmap.pixels.min(axis=0)
        if float((spread > GREY).mean()) > 0.005:
            found = ", ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in palette(bitmap)[:6])
            raise ImageError(
                f"{name}: is coloured; give a grey mask, or say which colour is meant, such as "
                f"{name}#rrggbb with one of its colours ({found or 'too many to name'})"
            )
        grey = bitmap.pixels.mean(axis=0)
    else:
        grey = _labelled(bitmap, label, name, absent)
    if bitmap.alpha is not None:
        grey = grey * bitmap.alpha
    return grey.astype(np.float32)


def fit_mask(mask: Bitmap, width: int, height: int, box: tuple[float, ...]) -> NDArray[np.float32]:
    """A part of a mask at a given size, `(height, width)` in [0, 1].

    Args:
        mask: from `read_mask`, of any size.
        width: px.
        height: px.
        box: the part, as shares of its sides: (left, top, right, bottom).
    """
    left, top, right, bottom = (
        round(share * side) for share, side in zip(box, (mask.width, mask.height) * 2, strict=True)
    )
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    part = replace(mask, pixels=mask.pixels[:, top:bottom, left:right])
    sized = resize_image(part, width, height)
    return np.clip(sized.pixels[0], 0, 1)


def palette(bitmap: Bitmap) -> list[tuple[int, int, int]]:
    """The colours of a label picture, the most frequent first; empty for one with too many.

    A colour is one that fills a neighbourhood of 3 × 3 pixels somewhere, or a fiftieth of the
    picture; others are blends at the edges of those.
    """
    red, green, blue = np.rint(bitmap.pixels * 255).astype(np.uint32)
    codes = red << 16 | green << 8 | blue
    solid = codes[1:-1, 1:-1]
    inner = np.ones(solid.shape, bool)
    for down in range(3):
        for right in range(3):
            inner &= codes[down : down + solid.shape[0], right : right + solid.shape[1]] == solid
    colors, counts = np.unique(codes, return_counts=True)
    meant = (counts >= codes.size / 50) | np.isin(colors, solid[inner])
    if meant.sum() > MAX_COLORS or counts[meant].sum() < 0.8 * codes.size:
        return []
    order = np.argsort(-counts[meant], kind="stable")
    return [(int(c >> 16), int(c >> 8 & 255), int(c & 255)) for c in colors[meant][order]]


def _labelled(
    bitmap: Bitmap, label: tuple[int, int, int], name: Any, absent: bool
) -> NDArray[np.float32]:
    """1 where a label picture has a colour, 0 elsewhere."""
    colors = palette(bitmap)
    wanted = np.array(label, np.float32)
    text = "#" + "".join(f"{part:02x}" for part in label)
    if not colors:
        raise ImageError(
            f"{name}: has too many colours for a label picture; paint it with a few flat ones and "
            "save it as PNG"
        )
    table = np.array(colors, np.float32)
    off = np.abs(table - wanted).max(axis=1)
    if off.min() > 24 and absent:
        return np.zeros(bitmap.pixels.shape[1:], np.float32)
    if off.min() > 24:
        found = ", ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colors)
        raise ImageError(f"{name}: has nothing of the colour {text}; it has {found}")
    chosen = int(off.argmin())
    nearest = np.full(bitmap.pixels.shape[1:], np.inf, np.float32)
    owner = np.zeros(bitmap.pixels.shape[1:], np.int16)
    for index, color in enumerate(table):
        distance = np.square(bitmap.pixels * 255 - color[:, None, None]).sum(axis=0)
        closer = distance < nearest
        nearest[closer], owner[closer] = distance[closer], index
    return (owner == chosen).astype(np.float32)
