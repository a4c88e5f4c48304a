"""Nearest-neighbour features against brute force in NumPy and autograd."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.terms import nearest
from impasto.terms.nearest import NearestTerm
from layer_terms import as_layer, as_samples, check_slope_size, look, quarters, random_map

Rows = NDArray[np.float64]


@pytest.fixture
def _no_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain formula, without the floor under distances from the centre."""
    monkeypatch.setattr(nearest, "_FLOOR", 0.0)


def distances(features: Rows, samples: Rows, center: Rows) -> Rows:
    """The cosine distance of every position from every sample, by loops over both."""
    found = np.empty((features.shape[1], samples.shape[1]))
    for i, f in enumerate((features - center[:, None]).T):
        for j, s in enumerate((samples - center[:, None]).T):
            found[i, j] = 1 - f @ s / math.sqrt((f @ f) * (s @ s))
    return found


def flat(values: Rows) -> Rows:
    """`(C, H, W)` as `(C, positions)`."""
    return values.reshape(len(values), -1)


@pytest.mark.usefixtures("_no_floor")
@pytest.mark.parametrize("centered", [False, True])
def test_loss_is_the_mean_distance_of_nearest_neighbours(centered: bool) -> None:
    """Each position counts with its distance from the most similar of all samples."""
    a, b = random_map(0, 5, 4, 6), random_map(1, 5, 5, 5)
    center = np.random.default_rng(2).uniform(size=5) if centered else flat(b).mean(1)
    given = torch.from_numpy(center) if centered else None
    value, _ = look(NearestTerm(as_samples(b), center=given), as_layer(a))
    expected = distances(flat(a), flat(b), center).min(1).mean()
    assert value == pytest.approx(expected, rel=1e-9)


