"""Between FFmpeg's frames and arrays, with the clip's own colour matrix and range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av import VideoFrame
from av.sidedata.sidedata import Type
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from impasto.clips.facts import Facts

_EXACT = (
    Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
_SAME_SIZE, _RESIZED = Interpolation.BICUBIC | _EXACT, Interpolation.LANCZOS | _EXACT

_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}

UNKNOWN = 2
"""H.273's number for what is not said."""


@dataclass(frozen=True)
class Upright:
    """How a decoded frame is shown.

    Attributes:
        sideways: its rows are shown as columns; done first.
        across: left and right are exchanged then.
        down: top and bottom likewise.
    """

    sideways: bool = False
    across: bool = False
    down: bool = False

    def turn(self, values: NDArray[Any]) -> NDArray[Any]:
        """An array `(H, W, …)` as it is shown."""
        values = np.swapaxes(values, 0, 1) if self.sideways else values
        values = values[:, ::-1] if self.across else values
        return values[::-1] if self.down else values


def upright_of(frame: VideoFrame) -> Upright:
    """How a frame is shown, after the matrix that came with it: `x' = a x + c y`,
    `y' = b x + d y`, from whichever quarter turn, mirrored or not, is nearest."""
    try:
        note = cast("Any", frame.side_data).get(Type.DISPLAYMATRIX)
    except ValueError:
        # PyAV does not know all that can come with a frame, Exif of JPEGs for one, and then shows
        # nothing of it but the angle.
        angle = math.radians(frame.rotation)
        a, b, c, d = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    else:
        if note is None:
            return Upright()
        a, b, _, c, d = np.frombuffer(bytes(note), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Upright(True, c < 0, b < 0)
    return Upright(False, a < 0, d < 0)


def matrix_of(number: int, height: int) -> Colorspace:
    """The matrix of a number of H.273. Where the clip does not say, the one that players take: that
    of standard television up to 576 rows, that of high definition above."""
    return _MATRICES.get(number, Colorspace.ITU601 if height <= 576 else Colorspace.ITU709)


def tagged_matrix(facts: Facts, pixel_format: str, height: int) -> int:
    """The number of the matrix of a result, in H.273. That of RGB, 0, is none for other formats:
    they get what players take at their height."""
    if facts.matrix == 0 and not is_rgb(pixel_format):
        return 6 if height <= 576 else 1
    return facts.matrix


def is_rgb(pixel_format: str) -> bool:
    """Whether a format stores red, green and blue, or picks them from a palette."""
    form = VideoFormat(pixel_format, 2, 2)
    return form.is_rgb or form.has_palette


def is_grey(pixel_format: str) -> bool:
    """Whether a format stores brightness alone, maybe with transparency."""
    form = VideoFormat(pixel_format, 2, 2)
    colors = sum(not part.is_alpha for part in form.components)
    return colors == 1 and not is_rgb(pixel_format)


def full_range_of(facts: Facts, pixel_format: str) -> bool:
    """Whether black and white are the ends of the number range in a result: as in the clip. From
    RGB, whose range says nothing of other formats, they get the range that all players know."""
    if is_rgb(pixel_format):
        return True
    return facts.full_range and not is_rgb(facts.pixel_format)


def to_arrays(
    frame: VideoFrame, facts: Facts, width: int, height: int, upright: Upright
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Pixels `(3, H, W)` and alpha `(H, W)` of a decoded frame.

    Args:
        frame: as it was decoded.
        facts: of its clip.
        width: wanted, of the upright frame, px.
        height: likewise.
        upright: how it is shown.
    """
    deep = facts.bits > 8
    name = ("rgba64le" if deep else "rgba") if facts.alpha else ("rgb48le" if deep else "rgb24")
    if upright.sideways:
        width, height = height, width
    same = (width, height) == (frame.width, frame.height)
    found = frame.reformat(
        width=width,
        height=height,
        format=name,
        src_colorspace=matrix_of(facts.matrix, frame.height),
        src_color_range=ColorRange.JPEG if facts.full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_SAME_SIZE if same else _RESIZED,
    )
    values = upright.turn(found.to_ndarray()).astype(np.float32)
    white, opaque = _whites(facts.pixel_format, facts.bits)
    values[..., :3] /= white
    if is_grey(facts.pixel_format) and facts.range_known and not facts.full_range:
        # FFmpeg takes grey for full range whatever it says.
        values[..., :3] = (values[..., :3] * 255 - 16) / 219
    values[..., 3:] /= opaque
    np.clip(values, 0, 1, out=values)
    pixels = np.ascontiguousarray(values[..., :3].transpose(2, 0, 1))
    return pixels, np.ascontiguousarray(values[..., 3]) if facts.alpha else None


def _whites(pixel_format: str, bits: int) -> tuple[float, float]:
    """What white and opaque become in FFmpeg's RGB of 8 or 16 bits. Of colours with a matrix, its
    16 bits are 8 with a fraction; what has none is shifted to 16 bits, or repeated to fill them."""
    if bits <= 8:
        return 255.0, 255.0
    if is_rgb(pixel_format):
        return 65535.0, 65535.0
    shifted = float(((1 << bits) - 1) << (16 - bits))
    return (shifted if is_grey(pixel_format) else 65280.0), shifted


def to_frame(
    pixels: NDArray[np.float32],
    alpha: NDArray[np.float32] | None,
    facts: Facts,
    pixel_format: str,
) -> VideoFrame:
    """A frame to encode, in the clip's own matrix and range.

    Args:
        pixels: `(3, H, W)` in [0, 1].
        alpha: `(H, W)` in [0, 1], or `None`; left out where the format holds none.
        facts: of the clip that it is made from.
        pixel_format: of the result.
    """
    deep = facts.bits > 8
    planes = [pixels * np.float32(65280 if deep and not is_rgb(pixel_format) else _most(deep))]
    if alpha is not None and facts.alpha:
        planes.append(alpha[None] * np.float32(_most(deep)))
    values = np.ascontiguousarray(np.concatenate(planes).transpose(1, 2, 0))
    kind: Any = np.uint16 if deep else np.uint8
    values = np.rint(values).astype(kind)
    kept = len(planes) > 1
    name = ("rgba64le" if deep else "rgba") if kept else ("rgb48le" if deep else "rgb24")
    full = full_range_of(facts, pixel_format)
    return VideoFrame.from_ndarray(values, format=name).reformat(
        format=pixel_format,
        dst_colorspace=matrix_of(facts.matrix, pixels.shape[1]),
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        interpolation=_SAME_SIZE,
    )


def _most(deep: bool) -> int:
    return 65535 if deep else 255
