"""From frames that wait for later ones to probabilities at the working size, to the result of a frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks import measure, resize_mask
from segue.sessions.align import Matrix
from segue.sessions.base import SessionState
from segue.sessions.components import ComponentTracker, without_small
from segue.sessions.empty_scene import same_shape
from segue.sessions.segmenters import Maps
from segue.types import Image, ObjectInfo, Segmentation

FOREGROUND, SHADOW = 1, 2  # ids in a mask without single objects

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]


class ForegroundMasks:
    """Makes masks and objects of probabilities.

    Args:
        threshold: a pixel is foreground, or shadow, from this probability on; None takes that of the model,
            see :meth:`settle`.
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
        threshold: float | None = None,
        roi: npt.NDArray[np.generic] | None = None,
        min_area: int = 0,
        objects: bool = False,
        shadows: bool = False,
    ) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}, but must lie between 0 and 1")
        if min_area < 0:
            raise ValueError(f"min_area is {min_area}, but must be at least 0")
        if objects and shadows:
            raise ValueError("objects and shadows exclude each other: an id tells either")
        if roi is not None and np.ndim(roi) != 2:
            raise ValueError(f"roi has the shape {np.shape(roi)}, but must be (H, W)")
        self._given, self._threshold = threshold, 0.5 if threshold is None else threshold
        self._roi = None if roi is None else np.asarray(roi) != 0
        self._min_area = min_area
        self._shadows = shadows
        self._tracker = ComponentTracker() if objects else None

    def settle(self, threshold: float) -> None:
        """Take the threshold of a model, if none was given."""
        self._threshold = threshold if self._given is None else self._given

    def check(self, size: tuple[int, int]) -> None:
        """See that the region of interest fits frames of this height and width.

        Raises:
            PromptError: it has another shape.
        """
        if self._roi is not None and not same_shape(size, self._roi.shape):
            (height, width), (rows, columns) = size, self._roi.shape
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
        return SessionState({}, {}) if self._tracker is None else self._tracker.state()

    def restore(self, state: SessionState) -> None:
        if self._tracker is not None:
            self._tracker.restore(state)

    def result(self, index: int, time: float, size: tuple[int, int], maps: Maps) -> Segmentation:
        """The result of a frame.

        Args:
            index, time: of the frame.
            size: height and width of the frame.
            maps: probabilities at the working size, (channels, h, w).
        """
        foreground = _inside(maps[0], size, self._roi)
        mask = without_small(foreground >= self._threshold, self._min_area)
        if self._tracker is not None:
            labels, objects = self._tracker.update(mask, time, foreground)
            lazily = partial(_of_objects, maps[0], size, self._roi, labels, objects)
            return Segmentation(index, time, labels, objects, lazily)
        with_shadow = self._shadows and len(maps) > 1
        lazily = partial(_of_classes, maps[: 2 if with_shadow else 1], size, self._roi)
        both = mask.astype(np.uint8)
        scores = [foreground]
        if with_shadow:
            scores.append(_inside(maps[1], size, self._roi))
            both[(scores[1] >= self._threshold) & ~mask] = SHADOW
        return Segmentation(index, time, both, _summary(both, scores), lazily)

    def nothing(self, index: int, time: float, size: tuple[int, int]) -> Segmentation:
        """The result of a frame on which nothing is looked for yet."""
        return Segmentation(index, time, np.zeros(size, np.uint8))


def _inside(values: Plane, size: tuple[int, int], roi: Mask | None) -> Plane:
    """Probabilities (h, w) at the size of the frame, 0 outside the region of interest."""
    if values.shape != size:
        values = np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    return values if roi is None else np.asarray(values * resize_mask(roi, size), np.float32)


def _summary(mask: npt.NDArray[np.uint8], scores: list[Plane]) -> tuple[ObjectInfo, ...]:
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


def _of_classes(maps: Maps, size: tuple[int, int], roi: Mask | None) -> Maps:
    """Background, foreground and perhaps shadow, which sum to one: shadow is what is not foreground."""
    foreground, *rest = (_inside(item, size, roi) for item in maps)
    shadows = [shadow * (1 - foreground) for shadow in rest]
    return np.stack([1 - foreground - sum(shadows), foreground, *shadows]).astype(np.float32)


def _of_objects(
    values: Plane,
    size: tuple[int, int],
    roi: Mask | None,
    labels: npt.NDArray[np.integer],
    objects: tuple[ObjectInfo, ...],
) -> Maps:
    """Background and each object, which has its probability inside its own piece only."""
    foreground = _inside(values, size, roi)
    each = [np.where(labels == item.id, foreground, 0) for item in objects]
    inside = np.where(labels > 0, foreground, 0)
    return np.stack([1 - inside, *each]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame whose result is still due."""

    index: int
    time: float
    size: tuple[int, int]
    image: Image  # at the working size, as seen from the reference
    matrix: Matrix | None  # from the reference to the frame, or None where both are the same


def queue_state(pending: deque[Pending], due: deque[Segmentation]) -> SessionState:
    """Both queues, to be saved."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for place, item in enumerate(pending):
        arrays[f"image{place}"] = item.image
        if item.matrix is not None:
            arrays[f"matrix{place}"] = item.matrix
    arrays |= {f"mask{place}": result.mask.astype(np.int32) for place, result in enumerate(due)}
    waiting = [[item.index, item.time, item.size] for item in pending]
    return SessionState.of(arrays, {"pending": waiting, "due": [_described(result) for result in due]})


def _described(result: Segmentation) -> dict[str, Any]:
    """A result but for its mask, as JSON values."""
    return {
        "index": result.index,
        "time": result.time,
        "wide": result.mask.dtype == np.uint16,
        "objects": [asdict(item) for item in result.objects],
    }


def queues_of(state: SessionState) -> tuple[deque[Pending], deque[Segmentation]]:
    """What :func:`queue_state` was given."""
    arrays = state.arrays()
    pending = deque(
        Pending(index, time, tuple(size), arrays[f"image{place}"], arrays.get(f"matrix{place}"))
        for place, (index, time, size) in enumerate(state.values["pending"])
    )
    due = deque(_result(arrays[f"mask{place}"], told) for place, told in enumerate(state.values["due"]))
    return pending, due


def _result(mask: npt.NDArray[np.int32], told: Mapping[str, Any]) -> Segmentation:
    """What :func:`_described` was given; its probabilities are those of the mask."""
    objects = (
        ObjectInfo(**{**item, "box": None if item["box"] is None else tuple(item["box"])})
        for item in told["objects"]
    )
    dtype = np.uint16 if told["wide"] else np.uint8
    return Segmentation(told["index"], told["time"], mask.astype(dtype), tuple(objects))
