"""Sizes and resampling, against Pillow and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitmaps import RIGHT, bitmap_of
from impasto.errors import OptionError
from impasto.images import fit_within, resize_image
from odd_images import smooth


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**5), st.booleans())
def test_fit_within(width: int, height: int, long_side: int, enlarge: bool) -> None:
    """The longer side fits exactly, the shorter is the nearest whole number, never 0."""
    new = fit_within(width, height, long_side, enlarge=enlarge)
    if not enlarge and max(width, height) <= long_side:
        assert new == (width, height)
        return
    assert max(new) == long_side
    exact = min(width, height) * long_side / max(width, height)
    assert abs(min(new) - max(exact, 1)) <= 0.5 + 1e-6
    assert (width > height) <= (new[0] >= new[1])


def test_impossible_sizes_are_refused() -> None:
    """A side of 0 is an option error, not a crash in the image library."""
    for size in ((0, 5, 5), (5, 0, 5), (5, 5, 0), (5, 5, -1)):
        with pytest.raises(OptionError):
            fit_within(*size)
    with pytest.raises(OptionError):
        resize_image(bitmap_of(RIGHT), 0, 4)


@pytest.mark.parametrize("size", [(50, 40), (23, 31), (120, 90), (240, 200), (1, 1), (7, 200)])
def test_resizing_equals_pillow(size: tuple[int, int]) -> None:
    """Lanczos resampling agrees with Pillow's, both ways and with unequal factors."""
    rng = np.random.default_rng(4)
    plane = Image.fromarray(rng.random((9, 12), np.float32)).resize(
        (120, 90), Image.Resampling.BICUBIC
    )
    plane = np.clip(np.asarray(plane), 0.1, 0.9)
    right = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))
    got = resize_image(bitmap_of(np.repeat(plane[:, :, None], 3, axis=2)), *size)
    assert (got.width, got.height) == size
    np.testing.assert_allclose(got.pixels[0], right, atol=1e-5)


def test_shrinking_does_not_alias() -> None:
    """A checkerboard finer than the new pixels becomes even grey instead of a moiré."""
    y, x = np.mgrid[0:200, 0:200]
    board = np.repeat(((x + y) % 2).astype(float)[:, :, None], 3, axis=2)
    got = resize_image(bitmap_of(board), 31, 37).pixels
    np.testing.assert_allclose(got[:, 3:-3, 3:-3], 0.5, atol=0.01)


def test_resizing_keeps_hidden_colors_hidden() -> None:
    """Colours under transparent areas do not bleed into the visible ones."""
    pixels = np.zeros((40, 40, 4))
    pixels[:, :20] = (0, 1, 0, 0)
    pixels[:, 20:] = (1, 0, 0, 1)
    for size in ((15, 15), (90, 90)):
        got = resize_image(bitmap_of(pixels), *size)
        assert got.alpha is not None
        visible = got.alpha > 0.02
        assert got.pixels[1][visible].max() < 1e-3
        np.testing.assert_allclose(got.pixels[0][visible], 1, atol=1e-3)


def test_resizing_extremes_and_fields() -> None:
    """Lines one pixel wide survive, values stay in [0, 1], and the other fields are kept."""
    for size, new in (
        ((1, 300), (1, 20)),
        ((300, 1), (20, 1)),
        ((1, 1), (33, 9)),
        ((9, 9), (1, 1)),
    ):
        bitmap = bitmap_of(smooth(*size) / 255, bits=16, dpi=300.0, settings={"a": 1})
        got = resize_image(bitmap, *new)
        assert (got.width, got.height) == new
        assert (got.bits, got.dpi, got.settings) == (16, 300, {"a": 1})
        assert got.pixels.min() >= 0
        assert got.pixels.max() <= 1
    assert resize_image(bitmap, 9, 9) is bitmap
