"""Recognises Creative Commons licences and public-domain marks, by address or by name.

Only statements that say nothing else count: "Public domain" is one, "not in the public domain" is
none, nor is one that adds an exception. Whatever is not recognised is taken as all rights reserved.

Source: the addresses and names of Creative Commons, https://creativecommons.org/licenses/list.en,
and the sentence that its licence chooser gives, https://creativecommons.org/choose/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from impasto.collect.options import LICENSES

_ADDRESS = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?creativecommons\.org/"
    r"(?:licenses/(?P<kind>[a-z-]+)|publicdomain/(?P<mark>zero|mark))(?:/(?P<version>\d\.\d))?"
    r"(?:/(?:[a-z]{2,3}|scotland))?(?:/(?:deed|legalcode)(?:\.[\w-]+)?|/rdf)?/?(?:[?#]\S*)?",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"(?:cc|creative commons)[\s_:-]*(?P<kind>by(?:[\s_-]+(?:nc|nd|sa))*)"
    r"(?:[\s_-]+v?(?P<version>\d\.\d)(?:[\s_-]+(?:[a-z]{2}|igo|international|generic|unported))?)?",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?P<cc>cc |creative commons )?attribution(?P<rest>(?:[\s-]+(?:non[\s-]?commercial|"
    r"no[\s-]?deriv(?:ative)?s?(?:[\s-]works)?|share[\s-]?alike))*)"
    r"(?:[\s-]+(?P<version>\d\.\d))?(?:[\s-]+(?:international|generic|unported))*",
    re.IGNORECASE,
)
_ZERO = re.compile(
    r"(?:cc|creative commons)[\s_-]*(?:0|zero)(?:[\s_-]+(?:v?1\.0|universal|public domain|"
    r"dedication))*|(?:creative commons )?public domain dedication",
    re.IGNORECASE,
)
_PUBLIC_DOMAIN = re.compile(
    r"(?:in the |cc |creative commons )?public[\s-]domain(?: mark)?(?: 1\.0)?"
    # The templates of Wikimedia Commons, such as PD-old-100.
    r"|pdm?(?:-(?:old|art|scan|self|user|author|mark|us|usgov|expired|\d{2,4}))*(?: 1\.0)?"
    r"|publiek domein|domaine public|gemeinfrei|dominio p[uú]blico",
    re.IGNORECASE,
)

# What a sentence may say around a licence without changing it.
_LEAD = re.compile(
    r"\A(?:(?:licen[cs]e|rights)\s*:\s*)?"
    r"(?:(?:(?:this|the)\s+)?(?:work|image|picture|photo|photograph|file)\s+is\s+)?"
    r"(?:(?:licen[cs]ed|released|published|available)(?:\s+to\s+the\s+public)?\s+"
    r"(?:under|with)(?:\s+the\s+terms\s+of)?)?\s*(?:(?:an?|the)(?:\s+|$))?",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"(?:\s*\blicen[cs]e)?[\s.,:;-]*"
    r"(?:to\s+view\s+a\s+copy\s+of\s+this\s+licen[cs]e,?\s+(?:visit|see))?"
    r"(?:\s*or\s+send\s+a\s+letter\s+to\s+creative\s+commons,[\w\s,]*)?\Z",
    re.IGNORECASE,
)
_PUNCTUATION = " .,:;()[]<>\"'©"
_RESERVED = re.compile(
    r"all rights (?:are )?reserved|alle rechte(?:n)? vo(?:rbehalten|orbehouden)"
    r"|tous droits r[ée]serv[ée]s|todos los derechos reservados|tutti i diritti riservati",
    re.IGNORECASE,
)

_STRICTNESS = ("pd", "cc0", "by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
"""From the most to the least permissive, by https://creativecommons.org/share-your-work/cclicenses/
for the licences."""


@dataclass(frozen=True)
class License:
    """A recognised licence or mark.

    Attributes:
        id: one of `options.LICENSES`.
        url: the address that states it; made where only a name was given.
    """

    id: str
    url: str


def recognize(statement: str) -> License | None:
    """The licence that an address or a name states, alone or in the sentence that Creative Commons
    proposes; `None` where it states none that is known, more than one, or something else besides.
    """
    words = statement.split()
    if not words or len(statement) > 400:
        return None
    stated: list[License | None] = []
    plain: list[str] = []
    for word in words:
        if match := _ADDRESS.fullmatch(word.strip(_PUNCTUATION)):
            stated.append(_addressed(match))
        else:
            plain.append(word)
    rest = " ".join(plain).strip(_PUNCTUATION)
    rest = _TAIL.sub("", _LEAD.sub("", rest, count=1), count=1)
    # As in "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication".
    for part in re.split(r"[()]", rest.strip(_PUNCTUATION)):
        if part.strip(_PUNCTUATION) or not stated:
            stated.append(_named(part.strip(_PUNCTUATION)))
    if None in stated or len({one.id for one in stated if one}) != 1:
        return None
    return stated[0]


def reserves(statement: str) -> bool:
    """Whether a statement says that all rights are reserved."""
    return bool(_RESERVED.search(" ".join(statement.split())))


def strictest(licenses: Iterable[License]) -> License | None:
    """Of several licences that are stated for one thing the one that permits least; the first of
    those that permit the same; `None` of none."""
    return max(licenses, key=lambda one: _STRICTNESS.index(one.id), default=None)


def agreed(stated: Iterable[License | None]) -> License | None:
    """What all that is stated for one thing allows: the strictest licence; `None` where one of the
    statements is none that is known, or where there are none."""
    every = list(stated)
    known = [one for one in every if one is not None]
    return strictest(known) if len(known) == len(every) else None


def _addressed(match: re.Match[str]) -> License | None:
    if match["mark"]:
        id = "cc0" if match["mark"].lower() == "zero" else "pd"
    else:
        id = _normal(match["kind"])
    path = match[0][match[0].lower().index("creativecommons.org") :]
    scheme = "http" if match[0].lower().startswith("http:") else "https"
    return License(id, f"{scheme}://{path}") if id else None


def _named(name: str) -> License | None:
    if _ZERO.fullmatch(name):
        return License("cc0", _address("cc0", None))
    if match := _CODE.fullmatch(name):
        id = _normal(match["kind"])
        return License(id, _address(id, match["version"])) if id else None
    if (match := _NAME.fullmatch(name)) and (match["rest"] or match["version"] or match["cc"]):
        rest = match["rest"].lower().replace("-", " ")
        parts = ["by"]
        parts += ["nc"] * bool(re.search(r"\bnon", rest)) + ["nd"] * bool(
            re.search(r"\bno ?d", rest)
        )
        parts += ["sa"] * ("share" in rest)
        id = _normal("-".join(parts))
        return License(id, _address(id, match["version"])) if id else None
    if _PUBLIC_DOMAIN.fullmatch(name):
        return License("pd", _address("pd", None))
    return None


def label(id: str, url: str) -> str:
    """A licence as people write it: `CC BY-SA 4.0`, `CC0 1.0`, `public domain`; empty for none."""
    if not id:
        return ""
    if id == "pd":
        return "public domain"
    version = re.search(r"/(\d\.\d)(?:/|$)", url)
    name = "CC0" if id == "cc0" else f"CC {id.upper()}"
    return f"{name} {version[1]}" if version else name


def attribution(title: str, author: str, id: str, url: str, page: str) -> str:
    """The line to print beneath a picture: title, author, source and licence, as Creative Commons
    recommends (https://wiki.creativecommons.org/wiki/Recommended_practices_for_attribution)."""
    head = f'"{title}"' if title else "Untitled"
    if author:
        head += f" by {author}"
    return ", ".join(part for part in (head, label(id, url), page) if part)


def _normal(kind: str) -> str:
    """The usual order of a licence's parts; empty for what is none of the eight."""
    parts = [part for part in re.split(r"[\s_-]+", kind.lower()) if part]
    if parts == ["publicdomain"]:
        return "pd"
    made = (
        "-".join(sorted(parts, key=["by", "nc", "nd", "sa", "pd"].index))
        if set(parts) <= {"by", "nc", "nd", "sa", "pd"}
        else ""
    )
    return made if made in LICENSES else ""


def _address(id: str, version: str | None) -> str:
    if id == "cc0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    if id == "pd":
        return "https://creativecommons.org/publicdomain/mark/1.0/"
    # Without a version, the page that lists them all.
    return f"https://creativecommons.org/licenses/{id}/{version + '/' if version else ''}"
