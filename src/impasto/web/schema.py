"""What programs send to the studio and get back: the types of its HTTP interface.

Times are seconds since 1970, sides are pixels, and ids are 22 characters that nobody can guess.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from impasto.errors import OptionReason
from impasto.web.entities import NAME_LENGTH, PRESET_NAME_LENGTH, NoteCode, clean_name
from impasto.web.storage import ID_PATTERN

Id = Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
Source = Annotated[
    str,
    Field(
        pattern=rf"^({ID_PATTERN}|(style|sample):[a-z][a-z-]{{0,39}})$",
        description="A picture's id, `style:NAME` or `sample:NAME`.",
        examples=["style:night-sky", "sample:cat"],
    ),
]
Mask = Annotated[
    str,
    Field(
        pattern=rf"^{ID_PATTERN}(#[0-9a-fA-F]{{6}})?$",
        description="A picture's id; of a label picture with the colour meant, as `ID#rrggbb`.",
    ),
]
Label = Annotated[str, Field(max_length=NAME_LENGTH)]


def _visible(text: str) -> str:
    # What looks alike is one name, however it was typed.
    name = unicodedata.normalize("NFC", clean_name(text))
    if not name:
        raise ValueError("is empty; give a name that can be seen")
    if len(name) > PRESET_NAME_LENGTH:  # a few characters become several
        raise ValueError(f"is longer than {PRESET_NAME_LENGTH} characters; shorten it")
    return name


PresetName = Annotated[
    str, Field(min_length=1, max_length=PRESET_NAME_LENGTH), AfterValidator(_visible)
]
MAX_STYLES = 16
MAX_MASKS = 16


class Problem(BaseModel):
    """Why something was not done.

    Attributes:
        code: a name that programs and translations know it by.
        message: one plain line.
        field: the option or part of the request that it is about.
        reason: what is wrong with an option, as a name that programs and translations know it by;
            null where it is too rare for one.
        values: what belongs to the reason: numbers and texts; `other` is another option.
    """

    code: str
    message: str
    field: str | None = None
    reason: OptionReason | None = None
    values: dict[str, str | float] = {}


def without_flags(message: str) -> tuple[str | None, str]:
    """An option's fault in the words of a form: the option that it is about, and the message."""
    match = re.match(r"--([a-z][a-z-]*)([ :])", message)
    field = None if match is None else match[1].replace("-", "_")
    if match is not None and match[2] == ":":
        message = message[match.end() :].strip()
    return field, re.sub(r"--([a-z][a-z-]*)", lambda flag: flag[1].replace("-", " "), message)


class NoteOut(BaseModel):
    """What the owner of a job should know.

    Attributes:
        code: a name that programs and translations know it by; null where an earlier version wrote
            the note.
        message: one plain line.
    """

    code: NoteCode | None
    message: str


class Refusal(BaseModel):
    """The body of every answer that refuses."""

    detail: Problem


class Limits(BaseModel):
    """What the studio takes."""

    upload_bytes: int
    upload_pixels: int
    max_size: int = Field(description="Largest long side of a result, px.")
    max_evaluations: int
    clip_bytes: int = Field(description="Largest clip to take.")
    clip_seconds: float = Field(description="Longest clip to take.")
    queue: int = Field(description="Most unfinished jobs of one visitor.")
    pictures: int = Field(description="Most pictures that one visitor may keep.")
    keep_days: float | None = Field(description="Days until things are deleted; null: never.")


class PreviewsOut(BaseModel):
    """What quick previews there are."""

    built_in: bool = Field(description="Of the built-in styles.")
    any: bool = Field(description="Of any painting, one's own among them.")
    refine: bool = Field(description="Whether the page's jobs begin with what they show.")


class Me(BaseModel):
    """Who asks, and what the studio lets them do."""

    owner_known: bool = Field(description="Whether this browser has been here before.")
    signed_in: bool
    needs_password: bool
    csrf: str = Field(description="Goes into X-Impasto-CSRF with every change.")
    limits: Limits
    shared_gallery: bool
    clips: bool = Field(description="Whether it takes clips: that needs PyAV and OpenCV.")
    previews: PreviewsOut
    version: str
    languages: list[str]


class Login(BaseModel):
    """What to sign in with."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=1024)


class OptionGroup(BaseModel):
    """Options that belong together, as the command line shows them."""

    name: str
    fields: list[str]


class PresetOut(BaseModel):
    """A named set of option values."""

    title: str
    description: str
    options: dict[str, Any]


class OwnPresetIn(BaseModel):
    """Options to keep under a name."""

    model_config = ConfigDict(extra="forbid")

    name: PresetName
    options: dict[str, Any] = Field(
        description="See GET /api/options; what is not given has its default."
    )


class OwnPresetOut(BaseModel):
    """A visitor's own preset."""

    id: Id
    name: str
    options: dict[str, Any]


class PaperOut(BaseModel):
    """A sheet, upright."""

    name: str
    width_mm: float
    height_mm: float


