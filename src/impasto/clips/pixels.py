"""Between FFmpeg's frames and arrays, with the clip's own colour matrix and range."""

from __future__ import annotations

from typing import Any

import numpy as np
from av import VideoFrame
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

WHITE = {8: 255.0, 16: 65280.0}
"""What white is in FFmpeg's RGB of 8 and of 16 bits: its 16 bits are 8 with a fraction."""

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


def matrix_of(number: int, height: int) -> Colorspace:
    """The matrix of a number of H.273. Where the clip does not say, the one that players take: that
    of standard television up to 576 rows, that of high definition above."""
    return _MATRICES.get(number, Colorspace.ITU601 if height <= 576 else Colorspace.ITU709)


def to_arrays(
    frame: VideoFrame, facts: Facts, width: int, height: int, turns: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Pixels `(3, H, W)` and alpha `(H, W)` of a decoded frame.

    Args:
        frame: as it was decoded.
        facts: of its clip.
        width: wanted, of the upright frame, px.
        height: likewise.
        turns: quarter turns counterclockwise that make it upright.
    """
    deep = facts.bits > 8
    name = ("rgba64le" if deep else "rgba") if facts.alpha else ("rgb48le" if deep else "rgb24")
    if turns % 2:
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
    values = np.rot90(found.to_ndarray(), turns).astype(np.float32)
    values /= WHITE[16 if deep else 8]
    np.clip(values, 0, 1, out=values)
    pixels = np.ascontiguousarray(values[..., :3].transpose(2, 0, 1))
    return pixels, np.ascontiguousarray(values[..., 3]) if facts.alpha else None


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
    kept = alpha is not None and facts.alpha
    values = np.concatenate([pixels, alpha[None]]) if alpha is not None and kept else pixels
    values = np.ascontiguousarray(values.transpose(1, 2, 0))
    kind: Any = np.uint16 if deep else np.uint8
    values = np.rint(values * WHITE[16 if deep else 8]).astype(kind)
    name = ("rgba64le" if deep else "rgba") if kept else ("rgb48le" if deep else "rgb24")
    frame = VideoFrame.from_ndarray(values, format=name)
    full = facts.full_range or pixel_format.startswith(("rgb", "gbr", "bgr", "pal"))
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=matrix_of(facts.matrix, pixels.shape[1]),
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        interpolation=_SAME_SIZE,
    )
