"""Masks that follow a clip frame by frame: those of another clip, or numbered pictures in a folder.

Of such a mask each frame of the clip gets the picture that is nearest in time. It may be black
everywhere for a while: the region has then gone out of sight.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from impasto.clips import Clip, Frame, Span, open_clip
from impasto.errors import ImageError, one_line
from impasto.images import SNIFF_BYTES, Bitmap, is_picture
from impasto.masks import FrameMask, grey_of, palette, read_mask
from impasto.paths import check_plain
from impasto.sources import describe_source, find_source, is_built_in, read_source, split_label

Label = tuple[int, int, int]

TIMES = "times.csv"
"""The table of times beside numbered frames, as `impasto video` writes it."""

NEAR = 8
"""A mask's clip is read from so many frames, on average, before a moment that is gone to."""

DARKEST = 1 / 255
"""What the region's brightest pixel has at least."""

_NUMBER = re.compile(r"[0-9]+")
_MOMENT = re.compile(
    r"[0-9]{1,12}/0*[1-9][0-9]{0,11}|[0-9]{1,12}(\.[0-9]{0,30})?(e[+-]?[0-9]{1,2})?"
)
"""Seconds in a table: a decimal number or a fraction."""


class Mask(Protocol):
    """A mask along a clip.

    Attributes:
        record: plain data that tells it from others.
        moves: whether it changes from frame to frame.
    """

    record: Any
    moves: bool

    def at(self, time: Fraction) -> Any:
        """The mask at a moment of the clip, as `masks.read_mask` takes it.

        Args:
            time: seconds from the clip's start. Times that rise are quickest.

        Raises:
            ImageError: it cannot be read.
        """
        ...

    def check(self) -> None:
        """Looks for a picture in which anything belongs to the region.

        Raises:
            ImageError: there is none, or one cannot be read.
        """
        ...


@contextlib.contextmanager
def _as_mask() -> Iterator[None]:
    """Has faults of pictures say that they are a mask's."""
    try:
        yield
    except ImageError as error:
        if str(error).startswith("--"):
            raise
        raise type(error)(f"--mask {error}") from None


@_as_mask()
def open_mask(source: Any, clip: Clip, max_pixels: int) -> Mask:
    """Looks at a mask: a picture, a clip, or a folder of numbered pictures.

    The pictures of a folder have the times of its table `times.csv`, or else their numbers count
    the clip's frames, the smallest being its first one.

    Args:
        source: what `masks.read_mask` takes, or the path of a clip or a folder; it may end in
            `#rrggbb`, the colour that is meant.
        clip: that it follows.
        max_pixels: largest picture to read, in pixels.

    Raises:
        ImageError: it cannot be read, or its pictures have no numbers.
    """
    path, label = split_label(source)
    if not isinstance(path, str | os.PathLike) or is_built_in(find_source(path)):
        return _Still(source, max_pixels)
    path = Path(path)
    check_plain(path, "--mask")
    if path.is_dir():
        return _Pictures(path, label, clip, max_pixels)
    try:
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
    except OSError:
        head = b""  # what is wrong is told where the picture is read
    if head and (not is_picture(head) or head[:4] in (b"GIF8", b"RIFF")):
        film = _as_clip(path, max_pixels)
        if film.facts.frames != 1:
            return _Film(film, label, source)
    return _Still(source, max_pixels)


def _as_clip(path: Path, max_pixels: int) -> Clip:
    try:
        return open_clip(path, max_pixels=max_pixels)
    except ImageError:
        raise ImageError(
            f"--mask {one_line(str(path))}: is neither a picture nor a clip that can be read; give "
            "one, or a folder of numbered pictures"
        ) from None


class _Still:
    """One picture for all frames."""

    moves = False

    def __init__(self, source: Any, max_pixels: int) -> None:
        read_mask(source, max_pixels)
        self._source = source
        self.record: Any = describe_source(source)

    def at(self, time: Fraction) -> Any:  # noqa: ARG002 -- it is always the same
        """See `Mask.at`."""
        return self._source

    def check(self) -> None:
        """See `Mask.check`. It was looked at when it was opened."""


class _Film:
    """The frames of a clip."""

    moves = True

    def __init__(self, film: Clip, label: Label | None, source: Any) -> None:
        self._film, self._label = film, label
        self.record: Any = describe_source(source)
        self._rows: Iterator[Frame] = iter(())
        self._near: Frame | None = None
        self._next: Frame | None = None
        self._seen: FrameMask | None = None
        self.at(Fraction(0))

    @_as_mask()
    def at(self, time: Fraction) -> Any:
        """See `Mask.at`."""
        if self._near is None or time < self._near.time or self._is_far(time):
            self._begin(time)
        if self._near is None:
            raise ImageError(f"--mask {one_line(str(self._film.path))}: has no frames")
        self._go_on(time)
        if self._seen is None:
            bitmap = Bitmap(self._near.pixels, self._near.alpha)
            self._seen = FrameMask(grey_of(bitmap, self._label, self._film.path, absent=True))
        return self._seen

    @_as_mask()
    def check(self) -> None:
        """See `Mask.check`."""
        first: Bitmap | None = None
        for frame in self._film.frames():
            bitmap = Bitmap(frame.pixels, frame.alpha)
            grey = grey_of(bitmap, self._label, self._film.path, absent=True)
            if float(grey.max()) >= DARKEST:
                return
            first = first or bitmap
        raise _nothing_in(self._film.path, self._label, first)

    @property
    def _margin(self) -> Fraction:
        return NEAR / (self._film.facts.rate or Fraction(25))

    def _is_far(self, time: Fraction) -> bool:
        """Whether a moment is better gone to than read up to."""
        return self._next is not None and time > self._next.time + 2 * self._margin

    def _begin(self, time: Fraction) -> None:
        """Reads from some frames before a moment on, or from the beginning where the frame that is
        nearest to it may lie before those."""
        for start in (max(Fraction(0), time - self._margin), Fraction(0)):
            self._rows = self._from(start)
            self._near, self._next = next(self._rows, None), next(self._rows, None)
            self._seen = None
            self._go_on(time)
            if self._near is not None and abs(self._near.time - time) <= self._margin:
                return

    def _from(self, start: Fraction) -> Iterator[Frame]:
        """The frames from a moment on, with times of the whole clip."""
        for frame in self._film.frames(Span(start)):
            yield replace(frame, time=frame.time + start)

    def _go_on(self, time: Fraction) -> None:
        """Reads up to the frame that is nearest to a moment."""
        while (
            self._near is not None
            and self._next is not None
            and self._next.time - time < time - self._near.time
        ):
            self._near, self._next = self._next, next(self._rows, None)
            self._seen = None


