"""Convert results to and from ``Detections`` of supervision."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from segue.errors import PromptError, SegueError
from segue.masks.measure import Composed, ResultLike, class_number, composed, fill_boxes, measure

if TYPE_CHECKING:
    from supervision import Detections


def from_supervision(detections: Any, size: tuple[int, int] | None) -> Composed:
    """Convert ``Detections`` of an image; see :meth:`segue.Segmentation.from_supervision`."""
    if detections.mask is None:
        if size is None:
            raise PromptError("these detections have boxes alone: give the size of the image as well")
        planes = [fill_boxes({1: (x0, y0, x1, y1)}, size) > 0 for x0, y0, x1, y1 in detections.xyxy.tolist()]
    else:
        planes = list(detections.mask)
        size = size or tuple(detections.mask.shape[1:])
    return composed(planes, size, detections.tracker_id, labels_of(detections), detections.confidence)


def labels_of(detections: Any) -> Any:
    """Class names of ``Detections``, or class numbers, or None."""
    return detections.data.get("class_name", detections.class_id)


def to_supervision(
    result: ResultLike, numbers: MutableMapping[str, int] | None, *, whole: bool = False
) -> Detections:
    """Convert a result to ``Detections``; see :meth:`segue.Segmentation.to_supervision`."""
    try:
        from supervision import Detections
    except ImportError as error:
        raise SegueError(f"{error}: install supervision (pip install supervision)") from error
    size = result.mask.shape
    visible = (result.mask == item.id for item in result.objects)
    pairs = zip(result.objects, result.masks if whole else visible, strict=True)
    planes = [(item, plane) for item, plane in pairs if plane.any()]
    labels = [item.label or "object" for item, _ in planes]
    numbers = {} if numbers is None else numbers
    boxes = [measure(plane.astype(np.uint8))[1].box for _, plane in planes]
    return Detections(
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        mask=np.stack([plane for _, plane in planes]) if planes else np.zeros((0, *size), np.bool_),
        confidence=np.array([item.score for item, _ in planes], np.float32),
        class_id=np.array([class_number(label, numbers) for label in labels], np.int64),
        tracker_id=np.array([item.id for item, _ in planes], np.int64),
        data={"class_name": np.array(labels, np.str_)},
    )
