"""Previews, and results that are taken on to a larger size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto import levels
from impasto.cli import main
from impasto.images import read_image
from impasto.options import StyleOptions
from impasto.reproduction import from_settings, resume
from impasto.run import stylization
from impasto.targets import resize
from stand_ins import finish, options_of, pixels_of

Maker = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
Pair = tuple[Path, Path]


@pytest.fixture(autouse=True)
def small_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels begin at 12 px and previews end at 30 px."""
    monkeypatch.setattr(levels, "MIN_AUTO_SIDE", 12)
    monkeypatch.setattr(levels, "PREVIEW_SIDE", 30)


def whole(**values: object) -> StyleOptions:
    """Levels of 12, 24 and 48 px."""
    return options_of(**{"size": 48, "single_level": False, "evaluations": 6, **values})


def test_a_preview_is_the_smaller_levels(files: Pair, tmp_path: Path) -> None:
    """A preview goes through the smaller levels alone, and is made again from its settings."""
    run = stylization(*files, whole(preview=True))
    picture = finish(run)
    assert run.last is not None
    assert [(level.width, level.evaluations) for level in run.last.levels] == [(12, 2), (24, 2)]
    assert picture.pixels.shape == (18, 24, 3)
    again, warnings = from_settings(picture.settings)
    assert warnings == []
    assert pixels_of(finish(again)) == pixels_of(picture)


def test_a_preview_of_a_print_has_its_shape(files: Pair) -> None:
    """A print that is cut to its sheet is cut so in the preview, which prints as large as meant."""
    options = whole(print="48x24mm", dpi=25.4, print_fit="fill", size=48, preview=True)
    bitmap = stylization(*files, options).result.bitmap
    assert (bitmap.width, bitmap.height) == (24, 12)
    assert bitmap.dpi == pytest.approx(12.7)


def test_continuing_works_at_the_larger_levels_alone(files: Pair, tmp_path: Path) -> None:
    """From a preview only the larger levels are run, and what it looks like stays."""
    preview = finish(stylization(*files, whole(preview=True)))
    preview.save(tmp_path / "p.png")
    run, warnings = from_settings(preview.settings, coarse=str(tmp_path / "p.png"))
    assert warnings == []
    assert [part.level.width for part in run.plan().levels] == [48]
    first = next(run)
    assert (first.level, first.width, first.evaluation) == (0, 48, 1)
    picture = finish(run)
    assert picture.pixels.shape == (36, 48, 3)
    shrunk = np.asarray(
        Image.fromarray((picture.pixels * 255).astype(np.uint8)).resize(
            (24, 18), Image.Resampling.BOX
        )
    )
    assert np.abs(shrunk / 255 - preview.pixels).mean() < 0.06


def test_continued_runs_are_made_again_and_resumed(files: Pair, tmp_path: Path) -> None:
    """A continued picture names what it went on from, so that `reproduce` and `resume` know it."""
    small = finish(stylization(*files, whole(preview=True)))
    small.save(tmp_path / "p.png")
    options = whole(anchor_above=30, levels="48:5", content_layers="relu4_1")
    run = stylization(*files, options, coarse=tmp_path / "p.png")
    next(run)
    run.checkpoint(tmp_path / "run.ckpt")
    picture = finish(run)
    assert run.last is not None
    assert run.last.levels[0].anchored
    again, warnings = from_settings(picture.settings)
    assert warnings == []
    assert pixels_of(finish(again)) == pixels_of(picture)
    assert pixels_of(finish(resume(tmp_path / "run.ckpt"))) == pixels_of(picture)
    (tmp_path / "p.png").unlink()
    with pytest.raises(Exception, match=r"p\.png: is gone"):
        from_settings(picture.settings)


