"""Manners, judged by the server's own log: rules, pauses, one request at a time, budgets."""

import gzip
import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from pathlib import Path

import pytest

from impasto.collect.crawl import Crawl, Summary
from impasto.collect.journal import Journal
from impasto.collect.politeness import Budget, BudgetSpentError, retry_after
from impasto.collect.robots import ROBOTS_SECONDS
from impasto.collect.sources.met import Met
from impasto.errors import RunError
from web_site import (
    Clock,
    Names,
    Reply,
    Request,
    Site,
    encoded,
    painted,
    picture,
    quick,
    served,
)

PUBLIC = "93.184.215.14"


def collect(urls: Sequence[str], folder: Path, **values: object) -> Summary:
    """Collects to the end."""
    crawl = Crawl(urls, folder, quick(**values), backoff=0.01)
    try:
        for _ in crawl.run():
            pass
        return crawl.summary()
    finally:
        crawl.close()


def gallery(site: Site, number: int) -> str:
    """Puts a page with so many pictures on the site; its address."""
    site.pages.update({f"/{i}.jpg": picture(i, 120, 90) for i in range(number)})
    site.pages["/"] = "".join(f'<img src="/{i}.jpg">' for i in range(number))
    return f"{site.url}/"


def test_robots_rules_hold(tmp_path: Path) -> None:
    """Nothing that robots.txt forbids is asked for, page or picture; the rules for this program win
    over those for all, and robots.txt comes first and once."""
    with served() as site:
        site.pages.update(
            {
                "/robots.txt": b"User-agent: *\nDisallow: /\n\n"
                b"User-agent: impasto\nDisallow: /private/\nDisallow: /*.png$\nAllow: /\n",
                "/": '<a href="/private/page">x</a><a href="/open">y</a><img src="/private/a.jpg">'
                '<img src="/b.png"><img src="/c.jpg">',
                "/open": '<img src="/private/d.jpg">',
                "/c.jpg": picture(1),
            }
        )
        summary = collect([f"{site.url}/"], tmp_path, depth=1)
        assert [line.path for line in site.log] == ["/robots.txt", "/", "/c.jpg", "/open"]
        assert ("picture", "skipped", "robots.txt forbids it", 3) in summary.reasons


@pytest.mark.parametrize("status", [500, 501, 503, 505, 530, 599])
def test_no_robots_for_now_means_no_visit(status: int, tmp_path: Path) -> None:
    """Where the server cannot say its rules, it is left alone; a later run tries again."""
    with served({"/": "<img src=a.jpg>", "/a.jpg": picture(1)}) as site:
        site.pages["/robots.txt"] = Reply(status=status)
        with pytest.raises(RunError, match=r"robots\.txt cannot be had"):
            collect([f"{site.url}/"], tmp_path, attempts=2)
        assert site.paths() == {"/robots.txt": 2}
        site.pages["/robots.txt"] = Reply(status=404)
        assert collect([f"{site.url}/"], tmp_path).progress.kept == 1


FORBIDDING = b"User-agent: *\nDisallow: /no/\n"


@pytest.mark.parametrize(
    "rules",
    [
        b"\xef\xbb\xbf" + FORBIDDING,
        b"\xff\r\n" + FORBIDDING,
        FORBIDDING + b"# a comment\n" * 100_000,
        lambda write: write(FORBIDDING + b"# a comment\n" * 100_000),
        FORBIDDING + b"Allow: /no/" + b"x" * 600_000,
    ],
)
def test_odd_rules_hold_too(
    rules: bytes | Callable[[Callable[[bytes], None]], None], tmp_path: Path
) -> None:
    """A robots.txt with a byte order mark, damaged bytes or no end in sight is obeyed as far as it
    is read."""
    with served({"/": "<img src=/no/a.jpg><img src=/b.jpg>", "/b.jpg": picture(1)}) as site:
        site.pages["/robots.txt"] = Reply(rules)
        summary = collect([f"{site.url}/"], tmp_path, max_bytes="1MB")
        assert site.paths() == {"/robots.txt": 1, "/": 1, "/b.jpg": 1}
        assert summary.progress.kept == 1
        assert summary.progress.bytes < 800_000


