"""Threads with which cameras share networks and CPU cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cv2
import torch

from segue.inference.threads import set_process_threads
from segue.utils.allocation import share_heap
from segue.utils.system import num_cores, set_opencv_threads


class NetworkPool(Executor):
    """Thread pool in which cameras share networks and CPU cores.

    Args:
        cameras: their number.
    """

    def __init__(self, cameras: int) -> None:
        self._threads = self._pool_of(cameras)

    @staticmethod
    def _pool_of(cameras: int) -> ThreadPoolExecutor:
        cores = num_cores()
        return ThreadPoolExecutor(cores // _threads_each(cores, cameras), thread_name_prefix="segue-network")

    @property
    def size(self) -> int:
        """Maximum number of threads."""
        return self._threads._max_workers

    def resize(self, cameras: int) -> None:
        """Adapt to the number of cameras; running work is finished."""
        new = self._pool_of(max(1, cameras))
        if new._max_workers != self.size:
            threads = _threads_each(num_cores(), max(1, cameras))
            torch.set_num_threads(threads)  # of threads that begin now
            set_opencv_threads(threads)
            previous, self._threads = self._threads, new
            previous.shutdown(wait=False)

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        while True:
            threads = self._threads
            try:
                return threads.submit(call, *arguments, **keywords)
            except RuntimeError:  # it was replaced just now
                if threads is self._threads:
                    raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)


def network_pool(cameras: int) -> NetworkPool:
    """Create a thread pool for a number of cameras."""
    return NetworkPool(cameras)


_LOCK = threading.Lock()
_PREVIOUS_THREADS = list[tuple[int, int]]()
"""Numbers of threads of PyTorch and OpenCV before each :func:`sharing_cores` that has not ended."""


@contextmanager
def sharing_cores(cameras: int) -> Iterator[None]:
    """Limit threads that begin inside to the share of CPU cores of one camera.

    This sets the number of threads of PyTorch in the calling thread and in those that begin, and that of
    OpenCV in the process; both are restored when the last one of several has ended. All threads of the
    process share one heap from now on.
    """
    threads = _threads_each(num_cores(), cameras)
    with _LOCK:
        _PREVIOUS_THREADS.append((torch.get_num_threads(), cv2.getNumThreads()))
        set_process_threads(threads)
        set_opencv_threads(threads)
    share_heap()
    try:
        yield
    finally:
        with _LOCK:
            previous_threads, opencv = (
                _PREVIOUS_THREADS.pop()
            )  # the first entry comes last, in whatever order they end
            set_process_threads(previous_threads)
            set_opencv_threads(opencv)


def _threads_each(cores: int, cameras: int) -> int:
    return max(1, cores // cameras)
