"""A clip repainted frame by frame, so that what holds still in it holds still in the result.

The first frame of a scene is painted as a picture of its own. Each one after it begins with the
result of the frame before, moved along with the flow, and is held to it where that can be trusted
(Ruder, Dosovitskiy & Brox, "Artistic Style Transfer for Videos", GCPR 2016). Further passes go
through the clip in turn backward and forward, each frame then beginning with its own last result as
well. A transfer network's frames are blended with those before, moved along in the same way.

Finished frames lie in a folder beside the result, as PNGs, and later frames are made from those: so
a run that was killed goes on from there to the same frames, and takes the memory of a few of them
however long the clip is.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import impasto
from impasto.clips import (
    Clip,
    Frame,
    FrameFolder,
    Span,
    check_copied,
    folder_identity,
    open_clip,
    read_ahead,
    target_for,
    write_clip,
)
from impasto.errors import ImageError, ImpastoError, OptionError, OutputError, one_line
from impasto.flow import Plane, brightness
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    Bitmap,
    check_output,
    check_place,
    move_whole,
    output_error,
    write_image,
    write_whole,
)
from impasto.locks import LOCK_NAME, TURN_NAME, FolderLock
from impasto.masks import FrameMask
from impasto.moving_masks import open_mask
from impasto.options import StyleOptions
from impasto.painters import REACH, Painter, Task
from impasto.pairing import resolve
from impasto.temporal import Link, expect, link
from impasto.video_options import VideoOptions

RECORD_VERSION = 3
"""Raised when the folders of unfinished clips come to hold something else."""

PREVIEW_EVERY, PREVIEW_SIDE = 10, 256
"""What a preview takes: of so many frames the first, at this long side at most, px."""

_KEPT, _SEGMENT = re.compile(r"[0-9]+|source|joined|mask-[0-9]+"), re.compile(r"segment-[0-9]+")
"""Names of the folders of what is kept until the result is written."""

DONE_NAME = ".impasto-done"
"""The file in a run's folder that says what its result is, from just before that has its name."""

_LUMAS = 2 * max(REACH) + 2


@dataclass(frozen=True)
class VideoProgress:
    """One finished frame.

    Attributes:
        done: frames finished so far, over all passes.
        total: frames to finish in all; `None` where the clip does not say.
        number: of the frame, from 0.
        pass_: the pass, from 1.
        resumed: frames that were finished before this run began.
        elapsed: seconds of this run.
        remaining: seconds it is expected to go on; `None` where that cannot be known.
        cut: whether a scene begins with the frame.
        pixels: the result, float32 `(3, H, W)` in [0, 1].
        twice: how many of `total` are frames that are painted once more, where segments overlap.
    """

    done: int
    total: int | None
    number: int
    pass_: int
    resumed: int
    elapsed: float
    remaining: float | None
    cut: bool
    pixels: Plane = field(repr=False)
    twice: int = 0


def time_left(total: int | None, done: int, made: int, passed: float) -> float | None:
    """Seconds that a run is expected to go on; `None` where that cannot be known: before the second
    frame too, since the first one waits for all that is got ready once.

    Args:
        total: frames to finish, if that is known.
        done: those that are finished.
        made: those of them that this run has painted.
        passed: seconds since the first of these was.
    """
    if total is None or made < 2:
        return 0.0 if total is not None and done >= total else None
    return max(0, total - done) * passed / (made - 1)


@dataclass(frozen=True)
class Part:
    """Some of a clip's frames that are painted for themselves.

    Attributes:
        number: of the part, from 1.
        first: number of its first frame in the clip.
        count: how many frames it has.
        start: moment of the first one, seconds from the clip's beginning.
        end: moment before which it ends; `None`: the clip's end.
    """

    number: int
    first: int
    count: int
    start: Fraction
    end: Fraction | None

    @property
    def folder(self) -> str:
        """Name of the folder that its frames lie in."""
        return f"segment-{self.number:04d}"


