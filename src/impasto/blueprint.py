"""What transfer networks are made of, in plain data: their sizes, stages and constants.

Apart from `impasto.networks` because it needs no torch: exported networks are made from it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

PREDICTOR_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""Layers of VGG19 whose means and deviations a style is predicted from."""

IDENTITY = "photo"
"""Name of the style that leaves a photo as it is; networks learn it for the sake of `strength`."""

EPSILON = 1e-5
"""Added to variances before they divide."""

LEAST_SIDE = 16
"""Smaller pictures are extended to this side, px: reflection needs neighbours to reflect."""

SEEN_SIDE = 320
"""Long side at which paintings of scale 1 are looked at to predict a style, and photos, px."""

MAX_SEEN_SIDE = 2048
"""Largest long side at which any is looked at, px."""

FADE = 0.25
"""Below this strength the picture fades into the photo."""


@dataclass(frozen=True)
class Shape:
    """The size of a transfer network.

    Attributes:
        encoder: channels at half, a quarter and an eighth of the picture's sides.
        blocks: residual blocks of two convolutions at an eighth of the sides.
        decoder: channels at a quarter, half and the whole of the sides.
    """

    encoder: tuple[int, int, int] = (32, 48, 96)
    blocks: int = 5
    decoder: tuple[int, int, int] = (48, 32, 16)

    @property
    def normalised(self) -> tuple[int, ...]:
        """Channels of each instance normalisation, in order."""
        return (*self.encoder, *(self.encoder[-1],) * (2 * self.blocks), *self.decoder)

    @property
    def vector(self) -> int:
        """Numbers that make a style: a scale and a shift for each normalised channel."""
        return 2 * sum(self.normalised)

    @property
    def stride(self) -> int:
        """The network works with sides that are multiples of this many px."""
        return 8


@dataclass(frozen=True)
class Stage:
    """One convolution with what surrounds it.

    Attributes:
        kind: `down` (a convolution of stride 2), `same`, `up` (enlarged by two, then convolved)
            or `out` (the last convolution, followed by a sigmoid).
        kernel: side of the convolution.
        inputs: channels it takes.
        outputs: channels it gives.
        relu: a ReLU follows the normalisation.
        opens: what enters is kept for the sum at the end of a residual block.
        closes: what was kept is added to the result.
    """

    kind: str
    kernel: int
    inputs: int
    outputs: int
    relu: bool = True
    opens: bool = False
    closes: bool = False


def stages_of(shape: Shape) -> list[Stage]:
    """The convolutions of a network, in order."""
    inside = shape.encoder[-1]
    stages = [
        Stage("down", 5 if place == 0 else 3, before, after)
        for place, (before, after) in enumerate(pairwise((3, *shape.encoder)))
    ]
    for _ in range(shape.blocks):
        stages.append(Stage("same", 3, inside, inside, opens=True))
        stages.append(Stage("same", 3, inside, inside, relu=False, closes=True))
    stages += [
        Stage("up", 3, before, after) for before, after in pairwise((inside, *shape.decoder))
    ]
    return [*stages, Stage("out", 3, shape.decoder[-1], 3, relu=False)]


RIM = 8
"""Pixels that a picture is extended by on each side, mirrored, before a network repaints it, and
that are cut off afterwards: near borders networks paint with less contrast."""
