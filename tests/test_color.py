"""Colour spaces and colour statistics against published values and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.interpolate
import scipy.linalg
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from impasto.color import (
    MOST_GAIN,
    VARIANCE_FLOOR,
    ColorMap,
    ColorStatistics,
    Moves,
    Palette,
    color_statistics,
    drop_colors,
    fade_colors,
    fit_colors,
    fit_lightness,
    keep_colors,
    linear_to_srgb,
    match_colors,
    oklab_to_srgb,
    recolor,
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


def in_space(pixels: NDArray[np.float64], space: str) -> NDArray[np.float64]:
    """A picture's colours in a colour space."""
    return srgb_to_oklab(pixels) if space == "oklab" else pixels


def vivid(seed: int, height: int = 40, width: int = 50) -> NDArray[np.float64]:
    """Two clouds of colour and everything between them, up to the gamut's border."""
    rng = np.random.default_rng(seed)
    ends = rng.uniform(0, 1, (2, 3))
    share = rng.beta(0.6, 0.6, height * width)
    colors = ends[0][:, None] * share + ends[1][:, None] * (1 - share)
    colors += 0.05 * rng.normal(size=colors.shape)
    return colors.clip(0, 1).reshape(3, height, width)


def dull(seed: int) -> NDArray[np.float64]:
    """Colours of little chroma, which the gamut has at the lightness of any of the others."""
    return 0.3 * picture(seed) + 0.35


def test_weighted_statistics_equal_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights, mean and covariance are those of NumPy's weighted average and covariance."""
    pixels = picture(3)
    weights = np.random.default_rng(4).uniform(0, 1, pixels.shape[1:])
    weights[:10] = 0
    colors, counts = pixels.reshape(3, -1), weights.ravel()
    for chunk in (7, 1 << 20):
        monkeypatch.setattr("impasto.color._CHUNK", chunk)
        statistics = color_statistics(pixels, weights)
        np.testing.assert_allclose(statistics.mean, np.average(colors, 1, counts), rtol=1e-12)
        expected = np.cov(colors, aweights=counts, bias=True)
        np.testing.assert_allclose(statistics.covariance, expected, rtol=1e-10)


@pytest.mark.parametrize("space", ["rgb", "oklab"])
def test_fitted_colors_reach_the_target(space: str) -> None:
    """In either space the recoloured picture has the mean and covariance that were asked for."""
    pixels, other = picture(1), picture(2)
    reached = recolor(pixels, fit_colors(Palette(pixels), [Palette(other)], space=space))
    found, wanted = (color_statistics(in_space(one, space)) for one in (reached, other))
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-6)
    np.testing.assert_allclose(found.covariance, wanted.covariance, atol=1e-6)


def test_fitted_covariance_is_the_optimal_transport_map() -> None:
    """The fitted affine map is the Monge-Kantorovich formula computed with SciPy's matrix roots."""
    pixels, other = picture(1), picture(2)
    source, target = color_statistics(pixels), color_statistics(other)
    root = scipy.linalg.sqrtm(source.covariance)
    middle = scipy.linalg.sqrtm(root @ target.covariance @ root)
    matrix = np.linalg.solve(root, middle) @ np.linalg.inv(root)
    found = fit_colors(Palette(pixels), [Palette(other)], space="rgb")
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-9)
    np.testing.assert_allclose(found.offset, target.mean - matrix @ source.mean, atol=1e-9)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_partial_matching_follows_the_geodesic(strength: float) -> None:
    """At strength s the colours are those of the Wasserstein-2 geodesic between the Gaussians."""
    pixels, other = picture(1), picture(2)
    change = fit_colors(Palette(pixels), [Palette(other)], space="rgb")
    reached = color_statistics(recolor(pixels, replace(change, strength=strength)))
    source, target = color_statistics(pixels), color_statistics(other)
    root = scipy.linalg.sqrtm(source.covariance)
    inverse = np.linalg.inv(root)
    cross = np.asarray(scipy.linalg.sqrtm(root @ target.covariance @ root))
    # McCann's interpolation of two Gaussians.
    middle = inverse @ np.linalg.matrix_power(
        (1 - strength) * source.covariance + strength * cross, 2
    )
    np.testing.assert_allclose(reached.covariance, middle @ inverse, atol=1e-9)
    mean = (1 - strength) * source.mean + strength * target.mean
    np.testing.assert_allclose(reached.mean, mean, atol=1e-9)
    if strength == 0:
        np.testing.assert_allclose(recolor(pixels, replace(change, strength=0)), pixels)


