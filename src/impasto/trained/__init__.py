"""The trained transfer networks that come with impasto, and where any network's file is.

`styles` holds all built-in styles; `any` takes a picture of any style. Their cards lie beside them.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import WeightsError

if TYPE_CHECKING:
    from impasto.networks import Network

SHIPPED = ("styles", "any")
"""Names of the networks that come with impasto."""


def network_path(name: str | os.PathLike[str]) -> Path:
    """The file of a network.

    Args:
        name: one of `SHIPPED`, whatever files of these names there are, or a file, such as
            `./styles`.

    Raises:
        WeightsError: the name is empty, or this installation lacks the network.
    """
    name = os.fspath(name)
    if not name.strip():
        raise WeightsError("--network: the name is empty; give styles, any or a file")
    if name not in SHIPPED:
        return Path(name)
    path = Path(str(resources.files(__name__) / f"{name}.safetensors"))
    if not path.is_file():
        raise WeightsError(
            f"{path}: the network '{name}' is missing from this installation; install impasto "
            "anew, or name a network's file with --network FILE"
        )
    return path


def name_of(sha256: str) -> str | None:
    """The name of the network that comes with impasto and has this digest; `None`: none has."""
    for name in SHIPPED:
        try:
            data = network_path(name).read_bytes()
        except (WeightsError, OSError):
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return name
    return None


def load_network(name: str | os.PathLike[str]) -> Network:
    """A network, read once as long as its file stays the same.

    Args:
        name: one of `SHIPPED`, or a file.

    Raises:
        WeightsError: the file is missing, damaged, or no network.
    """
    from impasto.networks import read_network

    path = network_path(name)
    try:
        state = path.stat()
    except (OSError, ValueError):
        return read_network(path)  # which names the fault
    return _read(path.resolve(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int, _size: int) -> Network:
    from impasto.networks import read_network

    return read_network(path)
