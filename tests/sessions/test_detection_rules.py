"""What a detection gets of an image in which known objects are, and how long those are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from segue.prompts.proposals import Proposals
from segue.sessions.association import DetectionTrack
from segue.sessions.detected import (
    IN_FRONT,
    INSIDE,
    PART_SURPLUS,
    SMALLEST,
    DetectionOptions,
    DetectionSession,
)
from segue.types import Box
from tests.sessions.test_detected import RED, Copies, ScriptedDetector, drawn, run

SIZE = (40, 100)


def plane(box: tuple[int, int, int, int]) -> Any:
    x0, y0, x1, y1 = box
    found = np.zeros(SIZE, np.float32)
    found[y0:y1, x0:x1] = 0.9
    return found


def carved(
    box: tuple[int, int, int, int],
    known: Mapping[int, tuple[int, int, int, int]],
    *,
    label: str = "dog",
    score: float = 0.9,
    shown: Any = None,
) -> Any:
    """What a detection gets of a frame with tracked dogs that fill their boxes."""
    session = DetectionSession(Copies(), ScriptedDetector([]), DetectionOptions())
    mask = np.zeros(SIZE, np.int32)
    for number, other in known.items():
        mask[plane(other) > 0] = number
        session._tracks[number] = DetectionTrack(
            number, (0, 0, 1, 1), 0, np.zeros(4, np.float32), {"dog": 1.0}
        )
    boxes: tuple[Box, ...] = (tuple(map(float, box)),)  # type: ignore[assignment]
    found = Proposals(boxes, (score,), (label,), lambda _: plane(box) if shown is None else shown)
    return session._carved(found, 0, mask)


def test_a_detection_alone_has_its_whole_mask() -> None:
    own = carved((10, 10, 30, 30), {})
    assert np.array_equal(own, plane((10, 10, 30, 30)) > 0)


def test_a_mask_that_runs_out_of_its_box_is_cut_a_little_around_it() -> None:
    own = carved((20, 10, 60, 30), {}, shown=np.ones(SIZE, np.float32))
    # A twentieth of 40 and 20 pixels on each side.
    assert np.array_equal(own, plane((18, 9, 62, 31)) > 0)


@pytest.mark.parametrize(("width", "left"), [(20, 20), (21, 20)])
def test_what_is_large_lies_behind_what_it_overlaps(width: int, left: int) -> None:
    """The known object is 40 x 20; the detection is as high, and reaches 10 pixels into it."""
    assert IN_FRONT == 0.5
    assert int(carved((30 - width + 10, 10, 40, 30), {1: (30, 10, 70, 30)}).sum()) == 20 * (width - 10)


def test_what_is_small_lies_in_front_of_what_it_overlaps() -> None:
    assert int(carved((21, 10, 40, 30), {1: (30, 10, 70, 30)}).sum()) == 20 * 19


@pytest.mark.parametrize(
    ("inside", "score", "label", "there"),
    [
        (13, 0.5, "dog", True),  # below seven tenths of 19 pixels
        (14, 0.5, "dog", False),
        (14, 0.5 + 2 * PART_SURPLUS - 0.01, "dog", False),
        (14, 0.5 + 2 * PART_SURPLUS + 0.01, "dog", True),
        (14, 0.5 + PART_SURPLUS - 0.01, "cat", False),
        (14, 0.5 + PART_SURPLUS + 0.01, "cat", True),
    ],
)
def test_what_lies_in_a_known_object_is_a_part_of_it_unless_it_is_sure(
    inside: int, score: float, label: str, there: bool
) -> None:
    assert INSIDE == 0.7
    box = 40 + inside - 19, 10, 40 + inside, 30
    assert (carved(box, {1: (40, 10, 90, 30)}, score=score, label=label) is not None) == there


def test_a_mask_that_one_detection_contradicts_stays() -> None:
    """Two runs in a row must disagree before a mask is made anew."""
    thing = ("dog", 0.9, 20, 20, RED)
    image, found = drawn(thing)
    _, elsewhere = drawn(("dog", 0.9, 24, 20, RED))
    results = run([(image, found), (image, elsewhere), (image, found), (image, elsewhere), (image, found)])
    assert all(np.array_equal(result.mask > 0, results[0].mask > 0) for result in results)


@pytest.mark.parametrize(("height", "there"), [(1, False), (2, True)])
def test_what_is_smaller_than_the_smallest_is_nothing(height: int, there: bool) -> None:
    assert 1 < SMALLEST * SIZE[0] * SIZE[1] < 2
    assert (carved((10, 10, 11, 10 + height), {}) is not None) == there
