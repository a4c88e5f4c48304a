"""Clips are read and written with their times, colours and companions as they are."""

import errno
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("av")

import av

from impasto.clips import (
    Clip,
    Frame,
    FrameFolder,
    Span,
    check_copied,
    open_clip,
    target_for,
    write_clip,
)
from impasto.errors import ImageError, OptionError, OutputError
from moving import drifting, fill, make_clip, packets_of, planes_of, turn

UNEVEN = [0, 600, 1800, 2000, 3300, 3900, 5400, 6000, 9000, 9600]
FINE = Fraction(1, 15000)


def uneven_clip(folder: Path, name: str = "a.mp4", **more: Any) -> Path:
    """Ten frames of uneven times with sound."""
    base = FINE if name.endswith((".mp4", ".mov")) else Fraction(1, 1000)
    times = UNEVEN if base == FINE else [time // 5 for time in UNEVEN]
    frames = [drifting(i) for i in range(len(times))]
    sound = "libopus" if name.endswith(".webm") else "aac"
    return make_clip(folder / name, frames, times, base, **{"sound": sound, **more})


def copy(clip: Clip, path: Path, span: Span | None = None, **more: Any) -> Clip:
    """A clip written with its own frames, and read again."""
    target = target_for(path, clip.facts, **more)
    check_copied(path, clip, target)
    write_clip(path, clip.frames(span), clip, target, span=span)
    return open_clip(path)


def times_of(clip: Clip) -> list[Fraction]:
    """When its frames are shown, seconds."""
    return [frame.time for frame in clip.frames()]


def distance(a: Frame, b: Any) -> float:
    """Mean distance of a frame from another, or from uint8 values `(H, W, 3)`, in 255ths."""
    other = b.pixels * 255 if isinstance(b, Frame) else b.transpose(2, 0, 1)
    return float(np.abs(a.pixels * 255 - other).mean())


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_frames_have_the_times_and_colours_they_were_written_with(
    tmp_path: Path, name: str
) -> None:
    """What is read is what was encoded, at its exact times, even at an uneven rate."""
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    clip = open_clip(str(uneven_clip(tmp_path, name, codec=codec)))
    frames = list(clip.frames())
    unit = FINE if name == "a.mp4" else Fraction(1, 1000)
    step = 1 if name == "a.mp4" else 5
    assert [frame.time for frame in frames] == [time // step * unit for time in UNEVEN]
    assert [frame.number for frame in frames] == list(range(len(UNEVEN)))
    assert max(distance(frame, drifting(i)) for i, frame in enumerate(frames)) < 4


@pytest.mark.parametrize(
    ("source", "result"), [("a.mp4", "b.mp4"), ("a.mp4", "b.mov"), ("a.mkv", "b.mkv")]
)
def test_times_and_sound_survive_exactly(tmp_path: Path, source: str, result: str) -> None:
    """A clip written anew has the same frame times and, packet for packet, the same sound."""
    clip = open_clip(uneven_clip(tmp_path, source))
    again = copy(clip, tmp_path / result)
    assert times_of(again) == times_of(clip)
    sound = packets_of(tmp_path / result, "audio")
    assert len(sound) > 5
    assert sound == packets_of(tmp_path / source, "audio")
    pairs = zip(again.frames(), clip.frames(), strict=True)
    assert max(distance(a, b) for a, b in pairs) < 5


def test_the_last_frame_is_shown_as_long_as_before(tmp_path: Path) -> None:
    """Nothing follows the last frame; its duration is kept all the same."""
    clip = open_clip(make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(4)]))
    for name in "b.mp4", "b.webp":
        last = list(copy(clip, tmp_path / name).frames())[-1]
        assert last.duration == Fraction(1, 25)


