"""Drives a prepared run for a person or a program: bar, trace, snapshots, Ctrl-C, summary."""

from __future__ import annotations

import _thread
import contextlib
import errno
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Group, Parameter

from impasto import cli
from impasto.cli import EXIT_INTERRUPTED, say
from impasto.cli.flags import named_path
from impasto.cli.keeping import Earlier, Keeper, file_digest
from impasto.cli.recording import Recording
from impasto.errors import ImpastoError, OptionError, OutputError, one_line

if TYPE_CHECKING:
    from impasto.optimize import Progress
    from impasto.planning import Plan
    from impasto.run import Picture, Stylization

_OUTPUT = Group("Output", sort_key=1)
_SNAPSHOT_PATTERN = "[0-9]" * 6 + ".png"
_AGAIN = 0.02
"""Seconds until an interruption that came at a bad moment is tried again."""
_STOPPING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):
    _STOPPING.append(signal.SIGHUP)


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True)
class Output:
    """Where results go and what is shown meanwhile."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"], converter=named_path)] = None
    """The picture to write, in its extension's format; by default a free name."""
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
    checkpoint: Path | None = None
    """Keep the unfinished run in this file, for impasto resume; deleted when all is written."""
    checkpoint_every: float = 60.0
    """Seconds between checkpoints; 0: after every evaluation."""
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False
    """Show no progress and no summary."""
    json: Annotated[bool, Parameter(negative="")] = False
    """Print a machine-readable summary instead of words."""


def check(output: Output, inputs: Iterable[str] = ()) -> None:
    """Refuses, before any work, what could not be written at its end.

    Args:
        output: what is wanted.
        inputs: the picture files that are read, as far as they are known.

    Raises:
        OptionError: values out of range or without effect, a format that cannot hold what is asked,
            or a checkpoint where a picture is that is read.
        OutputError: a file exists already or its folder cannot be written.
    """
    from impasto.images import check_output, check_place

    check_values(output)
    if output.snapshots is None and output.every != Output.every:
        raise OptionError("--every: acts only with --snapshots; add a folder, or leave it out")
    if output.checkpoint is None and output.checkpoint_every != Output.checkpoint_every:
        raise OptionError(
            "--checkpoint-every: acts only with --checkpoint; name a file, or leave it out"
        )
    with contextlib.suppress(OSError, ValueError):  # names that cannot be are told below
        check_apart({"--checkpoint": output.checkpoint}, inputs)
    if output.output is not None:
        check_output(output.output, bits=cast("Any", output.bits), overwrite=output.overwrite)
    if output.plot is not None:
        from impasto.report import check_figure

        check_figure(output.plot, overwrite=output.overwrite)
    if output.trace is not None:
        check_place(output.trace, overwrite=output.overwrite, line_by_line=True)
    if output.snapshots is not None:
        check_snapshots(output.snapshots, output.overwrite)
    if output.checkpoint is not None:
        from impasto.checkpoint import check_checkpoint

        check_checkpoint(output.checkpoint, overwrite=output.overwrite)


def check_values(output: Output) -> None:
    """Refuses numbers out of range.

    Raises:
        OptionError: in the words of the flag.
    """
    if output.bits not in (None, 8, 16):
        raise OptionError(f"--bits {output.bits}: must be 8 or 16")
    if not 1 <= output.quality <= 100:
        raise OptionError(f"--quality {output.quality}: must lie in 1 to 100")
    if output.every < 1:
        raise OptionError(f"--every {output.every}: must be at least 1")
    if not 0 <= output.checkpoint_every < math.inf:
        raise OptionError(
            f"--checkpoint-every {output.checkpoint_every:g}: must be seconds, 0 or more"
        )


def check_snapshots(folder: Path, overwrite: bool) -> None:
    """Refuses a folder for snapshots that cannot be made or, unless told, holds some.

    Raises:
        OutputError: in one line.
    """
    from impasto.images import output_error, takes_files

    try:
        # The folder is made with the first snapshot; until then, what is there must allow it.
        real = Path(os.path.realpath(folder))
        parent = next(place for place in (real, *real.parents) if place.exists())
        if not parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{parent} is no folder")
        if not takes_files(parent):
            raise PermissionError(errno.EACCES, "not permitted")
        taken = any(folder.glob(_SNAPSHOT_PATTERN))
    except (OSError, ValueError) as error:
        raise output_error(str(folder), error) from None
    if taken and not overwrite:
        raise OutputError(
            f"{folder}: holds snapshots already; choose another folder or add --overwrite"
        )


