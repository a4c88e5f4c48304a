"""What each level must match: the photo's features and, in each region, its paintings' moments.

Pictures in, targets out; nothing here knows the picture that is being made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import OptionError, is_out_of_memory
from impasto.features import Features, layers_of, stride_of
from impasto.memory import COMPACT_ABOVE, hand_back
from impasto.moments import Moments, mix_moments, moments_of
from impasto.tiling import Tile, plan_tiles


class Painting(NamedTuple):
    """A style picture.

    Attributes:
        picture: `(1, 3, h, w)` in [0, 1].
        weight: how much each of its pixels counts, `(h, w)` in [0, 1] with a positive sum; `None`:
            all alike.
        scale: its long side in units of the long side of the picture that is made.
    """

    picture: Tensor
    weight: Tensor | None = None
    scale: float = 1.0

    def to(self, device: torch.device, dtype: torch.dtype) -> Painting:
        """The same on a device, in a number format."""
        weight = None if self.weight is None else self.weight.to(device, dtype)
        return Painting(self.picture.to(device, dtype), weight, self.scale)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.picture.nbytes + (0 if self.weight is None else self.weight.nbytes)


@dataclass(frozen=True)
class Region:
    """A part of the picture and what it is painted like.

    Attributes:
        paintings: at least one, if style counts at all.
        shares: share of each painting in the blend.
        mask: how much each pixel belongs to the region, `(H, W)` in [0, 1] at any size; the masks
            of all regions add up to 1 at most. `None`: the whole picture.
        strength: how far to go from the photo's own statistics, 0, to the paintings', 1.
    """

    paintings: Sequence[Painting]
    shares: Sequence[float]
    mask: Tensor | None = None
    strength: float = 1.0


class Sample(NamedTuple):
    """Features at some positions of a layer, `(n, C)`, and how much each counts, `(n,)` > 0."""

    features: Tensor
    weight: Tensor


@dataclass(frozen=True)
class RegionTargets:
    """What one region of a level must match.

    Attributes:
        style: layer → moments of the blend of paintings.
        weights: layer → how much each position belongs to the region, `(h, w)` in [0, 1]; empty
            where it is the whole picture.
        share: the region's share of the picture's area.
        strength: as in `Region`.
        origin: layer → moments of the photo in the region; empty where the strength is 1.
        samples: layer → features of the blend, for losses that moments do not suffice for.
        origin_samples: the same of the photo in the region.
    """

    style: dict[str, Moments]
    weights: dict[str, Tensor] = field(default_factory=dict)
    share: float = 1.0
    strength: float = 1.0
    origin: dict[str, Moments] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    origin_samples: dict[str, Sample] = field(default_factory=dict)


class Kept(NamedTuple):
    """A part of the photo that stays as it is: how much each pixel belongs to it, `(1, 1, H, W)`
    in [0, 1], and the photo `(1, 3, H, W)`."""

    mask: Tensor
    photo: Tensor

    def put_into(self, picture: Tensor) -> Tensor:
        """The picture with that part of the photo, `(1, 3, H, W)`."""
        return torch.lerp(picture, self.photo, self.mask.expand_as(picture))


@dataclass(frozen=True)
class Targets:
    """What one level must match.

    Attributes:
        content: layer → features of the photo `(1, C, h, w)`.
        regions: what each region must match.
        anchor: the coarser level's result `(1, 3, h, w)`, which the picture must resemble when it
            is shrunk to that size; `None`: none.
        kept: what of the photo stays as it is; `None`: nothing.
        tile_pixels: largest tile that they could be made with, in pixels; `None`: whole pictures.
    """

    content: dict[str, Tensor]
    regions: tuple[RegionTargets, ...] = ()
    anchor: Tensor | None = None
    kept: Kept | None = None
    tile_pixels: int | None = None


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


def resize_around(picture: Tensor, height: int, width: int) -> Tensor:
    """`resize` of a picture that wraps around: the result does so too, without a seam.

    Args: as for `resize`.
    """
    for dim, length in (-2, height), (-1, width):
        size = list(picture.shape[-2:])
        thrice = torch.cat([picture] * 3, dim=dim)
        size[dim] = 3 * length
        picture = resize(thrice, *size).narrow(dim, length, length)
    return picture


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Resampling of a mask `(H, W)` that stays in [0, 1], and keeps sums of masks.

    Args:
        mask: any size.
        height: new height, px.
        width: new width, px.
    """
    if mask.shape == (height, width):
        return mask
    return F.interpolate(
        mask[None, None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )[0, 0].clamp(0, 1)


def level_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with the given long side and the same shape, at least 1 px each."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def make_targets(
    features: Features,
    content: Tensor | None,
    regions: Sequence[Region],
    *,
    height: int,
    width: int,
    content_layers: Iterable[str],
    style_layers: Iterable[str],
    samples: Mapping[str, int] | None = None,
    enlarge: float = math.inf,
    tile_pixels: int | None = None,
) -> Targets:
    """Targets of one level. Where memory runs out, all are made anew with smaller tiles.

    Args:
        features: the network.
        content: the photo at this level's size, `(1, 3, H, W)`; `None` leaves content out.
        regions: what is painted like what. Each painting is brought to its share of the level's
            long side, so that brush strokes keep their size relative to the picture at every level.
        height: of the level, px.
        width: of the level, px.
        content_layers: canonical names.
        style_layers: canonical names.
        samples: layer → most positions of a picture whose features are kept for losses that
            moments do not suffice for.
        enlarge: how many times a painting that is smaller than the level is enlarged at most.
        tile_pixels: largest tile that goes through the network at once, in pixels, halo included;
            `None`: whole pictures.

    Raises:
        OptionError: the network is to run in float16, which cannot hold these pictures' features.
    """
    style_names, content_names = list(style_layers), list(content_layers)
    wanted = dict(samples or {})
    side = max(height, width)
    from_photo = content is not None and any(r.strength < 1 for r in regions)

    def size_of(painting: Painting) -> tuple[int, int]:
        shape = painting.picture.shape
        long = round(min(side * painting.scale, enlarge * max(shape[-2:])))
        return level_size(shape[-1], shape[-2], max(1, long))

    def see(picture: Tensor, weight: Tensor | None, tile_pixels: int | None) -> _Seen:
        weights = {} if weight is None else spread(weight, style_names, features)
        # What is visible may lie where an odd size leaves the pooling nothing.
        weights = {name: heavy for name, heavy in weights.items() if float(heavy.sum()) > 0}
        return _look(features, picture, weights, style_names, wanted, tile_pixels)

    def make_region(region: Region, tile_pixels: int | None) -> RegionTargets:
        parts = []
        for painting in region.paintings:
            across, down = size_of(painting)
            brought = resize(painting.picture, down, across).clamp(0, 1)
            weight = None
            if painting.weight is not None:
                weight = resize_mask(painting.weight.to(features.picture_dtype), down, across)
            parts.append(see(brought, weight, tile_pixels))
        mask, weights, share = region.mask, dict[str, Tensor](), 1.0
        if mask is not None:
            mask = resize_mask(mask.to(features.device, features.picture_dtype), height, width)
            weights, share = spread(mask, style_names, features), float(mask.mean())
        photo = _Seen({}, {})
        if region.strength < 1 and content is not None:
            photo = _look(features, content, weights, style_names, wanted, tile_pixels)
        shares = list(region.shares)
        return RegionTargets(
            style={
                name: mix_moments([part.moments[name] for part in parts], shares)
                for name in (style_names if parts else ())
            },
            weights=weights,
            share=share,
            strength=region.strength,
            origin=photo.moments,
            samples={
                name: _mix_samples([part.samples[name] for part in parts], shares)
                for name in (wanted if parts else ())
            },
            origin_samples=photo.samples,
        )

    def make(tile_pixels: int | None) -> Targets:
        whole = {}
        if content is not None:
            whole = _whole_features(features, content, content_names, tile_pixels)
        made = tuple(make_region(region, tile_pixels) for region in regions)
        if features.dtype == torch.float16:
            kept = [*whole.values(), *(m.second for one in made for m in one.style.values())]
            if not all(bool(torch.isfinite(numbers).all()) for numbers in kept):
                raise OptionError(
                    "--precision float16: the features of these pictures are too large for it; use "
                    "bfloat16 or float32"
                )
        return Targets(whole, made, tile_pixels=tile_pixels)

    sizes = [size_of(painting) for region in regions for painting in region.paintings]
    seen = [(style_names, down, across) for across, down in sizes]
    if content is not None:
        photo_names = [*content_names, *(style_names if from_photo else ())]
        seen.append((photo_names, content.shape[-2], content.shape[-1]))
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


