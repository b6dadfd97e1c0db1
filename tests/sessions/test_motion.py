"""What moves against the scene is found, whatever the camera does."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from segue.errors import PromptError
from segue.flow import against_scene
from segue.registry import DETECTORS
from segue.sessions import TrackSession
from segue.sessions.detecting import detector
from segue.sessions.motion import MotionDetector
from segue.types import Frame
from tests.lite import lively_lite

Bytes = npt.NDArray[np.uint8]


def texture(seed: int, height: int, width: int, low: int, high: int) -> Bytes:
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.asarray(low + (high - low) * smooth, np.uint8)


def video(camera: int, step: int) -> tuple[list[Frame], Bytes]:
    """Two frames of a bright square that moves ``step`` pixels, and its mask; the camera moves ``camera``."""
    scene, square = texture(0, 140, 200, 0, 110), texture(1, 40, 40, 140, 255)
    frames = []
    for t in range(2):
        image = scene[10:130, 20 + camera * t : 180 + camera * t].copy()
        image[40:80, 60 + step * t : 100 + step * t] = square
        frames.append(Frame(t, t / 25, image))
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 60:100] = 1
    return frames, mask


@pytest.fixture(scope="module")
def finder() -> MotionDetector:
    return MotionDetector(TrackSession(lively_lite(), device="cpu"))


@pytest.mark.parametrize("camera", [0, 4])
def test_moving_objects_are_found_with_still_and_moving_cameras(finder: MotionDetector, camera: int) -> None:
    frames, mask = video(camera, 3)
    found = finder.moving(frames[0].image, frames[1].image)
    assert ((found > 0) & (mask > 0)).sum() / ((found > 0) | (mask > 0)).sum() > 0.7


def test_tracking_there_and_back_gives_one_object() -> None:
    frames, mask = video(0, 3)
    found = MotionDetector(TrackSession("stcn-lite", device="cpu"))(*frames)
    assert len(found.objects) == 1
    assert ((found.mask > 0) & (mask > 0)).sum() / ((found.mask > 0) | (mask > 0)).sum() > 0.7


class KnownFlow:
    """Optical flow that is known: on the way to the second image more seems to move than to the third."""

    def __call__(self, first: Bytes, second: Bytes) -> npt.NDArray[np.float32]:
        flow = np.zeros((*first.shape[:2], 2), np.float32)
        flow[20:50, 20:50] = 3.0 * second[0, 0, 0]
        if second[0, 0, 0] == 1:
            flow[60:110, 80:150] = 9.0
        return flow


def test_motion_to_only_one_of_the_frames_does_not_count() -> None:
    finder = MotionDetector(TrackSession(lively_lite(), device="cpu"), flow=KnownFlow())
    frames = [np.full((120, 160, 3), t, np.uint8) for t in range(3)]
    both, one = finder.moving(*frames), finder.moving(*frames[:2])
    assert both[25:45, 25:45].all()
    assert not both[60:].any()
    assert one[65:105, 85:145].all()
    assert not one[:50, :60].any()


def test_still_scenes_have_no_objects(finder: MotionDetector) -> None:
    frames, _ = video(3, -3)
    assert not finder(frames[0], Frame(1, 0.04, frames[0].image)).objects
    assert not finder(frames[0]).objects
    camera_only = [Frame(t, t / 25, texture(0, 140, 200, 0, 110)[:, 4 * t : 160 + 4 * t]) for t in range(2)]
    assert not finder.moving(camera_only[0].image, camera_only[1].image)[20:-20, 20:-20].any()


def test_a_flow_of_the_scene_alone_is_no_motion() -> None:
    y, x = np.mgrid[:60, :80].astype(np.float32)
    zoom = np.stack((0.02 * (x - 40) + 1, 0.02 * (y - 30) - 2), -1)
    assert np.abs(against_scene(zoom)).max() < 1e-2
    zoom[20:40, 30:50, 0] += 5
    strength = against_scene(zoom)
    assert strength[20:40, 30:50] == pytest.approx(5, abs=1e-2)
    assert strength[:15].max() < 1e-2


def test_detectors_refuse_what_they_do_not_have() -> None:
    for arguments, words in (
        ({"name": "other"}, f"known are {', '.join(DETECTORS.names)}"),
        (
            {"classes": ["dog"]},
            "motion takes no classes; classes belong to maskrcnn, maskrcnn-v1, pointrend, nanodet, deeplab",
        ),
        ({"weights": "a.pth"}, "motion takes no weights"),
        ({"max_objects": 0}, "max_objects is 0"),
        ({"name": "deeplab", "score": 2.0}, "score 2: give a number"),
    ):
        with pytest.raises(PromptError, match=words):
            detector(**arguments)


@pytest.mark.parametrize("size", [(3, 3), (4, 12), (15, 90), (90, 15), (16, 16)])
def test_in_the_smallest_images_nothing_moves(finder: MotionDetector, size: tuple[int, int]) -> None:
    """OpenCV refuses to compute their flow."""
    noise = np.random.default_rng(0).integers(0, 255, (2, *size, 3)).astype(np.uint8)
    found = finder.moving(*noise)
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert min(size) == 16 or not found.any()
