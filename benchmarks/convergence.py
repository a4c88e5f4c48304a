"""Loss against evaluations and against time: impasto against pixel L-BFGS in plain PyTorch.

    python benchmarks/convergence.py [--size 256] [--evaluations 200]
                                     [--style-loss wasserstein2|gram]
                                     [--pair PHOTO PAINTING]...

All start from the photo. The yardstick minimises over unbounded pixels for a fixed number of
evaluations. Its result is the lowest loss on the way, once of those pixels and once of the picture
that they make, clamped to what a file can hold. impasto, whose every iterate is a picture, runs
twice, at the full size only and with its default levels, until it has spent the evaluations of a
default run and reached both results, or has spent one and a half times as many at the full size as
the yardstick. A coarse evaluation costs its share of the full size's pixels, and its loss, being
another function, never counts as reached. Seconds include making the targets, not loading the
weights.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.levels import plan_levels
from impasto.objective import Objective
from impasto.optimize import Progress
from impasto.options import StyleOptions, make_options
from impasto.run import stylization
from impasto.weights import Weights, load_weights
from problem import Problem, engine_objective, load_problem, saved
from record import RESULTS, describe_run, write_json
from yardstick import Yardstick, check_same

PAIRS = (
    ("sample:astronaut", "style:stained-glass"),
    ("sample:cat", "style:night-sky"),
    ("sample:coffee", "style:mosaic"),
    ("sample:rocket", "style:water-garden"),
)

METHODS = {
    "yardstick": ("pixel L-BFGS, plain PyTorch", "#888888"),
    "single": ("impasto, full size only", "#2563a8"),
    "levels": ("impasto, default levels", "#c2410c"),
}


@dataclass(frozen=True)
class Curve:
    """Losses at the full size.

    Attributes:
        evaluations: cost up to each loss, in evaluations at the full size.
        seconds: time up to each loss.
        loss: the lowest loss so far.
    """

    evaluations: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)

    def add(self, evaluations: float, seconds: float, loss: float) -> None:
        """Adds a point; a loss that is not finite, or above the lowest, leaves the lowest."""
        lowest = self.loss[-1] if self.loss else math.inf
        lowest = min(lowest, loss) if math.isfinite(loss) else lowest
        if math.isfinite(lowest):
            self.evaluations.append(round(evaluations, 3))
            self.seconds.append(round(seconds, 3))
            self.loss.append(float(f"{lowest:.7g}"))

    def reach(self, loss: float) -> dict[str, float] | None:
        """Evaluations and seconds until the loss was first as low as this; `None`: never."""
        for evaluations, seconds, value in zip(
            self.evaluations, self.seconds, self.loss, strict=True
        ):
            if value <= loss:
                return {"evaluations": evaluations, "seconds": seconds}
        return None


def run_yardstick(
    problem: Problem, weights: Weights, objective: Objective, evaluations: int
) -> dict[str, Any]:
    """Pixel L-BFGS; its curve and its result as it is, clamped, and read back from a file."""
    curve, best = Curve(), problem.photo
    began = time.perf_counter()
    yardstick = Yardstick(problem, weights)

    def note(loss: float, picture: Tensor) -> None:
        nonlocal best
        lowest = curve.loss[-1] if curve.loss else math.inf
        if loss < lowest:
            best = picture.clone()
        curve.add(len(curve.loss) + 1, time.perf_counter() - began, loss)

    yardstick.minimize(problem.photo, evaluations, on_evaluation=note)
    return {
        "loss": curve.loss[-1],
        "loss_clamped": objective.terms(best.clamp(0, 1)).loss,
        "loss_saved": objective.terms(saved(best)).loss,
        "curve": curve,
    }


def run_impasto(
    photo: str,
    painting: str,
    options: StyleOptions,
    objective: Objective,
    *,
    default: int,
    target: float,
    picture_target: float = math.inf,
) -> dict[str, Any]:
    """A run of impasto; its curve, and what it had after the evaluations of a default run.

    Args:
        photo: see `load_problem`.
        painting: likewise.
        options: with as many evaluations at the full size as may be spent.
        objective: the full size's.
        default: evaluations at the full size of a run that nobody extends.
        target: the loss to reach.
        picture_target: the loss to reach that the yardstick's result has as a picture.
    """
    curve, cost, fine = Curve(), 0.0, 0
    finished: Progress | None = None
    run = stylization(photo, painting, options)
    for progress in run:
        cost += progress.width * progress.height / (run.width * run.height)
        if progress.level < len(progress.levels) - 1:
            continue
        fine += 1
        curve.add(cost, progress.elapsed, progress.terms.loss)
        if fine <= default:
            finished = progress
        if fine >= default and progress.best_loss <= min(target, picture_target):
            run.close()
    assert finished is not None
    return {
        "default_evaluations": min(fine, default),
        "loss_default": finished.best_loss,
        "loss_default_saved": objective.terms(saved(finished.picture)).loss,
        "reached": curve.reach(target),
        "reached_picture": curve.reach(picture_target),
        "curve": curve,
    }


def extend(options: StyleOptions, width: int, height: int, evaluations: int) -> StyleOptions:
    """The same run with its coarse levels as they are and more evaluations at the full size."""
    *coarse, _ = plan_levels(options, width, height)
    levels = [(max(level.width, level.height), level.evaluations) for level in coarse]
    levels.append((max(width, height), evaluations))
    return make_options({**options.model_dump(), "levels": levels})


def compare(
    photo: str, painting: str, size: int, evaluations: int, style_loss: str
) -> dict[str, Any]:
    """All three methods on one pair."""
    # Both from the photo.
    options = make_options(
        {"size": size, "start": "content", "style_loss": style_loss, "device": "cpu"}
    )
    weights = load_weights(options.model)
    problem = load_problem(photo, painting, options)
    objective = engine_objective(problem, weights)
    yardstick = Yardstick(problem, weights)
    check_same(yardstick, objective, problem.photo)
    # A process's first gradient prepares kernels, its first torch.optim optimiser imports PyTorch's
    # compiler; neither side's clock should hold that.
    yardstick.minimize(problem.photo, 2)
    objective.evaluate(problem.photo)
    height, width = problem.photo.shape[-2:]
    default = min(options.evaluations, evaluations)
    plain = run_yardstick(problem, weights, objective, evaluations)
    runs: dict[str, Any] = {}
    for name, single_level in (("single", True), ("levels", False)):
        own = options.model_copy(update={"single_level": single_level})
        runs[name] = run_impasto(
            photo,
            painting,
            extend(own, width, height, evaluations * 3 // 2),
            objective,
            default=default,
            target=plain["loss"],
            picture_target=plain["loss_clamped"],
        )
    return {
        "photo": photo,
        "painting": painting,
        "width": width,
        "height": height,
        "yardstick": plain,
        **runs,
    }


def mean_reached(
    pairs: Sequence[dict[str, Any]], name: str, which: str = "reached"
) -> dict[str, Any]:
    """Evaluations and seconds to the yardstick's result, averaged over the pairs.

    A mean over the pairs that reached it alone would flatter, so there is none unless all did.
    """
    reached = [pair[name][which] for pair in pairs]
    found = [entry for entry in reached if entry is not None]
    everyone = len(found) == len(pairs)
    return {
        "pairs": len(pairs),
        "reached": len(found),
        "evaluations": statistics.fmean(e["evaluations"] for e in found) if everyone else None,
        "seconds": statistics.fmean(e["seconds"] for e in found) if everyone else None,
    }


def draw(pairs: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws a row for each pair: loss against evaluations, loss against seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.6 * len(pairs) + 0.6), layout="constrained")
    grid = figure.subplots(len(pairs), 2, squeeze=False, sharey="row")
    for row, pair in zip(grid, pairs, strict=True):
        for axes, unit in zip(row, ("evaluations", "seconds"), strict=True):
            for name, (label, color) in METHODS.items():
                curve: Curve = pair[name]["curve"]
                axes.plot(getattr(curve, unit), curve.loss, color=color, label=label)
            target = pair["yardstick"]["loss"]
            axes.axhline(target, color=METHODS["yardstick"][1], linewidth=0.8, linestyle=":")
            axes.set_yscale("log")
            axes.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(f"{Path(pair['photo']).name}\n{Path(pair['painting']).name}\nloss")
    grid[0][0].legend(frameon=False)
    grid[-1][0].set_xlabel("evaluations, in those of the full size")
    grid[-1][1].set_xlabel("seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=256, help="long side, px")
    parser.add_argument("--evaluations", type=int, default=200, help="of the yardstick")
    parser.add_argument(
        "--pair",
        nargs=2,
        action="append",
        metavar=("PHOTO", "PAINTING"),
        help="sample:NAME, style:NAME or files; may be repeated",
    )
    parser.add_argument(
        "--style-loss", choices=("wasserstein2", "gram"), default="wasserstein2", help="objective"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "convergence.json")
    arguments = parser.parse_args()
    if arguments.evaluations < 1:
        parser.error("--evaluations must be 1 or more")

    pairs: list[dict[str, Any]] = []
    for photo, painting in arguments.pair or PAIRS:
        pair = compare(photo, painting, arguments.size, arguments.evaluations, arguments.style_loss)
        pairs.append(pair)
        plain = pair["yardstick"]
        print(f"{photo} + {painting}, {pair['width']} x {pair['height']} px")
        print(
            f"  yardstick  {plain['loss']:.4f} after {arguments.evaluations} evaluations, "
            f"{plain['curve'].seconds[-1]:.0f} s; clamped {plain['loss_clamped']:.4f}, "
            f"saved {plain['loss_saved']:.4f}"
        )
        for name in ("single", "levels"):
            own = pair[name]
            print(f"  {name:9}  the loss {_reached(own['reached'])}")
            print(f"  {'':9}  the picture's loss {_reached(own['reached_picture'])}")
            print(
                f"  {'':9}  a default run ends at {own['loss_default']:.4f}, "
                f"saved {own['loss_default_saved']:.4f}",
                flush=True,
            )
    means = {
        name: {which: mean_reached(pairs, name, which) for which in ("reached", "reached_picture")}
        for name in ("single", "levels")
    }
    for name, mean in means.items():
        for which, entry in mean.items():
            print(
                f"mean, {name}, {which}: {_reached(entry if entry['evaluations'] else None)} "
                f"({entry['reached']} of {entry['pairs']} pairs)"
            )
    draw(pairs, arguments.output.with_suffix(".png"))
    plain_pairs = [
        {
            key: {**value, "curve": asdict(value["curve"])} if key in METHODS else value
            for key, value in pair.items()
        }
        for pair in pairs
    ]
    write_json(
        arguments.output,
        {
            "question": "evaluations and seconds that impasto needs to reach the loss of pixel "
            "L-BFGS in plain PyTorch (history 100, no line search, no bounds)",
            **describe_run(),
            "size": arguments.size,
            "style_loss": arguments.style_loss,
            "yardstick_evaluations": arguments.evaluations,
            "mean_to_reach": means,
            "pairs": plain_pairs,
        },
    )


def _reached(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "not reached"
    return f"reached after {entry['evaluations']:.1f} evaluations, {entry['seconds']:.0f} s"


if __name__ == "__main__":
    try:
        main()
    except ImpastoError as error:
        sys.exit(f"convergence: {error}")
