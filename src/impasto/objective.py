"""Picture in, named loss terms and gradient out.

The objective is `J(x) = α·Σ w·content + β·Σ w·style + γ·tv` over the layers of one level's
targets. With `normalize`, each layer's content term is divided by the mean square of its target
features and each style term by that of an empty picture, so both are pure numbers; without, they
are the papers' plain formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.convolution import add_product, blank_like
from impasto.errors import is_out_of_memory
from impasto.features import Features, stride_of
from impasto.losses import STYLE_LOSSES, TV_LOSSES, StyleTerm, blank_distance
from impasto.memory import hand_back
from impasto.moments import Moments, moments_of, widened
from impasto.targets import Targets, resize, smaller_tiles, tiles_of
from impasto.tiling import Tile

STRIP_POSITIONS = 1 << 18
"""Positions that are worked on at once where what is needed of a map is no block of memory."""

SLOPE_SIZE = -4
"""The slopes that float16, which holds 6e-8 to 65504, begins its way down with have a root mean
square of about 2 to this power; with VGG19 the gradient's error is the same for −12 to 8."""

SLOPE_TRIALS = (1.0, 2.0**-6, 2.0**-12, 2.0**-18)
"""Shares of that size which are tried one after the other until nothing is too large."""

_T = TypeVar("_T")
_Watched = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Terms:
    """Loss terms of one picture, as plain numbers.

    Attributes:
        loss: the weighted sum that is minimised.
        content: `Σ w·content` over layers, without α.
        style: `Σ w·style` over layers, without β.
        tv: the smoothness term, without its weight.
        layers: `content:relu4_2` or `style:relu1_1` → that layer's term without any weight.
        anchor: how far the picture has moved from the coarser level's, without its weight.
    """

    loss: float
    content: float
    style: float
    tv: float
    layers: dict[str, float] = field(default_factory=dict)
    anchor: float = 0.0


