"""Optical flow that OpenCV has: time, and how exact it is.

    python benchmarks/flow.py [CLIP] [--size 640] [--start 0] [--frames 6]

For each method the milliseconds of processor time for the flow both ways between two frames, and
the share of pixels that `flow.trust_of` trusts. Without CLIP, the one that `video.py` makes, whose
motion is known: the mean distance from it, in px, of what is trusted and can be seen in both
frames; the share of such pixels that are trusted; and the share that are not of those that can be
seen in one only. With CLIP, the mean difference, in 255ths, between a frame and the one before it
moved along, over what is trusted and over what all methods trust.
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
from known_motion import make_clip, true_motion
from record import RESULTS, describe_run, write_json

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


def preset_fast(one: Any, other: Any) -> Plane:
    """DIS's preset `fast`, which stops at a quarter of the sides."""
    search = cast("Any", cv2).DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(search.calc(one, other, np.empty((0,), np.float32)), np.float32)


METHODS: dict[str, Method] = {
    "DIS medium": flow_between,
    "DIS medium, quick": partial(flow_between, quick=True),
    "DIS fast": preset_fast,
    "DIS medium, half size": halved,
    "Farnebäck": farneback,
}


def mean_over(values: Any, weights: Any) -> float:
    """The mean of values where weights are 1."""
    return float((values * weights).sum() / max(1.0, float(weights.sum())))


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
            figures = {"trusted": float(trust.mean())}
            if arguments.clip is None:
                true, seen = true_motion(i, arguments.size)
                away = np.hypot(*np.moveaxis(flow - true, 2, 0))
                figures |= {
                    "px_from_true": mean_over(away, trust * seen),
                    "trusted_of_seen": mean_over(trust, seen),
                    "refused_of_hidden": mean_over(1 - trust, ~seen),
                }
            else:
                figures |= {
                    "difference": mean_over(error, trust),
                    "difference_where_all_trust": mean_over(error, common),
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
