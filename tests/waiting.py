"""One way for a test to wait for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

SECONDS = 60.0
"""Longer than anything takes on a busy machine; it passes only where a test fails."""


def wait_for(
    asked: Callable[[], Value], seconds: float = SECONDS, told: Callable[[], object] = lambda: ""
) -> Value:
    """Ask again and again until the answer is true, and give it.

    Args:
        asked: what is asked.
        seconds: after which the test fails.
        told: what the failure says.
    """
    end, pause = time.monotonic() + seconds, 0.002
    while not (answer := asked()):
        assert time.monotonic() < end, f"it did not become true in {seconds:g} s: {told()}"
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return answer
