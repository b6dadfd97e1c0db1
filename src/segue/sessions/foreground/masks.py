"""Convert probabilities at the working size to the result of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import ArgumentError, PromptError
from segue.flow.crowd import CrowdWarning
from segue.masks import measure, resize_mask
from segue.masks.measure import min_object_area
from segue.masks.pieces import Pieces
from segue.sessions.foreground.background.quantiles import same_shape
from segue.sessions.foreground.components import ComponentTracker, FindBoxes
from segue.state import Checkpointable, checkpointed
from segue.types import Box, Image, ObjectInfo, Segmentation
from segue.utils.arrays import BoolArray, Float32Array
from segue.utils.notices import warn_caller

FOREGROUND, SHADOW = 1, 2
"""Ids in a mask without single objects."""

CROWD = 100
"""Number of objects on a frame from which on swaying background is suspected."""


class ForegroundMasks(Checkpointable):
    """Converts probabilities to masks and objects.

    Args:
        threshold: a pixel is foreground, or shadow, from this probability on; None takes that of the model,
            see :meth:`set_default_threshold`.
        roi: (H, W), true or non-zero where there can be foreground; None for everywhere. At another size of
            frames of the same shape it is resized.
        min_area: connected components with fewer pixels are left out; None is 0, or with ``objects``
            :func:`segue.masks.measure.min_object_area`.
        objects: give every moving object an id of its own; else all foreground is object 1, and shadow
            object 2.
        shadows: give shadow an id of its own; only without ``objects``.
        after: the last id that an earlier run gave to an object.

    Raises:
        ArgumentError: a number is out of range, or both ``objects`` and ``shadows`` are wanted.
    """

    _tracker: ComponentTracker | None = checkpointed()
    _crowded: bool = checkpointed(False)  # a warning was given

    def __init__(
        self,
        *,
        threshold: float | None = None,
        roi: npt.NDArray[np.generic] | None = None,
        min_area: int | None = None,
        objects: bool = False,
        shadows: bool = False,
        after: int = 0,
    ) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ArgumentError(f"threshold is {threshold}, but must lie between 0 and 1")
        if min_area is not None and min_area < 0:
            raise ArgumentError(f"min_area is {min_area}, but must be at least 0")
        if objects and shadows:
            raise ArgumentError("objects and shadows exclude each other: an id tells either")
        if roi is not None and np.ndim(roi) != 2:
            raise ArgumentError(f"roi has the shape {np.shape(roi)}, but must be (H, W)")
        if roi is not None and not np.any(roi):
            raise ArgumentError("roi is black everywhere, so that nothing could be foreground")
        self._requested_threshold, self._threshold = threshold, 0.5 if threshold is None else threshold
        self._roi = None if roi is None else np.asarray(roi) != 0
        self._min_area = min_area
        self._shadows = shadows
        self.objects = objects
        self._tracker = ComponentTracker(after=after) if objects else None
        self._crowded = False

    def set_default_threshold(self, threshold: float) -> None:
        """Use a model's threshold, in (0, 1), if none was given."""
        self._threshold = threshold if self._requested_threshold is None else self._requested_threshold

    def check(self, size: tuple[int, int]) -> None:
        """Raise PromptError unless the region of interest fits frames of a size."""
        if self._roi is not None and not same_shape(size, self._roi.shape):
            (height, width), (rows, columns) = size, self._roi.shape
            raise PromptError(
                f"the region of interest is {columns}x{rows}, but the frames are {width}x{height}"
            )

    def fit(self, size: tuple[int, int]) -> None:
        """Scale the objects to frames of another size and the same shape."""
        if self._tracker is not None:
            self._tracker.fit(size)

    def restart(self) -> None:
        """Start a new scene without the objects of the last one."""
        if self._tracker is not None:
            self._tracker.restart()

    def reset(self) -> None:
        """Reset the complete state."""
        self._crowded = False
        if self._tracker is not None:
            self._tracker.reset()

    def result(
        self,
        index: int,
        time: float,
        size: tuple[int, int],
        maps: Float32Array,
        image: Image | None = None,
        find_boxes: FindBoxes | None = None,
    ) -> Segmentation:
        """Result of a frame from probability maps (C, h, w): foreground, then shadow if available.

        Shadow has the id 2, or is background without ``shadows``. The image distinguishes fast objects, and
        those with a detected box (in pixels of the maps) have an id at once.
        """
        inside = partial(_inside, size=size, roi=self._roi)
        foreground = inside(maps[0])
        min_area = self._min_area
        if min_area is None:
            min_area = 0 if self._tracker is None else round(min_object_area(size))
        mask = without_small(foreground >= self._threshold, min_area)
        if self._tracker is not None:
            if find_boxes is not None:
                find_boxes = partial(_resized_boxes, find_boxes, maps.shape[1:], size)
            labels, objects = self._tracker.update(mask, time, foreground, image, find_boxes)
            if len(objects) > CROWD and not self._crowded:
                self._crowded = True
                warn_caller(
                    f"frame {index}: {len(objects)} objects; give a larger min_area, or a region of interest",
                    CrowdWarning,
                )
            lazily = partial(_of_objects, inside, maps[0], labels, objects)
            return Segmentation(index, time, labels, objects, lazily)
        maps = maps[: 1 + self._shadows]
        lazily = partial(_of_classes, inside, maps)
        both = mask.astype(np.uint8)
        scores = [foreground, *map(inside, maps[1:])]
        for shadow in scores[1:]:
            both[(shadow >= self._threshold) & ~mask] = SHADOW
        return Segmentation(index, time, both, _summary(both, scores), lazily)

    def nothing(self, index: int, time: float, size: tuple[int, int]) -> Segmentation:
        """Empty result of a size, while the model is still learning."""
        return Segmentation(index, time, np.zeros(size, np.uint8))

    def out_of_sight(self, index: int, time: float, size: tuple[int, int]) -> Segmentation:
        """Empty result for an unusable frame; objects keep their places."""
        objects = () if self._tracker is None else self._tracker.out_of_sight()
        return Segmentation(index, time, np.zeros(size, np.uint8), objects)


