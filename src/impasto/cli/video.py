"""`impasto video`: a clip repainted, frame after frame."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter, Token

from impasto.cli import EXIT_INTERRUPTED, say
from impasto.cli.flags import flags, given, named_path, whole_number
from impasto.errors import ImpastoError, OptionError, one_line
from impasto.options import StyleOptions, make_options
from impasto.video_options import VideoOptions

if TYPE_CHECKING:
    from impasto.video import ClipRun, VideoProgress

LEFT_OUT = (*("start", "print", "print_fit", "dpi", "aspect", "tileable", "preview", "time_limit"),)
"""Options of a picture that a clip has not."""

_flags, _video_flags = flags(StyleOptions, LEFT_OUT), flags(VideoOptions)
if TYPE_CHECKING:
    Flags = VideoFlags = Any
else:
    Flags, VideoFlags = _flags, _video_flags
_NO_FLAGS, _NO_VIDEO_FLAGS = _flags(), _video_flags()
_OUTPUT = Group("Output", sort_key=1)
_NETWORKS = Group("Transfer networks", sort_key=5)
_WORK = Group("Shared work", sort_key=6)
_NUMBERED = re.compile(r"[0-9]\.[^.]+$")
"""Names of pictures that a folder of frames may take for its own."""
_LINE_SECONDS = 10.0
"""Seconds between two lines of progress where there is no terminal."""


def _clip_path(_: Any, tokens: Sequence[Token]) -> Path:
    """Reads the clip's name; an empty one is not the current folder."""
    if not tokens[0].value.strip():
        raise OptionError("CLIP: the name is empty; name a clip, or . for the pictures here")
    return Path(tokens[0].value)


