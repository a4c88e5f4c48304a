"""What is missing from a damaged clip is counted, and what is whole is not."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av")

from impasto.clips import open_clip, target_for, write_clip
from impasto.clips.wholeness import is_cut_short
from moving import drifting, make_clip

COUNT = 40
CODECS = {
    "a.webm": ("libvpx-vp9", "libopus"),
    "a.avi": ("mpeg4", "mp2"),
    "a.gif": ("gif", None),
    "a.webp": ("libwebp", None),
}
KINDS = ["a.mkv", "a.webm", "a.mp4", "a.mov", "a.avi", "a.ts", "a.gif", "a.webp"]


def clip_of(
    folder: Path,
    name: str,
    *,
    sound: bool,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of forty frames with a key frame every ten."""
    codec, heard = CODECS.get(name, ("libx264", "aac"))
    frames = [drifting(i) for i in range(COUNT)]
    silent = name in ("a.gif", "a.webp")
    more: dict[str, Any] = {} if times is None else {"base": Fraction(1, 1000)}
    if silent:
        film = open_clip(make_clip(folder / "first.mkv", frames, times, **more))
        write_clip(folder / name, film.frames(), film, target_for(folder / name, film.facts))
        return folder / name
    return make_clip(
        *(folder / name, frames, times),
        codec=codec,
        sound=heard if sound else None,
        options={"g": "10", **(options or {})},
        **more,
    )


def damage(path: Path) -> None:
    """Changes a sixth of the bytes of a file."""
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) // 2):
        data[place] = (data[place] * 7 + 31) % 256
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Takes the last third of a file away."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3 // 188 * 188 + 50])


@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize("bf", ["0", "2"])
@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.ts"])
@pytest.mark.parametrize("harm", [damage, cut])
def test_lost_frames_are_counted(
    tmp_path: Path, name: str, bf: str, sound: bool, harm: Callable[[Path], None]
) -> None:
    """Where a demuxer passes over what it does not understand, with sound and without, and where
    the end is missing."""
    options = {} if name == "a.webm" else {"bf": bf}
    path = clip_of(tmp_path, name, sound=sound, options=options)
    whole = open_clip(path)
    assert len(list(whole.frames(pixels=False))) == COUNT
    assert whole.damaged == 0
    harm(path)
    clip = open_clip(path)
    frames = list(clip.frames(pixels=False))
    assert 0 < len(frames) < COUNT
    assert clip.damaged > 0


@pytest.mark.parametrize("name", KINDS)
def test_whole_clips_are_not_taken_for_damaged(tmp_path: Path, name: str) -> None:
    """Frames that stand for seconds beside sound that goes on are as their clip wants them."""
    times = [40 * i + 3000 * (i > 5) + 2000 * (i > 30) for i in range(COUNT)]
    uneven = None if name in ("a.avi", "a.ts") else times
    clip = open_clip(clip_of(tmp_path, name, sound=True, times=uneven))
    assert not is_cut_short(clip.path)
    assert len(list(clip.frames(pixels=False))) == COUNT
    assert clip.damaged == 0


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_end_is_told(tmp_path: Path, name: str) -> None:
    """By what each container says of its length; of a file that says nothing, nothing is known."""
    path = clip_of(tmp_path, name, sound=False)
    assert not is_cut_short(path)
    cut(path)
    assert is_cut_short(path)
    path.write_bytes(path.read_bytes()[:3])
    is_cut_short(path)
    path.write_bytes(b"")
    assert not is_cut_short(path)
