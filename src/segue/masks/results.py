"""Masks of single objects as one result, and what is visible of a result as arrays and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks.measure import measure
from segue.masks.outlines import coco_polygons
from segue.masks.values import MAX_ID
from segue.utils.arrays import BoolArray, Box, Float32Array, IndexMask, id_type

Row: TypeAlias = "tuple[int, str | None, float, Box | None, int]"
"""Id, label, score, box and area of an object, as :class:`segue.types.ObjectInfo` has them."""

Composed: TypeAlias = "tuple[IndexMask, list[Row]]"
"""Index mask (H, W) and its objects, by ascending id."""


def class_number(label: str, numbers: MutableMapping[str, int]) -> int:
    """The number of a class; a new one gets the next free number from 1 on."""
    return numbers.setdefault(label, max(numbers.values(), default=0) + 1)


class ObjectLike(Protocol):
    """An object of a result, see :class:`segue.types.ObjectInfo`."""

    @property
    def id(self) -> int: ...
    @property
    def label(self) -> str | None: ...
    @property
    def score(self) -> float: ...
    @property
    def box(self) -> Box | None: ...


class ResultLike(Protocol):
    """The result of a frame, see :class:`segue.types.Segmentation`."""

    @property
    def index(self) -> int: ...
    @property
    def mask(self) -> IndexMask: ...
    @property
    def masks(self) -> BoolArray: ...
    @property
    def objects(self) -> Sequence[ObjectLike]: ...


def composed(
    planes: Iterable[BoolArray],
    size: tuple[int, int],
    ids: Iterable[int] | None,
    labels: Iterable[Any] | None,
    scores: Iterable[float] | None,
) -> Composed:
    """Merge the masks of single objects into one index mask; the object with the best score wins."""
    masks = [np.asarray(plane) != 0 for plane in planes]
    numbers = list(range(1, len(masks) + 1)) if ids is None else [int(i) for i in ids]
    if len(set(numbers)) < len(numbers) or any(not 1 <= i <= MAX_ID for i in numbers):
        raise PromptError(f"ids {numbers}: each object needs one of its own in 1..{MAX_ID}")
    label_list = [None] * len(masks) if labels is None else labels
    names = [None if label is None else str(label) for label in label_list]
    certain = [1.0] * len(masks) if scores is None else [float(score) for score in scores]
    merged = np.zeros(size, id_type(max(numbers, default=0)))
    for place in np.argsort(certain, kind="stable"):
        if masks[place].shape != size:
            (rows, columns), (height, width) = masks[place].shape, size
            raise PromptError(f"a mask is {columns}x{rows} pixels, the frame {width}x{height}")
        merged[masks[place]] = numbers[place]
    extents = measure(merged)
    object_rows: list[Row] = []
    for i, name, score in sorted(zip(numbers, names, certain, strict=True), key=lambda item: item[0]):
        extent = extents.get(i)
        object_rows.append((i, name, score, extent.box, extent.area) if extent else (i, name, 0.0, None, 0))
    return merged, object_rows


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