@pytest.mark.parametrize("packing", ["gzip", "x-gzip", "gzip, gzip", "br", "zstd", "secret"])
def test_rules_that_cannot_be_read_mean_no_visit(packing: str, tmp_path: Path) -> None:
    """A robots.txt that is damaged in its packing, or packed in a way that was not asked for, is
    not taken for permission."""
    with served({"/": "<img src=a.jpg>", "/a.jpg": picture(1)}) as site:
        site.pages["/robots.txt"] = Reply(FORBIDDING, headers={"Content-Encoding": packing})
        with pytest.raises(RunError, match=r"robots\.txt cannot be had"):
            collect([f"{site.url}/"], tmp_path, attempts=2)
        assert site.paths() == {"/robots.txt": 2}


def test_packed_rules_hold(tmp_path: Path) -> None:
    """A robots.txt that is packed by gzip is read, by whichever of its two names."""
    with served({"/": "<img src=/no/a.jpg>", "/no/a.jpg": picture(1)}) as site:
        for name in ("gzip", "x-gzip"):
            packed = Reply(gzip.compress(FORBIDDING), headers={"Content-Encoding": name})
            site.pages["/robots.txt"] = packed
            collect([f"{site.url}/"], tmp_path / name)
        assert site.paths() == {"/robots.txt": 2, "/": 2}


