"""The reader: pictures of every kind become views, and hostile ones words."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from PIL import Image

from impasto.web.reader import read
from impasto.web.storage import Storage, new_id
from odd_images import corpus, encode, png, png_chunk, png_rows, smooth

MAX_PIXELS = 10_000_000


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """An empty data folder."""
    return Storage(tmp_path / "data")


def upload(storage: Storage, data: bytes) -> str:
    """Puts an upload into its place."""
    picture = new_id()
    storage.make_room(picture)
    storage.source(picture).write_bytes(data)
    return picture


def bomb(side: int) -> bytes:
    """A PNG of few bytes that announces, and holds, very many pixels."""
    rows = zlib.compressobj(9)
    data = rows.compress(bytes(side // 8 + 1) * side) + rows.flush()
    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    chunks = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*one) for one in chunks)


def photo(format: str, **options: Any) -> bytes:
    """A soft picture of 24 x 16 pixels."""
    return encode(Image.fromarray(smooth()), format, **options)


def test_all_of_the_corpus_is_read_or_refused_in_words(storage: Storage) -> None:
    """Every odd picture that the project knows is read or refused with one line; nothing else."""
    states = set[str]()
    for odd in corpus():
        picture = upload(storage, odd.data)
        found = read(storage, picture, MAX_PIXELS)
        states.add("fault" if "fault" in found else "ready")
        if "fault" in found:
            assert found["fault"]["code"] in ("unreadable", "too_large", "heic"), odd
            message = found["fault"]["message"]
            assert message.isprintable(), odd
            assert str(storage.root) not in message, odd
            assert not storage.view(picture).exists(), odd
        else:
            view = Image.open(storage.view(picture))
            assert view.format == "WEBP"
            assert view.size == (found["width"], found["height"]), odd
    assert states == {"fault", "ready"}


def test_views_and_thumbnails_have_their_sizes(storage: Storage) -> None:
    """A large picture's view and thumbnail are no larger than they may be, and show it."""
    y, x = np.mgrid[0:1500, 0:3000]
    pixels = np.stack([x / 12, y / 6, 128 + 0 * x], -1).astype(np.uint8)
    picture = upload(storage, encode(Image.fromarray(pixels), "JPEG", quality=95))
    found = read(storage, picture, MAX_PIXELS)
    assert found == {"width": 3000, "height": 1500, "has_alpha": False}
    view, thumb = Image.open(storage.view(picture)), Image.open(storage.thumb(picture))
    assert view.size == (2048, 1024)
    assert thumb.size == (320, 160)
    expected = np.asarray(Image.fromarray(pixels).resize((320, 160)), float)
    assert np.abs(np.asarray(thumb.convert("RGB"), float) - expected).mean() < 4


