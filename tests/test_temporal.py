"""Earlier results say what a frame is to look like, as far as that can be known."""

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("cv2")

import cv2

from impasto.flow import brightness, look_up, match
from impasto.temporal import Link, expect, link
from moving import drifting, planes_of
from stand_ins import soft_picture


def test_a_moving_scene_goes_on_and_another_one_is_a_cut() -> None:
    """Motion is no cut; another picture, or a white frame after a black one, is."""
    frames = [brightness(planes_of(drifting(i))) for i in range(3)]
    assert not link(frames[1], frames[0]).cut
    assert not link(frames[0], frames[0]).cut
    assert link(frames[1], frames[0]).trust.mean() > 0.5
    other = brightness(planes_of(soft_picture(64, 48, 5)[::-1]))
    assert link(other, frames[0]).cut
    black = np.zeros((48, 64), np.uint8)
    assert link(np.full_like(black, 255), black).cut
    assert not link(black, black).cut


def test_what_looks_the_same_is_kept_at_borders_of_motion() -> None:
    """A quick link trusts a border of motion where both frames look alike along the flow, and no
    pixel that there and back disagree on."""
    still = np.full((64, 96), 128, np.uint8)
    before, now = still.copy(), still.copy()
    before[20:40, 30:50] = now[20:40, 33:53] = soft_picture(20, 20, 1)[..., 0]
    loose, found = link(now, before, quick=True).trust, match(now, before, quick=True)
    error = np.abs(look_up(before.astype(np.float32), found.flow) - now)
    alike = cv2.blur(error, (3, 3), borderType=cv2.BORDER_REPLICATE) <= 4
    assert loose.mean() > found.trust.mean()
    assert ((found.agreed > 0) & alike <= (loose > 0)).all()
    assert not loose[found.agreed == 0].any()


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("light", [0.13, 0.3, 1])
def test_cuts_between_dark_scenes_are_found(light: float, quick: bool) -> None:
    """However dark or flat two scenes are, the second one is another picture."""

    def shot(seed: int) -> NDArray[np.uint8]:
        values = cv2.GaussianBlur(np.random.default_rng(seed).random((72, 96)), (0, 0), 4)
        values = (values - values.min()) / np.ptp(values)
        return (255 * light * values).astype(np.uint8)

    for seed in 1, 3, 5:
        assert link(shot(seed), shot(seed + 1), quick=quick).cut


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("light", [0.05, 0.13, 0.3, 1])
def test_what_changes_within_a_scene_is_no_cut(light: float, quick: bool) -> None:
    """Neither motion, quick pans, grain, fading nor flickering light is, in dark scenes as in
    others, nor grain on a wall."""
    noise = np.random.default_rng(0)

    def lit(number: int, gain: float = 1, more: float = 0, grain: float = 0) -> NDArray[np.uint8]:
        luma = brightness(planes_of(drifting(number))) * light * gain + more
        return np.clip(luma + noise.normal(0, grain, luma.shape), 0, 255).astype(np.uint8)

    def cut(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
        return link(one, other, quick=quick).cut

    assert not cut(lit(1), lit(0))
    assert not cut(lit(4), lit(0))
    assert not cut(lit(1, more=20, grain=6), lit(0, more=20, grain=6))
    assert not cut(lit(1, gain=0.7), lit(0))
    assert not cut(lit(1, more=15, grain=2), lit(0, more=5, grain=2))
    wall = [np.full((48, 64), 30) + noise.normal(0, 8, (48, 64)) for _ in range(2)]
    assert not cut(*(frame.clip(0, 255).astype(np.uint8) for frame in wall))


def test_what_looks_otherwise_is_not_the_same() -> None:
    """Where the flow leads to another brightness, it is not trusted."""
    frame = brightness(planes_of(drifting(0)))
    lit = frame.copy()
    lit[10:30, 10:30] = 255
    trust = link(lit, frame).trust
    assert trust[14:26, 14:26].mean() < 0.2
    assert trust[35:, 40:].mean() > 0.8


def test_networks_frames_are_let_go_of_later() -> None:
    """Where the flow leads to a brightness that differs by 36 of 255, a network's frame is still
    held and an optimiser's is not; beyond 48 neither is."""
    before = (0.6 * brightness(planes_of(drifting(0)))).astype(np.uint8)
    lit, bright = before + np.uint8(36), before + np.uint8(60)
    assert not link(lit, before).trust.any()
    assert link(lit, before, quick=True).trust.mean() > 0.9
    assert not link(bright, before, quick=True).trust.any()


def test_each_pixel_is_expected_from_the_nearest_frame_that_shows_it() -> None:
    """The long-term masks exclude each other: the nearest result that can be trusted counts."""
    still = np.zeros((4, 4, 2), np.float32)
    near, far = np.zeros((2, 4, 4), np.float32)
    near[:2], far[1:3] = 1, 1
    results = [np.full((3, 4, 4), value, np.float32) for value in (0.25, 0.75)]
    found = expect([(Link(still, near, False), results[0]), (Link(still, far, False), results[1])])
    assert found.trust[:, 0].tolist() == [1, 1, 1, 0]
    assert found.pixels[0, :, 0] == pytest.approx([0.25, 0.25, 0.75, 0.25])
