"""A layer's losses, looked at as the engine does: in tiles, in any order."""

import random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.terms import LayerTerm, Part


def random_map(seed: int, channels: int, height: int, width: int) -> NDArray[np.float64]:
    """Features `(C, H, W)` as after a ReLU: correlated, ≥ 0, with many zeros."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels))
    noise = rng.normal(size=(channels, height * width))
    rows = mixing @ noise + rng.uniform(0, 1, (channels, 1))
    return np.maximum(rows, 0).reshape(channels, height, width)


def as_layer(values: NDArray[np.float64], dtype: torch.dtype = torch.float64) -> Tensor:
    """`(C, H, W)` as the network gives features: `(1, C, H, W)`, channels_last."""
    features = torch.from_numpy(values)[None].to(dtype)
    return features.contiguous(memory_format=torch.channels_last)


def as_samples(values: NDArray[np.float64], dtype: torch.dtype = torch.float64) -> Tensor:
    """`(C, …)` as samples `(n, C)`."""
    return torch.from_numpy(values.reshape(len(values), -1).T.copy()).to(dtype)


def whole(height: int, width: int) -> list[Part]:
    """The map as one tile."""
    return [(slice(0, height), slice(0, width))]


def quarters(height: int, width: int, seed: int = 0) -> list[Part]:
    """The map as four tiles of different sizes, shuffled."""
    rows = [slice(0, height // 3), slice(height // 3, height)]
    columns = [slice(0, width - width // 3), slice(width - width // 3, width)]
    parts = [(row, column) for row in rows for column in columns]
    random.Random(seed).shuffle(parts)
    return [part for part in parts if _size(part[0]) and _size(part[1])]


def _size(part: slice) -> int:
    return part.stop - part.start


def look(
    term: LayerTerm, features: Tensor, parts: list[Part] | None = None, *, scale: float = 1.0
) -> tuple[float, Tensor]:
    """The loss of a layer `(1, C, H, W)` and `scale` times its gradient."""
    height, width = features.shape[-2:]
    parts = parts or whole(height, width)
    term.begin(height, width)
    for part in parts:
        term.see(features[..., *part], part)
    value = term.settle(slopes=True)
    gradient = torch.zeros_like(features)
    for part in reversed(parts):
        term.pull(features[..., *part], part, gradient[..., *part], scale)
    return value, gradient


def check_slope_size(term: LayerTerm, gradient: Tensor, within: float) -> None:
    """The stated size of the slopes is their root mean square, up to a factor."""
    actual = float(gradient.double().square().mean().sqrt())
    assert actual / within <= term.slope_size() <= actual * within
