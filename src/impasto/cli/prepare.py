"""`impasto prepare`: a folder of pictures as it comes → one that is ready to use."""

from __future__ import annotations

import json as json_text
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import EXIT_INTERRUPTED
from impasto.cli.flags import flags, given, named_path
from impasto.errors import OptionError, one_line
from impasto.options import PrepareOptions

_flags = flags(PrepareOptions)
if TYPE_CHECKING:
    from impasto.prepare import Preparation

    Flags = Any
else:
    Flags = _flags

_NO_FLAGS = _flags()


def prepare(
    folder: Annotated[Path, Parameter(converter=named_path)],
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], converter=named_path)] = None,
    recursive: Annotated[bool, Parameter(name=["--recursive", "-r"], negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    options: Flags = _NO_FLAGS,
) -> int:
    """Prepare a folder of pictures; the folder itself is only read.

    Args:
        folder: The folder of pictures.
        output: The folder to write; by default FOLDER-prepared, beside it.
        recursive: Take the pictures in its folders too.
        overwrite: Replace files that no earlier run with the same options wrote.
        quiet: Show no progress and no summary.
        json: Print the report instead of words.
    """
    chosen = PrepareOptions(**given(options))
    place = output or folder_beside(folder, "prepared")
    from impasto.prepare import Preparation

    work = Preparation(folder, place, chosen, recursive=recursive, overwrite=overwrite)
    from impasto.cli.counting import Count
    from impasto.cli.running import gentle_interrupt

    again, interrupted = 0, False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True

    with gentle_interrupt(stop) as write_undisturbed:
        try:
            with Count("preparing", len(work.files), quiet=quiet or json) as bar:
                for step in work:
                    again += step.again
                    bar.show(step.done, one_line(step.outcome.file)[-40:])
                    if interrupted:
                        break
        except KeyboardInterrupt:
            stop()
        write_undisturbed()
        if interrupted and not work.outcomes:
            # What an earlier run reported stays.
            raise KeyboardInterrupt
        report = work.finish()
        _draw(work)
    if json:
        print(json_text.dumps({**report, "output": str(place), "interrupted": interrupted}))
    elif not quiet:
        print(_summary(report, place, again, interrupted))
    return EXIT_INTERRUPTED if interrupted else 0


def folder_beside(folder: Path, word: str) -> Path:
    """`FOLDER-word` beside a folder, however that is written.

    Raises:
        OptionError: the folder has no name.
    """
    whole = Path(os.path.abspath(folder))  # noqa: PTH100  a link keeps its own name
    if not whole.name:
        raise OptionError(f"{folder}: has no name to derive one from; give --output FOLDER")
    plain = Path(os.path.normpath(folder))
    return (plain if plain.name and plain.name != ".." else whole).with_name(f"{whole.name}-{word}")


def _draw(work: Preparation) -> None:
    from impasto.prepare import FIGURE_NAME
    from impasto.report import plot_preparation

    name = one_line(Path(os.path.abspath(work.source)).name)  # noqa: PTH100
    plot_preparation(
        [outcome.model_dump() for outcome in work.outcomes],
        work.output / FIGURE_NAME,
        title=f"{name}: {_counted(len(work.outcomes), 'file')}",
        min_side=work.options.min_side,
        min_sharpness=work.options.min_sharpness,
        overwrite=True,
    )


def _summary(report: dict[str, Any], place: Path, again: int, interrupted: bool) -> str:
    reasons = report["dropped"]
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    lines = [
        f"found {_counted(report['found'], 'file')}, kept {report['kept']:,}, "
        f"dropped {sum(reasons.values()):,}" + (f": {why}" if why else "")
    ]
    if again:
        lines[0] += f"; {again:,} were done before"
    if interrupted:
        left = report["found"] - report["seen"]
        lines[0] = f"stopped early, {left:,} left for the same command; {lines[0]}"
    if report["smaller_than_size"]:
        lines.append(
            f"{_counted(report['smaller_than_size'], 'picture')} kept a size below the one asked "
            "for; --enlarge enlarges"
        )
    if report["removed"]:
        lines.append(
            f"removed {_counted(len(report['removed']), 'result')} whose picture has gone or is no "
            "longer kept"
        )
    lines.append(f"{place}: the pictures, report.png and report.json, which has every reason")
    return "\n".join(lines)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
