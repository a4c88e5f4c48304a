"""The levels of a run, coarse to fine: their sizes, how they fit into memory and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

from impasto.errors import OptionError
from impasto.features import Features, layers_of, reach_of
from impasto.memory import Allotment, Budget, allot
from impasto.options import StyleOptions
from impasto.targets import Painting, level_size
from impasto.terms.sliced import slices_for
from impasto.tiling import plan_tiles

MIN_AUTO_SIDE = 128
"""Automatic levels go no coarser than this long side, px."""

COARSE_SHARE = 1 / 3
"""Evaluations of an automatic coarse level, as a share of those at the full size."""

FIXED_COST = 60_000
"""What an evaluation costs at any size (small layers, eigenvalues), as the time of so many pixels:
from the times at 256 and 512 px in `benchmarks/results/speed.json`."""


ANCHORED_FIELD = 24
"""At anchored levels, layers whose positions see at most so many pixels are matched: relu3_1 and
those before it. They are a third of the work of all down to relu5_1."""

WRITING = 450
"""Multiplications in the time that a layer takes for each number it writes: a fit to
`benchmarks/results/layers.json`."""

SECOND_PASS = 1.4
"""What a picture in tiles costs per pixel against one that is seen whole, whose sums need no
forward pass of their own: from `benchmarks/results/large.json`."""


@dataclass(frozen=True)
class Level:
    """One level of the pyramid.

    Attributes:
        width: px.
        height: px.
        evaluations: how many it gets.
        anchored: only the shallow layers are matched, and the picture is held to the coarser
            level's, which has settled what the deep ones would say.
    """

    width: int
    height: int
    evaluations: int
    anchored: bool = False


PREVIEW_SIDE = 800
"""A preview is the largest level whose long side is no more than this, px."""


def plan_levels(
    options: StyleOptions, width: int, height: int, above: int = 0
) -> tuple[Level, ...]:
    """The levels of a run, coarse to fine; none where nothing is painted.

    Args:
        options: with levels of their own, or how to choose them.
        width: of the result, px.
        height: of the result, px.
        above: long side of a result that the run goes on from, px; smaller levels are left out.
    """
    if options.color == "only":
        return ()
    side = max(width, height)
    shallow = options.style_weight > 0 and bool(shallow_layers(options.style_layers, options.model))
    if options.levels:
        plan = list(options.levels)
    elif options.single_level:
        plan = [(side, options.evaluations)]
    else:
        sides = [side]
        while sides[0] // 2 >= MIN_AUTO_SIDE:
            sides.insert(0, sides[0] // 2)
        coarse = math.ceil(options.evaluations * COARSE_SHARE)
        deepest = max(s for s in sides if s == sides[0] or s <= options.anchor_above)
        plan = [(s, options.evaluations if s == deepest else coarse) for s in sides]
    # What an anchored level is held to has to have been painted.
    painted = [above > 0, *accumulate((count > 0 for _, count in plan), max)]
    painted = [one or above > 0 for one in painted]
    return tuple(
        Level(
            *(_size(options, width, height, s) if s != side else (width, height)),
            count,
            anchored=s > options.anchor_above and painted[index] and shallow,
        )
        for index, (s, count) in enumerate(plan)
        if s > above
    )


def _size(options: StyleOptions, width: int, height: int, side: int) -> tuple[int, int]:
    sized = level_size(width, height, side)
    return whole_strides(*sized) if options.tileable else sized


def whole_strides(width: int, height: int) -> tuple[int, int]:
    """The nearest size whose sides are multiples of the networks' deepest stride, 16 px."""
    across, down = (max(16, round(side / 16) * 16) for side in (width, height))
    return across, down


def preview_options(options: StyleOptions, width: int, height: int) -> StyleOptions:
    """The options of a preview: the smaller levels of a run as a run of their own.

    Args:
        options: of the whole run.
        width: of its result, px.
        height: of its result, px.

    Raises:
        OptionError: there is no small level.
    """
    levels = plan_levels(options, width, height)
    sides = [max(level.width, level.height) for level in levels]
    count = sum(side <= PREVIEW_SIDE for side in sides)
    if count == 0:
        raise OptionError(
            f"--preview: the run has no level of {PREVIEW_SIDE} px or less to stop at; use "
            "--no-single-level, or smaller --levels"
        )
    return options.model_copy(
        update={
            "preview": False,
            "size": sides[count - 1],
            "levels": tuple(zip(sides, (level.evaluations for level in levels), strict=True))[
                :count
            ],
            "dpi": options.print_dpi * sides[count - 1] / sides[-1]
            if options.print
            else options.dpi,
        }
    )


def budget_for(
    memory: int, features: Features, styles: Iterable[Painting], masks: Iterable[Tensor] = ()
) -> Budget:
    """The budget of a run.

    Args:
        memory: bytes that the process may hold.
        features: the network.
        styles: paintings, which are kept as they are from the first level to the last.
        masks: of regions, likewise; each level holds them thrice, once spread over its layers.
    """
    held = sum(style.nbytes for style in styles) + 4 * sum(mask.nbytes for mask in masks)
    return Budget(memory, features.tile_bytes, held)


