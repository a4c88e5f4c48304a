"""What to collect, how far to go and how politely: every option once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from impasto.options import option_error

LICENSES = ("cc0", "pd", "by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
"""Marks and licences that are recognised: CC0, the public domain, and the six of Creative Commons
(https://creativecommons.org/share-your-work/cclicenses/) without their prefix."""

FORMATS = ("jpeg", "png", "webp", "tiff", "avif", "gif", "heic", "heif", "jxl", "ppm")
"""Formats that a picture can be in, by the names of `Entry.format`."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def _parse_bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{0,9})?)\s*([kmgt]?)b?\s*", value.lower())
    if not match:
        raise ValueError(f"'{value[:40]}' is no amount of data; write it like 500MB")
    return int(float(match[1]) * _UNITS[match[2]])


def _show_bytes(value: int) -> str:
    for unit in "TGMk":
        size = _UNITS[unit.lower()]
        if value >= size and value % size == 0:
            return f"{value // size}{unit}B"
    return str(value)


Bytes = Annotated[
    int,
    BeforeValidator(_parse_bytes),
    PlainSerializer(_show_bytes, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}], "examples": ["500MB"]}),
]


def _parse_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    words = tuple(word for part in value.split(",") if (word := part.strip().lower()))
    if not words:
        # It would choose everything, which nobody asks for by naming the option.
        raise ValueError("it is empty; name at least one, or leave the option out")
    return words


def _show_list(value: tuple[str, ...]) -> str:
    return ",".join(value)


Words = Annotated[
    tuple[str, ...],
    BeforeValidator(_parse_list),
    PlainSerializer(_show_list, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["sunset,beach"]}),
]


class CollectOptions(BaseModel):
    """What to gather. Frozen; unknown names and values out of range are refused.

    Raises:
        OptionError: in one line, in the words of the options.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int = Field(
        default=0, ge=0, le=20, description="Links within the site to follow from the first page."
    )
    pagination: bool = Field(
        default=True, description="Follow next-page links too, which take no depth."
    )
    max_pages: int = Field(
        default=200, ge=1, description="Most pages, feeds and API answers to read in all."
    )
    max_pictures: int | None = Field(
        default=None, ge=1, description="Stop once this many pictures are kept."
    )
    max_bytes: Bytes = Field(
        default=2 * 10**9, ge=1, description="Most data to receive in all, such as 500MB."
    )
    max_time: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Stop after this many seconds."
    )
    min_size: int = Field(default=256, ge=1, description="Least short side of a picture, px.")
    max_size: int | None = Field(
        default=None, ge=1, description="Greatest long side of a picture, px."
    )
    min_aspect: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Least width divided by height."
    )
    max_aspect: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Greatest width divided by height."
    )
    formats: Words = Field(
        default=(), description="Formats to keep, such as jpeg,png; by default all that are read."
    )
    min_colorfulness: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="Least colourfulness: 0 is grey, 15 slight, 33 moderate, 59 high.",
    )
    max_colorfulness: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Greatest colourfulness."
    )
    words: Words = Field(
        default=(), description="Keep only pictures with one of these words in their text or name."
    )
    without_words: Words = Field(
        default=(), description="Leave out pictures with one of these words in their text or name."
    )
    license: Words = Field(
        default=(),
        description=f"Keep only pictures under these: {', '.join(LICENSES)}.",
    )
    duplicates: Literal["best", "all"] = Field(
        default="best",
        description="Of near-duplicates keep the best one, or all; the same file comes once.",
    )
    max_file: Bytes = Field(
        default=50 * 10**6, ge=1, description="Largest picture file to receive, such as 20MB."
    )
    max_megapixels: float = Field(
        default=100.0, gt=0, le=10_000, description="Largest picture to decode, megapixels."
    )
    delay: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="Least seconds between two requests to a host; robots.txt may ask for more.",
    )
    hosts: int = Field(
        default=4, ge=1, le=64, description="Hosts to ask side by side, each one request at a time."
    )
    timeout: float = Field(
        default=60.0, gt=0, le=3600, description="Most seconds for one answer, from first to last."
    )
    attempts: int = Field(
        default=4, ge=1, le=20, description="Tries for an address whose server fails or is busy."
    )
    contact: str = Field(
        default="",
        max_length=200,
        description="Mail or web address that servers are told, so that they can reach you.",
    )
    allow_private: bool = Field(
        default=False,
        description="Also ask private, loopback and link-local addresses, such as your own server.",
    )

    if not TYPE_CHECKING:  # type checkers make a better signature of the fields

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise option_error(error) from None

    @model_validator(mode="after")
    def _check(self) -> CollectOptions:
        for flag, given, known in (
            ("--license", self.license, LICENSES),
            ("--formats", self.formats, FORMATS),
        ):
            for word in given:
                if word not in known:
                    raise ValueError(f"{flag}: '{word[:40]}' is unknown; use {', '.join(known)}")
        for low, high in (
            ("min_size", "max_size"),
            ("min_aspect", "max_aspect"),
            ("min_colorfulness", "max_colorfulness"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                flags = (
                    f"--{low.replace('_', '-')} {least:g} and --{high.replace('_', '-')} {most:g}"
                )
                raise ValueError(f"{flags} leave nothing; lower the first or raise the second")
        # It goes into a header line.
        if not self.contact.isascii() or not self.contact.isprintable():
            raise ValueError("--contact: use plain ASCII, such as you@example.org")
        return self

    @property
    def user_agent(self) -> str:
        """What servers are told: the program, and whom to ask about it."""
        from impasto import __version__

        about = "picture collector run by a person"
        return f"impasto/{__version__} ({about}{'; ' * bool(self.contact)}{self.contact})"


BUDGETS = ("max_pages", "max_pictures", "max_bytes", "max_time", "hosts", "timeout", "attempts")
"""Options that say when to stop and how to ask: they may change when a collection goes on."""
MANNERS = ("delay", "contact", "allow_private")
