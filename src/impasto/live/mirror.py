"""A camera's newest picture repainted by a transfer network, again and again.

Each result is blended with the one before, moved along the flow, as in a clip (`video`). Pictures
are painted as long as somebody looks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from impasto.clips import Frame
from impasto.errors import ImpastoError, one_line
from impasto.flow import Plane, brightness
from impasto.live.camera import PATIENCE, Camera, as_jpeg
from impasto.painters import Painter, Task
from impasto.temporal import Expected, expect, link

QUALITY = 88
"""Of the JPEGs that are shown."""

UNSEEN = 3.0
"""Seconds after the last question for a picture until nothing is painted any more."""

_COUNTED = 12
"""Pictures that the rate is the mean of."""


@dataclass(frozen=True)
class Choice:
    """What can be chosen while it runs.

    Attributes:
        style: a painting's file or a style's name.
        strength: 0 leaves pictures as they are, 1 paints them wholly.
    """

    style: str
    strength: float


@dataclass(frozen=True)
class Painted:
    """A repainted picture.

    Attributes:
        number: of the camera's picture.
        choice: how it was painted.
        rate: pictures a second, of late; 0 with the first.
        pixels: `(3, H, W)` in [0, 1].
        jpeg: the same as a file.
    """

    number: int
    choice: Choice
    rate: float
    pixels: Plane = field(repr=False)
    jpeg: bytes = field(repr=False)


class Mirror:
    """Repaints until it is closed, in a thread of its own.

    Args:
        camera: what to repaint; closed along with it.
        choice: what to begin with.
        make: the painter for a choice.
        hold: whether results are held to the ones before.

    Attributes:
        choice: what is to be painted from the next picture on; set it at will.
        fault: what went wrong last, a line for the user, or `None`.
        ended: whether there are no more pictures.
    """

    def __init__(
        self,
        camera: Camera,
        choice: Choice,
        make: Callable[[Choice], Painter],
        *,
        hold: bool = True,
    ) -> None:
        self._choice, self.ended = choice, False
        self.fault: str | None = None
        self._camera, self._make, self._hold = camera, make, hold
        self._news = threading.Condition()
        self._newest: Painted | None = None
        self._asked = -UNSEEN
        self._closed = False
        self._times = deque[float](maxlen=_COUNTED)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def choice(self) -> Choice:
        """See the class."""
        return self._choice

    @choice.setter
    def choice(self, choice: Choice) -> None:
        with self._news:
            self._choice = choice

    def _put_back(self, made: Choice, failed: Choice) -> None:
        """Takes a choice that failed back, unless a newer one has been made meanwhile."""
        with self._news:
            if self._choice is failed:
                self._choice = made

    def newest(self, after: int = -1, patience: float = 0.0) -> Painted | None:
        """The newest picture if its number is greater; waits so many seconds for one."""
        with self._news:
            self._asked = time.monotonic()
            self._news.notify_all()
            self._news.wait_for(
                lambda: self._closed or self.ended or self._is_after(after), patience
            )
            self._asked = time.monotonic()
            return self._newest if self._is_after(after) else None

    def _is_after(self, number: int) -> bool:
        return self._newest is not None and self._newest.number > number

    def close(self) -> None:
        """Frees the camera and answers all who wait."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._camera.close()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        try:
            self._paint_all()
            self.fault = self._camera.fault or self.fault
        except ImpastoError as error:
            self.fault = str(error)
        except Exception as error:  # it is shown; nobody else would hear of it
            self.fault = f"painting has failed ({one_line(str(error))}); start anew"
        finally:
            with self._news:
                self.ended = True
                self._news.notify_all()

    def _is_seen(self) -> bool:
        return time.monotonic() - self._asked < UNSEEN

    def _paint_all(self) -> None:
        made = self.choice
        painter = self._make(made)
        before: tuple[NDArray[np.uint8], Plane] | None = None
        number = -1
        while not self._closed:
            if not self._is_seen():
                before = None
                self._times.clear()
                with self._news:
                    self._news.wait_for(lambda: self._closed or self._is_seen())
            shot = self._camera.newest(number)
            if shot is None:
                return
            number = shot.number
            wanted = self.choice
            if wanted != made:
                before = None
                try:
                    painter, made, self.fault = self._make(wanted), wanted, None
                except ImpastoError as error:
                    self.fault = str(error)
                    self._put_back(made, wanted)
            luma = brightness(shot.pixels)
            frame = Frame(number, Fraction(0), Fraction(0), shot.pixels)
            result = painter.paint(Task(frame, expected=self._expected(luma, before)))
            before = (luma, result) if self._hold else None
            self._publish(number, made, result)

    def _expected(
        self, luma: NDArray[np.uint8], before: tuple[NDArray[np.uint8], Plane] | None
    ) -> Expected | None:
        if before is None or before[0].shape != luma.shape:
            return None
        way = link(luma, before[0], quick=True)
        return None if way.cut else expect([(way, before[1])])

    def _publish(self, number: int, choice: Choice, pixels: Plane) -> None:
        self._times.append(time.monotonic())
        passed = self._times[-1] - self._times[0]
        rate = (len(self._times) - 1) / passed if passed > 0 else 0.0
        painted = Painted(number, choice, rate, pixels, as_jpeg(pixels, QUALITY))
        with self._news:
            self._newest = painted
            self._news.notify_all()
