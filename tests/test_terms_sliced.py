"""Sliced Wasserstein and histogram losses against sorting in NumPy, assignments and autograd."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from impasto.losses import wasserstein2_loss
from impasto.moments import moments_of
from impasto.terms.sliced import SlicedTerm, directions_for
from layer_terms import as_layer, as_samples, check_slope_size, look, quarters, random_map

Rows = NDArray[np.float64]


def transport(a: Rows, b: Rows) -> float:
    """The mean over rows of the squared 2-Wasserstein distance, numbers repeated to be as many."""
    count = math.lcm(a.shape[1], b.shape[1])
    a, b = (np.sort(np.repeat(x, count // x.shape[1], axis=1), axis=1) for x in (a, b))
    return float(np.square(a - b).mean())


def flat(values: Rows) -> Rows:
    """`(C, H, W)` as `(C, positions)`."""
    return values.reshape(len(values), -1)


def lines(channels: int, count: int) -> tuple[Tensor, Rows]:
    """Directions, for the term and for NumPy."""
    directions = directions_for(channels, count, seed=3)
    return directions, directions.numpy()


@pytest.mark.parametrize("size", [(4, 6), (5, 5), (2, 3)])
def test_distance_is_that_of_sorted_projections(size: tuple[int, int]) -> None:
    """The loss is the squared distance between sorted projections, for any number of samples."""
    a, b = random_map(0, 5, *size), random_map(1, 5, 4, 6)
    directions, axes = lines(5, 7)
    value, _ = look(SlicedTerm(as_samples(b), directions=directions), as_layer(a))
    assert value == pytest.approx(transport(axes @ flat(a), axes @ flat(b)), rel=1e-12)


def test_distance_is_the_cheapest_assignment() -> None:
    """Along one direction no assignment of positions to samples costs less than the loss."""
    a, b = random_map(2, 4, 5, 6), random_map(3, 4, 5, 6)
    directions, axes = lines(4, 1)
    cost = np.square((axes @ flat(a)).T - axes @ flat(b))
    expected = cost[linear_sum_assignment(cost)].mean()
    value, _ = look(SlicedTerm(as_samples(b), directions=directions), as_layer(a))
    assert value == pytest.approx(expected, rel=1e-12)


def test_channels_as_directions_match_histograms() -> None:
    """Without directions the gradient leads each value to the painting's of the same rank."""
    a, b = random_map(4, 3, 4, 5) + 0.01, random_map(5, 3, 4, 5)
    value, gradient = look(SlicedTerm(as_samples(b)), as_layer(a))
    remapped = np.empty_like(flat(a))
    for channel, (mine, theirs) in enumerate(zip(flat(a), flat(b), strict=True)):
        remapped[channel, np.argsort(mine, kind="stable")] = np.sort(theirs)
    assert value == pytest.approx(np.square(flat(a) - remapped).mean(), rel=1e-12)
    stepped = as_layer(a) - gradient * a.size / 2
    np.testing.assert_allclose(stepped[0].numpy(), remapped.reshape(a.shape), atol=1e-12)


def by_autograd(axes: Rows | None, samples: Rows) -> Callable[[Tensor], Tensor]:
    """The loss between as many positions as samples, in plain differentiable torch."""
    directions = torch.eye(len(samples)).double() if axes is None else torch.from_numpy(axes)
    wanted = (directions @ torch.from_numpy(flat(samples))).sort(1).values

    def loss(features: Tensor) -> Tensor:
        found = (directions @ features[0].flatten(1)).sort(dim=1, stable=True).values
        return (found - wanted).square().mean()

    return loss


@pytest.mark.parametrize("count", [None, 1, 4, 10])
def test_gradient_is_that_of_autograd(count: int | None) -> None:
    """Slopes are those of the sorted distance, also with more directions than channels."""
    a, b = random_map(6, 4, 5, 6), random_map(7, 4, 5, 6)
    directions, axes = lines(4, count) if count else (None, None)
    term = SlicedTerm(as_samples(b), directions=directions)
    value, gradient = look(term, as_layer(a), scale=3.0)
    features = as_layer(a).requires_grad_()
    expected = by_autograd(axes, b)(features)
    (slopes,) = torch.autograd.grad(expected, features)
    assert value == pytest.approx(float(expected.detach()), rel=1e-12)
    torch.testing.assert_close(gradient, 3 * slopes, rtol=1e-10, atol=1e-12)
    check_slope_size(term, slopes, 1.0 + 1e-9 if count != 10 else 1.5)


