"""Threads that inherit context, and per-thread values."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


def context_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """Create a daemon thread that runs in a copy of the caller's context.

    It knows, for example, the camera that its maker works for.
    """
    return threading.Thread(target=copy_context().run, args=(work,), name=name, daemon=True)


class PerThread(Generic[Value]):
    """Creates a value per thread, such as an OpenCV object with its own buffers.

    Such objects are not thread-safe in OpenCV, which releases the lock of Python while they compute. A copy
    creates its own values.

    Args:
        make: makes the value; picklable where copies are pickled.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make, self._local = make, threading.local()

    def __call__(self) -> Value:
        """Value of this thread."""
        try:
            value: Value = self._local.value
        except AttributeError:
            value = self._local.value = self._make()
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return PerThread, (self._make,)
