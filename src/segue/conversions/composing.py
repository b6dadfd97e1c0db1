"""Masks of single objects as one result."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from segue.errors import PromptError
from segue.masks.measure import measure
from segue.masks.values import MAX_ID
from segue.utils.arrays import BoolArray, Box, IndexMask, id_type

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
