"""Clips as they are met: begun late, joined, cut short, mirrored, grey, with covers and fonts."""

import contextlib
import io
import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("av")

import av
import av.error
from PIL import Image

from impasto.clips import (
    Clip,
    Facts,
    Frame,
    FrameFolder,
    Span,
    check_copied,
    folder_identity,
    open_clip,
    reading,
    target_for,
    writing,
)
from impasto.clips import write_clip as write
from impasto.clips.pixels import Upright, to_arrays, to_frame
from impasto.errors import ImageError, OptionError, TooLargeError
from moving import drifting, fill, make_clip, packets_of, planes_of, turn

STEP = Fraction(1, 25)


def copied(clip: Clip, path: Path, span: Span | None = None, **more: Any) -> Clip:
    """A clip written with its own frames, and read again."""
    codec = more.pop("codec", None)
    write(path, clip.frames(span), clip, target_for(path, clip.facts, codec), span=span, **more)
    return open_clip(path)


def times_of(clip: Clip, span: Span | None = None) -> list[Fraction]:
    """When its frames are shown, seconds."""
    return [frame.time for frame in clip.frames(span)]


def moved(path: Path, result: Path, seconds: int | Fraction) -> Path:
    """The clip with all its times later."""
    with av.open(str(path)) as one, av.open(str(result), "w") as out:
        places = {s.index: out.add_stream_from_template(cast("Any", s)) for s in one.streams}
        for packet in one.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                ticks = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = places[packet.stream_index]
                out.mux(packet)
    return result


@pytest.mark.parametrize("name", ["b.mkv", "b.webm", "b.mp4", "b.ts"])
def test_a_late_beginning_is_no_length(tmp_path: Path, name: str) -> None:
    """A clip whose first time is an hour is as long as its frames are shown."""
    codec = "libvpx-vp9" if name == "b.webm" else "libx264"
    source = tmp_path / ("a.webm" if name == "b.webm" else "a.mp4")
    first = make_clip(source, [drifting(i) for i in range(30)], codec=codec)
    facts = open_clip(moved(first, tmp_path / name, 3600)).facts
    assert facts.duration == pytest.approx(1.2, abs=0.05)
    assert facts.frames is None or abs(facts.frames - 30) <= 1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_very_short_clip_begins_at_nothing(tmp_path: Path, count: int) -> None:
    """Where FFmpeg has too few packets to tell when a clip begins, these tell it."""
    path = make_clip(
        tmp_path / "a.mkv",
        [drifting(i) for i in range(count)],
        [5000 + 40 * i for i in range(count)],
        Fraction(1, 1000),
        options={"bf": "0"},
    )
    with av.open(str(path)) as container:
        assert container.streams.video[0].start_time is None
    clip = open_clip(path)
    assert times_of(clip) == [n * STEP for n in range(count)]
    assert clip.facts.duration == pytest.approx(0.04 * count)
    assert times_of(copied(clip, tmp_path / "b.mp4")) == times_of(clip)


@pytest.mark.parametrize("orientation", [None, 1, 6])
@pytest.mark.parametrize("name", ["p.jpg", "p.png", "p.tiff", "p.avif"])
def test_photos_are_no_clips(tmp_path: Path, name: str, orientation: int | None) -> None:
    """A picture is refused in one line that says what repaints it."""
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    Image.fromarray(drifting(0)).save(tmp_path / name, exif=exif)
    with pytest.raises(ImageError, match=rf"{name}: is a single picture; .*impasto stylize"):
        open_clip(tmp_path / name)


def test_an_animated_avif_is_a_clip(tmp_path: Path) -> None:
    """Not the still picture that stands for it in what shows only such."""
    images = [Image.fromarray(drifting(i)) for i in range(4)]
    path = tmp_path / "a.avif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 50, 100, 100])
    clip = open_clip(path)
    assert times_of(clip) == [Fraction(n, 20) for n in (0, 2, 3, 5)]
    for number, frame in enumerate(clip.frames()):
        assert np.abs(frame.pixels - planes_of(drifting(number))).mean() < 0.05


