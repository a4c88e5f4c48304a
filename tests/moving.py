"""Clips that tests make themselves."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray


def drifting(number: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Frame of soft waves `(height, width, 3)`; all move to the right by 2 px a frame."""
    y, x = np.mgrid[0:height, 0:width]
    x = x - 2.0 * number
    planes = [
        np.sin(x / 5) + np.sin((x + y) / 7),
        np.cos(x / 6) + np.sin(y / 4),
        np.sin((x - y) / 8) + np.cos(x / 3),
    ]
    return np.clip(128 + 45 * np.stack(planes, -1), 0, 255).astype(np.uint8)


def grainy(count: int, *, still: bool = False) -> list[NDArray[np.uint8]]:
    """Frames of `drifting`, or its first one, with grain that is another in each of them."""
    noise = np.random.default_rng(1)
    frames = [drifting(0 if still else number).astype(float) for number in range(count)]
    frames = [frame + noise.normal(0, 6, frame.shape) for frame in frames]
    return [np.clip(frame, 0, 255).astype(np.uint8) for frame in frames]


def warping_error(results: Sequence[NDArray[np.float32]], *, still: bool = False) -> float:
    """Mean squared difference between each result of `drifting`'s frames and the one before it,
    moved along as the frames truly move; without the edges where they come and go.

    Args:
        results: `(3, H, W)`.
        still: they are of a clip that does not move.
    """
    step = 0 if still else 2
    width = results[0].shape[2] - step
    steps = [np.square(b[:, :, step:] - a[:, :, :width])[:, :, 4:-4] for a, b in pairwise(results)]
    return float(np.mean(steps))


def planes_of(values: NDArray[Any]) -> NDArray[np.float32]:
    """uint8 values `(H, W, 3)` as pixels `(3, H, W)` in [0, 1]."""
    return np.ascontiguousarray(values.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def fill(plane: Any, values: NDArray[Any]) -> None:
    """Gives a plane of a video frame its values, `(H, W)`."""
    rows = np.zeros((len(values), plane.line_size), np.uint8)
    rows[:, : values.nbytes // len(values)] = values.view(np.uint8).reshape(len(values), -1)
    plane.update(rows.tobytes())


def frames_in(folder: Path) -> dict[str, bytes]:
    """The PNGs of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def make_clip(
    path: Path,
    frames: Sequence[NDArray[Any]],
    times: Sequence[int] | None = None,
    base: Fraction = Fraction(1, 25),
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    sound: str | None = None,
    subtitles: bool = False,
    options: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """Writes a clip of high quality; frames are uint8 or uint16 `(H, W, 3)`."""
    times = list(range(len(frames))) if times is None else times
    with av.open(str(path), "w") as out:
        wanted = dict(options or {})
        if codec == "libx264":
            # With AVX-512 it reads memory that it has not written, and is not always the same.
            params = ":".join(filter(None, ["asm=0", wanted.get("x264-params")]))
            wanted = {"crf": "4", **wanted, "x264-params": params}
        video = cast("Any", out.add_stream(codec, rate=25, options=wanted))
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pixel_format
        video.codec_context.time_base = video.time_base = base
        for name, value in context.items():
            setattr(video.codec_context, name, value)
        audio = cast("Any", out.add_stream(sound, rate=48000)) if sound else None
        if subtitles:
            out.set_chapters(
                cast(
                    "Any",
                    [
                        {
                            "id": 1,
                            "start": 0,
                            "end": 400,
                            "time_base": Fraction(1, 1000),
                            "metadata": {"title": "first"},
                        },
                        {
                            "id": 2,
                            "start": 400,
                            "end": 800,
                            "time_base": Fraction(1, 1000),
                            "metadata": {"title": "second"},
                        },
                    ],
                )
            )
        for values, time in zip(frames, times, strict=True):
            deep = values.dtype == np.uint16
            frame = av.VideoFrame.from_ndarray(values, format="rgb48le" if deep else "rgb24")
            frame = frame.reformat(
                format=pixel_format,
                dst_colorspace=context.get("matrix_for", "ITU601"),
                src_color_range="JPEG",
                dst_color_range="JPEG" if context.get("color_range") == 2 else "MPEG",
            )
            frame.pts, frame.time_base = time, base
            for packet in video.encode(frame):
                out.mux(packet)
        for packet in video.encode(None):
            out.mux(packet)
        if audio is not None:
            end = int(48000 * (times[-1] + 1) * base)
            wave = (0.3 * np.sin(np.arange(end) / 20)).astype(np.float32)
            for start in range(0, end - 1024, 1024):
                part = av.AudioFrame.from_ndarray(
                    wave[None, start : start + 1024], format="fltp", layout="mono"
                )
                part.pts, part.sample_rate, part.time_base = start, 48000, Fraction(1, 48000)
                for packet in audio.encode(part):
                    out.mux(packet)
            for packet in audio.encode(None):
                out.mux(packet)
    return path


def packets_of(path: Path, kind: str) -> list[tuple[bytes, Fraction, Fraction]]:
    """Contents and times, in seconds, of the packets of a clip's streams of a kind."""
    with av.open(str(path)) as clip:
        streams = [stream for stream in clip.streams if stream.type == kind]
        return [
            (bytes(p), cast("int", p.pts) * p.time_base, cast("int", p.dts) * p.time_base)
            for p in clip.demux(*streams)
            if p.size
        ]


def turn(path: Path, numbers: Sequence[int] | None = None) -> Path:
    """Has an MP4's picture shown turned a quarter clockwise, by its matrix alone, or by another."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    one = 1 << 16
    if numbers is None:
        numbers = [0, one, 0, (1 << 32) - one, 0, 0, 0, 0, 1 << 30]
    data[place : place + 36] = b"".join(n.to_bytes(4, "big") for n in numbers)
    path.write_bytes(data)
    return path
