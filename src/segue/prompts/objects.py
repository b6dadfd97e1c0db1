"""Objects of a detector that a first click may mean.

A click cannot tell a part from the whole. A detector has learned on many images how far objects reach, so
that the mask of its box is the whole of which the mask of a click is a part.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from segue.prompts.answers import ImagePrompts, MaskPrediction
from segue.types import Box, Image
from segue.utils.arrays import Float32Array
from segue.weights.prepared import Prepared

if TYPE_CHECKING:
    from segue.models.detection.nanodet import NanoDetPlus

MIN_SCORE, SURE_SCORE = 0.1, 0.3  # of a box that is looked at, and of one whose object may be the answer
MIN_HELD = 0.7  # share of the mask of a click that lies in that of an object, so that it is a part of it
MOST_TIMES, MORE_ODDS = 3.0, 2.0
"""Size of an object in masks of the click of which it is the whole; of a larger one the log-odds of the
predicted IoU must be so much higher. With 0.6 to 0.8, two to four times and 1.5 to 2 the mean of twelve kinds
of images is nearly the same."""

SAME_BOX = 0.8  # IoU of two boxes from which on the second one is not looked at

MOST_BOXES = 2
"""Boxes around a click whose masks are made, until one of them has the click in it."""


def detected_boxes(detector: Prepared[NanoDetPlus], image: Image) -> tuple[Float32Array, Float32Array]:
    """Find the objects of an image.

    Args:
        detector: NanoDet-Plus.
        image: RGB (H, W, 3), uint8.

    Returns:
        Boxes (N, 4), x0, y0, x1, y1 in pixels, and scores (N,) in [0, 1], both float32.
    """
    with detector.inference_guard():
        found = detector.network.detect(image, MIN_SCORE)
    return found.boxes.float().cpu().numpy(), found.scores.float().cpu().numpy()


def boxes_around(
    found: tuple[Float32Array, Float32Array], prompts: ImagePrompts, size: tuple[int, int]
) -> Iterator[tuple[float, Box]]:
    """Boxes with all clicks on an object in them and none beside it.

    Args:
        found: boxes and scores, see :func:`detected_boxes`.
        prompts: clicks that are checked.
        size: height and width of the image.

    Yields:
        Scores and boxes of the best :data:`MOST_BOXES` of them, clipped to the image: a high score counts,
        and of boxes in one another the smaller one.
    """
    boxes, scores = found
    whole = np.clip(np.round(boxes), 0, (size[1], size[0], size[1], size[0]))
    known = [
        (score, (x0, y0, x1, y1))
        for score, (x0, y0, x1, y1) in zip(scores.tolist(), whole.tolist(), strict=True)
        if x1 > x0
        and y1 > y0
        and all(x0 <= x < x1 and y0 <= y < y1 for x, y in prompts.positive)
        and not any(x0 <= x < x1 and y0 <= y < y1 for x, y in prompts.negative)
    ]
    taken: list[Box] = []
    for score, box in sorted(known, key=lambda each: each[0] / sqrt(_area(each[1])), reverse=True):
        if all(_overlap(box, other) < SAME_BOX for other in taken):
            taken.append(box)
            yield score, box
        if len(taken) == MOST_BOXES:
            return


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(one: Box, other: Box) -> float:
    """IoU of two boxes."""
    both = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    shared = _area(both)
    return shared / (_area(one) + _area(other) - shared)


def holds_clicks(answer: MaskPrediction, prompts: ImagePrompts) -> bool:
    """Whether all clicks on the object lie in its mask."""
    return all(answer.mask[int(y), int(x)] for x, y in prompts.positive)


def is_part(clicked: MaskPrediction, whole: MaskPrediction, kind: str) -> bool:
    """Whether the mask of a click is meant as a part of an object.

    Args:
        clicked: the first look at the click alone.
        whole: the first look at the box of the object.
        kind: line of :data:`~segue.prompts.answers.CALIBRATION` for the clicks.

    Returns:
        Whether most of the mask lies in that of the object, and the object is little larger or clearly surer.
    """
    mask, area = clicked.mask, int(clicked.mask.sum())
    if (mask & whole.mask).sum() < MIN_HELD * area:
        return False
    odds, needed = (
        log(share / (1 - share))
        for share in np.clip([whole.calibrated("box").iou[0], clicked.calibrated(kind).iou[0]], 0.02, 0.98)
    )
    return bool(whole.mask.sum() <= MOST_TIMES * area or odds >= needed + MORE_ODDS)
