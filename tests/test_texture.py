"""Textures: any shape, and edges that fit together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.cli import main
from impasto.errors import OptionError
from impasto.features import Features
from impasto.images import read_image
from impasto.levels import plan_levels
from impasto.losses import TV_LOSSES, total_variation, variation_around
from impasto.minimizers import smooth_by_pyramid
from impasto.objective import Objective
from impasto.optimize import level_objective
from impasto.options import make_options
from impasto.reproduction import from_settings
from impasto.run import stylization
from impasto.targets import Painting, resize, resize_around
from stand_ins import finish, narrow_weights, options_of, pixels_of

LAYERS = "relu1_1,relu2_1,relu3_1,relu4_1,relu5_1"


def random_picture(height: int, width: int, seed: int) -> Tensor:
    """Noise `(1, 3, H, W)` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def torus(tile_pixels: int | None = None, **values: Any) -> Objective:
    """The objective of a tileable texture of 64 × 48 px, in float64."""
    plain = {"content_weight": 0.0, "style_layers": LAYERS, "start": "noise", "tileable": True}
    return level_objective(
        Features(narrow_weights(), dtype=torch.float64),
        None,
        [Painting(random_picture(60, 80, 2))],
        options_of(**{**plain, **values}),
        *(64, 48),
        tile_pixels=tile_pixels,
    )


@pytest.mark.parametrize("tv", TV_LOSSES)
@pytest.mark.parametrize("style_loss", ["gram", "sliced"])
@pytest.mark.parametrize("shift", [(16, 0), (0, 48), (32, 16)])
def test_a_tileable_texture_has_no_edge(tv: str, style_loss: str, shift: tuple[int, int]) -> None:
    """Moved around the torus by whole strides, a picture has the same loss, and its gradient moves
    with it."""
    objective = torus(tv=tv, style_loss=style_loss)
    picture = random_picture(48, 64, 1)
    terms, gradient = objective.evaluate(picture)
    moved, slope = objective.evaluate(picture.roll(shift, (-2, -1)))
    # Wasserstein's and sorting's sums come in another order.
    assert moved.loss == pytest.approx(terms.loss, rel=1e-8)
    torch.testing.assert_close(slope, gradient.roll(shift, (-2, -1)), rtol=1e-7, atol=1e-12)


def test_a_torus_in_tiles_is_the_whole_torus() -> None:
    """Tiles that wrap around add up to what the whole shows."""
    layers = "relu1_1,relu2_1"
    whole, tiled = torus(style_layers=layers), torus(tile_pixels=1100, style_layers=layers)
    picture = random_picture(48, 64, 1)
    assert len(tiled.tiles(48, 64)) > len(whole.tiles(48, 64)) == 1
    wanted, expected = whole.evaluate(picture)
    terms, gradient = tiled.evaluate(picture)
    assert terms.loss == pytest.approx(wanted.loss, rel=1e-10)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-13)


def test_a_torus_gradient_is_that_of_differences() -> None:
    """Across the seam too the gradient is that of the loss."""
    objective = torus(style_loss="gram", tv="squared")
    picture = random_picture(48, 64, 1)
    _, gradient = objective.evaluate(picture)
    generator = torch.Generator().manual_seed(3)
    for place in (0, 63, 64 * 47, 64 * 48 - 1):
        way = torch.zeros_like(picture)
        way.view(3, -1)[:, place] = torch.randn(3, generator=generator, dtype=torch.float64)
        ahead, behind = (objective.terms(picture + step * way).loss for step in (1e-6, -1e-6))
        slope = float((gradient * way).sum())
        assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-4, abs=1e-9)


