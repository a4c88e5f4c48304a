"""The run over levels: its plan, its start, its ends, and what it does when things go wrong."""

import gc
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto import minimizers
from impasto import optimize as module
from impasto.checkpoint import Bookmark
from impasto.errors import OptionError, RunError
from impasto.features import Features
from impasto.minimizers import Adam, Lbfgs
from impasto.objective import Objective, Terms
from impasto.optimize import Progress, optimize
from impasto.options import StyleOptions, make_options
from impasto.starts import start_picture
from impasto.targets import Painting, Region, make_targets, resize
from stand_ins import narrow_weights, soft_picture

STARTS = ["content", "recolored", "noise", "style-colors", "image"]
OPTIMIZERS = ["lbfgs", "lbfgs-pixel", "adam"]


def tensor(width: int, height: int, seed: int) -> Tensor:
    """A soft picture `(1, 3, H, W)`, float32 in [0, 1]."""
    pixels = soft_picture(width, height, seed).astype(np.float32) / 255
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())


PHOTO = tensor(24, 18, seed=1)
PAINTING = Painting(tensor(20, 22, seed=2))


@pytest.fixture(scope="module")
def features() -> Features:
    """A narrow network in float32."""
    return Features(narrow_weights())


def options_of(**values: Any) -> StyleOptions:
    """Options that do not follow the tuned defaults where these matter here."""
    fixed = {
        "start": "content",
        "evaluations": 12,
        "content_layers": "relu2_2",
        "style_layers": "relu1_1,relu2_1,relu3_1",
        "style_loss": "gram",
        "content_weight": 1.0,
        "style_weight": 1.0,
        "tv_weight": 0.0,
    }
    return make_options({**fixed, **values})


def run(features: Features, options: StyleOptions, start: Tensor = PHOTO) -> list[Progress]:
    """All of a run's progress."""
    return list(optimize(features, PHOTO, [PAINTING], start, options))


# --- levels --------------------------------------------------------------------------------------


