"""`impasto collect`: pictures of web sites, feeds and open collections, into a folder."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import EXIT_INTERRUPTED, say
from impasto.cli.flags import flags, given, named_path
from impasto.collect.options import CollectOptions

if TYPE_CHECKING:
    from impasto.collect.crawl import Crawl, Progress, Summary

_flags = flags(CollectOptions)
if TYPE_CHECKING:
    Flags = Any
else:
    Flags = _flags
_NO_FLAGS = _flags()
_LINE_SECONDS = 10.0
"""Seconds between two lines of progress where there is no terminal."""


def collect(
    urls: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], converter=named_path)],
    refresh: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
    options: Flags = _NO_FLAGS,
) -> int:
    """Gather the pictures of web pages, feeds and open collections into a folder.

    Args:
        urls: Pages, feeds, sitemaps, IIIF manifests, or pages of Wikimedia Commons, The Met, the
            Art Institute of Chicago and the Rijksmuseum.
        output: The folder; a later run with the same arguments goes on where this one stopped.
        refresh: Look for what is new on the pages of a finished collection.
        quiet: Say nothing but the summary.
    """
    chosen = CollectOptions(**given(options))
    from impasto.cli.running import gentle_interrupt
    from impasto.collect.crawl import Crawl

    crawl = Crawl(urls, output, chosen, refresh=refresh)
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True
        crawl.stop("interrupted")

    try:
        try:
            with gentle_interrupt(stop), contextlib.closing(crawl.run()) as course:
                _follow(course, quiet)
        except KeyboardInterrupt:
            interrupted = True
        _report(crawl, "interrupted" if interrupted else "")
    finally:
        crawl.close()
    if interrupted:
        say(f"impasto: go on with the same command, into {shlex.quote(str(output))}")
        return EXIT_INTERRUPTED
    return 0


def _follow(course: Iterator[Progress], quiet: bool) -> None:
    """Runs a collection, showing how far it is."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet:
        for _ in course:
            pass
    elif console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(console=console, refresh_per_second=4, transient=True) as live:
            for progress in course:
                live.update(Text(_line(progress)))
    else:
        told, stopping = 0.0, ""
        for progress in course:
            if progress.seconds - told >= _LINE_SECONDS or progress.stopping != stopping:
                told, stopping = progress.seconds, progress.stopping
                say(_line(progress))


def _line(progress: Progress) -> str:
    from impasto.cli.running import duration

    text = (
        f"{_counted(progress.pages, 'page')} read, {_counted(progress.found, 'picture')} found, "
        f"{progress.kept} kept, "
        f"{progress.skipped} skipped, {progress.failed} failed, {progress.waiting} to ask for; "
        f"{_amount(progress.bytes)}, {duration(progress.seconds)}"
    )
    if progress.stopping:
        return f"{text}; stopping once what is under way has come; Ctrl-C again stops at once"
    return f"{text}; the next in {duration(progress.pause)}" if progress.pause >= 2 else text


def _report(crawl: Crawl, why: str) -> None:
    summary = crawl.summary()
    text = "\n".join(_lines(summary, crawl.folder, why))
    print(text, file=sys.stdout, flush=True)


def _lines(summary: Summary, folder: Path, why: str) -> Iterator[str]:
    from impasto.cli.running import duration
    from impasto.errors import one_line

    progress = summary.progress
    yield (
        f"{one_line(str(folder))}: {_counted(progress.kept, 'picture')} kept of {progress.found:,} "
        f"found on {_counted(progress.pages, 'page')}; {_amount(progress.bytes)} in "
        f"{duration(progress.seconds)}"
    )
    for kind, outcome, reason, number in summary.reasons:
        shown = "" if kind == "picture" else " (to read)"
        yield f"  {number:>6}  {outcome}: {one_line(reason)}{shown}"
    unfinished = why or summary.unfinished
    if summary.left:
        yield f"  {summary.left:>6}  not asked for yet: {one_line(unfinished)}"
        yield "  the same command goes on"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _amount(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