def video(
    clip: Annotated[Path, Parameter(converter=_clip_path)],
    styles: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], converter=named_path, group=_OUTPUT)
    ] = None,
    overwrite: Annotated[bool, Parameter(negative="", group=_OUTPUT)] = False,
    live: Annotated[Path | None, Parameter(converter=named_path, group=_OUTPUT)] = None,
    keep_frames: Annotated[bool, Parameter(negative="", group=_OUTPUT)] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", group=_OUTPUT)] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="", group=_OUTPUT)] = False,
    segments: Annotated[int, Parameter(converter=whole_number, group=_WORK)] = 1,
    workers: Annotated[int, Parameter(converter=whole_number, group=_WORK)] = 1,
    segment: Annotated[int | None, Parameter(converter=whole_number, group=_WORK)] = None,
    fast: Annotated[bool, Parameter(negative="", group=_NETWORKS)] = False,
    network: Annotated[str | None, Parameter(group=_NETWORKS)] = None,
    mask: Annotated[list[str] | None, Parameter(negative="")] = None,
    style_mask: Annotated[
        list[str] | None, Parameter(negative="", allow_leading_hyphen=True)
    ] = None,
    video_options: VideoFlags = _NO_VIDEO_FLAGS,
    options: Flags = _NO_FLAGS,
) -> int:
    """Repaint a clip in the style of one or several paintings, without flicker.

    Args:
        clip: A clip in any common format, an animated GIF or WebP, or a folder of numbered
            pictures.
        styles: The paintings, or names of built-in styles; several are blended, or follow one
            another with --at.
        output: The clip to write: MP4, MOV, MKV, WebM, GIF or WebP; without an extension, a folder
            of numbered PNGs. By default a free name beside the clip.
        overwrite: Replace a file that exists, and frames of a run with other settings.
        live: Keep the newest frame in this picture.
        keep_frames: Leave the folder of finished frames, OUTPUT.frames.
        quiet: Show no progress and no summary.
        as_json: Print a machine-readable summary instead of words.
        segments: Divide the clip into so many parts, painted apart and faded into each other.
        workers: With --segments: processes that paint at once, each with a network of its own.
        segment: With --segments: paint only the one of this number, from 1, for a run elsewhere.
        fast: Paint each frame in one pass of a transfer network, in parts of a second; refuses what
            steers evaluations, such as --follow, --passes and --evaluations.
        network: With --fast: styles, which knows the built-in styles, any, which takes paintings,
            or a network's file; by default the first where all styles are built in.
        mask: A grey picture, white where a region of all frames is, or a clip or folder of numbered
            pictures that follows frame by frame; repeat it for more regions.
        style_mask: A mask of the part of a painting that lends its style; repeat it for each
            painting, with - for none.
    """
    given_here = given(video_options)
    chosen, how = make_options(given(options)), VideoOptions(**given_here)
    if network is not None and not fast:
        raise OptionError("--network: acts only with --fast; add that, or leave it out")
    for name in ("follow", "passes") if fast else ():
        if name in given_here:
            raise OptionError(
                f"--{name}: a transfer network cannot heed it; leave it out, or leave --fast out"
            )
    for name, value in ("workers", workers != 1), ("segment", segment is not None):
        if value and segments == 1:
            raise OptionError(f"--{name}: acts only with --segments 2 or more; add that")
    need_packages()
    from impasto.cli.running import one_interrupt
    from impasto.segments import Order, SegmentedRun
    from impasto.video import check_live, check_together

    path = output or _free_beside(clip, styles)
    if live is not None:
        check_live(live, path, clip, overwrite=overwrite)
    read = [*styles, *(style_mask or ()), network]
    _check_unread({"--output": path, "--live": live}, clip, mask or (), read)
    check_together(chosen, how, len(styles), len(mask or ()))
    began = time.monotonic()
    order = Order(
        *(clip, path, styles, chosen, how, fast, network, mask or ()),
        style_masks=[None if one == "-" else one for one in style_mask or ()],
        overwrite=overwrite,
    )
    if segments == 1:
        run = order.run(order.painter(), live=live)
    else:
        run = SegmentedRun(order, segments, workers, only=segment, live=live)
    for warning in run.warnings:
        say(f"impasto: warning: {one_line(warning)}")
    last: VideoProgress | None = None
    try:
        with one_interrupt(), _shown(quiet or as_json) as show:
            for last in run:
                show(last)
            run.finish(keep_frames=keep_frames)
    except KeyboardInterrupt:
        say(f"impasto: stopped; the same command goes on, from {shlex.quote(str(run.folder))}")
        return EXIT_INTERRUPTED
    except ImpastoError as error:
        if last is None:
            raise
        raise type(error)(
            f"{error}; the same command goes on, from the frames in {run.folder}"
        ) from None
    if segment is not None:
        _report_segment(run, last, segment, segments, quiet, as_json)
        return 0
    _report(run, last, time.monotonic() - began, quiet, as_json)
    return 0


def need_packages() -> None:
    """Refuses clips where what reads them is not installed.

    Raises:
        OptionError: with the remedy.
    """
    for module, package in ("av", "av"), ("cv2", "opencv-python-headless"):
        if importlib.util.find_spec(module) is None:
            raise OptionError(
                f"clips need the package {package}, which is not there; install it with "
                "pip install 'impasto[video]'"
            )


def _free_beside(clip: Path, styles: list[str]) -> Path:
    """A free name beside the clip, made of its name and the styles', in its own format where that
    can be written."""
    from impasto.cli.running import free_name, name_beside
    from impasto.clips import ENDINGS

    ending = clip.suffix.lower() if clip.suffix.lower() in ENDINGS else ".mp4"
    made = name_beside(str(clip), *styles)
    return free_name(made.parent, made.stem, ending)


