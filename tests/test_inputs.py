"""The pictures of a run, before the network sees them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.errors import OptionError
from impasto.images import Bitmap
from impasto.inputs import as_tensor, check_side, read_inputs, visible
from stand_ins import options_of

Maker = Callable[..., Path]


def test_pictures_come_at_the_size_of_the_result(make_png: Maker) -> None:
    """Photo, mask and third image have the result's size, paintings no more than twice the scale's,
    and a smaller result keeps its own."""
    photo, painting = make_png("photo.png", 40, 30, 1), make_png("painting.png", 90, 60, 2)
    start, lower = make_png("start.png", 10, 30, 3), make_png("lower.png", 10, 8, 4)
    mask = np.ones((12, 12), np.float32)
    options = options_of(size=20, start="image")
    found = read_inputs(photo, [painting], options, start=start, masks=[mask], coarse=lower)
    assert (found.width, found.height) == (20, 15)
    assert found.photo is not None
    assert found.start is not None
    assert found.coarse is not None
    assert found.photo.shape == found.start.shape == (1, 3, 15, 20)
    assert [tuple(one.shape) for one in found.masks] == [(15, 20)]
    assert [tuple(one.picture.shape) for one in found.paintings] == [(1, 3, 27, 40)]
    with Image.open(lower) as image:
        expected = np.asarray(image, np.float32) / 255
    np.testing.assert_allclose(found.coarse[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_options_that_do_not_fit_the_pictures_are_refused(make_png: Maker) -> None:
    """Masks that are not one for each painting, and what needs a photo where there is none, are a
    line each."""
    painting = make_png("painting.png", 20, 20, 1)
    with pytest.raises(OptionError, match="2 masks for 1 paintings"):
        read_inputs(painting, [painting], options_of(), style_masks=[None, None])
    with pytest.raises(OptionError, match="no photo to stay close to"):
        read_inputs(None, [painting], options_of(strength=0.5))


def test_invisible_pixels_get_the_mean_visible_colour() -> None:
    """What cannot be seen has the mean of what can, whatever colour it was saved with."""
    pixels = np.random.default_rng(1).random((3, 4, 6), np.float32)
    alpha = np.ones((4, 6), np.float32)
    alpha[:, :2] = 0
    found = as_tensor(visible(Bitmap(pixels, alpha)))[0].numpy()
    mean = pixels[:, :, 2:].reshape(3, -1).mean(axis=1)
    np.testing.assert_array_equal(found[:, :, 2:], pixels[:, :, 2:])
    np.testing.assert_allclose(found[:, :, 0], np.repeat(mean[:, None], 4, axis=1), rtol=1e-5)


@pytest.mark.parametrize("size", [0, 10**6])
def test_sides_out_of_range_are_refused(size: int) -> None:
    """A long side that no picture can have is one line with its flag."""
    assert check_side(1) == 1
    with pytest.raises(OptionError, match=f"--size {size}"):
        check_side(size)
