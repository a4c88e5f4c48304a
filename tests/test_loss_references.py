"""Every loss that can be chosen, through the objective, against NumPy and SciPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.ndimage import convolve
from scipy.spatial.distance import cdist
from torch import Tensor

from impasto.features import Features
from impasto.optimize import level_objective
from impasto.options import CONTENT_LOSSES, STYLE_LOSSES
from impasto.targets import Painting
from impasto.terms.sliced import directions_for, slices_for
from stand_ins import narrow_weights, options_of

Rows = NDArray[np.float64]
LAYER = "relu3_1"
SIZE = (64, 64)


def random_picture(seed: int) -> Tensor:
    """Noise `(1, 3, H, W)` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, *SIZE, generator=generator, dtype=torch.float64)


def gram(f: Rows, s: Rows) -> float:
    """Squared difference of Gram matrices per position."""
    return float(np.square(f.T @ f / len(f) - s.T @ s / len(s)).mean())


def mean_std(f: Rows, s: Rows) -> float:
    """Squared differences of means and of deviations."""
    means = np.square(f.mean(0) - s.mean(0)).mean()
    return float(means + np.square(f.std(0) - s.std(0)).mean())


def gram_mean_std(f: Rows, s: Rows) -> float:
    """Both, the second in the first one's units."""
    return gram(f, s) + float(np.square(s).mean()) * mean_std(f, s)


def wasserstein2(f: Rows, s: Rows) -> float:
    """The distance of Gaussians with SciPy's matrix root."""
    one, other = np.cov(f.T, bias=True), np.cov(s.T, bias=True)
    cross = np.real(sqrtm(one @ other)).trace()
    shift = np.square(f.mean(0) - s.mean(0)).sum()
    return float(shift + one.trace() + other.trace() - 2 * cross) / f.shape[1]


def histogram(f: Rows, s: Rows) -> float:
    """Channel by channel, values of equal rank: as many positions on either side."""
    return float(np.square(np.sort(f, axis=0) - np.sort(s, axis=0)).mean())


def sliced(f: Rows, s: Rows) -> float:
    """The same along the run's directions."""
    directions = directions_for(f.shape[1], slices_for(f.shape[1], 4), 0).numpy()
    return histogram(f @ directions.T, s @ directions.T)


def nearest(f: Rows, s: Rows) -> float:
    """The cosine distance to the nearest, centred on the samples' mean."""
    center = s.mean(0)
    return float(cdist(f - center, s - center, "cosine").min(axis=1).mean())


STYLE: dict[str, Callable[[Rows, Rows], float]] = {
    "gram": gram,
    "mean-std": mean_std,
    "gram+mean-std": gram_mean_std,
    "wasserstein2": wasserstein2,
    "sliced": sliced,
    "histogram": histogram,
    "nearest": nearest,
}
# What keeps roots and divisions finite changes these by so much.
LOOSE = {"mean-std": 1e-4, "gram+mean-std": 1e-4, "wasserstein2": 1e-4, "nearest": 2e-2}


def rows_of(features: Features, picture: Tensor) -> Rows:
    """The layer's features, a row for each position."""
    return features.extract(picture, [LAYER])[LAYER][0].flatten(1).T.numpy()


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_losses_are_their_formulas(name: str) -> None:
    """Each style loss, chosen by name, is what its formula says of the network's features."""
    features = Features(narrow_weights(), dtype=torch.float64)
    picture, painting = random_picture(1), random_picture(2).square()
    options = options_of(
        content_weight=0.0,
        style_weight=1.0,
        tv_weight=0.0,
        style_layers=LAYER,
        style_loss=name,
        normalize=False,
        start="noise",
    )
    objective = level_objective(features, None, [Painting(painting)], options, *SIZE)
    wanted = STYLE[name](rows_of(features, picture), rows_of(features, painting))
    assert objective.terms(picture).style == pytest.approx(wanted, rel=LOOSE.get(name, 1e-9))


def features_loss(features: Features, picture: Tensor, photo: Tensor) -> float:
    """The mean squared difference at every position."""
    return float(np.square(rows_of(features, picture) - rows_of(features, photo)).mean())


def self_similarity(features: Features, picture: Tensor, photo: Tensor) -> float:
    """Normalised cosine distances of all pairs of positions, of which there are few enough."""
    patterns = []
    for one in (picture, photo):
        rows = rows_of(features, one)
        distances = cdist(rows, rows, "cosine")
        patterns.append(distances / distances.sum(axis=0))
    return float(np.abs(patterns[0] - patterns[1]).sum()) / len(patterns[0])


def laplacian(_: Features, picture: Tensor, photo: Tensor) -> float:
    """Differences from the four neighbours, of means over cells of 1/128 and 1/32 of the side."""
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    total = 0.0
    for cells in (64, 32):  # 64 px have no 128 cells: pixels then
        side = SIZE[0] // cells
        maps = []
        for one in (picture, photo):
            grey = one[0].sum(0).numpy().reshape(cells, side, cells, side).mean(axis=(1, 3))
            maps.append(convolve(grey, kernel, mode="nearest"))
        total += float(np.square(maps[0] - maps[1]).mean())
    return total


CONTENT: dict[str, Callable[[Features, Tensor, Tensor], float]] = {
    "features": features_loss,
    "self-similarity": self_similarity,
    "laplacian": laplacian,
}


@pytest.mark.parametrize("name", CONTENT_LOSSES)
def test_content_losses_are_their_formulas(name: str) -> None:
    """Each content loss, chosen by name, is what its formula says."""
    features = Features(narrow_weights(), dtype=torch.float64)
    picture, photo = random_picture(1), random_picture(2)
    options = options_of(
        content_weight=1.0,
        style_weight=0.0,
        tv_weight=0.0,
        content_layers=LAYER,
        content_loss=name,
        normalize=False,
    )
    objective = level_objective(features, photo, [], options, *SIZE)
    wanted = CONTENT[name](features, picture, photo)
    assert objective.terms(picture).content == pytest.approx(wanted, rel=2e-3)
