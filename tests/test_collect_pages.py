"""What a page names: every picture once, its largest variant first, with what is said about it."""

import json
import linecache
import random
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.collect import feeds
from impasto.collect.feeds import read_xml
from impasto.collect.found import Candidate, Found
from impasto.collect.licenses import attribution, label, recognize
from impasto.collect.pages import read_page, read_style_sheet, reserves_picture
from impasto.collect.reading import read_answer
from impasto.collect.sources import SOURCES

BASE = "http://h.example/gallery/"


def read(body: str, head: str = "", **headers: str) -> Found:
    """A page with this body and head."""
    return read_page(f"<html><head>{head}</head><body>{body}</body></html>", BASE, headers)


def names(found: Found) -> list[list[str]]:
    """The variants of each picture, without the base."""
    return [[url.removeprefix(BASE) for url in c.urls] for c in found.pictures]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<img src="a.jpg">', [["a.jpg"]]),
        (
            '<img src="a.jpg" srcset="b.jpg 400w, c.jpg 1600w,d.jpg 800w">',
            [["c.jpg", "d.jpg", "b.jpg", "a.jpg"]],
        ),
        ('<img src="a.jpg" srcset="b,1.jpg 1x, c.jpg 2x">', [["c.jpg", "b,1.jpg", "a.jpg"]]),
        (
            '<picture><source srcset="s.avif 500w, l.avif 2000w"><img src="a.jpg"></picture>',
            [["l.avif", "s.avif", "a.jpg"]],
        ),
        ('<img src="blank.gif" data-src="a.jpg">', [["a.jpg", "blank.gif"]]),
        ('<img src="t.jpg" data-srcset="a.jpg 100w, b.jpg 900w">', [["b.jpg", "a.jpg", "t.jpg"]]),
        ('<img src="t.jpg" data-full-src="big.jpg">', [["big.jpg", "t.jpg"]]),
        ('<a href="big.jpg"><img src="t.jpg"></a>', [["big.jpg", "t.jpg"]]),
        ('<a href="big.png">the picture</a>', [["big.png"]]),
        (
            '<a href="big.jpg"><img src="t.jpg"><img src="zoom.png"></a>',
            [["big.jpg"], ["t.jpg"], ["zoom.png"]],
        ),
        (
            '<a href="big.jpg"><figure><div><b><picture><img src="t.jpg"></picture></b></div>'
            "</figure></a>",
            [["big.jpg", "t.jpg"]],
        ),
        ("<div style=\"background: url('bg.webp')\"></div>", [["bg.webp"]]),
        ('<div data-bg="bg.jpg"></div>', [["bg.jpg"]]),
        ("<div data-background-image=\"url('bg.jpg')\"></div>", [["bg.jpg"]]),
        ('<div data-bgset="a.jpg 400w, b.jpg 1200w"></div>', [["b.jpg", "a.jpg"]]),
        ('<div style="background-image: url(/show?id=3)"></div>', [["http://h.example/show?id=3"]]),
        ('<p style="filter: url(#blur)"><p style="background: red; mask: url(#m)">', []),
        ('<video poster="p.jpg"></video><table background="t.gif">', [["p.jpg"], ["t.gif"]]),
        ('<amp-img src="a.jpg" srcset="b.jpg 1200w" alt="x"></amp-img>', [["b.jpg", "a.jpg"]]),
        ('<noscript><img src="n.jpg"></noscript>', [["n.jpg"]]),
        ('<img src="data:image/png;base64,AA"><img src="">', []),
        ('<img src="a.jpg"><img src="a.jpg">', [["a.jpg"]]),
        ("<a href='x.html'><img src='a.jpg'></a>", [["a.jpg"]]),
    ],
)
def test_pictures_of_a_page(body: str, expected: list[list[str]]) -> None:
    """Each way to put a picture on a page is found, with all its variants, the largest first."""
    assert names(read(body)) == expected


