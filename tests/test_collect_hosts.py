"""What counts as one host, and the way to it."""

import itertools
from pathlib import Path

import pytest

from impasto.collect.crawl import Crawl
from web_site import picture, quick, served

DELAY = 0.3


def collect(url: str, folder: Path, **values: object) -> int:
    """Collects to the end; how many pictures are kept."""
    crawl = Crawl([url], folder, quick(**values), backoff=0.01)
    try:
        for _ in crawl.run():
            pass
        return crawl.summary().progress.kept
    finally:
        crawl.close()


def test_proxies_of_the_environment_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever proxies the environment names, requests go straight to the host: a proxy would ask
    addresses that nobody has checked."""
    with served({"/": '<img src="/a.jpg">', "/a.jpg": picture(1)}) as site, served() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert collect(f"{site.url}/", tmp_path) == 1
        assert proxy.log == []


def test_ports_of_a_host_share_its_delay(tmp_path: Path) -> None:
    """Two servers on ports of one host are one host: one request at a time, with a pause after
    each."""
    with served() as one, served() as other:
        one.pages["/"] = "".join(
            f'<img src="{site.url}/{number}.jpg">' for number in (1, 2) for site in (one, other)
        )
        for number in (1, 2):
            one.pages[f"/{number}.jpg"] = picture(number)
            other.pages[f"/{number}.jpg"] = picture(number + 2)
        assert collect(f"{one.url}/", tmp_path, delay=DELAY, hosts=4) == 4
        lines = sorted(one.log + other.log, key=lambda line: line.began)
        assert {line.path for line in other.log} == {"/robots.txt", "/1.jpg", "/2.jpg"}
        gaps = [later.began - sooner.last for sooner, later in itertools.pairwise(lines)]
        assert min(gaps) > DELAY - 0.01
