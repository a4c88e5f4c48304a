"""Frames in a folder, as numbered PNGs."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageError
from impasto.images import make_folder, output_error

_NAME = re.compile(r"[0-9]{6,}\.png")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


_PNG = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB),
)
"""Of painted frames these make files as small as zlib's quickest level does, in half its time."""


class FrameFolder:
    """Frames by their number. Each file is there whole or not at all.

    The frames written last are kept in memory, too, for those that are made from them.

    Args:
        folder: made with its first frame.
        bits: per channel, 8 or 16.
        recent: how many frames are kept in memory.
    """

    def __init__(self, folder: Path, bits: int = 8, recent: int = 0) -> None:
        self.folder, self.bits = folder, bits
        self._most, self._recent = recent, OrderedDict[int, NDArray[Any]]()

    def path(self, number: int) -> Path:
        """The file of a frame; numbers from 0, names from 1."""
        return self.folder / f"{number + 1:06d}.png"

    def has(self, number: int, size: tuple[int, int] | None = None) -> bool:
        """Whether a frame is there, whole: its checksums are right, and so are width and height
        where they are given, px."""
        try:
            data = self.path(number).read_bytes()
        except OSError:
            return False
        return _is_whole(data) and size in (None, struct.unpack(">II", data[16:24]))

    def write(
        self,
        number: int,
        pixels: NDArray[np.float32],
        alpha: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Writes a frame.

        Args:
            number: of the frame, from 0.
            pixels: `(3, H, W)` in [0, 1].
            alpha: `(H, W)` in [0, 1], or `None`.

        Returns:
            The pixels as `read` will give them.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        most = 65535 if self.bits > 8 else 255
        planes = pixels[::-1] if alpha is None else np.concatenate([pixels[::-1], alpha[None]])
        values = np.rint(np.clip(planes, 0, 1).transpose(1, 2, 0) * most)
        values = np.ascontiguousarray(values.astype(np.uint16 if self.bits > 8 else np.uint8))
        made, data = cv2.imencode(".png", values, _PNG)
        assert made
        path = self.path(number)
        part = path.with_suffix(".part")
        try:
            make_folder(self.folder)
            with part.open("wb") as file:
                file.write(data.tobytes())
                file.flush()
                # After a power cut, a file that has its name has its contents too.
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise output_error(str(path), error) from None
        self._recent[number] = values
        while len(self._recent) > self._most:
            self._recent.popitem(last=False)
        return _planes(values[..., :3])

    def read(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Pixels `(3, H, W)` in [0, 1] and alpha `(H, W)` of a frame.

        Raises:
            ImageError: it is missing or damaged.
        """
        path = self.path(number)
        values = self._recent.get(number)
        if values is not None:
            return _parts(values)
        with contextlib.suppress(OSError):
            data = np.frombuffer(path.read_bytes(), np.uint8)
            values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
        if values is None:
            raise ImageError(f"{path}: is missing or damaged; run the same command again")
        if values.ndim == 2:
            values = np.repeat(values[..., None], 3, 2)
        return _parts(values)

    def remove(self) -> None:
        """Deletes the frames, and the folder if nothing else is in it."""
        self._recent.clear()
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if _NAME.fullmatch(path.name) or path.suffix == ".part":
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def _is_whole(data: bytes) -> bool:
    """Whether a PNG ends as it should, and each of its parts has its own checksum."""
    if not data.startswith(_SIGNATURE):
        return False
    place = len(_SIGNATURE)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind, end = data[place + 4 : place + 8], place + 8 + length
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        place = end + 4
        if kind == b"IEND":
            return place == len(data)
    return False


def _parts(values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Pixels `(3, H, W)` and alpha `(H, W)`, if there is one, of a PNG's values."""
    alpha = None
    if values.shape[2] == 4:
        alpha = values[..., 3].astype(np.float32) / _most(values)
    return _planes(values[..., :3]), alpha


def _planes(values: NDArray[Any]) -> NDArray[np.float32]:
    """OpenCV's `(H, W, 3)`, blue first, as pixels `(3, H, W)` in [0, 1]."""
    planes = np.ascontiguousarray(values[..., ::-1].transpose(2, 0, 1)).astype(np.float32)
    return planes / _most(values)


def _most(values: NDArray[Any]) -> np.float32:
    return np.float32(65535 if values.dtype == np.uint16 else 255)
