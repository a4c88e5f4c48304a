"""Where a training stands, and the file that keeps it: its checkpoint.

A checkpoint is one safetensors file with the tensors of a training and, in its header as JSON, all
else that the rest of it follows from. Nothing in it is ever executed; it appears whole or not at
all, and a checksum tells whether it is what was written.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from impasto.errors import CheckpointError, OutputError
from impasto.images import check_place, write_whole
from impasto.paths import special
from impasto.tensor_files import tensors_of

_FORMAT = "impasto-training"
_FORM = 1


@dataclass
class Standing:
    """Where a training stands, beside its tensors.

    Attributes:
        step: how many have been made.
        factor: of the learning rate, halved where losses were no numbers.
        falls: how often that was so.
        skipped: steps in a row, up to this one, whose losses were no numbers.
        waited: validations since the best one.
        seconds: that the training has taken.
        rows: points of the curves: step and means of the losses since the one before.
        validations: step and losses of each.
        faults: pictures that could not be read, and why.
    """

    step: int = 0
    factor: float = 1.0
    falls: int = 0
    skipped: int = 0
    waited: int = 0
    seconds: float = 0.0
    rows: list[list[float]] = field(default_factory=list)
    validations: list[list[float]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def best(self) -> list[float] | None:
        """Step and losses of the best validation."""
        return min(self.validations, key=lambda row: row[1], default=None)


@dataclass(frozen=True, eq=False)
class Kept:
    """What a checkpoint holds.

    Attributes:
        standing: in numbers.
        tensors: of `Trainer.state`.
        best: those of the best average until then, if there is one.
        record: plain data that the training is made again from.
    """

    standing: Standing
    tensors: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    record: Mapping[str, Any]


def check_kept(path: Path, *, overwrite: bool = False) -> None:
    """Refuses, before any work, a file that `write_kept` could not write or would replace.

    Raises:
        OutputError: in one line.
    """
    if not overwrite and path.is_file():
        raise OutputError(
            f"{path}: exists already; go on with 'impasto train --resume', choose another "
            "--output, or use --overwrite"
        )
    check_place(path, overwrite=overwrite)


def write_kept(path: Path, kept: Kept) -> None:
    """Writes a checkpoint whole or not at all, in the place of an earlier one.

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {f"now.{key}": value.contiguous() for key, value in kept.tensors.items()}
    tensors |= {f"best.{key}": value.contiguous() for key, value in kept.best.items()}
    header = {
        "form": _FORM,
        "standing": asdict(kept.standing),
        "record": dict(kept.record),
        "crc32": _checksum(tensors),
    }
    write_whole(path, save(tensors, {_FORMAT: json.dumps(header)}), overwrite=True)


def read_kept(path: str | os.PathLike[str]) -> Kept:
    """Reads and checks what `write_kept` wrote.

    Raises:
        CheckpointError: there is none, it is damaged, or another program or a later version wrote
            it.
    """
    path = Path(path)
    foreign = f"{path}: is no checkpoint of a training; name the file that was kept beside it"
    if path.is_dir() or special(path):
        raise CheckpointError(f"{path}: is no file; name the checkpoint that was kept")
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; check the path (a training that is finished deletes its own)"
        )
    try:
        texts, found = tensors_of(path.read_bytes(), "pt")
        header = json.loads(texts.get(_FORMAT, "null"))
        if not isinstance(header, dict):
            raise CheckpointError(foreign)
        if header["form"] != _FORM:
            raise CheckpointError(f"{path}: was written by a later impasto; go on with that one")
        # Aligned like other tensors: sums over memory aligned otherwise may round differently.
        tensors = {key: value.clone() for key, value in found.items()}
        if _checksum(tensors) != header["crc32"]:
            raise ValueError("values have changed")
        standing = Standing(**header["standing"])
        parts = {
            part: {
                key.removeprefix(f"{part}."): value
                for key, value in tensors.items()
                if key.startswith(f"{part}.")
            }
            for part in ("now", "best")
        }
        return Kept(standing, parts["now"], parts["best"], dict(header["record"]))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except safetensors.SafetensorError:
        raise CheckpointError(f"{foreign}, if it is not damaged") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(
            f"{path}: is a damaged checkpoint; use a copy of it, or begin the training anew"
        ) from None


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    checksum = 0
    for key in sorted(tensors):
        data = tensors[key].reshape(-1).view(torch.uint8).numpy().data
        checksum = zlib.crc32(data, zlib.crc32(key.encode(), checksum))
    return checksum
