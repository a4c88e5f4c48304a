"""A clip is repainted frame by frame, held together, and goes on after any interruption."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import ndimage

pytest.importorskip("av")
pytest.importorskip("cv2")

import cv2

from impasto.cli import main
from impasto.cli.video import progress_line
from impasto.clips import Frame, open_clip
from impasto.errors import OptionError, OutputError, RunError
from impasto.flow import Plane
from impasto.images import Bitmap, read_image, write_image
from impasto.options import StyleOptions, make_options
from impasto.painters import NetworkPainter, OptimizerPainter, Painter, Task, begun, blended
from impasto.quality import style_distance
from impasto.run import Hold, stylization
from impasto.temporal import Expected
from impasto.transfer import repaint
from impasto.video import (
    ClipRun,
    VideoProgress,
    check_together,
    shares_at,
    time_left,
)
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
from stand_ins import finish, options_of, soft_picture
from tiny_networks import table_file

TINY = ["--size", "48", "--evaluations", "3", "--follow", "2", "--content-layers", "relu2_1"]


class Recorder(PlainPainter):
    """A painter that turns frames to their negative, halfway to what is expected of them where that
    is trusted."""

    def __init__(self) -> None:
        super().__init__(reach=(1, 2, 4), quick=False)

    def paint(self, task: Task) -> Plane:
        """The negative of a frame, and half of what is expected."""
        assert task.masks is None
        own = 1 - super().paint(task)
        if task.expected is None:
            return own
        mixed = own + task.expected.trust * (task.expected.pixels - own) / 2
        return mixed.astype(np.float32)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Eight frames with sound."""
    return make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(8)], sound="aac")


@pytest.fixture
def painting(make_png: Callable[..., Path]) -> Path:
    """A painting."""
    return make_png("painting.png", 36, 36, 2)


def carried(run: ClipRun) -> list[int]:
    """Paints all; the numbers of the frames, in their order."""
    return [progress.number for progress in run]


def test_the_held_picture_has_a_share_in_loss_and_gradient(narrow: Any) -> None:
    """With a weight beyond all others, a run stays at the held picture where it is trusted, and
    only there."""
    photo, held = (planes_of(soft_picture(24, 20, seed)) for seed in (1, 2))
    painting = soft_picture(24, 24, 3)
    trust = np.zeros((20, 24), np.float32)
    trust[:, :12] = 1
    run = stylization(
        np.ascontiguousarray(photo.transpose(1, 2, 0)),
        painting,
        options_of(evaluations=60, tv_weight=0),
        held=Hold(held, trust, 1e5),
    )
    pixels = finish(run).bitmap.pixels
    assert np.abs(pixels - held)[:, :, :12].mean() < 0.01
    assert np.abs(pixels - held)[:, :, 12:].mean() > 0.05
    assert run.last is not None
    error = np.square(pixels - held) * trust
    expected = error.mean() / np.square(held).mean()
    assert run.last.best_terms.layers["held"] == pytest.approx(expected, rel=0.05)


def test_other_losses_of_pixels_stay_beside_the_held_picture(narrow: Any) -> None:
    """A run that also keeps the photo's edges is held all the same, and one that is not held is
    not."""
    photo, painting = soft_picture(24, 20, 1), soft_picture(24, 24, 3)
    options = options_of(photoreal_weight=10)
    trust = np.ones((20, 24), np.float32)
    held = Hold(planes_of(soft_picture(24, 20, 2)), trust, 1.0)
    for one in held, None:
        run = stylization(photo, painting, options, held=one)
        finish(run)
        assert run.last is not None
        assert ("held" in run.last.terms.layers) == (one is not None)
        assert "photoreal" in run.last.terms.layers


def test_the_held_terms_gradient_is_that_of_autograd() -> None:
    """`HeldTerm` gives the slope of the formula that it states."""
    from impasto.pixel_terms import HeldTerm

    generator = torch.Generator().manual_seed(0)
    x, w = torch.rand(2, 1, 3, 5, 7, generator=generator, dtype=torch.float64)
    c = torch.rand(5, 7, generator=generator, dtype=torch.float64)
    y = x.clone().requires_grad_()
    loss = (c * (y - w) ** 2).mean()
    loss.backward()
    gradient = torch.ones_like(x)
    value = HeldTerm(w, c).evaluate(x, gradient, 3.0)
    assert value == pytest.approx(float(loss.detach()), rel=1e-12)
    assert y.grad is not None
    assert torch.allclose(gradient, 1 + 3 * y.grad, rtol=1e-12)
    assert HeldTerm(w, c).blank() == pytest.approx(float((w**2).mean()))


def test_every_frame_is_painted_and_told_what_is_expected(clip: Path, tmp_path: Path) -> None:
    """The first frame is free; each other one is expected to be its predecessor's result moved
    along. Times and sound are the clip's."""
    painter = Recorder()
    run = ClipRun(clip, tmp_path / "b.mp4", painter, VideoOptions(), 64, styles=1)
    assert run.frames == 8
    assert carried(run) == list(range(8))
    assert painter.numbers == list(range(8))
    assert painter.expected[0] is None
    for number, expected in enumerate(painter.expected[1:], start=1):
        assert expected is not None
        assert expected.trust.mean() > 0.5
        error = np.abs(expected.pixels - (1 - planes_of(drifting(number)))) * expected.trust
        assert error.mean() < 0.04
    run.finish()
    result = open_clip(tmp_path / "b.mp4")
    source = open_clip(clip)
    assert [f.time for f in result.frames()] == [f.time for f in source.frames()]
    assert packets_of(tmp_path / "b.mp4", "audio") == packets_of(clip, "audio")
    pairs = zip(result.frames(), source.frames(), strict=True)
    assert max(np.abs(a.pixels - (1 - b.pixels)).mean() for a, b in pairs) < 0.03
    assert not run.folder.exists()