def spread(mask: Tensor, layers: Iterable[str], features: Features) -> dict[str, Tensor]:
    """How much each position of some layers belongs to a mask.

    The mask goes through the network's own geometry, each convolution and each pooling a mean over
    its window (Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017, section 4, propagate it likewise).
    Masks that add up to 1 do so at every layer: between two regions no position is left out.

    Args:
        mask: `(H, W)` in [0, 1], at the picture's size.
        layers: canonical names.
        features: the network.

    Returns:
        Layer → `(h, w)` in [0, 1], on the network's device.
    """
    wanted, found = set(layers), dict[str, Tensor]()
    # On the CPU, because MPS pools whole multiples only.
    x = mask[None, None].to("cpu", features.picture_dtype)
    for index, layer in enumerate(layers_of(features.architecture)):
        if len(found) == len(wanted):
            break
        if layer.name.endswith("_1") and index:
            x = F.avg_pool2d(x, (min(2, x.shape[-2]), min(2, x.shape[-1])))
        x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        if layer.name in wanted:
            found[layer.name] = x[0, 0].to(features.device)
    return found


def tiles_of(
    features: Features,
    layers: Sequence[str],
    height: int,
    width: int,
    tile_pixels: int | None,
    *,
    wraps: bool = False,
) -> Sequence[Tile]:
    """The tiles in which a picture goes through the network down to the deepest of some layers.

    Args:
        features: the network.
        layers: canonical names; none are seen by one tile.
        height: of the picture, px.
        width: of the picture, px.
        tile_pixels: largest tile, in pixels, halo included; `None`: the whole picture.
        wraps: what lies beyond an edge is the opposite edge.
    """
    if not layers or (tile_pixels is None and not wraps):
        return plan_tiles(height, width, halo=0, stride=1, limit=height * width)
    halo, stride = features.reach(layers)
    if tile_pixels is None:
        tile_pixels = (height + 4 * halo) * (width + 4 * halo)
    return plan_tiles(height, width, halo=halo, stride=stride, limit=tile_pixels, wraps=wraps)


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