def test_gradient_with_unequal_weights_is_that_of_differences() -> None:
    """Slopes of a masked layer against another number of weighted samples are right too."""
    a, b = random_map(8, 3, 4, 5) + 0.1, random_map(9, 3, 3, 3)
    rng = np.random.default_rng(10)
    term = SlicedTerm(
        as_samples(b),
        weight=torch.from_numpy(rng.uniform(size=(4, 5))),
        sample_weight=torch.from_numpy(rng.uniform(size=9)),
        directions=lines(3, 5)[0],
    )
    _, gradient = look(term, as_layer(a))
    for index in rng.integers(a.size, size=8):
        step = np.zeros(a.size)
        step[index] = 1e-6
        up, down = (look(term, as_layer(a + s * step.reshape(a.shape)))[0] for s in (1, -1))
        slope = (up - down) / 2e-6
        assert float(gradient[0].flatten()[index]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("count", [None, 3])
def test_tiles_in_any_order_give_the_whole(count: int | None) -> None:
    """Four tiles, seen and pulled in another order, give the loss and gradient of one."""
    a, b = random_map(11, 4, 9, 7), random_map(12, 4, 8, 8)
    directions = lines(4, count)[0] if count else None
    term = SlicedTerm(as_samples(b), directions=directions)
    value, gradient = look(term, as_layer(a))
    tiled, pieces = look(term, as_layer(a), quarters(9, 7))
    assert tiled == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(pieces, gradient, rtol=1e-12, atol=1e-15)


def test_weights_count_as_repetitions() -> None:
    """Positions and samples of weight 2 count as if they were there twice, those of 0 never."""
    a, b = random_map(13, 3, 1, 4), random_map(14, 3, 1, 3)
    directions, axes = lines(3, 4)
    term = SlicedTerm(
        as_samples(b),
        weight=torch.tensor([[0.5, 1.0, 0.0, 0.5]]),
        sample_weight=torch.tensor([2.0, 0.0, 1.0]),
        directions=directions,
    )
    value, gradient = look(term, as_layer(a))
    expected = transport(axes @ a[:, 0, [0, 1, 1, 3]], axes @ b[:, 0, [0, 0, 2]])
    assert value == pytest.approx(expected, rel=1e-12)
    assert float(gradient[..., 2].abs().max()) == 0
    repeated = SlicedTerm(as_samples(b[:, :, [0, 0, 2]]), directions=directions)
    _, slopes = look(repeated, as_layer(a[:, :, [0, 1, 1, 3]]))
    torch.testing.assert_close(gradient[..., 1], slopes[..., 1] + slopes[..., 2])


def test_other_sizes_can_follow() -> None:
    """The same term serves a map of another size, and forgets what it saw before."""
    first, second, b = random_map(15, 3, 4, 4), random_map(16, 3, 5, 7), random_map(17, 3, 4, 4)
    term = SlicedTerm(as_samples(b))
    look(term, as_layer(first))
    again = look(term, as_layer(second))
    fresh = look(SlicedTerm(as_samples(b)), as_layer(second))
    assert again[0] == fresh[0]
    assert torch.equal(again[1], fresh[1])


def test_strength_leads_from_the_origin_to_the_painting() -> None:
    """Strength 0 wants the origin's features, 1 the painting's, and the way there is straight."""
    a, b = random_map(18, 3, 4, 5), random_map(19, 3, 4, 6)
    origin, samples = as_samples(a), as_samples(b)
    directions, axes = lines(3, 4)

    def distance(strength: float) -> float:
        term = SlicedTerm(samples, directions=directions, origin=origin, strength=strength)
        return look(term, as_layer(a))[0]

    full = transport(axes @ flat(a), axes @ flat(b))
    assert distance(0.0) == pytest.approx(0, abs=1e-12)
    assert distance(1.0) == pytest.approx(full, rel=1e-12)
    # Between them the distance grows evenly, as along a straight way.
    assert distance(0.25) == pytest.approx(full / 16, rel=1e-10)


def test_samples_of_the_origin_have_weights() -> None:
    """At strength 0 the target is the origin's weighted distribution."""
    a, b = random_map(26, 3, 1, 3), random_map(27, 3, 4, 6)
    term = SlicedTerm(
        as_samples(b),
        origin=as_samples(a),
        origin_weight=torch.tensor([2.0, 0.0, 1.0]),
        strength=0.0,
    )
    value, _ = look(term, as_layer(a[:, :, [0, 0, 2]]))
    assert value == pytest.approx(0, abs=1e-12)


def test_blank_is_the_distance_of_an_empty_layer() -> None:
    """The unit is the loss of an all-zero layer, and the Wasserstein loss's for all directions."""
    b = random_map(20, 4, 5, 6)
    for directions in (None, directions_for(4, 4, seed=5), directions_for(4, 2, seed=5)):
        term = SlicedTerm(as_samples(b), directions=directions)
        value, _ = look(term, as_layer(np.zeros((4, 3, 3))))
        assert term.blank() == pytest.approx(value, rel=1e-12)
    moments = moments_of(as_layer(b))
    zero = moments_of(as_layer(np.zeros((4, 3, 3))))
    term = SlicedTerm(as_samples(b), directions=directions_for(4, 4, seed=5))
    assert term.blank() == pytest.approx(float(wasserstein2_loss(moments)(zero)), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [None, 4])
def test_fewer_digits_come_close_to_double_precision(dtype: torch.dtype, count: int | None) -> None:
    """float32 and bfloat16 features give the loss and gradient of the same numbers in float64."""
    a, b = random_map(21, 4, 6, 7), random_map(22, 4, 5, 5)
    directions = lines(4, count)[0] if count else None
    given, samples = as_layer(a, dtype), as_samples(b, dtype)
    value, gradient = look(SlicedTerm(samples, directions=directions), given)
    exact = SlicedTerm(samples.double(), directions=directions)
    expected, slopes = look(exact, given.double())
    assert value == pytest.approx(expected, rel=1e-5)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-2
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.double(), slopes, rtol=tolerance, atol=1e-7)


