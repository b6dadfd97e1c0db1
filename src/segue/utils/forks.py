"""Locks that a forked process does not inherit in a locked state."""

from __future__ import annotations

import os
import threading


class ForkSafeLock:
    """A reentrant lock per process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process, self._lock = os.getpid(), threading.RLock()

    def current(self) -> threading.RLock:
        """Lock of this process."""
        if self._process != os.getpid():
            self._begin()
        return self._lock
