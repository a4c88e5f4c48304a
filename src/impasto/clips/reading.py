"""Frames out of files."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.container import InputContainer

from impasto.clips.animation import animation_facts, animation_frames, is_animation
from impasto.clips.facts import Facts, Frame, Span
from impasto.clips.pixels import UNKNOWN, to_arrays
from impasto.errors import ImageError, one_line
from impasto.images import Bitmap, fit_within, resize_image

MOST_FAULTS = 1000
"""Faults of a container in a row after which the rest of it is given up."""

_NOTHING = np.zeros((3, 0, 0), np.float32)

COPIED = ("audio", "subtitle")
"""Kinds of streams that are passed on beside the frames."""


@dataclass
class Clip:
    """A clip that has been looked at: it can be read, and has frames.

    Attributes:
        path: of its file.
        facts: what it is.
        damaged: packets and frames that could not be read as they were, so far; they are left out,
            or shown as the decoder mends them.
    """

    path: Path
    facts: Facts
    damaged: int = 0
    _turns: int = 0
    _durations: list[Fraction] = field(default_factory=list)

    def size(self, side: int | None) -> tuple[int, int]:
        """Width and height of its frames with a long side of so many px; never larger than they
        are. `None`: as they are."""
        if side is None:
            return self.facts.width, self.facts.height
        side = min(side, max(self.facts.width, self.facts.height))
        return fit_within(self.facts.width, self.facts.height, side)

    def frames(
        self,
        span: Span | None = None,
        size: tuple[int, int] | None = None,
        *,
        pixels: bool = True,
    ) -> Iterator[Frame]:
        """The frames of a part of the clip, with times that count from its start.

        Args:
            span: the part; by default all.
            size: width and height, px; by default the clip's own.
            pixels: off: only times are wanted; the frames are empty.
        """
        span = span or Span()
        size = size or (self.facts.width, self.facts.height)
        rows = (
            self._animated(size)
            if self._durations
            else self._decoded(span, size if pixels else None)
        )
        wanted = (
            frame
            for frame in rows
            if frame.time >= span.start and (span.end is None or frame.time < span.end)
        )
        for number, frame in enumerate(itertools.islice(wanted, 0, None, span.every)):
            shown = frame.duration * span.every
            yield replace(frame, number=number, time=frame.time - span.start, duration=shown)

    def _animated(self, size: tuple[int, int]) -> Iterator[Frame]:
        time = Fraction(0)
        rows = animation_frames(self.path, self.facts)
        for number, (values, duration) in enumerate(zip(rows, self._durations, strict=False)):
            shown = values.astype(np.float32) / np.float32(255)
            alpha = np.ascontiguousarray(shown[..., 3]) if shown.shape[2] == 4 else None
            bitmap = Bitmap(np.ascontiguousarray(shown[..., :3].transpose(2, 0, 1)), alpha)
            if size != (self.facts.width, self.facts.height):
                bitmap = resize_image(bitmap, *size)
            yield Frame(number, time, duration, bitmap.pixels, bitmap.alpha)
            time += duration

    def _decoded(self, span: Span, size: tuple[int, int] | None) -> Iterator[Frame]:
        self.damaged = 0
        with _opened(self.path) as container:
            stream = container.streams.video[0]
            base = cast("Fraction", stream.time_base)
            if span.start > 0:
                with contextlib.suppress(av.error.FFmpegError):
                    container.seek(int(span.start / base), stream=stream)
            step = 1 / self.facts.rate if self.facts.rate else Fraction(1, 25)
            last: Fraction | None = None
            for frame in self._frames_of(container):
                if frame.pts is not None:
                    time = frame.pts * base
                else:
                    time = Fraction(0) if last is None else last + step
                if last is not None and time <= last:
                    time = last + base
                last = time
                if span.end is not None and time >= span.end:
                    return
                if time < span.start:
                    continue
                pixels, alpha = _NOTHING, None
                if size is not None:
                    pixels, alpha = to_arrays(frame, self.facts, *size, self._turns)
                yield Frame(0, time, (frame.duration or 0) * base, pixels, alpha)

    def _frames_of(self, container: InputContainer) -> Iterator[av.VideoFrame]:
        """What can be decoded; the rest is counted."""
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for packet in self._packets_of(container):
            if packet is not None and packet.is_corrupt:
                self.damaged += 1
            try:
                found = stream.codec_context.decode(cast("Any", packet))
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in found:
                if frame.is_corrupt:
                    self.damaged += 1
                yield frame

    def _packets_of(self, container: InputContainer) -> Iterator[av.Packet | None]:
        stream = container.streams.video[0]
        faults = 0
        while faults < MOST_FAULTS:
            try:
                for packet in container.demux(stream):
                    # The demuxer ends with an empty packet, and so does this, with its own.
                    if packet.size:
                        faults = 0
                        yield packet
                break
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                self.damaged += 1
                faults += 1
        yield None


def open_clip(path: Path) -> Clip:
    """Looks at a clip: its streams, and its first frame.

    Raises:
        ImageError: it cannot be read, or has no frames.
    """
    name = one_line(str(path))
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{name}: {reason}; name a clip that can be read") from None
    if is_animation(head):
        facts, durations = animation_facts(path)
        return Clip(path, facts, _durations=durations)
    with _opened(path) as container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise ImageError(f"{name}: has no moving picture, only {kinds}; name another clip")
        stream = container.streams.video[0]
        others = tuple(
            (one.type, one.codec_context.name) for one in container.streams if one.type in COPIED
        )
        clip = Clip(path, Facts(1, 1, cast("Fraction", stream.time_base)))
        first = next(clip._frames_of(container), None)
        if first is None:
            raise ImageError(f"{name}: no frame of it can be decoded; it is empty or damaged")
        duration = None
        if container.duration is not None:
            duration = container.duration / av.time_base
        rate = stream.average_rate or stream.guessed_rate
        frames = stream.frames or (round(duration * rate) if duration and rate else None)
        turns = round(first.rotation / 90) % 4
        width, height = first.width, first.height
        # Square pixels of the same number of rows, as players show them.
        ratio = stream.sample_aspect_ratio
        if ratio:
            width = max(1, round(width * ratio))
        if turns % 2:
            width, height = height, width
        form = first.format
        known = first.color_range in (1, 2)
        clip.facts = Facts(
            width,
            height,
            cast("Fraction", stream.time_base),
            rate=rate,
            frames=frames,
            duration=duration,
            bits=max(part.bits for part in form.components),
            pixel_format=form.name,
            matrix=int(first.colorspace) if first.colorspace is not None else UNKNOWN,
            full_range=first.color_range == 2 or form.is_rgb or "yuvj" in form.name,
            range_known=known,
            primaries=int(first.color_primaries or UNKNOWN),
            transfer=int(first.color_trc or UNKNOWN),
            alpha=any(part.is_alpha for part in form.components),
            others=others,
        )
        clip.damaged, clip._turns = 0, turns
        return clip


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = one_line(str(getattr(error, "strerror", None) or error))
        raise ImageError(
            f"{one_line(str(path))}: cannot be read ({reason}); give a clip such as MP4, MKV or GIF"
        ) from None
    with container:
        yield container
