"""Drives a prepared run for a person or a program: bar, trace, snapshots, Ctrl-C, summary."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from cyclopts import Group, Parameter

from impasto.cli import EXIT_INTERRUPTED
from impasto.errors import ImpastoError, OptionError, OutputError

if TYPE_CHECKING:
    from impasto.optimize import Progress
    from impasto.run import Picture, Stylization

_OUTPUT = Group("Output", sort_key=1)


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True)
class Output:
    """Where results go and what is shown meanwhile."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """The picture to write, in its extension's format; by default a free name by the photo."""
    overwrite: Annotated[bool, Parameter(negative="")] = False
    """Replace files that exist."""
    bits: int | None = None
    """Bits per channel, 8 or 16; 16 needs PNG or TIFF. (default: 8)"""
    quality: int = 92
    """Quality of JPEG, WebP and AVIF, 1 to 100."""
    trace: Path | None = None
    """Write a JSON line per evaluation to this file."""
    snapshots: Path | None = None
    """Write the picture as it forms into this folder."""
    every: int = 10
    """Evaluations between snapshots."""
    plot: Path | None = None
    """Draw the loss curves into this file (PNG, SVG or PDF)."""
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False
    """Show no progress and no summary."""
    json: Annotated[bool, Parameter(negative="")] = False
    """Print a machine-readable summary instead of words."""


def check(output: Output) -> None:
    """Refuses, before any work, what could not be written at its end.

    Raises:
        OptionError: values out of range, or a format that cannot hold what is asked.
        OutputError: a file exists already or its folder cannot be written.
    """
    from impasto.images import check_output

    if output.bits not in (None, 8, 16):
        raise OptionError(f"--bits {output.bits}: must be 8 or 16")
    if not 1 <= output.quality <= 100:
        raise OptionError(f"--quality {output.quality}: must lie in 1 to 100")
    if output.every < 1:
        raise OptionError(f"--every {output.every}: must be at least 1")
    if output.output is not None:
        check_output(output.output, bits=_bits(output), overwrite=output.overwrite)
    if output.plot is not None:
        from impasto.report import check_figure

        check_figure(output.plot, overwrite=output.overwrite)
    if output.trace is not None and output.trace.exists() and not output.overwrite:
        raise OutputError(f"{output.trace}: exists; choose another name or add --overwrite")
    if output.snapshots is not None:
        try:
            output.snapshots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{output.snapshots}: cannot be made a folder ({error.strerror}); choose another"
            ) from None
        if any(output.snapshots.glob("[0-9]" * 6 + ".png")) and not output.overwrite:
            raise OutputError(
                f"{output.snapshots}: holds snapshots already; choose another folder or add "
                "--overwrite"
            )


def free_name(folder: Path, stem: str, extension: str = ".png") -> Path:
    """The first of `stem.png`, `stem-2.png`, … that does not exist in a folder."""
    number = 1
    while True:
        path = folder / (f"{stem}{extension}" if number == 1 else f"{stem}-{number}{extension}")
        if not path.exists():
            return path
        number += 1


def carry_out(run: Stylization, path: Path, output: Output) -> int:
    """Runs to the end, or to Ctrl-C, writes everything asked for and reports.

    Args:
        run: the prepared run.
        path: where the picture goes.
        output: what else is wanted; `check` has been called.

    Returns:
        The exit code.
    """
    from impasto.images import check_output

    check_output(path, bits=_bits(output), overwrite=output.overwrite)
    limit_heap()
    rows: list[dict[str, Any]] = []
    interrupted = False
    began = time.monotonic()
    failure: ImpastoError | None = None
    with ExitStack() as stack:
        trace = _open_trace(output, stack)
        bar = None if output.quiet or output.json else stack.enter_context(_Bar(run))
        stack.enter_context(_terminate_like_interrupt())
        try:
            for progress in run:
                row = trace_row(progress)
                rows.append(row)
                if trace is not None:
                    _write_row(trace, row, output)
                if bar is not None:
                    bar.show(progress)
                if output.snapshots is not None and (progress.done - 1) % output.every == 0:
                    _snapshot(progress, output.snapshots)
        except KeyboardInterrupt:
            interrupted = True
        except ImpastoError as error:
            if run.last is None:
                raise
            # What was reached is kept before the fault is reported.
            failure = error
    picture = run.result
    picture.save(path, bits=_bits(output) or 8, quality=output.quality, overwrite=output.overwrite)
    if output.plot is not None and rows:
        from impasto.report import plot_losses

        plot_losses(rows, output.plot, overwrite=output.overwrite)
    if failure is not None:
        raise type(failure)(f"{failure}; the best picture so far is in {path}")
    _report(picture, run, path, time.monotonic() - began, interrupted, output)
    return EXIT_INTERRUPTED if interrupted else 0


