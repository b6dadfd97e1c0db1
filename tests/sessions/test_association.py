"""Which detection is which object: each rule by itself, with numbers that can be worked out by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
import pytest

from segue.prompts.proposals import Proposals
from segue.sessions.association import (
    RETURNS,
    SURPLUS,
    DetectionTrack,
    appearance_of,
    assign,
    match,
    new_objects,
    reidentify,
)
from segue.types import Box, ObjectInfo, Segmentation

LOOKS = np.eye(4, dtype=np.float32)
"""Appearances that have nothing in common."""


def track(box: Box, look: int = 0, label: str = "dog", **how: Any) -> DetectionTrack:
    return DetectionTrack(how.pop("id", 1), box, how.pop("seen", 0), LOOKS[look], {label: 1.0}, **how)


def square(x: float, y: float = 0.0, side: float = 10.0) -> Box:
    return x, y, x + side, y + side


def test_a_found_object_is_no_longer_missed_and_learns_its_class() -> None:
    one = track(square(0), misses=3)
    one.add_detection((2.0, 3.0, 12.0, 8.0), 0.6, "cat")
    assert (one.hits, one.misses, one.size) == (1, 0, (10.0, 5.0))
    assert one.votes == {"dog": 1.0, "cat": 0.6}


def tentative(*scores: float) -> DetectionTrack:
    """A track that was detected with these scores."""
    one = DetectionTrack(0, square(0), 0, LOOKS[0])
    for score in scores:
        one.add_detection(square(0), score, "dog")
    return one


def test_a_track_is_confirmed_by_certainty_or_by_being_seen_twice() -> None:
    assert tentative(0.5 + SURPLUS).is_confirmed(0.5)
    assert not tentative(0.5 + SURPLUS - 0.01).is_confirmed(0.5)
    twice = tentative(0.25, 0.75)
    assert twice.score == 0.5
    assert twice.is_confirmed(0.5)
    assert not twice.is_confirmed(0.51)


def matched(tracks: list[DetectionTrack], boxes: list[Box], label: str | None = "dog") -> dict[int, int]:
    labels = (label,) * len(boxes)
    proposals = Proposals(tuple(boxes), (1.0,) * len(boxes), labels, lambda _: np.zeros((1, 1), np.float32))
    return match(tracks, proposals, [LOOKS[3]] * len(boxes), range(len(boxes)))


def test_the_largest_sum_is_assigned_whether_or_not_rows_compete() -> None:
    generator = np.random.default_rng(0)
    for _ in range(500):
        shape = tuple(generator.integers(1, 5, 2))
        value, possible = generator.uniform(0.1, 1.0, shape), generator.random(shape) < generator.random()
        pairs = assign(value, possible)
        assert len({*pairs.values()}) == len(pairs)
        assert all(possible[pair] for pair in pairs.items())
        gains = np.pad(np.where(possible, value, 0.0), [(0, 4 - side) for side in shape])
        best = max(gains[range(4), columns].sum() for columns in itertools.permutations(range(4)))
        assert sum(value[pair] for pair in pairs.items()) == pytest.approx(best)


def test_detections_belong_to_the_tracks_that_they_overlap() -> None:
    tracks = [track(square(0)), track(square(50), id=2)]
    assert matched(tracks, [square(52), square(1), square(90)]) == {0: 1, 1: 0}
    assert matched([], [square(0)]) == {}
    assert matched(tracks, []) == {}


def test_another_class_needs_twice_the_overlap() -> None:
    assert matched([track(square(0))], [square(5)]) == {0: 0}
    assert matched([track(square(0))], [square(5)], "cat") == {}
    assert matched([track(square(0))], [square(2)], "cat") == {0: 0}


def test_detections_without_a_class_are_of_one_class() -> None:
    unnamed = DetectionTrack(1, square(0), 0, LOOKS[0])
    unnamed.add_detection(square(0), 0.9, None)
    assert matched([unnamed], [square(5)], None) == {0: 0}


def turned(cosine: float) -> Any:
    """A look that is like the first one by so much."""
    return np.array([cosine, math.sqrt(1 - cosine**2), 0, 0], np.float32)


@pytest.mark.parametrize(("likeness", "known"), [(RETURNS + 0.01, True), (RETURNS - 0.01, False)])
def test_a_lost_object_returns_by_its_look(likeness: float, known: bool) -> None:
    one = track(square(0), seen=10)
    new = DetectionTrack(0, square(5), 11, turned(likeness))
    assert (reidentify([one], new) is one) == known


def test_the_most_similar_lost_track_is_reidentified() -> None:
    like, liker = track(square(9)), track(square(9), 1, id=2)
    new = DetectionTrack(0, square(0), 1, np.array([0.6, 0.8, 0, 0], np.float32))
    assert reidentify([like, liker], new) is liker
    assert reidentify([liker, like], new) is liker
    assert reidentify([], new) is None


@pytest.mark.parametrize(
    ("speed", "frames", "apart", "known"),
    [
        (0, 1, 10, True),
        (0, 1, 12, False),
        (0, 50, 59, True),
        (0, 50, 61, False),
        (4, 10, 49, True),
        (4, 10, 51, False),
    ],
)
def test_a_lost_object_returns_only_where_it_can_be(
    speed: float, frames: int, apart: float, known: bool
) -> None:
    """Squares of 10 pixels: as far as their side, and a tenth of it or its speed for each frame away."""
    old = track(square(0), seen=10, speed=speed)
    new = DetectionTrack(0, square(apart), 10 + frames, LOOKS[0])
    assert (reidentify([old], new) is old) == known


def test_the_speed_of_an_object_is_that_of_its_last_steps() -> None:
    one = track(square(0))
    for step in range(1, 30):
        one.move(square(6.0 * step), 2 * step)
    assert one.speed == pytest.approx(3, abs=0.01)
    assert (one.box, one.seen) == (square(174), 58)


@pytest.mark.parametrize(
    ("apart", "label", "known"),
    [(5.3, "dog", True), (5.5, "dog", False), (2.4, "car", True), (2.6, "car", False)],
)
def test_a_find_of_the_run_before_is_known_by_its_place(apart: float, label: str, known: bool) -> None:
    assert (matched([tentative(0.5)], [square(apart)], label) == {0: 0}) == known


def likeness(one: Any, other: Any) -> float:
    return float(one @ other)


def drawn_image(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Any:
    image = np.full((40, 40, 3), 128, np.uint8)
    image[10:20, 10:30], image[20:30, 10:30] = top, bottom
    return image


def test_appearance_ignores_the_surroundings_of_an_object() -> None:
    red, blue = (220, 30, 30), (30, 30, 220)
    image, box = drawn_image(red, blue), (10.0, 10.0, 30.0, 30.0)
    other = image.copy()
    other[:10], other[30:], other[:, :10], other[:, 30:] = 0, 255, 0, 255
    other[10:12, 10:12], other[28:30, 28:30] = 0, 255  # the corners lie outside of the ellipse
    assert np.array_equal(appearance_of(image, box), appearance_of(other, box))
    assert np.array_equal(appearance_of(image, (10.2, 10.2, 29.8, 29.8)), appearance_of(image, box))


@pytest.mark.parametrize(
    ("shown", "misses"),
    [
        (None, 2),
        (square(50), 1),
        ((0.0, 0.0, 10.0, 6.0), 1),
        ((0.0, 0.0, 10.0, 5.9), 2),
        ((0.0, 0.0, 20.0, 10.0), 2),
        ((0.0, 0.0, 7.0, 8.0), 2),
        ((5.0, 5.0, 5.0, 5.0), 2),
    ],
)
def test_a_mask_that_kept_its_shape_counts_as_half_a_miss(shown: Box | None, misses: int) -> None:
    one = track(square(0), size=(10.0, 10.0), misses=1)
    one.missed(shown)
    assert one.misses == 1 + misses


def test_colours_that_are_far_apart_have_nothing_in_common() -> None:
    levels = np.array(np.meshgrid(*[range(60, 201, 28)] * 3), np.uint8).reshape(3, -1).T
    lab = cv2.cvtColor(levels[None], cv2.COLOR_RGB2LAB)[0].astype(float)
    looks = np.stack([appearance_of(np.full((8, 8, 3), level, np.uint8), (0, 0, 8, 8)) for level in levels])
    apart = np.hypot(*np.moveaxis(lab[:, None, 1:] - lab[:, 1:], -1, 0)) + np.abs(lab[:, None, 0] - lab[:, 0])
    assert (looks @ looks.T)[apart > 90].max() == 0


def test_found_objects_that_are_known_are_not_new() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:8, 2:8], mask[10:16, 10:20] = 1, 2
    found = Segmentation(0, 0.0, mask, (ObjectInfo(1, "dog", 0.9), ObjectInfo(2, "dog", 0.8)))
    before = np.zeros_like(mask)
    before[2:8, 3:9], before[10:16, 18:25] = 3, 7
    known = Segmentation(0, 0.0, before, (ObjectInfo(3, "dog", area=36), ObjectInfo(7, None, area=42)))
    (new,) = new_objects(found, known, known.ids)
    assert (new.id, new.label) == (8, "dog")
    assert np.array_equal(new.mask, (mask == 2) & (before == 0))
    assert [prompt.id for prompt in new_objects(found, None, ())] == [1, 2]
