"""What is written of a run while it goes on: its losses, their trace and snapshots."""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.keeping import Earlier, trace_lines
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.optimize import Progress
    from impasto.run import Stylization


class Recording:
    """Puts down the evaluations of a run.

    Args:
        run: whose evaluations.
        earlier: what the part of the run before it was interrupted left.
        trace: file for their losses, if wanted.
        snapshots: folder for their pictures, if wanted.
        every: how many evaluations lie between two snapshots.

    Attributes:
        rows: the losses of all evaluations, those of the earlier part too.
    """

    def __init__(
        self,
        run: Stylization,
        earlier: Earlier,
        trace: Path | None,
        snapshots: Path | None,
        every: int,
    ) -> None:
        self.rows = list(earlier.rows)
        self._run, self._snapshots, self._every = run, snapshots, every
        self._before, self._shown = len(self.rows), 0
        self._trace = None if trace is None else Trace(trace, earlier.trace)

    def close(self) -> None:
        """Ends the trace."""
        if self._trace is not None:
            self._trace.close()

    def put_down(self, progress: Progress, *, waits: bool = True) -> None:
        """Puts down the newest evaluation. An interrupt may come at any moment of this; when it is
        done once more for the same evaluation, only what is missing comes in addition.

        Args:
            progress: the evaluation.
            waits: whether the trace may be something that could wait for its reader, as pipes do.
        """
        if not self.rows or self.rows[-1]["evaluation"] < progress.done:
            self.rows.append(_row(progress))
        trace = self._trace
        if trace is not None and len(self.rows) > self._before and (waits or not trace.may_wait):
            trace.write(self.rows[-1])
        is_due = (progress.done - 1) % self._every == 0 and self._shown < progress.done
        if self._snapshots is not None and is_due:
            _snapshot(self._run, progress, self._snapshots)
            self._shown = progress.done


class Trace:
    """A file of JSON lines, made with the first one; it never ends in half a line.

    The lines of an earlier part of the run stand before it, where the file has a beginning.
    """

    def __init__(self, path: Path, earlier: bytes) -> None:
        self._path, self._earlier = path, earlier
        self._file: io.FileIO | None = None
        # The bytes that are there for certain, and the row that they end with.
        self._there: tuple[int, dict[str, Any] | None] = 0, None

    @property
    def may_wait(self) -> bool:
        """Whether writing may have to wait for somebody who reads."""
        return self._path.exists() and not self._path.is_file()

    def close(self) -> None:
        """Ends the file, if there is one yet."""
        if self._file is not None:
            self._file.close()

    def write(self, row: dict[str, Any]) -> None:
        """Adds a line, unless it was the last one: a call that was interrupted may be repeated."""
        from impasto.images import output_error

        whole, last = self._there
        if row is last:
            return
        data, has_beginning = trace_lines([row]), False
        try:
            if self._file is None:
                self._file = io.FileIO(self._path, "w")
            has_beginning = self._file.seekable()
            if has_beginning:
                self._file.seek(whole)
                data = data if last is not None else self._earlier + data
            end = whole + len(data)
            while data:
                data = data[self._file.write(data) :]
            self._there = end, row
        except OSError as error:
            if self._file is not None and has_beginning:
                with contextlib.suppress(OSError):
                    self._file.truncate(whole)
                if whole == 0 and self._path.is_file():
                    self._path.unlink()
            raise output_error(str(self._path), error) from None


def _row(progress: Progress) -> dict[str, Any]:
    """One evaluation as a line of a trace."""
    return {
        "level": progress.level,
        "width": progress.width,
        "height": progress.height,
        "evaluation": progress.done,
        "elapsed_s": round(progress.elapsed, 4),
        "loss": _number(progress.terms.loss),
        "content": _number(progress.terms.content),
        "style": _number(progress.terms.style),
        "tv": _number(progress.terms.tv),
        "best_loss": progress.best_loss,
        "layers": {name: _number(value) for name, value in progress.terms.layers.items()},
    }


def _number(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def _snapshot(run: Stylization, progress: Progress, folder: Path) -> None:
    from impasto.images import make_folder, write_image

    bitmap = run.shown(progress)
    make_folder(folder)
    try:
        write_image(bitmap, folder / f"{progress.done:06d}.png", overwrite=True)
    except ImpastoError:
        # A folder made for nothing goes; one with anything in it stays.
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
