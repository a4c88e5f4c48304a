"""Hostile servers: nothing they send fills the disk, the memory or the time, or names a file."""

import contextlib
import gzip
import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from impasto.collect.addresses import Guard
from impasto.collect.crawl import Crawl, Summary
from impasto.collect.found import Found
from impasto.collect.manifest import read_manifest
from impasto.collect.reading import read_answer
from impasto.errors import OutputError
from web_site import Clock, Names, Reply, encoded, painted, picture, quick, served

Write = Callable[[bytes], None]


def collect(url: str, folder: Path, **values: object) -> Summary:
    """Collects to the end."""
    crawl = Crawl([url], folder, quick(**values), backoff=0.01)
    try:
        for _ in crawl.run():
            pass
        return crawl.summary()
    finally:
        crawl.close()


def endless(write: Write) -> None:
    """Ten gigabytes, or as much as is taken."""
    for _ in range(10_000):
        write(b"\xff" * 1_000_000)


def test_files_that_lie_about_their_length(tmp_path: Path) -> None:
    """A file of 10 GB is cut off at the limit, whether it states its length, states a small one, or
    states none; one that says 10 GB and sends little is not waited for."""
    head = picture(1)
    with served() as site:
        site.pages.update(
            {
                "/": "".join(f'<img src="/{n}.jpg">' for n in ("honest", "small", "none", "big")),
                "/honest.jpg": Reply(endless, headers={"Content-Length": str(10**10)}),
                "/small.jpg": Reply(endless, headers={"Content-Length": "5000"}),
                "/none.jpg": Reply(endless),
                "/big.jpg": Reply(
                    lambda write: write(head), headers={"Content-Length": str(10**10)}
                ),
            }
        )
        memory = psutil.Process().memory_info().rss
        summary = collect(f"{site.url}/", tmp_path, max_file="2MB", attempts=1)
        assert summary.progress.kept == 0
        reasons = {reason: number for _, _, reason, number in summary.reasons}
        assert reasons["larger than --max-file"] == 3
        assert summary.progress.bytes < 3_000_000
        assert psutil.Process().memory_info().rss - memory < 60_000_000
        # What a server could send before the connection was cut is bounded by the buffers.
        assert all(line.sent < 12_000_000 for line in site.log)
        assert not list((tmp_path / ".impasto-collect").rglob("*.part"))


def wide_png(width: int, height: int) -> bytes:
    """A whole PNG file of one black and one white half, in few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        return len(data).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    # One bit a pixel, grey; each row begins with its filter, which is none.
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\x00\x00\x00\x00"
    row, half = b"\x00" + b"\xff" * (width // 16), b"\x00" * (-(-width // 8) - width // 16)
    pixels = zlib.compress((row + half) * height, 9)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_bombs_do_not_unpack(tmp_path: Path) -> None:
    """Compressed pages that unpack to gigabytes are cut off; so are packed sitemaps, and packings
    of packings."""
    page = b"<p>" + b"x" * 60_000_000
    bomb = gzip.compress(page, 9)
    twice = gzip.compress(bomb)
    packed = {"Content-Encoding": "gzip", "Content-Type": "text/html"}
    with served() as site:
        site.pages.update(
            {
                "/": '<a href="/a">a</a><a href="/b">b</a><a href="/c">c</a>',
                "/a": Reply(bomb, headers=packed),
                "/b": Reply(twice, headers={**packed, "Content-Encoding": "gzip, gzip"}),
                "/c": Reply(gzip.compress(b"<urlset>" + page), headers={"Content-Type": "x/gzip"}),
            }
        )
        summary = collect(f"{site.url}/", tmp_path, depth=1)
        reasons = {reason for _, _, reason, _ in summary.reasons}
        assert "is packed more than once" in reasons
        assert "is larger than 10 MB" in reasons
        sizes = [p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()]
        assert max(sizes) < 5_000_000


def test_pictures_of_too_many_pixels_are_not_decoded(tmp_path: Path) -> None:
    """A sound picture of few bytes and more pixels than are allowed is refused for these alone,
    one that has no pixels for what it lacks; where so many are allowed the first one is kept."""
    bomb = wide_png(16_000, 7_000)
    assert len(bomb) < 50_000
    with served() as site:
        site.pages["/"] = '<img src="/wide.png"><img src="/empty.png">'
        site.pages.update({"/wide.png": bomb, "/empty.png": wide_png(100, 100)[:45]})
        collect(f"{site.url}/", tmp_path / "a")
        assert read_manifest(tmp_path / "a") == []
        with contextlib.closing(
            sqlite3.connect(tmp_path / "a" / ".impasto-collect" / "journal.sqlite")
        ) as journal:
            rows = journal.execute("SELECT url, detail FROM tasks WHERE kind = 'picture'")
            faults = {url.rpartition("/")[2]: detail for url, detail in rows}
        assert faults["wide.png"].startswith("16000 x 7000 is 112,000,000 pixels, more than the")
        assert "is damaged, cut short" in faults["empty.png"]
        collect(f"{site.url}/", tmp_path / "b", max_megapixels=112)
        (entry,) = read_manifest(tmp_path / "b")
        assert (entry.width, entry.height) == (16_000, 7_000)


def test_slow_answers_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends a byte now and then, in the head or in the body, holds nobody up for
    longer than one answer may take."""
    clock = Clock()
    monkeypatch.setattr("impasto.collect.connections.time", clock)

    def trickle(write: Write) -> None:
        for _ in range(200):
            write(b"\xff")
            clock.passed += 20
            time.sleep(0.05)

    with served() as site:
        site.pages.update(
            {
                "/": '<img src="/slow.jpg"><img src="/ok.jpg">',
                "/slow.jpg": Reply(trickle),
                "/ok.jpg": picture(1),
            }
        )
        summary = collect(f"{site.url}/", tmp_path, timeout=100, attempts=1)
        assert summary.progress.kept == 1
        assert ("picture", "failed", "the answer took too long", 1) in summary.reasons