@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (6, -1), (3, 2), (8, 1)])
def test_exif_in_a_clips_frames_does_no_harm(tmp_path: Path, orientation: int, turned: int) -> None:
    """Frames of cameras that write JPEGs with Exif are read, and shown upright."""
    exif = Image.Exif()
    exif[274] = orientation
    with av.open(str(tmp_path / "a.avi"), "w") as out:
        stream = cast("Any", out.add_stream("mjpeg", rate=25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(3):
            data = io.BytesIO()
            Image.fromarray(drifting(number)).save(data, "JPEG", exif=exif, quality=95)
            packet = av.Packet(data.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = STEP, stream
            out.mux(packet)
    frames = list(open_clip(tmp_path / "a.avi").frames())
    assert len(frames) == 3
    expected = planes_of(np.rot90(drifting(2), turned))
    assert np.abs(frames[2].pixels - expected).mean() < 0.03


@pytest.mark.parametrize("full", [False, True])
def test_prores_has_the_clips_contrast_and_colours(tmp_path: Path, full: bool) -> None:
    """What is always read as limited range is written so, and says the clip's primaries."""
    frames = [drifting(i) for i in range(3)]
    clip = open_clip(make_clip(tmp_path / "a.mp4", frames))
    clip.facts = replace(clip.facts, full_range=full, range_known=True, primaries=9, transfer=16)
    taken = list(clip.frames())
    write(
        tmp_path / "b.mov", iter(taken), clip, target_for(tmp_path / "b.mov", clip.facts, "prores")
    )
    again = open_clip(tmp_path / "b.mov")
    assert (again.facts.primaries, again.facts.transfer) == (9, 16)
    for one, other in zip(taken, again.frames(), strict=True):
        assert np.abs(one.pixels - other.pixels).mean() < 0.01


def test_deep_clips_stay_deep_in_webm(tmp_path: Path) -> None:
    """A clip of 10 bits becomes no VP9, of which 8 bits only can be written, unless asked for."""
    facts = Facts(64, 48, STEP, bits=10, pixel_format="yuv420p10le")
    target = target_for(tmp_path / "a.webm", facts)
    assert (target.encoder, target.pixel_format) == ("libsvtav1", "yuv420p10le")
    assert target_for(tmp_path / "a.webm", facts, "vp9").pixel_format == "yuv420p"


@pytest.mark.parametrize(
    ("name", "first_moment"),
    [
        ("b.mkv", 3600),
        ("b.mp4", 3600),
        ("b.ts", 3600),
        # Counters of 33 bits begin anew after a day; what lies just before has negative times.
        ("b.ts", Fraction(2**33, 90000) - 30),
        ("b.ts", Fraction(2**33, 90000) - Fraction(3, 5)),
    ],
)
def test_times_count_from_where_a_clip_begins(
    tmp_path: Path, name: str, first_moment: int | Fraction
) -> None:
    """Of a recording whose first time is an hour or a day, parts are chosen as if it began at 0,
    and the result begins there, with its sound."""
    first = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(30)], sound="aac")
    clip = open_clip(moved(first, tmp_path / name, first_moment))
    times = times_of(clip)
    assert [b - a for a, b in itertools.pairwise(times)] == [STEP] * 29
    assert 0 <= times[0] < Fraction(1, 20)
    part = Span(Fraction(2, 5), Fraction(4, 5))
    assert len(times_of(clip, part)) == 10
    again = copied(clip, tmp_path / "c.mp4", part)
    assert times_of(again)[0] < Fraction(1, 20)
    begun = [time for _, time, _ in packets_of(tmp_path / "c.mp4", "audio")]
    assert 0 <= begun[0] < Fraction(1, 20)
    whole = copied(clip, tmp_path / "d.mkv")
    assert times_of(whole)[-1] - times_of(whole)[0] == 29 * STEP
    head = 7 if name == "b.ts" else 0
    kept = [data for data, _, _ in packets_of(tmp_path / "d.mkv", "audio")]
    assert kept == [data[head:] for data, _, _ in packets_of(clip.path, "audio")]


def test_joined_streams_play_on_at_their_own_pace(tmp_path: Path) -> None:
    """Where two recordings were put into one file and times fall back, the second one follows on
    the first: picture and sound as far apart as before, from any start."""
    piece = make_clip(tmp_path / "a.ts", [drifting(i) for i in range(30)], sound="aac")
    joined = tmp_path / "b.ts"
    joined.write_bytes(piece.read_bytes() * 2)
    clip = open_clip(joined)
    times = times_of(clip)
    assert len(times) == 60
    steps = [b - a for a, b in itertools.pairwise(times)]
    assert steps[:29] == steps[30:] == [STEP] * 29
    assert 0 < steps[29] < Fraction(1, 4)
    copied(clip, tmp_path / "c.mkv")
    sound = packets_of(tmp_path / "c.mkv", "audio")
    once = packets_of(piece, "audio")
    assert [data for data, _, _ in sound] == [data[7:] for data, _, _ in once * 2]
    moments = [time for _, time, _ in sound]
    assert moments == sorted(moments)
    # The frames of the second piece stand to its sound as those of the first do.
    apart = moments[len(once)] - moments[0] - (times[30] - times[0])
    assert abs(apart) <= Fraction(1, 500)
    for start in times[31], times[45] - STEP / 2:
        late = [time + start for time in times_of(clip, Span(start))]
        assert late == [time for time in times if time >= start]


def altered(path: Path, result: Path, old: bytes, new: bytes) -> Path:
    """A file with other words."""
    data = path.read_bytes()
    assert old in data
    result.write_bytes(data.replace(old, new))
    return result


def test_unknown_codecs_do_not_matter(tmp_path: Path) -> None:
    """Sound of an unknown kind is left out and named; a picture of such a kind is one line."""
    path = make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(5)], sound="aac")
    clip = open_clip(altered(path, tmp_path / "b.mkv", b"A_AAC", b"A_XXX"))
    assert clip.facts.others == ()
    assert clip.facts.unknown == ("audio",)
    target = target_for(tmp_path / "c.mp4", clip.facts)
    check_copied(tmp_path / "c.mp4", clip, target)
    assert len(times_of(copied(clip, tmp_path / "c.mp4"))) == 5
    with pytest.raises(ImageError, match="of a kind that FFmpeg does not know"):
        open_clip(altered(path, tmp_path / "d.mkv", b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XXX"))


class Faulty:
    """A container that fails once after three packets, as damaged ones do."""

    def __init__(self, container: Any) -> None:
        self._container, self._failed = container, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, *streams: Any) -> Iterator[av.Packet]:
        """The packets, with the fault."""
        for number, packet in enumerate(self._container.demux(*streams)):
            yield packet
            if number == 2 and not self._failed:
                self._failed = True
                raise av.error.InvalidDataError(1, "damaged")


def test_a_fault_of_the_container_does_not_end_the_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a packet cannot be read, those after it are, of the sound as of the picture; the fault
    is counted once."""
    path = make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(20)], sound="aac")
    clip = open_clip(path)

    @contextlib.contextmanager
    def broken(path: Path) -> Iterator[Any]:
        with av.open(str(path)) as container:
            yield Faulty(container)

    monkeypatch.setattr(reading, "opened", broken)
    monkeypatch.setattr(writing, "opened", broken)
    write(tmp_path / "b.mkv", clip.frames(), clip, target_for(tmp_path / "b.mkv", clip.facts))
    monkeypatch.undo()
    assert clip.damaged == 1
    assert packets_of(tmp_path / "b.mkv", "audio") == packets_of(path, "audio")
    assert len(times_of(open_clip(tmp_path / "b.mkv"))) == 20


def with_extras(path: Path, result: Path, *, picture: bool = True) -> Path:
    """The clip with a cover, a font and a title."""
    cover = io.BytesIO()
    Image.fromarray(255 - drifting(1)).save(cover, "PNG")
    with av.open(str(path)) as one, av.open(str(result), "w") as out:
        places = {
            s.index: out.add_stream_from_template(cast("Any", s))
            for s in one.streams
            if picture or s.type != "video"
        }
        out.add_attachment("cover.png", "image/png", cover.getvalue())
        out.add_attachment("font.ttf", "application/x-truetype-font", b"letters")
        out.metadata["title"] = "By the sea"
        out.set_chapters(one.chapters())
        for packet in one.demux():
            if packet.size and packet.stream_index in places:
                packet.stream = places[packet.stream_index]
                out.mux(packet)
    return result


def test_covers_are_no_clips(tmp_path: Path) -> None:
    """The moving picture is taken, whatever still ones lie beside it; a cover alone is no clip."""
    frames = [drifting(i) for i in range(5)]
    path = make_clip(tmp_path / "a.mkv", frames, sound="aac")
    clip = open_clip(with_extras(path, tmp_path / "b.mkv"))
    assert len(times_of(clip)) == 5
    with pytest.raises(ImageError, match="no moving picture, only a cover, attachment, audio"):
        open_clip(with_extras(path, tmp_path / "c.mkv", picture=False))


@pytest.mark.parametrize("sound", [True, False])
def test_titles_chapters_and_fonts_need_no_sound(tmp_path: Path, sound: bool) -> None:
    """What a clip says of itself goes along, whether there is sound to copy or not, and fonts lie
    in the result as they were."""
    frames, times = [drifting(i) for i in range(20)], [40 * i for i in range(20)]
    more: dict[str, Any] = {"sound": "aac"} if sound else {}
    path = make_clip(
        *(tmp_path / "a.mkv", frames, times, Fraction(1, 1000)), subtitles=True, **more
    )
    clip = open_clip(with_extras(path, tmp_path / "b.mkv"))
    copied(clip, tmp_path / "c.mkv", sound=False)
    copied(clip, tmp_path / "c.mp4", sound=False)
    for name in "c.mkv", "c.mp4":
        with av.open(str(tmp_path / name)) as result:
            assert not result.streams.audio
            assert result.metadata["title"] == "By the sea"
            assert [c["metadata"]["title"] for c in result.chapters()] == ["first", "second"]
            fonts = [(s.metadata["filename"], s.data) for s in result.streams.attachments]
            assert fonts == ([("font.ttf", b"letters")] if name == "c.mkv" else [])


def test_the_remedy_is_not_what_was_tried(tmp_path: Path) -> None:
    """Where even Matroska cannot hold a sound, it is not named as the way out."""
    path = tmp_path / "a.nut"
    with av.open(str(path), "w") as out:
        video = cast("Any", out.add_stream("libx264", rate=25))
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = cast("Any", out.add_stream("g722", rate=16000, layout="mono", format="s16"))
        for packet in video.encode(av.VideoFrame.from_ndarray(drifting(0), format="rgb24")):
            out.mux(packet)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), "s16", "mono")
        tone.sample_rate = 16000
        for packet in [*audio.encode(tone), *audio.encode(None), *video.encode(None)]:
            out.mux(packet)
    clip = open_clip(path)
    for name, remedy in ("b.mkv", "; use --no-sound"), ("b.mp4", "; use .mkv, or --no-sound"):
        with pytest.raises(OptionError, match="cannot hold the clip's audio") as caught:
            check_copied(tmp_path / name, clip, target_for(tmp_path / name, clip.facts))
        assert str(caught.value).endswith(remedy)


def test_names_with_colons_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name with a colon is a file and no address, read and copied from."""
    path = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(5)], sound="aac")
    path.rename(tmp_path / "at 10:15.mp4")
    monkeypatch.chdir(tmp_path)
    clip = open_clip(Path("at 10:15.mp4"))
    copied(clip, Path("b:c.mp4"))
    kept = packets_of(tmp_path / "b:c.mp4", "audio")
    assert kept == packets_of(tmp_path / "at 10:15.mp4", "audio")


