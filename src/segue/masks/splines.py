"""Keyed shapes: polygons and Bézier splines that move from key to key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from segue.masks.outlines import fine_outline, outline_between, resampled
from segue.masks.rle import Rle, decode_rle, encode_rle, fill_polygons, rle_area
from segue.utils.arrays import BoolArray, Float64Array

Motion = Literal["linear", "smooth", "plane"]
"""Motion of corners between keys: straight lines, curves through the keys, or with a plane."""

Corner = tuple[float, float, float, float, float, float]
"""A corner in pixels, x before y; and from it to its handles before and after it, 0 of straight lines."""

Homography = tuple[float, float, float, float, float, float, float, float, float]
"""A homography of pixels, row by row."""

STEPS = 12
"""Lines that a curve between two corners is drawn as."""

COARSEST, FINEST, FINER = 0.08, 0.002, 0.8
"""Distances of corners from an outline that are tried, as shares of its length, and the factor between."""

REFINED, SWEEPS = (0.01, 0.003), 3
"""Steps of corners that are moved to fit a mask, as shares of the length of its outline, and how often."""

_DIRECTIONS = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7)])

SAMPLES = 256
"""Points of outlines that are compared."""


@dataclass(frozen=True, slots=True)
class ShapeKey:
    """Shape at a key frame, and its motion up to the next key."""

    corners: tuple[Corner, ...]
    on: bool = True  # False: it is not visible from this frame on
    motion: Motion = "linear"  # to the next key
    plane: tuple[Homography, ...] = ()  # of each frame after this one, from this one, for the motion "plane"

    @property
    def array(self) -> Float64Array:
        """Corners and handles, (N, 6)."""
        return np.array(self.corners, np.float64).reshape(-1, 6)


@dataclass(frozen=True, slots=True)
class KeyedShape:
    """Shape that is visible from its first to its last key, unless a key hides it."""

    keys: dict[int, ShapeKey]
    hole: bool = False  # whether it cuts the other shapes of its object

    @property
    def frames(self) -> list[int]:
        """Frames with a key, ascending."""
        return sorted(self.keys)

    @property
    def span(self) -> range:
        """Frames from the first to the last key."""
        return range(self.frames[0], self.frames[-1] + 1) if self.keys else range(0)

    def with_key(self, frame: int, key: ShapeKey) -> KeyedShape:
        """Copy with a key on a frame, which replaces an existing one."""
        return replace(self, keys=dict(sorted((self.keys | {frame: key}).items())))

    def without_key(self, frame: int) -> KeyedShape:
        """Copy without the key of a frame."""
        return replace(self, keys={index: key for index, key in self.keys.items() if index != frame})

    def split(self, frame: int) -> tuple[KeyedShape, KeyedShape]:
        """Split the shape before a frame; both parts get keys at the cut."""
        if not self.covers(frame) or not self.covers(frame - 1):
            earlier = {index: key for index, key in self.keys.items() if index < frame}
            later = {index: key for index, key in self.keys.items() if index >= frame}
            return replace(self, keys=earlier), replace(self, keys=later)
        keys = self.keys | {frame - 1: self._key_between(frame - 1), frame: self._key_between(frame)}
        cut = replace(self, keys=dict(sorted(keys.items())))
        return (
            replace(self, keys={index: key for index, key in cut.keys.items() if index < frame}),
            replace(self, keys={index: key for index, key in cut.keys.items() if index >= frame}),
        )

    def _key_between(self, frame: int) -> ShapeKey:
        """Key of a frame inside the span, or a new one that changes nothing."""
        first = self._previous_key(frame)
        key, corners = self.keys[first], self.corners_at(frame)
        if frame == first or corners is None:
            return key
        done = frame - first
        motions = np.array(key.plane, np.float64).reshape(-1, 3, 3)
        plane = motions[done:] @ np.linalg.inv(motions[done - 1]) if len(motions) > done else motions[:0]
        return replace(key, corners=as_corners(corners), plane=_homographies(plane))

    def touched(self, frame: int) -> range:
        """Frames that a key changes: from the second key before to the second after it."""
        frames = sorted({*self.frames, frame})
        place = frames.index(frame)
        return range(frames[max(0, place - 2)], frames[min(len(frames) - 1, place + 2)] + 1)

    def covers(self, frame: int) -> bool:
        """Whether a frame lies between the first and last key."""
        return bool(self.keys) and min(self.keys) <= frame <= max(self.keys)

    def is_on(self, frame: int) -> bool:
        """Whether the shape is visible on a frame."""
        return self.covers(frame) and self.keys[self._previous_key(frame)].on

    def _previous_key(self, frame: int) -> int:
        frames = self.frames
        return frames[bisect_right(frames, frame) - 1]

    def corners_at(self, frame: int) -> Float64Array | None:
        """Corners and handles on a frame, (N, 6), visible or not; None outside the keys."""
        if not self.covers(frame):
            return None
        first = self._previous_key(frame)
        key = self.keys[first]
        if frame == first:
            return key.array
        second = next(index for index in self.frames if index > frame)
        share = (frame - first) / (second - first)
        goal = self.keys[second].array
        if len(goal) != len(key.array):
            between = outline_between(flattened(key.array), flattened(goal), share)
            return np.concatenate([between, np.zeros((len(between), 4))], axis=1)
        if key.motion == "plane" and frame - first <= len(key.plane) >= second - first:
            start, end = (warp_corners(key.array, key.plane[index - first - 1]) for index in (frame, second))
            return start + share * (goal - end)
        if key.motion == "smooth":
            return self._smooth(first, second, share)
        return (1 - share) * key.array + share * goal

    def _smooth(self, first: int, second: int, share: float) -> Float64Array:
        """Corners between two keys on cubic curves through all keys (Catmull and Rom)."""
        start, end = self.keys[first].array, self.keys[second].array
        length = second - first
        slopes = [self._slope(frame, (end - start) / length) * length for frame in (first, second)]
        t = share
        return np.asarray(
            (2 * t**3 - 3 * t**2 + 1) * start
            + (t**3 - 2 * t**2 + t) * slopes[0]
            + (3 * t**2 - 2 * t**3) * end
            + (t**3 - t**2) * slopes[1]
        )

    def _slope(self, frame: int, usual: Float64Array) -> Float64Array:
        """Motion of corners at a key in pixels per frame, from the neighbouring keys."""
        place = self.frames.index(frame)
        if not 0 < place < len(self.frames) - 1:
            return usual
        previous, later = self.frames[place - 1], self.frames[place + 1]
        start, end = self.keys[previous].array, self.keys[later].array
        return (end - start) / (later - previous) if len(start) == len(end) == len(usual) else usual

    def outline(self, frame: int) -> Float64Array | None:
        """Outline on a frame, (M, 2), x before y; None if hidden."""
        corners = self.corners_at(frame) if self.is_on(frame) else None
        return None if corners is None else flattened(corners)


def as_corners(array: Float64Array) -> tuple[Corner, ...]:
    """Validate saved corners and handles, (N, 6)."""
    rows = np.round(array, 3).tolist()
    return tuple((float(a), float(b), float(c), float(d), float(e), float(f)) for a, b, c, d, e, f in rows)


def _homographies(matrices: Float64Array) -> tuple[Homography, ...]:
    """Validate saved homographies, (N, 3, 3)."""
    return tuple(
        (a, b, c, d, e, f, g, h, i) for a, b, c, d, e, f, g, h, i in matrices.reshape(-1, 9).tolist()
    )


def flattened(corners: Float64Array) -> Float64Array:
    """Convert corners and handles (N, 6) to a polygon, (M, 2)."""
    parts = []
    t = np.arange(STEPS)[:, None] / STEPS
    for corner, following in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        start, end = corner[:2], following[:2]
        if not (corner[4:].any() or following[2:4].any()):
            parts.append(start[None])
            continue
        first, second = start + corner[4:], end + following[2:4]
        parts.append(
            (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * end
        )
    return np.concatenate(parts)


def rounded_corners(corners: Float64Array) -> Float64Array:
    """Add handles to corners (N, 2) or (N, 6) that round the outline there, (N, 6)."""
    places = corners[:, :2]
    handle = (np.roll(places, -1, axis=0) - np.roll(places, 1, axis=0)) / 6
    return np.concatenate([places, -handle, handle], axis=1)


def warp_corners(corners: Float64Array, homography: Sequence[float]) -> Float64Array:
    """Transform corners and handles (N, 6) by a homography."""
    matrix = np.array(homography, np.float64).reshape(3, 3)
    places = np.stack([corners[:, :2], corners[:, :2] + corners[:, 2:4], corners[:, :2] + corners[:, 4:]])
    projected = cv2.perspectiveTransform(places.reshape(1, -1, 2), matrix).reshape(3, -1, 2)
    return np.concatenate([projected[0], projected[1] - projected[0], projected[2] - projected[0]], axis=1)


def shape_runs(shapes: Sequence[KeyedShape], frame: int, size: tuple[int, int]) -> str:
    """Compressed run lengths of an object's shapes on a frame; empty without pixels."""
    outlines = [(shape.hole, shape.outline(frame)) for shape in shapes]
    areas, holes = (
        [
            fill_polygons([outline.ravel().tolist()], size)
            for hole, outline in outlines
            if hole is kind and outline is not None
        ]
        for kind in (False, True)
    )
    if not areas:
        return ""
    runs = _union(areas, size)
    if holes:
        runs = encode_rle(decode_rle(runs) & ~decode_rle(_union(holes, size)))
    return runs["counts"] if rle_area(runs) else ""


