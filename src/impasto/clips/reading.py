"""Frames out of files."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from impasto.clips.animation import animation_facts, animation_frames, is_animation
from impasto.clips.demuxing import (
    SELF_CONTAINED,
    Packets,
    companions_of,
    has_alpha,
    is_cover,
    opened,
    origin_of,
    picture_of,
    unknown_in,
)
from impasto.clips.facts import Facts, Frame, Span
from impasto.clips.pictures import DEFAULT_RATE, PictureFolder, open_folder
from impasto.clips.pixels import UNKNOWN, Upright, is_rgb, to_arrays, upright_of
from impasto.clips.wholeness import is_cut_short
from impasto.errors import ImageError, OptionError, one_line
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    SNIFF_BYTES,
    Bitmap,
    check_size,
    fit_within,
    is_picture,
    resize_image,
)
from impasto.paths import check_plain

_NO_TIMES = ("avi",)
"""Containers that do not say when frames are shown, only in which order they are decoded."""

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that give the transparency of WebM and Matroska; FFmpeg's own ones leave it out."""

_NOTHING = np.zeros((3, 0, 0), np.float32)


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
    _upright: Upright = field(default_factory=Upright)
    _durations: list[Fraction] = field(default_factory=list)
    _folder: PictureFolder | None = None

    @property
    def is_contained(self) -> bool:
        """Whether its frames lie in a container, which may hold sound, titles and chapters."""
        return self._folder is None and not self._durations

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
        if self._folder is not None:
            rows = self._pictured(self._folder, span, size if pixels else None)
        elif self._durations:
            rows = self._animated(span, size)
        else:
            rows = self._decoded(span, size if pixels else None)
        yield from _part(rows, span)

    def times(self) -> list[Fraction]:
        """When the frames of the whole clip are shown, seconds. They are not decoded where the
        packets tell."""
        found = None
        if self.is_contained:
            found = _times_of_packets(self.path)
        return found or [frame.time for frame in self.frames(pixels=False)]

    def _animated(self, span: Span, size: tuple[int, int]) -> Iterator[Frame]:
        starts = [Fraction(0), *itertools.accumulate(self._durations)][:-1]
        shown = [time for time in starts if span.end is None or time < span.end]
        whole = len(shown) == len(starts)
        self.damaged = int(whole and is_cut_short(self.path))
        read = 0
        rows = zip(shown, self._durations, animation_frames(self.path, self.facts), strict=False)
        for time, duration, values in rows:
            samples = values.astype(np.float32) / np.float32(255)
            alpha = np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None
            bitmap = Bitmap(np.ascontiguousarray(samples[..., :3].transpose(2, 0, 1)), alpha)
            yield _framed(time, duration, bitmap, size)
            read += 1
        self.damaged += len(shown) - read

    def _pictured(
        self, folder: PictureFolder, span: Span, size: tuple[int, int] | None
    ) -> Iterator[Frame]:
        self.damaged = 0
        for number in range(len(folder.names)):
            time = number * folder.duration
            if span.end is not None and time >= span.end:
                return
            if time < span.start:
                continue
            if size is None:
                yield Frame(0, time, folder.duration, _NOTHING)
            else:
                yield _framed(time, folder.duration, folder.read(number), size)

    def _decoded(self, span: Span, size: tuple[int, int] | None) -> Iterator[Frame]:
        entry = _entry(self.path, span.start) if span.start > 0 else None
        if entry is not None:
            try:
                yield from self._decoded_from(entry, span, size)
            except _UncleanError:
                entry = None
        if entry is None:
            yield from self._decoded_from(_Entry(), span, size)

    def _decoded_from(
        self, entry: _Entry, span: Span, size: tuple[int, int] | None
    ) -> Iterator[Frame]:
        """The frames of a span, decoded from a packet on.

        Raises:
            _UncleanError: the first frame is not that of the packet; none has been given.
        """
        self.damaged = 0
        with opened(self.path) as container:
            step = 1 / self.facts.rate if self.facts.rate else Fraction(1, 25)
            unit, checked = self.facts.time_base, entry.packets == 0
            # These decoders do not say which frames are key frames; the packets do, and are right.
            silent = _transparent(cast("VideoStream", picture_of(container))) is not None
            for time, frame in _in_order(self._frames_of(container, entry.packets), unit, step):
                if not checked and time >= entry.time:
                    if time > entry.time or not (frame.key_frame or silent):
                        raise _UncleanError
                    checked = True
                if span.end is not None and time >= span.end:
                    # The one before it is shown until the end.
                    yield Frame(0, time, Fraction(0), _NOTHING)
                    return
                if time < span.start:
                    continue
                pixels, alpha = _NOTHING, None
                if size is not None:
                    pixels, alpha = to_arrays(frame, self.facts, *size, self._upright)
                yield Frame(0, time, (frame.duration or 0) * unit, pixels, alpha)
            if not checked:
                raise _UncleanError

    def _frames_of(
        self, container: InputContainer, skipped: int = 0
    ) -> Iterator[tuple[Fraction | None, av.VideoFrame]]:
        """What can be decoded, with its times; the rest is counted.

        Args:
            container: of the clip.
            skipped: packets of the picture that are passed over first.
        """
        stream = cast("VideoStream", picture_of(container))
        base = cast("Fraction", stream.time_base)
        decoder = _decoder_of(stream)
        packets = Packets(container, [stream])
        # Such containers note only when packets are decoded. Frames come out in the same order of
        # times, each where the decoder is done with it.
        queue: deque[int] | None = deque() if container.format.name in _NO_TIMES else None
        faults = 0
        latest: tuple[int, int] | None = None
        for packet in itertools.chain(itertools.islice(packets, skipped, None), [None]):
            self.damaged, faults = self.damaged + packets.faults - faults, packets.faults
            if packet is not None and packet.is_corrupt:
                self.damaged += 1
            if queue is not None and packet is not None and packet.dts is not None:
                queue.append(packet.dts)
            if packet is not None and packet.pts is not None:
                latest = max(latest or (packet.pts, 0), (packet.pts, packet.duration or 0))
            try:
                found = decoder.decode(cast("Any", packet))
            except av.error.FFmpegError:
                self.damaged += 1
                if queue:
                    queue.pop()
                continue
            for frame in found:
                if frame.is_corrupt:
                    self.damaged += 1
                place = frame.pts
                if latest is not None and latest[0] == place and latest[1] > 0:
                    # Decoders guess it; that of the last frame matters.
                    frame.duration = latest[1]
                if queue is not None:
                    place = queue.popleft() if queue else None
                yield None if place is None else place * base, frame
        self.damaged += int(is_cut_short(self.path))