def test_several_targets_count_by_their_shares() -> None:
    """Two targets with shares 3 and 1 are one picture that shows the first on three quarters."""
    pixels, first, second = picture(1), picture(2), picture(3)
    both = np.concatenate([first, first, first, second], axis=1)
    one = fit_colors(Palette(pixels), [Palette(both)], space="rgb")
    two = fit_colors(
        Palette(pixels), [Palette(first, share=3), Palette(second, share=1)], space="rgb"
    )
    np.testing.assert_allclose(two.matrix, one.matrix, atol=1e-9)
    np.testing.assert_allclose(two.offset, one.offset, atol=1e-9)


@pytest.mark.parametrize("method", ["covariance", "histogram"])
def test_what_weighs_nothing_does_not_matter(method: str) -> None:
    """Pixels of weight 0 change neither the source's nor the target's part of the map."""
    pixels, other = vivid(1), vivid(2)
    weights = np.ones(pixels.shape[1:])
    weights[:, :20] = 0
    maps = []
    for seed in (1, 2):
        hidden = np.random.default_rng(seed).uniform(0, 1, pixels.shape)
        pair = (Palette(np.where(weights > 0, p, hidden), weights) for p in (pixels, other))
        source, target = pair
        maps.append(fit_colors(source, [target], method=method)(srgb_to_oklab(pixels)))
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("space", ["rgb", "oklab"])
@pytest.mark.parametrize("seed", range(3))
def test_histograms_come_closer_than_covariances(seed: int, space: str) -> None:
    """By SciPy's Wasserstein distance along random axes, matching histograms leaves far less."""
    pixels, other = vivid(seed), vivid(seed + 10)
    rng = np.random.default_rng(0)

    def distance(one: NDArray[np.float64]) -> float:
        axes = rng.normal(size=(20, 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        pairs = [(axis @ one.reshape(3, -1), axis @ other.reshape(3, -1)) for axis in axes]
        return float(np.mean([scipy.stats.wasserstein_distance(a, b) for a, b in pairs]))

    source, targets = Palette(pixels), [Palette(other)]
    left = {
        method: distance(recolor(pixels, fit_colors(source, targets, method=method, space=space)))
        for method in ("covariance", "histogram")
    }
    assert left["histogram"] < 0.7 * left["covariance"]
    assert left["histogram"] < 0.25 * distance(pixels)


def test_matched_histograms_are_smooth() -> None:
    """Colours that differ little stay close together: faint noise does not become grain."""
    rng = np.random.default_rng(5)
    flat = np.full((3, 60, 60), 0.5) + 0.004 * rng.normal(size=(3, 60, 60))
    pixels = np.concatenate([flat, vivid(6, 60, 60)], axis=1)
    change = fit_colors(Palette(pixels), [Palette(vivid(7))], method="histogram")
    grain = recolor(flat, change).reshape(3, -1).std(axis=1).max()
    assert grain < 2 * MOST_GAIN * 0.004


def test_moves_are_interpolated() -> None:
    """Moves between the nodes equal SciPy's linear interpolation; outside, those at the border."""
    rng = np.random.default_rng(6)
    table = rng.normal(size=(3, 4, 4, 4))
    origin, step = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, 0.25])
    colors = origin[:, None] + step[:, None] * rng.uniform(-1, 4, (3, 200))
    grid = tuple(o + s * np.arange(4) for o, s in zip(origin, step, strict=True))
    inside = np.clip(colors, origin[:, None], (origin + 3 * step)[:, None])
    expected = scipy.interpolate.interpn(grid, table.transpose(1, 2, 3, 0), inside.T)
    np.testing.assert_allclose(Moves(table, origin, step)(colors), expected.T, atol=1e-12)


@pytest.mark.parametrize("method", ["covariance", "histogram"])
@pytest.mark.parametrize("space", ["rgb", "oklab"])
def test_fitted_colors_of_a_grey_photo_have_no_speckle(method: str, space: str) -> None:
    """In a grey photo with the noise of a JPEG, what differed little differs little afterwards."""
    rng = np.random.default_rng(8)
    gray = np.broadcast_to(np.linspace(0.2, 0.8, 60)[:, None], (3, 60, 60))
    noise = 0.003 * rng.normal(size=gray.shape)
    change = fit_colors(Palette(gray + noise), [Palette(vivid(9))], method=method, space=space)
    difference = recolor(gray + noise, change) - recolor(gray, change)
    assert difference.std() < 1.5 * MOST_GAIN * 0.003
    rows = recolor(gray, change)
    np.testing.assert_allclose(rows, rows[:, :, :1].repeat(60, axis=2), atol=1e-12)


@pytest.mark.parametrize("method", ["covariance", "histogram"])
def test_a_painting_of_two_colors_keeps_two(method: str) -> None:
    """A painting of two colours, matched to a photo, has two again, and near the photo's mean."""
    two = np.where(np.indices((40, 40)).sum(axis=0) % 7 < 4, 0.9, 0.1) * np.ones((3, 1, 1))
    two[2] *= 0.6
    photo = vivid(3)
    reached = recolor(two, fit_colors(Palette(two), [Palette(photo)], method=method))
    assert len(np.unique(reached.reshape(3, -1).round(9), axis=1).T) == 2
    mean = in_space(reached, "oklab").mean(axis=(1, 2))
    np.testing.assert_allclose(mean, in_space(photo, "oklab").mean(axis=(1, 2)), atol=0.05)