def allotment(level: Level, options: StyleOptions, budget: Budget) -> Allotment:
    """How a level is kept within a budget of memory.

    Args:
        level: one of `plan_levels`.
        options: layers, optimiser and history.
        budget: what the process may hold.
    """
    layers = {layer.name: layer for layer in layers_of(options.model.partition(":")[0])}
    content = options.content_layers if options.content_weight > 0 else {}
    if level.anchored:
        content = shallow_layers(content, options.model)
    kept = [layers[name] for name in content if name in layers]
    numbers = sum(layer.channels / layer.stride**2 for layer in kept) + _ranked(level, options)
    if options.photoreal_weight > 0:
        # The photo itself, at the level's size.
        numbers += 3
    return allot(
        level.width * level.height,
        budget,
        optimizer=options.optimizer,
        history=options.history,
        features=numbers,
    )


def _ranked(level: Level, options: StyleOptions) -> float:
    """Numbers per pixel that losses keep of the picture to put in order, in a region each."""
    losses = options.style_loss if options.style_weight > 0 else {}
    names = options.style_layers
    if level.anchored:
        names = shallow_layers(names, options.model)
    layers = [layer for layer in layers_of(options.model.partition(":")[0]) if layer.name in names]
    count = 0.0
    for layer in layers:
        if losses.get("sliced", 0) > 0:
            count += 2 * slices_for(layer.channels, layer.stride) / layer.stride**2
        if losses.get("histogram", 0) > 0:
            count += 2 * layer.channels / layer.stride**2
    return count * max(1, len(options.regions))


def shallow_layers(layers: Mapping[str, float], model: str) -> dict[str, float]:
    """Those of some layers that an anchored level matches, with their weights.

    Args:
        layers: canonical layer name → weight.
        model: as in the options.
    """
    architecture = model.partition(":")[0]
    fields = {layer.name: layer.receptive_field for layer in layers_of(architecture)}
    return {n: w for n, w in layers.items() if w > 0 and fields.get(n, math.inf) <= ANCHORED_FIELD}


def evaluation_cost(level: Level, options: StyleOptions, tile_pixels: int | None) -> float:
    """What an evaluation of a level costs, as the time of so many pixels that all layers see whole.

    Args: as for `evaluation_pixels`, to which this adds what every evaluation costs.
    """
    return evaluation_pixels(level, options, tile_pixels) + FIXED_COST


def level_costs(
    levels: Sequence[Level], options: StyleOptions, budget: Budget | None
) -> list[float]:
    """What an evaluation of each level costs, in the unit of `evaluation_cost`.

    Args:
        levels: of the run.
        options: of the run.
        budget: what the process may hold; `None`: no limit.
    """
    tiles = [None if budget is None else allotment(o, options, budget).tile_pixels for o in levels]
    return [evaluation_cost(o, options, t) for o, t in zip(levels, tiles, strict=True)]


def share_done(
    costs: Sequence[float], levels: Sequence[Level], level: int, evaluation: int
) -> float:
    """How much of a run's work is done after an evaluation of a level, in [0, 1].

    Args:
        costs: of the levels, as `level_costs` has them.
        levels: of the run.
        level: index of the level.
        evaluation: number of the evaluation within it, from 1.
    """
    work = [c * o.evaluations for c, o in zip(costs, levels, strict=True)]
    done = sum(work[:level]) + costs[level] * evaluation
    return min(1.0, done / max(sum(work), costs[level]))


def evaluation_pixels(level: Level, options: StyleOptions, tile_pixels: int | None) -> float:
    """The part of an evaluation's cost that grows with the picture.

    Args:
        level: one of `plan_levels`.
        options: layers and their weights.
        tile_pixels: largest tile, in pixels; `None`: the whole picture.
    """
    every = matched_layers(options, anchored=False)
    seen = matched_layers(options, anchored=level.anchored)
    pixels = float(level.width * level.height)
    if tile_pixels is not None and seen:
        halo, stride = reach_of(seen, options.model.partition(":")[0])
        tiles = plan_tiles(level.height, level.width, halo=halo, stride=stride, limit=tile_pixels)
        if len(tiles) > 1:
            # Forward for the sums, then forward and backward for the gradient.
            areas = ((b - t) * (r - e) for t, b, e, r in (tile.area for tile in tiles))
            pixels = SECOND_PASS * sum(areas)
    share = _work(options, seen) / _work(options, every) if every else 1.0
    return pixels * share


def matched_layers(options: StyleOptions, *, anchored: bool) -> set[str]:
    """Canonical names of the layers that a level matches."""
    content = options.content_layers if options.content_weight > 0 else {}
    style = options.style_layers if options.style_weight > 0 else {}
    if anchored:
        content = shallow_layers(content, options.model)
        style = shallow_layers(style, options.model)
    return {*content, *style}


def _work(options: StyleOptions, names: Iterable[str]) -> float:
    """Work per pixel down to the deepest of some layers: multiplications, and what writing a number
    takes in the time of so many of them."""
    layers = layers_of(options.model.partition(":")[0])
    deepest = max((i for i, layer in enumerate(layers) if layer.name in set(names)), default=-1)
    return sum(
        (layer.parameters + WRITING * layer.channels) / layer.stride**2
        for layer in layers[: deepest + 1]
    )
