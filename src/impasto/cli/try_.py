"""`impasto try`: random pairs of photos and paintings, as a table and a web page."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from impasto.cli import EXIT_INTERRUPTED
from impasto.cli.flags import flags, given, named_path, whole_number
from impasto.errors import one_line
from impasto.options import StyleOptions, make_options

_PREVIEW_SIDE = 256
_flags = flags(
    StyleOptions,
    # What takes several paintings or none, more than a preview, or has its own flag here.
    (
        *("style_weights", "regions", "aspect", "tileable"),
        *("preview", "print", "print_fit", "dpi", "seed"),
    ),
    (("size", _PREVIEW_SIDE),),
)
if TYPE_CHECKING:
    from impasto.trial import Trial

    Flags = Any
else:
    Flags = _flags

_NO_FLAGS = _flags()


def try_(
    folder: str,
    /,
    *,
    styles: Annotated[list[str] | None, Parameter(negative="")] = None,
    count: Annotated[int, Parameter(name=["--count", "-n"], converter=whole_number)] = 12,
    seed: Annotated[int, Parameter(converter=whole_number)] = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], converter=named_path)] = None,
    table: Literal["png", "svg", "pdf"] = "png",
    recursive: Annotated[bool, Parameter(name=["--recursive", "-r"], negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    options: Flags = _NO_FLAGS,
) -> int:
    """Try random pairs of photos and paintings.

    Args:
        folder: The photos: a folder, one file, or sample:all for the bundled ones.
        styles: The paintings, likewise; give it again for more of them. By default style:all.
        count: How many pairs to draw.
        seed: Seed of the draw, and of all noise.
        output: The folder to write; by default FOLDER-tried, beside it.
        table: Format of the table's figure.
        recursive: Take the pictures in the folders' folders too.
        overwrite: Replace files that no earlier trial with the same options wrote.
        quiet: Show no progress and no summary.
        json: Print the record instead of words.
    """
    values = given(options)
    if "size" not in values and values.get("levels", "auto") == "auto":
        values["size"] = _PREVIEW_SIDE
    from impasto.cli.running import check_together

    check_together(values)
    chosen = make_options({**values, "seed": seed})
    from impasto.trial import Trial, list_sources

    contents = list_sources(folder, recursive=recursive)
    paintings = [
        source
        for name in styles or ["style:all"]
        for source in list_sources(name, recursive=recursive)
    ]
    place = output or _place(folder)
    work = Trial(*(contents, paintings, place, chosen), count=count, seed=seed, overwrite=overwrite)
    from impasto.cli.counting import Count
    from impasto.cli.running import gentle_interrupt
    from impasto.memory import limit_heap

    limit_heap()
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True

    with gentle_interrupt(stop) as write_undisturbed:
        try:
            with Count("trying", len(work.pairs), quiet=quiet or json) as bar:
                for step in work:
                    bar.show(step.done, step.pair.result[-48:])
                    if interrupted:
                        break
        except KeyboardInterrupt:
            stop()
        write_undisturbed()
        if interrupted and not work.tried:
            # What an earlier trial laid out stays.
            raise KeyboardInterrupt
        record = work.finish()
        work.lay_out(table)
    skipped = sum(bool(tried.fault) for tried in work.tried)
    if json:
        found = {"contents": len(contents), "styles": len(paintings), "output": str(place)}
        print(json_text.dumps({**record, **found, "interrupted": interrupted}))
    elif not quiet:
        print(_summary(work, (len(contents), len(paintings)), count, interrupted))
    if interrupted:
        return EXIT_INTERRUPTED
    return 1 if skipped == len(work.tried) else 0


def _place(folder: str) -> Path:
    """Beside the folder of photos; in the current one where they are built in."""
    from impasto.cli.prepare import folder_beside

    if folder.startswith(("sample:", "style:")):
        return Path(f"{folder.partition(':')[2]}-tried")
    path = Path(folder)
    return folder_beside(path.with_suffix("") if path.is_file() else path, "tried")


def _summary(work: Trial, found: tuple[int, int], count: int, interrupted: bool) -> str:
    done = sum(not tried.fault for tried in work.tried)
    again = sum(tried.again for tried in work.tried)
    lines = [
        f"found {found[0]:,} photos and {found[1]:,} paintings, drew {len(work.pairs)} pairs, "
        f"made {done - again}" + (f"; {again} were done before" if again else "")
    ]
    if interrupted:
        left = len(work.pairs) - len(work.tried)
        lines[0] = f"stopped early, {left} left for the same command; {lines[0]}"
    if len(work.pairs) < count:
        lines.append(f"there are no more than {len(work.pairs)} different pairs")
    lines += [
        f"skipped {one_line(t.pair.content)} with {one_line(t.pair.style)}: {t.fault}"
        for t in work.tried
        if t.fault
    ]
    lines += [f"left out {one_line(fault)}" for fault in work.left_out]
    lines.append(f"{work.output}: the results, the table and index.html with all of them")
    return "\n".join(lines)
