"""The motion of a plane is that with which a picture was moved."""

from __future__ import annotations

import contextlib
from typing import Any

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


def tilted(frame: int) -> np.ndarray:
    """A shift, a zoom and a growing perspective."""
    s = 1 + 0.003 * frame
    return np.array([[s, 0, 0.8 * frame], [0, s, -0.4 * frame], [1e-5 * frame, 0, 1]])


def covered_film(share: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A tilted surface that another texture covers from the left, up to a share of it, and where it does."""
    noise, rng = texture_of(4), np.random.default_rng(5)
    images, masks = [], []
    for frame in range(41):
        image = cv2.warpPerspective(noise, tilted(frame), (240, 180), borderMode=cv2.BORDER_REFLECT)
        mask = np.zeros((180, 240), np.bool_)
        mask[:, : int(tilted(frame)[0, 2] + 60 + 120 * share * frame / 40)] = True
        image[mask] = np.roll(texture_of(6), 3 * frame, axis=1)[mask]
        images.append(np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))
        masks.append(mask)
    return images, masks


def errors_of(images: list[np.ndarray], **options: Any) -> list[float]:
    errors = []
    with contextlib.suppress(FlowError):
        for frame, motion in enumerate(plane_motion(images, OUTLINE, **options), 1):
            places, expected = (
                cv2.perspectiveTransform(OUTLINE[None], each)[0] for each in (motion, tilted(frame))
            )
            errors.append(float(np.abs(places - expected).max()))
    return errors


def test_errors_do_not_add_up() -> None:
    images, _ = covered_film(0)
    errors = errors_of(images)
    assert len(errors) == 40
    assert max(errors[-10:]) < 0.5


@pytest.mark.parametrize("is_known", [False, True])
def test_a_surface_that_is_covered_in_part_goes_on_and_is_lost_before_it_drifts(is_known: bool) -> None:
    images, masks = covered_film(1.0)
    errors = errors_of(images, covered=masks if is_known else None)
    assert 20 <= len(errors) < 40, "half of it is enough, a strip is not"
    assert max(errors) < 5


def test_parts_of_a_film_go_on_from_the_key() -> None:
    images, _ = covered_film(0)
    whole = [*plane_motion(images, OUTLINE)]
    rest = [*plane_motion(images[20:], OUTLINE, key=(images[0], None), motion=whole[19])]
    for one, other in zip(whole[20:], rest, strict=True):
        places, expected = (cv2.perspectiveTransform(OUTLINE[None], each)[0] for each in (other, one))
        assert np.abs(places - expected).max() < 0.3


def test_a_surface_without_texture_is_one_sentence() -> None:
    plain = np.full((180, 240, 3), 90, np.uint8)
    with pytest.raises(FlowError, match="too few points"):
        next(plane_motion([plain, plain], OUTLINE))
