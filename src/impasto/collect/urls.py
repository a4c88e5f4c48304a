"""Addresses as texts: one spelling each, and what can be told without asking anyone."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

MAX_LENGTH = 2000
"""Characters; longer addresses are not followed."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH, _QUERY = "/%:@!$&'()*+,;=~-._", "/?%:@!$&'()*+,;=~-._[]"
_PICTURE_NAME = re.compile(r"\.(jpe?g|jfif|png|webp|gif|tiff?|avif|heic|heif|jxl)$", re.IGNORECASE)


def normalize(url: str, base: str = "") -> str | None:
    """One spelling of an http(s) address; `None` for anything else, and for one with a password.

    The scheme and host are in lower case and ASCII, the default port, a dot at the end of the host,
    `.` and `..` in the path and the fragment are gone, and what may not stand in an address is
    escaped (RFC 3986, section 6).
    """
    text = re.sub(r"[\t\r\n]", "", url[: 4 * MAX_LENGTH]).strip()
    if not text or len(url) > 4 * MAX_LENGTH:
        return None
    try:
        parts, path = _joined(base, text)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
        if scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc:
            return None
        if not host.isascii():
            host = host.encode("idna").decode()
        # A dot at the end says only that the name is whole.
        host = host.rstrip(".")
        if not host or re.search(r"[\s/\\%<>\"|^`{}]", host):
            return None
        # No name server knows others (RFC 1035, section 2.3.4).
        if len(host) > 253 or not all(0 < len(label) <= 63 for label in host.split(".")):
            return None
        path, query = _plain(quote(path or "/", safe=_PATH)), quote(parts.query, safe=_QUERY)
    except ValueError:
        # Encoding errors are among them: JSON may hold halves of characters.
        return None
    place = f"[{host}]" if ":" in host else host
    if port not in (None, _DEFAULT_PORTS[scheme]):
        place += f":{port}"
    made = urlunsplit((scheme, place, path, query, ""))
    return made if len(made) <= MAX_LENGTH else None


def _joined(base: str, text: str) -> tuple[SplitResult, str]:
    """An address and its path, from a reference and what it is relative to."""
    parts, given = urlsplit(urljoin(base, text)), urlsplit(text)
    if given.scheme or given.netloc or not given.path or given.path.startswith("/"):
        return parts, parts.path
    # `urljoin` would leave out the empty parts of a path such as //a/b (RFC 3986, section 5.2.3).
    return parts, f"{urlsplit(base).path.rpartition('/')[0]}/{given.path}"


def _plain(path: str) -> str:
    """A path without `.` and `..` (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def host_of(url: str) -> str:
    """The name of the machine that an address asks."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """Scheme, host and port: what one robots.txt speaks for (RFC 9309, section 2.3)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def same_site(one: str, other: str) -> bool:
    """Whether two addresses belong to one site: the same host and port, but for a `www.`."""
    return _site(one) == _site(other)


def _site(url: str) -> str:
    # A site is the same whether it is asked by http or https.
    return re.sub(r":(80|443)$", "", urlsplit(url).netloc).removeprefix("www.")


def names_picture(url: str) -> bool:
    """Whether an address ends as picture files do; only its contents decide what it is."""
    return bool(_PICTURE_NAME.search(urlsplit(url).path))


def file_name(url: str) -> str:
    """The last part of an address's path, as words to search."""
    return urlsplit(url).path.rpartition("/")[2]


def is_trap(url: str) -> bool:
    """Whether an address looks as if a site made it without end.

    Relative links that pile up (`/a/b/a/b/a/b`), very deep folders and very many parameters.
    """
    parts = urlsplit(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    repeated = max(Counter(segments).values(), default=0)
    return len(segments) > 16 or repeated > 2 or parts.query.count("&") > 16
