"""A clip in the studio's pages, in a real browser, against the real server and engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("av")
pytest.importorskip("cv2")
from playwright.sync_api import Browser, expect  # noqa: E402

from impasto.clips import open_clip  # noqa: E402
from impasto.styles import style_names  # noqa: E402
from moving import drifting, make_clip  # noqa: E402
from test_web_browser import (  # noqa: E402
    CHROMIUM,
    TIMEOUT,
    _serve,  # pyright: ignore[reportPrivateUsage]
    browser,  # noqa: F401
)
from tiny_networks import write_tiny  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with tiny networks."""
    folder = tmp_path_factory.mktemp("studio")
    networks = write_tiny(folder / "networks", style_names())
    with _serve(folder / "data", "--networks", str(networks), "--free-space", "0") as found:
        yield found


TITLES = {"de": "Einen Film malen", "en": "Paint a clip"}
UNPLAYABLE = {"de": "kann ihn nicht abspielen", "en": "cannot play it"}
"""What a page says, by its language."""


@pytest.mark.parametrize("language", ["de", "en"])
def test_a_clip_is_sent_painted_and_taken_away(
    address: str,
    browser: Browser,  # noqa: F811
    tmp_path: Path,
    language: str,
) -> None:
    """From the start page to the film, in words that are there, with no fault in the scripts. It
    plays where the browser can, and is shown by a picture and taken away where it cannot."""
    frames = [drifting(i) for i in range(6)]
    clip = make_clip(tmp_path / "drift.mp4", frames, sound="aac")
    context = browser.new_context(base_url=address, locale=language)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    faults: list[Any] = []
    page.on("pageerror", lambda fault: faults.append(fault))
    page.goto("/")
    page.locator("a[href='/clip']").click()
    expect(page.get_by_role("heading", name=TITLES[language])).to_be_visible()
    file = page.locator("input[type=file]")
    file.set_input_files({"name": "notes.txt", "mimeType": "video/mp4", "buffer": b"no clip" * 99})
    expect(page.locator(".fault")).to_contain_text("MP4, MOV, MKV")
    file.set_input_files(str(clip))
    expect(page.get_by_role("radio", name="drift", exact=True)).to_be_checked()
    page.locator("input[value='style:mosaic']").check(force=True)
    page.locator("select").filter(has_text="256").select_option("256")
    page.locator("button[type=submit]").click()
    page.wait_for_url("**/job/*")
    download, film, help_ = (page.locator(f".job {n}") for n in ("a[download]", "video", ".film p"))
    expect(download).to_be_visible()
    words = page.locator("main").inner_text()
    assert "clip." not in words
    assert "job." not in words
    with page.expect_download() as taken:
        download.click()
    taken.value.save_as(tmp_path / "film.mp4")
    assert len(list(open_clip(tmp_path / "film.mp4").frames(pixels=False))) == 6

    # Not every Chromium has H.264.
    codecs = 'video/mp4; codecs="avc1.64000a, mp4a.40.2"'
    if page.evaluate("kind => document.createElement('video').canPlayType(kind)", codecs):
        expect(film).to_have_js_property("videoWidth", 64)
    else:
        expect(help_).to_contain_text(UNPLAYABLE[language])
        expect(page.locator(".job .film img")).to_have_js_property("naturalWidth", 64)
    assert faults == []
    context.close()
