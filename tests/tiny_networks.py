"""Small random transfer networks, written as files."""

from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.networks import (
    IDENTITY,
    VGG,
    Network,
    Shape,
    StylePredictor,
    StyleTable,
    Transfer,
    write_network,
)

TINY = Shape((8, 8, 16), 1, (8, 8, 8))


def table_file(path: Path, names: Sequence[str] = ("night-sky", "mosaic"), seed: int = 0) -> Path:
    """A network that knows some styles, each of which makes another picture."""
    torch.manual_seed(seed)
    table = StyleTable([*names, IDENTITY], TINY.vector)
    torch.nn.init.normal_(table.vectors, std=0.5)
    write_network(Network(Transfer(TINY), table=table), path, overwrite=True)
    return path


def any_file(path: Path) -> Path:
    """A network that predicts styles from pictures, with a VGG19 of small random kernels."""
    torch.manual_seed(1)
    predictor, eyes = StylePredictor(TINY.vector, (16, 8)), VGG()
    torch.nn.init.normal_(predictor.last.weight, std=0.5)
    for kernel in eyes.kernels:
        torch.nn.init.kaiming_normal_(kernel, nonlinearity="relu")
    network = Network(Transfer(TINY), predictor=predictor, eyes=eyes)
    write_network(network, path, overwrite=True)
    return path


def write_tiny(folder: Path, names: Sequence[str] | None = None, *, any: bool = True) -> Path:
    """A folder with `any.safetensors`, and `styles.safetensors` for some styles."""
    folder.mkdir(exist_ok=True)
    if names is not None:
        table_file(folder / "styles.safetensors", names)
    if any:
        any_file(folder / "any.safetensors")
    return folder
