"""Keeps a run's checkpoint up to date while it goes on, and knows what an earlier part left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli import say
from impasto.errors import OutputError

if TYPE_CHECKING:
    from impasto.optimize import Progress
    from impasto.run import Stylization

_SHARE = 0.02
"""Most of a run's time that its checkpoints may take; where writing is slow they become rarer."""


@dataclass
class Earlier:
    """What the interrupted part of a run left.

    Attributes:
        rows: its trace.
        written: SHA-256 of the picture and the figure that it wrote, which may be replaced.
        seconds: how long it took.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def wrote(self, path: Path) -> bool:
        """Whether a file is there as that part wrote it."""
        with contextlib.suppress(OSError, ValueError):
            return path.is_file() and file_digest(path) in self.written
        return False

    @property
    def trace(self) -> bytes:
        """The trace as it stands in a file."""
        return trace_lines(self.rows)


def trace_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows of a trace as lines of JSON."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


class Keeper:
    """Writes checkpoints; a fault in writing costs no run.

    Args:
        run: whose checkpoints.
        path: where they go, each in the place of the former.
        every: seconds between two; 0 writes one after every evaluation.
        notes: what `resume` needs to know beside the run.
        rows: the trace, which is kept too; `None` where nobody needs it.
        earlier: what the part before the last interruption left; `None` in a new run.
        overwrite: replace a file that exists.
    """

    def __init__(
        self,
        run: Stylization,
        path: Path,
        every: float,
        notes: dict[str, Any],
        rows: list[dict[str, Any]] | None,
        earlier: Earlier | None,
        overwrite: bool,
    ) -> None:
        self.path = path
        self._run, self._every, self._notes, self._rows = run, every, notes, rows
        self._overwrite = overwrite
        self._written = [] if earlier is None else list(earlier.written)
        self._there = earlier is not None
        self._level, self._last, self._interval = -1, time.monotonic(), every
        self._fault = ""

    def begin(self) -> None:
        """Writes the checkpoint of a new run, so that a place for none is known before any work.

        Raises:
            OutputError: it cannot be written.
        """
        if not self._there:
            self._write()

    def after(self, progress: Progress) -> None:
        """To be called after every evaluation: writes when a level begins or it is time."""
        if progress.level != self._level or time.monotonic() - self._last >= self._interval:
            self._level = progress.level
            self.write()

    def write(self) -> None:
        """Writes now; a fault is one warning, and the former checkpoint stays."""
        began = time.monotonic()
        try:
            self._write()
            self._fault = ""
        except OutputError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                kept = ", and the checkpoint before this one stays" if self._there else ""
                say(f"impasto: warning: {error}; the run goes on{kept}")
        self._last = time.monotonic()
        if self._every > 0:
            self._interval = max(self._every, (self._last - began) / _SHARE)

    def _write(self) -> None:
        attachment = b"" if self._rows is None else trace_lines(self._rows)
        notes = {**self._notes, "written": self._written[-10:]}
        self._run.checkpoint(
            self.path, overwrite=self._overwrite, notes=notes, attachment=attachment
        )
        self._there = True

    def claim(self, digest: str) -> None:
        """Writes a last checkpoint, from which a file of this SHA-256 may be replaced."""
        self._written.append(digest)
        self.write()

    def finish(self) -> None:
        """Deletes the checkpoint, after all else has been written."""
        from impasto.checkpoint import remove_checkpoint

        try:
            remove_checkpoint(self.path)
        except OutputError as error:
            say(f"impasto: warning: {error}")

    @property
    def advice(self) -> str:
        """How to go on with the run, as the end of a line; empty where that is not possible."""
        if not self._there:
            return ""
        return f"; resume with: impasto resume {shlex.quote(str(self.path))}"


def read_rows(attachment: bytes) -> list[dict[str, Any]]:
    """The rows that `trace_lines` wrote.

    Raises:
        ValueError: they are no trace.
    """
    rows = [json.loads(line) for line in attachment.splitlines()]
    for row in rows:
        numbers = [row[name] for name in ("level", "evaluation", "width", "height")]
        losses = [row[name] for name in ("loss", "content", "style", "tv", "best_loss")]
        numbers += [number for number in losses if number is not None]
        if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
            raise ValueError("no numbers")
    return rows


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
