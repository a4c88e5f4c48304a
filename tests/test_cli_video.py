"""`impasto video` says in one line what cannot be done, and writes over nothing that it reads."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
pytest.importorskip("cv2")

from impasto.cli import main
from impasto.images import reading
from moving import drifting, make_clip
from tiny_networks import any_file, table_file

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a clip, a folder of pictures, a painting, masks and networks."""
    monkeypatch.chdir(tmp_path)
    make_clip(Path("a.mp4"), [drifting(i) for i in range(3)])
    for folder in "shots", "masks":
        Path(folder).mkdir()
    for number in range(3):
        Image.fromarray(drifting(number)).save(f"shots/{number}.png")
        grey = np.full((48, 64), 255, np.uint8)
        Image.fromarray(grey).save(f"masks/{number}.png")
    make_clip(Path("mask.mkv"), [np.full((48, 64, 3), 255, np.uint8)] * 3)
    shutil.copy("masks/0.png", "mask.png")
    Image.fromarray(drifting(5)).save("p.png")
    Image.fromarray(drifting(6)).save("p.gif")
    table_file(Path("net.safetensors"))
    any_file(Path("any.safetensors"))
    return tmp_path


def refused(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """Runs a command that is refused; its one line."""
    assert main([*arguments]) == code
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1, told
    return told[0].removeprefix("impasto: ")


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


FAST = ["--fast", "--size", "32", "-q", "--overwrite"]
TABLE, ANY = ["--network", "net.safetensors"], ["--network", "any.safetensors"]


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["a.mp4", "p.png", *ANY, "-o", "b.mp4", "--live", "p.png"], "--live p.png: "),
        (["a.mp4", "p.gif", *ANY, "-o", "p.gif"], "--output p.gif: "),
        (["a.mp4", "p.png", *ANY, "-o", "b.mp4", "--live", "link.png"], "--live link.png: "),
        (["a.mp4", "mosaic", *TABLE, "--mask", "mask.png", "--live", "mask.png"], "--live"),
        (["a.mp4", "mosaic", *TABLE, "--mask", "mask.png#ffffff", "--live", "mask.png"], "--live"),
        (["a.mp4", "mosaic", *TABLE, "--mask", "mask.mkv", "-o", "mask.mkv"], "--output"),
        (["a.mp4", "mosaic", *TABLE, "--mask", "masks", "--live", "masks/1.png"], "--live"),
        (["a.mp4", "mosaic", *TABLE, "--mask", "masks", "--live", "masks/new.png"], "--live"),
        (["a.mp4", "p.png", *ANY, "--style-mask", "mask.png", "--live", "mask.png"], "--live"),
        (["shots", "mosaic", *TABLE, "-o", "b.mp4", "--live", "shots/1.png"], "--live"),
        (["shots", "mosaic", *TABLE, "-o", "shots/9.gif"], "--output"),
    ],
)
def test_nothing_that_is_read_is_written_over(
    words: list[str], flag: str, place: Path, capsys: Capture
) -> None:
    """With --overwrite too, no painting, mask, picture of a folder or network is lost to a result
    or to the newest frame."""
    Path("link.png").symlink_to("p.png")
    before = contents(place)
    told = refused(capsys, "video", *words, *FAST)
    assert told.startswith(flag)
    assert "this run" in told
    assert contents(place) == before


def test_the_newest_frame_may_lie_beside_the_frames(place: Path) -> None:
    """A picture without a number is no frame, so that it may lie in the folder of the clip."""
    words = ["video", "shots", "mosaic", *TABLE, *FAST, "-o", "b.mp4", "--live", "shots/new.png"]
    assert main(words) == 0
    assert Path("shots/new.png").exists()


@pytest.mark.parametrize("live", [[], ["--live", "x.png"]])
@pytest.mark.parametrize("output", [".", "/"])
def test_a_folder_that_is_there_is_no_output(
    output: str, live: list[str], place: Path, capsys: Capture
) -> None:
    """Folders that are called by no name are refused like others, with --live too."""
    told = refused(capsys, "video", "a.mp4", "mosaic", *FAST, *TABLE, "-o", output, *live, code=1)
    assert told == f"{output}: exists already; choose another name for the folder"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["video", "a.mp4", "mosaic", "-o", ""], "-o: the name is empty"),
        (["video", "a.mp4", "mosaic", "-o", "b.mp4", "--live", ""], "--live: the name is empty"),
        (["video", "", "mosaic", "-o", "b.mp4"], "CLIP: the name is empty"),
        (["live", "mosaic", *TABLE, "--camera", ""], "--camera: the name is empty"),
        (["video", "a.mp4", "mosaic", *FAST, *TABLE, "-o", ".mp4"], ".mp4: has no name before"),
    ],
)
def test_empty_names_are_not_the_current_folder(
    words: list[str], says: str, place: Path, capsys: Capture
) -> None:
    """What an unset variable leaves is refused, and an ending alone is no name."""
    assert says in refused(capsys, *words)
    assert not Path(".mp4").exists()


