"""Files that hold an unfinished run, so that it can be continued to the same bytes.

A checkpoint is one safetensors file: the tensors of a `Place`, and beside them in the header, as
JSON, its `Standing`, what the run was made from and what the caller wants to have back. Nothing in
it is ever executed. It appears whole or not at all, and a checksum over all of it tells whether it
is what was written. Nothing here knows how a run goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto.errors import CheckpointError, OutputError, one_line
from impasto.images import check_place, output_error, sync_folder
from impasto.memory import Limit

CHECKPOINT_VERSION = 1
"""Version of the files written here, and the only one that is read."""

MAX_HEADER = 100_000_000
"""Longest header, bytes: the limit of safetensors itself."""

_KEY = "impasto-checkpoint"
_CHECKSUM, _ATTACHMENT = "crc32", "attachment"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.uint8: "U8",
}

OptimizerName = Literal["lbfgs", "lbfgs-pixel", "adam"]


class _Numbers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TermNumbers(_Numbers):
    """Loss terms; `None` stands for what was no finite number."""

    loss: float | None
    content: float | None
    style: float | None
    tv: float | None
    layers: dict[str, float | None] = {}
    anchor: float | None = 0.0


class Standing(_Numbers):
    """Where a run stands after an evaluation, in numbers.

    Attributes:
        levels: width, height and evaluations of every level, and whether it is anchored.
        level: index of the level of the last evaluation.
        evaluation: its number within the level, from 1.
        done: evaluations over all levels.
        terms: the loss terms there.
        best_terms: those of the best picture of this level.
        elapsed: seconds that the run has taken.
        remaining: seconds that it was expected to go on.
        entered: seconds into the run at which the level began.
        warm: seconds into the run at which the level's first evaluation had ended.
        faults: losses at this level that were not finite.
        recent: the lowest losses after each of the last evaluations, for the tolerance.
        optimizer: which minimiser is at work; `None` when the level is finished.
        minimizer: its numbers, by name.
    """

    levels: list[Annotated[list[int], Field(min_length=4, max_length=4)]] = Field(min_length=1)
    level: int = Field(ge=0)
    evaluation: int = Field(ge=1)
    done: int = Field(ge=1)
    terms: TermNumbers
    best_terms: TermNumbers
    elapsed: float = Field(ge=0)
    remaining: float = Field(ge=0)
    entered: float
    warm: float
    faults: int = Field(default=0, ge=0)
    recent: list[float] = Field(default=[], max_length=11)
    optimizer: OptimizerName | None = None
    minimizer: dict[str, float] = {}


@dataclass(frozen=True)
class Place:
    """Where a run stands: with its pictures and options, all that the rest of it follows from.

    Attributes:
        standing: in numbers.
        tensors: the best picture of the level (`best`), the minimiser's tensors (`minimizer.…`) and
            at an anchored level the coarser one's result (`anchor`); or, between levels, the
            moments that Adam hands on (`carried.mean`, `carried.square`).
    """

    standing: Standing
    tensors: dict[str, Tensor] = field(repr=False)


@dataclass
class Bookmark:
    """Holds the place of a run while it goes on.

    Attributes:
        place: `None` before the first evaluation.
        began: when the run's time began, as `time.monotonic` tells it; by default with the first
            evaluation.
        limits: what lack of memory forces on the run, here or when it was made before; where it
            runs out, the run adds to them.
    """

    place: Place | None = None
    began: float | None = None
    limits: list[Limit] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        settings: the record that the run's picture will carry: options, inputs with their digests,
            versions, the weights' digest, and what lack of memory has forced on the run.
        machine: where it ran: `device`, `precision`, `processor`, `threads`, and `memory`, the
            bytes that it was allowed.
        pictures_sha256: digest of the pictures as they were prepared for the run.
        place: where it stood; `None` before its first evaluation.
        notes: plain data of the caller's.
        attachment: bytes of the caller's, for what is too long for notes.
    """

    settings: dict[str, Any]
    machine: dict[str, Any]
    pictures_sha256: str
    place: Place | None
    notes: dict[str, Any] = field(default_factory=dict)
    attachment: bytes = field(default=b"", repr=False)