@pytest.mark.parametrize(
    ("codec", "name"),
    [(codec, name) for codec in ("h264", "h265", "mpeg4") for name in ("b.mp4", "b.mov")]
    + [("av1", "b.mp4")],
)
@pytest.mark.parametrize("last", [2000, 70, 10])
def test_a_last_frame_of_its_own_duration_keeps_it(
    tmp_path: Path, codec: str, name: str, last: int
) -> None:
    """However frames depend on one another, the last one stands as long as in the clip, and the
    container is as long as all of them."""
    from PIL import Image

    frames = [Image.fromarray(drifting(i)) for i in range(8)]
    times = [100, 40, 300, 80, 40, 60, 70, last]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=times)
    clip = open_clip(tmp_path / "a.gif")
    target = target_for(tmp_path / name, clip.facts, codec)
    write_clip(tmp_path / name, clip.frames(), clip, target)
    again = list(open_clip(tmp_path / name).frames())
    assert [frame.duration for frame in again] == [Fraction(time, 1000) for time in times]
    assert [int(np.argmin([distance(f, drifting(i)) for i in range(8)])) for f in again] == [
        *range(8)
    ]
    with av.open(str(tmp_path / name)) as film:
        assert film.duration == pytest.approx(1000 * sum(times), abs=1001)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
def test_frames_are_shown_until_the_next_one(tmp_path: Path, name: str) -> None:
    """At an uneven rate too, with frames left out, and in a part that ends while one is shown;
    nothing is shown longer than the clip or the part."""
    codec = "libvpx-vp9" if name == "a.webm" else "mpeg4" if name == "a.avi" else "libx264"
    frames = [drifting(i) for i in range(len(UNEVEN))]
    base = {"a.mp4": FINE, "a.avi": Fraction(1, 25)}.get(name, Fraction(1, 1000))
    times = [round(time * FINE / base) for time in UNEVEN]
    times = list(range(len(UNEVEN))) if name == "a.avi" else times
    clip = open_clip(make_clip(tmp_path / name, frames, times, base, codec=codec))
    shown = [time * base for time in times]
    for every in 1, 4, 20:
        starts, end = shown[::every], shown[5] + base
        whole = list(clip.frames(Span(every=every), pixels=False))
        assert [frame.time for frame in whole] == starts
        ends = [frame.time + frame.duration for frame in whole]
        assert ends[:-1] == starts[1:]
        assert shown[-1] < ends[-1] <= shown[-1] + Fraction(1, 10)
        begin = shown[2] - base / 2
        part = list(clip.frames(Span(begin, end, every), pixels=False))
        assert len(part) == -(-4 // every)
        ends = [frame.time + frame.duration + begin for frame in part]
        assert ends == [*shown[2 + every : 6 : every], end]


def test_chapters_and_subtitles_go_along(tmp_path: Path) -> None:
    """Chapters, subtitles and names of streams are those of the clip."""
    made = make_clip(
        tmp_path / "a.mkv",
        [drifting(i) for i in range(20)],
        [40 * i for i in range(20)],
        Fraction(1, 1000),
        sound="aac",
        subtitles=True,
    )
    mixed = tmp_path / "with.mkv"
    add_subtitles(made, mixed)
    clip = open_clip(mixed)
    assert [kind for kind, _ in clip.facts.others] == ["audio", "subtitle"]
    copy(clip, tmp_path / "b.mkv")
    assert packets_of(tmp_path / "b.mkv", "subtitle") == packets_of(mixed, "subtitle")
    assert packets_of(tmp_path / "b.mkv", "audio") == packets_of(mixed, "audio")
    with av.open(str(tmp_path / "b.mkv")) as result, av.open(str(mixed)) as source:
        assert [c["metadata"]["title"] for c in result.chapters()] == ["first", "second"]
        assert [(c["start"], c["end"]) for c in result.chapters()] == [
            (c["start"], c["end"]) for c in source.chapters()
        ]
        assert result.streams.subtitles[0].metadata["language"] == "eng"


def test_words_on_screen_at_the_start_are_kept(tmp_path: Path) -> None:
    """A subtitle that began before --start is shown from there on for as long as it was left; one
    that was gone by then is not."""
    frames, times = [drifting(i) for i in range(20)], [40 * i for i in range(20)]
    path = make_clip(tmp_path / "a.mkv", frames, times, Fraction(1, 1000))
    add_subtitles(path, tmp_path / "s.mkv")
    clip = open_clip(tmp_path / "s.mkv")
    for start, expected in [
        (Fraction(1, 5), [(b"One", 0, 100), (b"Two", 200, 300)]),
        (Fraction(3, 10), [(b"Two", 100, 300)]),
        (Fraction(3, 5), [(b"Two", 0, 100)]),
    ]:
        copy(clip, tmp_path / f"{start.denominator}{start.numerator}.mkv", Span(start))
        with av.open(str(tmp_path / f"{start.denominator}{start.numerator}.mkv")) as film:
            found = [(bytes(p), p.pts, p.duration) for p in film.demux(subtitles=0) if p.size]
        assert found == expected


def add_subtitles(clip: Path, result: Path) -> None:
    """The clip with two lines of text."""
    text = clip.with_suffix(".srt")
    text.write_text(
        "1\n00:00:00,100 --> 00:00:00,300\nOne\n\n2\n00:00:00,400 --> 00:00:00,700\nTwo"
    )
    with av.open(str(clip)) as one, av.open(str(text)) as two, av.open(str(result), "w") as out:
        places = {s.index: out.add_stream_from_template(cast("Any", s)) for s in one.streams}
        words = out.add_stream_from_template(cast("Any", two.streams[0]))
        words.metadata["language"] = "eng"
        out.set_chapters(one.chapters())
        for packet in one.demux():
            if packet.size:
                packet.stream = places[packet.stream_index]
                out.mux(packet)
        for packet in two.demux():
            if packet.size:
                packet.stream = words
                out.mux(packet)


def test_a_part_of_a_clip_begins_at_zero(tmp_path: Path) -> None:
    """--start and --end choose frames by their times and cut sound and chapters with them."""
    path = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(30)], sound="aac")
    clip = open_clip(path)
    span = Span(Fraction(2, 5), Fraction(4, 5))
    part = copy(clip, tmp_path / "b.mp4", span)
    assert times_of(part) == [Fraction(i, 25) for i in range(10)]
    assert distance(next(part.frames()), drifting(10)) < 8
    cut = [
        (data, time - span.start)
        for data, time, _ in packets_of(path, "audio")
        if span.start <= time < Fraction(4, 5)
    ]
    kept = packets_of(tmp_path / "b.mp4", "audio")
    assert len(kept) > 15
    assert [data for data, _, _ in kept] == [data for data, _ in cut]
    moved = (abs(a[1] - b[1]) for a, b in zip(kept, cut, strict=True))
    assert max(moved) < Fraction(1, 1000)
    third = list(clip.frames(Span(Fraction(2, 5), Fraction(4, 5), every=3)))
    assert [frame.time for frame in third] == [Fraction(i, 25) for i in (0, 3, 6, 9)]
    assert [frame.number for frame in third] == [0, 1, 2, 3]


