"""Runs made again from the settings in their pictures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.errors import ImageError, ImpastoError, OptionError
from impasto.images import read_image
from impasto.reproduction import from_settings
from impasto.run import stylization, stylize
from stand_ins import finish, options_of, pixels_of, soft_picture

Maker = Callable[..., Path]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"start": "noise", "seed": 7, "levels": "8:2,24:3"},
        {"preset": "gatys", "evaluations": 2, "style_layers": "relu1_1=0.1234567890123456"},
        {"optimizer": "adam", "start": "style-colors", "style_loss": "wasserstein2"},
    ],
)
def test_settings_reproduce_the_same_bytes(
    files: tuple[Path, Path], tmp_path: Path, values: dict[str, Any]
) -> None:
    """The settings in a written PNG make the very same file again."""
    stylize(*files, options_of(**values)).save(tmp_path / "one.png")
    settings = read_image(tmp_path / "one.png").settings
    assert settings is not None
    run, warnings = from_settings(settings)
    assert warnings == []
    finish(run).save(tmp_path / "two.png")
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "one.png").read_bytes()


def test_settings_reproduce_all_roles(
    files: tuple[Path, Path], make_png: Maker, tmp_path: Path
) -> None:
    """Blends, start pictures, textures and pictures without a painting are made again too."""
    third = make_png("third.png", 31, 17, 8)
    made = [
        stylization(files[0], [files[1], third], options_of(style_weights=(1, 3)), start=third),
        stylization(None, files[1], options_of(start="noise", content_weight=0.0)),
        stylization(files[0], [], options_of(start="noise", style_weight=0.0)),
        stylization("sample:cat", "style:mosaic", options_of()),
    ]
    for run in made:
        picture = finish(run)
        again, warnings = from_settings(json.loads(json.dumps(picture.settings)))
        assert warnings == []
        assert pixels_of(finish(again)) == pixels_of(picture)


def test_changes_replace_recorded_options(files: tuple[Path, Path]) -> None:
    """Options given again win over the recorded ones, the rest stays."""
    settings = stylize(*files, options_of(tv_weight=0.5)).settings
    run, _ = from_settings(settings, {"size": 30})
    assert (run.width, run.options.tv_weight) == (30, 0.5)


@pytest.mark.parametrize(
    ("changes", "width"), [({"levels": "auto"}, 24), ({"levels": "20:1"}, 20), ({"size": 30}, 30)]
)
def test_size_and_levels_follow_each_other(
    files: tuple[Path, Path], changes: dict[str, Any], width: int
) -> None:
    """Levels or a size given anew win over both; automatic levels keep the recorded size."""
    settings = stylize(*files, options_of(levels="12:1,24:2")).settings
    run, _ = from_settings(settings, changes)
    assert run.width == width


def test_what_has_nothing_to_act_on_is_let_go(files: tuple[Path, Path]) -> None:
    """A print's fit goes with its sheet, and one that was recorded without a sheet stops nobody;
    given anew without a sheet, it is refused."""
    options = options_of(print="51x26mm", dpi=25.4, print_fit="fill", size=51)
    settings = stylize(*files, options).settings
    run, _ = from_settings(settings, {"size": 40})
    assert (run.options.print, run.options.print_fit) == (None, "inside")
    idle = {**settings, "options": {**settings["options"], "print": None}}
    assert from_settings(idle)[0].width == 51
    with pytest.raises(OptionError, match="--print-fit fill: acts only with --print; add"):
        from_settings(idle, {"print_fit": "fill"})


def test_a_third_picture_that_never_was_is_no_start(files: tuple[Path, Path]) -> None:
    """Asking for the third picture's start where the run had none names the way that there is."""
    settings = stylize(*files, options_of()).settings
    with pytest.raises(OptionError, match="was made without one; run stylize with --start-image"):
        from_settings(settings, {"start": "image"})


def test_another_start_replaces_the_recorded_picture(files: tuple[Path, Path]) -> None:
    """A run that began with a third picture is made again from the photo where that is asked."""
    settings = finish(stylization(*files, options_of(), start=files[1])).settings
    run, _ = from_settings(settings, {"start": "content"})
    assert run.options.start == "content"
    np.testing.assert_array_equal(
        run.result.pixels, stylization(*files, options_of()).result.pixels
    )


def test_differences_are_told(files: tuple[Path, Path], make_png: Maker) -> None:
    """Inputs that changed and another version are told, each in a line."""
    settings = {**stylize(*files, options_of()).settings, "impasto": "0.0.1"}
    make_png("painting.png", 36, 36, 9)
    _, warnings = from_settings(settings)
    assert len(warnings) == 2
    assert "made by impasto 0.0.1" in warnings[0]
    assert warnings[1].startswith(f"{files[1]}: has changed")


def test_inputs_that_are_gone_are_named(files: tuple[Path, Path]) -> None:
    """An input that no longer exists, or never was a file, is one line."""
    settings = stylize(*files, options_of()).settings
    files[1].unlink()
    with pytest.raises(ImageError, match=r"painting\.png: is gone"):
        from_settings(settings)
    settings = stylize(soft_picture(20, 20), files[0], options_of()).settings
    with pytest.raises(ImageError, match="a picture in memory"):
        from_settings(settings)


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"version": None},
        {"options": None},
        {"options": []},
        {"options": {"size": "x"}},
        {"options": {"future": 1}},
        {"options": {"preset": []}},
        {"styles": None},
        {"styles": "abc"},
        {"styles": [7]},
        {"styles": [{}]},
        {"content": "path"},
        {"content": {"path": 7, "sha256": ""}},
        {"content": {"path": "a\0b", "sha256": ""}},
        {"start": []},
        {"limits": {}},
        {"limits": [{"level": 0}]},
        {"limits": [{"level": 0, "evaluation": 0, "tile_pixels": "1"}]},
    ],
)
def test_damaged_settings_are_one_line(files: tuple[Path, Path], damage: dict[str, Any]) -> None:
    """Whatever a foreign file claims as settings, the fault is one line, never a crash."""
    settings = {**stylize(*files, options_of(evaluations=0)).settings, **damage}
    with pytest.raises(ImpastoError) as caught:
        from_settings(settings)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
