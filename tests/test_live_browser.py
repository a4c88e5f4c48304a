"""The page of `impasto live` in a real browser: the picture forms, and a style is chosen."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")
playwright = pytest.importorskip("playwright.sync_api")

from impasto.live.page import create_page  # noqa: E402
from studio_stand_ins import on_a_port  # noqa: E402
from test_live import Negative, Shots, mirror_of  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

TIMEOUT = 300_000
"""Milliseconds, far more than anything takes: the machine may be busy."""


def test_the_newest_picture_and_a_style() -> None:
    """The picture is shown and followed by the next one, paintings have their files' names where
    these tell them apart, a style that is chosen is the mirror's, and the browser complains of
    nothing."""
    shots, complaints = Shots(), list[str]()
    styles = ["one", "/here/leaves.jpg", "/a/same.jpg", "/b/same.jpg"]
    with (
        mirror_of(shots, lambda _: Negative()) as mirror,
        on_a_port(create_page(mirror, styles, "key")) as address,
        playwright.sync_playwright() as running,
    ):
        browser = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        shots.give(0)
        page.goto(f"{address}/key/")
        picture = page.locator("#picture")
        picture.wait_for()
        first = picture.get_attribute("src")
        assert picture.evaluate("(it) => it.naturalWidth") == 64
        shots.give(1)
        page.wait_for_function("(old) => document.querySelector('#picture').src !== old", arg=first)
        shown = page.locator("#style option").all_inner_texts()
        assert shown == ["one", "leaves.jpg", "/a/same.jpg", "/b/same.jpg"]
        with page.expect_response(lambda answer: answer.request.method == "PUT"):
            page.select_option("#style", "/b/same.jpg")
        assert mirror.choice.style == "/b/same.jpg"
        shots.close()
        browser.close()
    assert complaints == []
