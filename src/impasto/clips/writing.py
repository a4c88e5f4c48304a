"""Frames into files, with the streams that went along with them."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from io import BufferedRandom
from pathlib import Path
from typing import Any, Protocol, cast

import av
import av.error
import cv2
from av.container import OutputContainer
from av.filter import Graph
from av.video.frame import PictureType
from av.video.stream import VideoStream

from impasto.clips.demuxing import Packets, companions_of, opened, origin_of
from impasto.clips.facts import Facts, Frame, Span
from impasto.clips.pixels import full_range_of, is_rgb, tagged_matrix, to_frame
from impasto.clips.reading import Clip
from impasto.clips.scheduling import as_scheduled
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

_NUMBERED = ("mpeg4",)
"""Encoders that know few units of time: they get frames by number, and packets their times."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a disk may say."""

_COARSE = Fraction(1, 1000)
"""Units of time above this are too coarse to move sound by, as those of AVI, whole packets."""

_WEBP_DURATION, _WEBP_FLAGS, _WEBP_REPLACE = 12, 15, 2
"""Where a frame of WebP notes its duration and flags, and the flag of one that replaces all."""

_TRIED = Fraction(1, 2)
"""Seconds of sound that are copied to see whether a container takes it."""

_AVX_512 = 13
"""OpenCV's number for processors that calculate with 512 bits at once, `CPU_AVX_512F`."""

_LIMITED = ("prores_ks",)
"""Encoders whose results are read with black at 16, whatever they say."""

_REORDERED = 2
"""Frames by which libx265 delays decoding."""

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

    Sound and subtitles are copied as they are, packet for packet, and so are chapters, titles and,
    into Matroska, attachments. The frames keep their
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
        sink = _Sink(file)
        try:
            with ExitStack() as stack:
                options = {"fflags": "+bitexact"} | _looped(clip, target)
                out = av.open(sink, "w", format=target.format, options=options)
                stack.enter_context(out)
                last = _write(out, stack, sink.watched(frames), clip, target, span, sound, settings)
            sink.check()
        except av.error.FFmpegError as error:
            sink.check()
            if error.errno in _DISK:
                raise OSError(error.errno, error.strerror) from None
            reason = one_line(str(error.strerror or error))
            raise OutputError(
                f"{one_line(str(path))}: cannot be encoded ({reason}); try another --codec or "
                "extension"
            ) from None
        if target.format == "webp":
            _finish_webp(file, last)

    write_whole(path, fill, overwrite=overwrite)


