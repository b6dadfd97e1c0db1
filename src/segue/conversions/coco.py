"""COCO records of one image, such as results of detectors and of SAM's mask generator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from segue.conversions.composing import Composed, composed
from segue.errors import DatasetError
from segue.masks.rle import decode_rle
from segue.masks.shapes import Canvas
from segue.utils.arrays import BoolArray


def from_coco(
    records: Iterable[Mapping[str, Any]], size: tuple[int, int], names: Mapping[int, str] | None
) -> Composed:
    """COCO results or annotations of one image; see :meth:`segue.Segmentation.from_coco`."""
    canvas = Canvas.of(size)
    planes: list[BoolArray] = []
    ids: list[int] = []
    labels: list[str | None] = []
    scores: list[float] = []
    for number, record in enumerate(records, start=1):
        try:
            counts = canvas.record(record)
        except DatasetError as error:
            raise DatasetError(f"record {number}: {error}") from None
        planes.append(decode_rle({"size": [*size], "counts": counts.decode("ascii")}))
        ids.append(int(record.get("track_id", number)))
        category = record.get("category_id")
        labels.append(None if category is None else (names or {}).get(int(category), str(int(category))))
        score = record.get("score", record.get("predicted_iou"))
        scores.append(1.0 if score is None else float(score))
    return composed(planes, size, ids, labels, scores)
