"""Looks at parts of an image: joined, cut off by their window or not, and the IoU that they let expect."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from segue.arrays import Float32Array
from segue.prompts.answers import Answer, Prompts

CLOSER_WEIGHT = 2.0


def joined(found: Answer, closer: Answer) -> Answer:
    """Mean of two looks at the resolution of the closer one, which counts twice."""
    x0, y0 = np.minimum(found.window[:2], closer.window[:2]).tolist()
    x1, y1 = np.maximum(found.window[2:], closer.window[2:]).tolist()
    left, top, right, bottom = closer.window
    columns = max(1, round((x1 - x0) * closer.planes.shape[2] / (right - left)))
    rows = max(1, round((y1 - y0) * closer.planes.shape[1] / (bottom - top)))
    across = x0 + (np.arange(columns, dtype=np.float32) + 0.5) * (x1 - x0) / columns  # centres of the pixels
    down = y0 + (np.arange(rows, dtype=np.float32) + 0.5) * (y1 - y0) / rows
    total, count = np.zeros((len(found), rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for look, weight in ((found, 1.0), (closer, CLOSER_WEIGHT)):
        left, top, right, bottom = look.window
        height, width = look.planes.shape[1:]
        map_x = np.tile((across - left) * width / (right - left) - 0.5, (rows, 1)).astype(np.float32)
        map_y = np.tile(((down - top) * height / (bottom - top) - 0.5)[:, None], columns).astype(np.float32)
        inside = ((down >= top) & (down < bottom))[:, None] & (across >= left) & (across < right)
        shown = np.where(inside, np.float32(weight), np.float32(0))
        for plane, sum_ in zip(look.planes, total, strict=True):
            sum_ += shown * cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        count += shown
    planes = np.asarray(total / np.maximum(count, 1), np.float32)
    iou = np.asarray((found.iou + closer.iou) / 2, np.float32)
    return replace(found, window=(x0, y0, x1, y1), planes=planes, iou=iou)


def cut_off(found: Answer) -> bool:
    """Whether the first mask reaches an edge of its window that is not one of the image."""
    inside = found.planes[0] > 0.5
    x0, y0, x1, y1 = found.window
    return bool(
        (x0 > 0 and inside[:, 0].any())
        or (y0 > 0 and inside[0].any())
        or (x1 < found.size[1] and inside[:, -1].any())
        or (y1 < found.size[0] and inside[-1].any())
    )


CALIBRATION = {
    "box": (0.17, 0.68, 0.2, -0.72),
    "click": (1.7, 0.0, 0.0, -2.61),
    "mask": (0.58, 0.39, 0.52, -2.07),
}
"""Weights of :func:`evidence` and an offset, whose sum is the log-odds of the IoU, for a box, a first click,
and a mask so far: least squares (soft beyond 0.1, weights at least 0.1) on 102 objects of left-out stills and
26 frames of DAVIS val. Of a first click only the prediction of the network counts, fitted to 154 objects of
left-out stills; what else there is helped with some clicks and harmed with others. The network alone is too
sure of first clicks, since it is the surest of several crops that is taken."""


def evidence(answer: Answer) -> Float32Array:
    """Features for the expected IoU of masks: (3, K), log-odds of numbers in [0.01, 0.99].

    Rows are what the network predicts; what the probabilities of the mask let one expect, as in
    :func:`segue.sessions.track.expected_overlap`; and the least IoU with one of the other masks. Where the
    guesses differ, it is open what is meant, and the network alone is too sure.
    """
    planes = answer.planes.reshape(len(answer), -1)
    inside = planes > 0.5
    sure = (planes * inside).sum(1) / np.maximum((inside + planes * ~inside).sum(1), 1e-6)
    shared = inside.astype(np.float32) @ inside.T.astype(np.float32)
    areas = inside.sum(1)
    agreed = (shared / np.maximum(areas[:, None] + areas - shared, 1)).min(1)
    shares = np.stack([answer.iou, sure, agreed]).clip(0.01, 0.99)
    return np.asarray(np.log(shares / (1 - shares)), np.float32)


def expected_iou(kind: str, seen: Float32Array) -> Float32Array:
    """The IoU that evidence lets one expect."""
    *weights, offset = CALIBRATION[kind]
    return np.asarray(1 / (1 + np.exp(-np.array(weights) @ seen - offset)), np.float32)


def calibration_of(prompts: Prompts) -> str:
    """By which line of :data:`CALIBRATION` the IoU is predicted; it follows from the prompts alone."""
    if prompts.box is not None:
        return "box"
    given = [*prompts.points, *prompts.negative, *(stroke[0] for stroke in prompts.scribble)]
    if len(given) != 1 or not prompts.positive:
        return "mask"
    known = prompts.mask is None or all(prompts.mask[int(y), int(x)] > 0.5 for x, y in prompts.positive)
    return "click" if known else "mask"