def test_a_phones_portrait_stands_upright(storage: Storage) -> None:
    """The EXIF orientation is applied to the size, the view and the thumbnail."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, :12] = 255
    image = Image.fromarray(pixels)
    picture = upload(storage, encode(image, "JPEG", exif=exif.tobytes(), quality=95))
    assert read(storage, picture, MAX_PIXELS)["width"] == 16
    # A quarter turn clockwise: what was left is on top.
    view = np.asarray(Image.open(storage.view(picture)).convert("L"), float)
    assert view.shape == (24, 16)
    assert view[:8].mean() > 230
    assert view[16:].mean() < 25


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF"])
def test_formats(storage: Storage, format: str) -> None:
    """Every format that the studio takes is read, whatever its name would be."""
    found = read(storage, upload(storage, photo(format)), MAX_PIXELS)
    assert (found.get("width"), found.get("height")) == (24, 16), found


def test_kinds(storage: Storage) -> None:
    """16 bits, CMYK, transparency and animations are read; of an animation the first frame."""
    deep = read(
        storage,
        upload(storage, png(24, 16, 16, 2, png_rows(smooth().astype(">u2") * 257))),
        MAX_PIXELS,
    )
    assert deep == {"width": 24, "height": 16, "has_alpha": False}
    cmyk = encode(Image.fromarray(smooth()).convert("CMYK"), "JPEG")
    assert read(storage, upload(storage, cmyk), MAX_PIXELS)["width"] == 24
    clear = Image.fromarray(smooth()).convert("RGBA")
    clear.putalpha(100)
    picture = upload(storage, encode(clear, "PNG"))
    assert read(storage, picture, MAX_PIXELS)["has_alpha"] is True
    assert Image.open(storage.thumb(picture)).mode == "RGBA"
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    moving = io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    picture = upload(storage, moving.getvalue())
    assert read(storage, picture, MAX_PIXELS)["height"] == 8
    red, _, blue = np.asarray(Image.open(storage.view(picture)).convert("RGB"))[4, 4]
    assert red > 200 > 60 > blue


HOSTILE = {
    "nothing": b"",
    "cut": photo("JPEG")[:-200],
    "cut png": photo("PNG")[:-60],
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "svg with a declaration": b'<?xml version="1.0"?>\n<svg width="9" height="9"></svg>',
    "pdf": b"%PDF-1.7\n" + bytes(99),
    "script": b"#!/bin/sh\nrm -rf /\n",
    "html": b"<!doctype html><script>alert(1)</script>",
    "zip": b"PK\x03\x04" + bytes(99),
    "imagemagick": b"push graphic-context\nviewbox 0 0 9 9\nfill 'url(https://x/)'",
    "matlab": b"MATLAB 5.0 MAT-file" + bytes(500),
    "fits": b"SIMPLE  =                    T" + bytes(3000),
    "pixels of zeros": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "random": np.random.default_rng(0).bytes(5000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_words(storage: Storage, kind: str) -> None:
    """What is no picture that the studio takes is refused in one line, and leaves nothing."""
    picture = upload(storage, HOSTILE[kind])
    fault = read(storage, picture, MAX_PIXELS)["fault"]
    assert fault["code"] == "unreadable"
    assert len(fault["message"]) < 300
    assert not storage.view(picture).exists()


def test_polyglots_are_only_pictures(storage: Storage) -> None:
    """Of a picture with a page or an archive behind it, the picture alone is used."""
    for tail in (b"<script>alert(1)</script>", b"PK\x03\x04" + bytes(50)):
        picture = upload(storage, photo("PNG") + tail)
        assert read(storage, picture, MAX_PIXELS)["width"] == 24
        assert tail not in storage.view(picture).read_bytes()


def test_too_many_pixels_are_refused_before_decoding(storage: Storage) -> None:
    """A bomb is refused by the size that it announces."""
    data = bomb(20_000)
    assert len(data) < 200_000
    fault = read(storage, upload(storage, data), MAX_PIXELS)["fault"]
    assert fault["code"] == "too_large"
    assert "20000 x 20000" in fault["message"]
    assert "--max-pixels" not in fault["message"]


def test_a_picture_that_is_gone_is_told(storage: Storage) -> None:
    """A file that was removed meanwhile is no fault of the reader's."""
    assert read(storage, new_id(), MAX_PIXELS)["fault"]["code"] == "missing"


@pytest.fixture
def process(storage: Storage) -> Iterator[subprocess.Popen[bytes]]:
    """The reader as the supervisor starts it."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "impasto.web.reader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as started:
        yield started
        assert started.stdin is not None
        if not started.stdin.closed:
            started.stdin.close()
        started.wait(120)


def say(stream: IO[bytes] | None, message: dict[str, Any]) -> None:
    """Sends an order."""
    assert stream is not None
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def hear(stream: IO[bytes] | None) -> dict[str, Any]:
    """Receives an answer; empty where the process is gone."""
    assert stream is not None
    return json.loads(stream.readline() or b"{}")


def test_the_process(storage: Storage, process: subprocess.Popen[bytes]) -> None:
    """It reads one picture after the other, and ends with its input; it loads no network."""
    say(process.stdin, {"data": str(storage.root), "database": "", "max_pixels": MAX_PIXELS})
    assert hear(process.stdout) == {"ready": True}
    modules = Path(f"/proc/{process.pid}/maps")
    for data in (photo("PNG"), b"", photo("JPEG")):
        picture = upload(storage, data)
        say(process.stdin, {"picture": picture})
        answer = hear(process.stdout)
        assert answer["picture"] == picture
        assert ("fault" in answer) == (not data)
    if modules.exists():
        assert "libtorch" not in modules.read_text()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(120) == 0


def run(code: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a program."""
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, timeout=300)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory so")
def test_memory_is_limited() -> None:
    """A process takes no more memory than it may, whatever a picture makes its decoder ask for."""
    begin = "from impasto.web import child; child.limit_memory(100_000_000); "
    assert run(begin + "bytearray(50_000_000)").returncode == 0
    assert b"MemoryError" in run(begin + "bytearray(200_000_000)").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no process's time")
def test_time_is_limited() -> None:
    """A process that computes for longer than it may at one picture is ended by the system."""
    begin = "from impasto.web import child; import time; child.limit_time(1)\n"
    assert run(begin + "time.sleep(0.1)").returncode == 0
    assert run(begin + "while True: pass").returncode == -signal.SIGXCPU
