"""The Rijksmuseum, Amsterdam: objects and searches, by its linked-data services; no key is needed.

Documentation: https://data.rijksmuseum.nl/docs/search and /docs/http; the answers follow the Linked
Art model (https://linked.art/model/digital/). An object leads to what it shows, that to a digital
object, and that to the picture; the rights are stated on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from impasto.collect.found import Candidate, Credit, Found, Link
from impasto.collect.licenses import License, recognize

_ENGLISH = "http://vocab.getty.edu/aat/300388277"
_PREFERRED = "http://vocab.getty.edu/aat/300404670"
"""Of several names the one to go by; the others are former ones, or those of exhibitions."""


class Rijksmuseum:
    """The Rijksmuseum.

    Args:
        site: address of its web site.
        data: address of its data services.
        ids: where its identifiers are; each is a number there, and a record in the data services.
    """

    name = "rijksmuseum"

    def __init__(
        self,
        site: str = "https://www.rijksmuseum.nl",
        data: str = "https://data.rijksmuseum.nl",
        ids: str = "https://id.rijksmuseum.nl",
    ) -> None:
        self._site, self._data, self._ids = site, data, ids
        self.interface = (f"{data}/", f"{ids}/")

    def matches(self, url: str) -> bool:
        """Whether an address is that of an object, by number or identifier, or of a search."""
        return bool(self._number(url) or self._object_number(url) or self._is_search(url))

    def start(self, url: str) -> Link:
        """The first question for an object or a search."""
        if number := self._number(url):
            return self._record(number, {"page": url})
        asked = dict(parse_qsl(urlsplit(url).query)) if self._is_search(url) else {}
        if number := self._object_number(url):
            asked["objectNumber"] = number
        query = urlencode({**asked, "imageAvailable": "true"})
        question = f"{self._data}/search/collection?{query}"
        return Link(question, "api", 0, notes={"source": self.name})

    def read(self, value: Any, notes: Mapping[str, str], /) -> Found:
        """The objects that a search found; or what an object shows, and at last its picture."""
        if not isinstance(value, dict):
            return Found(fault="is no answer of the Rijksmuseum's services")
        if "orderedItems" in value:
            return self._results(value)
        known = dict(notes)
        kind = value.get("type")
        # Those of an object are not those of its picture.
        if kind != "HumanMadeObject" and (stated := _rights(value)):
            known |= {"license": stated.id, "license_url": stated.url}
        if kind == "HumanMadeObject":
            known |= {
                "title": _label(value.get("identified_by"), "Name"),
                "author": _maker(value.get("produced_by")),
                "page": known.get("page") or str(value.get("id") or ""),
            }
            return self._further(value.get("shows"), known)
        if kind == "VisualItem":
            return self._further(value.get("digitally_shown_by"), known)
        if kind != "DigitalObject":
            return Found(fault="is a record without a picture")
        credit = Credit(
            known.get("title", "")[:300],
            known.get("author", "")[:300],
            known.get("license", ""),
            known.get("license_url", ""),
        )
        places = (str(place.get("id") or "") for place in _dicts(value.get("access_point")))
        words = f"{credit.title} {credit.author}".strip()
        page = known.get("page", "")
        return Found(tuple(Candidate((p,), words, credit, page) for p in places if p))

    def _results(self, value: dict[str, Any]) -> Found:
        items = _dicts(value.get("orderedItems"))
        numbers = (self._number(str(item.get("id") or "")) for item in items)
        links = [self._record(number, {}) for number in numbers if number]
        for following in _dicts(value.get("next")):
            target = str(following.get("id") or "")
            if target.startswith(f"{self._data}/"):
                links.append(Link(target, "api", 0, notes={"source": self.name}))
        return Found(links=tuple(links))

    def _further(self, value: Any, known: Mapping[str, str]) -> Found:
        numbers = [self._number(str(item.get("id") or "")) for item in _dicts(value)]
        links = tuple(self._record(number, known) for number in numbers if number)
        return Found(links=links, fault="" if links else "is a record without a picture")

    def _record(self, number: str, known: Mapping[str, str]) -> Link:
        asked = urlencode({"_profile": "la", "_mediatype": "application/ld+json"})
        notes = {**known, "source": self.name}
        return Link(f"{self._data}/{number}?{asked}", "api", 0, notes=notes)

    def _number(self, url: str) -> str:
        match = re.fullmatch(rf"{re.escape(self._ids)}/(\d+)/?", url)
        return match[1] if match else ""

    def _object_number(self, url: str) -> str:
        match = re.fullmatch(
            rf"{re.escape(self._site)}/(?:en|nl)/(?:collection|collectie)/([A-Z]{{1,4}}-[\w.-]+)/?",
            url,
        )
        return match[1] if match else ""

    def _is_search(self, url: str) -> bool:
        return url.partition("?")[0] == f"{self._data}/search/collection"


def _rights(value: dict[str, Any]) -> License | None:
    for right in _dicts(value.get("subject_to")):
        texts = [str(c.get("id") or "") for c in _dicts(right.get("classified_as"))]
        texts += [str(n.get("content") or "") for n in _dicts(right.get("identified_by"))]
        for text in texts:
            if stated := recognize(text):
                return stated
    return None


def _label(names: Any, kind: str) -> str:
    """The content of the first entry of a kind, in English and preferred where there is one."""
    found = [n for n in _dicts(names) if n.get("type") == kind and n.get("content")]
    found.sort(
        key=lambda n: (
            all(lang.get("id") != _ENGLISH for lang in _dicts(n.get("language"))),
            all(sort.get("id") != _PREFERRED for sort in _dicts(n.get("classified_as"))),
        )
    )
    content = found[0]["content"] if found else ""
    return "; ".join(map(str, content)) if isinstance(content, list) else str(content)


def _maker(production: Any) -> str:
    """Who made an object, in the words for the whole of it: they say "attributed to" and the like;
    else the names of those who took part."""
    for made in _dicts(production):
        if said := _label(made.get("referred_to_by"), "LinguisticObject"):
            return said
        parts = [*_dicts(made.get("part")), made]
        actors = [actor for part in parts for actor in _dicts(part.get("carried_out_by"))]
        if names := list(dict.fromkeys(name for actor in actors if (name := _name(actor)))):
            return ", ".join(names)
        for part in parts:
            if said := _label(part.get("referred_to_by"), "LinguisticObject"):
                return said
    return ""


def _name(actor: dict[str, Any]) -> str:
    names = sorted(_dicts(actor.get("notation")), key=lambda one: one.get("@language") != "en")
    return str(names[0].get("@value") or "") if names else ""


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    yield from (
        item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)
    )
