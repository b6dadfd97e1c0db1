"""An object that stands keeps its id while its pixels differ from the background before it came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from segue.events import EventSink
from segue.events.scene.memory import SceneMemory
from segue.events.scene.standing import STILL_SECONDS, StandingObjects
from segue.events.table import read_events
from segue.types import Frame, Image, ObjectInfo, Segmentation
from segue.utils.arrays import id_type

SIZE, FPS = (120, 160), 5
CAR = slice(60, 90), slice(50, 100)


def street(seed: int) -> Image:
    noise = np.random.default_rng(seed).uniform(60, 180, (12, 16, 3))
    return np.asarray(cv2.resize(noise, SIZE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


STREET, PAINT = street(1), street(7)


class Camera:
    """A camera before a street where a car stops, which the session takes into the background."""

    def __init__(self) -> None:
        self.standing = StandingObjects()
        self.frame = 0
        self.light, self.rng = 1.0, np.random.default_rng(2)

    def run(self, seconds: float, *, car: bool, listed: int | None = None) -> Iterator[tuple[int, ...]]:
        """The objects of each result."""
        for frame, seen in self.frames(seconds, car=car, listed=listed):
            result = self.standing.update(frame, seen)
            assert {*np.unique(result.mask)} - {0} <= {*result.ids}
            yield tuple(result.ids)

    def frames(
        self, seconds: float, *, car: bool, listed: int | None = None
    ) -> Iterator[tuple[Frame, Segmentation]]:
        """Frames and what a session gives: ``listed`` is the id that the place of the car has in it."""
        for _ in range(round(seconds * FPS)):
            image = STREET.astype(np.float64)
            if car:
                image[CAR] = PAINT[CAR] // 2
            image = np.clip(self.light * image + self.rng.normal(0, 4, image.shape), 0, 255)
            mask = np.zeros(SIZE, id_type(listed or 0))  # as a session has it
            if listed is not None:
                mask[CAR] = listed
            objects = () if listed is None else (ObjectInfo(listed, "car"),)
            time = self.frame / FPS
            frame = Frame(self.frame, time, image.astype(np.uint8))
            self.frame += 1
            yield frame, Segmentation(frame.index, time, mask, objects)


@pytest.fixture
def camera() -> Camera:
    """The background is known."""
    camera = Camera()
    assert {*camera.run(20, car=False)} == {()}
    assert {*camera.run(15, car=True, listed=3)} == {(3,)}
    return camera


def test_a_parked_car_keeps_its_id_for_hours_while_the_light_changes(camera: Camera) -> None:
    for light in (1.0, 1.1, 1.2, 1.0, 0.8, 0.6, 0.5):
        camera.light = light
        assert {*camera.run(8, car=True)} == {(3,)}
    *_, last = camera.run(10, car=False)
    assert last == ()


def test_an_object_of_any_id_stands_in_results_without_other_objects() -> None:
    camera = Camera()
    assert {*camera.run(20, car=False)} == {()}
    assert {*camera.run(15, car=True, listed=300)} == {(300,)}
    assert {*camera.run(8, car=True)} == {(300,)}
    assert {*camera.run(4, car=True, listed=3)} == {(300,)}, "it is found again, under another id"


def test_an_object_elsewhere_has_another_id_than_the_one_that_stands() -> None:
    """Ids have begun anew meanwhile, and the next one is that of the parked car."""
    camera, ids = Camera(), set[tuple[int, ...]]()
    assert {*camera.run(20, car=False)} == {()}
    assert {*camera.run(15, car=True, listed=300)} == {(300,)}
    assert {*camera.run(90, car=True)} == {(300,)}
    for frame, seen in camera.frames(4, car=True):
        mask = np.zeros(SIZE, np.uint16)
        mask[10:40, 100:130] = 300
        result = Segmentation(seen.index, seen.time, mask, (ObjectInfo(300, "person"),))
        result = camera.standing.update(frame, result)
        ids.add(tuple(sorted(result.ids)))
        assert (result.mask[CAR] == 300).mean() > 0.9
        assert not (result.mask[10:40, 100:130] == 300).any()
    ((car, other),) = ids
    assert car == 300
    assert other > 30_000, "an id that the session does not give soon"


def test_slowly_sliding_or_split_objects_stay_one_object() -> None:
    """As a drop on the lens that the background takes in little by little."""
    camera, ids = Camera(), set[tuple[int, ...]]()
    for _ in camera.run(5, car=False):
        pass
    for step in range(60):
        for frame, seen in camera.frames(0.2, car=False):
            top = 30 + step // 3
            image = frame.image.copy()
            image[top : top + 30, 50:90] = PAINT[20:50, 50:90] // 2
            mask = np.zeros(SIZE, np.uint8)
            mask[top : top + 30, 50:90] = 3 if step < 8 else 0
            if 12 < step < 20:  # a part alone, for a while
                mask[top + 12 : top + 25, 60:80] = 4
            numbers = sorted({*np.unique(mask)} - {0})
            result = Segmentation(seen.index, seen.time, mask, tuple(map(ObjectInfo, map(int, numbers))))
            ids.add(tuple(camera.standing.update(Frame(frame.index, frame.time, image), result).ids))
    assert ids == {(3,)}


def test_a_leaf_that_shows_now_and_then_does_not_stand() -> None:
    camera = Camera()
    for _ in camera.run(5, car=False):
        pass
    for _ in range(4):
        assert {*camera.run(0.4, car=True, listed=3)} == {(3,)}
        assert {*camera.run(1, car=True)} == {()}


def test_an_object_redetected_at_its_place_keeps_its_id(camera: Camera) -> None:
    assert {*camera.run(5, car=True)} == {(3,)}
    for number in (8, 9, 10):
        assert {*camera.run(2, car=True, listed=number)} == {(3,)}
        assert {*camera.run(5, car=True)} == {(3,)}


def test_the_hole_that_it_leaves_is_no_object(camera: Camera) -> None:
    assert {*camera.run(6, car=True)} == {(3,)}
    shown = [*camera.run(8, car=False, listed=12)]
    assert {*shown} == {()}, "it leaves at once, and its hole is nothing"


def test_brief_stops_and_false_objects_are_not_held() -> None:
    camera = Camera()
    for _ in camera.run(20, car=False):
        pass
    assert {*camera.run(STILL_SECONDS - 0.4, car=True, listed=3)} == {(3,)}
    assert {*camera.run(1, car=True)} == {()}
    assert {*camera.run(STILL_SECONDS + 5, car=False, listed=4)} == {(4,)}, "a false object"
    assert {*camera.run(1, car=False)} == {()}


def test_a_standing_object_leaves_once(tmp_path: Path, camera: Camera) -> None:
    memory = SceneMemory()
    memory.standing = camera.standing
    sink = EventSink(tmp_path / "gate.csv", live=True, memory=memory)
    for seconds, car, listed in ((2, True, 3), (20, True, None), (5, False, 5), (2, False, None)):
        for frame, seen in camera.frames(seconds, car=car, listed=listed):
            sink.write(frame, seen)
    sink.close()
    rows = [*read_events(tmp_path / "gate.csv")]
    assert [(row["event"], int(row["object"])) for row in rows] == [("enter", 3), ("leave", 3)]
    assert 21 <= float(rows[-1]["seconds"]) <= 25