def test_names_that_nobody_finds_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not answer holds nobody up for longer than one answer may take."""
    over, clock = threading.Event(), Clock()
    monkeypatch.setattr("impasto.collect.connections.time", clock)
    with served() as site:
        names = Names({"a.example": [["93.184.215.14"]]}, site)

        def resolve(host: str, port: int) -> Sequence[str]:
            if host == "lost.example":
                # Time passes once nothing else is on its way.
                while not list(tmp_path.glob("*.jpg")):
                    time.sleep(0.01)
                clock.passed += 100
                over.wait(60)
            return names.resolve(host, port)

        site.pages["/"] = '<img src="http://lost.example/x.jpg"><img src="/a.jpg">'
        site.pages["/a.jpg"] = picture(1)
        crawl = Crawl(
            ["http://a.example/"],
            tmp_path,
            quick(allow_private=False, timeout=100, attempts=1),
            guard=Guard(resolve=resolve),
            connect=names.connect,
        )
        list(crawl.run())
        summary = crawl.summary()
        crawl.close()
        assert not over.is_set()
        over.set()
        assert summary.progress.kept == 1
        assert summary.left == 1
        assert "lost.example: robots.txt cannot be had" in summary.unfinished


@pytest.mark.parametrize("target", ["/loop.jpg", "ftp://x.example/a.jpg", "file:///etc/passwd", ""])
def test_redirects_end(target: str, tmp_path: Path) -> None:
    """Redirects to themselves, to other schemes and to nowhere are given up."""
    turn = [0]

    def loop(_: object) -> Reply:
        turn[0] += 1
        return Reply(status=302, headers={"Location": target and f"{target}?{turn[0]}"})

    with served({"/": '<img src="/loop.jpg">'}) as site:
        site.any_query["/loop.jpg"] = loop
        summary = collect(f"{site.url}/", tmp_path)
        assert 1 <= turn[0] <= 10
        assert summary.progress.kept == 0
        assert summary.left == 0


def test_contents_decide(tmp_path: Path) -> None:
    """What a picture is follows from its contents: names and declared types may lie, drawings and
    pages are refused, and a damaged file is not kept."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    page = Reply(b"<html><script>x</script>", headers={"Content-Type": "image/jpeg"})
    with served() as site:
        site.pages.update(
            {
                "/": "".join(f'<img src="/{n}">' for n in ("a.jpg", "b.png", "c.svg", "d.jpg"))
                + '<img src="/e.jpg"><a href="/picture">a picture</a>',
                "/a.jpg": Reply(encoded(painted(1), "PNG"), headers={"Content-Type": "text/html"}),
                "/b.png": page,
                "/c.svg": svg,
                "/d.jpg": picture(2)[:3000],
                "/e.jpg": b"",
                "/picture": picture(3),
            }
        )
        collect(f"{site.url}/", tmp_path, depth=1)
        kept = read_manifest(tmp_path)
        assert {(e.url.removeprefix(site.url), e.format) for e in kept} == {
            ("/a.jpg", "png"),
            ("/picture", "jpeg"),
        }
        assert {Path(e.file).suffix for e in kept} == {".png", ".jpg"}


def test_names_are_made_not_taken(tmp_path: Path) -> None:
    """Nothing that a server or a page says becomes part of a path."""
    names = ["/..%2f..%2fevil.jpg", "/con.jpg", "/a.jpg%00.exe", "/%2e%2e/x.jpg", "/-rf.jpg"]
    with served() as site:
        site.pages["/"] = "".join(f'<img src="{name}" alt="../../up">' for name in names)
        for seed, name in enumerate(names):
            body = picture(seed)
            disposition = {"Content-Disposition": 'attachment; filename="/tmp/evil.sh"'}
            site.pages[name] = Reply(body, headers=disposition)
            site.pages[name.replace("%2e%2e/", "")] = Reply(body, headers=disposition)
        folder = tmp_path / "inside"
        collect(f"{site.url}/", folder)
        kept = read_manifest(folder)
        assert len(kept) == len(names)
        for entry in kept:
            assert entry.file == f"{entry.sha256[:20]}.jpg"
            assert (folder / entry.file).is_file()
        assert {p.name for p in tmp_path.iterdir()} == {"inside"}
        allowed = {e.file for e in kept} | {"manifest.jsonl", ".impasto-collect"}
        assert {p.name for p in folder.iterdir()} == allowed