def limit_heap() -> None:
    """Makes the C library hand large freed blocks back at once.

    By default glibc raises the size from which it does so up to 32 MB, and feature maps freed below
    that size leave holes: measured at 512 px, a fifth more peak memory.
    """
    m_mmap_threshold = -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 8 << 20)


def trace_row(progress: Progress) -> dict[str, Any]:
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


def _bits(output: Output) -> Any:
    return output.bits


def _open_trace(output: Output, stack: ExitStack) -> TextIO | None:
    if output.trace is None:
        return None
    try:
        return stack.enter_context(output.trace.open("w", encoding="utf-8", buffering=1))
    except OSError as error:
        raise OutputError(f"{output.trace}: cannot be written ({error.strerror})") from None


def _write_row(trace: TextIO, row: dict[str, Any], output: Output) -> None:
    try:
        trace.write(json.dumps(row) + "\n")
    except OSError as error:
        raise OutputError(f"{output.trace}: cannot be written ({error.strerror})") from None


def _snapshot(progress: Progress, folder: Path) -> None:
    from impasto.images import Bitmap, write_image

    pixels = progress.picture[0].float().cpu().numpy()
    write_image(Bitmap(pixels), folder / f"{progress.done:06d}.png", overwrite=True)


def _report(
    picture: Picture,
    run: Stylization,
    path: Path,
    seconds: float,
    interrupted: bool,
    output: Output,
) -> None:
    last = run.last
    if output.json:
        summary = {
            "output": str(path),
            "width": picture.bitmap.width,
            "height": picture.bitmap.height,
            "seconds": round(seconds, 3),
            "interrupted": interrupted,
            "evaluations": 0 if last is None else last.done,
            "loss": None if last is None else last.best_loss,
            "levels": []
            if last is None
            else [[level.width, level.height, level.evaluations] for level in last.levels],
            "settings": picture.settings,
        }
        print(json.dumps(summary))
    elif not output.quiet:
        size = f"{picture.bitmap.width} x {picture.bitmap.height} px"
        count = 0 if last is None else last.done
        kept = "stopped early; the best picture so far is " if interrupted else ""
        print(f"{kept}{path} ({size}, {count} evaluations, {seconds:.0f} s)")


@contextlib.contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """A polite kill keeps the best picture too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Bar:
    """A progress bar on standard error; plain lines, one per level, where that is no terminal."""

    def __init__(self, run: Stylization) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(file=sys.stderr)
        self._plain = not console.is_terminal
        self._level = -1
        self._run = run
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=self._plain,
        )
        self._task = self._progress.add_task("preparing", total=None, loss="", left="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: Progress) -> None:
        if self._plain:
            # The first evaluation of a level says little about the time of the others.
            planned = progress.levels[progress.level].evaluations
            if progress.level != self._level and progress.evaluation >= min(3, planned):
                self._level = progress.level
                print(
                    f"level {progress.level + 1} of {len(progress.levels)}: "
                    f"{progress.width} x {progress.height} px, "
                    f"about {_duration(progress.remaining)} left",
                    file=sys.stderr,
                )
            return
        total = sum(level.width * level.height * level.evaluations for level in progress.levels)
        done = sum(
            level.width * level.height * level.evaluations
            for level in progress.levels[: progress.level]
        )
        done += progress.width * progress.height * progress.evaluation
        self._progress.update(
            self._task,
            description=f"{progress.width} x {progress.height}",
            total=total,
            completed=done,
            loss=f"loss {progress.best_loss:.4g}",
            left=f"{_duration(progress.remaining)} left",
        )


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
