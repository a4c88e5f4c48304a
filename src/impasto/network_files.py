"""Files of transfer networks, with torch and without: what they must hold, and what is in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors

from impasto.blueprint import IDENTITY, Shape
from impasto.errors import WeightsError
from impasto.paths import special
from impasto.tensor_files import tensors_of

FORMAT = "impasto-network"
FORM = 1
"""Raised when files of networks come to hold something else."""

METADATA = "impasto"
"""Key of an exported network's record: JSON with `form`, `kind`, `names`, `shape`, `vector`,
`source_sha256`, `impasto`, `noise` and `card`."""

GRAPH = 3
"""Raised when the same network comes to make another exported graph."""

MAX_VECTOR = 10**6
"""Most numbers of a style that an exported network may say it has."""

MAX_WIDTH, MAX_BLOCKS = 4096, 64
"""Most channels of a map, and residual blocks, that the file of a network may ask for."""

_NO_NOISE = "is a damaged network (its noise is no number from 0 to 1); take another copy"


@dataclass(frozen=True, eq=False)
class NetworkFile:
    """What is in a network's file.

    Attributes:
        path: the file.
        shape: the network's size.
        styles: all styles of its table, in order; `None` where it predicts them.
        hidden: widths of the predictor's hidden layers; `None` where there is a table.
        noise: standard deviation of the noise that photos are to be given; see `impasto.noise`.
        card: how the network was trained, plain data.
        tensors: name → values, of torch or of NumPy, in the file's own precision.
        sha256: of the file.
    """

    path: Path
    shape: Shape
    styles: list[str] | None
    hidden: tuple[int, int] | None
    noise: float
    card: Mapping[str, Any]
    tensors: Mapping[str, Any]
    sha256: str

    @property
    def names(self) -> list[str]:
        """The styles it knows, without `IDENTITY`; none where it predicts them."""
        return [name for name in self.styles or () if name != IDENTITY]


def read_network_file(path: str | os.PathLike[str], framework: Literal["pt", "np"]) -> NetworkFile:
    """Reads what `networks.write_network` wrote.

    Args:
        path: the file.
        framework: whose tensors are wanted.

    Raises:
        WeightsError: the file is missing, damaged, or no network.
    """
    path = Path(path)
    data = bytes_of(path)
    try:
        texts, tensors = tensors_of(data, framework)
        header = json.loads(texts.get(FORMAT, "null"))
    except (safetensors.SafetensorError, ValueError, RecursionError):
        fault = "is no network of impasto, or damaged; name a network's file, or a copy of it"
        if is_portable(path):
            fault = (
                "is an exported network, which only stylize --fast runs, by onnxruntime; name the "
                "network that it was exported from"
            )
        raise WeightsError(f"{path}: {fault}") from None
    fault = header_fault(header)
    if fault is not None:
        raise WeightsError(f"{path}: {fault}")
    # In half precision, the way they are kept, a sum of numbers can be beyond all numbers.
    if not all(np.isfinite(np.asarray(one)).all() for one in tensors.values()):
        raise WeightsError(
            f"{path}: is a damaged network (some of its numbers are none); take another copy"
        )
    given, hidden = header["shape"], header.get("hidden")
    return NetworkFile(
        path,
        Shape(tuple(given["encoder"]), given["blocks"], tuple(given["decoder"])),
        header.get("styles"),
        None if hidden is None else (hidden[0], hidden[1]),
        header.get("noise", 0.0),
        header["card"],
        tensors,
        sha256(data).hexdigest(),
    )


def bytes_of(path: str | os.PathLike[str]) -> bytes:
    """What is in the file of a network of either form.

    Raises:
        WeightsError: there is none, it cannot be read, or it is a pipe or a device, which might
            never end.
    """
    path = Path(path)
    try:
        if path.is_dir() or special(path):
            what = "is a folder" if path.is_dir() else "is no file, but a pipe or a device"
            raise WeightsError(f"{path}: {what}; name a network's file")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{path}: {reason}; name a network's file") from None


def is_portable(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of an exported network."""
    return Path(path).suffix.lower() == ".onnx"


def header_fault(header: Any) -> str | None:
    """What is wrong with the header of a network's file, in words; `None`: nothing.

    Args:
        header: as it was read, plain data of any kind.
    """
    if not isinstance(header, dict) or header.get("form") != FORM:
        return "is no network of impasto, or of a later version; name another file"
    if not isinstance(header.get("card"), dict):
        return "is a damaged network (it has no card); take another copy"
    styles = header.get("styles")
    if styles is not None and not _are_texts(styles):
        return "is a damaged network (its styles are no names); take another copy"
    hidden = header.get("hidden")
    if (styles is None) == (hidden is None) or (styles is not None and IDENTITY not in styles):
        return "is a damaged network (it lacks what makes vectors of styles); take another copy"
    shape = header.get("shape")
    sound = (
        isinstance(shape, dict)
        and all(_are_widths(shape.get(way)) for way in ("encoder", "decoder"))
        and type(shape.get("blocks")) is int
        and 0 <= shape["blocks"] <= MAX_BLOCKS
        and (hidden is None or (_are_widths(hidden) and len(hidden) == 2))
    )
    if not sound:
        return "is a damaged network (its shape cannot be); take another copy"
    return None if _is_noise(header.get("noise", 0.0)) else _NO_NOISE


def record_fault(record: Any) -> str | None:
    """What is wrong with the record of an exported network, in words; `None`: nothing.

    Args:
        record: as it was read, plain data of any kind.
    """
    if not isinstance(record, dict) or record.get("form") != FORM:
        return "is no network of impasto, or of a later version; name another file"
    vector = record.get("vector")
    sound = (
        record.get("kind") in ("styles", "any")
        and _are_texts(record.get("names"))
        and type(vector) is int
        and 0 < vector <= MAX_VECTOR
        and isinstance(record.get("source_sha256"), str)
    )
    if not sound:
        return "is a damaged network (its record is not whole); take another copy"
    return None if _is_noise(record.get("noise", 0.0)) else _NO_NOISE


def _is_noise(value: Any) -> bool:
    """Whether a network may ask for so much noise; those of before there was any ask for none."""
    return type(value) in (int, float) and 0 <= value <= 1


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) for one in values)


def _are_widths(values: Any) -> bool:
    """Whether these may be numbers of channels, of one stage at least."""
    if not isinstance(values, list) or not 0 < len(values) <= MAX_BLOCKS:
        return False
    return all(type(one) is int and 0 < one <= MAX_WIDTH for one in values)
