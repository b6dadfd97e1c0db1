"""Keep the largest view of each object, and its label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from segue.types import Box, Frame, Image

SURROUNDINGS = 8.0
"""Side of a view in longer sides of the object's box; detectors need the surroundings."""

MAX_SIDE = 1280
"""Longer side in pixels to which a view is reduced, for the detector's time."""

MIN_SIDE = 64.0
"""Smallest side of a view in pixels."""

CUT_OFF = 0.5
"""Weight of the area of an object at the image border, which may be partly outside."""

GAIN = 1.2
"""Factor by which a view must grow before the object is classified again; smaller values cost time."""

BETTER = 1.5
"""Factor by which a later view must show more to replace the image of an entry or a message."""


def view_score(box: Box, area: float, size: tuple[int, int]) -> float:
    """Rate how much a view shows of an object, by its area in an image of this size."""
    (height, width), (x0, y0, x1, y1) = size, box
    inside = x0 > 0 and y0 > 0 and x1 < width and y1 < height
    return area * (1.0 if inside else CUT_OFF)


Name = Callable[[Image, Box], tuple[str, float] | None]
"""Classifies a box of an image: label and score, or None."""


@dataclass(slots=True)
class _View:
    """Best view of an object so far, and the label found in it or in earlier ones."""

    score: float
    image: Image
    box: Box
    looked_at: float = 0.0
    name: tuple[str, float] | None = None


class BestViews:
    """Keeps the largest view of each object and labels it by ``name``, at most once per :meth:`name`."""

    def __init__(self, name: Name) -> None:
        self._name = name
        self._views: dict[int, _View] = {}

    def update(self, frame: Frame, number: int, box: Box, area: int, size: tuple[int, int]) -> None:
        """Compare the view of an object in this frame with the best one so far."""
        (height, width), (x0, y0, x1, y1) = size, box
        score = view_score(box, area, size)
        previous = self._views.get(number)
        if previous is not None and score <= previous.score:
            return
        down, across = frame.size[0] / height, frame.size[1] / width
        x0, y0, x1, y1 = x0 * across, y0 * down, x1 * across, y1 * down
        half = max(SURROUNDINGS * max(x1 - x0, y1 - y0), MIN_SIDE) / 2
        left, right = _part((x0 + x1) / 2, half, frame.size[1])
        top, bottom = _part((y0 + y1) / 2, half, frame.size[0])
        scale = min(1.0, MAX_SIDE / max(right - left, bottom - top))
        size_of_view = round((right - left) * scale), round((bottom - top) * scale)
        image = cv2.resize(
            frame.image[top:bottom, left:right], size_of_view, interpolation=cv2.INTER_AREA
        )  # also a copy
        x0, y0, x1, y1 = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
        view = _View(score, np.asarray(image, np.uint8), (x0, y0, x1, y1))
        if previous is not None:
            view.looked_at, view.name = previous.looked_at, previous.name
        self._views[number] = view

    def resume(self, number: int, label: str, score: float) -> None:
        """Go on with an object of an earlier run, whose views are gone."""
        self._views[number] = _View(
            0.0, np.zeros((0, 0, 3), np.uint8), (0.0, 0.0, 0.0, 0.0), name=(label, score)
        )

    def name(self, number: int) -> tuple[str, float] | None:
        """Label the best view; returns label and score in [0, 1], or None if unknown."""
        view = self._views.get(number)
        if view is None:
            return None
        if view.score > GAIN * view.looked_at:
            view.looked_at = view.score
            named_score = self._name(view.image, view.box)
            if named_score is not None and (view.name is None or named_score[1] > view.name[1]):
                view.name = named_score
        return view.name

    def label_of(self, number: int) -> str | None:
        """Label of an object if it was classified already; runs no network."""
        view = self._views.get(number)
        return None if view is None or view.name is None else view.name[0]

    def forget(self, number: int) -> None:
        """Remove an object that has left for good."""
        self._views.pop(number, None)


def _part(centre: float, half: float, length: int) -> tuple[int, int]:
    """First and last pixel of an interval around a point, clipped to the image."""
    return max(0, int(centre - half)), min(length, int(np.ceil(centre + half)))