def test_from_preview_to_print_on_the_command_line(
    files: Pair, tmp_path: Path, capsys: Capture
) -> None:
    """`--preview`, then `continue` to the size that was meant, or to another."""
    folder = tmp_path / "out"
    folder.mkdir()
    preview = folder / "p.png"
    arguments = ["stylize", *map(str, files), "--size", "48", "--evaluations", "3", "--bits", "16"]
    assert main([*arguments, "--preview", "-o", str(preview), "-q"]) == 0
    assert main(["continue", str(preview), "-q"]) == 0
    large = read_image(folder / "p-large.png")
    assert (large.width, large.bits) == (48, 16)
    larger = ["continue", str(preview), "--print", "22x15mm", "--dpi", "101.6", "-q", "-o"]
    assert main([*larger, str(folder / "print.tif")]) == 0
    assert read_image(folder / "print.tif").dpi == pytest.approx(101.6, rel=1e-3)


def test_a_run_without_small_levels_has_no_preview(
    files: Pair, tmp_path: Path, capsys: Capture
) -> None:
    """Where only the full size would be worked at, a preview is refused in one line."""
    arguments = ["stylize", *map(str, files), "--size", "100", "--single-level", "--preview"]
    assert main([*arguments, "-o", str(tmp_path / "p.png")]) == 2
    assert "no level of 30 px or less" in capsys.readouterr().err


def test_a_new_resolution_keeps_the_recorded_size(files: Pair, tmp_path: Path) -> None:
    """`dpi` alone changes the size of a print, and only what is written into any other file."""
    settings = stylization(*files, options_of(size=30)).result.settings
    run, _ = from_settings(settings, {"dpi": 150})
    assert (run.width, run.result.bitmap.dpi) == (30, 150)
    paper = stylization(*files, options_of(print="48x24mm", dpi=25.4, size=48)).result.settings
    run, _ = from_settings(paper, {"dpi": 12.7})
    assert run.height == 12


def test_before_any_work_the_result_is_the_smaller_one(files: Pair, tmp_path: Path) -> None:
    """A continued run that is stopped at once has what it went on from, not the bare photo."""
    preview = finish(stylization(*files, whole(preview=True, dpi=150)))
    assert preview.bitmap.dpi == 150
    preview.save(tmp_path / "p.png")
    run, _ = from_settings(preview.settings, coarse=str(tmp_path / "p.png"))
    large = torch.from_numpy(run.result.bitmap.pixels)[None]
    expected = torch.from_numpy(preview.bitmap.pixels)
    assert float((resize(large, 18, 24)[0] - expected).abs().mean()) < 0.02


@pytest.mark.parametrize("shape", [(30, 40), (40, 30)])
def test_a_changed_photo_is_named(
    files: Pair, tmp_path: Path, make_png: Maker, capsys: Capture, shape: tuple[int, int]
) -> None:
    """Another photo under the old name is what the line says, whatever shape it has; where the run
    can go on with it, as a warning."""
    finish(stylization(*files, options_of())).save(tmp_path / "p.png")
    make_png("photo.png", *shape, 7)
    fits = shape == (40, 30)
    assert main(["continue", str(tmp_path / "p.png"), "--size", "60", "-q"]) == (0 if fits else 2)
    err = capsys.readouterr().err
    assert "photo.png: has changed since the picture was made" in err
    assert err.startswith("impasto: warning: " if fits else "impasto: ")
    assert err.count("\n") == 1


def test_what_cannot_be_continued_is_one_line(files: Pair, tmp_path: Path, capsys: Capture) -> None:
    """No size, a smaller one, another shape or no settings: refused, and nothing is written."""
    small, cut = tmp_path / "small.png", tmp_path / "cut.png"
    finish(stylization(*files, options_of())).save(small)
    finish(stylization(*files, whole(print="48x24mm", dpi=12.7, print_fit="fill", size=24))).save(
        cut
    )
    before = {path.name for path in tmp_path.iterdir()}
    cases = {
        "--size or --print": [str(small)],
        "24 px already": [str(small), "--size", "24"],
        "not the shape": [str(cut), "--size", "60"],
        "carries no settings": [str(files[0]), "--size", "60"],
        "no such file": [str(tmp_path / "gone.png"), "--size", "60"],
    }
    for words, arguments in cases.items():
        assert main(["continue", *arguments, "-q"]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == before
