"""Uploads that mean harm or are broken, through the real reader: each is refused in words."""

import hashlib
import io
import os
import re
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
from PIL import Image

from impasto.web import receiving
from impasto.web.app import create_app
from impasto.web.config import StudioOptions, load_options
from impasto.web.records import Records
from impasto.web.security import CSRF_HEADER
from impasto.web.storage import Storage
from impasto.web.supervisor import PROGRAMS, Supervisor
from odd_images import Odd, corpus, encode, png, smooth
from studio_stand_ins import Served, StandInWorkers, Visit, on_a_port, png_bytes, served

MAX_UPLOAD = 1_000_000


def _reader_alone(options: StudioOptions, records: Records, storage: Storage) -> Supervisor:
    idle = ("-c", "import sys; sys.stdin.read()")
    return Supervisor(options, records, storage, programs={**PROGRAMS, "painter": idle})


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio whose reader is a real process, and that paints nothing."""
    limits = {"max_upload": str(MAX_UPLOAD), "max_pixels": "10000000", "rate": "10000"}
    data = tmp_path_factory.mktemp("data")
    with served(data, _reader_alone, devices="cpu", max_pictures="100000", **limits) as found:
        yield found


@pytest.fixture(scope="module")
def visit(studio: Served) -> Visit:
    """A browser that has opened the page."""
    return studio.visit()


def _read(visit: Visit, data: bytes, **query: Any) -> dict[str, Any]:
    """What became of an upload: the picture as it is in the end, or the refusal at once."""
    answer = visit.upload(data, **query)
    if answer.status_code != 201:
        return {"status": answer.status_code, **answer.json()["detail"]}
    found = answer.json()
    while found["state"] == "reading":
        found = visit.client.get(f"/api/pictures/{found['id']}", params={"wait": 30}).json()
    return found


def _words_of(found: dict[str, Any]) -> str:
    """Why an upload was refused; fails where it was not."""
    message = found["message"] if "status" in found else found["fault"]["message"]
    assert found.get("state", "refused") == "refused"
    assert message == message.strip()
    assert "\n" not in message
    assert 10 < len(message) < 300
    # No paths, flags or names of the server's.
    assert "/" not in message.replace("and/or", "")
    assert "--" not in message
    return message


BAD = [odd for odd in corpus() if isinstance(odd.expected, str)]
GOOD = [odd for odd in corpus() if not isinstance(odd.expected, str)]


@pytest.mark.parametrize("odd", BAD, ids=lambda odd: odd.name)
def test_bad_files_are_refused_in_words(studio: Served, visit: Visit, odd: Odd) -> None:
    """Bombs, files cut short or damaged, drawings, documents and nothing at all are refused in
    plain words, leave nothing behind, and the reader goes on.
    """
    found = _read(visit, odd.data, name=odd.name)
    _words_of(found)
    if "id" in found:
        for part in "thumb", "view":
            assert visit.client.get(f"/api/pictures/{found['id']}/{part}").status_code == 409
        assert visit.start(photo=found["id"]).status_code == 409
        assert not studio.studio.storage.source(found["id"]).exists()
    assert list((studio.studio.storage.root / "incoming").iterdir()) == []
    assert _read(visit, png_bytes())["state"] == "ready"


@pytest.mark.parametrize("odd", GOOD, ids=lambda odd: odd.name)
def test_odd_pictures_are_read(visit: Visit, odd: Odd) -> None:
    """Pictures that are only odd are read, upright and as large as they are."""
    found = _read(visit, odd.data)
    assert found["state"] == "ready", found
    assert isinstance(odd.expected, np.ndarray)
    assert (found["height"], found["width"]) == odd.expected.shape[:2]


def test_words_name_the_fault(visit: Visit) -> None:
    """The words say what is wrong with each: empty, a drawing, too many pixels, cut short."""
    whole = png_bytes(200, 200)
    for data, word in (
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "SVG"),
        (b"<!doctype html><script>alert(1)</script>", "web page"),
        (b"\x7fELF" + b"\0" * 600, "program"),
        (b"PK\x03\x04" + b"\0" * 600, "ZIP"),
        (png(60000, 60000, 8, 2, b""), "60000"),
        (whole[: len(whole) // 2], "damaged"),
    ):
        assert word in _words_of(_read(visit, data, name="photo.jpg"))


def test_photos_of_phones(visit: Visit) -> None:
    """A photo as AVIF is read like any other; one as HEIC that cannot be read is refused by that
    name.
    """
    found = _read(visit, encode(Image.fromarray(smooth()), "AVIF"), name="IMG_1.avif")
    assert found["state"] == "ready"
    (heic,) = (odd for odd in BAD if odd.name == "phone.heic")
    found = _read(visit, heic.data, name="IMG_2.heic")
    assert found["fault"]["code"] == "heic"
    assert "HEIC" in _words_of(found)


@pytest.mark.parametrize("tail", ["html", "zip", "svg"])
def test_polyglots_are_only_pictures(studio: Served, visit: Visit, tail: str) -> None:
    """A picture that is something else as well is shown as a picture made anew, and nothing of the
    rest is ever served.
    """
    marker = b"alert('polyglot')"
    rest = {
        "html": b"<!doctype html><script>" + marker + b"</script>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>" + marker + b"</script></svg>",
    }
    if tail == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("evil.html", marker)
        rest["zip"] = packed.getvalue()
    found = _read(visit, encode(Image.fromarray(smooth()), "GIF") + rest[tail], name="x.html")
    assert found["state"] == "ready"
    for part in "thumb", "view":
        answer = visit.client.get(f"/api/pictures/{found['id']}/{part}")
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content[:4] == b"RIFF"
        assert marker not in answer.content
    assert "source" not in " ".join(studio.browser().get("/openapi.json").json()["paths"])


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\boot.ini",
        "/etc/passwd",
        "C:\\Windows\\x.png",
        "a\0b.png",
        "con.png",
        "\u202egnp.exe",
        "x" * 1000,
        "<img src=x onerror=alert(1)>",
        "\r\nSet-Cookie: a=b",
    ],
)
def test_names_never_reach_the_disk(studio: Served, visit: Visit, name: str) -> None:
    """Whatever a file is called, on the disk it has the name that the studio drew."""
    root = studio.studio.storage.root
    found = _read(visit, png_bytes(), name=name)
    assert found["state"] == "ready"
    assert len(found["name"]) <= 120
    assert found["name"].isprintable()
    places = {path for path in root.rglob("*") if found["id"] in path.name}
    assert {path.name for path in places} == {
        f"{found['id']}.{ending}" for ending in ("source", "view.webp", "thumb.webp")
    }
    others = [
        path.name for path in root.rglob("*") if "passwd" in path.name or "x.png" in path.name
    ]
    assert others == []


@pytest.mark.parametrize("id", ["../secret.key", "..%2fsecret.key", "%2e%2e/x", "a" * 21 + "/"])
def test_ids_are_ids(visit: Visit, id: str) -> None:
    """What is no id never becomes a path."""
    for address in f"/api/pictures/{id}", f"/api/pictures/{id}/thumb", f"/api/jobs/{id}/live":
        assert visit.client.get(address).status_code in (404, 422)


def test_too_large_a_file(studio: Served, visit: Visit) -> None:
    """A file that is too large is refused at once where its length is said, and otherwise as soon
    as it is too long.
    """
    noise = os.urandom(MAX_UPLOAD + 1)
    head = png_bytes()[:600]
    for content in head + noise, iter([head, noise]):
        answer = visit.client.post("/api/pictures", content=content)
        assert (answer.status_code, answer.json()["detail"]["code"]) == (413, "too_large")
        assert "1 MB" in answer.json()["detail"]["message"]
    assert list((studio.studio.storage.root / "incoming").iterdir()) == []


def test_full_disk(studio: Served, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full an upload is refused in words, before and while it comes."""
    with monkeypatch.context() as change:
        change.setattr(Storage, "free_bytes", lambda _: 100)
        answer = visit.upload()
        assert (answer.status_code, answer.json()["detail"]["code"]) == (507, "disk_full")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(receiving.Receiving, "_write", full)
    answer = visit.upload()
    assert (answer.status_code, answer.json()["detail"]["code"]) == (507, "disk_full")
    assert list((studio.studio.storage.root / "incoming").iterdir()) == []


