"""The clip rule regenerates the inputs of the golden files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.clips import clip

CLIPS = {
    "stcn_modules": (7, 4, 96, 128, 2),
    "stcn_clip2": (11, 10, 96, 144, 2),
    "stcn_late": (13, 12, 96, 144, 2),
    "stcn_single": (17, 7, 90, 134, 1),
    "stm_modules": (7, 4, 96, 128, 2),
    "stm_clip2": (11, 10, 96, 144, 2),
    "stm_single": (17, 7, 90, 134, 1),
}


@pytest.mark.shared
@pytest.mark.parametrize(("name", "arguments"), CLIPS.items())
def test_frames_and_masks_equal_the_stored_ones(
    shared: Path, name: str, arguments: tuple[int, int, int, int, int]
) -> None:
    frames, masks = clip(*arguments)
    stored = np.load(shared / "golden" / f"{name}.npz")
    assert np.array_equal(frames, stored["frames"])
    for key, expected in (("masks", masks), ("masks_all", masks), ("mask0", masks[0])):
        if key in stored:
            assert np.array_equal(expected, stored[key])
