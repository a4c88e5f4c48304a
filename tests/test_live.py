"""A camera is shown repainted: always its newest picture, to this computer's browser alone."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")

from fastapi.testclient import TestClient

from impasto.cli import main
from impasto.clips import open_clip
from impasto.errors import ImageError, OptionError, WeightsError
from impasto.flow import Plane
from impasto.images import read_image
from impasto.live import camera as camera_module
from impasto.live.camera import Camera, Shot
from impasto.live.mirror import Choice, Mirror, Painted
from impasto.live.page import create_page
from impasto.painters import Task
from moving import drifting, make_clip, planes_of
from plain_painter import PlainPainter
from small_networks import write_styles

FIRST = Choice("one", 1.0)


class Negative(PlainPainter):
    """A painter that turns pictures to their negative, if it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.may.set()

    def paint(self, task: Task) -> Plane:
        """The negative of a picture."""
        assert self.may.wait(60)
        assert task.shares == ()
        return 1 - super().paint(task)


class Shots:
    """A camera that gives what a test hands it."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self._news = threading.Condition()
        self._shots: list[Shot] = []
        self._ended = False

    def give(self, *frames: int) -> None:
        """Pictures, in one moment."""
        with self._news:
            for number in frames:
                self._shots.append(Shot(len(self._shots), planes_of(drifting(number))))
            self._news.notify_all()

    def newest(self, after: int = -1) -> Shot | None:
        """See `Camera.newest`."""
        with self._news:
            self._news.wait_for(lambda: self._ended or len(self._shots) > after + 1)
            return self._shots[-1] if len(self._shots) > after + 1 else None

    def close(self) -> None:
        """See `Camera.close`."""
        with self._news:
            self._ended = True
            self._news.notify_all()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Eight frames at 25 a second."""
    return make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(8)])


@contextmanager
def mirror_of(camera: Any, make: Any, *, hold: bool = True) -> Iterator[Mirror]:
    """A mirror, closed at the end."""
    mirror = Mirror(camera, FIRST, make, hold=hold)
    try:
        yield mirror
    finally:
        mirror.close()


def next_of(mirror: Mirror, after: int) -> Painted:
    """The next picture."""
    found = mirror.newest(after, 60)
    assert found is not None, mirror.fault
    return found


def test_a_clip_plays_as_a_camera(clip: Path) -> None:
    """Its frames come in their order and each at most once, the last one stays to be taken, and
    then there are no more."""
    frames = [frame.pixels for frame in open_clip(clip).frames(size=(32, 24))]
    camera = Camera(str(clip), 32)
    number, seen = -1, []
    while (shot := camera.newest(number)) is not None:
        assert shot.number > number
        assert np.array_equal(shot.pixels, frames[shot.number])
        number = shot.number
        seen.append(number)
    assert seen[-1] == 7
    assert camera.fault is None
    camera.close()


def test_a_clip_begins_anew_if_wanted(clip: Path) -> None:
    """With `loop` numbers go on beyond the clip's frames, whose pictures come again."""
    frames = [frame.pixels for frame in open_clip(clip).frames()]
    camera = Camera(str(clip), 64, loop=True)
    number = -1
    while number < 9:
        shot = camera.newest(number)
        assert shot is not None
        number = shot.number
        assert np.array_equal(shot.pixels, frames[number % 8])
    camera.close()
    assert camera.newest() is None


class Device:
    """OpenCV's camera: three pictures, then none."""

    def __init__(self) -> None:
        self.left, self.released = 3, False

    def read(self) -> tuple[bool, Any]:
        """A picture that is blue."""
        self.left -= 1
        values = np.zeros((40, 60, 3), np.uint8)
        values[..., 0] = 255
        return self.left >= 0, values if self.left >= 0 else None

    def release(self) -> None:
        """Frees it."""
        self.released = True


def test_a_camera_that_is_pulled_out_is_told_and_freed(monkeypatch: Any) -> None:
    """Its pictures have red first and the wanted size; where no more come one line says so, and the
    device is free."""
    device = Device()
    monkeypatch.setattr(camera_module, "_opened", lambda _: device)
    camera = Camera("0", 30)
    number, shot = -1, None
    while (found := camera.newest(number)) is not None:
        number, shot = found.number, found
    assert shot is not None
    assert shot.pixels.shape == (3, 20, 30)
    assert shot.pixels.mean((1, 2)).tolist() == [0, 0, 1]
    camera.close()
    assert camera.fault is not None
    assert "gives no more pictures" in camera.fault
    assert device.released
    assert camera_module.planes_of(np.zeros((20, 10, 3), np.uint8), 64).shape == (3, 20, 10)