def test_old_rules_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules are believed for a day and no longer, in one run too: then they are asked for anew, and
    the new ones hold."""
    clock = Clock()
    for module in ("robots", "journal"):
        monkeypatch.setattr(f"impasto.collect.{module}.time", clock)

    def late(_: Request) -> bytes:
        clock.passed += ROBOTS_SECONDS
        return picture(3, 120, 90)

    with served() as site:
        url = gallery(site, 8)
        site.pages["/3.jpg"] = late
        turns = iter([b"", FORBIDDING.replace(b"/no/", b"/")])
        site.pages["/robots.txt"] = lambda _: next(turns)
        summary = collect([url], tmp_path)
        asked = [line.path for line in site.log]
        assert (asked[0], asked[-1]) == ("/robots.txt", "/robots.txt")
        assert ("picture", "skipped", "robots.txt forbids it", 11 - len(asked)) in summary.reasons
        assert 0 < summary.progress.kept < 8


def test_the_exemption_of_interfaces_ends_where_they_do(tmp_path: Path) -> None:
    """What robots.txt says does not bind the documented interface of a collection, but every other
    place to which that one leads."""
    with served() as site:
        names = Names({f"{n}.example": [[PUBLIC]] for n in ("site", "api", "other")}, site)
        for host in ("api", "other"):
            site.pages[f"{host}.example/robots.txt"] = b"User-agent: *\nDisallow: /"
        moved = Reply(status=302, headers={"Location": "http://other.example/secret"})
        site.pages["api.example/v1/objects/7"] = moved
        crawl = Crawl(
            ["http://site.example/art/collection/search/7"],
            tmp_path,
            quick(allow_private=False),
            sources=(Met("http://site.example", "http://api.example/v1"),),
            guard=names.guard(),
            connect=names.connect,
        )
        with pytest.raises(RunError, match=r"robots\.txt forbids it"):
            list(crawl.run())
        crawl.close()
        assert [(line.host, line.path) for line in site.log] == [
            ("api.example", "/robots.txt"),
            ("api.example", "/v1/objects/7"),
            ("other.example", "/robots.txt"),
        ]


def test_rules_move_with_redirects(tmp_path: Path) -> None:
    """A robots.txt that has moved is read where it is now."""
    moved = Reply(status=301, headers={"Location": "/rules/robots.txt"})
    with served({"/": "<img src=/no/a.jpg>", "/robots.txt": moved}) as site:
        site.pages["/rules/robots.txt"] = b"User-agent: *\nDisallow: /no/"
        collect([f"{site.url}/"], tmp_path)
        assert [line.path for line in site.log] == ["/robots.txt", "/rules/robots.txt", "/"]


def test_moved_rules_that_fail_are_tried_where_they_are(tmp_path: Path) -> None:
    """Where the new place of a robots.txt fails for a while, that place alone is asked again."""
    turns = iter([Reply(status=500), Reply(status=500), b"User-agent: *\nDisallow: /no/"])
    moved = Reply(status=301, headers={"Location": "/rules.txt"})
    with served({"/": "<img src=/no/a.jpg>", "/robots.txt": moved}) as site:
        site.pages["/rules.txt"] = lambda _: next(turns)
        collect([f"{site.url}/"], tmp_path)
        paths = [line.path for line in site.log]
        assert paths == ["/robots.txt", "/rules.txt", "/rules.txt", "/rules.txt", "/"]


def visit(site: Site, names: Names, folder: Path, *urls: str, **values: object) -> Summary:
    """Collects from named hosts to the end."""
    guard = names.guard()
    options = quick(allow_private=False, **values)
    crawl = Crawl(urls, folder, options, guard=guard, connect=names.connect, backoff=0.01)
    try:
        for _ in crawl.run():
            assert len(site.log) < 50
        return crawl.summary()
    finally:
        crawl.close()


MOVED_RULES = Reply(status=301, headers={"Location": "http://rules.example/shared.txt"})


def test_rules_at_another_host_are_waited_for(tmp_path: Path) -> None:
    """While the robots.txt of two hosts is on its way from a third, each is asked for it once."""

    def slow(_: Request) -> bytes:
        time.sleep(0.5)
        return b"User-agent: *\nDisallow: /no/"

    with served() as site:
        hosts = ("a.example", "b.example")
        for host in hosts:
            site.pages[f"{host}/robots.txt"] = MOVED_RULES
            site.pages[f"{host}/"] = "<img src=/no/a.jpg><img src=/yes.jpg>"
            site.pages[f"{host}/yes.jpg"] = picture(len(site.pages))
        site.pages["rules.example/shared.txt"] = slow
        names = Names({host: [[PUBLIC]] for host in (*hosts, "rules.example")}, site)
        summary = visit(site, names, tmp_path, "http://a.example/", "http://b.example/")
        assert summary.progress.kept == 2
        asked = [(line.host, line.path) for line in site.log]
        assert [asked.count((host, "/robots.txt")) for host in hosts] == [1, 1]
        assert not [path for _, path in asked if path.startswith("/no/")]


def test_rules_that_lead_to_a_private_place_forbid(tmp_path: Path) -> None:
    """A robots.txt that has moved to where nobody may ask forbids everything."""
    with served({"a.example/robots.txt": MOVED_RULES, "a.example/": "<img src=a.jpg>"}) as site:
        names = Names({"a.example": [[PUBLIC]], "rules.example": [["10.0.0.1"]]}, site)
        with pytest.raises(RunError, match=r"robots\.txt forbids it"):
            visit(site, names, tmp_path, "http://a.example/")
        assert site.paths() == {"/robots.txt": 1}


def test_rules_that_cannot_be_had_elsewhere_mean_no_visit(tmp_path: Path) -> None:
    """Where the host that a robots.txt has moved to fails, the first is left for a later run."""
    with served({"a.example/robots.txt": MOVED_RULES, "a.example/": "<img src=a.jpg>"}) as site:
        site.pages["rules.example/shared.txt"] = Reply(status=503)
        names = Names({"a.example": [[PUBLIC]], "rules.example": [[PUBLIC]]}, site)
        with pytest.raises(RunError, match="try again later"):
            visit(site, names, tmp_path, "http://a.example/", attempts=2)
        assert site.paths() == {"/robots.txt": 1, "/shared.txt": 2}


def test_a_host_that_asks_for_very_long_pauses_is_left_alone(tmp_path: Path) -> None:
    """A Crawl-delay beyond all patience ends the visit with a reason instead of waiting."""
    with served({"/robots.txt": b"User-agent: *\nCrawl-delay: 86400", "/": "<p>"}) as site:
        with pytest.raises(RunError, match="asks for a pause of 1440 minutes"):
            collect([f"{site.url}/"], tmp_path)
        assert site.paths() == {"/robots.txt": 1}


def gaps(lines: Sequence[Request]) -> list[float]:
    """Seconds from the last piece of each answer to the next request."""
    return [b.began - a.last for a, b in itertools.pairwise(lines)]


def test_pauses_between_requests(tmp_path: Path) -> None:
    """Between the end of a request and the next one lies the delay, or the crawl-delay that
    robots.txt asks for where it is longer."""
    with served() as site:
        url = gallery(site, 4)
        collect([url], tmp_path / "own", delay=0.15)
        assert min(gaps(site.log)) >= 0.14
        site.log.clear()
        site.pages["/robots.txt"] = b"User-agent: *\nCrawl-delay: 0.3"
        collect([url], tmp_path / "asked", delay=0.05)
        assert min(gaps(site.log)) >= 0.29


def test_pauses_hold_over_runs(tmp_path: Path) -> None:
    """A run that begins just after another one ended waits for the rest of the pause, the one that
    robots.txt asks for too."""
    with served() as site:
        url = gallery(site, 4)
        site.pages["/robots.txt"] = b"User-agent: *\nCrawl-delay: 0.5"
        while len(site.log) < 6:
            before = len(site.log)
            crawl = Crawl([url], tmp_path, quick(delay=0.1))
            for _ in crawl.run():
                if len(site.log) > before:
                    break
            crawl.close()
        assert min(gaps(site.log)) >= 0.49
        assert set(site.paths().values()) == {1}


def test_a_clock_that_was_set_back_makes_no_pause_longer(tmp_path: Path) -> None:
    """Of a pause that was put down an hour later than now no more than itself remains."""
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("impasto.collect.journal.time.time", lambda: 1e9 + 3600)
        journal.keep_pause("a.example", 30)
        patch.setattr("impasto.collect.journal.time.time", lambda: 1e9)
        assert journal.pause("a.example") == (30, False)
        patch.setattr("impasto.collect.journal.time.time", lambda: 1e9 + 3610)
        assert journal.pause("a.example") == (20, False)
    journal.close()


def test_a_dot_at_the_end_makes_no_other_host(tmp_path: Path) -> None:
    """`a.example` and `a.example.` are one host, with one robots.txt and one pause."""
    with served() as site:
        names = Names({"a.example": [[PUBLIC]], "a.example.": [[PUBLIC]]}, site)
        hosts = ("a.example", "a.example.")
        site.pages["/"] = "".join(f'<img src="http://{hosts[i % 2]}/{i}.jpg">' for i in range(4))
        site.pages.update({f"/{i}.jpg": picture(i) for i in range(4)})
        visit(site, names, tmp_path, "http://a.example./", delay=0.2)
        assert site.paths() == {"/robots.txt": 1, "/": 1} | {f"/{i}.jpg": 1 for i in range(4)}
        assert min(gaps(site.log)) >= 0.19


def test_one_request_at_a_time_per_host(tmp_path: Path) -> None:
    """No host ever sees two requests at once, while several hosts are asked side by side."""
    with served() as site:
        site.delay = 0.05
        hosts = [f"{name}.example" for name in "abc"]
        names = Names({host: [[PUBLIC]] for host in hosts}, site)
        for host in hosts:
            site.pages[f"{host}/"] = "".join(f'<img src="/{host}/{i}.jpg">' for i in range(6))
            for i in range(6):
                site.pages[f"{host}/{host}/{i}.jpg"] = picture(hash(host) % 999 + i, 120, 90)
        crawl = Crawl(
            [f"http://{host}/" for host in hosts],
            tmp_path,
            quick(allow_private=False, hosts=3),
            guard=names.guard(),
            connect=names.connect,
        )
        for _ in crawl.run():
            pass
        crawl.close()
        overlaps = 0
        for line in site.log:
            during = [o for o in site.log if o is not line and o.began < line.last]
            together = [o for o in during if o.last > line.began]
            assert all(o.host != line.host for o in together)
            overlaps += len(together)
        assert len(site.log) == 3 * 8
        assert overlaps > 0


@pytest.mark.parametrize("status", [429, 503])
def test_busy_servers_get_the_pause_they_ask_for(status: int, tmp_path: Path) -> None:
    """After 429 or 503 with Retry-After nothing at all is asked of the host until the time is over;
    then the same address is asked for again."""
    with served() as site:
        url = gallery(site, 3)
        first = [True]

        def busy(_: Request) -> Reply:
            if first.pop() if first else False:
                return Reply(status=status, headers={"Retry-After": "1"})
            return Reply(picture(1, 120, 90))

        site.pages["/1.jpg"] = busy
        assert collect([url], tmp_path).progress.kept == 3
        (place,) = (i for i, line in enumerate(site.log) if line.status == status)
        assert site.log[place + 1].began - site.log[place].last >= 0.98
        assert site.paths()["/1.jpg"] == 2


def test_failing_addresses_are_tried_again_but_not_for_ever(tmp_path: Path) -> None:
    """A server's error and a broken connection are tried as often as allowed, with growing pauses;
    an address that is gone only once; the rest is collected."""
    with served() as site:
        url = gallery(site, 5)
        site.pages["/1.jpg"] = Reply(status=500)
        site.pages["/2.jpg"] = Reply(status=410)

        def broken(write: object) -> None:
            raise OSError("cut")

        site.pages["/3.jpg"] = Reply(broken, headers={"Content-Length": "5000"})
        summary = collect([url], tmp_path, attempts=3)
        paths = site.paths()
        assert (paths["/1.jpg"], paths["/2.jpg"], paths["/3.jpg"]) == (3, 1, 3)
        assert summary.progress.kept == 2
        assert summary.progress.failed == 3
        assert ("picture", "failed", "HTTP status 410", 1) in summary.reasons
        tries = [line.began for line in site.log if line.path == "/1.jpg"]
        assert tries[1] - tries[0] >= 0.01
        assert tries[2] - tries[1] >= 0.02
        assert summary.unfinished == ""


def cut(write: object) -> None:
    """A connection that breaks."""
    raise OSError("cut")


@pytest.mark.parametrize(
    "reply", [Reply(status=503), Reply(status=429), Reply(cut, headers={"Content-Length": "9"})]
)
def test_what_always_fails_starves_nobody(reply: Reply, tmp_path: Path) -> None:
    """Addresses that fail at each try come after all that do not, and are given up in the end with
    their reason: everything else of the host is collected in the same run."""
    with served() as site:
        site.pages["/"] = '<a href="/bad">x</a><a href="/good">y</a><img src="/0.jpg">'
        site.pages["/good"] = "".join(f'<img src="/{i}.jpg">' for i in range(1, 8))
        site.pages.update({f"/{i}.jpg": picture(i) for i in range(8)})
        for path in ("/bad", "/0.jpg", "/1.jpg"):
            site.pages[path] = reply
        summary = collect([f"{site.url}/"], tmp_path, depth=1, attempts=4)
        assert summary.progress.kept == 6
        assert (summary.progress.failed, summary.left, summary.unfinished) == (2, 0, "")
        reasons = [reason for kind, _, reason, _ in summary.reasons if kind == "picture"]
        assert reasons == [f"HTTP status {reply.status}" if reply.status != 200 else reasons[0]]
        expected = dict.fromkeys(site.paths(), 1) | {"/bad": 4, "/0.jpg": 4, "/1.jpg": 4}
        assert site.paths() == expected


def test_a_host_that_is_busy_throughout_is_left_for_later(tmp_path: Path) -> None:
    """Where one address after the other finds the host busy, it is left alone, and a later run
    brings what it still has."""
    with served() as site:
        url = gallery(site, 9)
        pages = dict(site.pages)
        site.pages.update(dict.fromkeys([p for p in pages if "jpg" in p], Reply(status=503)))
        summary = collect([url], tmp_path, attempts=3)
        assert (summary.left, summary.unfinished) == (9, "127.0.0.1: HTTP status 503")
        assert len(site.log) == 2 + 6
        site.pages.update(pages)
        assert collect([url], tmp_path).progress.kept == 9


def test_many_failing_addresses_end_too(tmp_path: Path) -> None:
    """Of a host most of whose addresses always fail, the later runs bring the others first and then
    give up the rest."""
    with served() as site:
        url = gallery(site, 10)
        site.pages.update({f"/{i}.jpg": Reply(status=503) for i in range(8)})
        collect([url], tmp_path, attempts=2)
        summary = collect([url], tmp_path, attempts=2)
        assert (summary.progress.kept, summary.progress.failed, summary.left) == (2, 8, 0)
        assert max(site.paths().values()) == 2


def test_what_came_to_nothing_is_tried_anew(tmp_path: Path) -> None:
    """A first address that could not be had is asked for again by a later run of the same."""
    with served({"/": Reply(status=503)}) as site:
        with pytest.raises(RunError, match="HTTP status 503; try again later"):
            collect([f"{site.url}/"], tmp_path, attempts=2)
        url = gallery(site, 2)
        assert collect([url], tmp_path).progress.kept == 2


def test_a_host_that_stays_busy_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that wants a long pause is left alone, by later runs too until the pause is over; what
    it still has waits, and the summary says so."""
    with served() as site:
        url = gallery(site, 6)
        site.pages["/2.jpg"] = Reply(status=429, headers={"Retry-After": "3600"})
        clock = Clock()
        monkeypatch.setattr("impasto.collect.journal.time", clock)

        def run() -> Summary:
            crawl = Crawl([url], tmp_path, quick(), patience=0.5)
            for _ in crawl.run():
                pass
            found = crawl.summary()
            crawl.close()
            return found

        summary = run()
        assert summary.progress.kept == 2
        assert "pause" in summary.unfinished
        assert summary.left == 4
        assert len(site.log) == 5
        site.pages["/2.jpg"] = picture(2, 120, 90)
        run()
        assert len(site.log) == 5
        clock.passed += 3600
        assert run().progress.kept == 6


