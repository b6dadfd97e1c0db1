"""Values of single threads."""

from __future__ import annotations

import copy
import pickle

from segue.utils.threads import PerThread
from tests.threads import THREADS, in_threads


def test_each_thread_has_a_value_of_its_own() -> None:
    value = PerThread(list[int])

    def work(number: int) -> list[int]:
        value().append(number)
        value().append(number)
        return value()

    assert in_threads(work) == [[number, number] for number in range(THREADS)]
    assert value() == []


def test_copies_make_values_of_their_own() -> None:
    value = PerThread(list[int])
    value().append(1)
    for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert twin() == []
    assert value() == [1]
