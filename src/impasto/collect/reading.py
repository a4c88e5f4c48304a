"""Decides what an answer is, by its contents, and has it read by whoever knows the kind."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping, Sequence

from impasto.collect.feeds import read_xml
from impasto.collect.fetching import PAGE_BYTES
from impasto.collect.found import Found
from impasto.collect.iiif import is_iiif, read_iiif
from impasto.collect.pages import read_page, read_style_sheet
from impasto.collect.sources import Source

_XML_ROOTS = re.compile(rb"<(?:\w+:)?(rss|feed|RDF|urlset|sitemapindex)[\s>/]")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)


def read_answer(
    data: bytes,
    url: str,
    kind: str,
    headers: Mapping[str, str],
    notes: Mapping[str, str],
    *,
    sources: Sequence[Source],
    max_pixels: int,
) -> Found:
    """What an answer names.

    Args:
        data: its contents.
        url: its address.
        kind: `api`, `style` or `page`, as it was asked for.
        headers: its fields, by names in lower case.
        notes: those of the link that led here.
        sources: collections that read their own answers.
        max_pixels: most pixels that a picture should have.
    """
    declared = headers.get("content-type", "").lower()
    if kind == "style":
        return read_style_sheet(_decode(data, declared), url)
    if data[:2] == b"\x1f\x8b":
        # Sitemaps may come packed as files.
        try:
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(PAGE_BYTES + 1)
        except (OSError, EOFError, zlib.error):
            return Found(fault="is a damaged gzip file")
        if len(data) > PAGE_BYTES:
            return Found(fault=f"is larger than {PAGE_BYTES / 1e6:g} MB")
    start = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"{", b"["):
        return _read_json(data, url, notes, sources, max_pixels)
    if kind == "api":
        return Found(fault="is no answer of its interface")
    if start.startswith(b"<") and _XML_ROOTS.search(start):
        return read_xml(data, url)
    if b"\0" in start or not (start.startswith(b"<") or "html" in declared or not declared):
        return Found(fault="is no web page")
    return read_page(_decode(data, declared), url, dict(headers))


def _read_json(
    data: bytes,
    url: str,
    notes: Mapping[str, str],
    sources: Sequence[Source],
    max_pixels: int,
) -> Found:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return Found(fault="is damaged JSON")
    for source in sources:
        if source.name == notes.get("source"):
            return source.read(value, notes)
    if is_iiif(value):
        return read_iiif(value, url, max_pixels=max_pixels)
    return Found(fault="is JSON of an unknown kind")


def _decode(data: bytes, declared: str) -> str:
    """The text of a page, in the encoding that its answer or it itself states (UTF-8 otherwise)."""
    match = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", declared)
    sniffed = _META_CHARSET.search(data[:2048])
    name = match[1] if match else sniffed[1].decode("ascii", "replace") if sniffed else "utf-8"
    try:
        # Names such as base64 are codecs, but none of text.
        name = codecs.lookup(name).name if codecs.lookup(name)._is_text_encoding else "utf-8"
    except (LookupError, ValueError):
        name = "utf-8"
    try:
        return data.decode(name, errors="replace")
    except (UnicodeError, LookupError):
        # `idna` and `undefined` count as encodings of text, and fail all the same.
        return data.decode("utf-8", errors="replace")