def test_pictures_of_a_head() -> None:
    """Cards for social networks, preloaded pictures, style elements and JSON-LD name pictures."""
    head = """<meta property="og:image" content="og.jpg"><link rel="image_src" href="s.jpg">
    <link rel="preload" as="image" href="p.jpg" imagesrcset="q.jpg 900w">
    <style>a { background: image-set("x1.png" 1x, url(x2.png) 2x) } b { background: url(y.gif) }
    @font-face { src: url(font.woff) }</style>
    <script type="application/ld+json">{"@graph": [{"@type": "ImageObject", "name": "Old oak",
    "contentUrl": "oak.jpg", "license": "https://creativecommons.org/licenses/by/4.0/",
    "creator": {"@type": "Person", "name": "Ann Bee"}, "creditText": "A. Bee"}]}</script>"""
    found = read("<img src=oak.jpg>", head)
    expected = [["og.jpg"], ["s.jpg"], ["q.jpg", "p.jpg"], ["x2.png", "x1.png"], ["y.gif"]]
    assert names(found)[:5] == expected
    (oak,) = (c for c in found.pictures if c.urls[0].endswith("oak.jpg"))
    assert (oak.credit.title, oak.credit.author) == ("Old oak", "Ann Bee")
    assert (oak.credit.license, oak.credit.attribution) == ("by", "A. Bee")
    sheet = read_style_sheet("@import url(z.css); p { background: url(../z.png) }", BASE + "a.css")
    assert [c.urls for c in sheet.pictures] == [("http://h.example/z.png",)]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('<meta name="twitter:image:src" content="t.jpg">', [["t.jpg"]]),
        ('<meta itemprop="image" content="m">', [["m"]]),
        (
            '<script type="application/ld+json">{"@type": "Article", "image": "a", "b": {"image":'
            ' ["c", {"@type": "ImageObject", "url": "d"}, 7]}}</script>',
            [["a"], ["c"], ["d"]],
        ),
    ],
)
def test_a_page_says_what_it_shows(head: str, expected: list[list[str]]) -> None:
    """Metadata in their various forms name pictures, whatever the names end in."""
    assert names(read("", head)) == expected


@pytest.mark.parametrize(
    ("name", "leads"),
    [
        ("next", True),
        ("pagination__next", True),
        ("page-numbers next-page", True),
        ("nextpostslink", True),
        ("slick-next", False),
        ("next-article", False),
    ],
)
def test_classes_of_next_pages(name: str, leads: bool) -> None:
    """A link to the next page is known by its class, and one to the next of other things is not."""
    for body in (
        f'<a class="{name}" href="b.html">more</a>',
        f'<ul><li class="{name}"><a href="b.html">more</a></li></ul>',
    ):
        (link,) = read(body).links
        assert link.pagination == leads


@pytest.mark.parametrize(
    "link",
    [
        '<a href="b.html">Older posts »</a>',
        '<a href="b.html">Page suivante</a>',
        '<a href="b.html">Nächste Seite →</a>',
        '<a href="b.html" title="Next page"><img src="arrow.gif"></a>',
        '<a href="b.html" aria-label="Next">2</a>',
    ],
)
def test_words_of_next_pages(link: str) -> None:
    """A link to the next page is known by its words, or by those for who cannot see it."""
    (found,) = read(link).links
    assert found.pagination


