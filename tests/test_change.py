"""Runs that take on another strength while they go on, and glimpses of their pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from impasto import resume
from impasto.errors import OptionError
from impasto.features import Features
from impasto.images import read_image, resize_image
from impasto.inputs import as_tensor
from impasto.levels import matched_layers
from impasto.optimize import level_objective
from impasto.reproduction import from_settings
from impasto.run import Change, Stylization, stylization
from impasto.targets import Painting
from stand_ins import finish, options_of, pixels_of

Maker = Callable[..., Path]
Files = tuple[Path, Path]


def changed_run(files: Files, at: dict[int, float], **values: object) -> Stylization:
    """A run to the end that is given other strengths after so many evaluations."""
    run = stylization(*files, options_of(**values))
    if 0 in at:
        run.change(strength=at[0])
    for progress in run:
        if progress.done in at:
            run.change(strength=at[progress.done])
    return run


@pytest.mark.parametrize("optimizer", ["lbfgs", "lbfgs-pixel", "adam"])
def test_the_next_evaluation_has_the_new_strength(files: Files, optimizer: str) -> None:
    """The evaluation after a change judges the best picture so far by the new strength's targets,
    and the run then goes down from there."""
    options = options_of(evaluations=12, strength=1.0, optimizer=optimizer)
    run = stylization(*files, options)
    before = [next(run) for _ in range(5)][-1]
    run.change(strength=0.3)
    after = next(run)
    assert (after.done, after.evaluation) == (6, 6)
    features = Features("vgg19", layers=matched_layers(options, anchored=False))
    photo, painting = (as_tensor(read_image(path)) for path in files)
    photo = as_tensor(resize_image(read_image(files[0]), run.width, run.height))
    objective = level_objective(
        features,
        photo,
        [Painting(painting)],
        options.model_copy(update={"strength": 0.3}),
        run.width,
        run.height,
    )
    expected, _ = objective.evaluate(before.best)
    assert after.terms.loss == pytest.approx(expected.loss, rel=1e-5)
    assert after.best_terms == after.terms
    last = finish(run).progress
    assert last is not None
    assert last.done == 12
    assert last.best_loss < after.best_loss


def test_a_strength_from_the_start_is_the_options(files: Files) -> None:
    """A change before the first evaluation makes the picture that the option makes."""
    picture = changed_run(files, {0: 0.4}, evaluations=4).result
    expected = finish(stylization(*files, options_of(evaluations=4, strength=0.4)))
    assert pixels_of(picture) == pixels_of(expected)
    assert picture.settings["strengths"] == [{"after": 0, "strength": 0.4}]


def test_the_result_says_what_changed_and_is_made_again(files: Files) -> None:
    """Settings tell each change that made something, and the run made from them gives the same
    bytes; with other options it has the last strength, and says so."""
    at = {3: 0.5, 7: 0.9, 12: 0.1}
    picture = changed_run(files, at, levels="12:4,24:8").result
    settings = json.loads(json.dumps(picture.settings))
    assert settings["strengths"] == [
        {"after": 3, "strength": 0.5},
        {"after": 7, "strength": 0.9},
    ]
    assert settings["options"]["strength"] == 1.0
    run, warnings = from_settings(settings)
    assert warnings == []
    again = finish(run)
    assert pixels_of(again) == pixels_of(picture)
    assert again.settings == picture.settings
    plain = finish(stylization(*files, options_of(levels="12:4,24:8")))
    assert pixels_of(plain) != pixels_of(picture)
    assert "strengths" not in plain.settings
    other, warnings = from_settings(settings, {"seed": 5})
    assert other.options.strength == 0.9
    assert "0.9" in warnings[0]
    damaged = {**settings, "strengths": [{"after": -1, "strength": 9}]}
    with pytest.raises(OptionError, match="damaged"):
        from_settings(damaged)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_checkpoints_keep_changes(files: Files, tmp_path: Path, optimizer: str) -> None:
    """From a checkpoint of any moment, also between a change and the evaluation after it, the run
    goes on to the same bytes and settings."""
    at = {2: 0.5, 4: 0.7, 9: 0.2}
    values = {"levels": "12:4,24:8", "optimizer": optimizer}
    whole = changed_run(files, at, **values).result
    run = stylization(*files, options_of(**values))
    paths: list[Path] = []
    for progress in run:
        if progress.done in at:
            run.change(strength=at[progress.done])
        path = tmp_path / f"{progress.done}.ckpt"
        run.checkpoint(path)
        paths.append(path)
    for path in paths:
        again = resume(path)
        for progress in again:
            if progress.done in at:
                again.change(strength=at[progress.done])
        assert pixels_of(again.result) == pixels_of(whole)
        assert again.result.settings == whole.settings


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_while_a_change_is_taken_on_costs_none(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A run that is broken off while it takes on a strength, just before or after that, does so
    once when it goes on from its checkpoint, and ends as one that nobody broke off."""
    whole = changed_run(files, {3: 0.4}, evaluations=8).result
    take_on = Stylization._take_on

    def broken_off(run: Stylization, change: Change) -> None:
        if moment == "after":
            take_on(run, change)
        raise KeyboardInterrupt

    run = stylization(*files, options_of(evaluations=8))
    for _ in range(3):
        next(run)
    run.change(strength=0.4)
    with monkeypatch.context() as patch:
        patch.setattr(Stylization, "_take_on", broken_off)
        with pytest.raises(KeyboardInterrupt):
            next(run)
    run.checkpoint(tmp_path / "run.ckpt")
    again = finish(resume(tmp_path / "run.ckpt"))
    assert pixels_of(again) == pixels_of(whole)
    assert again.settings == whole.settings


