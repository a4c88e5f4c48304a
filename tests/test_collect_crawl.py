"""A collection as a whole: what it follows, keeps and leaves out, and how it goes on."""

import contextlib
import hashlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from impasto.cli import main
from impasto.collect.addresses import Guard
from impasto.collect.album import Album
from impasto.collect.crawl import Crawl, Summary
from impasto.collect.filters import colorfulness, refuse_unseen
from impasto.collect.found import Candidate
from impasto.collect.manifest import Entry, read_manifest, write_manifest
from impasto.collect.options import BUDGETS, MANNERS, CollectOptions
from impasto.errors import InputError, OptionError, OutputError, RunError
from impasto.images import read_image
from web_site import (
    Names,
    Reply,
    Request,
    Site,
    closed_port,
    encoded,
    painted,
    picture,
    quick,
    served,
)


def collect(urls: Sequence[str], folder: Path, **values: object) -> Summary:
    """Collects to the end."""
    crawl = Crawl(urls, folder, quick(**values), backoff=0.01)
    try:
        for _ in crawl.run():
            pass
        return crawl.summary()
    finally:
        crawl.close()


def kept(folder: Path) -> set[str]:
    """The last parts of the addresses of what was kept."""
    return {entry.url.rpartition("/")[2] for entry in read_manifest(folder)}


def test_links_and_next_pages_are_followed_as_far_as_allowed(tmp_path: Path) -> None:
    """Links within the site are followed to the depth, next pages at no depth, other sites never,
    and no more pages are read than allowed."""
    with served() as site:
        site.pages.update(
            {
                "/": '<img src="0.jpg"><a href="/deep1">d</a><a rel="next" href="/p2">next</a>'
                '<a href="http://elsewhere.example/">e</a>',
                "/p2": '<img src="1.jpg">',
                "/deep1": '<img src="2.jpg"><a href="/deep2">d</a>',
                "/deep2": '<img src="3.jpg">',
                **{f"/{i}.jpg": picture(i) for i in range(4)},
            }
        )
        url = f"{site.url}/"
        collect([url], tmp_path / "a")
        assert kept(tmp_path / "a") == {"0.jpg", "1.jpg"}
        collect([url], tmp_path / "b", depth=1, pagination=False)
        assert kept(tmp_path / "b") == {"0.jpg", "2.jpg"}
        collect([url], tmp_path / "c", depth=2)
        assert kept(tmp_path / "c") == {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}
        few = collect([url], tmp_path / "d", depth=2, max_pages=1)
        assert kept(tmp_path / "d") == {"0.jpg"}
        assert few.unfinished == "--max-pages 1 is reached"
        assert few.left == 2
        collect([url], tmp_path / "d", depth=2, max_pages=9)
        assert kept(tmp_path / "d") == {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}


def test_endless_calendars_end(tmp_path: Path) -> None:
    """A calendar whose next month always exists is left after a few pages without a new picture,
    and links that pile up are not followed."""
    with served() as site:

        def month(line: Request) -> str:
            number = int(line.path.partition("=")[2] or 0)
            return f'<img src="/logo.jpg"><a rel="next" href="/calendar?m={number + 1}">next</a>'

        def pile(line: Request) -> str:
            return '<a href="sub/">further</a><a href="sub/x">x</a>'

        site.any_query["/calendar"] = month
        site.pages["/logo.jpg"] = picture(1)
        for depth in range(12):
            site.pages["/pile/" + "sub/" * depth] = pile
        summary = collect([f"{site.url}/calendar", f"{site.url}/pile/"], tmp_path, depth=20)
        assert sum(line.path.startswith("/calendar") for line in site.log) <= 5
        assert sum(line.path.startswith("/pile") for line in site.log) <= 8
        assert summary.unfinished == ""


def listing(site: Site, pages: int, *, first: str = "", pictures: bool = True) -> None:
    """Puts next pages on the site, each with a link to a page of its own that shows a picture."""
    for n in range(1, pages + 1):
        following = f'<a rel="next" href="/p{n + 1}">next</a>' if n < pages else ""
        site.pages[f"/p{n}"] = f'{first}<a href="/d{n}">detail {n}</a>{following}'
        site.pages[f"/d{n}"] = f'<img src="/{n}.jpg">' if pictures else "<p>"
        site.pages[f"/{n}.jpg"] = picture(n)


def test_next_pages_go_on_where_pictures_are_behind_links(tmp_path: Path) -> None:
    """Pages that only list links to pages with pictures are all read; where those never show any,
    a list without end is left."""
    with served() as site:
        listing(site, 9)
        collect([f"{site.url}/p1"], tmp_path / "a", depth=1)
        assert kept(tmp_path / "a") == {f"{n}.jpg" for n in range(1, 10)}
        listing(site, 60, pictures=False)
        site.log.clear()
        summary = collect([f"{site.url}/p1"], tmp_path / "b", depth=1)
        assert 6 <= sum(line.path.startswith("/p") for line in site.log) <= 15
        assert (summary.left, summary.unfinished) == (0, "")


