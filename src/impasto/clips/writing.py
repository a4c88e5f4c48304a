"""Frames into files, with the streams that went along with them."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from io import BufferedRandom
from pathlib import Path
from typing import Any, Protocol, cast

import av
import av.error
from av.container import OutputContainer
from av.filter import Graph
from av.video.stream import VideoStream

from impasto.clips.facts import Facts, Frame, Span
from impasto.clips.pixels import to_frame
from impasto.clips.reading import COPIED, Clip
from impasto.clips.targets import Target
from impasto.errors import OptionError, OutputError, one_line
from impasto.images import write_whole

_BASES = {
    "gif": Fraction(1, 100),
    "webp": Fraction(1, 1000),
    "matroska": Fraction(1, 1000),
    "webm": Fraction(1, 1000),
}
"""The unit of times in containers that have but one."""

_LARGEST_BASE = {"mpeg4": 65535}
"""Largest number of units in a second that an encoder knows."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a disk may say."""

_OWN_WORDS = ("encoder", "major_brand", "minor_version", "compatible_brands", "comment")
"""What a container says of itself."""


def write_clip(
    path: Path,
    frames: Iterator[Frame],
    clip: Clip,
    target: Target,
    *,
    span: Span | None = None,
    sound: bool = True,
    overwrite: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes a clip whole or not at all.

    Sound, subtitles and chapters are copied as they are, packet for packet. The frames keep their
    times exactly where the container can hold them: Matroska and WebM count milliseconds, GIF
    hundredths of a second.

    Args:
        path: to write.
        frames: in order, all of one size.
        clip: what they were made from; its streams are copied.
        target: from `target_for`.
        span: the part of the clip that the frames show.
        sound: whether what goes along with the frames is copied.
        overwrite: replace a file that exists.
        settings: what made it, to be kept in its comment; must be JSON.

    Raises:
        OutputError: the file exists or cannot be written, or the disk is full.
    """
    span = span or Span()

    def fill(file: BufferedRandom) -> None:
        try:
            with ExitStack() as stack:
                loop = {} if clip.facts.loop is None else {"loop": str(clip.facts.loop)}
                animated = target.format in ("gif", "webp")
                out = av.open(file, "w", format=target.format, options=loop if animated else {})
                stack.enter_context(out)
                last = _write(out, stack, frames, clip, target, span, sound, settings)
        except av.error.FFmpegError as error:
            if error.errno in _DISK:
                raise OSError(error.errno, error.strerror) from None
            reason = one_line(str(error.strerror or error))
            raise OutputError(
                f"{one_line(str(path))}: cannot be encoded ({reason}); try another --codec or "
                "extension"
            ) from None
        if target.format == "webp":
            _set_last_duration(file, last)

    write_whole(path, fill, overwrite=overwrite)


def check_copied(path: Path, clip: Clip, target: Target) -> None:
    """Refuses, before any work, a container that cannot hold the clip's sound and subtitles.

    Raises:
        OptionError: in one line.
    """
    if target.silent or not clip.facts.others:
        return
    for number, (kind, codec) in enumerate(clip.facts.others):
        try:
            with ExitStack() as stack:
                out = stack.enter_context(av.open(io.BytesIO(), "w", format=target.format))
                _Copier(out, stack, clip.path, Span(), only=number)
                out.start_encoding()
        except (av.error.FFmpegError, ValueError):
            raise OptionError(
                f"{one_line(str(path))}: {path.suffix} cannot hold the clip's {kind} ({codec}); "
                "use .mkv, or --no-sound"
            ) from None


def _write(
    out: OutputContainer,
    stack: ExitStack,
    frames: Iterator[Frame],
    clip: Clip,
    target: Target,
    span: Span,
    sound: bool,
    settings: Mapping[str, Any] | None,
) -> Fraction:
    """Writes everything; gives the duration of the last frame."""
    first = next(frames)
    stream = _video_stream(out, clip, target, first)
    copier = None
    if sound and not target.silent and clip.facts.others:
        copier = _Copier(out, stack, clip.path, span)
    if settings is not None and not target.silent:
        out.metadata["comment"] = json.dumps(settings)
    base = cast("Fraction", stream.codec_context.time_base)
    make = _Palettes(target, base) if target.format == "gif" else _Plain(clip, target)
    durations: dict[int, int] = {}
    before: int | None = None
    last = Fraction(0)

    def mux(packets: list[av.Packet]) -> None:
        for packet in packets:
            if packet.pts in durations:
                packet.duration = durations.pop(packet.pts)
            if copier is not None and packet.dts is not None:
                copier.copy_until(packet.dts * packet.time_base)
            out.mux(packet)

    for frame in itertools.chain([first], frames):
        place = round(frame.time / base)
        before, last = place if before is None else max(place, before + 1), frame.duration
        if last > 0:
            durations[before] = max(1, round(last / base))
        mux(stream.encode(make(frame, before, base)))
    mux(stream.encode(None))
    if copier is not None:
        copier.copy_until(None)
    return last


def _video_stream(out: OutputContainer, clip: Clip, target: Target, first: Frame) -> VideoStream:
    facts = clip.facts
    rate = facts.rate or Fraction(25)
    options = {} if target.crf is None else {"crf": str(target.crf)}
    if target.encoder == "libvpx-vp9":
        options |= {"b": "0", "row-mt": "1"}
    if target.encoder == "libx265":
        options["x265-params"] = "log-level=error"
    if target.encoder == "libwebp_anim":
        options["quality"] = "90"
    stream = cast("VideoStream", out.add_stream(target.encoder, rate=rate, options=options))
    height, width = first.pixels.shape[1:]
    stream.width, stream.height, stream.pix_fmt = width, height, target.pixel_format
    if target.format == "gif":
        stream.pix_fmt = "pal8"
    base = _BASES.get(target.format, facts.time_base)
    if base.denominator > _LARGEST_BASE.get(target.encoder, 2**31):
        base = 1 / rate
    context = stream.codec_context
    context.time_base = stream.time_base = base
    context.framerate = rate
    if not target.pixel_format.startswith(("rgb", "bgr", "gbr")):
        context.color_range = 2 if facts.full_range else 1 if facts.range_known else 0
        context.colorspace = facts.matrix
        context.color_primaries, context.color_trc = facts.primaries, facts.transfer
    return stream


class _Maker(Protocol):
    """Makes frames to encode."""

    def __call__(self, frame: Frame, number: int, base: Fraction) -> av.VideoFrame: ...


class _Plain:
    def __init__(self, clip: Clip, target: Target) -> None:
        self._facts, self._format = clip.facts, target.pixel_format

    def __call__(self, frame: Frame, number: int, base: Fraction) -> av.VideoFrame:
        made = to_frame(frame.pixels, frame.alpha, self._facts, self._format)
        made.pts, made.time_base = number, base
        return made


class _Palettes:
    """Gives each frame of a GIF 256 colours of its own."""

    def __init__(self, target: Target, base: Fraction) -> None:
        self._format, self._base = target.pixel_format, base
        self._graph: Graph | None = None

    def __call__(self, frame: Frame, number: int, base: Fraction) -> av.VideoFrame:
        graph = Graph()
        height, width = frame.pixels.shape[1:]
        source = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(self._format), time_base=base
        )
        split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=single")
        use, sink = graph.add("paletteuse", "new=1"), graph.add("buffersink")
        source.link_to(split)
        split.link_to(palette, 0, 0)
        split.link_to(use, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        alpha = self._format == "rgba"
        facts = Facts(width, height, base, full_range=True, alpha=alpha)
        made = to_frame(frame.pixels, frame.alpha, facts, self._format)
        made.pts, made.time_base = number, base
        source.push(made)
        source.push(None)
        found = cast("av.VideoFrame", sink.pull())
        found.pts, found.time_base = number, base
        return found


class _Copier:
    """Copies the packets of a clip's sound and subtitles, in step with the frames."""

    def __init__(
        self,
        out: OutputContainer,
        stack: ExitStack,
        path: Path,
        span: Span,
        only: int | None = None,
    ) -> None:
        self._out, self._span = out, span
        source = stack.enter_context(av.open(str(path), metadata_errors="replace"))
        kept = [stream for stream in source.streams if stream.type in COPIED]
        kept = kept if only is None else [kept[only]]
        self._streams = {}
        for stream in kept:
            copy = out.add_stream_from_template(cast("Any", stream))
            copy.metadata.update(stream.metadata)
            with contextlib.suppress(AttributeError, ValueError):
                copy.disposition = stream.disposition
            self._streams[stream.index] = copy
        out.metadata.update({k: v for k, v in source.metadata.items() if k not in _OWN_WORDS})
        out.set_chapters(self._chapters(source.chapters()))
        if span.start > 0:
            with contextlib.suppress(av.error.FFmpegError):
                source.seek(int(span.start * av.time_base))
        self._packets = source.demux(kept)
        self._next: av.Packet | None = None

    def copy_until(self, time: Fraction | None) -> None:
        """Copies what is to be decoded up to a moment; `None`: all that is left."""
        while True:
            if self._next is None:
                try:
                    self._next = next(self._packets)
                except (StopIteration, av.error.FFmpegError):
                    return
            packet = self._next
            if packet.dts is None or packet.pts is None:
                self._next = None
                continue
            begins = packet.pts * packet.time_base
            start, end = self._span.start, self._span.end
            if (begins < start and start > 0) or (end is not None and begins >= end):
                self._next = None
                continue
            shift = round(start / packet.time_base)
            if time is not None and (packet.dts - shift) * packet.time_base > time:
                return
            self._next = None
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._streams[packet.stream_index]
            self._out.mux(packet)

    def _chapters(self, chapters: list[Any]) -> list[Any]:
        kept = []
        for chapter in chapters:
            base = chapter["time_base"]
            start, end = self._span.start / base, self._span.end
            first, last = chapter["start"] - start, chapter["end"] - start
            if end is not None:
                last = min(last, (end - self._span.start) / base)
            if last > max(first, 0):
                kept.append({**chapter, "start": round(max(first, 0)), "end": round(last)})
        return kept


def _set_last_duration(file: BufferedRandom, duration: Fraction) -> None:
    """Puts the last frame's own duration into an animated WebP, whose encoder guesses it."""
    milliseconds = round(duration * 1000)
    place, last = 12, 0
    size = file.seek(0, 2)
    while place + 8 <= size:
        file.seek(place)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"ANMF":
            last = place + 8
        place += 8 + length + length % 2
    if last and 0 < milliseconds < 1 << 24:
        file.seek(last + 12)
        file.write(milliseconds.to_bytes(3, "little"))
