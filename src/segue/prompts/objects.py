"""Detected objects that a first click may mean.

A click cannot tell a part from the whole. A detector has learned on many images how far objects reach: where
the mask of a click shows a part, that of a detected box shows the object.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np
import torch

from segue.models.detection.boxes import SAME_OBJECT, areas, clip, suppress
from segue.models.detection.detections import TensorDetections, on_cpu
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import MaskPrediction
from segue.types import Box, Image
from segue.weights.prepared import Prepared

if TYPE_CHECKING:
    from segue.models.detection.nanodet import NanoDetPlus

MIN_SCORE, SURE_SCORE = 0.1, 0.3  # of a box that is looked at, and of one whose object may be the answer
MIN_CONTAINED = 0.7  # share of the mask of a click that lies in that of an object, so that it is a part of it
MAX_TIMES, MORE_ODDS = 3.0, 2.0
"""Size of an object in masks of the click of which it is the whole; of a larger one the log-odds of the
predicted IoU must be so much higher. With 0.6 to 0.8, two to four times and 1.5 to 2 the mean of twelve kinds
of images is nearly the same."""

MAX_BOXES = 2
"""Maximum number of boxes around a click that are segmented: for an answer up to the first mask with the
click, for candidates all of them."""


def detected_boxes(detector: Prepared[NanoDetPlus], image: Image) -> TensorDetections:
    """Detect the objects of an image.

    Args:
        detector: NanoDet-Plus.
        image: RGB (H, W, 3), uint8.

    Returns:
        Boxes, scores and classes on the CPU.
    """
    with detector.inference_guard():
        return on_cpu(detector.network.detect(image, MIN_SCORE))


def boxes_with_clicks(
    detections: TensorDetections, prompts: ImagePrompts, size: tuple[int, int]
) -> list[tuple[float, Box]]:
    """Boxes that contain all positive clicks and no negative one.

    Args:
        detections: see :func:`detected_boxes`.
        prompts: clicks that are checked.
        size: height and width of the image.

    Returns:
        Scores and boxes of the best :data:`MAX_BOXES` of them, clipped to the image: a high score counts,
        and of boxes in one another the smaller one.
    """
    boxes = clip(detections.boxes.float().round(), size)
    fits = (boxes[:, 2:] > boxes[:, :2]).all(1)
    for points, is_inside in ((prompts.positive, True), (prompts.negative, False)):
        for point in torch.tensor(points).view(-1, 2):
            fits &= ((boxes[:, :2] <= point) & (point < boxes[:, 2:])).all(1) == is_inside
    boxes, scores = boxes[fits], detections.scores[fits]
    keep_indices = suppress(boxes, scores / areas(boxes).sqrt(), torch.zeros_like(scores), SAME_OBJECT)
    best = keep_indices[:MAX_BOXES]
    best_boxes = ((x0, y0, x1, y1) for x0, y0, x1, y1 in boxes[best].tolist())
    return list(zip(scores[best].tolist(), best_boxes, strict=True))


def holds_clicks(answer: MaskPrediction, prompts: ImagePrompts) -> bool:
    """Whether a mask contains all positive clicks."""
    return all(answer.mask[int(y), int(x)] for x, y in prompts.positive)


def is_part(clicked: MaskPrediction, larger: MaskPrediction, kind: str) -> bool:
    """Whether a click means a part of an object and not the whole.

    Args:
        clicked: the first look at the click alone.
        larger: the first look at the box of the object.
        kind: line of :data:`~segue.prompts.answers.CALIBRATION` for the clicks.

    Returns:
        Whether most of the mask lies in that of the object, and the object is little larger or clearly surer.
    """
    mask, area = clicked.mask, int(clicked.mask.sum())
    if (mask & larger.mask).sum() < MIN_CONTAINED * area:
        return False
    odds, needed = (
        log(share / (1 - share))
        for share in np.clip([larger.calibrated("box").iou[0], clicked.calibrated(kind).iou[0]], 0.02, 0.98)
    )
    return bool(larger.mask.sum() <= MAX_TIMES * area or odds >= needed + MORE_ODDS)
