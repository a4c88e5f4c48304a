"""A studio for tests whose painter and reader are stand-ins in the server's own process."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

from impasto.images import Bitmap, write_image
from impasto.styles import style_names
from impasto.web.app import create_app
from impasto.web.built_in import BuiltInPictures
from impasto.web.config import StudioOptions, load_options
from impasto.web.entities import Job
from impasto.web.records import Records
from impasto.web.security import CSRF_HEADER
from impasto.web.storage import THUMB_SIDE, VIEW_SIDE, Live, Storage, new_id
from impasto.web.studio import Studio, Workers
from stand_ins import soft_picture

ADDRESS = "http://127.0.0.1:8765"
STEPS = 3


class StandInWorkers:
    """Reads with Pillow, and paints by showing a soft picture a few times.

    Jobs wait in the queue until `painting` is set, and stop after one step while `hold` is.
    """

    def __init__(self, options: StudioOptions, records: Records, storage: Storage) -> None:
        self.options, self.records, self.storage = options, records, storage
        self.listener: Callable[[Any, str, dict[str, Any] | None], None] = lambda *_: None
        self.painting, self.hold = True, False
        self.told = list[str]()
        self.watched = set[str]()
        self._tasks = set[asyncio.Task[None]]()

    async def start(self) -> None:
        """Nothing has to start."""

    async def stop(self) -> None:
        """Drops what is under way."""
        for task in self._tasks:
            task.cancel()

    def read(self, picture: str) -> None:
        """Makes the small pictures at once."""
        image = Image.open(self.storage.source(picture)).convert("RGB")
        self._show(picture, image)
        self.records.picture_ready(picture, image.width, image.height, has_alpha=False)
        self.listener("picture", picture, None)

    def _show(self, picture: str, image: Image.Image) -> None:
        sides = {self.storage.thumb(picture): THUMB_SIDE, self.storage.view(picture): VIEW_SIDE}
        for place, side in sides.items():
            small = image.copy()
            small.thumbnail((side, side))
            small.save(place)

    def paint(self) -> None:
        """Takes a job."""
        if self.painting:
            task = asyncio.get_running_loop().create_task(self._paint())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _paint(self) -> None:
        while self.painting and (job := self.records.take_job("stand-in")) is not None:
            self.listener("job", job.id, None)
            await self._paint_one(job)

    async def _paint_one(self, job: Job) -> None:
        wanted = None
        for step in range(1, STEPS + 1):
            wanted = self.records.job(job.id).wanted
            if wanted == "pause":
                self.records.put_aside(job.id, known=wanted)
                self.listener("job", job.id, None)
                return
            if wanted == "cancel":
                break
            self.storage.write_live(job.id, Live(step, soft_picture(48, 36, step)))
            progress = {"share": step / STEPS, "version": step, "evaluation": step, "loss": 1.0}
            losses = [[n, 1.0 / n, 0.5, 0.5] for n in range(1, step + 1)]
            self.records.note_progress(job.id, progress, losses)
            self.listener("job", job.id, progress)
            await asyncio.sleep(0.01)
            while self.hold and self.records.job(job.id).wanted is None:
                await asyncio.sleep(0.01)
        result = new_id()
        pixels = soft_picture(48, 36, 1)
        self.storage.make_room(result)
        planes = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        settings = {"made": "by a stand-in"}
        write_image(Bitmap(planes), self.storage.master(result), bits=16, settings=settings)
        self._show(result, Image.fromarray(pixels))
        size = self.storage.master(result).stat().st_size
        over = self.records.cancelled if wanted == "cancel" else self.records.finish
        over(job.id, result, (48, 36), size)
        self.listener("job", job.id, None)

    def tell(self, job: str) -> None:
        """Noted; the loop above looks by itself."""
        self.told.append(job)

    def watch(self, job: str, on: bool) -> None:
        """Noted."""
        (self.watched.add if on else self.watched.discard)(job)

    def health(self) -> dict[str, Any]:
        """All is well."""
        return {"reader": True, "painters": {"stand-in": "ready"}}


class Visit:
    """One browser: its cookies, and the value that changes need."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.csrf = client.get("/api/me").json()["csrf"]
        client.headers[CSRF_HEADER] = self.csrf

    def upload(self, data: bytes | None = None, **query: Any) -> Any:
        """The answer to an upload."""
        return self.client.post(
            "/api/pictures", params=query, content=png_bytes() if data is None else data
        )

    def start(self, **request: Any) -> Any:
        """The answer to a new job."""
        body = {"photo": "sample:cat", "styles": ["style:waves"], **request}
        return self.client.post("/api/jobs", json=body)

    def wait(self, job: str) -> dict[str, Any]:
        """A job once it is over."""
        with self.client.stream("GET", f"/api/jobs/{job}/events") as stream:
            for _ in stream.iter_lines():
                pass
        return self.client.get(f"/api/jobs/{job}").json()


class Served:
    """A studio with stand-ins, and browsers for it."""

    def __init__(self, app: Any, client: TestClient) -> None:
        self.app, self.client = app, client
        self.studio: Studio = app.state.studio
        self.workers: StandInWorkers = self.studio.workers  # pyright: ignore[reportAttributeAccessIssue]

    def browser(self, address: tuple[str, int] = ("testclient", 50000)) -> TestClient:
        """Another browser, which has not been here, at an address."""
        other = TestClient(
            self.app, base_url=ADDRESS, raise_server_exceptions=False, client=address
        )
        # The same event loop as the first one's, which runs the studio.
        other.portal = self.client.portal
        return other

    def visit(self) -> Visit:
        """Another browser that has opened the page."""
        return Visit(self.browser())


@contextmanager
def served(
    data: Path,
    make_workers: Callable[[StudioOptions, Records, Storage], Workers] = StandInWorkers,
    **given: Any,
) -> Iterator[Served]:
    """A running studio in a data folder."""
    # Previews have tests of their own; here they would start a process.
    values = {"data": str(data), "free_space": "0", "previews": False, **given}
    options = load_options(values, environment={})
    app = create_app(options, make_workers)
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as client:
        yield Served(app, client)


@contextmanager
def on_a_port(app: Any, server: uvicorn.Server | None = None, **settings: Any) -> Iterator[str]:
    """The address of an application that is served over a real socket, by a server of its own."""
    if server is None:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **settings))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def spare_drawing(data: Path) -> None:
    """Puts stand-ins where a studio keeps the thumbnails of its styles, so that it does not begin
    with drawing them, which takes a core half a minute.
    """
    pictures = BuiltInPictures(Storage(data))
    for name in style_names():
        if not pictures.thumb("style", name).exists():
            write_image(Bitmap(np.full((3, 8, 8), 0.5, np.float32)), pictures.thumb("style", name))


def png_bytes(width: int = 40, height: int = 30, seed: int = 1) -> bytes:
    """A small picture as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(soft_picture(width, height, seed)).save(buffer, "PNG")
    return buffer.getvalue()
