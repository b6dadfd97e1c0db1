"""The scheduler by itself: order, memory, lost workers, and a simulated cluster."""

from __future__ import annotations

import heapq
import random
from pathlib import Path

import pytest

from segue.batch import Ledger, Scheduler, Task
from segue.batch.scheduler import LOOKAHEAD


def tasks(*costs: float, memory: float = 1.0) -> list[Task]:
    return [Task(f"v{n}", f"v{n}.mp4", (), cost, memory) for n, cost in enumerate(costs)]


def test_the_longest_video_goes_first() -> None:
    scheduler = Scheduler(tasks(3, 9, 5))

    given = [scheduler.assign(worker, 0.0) for worker in "abcd"]

    assert [task and task.cost for task in given] == [9, 5, 3, None]


def test_videos_of_a_machine_share_its_memory_and_an_idle_machine_takes_any() -> None:
    large, small = Task("large", "l", (), 9, 30), Task("small", "s", (), 1, 4)
    scheduler = Scheduler([large, Task("huge", "h", (), 8, 50), small], memory={"m": 32})

    assert scheduler.assign("a", 0, "m") == large
    assert scheduler.assign("b", 0, "m") is None  # neither of the others fits beside it
    scheduler.done("a", 1)
    assert scheduler.assign("a", 1, "m") is not None  # too large for the machine, but alone there
    assert scheduler.assign("b", 1, "m") is None


def test_a_video_that_three_workers_died_of_has_failed() -> None:
    scheduler = Scheduler(tasks(1), tries=3)

    failed = []
    for worker in "abc":
        assert scheduler.assign(worker, 0) is not None
        failed.append(scheduler.lost(worker))

    assert failed == [False, False, True]
    assert scheduler.over


def test_a_late_video_is_given_to_an_idle_worker_and_only_the_first_result_counts() -> None:
    scheduler = Scheduler(tasks(10, 10), copies=True)
    scheduler.assign("fast", 0)
    scheduler.assign("slow", 0)
    scheduler.done("fast", 10)

    assert scheduler.assign("fast", 11) is None  # not late yet
    copy = scheduler.assign("fast", 25)

    assert copy is not None
    assert scheduler.done("fast", 35) == (copy, True)
    assert scheduler.over
    assert scheduler.done("slow", 40) == (copy, False)


def test_machines_give_back_memory_and_others_have_no_bound() -> None:
    scheduler = Scheduler(tasks(9, 8, 7, 6, 5, memory=16), memory={"m": 32})

    assert [bool(scheduler.assign(worker, 0, "m")) for worker in "abc"] == [True, True, False]
    assert [bool(scheduler.assign(worker, 0, "n")) for worker in "de"] == [True, True]
    scheduler.done("a", 1)
    assert scheduler.busy
    assert scheduler.assign("c", 1, "m") is not None
    assert [scheduler.task_of(worker) is None for worker in "abcde"] == [True, False, False, False, False]


def test_of_many_videos_that_do_not_fit_only_some_are_passed_over() -> None:
    large = [Task(f"l{n}", f"l{n}", (), 100 + n, 40) for n in range(LOOKAHEAD)]
    small = Task("small", "s", (), 1, 1)
    for count, found in ((LOOKAHEAD - 1, small), (LOOKAHEAD, None)):
        scheduler = Scheduler([Task("first", "f", (), 1000, 20), *large[:count], small], memory={"m": 32})
        scheduler.assign("a", 0, "m")
        assert scheduler.assign("b", 0, "m") == found


def test_a_slow_worker_gets_what_it_finishes_before_the_rest_is_done() -> None:
    scheduler = Scheduler(tasks(30, 20, 11, 10, 4, 3, 2))
    assert [scheduler.assign(worker, 0).cost for worker in ("fast", "slow")] == [30, 20]  # type: ignore[union-attr]
    scheduler.done("fast", 30)
    scheduler.done("slow", 200)  # ten seconds for each unit of cost, the other one
    assert scheduler.assign("fast", 200).cost == 11  # type: ignore[union-attr]
    # What is left costs 19, at (30 + 200) / (30 + 20) seconds each, with one worker busy: 87.4 seconds.
    assert scheduler.assign("slow", 200).cost == 4  # type: ignore[union-attr]
    scheduler.done("slow", 240)
    scheduler.done("fast", 240)
    assert scheduler.assign("fast", 240).cost == 10  # type: ignore[union-attr]


def late(rate: float) -> Scheduler:
    """Three workers took two videos of cost 10 at this rate; the third began another at 0."""
    scheduler = Scheduler(tasks(10, 10, 10), copies=True)
    for worker in "abc":
        scheduler.assign(worker, 0)
    scheduler.done("a", 10 * rate)
    scheduler.done("b", 10 * rate)
    return scheduler


@pytest.mark.parametrize(("now", "copied"), [(39.9, False), (40, True)])
def test_a_video_is_late_after_twice_the_time_that_was_expected(now: float, copied: bool) -> None:
    scheduler = late(2.0)
    assert (scheduler.assign("a", now) is not None) == copied
    assert scheduler.assign("b", now) is None, "one helper is enough"


def test_a_worker_that_has_done_nothing_yet_helps_with_a_late_video() -> None:
    copied = late(2.0).assign("new", 40)
    assert copied is not None
    assert copied.cost == 10


