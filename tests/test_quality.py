"""Measures of quality: each one's number, what it responds to and what leaves it alone."""

import math
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial.distance import cdist

from impasto import compare, style_distance
from impasto.color import ColorStatistics, color_statistics, oklab_to_srgb, srgb_to_oklab
from impasto.errors import ImageError, OptionError, RunError
from impasto.images import Bitmap, read_image, resize_image, write_image
from impasto.moments import Moments, moments_of
from impasto.options import make_options
from impasto.quality import (
    Comparison,
    Measures,
    border_steps,
    chroma_distance,
    color_distance,
    edge_fidelity,
    feature_distance,
    gaussian_distance,
    gram_distance,
    noise_deviation,
    structure_distance,
)
from impasto.run import stylize
from impasto.samples import sample_path
from impasto.sources import read_source
from impasto.styles import draw_style
from impasto.weights import Weights
from stand_ins import options_of, soft_picture

Pixels = NDArray[np.float32]


def feature_map(seed: int, channels: int = 5, height: int = 7, width: int = 9) -> torch.Tensor:
    """Features as a ReLU leaves them."""
    generator = torch.Generator().manual_seed(seed)
    shape = (1, channels, height, width)
    return torch.randn(shape, generator=generator, dtype=torch.float64).relu()


def rows_of(features: torch.Tensor) -> NDArray[np.float64]:
    """Positions × channels."""
    return features[0].flatten(1).T.numpy()


def soft(width: int, height: int, seed: int = 0) -> Pixels:
    """A soft picture `(3, H, W)`."""
    return (soft_picture(width, height, seed).transpose(2, 0, 1) / 255).astype(np.float32)


def photo(side: int = 128) -> Pixels:
    """A real photo, small."""
    bitmap = read_image(sample_path("coffee"))
    return resize_image(bitmap, side, side * 3 // 4).pixels


def noisy(pixels: Pixels, deviation: float) -> Pixels:
    """With white noise of a standard deviation in 255ths, before clipping."""
    noise = np.random.default_rng(3).normal(size=pixels.shape) * deviation / 255
    return np.clip(pixels + noise, 0, 1).astype(np.float32)


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Without what is finer than `sigma` px."""
    return np.asarray(gaussian_filter(pixels, (0, sigma, sigma), mode="nearest"), np.float32)


def framed(pixels: Pixels, strength: float, width: int = 4) -> Pixels:
    """With a brighter frame."""
    found = np.clip(pixels + strength, 0, 1)
    found[:, width:-width, width:-width] = pixels[:, width:-width, width:-width]
    return found


def tinted(pixels: Pixels, shift: float) -> Pixels:
    """Greener and as light: a little beyond the gamut, where greens are full."""
    lab = srgb_to_oklab(pixels)
    lab[1] -= shift
    return oklab_to_srgb(lab)


def lightness(pixels: Pixels) -> Pixels:
    """OKLab's L."""
    return srgb_to_oklab(pixels)[0]


# --- distances in feature space ------------------------------------------------------------------


def test_gram_distance_is_the_norm_of_the_difference_over_both_norms() -> None:
    """Computed with NumPy from the features it is the same, at any size of the two pictures."""
    one, other = feature_map(1), feature_map(2, height=4)
    g, a = (rows_of(f).T @ rows_of(f) / rows_of(f).shape[0] for f in (one, other))
    expected = np.linalg.norm(g - a) / math.hypot(np.linalg.norm(g), np.linalg.norm(a))
    found = gram_distance(moments_of(one), moments_of(other))
    assert found == pytest.approx(expected, rel=1e-12)
    assert gram_distance(moments_of(other), moments_of(one)) == pytest.approx(found, rel=1e-12)


def test_gaussian_distance_is_the_wasserstein_distance_over_both_powers() -> None:
    """Computed with SciPy's matrix square root from the features it is the same."""
    one, other = feature_map(1), feature_map(2, height=4)
    x, y = rows_of(one), rows_of(other)
    s, t = (np.cov(rows.T, bias=True) for rows in (x, y))
    cross = np.real(np.asarray(sqrtm(s @ t)))
    squared = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s + t - 2 * cross)
    expected = math.sqrt(squared / (np.square(x).sum(1).mean() + np.square(y).sum(1).mean()))
    found = gaussian_distance(moments_of(one), moments_of(other))
    assert found == pytest.approx(expected, rel=1e-9)
    assert gaussian_distance(moments_of(other), moments_of(one)) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("distance", [gram_distance, gaussian_distance])
