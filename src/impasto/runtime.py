"""Exported transfer networks, run by onnxruntime: from a photo to a picture without torch.

What `impasto.portable` wrote is all that is needed; a network in impasto's own format is brought
into that form when it is first used, and kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import impasto
from impasto.blueprint import LEAST_SIDE, RIM
from impasto.cache import cache_folder
from impasto.errors import OptionError, OutputError, RunError, WeightsError
from impasto.images import make_folder, write_whole
from impasto.network_files import (
    GRAPH,
    METADATA,
    bytes_of,
    is_portable,
    read_network_file,
    record_fault,
)
from impasto.onnx_sessions import load_onnxruntime, missing, open_session

Pixels = NDArray[np.float32]

MAX_PIXELS = 4_000_000
"""Most pixels of a result; all maps of the network are in memory at once, 1.2 kB for each pixel."""

UNASKED_PIXELS = 2**20
"""Most pixels of a result where onnxruntime was not asked for: torch takes less memory."""


def portable_file(path: str | os.PathLike[str]) -> Path:
    """The exported form of a network: the file itself, or one made of it in the cache.

    Args:
        path: an exported network, or one in impasto's own format.

    Raises:
        WeightsError: the file is missing, damaged, or no network.
        OptionError: it is to be exported, and the package `onnx` is not installed.
        OutputError: the cache cannot be written.
    """
    path = Path(path)
    if is_portable(path):
        return path
    kept = _place(path)
    if kept.is_file():
        return kept
    data = _exported(path)
    make_folder(kept.parent)
    # Another process may make the same file at once.
    write_whole(kept, data, overwrite=True)
    return kept


def can_run(path: str | os.PathLike[str]) -> bool:
    """Whether all packages are there that running a network takes: `onnx` only where the network
    has not been exported yet.

    Raises:
        WeightsError: the file is missing.
    """
    if find_spec("onnxruntime") is None:
        return False
    return is_portable(path) or find_spec("onnx") is not None or _place(Path(path)).is_file()


def _place(path: Path) -> Path:
    """Where the cache has the exported form of a network."""
    digest = hashlib.sha256(bytes_of(path)).hexdigest()
    return cache_folder("networks") / f"{digest}-{impasto.__version__}.{GRAPH}.onnx"


def _exported(path: Path) -> bytes:
    try:
        from impasto.portable import portable

        model = portable(read_network_file(path, "np"))
    except ImportError as error:
        raise _without(error) from None
    return model.SerializeToString(deterministic=True)


def _without(error: ImportError) -> OptionError:
    return OptionError(f"--runtime onnx: {missing(error)}, or use --runtime torch")


def open_network(path: str | os.PathLike[str], threads: int | None = None) -> PortableNetwork:
    """A network of either form, ready to run; where the cache is of no use, it is done without.

    Args:
        path: an exported network, or one in impasto's own format.
        threads: as in `PortableNetwork`.

    Raises:
        WeightsError: the file is missing, damaged, or no network.
        OptionError: onnxruntime, or what exporting takes, is not installed.
    """
    if is_portable(path):
        return PortableNetwork(path, threads)
    try:
        return PortableNetwork(portable_file(path), threads)
    except (OutputError, WeightsError, OSError):
        # Should the network itself be amiss, this says so.
        return PortableNetwork(_exported(Path(path)), threads)


class PortableNetwork:
    """An exported network, ready to run.

    Attributes:
        record: what the file says of itself.
        names: the styles it knows; none where it takes pictures of them.

    Args:
        path: the file, as `portable_file` gives it, or what it holds.
        threads: CPU threads; by default as many as there are cores.

    Raises:
        WeightsError: the file is missing, damaged, or no network of impasto.
        OptionError: onnxruntime is not installed, or cannot be loaded.
    """

    def __init__(self, path: str | os.PathLike[str] | bytes, threads: int | None = None) -> None:
        try:
            onnxruntime = load_onnxruntime()
        except ImportError as error:
            raise _without(error) from None
        data = path if isinstance(path, bytes) else bytes_of(path)
        name = self._name = "the network" if isinstance(path, bytes) else str(path)
        try:
            self._session = open_session(data, threads or _cores())
            found = self._session.get_modelmeta().custom_metadata_map.get(METADATA, "null")
            record = json.loads(found)
        except Exception:  # onnxruntime's errors have no base but this one
            raise WeightsError(f"{name}: is no ONNX file, or damaged; take another copy") from None
        fault = record_fault(record)
        if fault is not None:
            raise WeightsError(f"{name}: {fault}")
        self._part = onnxruntime.RunOptions()
        self._part.only_execute_path_to_fetches = True
        self.record: dict[str, Any] = record
        self.names: list[str] = list(record["names"])

    @property
    def noise(self) -> float:
        """Standard deviation of the noise that photos are to be given; see `impasto.noise`."""
        return self.record.get("noise", 0.0)

    @property
    def takes_pictures(self) -> bool:
        """Whether styles are given as pictures, not by name."""
        return self.record["kind"] == "any"

    def style_of_name(self, name: str) -> Pixels:
        """A known style, `(1, K)`.

        Raises:
            OptionError: the network does not know it.
        """
        if name not in self.names:
            known = ", ".join(self.names) or "none: it takes pictures"
            raise OptionError(f"'{name}': the network does not know this style; it knows {known}")
        return np.eye(len(self.names), dtype=np.float32)[[self.names.index(name)]]

    def style_of_picture(self, pixels: Pixels, scale: float = 1.0) -> Pixels:
        """The style of a picture, as its vector `(1, V)`.

        Args:
            pixels: `(3, h, w)`, sRGB in [0, 1].
            scale: it is seen with a long side of `SEEN_SIDE` times this.

        Raises:
            OptionError: the network has a table of styles instead.
        """
        if not self.takes_pictures:
            raise OptionError("the network knows only its own styles: " + ", ".join(self.names))
        zeros = np.zeros((1, self.record["vector"]), np.float32)
        feeds = {"painting": pixels[None], "scale": _one(scale), "vector": zeros}
        feeds |= {"photo": self._nothing, "strength": _one(1)}
        return self._run("vector_used", feeds, zeros.shape)

    def repaint(self, photo: Pixels, style: Pixels, strength: float = 1.0) -> Pixels:
        """The photo in a style.

        Args:
            photo: `(3, H, W)`, sRGB in [0, 1].
            style: from `style_of_name` or `style_of_picture`, or a mean of several.
            strength: how far to go from the photo, 0, to the style, 1.

        Returns:
            `(3, H, W)`.

        Raises:
            RunError: onnxruntime failed.
            WeightsError: the network makes no picture.
        """
        if strength <= 0:
            return photo
        rim = (RIM, RIM)
        wide = np.pad(photo, ((0, 0), rim, rim), mode="symmetric")
        feeds = {"photo": wide[None], "strength": _one(strength)}
        if self.takes_pictures:
            feeds |= {"painting": self._nothing, "scale": _one(1), "vector": style}
        else:
            feeds["style"] = style
        found = self._run("picture", feeds, (1, *wide.shape))[0]
        return np.ascontiguousarray(found[:, RIM:-RIM, RIM:-RIM])

    @property
    def _nothing(self) -> Pixels:
        return np.full((1, 3, LEAST_SIDE, LEAST_SIDE), 0.5, np.float32)

    def _run(self, output: str, feeds: dict[str, Pixels], shape: tuple[int, ...]) -> Pixels:
        found = {name: np.ascontiguousarray(value, np.float32) for name, value in feeds.items()}
        try:
            (result,) = self._session.run([output], found, self._part)
        except MemoryError:
            raise
        except Exception as error:  # as above
            first = str(error).splitlines()[0]
            raise RunError(f"onnxruntime failed ({first[:120]}); use --runtime torch") from None
        found = np.asarray(result)
        if found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
            raise WeightsError(
                f"{self._name}: is a damaged network (its {output} is no array of {shape} "
                "numbers); export it again"
            )
        return found


def _one(value: float) -> Pixels:
    return np.array([value], np.float32)


def mix(styles: Sequence[Pixels], shares: Sequence[float]) -> Pixels:
    """A blend: the mean of styles, weighted by shares ≥ 0."""
    total = float(sum(shares))
    blend = sum(style * (share / total) for style, share in zip(styles, shares, strict=True))
    return np.asarray(blend, np.float32)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux knows it
        return os.cpu_count() or 1
