"""Open collections that are asked through their documented interfaces, a file each.

A source recognises the addresses that a person would copy from a browser and turns each into a
question to the collection's interface; then it reads the answers, which say more about a picture,
its author and its licence than the page does. To add one, write its file and name it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from impasto.collect.found import Found, Link
from impasto.collect.sources.artic import ArtInstituteOfChicago
from impasto.collect.sources.commons import Commons
from impasto.collect.sources.met import Met
from impasto.collect.sources.rijksmuseum import Rijksmuseum


class Source(Protocol):
    """One open collection."""

    @property
    def name(self) -> str:
        """A word for it."""
        ...

    @property
    def interface(self) -> tuple[str, ...]:
        """How the addresses of its interface begin: what `robots.txt` says does not bind these."""
        ...

    def matches(self, url: str) -> bool:
        """Whether an address is one of this collection, and of a kind that `start` understands."""
        ...

    def start(self, url: str) -> Link:
        """The first question to ask for such an address."""
        ...

    def read(self, value: Any, notes: Mapping[str, str], /) -> Found:
        """What an answer names: pictures with their credits, and further questions.

        Args:
            value: the answer, as parsed JSON; anything, since servers err.
            notes: those of the link that asked it.
        """
        ...


SOURCES: tuple[Source, ...] = (Commons(), Met(), ArtInstituteOfChicago(), Rijksmuseum())
