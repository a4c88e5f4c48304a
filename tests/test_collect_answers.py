"""Answers that are cut off: what has come is kept, and only the rest is asked for."""

import itertools
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from impasto.collect.answers import Answer, Beginning, Shelf
from impasto.collect.crawl import Crawl, Summary
from impasto.collect.manifest import read_manifest
from web_site import Reply, Request, Site, encoded, painted, quick, served

BODY = encoded(painted(3, 300, 200), "PNG")
HALF = len(BODY) // 2
URL = "http://h.example/a.jpg"


def collect(url: str, folder: Path, **values: object) -> Summary:
    """Collects to the end."""
    crawl = Crawl([url], folder, quick(**values), backoff=0.01)
    try:
        for _ in crawl.run():
            pass
        return crawl.summary()
    finally:
        crawl.close()


def cut_off(headers: dict[str, str], body: bytes = BODY) -> Reply:
    """An answer whose connection breaks in the middle."""

    def half(write: Callable[[bytes], None]) -> None:
        write(body[:HALF])

    return Reply(half, headers={"Content-Length": str(len(body)), **headers})


def first_cut(site: Site, headers: dict[str, str], then: Reply) -> None:
    """Puts a picture on the site whose first answer is cut off."""
    turns = itertools.chain([cut_off(headers)], itertools.repeat(then))
    site.pages["/a.png"] = lambda _: next(turns)


def asked(site: Site) -> list[tuple[str | None, str | None]]:
    """`Range` and `If-Range` of the requests for the picture."""
    lines = [line for line in site.log if line.path == "/a.png"]
    return [(line.headers.get("Range"), line.headers.get("If-Range")) for line in lines]


def check_kept(folder: Path, body: bytes = BODY) -> None:
    """The picture is there, byte for byte."""
    (entry,) = read_manifest(folder)
    assert (folder / entry.file).read_bytes() == body


# The site's answers have a date of their own.
LONG_AGO = {"Last-Modified": formatdate(time.time() - 3600, usegmt=True)}


@pytest.mark.parametrize("headers", [{"ETag": '"v1"'}, LONG_AGO])
def test_only_the_rest_is_asked_for(headers: dict[str, str], tmp_path: Path) -> None:
    """After a broken connection the next try asks for the rest alone, on the condition that the
    file is still the same, and the picture is whole."""
    with served() as site:
        rest = {**headers, "Content-Range": f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"}
        first_cut(site, headers, Reply(BODY[HALF:], 206, rest))
        assert collect(f"{site.url}/a.png", tmp_path).progress.kept == 1
        validator = headers.get("ETag") or headers["Last-Modified"]
        assert asked(site) == [(None, None), (f"bytes={HALF}-", validator)]
        check_kept(tmp_path)


def test_a_file_that_has_changed_comes_whole(tmp_path: Path) -> None:
    """Where the server has another version by then, it sends that, and nothing of the old one is
    mixed with it."""
    other = encoded(painted(4, 300, 200), "PNG")
    with served() as site:
        first_cut(site, {"ETag": '"v1"'}, Reply(other, headers={"ETag": '"v2"'}))
        assert collect(f"{site.url}/a.png", tmp_path).progress.kept == 1
        assert asked(site)[1] == (f"bytes={HALF}-", '"v1"')
        check_kept(tmp_path, other)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"v1"'},
        {"ETag": '"v1"', "Accept-Ranges": "none"},
        # Two versions of the same second would be told as one: it must be a minute old.
        {"Last-Modified": formatdate(time.time() + 86_400, usegmt=True)},
        {"ETag": 'W/"v1"', **LONG_AGO},
    ],
)
def test_without_a_sure_sign_all_is_asked_for(headers: dict[str, str], tmp_path: Path) -> None:
    """Where nothing tells two versions apart for certain, the whole is asked for again (RFC 9110,
    section 13.1.5)."""
    with served() as site:
        first_cut(site, headers, Reply(BODY, headers=headers))
        assert collect(f"{site.url}/a.png", tmp_path).progress.kept == 1
        assert asked(site) == [(None, None)] * 2
        check_kept(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        Reply(status=416, headers={"Content-Range": f"bytes */{HALF}"}),
        Reply(BODY[HALF:], 206),
        Reply(BODY[9:], 206, {"Content-Range": f"bytes 9-{len(BODY) - 1}/{len(BODY)}"}),
        Reply(BODY[HALF:], 206, {"Content-Range": f"bytes {HALF}-{len(BODY)}/{len(BODY) + 1}"}),
        Reply(
            BODY[HALF:],
            206,
            {"Content-Range": f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}", "ETag": '"v2"'},
        ),
        Reply(
            BODY[HALF:] + b"more",
            206,
            {"Content-Range": f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"},
        ),
        Reply(
            BODY[HALF:] + b"more",
            206,
            {"Content-Range": f"bytes {HALF}-{len(BODY) + 3}/{len(BODY)}"},
        ),
    ],
)
def test_a_rest_that_does_not_fit_is_not_used(wrong: Reply, tmp_path: Path) -> None:
    """A server whose partial answer is not the rest of what has come is asked for the whole."""
    turns = iter([cut_off({"ETag": '"v1"'}), wrong, Reply(BODY)])
    with served({"/a.png": lambda _: next(turns)}) as site:
        assert collect(f"{site.url}/a.png", tmp_path).progress.kept == 1
        assert [first is not None for first, _ in asked(site)] == [False, True, False]
        check_kept(tmp_path)


