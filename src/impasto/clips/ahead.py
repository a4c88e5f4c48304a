"""What comes next, found in the background while what came before is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one of which is found in another thread meanwhile.

    No more than one is found before it is asked for. What finding one raises is raised where that
    one would have come.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="impasto-ahead") as pool:
        following = pool.submit(next, items, _END)
        while (item := following.result()) is not _END:
            following = pool.submit(next, items, _END)
            yield item  # pyright: ignore[reportReturnType]
