"""Moments of features against NumPy in float64."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.moments import Moments, mix_moments, moments_of


def random_features(seed: int, channels: int = 5, height: int = 6, width: int = 7) -> Tensor:
    """Correlated positive and negative features `(1, C, H, W)` in float64, mean not zero."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels))
    values = mixing @ rng.normal(size=(channels, height * width)) + rng.normal(size=(channels, 1))
    return torch.from_numpy(values.reshape(1, channels, height, width))


def assert_same(one: Moments, other: Moments) -> None:
    """The three sums agree to rounding."""
    torch.testing.assert_close(one.count, other.count)
    torch.testing.assert_close(one.first, other.first)
    torch.testing.assert_close(one.second, other.second)


def test_plain_moments_match_numpy() -> None:
    """Mean, Gram matrix, covariance and variance of unweighted features are the textbook ones."""
    features = random_features(0)
    rows = features[0].flatten(1).numpy()
    moments = moments_of(features)
    assert float(moments.count) == rows.shape[1]
    np.testing.assert_allclose(moments.mean, rows.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(moments.gram, rows @ rows.T / rows.shape[1], rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(rows, ddof=0), rtol=1e-10)
    np.testing.assert_allclose(moments.variance, rows.var(axis=1), rtol=1e-10)


def test_weighted_moments_match_numpy() -> None:
    """A mask weighs each position, as in NumPy's weighted average and covariance."""
    features = random_features(1)
    rows = features[0].flatten(1).numpy()
    weight = np.random.default_rng(2).uniform(0, 1, features.shape[-2:])
    moments = moments_of(features, torch.from_numpy(weight))
    flat = weight.ravel()
    np.testing.assert_allclose(moments.count, flat.sum(), rtol=1e-12)
    np.testing.assert_allclose(moments.mean, np.average(rows, axis=1, weights=flat), rtol=1e-12)
    np.testing.assert_allclose(
        moments.covariance, np.cov(rows, ddof=0, aweights=flat), rtol=1e-10, atol=1e-12
    )


def test_a_mask_of_zeros_and_ones_selects_positions() -> None:
    """Masked-out positions leave no trace: a hard mask equals moments of the chosen part alone."""
    features = random_features(3, height=6, width=8)
    mask = torch.zeros(6, 8, dtype=torch.float64)
    mask[2:5, 1:4] = 1
    assert_same(moments_of(features, mask), moments_of(features[..., 2:5, 1:4]))


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 6),
    height=st.integers(2, 9),
    width=st.integers(1, 9),
    data=st.data(),
)
def test_parts_add_up_to_the_whole(
    channels: int, height: int, width: int, data: st.DataObject
) -> None:
    """Moments of tiles, weighted or not, sum to the moments of the picture they were cut from."""
    cut = data.draw(st.integers(1, height - 1))
    features = random_features(height * 100 + width, channels, height, width)
    top, bottom = features[:, :, :cut], features[:, :, cut:]
    assert_same(moments_of(top) + moments_of(bottom), moments_of(features))
    weight = torch.rand(height, width, generator=torch.Generator().manual_seed(cut)) + 0.1
    parts = moments_of(top, weight[:cut]) + moments_of(bottom, weight[cut:])
    assert_same(parts, moments_of(features, weight))


def test_memory_format_does_not_matter() -> None:
    """Features in channels-last order, as the network gives them, have the same moments."""
    features = random_features(4)
    last = features.contiguous(memory_format=torch.channels_last)
    assert_same(moments_of(features), moments_of(last))


def test_constant_features_have_no_negative_variance() -> None:
    """Rounding in `E[f²] − E[f]²` never yields a negative variance, whose root would be NaN."""
    features = torch.full((1, 3, 31, 17), 0.1234567, dtype=torch.float32)
    variance = moments_of(features).variance
    assert bool((variance >= 0).all())
    np.testing.assert_allclose(variance, 0, atol=1e-7)


def test_mixing_is_linear_in_mean_and_second_raw_moment() -> None:
    """A blend weighs paintings by their shares alone, whatever their sizes."""
    large, small = random_features(5, height=12, width=11), random_features(6, height=3, width=4)
    mixed = mix_moments([moments_of(large), moments_of(small)], [3, 1])
    a, b = large[0].flatten(1).numpy(), small[0].flatten(1).numpy()
    np.testing.assert_allclose(mixed.mean, 0.75 * a.mean(1) + 0.25 * b.mean(1), rtol=1e-12)
    gram = 0.75 * a @ a.T / a.shape[1] + 0.25 * b @ b.T / b.shape[1]
    np.testing.assert_allclose(mixed.gram, gram, rtol=1e-12)
    assert float(mixed.count) == 1


def test_a_blend_is_the_mixture_of_both_paintings() -> None:
    """The covariance of a blend is that of both paintings' features pooled, between-part too."""
    one, other = random_features(7), random_features(8) + 3
    mixed = mix_moments([moments_of(one), moments_of(other)], [1, 1])
    pooled = np.concatenate([one[0].flatten(1).numpy(), other[0].flatten(1).numpy()], axis=1)
    np.testing.assert_allclose(mixed.covariance, np.cov(pooled, ddof=0), rtol=1e-10)


def test_a_painting_mixed_with_itself_is_itself() -> None:
    """Shares add up to one: blending a painting with itself changes nothing."""
    moments = moments_of(random_features(9))
    mixed = mix_moments([moments, moments, moments], [0.2, 5, 1])
    torch.testing.assert_close(mixed.mean, moments.mean)
    torch.testing.assert_close(mixed.gram, moments.gram)


def test_a_share_of_zero_leaves_a_painting_out() -> None:
    """A painting with share 0 does not touch the blend."""
    kept, dropped = moments_of(random_features(10)), moments_of(random_features(11))
    mixed = mix_moments([kept, dropped], [2, 0])
    torch.testing.assert_close(mixed.gram, kept.gram)


def test_moments_are_differentiable_until_detached() -> None:
    """Gradients pass through moments of features, and `detach` and `exact` keep the numbers."""
    features = random_features(12, 2, 2, 3).requires_grad_()
    weight = torch.rand(2, 3, dtype=torch.float64)

    def second(values: Tensor) -> Tensor:
        return moments_of(values, weight).covariance

    assert torch.autograd.gradcheck(second, features)
    moments = moments_of(features)
    assert moments.gram.requires_grad
    assert not moments.detach().gram.requires_grad
    single = moments_of(features.detach().float())
    exact = single.exact()
    assert {exact.count.dtype, exact.first.dtype, exact.second.dtype} == {torch.float64}
    np.testing.assert_array_equal(exact.second, single.second)