def test_a_camera_that_is_closed_is_freed(monkeypatch: Any) -> None:
    """Closing frees the device though it could go on, seen or unseen."""
    for look in True, False:
        device = Device()
        device.left = 10**9
        monkeypatch.setattr(camera_module, "_opened", lambda _, device=device: device)
        camera = Camera("0", 30)
        if look:
            assert camera.newest() is not None
        camera.close()
        assert device.released
        assert camera.fault is None


def test_what_is_no_camera_is_told_in_one_line(tmp_path: Path, capfd: Any) -> None:
    """A number without a camera, a clip that is none, and `--loop` with a camera."""
    network = write_styles(tmp_path / "net.safetensors")
    command = ["live", "one", "--network", str(network)]
    assert main([*command, "--camera", "97"]) == 2
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert "--camera 97: there is no such camera" in told
    with pytest.raises(ImageError, match="No such file"):
        Camera(str(tmp_path / "missing.mp4"), 64)
    with pytest.raises(OptionError, match="--loop"):
        Camera("0", 64, loop=True)
    assert main(["live", "four", "--network", str(network)]) == 2
    assert "does not know this style" in capfd.readouterr().err
    assert main([*command, "--hold", "-1"]) == 2
    assert "--hold -1" in capfd.readouterr().err


def test_only_the_newest_picture_is_painted() -> None:
    """What came while a picture was painted is passed over, but for the newest."""
    shots, painter = Shots(), Negative()
    with mirror_of(shots, lambda _: painter) as mirror:
        shots.give(0)
        painter.may.clear()
        looking = threading.Thread(target=mirror.newest, args=(-1, 60))
        looking.start()
        shots.give(1, 2, 3)
        painter.may.set()
        looking.join(60)
        found = next_of(mirror, 2)
        assert found.number == 3
        assert np.allclose(found.pixels, 1 - drifting(3).transpose(2, 0, 1) / 255, atol=1e-6)
        assert len(painter.expected) <= 2
        values = read_image(found.jpeg).pixels
        assert np.abs(values - found.pixels).mean() < 0.03


def test_a_picture_is_held_to_the_one_before() -> None:
    """The last result is expected, moved along with the flow, but not across a cut, nor with
    another choice, nor where that is not wanted."""
    shots, painter = Shots(), Negative()
    with mirror_of(shots, lambda _: painter) as mirror:
        shots.give(0)
        assert next_of(mirror, -1).number == 0
        shots.give(1)
        assert next_of(mirror, 0).number == 1
        mirror.choice = Choice("two", 0.5)
        shots.give(2)
        assert next_of(mirror, 1).choice == Choice("two", 0.5)
    assert [one is None for one in painter.expected] == [True, False, True]
    held = painter.expected[1]
    assert held is not None
    assert held.trust.mean() > 0.5
    error = np.abs(held.pixels - (1 - drifting(1).transpose(2, 0, 1) / 255)) * held.trust
    assert error.mean() < 0.04
    free, shots = Negative(), Shots()
    with mirror_of(shots, lambda _: free, hold=False) as mirror:
        for number in range(2):
            shots.give(number)
            next_of(mirror, number - 1)
    assert free.expected == [None, None]


def test_a_choice_that_cannot_be_leaves_the_one_before() -> None:
    """Its fault is told, painting goes on, and the next good choice takes the fault away."""

    def make(choice: Choice) -> Negative:
        if choice.style == "gone":
            raise WeightsError("gone: is gone")
        return Negative()

    shots = Shots()
    with mirror_of(shots, make) as mirror:
        shots.give(0)
        next_of(mirror, -1)
        mirror.choice = Choice("gone", 1.0)
        shots.give(1)
        assert next_of(mirror, 0).choice == FIRST
        assert (mirror.fault, mirror.choice) == ("gone: is gone", FIRST)
        mirror.choice = Choice("two", 1.0)
        shots.give(2)
        assert next_of(mirror, 1).choice == mirror.choice
        assert mirror.fault is None


