"""A thousand pictures, and a process that is killed: nothing twice, nothing lost, little memory."""

import hashlib
import itertools
import multiprocessing
import os
import random
import resource
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from impasto.collect.manifest import read_manifest
from impasto.images import read_image
from web_site import Request, Site, picture, quick, served

MEGABYTE = 1_000_000
FLAT = 15 * MEGABYTE
"""What 500 pictures more may take: far less than their bytes, or than one of them decoded."""


def collect_apart(
    url: str, folder: str, options: dict[str, Any], report: "multiprocessing.Queue[int]"
) -> None:
    """What the other process does: a collection; then it tells its peak memory in bytes."""
    from impasto.collect.crawl import Crawl

    known = {"depth": 20, "max_pages": 1000, "max_bytes": "10GB"}
    crawl = Crawl([url], folder, quick(**{**known, **options}))
    for _ in crawl.run():
        pass
    crawl.close()
    report.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def start(
    url: str, folder: Path, **options: object
) -> "tuple[multiprocessing.Process, multiprocessing.Queue[int]]":
    """A process of its own that collects."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["impasto.collect.crawl", "web_site"])
    report: multiprocessing.Queue[int] = context.Queue()
    process = context.Process(
        target=collect_apart, args=(url, str(folder), options, report), daemon=True
    )
    process.start()
    return process, report  # pyright: ignore[reportReturnType]


def build(site: Site, pages: int, each: int, hosts: int = 2) -> set[str]:
    """Pages that link to each other in a tree and show so many pictures each, in turn from so many
    hosts, besides one wide of the filters and one forbidden; the paths of the eligible pictures."""
    places = ("", f"http://localhost:{site.port}")[:hosts]
    eligible = set()
    for page in range(pages):
        shown = []
        for number in range(page * each, (page + 1) * each):
            path = f"/pictures/{number}.jpg"
            site.pages[path] = picture(number, 160, 120)
            eligible.add(path)
            shown.append(places[number % hosts] + path)
        before = max(0, page * each - 1)
        # The last of the page before is shown again.
        again = f"{places[before % hosts]}/pictures/{before}.jpg"
        shown += [again, "/icon.jpg", f"/no/{page}.jpg"]
        links = [f"/page/{n}" for n in (2 * page + 1, 2 * page + 2, page // 2) if n < pages]
        body = "".join(f'<img src="{path}">' for path in shown)
        site.pages[f"/page/{page}"] = body + "".join(f'<a href="{link}">x</a>' for link in links)
    site.pages["/icon.jpg"] = picture(10**6, 24, 24)
    site.pages["/robots.txt"] = b"User-agent: *\nDisallow: /no/"
    return eligible


@pytest.mark.slow
def test_a_thousand_pictures_once_and_in_little_memory(tmp_path: Path) -> None:
    """From 200 pages with 1,000 eligible pictures on two hosts each is found and fetched exactly
    once, by a process that never takes more than 250 MB, nor more than with half as many."""
    peaks = []
    for pages in (100, 200):
        with served() as site:
            eligible = build(site, pages, 5)
            # Large ones among them, each of which takes 72 MB once decoded as floats.
            for number in range(0, 500, 125):
                site.pages[f"/pictures/{number}.jpg"] = picture(number, 3000, 2000)
            folder = tmp_path / str(pages)
            process, report = start(f"{site.url}/page/0", folder)
            peaks.append(report.get(timeout=600))
            process.join(60)
            found = Counter(urlsplit(entry.url).path for entry in read_manifest(folder))
            assert found == Counter(eligible)
            asked = Counter((line.host, line.path) for line in site.log)
            assert set(asked.values()) == {1}
            assert len({host for host, _ in asked}) == 2
            assert not any(path.startswith("/no/") for _, path in asked)
    print(f"peak memory {peaks[0] / MEGABYTE:.0f} and {peaks[1] / MEGABYTE:.0f} MB")
    assert max(peaks) <= 250 * MEGABYTE
    assert peaks[1] - peaks[0] <= FLAT


def body_of(url: str, folder: Path) -> Path:
    """Where what has come of an answer waits until it is dealt with."""
    name = hashlib.sha256(url.encode()).hexdigest()[:40]
    return folder / ".impasto-collect" / "answers" / f"{name}.body"


def check_folder(folder: Path) -> None:
    """Every picture of the manifest is there, whole and decodable, and nothing else."""
    entries = read_manifest(folder)
    for entry in entries:
        data = (folder / entry.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        read_image(data)
    names = {path.name for path in folder.iterdir()}
    assert names == {e.file for e in entries} | {"manifest.jsonl", ".impasto-collect"}
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20, 21])
def test_killed_at_ten_points_it_goes_on(seed: int, tmp_path: Path) -> None:
    """Killed ten times at random points, the same command ends with every picture there once and
    no partial file. Of what had come nothing is sent again: no answer that was whole is asked for
    once more, and of one that was cut off only the rest."""
    chance = random.Random(seed)
    folder = tmp_path / "out"
    with served() as site:
        site.delay, site.ranges, site.pieces, site.pause = 0.005, True, 8, 0.003
        eligible = build(site, 16, 5, hosts=1)
        total = len(eligible) + 16 + 2
        points = sorted(chance.sample(range(2, total - 2), 10))
        cut: list[tuple[int, str, int]] = []
        for point in points:
            process, _ = start(f"{site.url}/page/0", folder)
            deadline = time.monotonic() + 600
            before = len(site.log)
            while len(site.paths()) < point or len(site.log) == before:
                assert time.monotonic() < deadline
                assert process.is_alive()
                time.sleep(0.002)
            time.sleep(chance.random() * 0.03)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            site.wait_until_left()
            path = site.log[-1].path
            body = body_of(f"{site.url}{path}", folder)
            cut.append((len(site.log), path, body.stat().st_size if body.exists() else 0))
            # Whatever has its name is whole, even now.
            for file in folder.glob("*.jpg"):
                read_image(file)
                assert file.name.startswith(hashlib.sha256(file.read_bytes()).hexdigest()[:20])
            # The manifest lacks at most what was being put there.
            if (folder / "manifest.jsonl").exists():
                told = {entry.file for entry in read_manifest(folder)}
                there = {file.name for file in folder.glob("*.jpg")}
                assert told <= there
                assert len(there - told) <= 1
        process, report = start(f"{site.url}/page/0", folder)
        report.get(timeout=600)
        process.join(60)
        found = Counter(entry.url.removeprefix(site.url) for entry in read_manifest(folder))
        assert found == Counter(eligible)
        check_folder(folder)
        log, last = list(site.log), dict[str, int]()
        for place, line in enumerate(log):
            if line.path in last:
                # It was under way when the process died, and what had come of it is not sent again.
                kills = [size for at, path, size in cut if path == line.path and at <= place]
                assert last[line.path] + 1 in [at for at, path, _ in cut if path == line.path]
                whole = site.size(line.path)
                known = whole - line.sent if line.status == 206 else 0
                # The kill may have come while the last piece was being put down.
                assert kills[-1] - known <= -(-whole // site.pieces)
            last[line.path] = place
        complete = Counter(
            line.path for line in log if line.status == 200 and line.sent == site.size(line.path)
        )
        twice = [path for path, times in complete.items() if times > 1]
        # But for what the process died without having read anything of.
        assert set(twice) <= {path for _, path, size in cut if not size}
        rests = sum(line.status == 206 for line in log)
        # Answers take most of the time, so that most kills come in the middle of one.
        assert rests > 0
        print(
            f"{len(last)} addresses, {len(points)} kills: bodies sent twice {len(twice)}, rests "
            f"asked for {rests}, asked again without anything of the answer "
            f"{len(log) - len(last) - rests}"
        )


@pytest.mark.slow
def test_killed_it_keeps_to_pauses_and_budget(tmp_path: Path) -> None:
    """Of two hosts whose answers cannot be gone on with, killed ten times: nothing is lost, nothing
    is asked for again but what was under way, and pauses and the budget of bytes hold over all
    runs together."""
    chance = random.Random(7)
    folder, delay, kills = tmp_path / "out", 0.3, 10
    with served() as site:
        site.pieces, site.pause = 8, 0.02
        eligible = build(site, 8, 5)
        url = f"{site.url}/page/0"
        sizes = {path: site.size(path) for path in eligible}
        budget = sum(sizes.values()) * 3 // 4
        under_way: set[tuple[str, str]] = set()
        broken: list[tuple[int, Request, int | None]] = []
        for _ in range(kills):
            before = len(site.log)
            process, _ = start(url, folder, delay=delay, max_bytes=budget)
            deadline = time.monotonic() + 600
            while len(site.log) < before + 3:
                assert time.monotonic() < deadline
                assert process.is_alive()
                time.sleep(0.002)
            time.sleep(chance.random() * 0.15)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            site.wait_until_left()
            for line in {line.host: line for line in site.log[before:]}.values():
                under_way.add((line.host, line.path))
                body = body_of(f"http://{line.host}:{site.port}{line.path}", folder)
                size = body.stat().st_size if body.exists() else None
                broken.append((len(site.log), line, size))
        process, report = start(url, folder, delay=delay, max_bytes=budget)
        report.get(timeout=600)
        process.join(60)
        kept = len(read_manifest(folder))
        assert 0 < kept < len(eligible)
        sent = sum(line.sent for line in site.log)
        process, report = start(url, folder, delay=delay)
        report.get(timeout=600)
        process.join(60)
        found = Counter(urlsplit(entry.url).path for entry in read_manifest(folder))
        assert found == Counter(eligible)
        check_folder(folder)
        log = sorted(site.log, key=lambda line: line.began)
        for host in ("127.0.0.1", "localhost"):
            lines = [line for line in log if line.host == host]
            gaps = [b.began - a.last for a, b in itertools.pairwise(lines)]
            assert min(gaps) >= delay - 0.01
        asked = Counter((line.host, line.path) for line in log)
        twice = {place for place, times in asked.items() if times > 1}
        # Nobody can count what a host had sent and the process not yet put down when it was killed.
        untaken = 2 * kills * -(-max(sizes.values()) // site.pieces)
        for at, line, size in broken:
            is_new = any((one.host, one.path) == (line.host, line.path) for one in site.log[at:])
            untaken += line.sent - size if size is not None else line.sent * is_new
        assert budget - max(sizes.values()) < sent <= budget + untaken
        print(
            f"{len(asked)} addresses, {kills} kills: asked again {len(twice)}; {sent} bytes sent "
            f"for a budget of {budget}; least pause {min(gaps):.2f} s"
        )
        # The one that the budget cut off comes once more as well.
        assert len(twice - under_way) <= 2
