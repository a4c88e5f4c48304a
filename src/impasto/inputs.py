"""The pictures of a run, read from their sources, cut, brought to size and coloured."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.coloring import Coloring, Part
from impasto.errors import ImageError, OptionError
from impasto.framing import Shown, cut, frame, no_larger, visible
from impasto.images import Bitmap, ImageSource, fit_within, resize_image
from impasto.levels import preview_options, whole_strides
from impasto.masks import FrameMask, fit_mask, read_mask
from impasto.options import MAX_SIDE, RegionOptions, StyleOptions, parse_aspect
from impasto.pairing import resolve
from impasto.regions import covers_of, kept_mask, largest_scale, scales_of, shares_of
from impasto.sources import Loaded, read_source, split_label
from impasto.targets import Painting, level_size


@dataclass(frozen=True, eq=False)
class Inputs:
    """The pictures of a run, as it works with them.

    Attributes:
        options: of the run, with those of a preview, or of regions coloured apart, worked in.
        width: of the result, px.
        height: of the result, px.
        coloring: the photo at the result's size, or none, and what becomes of colours.
        paintings: what to paint in the style of, as the network sees it.
        origins: for each of them, which of the sources it was read from, from 0.
        masks: of the regions, `(height, width)` in [0, 1].
        start: the third image to start from, `(1, 3, height, width)` in [0, 1], or `None`.
        coarse: the smaller result to go on from, `(1, 3, h, w)` in [0, 1], or `None`.
        fine: the painting that lends all others its fine texture, or `None`.
    """

    options: StyleOptions
    width: int
    height: int
    coloring: Coloring
    paintings: list[Painting]
    origins: list[int]
    masks: list[Tensor]
    start: Tensor | None
    coarse: Tensor | None
    fine: Painting | None

    @property
    def photo(self) -> Tensor | None:
        """What the run sees of the photo, `(1, 3, height, width)` in [0, 1]."""
        return None if self.coloring.seen is None else as_tensor(self.coloring.seen)


def read_inputs(
    content: ImageSource | Loaded | None,
    sources: Sequence[ImageSource | Loaded],
    options: StyleOptions,
    *,
    start: ImageSource | Loaded | None = None,
    masks: Sequence[ImageSource] = (),
    style_masks: Sequence[ImageSource | None] = (),
    fine: ImageSource | None = None,
    coarse: ImageSource | None = None,
    seen: int = 0,
) -> Inputs:
    """Reads the pictures of a run and brings them to its size.

    Args:
        content: the photo, as `read_source` takes it, or `None`.
        sources: the paintings, likewise.
        options: of the run.
        start: a third image to start from, or `None`.
        masks: of the photo's regions.
        style_masks: for each painting a mask of the part that lends its style, or `None`; or none
            at all.
        fine: a painting that lends all others its fine texture.
        coarse: a smaller result to go on from.
        seen: long side at which paintings are looked at whatever the size of the result, px.

    Raises:
        ImageError: a picture cannot be read.
        OptionError: options that do not fit the pictures or each other.
    """
    chosen = _resolve(options, content, sources, masks, style_masks, fine)
    photo = None if content is None else read_source(content, options.max_pixels, options.size)
    large = max(seen, painting_size(options, chosen))
    styles = [read_painting(source, options.max_pixels, large) for source in sources]
    shown_in = photo or (styles[0] if styles else None)
    if shown_in is None:
        raise OptionError("give a photo or a painting to work from")
    shape = (shown_in.width, shown_in.height)
    if options.aspect is not None:
        # As many pixels as make rounding nothing; only the proportion counts.
        across, down = parse_aspect(options.aspect)
        shape = fit_within(round(across / down * 1e6), 10**6, 10**6)
    width, height, shown = _shape(shape, options)
    if options.preview:
        if coarse is not None:
            raise OptionError("--preview: the run goes on from a preview already; leave it out")
        options = preview_options(options, width, height)
        width, height, shown = _shape(shape, options)
    small = None if coarse is None else _lower(coarse, options, width, height)
    if photo is not None:
        photo = visible(resize_image(cut(photo, shown), width, height))
    style_covers = [
        None if mask is None else read_mask(mask, options.max_pixels)
        for mask in style_masks or [None] * len(sources)
    ]
    left, top, right, bottom = shown
    box = (left / shape[0], top / shape[1], right / shape[0], bottom / shape[1])
    covers = [_cover(mask, options, width, height, box) for mask in masks]
    palettes = [_covered(one, mask) for one, mask in zip(styles, style_covers, strict=True)]
    apart = _colors_apart(options, chosen, bool(covers))
    if apart:
        parts = _parts(options, chosen, covers_of(chosen, covers))
        options = _recolored_apart(options, chosen)
    else:
        parts = [_whole_part(options, len(sources), kept_mask(options, len(sources), covers))]
    coloring = Coloring(photo, palettes, parts, options.color_method, options.color_space)
    painted = [part for part in parts if not apart or part.color != "only"]
    paintings = [
        _painting(replace(styles[i], pixels=colored.pixels), sources[i], style_covers[i])
        for part in painted
        for i, colored in zip(part.paintings, coloring.painted_with(part), strict=True)
    ]
    lower = None
    if small is not None:
        lower = as_tensor(replace(small, pixels=coloring.taken_up(small.pixels)))
    third = None
    if start is not None:
        image = read_source(start, options.max_pixels, options.size)
        if (image.width, image.height) == shape:
            image = cut(image, shown)
        image = visible(resize_image(image, width, height))
        third = as_tensor(replace(image, pixels=coloring.faded(image.pixels)))
    lender = None
    if fine is not None:
        lender = _painting(read_source(fine, options.max_pixels, options.size), fine, None)
    return Inputs(
        *(options, width, height, coloring, paintings),
        origins=[i for part in painted for i in part.paintings],
        masks=covers,
        start=third,
        coarse=lower,
        fine=lender,
    )


def check_side(size: int) -> int:
    """A long side in px.

    Raises:
        OptionError: it is out of range.
    """
    if not 1 <= size <= MAX_SIDE:
        raise OptionError(f"--size {size}: must lie in 1 to {MAX_SIDE}")
    return size


def painting_size(options: StyleOptions, chosen: Sequence[RegionOptions]) -> int:
    """Long side of the largest result whose paintings a run's are, by their scales: px.

    Args:
        options: of the run.
        chosen: from `regions.resolve`.
    """
    return min(MAX_SIDE, math.ceil(largest_scale(options, chosen) * options.size))


def read_painting(source: Any, max_pixels: int, size: int) -> Bitmap:
    """A painting, no larger than a run looks at: twice that size.

    Raises:
        ImageError: it cannot be read.
    """
    return no_larger(read_source(source, max_pixels, size), 2 * size)


def as_tensor(bitmap: Bitmap) -> Tensor:
    """The colours of a picture, `(1, 3, H, W)` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(bitmap.pixels))[None]


