"""Flow finds known motion, and knows where it cannot be trusted."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

pytest.importorskip("cv2")

from impasto.flow import brightness, flow_between, look_up, match, trust_of, warp
from moving import drifting, planes_of


def luma(number: int, width: int = 96, height: int = 72) -> np.ndarray:
    """Luma of a frame of `drifting`."""
    return brightness(planes_of(drifting(number, width, height)))


def test_brightness_is_rec_601_luma() -> None:
    """Flow is searched in the weighted sum of the channels."""
    pixels = np.zeros((3, 1, 3), np.float32)
    pixels[[0, 1, 2], 0, [0, 1, 2]] = 1
    assert brightness(pixels).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize(("width", "height"), [(96, 72), (40, 18)])
@pytest.mark.parametrize("quick", [False, True])
def test_known_motion_is_found(width: int, height: int, quick: bool) -> None:
    """What moves by 2 px a frame is found 2 px to the left in the frame before."""
    flow = flow_between(luma(3, width, height), luma(2, width, height), quick=quick)
    inner = flow[4:-4, 6:-6]
    assert np.abs(np.median(inner.reshape(-1, 2), 0) - [-2, 0]).max() < 0.3


@pytest.mark.parametrize(("width", "height"), [(128, 30), (40, 2), (1, 1), (3, 100)])
@pytest.mark.parametrize("quick", [False, True])
def test_thin_frames_have_flow_too(width: int, height: int, quick: bool) -> None:
    """DIS reads beyond frames that are too thin for its levels, which ends the process."""
    frame = np.zeros((height, width), np.uint8)
    assert flow_between(frame, frame, quick=quick).shape == (height, width, 2)


def test_the_same_frames_give_the_same_flow() -> None:
    """Flow does not depend on threads or on what was searched before."""
    first = match(luma(3), luma(2))
    match(luma(9), luma(1))
    again = match(luma(3), luma(2))
    assert np.array_equal(first.flow, again.flow)
    assert np.array_equal(first.trust, again.trust)


def test_warping_follows_the_flow() -> None:
    """A frame moved along with the true flow is the next one; against SciPy at odd places."""
    pixels = planes_of(drifting(2, 96, 72))
    flow = np.zeros((72, 96, 2), np.float32)
    flow[..., 0] = -2
    moved = warp(pixels, flow)
    assert np.abs(moved - planes_of(drifting(3, 96, 72)))[:, :, 4:].max() < 0.01
    flow[..., 0], flow[..., 1] = 1.25, -0.75
    y, x = np.mgrid[0:72, 0:96].astype(float)
    expected = map_coordinates(pixels[0], [y - 0.75, x + 1.25], order=1, mode="nearest")
    assert np.abs(look_up(pixels[0], flow) - expected).max() < 0.02


def test_what_is_hidden_in_one_frame_is_not_trusted() -> None:
    """A square over a still ground: what it uncovers, its border and what leaves the frame are not
    trusted, by the formulas of Ruder et al.; the rest is."""
    flow, back = np.zeros((2, 40, 40, 2), np.float32)
    # The square lies at 10 to 20 in the frame, and came from 5 px to the left.
    flow[10:20, 10:20, 0] = -5
    back[10:20, 5:15, 0] = 5
    trust = trust_of(flow, back)
    assert trust[12:18, 12:18].all()
    assert trust[25:, 25:].all()
    assert not trust[12:18, 5:9].any(), "uncovered ground"
    assert not trust[12:18, 9:11].any(), "the square's border"
    away = np.full((40, 40, 2), -5, np.float32)
    trust = trust_of(away, -away)
    assert not trust[:, :5].any()
    assert not trust[:5].any()
    assert trust[6:, 6:].all()
