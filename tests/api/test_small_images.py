"""Images of a few pixels a side have results, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import segue
from segue.prompt_types import PointPrompt
from segue.types import Image, Segmentation

CALLS: dict[str, Callable[[list[Image]], Iterator[Segmentation]]] = {
    "click": lambda frames: iter(segue.track(frames, PointPrompt(1, [(0, 0)]), device="cpu")),
    "one pass": lambda frames: iter(segue.foreground(frames, passes=1, device="cpu")),
    "two passes": lambda frames: iter(segue.foreground(frames, passes=2, device="cpu")),
    "objects": lambda frames: iter(segue.foreground(frames, passes=2, objects=True, device="cpu")),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (11, 11), (5, 400), (12, 400)])
def test_small_images_have_results(size: tuple[int, int], name: str) -> None:
    frames = [*np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)]
    assert [result.mask.shape for result in CALLS[name](frames)] == [size] * 3
