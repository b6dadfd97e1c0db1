"""The stage that holds back what comes again and again at one place and never goes away from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.sessions.foreground.stages.base import WorkFrame
from segue.sessions.foreground.stages.dynamic import DynamicBackground

SIZE = 120, 160
Box = tuple[int, int, int, int]  # left, top, width, height


def found(stage: DynamicBackground, index: int, *boxes: Box, pans: bool = False) -> list[bool]:
    """Whether the stage leaves pieces where they are; ``boxes`` are all of the mask."""
    image = np.zeros((*SIZE, 3), np.uint8)
    frame = WorkFrame(index, index / 25, SIZE, image, SegmenterInput(image), pans=pans)
    frame.maps = np.zeros((1, *SIZE), np.float32)
    for left, top, width, height in boxes:
        frame.maps[0, top : top + height, left : left + width] = 0.9
    stage.after_segment(frame, Background())
    return [bool(frame.maps[0, top + h // 2, left + w // 2] > 0.5) for left, top, w, h in boxes]


def swaying(time: int) -> Box:
    """A branch that comes and goes within its own size."""
    return 60 + round(6 * np.sin(0.9 * time)), 40, 24, 12


def after_a_while(stage: DynamicBackground, frames: int = 120) -> int:
    """Let a branch sway that is seen on four of six frames."""
    for time in range(frames):
        found(stage, time, *([swaying(time)] if time % 6 < 4 else []))
    return frames


def test_what_comes_back_is_held_and_what_comes_once_is_not() -> None:
    stage = DynamicBackground(0.5)
    assert found(stage, 0, swaying(0)) == [True]
    now = after_a_while(stage)
    assert found(stage, now, swaying(now), (10, 80, 20, 20)) == [False, True]


def test_it_is_held_until_it_travels() -> None:
    stage = DynamicBackground(0.5)
    now = after_a_while(stage)
    seen = [found(stage, now + i, (60 + 3 * i, 40, 20, 12))[0] for i in range(25)]
    assert not seen[0]
    assert all(seen[10:])


@pytest.mark.parametrize(
    "way",
    [
        lambda time: (min(4 * time, 62), 40, 22, 14),  # comes, and stands among the branches
        lambda time: (max(130 - 4 * time, 62), 40, 22, 14),
    ],
)
def test_what_has_travelled_may_stand_there(way: Callable[[int], Box]) -> None:
    stage = DynamicBackground(0.5)
    now = after_a_while(stage)
    shown = [found(stage, now + time, way(time))[0] for time in range(80)]
    assert all(shown[13:])


def test_a_thing_that_stands_and_never_goes_is_shown() -> None:
    stage = DynamicBackground(0.5)
    assert all(found(stage, time, (60, 40, 20 + time % 2, 30))[0] for time in range(400))


def test_passing_traffic_makes_no_place_a_scene() -> None:
    stage = DynamicBackground(0.5)
    time = 0
    for _ in range(30):
        for step in range(30):
            found(stage, time, (5 * step, 60, 26, 14))
            time += 1
        found(stage, time)
        time += 1
    assert found(stage, time, (40, 60, 26, 14)) == [True]


def test_it_forgets() -> None:
    stage = DynamicBackground(0.5)
    now = after_a_while(stage)
    other = DynamicBackground(0.5)
    other.restore(stage.state())
    assert found(stage, now, swaying(now)) == found(other, now, swaying(now)) == [False]
    stage.reset(Change.light)
    assert found(stage, now + 1, swaying(now)) == [False]
    stage.reset(Change.scene)
    assert found(stage, now + 2, swaying(now)) == [True]
    assert found(other, now + 1, swaying(now), pans=True) == [True]
    for time in range(3000):
        found(stage, time)
    assert found(stage, 3001, swaying(now)) == [True]