@pytest.mark.parametrize("method", ["covariance", "histogram"])
@pytest.mark.parametrize("space", ["rgb", "oklab"])
def test_one_pixel_takes_the_mean(method: str, space: str) -> None:
    """A picture of one pixel takes about the mean colour of the target; nothing is divided by 0."""
    pixel = np.array([0.2, 0.9, 0.4]).reshape(3, 1, 1)
    other = picture(2)
    reached = recolor(
        pixel, fit_colors(Palette(pixel), [Palette(other)], method=method, space=space)
    )
    wanted = in_space(other, space).mean(axis=(1, 2))
    np.testing.assert_allclose(in_space(reached, space).ravel(), wanted, atol=2e-3)


def test_very_large_pictures_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly spread pixels stand for a very large picture, with weights and without."""
    pixels, other = picture(1, 60, 80), picture(2, 60, 80)
    whole = fit_colors(Palette(pixels), [Palette(other)], space="rgb")
    monkeypatch.setattr("impasto.color._ENOUGH", 500)
    weights = np.ones((60, 80))
    for some in (None, weights):
        part = fit_colors(Palette(pixels, some), [Palette(other, some)], space="rgb")
        np.testing.assert_allclose(part.matrix, whole.matrix, atol=0.3)
        np.testing.assert_allclose(part.offset, whole.offset, atol=0.15)
        assert not np.array_equal(part.matrix, whole.matrix)


def test_pictures_are_changed_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that is worked at a few rows at a time comes out as if worked at whole."""
    pixels, photo = vivid(1), vivid(2)
    change = fit_colors(Palette(pixels), [Palette(photo)], method="histogram")
    whole = recolor(pixels, change), keep_colors(pixels, photo, 0.7)
    monkeypatch.setattr("impasto.color._CHUNK", 130)
    np.testing.assert_array_equal(recolor(pixels, change), whole[0])
    np.testing.assert_array_equal(keep_colors(pixels, photo, 0.7), whole[1])


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_lightness_is_fitted(strength: float) -> None:
    """Lightness has mean and deviation between the two pictures'; √(1 − s) of chroma is left."""
    pixels, photo = picture(1), picture(2)
    change = fit_lightness(Palette(pixels), Palette(photo), strength)
    before, other, after = (srgb_to_oklab(one) for one in (pixels, photo, recolor(pixels, change)))
    for measure in (np.mean, np.std):
        wanted = (1 - strength) * measure(before[0]) + strength * measure(other[0])
        assert measure(after[0]) == pytest.approx(wanted, abs=1e-6)
    np.testing.assert_allclose(after[1:], (1 - strength) ** 0.5 * before[1:], atol=1e-6)


