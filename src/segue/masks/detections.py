"""Results and detections of other programs: COCO records and the ``Detections`` of supervision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from segue.arrays import BoolArray
from segue.errors import PromptError, SegueError
from segue.masks.measure import fill_boxes, measure
from segue.masks.tracks import RleTrack
from segue.masks.values import MAX_ID
from segue.types import ObjectInfo, Segmentation


def composed(
    planes: Iterable[BoolArray],
    size: tuple[int, int],
    ids: Iterable[int] | None,
    labels: Iterable[Any] | None,
    scores: Iterable[float] | None,
    index: int,
    time: float,
) -> Segmentation:
    """Merge the masks of single objects into one result; the object with the best score wins."""
    masks = [np.asarray(plane) != 0 for plane in planes]
    numbers = list(range(1, len(masks) + 1)) if ids is None else [int(i) for i in ids]
    if len(set(numbers)) < len(numbers) or any(not 1 <= i <= MAX_ID for i in numbers):
        raise PromptError(f"ids {numbers}: each object needs one of its own in 1..{MAX_ID}")
    names = [None] * len(masks) if labels is None else [str(label) for label in labels]
    certain = [1.0] * len(masks) if scores is None else [float(score) for score in scores]
    merged = np.zeros(size, np.uint16 if max(numbers, default=0) > 255 else np.uint8)
    for place in np.argsort(certain, kind="stable"):
        if masks[place].shape != size:
            (rows, columns), (height, width) = masks[place].shape, size
            raise PromptError(f"a mask is {columns}x{rows} pixels, the frame {width}x{height}")
        merged[masks[place]] = numbers[place]
    extents = measure(merged)
    objects = []
    for i, name, score in sorted(zip(numbers, names, certain, strict=True), key=lambda item: item[0]):
        seen = extents.get(i)
        objects.append(ObjectInfo(i, name, score, seen.box, seen.area) if seen else ObjectInfo(i, name, 0.0))
    return Segmentation(index, time, merged, tuple(objects))


def from_coco(
    records: Iterable[Mapping[str, Any]],
    size: tuple[int, int],
    names: Mapping[int, str] | None,
    index: int,
    time: float,
) -> Segmentation:
    """COCO results or annotations of one image; see :meth:`segue.Segmentation.from_coco`."""
    planes, ids, labels, scores = [], [], [], []
    for number, record in enumerate(records, start=1):
        if record.get("segmentation") is None:
            x, y, w, h = record["bbox"]
            planes.append(fill_boxes({1: (x, y, x + w, y + h)}, size) > 0)
        else:
            planes.append(RleTrack.parse([record["segmentation"]], size).decode(0))
        ids.append(int(record.get("track_id", number)))
        category = int(record["category_id"])
        labels.append((names or {}).get(category, str(category)))
        scores.append(float(record.get("score", 1.0)))
    return composed(planes, size, ids, labels, scores, index, time)


def from_supervision(detections: Any, size: tuple[int, int] | None, index: int, time: float) -> Segmentation:
    """supervision's ``Detections`` of one image; see :meth:`segue.Segmentation.from_supervision`."""
    if detections.mask is None:
        if size is None:
            raise PromptError("these detections have boxes alone: give the size of the image as well")
        planes = [fill_boxes({1: (x0, y0, x1, y1)}, size) > 0 for x0, y0, x1, y1 in detections.xyxy.tolist()]
    else:
        planes = list(detections.mask)
        size = size or tuple(detections.mask.shape[1:])
    names = detections.data.get("class_name")
    if names is None and detections.class_id is not None:
        names = detections.class_id
    return composed(planes, size, detections.tracker_id, names, detections.confidence, index, time)


def to_supervision(result: Segmentation) -> Any:
    """supervision's ``Detections`` of what is visible; see :meth:`segue.Segmentation.to_supervision`."""
    try:
        from supervision import Detections
    except ImportError as error:
        raise SegueError(f"{error}: install supervision (pip install supervision)") from error
    seen = [item for item in result.objects if item.box is not None]
    if not seen:
        return Detections.empty()
    labels = [item.label or "object" for item in seen]
    classes = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return Detections(
        xyxy=np.array([item.box for item in seen], np.float32),
        mask=np.stack([result.mask == item.id for item in seen]),
        confidence=np.array([item.score for item in seen], np.float32),
        class_id=np.array([classes[label] for label in labels]),
        tracker_id=np.array([item.id for item in seen]),
        data={"class_name": np.array(labels)},
    )
