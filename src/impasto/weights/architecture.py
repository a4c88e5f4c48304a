"""The shape of VGG16 and VGG19, and how each published set of weights wants its pictures."""

from dataclasses import dataclass
from typing import Literal

# K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
# Recognition", ICLR 2015, arXiv:1409.1556, table 1: configurations D and E.
CONVOLUTIONS_PER_BLOCK = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each block."""
BLOCK_WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block."""


def layer_names(architecture: str) -> list[str]:
    """Names the convolutions in the order a picture meets them: `conv1_1` … `conv5_3`/`conv5_4`.

    Args:
        architecture: `vgg16` or `vgg19`.
    """
    return [
        f"conv{block}_{index}"
        for block, count in enumerate(CONVOLUTIONS_PER_BLOCK[architecture], start=1)
        for index in range(1, count + 1)
    ]


def tensor_shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """Gives every tensor's name and shape, `conv1_1.weight` (O, I, 3, 3), `conv1_1.bias` (O,), ….

    Args:
        architecture: `vgg16` or `vgg19`.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = 3
    for name in layer_names(architecture):
        outputs = BLOCK_WIDTHS[int(name[4]) - 1]
        shapes[f"{name}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"{name}.bias"] = (outputs,)
        inputs = outputs
    return shapes


@dataclass(frozen=True)
class Preprocessing:
    """How a picture in [0, 1] becomes the network's input: `(x · scale − mean) / std`.

    Attributes:
        channel_order: the order in which the first kernel reads the colours.
        scale: the value of white: 255 or 1.
        mean: per channel, in `channel_order`, in units of `scale`.
        std: per channel, in `channel_order`.
    """

    channel_order: Literal["bgr", "rgb"]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# Subtract the mean of ImageNet in BGR: the authors' own model card,
# https://gist.github.com/ksimonyan/211839e770f7b538e2d8; Keras calls the same thing "caffe".
CAFFE = Preprocessing("bgr", 255.0, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
# https://docs.pytorch.org/vision/stable/models.html
TORCHVISION = Preprocessing("rgb", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

PREPROCESSINGS = {"caffe": CAFFE, "torchvision": TORCHVISION}
