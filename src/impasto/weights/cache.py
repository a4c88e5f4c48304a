"""The folder of converted weights: one safetensors file each, checked whenever it is read.

Every file carries its own record as JSON in the safetensors header, so that file and record can
never disagree and one rename publishes both. Nothing here knows where weights come from.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cache import CACHE_VARIABLE, cache_folder
from impasto.errors import OutputError, WeightsError
from impasto.weights.architecture import (
    CONVOLUTIONS_PER_BLOCK,
    PREPROCESSINGS,
    tensor_shapes,
)

if TYPE_CHECKING:
    from torch import Tensor

_HEADER_KEY = "impasto"


@dataclass(frozen=True)
class Record:
    """What is known of a converted file.

    Attributes:
        model: the architecture, `vgg16` or `vgg19`.
        name: the variant's name.
        preprocessing: a name in `architecture.PREPROCESSINGS`.
        source: the package, address or file that it was converted from.
        source_sha256: SHA-256 of that source file.
        sha256: `content_sha256` of the converted tensors.
        licence: who may use the weights; empty for a file added by hand.
        added: whether a user added the file by hand.
    """

    model: str
    name: str
    preprocessing: str
    source: str
    source_sha256: str
    sha256: str
    licence: str
    added: bool


def cached_path(model: str, name: str) -> Path:
    """Gives the place of one variant's converted file, whether or not it is there."""
    return cache_folder("weights") / f"{model}.{name}.safetensors"


def content_sha256(tensors: "Mapping[str, Tensor]") -> str:
    """Hashes names, shapes and values, so that equal weights have equal digests in any format."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def read_record(path: Path) -> Record:
    """Reads only the record of a converted file, without its tensors and without torch.

    Raises:
        WeightsError: the file is damaged or not one of impasto's.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("truncated")
            header = json.loads(file.read(length))
        record = Record(**json.loads(header["__metadata__"][_HEADER_KEY]))
        if record.preprocessing not in PREPROCESSINGS:
            raise ValueError(f"unknown preprocessing {record.preprocessing!r}")
        return record
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: damaged cache file ({error}); delete it") from error


def read(path: Path) -> "tuple[Record, dict[str, Tensor]]":
    """Maps a converted file into memory and checks every value against its record.

    Raises:
        WeightsError: the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    record = read_record(path)
    try:
        stored = load_file(path)
        tensors = {name: stored[name] for name in tensor_shapes(record.model)}
    except (OSError, SafetensorError, KeyError) as error:
        raise WeightsError(f"{path}: damaged cache file ({error}); delete it") from error
    if content_sha256(tensors) != record.sha256:
        raise WeightsError(f"{path}: damaged cache file (values changed); delete it")
    return record, tensors


def write(record: Record, tensors: "Mapping[str, Tensor]") -> Path:
    """Writes a converted file in one step; two processes may do so at once.

    Returns:
        The file's path.

    Raises:
        OutputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = cached_path(record.model, record.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        os.close(handle)
        try:
            metadata = {_HEADER_KEY: json.dumps(asdict(record))}
            save_file(dict(tensors), temporary, metadata=metadata)
            Path(temporary).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{path}: cannot be written ({error}); free space, or set {CACHE_VARIABLE} to a "
            "folder of your own"
        ) from error
    return path


def records() -> Iterator[tuple[Path, Record | None]]:
    """Lists the converted files in the order of their names, with None for a damaged one."""
    for path in sorted(cache_folder("weights").glob("*.safetensors")):
        model, _, name = path.stem.partition(".")
        if model not in CONVOLUTIONS_PER_BLOCK or not name:
            continue
        try:
            yield path, read_record(path)
        except WeightsError:
            yield path, None
