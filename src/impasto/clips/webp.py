"""Animated WebP, frame after frame.

libvips decodes all frames of one at once, or any one by beginning anew, and FFmpeg none. So the
container is taken apart here ("WebP Container Specification", Google), libvips decodes each frame
as a picture of its own, and the canvas is kept between them: the memory of a frame or two, however
many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import pyvips
from numpy.typing import NDArray

_HEAD, _FRAME_HEAD = 8, 16
_ALPHA, _MOVES = 0x10, 0x02
"""Flags of the whole: there is transparency; there are frames."""

_DISPOSE, _REPLACE = 1, 2
"""Flags of a frame: its place is cleared after it; it is not laid over what is there."""


@dataclass(frozen=True)
class Piece:
    """A frame as the file has it.

    Attributes:
        place: of its data in the file, bytes.
        length: of these, bytes.
        left: of its part of the canvas, px.
        top: likewise.
        width: likewise.
        height: likewise.
        duration: ms.
        flags: how it goes onto the canvas and off it.
    """

    place: int
    length: int
    left: int
    top: int
    width: int
    height: int
    duration: int
    flags: int


@dataclass(frozen=True)
class Animation:
    """What an animated WebP is.

    Attributes:
        width: of its canvas, px.
        height: likewise.
        alpha: whether it has transparency.
        loop: how often it is shown, 0 for ever.
        pieces: its frames, those that are there in full.
    """

    width: int
    height: int
    alpha: bool
    loop: int
    pieces: tuple[Piece, ...]


def look(path: Path) -> Animation | None:
    """What an animated WebP is; `None` for other files, and for a WebP that does not move."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WEBP":
            return None
        about, loop, pieces = b"", 0, list[Piece]()
        for kind, place, length in _chunks(file, 12, file.seek(0, 2)):
            if kind == b"VP8X":
                about = _read(file, place, min(length, 10))
            elif kind == b"ANIM":
                loop = _number(_read(file, place, min(length, 6))[4:])
            elif kind == b"ANMF" and length > _FRAME_HEAD:
                data = _read(file, place, _FRAME_HEAD)
                left, top, width, height, duration = (
                    _number(data[at : at + 3]) for at in range(0, 15, 3)
                )
                size = left * 2, top * 2, width + 1, height + 1
                content = place + _FRAME_HEAD, length - _FRAME_HEAD
                pieces.append(Piece(*content, *size, duration, data[15]))
    if len(about) < 10 or not about[0] & _MOVES or not pieces:
        return None
    width, height = _number(about[4:7]) + 1, _number(about[7:10]) + 1
    return Animation(width, height, bool(about[0] & _ALPHA), loop, tuple(pieces))


def frames(path: Path, animation: Animation) -> Iterator[NDArray[np.uint8]]:
    """The frames as they are shown, `(H, W, 3)` or with alpha `(H, W, 4)`.

    Args:
        path: of the file.
        animation: what `look` found in it.

    Raises:
        pyvips.Error: one cannot be decoded.
    """
    canvas = np.zeros((animation.height, animation.width, 4), np.uint8)
    with path.open("rb") as file:
        for piece in animation.pieces:
            rows = slice(piece.top, piece.top + piece.height)
            part = canvas[rows, piece.left : piece.left + piece.width]
            drawn = _decoded(file, piece)
            if drawn.shape != part.shape:
                raise pyvips.Error("a frame is not as large as it says")
            hides = piece.flags & _REPLACE or drawn[..., 3].min() == 255
            part[:] = drawn if hides else _over(drawn, part)
            yield canvas[..., : 4 if animation.alpha else 3].copy()
            if piece.flags & _DISPOSE:
                part[:] = 0


def _decoded(file: BufferedReader, piece: Piece) -> NDArray[np.uint8]:
    """The pixels of a frame, `(H, W, 4)`."""
    kept = {b"ALPH": b"", b"VP8 ": b"", b"VP8L": b""}
    for kind, place, length in _chunks(file, piece.place, piece.place + piece.length):
        if kind in kept:
            kept[kind] = _chunk(kind, _read(file, place, length))
    body = b"".join(kept.values())
    if kept[b"ALPH"]:
        sides = (piece.width - 1).to_bytes(3, "little") + (piece.height - 1).to_bytes(3, "little")
        body = _chunk(b"VP8X", bytes([_ALPHA, 0, 0, 0]) + sides) + body
    image = pyvips.Image.new_from_buffer(_chunk(b"RIFF", b"WEBP" + body), "")
    image = image if image.hasalpha() else image.bandjoin(255)
    data = image.write_to_memory()
    return np.frombuffer(data, np.uint8).reshape(image.height, image.width, image.bands)


def _over(drawn: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame laid over what is there, in the whole numbers of libwebp's `anim_decode.c`."""
    above, under = drawn[..., 3:].astype(np.uint32), below[..., 3:].astype(np.uint32)
    rest = (under * (256 - above)) >> 8
    alpha = above + rest
    scale = np.uint32(1 << 24) // np.maximum(alpha, 1)
    mixed = ((drawn[..., :3] * above + below[..., :3] * rest) * scale) >> 24
    found = np.concatenate([mixed, alpha], -1).astype(np.uint8)
    return np.where(above == 0, below, found)


def _chunks(file: BufferedReader, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of each part of a stretch of a file that is there in full."""
    while place + _HEAD <= end:
        head = _read(file, place, _HEAD)
        length = _number(head[4:])
        if place + _HEAD + length > end:
            return
        yield head[:4], place + _HEAD, length
        place += _HEAD + length + length % 2


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)


def _read(file: BufferedReader, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