class _Pictures:
    """The numbered pictures of a folder."""

    moves = True

    def __init__(self, folder: Path, label: Label | None, clip: Clip, max_pixels: int) -> None:
        self._folder, self._label, self._max_pixels = folder, label, max_pixels
        rows = _timed(folder) or _numbered(folder, clip)
        if not rows:
            raise ImageError(
                f"--mask {one_line(str(folder))}: the folder holds no pictures; put numbered ones "
                "into it, such as 000001.png"
            )
        self._times, self._names = zip(*sorted(rows), strict=True)
        digest = hashlib.sha256()
        for time, name in zip(self._times, self._names, strict=True):
            known = describe_source(folder / name) or {}
            digest.update(f"{time} {known['sha256']}\n".encode())
        self.record: Any = {"path": str(folder.absolute()), "sha256": digest.hexdigest()}
        if label is not None:
            self.record["label"] = list(label)
        self._last: tuple[str, FrameMask] | None = None
        self.at(Fraction(0))

    @_as_mask()
    def at(self, time: Fraction) -> Any:
        """See `Mask.at`."""
        place = bisect_right(self._times, time)
        near = range(max(0, place - 1), min(len(self._times), place + 1))
        name = self._names[min(near, key=lambda i: abs(self._times[i] - time))]
        if self._last is None or self._last[0] != name:
            path = self._folder / name
            bitmap = read_source(path, self._max_pixels)
            self._last = name, FrameMask(grey_of(bitmap, self._label, path, absent=True))
        return self._last[1]

    @_as_mask()
    def check(self) -> None:
        """See `Mask.check`."""
        if any(float(self.at(time).grey.max()) >= DARKEST for time in self._times):
            return
        first = read_source(self._folder / self._names[0], self._max_pixels)
        raise _nothing_in(self._folder, self._label, first)


def _nothing_in(path: Path, label: Label | None, first: Bitmap | None) -> ImageError:
    """The fault of masks that have a region in no frame.

    Args:
        path: of their clip or folder.
        label: the colour that is meant.
        first: the first of them.
    """
    name = one_line(str(path))
    if label is None:
        return ImageError(f"{name}: is black in all its pictures; paint the region white in some")
    wanted = "".join(f"{value:02x}" for value in label)
    known = [] if first is None else palette(first)[:6]
    colours = ", ".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in known)
    return ImageError(
        f"{name}: none of its pictures has the colour #{wanted}; name one that they have "
        f"(the first one: {colours or 'too many to name'})"
    )


def _numbered(folder: Path, clip: Clip) -> list[tuple[Fraction, str]]:
    """Times and names of the pictures of a folder, by the last number in each name, which counts
    the frames of a clip.

    Raises:
        ImageError: one has none, or two have the same.
    """
    found: list[tuple[int, str]] = []
    for path in folder.iterdir():
        if path.name.startswith(".") or not path.is_file():
            continue
        numbers = _NUMBER.findall(path.stem)
        if not numbers:
            raise ImageError(
                f"--mask {one_line(str(path))}: has no number in its name; number the pictures, or "
                "leave only those in the folder"
            )
        found.append((int(numbers[-1]), path.name))
    found.sort()
    for (one, name), (other, twin) in pairwise(found):
        if one == other:
            raise ImageError(
                f"--mask {one_line(str(folder))}: {one_line(name)} and {one_line(twin)} have the "
                "same number; leave one in the folder"
            )
    if not found:
        return []
    times, step = clip.times(), 1 / (clip.facts.rate or Fraction(25))
    rows: list[tuple[Fraction, str]] = []
    for number, name in found:
        place = number - found[0][0]
        beyond = max(0, place + 1 - len(times))
        rows.append((times[place - beyond] + beyond * step, name))
    return rows


def _seconds(text: str) -> Fraction:
    """A moment in a table.

    Raises:
        ValueError: it is none.
    """
    if not _MOMENT.fullmatch(text.strip()):
        raise ValueError("no moment")
    return Fraction(text)


def _timed(folder: Path) -> list[tuple[Fraction, str]]:
    """Times and names of pictures by the table of their folder; empty where there is none.

    Raises:
        ImageError: it is damaged.
    """
    path = folder / TIMES
    if not path.is_file():
        return []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, csv.Error):
        with path.open(encoding="utf-8", newline="") as file:
            rows = [
                (_seconds(row["seconds"]), Path(row["file"]).name) for row in csv.DictReader(file)
            ]
        if rows:
            return rows
    raise ImageError(
        f"--mask {one_line(str(path))}: is no table of file, seconds and duration; mend it, or "
        "remove it to have the pictures follow by their numbers"
    )
