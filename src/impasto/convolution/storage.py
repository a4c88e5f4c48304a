"""What is found out or compiled once on a machine, kept in the user's cache folder.

Nothing here fails: what cannot be kept or read is made anew.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import platformdirs


def folder() -> Path | None:
    """The folder of this package's files, which need not exist; `None` without a home folder."""
    chosen = os.environ.get("IMPASTO_CACHE")
    try:
        base = Path(chosen) if chosen else platformdirs.user_cache_path("impasto", appauthor=False)
    except RuntimeError:  # no home folder
        return None
    return base / "convolution"


def read_sealed(name: str) -> bytes | None:
    """What `write_sealed` kept under a name, or `None` where it is absent or damaged, or where
    somebody else could have written it: it may be code."""
    place = folder()
    if place is None:
        return None
    try:
        with (place / name).open("rb") as file:
            status = os.fstat(file.fileno())
            if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
                return None
            content = file.read()
    except OSError:
        return None
    seal, data = content[:32], content[32:]
    return data if sha256(data).digest() == seal else None


def write_sealed(name: str, data: bytes) -> None:
    """Keeps bytes with their digest before them; the file appears whole or not at all."""
    place = folder()
    if place is None:
        return
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=place, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(sha256(data).digest() + data)
            Path(part).replace(place / name)
        finally:
            Path(part).unlink(missing_ok=True)
