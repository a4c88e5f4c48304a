"""A clip painted in segments, by one process or several, and joined so that no seam shows.

Each segment is painted for itself, as a clip of its own with its own folder of frames, and begins
some frames before the one ahead of it ends, so that it has settled there. What the earlier one has
otherwise in its last frame is added to the frames after it, moved along with the flow, and fades.
Where a scene begins near its place, a segment begins with it. The frames depend on how many
segments there are, not on who paints which of them when: several processes of this machine do, or
other machines, which need no more than the clip and the plan that follows from it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from impasto import errors
from impasto.clips import Clip, Frame, FrameFolder, Span, open_clip
from impasto.devices import pick_device
from impasto.errors import ImpastoError, OptionError, RunError
from impasto.flow import Plane, brightness, look_up
from impasto.images import fit_within, make_folder, output_error, write_whole
from impasto.memory import memory_budget
from impasto.moving_masks import open_mask
from impasto.options import StyleOptions
from impasto.painters import NetworkPainter, OptimizerPainter, Painter, Task
from impasto.temporal import Link, link
from impasto.video import (
    ClipRun,
    Part,
    VideoProgress,
    check_inputs,
    check_together,
    fitted,
    kept_record,
    no_frames,
    passes_of,
    positive,
    time_left,
)
from impasto.video_options import VideoOptions

OVERLAP = 4
"""Frames that a segment begins before the one ahead of it ends: its first ones change the most."""

FADE = 120
"""Frames in which what a segment had otherwise fades in the next one: so many that the steps from
frame to frame hardly grow by it. Nothing is painted for it."""

UNSEEN = 0.8
"""The share of it that stays from frame to frame where things move and the flow is not trusted."""

GRAIN, AROUND = (5, 5), (33, 33)
"""Sides of the squares over whose means two frames are alike, and in which they are so, px."""

MOST_SEGMENTS = 1000

SEARCHED = 100
"""A cut is looked for within so many frames of where a segment would begin, at most."""

SEARCH_SIDE = 128
"""Long side of the frames that cuts are looked for in, px."""


@dataclass(frozen=True)
class Order:
    """All that says how a clip is painted, in plain data that another process can be given.

    Attributes:
        clip: its file.
        output: the clip to write, or without an extension a folder of numbered PNGs.
        styles: files of paintings, or names of styles.
        options: of each frame.
        video: of the clip.
        fast: by a transfer network.
        network: which one; `None`: as the styles want.
        masks: of regions: pictures, clips, or folders.
        style_masks: of the paintings.
        overwrite: as for `ClipRun`.
    """

    clip: Path
    output: Path
    styles: Sequence[str]
    options: StyleOptions = field(default_factory=StyleOptions)
    video: VideoOptions = field(default_factory=VideoOptions)
    fast: bool = False
    network: str | None = None
    masks: Sequence[str] = ()
    style_masks: Sequence[str | None] = ()
    overwrite: bool = False

    def painter(self) -> Painter:
        """What paints it.

        Raises:
            ImpastoError: a painting, network or option is no good.
        """
        rate = None if self.video.rate is None else Fraction(str(self.video.rate))
        clip = open_clip(self.clip, rate=rate, max_pixels=self.options.max_pixels)
        options = fitted(self.options, clip, preview=self.video.preview)
        if self.fast:
            return NetworkPainter(
                *(self.styles, options, self.network, self.video.hold),
                *(self.masks, self.style_masks),
            )
        return OptimizerPainter(
            *(self.styles, options, self.video.hold, self.video.follow),
            *(self.masks, self.style_masks),
        )

    def check(self) -> None:
        """Refuses what does not go together.

        Raises:
            OptionError: options of frames and of the clip.
            OutputError: what is to be read lies where frames are kept and deleted.
        """
        check_together(self.options, self.video, len(self.styles), len(self.masks))
        given = [*self.styles, *self.masks, *self.style_masks, self.network]
        names = [re.sub("#[0-9a-fA-F]{6}$", "", one) for one in given if one is not None]
        check_inputs(self.output, map(Path, names))

    def run(
        self, painter: Painter, *, live: Path | None = None, part: Part | None = None
    ) -> ClipRun:
        """The whole clip, or a part of it, on its way.

        Args:
            painter: from `painter`.
            live: keep the newest frame in this picture.
            part: from `plan_parts`.
        """
        self.check()
        return ClipRun(
            *(self.clip, self.output, painter, self.video, self.options.size),
            styles=self.styles,
            overwrite=self.overwrite,
            live=live,
            max_pixels=self.options.max_pixels,
            part=part,
        )


@dataclass(frozen=True)
class Seam:
    """A part, and how it goes on from the one before.

    Attributes:
        part: with the frames that the one before it has as well.
        overlap: how many those are.
    """

    part: Part
    overlap: int


def plan_parts(clip: Clip, span: Span, segments: int, *, overlap: int = OVERLAP) -> list[Seam]:
    """Divides a clip: evenly, but at a cut where there is one near.

    Args:
        clip: to divide.
        span: the part of it that is wanted.
        segments: how many; fewer where there are fewer frames.
        overlap: frames that neighbours both have, at most.

    Raises:
        OptionError: there are no frames.
    """
    times = [span.start + frame.time for frame in clip.frames(span, pixels=False)]
    if not times:
        raise no_frames(clip, span)
    segments = min(segments, len(times))
    begins, soft = [0], [0]
    for number in range(1, segments):
        even = round(number * len(times) / segments)
        cut = _nearest_cut(clip, span, times, even, min(SEARCHED, len(times) // segments // 4))
        begins.append(even if cut is None else cut)
        soft.append(min(overlap, begins[-1] - begins[-2]) if cut is None else 0)
    seams: list[Seam] = []
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(times)], strict=True)):
        first = begin - soft[number]
        last = times[end] if end < len(times) else span.end
        part = Part(number + 1, first, end - first, times[first], last)
        seams.append(Seam(part, soft[number]))
    return seams


def _nearest_cut(
    clip: Clip, span: Span, times: Sequence[Fraction], place: int, reach: int
) -> int | None:
    """The number of the first frame of a scene that begins near a frame, or `None`."""
    first, last = max(0, place - reach - 1), min(len(times) - 1, place + reach)
    if reach < 1:
        return None
    end = times[last + 1] if last + 1 < len(times) else span.end
    size = fit_within(*clip.size(None), min(SEARCH_SIDE, max(clip.size(None))))
    before, found = None, list[int]()
    for frame in clip.frames(Span(times[first], end, span.every), size):
        seen = brightness(frame.pixels)
        if before is not None and link(seen, before, quick=True).cut:
            found.append(first + frame.number)
        before = seen
    return min(found, key=lambda number: abs(number - place), default=None)


class _Planned:
    """Stands for the painters of the segments where the whole clip is looked at, so that this
    process needs no network; it paints nothing."""

    def __init__(self, order: Order, segments: int, memory: int | None) -> None:
        self.reach: tuple[int, ...] = (1,)
        self.quick, self.memory = True, memory
        self.masks: Sequence[Any] = ()
        self._record = {
            "segments": segments,
            "engine": "network" if order.fast else "optimizer",
            "options": order.options.model_dump(mode="json"),
            "styles": [str(style) for style in order.styles],
        }

    def record(self) -> dict[str, Any]:
        """See `Painter.record`."""
        return self._record

    def paint(self, task: Task) -> Plane:
        """Never asked for: segments are painted by painters of their own."""
        del task
        raise RunError("the whole clip is painted in segments only")


class SegmentedRun(ClipRun):
    """A clip on its way in segments; as `ClipRun`.

    Every worker paints with as many threads as the machine has processors for each segment, and
    the optimiser within as large a share of the memory, however many workers there are: what
    frames depend on is the same.

    Args:
        order: how it is painted.
        segments: how many.
        workers: processes that paint at once; with 1, this one does.
        only: paint this segment only, from 1, and do not join; `None`: all of them.
        live: keep the newest frame in this picture.

    Raises:
        OptionError: numbers out of range.
    """

    def __init__(
        self,
        order: Order,
        segments: int,
        workers: int = 1,
        *,
        only: int | None = None,
        live: Path | None = None,
    ) -> None:
        for name, value, most in [
            ("--segments", segments, MOST_SEGMENTS),
            ("--workers", workers, segments),
            ("--segment", 1 if only is None else only, segments),
        ]:
            if not 1 <= value <= most:
                raise OptionError(f"{name} {value}: must lie in 1 to {most}")
        order.check()
        self._order, self._workers, self._only = order, workers, only
        self._segments = segments
        at_once = min(segments, _processors())
        self._threads = order.options.threads or _processors() // at_once
        memory = None
        if not order.fast and order.options.memory is None:
            memory = memory_budget(pick_device(order.options.device)) // at_once
        self._seams: list[Seam] = []
        self._details: dict[str, Any] = {}
        super().__init__(
            *(order.clip, order.output, _Planned(order, segments, memory), order.video),
            order.options.size,
            styles=order.styles,
            overwrite=order.overwrite,
            live=live,
            max_pixels=order.options.max_pixels,
        )
        if not self.done:  # once for all segments, and before any of them
            for mask in order.masks:
                open_mask(mask, self.clip, order.options.max_pixels).check()

    @property
    def record(self) -> dict[str, Any]:
        """What the frames depend on, as plain data: for all of them as for those of a segment."""
        return super().record | self._details

    def _known_result(self) -> dict[str, Any] | None:
        return super()._known_result() if self._only is None else None

    def _begin(self) -> None:
        self._seams, self._details = [], {}
        if self._only is None:
            super()._begin()
            return
        # Others may paint other segments meanwhile.
        make_folder(self.folder)
        self._take_turn()

    def _clear(self) -> None:
        if self._only is None:
            super()._clear()
            return
        # Nobody else may be at work on any segment.
        self._lock.take()
        try:
            super()._clear()
        finally:
            self._lock.give()

    def _discard(self) -> None:
        # Others may have begun with other segments.
        if self._only is None:
            super()._discard()

    def _circumstances(self) -> dict[str, Any]:
        return {**super()._circumstances(), "threads": self._threads}

    def _heed(self, known: dict[str, Any]) -> None:
        super()._heed(known)
        self._threads = positive(known.get("threads")) or self._threads

    def _passes_over(self) -> Iterator[VideoProgress]:
        self._seams = self._planned()
        chosen = [seam.part for seam in self._seams if self._only in (None, seam.part.number)]
        twice = sum(seam.overlap for seam in self._seams) if self._only is None else 0
        if not chosen:
            raise OptionError(
                f"--segment {self._only}: the clip has frames for {len(self._seams)} segments only"
            )
        last = self._seams[-1].part
        self.frames = last.first + last.count
        options = self._order.options.model_copy(update={"threads": self._threads})
        order = replace(self._order, options=options)
        tally = _Tally(chosen, len(self._passes), twice)
        workers = min(self._workers, len(chosen))
        memory = getattr(self._painter, "memory", None)
        paint = _here(order, memory, chosen)
        if workers > 1:
            paint = _by_workers(order, memory, chosen, workers)
        with contextlib.closing(paint):
            for message in paint:
                progress = tally.count(message)
                if progress is None:
                    continue
                pixels, _ = self._frames_of(message.part, message.pass_).read(message.place)
                self._show(pixels)
                yield replace(progress, pixels=pixels)
        known = kept_record(self.folder / chosen[0].folder) or {}
        self._details = {k: v for k, v in known.get("record", {}).items() if k != "segment"}

    def _planned(self) -> list[Seam]:
        """The segments: as they have been planned, or planned now."""
        path = self.folder / "plan.json"
        try:
            seams = [_seam(row) for row in json.loads(path.read_text(encoding="utf-8"))]
            if seams:
                return seams
        except (OSError, ValueError, TypeError, KeyError, ArithmeticError):
            pass  # there is none yet, or none that is whole
        seams = plan_parts(self.clip, self.span, self._segments, overlap=OVERLAP)
        write_whole(path, json.dumps([_row(seam) for seam in seams]).encode(), overwrite=True)
        return seams

    def _frames_of(self, part: Part, pass_: int = 0) -> FrameFolder:
        """The frames of a pass over a part; by default of the last pass."""
        folder = self.folder / part.folder
        return passes_of(folder, len(self._passes), self._bits)[pass_ - 1]

    def finish(self, *, keep_frames: bool = False) -> None:
        """Joins the segments; see `ClipRun.finish`. Of a single segment the frames are kept."""
        if self._only is None:
            super().finish(keep_frames=keep_frames)

    def _finished(self) -> Iterator[Frame]:
        """The clip's frames with the pixels of the result."""
        for frame, seam, added in self._joined():
            pixels = self._segments_own(seam, frame.number, added)
            yield Frame(frame.number, frame.time, frame.duration, pixels, frame.alpha)

    def _joined(self) -> Iterator[tuple[Frame, Seam, Plane | None]]:
        """The clip's frames, the segment that each one's result is from, and what is added to that,
        `(3, H, W)`, where something is: what the segment before would have had otherwise."""
        self._lumas.clear()
        fading = any(seam.overlap for seam in self._seams)
        rest: Plane | None = None
        left = 0
        for frame in self.clip.frames(self.span, self.size, pixels=fading or self.clip.facts.alpha):
            number, added = frame.number, None
            seam, *later = self._parts_of(number)
            if fading:
                self._note(number, frame, brightness(frame.pixels))
            if rest is not None:
                left -= 1
                if left == 0 or self._breaks(number, number - 1):
                    rest = None
                else:
                    way = self._link(number, number - 1)
                    rest = _moved(rest, way, self._lumas[number], self._lumas[number - 1])
                    added = rest * np.float32(left / (FADE + 1))
            yield frame, seam, added
            if later and number + 1 == seam.part.first + seam.part.count:
                rest = self._segments_own(seam, number, added) - self._segments_own(
                    later[0], number
                )
                left = FADE + 1

    def _segments_own(self, seam: Seam, number: int, added: Plane | None = None) -> Plane:
        """A frame of a segment and what is added to it, `(3, H, W)` in [0, 1]."""
        pixels, _ = self._frames_of(seam.part).read(number - seam.part.first)
        return pixels if added is None else np.clip(pixels + added, 0, 1)

    def _parts_of(self, number: int) -> list[Seam]:
        """The one or two segments that have a frame, in their order."""
        return [
            seam
            for seam in self._seams
            if seam.part.first <= number < seam.part.first + seam.part.count
        ]

    def _gathered(self) -> FrameFolder:
        joined = FrameFolder(self.folder / "joined", self._bits)
        for frame, seam, added in self._joined():
            number = frame.number
            if joined.has(number):
                continue
            if added is not None:
                _, alpha = self._frames_of(seam.part).read(number - seam.part.first)
                joined.write(number, self._segments_own(seam, number, added), alpha)
                continue
            path = joined.path(number)
            part = path.with_suffix(".part")
            try:
                path.parent.mkdir(exist_ok=True)
                source = self._frames_of(seam.part).path(number - seam.part.first)
                part.write_bytes(source.read_bytes())
                part.replace(path)
            except OSError as error:
                raise output_error(str(path), error) from None
        return joined