def test_visitors_say_who_they_are(tmp_path: Path) -> None:
    """Every request names the program, its version and the contact; no cookie is ever sent back."""
    with served() as site:
        url = gallery(site, 2)
        site.pages["/robots.txt"] = Reply(b"", headers={"Set-Cookie": "id=7"})
        collect([url], tmp_path, contact="ann@h.example")
        for line in site.log:
            assert line.headers["User-Agent"].startswith("impasto/")
            assert "ann@h.example" in line.headers["User-Agent"]
            assert line.headers["From"] == "ann@h.example"
            assert "Cookie" not in line.headers


def test_budget_of_bytes(tmp_path: Path) -> None:
    """No request is begun once the server has sent the budget, no more than the budget is counted,
    and a larger one goes on without asking for anything twice."""
    with served() as site:
        url = gallery(site, 30)
        budget = 40_000
        summary = collect([url], tmp_path, max_bytes=budget)
        assert summary.unfinished == "--max-bytes is reached"
        assert summary.progress.bytes <= budget
        sent = 0
        for line in site.log:
            assert sent < budget
            sent += line.sent
        assert 0 < summary.progress.kept < 30
        assert collect([url], tmp_path, max_bytes=10**9).progress.kept == 30
        twice = [path for path, times in site.paths().items() if times > 1]
        # The answer that did not fit was cut off.
        assert len(twice) <= 1


