"""The Metropolitan Museum of Art, New York: objects and searches of its open-access collection.

Documentation: https://metmuseum.github.io/. Pictures of works in the public domain are under CC0
(https://www.metmuseum.org/about-the-met/policies-and-documents/open-access); others are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from impasto.collect.found import Candidate, Credit, Found, Link

_CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
_SEARCHED = ("q", "departmentId", "medium", "geoLocation", "dateBegin", "dateEnd")
_MOST = 10_000


class Met:
    """The Met.

    Args:
        site: address of its web site.
        api: address of its interface.
    """

    name = "met"

    def __init__(
        self,
        site: str = "https://www.metmuseum.org",
        api: str = "https://collectionapi.metmuseum.org/public/collection/v1",
    ) -> None:
        self._site, self._api = site, api
        self.interface = (f"{api}/",)

    def matches(self, url: str) -> bool:
        """Whether an address is that of an object, or of a search with words."""
        return url.startswith(f"{self._site}/") and bool(_object(url) or _words(url))

    def start(self, url: str) -> Link:
        """The question for an object or a search."""
        if number := _object(url):
            return self._about(number)
        asked = urlencode({"hasImages": "true", **_words(url)})
        return Link(f"{self._api}/search?{asked}", "api", 0, notes={"source": self.name})

    def read(self, value: Any, _: Mapping[str, str], /) -> Found:
        """The objects that a search found, or the pictures of one object."""
        if not isinstance(value, dict):
            return Found(fault="is no answer of The Met's API")
        if "objectIDs" in value:
            numbers = [n for n in value["objectIDs"] or () if isinstance(n, int)]
            return Found(links=tuple(self._about(str(n)) for n in numbers[:_MOST]))
        if value.get("isPublicDomain") is not True:
            return Found(fault="is not open access")
        credit = Credit(
            title=str(value.get("title") or "")[:300],
            author=str(value.get("artistDisplayName") or "")[:300],
            license="cc0",
            license_url=_CC0,
        )
        words = " ".join(
            str(value.get(key) or "")
            for key in ("title", "artistDisplayName", "objectName", "classification", "medium")
        )
        pictures = [value.get("primaryImage"), *(value.get("additionalImages") or ())]
        page = str(value.get("objectURL") or "")
        return Found(tuple(Candidate((str(p),), words, credit, page) for p in pictures if p))

    def _about(self, number: str) -> Link:
        return Link(f"{self._api}/objects/{number}", "api", 0, notes={"source": self.name})


def _object(url: str) -> str:
    match = re.fullmatch(r"(?:/[a-z]{2})?/art/collection/search/(\d+)/?", urlsplit(url).path)
    return match[1] if match else ""


def _words(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    if not parts.path.rstrip("/").endswith("/art/collection/search") or "q" not in asked:
        return {}
    return {name: asked[name][0] for name in _SEARCHED if name in asked}
