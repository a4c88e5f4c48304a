"""Recognises Creative Commons licences and public-domain marks, by address or by name.

Only statements that say nothing else count: "Public domain" is one, "not in the public domain" is
none. Whatever is not recognised is taken as all rights reserved.

Source: the addresses and names of Creative Commons, https://creativecommons.org/licenses/list.en.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from impasto.collect.options import LICENSES

_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses/(?P<kind>[a-z-]+)|publicdomain/(?P<mark>zero|mark))"
    r"(?:/(?P<version>\d\.\d))?",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"(?:cc|creative commons)[\s_:-]*(?P<kind>by(?:[\s_-]+(?:nc|nd|sa))*)"
    r"(?:[\s_-]+v?(?P<version>\d\.\d))?(?:[\s_-]+[a-z]{2,5})?",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"(?:the )?(?P<cc>cc |creative commons )?attribution(?P<rest>(?:[\s-]+(?:non[\s-]?commercial|"
    r"no[\s-]?deriv(?:ative)?s?(?:[\s-]works)?|share[\s-]?alike))*)"
    r"(?:[\s-]+(?P<version>\d\.\d))?(?:[\s-]+(?:international|generic|unported|license))*",
    re.IGNORECASE,
)
_ZERO = re.compile(
    r"(?:cc|creative commons)[\s_-]*(?:0|zero)(?:[\s_-]+(?:v?1\.0|universal|public domain|"
    r"dedication|license))*",
    re.IGNORECASE,
)
_PUBLIC_DOMAIN = re.compile(
    r"(?:in the |cc |creative commons )?public[\s-]domain(?: mark)?(?: 1\.0)?"
    r"|pdm?(?:[\s_-][a-z0-9]+)*"
    r"|pdm 1\.0|publiek domein|domaine public|gemeinfrei|dominio p[uú]blico",
    re.IGNORECASE,
)


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
    """The licence that an address or a name states; `None` where it states none that is known."""
    text = " ".join(statement.split()).strip(" .;,()[]©")
    if not text or len(text) > 400:
        return None
    if match := _ADDRESS.search(text):
        if match["mark"]:
            id = "cc0" if match["mark"].lower() == "zero" else "pd"
        else:
            id = _normal("pd" if match["kind"].lower() == "publicdomain" else match["kind"])
        url = re.search(r"https?://[^\s\"'<>]+", text)
        return License(id, url[0] if url else _address(id, match["version"])) if id else None
    if _ZERO.fullmatch(text):
        return License("cc0", _address("cc0", None))
    if match := _CODE.fullmatch(text):
        id = _normal(match["kind"])
        return License(id, _address(id, match["version"])) if id else None
    if (match := _NAME.fullmatch(text)) and (match["rest"] or match["version"] or match["cc"]):
        rest = match["rest"].lower().replace("-", " ")
        parts = ["by"]
        parts += ["nc"] * bool(re.search(r"\bnon", rest)) + ["nd"] * bool(
            re.search(r"\bno ?d", rest)
        )
        parts += ["sa"] * ("share" in rest)
        id = _normal("-".join(parts))
        return License(id, _address(id, match["version"])) if id else None
    if _PUBLIC_DOMAIN.fullmatch(text):
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
