"""What a run will take, before it begins: levels, tiles, memory, and time from a short probe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from impasto.features import Features
from impasto.levels import (
    Level,
    allotment,
    evaluation_pixels,
    matched_layers,
)
from impasto.memory import Allotment, Budget
from impasto.optimize import level_objective
from impasto.options import StyleOptions
from impasto.targets import Painting, tiles_of

PROBE_SIDES = (128, 320)
"""Sides of the pictures that are evaluated to learn how quick the machine is, px."""

FORWARD_SHARE = 1 / 3
"""What one picture costs as a level's target, in evaluations: it goes through the network once, and
an evaluation goes through it and back, which takes twice as long again. Paintings count as if they
had the level's size: they are brought to its long side."""

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
        """Expected time of the levels, s, without reading pictures and network before them and
        saving after them."""
        return sum(plan.seconds for plan in self.levels)

    @property
    def expected_bytes(self) -> int:
        """Most memory that the process is expected to hold."""
        return max((plan.expected_bytes for plan in self.levels), default=0)


def make_plan(
    features: Features,
    options: StyleOptions,
    levels: Sequence[Level],
    budget: Budget,
    *,
    photo: bool = True,
    paintings: int = 1,
) -> Plan:
    """Plans a run, after a probe of a second or less.

    Args:
        features: the network.
        options: of the run.
        levels: of the run, coarse to fine; none where nothing is left of it.
        budget: what the process may hold.
        photo: there is a photo to match.
        paintings: how many there are.

    Raises:
        OptionError: a layer that the network has not.
        RunError: memory ran out in the probe.
    """
    speeds = {
        anchored: _probe(features, options, anchored=anchored)
        for anchored in {level.anchored for level in levels}
    }
    shares = [allotment(level, options, budget) for level in levels]
    seconds = []
    for level, share in zip(levels, shares, strict=True):
        fixed, per_pixel = speeds[level.anchored]
        pixels = evaluation_pixels(level, options, share.tile_pixels)
        # At least one evaluation tells the last level's loss.
        count = max(level.evaluations, level is levels[-1])
        seen = (photo and bool(_content(options, level))) + paintings * (options.style_weight > 0)
        count += FORWARD_SHARE * seen if count else 0
        seconds.append(count * (fixed + per_pixel * pixels) * (1 + MINIMIZER_SHARE))
    short = 1.0
    if options.time_limit is not None:
        short = min(1.0, options.time_limit / max(sum(seconds), 1e-9))
    plans = [
        LevelPlan(
            level,
            *_tiles(features, options, level, share),
            share.history,
            share.expected,
            time * short,
        )
        for level, share, time in zip(levels, shares, seconds, strict=True)
    ]
    return Plan(tuple(plans), budget.total)


def _content(options: StyleOptions, level: Level) -> set[str]:
    """Layers whose features of the photo a level matches."""
    content = options.content_layers if options.content_weight > 0 else {}
    return {*content} & matched_layers(options, anchored=level.anchored)


def _tiles(
    features: Features, options: StyleOptions, level: Level, share: Allotment
) -> tuple[int, tuple[int, int]]:
    names = sorted(matched_layers(options, anchored=level.anchored))
    tiles = tiles_of(features, names, level.height, level.width, share.tile_pixels)
    areas = [(right - left, bottom - top) for top, bottom, left, right in (t.area for t in tiles)]
    return len(tiles), max(areas, key=lambda area: area[0] * area[1])


_PLAIN = {"style_weights": (), "regions": (), "style_scale": ((1.0,),)}
"""One painting for the whole picture, which probes take."""


def _probe(features: Features, options: StyleOptions, *, anchored: bool) -> tuple[float, float]:
    """Seconds that an evaluation takes at any size, and for each of its `evaluation_pixels`."""
    times, pixels = [], []
    for side in PROBE_SIDES:
        generator = torch.Generator().manual_seed(0)
        picture = torch.rand(1, 3, side, side, generator=generator)
        picture = picture.to(features.device, features.picture_dtype)
        objective = level_objective(
            features,
            picture,
            [Painting(picture.flip(-1))],
            options.model_copy(update=_PLAIN),
            side,
            side,
            anchor=picture[..., ::2, ::2] if anchored else None,
        )
        # The first one also finds memory and kernels.
        objective.evaluate(picture)
        _finish(features.device)
        began = time.monotonic()
        objective.evaluate(picture)
        _finish(features.device)
        times.append(time.monotonic() - began)
        pixels.append(evaluation_pixels(Level(side, side, 1, anchored), options, None))
    per_pixel = max(0.0, (times[1] - times[0]) / (pixels[1] - pixels[0]))
    return max(0.0, times[1] - per_pixel * pixels[1]), per_pixel


def _finish(device: torch.device) -> None:
    """Waits for what a GPU has been given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
