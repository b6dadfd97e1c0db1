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


def texture_of(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (45, 60, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (240, 180), interpolation=cv2.INTER_CUBIC))


def test_few_points_in_a_corner_tell_no_perspective() -> None:
    """All else of the surface is plain: it goes with them, and is not torn to where they do not say."""
    plain = np.full((180, 240, 3), 128, np.uint8)
    images = []
    for frame in range(12):
        image = plain.copy()
        image[50:80, 70 + frame : 100 + frame] = texture_of(1)[:30, :30]
        images.append(cv2.GaussianBlur(image, (0, 0), 0.7))
    for frame, motion in enumerate(plane_motion(images, OUTLINE), 1):
        places = cv2.perspectiveTransform(OUTLINE[None], motion)[0]
        assert np.abs(places - OUTLINE - (frame, 0)).max() < 3, frame


def test_a_surface_that_turns_away_is_lost_in_place_of_what_comes_before_it() -> None:
    images = [texture_of(1)] * 3
    for frame in range(1, 40):
        image = texture_of(1).copy()
        image[:, : 12 * frame] = np.roll(texture_of(2), 12 * frame, axis=1)[:, : 12 * frame]
        images.append(image)
    followed = []
    with pytest.raises(FlowError, match=r"does not look|too few"):
        followed.extend(cv2.perspectiveTransform(OUTLINE[None], m)[0] for m in plane_motion(images, OUTLINE))
    assert all(np.abs(places - OUTLINE).max() < 8 for places in followed)


def test_a_surface_without_texture_is_one_sentence() -> None:
    plain = np.full((180, 240, 3), 90, np.uint8)
    with pytest.raises(FlowError, match="too few points"):
        next(plane_motion([plain, plain], OUTLINE))