@pytest.mark.parametrize("rgb", ["rgb24", "gbrp", "bgra", "gbrp10le", "rgb48le"])
def test_rgb_becomes_what_players_show(tmp_path: Path, rgb: str) -> None:
    """RGB has no matrix that other formats could have: they get one, and the range that all players
    know; without loss it stays RGB, to the bit."""
    path = tmp_path / "a.nut"
    deep = rgb in ("gbrp10le", "rgb48le")
    frames = [drifting(i) for i in range(3)]
    codec = "rawvideo" if rgb in ("rgb24", "rgb48le", "bgra") else "ffv1"
    with av.open(str(path), "w") as out:
        stream = cast("Any", out.add_stream(codec, rate=25))
        form = rgb if rgb != "gbrp" else "bgr0"
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        for values in frames:
            planes = values.astype(np.uint16) * 257 if deep else values
            frame = av.VideoFrame.from_ndarray(planes, format="rgb48le" if deep else "rgb24")
            for packet in stream.encode(frame.reformat(format=form)):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    clip = replaced_matrix(open_clip(path), 0)
    film = copied(clip, tmp_path / "b.mp4")
    assert film.facts.matrix == 6
    assert not film.facts.full_range
    assert film.facts.range_known
    for shown, drawn in zip(film.frames(), frames, strict=True):
        assert np.abs(shown.pixels - planes_of(drawn)).mean() < 0.02
    kept = copied(clip, tmp_path / "b.mkv", codec="ffv1")
    assert kept.facts.bits == (16 if rgb == "rgb48le" else clip.facts.bits)
    for shown, own in zip(kept.frames(), clip.frames(), strict=True):
        assert np.array_equal(shown.pixels, own.pixels)


