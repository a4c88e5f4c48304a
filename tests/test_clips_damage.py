"""What is missing from a damaged clip is counted, and what is whole is not."""

import errno
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("av")

import av
import av.error

from impasto.clips import check_copied, open_clip, target_for, write_clip, writing
from impasto.clips.wholeness import is_cut_short
from impasto.errors import OptionError, OutputError
from moving import drifting, make_clip, packets_of

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


def test_transparency_is_no_hole_in_a_clip(tmp_path: Path) -> None:
    """It lies between the packets, and much of it is no damage; what is passed over there is."""
    first = open_clip(clip_of(tmp_path, "a.mkv", sound=False))
    first.facts = replace(first.facts, alpha=True, pixel_format="yuva420p")
    grain = np.random.default_rng(0).uniform(0, 1, (COUNT, 48, 64)).astype(np.float32)
    frames = (replace(f, alpha=grain[f.number]) for f in first.frames())
    path = tmp_path / "b.webm"
    write_clip(path, frames, first, target_for(path, first.facts))
    clip = open_clip(path)
    assert len(list(clip.frames(pixels=False))) == COUNT
    assert clip.damaged == 0
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert max(sum(s.data_size for s in packet.iter_sidedata()) for packet in packets) > 2000
    damage(path)
    clip = open_clip(path)
    assert 0 < len(list(clip.frames(pixels=False))) < COUNT
    assert clip.damaged > 0


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


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4", "b.mov"])
def test_damaged_sound_does_not_keep_a_film_from_being_written(tmp_path: Path, name: str) -> None:
    """Packets that the new container does not take are passed over and counted; the rest of the
    sound, and all frames, go in."""
    path = clip_of(tmp_path, "a.ts", sound=True, options={"bf": "0"})
    sound = {data[7:] for data, _, _ in packets_of(path, "audio")}
    damage(path)
    clip = open_clip(path)
    frames = list(clip.frames())
    seen = clip.damaged
    target = target_for(tmp_path / name, clip.facts)
    check_copied(tmp_path / name, clip, target)
    assert clip.damaged == seen
    write_clip(tmp_path / name, clip.frames(), clip, target)
    assert clip.damaged > seen
    assert len(list(open_clip(tmp_path / name).frames(pixels=False))) == len(frames)
    kept = [data for data, _, _ in packets_of(tmp_path / name, "audio")]
    assert len(sound & set(kept)) > len(sound) * 3 // 4


def test_a_full_disk_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps a packet of sound from being written is told where it is the disk."""
    clip = open_clip(clip_of(tmp_path, "a.mkv", sound=True))
    target = target_for(tmp_path / "b.mkv", clip.facts)
    copy = writing._Copier.copy_until

    def full(self: Any, time: Any) -> None:
        out = self._out
        self._out = SimpleNamespace(start_encoding=out.start_encoding, mux=fail)
        copy(self, time)
        self._out = out

    def fail(_: Any) -> None:
        raise av.error.OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing._Copier, "copy_until", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_clip(tmp_path / "b.mkv", clip.frames(), clip, target)
    assert not (tmp_path / "b.mkv").exists()


def test_sound_that_is_refused_at_the_end_is_told_before(tmp_path: Path) -> None:
    """MP4 refuses uncompressed sound of unnamed loudspeakers only when all is written; that is
    found out first."""
    film = clip_of(tmp_path, "a.mkv", sound=False)
    path = tmp_path / "b.mkv"
    with av.open(str(film)) as one, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(cast("Any", one.streams.video[0]))
        stream = cast("Any", out.add_stream("pcm_f32le", rate=48000, layout="stereo", format="flt"))
        for packet in one.demux():
            if packet.size:
                packet.stream = picture
                out.mux(packet)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), "flt", "stereo")
        tone.sample_rate = 48000
        for packet in [*stream.encode(tone), *stream.encode(None)]:
            out.mux(packet)
    clip = open_clip(path)
    mp4, mov = (target_for(tmp_path / name, clip.facts) for name in ("c.mp4", "c.mov"))
    says = r"\.mp4 cannot hold the clip's audio \(pcm_f32le\); use \.mkv, or --no-sound"
    with pytest.raises(OptionError, match=says):
        check_copied(tmp_path / "c.mp4", clip, mp4)
    check_copied(tmp_path / "c.mov", clip, mov)
    write_clip(tmp_path / "c.mov", clip.frames(), clip, mov)
    assert len(b"".join(data for data, _, _ in packets_of(tmp_path / "c.mov", "audio"))) == 38400
