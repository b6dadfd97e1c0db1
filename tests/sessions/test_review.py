"""Frames of a track that a person should look at."""

from __future__ import annotations

import numpy as np
import pytest

from segue.sessions import Doubt, to_review
from segue.sessions.review import MAX_REMEMBERED, AbsenceList, ReviewList
from segue.types import ATTENTION_BELOW, ObjectInfo, Segmentation

MASK = np.zeros((2, 2), np.uint8)


def frame(index: int, *scores: float) -> Segmentation:
    return Segmentation(index, 0.0, MASK, tuple(ObjectInfo(i, None, s) for i, s in enumerate(scores, 1)))


@pytest.mark.parametrize(
    ("score", "marked"), [(0.0, False), (0.01, True), (ATTENTION_BELOW, False), (1.0, False)]
)
def test_a_visible_mask_with_a_low_score_needs_attention(score: float, marked: bool) -> None:
    assert ObjectInfo(1, None, score).needs_attention == marked
    assert frame(0, 0.9, score).needs_attention == marked


def test_the_worst_come_first_and_no_two_of_an_object_are_close() -> None:
    scores = {0: 0.6, 5: 0.4, 15: 0.5, 16: 0.55, 40: 0.3}
    results = [frame(index, scores.get(index, 0.9), 0.65 if index == 6 else 0.0) for index in range(50)]
    assert to_review(results) == [Doubt(40, 1, 0.3), Doubt(5, 1, 0.4), Doubt(16, 1, 0.55), Doubt(6, 2, 0.65)]
    assert to_review(reversed(results), apart=9, most=3) == [
        Doubt(40, 1, 0.3),
        Doubt(5, 1, 0.4),
        Doubt(15, 1, 0.5),
    ]


def test_a_track_without_end_keeps_its_worst_frames_in_bounded_memory() -> None:
    review = ReviewList()
    for index in range(4 * MAX_REMEMBERED):
        review.add(frame(index, 0.1 if index == 7 else 0.5))
    assert review.worst(most=1) == [Doubt(7, 1, 0.1)]
    assert len(review._doubts) <= MAX_REMEMBERED


def seen_on(index: int, *areas: int) -> Segmentation:
    return Segmentation(
        index, 0.0, MASK, tuple(ObjectInfo(i, None, float(a > 0), None, a) for i, a in enumerate(areas, 1))
    )


def test_objects_that_are_gone_are_named() -> None:
    absences = AbsenceList()
    for index in range(20):
        absences.add(
            seen_on(index, 900 * (index not in (3, 5, 6)), 900 * (5 < index < 12), int(index == 0), 900)
        )
    assert absences.describe(str) == (
        "not visible: object 1 on 3 frames between others (frame 3), object 2 from frame 12 on, "
        "object 3 from frame 1 on (it has 1 pixel: enlarge that part of the video)"
    )


def test_objects_that_are_always_there_or_have_not_come_yet_are_not_named() -> None:
    absences = AbsenceList()
    for index in range(5):
        absences.add(seen_on(index, 9, 9 * (index > 2), 0))
    assert absences.describe(str) == ""


def areas(*values: int) -> AbsenceList:
    """The frames of an object with these areas."""
    absences = AbsenceList()
    for index, area in enumerate(values):
        absences.add(Segmentation(index, index / 25, np.zeros((2, 2), np.uint8), (ObjectInfo(1, area=area),)))
    return absences


def test_frames_on_which_a_part_of_an_object_is_visible_are_named() -> None:
    behind_a_post = [100] * 5 + [70, 40, 30, 20, 45, 80] + [100] * 3
    assert areas(*behind_a_post).describe(str) == (
        "below half their size: object 1 on 4 frames between others (frame 6)"
    )
    both = areas(100, 100, 40, 0, 0, 30, 100).describe(str).splitlines()
    assert both == [
        "not visible: object 1 on 2 frames between others (frame 3)",
        "below half their size: object 1 on 2 frames between others (frame 2)",
    ]


def test_an_object_that_goes_away_slowly_or_does_not_come_back_is_no_part() -> None:
    assert areas(*[round(1000 * 0.93**n) for n in range(60)]).describe(str) == ""
    assert areas(*[1000] * 9, 300, 200, 100).describe(str) == ""
