"""Which detection is which object: each rule by itself, with numbers that can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from segue.sessions.association import (
    CANDIDATE_OVERLAP,
    CLASS,
    LONGEST,
    MOMENTUM,
    REACH,
    RETURN_BONUS,
    RETURN_SPEED,
    RETURNS,
    SHORTEST,
    SURPLUS,
    Candidate,
    Track,
    appearance_of,
    find_occlusions,
    match,
    match_tentative,
    next_id,
    overlaps,
    reidentify,
)
from segue.types import Box

LOOKS = np.eye(4, dtype=np.float32)
"""Appearances that have nothing in common."""


def track(box: Box, look: int = 0, label: str = "dog", **how: Any) -> Track:
    return Track(how.pop("id", 1), box, how.pop("seen", 0), LOOKS[look], {label: 1.0}, **how)


def square(x: float, y: float = 0.0, side: float = 10.0) -> Box:
    return x, y, x + side, y + side


@pytest.mark.parametrize(
    ("last", "taken", "new"),
    [(0, (), 1), (1, (2, 3), 4), (65534, (), 65535), (65535, (), 1), (65535, (1, 2), 3), (7, (7,), 8)],
)
def test_ids_go_on_from_the_last_one_and_begin_anew_behind_the_largest(
    last: int, taken: tuple[int, ...], new: int
) -> None:
    assert next_id(last, taken) == new


def test_the_overlap_of_boxes_is_their_common_area_in_parts_of_both() -> None:
    found = overlaps(
        [square(0), (0.0, 0.0, 20.0, 10.0)], [square(0), square(5), square(10), (3.0, 4.0, 3.0, 4.0)]
    )
    expected = [[1, 50 / 150, 0, 0], [100 / 200, 100 / 200, 100 / 200, 0]]
    assert np.allclose(found, expected)
    assert overlaps([], [square(0)]).shape == (0, 1)
    assert overlaps([square(0)], []).shape == (1, 0)
    assert overlaps([square(0)], [square(0, 7)])[0, 0] == pytest.approx(30 / 170)


def test_the_class_is_the_one_with_the_most_votes_and_the_score_their_mean() -> None:
    one = track(square(0))
    one.vote("cat", 0.7)
    assert one.label == "dog"
    one.vote("cat", 0.7)
    assert one.label == "cat"
    one.hits = 4
    assert one.score == pytest.approx((1 + 0.7 + 0.7) / 4)
    one.hits = 1
    assert one.score == 1.0
    nameless = Track(1, square(0), 0, LOOKS[0])
    assert (nameless.label, nameless.score) == (None, 0.0)
    nameless.vote(None, 0.5)
    assert (nameless.label, nameless.score) == (None, 0.5)


@pytest.mark.parametrize(
    ("hits", "runs", "patience"),
    [
        (1, 1, SHORTEST),
        (2, 2, SHORTEST),
        (3, 30, LONGEST),
        (99, 99, SHORTEST),
        # Found in half of the runs: five misses in a row have a chance of 3 %, six of 1.6 %.
        (9, 18, 6),
        (5, 7, math.ceil(math.log(0.02) / math.log(1 - 6 / 9))),
    ],
)
def test_an_object_may_be_missed_as_long_as_its_detector_usually_misses_it(
    hits: int, runs: int, patience: int
) -> None:
    assert track(square(0), hits=hits, runs=runs).patience == patience


def test_a_found_object_learns_its_size_its_class_and_alone_its_look() -> None:
    one = track(square(0), misses=3)
    one.found((2.0, 3.0, 12.0, 8.0), 0.6, "cat", LOOKS[1], alone=False)
    assert (one.hits, one.misses, one.size) == (2, 0, (10.0, 5.0))
    assert one.votes == {"dog": 1.0, "cat": 0.6}
    assert np.array_equal(one.appearance, LOOKS[0])
    one.found(square(0), 0.6, "cat", LOOKS[1], alone=True)
    length = math.hypot(MOMENTUM, 1 - MOMENTUM)
    assert np.allclose(one.appearance, [MOMENTUM / length, (1 - MOMENTUM) / length, 0, 0])


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


def test_the_motion_is_that_between_the_places_where_it_stood_alone() -> None:
    one = track(square(0))
    assert one.expected(5) == one.box
    one.stands_alone(square(0), 10)
    assert one.expected(14) == square(0)
    one.stands_alone((8.0, 4.0, 20.0, 18.0), 12)  # its centre has moved by 9 and 6 in two frames
    assert np.allclose(one.velocity, [4.5 / 2, 3 / 2])
    assert one.expected(16) == pytest.approx((8 + 9, 4 + 6, 20 + 9, 18 + 6))
    one.stands_alone((8.0, 4.0, 20.0, 18.0), 13)
    assert np.allclose(one.velocity, [4.5 / 4, 3 / 4]), "half of it is the old one"
    assert one.expected(13 + REACH) != one.box
    assert one.expected(14 + REACH) == one.box


@pytest.mark.parametrize(("passed", "moves"), [(0, False), (1, True), (REACH, True), (REACH + 1, False)])
def test_a_place_of_long_ago_says_nothing_of_the_motion(passed: int, moves: bool) -> None:
    one = track(square(0))
    one.stands_alone(square(0), 10)
    one.stands_alone(square(30), 10 + passed)
    assert bool(one.velocity.any()) == moves


def test_who_met_another_learns_its_motion_anew() -> None:
    one = track(square(0))
    one.stands_alone(square(0), 10)
    one.contested = True
    one.stands_alone(square(30), 11)
    assert not one.velocity.any()
    assert not one.contested
    one.stands_alone(square(34), 13)
    assert np.allclose(one.velocity, [1, 0])


def test_a_find_is_confirmed_by_certainty_or_by_being_seen_twice() -> None:
    assert Candidate(square(0), "dog", 0.5 + SURPLUS).is_confirmed(0.5)
    assert not Candidate(square(0), "dog", 0.5 + SURPLUS - 0.01).is_confirmed(0.5)
    twice = Candidate(square(0), "dog", 1.0, runs=2)
    assert twice.score == 0.5
    assert twice.is_confirmed(0.5)
    assert not twice.is_confirmed(0.51)


def matched(tracks: list[Track], shown: list[Box | None], boxes: list[Box], **how: Any) -> dict[int, int]:
    labels = how.get("labels", ["dog"] * len(boxes))
    looks = LOOKS[how.get("looks", [3] * len(boxes))]
    return match(tracks, shown, boxes, labels, looks, how.get("at", 1))


def test_detections_belong_to_the_masks_that_they_overlap() -> None:
    tracks = [track(square(0)), track(square(50), id=2)]
    shown: list[Box | None] = [square(0), square(50)]
    assert matched(tracks, shown, [square(52), square(1), square(90)]) == {0: 1, 1: 0}
    assert matched([], [], [square(0)]) == {}
    assert matched(tracks, shown, []) == {}


@pytest.mark.parametrize(("apart", "near"), [(5.3, True), (5.5, False)])
def test_a_detection_is_near_from_three_tenths_of_overlap_on(apart: float, near: bool) -> None:
    # IoU (10 - d) / (10 + d): 0.307 and 0.29.
    assert bool(matched([track(square(0))], [square(0)], [square(apart)])) == near


@pytest.mark.parametrize(("apart", "near"), [(2.4, True), (2.6, False)])
def test_another_class_must_be_nearly_at_the_same_place(apart: float, near: bool) -> None:
    # Six tenths of overlap: IoU 0.61 and 0.59.
    assert bool(matched([track(square(0))], [square(0)], [square(apart)], labels=["car"])) == near


def test_of_two_that_fit_the_look_and_the_class_decide() -> None:
    one = track(square(0))
    at = [square(0), square(0)]
    assert matched([one], [square(0)], at, looks=[3, 0]) == {0: 1}
    assert matched([one], [square(0)], at, looks=[0, 3]) == {0: 0}
    assert matched([one], [square(0)], at, labels=["car", "dog"]) == {0: 1}
    # An overlap that is larger by more than the class counts wins over it.
    assert CLASS < 0.45
    assert matched([one], [square(0)], [square(0), square(4)], labels=["car", "dog"]) == {0: 0}


def moving(**how: Any) -> Track:
    """At (0, 0) on frame 10, ten pixels a frame to the right; its mask has stayed behind."""
    one = track(square(0), anchor=np.array([10, 5, 5, 10, 10], np.float32), **how)
    one.velocity = np.array([10, 0], np.float32)
    return one


def test_the_motion_leads_to_who_is_out_of_sight_or_met_another_alone() -> None:
    there = [square(20)]
    assert matched([moving()], [None], there, at=12) == {0: 0}
    assert matched([moving()], [square(0)], there, at=12) == {}
    assert matched([moving(contested=True)], [square(0)], there, at=12) == {0: 0}
    assert matched([moving()], [None], there, at=16) == {}


def test_after_a_meeting_the_look_counts_more_than_the_mask() -> None:
    """Two of one class met, and the masks went over to the other."""
    looks = {"looks": [0, 1]}
    boxes, shown = [square(0), square(4)], [square(4), square(0)]
    calm = [track(square(2), 0), track(square(2), 1, id=2)]
    assert matched(calm, shown, boxes, at=100, **looks) == {0: 1, 1: 0}
    met = [track(square(2), 0, contested=True), track(square(2), 1, id=2, contested=True)]
    assert matched(met, shown, boxes, at=100, **looks) == {0: 0, 1: 1}


def turned(cosine: float) -> Any:
    """A look that is like the first one by so much."""
    return np.array([cosine, math.sqrt(1 - cosine**2), 0, 0], np.float32)


@pytest.mark.parametrize(
    ("likeness", "box", "at", "known"),
    [
        (RETURNS + 0.01, square(900), 11, True),
        (RETURNS - 0.01, square(900), 11, False),
        (RETURNS - RETURN_BONUS + 0.01, square(0), 11, True),
        (RETURNS - RETURN_BONUS - 0.01, square(0), 11, False),
        # The diagonal is 500: 10 pixels a frame, and the frame itself counts.
        (RETURNS - RETURN_BONUS + 0.01, square(19.9), 11, True),
        (RETURNS - RETURN_BONUS + 0.01, square(20.1), 11, False),
        (RETURNS - RETURN_BONUS + 0.01, square(20.1), 12, True),
        (RETURNS - RETURN_BONUS + 0.01, square(0, 20.1), 11, False),
    ],
)
def test_a_lost_object_returns_by_its_look_and_by_whether_it_can_have_come_so_far(
    likeness: float, box: Box, at: int, known: bool
) -> None:
    assert RETURN_SPEED == 0.02
    one = track(square(0), seen=10)
    assert (reidentify([one], box, turned(likeness), at, (300, 400)) is one) == known


def test_of_several_lost_ones_the_likest_returns() -> None:
    like, liker = track(square(900)), track(square(900), 1, id=2)
    look = np.array([0.6, 0.8, 0, 0], np.float32)
    assert reidentify([like, liker], square(0), look, 1, (300, 400)) is liker
    assert reidentify([liker, like], square(0), look, 1, (300, 400)) is liker
    assert reidentify([], square(0), look, 1, (300, 400)) is None


@pytest.mark.parametrize(("apart", "met"), [(11.9, True), (12.1, False)])
def test_masks_of_one_class_meet_when_they_nearly_touch(apart: float, met: bool) -> None:
    tracks = [track(square(0)), track(square(apart), id=2)]
    assert find_occlusions(tracks, [square(0), square(apart)], 1) == [met, met]
    other = [tracks[0], track(square(apart), id=2, label="car")]
    assert find_occlusions(other, [square(0), square(apart)], 1) == [False, False]


def test_who_is_out_of_sight_is_hidden_and_may_hide_others() -> None:
    tracks = [track(square(0)), track(square(11), id=2), track(square(90), id=3)]
    assert find_occlusions(tracks, [None, square(11), square(90)], 1) == [True, True, False]
    assert find_occlusions(tracks[2:], [None], 1) == [True]
    assert find_occlusions([], [], 1) == []


def test_ways_that_cross_count_as_a_meeting() -> None:
    one, other = moving(), track(square(20), id=2)
    assert find_occlusions([one, other], [square(-60), square(80)], 12) == [True, True]
    assert find_occlusions([one, other], [square(-60), square(80)], 14) == [False, False]


@pytest.mark.parametrize(
    ("apart", "label", "known"),
    [(5.3, "dog", True), (5.5, "dog", False), (2.4, "car", True), (2.6, "car", False)],
)
def test_a_find_of_the_run_before_is_known_by_its_place(apart: float, label: str, known: bool) -> None:
    assert CANDIDATE_OVERLAP == 0.3
    before = Candidate(square(0), "dog", 0.5)
    assert (match_tentative([before], square(apart), label) is before) == known


def test_of_several_finds_the_nearest_is_the_one() -> None:
    finds = [Candidate(square(x), "dog", 0.5) for x in (0, 3, 5)]
    assert (
        match_tentative(finds, square(4), "dog") is finds[1]
        or match_tentative(finds, square(4), "dog") is finds[2]
    )
    assert match_tentative(finds, square(1), "dog") is finds[0]
    assert match_tentative(finds, square(6), "dog") is finds[2]
    assert match_tentative([], square(6), "dog") is None


def likeness(one: Any, other: Any) -> float:
    return float(one @ other)


def picture(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Any:
    image = np.full((40, 40, 3), 128, np.uint8)
    image[10:20, 10:30], image[20:30, 10:30] = top, bottom
    return image


def test_looks_are_like_by_the_colours_of_their_halves() -> None:
    red, blue, dark = (220, 30, 30), (30, 30, 220), (60, 5, 5)
    box = (10.0, 10.0, 30.0, 30.0)
    one = appearance_of(picture(red, blue), box)
    assert one.shape == (512,)
    assert likeness(one, one) == pytest.approx(1)
    assert likeness(one, appearance_of(picture(red, red), box)) == pytest.approx(0.5, abs=0.02)
    assert likeness(one, appearance_of(picture(blue, red), box)) == pytest.approx(0, abs=0.02)
    assert likeness(one, appearance_of(picture(dark, blue), box)) == pytest.approx(0.5, abs=0.02)


def test_what_is_around_an_object_does_not_count_for_its_look() -> None:
    red, blue = (220, 30, 30), (30, 30, 220)
    image, box = picture(red, blue), (10.0, 10.0, 30.0, 30.0)
    other = image.copy()
    other[:10], other[30:], other[:, :10], other[:, 30:] = 0, 255, 0, 255
    other[10:12, 10:12], other[28:30, 28:30] = 0, 255  # the corners lie outside of the ellipse
    assert np.array_equal(appearance_of(image, box), appearance_of(other, box))
    assert np.array_equal(appearance_of(image, (10.2, 10.2, 29.8, 29.8)), appearance_of(image, box))


def test_a_box_may_be_a_line_or_lead_out_of_the_picture() -> None:
    image = picture((220, 30, 30), (30, 30, 220))
    whole = appearance_of(image, (0.0, 0.0, 40.0, 40.0))
    assert np.array_equal(appearance_of(image, (-9.0, -9.0, 99.0, 99.0)), whole)
    for box in ((12.0, 12.0, 12.0, 12.0), (39.0, 39.0, 39.2, 39.2)):
        assert np.linalg.norm(appearance_of(image, box)) == pytest.approx(1)
