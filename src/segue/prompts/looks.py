"""Looks at parts of an image: joined, and whether they show all of an object."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from segue.prompts.answers import Answer

CLOSER_WEIGHT = 2.0


def joined(found: Answer, closer: Answer) -> Answer:
    """Weighted mean of two crops at the resolution of the closer one, which counts twice.

    Regions of a single crop take its masks.
    """
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