def check_together(options: StyleOptions, video: VideoOptions, styles: int, masks: int = 0) -> None:
    """Refuses options of frames and of the clip that do not go together.

    Args:
        options: of each frame.
        video: of the clip.
        styles: how many there are.
        masks: likewise.

    Raises:
        OptionError: in the words of the option.
    """
    if not video.at:
        return
    _check_moments(video, styles)
    if options.style_weights:
        raise OptionError(
            "--style-weights: with --at the styles follow one another, and none is weaker than "
            "others; leave one of the two out"
        )
    for one in resolve(options, styles, masks):
        if not one.keep and styles > 1 and (len(one.styles) < styles or one.shares):
            raise OptionError(
                "--at: the masks say which style belongs where, so that none can follow on "
                "another; leave --at out, or the masks"
            )


def _check_moments(video: VideoOptions, styles: int) -> None:
    """Refuses moments that are not one for each style."""
    if video.at and len(video.at) != styles:
        raise OptionError(f"--at: {len(video.at)} moments for {styles} styles; give one for each")


def size_of(clip: Clip, side: int, *, preview: bool = False) -> tuple[int, int]:
    """Width and height of a clip's result, px, but for what makes them even.

    Args:
        clip: that is painted.
        side: its long side, if the clip's own is not less.
        preview: for a first look.
    """
    return clip.size(min(side, PREVIEW_SIDE) if preview else side)


def fitted(options: StyleOptions, clip: Clip, *, preview: bool = False) -> StyleOptions:
    """The options of frames with the size that those will have, for which paintings are read: never
    more than the clip's.

    Args:
        options: as they were given.
        clip: that is painted.
        preview: for a first look.
    """
    return options.model_copy(update={"size": max(size_of(clip, options.size, preview=preview))})


def frames_folder(output: Path) -> Path:
    """Where the finished frames of a result lie until it is written.

    Raises:
        OutputError: the result would be a folder like `.` or `/`, which is there.
    """
    if not output.name:
        raise OutputError(f"{output}: exists already; choose another name for the folder")
    return output.with_name(f"{output.name}.frames")


def passes_of(folder: Path, passes: int, bits: int, recent: int = 0) -> list[FrameFolder]:
    """Where the frames of each pass lie in a folder of finished frames, so many of which are kept
    in memory."""
    return [FrameFolder(folder / str(number + 1), bits, recent) for number in range(passes)]


def clear_frames(folder: Path) -> None:
    """Deletes what a run keeps in a folder, and nothing else: the record last, so that frames never
    lie without the one that says whose they are.

    Raises:
        OutputError: another run is at work on a segment.
    """
    segments = [one for one in folder.iterdir() if one.is_dir() and _SEGMENT.fullmatch(one.name)]
    for one in segments:  # before any of them is deleted
        lock = FolderLock(one)
        lock.take()
        lock.give()
    for one in folder.iterdir():
        if one in segments:
            lock = FolderLock(one)
            lock.take()
            clear_frames(one)
            lock.give(remove=True)
        elif one.is_dir() and _KEPT.fullmatch(one.name):
            FrameFolder(one).remove()
        elif one.name.startswith(".impasto-") and one.name not in (
            *(LOCK_NAME, TURN_NAME, DONE_NAME),
        ):
            one.unlink(missing_ok=True)
    for name in "plan.json", "run.json", DONE_NAME:
        (folder / name).unlink(missing_ok=True)


def has_frames(folder: Path) -> bool:
    """Whether any finished frame lies in a folder of a run."""
    patterns = "[0-9]*/*.png", "segment-*/[0-9]*/*.png"
    return any(True for pattern in patterns for _ in folder.glob(pattern))


def check_inputs(output: Path, inputs: Iterable[Path]) -> None:
    """Refuses what is to be read from the folder of a result's own frames, which will be deleted.

    Args:
        output: the result.
        inputs: clip, masks, paintings; what is no file does not matter.

    Raises:
        OutputError: one of them lies there.
    """
    folder = frames_folder(output).absolute()
    for one in inputs:
        with contextlib.suppress(OSError, ValueError):
            inside = one.resolve().is_relative_to(folder.resolve())
            if inside or one.absolute().is_relative_to(folder):
                raise OutputError(
                    f"{one}: lies among the unfinished frames of {output}, which are deleted when "
                    "that is written; move it, or choose another --output"
                )


