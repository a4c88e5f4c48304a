"""Clips: how still they hold, what that costs, and what a run survives.

    python benchmarks/video.py [--parts still blend speed long kills] [--clips FOLDER] [--style …]
        [--engines optimizer network] [--size 256] [--frames 12] [--evaluations 30]
        [--network any] [--picture FILE]

Parts, all of them unless named:

`still`  frames painted for themselves (`--hold 0`) against frames held together (the defaults), by
         each engine: the warping error, which is the mean squared difference, in 255ths, between a
         result and the one before it moved along with the clip's motion, over what can be seen in
         both; and the distance from the painting's style, the mean over all frames that follow on
         others. The first clip is made here, and its motion is known; that of the clips in
         `--clips` is DIS's at its finest, which no engine uses; their error is given as well over
         what looks alike along that motion (`alike`). And whether the result's frame times and
         packets of sound are the clip's.
`blend`  frames of the network of built-in styles held together by their pictures, as the engine
         does it, and by the network's features after the residual blocks, at an eighth of the
         sides: the warping error and the distance from the style, against frames painted apart.
`speed`  the network engine at 640 × 360 px: frames per second, and the share of the time in which
         no frame is being painted: reading, flow, blending, frames on disk, encoding.
`long`   a clip of ten minutes: the memory of the process, a tenth of the clip after the other.
`kills`  runs that are killed at random moments and started again: which frames, and whether the
         film, differ from those of a run that was not.
"""

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av
import cv2
import numpy as np
import torch

from impasto.clips import Clip, Span, open_clip
from impasto.flow import Plane, brightness, look_up, trust_of, warp
from impasto.images import DEFAULT_MAX_PIXELS, Bitmap, write_image
from impasto.networks import Network, convolve, enter, normalise
from impasto.options import StyleOptions
from impasto.painters import NetworkPainter, OptimizerPainter, Painter, Task, blended
from impasto.quality import style_distance
from impasto.sources import read_source
from impasto.temporal import Link, expect, link
from impasto.trained import load_network
from impasto.video import ClipRun
from impasto.video_options import VideoOptions
from known_motion import make_clip, true_motion
from record import RESULTS, describe_run, write_json

Motion = Callable[[int], tuple[Plane, Any]]
"""Of a frame: the way to the one before, and what can be seen in both."""

ALIKE = 24
"""Where a clip, moved along its flow, differs by more than this, of 255, the flow is wrong."""

MINUTES, LONG_RATE, LONG_SIDE = 10, 10, 320
"""The long clip: minutes, frames per second, px."""

SEEN = 512
"""Long side at which a drawn painting is looked at, px."""

KILLS, KILLED_FRAMES, KILLED_SIDE = 10, 16, 160


# --- still ---------------------------------------------------------------------------------------


def finest(one: Any, other: Any) -> Plane:
    """DIS at full resolution, with all the refinement it has use for."""
    search = cast("Any", cv2).DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    search.setPatchStride(2)
    search.setGradientDescentIterations(40)
    search.setVariationalRefinementIterations(10)
    return np.asarray(search.calc(one, other, np.empty((0,), np.float32)), np.float32)


def seen_motion(clip: Clip, span: Span, size: tuple[int, int]) -> tuple[Motion, Motion]:
    """The motion of a clip as `finest` sees it; and the same, but what looks otherwise where the
    flow leads does not count as seen."""
    lumas = [brightness(frame.pixels) for frame in clip.frames(span, size)]
    ways, alike = list[tuple[Plane, Plane]](), list[Plane]()
    for before, now in pairwise(lumas):
        flow = finest(now, before)
        ways.append((flow, trust_of(flow, finest(before, now))))
        error = np.abs(look_up(before.astype(np.float32), flow) - now)
        alike.append(ways[-1][1] * (np.asarray(cv2.blur(error, (3, 3))) <= ALIKE))
    return (
        lambda number: ways[number - 1],
        lambda number: (ways[number - 1][0], alike[number - 1]),
    )


def warping_error(results: Sequence[Plane], motion: Motion) -> float:
    """Mean squared difference of results from those before, moved along, in 255ths."""
    errors: list[float] = []
    for number in range(1, len(results)):
        flow, seen = motion(number)
        error = np.square(255 * (warp(results[number - 1], flow) - results[number])).mean(0)
        errors.append(float((error * seen).sum() / max(1.0, float(seen.sum()))))
    return float(np.mean(errors))


