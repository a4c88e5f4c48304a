"""Picture in, named loss terms and gradient out.

The objective is `J(x) = α·Σ w·content + β·Σ r·Σ w·style + γ·tv` over the layers of one level's
targets and its regions, `r` being a region's share of the area. With `normalize`, each layer's
content term is divided by the mean square of its target features and each style term by that of an
empty picture, so both are pure numbers; without, they are the papers' plain formulas.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.convolution import blank_like
from impasto.errors import is_out_of_memory
from impasto.features import Features, stride_of
from impasto.losses import (
    STYLE_LOSSES,
    TV_LOSSES,
    StyleTerm,
    between,
    blank_distance,
    variation_around,
)
from impasto.memory import hand_back
from impasto.moments import Moments
from impasto.targets import (
    RegionTargets,
    Sample,
    Targets,
    resize,
    resize_around,
    smaller_tiles,
    tiles_of,
)
from impasto.terms import LayerTerm, Part, PixelTerm
from impasto.terms.content import ContentTerm
from impasto.terms.moments import MomentTerm
from impasto.terms.nearest import MOST_SAMPLES, NearestTerm
from impasto.terms.similarity import SelfSimilarityTerm, similarity_grid
from impasto.terms.sliced import SlicedTerm, directions_for, slices_for
from impasto.tiling import Tile

STRIP_POSITIONS = 1 << 18
"""Positions that are worked on at once where what is needed of a map is no block of memory."""

SLOPE_SIZE = -4
"""The slopes that float16, which holds 6e-8 to 65504, begins its way down with have a root mean
square of about 2 to this power; with VGG19 the gradient's error is the same for −12 to 8."""

SLOPE_TRIALS = (1.0, 2.0**-6, 2.0**-12, 2.0**-18)
"""Shares of that size which are tried one after the other until nothing is too large."""

NEAREST_STRIDE = 4
"""The nearest-neighbour loss matches layers from this stride on: in block 3 and deeper. In those
before, where neighbours say little and take long to find, `wasserstein2` takes its place."""

ALIKE = {"sliced": 3.0, "histogram": 1.8, "nearest": 1.4}
"""What normalised losses are multiplied by to be about as strong as `wasserstein2`: chosen so that
two pairs at 160 to 176 px ended in about the same content loss."""

MOST_RANKED = 16384
"""Positions of a painting at most whose features stand for its distribution."""

KEPT_TERMS = 80
"""Findings about style targets that are kept for each network: those of eight levels of five
layers, whose square roots of covariances take some 40 MB in all."""

_T = TypeVar("_T")
_Watched = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Terms:
    """Loss terms of one picture, as plain numbers.

    Attributes:
        loss: the weighted sum that is minimised.
        content: `Σ w·content` over losses and layers, without α.
        style: `Σ r·Σ w·style` over regions and layers, without β.
        tv: the smoothness term, without its weight.
        layers: `content:relu4_2` or `style:relu1_1` → that layer's term, the mean over regions,
            without any other weight; where several losses are mixed, under the name of each.
        anchor: how far the picture has moved from the coarser level's, without its weight.
    """

    loss: float
    content: float
    style: float
    tv: float
    layers: dict[str, float] = field(default_factory=dict)
    anchor: float = 0.0


@dataclass(frozen=True)
class _Weighted:
    """A term of a layer and what it counts.

    Attributes:
        term: the loss.
        layer: canonical name.
        label: its name in `Terms.layers`.
        weight: of the layer and the loss, divided by the term's unit.
        unit: what the term is divided by.
        share: the region's share of the area.
        factor: α or β.
        is_style: whether it belongs to the style.
    """

    term: LayerTerm
    layer: str
    label: str
    weight: float
    unit: float
    share: float
    factor: float
    is_style: bool

    @property
    def scale(self) -> float:
        """What the term is multiplied by in the objective."""
        return self.factor * self.share * self.weight / self.unit


@dataclass(frozen=True)
class PixelLoss:
    """A loss of the whole picture's pixels and what it counts.

    Attributes:
        label: its name in `Terms.layers`.
        term: the loss.
        weight: of the loss, in the objective or, with `is_content`, within the content.
        is_content: whether it belongs to the content.
    """

    label: str
    term: PixelTerm
    weight: float
    is_content: bool = False