def test_a_shorter_way_to_a_page_counts(tmp_path: Path) -> None:
    """A page that is found as a link and then as a next page is as near as the nearer of the two,
    and so is what it leads to, whether it has been read meanwhile or not; nothing is read twice."""
    with served() as site:
        listing(site, 4, first="".join(f'<a href="/p{n}">{n}</a>' for n in range(1, 5)))
        collect([f"{site.url}/p1"], tmp_path / "a", depth=1)
        assert kept(tmp_path / "a") == {f"{n}.jpg" for n in range(1, 5)}
        assert set(site.paths().values()) == {1}
        site.log.clear()
        site.pages.update(
            {
                "/": '<a href="/moved">x</a><a href="/q2" rel="next">next</a>',
                "/moved": Reply(status=302, headers={"Location": "/x"}),
                "/x": '<a href="/d1">y</a><a href="/x2" rel="next">next</a>',
                "/x2": '<a href="/d2">y</a>',
                "/q2": '<a href="/q3" rel="next">next</a>',
                "/q3": '<a href="/moved" rel="next">next</a>',
            }
        )
        collect([f"{site.url}/"], tmp_path / "b", depth=1)
        read = [line.path for line in site.log]
        assert read.index("/x") < read.index("/q3") < read.index("/d1")
        assert kept(tmp_path / "b") == {"1.jpg", "2.jpg"}
        assert set(site.paths().values()) == {1}


def test_style_sheets_of_the_site_name_pictures(tmp_path: Path) -> None:
    """Backgrounds in the site's own style sheets are found, each once."""
    with served() as site:
        site.pages.update(
            {
                "/": '<link rel="stylesheet" href="/s/a.css"><p>',
                "/s/a.css": Reply(b"p { background: url(../bg.jpg) }"),
                "/bg.jpg": picture(1),
            }
        )
        collect([f"{site.url}/"], tmp_path)
        assert kept(tmp_path) == {"bg.jpg"}


def test_the_next_best_variant_is_taken(tmp_path: Path) -> None:
    """If the largest variant is missing or no picture, the next one is asked for; if it is there,
    no other is."""
    with served() as site:
        site.pages.update(
            {
                "/": '<img src="s.jpg" srcset="m.jpg 500w, l.jpg 900w, xl.jpg 1900w">'
                '<img src="t.jpg" srcset="b.jpg 900w">',
                "/l.jpg": b"<html>no picture",
                "/m.jpg": picture(1),
                "/s.jpg": picture(1, 160, 120),
                "/b.jpg": picture(2),
                "/t.jpg": picture(2, 160, 120),
            }
        )
        summary = collect([f"{site.url}/"], tmp_path)
        assert kept(tmp_path) == {"m.jpg", "b.jpg"}
        assert set(site.paths()) == {"/robots.txt", "/", "/xl.jpg", "/l.jpg", "/m.jpg", "/b.jpg"}
        assert (summary.progress.found, summary.progress.failed) == (2, 0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"formats": "jpeg"}, "another format"), ({"max_size": 400}, "too large"), ({}, "robots")],
)
def test_the_next_variant_of_what_a_filter_leaves_out(
    values: dict[str, object], reason: str, tmp_path: Path
) -> None:
    """A variant in another format, larger than allowed or forbidden by robots.txt gives way to the
    next one; only where none is left the picture is skipped, with the reason."""
    with served() as site:
        if reason == "robots":
            site.pages["/robots.txt"] = b"User-agent: *\nDisallow: /*.png"
        site.pages.update(
            {
                "/": '<img src="/a.jpg" srcset="/a.png 900w"><img src="/b.png">',
                "/a.png": encoded(painted(1, 900, 700), "PNG"),
                "/b.png": encoded(painted(2, 900, 700), "PNG"),
                "/a.jpg": picture(1),
            }
        )
        summary = collect([f"{site.url}/"], tmp_path, **values)
        assert kept(tmp_path) == {"a.jpg"}
        assert [(kind, number) for kind, *_, number in summary.reasons] == [("picture", 1)]
        assert summary.reasons[0][2].startswith(reason)
        assert (summary.progress.found, summary.progress.skipped) == (2, 1)


def test_redirects_to_known_addresses_are_counted(tmp_path: Path) -> None:
    """A picture that leads to an address which is known already is counted there, and where that
    turns out to be no picture its own next variant is taken, or it has failed."""
    with served() as site:
        site.pages.update(
            {
                "/": "".join(f'<img src="/s{n}.jpg" srcset="/l{n}.jpg 900w">' for n in range(1, 3))
                + '<img src="/l3.jpg"><img src="/same1.jpg"><img src="/same2.jpg">'
                '<img src="/ring1.jpg">',
                "/gone": "<p>gone",
                "/real.jpg": picture(7),
                "/ring1.jpg": Reply(status=302, headers={"Location": "/ring2.jpg"}),
                "/ring2.jpg": Reply(status=302, headers={"Location": "/ring1.jpg"}),
            }
        )
        for n in range(1, 4):
            site.pages[f"/l{n}.jpg"] = Reply(status=302, headers={"Location": "/gone"})
            site.pages[f"/s{n}.jpg"] = picture(n)
            site.pages[f"/same{n}.jpg"] = Reply(status=302, headers={"Location": "/real.jpg"})
        summary = collect([f"{site.url}/"], tmp_path)
        assert kept(tmp_path) == {"s1.jpg", "s2.jpg", "real.jpg"}
        assert set(summary.reasons) == {
            ("picture", "failed", "no picture that can be read", 1),
            ("picture", "failed", "redirected in a circle", 1),
            ("picture", "skipped", "leads to the same address as another", 1),
        }
        progress = summary.progress
        assert (progress.found, progress.kept, progress.skipped, progress.failed) == (6, 3, 1, 2)
        assert set(site.paths().values()) == {1}


