"""`impasto sheet`: many small pictures side by side, and one of them at full size."""

from __future__ import annotations

import contextlib
import json as json_text
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Group, Parameter

from impasto.cli import EXIT_INTERRUPTED, say
from impasto.cli.flags import flags, given
from impasto.cli.running import Output, check_together, duration, one_interrupt
from impasto.cli.stylize import go_on
from impasto.errors import OptionError, RunError
from impasto.options import StyleOptions

if TYPE_CHECKING:
    from impasto.optimize import Progress
    from impasto.sheet import Cell, Made

app = App(name="sheet", help_format="plaintext")

_INPUT, _OUTPUT = Group("Input", sort_key=0), Group("Output", sort_key=1)
# Prints are what a cell is promoted to, and previews what it is; the others need masks or no photo.
_NO_CELLS = ("print", "print_fit", "dpi", "preview", "regions", "aspect", "tileable")
_cell_flags = flags(StyleOptions, _NO_CELLS, (("size", 256),))
_larger = flags(StyleOptions, ("preset", "preview", "start"), None)
if TYPE_CHECKING:
    Flags = Larger = Any
else:
    Flags, Larger = _cell_flags, _larger
_NO_FLAGS, _NO_LARGER = _cell_flags(), _larger()
_DEFAULT_OUTPUT = Output()

_Sources = Parameter(consume_multiple=True, negative="", group=_INPUT)
_Switch = Parameter(negative="", group=_OUTPUT)


@app.default
def sheet(
    *,
    photo: Annotated[list[str], _Sources],
    style: Annotated[list[str], _Sources],
    vary: Annotated[list[str] | None, Parameter(negative="", group=_INPUT)] = None,
    blend: Annotated[bool, Parameter(negative="", group=_INPUT)] = False,
    start_image: Annotated[str | None, Parameter(group=_INPUT)] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], group=_OUTPUT)],
    sheet: Annotated[str, Parameter(group=_OUTPUT)] = "sheet.png",
    quality: Annotated[int, Parameter(group=_OUTPUT)] = 92,
    overwrite: Annotated[bool, _Switch] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", group=_OUTPUT)] = False,
    json: Annotated[bool, _Switch] = False,
    options: Flags = _NO_FLAGS,
) -> int:
    """Make a contact sheet: photos × styles, or options over ranges.

    Args:
        photo: The photos, one or several; sample:NAME for a bundled one, all for all of those.
        style: The paintings, likewise; style:NAME for a built-in one, all for all of those.
        vary: An option over values, OPTION=VALUE,VALUE,… or OPTION=FIRST..LAST/COUNT, with log
            after it for equal ratios; once or twice.
        blend: Blend all the styles in every cell, instead of one after the other.
        start_image: Start from this third image.
        output: The folder for the cells and the sheet.
        sheet: Name of the sheet's picture in that folder (PNG, JPEG, WebP, TIFF, PDF or SVG).
        quality: Quality of that picture as JPEG or WebP, 1 to 100.
        overwrite: Make cells anew that are there with other settings.
        quiet: Show no progress and no summary.
        json: Print a machine-readable summary instead of words.
    """
    values = given(options)
    check_together(values, start_image)
    from impasto.memory import limit_heap
    from impasto.samples import sample_names
    from impasto.sheet import lay_out, make_cells, parse_variation
    from impasto.styles import style_names

    # A varied option acts as little as a given one where another one excludes it.
    check_together({**values, **{parse_variation(text).option: "" for text in vary or ()}})
    planned = lay_out(
        _every(photo, [f"sample:{name}" for name in sample_names()]),
        _every(style, [f"style:{name}" for name in style_names()]),
        values,
        vary=vary or (),
        start=start_image,
        blend=blend,
    )
    total, began = len(planned.cells), time.monotonic()
    limit_heap()
    made: list[Made] = []
    interrupted = False
    course = None if quiet or json else _Course(total)
    with one_interrupt():
        try:
            with course or contextlib.nullcontext():
                on_progress = None if course is None else course.show
                for one in make_cells(
                    *(planned, output),
                    image=sheet,
                    quality=quality,
                    overwrite=overwrite,
                    on_progress=on_progress,
                ):
                    made.append(one)
                    if course is not None:
                        course.finished(one)
        except KeyboardInterrupt:
            interrupted = True
    there = [one for one in made if not one.fault]
    failed = [one for one in made if one.fault]
    for warning in dict.fromkeys(warning for one in made for warning in one.warnings):
        say(f"impasto: warning: {warning}")
    for one in failed:
        say(f"impasto: {one.cell.file}: {one.fault}")
    kept, seconds = sum(one.kept for one in there), time.monotonic() - began
    if json:
        summary = {
            "folder": str(output),
            "sheet": None if interrupted else str(output / sheet),
            "cells": total,
            "made": len(there) - kept,
            "kept": kept,
            "failed": {one.cell.file: one.fault for one in failed},
            "seconds": round(seconds, 3),
            "interrupted": interrupted,
        }
        print(json_text.dumps(summary))
    elif interrupted:
        say(
            f"impasto: interrupted; {len(there)} of {total} cells are in {output}; the same "
            "command again goes on"
        )
    elif not quiet:
        before = f", {kept} of them from before" if kept else ""
        cells = f"{len(there)} of {total} cells" if failed else f"{total} cells"
        print(f"{output / sheet} ({cells}{before}, {seconds:.0f} s)")
        where = shlex.quote(str(output))
        print(f"one of them larger: impasto sheet promote {where} ROW COLUMN --size 1024")
    if interrupted:
        return EXIT_INTERRUPTED
    return RunError.exit_code if failed else 0


