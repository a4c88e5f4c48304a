"""`impasto train`: folders of pictures → a network that repaints photos in one pass."""

from __future__ import annotations

import json as json_text
import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import EXIT_INTERRUPTED, say
from impasto.cli.flags import flags, given, named_path, whole_number
from impasto.errors import (
    CheckpointError,
    NotFiniteError,
    OptionError,
    OutputError,
    one_line,
)
from impasto.training_options import TrainingOptions

_flags = flags(TrainingOptions)
if TYPE_CHECKING:
    from impasto.course import Course, Progress
    from impasto.distributed import Crew
    from impasto.material import Material
    from impasto.standing import Kept

    Flags = Any
else:
    Flags = _flags

_NO_FLAGS = _flags()
FEW = 100
"""Photos of which less are worth a warning."""

_CHANGEABLE = {"time_limit", "device", "threads"}
"""Options that a resumed training may have otherwise."""


@dataclass(frozen=True)
class _Wanted:
    """A training to make, and what is to come of it."""

    material: Material
    options: TrainingOptions
    output: Path
    init: Path | None
    resume: Path | None
    trace: Path | None
    plot: Path | None
    snapshots: Path | None
    checkpoint_every: float
    processes: int
    quiet: bool
    json: bool
    kept: Kept | None = None


def train(
    styles: Annotated[list[str] | None, Parameter(negative="")] = None,
    /,
    *,
    photos: Annotated[Path | None, Parameter(converter=named_path)] = None,
    any: Annotated[list[str] | None, Parameter(negative="")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], converter=named_path)] = None,
    init: Annotated[Path | None, Parameter(converter=named_path)] = None,
    resume: Annotated[Path | None, Parameter(converter=named_path)] = None,
    recursive: Annotated[bool, Parameter(name=["--recursive", "-r"], negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    trace: Path | None = None,
    plot: Path | None = None,
    snapshots: Path | None = None,
    checkpoint_every: float | None = None,
    processes: Annotated[int | None, Parameter(converter=whole_number)] = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    options: Flags = _NO_FLAGS,
) -> int:
    """Train a network.

    Args:
        styles: The styles that it is to know: names of built-in ones, all of them by the word all,
            or picture files.
        photos: The folder of photos to train with.
        any: Instead of styles: a folder of paintings, for a network that takes any style. Repeat it
            for more; FOLDER=12 has each of its paintings come twelve times as often.
        output: The network to write, NAME.safetensors. The validation sheet NAME.png goes beside
            it and, until the end, the checkpoint NAME.ckpt.
        init: Begin with this network's convolutions and what it makes of the styles: any, styles or
            a file.
        resume: Go on with the training that this checkpoint has kept.
        recursive: Take the pictures in the folders' folders too.
        overwrite: Replace files that exist.
        trace: Write a JSON line per step to this file.
        plot: Draw the loss curves into this file (PNG, SVG or PDF).
        snapshots: Write the sheet of every validation into this folder.
        checkpoint_every: Seconds between checkpoints, beside those at validations. (default: 300)
        processes: Processes that train together, each with a part of the batch. (default: one, or
            one per GPU)
        quiet: Show no progress and no summary.
        json: Print a machine-readable summary instead of words.
    """
    values = given(options)
    if processes is not None and not 1 <= processes <= 1024:
        raise OptionError(f"--processes {processes}: must lie in 1 to 1024")
    if checkpoint_every is not None and not 0 <= checkpoint_every < float("inf"):
        raise OptionError(f"--checkpoint-every {checkpoint_every:g}: must be seconds, 0 or more")
    if resume is not None:
        fixed = {"photos": photos, "any": any, "output": output, "init": init}
        fixed |= {"styles": styles, "recursive": recursive or None}
        fixed |= {name: value for name, value in values.items() if name not in _CHANGEABLE}
        _refuse(fixed)
        wanted = _again(resume, values, processes, quiet, json)
        changed = {"trace": trace, "plot": plot, "snapshots": snapshots}
        changed |= {"checkpoint_every": checkpoint_every}
        kept = {name: value for name, value in changed.items() if value is not None}
        wanted = _Wanted(**{**vars(wanted), **kept})
        another = {"output", "trace", "plot", "snapshots"} if _is_copy(wanted) else set()
        _check(wanted, overwrite=overwrite, changed={*kept, *another})
        return _carry_out(wanted)
    if photos is None:
        raise OptionError("--photos: is missing; name a folder of photos to train with")
    if output is None:
        raise OptionError("--output: is missing; name the network's file, as -o my.safetensors")
    chosen = TrainingOptions(**values)
    from impasto.material import gather
    from impasto.trained import network_path

    wanted = _Wanted(
        gather(styles or [], photos, any or [], recursive=recursive),
        chosen,
        output.absolute(),
        None if init is None else network_path(init),
        None,
        trace,
        plot,
        snapshots,
        300.0 if checkpoint_every is None else checkpoint_every,
        processes or 0,
        quiet,
        json,
    )
    _check(wanted, overwrite=overwrite, changed={"trace", "plot", "snapshots", "output"})
    return _carry_out(wanted)


def _refuse(values: dict[str, Any]) -> None:
    """Refuses what a resumed training keeps from its begin."""
    for name, value in values.items():
        if value is not None:
            flag = "STYLE" if name == "styles" else f"--{name.replace('_', '-')}"
            raise OptionError(f"{flag}: --resume goes on with what was given first; leave it out")


def _again(
    resume: Path, values: dict[str, Any], processes: int | None, quiet: bool, json: bool
) -> _Wanted:
    """What a checkpoint says; the network is called as the checkpoint is.

    Raises:
        CheckpointError: it is none, or damaged.
        InputError: a folder is gone.
    """
    from impasto.material import gather_again
    from impasto.standing import read_kept

    kept = read_kept(resume)
    try:
        notes = kept.record["notes"]
        paths = {
            name: None if notes[name] is None else Path(notes[name])
            for name in ("trace", "plot", "snapshots")
        }
        options = TrainingOptions(**{**kept.record["options"], **values})
        material = gather_again(kept.record["material"])
        return _Wanted(
            material,
            options,
            resume.absolute().with_suffix(".safetensors"),
            None,
            resume,
            **paths,
            checkpoint_every=float(notes["checkpoint_every"]),
            processes=processes or int(notes["processes"]),
            quiet=quiet,
            json=json,
            kept=kept,
        )
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{resume}: is a damaged checkpoint; use a copy of it, or begin the training anew"
        ) from None


