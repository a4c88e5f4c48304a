"""A photo, a painting and options, brought to size exactly as a run of impasto brings them."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.features import Features
from impasto.images import (
    DEFAULT_MAX_PIXELS,
    Bitmap,
    fit_within,
    read_image,
    resize_image,
    write_image,
)
from impasto.objective import Objective
from impasto.optimize import level_objective
from impasto.options import StyleOptions
from impasto.sources import read_source
from impasto.targets import Painting, level_size, resize
from impasto.weights import Weights


@dataclass(frozen=True)
class Problem:
    """What is to be minimised, before anyone's network has seen it.

    Attributes:
        photo: `(1, 3, H, W)`, sRGB in [0, 1], at the full size; also the start picture.
        painting: `(1, 3, h, w)` at the same long side.
        options: the objective.
    """

    photo: Tensor
    painting: Tensor
    options: StyleOptions


def load_problem(photo: str, painting: str, options: StyleOptions) -> Problem:
    """Reads both pictures, `sample:NAME`, `style:NAME` or files, and brings them to size.

    Raises:
        ImageError: a picture cannot be read, or is partly transparent.
    """
    content = _read(photo)
    content = resize_image(content, *fit_within(content.width, content.height, options.size))
    drawn = _read(painting)
    # A run first brings paintings to twice its size, which is all that any level looks at.
    limit = fit_within(drawn.width, drawn.height, 2 * options.size, enlarge=False)
    style = as_tensor(resize_image(drawn, *limit))
    width, height = level_size(style.shape[-1], style.shape[-2], options.size)
    return Problem(
        as_tensor(content).clamp(0, 1), resize(style, height, width).clamp(0, 1), options
    )


def engine_objective(
    problem: Problem,
    weights: Weights,
    device: torch.device | str = "cpu",
    precision: torch.dtype = torch.float32,
) -> Objective:
    """The objective that impasto minimises at the full size."""
    options = problem.options
    features = Features(
        weights,
        pooling=options.pooling,
        rescale=options.rescale,
        padding=options.padding,
        device=device,
        dtype=precision,
    )
    height, width = problem.photo.shape[-2:]
    return level_objective(
        features, problem.photo, [Painting(problem.painting)], options, width, height
    )


def saved(picture: Tensor) -> Tensor:
    """A picture after it was written to an 8-bit PNG file and read back, `(1, 3, H, W)`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        write_image(Bitmap(picture[0].clamp(0, 1).numpy()), path, bits=8)
        return as_tensor(read_image(path))


def _read(source: str) -> Bitmap:
    bitmap = read_source(source, DEFAULT_MAX_PIXELS)
    if bitmap.alpha is not None:
        raise ImageError(f"{source}: has transparent parts; the benchmarks take opaque pictures")
    return bitmap


def as_tensor(bitmap: Bitmap) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(bitmap.pixels))[None]