def _moved(rest: Plane, way: Link, now: NDArray[np.uint8], before: NDArray[np.uint8]) -> Plane:
    """What is added to a frame, `(3, H, W)`, where it is in the next one.

    Args:
        rest: what is added.
        way: from the next frame to it.
        now: luma `(H, W)` of the next frame.
        before: of the frame.
    """
    # What stands still has a flow too, of its grain, that would make it tremble.
    one, other = (np.asarray(cv2.blur(luma.astype(np.float32), GRAIN)) for luma in (now, before))
    moved, still = (
        np.asarray(cv2.blur(np.abs(seen - one), AROUND))
        for seen in (look_up(np.asarray(other, np.float32), way.flow), other)
    )
    differs = (still > 1.2 * moved + 0.5).astype(np.float32)
    moves = np.asarray(cv2.blur(differs, AROUND), np.float32)
    flow = way.flow * moves[..., None]
    rows = look_up(np.ascontiguousarray(rest.transpose(1, 2, 0)), flow)
    share = 1 - (1 - UNSEEN) * (1 - way.trust) * moves
    return np.ascontiguousarray(rows.transpose(2, 0, 1)) * share.astype(np.float32)


@dataclass(frozen=True)
class _Message:
    """What a worker tells: a frame is finished; or, with place -1, its whole part is."""

    part: Part
    done: int
    resumed: int
    place: int = -1
    pass_: int = 1
    cut: bool = False


