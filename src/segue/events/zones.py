"""Zones and lines in the image, and geometry of points relative to them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import cv2
import numpy as np

from segue.errors import SegueError
from segue.types import Point
from segue.utils.notices import warn_caller

_NUMBER = r"-?(?:\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})%?"
_JOINERS = {0x200C: None, 0x200D: None}  # invisible, but parts of words in some scripts
_PARTS = 512  # of a side of a zone, by which its area is measured
_ZONE = re.compile(rf"([^=\s][^=]{{0,99}})=\s*({_NUMBER},{_NUMBER}(?:[\s;]+{_NUMBER},{_NUMBER}){{1,99}})\s*")


class ZoneWarning(UserWarning):
    """A part of a zone lies outside the image; the message names the zone and the part."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A named polygon, or with two points a line that can be crossed in two directions.

    Attributes:
        name: the name in events.
        points: corners ``(x, y)`` in order, in pixels of the source, or in percent of its width and height.
        percent: whether the points are in percent.
    """

    name: str
    points: tuple[Point, ...]
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Zone:
        """Parse a zone in the format of ``--zone``.

        Args:
            text: a name and at least two points, ``door=10,20 100,20 100,90``: in pixels, in percent
                (``5%,10%``), or all in fractions from 0 to 1.

        Returns:
            The zone.

        Raises:
            SegueError: the text is not a valid zone.
        """
        match = _ZONE.fullmatch(text)
        if match is None:
            raise SegueError(
                f"zone {text[:60]!r}: write a name and points, such as door=10,20 100,20 100,90; "
                "two points are a line"
            )
        name = match[1].strip()
        if ";" in name or not name.translate(_JOINERS).isprintable():
            raise SegueError(
                f"zone {name!r}: its name goes into tables, where ; stands between two names; leave it and "
                "characters that cannot be printed out"
            )
        pairs = (pair.split(",") for pair in re.split(r"[\s;]+", match[2].strip()))
        points = tuple((float(x.rstrip("%")), float(y.rstrip("%"))) for x, y in pairs)
        percent = match[2].count("%")
        if percent not in (0, 2 * len(points)):
            raise SegueError(f"zone {name}: give all numbers in pixels, or all in percent")
        if not percent and all(0 <= value <= 1 for point in points for value in point):
            points = tuple((round(100 * x, 6), round(100 * y, 6)) for x, y in points)
            percent = 2 * len(points)
        if len(set(points)) < 2:
            raise SegueError(f"zone {name}: its points are all the same")
        zone = cls(name, points, bool(percent))
        if not zone.is_line and np.linalg.matrix_rank(np.subtract(points, points[0])) < 2:
            raise SegueError(
                f"zone {name}: its {len(points)} corners lie on one line and enclose nothing; give two "
                "points for a line that is crossed"
            )
        return zone

    @property
    def is_line(self) -> bool:
        """Whether it is a line rather than a polygon."""
        return len(self.points) == 2

    def in_pixels(self, size: tuple[int, int]) -> Zone:
        """Convert the zone to pixels.

        Args:
            size: height and width of the frame.

        Returns:
            The zone in pixels; the same one if it is in pixels already.
        """
        if not self.percent:
            return self
        height, width = size
        return Zone(self.name, tuple((x * width / 100, y * height / 100) for x, y in self.points))

    def check(self, size: tuple[int, int]) -> None:
        """Check that the zone, in pixels, lies in the frame; warn if part of it does not.

        Args:
            size: height and width of the frame.

        Raises:
            SegueError: the whole zone lies outside.
        """
        plane = np.zeros(size, np.uint8)
        cv2.fillPoly(plane, [np.rint(self.points).astype(np.int32)], 1)
        if not plane.any():
            (left, top), (right, down) = (edge(self.points, axis=0) for edge in (np.min, np.max))
            raise SegueError(
                f"zone {self.name}: lies outside the image of {size[1]}x{size[0]}: its x are {left:g} to "
                f"{right:g}, its y {top:g} to {down:g}"
            )
        outside = round(100 * self.share_outside(size))
        if outside:
            warn_caller(
                f"zone {self.name}: {outside} % of it lie outside the image of {size[1]}x{size[0]}, where "
                "nobody is seen",
                ZoneWarning,
            )

    def share_outside(self, size: tuple[int, int]) -> float:
        """Compute the share of the area, or of the length of a line, that lies outside the frame.

        Args:
            size: height and width of the frame.

        Returns:
            The share in [0, 1].
        """
        corners = np.array(self.points)
        if self.is_line:
            places = corners[0] + np.linspace(0, 1, _PARTS)[:, None] * (corners[1] - corners[0])
        else:
            low, extent = corners.min(axis=0), np.ptp(corners, axis=0)
            plane = np.zeros((_PARTS, _PARTS), np.uint8)
            cv2.fillPoly(plane, [np.rint((corners - low) * (_PARTS - 1) / extent).astype(np.int32)], 1)
            places = low + np.argwhere(plane.T) * extent / (_PARTS - 1)
        return float(((places < 0) | (places > size[::-1])).any(axis=1).mean())

    def contains(self, point: Point) -> bool:
        """Whether a point lies in the polygon or on its border.

        Args:
            point: (x, y) in pixels.

        Returns:
            True if it does; False for lines.
        """
        corners = np.array(self.points, np.float32)
        return not self.is_line and cv2.pointPolygonTest(corners, point, False) >= 0

    def side(self, point: Point) -> float:
        """Compute the signed distance of a point from the line.

        Args:
            point: (x, y) in pixels.

        Returns:
            Pixels; positive on the right of the line's direction.
        """
        (ax, ay), (bx, by) = self.points[:2]
        return ((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)) / math.hypot(bx - ax, by - ay)

    def crossed(self, previous: Point, now: Point) -> bool:
        """Whether a movement crosses the line between its ends.

        Args:
            previous: (x, y) before, in pixels.
            now: (x, y) after.

        Returns:
            True if the segment between both points crosses the line.
        """
        one, other = self.side(previous), self.side(now)
        if (one > 0) == (other > 0):
            return False
        share = one / (one - other)
        x, y = (a + share * (b - a) for a, b in zip(previous, now, strict=True))
        (ax, ay), (bx, by) = self.points[:2]
        along = (x - ax) * (bx - ax) + (y - ay) * (by - ay)
        return 0 <= along <= (bx - ax) ** 2 + (by - ay) ** 2
