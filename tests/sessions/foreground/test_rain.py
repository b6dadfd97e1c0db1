"""Rain and snow differ from all else that flickers, and are no foreground; objects before them are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.base import WorkFrame
from segue.sessions.foreground.stages.rain import Precipitation
from tests.sessions.foreground.scenes import Bytes, Place, overlap, square_mask, wall, with_squares

SIZE = (192, 256)
SCENE = wall(height=192, width=256)


def with_flakes(image: Bytes, time: int, sign: int = 1) -> Bytes:
    """A hundred blobs, at other places on each frame."""
    rng = np.random.default_rng([3, time])
    flakes = np.zeros(image.shape, np.uint8)
    for row, column in rng.uniform(0, 1, (100, 2)) * SIZE:
        cv2.circle(flakes, (int(column), int(row)), 2, (90, 90, 90), -1, cv2.LINE_AA)
    return np.asarray(cv2.add(image, flakes) if sign > 0 else cv2.subtract(image, flakes), np.uint8)


def falling(make: Callable[[int], Bytes], frames: int = 30) -> list[bool]:
    found, looks = [], Precipitation(0.3)
    for time in range(frames):
        image = make(time)
        looks.on_frame(
            WorkFrame(time, time / 25, SCENE.shape[:2], image, SegmenterInput(image)), Background()
        )
        found.append(looks.falls)
    return found


def test_rain_is_detected_from_the_third_frame_on() -> None:
    assert falling(lambda time: with_flakes(SCENE, time)) == [False] * 2 + [True] * 28


def test_rain_ends() -> None:
    found = falling(lambda time: with_flakes(SCENE, time) if time < 15 else SCENE, 100)
    assert found[14]
    assert not found[-1]


def new_session(without: tuple[str, ...] = ()) -> ForegroundSession:
    return ForegroundSession("mustan-lite", without=["align", *without], device="cpu")


def played(video: Iterator[Bytes], without: tuple[str, ...] = ()) -> list[np.ndarray]:
    session = new_session(without)
    results = (session.step(image) for image in video)
    return [result.mask == 1 for result in results if result is not None]


def test_snow_before_an_empty_scene_is_no_foreground() -> None:
    video = [with_flakes(SCENE, time) for time in range(16)]
    second, *others = (mask.mean() for mask in played(iter(video))[1:])
    assert max(others) <= 0.0005
    assert second <= 0.002, "one frame is all that is known of the scene"
    assert max(mask.mean() for mask in played(iter(video), ("rain",))[2:]) > 0.0015


def test_an_object_in_snow_is_found_at_once() -> None:
    places: list[list[Place]] = [[(80, 6 * (time - 20))] if time >= 20 else [] for time in range(42)]
    masks = played(with_flakes(with_squares(SCENE, at), time) for time, at in enumerate(places))
    for time in range(24, 42):
        assert overlap(masks[time], square_mask(SIZE, places[time])) > 0.7, time


def test_small_objects_are_found_at_once_where_nothing_falls() -> None:
    places: list[list[Place]] = [[(80, 9 * (time - 7))] if time >= 8 else [] for time in range(28)]
    masks = played(with_squares(SCENE, at, side=12) for at in places)
    for time in range(8, 28):
        assert overlap(masks[time], square_mask(SIZE, places[time], side=12)) > 0.6, time


def test_a_session_goes_on_in_the_rain_where_it_was_saved() -> None:
    video = [with_flakes(with_squares(SCENE, [(80, 4 * time)]), time) for time in range(14)]
    one = new_session()
    for image in video[:8]:
        one.step(image)
    other = new_session()
    other.restore(one.state())
    for image in video[8:]:
        first, second = one.step(image), other.step(image)
        assert first is not None
        assert second is not None
        assert np.array_equal(first.mask, second.mask)
