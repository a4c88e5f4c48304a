"""Small random transfer networks as files."""

from pathlib import Path

import numpy as np
import torch

from impasto.blueprint import IDENTITY, Shape
from impasto.networks import VGG, Network, StylePredictor, StyleTable, Transfer, write_network

SMALL = Shape((8, 8, 16), 1, (8, 8, 8))
"""Of a network whose runs take milliseconds."""


def write_styles(
    path: Path, names: tuple[str, ...] = ("one", "two", "three"), noise: float = 0.0
) -> Path:
    """Writes a network that knows some styles and wants photos with noise."""
    torch.manual_seed(3)
    table = StyleTable([*names, IDENTITY], SMALL.vector)
    with torch.no_grad():
        table.vectors.mul_(30)
    write_network(Network(Transfer(SMALL), table, card={"seed": 7}, noise=noise), path)
    return path


def write_any(path: Path, noise: float = 0.0) -> Path:
    """Writes a network that predicts styles and wants photos with noise."""
    torch.manual_seed(4)
    predictor, eyes = StylePredictor(SMALL.vector, (12, 8)), VGG()
    with torch.no_grad():
        predictor.last.weight.mul_(10)
        for kernel in eyes.kernels:
            kernel.normal_(0, (2 / kernel[0].numel()) ** 0.5)
        # Nearer to a trained one, whose statistics are brought to zero and one.
        seen = eyes(torch.rand(1, 3, 40, 40))
        predictor.get_buffer("mean").copy_(seen[0])
        predictor.get_buffer("deviation").copy_(0.1 * seen[0].abs() + 1)
    card = {"seed": 7}
    write_network(Network(Transfer(SMALL), None, predictor, eyes, card, noise=noise), path)
    return path


def with_rim(photo: torch.Tensor) -> torch.Tensor:
    """A photo `(1, 3, H, W)` with the mirrored rim that networks see."""
    wide = np.pad(photo[0].numpy(), ((0, 0), (8, 8), (8, 8)), mode="symmetric")
    return torch.from_numpy(wide)[None]


@torch.no_grad()
def painted_by(transfer: Transfer, photo: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """What a network makes of a photo `(1, 3, H, W)` when it is run on more than its pixels."""
    return transfer(with_rim(photo), vector)[..., 8:-8, 8:-8]