def test_progress_counts_levels_and_evaluations(features: Features) -> None:
    """Each evaluation is reported once, numbered within its level and over the run."""
    steps = run(features, options_of(levels="6:3,12:0,24:4"))
    assert [step.level for step in steps] == [0, 0, 0, 2, 2, 2, 2]
    assert [step.evaluation for step in steps] == [1, 2, 3, 1, 2, 3, 4]
    assert [step.done for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [(step.width, step.height) for step in (steps[0], steps[-1])] == [(6, 4), (24, 18)]
    for step in steps:
        assert step.best.shape == (1, 3, step.height, step.width)
        assert step.picture.shape == PHOTO.shape
        assert step.remaining >= 0
    elapsed = [step.elapsed for step in steps]
    assert elapsed == sorted(elapsed)
    assert steps[-1].remaining == 0
    shares = [step.share for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1


# --- start pictures ------------------------------------------------------------------------------


def start_of(kind: str, **changes: Any) -> Tensor:
    """A start picture of 24 × 18 px."""
    values: dict[str, Any] = {"content": PHOTO, **changes}
    styles, shares = values.pop("styles", [PAINTING]), values.pop("shares", [1.0])
    values["regions"] = [Region(styles, shares)]
    return start_picture(kind, 24, 18, **values)


def colors(picture: Tensor) -> np.ndarray:
    """All colours `(3, N)` in float64."""
    return picture[0].flatten(1).double().numpy()


def test_noise_is_uniform_and_seeded() -> None:
    """Noise is uniform in [0, 1], the same for a seed and another for another."""
    noise = start_picture("noise", 200, 150, content=None, regions=[], seed=3)
    assert noise.shape == (1, 3, 150, 200)
    assert noise.dtype == torch.float32
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(noise.var()) == pytest.approx(1 / 12, abs=0.002)
    assert torch.equal(start_of("noise", seed=3), start_of("noise", seed=3))
    assert not torch.equal(start_of("noise", seed=3), start_of("noise", seed=4))
    assert torch.equal(start_of("style-colors", seed=3), start_of("style-colors", seed=3))
    assert not torch.equal(start_of("style-colors", seed=3), start_of("style-colors", seed=4))


# Colours well inside [0, 1], so that clipping changes no statistics.
MILD = Painting(0.5 + 0.3 * (tensor(40, 30, seed=5) - 0.5))
WARM = Painting(0.45 + 0.3 * (tensor(25, 35, seed=6) - 0.5))
MILD_PHOTO = 0.5 + 0.4 * (PHOTO - 0.5)


@pytest.mark.parametrize("kind", ["style-colors", "recolored"])
def test_colored_starts_have_the_paintings_colors(kind: str) -> None:
    """Mean colour and covariance of such a start are those of the painting."""
    start = start_of(kind, content=MILD_PHOTO, styles=[MILD])
    np.testing.assert_allclose(colors(start).mean(1), colors(MILD.picture).mean(1), atol=2e-3)
    expected = np.cov(colors(MILD.picture), ddof=0)
    np.testing.assert_allclose(np.cov(colors(start), ddof=0), expected, atol=5e-4)
    assert expected.max() > 3e-3


def test_a_recolored_start_keeps_the_photos_drawing() -> None:
    """Recolouring is one affine map of colours: the photo can be had back by least squares."""
    start, photo = (
        colors(start_of("recolored", content=MILD_PHOTO, styles=[MILD])),
        colors(MILD_PHOTO),
    )
    design = np.concatenate([start, np.ones((1, start.shape[1]))])
    solution, *_ = np.linalg.lstsq(design.T, photo.T, rcond=None)
    np.testing.assert_allclose(design.T @ solution, photo.T, atol=1e-4)


def test_colors_of_a_blend_follow_the_shares() -> None:
    """With several paintings the start's mean colour is their means in proportion."""
    start = start_of("recolored", content=MILD_PHOTO, styles=[MILD, WARM], shares=[3.0, 1.0])
    expected = 0.75 * colors(MILD.picture).mean(1) + 0.25 * colors(WARM.picture).mean(1)
    np.testing.assert_allclose(colors(start).mean(1), expected, atol=2e-3)


def test_a_blend_has_the_colors_of_all_its_paintings() -> None:
    """With several paintings the start's covariance is that of their pixels put side by side."""
    other = Painting(MILD.picture.flip(1) * 0.8 + 0.15)
    start = start_of("recolored", content=MILD_PHOTO, styles=[MILD, other], shares=[1.0, 1.0])
    together = np.concatenate([colors(MILD.picture), colors(other.picture)], axis=1)
    np.testing.assert_allclose(colors(start).mean(1), together.mean(1), atol=2e-3)
    np.testing.assert_allclose(np.cov(colors(start), ddof=0), np.cov(together, ddof=0), atol=5e-4)


def test_transparent_parts_lend_no_color() -> None:
    """Colours of a painting are taken where it is visible only."""
    picture = MILD.picture.clone()
    picture[..., :20] = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    mask = torch.ones(30, 40)
    mask[:, :20] = 0
    visible = Painting(MILD.picture[..., 20:])
    for kind in ("recolored", "style-colors"):
        masked = start_of(kind, styles=[Painting(picture, mask)])
        assert torch.equal(masked, start_of(kind, styles=[visible]))


def test_other_starts_are_pictures_given() -> None:
    """`content` is the photo itself, `image` the third picture at the run's size."""
    assert torch.equal(start_of("content"), PHOTO)
    image = tensor(48, 36, seed=7)
    expected = resize(image, 18, 24).clamp(0, 1)
    assert torch.equal(start_of("image", image=image), expected)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("content", {"content": None}),
        ("recolored", {"content": None}),
        ("recolored", {"styles": [], "shares": []}),
        ("style-colors", {"styles": [], "shares": []}),
        ("image", {}),
    ],
)
def test_starts_without_their_picture_are_refused(kind: str, changes: dict[str, Any]) -> None:
    """A start that lacks its picture is refused in one line that names the option."""
    with pytest.raises(OptionError, match=f"^--start {kind}: ") as caught:
        start_of(kind, **changes)
    assert "\n" not in str(caught.value)


