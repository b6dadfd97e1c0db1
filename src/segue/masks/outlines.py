"""Outlines of masks, for formats with polygons only."""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np
import numpy.typing as npt

from segue.utils.arrays import Float64Array

Corners = npt.NDArray[np.int32]
"""Corners of a closed polygon, (N, 2), x before y, in pixels; the pixels on its edges belong to it."""

COMPARED = 512
"""Maximum corners per outline that are compared to find the nearest points of two outlines."""


def parts_of(mask: npt.NDArray[np.bool_]) -> list[list[Corners]]:
    """Outlines of the connected parts of a mask (H, W), bool, each followed by its holes."""
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outlines = [np.asarray(contour, np.int32).reshape(-1, 2) for contour in contours]
    parents = [] if tree is None else np.asarray(tree)[0, :, 3].tolist()
    parts = {number: [outlines[number]] for number, parent in enumerate(parents) if parent < 0}
    for number, parent in enumerate(parents):
        if parent >= 0:
            parts[parent].append(outlines[number])
    return sorted(parts.values(), key=lambda part: -cv2.contourArea(part[0][:, None]))


def single_outline(mask: npt.NDArray[np.bool_]) -> Corners:
    """One polygon (M, 2), int32, around a mask (H, W), bool; lines join parts and holes."""
    outlines = [outline for part in parts_of(mask) for outline in part]
    return reduce(_bridged, outlines) if outlines else np.zeros((0, 2), np.int32)


def _bridged(one: Corners, other: Corners) -> Corners:
    """Join two outlines by a line there and back at their nearest points."""
    first, second = (np.arange(0, len(way), max(1, len(way) // COMPARED)) for way in (one, other))
    gaps = one[first, None].astype(np.int64) - other[None, second]
    nearest = np.unravel_index(int((gaps**2).sum(-1).argmin()), (len(first), len(second)))
    start, end = int(first[nearest[0]]), int(second[nearest[1]])
    rotated = np.roll(other, -end, axis=0)
    return np.concatenate([one[: start + 1], rotated, rotated[:1], one[start:]])


def outline_between(first: Float64Array, second: Float64Array, share: float) -> Float64Array:
    """Interpolate between two outlines.

    Args:
        first: corners (N, 2).
        second: corners (M, 2), which may begin elsewhere and go round the other way.
        share: 0 is the first, 1 the second.

    Returns:
        Corners (K, 2); where both have the same number, each goes straight to its own.
    """
    if len(first) != len(second) or len(first) > COMPARED:
        number = min(COMPARED, 4 * max(len(first), len(second)))
        first, second = resampled(first, number), resampled(second, number)
    if _is_counterclockwise(first) != _is_counterclockwise(second):
        second = second[::-1]
    ways = [(way - way.mean(0)) @ np.array([1, 1j]) for way in (first, second)]
    correlation = np.fft.ifft(np.fft.fft(ways[0]).conj() * np.fft.fft(ways[1])).real
    second = np.roll(second, -int(correlation.argmax()), axis=0)
    return (1 - share) * first + share * second


def resampled(corners: Float64Array, number: int) -> Float64Array:
    """Resample an outline to equally spaced points, starting at its first corner."""
    closed = np.concatenate([corners, corners[:1]])
    lengths = np.concatenate([[0.0], np.hypot(*np.diff(closed, axis=0).T).cumsum()])
    places = np.arange(number) / number * lengths[-1]
    return np.stack([np.interp(places, lengths, closed[:, axis]) for axis in (0, 1)], axis=1)


def _is_counterclockwise(corners: Float64Array) -> bool:
    """Whether an outline runs counterclockwise in the image."""
    x, y = corners.T
    return bool((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() < 0)


def fine_outline(mask: npt.NDArray[np.bool_]) -> Float64Array:
    """Outline, (N, 2), of the largest part of a mask (H, W), bool; filled, it gives the part."""
    [[outline, *_], *_] = _doubled_parts(mask)
    return np.asarray(outline / 2 + 0.25, np.float64)


def _doubled_parts(mask: npt.NDArray[np.bool_]) -> list[list[Corners]]:
    """Parts of a mask at twice the size, found within the box of its pixels."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    parts = parts_of(_doubled(mask[top : top + height, left : left + width]))
    shift = np.array([2 * left, 2 * top], np.int32)
    return [[corners + shift for corners in part] for part in parts]


def _doubled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mask at twice the size; its outline lies a quarter of a pixel inside the pixels."""
    return np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)


def coco_polygons(mask: npt.NDArray[np.bool_]) -> list[list[float]]:
    """COCO polygons of the parts of a mask (H, W), bool; lines join holes to their outline."""
    # With outlines that lie inside of the pixels, filling gives the mask back.
    polygons = [reduce(_bridged, part) for part in _doubled_parts(mask)]
    return [((corners / 2) + 0.25).ravel().tolist() for corners in polygons if len(corners) > 2]
