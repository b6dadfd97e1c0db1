"""Places where something comes and goes again and again are scene."""

from __future__ import annotations

import numpy as np
import pytest

from segue.events.scene.scenery import TIMES, Scenery
from segue.types import ObjectInfo, Segmentation

SIZE, FPS = (100, 200), 5
Boxes = dict[int, tuple[int, int, int, int]]


class Camera:
    def __init__(self) -> None:
        self.notices: list[str] = []
        self.scenery, self.index, self.number = Scenery(self.notices.append), 0, 0

    def see(self, boxes: Boxes) -> tuple[int, ...]:
        """The objects of the next frame that are left."""
        mask = np.zeros(SIZE, np.uint8)
        for number, (x0, y0, x1, y1) in boxes.items():
            mask[y0:y1, x0:x1] = number
        objects = tuple(ObjectInfo(number) for number in boxes)
        self.index += 1
        result = self.scenery.update(Segmentation(self.index, self.index / FPS, mask, objects))
        assert {*np.unique(result.mask)} - {0} == {*result.ids}
        return tuple(result.ids)

    def sway(self, times: int, seconds: float = 2.0, place: tuple[int, int] = (20, 10)) -> list[bool]:
        """A branch comes and goes; gives whether it was an object each time."""
        shown = []
        for _ in range(times):
            self.number += 1
            x, y = place[0] + self.number % 3, place[1]
            frames = [self.see({self.number: (x + index % 2, y, x + 20, y + 15)}) for index in range(10)]
            shown.append(any(frames))
            for _ in range(round(seconds * FPS)):
                self.see({})
        return shown


@pytest.fixture
def camera() -> Camera:
    return Camera()


def test_a_place_with_recurring_motion_is_scene_after_four_times_and_reported_once(camera: Camera) -> None:
    assert camera.sway(TIMES + 6) == [True] * TIMES + [False] * 6
    [place] = camera.scenery.places
    assert place.box[0] <= 0.1 < 0.2 <= place.box[2]
    assert camera.notices == [camera.notices[0]]
    assert "it is now scene" in camera.notices[0]


def test_a_place_that_is_taken_back_is_never_scene_again(camera: Camera) -> None:
    camera.sway(TIMES + 1)
    [place] = camera.scenery.places
    assert camera.scenery.reject(place.number)
    assert not camera.scenery.reject(place.number)
    assert camera.sway(3 * TIMES) == [True] * 3 * TIMES


def test_a_person_who_crosses_such_a_place_is_an_object(camera: Camera) -> None:
    camera.sway(TIMES)
    assert all(camera.see({99: (x, 5, x + 12, 25)}) for x in range(120, 10, -5)), "also inside"
    camera.see({})
    shown = [bool(camera.see({100: (x, 12, x + 10, 24)})) for x in range(25, 80, 5)]
    assert not shown[0]
    assert shown[-1]
    assert sorted(shown) == shown, "from where it comes out on"


def test_a_flag_of_which_parts_show_up_here_and_there_is_scene(camera: Camera) -> None:
    """It begins as a small part, is seen as a whole, and ends as another part."""
    parts = [(20, 10, 26, 16), (20, 28, 28, 34), (52, 12, 58, 20), (50, 26, 58, 34)]
    shown = []
    for number in range(1, 2 * TIMES + 1):
        first, last = parts[number % 4], parts[(number + 2) % 4]
        boxes = [first, (20, 10, 58, 34), (24, 10, 56, 32), last, last]
        visible = [camera.see({number: box}) for box in boxes]
        shown.append(any(visible))
        camera.see({})
    assert shown == [True] * TIMES + [False] * TIMES


@pytest.mark.parametrize(
    "kind", ["people who cross it", "who come near", "rare", "long", "elsewhere", "large"]
)
def test_objects_that_do_not_recur_at_one_place_are_no_scene(camera: Camera, kind: str) -> None:
    for number in range(1, 9):
        if kind == "people who cross it":
            frames = [{number: (x, 10, x + 12, 40)} for x in range(0, 60, 4)]
        elif kind == "who come near":
            steps = (1.2**step for step in range(12))  # from the far side of the yard to the camera
            frames = [
                {number: (100 - int(4 * size), 5 + int(2 * size), 100 + int(4 * size), 10 + int(8 * size))}
                for size in steps
            ]
        elif kind == "long":
            frames = [{number: (20, 10, 40, 30)}] * (61 * FPS)
        elif kind == "elsewhere":
            frames = [{number: (20 * number, 10, 20 * number + 15, 30)}] * 10
        else:
            frames = [{number: (0, 0, 120, 80) if kind == "large" else (20, 10, 40, 30)}] * 10
        assert all(camera.see(boxes) for boxes in frames)
        camera.see({})
        camera.index += 100 * FPS if kind == "rare" else 0
    assert camera.scenery.places == []


def test_a_quiet_place_is_watched_again(camera: Camera) -> None:
    camera.sway(TIMES)
    assert camera.scenery.places
    camera.index += 3700 * FPS
    assert camera.sway(1) == [True]
    assert camera.scenery.places == []
