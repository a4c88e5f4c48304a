"""A clip that is painted in segments is the same whoever paints them, and shows no seam."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("av")
pytest.importorskip("cv2")

from PIL import Image

from impasto import locks, video
from impasto.cli import main
from impasto.clips import Span, open_clip
from impasto.errors import ImageError, OptionError, OutputError, RunError
from impasto.flow import Plane, brightness
from impasto.painters import Task
from impasto.segments import Order, SegmentedRun, _moved, plan_parts
from impasto.temporal import link
from impasto.video import ClipRun, Part
from impasto.video_options import VideoOptions
from moving import (
    drifting,
    frames_in,
    grainy,
    make_clip,
    packets_of,
    planes_of,
    warping_error,
)
from plain_painter import PlainPainter
from stand_ins import options_of, soft_picture
from tiny_networks import table_file

STEP = Fraction(1, 25)


class Counter(PlainPainter):
    """A painter whose frames tell which frame of their scene they are: they brighten from one to
    the next, by what is expected of them."""

    def paint(self, task: Task) -> Plane:
        """Black where a scene begins, else 8/255 more than the frame before."""
        frame, expected = super().paint(task), task.expected
        before = -8 / 255 if expected is None else float(np.median(expected.pixels))
        return np.full_like(frame, before + 8 / 255)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Segments set PyTorch's threads; other tests have those that they had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames with sound and several key frames."""
    frames = [drifting(i) for i in range(12)]
    return make_clip(tmp_path / "a.mp4", frames, sound="aac", options={"g": "5"})


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A small random network that knows a style."""
    return table_file(tmp_path / "net.safetensors", ["mosaic"])


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[Counter]:
    """Has orders painted by counters; they are in the list."""
    made: list[Counter] = []

    def painter(self: Order) -> Counter:
        made.append(Counter())
        return made[-1]

    monkeypatch.setattr(Order, "painter", painter)
    return made


def order_for(clip: Path, output: Path, **video: Any) -> Order:
    """An order for a picture's size of 64 px."""
    return Order(clip, output, ["mosaic"], options_of(size=64), VideoOptions(**video))


def levels_in(folder: Path) -> list[int]:
    """The value of each frame of a folder that counters painted."""
    from impasto.clips import FrameFolder

    frames = FrameFolder(folder)
    count = len(list(folder.glob("*.png")))
    return [round(float(np.median(frames.read(n)[0])) * 255) for n in range(count)]


