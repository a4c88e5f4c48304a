"""Optical flow: where each pixel of one frame is in another, and where that can be trusted.

Flow is found by OpenCV's DIS (Kroeger, Timofte, Dai & Van Gool, "Fast Optical Flow using Dense
Inverse Search", ECCV 2016), both ways between two frames. Pixels whose way there and back does not
end where it began are hidden in one of the frames; those and the borders of moving things are not
to be trusted (Sundaram, Brox & Keutzer, "Dense Point Trajectories by GPU-accelerated Large
Displacement Optical Flow", ECCV 2010, with the constants of Ruder, Dosovitskiy & Brox, "Artistic
Style Transfer for Videos", GCPR 2016, section 4.3).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

LEAST_SIDE = 32
"""Smaller frames are enlarged to this side for the search of flow, px."""


@dataclass(frozen=True, eq=False)
class Match:
    """How a frame follows from another one.

    Attributes:
        flow: `(H, W, 2)`: how far to the right and down each pixel is in the other frame, px.
        trust: `(H, W)`, 1 where the flow can be trusted, 0 elsewhere.
        agreed: the same, without regard to borders of motion.
    """

    flow: Plane
    trust: Plane
    agreed: Plane


def brightness(pixels: Plane) -> NDArray[np.uint8]:
    """What flow is searched in: luma in 0 to 255, `(H, W)`, of pixels `(3, H, W)` in [0, 1]."""
    luma = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), pixels, 1)
    return np.rint(np.clip(luma, 0, 1) * 255).astype(np.uint8)


def flow_between(one: NDArray[np.uint8], other: NDArray[np.uint8], *, quick: bool = False) -> Plane:
    """Where each pixel of a frame is in another.

    Args:
        one: luma `(H, W)`.
        other: likewise, of the same size.
        quick: with a coarser grid of patches and fewer steps for each, in little more than half the
            time of DIS's preset `medium`, and nearly as exact. The preset `fast` stops at a quarter
            of the sides; its flow of what stands still trembles, and shows in results.

    Returns:
        `(H, W, 2)`, to the right and down, px.
    """
    height, width = one.shape
    scale = max(1.0, LEAST_SIDE / min(height, width))
    size = (round(width * scale), round(height * scale))
    if scale > 1:
        one = cv2.resize(one, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        other = cv2.resize(other, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    search = cast("Any", cv2).DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if quick:
        search.setPatchStride(4)
        search.setGradientDescentIterations(12)
        search.setVariationalRefinementIterations(3)
    found = np.asarray(search.calc(one, other, np.empty((0,), np.float32)), np.float32)
    if scale > 1:
        found = cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA)
        found = np.asarray(found, np.float32) / np.array(
            [size[0] / width, size[1] / height], np.float32
        )
    return found


def match(one: NDArray[np.uint8], other: NDArray[np.uint8], *, quick: bool = False) -> Match:
    """Where a frame's pixels are in another, and which of them can be seen in both.

    Args:
        one: luma `(H, W)` of the frame.
        other: of the other one.
        quick: as for `flow_between`.
    """
    # More threads of OpenCV's would cut the frames elsewhere, and give other numbers.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(1) as pool:
        way_back = pool.submit(flow_between, other, one, quick=quick)
        flow = flow_between(one, other, quick=quick)
        back = way_back.result()
    return Match(flow, trust_of(flow, back), trust_of(flow, back, borders=True))


def trust_of(flow: Plane, back: Plane, *, borders: bool = False) -> Plane:
    """Where flow can be trusted.

    Args:
        flow: `(H, W, 2)`, from a frame to another.
        back: from the other one to it.
        borders: whether it can at borders of motion.

    Returns:
        `(H, W)`, 1 or 0.
    """
    height, width = flow.shape[:2]
    returned = look_up(back, flow)
    length = _squared(flow)
    lost = _squared(flow + returned) > 0.01 * (length + _squared(returned)) + 0.5
    border = (_steepness(flow) > 0.01 * length + 0.002) & (not borders)
    x, y = _places(flow)
    outside = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    return (~(lost | border | outside)).astype(np.float32)


def _squared(vectors: Plane) -> Plane:
    """Squared lengths `(H, W)` of vectors `(H, W, 2)`."""
    u, v = cv2.split(vectors)
    return np.asarray(u * u + v * v)


def _steepness(flow: Plane) -> Plane:
    """Squared length of the gradient of both of the flow's components, from central differences."""
    keep = cv2.BORDER_REPLICATE
    across = cv2.Sobel(flow, cv2.CV_32F, 1, 0, ksize=1, scale=0.5, borderType=keep)
    down = cv2.Sobel(flow, cv2.CV_32F, 0, 1, ksize=1, scale=0.5, borderType=keep)
    return _squared(np.asarray(across, np.float32)) + _squared(np.asarray(down, np.float32))


def warp(pixels: Plane, flow: Plane) -> Plane:
    """Another frame's pixels where they are in this one.

    Args:
        pixels: `(3, H, W)` of the other frame, in [0, 1].
        flow: `(H, W, 2)`, from this frame to the other.
    """
    rows = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    found = look_up(rows, flow, cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.clip(found, 0, 1).transpose(2, 0, 1))


def look_up(values: Plane, flow: Plane, interpolation: int = cv2.INTER_LINEAR) -> Plane:
    """Values of another frame, `(H, W)` or `(H, W, C)`, where they are in this one."""
    x, y = _places(flow)
    found = cv2.remap(values, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _places(flow: Plane) -> tuple[Plane, Plane]:
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None] + flow[..., 0]
    return x, np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