def test_no_late_video_is_copied_while_the_queue_is_longer() -> None:
    scheduler = Scheduler(
        [*tasks(10, 10), *(Task(f"s{n}", f"s{n}", (), 9, 1) for n in range(9))], copies=True
    )
    for worker in "ab":
        scheduler.assign(worker, 0)
    scheduler.done("a", 10)
    costs = []
    while 10 not in costs:
        given = scheduler.assign("a", 100)
        assert given is not None
        costs.append(given.cost)
        if given.cost == 9:
            scheduler.done("a", 109)
    assert costs == [9] * 7 + [10], "two of them take less than twice the expected ten seconds"


@pytest.mark.parametrize(("seconds", "helps"), [(170, True), (190, False)])
def test_a_slow_worker_is_not_asked_to_help(seconds: float, helps: bool) -> None:
    scheduler = Scheduler(tasks(30, 10, 10, 10), copies=True)
    for worker in ("slow", "a", "b", "c"):
        scheduler.assign(worker, 0)
    scheduler.done("slow", seconds)
    scheduler.done("a", 10)
    scheduler.done("b", 10)
    # Its own rate is seconds / 30, that of all (seconds + 20) / 50: 1.5 times as long is 180 seconds.
    assert (scheduler.assign("slow", 1000) is not None) == helps


def test_a_video_that_two_are_at_fails_when_both_have_failed() -> None:
    scheduler = late(1.0)
    copy = scheduler.assign("a", 100)
    assert copy is not None
    assert scheduler.failed("c") == (copy, False)
    assert not scheduler.over
    assert scheduler.failed("a") == (copy, True)
    assert scheduler.over


def test_a_failure_behind_a_result_settles_nothing() -> None:
    scheduler = late(1.0)
    copy = scheduler.assign("a", 100)
    assert scheduler.done("a", 110) == (copy, True)
    assert scheduler.failed("c") == (copy, False)


def test_a_video_whose_copy_goes_on_is_not_queued_again() -> None:
    scheduler = late(1.0)
    copy = scheduler.assign("a", 100)
    assert not scheduler.lost("c")
    assert scheduler.assign("b", 100) is None
    assert not scheduler.lost("a")
    assert scheduler.assign("b", 101) == copy


def test_a_video_that_was_stopped_is_nobody_s() -> None:
    scheduler = Scheduler(tasks(2, 1), memory={"m": 1})
    scheduler.assign("a", 0, "m")
    assert scheduler.assign("b", 0, "m") is None
    scheduler.stopped("a")
    assert scheduler.task_of("a") is None
    assert not scheduler.busy
    assert scheduler.assign("b", 0, "m") is not None, "its memory is free"


class Cluster:
    """Made-up workers with their own speeds, of which some die for good, in made-up time."""

    def __init__(
        self, scheduler: Scheduler, ledger: Ledger, speeds: list[float], deaths: dict[str, float]
    ) -> None:
        self.scheduler, self.ledger = scheduler, ledger
        self.speed = {f"w{n}": speed for n, speed in enumerate(speeds)}
        self.deaths = deaths
        self.now = 0.0

    def run(self) -> float:
        """Time at which everything is done."""
        events: list[tuple[float, int, str, str]] = []
        number = 0
        for worker, when in self.deaths.items():
            events.append((when, -1, "dies", worker))
        heapq.heapify(events)
        dead: set[str] = set()
        idle = set(self.speed)
        while not self.scheduler.over:
            for worker in sorted(idle):
                task = self.scheduler.assign(worker, self.now)
                if task is None:
                    continue
                idle.discard(worker)
                self.ledger.begun(task.name, worker)
                number += 1
                heapq.heappush(events, (self.now + task.cost / self.speed[worker], number, "ends", worker))
            if self.scheduler.over:
                break
            self.now, _, what, worker = heapq.heappop(events)
            if worker in dead:
                continue
            if what == "dies":
                dead.add(worker)
                idle.discard(worker)
                held = self.scheduler.task_of(worker)
                if held is not None:
                    assert not self.scheduler.lost(worker)
                    self.ledger.waits(held.name)
                continue
            task, first = self.scheduler.done(worker, self.now)
            if first:
                self.ledger.done(task.name, worker, 1, 1.0, "digest")
            idle.add(worker)
        return self.now


@pytest.mark.parametrize(
    ("videos", "workers"), [(20_000, 100), pytest.param(100_000, 500, marks=pytest.mark.slow)]
)
def test_a_large_cluster_with_deaths_and_slow_workers_loses_nothing_and_wastes_little(
    tmp_path: Path, videos: int, workers: int
) -> None:
    rng = random.Random(7)
    made = [Task(f"v{n}", f"v{n}.mp4", (), rng.lognormvariate(3, 1), 1.0) for n in range(videos)]
    speeds = [rng.choice([1.0, 1.0, 1.0, 0.5, 0.1]) for _ in range(workers)]
    total = sum(task.cost for task in made)
    ideal = total / sum(speeds)
    dying = rng.sample(range(workers), workers // 50)
    deaths = {f"w{n}": rng.uniform(0.2, 0.8) * ideal for n in dying}
    power = sum(speeds) - sum(speeds[n] * (1 - deaths[f"w{n}"] / ideal) for n in dying)

    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.add(made)
        cluster = Cluster(Scheduler(ledger.queued(), copies=True), ledger, speeds, deaths)
        took = cluster.run()
        ledger.save()

        assert ledger.counts() == {"queued": 0, "running": 0, "done": videos, "failed": 0}
        assert len({row.name for row in ledger.rows("done")}) == videos
    assert total / power / took >= 0.95
