"""The HTTP interface: who may what, what is answered, and that it is what the schema says."""

import asyncio
import contextlib
import io
import json
import re
import select
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import event
from sqlalchemy.exc import DataError

from impasto.errors import OptionError, OutputError
from impasto.images import read_image
from impasto.web import built_in, gate, watching
from impasto.web.app import create_app
from impasto.web.config import load_options
from impasto.web.downloads import disposition, file_name, zip_stream
from impasto.web.forms import check_request
from impasto.web.gate import MAX_BODY
from impasto.web.live import LivePictures, bucket_of
from impasto.web.logs import start_logging
from impasto.web.retention import DAY
from impasto.web.routes import pages
from impasto.web.schema import JobRequest
from impasto.web.security import CSRF_HEADER, HEADERS, SAFE_METHODS
from impasto.web.storage import Live, Storage, new_id
from impasto.web.watching import Watching
from stand_ins import soft_picture
from studio_stand_ins import (
    ADDRESS,
    STEPS,
    Served,
    StandInWorkers,
    Visit,
    on_a_port,
    png_bytes,
    served,
)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Served]:
    """A running studio with stand-ins."""
    with served(tmp_path / "data") as found:
        yield found


@pytest.fixture
def visit(studio: Served) -> Visit:
    """A browser that has opened the page."""
    return studio.visit()


# --- who may what --------------------------------------------------------------------------------

# open: anybody. visitor: who has been let in; what is shown or changed is theirs by its nature.
# job, picture, preset: who has been let in, and whose the thing in the address is.
RULES = {
    "GET /": "open",
    "GET /job/{id}": "open",
    "GET /gallery": "open",
    "GET /shared": "open",
    "GET /login": "open",
    "GET /about": "open",
    "GET /clip": "open",
    "GET /docs": "open",
    "GET /docs/{name}": "open",
    "GET /openapi.json": "open",
    "GET /healthz": "open",
    "GET /api/me": "open",
    "GET /metrics": "password",
    "POST /api/login": "visitor",
    "POST /api/logout": "visitor",
    "GET /api/options": "visitor",
    "GET /api/styles": "visitor",
    "GET /api/samples": "visitor",
    "GET /api/styles/{name}/thumb": "visitor",
    "GET /api/styles/{name}/view": "visitor",
    "GET /api/samples/{name}/thumb": "visitor",
    "GET /api/samples/{name}/view": "visitor",
    "GET /api/presets": "visitor",
    "GET /api/presets/{id}": "preset",
    # An id that is another visitor's is free for this one.
    "PUT /api/presets/{id}": "visitor",
    "DELETE /api/presets/{id}": "preset",
    "GET /api/pictures": "visitor",
    "POST /api/pictures": "visitor",
    "GET /api/pictures/{id}": "picture",
    "GET /api/pictures/{id}/thumb": "picture",
    "GET /api/pictures/{id}/view": "picture",
    "DELETE /api/pictures/{id}": "picture",
    "POST /api/pictures/{id}/restore": "picture",
    "GET /api/jobs": "visitor",
    "POST /api/jobs": "visitor",
    "GET /api/jobs/{id}": "job",
    "PATCH /api/jobs/{id}": "job",
    "DELETE /api/jobs/{id}": "job",
    "GET /api/jobs/{id}/events": "job",
    "GET /api/jobs/{id}/losses": "job",
    "POST /api/jobs/{id}/pause": "job",
    "POST /api/jobs/{id}/resume": "job",
    "POST /api/jobs/{id}/cancel": "job",
    "POST /api/jobs/{id}/again": "job",
    "POST /api/jobs/{id}/restore": "job",
    "GET /api/jobs/{id}/live": "job",
    "GET /api/jobs/{id}/thumb": "job",
    "GET /api/jobs/{id}/view": "job",
    "GET /api/jobs/{id}/file": "job",
    "GET /api/jobs/{id}/film": "job",
    "GET /api/jobs/{id}/frames/{number}": "job",
    "GET /api/archive": "visitor",
    "GET /api/shared": "visitor",
    # Pictures that a request names are looked up as a job's are.
    "GET /api/previews/sheet": "visitor",
    "POST /api/previews": "visitor",
}
CLOSED = [key for key, rule in RULES.items() if rule not in ("open", "password")]
OWNED = [key for key, rule in RULES.items() if rule in ("job", "picture", "preset")]