def test_what_servers_say_is_only_text(tmp_path: Path) -> None:
    """Line breaks and terminal commands in titles and addresses stay inside their line of the
    manifest."""
    with served() as site:
        site.pages["/"] = '<img src="/a.jpg" alt="one&#10;{&quot;file&quot;: 1}&#27;[2J two">'
        site.pages["/a.jpg"] = picture(1)
        collect(f"{site.url}/", tmp_path)
        (line,) = (tmp_path / "manifest.jsonl").read_bytes().splitlines()
        assert b"\x1b" not in line
        assert "two" in json.loads(line)["title"]


ODD_ANSWERS: dict[str, Reply] = {
    "idna": Reply(b"<p>" + b"x" * 200, headers={"Content-Type": "text/html; charset=idna"}),
    "undefined": Reply(b"<p>x", headers={"Content-Type": "text/html; charset=undefined"}),
    "half title": Reply(
        b'<script type="application/ld+json">{"@type": "ImageObject", "contentUrl": "/half.jpg",'
        b' "name": "cut \\ud83d", "creator": "a\\u2028b"}</script>'
    ),
    "half address": Reply(
        b'{"@context": "http://iiif.io/api/image/2/", "@id": "http://h.example/\\ud83d",'
        b' "width": 9, "height": 9}'
    ),
    "half address of a picture": Reply(
        b'{"@context": "iiif.io", "@id": "\\udc00", "type": "Manifest"}'
    ),
    "sizes": Reply(
        b'{"@context": "http://iiif.io/api/image/2/", "width": 90000, "height": 90000, "sizes": 7}'
    ),
}


@pytest.mark.parametrize("kind", ODD_ANSWERS)
def test_one_odd_answer_ends_no_collection(kind: str, tmp_path: Path) -> None:
    """An answer with impossible encodings, halves of characters or values of the wrong kind costs
    at most itself: the rest of the site is collected, and the manifest can be read."""
    with served() as site:
        site.pages.update(
            {
                "/": '<a href="/odd">x</a><a href="/even">y</a>',
                "/odd": ODD_ANSWERS[kind],
                "/half.jpg": picture(1),
                "/even": '<img src="/ok.jpg">',
                "/ok.jpg": picture(2),
            }
        )
        summary = collect(f"{site.url}/", tmp_path, depth=1)
        kept = {entry.url.removeprefix(site.url): entry for entry in read_manifest(tmp_path)}
        assert "/ok.jpg" in kept
        assert summary.left == 0
        if kind == "half title":
            assert (kept["/half.jpg"].title, kept["/half.jpg"].author) == ("cut ?", "a b")


def test_a_reader_that_breaks_costs_one_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the program in one answer is a reason among others, and the crawl goes on."""

    def breaking(data: bytes, *rest: Any, **options: Any) -> Found:
        if data == b"<p>odd":
            raise ZeroDivisionError
        return read_answer(data, *rest, **options)

    monkeypatch.setattr("impasto.collect.crawl.read_answer", breaking)
    with served() as site:
        site.pages["/"] = '<a href="/odd">x</a><a href="/even">y</a>'
        site.pages.update({"/odd": "<p>odd", "/even": '<img src="/a.jpg">', "/a.jpg": picture(1)})
        summary = collect(f"{site.url}/", tmp_path, depth=1)
        assert summary.progress.kept == 1
        assert ("page", "skipped", "cannot be read (ZeroDivisionError)", 1) in summary.reasons


def test_odd_validators_are_not_repeated(tmp_path: Path) -> None:
    """An ETag that no request can hold is left out when the page is asked for again."""
    page = Reply(b"<p>text", headers={"ETag": '"\xe9\x80"'})
    with served({"/": page}) as site:
        collect(f"{site.url}/", tmp_path)
        crawl = Crawl([f"{site.url}/"], tmp_path, quick(), refresh=True, backoff=0.01)
        try:
            list(crawl.run())
        finally:
            crawl.close()
        asked = [line.headers for line in site.log if line.path == "/"]
        assert len(asked) == 2
        assert "If-None-Match" not in asked[1]


def test_a_damaged_journal_is_said_in_a_line(tmp_path: Path) -> None:
    """A journal whose pages have been overwritten ends the collection with one line, at whatever
    point the damage shows."""
    links = "".join(f'<a href="/{i}">x</a>' for i in range(400))
    with served({"/": links}) as site:
        collect(f"{site.url}/", tmp_path, depth=1, max_pages=2)
        journal = tmp_path / ".impasto-collect" / "journal.sqlite"
        whole = journal.read_bytes()
        for first in (0, 1, 2, 5, 9):
            # A page of the database has 4096 bytes.
            kept = whole[: first * 4096 + 100]
            journal.write_bytes(kept + b"\xa5" * (len(whole) - len(kept)))
            with pytest.raises(OutputError, match="its journal") as caught:
                collect(f"{site.url}/", tmp_path, depth=1, max_pages=4)
            assert "\n" not in str(caught.value)