def _is_copy(wanted: _Wanted) -> bool:
    """Whether a checkpoint has been copied, moved or renamed, so that what lies beside it, or where
    it says, may be another training's."""
    assert wanted.kept is not None
    first = wanted.kept.record["notes"]["output"]
    return not _same_file(Path(first), wanted.output)


def _check(wanted: _Wanted, *, overwrite: bool, changed: set[str]) -> None:
    """Refuses, before any work, what could not be written.

    Args:
        wanted: what is to be made.
        overwrite: replace files that exist.
        changed: which of them are not those of an earlier part of the same training.

    Raises:
        OptionError, OutputError: in one line.
    """
    from impasto.cli.running import check_apart, check_snapshots
    from impasto.course import checkpoint_of, sheet_of
    from impasto.images import check_place
    from impasto.standing import check_kept

    if wanted.output.suffix != ".safetensors":
        raise OptionError(
            f"--output {wanted.output.name}: networks are called NAME.safetensors; rename it"
        )
    places = {"--output": wanted.output, "--trace": wanted.trace, "--plot": wanted.plot}
    beside = {"--output": sheet_of(wanted.output), "the checkpoint": checkpoint_of(wanted.output)}
    styles = [source for source in wanted.material.styles if not source.startswith("style:")]
    check_apart(
        {**places, "the checkpoint": beside["the checkpoint"], "the sheet": beside["--output"]},
        styles,
        wanted.snapshots,
    )
    _check_outside(wanted, places)
    ours = overwrite or "output" not in changed
    check_place(wanted.output, overwrite=ours)
    check_place(beside["--output"], overwrite=ours)
    if wanted.resume is None or not _same_file(beside["the checkpoint"], wanted.resume):
        check_kept(beside["the checkpoint"], overwrite=ours)
    if wanted.trace is not None:
        again = overwrite or "trace" not in changed
        check_place(wanted.trace, overwrite=again, line_by_line=True)
    if wanted.plot is not None:
        from impasto.report import check_figure

        check_figure(wanted.plot, overwrite=overwrite or "plot" not in changed)
    if wanted.snapshots is not None:
        check_snapshots(wanted.snapshots, overwrite or "snapshots" not in changed)


