"""Methods without weights: which levels and which sizes are foreground."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from segue.errors import SegueError
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference, FrameDifference
from segue.types import Image

KINDS = (BackgroundDifference, FrameDifference)
EMPTY = np.full((20, 30, 3), 100, np.uint8)


def found(method: BackgroundDifference, image: Image) -> npt.NDArray[np.bool_]:
    """Foreground of an image, (h, w), after one of the empty scene."""
    before, now = SegmenterInput(EMPTY), SegmenterInput(image)
    maps = method.step(now, {-1: before}, Scene.of(EMPTY))
    assert maps.shape == (1, 20, 30)
    return np.asarray(maps[0] > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_beyond_the_threshold_are_foreground(kind: type[BackgroundDifference]) -> None:
    image = EMPTY.copy()
    image[2:9, 2:9, 1] += 12  # brighter in one channel
    image[2:9, 15:22, 2] -= 30  # darker in another
    both, dark = np.zeros((2, 20, 30), bool)
    dark[2:9, 15:22] = True
    both[2:9, 2:9] = both[2:9, 15:22] = True
    for threshold, expected in ((11, both), (12, dark), (29, dark), (30, dark & False)):
        assert np.array_equal(found(kind(threshold=threshold, median=1), image), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_median_filter_leaves_out_what_is_smaller(kind: type[BackgroundDifference]) -> None:
    image = EMPTY.copy()
    image[3, 3] = 200
    image[8:11, 8:11] = 200
    assert found(kind(threshold=20, median=1), image).sum() == 1 + 9
    assert found(kind(threshold=20, median=3), image).sum() == 5  # the corners of the square go too
    assert not found(kind(threshold=20, median=5), image).any()
    with pytest.raises(SegueError):
        kind(median=4)


@pytest.mark.parametrize(("kind", "usual"), list(zip(KINDS, (35, 20), strict=True)))
def test_thresholds_where_nothing_is_said(kind: type[BackgroundDifference], usual: int) -> None:
    for step, any_found in ((usual, False), (usual + 1, True)):
        image = EMPTY.copy()
        image[2:18, 2:18] += step
        assert found(kind(), image).any() == any_found
