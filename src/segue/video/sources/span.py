"""Range of frames of a source: start, end and stride."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from segue.errors import SourceError
from segue.utils.inputs import whole_number

if TYPE_CHECKING:
    from segue.video.decoding.readers import SourceImage

Position = int | float
"""A place in a source: a frame index if it is an int, a time in seconds if it is a float."""

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(s|min|h)?")
_UNITS = {None: 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)s?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)")


def parse_position(value: int | float | str, argument: str = "position") -> Position:
    """Parse a frame index or a time.

    Args:
        value: an int or a string of digits is a frame index; a float, ``"12.5s"``, ``"12.5"``, ``"1:30"``
            or ``"1:02:03.5"`` is a time.
        argument: name to use in the message.

    Returns:
        An int, 0 or more, for a frame index; a float, 0 or more, for a time in seconds.

    Raises:
        SourceError: the value is negative or cannot be read.
    """
    if not isinstance(value, str):
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not is_number or not 0 <= value < float("inf"):
            raise SourceError(f"{argument} {value!r}: give a frame index or a time of 0 or more")
        return int(value) if isinstance(value, (int, np.integer)) else float(value)
    text = value.strip()
    if (number := whole_number(text, 2**53)) is not None:
        return number
    if len(text) < 32 and (match := _SECONDS.fullmatch(text)):
        return float(match[1])
    if len(text) < 32 and (match := _CLOCK.fullmatch(text)):
        return _clock_seconds(match)
    raise SourceError(f"{argument} {text!r}: write a frame index (250), seconds (12.5s) or a time (1:30)")


def parse_duration(value: float | str, argument: str = "duration") -> float:
    """Parse a duration in seconds."""
    seconds = 0.0
    if isinstance(value, str):
        text = value.strip()
        if len(text) < 32 and (match := _DURATION.fullmatch(text)):
            seconds = float(match[1]) * _UNITS[match[2]]
        elif len(text) < 32 and (match := _CLOCK.fullmatch(text)):
            seconds = _clock_seconds(match)
    elif not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise SourceError(
            f"{argument} {value!r}: write a time above 0, such as 90, 90s, 10min, 2h or 1:30:00"
        )
    return seconds


def _clock_seconds(match: re.Match[str]) -> float:
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600.0 + int(minutes) * 60.0 + float(seconds)


@dataclass(frozen=True, slots=True)
class Span:
    """Frames from ``start`` up to, but without, ``end``, at a stride, for at most ``duration`` seconds.

    The duration counts from the first frame that is taken. ``until`` is a time at which the frames end at the
    latest, regardless of ``end``.
    """

    start: Position = 0
    end: Position | None = None
    stride: int = 1
    duration: float | None = None
    until: float | None = None

    @classmethod
    def of(
        cls,
        start: int | float | str | None,
        end: int | float | str | None,
        stride: int,
        duration: float | str | None = None,
    ) -> Span:
        """Validate the limits of :func:`segue.open_source`."""
        first = parse_position(0 if start is None else start, "start")
        last = None if end is None else parse_position(end, "end")
        if isinstance(stride, bool) or not isinstance(stride, (int, np.integer)) or stride < 1:
            raise SourceError(f"stride {stride!r}: give a whole number of 1 or more")
        if last is not None and type(first) is type(last) and last <= first:
            raise SourceError(f"end {end} is not after start {start}")
        if last == 0:
            raise SourceError(f"end {end} leaves no frame")
        return cls(first, last, int(stride), None if duration is None else parse_duration(duration))

    def select(self, images: Iterable[SourceImage]) -> Iterator[SourceImage]:
        """Select images of the span; reads none beyond the last one."""
        starts_at_time, ends_at_time = isinstance(self.start, float), isinstance(self.end, float)
        end = math.inf if self.end is None else self.end
        until = math.inf if self.until is None else self.until
        count = 0
        for image in images:
            if (image.time if ends_at_time else image.index) >= end or image.time >= until:
                return
            if (image.time if starts_at_time else image.index) < self.start:
                continue
            if count == 0 and self.duration is not None:
                until = min(until, image.time + self.duration)
            if count % self.stride == 0:
                yield image
            count += 1
            if not ends_at_time and image.index + 1 >= end:
                return

    def count(self, total: int | None, fps: float | None) -> int | None:
        """Expected number of frames in the span; None if unknown."""
        first = _as_index(self.start, fps)
        last = total if self.end is None else _as_index(self.end, fps)
        if first is None or last is None:
            return None
        last = last if total is None else min(last, total)
        if self.duration is not None and fps is not None:
            last = min(last, first + -int(-self.duration * fps // 1))
        return max(0, -(-(last - first) // self.stride))


def chunks_reversed(start: int, stop: int, count: int, stride: int = 1) -> Iterator[tuple[int, int]]:
    """Bounds of chunks of at most ``count`` frames, from ``start`` down to ``stop``."""
    for high in range(start, stop - 1, -count * stride):
        yield max(high - (count - 1) * stride, stop), high


def _as_index(position: Position, fps: float | None) -> int | None:
    if isinstance(position, int):
        return position
    return None if fps is None else -int(-position * fps // 1)


class _Timed(Protocol):
    """A frame or image with its time in seconds."""

    @property
    def time(self) -> float:
        """Seconds since the beginning of the source."""


_TimedT = TypeVar("_TimedT", bound=_Timed)


def at_rate(frames: Iterable[_TimedT], fps: float) -> Iterator[_TimedT]:
    """Select the frames needed for ``fps`` frames/s, by time stamp."""
    next_time, previous_time = -math.inf, -math.inf
    for frame in frames:
        if frame.time < previous_time:  # the clock has been set back, as by a camera that starts anew
            next_time = frame.time
        previous_time = frame.time
        if frame.time + 1e-6 >= next_time:
            yield frame
            next_time = next_time + 1 / fps if next_time + 1 / fps > frame.time else frame.time + 1 / fps
