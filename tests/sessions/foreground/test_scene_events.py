"""Whatever changes the whole image, it ends in nothing, and then in correct masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

import segue
from segue.sessions import SessionState
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.camera.scene_events import LONGEST, REST, SceneEvents
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference
from segue.sessions.foreground.session import ForegroundSession
from segue.types import FollowCamera, Segmentation
from tests.sessions.foreground.scenes import Bytes, Place, square_mask, video, wall, with_squares

SIZE = (96, 128)
STILL = 30  # frames between changes
SECOND = 25  # frames in which all must be well again
WIDE = wall(5, SIZE[0], 700)


def view(right: int = 0) -> Bytes:
    return np.ascontiguousarray(WIDE[:, right : right + SIZE[1]])


def grey(image: Bytes) -> Bytes:
    return np.repeat(0.75 * (image @ np.array([0.6, 0.1, 0.3]))[..., None] + 20, 3, 2).astype(np.uint8)


def flash(image: Bytes) -> Bytes:
    return (255 - 0.3 * (255.0 - image)).astype(np.uint8)


def bright(image: Bytes) -> Bytes:
    return np.clip(2.6 * image.astype(float), 0, 255).astype(np.uint8)


def gamma(image: Bytes) -> Bytes:
    return (255 * (image / 255.0) ** 0.3).astype(np.uint8)


def zoomed(image: Bytes, by: float) -> Bytes:
    matrix = cv2.getRotationMatrix2D((64, 48), 0, by)
    return np.asarray(cv2.warpAffine(image, matrix, SIZE[::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)


def bumped(image: Bytes) -> Bytes:
    matrix = cv2.getRotationMatrix2D((64, 48), 6, 1)
    matrix[:, 2] += (9, 5)
    return np.asarray(cv2.warpAffine(image, matrix, SIZE[::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)


def covered() -> Bytes:
    return np.full((*SIZE, 3), 25, np.uint8)


def with_equal_ground(image: Bytes) -> Bytes:
    """The lower 37 % of the image is a plain road, whatever the camera sees above it."""
    other = image.copy()
    other[60:] = (100, 110, 100)
    return other


def panned(start: int, end: int, frames: int) -> list[Bytes]:
    return [view(round(right)) for right in np.linspace(start, end, frames + 1)[1:]]


@dataclass(frozen=True)
class Part:
    """What the camera shows: a few frames of a change, then one view for some time."""

    scene: Bytes
    way: tuple[Bytes, ...] = ()
    frames: int = STILL


DAY = Part(view())
FILMS: dict[str, tuple[list[Part], list[Change]]] = {
    "grey and back": ([DAY, Part(grey(view())), DAY], [Change.scene, Change.back]),
    "infrared after a flash": ([DAY, Part(grey(view()), (flash(view()),) * 6)], [Change.scene]),
    "another gamma": ([DAY, Part(gamma(view()))], [Change.scene]),
    "preset tour": (
        [
            DAY,
            Part(view(200), tuple(panned(0, 200, 8))),
            Part(view(400), tuple(panned(200, 400, 8))),
            Part(view(), tuple(panned(400, 0, 8))),
        ],
        [Change.scene, Change.scene, Change.back],
    ),
    "pan of 10 frames": ([DAY, Part(view(60), tuple(panned(0, 60, 10)))], [Change.scene]),
    "cut": ([DAY, Part(view(300))], [Change.scene]),
    "cut with equal ground": (
        [Part(with_equal_ground(view())), Part(with_equal_ground(view(300)))],
        [Change.scene],
    ),
    "zoom": ([DAY, Part(zoomed(view(), 1.5), (zoomed(view(), 1.25),))], [Change.scene]),
    "lens covered": ([DAY, Part(covered()), DAY], [Change.scene, Change.back]),
    "camera bumped": ([DAY, Part(bumped(view()))], [Change.scene]),
}

# Along columns in which the square is not at the end of one part where it is at the beginning of the next.
ROW, SIDE = 30, 16


@dataclass(frozen=True)
class Shot:
    """A frame, where the square is on it, and whether nothing need be right there."""

    image: Bytes
    place: Place | None
    busy: bool
    changing: bool


def shots(parts: list[Part]) -> Iterator[Shot]:
    """A square crosses the last part; everything has the noise of a sensor."""
    rng = np.random.default_rng(0)

    def noisy(image: Bytes) -> Bytes:
        return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)

    for number, part in enumerate(parts):
        for image in part.way:
            yield Shot(noisy(image), None, busy=True, changing=True)
        last = number == len(parts) - 1
        for time in range(part.frames + last * 30):
            place = (ROW, 3 * (time - SECOND) - SIDE) if last and time > SECOND else None
            image = part.scene if place is None else with_squares(part.scene, [place], SIDE)
            yield Shot(noisy(image), place, busy=number > 0 and time < SECOND, changing=False)


@cache
def film_of(name: str) -> list[Shot]:
    return list(shots(FILMS[name][0]))


def judge(results: list[Segmentation], film: list[Shot]) -> tuple[float, float, float]:
    """Most foreground while all is busy or changes, and afterwards F of the square."""
    changing, after, hits, wrong, missed = 0.0, 0.0, 0, 0, 0
    assert [result.index for result in results] == list(range(len(film)))
    for result, shot in zip(results, film, strict=True):
        mask = result.mask == 1
        true = square_mask(SIZE, [] if shot.place is None else [shot.place], SIDE)
        if shot.busy:
            after = max(after, float(mask.mean()))
            changing += float(mask.mean()) * shot.changing
            continue
        hits, wrong, missed = (
            hits + int((mask & true).sum()),
            wrong + int((mask & ~true).sum()),
            missed + int((~mask & true).sum()),
        )
    return (
        changing / max(1, sum(shot.changing for shot in film)),
        after,
        2 * hits / (2 * hits + wrong + missed),
    )


def decisions(images: list[Bytes], follow: FollowCamera = "never") -> list[tuple[Change, bool]]:
    events = SceneEvents(follow)
    return [(events.update(image), events.changes) for image in images]


@pytest.mark.parametrize("name", FILMS)
def test_a_change_of_the_whole_image_is_one_new_scene_or_a_known_one(name: str) -> None:
    _, expected = FILMS[name]
    film = film_of(name)
    found = decisions([shot.image for shot in film])
    assert [event for event, _ in found if event is not Change.none] == expected
    assert not any(changes for (_, changes), shot in zip(found, film, strict=True) if not shot.busy)


IN_TWO_PASSES = ("infrared after a flash", "lens covered")


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        *((name, 1) for name in FILMS),
        *((name, 2) for name in IN_TWO_PASSES),
        *(pytest.param(name, 2, marks=pytest.mark.slow) for name in ("preset tour", "zoom")),
    ],
)
def test_after_a_change_of_the_whole_image_there_is_nothing_and_then_the_square(
    name: str, passes: int
) -> None:
    film = film_of(name)
    images = [shot.image for shot in film]
    results = list(segue.foreground(images, model="median", passes=passes))
    changing, after, score = judge(results, film)
    assert changing < 0.1
    assert after < 0.3  # on a frame or two, at the beginning of a pan or a zoom
    assert score > 0.8


@pytest.mark.parametrize("what", [bright, lambda image: (0.4 * image).astype(np.uint8)])
def test_a_light_that_a_gain_explains_ends_no_scene(what: Callable[[Bytes], Bytes]) -> None:
    lit = np.minimum(view(), 90)  # so that nothing clips
    images = [lit] * STILL + [what(lit)] * STILL + [lit] * STILL
    events = [event for event, _ in decisions(images) if event is not Change.none]
    assert events == [Change.light, Change.light]


def test_something_large_before_a_camera_at_rest_is_no_change() -> None:
    images = [view()] * STILL + [with_squares(view(), [(0, 4 * t - 90)], side=96) for t in range(60)]
    assert set(decisions(images)) == {(Change.none, False)}


def test_a_permanently_covered_view_becomes_a_scene_and_the_known_view_returns() -> None:
    large = with_squares(view(), [(0, 10)], side=100)
    found = decisions([view()] * STILL + [large] * 2 * STILL + [view()] * STILL)
    assert [event for event, _ in found if event is not Change.none] == [Change.scene, Change.back]


def test_a_change_that_does_not_end_is_given_up() -> None:
    rng = np.random.default_rng(1)
    storm = [rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8) for _ in range(LONGEST + 20)]
    large = [np.ascontiguousarray(cv2.resize(image[:6, :8], SIZE[::-1])) for image in storm]
    found = decisions([view()] * STILL + large)
    assert sum(changes for _, changes in found) == LONGEST
    assert (Change.scene, False) in found


def test_a_camera_that_is_shaken_is_at_the_same_view() -> None:
    rng = np.random.default_rng(3)
    images = [view(20)] * STILL + [view(20 + right) for right in rng.integers(-3, 4, 60)]
    assert set(decisions(images)) == {(Change.none, False)}


def test_more_views_than_are_remembered_end_no_run() -> None:
    scenes = [wall(seed) for seed in range(12)]
    events = SceneEvents()
    for image in (image for scene in (*scenes, scenes[0]) for image in [scene] * 2 * REST):
        events.update(image)
    assert len(events.views.known) <= 8


def test_a_known_view_has_its_background_again_and_finds_who_stands_there() -> None:
    """Somebody comes while the camera looks elsewhere, and does not move."""
    person = with_squares(view(), [(ROW, 60)], SIDE)
    images = [view()] * STILL + [view(300)] * STILL + [person] * STILL
    found = [result.mask == 1 for result in segue.foreground(images, model="median", passes=1)]
    true = square_mask(SIZE, [(ROW, 60)], SIDE)
    assert (found[-1] == true).mean() > 0.99


STOPS = (35, 66, 95)


@pytest.fixture(scope="module")
def whole() -> tuple[list[Segmentation | None], dict[int, SessionState]]:
    """Results of a session that nothing interrupts, and its states before some frames."""
    session = ForegroundSession(BackgroundDifference(), masks=ForegroundMasks(objects=True))
    results: list[Segmentation | None] = []
    states: dict[int, SessionState] = {}
    for frame in video([shot.image for shot in film_of("grey and back")]):
        if frame.index in STOPS:
            state = session.state()
            states[frame.index] = SessionState(state.tensors, state.values)
        results.append(session.step(frame))
    return results, states


@pytest.mark.parametrize("stop", STOPS)
def test_scene_events_continue_from_a_saved_state(
    stop: int, whole: tuple[list[Segmentation | None], dict[int, SessionState]]
) -> None:
    session = ForegroundSession(BackgroundDifference(), masks=ForegroundMasks(objects=True))
    expected, states = whole
    session.restore(states[stop])
    for frame in video([shot.image for shot in film_of("grey and back")])[stop:]:
        result, other = session.step(frame), expected[frame.index]
        assert result is not None
        assert other is not None
        assert np.array_equal(result.mask, other.mask)


@pytest.mark.parametrize(
    "name", ["infrared after a flash", pytest.param("preset tour", marks=pytest.mark.slow)]
)
def test_a_camera_that_changes_all_it_shows_reports_one_object(name: str) -> None:
    """As cameras by night and on tour do: only what crosses the last view has an id."""
    film = film_of(name)
    results = segue.foreground((shot.image for shot in film), objects=True)
    ids = {item.id for result in results for item in result.objects}
    assert len(ids) == 1


def test_a_person_before_a_plain_wall_stays_foreground() -> None:
    plain = np.random.default_rng(0).integers(86, 95, (*SIZE, 3)).astype(np.uint8)
    images = [plain] * STILL + [with_squares(plain, [(20, 4 * t)], side=40) for t in range(15)]
    images += images[-1:] * 2 * STILL
    assert set(decisions(images)) == {(Change.none, False)}


def test_a_crowd_on_a_plain_square_is_no_other_view() -> None:
    """Its structure is that of the people, who are gone from the median of the view after some seconds."""
    rng = np.random.default_rng(0)
    square = np.repeat(150 + 0.2 * wall(1).mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    starts, speeds = (
        rng.random((30, 2)) * SIZE,
        rng.choice([-1, 1], (30, 2)) * rng.uniform(0.05, 0.3, (30, 2)),
    )

    def crowded(t: int) -> Bytes:
        image = square.copy()
        for row, column in np.rint((starts + speeds * t) % SIZE).astype(int):
            image[row : row + 9, column : column + 4] = 30
        return image

    assert set(decisions([crowded(t) for t in range(200)])) == {(Change.none, False)}


def test_large_vehicles_before_a_camera_at_rest_are_no_other_view() -> None:
    """At 5 frames a second they move by their length, and change as much of the image as a cut or a lamp."""
    images = [view()] * STILL
    for t in range(14):
        left, other = (0, 66)[t % 2], wall(100 + t, light=1.4)
        image = view().copy()
        image[6:, left : left + 62] = other[6:, left : left + 62]
        images.append(image)
    events = SceneEvents()
    found = {(events.update(image, time=index / 5), events.changes) for index, image in enumerate(images)}
    assert found == {(Change.none, False)}


@pytest.mark.shared
def test_a_truck_with_its_shadow_is_no_other_view(shared: Path) -> None:
    files = sorted((shared / "data/foreground/sbi2015/HighwayI/input").glob("*.jpg"))
    assert files
    events, found = SceneEvents(), set[tuple[Change, bool]]()
    for number, file in enumerate(files[::5]):
        image = cv2.imread(str(file))[..., ::-1]
        small = np.ascontiguousarray(cv2.resize(image, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))
        found.add((events.update(small, time=number / 5), events.changes))
    assert found == {(Change.none, False)}
