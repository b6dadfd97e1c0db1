"""Masks of one image from COCO results or annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from segue.errors import ArgumentError, DatasetError
from segue.masks import decode_rle
from segue.masks.measure import Composed, composed
from segue.masks.shapes import Canvas
from segue.utils.arrays import BoolArray


def from_coco(
    records: Iterable[Mapping[str, Any]] | Mapping[str, Any],
    size: tuple[int, int] | None,
    names: Mapping[int, str] | None,
    index: int,
) -> Composed:
    """Convert COCO results or annotations of one image; see :meth:`segue.Segmentation.from_coco`."""
    if isinstance(records, Mapping):
        records, size, names = _select_image(records, size, names, index)
    if size is None:
        raise ArgumentError("size: give height and width of the image of these records")
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


def _select_image(
    content: Mapping[str, Any], size: tuple[int, int] | None, names: Mapping[int, str] | None, index: int
) -> tuple[list[Mapping[str, Any]], tuple[int, int], Mapping[int, str]]:
    """Select annotations, size and class names of one image of a COCO file."""
    try:
        images = sorted(content["images"], key=lambda image: image.get("frame_index", image["id"]))
        places = {image.get("frame_index", place): image for place, image in enumerate(images)}
        if index not in places:
            raise DatasetError(f"index: it has no image {index}; it has {len(images)} from {min(places)} on")
        image = places[index]
        names_of_file = {int(item["id"]): str(item["name"]) for item in content.get("categories", ())}
        records = [item for item in content["annotations"] if item["image_id"] == image["id"]]
        return records, size or (int(image["height"]), int(image["width"])), names_of_file | dict(names or {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"is no COCO file of annotations ({type(error).__name__}: {error})") from None
