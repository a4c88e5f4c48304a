"""Quick previews: what they show, whose turn it is, and that the studio works without them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.color import Palette
from impasto.coloring import Coloring, Part, in_paintings_colors
from impasto.errors import OptionError, WeightsError
from impasto.images import Bitmap, encode_image, read_image, resize_image
from impasto.networks import IDENTITY, mix, read_network
from impasto.options import make_options
from impasto.transfer import repaint
from impasto.web import previews
from impasto.web.config import StudioOptions
from impasto.web.previewer import COLUMNS, QUALITY, TILE, Previewer, _Work
from impasto.web.previews import Previews, SupersededError
from impasto.web.security import Refused
from small_networks import painted_by
from stand_ins import soft_picture
from studio_stand_ins import Served, png_bytes, served
from tiny_networks import write_tiny

SECONDS = 120.0
"""Longer than anything takes: the machine may be busy."""


# --- the pictures --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks, the first for two styles."""
    return write_tiny(tmp_path_factory.mktemp("networks"), ["waves", "mosaic"])


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, list[str]]:
    """A photo and a painting of one's own, as orders name them."""
    found = {}
    for name, (width, height) in {"photo": (96, 64), "own": (60, 80)}.items():
        file = tmp_path / f"{name}.png"
        Image.fromarray(soft_picture(width, height, len(name))).save(file)
        found[name] = [name, str(file)]
    return found


WAVES, MOSAIC = ["style:waves", "/nowhere"], ["style:mosaic", "/nowhere"]


def _order(photo: list[str], *styles: list[str], masks: Any = (), **options: Any) -> dict[str, Any]:
    return {
        "photo": photo,
        "styles": list(styles),
        "masks": list(masks),
        "style_masks": [],
        "options": options,
        "side": 96,
    }


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32) / 255


def _as_jpeg(picture: torch.Tensor | np.ndarray) -> np.ndarray:
    """What JPEG leaves of a picture `(3, H, W)`: colours of single pixels are not."""
    return _pixels(encode_image(Bitmap(np.asarray(picture)), "jpeg", quality=QUALITY))


def _close(data: bytes, expected: torch.Tensor) -> None:
    """Up to rounding."""
    wanted = _as_jpeg(expected[0])
    assert _pixels(data).shape == wanted.shape
    assert np.abs(_pixels(data) - wanted).mean() < 0.004


def _tensor(file: str) -> torch.Tensor:
    pixels = np.asarray(Image.open(file).convert("RGB"), np.float32) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]


@torch.no_grad()
def test_preview_is_what_the_network_makes(networks: Path, pictures: dict[str, list[str]]) -> None:
    """Blend, shares and strength are those of the style vector; at strength 0 it is the photo."""
    photo, own = pictures["photo"], pictures["own"]
    previewer = Previewer(networks)
    known = read_network(networks / "styles.safetensors")
    seen = _tensor(photo[1])
    waves, mosaic = (known.vector_of_name(name) for name in ("waves", "mosaic"))
    plain = painted_by(known.transfer, seen, waves)
    _close(previewer.paint(_order(photo, WAVES)), plain)
    blend = mix([waves, mosaic], [3, 1])
    made = previewer.paint(_order(photo, WAVES, MOSAIC, style_weights=[3, 1]))
    _close(made, painted_by(known.transfer, seen, blend))
    half = torch.lerp(known.vector_of_name(IDENTITY), waves, 0.5)
    _close(
        previewer.paint(_order(photo, WAVES, strength=0.5)), painted_by(known.transfer, seen, half)
    )
    _close(previewer.paint(_order(photo, WAVES, strength=0)), seen)
    # With a painting that the table does not know, all go to the network for any style.
    other = read_network(networks / "any.safetensors")
    large = torch.nn.functional.interpolate(_tensor(own[1]), (320, 240), mode="bilinear")
    vector = other.vector_of_picture(large.clamp(0, 1))
    bare = painted_by(other.transfer, seen, vector)[0].numpy()
    colored = in_paintings_colors(bare, [Palette(_tensor(own[1])[0].numpy())], 1.0)
    _close(previewer.paint(_order(photo, own)), torch.from_numpy(colored)[None])
    assert float((plain - seen).abs().mean()) > 0.1


