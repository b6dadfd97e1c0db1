"""From probabilities to the mask of a frame: thresholds, regions, shadows, single objects and their ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from segue.errors import ArgumentError, PromptError
from segue.sessions.foreground.components import PATIENCE_SECONDS, ComponentTracker
from segue.sessions.foreground.masks import CrowdWarning, ForegroundMasks
from segue.types import ObjectInfo, Segmentation

SIZE = (6, 8)


def maps(*planes: Any) -> npt.NDArray[np.float32]:
    return np.asarray(planes, np.float32)


def plane(**levels: float) -> npt.NDArray[np.float32]:
    """Probabilities: ``r2c3=0.5`` for a pixel, 0 elsewhere."""
    found = np.zeros(SIZE, np.float32)
    for name, level in levels.items():
        row, column = name[1:].split("c")
        found[int(row), int(column)] = level
    return found


def of(masks: ForegroundMasks, *planes: Any, size: tuple[int, int] = SIZE, time: float = 0.0) -> Segmentation:
    return masks.result(7, time, size, maps(*planes))


def fourth(masks: ForegroundMasks, *planes: Any) -> Segmentation:
    """The result of the last of four equal frames, which confirm objects."""
    return [of(masks, *planes) for _ in range(4)][-1]


def test_a_pixel_is_foreground_from_the_threshold_on() -> None:
    seen = plane(r1c1=0.5, r2c2=0.49, r3c3=1.0)
    result = of(ForegroundMasks(), seen, time=0.3)
    assert (result.index, result.time, result.mask.dtype) == (7, 0.3, np.uint8)
    assert np.argwhere(result.mask).tolist() == [[1, 1], [3, 3]]
    assert result.objects == (ObjectInfo(1, "foreground", 0.75, (1.0, 1.0, 4.0, 4.0), 2),)
    assert np.allclose(result.probabilities, [1 - seen, seen])


def test_shadow_is_what_is_no_foreground() -> None:
    seen, dark = plane(r1c1=0.9, r1c2=0.8), plane(r1c2=0.9, r3c3=0.7, r4c4=0.5, r5c5=0.4)
    result = of(ForegroundMasks(shadows=True), seen, dark)
    assert [(item.id, item.label, item.area) for item in result.objects] == [
        (1, "foreground", 2),
        (2, "shadow", 2),
    ]
    assert result.mask[1, 2] == 1
    assert np.argwhere(result.mask == 2).tolist() == [[3, 3], [4, 4]]
    assert result.objects[1].score == pytest.approx(0.6)
    background, foreground, shadow = result.probabilities
    assert np.allclose(foreground, seen)
    assert np.allclose(shadow, dark * (1 - seen))
    assert np.allclose(background + foreground + shadow, 1)
    untold = of(ForegroundMasks(), seen, dark)
    assert not (untold.mask == 2).any()
    assert len(untold.objects) == 1
    assert untold.probabilities.shape == (2, *SIZE)
    nothing = of(ForegroundMasks(shadows=True), plane(), plane())
    assert nothing.objects == (ObjectInfo(1, "foreground", score=0.0), ObjectInfo(2, "shadow", score=0.0))


def test_outside_of_the_region_there_is_nothing() -> None:
    roi = np.zeros(SIZE, np.uint8)
    roi[:, :4] = 85
    masks = ForegroundMasks(roi=roi, shadows=True)
    seen, dark = np.full(SIZE, 0.9, np.float32), np.full(SIZE, 0.2, np.float32)
    result = of(masks, seen, dark)
    assert (result.mask[:, :4] == 1).all()
    assert not result.mask[:, 4:].any()
    assert not result.probabilities[1:, :, 4:].any()
    larger = of(masks, seen, dark, size=(12, 16))
    assert (larger.mask[:, :8] == 1).all()
    assert not larger.mask[:, 8:].any()
    masks.check((12, 16))
    with pytest.raises(PromptError):
        masks.check((9, 16))
    ForegroundMasks().check((9, 16))


def test_probabilities_are_brought_to_the_size_of_the_frame_and_not_the_mask() -> None:
    small = np.zeros((3, 4), np.float32)
    small[:, 2:] = 1
    result = of(ForegroundMasks(threshold=0.7), small)
    assert result.mask.shape == SIZE
    # Between the centres of small pixels the probability rises: 0.25 and 0.75 at the edge.
    assert np.array_equal(result.mask, np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 6, 0))
    assert np.allclose(result.probabilities[1, 0, 2:6], [0, 0.25, 0.75, 1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": 1.0}, "threshold is 1.0"),
        ({"min_area": -1}, "min_area is -1"),
        ({"objects": True, "shadows": True}, "exclude each other"),
        ({"roi": np.zeros((2, 2))}, "roi is black everywhere"),
        ({"roi": np.ones((2, 2, 3))}, r"roi has the shape \(2, 2, 3\)"),
    ],
)
def test_settings_that_give_no_masks_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ForegroundMasks(**wrong)


def test_each_object_has_its_own_probability_and_none_outside_of_itself() -> None:
    seen = plane(r1c1=0.9, r1c2=0.7, r4c4=0.6, r4c5=0.4)
    result = fourth(ForegroundMasks(objects=True), seen)
    assert [(item.id, item.label, item.area) for item in result.objects] == [(1, None, 2), (2, None, 1)]
    assert [item.score for item in result.objects] == pytest.approx([0.8, 0.6])
    assert result.mask.dtype == np.uint8
    background, one, other = result.probabilities
    assert np.allclose(one, plane(r1c1=0.9, r1c2=0.7))
    assert np.allclose(other, plane(r4c4=0.6))
    assert np.allclose(background, 1 - one - other)


def test_another_scene_has_new_ids_and_nothing_is_known_after_a_reset() -> None:
    masks, seen = ForegroundMasks(objects=True), plane(r1c1=0.9)
    assert fourth(masks, seen).ids == (1,)
    masks.restart()
    assert fourth(masks, seen).ids == (2,)
    masks.reset()
    assert fourth(masks, seen).ids == (1,)
    empty = masks.nothing(3, 0.5, (4, 5))
    assert (empty.index, empty.time, empty.mask.shape, empty.mask.dtype) == (3, 0.5, (4, 5), np.uint8)
    assert (empty.objects, empty.mask.any()) == ((), False)
    for plain in (ForegroundMasks(),):
        plain.restart()
        plain.reset()


BIG = (60, 120)
Rectangle = tuple[int, int, int, int]
"""Top, left, height, width."""


class Ways:
    """Rectangles, frame by frame, and the ids of their middles."""

    def __init__(self) -> None:
        self.tracker, self.time = ComponentTracker(confirmed=1), 0.0
        self.objects: tuple[ObjectInfo, ...] = ()

    def __call__(self, *shown: Rectangle, seconds: float = 0.1) -> list[int]:
        mask = np.zeros(BIG, bool)
        for top, left, height, width in shown:
            mask[top : top + height, max(left, 0) : left + width] = True
        self.time += seconds
        labels, self.objects = self.tracker.update(mask, self.time, mask.astype(np.float32))
        return [int(labels[top + height // 2, left + width // 2]) for top, left, height, width in shown]


@pytest.fixture
def ways() -> Ways:
    return Ways()


@pytest.mark.parametrize(
    ("waits", "same"), [(PATIENCE_SECONDS - 0.05, True), (PATIENCE_SECONDS + 0.05, False)]
)
def test_an_object_is_waited_for_a_second(ways: Ways, waits: float, same: bool) -> None:
    for _ in range(4):
        ways((10, 10, 10, 10))
    assert ways(seconds=waits) == []
    assert bool(ways.objects) == same
    assert ways((10, 10, 10, 10), seconds=0.01) == [1 if same else 2]


def test_objects_that_met_keep_their_ways_and_what_is_nearest_to_them(ways: Ways) -> None:
    """One goes to the right, one to the left, above one another where they meet."""
    for t in range(6):
        ways((10, 10 + 4 * t, 10, 10), (20, 60 - 4 * t, 10, 10))
    for t in range(6, 10):  # they touch
        assert ways((10, 10 + 4 * t, 10, 10), (20, 60 - 4 * t, 10, 10)) == [1, 2], t
    for t in range(10, 13):
        assert ways((10, 10 + 4 * t, 10, 10), (20, 60 - 4 * t, 10, 10)) == [1, 2], t


def test_a_fast_object_is_known_by_its_motion(ways: Ways) -> None:
    """It moves by more than its own width, where another one stands that it comes to."""
    for t, left in enumerate((2, 6, 12, 20, 29, 38, 47)):
        assert ways((10, left, 8, 10)) == [1], t
    assert ways((10, 56, 8, 10)) == [1]
    assert ways((10, 65, 8, 10), (30, 65, 8, 10)) == [1, 2]
    down = Ways()
    for t, top in enumerate((2, 5, 10, 17, 25, 33)):
        assert down((top, 50, 9, 8)) == [1], t


def test_an_object_that_leaves_the_image_ends(ways: Ways) -> None:
    for t in range(5):
        ways((10, 101 + 3 * t, 8, 10))
    assert ways((10, 114, 8, 10)) == [1]
    assert ways() == []
    left = Ways()
    for t in range(8):
        assert left((10, 20 - 3 * t, 8, 20)) in ([1], [0]), t


def test_score_box_and_area_are_those_of_several_frames(ways: Ways) -> None:
    tracker, mask = ComponentTracker(confirmed=1), np.zeros(BIG, bool)
    mask[10:20, 30:40] = mask[30:40, 50:70] = True
    probability = np.where(mask, 0.5, 0.0).astype(np.float32)
    probability[10:15, 30:40] = 1.0
    _, objects = tracker.update(mask, 0.0, probability)
    assert objects == (
        ObjectInfo(1, None, 0.75, (30.0, 10.0, 40.0, 20.0), 100),
        ObjectInfo(2, None, 0.5, (50.0, 30.0, 70.0, 40.0), 200),
    )


def test_a_crowd_of_objects_is_reported_once() -> None:
    seen = np.zeros((60, 60), np.float32)
    seen[::4, ::4] = 1.0
    masks = ForegroundMasks(objects=True, min_area=1)
    with pytest.warns(CrowdWarning) as caught:
        results = [masks.result(0, 0.0, (60, 60), maps(seen)) for _ in range(5)]
    assert len(caught) == 1
    assert len(results[-1].objects) == 225
    masks.reset()
    with pytest.warns(CrowdWarning) as caught:
        results = [masks.result(0, 0.0, (60, 60), maps(seen)) for _ in range(5)]
    assert len(caught) == 1
