"""Wikimedia Commons: categories and single files, by the MediaWiki action API.

Documentation: https://www.mediawiki.org/wiki/API:Categorymembers, API:Imageinfo; the fields of
`extmetadata` are those of https://www.mediawiki.org/wiki/Extension:CommonsMetadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from impasto.collect.found import Candidate, Credit, Found, Link
from impasto.collect.licenses import recognize
from impasto.collect.pages import plain_text

_FIELDS = "LicenseUrl|License|LicenseShortName|Artist|ObjectName|Attribution"
_RENDERED = 2048
"""Width of the rendered version, px: for drawings, and where the original is too large."""


class Commons:
    """Wikimedia Commons.

    Args:
        site: its address.
    """

    name = "commons"

    def __init__(self, site: str = "https://commons.wikimedia.org") -> None:
        self._site = site
        self.interface = (f"{site}/w/api.php?",)

    def matches(self, url: str) -> bool:
        """Whether an address is that of a category or of a file."""
        return url.startswith((f"{self._site}/wiki/Category:", f"{self._site}/wiki/File:"))

    def start(self, url: str) -> Link:
        """The first question for a category or a file."""
        title = unquote(urlsplit(url).path.removeprefix("/wiki/")).replace("_", " ")
        if title.startswith("File:"):
            return self._question({"titles": title}, 0)
        return self._members(title, 0)

    def read(self, value: Any, notes: Mapping[str, str], /) -> Found:
        """Files with their credits, sub-categories, and the rest of the category."""
        try:
            query, more = value.get("query") or {}, value.get("continue") or {}
            pages = query.get("pages") or []
            pictures = [c for page in pages if (c := _picture(page)) is not None]
            links = [self._members(page["title"], 1) for page in pages if page.get("ns") == 14]
            if more and notes.get("category"):
                links.append(self._members(notes["category"], 0, more))
        except (AttributeError, KeyError, TypeError):
            return Found(fault="is no answer of the MediaWiki API")
        fault = str((value.get("error") or {}).get("info", ""))
        return Found(tuple(pictures), tuple(links), fault[:200])

    def _members(self, title: str, steps: int, more: Mapping[str, str] | None = None) -> Link:
        asked = {
            "generator": "categorymembers",
            "gcmtitle": title,
            "gcmtype": "file|subcat",
            "gcmlimit": "50",
            **(more or {}),
        }
        return self._question(asked, steps, category=title)

    def _question(self, asked: Mapping[str, str], steps: int, **notes: str) -> Link:
        parameters = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "prop": "imageinfo",
            "iiprop": "url|size|mime|extmetadata",
            "iiurlwidth": str(_RENDERED),
            "iiextmetadatafilter": _FIELDS,
            **asked,
        }
        url = f"{self._site}/w/api.php?{urlencode(parameters)}"
        return Link(url, "api", steps, notes={"source": self.name, **notes})


def _picture(page: dict[str, Any]) -> Candidate | None:
    info = (page.get("imageinfo") or [None])[0]
    if info is None or not str(info.get("mime", "")).startswith("image/"):
        return None
    said = {
        key: plain_text(str(entry.get("value", "")))
        for key, entry in (info.get("extmetadata") or {}).items()
    }
    stated = next(
        (
            found
            for key in ("LicenseUrl", "License", "LicenseShortName")
            if (found := recognize(said.get(key, "")))
        ),
        None,
    )
    name = str(page.get("title", "")).removeprefix("File:")
    credit = Credit(
        title=(said.get("ObjectName") or name.rpartition(".")[0])[:300],
        author=said.get("Artist", "")[:300],
        license=stated.id if stated else "",
        license_url=stated.url if stated else "",
        attribution=said.get("Attribution", "")[:500],
    )
    urls = [] if info["mime"] == "image/svg+xml" else [info["url"]]
    if info.get("thumburl"):
        urls.append(info["thumburl"])
    if not urls:
        return None
    # The interface adds parameters for counting, which are no part of the address.
    plain = dict.fromkeys(str(url).partition("?")[0] for url in urls)
    return Candidate(tuple(plain), name, credit, page=str(info.get("descriptionurl", "")))
