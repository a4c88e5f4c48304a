"""What transfer networks are made of, in plain data: their sizes, stages and constants.

Apart from `impasto.networks` because it needs no torch: exported networks are made from it too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

PREDICTOR_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""Layers of VGG19 whose means and deviations a style is predicted from."""

IDENTITY = "photo"
"""Name of the style that leaves a photo as it is; networks learn it for the sake of `strength`."""

EPSILON = 1e-5
"""Added to variances before they divide."""

LEAST_SIDE = 16
"""Smaller pictures are extended to this side, px: reflection needs neighbours to reflect."""

SEEN_SIDE = 384
"""Long side at which paintings of scale 1 are looked at to predict a style, and photos, px."""

MAX_SEEN_SIDE = 2048
"""Largest long side at which any is looked at, px."""

FADE = 0.25
"""Below this strength the picture fades into the photo."""

FORMAT = "impasto-network"
FORM = 1
"""Raised when files of networks come to hold something else."""

METADATA = "impasto"
"""Key of an exported network's record: JSON with `form`, `kind`, `names`, `shape`, `vector`,
`source_sha256`, `impasto`, `noise` and `card`."""

GRAPH = 1
"""Raised when the same network comes to make another exported graph."""

MAX_VECTOR = 10**6
"""Most numbers of a style that an exported network may say it has."""

MAX_WIDTH, MAX_BLOCKS = 4096, 64
"""Most channels of a map, and residual blocks, that the file of a network may ask for."""

_NO_NOISE = "is a damaged network (its noise is no number from 0 to 1)"

EXPORTED = "is an exported network, which only stylize --fast runs, by onnxruntime"
"""Said where a network in impasto's own format is wanted."""


def is_portable(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of an exported network."""
    return Path(path).suffix.lower() == ".onnx"


def header_fault(header: Any) -> str | None:
    """What is wrong with the header of a network's file, in words; `None`: nothing.

    Args:
        header: as it was read, plain data of any kind.
    """
    if not isinstance(header, dict) or header.get("form") != FORM:
        return "is no network of impasto, or of a later version"
    if not isinstance(header.get("card"), dict):
        return "is a damaged network (it has no card)"
    styles = header.get("styles")
    if styles is not None and not _are_texts(styles):
        return "is a damaged network (its styles are no names)"
    hidden = header.get("hidden")
    if (styles is None) == (hidden is None) or (styles is not None and IDENTITY not in styles):
        return "is a damaged network (it lacks what makes vectors of styles)"
    shape = header.get("shape")
    sound = (
        isinstance(shape, dict)
        and all(_are_widths(shape.get(way)) for way in ("encoder", "decoder"))
        and type(shape.get("blocks")) is int
        and 0 <= shape["blocks"] <= MAX_BLOCKS
        and (hidden is None or (_are_widths(hidden) and len(hidden) == 2))
    )
    if not sound:
        return "is a damaged network (its shape cannot be)"
    return None if _is_noise(header.get("noise", 0.0)) else _NO_NOISE


def record_fault(record: Any) -> str | None:
    """What is wrong with the record of an exported network, in words; `None`: nothing.

    Args:
        record: as it was read, plain data of any kind.
    """
    if not isinstance(record, dict) or record.get("form") != FORM:
        return "is no network of impasto, or of a later version"
    vector = record.get("vector")
    sound = (
        record.get("kind") in ("styles", "any")
        and _are_texts(record.get("names"))
        and type(vector) is int
        and 0 < vector <= MAX_VECTOR
        and isinstance(record.get("source_sha256"), str)
    )
    if not sound:
        return "is a damaged network (its record is not whole)"
    return None if _is_noise(record.get("noise", 0.0)) else _NO_NOISE


def _is_noise(value: Any) -> bool:
    """Whether a network may ask for so much noise; those of before there was any ask for none."""
    return type(value) in (int, float) and 0 <= value <= 1


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) for one in values)


def _are_widths(values: Any) -> bool:
    """Whether these may be numbers of channels, of one stage at least."""
    if not isinstance(values, list) or not 0 < len(values) <= MAX_BLOCKS:
        return False
    return all(type(one) is int and 0 < one <= MAX_WIDTH for one in values)


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
