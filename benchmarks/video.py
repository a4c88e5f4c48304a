"""How still a repainted clip holds, what that costs in style, and what it costs in time.

    python benchmarks/video.py [CLIP] [--style …] [--engines optimizer network] [--size 256]
        [--start 0] [--frames 12] [--evaluations 30] [--network any] [--picture FILE]

Each engine paints the same frames twice: every frame for itself (`--hold 0`) and held together (the
defaults). The warping error is the root mean square difference between a result and the one before
it moved along with the flow between the clip's own frames, where that can be trusted; in 255ths.
Style distance is `quality.style_distance` to the painting, mean over the first, middle and last
frame. Of the time on the processors, all that is not the painting itself (flow, blending, decoding,
encoding, frames on disk) is told apart. The result's frame times and packets of sound are compared
with the clip's. Without CLIP, one is made: a window that moves over a bundled photo behind a disc
that moves the other way, with a little noise, and a tone for its sound. `--picture` shows the
first, middle and last frame: of the clip, and as the first engine paints them, held together.
"""

import argparse
import math
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import av
import numpy as np

from impasto.clips import Clip, Span, open_clip
from impasto.flow import Plane, brightness, warp
from impasto.images import Bitmap, resize_image, write_image
from impasto.options import StyleOptions
from impasto.painters import NetworkPainter, OptimizerPainter, Painter, Task
from impasto.quality import style_distance
from impasto.sources import read_source
from impasto.temporal import Link, link
from impasto.video import ClipRun
from impasto.video_options import VideoOptions
from record import RESULTS, describe_run, write_json

RATE = 48000
"""Samples of sound per second."""


class Timed:
    """A painter whose time on the processors is counted."""

    def __init__(self, painter: Painter) -> None:
        self.painter, self.seconds, self.count = painter, 0.0, 0
        self.reach, self.quick, self.masks = painter.reach, painter.quick, painter.masks

    def record(self) -> dict[str, Any]:
        """That of the painter itself."""
        return self.painter.record()

    def paint(self, task: Task) -> Plane:
        """Paints a frame and counts the time."""
        began = time.process_time()
        pixels = self.painter.paint(task)
        # The first one reads the paintings.
        if self.count:
            self.seconds += time.process_time() - began
        self.count += 1
        return pixels


