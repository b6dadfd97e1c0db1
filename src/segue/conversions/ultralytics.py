"""Results in the form of ultralytics: boxes as arrays, lines of text, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segue.conversions.composing import ObjectLike, ResultLike, class_number
from segue.masks.outlines import coco_polygons, yolo_line
from segue.utils.arrays import Float32Array

UNNAMED = "object"
"""Class of an object without a label, as in files."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """The N visible objects of a result, by ascending id.

    Attributes:
        xyxy: ``(x0, y0, x1, y1)`` in pixels around what is visible, (N, 4), float32.
        ids: ids of the objects, (N,), int64.
        scores: scores in [0, 1], (N,), float32.
        classes: numbers of their classes in the ``names`` of the result, (N,), int64.
    """

    xyxy: Float32Array
    ids: npt.NDArray[np.int64]
    scores: Float32Array
    classes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def xywh(self) -> Float32Array:
        """Centre, width and height in pixels, (N, 4), float32, as ultralytics has them."""
        low, high = self.xyxy[:, :2], self.xyxy[:, 2:]
        return np.concatenate([(low + high) / 2, high - low], axis=1)


def visible_objects(result: ResultLike) -> list[ObjectLike]:
    """The objects of a result that have a pixel, in order."""
    return [item for item in result.objects if item.box is not None]


def names_of(result: ResultLike, numbers: MutableMapping[str, int]) -> dict[int, str]:
    """Class names by number; classes of the result that have none get the next one."""
    for item in result.objects:
        class_number(item.label or UNNAMED, numbers)
    return {number: name for name, number in sorted(numbers.items(), key=lambda pair: pair[1])}


def boxes_of(result: ResultLike, numbers: MutableMapping[str, int]) -> Boxes:
    """The boxes of the visible objects; see :attr:`segue.Segmentation.boxes`."""
    visible = visible_objects(result)
    names_of(result, numbers)
    return Boxes(
        np.array([item.box for item in visible], np.float32).reshape(-1, 4),
        np.array([item.id for item in visible], np.int64),
        np.array([item.score for item in visible], np.float32),
        np.array([numbers[item.label or UNNAMED] for item in visible], np.int64),
    )


def yolo_text(result: ResultLike, names: Mapping[int, str], *, scores: bool) -> str:
    """A line for each visible object; see :meth:`segue.Segmentation.save_txt`."""
    places = {name: place for place, name in enumerate(names.values())}
    lines = []
    for item in visible_objects(result):
        line = yolo_line(places[item.label or UNNAMED], result.mask == item.id)
        lines.append(f"{line.rstrip()} {item.score:.6f}\n" if line and scores else line)
    return "".join(lines)


def json_text(result: ResultLike, numbers: MutableMapping[str, int]) -> str:
    """The visible objects as JSON; see :meth:`segue.Segmentation.to_json`."""
    names_of(result, numbers)
    objects = [
        {
            "id": int(item.id),
            "label": item.label,
            "class": numbers[item.label or UNNAMED],
            "score": float(item.score),
            "box": [float(side) for side in item.box or ()],
            "polygons": coco_polygons(result.mask == item.id),
        }
        for item in visible_objects(result)
    ]
    return json.dumps({"index": result.index, "objects": objects})