def _union(masks: Sequence[bytes], size: tuple[int, int]) -> Rle:
    """Union of masks, as run lengths."""
    merged = coco_mask.merge([{"size": [*size], "counts": counts} for counts in masks])
    return Rle(size=[*size], counts=merged["counts"].decode())


def fitted_shape(masks: Iterable[tuple[int, BoolArray]], minimum_iou: float) -> KeyedShape:
    """Fit a shape with few corners and keys to the largest parts of masks.

    Args:
        masks: frame and mask (H, W), bool, ascending; those without a pixel and frames between have nothing.
        minimum_iou: IoU with the part on each frame, from 0 to 1.

    Returns:
        The shape; its corners are in pixels of the masks.
    """
    outlines: dict[int, Float64Array] = {}
    size = (0, 0)
    for frame, mask in masks:
        if mask.any():
            outlines[frame], size = fine_outline(mask), (mask.shape[0], mask.shape[1])
    shape = KeyedShape({})
    frames = list(outlines)
    while frames:
        run = [frame for place, frame in enumerate(frames) if frame == frames[0] + place]
        frames = frames[len(run) :]
        keys = _fitted_keys({frame: outlines[frame] for frame in run}, size, minimum_iou)
        for frame, corners in keys.items():
            shape = shape.with_key(frame, _key(corners))
        if frames:
            last = run[-1]
            shape = shape.with_key(last + 1, replace(shape.keys[last], on=False))
    return shape


