"""Text files of the MOT Challenge: boxes (MOT) and run lengths (MOTS), a line for each object and frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segue.errors import SinkError
from segue.masks import encode_objects, measure
from segue.sinks.base import FileSink, Size, sized_mask, sized_masks
from segue.types import Box, Frame, Segmentation

MOTS_CLASSES = {"car": 1, "pedestrian": 2, "person": 2}
"""Classes of MOTS by name."""

MOTS_FREE, MOTS_IGNORED = 3, 10
"""Other classes get numbers from the first on, but for the second, which stands for ignored regions."""

MOTS_OBJECTS = 1000
"""MOTS writes an object as this number times its class, plus its own id, which is smaller."""


class ChallengeSink(FileSink):
    """Writes lines of text; frames are counted from 1."""

    def __init__(self, path: str | Path, *, size: Size = None) -> None:
        super().__init__(path, size)
        self._stream = self._file.path.open("w", encoding="ascii")

    def _complete(self) -> None:
        self._stream.close()

    def _release(self) -> None:
        self._stream.close()


class MotSink(ChallengeSink):
    """Writes results of the MOT Challenge: ``frame, id, left, top, width, height, score, -1, -1, -1``.

    Pixels are counted from 1, as there. An object has a line on each frame on which it is visible.

    Args:
        path: file to write, ending in ``.txt``.
        size: height and width to which boxes refer; None is the size of the masks.
        whole: write boxes around whole masks, also behind others; else around what is visible.
    """

    def __init__(self, path: str | Path, *, size: Size = None, whole: bool = False) -> None:
        super().__init__(path, size=size)
        self._whole_masks = whole

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        boxes = self._boxes(segmentation)
        for item in segmentation.objects:
            if item.id in boxes:
                x0, y0, x1, y1 = (int(side) for side in boxes[item.id])
                place = f"{x0 + 1},{y0 + 1},{x1 - x0},{y1 - y0}"
                self._stream.write(f"{segmentation.index + 1},{item.id},{place},{item.score:g},-1,-1,-1\n")

    def _boxes(self, segmentation: Segmentation) -> dict[int, Box]:
        """Boxes of the objects by id."""
        if not self._whole_masks:
            extents = measure(sized_mask(segmentation, self._size))
            return {number: extent.box for number, extent in extents.items()}
        masks = sized_masks(segmentation, self._size)
        return {number: measure(plane.view(np.uint8))[1].box for number, plane in masks if plane.any()}


class MotsSink(ChallengeSink):
    """Writes MOTS: ``frame 1000*class+id class height width run-lengths``.

    Class 1 is a car and 2 a pedestrian; other labels get the next free numbers, objects without a label 2.

    Args:
        path: file to write, ending in ``.txt``.
        size: height and width of the masks; None keeps the size of each mask.

    Raises:
        SinkError: an object has an id beyond 999, for which the format has no room.
    """

    def __init__(self, path: str | Path, *, size: Size = None) -> None:
        super().__init__(path, size=size)
        self._classes: dict[str, int] = dict(MOTS_CLASSES)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        mask = sized_mask(segmentation, self._size)
        height, width = mask.shape
        visible = measure(mask)
        kinds = {item.id: self._class(item.label) for item in segmentation.objects if item.id in visible}
        for number, rle in encode_objects(mask, kinds).items():
            if number >= MOTS_OBJECTS:
                raise SinkError(
                    f"frame {segmentation.index}: MOTS has no room for object {number}, only to 999"
                )
            kind = kinds[number]
            self._stream.write(
                f"{segmentation.index + 1} {MOTS_OBJECTS * kind + number} {kind} {height} {width} "
                f"{rle['counts']}\n"
            )

    def _class(self, label: str | None) -> int:
        if label is None:
            return MOTS_CLASSES["pedestrian"]
        name = label.lower()
        if name not in self._classes:
            number = max(MOTS_FREE, max(self._classes.values()) + 1)
            self._classes[name] = number + (number == MOTS_IGNORED)
        return self._classes[name]
