"""Quick previews in a real browser, with tiny networks and a stand-in for the painter."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect  # noqa: E402

from impasto.styles import style_names  # noqa: E402
from impasto.web.app import create_app  # noqa: E402
from impasto.web.config import load_options  # noqa: E402
from impasto.web.storage import Storage  # noqa: E402
from impasto.web.studio import Studio  # noqa: E402
from stand_ins import soft_picture  # noqa: E402
from studio_stand_ins import StandInWorkers, on_a_port, png_bytes  # noqa: E402
from tiny_networks import write_tiny  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

TIMEOUT = 300_000
"""Milliseconds, far more than anything takes: the machine may be busy."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A visitor of a studio with previews; what the browser complains of fails."""
    networks = write_tiny(tmp_path / "networks", style_names())
    given = {"data": str(tmp_path / "data"), "networks": str(networks), "threads": 1}
    options = load_options({**given, "free_space": "0", "rate": 1000}, environment={})
    app = create_app(options, StandInWorkers)
    _draw(options.data, app.state.studio)
    complaints: list[str] = []
    with on_a_port(app) as address, playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        window = {"width": 1280, "height": 800}
        context = browser.new_context(base_url=address, locale="en", viewport=window)
        context.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        yield context.new_page()
        context.close()
        browser.close()
    assert complaints == []


def _draw(data: Path, studio: Studio) -> None:
    """Thumbnails of the styles, without drawing what they show."""
    Storage(data)
    for name in style_names():
        Image.fromarray(soft_picture(32, 32)).save(studio.built_in.thumb("style", name))


def _file(name: str, seed: int) -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": png_bytes(96, 64, seed)}


BOXES = """() => [...document.querySelectorAll("main h2, main .thumb, main button, .canvas > img")]
  .map((e) => e.getBoundingClientRect()).map(({x, y, width, height}) => [x, y, width, height])"""
"""Where things are."""


def test_quick_previews(page: Page) -> None:
    """Tiles and easel show the photo in each style and as it is set, and nothing moves for it."""
    address = "/?photo=sample:coffee"
    page.route("**/api/previews**", lambda route: route.abort())
    page.goto(address, wait_until="networkidle")
    expect(page.get_by_text("Choose a painting to see one.")).to_be_visible()
    page.locator(".canvas > img").evaluate("image => image.decode()")
    before = page.evaluate(BOXES)
    assert page.locator(".thumb > canvas").count() == 0
    page.unroute("**/api/previews**")
    page.goto(address)
    tiles = page.locator(".panel .thumb")
    tiles.first.wait_for()
    page.locator(".canvas > img").evaluate("image => image.decode()")
    expect(page.locator(".panel .thumb > canvas")).to_have_count(tiles.count())
    assert page.evaluate(BOXES) == before

    quick = page.locator(".quick > img")
    expect(quick).to_have_count(0)
    page.get_by_role("radio", name="Waves").check()
    expect(quick).to_be_visible()
    expect(quick).to_have_attribute("alt", "A quick preview of the painting")
    expect(page.get_by_text(re.compile("A glimpse, made in one go"))).to_be_visible()
    assert page.evaluate(BOXES) == before
    over, under = quick.bounding_box(), page.locator(".canvas > img").bounding_box()
    assert over
    assert under
    assert all(abs(over[side] - under[side]) <= 1 for side in ("x", "y", "width", "height"))
    # Tiles are drawn anew with a choice, and dressed at once.
    expect(page.locator(".panel .thumb > canvas")).to_have_count(tiles.count())

    first = quick.get_attribute("src")
    strength = page.get_by_role("slider", name="Strength").first
    strength.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(quick).not_to_have_attribute("src", first or "")
    box = page.get_by_role("checkbox", name="Quick preview")
    box.uncheck()
    expect(quick).to_have_count(0)
    box.check()
    expect(quick).to_be_visible()

    page.get_by_role("button", name=re.compile("^Show all")).click()
    expect(page.locator(".panel .thumb > canvas")).to_have_count(len(style_names()))
    page.get_by_label("Upload a painting").set_input_files(_file("mine.png", 2))
    expect(page.get_by_role("radio", name="mine")).to_be_checked()
    expect(page.locator(".own .thumb > canvas")).to_have_count(1)
    expect(quick).to_be_visible()
    # Another photo never lies under the preview of the one before.
    page.get_by_label("Choose a photo").first.set_input_files(_file("beach.png", 1))
    page.wait_for_url(re.compile("photo=(?!sample)"))
    expect(quick).to_be_visible()
    expect(page.locator(".panel .thumb > canvas")).to_have_count(len(style_names()) + 1)


