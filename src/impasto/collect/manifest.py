"""What is known of each kept picture: `manifest.jsonl` in the folder, one line of JSON a picture.

The file is the record that reuse depends on: who made a picture, under which licence, where it was
found. It grows by a line as each picture comes; where lines must go, it is written to a temporary
name and takes the place of the former one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.errors import InputError, one_line
from impasto.images import output_error, write_whole

MANIFEST_NAME = "manifest.jsonl"


class Entry(BaseModel):
    """One kept picture.

    Attributes:
        file: its name inside the folder, such as `0a1b2c….jpg`; never a path out of it.
        url: the address that gave its bytes, after redirects.
        page: the page, feed or record that named it; empty where the picture itself was asked for.
        title: of the picture, or its alternative text; empty where unknown.
        author: who made it; empty where unknown.
        license: `cc0`, `pd`, `by`, `by-sa`, `by-nd`, `by-nc`, `by-nc-sa`, `by-nc-nd`; empty where
            none was recognised, which means that all rights are reserved.
        license_url: the address of the licence's text or the statement that it was read from.
        attribution: the line to print beneath the picture: title, author, licence, page.
        fetched_at: when its bytes came, UTC.
        sha256: of the file, hexadecimal.
        width: pixels, upright.
        height: pixels, upright.
        bytes: size of the file.
        format: `jpeg`, `png`, `webp`, `tiff`, `avif`, `gif`, …: what its first bytes say.
        phash: 64 bits of a perceptual hash, hexadecimal.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    url: str
    page: str = ""
    title: str = ""
    author: str = ""
    license: str = ""
    license_url: str = ""
    attribution: str = ""
    fetched_at: datetime
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    bytes: int = Field(ge=1)
    format: str
    phash: str = Field(pattern=r"^[0-9a-f]{16}$")


def write_manifest(folder: Path, entries: Iterable[Entry]) -> None:
    """Puts the entries into a folder's manifest, in place of those it had.

    Raises:
        OutputError: it cannot be written.
    """
    lines = "".join(entry.model_dump_json() + "\n" for entry in entries)
    write_whole(folder / MANIFEST_NAME, lines.encode(), overwrite=True)


def append_manifest(folder: Path, entries: Iterable[Entry]) -> None:
    """Adds entries to a folder's manifest, in one piece, so that a kill leaves no half line.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / MANIFEST_NAME
    lines = "".join(entry.model_dump_json() + "\n" for entry in entries)
    try:
        with path.open("ab") as file:
            file.write(lines.encode())
    except OSError as error:
        raise output_error(one_line(str(path)), error) from error


def read_manifest(folder: Path) -> list[Entry]:
    """The entries of a folder's manifest, in its order.

    Raises:
        InputError: the folder has none, or a line of it is damaged.
    """
    path = folder / MANIFEST_NAME
    name = one_line(str(path))
    try:
        # JSON may hold line ends of other kinds, which `splitlines` would take for its own.
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise InputError(
            f"{name}: no such file; name a folder that impasto collect made"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read ({error}); check the file") from error
    if not lines[-1]:
        lines.pop()
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            values: Any = json.loads(line)
            entries.append(Entry.model_validate(values))
        except (ValueError, ValidationError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else None
            fault = (
                f"{first['loc'][0] if first['loc'] else 'it'}: {first['msg']}" if first else error
            )
            raise InputError(
                f"{name}: line {number} is damaged ({fault}); collect again, or remove the line"
            ) from error
    return entries
