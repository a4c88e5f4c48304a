"""A class at work: many browsers upload, watch and cancel in a studio while it paints.

    python benchmarks/studio_load.py [--clients 100] [--seconds 120] [--write]

Starts a real `impasto serve` on a data folder of its own, with its real painter and reader, and has
one job painted all the time, which ten look at. Each client opens the page, uploads a photo, waits
until it is read, asks for a small job, follows it while it looks at lists, thumbnails and live
pictures with a pause for thought between, cancels it, and begins again. A request counts from its
first byte sent to its last byte received; of the streams of events and of waiting for a picture to
be read, which last as long as they are meant to, only whether they fail counts. Clients and studio
share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
from PIL import Image

from impasto.web.security import CSRF_HEADER

PAUSE = 0.5, 2.0
"""Least and most seconds that a client thinks between two requests."""

ONLOOKERS = 10
"""How many look at the job that is painted all the time."""

WATCHING = 6
"""Looks at a job before it is cancelled."""


def photo(seed: int) -> bytes:
    """A JPEG of 640 × 480 px that is no other client's."""
    noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


class Course:
    """What was asked and how it was answered."""

    def __init__(self) -> None:
        self.seconds = dict[str, list[float]]()
        self.statuses = Counter[int]()
        self.faults = list[str]()
        self.jobs = 0

    def note(self, route: str, status: int, seconds: float | None) -> None:
        """One answer."""
        self.statuses[status] += 1
        if seconds is not None:
            self.seconds.setdefault(route, []).append(seconds)
        if status >= 500:
            self.faults.append(f"{route}: {status}")