def test_page_goes_on_without_previews(page: Page) -> None:
    """Where previews fail, the page says so and paints all the same."""
    refusal = {"detail": {"code": "unavailable", "message": "there is no preview just now"}}
    page.route("**/api/previews**", lambda route: route.fulfill(status=503, json=refusal))
    page.goto("/?photo=sample:coffee&style=style:waves")
    expect(page.get_by_text("There is none just now.")).to_be_visible()
    expect(page.locator(".quick")).to_have_count(0)
    with page.expect_request("**/api/jobs") as asked:
        page.get_by_role("button", name="Start painting").click()
    assert '"refine":true' in (asked.value.post_data or "")
    page.wait_for_url(re.compile("/job/"))
    expect(page.get_by_role("main").get_by_text("Finished", exact=True)).to_be_visible()


def test_easel_asks_again(page: Page) -> None:
    """Refusals that pass are asked about again, without any change of the visitor's."""
    left = [(409, "state"), (0, ""), (503, "unavailable"), (409, "superseded")]

    def answer(route: Any) -> None:
        if left:
            status, code = left.pop(0)
            if status == 0:
                route.abort()
                return
            route.fulfill(status=status, json={"detail": {"code": code, "message": "not yet"}})
        else:
            route.continue_()

    page.route("**/api/previews?*", answer)
    page.goto("/?photo=sample:coffee&style=style:waves")
    expect(page.locator(".quick > img")).to_be_visible()
    assert left == []


def test_own_paintings_are_asked_for_again(page: Page) -> None:
    """Where their sheet could not be had, the next choice asks for it again."""
    left = ["once", "twice", "thrice"]

    def answer(route: Any) -> None:
        if left:
            left.pop()
            route.abort()
        else:
            route.continue_()

    page.add_init_script(
        "const wait = setTimeout; window.setTimeout = (f, ms) => wait(f, Math.min(ms, 20));"
    )
    page.route("**/api/previews/sheet?*style=*", answer)
    page.goto("/?photo=sample:coffee")
    page.get_by_label("Upload a painting").set_input_files(_file("mine.png", 2))
    expect(page.get_by_role("radio", name="mine")).to_be_checked()
    while left:
        page.wait_for_event("requestfailed", lambda request: "sheet?" in request.url)
    page.get_by_role("radio", name="Waves").check()
    expect(page.locator(".own .thumb > canvas")).to_have_count(1)


def test_easel_gives_up(page: Page) -> None:
    """A photo that is never read is asked for some times only, and again with the next change."""
    asked: list[str] = []

    def refuse(route: Any) -> None:
        asked.append(route.request.post_data)
        route.fulfill(status=409, json={"detail": {"code": "state", "message": "not read yet"}})

    def until(count: int) -> None:
        while len(asked) < count:
            page.wait_for_event("requestfinished", lambda request: "previews?" in request.url)

    page.route("**/api/previews?*", refuse)
    page.add_init_script(
        "const wait = setTimeout; window.setTimeout = (f, ms) => wait(f, Math.min(ms, 20));"
    )
    page.goto("/?photo=sample:coffee&style=style:waves", wait_until="commit")
    until(5)
    expect(page.get_by_text("There is none just now.")).to_be_visible()
    page.get_by_role("slider", name="Strength").first.press("ArrowLeft")
    until(10)
    assert asked == [asked[0]] * 5 + [asked[5]] * 5
    assert asked[0] != asked[5]
