"""Whether the end of a file is missing, told by what its containers say of their own lengths."""

from __future__ import annotations

import os
from io import BufferedReader
from pathlib import Path

_TAIL = 1024
_TS_PACKETS = {188: 0, 192: 4, 204: 0}
"""Lengths of the packets of MPEG-TS, plain, with times before each, and with checksums; and where
in them their first byte lies."""

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_CLUSTER = bytes.fromhex("1f43b675")
_PARTS = (_CLUSTER, *map(bytes.fromhex, ("114d9b74", "1549a966", "1654ae6b", "1c53bb6b")))
_PARTS += tuple(map(bytes.fromhex, ("1941a469", "1043a770", "1254c367")))
_SHORT = (b"\xec", b"\xbf")
"""Names of the parts of a Matroska file, RFC 9559: packets; places, facts, tracks, cues, files,
chapters, titles; filling and checksums."""

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""What MP4 and MOV begin with."""


def is_cut_short(path: Path) -> bool:
    """Whether a clip or an animation ends before it should; `False` where nothing tells.

    GIF has a last byte. RIFF (AVI, WebP), Matroska, and MP4 with its kin note how long they are;
    MPEG-TS comes in packets of one length.
    """
    with path.open("rb") as file:
        head = file.read(16)
        length = file.seek(0, os.SEEK_END)
        if head[:3] == b"GIF":
            file.seek(max(0, length - _TAIL))
            # Some programs fill the file up.
            return not file.read().rstrip(b"\0").endswith(b";")
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little") > length
        if head[:4] == _EBML:
            return _segment(file)[1] > length
        if head[4:8] in _BOXES:
            return _boxes_end(file, length) > length
        size = _packet_size(file)
        return size > 0 and length % size > 0


def clusters_end(path: Path) -> int:
    """Where the packets of a Matroska file end, bytes; 0 where it does not say."""
    found = 0
    with path.open("rb") as file:
        if file.read(4) != _EBML:
            return 0
        place, end = _segment(file)
        end = end or file.seek(0, os.SEEK_END)
        while place < end:
            file.seek(place)
            name, size = file.read(4), None
            if name[:1] in _SHORT:
                file.seek(place + 1)
            if name in _PARTS or name[:1] in _SHORT:
                size = _number(file)
            if size is None:
                break
            place = file.tell() + size
            found = place if name == _CLUSTER else found
    return found


def _segment(file: BufferedReader) -> tuple[int, int]:
    """Where what a Matroska file holds begins and ends; 0 where it does not say. RFC 8794."""
    file.seek(4)
    header = _number(file)
    if header is None:
        return 0, 0
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0, 0
    size = _number(file)
    return file.tell(), 0 if size is None else file.tell() + size


def _number(file: BufferedReader) -> int | None:
    """A length of EBML; `None`: it is not known."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + file.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value


def _boxes_end(file: BufferedReader, length: int) -> int:
    """Where the last box of an MP4 ends. ISO/IEC 14496-12, 4.2."""
    place = 0
    while place + 8 <= length:
        file.seek(place)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:  # 0: up to the file's end
            return 0
        place += size
    return place


def _packet_size(file: BufferedReader) -> int:
    """How long the packets of an MPEG-TS are; 0 for other files."""
    file.seek(0)
    data = file.read(5 * max(_TS_PACKETS))
    for size, first in _TS_PACKETS.items():
        if len(data) > size + first and set(data[first::size]) == {0x47}:
            return size
    return 0
