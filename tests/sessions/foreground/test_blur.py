"""The empty scene is blurred as a frame is, and told by its edges how far."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.sessions.foreground.background.median import MaskedMedian, MedianSettings
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.masks import FOREGROUND
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.base import WorkFrame
from segue.sessions.foreground.stages.blur import Blur, ReferenceBlur, relative_blur
from segue.types import Frame
from tests.sessions.foreground.scenes import Bytes, square_mask, with_squares


def textured(seed: int, height: int, width: int) -> Bytes:
    """Blots of a few pixels, (H, W, 3)."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.6) - 0.5
    return np.asarray(np.clip(120 + 350 * smooth, 0, 255), np.uint8)


SCENE = textured(3, 200, 240)


@pytest.mark.parametrize(("right", "down"), [(10.0, 0.0), (0.0, 9.0), (6.0, 6.0), (-7.0, 5.0)])
def test_a_motion_is_found_along_its_direction(right: float, down: float) -> None:
    frame = np.asarray(Blur(right, down).act(SCENE), np.uint8)
    found = relative_blur(frame, SCENE, None)
    assert found is not None
    along = abs(found.right * right + found.down * down) / np.hypot(right, down)
    across = abs(found.right * down - found.down * right) / np.hypot(right, down)
    assert 0.6 * np.hypot(right, down) < along < 1.5 * np.hypot(right, down)
    assert across < 0.3 * along


def test_a_frame_that_is_as_sharp_as_the_scene_has_no_blur() -> None:
    noise = np.random.default_rng(0).normal(0, 3, SCENE.shape)
    noisy = np.clip(SCENE + noise, 0, 255).astype(np.uint8)
    assert relative_blur(noisy, SCENE, None) is None
    softer = np.asarray(cv2.GaussianBlur(SCENE, (0, 0), 2.0), np.uint8)
    assert relative_blur(SCENE, softer, None) is None  # a sharper frame neither


@pytest.mark.parametrize("size", [(199, 239), (199, 240), (200, 239)])
def test_a_blur_is_found_in_frames_of_an_odd_size(size: tuple[int, int]) -> None:
    height, width = size
    scene = np.ascontiguousarray(SCENE[:height, :width])
    frame = np.asarray(Blur(10.0, 0.0).act(scene), np.uint8)
    hidden = np.zeros(size, bool)
    hidden[:, -60:] = True
    frame[hidden] = 90
    found = relative_blur(frame, scene, hidden)
    assert found is not None
    assert found == relative_blur(frame[:198, :238], scene[:198, :238], hidden[:198, :238])


@pytest.mark.parametrize("size", [(41, 51), (41, 52), (42, 51)])
def test_a_scene_of_an_odd_size_is_blurred_to_its_last_row_and_column(size: tuple[int, int]) -> None:
    planes = np.random.default_rng(1).integers(0, 256, (21, *size), np.uint8)
    planes[9:18] = planes[:9]
    planes[9, 5:8, 6:9] ^= 255  # near the first row
    planes[17, -1, -1] ^= 255
    blur = Blur(6.0, 3.0)
    blurred = blur.of_scene(Scene(planes)).planes
    assert blurred.shape == planes.shape
    for plane, expected in zip(blurred[:18], planes[:18], strict=True):
        assert np.abs(plane.astype(int) - blur.act(expected)).max() <= 4  # shares are rounded


def test_a_smooth_thing_before_the_scene_is_no_blur_of_it() -> None:
    frame, hidden = SCENE.copy(), np.zeros(SCENE.shape[:2], bool)
    frame[:, :110], hidden[:, :110] = 90, True
    assert relative_blur(frame, SCENE, hidden) is None
    assert relative_blur(frame, SCENE, np.ones_like(hidden)) is None  # nothing of it is seen


def test_colours_of_a_scene_are_blurred_and_its_shares_are_not() -> None:
    rng = np.random.default_rng(1)
    scene = Scene(rng.integers(0, 256, (21, 40, 50), np.uint8))
    seen = Blur(6.0, 0.0).of_scene(scene)
    assert (seen.planes[18:] == scene.planes[18:]).all()
    assert seen.planes[:18, :, 10:-10].std() < 0.6 * scene.planes[:18, :, 10:-10].std()
    assert (seen.image == seen.planes[3:6].transpose(1, 2, 0)).all()


