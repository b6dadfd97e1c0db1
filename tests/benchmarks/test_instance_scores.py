"""The test bed of instances: composites are what they say, and the truth scores one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

from instance_clips import COMPOSITES, TrueClip, Walk, composites
from instance_scores import Scorer
from segue.types import Frame, ObjectInfo, Segmentation


class Oracle:
    """A session that knows the truth."""

    lag = 0

    def __init__(self, clip: TrueClip) -> None:
        self._frames, self._classes = clip.frames(), clip.classes

    def step(self, frame: Frame, prompts: None = None) -> Segmentation:
        _, mask = next(self._frames)
        objects = tuple(
            ObjectInfo(i, self._classes[i], 0.9, None, int((mask == i).sum())) for i in np.unique(mask) if i
        )
        return Segmentation(frame.index, frame.time, mask, objects)

    def finish(self) -> list[Segmentation]:
        return []


def squares() -> TrueClip:
    def pairs():  # type: ignore[no-untyped-def]
        for t in range(6):
            mask = np.zeros((40, 60), np.uint8)
            mask[10:30, 2 * t : 2 * t + 20], mask[10:30, 36:50] = 1, 2
            yield np.zeros((40, 60, 3), np.uint8), mask

    return TrueClip("squares", pairs, {1: "person", 2: "dog"})


@pytest.mark.parametrize("groups", [False, True])
def test_the_truth_scores_one(groups: bool) -> None:
    scorer = Scorer(groups)
    row = scorer.add(squares(), Oracle(squares()))  # type: ignore[arg-type]
    assert (row.identity.hota, row.identity.idf1, row.identity.switches, row.ids) == (1, 1, 0, 2)
    assert scorer.averages()["AP"] == pytest.approx(1)


def test_walks_go_straight_from_stop_to_stop_and_out_of_sight() -> None:
    walk = Walk(("person", 0), 0.5, 0.9, (0.2, 0.6, None, 0.6))
    assert walk.at(0) == 0.2
    assert walk.at(1 / 6) == pytest.approx(0.4)
    assert walk.at(0.5) is None
    assert walk.at(0.9) is None


@pytest.mark.shared
def test_two_who_cross_change_sides_and_one_hides_the_other(shared: Path) -> None:
    clip = next(clip for clip in composites(shared / "data", 9) if clip.name.startswith("cross ("))
    assert clip.classes == {1: "person", 2: "person", 3: "bear"}
    assert {film for film, _ in COMPOSITES.values()} <= {
        "bear",
        "mallard-fly",
        "train",
        "elephant",
        "car-turn",
    }
    masks = [mask for _, mask in clip.frames()]
    middles = [[np.nonzero(mask == i)[1].mean() for i in (1, 2)] for mask in (masks[0], masks[-1])]
    assert middles[0][0] < middles[0][1]
    assert middles[1][0] > middles[1][1]
    areas = [int((mask == 1).sum()) for mask in masks]
    assert areas[4] < 0.6 * areas[0]  # the second stands lower, and so in front
