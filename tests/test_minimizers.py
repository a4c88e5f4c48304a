"""Minimisers against SciPy, PyTorch's Adam and textbook L-BFGS over pyramid coefficients."""

import contextlib
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from impasto import minimizers
from impasto.minimizers import Adam, Lbfgs, Minimizer, smooth_by_pyramid

Array = NDArray[np.float64]
Function = Callable[[Array], tuple[float, Array]]


def doubling(small: int, large: int) -> Array:
    """Bilinear interpolation of `small` samples at the centres of `large` ones, as a matrix."""
    matrix = np.zeros((large, small))
    for row in range(large):
        place = max(0.0, (row + 0.5) * small / large - 0.5)
        low = min(int(place), small - 1)
        high = min(low + 1, small - 1)
        matrix[row, low] += 1 - (place - low)
        matrix[row, high] += place - low
    return matrix


def synthesis(height: int, width: int, levels: int, scale: float) -> Array:
    """The matrix from pyramid coefficients to one channel: `c₀ + s·U(c₁ + s·U(c₂ + …))`."""
    blocks, build = [np.eye(height * width)], np.eye(height * width)
    for _ in range(levels):
        if min(height, width) < 4:
            break
        small = (height + 1) // 2, (width + 1) // 2
        up = np.kron(doubling(small[0], height), doubling(small[1], width))
        build = scale * build @ up
        blocks.append(build)
        height, width = small
    return np.concatenate(blocks, axis=1)


def metric(height: int, width: int, levels: int, scale: float) -> Array:
    """`smooth_by_pyramid` as a matrix, column by column."""
    count = height * width
    basis = torch.eye(count, dtype=torch.float64).reshape(count, 1, height, width)
    columns = [smooth_by_pyramid(one[None], levels, scale).flatten() for one in basis]
    return torch.stack(columns, dim=1).numpy()


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 11),
    width=st.integers(1, 11),
    levels=st.integers(0, 4),
    scale=st.floats(0.1, 1.5),
)
def test_pyramid_metric_is_synthesis_times_its_transpose(
    height: int, width: int, levels: int, scale: float
) -> None:
    """The metric is `A Aᵀ` of the stated synthesis, so symmetric and positive definite, always."""
    found = metric(height, width, levels, scale)
    a = synthesis(height, width, levels, scale)
    np.testing.assert_allclose(found, a @ a.T, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found, found.T, rtol=1e-10, atol=1e-12)
    assert np.linalg.eigvalsh((found + found.T) / 2).min() > 0.999


def test_pyramid_metric_treats_channels_alike() -> None:
    """Each colour channel is smoothed by itself, and the gradient given is left alone."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(1, 3, 9, 14, generator=generator, dtype=torch.float64)
    before = gradient.clone()
    smoothed = smooth_by_pyramid(gradient, 3, 0.7)
    for channel in range(3):
        alone = smooth_by_pyramid(gradient[:, channel : channel + 1], 3, 0.7)
        torch.testing.assert_close(smoothed[:, channel : channel + 1], alone)
    assert torch.equal(gradient, before)


SHAPE = (1, 3, 6, 7)
SIZE = math.prod(SHAPE)


def picture(values: Array) -> Tensor:
    """A flat vector as a picture of `SHAPE`."""
    return torch.from_numpy(values.reshape(SHAPE).copy())


def quadratic(seed: int, center: Array) -> Function:
    """A coupled, badly scaled convex quadratic around `center`."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    hessian = (basis * np.geomspace(0.05, 5, SIZE)) @ basis.T

    def function(x: Array) -> tuple[float, Array]:
        gradient = hessian @ (x - center)
        return 0.5 * float((x - center) @ gradient), gradient

    return function


def bumpy(x: Array) -> tuple[float, Array]:
    """A smooth function that is neither convex nor well scaled, so that steps must be cut."""
    weights = np.geomspace(1, 300, SIZE)
    slope = weights * (x - 0.4) + 8 * np.cos(9 * x)
    return float((0.5 * weights * (x - 0.4) ** 2 + 8 / 9 * np.sin(9 * x)).sum()), slope