FILTERED = {
    "wide.jpg": picture(1, 600, 100),
    "small.jpg": picture(2, 100, 80),
    "tall.jpg": picture(3, 100, 600),
    "large.png": encoded(painted(4, 800, 600), "PNG"),
    "grey.jpg": encoded(np.repeat(painted(5)[..., :1], 3, axis=2), "JPEG"),
    "oak-tree.jpg": picture(6),
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, set(FILTERED)),
        ({"min_size": 150}, {"large.png", "grey.jpg", "oak-tree.jpg"}),
        ({"max_size": 400}, {"small.jpg", "grey.jpg", "oak-tree.jpg"}),
        ({"min_aspect": 2}, {"wide.jpg"}),
        ({"max_aspect": 0.5}, {"tall.jpg"}),
        ({"formats": "png"}, {"large.png"}),
        ({"max_colorfulness": 5}, {"grey.jpg"}),
        ({"min_colorfulness": 5}, set(FILTERED) - {"grey.jpg"}),
        ({"words": "oak, river"}, {"oak-tree.jpg", "wide.jpg"}),
        ({"without_words": "tree,RIVER"}, set(FILTERED) - {"oak-tree.jpg", "wide.jpg"}),
    ],
)
def test_filters(values: dict[str, object], expected: set[str], tmp_path: Path) -> None:
    """Pictures are filtered by size, shape, format, colourfulness, and words in text or name."""
    with served() as site:
        site.pages.update({f"/{name}": data for name, data in FILTERED.items()})
        site.pages["/"] = "".join(
            f'<img src="{name}" alt="{"a river" if name == "wide.jpg" else ""}">'
            for name in FILTERED
        )
        summary = collect([f"{site.url}/"], tmp_path, **values)
        assert kept(tmp_path) == expected
        assert summary.progress.skipped == len(FILTERED) - len(expected)
        assert sum(number for *_, number in summary.reasons) >= summary.progress.skipped
        if "words" in values:
            # What words rule out is not even fetched.
            assert "/small.jpg" not in site.paths()


@pytest.mark.parametrize(
    ("words", "said", "expected"),
    [
        ("art", "a cartoon of a start", False),
        ("art", "Art, and more", True),
        ("art", "modern_art-2.jpg", True),
        ("oak tree", "oak-tree.jpg", True),
        ("oak tree", "a tree, an oak", False),
        ("été", "L'E\u0301TÉ", True),
        ("été", "étés", False),
        ("ete", "été", False),
        ("strasse", "STRASSE", True),
        ("straße", "Hauptstrasse", False),
        ("дуб", "дубрава", False),
        ("дуб", "Старый Дуб", True),
        ("風景", "美しい風景画", True),
        ("c++", "a c++ book", True),
        ("1889", "dsc1889.jpg", True),
        ("188", "dsc1889.jpg", False),
    ],
)
def test_words_are_whole_words(words: str, said: str, expected: bool) -> None:
    """The word filters go by whole words of any script, whatever their case, form of accents or
    what joins them; in scripts without spaces a part is enough. They are sought in names too."""
    for candidate in (
        Candidate(("http://h.example/",), said),
        Candidate((f"http://h.example/{quote(said)}",)),
    ):
        assert (refuse_unseen(candidate, quick(words=words)) == "") == expected
        assert (refuse_unseen(candidate, quick(without_words=words)) == "") != expected


def test_colourfulness_is_that_of_the_paper() -> None:
    """Grey is 0; two equal halves of pure red and green have, by the formula of Hasler and
    Süsstrunk, a deviation of 255 and a mean of 127.5 along their axes."""
    assert colorfulness(np.full((3, 8, 8), 0.3, np.float32)) == pytest.approx(0)
    halves = np.zeros((3, 4, 4), np.float32)
    halves[0, :, :2] = halves[1, :, 2:] = 1
    # rg = ±255 and yb = 127.5 everywhere, so σ = 255 and μ = 127.5.
    assert colorfulness(halves) == pytest.approx(255 + 0.3 * 127.5)


