"""Where a repainting's colours come from: what is done to its pictures before the run and after it.

The network's run is the same in all ways of colouring; only what goes into it and what is shown of
it differ. A `Coloring` does both, for a whole picture or for parts of it with soft borders:

`painting`   nothing: colours are matched like the rest of the style.
`luminance`  Before: photo and paintings become luminance pictures, the paintings' lightness matched
             to the photo's in mean and deviation. After: the photo's colours come back.
`match`      Before: the paintings take the photo's colours.
`only`       After: the photo in the paintings' colours, whatever was painted.

L. Gatys, A. Ecker, M. Bethge, A. Hertzmann, E. Shechtman, "Controlling Perceptual Factors in Neural
Style Transfer", CVPR 2017, section 5, has `luminance` (5.1) and `match` (5.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from impasto.color import (
    ColorMap,
    Palette,
    drop_colors,
    fade_colors,
    fit_colors,
    fit_lightness,
    keep_colors,
    recolor,
)
from impasto.errors import OptionError
from impasto.images import Bitmap, resize_image

Pixels = NDArray[np.float32]

FLAT = 0.02
"""Paintings whose colours deviate less than this, in units of the value range, have no contrast to
give: `in_paintings_colors` leaves some of the picture's own."""


@dataclass(frozen=True, eq=False)
class Part:
    """How one part of a picture is coloured.

    Attributes:
        color: `painting`, `luminance`, `match` or `only`.
        strength: how much of that, in [0, 1].
        paintings: which of the paintings the part has, by index.
        shares: the share of each of them.
        mask: how much each of the photo's pixels belongs to the part, `(H, W)` in [0, 1]; `None`:
            wholly.
    """

    color: str
    strength: float
    paintings: tuple[int, ...]
    shares: tuple[float, ...]
    mask: Pixels | None = None


@dataclass(frozen=True, eq=False)
class Coloring:
    """The colours of one run.

    Statistics count each pixel as far as it can be seen, and those of the photo as far as it
    belongs to the part. Where nothing counts, colours stay as they are.

    Attributes:
        photo: the photo at the result's size, or `None`.
        paintings: at any size.
        parts: where their masks leave something over, it is coloured as `painting`; where they sum
            to more than 1, they are divided by the sum.
        method: `covariance` or `histogram`: how `match` and `only` match colours.
        space: `rgb` or `oklab`: where they do.

    Raises:
        OptionError: there is no photo, or no painting, whose colours a part needs.
    """

    photo: Bitmap | None
    paintings: Sequence[Bitmap]
    parts: Sequence[Part]
    method: str = "covariance"
    space: str = "oklab"

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.color != "painting" and self.photo is None:
                raise OptionError(
                    f"--color {part.color}: there is no photo, whose colours it needs; leave it out"
                )
            if part.color in ("match", "only") and not part.paintings:
                raise OptionError(
                    f"--color {part.color}: there is no painting to take colours from or to give "
                    "them to; leave it out"
                )

    @cached_property
    def seen(self) -> Bitmap | None:
        """The photo as the network sees it."""
        photo = self.photo
        if photo is None or not self._has("luminance"):
            return photo
        return replace(photo, pixels=self.faded(photo.pixels))

    def faded(self, pixels: Pixels) -> Pixels:
        """Another picture of the photo's size as the network sees it, such as one to start from."""
        changes = {"luminance": lambda part: recolor(pixels, fade_colors(part.strength))}
        return self._in_parts(pixels, changes)

    def painted_with(self, part: Part) -> list[Bitmap]:
        """The paintings of a part as the network sees them."""
        return [self._prepared(self.paintings[index], part) for index in part.paintings]

    def finished(self, pixels: Pixels) -> Pixels:
        """What is shown of a picture of the run, `(3, H, W)` in [0, 1] at the photo's size."""
        photo = self.photo
        if photo is None:
            return pixels
        changes = {
            "luminance": lambda part: keep_colors(pixels, photo.pixels, part.strength),
            "only": self._recolored,
        }
        return self._in_parts(pixels, changes)

    def taken_up(self, pixels: Pixels) -> Pixels:
        """The picture of a run from what was shown of it, `(3, h, w)` at any size: the inverse of
        `finished`, as far as there is one."""
        if self.photo is None or not self._has("luminance"):
            return pixels
        photo = _at_size_of(pixels, self.photo.pixels)
        changes = {"luminance": lambda part: drop_colors(pixels, photo, part.strength)}
        return self._in_parts(pixels, changes)

    def _has(self, color: str) -> bool:
        return any(part.color == color for part in self.parts)

    def _in_parts(self, pixels: Pixels, changes: dict[str, Callable[[Part], Pixels]]) -> Pixels:
        """A picture, in each part with the change of its way of colouring; of any size."""
        changed = [part for part in self.parts if part.color in changes]
        if not changed:
            return pixels
        if len(self.parts) == 1 and self.parts[0].mask is None:
            return changes[changed[0].color](changed[0])
        masks = [_mask(part, pixels) for part in self.parts]
        whole = np.maximum(sum(masks), 1)
        rest = np.ones_like(whole)
        result = np.zeros_like(pixels)
        for part, mask in zip(self.parts, masks, strict=True):
            if part.color in changes:
                share = mask / whole
                rest -= share
                result += share * changes[part.color](part)
        result += rest * pixels
        return np.clip(result, 0, 1, out=result)

    def _prepared(self, painting: Bitmap, part: Part) -> Bitmap:
        if part.color not in ("luminance", "match"):
            return painting
        photo, own = self._photo_palette(part), _palette(painting)
        if photo is None or own is None:
            return painting
        if part.color == "luminance":
            change = fit_lightness(own, photo, part.strength)
        else:
            change = replace(
                fit_colors(own, [photo], method=self.method, space=self.space),
                strength=part.strength,
            )
        return replace(painting, pixels=recolor(painting.pixels, change))

    def _recolored(self, part: Part) -> Pixels:
        assert self.photo is not None
        change = self._maps[self.parts.index(part)]
        return self.photo.pixels if change is None else recolor(self.photo.pixels, change)

    @cached_property
    def _maps(self) -> list[ColorMap | None]:
        """For each part what gives the photo its paintings' colours, where it is asked for."""
        return [self._map(part) if part.color == "only" else None for part in self.parts]

    def _map(self, part: Part) -> ColorMap | None:
        photo = self._photo_palette(part)
        found = [
            _palette(self.paintings[index], share=share)
            for index, share in zip(part.paintings, part.shares, strict=True)
        ]
        palettes = [palette for palette in found if palette is not None]
        if photo is None or not any(palette.share for palette in palettes):
            return None
        change = fit_colors(photo, palettes, method=self.method, space=self.space)
        return replace(change, strength=part.strength)

    def _photo_palette(self, part: Part) -> Palette | None:
        return None if self.photo is None else _palette(self.photo, part.mask)


