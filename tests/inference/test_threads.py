"""A network leaves cores that other programs use to them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from segue.inference.threads import (
    OtherProcessLoad,
    limit_threads_to_idle_cores,
    own_threads,
    run_each,
    set_own_threads,
)

CORES = os.cpu_count() or 1


class Machine:
    """A machine on which this process and others use cores."""

    def __init__(self, others: float, own: float = 1.0) -> None:
        self.others, self.own, self.time, self.busy = others, own, 0.0, 0.0

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds
        self.busy += seconds * (self.others + self.own)

    def load(self) -> OtherProcessLoad:
        return OtherProcessLoad(lambda: self.busy, lambda: self.time * self.own, lambda: self.time)


def test_the_load_of_others_is_known_shortly_after_the_start_and_measured_anew_each_second() -> None:
    machine = Machine(others=1.0)
    load = machine.load()
    assert load.cores() == 0
    machine.run(0.3)
    assert load.cores() == pytest.approx(1.0)
    machine.others = 0.0
    machine.run(0.5)
    assert load.cores() == pytest.approx(1.0)
    machine.run(0.5)
    assert load.cores() == pytest.approx(0.0)


def test_a_system_that_tells_nothing_counts_as_idle() -> None:
    machine = Machine(others=1.0)
    load = OtherProcessLoad(lambda: None, lambda: 0.0, lambda: machine.time)
    machine.run(5)
    assert load.cores() == 0


@pytest.mark.parametrize(("others", "expected"), [(0.0, CORES), (CORES - 1.0, 1), (2.0 * CORES, 1)])
def test_threads_are_as_many_as_free_cores_and_the_number_of_the_caller_comes_back(
    others: float, expected: int
) -> None:
    machine, before = Machine(others), torch.get_num_threads()
    load = machine.load()
    machine.run(1)
    try:
        torch.set_num_threads(CORES)
        with limit_threads_to_idle_cores(load):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == CORES
        with pytest.raises(KeyError), limit_threads_to_idle_cores(load):
            raise KeyError
        assert torch.get_num_threads() == CORES
    finally:
        torch.set_num_threads(before)


def test_a_thread_that_begins_meanwhile_has_the_number_of_the_process() -> None:
    machine, before = Machine(others=2.0), torch.get_num_threads()
    load, found = machine.load(), list[int]()
    machine.run(1)
    try:
        torch.set_num_threads(2)
        with limit_threads_to_idle_cores(load):
            assert torch.get_num_threads() == 1
            other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
            other.start()
            other.join()
    finally:
        torch.set_num_threads(before)
    assert found == [2]


def test_a_thread_with_a_number_of_its_own_leaves_that_of_the_process_as_it_is() -> None:
    before = torch.get_num_threads()

    def of_new_thread() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    def work() -> tuple[int, int, int]:
        set_own_threads(2)
        with own_threads(1):
            inside = of_new_thread()
        return inside, of_new_thread(), torch.get_num_threads()

    try:
        torch.set_num_threads(3)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(work).result() == (3, 3, 2)
        assert (of_new_thread(), torch.get_num_threads()) == (3, 3)
    finally:
        torch.set_num_threads(before)


def test_more_threads_than_the_caller_wants_are_never_taken() -> None:
    machine, before = Machine(0.0), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with limit_threads_to_idle_cores(machine.load()):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


FORK = """
import multiprocessing
import torch
from segue.inference.threads import limit_threads_to_idle_cores

def work(_: int) -> float:
    with limit_threads_to_idle_cores():
        ones = torch.ones(2000, 2000)
        return float(ones.exp().mean() + (ones[:500] @ ones[:, :500]).mean())

torch.set_num_threads(2)
here = work(0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.apply_async(work, (0,)).get(40) == here
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on Linux and macOS alone")
def test_a_process_that_forks_after_its_threads_have_worked_does_not_wait_for_ever() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", FORK], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_items_are_shared_by_threads_that_have_one_thread_of_pytorch_each() -> None:
    together = threading.Barrier(2)
    seen: list[tuple[int, int, bool, int]] = []

    def work(item: int) -> None:
        if item < 2:
            together.wait(60)  # on two threads at once
        seen.append((item, torch.get_num_threads(), torch.is_inference_mode_enabled(), threading.get_ident()))

    with own_threads(2):
        run_each(work, range(9))
        assert torch.get_num_threads() == 2
    assert sorted(item for item, *_ in seen) == [*range(9)]
    assert {each[1:3] for each in seen} == {(1, True)}
    assert len({thread for *_, thread in seen}) == 2


def test_an_error_in_one_of_several_threads_reaches_the_caller() -> None:
    def work(item: int) -> None:
        if item == 3:
            raise IndexError(item)

    with own_threads(2), pytest.raises(IndexError, match="3"):
        run_each(work, range(9))
    alone: list[int] = []
    with own_threads(1):
        run_each(alone.append, range(3))
    assert alone == [0, 1, 2]
