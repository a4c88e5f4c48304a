"""What the studio costs: a job of it against the same run on the command line, and the wait for the
first live picture.

    python benchmarks/studio.py [--size 512] [--evaluations 40] [--repetitions 5] [--threads N]

Both sides take turns, in alternating order, with the same photo, painting and options. The studio
is a real `impasto serve`, whose painter has painted before. Somebody watches the job as a page
does: over HTTP, by its events, and asks for each new live picture, one at a time. Compared are the
seconds from an evaluation at the beginning, the first that the events tell of, to the last, as the
engine counts them on both sides, which is where live pictures, messages, records and checkpoints
cost; and the seconds from pressing Start to the finished result against those of the whole command,
which starts Python and loads the network each time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from impasto.samples import sample_path
from impasto.web.security import CSRF_HEADER
from record import RESULTS, describe_run, write_json
from studio_load import memory_of, studio, wait_until_ready

SHOWN = 640
"""Longest side of the live pictures that are asked for, px."""


class Viewer:
    """Somebody's browser.

    Args:
        address: of the studio.
    """

    def __init__(self, address: str) -> None:
        self._http = httpx2.AsyncClient(base_url=address, timeout=60)
        self._pictures = list[str]()

    async def open(self, photo: Path, painting: Path) -> None:
        """Opens the page, waits until all styles are drawn, and uploads the pictures of the jobs to
        come.
        """
        self._http.headers[CSRF_HEADER] = (await self._http.get("/api/me")).json()["csrf"]
        for style in (await self._http.get("/api/styles")).json():
            await self._http.get(style["thumb"])
        for kind, file in ("photo", photo), ("style", painting):
            path = f"/api/pictures?kind={kind}&name={file.name}"
            picture = await self._json("POST", path, content=file.read_bytes())
            while picture["state"] == "reading":
                picture = await self._json("GET", f"/api/pictures/{picture['id']}?wait=10")
            self._pictures.append(picture["id"])

    async def paint(self, options: dict[str, Any]) -> dict[str, Any]:
        """Has a job painted and watches it.

        Returns:
            seconds from Start to the `whole`, to the `first_live` picture and to the
            `first_painted` one, which is not the start picture; and the `course`, seconds of the
            run by the number of evaluations done.
        """
        photo, painting = self._pictures
        began = time.perf_counter()
        body = {"photo": photo, "styles": [painting], "options": options}
        job = (await self._json("POST", "/api/jobs", json=body))["id"]
        found: dict[str, Any] = {"course": {}, "live_pictures": 0}
        looking: asyncio.Task[None] | None = None
        asked = 0

        async def look(version: int, painted: bool) -> None:
            answer = await self._http.get(f"/api/jobs/{job}/live?side={SHOWN}&version={version}")
            if answer.status_code != 200:
                return
            found["live_pictures"] += 1
            found.setdefault("first_live", time.perf_counter() - began)
            if painted:
                found.setdefault("first_painted", time.perf_counter() - began)

        async with self._http.stream("GET", f"/api/jobs/{job}/events") as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                told = json.loads(line.removeprefix("data:"))
                if told["state"] not in ("queued", "running"):
                    found["whole"] = time.perf_counter() - began
                    break
                progress = told["progress"] or {}
                if progress.get("evaluations_done"):
                    found["course"][progress["evaluations_done"]] = progress["elapsed"]
                version = progress.get("version") or 0
                if version > asked and (looking is None or looking.done()):
                    asked = version
                    # The first one is the start picture, whose loss the first evaluation told.
                    painted = version > 1 and progress["evaluations_done"] > 1
                    looking = asyncio.create_task(look(version, painted))
        if looking is not None:
            await looking
        over = await self._json("GET", f"/api/jobs/{job}")
        if over["state"] != "done":
            raise SystemExit(f"the job is {over['state']}: {over['fault']}")
        found["course"][over["progress"]["evaluations_done"]] = over["progress"]["elapsed"]
        return found

    async def close(self) -> None:
        """Leaves."""
        await self._http.aclose()

    async def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = await self._http.request(method, path, **more)
        if answer.is_error:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()


def stylize(photo: Path, painting: Path, options: list[str], folder: Path) -> dict[str, Any]:
    """Does the same on the command line; seconds of the whole, and the course of its run."""
    out, trace = folder / "out.png", folder / "trace.jsonl"
    command = [sys.executable, "-m", "impasto", "stylize", str(photo), str(painting)]
    command += ["--output", str(out), "--bits", "16", "--trace", str(trace), "--overwrite"]
    began = time.perf_counter()
    subprocess.run([*command, *options], check=True, capture_output=True)
    whole = time.perf_counter() - began
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    course = {number: row["elapsed_s"] for number, row in enumerate(rows, 1)}
    return {"whole": whole, "course": course}


async def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both sides in turns."""
    photo, painting = sample_path("cat"), sample_path("coffee")
    values: dict[str, Any] = {"size": given.size, "evaluations": given.evaluations}
    threads = ["--threads", str(given.threads)] if given.threads else []
    flags = ["--size", str(given.size), "--evaluations", str(given.evaluations), "--device", "cpu"]
    flags += threads
    found: dict[str, Any] = {"studio": [], "command": []}
    data = folder / "data"
    data.mkdir()
    with studio(data, *threads) as (address, server):
        wait_until_ready(address)
        viewer = Viewer(address)
        await viewer.open(photo, painting)
        await viewer.paint({**values, "evaluations": 2})
        for repetition in range(given.repetitions):
            for side in ("studio", "command") if repetition % 2 else ("command", "studio"):
                if side == "studio":
                    found[side].append(await viewer.paint(values))
                else:
                    found[side].append(
                        await asyncio.to_thread(stylize, photo, painting, flags, folder)
                    )
        found["memory_mib"] = memory_of(server)
        await viewer.close()
    return found


def ratios(job: dict[str, Any], command: dict[str, Any]) -> dict[str, float]:
    """What a job took, as shares of what the command did."""
    first, last = min(job["course"]), max(job["course"])
    run = [one["course"][last] - one["course"][first] for one in (job, command)]
    return {
        "run": round(run[0] / run[1], 4),
        "whole": round(job["whole"] / command["whole"], 4),
    }


def main() -> None:
    """Measures, writes and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--evaluations", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, default=RESULTS / "studio.json")
    given = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(given, Path(folder)))
    jobs, commands = found["studio"], found["command"]
    pairs = [ratios(job, command) for job, command in zip(jobs, commands, strict=True)]
    result = {
        **describe_run(),
        "load_before": load,
        "size": given.size,
        "evaluations": given.evaluations,
        "seconds": {
            "studio": {
                name: [round(one[name], 3) for one in jobs if name in one]
                for name in ("first_live", "first_painted", "whole")
            },
            "command": {"whole": [round(one["whole"], 3) for one in commands]},
        },
        "live_pictures": [one["live_pictures"] for one in jobs],
        "memory_mib": found["memory_mib"],
        "ratios": {name: [pair[name] for pair in pairs] for name in ("run", "whole")},
        "median_ratio": {
            name: statistics.median(pair[name] for pair in pairs) for name in ("run", "whole")
        },
        **{
            f"median_{name}_s": round(statistics.median(waits), 3)
            for name in ("first_live", "first_painted")
            if (waits := [one[name] for one in jobs if name in one])
        },
    }
    write_json(given.output, result)
    print(json.dumps({name: result[name] for name in result if name.startswith("median")}))


if __name__ == "__main__":
    main()