@lru_cache
def painting_of(style: str) -> Any:
    """The pixels of a painting, which may have to be drawn, `(H, W, 3)`."""
    return read_source(style, DEFAULT_MAX_PIXELS, SEEN).pixels.transpose(1, 2, 0)


def far_from(results: Sequence[Plane], style: str) -> float:
    """The mean distance of frames from a painting's style."""
    painting = painting_of(style)
    return float(np.mean([style_distance(one.transpose(1, 2, 0), painting) for one in results]))


def packets(path: Path, end: float | None) -> list[tuple[bytes, Fraction]]:
    """Contents and times of all packets of sound, as FFmpeg reads them."""
    with av.open(str(path)) as clip:
        return [
            (bytes(packet), moment)
            for packet in (clip.demux(*clip.streams.audio) if clip.streams.audio else ())
            if packet.size and packet.pts is not None
            for moment in (packet.pts * packet.time_base,)
            if end is None or moment < end
        ]


def times(path: Path, end: float | None) -> list[Fraction]:
    """Times of all frames, as FFmpeg reads them."""
    with av.open(str(path)) as clip:
        found = [
            frame.pts * frame.time_base
            for frame in clip.decode(clip.streams.video[0])
            if frame.pts is not None and frame.time_base is not None
        ]
    return [moment for moment in found if end is None or moment < end]


def painter_of(engine: str, given: argparse.Namespace, size: int, hold: float) -> Painter:
    """An engine with its defaults."""
    options = StyleOptions(size=size, evaluations=given.evaluations)
    if engine == "optimizer":
        return OptimizerPainter([given.style], options, hold, VideoOptions().follow)
    options = StyleOptions(size=size)
    return NetworkPainter([given.style], options, given.network, hold)


def one_way(
    source: Path, engine: str, given: argparse.Namespace, hold: float, folder: Path
) -> tuple[list[Plane], dict[str, Any]]:
    """The results of a clip's first frames, and what is to be said of them but the motion."""
    clip = open_clip(source)
    end = float((given.frames - Fraction(1, 2)) / (clip.facts.rate or Fraction(25)))
    options = VideoOptions(end=end, hold=hold)
    output = folder / f"{source.stem}-{engine}-{hold:g}{source.suffix}"
    painter = painter_of(engine, given, given.size, hold)
    run = ClipRun(source, output, painter, options, given.size, styles=1)
    results = [progress.pixels for progress in run]
    run.finish()
    distance = far_from(results[1:], given.style)
    sound = packets(source, end)
    return results, {
        "style_distance": distance,
        "frames": len(results),
        "same_times": times(source, end) == times(output, None),
        "sound_packets": len(sound),
        "same_sound": sound == packets(output, None) if sound else None,
    }