def replaced_matrix(clip: Clip, matrix: int) -> Clip:
    """The clip, with that matrix for its own."""
    clip.facts = replace(clip.facts, matrix=matrix)
    return clip


def test_what_ffmpeg_only_seems_to_hold_is_refused(tmp_path: Path) -> None:
    """MOV holds neither VP9 nor AV1, and H.265 no transparency: that is told, or left out, before
    anything is encoded."""
    clip = open_clip(make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(3)]))
    for codec in "vp9", "av1":
        with pytest.raises(OptionError, match=rf"--codec {codec}: \.mov cannot hold it; use \.mkv"):
            target_for(tmp_path / "b.mov", clip.facts, codec)
        assert len(times_of(copied(clip, tmp_path / f"{codec}.mp4", codec=codec))) == 3
    made = [Image.fromarray(drifting(i)) for i in range(3)]
    made[0].save(tmp_path / "a.gif", save_all=True, append_images=made[1:], duration=100)
    clip = open_clip(tmp_path / "a.gif")
    clip.facts = replace(clip.facts, pixel_format="rgba", alpha=True)
    again = copied(clip, tmp_path / "b.mp4", codec="h265")
    assert again.facts.pixel_format == "yuv420p"
    assert len(times_of(again)) == 3


@pytest.mark.parametrize("form", ["gray", "gray10le", "gray12le"])
def test_grey_clips_get_colours(tmp_path: Path, form: str) -> None:
    """A painted grey clip is not grey; its depth stays. White and black of it are those of the
    file, with the range that it names."""
    codec = "ffv1" if form == "gray12le" else "libx264"
    most = {"gray": 255, "gray10le": 1023, "gray12le": 4095}[form]
    kind: Any = np.uint8 if form == "gray" else np.uint16
    for color_range, low, high in (2, 0, 1), (1, 16 / 255, 235 / 255):
        path = tmp_path / f"{color_range}.mkv"
        ramp = np.tile(np.rint(np.linspace(low, high, 64) * most).astype(kind), (48, 1))
        with av.open(str(path), "w") as out:
            quality = {"qp": "0"} if codec == "libx264" else {}
            stream = cast("Any", out.add_stream(codec, rate=25, options=quality))
            stream.width, stream.height, stream.pix_fmt = 64, 48, form
            stream.codec_context.color_range = color_range
            for _ in range(3):
                frame = av.VideoFrame(64, 48, form)
                fill(frame.planes[0], ramp)
                frame.color_range = color_range
                for packet in stream.encode(frame):
                    out.mux(packet)
            for packet in stream.encode(None):
                out.mux(packet)
        clip = open_clip(path)
        found = next(clip.frames()).pixels[:, 20]
        assert np.abs(found - np.linspace(0, 1, 64)).max() < 0.01
        red = np.zeros((3, 48, 64), np.float32)
        red[0] = 0.8

        def frames(red: Any = red) -> Iterator[Frame]:
            for number in range(3):
                yield Frame(number, number * STEP, STEP, red)

        for name in "b.mp4", "b.mkv":
            result = tmp_path / f"{color_range}-{name}"
            target = target_for(result, clip.facts, "ffv1" if name == "b.mkv" else None)
            write(result, frames(), clip, target)
            again = open_clip(result)
            assert next(again.frames()).pixels.mean((1, 2)) == pytest.approx((0.8, 0, 0), abs=0.03)
            assert again.facts.bits >= min(clip.facts.bits, 10)