def test_style_distances_run_from_none_to_one(
    distance: Callable[[Moments, Moments], float],
) -> None:
    """A picture is at 0 of itself, of features that never fire with its own nearly at 1 or at it,
    and where nothing fires there is no number."""
    one, other = feature_map(1), feature_map(1)
    assert distance(moments_of(one), moments_of(other)) == pytest.approx(0, abs=1e-4)
    one[:, :2], other[:, 2:] = 0, 0
    found = distance(moments_of(one), moments_of(other))
    assert 0.7 < found <= 1
    if distance is gram_distance:
        assert found == pytest.approx(1)
    empty = moments_of(torch.zeros(1, 5, 3, 3, dtype=torch.float64))
    assert math.isnan(distance(empty, empty))
    assert distance(moments_of(one), empty) == pytest.approx(1)


def test_feature_distance_is_relative() -> None:
    """It is the norm of the difference over both norms, whatever the layer's scale."""
    one, other = feature_map(1), feature_map(2)
    a, b = one.numpy().ravel(), other.numpy().ravel()
    expected = np.linalg.norm(a - b) / np.linalg.norm(np.concatenate([a, b]))
    assert feature_distance(one, other) == pytest.approx(expected, rel=1e-12)
    assert feature_distance(9 * one, 9 * other) == pytest.approx(expected, rel=1e-12)
    assert feature_distance(one, one) == 0


def test_structure_distance_compares_cosines_between_positions() -> None:
    """It is half the mean absolute difference of SciPy's cosine distances, each column of which
    adds up to 1; how strong features are at a position does not matter."""
    one, other = feature_map(1) + 0.1, feature_map(2) + 0.1
    parts = [cdist(rows_of(f), rows_of(f), "cosine") for f in (one, other)]
    first, second = (part / part.sum(0) for part in parts)
    expected = np.abs(first - second).sum(0).mean() / 2
    assert structure_distance(one, other) == pytest.approx(expected, rel=1e-9)
    strength = torch.rand(1, 1, 7, 9, dtype=torch.float64) + 0.5
    assert structure_distance(one * strength, other) == pytest.approx(expected, rel=1e-9)
    assert structure_distance(one, one) == 0


def test_structure_distance_of_a_large_map_takes_a_grid() -> None:
    """From more than 32 rows or columns, 32 at equal distances are compared."""
    one, other = feature_map(1, height=63, width=4), feature_map(2, height=63, width=4)
    rows = np.linspace(0, 62, 32).round()
    thin = [f[:, :, torch.tensor(rows, dtype=torch.long)] for f in (one, other)]
    assert structure_distance(one, other) == pytest.approx(structure_distance(*thin), rel=1e-12)


# --- distances between colours -------------------------------------------------------------------


def test_color_distance_is_the_wasserstein_distance() -> None:
    """With SciPy's matrix square root it is the same; a mere shift is as far as it shifts."""
    one = color_statistics(srgb_to_oklab(soft(20, 30, 1)))
    other = color_statistics(srgb_to_oklab(soft(30, 20, 2)))
    cross = np.real(np.asarray(sqrtm(one.covariance @ other.covariance)))
    squared = np.square(one.mean - other.mean).sum()
    squared += np.trace(one.covariance + other.covariance - 2 * cross)
    assert color_distance(one, other) == pytest.approx(math.sqrt(squared), rel=1e-6)
    moved = ColorStatistics(one.mean + np.array([0, 0.03, 0.04]), one.covariance)
    assert color_distance(one, moved) == pytest.approx(0.05, abs=1e-6)
    assert color_distance(one, one) == pytest.approx(0, abs=1e-6)