def test_turned_clips_come_upright(tmp_path: Path) -> None:
    """Phones note how they were held; frames are turned as players turn them, and not twice."""
    frames = [drifting(i) for i in range(4)]
    clip = open_clip(turn(make_clip(tmp_path / "a.mp4", frames)))
    assert (clip.facts.width, clip.facts.height) == (48, 64)
    clockwise = np.rot90(frames[1], -1)
    assert distance(list(clip.frames())[1], clockwise) < 4
    again = copy(clip, tmp_path / "b.mp4")
    assert distance(list(again.frames())[1], clockwise) < 5


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    """A clip whose pixels are wider than high is shown as wide as players show it."""
    frames = [drifting(i) for i in range(3)]
    ratio = Fraction(4, 3)
    clip = open_clip(make_clip(tmp_path / "a.mp4", frames, sample_aspect_ratio=ratio))
    assert clip.size(None) == (85, 48)
    assert next(clip.frames()).pixels.shape == (3, 48, 85)


@pytest.mark.parametrize(
    ("matrix", "kr", "kb"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)]
)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
def test_matrix_range_and_depth_are_kept(
    tmp_path: Path, matrix: int, kr: float, kb: float, full: bool, bits: int
) -> None:
    """Colours follow the clip's matrix and range by their formula, both in and out, and the result
    says the same of itself."""
    color = np.array([200, 90, 40], np.float64) / 255
    luma = kr * color[0] + (1 - kr - kb) * color[1] + kb * color[2]
    blue, red = (color[2] - luma) / (2 - 2 * kb), (color[0] - luma) / (2 - 2 * kr)
    top = (1 << bits) - 1
    low, span, middle = 16 << (bits - 8), 219 << (bits - 8), 128 << (bits - 8)
    chroma = 224 << (bits - 8)
    y = luma * top if full else low + luma * span
    u, v = (middle + part * (top if full else chroma) for part in (blue, red))
    planes = [
        np.full((48, 64), round(value), np.uint16 if bits > 8 else np.uint8) for value in (y, u, v)
    ]
    form = "yuv444p10le" if bits > 8 else "yuv444p"
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = cast("Any", out.add_stream("libx264", rate=25, options={"qp": "0"}))
        stream.width, stream.height, stream.pix_fmt = 64, 48, form
        context = stream.codec_context
        context.color_range, context.colorspace = 2 if full else 1, matrix
        context.color_primaries = context.color_trc = 1
        for number in range(2):
            frame = av.VideoFrame(64, 48, form)
            for plane, values in zip(frame.planes, planes, strict=True):
                fill(plane, values)
            frame.pts = number
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    clip = open_clip(path)
    assert (clip.facts.bits, clip.facts.matrix, clip.facts.full_range) == (bits, matrix, full)
    found = next(clip.frames()).pixels.mean((1, 2))
    assert found == pytest.approx(color, abs=2 / 255)
    again = copy(clip, tmp_path / "b.mkv")
    for name in "bits", "matrix", "full_range", "primaries", "transfer", "pixel_format":
        assert getattr(again.facts, name) == getattr(clip.facts, name), name
    assert next(again.frames()).pixels.mean((1, 2)) == pytest.approx(found, abs=2.5 / 255)


