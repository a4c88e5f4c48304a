"""Attacks: full disks, closed streams, signals, names that clash, pictures at the limits."""

import errno
import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import torch

import impasto.__main__
from impasto import run as run_module
from impasto.cli import main
from impasto.cli.weights import app as weights_app
from impasto.errors import ImageError, ImpastoError, OptionError, WeightsError
from impasto.images import Bitmap, output_error, read_image, write_image
from impasto.losses import wasserstein2_loss
from impasto.moments import moments_of
from impasto.objective import Objective, Terms
from impasto.options import StyleOptions, make_options
from impasto.report import plot_grid
from impasto.reproduction import from_settings
from impasto.run import Picture, stylization, stylize
from impasto.weights import Weights, list_weights
from impasto.weights.cache import read_record

Capture = pytest.CaptureFixture[str]
Maker = Callable[..., Path]
Patch = pytest.MonkeyPatch

TINY = ["--size", "16", "--evaluations", "2"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's devices and signals")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Every test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(make_png: Maker) -> list[str]:
    """A run of two evaluations."""
    make_png("photo.png", 24, 18, 1)
    make_png("painting.png", 20, 20, 2)
    return ["stylize", "photo.png", "painting.png", *TINY]


def left(folder: Path) -> set[str]:
    """What is in the folder beside the inputs, hidden files and folders' contents too."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return found - {"photo.png", "painting.png"}


def one_fault(capsys: Capture, *words: str) -> None:
    """Standard error holds one printable line with these words, beside the run's plan where it had
    begun; standard output nothing."""
    out, err = capsys.readouterr()
    assert out == ""
    if err.startswith("plan: "):
        err = err.partition("\n")[2]
    assert err.startswith("impasto: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    for word in words:
        assert word in err


def test_a_flat_painting_has_a_gradient(folder: Path, command: list[str], narrow: Weights) -> None:
    """One pixel, whose features are the same everywhere, is a painting like any other."""
    pixel = Bitmap(np.full((3, 1, 1), 0.4, np.float32))
    for values in ({}, {"start": "style-colors"}, {"size": 1, "start": "noise", "pooling": "l2"}):
        options = make_options({"size": 16, "evaluations": 2, **values})
        picture = stylize("photo.png", pixel, options)
        assert np.isfinite(picture.pixels).all()
        assert picture.progress is not None
        assert np.isfinite(picture.progress.terms.loss)


def test_slopes_at_flat_features_fit_float32() -> None:
    """Where a picture's features do not vary, the Wasserstein slope is large but finite."""
    wanted = moments_of(torch.rand(1, 5, 6, 6, generator=torch.Generator().manual_seed(1)))
    flat = moments_of(torch.full((1, 5, 6, 6), 0.37))
    second = flat.second.clone().requires_grad_()
    term = wasserstein2_loss(wanted)(type(flat)(flat.count, flat.first, second))
    (slope,) = torch.autograd.grad(term, second)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("shape", [(1500, 1, 3), (1, 1500, 3)])
def test_thin_pictures_fit_a_figure(folder: Path, shape: tuple[int, ...]) -> None:
    """A picture of one column does not ask for a figure of more dots than can be drawn."""
    plot_grid([[np.zeros(shape, np.float32)] * 2], folder / "grid.png", columns=["a", "b"])
    drawn = read_image(folder / "grid.png")
    assert max(drawn.width, drawn.height) < 4000


@pytest.mark.filterwarnings("error")
def test_a_single_evaluation_has_a_figure(
    folder: Path, command: list[str], narrow: Weights, capsys: Capture
) -> None:
    """The loss curves of one evaluation are drawn without a word from the drawing library."""
    assert main([*command, "--time-limit", "1e-9", "-o", "out.png", "--plot", "p.png", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


# --- where things are written --------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        ["--trace", "out.png"],
        ["--plot", "out.png"],
        ["--plot", "p.svg", "--trace", "./p.svg"],
        ["--trace", "photo.png"],
        ["--trace", "alias.png"],
        ["--plot", "painting.png"],
        ["--output", "photo.png"],
        ["--snapshots", "steps", "--start-image", "steps/000001.png"],
    ],
)
def test_nothing_goes_where_something_else_is(
    folder: Path, command: list[str], flags: list[str], narrow: Weights, capsys: Capture
) -> None:
    """Even with --overwrite no two results share a file, and no picture that is read is lost."""
    (folder / "alias.png").symlink_to("photo.png")
    (folder / "steps").mkdir()
    (folder / "steps/000001.png").write_bytes((folder / "photo.png").read_bytes())
    before = {path: path.read_bytes() for path in folder.rglob("*.png")}
    output = [] if "--output" in flags else ["-o", "out.png"]
    assert main([*command, *output, *flags, "--overwrite"]) == 2
    one_fault(capsys, flags[-2] if "steps" not in flags else "--snapshots", "choose another")
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before


@pytest.mark.parametrize(
    ("flag", "name", "word"),
    [
        (flag, name, word)
        for flag in ("--output", "--trace", "--plot", "--snapshots")
        for name, word in (
            ("x" * 300 + ".svg", "too long"),
            ("a\0.svg", "null"),
            ("photo.png/deeper.svg", "photo.png/deeper"),
            ("no\nfolder\x1b[31m/a.svg", r"no\nfolder\x1b[31m"),
        )
        if flag != "--snapshots" or "\n" not in name  # whose folders are made as needed
    ],
)
def test_impossible_names_are_refused_before_the_run(
    folder: Path,
    command: list[str],
    flag: str,
    name: str,
    word: str,
    narrow: Weights,
    capsys: Capture,
) -> None:
    """A name that no file can have is one printable line before any work, whatever it is for."""
    if flag == "--output":
        name = name.replace(".svg", ".png")
    output = [] if flag == "--output" else ["-o", "out.png"]
    assert main([*command, *output, flag, name]) in (1, 2)
    one_fault(capsys, word)
    assert left(folder) == set()


@pytest.mark.parametrize("words", [["draw", "x" * 5000], ["draw", ""], ["draw", "../x"]])
def test_unknown_styles_are_named_first(words: list[str], folder: Path, capsys: Capture) -> None:
    """A style that does not exist is that fault, not one of the file that it would be in."""
    assert main(["styles", *words]) == 2
    one_fault(capsys, "no built-in style")


def test_long_folders_are_one_line(folder: Path, command: list[str], capsys: Capture) -> None:
    """A photo in a folder whose name is too long is one line, though its result goes there."""
    assert main(["stylize", "x" * 5000 + "/photo.png", "painting.png", *TINY]) in (1, 2)
    one_fault(capsys, "photo.png")


class Full(io.FileIO):
    """A file on a disk that takes the first line and then a few bytes."""

    room = 1

    def write(self, data: Any, /) -> int:
        """Writes, as long as there is room."""
        if self.room > 0:
            self.room -= 1
            return super().write(data)
        if self.tell() % 7:
            return super().write(data[: 7 - self.tell() % 7])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("room", [0, 1])
def test_a_trace_on_a_full_disk_ends_in_a_whole_line(
    folder: Path,
    command: list[str],
    room: int,
    narrow: Weights,
    capsys: Capture,
    monkeypatch: Patch,
) -> None:
    """A full disk costs the trace's rest, not the picture; half a line or an empty file go."""
    monkeypatch.setattr(Full, "room", room)
    monkeypatch.setattr(io, "FileIO", Full)
    assert main([*command, "-o", "out.png", "--trace", "t.jsonl"]) == 1
    one_fault(capsys, "t.jsonl: the disk is full", "best picture so far is in out.png")
    assert left(folder) == {"out.png", *(["t.jsonl"] if room else [])}
    if room:
        assert (folder / "t.jsonl").read_text().count("\n") == 1
        assert (folder / "t.jsonl").read_text().endswith("}\n")


@LINUX
def test_a_device_as_trace_is_not_deleted(
    folder: Path, command: list[str], narrow: Weights, capsys: Capture
) -> None:
    """A fault while writing to a device leaves the device alone."""
    assert main([*command, "-o", "out.png", "--trace", "/dev/full", "--overwrite"]) == 1
    one_fault(capsys, "/dev/full: the disk is full")
    assert Path("/dev/full").exists()


@pytest.mark.parametrize(
    ("flags", "fails"),
    [(["--plot", "p.svg"], 2), (["--snapshots", "steps"], 1), ([], 1)],
)
def test_a_full_disk_leaves_nothing_half_written(
    folder: Path,
    command: list[str],
    flags: list[str],
    fails: int,
    narrow: Weights,
    capsys: Capture,
    monkeypatch: Patch,
) -> None:
    """When one of the results finds the disk full, the picture is kept if it can be, and told."""
    calls, sync = [0], os.fsync

    def full(descriptor: int) -> None:
        calls[0] += stat.S_ISREG(os.fstat(descriptor).st_mode)
        if calls[0] == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert main([*command, "-o", "out.png", "-q", *flags]) == 1
    kept = {"out.png"} if flags else set()
    one_fault(capsys, "the disk is full", *(f"picture so far is in {name}" for name in kept))
    assert left(folder) == kept


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_a_name_that_is_taken_meanwhile_costs_no_picture(
    folder: Path,
    command: list[str],
    flags: list[str],
    narrow: Weights,
    capsys: Capture,
    monkeypatch: Patch,
) -> None:
    """A file made by another program during the run stays, and the picture goes beside it."""
    evaluate = Objective.evaluate

    def meanwhile(self: Objective, picture: torch.Tensor) -> tuple[Terms, torch.Tensor]:
        (folder / "out.png").write_bytes(b"theirs")
        return evaluate(self, picture)

    monkeypatch.setattr(Objective, "evaluate", meanwhile)
    code = main([*command, "-o", "out.png", "-q", *flags])
    if flags:
        assert code == 0
        assert read_image(folder / "out.png").width == 16
        return
    assert code == 1
    one_fault(capsys, "out.png: ", "the picture is in out-2.png")
    assert (folder / "out.png").read_bytes() == b"theirs"
    assert read_image(folder / "out-2.png").width == 16


@LINUX
@pytest.mark.parametrize("flag", ["--output", "--trace", "--plot", "--snapshots", "--checkpoint"])
def test_folders_that_only_seem_writable_are_refused(
    folder: Path, command: list[str], flag: str, narrow: Weights, capsys: Capture
) -> None:
    """A folder such as /proc, in which no file can be made, is found out before the work."""
    output = [] if flag == "--output" else ["-o", "out.png"]
    assert main([*command, *output, flag, "/proc/steps.png"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("impasto: /proc/steps.png: ")
    assert "may not be written; choose another one" in err
    assert (out, err.count("\n"), left(folder)) == ("", 1, set())


def test_bad_input_makes_no_folder(folder: Path, command: list[str], capsys: Capture) -> None:
    """A run that cannot begin has made no folder for its snapshots."""
    assert main(["stylize", "photo.png", "nothing.png", *TINY, "--snapshots", "steps"]) == 2
    one_fault(capsys, "nothing.png")
    assert left(folder) == set()


# --- streams and signals -------------------------------------------------------------------------


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _: str, /) -> int:
        """Fails as a pipe does."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_run_outlives_its_audience(
    folder: Path, command: list[str], narrow: Weights, monkeypatch: Patch
) -> None:
    """When nobody reads standard error any more, the run goes on and the picture is written."""
    monkeypatch.setattr(sys, "stderr", Gone())
    assert main([*command, "-o", "out.png"]) == 0
    assert left(folder) == {"out.png"}


@pytest.mark.parametrize("closed", [["stdout"], ["stderr"], ["stdout", "stderr"]])
def test_closed_streams_are_no_fault(
    folder: Path,
    command: list[str],
    closed: list[str],
    narrow: Weights,
    capsys: Capture,
    monkeypatch: Patch,
) -> None:
    """With standard output or error closed the run says nothing there, and nothing elsewhere."""
    for name in closed:
        monkeypatch.setattr(sys, name, None)
    assert main([*command, "-o", "out.png"]) == 0
    assert left(folder) == {"out.png"}
    if closed == ["stderr"]:
        assert capsys.readouterr().out.startswith("out.png (16 x 12 px, ")


@LINUX
def test_a_full_standard_output_is_one_line(folder: Path) -> None:
    """What cannot be printed because the disk is full is one line and code 1."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "impasto", "presets"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=600,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("impasto: standard output: No space left on device; ")
    assert done.stderr.count("\n") == 1


@LINUX
def test_a_folder_that_is_gone_is_one_line(folder: Path, capsys: Capture) -> None:
    """When the current folder has been deleted, the line says so."""
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")
    (folder / "gone").rmdir()
    assert main(["presets"]) == 2
    one_fault(capsys, "current folder no longer exists")


def test_ctrl_c_before_the_run_is_one_line(
    folder: Path, command: list[str], capsys: Capture, monkeypatch: Patch
) -> None:
    """Ctrl-C while pictures and network are read, or while the program loads, says so once."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "stylization", interrupted)
    assert main([*command, "-o", "out.png"]) == 130
    assert capsys.readouterr().err == "impasto: interrupted\n"
    monkeypatch.setattr("impasto.cli.main", interrupted)
    monkeypatch.setattr("impasto.cli.started", None)
    assert impasto.__main__.main() == 130
    assert capsys.readouterr().err == "impasto: interrupted\n"
    assert left(folder) == set()


@LINUX
@pytest.mark.parametrize("second", ["at once", "while writing"])
def test_ctrl_c_twice_keeps_the_picture(
    folder: Path,
    command: list[str],
    second: str,
    narrow: Weights,
    capsys: Capture,
    monkeypatch: Patch,
) -> None:
    """A second Ctrl-C or kill, at once or during the writing, does not cost the best picture."""
    evaluate, save, count = Objective.evaluate, Picture.save, [0]

    def interrupted(self: Objective, picture: torch.Tensor) -> tuple[Terms, torch.Tensor]:
        count[0] += 1
        if count[0] == 2:
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                if second == "at once":
                    signal.raise_signal(signal.SIGINT)
        return evaluate(self, picture)

    def disturbed(self: Picture, *args: Any, **options: Any) -> None:
        if second == "while writing":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        save(self, *args, **options)

    monkeypatch.setattr(Objective, "evaluate", interrupted)
    monkeypatch.setattr(Picture, "save", disturbed)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main([*command, "-o", "out.png", "--trace", "t.jsonl", "--plot", "p.png"]) == 130
    assert capsys.readouterr().out.startswith("stopped early; the best picture so far is out.png")
    assert left(folder) == {"out.png", "t.jsonl", "p.png"}
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# --- the cache of weights ------------------------------------------------------------------------


def test_an_impossible_cache_is_one_line(monkeypatch: Patch, capsys: Capture) -> None:
    """A cache folder that cannot be, or no home folder to have it in, is one line."""
    monkeypatch.setenv("IMPASTO_CACHE", "x" * 5000)
    with pytest.raises(WeightsError, match=r"File name too long\); set IMPASTO_CACHE"):
        list_weights()
    monkeypatch.delenv("IMPASTO_CACHE")

    def homeless(*_: Any, **__: Any) -> None:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_cache_path", homeless)
    assert main(["info"]) == 2
    one_fault(capsys, "no home folder", "set IMPASTO_CACHE")


def test_hostile_headers_are_damaged_files(tmp_path: Path) -> None:
    """A cache file whose header is nested without end, or no record at all, is one line."""
    path = tmp_path / "vgg19.own.safetensors"
    for header in (b"[" * 200_000, b"[1, 2, 3]", b'"text"', b'{"__metadata__": 3}'):
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(WeightsError, match="damaged cache file"):
            read_record(path)


def test_unknown_weights_print_one_line(capsys: Capture) -> None:
    """Where standard error is no terminal, `weights get` draws no bar, not even an empty one."""
    with pytest.raises(WeightsError):
        weights_app(["get", "nope"], exit_on_error=False, result_action="return_value")
    assert capsys.readouterr() == ("", "")


# --- Python --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"size": 32}, "gatys", StyleOptions, 3, {}])
def test_options_of_another_type_are_refused(options: Any, command: list[str]) -> None:
    """Options that are no `StyleOptions` are one line that says what to give."""
    with pytest.raises(OptionError, match="give a StyleOptions"):
        stylization("photo.png", "painting.png", options)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"size": 0}, "--size: '0'"),
        ({"nope": 1}, "--nope: there is no such option"),
        ({"levels": [(float("inf"), 1)]}, "--levels: levels are written"),
        ({"levels": [(64, 10**30)]}, "--levels: a level's side"),
        ({"style_layers": {"relu1_1": 1e308}}, "from 0 to 1e"),
        ({"style_layers": "relu４_1"}, "no layer name"),
        ({"model": "alexnet"}, "give the network: vgg19 or vgg16"),
        ({"model": "vgg19\n"}, "give the network"),
    ],
)
def test_options_refuse_in_one_line(values: dict[str, Any], word: str) -> None:
    """The class itself raises the project's one-line error, with no pattern or traceback in it."""
    with pytest.raises(OptionError) as caught:
        StyleOptions(**values)
    assert word in str(caught.value)
    assert "^" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", [np.nan, np.inf, 255.0, -3.0])
def test_bitmaps_out_of_range_are_refused(value: float, command: list[str]) -> None:
    """A `Bitmap` made by hand is checked like any array, its transparency too."""
    pixels = np.full((3, 8, 8), 0.5, np.float32)
    alpha = np.ones((8, 8), np.float32)
    alpha[3, 3] = value
    spoilt = pixels.copy()
    spoilt[1, 2, 3] = value
    for bitmap in (Bitmap(spoilt), Bitmap(pixels, alpha)):
        with pytest.raises(ImageError, match=r"the Bitmap: holds values outside \[0, 1\]"):
            stylize("photo.png", bitmap)
    assert read_image(Bitmap(pixels)).pixels is pixels


def test_faults_are_one_printable_line(folder: Path) -> None:
    """Line breaks and terminal commands in a fault's words are written as escapes."""
    assert str(ImpastoError("a\nb\x1b[31m\udcff: é")) == "a\\nb\\x1b[31m\\udcff: é"
    assert str(output_error("x", OSError(errno.EIO, "bad\ndisk"))).isprintable()


@LINUX
def test_recorded_pipes_and_devices_are_not_read(
    folder: Path, command: list[str], narrow: Weights, capsys: Capture
) -> None:
    """A picture whose settings name a device or a pipe, which may never end, is refused."""
    options = StyleOptions(size=16, evaluations=1)
    made = stylize("photo.png", "painting.png", options)
    os.mkfifo(folder / "pipe")
    for name in ("/dev/zero", str(folder / "pipe")):
        settings = {**made.settings, "content": {"path": name, "sha256": ""}}
        with pytest.raises(ImageError, match="is a pipe or a device"):
            from_settings(settings)
    write_image(made.bitmap, "evil.png", settings={**settings, "impasto": "\x1b[2J\n9"})
    assert main(["reproduce", "evil.png", "-q"]) == 2
    one_fault(capsys, "is a pipe or a device")
