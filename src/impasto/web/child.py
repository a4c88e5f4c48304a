"""What the painter and the reader have in common as processes of the studio.

A child is started by the supervisor and does what it is told in lines of JSON on its standard
input; it answers in such lines on its standard output. The end of its input means that the server
is gone. While it lives it holds a lock in the data folder, so that its successor waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
    import resource
except ImportError:  # not on Windows, where nothing is limited and a second studio is not noticed
    fcntl = resource = None


class Line:
    """A child's connection to its supervisor."""

    def __init__(self) -> None:
        # Whatever a library prints must not get between the messages.
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def orders(self) -> Iterator[dict[str, Any]]:
        """What the supervisor says, until the server is gone."""
        for line in sys.stdin.buffer:
            with contextlib.suppress(ValueError):
                order = json.loads(line)
                if isinstance(order, dict):
                    yield order

    def tell(self, message: Mapping[str, Any]) -> None:
        """Says something to the supervisor; nothing, where that is gone."""
        data = memoryview(json.dumps(message, allow_nan=False).encode() + b"\n")
        with self._lock, contextlib.suppress(OSError):
            # A pipe may take only a part of it, where a signal comes in between.
            while data:
                data = data[self._out.write(data) or 0 :]


def begin() -> tuple[Line, dict[str, Any]]:
    """Opens the connection and waits for the first order, which holds the settings.

    Ctrl-C in a terminal reaches children too; they leave when their server does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    line = Line()
    settings = next(line.orders(), None)
    if settings is None:
        sys.exit(0)
    return line, settings


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds a lock as long as the process lives; waits while another one has it."""
    with path.open("ab") as file:
        _lock(file, wait=True)
        yield


@contextlib.contextmanager
def only_one_at_once(path: Path) -> Iterator[bool]:
    """Holds a lock, unless another process has it; says whether it does."""
    with path.open("ab") as file:
        yield _lock(file, wait=False)


def is_held(path: Path) -> bool:
    """Whether a process holds a lock."""
    with path.open("ab") as file:
        return not _lock(file, wait=False)


def _lock(file: IO[bytes], *, wait: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def limit_memory(more: int) -> None:
    """Lets the process take so many bytes more than it has; then allocations fail."""
    if resource is None:
        return
    with contextlib.suppress(OSError, ValueError):
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + more, size + more))


def limit_time(seconds: int) -> None:
    """Lets the process compute for so many seconds more; then the system ends it."""
    if resource is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    spent = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + 1 + seconds, hard))