def shape_ious(shape: KeyedShape, masks: Mapping[int, str], size: tuple[int, int]) -> list[float]:
    """IoU of a shape with masks by frame, given as compressed run lengths."""
    runs = {frame: shape_runs([shape], frame, size) for frame in masks}
    return [
        _iou(runs[frame].encode(), counts.encode(), size)
        if runs[frame] and counts
        else float(runs[frame] == counts)
        for frame, counts in masks.items()
    ]


def _key(corners: Float64Array) -> ShapeKey:
    return ShapeKey(tuple((float(x), float(y), 0.0, 0.0, 0.0, 0.0) for x, y in np.round(corners, 2)))


def _fitted_keys(
    outlines: Mapping[int, Float64Array], size: tuple[int, int], minimum_iou: float
) -> dict[int, Float64Array]:
    """Corners by frame of the fewest keys that fit the outlines of consecutive frames."""
    frames = list(outlines)
    targets = {frame: _runs(outline, size) for frame, outline in outlines.items()}
    key_iou = (1 + minimum_iou) / 2
    keys = {frames[0]: _few_corners(outlines[frames[0]], targets[frames[0]], size, key_iou)}
    place = 0
    while place < len(frames) - 1:
        first = frames[place]
        reaches = partial(_next_key_corners, keys[first], first, outlines, targets, size, minimum_iou)
        good, step = place + 1, 1
        corners = reaches(frames[good])
        while corners is not None and good + step < len(frames):
            candidate = reaches(frames[good + step])
            if candidate is None:
                break
            good, corners, step = good + step, candidate, 2 * step
        while step > 1:
            step //= 2
            if good + step < len(frames) and (candidate := reaches(frames[good + step])) is not None:
                good, corners = good + step, candidate
        frame = frames[good]
        keys[frame] = (
            _few_corners(outlines[frame], targets[frame], size, key_iou) if corners is None else corners
        )
        place = good
    return keys


def _next_key_corners(
    start: Float64Array,
    first: int,
    outlines: Mapping[int, Float64Array],
    targets: Mapping[int, bytes],
    size: tuple[int, int],
    minimum_iou: float,
    last: int,
) -> Float64Array | None:
    """Corners of the next key if all frames up to it fit; else None."""
    length = cv2.arcLength(outlines[last].astype(np.float32)[:, None], closed=True)
    goal = _refined(_matched(start, outlines[first], outlines[last]), targets[last], size, length)
    for frame in range(first + 1, last + 1):
        share = (frame - first) / (last - first)
        if _iou(_runs((1 - share) * start + share * goal, size), targets[frame], size) < minimum_iou:
            return None
    return goal


def _few_corners(
    outline: Float64Array, target: bytes, size: tuple[int, int], minimum_iou: float
) -> Float64Array:
    """Simplify an outline to the fewest corners that fit (Douglas and Peucker)."""
    length = cv2.arcLength(outline.astype(np.float32)[:, None], closed=True)
    share = COARSEST
    while share > FINEST:
        corners = cv2.approxPolyDP(outline.astype(np.float32)[:, None], share * length, closed=True)[:, 0]
        few = np.asarray(corners, np.float64)
        if len(few) > 2:
            few = _refined(few, target, size, length)
            if _iou(_runs(few, size), target, size) >= minimum_iou:
                return few
        share *= FINER
    return outline


def _matched(corners: Float64Array, outline: Float64Array, other: Float64Array) -> Float64Array:
    """Match corners to another outline by arc length, at the best starting point."""
    points, goals = resampled(outline, SAMPLES), resampled(other, SAMPLES)
    ways = [(way - way.mean(0)) @ np.array([1, 1j]) for way in (points, goals)]
    correlation = np.fft.ifft(np.fft.fft(ways[0]).conj() * np.fft.fft(ways[1])).real
    goals = np.roll(goals, -int(correlation.argmax()), axis=0)
    nearest = np.linalg.norm(points[None] - corners[:, None], axis=2).argmin(axis=1)
    # What lies beside its outline does so on the other one, too.
    return np.asarray(goals[nearest] + corners - points[nearest])


def _refined(corners: Float64Array, target: bytes, size: tuple[int, int], length: float) -> Float64Array:
    """Move corners (N, 2) one by one to improve the fit of the polygon to a mask."""
    best, refined = _iou(_runs(corners, size), target, size), corners.copy()
    for step in (length * share for share in REFINED):
        for _ in range(SWEEPS):
            previous = best
            for place in range(len(refined)):
                for direction in _DIRECTIONS:
                    tried = refined.copy()
                    tried[place] += step * direction
                    fit = _iou(_runs(tried, size), target, size)
                    if fit > best:
                        best, refined = fit, tried
            if best - previous < 1e-3:
                break
    return refined


def _runs(outline: Float64Array, size: tuple[int, int]) -> bytes:
    """Run lengths of a trusted polygon."""
    [runs] = coco_mask.frPyObjects([outline.ravel().tolist()], *size)
    return bytes(runs["counts"])


def _iou(one: bytes, other: bytes, size: tuple[int, int]) -> float:
    runs = [[{"size": [*size], "counts": counts}] for counts in (one, other)]
    return float(coco_mask.iou(*runs, [0])[0, 0])