class Objective:
    """The function that a level minimises.

    Args:
        features: the network.
        targets: what to match; layers absent from it have no term.
        content_layers: canonical layer name → weight.
        style_layers: canonical layer name → weight.
        style_loss: a name in `losses.STYLE_LOSSES`.
        normalize: divide each layer's term by its target's own size.
        content_weight: α.
        style_weight: β.
        tv_weight: γ.
        tv: a name in `losses.TV_LOSSES`.
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
        style_loss: str = "gram",
        normalize: bool = True,
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        tv_weight: float = 0.0,
        tv: str = "l1",
        anchor_weight: float = 1.0,
        tile_pixels: int | None = None,
    ) -> None:
        self.features = features
        self.tile_pixels = tile_pixels
        self._anchor, self._anchor_weight = targets.anchor, anchor_weight
        self._anchor_unit = 1.0
        if targets.anchor is not None:
            self._anchor_unit = _unit(float(targets.anchor.var(unbiased=False)))
        self.content_weight, self.style_weight = content_weight, style_weight
        self.tv_weight, self._tv = tv_weight, TV_LOSSES[tv]
        loss = STYLE_LOSSES[style_loss]
        self._content = {
            name: (weight, targets.content[name], 1.0)
            for name, weight in content_layers.items()
            if name in targets.content and weight > 0
        }
        self._style: dict[str, tuple[float, StyleTerm, float]] = {
            name: (weight, loss(targets.style[name]), 1.0)
            for name, weight in style_layers.items()
            if name in targets.style and weight > 0
        }
        if normalize:
            self._content = {
                name: (weight, target, _unit(_mean_square(target)))
                for name, (weight, target, _) in self._content.items()
            }
            self._style = {
                name: (weight, term, _unit(float(blank_distance(loss, targets.style[name]))))
                for name, (weight, term, _) in self._style.items()
            }

    def terms(self, picture: Tensor) -> Terms:
        """The loss terms of `picture`, `(1, 3, H, W)`."""
        return self._within_memory(picture, lambda tiles: self._look(picture, tiles)[0])

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
        return self._within_memory(picture, lambda tiles: self._evaluate(picture, tiles))

    def _evaluate(self, picture: Tensor, tiles: Sequence[Tile]) -> tuple[Terms, Tensor]:
        gradient = torch.zeros_like(picture)
        watched: _Watched | None = None
        if len(tiles) == 1:
            # One pass: the features that are summed are those that the gradient goes through.
            watched = self._watch(picture, tiles[0])
            sums = _Sums()
            self._add(sums, watched[1], tiles[0])
            terms, seeds = self._match(picture, sums, gradient)
        else:
            terms, seeds = self._look(picture, tiles, gradient)
        if self.features.dtype == torch.float16:
            self._descend_scaled(picture, tiles, watched, seeds, gradient)
            return terms, gradient
        for tile in tiles:
            x, found = watched or self._watch(picture, tile)
            self._descend(x, found, seeds, tile, gradient)
        return terms, gradient

    def _descend_scaled(
        self,
        picture: Tensor,
        tiles: Sequence[Tile],
        watched: _Watched | None,
        seeds: Mapping[str, _Seed],
        gradient: Tensor,
    ) -> None:
        """`_descend` for all tiles, with slopes that float16 can hold all the way down.

        The scale follows from this picture alone, so that a run which is resumed takes the same.
        """
        largest = max((seed.size for seed in seeds.values()), default=0.0)
        power = SLOPE_SIZE - round(math.log2(largest)) if 0 < largest < math.inf else 0
        fitting = 2.0 ** max(-100, min(100, power))
        share, scale = torch.full_like(picture, math.nan), 1.0
        for smaller in SLOPE_TRIALS:
            scale = fitting * smaller
            scaled = {name: seed.times(scale) for name, seed in seeds.items()}
            share = torch.zeros_like(picture)
            for tile in tiles:
                x, found = watched or self._watch(picture, tile)
                watched = None
                self._descend(x, found, scaled, tile, share)
            if bool(torch.isfinite(share).all()):
                break
        gradient.add_(share, alpha=1 / scale)

    def _look(
        self, picture: Tensor, tiles: Sequence[Tile], gradient: Tensor | None = None
    ) -> tuple[Terms, dict[str, _Seed]]:
        sums = _Sums()
        with torch.no_grad():
            for tile in tiles:
                found = self.features.extract(picture[..., *tile.pixels], self._names)
                self._add(sums, found, tile)
                # Before the next tile is seen.
                del found
        return self._match(picture, sums, gradient)

    def _watch(self, picture: Tensor, tile: Tile) -> _Watched:
        """A tile's features, differentiable with respect to its pixels."""
        with torch.enable_grad():
            x = picture[..., *tile.pixels].detach().requires_grad_()
            return x, self.features.extract(x, self._names)

    def _descend(
        self,
        x: Tensor,
        found: dict[str, Tensor],
        seeds: Mapping[str, _Seed],
        tile: Tile,
        gradient: Tensor,
    ) -> None:
        """Adds a tile's share, halo included, to the picture's gradient; empties `found`."""
        if not found:
            return
        *others, deepest = found
        for name in others:
            share = partial(seeds[name].add_to, features=found[name].detach(), tile=tile)
            found[name].register_hook(share)
        top = found.pop(deepest)
        seed = seeds[deepest].add_to(blank_like(top), top.detach(), tile)
        found.clear()
        with torch.enable_grad():
            value = cast("Tensor", _Seeded.apply(top, seed))
        (slope,) = torch.autograd.grad(value, x)
        gradient[..., *tile.pixels].add_(slope)

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
        return tiles_of(self.features, self._names, height, width, self.tile_pixels)

    @property
    def _names(self) -> list[str]:
        content = self._content if self.content_weight > 0 else {}
        style = self._style if self.style_weight > 0 else {}
        return [*content, *style]

    def _add(self, sums: _Sums, found: Mapping[str, Tensor], tile: Tile) -> None:
        """Adds what a tile's own positions contribute to the sums over the picture."""
        for name, tensor in found.items():
            features = tensor.detach()
            if self.content_weight > 0 and name in self._content:
                target = self._content[name][1]
                for own, place in _strips(name, tile):
                    part = widened(features[..., *own])
                    error = part - target[..., *place].to(part)
                    sums.add_squares(name, float(error.square().sum()))
            if self.style_weight > 0 and name in self._style:
                for own, _ in _strips(name, tile):
                    part = moments_of(features[..., *own], fast=self.features.fast)
                    sums.add_moments(name, part)

    def _match(
        self, picture: Tensor, sums: _Sums, gradient: Tensor | None
    ) -> tuple[Terms, dict[str, _Seed]]:
        """The terms that follow from the sums, and each layer's share of the gradient.

        The terms of the pixels themselves add theirs to `gradient` at once.
        """
        layers: dict[str, float] = {}
        seeds = {name: _Seed(name, self.features.fast) for name in self._names}
        content_sum = style_sum = 0.0
        if self.content_weight > 0:
            for name, (weight, target, unit) in self._content.items():
                value = sums.squares[name] / target.numel() / unit
                layers[f"content:{name}"] = value
                content_sum += weight * value
                seeds[name].target = target
                seeds[name].pull = 2 * self.content_weight * weight / unit / target.numel()
        if self.style_weight > 0:
            for name, (weight, term, unit) in self._style.items():
                value, slopes = _style_slopes(term, sums.moments[name])
                layers[f"style:{name}"] = value / unit
                style_sum += weight * value / unit
                scale = self.style_weight * weight / unit
                seeds[name].constant = slopes[0] * scale
                seeds[name].linear = (slopes[1] + slopes[1].T) * scale
        if self.features.dtype == torch.float16 and gradient is not None:
            for seed in seeds.values():
                seed.measure(sums)
        tv = self._smooth(picture, gradient) if self.tv_weight > 0 else 0.0
        anchor = (
            0.0
            if self._anchor is None or self._anchor_weight == 0
            else self._hold(picture, self._anchor, gradient)
        )
        loss = self.content_weight * content_sum + self.style_weight * style_sum
        loss += self.tv_weight * tv + self._anchor_weight * anchor
        return Terms(loss, content_sum, style_sum, tv, layers, anchor), seeds

    def _smooth(self, picture: Tensor, gradient: Tensor | None) -> float:
        """The smoothness term, in strips of rows; its slope is added to `gradient`."""
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
            small = resize(x, anchor.shape[-2], anchor.shape[-1])
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


