"""Threads that belong to what started them: they know its context, such as the camera that they work for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context


def context_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """A daemon that is to be started, which runs in a copy of the context of its maker."""
    return threading.Thread(target=copy_context().run, args=(work,), name=name, daemon=True)
