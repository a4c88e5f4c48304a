"""The picture that a run starts from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from impasto.color import ColorStatistics, color_statistics, match_colors, mix_statistics
from impasto.errors import OptionError
from impasto.targets import Region, resize, resize_mask


def start_picture(
    kind: str,
    width: int,
    height: int,
    *,
    content: Tensor | None,
    regions: Sequence[Region],
    image: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """The picture that a run starts from, `(1, 3, height, width)` in [0, 1], float32, on the CPU.

    Args:
        kind: `content`; `recolored` (the photo, in each region as far as its strength goes on the
            way to the mean colour and covariance of its paintings); `noise` (uniform);
            `style-colors` (Gaussian noise with the paintings' mean colour and covariance); `image`.
            A painting lends the colours of its parts that are at least half as visible as the most
            visible one.
        width: px.
        height: px.
        content: the photo at this size, needed by the first two kinds.
        regions: what is painted like what.
        image: the third image at any size, needed by the last kind.
        seed: seed of the noise.

    Raises:
        OptionError: the kind needs a picture that is not there.
    """
    if kind in ("content", "recolored") and content is None:
        raise OptionError(f"--start {kind}: there is no photo to start from; use noise")
    if kind in ("recolored", "style-colors") and not any(r.paintings for r in regions):
        raise OptionError(f"--start {kind}: there is no painting to take colours from; use noise")
    if kind == "image":
        if image is None:
            raise OptionError("--start image: name the picture with --start-image FILE")
        return resize(image, height, width).clamp(0, 1)
    if kind == "content" and content is not None:
        return content
    generator = torch.Generator().manual_seed(seed)
    if kind == "noise":
        return torch.rand(1, 3, height, width, generator=generator)
    if content is not None and kind == "recolored":
        base, far = content, True
    else:
        base = torch.randn(1, 3, height, width, generator=generator) * 0.25 + 0.5
        far = False
    picture = base
    for region in regions:
        if not region.paintings:
            continue
        mask, own = None, base[0].numpy()
        if region.mask is not None:
            mask = resize_mask(region.mask.cpu().to(base), height, width)
            if float(mask.max()) <= 0:
                continue
            own = _within(base, mask)
        colored = torch.from_numpy(
            match_colors(base[0].numpy(), _palette(region), color_statistics(own))
        )[None]
        if far and region.strength < 1:
            colored = torch.lerp(base, colored, region.strength)
        if mask is None:
            return colored
        picture = picture + mask * (colored - base)
    return picture.clamp(0, 1)


def _palette(region: Region) -> ColorStatistics:
    palettes = []
    for painting in region.paintings:
        pixels = painting.picture[0].flatten(1).cpu().numpy()
        if painting.weight is not None:
            pixels = _within(painting.picture, painting.weight)
        palettes.append(color_statistics(pixels))
    return mix_statistics(palettes, region.shares)


def _within(picture: Tensor, weight: Tensor) -> np.ndarray:
    """The colours `(3, n)` of those pixels that count at least half as much as any."""
    chosen = weight.flatten() > 0.5 * weight.max()
    return picture[0].flatten(1)[:, chosen].cpu().numpy()