@torch.no_grad()
def test_parts_and_colours(networks: Path, pictures: dict[str, list[str]], tmp_path: Path) -> None:
    """A part that is kept shows the photo, the rest the style; colours follow their choice."""
    photo = pictures["photo"]
    previewer = Previewer(networks)
    seen = _tensor(photo[1])
    left = np.zeros((64, 96), np.uint8)
    left[:, :48] = 255
    Image.fromarray(left).save(tmp_path / "mask.png")
    regions = [{"keep": True}, {"styles": [1]}]
    masks = [str(tmp_path / "mask.png")]
    made = previewer.paint(_order(photo, WAVES, masks=masks, regions=regions))
    style = read_network(networks / "styles.safetensors")
    expected = painted_by(style.transfer, seen, style.vector_of_name("waves"))
    expected[..., :48] = seen[..., :48]
    _close(made, expected)
    # With the photo's colours, its Cb and Cr are those of the preview.
    made = previewer.paint(_order(photo, WAVES, color="luminance"))
    ycc = [
        np.asarray(Image.fromarray(np.uint8(255 * one)).convert("YCbCr"), np.float32)[4:-4, 4:-4]
        for one in (_pixels(made), seen[0].permute(1, 2, 0).numpy())
    ]
    assert np.abs(ycc[0] - ycc[1])[..., 1:].mean() < np.abs(ycc[0] - ycc[1])[..., 0].mean()
    # With `match` its mean is the photo's, with `only` it is what a job makes without painting.
    made = _pixels(previewer.paint(_order(photo, WAVES, MOSAIC, color="match")))
    mean = seen[0].mean((1, 2)).numpy()
    assert np.abs(made.mean((0, 1)) - mean).max() < 0.03
    plain = _pixels(previewer.paint(_order(photo, WAVES, MOSAIC)))
    assert np.abs(plain.mean((0, 1)) - mean).max() > 0.04
    own = pictures["own"]
    part = Part("only", 1.0, (0,), (1.0,))
    bitmaps = [Bitmap(_tensor(one[1])[0].numpy()) for one in (photo, own)]
    recolored = Coloring(bitmaps[0], bitmaps[1:], [part]).finished(bitmaps[0].pixels)
    _close(previewer.paint(_order(photo, own, color="only")), torch.from_numpy(recolored)[None])
    # A sheet that the photo fills has the sheet's shape.
    made = previewer.paint(_order(photo, WAVES, print="20x20cm", print_fit="fill"))
    assert _pixels(made).shape == (96, 96, 3)


