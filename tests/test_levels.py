"""Levels of a run: sizes, evaluations, and what they cost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.levels import (
    FIXED_COST,
    MIN_AUTO_SIDE,
    WRITING,
    Level,
    allotment,
    evaluation_cost,
    level_costs,
    plan_levels,
    shallow_layers,
    share_done,
)
from impasto.memory import Budget
from impasto.options import make_options


@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    evaluations=st.integers(0, 500),
)
def test_automatic_levels_double_up_to_the_full_size(
    width: int, height: int, evaluations: int
) -> None:
    """Automatic levels halve the long side while it stays useful, and end at the full size."""
    options = make_options({"levels": "auto", "single_level": False, "evaluations": evaluations})
    levels = plan_levels(options, width, height)
    assert (levels[-1].width, levels[-1].height) == (width, height)
    full = [level for level in levels if not level.anchored]
    assert full[-1].evaluations == evaluations
    assert levels[0] == full[0]
    for level in levels[1:]:
        large = max(level.width, level.height) > options.anchor_above
        assert level.anchored == (large and evaluations > 0)
    sides = [max(level.width, level.height) for level in levels]
    for coarse, fine in pairwise(sides):
        assert coarse == fine // 2
        assert coarse >= MIN_AUTO_SIDE
    assert sides[0] // 2 < MIN_AUTO_SIDE
    for level, side in zip(levels, sides, strict=True):
        assert min(level.width, level.height) >= 1
        exact = min(width, height) * side / max(width, height)
        assert abs(min(level.width, level.height) - exact) <= 0.5 or exact < 1
        assert 0 <= level.evaluations <= evaluations


def test_a_single_level_is_the_full_size() -> None:
    """`single_level` works at the full size alone."""
    options = make_options({"single_level": True, "evaluations": 7})
    assert plan_levels(options, 900, 1200) == (Level(900, 1200, 7),)


def test_levels_given_are_kept() -> None:
    """Levels named in the options are taken as they are, in the picture's shape."""
    options = make_options({"levels": "64:5,100:0,640:9"})
    expected = (Level(64, 48, 5), Level(100, 75, 0), Level(640, 480, 9))
    assert plan_levels(options, 640, 480) == expected


def test_large_levels_keep_the_shallow_layers() -> None:
    """An anchored level matches relu1_1 to relu3_1 of the default layers, with their weights."""
    layers = {"relu1_1": 1.0, "relu2_2": 2.0, "relu3_1": 3.0, "relu3_2": 4.0, "relu5_1": 5.0}
    for model in ("vgg16", "vgg19:other"):
        assert shallow_layers(layers, model) == {"relu1_1": 1.0, "relu2_2": 2.0, "relu3_1": 3.0}


def test_nothing_is_anchored_to_what_was_not_painted() -> None:
    """A large level after one of no evaluations sees all layers; one after a result to go on from
    is anchored to that."""
    options = make_options({"levels": "512:0,3000:5"})
    assert not any(level.anchored for level in plan_levels(options, 3000, 2000))
    painted = make_options({"levels": "256:3,512:0,3000:5"})
    assert plan_levels(painted, 3000, 2000)[-1].anchored
    (only,) = plan_levels(options, 3000, 2000, above=800)
    assert only.anchored


def test_without_shallow_layers_nothing_is_anchored() -> None:
    """Where only deep layers are matched, large levels see them all."""
    options = make_options({"style_layers": "relu1_1=0,relu4_1", "levels": "1000:5,3000:5"})
    assert not any(level.anchored for level in plan_levels(options, 3000, 2000))
    single = make_options({"single_level": True, "size": 3000})
    assert not any(level.anchored for level in plan_levels(single, 3000, 2000))


def test_costs_follow_the_multiplications() -> None:
    """A whole level costs its pixels, an anchored one the shallow layers' share of them, a tiled
    one half as much again and the halos."""
    options = make_options({})
    whole = evaluation_cost(Level(1000, 800, 5), options, None) - FIXED_COST
    assert whole == pytest.approx(800_000)
    # Multiplications per pixel: 9 × inputs × outputs / stride², VGG19 to relu3_1 and to relu5_1,
    # and numbers written.
    first = 9 * 3 * 64 + 9 * 64 * 64 + (9 * 64 * 128 + 9 * 128 * 128) / 4 + 9 * 128 * 256 / 16
    rest = 3 * 9 * 256 * 256 / 16 + (9 * 256 * 512 + 3 * 9 * 512 * 512) / 64 + 9 * 512 * 512 / 256
    first += WRITING * (64 + 64 + (128 + 128) / 4 + 256 / 16)
    rest += WRITING * (3 * 256 / 16 + 4 * 512 / 64 + 512 / 256)
    shallow = evaluation_cost(Level(1000, 800, 5, True), options, None) - FIXED_COST
    assert shallow / whole == pytest.approx(first / (first + rest), rel=0.01)
    tiled = evaluation_cost(Level(1000, 800, 5), options, 400_000) - FIXED_COST
    assert 1.5 * whole < tiled < 2.5 * whole


def test_anchored_levels_are_a_small_share_of_the_work() -> None:
    """The work done is counted in what evaluations cost: four times the pixels of a level that
    matches shallow layers only are not four times the work."""
    options = make_options({})
    plain, anchored = Level(1000, 750, 10), Level(2000, 1500, 10, anchored=True)
    levels = [plain, anchored]
    costs = level_costs(levels, options, None)
    assert costs == [evaluation_cost(level, options, None) for level in levels]
    half = share_done(costs, levels, 0, 10)
    assert half == pytest.approx(costs[0] / sum(costs))
    assert 0.35 < half < 0.5
    assert share_done(costs, levels, 0, 1) == pytest.approx(half / 10)
    assert share_done(costs, levels, 1, 10) == 1
    assert share_done([5.0], [Level(9, 9, 0)], 0, 1) == 1
    assert level_costs(levels, options, Budget(10**9))[1] > costs[1]


def test_a_photo_that_the_picture_is_held_to_takes_memory() -> None:
    """What keeps a photograph keeps the photo at the level's size: three float32 per pixel."""
    level, budget = Level(400, 300, 10), Budget(10**12)
    plain, held = (
        allotment(level, make_options({"photoreal_weight": weight}), budget).expected
        for weight in (0.0, 1.0)
    )
    assert held - plain == 400 * 300 * 12