def _check_outside(wanted: _Wanted, files: Mapping[str, Path | None]) -> None:
    """Refuses what would come to lie among the pictures that are trained with: a training goes on
    with no others than it began with.

    Raises:
        OptionError: in the words of the flag.
    """
    found = {flag: (path, path.parent) for flag, path in files.items() if path is not None}
    if wanted.snapshots is not None:
        found["--snapshots"] = wanted.snapshots, wanted.snapshots
    for folder in (wanted.material.photos, *wanted.material.paintings):
        read = Path(os.path.realpath(folder.path))
        for flag, (path, parent) in found.items():
            place = Path(os.path.realpath(parent))
            if place == read or (folder.recursive and place.is_relative_to(read)):
                raise OptionError(
                    f"{flag} {path}: would lie among the pictures of {folder.path}, which are "
                    "trained with; choose a place outside"
                )


def _same_file(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _carry_out(wanted: _Wanted) -> int:
    """Trains to the end, or to Ctrl-C, and reports; alone or with others."""
    import torch

    from impasto.course import device_of, set_threads, take_part
    from impasto.distributed import Crew, helpers, joined, launched
    from impasto.memory import keep_heap

    keep_heap()
    others = launched()
    device = device_of(wanted.options)
    if others is not None:
        rank, size, local = others
        if wanted.processes not in (0, 1, size):
            raise OptionError("--processes: torchrun says how many there are; leave it out")
        device = device_of(wanted.options, local)
        set_threads(wanted.options)
        with joined(rank, size, None, device) as crew:
            code = _train(wanted, crew, device)
        if rank > 0:
            # As the processes of --processes end: torch's threads can abort one that takes its
            # interpreter down, and torchrun would call the training failed.
            os._exit(code)
        return code
    size = wanted.processes or (torch.cuda.device_count() if device.type == "cuda" else 1)
    if size > 1 and wanted.options.batch < size:
        raise OptionError(
            f"--batch {wanted.options.batch}: leaves some of {size} processes without a photo; "
            "give a larger one"
        )
    set_threads(wanted.options, size)
    if size == 1:
        return _train(wanted, Crew(), device)
    shared = (wanted.material, wanted.options, wanted.output, wanted.init, wanted.resume)
    with (
        helpers(take_part, shared, size) as place,
        joined(0, size, place, device) as crew,
    ):
        return _train(wanted, crew, device)


def _train(wanted: _Wanted, crew: Crew, device: Any) -> int:
    from impasto.cli.counting import Count
    from impasto.cli.recording import Trace
    from impasto.cli.running import gentle_interrupt
    from impasto.course import Course
    from impasto.networks import read_network

    notes = {
        "output": str(wanted.output),
        "processes": crew.size,
        "checkpoint_every": wanted.checkpoint_every,
    }
    for name in ("trace", "plot", "snapshots"):
        path = getattr(wanted, name)
        notes[name] = None if path is None else str(path.absolute())
    course = Course(
        wanted.material,
        wanted.options,
        wanted.output,
        init=None if wanted.init is None else read_network(wanted.init),
        crew=crew,
        device=device,
        kept=wanted.kept,
        snapshots=wanted.snapshots,
        checkpoint_every=wanted.checkpoint_every,
        notes=notes,
    )
    first = crew.rank == 0
    if first:
        for warning in course.warnings:
            say(f"impasto: warning: {one_line(warning)}")
    photos = len(wanted.material.photos.names)
    if first and wanted.kept is None and not wanted.quiet and photos < FEW:
        say(
            f"impasto: warning: --photos: {photos} photos are few, and a network learns them by "
            "heart; give some hundreds, or more"
        )
    quiet = wanted.quiet or wanted.json or not first
    with gentle_interrupt(course.stop if first else lambda: None) as write_undisturbed:
        try:
            with ExitStack() as stack:
                trace = None
                if wanted.trace is not None and first:
                    earlier = _earlier(wanted.trace, course.standing.step) if wanted.kept else b""
                    trace = stack.enter_context(closing(Trace(wanted.trace, earlier)))
                bar = stack.enter_context(Count("training", wanted.options.steps, quiet=quiet))
                for progress in course:
                    if trace is not None:
                        trace.write(_row(progress))
                    losses = progress.losses
                    bar.show(progress.step, "" if losses is None else f"loss {losses.total:.3f}")
                    if not quiet:
                        _tell(progress)
            write_undisturbed()
            course.finish()
        except NotFiniteError as error:
            raise NotFiniteError(f"{error}{_left(course)}") from None
        except OutputError as error:
            raise OutputError(f"{error}{_left(course)}{_onward(course)}") from None
        if not first:
            return 0
        if wanted.plot is not None and course.standing.rows:
            from impasto.report import plot_training

            plot_training(
                course.standing.rows, course.standing.validations, wanted.plot, overwrite=True
            )
    _report(course, wanted)
    return EXIT_INTERRUPTED if course.reason == "interrupted" else 0


def _left(course: Course) -> str:
    """What there is of a training that could not go on."""
    best = course.standing.best
    if course.written is None or best is None:
        return "; no network has been written yet" if course.standing.step else ""
    if course.written < int(best[0]):
        return f"; an earlier network, of step {course.written}, is in {course.output}"
    return f"; the best network so far is in {course.output}"


def _onward(course: Course) -> str:
    """How such a training can go on, if at all."""
    if course.saved:
        return f"; go on with: impasto train --resume {course.checkpoint}"
    return "; begin the training anew" if course.standing.step else ""


def _earlier(trace: Path, step: int) -> bytes:
    """The lines of a trace up to a step; a killed training may have written more."""
    lines = []
    try:
        for line in trace.read_bytes().splitlines(keepends=True):
            if json_text.loads(line)["step"] > step:
                break
            lines.append(line)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return b"".join(lines)


def _row(progress: Progress) -> dict[str, Any]:
    losses, verdict = progress.losses, progress.validation
    names = ("total", "content", "style", "smoothness")
    row: dict[str, Any] = {
        "step": progress.step,
        **{name.replace("total", "loss"): getattr(losses, name, None) for name in names},
        "rate": progress.rate,
        "seconds": round(progress.seconds, 3),
    }
    if verdict is not None:
        row["validation"] = {n.replace("total", "loss"): getattr(verdict, n) for n in names}
    return row


def _tell(progress: Progress) -> None:
    if progress.note:
        say(f"impasto: warning: {progress.note}")
    found = progress.validation
    if found is not None:
        say(
            f"step {progress.step}: validation {found.total:.4f} (content {found.content:.4f}, "
            f"style {found.style:.4f}, smoothness {found.smoothness:.4f})"
        )


def _report(course: Course, wanted: _Wanted) -> None:
    from impasto.cli.running import duration

    standing, best = course.standing, course.standing.best
    going = course.reason in ("interrupted", "time")
    if wanted.json:
        summary = {
            "output": None if best is None else str(course.output),
            "reason": course.reason,
            "steps": standing.step,
            "seconds": round(standing.seconds, 3),
            "best": None if best is None else {"step": int(best[0]), "loss": best[1]},
            "checkpoint": str(course.checkpoint) if going else None,
            "unreadable": standing.faults,
        }
        print(json_text.dumps(summary))
        return
    if wanted.quiet:
        return
    took = f"{standing.step} steps, {duration(standing.seconds)}"
    if best is None:
        print(f"stopped early ({took}); no network has been judged yet")
    else:
        early = {"interrupted": "stopped early; ", "time": "time is up; "}.get(course.reason or "")
        print(
            f"{early or ''}{course.output} (loss {best[1]:.4f} at step {int(best[0])}; {took}"
            + (", no better one for a while" if course.reason == "patience" else "")
            + ")"
        )
    if going:
        print(f"go on with: impasto train --resume {course.checkpoint}")
    faults = standing.faults
    if faults:
        some = ", ".join(one_line(Path(name).name) for name in list(faults)[:5])
        more = "" if len(faults) <= 5 else f" and {len(faults) - 5} more"
        print(f"passed over, for they cannot be read: {some}{more}")
