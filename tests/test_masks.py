"""Masks from grey pictures and painted labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.errors import ImageError
from impasto.masks import fit_mask, palette, read_mask
from impasto.sources import describe_source, split_label

MAX = 10**8


def labels(tmp_path: Path, *, soft: bool = False) -> Path:
    """Stripes of black, red and blue, 20 px each, whose edges may be blends."""
    stripes = np.zeros((30, 60, 3), np.uint8)
    stripes[:, 20:40] = (255, 0, 0)
    stripes[:, 40:] = (0, 0, 255)
    picture = Image.fromarray(stripes)
    if soft:
        picture = picture.resize((600, 300), Image.Resampling.BICUBIC)
    path = tmp_path / "labels.png"
    picture.save(path)
    return path


@pytest.mark.parametrize("soft", [False, True])
def test_a_label_is_where_its_colour_is(tmp_path: Path, soft: bool) -> None:
    """Each pixel belongs to the label that it is closest to, blends at edges included."""
    path = labels(tmp_path, soft=soft)
    covers = [
        read_mask(f"{path}#{color}", MAX).pixels[0] for color in ("000000", "ff0000", "0000FF")
    ]
    np.testing.assert_array_equal(sum(covers), 1)
    for index, cover in enumerate(covers):
        width = cover.shape[1] // 3
        middle = cover[:, index * width + width // 4 : (index + 1) * width - width // 4]
        assert bool((middle == 1).all())


def test_a_colour_may_be_a_little_off(tmp_path: Path) -> None:
    """A painted red of 250 is found as ff0000."""
    stripes = np.zeros((10, 20, 3), np.uint8)
    stripes[:, 10:] = (250, 3, 2)
    Image.fromarray(stripes).save(tmp_path / "off.png")
    assert read_mask(f"{tmp_path / 'off.png'}#ff0000", MAX).pixels[0].mean() == 0.5


def test_grey_and_transparency_count(tmp_path: Path) -> None:
    """A mask is as strong as its grey, times its opacity."""
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[..., :3] = 204
    pixels[..., 3] = 255
    pixels[:, 3:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    found = read_mask(tmp_path / "grey.png", MAX).pixels[0]
    np.testing.assert_allclose(found[:, :3], 0.8, atol=1e-6)
    np.testing.assert_array_equal(found[:, 3:], 0)


def test_jpeg_masks_are_grey(tmp_path: Path) -> None:
    """What JPEG does to a grey picture with hard edges does not make it coloured."""
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30, 10:30] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.jpg", quality=60)
    assert float(read_mask(tmp_path / "mask.jpg", MAX).pixels.max()) > 0.9


def test_a_coloured_mask_names_its_colours(tmp_path: Path) -> None:
    """Without a label, a coloured picture is refused with what could be meant."""
    with pytest.raises(ImageError, match=r"is coloured; .*#ff0000"):
        read_mask(labels(tmp_path), MAX)


def test_fitting_takes_the_part_and_the_size(tmp_path: Path) -> None:
    """A part of a mask at another size has that part's mean, and stays in [0, 1]."""
    ramp = np.tile(np.arange(100, dtype=np.uint8) * 2, (50, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    mask = read_mask(tmp_path / "ramp.png", MAX)
    right = fit_mask(mask, 37, 11, (0.5, 0, 1, 1))
    assert right.shape == (11, 37)
    assert float(right.mean()) == pytest.approx(149 / 255, abs=0.01)
    assert fit_mask(mask, 1, 1, (0, 0, 1, 1)).shape == (1, 1)
    assert 0 <= float(right.min()) <= float(right.max()) <= 1


def test_labels_are_told_from_names(tmp_path: Path) -> None:
    """`#rrggbb` at the end of a path is a colour, unless a file has that very name."""
    path = labels(tmp_path)
    assert split_label(f"{path}#ff0000") == (str(path), (255, 0, 0))
    assert split_label(f"{path}#zz0000") == (f"{path}#zz0000", None)
    odd = tmp_path / "a.png#ff0000"
    odd.write_bytes(path.read_bytes())
    assert split_label(str(odd)) == (str(odd), None)
    record = describe_source(f"{path}#ff0000")
    assert record is not None
    assert record["path"] == f"{path}#ff0000"
    assert record["sha256"] == (describe_source(path) or {})["sha256"]


def test_the_palette_leaves_blends_out(tmp_path: Path) -> None:
    """Colours at soft edges are no labels; photographs have none."""
    from impasto.images import read_image

    found = palette(read_image(labels(tmp_path, soft=True)))
    assert set(found) == {(0, 0, 0), (255, 0, 0), (0, 0, 255)}
    noise = np.random.default_rng(0).integers(0, 255, (50, 50, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert palette(read_image(tmp_path / "noise.png")) == []