def test_scenes_begin_anew(tmp_path: Path) -> None:
    """Nothing is expected of the first frame after a cut, nor anything from before it later."""
    frames = [drifting(i) for i in range(4)]
    frames += [255 - drifting(i)[::-1, ::-1] // 2 for i in range(9, 13)]
    clip = make_clip(tmp_path / "a.mp4", frames)
    painter = Recorder()
    run = ClipRun(clip, tmp_path / "b.mp4", painter, VideoOptions(), 64, styles=1)
    assert [progress.cut for progress in run] == [True, False, False, False] * 2
    assert painter.free == [0, 4]


def test_an_interrupted_run_goes_on_to_the_same_frames(clip: Path, tmp_path: Path) -> None:
    """Wherever a run ends, the next one paints only what is missing, and what it paints is the
    same to the byte; a frame that was damaged, or has another size, is painted again."""
    whole = ClipRun(clip, tmp_path / "whole", Recorder(), VideoOptions(), 64, styles=1)
    carried(whole)
    whole.finish()
    expected = frames_in(tmp_path / "whole")
    assert len(expected) == 8
    for end in (1, 3, 6):
        output = tmp_path / f"part-{end}"

        def run(painter: Any, output: Path = output) -> ClipRun:
            return ClipRun(clip, output, painter, VideoOptions(), 64, styles=1)

        for progress in run(Recorder()):
            if progress.done == end:
                break
        broken = tmp_path / f"{output.name}.frames" / "1" / f"{end:06d}.png"
        data = bytearray(broken.read_bytes())
        data[len(data) // 2] ^= 4
        broken.write_bytes(data if end == 3 else data[:-30])
        if end == 6:
            write_image(Bitmap(np.zeros((3, 9, 16), np.float32)), broken, overwrite=True)
        painter = Recorder()
        again = run(painter)
        assert carried(again) == list(range(end - 1, 8))
        assert painter.numbers == list(range(end - 1, 8))
        again.finish()
        assert frames_in(output) == expected


def test_later_passes_go_on_to_the_same_frames(tmp_path: Path) -> None:
    """Wherever in the second or third pass a run ends, the next one ends in the same bytes."""
    clip = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(4)])
    options = VideoOptions(passes=3)

    def run(name: str) -> ClipRun:
        return ClipRun(clip, tmp_path / name, Recorder(), options, 64, styles=1)

    whole = run("whole")
    assert len(carried(whole)) == 12
    whole.finish()
    for ends in [(4, 1, 5), (5, 3), (7,), (9, 1)]:
        name = "-".join(map(str, ends))
        for end in ends:
            for made, _ in enumerate(run(name), start=1):
                if made == end:
                    break
        last = run(name)
        assert len(carried(last)) == 12 - sum(ends)
        last.finish()
        assert frames_in(tmp_path / name) == frames_in(tmp_path / "whole")


def test_what_was_taken_for_a_cut_is_looked_at_anew_in_later_passes(tmp_path: Path) -> None:
    """A run that goes on in its third pass knows nothing of what the first one took for cuts, and
    so an unbroken one does not either."""
    clip = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(4)])
    run = ClipRun(clip, tmp_path / "b", Recorder(), VideoOptions(passes=3), 64, styles=1)
    cuts = []
    for progress in run:
        if progress.pass_ == 1:
            run._cuts[2, 1] = True
        elif progress.cut:
            cuts.append((progress.pass_, progress.number))
    assert cuts == [(2, 3), (3, 0)]


def test_one_run_at_a_time_has_the_frames(clip: Path, tmp_path: Path) -> None:
    """While a run is at work on its frames, another one is refused; one that has ended, in
    whatever way, stands in nobody's way."""

    def run() -> ClipRun:
        return ClipRun(clip, tmp_path / "b.mp4", Recorder(), VideoOptions(), 64, styles=1)

    first = iter(run())
    next(first)
    with pytest.raises(OutputError, match="another run is at work"):
        next(iter(run()))
    assert next(first).number == 1
    cast("Any", first).close()
    last = run()
    assert carried(last) == list(range(2, 8))
    with pytest.raises(OutputError, match="another run is at work"):
        next(iter(run()))
    last.finish()
    assert not last.folder.exists()


def test_what_cannot_be_encoded_is_refused_before_any_frame(tmp_path: Path) -> None:
    """An encoder that does not take the frames says so at the beginning, and nothing stays."""
    clip = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(3)])
    painter, output = Recorder(), tmp_path / "b.mkv"
    run = ClipRun(clip, output, painter, VideoOptions(codec="h265"), 8, styles=1)
    with pytest.raises(OutputError, match=r"b\.mkv: cannot be encoded .* try another --codec"):
        next(iter(run))
    assert painter.asked == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_record_names_all_that_frames_depend_on(
    narrow: Any, clip: Path, painting: Path, tmp_path: Path
) -> None:
    """Weights, device, number format, threads and OpenCV are recorded as they are at work, and
    files that were moved are the same."""
    before = torch.get_num_threads()
    try:
        options = options_of(size=64, threads=before + 1)
        painter = OptimizerPainter([str(painting)], options, 40, 2)
        assert painter.record()["threads"] == before + 1
        run = ClipRun(clip, tmp_path / "b.mp4", painter, VideoOptions(), 64, styles=1)
        known = run.record
        assert known["weights_sha256"] == narrow.sha256
        assert (known["device"], known["precision"]) == ("cpu", "float32")
        assert known["opencv"] == cv2.__version__
        network = table_file(tmp_path / "net.safetensors")
        chosen = StyleOptions(size=64, threads=before)
        fast = NetworkPainter(["mosaic"], chosen, str(network), 30).record()
        assert fast["threads"] == before
        assert (fast["network"]["device"], fast["network"]["precision"]) == ("cpu", "float32")
        assert fast["network"]["sha256"] == hashlib.sha256(network.read_bytes()).hexdigest()
    finally:
        torch.set_num_threads(before)
    first = ClipRun(clip, tmp_path / "c.mp4", Recorder(), VideoOptions(), 64, styles=1)
    next(iter(first))
    moved = clip.rename(tmp_path / "moved.mp4")
    again = ClipRun(moved, tmp_path / "c.mp4", Recorder(), VideoOptions(), 64, styles=1)
    assert carried(again) == list(range(1, 8))


