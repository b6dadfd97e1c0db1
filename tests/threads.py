"""Work that several threads do at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

Result = TypeVar("Result")

THREADS = 4


def in_threads(work: Callable[[int], Result], count: int = THREADS) -> list[Result]:
    """What a function gives for 0, 1, ... in a thread each, all of which begin together."""
    start = Barrier(count, timeout=60)

    def begin(number: int) -> Result:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))
