"""An upload on its way from the network to the disk."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import time
from collections.abc import AsyncIterator
from typing import BinaryIO

import anyio.to_thread

from impasto.errors import ImageError
from impasto.images import SNIFF_BYTES, recognise
from impasto.web.security import Refused
from impasto.web.storage import Storage

PAUSE = 60.0
"""Seconds that may pass between two pieces of an upload."""

LONGEST = 1800.0
"""Seconds that an upload may take in all."""

SLOWEST, PATIENCE = 8000, 60.0
"""Bytes a second that an upload must bring on average, and seconds until that is asked of it."""

_PIECE = 1 << 20
_LOOK_AFTER = 8 << 20


class Receiving:
    """Takes one upload into the folder of those that are under way.

    Args:
        storage: where to.
        picture: the id that it will have.
        max_bytes: most that is taken.
        clip: whether a clip comes, and no picture.
        free_space: bytes to leave free on the disk.
    """

    def __init__(
        self,
        storage: Storage,
        picture: str,
        max_bytes: int,
        free_space: int,
        *,
        clip: bool = False,
    ) -> None:
        self._storage, self._picture = storage, picture
        self._max, self._free = max_bytes, free_space
        self._check_head = check_clip if clip else _check_head
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Of what has come, as hexadecimal digits."""
        return self._hash.hexdigest()

    def check(self, announced: int | None) -> None:
        """Refuses, before anything has come, what could not be kept.

        Args:
            announced: bytes that the sender says will come.

        Raises:
            Refused: it is too large, or the disk is too full.
        """
        if announced is not None and announced > self._max:
            raise self._too_large()
        if self._storage.free_bytes() - (announced or 0) < self._free:
            raise _full()

    async def take(self, stream: AsyncIterator[bytes]) -> None:
        """Takes all of it; the file lies at `Storage.incoming` then.

        Raises:
            Refused: it is too large, too slow, no picture by its first bytes, or the disk is full.
        """
        try:
            async with asyncio.timeout(LONGEST):
                await self._take(stream)
        except TimeoutError:
            raise Refused(408, "too_slow", "the file came too slowly; try again") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full() from error
            raise

    async def _take(self, stream: AsyncIterator[bytes]) -> None:
        pieces, held, looked, begun = list[bytes](), 0, 0, False
        iterator, since = aiter(stream), time.monotonic()
        with self._storage.incoming(self._picture).open("xb") as file:
            while True:
                try:
                    async with asyncio.timeout(PAUSE):
                        piece = await anext(iterator)
                except StopAsyncIteration:
                    break
                self.bytes += len(piece)
                if self.bytes > self._max:
                    raise self._too_large()
                if self.bytes < SLOWEST * (time.monotonic() - since - PATIENCE):
                    raise TimeoutError
                pieces.append(piece)
                held += len(piece)
                if not begun and held >= SNIFF_BYTES:
                    self._check_head(b"".join(pieces))
                    begun = True
                if held >= _PIECE:
                    await anyio.to_thread.run_sync(self._write, file, b"".join(pieces))
                    looked += held
                    pieces, held = [], 0
                if looked >= _LOOK_AFTER:
                    looked = 0
                    self.check(None)
            rest = b"".join(pieces)
            if not begun:
                self._check_head(rest)
            await anyio.to_thread.run_sync(self._write, file, rest)

    def _write(self, file: BinaryIO, data: bytes) -> None:
        self._hash.update(data)
        file.write(data)

    def _too_large(self) -> Refused:
        return Refused(
            413, "too_large", f"the file is larger than {self._max / 10**6:g} MB; make it smaller"
        )


def _full() -> Refused:
    return Refused(507, "disk_full", "the studio's disk is full; its host has to make room")


def check_clip(data: bytes) -> None:
    """Refuses what is no clip by its first bytes. Playlists and scripts, which FFmpeg would follow
    to other files, have none of these.

    Raises:
        Refused: so it is.
    """
    if not any(data[at : at + len(mark)] == mark for at, mark in _CLIPS) and not _is_stream(data):
        raise Refused(
            415, "not_a_clip", "the file is no clip; send an MP4, MOV, MKV, WebM, AVI, GIF or WebP"
        )


_CLIPS = (
    *((4, mark) for mark in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
    *((0, b"\x1a\x45\xdf\xa3"), (8, b"AVI "), (8, b"WEBP"), (0, b"GIF8"), (0, b"OggS")),
    *((0, b"FLV\x01"), (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (0, b"\0\0\1\xba")),
)
"""Where in a file which bytes stand: MP4 and MOV, Matroska, AVI, WebP, GIF, Ogg, FLV, ASF and MPEG
program streams."""


def _is_stream(data: bytes) -> bool:
    """Whether data are an MPEG transport stream: packets of 188 bytes that begin alike."""
    return len(data) > 376 and data[0] == data[188] == data[376] == 0x47


def _check_head(data: bytes) -> None:
    """Refuses what is no picture before the rest of it comes; nothing is decoded."""
    try:
        recognise(data[:SNIFF_BYTES], "the file")
    except ImageError as error:
        raise Refused(415, "not_a_picture", str(error)) from None
