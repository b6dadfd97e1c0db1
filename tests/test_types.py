"""Results are compared by what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.prompts.annotation import Annotation
from segue.types import BoxPrompt, Frame, MaskPrompt, ObjectInfo, Segmentation

MASK = np.array([[0, 1], [2, 2]], np.uint8)
OTHER = np.array([[0, 1], [2, 1]], np.uint8)


def test_segmentations_are_equal_if_they_say_the_same() -> None:
    objects = (ObjectInfo(1, "dog", 0.5, (0, 0, 1, 1), 1),)
    one = Segmentation(3, 0.1, MASK, objects)
    assert one == Segmentation(3, 0.1, MASK.copy(), objects)
    assert one == replace(one, _probabilities=lambda: np.zeros((3, 2, 2), np.float32))
    for other in (
        replace(one, index=4),
        replace(one, mask=OTHER),
        replace(one, mask=MASK.astype(np.uint16)),
        replace(one, mask=MASK[:1]),
        replace(one, objects=()),
        "something else",
    ):
        assert one != other
    assert one in [replace(one, mask=OTHER), one]


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (Frame(0, 0.0, MASK), Frame(0, 0.0, MASK.copy()), Frame(0, 0.0, OTHER)),
        (Frame(0, 0.0, MASK, OTHER), Frame(0, 0.0, MASK, OTHER.copy()), Frame(0, 0.0, MASK)),
        (MaskPrompt(1, MASK), MaskPrompt(1, MASK.copy()), MaskPrompt(1, OTHER)),
        (MaskPrompt(1, MASK), MaskPrompt(1, MASK), MaskPrompt(2, MASK)),
        (Annotation(MASK, (1,)), Annotation(MASK.copy(), (1,)), Annotation(OTHER, (1,))),
    ],
)
def test_whatever_holds_arrays_is_compared_by_their_content(one: object, same: object, other: object) -> None:
    assert one == same
    assert one != other
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_prompts_without_arrays_can_be_hashed() -> None:
    assert len({BoxPrompt(1, (0, 0, 1, 1)), BoxPrompt(1, (0, 0, 1, 1))}) == 1
