"""A bar on standard error for work that is a number of like pieces."""

from __future__ import annotations

import contextlib
import sys
import time

from impasto.cli import say

_PLAIN_EVERY = 10.0
"""Seconds between two lines where standard error is no terminal."""


class Count:
    """A bar that says how many of how many are done, and for how long it will go on.

    Where standard error is no terminal it is a line every ten seconds, if there is news; nothing
    with `quiet`.

    Args:
        words: what is being done.
        total: how many pieces there are.
        quiet: show nothing.
    """

    def __init__(self, words: str, total: int, *, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(file=sys.stderr)
        self._words, self._total, self._quiet = words, total, quiet
        self._plain = not console.is_terminal
        self._told, self._said = time.monotonic(), ""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._task = self._progress.add_task(words, total=total, note="")

    def __enter__(self) -> Count:
        if not self._plain and not self._quiet:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A terminal that has been closed takes no more.
        with contextlib.suppress(OSError):
            if not self._plain and not self._quiet:
                self._progress.stop()

    def show(self, done: float, note: str = "") -> None:
        """Says that `done` pieces are done; `note` goes behind the bar."""
        if self._quiet:
            return
        if not self._plain:
            self._progress.update(self._task, completed=done, note=note)
        elif time.monotonic() - self._told >= _PLAIN_EVERY:
            self._told = time.monotonic()
            line = f"{self._words}: {done / max(self._total, 1):.0%}, {int(done)} of {self._total}"
            if line != self._said:
                self._said = line
                say(line)