def test_links_and_next_pages_of_a_page() -> None:
    """Links take a step of depth and next pages none; pictures, foreign schemes and what the page
    asks not to follow are no links."""
    body = """<a href="b.html">b</a> <a href="c.html" rel="nofollow">c</a> <a href="#top">t</a>
    <a href="mailto:x@y">m</a> <a href="?page=2" rel="next">more</a> <a href="?page=3">Next »</a>
    <a href="x.jpg">x</a>"""
    links = {link.url.removeprefix(BASE): link for link in read(body).links}
    assert set(links) == {"b.html", "?page=2", "?page=3"}
    assert [links[n].steps for n in ("b.html", "?page=2", "?page=3")] == [1, 0, 0]
    assert links["?page=3"].pagination
    assert read(body, '<meta name="robots" content="nofollow">').links == ()


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        ('<meta name="robots" content="index, noimageindex">', {}),
        ('<meta name="robots" content="noai, noimageai">', {}),
        ('<meta name="tdm-reservation" content="1">', {}),
        ("", {"x-robots-tag": "googlebot: noindex, noimageai"}),
        ("", {"tdm-reservation": "1"}),
    ],
)
def test_reserved_pictures_are_left_alone(head: str, headers: dict[str, str]) -> None:
    """A page that reserves its pictures, in itself or in its answer's fields, gives none."""
    found = read_page(f"<head>{head}</head><img src=a.jpg>", BASE, headers)
    assert found.pictures == ()
    assert "reserves" in found.fault


@pytest.mark.parametrize(
    ("rules", "pictures", "links"),
    [
        ("none", 0, 0),
        ("otherbot: none", 0, 0),
        ("noindex, nofollow", 1, 0),
        ("max-image-preview: none", 1, 1),
        ("otherbot: max-image-preview:none, max-snippet: -1", 1, 1),
        ("max-snippet: -1, max-image-preview: none, noai", 0, 1),
    ],
)
def test_values_of_robots_rules_are_no_rules(rules: str, pictures: int, links: int) -> None:
    """The value of a rule for robots is no rule itself, whereas `none` alone forbids both pictures
    and links, in a page as in the fields of its answer."""
    body = "<img src=a.jpg><a href=b.html>b</a>"
    for found in (
        read(body, f'<meta name="robots" content="{rules}">'),
        read_page(body, BASE, {"x-robots-tag": rules}),
    ):
        assert (len(found.pictures), len(found.links)) == (pictures, links)
    assert reserves_picture({"x-robots-tag": rules}) == (pictures == 0)


def credit_of(found: Found, name: str) -> tuple[str, str]:
    """Licence and author of a picture."""
    (one,) = (c for c in found.pictures if c.urls[0].endswith(name))
    return one.credit.license, one.credit.author


def test_licences_of_a_page() -> None:
    """A page's one licence is that of its pictures, a figure's is that of the figure, and two
    different ones say nothing."""
    cc = "https://creativecommons.org"
    figure = f"""<figure><img src="f.jpg"><figcaption>Sea by <a rel="author">Bo</a>
    <a rel="license" href="{cc}/publicdomain/zero/1.0/">CC0</a></figcaption></figure>"""
    by = f'<a rel="license" href="{cc}/licenses/by/4.0/">CC BY</a>'
    found = read(f'{by}<img src="a.jpg">{figure}')
    assert credit_of(found, "a.jpg") == ("by", "")
    assert credit_of(found, "f.jpg") == ("cc0", "Bo")
    other = f'<a rel="license" href="{cc}/licenses/by-nc/4.0/">CC BY-NC</a>'
    assert credit_of(read(f'{by}{other}<img src="a.jpg">'), "a.jpg") == ("", "")


