"""Work that takes long or much memory, in processes of its own beside the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import one_line

NICENESS = 5
"""What such a process takes off its own priority: the server has visitors to answer."""

_OOM_SCORE_ADJ = "500"


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        status: its exit status; negative where a signal ended it.
        said: the last line that it wrote to its standard error.
    """

    status: int
    said: str


async def run_apart(module: str, *arguments: str) -> Ended:
    """Runs a module's `main` in a process of its own; where its caller goes, it is killed.

    Args:
        module: its full name.
        arguments: for it.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C in the server's terminal is the server's.
        start_new_session=True,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    lines = said.decode(errors="replace").strip().splitlines() or ["it was ended"]
    return Ended(process.returncode or 0, one_line(lines[-1]))


def give_way() -> None:
    """Has this process wait for others, and go before them where memory runs out.

    Source: Linux, proc(5), `/proc/pid/oom_score_adj`.
    """
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ)