def check_apart(
    places: dict[str, Path | None], inputs: Iterable[str], snapshots: Path | None = None
) -> None:
    """Refuses to write two things to one file, or anything over a picture that is read.

    Args:
        places: flag → the file that it names, if any.
        inputs: the picture files that are read.
        snapshots: the folder of snapshots, if any.

    Raises:
        OptionError: in the words of the flag.
    """
    read = {os.path.realpath(name) for name in inputs}
    written: dict[str, str] = {}
    for flag, place in places.items():
        if place is None:
            continue
        real = os.path.realpath(place)
        if real in written:
            raise OptionError(f"{flag} {place}: {written[real]} goes there; choose another name")
        if real in read:
            raise OptionError(
                f"{flag} {place}: is a picture that this run reads; choose another name"
            )
        written[real] = flag
    if snapshots is not None:
        folder = os.path.realpath(snapshots)
        for real in {*read, *written}:
            if os.path.dirname(real) == folder and Path(real).match(_SNAPSHOT_PATTERN):  # noqa: PTH120
                raise OptionError(
                    f"--snapshots {snapshots}: {Path(real).name} there is another file of "
                    "this run; choose another folder"
                )


def check_together(values: dict[str, Any], start_image: str | None = None) -> None:
    """Refuses flags that exclude each other, or of which one would be ignored.

    Args:
        values: the flags that were given.
        start_image: the third image, if any.

    Raises:
        OptionError: in the words of the flags.
    """
    start = values.get("start", "image")
    if start_image is not None and start != "image":
        raise OptionError(f"--start {start} and --start-image exclude each other; leave one out")
    for name in ("evaluations", "single_level"):
        if values.get("levels", "auto") != "auto" and values.get(name, False) is not False:
            flag = f"--{name.replace('_', '-')}"
            raise OptionError(f"{flag} and --levels exclude each other; leave one out")


def name_beside(first: str, *others: str, ending: str = "") -> Path:
    """A free name beside the first picture, made of all their names.

    Args:
        first: a picture file, or a built-in one, whose result goes to the current folder.
        others: more of them.
        ending: what the name ends in.
    """
    built_in = ("sample:", "style:")
    names = [n.partition(":")[2] if n.startswith(built_in) else n for n in (first, *others)]
    # File systems count bytes: 255 of them, some of which the number and extension need.
    stems = "-".join(Path(name).stem for name in names).encode(errors="ignore")[:200]
    folder = Path() if first.startswith(built_in) else Path(first).parent
    return free_name(folder, stems.decode(errors="ignore") + ending)


def free_name(folder: Path, stem: str, extension: str = ".png") -> Path:
    """The first of `stem.png`, `stem-2.png`, … that does not exist in a folder."""
    number = 1
    while True:
        path = folder / (f"{stem}{extension}" if number == 1 else f"{stem}-{number}{extension}")
        # Unlike Path.exists, this raises nothing: what cannot be looked at is check_output's fault.
        if not os.path.lexists(path):
            return path
        number += 1