def test_broken_off_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that stops coming is given up, and leaves neither a file nor a picture."""
    monkeypatch.setattr(receiving, "PAUSE", 0.3)
    take, is_over = receiving.Receiving.take, threading.Event()

    async def take_and_tell(*given: Any) -> None:
        try:
            await take(*given)
        finally:
            is_over.set()

    monkeypatch.setattr(receiving.Receiving, "take", take_and_tell)
    options = load_options({"data": str(tmp_path), "free_space": "0"}, environment={})
    app = create_app(options, StandInWorkers)
    with on_a_port(app) as address:
        visit = Visit(httpx2.Client(base_url=address, timeout=60))

        def stalled() -> Iterator[bytes]:
            yield png_bytes()[:100]
            is_over.wait(60)
            yield b"too late"

        try:
            answer = visit.client.post("/api/pictures", content=stalled())
            assert answer.json()["detail"]["code"] == "too_slow"
        except httpx2.TransportError:
            pass  # the connection was closed while it was still sending
        assert visit.client.get("/api/pictures").json() == []
        assert list((tmp_path / "incoming").iterdir()) == []


def test_going_away_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes away in the middle of an upload is logged and counted as gone, not as a
    fault, and leaves neither a file nor a picture.
    """
    options = load_options({"data": str(tmp_path), "free_space": "0"}, environment={})
    app = create_app(options, StandInWorkers)
    with on_a_port(app) as address, caplog.at_level("INFO", "impasto.studio"):
        visit = Visit(httpx2.Client(base_url=address, timeout=60))
        cookies = "; ".join(f"{name}={value}" for name, value in visit.client.cookies.items())
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port)) as client:
            client.sendall(
                f"POST /api/pictures HTTP/1.1\r\nHost: {place.netloc}\r\nCookie: {cookies}\r\n"
                f"{CSRF_HEADER}: {visit.csrf}\r\nContent-Length: 500000\r\n\r\n".encode()
                + png_bytes()[:100]
            )
            while not list((tmp_path / "incoming").iterdir()):
                time.sleep(0.01)
        for _ in range(6000):
            if any(getattr(line, "facts", {}).get("status") == 499 for line in caplog.records):
                break
            time.sleep(0.01)
        counted = re.findall(r'requests_total{.*status="(\d+)"}', visit.client.get("/metrics").text)
        assert "499" in counted
        assert not [status for status in counted if status >= "5"]
        assert not [line for line in caplog.records if line.levelname != "INFO"]
        assert visit.client.get("/api/pictures").json() == []
        assert list((tmp_path / "incoming").iterdir()) == []


