"""Sequences scored side by side in processes, with progress and a quick end on Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import TypeVar

import cv2

from segue.errors import SegueError

Progress = Callable[[int, int, str], None]
"""Called after each sequence with the number done, the number of all and the name of this one."""

_Task = TypeVar("_Task")
_Score = TypeVar("_Score")


def map_sequences(
    score: Callable[[_Task], _Score],
    tasks: Sequence[tuple[str, _Task]],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[_Score]:
    """Apply ``score`` to the task of each sequence.

    Args:
        score: a function of a module, so that other processes find it.
        tasks: names of the sequences and what to score; sent to other processes.
        workers: processes; up to 1 scores in this process.
        progress: see :data:`Progress`; called in this process.

    Returns:
        The scores in the order of the tasks.

    Raises:
        SegueError: what ``score`` raises first, or a process died.
    """
    if min(workers, len(tasks)) > 1:
        return _map_in_processes(score, tasks, workers, progress)
    scores = []
    for name, task in tasks:
        scores.append(score(task))
        if progress is not None:
            progress(len(scores), len(tasks), name)
    return scores


def _map_in_processes(
    score: Callable[[_Task], _Score],
    tasks: Sequence[tuple[str, _Task]],
    workers: int,
    progress: Progress | None,
) -> list[_Score]:
    others = set(active_children())
    pool = ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), _begin_worker)
    try:
        with _interrupts_held():
            futures = {pool.submit(score, task): name for name, task in tasks}
        for done, future in enumerate(as_completed(futures), start=1):
            _raise_first_error(future)
            if progress is not None:
                progress(done, len(tasks), futures[future])
        return [future.result() for future in futures]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - others:
            process.terminate()  # a long sequence would keep the program from ending
        raise
    finally:
        pool.shutdown()


def _raise_first_error(future: Future[_Score]) -> None:
    try:
        future.result()
    except BrokenProcessPool as error:
        raise SegueError(
            "a process that scored sequences died, perhaps for lack of memory; use fewer workers"
        ) from error


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep SIGINT from processes that start here until :func:`_begin_worker`, where the system knows how."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    """End on Ctrl-C without a traceback, for the parent tells the user; leave the other cores to others."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    cv2.setNumThreads(1)
