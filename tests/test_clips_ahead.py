"""Items found ahead in the background are the same, in order, and so are faults."""

import threading
from collections.abc import Iterator

import pytest

from impasto.clips import read_ahead


def test_the_same_items_in_order() -> None:
    """Nothing is lost, doubled or moved."""
    assert list(read_ahead(iter(range(50)))) == list(range(50))
    assert list(read_ahead(iter(()))) == []


def test_a_fault_comes_in_its_place() -> None:
    """What was found before it is given first."""

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("three")

    found: list[int] = []
    with pytest.raises(ValueError, match="three"):
        found.extend(read_ahead(items()))
    assert found == [1, 2]


def test_no_more_than_one_ahead() -> None:
    """Memory is that of one item more, and the next one is found by another thread."""
    made: list[int] = []
    threads: set[int] = set()
    begun = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(6):
            made.append(number)
            threads.add(threading.get_ident())
            begun.release()
            yield number

    for number in read_ahead(items()):
        # The next one is found while this one is at work: without that, this would never go on.
        if number == 0:
            begun.acquire(timeout=60)
        if number < 5:
            assert begun.acquire(timeout=60)
        assert made == list(range(min(number + 2, 6)))
    assert threads != {threading.get_ident()}


def test_an_end_before_the_end() -> None:
    """Whoever stops early leaves nothing running."""
    before = threading.active_count()
    found = read_ahead(iter(range(9)))
    assert next(found) == 0
    found.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before
