"""Packets out of containers, with times that begin at nothing and never jump back."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from impasto.clips.wholeness import clusters_end
from impasto.errors import ImageError, one_line

MOST_FAULTS = 1000
"""Faults of a container in a row after which the rest of it is given up."""

COPIED = ("audio", "subtitle")
"""Kinds of streams that are passed on beside the frames."""

JUMP = Fraction(1, 2)
"""Seconds by which times fall back only where clips were joined end to end."""


FIRST_PACKETS = 32
"""So many packets are looked at for the first moment where FFmpeg does not tell it."""

HOLE = 512
"""Bytes between two packets of a Matroska file that are more than its own notes take."""

WRAPPING = ("mpegts", "mpeg")
"""FFmpeg's names of containers whose times begin anew after a day (2³³ / 90 kHz); to what lies just
before that it gives negative times."""

SELF_CONTAINED = ("mov", "matroska", "avi", "ogg", "flv", "asf", "mpeg", "mpegts")
"""FFmpeg's names of containers of which all lies in one file. Playlists and manifests lead to other
files."""


@contextlib.contextmanager
def opened(path: Path, *, among: Sequence[str] = ()) -> Iterator[InputContainer]:
    """A container to read.

    Args:
        path: of its file.
        among: FFmpeg's names of the containers that it may be; none: whichever.

    Raises:
        ImageError: it cannot be opened.
    """
    options = {"format_whitelist": ",".join(among)} if among else {}
    try:
        # A relative name with a colon would be taken for a protocol.
        container = av.open(str(path.absolute()), metadata_errors="replace", options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = one_line(str(getattr(error, "strerror", None) or error))
        raise ImageError(
            f"{one_line(str(path))}: cannot be read ({reason}); give a clip such as MP4, MKV or GIF"
        ) from None
    with container:
        yield container


def picture_of(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures that can be decoded; covers are none, nor are the still
    pictures that stand for an animated AVIF, unless there is nothing else."""
    pictures = [
        cast("VideoStream", stream)
        for stream in container.streams
        if stream.type == "video" and _known(stream) and not is_cover(stream)
    ]
    moving = [one for one in pictures if one.frames != 1 or one.duration is not None]
    return next(iter(moving or pictures), None)


def companions_of(container: InputContainer) -> list[Stream]:
    """Sound and subtitles that can be passed on: those whose codec is known."""
    return [stream for stream in container.streams if stream.type in COPIED and _known(stream)]


def unknown_in(container: InputContainer) -> tuple[str, ...]:
    """Kinds of the streams of sound and subtitles whose codec is not known."""
    return tuple(s.type for s in container.streams if s.type in COPIED and not _known(s))


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a still picture of what the file holds."""
    return bool(stream.disposition & Disposition.attached_pic)


def has_alpha(stream: Stream | None) -> bool:
    """Whether a stream of Matroska has transparency, which lies beside its packets."""
    return stream is not None and "alpha_mode" in {key.lower() for key in stream.metadata}


def _known(stream: Stream) -> bool:
    return cast("Any", stream).codec_context is not None


def origin_of(container: InputContainer) -> Fraction:
    """The moment at which picture or sound begin first, seconds; recordings and pieces of streams
    may begin at any. It lies on the picture's own grid of times, so that these stay exact."""
    picture = picture_of(container)
    starts = [
        stream.start_time * stream.time_base
        for stream in (picture, *companions_of(container))
        if stream is not None
        and stream.type != "subtitle"
        and stream.start_time is not None
        and stream.time_base is not None
    ]
    if picture is None or not picture.time_base:
        return Fraction(0)
    if not starts:
        starts = _starts_of_packets(Path(container.name))
    if not starts:
        return Fraction(0)
    start = math.floor(min(starts) / picture.time_base) * picture.time_base
    # Elsewhere, what lies before 0 is not shown.
    return start if container.format.name in WRAPPING else max(Fraction(0), start)


def _starts_of_packets(path: Path) -> list[Fraction]:
    """Moments of a clip's first packets, seconds. FFmpeg finds no beginning in very short ones."""
    with opened(path) as container:
        packets = itertools.islice(container.demux(picture_of(container)), FIRST_PACKETS)
        with contextlib.suppress(av.error.FFmpegError):
            return [p.pts * p.time_base for p in packets if p.pts is not None]
    return []


class Packets:
    """The packets of a container in their order, with times counted from its origin. Where clips
    were joined end to end and times fall back, those of the rest follow on what was before. Who
    reads the same file again, in whole or in part, gets the same times.

    Args:
        container: to read, from its beginning.
        wanted: the streams whose packets are given.

    Attributes:
        faults: of the container, met so far.
    """

    def __init__(self, container: InputContainer, wanted: Sequence[Stream]) -> None:
        self.faults = 0
        self._container = container
        self._wanted = {stream.index for stream in wanted}
        picture = picture_of(container)
        heard = [stream for stream in companions_of(container) if stream.type == "audio"]
        self._timed = {stream.index for stream in (picture, *heard) if stream is not None}
        # What lies between the packets of all streams is seen only where all of them are read.
        self._dense = container.format.name.startswith("matroska")
        self._transparent = picture.index if picture is not None and has_alpha(picture) else -1
        more = container.streams if self._dense else wanted
        watched = {s.index: s for s in (picture, *heard, *more) if s is not None}
        self._watched = list(watched.values())
        self._shift = -origin_of(container)
        self._last: dict[int, Fraction] = {}
        self._end = Fraction(0)
        self._path = Path(container.name)
        self._place, self._passed = -1, -1

    def __iter__(self) -> Iterator[av.Packet]:
        row = 0
        while row < MOST_FAULTS:
            try:
                for packet in self._container.demux(*self._watched):
                    # The demuxer ends with empty packets.
                    if packet.size:
                        row = 0
                        self._look_between(packet)
                        self._time(packet)
                        if packet.stream_index in self._wanted:
                            yield packet
                if self._dense and 0 <= self._passed < clusters_end(self._path) - HOLE:
                    self.faults += 1
                return
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.faults += 1
                row += 1
                self._passed = -1

    def _look_between(self, packet: av.Packet) -> None:
        """Counts a fault where bytes were passed over that belong to no packet: demuxers look for
        the next one that is whole, and say nothing."""
        place = -1 if packet.pos is None else packet.pos
        if not self._dense or (place < 0 and self._passed < 0):
            return
        size = packet.size
        if packet.stream_index == self._transparent:
            size += sum(part.data_size for part in packet.iter_sidedata())
        if place in (-1, self._place):  # several lie in one block
            self._passed += size
            return
        if 0 <= self._passed < place - HOLE:
            self.faults += 1
        self._place, self._passed = place, max(self._passed, place + size)

    def _time(self, packet: av.Packet) -> None:
        base, index = packet.time_base, packet.stream_index
        if packet.dts is not None and index in self._timed:
            moment = packet.dts * base + self._shift
            if index in self._last and moment < self._last[index] - JUMP:
                self._shift += self._end - moment
                moment = self._end
            self._last[index] = moment
            self._end = max(self._end, moment + max(1, packet.duration or 0) * base)
        ticks = round(self._shift / base)
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks
