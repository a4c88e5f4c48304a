"""The run: from a start picture through the levels, coarse to fine, to the result.

`optimize` is a generator of `Progress`, one per evaluation; whoever draws a bar, writes a trace or
feeds a browser reads those. Closing the generator cancels the run. A `Bookmark` given to it holds
the run's place after every evaluation, and a run that is given a place goes on from there.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from impasto.checkpoint import Bookmark, OptimizerName, Place, Standing
from impasto.errors import NotFiniteError, RunError, is_out_of_memory
from impasto.features import Features, canonical_layer
from impasto.levels import (
    Level,
    allotment,
    budget_for,
    level_costs,
    plan_levels,
    shallow_layers,
    share_done,
)
from impasto.matting import MattingTerm
from impasto.memory import Allotment, Budget, Limit, hand_back
from impasto.minimizers import Adam, Minimizer, make_minimizer
from impasto.objective import Objective, PixelLoss, Terms, samples_for
from impasto.options import StyleOptions
from impasto.pixel_terms import Held, HeldTerm, LaplacianTerm
from impasto.places import (
    between_levels,
    carried_by,
    levels_of,
    minimizer_state,
    numbers_of,
    terms_of,
    with_minimizer,
)
from impasto.regions import kept_part, regions_of
from impasto.targets import (
    Kept,
    Painting,
    RegionTargets,
    make_targets,
    resize,
    resize_around,
    resize_mask,
)

_T = TypeVar("_T")

ANCHORED_ENLARGE = 2.0
"""How many times anchored levels enlarge a painting that is smaller than they are. With more, large
prints look soft; with less, grain takes the place of the strokes."""


@dataclass(frozen=True)
class Progress:
    """One evaluation of the objective.

    Attributes:
        level: index of the level, from 0 (coarsest).
        levels: all levels of the run.
        evaluation: number of this evaluation within its level, from 1.
        done: evaluations over all levels so far.
        terms: the loss and its terms at the point evaluated.
        best_terms: the same of the best picture of this level.
        elapsed: seconds since the run began.
        remaining: seconds the run is expected to go on.
        share: how much of the run's work is done, in [0, 1]: by evaluations and what each costs.
        best: the best picture of this level, `(1, 3, h, w)` in [0, 1].
    """

    level: int
    levels: tuple[Level, ...]
    evaluation: int
    done: int
    terms: Terms
    best_terms: Terms
    elapsed: float
    remaining: float
    share: float
    best: Tensor = field(repr=False)
    _start: Tensor = field(repr=False)
    _keep_detail: bool = field(repr=False)
    _kept: Kept | None = field(default=None, repr=False)

    @property
    def best_loss(self) -> float:
        """Lowest loss at this level so far."""
        return self.best_terms.loss

    @property
    def width(self) -> int:
        """Width of the level, px."""
        return self.levels[self.level].width

    @property
    def height(self) -> int:
        """Height of the level, px."""
        return self.levels[self.level].height

    @property
    def picture(self) -> Tensor:
        """The best picture so far at the run's full size, `(1, 3, H, W)` in [0, 1].

        A coarser level is enlarged, with the start picture's own detail put back. Its colours are
        those of the run; `Stylization.shown` has those of a result.

        Raises:
            RunError: memory ran out.
        """
        with _naming(self.levels[-1]):
            whole = _climb(self.best, self._start, self._keep_detail).clamp(0, 1)
            return whole if self._kept is None else self._kept.put_into(whole)


def level_objective(
    features: Features,
    content: Tensor | None,
    styles: Sequence[Painting],
    options: StyleOptions,
    width: int,
    height: int,
    *,
    masks: Sequence[Tensor] = (),
    anchor: Tensor | None = None,
    held: Held | None = None,
    tile_pixels: int | None = None,
) -> Objective:
    """The objective of one level.

    Args:
        features: the network.
        content: the photo at any size, `(1, 3, H, W)` in [0, 1], or `None`.
        styles: paintings, or none.
        options: layers, weights, losses, regions and shares.
        width: of the level, px.
        height: of the level, px.
        masks: of the regions, `(H, W)` in [0, 1], all of one size.
        anchor: the coarser level's result, which the picture is held to, while only shallow layers
            are matched; `None`: all layers, and no anchor.
        held: a picture to stay close to where it is trusted.
        tile_pixels: largest tile that goes through the network at once; `None`: whole pictures.
            Where memory runs out, the objective gets a smaller limit.

    Raises:
        OptionError: a layer that the network has not, or regions or shares that do not fit the
            paintings.
    """
    content_layers = _canonical(options.content_layers, features)
    style_layers = _canonical(options.style_layers, features)
    if anchor is not None:
        content_layers = shallow_layers(content_layers, features.architecture)
        style_layers = shallow_layers(style_layers, features.architecture)
    place = {"device": features.device, "dtype": features.picture_dtype}
    photo = None if content is None else resize(content.to(**place), height, width).clamp(0, 1)
    regions = regions_of(options, [s.to(**place) for s in styles], masks)
    targets = make_targets(
        features,
        photo,
        regions,
        height=height,
        width=width,
        content_layers=content_layers if options.content_weight > 0 else (),
        style_layers=style_layers if options.style_weight > 0 else (),
        samples=samples_for(options.style_loss, style_layers) if options.style_weight > 0 else {},
        enlarge=math.inf if anchor is None else ANCHORED_ENLARGE,
        tile_pixels=tile_pixels,
    )
    crisp = options.content_loss.get("laplacian", 0.0)
    pixel_losses = []
    if photo is not None and crisp > 0:
        pixel_losses.append(PixelLoss("laplacian", LaplacianTerm(photo), crisp, is_content=True))
    if photo is not None and options.photoreal_weight > 0:
        edges = PixelLoss("photoreal", MattingTerm(photo), options.photoreal_weight)
        pixel_losses.append(edges)
    if held is not None and held.weight > 0:
        picture = resize(held.picture.to(**place), height, width).clamp(0, 1)
        trust = resize_mask(held.trust.to(**place), height, width)
        pixel_losses.append(PixelLoss("held", HeldTerm(picture, trust), held.weight))
    kept = kept_part(options, photo, len(styles), masks)
    return Objective(
        features,
        replace(targets, anchor=anchor, kept=kept),
        content_layers=content_layers,
        style_layers=style_layers,
        style_loss=options.style_loss,
        normalize=options.normalize,
        content_weight=options.content_weight,
        style_weight=options.style_weight,
        tv_weight=options.tv_weight * _mean_strength(targets.regions),
        tv=options.tv,
        content_loss={n: w for n, w in options.content_loss.items() if n != "laplacian"},
        pixel_losses=pixel_losses,
        seed=options.seed,
        wraps=options.tileable,
        anchor_weight=options.anchor_weight,
        tile_pixels=targets.tile_pixels,
    )


def _mean_strength(regions: Sequence[RegionTargets]) -> float:
    """What smoothness counts: where nothing changes, it may not soften the photo."""
    area = sum(region.share for region in regions)
    return sum(region.share * region.strength for region in regions) / area if area > 0 else 1.0


def optimize(
    features: Features,
    content: Tensor | None,
    styles: Sequence[Painting],
    start: Tensor,
    options: StyleOptions,
    *,
    masks: Sequence[Tensor] = (),
    memory: int | None = None,
    coarse: Tensor | None = None,
    bookmark: Bookmark | None = None,
    afresh: bool = False,
    held: Held | None = None,
) -> Iterator[Progress]:
    """Minimises the objective level by level.

    Args:
        features: the network.
        content: the photo at the full size, `(1, 3, H, W)` in [0, 1], or `None`.
        styles: paintings, or none.
        start: the start picture at the full size.
        options: everything else.
        masks: of the regions, `(H, W)` in [0, 1], at the full size.
        memory: bytes that the process may hold; `None`: no limit.
        coarse: a smaller result that the run goes on from, `(1, 3, h, w)`; levels that are no
            larger are left out.
        bookmark: holds the run's place from each evaluation to the next; if it holds one already,
            which `check_place` has passed, the run goes on from there. Where memory runs out, the
            run goes on with smaller tiles or a shorter history and notes it there.
        afresh: the objective is another than when the bookmark's place was reached: of that place
            the picture and the count of evaluations are taken up, and no loss nor history.
        held: a picture that all levels stay close to where it is trusted.

    Yields:
        One `Progress` per evaluation. The last one's `picture` is the result.

    Raises:
        OptionError: a layer that the network has not, or shares that do not fit the paintings.
        NotFiniteError: the loss is not finite even at the start.
        RunError: memory ran out and there was nothing left to do without.
    """
    bookmark = Bookmark() if bookmark is None else bookmark
    place = bookmark.place
    height, width = start.shape[-2:]
    above = 0 if coarse is None else max(coarse.shape[-2:])
    levels = plan_levels(options, width, height, above) if place is None else levels_of(place)
    keep_detail = _keeps_detail(options)
    start = start.to(features.device, features.picture_dtype)
    photo = None if content is None else content.to(start)
    kept = kept_part(options, photo, len(styles), masks)
    budget = None if memory is None else budget_for(memory, features, styles, masks)
    shares = [None if budget is None else allotment(level, options, budget) for level in levels]
    costs = level_costs(levels, options, budget)
    spent = 0.0 if bookmark.began is None else time.monotonic() - bookmark.began
    if place is not None:
        spent = place.standing.elapsed
    clock = _Clock(levels, costs, options.time_limit, spent)
    carried, done, first = None, 0, 0
    picture: Tensor | None = start if coarse is None else coarse.to(start)
    if place is not None:
        picture, done = place.tensors["best"].to(start), place.standing.done
        carried = None if afresh else carried_by(place, start)
        first = place.standing.level + (place.standing.optimizer is None)
    for index, level in enumerate(levels):
        if index < first:
            continue
        resumed = place if place is not None and index == place.standing.level else None
        assert picture is not None
        below: Tensor | None = picture
        if resumed is None:
            with _naming(level):
                fit = resize_around if options.tileable else resize
                small = fit(start, level.height, level.width).clamp(0, 1)
                lowest = index == 0 and coarse is None
                if not lowest and options.tileable:
                    picture = resize_around(picture, level.height, level.width).clamp(0, 1)
                else:
                    picture = small if lowest else _climb(picture, small, keep_detail).clamp(0, 1)
        elif level.anchored:
            below = resumed.tensors["anchor"].to(start)
        if level.evaluations == 0 and index < len(levels) - 1:
            continue
        anchor = below if level.anchored else None
        bounds = _Bounds(bookmark.limits, index, shares[index], options.history)
        tile_pixels, _ = bounds.at(0)
        clock.enter(index, None if resumed is None else resumed.standing)
        with _naming(level):
            objective = level_objective(
                features,
                content,
                styles,
                options,
                level.width,
                level.height,
                masks=masks,
                anchor=anchor,
                held=held,
                tile_pixels=tile_pixels,
            )
            if objective.tile_pixels != tile_pixels:
                bounds.add(0, tile_pixels=objective.tile_pixels)
            descent = _Descent(
                *(objective, picture, options, level, carried),
                bounds=bounds,
                anchor=anchor,
                bookmark=bookmark,
            )
            if resumed is not None:
                descent.restore(resumed, afresh=afresh)
        # Nothing may hold on to a history that the minimiser has dropped, nor to a large picture
        # that is needed no more.
        place = resumed = small = picture = below = objective = anchor = None
        for evaluation, terms in descent.run(clock):
            done += 1
            progress = Progress(
                index,
                levels,
                evaluation,
                done,
                terms,
                descent.best_terms,
                clock.elapsed(),
                clock.remaining(evaluation),
                share_done(costs, levels, index, evaluation),
                descent.best,
                start,
                keep_detail,
                kept,
            )
            bookmark.place = descent.place(progress, clock)
            yield progress
        picture = descent.best
        # A finished L-BFGS holds its whole history; only Adam has something to hand on.
        carried = descent.to_carry()
        if bookmark.place is not None:
            bookmark.place = between_levels(bookmark.place, carried)
        progress = descent = None


def climb(coarse: Tensor, start: Tensor, options: StyleOptions, kept: Kept | None = None) -> Tensor:
    """A smaller result at the full size of a run, before any work on it.

    Args:
        coarse: the smaller result, `(1, 3, h, w)`.
        start: the start picture at the full size, whose detail is put back.
        options: of the run.
        kept: what of the photo stays as it is.

    Raises:
        RunError: memory ran out.
    """
    with _naming(Level(start.shape[-1], start.shape[-2], 0)):
        whole = _climb(coarse.to(start), start, _keeps_detail(options)).clamp(0, 1)
        return whole if kept is None else kept.put_into(whole)


def progress_at(
    place: Place,
    start: Tensor,
    options: StyleOptions,
    budget: Budget | None = None,
    kept: Kept | None = None,
) -> Progress:
    """The `Progress` that was told when a run stood at a place that `check_place` has passed.

    Args:
        place: where the run stood.
        start: the start picture of that run, at the full size.
        options: its options.
        budget: what the process may hold; `None`: no limit.
        kept: what of the photo stays as it is.
    """
    standing, levels = place.standing, levels_of(place)
    costs = level_costs(levels, options, budget)
    return Progress(
        standing.level,
        levels,
        standing.evaluation,
        standing.done,
        terms_of(standing.terms),
        terms_of(standing.best_terms),
        standing.elapsed,
        standing.remaining,
        share_done(costs, levels, standing.level, standing.evaluation),
        place.tensors["best"].to(start),
        start,
        _keeps_detail(options),
        kept,
    )


class _Clock:
    """Deadlines of levels under a time limit, and the expected time left.

    A level's share of the time limit is its share of the work, so that the full size always gets
    its part; time that a level leaves over goes to the next.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        costs: Sequence[float],
        limit: float | None,
        spent: float,
    ) -> None:
        self._costs = costs
        self._work = [
            cost * max(1, level.evaluations)
            for cost, level in zip(self._costs, levels, strict=True)
        ]
        began = time.monotonic() - spent
        self._levels, self._began, self._limit = levels, began, limit
        self._level, self._entered, self._last = 0, began, 0.0
        self._warm = began

    def enter(self, level: int, resumed: Standing | None) -> None:
        now = time.monotonic()
        self._level, self._entered, self._last = level, now, 0.0
        if resumed is not None:
            # As if the level's evaluations so far had been made just now.
            self._entered = now - (resumed.elapsed - resumed.entered)
            self._warm = now - (resumed.elapsed - resumed.warm)

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def entered_and_warm(self) -> tuple[float, float]:
        """Seconds into the run at which the level began and its first evaluation had ended."""
        return self._entered - self._began, self._warm - self._began

    def over(self, evaluation: int) -> bool:
        """Whether the next evaluation would end after this level's deadline."""
        now = time.monotonic()
        if evaluation:
            self._last = (now - self._entered) / evaluation
        if self._limit is None:
            return False
        share = sum(self._work[: self._level + 1]) / sum(self._work)
        return now + self._last > self._began + self._limit * share

    def remaining(self, evaluation: int) -> float:
        now = time.monotonic()
        if evaluation <= 1:
            # The first evaluation at a size is slow: memory is new, kernels are chosen.
            self._warm = now
            per_evaluation = now - self._entered
        else:
            per_evaluation = (now - self._warm) / (evaluation - 1)
        left = max(0, self._levels[self._level].evaluations - evaluation) * per_evaluation
        left += sum(self._work[self._level + 1 :]) * per_evaluation / self._costs[self._level]
        if self._limit is not None:
            left = min(left, max(0.0, self._began + self._limit - now))
        return left


