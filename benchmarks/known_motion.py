"""A clip whose motion is known: a window that moves over a photo, a disc that moves the other way
over it, a little noise, and a tone for its sound."""

from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from impasto.flow import Plane
from impasto.images import resize_image
from impasto.sources import read_source

SAMPLE_RATE = 48000
"""Samples of sound per second."""

WINDOW, DISC = 3, 4
"""How far the photo and the disc move to the left from frame to frame, px."""


def make_clip(path: Path, frames: int, side: int = 256, rate: int = 25) -> None:
    """Writes such a clip, `side` × 9/16 `side` px; after a while the window goes back again."""
    photo = resize_image(read_source("sample:coffee", 10**9), 2 * side, side).pixels
    rng = np.random.default_rng(0)
    height = height_of(side)
    with av.open(str(path), "w") as out:
        stream = cast("Any", out.add_stream("libx264", rate=rate, options={"crf": "12"}))
        stream.width, stream.height, stream.pix_fmt = side, height, "yuv420p"
        tone = cast("Any", out.add_stream("aac", rate=SAMPLE_RATE, layout="mono"))
        turn = side // WINDOW
        for number in range(frames):
            place = WINDOW * min(number % (2 * turn), 2 * turn - number % (2 * turn))
            view = photo[:, 20 : 20 + height, place : place + side].copy()
            view[:, disc_at(number, side)] = np.array([[0.8], [0.25], [0.2]])
            view += rng.normal(0, 0.015, view.shape)
            values = (view.clip(0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format="rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
        wave = (0.3 * np.sin(np.arange(SAMPLE_RATE * frames // rate) / 20)).astype(np.float32)
        for first in range(0, len(wave), 1024):
            part = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], "fltp", "mono")
            part.pts, part.sample_rate = first, SAMPLE_RATE
            for packet in tone.encode(part):
                out.mux(packet)
        for packet in tone.encode(None):
            out.mux(packet)


def height_of(side: int) -> int:
    """Height of its frames, px."""
    return side * 9 // 16 // 2 * 2


def disc_at(number: int, side: int) -> NDArray[np.bool_]:
    """Where the disc is in a frame, `(H, W)`."""
    height = height_of(side)
    y, x = np.mgrid[0:height, 0:side]
    return (x - side + DISC * number) ** 2 + (y - height / 2) ** 2 < (height / 5) ** 2


def true_motion(number: int, side: int) -> tuple[Plane, NDArray[np.bool_]]:
    """The way from a frame to the one before, until the window turns.

    Returns:
        `(H, W, 2)` to the right and down, px, and `(H, W)`: what can be seen in both.
    """
    now, before = disc_at(number, side), disc_at(number - 1, side)
    flow = np.zeros((*now.shape, 2), np.float32)
    flow[..., 0] = np.where(now, DISC, WINDOW)
    x = np.arange(side) + flow[..., 0].astype(int)
    inside = x < side
    y = np.arange(now.shape[0])[:, None]
    covered = before[y, np.minimum(x, side - 1)]
    return flow, inside & (now == covered)
