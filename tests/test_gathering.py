"""From a web site to a table of repainted pictures: collect, prepare and try, end to end."""

import json
from pathlib import Path

import pytest
from PIL import Image

from impasto.cli import main
from impasto.collect.manifest import read_manifest
from impasto.images import read_image
from web_site import Reply, encoded, painted, picture, served

Capture = pytest.CaptureFixture[str]
LICENSE = '<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">CC BY-SA 4.0</a>'


@pytest.mark.slow
def test_from_a_site_to_a_table(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures of a site are collected, prepared and tried in four pairs with the real network, and
    the licence of the site stands on the page beneath each of them."""
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
        pages[f"/{kind}"] = f"<html><body>{LICENSE}{images}</body></html>".encode()
    with served() as site:
        html = {"Content-Type": "text/html; charset=utf-8"}
        for path, body in pages.items():
            site.pages[path] = body if "." in path else Reply(body, headers=html)
        for kind in ("art", "photos"):
            flags = ["--delay", "0", "--allow-private", "--min-size", "32", "-q"]
            assert main(["collect", f"{site.url}/{kind}", "-o", kind, *flags]) == 0
    assert (len(read_manifest(Path("art"))), len(read_manifest(Path("photos")))) == (2, 4)
    capsys.readouterr()
    assert main(["prepare", "art", "--min-side", "100", "--size", "128"]) == 0
    assert capsys.readouterr().out.startswith("found 2 files, kept 2, dropped 0\n")
    assert main(["prepare", "photos", "--min-side", "100", "--size", "128"]) == 0
    assert capsys.readouterr().out.startswith("found 4 files, kept 3, dropped 1: 1 tiny\n")
    prepared = read_manifest(Path("photos-prepared"))
    assert [entry.license for entry in prepared] == ["by-sa"] * 3
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
