"""Instances with categories and masks, from YouTube-VIS and COCO files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.formats.coco.annotations import DetectedInstance as DetectedInstance
from segue.formats.coco.annotations import Instance as Instance

MAX_CLIP_BYTES = 2**32
"""Maximum bytes of the decoded masks of one clip."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipInstances:
    """Decoded instances of K objects on T frames."""

    ids: npt.NDArray[np.int64]  # of the annotations, (K,)
    labels: npt.NDArray[np.int64]  # numbers of the categories, (K,)
    crowd: npt.NDArray[np.bool_]  # (K,)
    masks: npt.NDArray[np.bool_]  # (K, T, H, W)
    boxes: npt.NDArray[np.float32]  # tight, in pixels, far side exclusive, (K, T, 4); zeros where not visible
    visible: npt.NDArray[np.bool_]  # whether any pixel is set, (K, T)


def decode_clip(instances: Iterable[Instance], frames: Sequence[int], size: tuple[int, int]) -> ClipInstances:
    """Decode the instances visible on at least one of ``frames``, in order."""
    selected = list(frames)
    visible_instances = [item for item in instances if item.masks.areas[selected].any()]
    shape = (len(visible_instances), len(selected), *size)
    if np.prod(shape, dtype=np.float64) > MAX_CLIP_BYTES:
        raise DatasetError(
            f"masks of {len(visible_instances)} objects on {len(selected)} frames are too large; take fewer"
        )
    masks = np.zeros(shape, np.bool_)
    boxes = np.zeros((*shape[:2], 4), np.float32)
    visible = np.zeros(shape[:2], np.bool_)
    for k, item in enumerate(visible_instances):
        visible[k] = item.masks.areas[selected] > 0
        for place in np.flatnonzero(visible[k]):
            masks[k, place] = item.masks.decode(selected[place])
            boxes[k, place] = item.masks.box(selected[place])
    return ClipInstances(
        ids=np.array([item.id for item in visible_instances], np.int64),
        labels=np.array([item.category for item in visible_instances], np.int64),
        crowd=np.array([item.crowd for item in visible_instances], np.bool_),
        masks=masks,
        boxes=boxes,
        visible=visible,
    )
