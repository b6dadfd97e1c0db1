"""One way for a test to wait for what another thread or process does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Value = TypeVar("Value")

SECONDS = 60.0
"""Longer than anything takes on a busy machine; it passes only where a test fails."""


def wait_for(
    asked: Callable[[], Value],
    seconds: float = SECONDS,
    told: Callable[[], object] = lambda: "",
    pause: float = 0.05,
) -> Value:
    """Ask again and again until the answer is true, and give it.

    Args:
        asked: what is asked.
        seconds: after which the test fails.
        told: what the failure says.
        pause: seconds between two questions, at most.
    """
    for _ in _turns(seconds, pause):
        if answer := asked():
            return answer
    raise AssertionError(f"it did not become true in {seconds:g} s: {told()}")


def exit_code(child: int, seconds: float) -> int | None:
    """Exit code of a child process that ends within some seconds, negative for a signal; else None."""
    for _ in _turns(seconds):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
    return None


def _turns(seconds: float, longest: float = 0.05) -> Iterator[None]:
    """Turns with pauses that grow; the last one is when the seconds have passed."""
    end, pause = time.monotonic() + seconds, 0.002
    yield
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(2 * pause, longest)
        yield