def _routes(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif (inner := getattr(route, "original_router", None)) is not None:
            yield from _routes(inner.routes)


def _ask(client: TestClient, key: str, id: str = "", **more: Any) -> Any:
    """The answer to one request of a route, with what it needs to be valid."""
    method, _, path = key.partition(" ")
    path = path.replace("{id}", id or new_id()).replace("{name}", "waves").replace("{number}", "1")
    if "samples" in path:
        path = path.replace("waves", "cat")
    body: dict[str, Any] = {}
    if key == "POST /api/login":
        body = {"json": {"password": "x"}}
    elif key == "GET /api/previews/sheet":
        path += "?photo=sample:cat"
    elif key in ("POST /api/jobs", "POST /api/previews"):
        body = {"json": {"photo": "sample:cat", "styles": ["style:waves"]}}
    elif key == "POST /api/pictures":
        body = {"content": png_bytes()}
    elif method == "PATCH":
        body = {"json": {"label": "taken"}}
    elif method == "PUT":
        body = {"json": {"name": "taken", "options": {"strength": 0.5}}}
    return client.request(method, path, **body, **more)


def test_every_route_has_a_rule(studio: Served) -> None:
    """A route is not added without saying here who may use it."""
    found = {
        f"{method} {route.path}"
        for route in _routes(studio.app.routes)
        for method in route.methods or ()
    }
    assert found == set(RULES)


@pytest.mark.parametrize("key", CLOSED)
def test_strangers_get_nothing(studio: Served, key: str) -> None:
    """Without a cookie of the studio's own nothing is shown or done."""
    for cookie in None, f"{studio.studio.guard.cookie_name}=made.up.by-myself":
        headers = {} if cookie is None else {"Cookie": cookie}
        answer = _ask(studio.browser(), key, headers=headers)
        assert (answer.status_code, answer.json()["detail"]["code"]) == (401, "no_visitor")


@pytest.mark.parametrize("key", [key for key in CLOSED if key.split()[0] not in SAFE_METHODS])
def test_changes_need_the_pages_own_value(studio: Served, visit: Visit, key: str) -> None:
    """A change without the value, or with another visitor's, is refused: CSRF."""
    for value in "", studio.visit().csrf:
        answer = _ask(visit.client, key, headers={CSRF_HEADER: value})
        assert (answer.status_code, answer.json()["detail"]["code"]) == (403, "csrf")


@pytest.mark.parametrize("key", CLOSED)
def test_other_sites_get_nothing(visit: Visit, key: str) -> None:
    """What another site makes the visitor's own browser ask is refused, value or not."""
    answer = _ask(visit.client, key, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.json()["detail"]["code"]) == (403, "cross_site")
    if key.split()[0] not in SAFE_METHODS:
        answer = _ask(visit.client, key, headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403


@pytest.mark.parametrize("key", [key for key in RULES if key != "GET /healthz"])
def test_other_names_get_nothing(visit: Visit, key: str) -> None:
    """A request under a name that is not the studio's is refused: DNS rebinding."""
    answer = _ask(visit.client, key, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["detail"]["code"]) == (421, "wrong_host")


@pytest.mark.parametrize("key", OWNED)
def test_others_things_are_not_there(studio: Served, visit: Visit, key: str) -> None:
    """Another visitor's job, picture or preset is answered exactly like one that does not exist."""
    if RULES[key] == "picture":
        id = visit.upload().json()["id"]
        thing = f"/api/pictures/{id}"
    elif RULES[key] == "preset":
        id = new_id()
        thing = f"/api/presets/{id}"
        _ask(visit.client, "PUT /api/presets/{id}", id)
    else:
        id = visit.start().json()["id"]
        visit.wait(id)
        thing = f"/api/jobs/{id}"
    before = visit.client.get(thing).json()
    other = studio.visit()
    theirs, nothing = _ask(other.client, key, id), _ask(other.client, key, new_id())
    assert theirs.status_code == 404
    assert theirs.json() == nothing.json()
    assert visit.client.get(thing).json() == before
    assert _ask(visit.client, key, id).status_code != 404


def test_others_pictures_cannot_be_used(studio: Served, visit: Visit) -> None:
    """No part of a job may be another visitor's picture."""
    id = visit.upload().json()["id"]
    other = studio.visit()
    for part in (
        {"photo": id},
        {"styles": [id]},
        {"fine": id},
        {"start": id},
        {"coarse": id},
        {"masks": [id], "options": {}},
        {"masks": [f"{id}#ff0000"]},
        {"style_masks": [id]},
    ):
        assert other.start(**part).status_code == 404


def test_lists_hold_ones_own(studio: Served, visit: Visit) -> None:
    """Lists and archives hold what is the visitor's own, and nothing else."""
    visit.upload()
    job = visit.start().json()["id"]
    visit.wait(job)
    other = studio.visit().client
    assert other.get("/api/pictures").json() == []
    assert other.get("/api/jobs").json() == {"jobs": [], "next": None}
    assert zipfile.ZipFile(io.BytesIO(other.get("/api/archive").content)).namelist() == []


# --- passwords and programs ----------------------------------------------------------------------


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Served]:
    """A studio with a password and a token."""
    for name, text in ("password", "open sesame"), ("tokens", "a-token-drawn-at-random"):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    files: dict[str, Any] = {
        "password_file": tmp_path / "password",
        "token_file": tmp_path / "tokens",
    }
    with served(tmp_path / "data", **files) as found:
        yield found


@pytest.mark.parametrize("key", [*CLOSED, "GET /metrics"])
def test_locked_studio(locked: Served, key: str) -> None:
    """Who has not said the password gets nothing but the door."""
    if key == "POST /api/login":
        return
    for browser in locked.browser(), locked.visit().client:
        answer = _ask(browser, key)
        assert (answer.status_code, answer.json()["detail"]["code"]) == (401, "signin")


def test_signing_in_and_out(locked: Served) -> None:
    """The password lets a visitor in, keeps who they are, and signing out shuts the door."""
    visit = locked.visit()
    assert visit.client.get("/api/me").json()["signed_in"] is False
    wrong = visit.client.post("/api/login", json={"password": "open"})
    assert (wrong.status_code, wrong.json()["detail"]["code"]) == (401, "password")
    right = visit.client.post("/api/login", json={"password": "open sesame"})
    assert (right.status_code, right.json()["signed_in"]) == (200, True)
    job = visit.start().json()["id"]
    assert visit.client.post("/api/logout").json()["signed_in"] is False
    assert visit.client.get("/api/jobs").status_code == 401
    visit.client.post("/api/login", json={"password": "open sesame"})
    assert [one["id"] for one in visit.client.get("/api/jobs").json()["jobs"]] == [job]


def test_who_only_looks_has_been_here(studio: Served, visit: Visit) -> None:
    """A visitor with presets who only opens the studio keeps them; one who has nothing yet is not
    written down.
    """
    preset, records, now = new_id(), studio.studio.records, time.time()
    _save(visit, preset)
    records._clock = lambda: now + 10 * DAY
    visit.client.get("/api/me")
    studio.browser().get("/api/me")
    assert records.counts().owners == 1
    records.purge(created_before=now + 5 * DAY, deleted_before=now)
    assert [one["id"] for one in visit.client.get("/api/presets").json()] == [preset]


def test_guessing_is_slow(locked: Served) -> None:
    """After a few wrong passwords even the right one has to wait, in the header as in a form."""
    visit = locked.visit()
    # However slow the machine: what is spent does not come back here.
    locked.studio.sign_in._tries.rate = 1e-9
    codes = []
    for number in range(8):
        if number % 2:
            headers = {"Authorization": f"Bearer wrong {number}"}
            answer = locked.browser().get("/api/jobs", headers=headers)
        else:
            answer = visit.client.post("/api/login", json={"password": f"wrong {number}"})
        codes.append(answer.json()["detail"]["code"])
    assert codes == ["password"] * 6 + ["throttled"] * 2
    late = visit.client.post("/api/login", json={"password": "open sesame"})
    assert late.status_code == 429
    assert int(late.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("said", ["a-token-drawn-at-random", "open sesame"])
def test_programs(locked: Served, said: str) -> None:
    """A token or the password in the header serves a program without cookie or CSRF value."""
    program = locked.browser()
    program.headers["Authorization"] = f"Bearer {said}"
    answer = program.post("/api/pictures", content=png_bytes())
    assert answer.status_code == 201
    assert "set-cookie" not in answer.headers
    again = locked.browser()
    found = again.get("/api/pictures", headers={"Authorization": f"Bearer {said}"}).json()
    assert [one["id"] for one in found] == [answer.json()["id"]]
    assert program.get("/metrics").status_code == 200


def test_cookie_is_guarded(locked: Served, tmp_path: Path) -> None:
    """Scripts cannot read the cookie, other sites cannot send it, and https keeps it to https."""
    plain = locked.browser().get("/api/me").headers["set-cookie"].lower()
    assert "httponly" in plain
    assert "samesite=strict" in plain
    assert "; secure" not in plain
    with served(tmp_path / "other", password_file=tmp_path / "password", proxies="10.9.8.7") as far:
        ways = {"10.9.8.7": True, "10.9.8.6": False}
        for address, trusted in ways.items():
            proxy = TestClient(far.app, base_url=ADDRESS, client=(address, 1))
            proxy.portal = far.client.portal
            answer = proxy.get("/api/me", headers={"X-Forwarded-Proto": "https"})
            assert ("; secure" in answer.headers["set-cookie"].lower()) is trusted


# --- limits --------------------------------------------------------------------------------------


def test_rates(tmp_path: Path) -> None:
    """Who asks too often is told to wait, and nobody else has to."""
    with served(tmp_path, rate="2") as studio:
        first, second = studio.visit(), studio.visit()
        # However slow the machine: what is spent does not come back here.
        studio.studio.by_owner.rate = 1e-9
        answers = [first.client.get("/api/jobs") for _ in range(15)]
        codes = [answer.status_code for answer in answers]
        assert codes == [200] * codes.count(200) + [429] * codes.count(429)
        assert codes.count(429) >= 3
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert second.client.get("/api/jobs").status_code == 200
    with served(tmp_path, address_rate="1") as studio:
        studio.studio.by_address.rate = 1e-9
        codes = [studio.browser().get("/api/me").status_code for _ in range(10)]
        assert codes.count(429) >= 3
        assert studio.browser().get("/healthz").status_code == 200


def test_queue_and_picture_limits(tmp_path: Path) -> None:
    """A visitor can fill neither the queue nor the disk for the others."""
    with served(tmp_path, queue="2", max_pictures="2") as studio:
        studio.workers.painting = False
        visit = studio.visit()
        codes = [visit.start().status_code for _ in range(3)]
        assert codes == [201, 201, 429]
        uploads = [visit.upload() for _ in range(3)]
        assert [answer.status_code for answer in uploads] == [201, 201, 409]
        other = studio.visit()
        assert other.start().status_code == other.upload().status_code == 201


def test_live_pictures_have_a_rate(tmp_path: Path) -> None:
    """Asking for live pictures of jobs that are not there costs as any other request does; those
    of one's own may be asked for more often, but not without end.
    """
    with served(tmp_path, rate="1") as studio:
        guessing, watching = studio.visit(), studio.visit()
        # However slow the machine: what is spent does not come back here.
        studio.studio.by_owner.rate = studio.studio.live_by_owner.rate = 1e-9
        answers = [guessing.client.get(f"/api/jobs/{new_id()}/live") for _ in range(20)]
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {404, 429}
        assert codes.count(404) < 10
        studio.workers.hold = True
        job = watching.start().json()["id"]
        codes = [watching.client.get(f"/api/jobs/{job}/live").status_code for _ in range(80)]
        assert codes.index(429) == 60
        assert set(codes[60:]) == {429}


def test_new_cookies_make_no_room(tmp_path: Path) -> None:
    """Who throws the cookie away still finds the address's queue full, until a job is over; other
    addresses have their own.
    """
    with served(tmp_path, queue="2", address_queue="3") as studio:
        studio.workers.painting = False
        visits = [studio.visit() for _ in range(3)]
        answers = [visit.start() for visit in visits for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201] * 3 + [429] * 3
        assert answers[-1].json()["detail"]["code"] == "queue_full"
        job = answers[0].json()["id"]
        visits[0].client.post(f"/api/jobs/{job}/cancel")
        assert visits[2].start().status_code == 201
        assert visits[0].client.post(f"/api/jobs/{job}/again").status_code == 429
        elsewhere = Visit(studio.browser(("192.0.2.9", 50000)))
        assert elsewhere.start().status_code == 201


def test_uploads_of_an_address(tmp_path: Path) -> None:
    """An address may upload so many pictures in a day whatever its cookies; refused ones do not
    count.
    """
    with served(tmp_path, address_uploads="3", max_pictures="2") as studio:
        first = studio.visit()
        assert first.upload(b"no picture").status_code == 415
        codes = [first.upload().status_code for _ in range(4)]
        assert codes == [201, 201, 409, 409]
        codes = [studio.visit().upload().status_code for _ in range(3)]
        assert codes == [201, 429, 429]
        assert Visit(studio.browser(("192.0.2.9", 50000))).upload().status_code == 201


@pytest.mark.parametrize("what", ["downloads", "streams"])
def test_one_address_leaves_some_to_others(tmp_path: Path, what: str) -> None:
    """However many cookies an address has, half of all downloads and of all streams are for others;
    what is over makes room.
    """
    with served(tmp_path) as studio:
        visit, elsewhere = studio.visit(), Visit(studio.browser(("192.0.2.9", 50000)))
        slots = getattr(studio.studio, f"address_{what}")
        for _ in range(slots.all // 2):
            assert slots.take("testclient")

        def ask(one: Visit) -> int:
            id = one.start().json()["id"]
            path = "/api/archive" if what == "downloads" else f"/api/jobs/{id}/events"
            return one.client.get(path).status_code

        assert (ask(visit), ask(elsewhere)) == (429, 200)
        slots.leave("testclient")
        # What it took itself comes back each time.
        assert (ask(visit), ask(visit)) == (200, 200)


def test_large_and_chunked_bodies(visit: Visit) -> None:
    """Bodies of requests are small and say how long they are."""
    large = visit.client.post("/api/jobs", content=b" " * (MAX_BODY + 1))
    assert (large.status_code, large.json()["detail"]["code"]) == (413, "too_large")
    chunked = visit.client.post("/api/jobs", content=iter([b"{", b"}"]))
    assert (chunked.status_code, chunked.json()["detail"]["code"]) == (411, "length")


@pytest.mark.parametrize("target", ["POST /api/jobs", "POST /api/login", "GET /api/jobs"])
def test_slow_bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """A body that trickles in is waited for only so long, whatever it is sent to; then its sender
    is told in words, and the connection is closed.
    """
    options = load_options({"data": str(tmp_path), "free_space": "0"}, environment={})
    with on_a_port(create_app(options, StandInWorkers)) as address:
        visit = Visit(httpx2.Client(base_url=address, timeout=60))
        assert visit.start().status_code == 201
        monkeypatch.setattr(gate, "BODY_SECONDS", 0.4)
        cookies = "; ".join(f"{name}={value}" for name, value in visit.client.cookies.items())
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=60) as client:
            client.sendall(
                f"{target} HTTP/1.1\r\nHost: {place.netloc}\r\nCookie: {cookies}\r\n"
                f"{CSRF_HEADER}: {visit.csrf}\r\nContent-Type: application/json\r\n"
                "Content-Length: 1000\r\n\r\n{".encode()
            )
            # Never silent for long, until it is answered.
            while not select.select([client], [], [], 0.1)[0]:
                client.sendall(b" ")
            answer = b""
            # Closed while a piece was on its way.
            with contextlib.suppress(ConnectionResetError):
                while part := client.recv(4096):
                    answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["detail"]["code"] == "too_slow"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"size": 5000}, "size"),
        ({"print": "a0"}, "print"),
        ({"levels": "256x5,5000x1"}, "levels"),
        ({"levels": "5000x1,256x5"}, "levels"),
        ({"evaluations": 100_000}, "evaluations"),
        ({"style_scale": "8", "size": 4096}, "style_scale"),
        ({"memory": "100GB"}, "memory"),
        ({"device": "cuda"}, "device"),
        ({"threads": 64}, "threads"),
        ({"max_pixels": 10**12}, "max_pixels"),
        ({"tileable": True}, "tileable"),
        ({"style_weights": [1, 2]}, "style_weights"),
        ({"size": "huge"}, "size"),
        ({"colour": "match"}, "colour"),
        ({"start": "image"}, "start"),
        ({"color_strength": 0.5}, "color_strength"),
        ({"style_weight": 1e400}, "style_weight"),
        ({"regions": "a" * 5000}, "regions"),
        ({"size": True}, "size"),
        ({"style_scale": True}, "style_scale"),
        ({"levels": [[side, 1] for side in range(1, 30)]}, "levels"),
        ({"levels": [[side, 200] for side in range(100, 111)]}, "levels"),
        ({"style_scale": [[1] * 9]}, "style_scale"),
        ({"style_scale": [[1], [1]]}, "style_scale"),
        ({"regions": [{"scale": [[1] * 9]}]}, "style_scale"),
        ({"regions": [{}] * 18}, "regions"),
        ({"regions": [{"keep": False}] * 2}, "regions"),
        ({"regions": [{"styles": [1] * 20_000}]}, "regions"),
    ],
)
def test_options_beyond_the_studios(
    studio: Served, visit: Visit, options: dict[str, Any], field: str
) -> None:
    """Options that are the host's, too large or not sensible are refused by name, without flags."""
    text = json.dumps({"photo": "sample:cat", "styles": ["style:waves"], "options": options})
    answer = visit.client.post(
        "/api/jobs", content=text, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert detail["field"] in (field, f"options.{field}", None)
    assert "--" not in detail["message"]
    assert studio.studio.records.jobs(studio.studio.guard.new_visitor().owner).jobs == []


@pytest.mark.parametrize(
    ("options", "reason", "values"),
    [
        ({"size": 0}, "too_small", {"limit": 1}),
        ({"strength": 1.5}, "too_large", {"limit": 1}),
        ({"learning_rate": 0}, "above", {"limit": 0}),
        ({"tolerance": 1}, "below", {"limit": 1}),
        ({"style_scale": 9}, "out_of_range", {"least": 0.05, "most": 8}),
        ({"style_layers": "relu1_1=-1"}, "out_of_range", {"least": 0, "most": 1e15}),
        ({"tv": "l3"}, "not_one_of", {"choices": "l1, squared"}),
        ({"content_loss": "love"}, "not_one_of", None),
        ({"strength": "much"}, "no_number", {}),
        ({"size": 1.5}, "no_whole_number", {}),
        ({"normalize": "perhaps"}, "no_switch", {}),
        ({"model": [19]}, "no_text", {}),
        ({"levels": "big"}, "form", {"example": "256:60,512:40"}),
        ({"print": "a99"}, "form", {"example": "a3, 300x200mm"}),
        ({"style_layers": "sky"}, "no_layer", {"name": "sky"}),
        ({"content_loss": "features,features"}, "twice", {"name": "features"}),
        ({"print": "a4", "levels": "256:4"}, "excludes", {"other": "levels"}),
        ({"print": "a4", "size": 64}, "excludes", {"other": "size"}),
        ({"print_fit": "fill"}, "needs", {"other": "print"}),
        ({"color_strength": 0.5}, "needs", {"other": "color"}),
        ({"start": "image"}, "needs_picture", {}),
        ({"style_weights": [1, 2]}, "counts", {}),
        ({"size": 5000}, "too_many", {"count": 5000, "most": 4096}),
        ({"device": "cuda"}, "hosts", {}),
        ({"tileable": True}, "textures", {}),
        ({"regions": "a" * 5000}, "too_long", {}),
        ({"colour": "match"}, "unknown", {}),
        ({"levels": "512:4,256:4"}, None, {}),
        ({"regions": [{"colour": "match"}]}, None, {}),
    ],
)
def test_reasons_of_refusals(
    visit: Visit, options: dict[str, Any], reason: str | None, values: dict[str, Any] | None
) -> None:
    """What is wrong with an option is told by a key, with the option and what goes with it."""
    detail = visit.start(options=options).json()["detail"]
    assert (detail["code"], detail["reason"]) == ("option", reason)
    assert detail["field"] in options
    assert values is None or detail["values"] == values


@pytest.mark.parametrize("name", ["x" * 100_000, "\ud800", "size\n", "sise", ""])
@pytest.mark.parametrize("where", ["options", "request"])
def test_strange_names(visit: Visit, name: str, where: str) -> None:
    """A name that nobody knows is refused in one short line, however long or broken it is."""
    body: dict[str, Any] = {"photo": "sample:cat", "styles": ["style:waves"]}
    body |= {"options": {name: 1}} if where == "options" else {name: 1}
    headers = {"Content-Type": "application/json"}
    answer = visit.client.post("/api/jobs", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert len(detail["message"]) <= 500
    assert len(detail["field"] or "") <= 100
    assert "\n" not in detail["message"]
    assert "impasto" not in detail["message"]


_TEXTS = ("print", "style_scale", "content_layers", "style_layers", "style_loss", "content_loss")


@pytest.mark.parametrize("value", ["\ud800", ["\ud800"], [{"\ud800": 1}]])
def test_halves_of_characters(visit: Visit, value: Any) -> None:
    """Half of a character in an option is refused with the option's name, of a job and of a
    preset.
    """
    headers = {"Content-Type": "application/json"}
    for name in _TEXTS:
        preset = {"name": "n", "options": {name: value}}
        job = {"photo": "sample:cat", "styles": ["style:waves"], "options": {name: value}}
        for method, path, body in (
            ("PUT", f"/api/presets/{new_id()}", preset),
            ("POST", "/api/jobs", job),
        ):
            answer = visit.client.request(method, path, content=json.dumps(body), headers=headers)
            assert (answer.status_code, answer.json()["detail"]["field"]) == (422, name)


def test_requests_stay_small(visit: Visit) -> None:
    """What a job was asked with goes into every list and event, so it cannot grow without end."""
    mask = visit.upload(kind="mask").json()["id"]
    many = {"regions": [{"styles": [1] * 9000, "shares": [1] * 9000}]}
    answer = visit.start(options=many, masks=[mask])
    assert answer.status_code == 422
    assert "too long" in answer.json()["detail"]["message"]
    answer = visit.start(options={"regions": [{"strength": 0.5}, {"keep": True}]}, masks=[mask])
    assert answer.status_code == 201, answer.text


def test_request_is_kept_as_asked() -> None:
    """What is kept of a request are the options that were given, in their plain form."""
    limits = load_options({}, environment={})
    request = JobRequest(
        photo="sample:cat",
        styles=["style:waves", "style:agate"],
        shares=[2, 1],
        options={"size": "256", "style_scale": 0.5, "preset": "gatys"},
    )
    kept = check_request(request, limits)
    assert kept["options"] == {
        "size": 256,
        "style_scale": "0.5",
        "preset": "gatys",
        "style_weights": [2.0, 1.0],
    }
    assert kept["photo"] == "sample:cat"
    with pytest.raises(OptionError, match="shares"):
        check_request(request.model_copy(update={"options": {"style_weights": [1, 1]}}), limits)


# --- presets of one's own -------------------------------------------------------------------------


def _save(visit: Visit, id: str, name: str = "Mine", **options: Any) -> Any:
    return visit.client.put(f"/api/presets/{id}", json={"name": name, "options": options})


def test_own_presets(studio: Served, visit: Visit) -> None:
    """Settings are kept under a name in their plain form, renamed, changed, deleted and brought
    back; other visitors have presets of the same id and name that are their own.
    """
    first, second = new_id(), new_id()
    answer = _save(visit, first, " Öl \u200b auf  Holz\n", preset="gatys", style_scale=0.5)
    mine = {
        "id": first,
        "name": "Öl auf Holz",
        "options": {"preset": "gatys", "style_scale": "0.5"},
    }
    assert (answer.status_code, answer.json()) == (200, mine)
    other = _save(visit, second, "aquarell", strength=0.5).json()
    client = visit.client
    assert client.get("/api/presets").json() == [other, mine]
    assert client.get(f"/api/presets/{first}").json() == mine
    stranger = studio.visit()
    assert stranger.client.get("/api/presets").json() == []
    theirs = _save(stranger, first, "Öl auf Holz", tv="squared").json()
    assert client.get(f"/api/presets/{first}").json() == mine
    renamed = _save(visit, first, "Öl", **mine["options"]).json()
    assert renamed == {**mine, "name": "Öl"}
    changed = _save(visit, first, "Öl", strength=0.25).json()
    assert client.get("/api/presets").json() == [other, changed]
    assert visit.start(options=changed["options"]).status_code == 201
    assert client.delete(f"/api/presets/{first}").json() == changed
    assert client.get("/api/presets").json() == [other]
    assert client.delete(f"/api/presets/{first}").status_code == 404
    assert _save(visit, first, changed["name"], **changed["options"]).json() == changed
    assert client.get("/api/presets").json() == [other, changed]
    assert stranger.client.get("/api/presets").json() == [theirs]


def test_names_of_presets_are_ones_own(visit: Visit) -> None:
    """Two presets of one visitor's never have one name, and a name can be seen."""
    first, second = new_id(), new_id()
    assert _save(visit, first, "Öl").status_code == 200
    for same in " Öl ", "O\u0308l", "\u3164Öl":
        taken = _save(visit, second, same)
        assert (taken.status_code, taken.json()["detail"]["code"]) == (409, "name_taken")
    assert _save(visit, first, "Öl", strength=0.5).status_code == 200
    for name in "", "  \u200b", "\u3164", "x" * 61, "\u0958" * 31:
        refused = _save(visit, second, name)
        assert (refused.status_code, refused.json()["detail"]["field"]) == (422, "name")
    assert _save(visit, second, "é" * 60).status_code == 200
    assert len(visit.client.get("/api/presets").json()) == 2


def test_so_many_presets(visit: Visit) -> None:
    """A visitor keeps fifty presets at most, and can change them then too."""
    ids = [new_id() for _ in range(51)]
    answers = [_save(visit, id, f"No. {number}") for number, id in enumerate(ids)]
    assert [answer.status_code for answer in answers] == [200] * 50 + [409]
    assert answers[-1].json()["detail"]["code"] == "too_many_presets"
    assert _save(visit, ids[0], "The first", strength=0.5).status_code == 200
    visit.client.delete(f"/api/presets/{ids[1]}")
    assert _save(visit, ids[50], "The last").status_code == 200


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": 5000}, "too_many"),
        ({"strength": 2}, "too_large"),
        ({"print": "a4", "size": 64}, "excludes"),
        ({"device": "cuda"}, "hosts"),
        ({"colour": "match"}, "unknown"),
        ({"regions": [{"keep": True}]}, "pictures"),
        ({"style_weights": [1, 2]}, "pictures"),
        ({"style_loss": ",".join(["gram"] * 300)}, "twice"),
        ({"style_layers": "relu1_1,relu2_1" * 200}, "too_long"),
        ({"style_scale": [[1.123456789] * 8] * 60}, None),
    ],
)
def test_presets_hold_what_a_job_may(
    visit: Visit, options: dict[str, Any], reason: str | None
) -> None:
    """Options of a preset are refused as a job's are, and so are those of a job's own pictures."""
    answer = _save(visit, new_id(), **options)
    assert answer.status_code == 422
    assert answer.json()["detail"]["reason"] == reason
    assert visit.client.get("/api/presets").json() == []


