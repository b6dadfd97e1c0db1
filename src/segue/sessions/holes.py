"""Fill holes of moving objects: the panes of a car, through which its surroundings are seen."""

from __future__ import annotations

import cv2
import numpy as np

from segue.arrays import Float32Array

LARGEST = 0.3  # a hole has less than this share of the area of the piece around it ...
DOUBT = 0.4  # ... and a mean probability above this share of the threshold: it may be no scene


def with_holes_filled(foreground: Float32Array, threshold: float) -> Float32Array:
    """Probabilities of foreground that reach the threshold in small doubtful holes of its pieces.

    A hole touches no border of the picture. Gaps in which the scene is seen clearly, as between arm and
    body, stay.
    """
    mask = foreground >= threshold
    count, holes, stats, _ = cv2.connectedComponentsWithStats((~mask).view(np.uint8), connectivity=4)
    height, width = mask.shape
    left, top, right, down, areas = stats.T
    inner = (left > 0) & (top > 0) & (left + right < width) & (top + down < height)
    inner[0] = False  # the foreground
    if not inner.any():
        return foreground
    _, pieces, sizes, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    flat, first = holes.reshape(-1), np.full(count, width)
    places = np.flatnonzero(inner[flat])
    first[flat[places[::-1]]] = places[::-1]  # of repeated numbers the last one counts: the topmost pixel
    around = sizes[pieces.reshape(-1)[first - width], cv2.CC_STAT_AREA]  # of the piece above it
    sums = np.bincount(flat[places], foreground.reshape(-1)[places], count)
    filled = inner & (sums > DOUBT * threshold * areas) & (areas < LARGEST * around)
    if not filled.any():
        return foreground
    return np.where(filled[holes], np.maximum(foreground, np.float32(threshold)), foreground)
