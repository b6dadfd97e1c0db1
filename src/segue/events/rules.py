"""Rules that decide which objects and visits are reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from segue.errors import SegueError
from segue.events.table import UNKNOWN as UNKNOWN
from segue.events.table import Event
from segue.events.zones import Zone
from segue.types import Box
from segue.utils.arrays import BoolArray
from segue.video.sources.span import parse_duration

MIN_FRAMES = 3
"""Minimum number of frames with a large enough object; smaller values report noise."""

FEW_FPS = 8.0
"""Maximum frame rate at which an object counts from its first frame: the session has tracked it for two or
three frames by then, and fast objects appear on few."""

MIN_SMALL_FRAMES = 10
"""Minimum number of frames with a very small object, against flakes and drops. In SBI2015 and CDnet2014
they are three of nine false events, and no true one."""

_HEIGHT = re.compile(r"(?:(\d{1,6}(?:\.\d{1,6})?):)?(\d{1,6}(?:\.\d{1,6})?)")


@dataclass(frozen=True, slots=True)
class EventRules:
    """Rules for events.

    Attributes:
        min_seconds: minimum duration of an object in seconds before it is reported.
        loiter: seconds after which an object in a zone loiters, by the name of the zone.
        min_heights: row of the image, and the minimum height in pixels of an object with its lower edge
            there; two of them describe the perspective. Empty for any height.
        ignored: regions whose pixels are ignored.
        only: classes of objects that are reported, such as ``unknown``; empty for all.
        min_frames: number of frames with an object, large enough, before it is reported.
        min_small_frames: this number for very small objects.
    """

    min_seconds: float = 0.0
    loiter: Mapping[str, float] = field(default_factory=dict)
    min_heights: tuple[tuple[float, float], ...] = ()
    ignored: tuple[Zone, ...] = ()
    only: frozenset[str] = frozenset()
    min_frames: int = MIN_FRAMES
    min_small_frames: int = MIN_SMALL_FRAMES

    def at_rate(self, fps: float | None) -> EventRules:
        """Convert the rules to the frame rate of results.

        Args:
            fps: frames per second; None if unknown.

        Returns:
            Rules that report an object as soon as the session has tracked it, at low rates.
        """
        return replace(self, min_frames=1) if fps is not None and fps <= FEW_FPS else self

    @classmethod
    def parse(
        cls,
        min_seconds: float,
        loiter: Sequence[str],
        min_heights: Sequence[str],
        zones: Sequence[Zone],
        ignored: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> EventRules:
        """Parse rules in the format of the command line.

        Args:
            min_seconds: see :attr:`min_seconds`.
            loiter: as ``door=30s``, with names of zones.
            min_heights: as ``100:12``, row and pixels, twice; or ``20`` for all rows.
            zones: the existing zones.
            ignored: regions, written like zones.
            only: see :attr:`only`; also groups, such as ``vehicle``.

        Returns:
            The rules.

        Raises:
            SegueError: a text is invalid.
        """
        regions = {zone.name for zone in zones if not zone.is_line}
        seconds = {}
        for text in loiter:
            name, _, time = text.rpartition("=")
            if name.strip() not in regions:
                names = ", ".join(sorted(regions)) or "none is given"
                raise SegueError(f"--loiter {text}: write ZONE=30s with the name of a --zone ({names})")
            seconds[name.strip()] = parse_duration(time, "--loiter")
        heights = []
        for text in min_heights:
            match = _HEIGHT.fullmatch(text)
            if match is None or (match[1] is None and len(min_heights) > 1):
                raise SegueError(
                    f"--min-height {text}: write the pixels, such as 20, or ROW:PIXELS twice, such as 100:12 "
                    "and 460:60"
                )
            heights.append((float(match[1] or 0), float(match[2])))
        if len(heights) > 2 or len({row for row, _ in heights}) < len(heights):
            raise SegueError("--min-height: give the minimum height at one or two rows of the image")
        regions_ignored = tuple(Zone.parse(text) for text in ignored)
        for zone in regions_ignored:
            if zone.is_line:
                raise SegueError(f"--ignore {zone.name}: two points are a line; give the corners of a region")
        if len({zone.name for zone in regions_ignored}) < len(regions_ignored):
            raise SegueError("two regions that are ignored have one name; give each a name of its own")
        return cls(min_seconds, seconds, tuple(heights), regions_ignored, with_groups(only))

    def ignored_pixels(self, size: tuple[int, int]) -> BoolArray | None:
        """Mask of the ignored pixels of a frame.

        Args:
            size: height and width.

        Returns:
            (H, W), bool; None if no pixel is ignored.

        Raises:
            SegueError: a region lies outside the frame.
        """
        if not self.ignored:
            return None
        pixels = np.zeros(size, np.uint8)
        for zone in (zone.in_pixels(size) for zone in self.ignored):
            zone.check(size)
            cv2.fillPoly(pixels, [np.rint(zone.points).astype(np.int32)], 1)
        return pixels > 0

    def tall_enough(self, box: Box) -> bool:
        """Whether an object is tall enough for its position.

        Args:
            box: its box ``(x0, y0, x1, y1)`` in pixels.

        Returns:
            Whether it is.
        """
        if not self.min_heights:
            return True
        (row, min_height), (other_row, other_min_height) = self.min_heights[0], self.min_heights[-1]
        slope = (other_min_height - min_height) / (other_row - row) if other_row != row else 0.0
        return box[3] - box[1] >= min_height + slope * (box[3] - row)


GROUPS: Mapping[str, frozenset[str]] = {
    "vehicle": frozenset(
        ("bicycle", "car", "motorcycle", "motorbike", "airplane", "bus", "train", "truck", "boat")
    ),
    "animal": frozenset(
        ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
    ),
}
"""Names that stand for several classes."""


def with_groups(names: Iterable[str]) -> frozenset[str]:
    """Replace names of groups, such as ``vehicle``, by their classes."""
    return frozenset().union(*(GROUPS.get(name, frozenset((name,))) for name in names))


MAX_PENDING = 100
"""Maximum number of events of an object that are held back, including the first."""


class ClassFilter:
    """Holds events back until the class of their object is known, and drops other classes.

    Args:
        only: the classes; empty lets all pass.
    """

    def __init__(self, only: Collection[str] = ()) -> None:
        self.only = frozenset(only)
        self._admitted: set[int] = set()
        self._pending: dict[int, list[Event]] = {}

    @property
    def pending(self) -> tuple[int, ...]:
        """Objects whose events are held back."""
        return tuple(self._pending)

    def take(self, events: Iterable[Event], label_of: Callable[[int], str | None]) -> list[Event]:
        """Add events; returns those of objects whose class passes, including earlier ones.

        Args:
            events: in their order.
            label_of: returns the current class of an object.

        Returns:
            The events that pass.
        """
        passed = self._admit(label_of)
        for event in events:
            number = event.object
            passes = not (self.only and number) or number in self._admitted
            if not passes and not self._is_listed(event.label or label_of(number)):
                pending = self._pending.setdefault(number, [])
                pending.append(event)
                del pending[1 : len(pending) - MAX_PENDING]
            else:
                self._admitted.add(number)
                passed += [*self._pending.pop(number, ()), event]
            if event.event in ("leave", "end"):
                self._pending.pop(number, None)
                self._admitted.discard(number)
        return passed

    def admit(self, number: int) -> None:
        """Pass all events of an object from now on."""
        self._admitted.add(number)

    def _admit(self, label_of: Callable[[int], str | None]) -> list[Event]:
        """Events of objects whose class has just been found to pass."""
        if not self._pending:
            return []
        admitted = [number for number in self._pending if self._is_listed(label_of(number))]
        self._admitted.update(admitted)
        return [event for number in admitted for event in self._pending.pop(number)]

    def _is_listed(self, label: str | None) -> bool:
        return not self.only or (label or UNKNOWN) in self.only
