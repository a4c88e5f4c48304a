"""Optical flow that OpenCV has: time, and how well the frame before explains the next.

    python benchmarks/flow.py [CLIP] [--size 640] [--start 0] [--frames 6]

For each method the milliseconds of processor time for the flow both ways between two frames, the
share of pixels that `flow.trust_of` trusts, and the mean difference, in 255ths, between a frame and
the one before it moved along, over what is trusted and over what all methods trust. Without CLIP,
the one that `video.py` makes.
"""

import argparse
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import cv2
import numpy as np

from impasto.clips import Span, open_clip
from impasto.flow import Plane, brightness, flow_between, trust_of, warp
from record import RESULTS, describe_run, write_json
from video import make_clip

Method = Callable[[Any, Any], Plane]


def farneback(one: Any, other: Any) -> Plane:
    """Farnebäck's polynomial expansion, 2003, over four levels."""
    return np.asarray(
        cv2.calcOpticalFlowFarneback(one, other, cast("Any", None), 0.5, 4, 15, 3, 7, 1.5, 0),
        np.float32,
    )


def halved(one: Any, other: Any) -> Plane:
    """DIS, medium, at half the size."""
    size = (one.shape[1] // 2, one.shape[0] // 2)
    small = [cv2.resize(luma, size, interpolation=cv2.INTER_AREA) for luma in (one, other)]
    found = flow_between(cast("Any", small[0]), cast("Any", small[1]))
    return np.asarray(2 * cv2.resize(found, (one.shape[1], one.shape[0])), np.float32)


METHODS: dict[str, Method] = {
    "DIS medium": flow_between,
    "DIS fast": partial(flow_between, quick=True),
    "DIS medium, half size": halved,
    "Farnebäck": farneback,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--output", type=Path, default=RESULTS / "flow.json")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    frames: list[Plane] = []
    with TemporaryDirectory() as name:
        source = arguments.clip or Path(name) / "made.mp4"
        if arguments.clip is None:
            make_clip(source, arguments.frames, arguments.size)
        clip = open_clip(source)
        for frame in clip.frames(Span(Fraction(str(arguments.start))), clip.size(arguments.size)):
            frames.append(frame.pixels)
            if len(frames) == arguments.frames:
                break
    lumas = [brightness(pixels) for pixels in frames]
    pairs = range(1, len(frames))
    ways: dict[str, list[tuple[Plane, Plane]]] = {}
    found: dict[str, dict[str, float]] = {}
    for name, method in METHODS.items():
        method(lumas[1], lumas[0])
        began = time.process_time()
        both = [(method(lumas[i], lumas[i - 1]), method(lumas[i - 1], lumas[i])) for i in pairs]
        found[name] = {"ms": 1000 * (time.process_time() - began) / len(pairs)}
        ways[name] = [(flow, trust_of(flow, back)) for flow, back in both]
    for i in pairs:
        common = np.min([way[i - 1][1] for way in ways.values()], axis=0)
        for name, way in ways.items():
            flow, trust = way[i - 1]
            error = 255 * np.abs(warp(frames[i - 1], flow) - frames[i]).mean(0)
            figures = {
                "trusted": float(trust.mean()),
                "error": float((error * trust).sum() / max(1.0, float(trust.sum()))),
                "error_where_all_trust": float(
                    (error * common).sum() / max(1.0, float(common.sum()))
                ),
            }
            for key, value in figures.items():
                found[name][key] = found[name].get(key, 0.0) + value / len(pairs)
    for name, figures in found.items():
        print(name, {key: round(value, 3) for key, value in figures.items()})
    height, width = lumas[0].shape
    size = {"clip": source.name, "width": width, "height": height, "frames": len(frames)}
    write_json(arguments.output, {**describe_run(), **size, "methods": found})


if __name__ == "__main__":
    main()
