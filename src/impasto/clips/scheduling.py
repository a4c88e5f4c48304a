"""Keeps an encoder's threads as ordinary as all others."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def as_scheduled() -> Iterator[None]:
    """Gives threads that begin or change within the policy that the calling thread has now.

    Where root opens SVT-AV1 on Linux, it makes the thread that calls it a real-time one of the
    highest priority (`svt_switch_to_real_time`), its own threads inherit that, and so does every
    program that is started later: all else on the machine would wait for them.
    """
    if sys.platform != "linux":
        yield
        return
    before = _policies()
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread, now in _policies().items():
            if now != before.get(thread, policy):
                with contextlib.suppress(OSError):  # it may have ended meanwhile
                    os.sched_setscheduler(thread, policy, parameters)


def _policies() -> dict[int, int]:
    """The scheduling policies of this process's threads, by their ids."""
    found = dict[int, int]()
    for name in os.listdir("/proc/self/task"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            found[int(name)] = os.sched_getscheduler(int(name))
    return found
