"""Manners, judged by the server's own log: rules, pauses, one request at a time, budgets."""

import itertools
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from pathlib import Path

import pytest

from impasto.collect.crawl import Crawl, Summary
from impasto.collect.politeness import Budget, BudgetSpentError, retry_after
from impasto.errors import RunError
from web_site import Names, Reply, Request, Site, picture, quick, served

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


@pytest.mark.parametrize("status", [500, 503])
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


@pytest.mark.parametrize("packing", ["gzip", "gzip, gzip"])
def test_rules_that_cannot_be_read_mean_no_visit(packing: str, tmp_path: Path) -> None:
    """A robots.txt that is damaged in its packing is not taken for permission."""
    with served({"/": "<img src=a.jpg>", "/a.jpg": picture(1)}) as site:
        site.pages["/robots.txt"] = Reply(FORBIDDING, headers={"Content-Encoding": packing})
        with pytest.raises(RunError, match=r"robots\.txt cannot be had"):
            collect([f"{site.url}/"], tmp_path, attempts=2)
        assert site.paths() == {"/robots.txt": 2}


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
    """Seconds from the end of each request to the beginning of the next one."""
    return [b.began - a.ended for a, b in itertools.pairwise(lines)]


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
        assert min(gaps(site.log)[1:]) >= 0.29


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
            during = [o for o in site.log if o is not line and o.began < line.ended]
            together = [o for o in during if o.ended > line.began]
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
        assert site.log[place + 1].began - site.log[place].ended >= 0.98
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
        assert tries[2] - tries[1] > tries[1] - tries[0] - 0.01
        assert summary.unfinished == ""


def test_a_host_that_stays_busy_is_left_for_later(tmp_path: Path) -> None:
    """A host that wants a long pause is left alone, by later runs too until the pause is over; what
    it still has waits, and the summary says so."""
    with served() as site:
        url = gallery(site, 6)
        site.pages["/2.jpg"] = Reply(status=429, headers={"Retry-After": "4"})

        def run() -> Summary:
            crawl = Crawl([url], tmp_path, quick(), patience=0.5)
            for _ in crawl.run():
                pass
            found = crawl.summary()
            crawl.close()
            return found

        summary = run()
        asked = time.monotonic()
        assert summary.progress.kept == 2
        assert "pause" in summary.unfinished
        assert summary.left == 4
        assert len(site.log) == 5
        site.pages["/2.jpg"] = picture(2, 120, 90)
        if time.monotonic() - asked < 3:
            run()
            assert len(site.log) == 5
        time.sleep(4.1)
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


def test_budget_of_time(tmp_path: Path) -> None:
    """When the time is over nothing more is asked for, and what is under way is taken: a later run
    asks for nothing twice."""
    with served() as site:
        url = gallery(site, 4)

        def slow(_: Request) -> Reply:
            time.sleep(3)
            return Reply(picture(2, 120, 90))

        site.pages["/2.jpg"] = slow
        began = time.monotonic()
        summary = collect([url], tmp_path, max_time=1.5)
        assert summary.unfinished == "--max-time 1.5 is over"
        assert all(line.began - began < 2.5 for line in site.log)
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
    budget.take(8)
    budget.give_back(3)
    assert (budget.used, budget.left) == (5, 5)
    budget.take(5)
    with pytest.raises(BudgetSpentError):
        budget.take(1)
    assert (budget.used, budget.left) == (10, 0)
    budget.give_back(4)
    assert (budget.used, budget.left) == (6, 0)