def test_a_clip_is_divided_evenly_and_at_cuts(tmp_path: Path) -> None:
    """Segments are as long as each other and overlap; one that would begin near a cut begins there
    and does not overlap. Every frame has its exact time."""
    frames = [drifting(i) for i in range(11)]
    frames += [255 - drifting(i)[::-1, ::-1] // 2 for i in range(19)]
    film = open_clip(make_clip(tmp_path / "a.mp4", frames))
    found = plan_parts(film, Span(), 3, overlap=4)
    rows = [(s.part.number, s.part.first, s.part.count, s.overlap) for s in found]
    assert rows == [(1, 0, 11, 0), (2, 11, 9, 0), (3, 16, 14, 4)]
    assert [s.part.start / STEP for s in found] == [0, 11, 16]
    assert [s.part.end and s.part.end / STEP for s in found] == [11, 20, None]
    some = plan_parts(film, Span(12 * STEP, 30 * STEP, 2), 2, overlap=99)
    rows = [(s.part.first, s.part.count, s.part.start / STEP, s.overlap) for s in some]
    assert rows == [(0, 4, 12, 0), (0, 9, 12, 4)]
    assert len(plan_parts(film, Span(Fraction(0), 3 * STEP), 9)) == 3
    with pytest.raises(OptionError, match="no frames from --start 5 on; its last"):
        plan_parts(film, Span(Fraction(5)), 2)


def test_segments_are_faded_into_each_other(
    clip: Path, tmp_path: Path, counting: list[Counter]
) -> None:
    """Each segment is what it is as a clip of its own, and what the one before has otherwise in its
    last frame falls by equal steps in the frames after it; sound and times are the clip's."""
    still = make_clip(tmp_path / "still.mp4", [drifting(0)] * 12)
    run = SegmentedRun(order_for(still, tmp_path / "b"), 2)
    told = list(run)
    assert [progress.done for progress in told] == list(range(1, 17))
    assert {(progress.total, progress.twice) for progress in told} == {(16, 4)}
    assert (told[0].remaining, told[-1].remaining) == (None, 0)
    assert run.frames == 12
    run.finish()
    assert len(counting) == 1
    third = SegmentedRun(order_for(still, tmp_path / "c"), 4)
    assert len(list(third)) == 12 + 3 * 3
    third.finish()
    # Segments begin at these frames, and end before those.
    for name, begins, ends in [("b", [0, 2], [6, 12]), ("c", [0, 0, 3, 6], [3, 6, 9, 12])]:
        expected: list[float] = []
        for begin, end in zip(begins, ends, strict=True):
            own = [8.0 * (number - begin) for number in range(12)]
            last = len(expected) - 1
            more = expected[last] - own[last] if expected else 0
            expected += [own[n] + more * (1 - (n - last) / 121) for n in range(last + 1, end)]
        assert np.abs(np.subtract(levels_in(tmp_path / name), expected)).max() <= 1
    film = SegmentedRun(order_for(clip, tmp_path / "d.mp4"), 3)
    list(film)
    film.finish()
    times = [[f.time for f in open_clip(p).frames()] for p in (clip, tmp_path / "d.mp4")]
    assert times[0] == times[1]
    assert packets_of(tmp_path / "d.mp4", "audio") == packets_of(clip, "audio")
    assert not film.folder.exists()


@pytest.mark.parametrize(("segments", "passes"), [(1, 1), (1, 2), (3, 1)])
def test_numbered_pictures_keep_transparency(
    tmp_path: Path, counting: list[Counter], segments: int, passes: int
) -> None:
    """What is clear in an animation is so in the folder of its painted frames, whoever painted
    them and however often, and in their fades too."""
    from impasto.clips import FrameFolder

    made = []
    for number in range(12):
        values = np.dstack([drifting(number), np.full((48, 64), 255, np.uint8)])
        values[10:30, 3 * number : 3 * number + 20, 3] = 40
        made.append(Image.fromarray(values))
    path = tmp_path / "a.webp"
    made[0].save(path, save_all=True, append_images=made[1:], duration=40, lossless=True)
    order = order_for(path, tmp_path / "frames", passes=passes)
    run = SegmentedRun(order, segments) if segments > 1 else order.run(order.painter())
    list(run)
    run.finish()
    frames = FrameFolder(tmp_path / "frames")
    for number, image in enumerate(made):
        _, alpha = frames.read(number)
        assert alpha is not None
        assert np.array_equal(np.rint(alpha * 255), np.asarray(image)[..., 3])


@pytest.mark.parametrize("style_changes", [False, True])
def test_nothing_is_added_beyond_a_cut(
    tmp_path: Path, counting: list[Counter], *, style_changes: bool
) -> None:
    """What a segment had otherwise ends with its scene, and with a style that ends at once."""
    other = drifting(0) if style_changes else 255 - drifting(9)[::-1, ::-1] // 2
    film = make_clip(tmp_path / "a.mp4", [drifting(0)] * 12 + [other] * 4)
    order = order_for(film, tmp_path / "b")
    if style_changes:
        order = replace(order, styles=["a", "b"], video=VideoOptions(at=(0, 0.48), fade=0))
    run = SegmentedRun(order, 2)
    list(run)
    assert [(seam.part.first, seam.overlap) for seam in run._seams] == [(0, 0), (4, 4)]
    added = [more if more is None else float(more.max()) * 255 for _, _, more in run._joined()]
    assert added[:8] == [None] * 8
    assert added[8:12] == pytest.approx([32 * (1 - n / 121) for n in (1, 2, 3, 4)], abs=0.1)
    assert added[12:] == [None] * 4


def test_what_is_added_goes_with_the_picture_and_stands_with_it() -> None:
    """It is moved along with the flow of what moves; grain moves nothing."""
    rest = planes_of(soft_picture(64, 48, 3)) - np.float32(0.5)
    one, other = (brightness(planes_of(drifting(number))) for number in (1, 0))
    moved = _moved(rest, link(one, other, quick=True), one, other)
    error = np.abs(moved[:, :, 2:] - rest[:, :, :-2])[:, 8:-8, 8:-8]
    assert error.mean() < 0.03 < np.abs(moved - rest)[:, 8:-8, 8:-8].mean() / 3
    one, other = (brightness(planes_of(frame)) for frame in grainy(2, still=True))
    assert np.array_equal(_moved(rest, link(one, other, quick=True), one, other), rest)


def test_segments_go_on_where_they_were(
    clip: Path, tmp_path: Path, counting: list[Counter]
) -> None:
    """Wherever a run ends, the next one paints only what is missing, in several passes too."""

    def run(name: str) -> SegmentedRun:
        return SegmentedRun(order_for(clip, tmp_path / name, passes=2), 3)

    whole = run("whole")
    total = len(list(whole))
    assert total == 2 * (12 + 4 + 4)
    whole.finish()
    for ends in [(3, 6), (14, 22), (39,)]:
        name = "-".join(map(str, ends))
        for end in ends:
            for made, progress in enumerate(run(name), start=1):
                assert progress.done - progress.resumed == made
                if made == end:
                    break
        last = run(name)
        assert len(list(last)) == total - sum(ends)
        assert len(counting[-1].asked) == total - sum(ends)
        last.finish()
        assert frames_in(tmp_path / name) == frames_in(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("still", [True, False])
def test_no_seam_shows(narrow: Any, make_png: Any, tmp_path: Path, *, still: bool) -> None:
    """At the defaults, neighbouring frames of a clip with grain differ at a seam and after it
    hardly more than elsewhere, along the true motion; without what fades they would."""
    clip = make_clip(tmp_path / "a.mp4", grainy(24, still=still))
    painting = str(make_png("painting.png", 36, 36, 2))
    options = options_of(size=64, evaluations=30)
    joined, whole = (
        SegmentedRun(Order(clip, tmp_path / str(count), [painting], options), count)
        for count in (2, 1)
    )
    steps: list[NDArray[np.float64]] = []
    for run in joined, whole:
        list(run)
        results = [frame.pixels for frame in run._finished()]
        pairs = pairwise(results)
        steps.append(np.array([warping_error([a, b], still=still) ** 0.5 for a, b in pairs]))
    seam = joined._seams[1]
    assert (seam.part.first, seam.overlap) == (8, 4)
    # The first frames of a scene change the most; they are no measure.
    assert steps[0][11:].max() <= 1.2 * steps[1][3:].max()
    assert steps[0][11:].mean() <= 1.2 * steps[1][3:].mean()
    last, first = (
        joined._segments_own(one, number)
        for one, number in zip(joined._seams, (11, 12), strict=True)
    )
    assert warping_error([last, first], still=still) ** 0.5 > 3 * steps[1][3:].max()


def test_each_segment_may_be_painted_elsewhere(
    clip: Path, network: Path, tmp_path: Path, capsys: Any
) -> None:
    """Segments painted one by one, in any order, join to the frames of a run that paints them all;
    one that is missing is painted then."""
    command = ["video", str(clip), "mosaic", "--fast", "--network", str(network), "--size", "64"]
    command += ["--segments", "3", "-o"]
    assert main([*command, str(tmp_path / "whole"), "-q"]) == 0
    for number in "3", "1":
        assert main([*command, str(tmp_path / "b"), "--segment", number, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["segment"], found["segments"], found["painted"] > 0) == (int(number), 3, True)
        assert not (tmp_path / "b").exists()
    assert main([*command, str(tmp_path / "b"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["painted"]) == (12, 8)
    assert found["settings"]["segments"] == 3
    assert found["settings"]["network"]["precision"] == "float32"
    assert frames_in(tmp_path / "b") == frames_in(tmp_path / "whole")


def test_two_do_not_paint_one_segment_at_once(
    clip: Path, tmp_path: Path, counting: list[Counter]
) -> None:
    """While a segment is painted, others may be, but not the same one; nor may all be deleted."""
    order = order_for(clip, tmp_path / "b")
    first = iter(SegmentedRun(order, 3, only=1))
    next(first)
    other = SegmentedRun(order, 3, only=2)
    assert len(list(other)) == 8
    with pytest.raises(OutputError, match="another run is at work"):
        list(SegmentedRun(order, 3, only=1))
    with pytest.raises(OutputError, match="frames of another run"):
        list(SegmentedRun(order_for(clip, tmp_path / "b", hold=3), 3))
    assert next(first).number == 1


def test_two_segments_may_begin_in_the_same_moment(
    clip: Path, tmp_path: Path, counting: list[Counter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that begins while another one takes up the folder waits for it, and both paint."""
    order = order_for(clip, tmp_path / "b")
    first, other = SegmentedRun(order, 3, only=1), SegmentedRun(order, 3, only=2)
    waits, began, made = threading.Event(), threading.Event(), list[int]()
    thread = threading.Thread(target=lambda: made.extend(p.number for p in other))
    known, locked = video.kept_record, locks._locked

    def look(folder: Path) -> Any:
        found = known(folder)
        if not began.is_set() and threading.current_thread() is not thread:
            began.set()
            thread.start()
            while not waits.wait(0.01) and not (folder / "run.json").exists():
                assert thread.is_alive()
        return found

    def lock(file: Any, wait: bool = False) -> bool:
        if wait and threading.current_thread() is thread:
            waits.set()
        return locked(file, wait)

    monkeypatch.setattr(video, "kept_record", look)
    monkeypatch.setattr(locks, "_locked", lock)
    assert len(list(first)) == 4
    thread.join()
    assert len(made) == 8
    assert began.is_set()


def test_nothing_of_a_run_at_work_is_deleted(
    clip: Path, tmp_path: Path, counting: list[Counter]
) -> None:
    """With --overwrite, other settings delete the frames of nobody who is at work: of no whole run
    for the sake of a segment, and of no other segments before one that is painted."""
    whole = ClipRun(clip, tmp_path / "a", Counter(), VideoOptions(), 64, styles=1)
    steps = iter(whole)
    next(steps)
    order = replace(order_for(clip, tmp_path / "a"), overwrite=True)
    with pytest.raises(OutputError, match="another run is at work"):
        list(SegmentedRun(order, 3, only=1))
    assert len(list(steps)) == 11
    whole.finish()
    order = order_for(clip, tmp_path / "b")
    list(SegmentedRun(order, 3, only=1))
    other = iter(SegmentedRun(order, 3, only=3))
    next(other)
    before = sorted((tmp_path / "b.frames").rglob("*.png"))
    anew = replace(order, video=VideoOptions(hold=7), overwrite=True)
    with pytest.raises(OutputError, match="another run is at work"):
        list(SegmentedRun(anew, 3))
    assert sorted((tmp_path / "b.frames").rglob("*.png")) == before
    assert len(list(other)) == 7


def test_what_would_be_deleted_is_not_read(clip: Path, tmp_path: Path) -> None:
    """Frames that a run has left, or a mask among them, are nothing to paint the same result of."""
    inside = tmp_path / "b.mp4.frames" / "1"
    order = Order(inside, tmp_path / "b.mp4", ["mosaic"])
    for one in (
        order,
        replace(order, clip=clip, styles=[str(inside / "000001.png")]),
        replace(order, clip=clip, masks=[f"{inside}#ff0000"]),
    ):
        with pytest.raises(OutputError, match="lies among the unfinished frames"):
            one.run(Counter())
        with pytest.raises(OutputError, match="lies among the unfinished frames"):
            SegmentedRun(one, 2)


@pytest.mark.parametrize(
    "plan",
    [
        "[]",
        "{}",
        "[7]",
        '[{"number":1,"first":0,"count":12,"start":"1/0","end":null,"overlap":0}]',
        '[{"number":1,"first":0,"count":"x","start":"0","end":null,"overlap":0}]',
    ],
)
def test_a_damaged_plan_is_made_again(
    clip: Path, tmp_path: Path, counting: list[Counter], plan: str
) -> None:
    """The plan follows from the clip, so that one that cannot be read does not matter."""
    order = order_for(clip, tmp_path / "b")
    list(SegmentedRun(order, 3, only=1))
    (tmp_path / "b.frames" / "plan.json").write_text(plan)
    assert len(list(SegmentedRun(order, 3))) == 8 + 8


@pytest.mark.parametrize("threads", ["x", 0.5, -3, None])
def test_a_number_that_cannot_be_is_not_taken_up(
    clip: Path, tmp_path: Path, counting: list[Counter], threads: object
) -> None:
    """What a run has noted of its threads and memory counts only where it can be."""
    order = order_for(clip, tmp_path / "b")
    next(iter(SegmentedRun(order, 3)))
    path = tmp_path / "b.frames" / "run.json"
    noted = json.loads(path.read_text())
    path.write_text(json.dumps({**noted, "threads": threads, "memory": threads}))
    assert len(list(run := SegmentedRun(order, 3))) == 8 + 12 - 1
    assert run._threads >= 1


def test_a_run_without_a_frame_stands_in_nobodys_way(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing was finished, nothing stays, and other settings are welcome."""

    def fail(self: Counter, task: Task) -> Plane:
        raise RunError("no memory")

    def run(hold: float) -> ClipRun:
        video = VideoOptions(hold=hold)
        return ClipRun(clip, tmp_path / "b", Counter(), video, 64, styles=1)

    paint = Counter.paint
    monkeypatch.setattr(Counter, "paint", fail)
    with pytest.raises(RunError, match="no memory"):
        list(run(40))
    assert not (tmp_path / "b.frames").exists()
    monkeypatch.setattr(Counter, "paint", paint)
    next(iter(run(40)))
    (tmp_path / "b.frames" / "1" / "000001.png").unlink()  # as if killed before
    assert len(list(run(7))) == 12


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--workers", "2"], "--workers: acts only with --segments"),
        (["--segment", "2"], "--segment: acts only with --segments"),
        (["--segments", "2", "--segment", "3"], "--segment 3: must lie in 1 to 2"),
        (["--segments", "2", "--workers", "3"], "--workers 3: must lie in 1 to 2"),
        (["--segments", "0"], "--segments 0: must lie in 1 to 1000"),
    ],
)
def test_bad_numbers_are_one_line(
    clip: Path, tmp_path: Path, capsys: Any, more: list[str], says: str
) -> None:
    """Numbers that cannot be are told before anything is painted."""
    assert main(["video", str(clip), "mosaic", "--fast", "-o", str(tmp_path / "b"), *more]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert says in told[-1]
    assert not (tmp_path / "b.frames").exists()


def test_a_segment_that_a_short_clip_has_not_is_told(
    clip: Path, tmp_path: Path, counting: list[Counter]
) -> None:
    """A clip of twelve frames has twelve segments at most."""
    with pytest.raises(OptionError, match="--segment 13: the clip has frames for 12 segments only"):
        list(SegmentedRun(order_for(clip, tmp_path / "b"), 20, only=13))
    assert counting == []


def test_a_part_that_is_not_found_is_told(clip: Path, tmp_path: Path) -> None:
    """Where a file gives other frames from the middle than from its beginning, nothing is made of
    them."""
    wrong = Part(2, 4, 9, 4 * STEP, None), Part(2, 4, 8, Fraction(7, 50), None)
    for name, part in zip("bc", wrong, strict=True):
        run = ClipRun(
            *(clip, tmp_path / name, Counter(), VideoOptions(), 64),
            styles=1,
            part=part,
        )
        with pytest.raises(ImageError, match="cannot be read from the middle"):
            list(run)


KILLED = """
import os, signal, sys
from impasto import segments
left, count = int(sys.argv[1]), segments._Tally.count
def counted(self, message):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return count(self, message)
segments._Tally.count = counted
from impasto.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_several_workers_make_the_same_frames(
    clip: Path, network: Path, tmp_path: Path, capsys: Any
) -> None:
    """Two processes make the bytes that one makes, also after both were killed with the run; what
    one of them cannot do is told in one line."""
    command = ["video", str(clip), "mosaic", "--fast", "--size", "64", "--segments", "3", "-q"]
    command += ["--network", str(network), "-o"]
    assert main([*command, str(tmp_path / "one")]) == 0
    several = [*command, str(tmp_path / "two"), "--workers", "2"]
    script = [sys.executable, "-c", KILLED, "5", *several]
    assert subprocess.run(script, check=False, timeout=600).returncode == -signal.SIGKILL
    assert not (tmp_path / "two").exists()
    again = [sys.executable, "-c", KILLED, "999", *several]
    assert subprocess.run(again, check=False, timeout=600).returncode == 0
    assert frames_in(tmp_path / "two") == frames_in(tmp_path / "one")
    capsys.readouterr()
    network.write_bytes(b"no network")
    assert main([*command, str(tmp_path / "three"), "--workers", "2"]) == 2
    told = [one for one in capsys.readouterr().err.splitlines() if "warning" not in one]
    assert len(told) == 1
    assert "net.safetensors" in told[0]