@torch.no_grad()
def test_sheet(networks: Path, pictures: dict[str, list[str]]) -> None:
    """A sheet's tiles show the middle of the photo, style by style, in rows."""
    styles = [WAVES, MOSAIC, pictures["own"], WAVES, MOSAIC, WAVES, MOSAIC]
    *tiles, made = Previewer(networks).sheet(pictures["photo"], styles)
    assert tiles == [None] * len(styles)
    assert made is not None
    whole = _pixels(made)
    assert whole.shape == (2 * TILE, COLUMNS * TILE, 3)
    assert whole[TILE + 16 :, TILE + 16 :].min() > 0.95
    known = read_network(networks / "styles.safetensors")
    photo = _tensor(pictures["photo"][1])[0].numpy()
    small = torch.from_numpy(resize_image(Bitmap(photo), 288, 192).pixels)[None]
    expected = np.ones((3, 2 * TILE, COLUMNS * TILE), np.float32)
    for place, name in ((0, "waves"), (1, "mosaic"), (6, "mosaic")):
        found = painted_by(known.transfer, small, known.vector_of_name(name))[0, :, :, 48:240]
        down, right = (TILE * one for one in divmod(place, COLUMNS))
        expected[:, down : down + TILE, right : right + TILE] = found
    found = _as_jpeg(expected)
    for down, right in ((0, 0), (0, TILE), (TILE, 0)):
        part = np.s_[down + 16 : down + TILE - 16, right + 16 : right + TILE - 16]
        assert np.abs(whole[part] - found[part]).mean() < 0.004
    same = np.s_[16 : TILE - 16, 16 : TILE - 16]
    assert np.array_equal(whole[:, 3 * TILE :][same], whole[same])
    # One's own painting gives its colours, as on the easel.
    other = read_network(networks / "any.safetensors")
    large = torch.nn.functional.interpolate(
        _tensor(pictures["own"][1]), (320, 240), mode="bilinear"
    )
    bare = painted_by(other.transfer, small, other.vector_of_picture(large.clamp(0, 1)))[0].numpy()
    colored = in_paintings_colors(bare, [Palette(_tensor(pictures["own"][1])[0].numpy())], 1.0)
    expected[:, :TILE, 2 * TILE : 3 * TILE] = colored[:, :, 48:240]
    part = np.s_[16 : TILE - 16, 2 * TILE + 16 : 3 * TILE - 16]
    assert np.abs(whole[part] - _as_jpeg(expected)[part]).mean() < 0.004


def test_networks_that_are_missing(tmp_path: Path, pictures: dict[str, list[str]]) -> None:
    """Without the network for any style a built-in one is still shown, and nothing else."""
    folder = write_tiny(tmp_path / "few", ["waves"], any=False)
    previewer = Previewer(folder)
    assert previewer.paint(_order(pictures["photo"], WAVES))
    with pytest.raises(WeightsError, match="no network for these styles"):
        previewer.paint(_order(pictures["photo"], pictures["own"]))


def test_process(networks: Path, pictures: dict[str, list[str]]) -> None:
    """The process answers orders with pictures or faults, and ends with its input."""
    orders = [
        {"networks": str(networks), "threads": 1},
        {"id": 1, "do": "sheet", "photo": pictures["photo"], "styles": [WAVES, MOSAIC]},
        {"id": 2, "do": "paint", **_order(pictures["photo"], WAVES)},
        {"id": 3, "do": "paint", **_order(pictures["photo"], WAVES, style_weights=[1, 2, 3])},
        {"id": 4, "do": "paint", **_order(["gone", "/nowhere"], WAVES)},
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "impasto.web.previewer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(json.dumps(order) + "\n" for order in orders))
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"ready": True}
        answers = {}
        while len(answers) < 4:
            answer = json.loads(process.stdout.readline())
            answers[answer.pop("id")] = answer
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    assert _pixels(base64.b64decode(answers[1]["jpeg"])).shape == (TILE, 2 * TILE, 3)
    assert _pixels(base64.b64decode(answers[2]["jpeg"])).shape == (64, 96, 3)
    assert answers[3]["fault"]["code"] == "option"
    assert answers[4]["fault"]["code"] == "unavailable"