class OptionsOut(BaseModel):
    """Every option that a job takes."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_: dict[str, Any] = Field(alias="schema", description="JSON schema of the options.")
    groups: list[OptionGroup]
    presets: dict[str, PresetOut]
    papers: list[PaperOut]
    defaults: dict[str, Any]


class BuiltIn(BaseModel):
    """A picture that comes with impasto."""

    name: str
    title: str
    description: str
    source: str = Field(description="What a job's request calls it.")
    thumb: str = Field(description="Address of a picture of at most 320 px.")
    view: str = Field(description="Address of a larger one.")


class PictureOut(BaseModel):
    """An upload or a result."""

    id: Id
    kind: Literal["photo", "style", "mask", "result", "clip", "film"]
    name: str
    state: Literal["reading", "ready", "refused"]
    fault: Problem | None
    width: int | None
    height: int | None
    bytes: int | None
    sha256: str | None
    has_alpha: bool | None
    job: Id | None
    created: float
    deleted: float | None


class VideoRequest(BaseModel):
    """How the frames of a clip are painted."""

    model_config = ConfigDict(extra="forbid")

    engine: Literal["network", "optimizer"] = Field(
        default="network",
        description="A transfer network, in parts of a second a frame, or the optimiser, in "
        "minutes.",
    )
    hold: float = Field(
        default=40.0,
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="How strongly a frame is held to those before it; 0: not at all.",
    )
    sound: bool = Field(
        default=True, description="Keep the clip's sound, where a film can hold it."
    )


class JobRequest(BaseModel):
    """What a job is to paint."""

    model_config = ConfigDict(extra="forbid")

    photo: Source = Field(description="What is painted.")
    styles: list[Source] = Field(
        min_length=1, max_length=MAX_STYLES, description="The paintings to paint it like."
    )
    shares: list[Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]] | None = Field(
        default=None, description="Share of each painting; stands for the option style_weights."
    )
    masks: list[Mask] = Field(
        default=[],
        max_length=MAX_MASKS,
        description="Of the photo's regions, white where each is; the option `regions` says how "
        "each is painted; without it, one for each painting in turn.",
    )
    style_masks: list[Mask | None] = Field(
        default=[],
        max_length=MAX_STYLES,
        description="For each painting, in the order of `styles`, the part that lends its style.",
    )
    fine: Source | None = Field(
        default=None, description="A painting that lends all others its fine texture."
    )
    start: Source | None = Field(
        default=None, description="The picture to begin with, in place of the photo."
    )
    coarse: Id | None = Field(
        default=None,
        description="A result to go on from, at a larger size: the `result.id` of a job.",
    )
    refine: bool = Field(
        default=False,
        description="Begin with what a preview shows; where there is none, with the photo.",
    )
    video: VideoRequest | None = Field(
        default=None,
        description="Of a clip as `photo`, which needs it: how its frames are painted. Masks, "
        "`fine`, `start`, `coarse` and `refine` are not for clips.",
    )
    options: dict[str, Any] = Field(
        default={}, description="See GET /api/options; what is not given has its default."
    )
    label: Label = Field(
        default="", description="What its owner calls it; who sees it shared sees this too."
    )
    title: Label = Field(
        default="",
        description="What it is called for its owner alone where there is no label, such as the "
        "names of its pictures; without one, the studio makes it of these.",
    )


class JobChange(BaseModel):
    """What is to be different."""

    model_config = ConfigDict(extra="forbid")

    strength: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    label: Label | None = None
    shared: bool | None = None


class LevelOut(BaseModel):
    """A size that a run works at."""

    width: int
    height: int
    evaluations: int


class ProgressOut(BaseModel):
    """How far a run is. What is not known yet is null."""

    share: float | None = Field(default=None, description="0 to 1.")
    elapsed: float | None = Field(default=None, description="Seconds painted.")
    remaining: float | None = Field(default=None, description="Seconds left, by estimate.")
    level: int | None = None
    levels: list[LevelOut] = []
    evaluation: int | None = None
    evaluations_done: int | None = None
    width: int | None = None
    height: int | None = None
    loss: float | None = None
    content: float | None = None
    style: float | None = None
    frames: int | None = Field(default=None, description="Of a clip, in about.")
    frames_done: int | None = Field(default=None, description="Of a clip: frames that are painted.")
    version: int | None = Field(default=None, description="Of the live picture.")


class ResultOut(BaseModel):
    """The picture that a job made."""

    id: Id
    width: int
    height: int


class JobOut(BaseModel):
    """One run, asked for, under way or over."""

    id: Id
    label: str = Field(description="What its owner typed; else empty.")
    title: str = Field(description="What it is called for its owner alone without a label.")
    state: Literal["queued", "running", "paused", "done", "cancelled", "failed", "set_aside"]
    fault: Problem | None
    note: NoteOut | None
    place: int | None = Field(description="In the queue; 1 is next.")
    request: dict[str, Any] = Field(description="As it was asked for; see JobRequest.")
    wanted: Literal["pause", "cancel"] | None = Field(
        description="What was asked for and its painter will do next."
    )
    progress: ProgressOut | None
    result: ResultOut | None
    strength: float | None = Field(description="As changed since it was asked for.")
    shared: bool
    crashes: int = Field(description="How often its painter died while it ran.")
    created: float = Field(description="Seconds since 1970, as are the other times.")
    started: float | None
    finished: float | None
    deleted: float | None


class JobsOut(BaseModel):
    """Some of the jobs, newest first."""

    jobs: list[JobOut]
    next: str | None = Field(description="Goes into `before` for those after them.")


class SharedJob(BaseModel):
    """A result that its owner shows to everybody. `/api/jobs/ID/thumb` and `/view` show it."""

    id: Id
    label: str
    width: int
    height: int
    styles: list[str] = Field(description="The built-in styles among its paintings.")
    options: dict[str, Any]
    finished: float | None
    mine: bool


class SharedOut(BaseModel):
    """Some of the shared results, newest first."""

    jobs: list[SharedJob]
    next: str | None


class LossesOut(BaseModel):
    """The course of a run: one number of each list per evaluation."""

    evaluation: list[int]
    loss: list[float | None]
    content: list[float | None]
    style: list[float | None]


class Health(BaseModel):
    """Whether the studio works."""

    status: Literal["ok", "degraded"]
    version: str
    records: bool = Field(description="Whether they can be read and written.")
    room: bool = Field(description="Whether the disk has room for uploads.")
    reader: bool
    painters: dict[str, str]