def test_chroma_distance_leaves_lightness_out() -> None:
    """It is the mean distance in a and b, and 0 between pictures that differ in lightness only."""
    one, other = srgb_to_oklab(soft(20, 30, 1)), srgb_to_oklab(soft(20, 30, 2))
    expected = np.hypot(one[1] - other[1], one[2] - other[2]).mean()
    assert chroma_distance(one, other) == pytest.approx(expected, rel=1e-5)
    other[1:] = one[1:]
    assert chroma_distance(one, other) == 0


# --- edges, noise, borders -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 30), (600, 20)])
def test_edge_fidelity_is_a_correlation_of_doubled_angles(shape: tuple[int, int]) -> None:
    """Computed from SciPy's derivatives of Gaussians it is the same, at small and large sizes."""
    rng = np.random.default_rng(5)
    one, other = (rng.random(shape).astype(np.float32) for _ in range(2))
    sigma = max(1, max(shape) / 256)
    fields = []
    for picture in (one, other):
        x, y = (
            gaussian_filter1d(smooth, sigma, axis=axis, order=1, mode="nearest")
            for axis, smooth in (
                (axis, gaussian_filter1d(picture.astype(float), sigma, 1 - axis, mode="nearest"))
                for axis in (1, 0)
            )
        )
        fields.append(np.hypot(x, y) * np.exp(2j * np.arctan2(y, x)))
    product = np.real(fields[0] * fields[1].conj()).sum()
    expected = product / np.sqrt((abs(fields[0]) ** 2).sum() * (abs(fields[1]) ** 2).sum())
    assert edge_fidelity(one, other) == pytest.approx(expected, rel=1e-4)


def test_edges_may_change_their_contrast_and_its_sign() -> None:
    """A fainter picture and a negative have the photo's edges; crossing edges are their opposite,
    and a flat picture has none."""
    light = lightness(photo())
    assert edge_fidelity(0.3 * light + 0.2, light) == pytest.approx(1, abs=1e-6)
    assert edge_fidelity(1 - light, light) == pytest.approx(1, abs=1e-6)
    ramp = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (40, 1))
    assert edge_fidelity(ramp.T, ramp) == pytest.approx(-1, abs=0.02)
    assert math.isnan(edge_fidelity(np.full((40, 40), 0.3, np.float32), ramp))


def test_noise_deviation_is_that_of_the_noise_added() -> None:
    """White noise on a smooth picture is found within a few percent, edges and colours beneath it
    leave it alone."""
    y, x = np.mgrid[0:200, 0:240] / 240
    smooth = np.stack([0.3 + 0.4 * x, 0.3 + 0.3 * y, 0.5 - 0.2 * x]).astype(np.float32)
    assert noise_deviation(smooth) == pytest.approx(0, abs=1e-3)
    for deviation in (2, 8):
        assert noise_deviation(noisy(smooth, deviation)) == pytest.approx(deviation, rel=0.03)
    edges = smooth.copy()
    edges[:, :, ::17] = 0
    edges[:, ::23] = 1
    assert noise_deviation(noisy(edges, 8)) == pytest.approx(8, rel=0.12)


def test_border_steps_are_what_a_loop_finds() -> None:
    """Band by band, side by side, the steps at the border over those inside are the same."""
    pixels = soft(50, 43, 3)
    lab = srgb_to_oklab(pixels).astype(np.float64)
    found = border_steps(pixels)
    assert list(found) == [2, 4, 8]
    for width, ratio in found.items():
        outer, inner = [], []
        for turned in (lab, lab[:, ::-1], lab.swapaxes(1, 2), lab.swapaxes(1, 2)[:, ::-1]):
            bands = [
                turned[:, at : at + width].mean((1, 2))
                for at in range(0, turned.shape[1] - width + 1, width)
            ]
            steps = [np.linalg.norm(b - a) for a, b in pairwise(bands)]
            outer.append(steps[0])
            inner.extend(steps[1:-1])
        expected = np.sqrt(np.mean(np.square(outer)) / np.mean(np.square(inner)))
        assert ratio == pytest.approx(expected, rel=1e-5)


