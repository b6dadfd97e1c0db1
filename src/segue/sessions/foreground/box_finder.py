"""Find the boxes of objects in a frame with a detector that is loaded on first use."""

from __future__ import annotations

from collections.abc import Collection

import torch

from segue.entries.detectors import Detector
from segue.errors import PromptError
from segue.models.geometry import reduced_to
from segue.registry import DETECTORS
from segue.types import Box, Frame, Image

CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
)
"""Classes of COCO that move on their own."""

SCORE = 0.3
"""Minimum score of a box; NanoDet's demonstration has 0.35."""

LARGEST_BOX = 0.5
"""Share of the image from which on a box is too large to locate an object."""

DETECTOR_SIDE = 640
"""Longer side in pixels of the detector's input."""


class BoxFinder:
    """Finds boxes with a detector.

    Args:
        detector: name of a detector that knows classes, or one whose objects have boxes.
        classes: labels that count; None is :data:`CLASSES`.
        device: None selects a GPU if there is one; for a detector by name.
        fast: half precision or 8-bit integers if they are faster on the device; likewise.

    Attributes:
        classes: see above.

    Raises:
        PromptError: the detector is unknown, or knows no classes or not these.
    """

    def __init__(
        self,
        detector: str | Detector,
        classes: Collection[str] | None = None,
        *,
        device: str | int | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        self._name = detector if isinstance(detector, str) else type(detector).__name__
        self._detector = None if isinstance(detector, str) else detector
        self._device, self._fast = device, fast
        class_names: set[str] | None = None
        if isinstance(detector, str):
            entry = DETECTORS.find(detector)
            if "classes" not in entry.supported_options:
                classed = ", ".join(each.name for each in DETECTORS if "classes" in each.supported_options)
                raise PromptError(f"{detector} knows no classes; {classed} do")
            class_names = None if entry.categories is None else set(entry.categories.values())
        if classes is None:
            classes = [name for name in CLASSES if class_names is None or name in class_names]
        elif class_names is not None and (unknown := sorted(set(classes) - class_names)):
            raise PromptError(
                f"{self._name} knows no class {unknown[0]!r}; it knows {', '.join(sorted(class_names))}"
            )
        self.classes = frozenset(classes)

    @property
    def config(self) -> str:
        """Name and classes of the detector, for saved states."""
        return f"{self._name}: {', '.join(sorted(self.classes))}"

    def find(self, image: Image, size: tuple[int, int]) -> tuple[Box, ...]:
        """Find the boxes of an image.

        Args:
            image: RGB (H, W, 3), uint8.
            size: height and width of the image in whose pixels the boxes are.

        Returns:
            Boxes, x0, y0, x1, y1, without those that cover half of the image.
        """
        if self._detector is None:
            from segue.sessions.detecting import box_detector  # most sessions never look

            self._detector = box_detector(
                self._name, self.classes, score=SCORE, device=self._device, fast=self._fast
            )
        reduced = reduced_to(image, DETECTOR_SIDE)
        down, right = size[0] / reduced.shape[0], size[1] / reduced.shape[1]
        boxes = []
        for item in self._detector(Frame(0, 0.0, reduced)).objects:
            if item.box is None or (item.label is not None and item.label not in self.classes):
                continue
            x0, y0, x1, y1 = item.box
            if (x1 - x0) * (y1 - y0) < LARGEST_BOX * reduced.shape[0] * reduced.shape[1]:
                boxes.append((x0 * right, y0 * down, x1 * right, y1 * down))
        return tuple(boxes)
