"""Losses of pixels against SciPy's convolution and autograd."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve

from impasto import pixel_terms
from impasto.pixel_terms import LaplacianTerm, laplacian_cells

Picture = NDArray[np.float64]

KERNEL = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])


def random_picture(seed: int, height: int, width: int) -> Picture:
    """`(3, H, W)` in [0, 1]."""
    return np.random.default_rng(seed).uniform(size=(3, height, width))


def as_picture(values: Picture) -> torch.Tensor:
    """As the engine has it, `(1, 3, H, W)`."""
    return torch.from_numpy(values)[None]


def edges(picture: Picture, side: int) -> Picture:
    """The Laplacian of the means over cells, summed over channels, by loops and SciPy."""
    height, width = picture.shape[1:]
    pooled = np.array(
        [
            [
                picture[:, y : y + side, x : x + side].mean((1, 2)).sum()
                for x in range(0, width, side)
            ]
            for y in range(0, height, side)
        ]
    )
    return convolve(pooled, KERNEL, mode="nearest")


@pytest.mark.parametrize("size", [(12, 16), (13, 17), (1, 9), (9, 2), (1, 1)])
@pytest.mark.parametrize("cells", [(1,), (4,), (2, 5)])
def test_loss_is_that_of_scipys_convolution(size: tuple[int, int], cells: tuple[int, ...]) -> None:
    """The loss is the mean squared difference of the paper's filter over pooled pictures."""
    a, photo = random_picture(0, *size), random_picture(1, *size)
    expected = sum(np.square(edges(a, side) - edges(photo, side)).mean() for side in cells)
    value = LaplacianTerm(as_picture(photo), cells).evaluate(as_picture(a))
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("size", [(12, 16), (13, 17), (1, 9), (9, 2), (1, 1)])
@pytest.mark.parametrize("strip", [1, 64, 1 << 18])
def test_gradient_is_that_of_autograd(
    size: tuple[int, int], strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient is added to what is there, in strips of any height, and is autograd's."""
    monkeypatch.setattr(pixel_terms, "STRIP_PIXELS", strip)
    photo, picture = (as_picture(random_picture(seed, *size)) for seed in (2, 3))
    before = as_picture(random_picture(4, *size))
    gradient = before.clone()
    value = LaplacianTerm(photo, (1, 4)).evaluate(picture, gradient, scale=3.0)
    x = picture.clone().requires_grad_()
    kernel = torch.from_numpy(KERNEL).double()[None, None]
    loss = torch.zeros((), dtype=torch.float64)
    for side in (1, 4):
        maps = [
            torch.nn.functional.avg_pool2d(each, side, ceil_mode=True).sum(1, keepdim=True)
            for each in (x, photo)
        ]
        padded = (torch.nn.functional.pad(each, (1, 1, 1, 1), mode="replicate") for each in maps)
        mine, theirs = (torch.nn.functional.conv2d(each, kernel) for each in padded)
        loss = loss + (mine - theirs).square().mean()
    (slopes,) = torch.autograd.grad(loss, x)
    assert value == pytest.approx(float(loss.detach()), rel=1e-12, abs=1e-15)
    torch.testing.assert_close(gradient, before + 3 * slopes, rtol=1e-10, atol=1e-12)


def test_cells_keep_their_share_of_the_picture() -> None:
    """At 512 px cells are those of the paper, and they grow with the picture."""
    assert laplacian_cells(384, 512) == (4, 16)
    assert laplacian_cells(1024, 300) == (8, 32)
    assert laplacian_cells(20, 10) == (1,)
    photo, picture = random_picture(5, 96, 128), random_picture(6, 96, 128)
    doubled = [np.repeat(np.repeat(x, 2, axis=1), 2, axis=2) for x in (photo, picture)]
    small = LaplacianTerm(as_picture(photo)).evaluate(as_picture(picture))
    large = LaplacianTerm(as_picture(doubled[0])).evaluate(as_picture(doubled[1]))
    assert large == pytest.approx(small, rel=1e-12)


def test_flat_colours_are_free() -> None:
    """Other colours and other brightness cost nothing; another hue of equal sum neither."""
    photo = random_picture(7, 12, 16)
    term = LaplacianTerm(as_picture(photo), (1, 4))
    shifted = photo + np.array([0.2, -0.1, 0.3])[:, None, None]
    assert term.evaluate(as_picture(shifted)) == pytest.approx(0, abs=1e-20)
    assert term.evaluate(as_picture(photo[::-1].copy())) == pytest.approx(0, abs=1e-20)
    assert term.evaluate(as_picture(photo * 0.5)) > 0


def test_blank_is_the_loss_of_a_flat_picture() -> None:
    """The unit is the loss of a picture without any structure."""
    term = LaplacianTerm(as_picture(random_picture(8, 12, 16)), (1, 4))
    assert term.blank() == pytest.approx(term.evaluate(torch.full((1, 3, 12, 16), 0.4).double()))


def test_float32_comes_close_to_double_precision() -> None:
    """In float32 loss and gradient are those of float64 up to rounding."""
    photo, picture = (as_picture(random_picture(seed, 40, 30)) for seed in (9, 10))
    exact, rounded = torch.zeros_like(picture), torch.zeros_like(picture).float()
    value = LaplacianTerm(photo, (1, 4)).evaluate(picture, exact)
    close = LaplacianTerm(photo.float(), (1, 4)).evaluate(picture.float(), rounded)
    assert close == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(rounded.double(), exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fault", [math.nan, math.inf])
def test_a_picture_that_is_not_finite_is_told(fault: float) -> None:
    """One number that is not finite makes the loss NaN."""
    picture = as_picture(random_picture(11, 12, 16))
    term = LaplacianTerm(picture.clone())
    picture[0, 1, 5, 5] = fault
    assert math.isnan(term.evaluate(picture))
