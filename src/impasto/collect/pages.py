"""Finds the pictures and links of a web page; runs none of its scripts.

For each picture all variants that the page names are gathered, the largest first: the file that a
thumbnail links to, the widest of `srcset`, the sources of a `picture`, what lazy loading puts into
data attributes, and `src` (WHATWG HTML, section 4.8.4).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from selectolax.lexbor import LexborHTMLParser, LexborNode

from impasto.collect.found import Candidate, Credit, Found, Link
from impasto.collect.licenses import License, agreed, recognize, reserves
from impasto.collect.urls import file_name, names_picture, normalize

_MOST_LINKS = 5000
"""Links and pictures of one page that are looked at; a page with more is no page for people."""
_MOST_VARIANTS = 64
_WRAPPED = 8
"""Elements between a picture and the link around it, at most."""
_FULL = re.compile(r"data-(?:full|orig|original|large|zoom|hi-?res|highres|image-large|big)", re.I)
_LAZY = re.compile(r"data-.*(?:src|image|img|bg|background)|data-lazy|data-echo", re.I)
_CSS_BYTES = 1_000_000
"""Characters of a style sheet that are searched."""
# Unquoted addresses hold neither spaces nor brackets, so no search goes back far.
_CSS_URL = re.compile(
    r"url\(\s{0,9}(?:\"([^\"]{0,2000})\"|'([^']{0,2000})'|([^\"'()\s]{1,2000}))\s{0,9}\)", re.I
)
_CSS_SET = re.compile(r"image-set\(((?:[^()]|\([^()]*\))*)\)", re.I)
# Every repetition has an end, so that no search is longer than one address.
_SET_PART = re.compile(
    r"(?:url\(\s{0,9}(?P<plain>[^\"'()\s]{1,2000})|\"(?P<double>[^\"]{1,2000})\""
    r"|'(?P<single>[^']{1,2000})')\s{0,9}\)?(?:\s{0,9}type\([^()]{0,99}\))?"
    r"(?:\s{0,9}(?P<density>\d{1,9}(?:\.\d{1,9})?)(?:x|dppx))?",
    re.I,
)
_NEXT_TEXT = re.compile(
    r"(?:next(?: page)?|older(?: posts)?|weiter|nächste(?: seite)?|(?:page )?suivante?"
    r"|(?:página )?siguiente|próxima(?: página)?|avanti|volgende)\W*|[›»→]+",
    re.I,
)
_TAG = re.compile(r"<(/?)([a-zA-Z]+)")
# As WHATWG HTML reads them, sections 13.2.5.32 to 13.2.5.39.
_ATTRIBUTE = re.compile(
    r"""(?:=[^\s/>=]*+|[^\s/>=]++)(?:\s*+=\s*+(?:"[^"]*+"?|'[^']*+'?|[^\s>]*+))?"""
)
_WHOLE_TAG = re.compile(rf"</?[a-zA-Z][^\s/>]*+((?:[\s/]++|{_ATTRIBUTE.pattern})*+)")
_VOID = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "wbr",
}
_SELF_CLOSING = {"p", "li", "dt", "dd", "tr", "td", "th", "option", "thead", "tbody", "tfoot"}
_FORMATTING = {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong"}
_FORMATTING |= {"tt", "u"}
_MOST_COST = 400_000_000
"""A usual page of 10 MB stays below; at this cost reading takes about a second."""
_CARDS = {"og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src"}
_PLACES = {"video": "poster", "body": "background", "table": "background", "td": "background"}
"""Elements that show a picture by an attribute of their own."""
_NEXT_CLASS = re.compile(
    r"next|nextpostslink|pag\w{0,9}[-_]{1,2}next|next[-_]{1,2}pag\w{0,9}", re.I
)
_RESERVED = {"noimageindex", "noimageai", "noai"}
_VALUED = re.compile(r"max-[a-z-]+|unavailable_after")
"""Rules for robots that have a value, which is none of their words."""

Variant = tuple[float, float, str]


def read_page(text: str, url: str, headers: dict[str, str]) -> Found:
    """All pictures and links of an HTML page.

    Args:
        text: of the page.
        url: its address.
        headers: fields of the answer, which may forbid the use of its pictures or links.
    """
    if _is_costly(text):
        return Found(fault="is a page made to keep its readers busy")
    tree = LexborHTMLParser(text)
    root = tree.root
    if root is None:
        return Found(fault="is an empty page")
    base = url
    if (node := tree.css_first("base[href]")) is not None:
        base = normalize(node.attributes.get("href") or "", url) or url
    said = _robots_words(tree, headers)
    page = _Page(base, url, tree)
    pictures = [] if said & _RESERVED or "none" in said else page.pictures(root)
    links = [] if said & {"nofollow", "none"} else page.links(root)
    fault = "the page reserves its pictures" if said & _RESERVED else ""
    return Found(tuple(pictures), tuple(links), fault)


def reserves_picture(headers: Mapping[str, str]) -> bool:
    """Whether the fields of a picture's own answer reserve it, as those of a page would."""
    said = _header_words(headers)
    return bool(said & _RESERVED) or "none" in said


def read_style_sheet(text: str, url: str) -> Found:
    """The pictures of a style sheet."""
    return Found(tuple(_css_candidates(text, url)))


def read_fragment(markup: str, base: str) -> list[Candidate]:
    """The pictures of a piece of HTML, such as the text of a feed's item."""
    if _is_costly(markup):
        return []
    tree = LexborHTMLParser(markup)
    return _Page(base, base, tree).pictures(tree.root) if tree.root is not None else []


def plain_text(markup: str) -> str:
    """A piece of HTML without its tags, in one line."""
    if "<" not in markup and "&" not in markup:
        return " ".join(markup.split())
    if _is_costly(markup):
        return ""
    return " ".join(LexborHTMLParser(markup).text(separator=" ").split())


def _robots_words(tree: LexborHTMLParser, headers: dict[str, str]) -> set[str]:
    """What robots are told by the page and the answer: the words of the robots meta element and of
    X-Robots-Tag, and the reservation of the TDM Reservation Protocol (W3C, 2024)."""
    texts = []
    reserved = False
    for node in tree.css("meta[name][content]"):
        name = (node.attributes.get("name") or "").lower()
        content = node.attributes["content"] or ""
        if name in ("robots", "impasto"):
            texts.append(content)
        elif name == "tdm-reservation" and content.strip() == "1":
            reserved = True
    return _header_words(headers) | _words(texts) | ({"noai"} if reserved else set())


def _header_words(headers: Mapping[str, str]) -> set[str]:
    reserved = headers.get("tdm-reservation", "").strip() == "1"
    return _words([headers.get("x-robots-tag", "")]) | ({"noai"} if reserved else set())


def _words(texts: Iterable[str]) -> set[str]:
    words: set[str] = set()
    for rule in (rule for text in texts for rule in text.lower().split(",")):
        # A field may begin with the name of the robot that it is meant for.
        *names, word = (part.strip() for part in rule.split(":"))
        if not any(map(_VALUED.fullmatch, names)):
            words.add(word)
    return words


def _is_costly(markup: str) -> bool:
    """Whether reading a page would take far more time or memory than its length lets expect.

    By the rules of HTML each tag may look at every element that is open, and each block opens all
    formatting elements anew that have not been closed (WHATWG HTML, section 13.2.4.3).
    """
    depth = formatting = cost = 0
    for match in _TAG.finditer(markup):
        name = match[2].lower()
        if name in _VOID:
            continue
        step = -1 if match[1] else 1
        if name in _FORMATTING:
            formatting = max(0, formatting + step)
        if name not in _SELF_CLOSING:
            depth = max(0, depth + step)
        cost += depth + 200 * formatting
        if cost > _MOST_COST:
            return True
    # Each attribute of a tag is compared with those before it.
    for match in _WHOLE_TAG.finditer(markup):
        if len(match[1]) > 2000:
            cost += sum(1 for _ in _ATTRIBUTE.finditer(match[1])) ** 2
        if cost > _MOST_COST:
            return True
    return False


class _Page:
    def __init__(self, base: str, url: str, tree: LexborHTMLParser) -> None:
        self._base, self._url = base, url
        self._credits: dict[str, Credit] = {}
        self._described: list[tuple[str, str]] = []
        # What is stated for single pictures, by their addresses; `None` is what is not known to
        # allow anything. In the order of the page, each once.
        self._stated: dict[str, dict[License | None, None]] = {}
        for node in tree.css('script[type="application/ld+json"]'):
            self._read_json(node.text())
        # What many pictures share is looked for once, so that no page takes longer than in
        # proportion to its length.
        self._figures: dict[int, int] = {}
        self._items: dict[int, int] = {}
        self._reserved: set[int] = set()
        self._captions = self._of_figures(tree, "figcaption")
        self._makers = self._of_figures(
            tree, '[rel~="author"], [itemprop="author"], [itemprop="creator"]'
        )
        self._images = {
            node.mem_id
            for node in tree.css("[itemscope][itemtype]")
            if any(
                kind.endswith("/ImageObject")
                for kind in (node.attributes.get("itemtype") or "").split()
            )
        }
        self._licenses: dict[int, License | None] = {}
        self._license = self._find_licenses(tree)
        self._seen_sources: set[int] = set()
        self._alone: dict[int, bool] = {}

    # Pictures

    def pictures(self, root: LexborNode) -> list[Candidate]:
        found: dict[str, Candidate] = {}
        for candidate in itertools.islice(self._all(root), _MOST_LINKS):
            # The first mention has the best words; a link around a thumbnail comes with it.
            found.setdefault(candidate.urls[0], candidate)
        # What is stated for one picture may stand at any of its mentions.
        return [self._licensed(candidate) for candidate in found.values()]

    def _licensed(self, candidate: Candidate) -> Candidate:
        urls = candidate.urls
        # The other addresses may be of what stands in for many pictures until they are seen.
        shown = next((url for url in urls if url in self._credits), urls[0])
        stated = [*self._stated.get(urls[0], ()), *self._stated.get(shown, ())]
        if not stated:
            return candidate
        license = agreed(stated)
        id, url = (license.id, license.url) if license else ("", "")
        return replace(candidate, credit=replace(candidate.credit, license=id, license_url=url))

    def _all(self, root: LexborNode) -> Iterator[Candidate]:
        images = 0
        for node in root.traverse(include_text=False):
            tag, attributes = node.tag, node.attributes
            if tag in ("img", "amp-img"):
                images += 1
                if images > _MOST_LINKS:
                    break
                yield from self._image(node)
            elif tag == "a":
                target = self._address(attributes.get("href"))
                own = not node.css_matches("img") or not self._is_alone(node)
                if target and names_picture(target) and own:
                    words = " ".join(node.text(separator=" ").split()) or attributes.get("title")
                    yield self._candidate([target], words or "", node)
            elif tag == "meta":
                kind = (attributes.get("property") or attributes.get("name") or "").lower()
                shown = kind in _CARDS or attributes.get("itemprop") == "image"
                target = self._address(attributes.get("content")) if shown else None
                if target:
                    yield self._candidate([target], "", None)
            elif tag == "link":
                yield from self._linked(attributes)
            elif tag == "style":
                yield from _css_candidates(node.text(), self._base, self._license)
            if style := attributes.get("style"):
                sure = "background" in style.lower()
                for one in _css_candidates(style, self._base, self._license, sure=sure):
                    self._state(one.urls[0], node)
                    yield one
            if target := self._address(attributes.get(_PLACES.get(tag or "", ""))):
                yield self._candidate([target], attributes.get("aria-label") or "", node)
            if tag not in ("img", "amp-img", "source"):
                yield from self._lazy_backgrounds(node)
        for target, words in self._described:
            yield self._candidate([target], words, None)

    def _lazy_backgrounds(self, node: LexborNode) -> Iterator[Candidate]:
        """What scripts would put behind an element once it is seen."""
        words = node.attributes.get("aria-label") or ""
        for name, value in node.attributes.items():
            if not value or not _is_background(name):
                continue
            if "url(" in value.lower():
                for one in _css_candidates(value, self._base, self._license, sure=True):
                    self._state(one.urls[0], node)
                    yield one
            elif name.endswith("set"):
                urls = self._ordered(list(itertools.islice(_srcset(value), _MOST_VARIANTS)))
                if any(names_picture(url) for url in urls):
                    yield self._candidate(urls, words, node)
            elif (target := self._address(value)) and names_picture(target):
                yield self._candidate([target], words, node)

    def _linked(self, attributes: dict[str, str | None]) -> Iterator[Candidate]:
        rel = (attributes.get("rel") or "").lower().split()
        urls = []
        if "image_src" in rel or ("preload" in rel and attributes.get("as") == "image"):
            named = _srcset(attributes.get("imagesrcset") or "")
            variants = list(itertools.islice(named, _MOST_VARIANTS))
            variants.append((0.0, 0.0, attributes.get("href") or ""))
            urls = self._ordered(variants)
        if urls:
            yield self._candidate(urls, "", None)

    def _image(self, node: LexborNode) -> Iterator[Candidate]:
        variants = list(_variants(node.attributes))
        parent = node.parent
        if parent is not None and parent.tag == "picture":
            for source in self._sources(parent):
                variants += _variants(source.attributes)
        ancestor = parent
        for _ in range(_WRAPPED):
            if ancestor is None:
                break
            if ancestor.tag == "a":
                target = self._address(ancestor.attributes.get("href"))
                # One link around many thumbnails is not the larger version of each.
                if target and names_picture(target) and self._is_alone(ancestor):
                    variants.append((4.0, 0.0, target))
                break
            ancestor = ancestor.parent
        urls = self._ordered(variants)
        if urls:
            words = " ".join(
                text
                for name in ("alt", "title", "aria-label")
                if (text := (node.attributes.get(name) or "").strip())
            )
            yield self._candidate(urls, words, node)

    def _sources(self, around: LexborNode) -> list[LexborNode]:
        """The sources of a picture element, for its first picture: it should have no other (WHATWG
        HTML, section 4.8.1)."""
        if around.mem_id in self._seen_sources:
            return []
        self._seen_sources.add(around.mem_id)
        return around.css("source")

    def _is_alone(self, link: LexborNode) -> bool:
        """Whether a link is around one picture."""
        if link.mem_id not in self._alone:
            self._alone[link.mem_id] = len(link.css("img")) == 1
        return self._alone[link.mem_id]

    def _ordered(self, variants: list[Variant]) -> list[str]:
        """Addresses without repetition, the largest first."""
        ordered = sorted(variants, key=lambda v: (v[0], v[1]), reverse=True)
        urls = (self._address(text) for _, _, text in ordered)
        return list(dict.fromkeys(url for url in urls if url))

    def _candidate(self, urls: list[str], words: str, node: LexborNode | None) -> Candidate:
        credit = next((self._credits[url] for url in urls if url in self._credits), None)
        title = words
        figure = 0 if node is None else self._figure(node)
        if node is not None:
            self._state(urls[0], node)
        if text := self._captions.get(figure):
            title = title or text
            words = f"{words} {text}".strip()
        if credit is None:
            stated = self._license
            credit = Credit(
                title=title[:300],
                author=self._makers.get(figure, "")[:300],
                license=stated.id if stated else "",
                license_url=stated.url if stated else "",
            )
        elif not credit.title:
            credit = replace(credit, title=title[:300])
        return Candidate(tuple(urls), words[:1000], credit)

    def _state(self, url: str, node: LexborNode) -> None:
        """Notes what is stated for a picture where it stands."""
        for place in (self._figure(node), self._item(node)):
            if place in self._licenses:
                self._stated.setdefault(url, {})[self._licenses[place]] = None

    def _address(self, text: str | None) -> str | None:
        return normalize(text, self._base) if text else None

    # What is said about them

    def _read_json(self, text: str) -> None:
        try:
            self._walk(json.loads(text), 0)
        except (ValueError, RecursionError):
            return

    def _walk(self, value: Any, level: int) -> None:
        if level > 20:
            return
        if isinstance(value, list):
            for item in value[:_MOST_LINKS]:
                self._walk(item, level + 1)
        elif isinstance(value, dict):
            kinds = value.get("@type")
            kinds = kinds if isinstance(kinds, list) else [kinds]
            if "ImageObject" in kinds:
                self._image_object(value)
            shown = value.get("image")
            for item in (shown if isinstance(shown, list) else [shown])[:_MOST_VARIANTS]:
                # An object has a turn of its own.
                if isinstance(item, str) and (target := self._address(item)):
                    self._described.append((target, _name(value.get("name"))))
            for item in value.values():
                if isinstance(item, dict | list):
                    self._walk(item, level + 1)

    def _image_object(self, value: dict[str, Any]) -> None:
        """schema.org/ImageObject, with the fields that search engines ask for licensed pictures."""
        address = value.get("contentUrl") or value.get("url")
        target = self._address(address) if isinstance(address, str) else None
        if not target:
            return
        named = value.get("license")
        named = named if isinstance(named, list) else [named]
        stated = {recognize(_name(one)): None for one in named[:_MOST_VARIANTS] if one}
        if reserves(_name(value.get("copyrightNotice"))):
            stated[None] = None
        self._stated.setdefault(target, {}).update(stated)
        title = _name(value.get("name")) or _name(value.get("caption"))
        self._credits[target] = Credit(
            title=plain_text(title)[:300],
            author=plain_text(_name(value.get("creator")) or _name(value.get("author")))[:300],
            attribution=plain_text(_name(value.get("creditText")))[:500],
        )
        self._described.append((target, title))

    def _figure(self, node: LexborNode) -> int:
        """The number of the nearest figure around an element; 0 where there is none."""
        return _nearest(node, self._figures, lambda place: place.tag == "figure")

    def _item(self, node: LexborNode | None) -> int:
        """The number of the nearest item of microdata around an element (WHATWG HTML, section 5.2);
        0 where there is none."""
        return _nearest(node, self._items, lambda place: "itemscope" in place.attributes)

    def _of_figures(self, tree: LexborHTMLParser, selector: str) -> dict[int, str]:
        """The text, by the number of each figure, of the first such element that has one."""
        texts: dict[int, str] = {}
        for node in tree.css(selector):
            figure = self._figure(node)
            if figure and not texts.get(figure):
                text = " ".join(node.text(separator=" ").split())
                texts[figure] = text[:1000]
                # Long captions say so at their end.
                if reserves(text):
                    self._reserved.add(figure)
        return texts

    def _is_of_item(self, node: LexborNode) -> bool:
        """Whether an element states the licence of a picture that microdata describe, by
        schema.org/ImageObject."""
        return (
            "license" in (node.attributes.get("itemprop") or "").split()
            and self._item(node.parent) in self._images
        )

    def _find_licenses(self, tree: LexborHTMLParser) -> License | None:
        """The one licence that a page states for all that is on it.

        A statement inside a figure is about that figure; two different ones say nothing.
        """
        found: set[License] = set()
        # By the numbers of figures and items.
        places: dict[int, list[License | None]] = {}
        for node in tree.css('[rel~="license"][href]'):
            stated = recognize(node.attributes.get("href") or "")
            if figure := self._figure(node):
                places.setdefault(figure, []).append(stated)
            elif stated and not self._is_of_item(node):
                found.add(stated)
        for node in tree.css('[itemprop~="license"]'):
            if self._is_of_item(node):
                address = node.attributes.get("href") or node.attributes.get("content")
                # Only its own text, so that no text is read once for each element around it.
                stated = recognize(address or node.text(deep=False, separator=" "))
                places.setdefault(self._item(node.parent), []).append(stated)
        for figure in self._reserved:
            places.setdefault(figure, []).append(None)
        self._licenses = {place: agreed(stated) for place, stated in places.items()}
        for node in tree.css("meta[name][content]"):
            if (node.attributes.get("name") or "").lower() in (
                "dc.rights",
                "dcterms.license",
                "dcterms.rights",
                "license",
            ) and (stated := recognize(node.attributes.get("content") or "")):
                found.add(stated)
        return found.pop() if len({stated.id for stated in found}) == 1 else None

    # Links

    def links(self, root: LexborNode) -> list[Link]:
        found: dict[str, Link] = {}
        for node in root.css("a[href], area[href], link[href]"):
            if len(found) >= _MOST_LINKS:
                break
            attributes = node.attributes
            rel = (attributes.get("rel") or "").lower().split()
            target = self._address(attributes.get("href"))
            if not target or target == self._url or names_picture(target) or "nofollow" in rel:
                continue
            if node.tag == "link":
                if "stylesheet" in rel:
                    found.setdefault(target, Link(target, "style", 0))
                if "next" not in rel:
                    continue
            if "next" in rel or (node.tag == "a" and _leads_on(node)):
                found[target] = Link(target, "page", 0, pagination=True)
            else:
                found.setdefault(target, Link(target))
        return list(found.values())


def _nearest(
    node: LexborNode | None, known: dict[int, int], fits: Callable[[LexborNode], bool]
) -> int:
    """The number of the nearest element that fits, of a node and those around it; 0 for none."""
    way: list[int] = []
    found, place = 0, node
    while place is not None:
        if place.mem_id in known:
            found = known[place.mem_id]
            break
        if fits(place):
            found = place.mem_id
            break
        way.append(place.mem_id)
        place = place.parent
    known.update(dict.fromkeys(way, found))
    return found


def _variants(attributes: dict[str, str | None]) -> Iterator[Variant]:
    """What an element's attributes name, each with its rank and size."""
    for name, value in attributes.items():
        if not value:
            continue
        if name.lower().endswith("srcset"):
            yield from itertools.islice(_srcset(value), _MOST_VARIANTS)
        elif name == "src":
            yield 0.0, 0.0, value
        elif _FULL.match(name) and not value.isdecimal():
            yield 3.0, 0.0, value
        elif _LAZY.fullmatch(name):
            yield 0.5, 0.0, value


def _srcset(value: str) -> Iterator[Variant]:
    """The candidates of a `srcset`; widths rank above densities, which rank above nothing."""
    place = 0
    # An address may hold commas, but not end in one (WHATWG HTML, section 4.8.4.2.1).
    while match := re.compile(r"[\s,]*(\S+)").match(value, place):
        address, place = match[1], match.end()
        descriptor = ""
        if address.endswith(","):
            address = address.rstrip(",")
        elif rest := re.compile(r"([^,]*),?").match(value, place):
            descriptor, place = rest[1], rest.end()
        size = re.match(r"\s*(\d{1,9}(?:\.\d{1,9})?)([wx])(?:\s|$)", descriptor)
        if address:
            rank = 2.0 if size and size[2] == "w" else 1.0
            yield rank, float(size[1]) if size else 1.0, address


def _css_candidates(
    text: str, base: str, license: License | None = None, *, sure: bool = False
) -> Iterator[Candidate]:
    """What a style names; where it is sure to be about pictures, whatever the names end in."""
    credit = Credit(license=license.id, license_url=license.url) if license else Credit()
    text = text[:_CSS_BYTES]
    for match in _CSS_SET.finditer(text):
        variants = [
            (float(part["density"] or 1), part["plain"] or part["double"] or part["single"])
            for part in _SET_PART.finditer(match[1])
        ]
        urls = [normalize(u, base) for _, u in sorted(variants, key=lambda v: -v[0])]
        if known := tuple(dict.fromkeys(u for u in urls if u and names_picture(u))):
            yield Candidate(known, "", credit)
    for match in _CSS_URL.finditer(_CSS_SET.sub("", text)):
        named = match[1] or match[2] or match[3] or ""
        target = normalize(named, base)
        # Style sheets name fonts and other sheets too, and parts of the page itself.
        if target and (names_picture(target) or (sure and not named.startswith("#"))):
            yield Candidate((target,), "", credit)


def _is_background(name: str) -> bool:
    return name.startswith("data-") and bool(re.search(r"bg|background|src|image", name))


def _leads_on(node: LexborNode) -> bool:
    around = node.parent if node.parent is not None and node.parent.tag in ("li", "span") else node
    classes = [c for n in (node, around) for c in (n.attributes.get("class") or "").split()]
    label = (node.attributes.get("aria-label") or node.attributes.get("title") or "").strip()
    return (
        any(_NEXT_CLASS.fullmatch(name) for name in classes)
        or bool(_NEXT_TEXT.fullmatch(label))
        or bool(_NEXT_TEXT.fullmatch(" ".join(node.text().split())[:40]))
    )


def _name(value: Any) -> str:
    """A text, or the name of the thing, or of the first of the things."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("name") or value.get("@id") or value.get("url")
    return value if isinstance(value, str) else ""


def describe(candidate: Candidate) -> str:
    """All words about a picture that filters search, in lower case."""
    names = " ".join(unquote(file_name(url)) for url in candidate.urls[:3])
    return f"{candidate.words} {candidate.credit.title} {names}".lower()
