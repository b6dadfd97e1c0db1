"""Measure objects of index masks, and compose, resize and convert masks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks.outlines import coco_polygons
from segue.masks.rle import encode_rle
from segue.masks.values import MAX_ID
from segue.utils.arrays import BoolArray, Box, Float32Array, IndexMask, id_type


@dataclass(frozen=True, slots=True)
class ObjectExtent:
    """Box and area of an object.

    Attributes:
        area: number of pixels, at least 1.
        box: tight ``(x0, y0, x1, y1)``, exclusive at the far side.
    """

    area: int
    box: Box


MIN_SIDE = 60
"""Shorter side of the image divided by the side of the smallest object, a square, that is tracked."""


def min_object_area(size: tuple[int, ...]) -> float:
    """Area in pixels of the smallest object worth tracking, for images of this size."""
    return (min(size[:2]) / MIN_SIDE) ** 2


def iou(one: BoolArray, other: BoolArray) -> float:
    """Intersection over union of two masks of one shape, in [0, 1]; 0 if both are empty."""
    return float((one & other).sum() / max(1, int((one | other).sum())))


def measure(mask: IndexMask, origin: tuple[int, int] = (0, 0)) -> dict[int, ObjectExtent]:
    """Measure all objects of an index mask in one pass.

    Args:
        mask: index mask (H, W).
        origin: column and row of its first pixel, for boxes in the image of which it is a part.

    Returns:
        Area in pixels and box of every id but 0, in ascending order of id.
    """
    if not mask.any():  # most frames of a camera
        return {}
    last = np.ones(mask.shape, np.bool_)  # of a run
    np.not_equal(mask[:, 1:], mask[:, :-1], out=last[:, :-1])
    ends = np.flatnonzero(last)
    values, lengths = mask.ravel()[ends], np.diff(ends, prepend=-1)
    inside = values != 0
    ends, values, lengths = ends[inside], values[inside], lengths[inside]
    rows, columns = np.divmod(ends, max(mask.shape[1], 1))
    ids, firsts, owners = np.unique(values, return_index=True, return_inverse=True)
    areas = np.bincount(owners, lengths, len(ids)).astype(np.intp)
    left, right, bottom = (
        np.full(len(ids), mask.shape[1]),
        np.zeros(len(ids), np.intp),
        np.zeros(len(ids), np.intp),
    )
    np.minimum.at(left, owners, columns - lengths + 1)
    np.maximum.at(right, owners, columns + 1)
    np.maximum.at(bottom, owners, rows + 1)
    boxes = np.stack([left, rows[firsts], right, bottom], axis=1).astype(np.float64) + (origin * 2)
    extents = map(ObjectExtent, areas.tolist(), map(tuple, boxes.tolist()))
    return dict(zip(ids.tolist(), extents, strict=True))


def fill_boxes(boxes: Mapping[int, Box], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Draw filled boxes; later ones cover earlier ones.

    Args:
        boxes: boxes in pixels by id; corners are rounded down to whole pixels, as in the STCN report.
        size: height and width of the mask; boxes are clipped to it.

    Returns:
        Index mask (H, W), uint8.
    """
    mask = np.zeros(size, np.uint8)
    for number, box in boxes.items():
        x0, y0, x1, y1 = (max(0, int(side)) for side in box)
        mask[y0:y1, x0:x1] = number
    return mask