def test_an_interrupted_command_goes_on_with_its_own_live_picture(
    clip: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    """The same command with --live goes on after an interruption; a picture that the run has not
    made is not touched."""
    network, live = str(table_file(tmp_path / "net.safetensors")), tmp_path / "live.png"
    command = ["video", str(clip), "mosaic", "--fast", "--network", network, "--size", "32", "-q"]
    command += ["-o", str(tmp_path / "b.mp4"), "--live"]
    paint = NetworkPainter.paint

    def fail(self: Any, task: Task) -> Plane:
        if task.frame.number == 2:
            raise KeyboardInterrupt
        return paint(self, task)

    monkeypatch.setattr(NetworkPainter, "paint", fail)
    assert main([*command, str(live)]) == 130
    before = live.read_bytes()
    monkeypatch.setattr(NetworkPainter, "paint", paint)
    other = tmp_path / "other.png"
    other.write_bytes(b"mine")
    capsys.readouterr()
    assert main([*command, str(other)]) == 1
    assert "other.png: exists already" in capsys.readouterr().err
    assert other.read_bytes() == b"mine"
    assert main([*command, str(live)]) == 0
    assert live.read_bytes() != before
    for name in "b.mp4", "a.mp4":
        assert main([*command, str(tmp_path / name), "--overwrite"]) == 1
        assert "is the clip or its result" in capsys.readouterr().err


def test_another_run_takes_no_frames_that_are_not_its_own(clip: Path, tmp_path: Path) -> None:
    """Frames of a run with other settings are refused, unless they may be replaced."""
    run = ClipRun(clip, tmp_path / "b.mp4", Recorder(), VideoOptions(), 64, styles=1)
    next(iter(run))
    other = VideoOptions(hold=7)
    with pytest.raises(OutputError, match="frames of another run"):
        next(iter(ClipRun(clip, tmp_path / "b.mp4", Recorder(), other, 64, styles=1)))
    anew = ClipRun(clip, tmp_path / "b.mp4", Recorder(), other, 64, styles=1, overwrite=True)
    assert carried(anew) == list(range(8))


def test_only_files_of_a_run_are_deleted(clip: Path, tmp_path: Path) -> None:
    """A folder that no run made is not used, and one of a run keeps what others put there; frames
    without the record that says whose they are are refused."""
    folder = tmp_path / "c.mp4.frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not of an unfinished run"):
        next(iter(ClipRun(clip, tmp_path / "c.mp4", Recorder(), VideoOptions(), 64, styles=1)))
    (folder / "notes.txt").rename(tmp_path / "notes.txt")
    run = ClipRun(clip, tmp_path / "c.mp4", Recorder(), VideoOptions(), 64, styles=1)
    next(iter(run))
    (tmp_path / "notes.txt").rename(folder / "notes.txt")
    other = VideoOptions(hold=7)
    anew = ClipRun(*(clip, tmp_path / "c.mp4", Recorder(), other, 64), styles=1, overwrite=True)
    (folder / "notes.txt").rename(folder / "1" / "notes.txt")
    with pytest.raises(OutputError, match="not of an unfinished run"):
        next(iter(anew))
    assert (folder / "1" / "notes.txt").read_text() == "mine"
    assert [path.name for path in (folder / "1").iterdir()] == ["notes.txt"]
    with pytest.raises(OutputError, match="the clip itself"):
        ClipRun(clip, clip, Recorder(), other, 64, styles=1, overwrite=True)


def test_further_passes_go_backward_and_forward(clip: Path, tmp_path: Path) -> None:
    """The second pass begins at the clip's end, each frame with its own result and its successor's;
    the result is the last pass's."""
    painter = Recorder()
    run = ClipRun(clip, tmp_path / "b", painter, VideoOptions(passes=3), 64, styles=1)
    forward = list(range(8))
    seen = [(progress.pass_, progress.number) for progress in run]
    assert seen == [(1, n) for n in forward] + [(2, n) for n in forward[::-1]] + [
        (3, n) for n in forward
    ]
    assert seen[-1] == (3, 7)
    expected = painter.expected[9]
    assert expected is not None
    assert expected.trust.mean() > 0.5
    run.finish()
    assert len(frames_in(tmp_path / "b")) == 8


def test_no_pass_flickers_more_than_the_one_before(
    narrow: Any, painting: Path, tmp_path: Path
) -> None:
    """Later passes hold frames to their neighbours, and not to what they were themselves: along the
    true motion results change no more than after the first pass. Held to themselves by half, they
    changed half as much again in the second pass; rounding makes a few hundredths."""
    clip = make_clip(tmp_path / "a.mp4", grainy(5))
    painter = OptimizerPainter([str(painting)], options_of(size=64, evaluations=12), 40, 8)
    run = ClipRun(clip, tmp_path / "b.mp4", painter, VideoOptions(passes=3), 64, styles=1)
    results: dict[int, dict[int, Plane]] = {1: {}, 2: {}, 3: {}}
    for progress in run:
        results[progress.pass_][progress.number] = progress.pixels
    errors = [warping_error([frames[n] for n in range(5)]) for frames in results.values()]
    assert max(errors[1:]) < 1.1 * errors[0]


