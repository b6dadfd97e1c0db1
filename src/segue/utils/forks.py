"""Locks that a fork does not inherit: the thread that held one does not exist there."""

from __future__ import annotations

import os
import threading


class ForkSafeLock:
    """A reentrant lock for each process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process, self._lock = os.getpid(), threading.RLock()

    def current(self) -> threading.RLock:
        """The lock of this process."""
        if self._process != os.getpid():
            self._begin()
        return self._lock
