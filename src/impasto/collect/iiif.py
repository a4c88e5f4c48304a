"""Reads IIIF: presentation manifests and collections, and the description of an image service.

Presentation API 2.1 and 3.0, Image API 1.1 to 3.0 (https://iiif.io/api/). From an image service the
largest picture that it gives, and that is wanted, is asked for in one piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from impasto.collect.found import Candidate, Credit, Found, Link
from impasto.collect.licenses import recognize
from impasto.collect.pages import plain_text
from impasto.collect.urls import normalize

_AUTHORS = {"artist", "author", "creator", "maker", "painter", "photographer", "kunstenaar"}


def is_iiif(value: Any) -> bool:
    """Whether a JSON document is one of IIIF."""
    if not isinstance(value, dict):
        return False
    texts = [str(value.get(key, "")) for key in ("@context", "protocol", "profile")]
    return any("iiif.io" in t or "library.stanford.edu/iiif" in t for t in texts)


def read_iiif(value: dict[str, Any], url: str, *, max_pixels: int) -> Found:
    """The pictures of a manifest or service, or the manifests of a collection.

    Args:
        value: the document.
        url: its address.
        max_pixels: most pixels that a picture should have.
    """
    kind = str(value.get("type") or value.get("@type") or "").removeprefix("sc:")
    if kind == "Collection":
        return _collection(value, url)
    if kind == "Manifest":
        return Found(tuple(_manifest(value, url, max_pixels)))
    if "width" in value and "height" in value:
        picture = service_picture(value, url, max_pixels)
        return Found((Candidate((picture,), credit=_credit(value, "")),))
    return Found(fault="is a IIIF document without pictures")


def service_picture(value: dict[str, Any], url: str, max_pixels: int) -> str:
    """The address of the largest picture of at most `max_pixels` that an image service gives.

    Args:
        value: what `info.json` says.
        url: where the service is, for relative addresses.
        max_pixels: most pixels that the picture should have.
    """
    base = normalize(str(value.get("id") or value.get("@id") or ""), url)
    if not base:
        base = url.removesuffix("/info.json")
    base = base.rstrip("/").removesuffix("/info.json")
    context, profile = str(value.get("@context", "")), value.get("profile")
    third = "/image/3" in context or str(value.get("type", "")) == "ImageService3"
    # 1.0 and 1.1 call the usual quality `native`.
    quality = "native" if "/1." in context or "stanford" in context else "default"
    width, height = _number(value.get("width")), _number(value.get("height"))
    limits = {**(value if third else {}), **_limits(profile)}
    allowed = min(max_pixels, _number(limits.get("maxArea")) or max_pixels)
    side = _number(limits.get("maxWidth")) or math.inf
    scale = 1.0
    if width and height:
        high = _number(limits.get("maxHeight")) or side
        scale = min(1.0, side / width, high / height, math.sqrt(allowed / (width * height)))
    size = "max" if third else "full"
    if scale < 1 and width and height:
        sizes = [
            (w, h)
            for entry in _list(value.get("sizes"))
            if isinstance(entry, dict)
            and (w := _number(entry.get("width")))
            and (h := _number(entry.get("height")))
            and w <= width * scale + 1
            and h <= height * scale + 1
        ]
        wide = max(1, int(width * scale))
        best = max(sizes, default=None)
        # A listed size that is nearly as large is ready; any other must be made by the server.
        if best and best[0] >= 0.9 * wide:
            size = f"{best[0]},{best[1]}" if third else f"{best[0]},"
        elif third and scale * width >= side - 1:
            size = "max"
        else:
            size = f"{wide},"
    return f"{base}/full/{size}/0/{quality}.jpg"


def _collection(value: dict[str, Any], url: str) -> Found:
    members = [
        item
        for key in ("items", "manifests", "members", "collections")
        for item in _list(value.get(key))
        if isinstance(item, dict)
    ]
    targets = (normalize(str(m.get("id") or m.get("@id") or ""), url) for m in members)
    notes = {"anywhere": "1"}
    return Found(links=tuple(Link(t, "page", 0, notes=notes) for t in targets if t))


def _manifest(value: dict[str, Any], url: str, max_pixels: int) -> Iterator[Candidate]:
    label = _words(value.get("label"))
    credit = _credit(value, label)
    page = _homepage(value, url)
    canvases = list(_canvases(value))
    for canvas in canvases:
        name = _words(canvas.get("label"))
        words = f"{label} {name}".strip()
        titled = words if len(canvases) > 1 else label or name
        for body in _bodies(canvas):
            urls = []
            for service in _list(body.get("service")):
                if isinstance(service, dict) and _is_image_service(service):
                    sized = {
                        **{k: body[k] for k in ("width", "height") if k in body},
                        **service,
                    }
                    urls.append(service_picture(sized, url, max_pixels))
            urls.append(normalize(str(body.get("id") or body.get("@id") or ""), url))
            known = tuple(dict.fromkeys(u for u in urls if u))
            if known:
                yield Candidate(
                    known,
                    words,
                    Credit(
                        titled[:300],
                        credit.author,
                        credit.license,
                        credit.license_url,
                        credit.attribution,
                    ),
                    page,
                )


def _canvases(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sources = [_list(value.get("items"))]
    sources += [_list(s.get("canvases")) for s in _list(value.get("sequences")) if _is(s)]
    for canvas in (c for source in sources for c in source):
        if isinstance(canvas, dict):
            yield canvas


def _bodies(canvas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pictures painted on a canvas; of alternatives, the first."""
    for page in filter(_is, _list(canvas.get("items"))):
        for annotation in filter(_is, _list(page.get("items"))):
            if annotation.get("motivation") in ("painting", ["painting"]):
                yield from _choices(annotation.get("body"), "items")
    for image in filter(_is, _list(canvas.get("images"))):
        yield from _choices(image.get("resource"), "default")


