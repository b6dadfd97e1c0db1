"""Working ahead in a thread."""

from __future__ import annotations

from segue.video.prefetch import Prefetcher


def test_the_oldest_item_is_dropped_where_the_consumer_is_late() -> None:
    ahead = Prefetcher(lambda: iter(range(10)), 2, drops=lambda: True)
    ahead._thread.join(5)
    assert list(ahead) == [8, 9]
    assert ahead.dropped == 8