@pytest.mark.parametrize(
    "form", ["gbrp16le", "gbrap10le", "rgba64le", "yuva444p10le", "yuva444p16le", "gray16le"]
)
def test_white_and_opaque_are_whole(form: str) -> None:
    """White and opaque of any deep format are 1, black and clear 0, both in and out."""
    name = av.VideoFormat(form, 2, 2)
    alpha = any(part.is_alpha for part in name.components)
    bits = max(part.bits for part in name.components)
    facts = Facts(8, 8, STEP, pixel_format=form, bits=bits, alpha=alpha, full_range=True)
    for value in (0.0, 1.0):
        pixels = np.full((3, 8, 8), value, np.float32)
        frame = to_frame(pixels, pixels[0] if alpha else None, facts, form)
        top = (1 << bits) - 1
        stored = np.frombuffer(bytes(frame.planes[0]), np.uint16)[0]
        exact = form.startswith(("rgb", "gbr"))
        assert abs(int(stored) - value * top) <= (0 if exact else top // 1000)
        if alpha:
            plane = frame.planes[3] if len(frame.planes) == 4 else frame.planes[0]
            opaque = np.frombuffer(bytes(plane), np.uint16)[3 if len(frame.planes) == 1 else 0]
            assert int(opaque) == value * top
        found, clear = to_arrays(frame, facts, 8, 8, Upright())
        assert np.abs(found - value).max() < 0.002
        assert clear is None or np.abs(clear - value).max() < 1e-5


@pytest.mark.parametrize("sideways", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("upside", [False, True])
def test_mirrored_clips_are_shown_as_players_do(
    tmp_path: Path, sideways: bool, mirrored: bool, upside: bool
) -> None:
    """The whole matrix is heeded, and not its angle alone: front cameras mirror."""
    across, down = (-1 if mirrored else 1), (-1 if upside else 1)
    # x' = a x + c y, y' = b x + d y
    a, b, c, d = (0, down, across, 0) if sideways else (across, 0, 0, down)
    numbers = [a, b, 0, c, d, 0, 0, 0, 1 << 14]
    path = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(3)])
    clip = open_clip(turn(path, [(n << 16) % (1 << 32) for n in numbers]))
    drawn = drifting(1).transpose(1, 0, 2) if sideways else drifting(1)
    drawn = drawn[:, ::-1] if mirrored else drawn
    drawn = drawn[::-1] if upside else drawn
    shown = list(clip.frames())[1].pixels
    assert shown.shape == planes_of(drawn).shape
    assert np.abs(shown - planes_of(drawn)).mean() < 0.02


