"""Animated WebP is read frame by frame, to the values that other readers find."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

import pyvips
from PIL import Image

from impasto.clips import open_clip, webp
from impasto.errors import ImageError
from moving import drifting


def animate(path: Path, count: int, **more: Any) -> Path:
    """An animated WebP of which a soft square moves over a ground, clear around it."""
    made = []
    for number in range(count):
        values = np.dstack([drifting(number), np.zeros((48, 64), np.uint8)])
        values[8:40, number % 30 : number % 30 + 20, 3] = np.linspace(20, 255, 20)
        made.append(Image.fromarray(values))
    made[0].save(path, save_all=True, append_images=made[1:], duration=40, **more)
    return path


def seen_by_libvips(path: Path) -> np.ndarray:
    """All frames at once, `(N, H, W, C)`."""
    image = pyvips.Image.new_from_file(str(path), n=-1)
    values = np.frombuffer(image.write_to_memory(), np.uint8)
    return values.reshape(-1, int(str(image.get("page-height"))), image.width, image.bands)


@pytest.mark.parametrize(
    "more",
    [
        {"lossless": True},
        {"lossless": True, "minimize_size": True},
        {"quality": 60},
        {"quality": 60, "minimize_size": True, "allow_mixed": True},
        {"quality": 60, "kmin": 3, "kmax": 5, "loop": 3},
    ],
)
def test_frames_are_those_of_other_readers(tmp_path: Path, more: dict[str, Any]) -> None:
    """With and without loss, in parts of the canvas, laid over one another and cleared."""
    path = animate(tmp_path / "a.webp", 12, **more)
    clip = open_clip(path)
    expected = seen_by_libvips(path)
    assert clip.facts.frames == len(expected) == 12
    assert clip.facts.loop == more.get("loop", 0)
    found = list(clip.frames())
    with Image.open(path) as other:
        for number, (frame, values) in enumerate(zip(found, expected, strict=True)):
            shown = np.rint(frame.pixels.transpose(1, 2, 0) * 255)
            assert frame.alpha is not None
            alpha = np.rint(frame.alpha * 255)
            assert np.array_equal(alpha, values[..., 3])
            assert np.array_equal(shown[alpha > 0], values[..., :3][alpha > 0])
            other.seek(number)
            pillow = np.asarray(other.convert("RGBA"))
            assert np.array_equal(alpha, pillow[..., 3])
            assert np.array_equal(shown[alpha > 0], pillow[..., :3][alpha > 0])


def piece(kind: bytes, data: bytes) -> bytes:
    """A part of a WebP."""
    return kind + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_parts_are_laid_over_and_cleared(tmp_path: Path, flags: int) -> None:
    """A half-clear part of the canvas is blended with what is there or takes its place, and is
    cleared after it where it says so: by the formula of the specification."""
    parts = []
    for colour, at in (
        ((200, 40, 0, 255), (0, 0)),
        ((0, 80, 160, 128), (4, 2)),
        ((9,) * 4, (8, 8)),
    ):
        still = tmp_path / "still.webp"
        Image.new("RGBA", (8, 8), colour).save(still, lossless=True)
        place, moment = (at[0] // 2, at[1] // 2, 7, 7, 40), bytes([flags])
        numbers = b"".join(number.to_bytes(3, "little") for number in place)
        parts.append(piece(b"ANMF", numbers + moment + still.read_bytes()[12:]))
    about = bytes([0x12, 0, 0, 0, 15, 0, 0, 15, 0, 0])
    body = b"WEBP" + piece(b"VP8X", about) + piece(b"ANIM", bytes(6)) + b"".join(parts)
    (tmp_path / "a.webp").write_bytes(piece(b"RIFF", body))
    frames = list(open_clip(tmp_path / "a.webp").frames())
    alpha = frames[1].alpha
    assert len(frames) == 3
    assert alpha is not None
    assert alpha[0, 0] == (0 if flags & 1 else 1)
    over, below = np.array((0, 80, 160)), np.array((200, 40, 0))
    mixed = (over * 128 + below * 127) / 255
    expected = over if flags else mixed
    assert np.abs(frames[1].pixels[:, 5, 5] * 255 - expected).max() < 1.5
    assert alpha[5, 5] * 255 == pytest.approx(128 if flags else 255, abs=1)
    for frame, values in zip(frames, seen_by_libvips(tmp_path / "a.webp"), strict=True):
        assert frame.alpha is not None
        assert np.array_equal(np.rint(frame.alpha * 255), values[..., 3])


READ = """
import resource, sys
from impasto.clips import open_clip

for name in sys.argv[1:]:
    count = sum(1 for _ in open_clip(name).frames())
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_an_animation(tmp_path: Path) -> None:
    """A long one takes a few frames more than a short one at most, libvips's own memory counted."""
    for count in 5, 250:
        plain = [Image.new("RGB", (320, 240), (n * 83 % 256, n // 2, 90)) for n in range(count)]
        plain[0].save(
            tmp_path / f"{count}.webp", save_all=True, append_images=plain[1:], lossless=True
        )
    names = [str(tmp_path / f"{count}.webp") for count in (5, 250)]
    told = subprocess.run(
        [sys.executable, "-c", READ, *names], capture_output=True, text=True, check=True
    )
    short, long = (tuple(map(int, line.split())) for line in told.stdout.splitlines())
    assert (short[0], long[0]) == (5, 250)
    # 250 such frames are 55 MiB.
    assert long[1] - short[1] < 20 * 1024


def test_a_damaged_animation_gives_what_is_whole(tmp_path: Path) -> None:
    """Frames up to the damage are given, and it is counted; of one that is damaged from the start
    nothing is."""
    path = animate(tmp_path / "a.webp", 10, lossless=True)
    data = path.read_bytes()
    whole = list(open_clip(path).frames())
    (tmp_path / "b.webp").write_bytes(data[: len(data) * 2 // 3])
    short = open_clip(tmp_path / "b.webp")
    frames = list(short.frames())
    assert 3 < len(frames) < 10
    assert short.damaged > 0
    for one, other in zip(frames, whole, strict=False):
        assert np.array_equal(one.pixels, other.pixels)
    film = webp.look(path)
    assert film is not None
    for place, count in ((film.pieces[5].place, 5), (film.pieces[0].place, 0)):
        broken = bytearray(data)
        broken[place + 8 : place + 60] = bytes(52)
        path.write_bytes(broken)
        torn = open_clip(path)
        if count == 0:
            with pytest.raises(ImageError, match="cannot be read"):
                list(torn.frames())
            continue
        assert len(list(torn.frames())) == count
        assert torn.damaged > 0


def test_a_webp_that_does_not_move_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    """As before."""
    Image.fromarray(drifting(2)).save(tmp_path / "a.webp", lossless=True)
    frames = list(open_clip(tmp_path / "a.webp").frames())
    assert len(frames) == 1
    assert np.array_equal(np.rint(frames[0].pixels.transpose(1, 2, 0) * 255), drifting(2))
