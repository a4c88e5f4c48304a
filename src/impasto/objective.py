"""Picture in, named loss terms and gradient out.

The objective is `J(x) = α·Σ w·content + β·Σ w·style + γ·tv` over the layers of one level's
targets. With `normalize`, each layer's content term is divided by the mean square of its target
features and each style term by that of an empty picture, so both are pure numbers; without, they
are the papers' plain formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.convolution import add_product
from impasto.features import Features
from impasto.losses import STYLE_LOSSES, TV_LOSSES, StyleTerm, blank_distance, content_loss
from impasto.moments import Moments, moments_of
from impasto.targets import Targets


@dataclass(frozen=True)
class Terms:
    """Loss terms of one picture, as plain numbers.

    Attributes:
        loss: the weighted sum that is minimised.
        content: `Σ w·content` over layers, without α.
        style: `Σ w·style` over layers, without β.
        tv: the smoothness term, without its weight.
        layers: `content:relu4_2` or `style:relu1_1` → that layer's term without any weight.
    """

    loss: float
    content: float
    style: float
    tv: float
    layers: dict[str, float] = field(default_factory=dict)


class Objective:
    """The function that a level minimises.

    Args:
        features: the network.
        targets: what to match; layers absent from it have no term.
        content_layers: canonical layer name → weight.
        style_layers: canonical layer name → weight.
        style_loss: a name in `losses.STYLE_LOSSES`.
        normalize: divide each layer's term by its target's own size.
        content_weight: α.
        style_weight: β.
        tv_weight: γ.
        tv: a name in `losses.TV_LOSSES`.
    """

    def __init__(
        self,
        features: Features,
        targets: Targets,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        style_loss: str = "gram",
        normalize: bool = True,
        content_weight: float = 1.0,
        style_weight: float = 1.0,
        tv_weight: float = 0.0,
        tv: str = "l1",
    ) -> None:
        self.features = features
        self.content_weight, self.style_weight = content_weight, style_weight
        self.tv_weight, self._tv = tv_weight, TV_LOSSES[tv]
        loss = STYLE_LOSSES[style_loss]
        self._content = {
            name: (weight, targets.content[name], 1.0)
            for name, weight in content_layers.items()
            if name in targets.content and weight > 0
        }
        self._style: dict[str, tuple[float, StyleTerm, float]] = {
            name: (weight, loss(targets.style[name]), 1.0)
            for name, weight in style_layers.items()
            if name in targets.style and weight > 0
        }
        if normalize:
            self._content = {
                name: (weight, target, _unit(float(target.square().mean())))
                for name, (weight, target, _) in self._content.items()
            }
            self._style = {
                name: (weight, term, _unit(float(blank_distance(loss, targets.style[name]))))
                for name, (weight, term, _) in self._style.items()
            }

    def terms(self, picture: Tensor) -> Terms:
        """The loss terms of `picture`, `(1, 3, H, W)`."""
        with torch.no_grad():
            found = self.features.extract(picture, self._names)
            smooth = self._tv(picture) if self.tv_weight > 0 else None
        return self._match(found, smooth)[0]

    def evaluate(self, picture: Tensor) -> tuple[Terms, Tensor]:
        """The loss terms and `∂J/∂x`.

        The losses are differentiated with respect to the moments alone; each layer's features get
        their share of the gradient when the backward pass reaches them, so that no more than one
        such share is in memory at a time.

        Args:
            picture: `(1, 3, H, W)`, sRGB in [0, 1] (values beyond are allowed).

        Returns:
            The terms and a gradient of the picture's shape.
        """
        with torch.enable_grad():
            x = picture.detach().requires_grad_()
            smooth = self._tv(x) if self.tv_weight > 0 else None
            found = self.features.extract(x, self._names)
            terms, seeds = self._match(found, smooth)
            gradient = torch.zeros_like(picture)
            if smooth is not None:
                (slope,) = torch.autograd.grad(smooth, x)
                gradient.add_(slope, alpha=self.tv_weight)
            if seeds:
                *others, deepest = (name for name in found if name in seeds)
                for name in others:
                    found[name].register_hook(seeds[name].add_to)
                top = found.pop(deepest)
                seed = seeds[deepest].add_to(torch.zeros_like(top))
                found.clear()
                (slope,) = torch.autograd.grad(top, x, seed)
                gradient.add_(slope)
        return terms, gradient

    @property
    def _names(self) -> list[str]:
        content = self._content if self.content_weight > 0 else {}
        style = self._style if self.style_weight > 0 else {}
        return [*content, *style]

    def _match(
        self, found: Mapping[str, Tensor], smooth: Tensor | None
    ) -> tuple[Terms, dict[str, _Seed]]:
        layers: dict[str, float] = {}
        seeds: dict[str, _Seed] = {}
        content_sum = style_sum = 0.0
        for name, tensor in found.items():
            features = tensor.detach()
            seed = seeds[name] = _Seed(features, self.features.fast)
            if self.content_weight > 0 and name in self._content:
                weight, target, unit = self._content[name]
                value = float(content_loss(features, target)) / unit
                layers[f"content:{name}"] = value
                content_sum += weight * value
                seed.target = target
                seed.pull = 2 * self.content_weight * weight / unit / features.numel()
            if self.style_weight > 0 and name in self._style:
                weight, term, unit = self._style[name]
                value, slopes = _style_slopes(term, moments_of(features, fast=self.features.fast))
                layers[f"style:{name}"] = value / unit
                style_sum += weight * value / unit
                scale = self.style_weight * weight / unit
                seed.constant = slopes[0] * scale
                seed.linear = (slopes[1] + slopes[1].T) * scale
        tv = 0.0 if smooth is None else float(smooth.detach())
        loss = self.content_weight * content_sum + self.style_weight * style_sum
        return Terms(loss + self.tv_weight * tv, content_sum, style_sum, tv, layers), seeds


class _Seed:
    """What one layer's own losses add to the gradient at its features.

    With respect to features `f(p)`, a style loss has the slope `∂L/∂Σf + (S + Sᵀ) f(p)`, where `S`
    is `∂L/∂Σffᵀ`; the content loss has `2 (f(p) − target) / N`.
    """

    def __init__(self, features: Tensor, fast: bool) -> None:
        self.features, self.fast = features, fast
        self.constant: Tensor | None = None
        self.linear: Tensor | None = None
        self.target: Tensor | None = None
        self.pull = 0.0

    def add_to(self, gradient: Tensor) -> Tensor:
        """Adds this layer's share to what has come down to it; in place where it can."""
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if self.linear is not None and self.constant is not None:
            rows = _rows(gradient)
            given = _rows(self.features)
            add_product(rows, given, self.linear, self.constant, fast=self.fast)
        if self.target is not None:
            gradient.add_(self.features - self.target, alpha=self.pull)
        return gradient


def _rows(features: Tensor) -> Tensor:
    """A view `(positions, C)` of a channels_last feature map."""
    return features[0].permute(1, 2, 0).view(-1, features.shape[1])


def _style_slopes(term: StyleTerm, moments: Moments) -> tuple[float, tuple[Tensor, Tensor]]:
    """A style term and its slopes with respect to `Σf` and `Σffᵀ`."""
    with torch.enable_grad():
        first = moments.first.detach().requires_grad_()
        second = moments.second.detach().requires_grad_()
        value = term(Moments(moments.count, first, second))
        slopes = torch.autograd.grad(
            value, (first, second), allow_unused=True, materialize_grads=True
        )
    return float(value.detach()), (slopes[0], slopes[1])


def _unit(value: float) -> float:
    # A target without any activation would make the unit zero; its plain term is used then.
    return value if value > 0 else 1.0