def test_damaged_frames_of_a_folder_are_not_there(tmp_path: Path) -> None:
    """A frame whose bytes have changed anywhere is not whole, so that it is painted again."""
    folder = FrameFolder(tmp_path / "frames")
    folder.write(0, planes_of(drifting(3)))
    whole = folder.path(0).read_bytes()
    assert folder.has(0)
    for place in (0, 20, 30, len(whole) // 2, len(whole) - 2):
        data = bytearray(whole)
        data[place] ^= 4
        folder.path(0).write_bytes(data)
        assert not folder.has(0), place
    folder.path(0).write_bytes(bytes(len(whole)))
    assert not folder.has(0)


def test_gifs_that_were_cut_short_are_counted(tmp_path: Path) -> None:
    """Of a GIF that ends too early the frames that are there are given, and the fault is counted;
    a part that ends before the fault has none. Damage in the middle ends it likewise."""
    clip = open_clip(make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(8)]))
    gif = copied(clip, tmp_path / "a.gif")
    assert len(times_of(gif)) == 8
    assert gif.damaged == 0
    data = gif.path.read_bytes()
    (tmp_path / "b.gif").write_bytes(data[: len(data) * 2 // 3])
    short = open_clip(tmp_path / "b.gif")
    frames = list(short.frames())
    assert 3 <= len(frames) < 8
    assert short.damaged > 0
    for own, cut in zip(gif.frames(), frames[:3], strict=False):
        assert np.array_equal(own.pixels, cut.pixels)
    assert len(times_of(short, Span(end=3 * STEP))) == 3
    assert short.damaged == 0
    broken = bytearray(data)
    place = len(data) // 2
    broken[place : place + 400] = bytes((7 * n + 31) % 256 for n in broken[place : place + 400])
    (tmp_path / "c.gif").write_bytes(broken)
    torn = open_clip(tmp_path / "c.gif")
    assert 2 <= len(times_of(torn)) < 8
    assert torn.damaged > 0
    assert len(times_of(torn, Span(end=2 * STEP))) == 2
    assert torn.damaged == 0


@pytest.mark.parametrize("loop", [0, 1, 2, 5])
def test_animations_are_shown_as_often_as_before(tmp_path: Path, loop: int) -> None:
    """How often an animation is shown is kept from GIF to GIF and to WebP and back; GIF counts how
    often it begins again, WebP how often it is shown."""
    made = [Image.fromarray(drifting(i)) for i in range(3)]
    more: dict[str, Any] = {} if loop == 1 else {"loop": max(0, loop - 1)}
    made[0].save(tmp_path / "a.gif", save_all=True, append_images=made[1:], duration=100, **more)
    clip = open_clip(tmp_path / "a.gif")
    assert clip.facts.loop == loop
    for name in "b.gif", "b.webp":
        clip = copied(clip, tmp_path / name)
        assert clip.facts.loop == loop
        with Image.open(tmp_path / name) as shown:
            told = shown.info.get("loop")
        assert told == (loop if name == "b.webp" or loop == 0 else (loop - 1 or None))


def test_mpeg4_keeps_fine_times(tmp_path: Path) -> None:
    """An encoder that knows only coarse units does not move frames: packets get their own times."""
    base = Fraction(1, 90000)
    times = [0, 3003, 7000, 9009, 20000, 20001, 33333]
    path = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(7)], times, base)
    clip = open_clip(path)
    assert times_of(clip) == [time * base for time in times]
    again = copied(clip, tmp_path / "b.mp4", codec="mpeg4")
    assert times_of(again) == times_of(clip)
    assert [frame.number for frame in again.frames()] == list(range(7))