def test_a_flat_picture_has_no_border() -> None:
    """Rounding is no frame: where nothing changes, the ratio is 0."""
    assert border_steps(np.full((3, 70, 70), 0.4, np.float32)) == pytest.approx(
        {2: 0, 4: 0, 8: 0, 16: 0}, abs=1e-2
    )


# --- each defect and its measure -----------------------------------------------------------------


def measured(picture: Pixels, narrow: Weights, **options: Any) -> Measures:
    """All measures of a picture of the photo, painting and photo being real ones."""
    painting = draw_style("harvest", 96, 96)
    found = compare([Bitmap(picture)], Bitmap(photo()), Bitmap(painting), **options)
    return found.pictures[0].measures


DEFECTS: dict[str, tuple[Callable[[Pixels, float], Pixels], list[float], str, set[str]]] = {
    # defect: strengths → the measure that grows with it, and those that hardly move.
    "noise": (noisy, [2, 5, 12, 30], "noise", {"color", "border", "chroma"}),
    "blur": (blurred, [0.8, 1.5, 3, 6], "edges", {"color", "border"}),
    "frame": (framed, [0.1, 0.2, 0.4], "border", {"chroma", "noise"}),
    "tint": (tinted, [0.02, 0.04, 0.06, 0.08], "chroma", {"edges", "noise", "border"}),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_moves_its_measure(defect: str, narrow: Weights) -> None:
    """The stronger a planted defect, the worse its measure; others stay where they were."""
    plant, strengths, name, unmoved = DEFECTS[defect]
    clean = measured(plant(photo(), 0), narrow)
    rows = [measured(plant(photo(), strength), narrow) for strength in strengths]
    sign = -1 if name == "edges" else 1
    values = [sign * getattr(row, name) for row in (clean, *rows)]
    assert values == sorted(values)
    assert values[-1] > values[0] + 0.05
    scale = {"color": 0.05, "chroma": 0.05, "edges": 0.2, "noise": 1, "border": 1}
    for other in unmoved:
        moved = abs(getattr(rows[1], other) - getattr(clean, other)) / scale[other]
        assert moved < 0.35, f"{other} moved by {moved}"


def test_the_photo_itself_is_perfect_in_all_that_is_measured_against_it(narrow: Weights) -> None:
    """The photo as result: no content, structure or chroma distance, all edges, no artefacts."""
    found = measured(photo(), narrow)
    assert found.content == found.structure == found.chroma == 0
    assert found.edges == pytest.approx(1, abs=1e-9)
    assert found.border is not None
    assert found.border <= 1
    assert found.noise is not None
    assert found.noise <= 1


def test_the_painting_itself_is_perfect_in_style_and_colour(narrow: Weights) -> None:
    """The painting as result is at no distance from itself."""
    painting = Bitmap(draw_style("mosaic", 64, 64))
    found = compare([painting], style=painting).pictures[0].measures
    assert found.style_gram == pytest.approx(0, abs=1e-6)
    assert found.style_wasserstein2 == pytest.approx(0, abs=1e-3)
    assert found.color == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_shuffled_tiles_keep_their_style_and_lose_their_content() -> None:
    """With the real network: pieces in another order are near in style, far in content."""
    painting = draw_style("mosaic", 192, 192)
    pieces = [
        painting[:, y : y + 48, x : x + 48] for y in range(0, 192, 48) for x in range(0, 192, 48)
    ]
    order = np.random.default_rng(1).permutation(len(pieces))
    rows = [np.concatenate([pieces[i] for i in order[r : r + 4]], 2) for r in range(0, 16, 4)]
    shuffled = Bitmap(np.concatenate(rows, 1))
    other = Bitmap(draw_style("water-garden", 192, 192))
    found = compare([shuffled, other], Bitmap(painting), Bitmap(painting))
    mixed, foreign = (row.measures for row in found.pictures)
    for name in ("style_gram", "style_wasserstein2"):
        assert getattr(mixed, name) < getattr(foreign, name) / 2
    for name in ("content", "structure"):
        assert getattr(mixed, name) > 0.6 * getattr(foreign, name)


@pytest.mark.slow
def test_a_smaller_copy_has_the_same_style() -> None:
    """With the real network: a picture and its half are far nearer than two styles are."""
    one, other = (draw_style(name, 256, 256) for name in ("harvest", "night-sky"))
    half = resize_image(Bitmap(one), 128, 128)
    same = style_distance(half, Bitmap(one))
    assert same <= style_distance(Bitmap(one), Bitmap(other)) / 4
    assert same == pytest.approx(style_distance(Bitmap(one), half), rel=1e-6)


# --- what is compared with what ------------------------------------------------------------------


@pytest.fixture
def made(files: tuple[Path, Path], tmp_path: Path) -> Path:
    """A result in a file, which names its photo and painting."""
    path = tmp_path / "made.png"
    stylize(*files, options_of(size=40, evaluations=1)).save(path)
    return path


def only(found: Comparison) -> dict[str, Any]:
    """The numbers of a comparison's one picture."""
    (row,) = found.pictures
    return asdict(row.measures)


def test_settings_name_photo_and_painting(made: Path, files: tuple[Path, Path]) -> None:
    """A picture is measured against what its settings name as if that had been given."""
    found = compare([made])
    assert only(found) == only(compare([made], *files))
    assert None not in only(found).values()
    assert found.pictures[0].content == str(files[0])
    assert found.pictures[0].styles == (str(files[1]),)
    assert found.notes == ()


def test_what_is_given_wins(made: Path, files: tuple[Path, Path], make_png: Any) -> None:
    """A photo or painting given replaces the one in the settings, and only that one."""
    before = only(compare([made]))
    after = only(compare([made], make_png("third.png", 40, 30, 9)))
    for name, value in before.items():
        against_photo = name in {"content", "structure", "chroma", "edges", "content_layers"}
        if name not in {"noise", "border"}:
            assert (after[name] != value) == against_photo, name


def test_what_is_not_known_is_left_out(narrow: Weights) -> None:
    """Without photo and painting only what a picture says by itself is measured, and it is said
    why; with one of them, what needs the other is missing."""
    picture, other = Bitmap(soft(40, 30, 1)), Bitmap(soft(40, 30, 2))
    alone = compare([picture])
    there = {name for name, value in only(alone).items() if value is not None}
    assert there == {"noise_deviation", "border_steps"}
    assert "picture 1: holds no settings" in alone.notes[0]
    with_photo = {n for n, v in only(compare([picture], other)).items() if v is not None}
    assert with_photo - there == {
        *("content", "structure", "chroma", "edges", "border", "content_layers")
    }
    with_painting = {n for n, v in only(compare([picture], style=other)).items() if v is not None}
    assert with_painting - there == {"style_gram", "style_wasserstein2", "color", "style_layers"}


def test_files_that_are_gone_or_changed_are_told(
    made: Path, files: tuple[Path, Path], make_png: Any
) -> None:
    """A photo that is gone leaves its measures out; a painting that has changed is used. Both are
    said."""
    files[0].unlink()
    make_png("painting.png", 36, 36, 8)
    found = compare([made])
    gone, changed = found.notes
    assert f"its photo {files[0]} is gone" in gone
    assert "--content" in gone
    assert f"its painting {files[1]} has changed" in changed
    assert only(found)["content"] is None
    assert only(found)["style_gram"] is not None


def test_foreign_settings_do_no_harm(tmp_path: Path, narrow: Weights) -> None:
    """Settings that hold anything, even a pipe for a photo, are as good as none."""
    import os

    os.mkfifo(tmp_path / "pipe")
    odd: list[dict[str, Any]] = [
        {"content": {"path": str(tmp_path / "pipe")}, "styles": [{"path": "/dev/zero"}]},
        {"content": 3, "styles": "x", "options": {"style_weights": "many", "model": 5}},
        {"content": {"path": "a\0b"}, "styles": [{"path": "style:mosaic"}, 7]},
        {"styles": [{"path": "style:none"}], "options": [1]},
        {"styles": [{"path": __file__}]},
    ]
    for number, settings in enumerate(odd):
        path = tmp_path / f"{number}.png"
        write_image(Bitmap(soft(20, 20)), path, settings=settings)
        found = compare([path])
        assert only(found)["content"] is None
        assert only(found)["style_gram"] is None
    damaged = {"styles": [{"path": "style:mosaic"}], "options": {"style_weights": [-1]}}
    write_image(Bitmap(soft(20, 20)), tmp_path / "shares.png", settings=damaged)
    found = compare([tmp_path / "shares.png"])
    assert only(found)["style_gram"] is None
    assert "settings are damaged" in found.notes[-1]


def test_a_print_is_measured_against_what_it_shows(files: tuple[Path, Path]) -> None:
    """A picture cut to fill a sheet is compared with that part of the photo, without a note."""
    options = make_options(
        {"print": "20x20mm", "dpi": 51, "print_fit": "fill", "levels": "", "evaluations": 1}
    )
    picture = stylize(*files, options)
    cut = read_image(files[0])
    cut = Bitmap(cut.pixels[:, :, 5:35])
    bitmap = picture.bitmap
    assert bitmap.width == bitmap.height
    inside = Bitmap(bitmap.pixels, settings=picture.settings)
    found = compare([inside])
    assert found.notes == ()
    by_hand = only(compare([Bitmap(bitmap.pixels)], cut, files[1]))
    assert only(found) == by_hand


def test_another_shape_is_stretched_and_told(narrow: Weights) -> None:
    """A photo of other proportions is brought to the picture's, and that is said."""
    found = compare([Bitmap(soft(40, 30))], Bitmap(soft(40, 40)), Bitmap(soft(20, 20)))
    assert found.notes == ("picture 1: the photo has another shape, 40 x 40 px, and is stretched "
                           "to 40 x 30",)  # fmt: skip
    assert only(found)["content"] is not None


def test_pictures_meet_at_a_common_size(narrow: Weights) -> None:
    """The smallest picture sets the size for all; another one may be asked for."""
    pictures = [Bitmap(soft(80, 60)), Bitmap(soft(48, 36))]
    found = compare(pictures, between=True)
    assert found.size == 48
    same = compare([resize_image(pictures[0], 48, 36), pictures[1]], between=True)
    assert found.between == same.between
    assert compare(pictures, size=24).size == 24
    assert compare([Bitmap(soft(900, 20))]).size == 512


def test_distances_between_pictures_are_those_of_style_distance(narrow: Weights) -> None:
    """The table has 0 on its diagonal, is symmetric, and holds what the function answers."""
    pictures = [Bitmap(soft(40, 30, seed)) for seed in range(3)]
    table = compare(pictures, between=True).between
    assert table is not None
    numbers = np.array(table, float)
    np.testing.assert_allclose(np.diag(numbers), 0, atol=1e-9)
    np.testing.assert_allclose(numbers, numbers.T, rtol=1e-9)
    assert numbers[0, 2] == pytest.approx(style_distance(pictures[0], pictures[2]), rel=1e-6)
    other = style_distance(pictures[0], pictures[2], distance="wasserstein2")
    assert 0 < other < 1
    assert other != pytest.approx(numbers[0, 2])


def test_a_blend_is_measured_as_a_blend(narrow: Weights) -> None:
    """With a share of 0 a painting does not count; the shares of the settings are used."""
    picture, one, two = (Bitmap(soft(40, 40, seed)) for seed in (1, 2, 3))
    first = only(compare([picture], style=one))
    both = only(compare([picture], style=[one, two], style_weights=[1, 0]))
    even = only(compare([picture], style=[one, two]))
    for name in ("style_gram", "style_wasserstein2", "color"):
        assert both[name] == pytest.approx(first[name])
        assert even[name] != pytest.approx(first[name])
    names = [{"path": "style:mosaic"}, {"path": "style:harvest"}]
    settings = {"styles": names, "options": {"style_weights": [3, 1]}}
    recorded = compare([Bitmap(picture.pixels, settings=settings)])
    given = compare([picture], style=["style:mosaic", "style:harvest"], style_weights=[3, 1])
    assert only(recorded)["style_gram"] == only(given)["style_gram"]


def test_a_painting_is_measured_in_the_size_that_it_was_used_in(narrow: Weights) -> None:
    """A picture that was painted with small strokes is compared with the painting at that size."""
    settings = {"styles": [{"path": "style:mosaic"}], "options": {"style_scale": "0.5"}}
    picture = Bitmap(soft(40, 40), settings=settings)
    small = resize_image(read_source("style:mosaic", 10**6), 20, 20)
    found = compare([picture], size=40)
    corner = Bitmap(np.tile(small.pixels, (1, 2, 2)))
    assert found.pictures[0].measures.style_layers is not None
    scaled = found.pictures[0].measures.style_layers["relu1_2"]["gram"]
    whole, tiled = (
        (compare([picture], style=p).pictures[0].measures.style_layers or {})["relu1_2"]["gram"]
        for p in ("style:mosaic", corner)
    )
    assert scaled is not None
    # A layer that sees 5 px hardly notices the seams.
    assert scaled == pytest.approx(tiled, rel=0.05)
    assert scaled != pytest.approx(whole, rel=0.05)


def test_layers_that_were_fitted_are_not_asked(narrow: Weights) -> None:
    """Layers at which a picture was fitted are left out by default, kept with a note when asked
    for, and no matter where another network was fitted."""

    def fitted(model: str) -> Bitmap:
        options = {
            "style_layers": "relu1_2=1,relu5_2=0",
            "content_layers": "relu3_3",
            "model": model,
        }
        return Bitmap(soft(40, 30), settings={"options": options})

    found = compare([fitted("vgg19"), Bitmap(soft(40, 30))])
    assert found.style_layers == ("relu2_2", "relu3_2", "relu4_3", "relu5_2")
    assert found.content_layers == ("relu4_3",)
    assert any("style: relu1_2 left out" in note for note in found.notes)
    asked = compare([fitted("vgg19")], style_layers="block1_conv2")
    assert asked.style_layers == ("relu1_2",)
    assert any("flatters" in note for note in asked.notes)
    assert len(compare([fitted("vgg16")]).style_layers) == 5


# --- odd pictures --------------------------------------------------------------------------------


def test_colours_that_cannot_be_seen_do_not_count(narrow: Weights) -> None:
    """What a picture, photo or painting holds where it is transparent changes no number."""
    alpha = np.ones((40, 40), np.float32)
    alpha[:, 20:] = 0
    pictures = [soft(40, 40, seed) for seed in (1, 2, 3)]
    hidden = [p.copy() for p in pictures]
    for pixels in hidden:
        pixels[:, :, 20:] = np.random.default_rng(0).random((3, 40, 20))
    numbers = [
        only(compare([Bitmap(p[0], alpha)], Bitmap(p[1], alpha), Bitmap(p[2], alpha)))
        for p in (pictures, hidden)
    ]
    for name, value in numbers[0].items():
        if isinstance(value, float):
            assert value == pytest.approx(numbers[1][name], rel=1e-5), name


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 3), (15, 15)])
def test_tiny_pictures_give_what_can_be_measured(narrow: Weights, shape: tuple[int, int]) -> None:
    """From a single pixel on there is a number or none, never NaN and never a fault."""
    tiny = Bitmap(soft(*shape, 1))
    found = compare([tiny, tiny], Bitmap(soft(40, 30)), tiny, between=True)
    for row in found.pictures:
        numbers = [v for v in asdict(row.measures).values() if isinstance(v, float)]
        assert all(math.isfinite(number) for number in numbers)
        assert row.measures.color == pytest.approx(0, abs=1e-5)