def test_of_changes_after_one_evaluation_the_last_counts(
    files: Files, tmp_path: Path, failing: Callable[[int, type[BaseException]], None]
) -> None:
    """Where an evaluation with a new strength is broken off and yet another one is asked for, the
    run goes on from its checkpoint with that alone."""
    whole = changed_run(files, {3: 0.8}, evaluations=8).result
    run = stylization(*files, options_of(evaluations=8))
    for _ in range(3):
        next(run)
    run.change(strength=0.4)
    failing(1, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        next(run)
    run.change(strength=0.8)
    run.checkpoint(tmp_path / "run.ckpt")
    again = finish(resume(tmp_path / "run.ckpt"))
    assert pixels_of(again) == pixels_of(whole)
    assert again.settings == whole.settings


def test_impossible_changes_are_refused(files: Files) -> None:
    """A strength out of range, or where there is no photo or nothing to paint, is one line."""
    run = stylization(*files, options_of())
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(OptionError, match="strength"):
            run.change(strength=strength)
    texture = stylization(None, files[1], options_of(start="noise", content_weight=0))
    with pytest.raises(OptionError, match="no photo"):
        texture.change(strength=0.5)
    only = stylization(*files, options_of(color="only"))
    with pytest.raises(OptionError, match="paints nothing"):
        only.change(strength=0.5)


def test_a_cancelled_run_stays_so(files: Files) -> None:
    """A change does not bring a closed run back to life."""
    run = stylization(*files, options_of(evaluations=9))
    next(run)
    run.close()
    run.change(strength=0.5)
    assert list(run) == []
    assert "strengths" not in run.result.settings


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"color": "luminance"},
        {"color": "only"},
        {"color": "match"},
        {"photoreal_weight": 100.0},
    ],
)
def test_a_glimpse_is_the_result_made_small(files: Files, values: dict[str, object]) -> None:
    """At the last level a glimpse shows the result: to the bit at full size, closely when small."""
    run = stylization(*files, options_of(size=40, evaluations=4, **values))
    whole = finish(run).bitmap
    assert np.array_equal(run.glimpse(1000).pixels, whole.pixels)
    small = run.glimpse(20)
    assert (small.width, small.height) == (20, 15)
    expected = resize_image(whole, 20, 15).pixels
    assert np.abs(small.pixels - expected).mean() < 0.02


def test_a_glimpse_is_no_larger_than_its_level(files: Files) -> None:
    """Nothing is made larger for a glimpse; before the first evaluation it shows the start."""
    run = stylization(*files, options_of(levels="12:2,24:2"))
    assert np.array_equal(run.glimpse(100).pixels, run.result.bitmap.pixels)
    next(run)
    assert max(run.glimpse(100).pixels.shape) == 12
    assert max(run.glimpse(8).pixels.shape) == 8


def test_a_glimpse_keeps_transparency_and_what_is_kept(
    narrow: object, files: Files, make_png: Maker, tmp_path: Path
) -> None:
    """What the photo keeps, and what of it cannot be seen, is so in a glimpse too."""
    from PIL import Image

    image = Image.open(files[0]).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "alpha.png")
    mask = np.zeros((30, 40), np.uint8)
    mask[:, 20:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = options_of(size=40, evaluations=3, regions="1;keep", start="noise")
    run = stylization(tmp_path / "alpha.png", files[1], options, masks=[str(tmp_path / "mask.png")])
    next(run)
    small, photo = run.glimpse(20), resize_image(read_image(tmp_path / "alpha.png"), 20, 15)
    assert small.alpha is not None
    assert photo.alpha is not None
    assert np.allclose(small.alpha, photo.alpha, atol=0.02)
    # Where nothing can be seen, colours are arbitrary.
    assert np.allclose(small.pixels[:, 3:, :8], photo.pixels[:, 3:, :8], atol=0.01)
    assert np.abs(small.pixels[:, :, 12:] - photo.pixels[:, :, 12:]).max() > 0.1
