"""What a network, the recent background and a detector agree on: leaves go, halves of cars are completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import PromptError
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.box_finder import BoxFinder
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.segmenters.base import Segmenter, SegmenterInput
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.agreement import (
    DETECTION_INTERVAL,
    LONG_DETECTION_INTERVAL,
    _in_reference,
)
from segue.types import Box, Frame, Image, ObjectInfo, Segmentation

RNG = np.random.default_rng(0)
WALL = RNG.integers(90, 110, (96, 320, 3), dtype=np.uint8)
LEAF, RED, ORANGE, BAG = (40, 250, 40), (230, 20, 20), (230, 130, 20), (20, 20, 230)
LEAF_BOX, BAG_BOX = (10, 10, 34, 34), (200, 20, 216, 36)
FRAMES = 260


class OfColours(Segmenter):
    """Finds leaves, bags and the red half of cars, and doubts the orange half."""

    name, stages, uses_background = "colours", ("agreement",), True
    probabilities = ((LEAF, 0.9), (RED, 0.9), (ORANGE, 0.2), (BAG, 0.9))

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        found = np.zeros((1, *frame.image.shape[:2]), np.float32)
        for colour, probability in self.probabilities:
            found[0][(frame.image == colour).all(axis=2)] = probability
        return found


class Boxes:
    """Finds the box around the red part of a frame."""

    names: Mapping[int, str] = {}
    lookahead = 0

    def __init__(self, *, finds: bool = True, whole: bool = False, label: str | None = "car") -> None:
        self.calls, self._finds, self._whole, self._label = 0, finds, whole, label

    def __call__(self, frame: Frame, *following: Frame) -> Segmentation:
        self.calls += 1
        rows, columns = np.nonzero((frame.image[..., 0] > 200) & (frame.image[..., 1] < 200))
        height, width = frame.size
        boxes: list[Box] = []
        if self._finds and rows.size:
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        if self._whole:
            boxes = [(0, 0, width, height)]
        objects = tuple(ObjectInfo(i, self._label, 0.9, box, 1) for i, box in enumerate(boxes, 1))
        return Segmentation(0, 0.0, np.zeros(frame.size, np.uint8), objects)


def image(index: int) -> Image:
    """A wall with a leaf that comes and goes, a bag that is put down, and a car."""
    frame = WALL.copy()
    if index and index % 6 < 3:
        _fill(frame, LEAF_BOX, LEAF)
    if index >= 60:
        _fill(frame, BAG_BOX, BAG)
    x, y, right, bottom = car(index)
    _fill(frame, (x, y, right, bottom), RED)
    _fill(frame, (x, y + 10, right, bottom), ORANGE)
    return frame


def car(index: int) -> tuple[int, int, int, int]:
    x = 4 * index % 280 if index else 0
    return x, 70, x + 20, 90


def _fill(frame: Image, box: tuple[int, int, int, int], colour: Sequence[int]) -> None:
    x, y, right, bottom = box
    frame[y:bottom, x:right] = colour


def session(detector: Any = None, **options: Any) -> ForegroundSession:
    return ForegroundSession(OfColours(), short_side=None, detector=detector, **options)


def run(one: ForegroundSession, begin: int = 0, end: int = FRAMES) -> list[Segmentation]:
    frames = (Frame(index, index / 25, image(index)) for index in range(begin, end))
    return [result for frame in frames if (result := one.step(frame)) is not None]


def inside(result: Segmentation, box: tuple[int, int, int, int]) -> float:
    x, y, right, bottom = box
    return float((result.mask[y:bottom, x:right] > 0).mean())


@cache
def whole(*, agrees: bool) -> tuple[list[Segmentation], Image, int]:
    """Results of all frames, the background at the end, and the looks of the detector."""
    detector = Boxes()
    one = session(detector if agrees else None)
    results, background = run(one), one.background
    assert background is not None
    return results, background, detector.calls


def test_leaves_go_and_cars_are_completed_where_the_detector_finds_what_moves() -> None:
    plain, agreed = whole(agrees=False)[0], whole(agrees=True)[0]
    leafy = [index for index in range(FRAMES - 60, FRAMES) if index % 6 < 3]
    assert all(inside(plain[index], LEAF_BOX) == 1 for index in leafy)
    assert all(inside(agreed[index], LEAF_BOX) == 0 for index in leafy)
    assert all(inside(plain[index], car(index)) == 0.5 for index in leafy)
    assert np.mean([inside(agreed[index], car(index)) > 0.75 for index in leafy]) > 0.8


def test_a_bag_that_was_put_down_once_stays() -> None:
    assert all(inside(result, BAG_BOX) == 1 for result in whole(agrees=True)[0][60:])


@pytest.mark.parametrize("detector", [Boxes(finds=False), Boxes(whole=True), Boxes(label="chair")])
def test_a_detector_that_finds_nothing_of_use_changes_nothing(detector: Boxes) -> None:
    both = zip(run(session(detector)), whole(agrees=False)[0], strict=True)
    assert all(np.array_equal(one.mask, other.mask) for one, other in both)
    assert detector.calls, "it was asked"


def test_the_background_learns_what_the_network_says() -> None:
    assert np.array_equal(whole(agrees=False)[1], whole(agrees=True)[1])


def test_looks_are_rare_and_a_calm_film_has_none() -> None:
    assert 5 <= whole(agrees=True)[2] <= FRAMES // DETECTION_INTERVAL
    calm = Boxes()
    one = session(calm)
    for index in range(100):
        one.step(Frame(index, index / 25, WALL))
    assert calm.calls == 0


def test_specks_are_too_small_to_look_for() -> None:
    detector = Boxes()
    one = session(detector)
    for index in range(200):
        frame = WALL.copy()
        if index and index % 6 < 3:
            _fill(frame, (20, 20, 22, 21), LEAF)
        one.step(Frame(index, index / 25, frame))
    assert detector.calls == 0


def test_looks_become_rarer_where_the_detector_knows_all_places() -> None:
    detector = Boxes()
    one = session(detector)
    run(one, 0, 400)
    calls = detector.calls
    assert inside(run(one, 400, 700)[-1], LEAF_BOX) == 0
    assert detector.calls - calls <= 300 // LONG_DETECTION_INTERVAL + 1


@pytest.mark.parametrize("at", [21, 149])
def test_a_session_goes_on_from_its_state(at: int) -> None:
    first, second = session(Boxes()), session(Boxes())
    run(first, 0, at)
    second.restore(first.state())
    both = zip(run(second, at), whole(agrees=True)[0][at:], strict=True)
    assert all(np.array_equal(one.mask, other.mask) for one, other in both)


def test_another_scene_begins_without_trust() -> None:
    one = session(Boxes())
    run(one)
    other_wall = np.random.default_rng(1).integers(0, 255, WALL.shape, dtype=np.uint8)
    for index in range(FRAMES, FRAMES + 30):
        one.step(Frame(index, index / 25, other_wall))
    after = run(one, FRAMES + 30, FRAMES + 60)
    assert any(inside(result, LEAF_BOX) == 1 for result in after[5:])


def test_without_a_detector_the_stage_is_not_there() -> None:
    assert "agreement" not in session()._stages.names
    assert "agreement" not in session(Boxes(), without=["agreement"])._stages.names
    assert "agreement" in session(Boxes())._stages.names


def test_a_detector_without_classes_is_refused() -> None:
    with pytest.raises(PromptError, match="motion knows no classes"):
        BoxFinder("motion")
    with pytest.raises(PromptError, match="no class 'goat'"):
        BoxFinder("nanodet", ["goat"])
    with pytest.raises(PromptError, match="detector"):
        segue.foreground([WALL], detector="nobody")


def test_the_detector_is_an_option_of_segue_foreground() -> None:
    stages = [
        segue.foreground([WALL] * 2, detector=detector, passes=1).session._stages.names
        for detector in ("nanodet", "none", None)
    ]
    assert ["agreement" in names for names in stages] == [True, False, False]


def test_boxes_of_a_shaken_frame_are_moved_to_the_reference() -> None:
    shift = np.array([[1, 0, 5], [0, 1, -3]], np.float32)
    assert _in_reference([(10, 10, 20, 30)], shift) == [(5, 13, 15, 33)]
    quarter = np.array([[0, -1, 0], [1, 0, 0]], np.float32)  # (x, y) in the reference is at (-y, x)
    assert _in_reference([(-30, 10, -10, 20)], quarter) == [(10, 10, 20, 30)]
    assert _in_reference([(1, 2, 3, 4)], None) == [(1, 2, 3, 4)]


def test_a_detector_of_a_program_is_taken() -> None:
    detector = Boxes()
    results = segue.foreground([image(index) for index in range(60)], detector=detector, passes=1)
    assert len(list(results)) == 60
    assert detector.calls


def crossing(one: ForegroundSession) -> list[int]:
    """Frames, at 5 a second, on which small cars that cross in three frames have an id."""
    found = []
    for index in range(30):
        frame, x = WALL.copy(), 100 + 40 * (index % 3)
        if index:
            _fill(frame, (x, 40, x + 20, 50), RED)
        result = one.step(Frame(index, index / 5, frame))
        assert result is not None
        if result.mask.any():
            found.append(index)
        if index == 20:
            one.restore(one.state())
    return found


def test_fast_cars_have_an_id_from_their_first_frame_on_where_the_detector_finds_them() -> None:
    sure, unsure = (
        crossing(session(detector, masks=ForegroundMasks(objects=True)))
        for detector in (Boxes(), Boxes(finds=False))
    )
    assert {*range(18, 30)} <= {*sure}
    assert not {18, 21, 24, 27} & {*unsure}, "without it they are small and seen too shortly"