# --- writing -------------------------------------------------------------------------------------


def check_checkpoint(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Raises what `write_checkpoint` would raise for this path, before any work is done.

    Raises:
        OutputError: the file exists or is no plain file, or its folder cannot be written.
    """
    name = one_line(os.fspath(path))
    try:
        if not overwrite and Path(path).is_file():
            raise OutputError(
                f"{name}: exists already; continue it with 'impasto resume', choose another name, "
                "or use --overwrite"
            )
        if os.path.lexists(path) and not Path(path).is_file() and not Path(path).is_dir():
            # A rename would put a plain file in the place of a device.
            raise OutputError(f"{name}: is no plain file; choose another name")
        check_place(path, overwrite=overwrite)
    except (OSError, ValueError) as error:
        raise output_error(name, error) from None


def write_checkpoint(
    path: str | os.PathLike[str], checkpoint: Checkpoint, *, overwrite: bool = False
) -> None:
    """Writes a checkpoint whole or not at all; the former one stays until then.

    Args:
        path: of the file, by convention with the extension `.ckpt`.
        checkpoint: what to write.
        overwrite: replace an existing file.

    Raises:
        OutputError: the file exists or is no plain file, its folder cannot be written, or the disk
            is full.
    """
    check_checkpoint(path, overwrite=overwrite)
    name = one_line(os.fspath(path))
    try:
        target = Path(os.path.realpath(path))
        # Where an earlier process was killed while it wrote, its half of a file goes.
        _sweep(target)
        part = target.with_name(f"{_part_prefix(target)}{secrets.token_hex(8)}.part")
        try:
            with part.open("xb") as file:
                for chunk in _chunks(checkpoint):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
            # Or a power cut might bring the former one back, or none.
            sync_folder(target.parent)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise output_error(name, error) from error


def remove_checkpoint(path: str | os.PathLike[str]) -> None:
    """Deletes a checkpoint that is needed no more, with anything half-written beside it.

    Raises:
        OutputError: it may not be deleted.
    """
    try:
        target = Path(os.path.realpath(path))
        _sweep(target)
        target.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{one_line(os.fspath(path))}: is finished with but cannot be deleted "
            f"({getattr(error, 'strerror', None) or error}); delete it yourself"
        ) from None


def _part_prefix(target: Path) -> str:
    # Of one length, however long the name is.
    return f".impasto-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


def _sweep(target: Path) -> None:
    for stray in target.parent.glob(f"{_part_prefix(target)}*.part"):
        with contextlib.suppress(OSError):
            stray.unlink()


def _chunks(checkpoint: Checkpoint) -> Iterator[bytes | memoryview]:
    """The file, piece by piece, so that no second copy of a long history is made."""
    place = checkpoint.place
    tensors = {} if place is None else dict(place.tensors)
    if checkpoint.attachment:
        tensors[_ATTACHMENT] = torch.frombuffer(bytearray(checkpoint.attachment), dtype=torch.uint8)
    orders = {name: _memory_order(tensor) for name, tensor in tensors.items()}
    record = {
        "version": CHECKPOINT_VERSION,
        "settings": checkpoint.settings,
        "machine": checkpoint.machine,
        "pictures_sha256": checkpoint.pictures_sha256,
        "standing": None if place is None else place.standing.model_dump(),
        "orders": orders,
        "notes": checkpoint.notes,
    }
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps(record, allow_nan=False)}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        shape = [tensor.shape[i] for i in orders[name]]
        kind = _DTYPES[tensor.dtype]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    header[_CHECKSUM] = {"dtype": "U8", "shape": [4], "data_offsets": [end, end + 4]}
    data = json.dumps(header).encode()
    data += b" " * (-len(data) % 8)
    if len(data) > MAX_HEADER:
        raise ValueError("its notes are too long")
    yield struct.pack("<Q", len(data)) + data
    checksum = zlib.crc32(data)
    for name, tensor in tensors.items():
        chunk = _bytes(tensor.permute(orders[name]))
        checksum = zlib.crc32(chunk, checksum)
        yield chunk
    yield struct.pack("<I", checksum)


def _memory_order(tensor: Tensor) -> list[int]:
    """The dimensions from the slowest to the fastest in memory.

    Kept, because sums over the same values in another order round differently.
    """
    return sorted(range(tensor.dim()), key=lambda i: -tensor.stride(i))


# --- reading -------------------------------------------------------------------------------------


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads and checks a checkpoint.

    Raises:
        CheckpointError: there is none, it is damaged or cut off, or another program or a later
            version wrote it.
    """
    name = one_line(os.fspath(path))
    try:
        if not Path(path).is_file():
            if os.path.lexists(path):
                raise CheckpointError(f"{name}: is no plain file; check the path")
            raise CheckpointError(
                f"{name}: no such file; check the path (a run that is finished deletes its own)"
            )
        header, record = _read_header(Path(path), name)
        tensors = _read_tensors(Path(path), header, record["orders"])
        attached = tensors.pop(_ATTACHMENT, None)
        attachment = b"" if attached is None else bytes(_bytes(attached))
        numbers = record["standing"]
        place = None if numbers is None else Place(Standing.model_validate(numbers), tensors)
        parts = record["settings"], record["machine"], record["notes"]
        if not all(isinstance(part, dict) for part in parts):
            raise TypeError("a record is no mapping")
        settings, machine, notes = parts
        digest = str(record["pictures_sha256"])
        return Checkpoint(settings, machine, digest, place, notes, attachment)
    except CheckpointError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"{name}: cannot be read ({reason}); check the path") from None
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{name}: is a damaged checkpoint; use a copy of it, or begin the run anew"
        ) from error


