"""Transfer networks against plain torch: doubling, convolutions, normalisation, VGG19's eyes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.blueprint import EPSILON, LEAST_SIDE, Stage
from impasto.features import Features
from impasto.networks import (
    VGG,
    Shape,
    Transfer,
    convolve,
    interleave,
    phases,
    seen_of,
    statistics,
)
from impasto.weights import load_weights
from tiny_networks import TINY


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal noise in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def plain(x: Tensor, kernel: Tensor, stage: Stage) -> Tensor:
    """A stage's convolution as the papers have it: enlarged, mirrored, convolved."""
    if stage.kind == "up":
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    margin = kernel.shape[-1] // 2
    x = F.pad(x, (margin,) * 4, mode="reflect")
    return F.conv2d(x, kernel, stride=2 if stage.kind == "down" else 1)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 5), (7, 4)])
def test_doubling_and_convolving_is_one_convolution_of_the_small_map(
    height: int, width: int
) -> None:
    """Four kernels of 2 x 2 give what one of 3 x 3 gives on the doubled map, borders included."""
    x, kernel = noise(2, 5, height, width), noise(3, 5, 3, 3, seed=1)
    expected = plain(x, kernel, Stage("up", 3, 5, 3))
    torch.testing.assert_close(
        convolve(x, kernel, Stage("up", 3, 5, 3)), expected, rtol=0, atol=1e-12
    )
    found = interleave(F.conv2d(F.pad(x, (1,) * 4, mode="replicate"), phases(kernel)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("shape", [TINY, Shape((4, 6, 8), 2, (7, 5, 3))])
@pytest.mark.parametrize(("height", "width"), [(32, 40), (45, 33), (1, 9)])
def test_a_network_is_its_paper(shape: Shape, height: int, width: int) -> None:
    """Photos go through as through torch's own layers: mirrored borders, instance normalisation
    with the style's scales and shifts, residual sums, a sigmoid."""
    torch.manual_seed(0)
    network = Transfer(shape).double()
    torch.nn.init.normal_(network.bias)
    photos = torch.rand(2, 3, height, width, dtype=torch.float64)
    styles = 0.5 * noise(2, shape.vector)
    for photo, style, found in zip(photos, styles, network(photos, styles), strict=True):
        below, right = (max(LEAST_SIDE, -(-side // 8) * 8) - side for side in (height, width))
        x = F.pad(2 * photo[None] - 1, (0, right, 0, below), mode="replicate")
        kept, place = x, 0
        for stage, kernel in zip(network.stages, network.kernels, strict=True):
            if stage.opens:
                kept = x
            x = plain(x, kernel, stage)
            if stage.kind == "out":
                x = torch.sigmoid(x + network.bias[:, None, None])
                break
            scale = 1 + style[place : place + stage.outputs]
            shift = style[place + stage.outputs : place + 2 * stage.outputs]
            place += 2 * stage.outputs
            x = F.instance_norm(x, weight=scale, bias=shift, eps=EPSILON)
            x = F.relu(x) if stage.relu else x
            x = x + kept if stage.closes else x
        assert place == shape.vector
        torch.testing.assert_close(found, x[0, :, :height, :width], rtol=0, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 48), (51, 67)])
def test_what_a_predictor_sees_is_what_the_losses_see(height: int, width: int) -> None:
    """VGG19 in a network gives the means and deviations of the features that it is trained by."""
    weights = load_weights("vgg19")
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(2))
    features = Features(weights, layers=["relu4_1"], dtype=torch.float64)
    names = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    maps = features.extract(picture.double(), names)

    def of(name: str) -> tuple[Tensor, Tensor]:
        mean, variance = statistics(maps[name])
        return mean[0], variance[0]

    expected = seen_of(of)
    assert expected.shape == (1, 1920)
    eyes = VGG(weights).double()
    mean = torch.tensor(weights.preprocessing.mean, dtype=torch.float64)
    torch.testing.assert_close(eyes.get_buffer("mean"), mean, rtol=1e-6, atol=0)
    # Without the rounding of the mean to float32.
    eyes.get_buffer("mean").copy_(mean)
    torch.testing.assert_close(eyes(picture.double()), expected, rtol=1e-10, atol=1e-9)