def test_what_a_torus_is_held_to_moves_with_it() -> None:
    """At anchored levels too, picture and anchor moved around the torus have the same loss."""
    features = Features(narrow_weights(), dtype=torch.float64)
    options = options_of(content_weight=0.0, start="noise", tileable=True, style_layers=LAYERS)
    picture, anchor = random_picture(48, 64, 1), random_picture(24, 32, 2)
    terms = []
    for shift in (0, 16):
        held = anchor.roll((shift // 2, 0), (-2, -1))
        styles = [Painting(random_picture(60, 80, 2))]
        objective = level_objective(features, None, styles, options, 64, 48, anchor=held)
        terms.append(objective.terms(picture.roll((shift, 0), (-2, -1))))
    assert terms[1].anchor == pytest.approx(terms[0].anchor, rel=1e-10)
    assert terms[1].loss == pytest.approx(terms[0].loss, rel=1e-8)


@pytest.mark.parametrize("tv", TV_LOSSES)
def test_smoothness_around_is_that_of_the_middle(tv: str) -> None:
    """Without a border each pixel counts alike: as in the middle one of nine copies."""
    picture = random_picture(5, 7, 4)
    around = float(variation_around(picture, tv))
    nine = picture.repeat(1, 1, 40, 40)
    assert around == pytest.approx(float(TV_LOSSES[tv](nine)), rel=0.02)
    flat = torch.full_like(picture, 0.3)
    assert float(variation_around(flat, tv)) == float(total_variation(flat)) == 0


@pytest.mark.parametrize("size", [(32, 48), (16, 112), (2, 64)])
def test_the_metric_wraps_around(size: tuple[int, int]) -> None:
    """The optimiser's pyramid is symmetric and positive, and knows no seam."""
    one, other = random_picture(*size, 1) - 0.5, random_picture(*size, 2) - 0.5
    smooth = smooth_by_pyramid(one, 4, 0.7, wraps=True)
    there = float((smooth * other).sum())
    back = float((one * smooth_by_pyramid(other, 4, 0.7, wraps=True)).sum())
    assert there == pytest.approx(back, rel=1e-10)
    assert float((smooth * one).sum()) > 0
    shift = (16 % size[0], 16)
    moved = smooth_by_pyramid(one.roll(shift, (-2, -1)), 4, 0.7, wraps=True)
    torch.testing.assert_close(moved, smooth.roll(shift, (-2, -1)))


def test_resizing_around_leaves_no_seam() -> None:
    """Enlarged on the torus, a picture is the middle one of its enlarged copies."""
    picture = random_picture(12, 20, 5)
    found = resize_around(picture, 30, 44)
    copies = resize(picture.repeat(1, 1, 5, 5), 150, 220)
    torch.testing.assert_close(found, copies[..., 60:90, 88:132], rtol=1e-6, atol=1e-8)


def test_tileable_levels_are_whole_strides() -> None:
    """Every level's sides are multiples of 16, so that all poolings fall alike."""
    options = make_options({"tileable": True, "size": 1000})
    levels = plan_levels(options, 1008, 560)
    assert len(levels) > 2
    assert all(level.width % 16 == level.height % 16 == 0 for level in levels)


def test_textures_have_any_shape(files: tuple[Path, Path], tmp_path: Path) -> None:
    """`--aspect` decides the shape, `--size` the long side; the settings make it again."""
    options = options_of(aspect="3:1", size=30, start="noise", content_weight=0.0)
    picture = finish(stylization(None, files[1], options))
    assert (picture.bitmap.width, picture.bitmap.height) == (30, 10)
    again, warnings = from_settings(picture.settings)
    assert warnings == []
    assert pixels_of(finish(again)) == pixels_of(picture)


def test_the_command_makes_a_tileable_texture(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`impasto texture --tileable` writes a square whose sides are multiples of 16."""
    out = tmp_path / "texture.png"
    flags = ["--tileable", "--size", "60", "--evaluations", "3", "-q", "-o", str(out)]
    assert main(["texture", str(files[1]), *flags]) == 0, capsys.readouterr().err
    found = read_image(out)
    assert (found.width, found.height) == (64, 64)
    assert found.settings is not None
    assert found.settings["options"]["tileable"] is True
    # The painting has 36 px, and is not enlarged.
    assert found.settings["options"]["style_scale"] == "0.6"


@pytest.mark.parametrize("aspect", ["3:2", "16:9", "5:7"])
def test_tileable_textures_are_taken_further(
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    aspect: str,
) -> None:
    """Whatever its shape, a tileable texture can be continued, though its sides were rounded."""
    monkeypatch.chdir(tmp_path)
    flags = ["--tileable", "--aspect", aspect, "--evaluations", "1", "--single-level", "-q"]
    assert main(["texture", str(files[1]), *flags, "--size", "80", "-o", "a.png"]) == 0
    assert main(["continue", "a.png", "--size", "176", "-o", "b.png", "-q"]) == 0, (
        capsys.readouterr().err
    )
    assert read_image(tmp_path / "b.png").width % 16 == 0


def test_a_printed_texture_fills_its_sheet(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--print` a texture has the sheet's shape, and a preset's losses stay the preset's."""
    out = tmp_path / "print.png"
    flags = ["--print", "40x20mm", "--dpi", "25.4", "--preset", "gatys", "--evaluations", "1", "-q"]
    assert main(["texture", str(files[1]), *flags, "-o", str(out)]) == 0, capsys.readouterr().err
    found = read_image(out)
    assert (found.width, found.height) == (40, 20)
    assert found.settings is not None
    assert found.settings["options"]["style_loss"] == "gram"


def test_only_textures_have_a_shape_of_their_own(files: tuple[Path, Path]) -> None:
    """With a photo, both options are refused by name."""
    for values in ({"aspect": "1:1"}, {"tileable": True}):
        with pytest.raises(OptionError, match=f"^--{next(iter(values))}: only for textures"):
            stylization(*files, options_of(**values))


def test_a_blank_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a painting there is one line."""
    assert main(["texture"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_real_texture_fits_together(tmp_path: Path) -> None:
    """With VGG19, neighbours across the seam differ no more than the most different ones inside."""
    out = tmp_path / "texture.png"
    flags = ["--tileable", "--size", "128", "--evaluations", "40", "-q", "-o", str(out)]
    assert main(["texture", "style:mosaic", *flags]) == 0
    pixels = np.asarray(Image.open(out), np.float64)
    for axis in (0, 1):
        steps = np.abs(np.roll(pixels, -1, axis) - pixels).mean((1 - axis, 2))
        assert steps[-1] <= steps[:-1].max() * 1.1
        assert steps[-1] <= steps[:-1].mean() * 1.8
