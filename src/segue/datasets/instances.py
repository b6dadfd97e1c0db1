"""Instances of categories with masks: what the readers of YouTube-VIS and COCO files give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.masks.tracks import RleTrack

MAX_CLIP_BYTES = 2**32
"""Most bytes that the decoded masks of one clip may take."""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """An annotated object.

    Attributes:
        id, category: numbers of the annotation and of its category.
        masks: its masks, one for each frame of the video.
        mean_area: mean area in pixels over the frames where it is seen, as the file has it; benchmarks sort
            objects into small, medium and large ones by it.
        crowd: whether it is a group that is not annotated one by one.
    """

    id: int
    category: int
    masks: RleTrack
    mean_area: float
    crowd: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DetectedInstance:
    """An object that some program found; a higher score is a higher confidence."""

    category: int
    score: float
    masks: RleTrack


@dataclass(frozen=True, slots=True, eq=False)
class ClipInstances:
    """Decoded instances of K objects on T frames.

    Attributes:
        ids: numbers of the annotations, (K,), int64.
        labels: numbers of the categories, (K,), int64.
        crowd: whether each is a group, (K,), bool.
        masks: (K, T, H, W), bool.
        boxes: tight ``(x0, y0, x1, y1)`` in pixels, exclusive at the far side, (K, T, 4), float32; zeros
            where the object is not visible.
        visible: whether any pixel is set, (K, T), bool.
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]


def decode_clip(instances: Iterable[Instance], frames: Sequence[int], size: tuple[int, int]) -> ClipInstances:
    """Decode the instances that are visible on at least one of ``frames``, in their order."""
    chosen = list(frames)
    seen = [item for item in instances if item.masks.areas[chosen].any()]
    shape = (len(seen), len(chosen), *size)
    if np.prod(shape, dtype=np.float64) > MAX_CLIP_BYTES:
        raise DatasetError(f"masks of {len(seen)} objects on {len(chosen)} frames are too large; take fewer")
    masks = np.zeros(shape, np.bool_)
    boxes = np.zeros((*shape[:2], 4), np.float32)
    visible = np.zeros(shape[:2], np.bool_)
    for k, item in enumerate(seen):
        visible[k] = item.masks.areas[chosen] > 0
        for place in np.flatnonzero(visible[k]):
            masks[k, place] = item.masks.decode(chosen[place])
            boxes[k, place] = item.masks.box(chosen[place])
    return ClipInstances(
        ids=np.array([item.id for item in seen], np.int64),
        labels=np.array([item.category for item in seen], np.int64),
        crowd=np.array([item.crowd for item in seen], np.bool_),
        masks=masks,
        boxes=boxes,
        visible=visible,
    )
