"""Pieces of foreground keep their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from segue.events.rules import EventRules
from segue.events.zone_events import ZoneEvents
from segue.sessions.foreground.components import ComponentTracker, _UsualMotion
from segue.sessions.foreground.masks import without_small
from segue.types import Box, ObjectInfo, Segmentation
from tests.sessions.foreground.scenes import Place, square_mask

SIZE = (40, 60)


class SquareTracker:
    """Tracks squares of eight pixels at given places."""

    def __init__(self) -> None:
        self.tracker = ComponentTracker(confirmed=1)
        self.time = 0.0
        self.objects: tuple[ObjectInfo, ...] = ()

    def __call__(self, *places: Place, seconds: float = 0.1) -> dict[Place, int]:
        """Id of each square on the next frame."""
        mask = square_mask(SIZE, places, side=8)
        labels, self.objects = self.tracker.update(mask, self.time, mask.astype(np.float32))
        self.time += seconds
        assert np.array_equal(labels > 0, mask)
        return {(row, column): int(labels[row, column]) for row, column in places}

    @property
    def followed(self) -> list[int]:
        return [item.id for item in self.objects]


@pytest.fixture
def squares() -> SquareTracker:
    return SquareTracker()


def test_ids_stay_while_objects_move(squares: SquareTracker) -> None:
    for t in range(10):
        assert squares((5, 2 + 3 * t), (25, 40 - 2 * t)) == {(5, 2 + 3 * t): 1, (25, 40 - 2 * t): 2}


def test_boxes_are_places_in_the_whole_image(squares: SquareTracker) -> None:
    squares((7, 13), (29, 41))
    assert [item.box for item in squares.objects] == [(13, 7, 21, 15), (41, 29, 49, 37)]


def test_an_object_that_was_hidden_for_a_moment_comes_back(squares: SquareTracker) -> None:
    for t in range(4):
        squares((5, 10 + t))
    for _ in range(5):
        squares()
        assert squares.followed == [1]
        assert squares.objects[0].area == 0
        assert squares.objects[0].box is None
    assert squares((5, 18)) == {(5, 18): 1}


def test_an_object_that_was_away_for_long_is_a_new_one(squares: SquareTracker) -> None:
    for _ in range(4):
        squares((5, 10))
    for _ in range(12):
        squares()
    assert squares.followed == []
    assert squares((5, 10)) == {(5, 10): 2}


def test_when_two_meet_one_id_remains_and_when_they_part_both_are_back(squares: SquareTracker) -> None:
    for t in range(4):
        squares((5, 10 + t), (5, 30 - t))
    merged = squares((5, 14), (5, 20))
    assert set(merged.values()) <= {1, 2}
    assert squares.followed == [1, 2]
    assert set(squares((5, 10), (5, 30)).values()) == {1, 2}


def test_crossing_objects_keep_their_ids(squares: SquareTracker) -> None:
    for t in range(4):
        squares((5, 2 + 3 * t), (9, 40 - 3 * t))
    for t in range(4, 13):  # they overlap in between, and are one piece then
        places = (5, 2 + 3 * t), (9, 40 - 3 * t)
        mask = square_mask(SIZE, places, side=8)
        labels, _ = squares.tracker.update(mask, squares.time, mask.astype(np.float32))
        squares.time += 0.1
        assert set(np.unique(labels[mask])) == {1, 2}, t
    assert labels[5, 38] == 1
    assert labels[16, 4] == 2


def test_an_object_that_falls_into_pieces_stays_one(squares: SquareTracker) -> None:
    def body(gap: int, left: int) -> npt.NDArray[np.bool_]:
        mask = np.zeros(SIZE, bool)
        mask[4:30, left : left + 8] = True
        mask[14 : 14 + gap, left : left + 8] = False
        return mask

    for t in range(8):
        mask = body(3 if t % 2 else 0, 5 + 2 * t)
        labels, objects = squares.tracker.update(mask, t / 10, mask.astype(np.float32))
        assert set(np.unique(labels)) == {0, 1}
        assert len(objects) == 1
        assert objects[0].box == (5 + 2 * t, 4.0, 13 + 2 * t, 30.0)


def test_objects_that_separate_get_two_ids(squares: SquareTracker) -> None:
    for _ in range(4):
        squares((5, 20), (5, 27))  # one piece
    for t in range(6):
        squares((5, 20 - 2 * t), (5, 28 + 2 * t))
    assert len(set(squares((5, 8), (5, 40)).values())) == 2


def test_a_piece_belongs_to_the_object_that_it_overlaps_most(squares: SquareTracker) -> None:
    squares((5, 10), (5, 20))
    assert squares((5, 18)) == {(5, 18): 2}


def test_a_new_scene_has_new_ids_and_a_new_video_begins_with_1(squares: SquareTracker) -> None:
    squares((5, 10))
    squares.tracker.restart()
    assert squares((5, 10)) == {(5, 10): 2}
    squares.tracker.reset()
    assert squares((5, 10)) == {(5, 10): 1}


def test_many_pieces_need_sixteen_bits() -> None:
    mask = np.zeros((40, 60), bool)
    mask[::2, ::2] = True
    labels, objects = ComponentTracker(confirmed=1).update(mask, 0.0, mask.astype(np.float32))
    assert labels.dtype == np.uint16
    assert len(objects) == 600
    assert set(np.unique(labels)) == set(range(601))


@pytest.mark.parametrize("stop", [0, 3, 8])
def test_tracks_continue_from_a_saved_state(stop: int) -> None:
    rng = np.random.default_rng(1)
    masks = np.repeat(np.repeat(rng.random((12, 10, 15)) < 0.2, 4, 1), 4, 2)
    through, first, second = (ComponentTracker() for _ in range(3))

    def run(tracker: ComponentTracker, span: Sequence[int]) -> list[tuple[npt.NDArray[Any], Any]]:
        return [tracker.update(masks[t], t / 10, masks[t].astype(np.float32)) for t in span]

    run(first, range(stop))
    second.restore(first.state())
    expected = run(through, range(12))[stop:]
    for (labels, objects), (same, others) in zip(run(second, range(stop, 12)), expected, strict=True):
        assert np.array_equal(labels, same)
        assert objects == others


def test_small_pieces_are_left_out() -> None:
    mask = square_mask(SIZE, [(2, 2)], side=4) | square_mask(SIZE, [(20, 20)], side=3)
    assert without_small(mask, 0) is mask
    assert np.array_equal(without_small(mask, 9), mask)
    assert np.array_equal(without_small(mask, 10), square_mask(SIZE, [(2, 2)], side=4))
    assert not without_small(mask, 17).any()
    diagonal = np.eye(6, dtype=bool)
    assert np.array_equal(without_small(diagonal, 6), diagonal), "corners connect"


@pytest.mark.parametrize(("frames", "comes_back"), [(2, False), (3, True)])
def test_an_object_is_waited_for_from_its_third_frame_on(
    squares: SquareTracker, frames: int, comes_back: bool
) -> None:
    for t in range(frames):
        assert squares((5, 10 + t))[(5, 10 + t)] == 1
    squares()
    assert (1 in squares.followed) is comes_back
    assert squares((5, 12))[(5, 12)] == (1 if comes_back else 2)


def test_an_object_has_an_id_from_its_third_frame_on_and_ids_are_consecutive() -> None:
    tracker = ComponentTracker()
    found = []
    for t in range(6):
        places = [(5, 10 + t), *([(25, 4 + 12 * t)] if t < 4 else [])]  # the second one is never seen twice
        mask = square_mask(SIZE, places, side=6)
        labels, objects = tracker.update(mask, t / 10, mask.astype(np.float32))
        found.append([item.id for item in objects])
        assert set(np.unique(labels)) - {0} == set(found[-1])
    assert found == [[], [], [1], [1], [1], [1]]
    for t in range(6, 9):
        mask = square_mask(SIZE, [(5, 10 + t), (25, 40)], side=6)
        objects = tracker.update(mask, t / 10, mask.astype(np.float32))[1]
    assert [item.id for item in objects] == [1, 2]


@pytest.mark.parametrize(("probability", "frames"), [(0.95, 3), (0.6, 4), (0.35, 6)])
def test_objects_of_low_probability_get_their_id_later(probability: float, frames: int) -> None:
    """Specks of coded noise are seen on a few frames, each barely above the threshold."""
    tracker, mask = ComponentTracker(), square_mask(SIZE, [(5, 10)], side=6)
    found = [tracker.update(mask, t / 10, np.float32(probability) * mask)[1] for t in range(8)]
    assert [bool(objects) for objects in found] == [t >= frames - 1 for t in range(8)]


def traffic(fps: float, seconds: float = 40.0) -> tuple[list[tuple[np.ndarray, float]], int]:
    """Masks of a road, and how many cars pass: each is two to four frames in view at 5 frames a second.

    Cars of two lanes, of 24 to 34 pixels, drive at 240 pixels a second, each behind the one before at a
    distance of its own.
    """
    rng = np.random.default_rng(3)
    cars = []
    for lane in (30, 80):
        begin = 0.0
        while begin < seconds - 2:
            cars.append((begin, lane, int(rng.integers(24, 34))))
            begin += rng.uniform(0.3, 1.2)
    frames = []
    for index in range(round(seconds * fps)):
        mask = np.zeros((120, 160), bool)
        for begin, row, length in cars:
            left = 240.0 * (index / fps - begin) - length
            if -length < left < 160:
                mask[row : row + 18, max(0, round(left)) : max(0, round(left) + length)] = True
        frames.append((mask, index / fps))
    return frames, len(cars)


@pytest.mark.parametrize(("fps", "share"), [(25.0, 0.97), (5.0, 0.75)])
def test_cars_that_move_by_more_than_their_length_have_events_of_their_own(fps: float, share: float) -> None:
    frames, count = traffic(fps)
    tracker, events = ComponentTracker(), ZoneEvents(rules=EventRules().at_rate(fps))
    entered, positions = set[int](), dict[int, list[float]]()
    for index, (mask, time) in enumerate(frames):
        labels, objects = tracker.update(mask, time, mask.astype(np.float32))
        for item in objects:
            if item.box is not None:
                positions.setdefault(item.id, []).append(item.box[0])
        result = Segmentation(index, time, labels, objects)
        entered |= {event.object for event in events.update(result) if event.event == "enter"}
    assert share * count <= len(entered) <= 1.05 * count
    backwards = [number for number, places in positions.items() if np.diff(places).min(initial=0) < -1]
    assert len(backwards) < 0.05 * count, "an id is not given to the next car"


def test_usual_motion_is_what_adds_up_not_what_is_nearest() -> None:
    """Objects move by 1.5 of their size; others behind them are nearer to where they were, here or there."""
    motion, rng = _UsualMotion((120, 160), None), np.random.default_rng(0)
    box = (40.0, 40.0, 60.0, 60.0)
    assert motion.at(box) is None
    for _ in range(12):
        gap = float(rng.uniform(-25, 25))
        boxes = [(70.0, 40.0, 90.0, 60.0), (40.0 + gap, 40.0, 60.0 + gap, 60.0)]
        motion.vote([box], boxes, np.ones((1, 2), np.float32))
    assert motion.at(box) == pytest.approx([30.0, 0.0])
    still = _UsualMotion((120, 160), None)
    for _ in range(5):
        still.vote([box], [box], np.ones((1, 1), np.float32))
    assert still.at(box) == pytest.approx([0.0, 0.0])


def test_cars_that_change_places_are_told_apart_by_what_they_look_like() -> None:
    """Of two cars that drive the same way, the first one is gone, and the second one is near its place."""
    tracker, ids = ComponentTracker(confirmed=1), []
    places = [[(10, 40), (10, 0)], [(10, 38)]]  # the one behind has moved by 38 pixels, more than its length
    colours = [[(200, 30, 30), (30, 30, 200)], [(30, 30, 200)]]
    for index in range(2):
        image = np.full((*SIZE, 3), 110, np.uint8)
        for (row, column), colour in zip(places[index], colours[index], strict=True):
            image[row : row + 16, column : column + 16] = colour
        mask = square_mask(SIZE, places[index], side=16)
        labels, _ = tracker.update(mask, index / 5, mask.astype(np.float32), image)
        ids.append([int(labels[row + 1, column + 1]) for row, column in places[index]])
    assert ids[1] == ids[0][1:]


def test_a_large_object_counts_at_once_where_others_are_fast() -> None:
    """On a road at 5 frames a second a car that is seen once has an id; one that is dim or small has none."""
    tracker = ComponentTracker()
    for turn in range(8):  # a car crosses in three frames, after which another one comes
        for step in range(3):
            mask = square_mask((120, 160), [(40, 50 * step)], side=24)
            tracker.update(mask, (3 * turn + step) / 5, mask.astype(np.float32))
    counts = []
    for place, side, probability in [(50, 24, 1.0), (50, 24, 0.6), (50, 6, 1.0)]:
        later = ComponentTracker()
        later.restore(tracker.state())
        mask = square_mask((120, 160), [(40, place)], side=side)
        labels, _ = later.update(mask, 24.5 / 5, mask * np.float32(probability))
        counts.append(int((labels > 0).sum()))
    assert counts == [24 * 24, 0, 0]


@pytest.mark.parametrize(
    ("boxes", "speed", "expected"), [("around", 16, 1), ("none", 16, 0), ("around", 2, 0)]
)
def test_a_fast_object_counts_at_once_where_a_detector_finds_it(
    boxes: str, speed: int, expected: int
) -> None:
    """At 5 frames a second a small car that is seen once has an id if a detector finds it; slow ones wait."""
    tracker, calls = ComponentTracker(), list[float]()

    def find() -> list[Box]:
        calls.append(time)
        return [(40, 40, 48, 48)] if boxes == "around" else []

    for time in range(24):
        mask = square_mask((120, 160), [(40, speed * (time % 3))], side=8)
        tracker.update(mask, time / 5, mask.astype(np.float32))
    mask = square_mask((120, 160), [(40, 40)], side=8)
    labels, _ = tracker.update(mask, 24.5 / 5, mask.astype(np.float32), None, find)
    assert int((labels > 0).sum()) == expected * 64
    assert len(calls) == (speed == 16), "a detector runs for fast objects alone"