def _shape(shape: tuple[int, int], options: StyleOptions) -> tuple[int, int, Shown]:
    """Width and height of the result in px, and what part of a picture of some shape it shows."""
    width, height, shown = frame(shape, options)
    if options.tileable:
        width, height = whole_strides(width, height)
    return width, height, shown


def _lower(coarse: ImageSource, options: StyleOptions, width: int, height: int) -> Bitmap:
    """The picture to go on from, without the colours of invisible pixels.

    Raises:
        ImageError: it cannot be read.
        OptionError: it is as large as the result, or of another shape.
    """
    bitmap = visible(read_source(coarse, options.max_pixels))
    side = max(bitmap.width, bitmap.height)
    if side >= max(width, height):
        raise OptionError(
            f"the picture has {side} px already, and the result would have {max(width, height)}; "
            "give a larger --size or --print"
        )
    expected = level_size(width, height, side)
    # The sides of tileable pictures are rounded at every level.
    room = 16 if options.tileable else 2
    if max(abs(expected[0] - bitmap.width), abs(expected[1] - bitmap.height)) > room:
        raise OptionError(
            f"the picture has {bitmap.width} x {bitmap.height} px, which is not the shape of the "
            f"result, {width} x {height} px; continue it on the same sheet (--print, --print-fit), "
            "or run stylize anew"
        )
    return bitmap


def _resolve(
    options: StyleOptions,
    content: Any,
    sources: Sequence[Any],
    masks: Sequence[Any],
    style_masks: Sequence[Any],
    fine: Any,
) -> tuple[RegionOptions, ...]:
    """The regions of a run, once its options are found to fit what is given.

    Raises:
        OptionError: they do not.
    """
    if content is None and options.photoreal_weight > 0:
        raise OptionError(
            "--photoreal-weight: there is no photo whose edges could be kept; leave it and "
            "--preset photo-real out"
        )
    if not sources and options.style_weight > 0:
        raise OptionError(
            "there is no painting: give one, or leave style out with --style-weight 0"
        )
    chosen = resolve(options, len(sources), len(masks))
    if all((one.color or options.color) == "only" or one.keep for one in chosen):
        for flag, given in ("--fine-style", fine), ("--photoreal-weight", options.photoreal_weight):
            if given:
                raise OptionError(f"{flag}: --color only paints nothing; leave one of them out")
    _check_photo(options, chosen, content)
    if style_masks and len(style_masks) != len(sources):
        raise OptionError(
            f"--style-mask: {len(style_masks)} masks for {len(sources)} paintings; give one for "
            "each, - for none"
        )
    return chosen


