"""What a run will take, before it begins: levels, tiles, memory, and time from a short probe."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from impasto.features import Features
from impasto.levels import (
    Level,
    allotment,
    evaluation_cost,
    matched_layers,
    plan_levels,
)
from impasto.memory import Allotment
from impasto.optimize import level_objective
from impasto.options import StyleOptions
from impasto.targets import Painting, tiles_of

PROBE_SIDE = 256
"""Side of the picture that is evaluated to learn how quick the machine is, px."""

PREPARATION = 1.0
"""What a level's targets cost, in evaluations."""

MINIMIZER_SHARE = 0.06
"""What the minimiser takes of an evaluation's time."""


@dataclass(frozen=True)
class LevelPlan:
    """What one level will take.

    Attributes:
        level: its size and evaluations.
        tiles: how many the picture goes through the network in.
        tile: width and height of the largest one, px, halo included.
        history: pairs of vectors that L-BFGS remembers.
        expected_bytes: what the process is expected to hold at most.
        seconds: expected time, targets included.
    """

    level: Level
    tiles: int
    tile: tuple[int, int]
    history: int
    expected_bytes: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        levels: coarse to fine.
        budget: bytes that the process may hold.
    """

    levels: tuple[LevelPlan, ...]
    budget: int

    @property
    def seconds(self) -> float:
        """Expected time of the run, s."""
        return sum(plan.seconds for plan in self.levels)

    @property
    def expected_bytes(self) -> int:
        """Most memory that the process is expected to hold."""
        return max(plan.expected_bytes for plan in self.levels)


def make_plan(
    features: Features, options: StyleOptions, width: int, height: int, budget: int
) -> Plan:
    """Plans a run, after a probe of a second or less.

    Args:
        features: the network.
        options: of the run.
        width: of the result, px.
        height: of the result, px.
        budget: bytes that the process may hold.

    Raises:
        OptionError: a layer that the network has not.
        RunError: memory ran out in the probe.
    """
    levels = plan_levels(options, width, height)
    whole = _probe(features, options, anchored=False)
    shallow = whole
    if any(level.anchored for level in levels):
        shallow = _probe(features, options, anchored=True)
    plans = []
    for level in levels:
        share = allotment(level, options, budget)
        cost = evaluation_cost(level, options, share.tile_pixels)
        seconds = cost * (shallow if level.anchored else whole)
        count = level.evaluations + PREPARATION if level.evaluations else 0.0
        if options.time_limit is not None:
            count = min(count, options.time_limit / seconds)
        plans.append(
            LevelPlan(
                level,
                *_tiles(features, options, level, share),
                share.history,
                share.expected,
                count * seconds * (1 + MINIMIZER_SHARE),
            )
        )
    return Plan(tuple(plans), budget)


def _tiles(
    features: Features, options: StyleOptions, level: Level, share: Allotment
) -> tuple[int, tuple[int, int]]:
    names = sorted(matched_layers(options, anchored=level.anchored))
    tiles = tiles_of(features, names, level.height, level.width, share.tile_pixels)
    areas = [(right - left, bottom - top) for top, bottom, left, right in (t.area for t in tiles)]
    return len(tiles), max(areas, key=lambda area: area[0] * area[1])


def _probe(features: Features, options: StyleOptions, *, anchored: bool) -> float:
    """Seconds per unit of `evaluation_cost`."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, PROBE_SIDE, PROBE_SIDE, generator=generator)
    picture = picture.to(features.device, features.dtype)
    objective = level_objective(
        features,
        picture,
        [Painting(picture.flip(-1))],
        options.model_copy(update={"style_weights": ()}),
        PROBE_SIDE,
        PROBE_SIDE,
        anchor=picture[..., ::2, ::2] if anchored else None,
    )
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        objective.evaluate(picture)
        if features.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - began)
    # The first one also finds memory and kernels.
    level = Level(PROBE_SIDE, PROBE_SIDE, 1, anchored)
    return min(seconds[1:]) / evaluation_cost(level, options, None)
