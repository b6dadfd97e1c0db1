"""Motion of objects relative to the camera motion."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from segue.flow.providers import Flow
from segue.utils.arrays import Float32Array

GRID = 4  # distance of the pixels whose flow tells the movement of the camera
POINTS = 4  # that tell a movement of the camera, at least
INLIER = 1.0  # pixels by which flow may differ from the camera's and still count as the scene


def against_scene(flow: Flow) -> Float32Array:
    """Subtract the motion of the scene from the flow of each pixel.

    Args:
        flow: motion in pixels, (H, W, 2).

    Returns:
        Distance of the two motions in pixels, (H, W), float32.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width]
    place = np.stack((x, y), -1).astype(np.float32)
    start, end = (item[::GRID, ::GRID].reshape(-1, 1, 2) for item in (place, place + flow))
    enough = len(start) >= POINTS
    camera: Any = cv2.findHomography(start, end, cv2.RANSAC, INLIER)[0] if enough else None
    if camera is None:  # nothing that moves together: then everything counts as it is
        return np.asarray(np.linalg.norm(flow, axis=-1), np.float32)
    expected = cv2.perspectiveTransform(place.reshape(-1, 1, 2), camera).reshape(place.shape)
    return np.asarray(np.linalg.norm(place + flow - expected, axis=-1), np.float32)