@dataclass(frozen=True)
class _Fault:
    """What a worker could not go on for: the name of its class in `errors`, and its line."""

    kind: str
    text: str


class _Tally:
    """Adds up the frames of several parts.

    Args:
        parts: that are painted.
        passes: over each of them.
        twice: frames that two of them have.
    """

    def __init__(self, parts: Sequence[Part], passes: int, twice: int) -> None:
        self._began, self._first = time.monotonic(), 0.0
        self._twice = passes * twice
        self._total = passes * sum(part.count for part in parts)
        self._passes = passes
        self._done: dict[int, int] = {}
        self._resumed: dict[int, int] = {}

    def count(self, message: _Message) -> VideoProgress | None:
        """How far all are after a message; `None` where it tells of no frame."""
        part = message.part
        self._done[part.number], self._resumed[part.number] = message.done, message.resumed
        if message.place < 0:
            return None
        done, resumed = sum(self._done.values()), sum(self._resumed.values())
        elapsed = time.monotonic() - self._began
        self._first = self._first or elapsed
        left = time_left(self._total, done, done - resumed, elapsed - self._first)
        return VideoProgress(
            *(done, self._total, part.first + message.place, message.pass_, resumed),
            *(elapsed, left, message.cut, np.zeros((3, 0, 0), np.float32)),
            twice=self._twice,
        )


