"""Fine texture from one painting in the forms of another."""

from pathlib import Path

import numpy as np
import pytest
import torch

from impasto import grain
from impasto.features import Features
from impasto.losses import wasserstein2_loss
from impasto.moments import moments_of
from impasto.options import make_options
from impasto.reproduction import from_settings, resume
from impasto.run import stylization
from impasto.styles import draw_style
from impasto.targets import Painting, resize
from stand_ins import finish, options_of, pixels_of


@pytest.mark.slow
def test_texture_comes_near_and_forms_stay() -> None:
    """The shallow layers' statistics move most of the way to the fine painting's, while the mean
    colour and the large forms stay the painting's own."""
    features = Features("vgg19", layers=grain.LAYERS)
    coarse, fine = (
        torch.from_numpy(draw_style(name, width, height))[None]
        for name, width, height in (("marbling", 144, 120), ("mosaic", 128, 112))
    )
    options = make_options({"size": 144})
    made = grain.with_grain(features, Painting(coarse), Painting(fine), options, scale=1).picture
    assert made.shape == coarse.shape
    same = grain.match_colors(fine[0].numpy(), grain.color_statistics(coarse[0].numpy()))
    target = resize(torch.from_numpy(same)[None], 126, 144).clamp(0, 1)
    distances = []
    for picture in (coarse, made):
        found, wanted = (features.extract(p, ["relu1_1"])["relu1_1"] for p in (picture, target))
        distances.append(float(wasserstein2_loss(moments_of(wanted))(moments_of(found))))
    assert distances[1] < 0.4 * distances[0]
    means = [p[0].flatten(1).mean(1) for p in (coarse, made)]
    torch.testing.assert_close(*means, atol=0.05, rtol=0)
    small = [resize(p, 10, 12).flatten().numpy() for p in (coarse, made)]
    assert np.corrcoef(small[0], small[1])[0, 1] > 0.8


def test_runs_with_a_fine_style_are_made_again(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fine painting is recorded; `reproduce` and `resume` end in the same bytes."""
    monkeypatch.setattr(grain, "EVALUATIONS", 3)
    options = options_of(evaluations=5)
    plain = pixels_of(finish(stylization(*files, options)))
    run = stylization(*files, options, fine="style:mosaic")
    picture = finish(run)
    assert pixels_of(picture) != plain
    again, warnings = from_settings(picture.settings)
    assert warnings == []
    assert pixels_of(finish(again)) == pixels_of(picture)
    half = stylization(*files, options, fine="style:mosaic")
    next(half)
    next(half)
    half.checkpoint(tmp_path / "run.ckpt")
    assert pixels_of(finish(resume(tmp_path / "run.ckpt"))) == pixels_of(picture)