CC = "https://creativecommons.org/licenses"
BY, NC = f"{CC}/by/4.0/", f"{CC}/by-nc/4.0/"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], "by-sa"),
        ([BY], "by"),
        ([BY, NC], "by-nc"),
        ([NC, BY], "by-nc"),
        (["https://h.example/terms"], ""),
        ([BY, "https://h.example/terms"], ""),
        (["https://h.example/terms", BY], ""),
    ],
)
@pytest.mark.parametrize("form", ["figure", "item", "json", "objects"])
def test_of_licences_of_one_picture_the_stricter_counts(
    form: str, statements: list[str], expected: str
) -> None:
    """All that a figure, an item of microdata or JSON-LD states for a picture counts, in any order,
    before what the page states for itself: the stricter of two, and none where one is unknown."""
    image = '<img src="a.jpg">'
    objects = [{"@type": "ImageObject", "contentUrl": "a.jpg", "license": s} for s in statements]
    if form == "figure":
        links = "".join(f'<a rel="license" href="{one}">x</a>' for one in statements)
        body = f"<figure>{image}<figcaption>Sea {links}</figcaption></figure>"
    elif form == "item":
        links = "".join(f'<p><a itemprop="license" href="{one}">x</a></p>' for one in statements)
        kind = "https://schema.org/ImageObject"
        body = f'<div itemscope itemtype="{kind}">{image}{links}</div>'
    else:
        whole = {"@type": "ImageObject", "contentUrl": "a.jpg", "license": statements}
        stated = objects if form == "objects" else [whole] if statements else []
        body = f'<script type="application/ld+json">{json.dumps(stated)}</script>{image}'
    page = f'<a rel="license" href="{CC}/by-sa/4.0/">x</a>'
    found = read(f'{page}{body}<img src="b.jpg">', '<meta property="og:image" content="a.jpg">')
    assert credit_of(found, "a.jpg")[0] == expected
    assert credit_of(found, "b.jpg")[0] == "by-sa"


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("All rights reserved", ""),
        ("© 2024 Ann, all rights\nreserved.", ""),
        ("Sea. " * 400 + "Tous droits réservés", ""),
        (f'<a rel="license" href="{NC}">x</a> All rights reserved', ""),
        ("Some rights reserved", "by"),
    ],
)
def test_captions_reserve_the_pictures_of_figures(caption: str, expected: str) -> None:
    """What a figure's caption reserves has no licence, whatever the page states for itself; other
    pictures, and those that share a stand-in with it, keep the page's."""
    found = read(
        f"""<a rel="license" href="{BY}">x</a><img src="blank.gif" data-src="b.jpg">
        <figure style="background: url(c.jpg)"><img src="blank.gif" data-src="a.jpg">
        <figcaption>{caption}</figcaption></figure>"""
    )
    licenses = {name: credit_of(found, name)[0] for name in ("a.jpg", "b.jpg", "c.jpg")}
    assert licenses == {"a.jpg": expected, "b.jpg": "by", "c.jpg": expected}