def in_photos_colors(picture: Bitmap, coloring: Coloring) -> Bitmap:
    """A repainted picture in the photo's colours, in the parts that are to have them before a
    painting is seen: for networks that see none.

    Args:
        picture: as it was repainted.
        coloring: of the run.
    """
    if coloring.photo is None or all(part.color != "match" for part in coloring.parts):
        return picture
    pixels = picture.pixels.copy()
    for part in coloring.parts:
        if part.color != "match":
            continue
        alone = replace(part, paintings=(0,), shares=(1.0,))
        own = Coloring(coloring.photo, [picture], [alone], coloring.method, coloring.space)
        changed = own.painted_with(alone)[0].pixels - picture.pixels
        pixels += changed if part.mask is None else part.mask * changed
    return replace(picture, pixels=pixels.clip(0, 1))


def in_paintings_colors(
    pixels: Pixels, paintings: Sequence[Palette], strength: float, mask: Pixels | None = None
) -> Pixels:
    """A repainted picture with the mean and the covariance of its paintings' colours, of a blend
    the mixed ones: networks that predict a style come near to these, and no further. Of paintings
    of one flat colour it takes the mean alone, or nothing would be left of the picture.

    Args:
        pixels: `(3, H, W)` in [0, 1].
        paintings: their colours and shares.
        strength: how far colours go, in [0, 1].
        mask: how much each pixel counts for the picture's own statistics, `(H, W)` in [0, 1].
    """
    if mask is not None and not mask.any():
        return pixels
    change = fit_colors(Palette(pixels, mask), paintings, space="rgb", flat=FLAT)
    return recolor(pixels, replace(change, strength=strength))


def counted(bitmap: Bitmap, mask: Pixels | None = None) -> Pixels | None:
    """How much each pixel of a picture counts in its statistics, `(H, W)` in [0, 1]: as far as it
    can be seen and a mask has it; `None`: all alike."""
    if bitmap.alpha is None:
        return mask
    seen = np.where(bitmap.alpha >= 1 / 255, bitmap.alpha, 0)
    return seen if mask is None else seen * mask


def _palette(bitmap: Bitmap, mask: Pixels | None = None, share: float = 1.0) -> Palette | None:
    """The colours of what can be seen of a picture within a mask; `None`: nothing can."""
    weights = counted(bitmap, mask)
    if weights is not None and not weights.any():
        return None
    return Palette(bitmap.pixels, weights, share)


def _at_size_of(pixels: Pixels, other: Pixels) -> Pixels:
    """Another picture `(3, H, W)` brought to the size of the first."""
    return resize_image(Bitmap(other), pixels.shape[2], pixels.shape[1]).pixels


def _mask(part: Part, pixels: Pixels) -> Pixels:
    if part.mask is None:
        return np.ones(pixels.shape[1:], np.float32)
    return _at_size_of(pixels, np.broadcast_to(part.mask, (3, *part.mask.shape)))[0]
