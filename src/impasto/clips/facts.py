"""What is known of a clip and of its frames; plain data."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a clip.

    Attributes:
        number: of the frame among those that were read, from 0.
        time: when it is shown, seconds; exact.
        duration: until the next one is shown, seconds; of the last one 0 where the clip does not
            say.
        pixels: float32 `(3, H, W)`, in [0, 1], upright, with square pixels.
        alpha: float32 `(H, W)` in [0, 1], or `None`.
    """

    number: int
    time: Fraction
    duration: Fraction
    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Span:
    """The part of a clip that is wanted.

    Attributes:
        start: first moment, seconds.
        end: the moment before which it ends, seconds; `None`: the clip's end.
        every: of so many frames the first is taken.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1

    @property
    def whole(self) -> bool:
        """Whether nothing is cut off."""
        return self.start == 0 and self.end is None


@dataclass(frozen=True)
class Facts:
    """What a clip is.

    Attributes:
        width: of the upright frames with square pixels, px.
        height: likewise.
        time_base: the unit of its times, seconds.
        rate: frames per second on average, or `None`.
        frames: how many there are in about; `None` where the clip does not say.
        duration: seconds, in about; `None` likewise.
        bits: bits per channel.
        pixel_format: FFmpeg's name of how it stores pixels.
        matrix: number of its colour matrix in ITU-T H.273; 2 where it is not known.
        full_range: whether black and white are the ends of the number range.
        range_known: whether the clip says so.
        primaries: number of its primaries in H.273.
        transfer: number of its transfer characteristic in H.273.
        alpha: whether it has transparency.
        loop: how often an animation is shown in all, 0 for ever; `None` for other clips.
        others: kind and codec of what goes along with the frames, such as `("audio", "aac")`.
        unknown: kinds of what does too, but cannot be copied, since FFmpeg does not know its codec.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction | None = None
    frames: int | None = None
    duration: float | None = None
    bits: int = 8
    pixel_format: str = "yuv420p"
    matrix: int = 2
    full_range: bool = False
    range_known: bool = False
    primaries: int = 2
    transfer: int = 2
    alpha: bool = False
    loop: int | None = None
    others: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
