"""What each level must match: the photo's features and the paintings' mixed moments.

Pictures in, targets out; nothing here knows the picture that is being made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features import Features
from impasto.moments import Moments, mix_moments, moments_of


@dataclass(frozen=True)
class Targets:
    """What one level must match.

    Attributes:
        content: layer → features of the photo `(1, C, h, w)`.
        style: layer → moments of the blend of paintings.
    """

    content: dict[str, Tensor]
    style: dict[str, Moments]


class Painting(NamedTuple):
    """A style picture: `(1, 3, h, w)` in [0, 1], and how much each of its pixels counts, `(h, w)`
    in [0, 1] with a positive sum, or `None` for all alike."""

    picture: Tensor
    weight: Tensor | None = None


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """Bicubic resampling, antialiased when shrinking.

    Args:
        picture: `(1, C, H, W)`.
        height: new height, px.
        width: new width, px.
    """
    if picture.shape[-2:] == (height, width):
        return picture
    return F.interpolate(
        picture, (height, width), mode="bicubic", align_corners=False, antialias=True
    )


def level_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height with the given long side and the same shape, at least 1 px each."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def make_targets(
    features: Features,
    content: Tensor | None,
    styles: Sequence[Painting],
    shares: Sequence[float],
    *,
    side: int,
    content_layers: Iterable[str],
    style_layers: Iterable[str],
) -> Targets:
    """Targets of one level.

    Args:
        features: the network.
        content: the photo at this level's size, `(1, 3, H, W)`; `None` leaves content out.
        styles: paintings at any size; each is brought to the level's long side, so that brush
            strokes keep their size relative to the picture at every level.
        shares: share of each painting in the blend.
        side: long side of the level, px.
        content_layers: canonical names.
        style_layers: canonical names.
    """
    style_names, content_names = list(style_layers), list(content_layers)
    with torch.no_grad():
        wanted = {} if content is None else features.extract(content, content_names)
        parts: list[dict[str, Moments]] = []
        for picture, weight in styles:
            width, height = level_size(picture.shape[-1], picture.shape[-2], side)
            found = features.extract(resize(picture, height, width).clamp(0, 1), style_names)
            parts.append(
                {name: moments_of(found[name], _shrink(weight, found[name])) for name in found}
            )
        mixed = {
            name: mix_moments([part[name] for part in parts], list(shares))
            for name in (style_names if parts else ())
        }
    return Targets(wanted, mixed)


def _shrink(weight: Tensor | None, features: Tensor) -> Tensor | None:
    """A weight per pixel as a weight per position: the mean over the pixels of each position."""
    if weight is None:
        return None
    height, width = features.shape[-2:]
    # On the CPU, because MPS pools whole multiples only.
    pixels = weight[None, None].to("cpu", features.dtype)
    return F.adaptive_avg_pool2d(pixels, (height, width))[0, 0].to(features)