def xmp(license: str) -> bytes:
    """An XMP packet with a licence and a creator."""
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
     xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
     xmlns:cc="http://creativecommons.org/ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">
     <cc:license rdf:resource="{license}"/><dc:creator><rdf:Seq><rdf:li>Ann Bee</rdf:li></rdf:Seq>
     </dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>""".encode()


def test_only_pictures_that_may_be_reused(tmp_path: Path) -> None:
    """With --license only pictures stay whose page, or whose own metadata, states such a licence;
    one whose page states another is not fetched."""
    cc = "https://creativecommons.org"
    exif = Image.Exif()
    exif[0x8298] = "CC BY 4.0"
    exif[0x013B] = "Cy Dee"
    buffer = io.BytesIO()
    Image.fromarray(painted(9)).save(buffer, "JPEG", exif=exif, quality=85)
    with served() as site:
        figure = '<figure><img src="{}"><a rel="license" href="{}">x</a></figure>'
        site.pages.update(
            {
                "/": figure.format("free.jpg", f"{cc}/publicdomain/zero/1.0/")
                + figure.format("nc.jpg", f"{cc}/licenses/by-nc/4.0/")
                + '<img src="unknown.jpg"><img src="inside.jpg"><img src="exif.jpg">',
                "/free.jpg": picture(1),
                "/nc.jpg": picture(2),
                "/unknown.jpg": picture(3),
                "/inside.jpg": picture(4, xmp=xmp(f"{cc}/publicdomain/mark/1.0/")),
                "/exif.jpg": buffer.getvalue(),
            }
        )
        summary = collect([f"{site.url}/"], tmp_path, license="cc0,pd,by")
        facts = {e.url.rpartition("/")[2]: (e.license, e.author) for e in read_manifest(tmp_path)}
        assert facts == {
            "free.jpg": ("cc0", ""),
            "inside.jpg": ("pd", "Ann Bee"),
            "exif.jpg": ("by", "Cy Dee"),
        }
        assert "/nc.jpg" not in site.paths()
        reasons = {reason for *_, reason, _ in summary.reasons}
        assert {"another licence", "no licence stated"} <= reasons


@pytest.mark.parametrize(
    ("of_page", "of_file", "expected"),
    [
        ("by", "https://creativecommons.org/licenses/by-nc-nd/4.0/", "by-nc-nd"),
        ("by-nc-nd", "https://creativecommons.org/licenses/by/4.0/", "by-nc-nd"),
        ("by-sa", "https://creativecommons.org/licenses/by-nc/4.0/", "by-nc"),
        ("by", "https://creativecommons.org/publicdomain/zero/1.0/", "by"),
        ("by", "https://creativecommons.org/licenses/by/2.0/", "by"),
        ("by", "All rights reserved.", ""),
        ("by", "ask me", "by"),
    ],
)
def test_of_two_licences_the_stricter_counts(
    of_page: str, of_file: str, expected: str, tmp_path: Path
) -> None:
    """Where a page and the metadata of a picture on it state different licences, the one that
    permits less is put down; a file that reserves all rights has none; and --license goes by
    that."""
    address = f"https://creativecommons.org/licenses/{of_page}/4.0/"
    with served() as site:
        site.pages["/"] = f'<a rel="license" href="{address}">text</a><img src="/a.jpg">'
        site.pages["/a.jpg"] = picture(1, xmp=xmp(of_file))
        collect([f"{site.url}/"], tmp_path / "any")
        (entry,) = read_manifest(tmp_path / "any")
        assert entry.license == expected
        assert (f"/{expected}/" in entry.license_url) == bool(expected)
        collect([f"{site.url}/"], tmp_path / "chosen", license=of_page)
        assert len(read_manifest(tmp_path / "chosen")) == (expected == of_page)


BY = '<a rel="license" href="https://creativecommons.org/licenses/by/4.0/">x</a>'


@pytest.mark.parametrize("license", ["", "by"])
@pytest.mark.parametrize("first", ["picture", "link", "page", "redirect", "thumbnail"])
def test_what_several_pages_say_comes_together(first: str, license: str, tmp_path: Path) -> None:
    """A picture that a page shows without a word, or links to, and another one with title and
    licence, has what the fuller mention says and the page that shows it; one that was left out for
    want of a licence is looked at again."""
    shown = {
        "picture": '<img src="/a.jpg">',
        "link": '<a href="/a.jpg">see</a>',
        "page": '<a href="/a">see</a>',
        "redirect": '<img src="/moved">',
        "thumbnail": '<img src="/a.jpg" alt="A tree">',
    }[first]
    path = "/a" if first == "page" else "/a.jpg"
    with served() as site:
        site.pages.update(
            {
                "/": f'{shown}<a href="/first">x</a><a href="/two">2</a>',
                "/first": f'<img src="{path}">',
                "/two": BY + f'<img src="{path}" alt="An oak"><img src="/b.jpg">',
                path: picture(1),
                "/b.jpg": picture(2),
                "/moved": Reply(status=302, headers={"Location": "/a.jpg"}),
            }
        )
        summary = collect(
            [f"{site.url}/"], tmp_path, depth=1, **({"license": license} if license else {})
        )
        found = {e.url.rpartition("/")[2]: e for e in read_manifest(tmp_path)}
        assert set(found) == {path[1:], "b.jpg"}
        entry = found[path[1:]]
        assert (entry.title, entry.license, entry.page) == ("An oak", "by", f"{site.url}/two")
        assert entry.attribution.startswith('"An oak"')
        assert "creativecommons.org/licenses/by/4.0" in entry.license_url
        progress = summary.progress
        assert (progress.kept, progress.skipped, progress.failed, summary.left) == (2, 0, 0, 0)
        assert site.paths()[path] == (2 if license else 1)


def test_what_one_page_rules_out_another_may_show(tmp_path: Path) -> None:
    """A picture that was left out because of what one page says of it is asked for where another
    page says something else, with the words of that one alone."""
    with served() as site:
        nc = BY.replace("/by/", "/by-nc/")
        site.pages.update(
            {
                "/": '<a href="/1">1</a><a href="/2">2</a>',
                "/1": nc + '<img src="/a.jpg" alt="An oak">',
                "/2": BY + '<img src="/a.jpg">',
                "/a.jpg": picture(1),
            }
        )
        summary = collect([f"{site.url}/"], tmp_path, depth=1, license="by")
        (entry,) = read_manifest(tmp_path)
        assert (entry.license, entry.title, entry.page) == ("by", "", f"{site.url}/2")
        assert (summary.progress.found, summary.reasons) == (1, ())


def test_what_reserves_its_rights_is_not_asked_for_again(tmp_path: Path) -> None:
    """A picture whose file reserves all rights is not fetched once more, however many pages state a
    licence; and of a kept one its own stricter licence stays."""
    with served() as site:
        links = "".join(f'<a href="/{n}">x</a>' for n in range(4))
        shown = '<img src="/a.jpg" alt="An oak"><img src="/b.jpg" alt="A beech">'
        site.pages["/"] = '<img src="/b.jpg">' + links
        site.pages.update({f"/{n}": BY + shown for n in range(4)})
        site.pages["/a.jpg"] = picture(1, xmp=xmp("All rights reserved"))
        nc = "https://creativecommons.org/licenses/by-nc/4.0/"
        site.pages["/b.jpg"] = picture(2, xmp=xmp(nc))
        collect([f"{site.url}/"], tmp_path, depth=1, license="by,by-nc")
        (entry,) = read_manifest(tmp_path)
        assert (entry.title, entry.license, entry.license_url) == ("A beech", "by-nc", nc)
        assert set(site.paths().values()) == {1}


def test_what_is_said_while_a_picture_comes_counts(tmp_path: Path) -> None:
    """A licence that a page states while the picture is on its way from another host is not lost,
    and the picture is not asked for twice."""
    with served() as site:
        names = Names({h: [["93.184.215.14"]] for h in ("a.example", "b.example")}, site)
        is_said = threading.Event()

        def slow(_: Request) -> bytes:
            is_said.wait(60)
            return picture(1)

        site.pages.update(
            {
                "a.example/": '<img src="http://b.example/a.jpg"><a href="/two">2</a>',
                "a.example/two": BY + '<img src="http://b.example/a.jpg" alt="An oak">',
                "b.example/a.jpg": slow,
            }
        )
        crawl = Crawl(
            ["http://a.example/"],
            tmp_path,
            quick(allow_private=False, depth=1, license="by"),
            guard=names.guard(),
            connect=names.connect,
        )
        for progress in crawl.run():
            if progress.pages == 2:
                is_said.set()
        crawl.close()
        assert is_said.is_set()
        (entry,) = read_manifest(tmp_path)
        assert (entry.title, entry.license) == ("An oak", "by")
        assert site.paths()["/a.jpg"] == 1


def test_of_near_duplicates_the_best_stays(tmp_path: Path) -> None:
    """Of a picture in three sizes, a crop and a copy the largest stays, whatever the order; with
    `all`, only the copy goes."""
    original = painted(5, 640, 480)
    large = Image.fromarray(original)
    small = np.array(large.resize((240, 180), Image.Resampling.LANCZOS))
    crop = np.array(large.crop((32, 24, 608, 456)))
    with served() as site:
        site.pages.update(
            {
                "/": "".join(f'<img src="{n}">' for n in ("s.jpg", "l.png", "c.jpg", "x.png")),
                "/s.jpg": encoded(small, "JPEG", quality=70),
                "/l.png": encoded(original, "PNG"),
                "/c.jpg": encoded(crop, "JPEG", quality=80),
                "/x.png": encoded(original, "PNG"),
            }
        )
        summary = collect([f"{site.url}/"], tmp_path / "a")
        assert kept(tmp_path / "a") == {"l.png"}
        files = {p.name for p in (tmp_path / "a").iterdir()}
        (entry,) = read_manifest(tmp_path / "a")
        assert files == {entry.file, "manifest.jsonl", ".impasto-collect"}
        assert summary.progress.skipped == 3
        collect([f"{site.url}/"], tmp_path / "b", duplicates="all")
        assert kept(tmp_path / "b") == {"s.jpg", "l.png", "c.jpg"}


def test_the_manifest_tells_all(tmp_path: Path) -> None:
    """Every kept file has a line with its source, page, digest, size and hash, and every line a
    file."""
    with served() as site:
        site.pages.update(
            {
                "/": '<img src="a" alt="An oak"><img src="b.png">',
                "/a": Reply(status=302, headers={"Location": "/real.jpg"}),
                "/real.jpg": picture(1),
                "/b.png": encoded(painted(2), "PNG"),
            }
        )
        collect([f"{site.url}/"], tmp_path)
        entries = read_manifest(tmp_path)
        assert [e.url.removeprefix(site.url) for e in entries] == ["/b.png", "/real.jpg"]
        for entry in entries:
            data = (tmp_path / entry.file).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry.sha256
            assert len(data) == entry.bytes
            bitmap = read_image(data)
            assert (bitmap.width, bitmap.height) == (entry.width, entry.height)
            assert entry.page == f"{site.url}/"
            assert entry.fetched_at.utcoffset() is not None
        assert entries[1].title == "An oak"
        assert entries[1].attribution == f'"An oak", {site.url}/'
        raw = [json.loads(text) for text in (tmp_path / "manifest.jsonl").read_text().splitlines()]
        assert set(raw[0]) == set(Entry.model_fields)


def test_the_manifest_says_when_the_bytes_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that a stopped run received and a later one put into the folder has the time at
    which it was received."""
    with served({"/": '<img src="/a.jpg">', "/a.jpg": picture(1)}) as site:
        with monkeypatch.context() as stopped:
            stopped.setattr(Album, "place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                collect([f"{site.url}/"], tmp_path)
        hour_ago = time.time() - 3600
        for path in (tmp_path / ".impasto-collect" / "answers").iterdir():
            os.utime(path, (hour_ago, hour_ago))
        collect([f"{site.url}/"], tmp_path)
        (entry,) = read_manifest(tmp_path)
        assert site.paths()["/a.jpg"] == 1
        assert abs(entry.fetched_at.timestamp() - hour_ago) <= 1


def test_manifests_survive_their_own_reading(tmp_path: Path) -> None:
    """What is written is read back the same; a missing or damaged manifest is one line."""
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path)
    entry = Entry(
        file="a.jpg",
        url="http://h.example/ä\n",
        fetched_at="2026-01-02T03:04:05Z",  # pyright: ignore[reportArgumentType]
        sha256="0" * 64,
        width=1,
        height=2,
        bytes=3,
        format="jpeg",
        phash="0" * 16,
    )
    odd = entry.model_copy(update={"title": "a\u2028b\x85c\x0cd", "author": "\x1ce\r"})
    write_manifest(tmp_path, [])
    assert read_manifest(tmp_path) == []
    write_manifest(tmp_path, [entry, odd])
    assert read_manifest(tmp_path) == [entry, odd]
    path = tmp_path / "manifest.jsonl"
    path.write_text(path.read_text() + '{"file": "../evil"}\n')
    with pytest.raises(InputError, match="line 3 is damaged"):
        read_manifest(tmp_path)


