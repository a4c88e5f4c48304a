"""Runs the command line again and again in processes of its own, each ready in milliseconds.

Loading torch takes longer than a tiny run, so this process loads everything once and forks for
every command. Commands come in as lines of JSON: a list of arguments, and after how many seconds to
kill the process, or null. Its exit status goes out. The network is a narrow one.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from impasto import cli, features, reproduction  # noqa: F401  loaded before the first fork
from impasto.cli import keeping, resume, running, stylize  # noqa: F401
from stand_ins import narrow_weights


def serve() -> None:
    """Answers until standard input ends."""
    weights = narrow_weights()
    features.load_weights = lambda _: weights
    for line in sys.stdin:
        arguments, kill_after = json.loads(line)
        child = os.fork()
        if child == 0:
            with Path("said.txt").open("a") as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
            code = cli.main(arguments)
            sys.stdout.flush()
            os._exit(code)
        if kill_after is not None:
            until = time.monotonic() + kill_after
            # Not waited for yet, so that its number is nobody else's.
            while time.monotonic() < until and not _is_over(child):
                time.sleep(0.002)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _is_over(child: int) -> bool:
    """Whether a process has ended by itself; it is not waited for yet."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


if __name__ == "__main__":
    serve()