def check_live(live: Path, output: Path, source: Path, *, overwrite: bool = False) -> None:
    """Refuses a name for the newest frame that another file has. Where a run was interrupted, it
    goes on with its own picture.

    Args:
        live: the picture.
        output: the result of the run.
        source: its clip.
        overwrite: replace any picture.

    Raises:
        OptionError: the format of the picture is unknown.
        OutputError: it exists, is one of the others, or cannot be written.
    """
    with contextlib.suppress(OSError):
        if live.absolute() == output.absolute() or live.samefile(source):
            raise OutputError(f"--live {live}: is the clip or its result; choose another name")
    known = kept_record(frames_folder(output)) or {}
    check_output(live, overwrite=overwrite or known.get("live") == str(live.absolute()))


def kept_record(folder: Path) -> dict[str, Any] | None:
    """What a run wrote of itself beside its frames; `None` where there is nothing whole."""
    return _kept(folder / "run.json")


def positive(value: Any) -> int | None:
    """A number that a run kept of itself; `None` where there is none, or none that can be."""
    return value if type(value) is int and value > 0 else None


def _kept(path: Path) -> dict[str, Any] | None:
    known: Any = None
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(path.read_text(encoding="utf-8"))
    return known if isinstance(known, dict) else None


def _stamp(path: Path) -> list[int] | None:
    """What tells a finished result, a film or a folder of frames, from others of its name."""
    with contextlib.suppress(OSError):
        facts = (path / "times.csv" if path.is_dir() else path).stat()
        return [facts.st_size, facts.st_mtime_ns]
    return None


def shares_at(time: float, moments: Sequence[float], fade: float) -> tuple[float, ...]:
    """The share of each style at a moment: each begins at its own and takes the place of the one
    before it within a fade.

    Args:
        time: of the clip, seconds.
        moments: at which the styles begin, rising from 0.
        fade: seconds; 0 changes at once.
    """
    found = [1.0] + [0.0] * (len(moments) - 1)
    for number, moment in enumerate(moments[1:], start=1):
        if time < moment:
            break
        share = 1.0 if fade == 0 else min(1.0, (time - moment) / fade)
        found = [before * (1 - share) for before in found]
        found[number] = share
    return tuple(found)


