"""Minimisers of a smooth function of a picture within the box [0, 1].

Each one is asked for a point and told the loss and gradient there (`ask`, `tell`), so the caller
owns the loop, counts evaluations and may stop anywhere. Nothing here knows what is minimised.

Each one can also be put aside and taken up again (`state`, `restore`), in another process too, and
then asks for the same points to the last bit. No tensor of a state is ever changed in place, so a
state costs no copy and stays what it was while its minimiser goes on.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor

State = Mapping[str, Tensor | float]
"""All that a minimiser's next points depend on, by name: tensors of the picture's shape and finite
numbers. The arguments of its constructor are not part of it."""


class Minimizer(Protocol):
    """A state between evaluations.

    Attributes:
        stalled: no further progress is possible from here.
    """

    stalled: bool

    @property
    def pairs(self) -> int:
        """Steps that it remembers, each in two tensors of the picture's size."""
        ...

    def ask(self) -> Tensor:
        """The picture whose loss and gradient are wanted next, `(1, 3, H, W)` within [0, 1]."""
        ...

    def tell(self, loss: float, gradient: Tensor) -> None:
        """The loss and gradient at the picture last asked for; neither need be finite.

        Where it fails, such as for lack of memory, the minimiser stands as before and may be told
        again.
        """
        ...

    def state(self) -> dict[str, Tensor | float]:
        """Where it stands, to be taken between a `tell` and the next `ask`."""
        ...

    def restore(self, state: State) -> None:
        """Goes on from a state of a minimiser that was made with the same arguments.

        Args:
            state: what `state` gave; its tensors are kept, not copied.

        Raises:
            ValueError: it is not the state of such a minimiser for such a picture.
        """
        ...

    def shorten(self, history: int) -> None:
        """Remembers no more than so many steps from now on, the last ones."""
        ...