def drive(minimizer: Minimizer, function: Function, evaluations: int) -> list[tuple[Array, float]]:
    """Points asked for and their losses."""
    path = []
    for _ in range(evaluations):
        point = minimizer.ask().numpy().ravel().copy()
        loss, gradient = function(point)
        path.append((point, loss))
        minimizer.tell(loss, picture(gradient))
        if minimizer.stalled:
            break
    return path


@pytest.mark.parametrize("pyramid", [0, 5])
def test_lbfgs_finds_the_constrained_minimum_of_scipy(pyramid: int) -> None:
    """Within the box, L-BFGS reaches the minimum that SciPy's L-BFGS-B finds, bounds active."""
    rng = np.random.default_rng(1)
    function = quadratic(2, rng.uniform(-0.5, 1.5, SIZE))
    start = rng.uniform(0, 1, SIZE)
    path = drive(Lbfgs(picture(start), pyramid=pyramid), function, 400)
    best = min(path, key=lambda pair: pair[1])
    expected = scipy.optimize.minimize(
        function,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, 1)] * SIZE,
        options={"ftol": 1e-14, "gtol": 1e-10, "maxiter": 5000, "maxfun": 5000},
    )
    held = np.mean((expected.x <= 0) | (expected.x >= 1))
    assert 0.2 < held < 0.9
    assert best[1] == pytest.approx(expected.fun, rel=1e-5)
    np.testing.assert_allclose(best[0], expected.x, atol=5e-3)


def test_lbfgs_without_bounds_solves_the_linear_system() -> None:
    """With the box off, the minimum of a quadratic is its centre, inside the box or not."""
    rng = np.random.default_rng(3)
    center = rng.uniform(-2, 3, SIZE)
    path = drive(Lbfgs(picture(rng.uniform(0, 1, SIZE)), box=False), quadratic(4, center), 200)
    np.testing.assert_allclose(path[-1][0], center, atol=1e-4)


def test_every_point_asked_for_is_a_picture() -> None:
    """Inside the box, every point whose loss is asked for lies in [0, 1], the start too."""
    rng = np.random.default_rng(5)
    start = picture(rng.uniform(-0.5, 1.5, SIZE))
    for minimizer in (Lbfgs(start), Adam(start, learning_rate=0.5)):
        path = drive(minimizer, quadratic(6, rng.uniform(-3, 4, SIZE)), 30)
        assert all(point.min() >= 0 and point.max() <= 1 for point, _ in path)
        assert len(path) == 30


def textbook_lbfgs(
    start: Array,
    function: Function,
    a: Array,
    history: int,
    first: float,
    stride: float,
    evaluations: int,
) -> list[Array]:
    """L-BFGS over pyramid coefficients (Nocedal & Wright 2006, algorithm 7.4), as pictures.

    Steps are cut as in the code under test: accepted on Armijo's condition, else to the minimum of
    the parabola through both losses and the slope, between a tenth and a half.
    """
    channels = SHAPE[1]
    build = np.kron(np.eye(channels), a)
    coefficients = np.zeros(build.shape[1])
    pairs: list[tuple[Array, Array]] = []

    def evaluate(c: Array) -> tuple[float, Array, Array]:
        x = start + build @ c
        loss, gradient = function(x)
        return loss, build.T @ gradient, x

    loss, gradient, x = evaluate(coefficients)
    asked = [x]
    while len(asked) < evaluations:
        q, alphas = gradient.copy(), []
        for s, y in reversed(pairs):
            alphas.append(s @ q / (s @ y))
            q -= alphas[-1] * y
        if pairs:
            s, y = pairs[-1]
            q *= (s @ y) / (y @ y)
        for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
            q += s * (alpha - y @ q / (s @ y))
        step = stride if pairs else first / np.sqrt(np.mean((build @ q) ** 2))
        while len(asked) < evaluations:
            trial = coefficients - step * q
            trial_loss, trial_gradient, x = evaluate(trial)
            asked.append(x)
            slope = -step * (gradient @ q)
            if trial_loss <= loss + 1e-4 * slope:
                s, y = trial - coefficients, trial_gradient - gradient
                if s @ y > 1e-10 * (y @ y):
                    pairs = [*pairs, (s, y)][-history:]
                coefficients, loss, gradient = trial, trial_loss, trial_gradient
                break
            curve = trial_loss - loss - slope
            step *= min(0.5, max(0.1, -slope / (2 * curve)))
    return asked


