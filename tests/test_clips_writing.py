"""Clips are written without a word beside the one line that a fault is worth, and read under any
name."""

import itertools
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from impasto.clips import Frame, open_clip, target_for, write_clip
from impasto.errors import ImageError, OutputError
from moving import drifting, make_clip

NOISY = [np.random.default_rng(i).integers(0, 255, (96, 128, 3), np.uint8) for i in range(6)]


@pytest.mark.parametrize("room", [100, 2000, 20000])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".gif", ".webp"])
def test_a_full_disk_is_one_line(
    ending: str, room: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever the disk takes no more, no encoder is blamed, nothing is said beside the fault, and
    no file is left."""
    clip = open_clip(make_clip(tmp_path / "a.mp4", NOISY))
    path = tmp_path / f"b{ending}"
    target = target_for(path, clip.facts)
    capfd.readouterr()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot be written \(File too large\)"):
            write_clip(path, clip.frames(), clip, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capfd.readouterr() == ("", "")
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_encoders_say_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No codec tells of itself on the terminal."""
    clip = open_clip(make_clip(tmp_path / "a.mp4", NOISY))
    capfd.readouterr()
    for codec in "h264", "h265", "av1":
        path = tmp_path / f"{codec}.mkv"
        write_clip(
            *(path, itertools.islice(clip.frames(), 2), clip), target_for(path, clip.facts, codec)
        )
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only there are encoders' threads known of")
@pytest.mark.parametrize("codec", ["h264", "h265", "av1"])
def test_encoders_take_no_priority(tmp_path: Path, codec: str) -> None:
    """While a film is written and afterwards, no thread runs before all else on the machine, nor
    would a program started then, even where root writes it.
    """

    def policies() -> set[int]:
        threads = [int(one.name) for one in Path("/proc/self/task").iterdir()]
        return {os.sched_getscheduler(one) for one in threads}

    clip = open_clip(make_clip(tmp_path / "a.mp4", NOISY))
    during = list[set[int]]()

    def watched() -> Iterator[Frame]:
        for frame in clip.frames():
            during.append(policies())
            yield frame

    path = tmp_path / "b.mp4"
    write_clip(path, watched(), clip, target_for(path, clip.facts, codec))
    during.append(policies())
    assert all(found == {os.SCHED_OTHER} for found in during)


@pytest.mark.parametrize("name", [b"caf\xe9", b"a[n=1]", b"file:a"])
@pytest.mark.parametrize("ending", [b".gif", b".webp", b".mp4"])
def test_clips_may_have_any_name(name: bytes, ending: bytes, tmp_path: Path) -> None:
    """Names that are no UTF-8, or that libraries would take for more than names, are just names."""
    clip = open_clip(make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(4)]))
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + ending))
    write_clip(path, clip.frames(), clip, target_for(path, clip.facts))
    again = open_clip(path)
    assert len(list(again.frames())) == 4


def test_a_damaged_animation_says_what_to_do(tmp_path: Path) -> None:
    """The line on an animation that cannot be read is one, with a remedy."""
    path = tmp_path / "a.gif"
    path.write_bytes(b"GIF89a" + bytes(30))
    with pytest.raises(ImageError) as error:
        open_clip(path)
    assert "  " not in str(error.value)
    assert "gifload" not in str(error.value)
    assert str(error.value).endswith("; it is damaged or of an unknown kind, so take another copy")
