"""What a detection gets of an image in which known objects are, and how long those are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from segue.errors import ArgumentError
from segue.prompts.proposals import Proposals
from segue.sessions.association import DetectionTrack
from segue.sessions.detected import (
    MIN_AREA_SHARE,
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
    found = Proposals(boxes, (0.9,), ("dog",), lambda _: plane(box))
    return session._carved(found, 0, mask)


def test_a_detection_alone_has_its_whole_mask() -> None:
    own = carved((10, 10, 30, 30), {})
    assert np.array_equal(own, plane((10, 10, 30, 30)) > 0)


@pytest.mark.parametrize(("inside", "there"), [(10, True), (11, False)])
def test_a_detection_has_what_no_known_object_has_if_that_is_half_of_it(inside: int, there: bool) -> None:
    """The known object is 40 x 20; the detection is 20 x 20."""
    own = carved((10 + inside, 10, 30 + inside, 30), {1: (30, 10, 70, 30)})
    assert (own is not None) == there
    if there:
        assert int(own.sum()) == 20 * (20 - inside)


def test_a_mask_that_one_detection_contradicts_stays() -> None:
    """Two runs in a row must disagree before a mask is made anew."""
    thing = ("dog", 0.9, 20, 20, RED)
    image, found = drawn(thing)
    _, elsewhere = drawn(("dog", 0.9, 24, 20, RED))
    results = run([(image, found), (image, elsewhere), (image, found), (image, elsewhere), (image, found)])
    assert all(np.array_equal(result.mask > 0, results[0].mask > 0) for result in results)


@pytest.mark.parametrize(("height", "there"), [(1, False), (2, True)])
def test_objects_below_the_minimum_area_are_dropped(height: int, there: bool) -> None:
    assert 1 < MIN_AREA_SHARE * SIZE[0] * SIZE[1] < 2
    assert (carved((10, 10, 11, 10 + height), {}) is not None) == there


def test_an_option_out_of_its_range_is_named() -> None:
    for name in ("every", "top", "score"):
        with pytest.raises(ArgumentError, match=name):
            DetectionOptions(**{name: -1})
