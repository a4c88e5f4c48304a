"""The newest picture of a camera, or of a clip in its place.

A thread of its own reads: who is slow misses pictures and is never shown old ones.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from impasto.clips import Frame, open_clip
from impasto.errors import ImageError, OptionError, one_line
from impasto.flow import Plane
from impasto.images import fit_within

MOST_MISSES = 3
"""Pictures in a row that a camera may fail to give before it counts as gone."""

PATIENCE = 2.0
"""Seconds that closing waits for a camera that is just giving a picture."""

_STEP = Fraction(1, 25)


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture.

    Attributes:
        number: of the picture, from 0; numbers that are missing were passed over.
        pixels: float32 `(3, H, W)`, sRGB in [0, 1].
    """

    number: int
    pixels: Plane


class Camera:
    """A camera that is on, until it is closed.

    Args:
        source: the camera's number or device, or a clip, which is played at its own speed.
        side: long side of the pictures, px at most.
        loop: begin a clip anew at its end.

    Attributes:
        fault: why there are no more pictures, a line for the user; `None`: they go on, or the clip
            has come to its end.

    Raises:
        OptionError: there is no such camera, or another program uses it.
        ImageError: the clip cannot be read.
    """

    def __init__(self, source: str, side: int, *, loop: bool = False) -> None:
        self.fault: str | None = None
        self._news = threading.Condition()
        self._closing, self._wanted = threading.Event(), threading.Event()
        self._newest: Shot | None = None
        self._ended = False
        path = Path(source)
        if not source.strip():
            raise OptionError("--camera: the name is empty; give a number, a device or a clip")
        if source.isdecimal() or path.is_char_device():
            if loop:
                raise OptionError("--loop: acts only where --camera is a clip; leave it out")
            rows = _from_device(_opened(source), source, side)
            next(rows)  # from here on, its end releases the camera
        else:
            rows = self._from_clip(path, side, loop=loop)
        self._rows = rows
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def newest(self, after: int = -1) -> Shot | None:
        """Waits for a picture with a greater number; the newest one. `None`: there are no more."""
        self._wanted.set()
        with self._news:
            self._news.wait_for(lambda: self._ended or self._is_after(after))
            return self._newest if self._is_after(after) else None

    def _is_after(self, number: int) -> bool:
        return self._newest is not None and self._newest.number > number

    def close(self) -> None:
        """Frees the camera."""
        self._closing.set()
        self._wanted.set()
        with self._news:
            self._ended, self._newest = True, None
            self._news.notify_all()
        self._thread.join(PATIENCE)

    def _read(self) -> None:
        try:
            self._wanted.wait()  # a clip is not to be over before somebody looks
            with contextlib.closing(self._rows):
                for number, pixels in enumerate(self._rows):
                    if self._closing.is_set():
                        break
                    with self._news:
                        self._newest = Shot(number, pixels)
                        self._news.notify_all()
        except ImageError as error:
            self.fault = str(error)
        except Exception as error:  # whatever a driver or a decoder may do
            self.fault = f"the camera has failed ({one_line(str(error))}); start anew"
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _from_clip(self, path: Path, side: int, *, loop: bool) -> Generator[Plane]:
        """A clip's pictures, each at its own time."""
        clip = open_clip(path)
        size = clip.size(side)
        return self._played(lambda: clip.frames(size=size), loop=loop)

    def _played(self, frames: Callable[[], Iterator[Frame]], *, loop: bool) -> Generator[Plane]:
        began = time.monotonic()
        while True:
            end = Fraction(0)
            for frame in frames():
                if self._closing.wait(max(0.0, began + float(frame.time) - time.monotonic())):
                    return
                end = frame.time + (frame.duration or _STEP)
                yield frame.pixels
            if not loop or end == 0:
                return
            began += float(end)


def _opened(source: str) -> cv2.VideoCapture:
    # What it says of a missing camera is many lines long.
    cast("Any", cv2).utils.logging.setLogLevel(0)
    device = None
    with contextlib.suppress(cv2.error, OverflowError):  # numbers beyond those of cameras
        device = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if device is None or not device.isOpened():
        raise OptionError(
            f"--camera {source}: there is no such camera, or another program uses it; name another "
            "one, or a clip"
        )
    # What waits in a queue is old.
    device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return device


def _from_device(device: cv2.VideoCapture, name: str, side: int) -> Generator[Plane]:
    """A camera's pictures, after an empty one."""
    try:
        yield np.zeros((3, 0, 0), np.float32)
        misses = 0
        while misses < MOST_MISSES:
            there, values = device.read()
            if not there:
                misses += 1
                continue
            misses = 0
            yield planes_of(cast("NDArray[np.uint8]", values), side)
        raise ImageError(f"the camera {name} gives no more pictures; look at its cable, start anew")
    finally:
        device.release()


def planes_of(values: NDArray[np.uint8], side: int) -> Plane:
    """OpenCV's picture, `(H, W, 3)` in the order blue, green, red, as pixels `(3, H', W')` in
    [0, 1] with a long side of so many px at most."""
    height, width = values.shape[:2]
    size = fit_within(width, height, min(side, max(width, height)))
    if size != (width, height):
        values = cast("NDArray[np.uint8]", cv2.resize(values, size, interpolation=cv2.INTER_AREA))
    planes = values[..., ::-1].transpose(2, 0, 1)
    return np.ascontiguousarray(planes).astype(np.float32) / np.float32(255)


def as_jpeg(pixels: Plane, quality: int) -> bytes:
    """Pixels `(3, H, W)` in [0, 1] as a JPEG file."""
    values = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    rows = np.ascontiguousarray(values.transpose(1, 2, 0)[..., ::-1])
    _, data = cv2.imencode(".jpg", rows, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
