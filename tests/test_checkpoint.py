"""Unfinished runs in files: continued to the same bytes, whole or not there, well guarded."""

import contextlib
import errno
import gc
import json
import math
import os
import pickletools
import signal
import stat
import struct
import sys
import weakref
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto import minimizers, resume
from impasto import optimize as optimize_module
from impasto import run as run_module
from impasto.checkpoint import (
    Checkpoint,
    Place,
    _part_prefix,
    check_checkpoint,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from impasto.errors import CheckpointError, ImpastoError, OutputError
from impasto.features import Features
from impasto.images import write_whole
from impasto.minimizers import Lbfgs
from impasto.objective import Objective, Terms
from impasto.optimize import Progress
from impasto.options import StyleOptions
from impasto.reproduction import from_settings
from impasto.run import Stylization, stylization
from stand_ins import finish, narrow_weights, options_of, pixels_of, soft_picture

Maker = Callable[..., Path]
OPTIMIZERS = ["lbfgs", "lbfgs-pixel", "adam"]


def losses(run: Stylization) -> list[tuple[int, int, float]]:
    """Runs to the end: number, level and loss of each evaluation."""
    return [(step.done, step.level, step.terms.loss) for step in run]


def kept_at_every_evaluation(run: Stylization, folder: Path) -> list[Path]:
    """Runs to the end and leaves a checkpoint of before the run and of each of its evaluations."""
    return [kept(run, folder / "0.ckpt"), *(kept(run, folder / f"{s.done}.ckpt") for s in run)]


def kept(run: Stylization, path: Path) -> Path:
    """A checkpoint of now."""
    run.checkpoint(path)
    return path


def place_of(run: Stylization) -> Place:
    """Where a run stands."""
    place = run._bookmark.place
    assert place is not None
    return place


@pytest.fixture
def halfway(files: tuple[Path, Path], tmp_path: Path) -> Path:
    """The checkpoint of a run that has made three of its six evaluations."""
    run = stylization(*files, options_of(evaluations=6))
    for _ in range(3):
        next(run)
    return kept(run, tmp_path / "run.ckpt")


# --- the same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("anchor_above", [14, 1400])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_is_uninterrupted(
    files: tuple[Path, Path], tmp_path: Path, optimizer: str, anchor_above: int
) -> None:
    """From any evaluation of any level, losses and picture are those of an unbroken run."""
    options = options_of(
        levels="8:4,12:0,16:5,24:9",
        size=24,
        optimizer=optimizer,
        history=3,
        anchor_above=anchor_above,
    )
    whole = stylization(*files, options)
    expected = losses(whole)
    for path in kept_at_every_evaluation(stylization(*files, options), tmp_path):
        again = resume(path)
        done = int(path.stem)
        assert again.warnings == []
        assert (0 if again.last is None else again.last.done) == done
        assert losses(again) == expected[done:]
        assert pixels_of(again.result) == pixels_of(whole.result)
        assert again.result.settings == whole.result.settings