class _Seen(NamedTuple):
    """What a picture's style layers say of it."""

    moments: dict[str, Moments]
    samples: dict[str, Sample]


def _look(
    features: Features,
    picture: Tensor,
    weights: Mapping[str, Tensor],
    layers: Sequence[str],
    wanted: Mapping[str, int],
    tile_pixels: int | None,
) -> _Seen:
    """The moments of some layers, and the features at a grid of positions of others.

    Args:
        features: the network.
        picture: `(1, 3, H, W)`.
        weights: layer → weight of each position; empty for all alike.
        layers: canonical names.
        wanted: layer → most positions of it that are kept.
        tile_pixels: largest tile.
    """
    height, width = picture.shape[-2:]
    sums: dict[str, Moments] = {}
    rows: dict[str, list[Tensor]] = {name: [] for name in wanted}
    heavy: dict[str, list[Tensor]] = {name: [] for name in wanted}
    for tile in tiles_of(features, layers, height, width, tile_pixels):
        for name, found in features.extract(picture[..., *tile.pixels], layers).items():
            stride = stride_of(name)
            own, place, weight = found[..., *tile.own(stride)], tile.place(stride), None
            if name in weights:
                weight = weights[name][place]
                if not bool(weight.any()):
                    continue
            part = moments_of(own, weight, fast=features.fast)
            sums[name] = sums[name] + part if name in sums else part
            if name in wanted:
                down, across = max(1, height // stride), max(1, width // stride)
                area = float(weights[name].sum()) if name in weights else down * across
                step = math.ceil(math.sqrt(max(1.0, area / wanted[name])))
                grid = _on_grid(place[0], down, step), _on_grid(place[1], across, step)
                chosen = own[0][:, grid[0], grid[1]].flatten(1).T.clone()
                counts = chosen.new_ones(len(chosen)) if weight is None else weight[grid].flatten()
                rows[name].append(chosen[counts > 0])
                heavy[name].append(counts[counts > 0])
    samples = {name: Sample(torch.cat(rows[name]), torch.cat(heavy[name])) for name in wanted}
    for name, sample in samples.items():
        if len(sample.weight) == 0:
            # A mask so thin that the grid misses it.
            mean = sums[name].mean[None]
            samples[name] = Sample(mean, mean.new_ones(1))
    return _Seen(sums, samples)


def _on_grid(part: slice, length: int, step: int) -> slice:
    """Every `step`-th of a map's rows, as far as they are in a part, counted from its first one."""
    first = -(part.start - min(step // 2, length - 1)) % step
    return slice(first, part.stop - part.start, step)


def _mix_samples(parts: Sequence[Sample], shares: Sequence[float]) -> Sample:
    """The features of a blend: those of all paintings, whose weights add up to their shares."""
    total = float(sum(shares))
    weights = [
        part.weight * (share / total / part.weight.sum())
        for part, share in zip(parts, shares, strict=True)
    ]
    counted = [index for index, share in enumerate(shares) if share > 0]
    return Sample(
        torch.cat([parts[index].features for index in counted]),
        torch.cat([weights[index] for index in counted]),
    )
