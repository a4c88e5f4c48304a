"""The yardstick: the objective and the optimiser as a plain PyTorch tutorial writes them.

NCHW tensors, a ReLU that is not in place, `F.mse_loss`, Gram and covariance matrices as products
of the flattened features with their transposes, the Wasserstein distance through the eigenvalues of
a product, and `torch.optim.LBFGS` over the pixels. The weights, layers and constants are impasto's,
so both minimise the same function; nothing else is shared.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import OptionError, RunError
from impasto.objective import Objective
from impasto.options import format_mix
from impasto.weights import Weights, layer_names
from problem import Problem

AVERAGE_POOLING_RESCALE = 1.4
"""What `StyleOptions.rescale` multiplies average-pooled features by."""


class Yardstick:
    """The objective of a problem in plain PyTorch.

    Args:
        problem: photo, painting and options.
        weights: the network's convolutions.

    Raises:
        OptionError: the options ask for a term that the plain implementation lacks.
    """

    def __init__(self, problem: Problem, weights: Weights) -> None:
        options = problem.options
        style_loss = format_mix(options.style_loss)
        if style_loss not in _STYLES or options.pooling == "l2":
            raise OptionError(
                "the yardstick knows the Gram and Wasserstein losses and max or average pooling"
            )
        make_style_term = _STYLES[style_loss]
        self._options = options
        self._names = layer_names(weights.architecture)
        self._kernels = {name: tensor.contiguous() for name, tensor in weights.tensors.items()}
        preprocessing = weights.preprocessing
        self._bgr = preprocessing.channel_order == "bgr"
        self._scale = preprocessing.scale
        self._mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)
        if options.pooling == "max":
            self._pool = torch.nn.MaxPool2d(2)
        else:
            self._pool = torch.nn.AvgPool2d(2)
        self._rescale = (
            AVERAGE_POOLING_RESCALE if options.pooling == "average" and options.rescale else 1.0
        )
        with torch.no_grad():
            photo = self._features(problem.photo, options.content_layers)
            painting = self._features(problem.painting, options.style_layers)
            self._content = {name: photo[name] for name in options.content_layers}
            self._style = {name: make_style_term(painting[name]) for name in options.style_layers}
            self._content_units = dict.fromkeys(self._content, 1.0)
            self._style_units = dict.fromkeys(self._style, 1.0)
            if options.normalize:
                for name, target in self._content.items():
                    self._content_units[name] = target.square().mean().item()
                for name, term in self._style.items():
                    self._style_units[name] = term(torch.zeros_like(painting[name])).item()

    def _features(self, picture: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        wanted = {layer.replace("relu", "conv"): layer for layer in layers}
        found: dict[str, Tensor] = {}
        x = picture[:, [2, 1, 0]] if self._bgr else picture
        x = (x * self._scale - self._mean) / self._std
        for name in self._names:
            if len(found) == len(wanted):
                break
            if name.endswith("_1") and name != "conv1_1":
                x = self._pool(x)
                if self._rescale != 1:
                    x = x * self._rescale
            padding = 1
            if name == "conv1_1" and self._options.padding == "replicate":
                x, padding = F.pad(x, (1, 1, 1, 1), mode="replicate"), 0
            kernel, bias = self._kernels[f"{name}.weight"], self._kernels[f"{name}.bias"]
            x = F.relu(F.conv2d(x, kernel, bias, padding=padding))
            if name in wanted:
                found[wanted[name]] = x
        return found

    def loss(self, picture: Tensor) -> Tensor:
        """The loss of a picture `(1, 3, H, W)`: a scalar, differentiable."""
        options = self._options
        found = self._features(picture, [*options.content_layers, *options.style_layers])
        content = style = picture.new_zeros(())
        for name, weight in options.content_layers.items():
            error = F.mse_loss(found[name], self._content[name])
            content = content + weight * error / self._content_units[name]
        for name, weight in options.style_layers.items():
            style = style + weight * self._style[name](found[name]) / self._style_units[name]
        total = options.content_weight * content + options.style_weight * style
        if options.tv_weight > 0:
            total = total + options.tv_weight * _variation(picture, options.tv)
        return total

    def evaluate(self, picture: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient with respect to the picture."""
        x = picture.detach().clone().requires_grad_()
        loss = self.loss(x)
        loss.backward()
        assert x.grad is not None
        return loss.item(), x.grad

    def minimize(
        self,
        start: Tensor,
        evaluations: int,
        *,
        history: int = 100,
        on_evaluation: Callable[[float, Tensor], None] | None = None,
    ) -> int:
        """L-BFGS over the pixels, in one call, without bounds.

        The tolerances are zero, so that it never stops before its evaluations are spent.

        Args:
            start: `(1, 3, H, W)`; left as it is.
            evaluations: calls of the closure.
            history: curvature pairs kept; 100 is PyTorch's default.
            on_evaluation: called after each evaluation with the loss and the picture, which the
                optimiser goes on to change.

        Returns:
            Curvature pairs held at the end.
        """
        x = start.detach().clone().requires_grad_()
        optimizer = torch.optim.LBFGS(
            [x],
            max_iter=evaluations,
            max_eval=evaluations,
            history_size=history,
            tolerance_grad=0,
            tolerance_change=0,
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self.loss(x)
            loss.backward()
            if on_evaluation is not None:
                on_evaluation(loss.item(), x.detach())
            return loss

        optimizer.step(closure)  # pyright: ignore[reportArgumentType]
        return len(optimizer.state[x].get("old_dirs") or ())


def check_same(yardstick: Yardstick, objective: Objective, picture: Tensor) -> None:
    """Refuses to compare two different functions.

    The content term vanishes at the photo itself, so a slightly noisy photo is tried as well.

    Raises:
        RunError: the losses differ by more than 1e-4 of impasto's.
    """
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    for point in (picture, (picture + 0.05 * noise).clamp(0, 1)):
        with torch.no_grad():
            plain, engine = yardstick.loss(point).item(), objective.terms(point).loss
        if not abs(plain - engine) <= 1e-4 * abs(engine):
            raise RunError(
                f"the yardstick's loss is {plain:.8g}, impasto's {engine:.8g}: they minimise "
                "different functions, so a comparison would mean nothing"
            )


def _gram(features: Tensor) -> Tensor:
    flat = features.reshape(features.shape[1], -1)
    return flat @ flat.T / flat.shape[1]


def _gram_term(painting: Tensor) -> Callable[[Tensor], Tensor]:
    wanted = _gram(painting)
    return lambda features: F.mse_loss(_gram(features), wanted)


def _mean_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    flat = features.reshape(features.shape[1], -1)
    mean = flat.mean(dim=1, keepdim=True)
    second = flat @ flat.T / flat.shape[1]
    # Float64: the distance is a small difference of large numbers.
    mean, second = mean.double(), second.double()
    return mean[:, 0], second - mean @ mean.T


def _wasserstein_term(painting: Tensor) -> Callable[[Tensor], Tensor]:
    mean, covariance = _mean_covariance(painting)
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T

    def term(features: Tensor) -> Tensor:
        own_mean, own_covariance = _mean_covariance(features)
        product = torch.linalg.eigvalsh(root @ own_covariance @ root)
        # The slope of a root is infinite at zero. Left out rather than raised to a floor: hundreds
        # of floors, where a layer has fewer positions than channels, would lower the loss.
        cross = product[product > 1e-12 * product.max().item()].sqrt().sum()
        traces = own_covariance.trace() + covariance.trace()
        distance = (own_mean - mean).square().sum() + traces - 2 * cross
        return (distance / len(mean)).float()

    return term


_STYLES = {"gram": _gram_term, "wasserstein2": _wasserstein_term}


def _variation(picture: Tensor, kind: str) -> Tensor:
    across, down = picture.diff(dim=-1), picture.diff(dim=-2)
    if kind == "l1":
        return across.abs().mean() + down.abs().mean()
    falling = picture[..., 1:, 1:] - picture[..., :-1, :-1]
    rising = picture[..., 1:, :-1] - picture[..., :-1, 1:]
    straight = across.square().mean() + down.square().mean()
    return straight + (falling.square().mean() + rising.square().mean()) / 2
