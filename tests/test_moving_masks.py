"""Masks follow a clip frame by frame, whatever they are given as."""

import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")

from PIL import Image

from impasto.cli import main
from impasto.clips import Clip, open_clip
from impasto.errors import ImageError
from impasto.moving_masks import open_mask
from impasto.options import StyleOptions
from impasto.transfer import repaint
from impasto.video import ClipRun
from impasto.video_options import VideoOptions
from moving import drifting, make_clip
from plain_painter import PlainPainter
from tiny_networks import table_file

LIMIT = 10**8


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six frames, 25 a second."""
    return make_clip(tmp_path / "a.mp4", [drifting(i) for i in range(6)])


def bar(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A white bar on black `(height, width, 3)` that moves to the right by 8 px a frame; there is
    none in the second frame."""
    values = np.zeros((height, width, 3), np.uint8)
    if number != 1:
        values[:, 8 * number : 8 * number + 16] = 255
    return values


def pictures(folder: Path, numbers: Sequence[int]) -> Path:
    """A folder of bars, each in a PNG of its number."""
    folder.mkdir()
    for number in numbers:
        Image.fromarray(bar(number)).save(folder / f"mask_{number:03d}.png")
    return folder


def bar_in(mask: Any) -> int:
    """Which bar a frame's mask shows; 1 where there is none."""
    assert mask.grey.shape == (48, 64)
    columns = np.flatnonzero(mask.grey.mean(0) > 0.5)
    return int(columns[0]) // 8 if len(columns) else 1


def found_in(mask: Any, times: Sequence[Fraction | int]) -> list[int]:
    """Which bar a mask shows at some moments."""
    return [bar_in(mask.at(Fraction(time))) for time in times]


def frame_times(clip: Clip) -> list[Fraction]:
    """When the frames of a clip are shown."""
    return [frame.time for frame in clip.frames(pixels=False)]


def test_each_frame_has_the_mask_nearest_in_time(clip: Path, tmp_path: Path) -> None:
    """Pictures follow by number, in gaps the nearest, and past the end the last; a clip of another
    rate follows by its times, forward and back."""
    film = open_clip(clip)
    times = frame_times(film)
    whole = open_mask(str(pictures(tmp_path / "whole", range(6))), film, LIMIT)
    assert found_in(whole, times) == [0, 1, 2, 3, 4, 5]
    assert found_in(whole, times[::-1]) == [5, 4, 3, 2, 1, 0]
    some = open_mask(str(pictures(tmp_path / "some", (0, 3, 4))), film, LIMIT)
    assert found_in(some, times) == [0, 0, 3, 3, 4, 4]
    later = pictures(tmp_path / "later", (2, 3))
    assert found_in(open_mask(later, film, LIMIT), times) == [2, 3, 3, 3, 3, 3]
    slow = make_clip(tmp_path / "slow.mp4", [bar(i) for i in range(3)], [0, 2, 4])
    assert found_in(open_mask(str(slow), film, LIMIT), times) == [0, 0, 1, 1, 2, 2]
    assert found_in(open_mask(str(slow), film, LIMIT), times[::-1]) == [2, 2, 1, 1, 0, 0]