class _Sink:
    """The file as FFmpeg writes it. What the disk refuses is kept until Python can hear of it: a
    fault inside FFmpeg's calls would be told in FFmpeg's words, or on standard error.

    Args:
        file: to write.
    """

    def __init__(self, file: BufferedRandom) -> None:
        self._file = file
        self._fault: OSError | None = None

    def write(self, data: bytes) -> int:
        """Writes, or after a fault only seems to."""
        if self._fault is None:
            try:
                self._file.write(data)
                self._file.flush()
            except OSError as error:
                self._fault = error
        return len(data)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """As files do."""
        return self._file.seek(place, whence) if self._fault is None else 0

    def tell(self) -> int:
        """As files do."""
        return self._file.tell() if self._fault is None else 0

    def check(self) -> None:
        """Raises what the disk has refused.

        Raises:
            OSError: it has.
        """
        if self._fault is not None:
            raise self._fault

    def watched(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames, until the disk refuses to take any more."""
        for frame in frames:
            yield frame
            self.check()


def _looped(clip: Clip, target: Target) -> dict[str, str]:
    """How often the result is shown, as FFmpeg wants it: GIF counts how often it begins again, and
    says nothing where it never does."""
    loop = clip.facts.loop
    if loop is None or target.format not in ("gif", "webp"):
        return {}
    if target.format == "gif" and loop > 0:
        return {"loop": str(min(loop - 1, 65535) or -1)}
    return {"loop": str(min(loop, 65535))}


def check_copied(path: Path, clip: Clip, target: Target) -> None:
    """Refuses, before any work, a container that cannot hold the clip's sound and subtitles.

    Raises:
        OptionError: in one line.
    """
    if target.silent or not clip.facts.others:
        return
    damaged = clip.damaged
    for number, (kind, codec) in enumerate(clip.facts.others):
        try:
            with ExitStack() as stack:
                out = stack.enter_context(av.open(io.BytesIO(), "w", format=target.format))
                copier = _Copier(out, stack, clip, Span(), only=number)
                out.start_encoding()
                if kind == "audio":
                    # Some codecs are refused with their packets only, or at the end.
                    copier.copy_until(_TRIED)
                    if clip.damaged > damaged and not copier.copied:
                        raise ValueError(codec)
        except (av.error.FFmpegError, ValueError):
            remedy = "use --no-sound" if target.format == "matroska" else "use .mkv, or --no-sound"
            raise OptionError(
                f"{one_line(str(path))}: {path.suffix} cannot hold the clip's {kind} ({codec}); "
                f"{remedy}"
            ) from None
        finally:
            clip.damaged = damaged


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
    head = list(itertools.islice(frames, _REORDERED + 1))
    first, frames = head[0], itertools.chain(head[1:], frames)
    stream = _video_stream(out, clip, target, first, brief=len(head) <= _REORDERED)
    copier = None
    if not target.silent and clip.is_contained:
        copier = _Copier(out, stack, clip, span, sound=sound)
    if settings is not None and not target.silent:
        out.metadata["comment"] = json.dumps(settings)
    base = cast("Fraction", stream.time_base)
    facts = _facts_of(clip, target)
    make = _Palettes(target, base) if target.format == "gif" else _Plain(facts, target)
    numbered = target.encoder in _NUMBERED
    places: dict[int, int] = {}
    durations: dict[int, int] = {}
    order = _Order(target)

    def mux(packets: list[av.Packet]) -> None:
        for packet in packets:
            if numbered and packet.pts is not None:
                packet.pts = packet.dts = places.pop(packet.pts)
                packet.time_base = base
            if packet.pts in durations:
                packet.duration = durations.pop(packet.pts)
            order.settle(packet)
            if copier is not None and packet.dts is not None:
                copier.copy_until(packet.dts * packet.time_base)
            out.mux(packet)

    def place_of(time: Fraction) -> int:
        # Halves are rounded up: to the even side, steps would come out uneven.
        return math.floor(time / base + Fraction(1, 2))

    before, last = -1, Fraction(0)
    for number, (frame, final) in enumerate(order.look_ahead(first, frames)):
        place = place_of(frame.time) if number == 0 else max(place_of(frame.time), before + 1)
        before, last = place, frame.duration
        if last > 0:
            durations[place] = max(1, place_of(frame.time + last) - place)
        if numbered:
            places[number] = place
            made = make(frame, number, cast("Fraction", stream.codec_context.time_base))
        else:
            made = make(frame, place, base)
        if final is not None and number > 0:
            order.arrange(made, place_of(final.time))
        mux(stream.encode(made))
    mux(stream.encode(None))
    if copier is not None:
        copier.copy_until(None)
    return last


class _Order:
    """Has the last frame of an MP4 or MOV come last among the packets as well, where not all are
    shown equally long: their tables hold durations in the order of packets, and readers take the
    clip's end from these. Where the frame before it is one that others are made from, none in
    between can come after it."""

    def __init__(self, target: Target) -> None:
        self._acts = target.format in ("mp4", "mov") and target.encoder in ("libx264", "libx265")
        self._delay: int | None = None
        self._last: int | None = None
        self._before = 0

    def look_ahead(
        self, first: Frame, frames: Iterator[Frame]
    ) -> Iterator[tuple[Frame, Frame | None]]:
        """The frames; with the one before the last, that one too where not all are shown equally
        long."""
        if not self._acts:
            yield from ((frame, None) for frame in itertools.chain([first], frames))
            return
        one, two, uneven = first, next(frames, None), False
        while two is not None:
            uneven, three = uneven or two.duration != one.duration, next(frames, None)
            yield one, two if uneven and three is None else None
            one, two = two, three
        yield one, None

    def arrange(self, frame: av.VideoFrame, last: int) -> None:
        """Takes note of the frame before the last one, which is to be encoded, and of the place of
        the last one."""
        frame.pict_type = PictureType.P
        self._last = last

    def settle(self, packet: av.Packet) -> None:
        """Moves the last frame's time of decoding to where the durations add up to its own."""
        if not self._acts or packet.pts is None or packet.dts is None:
            return
        if self._delay is None:
            self._delay = packet.pts - packet.dts
        if packet.pts == self._last:
            packet.dts = max(self._before + 1, packet.pts - self._delay)
        self._before = packet.dts


def _facts_of(clip: Clip, target: Target) -> Facts:
    """Of the clip, as the encoder can tell them on."""
    return replace(clip.facts, full_range=False) if target.encoder in _LIMITED else clip.facts


def _video_stream(
    out: OutputContainer, clip: Clip, target: Target, first: Frame, *, brief: bool
) -> VideoStream:
    facts = _facts_of(clip, target)
    rate = facts.rate or Fraction(25)
    options = {} if target.crf is None else {"crf": str(target.crf)}
    if target.encoder == "libx264" and cv2.checkHardwareSupport(_AVX_512):
        # With AVX-512 it reads memory that it has not written, at widths such as 160, 480 and 720,
        # and the same frames come out as other bytes from time to time. It is no slower without.
        options["x264-params"] = "asm=avx2"
    if target.encoder == "libvpx-vp9":
        options |= {"b": "0", "row-mt": "1"}
    if target.encoder == "libsvtav1":
        # It takes no option for that; its errors alone are left.
        os.environ.setdefault("SVT_LOG", "1")
    if target.encoder == "libx265":
        # It takes the delay of decoding from the frame that comes after as many as it reorders by;
        # where there is none, times of decoding are whatever was in memory.
        options["x265-params"] = "log-level=error" + (":bframes=0" if brief else "")
    if target.encoder == "libwebp":
        options["quality"] = "90"
    stream = cast("VideoStream", out.add_stream(target.encoder, rate=rate, options=options))
    height, width = first.pixels.shape[1:]
    stream.width, stream.height, stream.pix_fmt = width, height, target.pixel_format
    if target.format == "gif":
        stream.pix_fmt = "pal8"
    context = stream.codec_context
    context.time_base = stream.time_base = _BASES.get(target.format, facts.time_base)
    context.framerate = rate
    if target.encoder in _NUMBERED:
        context.framerate = Fraction(min(max(1, round(rate * 100)), 60_000), 100)
        context.time_base = 1 / context.framerate
    if not is_rgb(target.pixel_format):
        full = full_range_of(facts, target.pixel_format)
        known = facts.range_known or is_rgb(facts.pixel_format)
        context.color_range = 2 if full else 1 if known else 0
        context.colorspace = tagged_matrix(facts, target.pixel_format, height)
    context.color_primaries, context.color_trc = facts.primaries, facts.transfer
    if target.encoder == "libsvtav1":
        with as_scheduled():
            context.open()
    return stream


class _Maker(Protocol):
    """Makes frames to encode."""

    def __call__(self, frame: Frame, number: int, base: Fraction) -> av.VideoFrame: ...


class _Plain:
    def __init__(self, facts: Facts, target: Target) -> None:
        self._facts, self._format = facts, target.pixel_format

    def __call__(self, frame: Frame, number: int, base: Fraction) -> av.VideoFrame:
        made = to_frame(frame.pixels, frame.alpha, self._facts, self._format)
        made.pts, made.time_base = number, base
        # Some encoders take them from here.
        made.color_primaries, made.color_trc = self._facts.primaries, self._facts.transfer
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
        facts = Facts(width, height, base, pixel_format=self._format, alpha=alpha)
        made = to_frame(frame.pixels, frame.alpha, facts, self._format)
        made.pts, made.time_base = number, base
        source.push(made)
        source.push(None)
        found = cast("av.VideoFrame", sink.pull())
        found.pts, found.time_base = number, base
        return found


class _Copier:
    """Copies the packets of a clip's sound and subtitles, in step with the frames, and at once what
    it says of itself: titles, chapters, attachments.

    Args:
        out: where to.
        stack: closes the clip.
        clip: where from; damaged packets of its sound are counted there.
        span: the part of it.
        sound: off: no packets.
        only: the one stream to copy, counted among `Facts.others`.

    Attributes:
        copied: how many packets have been.
    """

    def __init__(
        self,
        out: OutputContainer,
        stack: ExitStack,
        clip: Clip,
        span: Span,
        *,
        sound: bool = True,
        only: int | None = None,
    ) -> None:
        self._out, self._span, self._clip = out, span, clip
        self.copied = 0
        source = stack.enter_context(opened(clip.path))
        kept = companions_of(source) if sound else []
        kept = kept if only is None else [kept[only]]
        self._streams: dict[int, Any] = {}
        self._subtitles = {stream.index for stream in kept if stream.type == "subtitle"}
        for stream in kept:
            copy = out.add_stream_from_template(cast("Any", stream))
            copy.metadata.update(stream.metadata)
            with contextlib.suppress(AttributeError, ValueError):
                copy.disposition = stream.disposition
            self._streams[stream.index] = copy
        if out.format.name == "matroska" and only is None:
            for stream in source.streams.attachments:
                name = stream.metadata.get("filename", "attachment")
                kind = stream.mimetype or "application/octet-stream"
                out.add_attachment(name, kind, stream.data)
        out.metadata.update({k: v for k, v in source.metadata.items() if k not in _OWN_WORDS})
        self._origin = origin_of(source)
        out.set_chapters(self._chapters(source.chapters()))
        self._packets = iter(Packets(source, kept)) if kept else iter(())
        self._next: av.Packet | None = None
        self._last: dict[int, int] = {}

    def copy_until(self, time: Fraction | None) -> None:
        """Copies what is to be decoded up to a moment; `None`: all that is left. Packets that the
        container does not take are counted as damage."""
        self._out.start_encoding()
        start, end = self._span.start, self._span.end
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            packet, self._next = self._next, None
            if packet is None:
                return
            if packet.dts is None or packet.pts is None:
                continue
            begins = packet.pts * packet.time_base
            if end is not None and begins >= end:
                continue
            early = start > 0 and begins < start
            if early and not self._is_on_screen(packet, start):
                continue
            if start > 0 and packet.time_base > _COARSE:
                _refine(packet)
            shift = round(start / packet.time_base)
            if early:
                packet.duration = max(1, packet.pts + (packet.duration or 0) - shift)
                packet.pts = packet.dts = shift
            if time is not None and (packet.dts - shift) * packet.time_base > time:
                self._next = packet
                return
            if packet.is_corrupt:
                self._clip.damaged += 1
            index, dts = packet.stream_index, packet.dts - shift
            # Where clips were joined, a little sound of both may overlap.
            late = max(0, self._last.get(index, dts - 1) + 1 - dts)
            self._last[index] = dts + late
            packet.pts, packet.dts = packet.pts - shift + late, dts + late
            packet.stream = self._streams[index]
            try:
                self._out.mux(packet)
                self.copied += 1
            except av.error.FFmpegError as error:
                # Damaged sound may not be what the container wants; a full disk is another matter.
                if error.errno in _DISK:
                    raise
                self._clip.damaged += int(not packet.is_corrupt)

    def _is_on_screen(self, packet: av.Packet, time: Fraction) -> bool:
        """Whether a packet is a subtitle that is still shown at a moment after its begin."""
        if packet.stream_index not in self._subtitles or packet.pts is None:
            return False
        return (packet.pts + (packet.duration or 0)) * packet.time_base > time

    def _chapters(self, chapters: list[Any]) -> list[Any]:
        kept = []
        for chapter in chapters:
            base = chapter["time_base"]
            start, end = (self._span.start + self._origin) / base, self._span.end
            first, last = chapter["start"] - start, chapter["end"] - start
            if end is not None:
                last = min(last, (end - self._span.start) / base)
            if last > max(first, 0):
                kept.append({**chapter, "start": round(max(first, 0)), "end": round(last)})
        return kept


def _refine(packet: av.Packet) -> None:
    """Has a packet count its times in units a thousand times as fine."""
    packet.pts, packet.dts = cast("int", packet.pts) * 1000, cast("int", packet.dts) * 1000
    packet.duration = (packet.duration or 0) * 1000
    packet.time_base /= 1000


def _finish_webp(file: BufferedRandom, duration: Fraction) -> None:
    """Has each frame of an animated WebP take the place of the one before instead of being laid
    over it, and puts in the last one's own duration, which FFmpeg guesses."""
    milliseconds = round(duration * 1000)
    place, last = 12, 0
    size = file.seek(0, 2)
    while place + 8 <= size:
        file.seek(place)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"ANMF":
            last = place + 8
            file.seek(last + _WEBP_FLAGS)
            flags = file.read(1)[0] | _WEBP_REPLACE
            file.seek(last + _WEBP_FLAGS)
            file.write(bytes([flags]))
        place += 8 + length + length % 2
    if last and 0 < milliseconds < 1 << 24:
        file.seek(last + _WEBP_DURATION)
        file.write(milliseconds.to_bytes(3, "little"))
