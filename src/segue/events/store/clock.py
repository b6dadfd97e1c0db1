"""Time of day for the age of images, robust to a wrong clock of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

MAX_STEP = 3600.0
"""Maximum accepted jump of the clock while a process runs, in seconds."""

MAX_PAUSE = 7 * 86400.0
"""Maximum accepted seconds between two processes."""

TRUST_SECONDS = 86400.0
"""Seconds after which a doubted clock is accepted."""


class StoreClock:
    """Steady clock; a jump of the machine's clock is accepted only if it persists for a day.

    A clock that shows 2036 for a minute ages no files.

    Args:
        stored: :meth:`state` of an earlier process.
        wall: clock of the machine, in seconds since the epoch.
        elapsed: monotonic clock, in seconds.
    """

    def __init__(
        self,
        stored: Mapping[str, str] | None = None,
        wall: Callable[[], float] = lambda: time.time(),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._elapsed = wall, elapsed
        now, last = wall(), _number((stored or {}).get("clock_now"))
        self._doubted: float | None = None  # since when
        start = now if last is None or -MAX_STEP <= now - last <= MAX_PAUSE else last
        self._offset = start - elapsed()
        self.now()

    def now(self) -> float:
        """Current time in seconds since the epoch."""
        wall, elapsed = self._wall(), self._elapsed()
        if abs(wall - elapsed - self._offset) <= MAX_STEP:
            self._offset, self._doubted = wall - elapsed, None
        elif self._doubted is None:
            self._doubted = elapsed
        elif elapsed - self._doubted > TRUST_SECONDS:
            self._offset, self._doubted = wall - elapsed, None
        return self._offset + elapsed

    @property
    def problem(self) -> str:
        """Message about an implausible clock; empty if there is none."""
        self.now()
        if self._doubted is None:
            return ""
        hours = (self._wall() - self._elapsed() - self._offset) / 3600
        return (
            f"the clock was set by {hours:+.0f} hours: until it is right again, or says so for a day, images "
            "become older as if it was not"
        )

    def state(self) -> dict[str, str]:
        """State for a later process."""
        return {"clock_now": repr(self.now())}


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