class _Sums:
    """What all tiles add up to, by layer."""

    def __init__(self) -> None:
        self.squares: dict[str, float] = {}
        self.moments: dict[str, Moments] = {}

    def add_squares(self, name: str, value: float) -> None:
        self.squares[name] = self.squares.get(name, 0.0) + value

    def add_moments(self, name: str, moments: Moments) -> None:
        before = self.moments.get(name)
        self.moments[name] = moments if before is None else before + moments


class _Seed:
    """What one layer's own losses add to the gradient at its features.

    With respect to features `f(p)`, a style loss has the slope `∂L/∂Σf + (S + Sᵀ) f(p)`, where `S`
    is `∂L/∂Σffᵀ`; the content loss has `2 (f(p) − target) / N`.
    """

    def __init__(self, name: str, fast: bool) -> None:
        self.name, self.fast = name, fast
        self.constant: Tensor | None = None
        self.linear: Tensor | None = None
        self.target: Tensor | None = None
        self.pull = 0.0
        self.size = 0.0

    def measure(self, sums: _Sums) -> None:
        """Sets `size`: about how large the slopes are, as a root mean square over the layer."""
        if self.linear is not None and self.constant is not None:
            moments = sums.moments[self.name].exact()
            linear, constant = self.linear.double(), self.constant.double()
            square = constant @ constant + 2 * constant @ linear @ moments.mean
            square = square + (linear @ moments.gram * linear).sum()
            self.size += float((square.clamp_min(0) / constant.numel()).sqrt())
        if self.target is not None:
            self.size += self.pull * (sums.squares[self.name] / self.target.numel()) ** 0.5

    def times(self, factor: float) -> _Seed:
        """The same, all slopes multiplied by a factor."""
        scaled = copy(self)
        scaled.constant = None if self.constant is None else self.constant * factor
        scaled.linear = None if self.linear is None else self.linear * factor
        scaled.pull = self.pull * factor
        return scaled

    def add_to(self, gradient: Tensor, features: Tensor, tile: Tile) -> Tensor:
        """Adds the share of a tile's own positions to what has come down to its features.

        In place where it can.
        """
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if self.linear is not None and self.constant is not None:
            for own, _ in _strips(self.name, tile):
                part, given = gradient[..., *own], widened(features[..., *own])
                # Rounded once: the two summands may be much larger than what they add up to.
                wide = widened(part)
                add_product(wide, given, self.linear, self.constant, fast=self.fast)
                if wide is not part:
                    part.copy_(wide)
        if self.target is not None:
            for own, place in _strips(self.name, tile):
                part = widened(features[..., *own])
                error = part - self.target[..., *place].to(part)
                gradient[..., *own].add_(error, alpha=self.pull)
        return gradient


_Part = tuple[slice, slice]


def _strips(layer: str, tile: Tile) -> Iterator[tuple[_Part, _Part]]:
    """A tile's own positions, in strips of rows: where they are in its features, where in all."""
    stride = stride_of(layer)
    (rows, columns), (far, across) = tile.own(stride), tile.place(stride)
    step = max(1, STRIP_POSITIONS // max(1, columns.stop - columns.start))
    for start in range(rows.start, rows.stop, step):
        stop = min(rows.stop, start + step)
        shift = far.start - rows.start
        yield (slice(start, stop), columns), (slice(start + shift, stop + shift), across)


def _style_slopes(term: StyleTerm, moments: Moments) -> tuple[float, tuple[Tensor, Tensor]]:
    """A style term and its slopes with respect to `Σf` and `Σffᵀ`."""
    if not bool(torch.isfinite(moments.second).all()):
        # The eigenvalues of such a matrix are an error of their own.
        return math.nan, (moments.first * math.nan, moments.second * math.nan)
    with torch.enable_grad():
        first = moments.first.detach().requires_grad_()
        second = moments.second.detach().requires_grad_()
        value = term(Moments(moments.count, first, second))
        slopes = torch.autograd.grad(
            value, (first, second), allow_unused=True, materialize_grads=True
        )
    return float(value.detach()), (slopes[0], slopes[1])


def _mean_square(target: Tensor) -> float:
    # The squares of features in 16 bits have no place in 16 bits.
    dtype = torch.promote_types(target.dtype, torch.float32)
    return float(torch.linalg.vector_norm(target, dtype=dtype)) ** 2 / target.numel()


def _unit(value: float) -> float:
    # A target without any activation would make the unit zero; its plain term is used then.
    return value if value > 0 else 1.0