def _resized_boxes(find_boxes: FindBoxes, old: tuple[int, ...], new: tuple[int, int]) -> list[Box]:
    """Scale boxes from an image of one size (h, w) to another one."""
    down, right = new[0] / old[0], new[1] / old[1]
    return [(x0 * right, y0 * down, x1 * right, y1 * down) for x0, y0, x1, y1 in find_boxes()]


def _inside(values: Float32Array, size: tuple[int, int], roi: BoolArray | None) -> Float32Array:
    """Resize probabilities (h, w) to the frame; 0 outside the region of interest."""
    if values.shape != size:
        values = np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    return values if roi is None else np.asarray(values * resize_mask(roi, size), np.float32)


def _summary(mask: npt.NDArray[np.uint8], scores: list[Float32Array]) -> tuple[ObjectInfo, ...]:
    """Foreground and, with two maps, shadow as objects of a mask."""
    extents = measure(mask)
    objects = []
    for number, label, score in zip((FOREGROUND, SHADOW), ("foreground", "shadow"), scores, strict=False):
        if number in extents:
            mean, extent = float(score[mask == number].mean()), extents[number]
            objects.append(ObjectInfo(number, label, mean, extent.box, extent.area))
        else:
            objects.append(ObjectInfo(number, label, score=0.0))
    return tuple(objects)


def _of_classes(inside: Callable[[Float32Array], Float32Array], maps: Float32Array) -> Float32Array:
    """Probabilities of background, foreground and perhaps shadow, summing to one."""
    foreground, *rest = map(inside, maps)
    shadows = [shadow * (1 - foreground) for shadow in rest]
    return np.stack([1 - foreground - sum(shadows), foreground, *shadows]).astype(np.float32)


def _of_objects(
    inside: Callable[[Float32Array], Float32Array],
    values: Float32Array,
    labels: npt.NDArray[Any],
    objects: Sequence[ObjectInfo],
) -> Float32Array:
    """Probabilities of background and of each object inside its own component."""
    foreground = inside(values)
    each = [np.where(labels == item.id, foreground, 0) for item in objects]
    return np.stack([1 - np.where(labels > 0, foreground, 0), *each]).astype(np.float32)


def without_small(mask: BoolArray, min_area: int) -> BoolArray:
    """Remove connected components with fewer than ``min_area`` pixels from a mask, (H, W)."""
    if min_area <= 1 or not mask.any():
        return mask
    pieces = Pieces.of(mask)
    return pieces.where(pieces.areas >= min_area)