@pytest.mark.parametrize("name", ["b.gif", "b.webp"])
def test_animations_go_in_and_out(tmp_path: Path, name: str) -> None:
    """Animated GIF and WebP keep the times that they can hold, size and count of frames."""
    times = [0, 40, 120, 150, 250]
    frames = [drifting(i) for i in range(5)]
    clip = open_clip(make_clip(tmp_path / "a.mkv", frames, times, Fraction(1, 1000)))
    animation = copy(clip, tmp_path / name)
    assert times_of(animation) == [Fraction(time, 1000) for time in times]
    pairs = zip(animation.frames(), clip.frames(), strict=True)
    assert max(distance(a, b) for a, b in pairs) < 9
    again = copy(animation, tmp_path / f"c{Path(name).suffix}")
    assert times_of(again) == times_of(animation)
    movie = copy(animation, tmp_path / "c.mp4")
    assert times_of(movie) == times_of(animation)


def test_transparency_of_animations_is_kept(tmp_path: Path) -> None:
    """What is transparent in an animation is so in the next one."""
    clip = open_clip(make_clip(tmp_path / "a.mkv", [drifting(i) for i in range(3)]))
    clip.facts = replace(clip.facts, alpha=True)
    hole = np.ones((48, 64), np.float32)
    hole[10:30, 20:40] = 0

    def frames() -> Iterator[Frame]:
        for number in range(3):
            pixels = planes_of(drifting(number))
            yield Frame(number, Fraction(number, 10), Fraction(1, 10), pixels, hole)

    for name in "b.gif", "b.webp":
        target = target_for(tmp_path / name, clip.facts)
        write_clip(tmp_path / name, frames(), clip, target)
        back = open_clip(tmp_path / name)
        assert back.facts.alpha
        for frame in back.frames():
            assert frame.alpha is not None
            assert np.abs(frame.alpha - hole).max() < 0.02