def _read_header(path: Path, name: str) -> tuple[bytes, dict[str, Any]]:
    foreign = CheckpointError(
        f"{name}: is no checkpoint of impasto; give the file that --checkpoint named"
    )
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MAX_HEADER or length > path.stat().st_size:
            raise foreign
        header = file.read(length)
    try:
        text = json.loads(header)["__metadata__"][_KEY]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise foreign from None
    record = json.loads(text, parse_constant=_refuse)
    version = record["version"]
    if type(version) is not int or version < 1:
        raise ValueError("no version")
    if version > CHECKPOINT_VERSION:
        raise CheckpointError(
            f"{name}: was written by a later impasto (format {version}, this one reads "
            f"{CHECKPOINT_VERSION}); continue it with that one"
        )
    return header, record


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _read_tensors(path: Path, header: bytes, orders: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    checksum = zlib.crc32(header)
    with _text_name(path) as name, safe_open(name, framework="pt") as file:
        if {*file.keys()} != {*orders, _CHECKSUM}:
            raise ValueError("tensors are missing")
        for key, order in orders.items():
            # A copy in memory of its own, aligned like that of any other tensor: sums over memory
            # that is aligned otherwise may round differently.
            stored = file.get_tensor(key).clone()
            checksum = zlib.crc32(_bytes(stored), checksum)
            if sorted(order) != list(range(stored.dim())):
                raise ValueError("an order is no permutation")
            tensors[key] = stored.permute([order.index(i) for i in range(stored.dim())])
        written = bytes(file.get_tensor(_CHECKSUM).tolist())
    if written != struct.pack("<I", checksum):
        raise ValueError("values have changed")
    return tensors


@contextlib.contextmanager
def _text_name(path: Path) -> Iterator[str]:
    """A name of a file that is UTF-8, for safetensors takes no other; those on Linux need not be.
    The file is not read into memory for that, as a history may be long."""
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        yield name


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data
