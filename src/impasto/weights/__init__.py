"""Weights of VGG16 and VGG19: named, verified, converted once and mapped from a cache.

The networks are those of K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for
Large-Scale Image Recognition", arXiv:1409.1556. `load_weights("vgg19")` is all the engine needs;
the rest keeps the weights on this machine in order.
"""

from impasto.weights.architecture import (
    BLOCK_WIDTHS,
    CAFFE,
    CONVOLUTIONS_PER_BLOCK,
    PREPROCESSINGS,
    TORCHVISION,
    Preprocessing,
    layer_names,
    tensor_shapes,
)
from impasto.weights.download import Transfer
from impasto.weights.inventory import (
    Listing,
    Verification,
    add_weights,
    get_weights,
    list_weights,
    remove_weights,
    verify_weights,
)
from impasto.weights.library import Weights, load_weights

__all__ = [
    "BLOCK_WIDTHS",
    "CAFFE",
    "CONVOLUTIONS_PER_BLOCK",
    "PREPROCESSINGS",
    "TORCHVISION",
    "Listing",
    "Preprocessing",
    "Transfer",
    "Verification",
    "Weights",
    "add_weights",
    "get_weights",
    "layer_names",
    "list_weights",
    "load_weights",
    "remove_weights",
    "tensor_shapes",
    "verify_weights",
]