def test_animated_webp_is_written_frame_by_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame is in the file before the next but one is asked for, and none is held back to the
    end; a clear part shows nothing of the frames before."""
    clip = open_clip(make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(12)]))
    clip.facts = replace(clip.facts, alpha=True)
    sizes: list[int] = []
    held = io.BytesIO()

    def frames() -> Iterator[Frame]:
        for number in range(12):
            hole = np.ones((48, 64), np.float32)
            hole[8:24, 4 * number : 4 * number + 12] = 0
            sizes.append(len(held.getbuffer()))
            yield Frame(number, number * STEP, STEP, planes_of(drifting(number)), hole)

    def fill(path: Path, data: Any, **_: Any) -> None:
        data(held)
        path.write_bytes(held.getvalue())

    monkeypatch.setattr(writing, "write_whole", fill)
    write(tmp_path / "b.webp", frames(), clip, target_for(tmp_path / "b.webp", clip.facts))
    assert sizes[11] > sizes[6] > sizes[3] > 500
    assert sizes[11] > 0.6 * len(held.getvalue())
    back = list(open_clip(tmp_path / "b.webp").frames())
    assert len(back) == 12
    for number, frame in enumerate(back):
        assert frame.alpha is not None
        assert np.all(frame.alpha[8:24, 4 * number : 4 * number + 12] < 0.02)
        assert frame.alpha.mean() == pytest.approx(1 - 16 * 12 / (48 * 64), abs=0.01)


@pytest.mark.parametrize(
    ("name", "codec", "form", "bits"),
    [
        ("b.webm", None, "rgba", 8),
        ("b.webm", None, "yuva444p10le", 10),
        ("b.mkv", "vp9", "yuva420p", 8),
        ("b.mkv", "ffv1", "yuva420p", 8),
        ("b.mov", "prores", "rgba", 8),
        ("b.mov", "prores", "yuva444p10le", 10),
        ("b.mp4", "vp9", "yuva420p", 8),
        ("b.mp4", None, "rgba", 8),
    ],
)
def test_transparency_of_clips_is_kept_or_left_out(
    tmp_path: Path, name: str, codec: str | None, form: str, bits: int
) -> None:
    """What is written with transparency is read with it, from the middle too; MP4 has none."""
    clip = open_clip(make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(6)]))
    clip.facts = replace(clip.facts, alpha=True, pixel_format=form, bits=bits)
    holes = np.ones((6, 48, 64), np.float32)
    for number, hole in enumerate(holes):
        hole[8:24, 8 * number : 8 * number + 12], hole[30:40] = 0, 0.5
    frames = (
        Frame(number, number * STEP, STEP, planes_of(drifting(number)), hole)
        for number, hole in enumerate(holes)
    )
    path = tmp_path / name
    write(path, frames, clip, target_for(path, clip.facts, codec))
    back = open_clip(path)
    assert back.facts.alpha == (path.suffix != ".mp4")
    for first in 0, 4:
        found = list(back.frames(Span(first * STEP)))
        assert [frame.time for frame in found] == [n * STEP for n in range(6 - first)]
        for frame, hole in zip(found, holes[first:], strict=True):
            if path.suffix == ".mp4":
                assert frame.alpha is None
                continue
            assert frame.alpha is not None
            assert np.abs(frame.alpha - hole).mean() < 0.02
    assert back.damaged == 0


def test_a_transparent_clip_is_decoded_from_its_key_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes from the middle is the same, and found without all that is before it."""
    path = make_clip(
        tmp_path / "a.webm",
        [drifting(i) for i in range(9)],
        codec="libvpx-vp9",
        pixel_format="yuva420p",
        options={"g": "3", "b": "0", "crf": "10", "lag-in-frames": "0"},
    )
    clip = open_clip(path)
    assert clip.facts.alpha
    whole, decode, skipped = list(clip.frames()), Clip._frames_of, list[int]()

    def noted(self: Clip, container: Any, first: int = 0) -> Any:
        skipped.append(first)
        return decode(self, container, first)

    monkeypatch.setattr(Clip, "_frames_of", noted)
    found = list(clip.frames(Span(7 * STEP)))
    assert skipped == [6]
    assert len(found) == 2
    for one, other in zip(found, whole[7:], strict=True):
        assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp"])
