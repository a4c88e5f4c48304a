"""Runs of the program itself, in a process of its own, that are stopped once they are under way."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ENDLESS = ["--evaluations", "1000000", "--single-level", "--trace", "t.jsonl"]
"""Flags of a run that only a signal ends; its trace is in the current folder."""


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """`python -m impasto` with these arguments; options as for `Popen`.

    It heeds a terminal that is closed, although the tests may themselves run under `nohup`.
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        return subprocess.Popen([sys.executable, "-m", "impasto", *arguments], text=True, **options)
    finally:
        signal.signal(signal.SIGHUP, before)


def wait_until_under_way(process: subprocess.Popen[str]) -> None:
    """Waits until the trace of an endless run has a few lines, or the process has ended."""
    trace = Path("t.jsonl")
    for _ in range(1200):
        if process.poll() is not None or (trace.exists() and trace.stat().st_size > 1000):
            return
        time.sleep(0.1)


def stop_midway(number: int, *arguments: str) -> tuple[int, str, str]:
    """Starts an endless run and sends it a signal; the exit code, standard output and error."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(*arguments, *ENDLESS, **pipes) as process:
        wait_until_under_way(process)
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=600)
        finally:
            process.kill()
    return process.returncode, out, err
