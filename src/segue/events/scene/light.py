"""Remove moving light and shadow, which differ from the background by local brightness only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segue.events.scene.working import (
    MIN_CONTRAST,
    FloatArray,
    local_contrast,
    reduced_labels,
    working_image,
)
from segue.types import Frame, Segmentation
from segue.utils.arrays import BoolArray

MIN_SHARE = 0.1
"""Share of an object's pixels that must differ; larger values remove objects."""


class LightFilter:
    """Removes objects from results that differ from the background by local brightness only.

    The shadow of a cloud has soft edges, of which a session takes parts for objects; so do headlights on a
    road. Their surroundings have become as dark or as bright as they have. A region that once differed in the
    light of its surroundings is an object as long as it is listed.
    """

    def __init__(self) -> None:
        self._objects: set[int] = set()  # that have differed

    def update(self, frame: Frame, result: Segmentation, background: FloatArray | None) -> Segmentation:
        """Remove light and shadow from the result of a frame.

        Args:
            frame: the frame.
            result: its result.
            background: the working image without objects, see :func:`.working.working_image`; None where
                nobody knows it.

        Returns:
            The result, without objects that are light.
        """
        self._objects.intersection_update(result.ids)
        hidden = {item.id for item in result.objects} - self._objects
        if not hidden:
            return result
        image = working_image(frame.image)
        if background is None or background.shape != image.shape:
            self._objects |= hidden
            return result
        labels = reduced_labels(result.mask, image.shape)
        differing = {
            number
            for number in hidden
            if (inside := labels == number).any() and _differs(image, background, inside, labels > 0)
        }
        self._objects |= differing
        hidden -= differing
        if not hidden:
            return result
        mask = np.where(np.isin(result.mask, [*hidden]), 0, result.mask).astype(result.mask.dtype)
        return replace(
            result, mask=mask, objects=tuple(each for each in result.objects if each.id not in hidden)
        )


def _differs(image: FloatArray, background: FloatArray, inside: BoolArray, covered: BoolArray) -> bool:
    """Whether an object differs from the background after local brightness is removed, or may do so."""
    local = local_contrast(image, background, inside, covered)
    if local is None:
        return True
    part, contrast = local
    return bool((contrast[inside[part]] >= MIN_CONTRAST).mean() >= MIN_SHARE)
