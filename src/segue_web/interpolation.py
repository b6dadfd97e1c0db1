"""Drawn polygons and strokes as masks; polygons between two: corners are matched, and move in lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray
from segue.masks.tracks import RleTrack

Corners = npt.NDArray[np.float64]
"""Corners of a closed polygon, (N, 2), x before y, in pixels of the video."""

SAMPLES = 256
"""Places on two outlines that are compared, where these have unequal numbers of corners."""


FRACTION = 4
"""Bits behind the point of places of a brush."""


class Shown(NamedTuple):
    """The polygon of an object on a frame: drawn there, interpolated, or of the nearest frame with one."""

    corners: Corners
    kind: Literal["key", "between", "near"]


def matched(first: Corners, last: Corners) -> tuple[Corners, Corners]:
    """Corners of both polygons in pairs, (M, 2) each; unequal numbers by their place along the outline."""
    one, two = (cv2.contourArea(corners.astype(np.float32), oriented=True) for corners in (first, last))
    if one * two < 0:  # they run round the other way
        last = last[::-1]
    if len(first) == len(last):
        return first, np.roll(last, -_start(first, last), axis=0)
    shares = np.arange(SAMPLES) / SAMPLES
    ours, theirs = _lengths(first), _lengths(last)
    start = _start(_at(first, ours, shares), _at(last, theirs, shares)) / SAMPLES
    places = np.unique(np.concatenate([ours[:-1], (theirs[:-1] - start) % 1.0]))
    return _at(first, ours, places), _at(last, theirs, (places + start) % 1.0)


def interpolated(first: Corners, last: Corners, share: float) -> Corners:
    """The polygon at a share of the way from the first to the last."""
    one, two = matched(first, last)
    return (1 - share) * one + share * two


def filled(corners: Corners, size: tuple[int, int]) -> BoolArray:
    """The mask of a polygon, as COCO draws it."""
    return RleTrack.parse([[corners.ravel().tolist()]], size).decode(0)


def brushed(path: Corners, width: float, size: tuple[int, int]) -> BoolArray:
    """The mask of a round brush that is moved along a path."""
    plane = np.zeros(size, np.uint8)
    # OpenCV takes whole numbers with bits behind the point, from the centres of the pixels on.
    points = np.round((path - 0.5) * (1 << FRACTION)).astype(np.int32)
    cv2.polylines(plane, [np.concatenate([points, points[-1:]])], False, 1, round(width), shift=FRACTION)
    return plane > 0


def shown(keys: Mapping[int, Corners], frame: int, *, between: bool) -> Shown:
    """The polygon of an object on a frame."""
    if frame in keys:
        return Shown(keys[frame], "key")
    before, after = neighbours(keys, frame)
    if between and before is not None and after is not None:
        share = (frame - before) / (after - before)
        return Shown(interpolated(keys[before], keys[after], share), "between")
    return Shown(keys[min(keys, key=lambda i: abs(i - frame))], "near")


def neighbours(keys: Iterable[int], frame: int) -> tuple[int | None, int | None]:
    """The nearest of some frames before and after a frame."""
    known = list(keys)
    before = max((i for i in known if i < frame), default=None)
    return before, min((i for i in known if i > frame), default=None)


def _start(first: Corners, last: Corners) -> int:
    """Rotation of the corners of the last polygon that brings it nearest to the first."""
    one, two = (np.array([complex(x, y) for x, y in corners - corners.mean(0)]) for corners in (first, last))
    likeness = [float((one.conj() * np.roll(two, -turn)).real.sum()) for turn in range(len(two))]
    return int(np.argmax(likeness))


def _lengths(corners: Corners) -> npt.NDArray[np.float64]:
    """Share of the outline before each corner, and 1 at its end, (N + 1)."""
    sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    ends = np.concatenate([[0.0], np.cumsum(sides)])
    shares: npt.NDArray[np.float64] = ends / max(ends[-1], 1e-9)
    return shares


def _at(corners: Corners, lengths: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> Corners:
    closed = np.concatenate([corners, corners[:1]])
    return np.stack([np.interp(shares, lengths, closed[:, axis]) for axis in (0, 1)], axis=1)