def test_a_network_in_several_passes_holds_frames_as_in_one(tmp_path: Path) -> None:
    """A network paints every frame anew in each pass; frames stay as close to their neighbours."""
    clip = make_clip(tmp_path / "a.mp4", grainy(6))
    network = table_file(tmp_path / "net.safetensors")
    painter = NetworkPainter(["mosaic"], StyleOptions(size=64), str(network), 40)
    run = ClipRun(clip, tmp_path / "b.mp4", painter, VideoOptions(passes=3), 64, styles=1)
    results: dict[int, dict[int, Plane]] = {1: {}, 2: {}, 3: {}}
    for progress in run:
        results[progress.pass_][progress.number] = progress.pixels
    errors = [warping_error([frames[n] for n in range(6)]) for frames in results.values()]
    assert max(errors[1:]) < 1.05 * errors[0]


def test_styles_change_at_their_moments() -> None:
    """Each style takes the place of the one before it, at once or within a fade."""
    assert shares_at(0.9, (0, 1, 3), 1) == (1, 0, 0)
    assert shares_at(1.25, (0, 1, 3), 1) == pytest.approx((0.75, 0.25, 0))
    assert shares_at(2.0, (0, 1, 3), 1) == pytest.approx((0, 1, 0))
    assert shares_at(9.0, (0, 1, 3), 1) == pytest.approx((0, 0, 1))
    assert shares_at(1.0, (0, 1), 0) == (0, 1)


def test_a_style_that_changes_at_once_begins_a_scene(clip: Path, tmp_path: Path) -> None:
    """Without a fade nothing of the style before is held on to; with one, its share falls."""
    painter = Recorder()
    hard = VideoOptions(at=(0, 0.16), fade=0)
    carried(ClipRun(clip, tmp_path / "b.mp4", painter, hard, 64, styles=2))
    assert painter.free == [0, 4]
    assert [task.shares for task in painter.asked] == [(1, 0)] * 4 + [(0, 1)] * 4
    painter = Recorder()
    soft = VideoOptions(at=(0, 0.08), fade=0.08)
    carried(ClipRun(clip, tmp_path / "c.mp4", painter, soft, 64, styles=2))
    assert painter.free == [0]
    second = [task.shares[1] for task in painter.asked]
    assert second == pytest.approx([0, 0, 0, 0.5, 1, 1, 1, 1])
    with pytest.raises(OptionError, match="2 moments for 1 styles"):
        ClipRun(clip, tmp_path / "d.mp4", painter, soft, 64, styles=1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (VideoOptions(at=(0, 8)), "--at 0,8: the clip's last frame is at 0.28 s, so that mosaic"),
        (VideoOptions(at=(0, 0.28)), "last frame is at 0.28 s"),
        (VideoOptions(at=(0, 0.2), end=0.16), "last frame before --end is at 0.12 s"),
        (
            VideoOptions(at=(0, 0.05), start=0.2, fade=0.15),
            "--at 0,0.05: mosaic takes the place of night-sky before any frame shows that (the "
            "first one is at 0.2 s)",
        ),
        (VideoOptions(at=(0, 0.01), start=0.01, fade=0), "first one is at 0.04 s"),
        (VideoOptions(at=(0, 0.05), start=0.2, fade=0.16), ""),
        (VideoOptions(at=(0, 0.01), fade=0), ""),
        (VideoOptions(at=(0, 0.28), fade=0), ""),
        (VideoOptions(at=(0, 0.2), end=9), ""),
    ],
)
def test_a_style_that_would_never_be_seen_is_refused(
    clip: Path, tmp_path: Path, options: VideoOptions, says: str
) -> None:
    """Before any work, where its moment comes after the last frame that is painted, or another one
    has taken its place before the first; sound that goes on longer does not matter."""

    def run() -> ClipRun:
        names = ["night-sky", "mosaic"]
        return ClipRun(clip, tmp_path / "b.mp4", Recorder(), options, 64, styles=names)

    if not says:
        assert carried(run())
        return
    with pytest.raises(OptionError, match="would never be seen; choose") as caught:
        run()
    assert says in str(caught.value)
    assert not list(tmp_path.glob("*.frames"))


def test_both_engines_hold_still_what_holds_still(
    narrow: Any, tmp_path: Path, painting: Path
) -> None:
    """At the defaults, frames change along the true motion by a third at most, in mean squares, of
    what frames do that are painted apart; the optimiser's are as close to the painting."""
    clip = make_clip(tmp_path / "a.mp4", grainy(6))
    network = str(table_file(tmp_path / "net.safetensors"))
    follow = VideoOptions().follow

    def optimizer(hold: float) -> Painter:
        options = options_of(size=64, evaluations=follow, start="noise")
        return OptimizerPainter([str(painting)], options, hold, follow)

    def fast(hold: float) -> Painter:
        return NetworkPainter(["mosaic"], StyleOptions(size=64), network, hold)

    for engine in optimizer, fast:
        errors, styles = [], []
        for video in VideoOptions(), VideoOptions(hold=0):
            output = tmp_path / f"{engine.__name__}-{video.hold:.0f}"
            run = ClipRun(clip, output, engine(video.hold), video, 64, styles=1)
            results = [progress.pixels for progress in run]
            errors.append(warping_error(results))
            rows = [one.transpose(1, 2, 0) for one in results[1:]]
            styles.append(np.mean([style_distance(one, painting) for one in rows]))
        assert errors[0] <= errors[1] / 3
        # A network of random numbers knows nothing of the painting.
        assert styles[0] <= 1.15 * styles[1] or engine is fast


