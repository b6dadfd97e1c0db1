"""Results are compared by what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segue.types import ObjectInfo, Segmentation

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
