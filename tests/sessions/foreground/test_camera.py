"""Networks on cameras that move, and how the motion is found."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segue.api.foreground import foreground
from segue.errors import SegueError
from segue.models.base import ForegroundNetwork
from segue.models.geometry import reduced_to
from segue.sessions import SessionState
from segue.sessions.foreground.camera.pan import SETTINGS, PanDetector
from segue.sessions.foreground.camera.step import VIEW_SIDE, CameraStep
from segue.sessions.foreground.session import ForegroundSession, ForegroundWarning
from segue.sessions.foreground.stages.follow import Homography, camera_motion, warp_onto
from segue.types import Segmentation
from tests.sessions.foreground.scenes import Bytes, overlap, square_mask, video, with_squares
from tests.sessions.foreground.tiny_foreground import MovesByItself, TinyForeground

SIZE = (120, 160)
STEP = 3


def street() -> Bytes:
    """A long scene with many corners, dark enough for bright squares before it."""
    rng = np.random.default_rng(0)
    blocks = cv2.resize(rng.integers(10, 150, (30, 75, 3), dtype=np.uint8), None, fx=5, fy=5, interpolation=0)
    return np.asarray(cv2.GaussianBlur(blocks, (0, 0), 0.7), np.uint8)


LONG = street()
PLACES = [(50, 20 + 7 * t) for t in range(40)]
"""A square goes faster than the camera."""

PAN = video(
    [with_squares(LONG, [place])[15:135, STEP * t : STEP * t + 160] for t, place in enumerate(PLACES)]
)
TRUTH = [
    square_mask((150, 375), [place])[15:135, STEP * t : STEP * t + 160] for t, place in enumerate(PLACES)
]
NOTHING = np.zeros(SIZE, np.uint8)


def pans(images: Sequence[Bytes]) -> list[bool]:
    """Whether the camera is said to pan on each of some frames."""
    small, watch = [reduced_to(image, VIEW_SIDE) for image in images], PanDetector()
    return [watch.update(CameraStep(one, other)) for one, other in itertools.pairwise(small)]


def play(session: ForegroundSession) -> list[Segmentation]:
    results = [result for frame in PAN if (result := session.step(frame)) is not None]
    return results + list(session.finish())


def mean_overlap(results: list[Segmentation]) -> float:
    return float(np.mean([overlap(results[t].mask, TRUTH[t]) for t in range(15, 30)]))


def test_the_motion_of_a_camera_is_found() -> None:
    turned: Homography = np.array([[0.998, -0.02, 4.0], [0.02, 0.998, -2.0], [1e-5, 0, 1]])
    shift = np.array([[1.0, 0, -40], [0, 1, -10], [0, 0, 1]])
    moved = warp_onto(LONG, turned @ shift, np.zeros_like(LONG))[:120, :160]
    one = LONG[10:130, 40:200]
    step = CameraStep.between(one, moved).matrix(SIZE)
    found = camera_motion((one, NOTHING), (moved, NOTHING), step)
    assert found is not None
    corners = np.array([[[10.0, 10.0], [150.0, 10.0], [10.0, 110.0], [150.0, 110.0]]])
    expected, got = (cv2.perspectiveTransform(corners, matrix) for matrix in (turned, found))
    np.testing.assert_allclose(got, expected, atol=0.7)


def test_moving_objects_are_found_although_the_camera_pans() -> None:
    followed = ForegroundSession(MovesByItself(), follow_camera="always", device="cpu")
    still = ForegroundSession(MovesByItself(), without=["align"], device="cpu")
    assert mean_overlap(play(followed)) > 0.6
    assert mean_overlap(play(still)) < 0.5
    assert followed.background is None, "the image of the empty scene would be of a camera that stands still"


def test_a_camera_that_pans_is_followed_by_itself_and_somebody_says_so() -> None:
    session = ForegroundSession(MovesByItself(), follow_camera="auto", device="cpu")
    with pytest.warns(ForegroundWarning):
        results = play(session)
    assert mean_overlap(results) > 0.5


def test_a_camera_that_rests_again_begins_a_scene() -> None:
    session = ForegroundSession(MovesByItself(), follow_camera="auto", device="cpu")
    with pytest.warns(ForegroundWarning):
        list(map(session.step, PAN[:20]))
    assert session._events.pans
    for _ in range(SETTINGS.window + 1):
        session.step(PAN[19].image)
    assert not session._events.pans
    assert session.background is not None
    assert np.array_equal(session.background, PAN[19].image)


def test_motion_before_a_still_camera_is_no_pan() -> None:
    assert not any(pans([with_squares(LONG, [place])[15:135, :160] for place in PLACES]))
    everything = [with_squares(LONG, [place])[15:135, 3 * t : 3 * t + 160] for t, place in enumerate(PLACES)]
    assert any(pans(everything))


def test_a_camera_that_shakes_does_not_pan() -> None:
    rights = [40 + round(8 * np.sin(t / 3)) for t in range(60)]
    assert not any(pans([LONG[15:135, right : right + 160] for right in rights]))


def test_the_step_of_a_camera_counts_where_it_explains_enough_of_the_image() -> None:
    one, other = (np.ascontiguousarray(LONG[15:87, left : left + 96]) for left in (40, 44))
    step = CameraStep(one, other)
    right, down = step.way()
    assert abs(96 * right) == pytest.approx(4, abs=0.3)
    assert abs(96 * down) < 0.3
    assert step.way(minimum=2.0) == (0.0, 0.0)
    assert CameraStep(None, one).way() == (0.0, 0.0)


def test_frames_wait_for_those_that_come_after_them() -> None:
    network = TinyForeground(((-2, "past"), (2, "future")))
    session = ForegroundSession(network, follow_camera="always", device="cpu")
    assert session.lag == 2
    assert [result.index for result in play(session)] == list(range(len(PAN)))


def test_camera_motion_continues_from_a_saved_state(tmp_path: Path) -> None:
    def make() -> ForegroundSession:
        return ForegroundSession(MovesByItself(), follow_camera="always", device="cpu")

    first, second = make(), make()
    for frame in PAN[:14]:
        first.step(frame)
    first.state().save(tmp_path / "state.safetensors")
    second.restore(SessionState.load(tmp_path / "state.safetensors"))
    for frame in PAN[14:24]:
        expected, result = first.step(frame), second.step(frame)
        assert expected is not None
        assert result is not None
        assert np.array_equal(result.mask, expected.mask)


def test_the_function_takes_a_network_or_says_what_is_wrong() -> None:
    network: ForegroundNetwork = MovesByItself()
    images = [frame.image for frame in PAN]
    results = list(foreground(images, model=network, follow_camera="always", device="cpu"))
    assert mean_overlap(results) > 0.6
    with pytest.raises(SegueError):
        foreground(images, model="median", follow_camera="always")
    with pytest.raises(SegueError):
        foreground(images, model=network, follow_camera="flow", device=torch.device("cpu"))  # type: ignore[arg-type]


def test_images_that_have_nothing_in_common_have_no_motion() -> None:
    plain = np.full((*SIZE, 3), 90, np.uint8)
    assert camera_motion((plain, NOTHING), (plain, NOTHING), CameraStep().matrix(SIZE)) is None
