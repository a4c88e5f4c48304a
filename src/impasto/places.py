"""A run's place put into the plain form that a checkpoint holds, and taken out of it again.

Nothing here evaluates anything: `optimize` makes places and goes on from them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import torch
from torch import Tensor

from impasto.checkpoint import Place, TermNumbers
from impasto.levels import Level
from impasto.minimizers import State, make_minimizer
from impasto.objective import Terms
from impasto.options import StyleOptions

_MINE = "minimizer."
"""What the names of a minimiser's tensors begin with."""


def check_place(place: Place, start: Tensor, options: StyleOptions) -> None:
    """Checks a place that was read from a file.

    Args:
        place: where a run stood.
        start: the start picture of that run, at the full size.
        options: its options.

    Raises:
        ValueError: no run with these stands there.
    """
    standing, best = place.standing, place.tensors.get("best")
    if standing.level >= len(standing.levels):
        raise ValueError("there is no such level")
    sizes = [(level.height, level.width) for level in levels_of(place)]
    full = start.shape[-2:]
    if sizes[-1] != full or not all(1 <= h <= full[0] and 1 <= w <= full[1] for h, w in sizes):
        raise ValueError("the levels are those of another size")
    if best is None or best.shape != (1, 3, *sizes[standing.level]):
        raise ValueError("the best picture is of another size")
    if not bool(torch.isfinite(best).all()) or None in _plain(standing.best_terms).values():
        raise ValueError("the best picture is none")
    if not all(_is_picture(moment) for moment in carried_by(place, start) or ()):
        raise ValueError("what is handed on is no picture")
    if standing.optimizer is not None:
        level = levels_of(place)[standing.level]
        if level.anchored and not _is_picture(place.tensors.get("anchor")):
            raise ValueError("there is nothing to hold the picture to")
        minimizer = make_minimizer(
            *(standing.optimizer, best),
            evaluations=level.evaluations,
            history=options.history,
            learning_rate=options.learning_rate,
        )
        minimizer.restore(minimizer_state(place))
        if not bool(torch.isfinite(minimizer.ask()).all()):
            raise ValueError("the next point is no picture")


def between_levels(place: Place, carried: tuple[Tensor, Tensor] | None) -> Place:
    """The place after a finished level: what the next one begins with, and no history."""
    numbers = {"optimizer": None, "minimizer": {}, "recent": [], "faults": 0}
    tensors = {"best": place.tensors["best"]}
    if carried is not None:
        tensors |= {"carried.mean": carried[0], "carried.square": carried[1]}
    return Place(place.standing.model_copy(update=numbers), tensors)


def with_minimizer(place: Place, state: State) -> Place:
    """The same place, where the minimiser of its level stands as `Minimizer.state` says."""
    numbers = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
    tensors = {n: t for n, t in place.tensors.items() if not n.startswith(_MINE)}
    tensors |= {f"{_MINE}{n}": value for n, value in state.items() if isinstance(value, Tensor)}
    return Place(place.standing.model_copy(update={"minimizer": numbers}), tensors)


def levels_of(place: Place) -> tuple[Level, ...]:
    """All levels of the place's run, coarse to fine."""
    return tuple(
        Level(width, height, evaluations, bool(anchored))
        for width, height, evaluations, anchored in place.standing.levels
    )


def levels_left(place: Place) -> tuple[Level, ...]:
    """What is still to do from the place on: the rest of its level, and those after it."""
    levels, standing = levels_of(place), place.standing
    current, later = levels[standing.level], levels[standing.level + 1 :]
    if standing.optimizer is None:
        return later
    left = max(0, current.evaluations - standing.evaluation)
    return replace(current, evaluations=left), *later


def _is_picture(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dim() == 4 and tensor.shape[:2] == (1, 3)


def carried_by(place: Place, start: Tensor) -> tuple[Tensor, Tensor] | None:
    """The moments that Adam hands on from a finished level, where `start` is; `None` for none."""
    if "carried.mean" not in place.tensors:
        return None
    square = place.tensors.get("carried.square", torch.empty(0))
    return place.tensors["carried.mean"].to(start), square.to(start)


def minimizer_state(place: Place) -> dict[str, Tensor | float]:
    """What `Minimizer.restore` takes; the inverse of `with_minimizer`."""
    tensors = {n.removeprefix(_MINE): t for n, t in place.tensors.items() if n.startswith(_MINE)}
    return {**tensors, **place.standing.minimizer}


def numbers_of(terms: Terms) -> TermNumbers:
    """Terms as plain numbers; JSON knows neither NaN nor infinity."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    plain = asdict(terms)
    layers = {name: finite(value) for name, value in plain.pop("layers").items()}
    return TermNumbers(**{name: finite(value) for name, value in plain.items()}, layers=layers)


def _plain(numbers: TermNumbers) -> dict[str, float | None]:
    return numbers.model_dump(exclude={"layers"})


def terms_of(numbers: TermNumbers) -> Terms:
    """The terms that `numbers_of` wrote; what was no finite number is NaN."""
    plain = {name: math.nan if v is None else v for name, v in _plain(numbers).items()}
    layers = {name: math.nan if v is None else v for name, v in numbers.layers.items()}
    return Terms(**plain, layers=layers)
