"""Read ahead of a consumer in a thread of lower priority."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from segue.errors import SourceError
from segue.utils.cancel import LOOK_SECONDS, CancelToken
from segue.utils.system import lower_thread_priority
from segue.utils.threads import context_thread
from segue.video.decoding.decode import OF_PARENT

Item = TypeVar("Item")

CLOSE_SECONDS = 1.0
"""Seconds to wait for the end of a thread that may block in a camera."""


class Prefetcher(Generic[Item]):
    """Iterator over ``items`` that takes them in a thread, at most ``depth`` ahead.

    :meth:`close` stops the thread: at once if it waits for room, otherwise when ``items`` returns;
    ``on_close`` makes it return. ``dropped`` counts the dropped items.
    """

    def __init__(
        self,
        items: Callable[[], Iterator[Item]],
        depth: int,
        on_close: Callable[[], None] = lambda: None,
        stopped: CancelToken | None = None,
        drops: Callable[[], bool] | None = None,
    ) -> None:
        self._items = items
        self._depth = depth
        self._on_close = on_close
        self._stopped = stopped or CancelToken()
        self._drops = drops
        self.dropped = 0
        self._process = os.getpid()
        self._ready: deque[Item] = deque()
        self._error: BaseException | None = None
        self._finished = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = context_thread(self._work, "segue-prefetch")
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if os.getpid() != self._process:
            raise SourceError(OF_PARENT)
        with self._changed:
            # In slices: a signal handler may stop it, and takes no lock to wake this up.
            while not (self._ready or self._finished or self._closed or self._stopped.cancelled):
                self._changed.wait(LOOK_SECONDS)
            if self._stopped.cancelled:
                raise StopIteration
            if self._ready and not self._closed:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        try:
            if error is not None and not self._closed:
                raise error
        finally:
            del error  # else it would keep itself, and with its traceback all that its user has opened
        raise StopIteration

    def close(self) -> None:
        """Stop the thread and wait a while for its end (a camera may hold it longer)."""
        if os.getpid() != self._process:  # a fork has no such thread, which may have held the lock
            return
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._on_close()
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        lower_thread_priority()
        try:
            for item in self._items():
                with self._changed:
                    while len(self._ready) >= self._depth and not self._closed:
                        if self._drops is not None and self._drops():
                            self._ready.popleft()
                            self.dropped += 1
                        else:
                            self._changed.wait()
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error  # the consumer gets it, whatever it is
        finally:
            with self._changed:
                self._finished = True
                self._changed.notify_all()
