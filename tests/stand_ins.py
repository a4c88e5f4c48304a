"""Small stand-ins for photos, paintings and networks."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from impasto.options import StyleOptions, make_options
from impasto.run import Picture, Stylization
from impasto.weights import CAFFE, Weights, layer_names


def soft_picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """An RGB picture `(height, width, 3)` of a few soft waves, with colour and texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = np.zeros((height, width, 3))
    for _ in range(6):
        kx, ky = rng.uniform(-0.9, 0.9, 2)
        waves += rng.normal(size=3) * np.sin(kx * x + ky * y + rng.uniform(0, 6))[..., None]
    return np.clip(128 + 30 * waves, 0, 255).astype(np.uint8)


def narrow_weights(architecture: str = "vgg19", width: int = 4, **preprocessing: Any) -> Weights:
    """A VGG of few channels with random weights that keep the activations' scale.

    Args:
        architecture: `vgg16` or `vgg19`.
        width: channels of the first block; the second has one more, and so on.
        preprocessing: replaces parts of the Caffe preprocessing.
    """
    generator = torch.Generator().manual_seed(7)
    tensors: dict[str, torch.Tensor] = {}
    inputs = 3
    for name in layer_names(architecture):
        outputs = width + int(name[4]) - 1
        kernel = torch.randn(outputs, inputs, 3, 3, generator=generator, dtype=torch.float64)
        tensors[f"{name}.weight"] = kernel * (2 / (9 * inputs)) ** 0.5
        tensors[f"{name}.bias"] = torch.rand(outputs, generator=generator, dtype=torch.float64)
        inputs = outputs
    # Small inputs, so that biases and pictures weigh alike.
    kind = replace(CAFFE, **{"scale": 4.0, "mean": (1.9, 2.0, 2.1), **preprocessing})
    return Weights(architecture, "narrow", tensors, kind, "0" * 64)


def linear_weights(width: int = 8) -> Weights:
    """A VGG of positive weights, whose ReLUs let everything through.

    With average pooling it is linear, so that rounding changes its gradient by rounding alone:
    elsewhere it also turns some ReLUs and maxima the other way.
    """
    weights = narrow_weights(
        width=width, channel_order="rgb", scale=1.0, mean=(0,) * 3, std=(1,) * 3
    )
    for name, tensor in weights.tensors.items():
        if name.endswith("weight"):
            tensor.abs_().div_(tensor.sum((1, 2, 3), keepdim=True))
        else:
            tensor.mul_(0.1)
    return weights


def options_of(**values: Any) -> StyleOptions:
    """A tiny, quick run that does not follow the tuned defaults."""
    tiny = {"size": 24, "evaluations": 3, "single_level": True, "start": "content"}
    return make_options({"content_layers": "relu2_1", **tiny, **values})


def pixels_of(picture: Picture) -> bytes:
    """The result's exact numbers."""
    return picture.pixels.tobytes()


def finish(run: Stylization) -> Picture:
    """Runs to the end."""
    for _ in run:
        pass
    return run.result
