"""Workers that start no processes: most tests that do videos ask what comes out, not where it was made."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from segue.batch import Task
from segue.batch.work import JobConfig, attempt
from segue.utils.cancel import CancelToken


class WorkersHere:
    """Does each video when it is given, in the process of the test."""

    room = 1

    def __init__(self, order: JobConfig, count: int, gpus: Sequence[str] | None) -> None:
        self.tries, self._order = order.tries, order

    def submit(self, task: Task) -> Future[Task]:
        future: Future[Task] = Future()
        future.set_result(attempt(task, self._order, CancelToken()))
        return future

    def interrupt(self) -> None:
        """Nothing is in work."""

    def close(self) -> None:
        """Nothing has been started."""
