"""The empty scene of a whole film: what agrees, what is looked at again, and what the network is asked."""

from __future__ import annotations

import numpy as np
import pytest

from segue.arrays import Float32Array
from segue.sessions import scene_estimation
from segue.sessions.empty_scene import Scene
from segue.sessions.scene_estimation import (
    MOVING,
    Sample,
    _agree,
    _best,
    _better,
    _regions,
    _support,
    estimate_scene,
)
from segue.types import Image
from tests.sessions.scenes import wall


def grey(level: int, height: int = 2, width: int = 3) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def sample(level: int, *before: int) -> Sample:
    return Sample(grey(level), {-1 - i: grey(other) for i, other in enumerate(before)})


@pytest.mark.parametrize("channel", range(3))
def test_pictures_agree_up_to_twelve_levels_in_each_channel(channel: int) -> None:
    one, other = grey(100), grey(100)
    other[0, 0, channel], other[0, 1, channel] = 112, 113
    other[1, 0, channel], other[1, 1, channel] = 88, 87
    expected = np.array([[True, False, True], [True, False, True]])
    assert np.array_equal(_agree(one, other), expected)
    assert np.array_equal(_agree(other, one), expected)
    assert _agree(one, other, 13).all()


def test_a_frame_is_supported_by_those_that_agree_with_it() -> None:
    """A hundred and 110 agree, and so do 110 and 120; 100 and 120 do not, and nobody agrees with 200."""
    found = _support([sample(100), sample(110), sample(120), sample(200)])
    assert (found.dtype, found.shape) == (np.float32, (4, 2, 3))
    assert found[:, 0, 0].tolist() == [2, 3, 2, 1]
    assert (found == found[:, :1, :1]).all()


def test_what_has_changed_since_the_frame_before_supports_little() -> None:
    """Only the first frame of the context counts."""
    found = _support([sample(100, 100, 200), sample(101, 200, 101), sample(102, 102)])[:, 0, 0]
    assert MOVING == 0.1
    assert found == pytest.approx([2.1, 2.1, 2.1])
    alone = _support([sample(0, 100), sample(200, 200)])[:, 0, 0]
    assert alone == pytest.approx([0.1, 1.0])


def test_each_pixel_is_that_of_the_frame_with_the_most_support() -> None:
    frames = [grey(10), grey(20), grey(30)]
    support = np.zeros((3, 2, 3), np.float32)
    support[1, 0], support[2, 1] = 2, 3
    found = _best(frames, support)
    assert found[..., 0].tolist() == [[20] * 3, [30] * 3]
    assert _best(frames, support * 0)[..., 0].tolist() == [[10] * 3] * 2, "the first of equals"
    assert (frames[0] == 10).all()


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


def test_only_so_many_regions_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_estimation, "MOST_REGIONS", 2)
    mask = np.zeros((60, 80), bool)
    for i, side in enumerate((7, 9, 8)):
        mask[5 : 5 + side, 20 * i : 20 * i + side] = True
    assert [int(region.sum()) for region in _regions(mask)] == [81, 64]


def test_the_content_that_fits_best_into_its_surroundings_is_taken() -> None:
    """A bright square has an outline, a faint one less, and the wall itself none."""
    region = np.zeros((96, 128), bool)
    region[30:60, 40:80] = True
    scene = wall(2)

    def showing(level: float) -> Image:
        picture = scene.astype(float)
        picture[region] += level
        return np.clip(picture, 0, 255).astype(np.uint8)

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


def test_what_hardly_fits_better_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    region = np.zeros((40, 40), bool)
    region[10:30, 10:30] = True
    frames, support = [grey(1, 40, 40)] * 2, np.ones((2, 40, 40), np.float32)
    for now, taken in ((13.0, False), (13.1, True)):
        monkeypatch.setattr(scene_estimation, "outline_contrasts", lambda *_, now=now: [now, 11.0, 10.0])
        assert (_better(region, grey(0, 40, 40), frames, support) is not None) == taken


def test_the_surroundings_of_a_region_are_looked_at_up_to_the_border(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def contrasts(part: np.ndarray, pictures: tuple[Image, ...]) -> None:
        seen.append((*part.shape, int(part.sum())))
        assert all(picture.shape[:2] == part.shape for picture in pictures)

    monkeypatch.setattr(scene_estimation, "outline_contrasts", contrasts)
    for rows, columns in ((slice(10, 20), slice(10, 30)), (slice(0, 8), slice(2, 12))):
        region = np.zeros((40, 50), bool)
        region[rows, columns] = True
        assert _better(region, grey(0, 40, 50), [grey(1, 40, 50)], np.ones((1, 40, 50), np.float32)) is None
    assert seen == [(18, 28, 200), (12, 16, 80)]


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


def test_the_network_is_asked_twice_for_every_frame_with_the_scene_so_far() -> None:
    asked = Asked({1, 2})
    scene = estimate_scene(numbered(5), asked)
    assert [number for number, _ in asked.calls] == [*range(5), *range(5)]
    assert len({id(known) for _, known in asked.calls}) == 2
    assert share(scene, 25, 25) == pytest.approx(2 / 5, abs=0.01)
    assert share(scene, 18, 18) == pytest.approx(2 / 5, abs=0.01), "masks are grown by two pixels"
    assert share(scene, 17, 25) == 0
    assert share(scene, 25, 32) == 0
    none = Asked({1})
    estimate_scene(numbered(5), none, rounds=0)
    assert not none.calls


@pytest.mark.parametrize(("level", "counts"), [(0.2, False), (0.21, True)])
def test_a_little_probability_is_foreground_enough(level: float, counts: bool) -> None:
    assert (share(estimate_scene(numbered(5), Asked({1}, level)), 25, 25) > 0) == counts


@pytest.mark.parametrize(("hidden", "counts"), [(18, True), (19, False), (20, False)])
def test_where_the_network_sees_no_scene_the_consensus_is_kept(hidden: int, counts: bool) -> None:
    """A tenth of twenty frames are two in which a pixel must be background."""
    scene = estimate_scene(numbered(20), Asked(set(range(hidden))))
    assert share(scene, 25, 25) == pytest.approx(hidden / 20 if counts else 0, abs=0.01)
