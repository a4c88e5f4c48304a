"""Every way to steer a run keeps what a photo brings: transparency, depth, resolution, settings."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto import grain
from impasto.cli import main
from impasto.images import Bitmap, read_image, write_image
from stand_ins import soft_picture

MODES = {
    "default": [],
    "strength": ["--strength", "0.4"],
    "scale": ["--style-scale", "0.5+2"],
    "fine-style": ["--fine-style", "painting.png"],
    "mask": ["--mask", "mask.png"],
    "keep": ["--mask", "mask.png", "--regions", "keep;1"],
    "region-colors": ["--mask", "mask.png", "--regions", "1,color=luminance;1,color=only"],
    "luminance": ["--color", "luminance"],
    "match": ["--color", "match", "--color-method", "histogram"],
    "only": ["--color", "only"],
    "photo-real": ["--preset", "photo-real", "--content-layers", "relu2_1"],
    "sliced": ["--style-loss", "sliced=1,nearest=0.5"],
    "contents": ["--content-loss", "self-similarity=1,laplacian=1"],
}


@pytest.fixture
def folder(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A folder with a half transparent 16-bit photo of 200 dpi, a painting and a mask."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(grain, "EVALUATIONS", 2)
    alpha = np.tile(np.linspace(0, 1, 40), (30, 1)).astype(np.float32)
    pixels = (soft_picture(40, 30, 1).transpose(2, 0, 1) / 255).astype(np.float32)
    photo = Bitmap(pixels, alpha, 16, 200.0)
    write_image(photo, tmp_path / "deep.png", bits=16)
    Image.fromarray(np.tile(np.linspace(0, 255, 25).astype(np.uint8), (9, 1))).save("mask.png")
    return alpha


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_what_a_photo_brings_survives(folder: np.ndarray, mode: str, extension: str) -> None:
    """Transparency to the last of 16 bits, resolution, sRGB and the settings are in the result."""
    flags = ["--size", "40", "--evaluations", "2", "--single-level", "--bits", "16", "-q"]
    out = Path(f"out.{extension}")
    assert main(["stylize", "deep.png", "painting.png", *MODES[mode], *flags, "-o", str(out)]) == 0
    found = read_image(out)
    assert found.bits == 16
    assert found.dpi == pytest.approx(200, abs=0.1)
    assert found.alpha is not None
    np.testing.assert_allclose(found.alpha, folder, atol=1 / 65535)
    assert found.settings is not None
    assert found.settings["content"]["path"].endswith("deep.png")
    with Image.open(out) as picture:
        assert picture.info.get("icc_profile") or "srgb" in picture.info


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_made_again_and_taken_further(folder: np.ndarray, mode: str) -> None:
    """`reproduce` gives the same pixels, and `continue` a larger picture, in every mode."""
    flags = ["--size", "24", "--evaluations", "2", "--single-level", "-q"]
    assert main(["stylize", "deep.png", "painting.png", *MODES[mode], *flags, "-o", "a.png"]) == 0
    assert main(["reproduce", "a.png", "-o", "b.png", "-q"]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open("a.png")), np.asarray(Image.open("b.png")))
    assert main(["continue", "a.png", "--size", "40", "-o", "c.png", "-q"]) == 0
    assert (read_image("c.png").width, read_image("c.png").height) == (40, 30)