@pytest.mark.parametrize("function", [bumpy, quadratic(7, np.full(SIZE, 0.3))])
@pytest.mark.parametrize("history", [2, 50])
@pytest.mark.parametrize("stride", [1.0, 1.4])
def test_pyramid_metric_takes_the_steps_of_coefficients(
    function: Function, history: int, stride: float
) -> None:
    """Over pixels with the metric `A Aᵀ` L-BFGS asks for the points of L-BFGS over coefficients."""
    start = np.random.default_rng(8).uniform(0, 1, SIZE)
    minimizer = Lbfgs(picture(start), history=history, box=False, first_step=0.4, stride=stride)
    ours = drive(minimizer, function, 25)
    a = synthesis(*SHAPE[2:], levels=5, scale=0.7)
    theirs = textbook_lbfgs(start, function, a, history, 0.4, stride, 25)
    assert len(ours) == len(theirs)
    for (point, _), expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(point, expected, rtol=1e-6, atol=1e-7)
    if function is bumpy:
        losses = [loss for _, loss in ours]
        assert any(b > a for a, b in pairwise(losses)), "no step was cut"


def test_lbfgs_takes_the_first_step_asked_for() -> None:
    """The first step changes the picture by `first_step`, root mean square, whatever the loss."""
    for factor in (1e-8, 1.0, 1e8):
        minimizer = Lbfgs(picture(np.full(SIZE, 0.5)), first_step=0.03)
        gradient = np.random.default_rng(9).normal(size=SIZE)
        minimizer.tell(1.0 * factor, picture(factor * gradient))
        moved = minimizer.ask().numpy().ravel() - 0.5
        assert np.sqrt(np.mean(moved**2)) == pytest.approx(0.03, rel=1e-6)
        assert moved @ gradient < 0