@pytest.mark.parametrize("start", ["noise", "recolored", "style-colors"])
def test_every_start_is_made_again(files: tuple[Path, Path], tmp_path: Path, start: str) -> None:
    """A start of noise or of other colours is made again, on the way up between levels too."""
    options = options_of(levels="12:3,24:4", size=24, start=start, seed=5, pooling="l2")
    expected = finish(stylization(*files, options))
    paths = kept_at_every_evaluation(stylization(*files, options), tmp_path)
    for path in (paths[2], paths[3], paths[5]):
        assert pixels_of(finish(resume(path))) == pixels_of(expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_anchored_levels_go_on(files: tuple[Path, Path], tmp_path: Path, optimizer: str) -> None:
    """Large levels, which are held to the coarser result, are held to the same one again, and a
    photograph to the same photo."""
    options = options_of(
        levels="8:3,16:4,24:4", size=24, anchor_above=12, optimizer=optimizer, photoreal_weight=0.5
    )
    whole = stylization(*files, options)
    expected = losses(whole)
    assert whole.last is not None
    assert [level.anchored for level in whole.last.levels] == [False, True, True]
    assert whole.last.terms.anchor > 0
    assert whole.last.terms.layers["photoreal"] > 0
    for path in kept_at_every_evaluation(stylization(*files, options), tmp_path):
        again = resume(path)
        assert losses(again) == expected[int(path.stem) :]
        assert pixels_of(again.result) == pixels_of(whole.result)
        assert again.last is not None
        assert again.last.terms == whole.last.terms


def test_the_memory_that_was_allowed_is_kept(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less memory free on another day, histories and settings stay those of the run."""
    options = options_of(evaluations=12)
    whole = finish(stylization(*files, options))
    path = kept_at_every_evaluation(stylization(*files, options), tmp_path)[8]
    monkeypatch.setattr(run_module, "memory_budget", lambda _: 10**6)
    assert finish(stylization(*files, options)).settings != whole.settings
    picture = finish(resume(path))
    assert picture.settings == whole.settings
    assert pixels_of(picture) == pixels_of(whole)
    # On another device the budget is another; a shorter history still goes on.
    assert finish(resume(path, device="cpu")).progress is not None


@pytest.mark.parametrize("again", ["resumed", "reproduced"])
def test_memory_that_ran_out_is_remembered(
    files: tuple[Path, Path], tmp_path: Path, again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles and a history that shrank, for targets or midway, shrink there again in a resumed run
    and in one made from the picture's settings: the bytes are the same on an emptier machine."""
    options = options_of(
        levels="24:4,96:9", size=96, style_layers="relu1_1,relu2_1", start="recolored"
    )
    evaluate, extract, tell = Objective.evaluate, Features.extract, Lbfgs.tell
    count = [0]

    def counted(self: Objective, picture: Tensor) -> tuple[Terms, Tensor]:
        count[0] += 1
        return evaluate(self, picture)

    def seen(self: Features, picture: Tensor, layers: Any) -> dict[str, Tensor]:
        room = 10**9 if count[0] < 4 else 4000 if count[0] < 7 else 2000
        if picture.shape[-2] * picture.shape[-1] > room:
            raise MemoryError
        return extract(self, picture, layers)

    def told(self: Lbfgs, loss: float, gradient: Tensor) -> None:
        if count[0] == 9 and self.pairs > 2:
            raise MemoryError
        tell(self, loss, gradient)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "evaluate", counted)
        patch.setattr(Features, "extract", seen)
        patch.setattr(Lbfgs, "tell", told)
        whole = stylization(*files, options)
        paths = kept_at_every_evaluation(whole, tmp_path)
    expected, settings = pixels_of(whole.result), whole.result.settings
    places = [(limit["level"], limit["evaluation"]) for limit in settings["limits"]]
    assert places == [(1, 0), (1, 3), (1, 5)]
    assert [set(limit) - {"level", "evaluation"} for limit in settings["limits"]] == [
        {"tile_pixels"},
        {"tile_pixels"},
        {"history"},
    ]
    assert pixels_of(finish(stylization(*files, options))) != expected
    if again == "resumed":
        # Before the memory ran out there is nothing to remember.
        for path in paths[9:]:
            picture = finish(resume(path))
            assert pixels_of(picture) == expected
            assert picture.settings == settings
        # Whoever gives memory anew has it tried anew.
        anew = finish(resume(paths[9], memory=10**9)).settings
        assert "limits" not in anew
        assert anew["options"]["memory"] == 10**9
        return
    run, warnings = from_settings(json.loads(json.dumps(settings)))
    assert warnings == []
    picture = finish(run)
    assert pixels_of(picture) == expected
    assert picture.settings == settings
    changed, _ = from_settings(settings, {"seed": 5})
    assert "limits" not in changed.result.settings


def test_all_roles_of_pictures_are_read_again(
    files: tuple[Path, Path], make_png: Maker, tmp_path: Path
) -> None:
    """Blends, start pictures, textures, content alone and built-in pictures go on as well."""
    third = make_png("third.png", 31, 17, 8)
    cases: list[tuple[Any, Any, StyleOptions, Any]] = [
        (files[0], [files[1], third], options_of(style_weights=(1, 3)), third),
        (None, files[1], options_of(start="noise", content_weight=0.0), None),
        (files[0], [], options_of(start="noise", style_weight=0.0), None),
        ("sample:cat", "style:mosaic", options_of(), None),
    ]
    for number, (content, style, options, start) in enumerate(cases):
        expected = finish(stylization(content, style, options, start=start))
        run = stylization(content, style, options, start=start)
        next(run)
        again = resume(kept(run, tmp_path / f"{number}.ckpt"))
        assert again.warnings == []
        assert pixels_of(finish(again)) == pixels_of(expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_losses_that_are_not_finite_are_remembered(
    files: tuple[Path, Path], tmp_path: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows a loss that is not finite, a new start or Adam, follows a resumed one too."""
    evaluate, count = Objective.evaluate, [0]

    def faulty(self: Objective, picture: Tensor) -> tuple[Terms, Tensor]:
        count[0] += 1
        terms, gradient = evaluate(self, picture)
        if count[0] in (4, 7, 8, 9):
            return Terms(math.nan, math.inf, 0.0, 0.0, {"style:relu1_1": math.nan}), gradient
        return terms, gradient

    monkeypatch.setattr(Objective, "evaluate", faulty)
    options = options_of(evaluations=14, optimizer=optimizer)
    whole = stylization(*files, options)
    expected = losses(whole)
    count[0] = 0
    for path in kept_at_every_evaluation(stylization(*files, options), tmp_path):
        count[0] = done = int(path.stem)
        again = resume(path)
        assert repr(losses(again)) == repr(expected[done:])
        assert pixels_of(again.result) == pixels_of(whole.result)


def test_a_level_that_had_settled_stays_settled(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The tolerance looks back over the interruption, and ends a level at the same evaluation."""
    options = options_of(levels="12:80,24:80", size=24, tolerance=0.2)
    whole = stylization(*files, options)
    expected = losses(whole)
    assert len(expected) < 100
    paths = kept_at_every_evaluation(stylization(*files, options), tmp_path)
    for path in paths[::4]:
        assert losses(resume(path)) == expected[int(path.stem) :]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("place", ["evaluate", "dot", "cos"])
def test_an_evaluation_that_is_broken_off_is_made_again(
    files: tuple[Path, Path],
    tmp_path: Path,
    optimizer: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C in the midst of an evaluation or a minimiser's step leaves the place before it."""
    options = options_of(levels="12:5,24:5", size=24, optimizer=optimizer)
    whole = stylization(*files, options)
    expected = losses(whole)
    where: tuple[Any, str] = {
        "evaluate": (Objective, "evaluate"),
        "dot": (minimizers, "_dot"),
        "cos": (minimizers.math, "cos"),
    }[place]
    real = getattr(*where)
    for at in range(1, 40, 3):
        count = [0]

        def interrupted(*args: Any, count: list[int] = count, at: int = at) -> Any:
            count[0] += 1
            if count[0] == at:
                raise KeyboardInterrupt
            return real(*args)

        run = stylization(*files, options)
        with monkeypatch.context() as patch:
            patch.setattr(where[0], where[1], interrupted)
            with contextlib.suppress(KeyboardInterrupt):
                finish(run)
        again = resume(kept(run, tmp_path / f"{at}.ckpt"))
        done = 0 if again.last is None else again.last.done
        assert losses(again) == expected[done:]
        assert pixels_of(again.result) == pixels_of(whole.result)


def test_a_finished_run_resumes_to_its_result(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A run that was interrupted after its last evaluation only has its picture to give."""
    run = stylization(*files, options_of())
    whole = finish(run)
    again = resume(kept(run, tmp_path / "run.ckpt"))
    assert pixels_of(again.result) == pixels_of(whole)
    assert list(again) == []
    assert pixels_of(again.result) == pixels_of(whole)


def test_a_run_may_be_interrupted_again_and_again(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A run resumed after every single evaluation, into the same file, ends in the same bytes."""
    options = options_of(levels="12:4,24:6", size=24)
    whole = stylization(*files, options)
    expected = losses(whole)
    path = tmp_path / "run.ckpt"
    run, found = stylization(*files, options), []
    while (step := next(run, None)) is not None:
        found.append((step.done, step.level, step.terms.loss))
        run.checkpoint(path)
        run = resume(path)
    assert found == expected
    assert pixels_of(run.result) == pixels_of(whole.result)


@pytest.mark.parametrize("limit", [50, None])
def test_time_that_was_used_counts(
    files: tuple[Path, Path], tmp_path: Path, limit: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a time limit a resumed run has what is left of it, however long ago it was broken."""
    evaluate, now = Objective.evaluate, [1000.0]

    def timed(self: Objective, picture: Tensor) -> tuple[Terms, Tensor]:
        now[0] += 1
        return evaluate(self, picture)

    monkeypatch.setattr(Objective, "evaluate", timed)
    monkeypatch.setattr(optimize_module.time, "monotonic", lambda: now[0])
    options = options_of(levels="12:30,24:60", size=24, time_limit=limit)
    whole = list(stylization(*files, options))
    for at in (3, 9, 20, len(whole) - 2):
        run = stylization(*files, options)
        steps = [next(run) for _ in range(at)]
        path = kept(run, tmp_path / f"{at}.ckpt")
        now[0] += 5000
        steps += list(resume(path))
        assert [s.level for s in steps] == [s.level for s in whole]
        for one, other in zip(steps, whole, strict=True):
            assert one.elapsed == pytest.approx(other.elapsed, abs=1e-9)
            assert one.remaining == pytest.approx(other.remaining, abs=1e-6)


# --- pictures and machines -----------------------------------------------------------------------


def test_pictures_in_memory_are_given_again(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Pictures that were no files are asked for, each by its role, and others are refused."""
    photo, painting = soft_picture(40, 30, 1), files[1].read_bytes()
    expected = finish(stylization(photo, painting, options_of(), start=files[0]))
    run = stylization(photo, painting, options_of(), start=files[0])
    next(run)
    path = kept(run, tmp_path / "run.ckpt")
    with pytest.raises(CheckpointError, match=r"in memory, .*content=…\) in Python"):
        resume(path)
    with pytest.raises(CheckpointError, match="style=…"):
        resume(path, content=photo)
    with pytest.raises(CheckpointError, match="1 paintings, not 2"):
        resume(path, content=photo, style=[painting, painting])
    with pytest.raises(CheckpointError, match="style: has changed"):
        resume(path, content=photo, style=files[0].read_bytes())
    with pytest.raises(CheckpointError, match="are not those that the run was begun with"):
        resume(path, content=soft_picture(40, 30, 7), style=painting)
    assert pixels_of(finish(resume(path, content=photo, style=painting))) == pixels_of(expected)


def test_a_picture_that_has_moved_may_be_named(
    files: tuple[Path, Path], halfway: Path, tmp_path: Path
) -> None:
    """The same file under another name is the same picture."""
    expected = finish(resume(halfway))
    moved = files[0].rename(tmp_path / "moved.png")
    with pytest.raises(CheckpointError, match=r"photo\.png: is gone, and the run in .*run\.ckpt"):
        resume(halfway)
    assert pixels_of(finish(resume(halfway, content=moved))) == pixels_of(expected)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_pictures_that_have_changed_are_refused(
    files: tuple[Path, Path], make_png: Maker, tmp_path: Path, which: int
) -> None:
    """Photo, painting or start picture: another file under the same name is not the same run."""
    paths = [*files, make_png("third.png", 31, 17, 8)]
    run = stylization(*files, options_of(), start=paths[2])
    path = kept(run, tmp_path / "run.ckpt")
    make_png(paths[which].name, 40, 30, 9)
    with pytest.raises(CheckpointError, match=rf"{paths[which].name}: has changed since the run"):
        resume(path)
    paths[which].unlink()
    with pytest.raises(CheckpointError, match=rf"{paths[which].name}: is gone"):
        resume(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(paths[which])
        with pytest.raises(CheckpointError, match=rf"{paths[which].name}: is a pipe"):
            resume(path)


def test_other_weights_are_refused(
    files: tuple[Path, Path], halfway: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network with other weights would make another picture, so the run does not go on."""
    other = narrow_weights(width=5)
    object.__setattr__(other, "sha256", "1" * 64)
    monkeypatch.setattr("impasto.features.load_weights", lambda _: other)
    with pytest.raises(CheckpointError, match=r"run\.ckpt: the weights of vgg19 are not those"):
        resume(halfway)


def test_differences_are_told(halfway: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other versions, threads or processors are told, a line each; the run goes on."""
    threads = torch.get_num_threads()
    try:
        monkeypatch.setattr(run_module.platform, "machine", lambda: "abacus")
        forge(halfway, lambda record: record["settings"].update(torch="1.0"))
        run = resume(halfway, threads=threads + 1)
        finish(run)
    finally:
        torch.set_num_threads(threads)
    assert run.options.threads == threads + 1
    assert len(run.warnings) == 3
    assert "begun with torch 1.0, this is" in run.warnings[0]
    assert "this is abacus" in run.warnings[1]
    assert f"begun with threads {threads}, this is {threads + 1};" in run.warnings[2]


# --- the file ------------------------------------------------------------------------------------


def test_any_program_can_read_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A checkpoint is a plain safetensors file: no pickle, and exactly the tensors of the place."""
    run = stylization(*files, options_of(evaluations=6))
    for _ in range(4):
        next(run)
    path = kept(run, tmp_path / "run.ckpt")
    stored = load_file(path)
    expected = place_of(run).tensors
    assert set(stored) == {*expected, "crc32"}
    for name, tensor in expected.items():
        assert torch.equal(stored[name], tensor)
    size = sum(tensor.numel() * tensor.element_size() for tensor in expected.values())
    assert size < path.stat().st_size < size + 12_000
    # What exactly is no pickle in it depends on the length of its header, which comes first.
    with pytest.raises(ValueError, match=r"opcode|stack"):
        pickletools.dis(path.read_bytes(), out=open(os.devnull, "w"))  # noqa: PTH123, SIM115


def test_tensors_come_back_as_they_lay_in_memory(tmp_path: Path, halfway: Path) -> None:
    """Values, shapes, number types and the order in memory are kept, and each is aligned anew."""
    found = read_checkpoint(halfway)
    assert found.place is not None
    base = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    tensors = {
        "channels_last": base.to(memory_format=torch.channels_last),
        "turned": base.transpose(2, 3),
        "double": base.double(),
        "half": base.half(),
        "brain": base.bfloat16(),
        "one": torch.tensor(3.5),
    }
    path = tmp_path / "other.ckpt"
    place = Place(found.place.standing, tensors)
    notes = {"name": "\udcff", "深": 1}
    write_checkpoint(
        path, Checkpoint(found.settings, found.machine, "", place, notes, attachment=b"abc")
    )
    again = read_checkpoint(path)
    assert again.place is not None
    assert again.place.standing == found.place.standing
    assert (again.notes, again.attachment) == (notes, b"abc")
    assert set(again.place.tensors) == set(tensors)
    for name, tensor in tensors.items():
        other = again.place.tensors[name]
        assert other.dtype == tensor.dtype
        assert torch.equal(other, tensor)
        assert other.stride() == tensor.stride()
        assert other.data_ptr() % 64 == 0


def test_between_levels_no_history_is_kept(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A finished level is its best picture, for Adam with the moments that it hands on."""
    for optimizer, tensors in ("lbfgs", {"best"}), ("adam", {"best", "carried.mean"}):
        run = stylization(*files, options_of(evaluations=9, optimizer=optimizer))
        finish(run)
        assert set(place_of(run).tensors) - {"carried.square"} == tensors


def test_a_resumed_history_is_let_go(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Pairs that the minimiser has dropped after resuming are held by nobody else."""
    run = stylization(*files, options_of(evaluations=12, history=2))
    for _ in range(6):
        next(run)
    again = resume(kept(run, tmp_path / "run.ckpt"))
    pair = weakref.ref(place_of(again).tensors["minimizer.s0"])
    assert pair() is not None
    for _ in range(4):
        next(again)
    gc.collect()
    assert pair() is None
    assert len(list(again)) == 2


@pytest.mark.parametrize("fault", ["write", "fsync", "rename"])
def test_a_full_disk_keeps_the_former_checkpoint(
    files: tuple[Path, Path],
    halfway: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever fails while writing, the former file stays to the byte, and nothing beside it."""
    before, around = halfway.read_bytes(), set(halfway.parent.iterdir())
    run = resume(halfway)
    next(run)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    def cut() -> Iterator[bytes]:
        yield b"half a file"
        full()

    if fault == "write":
        monkeypatch.setattr("impasto.checkpoint._chunks", lambda _: cut())
    elif fault == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"run\.ckpt: the disk is full; free some space"):
        run.checkpoint(halfway)
    assert halfway.read_bytes() == before
    assert set(halfway.parent.iterdir()) == around


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.parametrize("where", [(os, "fsync"), (Path, "replace")])
def test_a_kill_while_writing_keeps_the_former_checkpoint(
    halfway: Path, where: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process killed as it writes leaves the former file, and half a one until the next."""
    before, around = halfway.read_bytes(), set(halfway.parent.iterdir())
    run = resume(halfway)
    child = os.fork()
    if child == 0:
        setattr(*where, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        run.checkpoint(halfway)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert halfway.read_bytes() == before
    (half,) = set(halfway.parent.iterdir()) - around
    assert half.name.startswith(".impasto-")
    next(run)
    run.checkpoint(halfway)
    assert set(halfway.parent.iterdir()) == around
    assert len(list(resume(halfway))) == 2


def test_the_new_name_is_written_to_the_disk(
    halfway: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the file its folder is synchronised, so that a power cut brings back no former one; a
    folder that cannot be is no fault."""
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append(kind)
        if kind == "folder":
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    run = resume(halfway)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    run.checkpoint(halfway)
    assert done == ["file", "rename", "folder"]
    done.clear()
    write_whole(tmp_path / "text.txt", b"abc", overwrite=True)
    assert done == ["file", "rename", "folder"]


def test_numbers_that_cannot_be_written_cost_no_run(
    files: tuple[Path, Path], halfway: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a minimiser's number overflow, the run goes on and the former checkpoint stays."""
    before, state = halfway.read_bytes(), Lbfgs.state
    monkeypatch.setattr(Lbfgs, "state", lambda self: {**state(self), "step": math.inf})
    run = resume(halfway)
    next(run)
    with pytest.raises(OutputError, match=r"run\.ckpt: cannot be written"):
        run.checkpoint(halfway)
    assert halfway.read_bytes() == before
    assert len(list(run)) == 2


def test_halves_of_files_do_not_accumulate(files: tuple[Path, Path], halfway: Path) -> None:
    """What a killed process left half-written goes with the next checkpoint, and only that."""
    run = resume(halfway)
    other = halfway.with_name(".impasto-0123456789ab-00.part")
    strays = [halfway.with_name(f"{_part_prefix(halfway)}{n:016x}.part") for n in range(3)]
    for path in (*strays, other):
        path.write_bytes(b"half")
    run.checkpoint(halfway)
    assert not any(stray.exists() for stray in strays)
    strays[0].write_bytes(b"half")
    remove_checkpoint(halfway)
    assert not strays[0].exists()
    assert not halfway.exists()
    assert other.exists()
    remove_checkpoint(halfway)


def test_nothing_else_is_replaced_unasked(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A run replaces its own checkpoints only; another file needs `overwrite`."""
    run = stylization(*files, options_of())
    path = tmp_path / "mine.ckpt"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already; continue it with 'impasto resume'"):
        run.checkpoint(path)
    assert path.read_bytes() == b"mine"
    run.checkpoint(path, overwrite=True)
    next(run)
    run.checkpoint(path)
    assert len(list(resume(path))) == 2
    other = stylization(*files, options_of())
    with pytest.raises(OutputError, match="exists already"):
        other.checkpoint(path)


@pytest.mark.parametrize("name", ["a folder", "no/such/x.ckpt", "x" * 300, "a\0b", "pipe"])
def test_places_for_no_file_are_refused(tmp_path: Path, name: str) -> None:
    """A folder, a device and names that cannot be are refused, even with `overwrite`."""
    (tmp_path / "a folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for overwrite in (False, True):
        with pytest.raises(OutputError) as caught:
            check_checkpoint(tmp_path / name, overwrite=overwrite)
        assert str(caught.value).isprintable()


# --- strangers -----------------------------------------------------------------------------------


def forge(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes a checkpoint's record as somebody would who knows the format, checksum and all."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    record = json.loads(header["__metadata__"]["impasto-checkpoint"])
    change(record)
    header["__metadata__"]["impasto-checkpoint"] = json.dumps(record)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = data[8 + length : -4]
    checksum = struct.pack("<I", zlib.crc32(body, zlib.crc32(text)))
    path.write_bytes(struct.pack("<Q", len(text)) + text + body + checksum)


def one_line_of(path: Path) -> str:
    """The fault of resuming, which is one short printable line and code 2."""
    with pytest.raises(ImpastoError) as caught:
        resume(path)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return str(caught.value)


def test_forging_works(halfway: Path) -> None:
    """The helper that forges records makes files that are read, so its faults are the records'."""
    forge(halfway, len)
    assert len(list(resume(halfway))) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_need_not_be_text(halfway: Path) -> None:
    """A checkpoint and pictures whose names are no UTF-8 are gone on with, and faults are told."""
    odd = halfway.with_name(os.fsdecode(b"c\xff.ckpt"))
    note = {"picture": os.fsdecode(b"/\xfe.png")}
    write_checkpoint(odd, replace(read_checkpoint(halfway), notes=note))
    found = read_checkpoint(odd)
    assert found.notes == note
    assert found.place is not None
    assert pixels_of(finish(resume(odd))) == pixels_of(finish(resume(halfway)))
    odd.write_bytes(odd.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is a damaged checkpoint"):
        read_checkpoint(odd)


def test_cut_files_are_refused(halfway: Path) -> None:
    """A checkpoint cut off anywhere, or with something behind it, is one line."""
    data = halfway.read_bytes()
    for length in [*range(0, 64, 7), *range(64, len(data), len(data) // 40), len(data) - 1]:
        halfway.write_bytes(data[:length])
        one_line_of(halfway)
    halfway.write_bytes(data + b"\0")
    one_line_of(halfway)


def test_changed_bytes_are_found(halfway: Path) -> None:
    """A checkpoint in which any single byte has changed is never taken for a good one."""
    data = halfway.read_bytes()
    rng = np.random.default_rng(3)
    for place in [*range(16), *rng.integers(16, len(data), 250)]:
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << int(rng.integers(0, 8))
        halfway.write_bytes(spoilt)
        with pytest.raises(CheckpointError, match=r"run\.ckpt"):
            read_checkpoint(halfway)


def test_other_files_are_no_checkpoints(tmp_path: Path, halfway: Path, make_png: Maker) -> None:
    """A picture, a text, other programs' safetensors, a folder and nothing at all are named."""
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "weights.safetensors", {"impasto": "{}"})
    (tmp_path / "text.ckpt").write_text("not a checkpoint" * 100)
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "list.ckpt").write_bytes(struct.pack("<Q", 2) + b"[]")
    (tmp_path / "deep.ckpt").write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000)
    (tmp_path / "huge.ckpt").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    for name in ("other.safetensors", "weights.safetensors", "text.ckpt", "empty.ckpt"):
        assert f"{name}: is no checkpoint of impasto" in one_line_of(tmp_path / name)
    for name in ("list.ckpt", "deep.ckpt", "huge.ckpt", make_png("picture.png", 9, 9).name):
        assert f"{name}: is no checkpoint of impasto" in one_line_of(tmp_path / name)
    (tmp_path / "folder").mkdir()
    assert "is no plain file" in one_line_of(tmp_path / "folder")
    assert "no such file" in one_line_of(tmp_path / "gone.ckpt")
    assert "no such file" in one_line_of(tmp_path / "a\0b")


def test_later_versions_say_so(halfway: Path) -> None:
    """A checkpoint of a later impasto is not called damaged."""
    forge(halfway, lambda record: record.update(version=2))
    assert "was written by a later impasto (format 2, this one reads 1)" in one_line_of(halfway)


def standing(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Changes numbers of the place."""
    return lambda record: record["standing"].update(changes)


def numbers(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Changes numbers of the minimiser."""
    return lambda record: record["standing"]["minimizer"].update(changes)


def record_of(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Changes the record itself."""
    return lambda record: record.update(changes)


def settings(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Changes what the picture would carry."""
    return lambda record: record["settings"].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        record_of(version="1"),
        record_of(version=True),
        record_of(version=-3),
        record_of(version=1e400),
        record_of(settings=[]),
        record_of(machine=3),
        record_of(notes="x"),
        record_of(standing=[]),
        record_of(standing={}),
        record_of(orders=None),
        record_of(orders={}),
        lambda record: record["orders"].update(best=[0, 0, 0, 0]),
        lambda record: record["orders"].update(best="0123"),
        lambda record: record["orders"].update(extra=[0]),
        lambda record: record.pop("pictures_sha256"),
        settings(version=9),
        settings(options=None),
        settings(options={"size": 10**30}),
        settings(options={"nonsense": 1}),
        settings(styles=7),
        settings(styles=[7]),
        settings(styles=[]),
        settings(content={"path": 3, "sha256": ""}),
        settings(content={"path": "x"}),
        settings(content=None),
        settings(weights_sha256=None),
        settings(limits=3),
        settings(limits=[{"level": 0, "evaluation": 1, "history": 0}]),
        settings(limits=[{"level": 0, "evaluation": -1}]),
        standing(level=10**30),
        standing(level=-1),
        standing(level=1),
        standing(level="0"),
        standing(evaluation=0),
        standing(evaluation=1.5),
        standing(done=True),
        standing(elapsed=math.nan),
        standing(elapsed=-1.0),
        standing(elapsed=math.inf),
        standing(recent=[0.0] * 12),
        standing(recent=["x"]),
        standing(levels=[]),
        standing(levels=[[24, 18]]),
        standing(levels=[[0, 0, 5]]),
        standing(levels=[[10**9, 10**9, 5], [24, 18, 5]]),
        standing(levels=[[24, 18, 5], [10**12, 1, 5]]),
        standing(optimizer="sgd"),
        standing(optimizer="adam"),
        standing(minimizer={}),
        standing(terms={}),
        standing(best_terms={"loss": None, "content": 1, "style": 1, "tv": 1}),
        standing(best_terms={"loss": math.nan, "content": 1, "style": 1, "tv": 1}),
        standing(future=1),
        numbers(step=math.nan),
        numbers(step="1"),
        numbers(step=1e39),
        numbers(rho0=None),
        numbers(rho7=1.0),
        numbers(future=1.0),
    ],
)
def test_hostile_records_are_one_line(
    halfway: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    """Whatever a forged record claims, wrong types, huge sizes or NaN, the fault is one line."""
    forge(halfway, change)
    assert "run.ckpt" in one_line_of(halfway)


def test_pictures_of_nan_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A best picture or a next point that holds NaN is not taken up."""
    for name in ("best", "minimizer.x", "minimizer.direction"):
        run = stylization(*files, options_of(evaluations=6))
        for _ in range(3):
            next(run)
        place_of(run).tensors[name] = torch.full((1, 3, 18, 24), math.nan)
        assert "damaged" in one_line_of(kept(run, tmp_path / f"{name}.ckpt"))


def test_progress_is_told_again(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A resumed run answers for its last evaluation as the interrupted one did."""
    run = stylization(*files, options_of(levels="12:3,24:4", size=24))
    for step in run:
        again = resume(kept(run, tmp_path / f"{step.done}.ckpt")).last
        assert isinstance(again, Progress)
        assert again.best_terms == step.best_terms
        assert again.levels == step.levels
        assert torch.equal(again.picture, step.picture)