def test_there_is_no_camera_of_so_large_a_number(place: Path, capsys: Capture) -> None:
    """Numbers that no camera has are refused like those of missing ones."""
    told = refused(capsys, "live", "mosaic", *TABLE, "--camera", "9" * 20)
    assert "there is no such camera" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["video", "pipe", "mosaic", *TABLE], "pipe: is a pipe or a device; save it to a file"),
        (["video", "/dev/zero", "mosaic", *TABLE], "/dev/zero: is a pipe or a device; save it"),
        (["video", "a.mp4", "mosaic", *TABLE, "--mask", "pipe"], "--mask pipe: is a pipe or a"),
        (
            ["video", "a.mp4", "mosaic", *TABLE, "--mask", "/dev/zero"],
            "--mask /dev/zero: is a pipe",
        ),
        (["video", "a.mp4", "p.png", *ANY, "--style-mask", "pipe"], "--style-mask pipe: is a pipe"),
        (["video", "a.mp4", "pipe", *ANY], "pipe: is a pipe into which nobody writes"),
        (["video", "a.mp4", "/dev/zero", *ANY], "/dev/zero: is a device; save the picture"),
        (["live", "pipe", *ANY, "--camera", "a.mp4"], "pipe: is a pipe into which nobody writes"),
        (["live", "mosaic", *TABLE, "--camera", "pipe"], "pipe: is a pipe or a device; save it"),
        (["stylize", "pipe", "mosaic", "--fast", *TABLE], "pipe: is a pipe into which nobody"),
    ],
)
def test_nobody_is_waited_for(
    words: list[str], says: str, place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipes into which nobody writes, and devices that never end, are refused wherever a clip, a
    mask, a painting or a camera may be named."""
    monkeypatch.setattr(reading, "PATIENCE", 0.05)
    os.mkfifo("pipe")
    video = ["--fast", "--size", "32", "-q", "-o", "b.mp4"] if words[0] == "video" else []
    assert refused(capsys, *words, *video).startswith(says)
    assert not Path("b.mp4").exists()


def test_a_painting_may_come_through_a_pipe(place: Path) -> None:
    """What the shell hands over as <(cat p.png) is read once, for all frames."""
    reader, writer = os.pipe()
    try:
        os.write(writer, Path("p.png").read_bytes())
        os.close(writer)
        assert main(["video", "a.mp4", f"/dev/fd/{reader}", *ANY, *FAST, "-o", "b.mp4"]) == 0
    finally:
        os.close(reader)
    assert Path("b.mp4").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["video", "a.mp4", "nigth-sky", *ANY, "--fast"], "nigth-sky"),
        (["video", "a.mp4", "Nigth_Sky", "--size", "32", "--evaluations", "1"], "Nigth_Sky"),
        (["stylize", "p.png", "nigth-sky", *ANY, "--fast"], "nigth-sky"),
        (["stylize", "p.png", "nigth-sky"], "nigth-sky"),
        (["live", "nigth-sky", *ANY, "--camera", "a.mp4"], "nigth-sky"),
        (["texture", "nigth-sky"], "nigth-sky"),
        (["sheet", "--photo", "p.png", "--style", "mosaic", "nigth-sky", "-o", "s"], "nigth-sky"),
        (["train", "nigth-sky", "--photos", "shots", "-o", "n.safetensors"], "nigth-sky"),
    ],
)
def test_a_misspelt_style_is_told_its_name(
    words: list[str], says: str, place: Path, capsys: Capture, narrow: Any
) -> None:
    """Wherever a painting may be named, a name that is nearly a built-in style's meets it."""
    told = refused(capsys, *words)
    assert told.startswith(f"{says}: no such file, nor a built-in picture of that name")
    assert told.endswith("; did you mean night-sky?")


def test_files_that_are_gone_mean_no_style(place: Path, capsys: Capture) -> None:
    """The name of a file, and one like no style's, is just not there."""
    for name in "nigth-sky.png", "./nigth-sky", "xyzzy":
        told = refused(capsys, "stylize", "p.png", name, "--fast", *ANY)
        assert told == f"{name}: no such file; check the path"


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ("gone.png", "--mask gone.png: no such file; check the path"),
        ("p.png", "--mask p.png: is coloured; give a grey mask"),
        ("black.png", "--mask black.png: is black everywhere"),
        ("shots", "--mask shots/0.png: is coloured"),
        ("damaged", "--mask damaged/0.png: "),
        ("timed", "--mask timed/times.csv: is no table of file, seconds and duration"),
        ("endless", "--mask endless/times.csv: is no table of file, seconds and duration"),
    ],
)
def test_faults_of_masks_say_that_they_are(
    mask: str, says: str, place: Path, capsys: Capture
) -> None:
    """Every line on a mask names the flag; a table whose times cannot be is one of them."""
    Image.fromarray(np.zeros((48, 64), np.uint8)).save("black.png")
    for name, seconds in ("timed", "1/0"), ("endless", "1e999999999"):
        shutil.copytree("masks", name)
        Path(name, "times.csv").write_text(f"file,seconds,duration\n0.png,{seconds},1\n")
    Path("damaged").mkdir()
    Path("damaged/0.png").write_bytes(Path("p.png").read_bytes()[:200])
    told = refused(capsys, "video", "a.mp4", "mosaic", *TABLE, "--mask", mask, *FAST, "-o", "b.mp4")
    assert told.startswith(says)


def test_one_frame_is_one_frame(place: Path, capsys: Capture) -> None:
    """What there is one of is told as such."""
    for number in 1, 2:
        Path(f"shots/{number}.png").unlink()
    words = ["video", "shots", "mosaic", *TABLE, "--fast", "--size", "32", "-o", "b.mp4"]
    assert main(words) == 0
    assert ", 1 frame, " in capsys.readouterr().out


def test_a_size_beyond_the_clips_changes_nothing(place: Path) -> None:
    """Paintings too are seen as large as the result is, and not as what was asked for."""
    values = np.random.default_rng(3).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(values).save("large.png")
    for size in "64", "48", "4000":
        words = ["video", "a.mp4", "large.png", *ANY, "--fast", "-q", "-o", size, "--size", size]
        assert main(words) == 0
    first, smaller, beyond = (contents(Path(size)) for size in ("64", "48", "4000"))
    assert beyond == first
    assert smaller != first