def test_sixteen_bits_and_eight_give_nearly_the_same(tmp_path: Path, narrow: Weights) -> None:
    """The depth of a file changes numbers by rounding alone."""
    numbers = []
    for bits in (8, 16):
        path = tmp_path / f"{bits}.png"
        write_image(Bitmap(soft(40, 30, 1)), path, bits=bits)
        numbers.append(only(compare([path], Bitmap(soft(40, 30, 2)), Bitmap(soft(30, 30, 3)))))
    for name in ("style_gram", "content", "color", "chroma", "edges"):
        assert numbers[0][name] == pytest.approx(numbers[1][name], abs=5e-3)


def test_vgg16_measures_at_the_same_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default layers exist in both networks."""
    from impasto import features
    from stand_ins import narrow_weights

    monkeypatch.setattr(features, "load_weights", lambda name: narrow_weights(name))
    pictures = [Bitmap(soft(40, 30, seed)) for seed in (1, 2)]
    both = [compare(pictures[:1], pictures[1], pictures[1], model=m) for m in ("vgg16", "vgg19")]
    assert both[0].style_layers == both[1].style_layers
    assert only(both[0])["content"] != only(both[1])["content"]


# --- bad input -----------------------------------------------------------------------------------


BAD: list[tuple[dict[str, Any], str]] = [
    ({"size": 0}, "--size 0: must lie in 1 to 32768"),
    ({"model": "vgg13"}, "--model vgg13: the networks are vgg16 and vgg19"),
    ({"style_layers": "relu9_9"}, "layer 'relu9_9': vgg19 has no such layer"),
    ({"style_layers": ""}, "--style-layers: name at least one layer"),
    ({"content_layers": "deep"}, "--content-layers: 'deep' is no layer name"),
    ({"style_weights": [1]}, "--style-weights: 1 shares for 0 paintings"),
    ({"style": ["style:mosaic"], "style_weights": [0]}, "at least one above 0"),
    ({"style": ["style:mosaic"], "style_weights": [math.inf]}, "at least one above 0"),
    ({"device": "mps"}, "--device mps: not available here"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_are_refused(narrow: Weights, options: dict[str, Any], message: str) -> None:
    """Each fault is one line that names the option."""
    with pytest.raises(OptionError) as caught:
        compare([Bitmap(soft(20, 20))], **options)
    assert message in str(caught.value)


def test_bad_pictures_are_refused(narrow: Weights, tmp_path: Path) -> None:
    """No picture, a file that is not there and a painting that cannot be seen are faults."""
    with pytest.raises(OptionError, match="give at least one"):
        compare([])
    with pytest.raises(ImageError, match=r"nothing\.png: no such file"):
        compare([tmp_path / "nothing.png"])
    clear = Bitmap(soft(20, 20), np.zeros((20, 20), np.float32))
    with pytest.raises(ImageError, match="painting 1: is fully transparent"):
        compare([Bitmap(soft(20, 20))], style=clear)
    with pytest.raises(OptionError, match="there is no 'cosine'"):
        style_distance("style:mosaic", "style:mosaic", distance="cosine")  # pyright: ignore


def test_lack_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, narrow: Weights) -> None:
    """Where memory runs out, the size is named; another fault of torch is none of memory."""
    from impasto import quality

    def failing(error: Exception) -> Callable[..., Any]:
        def fail(*_: Any, **__: Any) -> Any:
            raise error

        return fail

    monkeypatch.setattr(quality, "make_targets", failing(MemoryError()))
    with pytest.raises(RunError, match="out of memory at 20 px; give a smaller --size"):
        compare([Bitmap(soft(20, 20))])
    monkeypatch.setattr(quality, "make_targets", failing(RuntimeError("other")))
    with pytest.raises(RuntimeError, match="other"):
        style_distance(Bitmap(soft(20, 20)), Bitmap(soft(20, 20)))


def test_built_in_pictures_can_be_compared(narrow: Weights) -> None:
    """`style:` and `sample:` names are pictures here as everywhere."""
    row = compare(["style:mosaic"], "sample:cat", "style:mosaic", size=48).pictures[0]
    assert (row.picture, row.content, row.styles) == (
        *("style:mosaic", "sample:cat"),
        ("style:mosaic",),
    )
    assert row.width == read_source("style:mosaic", 10**6).width
    assert row.measures.color == pytest.approx(0, abs=1e-4)