def _here(
    order: Order, memory: int | None, parts: Iterable[Part]
) -> Generator[_Message, None, None]:
    """Paints parts one after the other, with one painter."""
    painter = order.painter()
    for part in parts:
        if memory is not None:
            painter.memory = memory  # pyright: ignore[reportAttributeAccessIssue]
        done, made = 0, 0
        for progress in (run := order.run(painter, part=part)):
            done, made = progress.done, progress.done - progress.resumed
            yield _Message(
                *(part, done, progress.resumed, progress.number, progress.pass_, progress.cut)
            )
        run.release()
        done = part.count * order.video.passes
        yield _Message(part, done, done - made)


def _by_workers(
    order: Order, memory: int | None, parts: Sequence[Part], workers: int
) -> Generator[_Message, None, None]:
    """Paints parts by processes; each takes the next one when it is done with its own.

    Raises:
        ImpastoError: as a worker met it.
        RunError: a worker was killed.
    """
    told: queue.Queue[tuple[subprocess.Popen[bytes], Any]] = queue.Queue()
    left, busy = list(parts), 0
    processes = [_start(order, memory, told) for _ in range(workers)]
    try:
        for process in processes:
            _send(process, left.pop(0))
            busy += 1
        while busy:
            process, message = told.get()
            if message is None:
                raise RunError("a worker was ended before its segment was done")
            if isinstance(message, _Fault):
                raise getattr(errors, message.kind)(message.text)
            yield message
            if message.place < 0:
                busy -= 1
                if left:
                    _send(process, left.pop(0))
                    busy += 1
    finally:
        for process in processes:
            # One that is still at work ends when nobody listens any more.
            assert process.stdin is not None
            process.kill()
            process.wait()
            with contextlib.suppress(OSError):
                process.stdin.close()