def _choices(body: Any, key: str) -> Iterator[dict[str, Any]]:
    for one in filter(_is, _list(body)):
        kind = str(one.get("type") or one.get("@type") or "")
        if kind in ("Choice", "oa:Choice"):
            yield from list(filter(_is, _list(one.get(key))))[:1]
        elif kind in ("Image", "dctypes:Image", ""):
            yield one


def _is_image_service(service: dict[str, Any]) -> bool:
    kind = str(service.get("type") or service.get("@type") or "")
    texts = f"{kind} {service.get('@context', '')} {service.get('profile', '')}"
    return "ImageService" in kind or "/image" in texts


def _credit(value: dict[str, Any], title: str) -> Credit:
    required = value.get("requiredStatement")
    line = (
        _words(required.get("value"))
        if isinstance(required, dict)
        else _words(value.get("attribution"))
    )
    stated = None
    for text in (*_list(value.get("rights")), *_list(value.get("license")), line):
        stated = stated or (recognize(text) if isinstance(text, str) else None)
    author = ""
    for pair in filter(_is, _list(value.get("metadata"))):
        key, said = _words(pair.get("label")), _words(pair.get("value"))
        if key.lower().strip(": ") in _AUTHORS:
            author = author or said
        elif not stated and key.lower().strip(": ") in ("license", "licence", "rights"):
            stated = recognize(said)
    return Credit(
        title[:300],
        author[:300],
        stated.id if stated else "",
        stated.url if stated else "",
        line[:500],
    )


def _homepage(value: dict[str, Any], url: str) -> str:
    for entry in (*_list(value.get("homepage")), *_list(value.get("related"))):
        address = entry if isinstance(entry, str) else ""
        if isinstance(entry, dict):
            address = str(entry.get("id") or entry.get("@id") or "")
        if target := normalize(address, url):
            return target
    return ""


def _words(value: Any) -> str:
    """A text in any of the forms of both versions: plain, listed, or by language."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return "; ".join(dict.fromkeys(t for item in value if (t := _words(item))))
    if isinstance(value, dict):
        if "@value" in value:
            return _words(value["@value"])
        for language in ("en", "none", "@none", *value):
            if language in value and (text := _words(value[language])):
                return text
    return ""


def _limits(profile: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in filter(_is, _list(profile)):
        merged.update(part)
    return merged


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 < value < 1e9 else 0


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _is(value: Any) -> bool:
    return isinstance(value, dict)