def test_licences_of_other_items_are_not_of_pictures() -> None:
    """Only the licence of the item that a picture stands in is that of the picture, and a link that
    states it is none of the whole page."""
    kind = 'itemscope itemtype="https://schema.org/'
    found = read(
        f"""<div {kind}ImageObject"><img src="a.jpg">
        <a rel="license" itemprop="license" href="{NC}">x</a>
        <p itemprop="sound" {kind}AudioObject"><a itemprop="license" href="/terms">x</a></p></div>
        <div {kind}Article"><a itemprop="license" href="{BY}">x</a><img src="b.jpg"></div>
        <div {kind}ImageObject"><img src="c.jpg"><b itemprop="license">CC BY-SA 4.0</b></div>"""
    )
    assert credit_of(found, "c.jpg")[0] == "by-sa"
    assert credit_of(found, "a.jpg")[0] == "by-nc"
    assert credit_of(found, "b.jpg")[0] == ""


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/deed.de", "by-sa"),
        ("http://creativecommons.org/licenses/by-nc-nd/3.0/us/", "by-nc-nd"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "pd"),
        ("This work is licensed under http://creativecommons.org/licenses/by/2.0/ .", "by"),
        ("CC BY-SA 3.0", "by-sa"),
        ("cc-by-4.0", "by"),
        ("CC BY-ND-NC 1.0", "by-nc-nd"),
        ("CC0 1.0 Universal", "cc0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "by-nc-sa"),
        ("Public domain", "pd"),
        ("pd-old-100", "pd"),
        ("Publiek domein", "pd"),
        ("not in the public domain", None),
        ("© 2020 Ann Bee. All rights reserved.", None),
        ("http://rightsstatements.org/vocab/InC/1.0/", None),
        ("https://creativecommons.org/", None),
        ("CC SA 1.0", None),
        ("attribution", None),
        ("", None),
        ("//creativecommons.org/licenses/by-nc/2.0/uk/legalcode", "by-nc"),
        ("https://creativecommons.org/licenses/by/3.0/igo/deed.zh-hans?ref=x", "by"),
        ("Creative Commons Attribution 4.0 International (CC BY 4.0)", "by"),
        ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "cc0"),
        ("This work is in the public domain.", "pd"),
        (
            "This work is licensed under the Creative Commons Attribution-NonCommercial-NoDerivs "
            "3.0 Unported License. To view a copy of this license, visit "
            "http://creativecommons.org/licenses/by-nc-nd/3.0/ or send a letter to Creative "
            "Commons, PO Box 1866, Mountain View, CA 94042, USA.",
            "by-nc-nd",
        ),
        ("License: CC BY 3.0 DE", "by"),
        # What says something else besides may say the contrary.
        ("Not licensed under https://creativecommons.org/licenses/by/4.0/", None),
        (
            "Text: https://creativecommons.org/licenses/by-sa/4.0/ - photographs: all rights "
            "reserved",
            None,
        ),
        ("https://creativecommons.org/licenses/by/4.0/ (text only)", None),
        ("All rights reserved. CC BY 4.0", None),
        ("CC BY except logos", None),
        ("CC BY 4.0 https://creativecommons.org/licenses/by-nc/4.0/", None),
        (
            "https://creativecommons.org/licenses/by/4.0/ "
            "https://creativecommons.org/licenses/by-nc/4.0/",
            None,
        ),
        ("pd not really", None),
        ("PD someone else", None),
        ("pd-not", None),
        # Addresses of others that look like those of Creative Commons.
        ("https://notcreativecommons.org/publicdomain/zero/1.0/", None),
        ("https://creativecommons.org.example/publicdomain/zero/1.0/", None),
        ("https://creativecommons.org@h.example/licenses/by/4.0/", None),
        ("http://h.example/?x=creativecommons.org/publicdomain/zero/1.0/", None),
        ("https://h.example/creativecommons.org/licenses/by/4.0/", None),
    ],
)
def test_licences_are_recognised(statement: str, expected: str | None) -> None:
    """Addresses and names of Creative Commons and of the public domain are recognised, and nothing
    that only mentions them."""
    found = recognize(statement)
    assert (found.id if found else None) == expected


def test_attribution_names_all_there_is() -> None:
    """The line beneath a picture names title, author, licence with its version, and source."""
    stated = recognize("CC BY-SA 4.0")
    assert stated is not None
    line = attribution("Oak", "Ann", stated.id, stated.url, "http://h.example/oak")
    assert line == '"Oak" by Ann, CC BY-SA 4.0, http://h.example/oak'
    assert label("pd", "") == "public domain"
    assert attribution("", "", "", "", "http://h.example/") == "Untitled, http://h.example/"


RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:media="http://search.yahoo.com/mrss/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:cc="http://backend.userland.com/creativeCommonsRssModule"><channel><title>t</title>
<item><title>Oak</title><link>http://h.example/oak</link><dc:creator>Ann</dc:creator>
 <media:group><media:content url="s.jpg" type="image/jpeg" width="100" height="80"/>
 <media:content url="l.jpg" type="image/jpeg" width="1000" height="800"/></media:group>
 <media:license href="https://creativecommons.org/licenses/by/4.0/">x</media:license></item>
<item><title>Elm</title><link>http://h.example/elm</link><enclosure url="e.png" type="image/png"/>
 <enclosure url="e.mp3" type="audio/mpeg"/>
 <content:encoded><![CDATA[<p><img src="in.jpg" alt="inside"></p>]]></content:encoded>
 <cc:license>https://creativecommons.org/publicdomain/zero/1.0/</cc:license></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><link rel="next" href="?p=2"/>
