"""What the records of the studio give out: plain frozen dataclasses, and their faults.

Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from impasto.errors import ImpastoError

NAME_LENGTH = 120
"""Longest name or label; the rest is cut off."""

PRESET_NAME_LENGTH = 60
"""Longest name of a visitor's own preset."""

PictureKind = Literal["photo", "style", "mask", "result", "clip", "film"]
PictureState = Literal["reading", "ready", "refused"]
JobState = Literal["queued", "running", "paused", "done", "cancelled", "failed", "set_aside"]
Wanted = Literal["pause", "cancel"]
NoteCode = Literal[
    "began_anew",
    "keeps_strength",
    "less_memory",
    "no_room",
    "no_room_at_end",
    "unsaved",
    "unwritten",
]
"""What a painter has to say of a job, as a key for translations."""

PICTURE_KINDS: tuple[str, ...] = get_args(PictureKind)
JOB_STATES: tuple[str, ...] = get_args(JobState)
NOTE_CODES: tuple[str, ...] = get_args(NoteCode)
ACTIVE: tuple[str, ...] = ("queued", "running", "paused")
"""States of a job that is not over."""


class RecordsError(ImpastoError):
    """What was asked of the records cannot be done; `code` is a key for translations."""

    code = "records"


class MissingError(RecordsError):
    """There is no such owner, picture, job or preset."""

    code = "missing"


class StateError(RecordsError):
    """The picture or job is in a state that does not allow it."""

    code = "state"


class NameTakenError(StateError):
    """Another preset of the owner's has that name."""

    code = "name_taken"


class PresetsFullError(StateError):
    """The owner has as many presets as one may have."""

    code = "too_many_presets"


class QueueFullError(RecordsError):
    """The owner has as many jobs that are not over as one may have."""

    code = "queue_full"


@dataclass(frozen=True)
class Fault:
    """Why something did not come about: a key for translations, and one plain line.

    Of an option, `reason` is what is wrong with it, as a key, and `values` what belongs to that.
    """

    code: str
    message: str
    reason: str | None = None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """What the owner of a job should know: a key for translations, and one plain line.

    The key of a note that an earlier impasto wrote is not known: `None`.
    """

    code: NoteCode | None
    message: str


@dataclass(frozen=True)
class Owner:
    """One browser, or one program's token."""

    id: str
    created: float
    seen: float


@dataclass(frozen=True)
class Picture:
    """An upload or a result.

    Attributes:
        id: unguessable.
        owner: whose it is.
        kind: `photo`, `style`, `mask` or `clip` of an upload, `result` or `film` of a job's.
        name: what its owner calls it; a label only.
        state: `reading` until the reader has looked at it, then `ready` or `refused`.
        fault: why it was refused.
        width: px, upright; `None` while unknown, as are the next.
        height: px.
        bytes: size of the source or the master.
        sha256: of the source, as hexadecimal digits.
        has_alpha: whether anything in it is transparent.
        job: which made it, for a result.
        created: when it was added.
        deleted: when its owner deleted it; it can be restored until it is purged.
    """

    id: str
    owner: str
    kind: PictureKind
    name: str
    state: PictureState
    fault: Fault | None
    width: int | None
    height: int | None
    bytes: int | None
    sha256: str | None
    has_alpha: bool | None
    job: str | None
    created: float
    deleted: float | None


@dataclass(frozen=True)
class Job:
    """One run, asked for, under way or over.

    Attributes:
        id: unguessable.
        owner: whose it is.
        label: what its owner calls it; empty where they have not said.
        state: see the module.
        request: `photo`, `styles`, `masks`, `style_masks`, `fine`, `start`, `coarse`, `options`;
            of a clip `video`; `title` is what it is called for its owner alone where there is no
            label.
        strength: that was asked for since; `None`: that of the options.
        wanted: what its painter is asked to do with it next.
        device: that it runs on, or ran on last.
        crashes: how often its painter died while it ran.
        fault: why it failed or was set aside.
        note: what its owner should know, such as that it began anew; `None`: nothing.
        progress: how far it is, as last written down: plain data of the painter's.
        losses: `[evaluation, loss, content, style]` of its evaluations so far; empty in a `Page`.
        result: id of the picture it made.
        shared: whether its owner shows it in the shared gallery.
        created: when it was asked for.
        started: when it was taken first.
        finished: when it was over; `None` until then.
        deleted: when its owner deleted it; it can be restored until it is purged.
    """

    id: str
    owner: str
    label: str
    state: JobState
    request: dict[str, Any]
    strength: float | None
    wanted: Wanted | None
    device: str | None
    crashes: int
    fault: Fault | None
    note: Note | None
    progress: dict[str, Any] | None
    losses: list[list[float | None]]
    result: str | None
    shared: bool
    created: float
    started: float | None
    finished: float | None
    deleted: float | None

    @property
    def title(self) -> str:
        """What its owner sees it called: the label, else words from the names of its pictures,
        which are nobody else's business.
        """
        return self.label or str(self.request.get("title", ""))

    @property
    def over(self) -> bool:
        """Whether it will not go on by itself: it is neither queued, running nor paused."""
        return self.state not in ACTIVE


@dataclass(frozen=True)
class OwnPreset:
    """Options that their owner keeps under a name.

    Attributes:
        id: among those of its owner.
        name: which no other preset of its owner's has.
        options: that differ from the defaults.
    """

    id: str
    name: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Page:
    """Some of the jobs, newest first.

    Attributes:
        jobs: at most as many as were asked for.
        next: what to give as `before` for those after them; `None`: there are none.
    """

    jobs: list[Job]
    next: str | None


@dataclass(frozen=True)
class Counts:
    """How much there is, for measuring."""

    jobs: dict[str, int]
    pictures: dict[str, int]
    owners: int
    bytes: int


@dataclass(frozen=True)
class Purged:
    """Ids of what has no record any more, whose files may go."""

    pictures: list[str]
    jobs: list[str]


def moves(job: Job) -> bool:
    """Whether a job paints a clip."""
    return job.request.get("video") is not None


def named_pictures(request: Mapping[str, Any]) -> list[str]:
    """Ids of the pictures that a job's request names; not `style:…` and `sample:…`."""
    names: list[Any] = [request.get(key) for key in ("photo", "fine", "start", "coarse")]
    for key in ("styles", "masks", "style_masks"):
        names.extend(request.get(key) or ())
    # A label picture's mask is `ID#rrggbb`.
    return [name.partition("#")[0] for name in names if name and ":" not in name]


_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Characters that print as nothing though they are letters, marks or symbols: the blank Braille
pattern, and those with Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties.txt) that stand
for no form of the letter before them."""


def clean_name(text: str) -> str:
    """A name as it may be shown: one line without invisible characters, at most `NAME_LENGTH`."""
    text = "".join(c if c.isprintable() and c not in _BLANK else " " for c in text)
    return " ".join(text.split())[:NAME_LENGTH].rstrip()
