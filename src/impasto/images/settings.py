"""The settings record: the options that made a picture, stored in the picture itself.

XMP (ISO 16684-1) is the one metadata packet that PNG, JPEG, WebP, TIFF and AVIF all carry.
"""

import html
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from impasto.errors import OptionError

MAX_SETTINGS_BYTES = 60_000
"""Longest settings record, as an XMP packet: libvips silently leaves a longer one out of a JPEG."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SETTINGS_NAMESPACE = "impasto:ns:1.0/"


def settings_to_xmp(settings: Mapping[str, Any]) -> bytes:
    """The XMP packet that carries the record.

    Raises:
        OptionError: the packet is longer than `MAX_SETTINGS_BYTES`.
    """
    # Not xml.sax.saxutils, which loads all that the network takes.
    record = html.escape(json.dumps(settings, sort_keys=True, allow_nan=False), quote=False)
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
        f'<rdf:Description rdf:about="" xmlns:impasto="{_SETTINGS_NAMESPACE}">'
        f"<impasto:settings>{record}</impasto:settings>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
    if len(packet) > MAX_SETTINGS_BYTES:
        raise OptionError(
            f"settings: {len(packet):,} bytes as XMP, more than the {MAX_SETTINGS_BYTES:,} that a"
            " picture can carry; store less in them"
        )
    return packet


def settings_from_xmp(xmp: bytes | None) -> dict[str, Any] | None:
    """The settings record in an XMP packet; None where there is none that can be understood."""
    # XMP never declares entities; a packet that does is an attack on the parser.
    if not xmp or b"<!" in xmp:
        return None
    key = f"{{{_SETTINGS_NAMESPACE}}}settings"
    try:
        for element in ET.fromstring(xmp.rstrip(b"\0")).iter():
            # Other programs may rewrite the simple property as an attribute.
            text = element.text if element.tag == key else element.get(key)
            if text is not None:
                settings = json.loads(text)
                return settings if isinstance(settings, dict) else None
    except (ET.ParseError, ValueError, RecursionError):
        pass
    return None