def test_a_collection_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """Closed after any number of requests, a collection takes the answer that is under way and goes
    on to the same end: nothing is asked for twice, robots.txt and redirects among it."""
    with served() as site:
        site.delay = 0.1
        site.pages["/"] = "".join(f'<img src="/{i}.jpg">' for i in range(8))
        site.pages.update({f"/{i}.jpg": picture(i) for i in range(8)})
        site.pages["/5.jpg"] = Reply(status=302, headers={"Location": "/moved.jpg"})
        site.pages["/moved.jpg"] = picture(5)
        for stop in range(1, 11):
            crawl = Crawl([f"{site.url}/"], tmp_path, quick())
            for _ in crawl.run():
                # Long enough for the next request to be on its way, too short for its answer.
                time.sleep(0.05)
                if len(site.log) >= stop:
                    break
            crawl.close()
        summary = collect([f"{site.url}/"], tmp_path)
        assert summary.progress.kept == 8
        assert set(site.paths().values()) == {1}


def test_what_takes_long_is_broken_off_and_gone_on_with(tmp_path: Path) -> None:
    """A stop waits a few seconds for what is under way, not for ever; later the rest of it is asked
    for."""
    body = encoded(painted(1), "PNG")

    def endless(write: Callable[[bytes], None]) -> None:
        write(body[:5000])
        time.sleep(30)

    with served() as site:
        tag = {"ETag": '"v1"'}
        site.pages["/a.png"] = Reply(endless, headers={"Content-Length": str(len(body)), **tag})
        crawl = Crawl([f"{site.url}/a.png"], tmp_path, quick())
        try:
            for _ in crawl.run():
                if len(site.log) == 2 and site.log[1].sent:
                    crawl.stop("enough")
            assert crawl.summary().unfinished == "enough"
        finally:
            crawl.close()
        site.ranges = True
        site.pages["/a.png"] = Reply(body, headers=tag)
        assert collect([f"{site.url}/a.png"], tmp_path).progress.kept == 1
        assert (site.log[-1].headers["Range"], site.log[-1].status) == ("bytes=5000-", 206)


