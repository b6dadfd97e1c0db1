"""Light and shadow that pass over a scene are no objects: in the light around them they look as it does."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from segue.events.scene.working import FloatArray, reduced_mask, working_image
from segue.types import Frame, Segmentation
from segue.utils.arrays import BoolArray

MIN_CONTRAST = 12.0
"""Levels by which an object differs from the scene in the colour that differs most."""

MIN_SHARE = 0.1
"""Share of its pixels that differ so much."""

_BLACK = 8.0
"""Levels that are added before ratios: those of dark pixels are mostly noise."""

_MIN_RING = 8
"""Pixels around an object that are needed to tell the light there."""


class LightFilter:
    """Leaves objects out of results that differ from the scene by the light around them alone.

    The shadow of a cloud has soft edges, of which a session takes parts for objects; so do headlights on a
    road. Their surroundings have become as dark or as bright as they have. What has differed in the light of
    its surroundings once is an object as long as it is listed.
    """

    def __init__(self) -> None:
        self._objects: set[int] = set()  # that have differed

    def see(self, frame: Frame, result: Segmentation, background: FloatArray | None) -> Segmentation:
        """Take a frame and its result; gives the result without what is light.

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
        covered = reduced_mask(result.mask > 0, image.shape)
        differing = {
            number
            for number in hidden
            if (inside := reduced_mask(result.mask == number, image.shape)).any()
            and differs(image, background, inside, covered)
        }
        self._objects |= differing
        hidden -= differing
        if not hidden:
            return result
        mask = np.where(np.isin(result.mask, [*hidden]), 0, result.mask).astype(result.mask.dtype)
        return replace(
            result, mask=mask, objects=tuple(each for each in result.objects if each.id not in hidden)
        )


def differs(image: FloatArray, background: FloatArray, inside: BoolArray, covered: BoolArray) -> bool:
    """Whether an object differs from the background in the light around it.

    Args:
        image: working image (H, W, 3).
        background: the same without objects.
        inside: pixels of the object, (H, W).
        covered: pixels of all objects, (H, W).

    Returns:
        Whether it does, or nobody knows, as where nothing is around it.
    """
    x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
    margin = max(3, max(width, height) // 4)
    part = slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
    near = cv2.dilate(inside[part].view(np.uint8), np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)) > 0
    free = near & (cv2.dilate(covered[part].view(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    if free.sum() < _MIN_RING:
        return True
    levels, empty = image[part] + _BLACK, background[part] + _BLACK
    gains = np.median((levels / empty)[free], axis=0)
    contrast = np.abs(levels - gains * empty).max(-1)[inside[part]]
    return bool((contrast >= MIN_CONTRAST).mean() >= MIN_SHARE)