def _check_photo(options: StyleOptions, chosen: Sequence[RegionOptions], content: Any) -> None:
    """Refuses what only a photo can give.

    Raises:
        OptionError: there is none.
    """
    if content is not None:
        for name in ("aspect", "tileable"):
            if getattr(options, name):
                raise OptionError(
                    f"--{name}: only for textures, and here is a photo; use impasto texture, or "
                    "leave it out"
                )
        return
    if options.strength < 1 or any(one.strength is not None and one.strength < 1 for one in chosen):
        raise OptionError("--strength: there is no photo to stay close to; leave it out")
    if any(one.keep for one in chosen):
        raise OptionError("--regions: there is no photo to keep; leave the region out")


def _cover(
    mask: ImageSource, options: StyleOptions, width: int, height: int, box: tuple[float, ...]
) -> Tensor:
    """A mask of the photo as it is cut and sized for the result, `(height, width)` in [0, 1].

    Raises:
        ImageError: it cannot be read, or nothing of its region is left.
    """
    cover = fit_mask(read_mask(mask, options.max_pixels), width, height, box)
    if float(cover.max()) < 1 / 255 and not isinstance(mask, FrameMask):
        name = split_label(mask)[0] if isinstance(mask, str | os.PathLike) else "the mask"
        raise ImageError(
            f"{name}: nothing of its region is left in the result; it is cut off by --print-fit "
            "fill, or too small at this size"
        )
    return torch.from_numpy(cover)


def _colors_apart(options: StyleOptions, chosen: Sequence[RegionOptions], masked: bool) -> bool:
    """Whether regions are coloured each for itself."""
    if not masked:
        return False
    colors = {one.color or options.color for one in chosen if not one.keep}
    return colors != {"painting"} and bool(colors)


def _parts(
    options: StyleOptions, chosen: Sequence[RegionOptions], covers: Sequence[Tensor | None]
) -> list[Part]:
    """The regions as parts of a `Coloring`."""
    return [
        Part(
            "painting" if one.keep else one.color or options.color,
            _color_strength(options, one),
            tuple(number - 1 for number in one.styles),
            shares_of(options, one),
            None if cover is None else cover.numpy(),
        )
        for one, cover in zip(chosen, covers, strict=True)
    ]


def _color_strength(options: StyleOptions, one: RegionOptions) -> float:
    """How far a region's colours go; where only they change, its strength is theirs."""
    given = options.color_strength if one.color_strength is None else one.color_strength
    if (one.color or options.color) == "only":
        given *= options.strength if one.strength is None else one.strength
    return given


def _recolored_apart(options: StyleOptions, chosen: Sequence[RegionOptions]) -> StyleOptions:
    """The options of a run whose regions have paintings of their own, each in its own colours, one
    region's after the other's. Where only colours change, nothing is painted."""
    regions: list[RegionOptions] = []
    first = 1
    for one in chosen:
        if one.keep or (one.color or options.color) == "only":
            regions.append(RegionOptions(keep=True))
            continue
        apart = {
            "styles": tuple(range(first, first + len(one.styles))),
            "shares": shares_of(options, one),
            "scale": scales_of(options, one),
        }
        first += len(one.styles)
        regions.append(one.model_copy(update=apart))
    changes: dict[str, Any] = {"style_weights": (), "style_scale": ((1.0,),), "color": "painting"}
    if first == 1:
        changes |= {"color": "only", "start": "content"}
    return options.model_copy(update={**changes, "regions": tuple(regions)})


def _whole_part(options: StyleOptions, paintings: int, kept: Tensor | None) -> Part:
    """All that is painted, as one part of a `Coloring`."""
    shares = tuple(options.style_weights) or (1.0,) * paintings
    mask = None if kept is None else (1 - kept).cpu().numpy()
    strength = _color_strength(options, RegionOptions())
    return Part(options.color, strength, tuple(range(paintings)), shares, mask)


def _covered(bitmap: Bitmap, mask: Bitmap | None) -> Bitmap:
    """A painting of which what its mask leaves out cannot be seen."""
    if mask is None:
        return bitmap
    cover = fit_mask(mask, bitmap.width, bitmap.height, (0, 0, 1, 1))
    return replace(bitmap, alpha=cover if bitmap.alpha is None else bitmap.alpha * cover)


def _painting(bitmap: Bitmap, source: Any, mask: Bitmap | None) -> Painting:
    if isinstance(source, Loaded):
        source = source.record["path"] or None
    name = source if isinstance(source, str | os.PathLike) else "the painting"
    if bitmap.alpha is not None and float(bitmap.alpha.max()) < 1 / 255:
        raise ImageError(
            f"{name}: is fully transparent, so there is no style in it; choose another"
        )
    weight = _covered(bitmap, mask).alpha
    if weight is not None and float(weight.max()) < 1 / 255:
        raise ImageError(f"{name}: nothing of it is visible in its --style-mask; check both")
    if weight is None:
        return Painting(as_tensor(bitmap))
    return Painting(as_tensor(visible(bitmap)), torch.from_numpy(weight.copy()))