def test_frames_of_too_many_pixels_are_refused(tmp_path: Path, name: str) -> None:
    """The limit of pictures is that of a clip's frames."""
    clip = open_clip(make_clip(tmp_path / "b.mkv", [drifting(i) for i in range(3)]))
    copied(clip, tmp_path / name)
    assert open_clip(tmp_path / name, max_pixels=64 * 48).facts.width == 64
    with pytest.raises(TooLargeError, match=r"64 x 48 is 3,072 pixels.* --max-pixels 3072"):
        open_clip(tmp_path / name, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize("deep", [False, True])
def test_numbered_pictures_are_a_clip(tmp_path: Path, deep: bool) -> None:
    """Pictures in a folder are frames in the order of their numbers, at the rate that is asked for,
    with their depth; other files there do not matter."""
    import cv2

    folder = tmp_path / "shot.1"
    folder.mkdir()
    frames = [drifting(i) for i in range(12)]
    for number, values in enumerate(frames):
        stored = values.astype(np.uint16) * 257 + 1 if deep else values
        cv2.imwrite(str(folder / f"take2_{number * 5 + 3}.png"), stored[..., ::-1])
    (folder / "times.csv").write_text("file,seconds")
    (folder / "notes 7.txt").write_text("none")
    (folder / "title.png").write_bytes((folder / "take2_3.png").read_bytes())
    clip = open_clip(folder)
    assert (clip.facts.frames, clip.facts.bits, clip.facts.others) == (12, 16 if deep else 8, ())
    assert times_of(clip) == [i * STEP for i in range(12)]
    for shown, drawn in zip(clip.frames(), frames, strict=True):
        assert np.abs(shown.pixels - planes_of(drawn)).max() < 1e-4
    slow = open_clip(folder, rate=Fraction("23.976"))
    unit = Fraction(125, 2997)
    assert times_of(slow) == [i * unit for i in range(12)]
    part = list(slow.frames(Span(3 * unit, 9 * unit, 2), (32, 24)))
    assert [frame.time for frame in part] == [0, 2 * unit, 4 * unit]
    assert part[0].pixels.shape == (3, 24, 32)
    again = copied(slow, tmp_path / "b.mp4")
    assert times_of(again) == times_of(slow)
    assert again.facts.bits == (10 if deep else 8)


def test_a_folder_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    """A copy elsewhere is the same clip, whenever it was made; other contents or names are not,
    though of the same size."""
    folder = tmp_path / "shot"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(drifting(number)).save(folder / f"{number}.tif")
    known = folder_identity(folder)
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    os.utime(copy / "1.tif", (1, 1))
    there = folder_identity(copy)
    assert there["sha256"] == known["sha256"]
    assert there["path"] != known["path"]
    data = bytearray((copy / "1.tif").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "1.tif").write_bytes(data)
    assert folder_identity(copy)["sha256"] != known["sha256"]
    (folder / "2.tif").rename(folder / "3.tif")
    assert folder_identity(folder)["sha256"] != known["sha256"]


def test_what_is_wrong_with_a_folder_is_one_line(tmp_path: Path) -> None:
    """A folder without pictures, with two rows of them, or with one of another size or a damaged
    one is told by its name; a rate is only for folders."""
    folder = tmp_path / "shot"
    folder.mkdir()
    with pytest.raises(ImageError, match="shot: is a folder without numbered pictures"):
        open_clip(folder)
    for number in range(3):
        Image.fromarray(drifting(number)).save(folder / f"{number:03d}.png")
    with pytest.raises(TooLargeError, match="--max-pixels 3072"):
        open_clip(folder, max_pixels=3071)
    Image.fromarray(drifting(0)).save(folder / "other-2.jpg")
    with pytest.raises(OptionError, match=r"002\.png and other-2\.jpg have one number"):
        open_clip(folder)
    (folder / "other-2.jpg").unlink()
    Image.fromarray(drifting(0, 32, 32)).save(folder / "002.png")
    with pytest.raises(ImageError, match=r"002\.png: is 32 x 32 px, but 000\.png is 64 x 48 px"):
        times_of(open_clip(folder))
    (folder / "002.png").write_bytes((folder / "001.png").read_bytes()[:300])
    with pytest.raises(ImageError, match=r"002\.png: PNG picture is damaged"):
        times_of(open_clip(folder))
    path = make_clip(tmp_path / "a.mp4", [drifting(0)])
    with pytest.raises(OptionError, match="--rate: acts only on a folder of pictures"):
        open_clip(path, rate=Fraction(10))