def _check_unread(
    places: dict[str, Path | None], clip: Path, masks: Iterable[str], others: Iterable[str | None]
) -> None:
    """Refuses to write over what is read, or among the numbered pictures of a folder.

    Args:
        places: flag → what it names, if anything.
        clip: that is read.
        masks: likewise, with the colours that are meant.
        others: paintings, their masks, and the network's file.

    Raises:
        OptionError: in the words of the flag.
    """
    from impasto.sources import split_label

    frames = os.path.realpath(clip)
    films = {os.path.realpath(split_label(one)[0]) for one in masks}
    read = {frames, *films, *(os.path.realpath(split_label(one)[0]) for one in others if one)}
    for flag, place in places.items():
        if place is None:
            continue
        folder, name = os.path.split(os.path.realpath(place))
        if os.path.join(folder, name) in read:  # noqa: PTH118
            raise OptionError(f"{flag} {place}: is read by this run; choose another name")
        is_picture = flag == "--live" or name.lower().endswith((".gif", ".webp"))
        among = folder in films or (folder == frames and _NUMBERED.search(name))
        if is_picture and among:
            raise OptionError(
                f"{flag} {place}: would lie among the pictures of a folder that this run reads; "
                "choose another folder"
            )


@contextlib.contextmanager
def _shown(quiet: bool) -> Iterator[Callable[[VideoProgress], None]]:
    """Gives what shows each frame's progress: a bar, or lines where there is no terminal."""
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(file=sys.stderr)
    if console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(console=console, refresh_per_second=4, transient=True) as shown:
            yield lambda progress: shown.update(Text(progress_line(progress)))
        return
    told = -_LINE_SECONDS

    def tell(progress: VideoProgress) -> None:
        nonlocal told
        if progress.elapsed - told >= _LINE_SECONDS:
            told = progress.elapsed
            say(progress_line(progress))

    yield tell


def progress_line(progress: VideoProgress) -> str:
    """How far a clip is, in words."""
    from impasto.cli.running import duration

    total = progress.total
    twice = f" ({progress.twice} twice, where segments overlap)" if progress.twice else ""
    before = f", {progress.resumed} of them before" if progress.resumed else ""
    left = "" if progress.remaining is None else f"; about {duration(progress.remaining)} left"
    turn = f", pass {progress.pass_}" if progress.pass_ > 1 else ""
    done = _counted(progress.done, "frame")
    if total is not None:
        done = f"{progress.done} of about {_counted(total, 'frame')}{twice}"
    return f"{done}{before}{turn}{left}"


def _counted(number: int | None, what: str) -> str:
    """So many of something, in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _report(
    run: ClipRun, last: VideoProgress | None, seconds: float, quiet: bool, as_json: bool
) -> None:
    from impasto.cli.running import duration

    made = 0 if last is None else last.done - last.resumed
    if as_json:
        summary = {
            "output": str(run.output),
            "width": run.size[0],
            "height": run.size[1],
            "frames": run.frames,
            "painted": made,
            "damaged": run.clip.damaged,
            "seconds": round(seconds, 3),
            "settings": run.record,
        }
        print(json.dumps(summary))
    elif not quiet:
        size = f"{run.size[0]} x {run.size[1]} px"
        before = "" if last is None or not last.resumed else f", {made} of them painted now"
        before = ", finished before and only cleared up now" if run.done else before
        frames = _counted(run.frames, "frame")
        print(f"{run.output} ({size}, {frames}{before}, {duration(seconds)})")
    if run.clip.damaged and not quiet:
        say(
            f"impasto: warning: {one_line(str(run.clip.path))}: passed over "
            + _counted(run.clip.damaged, "damaged part")
        )


def _report_segment(
    run: ClipRun,
    last: VideoProgress | None,
    segment: int,
    segments: int,
    quiet: bool,
    as_json: bool,
) -> None:
    made = 0 if last is None else last.done - last.resumed
    if as_json:
        summary = {
            "folder": str(run.folder),
            "segment": segment,
            "segments": segments,
            "painted": made,
            "settings": run.record,
        }
        print(json.dumps(summary))
    elif not quiet:
        print(
            f"{run.folder} (segment {segment} of {segments}, {_counted(made, 'frame')} painted "
            "now; the same command without --segment joins all)"
        )
