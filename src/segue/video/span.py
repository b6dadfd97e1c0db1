"""Which part of a source is wanted: start, end, stride, written as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from segue.errors import SourceError
from segue.inputs import whole_number

Position = int | float
"""A place in a source: a frame index if it is an int, a time in seconds if it is a float."""

_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)s?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)")


def parse_position(value: int | float | str, argument: str = "position") -> Position:
    """Read a frame index or a time.

    Args:
        value: an int or a string of digits is a frame index; a float, ``"12.5s"``, ``"12.5"``, ``"1:30"``
            or ``"1:02:03.5"`` is a time.
        argument: name to use in the message.

    Raises:
        SourceError: the value is negative or cannot be read.
    """
    if isinstance(value, str):
        return _parse_text(value.strip(), argument)
    if isinstance(value, bool) or not value >= 0 or value == float("inf"):
        raise SourceError(f"{argument} {value!r}: give a frame index or a time of 0 or more")
    return value


def _parse_text(text: str, argument: str) -> Position:
    if (number := whole_number(text, 2**53)) is not None:
        return number
    if len(text) < 32 and (match := _SECONDS.fullmatch(text)):
        return float(match[1])
    if len(text) < 32 and (match := _CLOCK.fullmatch(text)):
        hours, minutes, seconds = match.groups()
        return int(hours or 0) * 3600.0 + int(minutes) * 60.0 + float(seconds)
    raise SourceError(f"{argument} {text!r}: write a frame index (250), seconds (12.5s) or a time (1:30)")


@dataclass(frozen=True, slots=True)
class Span:
    """Frames from ``start`` up to but without ``end``, every ``stride``-th of them."""

    start: Position = 0
    end: Position | None = None
    stride: int = 1

    @classmethod
    def of(cls, start: int | float | str | None, end: int | float | str | None, stride: int) -> Span:
        """Check and read what a caller gave.

        Raises:
            SourceError: a value cannot be read, the stride is below 1, or the end is not after the start.
        """
        first = parse_position(0 if start is None else start, "start")
        last = None if end is None else parse_position(end, "end")
        if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
            raise SourceError(f"stride {stride!r}: give a whole number of 1 or more")
        if last is not None and type(first) is type(last) and last <= first:
            raise SourceError(f"end {end} is not after start {start}")
        if last == 0:
            raise SourceError(f"end {end} leaves no frame")
        return cls(first, last, stride)

    def is_before(self, index: int, time: float) -> bool:
        """Whether a frame lies before the start."""
        return (time if isinstance(self.start, float) else index) < self.start

    def is_past(self, index: int, time: float) -> bool:
        """Whether a frame lies at or after the end."""
        if self.end is None:
            return False
        return (time if isinstance(self.end, float) else index) >= self.end

    def is_last(self, index: int) -> bool:
        """Whether no frame after this index can be wanted, so that nobody waits for one."""
        return isinstance(self.end, int) and index + 1 >= self.end

    def count(self, total: int | None, fps: float | None) -> int | None:
        """Expected number of frames of a source of ``total`` frames, or None if it cannot be told."""
        first = _as_index(self.start, fps)
        last = total if self.end is None else _as_index(self.end, fps)
        if first is None or last is None:
            return None
        last = last if total is None else min(last, total)
        return max(0, -(-(last - first) // self.stride))


def _as_index(position: Position, fps: float | None) -> int | None:
    if isinstance(position, int):
        return position
    return None if fps is None else -int(-position * fps // 1)