def test_the_manifest_grows_with_the_folder(tmp_path: Path) -> None:
    """At every point of a collection the manifest has just the pictures that are kept."""
    with served() as site:
        site.pages["/"] = "".join(f'<img src="/{i}.jpg">' for i in range(6))
        site.pages.update({f"/{i}.jpg": picture(i) for i in range(6)})
        crawl = Crawl([f"{site.url}/"], tmp_path, quick())
        seen = set()
        for progress in crawl.run():
            entries = read_manifest(tmp_path)
            assert len(entries) == progress.kept
            assert {e.file for e in entries} == {p.name for p in tmp_path.glob("*.jpg")}
            seen.add(progress.kept)
        crawl.close()
        assert len(seen) > 3


def test_a_304_that_nobody_asked_for_is_a_failure(tmp_path: Path) -> None:
    """An answer that nothing has changed fails where nothing was known, and is counted as such."""
    with served() as site:
        site.pages["/"] = '<img src="/a.jpg"><img src="/b.jpg">'
        site.pages.update({"/a.jpg": Reply(status=304), "/b.jpg": picture(2)})
        summary = collect([f"{site.url}/"], tmp_path)
        assert kept(tmp_path) == {"b.jpg"}
        assert summary.progress.failed == 1
        assert ("picture", "failed", "HTTP status 304", 1) in summary.reasons


def test_what_was_deleted_is_not_wanted(tmp_path: Path) -> None:
    """A picture whose file somebody removed from the folder is not fetched again, and neither it
    nor a larger one that shows the same is kept; the manifest is without it until it is back."""
    with served() as site:
        site.pages["/"] = '<img src="/a.jpg"><img src="/b.jpg">'
        site.pages.update({"/a.jpg": picture(1, 160, 120), "/b.jpg": picture(2)})
        collect([f"{site.url}/"], tmp_path)
        first = next(e for e in read_manifest(tmp_path) if e.url.endswith("a.jpg"))
        (tmp_path / first.file).rename(tmp_path.parent / "aside.jpg")
        large = Image.fromarray(painted(1, 160, 120)).resize((640, 480), Image.Resampling.LANCZOS)
        site.pages["/"] = '<img src="/a.jpg"><img src="/b.jpg"><img src="/c.png">'
        site.pages["/c.png"] = encoded(np.array(large), "PNG")
        crawl = Crawl([f"{site.url}/"], tmp_path, quick(), refresh=True)
        for _ in crawl.run():
            pass
        summary = crawl.summary()
        crawl.close()
        assert site.paths()["/a.jpg"] == site.paths()["/c.png"] == 1
        assert kept(tmp_path) == {"b.jpg"}
        assert (summary.progress.kept, summary.progress.skipped, summary.progress.found) == (
            1,
            2,
            3,
        )
        assert ("picture", "skipped", "deleted from the folder", 1) in summary.reasons
        assert (
            "picture",
            "skipped",
            "shows what was deleted from the folder",
            1,
        ) in summary.reasons
        again = collect([f"{site.url}/"], tmp_path)
        assert (again.progress.kept, again.progress.found) == (1, 3)
        (tmp_path.parent / "aside.jpg").rename(tmp_path / first.file)
        back = collect([f"{site.url}/"], tmp_path)
        assert (back.progress.kept, back.progress.found) == (2, 3)
        assert kept(tmp_path) == {"a.jpg", "b.jpg"}
        assert site.paths()["/a.jpg"] == 1


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    """While one collection works in a folder, another one is refused, and mixing collections is."""
    with served({"/": "<p>"}) as site:
        first = Crawl([f"{site.url}/"], tmp_path, quick())
        with pytest.raises(OutputError, match="another impasto collect"):
            Crawl([f"{site.url}/"], tmp_path, quick())
        first.close()
        with pytest.raises(OptionError, match="--min-size"):
            Crawl([f"{site.url}/"], tmp_path, quick(min_size=99))
        with pytest.raises(OptionError, match="other addresses"):
            Crawl([f"{site.url}/x"], tmp_path, quick())
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        Crawl(["http://h.example/"], other)
    with pytest.raises(OutputError, match="is a file"):
        Crawl(["http://h.example/"], other / "notes.txt")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"license": "gpl"}, "'gpl' is unknown; use cc0"),
        ({"formats": "bmp"}, "'bmp' is unknown"),
        ({"license": ""}, "--license: it is empty"),
        ({"words": " , "}, "--words: it is empty"),
        ({"formats": ""}, "--formats: it is empty"),
        ({"without_words": ""}, "--without-words: it is empty"),
        ({"max_bytes": "lots"}, "write it like 500MB"),
        ({"min_size": 500, "max_size": 100}, "leave nothing"),
        ({"contact": "a\r\nX: y"}, "plain ASCII"),
        ({"delay": -1}, "--delay"),
        ({"depth": 1.5}, "--depth"),
    ],
)
def test_bad_options(values: dict[str, object], words: str) -> None:
    """Values that cannot be meant are refused in one line that names the option."""
    with pytest.raises(OptionError, match=words):
        CollectOptions(**values)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["itself", "another"])