class ClipRun:
    """A clip on its way: iterate over it for its `VideoProgress`; then `finish` writes the result.

    Args:
        source: the clip.
        output: the clip to write, or without an extension a folder of numbered PNGs.
        painter: what paints the frames.
        options: of the clip.
        side: long side of the result, px; it is never larger than the clip.
        styles: how many styles there are, or what they are called.
        overwrite: replace a result that exists, and begin anew where another run left frames.
        max_pixels: most pixels of a frame of the clip, and of a picture of a moving mask.
        live: keep the newest frame in this picture.
        part: paint only this part of the clip, into a folder of its own; its frames are joined by
            `segments.SegmentedRun`.

    Attributes:
        done: whether a run with the same settings had written the result already, and was ended
            before it had cleared up; then nothing is painted, and `finish` clears up.
    """

    def __init__(
        self,
        source: Path,
        output: Path,
        painter: Painter,
        options: VideoOptions,
        side: int,
        *,
        styles: int | Sequence[str],
        overwrite: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        live: Path | None = None,
        part: Part | None = None,
    ) -> None:
        names = [f"style {n + 1}" for n in range(styles)] if isinstance(styles, int) else styles
        _check_moments(options, len(names))
        self.output, self._options, self._overwrite = output, options, overwrite
        self._painter, self._live, self._part = painter, live, part
        if live is not None:
            check_live(live, output, source, overwrite=overwrite)
        check_inputs(output, [source])
        with contextlib.suppress(OSError):
            if output.samefile(source):
                raise OutputError(f"{output}: is the clip itself; choose another --output")
        rate = None if options.rate is None else Fraction(str(options.rate))
        self.clip = open_clip(source, rate=rate, max_pixels=max_pixels)
        self._target = target_for(output, self.clip.facts, options.codec, options.crf)
        if options.sound:
            check_copied(output, self.clip, self._target)
        known = self._known_result()
        if known is None:
            self._check_free()
        every = PREVIEW_EVERY if options.preview else options.every
        end = None if options.end is None else Fraction(str(options.end))
        self.span = Span(Fraction(str(options.start)), end, every)
        width, height = size_of(self.clip, side, preview=options.preview)
        if self._target.even:
            width, height = max(2, width - width % 2), max(2, height - height % 2)
        self.size = width, height
        self.folder = frames_folder(output)
        if part is not None:
            self.folder /= part.folder
            self.span = Span(part.start, part.end, every)
        else:
            self._check_seen(names)
        self._lock = FolderLock(self.folder)
        bits = 16 if self.clip.facts.bits > 8 else 8
        self._bits = bits
        self._passes = passes_of(self.folder, options.passes, bits, max(painter.reach))
        self._sources = FrameFolder(self.folder / "source", bits)
        self._masks = [open_mask(mask, self.clip, max_pixels) for mask in painter.masks]
        if part is None:  # once for all segments
            for mask in self._masks:
                mask.check()
        self._kept_masks = [
            FrameFolder(self.folder / f"mask-{number + 1}", 16)
            for number in range(len(self._masks))
        ]
        self._lumas: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._cuts: dict[tuple[int, int], bool] = {}
        self._last: tuple[tuple[int, int], Link] | None = None
        self._shares: dict[int, tuple[float, ...]] = {}
        self._count: int | None = None
        self.frames = self._estimate()
        self.warnings: list[str] = []
        if self._target.silent and self.clip.facts.others and options.sound:
            kinds = ", ".join(sorted({kind for kind, _ in self.clip.facts.others}))
            self.warnings.append(
                f"{output.name}: holds only frames; the clip's {kinds} is left out"
            )

        if options.sound and self.clip.facts.unknown:
            kinds = ", ".join(sorted(set(self.clip.facts.unknown)))
            self.warnings.append(
                f"{source.name}: {kinds} of an unknown kind cannot be copied and is left out"
            )
        self.done = known is not None and _nameless(known.get("record")) == _nameless(self.record)
        if self.done:
            self.frames, self.warnings = (known or {}).get("frames"), []
        elif known is not None:
            self._check_free()

    def _check_free(self) -> None:
        """Refuses names of results that cannot be.

        Raises:
            OutputError: the name is taken, or cannot be written to.
        """
        output = self.output
        if self._target.format:
            check_place(output, overwrite=self._overwrite)
        elif os.path.lexists(output):
            raise OutputError(
                f"{one_line(str(output))}: exists already, and --overwrite replaces no folders; "
                f"choose another name, such as {one_line(_free_beside(output).name)}"
            )
        else:
            check_place(output)

    def _known_result(self) -> dict[str, Any] | None:
        """What a run wrote of the result that is there, if that is its own."""
        if self._part is not None or (self._overwrite and self._target.format):
            return None
        known = _kept(frames_folder(self.output) / DONE_NAME)
        if known is None or not known.get("stamp") or known["stamp"] != _stamp(self.output):
            return None
        return known

    def _note_result(self, made: Path) -> None:
        """Writes down what the result is, which is about to get its name."""
        base = kept_record(self.folder) or {}
        known = {"record": base.get("record"), "frames": self.frames, "stamp": _stamp(made)}
        write_whole(self.folder / DONE_NAME, json.dumps(known).encode(), overwrite=True)

    def _check_seen(self, names: Sequence[str]) -> None:
        """Refuses styles that begin after the last frame that is painted, or that others have taken
        the place of before a frame shows them.

        Raises:
            OptionError: there is one.
        """
        options, span = self._options, self.span
        if len(options.at) < 2:
            return
        times = [t for t in self.clip.times() if span.end is None or t < span.end]
        seen = [float(t) for t in times if t >= span.start]
        if not seen:
            return
        first, last = min(seen), max(seen)
        before = "" if span.end is None else " before --end"
        given = f"--at {','.join(f'{one:g}' for one in options.at)}"
        for name, moment in zip(names, options.at, strict=True):
            # A style that is faded in has no share yet in the frame at its very moment.
            if moment > last or (moment == last > 0 and options.fade > 0):
                raise OptionError(
                    f"{given}: the clip's last frame{before} is at {_moment(last)}, so that "
                    f"{one_line(name)} would never be seen; choose an earlier moment, or leave out "
                    "both"
                )
        shares = zip(*(shares_at(t, options.at, options.fade) for t in seen), strict=True)
        for name, after, share in zip(names, names[1:], shares, strict=False):
            if not any(share):
                raise OptionError(
                    f"{given}: {one_line(after)} takes the place of {one_line(name)} before any "
                    f"frame shows that (the first one is at {_moment(first)}), so that it would "
                    "never be seen; choose other moments, or leave it out"
                )

    def _estimate(self) -> int | None:
        facts = self.clip.facts
        if self._part is not None:
            return self._part.count
        if facts.frames is None:
            return None
        frames = facts.frames
        if not self.span.whole and facts.rate and facts.duration:
            end = facts.duration if self.span.end is None else min(self.span.end, facts.duration)
            frames = min(frames, max(1, round((float(end) - self.span.start) * facts.rate)))
        return -(-frames // self.span.every)

    @property
    def record(self) -> dict[str, Any]:
        """What the frames depend on, as plain data."""
        options = self._options.model_dump(mode="json")
        for name in "codec", "crf", "sound":
            del options[name]
        return {
            "version": RECORD_VERSION,
            "impasto": impasto.__version__,
            "torch": torch.__version__,
            "opencv": cv2.__version__,
            "clip": _identity(self.clip.path),
            "size": list(self.size),
            "video": options,
            **({"segment": [self._part.first, self._part.count]} if self._part else {}),
            **self._painter.record(),
            **({"masks": [mask.record for mask in self._masks]} if self._masks else {}),
        }

    def __iter__(self) -> Iterator[VideoProgress]:
        """Paints all frames that are not there yet.

        Raises:
            ImpastoError: a frame cannot be painted or written.
        """
        if self.done:
            return
        self._begin()
        whole = False
        try:
            yield from self._passes_over()
            whole = True
        except ImpastoError:
            if not has_frames(self.folder):
                self._discard()
            raise
        finally:
            if not whole:
                self._lock.give()

    def _passes_over(self) -> Iterator[VideoProgress]:
        began, first, resumed, made = time.monotonic(), 0.0, 0, 0
        total = None if self.frames is None else self.frames * len(self._passes)
        done = 0
        for number in range(len(self._passes)):
            for progress in self._first() if number == 0 else self._further(number):
                done += 1
                if progress is None:
                    resumed += 1
                    continue
                made += 1
                elapsed = time.monotonic() - began
                first = first or elapsed
                if number > 0 and self._count is not None:
                    total = self._count * len(self._passes)
                left = time_left(total, done, made, elapsed - first)
                place, cut, pixels = progress
                self._show(pixels)
                yield VideoProgress(
                    *(done, total, place, number + 1, resumed, elapsed, left, cut, pixels)
                )

    def _show(self, pixels: Plane) -> None:
        """Puts the newest frame where it is to be seen."""
        if self._live is not None:
            write_image(Bitmap(pixels), self._live, overwrite=True)

    def release(self) -> None:
        """Lets another run have the frames, without writing a result."""
        self._lock.give()

    def _begin(self) -> None:
        """Takes up the folder of an unfinished run, or makes one.

        Raises:
            OutputError: it holds frames of another run, another run is at work on it, or the result
                could not be encoded.
        """
        self._lock.take()
        try:
            self._take_turn()
        except BaseException:
            self._lock.give(remove=True)
            raise

    def _take_turn(self) -> None:
        """Takes up the folder when no other run is about to: those of segments do not have the
        whole folder to themselves."""
        turn = FolderLock(self.folder, TURN_NAME)
        turn.take(wait=True)
        try:
            self._take_up()
        finally:
            turn.give(remove=True)

    def _take_up(self) -> None:
        path, record = self.folder / "run.json", self.record
        known = kept_record(self.folder)
        if known is not None and _nameless(known.get("record")) != _nameless(record):
            if not self._overwrite and has_frames(self.folder):
                raise OutputError(
                    f"{self.folder}: holds frames of another run, with other settings; add "
                    "--overwrite to begin anew, or choose another --output"
                )
            self._clear()
            known = None
        # Whose frames lie in a folder without a record, nobody knows.
        if known is None and any(
            not one.name.startswith(".impasto-") for one in self.folder.iterdir()
        ):
            raise OutputError(
                f"{self.folder}: holds files that are not of an unfinished run; remove the "
                "folder, or choose another --output"
            )
        if self._target.format and self._part is None:
            self._try_encoder()
        live = None if self._live is None else str(self._live.absolute())
        if known is None:
            known = {"record": record, **self._circumstances(), "live": live}
            write_whole(path, json.dumps(known).encode(), overwrite=True)
        elif live is not None and known.get("live") != live:
            write_whole(path, json.dumps({**known, "live": live}).encode(), overwrite=True)
        self._heed(known)

    def _circumstances(self) -> dict[str, Any]:
        """What the run met when it began, and is to meet when it goes on."""
        return {"memory": getattr(self._painter, "memory", None)}

    def _heed(self, known: dict[str, Any]) -> None:
        """Takes over the circumstances in which a run began."""
        memory = positive(known.get("memory"))
        if memory is not None:
            # Tiles follow from it, and rounding from them.
            self._painter.memory = memory  # pyright: ignore[reportAttributeAccessIssue]

    def _try_encoder(self) -> None:
        """Encodes a grey frame, before hours go into frames that nothing could be made of.

        Raises:
            OutputError: the encoder does not take such frames.
        """
        path = self.folder / f".impasto-trial{self.output.suffix}"
        width, height = self.size
        grey = np.full((3, height, width), 0.5, np.float32)
        alpha = grey[0] if self.clip.facts.alpha else None
        frame = Frame(0, Fraction(0), 1 / (self.clip.facts.rate or Fraction(25)), grey, alpha)
        try:
            with self._named_as_result(path):
                frames = iter([frame])
                write_clip(path, frames, self.clip, self._target, sound=False, overwrite=True)
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _named_as_result(self, path: Path) -> Iterator[None]:
        """Has faults of a file that stands for the result say its name."""
        try:
            yield
        except OutputError as error:
            name, own = one_line(str(self.output)), one_line(str(path))
            raise OutputError(str(error).replace(own, name)) from error

    def _clear(self) -> None:
        """Deletes what the run keeps, and nothing else: the record last, so that frames never lie
        without the one that says whose they are."""
        clear_frames(self.folder)

    def _discard(self) -> None:
        """Deletes what the run keeps, and its folder if nothing else is in it."""
        with contextlib.suppress(OSError, OutputError):
            self._clear()
        self._lock.give(remove=True)

    def _first(self) -> Iterator[tuple[int, bool, Plane] | None]:
        """The pass over the clip itself, forward."""
        results, several = self._passes[0], len(self._passes) > 1
        number = -1
        for frame, luma, way, there in read_ahead(self._read(results)):
            number = frame.number
            if self._part is not None and number == 0 and frame.time != 0:
                number = -1
                break
            self._note(number, frame, luma)
            if several and not self._sources.has(number):
                self._sources.write(number, frame.pixels, frame.alpha)
            masks = self._masks_of(number, frame.time + self.span.start, keep=several)
            if there:
                yield None
                continue
            if way is not None:
                self._last = ((number, number - 1), way)
            earlier = self._earlier(number, results, 1)
            expected = expect(earlier) if earlier else None
            task = Task(frame, self._shares[number], expected, masks)
            yield number, not earlier, self._keep(results, frame, self._painter.paint(task))
        if self._part is not None and number + 1 != self._part.count:
            raise ImageError(
                f"{self.clip.path}: segment {self._part.number} has {self._part.count} frames, but "
                f"{number + 1} are found from its start on; the file cannot be read from the "
                "middle, so leave --segments out"
            )
        self._count = self.frames = number + 1
        if number < 0:
            self._discard()
            raise no_frames(self.clip, self.span)

    def _read(
        self, results: FrameFolder
    ) -> Iterator[tuple[Frame, NDArray[np.uint8], Link | None, bool]]:
        """The clip's frames, with their luma, the way to the frame before where it will be needed,
        and whether the frame has been painted. Nothing here depends on what is being painted."""
        before = None
        for frame in self.clip.frames(self.span, self.size):
            luma, there = brightness(frame.pixels), results.has(frame.number, self.size)
            way = None
            if before is not None and not there and self._options.hold > 0:
                way = link(luma, before, quick=self._painter.quick)
            yield frame, luma, way, there
            before = luma

    def _further(self, number: int) -> Iterator[tuple[int, bool, Plane] | None]:
        """A later pass, over the frames that the first one has kept."""
        assert self._count is not None
        before, results = self._passes[number - 1], self._passes[number]
        step = -1 if number % 2 else 1
        self._lumas.clear()
        # What follows is seen in the frames that are kept, whether it was interrupted or not.
        self._cuts.clear()
        self._last = None
        for place in range(self._count)[::step]:
            pixels, alpha = self._sources.read(place)
            frame = Frame(place, Fraction(0), Fraction(0), pixels, alpha)
            self._lumas[place] = brightness(pixels)
            self._forget()
            if results.has(place, self.size):
                yield None
                continue
            earlier = self._earlier(place, results, step)
            own, _ = before.read(place)
            expected, start = expect(earlier) if earlier else None, own
            if expected is not None:
                # Begun halfway between what it was and what its neighbour has become, and held to
                # the latter (the paper's multi-pass algorithm).
                mean = np.where(expected.trust > 0, (own + expected.pixels) / 2, own)
                start = mean.astype(np.float32)
            masks = self._masks_of(place)
            task = Task(frame, self._shares[place], expected, masks, start)
            yield place, not earlier, self._keep(results, frame, self._painter.paint(task))

    def _keep(self, results: FrameFolder, frame: Frame, pixels: Plane) -> Plane:
        """Writes a painted frame. Clips get the transparency of their source when they are written,
        a folder has it in its pictures."""
        alpha = None if self._target.format else frame.alpha
        return results.write(frame.number, pixels, alpha)

    def _masks_of(
        self, number: int, time: Fraction | None = None, *, keep: bool = False
    ) -> list[Any] | None:
        """A frame's masks; `None` where none of them moves.

        Args:
            number: of the frame.
            time: of the clip; `None` where the frame's moving masks have been kept.
            keep: them for later passes.
        """
        if not any(mask.moves for mask in self._masks):
            return None
        found: list[Any] = []
        for mask, kept in zip(self._masks, self._kept_masks, strict=True):
            if time is None and mask.moves:
                found.append(FrameMask(kept.read(number)[0][0]))
                continue
            one = mask.at(time or Fraction(0))
            if keep and mask.moves:
                if not kept.has(number):
                    kept.write(number, np.repeat(one.grey[None], 3, axis=0))
                one = FrameMask(kept.read(number)[0][0])
            found.append(one)
        return found

    def _note(self, number: int, frame: Frame, luma: NDArray[np.uint8]) -> None:
        options = self._options
        self._lumas[number] = luma
        moment = float(frame.time + self.span.start)
        shares = shares_at(moment, options.at, options.fade) if options.at else ()
        self._shares[number] = shares
        self._forget()

    def _forget(self) -> None:
        while len(self._lumas) > _LUMAS:
            gone, _ = self._lumas.popitem(last=False)
            self._cuts = {pair: cut for pair, cut in self._cuts.items() if gone not in pair}

    def _earlier(self, number: int, results: FrameFolder, step: int) -> list[tuple[Link, Plane]]:
        """The way to some frames that have been painted in this pass, and their results: those of
        the same scene. Whichever frames were painted before a kill, the same ones are found.

        Args:
            number: of the frame.
            results: of this pass.
            step: 1 where earlier frames have smaller numbers, -1 where larger ones.
        """
        if self._options.hold == 0:
            return []
        found: list[tuple[Link, Plane]] = []
        for back in range(1, max(self._painter.reach) + 1):
            nearer, farther = number - step * (back - 1), number - step * back
            if farther not in self._lumas or self._breaks(nearer, farther):
                break
            if back in self._painter.reach:
                found.append((self._link(number, farther), results.read(farther)[0]))
        return found

    def _breaks(self, one: int, other: int) -> bool:
        """Whether two neighbours belong to different scenes, or have different styles."""
        if self._options.fade == 0 and self._shares[one] != self._shares[other]:
            return True
        if (one, other) not in self._cuts:
            self._cuts[one, other] = self._link(one, other).cut
        return self._cuts[one, other]

    def _link(self, one: int, other: int) -> Link:
        """The way from a frame to another; that to its neighbour is asked for twice in a row."""
        if self._last is None or self._last[0] != (one, other):
            self._last = (
                (one, other),
                link(self._lumas[one], self._lumas[other], quick=self._painter.quick),
            )
        return self._last[1]

    def finish(self, *, keep_frames: bool = False) -> None:
        """Writes the result and removes the folder of frames.

        Args:
            keep_frames: leave the folder.

        Raises:
            OutputError: the result cannot be written; the frames are kept.
        """
        self._lock.take()
        try:
            if not self.done:
                self._write()
        except BaseException:
            self._lock.give()
            raise
        if keep_frames:
            with contextlib.suppress(OSError):
                (self.folder / DONE_NAME).unlink(missing_ok=True)
            self._lock.give()
        else:
            self._discard()

    def _write(self) -> None:
        if not self._target.format:
            results = self._gathered()
            self._write_times(results)
            self._note_result(results.folder)
            try:
                results.folder.rename(self.output)
            except OSError as error:
                raise output_error(str(self.output), error) from None
            return
        made, overwrite = self.folder / f".impasto-film{self.output.suffix}", True
        if not _same_disk(self.folder, self.output):
            made, overwrite = self.output, self._overwrite
        with self._named_as_result(made):
            write_clip(
                *(made, read_ahead(self._finished()), self.clip, self._target),
                span=self.span,
                sound=self._options.sound,
                overwrite=overwrite,
                settings=self.record,
            )
        if made != self.output:
            # A run that is ended from here on can tell its result from others.
            self._note_result(made)
            move_whole(made, self.output, overwrite=self._overwrite)

    def _gathered(self) -> FrameFolder:
        """The folder that all finished frames lie in."""
        return self._passes[-1]

    def _result(self, number: int) -> Plane:
        """A finished frame, `(3, H, W)` in [0, 1]."""
        return self._passes[-1].read(number)[0]

    def _finished(self) -> Iterator[Frame]:
        """The clip's frames with the pixels of the result."""
        for frame in self.clip.frames(self.span, self.size, pixels=self.clip.facts.alpha):
            pixels = self._result(frame.number)
            yield Frame(frame.number, frame.time, frame.duration, pixels, frame.alpha)

    def _write_times(self, results: FrameFolder) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["file", "seconds", "duration"])
        for frame in self.clip.frames(self.span, self.size, pixels=False):
            name = results.path(frame.number).name
            table.writerow([name, float(frame.time), float(frame.duration)])
        write_whole(results.folder / "times.csv", text.getvalue().encode(), overwrite=True)


