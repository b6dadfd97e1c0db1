"""Detectors: what counts as motion, and which options reach what is made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segue.errors import ArgumentError
from segue.sessions.detecting import as_classes
from segue.sessions.motion import MotionDetector
from segue.types import Frame


class Following:
    """A tracker that moves masks to the right by one; notes its frames."""

    def __init__(self, *, loses: int = 0) -> None:
        self.seen: list[int] = []
        self.mask: Any = None
        self.loses = loses

    def reset(self) -> None:
        self.mask = None

    def step(self, frame: Frame, mask: Any = None) -> Any:
        self.seen.append(frame.index)
        if mask is not None:
            self.mask = mask
            return None
        assert self.mask is not None
        self.loses -= 1
        return SimpleNamespace(mask=self.mask * 0 if self.loses == 0 else np.roll(self.mask, 1, axis=1))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, None),
        ("dog, cat ,red car", ["dog", "cat", "red car"]),
        (["dog"], ["dog"]),
        (("dog", "cat"), ["dog", "cat"]),
        (frozenset({"dog"}), ["dog"]),
        ([], []),
    ],
)
def test_classes_are_names(said: Any, found: Any) -> None:
    assert as_classes(said) == found
    for wrong in (3, ["dog", 3], {"dog": 1}, iter(["dog"])):
        with pytest.raises(ArgumentError, match="classes: "):
            as_classes(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(3, 3), (4, 12), (15, 90), (90, 15), (16, 16)])
def test_in_the_smallest_pictures_nothing_moves(size: tuple[int, int]) -> None:
    """OpenCV refuses to look for their flow."""
    finder = MotionDetector(Following())  # type: ignore[arg-type]
    noise = np.random.default_rng(0).integers(0, 255, (2, *size, 3)).astype(np.uint8)
    found = finder.moving(*noise)
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert min(size) == 16 or not found.any()
