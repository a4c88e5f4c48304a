"""What the studio costs: a job of it against the same run on the command line, and the wait for the
first live picture.

    python benchmarks/studio.py [--size 512] [--evaluations 40] [--repetitions 5] [--threads N]

Both sides take turns, in alternating order, with the same photo, painting and options. The studio's
processes are those that `impasto serve` starts, with a painter that has painted before; somebody
watches the live picture. Compared are the seconds from the end of the first evaluation to that of
the last, as the engine counts them on both sides, which is where live pictures, messages, records
and checkpoints cost; and the seconds from pressing Start to the finished result against those of
the whole command, which starts Python and loads the network each time.
"""

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

from impasto.samples import sample_path
from impasto.web.config import StudioOptions
from impasto.web.entities import Job
from impasto.web.records import Records
from impasto.web.storage import Storage, new_id
from impasto.web.supervisor import Supervisor
from record import RESULTS, describe_run, write_json


class Studio:
    """A studio without its pages, with one photo and one painting uploaded."""

    def __init__(self, folder: Path, photo: Path, painting: Path, threads: int | None) -> None:
        options = StudioOptions(data=folder, devices=("cpu",), threads=threads)
        self.storage, self.records = Storage(folder), Records(options.database_url)
        self.supervisor = Supervisor(options, self.records, self.storage)
        self.owner = self.records.add_owner().id
        self._pictures = [self._upload("photo", photo), self._upload("style", painting)]

    def _upload(self, kind: Any, file: Path) -> str:
        picture = new_id()
        self.storage.incoming(picture).write_bytes(file.read_bytes())
        self.storage.keep_incoming(picture)
        return self.records.add_picture(self.owner, kind, file.name, picture=picture).id

    async def start(self) -> None:
        """Starts the processes and waits until they are ready and the uploads are read."""
        await self.supervisor.start()
        while "ready" not in self.supervisor.health()["painters"].values():
            await asyncio.sleep(0.05)
        while self.records.unread_pictures():
            await asyncio.sleep(0.05)

    async def paint(self, options: dict[str, Any]) -> dict[str, float]:
        """Paints a job that somebody watches; seconds since it was asked for."""
        photo, painting = self._pictures
        began = time.perf_counter()
        request = {"photo": photo, "styles": [painting], "options": options}
        job = self.records.add_job(self.owner, request).id
        self.supervisor.watch(job, True)
        self.supervisor.paint()
        found: dict[str, float] = {}
        done = asyncio.Event()

        def heard(_kind: str, id: str, news: dict[str, Any] | None) -> None:
            now = time.perf_counter() - began
            if id != job:
                return
            if news is None:
                if self.records.job(job).over:
                    found.setdefault("whole", now)
                    done.set()
                return
            found.setdefault("first_evaluation", news["elapsed"])
            if news["version"] is not None:
                found.setdefault("first_live", now)
                if news["evaluations_done"] > 1 and news["version"] > 1:
                    # The first one is the start picture, whose loss the first evaluation told.
                    found.setdefault("first_painted", now)

        self.supervisor.listener = heard
        await done.wait()
        over: Job = self.records.job(job)
        if over.progress is None or over.state != "done":
            raise SystemExit(f"the job is {over.state}: {over.fault}")
        run = over.progress["elapsed"] - found.pop("first_evaluation")
        return {**found, "run": run}


def stylize(photo: Path, painting: Path, options: list[str], folder: Path) -> dict[str, float]:
    """Does the same on the command line; seconds of the whole and of its run."""
    out, trace = folder / "out.png", folder / "trace.jsonl"
    command = [
        sys.executable,
        "-m",
        "impasto",
        "stylize",
        str(photo),
        str(painting),
        "--output",
        str(out),
    ]
    command += ["--bits", "16", "--trace", str(trace), "--overwrite", *options]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.perf_counter() - began
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    return {"whole": whole, "run": rows[-1]["elapsed_s"] - rows[0]["elapsed_s"]}


async def measure(given: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Both sides in turns; seconds of each."""
    photo, painting = sample_path("cat"), sample_path("coffee")
    values: dict[str, Any] = {"size": given.size, "evaluations": given.evaluations}
    flags = ["--size", str(given.size), "--evaluations", str(given.evaluations)]
    flags += ["--device", "cpu", *(["--threads", str(given.threads)] if given.threads else [])]
    studio = Studio(folder / "data", photo, painting, given.threads)
    found: dict[str, list[dict[str, float]]] = {"studio": [], "command": []}
    await studio.start()
    try:
        await studio.paint({**values, "evaluations": 2})
        for repetition in range(given.repetitions):
            for side in ("studio", "command") if repetition % 2 else ("command", "studio"):
                if side == "studio":
                    found[side].append(await studio.paint(values))
                else:
                    found[side].append(
                        await asyncio.to_thread(stylize, photo, painting, flags, folder)
                    )
    finally:
        await studio.supervisor.stop()
    return found


def main() -> None:
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
    pairs = list(zip(found["studio"], found["command"], strict=True))
    ratios = {
        name: [round(studio[name] / command[name], 4) for studio, command in pairs]
        for name in ("run", "whole")
    }
    result = {
        **describe_run(),
        "load_before": load,
        "size": given.size,
        "evaluations": given.evaluations,
        "seconds": {
            side: {name: [round(one[name], 3) for one in rows if name in one] for name in rows[0]}
            for side, rows in found.items()
        },
        "ratios": ratios,
        "median_ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "median_first_live_s": statistics.median(one["first_live"] for one in found["studio"]),
        "median_first_painted_s": statistics.median(
            one["first_painted"] for one in found["studio"] if "first_painted" in one
        ),
    }
    write_json(given.output, result)
    print(json.dumps({name: result[name] for name in result if name.startswith("median")}))


if __name__ == "__main__":
    main()
