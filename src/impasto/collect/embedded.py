"""What a picture file says about itself: XMP and EXIF.

XMP (ISO 16684-1) with Dublin Core, the rights-management namespace and that of Creative Commons
(https://wiki.creativecommons.org/wiki/XMP); EXIF's Artist, Copyright and ImageDescription.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from impasto.collect.found import Credit
from impasto.collect.licenses import License, recognize, reserves, strictest
from impasto.collect.xml import parse_xml
from impasto.images import Glance

_STATEMENTS = ("license", "WebStatement", "UsageTerms", "rights")


def complete(said: Credit, glance: Glance) -> Credit:
    """What a page says of a picture, completed by what its file says in its own metadata.

    Where both state a licence, the stricter one counts: a page's may be meant for its text, and a
    file may have been passed on. What reserves all rights for itself has none.
    """
    own = _xmp(glance.xmp)
    texts = [*(own.get(name, "") for name in _STATEMENTS), glance.texts.get("copyright", "")]
    licenses = [License(said.license, said.license_url)] if said.license else []
    licenses += [found for text in texts if (found := recognize(text))]
    stated = None if any(map(reserves, texts)) else strictest(licenses)
    return Credit(
        title=said.title or (own.get("title") or glance.texts.get("description", ""))[:300],
        author=said.author or (own.get("creator") or glance.texts.get("artist", ""))[:300],
        license=stated.id if stated else "",
        license_url=stated.url if stated else "",
        attribution=said.attribution or own.get("attributionName", "")[:500],
    )


def _xmp(packet: bytes) -> dict[str, str]:
    """Local names of properties and their texts, as elements or attributes; the first counts."""
    start, end = packet.find(b"<x:xmpmeta"), packet.rfind(b"</x:xmpmeta>")
    body = packet[start : end + 12] if 0 <= start < end else packet.strip(b"\0 \r\n")
    if not body:
        return {}
    try:
        root = parse_xml(body)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for description in root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"):
        for name, value in description.attrib.items():
            found.setdefault(name.rpartition("}")[2], value.strip())
        for child in description:
            found.setdefault(child.tag.rpartition("}")[2], _value(child))
    return found


def _value(node: Element) -> str:
    resource = node.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource", "")
    return resource or " ".join(" ".join(node.itertext()).split())
