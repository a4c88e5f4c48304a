"""Pictures of runs under way, encoded when somebody looks.

However many look at one run, each new picture is encoded once for each of a few sizes: who asks
while it is being encoded waits for the same bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import pyvips

from impasto.images import fit_within
from impasto.web.storage import Live, Storage

SIDES = (320, 640, 1024)
"""Longest sides that are encoded, px; a viewer gets the next one up. The last is the size that
painters write; the pages ask for these very sizes."""

QUALITY = 85
KEPT = 48
"""Encoded pictures that are kept."""


@dataclass(frozen=True)
class Encoded:
    """A live picture as a JPEG file, which takes a fifth of the time of WebP at these sizes."""

    version: int
    data: bytes


class LivePictures:
    """The newest pictures of runs at the sizes that are looked at.

    Args:
        storage: where painters put them.
        at_once: most that are encoded at once.
    """

    def __init__(self, storage: Storage, at_once: int = 1) -> None:
        self._storage = storage
        self._limit = anyio.CapacityLimiter(at_once)
        self._found = OrderedDict[tuple[str, int], tuple[object, asyncio.Task[Encoded | None]]]()
        self.encoded = 0

    async def get(self, job: str, side: int) -> Encoded | None:
        """The newest picture of a run, no side longer than the bucket of `side`; `None` where there
        is none yet.
        """
        bucket = bucket_of(side)
        mark = self._mark(job)
        if mark is None:
            self._found.pop((job, bucket), None)
            return None
        known = self._found.get((job, bucket))
        if known is None or known[0] != mark:
            # A task of its own: it goes on where the viewer that began it leaves.
            task = asyncio.create_task(self._make(job, bucket))
            known = self._found[job, bucket] = (mark, task)
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        self._found.move_to_end((job, bucket))
        return await asyncio.shield(known[1])

    def _mark(self, job: str) -> object | None:
        """What changes with every picture that is put in place; a look at the folder is enough."""
        try:
            found = self._storage.live(job).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    async def _make(self, job: str, bucket: int) -> Encoded | None:
        return await anyio.to_thread.run_sync(self._encode, job, bucket, limiter=self._limit)

    def _encode(self, job: str, bucket: int) -> Encoded | None:
        live = self._storage.read_live(job)
        if live is None:
            return None
        self.encoded += 1
        return Encoded(live.version, encode_live(live, bucket))


def bucket_of(side: int) -> int:
    """The size that is encoded for a viewer of so many pixels."""
    return next((bucket for bucket in SIDES if bucket >= side), SIDES[-1])


def small_jpeg(place: Path, side: int) -> bytes | None:
    """A picture's file as a JPEG file, at the size that is encoded for a viewer of so many pixels;
    `None` where it is gone."""
    side = bucket_of(side)
    try:
        image = pyvips.Image.thumbnail(str(place), side, height=side, size="down")
        if image.format != "uchar":
            image = image.colourspace("srgb")
        data: bytes = image.write_to_buffer(".jpg", Q=QUALITY, keep=0)
    except pyvips.Error:
        return None
    return data


def encode_live(live: Live, side: int) -> bytes:
    """A live picture as a JPEG file, no side longer than `side`; a smaller one keeps its size."""
    height, width = live.pixels.shape[:2]
    # The memory is the picture's: it lives until the bytes are made.
    image = pyvips.Image.new_from_memory(live.pixels.data, width, height, 3, "uchar")
    image = image.copy(interpretation="srgb")
    wide, high = fit_within(width, height, side, enlarge=False)
    if (wide, high) != (width, height):
        image = image.resize(wide / width, vscale=high / height, kernel="linear")
    data: bytes = image.write_to_buffer(".jpg", Q=QUALITY, keep=0)
    return data