def _start(order: Order, memory: int | None, told: queue.Queue[Any]) -> subprocess.Popen[bytes]:
    """Starts a worker, and has what it tells put into a queue."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", "from impasto.segments import work; work()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    _send(process, (order, memory))

    def listen() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                told.put((process, _unpacked(line)))
        told.put((process, None))

    threading.Thread(target=listen, daemon=True).start()
    return process


def _send(process: subprocess.Popen[bytes], what: Any) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(_packed(what))
        process.stdin.flush()
    except OSError:
        # It has ended; the thread that listens to it tells so.
        return


def _packed(what: Any) -> bytes:
    return base64.b64encode(pickle.dumps(what)) + b"\n"


def _unpacked(line: bytes) -> Any:
    return pickle.loads(base64.b64decode(line))


def work() -> None:
    """A worker: paints the parts that it is told of on its standard input, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it is told, and ends it
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    source = sys.stdin.buffer
    order, memory = _unpacked(source.readline())
    parts: queue.Queue[Part] = queue.Queue()

    def listen() -> None:
        for line in source:
            parts.put(_unpacked(line))
        os._exit(1)  # whoever started it is gone

    threading.Thread(target=listen, daemon=True).start()

    def all_parts() -> Iterator[Part]:
        while True:
            yield parts.get()

    try:
        for message in _here(order, memory, all_parts()):
            out.write(_packed(message))
            out.flush()
    except ImpastoError as error:
        kind = type(error).__name__
        out.write(_packed(_Fault(kind if hasattr(errors, kind) else "RunError", str(error))))
        out.flush()


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _row(seam: Seam) -> dict[str, Any]:
    part = seam.part
    return {
        "number": part.number,
        "first": part.first,
        "count": part.count,
        "start": str(part.start),
        "end": None if part.end is None else str(part.end),
        "overlap": seam.overlap,
    }


def _seam(row: dict[str, Any]) -> Seam:
    end = None if row["end"] is None else Fraction(row["end"])
    numbers = [row[name] for name in ("number", "first", "count", "overlap")]
    if not all(isinstance(one, int) for one in numbers):
        raise TypeError
    number, first, count, overlap = numbers
    return Seam(Part(number, first, count, Fraction(row["start"]), end), overlap)
