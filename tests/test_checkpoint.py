"""Unfinished runs in files: continued to the same bytes, whole or not there, well guarded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from impasto import resume
from impasto.run import Stylization, stylization
from stand_ins import finish, options_of, pixels_of

Maker = Callable[..., Path]
OPTIMIZERS = ["lbfgs", "lbfgs-pixel", "adam"]


def losses(run: Stylization) -> list[tuple[int, int, float]]:
    """Runs to the end: level, evaluation and loss of each step."""
    return [(step.done, step.level, step.terms.loss) for step in run]


def kept_at_every_evaluation(run: Stylization, folder: Path) -> list[Path]:
    """Runs to the end and leaves a checkpoint of before the run and of each of its evaluations."""
    run.checkpoint(folder / "0.ckpt")
    return [folder / "0.ckpt", *(keep(run, folder / f"{step.done}.ckpt") for step in run)]


def keep(run: Stylization, path: Path) -> Path:
    """A checkpoint of now."""
    run.checkpoint(path)
    return path


# --- the same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_is_uninterrupted(files: tuple[Path, Path], tmp_path: Path, optimizer: str) -> None:
    """From any evaluation of any level, the losses and the picture are those of a run that was
    never interrupted, whichever the optimiser."""
    options = options_of(levels="8:4,12:0,16:5,24:9", size=24, optimizer=optimizer, history=3)
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