def test_a_preset_may_begin_with_a_third_picture(visit: Visit) -> None:
    """What only a job's pictures can tell is not asked of a preset."""
    answer = _save(visit, new_id(), start="image", style_scale="0.5,2")
    assert answer.json()["options"] == {"start": "image", "style_scale": "0.5,2"}


# --- the way from upload to download -------------------------------------------------------------


def test_the_whole_way(visit: Visit) -> None:
    """A photo goes up, a job runs, and the result comes down, with everything told on the way."""
    picture = visit.upload(name="Mein <Foto>.png\x00\n", kind="photo").json()
    assert picture["name"] == "Mein <Foto>.png"
    ready = visit.client.get(f"/api/pictures/{picture['id']}", params={"wait": 5}).json()
    assert (ready["state"], ready["width"], ready["height"]) == ("ready", 40, 30)
    answer = visit.start(photo=picture["id"], options={"size": 48}, label="Tanz")
    assert answer.status_code == 201
    job = visit.wait(answer.json()["id"])
    assert (job["state"], job["label"]) == ("done", "Tanz")
    assert (job["result"]["width"], job["result"]["height"]) == (48, 36)
    losses = visit.client.get(f"/api/jobs/{job['id']}/losses").json()
    assert losses["evaluation"] == list(range(1, STEPS + 1))
    assert losses["loss"] == [1.0 / n for n in range(1, STEPS + 1)]
    found = visit.client.get("/api/jobs", params={"search": "tanz mein", "state": "done,failed"})
    assert [one["id"] for one in found.json()["jobs"]] == [job["id"]]
    assert visit.client.get("/api/jobs", params={"state": "sleeping"}).status_code == 422
    again = visit.start(photo=job["result"]["id"]).json()
    assert visit.wait(again["id"])["state"] == "done"