def test_paintings_are_seen_as_large_as_jobs_see_them(
    networks: Path, pictures: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest scale loses nothing, and built-in styles are seen as they are drawn, whatever
    thumbnail of them there is."""
    photo, file = pictures["photo"], tmp_path / "fine.png"
    noise = np.random.default_rng(1).integers(0, 2, (448, 448, 1)).repeat(3, 2)
    Image.fromarray((255 * noise).astype(np.uint8)).save(file)
    given: dict[str, Any] = {"size": 96, "style_scale": 1.4}
    network = str(networks / "any.safetensors")
    expected = repaint(photo[1], file, make_options(given), network=network).bitmap.pixels
    previewer = Previewer(networks)
    made = previewer.paint(_order(photo, ["fine", str(file)], style_scale=1.4))
    _close(made, torch.from_numpy(expected)[None])

    def draw(name: str, width: int, height: int) -> np.ndarray:
        assert (name, width, height) == ("batik", 448, 448)
        return read_image(file).pixels

    monkeypatch.setattr("impasto.web.previewer.draw_style", draw)
    expected = repaint(photo[1], file, make_options({"size": 96}), network=network)
    made = previewer.paint(_order(photo, ["style:batik", pictures["own"][1]]))
    _close(made, torch.from_numpy(expected.bitmap.pixels)[None])


def test_what_a_paintings_mask_leaves_out_is_not_seen(
    networks: Path, pictures: dict[str, list[str]], tmp_path: Path
) -> None:
    """The masks of paintings are those of the job, and reach a network that sees paintings even
    where all styles are built in."""
    photo, own = pictures["photo"], pictures["own"]
    mask = np.zeros((80, 60), np.uint8)
    mask[:40, :30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    previewer, masks = Previewer(networks), [str(tmp_path / "mask.png")]
    expected = repaint(
        *(photo[1], own[1], make_options({"size": 96})),
        network=str(networks / "any.safetensors"),
        style_masks=masks,
    ).bitmap.pixels
    made = previewer.paint(_order(photo, own) | {"style_masks": masks})
    _close(made, torch.from_numpy(expected)[None])
    plain = previewer.paint(_order(photo, own))
    assert np.abs(_pixels(made) - _pixels(plain)).mean() > 0.02
    alone = write_tiny(tmp_path / "known", ["waves"], any=False)
    found = Previewer(alone).paint(_order(photo, WAVES) | {"style_masks": masks})
    assert found == Previewer(alone).paint(_order(photo, WAVES))


@torch.no_grad()
def test_cut_outs_are_shown_on_white(networks: Path, tmp_path: Path) -> None:
    """Of a photo with transparent parts tiles show what the easel shows: white where nothing is,
    and what is there as though nothing were around it."""
    alpha = np.zeros((96, 96), np.uint8)
    alpha[24:72, 24:72] = 255
    found = np.dstack([soft_picture(96, 96, 5), alpha])
    Image.fromarray(found).save(tmp_path / "cut.png")
    Image.fromarray(soft_picture(60, 80, 3)).save(tmp_path / "own.png")
    photo, own = ["photo", str(tmp_path / "cut.png")], ["own", str(tmp_path / "own.png")]
    previewer = Previewer(networks)
    *_, made = previewer.sheet(photo, [WAVES, own])
    assert made is not None
    for place, style in enumerate([WAVES, own]):
        tile = _pixels(made)[:, place * TILE : (place + 1) * TILE]
        easel = _pixels(previewer.paint(_order(photo, style) | {"side": TILE}))
        assert tile[4:40, 4:-4].min() > 0.97
        inside = np.s_[56:136, 56:136]
        assert np.abs(tile - easel)[inside].mean() < 0.01
        assert tile[inside].min() < 0.8


def test_unforeseen_fault_is_answered() -> None:
    """A picture that fails in a way nobody thought of costs its own wish, and no other one."""

    class Odd(Previewer):
        def paint(self, order: dict[str, Any]) -> bytes:
            if order["photo"] == "odd":
                raise RuntimeError("padding size should be less than the input\nand more")
            return b"well"

        def sheet(self, photo: Any, styles: Any) -> Iterator[bytes | None]:
            yield None
            raise TypeError(f"no such tile of {photo}: {styles}")

    class Told:
        """A line that ends when all has been answered."""

        def __init__(self) -> None:
            self.answers, self._done = dict[int, Any](), threading.Event()

        def orders(self) -> Iterator[dict[str, Any]]:
            yield {"id": 1, "do": "paint", "photo": "odd"}
            yield {"id": 2, "do": "sheet", "photo": "any", "styles": []}
            yield {"id": 3, "do": "paint", "photo": "even"}
            assert self._done.wait(SECONDS)

        def tell(self, answer: dict[str, Any]) -> None:
            self.answers[answer.pop("id")] = answer
            if len(self.answers) == 3:
                self._done.set()

    line: Any = Told()
    work = _Work(line, Odd(Path("/nowhere")))
    listener = threading.Thread(target=work.listen)
    listener.start()
    try:
        work.go()
    finally:
        line._done.set()
        listener.join()
    fault = {"code": "unavailable", "message": "the preview could not be made"}
    assert line.answers[1] == line.answers[2] == {"fault": fault}
    assert line.answers[3] == {"jpeg": base64.b64encode(b"well").decode()}


# --- whose turn it is ----------------------------------------------------------------------------

STAND_IN = """
import base64, json, os, sys, time
folder = sys.argv[1]
print(json.loads(sys.stdin.readline())["networks"], file=sys.stderr)
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    name = order["name"]
    with open(os.path.join(folder, "log"), "a") as log:
        log.write(name + "\\n")
    if name.startswith("die"):
        os._exit(3)
    while name.startswith("hold") and not os.path.exists(os.path.join(folder, name)):
        time.sleep(0.01)
    if name.startswith("bad"):
        print("no JSON at all", flush=True)
    answer = {"id": order["id"], "jpeg": base64.b64encode(name.encode()).decode()}
    if name.startswith("fault"):
        answer = {"id": order["id"], "fault": {"code": "option", "message": "--size: is odd"}}
    if name.startswith("odd"):
        answer = {"id": order["id"], **json.loads(name[3:])}
    print(json.dumps(answer), flush=True)
"""


class Turns:
    """Previews that a stand-in makes: the name of what was wished for, once it may."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0.0
        self.previews = Previews(StudioOptions(data=folder), lambda: self.now)

    async def get(self, name: str, who: str = "me", kind: Any = "paint") -> bytes:
        """A preview."""
        return await self.previews.get(who, kind, {"name": name}, name)

    def wish(self, name: str, who: str = "me", kind: Any = "paint") -> asyncio.Task[bytes]:
        """The same, as a task."""
        return asyncio.create_task(self.get(name, who, kind))

    def let(self, name: str) -> None:
        """Has the stand-in go on with what it holds."""
        (self.folder / name).touch()

    @property
    def log(self) -> list[str]:
        """What the stand-in was asked for, over all its lives."""
        file = self.folder / "log"
        return file.read_text().split() if file.exists() else []

    async def until(self, true: Callable[[], Any]) -> None:
        """Waits for a state."""
        async with asyncio.timeout(SECONDS):
            while not true():
                await asyncio.sleep(0.01)


@pytest.fixture
def turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`turns(story)` tells an `async` story of `Turns`."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(previews, "PROGRAM", (str(script), str(tmp_path)))

    def tell(story: Callable[[Turns], Any]) -> None:
        async def whole() -> None:
            one = Turns(tmp_path)
            try:
                async with asyncio.timeout(SECONDS):
                    await story(one)
            finally:
                await one.previews.close()
                assert not one.previews.running

        asyncio.run(whole())

    return tell


def test_newest_wish_wins(turns: Any) -> None:
    """Of one visitor's wishes that wait only the newest is done; others are not hurt."""

    async def story(at: Turns) -> None:
        first = at.wish("hold-1")
        await at.until(lambda: at.log == ["hold-1"])
        second, sheet = at.wish("2"), at.wish("s", kind="sheet")
        other = at.wish("o", who="you")
        await asyncio.sleep(0)
        third = at.wish("3")
        with pytest.raises(SupersededError):
            await second
        at.let("hold-1")
        assert await asyncio.gather(first, third, sheet, other) == [b"hold-1", b"3", b"s", b"o"]
        # The newer wish kept the older one's place.
        assert [name for name in at.log if name != "s"] == ["hold-1", "3", "o"]

    turns(story)


def test_same_picture_is_made_once(turns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wishes for what is being made or was made gets it; the oldest are forgotten."""

    async def story(at: Turns) -> None:
        wishes = [at.wish("hold-1", who=f"{n}") for n in range(3)]
        await at.until(lambda: at.log)
        at.let("hold-1")
        assert await asyncio.gather(*wishes) == [b"hold-1"] * 3
        assert await at.get("hold-1") == b"hold-1"
        assert at.log == ["hold-1"]
        monkeypatch.setattr(previews, "KEPT_BYTES", 8)
        await at.get("abcdef")
        await at.get("hold-1")
        assert at.log == ["hold-1", "abcdef", "hold-1"]

    turns(story)


def test_crowd_is_told_to_wait(turns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of waiting visitors wishes are refused."""
    monkeypatch.setattr(previews, "MOST_WAITING", 2)

    async def story(at: Turns) -> None:
        first = at.wish("hold-1", who="0")
        await at.until(lambda: at.log)
        waiting = [at.wish(f"{n}", who=f"{n}") for n in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refusal:
            await at.get("3", who="3")
        assert (refusal.value.status, refusal.value.code) == (503, "busy")
        # One's own place can be taken.
        again = at.wish("22", who="2")
        at.let("hold-1")
        assert await first == b"hold-1"
        assert await waiting[0] == b"1"
        assert await again == b"22"
        with pytest.raises(SupersededError):
            await waiting[1]

    turns(story)


def test_process_that_dies(turns: Any) -> None:
    """A process that dies costs what it was at; another one is started after a pause that grows."""

    async def story(at: Turns) -> None:
        with pytest.raises(Refused) as refusal:
            await at.get("die-1")
        assert (refusal.value.status, refusal.value.code) == (503, "unavailable")
        with pytest.raises(Refused):
            await at.get("too-early")
        at.now += previews.FIRST_PAUSE
        with pytest.raises(Refused):
            await at.get("die-2")
        at.now += previews.FIRST_PAUSE
        with pytest.raises(Refused):
            await at.get("too-early")
        at.now += previews.FIRST_PAUSE
        assert await at.get("bad") == b"bad"
        with pytest.raises(OptionError, match="--size: is odd"):
            await at.get("fault")
        assert at.log == ["die-1", "die-2", "bad", "fault"]

    turns(story)


@pytest.mark.parametrize("odd", [{}, {"jpeg": "?"}, {"jpeg": 5}, {"fault": "no"}, {"fault": {}}])
def test_answer_that_cannot_be_read(turns: Any, odd: dict[str, Any]) -> None:
    """An answer of another form fails its wish at once; the process goes on with the next one."""

    async def story(at: Turns) -> None:
        with pytest.raises(Refused) as refusal:
            await at.get("odd" + json.dumps(odd))
        assert (refusal.value.status, refusal.value.code) == (503, "unavailable")
        assert await at.get("well") == b"well"

    turns(story)


def test_process_that_hangs(turns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not answer is ended."""
    monkeypatch.setattr(previews, "ANSWER_SECONDS", 0.5)

    async def story(at: Turns) -> None:
        with pytest.raises(Refused):
            await at.get("hold-for-ever")
        at.now += previews.LONGEST_PAUSE
        monkeypatch.setattr(previews, "ANSWER_SECONDS", SECONDS)
        assert await at.get("well") == b"well"

    turns(story)


def test_idle_process_ends(turns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs before the first wish, nor some time after the last one; then it starts anew."""
    monkeypatch.setattr(previews, "IDLE_SECONDS", 0.05)

    async def story(at: Turns) -> None:
        assert not at.previews.running
        for name in ("1", "2", "3"):
            assert await at.get(name) == name.encode()
            if name != "2":
                await at.until(lambda: not at.previews.running)

    turns(story)


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
def studio(networks: Path, tmp_path: Path) -> Iterator[Served]:
    """A studio with previews by tiny networks."""
    with served(tmp_path / "data", previews=True, networks=str(networks), threads=1) as found:
        yield found


def _jpeg_size(answer: Any) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    return Image.open(io.BytesIO(answer.content)).size


def test_previews_over_http(studio: Served) -> None:
    """The page hears that there are previews; a visitor gets those of their own pictures."""
    visit = studio.visit()
    found = visit.client.get("/api/me").json()["previews"]
    assert found == {"built_in": True, "any": True, "refine": True}
    photo = visit.upload(png_bytes(96, 64)).json()["id"]
    own = visit.upload(png_bytes(50, 50, 3), kind="style").json()["id"]
    request = {"photo": photo, "styles": ["style:waves"], "options": {"strength": 0.7}}

    def ask(body: dict[str, Any], client: Any = visit.client, **query: Any) -> Any:
        return client.post("/api/previews", json=body, params=query)

    first = ask(request, side=96)
    assert _jpeg_size(first) == (96, 64)
    same = ask({**request, "options": {"strength": 0.7, "evaluations": 9}}, side=96)
    assert same.content == first.content
    assert ask({**request, "options": {}}, side=96).content != first.content
    mask = visit.upload(png_bytes(40, 40, 5), kind="mask").json()["id"]
    masked = {"photo": photo, "styles": [own], "options": {}}
    whole = ask(masked, side=96)
    assert ask({**masked, "style_masks": [mask]}, side=96).content != whole.content
    both = {**request, "styles": ["style:waves", own], "shares": [1, 2]}
    assert _jpeg_size(ask(both, side=64)) == (64, 43)
    sheet = visit.client.get(
        "/api/previews/sheet", params={"photo": photo, "style": [own, "style:waves"]}
    )
    assert _jpeg_size(sheet) == (2 * TILE, TILE)

    assert visit.start(photo=photo, refine=True).json()["request"]["refine"]
    refusal = visit.start(photo=photo, refine=True, options={"start": "noise"})
    assert (refusal.status_code, refusal.json()["detail"]["field"]) == (422, "start")

    other = studio.visit()
    assert ask(request, other.client).status_code == 404
    answer = other.client.get("/api/previews/sheet", params={"photo": photo})
    assert (answer.status_code, answer.json()["detail"]["code"]) == (404, "missing")
    refusal = ask({**request, "options": {"strength": 2}})
    assert (refusal.status_code, refusal.json()["detail"]["field"]) == (422, "strength")
    assert ask({**request, "styles": ["style:nothing"]}).status_code == 404


def test_studio_without_networks(tmp_path: Path) -> None:
    """Where there are no networks, or none are wanted, the page hears it and all else works."""
    for given in ({"networks": str(tmp_path / "none")}, {}):
        with served(tmp_path / "data", **{"previews": bool(given), **given}) as studio:
            visit = studio.visit()
            found = visit.client.get("/api/me").json()["previews"]
            assert (found["built_in"], found["any"]) == (False, False)
            body = {"photo": "sample:cat", "styles": ["style:waves"]}
            assert visit.client.post("/api/previews", json=body).status_code == 404
            answer = visit.client.get("/api/previews/sheet", params={"photo": "sample:cat"})
            assert answer.status_code == 404
            assert visit.wait(visit.start().json()["id"])["state"] == "done"


def test_damaged_network(tmp_path: Path) -> None:
    """A file that is no network leaves the studio working, without previews."""
    folder = tmp_path / "networks"
    folder.mkdir()
    (folder / "styles.safetensors").write_bytes(b"these are only words")
    with served(tmp_path / "data", previews=True, networks=str(folder), threads=1) as studio:
        visit = studio.visit()
        body = {"photo": "sample:cat", "styles": ["style:waves"]}
        answer = visit.client.post("/api/previews", json=body)
        assert (answer.status_code, answer.json()["detail"]["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert visit.wait(visit.start().json()["id"])["state"] == "done"