def test_first_pages_that_lead_in_a_circle_are_told(kind: str, tmp_path: Path) -> None:
    """A page that leads back to itself, at once or by another one, is a failure with a reason; a
    collection of nothing else ends in a line."""
    with served({"/ok": '<img src="/a.jpg">', "/a.jpg": picture(1)}) as site:
        back = Reply(status=302, headers={"Location": "/"})
        site.pages["/"] = (
            Reply(status=302, headers={"Location": "/2"}) if kind != "itself" else back
        )
        site.pages["/2"] = back
        with pytest.raises(RunError, match="redirected in a circle"):
            collect([f"{site.url}/"], tmp_path / "one")
        summary = collect([f"{site.url}/", f"{site.url}/ok"], tmp_path / "two")
        assert summary.progress.kept == 1
        assert summary.reasons == (("page", "failed", "redirected in a circle", 1),)


def test_only_pictures_are_counted_as_pictures(tmp_path: Path) -> None:
    """While a collection goes on, neither robots.txt nor style sheets are pictures that were
    found."""
    with served({"/": '<img src="/a.jpg"><link rel="stylesheet" href="/s.css">'}) as site:
        site.pages.update({"/a.jpg": picture(1), "/s.css": "", "/robots.txt": "User-agent: *\n"})
        crawl = Crawl([f"{site.url}/"], tmp_path, quick())
        assert {progress.found for progress in crawl.run()} == {0, 1}
        assert crawl.summary().progress.found == 1
        crawl.close()


def test_what_goes_wrong_with_one_request_costs_it_alone(tmp_path: Path) -> None:
    """Whatever a library makes of a strange address, the others are asked for."""
    with served() as site:
        names = Names({"a.example": [["93.184.215.14"]]}, site)

        def resolve(host: str, port: int) -> Sequence[str]:
            if host == "b.example":
                raise UnicodeError("label empty or too long")
            return names.resolve(host, port)

        site.pages["a.example/"] = '<img src="http://b.example/b.jpg"><img src="/a.jpg">'
        site.pages["a.example/a.jpg"] = picture(1)
        crawl = Crawl(
            ["http://a.example/"],
            tmp_path,
            quick(allow_private=False, attempts=1),
            guard=Guard(resolve=resolve),
            connect=names.connect,
        )
        list(crawl.run())
        assert kept(tmp_path) == {"a.jpg"}
        assert "cannot be asked (UnicodeError: label" in crawl.summary().unfinished
        crawl.close()


def test_pictures_whose_journal_is_gone_are_left_alone(tmp_path: Path) -> None:
    """Where the journal was deleted or emptied, the manifest with makers and licences stays."""
    with served({"/": '<img src="/a.jpg">', "/a.jpg": picture(1)}) as site:
        collect([f"{site.url}/"], tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        journal = tmp_path / ".impasto-collect" / "journal.sqlite"
        for _ in range(2):
            for path in journal.parent.glob("journal.sqlite*"):
                path.unlink()
            with pytest.raises(OutputError, match="holds files, but its journal"):
                collect([f"{site.url}/"], tmp_path)
            journal.write_bytes(b"")
        after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        assert after == before
        assert len(read_manifest(tmp_path)) == 1


@pytest.mark.parametrize(
    ("fact", "value", "fault"),
    [
        ("command", "{", "its journal is damaged"),
        ("command", "[1]", "its journal is damaged"),
        ("command", '"text"', "its journal is damaged"),
        ("bytes", "many", "its journal is damaged"),
        ("bytes", "1.5", "its journal is damaged"),
    ],
)
def test_altered_facts_are_told_in_a_line(
    fact: str, value: str, fault: str, tmp_path: Path
) -> None:
    """A journal whose facts make no sense is refused in words."""
    with served({"/": '<img src="/a.jpg">', "/a.jpg": picture(1)}) as site:
        collect([f"{site.url}/"], tmp_path)
        set_fact(tmp_path, fact, value)
        with pytest.raises(OutputError, match=fault):
            collect([f"{site.url}/"], tmp_path)


def set_fact(folder: Path, name: str, value: str) -> None:
    """Alters the journal of a collection."""
    with contextlib.closing(sqlite3.connect(folder / ".impasto-collect/journal.sqlite")) as base:
        base.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))
        base.commit()


