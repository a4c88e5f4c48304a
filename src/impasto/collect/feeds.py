"""Reads feeds and sitemaps.

RSS 2.0 and 1.0 with Media RSS (https://www.rssboard.org/media-rss), Dublin Core and the Creative
Commons modules; Atom (RFC 4287, with the licence link of RFC 4946 and the paging of RFC 5005);
sitemaps and their indexes with Google's image extension (https://www.sitemaps.org/protocol.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from impasto.collect.found import Candidate, Credit, Found, Link
from impasto.collect.licenses import License, recognize
from impasto.collect.pages import plain_text, read_fragment
from impasto.collect.urls import names_picture, normalize
from impasto.collect.xml import parse_xml

_MOST = 50_000
"""Entries of one file that are looked at, as many as a sitemap may have."""
_LICENSES = ("license", "rights", "copyright")


def read_xml(data: bytes, url: str) -> Found:
    """The pictures and links of a feed or sitemap.

    Args:
        data: the file.
        url: its address.
    """
    try:
        root = parse_xml(data)
    except ValueError as error:
        return Found(fault=f"cannot be read: {error}")
    kind = _local(root)
    if kind == "urlset":
        return _sitemap(root, url)
    if kind == "sitemapindex":
        targets = (_address(_text(child, "loc"), url) for child in list(root)[:_MOST])
        return Found(links=tuple(Link(target, "page", 0) for target in targets if target))
    if kind in ("rss", "RDF", "feed"):
        return _feed(root, url)
    return Found(fault=f"is an XML file of an unknown kind ({kind[:40]})")


def _sitemap(root: Element, url: str) -> Found:
    pictures, links = [], []
    for entry in list(root)[:_MOST]:
        page = _address(_text(entry, "loc"), url) or ""
        if page and not names_picture(page):
            links.append(Link(page, "page", 0))
        elif page:
            pictures.append(Candidate((page,)))
        for image in _children(entry, "image"):
            target = _address(_text(image, "loc"), url)
            if not target:
                continue
            title, caption = _text(image, "title"), _text(image, "caption")
            stated = recognize(_text(image, "license"))
            credit = _credit(title or caption, "", stated)
            pictures.append(Candidate((target,), f"{title} {caption}".strip(), credit, page))
    return Found(tuple(pictures), tuple(links))


def _feed(root: Element, url: str) -> Found:
    channel = next(iter(_children(root, "channel")), root)
    # Asked of the channel once: it holds all the items.
    shared, maker = _license_of(channel), _author(channel)
    items = [*_children(channel, "item"), *_children(root, "item"), *_children(root, "entry")]
    pictures: list[Candidate] = []
    links: dict[str, Link] = {}
    for item in items[:_MOST]:
        page = _page_of(item, url)
        title = plain_text(_text(item, "title"))
        stated = _license_of(item) or shared
        author = _author(item) or maker
        found = list(_item_pictures(item, url, title, author, stated))
        pictures += [Candidate(c.urls, c.words, c.credit, page) for c in found]
        if page:
            links.setdefault(page, Link(page))
    for link in _children(channel, "link"):
        if link.get("rel") == "next" and (target := _address(link.get("href"), url)):
            links[target] = Link(target, "page", 0, pagination=True)
    return Found(tuple(pictures), tuple(links.values()))


def _item_pictures(
    item: Element, url: str, title: str, author: str, stated: License | None
) -> Iterator[Candidate]:
    known: set[str] = set()

    def made(urls: list[str], words: str, credit: Credit) -> Iterator[Candidate]:
        fresh = [u for u in dict.fromkeys(urls) if u not in known]
        known.update(fresh)
        if fresh:
            yield Candidate(tuple(fresh), f"{title} {words}".strip(), credit)

    # The parts of a group are renditions of one thing.
    for holder in (*_children(item, "group"), item):
        media = [node for node in _children(holder, "content") if _is_image(node)]
        named = plain_text(_text(holder, "title")) or title
        maker = _text(holder, "credit") or author
        own = _license_of(holder) or stated
        groups = [media] if _local(holder) == "group" else [[node] for node in media]
        for group in groups:
            ordered = sorted(group, key=_size, reverse=True)
            urls = [u for node in ordered if (u := _address(node.get("url"), url))]
            inner = next((t for node in group if (t := plain_text(_text(node, "title")))), named)
            credited = next((t for node in group if (t := _text(node, "credit"))), maker)
            inside = next((found for node in group if (found := _license_of(node))), own)
            yield from made(urls, inner, _credit(inner, credited, inside))
    plain = _credit(title, author, stated)
    for node in item:
        kind, target = node.get("type", ""), None
        if _local(node) == "enclosure":
            target = _address(node.get("url"), url)
        elif _local(node) == "link" and node.get("rel") == "enclosure":
            target = _address(node.get("href"), url)
        elif _local(node) == "image":
            target = _address(node.get("href") or _text(node, "url"), url)
            kind = "image/"
        if target and (kind.startswith("image/") or (not kind and names_picture(target))):
            yield from made([target], "", plain)
    for name in ("encoded", "content", "description", "summary"):
        for node in _children(item, name):
            markup = "".join(node.itertext())
            for found in read_fragment(markup, url) if "<" in markup else ():
                credit = (
                    found.credit
                    if found.credit.license
                    else _credit(found.words or title, author, stated)
                )
                yield from made(list(found.urls), found.words, credit)
    if not known:
        for node in _children(item, "thumbnail"):
            if target := _address(node.get("url"), url):
                yield from made([target], "", plain)


def _credit(title: str, author: str, stated: License | None) -> Credit:
    return Credit(
        title=title[:300],
        author=plain_text(author)[:300],
        license=stated.id if stated else "",
        license_url=stated.url if stated else "",
    )


def _license_of(node: Element) -> License | None:
    for child in node:
        name = _local(child)
        texts = [child.get("href", ""), _resource(child), child.text or ""]
        if name in _LICENSES or (name == "link" and child.get("rel") == "license"):
            for text in texts:
                if stated := recognize(text):
                    return stated
    return None


def _author(item: Element) -> str:
    for name in ("creator", "author"):
        for node in _children(item, name):
            text = _text(node, "name") or (node.text or "").strip()
            if text:
                return text
    return ""


def _page_of(item: Element, url: str) -> str:
    for node in _children(item, "link"):
        if node.get("rel", "alternate") == "alternate":
            target = _address(node.get("href") or node.text, url)
            if target:
                return target
    return ""


def _is_image(node: Element) -> bool:
    kind, medium = node.get("type", ""), node.get("medium", "")
    if kind or medium:
        return kind.startswith("image/") or medium == "image"
    return bool(node.get("url")) and names_picture(node.get("url", ""))


def _size(node: Element) -> tuple[float, float]:
    def number(name: str) -> float:
        text = node.get(name, "")
        return float(text) if text.isascii() and text.isdecimal() else 0.0

    return number("width") * number("height"), number("fileSize")


def _resource(node: Element) -> str:
    return node.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource", "")


def _address(text: str | None, base: str) -> str | None:
    return normalize(text, base) if text else None


def _local(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _children(node: Element, name: str) -> list[Element]:
    return [child for child in node if _local(child) == name]


def _text(node: Element, name: str) -> str:
    for child in _children(node, name):
        if text := (child.text or "").strip():
            return text
    return ""