def measure_still(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both engines, each in both ways, on all clips."""
    made = folder / "known motion.mkv"
    make_clip(made, given.frames, given.size)
    found: dict[str, Any] = {"size": given.size, "evaluations": given.evaluations, "clips": {}}
    clips = [made, *(sorted(given.clips.glob("*.mp4")) if given.clips else ())]
    print(
        "clip                  engine          error: apart   held  ratio  alike  style ratio  same"
    )
    for source in clips:
        motion: Motion | None = None
        strict: Motion | None = None
        rows: dict[str, Any] = {}
        for engine in given.engines:
            figures: dict[str, Any] = {}
            for way, hold in ("apart", 0.0), ("held", VideoOptions().hold):
                results, one = one_way(source, engine, given, hold, folder)
                height, width = results[0].shape[1:]
                if source == made:
                    motion = lambda number, side=width: true_motion(number, side)  # noqa: E731
                elif motion is None:
                    end = Fraction(str(round(given.frames - 0.5, 4)))
                    clip = open_clip(source)
                    span = Span(Fraction(0), end / (clip.facts.rate or Fraction(25)))
                    motion, strict = seen_motion(clip, span, (width, height))
                figures[way] = {"warping_error": warping_error(results, motion), **one}
                figures[way]["warping_error_alike"] = warping_error(results, strict or motion)
                if way == "held" and given.picture and source == clips[-1]:
                    show(given.picture.with_stem(f"{given.picture.stem}-{engine}"), results)
            for name in "warping_error", "warping_error_alike", "style_distance":
                figures[f"{name}_ratio"] = figures["held"][name] / figures["apart"][name]
            rows[engine] = figures | {"width": width, "height": height}
            apart, held = figures["apart"], figures["held"]
            print(
                f"{source.stem:21} {engine:10} {apart['warping_error']:11.1f} "
                f"{held['warping_error']:6.1f} {figures['warping_error_ratio']:6.2f} "
                f"{figures['warping_error_alike_ratio']:6.2f} "
                f"{figures['style_distance_ratio']:13.2f}  "
                f"times {held['same_times']}, sound {held['same_sound']}",
                flush=True,
            )
        found["clips"][source.stem] = rows
    for engine in given.engines:
        for name in "warping_error_ratio", "style_distance_ratio":
            ratios = [rows[engine][name] for rows in found["clips"].values()]
            found[f"{engine}_{name}"] = math.exp(float(np.mean(np.log(ratios))))
        print(
            f"{engine}: {found[f'{engine}_warping_error_ratio']:.2f} of the warping error, "
            f"{found[f'{engine}_style_distance_ratio']:.2f} of the style distance (geometric means)"
        )
    return found


def show(path: Path, results: Sequence[Plane]) -> None:
    """Writes a picture of the first, middle and last frame."""
    shown = [results[0], results[len(results) // 2], results[-1]]
    write_image(Bitmap(np.concatenate(shown, axis=2)), path, overwrite=True)


# --- blend ---------------------------------------------------------------------------------------


def painted_row(
    frames: Sequence[Plane],
    ways: Sequence[Link],
    network: Network,
    style: str,
    share: float,
    by: str,
) -> list[Plane]:
    """Frames repainted one after the other, each blended with the one before.

    Args:
        frames: `(3, H, W)` each.
        ways: from each frame but the first to the one before.
        network: knows its styles by name.
        style: the name of one.
        share: of a frame's own; 1: every frame for itself.
        by: `pictures` or `features`, those that leave the last residual block.
    """
    transfer, vector = network.transfer, network.vector_of_name(style)
    middle = max(place for place, stage in enumerate(transfer.stages) if stage.closes) + 1
    scales = transfer.scales_and_shifts(vector)
    before: Plane | None = None
    kept: Plane | None = None
    found: list[Plane] = []
    for number, frame in enumerate(frames):
        x = enter(torch.from_numpy(frame)[None], transfer.shape.stride)
        start = x
        for place, stage in enumerate(transfer.stages):
            if place == middle and by == "features":
                own = x[0].numpy()
                if kept is not None and not ways[number - 1].cut:
                    way = ways[number - 1]
                    size = own.shape[:0:-1]
                    flow = cv2.resize(way.flow / np.float32(8), size, interpolation=cv2.INTER_AREA)
                    trust = cv2.resize(way.trust, size, interpolation=cv2.INTER_AREA)
                    rows = np.ascontiguousarray(kept.transpose(1, 2, 0))
                    moved = look_up(rows, np.asarray(flow, np.float32))
                    own = own + (1 - share) * trust * (moved.transpose(2, 0, 1) - own)
                kept = np.asarray(own, np.float32)
                x = torch.from_numpy(kept)[None].contiguous(memory_format=torch.channels_last)
            if stage.opens:
                start = x
            x = convolve(x, transfer.kernels[place], stage)
            if stage.kind == "out":
                break
            x = normalise(x, *scales[place], relu=stage.relu)
            if stage.closes:
                x = x + start
        height, width = frame.shape[1:]
        whole = torch.sigmoid(x + transfer.bias.view(1, 3, 1, 1))[0, :, :height, :width].numpy()
        if by == "pictures" and before is not None and not ways[number - 1].cut:
            whole = blended(whole, expect([(ways[number - 1], before)]), share)
        before = whole
        found.append(whole)
    return found


@torch.inference_mode()
def measure_blend(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Pictures against features."""
    made = folder / "known motion.mkv"
    make_clip(made, given.frames, given.size)
    network, style = load_network("styles"), "night-sky"
    share = NetworkPainter([style], StyleOptions(), "styles", VideoOptions().hold).share
    found: dict[str, Any] = {"size": given.size, "share": share, "clips": {}}
    for source in [made, *(sorted(given.clips.glob("*.mp4")) if given.clips else ())]:
        clip = open_clip(source)
        span = Span(
            Fraction(0), (given.frames - Fraction(1, 2)) / (clip.facts.rate or Fraction(25))
        )
        frames = [frame.pixels for frame in clip.frames(span, clip.size(given.size))]
        lumas = [brightness(pixels) for pixels in frames]
        ways = [link(after, before, quick=True) for before, after in pairwise(lumas)]
        height, width = frames[0].shape[1:]
        motion, _ = seen_motion(clip, span, (width, height))
        if source == made:
            motion = lambda number, side=width: true_motion(number, side)  # noqa: E731
        rows = {}
        for name, part, by in (
            ("apart", 1.0, "pictures"),
            ("pictures", share, "pictures"),
            ("features", share, "features"),
        ):
            results = painted_row(frames, ways, network, style, part, by)
            distance = far_from(results[1:], f"style:{style}")
            error = warping_error(results, motion)
            rows[name] = {"warping_error": error, "style_distance": distance}
        found["clips"][source.stem] = rows
        print(source.stem, rows, flush=True)
    return found


# --- speed ---------------------------------------------------------------------------------------


class Timed(NetworkPainter):
    """A network whose time for painting is counted, without blending."""

    seconds, count = 0.0, 0

    def paint(self, task: Task) -> Plane:
        """Paints a frame and counts the time."""
        began = time.perf_counter()
        own = super().paint(replace(task, expected=None))
        # The first one reads the paintings.
        if self.count:
            self.seconds += time.perf_counter() - began
        self.count += 1
        return own if task.expected is None else blended(own, task.expected, self.share)


def measure_speed(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Frames per second at 640 × 360, by both networks that come with impasto."""
    source, found = folder / "speed.mp4", dict[str, Any]()
    make_clip(source, given.speed_frames, 640)
    for network in "styles", "any":
        painter = Timed(["style:night-sky"], StyleOptions(size=640), network, VideoOptions().hold)
        output = folder / f"speed-{network}.mp4"
        run = ClipRun(source, output, painter, VideoOptions(), 640, styles=1)
        began, frames = 0.0, -1
        for frames, _ in enumerate(run):
            if not frames:
                began = time.perf_counter()
        run.finish()
        seconds = time.perf_counter() - began
        found[network] = {
            "frames": frames,
            "frames_per_second": frames / seconds,
            "painting_s_per_frame": painter.seconds / frames,
            "rest_s_per_frame": (seconds - painter.seconds) / frames,
            "rest_share": 1 - painter.seconds / seconds,
        }
        print(
            f"{network}: {frames / seconds:.2f} frames per second at 640 x 360, "
            f"{found[network]['rest_share']:.0%} of the time no frame is being painted"
        )
    return found


# --- long ----------------------------------------------------------------------------------------


def command(*words: str) -> list[str]:
    """The command line of impasto, by this Python."""
    return [sys.executable, "-m", "impasto", *words]


def measure_long(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The memory of a run over ten minutes, at every tenth of them."""
    source, output = folder / "long.mp4", folder / "long-painted.mp4"
    total = round(60 * given.minutes * LONG_RATE)
    make_clip(source, total, LONG_SIDE, LONG_RATE)
    words = ["video", str(source), "night-sky", "--fast", "-o", str(output), "--quiet"]
    began = time.monotonic()
    rows: list[float] = []
    with subprocess.Popen(command(*words)) as run:
        painted = folder / "long-painted.mp4.frames" / "1"
        held = peak = 0.0
        while run.poll() is None:
            status = Path(f"/proc/{run.pid}/status").read_text()
            for line in status.splitlines():
                if line.startswith("VmRSS"):
                    held = max(held, int(line.split()[1]) * 1024 / 1e9)
                if line.startswith("VmHWM"):
                    peak = int(line.split()[1]) * 1024 / 1e9
            done = painted / f"{(len(rows) + 1) * total // 10:06d}.png"
            if len(rows) < 9 and done.exists():
                rows.append(round(held, 3))
                print(f"{len(rows)} tenths: {held:.3f} GB", flush=True)
                held = 0.0
            time.sleep(0.2)
        rows.append(round(held, 3))
    with av.open(str(output)) as clip:
        frames = clip.streams.video[0].frames
    print(f"10 tenths and the film: {held:.3f} GB; at most {peak:.3f} GB in {frames} frames")
    return {
        "frames": total,
        "width": LONG_SIDE,
        "minutes": given.minutes,
        "seconds": time.monotonic() - began,
        "gb_in_each_tenth": rows,
        "peak_gb": peak,
        "frames_in_film": frames,
        "code": run.returncode,
    }


# --- kills ---------------------------------------------------------------------------------------


def measure_kills(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs killed at random moments, by both engines in turn."""
    source = folder / "killed.mp4"
    make_clip(source, KILLED_FRAMES, KILLED_SIDE)
    ways = {
        "network": ["--fast"],
        "optimizer": ["--evaluations", "10", "--follow", "4", "--passes", "2"],
    }
    random.seed(given.seed)
    found: dict[str, Any] = {"seed": given.seed, "kills": []}
    whole: dict[str, tuple[float, dict[str, bytes]]] = {}
    for number in range(given.kills):
        engine = list(ways)[number % 2]
        words = ["video", str(source), "night-sky", *ways[engine], "--keep-frames", "--quiet"]
        if engine not in whole:
            began, path = time.monotonic(), folder / f"whole-{engine}.mp4"
            subprocess.run(command(*words, "-o", str(path)), check=True)
            whole[engine] = time.monotonic() - began, contents(path)
        seconds, wanted = whole[engine]
        moment, tries = random.uniform(0.2, 1.0) * seconds, 0
        path = folder / f"killed-{number}.mp4"
        while not killed(command(*words, "-o", str(path)), moment):
            # It was done before that moment: a machine is not always as quick.
            moment, tries = 0.9 * moment, tries + 1
            path = folder / f"killed-{number}-{tries}.mp4"
        before = {file: file.stat().st_mtime_ns for file in frames_of(path)}
        # It may have come between the finished film and the end.
        if not path.exists():
            subprocess.run(command(*words, "-o", str(path)), check=True)
        kept = all(file.stat().st_mtime_ns == stamp for file, stamp in before.items())
        result = contents(path)
        row = {
            "engine": engine,
            "at_s": round(moment, 2),
            "frames_there": len(before),
            "not_painted_again": kept,
            "differ": sorted(n for n in wanted | result if wanted.get(n) != result.get(n)),
        }
        found["kills"].append(row)
        print(row, flush=True)
    return found


def killed(words: Sequence[str], moment: float) -> bool:
    """Whether a process could be killed after so many seconds, for it had not ended."""
    with subprocess.Popen(words) as run:
        try:
            run.wait(moment)
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
            return True
    return False


def frames_of(path: Path) -> Iterator[Path]:
    """The finished frames of a run."""
    yield from sorted(path.with_name(f"{path.name}.frames").glob("*/*.png"))


def contents(path: Path) -> dict[str, bytes]:
    """Frames and film of a run, byte for byte, and what the film shows."""
    found = {str(file.relative_to(file.parents[1])): file.read_bytes() for file in frames_of(path)}
    with av.open(str(path)) as film:
        shown = [frame.to_ndarray(format="rgb24").tobytes() for frame in film.decode(video=0)]
    return found | {"film": path.read_bytes(), "shown": b"".join(shown)}


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "still": measure_still,
    "blend": measure_blend,
    "speed": measure_speed,
    "long": measure_long,
    "kills": measure_kills,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--clips", type=Path, help="a folder of more clips for still")
    parser.add_argument("--style", default="style:night-sky")
    parser.add_argument("--engines", nargs="+", default=["optimizer", "network"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--evaluations", type=int, default=30)
    parser.add_argument("--network", default="any")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--speed-frames", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS / "video.json")
    given = parser.parse_args()
    found: dict[str, Any] = {**describe_run(), "style": given.style, "network": given.network}
    for part in given.parts:
        with TemporaryDirectory() as name:
            found[part] = PARTS[part](given, Path(name))
    write_json(given.output, found)


if __name__ == "__main__":
    main()
