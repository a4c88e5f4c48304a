"""What each level must match: the photo's features and the paintings' mixed moments.

Pictures in, targets out; nothing here knows the picture that is being made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import OptionError, is_out_of_memory
from impasto.features import Features, stride_of
from impasto.memory import COMPACT_ABOVE, hand_back
from impasto.moments import Moments, mix_moments, moments_of
from impasto.tiling import Tile, plan_tiles


@dataclass(frozen=True)
class Targets:
    """What one level must match.

    Attributes:
        content: layer → features of the photo `(1, C, h, w)`.
        style: layer → moments of the blend of paintings.
        anchor: the coarser level's result `(1, 3, h, w)`, which the picture must resemble when it
            is shrunk to that size; `None`: none.
        tile_pixels: largest tile that they could be made with, in pixels; `None`: whole pictures.
    """

    content: dict[str, Tensor]
    style: dict[str, Moments]
    anchor: Tensor | None = None
    tile_pixels: int | None = None


class Painting(NamedTuple):
    """A style picture: `(1, 3, h, w)` in [0, 1], and how much each of its pixels counts, `(h, w)`
    in [0, 1] with a positive sum, or `None` for all alike."""

    picture: Tensor
    weight: Tensor | None = None


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """Bicubic resampling, antialiased when shrinking.

    Args:
        picture: `(1, C, H, W)`.
        height: new height, px.
        width: new width, px.
    """
    if picture.shape[-2:] == (height, width):
        return picture
    return F.interpolate(
        picture, (height, width), mode="bicubic", align_corners=False, antialias=True
    )


def level_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with the given long side and the same shape, at least 1 px each."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def make_targets(
    features: Features,
    content: Tensor | None,
    styles: Sequence[Painting],
    shares: Sequence[float],
    *,
    side: int,
    content_layers: Iterable[str],
    style_layers: Iterable[str],
    enlarge: float = math.inf,
    tile_pixels: int | None = None,
) -> Targets:
    """Targets of one level. Where memory runs out, all are made anew with smaller tiles.

    Args:
        features: the network.
        content: the photo at this level's size, `(1, 3, H, W)`; `None` leaves content out.
        styles: paintings at any size; each is brought to the level's long side, so that brush
            strokes keep their size relative to the picture at every level.
        shares: share of each painting in the blend.
        side: long side of the level, px.
        content_layers: canonical names.
        style_layers: canonical names.
        enlarge: how many times a painting that is smaller than the level is enlarged at most.
        tile_pixels: largest tile that goes through the network at once, in pixels, halo included;
            `None`: whole pictures.

    Raises:
        OptionError: the network is to run in float16, which cannot hold these pictures' features.
    """
    style_names, content_names = list(style_layers), list(content_layers)
    sizes: list[tuple[int, int]] = []
    for picture, _ in styles:
        long = round(min(side, enlarge * max(picture.shape[-2:])))
        sizes.append(level_size(picture.shape[-1], picture.shape[-2], long))

    def make(tile_pixels: int | None) -> Targets:
        wanted = {}
        if content is not None:
            wanted = _whole_features(features, content, content_names, tile_pixels)
        parts: list[dict[str, Moments]] = []
        for (picture, weight), (width, height) in zip(styles, sizes, strict=True):
            brought = resize(picture, height, width).clamp(0, 1)
            parts.append(_whole_moments(features, brought, weight, style_names, tile_pixels))
        mixed = {
            name: mix_moments([part[name] for part in parts], list(shares))
            for name in (style_names if parts else ())
        }
        if features.dtype == torch.float16:
            kept = [*wanted.values(), *(moments.second for moments in mixed.values())]
            if not all(bool(torch.isfinite(numbers).all()) for numbers in kept):
                raise OptionError(
                    "--precision float16: the features of these pictures are too large for it; use "
                    "bfloat16 or float32"
                )
        return Targets(wanted, mixed, tile_pixels=tile_pixels)

    seen = [(style_names, height, width) for width, height in sizes]
    if content is not None:
        seen.append((content_names, content.shape[-2], content.shape[-1]))
    with torch.no_grad():
        while True:
            try:
                return make(tile_pixels)
            except (MemoryError, RuntimeError) as error:
                smaller = smaller_tiles(features, seen, tile_pixels)
                if smaller is None or not is_out_of_memory(error):
                    raise
            tile_pixels = smaller
            hand_back(features.device)


def tiles_of(
    features: Features, layers: Sequence[str], height: int, width: int, tile_pixels: int | None
) -> Sequence[Tile]:
    """The tiles in which a picture goes through the network down to the deepest of some layers.

    Args:
        features: the network.
        layers: canonical names; none are seen by one tile.
        height: of the picture, px.
        width: of the picture, px.
        tile_pixels: largest tile, in pixels, halo included; `None`: the whole picture.
    """
    if not layers or tile_pixels is None:
        return plan_tiles(height, width, halo=0, stride=1, limit=height * width)
    halo, stride = features.reach(layers)
    return plan_tiles(height, width, halo=halo, stride=stride, limit=tile_pixels)


def smaller_tiles(
    features: Features,
    pictures: Iterable[tuple[Sequence[str], int, int]],
    tile_pixels: int | None,
) -> int | None:
    """A limit under which some pictures take half as large tiles; `None`: they can get no smaller.

    Args:
        features: the network.
        pictures: the layers, height and width of each, as for `tiles_of`.
        tile_pixels: the limit so far; `None`: whole pictures.
    """
    seen = list(pictures)
    before = [tiles_of(features, *picture, tile_pixels) for picture in seen]
    areas = (tile.area for tiles in before for tile in tiles)
    largest = max(((b - t) * (r - e) for t, b, e, r in areas), default=0)
    limit = max(1, largest // 2)
    after = [tiles_of(features, *picture, limit) for picture in seen]
    more = any(len(many) > len(few) for many, few in zip(after, before, strict=True))
    return limit if more else None


def _whole_features(
    features: Features, picture: Tensor, layers: Sequence[str], tile_pixels: int | None
) -> dict[str, Tensor]:
    height, width = picture.shape[-2:]
    tiles = tiles_of(features, layers, height, width, tile_pixels)
    if len(tiles) == 1:
        return features.extract(picture, layers)
    whole: dict[str, Tensor] = {}
    for tile in tiles:
        for name, found in features.extract(picture[..., *tile.pixels], layers).items():
            stride = stride_of(name)
            if name not in whole:
                shape = (1, found.shape[1], max(1, height // stride), max(1, width // stride))
                compact = found.dtype == torch.float32 and height * width > COMPACT_ABOVE
                whole[name] = torch.empty(
                    shape,
                    dtype=torch.float16 if compact else found.dtype,
                    device=found.device,
                    memory_format=torch.channels_last,
                )
            own = found[..., *tile.own(stride)]
            if own.dtype != whole[name].dtype:
                own = own.clamp_max(torch.finfo(whole[name].dtype).max).to(whole[name].dtype)
            whole[name][..., *tile.place(stride)] = own
    return whole


def _whole_moments(
    features: Features,
    picture: Tensor,
    weight: Tensor | None,
    layers: Sequence[str],
    tile_pixels: int | None,
) -> dict[str, Moments]:
    height, width = picture.shape[-2:]
    weights = {name: _shrink(weight, name, height, width, features) for name in layers}
    sums: dict[str, Moments] = {}
    for tile in tiles_of(features, layers, height, width, tile_pixels):
        for name, found in features.extract(picture[..., *tile.pixels], layers).items():
            stride, heavy = stride_of(name), weights[name]
            part = moments_of(
                found[..., *tile.own(stride)],
                None if heavy is None else heavy[tile.place(stride)],
                fast=features.fast,
            )
            sums[name] = sums[name] + part if name in sums else part
    return sums


def _shrink(
    weight: Tensor | None, layer: str, height: int, width: int, features: Features
) -> Tensor | None:
    """A weight per pixel as a weight per position: the mean over the pixels of each position."""
    if weight is None:
        return None
    stride = stride_of(layer)
    # On the CPU, because MPS pools whole multiples only.
    pixels = weight[None, None].to("cpu", features.picture_dtype)
    positions = F.adaptive_avg_pool2d(pixels, (max(1, height // stride), max(1, width // stride)))
    return positions[0, 0].to(features.device)
