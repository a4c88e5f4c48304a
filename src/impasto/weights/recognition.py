"""Tells which preprocessing a file of unknown origin wants, where its contents leave no doubt."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from impasto.weights.variants import VARIANTS

if TYPE_CHECKING:
    from torch import Tensor

# The first plane of the first kernel of published weights, how far a copy of it may differ, and
# the preprocessing it was trained with. VGG19's Oxford values are 8-bit approximations, at most
# half a quantisation step (0.0042) off. Nine values at once leave no room for coincidence.
_FIRST_KERNEL_PLANES = (
    (
        "vgg16",
        "caffe",
        1e-3,
        (0.42947, 0.37347, -0.06136, 0.27477, 0.03868, -0.36722, -0.05747, -0.26225, -0.35010),
    ),
    (
        "vgg19",
        "caffe",
        0.005,
        (0.34063, 0.34063, -0.04567, 0.23207, 0.08940, -0.30331, -0.07322, -0.24496, -0.33720),
    ),
    (
        "vgg19",
        "torchvision",
        1e-3,
        (-0.05347, -0.04926, -0.06794, 0.01531, 0.04507, 0.00214, 0.03623, 0.02000, 0.01986),
    ),
)


def guess_preprocessing(
    architecture: str, tensors: "Mapping[str, Tensor]", source_sha256: str
) -> str | None:
    """Names the preprocessing of weights that are known, by the file's digest or first kernel.

    Args:
        architecture: `vgg16` or `vgg19`.
        tensors: the network's convolutions.
        source_sha256: digest of the file they came from.

    Returns:
        A name in `architecture.PREPROCESSINGS`, or None if the weights are not known.
    """
    for variant in VARIANTS:
        if variant.digest.algorithm == "sha256" and variant.digest.matches(source_sha256):
            return variant.preprocessing
    plane = tensors["conv1_1.weight"][0, 0].flatten().tolist()
    for model, preprocessing, tolerance, known in _FIRST_KERNEL_PLANES:
        if model == architecture and all(
            abs(a - b) <= tolerance for a, b in zip(plane, known, strict=True)
        ):
            return preprocessing
    return None