# --- descent -------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("start", STARTS)
def test_losses_fall_from_every_start(features: Features, optimizer: str, start: str) -> None:
    """With every optimiser and start the loss falls at each level, and the best is kept."""
    options = options_of(levels="12:15,24:25", optimizer=optimizer, start=start)
    steps = run(features, options, start_of(start, image=tensor(24, 18, seed=8)))
    for level in (0, 1):
        losses = [step.terms.loss for step in steps if step.level == level]
        best = [step.best_loss for step in steps if step.level == level]
        assert best == list(np.minimum.accumulate(losses))
        assert best[-1] < 0.8 * losses[0]
    assert all(step.terms.loss > 0 for step in steps)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_picture_is_what_the_loss_was_measured_on(features: Features, optimizer: str) -> None:
    """The result lies in [0, 1] and its loss, measured anew, is the best loss reported."""
    options = options_of(
        levels="12:10,24:20",
        optimizer=optimizer,
        style_weight=300.0,
        content_weight=0.5,
        tv_weight=0.01,
        learning_rate=0.2,
    )
    last = run(features, options, torch.rand(PHOTO.shape))[-1]
    assert float(last.picture.min()) >= 0
    assert float(last.picture.max()) <= 1
    assert bool(((last.picture == 0) | (last.picture == 1)).any()), "no bound was active"
    targets = make_targets(
        features,
        PHOTO,
        [Region([PAINTING], [1.0])],
        height=18,
        width=24,
        content_layers=options.content_layers,
        style_layers=options.style_layers,
    )
    objective = Objective(
        features,
        targets,
        content_layers=options.content_layers,
        style_layers=options.style_layers,
        style_loss=options.style_loss,
        normalize=options.normalize,
        content_weight=0.5,
        style_weight=300.0,
        tv_weight=0.01,
        tv=options.tv,
    )
    assert objective.terms(last.picture).loss == pytest.approx(last.best_loss, rel=1e-5)


def test_two_runs_give_the_same_bytes(features: Features) -> None:
    """The same input gives the same picture to the last bit, noise and all levels included."""
    options = options_of(levels="12:6,24:8", start="noise", seed=9)
    one, other = (
        run(features, options, start_of("noise", seed=9))[-1].picture.numpy().tobytes()
        for _ in range(2)
    )
    assert one == other


def test_no_evaluations_give_the_start_back(features: Features) -> None:
    """With 0 evaluations the start is looked at once and comes back as it was."""
    (only,) = run(features, options_of(single_level=True, evaluations=0))
    assert torch.equal(only.picture, PHOTO)
    assert only.best_loss == only.terms.loss > 0


def test_detail_is_put_back_on_the_way_up(features: Features) -> None:
    """A coarse level that changed nothing gives the fine photo back, hard edges and all."""
    hard = (torch.rand(1, 3, 18, 24, generator=torch.Generator().manual_seed(10)) > 0.5).float()
    options = options_of(levels="9:1,24:1")
    first, last = optimize(features, hard, [PAINTING], hard, options)
    assert (first.width, last.width) == (9, 24)
    torch.testing.assert_close(first.picture, hard, rtol=0, atol=1e-5)
    torch.testing.assert_close(last.picture, hard, rtol=0, atol=1e-5)


def test_noise_is_not_put_back_on_the_way_up(features: Features) -> None:
    """From noise a finer level starts from the coarse result alone, enlarged."""
    options = options_of(levels="9:1,24:1", start="noise")
    noise = start_of("noise")
    first, last = run(features, options, noise)
    coarse = resize(noise, 7, 9).clamp(0, 1)
    torch.testing.assert_close(first.best, coarse)
    torch.testing.assert_close(last.best, resize(coarse, 18, 24).clamp(0, 1))


