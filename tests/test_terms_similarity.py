"""Content by self-similarity against plain NumPy and autograd."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.terms import similarity
from impasto.terms.similarity import MOST_POSITIONS, SelfSimilarityTerm, similarity_grid
from layer_terms import as_layer, check_slope_size, look, quarters, random_map, whole

Rows = NDArray[np.float64]


def at(features: Tensor, rows: list[int], columns: list[int]) -> Tensor:
    """The features of a layer at a grid, `(n, C)`."""
    picked = features[0][:, rows][:, :, columns]
    return picked.flatten(1).T.contiguous()


def term_of(photo: Rows, rows: list[int], columns: list[int]) -> SelfSimilarityTerm:
    """The term for a photo's map `(C, H, W)`."""
    return SelfSimilarityTerm(at(as_layer(photo), rows, columns), rows, columns)


def pattern(features: Rows) -> Rows:
    """Cosine distances of rows from each other, each column divided by its sum, by loops."""
    count = len(features)
    found = np.zeros((count, count))
    for i, a in enumerate(features):
        for j, b in enumerate(features):
            found[i, j] = 1 - a @ b / math.sqrt((a @ a) * (b @ b)) if i != j else 0
    return found / found.sum(0)


@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_loss_is_the_difference_of_patterns(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is the papers' sum over all pairs of a grid, times the positions, at any scale."""
    monkeypatch.setattr(similarity, "_FLOOR", 0.0)
    monkeypatch.setattr(similarity, "_FLAT", 0.0)
    a, photo = random_map(0, 5, 6, 7) + 0.01, random_map(1, 5, 6, 7) + 0.01
    rows, columns = [0, 2, 5], [1, 3, 4, 6]
    mine, theirs = (pattern(at(as_layer(x), rows, columns).numpy()) for x in (factor * a, photo))
    expected = 12 * np.abs(mine - theirs).mean()
    value, _ = look(term_of(photo, rows, columns), as_layer(factor * a))
    assert value == pytest.approx(expected, rel=1e-9)


def by_autograd(features: Tensor, photo: Tensor, rows: list[int], columns: list[int]) -> Tensor:
    """The loss in plain differentiable torch, with the floors that the module states."""
    wanted, given = at(photo, rows, columns), at(features, rows, columns)
    floor = similarity._FLOOR * wanted.square().sum(1).mean()
    patterns = []
    for x in (given, wanted):
        axes = x / (x.square().sum(1, keepdim=True) + floor).sqrt()
        others = 1 - torch.eye(len(x), dtype=x.dtype)
        distances = (1 - axes @ axes.T) * others
        patterns.append(distances / (distances.sum(0) + similarity._FLAT * len(x)))
    return (patterns[0] - patterns[1]).abs().sum() / len(given)


def test_gradient_is_that_of_autograd() -> None:
    """Slopes reach the grid's positions, as autograd has them, and no others."""
    a, photo = random_map(2, 4, 6, 7), random_map(3, 4, 6, 7)
    rows, columns = [1, 2, 4], [0, 3, 5, 6]
    term = term_of(photo, rows, columns)
    value, gradient = look(term, as_layer(a), scale=3.0)
    features = as_layer(a).requires_grad_()
    expected = by_autograd(features, as_layer(photo), rows, columns)
    (slopes,) = torch.autograd.grad(expected, features)
    assert value == pytest.approx(float(expected.detach()), rel=1e-12)
    torch.testing.assert_close(gradient, 3 * slopes, rtol=1e-9, atol=1e-12)
    check_slope_size(term, slopes, 1 + 1e-9)


def test_tiles_in_any_order_give_the_whole() -> None:
    """Tiles, some of them without any position of the grid, give the loss and gradient of one."""
    a, photo = random_map(4, 4, 9, 7), random_map(5, 4, 9, 7)
    term = term_of(photo, [0, 1, 2], [0, 2, 3])
    value, gradient = look(term, as_layer(a))
    rows = [slice(0, 1), slice(1, 4), slice(4, 9)]
    parts = [(row, column) for row in rows for column in (slice(3, 7), slice(0, 3))]
    for tiles in (quarters(9, 7), parts, parts[::-1]):
        tiled, pieces = look(term, as_layer(a), tiles)
        assert tiled == value
        assert torch.equal(pieces, gradient)


def test_the_photo_itself_costs_nothing() -> None:
    """At the photo, and where all features are turned or scaled alike, there is no loss."""
    photo = random_map(6, 4, 5, 5)
    grid = similarity_grid(5, 5)
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(4, 4)))[0]
    for layer in (photo, 3 * photo, np.tensordot(turn, photo, 1)):
        value, _ = look(term_of(photo, *grid), as_layer(layer))
        assert value == pytest.approx(0, abs=1e-5)


