"""Paints clips again and again in processes of their own, which end in the middle of their work.

Loading torch takes longer than a tiny clip, so this process loads everything once and forks for
every command. Commands come in as lines of JSON: a list of arguments; at which call of a function
that has to do with clips the process kills itself, or null; and whether calls count only from when
the result is written. The exit status goes out, and how many calls there were. The optimiser's
network is a narrow one.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import impasto
from impasto import cli, features, segments, video
from impasto.cli import running  # noqa: F401  loaded before the first fork
from stand_ins import narrow_weights

FOLDER = Path(impasto.__file__).parent
OURS = tuple(
    str(FOLDER / name)
    for name in ("clips", "video.py", "painters.py", "temporal.py", "locks.py", "images.py")
)


class Counter:
    """Counts calls, and kills the process at one of them."""

    def __init__(self, kill_at: int | None, *, writing: bool) -> None:
        self.calls, self._kill_at, self._counts = 0, kill_at, not writing

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        """What Python tells of every call in every thread."""
        del argument
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(OURS):
            return
        self._counts = self._counts or code is video.ClipRun._write.__code__
        self.calls += self._counts
        if self.calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    """Answers until standard input ends."""
    weights = narrow_weights()
    features.load_weights = lambda _: weights
    assert segments.__name__
    for line in sys.stdin:
        arguments, kill_at, writing = json.loads(line)
        back, to = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)
            counter = Counter(kill_at, writing=writing)
            threading.setprofile(counter)
            sys.setprofile(counter)
            code = cli.main(arguments)
            sys.setprofile(None)
            os.write(to, str(counter.calls).encode())
            os._exit(code)
        os.close(to)
        with os.fdopen(back) as told:
            calls = int(told.read() or 0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), calls, flush=True)


if __name__ == "__main__":
    serve()