def test_negative_values_and_ties_are_in_order() -> None:
    """Negative numbers, both zeros and equal numbers sort as NumPy sorts them, in float32 too."""
    row = np.array([0.5, -1.5, -0.0, 0.0, -1.5, 3.0, -1e-20, 1e-20, -2.0, 0.5])
    a, b = row[None, None], np.linspace(-1, 1, 10)[None, None]
    _, gradient = look(SlicedTerm(as_samples(b, torch.float32)), as_layer(a, torch.float32))
    goal = np.empty(10)
    goal[np.lexsort((np.signbit(row) == 0, row))] = np.linspace(-1, 1, 10)
    np.testing.assert_allclose(gradient[0, 0, 0].numpy(), (row - goal) / 5, atol=1e-7)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_flat_and_tiny_layers_stay_finite(size: tuple[int, int], weighted: bool) -> None:
    """A single position, a flat layer and an empty one have a finite loss and gradient."""
    weight = torch.zeros(size, dtype=torch.float64) if weighted else None
    if weight is not None:
        weight[0, 0] = 1e-3
    for samples in (np.zeros((3, 1)), np.ones((3, 4)), flat(random_map(23, 3, 2, 2))):
        for layer in (np.zeros((3, *size)), np.ones((3, *size))):
            term = SlicedTerm(as_samples(samples), weight=weight, directions=lines(3, 4)[0])
            value, gradient = look(term, as_layer(layer))
            assert math.isfinite(value)
            assert value >= 0
            assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf])
def test_features_that_are_not_finite_are_told(dtype: torch.dtype, fault: float) -> None:
    """One number that is not finite makes the loss and the whole gradient NaN."""
    a, b = random_map(24, 3, 4, 4), random_map(25, 3, 4, 4)
    a[1, 2, 2] = fault
    term = SlicedTerm(as_samples(b, dtype), directions=lines(3, 2)[0])
    value, gradient = look(term, as_layer(a, dtype))
    assert math.isnan(value)
    assert bool(torch.isnan(gradient).all())


@pytest.mark.parametrize(("channels", "count"), [(6, 6), (6, 3), (6, 15), (1, 2)])
def test_directions_are_orthonormal_bases(channels: int, count: int) -> None:
    """Directions have length 1, are orthogonal within a basis, and follow from the seed alone."""
    found = directions_for(channels, count, seed=7)
    assert found.shape == (count, channels)
    for start in range(0, count, channels):
        basis = found[start : start + channels].numpy()
        np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    assert torch.equal(found, directions_for(channels, count, seed=7))
    assert channels == 1 or not torch.equal(found, directions_for(channels, count, seed=8))
