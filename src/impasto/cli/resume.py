"""`impasto resume`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from impasto.cli.keeping import Earlier, read_rows
from impasto.cli.running import (
    Output,
    carry_out,
    check_snapshots,
    check_values,
    free_name,
)
from impasto.errors import CheckpointError, OutputError
from impasto.options import make_options


def resume(
    checkpoint: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    bits: int | None = None,
    quality: int | None = None,
    checkpoint_every: float | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] | None = None,
    threads: int | None = None,
    memory: str | None = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Go on with a run that was interrupted; flags not given here stay as they were.

    Args:
        checkpoint: The file that --checkpoint named; the run goes on keeping itself there.
        output: The picture to write instead of the interrupted command's.
        overwrite: Replace files that exist.
        bits: Bits per channel, 8 or 16.
        quality: Quality of JPEG, WebP and AVIF, 1 to 100.
        checkpoint_every: Seconds between checkpoints.
        device: Where to run.
        threads: CPU threads.
        memory: Memory that the run may take in all, such as 4GB.
        quiet: Show no progress and no summary.
        as_json: Print a machine-readable summary instead of words.
    """
    from impasto.checkpoint import check_checkpoint, read_checkpoint
    from impasto.reproduction import from_checkpoint

    allowed = None if memory is None else make_options({"memory": memory}).memory
    found = read_checkpoint(checkpoint)
    notes = found.notes
    given = {
        "overwrite": overwrite or None,
        "bits": bits,
        "quality": quality,
        "checkpoint_every": checkpoint_every,
    }
    try:
        recorded = _read_notes(notes)
        rows = read_rows(found.attachment)
        written = [name for name in notes.get("written", []) if isinstance(name, str)]
    except (ValueError, TypeError, KeyError):
        raise CheckpointError(
            f"{checkpoint}: is a damaged checkpoint; use a copy of it, or begin the run anew"
        ) from None
    wanted = Output(
        **{
            **recorded,
            **{name: value for name, value in given.items() if value is not None},
            **({} if output is None else {"output": output}),
            "checkpoint": checkpoint,
            "quiet": quiet,
            "json": as_json,
        }
    )
    seconds = 0.0 if found.place is None else found.place.standing.elapsed
    earlier = Earlier(rows, written, seconds)
    path = wanted.output or free_name(checkpoint.parent, checkpoint.stem)
    check_checkpoint(checkpoint, overwrite=True)
    _check(path, wanted, earlier)
    run = from_checkpoint(found, checkpoint, device=device, threads=threads, memory=allowed)
    # What was read must not outlive the history that the run drops.
    del found
    return carry_out(run, path, wanted, earlier)


def _read_notes(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Output` that the interrupted command left; none from a checkpoint that was
    written in Python.

    Raises:
        ValueError: they are not what a command leaves.
    """
    kinds: dict[str, tuple[type, ...]] = {
        "overwrite": (bool,),
        "bits": (int, type(None)),
        "quality": (int,),
        "every": (int,),
        "checkpoint_every": (int, float),
    }
    found: dict[str, Any] = {}
    for name in ("output", "trace", "snapshots", "plot"):
        value = notes.get(name)
        if not isinstance(value, str | None):
            raise ValueError(f"{name} is no path")
        found[name] = None if value is None else Path(value)
    for name, allowed in kinds.items():
        if name in notes:
            if type(notes[name]) not in allowed:
                raise ValueError(f"{name} is no {allowed[0].__name__}")
            found[name] = notes[name]
    return found


def _check(path: Path, output: Output, earlier: Earlier) -> None:
    """Like `running.check`, but for what the interrupted part of the run has written itself."""
    from impasto.images import check_output, check_place, output_error

    check_values(output)
    bits: Any = output.bits
    check_output(path, bits=bits, overwrite=output.overwrite or earlier.wrote(path))
    if output.plot is not None:
        from impasto.report import check_figure

        check_figure(output.plot, overwrite=output.overwrite or earlier.wrote(output.plot))
    if output.trace is not None:
        try:
            check_place(output.trace, overwrite=True, line_by_line=True)
            ours = not output.trace.is_file() or _agree(output.trace, earlier.trace)
        except (OSError, ValueError) as error:
            raise output_error(str(output.trace), error) from None
        if not (ours or output.overwrite):
            raise OutputError(
                f"{output.trace}: is not the trace of this run any more; move it away, or use "
                "--overwrite"
            )
    if output.snapshots is not None:
        check_snapshots(output.snapshots, overwrite=True)


def _agree(trace: Path, earlier: bytes) -> bool:
    """Whether a file holds the lines so far; it may hold more, or end before."""
    if trace.stat().st_size == 0:
        return True
    with trace.open("rb") as file:
        there = file.read(len(earlier))
    return bool(there) and earlier.startswith(there)