def test_events(visit: Visit) -> None:
    """Events are named job, begin with the present state, and end with the final one."""
    job = visit.start().json()["id"]
    answer = visit.client.get(f"/api/jobs/{job}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("event: job\ndata: {") for block in events)
    states = [json.loads(block.partition("data: ")[2]) for block in events]
    assert states[0]["state"] in ("queued", "running")
    assert states[-1] == visit.client.get(f"/api/jobs/{job}").json()
    assert states[-1]["state"] == "done"


def test_pause_resume_cancel(studio: Served, visit: Visit) -> None:
    """A running job is paused, goes on, is cancelled and keeps what it has painted."""
    studio.workers.hold = True
    job = visit.start().json()["id"]
    client = visit.client

    def until(state: str) -> dict[str, Any]:
        found = dict[str, Any]()
        for _ in range(200):
            found = client.get(f"/api/jobs/{job}").json()
            if found["state"] == state and (state != "running" or found["progress"]):
                return found
        raise AssertionError(found)

    until("running")
    assert client.post(f"/api/jobs/{job}/again").status_code == 409
    assert client.post(f"/api/jobs/{job}/pause").json()["wanted"] == "pause"
    until("paused")
    assert client.post(f"/api/jobs/{job}/resume").json()["state"] == "queued"
    until("running")
    answer = client.patch(f"/api/jobs/{job}", json={"strength": 0.5, "label": "half"})
    assert (answer.json()["strength"], answer.json()["label"]) == (0.5, "half")
    client.post(f"/api/jobs/{job}/cancel")
    assert until("cancelled")["result"] is not None
    assert studio.workers.told.count(job) == 3
    late = client.patch(f"/api/jobs/{job}", json={"strength": 0.5, "label": "late"})
    assert late.status_code == 409
    assert client.get(f"/api/jobs/{job}").json()["label"] == "half"
    assert client.patch(f"/api/jobs/{job}", json={"strength": 2}).status_code == 422
    studio.workers.hold = False
    copy = client.post(f"/api/jobs/{job}/again").json()
    assert copy["id"] != job
    assert visit.wait(copy["id"])["state"] == "done"


def test_delete_and_undo(visit: Visit) -> None:
    """What is deleted leaves the lists, can still be seen, and comes back as it was."""
    job = visit.wait(visit.start().json()["id"])
    picture = visit.upload().json()["id"]
    for thing, list_of in (
        ("jobs", lambda: visit.client.get("/api/jobs").json()["jobs"]),
        (
            "pictures",
            lambda: visit.client.get("/api/pictures?kind=photo").json(),
        ),
    ):
        id = job["id"] if thing == "jobs" else picture
        address = f"/api/{thing}/{id}"
        before = visit.client.get(address).json()
        assert visit.client.delete(address).json()["deleted"] is not None
        assert list_of() == []
        assert visit.client.get(address).json()["deleted"] is not None
        assert visit.client.post(f"{address}/restore").json() == before
        assert [one["id"] for one in list_of()] == [id]
    visit.client.delete(f"/api/pictures/{picture}")
    assert visit.start(photo=picture).status_code == 404
    visit.client.delete(f"/api/jobs/{job['id']}")
    assert visit.client.get(f"/api/jobs/{job['id']}/file").status_code == 404


def test_shared_gallery(studio: Served, tmp_path: Path) -> None:
    """Sharing shows result and options to everybody where it is on, and ends when it is undone."""
    visit = studio.visit()
    alone = visit.wait(visit.start().json()["id"])["id"]
    assert visit.client.patch(f"/api/jobs/{alone}", json={"shared": True}).status_code == 409
    assert visit.client.get("/api/shared").status_code == 404
    with served(tmp_path / "open", shared_gallery="true") as open_studio:
        mine, other = open_studio.visit(), open_studio.visit()
        photo = mine.upload(name="me.png").json()["id"]
        job = mine.wait(mine.start(photo=photo, label="look").json()["id"])["id"]
        assert other.client.get("/api/shared").json()["jobs"] == []
        assert other.client.get(f"/api/jobs/{job}/view").status_code == 404
        mine.client.patch(f"/api/jobs/{job}", json={"shared": True})
        (shown,) = other.client.get("/api/shared").json()["jobs"]
        assert (shown["id"], shown["label"], shown["mine"]) == (job, "look", False)
        assert shown["styles"] == ["style:waves"]
        assert photo not in json.dumps(shown)
        assert other.client.get(f"/api/jobs/{job}/view").status_code == 200
        for key in OWNED:
            if RULES[key] == "job" and not key.endswith(("/thumb", "/view")):
                assert _ask(other.client, key, job).status_code == 404
        mine.client.patch(f"/api/jobs/{job}", json={"shared": False})
        assert other.client.get(f"/api/jobs/{job}/view").status_code == 404


def test_sharing_shows_no_file_names(tmp_path: Path) -> None:
    """A job is called after its files for its owner alone; others see what the owner typed, else
    the names of built-in styles.
    """
    with served(tmp_path, shared_gallery="true") as studio:
        mine, other = studio.visit(), studio.visit()
        photo = mine.upload(name="Lena-Mueller-7b.png").json()["id"]
        painting = mine.upload(name="Omas-Bild.png", kind="style").json()["id"]
        first = mine.start(photo=photo, styles=["style:stained-glass", painting]).json()
        assert first["title"].startswith("Lena-Mueller-7b · ")
        assert first["label"] == ""
        title = "Lena Müller 7b · Glasmalerei + Omas Bild"
        again = mine.start(**first["request"], title=title).json()
        assert (again["title"], again["label"]) == (title, "")
        second = mine.start(photo=photo, styles=[painting]).json()
        # Neither is typed which says what was there.
        for job in (again, second):
            mine.client.patch(f"/api/jobs/{job['id']}", json={"label": job["title"]})
        copy = mine.client.post(f"/api/jobs/{mine.wait(first['id'])['id']}/again").json()
        jobs = [first["id"], again["id"], copy["id"], second["id"]]
        for job in jobs:
            mine.client.patch(f"/api/jobs/{mine.wait(job)['id']}", json={"shared": True})
        seen = other.client.get("/api/shared")
        labels = {job["id"]: job["label"] for job in seen.json()["jobs"]}
        assert [labels[job] for job in jobs] == ["stained glass"] * 3 + [""]
        assert "Lena" not in seen.text
        assert "Oma" not in seen.text
        own = {job["id"]: job["label"] for job in mine.client.get("/api/shared").json()["jobs"]}
        assert own[second["id"]] == second["title"] == "Lena-Mueller-7b · Omas-Bild"
        assert own[again["id"]] == title
        named = mine.client.get(f"/api/jobs/{second['id']}/file").headers["content-disposition"]
        assert "Lena-Mueller-7b" in named
        mine.client.patch(f"/api/jobs/{second['id']}", json={"label": "for grandma"})
        assert "for grandma" in other.client.get("/api/shared").text


def _grey(image: Image.Image) -> np.ndarray:
    """Brightness alone: JPEG and WebP keep colours at half the resolution."""
    return np.asarray(image.convert("RGB").convert("L"), float)


# --- live pictures -------------------------------------------------------------------------------


def test_fifty_viewers_cost_one(tmp_path: Path) -> None:
    """Each live picture is encoded once for all who look at the same size, and anew when it is
    replaced.
    """
    storage, job = Storage(tmp_path), new_id()
    live = LivePictures(storage)

    async def look() -> None:
        assert await live.get(job, 640) is None
        for version in 1, 2:
            storage.write_live(job, Live(version, soft_picture(900, 600, version)))
            found = await asyncio.gather(*(live.get(job, side) for side in [600, 640] * 25))
            assert {one.version for one in found if one is not None} == {version}
            assert live.encoded == version
        small = await live.get(job, 200)
        assert small is not None
        assert Image.open(io.BytesIO(small.data)).size == (320, 213)
        assert live.encoded == 3

    asyncio.run(look())


def test_live_picture_shows_the_run(visit: Visit, studio: Served) -> None:
    """The live picture is the one that the painter has put there, and watching is told of."""
    studio.workers.hold = True
    job = visit.start().json()["id"]
    address, query = f"/api/jobs/{job}/live", {"side": 48, "version": 1}
    answer = visit.client.get(address, params=query)
    for _ in range(100):
        if answer.status_code != 404:
            break
        answer = visit.client.get(address, params=query)
    assert answer.headers["etag"] == '"1"'
    assert "immutable" in answer.headers["cache-control"]
    shown = _grey(Image.open(io.BytesIO(answer.content)))
    assert np.abs(shown - _grey(Image.fromarray(soft_picture(48, 36, 1)))).mean() < 4
    assert np.abs(shown - _grey(Image.fromarray(soft_picture(48, 36, 2)))).mean() > 20
    assert job in studio.workers.watched
    visit.client.post(f"/api/jobs/{job}/cancel")
    visit.wait(job)


def test_sides_are_bucketed() -> None:
    """A viewer gets the next size up, so that a few sizes serve all screens."""
    assert [bucket_of(side) for side in (1, 320, 321, 640, 641, 9999)] == [
        *(320, 320, 640, 640, 1024, 1024)
    ]


class _Seen:
    def __init__(self, over: bool, place: int | None = None) -> None:
        self.over, self.place = over, place


class _Paced:
    """`asyncio`, whose sleeps end when they are let go, one by one."""

    def __init__(self) -> None:
        self._asleep = dict[float, asyncio.Semaphore]()

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def _of(self, seconds: float) -> asyncio.Semaphore:
        return self._asleep.setdefault(seconds, asyncio.Semaphore(0))

    async def sleep(self, seconds: float) -> None:
        """Sleeps until it is let go."""
        await self._of(seconds).acquire()

    def let_go(self, seconds: float, count: int = 1) -> None:
        """Ends so many sleeps of this length, those to come included."""
        for _ in range(count):
            self._of(seconds).release()


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> _Paced:
    """Lets the pauses between news end when the test says so; nothing is asked again by itself."""
    made = _Paced()
    monkeypatch.setattr(watching, "asyncio", made)
    monkeypatch.setattr(watching, "LOOK_AGAIN", 3600.0)
    return made


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


def test_slow_viewers_skip(paced: _Paced) -> None:
    """A viewer that is slow gets the newest state next, keeps nobody waiting, and many viewers
    cost one look into the records.
    """

    async def watch() -> None:
        reads, told = [0], list[tuple[str, bool]]()
        over = [False]

        def read(_job: str) -> _Seen:
            reads[0] += 1
            return _Seen(over[0])

        def show(seen: Any, _place: int | None, progress: dict[str, Any] | None) -> str:
            return f"{(progress or {}).get('n', 0)}{' over' if seen.over else ''}"

        made = Watching(read, dict, show, lambda job, on: told.append((job, on)))
        fast, slow = [list[str]() for _ in range(50)], list[str]()
        awake = asyncio.Event()

        async def look(got: list[str], first: asyncio.Event | None = None) -> None:
            async for text in made.follow("job"):
                got.append(text)
                if first is not None:
                    await first.wait()

        viewers = [asyncio.create_task(look(got)) for got in fast]
        viewers.append(asyncio.create_task(look(slow, awake)))
        await _until(lambda: all(got == ["0"] for got in [*fast, slow]))
        for number in range(1, 41):
            made.heard("job", "job", {"n": number})
            if number in (20, 40):
                paced.let_go(watching.SPACING)
                await _until(lambda number=number: all(got[-1] == f"{number}" for got in fast))
        over[0] = True
        made.heard("job", "job", None)
        paced.let_go(watching.SPACING)
        await asyncio.gather(*viewers[:-1])
        awake.set()
        await viewers[-1]
        assert all(got == ["0", "20", "40", "40 over"] for got in fast)
        assert slow == ["0", "40 over"]
        assert reads[0] == 2
        assert told == [("job", True), ("job", False)]

    asyncio.run(watch())


def test_places_are_looked_up_once(paced: _Paced) -> None:
    """Many who wait in the queue learn their new places from one look at it, and who is taken is
    looked up again.
    """

    async def watch() -> None:
        reads, looks = [0], [0]
        queue = {str(number): number + 1 for number in range(30)}

        def read(job: str) -> _Seen:
            reads[0] += 1
            return _Seen(job not in queue, queue.get(job))

        def places() -> dict[str, int]:
            looks[0] += 1
            return dict(queue)

        def show(seen: Any, place: int | None, _progress: object) -> str:
            return "over" if seen.over else str(place)

        made = Watching(read, places, show, lambda *_: None)
        got = {job: list[str]() for job in queue}

        async def follow(job: str) -> None:
            async for text in made.follow(job):
                got[job].append(text)

        viewers = [asyncio.create_task(follow(job)) for job in got]
        await _until(lambda: all(len(told) == 1 for told in got.values()))
        del queue["0"]
        for number in range(1, 30):
            queue[str(number)] -= 1
        for _ in range(20):
            made.heard("job", "elsewhere", None)
        paced.let_go(watching.SPACING, 30)
        await _until(lambda: all(len(told) == 2 for told in got.values()))
        assert got == {str(n): [str(n + 1), str(n)] if n else ["1", "over"] for n in range(30)}
        assert (reads[0], looks[0]) == (31, 1)
        # Whatever moves meanwhile costs one look more.
        for _ in range(20):
            made.heard("job", "elsewhere", None)
            await asyncio.sleep(0)
        assert looks[0] == 1
        paced.let_go(watching.QUEUE_SPACING)
        await _until(lambda: looks[0] == 2)
        made.close()
        await asyncio.gather(*viewers, return_exceptions=True)

    asyncio.run(watch())


def test_a_fault_does_not_end_the_news_of_places(
    paced: _Paced, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong at one look at the queue is logged, and the next look is told of."""

    async def watch() -> None:
        looks, got = [0], list[str]()

        def places() -> dict[str, int]:
            looks[0] += 1
            if looks[0] == 1:
                raise ZeroDivisionError
            return {"job": 1}

        made = Watching(
            lambda _: _Seen(False, 2), places, lambda _s, place, _p: str(place), lambda *_: None
        )

        async def follow() -> None:
            async for text in made.follow("job"):
                got.append(text)

        viewer = asyncio.create_task(follow())
        await _until(lambda: got == ["2"])
        made.heard("job", "elsewhere", None)
        await _until(lambda: looks[0] == 1)
        made.heard("job", "elsewhere", None)
        paced.let_go(watching.QUEUE_SPACING)
        paced.let_go(watching.SPACING)
        await _until(lambda: got == ["2", "1"])
        made.close()
        await asyncio.gather(viewer, return_exceptions=True)

    asyncio.run(watch())
    assert "ZeroDivisionError" in caplog.text


def test_news_of_a_picture_are_not_missed() -> None:
    """Whoever waits for a picture is told at once, also where the news come while the record is
    looked at, and where another one's time is over."""

    async def story() -> list[str]:
        made = Watching(lambda _: _Seen(False), dict, lambda *_: "", lambda *_: None)
        loop, order = asyncio.get_running_loop(), list[str]()

        def look() -> bool:
            # It was still being read, and the reader answers before anybody waits.
            loop.call_soon_threadsafe(made.heard, "picture", "one", None)
            return False

        async def wait(name: str, seconds: float, is_read: Callable[[], bool]) -> None:
            await made.picture(name, seconds, is_read)
            order.append(name)

        await wait("one", 60, look)
        await wait("two", 60, lambda: True)
        short = asyncio.create_task(wait("three", 0.05, lambda: False))
        long = asyncio.create_task(wait("three", 60, lambda: False))
        await short
        order.append("news")
        made.heard("picture", "three", None)
        await long
        assert not made._pictures
        return order

    async def in_time() -> list[str]:
        async with asyncio.timeout(30):
            return await story()

    assert asyncio.run(in_time()) == ["one", "two", "three", "news", "three"]


def test_closing_ends_streams(visit: Visit, studio: Served) -> None:
    """When the server stops, streams end at once, whatever the job does."""
    studio.workers.painting = False
    job = visit.start().json()["id"]
    portal = studio.client.portal
    assert portal is not None

    async def soon() -> None:
        asyncio.get_running_loop().call_later(0.3, studio.studio.watching.close)

    portal.call(soon)
    answer = visit.client.get(f"/api/jobs/{job}/events")
    assert answer.text.count("event: job") == 1


# --- downloads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "format", "mode_bytes"),
    [
        ({}, "PNG", 3),
        ({"format": "png", "bits": "16"}, "PNG", 6),
        ({"format": "jpeg", "quality": 80}, "JPEG", 3),
        ({"format": "webp"}, "WEBP", 3),
        ({"format": "tiff", "bits": "16"}, "TIFF", 6),
    ],
)
def test_downloads(visit: Visit, query: dict[str, Any], format: str, mode_bytes: int) -> None:
    """Each format holds the result in the depth asked for, with its settings inside."""
    job = visit.wait(visit.start(label="Ein Bild: größer/besser?").json()["id"])
    answer = visit.client.get(f"/api/jobs/{job['id']}/file", params=query)
    assert answer.status_code == 200
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.size) == (format, (48, 36))
    assert np.abs(_grey(image) - _grey(Image.fromarray(soft_picture(48, 36, 1)))).mean() < 4
    assert read_image(answer.content).settings == {"made": "by a stand-in"}
    if format == "PNG":
        assert answer.content[24] == 8 * mode_bytes // 3
    if format == "TIFF":
        import pyvips

        assert pyvips.Image.new_from_buffer(answer.content, "").format == "ushort"
    name = answer.headers["content-disposition"]
    assert name.startswith('attachment; filename="Ein Bild groer besser.')
    assert "filename*=UTF-8''Ein%20Bild%20gr%C3%B6%C3%9Fer%20besser." in name
    incoming = visit.client.app.state.studio.storage.root / "incoming"  # pyright: ignore
    assert list(incoming.iterdir()) == []


@pytest.mark.parametrize(
    "said", ["bytes=", "bytes=a-b", "lines=1-2", "bytes=9-1", "bytes=-", "bytes=0-1,4-5", "x", "é"]
)
def test_ranges_that_mean_nothing(visit: Visit, said: str) -> None:
    """A Range header that is no plain range is passed over; one that is gives that part."""
    whole = visit.client.get("/api/samples/cat/thumb")
    answer = visit.client.get("/api/samples/cat/thumb", headers={"Range": said.encode()})
    assert (answer.status_code, answer.content) == (200, whole.content)
    part = visit.client.get("/api/samples/cat/thumb", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, whole.content[2:6])


def test_ranges_beyond_the_end(visit: Visit) -> None:
    """A range beyond the end is refused with the length that there is."""
    answer = visit.client.get("/api/samples/cat/thumb", headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"].startswith("bytes */")
    assert answer.content == b""


@pytest.mark.parametrize(
    ("query", "damage"),
    [
        ({"format": "jpeg"}, "empty"),
        ({"format": "jpeg"}, "half"),
        ({"format": "jpeg"}, "changed"),
        ({"format": "png", "bits": "16"}, "empty"),
        ({"format": "png", "bits": "16"}, "half"),
        ({"format": "png", "bits": "16"}, "flipped"),
    ],
)
def test_damaged_results_are_not_handed_out(
    studio: Served, visit: Visit, query: dict[str, str], damage: str
) -> None:
    """A result whose file is damaged is refused as such, without where it lies."""
    job = visit.wait(visit.start().json()["id"])
    master = studio.studio.storage.master(job["result"]["id"])
    whole = master.read_bytes()
    broken = {"empty": b"", "half": whole[: len(whole) // 2], "changed": whole[:50] * 9999}
    middle = len(whole) // 2
    broken["flipped"] = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    master.write_bytes(broken[damage][: len(whole)])
    answer = visit.client.get(f"/api/jobs/{job['id']}/file", params=query)
    assert (answer.status_code, answer.json()["detail"]["code"]) == (409, "damaged")
    assert str(studio.studio.options.data) not in answer.text
    assert not list((studio.studio.options.data / "incoming").iterdir())


def test_a_download_that_memory_runs_out_of(
    studio: Served, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system kills what makes a file, its visitor is told to try again, nothing is left,
    and the server works on.
    """
    job = visit.wait(visit.start().json()["id"])["id"]
    path = f"/api/jobs/{job}/file"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", _script(tmp_path, "kill -9 $$"))
        answer = visit.client.get(path, params={"format": "jpeg"})
        assert (answer.status_code, answer.json()["detail"]["code"]) == (503, "unavailable")
        # What needs no making comes as ever.
        whole = visit.client.get(path, params={"format": "png", "bits": "16"})
        assert whole.status_code == 200
    assert not list((studio.studio.options.data / "incoming").iterdir())
    assert visit.client.get(path, params={"format": "jpeg"}).status_code == 200


def test_two_downloads_are_made_at_once(
    studio: Served, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask for a file, memory for two at most is taken at a time."""
    job = visit.wait(visit.start().json()["id"])["id"]
    begun, over = tmp_path / "begun", tmp_path / "over"
    begun.mkdir()
    waits = f"touch {begun}/$$; until [ -e {over} ]; do sleep 0.02; done; exit 4"
    monkeypatch.setattr(sys, "executable", _script(tmp_path, waits))
    query = {"format": "jpeg"}
    with ThreadPoolExecutor(3) as pool:
        asked = [
            pool.submit(visit.client.get, f"/api/jobs/{job}/file", params=query) for _ in range(3)
        ]
        while len(list(begun.iterdir())) < 2 or studio.studio.downloads.taken < 3:
            time.sleep(0.02)
        time.sleep(0.3)  # the third would have begun by now
        found = len(list(begun.iterdir()))
        over.touch()
        statuses = [one.result().status_code for one in asked]
    assert (found, statuses) == (2, [507, 507, 507])
    assert len(list(begun.iterdir())) == 3


def _script(folder: Path, lines: str) -> str:
    """A program that runs these lines whatever it is asked for."""
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{lines}\n")
    file.chmod(0o700)
    return str(file)


def test_paper_sets_the_resolution(visit: Visit) -> None:
    """A file for A4 prints as large as the sheet allows without being cut."""
    job = visit.wait(visit.start().json()["id"])["id"]

    def dpi(**query: Any) -> float:
        answer = visit.client.get(f"/api/jobs/{job}/file", params={"format": "tiff", **query})
        name = answer.headers["content-disposition"]
        assert f"({query['paper']}).tif" in name if "paper" in query else "(" not in name
        return float(Image.open(io.BytesIO(answer.content)).info["dpi"][0])

    # 48 × 36 px: on the sheet across, 297 × 210 mm, the height decides; upright, the width.
    assert dpi(paper="a4") == pytest.approx(max(48 / 297, 36 / 210) * 25.4, abs=0.01)
    assert dpi(paper="a4", orientation="portrait") == pytest.approx(48 / 210 * 25.4, abs=0.01)
    assert dpi(paper="100x60mm") == pytest.approx(36 / 60 * 25.4, abs=0.01)
    assert dpi(dpi="300") == pytest.approx(300, abs=0.01)
    bad = {"paper": "a9"}, {"paper": "a4", "dpi": "300"}, {"format": "jpeg", "bits": "16"}
    for query in bad:
        assert visit.client.get(f"/api/jobs/{job}/file", params=query).status_code == 422


def test_archive_holds_all(visit: Visit) -> None:
    """The archive holds every result once, whole, under names that any system takes."""
    labels = ["same", "Same", "../../etc/passwd", "", "ä/b\\c"]
    jobs = [visit.wait(visit.start(label=label).json()["id"]) for label in labels]
    answer = visit.client.get("/api/archive")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len({name.lower() for name in names}) == len(labels)
        assert all(re.fullmatch(r"[\w ()-]+\.png", name) for name in names), names
        master = visit.client.get(
            f"/api/jobs/{jobs[0]['id']}/file", params={"format": "png", "bits": "16"}
        ).content
        assert all(archive.read(name) == master for name in names)


def test_archive_names_what_is_damaged(studio: Served, visit: Visit) -> None:
    """A result whose file is cut short, changed or gone is not in the archive, which names it and
    holds all others.
    """
    labels = ["good", "cut", "changed", "emptied", "gone", "left out"]
    jobs = [visit.wait(visit.start(label=label).json()["id"]) for label in labels]
    masters = {job["label"]: studio.studio.storage.master(job["result"]["id"]) for job in jobs}
    data = masters["good"].read_bytes()
    masters["cut"].write_bytes(data[:-1])
    at = len(data) // 2
    masters["changed"].write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    masters["emptied"].write_bytes(b"")
    masters["gone"].unlink()
    answer = visit.client.get("/api/archive")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"good.png", "left out.png", "left out.txt"}
        assert archive.read("good.png") == data
        told = archive.read("left out.txt").decode().splitlines()
        assert set(told[1:]) == {"cut.png", "changed.png", "emptied.png", "gone.png"}


@pytest.mark.parametrize("label", ["CON", "nul", "Aux.", " prn ", "com1", "LPT¹", "ＣＯＮ", "Çon"])
def test_names_of_devices(label: str) -> None:
    """No download is called as Windows calls a device, in full or in the ASCII form beside it."""
    name = file_name(label, "x" * 22, ".png")
    assert name.startswith("impasto ")
    assert name.endswith(".png")
    assert 'filename="impasto ' in disposition(name)
    assert file_name(f"{label} caf", "x" * 22, ".png").lower().startswith(label.strip(" .").lower())


def test_archive_of_any_date(tmp_path: Path) -> None:
    """Results from before 1980 or after 2107, which ZIP cannot say, are in the archive too."""
    (tmp_path / "x").write_bytes(png_bytes())
    times = {-1e10: 1980, 1000.0: 1980, 1e9: 2001, 4.5e9: 2107}
    files = [(f"{number}.png", when, tmp_path / "x") for number, when in enumerate(times)]
    with zipfile.ZipFile(io.BytesIO(b"".join(zip_stream(files)))) as archive:
        assert archive.testzip() is None
        assert [entry.date_time[0] for entry in archive.infolist()] == list(times.values())


# --- every answer --------------------------------------------------------------------------------


def test_headers_on_every_answer(studio: Served, visit: Visit) -> None:
    """Pages, answers, refusals, faults and pictures all carry the security headers."""
    paths = ["/docs", "/nothing", "/api/me", "/api/jobs/x", "/api/samples/cat/thumb", "/healthz"]
    answers = [visit.client.get(path) for path in paths]
    answers.append(visit.client.get("/api/jobs", headers={"Host": "evil.example"}))
    answers.append(visit.client.put("/api/jobs"))
    studio.studio.records.jobs = None  # type: ignore[method-assign, assignment]
    answers.append(visit.client.get("/api/jobs"))
    assert answers[-1].status_code == 500
    assert answers[-1].json()["detail"]["code"] == "fault"
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, answer.url
    script = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in script
    assert "*" not in script


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loads, self.inline = list[str](), list[str]()
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        for name, value in attrs:
            if name in ("src", "href"):
                self.loads.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(name)

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(self._tag)


def test_reference_works_offline(studio: Served) -> None:
    """The reference page loads nothing from elsewhere and runs nothing that the policy forbids."""
    browser = studio.browser()
    page = _Page()
    page.feed(browser.get("/docs").text)
    assert page.inline == []
    assert len(page.loads) >= 3
    for address in page.loads:
        assert address.startswith("/")
        assert browser.get(address).status_code == 200
    assert browser.get("/docs/../app.py").status_code == 404
    assert browser.get("/docs/reference.html").status_code == 404


def test_schema_is_complete(studio: Served) -> None:
    """Every operation has a summary, typed answers, its refusals, and says how to sign in."""
    schema = studio.browser().get("/openapi.json").json()
    inside = {key for key in RULES if " /api/" in key} | {"GET /healthz", "GET /metrics"}
    found = set[str]()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            key = f"{method.upper()} {path}"
            found.add(key)
            assert operation["summary"], key
            assert operation["description"], key
            answers = operation["responses"]
            if key != "GET /healthz":
                assert {"401", "403", "408", "429", "503"} <= set(answers), key
            if RULES[key] in ("job", "picture", "preset"):
                assert "404" in answers, key
            good = next(answers[status] for status in ("200", "201") if status in answers)
            assert good["content"], key
            for content in good["content"].values():
                assert content.get("schema") != {}, key
            if RULES[key] not in ("open",):
                assert operation["security"], key
    assert found == inside
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_metrics_and_health(studio: Served, visit: Visit) -> None:
    """Measures count what happened, by routes and not by addresses; health says what is wrong."""
    job = visit.wait(visit.start().json()["id"])["id"]
    visit.client.get("/api/jobs", headers={"Host": "evil.example"})
    text = visit.client.get("/metrics").text
    assert 'impasto_requests_total{method="POST",route="/api/jobs",status="201"} 1.0' in text
    assert 'impasto_jobs{state="done"} 1.0' in text
    assert 'impasto_refused_total{code="wrong_host"} 1.0' in text
    assert 'impasto_painter_ready{device="stand-in"} 1.0' in text
    assert "# TYPE impasto_live_pictures_encoded_total counter" in text
    assert "\nimpasto_live_pictures_encoded_total 0.0" in text
    assert job not in text
    assert studio.browser().get("/healthz").json()["status"] == "ok"
    studio.workers.health = lambda: {"reader": True, "painters": {"cpu": "down"}}
    ill = studio.browser().get("/healthz")
    assert (ill.status_code, ill.json()["status"]) == (503, "degraded")


def test_a_full_disk_is_called_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A database without room is told as a full disk, and what was to be written is not logged."""
    with served(tmp_path / "data", queue="200", rate="1000") as studio:
        visit = studio.visit()
        studio.workers.painting = False
        engine = studio.studio.records._database._engine

        @event.listens_for(engine, "connect")
        def _(connection: Any, _record: Any) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

        engine.dispose()
        answers = [visit.start(label=f"secret {number}") for number in range(60)]
        assert answers[-1].status_code == 507
        assert answers[-1].json()["detail"]["code"] == "disk_full"
        ill = studio.browser().get("/healthz")
        assert (ill.status_code, ill.json()["records"]) == (503, False)
    assert "database or disk is full" in caplog.text
    assert "secret" not in caplog.text
    assert "Traceback" not in caplog.text


def test_broken_records_are_called_so(studio: Served, visit: Visit) -> None:
    """Records that are no database any more are not told as busy, and the studio is not well."""
    records = studio.studio.records
    records._database._engine.dispose()
    data = studio.studio.options.data
    for file in data.glob("studio.sqlite3*"):
        file.unlink()
    (data / "studio.sqlite3").write_bytes(b"no database" * 1000)
    answer = visit.client.get("/api/jobs", params={"search": "secret"})
    assert (answer.status_code, answer.json()["detail"]["code"]) == (503, "records_broken")
    assert studio.browser().get("/healthz").json()["records"] is False


def test_values_that_no_database_holds(
    studio: Served, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that the records cannot hold is the request's fault: it is refused as such, and the
    studio stays well.
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise DataError("SELECT", {}, ValueError("cannot contain NUL"))

    answer = visit.client.get("/api/jobs", params={"search": "a\0b"})
    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, "search")
    monkeypatch.setattr(studio.studio.records, "jobs", refuse)
    answer = visit.client.get("/api/jobs")
    assert (answer.status_code, answer.json()["detail"]["code"]) == (422, "request")
    assert studio.browser().get("/healthz").json()["status"] == "ok"


def test_health_tells_of_a_full_disk(studio: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for uploads the studio is not well."""
    monkeypatch.setattr(studio.studio.storage, "free_bytes", lambda: 1000)
    ill = studio.browser().get("/healthz")
    assert (ill.status_code, ill.json()["room"]) == (503, False)


@pytest.mark.parametrize("form", ["text", "json"])
def test_logs_hold_no_secrets(
    locked: Served, form: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says what was asked, and never a password, token, cookie, name or search."""
    start_logging(form)
    visit = locked.visit()
    cookie = next(iter(visit.client.cookies.values()))
    visit.client.post("/api/login", json={"password": "guessed it"})
    visit.client.post("/api/login", json={"password": "open sesame"})
    visit.upload(name="holiday.png")
    visit.client.get("/api/jobs", params={"search": "my search"})
    headers = {"Authorization": "Bearer a-token-drawn-at-random"}
    locked.browser().get("/api/jobs", headers=headers)
    said = capsys.readouterr().err
    secrets = ["guessed", "sesame", "holiday", "my search", "drawn-at-random", cookie, visit.csrf]
    assert not [secret for secret in secrets if secret in said]
    lines = said.splitlines()
    assert len(lines) >= 6
    if form == "json":
        asked = [json.loads(line) for line in lines]
        assert {"time", "level", "event", "path", "status", "ms"} <= set(asked[0])
        assert "/api/pictures" in {line.get("path") for line in asked}
    else:
        assert any("path=/api/pictures status=201" in line for line in lines)


def test_one_studio_in_a_folder(studio: Served) -> None:
    """A second studio in the same data folder is refused in one line, and the first goes on."""
    data = studio.studio.options.data
    second = create_app(load_options({"data": str(data)}, environment={}), StandInWorkers)
    with pytest.raises(OutputError, match="another studio works there"), TestClient(second):
        pass
    assert studio.browser().get("/healthz").status_code == 200


def test_heads(studio: Served) -> None:
    """HEAD is answered as GET is, without a body, over a real socket; by pages, parts of them,
    pictures and files, but not by what only ends as it goes out.
    """
    visit = studio.visit()
    job = visit.wait(visit.start().json()["id"])["id"]
    cookies = dict(visit.client.cookies)
    paths = ["/", "/gallery", "/docs", "/healthz", "/static/index.html", "/api/jobs"]
    paths += [f"/api/jobs/{job}/{part}" for part in ("thumb", "view", "file", "file?format=jpeg")]
    with on_a_port(studio.app, lifespan="off") as address:
        client = httpx2.Client(base_url=address, cookies=cookies, timeout=60)
        for path in paths:
            head, whole = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (200, b""), path
            assert head.headers["content-length"] == str(len(whole.content)) != "0"
            assert head.headers["content-type"] == whole.headers["content-type"]
        assert client.head(f"/api/jobs/{job}/events").status_code == 405
        assert client.head("/api/archive").status_code == 405
        assert client.head(f"/api/jobs/{new_id()}/file").status_code == 404
        assert 'method="HEAD",route="/gallery"' in client.get("/metrics").text
    assert list((studio.studio.storage.root / "incoming").iterdir()) == []


def test_pages_and_static_files(studio: Served) -> None:
    """Every page's address is answered by the one document, whose parts come from the studio."""
    if not pages.STATIC.is_dir():
        pytest.skip("the pages are not there")
    browser = studio.browser()
    document = browser.get("/").text
    for path in pages.PATHS:
        assert browser.get(path.replace("{id}", new_id())).text == document
    page = _Page()
    page.feed(document)
    assert page.inline == []
    for address in page.loads:
        assert address.startswith("/")
        assert browser.get(address).status_code == 200


def test_the_server_loads_no_engine() -> None:
    """The server, which takes strangers' requests, loads nothing of PyTorch."""
    code = "import sys, impasto.web.serving; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_built_in_pictures(visit: Visit) -> None:
    """Styles and samples are shown small and as runs see them, once drawn from the data folder."""
    for kind, name, sizes in (
        ("styles", "mosaic", ((320, 320), (768, 768))),
        ("samples", "cat", ((320, 213), (451, 300))),
    ):
        (listed,) = [one for one in visit.client.get(f"/api/{kind}").json() if one["name"] == name]
        for part, size in zip(("thumb", "view"), sizes, strict=True):
            first, second = (visit.client.get(listed[part]) for _ in range(2))
            assert first.headers["content-type"] == "image/webp"
            assert Image.open(io.BytesIO(first.content)).size == size
            assert second.content == first.content
        assert visit.client.get(f"/api/{kind}/nothing/thumb").status_code == 404
        drawn = visit.client.app.state.studio.storage.root / "drawn"  # pyright: ignore
        (file,) = drawn.glob(f"*{name}-thumb*")
        file.write_bytes(b"kept")
        assert visit.client.get(listed["thumb"]).content == b"kept"


def test_built_in_pictures_that_cannot_be_drawn(visit: Visit, studio: Served) -> None:
    """Where there is no room for a drawing its answer says so, and tells nobody of the folders."""
    drawn = studio.studio.storage.root / "drawn"
    drawn.rmdir()
    drawn.write_bytes(b"")
    answer = visit.client.get("/api/styles/mosaic/thumb")
    assert (answer.status_code, answer.json()["detail"]["code"]) == (507, "disk_full")
    assert str(drawn.parent) not in answer.text


@pytest.mark.parametrize("does", ["kill -9 $$", "exec sleep 600"])
def test_drawings_that_come_to_nothing(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    """A drawing whose process dies or hangs is not told as a full disk, and is drawn when it is
    asked for again.
    """
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", _script(tmp_path, does))
        patch.setattr(built_in, "DRAW_SECONDS", 1.0)
        answer = visit.client.get("/api/styles/mosaic/thumb")
        assert (answer.status_code, answer.json()["detail"]["code"]) == (503, "unavailable")
    assert visit.client.get("/api/styles/mosaic/thumb").status_code == 200


# --- against the schema --------------------------------------------------------------------------


@pytest.mark.slow
def test_schemathesis(tmp_path: Path) -> None:
    """Whatever is sent along the schema or not, answers are as it says and none is a fault."""
    import schemathesis
    from schemathesis.generation import GenerationMode

    wide = {"rate": "1e6", "address_rate": "1e6", "queue": "1000", "max_pictures": "10000"}
    wide |= {"address_queue": "10000", "address_uploads": "1000000"}
    options = load_options({"data": str(tmp_path), "free_space": "0", **wide}, environment={})
    asked = 0
    with on_a_port(create_app(options, StandInWorkers)) as address:
        visit = Visit(httpx2.Client(base_url=address, timeout=60))
        job = visit.wait(visit.start().json()["id"])["id"]
        picture = visit.upload().json()["id"]
        preset = new_id()
        _save(visit, preset)
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        cookie = "; ".join(f"{name}={value}" for name, value in visit.client.cookies.items())
        headers = {CSRF_HEADER: visit.csrf, "Cookie": cookie}
        for path, methods in schema.raw_schema["paths"].items():
            for method in methods:
                mine = picture if "/pictures/" in path else job if "{id}" in path else None
                mine = preset if "/presets/" in path else mine
                for mode in GenerationMode:
                    asked += _ask_at_random(schema[path][method.upper()], mode, mine, headers)
    assert asked > 400


def _ask_at_random(operation: Any, mode: Any, mine: str | None, headers: dict[str, str]) -> int:
    """How many requests of an operation were answered as the schema says."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.checks import load_all_checks, not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    load_all_checks()
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    asked = 0

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[*map(HealthCheck, HealthCheck)],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        # Every other time what is asked for is there.
        if mine is not None and asked % 2:
            case.path_parameters["id"] = mine
        case.cookies, case.headers = {}, {}
        answer = case.call(headers=headers, timeout=60)
        case.validate_response(answer, checks=checks)
        asked += 1

    with contextlib.suppress(Unsatisfiable):  # nothing can be said that is not allowed
        ask()
    return asked
