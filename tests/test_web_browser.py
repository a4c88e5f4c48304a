"""The studio in a real browser, against its real server and engine, with small pictures."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect  # noqa: E402

from impasto.samples import sample_path  # noqa: E402
from impasto.styles import style_names  # noqa: E402
from stand_ins import soft_picture  # noqa: E402
from studio_stand_ins import spare_drawing  # noqa: E402
from tiny_networks import write_tiny  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

ROOT = Path(__file__).parent.parent
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
MAX_WEIGHT = 150_000
"""Most bytes that the studio's page may load beside pictures."""

PROFILES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
WIDTHS = {
    "touch": {320: 640, 390: 844, 768: 1024},
    "desk": {1280: 800, 2560: 1440, 3840: 2160},
}
"""Heights of windows by their widths, px."""

QUICK = "size=64&evaluations=6"
LONG = "size=128&evaluations=1500&single_level=true"
"""More evaluations than any test waits for."""

TIMEOUT = 180_000
"""Milliseconds, far more than anything takes: the machine may be busy."""


@contextlib.contextmanager
def _serve(data: Path, *flags: str, port: str = "0") -> Iterator[str]:
    """A studio of its own; its address."""
    command = [sys.executable, "-m", "impasto", "serve", "--data", str(data), "--port", port]
    command += flags
    with (data.parent / f"{data.name}.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=data.parent
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, f"{line}\n{Path(log.name).read_text()}"
            yield found[0].rstrip("/")
        finally:
            process.terminate()
            process.wait(TIMEOUT / 1000)


def _lasting_port() -> str:
    """A free port that systems give nobody by themselves: it is free for who comes back to it."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            return str(port)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a studio that serves for all tests here."""
    folder = tmp_path_factory.mktemp("studio")
    networks = write_tiny(folder / "networks", style_names())
    flags = ("--shared-gallery", "--rate", "1000", "--networks", str(networks))
    with _serve(folder / "data", *flags) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        expect.set_options(timeout=TIMEOUT)
        yield found
        found.close()


def _stop_jobs(context: BrowserContext) -> None:
    """Stops what a visitor has under way, so that the next one need not wait."""
    token = context.request.get("/api/me").json()["csrf"]
    found = context.request.get("/api/jobs?state=queued,running,paused").json()["jobs"]
    for job in reversed(found):
        headers = {"X-Impasto-CSRF": token}
        context.request.post(f"/api/jobs/{job['id']}/cancel", headers=headers)


Visit = Callable[..., BrowserContext]


@pytest.fixture
def visit(browser: Browser, studio: str) -> Iterator[Visit]:
    """`visit(**profile)` is a new visitor of the studio; what a browser complains of fails."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def enter(**profile: Any) -> BrowserContext:
        context = browser.new_context(
            **{"base_url": studio, "locale": "en", "reduced_motion": "reduce", **profile}
        )
        context.set_default_timeout(TIMEOUT)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        contexts.append(context)
        return context

    yield enter
    for context in contexts:
        _stop_jobs(context)
        context.close()
    assert complaints == []


@pytest.fixture
def page(visit: Visit) -> Page:
    """A visitor at a desk."""
    return visit(**PROFILES["desktop"]).new_page()


def _png(width: int = 96, height: int = 64, seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(soft_picture(width, height, seed)).save(out, "PNG")
    return out.getvalue()


def _file(name: str, data: bytes) -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def _choose_photo(page: Page, name: str = "beach.png", seed: int = 1) -> None:
    chooser = page.get_by_label("Choose a photo").first
    chooser.set_input_files(_file(name, _png(seed=seed)))
    expect(page.locator(".canvas > img")).to_be_visible()
    page.wait_for_url(re.compile("photo="))


def _start(page: Page, query: str) -> str:
    """Begins a job with the settings of an address; its id."""
    page.goto(f"/?{query}")
    page.get_by_role("button", name="Start painting").click()
    page.wait_for_url(re.compile("/job/"))
    return page.url.rpartition("/")[2]


def _address(page: Page) -> str:
    """The address that the page has now; `page.url` hears of changes a moment later."""
    return page.evaluate("location.href")


def _said(page: Page, words: str | re.Pattern[str]) -> Locator:
    """Words on the page, not those that only screen readers are told."""
    return page.get_by_role("main").get_by_text(words, exact=True)


def _finished(page: Page) -> None:
    expect(_said(page, "Finished")).to_be_visible()


def _compared(page: Page) -> None:
    """A finished picture lies over its photo, which is a moment after it is said to be finished."""
    _finished(page)
    expect(page.get_by_role("slider", name="Before and after")).to_be_visible()


def _load(link: Locator) -> Image.Image:
    with link.page.expect_download() as waiting:
        link.click()
    return Image.open(waiting.value.path())


def _share(page: Page, *, on: bool = True) -> None:
    """Lets everybody see a finished picture, or nobody any more; until the server knows."""
    box = page.get_by_label("Share it with everybody in this studio")
    expect(box).to_be_visible()
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        box.set_checked(on)


Point = tuple[float, float]


def _drag_mouse(page: Page, start: Point, end: Point) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def _drag_finger(page: Page, start: Point, end: Point) -> None:
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: Point) -> None:
        found = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": found})

    touch("touchStart", start)
    for share in (0.25, 0.5, 0.75, 1):
        touch("touchMove", tuple(a + share * (b - a) for a, b in zip(start, end, strict=True)))  # type: ignore[arg-type]
    touch("touchEnd")


_LIVE = """
window.live = [];
new MutationObserver((changes) => {
  for (const one of changes.flatMap(({ addedNodes }) => [...addedNodes])) {
    if (one.matches?.(".world img[src*='/live?']")) window.live.push(one.getAttribute("src"));
  }
}).observe(document, { childList: true, subtree: true });
"""
"""Notes the address of every picture of a run that comes into the glass."""


@pytest.mark.parametrize("profile", PROFILES)
def test_whole_way(visit: Visit, profile: str) -> None:
    """A visitor uploads a photo and a painting, watches, compares and takes the result home."""
    page = visit(**PROFILES[profile], accept_downloads=True).new_page()
    page.add_init_script(_LIVE)
    page.goto("/?size=96&evaluations=100&single_level=true")
    _choose_photo(page)
    camera = page.get_by_label("Take a photo").filter(visible=True)
    expect(camera).to_have_count(1 if profile == "phone" else 0)
    if profile == "phone":
        expect(camera).to_have_attribute("capture", "environment")
    page.get_by_label("Upload a painting").set_input_files(_file("mine.png", _png(80, 80, 2)))
    expect(page.get_by_role("radio", name="mine")).to_be_checked()
    page.get_by_role("button", name="Start painting").click()
    page.wait_for_url(re.compile("/job/"))
    expect(page.get_by_role("heading", level=1)).to_have_text("beach · mine")
    expect(page.get_by_role("progressbar")).to_be_visible()

    # A whole run takes longer than anything else here.
    expect(_said(page, "Finished")).to_be_visible(timeout=4 * TIMEOUT)
    seen = page.evaluate("window.live")
    assert len(set(seen)) >= 3
    assert {re.search(r"side=(\d+)", address)[1] for address in seen} == {"1024"}  # type: ignore[index]

    divider = page.locator(".divider")
    slider = page.get_by_role("slider", name="Before and after")
    expect(slider).to_have_attribute("aria-valuetext", "100% painted")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "99% painted")
    expect(slider).to_have_value("99")
    box = page.locator(".glass").bounding_box()
    handle = divider.bounding_box()
    assert box
    assert handle
    drag = _drag_finger if profile == "phone" else _drag_mouse
    drag(
        page,
        (handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2),
        (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2),
    )
    expect(slider).to_have_value(re.compile("^(4[0-9]|5[0-9]|60)$"))
    if profile == "phone":
        track = slider.bounding_box()
        assert track
        page.touchscreen.tap(track["x"] + track["width"] / 4, track["y"] + track["height"] / 2)
        expect(slider).to_have_value(re.compile("^(1[5-9]|2[0-9]|3[0-5])$"))
    clip = page.locator(".world img").last.evaluate("image => getComputedStyle(image).clipPath")
    assert re.match(r"inset\(0px [\d.]+px 0px 0px\)", clip)

    png = _load(page.get_by_role("link", name="PNG", exact=True))
    assert png.format == "PNG"
    assert png.size == (96, 64)
    assert _load(page.get_by_role("link", name=re.compile("JPEG"))).format == "JPEG"
    tiff = _load(page.get_by_role("link", name="TIFF, 16 bit"))
    assert tiff.format == "TIFF"
    page.get_by_text("Print on paper").click()
    page.get_by_label("Paper", exact=True).select_option("a4")
    sheet = _load(page.get_by_role("link", name="PNG for this paper"))
    said = page.get_by_text(re.compile(r"dots per inch")).inner_text()
    dpi = float(re.findall(r"\d+", said)[0])
    assert abs(sheet.info["dpi"][0] - dpi) < 1


def test_drop_and_paste(page: Page) -> None:
    """A photo can be dropped on the page and pasted into it."""
    page.goto("/")
    # The page is drawn a moment after it has loaded, and nobody drops anything on an empty one.
    expect(page.get_by_role("button", name="Choose a photo")).to_be_visible()
    for kind, name in (("drop", "dropped"), ("paste", "pasted")):
        page.evaluate(
            """([kind, name, bytes]) => {
              const file = new File([new Uint8Array(bytes)], `${name}.png`, { type: "image/png" });
              const data = new DataTransfer();
              data.items.add(file);
              const event = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
              document.body.dispatchEvent(event);
            }""",
            [kind, name, list(_png(seed=len(name)))],
        )
        expect(page.get_by_role("radio", name=name)).to_be_checked()


def test_refused_file_is_explained(page: Page) -> None:
    """What is no picture is refused in the page's words, and the page goes on."""
    page.goto("/")
    chooser = page.get_by_label("Choose a photo").first
    chooser.set_input_files(_file("words.png", b"these are only words"))
    expect(page.get_by_role("alert").get_by_text(re.compile("is no picture"))).to_be_visible()
    broken = _png()[:200]
    chooser.set_input_files(_file("broken.png", broken))
    expect(page.get_by_role("alert").get_by_text(re.compile("damaged"))).to_be_visible()
    _choose_photo(page)


def test_mask_by_brush_and_by_numbers(page: Page) -> None:
    """A part that is painted over, or given by numbers, keeps the photo; the rest is painted."""
    page.goto(f"/?photo=sample:cat&style=style:mosaic&{QUICK}")
    page.get_by_text("Different in parts").click()
    page.get_by_role("button", name="Paint a part").click()
    dialog = page.get_by_role("dialog")
    canvas = dialog.locator("canvas")
    box = canvas.bounding_box()
    assert box
    covered = "canvas => { const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width,"
    covered += " canvas.height); return data.filter((v, i) => i % 4 === 3 && v > 0).length; }"

    def stroke(*points: tuple[float, float]) -> int:
        for step, (x, y) in enumerate(points):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=5)
            if step == 0:
                page.mouse.down()
        page.mouse.up()
        return canvas.evaluate(covered)

    first = stroke((0.2, 0.5), (0.4, 0.5))
    assert first > 0
    second = stroke((0.6, 0.5), (0.8, 0.5))
    assert second > first
    dialog.get_by_text("Eraser").click()
    assert stroke((0.6, 0.5), (0.8, 0.5)) == first
    dialog.get_by_role("button", name="Undo").click()
    assert canvas.evaluate(covered) == second
    dialog.get_by_role("button", name="Clear").click()
    dialog.get_by_role("button", name="Use this part").click()
    expect(dialog.get_by_text("Nothing is painted yet.")).to_be_visible()

    dialog.get_by_text("Shapes by numbers", exact=True).click()
    for name, value in {"From the left": 0, "From above": 0, "Width": 50, "Height": 100}.items():
        dialog.get_by_label(name, exact=True).fill(str(value))
    dialog.get_by_role("button", name="Add the shape").click()
    expect(page.get_by_role("status").get_by_text("covers 50%")).to_be_attached()
    dialog.get_by_role("slider", name="Soft edge").fill("0")
    dialog.get_by_role("button", name="Use this part").click()
    expect(page.get_by_label("Part 1", exact=True)).to_have_value("keep")
    expect(page.get_by_label("Everywhere else")).to_have_value("")
    rest = page.get_by_role("group", name="Everywhere else")
    expect(rest.locator(".outside img")).to_have_js_property("complete", True)
    with Image.open(io.BytesIO(rest.locator(".outside img").screenshot())) as opened:
        face = np.asarray(opened.convert("L"))
    row = face[len(face) // 2]
    assert row[len(row) // 4] < 30
    assert row[3 * len(row) // 4] > 225
    page.get_by_role("button", name="Start painting").click()
    _finished(page)

    address = page.url.replace("/job/", "/api/jobs/")
    with Image.open(io.BytesIO(page.request.get(f"{address}/file?format=png").body())) as opened:
        result = np.asarray(opened.convert("RGB"), float)
    with Image.open(sample_path("cat")) as opened:
        size = result.shape[1], result.shape[0]
        photo = np.asarray(opened.convert("RGB").resize(size, Image.Resampling.BOX), float)
    off = np.abs(result - photo).mean(axis=(0, 2))
    middle = len(off) // 2
    assert off[: middle - 2].mean() < 6
    assert off[middle + 2 :].mean() > 20


def test_mask_by_upload(page: Page) -> None:
    """A picture serves as a part; each painting is named there, and the strength is followed."""
    page.goto(f"/?photo=sample:cat&{QUICK}")
    for seed, name in ((2, "dunes"), (3, "reeds")):
        chooser = page.get_by_label("Upload a painting")
        chooser.set_input_files(_file(f"{name}.png", _png(80, 80, seed)))
        expect(page.locator(".thumb input:checked ~ span", has_text=name)).to_be_visible()
    page.get_by_text("Different in parts").click()
    fold = page.locator("details", has=page.get_by_text("Different in parts"))
    out = io.BytesIO()
    Image.linear_gradient("L").resize((96, 64)).save(out, "PNG")
    fold.locator("input[type=file]").set_input_files(_file("left.png", out.getvalue()))
    what = page.get_by_label("Part 1", exact=True)
    expect(what).to_have_value("keep")
    rest = page.get_by_label("Everywhere else")
    words = " ".join(rest.locator("option").all_inner_texts())
    assert "dunes" in words
    assert "reeds" in words
    strengths = fold.get_by_role("slider", name="Strength")
    page.locator(".step").get_by_role("slider", name="Strength").fill("40")
    expect(strengths.last).to_have_value("40")
    what.select_option(label="Paint it like dunes")
    strengths.first.fill("70")
    page.locator(".step").get_by_role("slider", name="Strength").fill("55")
    expect(strengths.last).to_have_value("55")
    expect(strengths.first).to_have_value("70")
    page.get_by_role("button", name="Start painting").click()
    page.wait_for_url(re.compile("/job/"))
    asked = page.request.get(page.url.replace("/job/", "/api/jobs/")).json()["request"]
    assert len(asked["masks"]) == 1
    first, second = asked["options"]["regions"]
    assert first["strength"] == 0.7
    assert len(first["styles"]) == 1
    assert second["styles"] == [1, 2]
    _finished(page)


def test_steer_while_it_runs(page: Page) -> None:
    """A run can be paused, goes on, takes on another strength, and can be stopped."""
    job = _start(page, f"photo=sample:cat&style=style:waves&{LONG}&strength=0.4")
    expect(_said(page, re.compile(r"Painting: \d"))).to_be_visible()
    assert _violations(page) == []
    page.get_by_role("button", name="Pause").click()
    expect(_said(page, re.compile("Paused at"))).to_be_visible()
    assert _violations(page) == []
    still = page.request.get(f"/api/jobs/{job}").json()
    assert still["state"] == "paused"
    page.get_by_role("button", name="Go on").click()
    expect(_said(page, re.compile(r"Painting: \d"))).to_be_visible()
    strength = page.get_by_role("slider", name="Strength")
    expect(strength).to_have_attribute("aria-valuetext", "40%")
    facts = page.locator(".facts")
    for key, asked, said in (("ArrowLeft", 0.39, "39%"), ("Home", 0, "0%")):
        strength.focus()
        page.keyboard.press(key)
        expect(strength).to_have_attribute("aria-valuetext", said)
        expect(facts.get_by_text(said, exact=True)).to_be_visible()
        assert page.request.get(f"/api/jobs/{job}").json()["strength"] == asked
        again = page.get_by_role("link", name="Again with other settings")
        expect(again).to_have_attribute("href", re.compile(rf"strength={asked}$|strength={asked}&"))
    page.get_by_role("button", name="Stop").click()
    question = page.get_by_role("dialog")
    question.get_by_role("button", name="Keep painting").click()
    expect(question).to_have_count(0)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    question.get_by_role("button", name="Stop").click()
    expect(_said(page, "Stopped")).to_be_visible()
    expect(page.get_by_role("link", name="PNG", exact=True)).to_be_visible()
    done = page.request.get(f"/api/jobs/{job}").json()["progress"]["evaluations_done"]
    assert done < 1500
    expect(facts).to_contain_text(f"Steps{done:,} of 1,500")


def test_queue_place(visit: Visit) -> None:
    """Who waits is told their place, moves up when another leaves, and may leave too."""
    context = visit(**PROFILES["desktop"])
    pages = [context.new_page() for _ in range(3)]
    for page in pages:
        _start(page, f"photo=sample:cat&style=style:drip&{LONG}")
    expect(_said(pages[0], re.compile(r"Painting: \d"))).to_be_visible()
    expect(_said(pages[1], "Next in the queue")).to_be_visible()
    expect(_said(pages[2], "Place 2 in the queue")).to_be_visible()
    assert _violations(pages[2]) == []
    for page, next_words in (
        (pages[1], "Next in the queue"),
        (pages[0], re.compile(r"Painting: \d")),
    ):
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        expect(_said(page, "Stopped")).to_be_visible()
        expect(_said(pages[2], next_words)).to_be_visible()
    pages[2].get_by_role("button", name="Stop").click()
    pages[2].get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(_said(pages[2], "Stopped")).to_be_visible()


def test_every_option_has_a_field(page: Page) -> None:
    """Each option that the server takes can be set on the page, most of them under "more"."""
    page.goto("/")
    page.get_by_text("More settings").click()
    taken = {
        name
        for group in page.request.get("/api/options").json()["groups"]
        for name in group["fields"]
    }
    own = {"preset", "strength", "style_scale", "color", "color_strength", "size", "print"}
    own |= {"print_fit", "dpi", "style_weights", "regions"}
    page.locator("[data-option]").first.wait_for()
    drawn = page.locator("[data-option]").evaluate_all("all => all.map(e => e.dataset.option)")
    assert len(taken) > 30
    assert sorted([*drawn, *own & taken]) == sorted(taken)
    third = page.get_by_label("Third picture", exact=True)
    expect(third).to_be_hidden()
    page.get_by_label("Begin with", exact=True).select_option("image")
    third.select_option("sample:rocket")
    page.get_by_label("Fine texture from", exact=True).select_option("style:pastel")
    assert {"start=image", "third=sample:rocket", "fine=style:pastel"} <= set(
        _address(page).partition("?")[2].split("&")
    )
    page.get_by_role("radio", name="Cat").check()
    page.get_by_role("radio", name="Waves").check()
    page.get_by_label("Size of the picture").select_option("own")
    page.get_by_label("Longer side, in pixels").fill("64")
    page.get_by_label("Steps", exact=True).fill("4")
    page.get_by_role("button", name="Start painting").click()
    _finished(page)
    request = page.request.get(page.url.replace("/job/", "/api/jobs/")).json()["request"]
    assert (request["fine"], request["start"]) == ("style:pastel", "sample:rocket")


def test_closed_tab_comes_back(visit: Visit) -> None:
    """A run goes on while its tab is closed, and shows where it is when it is opened again."""
    context = visit(**PROFILES["desktop"])
    page = context.new_page()
    job = _start(page, "photo=sample:coffee&style=style:agate&size=64&evaluations=40")
    address = page.url
    page.close()
    page = context.new_page()
    page.goto("/gallery")
    page.get_by_role("link", name=re.compile("Coffee · Agate")).click()
    expect(page).to_have_url(address)
    _finished(page)
    expect(page.get_by_role("img", name=re.compile("The painted picture"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Distance from the goal"))).to_be_visible()
    assert page.request.get(f"/api/jobs/{job}").json()["state"] == "done"


def test_settings_link(visit: Visit) -> None:
    """The address holds what differs from the defaults, and brings it back for anybody."""
    page = visit(**PROFILES["desktop"]).new_page()
    page.goto("/")
    page.get_by_role("radio", name="Rocket").check()
    page.get_by_text("Blend several paintings").click()
    page.get_by_role("checkbox", name="Waves").check()
    page.get_by_role("checkbox", name="Mosaic").check()
    shares = page.locator(".share").get_by_role("slider", name="Mosaic")
    shares.fill("100")
    page.get_by_role("slider", name="Strength").fill("60")
    page.get_by_role("slider", name="Brush size").fill("2")
    page.get_by_text("The photo’s", exact=True).click()
    page.get_by_label("Size of the picture").select_option("size:1024")
    page.get_by_text("More settings").click()
    page.get_by_label("Steps", exact=True).fill("77")
    page.get_by_label("Steps", exact=True).blur()
    page.get_by_label("Even out layers", exact=True).uncheck()
    given = dict(
        part.split("=")
        for part in _address(page).partition("?")[2].split("&")
        if "style=" not in part and "share=" not in part
    )
    assert given == {
        "photo": "sample:rocket",
        "strength": "0.6",
        "style_scale": "0.5",
        "color": "luminance",
        "size": "1024",
        "evaluations": "77",
        "normalize": "false",
    }
    other = visit(**PROFILES["phone"]).new_page()
    other.goto(_address(page))
    expect(other.get_by_role("radio", name="Rocket")).to_be_checked()
    expect(other.get_by_role("checkbox", name="Waves")).to_be_checked()
    expect(other.locator(".share").get_by_role("slider", name="Mosaic")).to_have_value("100")
    expect(other.get_by_role("slider", name="Strength")).to_have_value("60")
    expect(other.get_by_role("slider", name="Brush size")).to_have_value("2")
    expect(other.get_by_role("radio", name="The photo’s", exact=True)).to_be_checked()
    expect(other.get_by_label("Size of the picture")).to_have_value("size:1024")
    other.get_by_text("More settings").click()
    expect(other.get_by_label("Steps", exact=True)).to_have_value("77")
    expect(other.get_by_label("Even out layers", exact=True)).not_to_be_checked()
    other.get_by_role("button", name="Steps: back to the usual value").click()
    assert "evaluations" not in _address(other)
    other.get_by_role("button", name="Clear everything").click()
    expect(other).to_have_url(re.compile("/$"))


def test_fault_stands_at_its_field(page: Page) -> None:
    """What the server finds wrong with an option is said, and its field is marked and in focus."""
    page.goto(f"/?photo=sample:cat&style=style:waves&{QUICK}&style_layers=sky")
    page.get_by_role("button", name="Start painting").click()
    field = page.get_by_label("Layers for the painting", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("relu2_1")
    field.blur()
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_unusable_number_is_refused(visit: Visit) -> None:
    """A number that cannot be used is told in the page's language, stays while other things are
    set, lets Tab go on, and is neither painted with nor saved until it is mended.
    """
    page = visit(**PROFILES["desktop"] | {"locale": "de"}).new_page()
    page.goto(f"/?photo=sample:cat&style=style:waves&{QUICK}&strength=0.8")
    fold = page.locator("summary", has_text="Weitere Einstellungen")
    fold.click()
    steps = page.get_by_label("Schritte", exact=True)
    steps.fill("99999")
    page.keyboard.press("Tab")
    words = "Eine Einstellung geht nicht: „Schritte“"
    expect(page.locator("[data-option=evaluations] .fault")).to_contain_text(words)
    expect(steps).to_have_attribute("aria-invalid", "true")
    expect(steps).not_to_be_focused()
    page.get_by_role("slider", name="Stärke").first.fill("70")
    expect(steps).to_have_value("99999")
    fold.click()
    page.get_by_role("button", name="Jetzt malen").click()
    expect(page.locator(".go .fault")).to_contain_text(words)
    expect(steps).to_be_focused()
    fold.click()
    page.get_by_role("button", name="Deine Rezepte").click()
    window = page.get_by_role("dialog")
    window.get_by_label("Jetzige Einstellungen speichern als").fill("Zu viel")
    page.keyboard.press("Enter")
    expect(window.locator(".fault")).to_contain_text(words)
    page.keyboard.press("Escape")
    expect(steps).to_be_focused()
    assert page.request.get("/api/presets").json() == []

    steps.fill("3")
    weight = page.get_by_label("Gewicht des Gemäldes", exact=True)
    weight.fill("-1")
    page.get_by_role("button", name="Jetzt malen").click()
    expect(page.locator(".go .fault")).to_contain_text("„Gewicht des Gemäldes“")
    page.get_by_role("button", name="Gewicht des Gemäldes: zurück").click()
    steps.hover()
    steps.focus()
    # One pixel: the page may scroll before it is asked what lies under the pointer.
    page.mouse.wheel(0, -1)
    expect(steps).not_to_be_focused()
    expect(steps).to_have_value("3")
    page.get_by_role("button", name="Jetzt malen").click()
    page.wait_for_url(re.compile("/job/"))
    asked = page.request.get(page.url.replace("/job/", "/api/jobs/")).json()["request"]["options"]
    assert (asked["evaluations"], asked["strength"]) == (3, 0.7)
    assert "style_weight" not in asked


def test_own_presets(visit: Visit) -> None:
    """Settings are saved under a name, chosen again beside the built-in ones, overwritten once that
    is confirmed, renamed, deleted and brought back; links carry values, and nobody else sees them.
    """
    page = visit(**PROFILES["desktop"]).new_page()
    page.goto("/?photo=sample:cat&style=style:waves")
    recipe = page.get_by_label("Recipe", exact=True)
    expect(recipe.locator("optgroup")).to_have_count(0)
    window = page.get_by_role("dialog", name="Your recipes")
    name = window.get_by_label("Save the present settings as")

    def manage() -> None:
        page.get_by_role("button", name="Your recipes").click()
        expect(window).to_be_visible()

    def press(action: str, what: str) -> None:
        window.get_by_role("button", name=f"{action}: {what}", exact=True).click()

    manage()
    expect(window.get_by_text("nothing differs")).to_be_visible()
    window.get_by_role("button", name="Close").click()
    recipe.select_option("gatys")
    strength = page.get_by_role("slider", name="Strength")
    strength.fill("60")
    page.get_by_role("slider", name="Brush size").fill("2")
    manage()
    name.fill("  Grandma’s  garden ")
    page.keyboard.press("Enter")
    expect(window.get_by_role("status")).to_have_text("Grandma’s garden is saved.")
    expect(window.get_by_text("Gatys 2016 · Strength, Brush size")).to_have_count(2)
    assert _violations(page) == []
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    expect(page.get_by_role("button", name="Your recipes")).to_be_focused()
    expect(recipe.locator("option:checked")).to_have_text("Grandma’s garden")

    # What is changed stays the preset and says so; a link carries the values themselves.
    address = _address(page)
    assert {"preset=gatys", "strength=0.6", "style_scale=0.5"} <= set(address.split("&"))
    strength.fill("70")
    expect(recipe.locator("option:checked")).to_have_text("Grandma’s garden (changed)")
    manage()
    press("Use", "Grandma’s garden")
    expect(strength).to_have_value("60")
    expect(recipe.locator("option:checked")).to_have_text("Grandma’s garden")
    assert _address(page) == address
    expect(page.get_by_role("radio", name="Waves")).to_be_checked()
    recipe.select_option("impasto")
    expect(strength).to_have_value("100")
    assert "preset" not in _address(page)
    stranger = visit(**PROFILES["desktop"]).new_page()
    stranger.goto(address)
    expect(stranger.get_by_role("slider", name="Strength")).to_have_value("60")
    theirs = stranger.get_by_label("Recipe", exact=True)
    expect(theirs).to_have_value("gatys")
    expect(theirs.locator("optgroup")).to_have_count(0)

    strength.fill("30")
    manage()
    for leave in (True, False):
        name.fill("Grandma’s garden")
        window.get_by_role("button", name="Save", exact=True).click()
        question = page.get_by_role("dialog", name="Overwrite Grandma’s garden?")
        question.get_by_role("button", name="Leave it" if leave else "Overwrite").click()
    expect(window.get_by_text("impasto · Strength")).to_have_count(2)
    press("Rename", "Grandma’s garden")
    field = window.get_by_label("New name for Grandma’s garden")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    press("Rename", "Grandma’s garden")
    field.fill("Orchard")
    page.keyboard.press("Enter")
    expect(window.get_by_role("heading", name="Orchard")).to_be_visible()
    expect(window.get_by_role("button", name="Rename: Orchard")).to_be_focused()
    press("Delete", "Orchard")
    undo = window.get_by_role("button", name="Undo: Orchard")
    expect(undo).to_be_focused()
    expect(recipe.locator("optgroup")).to_have_count(0)
    assert _violations(page) == []
    page.keyboard.press("Enter")
    expect(window.get_by_role("button", name="Delete: Orchard")).to_be_focused()
    page.reload()
    expect(recipe.locator("option:checked")).to_have_text("Orchard")
    page.get_by_role("button", name="Clear everything").click()
    manage()
    press("Use", "Orchard")
    expect(window).to_have_count(0)
    expect(strength).to_have_value("30")


def test_names_of_own_presets(page: Page) -> None:
    """A name that is missing or taken is told where it is typed, and what was typed stays; what
    stands in the way of bringing a recipe back is told beside it.
    """
    page.goto("/?photo=sample:cat&style=style:waves&strength=0.6")
    page.get_by_role("button", name="Your recipes").click()
    window = page.get_by_role("dialog", name="Your recipes")
    name = window.get_by_label("Save the present settings as")

    def save(what: str) -> None:
        name.fill(what)
        page.keyboard.press("Enter")

    save("   ")
    expect(window.get_by_role("alert").get_by_text("Give it a name.")).to_be_visible()
    expect(name).to_be_focused()
    save("Dusk")
    expect(window.get_by_role("heading", name="Dusk")).to_be_visible()
    save("Dawn")
    dawn = window.locator("li", has_text="Dawn")
    dawn.get_by_role("button", name="Rename").click()
    field = window.get_by_label("New name for Dawn")
    row = window.locator("li", has=page.locator("input"))
    for typed, words in ((" ", "Give it a name."), ("Dusk", "Another recipe of yours has")):
        field.fill(typed)
        page.keyboard.press("Enter")
        expect(row.get_by_role("alert")).to_contain_text(words)
        expect(field).to_have_value(typed)
        expect(field).to_be_focused()
    assert _violations(page) == []
    page.keyboard.press("Escape")
    expect(dawn.get_by_role("alert")).to_have_count(0)
    dawn.get_by_role("button", name="Delete").click()
    undo = window.get_by_role("button", name="Undo: Dawn")
    expect(undo).to_be_visible()
    save("Dawn")
    expect(window.get_by_role("heading", name="Dawn")).to_be_visible()
    undo.click()
    words = "Another recipe is called Dawn now. Rename that one first."
    expect(window.locator("li", has_text="Dawn is deleted").get_by_role("alert")).to_have_text(
        words
    )
    expect(undo).to_be_focused()


def test_fault_of_an_option_in_german(visit: Visit) -> None:
    """What the server finds wrong with an option is told in the page's language, with the names
    that options have there."""
    page = visit(**PROFILES["desktop"] | {"locale": "de"}).new_page()
    page.goto("/?photo=sample:cat&style=style:waves&print=a5&levels=64:2")
    page.get_by_role("button", name="Jetzt malen").click()
    words = "„Papier“ und „Durchgänge“ schließen einander aus. Lass eines weg."
    expect(page.get_by_role("alert").get_by_text(words)).to_be_visible()


def test_gallery(visit: Visit) -> None:
    """Finished pictures are found, deleted, brought back, renamed and downloaded together."""
    page = visit(**PROFILES["desktop"], accept_downloads=True).new_page()
    for photo, style in (("coffee", "lava"), ("rocket", "frost")):
        _start(page, f"photo=sample:{photo}&style=style:{style}&{QUICK}")
        _finished(page)
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rocket · Frost")
    page.get_by_label("Name of the picture").fill("Countdown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Countdown")
    page.get_by_role("link", name="My pictures").click()
    works = page.locator(".wall .work:not(.gone)")
    expect(works).to_have_count(2)
    page.get_by_label("Search my pictures").fill("countdown")
    expect(works).to_have_count(1)
    expect(page.get_by_role("status").get_by_text("1 picture")).to_be_attached()
    page.get_by_label("Search my pictures").fill("")
    expect(works).to_have_count(2)
    page.get_by_role("button", name="Delete Countdown").click()
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    expect(works).to_have_count(1)
    undo.click()
    expect(works).to_have_count(2)
    page.reload()
    expect(works).to_have_count(2)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download all").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        assert len(pictures) == 2
        assert any("Countdown" in name for name in pictures)
    page.get_by_role("button", name="Delete Countdown").click()
    expect(works).to_have_count(1)
    page.reload()
    expect(works).to_have_count(1)


def test_gallery_follows_what_is_under_way(visit: Visit) -> None:
    """The gallery says by itself when a picture begins, and when it is over."""
    context = visit(**PROFILES["desktop"])
    page, gallery = context.new_page(), context.new_page()
    gallery.goto("/gallery")
    expect(gallery.get_by_text(re.compile("Nothing here yet"))).to_be_visible()
    expect(gallery.get_by_role("link", name="Download all")).to_be_hidden()
    _start(page, f"photo=sample:cat&style=style:batik&{LONG}")
    expect(_said(page, re.compile(r"Painting: \d"))).to_be_visible()
    gallery.reload()
    expect(gallery.get_by_text(re.compile("Being painted")).first).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(gallery.get_by_text(re.compile("Stopped"))).to_be_visible()
    expect(gallery.locator(".work img")).to_be_visible()


def test_go_on_from_a_result(page: Page) -> None:
    """A result is painted larger, becomes the next photo and lends its settings to another run."""
    first = _start(page, f"photo=sample:cat&style=style:frost&{QUICK}&strength=0.8")
    _finished(page)
    result = page.request.get(f"/api/jobs/{first}").json()["result"]["id"]
    page.get_by_role("link", name="Use as the next photo").click()
    expect(page).to_have_url(re.compile(f"photo={result}$"))
    expect(page.locator(".canvas > img")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="Again with other settings").click()
    expect(page.get_by_role("slider", name="Strength")).to_have_value("80")
    expect(page.get_by_role("radio", name="Frost")).to_be_checked()
    page.go_back()
    larger = page.get_by_label("Paint it larger")
    larger.select_option("own")
    side = page.get_by_label("Longer side, in pixels")
    side.fill("64")
    page.get_by_role("button", name="Paint it larger").click()
    expect(page.get_by_role("alert").get_by_text("From 65 to 4,096.")).to_be_visible()
    expect(side).to_be_focused()
    side.fill("1000")
    page.get_by_role("button", name="Paint it larger").click()
    page.wait_for_url(lambda address: first not in address)
    second = page.url.rpartition("/")[2]
    request = page.request.get(f"/api/jobs/{second}").json()["request"]
    assert request["coarse"] == result
    assert request["options"]["size"] == 1000
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(_said(page, "Stopped")).to_be_visible()
    expect(page.get_by_role("button", name="Paint anew from the start")).to_be_visible()


def test_pick_from_gallery(visit: Visit) -> None:
    """A finished picture and a stopped one can be picked as the photo or as a painting."""
    page = visit(**PROFILES["desktop"]).new_page()
    first = _start(page, f"photo=sample:cat&style=style:frost&{QUICK}")
    _finished(page)
    second = _start(page, f"photo=sample:cat&style=style:lava&{LONG}")
    expect(_said(page, re.compile(r"Painting: \d"))).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(_said(page, "Stopped")).to_be_visible()
    expect(page.get_by_role("link", name="Use as the next photo")).to_be_visible()
    results = [page.request.get(f"/api/jobs/{job}").json()["result"] for job in (first, second)]
    page.goto("/")
    window = page.get_by_role("dialog", name="Choose one of your pictures")
    page.get_by_role("button", name="From my pictures").first.click()
    expect(window.get_by_role("button", name="Cat · Frost")).to_be_visible()
    window.get_by_role("button", name="Close").click()
    expect(window).to_have_count(0)
    assert "photo=" not in _address(page)
    page.get_by_role("button", name="From my pictures").first.click()
    window.get_by_role("button", name="Cat · Lava").click()
    page.wait_for_url(re.compile(f"photo={results[1]['id']}"))
    expect(page.locator(".canvas > img")).to_be_visible()
    page.locator(".panel").get_by_role("button", name="From my pictures").click()
    window.get_by_role("button", name="Cat · Frost").click()
    page.wait_for_url(re.compile(f"style={results[0]['id']}"))


def test_own_photo_goes_and_comes_back(page: Page) -> None:
    """One's own photo is deleted from the studio, and brought back as long as the page stands."""
    page.goto("/")
    _choose_photo(page, "cove.png", seed=6)
    photo = re.search(r"photo=([\w-]+)", page.url)[1]  # type: ignore[index]
    page.get_by_role("button", name="Delete cove from this studio").click()
    back = page.get_by_role("button", name="Bring cove back")
    expect(back).to_be_focused()
    assert "photo=" not in _address(page)
    address = f"/api/pictures/{photo}"
    assert page.request.get(address).json()["deleted"]
    back.click()
    expect(page.get_by_role("button", name="Delete cove from this studio")).to_be_focused()
    assert page.request.get(address).json()["deleted"] is None
    page.get_by_role("radio", name="cove").check()
    page.wait_for_url(re.compile(f"photo={photo}"))


def test_copy_link(visit: Visit) -> None:
    """The address of what is set goes to the clipboard; without one, the page says where it is."""
    context = visit(**PROFILES["desktop"], permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto("/?photo=sample:cat&style=style:waves&strength=0.3")
    copy = page.get_by_role("button", name="Copy link to these settings")
    copy.click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == _address(page)
    page.evaluate(
        "() => { navigator.clipboard.writeText = async () => { throw new Error('no'); }; }"
    )
    copy.click()
    expect(page.get_by_text("The address of this page holds all settings.")).to_be_visible()


def test_zoom_and_pan(page: Page) -> None:
    """A result can be looked at pixel by pixel and moved about, by keys and by mouse."""
    _start(page, f"photo=sample:cat&style=style:ikat&{QUICK}")
    _compared(page)
    glass = page.locator(".glass")
    glass.focus()
    before = page.locator(".world").evaluate("world => world.style.transform")
    for _ in range(6):
        page.keyboard.press("+")
    near = page.locator(".world").evaluate("world => world.style.transform")
    assert near != before
    page.keyboard.press("ArrowRight")
    moved = page.locator(".world").evaluate("world => world.style.transform")
    assert moved != near
    box = glass.bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 340, box["y"] + 150, steps=3)
    page.mouse.up()
    assert page.locator(".world").evaluate("world => world.style.transform") != moved
    page.keyboard.press("0")
    assert page.locator(".world").evaluate("world => world.style.transform") == before


def _pretend(page: Page, job: str, **changes: Any) -> None:
    """Lets the page see a job as it might be."""
    found = page.request.get(f"/api/jobs/{job}").json()
    page.route(f"**/api/jobs/{job}", lambda route: route.fulfill(json={**found, **changes}))
    page.goto(f"/job/{job}")


def test_whole_picture_is_asked_for_once(visit: Visit, visitor: tuple[dict[str, Any], str]) -> None:
    """Where the whole picture is refused, looking closer asks for it once, not at each move."""
    state, job = visitor
    page = visit(**state, **PROFILES["desktop"]).new_page()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/file?" in one.url else None)
    page.route("**/file?*", lambda route: route.fulfill(status=422, json={}))
    _pretend(page, job, result={"id": "A" * 22, "width": 20_000, "height": 14_000})
    glass = page.locator(".glass")
    expect(page.get_by_role("slider", name="Before and after")).to_be_visible()
    glass.focus()
    with page.expect_response(re.compile("/file")):
        page.keyboard.press("1")
    for key in ("ArrowRight", "ArrowDown", "-", "+", "ArrowLeft"):
        page.keyboard.press(key)
        page.evaluate(TWO_FRAMES)
    assert len(asked) == 1
    assert "format=jpeg" in asked[0]


@pytest.mark.parametrize("state", ["failed", "set_aside"])
def test_failure_is_explained(
    visit: Visit, visitor: tuple[dict[str, Any], str], state: str
) -> None:
    """What went wrong is said in the page's language, and the page passes axe."""
    profile, job = visitor
    page = visit(**profile, **PROFILES["desktop"] | {"locale": "de"}).new_page()
    fault = {
        "code": "out_of_memory",
        "message": "out of memory at 99 x 66 px; choose a smaller --size",
    }
    _pretend(page, job, state=state, result=None, fault=fault)
    words = "Der Speicher hat für dieses Bild nicht gereicht. Wähle eine kleinere Größe."
    expect(_said(page, words)).to_be_visible()
    expect(page.get_by_role("button", name="Noch einmal versuchen")).to_be_visible()
    assert _violations(page) == []


def test_keyboard_alone(visit: Visit) -> None:
    """Everything from the choice of a photo to the finished picture can be reached by keys."""
    # With another's picture before it, this one cannot be finished before its page is there.
    other = visit(**PROFILES["desktop"])
    _start(other.new_page(), f"photo=sample:cat&style=style:waves&{LONG}")
    page = visit(**PROFILES["desktop"]).new_page()
    page.goto(f"/?{QUICK}")

    def tab_to(role: str, name: str) -> None:
        wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
        for _ in range(120):
            page.keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                return
        pytest.fail(f"no tab leads to {name}")

    expect(page.get_by_role("button", name="Start painting")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    tab_to("radio", "Astronaut")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Cat")).to_be_checked()
    tab_to("radio", "Night sky")
    page.keyboard.press("Space")
    expect(page.get_by_role("radio", name="Night sky")).to_be_checked()
    tab_to("slider", "Strength")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert "strength=0.99" in _address(page)
    tab_to("button", "Start painting")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/job/"))
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    _stop_jobs(other)
    _finished(page)
    expect(page.get_by_role("status").get_by_text("Finished")).to_be_attached()
    tab_to("link", "PNG")


def test_visitors_do_not_see_each_other(visit: Visit) -> None:
    """Another browser finds neither a visitor's jobs nor their photos, even by address."""
    page = visit(**PROFILES["desktop"]).new_page()
    page.goto(f"/?{QUICK}&style=style:pastel")
    _choose_photo(page)
    link = _address(page)
    page.get_by_role("button", name="Start painting").click()
    _finished(page)
    stranger = visit(**PROFILES["desktop"]).new_page()
    stranger.goto(page.url)
    expect(stranger.get_by_role("heading", level=1)).to_have_text(re.compile("That is not here"))
    stranger.goto("/gallery")
    expect(stranger.get_by_text(re.compile("Nothing here yet"))).to_be_visible()
    stranger.goto(link)
    expect(stranger.get_by_text(re.compile("cannot be seen here"))).to_be_visible()
    expect(stranger.get_by_role("radio", name="Pastel")).to_be_checked()
    # Shown to everybody, it is there for the stranger too, until it is taken back.
    _share(page)
    stranger.goto("/shared")
    shown = stranger.get_by_role("img", name=re.compile("pastel"))
    expect(shown).to_be_visible()
    shown.click()
    large = stranger.get_by_role("dialog").get_by_role("img", name=re.compile("pastel"))
    expect(large).to_be_visible()
    assert large.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    stranger.get_by_role("button", name="Close").click()
    expect(large).to_have_count(0)
    _share(page, on=False)
    stranger.reload()
    expect(shown).to_have_count(0)


@pytest.mark.parametrize("language", ["en", "de"])
def test_sharing_publishes_no_file_names(visit: Visit, language: str) -> None:
    """Whatever the page's language, others see names of built-in styles until a name is typed."""
    page = visit(**PROFILES["desktop"] | {"locale": language}).new_page()
    page.goto(f"/?{QUICK}&style=style:pastel&style=style:waves")
    page.locator(".easel input[type=file]").first.set_input_files(_file("Lena.png", _png(seed=4)))
    page.wait_for_url(re.compile("photo="))
    page.locator(".go button").click()
    heading = page.get_by_role("heading", level=1)
    drawn = {"en": "Pastel + Waves", "de": "Pastell + Wellen"}[language]
    expect(heading).to_have_text(f"Lena · {drawn}")
    share = page.locator(".actions ~ .tick input")
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        share.check()
    rename = page.locator(".facts ~ .row > button").first
    # Looked at and left as it is.
    rename.click()
    page.keyboard.press("Enter")
    expect(page.locator(".title-field")).to_have_count(0)
    job = page.url.rpartition("/")[2]
    stranger = visit().request
    stranger.get("/api/me")

    def shown() -> str:
        (found,) = [one for one in stranger.get("/api/shared").json()["jobs"] if one["id"] == job]
        return found["label"]

    assert shown() == "pastel · waves"
    rename.click()
    page.locator(".title-field input").fill("Regatta")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("Regatta")
    assert shown() == "Regatta"


def test_lost_connection_heals(visit: Visit) -> None:
    """A lost connection is said, and what was watched goes on by itself when it is back."""
    context = visit(**PROFILES["desktop"])
    page = context.new_page()
    _start(page, f"photo=sample:cat&style=style:coral&{LONG}")
    expect(_said(page, re.compile(r"Painting: \d"))).to_be_visible()
    context.set_offline(True)
    banner = page.locator(".banner")
    expect(banner).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert").get_by_text(re.compile("cannot be reached"))).to_be_visible()
    context.set_offline(False)
    expect(banner).to_be_hidden()
    page.get_by_role("button", name="Pause").click()
    expect(_said(page, re.compile("Paused at"))).to_be_visible()


def test_restart_of_the_server_heals(browser: Browser, tmp_path: Path) -> None:
    """A page whose server stops and comes back follows its job again by itself."""
    context = browser.new_context(locale="en")
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    banner = page.locator(".banner")
    port = _lasting_port()
    spare_drawing(tmp_path / "data")
    with _serve(tmp_path / "data", port=port) as address:
        page.goto(f"{address}/?photo=sample:cat&style=style:coral&{LONG}")
        page.get_by_role("button", name="Start painting").click()
        expect(_said(page, re.compile(r"Painting: \d"))).to_be_visible()
        expect(banner).to_be_hidden()
    expect(banner).to_be_visible()
    with _serve(tmp_path / "data", port=port):
        expect(banner).to_be_hidden()
        expect(page.locator(".job .fault")).to_be_empty()
        # Another page's doing: only who follows the job hears of it.
        headers = {"X-Impasto-CSRF": page.request.get(f"{address}/api/me").json()["csrf"]}
        job = page.url.rpartition("/")[2]
        page.request.post(f"{address}/api/jobs/{job}/cancel", headers=headers)
        expect(_said(page, "Stopped")).to_be_visible()
    context.close()


def test_password(browser: Browser, tmp_path: Path) -> None:
    """A studio with a password lets nobody see more than its door, and sends on who knows it."""
    (tmp_path / "password").write_text("linseed oil and patience\n")
    spare_drawing(tmp_path / "data")
    with _serve(tmp_path / "data", "--password-file", str(tmp_path / "password")) as address:
        context = browser.new_context(base_url=address, locale="en")
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()
        page.goto("/gallery")
        field = page.get_by_label("Password")
        expect(field).to_be_visible()
        assert _violations(page) == []
        field.fill("turpentine")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("That is not the password.")
        field.fill("linseed oil and patience")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="My pictures")).to_be_visible()
        page.goto("/login?out=1")
        page.goto("/gallery")
        expect(page.get_by_role("heading", name="My pictures")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(field).to_be_visible()
        page.goto("/")
        expect(field).to_be_visible()
        context.close()


@pytest.mark.parametrize("language", ["en", "de"])
def test_page_weight(visit: Visit, visitor: tuple[dict[str, Any], str], language: str) -> None:
    """Each page, in any language, loads at most 150 kB beside pictures."""
    state, job = visitor
    sums: dict[str, int] = {}
    for address in ("/", f"/job/{job}", "/gallery", "/shared", "/about", "/login", "/docs"):
        # A new visit each time: nothing is in the browser's store.
        page = visit(**state, locale=language).new_page()
        answers: list[Any] = []
        page.on("requestfinished", lambda request, answers=answers: answers.append(request))
        page.goto(address, wait_until="networkidle")
        found = [request.response() for request in answers]
        sizes = {
            answer.url: len(answer.body())
            for answer in found
            if not answer.headers.get("content-type", "").startswith("image/")
        }
        assert len(sizes) >= 4, address
        sums[address.replace(job, "ID")] = sum(sizes.values())
        assert sum(sizes.values()) <= MAX_WEIGHT, json.dumps(sizes, indent=1)
    print(json.dumps(sums))


def test_language_and_theme_are_kept(page: Page) -> None:
    """The switches for language and colours hold for the next visit too."""
    page.goto("/")
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.get_by_role("button", name="Switch to dark colours").click()
    page.get_by_label("Language").select_option("de")
    expect(page.get_by_role("button", name="Jetzt malen")).to_be_visible()
    expect(page.get_by_label("Sprache")).to_be_focused()
    page.reload()
    expect(page.get_by_role("button", name="Jetzt malen")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_kinds_that_only_the_server_knows(page: Page) -> None:
    """A photo of a kind that browsers cannot draw is shown, and sent twice it is there once."""
    out = io.BytesIO()
    Image.fromarray(soft_picture(96, 64, 5)).save(out, "TIFF")
    page.goto("/")
    thumbs = page.locator(".easel .thumbs > *")
    expect(thumbs.first).to_be_visible()
    samples = thumbs.count()
    for _ in range(2):
        page.get_by_label("Choose a photo").filter(visible=True).first.set_input_files(
            {"name": "scan.tif", "mimeType": "image/tiff", "buffer": out.getvalue()}
        )
        # It is hidden when the second upload is over; the rest already holds after the first one.
        expect(page.locator(".uploading")).to_be_hidden()
        expect(page.get_by_role("radio", name="scan")).to_be_checked()
        expect(page.locator(".canvas > img")).to_have_attribute("src", re.compile("/view$"))
    expect(thumbs).to_have_count(samples + 1)
    width = "image => image.decode().then(() => image.naturalWidth)"
    assert page.locator(".canvas > img").evaluate(width) == 96
    expect(page.locator(".easel .fault")).to_be_empty()


def test_painting_is_dropped_on_its_panel(page: Page) -> None:
    """Pictures dropped where paintings are chosen, even on the heading, become paintings."""
    page.goto("/?photo=sample:cat")
    page.get_by_role("heading", name="Paint it like").evaluate(
        """(heading, files) => {
          const data = new DataTransfer();
          for (const [name, bytes] of files) {
            data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
          }
          const how = { dataTransfer: data, bubbles: true, cancelable: true };
          heading.dispatchEvent(new DragEvent("drop", how));
        }""",
        [[f"{name}.png", list(_png(seed=seed))] for seed, name in enumerate(("oil", "chalk"), 6)],
    )
    for name in ("oil", "chalk"):
        expect(page.get_by_role("checkbox", name=name, exact=True)).to_be_checked()
    assert "photo=sample:cat" in _address(page)


def test_large_paper_at_what_fits(page: Page) -> None:
    """A sheet too large for the finest print is offered with the resolution that fits."""
    page.goto("/?photo=sample:cat&style=style:waves")
    size = page.get_by_label("Size of the picture")
    size.select_option("print:a3")
    expect(size.locator("option:checked")).to_have_text(re.compile("A3.* at 240 dpi$"))
    assert "dpi=240&print=a3" in _address(page)
    field = page.get_by_label("Dots per inch", exact=True)
    expect(field).to_have_value("240")
    field.fill("600")
    field.blur()
    expect(field).to_have_value("247")
    expect(_said(page, "It can be from 50 to 247. It is 247 now.")).to_be_visible()
    size.select_option("print:a4")
    expect(field).to_have_value("300")
    expect(_said(page, re.compile("It can be from"))).to_have_count(0)


def test_sizes_by_arrow_keys(page: Page) -> None:
    """Arrow keys go through all sizes; a number out of bounds is corrected, which is said."""
    page.goto("/?photo=sample:cat&style=style:waves&size=4096")
    size = page.get_by_label("Size of the picture")
    size.focus()
    page.keyboard.press("ArrowDown")
    expect(size).to_have_value("own")
    expect(size).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(size).to_have_value("size:4096")
    page.keyboard.press("ArrowDown")
    field = page.get_by_label("Longer side, in pixels")
    field.fill("9")
    field.blur()
    expect(field).to_have_value("16")
    expect(_said(page, "It can be from 16 to 4,096. It is 16 now.")).to_be_visible()


_DIVIDER = """() => {
  const divider = document.querySelector(".divider");
  const box = document.querySelector(".world").getBoundingClientRect();
  const left = divider.getBoundingClientRect().x + divider.offsetWidth / 2;
  return (left - box.x) / box.width;
}"""
"""Where the divider stands, as a share of the picture."""


def test_divider_shows_itself(page: Page) -> None:
    """A finished picture opens with its divider moving aside, which one can see and a press ends;
    where movement is not wanted, and for the slider, it stands still.
    """
    _start(page, f"photo=sample:cat&style=style:ikat&{QUICK}")
    _finished(page)
    slider = page.get_by_role("slider", name="Before and after")
    # The browser's clock stands still but for what it is told, so that no frame is missed.
    page.clock.install(time=0)
    page.clock.pause_at(3600)

    def opened(movement: Literal["no-preference", "reduce"]) -> list[float]:
        """Where the divider stands in the first fifth of a second."""
        page.emulate_media(reduced_motion=movement)
        page.reload()
        expect(slider).to_be_visible()
        places = []
        for _ in range(5):
            page.clock.run_for(40)
            places.append(page.evaluate(_DIVIDER))
        return places

    places = opened("no-preference")
    assert places[0] < 0.8
    assert sorted(set(places)) == places
    page.clock.run_for(2000)
    assert page.evaluate(_DIVIDER) > 0.98
    expect(slider).to_have_attribute("aria-valuetext", "100% painted")
    assert opened("no-preference")[-1] < 0.9
    slider.press("ArrowLeft")
    for _ in range(2):
        assert abs(page.evaluate(_DIVIDER) - 0.99) < 0.02
        expect(slider).to_have_value("99")
        page.clock.run_for(2000)
    places = opened("reduce")
    page.clock.run_for(2000)
    assert min(*places, page.evaluate(_DIVIDER)) > 0.98


def test_divider_goes_with_its_slider(page: Page) -> None:
    """Divider and slider move the same way, to the right for more of the painting, which is on the
    side that the divider calls so; a press or drag anywhere moves both.
    """
    _start(page, f"photo=sample:cat&style=style:ikat&{QUICK}")
    _compared(page)
    slider = page.get_by_role("slider", name="Before and after")
    glass, world = page.locator(".glass").bounding_box(), page.locator(".world").bounding_box()
    assert glass
    assert world
    line = "divider => divider.getBoundingClientRect().x + divider.offsetWidth / 2"

    def at() -> float:
        return (page.locator(".divider").evaluate(line) - world["x"]) / world["width"]

    # All is painted at first, and the handle is whole, even at the edge of the glass.
    assert abs(at() - 1) < 0.02
    assert abs(int(slider.input_value()) / 100 - at()) < 0.02
    knob = "divider => parseFloat(getComputedStyle(divider).getPropertyValue('--knob'))"
    half = 20
    centre = world["x"] + world["width"] + page.locator(".divider").evaluate(knob)
    assert centre + half <= glass["x"] + glass["width"] + 0.5
    sides = page.locator(".divider > span")
    expect(sides.first).to_be_hidden()
    for share in (0.25, 0.75):
        slider.fill(str(round(100 * share)))
        assert abs(at() - share) < 0.02
        expect(slider).to_have_attribute("aria-valuetext", f"{share:.0%} painted")
    expect(sides.first).to_be_visible()
    boxes = [side.bounding_box() for side in sides.all()]
    assert sides.all_inner_texts() == ["painted", "photo"]
    edge = world["x"] + 0.75 * world["width"]
    assert boxes[0]["x"] + boxes[0]["width"] < edge < boxes[1]["x"]  # type: ignore[index]
    result = page.locator(".world img").last
    clip = result.evaluate("image => getComputedStyle(image).clipPath")
    assert re.fullmatch(r"inset\(0px 16px 0px 0px\)", clip)
    middle = world["y"] + world["height"] * 0.3
    page.mouse.click(world["x"] + world["width"] * 0.4, middle)
    expect(slider).to_have_value("40")
    page.mouse.move(world["x"] + world["width"] * 0.2, middle)
    page.mouse.down()
    page.mouse.move(world["x"] + world["width"] * 0.6, middle, steps=4)
    page.mouse.up()
    expect(slider).to_have_value("60")
    assert abs(at() - 0.6) < 0.02
    # A small picture is larger than life where it fits; 1:1 shows it as it is.
    page.get_by_role("button", name="1:1, show single pixels").click()
    shown = page.locator(".world").bounding_box()
    assert shown
    assert round(shown["width"]) == 64
    page.locator(".glass").focus()
    page.keyboard.press("0")
    page.keyboard.press("1")
    shown = page.locator(".world").bounding_box()
    assert shown
    assert round(shown["width"]) == 64


def test_unknown_address_is_a_page(page: Page) -> None:
    """An address without a page says so and leads back; programs are answered in JSON."""
    answer = page.goto("/nowhere/at-all")
    assert answer
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page.")
    page.get_by_role("link", name="To the studio").click()
    expect(page.get_by_role("button", name="Start painting")).to_be_visible()
    for address, accept in (("/api/nowhere", "text/html"), ("/nowhere", "application/json")):
        told = page.request.get(address, headers={"Accept": accept})
        assert told.status == 404
        assert told.json()["detail"]["code"] == "missing"


def test_mangled_link(page: Page) -> None:
    """A link with settings that cannot be is said at once, with their names; others are taken."""
    page.goto(
        "/?photo=sample:cat&style=style:waves&strength=7&color=pink&size=64px&levels=64:2"
        "&normalize=perhaps&strenght=1&evaluations=6"
    )
    notice = page.get_by_role("alert").get_by_text(re.compile("could not be taken"))
    expect(notice).to_have_text(
        "Some settings of this link could not be taken: Strength (7), Colours (pink), "
        "Size (64px), Even out layers (perhaps), strenght (1). All others are set."
    )
    assert set(_address(page).partition("?")[2].split("&")) == {
        *("photo=sample:cat", "style=style:waves", "levels=64:2", "evaluations=6")
    }
    page.get_by_role("button", name="Clear everything").click()
    expect(notice).to_have_count(0)


def test_link_that_asks_for_too_much(page: Page) -> None:
    """A link that asks for more than this studio gives gets that, which is said at once."""
    page.goto("/?photo=sample:cat&style=style:waves&size=9999&evaluations=1e9")
    notice = page.get_by_role("alert").get_by_text(re.compile("could not be taken"))
    expect(notice).to_contain_text("Size (9999 → 4096)")
    expect(notice).to_contain_text("(1e9 → 2000)")
    assert set(_address(page).partition("?")[2].split("&")) >= {"size=4096", "evaluations=2000"}


def test_shares_are_what_they_say(page: Page) -> None:
    """The sliders of a blend stand at the percentages they say, which fill the whole."""
    page.goto("/?photo=sample:cat&style=style:waves&style=style:mosaic&style=style:frost")
    sliders = page.locator(".share input")
    expect(sliders).to_have_count(3)
    for move in (None, (0, 60), (1, 10), (2, 100), (2, 50)):
        if move:
            sliders.nth(move[0]).fill(str(move[1]))
            assert sliders.nth(move[0]).input_value() == str(move[1])
        values = [int(one.input_value()) for one in sliders.all()]
        said = page.locator(".share output").all_inner_texts()
        assert said == [f"{value}%" for value in values]
        assert abs(sum(values) - 100) <= 1


def test_rename_and_facts(page: Page) -> None:
    """Renaming happens in sight and can be left; own pictures are named, with their shares."""
    page.set_viewport_size({"width": 390, "height": 600})
    page.goto(f"/?{QUICK}&style=style:waves&share=1")
    _choose_photo(page, "harbour.png", seed=8)
    page.get_by_label("Upload a painting").set_input_files(_file("wall.png", _png(80, 80, 9)))
    expect(page.get_by_role("radio", name="wall")).to_be_checked()
    page.get_by_text("Blend several paintings").click()
    page.get_by_role("checkbox", name="Waves").check()
    page.get_by_role("checkbox", name="wall").check()
    page.locator(".share").get_by_role("slider", name="wall").fill("30")
    page.get_by_role("button", name="Start painting").click()
    _finished(page)
    facts = page.locator(".facts")
    expect(facts.get_by_text("harbour", exact=True)).to_be_visible()
    expect(facts.get_by_text("wall 30%")).to_be_visible()
    expect(facts.get_by_text("Waves 70%")).to_be_visible()
    heading = page.get_by_role("heading", level=1)
    before = heading.inner_text()
    field = page.get_by_label("Name of the picture")
    for leave in ("Escape", "Cancel"):
        page.get_by_role("button", name="Rename").click()
        expect(field).to_be_focused()
        expect(field).to_be_in_viewport()
        field.fill("Another")
        if leave == "Escape":
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name="Cancel").click()
        expect(field).to_have_count(0)
        expect(heading).to_have_text(before)


# --- every page, in every size ------------------------------------------------------------------

TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Until what was changed is drawn."""

OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  const seen = (e) => e.offsetParent && !e.closest(".unseen, .skip, .glass");
  const folded = (e) => e.closest("details:not([open])") && e.tagName !== "SUMMARY";
  const found = [];
  if (document.documentElement.scrollWidth > wide) found.push("the page is wider than the window");
  for (const e of document.querySelectorAll("header *, main *, footer *, dialog *")) {
    if (!seen(e) || folded(e)) continue;
    const box = e.getBoundingClientRect();
    const name = `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`;
    if (box.width && (box.right > wide + 1 || box.left < -1)) found.push(`outside: ${name}`);
    const isField = ["INPUT", "SELECT"].includes(e.tagName);
    const clips = getComputedStyle(e).overflowX !== "visible";
    if (!isField && clips && e.scrollWidth > e.clientWidth + 1) found.push(`clipped: ${name}`);
  }
  return found;
}"""


def _axe() -> str:
    for folder in (ROOT / ".venv/browser", ROOT / "tests/browser"):
        found = folder / "node_modules/axe-core/axe.min.js"
        if found.is_file():
            return found.read_text()
    pytest.skip("axe-core is not installed; scripts/setup dev does where npm can reach it")


def _violations(page: Page) -> list[str]:
    # Not bound by the page's content security policy, which a script element would be.
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": _axe()})
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']]}"
        for one in found["violations"]
    ]


Shots = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: `IMPASTO_SCREENSHOTS`, or pytest's own folder."""
    chosen = os.environ.get("IMPASTO_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def visitor(browser: Browser, studio: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The cookies of a visitor with a finished picture, and that picture's job."""
    context = browser.new_context(base_url=studio, locale="en")
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    job = _start(page, f"photo=sample:coffee&style=style:water-garden&{QUICK}")
    _finished(page)
    _share(page)
    yield {"storage_state": context.storage_state()}, job
    context.close()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("device", WIDTHS)
def test_every_page(
    visit: Visit,
    visitor: tuple[dict[str, Any], str],
    pictures: Path,
    device: str,
    language: str,
) -> None:
    """No page is wider than its window, clips a text or fails axe in any size, theme, language."""
    state, job = visitor
    is_touch = device == "touch"
    page = visit(**state, locale=language, has_touch=is_touch, is_mobile=is_touch).new_page()
    full = "photo=sample:cat&style=style:night-sky&style=style:mosaic&color=luminance&print=a4"

    def look(name: str, address: str | None = None, wait: str = "h1") -> None:
        if address:
            page.goto(address, wait_until="networkidle")
            page.locator(wait).first.wait_for(state="attached")
        for width, height in WIDTHS[device].items():
            page.set_viewport_size({"width": width, "height": height})
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                page.evaluate(TWO_FRAMES)
                file = pictures / f"{name}-{width}-{theme}-{language}.png"
                page.screenshot(path=file, full_page=name not in ("mask", "presets"))
                if width in (390, 1280):
                    assert _violations(page) == [], f"{name} {width} {theme}"
            assert page.evaluate(OVERFLOW) == [], f"{name} {width}"
        expect(page.get_by_role("heading", level=1)).to_have_count(1)

    look("welcome", "/", ".invitation")
    look("studio", "/?photo=sample:coffee&style=style:waves", ".canvas img")
    page.goto(f"/?{full}", wait_until="networkidle")
    # The network can be idle for a while before a slow page is drawn.
    page.locator(".folds details").first.wait_for()
    page.evaluate("document.querySelectorAll('.folds details').forEach(fold => (fold.open = true))")
    page.locator("[data-option]").first.wait_for()
    look("settings")
    page.locator(".folds details button").first.click()
    page.locator("dialog canvas").wait_for()
    look("mask")
    page.keyboard.press("Escape")
    page.locator("button", has_text=re.compile("recipes|Rezepte")).click()
    window = page.locator(".own-presets")
    for name in (f"Öl auf Holz, {device} {language}", "W" * 60):
        window.locator("form input").first.fill(name)
        page.keyboard.press("Enter")
        window.get_by_role("heading", name=name).wait_for()
    window.locator("[data-do=delete]").last.click()
    window.locator("[data-do=undo]").wait_for()
    window.locator("[data-do=rename]").first.click()
    look("presets")
    look("job", f"/job/{job}", "a[href*='format=png']")
    page.locator(".compare input").fill("50")
    look("compare")
    look("gallery", "/gallery", ".wall li")
    look("shared", "/shared", ".wall li")
    look("about", "/about")
    look("login", "/login", "input[type=password]")
    look("missing", "/job/AAAAAAAAAAAAAAAAAAAAAA")
    if language == "en":
        look("reference", "/docs", "article")
