"""How good a network is in training: some photos in some styles that it never sees there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.features import Features
from impasto.images import Bitmap
from impasto.losses import total_variation
from impasto.moments import moments_of
from impasto.networks import Transfer
from impasto.noise import roughened
from impasto.training import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    Losses,
    StyleTarget,
    content_distance,
    vectors_of,
)
from impasto.training_options import TrainingOptions

MEASURED = 16
"""About so many pairs of a photo and a style are measured; more would cost more than they tell."""

SHOWN = 4
"""Photos on a sheet."""


@dataclass(frozen=True)
class Held:
    """A style to judge by.

    Attributes:
        number: as `Styles` counts; any where vectors are predicted.
        target: what its photos must match; `None` for the photo itself.
        picture: of it, `(1, 3, H, W)`, for the sheet.
    """

    number: int
    target: StyleTarget | None
    picture: Tensor | None


class Validation:
    """The same photos and styles every time.

    Args:
        features: VGG19.
        photos: `(1, 3, S, S)` each, of one size.
        styles: to repaint them in.
        options: weights of the losses.
    """

    def __init__(
        self,
        features: Features,
        photos: Sequence[Tensor],
        styles: Sequence[Held],
        options: TrainingOptions,
    ) -> None:
        self._features, self._options = features, options
        self._photos = [photo.to(features.device) for photo in photos]
        self._styles = list(styles)
        measured = sum(style.target is not None for style in styles)
        self._every = max(1, len(self._photos) * measured // MEASURED)

    @torch.no_grad()
    def judge(self, network: nn.ModuleDict) -> tuple[Losses, Bitmap]:
        """Losses of a network, means over pairs, and a sheet of results: a photo in each row, a
        style in each column, the originals before and above them."""
        sums, count, rows = torch.zeros(3), 0, []
        for i, photo in enumerate(self._photos):
            found = self._features.extract(photo, STYLE_LAYERS)
            own = StyleTarget({name: moments_of(f) for name, f in found.items()})
            given = self._rough(photo)
            row = [photo]
            for j, style in enumerate(self._styles):
                wanted = style.target is not None and (i + j) % self._every == 0
                if not wanted and i >= SHOWN:
                    continue
                vectors = vectors_of(network, [style.number], [style.target or own])
                seen = photo if style.target is None else given
                painted = cast("Transfer", network["transfer"])(seen, vectors)
                row.append(painted)
                if wanted and style.target is not None:
                    sums += self._distances(painted, found[CONTENT_LAYER], style.target)
                    count += 1
            if i < SHOWN:
                rows.append(torch.cat(row, dim=3).cpu())
        content, style, smoothness = (sums / max(count, 1)).tolist()
        options = self._options
        total = (
            options.content_weight * content
            + options.style_weight * style
            + options.tv_weight * smoothness
        )
        sheet = torch.cat([self._head(), *rows], dim=2)
        return Losses(total, content, style, smoothness), Bitmap(sheet[0].numpy())

    def _rough(self, photo: Tensor) -> Tensor:
        rough = roughened(photo[0].cpu().numpy(), self._options.noise)
        return torch.from_numpy(rough)[None].to(photo.device)

    def _distances(self, painted: Tensor, content: Tensor, target: StyleTarget) -> Tensor:
        found = self._features.extract(painted, STYLE_LAYERS)
        distance = content_distance(found[CONTENT_LAYER], content)
        style = target.distance({name: moments_of(f) for name, f in found.items()})
        return torch.stack([distance, style, total_variation(painted)]).cpu()

    def _head(self) -> Tensor:
        side = self._photos[0].shape[-1]
        cells = [torch.ones(1, 3, side, side)]
        cells += [
            torch.ones(1, 3, side, side) if style.picture is None else square(style.picture, side)
            for style in self._styles
        ]
        return torch.cat(cells, dim=3)


def square(picture: Tensor, side: int) -> Tensor:
    """The middle square of a picture `(1, 3, H, W)`, as `(1, 3, side, side)`."""
    short = min(picture.shape[-2:])
    top, left = ((length - short) // 2 for length in picture.shape[-2:])
    cut = picture[..., top : top + short, left : left + short]
    shown = F.interpolate(cut, (side, side), mode="bilinear", antialias=True)
    return shown.clamp(0, 1)


def tensor_of(bitmap: Bitmap) -> Tensor:
    """A picture's pixels as `(1, 3, H, W)`."""
    return torch.from_numpy(np.ascontiguousarray(bitmap.pixels))[None]
