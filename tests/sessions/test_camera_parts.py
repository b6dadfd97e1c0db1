"""Steps of a camera, ways of several steps, and what is brought from one frame onto another."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from segue.sessions import moving_camera, panning
from segue.sessions.empty_scene import Scene
from segue.sessions.moving_camera import (
    LEAST_MATCHES,
    PAST,
    Homography,
    MovingCameraSegmenter,
    camera_motion,
    camera_motion_by_ecc,
    is_moderate,
    motion_between,
    scene_around,
    seen_from,
)
from segue.sessions.panning import WINDOW, PanDetector
from segue.types import Image
from tests.sessions.scenes import Bytes, wall
from tests.sessions.test_camera import LONG, NOTHING, SIZE
from tests.sessions.tiny_foreground import MovesByItself


def moved(right: float, down: float = 0.0) -> Homography:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1]], np.float64)


def grey(level: int) -> Bytes:
    return np.full((*SIZE, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("matrix", "good"),
    [
        (moved(47.9), True),
        (moved(-47.9, 35.9), True),
        (moved(48), False),  # three tenths of 160 columns
        (moved(0, 36), False),  # and of 120 rows
        (moved(0, -36.1), False),
        (np.diag([1.29, 1.0, 1.0]), True),
        (np.diag([1.0, 1.31, 1.0]), False),
    ],
)
def test_no_corner_goes_farther_than_three_tenths(matrix: Homography, good: bool) -> None:
    assert is_moderate(matrix, SIZE) == good


def test_a_way_is_the_product_of_its_steps_in_their_order() -> None:
    turned = np.array([[0.98, -0.02, 3], [0.02, 0.98, -2], [0, 0, 1]])
    steps = {3: turned, 4: moved(5, 1), 5: turned}
    asked: list[int] = []

    def step_to(index: int) -> Homography | None:
        asked.append(index)
        return steps.get(index)

    there = motion_between(step_to, 2, 5, SIZE)
    assert there is not None
    np.testing.assert_allclose(there, turned @ moved(5, 1) @ turned)
    assert asked == [3, 4, 5]
    assert np.array_equal(motion_between(step_to, 5, 5, SIZE), np.eye(3))  # type: ignore[arg-type]
    back = motion_between(step_to, 5, 2, SIZE)
    assert back is not None
    np.testing.assert_allclose(back @ there, np.eye(3), atol=1e-9)
    assert motion_between({3: moved(30), 4: moved(30)}.get, 2, 4, SIZE) is None, "together they are too far"


def test_a_picture_is_seen_from_another_with_that_as_its_surroundings() -> None:
    found = seen_from(grey(50), moved(10), grey(200))
    assert (found[:, :10] == 200).all()
    assert (found[:, 11:] == 50).all()


def with_block(level: int, column: int) -> tuple[Image, Any]:
    picture, mask = grey(100), np.zeros(SIZE, np.uint8)
    picture[40:60, column : column + 10] = level
    mask[40:60, column : column + 10] = 1
    return picture, mask


def test_the_scene_around_a_frame_is_a_median_of_others_without_what_stood_before_them() -> None:
    others = [(*with_block(200, 20 + 10 * i), moved(0)) for i in range(3)]
    scene = scene_around(grey(10), others)
    inside = (slice(4, -4), slice(4, -4))
    assert (scene.picture[inside] == 100).all()
    assert (scene.picture[:4] == 10).all(), "the border of a picture tells nothing"
    assert (scene.picture[:, -4:] == 10).all()
    assert scene.planes[20].max() == 21, "three frames"
    assert (scene.planes[18][45, 25::10][:3] == 255 // 3).all()
    assert not scene.planes[18][70:80, 60:90].any()
    assert not scene.planes[18][:4].any(), "what no frame shows was never foreground"


def test_others_are_brought_onto_the_frame_with_their_foreground() -> None:
    picture, mask = with_block(200, 50)
    scene = scene_around(grey(10), [(picture, mask, moved(20)), (grey(100), NOTHING, moved(0))])
    assert scene.planes[18][50, 75] == 255 // 2
    assert scene.planes[18][50, 55] == 0
    assert scene.planes[18][50, 10] == 255 // 2, "one of both does not show it"
    assert scene.picture[50, 10].tolist() == [100] * 3
    alone = scene_around(grey(10), [])
    assert (alone.picture == 10).all()
    assert alone.planes[20].max() == 7, "one frame"


def views(right: int) -> tuple[Bytes, Bytes]:
    return LONG[10:130, 40:200], LONG[10:130, 40 + right : 200 + right]


def test_what_is_foreground_gives_no_features() -> None:
    """Both pictures agree in their left halves alone, and there the masks are."""
    one, other = (picture.copy() for picture in views(4))
    one[:, 70:] = other[:, 70:] = 90
    half = np.zeros(SIZE, np.uint8)
    half[:, :80] = 1
    found = camera_motion((one, NOTHING), (other, NOTHING))
    assert found is not None
    np.testing.assert_allclose(found[:2, 2], [-4, 0], atol=0.7)
    assert camera_motion((one, half), (other, half)) is None


@pytest.mark.parametrize("matches", [LEAST_MATCHES, LEAST_MATCHES - 1])
def test_twenty_matches_are_enough(matches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cv2.BFMatcher

    class Few:
        def __init__(self, *given: Any, **named: Any) -> None:
            self.matcher = real(*given, **named)

        def match(self, one: Any, other: Any) -> list[Any]:
            return sorted(self.matcher.match(one, other), key=lambda found: found.distance)[:matches]

    monkeypatch.setattr(cv2, "BFMatcher", Few)
    one, other = views(4)
    found = camera_motion((one, NOTHING), (other, NOTHING))
    assert (found is not None) == (matches == LEAST_MATCHES)


def test_correlation_begins_where_the_features_lead_and_keeps_what_is_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = views(5)
    begun: list[Any] = []
    real = cv2.findTransformECC

    def found(template: Any, image: Any, begin: Any, *given: Any) -> Any:
        begun.append(begin.copy())
        assert given[0] == cv2.MOTION_HOMOGRAPHY
        return real(template, image, begin, *given)

    monkeypatch.setattr(cv2, "findTransformECC", found)
    motion = camera_motion_by_ecc((one, NOTHING), (other, NOTHING))
    assert motion is not None
    np.testing.assert_allclose(motion[:2, 2] / motion[2, 2], [-5, 0], atol=0.2)
    by_features = camera_motion((one, NOTHING), (other, NOTHING))
    assert by_features is not None
    np.testing.assert_allclose(begun[0], np.linalg.inv(by_features), atol=1e-4)

    def worse(template: Any, image: Any, begin: Any, *given: Any) -> Any:
        return 0.9, moved(30).astype(np.float32)

    def doubtful(template: Any, image: Any, begin: Any, *given: Any) -> Any:
        return moving_camera.LEAST_CORRELATION - 0.01, real(template, image, begin, *given)[1]

    for answer in (worse, doubtful):
        monkeypatch.setattr(cv2, "findTransformECC", answer)
        kept = camera_motion_by_ecc((one, NOTHING), (other, NOTHING))
        assert kept is not None
        np.testing.assert_array_equal(kept, by_features)


def test_without_features_correlation_begins_with_no_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving_camera, "camera_motion", lambda *_: None)
    one, other = views(2)
    motion = camera_motion_by_ecc((one, NOTHING), (other, NOTHING))
    assert motion is not None
    np.testing.assert_allclose(motion[:2, 2] / motion[2, 2], [-2, 0], atol=0.2)
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 50:] = 1
    torn = one.copy()
    torn[:, 60:] = LONG[10:130, 240:340]
    masked = camera_motion_by_ecc((torn, mask), (other, NOTHING))
    assert masked is not None
    np.testing.assert_allclose(masked[:2, 2] / masked[2, 2], [-2, 0], atol=0.4)


def test_a_followed_camera_keeps_what_its_background_needs() -> None:
    segmenter = MovingCameraSegmenter(MovesByItself(), device="cpu")
    segmenter._find = lambda *_: np.eye(3)
    for t in range(30):
        image = np.ascontiguousarray(LONG[10:70, 3 * t : 3 * t + 80])
        segmenter.step(image, Scene.of(image))
    kept = list(range(30 - max(PAST), 30))
    assert sorted(segmenter._taken) == kept
    assert sorted(segmenter._masks) == kept
    assert set(segmenter._steps) <= set(kept)
    assert not segmenter._aligned


def test_frames_that_were_held_still_have_no_mask_where_they_were_taken() -> None:
    """A camera that may pan: what the session held still is not the frame as it was taken."""
    segmenter = MovingCameraSegmenter(MovesByItself(), always=False, device="cpu")
    image = np.ascontiguousarray(LONG[10:130, :160])
    for t in range(4):
        taken = image if t != 2 else image.copy()
        assert not segmenter.follows(taken)
        segmenter.step(image, Scene.of(image))
    assert segmenter._aligned == [2]
    assert sorted(segmenter._masks) == [0, 1, 3]
    assert segmenter.uses_background
    assert not MovingCameraSegmenter(MovesByItself(), device="cpu").uses_background


class Stepping(PanDetector):
    """Receives the steps of the camera, in parts of the picture, to the right and down."""

    def __init__(self, steps: list[tuple[float, float]], fits: bool = True) -> None:
        super().__init__()
        self.way, self.fits = iter(steps), fits

    def _step(self, before: Any, now: Any) -> tuple[float, float]:
        return next(self.way)

    def _fits(self, way: Any) -> bool:
        return self.fits


PICTURE = np.zeros((48, 64, 3), np.uint8)


def told(steps: list[tuple[float, float]], fits: bool = True) -> list[bool]:
    """After each step, whether the camera pans."""
    watch = Stepping(steps, fits)
    watch.look(PICTURE)
    return [watch.look(PICTURE) for _ in steps]


def first(found: list[bool]) -> int | None:
    return found.index(True) + 1 if True in found else None


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ([(0.05, 0)] * 9, 6),  # six frames at least
        ([(0.0, -0.05)] * 9, 6),
        ([(0.0125, 0)] * 12, 10),  # more than 0.12
        ([(0.01, 0)] * 12, None),
        ([(0.05, 0)] * 4 + [(0, 0)] * 3, None),  # 0.6 of the steps must have been found: four of six are
        ([(0.06, 0), (-0.01, 0)] * 6, None),  # 0.05 of 0.07 is less than 0.85
        ([(0.06, 0), (0.06, 0), (-0.009, 0)] * 6, 6),  # 0.111 of 0.129 is more
        ([(0.03, 0), (0, 0.03)] * 6, None),  # a corner: 0.7 of the way
    ],
)
def test_a_camera_pans_that_has_gone_far_and_straight(
    steps: list[tuple[float, float]], since: int | None
) -> None:
    found = told(steps)
    if steps[:4] == [(0.05, 0)] * 4 and steps[4] == (0, 0):
        since = 6
        assert told([(0.05, 0)] * 3 + [(0, 0)] * 3).count(True) == 0
    assert first(found) == since
    assert not any(told(steps, fits=False))


def test_it_pans_until_it_has_rested_for_a_whole_window() -> None:
    steps = [(0.05, 0.0)] * 8 + [(0.0, 0.0)] * 40
    found = told(steps)
    # The last step leaves the window when as many without one have come.
    assert [t for t, pans in enumerate(found) if pans] == list(range(5, 8 + WINDOW - 1))
    slowly = told([(0.05, 0.0)] * 8 + [(0.001, 0.0)] * 60)
    assert slowly[-1], "0.024 in a window is no rest"
    assert not told([(0.05, 0.0)] * 8 + [(0.0008, 0.0)] * 60)[-1]


def test_the_last_step_tells_whether_the_camera_moved() -> None:
    watch = Stepping([(0.01, 0.0), (0.0, 0.0), (0.0, 0.02)])
    assert not watch.moved
    watch.look(PICTURE)
    moves = []
    for _ in range(3):
        watch.look(PICTURE)
        moves.append(watch.moved)
    assert moves == [True, False, True]


def test_another_size_and_tiny_pictures_are_not_compared() -> None:
    watch = Stepping([(0.05, 0.0)] * 20)
    for _ in range(8):
        watch.look(PICTURE)
    assert watch.pans
    assert not watch.look(PICTURE[:40])
    assert len(watch._seen) == 1
    tiny = Stepping([])
    for _ in range(3):
        assert not tiny.look(np.zeros((15, 60, 3), np.uint8))
    assert len(tiny._seen) == 3


def street(left: int) -> Bytes:
    return np.ascontiguousarray(LONG[20:116, left : left + 96])


OTHER = wall(7, 96, 96)


@pytest.mark.parametrize("right", [3, 9, 28])
def test_a_step_is_measured_in_parts_of_the_longer_side(right: int) -> None:
    watch = PanDetector()
    found = watch._step(street(60), street(60 + right))
    assert found[0] == pytest.approx(-right / 96, abs=0.006)
    assert found[1] == pytest.approx(0, abs=0.006)


def test_what_is_no_step_of_a_camera() -> None:
    watch, before = PanDetector(), street(60)
    assert watch._step(before, street(60 + 32)) == (0.0, 0.0), "a third of the picture"
    now = before.copy()
    now[:4, :, 1] = np.where(now[:4, :, 1] > 100, now[:4, :, 1] - 30, now[:4, :, 1] + 30)
    assert watch._step(before, now) == (0.0, 0.0), "a twenty-fourth of the picture has changed"
    assert watch._step(before, OTHER) == (0.0, 0.0), "nothing explains what has changed"
    assert panning.CHANGED_SHARE == 0.05


@pytest.mark.parametrize(("led", "fits"), [(3, True), (0, False), (-3, False)])
def test_a_picture_from_before_must_be_where_the_way_leads(led: int, fits: bool) -> None:
    watch = PanDetector()
    for t in range(7):
        watch._seen.append(street(60 + (3 * t if fits else t % 2)))
    way = np.array([[-led / 96, 0.0]] * 6)
    if not fits:
        watch._seen[-1] = OTHER
    assert watch._fits(way) == fits


def test_the_way_goes_back_until_pictures_have_little_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the longer side: of steps of 3/96 the fourth is the first beyond it."""
    asked: list[tuple[int, float]] = []
    watch = PanDetector()
    for t in range(9):
        watch._seen.append(np.full((96, 96, 3), t, np.uint8))
    monkeypatch.setattr(panning, "_view", lambda picture: picture[..., 0])
    monkeypatch.setattr(panning, "shift", lambda *_: np.zeros((2, 3)))

    def supported(one: Any, other: Any, matrix: Any) -> float:
        if matrix.any():
            asked.append((int(other[0, 0]) - int(one[0, 0]), float(matrix[0, 2])))
        return 0.0

    monkeypatch.setattr(panning, "support", supported)
    assert not watch._fits(np.array([[3 / 96, 0.0]] * 8))
    assert not watch._fits(np.array([[0.5 / 96, 0.0]] * 8))
    assert asked == [(4, pytest.approx(12)), (8, pytest.approx(4))]