def test_the_command_paints_a_clip(
    narrow: Any, clip: Path, painting: Path, tmp_path: Path, capsys: Any
) -> None:
    """`impasto video` writes the clip, keeps the newest frame in sight and reports in numbers."""
    output, live = tmp_path / "b.mp4", tmp_path / "live.png"
    command = ["video", str(clip), str(painting), "-o", str(output), *TINY]
    assert main([*command, "--live", str(live), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["painted"], found["width"]) == (8, 8, 48)
    assert found["settings"]["engine"] == "optimizer"
    assert live.is_file()
    result = open_clip(output)
    assert len(list(result.frames())) == 8
    assert packets_of(output, "audio") == packets_of(clip, "audio")
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err


def test_missing_packages_are_named(clip: Path, capsys: Any, monkeypatch: Any) -> None:
    """Where PyAV or OpenCV is not installed, one line says which package and how to get it."""
    from impasto.cli import video

    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: name != "cv2" or None)
    assert main(["video", str(clip), "mosaic"]) == 2
    told = capsys.readouterr().err
    assert "opencv-python-headless" in told
    assert "pip install 'impasto[video]'" in told


def test_a_failure_or_a_stop_says_how_to_go_on(
    clip: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    """Where a frame cannot be painted, or Ctrl-C comes, one line says where the frames are; the
    same command ends as if nothing had happened."""
    network = str(table_file(tmp_path / "net.safetensors"))
    command = ["video", str(clip), "mosaic", "--fast", "--network", network, "--size", "64", "-q"]
    paint, output = NetworkPainter.paint, tmp_path / "b"
    for error, code, says in [
        (RunError("memory ran out"), 1, "memory ran out; the same command goes on"),
        (KeyboardInterrupt(), 130, "stopped; the same command goes on"),
    ]:

        def fail(self: Any, task: Task, error: BaseException = error) -> Plane:
            if task.frame.number == 3:
                raise error
            return paint(self, task)

        monkeypatch.setattr(NetworkPainter, "paint", fail)
        (tmp_path / "b.frames" / "1" / "000003.png").unlink(missing_ok=True)
        assert main([*command, "-o", str(output)]) == code
        warning, told = capsys.readouterr().err.strip().splitlines()
        assert "the clip's audio is left out" in warning
        assert says in told
        assert "b.frames" in told
    monkeypatch.setattr(NetworkPainter, "paint", paint)
    assert main([*command, "-o", str(output)]) == 0
    assert main([*command, "-o", str(tmp_path / "whole")]) == 0
    assert frames_in(output) == frames_in(tmp_path / "whole")


def test_a_preview_takes_some_frames_only(
    narrow: Any, painting: Path, tmp_path: Path, capsys: Any
) -> None:
    """--preview takes every tenth frame, --start and --end a part, and a folder gets PNGs with
    their times."""
    clip = make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(25)])
    command = ["video", str(clip), str(painting), *TINY, "-q"]
    assert main([*command, "-o", str(tmp_path / "b.mp4"), "--preview"]) == 0
    times = [frame.time for frame in open_clip(tmp_path / "b.mp4").frames()]
    assert times == [Fraction(i, 25) for i in (0, 10, 20)]
    part = ["--start", "0.4", "--end", "0.52", "-o", str(tmp_path / "frames")]
    assert main([*command, *part]) == 0
    assert list(frames_in(tmp_path / "frames")) == [f"{n:06d}.png" for n in (1, 2, 3)]
    rows = (tmp_path / "frames" / "times.csv").read_text().splitlines()
    assert rows == [
        "file,seconds,duration",
        *(f"{n:06d}.png,{(n - 1) / 25},0.04" for n in (1, 2, 3)),
    ]


def test_the_table_of_times_is_right_at_uneven_rates(tmp_path: Path) -> None:
    """Each frame in `times.csv` lasts until the next one."""
    places = [0, 40, 120, 133, 220, 260]
    frames = [drifting(i) for i in range(6)]
    clip = make_clip(tmp_path / "a.mkv", frames, places, Fraction(1, 1000))
    run = ClipRun(clip, tmp_path / "frames", Recorder(), VideoOptions(), 64, styles=1)
    carried(run)
    run.finish()
    rows = (tmp_path / "frames" / "times.csv").read_text().splitlines()[1:]
    table = [tuple(map(float, row.split(",")[1:])) for row in rows]
    assert [start for start, _ in table] == [place / 1000 for place in places]
    steps = [(b - a) / 1000 for a, b in pairwise(places)]
    assert [duration for _, duration in table[:-1]] == pytest.approx(steps, abs=1e-12)


def test_a_folder_of_pictures_is_painted(
    narrow: Any, painting: Path, tmp_path: Path, capsys: Any
) -> None:
    """Numbered pictures in a folder are repainted at the rate that is asked for; a folder whose
    pictures have changed is another clip."""
    from PIL import Image

    folder = tmp_path / "shot"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(drifting(number)).save(folder / f"{number}.png")
    command = ["video", str(folder), str(painting), *TINY, "-q", "--rate", "12.5"]
    assert main([*command, "-o", str(tmp_path / "b.mp4")]) == 0
    times = [frame.time for frame in open_clip(tmp_path / "b.mp4").frames()]
    assert times == [Fraction(2 * i, 25) for i in range(4)]
    run = ClipRun(*(folder, tmp_path / "c.mp4", Recorder(), VideoOptions(), 64), styles=1)
    before = run.record["clip"]
    assert before == run.record["clip"]
    Image.fromarray(drifting(9)).save(folder / "3.png", compress_level=0)
    assert run.record["clip"] != before
    assert main([*command, "-o", str(tmp_path / "d.mp4"), "--max-pixels", "3000"]) == 2
    assert "more than the limit of 3,000" in capsys.readouterr().err