def test_a_rest_in_parts_comes_together(tmp_path: Path) -> None:
    """A server that gives less than the rest at a time is asked until all is there."""

    def part(line: Request) -> Reply:
        if "Range" not in line.headers:
            return cut_off({"ETag": '"v1"'})
        start = int(line.headers["Range"][6:-1])
        end = min(len(BODY), start + len(BODY) // 5)
        told = {"Content-Range": f"bytes {start}-{end - 1}/{len(BODY)}"}
        return Reply(BODY[start:end], 206, told)

    with served({"/a.png": part}) as site:
        assert collect(f"{site.url}/a.png", tmp_path, attempts=9).progress.kept == 1
        check_kept(tmp_path)


def test_a_larger_budget_goes_on_with_the_rest(tmp_path: Path) -> None:
    """An answer of unknown length that the budget cut off is gone on with by a run that has more;
    one that states a length beyond the budget is not begun."""
    with served() as site:
        tag = {"ETag": '"v1"'}
        site.pages["/a.png"] = Reply(lambda write: write(BODY), headers=tag)
        url = f"{site.url}/a.png"
        summary = collect(url, tmp_path / "unknown", max_bytes=len(BODY) - 9)
        assert summary.unfinished == "--max-bytes is reached"
        (body,) = (tmp_path / "unknown").rglob("*.body")
        size = body.stat().st_size
        told = {**tag, "Content-Range": f"bytes {size}-{len(BODY) - 1}/{len(BODY)}"}
        site.pages["/a.png"] = Reply(BODY[size:], 206 if size else 200, told)
        assert collect(url, tmp_path / "unknown").progress.kept == 1
        check_kept(tmp_path / "unknown")
        site.pages["/a.png"] = Reply(BODY, headers=tag)
        summary = collect(url, tmp_path / "known", max_bytes=len(BODY) - 9)
        assert summary.unfinished == "--max-bytes is reached"
        assert not list((tmp_path / "known").rglob("*.body"))


def shelved(folder: Path, *pieces: bytes, validator: str = '"v"', length: int = 0) -> Shelf:
    """A shelf with an answer of which these pieces have come."""
    shelf = Shelf(folder)
    with shelf.write(URL, {"etag": validator}, validator, length) as writing:
        for piece in pieces:
            writing.add(piece)
    return shelf


def test_what_has_come_is_found_again(tmp_path: Path) -> None:
    """An answer is whole once it is said to be, or has its length; before that it is a beginning,
    where its rest can be asked for."""
    shelf = shelved(tmp_path, b"one", b"two")
    there = shelf.recall(URL)
    assert isinstance(there, Beginning)
    assert (there.size, there.validator) == (6, '"v"')
    with shelf.append(URL, there, {"x-robots-tag": "noai"}) as writing:
        writing.add(b"three")
        said = writing.finish()
    again = shelf.recall(URL)
    assert isinstance(again, Answer)
    assert again.body is not None
    assert again.body.read_bytes() == b"onetwothree"
    assert (again.sha256, again.size) == (said.sha256, 11)
    shelf.forget(URL)
    assert shelf.recall(URL) is None
    assert not list(tmp_path.iterdir())
    assert isinstance(shelved(tmp_path, b"onetwo", length=6, validator="").recall(URL), Answer)
    assert shelved(tmp_path, b"onet", length=6, validator="").recall(URL) is None


@pytest.mark.parametrize("kept", range(0, 60, 3))
def test_a_course_that_was_cut_short(kept: int, tmp_path: Path) -> None:
    """Wherever a crash ends the file that says how far an answer is, what is recalled is true, and
    the answer can be gone on with."""
    shelf = shelved(tmp_path, b"one", b"two", b"three")
    (course,) = tmp_path.glob("*.course")
    whole = course.read_bytes()
    course.write_bytes(whole[: len(whole) - min(kept, len(whole))])
    there = shelf.recall(URL)
    if isinstance(there, Beginning):
        assert there.size in (3, 6, 11)
        rest = b"onetwothree"[there.size :] + b"!"
        with shelf.append(URL, there, {}) as writing:
            writing.add(rest)
            writing.finish()
        again = shelf.recall(URL)
        assert isinstance(again, Answer)
        assert again.body is not None
        assert again.body.read_bytes() == b"onetwothree!"
    else:
        assert there is None


def test_contents_that_a_crash_spoilt_are_not_used(tmp_path: Path) -> None:
    """Contents that are not what came, as after a power cut, are told by their checksum."""
    shelf = shelved(tmp_path, b"one", b"two", length=6)
    (body,) = tmp_path.glob("*.body")
    body.write_bytes(b"one\0\0\0")
    assert shelf.recall(URL) is None
    body.write_bytes(b"one")
    assert shelf.recall(URL) is None