@pytest.mark.parametrize("exponent", [-40, 40])
def test_lbfgs_does_not_mind_the_unit_of_the_loss(exponent: int) -> None:
    """Only the ratio of the weights matters: a loss times 2^±40 is searched at the same points."""
    start, center = np.full(SIZE, 0.5), np.random.default_rng(12).uniform(0, 1, SIZE)
    plain, factor = quadratic(11, center), 2.0**exponent

    def scaled(x: Array) -> tuple[float, Array]:
        loss, gradient = plain(x)
        return factor * loss, factor * gradient

    ours, theirs = (drive(Lbfgs(picture(start)), function, 25) for function in (scaled, plain))
    for (point, _), (expected, _) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(point, expected, atol=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_lbfgs_backs_off_from_losses_that_are_not_finite(bad: float) -> None:
    """Where the loss is not finite, the step is cut until it is, and the minimum is found yet."""
    smooth = quadratic(10, np.full(SIZE, 0.35))

    def function(x: Array) -> tuple[float, Array]:
        if np.abs(x - 0.5).max() > 0.2:
            return bad, np.full(SIZE, bad)
        return smooth(x)

    minimizer = Lbfgs(picture(np.full(SIZE, 0.5)), first_step=0.5)
    path = drive(minimizer, function, 150)
    assert not math.isfinite(path[1][1])
    assert min(loss for _, loss in path if math.isfinite(loss)) < 1e-6
    assert bool(torch.isfinite(minimizer.x).all())


def test_lbfgs_reports_that_it_stalls() -> None:
    """Without a slope, in a corner of the box, or with a wrong gradient the search ends itself."""
    flat = Lbfgs(picture(np.full(SIZE, 0.5)))
    flat.tell(1.0, torch.zeros(SHAPE, dtype=torch.float64))
    assert flat.stalled

    corner = Lbfgs(picture(np.zeros(SIZE)))
    corner.tell(1.0, torch.ones(SHAPE, dtype=torch.float64))
    assert corner.stalled

    def lying(x: Array) -> tuple[float, Array]:
        return float(np.square(x - 0.5).sum()), -np.ones(SIZE)

    liar = Lbfgs(picture(np.full(SIZE, 0.5)))
    path = drive(liar, lying, 100)
    assert liar.stalled
    assert len(path) < 40
    np.testing.assert_array_equal(liar.x.numpy().ravel(), 0.5)


def test_lbfgs_recovers_from_a_history_that_misleads() -> None:
    """After a change of the function mid-way the search drops its history and goes on."""
    one, other = quadratic(11, np.full(SIZE, 0.2)), quadratic(12, np.full(SIZE, 0.8))
    minimizer = Lbfgs(picture(np.full(SIZE, 0.5)))
    drive(minimizer, one, 20)
    loss, gradient = other(minimizer.ask().numpy().ravel())
    minimizer.tell(loss, picture(gradient))
    path = drive(minimizer, lambda x: (other(x)[0] - 1e3, other(x)[1]), 150)
    np.testing.assert_allclose(path[-1][0], 0.8, atol=1e-3)


def test_adam_matches_torch() -> None:
    """Inside the box Adam moves as PyTorch's Adam does, its rate rising over ten evaluations."""
    rng = np.random.default_rng(13)
    function = quadratic(14, rng.uniform(0.3, 0.7, SIZE))
    start = rng.uniform(0.3, 0.7, SIZE)
    ours = drive(Adam(picture(start), learning_rate=0.004), function, 40)
    x = torch.nn.Parameter(picture(start))
    theirs = torch.optim.Adam([x], lr=1.0, eps=1e-12)
    for count, (point, _) in enumerate(ours, start=1):
        np.testing.assert_allclose(point, x.detach().numpy().ravel(), rtol=1e-9, atol=1e-12)
        theirs.param_groups[0]["lr"] = 0.004 * min(1, count / 10)
        x.grad = picture(function(x.detach().numpy().ravel())[1])
        theirs.step()


def test_adams_rate_falls_to_a_tenth() -> None:
    """Over the planned evaluations the step follows half a cosine from the whole to a tenth."""
    minimizer = Adam(picture(np.full(SIZE, 0.9)), learning_rate=0.001, evaluations=50)
    slope = picture(np.ones(SIZE))
    steps, before = [], 0.9
    for _ in range(50):
        # A constant gradient: mean and root of Adam's moments cancel, so each step is the rate.
        minimizer.tell(1.0, slope)
        now = float(minimizer.ask().mean())
        steps.append(before - now)
        before = now
    counts = np.arange(1, 51)
    cosine = 0.1 + 0.9 * (1 + np.cos(np.pi * counts / 50)) / 2
    np.testing.assert_allclose(steps, 0.001 * np.minimum(1, counts / 10) * cosine, rtol=1e-6)
    assert steps[-1] == pytest.approx(0.0001, rel=1e-6)


def test_adams_moments_go_on_at_another_size() -> None:
    """Moments of a coarse level are resampled to the finer one and count as warmed up there.

    There the same loss, a mean, has slopes smaller by the number of pixels, and so have they.
    """
    coarse = Adam(torch.full((1, 3, 4, 5), 0.5), learning_rate=0.01)
    for _ in range(200):
        coarse.tell(1.0, torch.full((1, 3, 4, 5), 2.0))
    fine = Adam(
        torch.full((1, 3, 9, 11), 0.5), learning_rate=0.01, moments=(coarse.mean, coarse.square)
    )
    assert fine.mean.shape == fine.square.shape == (1, 3, 9, 11)
    shrink = (4 * 5) / (9 * 11)
    mean = float(coarse.mean.mean()) * shrink
    square = float(coarse.square.mean()) * shrink**2
    np.testing.assert_allclose(fine.mean, mean, rtol=1e-5)
    fine.tell(1.0, torch.full((1, 3, 9, 11), 2.0 * shrink))
    mean, square = 0.9 * mean + 0.1 * 2 * shrink, 0.999 * square + 0.001 * (2 * shrink) ** 2
    expected = 0.5 - 0.001 * mean / math.sqrt(square)
    np.testing.assert_allclose(fine.ask(), expected, rtol=1e-5)


def test_adams_second_moments_stay_positive_when_resampled() -> None:
    """Sharp second moments never resample to something negative, whose root would be NaN."""
    square = torch.zeros(1, 3, 6, 6)
    square[..., 3, 3] = 1
    fine = Adam(torch.full((1, 3, 13, 13), 0.5), moments=(torch.zeros(1, 3, 6, 6), square))
    assert float(fine.square.min()) >= 0
    fine.tell(1.0, torch.ones(1, 3, 13, 13))
    assert bool(torch.isfinite(fine.ask()).all())


@pytest.mark.parametrize("loss", [math.nan, math.inf, 1.0])
def test_adam_passes_over_what_is_not_finite(loss: float) -> None:
    """A loss or gradient that is not finite leaves picture and moments alone, and slows down."""
    minimizer = Adam(torch.full((1, 3, 2, 2), 0.5), learning_rate=0.01)
    gradient = torch.ones(1, 3, 2, 2)
    if loss == 1.0:
        gradient[..., 0, 0] = math.nan
    minimizer.tell(loss, gradient)
    assert torch.equal(minimizer.ask(), torch.full((1, 3, 2, 2), 0.5))
    assert not minimizer.mean.any()
    minimizer.tell(1.0, torch.ones(1, 3, 2, 2))
    np.testing.assert_allclose(minimizer.ask(), 0.5 - 0.005 / 10, rtol=1e-6)


# --- put aside and taken up ----------------------------------------------------------------------


def made(kind: str, start: Tensor) -> Minimizer:
    """A minimiser of each kind, with a history that overflows soon."""
    if kind == "adam":
        return Adam(start, learning_rate=0.05, evaluations=30)
    return Lbfgs(start, history=3, pyramid=2 if kind == "lbfgs" else 0, box=kind != "free")


def hilly(point: Tensor) -> tuple[float, Tensor]:
    """A loss with many valleys, so that steps fail and histories are dropped on the way."""
    x = point.double()
    loss = (torch.sin(9 * x) + 4 * (x - 0.4).square()).sum() + (x[..., 1:] * x[..., :-1]).sum()
    slope = 9 * torch.cos(9 * x) + 8 * (x - 0.4)
    slope[..., 1:] += x[..., :-1]
    slope[..., :-1] += x[..., 1:]
    return float(loss), slope.to(point.dtype)


KINDS = ["lbfgs", "lbfgs-pixel", "free", "adam"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_minimiser_taken_up_again_asks_for_the_same_points(kind: str) -> None:
    """From the state after any evaluation, all further points are the same to the last bit."""
    start = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(4))
    first, states, points = made(kind, start), [], []
    for count in range(30):
        states.append(first.state())
        points.append(first.ask())
        loss, slope = hilly(first.ask())
        first.tell(math.nan if kind == "adam" and count == 7 else loss, slope)
    for count, state in enumerate(states):
        other = made(kind, start)
        other.restore(state)
        assert other.state().keys() == state.keys()
        for later in range(count, 30):
            assert torch.equal(other.ask(), points[later])
            loss, slope = hilly(other.ask())
            other.tell(math.nan if kind == "adam" and later == 7 else loss, slope)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_stays_what_it_was(kind: str) -> None:
    """No tensor of a state is changed while its minimiser goes on, so a state needs no copy."""
    minimizer = made(kind, torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(5)))
    for _ in range(12):
        state = minimizer.state()
        copies = {n: v.clone() for n, v in state.items() if isinstance(v, Tensor)}
        minimizer.tell(*hilly(minimizer.ask()))
        for name, copy in copies.items():
            assert torch.equal(state[name], copy)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", KINDS)