def make_clip(path: Path, frames: int, side: int = 256) -> None:
    """A clip of known motion, with a tone."""
    photo = resize_image(read_source("sample:coffee", 10**9), 2 * side, side).pixels
    rng = np.random.default_rng(0)
    height = side * 9 // 16 // 2 * 2
    y, x = np.mgrid[0:height, 0:side]
    with av.open(str(path), "w") as out:
        stream = cast("Any", out.add_stream("libx264", rate=25, options={"crf": "12"}))
        stream.width, stream.height, stream.pix_fmt = side, height, "yuv420p"
        tone = cast("Any", out.add_stream("aac", rate=RATE, layout="mono"))
        for number in range(frames):
            view = photo[:, 20 : 20 + height, 3 * number : 3 * number + side].copy()
            disc = (x - side + 4 * number) ** 2 + (y - height / 2) ** 2 < (height / 5) ** 2
            view[:, disc] = np.array([[0.8], [0.25], [0.2]])
            view += rng.normal(0, 0.015, view.shape)
            values = (view.clip(0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format="rgb24")
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
        wave = (0.3 * np.sin(np.arange(RATE * frames // 25) / 20)).astype(np.float32)
        for first in range(0, len(wave), 1024):
            part = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], "fltp", "mono")
            part.pts, part.sample_rate = first, RATE
            for packet in tone.encode(part):
                out.mux(packet)
        for packet in tone.encode(None):
            out.mux(packet)


def warping_error(results: list[Plane], links: list[Link]) -> float:
    """Root mean square difference of results from those before, moved along, in 255ths."""
    errors: list[float] = []
    for before, after, way in zip(results, results[1:], links, strict=False):
        if not way.cut:
            error = np.square(warp(before, way.flow) - after).mean(0)
            errors.append(float((error * way.trust).sum() / max(1.0, float(way.trust.sum()))))
    return 255 * math.sqrt(float(np.mean(errors)))


def sound_of(path: Path, span: Span) -> Iterator[tuple[bytes, Fraction]]:
    """Contents and times of the packets of sound in a part of a clip."""
    with av.open(str(path)) as clip:
        for packet in clip.demux(*clip.streams.audio) if clip.streams.audio else ():
            if packet.size and packet.pts is not None:
                moment = packet.pts * packet.time_base
                if moment >= span.start and (span.end is None or moment < span.end):
                    yield bytes(packet), moment - span.start


def measure(
    source: Path, painter: Painter, options: VideoOptions, side: int, painting: str, folder: Path
) -> dict[str, Any]:
    """One engine in one way: its figures, and the results under `pixels`."""
    timed = Timed(painter)
    output = folder / f"result-{time.monotonic_ns()}{source.suffix}"
    run = ClipRun(source, output, timed, options, side, styles=1)
    wall, began, whole = time.monotonic(), 0.0, 0.0
    results: list[Plane] = []
    for progress in run:
        if not results:
            began, wall = time.process_time(), time.monotonic()
        results.append(progress.pixels)
    run.finish()
    whole, wall = time.process_time() - began, time.monotonic() - wall
    chosen = [results[0], results[len(results) // 2], results[-1]]
    clip = open_clip(source)
    span = run.span
    times = [frame.time for frame in clip.frames(span, pixels=False)]
    kept = [frame.time for frame in open_clip(output).frames(pixels=False)]
    sound = [data for data, _ in sound_of(source, span)]
    later = max(1, len(results) - 1)
    return {
        "pixels": results,
        "style_distance": float(
            np.mean([style_distance(one.transpose(1, 2, 0), painting) for one in chosen])
        ),
        "painting_cpu_s_per_frame": timed.seconds / later,
        "rest_cpu_s_per_frame": (whole - timed.seconds) / later,
        "rest_share": 1 - timed.seconds / whole,
        "frames_per_second": later / wall,
        "same_times": times == kept,
        "same_sound": sound == [data for data, _ in sound_of(output, Span())],
        "sound_packets": len(sound),
    }


def links_of(clip: Clip, span: Span, size: tuple[int, int]) -> list[Link]:
    """The way from each frame but the first back to the one before."""
    found: list[Link] = []
    before = None
    for frame in clip.frames(span, size):
        luma = brightness(frame.pixels)
        if before is not None:
            found.append(link(luma, before))
        before = luma
    return found


def show(path: Path, *rows: list[Plane]) -> None:
    """Writes a picture of the first, middle and last frame of several rows."""
    lines = [np.concatenate([r[0], r[len(r) // 2], r[-1]], axis=2) for r in rows]
    write_image(Bitmap(np.concatenate(lines, axis=1)), path, quality=85, overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--style", default="style:night-sky")
    parser.add_argument("--engines", nargs="+", default=["optimizer", "network"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--evaluations", type=int, default=30)
    parser.add_argument("--network", default="any")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS / "video.json")
    arguments = parser.parse_args()
    found: dict[str, Any] = {**describe_run(), "style": arguments.style, "engines": {}}
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = arguments.clip or folder / "made.mp4"
        if arguments.clip is None:
            make_clip(source, arguments.frames, max(256, arguments.size))
        clip = open_clip(source)
        rate = clip.facts.rate or Fraction(25)
        end = arguments.start + float((arguments.frames - Fraction(1, 2)) / rate)
        values: dict[str, Any] = {"start": arguments.start, "end": round(end, 4)}
        span = Span(Fraction(str(values["start"])), Fraction(str(values["end"])))
        found |= {"clip": source.name, "frames": arguments.frames}
        for engine in arguments.engines:
            figures: dict[str, Any] = {}
            for way in "apart", "held":
                apart: dict[str, Any] = {"hold": 0} if way == "apart" else {}
                options = VideoOptions(**values, **apart)
                base = {"size": arguments.size}
                painter: Painter = (
                    OptimizerPainter(
                        [arguments.style],
                        StyleOptions(**base, evaluations=arguments.evaluations),
                        options.hold,
                        options.follow,
                    )
                    if engine == "optimizer"
                    else NetworkPainter(
                        [arguments.style], StyleOptions(**base), arguments.network, options.hold
                    )
                )
                one = measure(source, painter, options, arguments.size, arguments.style, folder)
                results = one.pop("pixels")
                height, width = results[0].shape[1:]
                links = links_of(clip, span, (width, height))
                if way == "held" and engine == arguments.engines[0] and arguments.picture:
                    frames = [f.pixels for f in clip.frames(span, (width, height))]
                    show(arguments.picture, frames, results)
                figures[way] = {"warping_error": warping_error(results, links), **one}
            for name in "warping_error", "style_distance":
                figures[f"{name}_ratio"] = figures["held"][name] / figures["apart"][name]
            figures["width"], figures["height"] = width, height
            found["engines"][engine] = figures
            print(
                f"{engine}: warping error {figures['held']['warping_error']:.2f} against "
                f"{figures['apart']['warping_error']:.2f} "
                f"({figures['warping_error_ratio']:.2f}), style distance "
                f"{figures['style_distance_ratio']:.2f} times, "
                f"{figures['held']['frames_per_second']:.2f} frames/s, "
                f"{figures['held']['rest_share']:.0%} of it not painting, "
                f"times {figures['held']['same_times']}, sound {figures['held']['same_sound']} "
                f"({figures['held']['sound_packets']} packets)"
            )
    write_json(arguments.output, found)


if __name__ == "__main__":
    main()