<entry><title>Ash</title><author><name>Cy</name></author><link href="http://h.example/ash"/>
<link rel="enclosure" type="image/jpeg" href="ash.jpg"/>
<link rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/"/>
<content type="html">&lt;img src="two.jpg"&gt;</content></entry></feed>"""
SITEMAP = """<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
 xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"><url><loc>http://h.example/p</loc>
<image:image><image:loc>http://h.example/i.jpg</image:loc><image:title>Ivy</image:title>
<image:license>https://creativecommons.org/licenses/by/2.0/</image:license></image:image></url>
</urlset>"""


def facts(candidate: Candidate) -> tuple[str, str, str, str, str]:
    """What is known of a picture of a feed."""
    credit = candidate.credit
    name = candidate.urls[0].rpartition("/")[2]
    return name, credit.title, credit.author, credit.license, candidate.page


def test_each_picture_of_an_entry_has_its_own_maker() -> None:
    """Who is credited with one picture of a feed's entry is not credited with the next one, which
    is by the entry's author."""
    feed = b"""<rss xmlns:media="http://search.yahoo.com/mrss/"><channel><item><author>Bo</author>
    <media:content url="1.jpg" type="image/jpeg"><media:credit>Ann</media:credit></media:content>
    <media:content url="2.jpg" type="image/jpeg"/></item></channel></rss>"""
    found = read_xml(feed, "http://h.example/feed")
    assert [one.credit.author for one in found.pictures] == ["Ann", "Bo"]


def test_rss_with_media() -> None:
    """Media RSS, enclosures and the text of items name pictures, with title, author and licence;
    the largest of a group comes first."""
    found = read_xml(RSS.encode(), BASE + "feed")
    assert [facts(c) for c in found.pictures] == [
        ("l.jpg", "Oak", "Ann", "by", "http://h.example/oak"),
        ("e.png", "Elm", "", "cc0", "http://h.example/elm"),
        ("in.jpg", "inside", "", "cc0", "http://h.example/elm"),
    ]
    assert found.pictures[0].urls[1].endswith("s.jpg")
    assert [link.url for link in found.links] == ["http://h.example/oak", "http://h.example/elm"]


def test_atom() -> None:
    """Atom's enclosures and contents name pictures, and its paging goes on."""
    found = read_xml(ATOM.encode(), BASE + "atom")
    assert [facts(c) for c in found.pictures] == [
        ("ash.jpg", "Ash", "Cy", "by-sa", "http://h.example/ash"),
        ("two.jpg", "Ash", "Cy", "by-sa", "http://h.example/ash"),
    ]
    assert [link.url for link in found.links if link.pagination] == [BASE + "atom?p=2"]


def test_sitemaps() -> None:
    """A sitemap names pages and pictures, its index other sitemaps, packed or not."""
    import gzip

    packed = gzip.compress(SITEMAP.encode())
    for data in (SITEMAP.encode(), packed):
        found = read_answer(data, BASE, "page", {}, {}, sources=(), max_pixels=10**8)
        assert [facts(c) for c in found.pictures] == [
            ("i.jpg", "Ivy", "", "by", "http://h.example/p")
        ]
        assert [(link.url, link.steps) for link in found.links] == [("http://h.example/p", 0)]
    index = b"<sitemapindex><sitemap><loc>http://h.example/s.xml</loc></sitemap></sitemapindex>"
    assert [link.url for link in read_xml(index, BASE).links] == ["http://h.example/s.xml"]