def test_options_of_other_versions_are_named(tmp_path: Path) -> None:
    """A collection with an option that this version does not have is refused with its name."""
    with served({"/": '<img src="/a.jpg">', "/a.jpg": picture(1)}) as site:
        collect([f"{site.url}/"], tmp_path)
        plain = quick().model_dump(mode="json", exclude={*BUDGETS, *MANNERS})
        command = {"urls": [f"{site.url}/"], **plain, "best_of": 3}
        set_fact(tmp_path, "command", json.dumps(command))
        with pytest.raises(OptionError, match="collected with other --best-of"):
            collect([f"{site.url}/"], tmp_path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command collects, says what it kept and why not more, and ends with a line and code 2 or
    1 where nothing could be."""
    folder = tmp_path / "out"
    with served({"/": '<img src="a.jpg"><img src="b.jpg">', "/a.jpg": picture(1)}) as site:
        site.pages["/b.jpg"] = picture(2, 40, 40)
        arguments = ["collect", f"{site.url}/", "-o", str(folder), "--delay", "0"]
        assert main([*arguments, "--allow-private", "--max-bytes", "5MB", "--min-size", "64"]) == 0
        text = capsys.readouterr().out
        assert "1 picture kept of 2 found on 1 page;" in text
        assert "skipped: too small" in text
        assert main(["collect", f"{site.url}/", "-o", str(tmp_path / "x")]) == 2
        assert "not on the public internet; if it is yours, add" in capsys.readouterr().err
    flags = ["-o", str(tmp_path / "y"), "--allow-private", "--attempts", "1"]
    with closed_port() as port:
        assert main(["collect", f"http://127.0.0.1:{port}/", *flags]) == 1
    assert "the connection failed" in capsys.readouterr().err
    assert main(["collect", "example.org", "-o", str(tmp_path / "z")]) == 2
    assert "write it in full" in capsys.readouterr().err


def command(url: str, folder: Path) -> list[str]:
    """The command that collects from a site on this machine."""
    arguments = [sys.executable, "-m", "impasto", "collect", url, "-o", str(folder)]
    return [*arguments, "--delay", "0", "--allow-private", "--min-size", "32"]


def begun(arguments: list[str]) -> "subprocess.Popen[str]":
    """A process that can be interrupted as from a terminal."""
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Shells let what they run in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(site: Site, requests: int) -> None:
    """Until the site has had so many."""
    deadline = time.monotonic() + 600
    while len(site.log) < requests and time.monotonic() < deadline:
        time.sleep(0.01)


def test_ctrl_c_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Ctrl-C takes the answer that is under way and ends the command with code 130, what has been
    collected stays, and the same command brings the rest without asking for anything twice."""
    with served() as site:
        is_told = threading.Event()

        def slow(_: Request) -> bytes:
            is_told.wait(600)
            return picture(4)

        site.pages["/"] = "".join(f'<img src="/{i}.jpg">' for i in range(12))
        site.pages.update({f"/{i}.jpg": picture(i) for i in range(12)})
        site.pages["/4.jpg"] = slow
        arguments = command(f"{site.url}/", tmp_path)
        process = begun(arguments)
        wait_for(site, 7)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping once what is under way has come" in process.stderr.readline()
        is_told.set()
        out, err = process.communicate(timeout=600)
        assert process.returncode == 130
        assert "go on with the same command" in err
        assert "not asked for yet: interrupted" in out
        assert len(read_manifest(tmp_path)) == 5
        again = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=600)
        assert "12 pictures kept of 12 found" in again.stdout
        assert set(site.paths().values()) == {1}


def test_a_second_ctrl_c_waits_for_nothing(tmp_path: Path) -> None:
    """A second Ctrl-C ends the command though an answer is under way."""
    with served() as site:
        over = threading.Event()

        def slow(_: Request) -> bytes:
            over.wait(600)
            return picture(1)

        site.pages.update({"/": '<img src="/0.jpg"><img src="/1.jpg">', "/0.jpg": picture(0)})
        site.pages["/1.jpg"] = slow
        process = begun(command(f"{site.url}/", tmp_path))
        wait_for(site, 4)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again stops at once" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
        assert not over.is_set()
        over.set()
        assert process.returncode == 130
        assert "1  not asked for yet: interrupted" in out
        assert "go on with the same command" in err
        assert kept(tmp_path) == {"0.jpg"}


def test_names_are_looked_up_where_they_are_needed(tmp_path: Path) -> None:
    """Pictures on other hosts are fetched from there, each host under its own rules."""
    public = "93.184.215.14"
    with served() as site:
        site.pages.update(
            {
                "a.example/": '<img src="http://b.example/x.jpg"><img src="http://b.example/no.jpg">',
                "b.example/robots.txt": b"User-agent: *\nDisallow: /no",
                "b.example/x.jpg": picture(1),
            }
        )
        names = Names({"a.example": [[public]], "b.example": [[public]]}, site)
        crawl = Crawl(
            ["http://a.example/"],
            tmp_path,
            quick(allow_private=False),
            guard=names.guard(),
            connect=names.connect,
        )
        for _ in crawl.run():
            pass
        crawl.close()
        assert kept(tmp_path) == {"x.jpg"}
        assert [(line.host, line.path) for line in site.log if line.host == "b.example"] == [
            ("b.example", "/robots.txt"),
            ("b.example", "/x.jpg"),
        ]