def test_sound_that_cannot_be_copied_is_named(clip: Path, tmp_path: Path) -> None:
    """Sound of an unknown kind is left out with a warning."""
    data = clip.read_bytes()
    odd = tmp_path / "odd.mp4"
    odd.write_bytes(data.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    run = ClipRun(*(odd, tmp_path / "b.mp4", Recorder(), VideoOptions(), 64), styles=1)
    assert run.warnings == ["odd.mp4: audio of an unknown kind cannot be copied and is left out"]
    assert carried(run) == list(range(8))
    run.finish()


@pytest.mark.parametrize("name", ["b.mp4", "frames"])
@pytest.mark.parametrize("segments", ["1", "2"])
def test_a_run_that_ended_before_clearing_up_only_clears_up(
    clip: Path, tmp_path: Path, capsys: Any, monkeypatch: Any, name: str, segments: str
) -> None:
    """Where the result had its name already, the same command tells that it is its own, leaves it
    as it is and removes the frames; another command, or a result that was changed, is refused."""
    network, output = str(table_file(tmp_path / "net.safetensors")), tmp_path / name
    command = ["video", str(clip), "mosaic", "--fast", "--network", network, "--size", "32"]
    command += ["--no-sound", "--segments", segments, "-o", str(output)]

    def ended(run: ClipRun) -> None:
        run._lock.give()
        raise KeyboardInterrupt

    def result() -> dict[str, bytes]:
        files = sorted(output.iterdir()) if output.is_dir() else [output]
        return {path.name: path.read_bytes() for path in files}

    with monkeypatch.context() as patch:
        patch.setattr(ClipRun, "_discard", ended)
        assert main([*command, "-q"]) == 130
    made, folder = result(), tmp_path / f"{name}.frames"
    capsys.readouterr()
    assert main([*command, "--hold", "7"]) == 1
    assert "exists already" in capsys.readouterr().err
    facts = (output / "times.csv" if output.is_dir() else output).stat()
    marked = output / "times.csv" if output.is_dir() else output
    os.utime(marked, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1000))
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert folder.is_dir()
    os.utime(marked, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert main(command) == 0
    assert "8 frames, finished before and only cleared up now" in capsys.readouterr().out
    assert result() == made
    assert not folder.exists()
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_film_is_its_own_only_until_it_was_told(clip: Path, tmp_path: Path) -> None:
    """A run that kept its frames has ended: its result is there as any other."""

    def run() -> ClipRun:
        return ClipRun(clip, tmp_path / "b.mp4", Recorder(), VideoOptions(), 64, styles=1)

    first = run()
    carried(first)
    first.finish(keep_frames=True)
    with pytest.raises(OutputError, match="exists already"):
        run()


def test_a_folder_that_exists_is_told_a_free_name(clip: Path, tmp_path: Path) -> None:
    """Folders are never replaced, with --overwrite neither, and the line says so."""
    for name in "frames", "frames-2":
        (tmp_path / name).mkdir()
    for overwrite in False, True:
        with pytest.raises(OutputError, match=r"replaces no folders; .*, such as frames-3$"):
            ClipRun(
                *(clip, tmp_path / "frames", Recorder(), VideoOptions(), 64),
                styles=1,
                overwrite=overwrite,
            )


def test_the_time_left_is_told_once_it_is_known(clip: Path, tmp_path: Path) -> None:
    """Not with the first frame, which waits for all that is got ready once; in the end none is
    left."""
    left = [
        progress.remaining
        for progress in ClipRun(clip, tmp_path / "b.mp4", Recorder(), VideoOptions(), 64, styles=1)
    ]
    assert left[0] is None
    assert all(one is not None and one >= 0 for one in left[1:])
    assert left[-1] == 0
    assert time_left(11, 3, 2, 5.0) == 40
    assert time_left(11, 9, 3, 5.0) == 5
    assert time_left(None, 9, 3, 5.0) is None
    assert time_left(1, 1, 1, 0.0) == 0


def test_progress_is_told_in_words() -> None:
    """One frame is one frame, and frames that are painted twice are named as such."""

    def line(done: int, total: int | None, left: float | None = None, twice: int = 0) -> str:
        pixels = np.zeros((3, 0, 0), np.float32)
        return progress_line(
            VideoProgress(done, total, 0, 1, 0, 0.0, left, cut=False, pixels=pixels, twice=twice)
        )

    assert line(1, 1) == "1 of about 1 frame"
    assert line(1, None) == "1 frame"
    assert line(7, 62, twice=12) == "7 of about 62 frames (12 twice, where segments overlap)"
    assert line(2, 9, 61.0).startswith("2 of about 9 frames; about ")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--rate", "10"], "--rate: acts only on a folder of pictures"),
        (["--max-pixels", "3000"], "more than the limit of 3,000"),
        (
            ["--start", "5"],
            "a.mp4: has no frames from --start 5 on; its last one is at 0.28 s; choose another",
        ),
        (["--start", "0.29", "--end", "0.3"], "between --start 0.29 and --end 0.3; its last one"),
        (["--end", "1", "--start", "2"], "must be later than --start"),
        (["--fade", "2"], "acts only with --at"),
        (["--at", "0,1"], "2 moments for 1 styles"),
        (["--at", "1,2"], "the first style begins at 0"),
        (["--at", "0", "--style-weights", "1"], "--style-weights: with --at the styles follow"),
        (["--preview", "--every", "2"], "exclude each other"),
        (["--codec", "vp9", "-o", "b.gif"], "cannot hold it"),
        (["-o", "b.txt"], ".txt clips cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    narrow: Any,
    clip: Path,
    painting: Path,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: Any,
    more: list[str],
    says: str,
) -> None:
    """What cannot be done is told in one line before anything is painted."""
    monkeypatch.chdir(tmp_path)
    assert main(["video", str(clip), str(painting), *TINY, *more]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert says in told[0]
    assert not list(tmp_path.glob("*.frames"))
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} <= {".mp4", ".png"}


def test_styles_that_belong_to_masks_do_not_follow_one_another() -> None:
    """Moments beside masks that have a style each would change nothing, and are refused; where
    every region has all styles, they act."""
    at = VideoOptions(at=(0, 1))
    with pytest.raises(OptionError, match="--at: the masks say"):
        check_together(StyleOptions(), at, 2, 1)
    check_together(StyleOptions(), VideoOptions(), 2, 1)
    check_together(make_options({"regions": "1+2;keep"}), at, 2, 1)
    check_together(StyleOptions(), VideoOptions(at=(0,)), 1, 1)


class Killable:
    """Commands in processes of their own, which can be killed; see `killed_clips`."""

    def __init__(self) -> None:
        tests = Path(__file__).parent
        self._process = subprocess.Popen(
            [sys.executable, str(tests / "killed_clips.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, command: list[str], kill_at: int | None = None, *, writing: bool = False
    ) -> tuple[int, int]:
        """Exit status of a command, and how many calls it had made; see `killed_clips`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([command, kill_at, writing]), file=self._process.stdin, flush=True)
        status, calls = self._process.stdout.readline().split()
        return int(status), int(calls)

    def end(self) -> None:
        """Has it end."""
        self._process.communicate()


@pytest.fixture
def killable() -> Iterator[Killable]:
    """Runs commands that can be killed."""
    found = Killable()
    yield found
    found.end()


@pytest.mark.parametrize(
    ("more", "seeds"),
    [
        pytest.param(["--fast"], range(1), id="network"),
        pytest.param(["--fast"], range(1, 9), id="network-often", marks=pytest.mark.slow),
        pytest.param([], range(3), id="optimizer", marks=pytest.mark.slow),
        pytest.param(["--passes", "3"], range(3), id="passes", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_in_the_same_frames(
    clip: Path, painting: Path, tmp_path: Path, killable: Killable, more: list[str], seeds: range
) -> None:
    """Killed wherever it may be, again and again, and while the result is encoded, the same command
    ends in the frames and the film of an unbroken run; until then there is no film."""
    network = table_file(tmp_path / "net.safetensors")
    if more == ["--fast"]:
        style = ["mosaic", "--fast", "--network", str(network), "--size", "48"]
    else:
        style = [str(painting), *TINY, *more]

    def command(output: Path) -> list[str]:
        return ["video", str(clip), *style, "-q", "--keep-frames", "-o", str(output)]

    def made(output: Path) -> tuple[dict[str, bytes], list[np.ndarray]]:
        folders = sorted(output.with_name(f"{output.name}.frames").glob("[0-9]"))
        frames = {f"{one.name}/{k}": v for one in folders for k, v in frames_in(one).items()}
        return frames, [frame.pixels for frame in open_clip(output).frames()]

    whole = tmp_path / "whole.mp4"
    status, calls = killable.run(command(whole))
    assert status == 0
    (tmp_path / "whole.mp4").rename(tmp_path / "first.mp4")
    status, written = killable.run(command(whole), writing=True)
    assert status == 0
    expected, film = made(whole)
    assert len(film) == 8
    for seed in seeds:
        chance, output = random.Random(seed), tmp_path / f"{seed}.mp4"
        killed = 0
        for point in sorted(chance.sample(range(1, calls - written), 3), reverse=True):
            if killable.run(command(output), point)[0] == -signal.SIGKILL:
                killed += 1
                assert not output.exists()
            else:
                output.unlink()
        assert killed
        point = chance.randrange(1, written)
        assert killable.run(command(output), point, writing=True)[0] == -signal.SIGKILL
        assert not output.exists()
        assert killable.run(command(output))[0] == 0
        found, frames = made(output)
        assert found == expected
        assert all(np.array_equal(a, b) for a, b in zip(frames, film, strict=True))


PEAK = """
import resource, sys
from impasto.cli import main
code = main(sys.argv[1:])
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
sys.exit(code)
"""


@pytest.mark.slow
def test_memory_is_the_same_however_long_a_clip_is(tmp_path: Path) -> None:
    """Of a clip three times as long, a process holds no more at its peak; the short one is longer
    than encoders look ahead."""
    network = str(table_file(tmp_path / "net.safetensors"))
    peaks = list[int]()
    for count in 60, 180:
        clip = make_clip(
            tmp_path / f"{count}.mp4", [drifting(i % 9, 320, 240) for i in range(count)]
        )
        command = ["video", str(clip), "mosaic", "--fast", "--network", network, "-q"]
        command += ["-o", str(tmp_path / f"{count}-painted.mp4")]
        script = [sys.executable, "-c", PEAK, *command]
        told = subprocess.run(script, check=True, capture_output=True, text=True, timeout=600)
        peaks.append(int(told.stdout.split()[-1]))
    # What is kept of 120 more frames, if only once and in bytes, is 28 MB.
    assert peaks[1] < peaks[0] + 12e6


def test_a_network_paints_what_is_new_and_keeps_what_was(clip: Path, tmp_path: Path) -> None:
    """Of a network's frame its own share is taken where an earlier result can be trusted, and the
    whole of it elsewhere."""
    network = table_file(tmp_path / "net.safetensors")
    painter = NetworkPainter(["mosaic"], StyleOptions(size=64), str(network), 30)
    frame = next(open_clip(clip).frames())
    own = painter.paint(Task(frame))
    plain = repaint(as_rows(frame), "mosaic", StyleOptions(size=64), network=str(network))
    assert np.abs(own - plain.bitmap.pixels).max() < 1e-6
    trust = np.zeros((48, 64), np.float32)
    trust[:, :32] = 1
    # Strokes of the same contrast, so that none has to come back.
    earlier = own - np.float32(0.05)
    held = painter.paint(Task(frame, expected=Expected(earlier, trust)))
    assert np.abs(held - own)[:, :, 32:].max() == 0
    expected = np.clip(0.25 * own + 0.75 * earlier, 0, 1)
    assert np.abs(held - expected)[:, :, :8].max() < 1e-5
    nothing = Expected(earlier, np.zeros_like(trust))
    other = painter.paint(Task(frame, expected=nothing))
    assert np.array_equal(other, own)


def as_rows(frame: Frame) -> np.ndarray:
    """A frame as `repaint` takes it, `(H, W, 3)`."""
    return np.ascontiguousarray(frame.pixels.transpose(1, 2, 0))


def test_the_command_paints_by_a_network(clip: Path, tmp_path: Path, capsys: Any) -> None:
    """`--fast` paints a clip by a network, which styles change along the clip as well."""
    network = table_file(tmp_path / "net.safetensors")
    command = ["video", str(clip), "night-sky", "mosaic", "--fast", "--network", str(network)]
    command += ["--size", "64", "-o"]
    assert main([*command, str(tmp_path / "b.mp4"), "--at", "0,0.16", "--fade", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["painted"], found["settings"]["engine"]) == (8, "network")
    frames = [frame.pixels for frame in open_clip(tmp_path / "b.mp4").frames()]
    steps = [np.abs(b - a).mean() for a, b in pairwise(frames)]
    assert np.argmax(steps) == 3
    for more in ["--passes", "2"], ["--follow", "3"], ["--evaluations", "5"]:
        assert main([*command, str(tmp_path / "c.mp4"), *more]) == 2
        assert "a transfer network cannot heed it" in capsys.readouterr().err
    slow = ["video", str(clip), "mosaic", "--network", str(network)]
    assert main(slow) == 2
    assert "acts only with --fast" in capsys.readouterr().err


def test_the_command_keeps_depth_and_heeds_quality(tmp_path: Path) -> None:
    """A clip of 10 bits is painted in more than 8, from its frames to the film; a film of a lower
    quality takes less room."""
    network = table_file(tmp_path / "net.safetensors")
    frames = [drifting(i).astype(np.uint16) * 257 for i in range(4)]
    deep = make_clip(tmp_path / "deep.mkv", frames, pixel_format="yuv420p10le")
    command = ["video", str(deep), "mosaic", "--fast", "--network", str(network), "--size", "64"]
    assert main([*command, "-q", "-o", str(tmp_path / "frames")]) == 0
    first = min((tmp_path / "frames").glob("*.png"))
    steps = read_image(first).pixels * 255
    assert np.abs(steps - np.rint(steps)).max() > 0.2
    sizes = []
    for crf in "8", "40":
        film = tmp_path / f"{crf}.mkv"
        assert main([*command, "--crf", crf, "-q", "-o", str(film)]) == 0
        assert open_clip(film).facts.bits == 10
        sizes.append(film.stat().st_size)
    assert sizes[1] < 0.5 * sizes[0]


def test_held_strokes_keep_their_contrast() -> None:
    """A mean of strokes that lie a little apart has its own picture's fine contrast again within a
    few frames, where what came before is trusted; what agrees stays as it is."""
    chance = np.random.default_rng(0)
    common = chance.standard_normal((3, 64, 96))

    def strokes() -> np.ndarray:
        others = chance.standard_normal((3, 64, 96))
        return (0.5 + 0.07 * common + 0.07 * others).astype(np.float32)

    def contrast(pixels: np.ndarray) -> float:
        fine = pixels - ndimage.gaussian_filter(pixels, (0, 1.5, 1.5))
        return float(fine[:, 12:-12, 12:-12].std())

    trust, before = np.ones((64, 96), np.float32), strokes()
    own = before
    for _ in range(8):
        own = strokes()
        mean = 0.3 * own + 0.7 * before
        before = blended(own, Expected(before, trust), 0.3)
        assert contrast(mean) < 0.96 * contrast(own)
        assert contrast(before) == pytest.approx(contrast(own), rel=0.05)
    assert np.abs(blended(own, Expected(own, trust), 0.3) - own).max() < 1e-6
    assert np.array_equal(blended(own, Expected(before, np.zeros_like(trust)), 0.3), own)


def test_what_comes_into_view_begins_as_itself() -> None:
    """Where nothing is trusted a frame begins with its own forms in the colours that the rest has
    got, or in its own where there is no rest; what is trusted begins with what is expected."""
    chance = np.random.default_rng(1)
    frame = chance.uniform(0.3, 0.7, (3, 60, 80)).astype(np.float32)
    painted = (frame * np.float32(0.5) + np.array([0.4, 0.1, 0.0], np.float32)[:, None, None]).clip(
        0, 1
    )
    trust = np.ones((60, 80), np.float32)
    trust[:, 50:] = 0
    smeared = painted.copy()
    smeared[:, :, 50:] = painted[:, :, 49:50]
    found = begun(frame, Expected(smeared, trust))
    assert np.abs(found[:, :, :40] - painted[:, :, :40]).max() < 1e-6
    assert np.abs(found[:, :, 64:] - painted[:, :, 64:]).max() < 0.02
    nothing = begun(frame, Expected(smeared, np.zeros_like(trust)))
    assert np.array_equal(nothing, frame)
    flat = np.full_like(frame, 0.5)
    assert np.isfinite(begun(flat, Expected(smeared, trust))).all()


def test_brushwork_on_a_clear_sky_does_not_tear_what_comes_into_view() -> None:
    """The contrast that a flat part has got from strokes is not given to what has its own."""
    chance = np.random.default_rng(2)
    frame = np.full((3, 60, 80), 0.5, np.float32)
    frame[:, :, 50:] = np.linspace(0.4, 0.6, 30, dtype=np.float32)
    painted = np.clip(0.5 + chance.normal(0, 0.15, frame.shape), 0, 1).astype(np.float32)
    trust = np.zeros((60, 80), np.float32)
    trust[:, :50] = 1
    found = begun(frame, Expected(painted, trust))[:, :, 64:]
    assert found.std() == pytest.approx(2 * float(frame[:, :, 64:].std()), rel=0.01)
    assert 0.4 < found.min() < found.max() < 0.8