def smooth_by_pyramid(
    gradient: Tensor, levels: int, scale: float, *, wraps: bool = False
) -> Tensor:
    """Applies `A Aᵀ`, where `A` builds a picture from Laplacian pyramid coefficients.

    A picture is `c₀ + s·U(c₁ + s·U(c₂ + …))` with `U` the bilinear doubling (Burt & Adelson 1983).
    Descent over the coefficients moves the picture along `A Aᵀ` times its gradient, so a
    quasi-Newton method over pixels whose first metric is `A Aᵀ` takes the same steps as one over
    coefficients, and stores a third less.

    Args:
        gradient: `(1, C, H, W)`.
        levels: coarser levels beneath the pixels; fewer are used where the picture gets too small.
        scale: `s`, the scale of each coarser level relative to the finer one.
        wraps: what lies beyond an edge is the opposite edge; levels below odd sides are left out.

    Returns:
        A tensor of the same shape; the map is linear, symmetric and positive definite.
    """
    height, width = gradient.shape[-2:]
    if levels == 0 or min(height, width) < 4:
        return gradient
    if wraps:
        if height % 2 or width % 2:
            return gradient
        inner = smooth_by_pyramid(_halve_around(gradient), levels - 1, scale, wraps=True)
        return _double_around(inner).mul_(scale * scale).add_(gradient)
    small = [(height + 1) // 2, (width + 1) // 2]
    shape = [gradient.shape[0], gradient.shape[1], *small]
    down = torch.ops.aten.upsample_bilinear2d_backward(gradient, [height, width], shape, False)
    inner = smooth_by_pyramid(down, levels - 1, scale)
    up = torch.ops.aten.upsample_bilinear2d(inner, [height, width], False)
    return up.mul_(scale * scale).add_(gradient)


def _double_around(coarse: Tensor) -> Tensor:
    """Bilinear doubling of a picture that wraps around."""
    height, width = coarse.shape[-2:]
    padded = torch.nn.functional.pad(coarse, (1, 1, 1, 1), mode="circular")
    size = [2 * height + 4, 2 * width + 4]
    return torch.ops.aten.upsample_bilinear2d(padded, size, False)[..., 2:-2, 2:-2].contiguous()


def _halve_around(fine: Tensor) -> Tensor:
    """The transpose of `_double_around`."""
    height, width = fine.shape[-2] + 4, fine.shape[-1] + 4
    padded = torch.nn.functional.pad(fine, (2, 2, 2, 2))
    shape = [*fine.shape[:2], height // 2, width // 2]
    down = torch.ops.aten.upsample_bilinear2d_backward(padded, [height, width], shape, False)
    rows = down[..., 1:-1, :].contiguous()
    rows[..., -1, :] += down[..., 0, :]
    rows[..., 0, :] += down[..., -1, :]
    folded = rows[..., 1:-1].contiguous()
    folded[..., -1] += rows[..., 0]
    folded[..., 0] += rows[..., -1]
    return folded


class Lbfgs:
    """Limited-memory BFGS within a box (Nocedal 1980; Byrd, Lu, Nocedal & Zhu 1995 for the idea of
    the active set), with a pyramid metric and a backtracking line search.

    Components at a bound whose descent direction points outward are held there for the step; the
    step is clipped to the box and the curvature pair is taken from the clipped step, so every
    point asked for is a picture and its loss is the loss of what would be saved.

    Args:
        start: `(1, 3, H, W)`.
        history: curvature pairs kept.
        pyramid: coarser pyramid levels in the metric; 0 is plain L-BFGS over pixels.
        scale: scale of each coarser level.
        box: keep within [0, 1]; off is the textbook method.
        first_step: root mean square change of the first step, in units of the value range.
        stride: length of the later steps, before any backtracking, in quasi-Newton steps.
        wraps: the picture wraps around, and the metric with it.
    """

    def __init__(
        self,
        start: Tensor,
        *,
        history: int = 50,
        pyramid: int = 5,
        scale: float = 0.7,
        box: bool = True,
        first_step: float = 0.05,
        stride: float = 1.4,
        wraps: bool = False,
    ) -> None:
        self.box, self.wraps = box, wraps
        self.stride = stride
        self.pyramid, self.scale, self.first_step = pyramid, scale, first_step
        self.x = start.clamp(0, 1) if box else start.clone()
        self.stalled = False
        self._loss = math.inf
        self._gradient: Tensor | None = None
        self._pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)
        self._gamma = 1.0
        self._direction, self._step = torch.zeros_like(self.x), stride
        self._failures = 0
        self._trial = self.x

    def ask(self) -> Tensor:
        """See `Minimizer.ask`."""
        return self._trial

    def tell(self, loss: float, gradient: Tensor) -> None:
        """See `Minimizer.tell`."""
        with _all_or_nothing(self):
            self._tell(loss, gradient)

    def _tell(self, loss: float, gradient: Tensor) -> None:
        if self._gradient is None:
            self._loss, self._gradient = loss, gradient
            self._aim()
            return
        moved = self._trial - self.x
        expected = _dot(self._gradient, moved)
        if math.isfinite(loss) and loss <= self._loss + 1e-4 * expected:
            self._remember(moved, gradient - self._gradient)
            self.x, self._loss, self._gradient = self._trial, loss, gradient
            self._failures = 0
            self._aim()
            return
        self._failures += 1
        if self._failures >= 6:
            if not self._pairs and self._failures >= 12:
                self.stalled = True
            self._pairs.clear()
            self._aim()
            self._step *= 0.1 ** (self._failures - 5)
        elif math.isfinite(loss):
            # The minimum of the parabola through both losses and the first slope.
            curve = loss - self._loss - expected
            factor = -expected / (2 * curve) if curve > 0 else 0.5
            self._step *= min(0.5, max(0.1, factor))
        else:
            self._step *= 0.1
        self._move()

    def state(self) -> dict[str, Tensor | float]:
        """See `Minimizer.state`."""
        found: dict[str, Tensor | float] = {"x": self.x, "stalled": float(self.stalled)}
        if self._gradient is not None:
            found |= {"gradient": self._gradient, "loss": self._loss, "direction": self._direction}
            found |= {"step": self._step, "gamma": self._gamma, "failures": float(self._failures)}
        for number, (s, y, rho) in enumerate(self._pairs):
            found |= {f"s{number}": s, f"y{number}": y, f"rho{number}": rho}
        return found

    def restore(self, state: State) -> None:
        """See `Minimizer.restore`."""
        parts = _Parts(state, self.x)
        self.x, self.stalled = parts.tensor("x"), bool(parts.number("stalled"))
        self._gradient, self._trial = None, self.x
        self._pairs.clear()
        if "gradient" in state:
            self._gradient, self._loss = parts.tensor("gradient"), parts.number("loss")
            self._direction, self._step = parts.tensor("direction"), parts.number("step")
            self._gamma, self._failures = parts.number("gamma"), int(parts.number("failures"))
            for number in range(sum(name.startswith("rho") for name in state)):
                # With a shorter history than before, the last pairs stay.
                pair = parts.tensor(f"s{number}"), parts.tensor(f"y{number}")
                self._pairs.append((*pair, parts.number(f"rho{number}")))
            self._move()
        parts.check_all_used()

    @property
    def pairs(self) -> int:
        """See `Minimizer.pairs`."""
        return len(self._pairs)

    def shorten(self, history: int) -> None:
        """See `Minimizer.shorten`."""
        if history < (self._pairs.maxlen or 0):
            self._pairs = deque(self._pairs, maxlen=history)

    def _aim(self) -> None:
        gradient = self._gradient
        assert gradient is not None
        free = None
        if self.box:
            free = ~(((self.x <= 0) & (gradient > 0)) | ((self.x >= 1) & (gradient < 0)))
            gradient = gradient * free
        direction = self._apply(gradient)
        if free is not None:
            direction *= free
        if not _dot(direction, gradient) > 0:
            self._pairs.clear()
            direction = self._apply(gradient)
            if free is not None:
                direction *= free
        self._direction = direction.neg_()
        self._step = self.stride
        if not self._pairs:
            size = float(direction.square().mean().sqrt())
            self._step = self.first_step / size if size > 0 else 0.0
            if size == 0 or not math.isfinite(size):
                self.stalled = True
        self._move()

    def _move(self) -> None:
        trial = self.x + self._step * self._direction
        self._trial = trial.clamp_(0, 1) if self.box else trial

    def _apply(self, gradient: Tensor) -> Tensor:
        q = gradient.clone()
        alphas = []
        for s, y, rho in reversed(self._pairs):
            alpha = rho * _dot(s, q)
            q.sub_(y, alpha=alpha)
            alphas.append(alpha)
        q = smooth_by_pyramid(q, self.pyramid, self.scale, wraps=self.wraps)
        q = q * self._gamma if self._pairs else q.clone()
        for (s, y, rho), alpha in zip(self._pairs, reversed(alphas), strict=True):
            q.add_(s, alpha=alpha - rho * _dot(y, q))
        return q

    def _remember(self, s: Tensor, y: Tensor) -> None:
        curvature = _dot(s, y)
        smoothed = _dot(y, smooth_by_pyramid(y, self.pyramid, self.scale, wraps=self.wraps))
        # By the angle between the two, which does not depend on the unit of the loss.
        if smoothed > 0 and curvature > 1e-10 * math.sqrt(_dot(s, s)) * math.sqrt(_dot(y, y)):
            self._pairs.append((s, y, 1 / curvature))
            self._gamma = curvature / smoothed


class Adam:
    """Adam (Kingma & Ba 2015) clipped to the box, with a warm-up and a cosine decay.

    Args:
        start: `(1, 3, H, W)`.
        learning_rate: the largest step, in units of the value range.
        evaluations: evaluations over which the step falls to a tenth; unknown (0) keeps it.
        moments: first and second moments of the gradient carried over from a coarser level, any
            size. The loss is taken as a mean over the picture, so that a pixel's slope shrinks
            with the number of pixels.
    """

    def __init__(
        self,
        start: Tensor,
        *,
        learning_rate: float = 0.03,
        evaluations: int = 0,
        moments: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.x = start.clamp(0, 1)
        self.stalled = False
        self._rate, self._planned, self._count = learning_rate, evaluations, 0
        # The bias corrections' powers; carried moments are already past their warm-up.
        self._fade = (1.0, 1.0) if moments is None else (0.0, 0.0)
        if moments is None:
            self.mean, self.square = torch.zeros_like(self.x), torch.zeros_like(self.x)
        else:
            size, shrink = self.x.shape[-2:], moments[0].numel() / self.x.numel()
            self.mean = _resample(moments[0], size, "bicubic") * shrink
            self.square = _resample(moments[1], size, "bilinear").clamp_min(0) * shrink**2

    def ask(self) -> Tensor:
        """See `Minimizer.ask`."""
        return self.x

    def tell(self, loss: float, gradient: Tensor) -> None:
        """See `Minimizer.tell`; a gradient that is not finite is passed over."""
        with _all_or_nothing(self):
            self._tell(loss, gradient)

    def _tell(self, loss: float, gradient: Tensor) -> None:
        if not math.isfinite(loss) or not bool(torch.isfinite(gradient).all()):
            self._rate *= 0.5
            return
        self._count += 1
        self.mean = self.mean.mul(0.9).add_(gradient, alpha=0.1)
        self.square = self.square.mul(0.999).addcmul_(gradient, gradient, value=0.001)
        self._fade = (self._fade[0] * 0.9, self._fade[1] * 0.999)
        rate = self._rate * min(1.0, self._count / 10)
        if self._planned:
            share = min(1.0, self._count / self._planned)
            rate *= 0.1 + 0.45 * (1 + math.cos(math.pi * share))
        root = (self.square / (1 - self._fade[1])).sqrt_().add_(1e-12)
        step = self.mean / (1 - self._fade[0]) / root
        self.x = (self.x - rate * step).clamp_(0, 1)

    @property
    def pairs(self) -> int:
        """None: all that Adam keeps it needs."""
        return 0

    def shorten(self, history: int) -> None:
        """Nothing: see `pairs`."""

    def state(self) -> dict[str, Tensor | float]:
        """See `Minimizer.state`."""
        return {
            "x": self.x,
            "mean": self.mean,
            "square": self.square,
            "rate": self._rate,
            "count": float(self._count),
            "mean_fade": self._fade[0],
            "square_fade": self._fade[1],
        }

    def restore(self, state: State) -> None:
        """See `Minimizer.restore`."""
        parts = _Parts(state, self.x)
        self.x = parts.tensor("x")
        self.mean, self.square = parts.tensor("mean"), parts.tensor("square")
        self._rate, self._count = parts.number("rate"), int(parts.number("count"))
        self._fade = parts.number("mean_fade"), parts.number("square_fade")
        parts.check_all_used()


@contextlib.contextmanager
def _all_or_nothing(minimizer: object) -> Iterator[None]:
    """What fails inside leaves the minimiser as it was."""
    # Tensors are replaced and never changed in place.
    before = {n: v.copy() if isinstance(v, deque) else v for n, v in vars(minimizer).items()}
    try:
        yield
    except BaseException:
        vars(minimizer).update(before)
        raise


def make_minimizer(
    kind: str,
    start: Tensor,
    *,
    evaluations: int,
    history: int,
    learning_rate: float,
    faults: int = 0,
    carried: tuple[Tensor, Tensor] | None = None,
    wraps: bool = False,
) -> Minimizer:
    """The minimiser of an option value.

    Args:
        kind: `lbfgs`, `lbfgs-pixel` or `adam`.
        start: `(1, 3, H, W)`.
        evaluations: planned.
        history: curvature pairs that L-BFGS keeps.
        learning_rate: Adam's largest step.
        faults: losses so far that were not finite; Adam's rate halves with each after the second.
        carried: Adam's moments at a coarser level.
        wraps: the picture wraps around.
    """
    if kind == "adam":
        return Adam(
            start,
            learning_rate=learning_rate * 0.5 ** max(0, faults - 2),
            evaluations=evaluations,
            moments=carried,
        )
    if kind == "lbfgs-pixel":
        return Lbfgs(start, history=history, pyramid=0, stride=1.0)
    return Lbfgs(start, history=history, wraps=wraps)


class _Parts:
    """Takes a state apart and refuses what does not belong to a picture like `like`."""

    def __init__(self, state: State, like: Tensor) -> None:
        self._left, self._like = dict(state), like

    def tensor(self, name: str) -> Tensor:
        value, like = self._left.pop(name, None), self._like
        if not isinstance(value, Tensor) or (value.shape, value.dtype) != (like.shape, like.dtype):
            raise ValueError(f"'{name}' is not the tensor that it should be")
        return value.to(like.device)

    def number(self, name: str) -> float:
        value = self._left.pop(name, None)
        # What float32 cannot hold came from no run, and would end in one without numbers.
        if not isinstance(value, float | int) or not abs(value) <= torch.finfo(torch.float32).max:
            raise ValueError(f"'{name}' is not the number that it should be")
        return value

    def check_all_used(self) -> None:
        if self._left:
            raise ValueError(f"'{next(iter(self._left))}' has no place in it")


def _resample(values: Tensor, size: torch.Size, mode: str) -> Tensor:
    return torch.nn.functional.interpolate(values, size, mode=mode, align_corners=False)


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a.reshape(-1), b.reshape(-1)))
