"""Objects by motion and by change of shape, and their average precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from segue.datasets.instances import DetectedInstance, Instance
from segue.metrics.track_groups import GROUPS, aspect_change, outside, stillness
from segue.metrics.ytvis import YTVISAccumulator
from tests.metrics.tracks import track

Masks = npt.NDArray[np.bool_]


def boxes(*places: tuple[int, int, int, int] | None) -> Masks:
    """Rectangles x0, y0, x1, y1 on 40x50 frames; None where the object is hidden."""
    masks = np.zeros((len(places), 40, 50), np.bool_)
    for mask, place in zip(masks, places, strict=True):
        if place is not None:
            x0, y0, x1, y1 = place
            mask[y0:y1, x0:x1] = True
    return masks


STILL = boxes((2, 2, 12, 12), (2, 2, 12, 12), (2, 2, 12, 12))
FAST = boxes((2, 20, 12, 30), (7, 20, 17, 30), (12, 20, 22, 30))


def test_motion_is_the_overlap_of_neighbouring_boxes() -> None:
    assert stillness(track(STILL)) == 1
    assert stillness(track(FAST)) == pytest.approx(50 / 150)
    # Frames between which it is hidden are no neighbours.
    hidden = boxes((2, 20, 12, 30), None, (22, 20, 32, 30), (24, 20, 34, 30))
    assert stillness(track(hidden)) == pytest.approx(80 / 120)
    assert stillness(track(boxes((2, 2, 12, 12), None))) == 1
    assert stillness(track(boxes(None, None))) == 1


def test_the_change_of_shape_is_that_of_width_by_height() -> None:
    assert aspect_change(track(STILL)) == 1
    bent = boxes((0, 0, 10, 20), None, (0, 0, 20, 20), (0, 0, 20, 10))
    assert aspect_change(track(bent)) == pytest.approx(2 / 0.5)
    assert aspect_change(track(boxes(None, None))) == 1


def test_every_track_is_in_a_group_of_each_kind() -> None:
    tracks = [track(STILL), track(FAST), track(boxes(None, None))]
    inside = ~outside([100.0, 200.0**2, 300.0**2], tracks)
    names = [
        [group.name for group, there in zip(GROUPS, column, strict=True) if there] for column in inside.T
    ]
    assert names == [
        ["all", "small", "slow", "of steady shape"],
        ["all", "medium", "fast", "of steady shape"],
        ["all", "large", "slow", "of steady shape"],
    ]


def test_what_is_missed_of_one_kind_costs_nothing_of_another() -> None:
    accumulator = YTVISAccumulator([1])
    objects = [Instance(1, 1, track(STILL), 100.0), Instance(2, 1, track(FAST), 100.0)]
    wrong = boxes((30, 2, 40, 12), (30, 12, 40, 22), (30, 22, 40, 32))  # fast, and surer than what is right
    found = [DetectedInstance(1, 0.9, track(wrong)), DetectedInstance(1, 0.8, track(STILL))]
    accumulator.update(1, objects, found)
    scores = accumulator.score()
    groups = {name: values["AP"] for name, values in scores.groups.items()}
    expected = {"small": scores.stats["APs"], "slow": 1.0, "fast": 0.0, "of steady shape": scores.stats["AP"]}
    assert groups == pytest.approx(expected)
    assert 0 < scores.stats["AP"] < 1
    assert scores.stats["APm"] == -1
