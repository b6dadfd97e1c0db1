"""Working ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from segue.video.prefetch import Prefetcher


def test_items_come_in_order() -> None:
    assert list(Prefetcher(lambda: iter(range(100)), 3)) == list(range(100))


def test_an_exception_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ZeroDivisionError("here")

    ahead = Prefetcher(items, 5)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ZeroDivisionError, match="here"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)


def test_no_more_than_the_depth_is_taken_ahead() -> None:
    taken: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            if number == 2:
                third.set()
            yield number

    ahead = Prefetcher(items, 2)
    assert third.wait(5)  # two wait in the queue, the third is in the producer's hand
    assert taken == [0, 1, 2]
    ahead.close()
    assert taken == [0, 1, 2]


def test_closing_stops_a_thread_that_waits_for_room() -> None:
    ahead = Prefetcher(lambda: iter(range(1000)), 2)
    assert next(ahead) == 0
    ahead.close()
    assert "segue-prefetch" not in {thread.name for thread in threading.enumerate()}
    assert list(ahead) == []


def test_closing_wakes_a_source_that_blocks() -> None:
    wake = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        wake.wait()

    ahead = Prefetcher(items, 2, wake.set)
    assert next(ahead) == 1
    ahead.close()
    assert "segue-prefetch" not in {thread.name for thread in threading.enumerate()}


def test_the_oldest_item_is_dropped_where_the_consumer_is_late() -> None:
    ahead = Prefetcher(lambda: iter(range(10)), 2, drops=lambda: True)
    ahead._thread.join(5)
    assert list(ahead) == [8, 9]
    assert ahead.dropped == 8
