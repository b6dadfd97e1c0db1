"""Hours and days during which a receiver gets events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from segue.errors import SinkError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ARMED = "armed"
"""Text of a schedule whose events count only while the camera is armed."""

_DAY = "|".join(DAYS)
_TIME = r"([01]?\d|2[0-4]):([0-5]\d)"
_SPAN = re.compile(rf"(?:({_DAY})(?:-({_DAY}))?)?(?:(?:^|\s+){_TIME}-{_TIME})?")


@dataclass(frozen=True, slots=True)
class Span:
    """Hours of some weekdays; a span that ends before it starts ends on the next day.

    Attributes:
        days: numbers of the days on which it starts, 0 for Monday.
        start, end: minutes of the day.
    """

    days: frozenset[int]
    start: int
    end: int

    def contains(self, moment: datetime) -> bool:
        """Whether a moment lies in the span, by its local time of day."""
        day, minute = moment.weekday(), 60 * moment.hour + moment.minute
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or (
            (day - 1) % 7 in self.days and minute < self.end
        )


@cache
def parse_span(text: str) -> Span:
    """Parse a span.

    Args:
        text: such as ``mon-fri 22:00-06:00``, ``sat`` or ``8:00-20:00``.

    Returns:
        The span.

    Raises:
        SinkError: it is none.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or not text.strip():
        raise SinkError(
            f"notify: when={text}: write days, hours or both, such as mon-fri 22:00-06:00, sat, or {ARMED}"
        )
    first, last, *clock = match.groups()
    days = frozenset(range(7))
    if first is not None:
        begin = DAYS.index(first)
        length = (DAYS.index(last or first) - begin) % 7
        days = frozenset((begin + step) % 7 for step in range(length + 1))
    if clock[0] is None:
        return Span(days, 0, 24 * 60)
    start, end = (60 * int(clock[place]) + int(clock[place + 1]) for place in (0, 2))
    if max(start, end) > 24 * 60 or start == end:
        raise SinkError(f"notify: when={text}: there are no such hours")
    return Span(days, start, end)


def is_due(schedule: tuple[str, ...], at: str) -> bool:
    """Whether a moment lies in one of the spans; always without spans or without a time of day.

    Args:
        schedule: texts of spans, and ``armed``, which counts elsewhere.
        at: date and time of day, as ISO 8601; its own zone counts.

    Returns:
        Whether it is.
    """
    spans = [parse_span(text) for text in schedule if text != ARMED]
    if not spans or not at:
        return True
    moment = datetime.fromisoformat(at)
    return any(span.contains(moment) for span in spans)
