"""From a web site to a table of repainted pictures: collect, prepare and try, end to end."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from impasto.cli import main
from impasto.collect.manifest import read_manifest
from impasto.images import read_image
from web_site import Reply, Request, Site, encoded, painted, picture, served

Capture = pytest.CaptureFixture[str]
LICENSE = '<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">CC BY-SA 4.0</a>'


TRAPS = (
    '<a href="/calendar?m=1" rel="next">next</a><a href="/pile/">further</a><a href="/bomb">b</a>'
    '<a href="/no/page">hidden</a><img src="/no/hidden.jpg"><img src="/liar.jpg">'
    '<img src="/endless.jpg">'
    '<img src="/ring.jpg"><img src="/broken.jpg"><img src="/busy.jpg" alt="picture &lt;/busy&gt;">'
)


def set_traps(site: Site) -> None:
    """Makes the site one that only patience and caution come through: rules, a calendar and folders
    without end, a page that unpacks to 60 MB, files of 10 GB that say they are small, or nothing,
    redirects in a ring, a picture that is none, and a server that wants a pause."""

    def endless(write: Callable[[bytes], None]) -> None:
        for _ in range(10_000):
            write(b"\xff" * 1_000_000)

    def month(line: Request) -> str:
        number = int(line.path.partition("=")[2]) + 1
        return f'<img src="/logo.png"><a href="/calendar?m={number}" rel="next">next</a>'

    def busy(line: Request) -> Reply:
        first = site.paths()[line.path] == 1
        asked = Reply(status=429, headers={"Retry-After": "1"})
        return asked if first else Reply(picture(12, 200, 150))

    packed = {"Content-Encoding": "gzip", "Content-Type": "text/html"}
    site.any_query["/calendar"] = month
    site.pages.update({"/pile/" + "x/" * n: '<a href="x/">further</a>' for n in range(9)})
    site.pages.update(
        {
            "/robots.txt": b"User-agent: *\nDisallow: /no/\n",
            "/no/hidden.jpg": picture(90),
            "/logo.png": encoded(painted(91, 24, 24), "PNG"),
            "/bomb": Reply(gzip.compress(b"<p>" + b"x" * 60_000_000), headers=packed),
            "/liar.jpg": Reply(endless, headers={"Content-Length": "5000"}),
            "/endless.jpg": Reply(endless),
            "/ring.jpg": Reply(status=302, headers={"Location": "/ring.jpg?again"}),
            "/ring.jpg?again": Reply(status=302, headers={"Location": "/ring.jpg"}),
            "/broken.jpg": picture(92)[:2000],
            "/busy.jpg": busy,
        }
    )


@pytest.mark.slow
def test_from_a_site_to_a_table(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures of a site full of traps are collected, prepared and tried in four pairs with the
    real network, and the licence of the site stands on the page beneath each of them."""
    monkeypatch.chdir(tmp_path)
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    pages = {f"/art/{n}.jpg": picture(n, 160, 120) for n in range(2)}
    pages |= {f"/photos/{n}.jpg": picture(9 + n, 200, 150) for n in range(2)}
    turned = encoded(painted(20, 120, 180), quality=90, exif=upside_down)
    tiny = encoded(painted(21, 48, 40), "PNG")
    pages |= {"/photos/turned.jpg": turned, "/photos/tiny.png": tiny}
    for kind in ("art", "photos"):
        shown = [path for path in pages if path.startswith(f"/{kind}/")]
        images = "".join(f'<img src="{path}" alt="picture &lt;{path}&gt;">' for path in shown)
        traps = TRAPS if kind == "photos" else ""
        pages[f"/{kind}"] = f"<html><body>{LICENSE}{images}{traps}</body></html>".encode()
    with served() as site:
        set_traps(site)
        html = {"Content-Type": "text/html; charset=utf-8"}
        for path, body in pages.items():
            site.pages[path] = body if "." in path else Reply(body, headers=html)
        for kind in ("art", "photos"):
            flags = ["--delay", "0", "--allow-private", "--min-size", "32", "--depth", "9", "-q"]
            flags += ["--max-file", "2MB", "--attempts", "2"]
            assert main(["collect", f"{site.url}/{kind}", "-o", kind, *flags]) == 0
        told = capsys.readouterr().out
        assert "5 pictures kept of 11 found" in told
        for reason in (
            "failed: larger than --max-file",
            "failed: redirected in a circle",
            "failed: no picture that can be read",
            "skipped: robots.txt forbids it",
            "skipped: too small",
        ):
            assert reason in told
        assert not [path for path in site.paths() if path.startswith("/no/")]
        assert sum(path.startswith(("/calendar", "/pile")) for path in site.paths()) < 15
        (place,) = (i for i, line in enumerate(site.log) if line.status == 429)
        assert site.log[place + 1].began - site.log[place].last >= 0.98
    assert (len(read_manifest(Path("art"))), len(read_manifest(Path("photos")))) == (2, 5)
    assert main(["prepare", "art", "--min-side", "100", "--size", "128"]) == 0
    assert capsys.readouterr().out.startswith("found 2 files, kept 2, dropped 0\n")
    assert main(["prepare", "photos", "--min-side", "100", "--size", "128"]) == 0
    assert capsys.readouterr().out.startswith("found 5 files, kept 4, dropped 1: 1 tiny\n")
    prepared = read_manifest(Path("photos-prepared"))
    assert [entry.license for entry in prepared] == ["by-sa"] * 4
    sizes = {Image.open(f"photos-prepared/{entry.file}").size for entry in prepared}
    assert sizes == {(128, 96), (85, 128)}
    command = ["try", "photos-prepared", "--styles", "art-prepared", "-n", "4"]
    assert main([*command, "--size", "64", "--evaluations", "2", "-o", "tried"]) == 0
    assert "drew 4 pairs, made 4" in capsys.readouterr().out
    record = json.loads(Path("tried/trial.json").read_text("utf-8"))
    assert len(record["pairs"]) == 4
    for pair in record["pairs"]:
        result = read_image(Path("tried") / pair["result"])
        assert max(result.width, result.height) == 64
        assert result.settings is not None
        assert result.settings["weights_sha256"] != "0" * 64
    page = Path("tried/index.html").read_text("utf-8")
    assert page.count("<figure>") == 12
    assert page.count('href="https://creativecommons.org/licenses/by-sa/4.0/"') == 8
    assert "picture &lt;/" in page
    with Image.open("tried/table.png") as figure:
        assert figure.width > 500
