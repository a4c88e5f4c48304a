"""`impasto train` and `impasto network`, from arguments to files, messages and exit codes."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save

from impasto import course as courses
from impasto import networks, standing
from impasto.cli import main
from impasto.errors import WeightsError
from impasto.images import Bitmap, read_image, write_image
from impasto.network_files import FORMAT, read_network_file
from impasto.networks import (
    VGG,
    Network,
    Shape,
    StylePredictor,
    Transfer,
    read_network,
    write_network,
)
from impasto.training import Trainer, table_for

TINY = Shape((8, 8, 16), 1, (8, 8, 8))
SMALL = ["--steps", "4", "--batch", "2", "--side", "32", "--style-size", "32", "--held-out", "1"]
SMALL += ["--validate-every", "2"]


@pytest.fixture
def folder(make_png: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with five photos and two styles in it."""
    (tmp_path / "photos").mkdir()
    for number in range(5):
        make_png(f"photos/{number}.png", 40 + 3 * number, 36, number)
    for name in ("red", "blue"):
        make_png(f"{name}.png", 40, 30, 20)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(narrow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are tiny, and VGG is a narrow one."""
    monkeypatch.setitem(courses.SHAPES, "standard", TINY)


def equal(one: Path, other: Path) -> bool:
    """Whether two networks have the same tensors."""
    first, second = read_network(one), read_network(other)
    assert first.table is not None
    assert second.table is not None
    pairs = zip(
        [*first.transfer.parameters(), first.table.vectors],
        [*second.transfer.parameters(), second.table.vectors],
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("tiny")
def test_a_training_writes_all_that_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Network, sheet, trace, curves and snapshots are there, the checkpoint has gone, and the
    network says what it is."""
    extras = ["--trace", "t.jsonl", "--plot", "curves.png", "--snapshots", "sheets"]
    begin = ["train", "red.png", "blue.png", "--photos", "photos", "-o", "n.safetensors"]
    assert main([*begin, *SMALL, *extras]) == 0
    said = capsys.readouterr()
    assert re.match(r".*n\.safetensors \(loss [\d.]+ at step \d; 4 steps, \d+ s\)\n$", said.out)
    assert "step 2: validation" in said.err
    assert said.err.count("impasto: warning: --photos: 5 photos are few") == 1
    rows = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert ["validation" in row for row in rows] == [False, True, False, True]
    assert sorted(p.name for p in Path("sheets").iterdir()) == ["000002.png", "000004.png"]
    assert read_image("n.png").width == 4 * 64
    assert read_image("curves.png").width == 1600
    assert not Path("n.ckpt").exists()
    assert main(["network", "n.safetensors"]) == 0
    shown = capsys.readouterr().out
    assert "n.safetensors: knows 2 styles" in shown
    assert "impasto train red.png blue.png --photos photos -o n.safetensors --steps 4" in shown
    assert str(folder) not in shown
    assert main(["network", "n.safetensors", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["styles"] == ["red", "blue"]
    assert facts["card"]["options"]["batch"] == 2
    assert [point["step"] for point in facts["card"]["curve"]] == [2, 4]


@pytest.mark.usefixtures("tiny", "folder")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_is_gone_on_with(
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C and a polite kill keep a checkpoint and say how to go on; the result is the same, to
    the last bit, and the trace as if nothing had happened."""
    begin = ["train", "red.png", "blue.png", "--photos", "photos", *SMALL]
    assert main([*begin, "-o", "whole.safetensors", "--trace", "whole.jsonl"]) == 0
    advance = Trainer.advance

    def pressed(self: Trainer) -> Any:
        if self.step == 2:
            os.kill(os.getpid(), number)
        return advance(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "advance", pressed)
        capsys.readouterr()
        assert main([*begin, "-o", "part.safetensors", "--trace", "part.jsonl"]) == 130
    said = capsys.readouterr().out
    assert "stopped early; " in said
    advice = re.search(r"^go on with: impasto (train --resume \S+)$", said, re.MULTILINE)
    assert advice
    # As a killed process may have left it.
    with Path("part.jsonl").open("a") as trace:
        trace.write('{"step": 4, "loss": 1}\n')
    assert main(advice[1].split()) == 0
    assert equal(Path("whole.safetensors"), Path("part.safetensors"))
    rows = [
        [
            {**json.loads(line), "seconds": 0}
            for line in Path(f"{name}.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "part")
    ]
    assert rows[0] == rows[1]
    assert not Path("part.ckpt").exists()


@pytest.mark.usefixtures("tiny", "folder")
def test_a_training_out_of_time_can_be_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    """The time limit ends a training with a network and a checkpoint; what is resumed may be given
    other time, but no other steps."""
    begin = ["train", "red.png", "--photos", "photos", "-o", "n.safetensors", *SMALL]
    assert main([*begin, "--time-limit", "1e-9", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["reason"], summary["steps"]) == ("time", 0)
    assert read_network("n.safetensors").names == ["red"]
    assert main(["train", "--resume", "n.ckpt", "--steps", "9"]) == 2
    assert "--steps: --resume goes on with what was given first" in capsys.readouterr().err
    assert main(["train", "--resume", "n.ckpt", "--time-limit", "600", "-q"]) == 0
    assert read_network("n.safetensors").card["steps"] == 4


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("module", "good", "left", "onward"),
    [
        # Checkpoints after step 1, then after the first network, and so on; networks at 2 and 4.
        (standing, 0, "no network has been written yet; begin the training anew", False),
        (standing, 1, "the best network so far is in {}.safetensors; go on with: ", True),
        (networks, 0, "no network has been written yet; go on with: ", True),
    ],
)
def test_a_full_disk_says_what_there_is(
    module: Any,
    good: int,
    left: str,
    onward: bool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line says whether the best network is written, and how to go on, which then works."""
    count, write = 0, module.write_whole

    def fail(file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def full(path: Path, data: bytes, *, overwrite: bool = False) -> None:
        nonlocal count
        count += 1
        write(path, data if count <= good else fail, overwrite=overwrite)

    begin = ["train", "red.png", "--photos", "photos", "-o", "n.safetensors", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", full)
        assert main([*begin, "--checkpoint-every", "0", "-q"]) == 1
    stem = folder / "n"
    last = f"impasto train --resume {stem}.ckpt" if onward else ""
    line = f".*: the disk is full; free some space; {re.escape(left.format(stem) + last)}\n"
    assert re.fullmatch(line, capsys.readouterr().err)
    assert Path("n.safetensors").exists() == ("so far" in left)
    if onward:
        assert main(["train", "--resume", "n.ckpt", "-q"]) == 0
        assert read_network("n.safetensors").card["steps"] == 4


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 elsewhere")
@pytest.mark.usefixtures("tiny", "folder")
def test_a_training_may_have_any_name() -> None:
    """A training whose files' names are no UTF-8 is gone on with, and its network shown."""
    name = os.fsdecode(b"c\377k.safetensors")
    begin = ["train", "red.png", "--photos", "photos", "-o", name, *SMALL, "-q"]
    assert main([*begin, "--time-limit", "1e-9"]) == 0
    checkpoint = str(Path(name).with_suffix(".ckpt"))
    assert main(["train", "--resume", checkpoint, "--time-limit", "600", "-q"]) == 0
    assert read_network(name).card["steps"] == 4
    assert main(["network", name]) == 0


@pytest.mark.usefixtures("tiny", "folder")
def test_what_changes_the_numbers_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training that goes on with other threads or another torch says so in one line, once."""
    begin = ["train", "red.png", "--photos", "photos", "-o", "n.safetensors", *SMALL]
    short, resume = ["--time-limit", "1e-9", "-q"], ["train", "--resume", "n.ckpt"]
    before = torch.get_num_threads()
    try:
        assert main([*begin, *short, "--threads", "1"]) == 0
        assert main([*resume, *short]) == 0
        assert capsys.readouterr().err == ""
        assert main([*resume, *short, "--threads", "2"]) == 0
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "impasto: warning: the training goes on with threads 2, not 1: small" in said
        monkeypatch.setattr(torch, "__version__", "9.9.0")
        assert main([*resume, *short, "--threads", "2"]) == 0
        assert "torch 9.9.0, not " in capsys.readouterr().err
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("tiny", "folder")
def test_a_copied_checkpoint_leaves_other_trainings_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A renamed checkpoint goes on to a network of its own name, and one that lies beside another
    training's files replaces none of them unless asked to."""
    begin = ["train", "red.png", "--photos", "photos", *SMALL, "--time-limit", "1e-9", "-q"]
    assert main([*begin, "-o", "n.safetensors"]) == 0
    Path("other").mkdir()
    for name in ("copy.ckpt", "other/n.ckpt"):
        Path(name).write_bytes(Path("n.ckpt").read_bytes())
    others = {name: Path(name).read_bytes() for name in ("n.safetensors", "n.png", "n.ckpt")}
    more = ["--time-limit", "600", "-q"]
    for taken in ("copy.safetensors", "copy.png", "other/n.safetensors"):
        Path(taken).write_text("mine")
        resume = ["train", "--resume", str(Path(taken).with_suffix(".ckpt")), *more]
        capsys.readouterr()
        assert main(resume) == 1
        assert f"{taken}: exists already" in capsys.readouterr().err
        assert Path(taken).read_text() == "mine"
        if taken != "other/n.safetensors":
            Path(taken).unlink()
    assert main(["train", "--resume", "copy.ckpt", *more]) == 0
    assert read_network("copy.safetensors").card["steps"] == 4
    assert not Path("copy.ckpt").exists()
    assert main(["train", "--resume", "other/n.ckpt", *more, "--overwrite"]) == 0
    assert read_network("other/n.safetensors").card["steps"] == 4
    assert {name: Path(name).read_bytes() for name in others} == others


MINE = ["red.png", "--photos", "photos", "-o", "n.safetensors"]
BAD = {
    "--photos: is missing": ["red.png", "-o", "n.safetensors"],
    "--output: is missing": MINE[:3],
    "no style to learn": MINE[1:],
    "networks are called NAME.safetensors": [*MINE[:4], "n.pt"],
    "n.png: --trace goes there": [*MINE, "--trace", "n.png"],
    "snaps: 000001.png there is another file": [
        *("snaps/000001.png", *MINE[1:], "--snapshots", "snaps", "--overwrite")
    ],
    "clear.png: is fully transparent": ["clear.png", *MINE[1:]],
    "known.safetensors: exists already": [*MINE[:4], "known.safetensors"],
    "taken.png: exists already": [*MINE[:4], "taken.safetensors"],
    "kept.ckpt: exists already": [*MINE[:4], "kept.safetensors"],
    "red.png: is a picture that this run reads": [*MINE[:4], "red.safetensors"],
    "nowhere: no such folder": ["red.png", "--photos", "nowhere", *MINE[3:]],
    "empty: holds no pictures": ["red.png", "--photos", "empty", *MINE[3:]],
    "gone.png": ["gone.png", *MINE[1:]],
    "--steps: '0' is not allowed": [*MINE, "--steps", "0"],
    "--batch 1: leaves some of 2": [*MINE, "--batch", "1", "--processes", "2"],
    "--init: knows only its own": ["--any", "photos", *MINE[1:], "--init", "known.safetensors"],
    "--content-weight 0 and --style-weight 0 leave nothing": [
        *(*MINE, "--content-weight", "0", "--style-weight", "0", "--tv-weight", "0")
    ],
    "--style-weight 0 leave nothing to learn; give": [
        *(*MINE, "--content-weight", "0", "--style-weight", "0")
    ],
    "--width narrow: is not the size of the network of --init": [
        *(*MINE, "--init", "known.safetensors", "--width", "narrow")
    ],
    "text.ckpt: is no checkpoint": ["--resume", "text.ckpt"],
    "gone.ckpt: no such file": ["--resume", "gone.ckpt"],
    "photos/n.safetensors: would lie among": [*MINE[:4], "photos/n.safetensors"],
    "deep/n.safetensors: would lie among": [*MINE[:4], "photos/deep/n.safetensors", "-r"],
    "--plot photos/c.png: would lie among": [*MINE, "--plot", "photos/c.png"],
    "--trace photos/t: would lie among": [*MINE, "--trace", "photos/t"],
    "--snapshots photos: would lie among": [*MINE, "--snapshots", "photos"],
    "--plot p/c.png: would lie among": ["--any", "p", *MINE[1:], "--plot", "p/c.png"],
    "STYLE: --resume goes on": ["red.png", "--resume", "gone.ckpt"],
}


@pytest.mark.usefixtures("tiny", "folder")
@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_one_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be trained is refused in one line that names the fault, and nothing is left."""
    for name in ("empty", "photos/deep"):
        Path(name).mkdir()
    Path("p").symlink_to("photos")
    Path("text.ckpt").write_text("nothing of the kind")
    for name in ("taken.png", "kept.ckpt"):
        Path(name).write_text("mine")
    Path("snaps").mkdir()
    shutil.copy("red.png", "snaps/000001.png")
    clear = Bitmap(np.zeros((3, 8, 8), np.float32), np.zeros((8, 8), np.float32))
    write_image(clear, Path("clear.png"))
    write_network(Network(Transfer(TINY), table=table_for(["a"], TINY)), "known.safetensors")
    before = sorted(Path().iterdir())
    assert main(["train", *BAD[words]]) in (1, 2)
    said = capsys.readouterr()
    assert not said.out
    (line,) = said.err.splitlines()
    assert line.startswith("impasto: ")
    assert words in line
    assert sorted(Path().iterdir()) == before


@pytest.mark.usefixtures("tiny", "folder")
def test_pictures_that_cannot_be_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged photo is passed over and named at the end."""
    Path("photos/a.png").write_bytes(Path("photos/0.png").read_bytes()[:70])
    extra = ["--steps", "20", "--validate-every", "20", "--batch", "4"]
    begin = ["train", "red.png", "--photos", "photos", "-o", "n.safetensors", *SMALL[4:-2]]
    assert main([*begin, *extra]) == 0
    assert "passed over, for they cannot be read: a.png" in capsys.readouterr().out


def test_a_network_that_is_none_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`impasto network` refuses other files."""
    (tmp_path / "n.safetensors").write_text("text")
    assert main(["network", str(tmp_path / "n.safetensors")]) == 2
    assert "is no network of impasto" in capsys.readouterr().err


def test_foreign_networks_are_not_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a file says of itself reaches no terminal as a command, and a header that is amiss is
    one line, whether it is read with torch or without."""
    path, esc = tmp_path / "n.safetensors", "\x1b[2J"
    table = table_for([f"a{esc}"], TINY)
    write_network(Network(Transfer(TINY), table=table, card={esc: f"x{esc}\n"}), path)
    assert main(["network", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "styles  a\\x1b[2J" in shown
    with safetensors.safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()[FORMAT])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    shape = header["shape"]
    for name, value in (
        *(("card", None), ("card", "text"), ("styles", "ab"), ("styles", [1, "photo"])),
        *(("styles", None), ("styles", ["a"]), ("hidden", [1]), ("hidden", [8, 8])),
        *(("shape", shape | {"encoder": []}), ("shape", shape | {"blocks": 10**6})),
        *(("shape", shape | {"decoder": [10**9]}), ("shape", [])),
    ):
        path.write_bytes(save(tensors, {FORMAT: json.dumps({**header, name: value})}))
        assert main(["network", str(path)]) == 2
        said = capsys.readouterr().err
        assert "n.safetensors: is a damaged network" in said
        assert said.count("\n") == 1
        with pytest.raises(WeightsError, match="damaged"):
            read_network_file(path, "np")


@pytest.mark.usefixtures("tiny", "folder")
def test_shipped_networks_go_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    """`--init` and `impasto network` take the networks that come with impasto by name."""
    assert main(["network", "any"]) == 0
    assert "any.safetensors: takes any style" in capsys.readouterr().out
    assert main(["network", "styles", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    begin = ["train", "mosaic", "--photos", "photos", "-o", "n.safetensors", *SMALL[2:]]
    assert main([*begin, "--init", "styles", "--steps", "1", "-q", "-r"]) == 0
    card = read_network("n.safetensors").card
    assert card["init"] == facts["sha256"]
    assert "-o n.safetensors -r --init styles --steps 1 " in card["command"]
    with_own = Path("any")
    table = table_for(["a"], TINY)
    write_network(Network(Transfer(TINY), table=table), with_own)
    assert main(["network", "any"]) == 0
    assert "takes any style" in capsys.readouterr().out, "a file of that name changes nothing"
    assert main(["network", str(with_own.absolute())]) == 0
    assert "any: knows 1 styles" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["torch.distributed.run", "--nproc-per-node", "2"]])
def test_two_processes_train_from_the_command_line(launcher: list[str], folder: Path) -> None:
    """Two processes, started here or by torchrun, train a network for any style, and one alone goes
    on with it."""
    Path("paintings").mkdir()
    for number in range(5):
        os.link(folder / "photos" / f"{number}.png", folder / "paintings" / f"{number}.png")
    tiny = Network(Transfer(TINY), predictor=StylePredictor(TINY.vector), eyes=VGG())
    write_network(tiny, "tiny.safetensors")
    arguments = ["train", "--any", "paintings", "--photos", "photos", "-o", "n.safetensors"]
    arguments += [*SMALL, "--init", "tiny.safetensors", "--json", "--time-limit", "1e-9"]
    arguments += [] if launcher else ["--processes", "2"]
    before = ["-m", *launcher] if launcher else []
    done = subprocess.run(
        [sys.executable, *before, "-m", "impasto", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reason"] == "time"
    assert (
        main(["train", "--resume", "n.ckpt", "--processes", "1", "--time-limit", "900", "-q"]) == 0
    )
    assert read_network("n.safetensors").card["steps"] == 4