def no_frames(clip: Clip, span: Span) -> OptionError:
    """The fault of a part of a clip in which nothing is shown."""
    if span.end is None:
        where = f"from --start {float(span.start):g} on"
    elif span.start == 0:
        where = f"before --end {float(span.end):g}"
    else:
        where = f"between --start {float(span.start):g} and --end {float(span.end):g}"
    others = "others" if span.start and span.end is not None else "another moment"
    times = clip.times()
    last = f"; its last one is at {_moment(times[-1])}" if times else ""
    return OptionError(f"{one_line(str(clip.path))}: has no frames {where}{last}; choose {others}")


def _same_disk(folder: Path, output: Path) -> bool:
    """Whether a file in a folder can get the name of a result by being renamed."""
    with contextlib.suppress(OSError):
        return folder.stat().st_dev == Path(os.path.realpath(output)).parent.stat().st_dev
    return False


def _free_beside(path: Path) -> Path:
    """A name like another one that no file has."""
    number = 2
    while os.path.lexists(found := path.with_name(f"{path.name}-{number}")):
        number += 1
    return found


def _moment(time: Fraction | float) -> str:
    """A moment of a clip in words."""
    return f"{float(time):.2f}".rstrip("0").rstrip(".") + " s"


def _identity(path: Path) -> dict[str, Any]:
    """What tells a clip from others: its name, size, and the digest of its first and last parts."""
    if path.is_dir():
        return folder_identity(path)
    size, part = path.stat().st_size, 1 << 20
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(part))
        file.seek(max(0, size - part))
        digest.update(file.read(part))
    return {"path": str(path.absolute()), "bytes": size, "sha256_of_ends": digest.hexdigest()}


def _nameless(record: Any) -> Any:
    """A record without the names of files whose digest it has: they may have been moved since."""
    if isinstance(record, list):
        return [_nameless(one) for one in record]
    if not isinstance(record, dict):
        return record
    known = record.get("sha256") or record.get("sha256_of_ends")
    names = ("path", "name") if known else ()
    return {key: _nameless(value) for key, value in record.items() if key not in names}
