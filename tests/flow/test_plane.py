"""The motion of a plane is that with which a picture was moved."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.errors import FlowError
from segue.flow.plane import plane_motion

OUTLINE = np.array([[60, 40], [180, 40], [180, 140], [60, 140]], np.float64)


def true_motion(frame: int) -> np.ndarray:
    """A turn with a little perspective, and a shift."""
    angle, s = 0.01 * frame, 1 + 0.005 * frame
    return np.array(
        [
            [s * np.cos(angle), -np.sin(angle), 1.5 * frame],
            [np.sin(angle), s * np.cos(angle), -0.5 * frame],
            [2e-5 * frame, 0, 1],
        ]
    )


def test_a_picture_is_followed_as_it_moves() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (45, 60, 3)).astype(np.uint8)
    texture = cv2.resize(noise, (240, 180), interpolation=cv2.INTER_CUBIC)
    images = [cv2.warpPerspective(texture, true_motion(frame), (240, 180)) for frame in range(12)]
    motions = [*plane_motion(images, OUTLINE)]
    assert len(motions) == 11
    for frame, motion in enumerate(motions, 1):
        places, expected = (
            cv2.perspectiveTransform(OUTLINE[None], each)[0] for each in (motion, true_motion(frame))
        )
        assert np.abs(places - expected).max() < 1.0, frame


def test_a_surface_without_texture_is_one_sentence() -> None:
    plain = np.full((180, 240, 3), 90, np.uint8)
    with pytest.raises(FlowError, match="too few points"):
        next(plane_motion([plain, plain], OUTLINE))