class _Bounds:
    """What memory leaves to one level: the largest tile and the longest history.

    Both follow from the budget and from where memory ran out, in this run or when it was made
    before.
    """

    def __init__(
        self, limits: list[Limit], level: int, share: Allotment | None, history: int
    ) -> None:
        self._limits, self._level = limits, level
        self._tile_pixels = None if share is None else share.tile_pixels
        self._history = history if share is None else share.history

    def at(self, evaluation: int) -> tuple[int | None, int]:
        """The largest tile, in pixels, and the longest history at an evaluation of the level, from
        1; 0: for its targets."""
        tile_pixels, history = self._tile_pixels, self._history
        for limit in self._limits:
            if (limit.level, limit.evaluation) <= (self._level, evaluation):
                if limit.tile_pixels is not None:
                    tile_pixels = min(tile_pixels or limit.tile_pixels, limit.tile_pixels)
                history = min(history, limit.history or history)
        return tile_pixels, history

    def add(
        self, evaluation: int, *, tile_pixels: int | None = None, history: int | None = None
    ) -> None:
        """Notes that memory has run out there, and what it then sufficed for."""
        limit = Limit(
            level=self._level, evaluation=evaluation, tile_pixels=tile_pixels, history=history
        )
        self._limits.append(limit)


class _Descent:
    """One level: drives a minimiser, keeps the best picture, survives losses that are not finite
    and memory that runs out.

    On the first loss that is not finite the minimiser starts anew from the best picture without
    its history; on the second, Adam takes over, with half the rate after each further one.

    Where memory runs out and the objective's tiles can get no smaller, or in the minimiser, half of
    the history is given up each time, as long as there is one.
    """

    def __init__(
        self,
        objective: Objective,
        start: Tensor,
        options: StyleOptions,
        level: Level,
        carried: tuple[Tensor, Tensor] | None,
        *,
        bounds: _Bounds,
        anchor: Tensor | None,
        bookmark: Bookmark,
    ) -> None:
        self.best = start
        self.best_terms = Terms(math.inf, math.inf, math.inf, math.inf)
        self._objective, self._options, self._level = objective, options, level
        self._bounds, self._anchor, self._bookmark = bounds, anchor, bookmark
        self._evaluation, self._faults = 0, 0
        # The tolerance looks ten evaluations back.
        self._recent: deque[float] = deque(maxlen=11)
        self._optimizer: OptimizerName = options.optimizer
        self._minimizer = self._make(start, carried)

    def _make(self, start: Tensor, carried: tuple[Tensor, Tensor] | None = None) -> Minimizer:
        return make_minimizer(
            *(self._optimizer, start),
            evaluations=self._level.evaluations,
            history=self._bounds.at(self._evaluation)[1],
            learning_rate=self._options.learning_rate,
            faults=self._faults,
            carried=carried,
            wraps=self._options.tileable,
        )

    def run(self, clock: _Clock) -> Iterator[tuple[int, Terms]]:
        """Yields the number of each evaluation and its terms; the start counts as the first."""
        while self._evaluation < max(1, self._level.evaluations):
            if self._minimizer.stalled or self._settled():
                return
            if self._evaluation > 0 and clock.over(self._evaluation):
                return
            number = self._evaluation + 1
            tile_pixels, history = self._bounds.at(number)
            self._objective.tile_pixels = tile_pixels
            self._minimizer.shorten(history)
            point = self._minimizer.ask()
            with _naming(self._level):
                terms, gradient = self._within_memory(partial(self._objective.evaluate, point))
            if self._objective.tile_pixels != tile_pixels:
                self._bounds.add(number, tile_pixels=self._objective.tile_pixels)
            finite = math.isfinite(terms.loss) and bool(torch.isfinite(gradient).all())
            if finite and terms.loss < self.best_terms.loss:
                # Minimisers change no point that they have given away.
                self.best, self.best_terms = point, terms
            if finite:
                with _naming(self._level):
                    self._within_memory(partial(self._minimizer.tell, terms.loss, gradient))
            elif math.isinf(self.best_terms.loss):
                remedy = "check the model's weights with 'impasto weights verify'"
                if self._objective.features.dtype == torch.float16:
                    remedy = "use --precision bfloat16 or float32"
                raise NotFiniteError(
                    "the loss is not a finite number at the start picture; lower the weights or "
                    f"{remedy}"
                )
            else:
                self._faults += 1
                if self._faults > 1:
                    self._optimizer = "adam"
                self._minimizer = self._make(self.best)
            self._evaluation = number
            self._recent.append(self.best_terms.loss)
            yield self._evaluation, terms

    def _within_memory(self, work: Callable[[], _T]) -> _T:
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or not self._forget():
                    raise
            hand_back(self._objective.features.device)

    def _forget(self) -> bool:
        """Gives up half of the minimiser's history; whether there was one."""
        history = self._minimizer.pairs // 2
        if history == 0:
            return False
        self._minimizer.shorten(history)
        self._bounds.add(self._evaluation + 1, history=history)
        # What the place held of it would still take the memory.
        if self._bookmark.place is not None:
            self._bookmark.place = with_minimizer(self._bookmark.place, self._minimizer.state())
        return True

    def to_carry(self) -> tuple[Tensor, Tensor] | None:
        """What the next level's minimiser takes over: Adam's moments."""
        adam = self._minimizer
        return (adam.mean, adam.square) if isinstance(adam, Adam) else None

    def place(self, progress: Progress, clock: _Clock) -> Place:
        """Where the run stands after the evaluation just told."""
        entered, warm = clock.entered_and_warm()
        # Checked when it is read: no doubt about it may end the run now.
        standing = Standing.model_construct(
            levels=[[int(number) for number in astuple(level)] for level in progress.levels],
            level=progress.level,
            evaluation=progress.evaluation,
            done=progress.done,
            terms=numbers_of(progress.terms),
            best_terms=numbers_of(progress.best_terms),
            elapsed=progress.elapsed,
            remaining=progress.remaining,
            entered=entered,
            warm=warm,
            faults=self._faults,
            recent=list(self._recent),
            optimizer=self._optimizer,
        )
        tensors = {"best": self.best}
        if self._anchor is not None:
            tensors["anchor"] = self._anchor
        return with_minimizer(Place(standing, tensors), self._minimizer.state())

    def restore(self, place: Place, *, afresh: bool) -> None:
        """Goes on from a place of the same level, whose best picture is here already; `afresh`
        without what only holds of the objective that it was reached with."""
        standing = place.standing
        self._evaluation, self._faults = standing.evaluation, standing.faults
        self._optimizer = standing.optimizer or self._options.optimizer
        self._minimizer = self._make(self.best)
        if not afresh:
            self.best_terms = terms_of(standing.best_terms)
            self._recent.extend(standing.recent)
            self._minimizer.restore(minimizer_state(place))

    def _settled(self) -> bool:
        tolerance, recent = self._options.tolerance, self._recent
        if tolerance <= 0 or len(recent) <= 10:
            return False
        return recent[0] - recent[-1] < tolerance * abs(recent[0])


def _keeps_detail(options: StyleOptions) -> bool:
    return options.start in ("content", "recolored", "image")


@contextlib.contextmanager
def _naming(level: Level) -> Iterator[None]:
    """Memory that runs out inside is one line with the size that was too much."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(
            f"out of memory at {level.width} x {level.height} px; choose a smaller --size, or say "
            "with --memory how much there is"
        ) from error


def _canonical(layers: dict[str, float], features: Features) -> dict[str, float]:
    return {canonical_layer(name, features.architecture): w for name, w in layers.items()}


def _climb(coarse: Tensor, finer: Tensor, keep_detail: bool) -> Tensor:
    """A coarse result at the next size, with the detail of `finer` that the coarse size lacked."""
    height, width = finer.shape[-2:]
    up = resize(coarse, height, width)
    if not keep_detail or up.shape == coarse.shape:
        return up
    # Clamped as the coarse start was, so that what did not change there comes back as it is here.
    detail = resize(resize(finer, *coarse.shape[-2:]).clamp(0, 1), height, width)
    # In place: these are the largest pictures of the run.
    return up.add_(torch.sub(finer, detail, out=detail))