class Client:
    """One browser.

    Args:
        address: of the studio.
        number: tells it from the others.
        course: where its answers are noted.
    """

    def __init__(self, address: str, number: int, course: Course) -> None:
        limits = httpx2.Limits(max_connections=6)
        self._http = httpx2.AsyncClient(base_url=address, timeout=60, limits=limits)
        self._course, self._chance, self._photo = course, random.Random(number), photo(number)

    async def ask(
        self, method: str, path: str, *, counts: bool = True, **more: Any
    ) -> httpx2.Response:
        """One request."""
        began = time.perf_counter()
        answer = await self._http.request(method, path, **more)
        route = re.sub(r"/[A-Za-z0-9_-]{22}", "/ID", path.partition("?")[0])
        seconds = time.perf_counter() - began if counts else None
        self._course.note(f"{method} {route}", answer.status_code, seconds)
        return answer

    async def think(self) -> None:
        """A pause, as people make them."""
        await asyncio.sleep(self._chance.uniform(*PAUSE))

    async def open(self) -> None:
        """Opens the page."""
        me = (await self.ask("GET", "/api/me")).json()
        self._http.headers[CSRF_HEADER] = me["csrf"]
        await self.ask("GET", "/api/options")
        await self.ask("GET", "/api/styles")

    async def start(self, **options: Any) -> str | None:
        """Uploads a photo and asks for a job; its id, unless there is no room."""
        answer = await self.ask("POST", "/api/pictures?name=class.jpg", content=self._photo)
        if answer.status_code != 201:
            return None
        picture = answer.json()
        for _ in range(10):
            if picture["state"] != "reading":
                break
            path = f"/api/pictures/{picture['id']}?wait=10"
            picture = (await self.ask("GET", path, counts=False)).json()
        await self.ask("GET", f"/api/pictures/{picture['id']}/thumb")
        body = {"photo": picture["id"], "styles": ["style:waves"], "options": options}
        answer = await self.ask("POST", "/api/jobs", json=body)
        if answer.status_code != 201:
            return None
        self._course.jobs += 1
        return answer.json()["id"]

    async def follow(self, job: str) -> None:
        """Follows a job's events until they end."""
        async with self._http.stream("GET", f"/api/jobs/{job}/events") as stream:
            self._course.note("GET /api/jobs/ID/events", stream.status_code, None)
            async for _ in stream.aiter_lines():
                pass

    async def live(self) -> None:
        """Does what visitors do, over and over."""
        await asyncio.sleep(self._chance.uniform(0, PAUSE[1]))
        await self.open()
        while True:
            await self.think()
            job = await self.start(size=64, evaluations=3)
            if job is None:
                continue
            following = asyncio.create_task(self.follow(job))
            try:
                await self.watch(job)
                if following.done():
                    following.result()
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def watch(self, job: str) -> None:
        """Looks at a job and about, cancels it and sometimes deletes it."""
        for look in range(WATCHING):
            await self.think()
            kinds = f"/api/jobs/{job}/live?side=320", "/api/jobs?limit=20", f"/api/jobs/{job}"
            await self.ask("GET", kinds[look % len(kinds)])
        await self.ask("POST", f"/api/jobs/{job}/cancel")
        await self.think()
        if self._chance.random() < 0.3:
            await self.ask("DELETE", f"/api/jobs/{job}")

    async def paint(self) -> None:
        """Has the studio paint all the time, and many look at the picture as it forms."""
        await self.open()
        while True:
            job = await self.start(size=512, evaluations=200)
            if job is None:
                await asyncio.sleep(1)
                continue
            async with asyncio.TaskGroup() as group:
                onlookers = [group.create_task(self.look_on(job)) for _ in range(ONLOOKERS)]
                await self.follow(job)
                for onlooker in onlookers:
                    onlooker.cancel()

    async def look_on(self, job: str) -> None:
        """Asks for the picture as it forms, again and again."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.5, 1.5))
            await self.ask("GET", f"/api/jobs/{job}/live?side=640")

    async def close(self) -> None:
        """Leaves."""
        await self._http.aclose()


def memory_of(process: psutil.Process) -> dict[str, float]:
    """MiB that the server, its painter and its reader hold."""
    held = {"server": process.memory_info().rss / 2**20}
    for child in process.children():
        with contextlib.suppress(psutil.Error):
            name = child.cmdline()[-1].rpartition(".")[2]
            if name in ("painter", "reader"):
                held[name] = child.memory_info().rss / 2**20
    return {name: round(size, 1) for name, size in held.items()}


async def run(
    address: str,
    clients: int,
    seconds: float,
    server: psutil.Process,
    enough: Callable[[Course], bool],
) -> dict[str, Any]:
    """All clients for so long, and until it is enough; the figures."""
    course, memory = Course(), list[tuple[float, dict[str, float]]]()
    visitors = [Client(address, number, course) for number in range(clients)]
    host = Client(address, -1 % 2**31, course)
    tasks = [asyncio.create_task(host.paint())]
    tasks += [asyncio.create_task(visitor.live()) for visitor in visitors]
    began = time.monotonic()
    spent = server.cpu_times()
    while (passed := time.monotonic() - began) < seconds or not enough(course):
        memory.append((round(passed, 1), memory_of(server)))
        await asyncio.sleep(min(2.0, max(0.1, seconds - passed)))
        for task in tasks:
            if task.done():
                task.result()
    spent_after = server.cpu_times()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for visitor in [*visitors, host]:
        await visitor.close()
    every = [one for many in course.seconds.values() for one in many]
    lasted = time.monotonic() - began
    later = [held for passed, held in memory if passed >= seconds / 2]
    cpu = spent_after.user + spent_after.system - spent.user - spent.system
    return {
        "clients": clients,
        "seconds": round(lasted, 1),
        "requests": sum(course.statuses.values()),
        "requests_per_second": round(len(every) / lasted, 1),
        "jobs": course.jobs,
        "statuses": {str(status): number for status, number in sorted(course.statuses.items())},
        "faults": course.faults[:20],
        "p50_ms": quantile(every, 0.5),
        "p95_ms": quantile(every, 0.95),
        "p99_ms": quantile(every, 0.99),
        "routes": {
            route: {
                "count": len(found),
                "p50_ms": quantile(found, 0.5),
                "p95_ms": quantile(found, 0.95),
            }
            for route, found in sorted(course.seconds.items())
        },
        "server_cpu_share": round(cpu / lasted, 3),
        "mib": {name: [held.get(name) for _, held in memory] for name in later[-1]},
        "mib_growth_in_second_half": {
            name: round(later[-1][name] - later[0].get(name, 0.0), 1) for name in later[-1]
        },
    }


def quantile(values: list[float], share: float) -> float | None:
    """Milliseconds that this share of the values does not exceed; `None` of none."""
    if not values:
        return None
    ordered = sorted(values)
    return round(1000 * ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 1)


@contextlib.contextmanager
def studio(data: Path, *more: str) -> Iterator[tuple[str, psutil.Process]]:
    """A real studio, with these arguments more; its address and its process."""
    command = [sys.executable, "-m", "impasto", "serve", "--data", str(data), "--port", "0"]
    command += ["--free-space", "0", "--max-pictures", "100000", "--queue", "1000"]
    command += ["--address-queue", "10000", "--address-uploads", "1000000", *more]
    with (data / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+?(?=/?\s)", line)
            if found is None:
                raise RuntimeError(f"the studio did not open: {(data / 'log').read_text()[-500:]}")
            yield found[0], psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def wait_until_ready(address: str) -> None:
    """Waits until a studio's painter can paint, at most three minutes."""
    for _ in range(1800):
        health = httpx2.get(f"{address}/healthz", timeout=30).json()
        if "ready" in health["painters"].values():
            return
        time.sleep(0.1)
    raise RuntimeError("no painter is ready")


def measure(
    clients: int, seconds: float, enough: Callable[[Course], bool] = lambda _: True
) -> dict[str, Any]:
    """The figures of one course, on a data folder that is deleted afterwards.

    Args:
        clients: how many.
        seconds: that it lasts at least.
        enough: whether it may end then.
    """
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder)) as (address, server):
        wait_until_ready(address)
        return asyncio.run(run(address, clients, seconds, server, enough))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--write", action="store_true", help="write results/studio_load.json")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    result = measure(arguments.clients, arguments.seconds)
    result["load_average_before"] = round(load, 2)
    print(json.dumps(result, indent=1))
    if arguments.write:
        from record import RESULTS, describe_run, write_json

        write_json(RESULTS / "studio_load.json", {**describe_run(), **result})


if __name__ == "__main__":
    main()