BOMB = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><rss><channel><title>&c;</title></channel></rss>"""


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (BOMB, "document type"),
        (b'<!DOCTYPE feed SYSTEM "file:///etc/passwd"><feed></feed>', "document type"),
        (b"<rss>" + b"<a>" * 500, "nested"),
        (b"<rss><channel>", "well-formed"),
        (b"<rss>" + bytes(range(128, 160)), "well-formed"),
    ],
)
def test_xml_that_would_grow_is_refused(data: bytes, word: str) -> None:
    """Document types with their entities, endless nesting and damage are refused, each in words."""
    assert word in read_xml(data, BASE).fault


def test_kinds_are_told_by_contents() -> None:
    """What an answer is follows from its contents, not from its declared type."""

    def read_as(data: bytes, declared: str) -> Found:
        headers = {"content-type": declared}
        return read_answer(data, BASE, "page", headers, {}, sources=(), max_pixels=10**8)

    assert len(read_as(RSS.encode(), "text/html").pictures) == 3
    assert (
        len(read_as("<p><img src=ä.jpg>".encode("latin-1"), "text/html; charset=latin-1").pictures)
        == 1
    )
    assert read_as(b"%PDF-1.7 \0", "application/pdf").fault
    assert read_as(b'{"a": 1}', "text/html").fault == "is JSON of an unknown kind"
    assert read_as(b"[" * 100_000, "application/json").fault == "is damaged JSON"
    assert read_as(b"\x1f\x8b" + np.random.default_rng(0).bytes(99), "text/xml").fault


@pytest.mark.parametrize(
    "markup",
    [
        "<style>" + "url(" * 200_000,
        "<style>" + "url(" + " " * 500_000,
        "<style>" + "image-set(" * 100_000,
        f'<p style="{"url(" * 100_000}">',
        f'<img srcset="{"a, " * 200_000}">',
        f'<a href="{"a/" * 500_000}">x</a>',
        "<div>" * 1_000_000,
        "".join(f"<b id={n}>" for n in range(50_000)) + "<p>x" * 1_000_000,
        "<a href=x><table>" * 200_000,
        f'<a rel="license" href="pd{"-a" * 190}!">x</a>',
        f'<script type="application/ld+json">{"[" * 100_000}</script>',
        "<meta " * 100_000,
        "<style>image-set(" + "'a' " * 50_000 + ")",
        "<style>image-set(" + "'a'" + "1" * 200_000 + ")",
        "<style>image-set('a.png' " + "1." * 100_000 + "x)",
        "<picture>" + "<source srcset=a.jpg>" * 20_000 + "<img src=b.jpg>" * 20_000,
        "<a href=x.jpg>" + "<img src=b.jpg>" * 20_000,
        "<figure>" + "<img src=b.jpg>" * 20_000,
    ],
)
def test_pages_that_would_take_for_ever(markup: str) -> None:
    """Markup made to keep a reader busy is read to its end; one that went back and forth over it
    would never come there."""
    assert isinstance(read(markup), Found)
    assert recognize("pd" + "-a" * 190 + "!") is None


@given(seed=st.integers(0, 10**9), kind=st.sampled_from(["html", "rss", "atom", "sitemap", "json"]))
@settings(max_examples=150, deadline=None)
def test_damage_breaks_no_reader(seed: int, kind: str) -> None:
    """Whatever bytes are lost or changed, an answer is read as far as it goes, or refused in
    words."""
    page = """<meta name="robots" content="x"><img srcset="a 1w, b 2x" style="background:url(c)">
    <figure><a rel="license" href="q"><img src="d"></a></figure><base href="/e">"""
    manifest = """{"@context": "http://iiif.io/api/presentation/2/", "@type": "sc:Manifest",
    "sequences": [{"canvases": [{"images": [{"resource": {"@id": "x", "service": {"@id": "y",
    "profile": ["p", {"maxWidth": 9}], "width": 3, "height": 4, "sizes": [{"width": 1}]}}}]}]}]}"""
    texts = {"html": page, "rss": RSS, "atom": ATOM, "sitemap": SITEMAP, "json": manifest}
    chance = random.Random(seed)
    data = bytearray(texts[kind].encode())
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data))
        if chance.random() < 0.5:
            data[place] = chance.choice(b"<>\"'{}[]:,&/=0a \xff")
        else:
            del data[place : place + chance.randint(1, 20)]
    found = read_answer(bytes(data), BASE, "page", {}, {}, sources=SOURCES, max_pixels=10**8)
    assert isinstance(found, Found)


HOSTILE = {
    "sources": ("<picture>", "<source srcset=a.jpg>", "<img src={0}.jpg>", "</picture>"),
    "sources of nothing": ("<picture>", "<source srcset=a.jpg>", "<img src=a>", "</picture>"),
    "thumbnails": ("<a href=x.jpg>", "<img src={0}.jpg>", "", "</a>"),
    "figure": ("<figure>", "<img src={0}.jpg>", "<i>x</i>", "</figure>"),
    "deep": ("", "<div>", "<img src={0}.jpg>", ""),
    "same": ("<figure>", "<img src=a.jpg>", "", ""),
    "links": ("<figure>", "<a rel=license href=x>", "<img src={0}.jpg>", ""),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pages_cost_no_more_than_their_length(kind: str) -> None:
    """Reading a page of about 60 kB in which many pictures share sources, a link, a figure or deep
    folders takes a bounded number of steps for each of its elements, and of searches in all."""
    before, one, other, after = HOSTILE[kind]
    count = 60_000 // len(one + other)
    parts = [part.format(n) for part in (one, other) for n in range(count)]
    markup = before + "".join(parts) + after
    lines = searches = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines, searches
        if not frame.f_code.co_filename.endswith(("collect/pages.py", "collect/urls.py")):
            return None
        if event == "line":
            lines += 1
            # A selector goes through all that an element holds; a loop's line comes many times.
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            searches += not text.startswith("for ") and (".css(" in text or ".css_first(" in text)
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        found = read(markup)
    finally:
        sys.settrace(former)
    assert len(found.pictures) <= 5000
    assert lines < 400 * count
    assert searches < 30


@pytest.mark.parametrize(
    "before", ["<div ", "</div ", "<div x='>' ", "<div a=b>text</div><p/", "<p ="]
)
def test_tags_of_endless_attributes_are_refused(before: str) -> None:
    """A tag whose attributes would each be compared with all before is refused; a few hundred, and
    long values, are not."""
    many = " ".join(f"a{n}=b" for n in range(30_000))
    assert "keep its readers busy" in read(f"{before}{many}><img src=a.jpg>").fault
    few = " ".join(f"a{n}=b" for n in range(300))
    long = "x y=z " * 100_000
    found = read(f'<p {few} title="{long}">' * 3 + f"<p alt='{long}'><img src=a.jpg>")
    assert len(found.pictures) == 1


def test_what_items_share_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed's channel, which holds all items, is searched a few times, however many they are."""
    searched: list[int] = []
    children = feeds._children

    def watched(node: Any, name: str) -> Any:
        searched.append(len(node))
        return children(node, name)

    monkeypatch.setattr(feeds, "_children", watched)
    item = '<item><enclosure url="/a.jpg" type="image/jpeg"/></item>'
    found = read_xml(f"<rss><channel>{item * 3000}</channel></rss>".encode(), BASE)
    assert len(found.pictures) == 3000
    assert sum(size >= 3000 for size in searched) < 10
    assert len(searched) < 3000 * 40


def test_long_pages_are_no_hostile_ones() -> None:
    """A page of several megabytes with thousands of unclosed items is read."""
    item = '<li><p><b>{0}</b><a href="{0}.html"><img src="{0}.jpg"></a>'
    items = "".join(item.format(number) for number in range(9000))
    found = read(f"<ul>{items}</ul>" + "<p>text <i>more</i>" * 100_000)
    assert len(found.pictures) == 5000