def test_closing_ends_the_run(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that is closed evaluates no more."""
    calls = counted_evaluations(monkeypatch)
    steps = optimize(features, PHOTO, [PAINTING], PHOTO, options_of())
    next(steps)
    next(steps)
    assert isinstance(steps, Iterator)
    getattr(steps, "close")()  # noqa: B009  a generator, by its documentation
    assert list(steps) == []
    assert len(calls) == 2


def counted_evaluations(
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[int, Terms, Tensor], tuple[Terms, Tensor]] | None = None,
) -> list[Tensor]:
    """Records the points that are evaluated; `change` may replace what comes out."""
    evaluate = Objective.evaluate
    points: list[Tensor] = []

    def watched(self: Objective, picture: Tensor) -> tuple[Terms, Tensor]:
        points.append(picture.clone())
        terms, gradient = evaluate(self, picture)
        return (terms, gradient) if change is None else change(len(points), terms, gradient)

    monkeypatch.setattr(Objective, "evaluate", watched)
    return points


# --- ends ----------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only evaluations move: a second for each."""
    points = counted_evaluations(monkeypatch)
    monkeypatch.setattr(module.time, "monotonic", lambda: 1000.0 + len(points))


def test_the_time_limit_is_kept(features: Features, clock: None) -> None:
    """A run stops before the evaluation that would pass the limit, with the best so far."""
    options = options_of(single_level=True, evaluations=500, time_limit=20)
    steps = run(features, options)
    assert len(steps) == 20
    assert steps[-1].best_loss < steps[0].terms.loss
    assert all(step.elapsed + step.remaining <= 20 for step in steps)


def test_under_a_time_limit_every_level_gets_its_share(features: Features, clock: None) -> None:
    """The full size gets the time that its share of the work asks for.

    At such sizes an evaluation costs about the same at both levels, so the share is that of the
    evaluations: three of four.
    """
    options = options_of(levels="12:100,24:300", time_limit=50)
    steps = run(features, options)
    fine = [step for step in steps if step.level == 1]
    assert 45 <= len(steps) <= 50
    assert 0.65 * len(steps) < len(fine) < 0.85 * len(steps)


def test_a_hopeless_time_limit_still_gives_a_picture(features: Features, clock: None) -> None:
    """However short the limit, each level is looked at once and there is a result."""
    steps = run(features, options_of(levels="12:50,24:50", time_limit=1e-6))
    assert [step.level for step in steps] == [0, 1]
    assert steps[-1].picture.shape == PHOTO.shape


def test_the_time_left_is_foreseen(features: Features, clock: None) -> None:
    """With steady evaluations the time left is the number of evaluations left, on one level."""
    for step in run(features, options_of(single_level=True, evaluations=9)):
        assert step.remaining == pytest.approx(9 - step.evaluation)


def test_tolerance_ends_levels_early(features: Features) -> None:
    """A level ends once ten evaluations gain less than the tolerance; 0 never ends one."""
    options = options_of(single_level=True, evaluations=300, tolerance=0.3)
    steps = run(features, options)
    assert 11 <= len(steps) < 300
    best = [step.best_loss for step in steps]
    assert best[-11] - best[-1] < 0.3 * best[-11]
    assert all(best[i - 10] - best[i] >= 0.3 * best[i - 10] for i in range(10, len(best) - 1))
    endless = run(features, options_of(single_level=True, evaluations=60, tolerance=0.0))
    assert len(endless) == 60


def test_a_stalled_minimiser_ends_its_level(features: Features) -> None:
    """Where there is nothing to gain, as with all weights 0, each level is left at once."""
    options = options_of(levels="12:50,24:50", content_weight=0.0, style_weight=0.0)
    steps = run(features, options)
    assert [step.terms.loss for step in steps] == [0, 0]
    torch.testing.assert_close(steps[-1].picture, PHOTO, rtol=0, atol=1e-5)


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_fault_restores_the_best_picture(
    features: Features, monkeypatch: pytest.MonkeyPatch, bad: float, where: str, optimizer: str
) -> None:
    """After a loss or gradient that is not finite the search goes on from the best picture.

    After the second one it goes on with Adam, whose steps are bounded by the rate.
    """
    losses: list[float] = []

    def faulty(count: int, terms: Terms, gradient: Tensor) -> tuple[Terms, Tensor]:
        if count in (6, 9):
            losses.append(math.inf)
            if where == "gradient":
                return terms, gradient * bad
            return Terms(bad, terms.content, terms.style, terms.tv), gradient
        losses.append(terms.loss)
        return terms, gradient

    points = counted_evaluations(monkeypatch, faulty)
    options = options_of(single_level=True, evaluations=30, optimizer=optimizer, learning_rate=0.01)
    made: list[str] = []

    class WatchedAdam(Adam):
        def __init__(self, *args: Any, **values: Any) -> None:
            super().__init__(*args, **values)
            made.append("adam")

    class WatchedLbfgs(Lbfgs):
        def __init__(self, *args: Any, **values: Any) -> None:
            super().__init__(*args, **values)
            made.append("lbfgs")

    monkeypatch.setattr(minimizers, "Adam", WatchedAdam)
    monkeypatch.setattr(minimizers, "Lbfgs", WatchedLbfgs)
    steps = run(features, options)
    first = optimizer.removesuffix("-pixel")
    assert made == [first, first, "adam"]
    assert len(steps) == 30
    for fault in (6, 9):
        best = points[int(np.argmin(losses[:fault]))]
        assert torch.equal(points[fault], best)
    assert steps[-1].best_loss == min(losses)
    assert steps[-1].best_loss < losses[0]
    assert torch.equal(steps[-1].best, points[int(np.argmin(losses))])


def test_faults_that_go_on_make_the_steps_shorter(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only a small neighbourhood of the start has a loss, the search gets on within it."""
    points: list[Tensor] = []

    def cliff(_: int, terms: Terms, gradient: Tensor) -> tuple[Terms, Tensor]:
        outside = float((points[-1] - points[0]).abs().max()) > 3e-4
        return (Terms(math.nan, 0, 0, 0) if outside else terms), gradient

    points = counted_evaluations(monkeypatch, cliff)
    steps = run(features, options_of(single_level=True, evaluations=30, learning_rate=0.03))
    assert steps[-1].best_loss < steps[0].terms.loss
    assert float((steps[-1].best - points[0]).abs().max()) > 5e-5


def test_a_faulty_start_is_one_line(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any finite loss there is nothing to keep: the run fails and says what to do."""
    counted_evaluations(monkeypatch, lambda _, __, gradient: (Terms(math.nan, 0, 0, 0), gradient))
    with pytest.raises(RunError, match="not a finite number at the start") as caught:
        run(features, options_of())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"),
    ],
)
def test_out_of_memory_names_the_size(
    features: Features, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Whatever the device calls it, memory that ran out is one line with size and remedy."""

    def exhausted(*_: Any) -> Any:
        raise fault

    monkeypatch.setattr(Objective, "evaluate", exhausted)
    with pytest.raises(RunError, match="24 x 18 px; choose a smaller --size"):
        run(features, options_of(single_level=True))


@pytest.mark.parametrize(
    "place", ["optimize.make_targets", "optimize.Objective", "minimizers.Lbfgs.tell"]
)
def test_memory_that_runs_out_elsewhere_is_named_too(
    features: Features, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Targets and the minimiser's history need memory too: running out there is the same line."""

    def exhausted(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(f"impasto.{place}", exhausted)
    with pytest.raises(RunError, match="24 x 18 px; choose a smaller --size"):
        run(features, options_of(single_level=True))


def test_other_errors_are_not_hidden(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the program itself is not passed off as a lack of memory."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Objective, "evaluate", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(features, options_of())


def test_shares_must_fit_the_paintings(features: Features) -> None:
    """Another number of shares than of paintings is one line."""
    with pytest.raises(OptionError, match="--style-weights: 2 shares for 1 painting"):
        run(features, options_of(style_weights=(1, 2)))


def test_layers_the_network_lacks_are_one_line() -> None:
    """Layers are checked against the network before any work."""
    small = Features(narrow_weights("vgg16"))
    with pytest.raises(OptionError, match="'relu3_4': vgg16 has no such layer"):
        run(small, options_of(style_layers="relu3_4"))


def test_without_photo_only_style_counts(features: Features) -> None:
    """A texture from a painting alone has no content term."""
    options = options_of(single_level=True, evaluations=15, start="noise")
    steps = list(optimize(features, None, [PAINTING], start_of("noise"), options))
    assert all(step.terms.content == 0 for step in steps)
    assert steps[-1].best_loss < 0.5 * steps[0].terms.loss


def test_adam_carries_its_moments_to_the_next_level(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finer level goes on with the coarse level's moments, enlarged."""
    made: list[Any] = []

    class Watched(Adam):
        def __init__(self, *args: Any, **values: Any) -> None:
            super().__init__(*args, **values)
            made.append((values["moments"], self))

    monkeypatch.setattr(minimizers, "Adam", Watched)
    run(features, options_of(levels="12:5,24:5", optimizer="adam"))
    (nothing, coarse), (moments, _) = made
    assert nothing is None
    assert moments[0] is coarse.mean
    assert moments[1] is coarse.square


# --- memory --------------------------------------------------------------------------------------


def test_a_minimiser_without_memory_forgets(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the step has no memory, half of the history goes, from the bookmark too, each time."""
    tell, bookmark = Lbfgs.tell, Bookmark()
    pairs: list[tuple[weakref.ref[Tensor], int]] = []

    def cramped(self: Lbfgs, loss: float, gradient: Tensor) -> None:
        found = self.state().get("s0")
        if isinstance(found, Tensor):
            pairs.append((weakref.ref(found), self.pairs))
        if self.pairs > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        tell(self, loss, gradient)
        if pairs and pairs[-1][1] < 4 < max(count for _, count in pairs):
            gc.collect()
            assert all(pair() is None for pair, count in pairs if count > 4)

    monkeypatch.setattr(Lbfgs, "tell", cramped)
    options = options_of(single_level=True, evaluations=20)
    steps = list(optimize(features, PHOTO, [PAINTING], PHOTO, options, bookmark=bookmark))
    assert len(steps) == 20
    assert steps[-1].best_loss < steps[6].best_loss < steps[0].terms.loss
    assert [(limit.level, limit.history) for limit in bookmark.limits] == [(0, 2)]
    assert max(count for _, count in pairs) == 5


def test_an_evaluation_without_memory_forgets_at_last(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where tiles can get no smaller, an evaluation has the memory that the history took."""
    evaluate, count = Objective.evaluate, [0]

    def cramped(self: Objective, picture: Tensor) -> tuple[Terms, Tensor]:
        count[0] += 1
        if count[0] in (8, 9):
            raise MemoryError
        return evaluate(self, picture)

    monkeypatch.setattr(Objective, "evaluate", cramped)
    bookmark, options = Bookmark(), options_of(single_level=True, evaluations=12)
    assert len(list(optimize(features, PHOTO, [PAINTING], PHOTO, options, bookmark=bookmark))) == 12
    assert [limit.evaluation for limit in bookmark.limits] == [8, 8]
    first, second = (limit.history or 0 for limit in bookmark.limits)
    assert second == first // 2 > 0


@pytest.mark.parametrize("place", ["_climb", "Progress.picture"])
def test_a_climb_without_memory_is_one_line(
    features: Features, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Memory that runs out on the way up, in the run or for its result, names the size."""
    steps = optimize(features, PHOTO, [PAINTING], PHOTO, options_of(levels="12:2,24:2"))
    first = next(steps)

    def exhausted(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(module, "_climb", exhausted)
    with pytest.raises(RunError, match="out of memory at 24 x 18 px"):
        first.picture if place == "Progress.picture" else list(steps)
