"""Which part of the picture is painted like what: options and masks → regions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.options import RegionOptions, StyleOptions
from impasto.pairing import resolve
from impasto.targets import Kept, Painting, Region, resize_mask


def regions_of(
    options: StyleOptions, paintings: Sequence[Painting], masks: Sequence[Tensor] = ()
) -> tuple[Region, ...]:
    """The regions that are painted, each with its part of the picture.

    Masks that overlap share the pixels in question; together they and what is kept of the photo
    are the whole picture.

    Args:
        options: of the run.
        paintings: the style pictures.
        masks: `(H, W)` in [0, 1], at the result's size.

    Raises:
        OptionError: see `resolve`.
    """
    chosen = resolve(options, len(paintings), len(masks))
    covers = covers_of(chosen, masks)
    return tuple(
        _region(options, one, paintings, cover)
        for one, cover in zip(chosen, covers, strict=True)
        if not one.keep
    )


def covers_of(chosen: Sequence[RegionOptions], masks: Sequence[Tensor]) -> list[Tensor | None]:
    """How much of each pixel belongs to each region, `(H, W)` in [0, 1]; `None`: all of it.

    Args:
        chosen: from `resolve`.
        masks: as for `regions_of`.
    """
    return [*_cover(masks, rest=len(chosen) > len(masks))] if masks else [None]


def shares_of(options: StyleOptions, one: RegionOptions) -> tuple[float, ...]:
    """The share of each painting of a region from `resolve`."""
    shares = one.shares
    if not shares and options.style_weights:
        shares = tuple(options.style_weights[number - 1] for number in one.styles)
    return shares if shares and sum(shares) > 0 else (1.0,) * len(one.styles)


def scales_of(options: StyleOptions, one: RegionOptions) -> tuple[tuple[float, ...], ...]:
    """The scales of each painting of a region from `resolve`."""
    if one.scale is not None:
        return one.scale if len(one.scale) > 1 else one.scale * len(one.styles)
    scales = options.style_scale
    return tuple(scales[number - 1 if len(scales) > 1 else 0] for number in one.styles)


def kept_mask(options: StyleOptions, paintings: int, masks: Sequence[Tensor]) -> Tensor | None:
    """How much of each pixel stays as it is in the photo, `(H, W)` in [0, 1]; `None`: nothing.

    Args: as for `regions_of`, of whose masks this is what is missing to 1.
    """
    if not masks:
        return None
    chosen = resolve(options, paintings, len(masks))
    painted = torch.zeros_like(masks[0])
    for one, cover in zip(chosen, covers_of(chosen, masks), strict=True):
        if not one.keep and cover is not None:
            painted += cover
    kept = (1 - painted).clamp(0, 1)
    # Rounding in sums of masks.
    kept[kept < 1e-3] = 0
    return kept if bool(kept.any()) else None


def kept_part(
    options: StyleOptions, photo: Tensor | None, paintings: int, masks: Sequence[Tensor]
) -> Kept | None:
    """What stays as it is in the photo, at the photo's size; `None`: nothing.

    Args: as for `regions_of`, but
        photo: `(1, 3, H, W)`.
        paintings: how many there are.
    """
    mask = None if photo is None else kept_mask(options, paintings, masks)
    if photo is None or mask is None:
        return None
    return Kept(resize_mask(mask.to(photo), *photo.shape[-2:])[None, None], photo)


def largest_scale(options: StyleOptions, chosen: Sequence[RegionOptions]) -> float:
    """The largest scale of any painting.

    Args:
        options: of the run.
        chosen: from `resolve`.
    """
    scales = [s for one in options.style_scale for s in one]
    for one in chosen:
        scales += [s for of_painting in one.scale or () for s in of_painting]
    return max(scales)


def _cover(masks: Sequence[Tensor], *, rest: bool) -> list[Tensor]:
    """Masks that add up to 1 at most, and what they leave, if that is wanted."""
    total = torch.stack(list(masks)).sum(0)
    covers = [mask / total.clamp_min(1) for mask in masks]
    if rest:
        covers.append((1 - total).clamp(0, 1))
    return covers


def _region(
    options: StyleOptions, one: RegionOptions, paintings: Sequence[Painting], cover: Tensor | None
) -> Region:
    found: list[Painting] = []
    parts: list[float] = []
    shares, scales = shares_of(options, one), scales_of(options, one)
    for number, share, sizes in zip(one.styles, shares, scales, strict=True):
        for scale in sizes:
            found.append(paintings[number - 1]._replace(scale=scale))
            parts.append(share / len(sizes))
    strength = options.strength if one.strength is None else one.strength
    return Region(tuple(found), tuple(parts), cover, strength)