def by_autograd(features: Tensor, samples: Tensor, weight: Tensor) -> Tensor:
    """The loss in plain differentiable torch, with the floor that the module states."""
    center = samples.mean(0)
    floor = nearest._FLOOR * (samples - center).square().sum(1).mean()
    rows, axes = features[0].flatten(1).T - center, samples - center
    rows = rows / (rows.square().sum(1, keepdim=True) + floor).sqrt()
    axes = axes / axes.norm(dim=1, keepdim=True)
    return ((1 - rows @ axes.T).min(1).values * weight.flatten()).sum() / weight.sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_that_of_autograd(weighted: bool) -> None:
    """Slopes are those of the distances to the neighbours at hand."""
    a, b = random_map(3, 4, 5, 6), random_map(4, 4, 7, 4)
    weight = torch.rand(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    weight[0] = 0
    term = NearestTerm(as_samples(b), weight=weight if weighted else None)
    value, gradient = look(term, as_layer(a), scale=3.0)
    features = as_layer(a).requires_grad_()
    expected = by_autograd(features, as_samples(b), weight if weighted else torch.ones_like(weight))
    (slopes,) = torch.autograd.grad(expected, features)
    assert value == pytest.approx(float(expected.detach()), rel=1e-12)
    torch.testing.assert_close(gradient, 3 * slopes, rtol=1e-9, atol=1e-12)
    check_slope_size(term, slopes, 1.01)


@pytest.mark.parametrize("at_once", [1, 100, 1 << 22])
def test_tiles_and_chunks_give_the_whole(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles in any order, and any number of rows at once, give the same loss and gradient."""
    a, b = random_map(6, 4, 9, 7), random_map(7, 4, 4, 5)
    weight = torch.rand(9, 7, generator=torch.Generator().manual_seed(8))
    weight[:4] = 0
    value, gradient = look(NearestTerm(as_samples(b), weight=weight), as_layer(a))
    monkeypatch.setattr(nearest, "_AT_ONCE", at_once)
    tiled = NearestTerm(as_samples(b), weight=weight)
    pieces_value, pieces = look(tiled, as_layer(a), quarters(9, 7))
    assert pieces_value == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(pieces, gradient, rtol=1e-12, atol=1e-15)


def test_weights_count_as_repetitions() -> None:
    """A position of twice the weight counts as two, one without weight as none."""
    a, b = random_map(9, 3, 1, 4), random_map(10, 3, 3, 3)
    term = NearestTerm(as_samples(b), weight=torch.tensor([[0.5, 1.0, 0.0, 0.5]]))
    value, gradient = look(term, as_layer(a))
    repeated, slopes = look(NearestTerm(as_samples(b)), as_layer(a[:, :, [0, 1, 1, 3]]))
    assert value == pytest.approx(repeated, rel=1e-12)
    torch.testing.assert_close(gradient[..., 1], 2 * slopes[..., 1])
    assert float(gradient[..., 2].abs().max()) == 0


@pytest.mark.usefixtures("_no_floor")
def test_only_directions_from_the_center_count() -> None:
    """Features twice as far from the centre are as near, and samples themselves cost nothing."""
    b = random_map(11, 4, 5, 5)
    center = torch.from_numpy(flat(b).mean(1))
    further = 2 * b - center.numpy()[:, None, None]
    for layer in (b, further):
        value, _ = look(NearestTerm(as_samples(b)), as_layer(layer))
        assert value == pytest.approx(0, abs=1e-9)


@pytest.mark.usefixtures("_no_floor")
def test_of_many_samples_a_fair_choice_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit a choice of samples, always the same and from all of them, is searched."""
    monkeypatch.setattr(nearest, "MOST_SAMPLES", 50)
    rng = np.random.default_rng(12)
    samples = torch.from_numpy(rng.normal(size=(1000, 3)))
    center = torch.zeros(3, dtype=torch.float64)
    layer = samples.T.reshape(1, 3, 25, 40)
    term = NearestTerm(samples, center=center)
    value, gradient = look(term, layer)
    again = look(NearestTerm(samples, center=center), layer)
    assert (value, True) == (again[0], torch.equal(gradient, again[1]))
    # A sample that is searched lies on itself, and nothing pulls at it.
    still = gradient[0].flatten(1).abs().amax(0) < 1e-9
    assert int(still.sum()) == 50
    assert int(still[:500].sum()) in range(15, 36)


def test_blank_is_the_distance_of_what_points_nowhere() -> None:
    """The unit is the distance of features in the centre, which have no direction."""
    b = random_map(13, 4, 5, 5)
    term = NearestTerm(as_samples(b))
    value, _ = look(term, torch.from_numpy(flat(b).mean(1))[None, :, None, None])
    assert term.blank() == pytest.approx(value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fewer_digits_come_close_to_double_precision(dtype: torch.dtype) -> None:
    """float32 and bfloat16 features give the loss and gradient of the same numbers in float64."""
    a, b = random_map(14, 4, 6, 7), random_map(15, 4, 5, 5)
    given, samples = as_layer(a, dtype), as_samples(b, dtype)
    value, gradient = look(NearestTerm(samples), given)
    expected, slopes = look(NearestTerm(samples.double()), given.double())
    assert value == pytest.approx(expected, rel=1e-4)
    assert gradient.dtype == dtype
    tolerance = 1e-3 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(gradient.double(), slopes, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 3)])
def test_flat_and_tiny_layers_stay_finite(size: tuple[int, int]) -> None:
    """A single position, a flat layer and an empty one have a finite loss and gradient."""
    for samples in (np.zeros((3, 1)), np.ones((3, 4)), flat(random_map(16, 3, 2, 2))):
        for layer in (np.zeros((3, *size)), np.ones((3, *size))):
            for dtype in (torch.float32, torch.float64):
                term = NearestTerm(as_samples(samples, dtype))
                value, gradient = look(term, as_layer(layer, dtype))
                assert 0 <= value <= 2
                assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("fault", [math.nan, math.inf])
def test_features_that_are_not_finite_are_told(fault: float) -> None:
    """One number that is not finite makes the loss and the whole gradient NaN."""
    a, b = random_map(17, 3, 4, 4), random_map(18, 3, 4, 4)
    a[1, 2, 2] = fault
    value, gradient = look(NearestTerm(as_samples(b)), as_layer(a), quarters(4, 4))
    assert math.isnan(value)
    assert bool(torch.isnan(gradient).all())
