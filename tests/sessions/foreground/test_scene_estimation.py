"""The empty scene of a whole video: what agrees, what is looked at again, and what the network is asked."""

from __future__ import annotations

import numpy as np
import pytest

from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.scene_estimation import (
    Sample,
    _better,
    _regions,
    _support,
    estimate_scene,
)
from segue.types import Image
from segue.utils.arrays import Float32Array
from tests.sessions.foreground.scenes import wall


def grey(level: int, height: int = 2, width: int = 3) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def sample(level: int, *before: int) -> Sample:
    return Sample(grey(level), {-1 - i: grey(other) for i, other in enumerate(before)})


def test_a_frame_is_supported_by_those_that_agree_with_it() -> None:
    """A hundred and 110 agree, and so do 110 and 120; 100 and 120 do not, and nobody agrees with 200."""
    found = _support([sample(100), sample(110), sample(120), sample(200)])
    assert (found.dtype, found.shape) == (np.float32, (4, 2, 3))
    assert found[:, 0, 0].tolist() == [2, 3, 2, 1]
    assert (found == found[:, :1, :1]).all()


def test_regions_are_the_large_ones_and_the_largest_comes_first() -> None:
    mask = np.zeros((60, 80), bool)
    mask[5:11, 5:11] = True  # 36 pixels
    mask[5:13, 30:35] = True  # 40
    mask[30:50, 10:30] = True
    mask[35:40, 15:17] = False  # a gap that is closed
    mask[30:50, 50:54] = True  # too narrow to stay
    mask[20:21, 60:79] = True
    found = _regions(mask)
    assert [int(region.sum()) for region in found] == [400, 40]
    assert found[0][30:50, 10:30].all()
    assert found[1][5:13, 30:35].all()
    assert found[0].dtype == bool
    mask[5:13, 60:65] = True
    equal = _regions(mask)
    assert [int(np.argwhere(region)[0, 1]) for region in equal] == [10, 30, 60], "the first of equals"


def test_the_content_that_fits_best_into_its_surroundings_is_taken() -> None:
    """A bright square has an outline, a faint one less, and the wall itself none."""
    region = np.zeros((96, 128), bool)
    region[30:60, 40:80] = True
    scene = wall(2)

    def showing(level: float) -> Image:
        image = scene.astype(float)
        image[region] += level
        return np.clip(image, 0, 255).astype(np.uint8)

    bright, faint = showing(90), showing(30)
    frames = [bright, faint, scene, bright]
    support = np.full((4, 96, 128), 4.0, np.float32)
    assert _better(region, bright, frames, support) is scene
    assert _better(region, scene, frames, support) is None, "nothing fits better"
    support[2] = 0.39
    assert _better(region, bright, frames, support) is faint, "the scene was not seen for long enough"
    support[2] = 0.4
    assert _better(region, bright, frames, support) is scene
    assert _better(region, bright, frames, support * 0) is None
    assert _better(region, faint, [bright], support[:1]) is None


class Asked:
    """Calls a patch foreground in those frames that are named, and notes what it is asked."""

    def __init__(self, frames: set[int], level: float = 0.5) -> None:
        self.frames, self.level = frames, level
        self.calls: list[tuple[int, Scene]] = []

    def __call__(self, sample: Sample, scene: Scene) -> Float32Array:
        number = int(sample.image[0, 0, 0])
        self.calls.append((number, scene))
        found = np.zeros(sample.image.shape[:2], np.float32)
        if number in self.frames:
            found[20:30, 20:30] = self.level
        return found


def numbered(count: int) -> list[Sample]:
    """Frames of one grey whose first pixel is their number."""
    samples = []
    for t in range(count):
        image = grey(100, 50, 60)
        image[0, 0] = t
        samples.append(Sample(image, {-1: image}))
    return samples


def share(scene: Scene, row: int, column: int) -> float:
    """Of the frames in which a pixel was foreground."""
    return float(scene.planes[18, row, column]) / 255


def test_the_network_is_asked_once_for_every_frame_with_the_scene_so_far() -> None:
    asked = Asked({1, 2})
    scene = estimate_scene(numbered(5), asked)
    assert [number for number, _ in asked.calls] == [*range(5)]
    assert len({id(known) for _, known in asked.calls}) == 1
    assert share(scene, 25, 25) == pytest.approx(2 / 5, abs=0.01)
    assert share(scene, 18, 18) == pytest.approx(2 / 5, abs=0.01), "masks are grown by two pixels"
    assert share(scene, 17, 25) == 0
    assert share(scene, 25, 32) == 0
