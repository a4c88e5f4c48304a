"""The Art Institute of Chicago: artworks and searches, by its API and its IIIF image service.

Documentation: https://api.artic.edu/docs/. Pictures of works in the public domain are under CC0;
others are left out. The widths are those that the documentation asks visitors to use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from impasto.collect.found import Candidate, Credit, Found, Link

_CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
_FIELDS = (
    "id,title,artist_title,image_id,alt_image_ids,is_public_domain,thumbnail,classification_title"
)
_WIDTHS = (1686, 843)
_PAGE = 100
_MOST = 10_000
"""Results of a search that the interface gives at most."""


class ArtInstituteOfChicago:
    """The Art Institute of Chicago.

    Args:
        site: address of its web site.
        api: address of its interface.
    """

    name = "artic"

    def __init__(
        self, site: str = "https://www.artic.edu", api: str = "https://api.artic.edu/api/v1"
    ) -> None:
        self._site, self._api = site, api
        self.interface = (f"{api}/",)

    def matches(self, url: str) -> bool:
        """Whether an address is that of an artwork, or of a search with words."""
        return url.startswith(f"{self._site}/") and bool(_artwork(url) or _words(url))

    def start(self, url: str) -> Link:
        """The question for an artwork or a search."""
        notes = {"source": self.name}
        if number := _artwork(url):
            asked = f"{self._api}/artworks/{number}?{urlencode({'fields': _FIELDS})}"
            return Link(asked, "api", 0, notes=notes)
        return self._search(_words(url), 1)

    def read(self, value: Any, notes: Mapping[str, str], /) -> Found:
        """The pictures of an artwork or of a page of results, and the next page."""
        try:
            data, images = value["data"], str(value["config"]["iiif_url"]).rstrip("/")
            works = data if isinstance(data, list) else [data]
            pictures = [p for work in works for p in self._pictures(work, images)]
            paging = value.get("pagination") or {}
            page, last = int(paging.get("current_page", 1)), int(paging.get("total_pages", 1))
        except (AttributeError, KeyError, TypeError, ValueError):
            return Found(fault="is no answer of the Art Institute's API")
        links = []
        if notes.get("words") and page < last and (page + 1) * _PAGE <= _MOST:
            links.append(self._search(notes["words"], page + 1))
        fault = "" if pictures or isinstance(data, list) else "is not open access"
        return Found(tuple(pictures), tuple(links), fault)

    def _pictures(self, work: dict[str, Any], images: str) -> list[Candidate]:
        if work.get("is_public_domain") is not True:
            return []
        credit = Credit(
            title=str(work.get("title") or "")[:300],
            author=str(work.get("artist_title") or "")[:300],
            license="cc0",
            license_url=_CC0,
        )
        said = str((work.get("thumbnail") or {}).get("alt_text") or "")
        words = f"{credit.title} {credit.author} {said} {work.get('classification_title') or ''}"
        page = f"{self._site}/artworks/{work['id']}"
        names = [work.get("image_id"), *(work.get("alt_image_ids") or ())]
        return [
            Candidate(
                tuple(f"{images}/{name}/full/{width},/0/default.jpg" for width in _WIDTHS),
                words.strip(),
                credit,
                page,
            )
            for name in names
            if name
        ]

    def _search(self, words: str, page: int) -> Link:
        asked = {
            "q": words,
            "query[term][is_public_domain]": "true",
            "fields": _FIELDS,
            "limit": str(_PAGE),
            "page": str(page),
        }
        url = f"{self._api}/artworks/search?{urlencode(asked)}"
        return Link(url, "api", 0, notes={"source": self.name, "words": words})


def _artwork(url: str) -> str:
    match = re.match(r"/artworks/(\d+)(?:/|$)", urlsplit(url).path)
    return match[1] if match else ""


def _words(url: str) -> str:
    parts = urlsplit(url)
    return parse_qs(parts.query).get("q", [""])[0] if parts.path.startswith("/collection") else ""