def test_budget_counts_what_a_killed_run_received(tmp_path: Path) -> None:
    """Bytes that came before a kill count for the budget of the next run."""
    body = encoded(painted(1, 900, 700), "PNG")
    half = len(body) // 2

    def slow(write: Callable[[bytes], None]) -> None:
        write(body[:half])
        time.sleep(600)

    with served({"/a.png": Reply(slow, headers={"Content-Length": str(len(body))})}) as site:
        flags = ["--delay", "0", "--allow-private"]
        url = f"{site.url}/a.png"
        command = [sys.executable, "-m", "impasto", "collect", url, "-o", str(tmp_path), *flags]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while not any(p.stat().st_size == half for p in tmp_path.rglob("*.body")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.wait()
        site.pages["/a.png"] = body
        options = {"min_size": 256, "delay": 0}
        # Room for the whole, but not for it and the half that has come in vain.
        summary = collect([url], tmp_path, max_bytes=len(body) + half - 1, **options)
        assert summary.unfinished == "--max-bytes is reached"
        assert summary.progress.kept == 0
        summary = collect([url], tmp_path, max_bytes="100MB", **options)
        assert summary.progress.kept == 1
        assert summary.progress.bytes >= len(body) + half


@pytest.mark.parametrize("kind", ["gone", "moved", "elsewhere", "style"])
def test_pages_in_vain_are_bounded_too(kind: str, tmp_path: Path) -> None:
    """Pages that are gone or lead elsewhere, and style sheets, end with --max-pages as well, in one
    run or several."""
    with served() as site:
        link = (
            '<link rel="stylesheet" href="/{}.css">' if kind == "style" else '<a href="/{}">x</a>'
        )
        site.pages["/"] = "".join(link.format(n) for n in range(100))
        for n in range(100):
            target = f"/{n}x" if kind == "moved" else "http://other.example/"
            moved = Reply(status=302, headers={"Location": target})
            site.pages[f"/{n}"] = Reply(status=404) if kind == "gone" else moved
            site.pages[f"/{n}.css"] = b"p { color: red }"
        collect([f"{site.url}/"], tmp_path, depth=1, max_pages=2)
        summary = collect([f"{site.url}/"], tmp_path, depth=1, max_pages=2)
        assert len(site.log) == 2 + 20
        assert (kind == "style") != ("--max-pages 2" in summary.unfinished)


@pytest.mark.parametrize("field", [("X-Robots-Tag", "noai"), ("TDM-Reservation", "1")])
def test_pictures_reserve_themselves(field: tuple[str, str], tmp_path: Path) -> None:
    """A picture whose own answer reserves it is not kept, whatever its page says."""
    with served({"/": "<img src=a.jpg><img src=b.jpg>", "/b.jpg": picture(2)}) as site:
        site.pages["/a.jpg"] = Reply(picture(1), headers=dict([field]))
        summary = collect([f"{site.url}/"], tmp_path)
        assert summary.progress.kept == 1
        assert ("picture", "skipped", "its server reserves it", 1) in summary.reasons


def test_budget_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time is over nothing more is asked for, and what is under way is taken: a later run
    asks for nothing twice."""
    with served() as site:
        url, clock = gallery(site, 4), Clock()
        monkeypatch.setattr("impasto.collect.crawl.time", clock)
        crawl = Crawl([url], tmp_path, quick(max_time=600))

        def slow(_: Request) -> Reply:
            clock.passed += 600
            while not crawl._stop:
                time.sleep(0.01)
            return Reply(picture(2, 120, 90))

        site.pages["/2.jpg"] = slow
        list(crawl.run())
        summary = crawl.summary()
        crawl.close()
        assert summary.unfinished == "--max-time 600 is over"
        assert site.log[-1].path == "/2.jpg"
        assert (summary.progress.kept, summary.left) == (3, 1)
        assert collect([url], tmp_path).progress.kept == 4
        assert set(site.paths().values()) == {1}


@pytest.mark.parametrize(
    ("field", "condition", "value"),
    [
        ("ETag", "If-None-Match", '"v1"'),
        ("ETag", "If-None-Match", 'W/"v1"'),
        ("Last-Modified", "If-Modified-Since", "Tue, 06 Jan 2026 08:00:00 GMT"),
    ],
)
def test_pages_that_have_not_changed_are_not_sent_again(
    field: str, condition: str, value: str, tmp_path: Path
) -> None:
    """A refresh asks for the pages of a finished collection by ETag or date; an unchanged one costs
    no contents, a changed one brings its new pictures, and no known picture is asked for again."""
    with served() as site:
        url = gallery(site, 3)
        body = site.pages["/"]
        assert isinstance(body, str)

        def page(line: Request) -> Reply:
            if line.headers.get(condition) == value:
                return Reply(status=304)
            return Reply(body.encode(), headers={field: value, "Content-Type": "text/html"})

        site.pages["/"] = page

        def again(*, refresh: bool) -> int:
            site.log.clear()
            crawl = Crawl([url], tmp_path, quick(), refresh=refresh)
            for _ in crawl.run():
                pass
            kept = crawl.summary().progress.kept
            crawl.close()
            return kept

        assert again(refresh=False) == 3
        assert again(refresh=False) == 3
        assert site.log == []
        assert again(refresh=True) == 3
        assert [(line.path, line.status) for line in site.log] == [("/", 304)]
        site.pages["/"] = body + '<img src="/new.jpg">'
        site.pages["/new.jpg"] = picture(77)
        assert again(refresh=True) == 4
        assert [line.path for line in site.log] == ["/", "/new.jpg"]


def test_a_refresh_works_at_a_limit_too(tmp_path: Path) -> None:
    """A collection that ended at a limit reads its pages again all the same, and a refresh that was
    interrupted is gone on with instead of begun anew."""
    with served() as site:
        site.pages["/"] = '<a href="/b">b</a><img src="/1.jpg">'
        site.pages.update({"/b": "<p>", "/1.jpg": picture(1), "/3.jpg": picture(3)})
        url, limits = f"{site.url}/", {"depth": 1, "max_pages": 1}
        assert collect([url], tmp_path, **limits).unfinished == "--max-pages 1 is reached"
        site.pages["/"] += '<img src="/3.jpg">'
        site.log.clear()

        def refresh(stop: str = "") -> None:
            crawl = Crawl([url], tmp_path, quick(**limits), refresh=True)
            for _ in crawl.run():
                # It is on its way; no answer is looked at before the next turn.
                while stop and not site.paths()[stop]:
                    time.sleep(0.01)
                if stop:
                    break
            crawl.close()

        refresh(stop="/")
        assert site.paths() == {"/": 1}
        refresh()
        assert site.paths() == {"/": 1, "/3.jpg": 1}
        refresh()
        assert site.paths() == {"/": 2, "/3.jpg": 1}


def test_dates_without_a_zone_are_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Retry-After in the form of asctime means UTC, wherever the program runs (RFC 9110, section
    5.6.7)."""
    soon = time.gmtime(time.time() + 60)
    for zone in ("UTC", "America/Los_Angeles", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        seconds = retry_after(time.strftime("%a %b %d %H:%M:%S %Y", soon))
        assert seconds == pytest.approx(60, abs=3)
    monkeypatch.undo()
    time.tzset()


def test_retry_after_is_understood() -> None:
    """Seconds and dates are read, anything else says nothing (RFC 9110, section 10.2.3)."""
    assert retry_after("120") == 120
    soon = retry_after(formatdate(time.time() + 60, usegmt=True))
    assert soon is not None
    assert 55 < soon <= 60
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0
    assert retry_after("soon") is None
    assert retry_after("-5") is None


def test_the_budget_counts_exactly() -> None:
    """What fits is taken to the last byte, and not one more; what did not come can be given back,
    but once something did not fit nothing more does."""
    budget = Budget(10)
    budget.take("a", 8)
    budget.give_back("a", 3)
    assert (budget.used, budget.left) == (5, 5)
    budget.take("a", 5)
    with pytest.raises(BudgetSpentError):
        budget.take("a", 1)
    assert (budget.used, budget.left) == (10, 0)
    budget.give_back("a", 4)
    assert (budget.used, budget.left) == (6, 0)
