"""`--checkpoint` and `impasto resume`: what they write, when, and what survives a kill."""

import errno
import io
import json
import os
import random
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.checkpoint import read_checkpoint
from impasto.cli import keeping, main
from impasto.images import read_image
from impasto.objective import Objective, Terms
from impasto.run import Stylization
from impasto.weights import Weights
from real_runs import stop_midway

Capture = pytest.CaptureFixture[str]
Maker = Callable[..., Path]
Patch = pytest.MonkeyPatch
Failing = Callable[[int, type[BaseException]], None]
Interrupting = Callable[[int, bool, Callable[[], None]], AbstractContextManager[None]]

PAIR = ["stylize", "photo.png", "painting.png", "--start", "noise"]
RUN = [*PAIR, "--levels", "16:4,32:9"]
KEPT = ["--checkpoint-every", "0", "--checkpoint"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at open files in /proc")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: Patch, make_png: Maker) -> Path:
    """Every test runs in a folder of its own with a photo and a painting."""
    monkeypatch.chdir(tmp_path)
    make_png("photo.png", 40, 30, 1)
    make_png("painting.png", 36, 36, 2)
    return tmp_path


def left(folder: Path) -> set[str]:
    """What is in the folder beside the inputs, hidden files and folders' contents too."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return found - {"photo.png", "painting.png"}


def unbroken(*flags: str) -> bytes:
    """The picture of the same run without an interruption, by a run that keeps no checkpoint."""
    assert main([*RUN, *flags, "-o", "unbroken.png", "-q"]) == 0
    data = Path("unbroken.png").read_bytes()
    Path("unbroken.png").unlink()
    return data


def interrupted(capsys: Capture, *flags: str) -> str:
    """Runs into a Ctrl-C set up before, with a checkpoint; what was said."""
    assert main([*RUN, *flags, "--checkpoint", "run.ckpt"]) == 130
    return capsys.readouterr().out


# --- Ctrl-C and on -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs-pixel", "adam"])
@pytest.mark.parametrize("at", [1, 2, 5, 6, 13])
def test_ctrl_c_and_resume_give_the_same_file(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing, optimizer: str, at: int
) -> None:
    """Interrupted at any evaluation and resumed, the file is to the byte that of one run."""
    expected = unbroken("--optimizer", optimizer)
    failing(at, KeyboardInterrupt)
    said = interrupted(capsys, "--optimizer", optimizer, "-o", "out.png")
    assert said.startswith("stopped early; the best picture so far is out.png (32 x 24 px, ")
    assert said.endswith("; resume with: impasto resume run.ckpt\n")
    assert left(folder) == {"out.png", "run.ckpt"}
    assert main(["resume", "run.ckpt"]) == 0
    out, err = capsys.readouterr()
    assert re.match(rf"{re.escape(str(folder))}/out\.png \(32 x 24 px, 13 evaluations, ", out)
    assert "warning" not in err
    assert (folder / "out.png").read_bytes() == expected
    assert left(folder) == {"out.png"}


def test_a_resumed_run_says_what_is_left(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """The levels that are still to do come in one line, and the summary compares with it."""
    failing(8, KeyboardInterrupt)
    interrupted(capsys, "-o", "out.png")
    failing(3, KeyboardInterrupt)
    assert main(["resume", "run.ckpt"]) == 130
    out, err = capsys.readouterr()
    assert re.match(r"plan: still to do 32 x 24 px; about \d+ s and \d\.\d GB\n", err)
    assert "planned" not in out
    assert main(["resume", "run.ckpt", "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    (level,) = summary["plan"]["levels"]
    assert (level["width"], level["evaluations"]) == (32, 4)
    assert summary["seconds"] >= summary["seconds_since_resumed"] > 0


def test_the_rest_is_compared_with_its_plan(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """Between levels only those to come are planned, and the last line says both figures."""
    failing(2, KeyboardInterrupt)
    interrupted(capsys, "-o", "out.png")
    assert main(["resume", "run.ckpt"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("plan: still to do 16 x 12, 32 x 24 px; about ")
    assert re.search(r", \d+ s, \d+ s of them since it was resumed; planned \d+ s and ", out)


def test_the_advice_can_be_pasted(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """The command in the last line works as it stands, blanks and quotes in the name included."""
    expected = unbroken()
    failing(3, KeyboardInterrupt)
    assert main([*RUN, "-o", "out.png", "--checkpoint", "my cat's.ckpt"]) == 130
    command = capsys.readouterr().out.strip().partition("resume with: impasto ")[2]
    assert main([*shlex.split(command), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert (folder / "out.png").read_bytes() == expected


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_that_are_no_text_are_gone_on_with(
    folder: Path, narrow: Weights, failing: Failing
) -> None:
    """Names of pictures, result and checkpoint need not be UTF-8."""
    expected = unbroken()
    photo, out, kept = (os.fsdecode(name) for name in (b"p\xff.png", b"o\xff.png", b"c\xff.ckpt"))
    Path("photo.png").rename(photo)
    failing(5, KeyboardInterrupt)
    assert main(["stylize", photo, *RUN[2:], "-o", out, "--checkpoint", kept]) == 130
    assert main(["resume", kept]) == 0
    assert left(folder) == {photo, out}
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(io.BytesIO(expected))))


def test_the_name_it_would_have_had(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing, monkeypatch: Patch
) -> None:
    """Without --output the free name that was found goes on to be used, from another folder too."""
    (folder / "photo-painting.png").write_bytes(b"mine")
    failing(3, KeyboardInterrupt)
    interrupted(capsys)
    assert left(folder) == {"photo-painting.png", "photo-painting-2.png", "run.ckpt"}
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert main(["resume", "../run.ckpt", "-q"]) == 0
    assert left(folder) == {"photo-painting.png", "photo-painting-2.png", "elsewhere"}
    assert (folder / "photo-painting.png").read_bytes() == b"mine"


def test_everything_is_written_as_asked_for(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """Depth, trace, snapshots and figure are those of one run, though it was broken twice."""
    flags = ["--bits", "16", "--trace", "t.jsonl", "--snapshots", "steps", "--every", "3"]
    flags += ["--plot", "loss.svg"]
    assert main([*RUN, *flags, "-o", "out.tif", "-q"]) == 0
    expected = {name: (folder / name).read_bytes() for name in left(folder) - {"steps"}}
    rows = trace_without_times(folder / "t.jsonl")
    for name in expected:
        (folder / name).unlink()
    failing(3, KeyboardInterrupt)
    interrupted(capsys, *flags, "-o", "out.tif")
    assert left(folder) >= {"out.tif", "t.jsonl", "loss.svg", "steps/000001.png"}
    failing(5, KeyboardInterrupt)
    assert main(["resume", "run.ckpt"]) == 130
    assert trace_without_times(folder / "t.jsonl") == rows[:6]
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert left(folder) == {*expected, "steps"}
    assert trace_without_times(folder / "t.jsonl") == rows
    assert read_image("out.tif").bits == 16
    for name in expected.keys() - {"t.jsonl"}:
        assert (folder / name).read_bytes() == expected[name], name


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("at", [1, 4, 7])
def test_ctrl_c_between_two_evaluations(
    folder: Path, narrow: Weights, capsys: Capture, interrupting: Interrupting, at: int, told: bool
) -> None:
    """An interrupt right after an evaluation, before or when the run tells of it, leaves no gap in
    trace, snapshots and figure, neither then nor in what is written in the end."""
    flags = ["--trace", "t.jsonl", "--snapshots", "steps", "--every", "3", "--plot", "loss.svg"]
    assert main([*RUN, *flags, "-o", "out.png", "-q"]) == 0
    expected = {name: (folder / name).read_bytes() for name in left(folder) - {"steps"}}
    rows = trace_without_times(folder / "t.jsonl")
    for name in expected:
        (folder / name).unlink()

    def pressed() -> None:
        raise KeyboardInterrupt

    with interrupting(at, told, pressed):
        interrupted(capsys, *flags, "-o", "out.png")
    if told:
        assert trace_without_times(folder / "t.jsonl") == rows[:at]
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert left(folder) == {*expected, "steps"}
    assert trace_without_times(folder / "t.jsonl") == rows
    for name in expected.keys() - {"t.jsonl"}:
        assert (folder / name).read_bytes() == expected[name], name


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize("at", [1, 4])
def test_ctrl_c_while_a_trace_is_written(
    folder: Path, narrow: Weights, monkeypatch: Patch, at: int, moment: str
) -> None:
    """An interrupt before, in the middle of and after the writing of a line leaves that line there,
    once and whole, with a checkpoint or without."""
    calls = [0]

    class Pressed(io.FileIO):
        """A file in whose n-th writing Ctrl-C is pressed."""

        def write(self, data: Any) -> int:
            calls[0] += 1
            if calls[0] == at:
                if moment != "before":
                    super().write(data if moment == "after" else data[:7])
                raise KeyboardInterrupt
            return super().write(data)

    assert main([*RUN, "--trace", "whole.jsonl", "-o", "whole.png", "-q"]) == 0
    rows = trace_without_times(folder / "whole.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(io, "FileIO", Pressed)
        assert main([*RUN, "--trace", "t.jsonl", "-o", "out.png", "-q"]) == 130
    assert trace_without_times(folder / "t.jsonl") == rows[:at]
    calls[0] = 0
    flags = ["--trace", "t.jsonl", "--checkpoint", "run.ckpt", "-o", "out.png", "-q"]
    with monkeypatch.context() as patch:
        patch.setattr(io, "FileIO", Pressed)
        assert main([*RUN, *flags, "--overwrite"]) == 130
        calls[0] = 0
        assert main(["resume", "run.ckpt", "-q"]) == 130
        assert trace_without_times(folder / "t.jsonl") == rows[: 2 * at]
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert trace_without_times(folder / "t.jsonl") == rows


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("resumed", [False, True])
def test_ctrl_c_ends_the_wait_for_who_reads_a_trace(
    folder: Path, narrow: Weights, failing: Failing, monkeypatch: Patch, resumed: bool
) -> None:
    """A run that waits for a reader of the pipe that its trace goes to ends with Ctrl-C, and keeps
    its picture; it does not begin to wait anew, when it heeds no signal any more."""
    command = [*RUN, "--trace", "t.jsonl", "--checkpoint", "run.ckpt", "-o", "out.png", "-q"]
    if resumed:
        failing(4, KeyboardInterrupt)
        assert main(command) == 130
        (folder / "t.jsonl").unlink()
        (folder / "out.png").unlink()
        command = ["resume", "run.ckpt", "-q"]
    else:
        command.append("--overwrite")
    os.mkfifo(folder / "t.jsonl")
    opened = [0]

    class Waiting(io.FileIO):
        """A pipe that nobody reads, in whose opening Ctrl-C is pressed."""

        def __init__(self, *_: Any) -> None:
            opened[0] += 1
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(io, "FileIO", Waiting)
        assert main(command) == 130
    assert opened == [1]
    assert (folder / "out.png").exists()


def trace_without_times(path: Path) -> list[dict[str, Any]]:
    """A trace's rows, which rise in time, without it."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    times = [row.pop("elapsed_s") for row in rows]
    assert times == sorted(times)
    return rows


def test_output_may_be_replaced(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """`-o`, `--bits` and `--quality` replace what was asked for; the rest goes on."""
    failing(6, KeyboardInterrupt)
    interrupted(capsys, "--bits", "16", "-o", "out.png")
    assert main(["resume", "run.ckpt", "-o", "other.jpg", "-q"]) == 2
    assert "--bits 16: JPEG" in capsys.readouterr().err
    flags = ["--bits", "8", "--quality", "50", "-o", "other.jpg"]
    assert main(["resume", "run.ckpt", *flags, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["output"], summary["evaluations"]) == ("other.jpg", 13)
    assert (summary["interrupted"], summary["checkpoint"]) == (False, None)
    assert Image.open("other.jpg").format == "JPEG"
    assert left(folder) == {"out.png", "other.jpg"}


def test_json_names_the_checkpoint(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """A program learns from the summary that and where the run can be taken up."""
    failing(3, KeyboardInterrupt)
    summary = json.loads(interrupted(capsys, "--json", "-o", "out.png"))
    assert (summary["interrupted"], summary["checkpoint"]) == (True, "run.ckpt")


@pytest.mark.parametrize("command", ["demo", "reproduce", "content", "style"])
def test_every_command_can_be_resumed(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing, command: str
) -> None:
    """What `stylize` can, the other commands that make a picture can too."""
    assert main([*RUN, "-o", "made.png", "-q"]) == 0
    size = ["--size", "32", "--evaluations", "6"]
    arguments = {
        "demo": ["demo", *size],
        "reproduce": ["reproduce", "made.png"],
        "content": ["reconstruct", "content", "photo.png", *size],
        "style": ["reconstruct", "style", "painting.png", *size],
    }[command]
    assert main([*arguments, "-o", "whole.png", "-q"]) == 0
    failing(4, KeyboardInterrupt)
    assert main([*arguments, "-o", "out.png", "--checkpoint", "run.ckpt"]) == 130
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


def test_a_failed_run_can_be_resumed(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """When memory runs out, the line says where the picture is and how to go on."""
    expected = unbroken()
    failing(7, MemoryError)
    assert main([*RUN, "-o", "out.png", "--checkpoint", "run.ckpt", "-q"]) == 1
    assert capsys.readouterr().err == (
        "impasto: out of memory at 32 x 24 px; choose a smaller --size, or say with --memory how "
        "much there is; the best picture so far "
        "is in out.png; resume with: impasto resume run.ckpt\n"
    )
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert (folder / "out.png").read_bytes() == expected


def test_checkpoints_made_in_python_have_a_name(
    folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """A checkpoint that no command wrote gives its own name to the picture."""
    from impasto import stylization
    from stand_ins import finish, options_of

    run = stylization("photo.png", "painting.png", options_of())
    next(run)
    run.checkpoint("mine.ckpt")
    assert main(["resume", "mine.ckpt", "-q"]) == 0
    assert left(folder) == {"mine.png"}
    expected = (finish(run).pixels * 255).round()
    np.testing.assert_array_equal(np.asarray(Image.open("mine.png")), expected)


# --- when they are written -----------------------------------------------------------------------


def test_checkpoints_come_with_levels_and_time(
    folder: Path, narrow: Weights, capsys: Capture, monkeypatch: Patch
) -> None:
    """One when each level begins, then one whenever the interval has passed, and a small last."""
    now, written, evaluate, keep = [0.0], [], Objective.evaluate, Stylization.checkpoint

    def timed(self: Objective, picture: torch.Tensor) -> tuple[Terms, torch.Tensor]:
        now[0] += 10
        return evaluate(self, picture)

    def noted(self: Stylization, *args: Any, **values: Any) -> None:
        written.append(0 if self.last is None else self.last.done)
        keep(self, *args, **values)

    monkeypatch.setattr(Objective, "evaluate", timed)
    monkeypatch.setattr(Stylization, "checkpoint", noted)
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
    flags = ["--checkpoint", "run.ckpt", "-o", "out.png", "-q", "--overwrite"]
    assert main([*RUN, *flags, "--checkpoint-every", "30"]) == 0
    assert written == [0, 1, 4, 5, 8, 11, 13]
    written.clear()
    assert main([*RUN, *flags, "--checkpoint-every", "0"]) == 0
    assert written == [*range(14), 13]
    written.clear()

    def slow(self: Stylization, *args: Any, **values: Any) -> None:
        noted(self, *args, **values)
        now[0] += 1

    # A second of writing in fifty: with evaluations of ten seconds, every fifth.
    monkeypatch.setattr(Stylization, "checkpoint", slow)
    assert main([*RUN, *flags, "--checkpoint-every", "30"]) == 0
    assert written == [0, 1, 5, 10, 13]


def test_a_run_that_ends_leaves_no_checkpoint(
    folder: Path, narrow: Weights, capsys: Capture
) -> None:
    """The checkpoint goes once the picture is written."""
    expected = unbroken()
    assert main([*RUN, "-o", "out.png", "--checkpoint", "run.ckpt", "-q"]) == 0
    assert left(folder) == {"out.png"}
    assert (folder / "out.png").read_bytes() == expected


# --- faults --------------------------------------------------------------------------------------


def fault_of(capsys: Capture) -> str:
    """The one printable line on standard error."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("impasto: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    return err


@LINUX
def test_a_full_disk_does_not_cost_the_run(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing, monkeypatch: Patch
) -> None:
    """With no room for checkpoints the run goes on with one warning, and the old one stays."""
    expected = unbroken()
    failing(6, KeyboardInterrupt)
    interrupted(capsys, "-o", "out.png", "--checkpoint-every", "0")
    before = (folder / "run.ckpt").read_bytes()
    sync = os.fsync

    def full(descriptor: int) -> None:
        if "-" in Path(f"/proc/self/fd/{descriptor}").readlink().name[9:]:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    failing(4, KeyboardInterrupt)
    assert main(["resume", "run.ckpt", "-o", "second.png", "-q"]) == 130
    assert fault_of(capsys) == (
        "impasto: warning: run.ckpt: the disk is full; free some space; the run goes on, and the "
        "checkpoint before this one stays\n"
    )
    assert (folder / "run.ckpt").read_bytes() == before
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert (folder / "out.png").read_bytes() == expected
    assert left(folder) == {"out.png", "second.png"}
    capsys.readouterr()
    assert main([*RUN, "-o", "third.png", "--checkpoint", "new.ckpt", "-q"]) == 1
    assert fault_of(capsys) == "impasto: new.ckpt: the disk is full; free some space\n"
    assert left(folder) == {"out.png", "second.png"}


def test_a_run_that_cannot_begin_leaves_no_checkpoint(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """A fault before the first evaluation has nothing to resume, and leaves nothing."""
    failing(1, MemoryError)
    assert main([*RUN, "-o", "out.png", "--checkpoint", "run.ckpt", "-q"]) == 1
    assert "resume" not in fault_of(capsys)
    assert left(folder) == set()


@LINUX
def test_a_picture_that_cannot_be_written_is_not_lost(
    folder: Path, narrow: Weights, capsys: Capture, monkeypatch: Patch
) -> None:
    """When the disk has no room for the finished picture, the run waits in its checkpoint."""
    expected = unbroken()
    sync = os.fsync

    def full(descriptor: int) -> None:
        if "-" not in Path(f"/proc/self/fd/{descriptor}").readlink().name[9:]:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert main([*RUN, "-o", "out.png", "--checkpoint", "run.ckpt", "-q"]) == 1
    assert fault_of(capsys) == (
        "impasto: out.png: the disk is full; free some space; resume with: impasto resume "
        "run.ckpt\n"
    )
    assert left(folder) == {"run.ckpt"}
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert (folder / "out.png").read_bytes() == expected


@pytest.mark.parametrize(
    ("flags", "word", "code"),
    [
        (["--checkpoint", "photo.png"], "is a picture that this run reads", 2),
        (["--checkpoint", "photo.png", "--overwrite"], "is a picture that this run reads", 2),
        (["--checkpoint", "alias.png", "--overwrite"], "is a picture that this run reads", 2),
        (["--checkpoint", "out.png"], "--output goes there", 2),
        (["--checkpoint", "t.jsonl", "--trace", "./t.jsonl"], "--trace goes there", 2),
        (["--checkpoint", "old.ckpt"], "continue it with 'impasto resume'", 1),
        (["--checkpoint", "a folder"], "is a folder", 1),
        (["--checkpoint", "a folder", "--overwrite"], "is a folder", 1),
        (["--checkpoint", "pipe", "--overwrite"], "is no plain file", 1),
        (["--checkpoint", "pipe"], "is no plain file", 1),
        (["--checkpoint", "no/such/x.ckpt"], "does not exist", 1),
        (["--checkpoint", "x" * 300], "too long", 1),
        (["--checkpoint", "a\0b"], "null", 1),
        (["--checkpoint", "c", "--checkpoint-every", "-1"], "must be seconds, 0 or more", 2),
        (["--checkpoint", "c", "--checkpoint-every", "nan"], "must be seconds, 0 or more", 2),
        (["--checkpoint", "c", "--checkpoint-every", "inf"], "must be seconds, 0 or more", 2),
    ],
)
def test_impossible_checkpoints_are_refused_before_the_run(
    folder: Path, narrow: Weights, capsys: Capture, flags: list[str], word: str, code: int
) -> None:
    """Where no checkpoint can be written, or another file is, one line says so before any work."""
    (folder / "old.ckpt").write_bytes(b"old")
    (folder / "a folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "alias.png").symlink_to("photo.png")
    before = left(folder)
    assert main([*RUN, "-o", "out.png", *flags]) == code
    assert word in fault_of(capsys)
    assert left(folder) == before
    assert (folder / "old.ckpt").read_bytes() == b"old"


def test_what_others_made_meanwhile_is_not_replaced(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """The partial picture, figure and trace go on only as the run left them; edited, they stay."""
    failing(6, KeyboardInterrupt)
    flags = ["-o", "out.png", "--plot", "p.svg", "--trace", "t.jsonl"]
    interrupted(capsys, *flags)
    for name in ("out.png", "p.svg", "t.jsonl"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(b"mine" + before)
        assert main(["resume", "run.ckpt"]) == 1
        assert f"{name}: " in (said := fault_of(capsys))
        assert "--overwrite" in said
        assert (folder / name).read_bytes() == b"mine" + before
        (folder / name).write_bytes(before)
    (folder / "out.png").write_bytes(b"mine")
    assert main(["resume", "run.ckpt", "--overwrite", "-q"]) == 0
    assert Image.open("out.png").size == (32, 24)


def test_overwrite_is_remembered(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing
) -> None:
    """What the interrupted command might replace, the resumed one may."""
    failing(6, KeyboardInterrupt)
    interrupted(capsys, "-o", "out.png", "--overwrite")
    (folder / "out.png").write_bytes(b"old")
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert Image.open("out.png").size == (32, 24)


@pytest.mark.parametrize(
    "notes",
    [
        {"output": 3},
        {"output": "a\0b.png"},
        {"output": "out.exe"},
        {"output": "photo.png"},
        {"output": "run.ckpt"},
        {"bits": "8"},
        {"bits": 9},
        {"quality": 10**9},
        {"quality": True},
        {"every": 0},
        {"every": None},
        {"checkpoint_every": float("1e400")},
        {"checkpoint_every": "soon"},
        {"overwrite": 1},
        {"trace": []},
        {"trace": "photo.png", "overwrite": True},
        {"snapshots": "photo.png"},
        {"plot": "a.exe"},
        {"written": 7},
    ],
)
def test_hostile_notes_are_one_line(
    folder: Path, narrow: Weights, capsys: Capture, failing: Failing, notes: dict[str, Any]
) -> None:
    """Whatever a forged checkpoint wants written where, the fault is one line, and files stay."""
    from test_checkpoint import forge

    failing(3, KeyboardInterrupt)
    interrupted(capsys, "-o", "out.png")
    forge(folder / "run.ckpt", lambda record: record["notes"].update(notes))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(["resume", "run.ckpt"]) in (1, 2)
    fault_of(capsys)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "is missing"),
        (["gone.ckpt"], "no such file"),
        (["photo.png"], "is no checkpoint of impasto"),
        (["."], "is no plain file"),
        (["run.ckpt", "-o", "out.gif"], ".gif files cannot be written"),
        (["run.ckpt", "--threads", "0"], "--threads"),
        (["run.ckpt", "--bits", "9"], "--bits 9"),
        (["run.ckpt", "--memory", "lots"], "no amount of memory"),
        (["run.ckpt", "--size", "99"], "--size"),
    ],
)
def test_resume_refuses_in_one_line(
    folder: Path,
    narrow: Weights,
    capsys: Capture,
    failing: Failing,
    arguments: list[str],
    word: str,
) -> None:
    """A checkpoint that is none, or flags that cannot be, are one line and change nothing."""
    failing(3, KeyboardInterrupt)
    interrupted(capsys, "-o", "out.png")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(["resume", *arguments]) == 2
    assert word in fault_of(capsys)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])
def test_a_changed_input_is_refused(
    folder: Path,
    narrow: Weights,
    capsys: Capture,
    failing: Failing,
    make_png: Maker,
    shape: tuple[int, int],
) -> None:
    """Another photo under the old name is named, whatever its shape, and neither picture nor
    checkpoint changes."""
    failing(6, KeyboardInterrupt)
    interrupted(capsys, "-o", "out.png")
    before = {name: (folder / name).read_bytes() for name in ("out.png", "run.ckpt")}
    make_png("photo.png", *shape, 5)
    assert main(["resume", "run.ckpt"]) == 2
    assert "photo.png: has changed since the run in run.ckpt began" in fault_of(capsys)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_ctrl_c_while_a_checkpoint_is_written(
    folder: Path, narrow: Weights, capsys: Capture, monkeypatch: Patch
) -> None:
    """A Ctrl-C during the writing leaves a whole checkpoint, and no half of one beside it."""
    expected = unbroken()
    sync, count = os.fsync, [0]

    def disturbed(descriptor: int) -> None:
        count[0] += stat.S_ISREG(os.fstat(descriptor).st_mode)
        if count[0] == 4:
            signal.raise_signal(signal.SIGINT)
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disturbed)
        said = interrupted(capsys, "-o", "out.png", "--checkpoint-every", "0")
    assert "resume with" in said
    assert left(folder) == {"out.png", "run.ckpt"}
    assert main(["resume", "run.ckpt", "-q"]) == 0
    assert (folder / "out.png").read_bytes() == expected


# --- kills ---------------------------------------------------------------------------------------


class Server:
    """Commands in processes of their own, which can be killed; see `forked_runs`."""

    def __init__(self, folder: Path) -> None:
        tests = str(Path(__file__).parent)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(tests) / "forked_runs.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])},
        )

    def run(self, arguments: list[str], kill_after: float | None = None) -> int:
        """The exit code of a command, negative for the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([arguments, kill_after]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=600)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A server of commands in the test's folder."""
    made = Server(folder)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs-pixel", "adam"])
def test_a_run_killed_at_any_moment_ends_in_the_same_bytes(
    folder: Path, server: Server, optimizer: str
) -> None:
    """Killed ten times at random, while it writes too, a run ends in the file of an unbroken one.

    After every kill the checkpoint, where one has been written, loads, and at most one half of a
    file lies beside it.
    """
    command = [*PAIR, "--levels", "16:12,32:18", "--optimizer", optimizer]
    assert server.run([*command, "-o", "unbroken.png", "-q"]) == 0
    began = time.monotonic()
    assert server.run([*command, "-o", "timed.png", "-q", *KEPT, "timed.ckpt"]) == 0
    whole = time.monotonic() - began
    rng = random.Random(optimizer)
    kills, loaded = 0, 0
    while kills < 10:
        there = (folder / "run.ckpt").exists()
        if there:
            again = ["resume", "run.ckpt", "-q"]
        else:
            again = [*command, "-o", "out.png", "-q", *KEPT, "run.ckpt", "--overwrite"]
        began = time.monotonic()
        code = server.run(again, kill_after=rng.uniform(0.05, 0.7) * whole)
        if code == 0:
            # It was quicker than the kill; the next round begins anew.
            whole = min(whole, time.monotonic() - began)
            assert (folder / "out.png").read_bytes() == (folder / "unbroken.png").read_bytes()
            continue
        assert code == -signal.SIGKILL, (folder / "said.txt").read_text()
        kills += 1
        assert len(list(folder.glob(".impasto-*.part"))) <= 1
        if (folder / "run.ckpt").exists():
            read_checkpoint(folder / "run.ckpt")
            loaded += 1
        else:
            # The machine is slower by now.
            whole *= 1.5
    assert loaded > 0
    while (folder / "run.ckpt").exists():
        assert server.run(["resume", "run.ckpt", "-q"]) == 0, (folder / "said.txt").read_text()
    assert (folder / "out.png").read_bytes() == (folder / "unbroken.png").read_bytes()
    assert left(folder) == {"out.png", "unbroken.png", "timed.png", "said.txt"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_pauses_a_process(folder: Path, number: signal.Signals) -> None:
    """A real process with the real network, stopped by a signal, can be resumed."""
    flags = ["--size", "16", "--quiet", "-o", "out.png", "--checkpoint", "run.ckpt"]
    code, _, err = stop_midway(number, "stylize", "photo.png", "painting.png", *flags)
    assert code == 130, err
    rows = trace_without_times(folder / "t.jsonl")
    place = read_checkpoint("run.ckpt").place
    assert place is not None
    assert (place.standing.done, place.standing.level) == (len(rows), 0)
    assert place.standing.terms.loss == rows[-1]["loss"]
    assert left(folder) == {"out.png", "t.jsonl", "run.ckpt"}
