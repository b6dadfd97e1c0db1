"""Convert results and labels to and from FiftyOne.

FiftyOne is not needed to read its labels, only to make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from segue.errors import PromptError, SegueError
from segue.masks.measure import Composed, ResultLike, composed, measure, resize_mask
from segue.utils.arrays import BoolArray
from segue.utils.inputs import is_number, kind_of


def to_fiftyone(result: ResultLike) -> Any:
    """Convert a result to FiftyOne's ``Detections``; see :meth:`segue.Segmentation.to_fiftyone`."""
    fiftyone = _fiftyone()
    return fiftyone.Detections(
        detections=[fiftyone.Detection(**values) for values in detection_values(result)]
    )


def detection_values(result: ResultLike) -> Iterator[dict[str, Any]]:
    """Fields of a FiftyOne ``Detection`` for each visible object."""
    height, width = result.mask.shape
    extents = measure(result.mask)
    for item in result.objects:
        if item.id in extents:
            x0, y0, x1, y1 = (int(side) for side in extents[item.id].box)
            yield {
                "label": item.label or "object",
                "bounding_box": [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
                "mask": result.mask[y0:y1, x0:x1] == item.id,
                "index": item.id,
                "confidence": float(item.score),
            }


def from_fiftyone(labels: Any, size: tuple[int, int]) -> Composed:
    """Convert FiftyOne's labels of an image; see :meth:`segue.Segmentation.from_fiftyone`."""
    if hasattr(labels, "detections"):
        detections = list(labels.detections)
        planes = [_plane(item, size) for item in detections]
        indices = [item.index for item in detections]
        ids = None if None in indices else [int(number) for number in indices]
        names = [item.label or "object" for item in detections]
        scores = [1.0 if item.confidence is None else float(item.confidence) for item in detections]
        return composed(planes, size, ids, names, scores)
    mask = labels.get_mask() if hasattr(labels, "get_mask") else None
    if mask is None:
        raise PromptError(f"{kind_of(labels)}: give FiftyOne's Detections, or a Segmentation with its mask")
    resized = resize_mask(np.asarray(mask), size)
    numbers = [int(number) for number in np.unique(resized) if number]
    planes = [resized == number for number in numbers]
    return composed(planes, size, numbers, None, None)


def add_results(sample: Any, results: Iterable[ResultLike], field: str = "segue") -> None:
    """Add results to the frames of a FiftyOne video sample while they are computed.

    Args:
        sample: a video sample; it is saved if it belongs to a data set.
        results: results of its video, such as :func:`segue.track` gives them.
        field: name of the field of each frame; its content is replaced.

    Raises:
        SegueError: FiftyOne is not installed.
    """
    for result in results:
        sample.frames[result.index + 1][field] = to_fiftyone(result)  # it counts frames from 1
    if sample.in_dataset:
        sample.save()


def _plane(item: Any, size: tuple[int, int]) -> BoolArray:
    """Mask (H, W) of a ``Detection``: its mask inside its box, or the whole box."""
    height, width = size
    box = item.bounding_box
    if not isinstance(box, (list, tuple)) or len(box) != 4 or not all(map(is_number, box)):
        raise PromptError("a detection of FiftyOne has no bounding box of four numbers")
    x, y, w, h = (float(side) for side in box)
    x0, y0 = max(0, round(x * width)), max(0, round(y * height))
    x1, y1 = min(width, round((x + w) * width)), min(height, round((y + h) * height))
    plane = np.zeros(size, np.bool_)
    if x1 <= x0 or y1 <= y0:
        return plane
    mask = item.get_mask() if hasattr(item, "get_mask") else item.mask
    inside = np.ones((1, 1), np.bool_) if mask is None else np.asarray(mask) > 0
    plane[y0:y1, x0:x1] = resize_mask(inside, (y1 - y0, x1 - x0))
    return plane


def _fiftyone() -> Any:
    try:
        import fiftyone
    except ImportError as error:
        raise SegueError(f"{error}: install FiftyOne (pip install fiftyone)") from error
    return fiftyone
