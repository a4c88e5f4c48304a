"""Loss terms against NumPy, SciPy, the papers' own formulas and finite differences."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.losses import (
    STYLE_LOSSES,
    blank_distance,
    content_loss,
    gram_loss,
    gram_mean_std_loss,
    mean_std_loss,
    squared_variation,
    total_variation,
    wasserstein2_loss,
)
from impasto.moments import Moments, moments_of


def random_rows(seed: int, channels: int = 5, positions: int = 24) -> NDArray[np.float64]:
    """Correlated features `(C, positions)` with a mean, as a layer has them."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels))
    return mixing @ rng.normal(size=(channels, positions)) + rng.uniform(0, 2, (channels, 1))


def moments(rows: NDArray[np.float64]) -> Moments:
    """The moments of features given as rows."""
    return moments_of(torch.from_numpy(rows)[None, :, None])


def distance_of_gaussians(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The squared 2-Wasserstein distance from covariances by SciPy's matrix root."""
    cov_a, cov_b = np.cov(a, ddof=0), np.cov(b, ddof=0)
    root = scipy.linalg.sqrtm(cov_b)
    cross = scipy.linalg.sqrtm(root @ cov_a @ root)
    means = np.square(a.mean(1) - b.mean(1)).sum()
    return float(means + np.trace(cov_a + cov_b - 2 * np.real(cross)))


def test_content_loss_is_the_mean_square() -> None:
    """Content is `mean((F − P)²)`, two times Gatys' eq. 1 divided by the number of entries."""
    a, b = random_rows(0), random_rows(1)
    value = content_loss(torch.from_numpy(a)[None, :, None], torch.from_numpy(b)[None, :, None])
    assert float(value) == pytest.approx(np.square(a - b).mean())
    assert float(value) == pytest.approx(2 * (0.5 * np.square(a - b).sum()) / a.size)


def test_gram_loss_is_its_definition() -> None:
    """Gram is the mean squared difference of Gram matrices per position."""
    a, b = random_rows(2, positions=24), random_rows(3, positions=35)
    expected = np.square(a @ a.T / 24 - b @ b.T / 35).mean()
    assert float(gram_loss(moments(b))(moments(a))) == pytest.approx(expected)


def test_gram_loss_is_four_times_the_papers() -> None:
    """For maps of equal size, `1/(4 N² M²) Σ (G − A)²` (Gatys 2016, eq. 4) is a quarter of it."""
    a, b = random_rows(4), random_rows(5)
    channels, positions = a.shape
    gram_a, gram_b = np.einsum("ik,jk->ij", a, a), np.einsum("ik,jk->ij", b, b)
    paper = np.square(gram_a - gram_b).sum() / (4 * channels**2 * positions**2)
    assert float(gram_loss(moments(b))(moments(a))) == pytest.approx(4 * paper)


def test_mean_std_loss_matches_numpy() -> None:
    """Mean/std compares channel means and standard deviations (Huang & Belongie 2017, eq. 13)."""
    a, b = random_rows(6), random_rows(7)
    expected = np.square(a.mean(1) - b.mean(1)).mean() + np.square(a.std(1) - b.std(1)).mean()
    assert float(mean_std_loss(moments(b))(moments(a))) == pytest.approx(expected, rel=1e-5)


def test_gram_mean_std_loss_is_the_sum_in_common_units() -> None:
    """The combined term scales as a whole with the fourth power of the activations."""
    a, b = random_rows(8), random_rows(9)
    gram = np.square(a @ a.T / a.shape[1] - b @ b.T / b.shape[1]).mean()
    mean_std = np.square(a.mean(1) - b.mean(1)).mean() + np.square(a.std(1) - b.std(1)).mean()
    expected = gram + np.square(b).mean() * mean_std
    value = float(gram_mean_std_loss(moments(b))(moments(a)))
    assert value == pytest.approx(expected, rel=1e-5)
    scaled = float(gram_mean_std_loss(moments(10 * b))(moments(10 * a)))
    assert scaled == pytest.approx(1e4 * value, rel=1e-6)


def test_wasserstein_matches_the_closed_form_of_scipy() -> None:
    """W2 is the distance between Gaussians as SciPy's `sqrtm` gives it, per channel."""
    a, b = random_rows(10), random_rows(11, positions=40)
    value = float(wasserstein2_loss(moments(b))(moments(a)))
    assert value == pytest.approx(distance_of_gaussians(a, b) / 5, rel=1e-9)


def test_wasserstein_of_single_channels_is_elementary() -> None:
    """For one channel W2 is `(μ − μ′)² + (σ − σ′)²`."""
    a, b = random_rows(12, channels=1), random_rows(13, channels=1)
    expected = (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2
    assert float(wasserstein2_loss(moments(b))(moments(a))) == pytest.approx(expected, rel=1e-9)


def test_wasserstein_with_fewer_positions_than_channels() -> None:
    """Singular covariances, usual in deep layers of small pictures, give the right distance.

    There the cross term is the nuclear norm of the product of the centred features.
    """
    a, b = random_rows(14, channels=9, positions=4), random_rows(15, channels=9, positions=6)
    centred_a, centred_b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    cross = np.linalg.norm(centred_b.T @ centred_a, "nuc") / math.sqrt(4 * 6)
    spread = np.square(centred_a).sum() / 4 + np.square(centred_b).sum() / 6
    expected = (np.square(a.mean(1) - b.mean(1)).sum() + spread - 2 * cross) / 9
    features = torch.from_numpy(a)[None, :, None].requires_grad_()
    value = wasserstein2_loss(moments(b))(moments_of(features))
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6)
    (gradient,) = torch.autograd.grad(value, features)

    def by_nuclear_norm(rows: Tensor) -> Tensor:
        centred = rows - rows.mean(1, keepdim=True)
        cross = torch.linalg.svdvals(torch.from_numpy(centred_b).T @ centred).sum()
        means = (rows.mean(1) - torch.from_numpy(b.mean(1))).square().sum()
        return (means + centred.square().sum() / 4 - 2 * cross / math.sqrt(4 * 6)) / 9

    rows = torch.from_numpy(a).requires_grad_()
    (reference,) = torch.autograd.grad(by_nuclear_norm(rows), rows)
    torch.testing.assert_close(gradient[0, :, 0], reference, rtol=1e-4, atol=1e-6)


def test_wasserstein_gradient_near_its_target_in_float32() -> None:
    """Close to the target, where its slope is a small difference, W2 still points downhill."""
    rng = np.random.default_rng(30)
    scale = np.geomspace(1, 0.01, 32)[:, None]
    a, b = (np.maximum(scale * rng.normal(size=(32, n)), 0) for n in (500, 1000))
    gradients = []
    for dtype in (torch.float32, torch.float64):
        features = torch.from_numpy(a).to(dtype)[None, :, None].requires_grad_()
        target = moments_of(torch.from_numpy(b).to(dtype)[None, :, None])
        loss = wasserstein2_loss(target)(moments_of(features))
        gradients.append(torch.autograd.grad(loss, features)[0].double())
    rows = torch.from_numpy(a).requires_grad_()
    cov_a = torch.cov(rows, correction=0)
    root = torch.from_numpy(np.real(scipy.linalg.sqrtm(np.cov(b, ddof=0))))
    cross = torch.linalg.eigvalsh(root @ cov_a @ root).sqrt().sum()
    means = (rows.mean(1) - torch.from_numpy(b.mean(1))).square().sum()
    (reference,) = torch.autograd.grad((means + cov_a.trace() - 2 * cross) / 32, rows)
    for gradient in gradients:
        error = (gradient[0, :, 0] - reference).norm() / reference.norm()
        assert float(error) < 5e-3


def test_wasserstein_keeps_its_precision_in_float32() -> None:
    """The distance of close pictures survives single-precision moments' large traces."""
    a = 50 * random_rows(16)
    b = a * 1.05
    target, found = (moments_of(torch.from_numpy(x).float()[None, :, None]) for x in (b, a))
    value = wasserstein2_loss(target)(found)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(distance_of_gaussians(a, b) / 5, rel=1e-2)


@pytest.mark.parametrize("name", STYLE_LOSSES)
@pytest.mark.parametrize("positions", [24, 3])
def test_style_losses_vanish_at_their_target(name: str, positions: int) -> None:
    """At the target itself every style loss is zero and has no slope to walk away along."""
    rows = random_rows(17, positions=positions)
    features = torch.from_numpy(rows)[None, :, None].requires_grad_()
    loss = STYLE_LOSSES[name](moments(rows))(moments_of(features))
    unit = float(blank_distance(STYLE_LOSSES[name], moments(rows)))
    assert float(loss.detach()) == pytest.approx(0, abs=1e-7 * unit)
    (gradient,) = torch.autograd.grad(loss, features)
    assert float(gradient.abs().max()) < 1e-3 * unit


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_losses_are_positive_elsewhere(name: str) -> None:
    """Different statistics cost something."""
    a, b = random_rows(18), random_rows(19)
    assert float(STYLE_LOSSES[name](moments(b))(moments(a))) > 1e-3


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_losses_have_the_right_gradient(name: str) -> None:
    """The gradient with respect to features is that of central differences in float64."""
    term = STYLE_LOSSES[name](moments(random_rows(20, channels=3)))
    features = torch.from_numpy(random_rows(21, channels=3, positions=12))[None, :, None]

    def loss(values: Tensor) -> Tensor:
        return term(moments_of(values))

    assert torch.autograd.gradcheck(loss, features.requires_grad_(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_dead_channels_do_no_harm(name: str) -> None:
    """A channel that never fires, in picture and target, leaves loss and gradient finite."""
    a, b = random_rows(22), random_rows(23)
    a[1], b[1] = 0, 0
    a[2] = 0
    features = torch.from_numpy(a)[None, :, None].requires_grad_()
    loss = STYLE_LOSSES[name](moments(b))(moments_of(features))
    (gradient,) = torch.autograd.grad(loss, features)
    assert math.isfinite(float(loss.detach()))
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_losses_do_not_depend_on_size(name: str) -> None:
    """Repeating the features, as a larger picture of the same texture does, changes nothing."""
    a, b = random_rows(24), random_rows(25)
    term = STYLE_LOSSES[name](moments(b))
    repeated = float(term(moments(np.tile(a, (1, 4)))))
    assert repeated == pytest.approx(float(term(moments(a))), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gram", lambda a: np.square(a @ a.T / a.shape[1]).mean()),
        ("mean-std", lambda a: np.square(a).mean()),
        ("wasserstein2", lambda a: np.square(a).mean()),
        (
            "gram+mean-std",
            lambda a: np.square(a @ a.T / a.shape[1]).mean() + np.square(a).mean() ** 2,
        ),
    ],
)
def test_blank_distance_is_the_targets_own_size(name: str, expected: Callable[..., float]) -> None:
    """The unit of a normalised style term is the loss of an all-zero layer, in closed form."""
    rows = random_rows(26)
    value = float(blank_distance(STYLE_LOSSES[name], moments(rows)))
    assert value == pytest.approx(expected(rows), rel=1e-2 if "std" in name else 1e-9)


def neighbours(picture: NDArray[np.float64], dy: int, dx: int) -> list[float]:
    """Every difference between a pixel and the one `(dy, dx)` away, by plain loops."""
    channels, height, width = picture.shape
    return [
        picture[c, y + dy, x + dx] - picture[c, y, x]
        for c in range(channels)
        for y in range(height)
        for x in range(width)
        if 0 <= y + dy < height and 0 <= x + dx < width
    ]


def mean_of(values: list[float]) -> float:
    """The mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


SHAPES = [(5, 4), (1, 6), (6, 1), (1, 1), (2, 2)]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_total_variation_matches_loops(height: int, width: int) -> None:
    """The l1 term is the mean absolute difference of neighbours, for pictures 1 px thin too."""
    picture = np.random.default_rng(27).uniform(size=(3, height, width))
    expected = sum(
        mean_of([abs(d) for d in neighbours(picture, *step)]) for step in [(0, 1), (1, 0)]
    )
    assert float(total_variation(torch.from_numpy(picture)[None])) == pytest.approx(expected)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_squared_variation_matches_loops(height: int, width: int) -> None:
    """The nine-point term counts each pair of neighbours once, diagonal ones half."""
    picture = np.random.default_rng(28).uniform(size=(3, height, width))
    expected = sum(
        share * mean_of([d * d for d in neighbours(picture, *step)])
        for step, share in [((0, 1), 1), ((1, 0), 1), ((1, 1), 0.5), ((1, -1), 0.5)]
    )
    assert float(squared_variation(torch.from_numpy(picture)[None])) == pytest.approx(expected)


@pytest.mark.parametrize("term", [total_variation, squared_variation])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_smoothness_has_the_right_gradient(
    term: Callable[[Tensor], Tensor], height: int, width: int
) -> None:
    """The gradient is that of central differences, and finite where there are no neighbours."""
    generator = torch.Generator().manual_seed(29)
    picture = torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(term, picture.requires_grad_())
