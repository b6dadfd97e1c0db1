"""How a camera that pans or is carried has moved from one picture to another: a homography."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.align import difference, normalised
from segue.types import Image

Homography = npt.NDArray[np.float64]
"""(3, 3): a point of one picture, in pixels, to where the other picture shows it."""

Mask = npt.NDArray[np.generic]

Method = Literal["features", "ecc"]

LEAST_INLIERS = 0.4  # share of the matches that a motion of the camera must explain
LEAST_MATCHES = 20
LEAST_CORRELATION = 0.6  # of two pictures after ECC

MOST_SHIFT = 0.3
"""Parts of the picture by which a corner may move for pictures that still have enough in common."""

_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
_SMOOTHING = 5


def camera_motion(first: tuple[Image, Mask], second: tuple[Image, Mask]) -> Homography | None:
    """Motion from the first picture to the second by ORB features and RANSAC; None where it is not clear.

    Each comes as RGB (H, W, 3), uint8, with its mask, (H, W), of where objects are: they do not count.
    """
    orb = cv2.ORB.create(1000, fastThreshold=8)
    points = []
    for picture, mask in (first, second):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        points.append(orb.detectAndCompute(grey, (mask == 0).astype(np.uint8) * np.uint8(255)))
    (keys1, codes1), (keys2, codes2) = points
    if not keys1 or not keys2:
        return None
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(codes1, codes2)
    if len(matches) < LEAST_MATCHES:
        return None
    source = np.array([keys1[m.queryIdx].pt for m in matches], np.float32)
    target = np.array([keys2[m.trainIdx].pt for m in matches], np.float32)
    cv2.setRNGSeed(0)
    found: tuple[Any, Any] = cv2.findHomography(source, target, cv2.RANSAC, 2.0)
    matrix, inliers = found
    if matrix is None or inliers.mean() < LEAST_INLIERS:
        return None
    return np.asarray(matrix, np.float64)


def camera_motion_by_ecc(first: tuple[Image, Mask], second: tuple[Image, Mask]) -> Homography | None:
    """The same by maximising the correlation of local structure (Evangelidis, Psarakis 2008).

    It begins where the features lead and is believed only if the pictures then differ less; without
    features it begins with no motion, so that it follows scenes with few corners, too.
    """
    start = camera_motion(first, second)
    begin: Homography = np.asarray(np.eye(3) if start is None else np.linalg.inv(start), np.float64)
    one, other = (
        normalised(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32))
        for picture, _ in (first, second)
    )
    shown = np.asarray(first[1] == 0).astype(np.uint8)
    try:
        # From the second to the first, because the mask is of the picture that is warped.
        correlation, back = cv2.findTransformECC(
            other, one, begin.astype(np.float32), cv2.MOTION_HOMOGRAPHY, _STEPS, shown, _SMOOTHING
        )
    except cv2.error:  # nothing to hold on to
        return start
    found = np.asarray(back, np.float64)
    if correlation < LEAST_CORRELATION or difference(other, one, found) >= difference(other, one, begin):
        return start
    return np.asarray(np.linalg.inv(found), np.float64)


METHODS: dict[Method, Callable[[tuple[Image, Mask], tuple[Image, Mask]], Homography | None]] = {
    "features": camera_motion,
    "ecc": camera_motion_by_ecc,
}
"""Ways to find the motion, by name."""


def is_moderate(matrix: Homography, size: tuple[int, int]) -> bool:
    """Whether no corner of pictures of this height and width moves far."""
    height, width = size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    moved = cv2.perspectiveTransform(corners[None], matrix)[0]
    return bool((np.abs(moved - corners) < MOST_SHIFT * np.array([width, height])).all())


def seen_from(picture: Image, matrix: Homography, fill: Image) -> Image:
    """A picture as another one of its size, ``fill``, sees it; where it shows nothing, ``fill`` itself.

    Both are (H, W, 3) or (H, W), uint8; the matrix leads from ``picture`` to ``fill``.
    """
    height, width = fill.shape[:2]
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
    warped = cv2.warpPerspective(
        picture, matrix, (width, height), fill.copy(), flags=flags, borderMode=border
    )
    return np.asarray(warped, np.uint8)