def carry_out(run: Stylization, path: Path, output: Output, earlier: Earlier | None = None) -> int:
    """Runs to the end, or to Ctrl-C, writes everything asked for and reports.

    Args:
        run: the prepared run.
        path: where the picture goes.
        output: what else is wanted; `check` has been called.
        earlier: what the part of the run before it was interrupted left, if it was.

    Returns:
        The exit code.
    """
    from impasto.cli.plan import plan_line
    from impasto.images import check_output
    from impasto.memory import limit_heap

    past = earlier or Earlier()
    replace = output.overwrite or past.wrote(path)
    check_output(path, bits=cast("Any", output.bits), overwrite=replace)
    places = {"--output": path, "--plot": output.plot, "--trace": output.trace}
    places |= {"--checkpoint": output.checkpoint}
    check_apart(places, run.inputs, output.snapshots)
    for warning in run.warnings:
        say(f"impasto: warning: {one_line(warning)}")
    limit_heap()
    if cli.started is not None and earlier is None:
        run.count_from(cli.started)
    recording = Recording(run, past, output.trace, output.snapshots, output.every)
    rows, keeper = recording.rows, None
    if output.checkpoint is not None:
        wanted = rows if output.trace is not None or output.plot is not None else None
        notes = _notes(path, output)
        keeper = Keeper(
            *(run, output.checkpoint, output.checkpoint_every, notes, wanted, earlier),
            overwrite=output.overwrite,
        )
        keeper.begin()
    interrupted = False
    plan: Plan | None = None
    began = time.monotonic()
    failure: ImpastoError | None = None
    with one_interrupt() as write_undisturbed:
        with ExitStack() as stack:
            stack.enter_context(closing(recording))
            bar = None
            try:
                try:
                    if run.last is not None:
                        recording.put_down(run.last)
                    if not output.quiet:
                        plan = run.plan()
                    if not output.quiet and not output.json:
                        if plan is not None and plan.levels:
                            say(plan_line(plan, rest=run.last is not None))
                        bar = stack.enter_context(_Bar())
                    for progress in run:
                        recording.put_down(progress)
                        if bar is not None:
                            bar.show(progress)
                        if keeper is not None:
                            keeper.after(progress)
                except KeyboardInterrupt:
                    interrupted = True
                    write_undisturbed()
                    if run.last is not None:
                        # What nobody reads could be waited for without end, now that no signal
                        # is heeded.
                        recording.put_down(run.last, waits=False)
            except ImpastoError as error:
                if run.last is None:
                    if keeper is not None and earlier is None:
                        keeper.finish()
                    raise
                # What was reached is kept before the fault is reported.
                failure = error
            write_undisturbed()
        if run.last is None and interrupted and Path(path).exists():
            # Nothing has been painted that is worth an older picture.
            raise KeyboardInterrupt
        try:
            picture = run.result
            saved = _save(picture, path, output, past, keeper)
        except ImpastoError as error:
            if keeper is None:
                raise
            # The run is not lost with its picture.
            keeper.write()
            raise type(error)(f"{error}{keeper.advice}") from None
        try:
            if output.plot is not None and rows:
                from impasto.report import plot_losses

                again = output.overwrite or past.wrote(output.plot)
                plot_losses(rows, output.plot, overwrite=again)
                if keeper is not None and (interrupted or failure is not None):
                    keeper.claim(file_digest(output.plot))
        except OutputError as error:
            failure = failure or error
        advice = "" if keeper is None else keeper.advice
        if failure is not None:
            raise type(failure)(f"{failure}; the best picture so far is in {saved}{advice}")
        if keeper is not None and not interrupted:
            keeper.finish()
        if saved != path:
            raise OutputError(
                f"{path}: has been made by another program meanwhile; the picture is in {saved}"
            )
        seconds = time.monotonic() - began
        kept = keeper if interrupted and advice else None
        _report(picture, run, path, (past.seconds, seconds), interrupted, output, kept, plan)
    return EXIT_INTERRUPTED if interrupted else 0


def _save(
    picture: Picture, path: Path, output: Output, past: Earlier, keeper: Keeper | None
) -> Path:
    """Writes the picture; where another program has just taken its name, beside that."""
    bits: Any = output.bits or 8
    announce = None if keeper is None else keeper.claim
    replace = output.overwrite or past.wrote(path)
    try:
        picture.save(path, bits=bits, quality=output.quality, overwrite=replace, announce=announce)
    except OutputError:
        if replace or not path.is_file():
            raise
        path = free_name(path.parent, path.stem, path.suffix)
        picture.save(path, bits=bits, quality=output.quality)
    return path


def _notes(path: Path, output: Output) -> dict[str, Any]:
    """What `impasto resume` needs to know to write what this command would have written."""

    def absolute(place: Path | None) -> str | None:
        return None if place is None else str(place.absolute())

    return {
        "output": absolute(path),
        "overwrite": output.overwrite,
        "bits": output.bits,
        "quality": output.quality,
        "trace": absolute(output.trace),
        "snapshots": absolute(output.snapshots),
        "every": output.every,
        "plot": absolute(output.plot),
        "checkpoint_every": output.checkpoint_every,
    }


