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

from impasto.features import Features
from impasto.losses import STYLE_LOSSES, TV_LOSSES, StyleTerm, blank_distance, content_loss
from impasto.moments import moments_of
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
            return self._forward(picture)[1]

    def evaluate(self, picture: Tensor) -> tuple[Terms, Tensor]:
        """The loss terms and `∂J/∂x`.

        Args:
            picture: `(1, 3, H, W)`, sRGB in [0, 1] (values beyond are allowed).

        Returns:
            The terms and a gradient of the picture's shape.
        """
        with torch.enable_grad():
            x = picture.detach().requires_grad_()
            total, terms = self._forward(x)
            if not total.requires_grad:
                return terms, torch.zeros_like(picture)
            (gradient,) = torch.autograd.grad(total, x)
        return terms, gradient

    def _forward(self, x: Tensor) -> tuple[Tensor, Terms]:
        layers: dict[str, float] = {}
        total = x.new_zeros(())
        sums = {"content": x.new_zeros(()), "style": x.new_zeros(())}
        content = self._content if self.content_weight > 0 else {}
        style = self._style if self.style_weight > 0 else {}
        names = [*content, *style]
        found = self.features.extract(x, names) if names else {}
        for name, (weight, target, unit) in content.items():
            value = content_loss(found[name], target) / unit
            layers[f"content:{name}"] = float(value.detach())
            sums["content"] = sums["content"] + weight * value
        for name, (weight, term, unit) in style.items():
            value = term(moments_of(found[name])) / unit
            layers[f"style:{name}"] = float(value.detach())
            sums["style"] = sums["style"] + weight * value
        total = self.content_weight * sums["content"] + self.style_weight * sums["style"]
        tv = x.new_zeros(())
        if self.tv_weight > 0:
            tv = self._tv(x)
            total = total + self.tv_weight * tv
        terms = Terms(
            loss=float(total.detach()),
            content=float(sums["content"].detach()),
            style=float(sums["style"].detach()),
            tv=float(tv.detach()),
            layers=layers,
        )
        return total, terms


def _unit(value: float) -> float:
    # A target without any activation would make the unit zero; its plain term is used then.
    return value if value > 0 else 1.0