def test_damage_is_counted_and_passed_over(tmp_path: Path) -> None:
    """A clip with damaged parts gives the frames that are left, and the count of the faults."""
    path = make_clip(
        tmp_path / "a.mkv", [drifting(i) for i in range(60)], options={"g": "10", "bf": "0"}
    )
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) // 2):
        data[place] = (data[place] * 7 + 31) % 256
    path.write_bytes(data)
    clip = open_clip(path)
    frames = list(clip.frames())
    assert 20 < len(frames) <= 60
    assert clip.damaged > 0
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("no.mp4", None, "No such file"),
        ("empty.mp4", b"", "cannot be read"),
        ("text.mp4", b"hello " * 100, "cannot be read"),
        ("broken.gif", b"GIF89a" + b"\x00" * 20, "cannot be read"),
    ],
)
def test_what_is_no_clip_is_one_line(
    tmp_path: Path, name: str, contents: bytes | None, says: str
) -> None:
    """A missing, empty or foreign file is told by its name and fault."""
    path = tmp_path / name
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(ImageError, match=says) as caught:
        open_clip(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    """A file without a moving picture is refused, and so is one whose frames cannot be decoded."""
    clip = uneven_clip(tmp_path)
    with av.open(str(clip)) as one, av.open(str(tmp_path / "b.m4a"), "w", format="mp4") as out:
        copy = out.add_stream_from_template(cast("Any", one.streams.audio[0]))
        for packet in one.demux(audio=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    with pytest.raises(ImageError, match="no moving picture, only audio"):
        open_clip(tmp_path / "b.m4a")
    data = bytearray(clip.read_bytes())
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    clip.write_bytes(data)
    with pytest.raises(ImageError, match="no frame of it can be decoded"):
        open_clip(clip)


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    """Containers, codecs and sound that do not fit are refused before any work."""
    clip = open_clip(uneven_clip(tmp_path))
    facts = clip.facts
    for name, more, says in [
        ("b.xyz", {}, "cannot be written"),
        ("b.webm", {"codec": "h264"}, "cannot hold it"),
        ("b.mp4", {"crf": 99}, "must lie in 0 to 51"),
        ("b.gif", {"crf": 20}, "no such setting"),
        ("frames", {"crf": 20}, "acts only on clips"),
    ]:
        with pytest.raises(OptionError, match=says):
            target_for(tmp_path / name, facts, **cast("Any", more))
    with pytest.raises(OptionError, match=r"\.webm cannot hold the clip's audio \(aac\)"):
        check_copied(tmp_path / "b.webm", clip, target_for(tmp_path / "b.webm", facts))
    assert target_for(tmp_path / "b.webm", facts, "av1").encoder == "libsvtav1"
    assert target_for(tmp_path / "b.mp4", facts).even


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    """Where frames fail in the middle, or the disk is full, the result's name stays free."""
    clip = open_clip(uneven_clip(tmp_path))
    target = target_for(tmp_path / "b.mp4", clip.facts)

    def failing(error: BaseException) -> Iterator[Frame]:
        frames = clip.frames()
        yield next(frames)
        yield next(frames)
        raise error

    for error, expected in [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (ImageError("gone"), "gone"),
    ]:
        with pytest.raises((OutputError, ImageError), match=expected):
            write_clip(tmp_path / "b.mp4", failing(error), clip, target)
        assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    copy(clip, tmp_path / "b.mp4")
    with pytest.raises(OutputError, match="exists already"):
        write_clip(tmp_path / "b.mp4", clip.frames(), clip, target)


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """Reading and writing hold a few frames at a time, however many there are."""
    path = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(200)])
    clip = open_clip(path)
    frame = 3 * 48 * 64 * 4
    tracemalloc.start()
    write_clip(tmp_path / "b.mp4", clip.frames(), clip, target_for(tmp_path / "b.mp4", clip.facts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * frame


@pytest.mark.parametrize("bits", [8, 16])
def test_a_folder_of_frames_gives_back_what_was_put_in(tmp_path: Path, bits: int) -> None:
    """Numbered PNGs hold every value of their depth, are read by others, and say whether they are
    whole."""
    from PIL import Image

    folder = FrameFolder(tmp_path / "frames", bits)
    pixels = planes_of(drifting(3))
    assert not folder.has(0)
    kept = folder.write(0, pixels)
    read, alpha = folder.read(0)
    assert alpha is None
    assert np.array_equal(read, kept)
    assert np.abs(read - pixels).max() <= 0.51 / (255 if bits == 8 else 65535)
    with Image.open(tmp_path / "frames" / "000001.png") as other:
        assert np.array_equal(np.asarray(other.convert("RGB")), drifting(3)) or bits == 16
    assert folder.has(0)
    whole = folder.path(0).read_bytes()
    folder.path(0).write_bytes(whole[:-20])
    assert not folder.has(0)
    folder.remove()
    assert not folder.folder.exists()
