"""Light and shadow that pass over a scene are no objects; what differs in that light is one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segue.events.scene.memory import SceneMemory
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.arrays import BoolArray, Float32Array
from tests.events.test_standing import SIZE, STREET, Camera

ACROSS = np.mgrid[: SIZE[0], : SIZE[1]][1]


def light(kind: str) -> Float32Array:
    """Share of the light of the scene."""
    if kind == "cloud":
        return np.float32(1 - 0.4 / (1 + np.exp((ACROSS - 80) / 12)))
    spot = np.zeros(SIZE, np.float32)
    cv2.circle(spot, (80, 60), 40, 1.0, -1)
    return np.asarray(1 + 0.5 * cv2.GaussianBlur(spot, (0, 0), 25), np.float32)


def shown(
    levels: Float32Array,
    pixels: BoolArray,
    *,
    thing: tuple[int, int, int] | None = None,
    without_light: bool = True,
) -> set[int]:
    """The objects of which there are events on three frames after the scene was learnt."""
    memory, camera = SceneMemory(without_light=without_light), Camera()
    for frame, result in camera.frames(2, car=False):
        memory.update(frame, result)
    numbers = set[int]()
    for frame, _ in camera.frames(0.6, car=False):
        image = STREET.astype(np.float32)
        if thing is not None:
            image[pixels] = thing
        image = np.clip(image * levels[..., None] + camera.rng.normal(0, 2, image.shape), 0, 255)
        seen = Frame(frame.index, frame.time, image.astype(np.uint8))
        mask = pixels.astype(np.uint8)
        listed = Segmentation(frame.index, frame.time, mask, (ObjectInfo(1, area=int(mask.sum())),))
        result = memory.update(seen, listed)
        assert {*np.unique(result.mask)} - {0} == {*result.ids}
        numbers |= {*result.ids}
    return numbers


def region(box: tuple[int, int, int, int]) -> BoolArray:
    pixels = np.zeros(SIZE, bool)
    pixels[box[1] : box[3], box[0] : box[2]] = True
    return pixels


BOXES = [(70, 20, 95, 50), (0, 90, 30, 120), (76, 100, 82, 106)]


@pytest.mark.parametrize(
    ("kind", "box"), [*(("cloud", box) for box in BOXES), *(("headlight", box) for box in BOXES[1:])]
)
def test_light_and_shadow_that_surround_a_region_are_no_object(
    kind: str, box: tuple[int, int, int, int]
) -> None:
    assert shown(light(kind), region(box)) == set()


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("kind", ["cloud", "headlight", "none"])
def test_a_person_in_changing_light_is_one_object(kind: str, box: tuple[int, int, int, int]) -> None:
    levels = np.ones(SIZE, np.float32) if kind == "none" else light(kind)
    assert shown(levels, region(box), thing=(30, 40, 160)) == {1}


def test_a_shadow_around_which_the_light_is_as_before_stays_an_object() -> None:
    """Nobody knows whether a dark region with an edge is one."""
    pixels = region((60, 30, 100, 90))
    assert shown(np.where(pixels, 0.4, 1).astype(np.float32), pixels) == {1}


def test_runs_whose_objects_may_look_as_the_scene_does_keep_them() -> None:
    """A person whom a detector knows late, or who is prompted, has been there all the time."""
    assert shown(np.ones(SIZE, np.float32), region(BOXES[0]), without_light=True) == set()
    assert shown(np.ones(SIZE, np.float32), region(BOXES[0]), without_light=False) == {1}