def test_lightness_of_a_flat_painting_is_the_mean() -> None:
    """A painting of one colour takes the photo's mean lightness, without noise."""
    flat = np.full((3, 5, 5), 0.3)
    after = srgb_to_oklab(recolor(flat, fit_lightness(Palette(flat), Palette(picture(2)))))
    assert after[0] == pytest.approx(srgb_to_oklab(picture(2))[0].mean(), abs=1e-6)
    np.testing.assert_allclose(after[1:], 0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kept_colors_are_the_photos(dtype: type) -> None:
    """Between well-behaved pictures the result has the picture's lightness and the photo's a, b."""
    pixels, photo = (dull(seed).astype(dtype) for seed in (1, 2))
    kept = keep_colors(pixels, photo)
    assert kept.dtype == dtype
    lab = srgb_to_oklab(kept)
    np.testing.assert_allclose(lab[0], srgb_to_oklab(pixels)[0], atol=3e-4)
    np.testing.assert_allclose(lab[1:], srgb_to_oklab(photo)[1:], atol=1e-5)


def _faint(red: float, rest: float) -> NDArray[np.float64]:
    return np.array([red, rest, rest]).reshape(3, 1, 1)


@given(unit_pixels, unit_pixels)
@example(np.zeros((3, 1, 1)), _faint(0.19205473, 0.19140625))
@example(np.zeros((3, 1, 1)), _faint(1.0, 0.99512578))
def test_kept_colors_stay_close_whatever_the_pictures(
    pixels: NDArray[np.float64], photo: NDArray[np.float64]
) -> None:
    """For any two pictures the result is in range, most of the chroma of each colour is kept, and
    its lightness lies between the two pictures'."""
    kept = keep_colors(pixels, photo)
    assert kept.min() >= 0
    assert kept.max() <= 1
    (own, *_), (given_lightness, *wanted), (lightness, *found) = (
        srgb_to_oklab(one) for one in (pixels, photo, kept)
    )
    chroma = np.hypot(*wanted)
    lost = np.hypot(found[0] - wanted[0], found[1] - wanted[1])
    # A tenth, but more where the gamut is hollow (blue) or narrow.
    assert (lost <= 0.35 * chroma + 1e-4).all()
    assert (lightness >= np.minimum(own, given_lightness) - 2e-3).all()
    assert (lightness <= np.maximum(own, given_lightness) + 2e-3).all()


def test_texture_in_saturated_parts_is_softened_and_not_cut_off() -> None:
    """On pure colours, which the gamut has at one lightness only, more lightness in the picture is
    still more in the result."""
    for color in np.eye(3):
        photo = np.broadcast_to(color[:, None, None], (3, 1, 50))
        ramp = np.broadcast_to(np.linspace(0, 1, 50), (3, 1, 50))
        lightness = srgb_to_oklab(keep_colors(ramp, photo))[0, 0]
        assert (np.diff(lightness) > -1e-5).all()
        assert np.ptp(lightness) > 0.04


def test_a_grey_photo_makes_an_exactly_grey_picture() -> None:
    """Where the photo is grey, the result is grey to the last bit, whatever colours it had."""
    gray = np.broadcast_to(vivid(1)[:1].astype(np.float32), (3, 40, 50))
    kept = keep_colors(vivid(2).astype(np.float32), gray)
    np.testing.assert_array_equal(kept[0], kept[1])
    np.testing.assert_array_equal(kept[2], kept[1])
    assert np.ptp(kept) > 0.3


def test_strength_blends_the_colors() -> None:
    """At strength 0 the picture comes back, and between 0 and 1 lie blends of the two chromas."""
    pixels, photo = dull(1), dull(2)
    np.testing.assert_allclose(keep_colors(pixels, photo, 0.0), pixels, atol=1e-6)
    painted, wanted = srgb_to_oklab(pixels)[1:], srgb_to_oklab(photo)[1:]
    # The network has seen, and painted, √(1 − s) of the chroma.
    seen = recolor(pixels, fade_colors(0.36))
    found = srgb_to_oklab(keep_colors(seen, photo, 0.36))[1:]
    np.testing.assert_allclose(found, 0.64 * painted + 0.36 * wanted, atol=3e-4)


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9])
def test_dropped_colors_are_what_was_added(strength: float) -> None:
    """`drop_colors` takes back what `keep_colors` did."""
    pixels, photo = recolor(dull(1), fade_colors(strength)), dull(2)
    kept = keep_colors(pixels, photo, strength)
    np.testing.assert_allclose(drop_colors(kept, photo, strength), pixels, atol=1e-3)


def test_all_colors_can_be_dropped() -> None:
    """At strength 1 nothing but lightness is left."""
    lab = srgb_to_oklab(drop_colors(vivid(1), vivid(2)))
    np.testing.assert_allclose(lab[1:], 0, atol=1e-6)
    np.testing.assert_allclose(lab[0], srgb_to_oklab(vivid(1))[0], atol=1e-6)


def test_a_map_leaves_its_input_alone() -> None:
    """The colours that are given to a map are not changed in place."""
    colors = picture(1)
    before = colors.copy()
    for strength in (0.5, 1.0):
        ColorMap("rgb", np.eye(3) * 0.5, np.full(3, 0.1), strength=strength)(colors)
    np.testing.assert_array_equal(colors, before)


@pytest.mark.parametrize(
    ("shift", "lightness"), [((-0.5, 0.0, -0.2), 0.2), ((0.4, 0.0, 0.3), 1.0), ((-2, 0, 0), 0.0)]
)
def test_colors_outside_the_gamut_keep_their_hue(
    shift: tuple[float, ...], lightness: float
) -> None:
    """A map that leaves sRGB's gamut gives the hue that it asked for: dark colours keep their
    lightness and lose chroma, bright ones get darker rather than white."""
    pixels = np.full((3, 2, 2), 0.6)
    change = ColorMap("oklab", np.eye(3), np.array(shift))
    wanted = srgb_to_oklab(pixels)[:, 0, 0] + np.array(shift)
    found = srgb_to_oklab(recolor(pixels, change))[:, 0, 0]
    chroma, before = np.hypot(*found[1:]), np.hypot(*wanted[1:])
    assert chroma < before + 1e-6
    if before > 0.01:
        np.testing.assert_allclose(found[1:] / chroma, wanted[1:] / before, atol=1e-3)
        assert chroma > 0.02
    assert found[0] <= max(wanted[0], 0) + 1e-6
    if wanted[0] < 0.7:
        assert found[0] == pytest.approx(max(0.0, wanted[0]), abs=1e-4)
    assert found[0] <= lightness + 0.1