def _decoder_of(stream: VideoStream) -> VideoCodecContext:
    """What decodes a clip's picture."""
    name = _transparent(stream)
    decoder = stream.codec_context
    if name is not None:
        decoder = cast("VideoCodecContext", av.CodecContext.create(name, "r"))
    decoder.thread_type = "AUTO"
    return decoder


def _transparent(stream: VideoStream) -> str | None:
    """The decoder that a stream's transparency needs; `None` where it needs none of its own."""
    name = _WITH_ALPHA.get(stream.codec_context.name) if has_alpha(stream) else None
    return name if name in av.codecs_available else None


def _part(rows: Iterator[Frame], span: Span) -> Iterator[Frame]:
    """The wanted ones of a clip's frames, with times that count from the span's start. Each is
    shown until the next one is, the last one until the clip or the span ends.

    Args:
        rows: frames with their own durations, which count where none follows; up to the first one
            at the span's end or after it.
        span: the part.
    """
    taken: Frame | None = None
    seen, over = 0, Fraction(0)
    for frame in rows:
        if frame.time < span.start:
            continue
        if span.end is not None and frame.time >= span.end:
            over = span.end
            break
        over = frame.time + frame.duration
        if seen % span.every == 0:
            if taken is not None:
                yield replace(taken, duration=frame.time - span.start - taken.time)
            taken = replace(frame, number=seen // span.every, time=frame.time - span.start)
        seen += 1
    if taken is not None:
        over = over if span.end is None else min(over, span.end)
        yield replace(taken, duration=over - span.start - taken.time)


def _framed(time: Fraction, duration: Fraction, bitmap: Bitmap, size: tuple[int, int]) -> Frame:
    if size != (bitmap.width, bitmap.height):
        bitmap = resize_image(bitmap, *size)
    return Frame(0, time, duration, bitmap.pixels, bitmap.alpha)


class _UncleanError(Exception):
    """A clip cannot be decoded cleanly from where that was tried."""


@dataclass(frozen=True)
class _Entry:
    """A packet from which a clip can be decoded.

    Attributes:
        packets: of the picture before it.
        time: of its frame, seconds.
    """

    packets: int = 0
    time: Fraction = Fraction(0)


def _entry(path: Path, start: Fraction) -> _Entry | None:
    """The last key frame at or before a moment; `None` where packets do not tell.

    The packets are read from the beginning and not sought: many containers can only guess where a
    moment is. Reading them is far faster than decoding.
    """
    found = None
    with opened(path) as container:
        stream = cast("VideoStream", picture_of(container))
        if container.format.name in _NO_TIMES:
            return None
        for number, packet in enumerate(Packets(container, [stream])):
            if packet.pts is None:
                return None
            if packet.is_keyframe:
                time = packet.pts * packet.time_base
                if time > start:
                    break
                found = _Entry(number, time)
    return found


def _times_of_packets(path: Path) -> list[Fraction] | None:
    """When frames are shown, by their packets; `None` where these do not tell."""
    with opened(path) as container:
        stream = cast("VideoStream", picture_of(container))
        if container.format.name in _NO_TIMES:
            return None
        found: set[Fraction] = set()
        for packet in Packets(container, [stream]):
            if packet.pts is None:
                return None
            if not packet.is_discard:
                found.add(packet.pts * packet.time_base)
    return sorted(found)


def _in_order(
    frames: Iterator[tuple[Fraction | None, av.VideoFrame]], unit: Fraction, step: Fraction
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Frames with times that rise; one without a time comes a step after the one before."""
    last: Fraction | None = None
    for time, frame in frames:
        if time is None:
            time = Fraction(0) if last is None else last + step
        if last is not None and time <= last:
            time = last + unit
        last = time
        yield time, frame


def open_clip(
    path: str | os.PathLike[str],
    *,
    rate: Fraction | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Clip:
    """Looks at a clip: its streams, and its first frame.

    Args:
        path: of a file, or of a folder of numbered pictures.
        rate: frames per second of a folder; by default 25.
        max_pixels: most pixels of a frame.

    Raises:
        ImageError: it cannot be read, or has no frames.
        TooLargeError: its frames have more pixels.
        OptionError: it has a rate of its own.
    """
    path = Path(path)
    if path.is_dir():
        folder = open_folder(path, rate or DEFAULT_RATE, max_pixels)
        return Clip(path, folder.facts, _folder=folder)
    if rate is not None:
        raise OptionError("--rate: acts only on a folder of pictures; leave it out")
    clip = _open_file(path, max_pixels)
    check_size(clip.facts.width, clip.facts.height, max_pixels, one_line(str(path)))
    return clip


def is_self_contained(path: Path) -> bool:
    """Whether a file is a clip of a kind that leads to no other files, whatever is in it."""
    with path.open("rb") as file:
        if is_animation(file.read(16)):
            return True
    try:
        with opened(path, among=SELF_CONTAINED):
            return True
    except ImageError:
        return False


def _is_single(container: InputContainer, stream: VideoStream, head: bytes) -> bool:
    """Whether what has been opened is a photo or another picture, not a clip."""
    name = container.format.name
    return name == "image2" or name.endswith("_pipe") or (is_picture(head) and stream.frames == 1)


def _open_file(path: Path, max_pixels: int) -> Clip:
    name = one_line(str(path))
    check_plain(path)
    try:
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
    except OSError as error:
        reason = error.strerror or error
        raise ImageError(f"{name}: {reason}; name a clip that can be read") from None
    if is_animation(head):
        facts, durations = animation_facts(path)
        return Clip(path, facts, _durations=durations)
    with opened(path) as container:
        stream = picture_of(container)
        if stream is None:
            raise ImageError(f"{name}: {_fault_of(container)}; name another clip")
        if _is_single(container, stream, head):
            raise ImageError(
                f"{name}: is a single picture; repaint it by impasto stylize, or name a clip"
            )
        others = tuple(
            (one.type, cast("Any", one).codec_context.name) for one in companions_of(container)
        )
        # Before the first frame is decoded.
        if stream.width and stream.height:
            check_size(stream.width, stream.height, max_pixels, name)
        clip = Clip(path, Facts(1, 1, cast("Fraction", stream.time_base)))
        _, first = next(clip._frames_of(container), (None, None))
        if first is None:
            raise ImageError(f"{name}: no frame of it can be decoded; it is empty or damaged")
        duration = None
        if container.duration is not None:
            duration = container.duration / av.time_base
            if "matroska" in container.format.name:
                # There it is the moment at which the clip ends.
                duration = max(0.0, duration - float(origin_of(container)))
        rate = stream.average_rate or stream.guessed_rate
        frames = stream.frames or (round(duration * rate) if duration and rate else None)
        upright = upright_of(first)
        width, height = first.width, first.height
        # Square pixels of the same number of rows, as players show them.
        ratio = stream.sample_aspect_ratio
        if ratio:
            width = max(1, round(width * ratio))
        if upright.sideways:
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
            full_range=first.color_range == 2 or is_rgb(form.name) or "yuvj" in form.name,
            range_known=known,
            primaries=int(first.color_primaries or UNKNOWN),
            transfer=int(first.color_trc or UNKNOWN),
            alpha=any(part.is_alpha for part in form.components),
            others=others,
            unknown=unknown_in(container),
        )
        clip.damaged, clip._upright = 0, upright
        return clip


def _fault_of(container: InputContainer) -> str:
    """Why a container has no moving picture."""
    pictures = [stream for stream in container.streams if stream.type == "video"]
    if any(not is_cover(stream) for stream in pictures):
        return "its moving picture is of a kind that FFmpeg does not know"
    kinds = {stream.type for stream in container.streams} - {"video"}
    words = ", ".join(sorted(kinds | ({"a cover"} if pictures else set())))
    return f"has no moving picture, only {words}" if words else "has neither picture nor sound"
