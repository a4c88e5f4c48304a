"""What a page, feed or record names: pictures with their credits, and where to read on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), " ")


def clean(text: str) -> str:
    """A text in one line that can be written anywhere: no control characters, no line ends of any
    kind, and `?` in place of halves of characters, which JSON may hold (RFC 8259, section 8.2)."""
    whole = text.encode("utf-8", "replace").decode()
    return " ".join(whole.translate(_CONTROLS).split())


@dataclass(frozen=True)
class Credit:
    """What is said about a picture, each by `clean`; empty where nothing is.

    Attributes:
        title: its name.
        author: who made it.
        license: one of `options.LICENSES`.
        license_url: the address of the licence, or of the statement.
        attribution: the line its source asks for; made from the others where it asks for none.
    """

    title: str = ""
    author: str = ""
    license: str = ""
    license_url: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        for name, text in vars(self).items():
            object.__setattr__(self, name, clean(text))


@dataclass(frozen=True)
class Candidate:
    """One picture that something named.

    Attributes:
        urls: addresses of it, the largest variant first; the others are asked if that one fails.
        words: alternative text and the like, which the word filters search.
        credit: what is said about it.
        page: where a person can see it; empty for the page that named it.
    """

    urls: tuple[str, ...]
    words: str = ""
    credit: Credit = field(default_factory=Credit)
    page: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", clean(self.words))


@dataclass(frozen=True)
class Link:
    """Something more to read.

    Attributes:
        url: its address.
        kind: a page (or feed, sitemap, manifest), an answer of a documented API, or a style sheet.
        steps: how much depth it takes: 1 a link, 0 a next page, a part of a sitemap or a record.
        pagination: it is the next page of the one that named it.
        notes: what its reader needs to know, such as the source it belongs to.
    """

    url: str
    kind: Literal["page", "api", "style"] = "page"
    steps: int = 1
    pagination: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """All that one answer named.

    Attributes:
        pictures: candidates, in their order.
        links: what to read next, in its order.
        fault: why nothing could be read from it; empty where something could.
    """

    pictures: tuple[Candidate, ...] = ()
    links: tuple[Link, ...] = ()
    fault: str = ""