def shaken(places: list[tuple[int, int]], t: int) -> Bytes:
    """What a camera that swings along the rows sees, blurred by its motion, (120, 160, 3)."""
    speed = 11 * np.cos(t)
    frame = with_squares(np.asarray(Blur(float(speed), 0.0).act(SCENE), np.uint8), places)
    x = round(9 * np.sin(t)) + 40
    return np.ascontiguousarray(frame[40:160, x : x + 160])


def test_the_blur_of_a_shaken_camera_is_no_foreground() -> None:
    """The difference of a sharp background to a blurred frame is foreground at each edge."""
    session = ForegroundSession(BackgroundDifference(), short_side=None)
    wrong = []
    for t in range(60):
        result = session.step(Frame(t, t / 25, shaken([], t)))
        assert result is not None
        wrong.append(float((result.mask == FOREGROUND).mean()))
    assert max(wrong[12:]) < 0.02


def test_something_before_a_shaken_camera_is_still_found() -> None:
    session = ForegroundSession(BackgroundDifference(), short_side=None)
    for t in range(60):
        places = [(100, 40 + 2 * t)] if t > 20 else []
        result = session.step(Frame(t, t / 25, shaken(places, t)))
        assert result is not None
        if t > 25:
            whole = square_mask((200, 240), places)
            x = round(9 * np.sin(t)) + 40
            true = whole[40:160, x : x + 160]
            if true.sum() == whole.sum():
                found = result.mask == FOREGROUND
                assert (found & true).sum() > 0.7 * true.sum()


def test_the_same_blur_of_one_background_is_the_same_scene_which_is_encoded_once() -> None:
    background = MaskedMedian()
    background.update(SCENE)
    stage, frames = ReferenceBlur(), []
    for right, down in ((10.0, 0.0), (10.0, 0.6), (0.0, 10.0), (10.0, 0.0)):
        image = np.asarray(Blur(right, down).act(SCENE), np.uint8)
        frame = WorkFrame(0, 0.0, SCENE.shape[:2], image, SegmenterInput(image))
        frame.matrix = np.eye(2, 3, dtype=np.float32)
        stage.before_segment(frame, background)
        frames.append(frame)
    first, again, other, last = (frame.scene for frame in frames)
    assert first is not None
    assert again is first
    assert last is first
    assert other is not first


@pytest.mark.parametrize("blur", [Blur(6.0, 0.0), Blur(0.0, 12.0), Blur(-10.4, 6.0)])
@pytest.mark.parametrize("part", [(0, 0, 0, 0), (0, 9, 0, 9), (20, 26, 30, 50), (35, 40, 45, 50)])
def test_both_ranges_of_a_scene_are_blurred_alike(blur: Blur, part: tuple[int, int, int, int]) -> None:
    """Where all frames differ from those in which the background was seen, and around it."""
    planes = np.random.default_rng(1).integers(0, 256, (21, 40, 50), np.uint8)
    planes[9:18] = planes[:9]
    top, bottom, left, right = part
    planes[9:18, top:bottom, left:right] ^= 255
    swapped = np.concatenate([planes[9:18], planes[:9], planes[18:]])
    one, other = (blur.of_scene(Scene(each)).planes for each in (planes, swapped))
    assert (one[:9] == other[9:18]).all()
    assert (one[9:18] == other[:9]).all()


def test_the_same_blur_of_backgrounds_that_look_the_same_is_one_look() -> None:
    background = MaskedMedian(MedianSettings(every=1))
    stage, image, looks = ReferenceBlur(), np.asarray(Blur(12.0, 0.0).act(SCENE), np.uint8), []
    for level in (0, 3):
        background.update(SCENE ^ np.uint8(level))
        frame = WorkFrame(0, 0.0, SCENE.shape[:2], image, SegmenterInput(image))
        frame.matrix = np.eye(2, 3, dtype=np.float32)
        stage.before_segment(frame, background)
        assert frame.scene is not None
        looks.append(frame.scene.look)
    assert looks[0] is looks[1]
    assert background.scene is not None
    assert looks[0] is not background.scene.look