@app.command
def promote(
    where: Path,
    row: int | None = None,
    column: int | None = None,
    /,
    *,
    output: Output = _DEFAULT_OUTPUT,
    options: Larger = _NO_LARGER,
) -> int:
    """Take one cell of a sheet on to a larger size or to print, as impasto continue does.

    Flags given here replace the cell's settings. The result goes beside the cell as NAME-large
    unless --output says otherwise.

    Args:
        where: The sheet's folder; or a cell's file, without row and column.
        row: The cell's row, from 1.
        column: The cell's column, from 1.
    """
    if row is None and not where.is_dir():
        return go_on(where, output=output, options=options)
    if row is None or column is None:
        raise OptionError(f"{where}: name the cell's row and column too, counted from 1")
    from impasto.sheet import find_cell

    return go_on(find_cell(where, row, column), output=output, options=options)


def _every(names: list[str], all_of_them: list[str]) -> list[str]:
    return [name for given in names for name in (all_of_them if given == "all" else [given])]


class _Course:
    """Which cell of how many, and the time left: a bar on standard error; a line per finished cell
    where that is no terminal."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(file=sys.stderr)
        self._plain = not console.is_terminal
        self._total, self._done = total, 0
        self._times: list[float] = []
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task("preparing", total=total, left="")

    def __enter__(self) -> _Course:
        if not self._plain:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A terminal that has been closed takes no more.
        with contextlib.suppress(OSError):
            if not self._plain:
                self._bar.stop()

    def show(self, cell: Cell, progress: Progress) -> None:
        """After an evaluation of a cell."""
        if not self._plain:
            self._bar.update(
                self._task,
                description=f"cell {self._done + 1} of {self._total}: {cell.file}",
                completed=self._done + progress.share,
                left=f"{duration(self._left(progress))} left",
            )

    def finished(self, made: Made) -> None:
        """After a cell."""
        self._done += 1
        if made.kept:
            return
        if made.seconds is not None:
            self._times.append(made.seconds)
        if self._plain:
            took = "failed" if made.seconds is None else f"{made.seconds:.0f} s"
            left = f", about {duration(self._left())} left" if self._done < self._total else ""
            say(f"cell {self._done} of {self._total}: {made.cell.file}, {took}{left}")

    def _left(self, progress: Progress | None = None) -> float:
        """Seconds: cells to come take as long as those before."""
        rest = 0.0 if progress is None else progress.remaining
        cells = self._total - self._done - (progress is not None)
        each = 0.0 if progress is None else progress.elapsed + progress.remaining
        if self._times:
            each = sum(self._times) / len(self._times)
        return rest + cells * each