def test_a_mask_is_read_near_the_moment_that_is_wanted(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that begins late does not decode the mask's clip from its beginning; and wherever one
    begins, at an uneven rate and beyond the end, the mask is the one nearest in time."""
    from impasto.clips import reading

    times = [i if i < 40 else i + 60 for i in range(60)]
    bars = [bar(i % 6 if i % 6 != 1 else 0) for i in range(60)]
    film = make_clip(tmp_path / "mask.mp4", bars, times, options={"g": "5", "bf": "0"})
    decoded = []
    rising = reading._in_order

    def counted(*arguments: Any) -> Any:
        for one in rising(*arguments):
            decoded.append(one)
            yield one

    monkeypatch.setattr(reading, "_in_order", counted)
    for place in (38, 55, 46):
        mask = open_mask(str(film), open_clip(clip), LIMIT)
        decoded.clear()
        assert found_in(mask, [Fraction(times[place], 25)]) == [(0, 0, 2, 3, 4, 5)[place % 6]]
        assert len(decoded) < 30
    shown = [Fraction(place, 25) for place in range(130)]
    nearest = [min(range(60), key=lambda i: abs(times[i] - place)) for place in range(130)]
    right = [(0, 0, 2, 3, 4, 5)[place % 6] for place in nearest]
    whole = open_mask(str(film), open_clip(clip), LIMIT)
    assert found_in(whole, shown) == right
    assert found_in(whole, shown[::-9]) == right[::-9]
    assert found_in(whole, shown[::17]) == right[::17]


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.gif", "b.avi"])
def test_numbers_count_frames_at_uneven_rates(tmp_path: Path, name: str) -> None:
    """However long frames stand, the mask of a number is that of the frame of this number, also
    where some numbers or masks are missing or too many."""
    base = Fraction(1, 25) if name == "b.avi" else Fraction(1, 1000)
    times = list(range(6)) if name == "b.avi" else [0, 40, 120, 140, 600, 640]
    frames = [drifting(i) for i in range(6)]
    if name == "b.gif":
        made = [Image.fromarray(values) for values in frames]
        gaps = [40, 80, 20, 460, 40, 40]
        made[0].save(tmp_path / name, save_all=True, append_images=made[1:], duration=gaps)
    else:
        codec = "mpeg4" if name == "b.avi" else "libx264"
        make_clip(tmp_path / name, frames, times, base, codec=codec)
    film = open_clip(tmp_path / name)
    shown = frame_times(film)
    assert shown == film.times() == [time * base for time in times]
    whole = open_mask(str(pictures(tmp_path / "whole", range(8))), film, LIMIT)
    assert found_in(whole, shown) == [0, 1, 2, 3, 4, 5]
    some = open_mask(str(pictures(tmp_path / "some", (0, 3, 5))), film, LIMIT)
    assert found_in(some, [shown[i] for i in (0, 3, 5)]) == [0, 3, 5]


def test_a_table_of_times_says_when_pictures_are_shown(clip: Path, tmp_path: Path) -> None:
    """Where the folder has the table that `impasto video` writes, it counts, not the numbers."""
    folder, film = pictures(tmp_path / "masks", (0, 2, 3)), open_clip(clip)
    rows = ["file,seconds,duration", "mask_003.png,0,0.12", "mask_000.png,0.12,0.04"]
    (folder / "times.csv").write_text("\n".join([*rows, "mask_002.png,0.16,0.08", ""]))
    mask = open_mask(str(folder), film, LIMIT)
    assert found_in(mask, frame_times(film)) == [3, 3, 0, 0, 2, 2]
    (folder / "times.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ImageError, match="is no table of file, seconds"):
        open_mask(str(folder), film, LIMIT)


def test_the_color_of_label_pictures_may_be_absent(clip: Path, tmp_path: Path) -> None:
    """FOLDER#rrggbb means one colour of each picture; where there is none of it, the region is
    nowhere."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for number in range(3):
        values = bar(number)
        values[values[..., 0] > 0] = (255, 0, 0)
        values[:8] = (0, 0, 255)
        Image.fromarray(values).save(folder / f"{number}.png")
    mask = open_mask(f"{folder}#ff0000", open_clip(clip), LIMIT)
    assert found_in(mask, [0, Fraction(1, 25), Fraction(2, 25)]) == [0, 1, 2]
    assert mask.at(Fraction(0)).grey[:8].max() == 0
    assert mask.record["label"] == [255, 0, 0]
    with pytest.raises(ImageError, match="is coloured; give a grey mask"):
        open_mask(str(folder), open_clip(clip), LIMIT)


def seen_by(painter: PlainPainter) -> list[tuple[int, int]]:
    """The number of each frame that was painted, and which bar its moving mask showed."""
    found: list[tuple[int, int]] = []
    for task in painter.asked:
        assert task.masks is not None
        assert task.masks[1] == painter.masks[1]
        found.append((task.frame.number, bar_in(task.masks[0])))
    return found


def test_every_pass_has_the_frames_own_masks(clip: Path, tmp_path: Path) -> None:
    """Backward, after an interruption and with --start, each frame has its own mask, beside masks
    that do not move."""
    mask = make_clip(tmp_path / "mask.mkv", [bar(i) for i in range(6)])
    Image.fromarray(bar(0)).save(tmp_path / "still.png")
    masks = [str(mask), str(tmp_path / "still.png")]
    options = VideoOptions(start=0.08, passes=2)

    def run(painter: PlainPainter) -> ClipRun:
        return ClipRun(clip, tmp_path / "b", painter, options, 64, styles=1)

    painter = PlainPainter(masks)
    for progress in run(painter):
        if progress.done == 6:
            break
    assert seen_by(painter) == [(0, 2), (1, 3), (2, 4), (3, 5), (3, 5), (2, 4)]
    painter = PlainPainter(masks)
    last = run(painter)
    assert [progress.number for progress in last] == [1, 0]
    assert seen_by(painter) == [(1, 3), (0, 2)]
    assert [one["sha256"] for one in last.record["masks"]] != ["", ""]
    last.finish()
    assert not last.folder.exists()


def test_the_command_paints_within_a_moving_mask(clip: Path, tmp_path: Path) -> None:
    """Each frame of `impasto video --mask` is what its picture alone with its mask's picture is;
    outside, and where the mask is black, the clip stays as it is."""
    network = table_file(tmp_path / "net.safetensors", ["mosaic"])
    folder = pictures(tmp_path / "masks", range(6))
    command = ["video", str(clip), "mosaic", "--fast", "--network", str(network), "--size", "64"]
    command += ["--hold", "0", "-q", "--mask", str(folder), "-o", str(tmp_path / "b")]
    assert main(command) == 0
    for frame in open_clip(clip).frames():
        name = f"{frame.number + 1:06d}.png"
        made = np.asarray(Image.open(tmp_path / "b" / name)).astype(float)
        rows = np.ascontiguousarray(frame.pixels.transpose(1, 2, 0))
        if frame.number == 1:
            expected = rows
        else:
            mask = str(folder / f"mask_{frame.number:03d}.png")
            options = StyleOptions(size=64)
            picture = repaint(rows, "mosaic", options, network=str(network), masks=[mask])
            expected = picture.pixels
        assert np.abs(made - 255 * expected).max() < 0.51


def test_bad_masks_are_told_in_one_line(clip: Path, tmp_path: Path, capsys: Any) -> None:
    """What is no mask is named with the remedy before anything is painted."""
    empty, twins, nameless = (tmp_path / name for name in ("empty", "twins", "nameless"))
    empty.mkdir()
    pictures(twins, (1,))
    shutil.copy(twins / "mask_001.png", twins / "other_1.png")
    pictures(nameless, (1,))
    (nameless / "notes.txt").write_text("hello")
    text = tmp_path / "text.png"
    text.write_text("hello")
    for mask, says in [
        (empty, "the folder holds no pictures"),
        (twins, "mask_001.png and other_1.png have the same number"),
        (nameless, "notes.txt: has no number in its name"),
        (text, "is neither a picture nor a clip that can be read"),
        (tmp_path / "gone.png", "no such file"),
        (clip, "is coloured; give a grey mask"),
    ]:
        command = ["video", str(clip), "mosaic", "--fast", "--size", "64", "--mask", str(mask)]
        assert main([*command, "-o", str(tmp_path / "b")]) == 2
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert says in told
        assert not list(tmp_path.glob("b*"))


def test_masks_that_show_a_region_in_no_picture_are_refused(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A colour that no picture has, or black ones only, would leave the whole clip unpainted; one
    picture with the region will do, and so will a folder that has it at its end."""
    folder = pictures(tmp_path / "masks", (1, 2))
    film = make_clip(tmp_path / "black.mkv", [bar(1)] * 3)
    shown = make_clip(tmp_path / "shown.mkv", [bar(1), bar(2)])

    def run(mask: object) -> ClipRun:
        painter = PlainPainter(masks=[str(mask)])
        return ClipRun(clip, tmp_path / "b.mp4", painter, VideoOptions(), 64, styles=1)

    with pytest.raises(ImageError) as caught:
        run(f"{folder}#ff0000")
    assert str(caught.value) == (
        f"--mask {folder}: none of its pictures has the colour #ff0000; name one that they have "
        "(the first one: #000000)"
    )
    with pytest.raises(ImageError, match=r"--mask .*black\.mkv: is black in all its pictures"):
        run(film)
    network = str(table_file(tmp_path / "net.safetensors"))
    words = ["video", str(clip), "mosaic", "--fast", "--network", network, "--segments", "2", "-q"]
    for more in [], ["--segment", "2"], ["--workers", "2"]:
        command = [*words, "--mask", str(film), "-o", str(tmp_path / "c.mp4"), *more]
        assert main(command) == 2
        assert "is black in all its pictures" in capsys.readouterr().err
        assert not list(tmp_path.glob("c.mp4*"))
    for mask in folder, f"{folder}#ffffff", shown:
        assert run(mask).folder.name == "b.mp4.frames"
