"""From probabilities at the working size to the result of a frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks import measure, resize_mask
from segue.sessions.base import SessionState
from segue.sessions.components import ComponentTracker, without_small
from segue.sessions.empty_scene import same_shape
from segue.sessions.segmenters import Maps
from segue.types import ObjectInfo, Segmentation

FOREGROUND, SHADOW = 1, 2
"""Ids in a mask without single objects."""

Mask = npt.NDArray[np.bool_]

THRESHOLD = 0.3
"""Probability from which on a pixel is foreground; mustan-lite rather misses than invents."""


class ForegroundMasks:
    """Makes masks and objects of probabilities.

    Args:
        threshold: a pixel is foreground, or shadow, from this probability on.
        roi: (H, W), true or non-zero where there can be foreground; None for everywhere. At another size of
            frames of the same shape it is resized.
        min_area: connected pieces with fewer pixels are left out.
        objects: give every connected piece an id of its own; else all foreground is object 1, and shadow
            object 2.
        shadows: tell shadows; only without ``objects``.

    Raises:
        ValueError: a number is out of range, or both ``objects`` and ``shadows`` are wanted.
    """

    def __init__(
        self,
        *,
        threshold: float = THRESHOLD,
        roi: npt.NDArray[np.generic] | None = None,
        min_area: int = 0,
        objects: bool = False,
        shadows: bool = False,
    ) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}, but must lie between 0 and 1")
        if min_area < 0:
            raise ValueError(f"min_area is {min_area}, but must be at least 0")
        if objects and shadows:
            raise ValueError("objects and shadows exclude each other: an id tells either")
        if roi is not None and np.ndim(roi) != 2:
            raise ValueError(f"roi has the shape {np.shape(roi)}, but must be (H, W)")
        self._threshold = threshold
        self._roi = None if roi is None else np.asarray(roi) != 0
        self._min_area = min_area
        self._shadows = shadows
        self._tracker = ComponentTracker() if objects else None

    def check(self, size: tuple[int, int]) -> None:
        """See that the region of interest fits frames of this height and width.

        Raises:
            PromptError: it has another shape.
        """
        if self._roi is None:
            return
        (height, width), (rows, columns) = size, self._roi.shape
        if not same_shape(size, (rows, columns)):
            raise PromptError(
                f"the region of interest is {columns}x{rows}, but the frames are {width}x{height}"
            )

    def restart(self) -> None:
        """Another scene: all objects have left."""
        if self._tracker is not None:
            self._tracker.restart()

    def reset(self) -> None:
        """Forget everything."""
        if self._tracker is not None:
            self._tracker.reset()

    def state(self) -> SessionState:
        """All that :meth:`restore` needs."""
        return SessionState({}, {}) if self._tracker is None else self._tracker.state()

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        if self._tracker is not None:
            self._tracker.restore(state)

    def result(self, index: int, time: float, size: tuple[int, int], maps: Maps) -> Segmentation:
        """The result of a frame.

        Args:
            index, time: of the frame.
            size: height and width of the frame.
            maps: probabilities at the working size, (channels, h, w).
        """
        foreground = self._inside(_enlarged(maps[0], size))
        mask = without_small(foreground >= self._threshold, self._min_area)
        if self._tracker is not None:
            labels, objects = self._tracker.update(mask, time, foreground)

            def each() -> npt.NDArray[np.float32]:
                return _of_objects(self._inside(_enlarged(maps[0], size)), labels, objects)

            return Segmentation(index, time, labels, objects, each)
        with_shadow = self._shadows and len(maps) > 1

        def classes() -> npt.NDArray[np.float32]:
            full = [self._inside(_enlarged(item, size)) for item in maps[: 2 if with_shadow else 1]]
            return _of_classes(full)

        both = mask.astype(np.uint8)
        scores = [foreground]
        if with_shadow:
            scores.append(self._inside(_enlarged(maps[1], size)))
            both[(scores[1] >= self._threshold) & ~mask] = SHADOW
        return Segmentation(index, time, both, _summary(both, scores), classes)

    def nothing(self, index: int, time: float, size: tuple[int, int]) -> Segmentation:
        """The result of a frame on which nothing is looked for yet."""
        return Segmentation(index, time, np.zeros(size, np.uint8))

    def _inside(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Values, (H, W), 0 outside the region of interest."""
        if self._roi is None:
            return values
        return np.asarray(values * resize_mask(self._roi, (values.shape[0], values.shape[1])), np.float32)


def _enlarged(values: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Probabilities (h, w) at the size of the frame, bilinear."""
    if values.shape == size:
        return values
    height, width = size
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _summary(mask: npt.NDArray[np.uint8], scores: list[npt.NDArray[np.float32]]) -> tuple[ObjectInfo, ...]:
    """Foreground and, with two maps, shadow as objects of a mask."""
    extents = measure(mask)
    objects = []
    for number, (label, score) in enumerate(zip(("foreground", "shadow"), scores, strict=False), start=1):
        extent = extents.get(number)
        if extent is None:
            objects.append(ObjectInfo(number, label, score=0.0))
        else:
            mean = float(score[mask == number].mean())
            objects.append(ObjectInfo(number, label, mean, extent.box, extent.area))
    return tuple(objects)


def _of_classes(maps: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Background, foreground and perhaps shadow, which sum to one: shadow is what is not foreground."""
    foreground, *rest = maps
    shadows = [shadow * (1 - foreground) for shadow in rest]
    return np.stack([1 - foreground - sum(shadows), foreground, *shadows]).astype(np.float32)


def _of_objects(
    foreground: npt.NDArray[np.float32], labels: npt.NDArray[np.integer], objects: tuple[ObjectInfo, ...]
) -> npt.NDArray[np.float32]:
    """Background and each object, which has its probability inside its own piece only."""
    each = [np.where(labels == item.id, foreground, 0) for item in objects]
    inside = np.where(labels > 0, foreground, 0)
    return np.stack([1 - inside, *each]).astype(np.float32)