def test_states_that_do_not_fit_are_refused(kind: str) -> None:
    """A state with a part missing, too much, of another shape or type, or not finite is refused."""
    start = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(6))
    minimizer = made(kind, start)
    for _ in range(4):
        minimizer.tell(*hilly(minimizer.ask()))
    state = minimizer.state()
    for name, value in state.items():
        if isinstance(value, Tensor):
            bad: list[object] = [value[..., 1:], value.double(), 3.0, None]
        else:
            bad = [math.nan, math.inf, "1", None, start]
        for replacement in bad:
            with pytest.raises(ValueError, match=r"should be|no place"):
                made(kind, start).restore({**state, name: replacement})  # pyright: ignore
        rest = {other: v for other, v in state.items() if other != name}
        with pytest.raises(ValueError, match=r"should be|no place"):
            made(kind, start).restore(rest)
    with pytest.raises(ValueError, match="'more' has no place"):
        made(kind, start).restore({**state, "more": 1.0})


def test_a_shorter_history_keeps_the_last_pairs() -> None:
    """A state with more pairs than are remembered now leaves the newest of them."""
    start = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(7))
    long, short = (Lbfgs(start, history=n, pyramid=0) for n in (9, 2))
    while "rho4" not in long.state():
        long.tell(*hilly(long.ask()))
    short.restore(long.state())
    kept, all_pairs = short.state(), long.state()
    count = sum(name.startswith("rho") for name in all_pairs)
    assert "rho2" not in kept
    assert kept["s1"] is all_pairs[f"s{count - 1}"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tell_that_fails_may_be_made_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that runs out anywhere in a step leaves the minimiser as it was before it."""
    start = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(8))
    first, second = made(kind, start), made(kind, start)
    where = (math, "cos") if kind == "adam" else (minimizers, "_dot")
    real = getattr(*where)
    for number in range(20):
        assert torch.equal(first.ask(), second.ask())
        before, left = second.state(), [number % 7]

        def exhausted(*args: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise MemoryError
            return real(*args)

        told = hilly(first.ask())
        with monkeypatch.context() as patch, contextlib.suppress(MemoryError):
            patch.setattr(*where, exhausted)
            second.tell(*told)
        if left[0] < 0:
            after = second.state()
            assert after.keys() == before.keys()
            for name, value in before.items():
                assert after[name] is value if isinstance(value, Tensor) else after[name] == value
            second.tell(*told)
        first.tell(*told)


def test_a_history_that_is_shortened_keeps_the_last_pairs() -> None:
    """Half of a history can be given up midway, and the search goes on from the newest steps."""
    minimizer = Lbfgs(torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(7)), history=9)
    while minimizer.pairs < 5:
        minimizer.tell(*hilly(minimizer.ask()))
    before, point = minimizer.state(), minimizer.ask()
    minimizer.shorten(2)
    assert minimizer.pairs == 2
    assert minimizer.ask() is point
    assert [minimizer.state()[name] for name in ("s0", "s1")] == [before["s3"], before["s4"]]
    minimizer.shorten(7)
    loss = hilly(point)[0]
    for _ in range(10):
        minimizer.tell(*hilly(minimizer.ask()))
        assert minimizer.pairs <= 2
    assert hilly(minimizer.x)[0] < loss