class Objective:
    """The function that a level minimises.

    Args:
        features: the network.
        targets: what to match; layers absent from it have no term.
        content_layers: canonical layer name → weight.
        style_layers: canonical layer name → weight.
        style_loss: a name in `losses.STYLE_LOSSES`, `sliced`, `histogram` or `nearest`, or several
            with their weights.
        normalize: divide each layer's term by its target's own size.
        content_weight: α.
        style_weight: β.
        tv_weight: γ.
        tv: a name in `losses.TV_LOSSES`.
        content_loss: `features` or `self-similarity`, or both with their weights.
        pixel_losses: what else is asked of the picture's own pixels.
        seed: of the directions of the sliced style loss.
        wraps: what lies beyond an edge of the picture is the opposite edge; its sides have to be
            multiples of the deepest layer's stride.
        anchor_weight: weight of the distance from `targets.anchor`, where there is one.
        tile_pixels: largest tile that goes through the network at once, in pixels, halo included;
            `None`: the whole picture. Every tiling gives the same terms and gradient up to
            rounding.
    """

    def __init__(
        self,
        features: Features,
        targets: Targets,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        style_loss: str | Mapping[str, float] = "gram",
        normalize: bool = True,
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        tv_weight: float = 0.0,
        tv: str = "l1",
        content_loss: str | Mapping[str, float] = "features",
        pixel_losses: Sequence[PixelLoss] = (),
        seed: int = 0,
        wraps: bool = False,
        anchor_weight: float = 1.0,
        tile_pixels: int | None = None,
    ) -> None:
        self.features = features
        self.tile_pixels = tile_pixels
        self._wraps = wraps
        self._anchor, self._anchor_weight = targets.anchor, anchor_weight
        self._anchor_unit = 1.0
        if targets.anchor is not None:
            self._anchor_unit = _unit(float(targets.anchor.var(unbiased=False)))
        self.tv_weight, self._tv, self._tv_name = tv_weight, TV_LOSSES[tv], tv
        self._kept = targets.kept
        self._normalize, self._seed = normalize, seed
        self._content_weight = content_weight
        self._pixels = [
            (one, _unit(one.term.blank()) if normalize else 1.0)
            for one in pixel_losses
            if one.weight > 0 and (content_weight > 0 or not one.is_content)
        ]
        self._weighted: list[_Weighted] = []
        if content_weight > 0:
            self._add_content(targets, content_layers, _mix(content_loss), content_weight)
        if style_weight > 0:
            for region in targets.regions:
                # What is to stay like the photo has no style to match.
                if region.strength > 0:
                    self._add_style(region, style_layers, _mix(style_loss), style_weight)
        self._names = list(dict.fromkeys(one.layer for one in self._weighted))

    def _add_content(
        self,
        targets: Targets,
        layers: Mapping[str, float],
        losses: Mapping[str, float],
        factor: float,
    ) -> None:
        for name, weight in layers.items():
            if name not in targets.content or weight <= 0:
                continue
            for loss, share in losses.items():
                if share <= 0:
                    continue
                target = targets.content[name]
                term: ContentTerm | SelfSimilarityTerm = ContentTerm(target)
                if loss == "self-similarity":
                    rows, columns = similarity_grid(target.shape[-2], target.shape[-1])
                    chosen = target[0][:, rows][:, :, columns].flatten(1).T
                    term = SelfSimilarityTerm(chosen, rows, columns)
                self._weighted.append(
                    _Weighted(
                        *(term, name, f"{'content' if loss == 'features' else loss}:{name}"),
                        weight=weight * share,
                        unit=_unit(term.blank()) if self._normalize else 1.0,
                        share=1.0,
                        factor=factor,
                        is_style=False,
                    )
                )

    def _add_style(
        self,
        region: RegionTargets,
        layers: Mapping[str, float],
        losses: Mapping[str, float],
        factor: float,
    ) -> None:
        for name, weight in layers.items():
            positions = region.weights.get(name)
            if name not in region.style or weight <= 0:
                continue
            if positions is not None and float(positions.sum()) <= 0:
                # Too small a region for so deep a layer.
                continue
            for loss, share in losses.items():
                if share <= 0:
                    continue
                near = loss == "nearest" and stride_of(name) >= NEAREST_STRIDE
                used = "wasserstein2" if loss == "nearest" and not near else loss
                term, unit = self._style_term(used, name, region, positions)
                self._weighted.append(
                    _Weighted(
                        *(term, name, f"{'style' if len(losses) == 1 else loss}:{name}"),
                        weight=weight * share,
                        unit=_unit(unit) / ALIKE.get(used, 1.0) if self._normalize else 1.0,
                        share=region.share * (region.strength if near else 1.0),
                        factor=factor,
                        is_style=True,
                    )
                )

    def _style_term(
        self, loss: str, layer: str, region: RegionTargets, positions: Tensor | None
    ) -> tuple[LayerTerm, float]:
        """The term of a layer in a region, and the loss of an empty layer to its paintings."""
        if loss == "nearest":
            nearest = NearestTerm(_fair_choice(region.samples[layer]), weight=positions)
            return nearest, nearest.blank()
        if loss in ("sliced", "histogram"):
            samples, heavy = region.samples[layer]
            directions = None
            if loss == "sliced":
                count = slices_for(samples.shape[1], stride_of(layer))
                directions = directions_for(samples.shape[1], count, self._seed)
            origin = region.origin_samples.get(layer)
            sliced = SlicedTerm(
                samples,
                weight=positions,
                sample_weight=heavy,
                directions=directions,
                origin=None if origin is None else origin.features,
                origin_weight=None if origin is None else origin.weight,
                strength=region.strength,
            )
            return sliced, SlicedTerm(samples, sample_weight=heavy, directions=directions).blank()
        make, fast = partial(_term_of, self.features, loss), self.features.fast
        target = region.style[layer]
        unit = _blank_of(self.features, loss, target)
        if layer in region.origin:
            target = between(loss, region.origin[layer], target, region.strength)
        return MomentTerm(make, target, positions, fast=fast), unit

    def terms(self, picture: Tensor) -> Terms:
        """The loss terms of `picture`, `(1, 3, H, W)`."""
        picture = self._whole(picture)
        return self._within_memory(picture, lambda tiles: self._look(picture, tiles))

    def evaluate(self, picture: Tensor) -> tuple[Terms, Tensor]:
        """The loss terms and `∂J/∂x`.

        The losses are differentiated with respect to the moments alone; each layer's features get
        their share of the gradient when the backward pass reaches them, so that no more than one
        such share is in memory at a time. A picture of several tiles is gone through twice: once
        for the sums over all tiles, once for the gradient that follows from them. Where memory runs
        out, the tiles become smaller, and `tile_pixels` with them.

        Where the network computes in 16 bits, terms, statistics and gradient are in float32 all
        the same. float16 holds no number below 6e-8, and slopes of means over many positions are
        smaller: they go down multiplied by a power of two that follows from their size.

        Args:
            picture: `(1, 3, H, W)`, sRGB in [0, 1] (values beyond are allowed).

        Returns:
            The terms and a gradient of the picture's shape. What float16 cannot hold in any scale
            is not finite.
        """
        picture = self._whole(picture)
        terms, gradient = self._within_memory(picture, lambda tiles: self._evaluate(picture, tiles))
        if self._kept is not None:
            gradient.mul_(1 - self._kept.mask)
        return terms, gradient

    def _whole(self, picture: Tensor) -> Tensor:
        """The picture with what is kept of the photo, which is what counts."""
        return picture if self._kept is None else self._kept.put_into(picture)

    def _evaluate(self, picture: Tensor, tiles: Sequence[Tile]) -> tuple[Terms, Tensor]:
        gradient = torch.zeros_like(picture)
        watched: _Watched | None = None
        if len(tiles) == 1:
            # One pass: the features that are summed are those that the gradient goes through.
            watched = self._watch(picture, tiles[0])
            self._begin(picture)
            self._see(watched[1], tiles[0])
            terms = self._match(picture, gradient)
        else:
            terms = self._look(picture, tiles, gradient)
        if self.features.dtype == torch.float16:
            self._descend_scaled(picture, tiles, watched, gradient)
            return terms, gradient
        for tile in tiles:
            x, found = watched or self._watch(picture, tile)
            watched = None
            self._descend(x, found, 1.0, tile, gradient)
        return terms, gradient

    def _descend_scaled(
        self,
        picture: Tensor,
        tiles: Sequence[Tile],
        watched: _Watched | None,
        gradient: Tensor,
    ) -> None:
        """`_descend` for all tiles, with slopes that float16 can hold all the way down.

        The scale follows from this picture alone, so that a run which is resumed takes the same.
        """
        sizes = dict.fromkeys(self._names, 0.0)
        for one in self._weighted:
            sizes[one.layer] += one.term.slope_size() * one.scale
        largest = max(sizes.values(), default=0.0)
        power = SLOPE_SIZE - round(math.log2(largest)) if 0 < largest < math.inf else 0
        fitting = 2.0 ** max(-100, min(100, power))
        share, scale = torch.full_like(picture, math.nan), 1.0
        for smaller in SLOPE_TRIALS:
            scale = fitting * smaller
            share = torch.zeros_like(picture)
            for tile in tiles:
                x, found = watched or self._watch(picture, tile)
                watched = None
                self._descend(x, found, scale, tile, share)
            if bool(torch.isfinite(share).all()):
                break
        gradient.add_(share, alpha=1 / scale)

    def _look(
        self, picture: Tensor, tiles: Sequence[Tile], gradient: Tensor | None = None
    ) -> Terms:
        self._begin(picture)
        with torch.no_grad():
            for tile in tiles:
                found = self.features.extract(_taken(picture, tile), self._names)
                self._see(found, tile)
                # Before the next tile is seen.
                del found
        return self._match(picture, gradient)

    def _watch(self, picture: Tensor, tile: Tile) -> _Watched:
        """A tile's features, differentiable with respect to its pixels."""
        with torch.enable_grad():
            x = _taken(picture, tile).detach().requires_grad_()
            return x, self.features.extract(x, self._names)

    def _descend(
        self,
        x: Tensor,
        found: dict[str, Tensor],
        scale: float,
        tile: Tile,
        gradient: Tensor,
    ) -> None:
        """Adds a tile's share, halo included, to the picture's gradient; empties `found`.

        Args:
            x: the tile's pixels.
            found: its features.
            scale: what all slopes are multiplied by.
            tile: where it is.
            gradient: of the whole picture.
        """
        if not found:
            return
        *others, deepest = found
        for name in others:
            share = partial(
                self._pull, layer=name, features=found[name].detach(), tile=tile, scale=scale
            )
            found[name].register_hook(share)
        top = found.pop(deepest)
        seed = self._pull(blank_like(top), deepest, top.detach(), tile, scale)
        found.clear()
        with torch.enable_grad():
            value = cast("Tensor", _Seeded.apply(top, seed))
        (slope,) = torch.autograd.grad(value, x)
        _add_at(gradient, tile, slope)

    def _pull(
        self, gradient: Tensor, layer: str, features: Tensor, tile: Tile, scale: float
    ) -> Tensor:
        """Adds what a layer's own terms say of a tile's own positions to what has come down there.

        In place where it can.
        """
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for own, place in _strips(layer, tile):
            for one in self._weighted:
                if one.layer == layer:
                    here = features[..., *own], place, gradient[..., *own]
                    one.term.pull(*here, one.scale * scale)
        return gradient

    def _within_memory(self, picture: Tensor, work: Callable[[Sequence[Tile]], _T]) -> _T:
        height, width = picture.shape[-2:]
        while True:
            tiles = self.tiles(height, width)
            try:
                return work(tiles)
            except (MemoryError, RuntimeError) as error:
                picture_of = [(self._names, height, width)]
                smaller = smaller_tiles(self.features, picture_of, self.tile_pixels)
                if smaller is None or not is_out_of_memory(error):
                    raise
            self.tile_pixels = smaller
            hand_back(self.features.device)

    def tiles(self, height: int, width: int) -> Sequence[Tile]:
        """The tiles in which a picture of this size goes through the network."""
        return tiles_of(
            self.features, self._names, height, width, self.tile_pixels, wraps=self._wraps
        )

    def _begin(self, picture: Tensor) -> None:
        height, width = picture.shape[-2:]
        for one in self._weighted:
            stride = stride_of(one.layer)
            one.term.begin(max(1, height // stride), max(1, width // stride))

    def _see(self, found: Mapping[str, Tensor], tile: Tile) -> None:
        """Shows each term what a tile's own positions hold."""
        for name, tensor in found.items():
            features = tensor.detach()
            for own, place in _strips(name, tile):
                for one in self._weighted:
                    if one.layer == name:
                        one.term.see(features[..., *own], place)

    def _match(self, picture: Tensor, gradient: Tensor | None) -> Terms:
        """The terms of what all tiles have shown.

        The terms of the pixels themselves add theirs to `gradient` at once.
        """
        layers: dict[str, float] = {}
        content_sum = style_sum = loss = 0.0
        for one in self._weighted:
            value = one.term.settle(slopes=gradient is not None) / one.unit * one.share
            layers[one.label] = layers.get(one.label, 0.0) + value
            if one.is_style:
                style_sum += one.weight * value
            else:
                content_sum += one.weight * value
            loss += one.factor * one.weight * value
        tv = self._smooth(picture, gradient) if self.tv_weight > 0 else 0.0
        anchor = (
            0.0
            if self._anchor is None or self._anchor_weight == 0
            else self._hold(picture, self._anchor, gradient)
        )
        for pixel, unit in self._pixels:
            scale = pixel.weight * (self._content_weight if pixel.is_content else 1.0)
            value = pixel.term.evaluate(picture, gradient, scale / unit) / unit
            layers[pixel.label] = value
            if pixel.is_content:
                content_sum += pixel.weight * value
            loss += scale * value
        loss += self.tv_weight * tv + self._anchor_weight * anchor
        return Terms(loss, content_sum, style_sum, tv, layers, anchor)

    def _smooth(self, picture: Tensor, gradient: Tensor | None) -> float:
        """The smoothness term, in strips of rows; its slope is added to `gradient`."""
        if self._wraps:
            with torch.set_grad_enabled(gradient is not None):
                x = picture.detach().requires_grad_(gradient is not None)
                value = variation_around(x, self._tv_name)
            if gradient is not None:
                (slope,) = torch.autograd.grad(value, x)
                gradient.add_(slope, alpha=self.tv_weight)
            return float(value.detach())
        height, width = picture.shape[-2:]
        step = max(1, STRIP_POSITIONS // width)
        total = 0.0
        for top in range(0, height, step):
            # With the first row of the next strip, for the differences between the two.
            rows = slice(top, min(height, top + step + 1))
            below = top + step < height
            with torch.set_grad_enabled(gradient is not None):
                x = picture[..., rows, :].detach().requires_grad_(gradient is not None)
                value = self._tv(x, height, below=below)
            total += float(value.detach())
            if gradient is not None:
                (slope,) = torch.autograd.grad(value, x)
                gradient[..., rows, :].add_(slope, alpha=self.tv_weight)
        return total

    def _hold(self, picture: Tensor, anchor: Tensor, gradient: Tensor | None) -> float:
        """The distance from the anchor; its slope is added to `gradient`."""
        with torch.set_grad_enabled(gradient is not None):
            x = picture.detach().requires_grad_(gradient is not None)
            fit = resize_around if self._wraps else resize
            small = fit(x, anchor.shape[-2], anchor.shape[-1])
            value = (small - anchor).square().mean() / self._anchor_unit
        if gradient is not None:
            (slope,) = torch.autograd.grad(value, x)
            gradient.add_(slope, alpha=self._anchor_weight)
        return float(value.detach())


class _Seeded(torch.autograd.Function):
    """A nothing with a given gradient. Handing that gradient to torch would have it import a
    library of symbolic mathematics, to compare shapes."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, seed: Tensor) -> Tensor:
        ctx.save_for_backward(seed)
        return features.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *_: Tensor
    ) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0], None


def _around(tile: Tile, device: torch.device) -> tuple[Tensor, Tensor]:
    """The rows and columns of a tile's area in a picture that wraps around."""
    top, bottom, left, right = tile.area
    rows = torch.arange(top, bottom, device=device) % tile.height
    return rows, torch.arange(left, right, device=device) % tile.width


def _taken(picture: Tensor, tile: Tile) -> Tensor:
    """The pixels of a tile, halo included."""
    if not tile.wraps:
        return picture[..., *tile.pixels]
    rows, columns = _around(tile, picture.device)
    return picture.index_select(-2, rows).index_select(-1, columns)


def _add_at(gradient: Tensor, tile: Tile, slope: Tensor) -> None:
    """Adds a tile's gradient, halo included, to that of the picture."""
    if not tile.wraps:
        gradient[..., *tile.pixels].add_(slope)
        return
    rows, columns = _around(tile, gradient.device)
    folded = slope.new_zeros(*slope.shape[:-2], tile.height, slope.shape[-1])
    gradient.index_add_(-1, columns, folded.index_add_(-2, rows, slope))


def _strips(layer: str, tile: Tile) -> Iterator[tuple[Part, Part]]:
    """A tile's own positions, in strips of rows: where they are in its features, where in all."""
    stride = stride_of(layer)
    (rows, columns), (far, across) = tile.own(stride), tile.place(stride)
    step = max(1, STRIP_POSITIONS // max(1, columns.stop - columns.start))
    for start in range(rows.start, rows.stop, step):
        stop = min(rows.stop, start + step)
        shift = far.start - rows.start
        yield (slice(start, stop), columns), (slice(start + shift, stop + shift), across)


def _fair_choice(sample: Sample) -> Tensor:
    """Features that all count alike, chosen from some that count differently: `(m, C)`.

    So many are left as count in effect, `(Σ w)² / Σ w²`, and the same ones for the same weights.
    """
    weight = sample.weight.double()
    if bool((weight == weight[0]).all()):
        return sample.features
    count = int((weight.sum().square() / weight.square().sum()).clamp(1, MOST_SAMPLES))
    generator = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(weight.cpu(), count, generator=generator).sort().values
    return sample.features[chosen.to(sample.features.device)]


def _mix(losses: str | Mapping[str, float]) -> dict[str, float]:
    return {losses: 1.0} if isinstance(losses, str) else dict(losses)


def samples_for(losses: Mapping[str, float], layers: Iterable[str]) -> dict[str, int]:
    """How many positions of a painting some style losses need to see of each layer.

    Args:
        losses: name → weight.
        layers: canonical names.
    """
    used = {name for name, weight in losses.items() if weight > 0}
    if used & {"sliced", "histogram"}:
        return dict.fromkeys(layers, MOST_RANKED)
    if "nearest" in used:
        near = (name for name in layers if stride_of(name) >= NEAREST_STRIDE)
        return dict.fromkeys(near, MOST_SAMPLES)
    return {}


_TERMS: WeakKeyDictionary[Features, OrderedDict[tuple[Any, ...], Any]] = WeakKeyDictionary()
"""Network → what its last objectives have found out about style targets."""


def _term_of(features: Features, loss: str, target: Moments) -> StyleTerm:
    """The style term of a target, found once for all objectives that share a network."""
    return _once(features, ("term", loss, target), lambda: STYLE_LOSSES[loss](target))


def _blank_of(features: Features, loss: str, target: Moments) -> float:
    """The style loss of an empty layer to a target, found once likewise."""
    make = partial(_term_of, features, loss)
    return _once(features, ("blank", loss, target), lambda: float(blank_distance(make, target)))


def _once(features: Features, about: tuple[str, str, Moments], find: Callable[[], _T]) -> _T:
    """What depends on a style target alone, such as its eigenvalues, which at 256 px take longer
    than all else before the first evaluation.

    A target is known by its exact numbers, whatever picture, region or mix it comes from. Runs of
    other paintings, levels or losses are told apart by them, and the last ones stay.
    """
    what, loss, target = about
    if target.first.device.type == "meta":
        # Shapes without numbers, which tests of devices run on.
        return find()
    digest = hashlib.blake2b()
    for numbers in (target.count, target.first, target.second):
        digest.update(f"{numbers.dtype}{tuple(numbers.shape)}".encode())
        digest.update(numbers.detach().cpu().contiguous().numpy().data)
    # Eigenvalues found with another number of threads may differ in their last bits.
    key = (what, loss, digest.digest(), torch.get_num_threads())
    kept = _TERMS.setdefault(features, OrderedDict())
    if key not in kept:
        kept[key] = find()
    kept.move_to_end(key)
    while len(kept) > KEPT_TERMS:
        kept.popitem(last=False)
    return kept[key]


def _unit(value: float) -> float:
    # A target without any activation would make the unit zero; its plain term is used then.
    return value if value > 0 else 1.0
