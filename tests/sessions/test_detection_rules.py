"""What a detection gets of an image in which known objects are, and how long those are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from segue.prompts.proposals import Proposals
from segue.sessions.detected import (
    IN_FRONT,
    INSIDE,
    PART_SURPLUS,
    SMALLEST,
    _Scene,
)
from segue.types import Box, Frame
from tests.sessions.test_detected import RED, drawn, run

SIZE = (40, 100)
FRAME = Frame(0, 0.0, np.full((*SIZE, 3), 128, np.uint8))


def plane(box: tuple[int, int, int, int]) -> Any:
    x0, y0, x1, y1 = box
    found = np.zeros(SIZE, np.float32)
    found[y0:y1, x0:x1] = 0.9
    return found


def scene(
    box: tuple[int, int, int, int],
    known: Mapping[int, tuple[int, int, int, int]],
    *,
    label: str = "dog",
    labels: Mapping[int, str] | None = None,
    score: float = 0.9,
    least: float = 0.5,
    shown: Any = None,
) -> _Scene:
    """A scene with one detection, and known objects that fill their boxes."""
    mask = np.zeros(SIZE, np.uint8)
    for number, other in known.items():
        mask[plane(other) > 0] = number
    boxes: tuple[Box, ...] = (tuple(map(float, box)),)  # type: ignore[assignment]
    found = Proposals(boxes, (score,), (label,), lambda _: plane(box) if shown is None else shown)
    return _Scene(FRAME, found, mask, dict(labels or dict.fromkeys(known, "dog")), 3, least)


def test_a_detection_alone_has_its_whole_mask() -> None:
    made = scene((10, 10, 30, 30), {})
    carved = made.carved(0, None)
    assert carved is not None
    assert np.array_equal(carved, plane((10, 10, 30, 30)) > 0)
    assert made.appearances.shape == (1, 512)
    none = _Scene(
        FRAME, Proposals((), (), (), lambda _: plane((0, 0, 1, 1))), np.zeros(SIZE, np.uint8), {}, 3, 0.5
    )
    assert none.appearances.shape == (0, 512)


def test_a_mask_that_runs_out_of_its_box_is_cut_a_little_around_it() -> None:
    carved = scene((20, 10, 60, 30), {}, shown=np.ones(SIZE, np.float32)).carved(0, None)
    assert carved is not None
    # A twentieth of 40 and 20 pixels on each side.
    assert np.array_equal(carved, plane((18, 9, 62, 31)) > 0)


@pytest.mark.parametrize(("width", "left"), [(20, 20), (21, 20)])
def test_what_is_large_lies_behind_what_it_overlaps(width: int, left: int) -> None:
    """The known object is 40 x 20; the detection is as high, and reaches 10 pixels into it."""
    assert IN_FRONT == 0.5
    made = scene((30 - width + 10, 10, 40, 30), {1: (30, 10, 70, 30)})
    carved = made.carved(0, None)
    assert carved is not None
    assert int(carved.sum()) == 20 * (width - 10)


def test_what_is_small_lies_in_front_of_what_it_overlaps() -> None:
    carved = scene((21, 10, 40, 30), {1: (30, 10, 70, 30)}).carved(0, None)
    assert carved is not None
    assert int(carved.sum()) == 20 * 19
    own = scene((20, 10, 40, 30), {1: (20, 10, 40, 30)}).carved(0, 1)
    assert own is not None
    assert int(own.sum()) == 400, "its own pixels are its own"


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
    made = scene((40 + inside - 19, 10, 40 + inside, 30), {1: (40, 10, 90, 30)}, score=score, label=label)
    assert (made.carved(0, None) is not None) == there


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
    made = scene((10, 10, 11, 10 + height), {1: (50, 10, 51, 10 + height)})
    assert (made.carved(0, None) is not None) == there
    assert (made.box_of(1) is not None) == there
    assert made.box_of(7) is None
