"""A part of a clip holds the frames and the sound that the whole has there, in every container."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("av")

import av

from impasto.clips import Frame, Span, open_clip, target_for, write_clip
from moving import drifting, make_clip, packets_of

COUNT = 16
STEP = Fraction(1, 25)
H264 = {"x264-params": "keyint=5:min-keyint=1:scenecut=0:bframes=2:b-adapt=0"}
OPEN = {"x264-params": H264["x264-params"] + ":open-gop=1"}
REFRESH = {"x264-params": "keyint=5:intra-refresh=1"}
GROUP = {"g": "5"}
GROUP_OF_B = {"g": "6", "bf": "2"}

CONTAINERS: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("a.mp4", {"options": H264}),
    "mp4-open": ("a.mp4", {"options": OPEN}),
    "mp4-refresh": ("a.mp4", {"options": REFRESH}),
    "mp4-one-key": ("a.mp4", {}),
    "mov-mjpeg": ("a.mov", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    "3gp": ("a.3gp", {"options": H264}),
    "mkv": ("a.mkv", {"options": H264}),
    "mkv-open": ("a.mkv", {"options": OPEN}),
    "mkv-h265": ("a.mkv", {"codec": "libx265", "options": {"x265-params": "keyint=5:log-level=0"}}),
    "webm": ("a.webm", {"codec": "libvpx-vp9", "options": GROUP}),
    "ts": ("a.ts", {"options": H264}),
    "ts-open": ("a.ts", {"options": OPEN}),
    "ts-mpeg2": ("a.ts", {"codec": "mpeg2video", "options": GROUP_OF_B}),
    "mpg": ("a.mpg", {"codec": "mpeg2video", "options": GROUP_OF_B}),
    "vob": ("a.vob", {"codec": "mpeg2video", "options": GROUP}),
    "avi": ("a.avi", {"options": H264}),
    "avi-mpeg4": ("a.avi", {"codec": "mpeg4", "options": GROUP}),
    "avi-mpeg4-b": ("a.avi", {"codec": "mpeg4", "options": GROUP_OF_B}),
    "flv": ("a.flv", {"options": H264}),
    "asf": ("a.asf", {"codec": "mpeg4", "options": GROUP}),
    "mxf": ("a.mxf", {"codec": "mpeg2video", "options": GROUP}),
    "nut": ("a.nut", {"options": H264}),
    "ogg": ("a.ogg", {"codec": "libvpx", "options": GROUP}),
    "raw": ("a.h264", {"options": H264}),
}


def told(frames: Sequence[Frame]) -> list[tuple[Fraction, bytes]]:
    """Times and pixels of frames."""
    return [(frame.time, frame.pixels.tobytes()) for frame in frames]


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_part_has_the_frames_of_the_whole(tmp_path: Path, kind: str) -> None:
    """Wherever a part begins, at a frame or between two, its frames are those that the whole clip
    has there, to the bit; and the times of the whole are those that were written."""
    name, more = CONTAINERS[kind]
    frames = [drifting(3 * i) for i in range(COUNT)]
    clip = open_clip(make_clip(tmp_path / name, frames, **more))
    whole = list(clip.frames())
    assert [frame.time for frame in whole] == [i * STEP for i in range(COUNT)]
    for shown, drawn in zip(whole, frames, strict=True):
        distances = [np.abs(shown.pixels * 255 - f.transpose(2, 0, 1)).mean() for f in frames]
        assert frames[int(np.argmin(distances))] is drawn
    for number in range(COUNT):
        for start in (number * STEP, number * STEP - STEP / 3):
            if start <= 0:
                continue
            part = list(clip.frames(Span(start)))
            expected = [(f.time - start, f.pixels.tobytes()) for f in whole if f.time >= start]
            assert told(part) == expected, start
            assert not clip.damaged


def test_far_starts_are_not_decoded_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is decoded from the last key frame before it."""
    from impasto.clips import reading

    frames = [drifting(i) for i in range(COUNT)]
    clip = open_clip(make_clip(tmp_path / "a.mp4", frames, options=H264))
    decoded = []
    rising = reading._in_order

    def counted(*arguments: Any) -> Any:
        for one in rising(*arguments):
            decoded.append(one)
            yield one

    monkeypatch.setattr(reading, "_in_order", counted)
    assert len(list(clip.frames(Span(13 * STEP)))) == 3
    assert len(decoded) <= 6


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.flv", "a.avi", "a.mkv"])
def test_a_part_has_the_sound_of_the_whole(tmp_path: Path, name: str) -> None:
    """The sound of a part is, packet for packet, that of the whole clip there, and as far from the
    frames."""
    more: dict[str, Any] = {"codec": "mpeg2video"} if name == "a.mpg" else {"options": H264}
    sound = "mp2" if name in ("a.mpg", "a.avi") else "aac"
    path = make_clip(tmp_path / name, [drifting(i) for i in range(30)], sound=sound, **more)
    clip = open_clip(path)
    start = 13 * STEP
    write_clip(
        *(tmp_path / "b.mkv", clip.frames(Span(start)), clip),
        target_for(tmp_path / "b.mkv", clip.facts),
        span=Span(start),
    )
    with av.open(str(path)) as one:
        picture = one.streams.video[0]
        frames = [
            p.dts if name == "a.avi" else p.pts for p in one.demux(picture) if p.pts is not None
        ]
        first = min(place for place in frames if place is not None) * cast(
            "Fraction", picture.time_base
        )
    # Of the first frame's time in the file itself, and as it is told.
    origin = first - next(iter(clip.frames(pixels=False))).time
    expected = [(d, t - origin - start) for d, t, _ in packets_of(path, "audio")]
    # Matroska holds AAC without the header that each packet has in a stream.
    head = 7 if name == "a.ts" else 0
    expected = [(data[head:], time) for data, time in expected if time >= 0]
    kept = packets_of(tmp_path / "b.mkv", "audio")
    assert len(kept) > 15
    assert [data for data, _, _ in kept] == [data for data, _ in expected]
    moved = [a[1] - b[1] for a, b in zip(kept, expected, strict=True)]
    assert max(moved) - min(moved) <= Fraction(1, 500)
    assert max(map(abs, moved)) <= Fraction(1, 500)