def _report(
    picture: Picture,
    run: Stylization,
    path: Path,
    seconds: tuple[float, float],
    interrupted: bool,
    output: Output,
    keeper: Keeper | None,
    plan: Plan | None,
) -> None:
    """Tells what has come of a run; its seconds are those before it was resumed and those since."""
    from impasto.cli.plan import gigabytes, plan_record
    from impasto.memory import peak_memory

    last, peak = run.last, peak_memory()
    whole, since = sum(seconds), seconds[1]
    if output.json:
        summary = {
            "output": str(path),
            "width": picture.bitmap.width,
            "height": picture.bitmap.height,
            "seconds": round(whole, 3),
            "seconds_since_resumed": round(since, 3) if seconds[0] else None,
            "interrupted": interrupted,
            "checkpoint": None if keeper is None else str(keeper.path),
            "evaluations": 0 if last is None else last.done,
            "loss": None if last is None else last.best_loss,
            "levels": []
            if last is None
            else [[level.width, level.height, level.evaluations] for level in last.levels],
            "plan": None if plan is None else plan_record(plan),
            "peak_bytes": peak,
            "settings": picture.settings,
        }
        print(json.dumps(summary))
    elif not output.quiet:
        size = f"{picture.bitmap.width} x {picture.bitmap.height} px"
        count = 0 if last is None else last.done
        evaluations = "evaluation" if count == 1 else "evaluations"
        kept = "stopped early; the best picture so far is " if interrupted else ""
        advice = "" if keeper is None else keeper.advice
        took, planned = f"{whole:.0f} s", ""
        if seconds[0]:
            took += f", {since:.0f} s of them since it was resumed"
        if plan is not None and plan.levels and not interrupted:
            used = "" if peak is None else f", used {gigabytes(peak)}"
            foreseen = f"{duration(plan.seconds)} and {gigabytes(plan.expected_bytes)}"
            planned = f"; planned {foreseen}{used}"
        print(f"{kept}{path} ({size}, {count} {evaluations}, {took}{planned}){advice}")


@contextlib.contextmanager
def one_interrupt() -> Iterator[Callable[[], None]]:
    """Ctrl-C, a polite kill or a terminal that is closed stops the run; none of them disturbs what
    is written after it. With `nohup`, which has the closing ignored, the run goes on.

    Gives a function to call before the writing. A key pressed twice counts once, or the second
    press would cost the picture; a later one counts anew.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    last = -math.inf

    def interrupt(_signal: int, _frame: Any) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > 1:
            raise KeyboardInterrupt

    with _handled(interrupt) as ignore:
        yield ignore


@contextlib.contextmanager
def gentle_interrupt(stop: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """The first Ctrl-C, polite kill or closed terminal calls a function that has the run come to
    its end; the next one interrupts it. With `nohup`, the closing of the terminal is ignored.

    Gives a function to call before what is to be written undisturbed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    pressed = False

    def interrupt(_signal: int, _frame: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        stop()

    with _handled(interrupt) as ignore:
        yield ignore


@contextlib.contextmanager
def _handled(interrupt: Callable[[int, Any], None]) -> Iterator[Callable[[], None]]:
    """Has the signals that stop a run handled so; gives a function that has them ignored.

    Code that a C library calls back cannot be interrupted: there, the exception would be lost. It
    is raised a moment later instead.
    """
    kept = getattr(signal, "SIGHUP", None), signal.SIG_IGN
    stopping = [n for n in _STOPPING if (n, signal.getsignal(n)) != kept]
    again: threading.Timer | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal again
        try:
            if again is not None:
                raise KeyboardInterrupt
            interrupt(number, frame)
        except KeyboardInterrupt:
            if not _is_inside_libvips(frame):
                again = None
                raise
            again = threading.Timer(_AGAIN, _thread.interrupt_main, [number])
            again.start()

    def ignore() -> None:
        for number in stopping:
            signal.signal(number, signal.SIG_IGN)

    before = {number: signal.signal(number, handle) for number in stopping}
    try:
        yield ignore
    finally:
        if again is not None:
            again.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_inside_libvips(frame: FrameType | None) -> bool:
    """Whether libvips is at work, or one of the functions that it calls."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] == "pyvips":
            return True
        frame = frame.f_back
    return False


class _Bar:
    """A progress bar on standard error; plain lines, one per level, where that is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(file=sys.stderr)
        self._plain = not console.is_terminal
        self._level = -1
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._progress.add_task("preparing", total=None, loss="", left="")

    def __enter__(self) -> _Bar:
        if not self._plain:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A terminal that has been closed takes no more; what follows is the writing of results.
        with contextlib.suppress(OSError):
            if not self._plain:
                self._progress.stop()

    def show(self, progress: Progress) -> None:
        if self._plain:
            # The first evaluation of a level says little about the time of the others.
            planned = progress.levels[progress.level].evaluations
            if progress.level != self._level and progress.evaluation >= min(3, planned):
                self._level = progress.level
                say(
                    f"level {progress.level + 1} of {len(progress.levels)}: "
                    f"{progress.width} x {progress.height} px, "
                    f"about {duration(progress.remaining)} left"
                )
            return
        self._progress.update(
            self._task,
            description=f"{progress.width} x {progress.height}",
            total=1.0,
            completed=progress.share,
            loss=f"loss {progress.best_loss:.4g}",
            left=f"{duration(progress.remaining)} left",
        )


def duration(seconds: float) -> str:
    """Seconds in words."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
