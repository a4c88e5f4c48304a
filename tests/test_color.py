"""Colour spaces and colour statistics against published values and closed forms."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from impasto.color import (
    VARIANCE_FLOOR,
    ColorStatistics,
    color_statistics,
    linear_to_srgb,
    match_colors,
    oklab_to_srgb,
    srgb_to_linear,
    srgb_to_oklab,
)

unit_pixels = st_numpy.arrays(np.float64, (3, 4, 5), elements=st.floats(0, 1))


def picture(seed: int, height: int = 30, width: int = 40) -> NDArray[np.float64]:
    """Correlated Gaussian colours well inside [0, 1], so that clipping never acts."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(3, 3)) * 0.03 + np.eye(3) * 0.02
    colors = mixing @ rng.normal(size=(3, height * width)).clip(-3, 3)
    return (colors + rng.uniform(0.4, 0.6, (3, 1))).reshape(3, height, width)


def test_srgb_curve_has_the_published_values() -> None:
    """The transfer curve passes through the values of IEC 61966-2-1, on both of its pieces."""
    encoded = np.array([0.0, 0.04045, 0.5, 0.735357, 1.0])
    linear = np.array([0.0, 0.0031308, 0.21404114, 0.5, 1.0])
    np.testing.assert_allclose(srgb_to_linear(encoded), linear, atol=1e-6)
    np.testing.assert_allclose(linear_to_srgb(linear), encoded, atol=1e-6)


@given(unit_pixels)
def test_srgb_and_linear_round_trip(pixels: NDArray[np.float64]) -> None:
    """Decoding and encoding the transfer curve gives every colour back."""
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(pixels)), pixels, atol=1e-7)


def test_curves_mirror_about_zero() -> None:
    """Out-of-gamut colours, which are negative, convert without NaN and come back."""
    values = np.linspace(-0.5, 0.5, 11)
    np.testing.assert_allclose(srgb_to_linear(values), -srgb_to_linear(-values))
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-7)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1, 1, 1), (1.0, 0.0, 0.0)),
        ((1, 0, 0), (0.627955, 0.224863, 0.125846)),
        ((0, 1, 0), (0.866440, -0.233888, 0.179498)),
        ((0, 0, 1), (0.452014, -0.032457, -0.311528)),
    ],
)
def test_oklab_has_the_published_values(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    """White and sRGB's primaries have the OKLab coordinates of CSS Color 4's sample values."""
    pixels = np.array(rgb, float).reshape(3, 1, 1)
    np.testing.assert_allclose(srgb_to_oklab(pixels).ravel(), lab, atol=2e-5)


@given(unit_pixels)
def test_oklab_round_trip(pixels: NDArray[np.float64]) -> None:
    """Every sRGB colour survives the way to OKLab and back."""
    np.testing.assert_allclose(oklab_to_srgb(srgb_to_oklab(pixels)), pixels, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conversions_keep_the_float_type(dtype: type) -> None:
    """A float32 picture is not silently doubled in memory by a conversion."""
    pixels = picture(0).astype(dtype)
    target = color_statistics(picture(1))
    for convert in (srgb_to_linear, linear_to_srgb, srgb_to_oklab, oklab_to_srgb):
        assert convert(pixels).dtype == dtype
    assert match_colors(pixels, target).dtype == dtype


def test_statistics_equal_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and covariance agree with NumPy's, also when they are summed in several steps."""
    pixels = picture(3)
    for chunk in (7, 1 << 20):
        monkeypatch.setattr("impasto.color._CHUNK", chunk)
        statistics = color_statistics(pixels)
        colors = pixels.reshape(3, -1)
        np.testing.assert_allclose(statistics.mean, colors.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(statistics.covariance, np.cov(colors, bias=True), rtol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_matching_reaches_the_target(seed: int) -> None:
    """The matched picture has the target's mean and covariance."""
    target = color_statistics(picture(seed + 10))
    reached = color_statistics(match_colors(picture(seed) * 4 - 1.5, target))
    np.testing.assert_allclose(reached.mean, target.mean, atol=1e-9)
    np.testing.assert_allclose(reached.covariance, target.covariance, atol=1e-9)


def test_matching_is_the_optimal_transport_map() -> None:
    """The map equals the Monge-Kantorovich formula computed with SciPy's matrix roots."""
    pixels = picture(5) * 4 - 1.5
    source, target = color_statistics(pixels), color_statistics(picture(6))
    root = scipy.linalg.sqrtm(source.covariance)
    middle = scipy.linalg.sqrtm(root @ target.covariance @ root)
    matrix = np.linalg.solve(root, middle) @ np.linalg.inv(root)
    moved = np.einsum("ij,jhw->ihw", matrix, pixels - source.mean[:, None, None])
    expected = moved + target.mean[:, None, None]
    np.testing.assert_allclose(match_colors(pixels, target), expected, atol=1e-9)


def test_matching_to_its_own_colors_changes_nothing() -> None:
    """A picture that already has the target's colours comes back as it was."""
    pixels = picture(7) * 4 - 1.5
    clipped = np.clip(pixels, 0, 1)
    np.testing.assert_allclose(match_colors(clipped, color_statistics(clipped)), clipped, atol=1e-9)


def test_grey_picture_takes_color_without_noise() -> None:
    """A grey photo with faint colour noise is matched to a colourful target without speckle."""
    rng = np.random.default_rng(8)
    gray = np.broadcast_to(rng.uniform(0.3, 0.7, (1, 20, 20)), (3, 20, 20))
    noise = rng.normal(size=gray.shape) * 0.001
    target = ColorStatistics(np.full(3, 0.5), np.diag([0.01, 0.01, 0.01]))
    matched = match_colors(gray + noise, target) - match_colors(gray, target)
    gain = np.sqrt(0.01 / VARIANCE_FLOOR)
    assert np.isfinite(matched).all()
    assert np.abs(matched).max() < 1.5 * gain * np.abs(noise).max()


def test_flat_picture_becomes_the_target_mean() -> None:
    """A picture of one colour takes the target's mean colour; nothing divides by zero."""
    target = color_statistics(picture(9))
    matched = match_colors(np.full((3, 4, 4), 0.2), target)
    np.testing.assert_allclose(matched, np.broadcast_to(target.mean[:, None, None], (3, 4, 4)))


def test_grey_target_makes_the_picture_grey() -> None:
    """Colours of a black-and-white target leave no colour in the matched picture."""
    gray = np.broadcast_to(picture(11)[:1], (3, 30, 40))
    matched = match_colors(picture(12) * 4 - 1.5, color_statistics(gray))
    assert np.ptp(matched, axis=0).max() < 1e-6


@given(unit_pixels, unit_pixels)
def test_matching_stays_in_range(pixels: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    """Whatever the two pictures hold, the result is finite and within [0, 1]."""
    before = pixels.copy()
    matched = match_colors(pixels, color_statistics(other))
    assert matched.min() >= 0
    assert matched.max() <= 1
    np.testing.assert_array_equal(pixels, before)
