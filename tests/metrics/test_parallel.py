"""Sequences scored in processes."""

from __future__ import annotations

import os

import pytest

from segue.errors import DatasetError, SegueError
from segue.metrics.evaluation import map_sequences


def double(number: int) -> int:
    if number < 0:
        raise DatasetError(f"{number} is negative")
    return 2 * number


def die(number: int) -> int:
    os._exit(number)


def test_scores_come_in_the_order_of_the_tasks_with_progress() -> None:
    tasks = {str(i): i for i in (3, 1, 2)}
    steps: list[tuple[int, int, str]] = []
    assert map_sequences(double, tasks, progress=lambda *step: steps.append(step)) == [6, 2, 4]
    assert steps == [(1, 3, "3"), (2, 3, "1"), (3, 3, "2")]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_a_task_ends_the_work(workers: int) -> None:
    with pytest.raises(DatasetError):
        map_sequences(double, {"a": 1, "b": -1}, workers=workers)


def test_a_process_that_dies_is_reported() -> None:
    with pytest.raises(SegueError, match=r"died.*use fewer workers"):
        map_sequences(die, {"a": 3, "b": 3}, workers=2)