def test_a_choice_made_while_another_one_fails_counts() -> None:
    """What fails takes only itself back."""
    holder: list[Mirror] = []

    def make(choice: Choice) -> Negative:
        if choice.style == "gone":
            holder[0].choice = Choice("two", 1.0)
            raise WeightsError("gone: is gone")
        return Negative()

    shots = Shots()
    with mirror_of(shots, make) as mirror:
        holder.append(mirror)
        shots.give(0)
        next_of(mirror, -1)
        mirror.choice = Choice("gone", 1.0)
        shots.give(1)
        assert next_of(mirror, 0).choice == FIRST
        shots.give(2)
        assert next_of(mirror, 1).choice == mirror.choice == Choice("two", 1.0)


def test_the_page_shows_chooses_and_saves() -> None:
    """The page and what it needs are there under its key alone; it gets the newest picture, chooses
    among the styles, and saves the picture as it is."""
    shots = Shots()
    with mirror_of(shots, lambda _: Negative()) as mirror:
        client = TestClient(create_page(mirror, ["one", "two"], "key"))
        assert client.get("/").status_code == 404
        assert client.get("/other/picture").status_code == 404
        for name, kind in (
            ("", "text/html"),
            ("page.js", "text/javascript"),
            ("page.css", "text/css"),
        ):
            found = client.get(f"/key/{name}")
            assert found.headers["content-type"].startswith(kind)
            assert "frame-ancestors 'none'" in found.headers["content-security-policy"]
        assert client.get("/key/snapshot").status_code == 404
        shots.give(0)
        found = client.get("/key/picture")
        while found.status_code == 204:
            found = client.get("/key/picture")
        assert found.headers["x-number"] == "0"
        wanted = 1 - drifting(0).transpose(2, 0, 1) / 255
        assert np.abs(read_image(found.content).pixels - wanted).mean() < 0.03
        saved = client.get("/key/snapshot")
        assert ".png" in saved.headers["content-disposition"]
        assert np.abs(read_image(saved.content).pixels - wanted).max() < 0.003
        state = client.get("/key/state").json()
        assert state == {
            "styles": ["one", "two"],
            "style": "one",
            "strength": 1.0,
            "fault": None,
            "ended": False,
        }
        chosen = {"style": "two", "strength": 0.25}
        assert client.put("/key/state", json=chosen).json() == state | chosen
        assert mirror.choice == Choice("two", 0.25)
        for bad in ({"style": "three", "strength": 1}, {"style": "one", "strength": 2}):
            assert client.put("/key/state", json=bad).status_code == 422
        assert mirror.choice == Choice("two", 0.25)
        shots.close()
        mirror.newest(0, 60)
        assert client.get("/key/picture?after=0").status_code == 204
        assert client.get("/key/state").json()["ended"]


def test_the_command_shows_a_clip_until_it_is_stopped(clip: Path, tmp_path: Path) -> None:
    """`impasto live` gives the page's address, paints as the network alone does where nothing is
    held, and ends in order at Ctrl-C."""
    from impasto import repaint
    from impasto.options import StyleOptions

    network = write_styles(tmp_path / "net.safetensors")
    command = [sys.executable, "-m", "impasto", "live", "one", "--network", str(network)]
    command += ["--camera", str(clip), "--loop", "--hold", "0", "--size", "48", "--threads", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        line = run.stdout.readline()
        assert "http://127.0.0.1:" in line, run.stderr.read()
        address = next(word for word in line.split() if word.startswith("http"))
        with urlopen(f"{address}picture", timeout=60) as answer:
            assert answer.status == 200
        with urlopen(f"{address}snapshot", timeout=60) as answer:
            name, png = answer.headers["Content-Disposition"], answer.read()
        # Somebody who waits does not keep it.
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0
        assert run.stderr.read() == ""
    number = int(name.rpartition("-")[2].partition(".")[0])
    photo = list(open_clip(clip).frames(size=(48, 36)))[number % 8].pixels
    options = StyleOptions(size=48, threads=1)
    values = np.ascontiguousarray(photo.transpose(1, 2, 0))
    wanted = repaint(values, "one", options, network=str(network)).bitmap.pixels
    assert np.abs(read_image(png).pixels - wanted).max() < 0.003