def resize_mask(mask: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Resize an index mask by nearest neighbour; enlarging and reducing again is lossless.

    Args:
        mask: index mask (H, W).
        size: new height and width.

    Returns:
        Index mask of this size; ``mask`` itself, not a copy, if it has this size already.
    """
    if mask.shape == size:
        return mask
    rows = _nearest(mask.shape[0], size[0])
    columns = _nearest(mask.shape[1], size[1])
    return np.asarray(mask[rows][:, columns])


def _nearest(old: int, new: int) -> npt.NDArray[np.intp]:
    return (2 * np.arange(new) + 1) * old // (2 * new)


Row: TypeAlias = "tuple[int, str | None, float, Box | None, int, str | None]"
"""Id, label, score, box, area and, if others hide a part, run lengths of the whole mask of an object, as
:class:`segue.types.ObjectInfo` has them."""

Composed: TypeAlias = "tuple[IndexMask, list[Row]]"
"""Index mask (H, W), and its objects by ascending id."""


def class_number(label: str, numbers: MutableMapping[str, int]) -> int:
    """Number of a class; new classes get the next free number from 1 on."""
    return numbers.setdefault(label, max(numbers.values(), default=0) + 1)


class ObjectLike(Protocol):
    """Protocol of an object of a result, see :class:`segue.types.ObjectInfo`."""

    @property
    def id(self) -> int: ...
    @property
    def label(self) -> str | None: ...
    @property
    def score(self) -> float: ...
    @property
    def box(self) -> Box | None: ...


class ResultLike(Protocol):
    """Protocol of the result of a frame, see :class:`segue.types.Segmentation`."""

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
    """Merge masks of objects into one index mask; the best score wins."""
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
    whole = {
        i: encode_rle(plane)["counts"]
        for i, plane in zip(numbers, masks, strict=True)
        if np.count_nonzero(plane) > (extents[i].area if i in extents else 0)
    }
    object_rows: list[Row] = []
    for i, name, score in sorted(zip(numbers, names, certain, strict=True), key=lambda item: item[0]):
        extent = extents.get(i)
        visible = (score, extent.box, extent.area) if extent else (0.0, None, 0)
        object_rows.append((i, name, *visible, whole.get(i)))
    return merged, object_rows


UNNAMED = "object"
"""Class of an object without a label, as in files."""


_OF_ULTRALYTICS = {"id": "ids", "conf": "scores", "cls": "classes", "data": "xyxy"}


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes of the N visible objects of a result, by ascending id.

    Attributes:
        xyxy: ``(x0, y0, x1, y1)`` in pixels around visible parts, (N, 4), float32.
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

    def __getattr__(self, name: str) -> Any:
        """Raise an error that names the equivalent of an attribute of ultralytics."""
        same = _OF_ULTRALYTICS.get(name)
        hint = f"; it is called {same} here" if same else ""
        raise AttributeError(f"Boxes have no {name!r}{hint}", name=name, obj=self)

    @property
    def xywh(self) -> Float32Array:
        """Centre, width and height in pixels, (N, 4), float32, as in ultralytics."""
        low, high = self.xyxy[:, :2], self.xyxy[:, 2:]
        return np.concatenate([(low + high) / 2, high - low], axis=1)


def visible_objects(result: ResultLike) -> list[ObjectLike]:
    """Objects of a result with at least one pixel, in order."""
    return [item for item in result.objects if item.box is not None]


def names_of(result: ResultLike, numbers: MutableMapping[str, int]) -> dict[int, str]:
    """Class names by number; classes of the result without a number get the next one."""
    for item in result.objects:
        class_number(item.label or UNNAMED, numbers)
    return {number: name for name, number in sorted(numbers.items(), key=lambda pair: pair[1])}


def boxes_of(result: ResultLike, numbers: MutableMapping[str, int]) -> Boxes:
    """Boxes of the visible objects; see :attr:`segue.Segmentation.boxes`."""
    visible = visible_objects(result)
    names_of(result, numbers)
    return Boxes(
        np.array([item.box for item in visible], np.float32).reshape(-1, 4),
        np.array([item.id for item in visible], np.int64),
        np.array([item.score for item in visible], np.float32),
        np.array([numbers[item.label or UNNAMED] for item in visible], np.int64),
    )


def json_text(result: ResultLike, numbers: MutableMapping[str, int]) -> str:
    """Format the visible objects as JSON; see :meth:`segue.Segmentation.to_json`."""
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