def test_blank_is_the_loss_of_an_empty_layer() -> None:
    """The unit is the loss of all-zero features: all distances alike."""
    photo = random_map(8, 4, 5, 5) + 0.01
    grid = similarity_grid(5, 5)
    term = term_of(photo, *grid)
    value, _ = look(term, as_layer(np.zeros((4, 5, 5))))
    assert term.blank() == value
    even = (1 - np.eye(25)) / 24
    expected = np.abs(even - pattern(photo.reshape(4, -1).T)).sum() / 25
    assert value == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (2, 3), (32, 32), (33, 32), (64, 48), (500, 300), (1, 5000)]
)
def test_grid_is_even_and_bounded(height: int, width: int) -> None:
    """A grid lies within the map, is evenly spread, and is all of it where that is allowed."""
    rows, columns = similarity_grid(height, width)
    assert 1 <= len(rows) * len(columns) <= MOST_POSITIONS
    if height * width <= MOST_POSITIONS:
        assert (rows, columns) == (list(range(height)), list(range(width)))
    for grid, length in ((rows, height), (columns, width)):
        edges = [-grid[0] - 1, *grid, 2 * length - grid[-1] - 1]
        gaps = np.diff(edges)
        assert 0 <= grid[0] <= grid[-1] < length
        assert gaps.max() - gaps.min() <= 2
    if min(height, width) > 32:
        assert len(rows) * len(columns) > 0.9 * MOST_POSITIONS
        assert height / len(rows) == pytest.approx(width / len(columns), rel=0.06)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fewer_digits_come_close_to_double_precision(dtype: torch.dtype) -> None:
    """float32 and bfloat16 features give the loss and gradient of the same numbers in float64."""
    a, photo = (as_layer(random_map(seed, 4, 6, 7), dtype) for seed in (9, 10))
    rows, columns = [1, 2, 4], [0, 3, 5, 6]
    value, gradient = look(SelfSimilarityTerm(at(photo, rows, columns), rows, columns), a)
    exact = SelfSimilarityTerm(at(photo.double(), rows, columns), rows, columns)
    expected, slopes = look(exact, a.double())
    assert value == pytest.approx(expected, rel=1e-4)
    assert gradient.dtype == dtype
    tolerance = 1e-3 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(gradient.double(), slopes, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_and_tiny_layers_stay_finite(size: tuple[int, int], dtype: torch.dtype) -> None:
    """A single position, a flat layer and an empty one have a finite loss and gradient."""
    grid = similarity_grid(*size)
    maps = (np.zeros((3, *size)), np.full((3, *size), 0.7), random_map(11, 3, *size))
    for photo in maps:
        for layer in maps:
            samples = at(as_layer(photo, dtype), *grid)
            value, gradient = look(SelfSimilarityTerm(samples, *grid), as_layer(layer, dtype))
            assert 0 <= value <= 2
            assert bool(torch.isfinite(gradient).all())


def test_a_flat_layer_has_no_pattern_in_float32() -> None:
    """Rounding errors between equal features do not pass for structure."""
    flat = np.tile(np.random.default_rng(12).uniform(size=(512, 1, 1)), (1, 8, 8))
    grid = similarity_grid(8, 8)
    photo = at(as_layer(flat, torch.float32), *grid)
    value, _ = look(SelfSimilarityTerm(photo, *grid), as_layer(2 * flat, torch.float32))
    assert value < 0.02


def test_features_that_are_not_finite_are_told() -> None:
    """One number at the grid that is not finite makes the loss and the whole gradient NaN."""
    a, photo = random_map(13, 3, 4, 4), random_map(14, 3, 4, 4)
    for fault in (math.nan, math.inf):
        a[1, 2, 2] = fault
        value, gradient = look(term_of(photo, [0, 2], [2, 3]), as_layer(a), whole(4, 4))
        assert math.isnan(value)
        assert bool(torch.isnan(gradient).all())
