"""Working ahead in a thread."""

from __future__ import annotations

from segue.video.decoding.prefetch import Prefetcher


def test_no_more_items_wait_than_were_asked_for() -> None:
    taken: list[int] = []
    ahead = Prefetcher(lambda: (taken.append(i) or i for i in range(10)), 2)
    assert next(ahead) == 0
    ahead._thread.join(0.3)
    assert len(taken) <= 4, "one given, two that wait, and one for which there is no room"
    assert list(ahead) == list(range(1, 10))


def test_the_oldest_item_is_dropped_where_the_consumer_is_late() -> None:
    ahead = Prefetcher(lambda: iter(range(10)), 2, drops=lambda: True)
    ahead._thread.join(5)
    assert list(ahead) == [8, 9]
    assert ahead.dropped == 8
