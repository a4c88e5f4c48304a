"""Fine texture from one painting in the forms of another."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.color import color_statistics, match_colors
from impasto.features import Features
from impasto.optimize import optimize
from impasto.options import MAX_SCALE, MIN_SCALE, StyleOptions, parse_layers
from impasto.targets import Painting, level_size, resize

LAYERS = parse_layers("relu1_1,relu2_1")
"""Layers whose statistics are the fine painting's: a position of the deeper one sees 10 px."""

EVALUATIONS = 30


def with_grain(
    features: Features,
    painting: Painting,
    fine: Painting,
    options: StyleOptions,
    *,
    scale: float,
    memory: int | None = None,
) -> Painting:
    """A painting with the texture of another in its own forms and colours.

    The painting is where it starts, and only the statistics of shallow layers are matched with the
    fine painting's, which has been given the other's colours (Gatys, Ecker, Bethge, Hertzmann &
    Shechtman 2017, section 6, on combining scales).

    Args:
        features: the network, with at least the layers of this module.
        painting: what the forms come from.
        fine: what the texture comes from.
        options: of the run; its size is what the scales are relative to.
        scale: the painting's long side in units of the result's.
        memory: bytes that the process may hold; `None`: no limit.

    Returns:
        The painting, no larger than the run needs it, with its own weights.
    """
    long = max(painting.picture.shape[-2:])
    # Enlarged at first where it will be: grain is finer than the painting's own pixels then.
    side = max(1, min(2 * long, round(options.size * scale)))
    width, height = level_size(painting.picture.shape[-1], painting.picture.shape[-2], side)
    start = resize(painting.picture, height, width).clamp(0, 1)
    wanted = color_statistics(start[0].numpy())
    matched = torch.from_numpy(match_colors(fine.picture[0].numpy(), wanted))[None]
    relative = min(MAX_SCALE, max(MIN_SCALE, options.size / side))
    own = options.model_copy(
        update={
            "size": side,
            "style_layers": LAYERS,
            "style_loss": {"wasserstein2": 1.0},
            "content_weight": 0.0,
            "tv_weight": 0.0,
            "style_weight": 1.0,
            "style_weights": (),
            "style_scale": ((relative,),),
            "regions": (),
            "strength": 1.0,
            "levels": (),
            "single_level": True,
            "evaluations": EVALUATIONS,
            "tolerance": 0.0,
            "time_limit": None,
            "start": "image",
            "tileable": False,
        }
    )
    best: Tensor = start
    for progress in optimize(
        features, None, [Painting(matched, fine.weight)], start, own, memory=memory
    ):
        best = progress.best
    return Painting(best.float().cpu(), painting.weight, painting.scale)
