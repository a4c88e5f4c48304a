"""Every option of a clip, beside those of its frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from impasto.options import MAX_EVALUATIONS, Options, UnfitError, Weight, parse_number


def parse_moments(value: Any) -> tuple[float, ...]:
    """Moments of a clip from `0,12.5`, in seconds, or from a sequence of numbers.

    Raises:
        ValueError: not of that form, not rising, or not from 0 on.
    """
    given = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    try:
        moments = tuple(parse_number(one, 0, 1e6, "a moment") for one in given)
    except TypeError:
        raise UnfitError("moments are written 0,12.5", "form", example="0,12.5") from None
    if any(a >= b for a, b in pairwise(moments)):
        raise ValueError("the moments must rise")
    if moments and moments[0] != 0:
        raise ValueError("the first style begins at 0")
    return moments


Moments = Annotated[
    tuple[float, ...],
    BeforeValidator(parse_moments),
    WithJsonSchema({"type": "string", "examples": ["0,12.5"]}),
]


class VideoOptions(Options):
    """How to repaint a clip, beside what holds for each of its frames. Frozen; unknown names and
    values out of range are refused.

    Raises:
        OptionError: in one line, in the words of the options.
    """

    command: ClassVar[str] = "video"

    start: float = Field(
        default=0.0, ge=0, le=1e6, description="Begin at this moment of the clip, seconds."
    )
    end: float | None = Field(
        default=None, gt=0, le=1e6, description="End before this moment of the clip, seconds."
    )
    rate: float | None = Field(
        default=None,
        ge=0.01,
        le=1000,
        description="Frames per second of a folder of numbered pictures; 25 by default.",
    )
    every: int = Field(
        default=1, ge=1, le=10_000, description="Of so many frames take only the first."
    )
    preview: bool = Field(
        default=False,
        description="Every tenth frame at 256 px at most, for a first look; quickest with --fast.",
    )
    at: Moments = Field(
        default=(),
        description="Moments, in seconds, at which each of the styles begins, such as 0,12.5; "
        "without, several styles are blended.",
    )
    fade: float = Field(
        default=1.0, ge=0, le=3600, description="With --at: seconds of the cross-fade."
    )
    hold: Weight = Field(
        default=40.0,
        description="How strongly a frame is held to those before it, where the flow can be "
        "trusted; 0: every frame for itself.",
    )
    follow: int = Field(
        default=12,
        ge=1,
        le=MAX_EVALUATIONS,
        description="Evaluations of a frame that follows on another one, whose result it begins "
        "with; the first of each scene has --evaluations. Not with --fast.",
    )
    passes: int = Field(
        default=1,
        ge=1,
        le=20,
        description="Times to go through the clip, in turn forward and backward. Not with --fast.",
    )
    codec: Literal["h264", "h265", "vp9", "av1", "ffv1", "prores", "mpeg4"] | None = Field(
        default=None, description="Codec of the result; by default what suits its container."
    )
    crf: int | None = Field(
        default=None,
        ge=0,
        le=63,
        description="Constant quality of the result, less is better; 18 for H.264 by default.",
    )
    sound: bool = Field(default=True, description="Keep the clip's sound and subtitles.")

    @model_validator(mode="after")
    def _check_together(self) -> VideoOptions:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"--end {self.end:g}: must be later than --start {self.start:g}")
        if self.preview and self.every > 1:
            raise ValueError("--preview and --every exclude each other; leave one out")
        if "fade" in self.model_fields_set and not self.at:
            raise ValueError("--fade: acts only with --at; add that, or leave it out")
        return self