def test_slow_uploads(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that trickles in is given up, though it never stops."""
    monkeypatch.setattr(receiving, "PATIENCE", 0.0)
    assert visit.upload().status_code == 201
    monkeypatch.setattr(receiving, "SLOWEST", 1e15)
    answer = visit.upload()
    assert (answer.status_code, answer.json()["detail"]["code"]) == (408, "too_slow")


def test_upload_slots(studio: Served, visit: Visit) -> None:
    """One address holds only some of the uploads at once, whatever visitors it says it is, and
    gives each place back."""
    places = studio.studio.address_uploads
    for _ in range(places.each - 1):
        assert places.take("testclient")
    assert [visit.upload().status_code for _ in range(3)] == [201] * 3
    assert places.take("testclient")
    other = studio.visit()
    assert other.upload().status_code == 429
    assert studio.studio.uploads.taken == 0
    places.leave("testclient")
    assert other.upload().status_code == 201


def test_same_bytes_are_kept(studio: Served, visit: Visit) -> None:
    """What is kept of an upload are its bytes as they came, and their sum."""
    data = png_bytes(90, 70, 5)
    found = _read(visit, data)
    assert studio.studio.storage.source(found["id"]).read_bytes() == data
    assert found["sha256"] == hashlib.sha256(data).hexdigest()
    assert found["bytes"] == len(data)
