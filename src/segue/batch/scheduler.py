"""Which worker takes which video: the longest first, within the memory of a machine.

The scheduler knows nothing of processes, files or clocks: it receives what happened and when, and answers
what to do. The same object serves two worker processes, a Ray cluster, and the simulation in the tests.
"""

from __future__ import annotations

import bisect
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from segue.batch.plan import Task

LATE = 2.0
"""A video that takes this many times what was expected goes to a second worker before it holds up the end."""

SLOW = 1.5
"""A worker that takes this many times as long as the others is not asked to help."""

LOOKAHEAD = 64
"""How many videos that need too much memory just now are passed over in search of one that does not."""

_COST = attrgetter("cost")


@dataclass(slots=True)
class Running:
    """A video in work since ``begun``, by one worker, or two where the first one is late."""

    task: Task
    begun: float
    workers: set[str] = field(default_factory=set)


class Scheduler:
    """Gives out videos until each is done or has failed.

    Longest processing time first keeps the end even (Graham 1969: within 4/3 of the best makespan on equal
    workers). A worker that has proved slow gets only what it will finish before the rest is done, and a video
    that is late is worked on twice; whoever is first counts.

    Args:
        tasks: videos to be done.
        tries: a video whose worker was lost this often has failed.
        memory: bytes that the videos on each machine may take together; machines not named have no bound.
        copies: give late videos to idle workers as well.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        *,
        tries: int = 3,
        memory: Mapping[str, float] | None = None,
        copies: bool = False,
    ) -> None:
        self._queue = sorted(tasks, key=_COST)  # the longest last
        self._cost_left: float = sum(map(_COST, self._queue))
        self.tries = tries
        self._memory = dict(memory or {})
        self._taken: dict[str, float] = dict.fromkeys(self._memory, 0.0)
        self._copies = copies
        self._running: dict[str, Running] = {}
        self._by_begin: list[tuple[float, float, str]] = []
        self._of_worker: dict[str, tuple[Task, str]] = {}
        self._losses: Counter[str] = Counter()
        self._spent: dict[str, tuple[float, float]] = {}
        self._cost_done = 0.0
        self._seconds_done = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing is queued or in work."""
        return not self._queue and not self._running

    @property
    def busy(self) -> bool:
        """Whether any worker has a video."""
        return bool(self._of_worker)

    def task_of(self, worker: str) -> Task | None:
        """Tell which video a worker has.

        Args:
            worker: name of the worker.

        Returns:
            The video, or None.
        """
        held = self._of_worker.get(worker)
        return held[0] if held else None

    def assign(self, worker: str, now: float, machine: str = "") -> Task | None:
        """Choose a video for an idle worker.

        Args:
            worker: its name; it must not have a video.
            now: any clock, in seconds.
            machine: where it is; the videos there share its memory.

        Returns:
            The video; None if there is none for it now.
        """
        task = self._late(worker, now) if self._copies else None
        if task is None and self._queue:
            task = self._fitting(worker, machine)
            if task is not None:
                self._cost_left -= task.cost
                self._running[task.name] = Running(task, now)
                heapq.heappush(self._by_begin, (now, -task.cost, task.name))
        if task is None:
            return None
        self._running[task.name].workers.add(worker)
        self._of_worker[worker] = (task, machine)
        if machine in self._taken:
            self._taken[machine] += task.memory
        return task

    def done(self, worker: str, now: float) -> tuple[Task, bool]:
        """Take note that a worker has finished its video.

        Args:
            worker: name of the worker.
            now: the clock of :meth:`assign`, in seconds.

        Returns:
            The video, and whether this worker was the first to finish it.
        """
        task = self._release(worker)
        running = self._running.pop(task.name, None)
        if running is None:
            return task, False
        if running.workers == {worker}:
            cost, seconds = self._spent.get(worker, (0.0, 0.0))
            self._spent[worker] = cost + task.cost, seconds + now - running.begun
            self._cost_done += task.cost
            self._seconds_done += now - running.begun
        return task, True

    def failed(self, worker: str) -> tuple[Task, bool]:
        """Take note that a worker's video cannot be done.

        Args:
            worker: name of the worker.

        Returns:
            The video, and whether that settles it: not so while another worker is at it, or has done it.
        """
        task = self._release(worker)
        return task, self._abandoned(task, worker)

    def stopped(self, worker: str) -> None:
        """Take note that a worker has left its video because the batch is interrupted; nobody gets it now.

        Args:
            worker: name of the worker.
        """
        self._release(worker)

    def lost(self, worker: str) -> bool:
        """Take note that a worker is lost; its video is queued again unless another worker has it.

        Args:
            worker: name of the worker.

        Returns:
            Whether the video has failed because too many workers were lost with it.
        """
        task = self._release(worker)
        self._spent.pop(worker, None)
        self._losses[task.name] += 1
        if not self._abandoned(task, worker):
            return False
        if self._losses[task.name] >= self.tries:
            return True
        bisect.insort(self._queue, task, key=_COST)
        self._cost_left += task.cost
        return False

    def _abandoned(self, task: Task, worker: str) -> bool:
        """Whether nobody is at a video any longer when a worker leaves it, and nobody has done it."""
        running = self._running.get(task.name)
        if running is None:
            return False
        running.workers.discard(worker)
        if running.workers:
            return False
        del self._running[task.name]
        return True

    def _release(self, worker: str) -> Task:
        task, machine = self._of_worker.pop(worker)
        if machine in self._taken:
            self._taken[machine] -= task.memory
        return task

    def _fitting(self, worker: str, machine: str) -> Task | None:
        """The longest video that fits into the free memory, and that the worker finishes in time."""
        longest = len(self._queue) - 1
        cost, seconds = self._spent.get(worker, (0.0, 0.0))
        if seconds:
            in_time = bisect.bisect_right(self._queue, self._seconds_left * cost / seconds, key=_COST) - 1
            longest = min(longest, max(in_time, 0))
        taken = self._taken.get(machine, 0.0)
        for place in range(longest, max(longest - LOOKAHEAD, -1), -1):
            if not taken or taken + self._queue[place].memory <= self._memory[machine]:
                return self._queue.pop(place)
        return None

    @property
    def _seconds_left(self) -> float:
        """Time in which the workers that are busy will have done the queue."""
        return self._cost_left * self._seconds_done / self._cost_done / max(1, len(self._of_worker))

    def _late(self, worker: str, now: float) -> Task | None:
        """The video longest in work, if it is late, alone, and holds up the end; not for slow workers."""
        if not self._cost_done:
            return None
        rate = self._seconds_done / self._cost_done
        cost, seconds = self._spent.get(worker, (0.0, 0.0))
        if seconds > rate * cost * SLOW:
            return None
        while self._by_begin:
            begun, _, name = self._by_begin[0]
            running = self._running.get(name)
            if running is None or running.begun != begun or len(running.workers) > 1:
                heapq.heappop(self._by_begin)
                continue
            expected = rate * running.task.cost
            if now - begun < LATE * expected or self._seconds_left > LATE * expected:
                return None
            heapq.heappop(self._by_begin)
            return running.task
        return None
