"""Stages of programs and packages: added by name, left out by name, refused where they are none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import segue
from segue.errors import ArgumentError, CheckpointError
from segue.registry import STAGES, StageEntry, register
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.types import Frame

FRAMES = [np.full((24, 32, 3), 90, np.uint8) for _ in range(6)]
for t, image in enumerate(FRAMES[1:]):
    image[4:20, 4 + 4 * t : 10 + 4 * t] = 220


class Nothing(Stage):
    """Nothing is foreground on every second frame."""

    name = "nothing"
    taken: int = checkpointed(0)

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        self.taken += 1
        if self.taken % 2:
            frame.foreground = np.zeros_like(frame.foreground)


@pytest.fixture
def nothing() -> Iterator[str]:
    register(StageEntry("nothing", lambda segmenter: Nothing()))
    yield "nothing"
    STAGES.unregister("nothing")


def areas(**options: object) -> list[int]:
    results = segue.foreground(FRAMES, model="difference", short_side=0, **options)  # type: ignore[arg-type]
    return [int(np.count_nonzero(result.mask)) for result in results]


def test_a_stage_is_added_and_left_out_by_its_name(nothing: str) -> None:
    plain = areas()
    assert min(plain[1:]) > 0
    assert areas(stages=nothing) == [0 if place % 2 == 0 else area for place, area in enumerate(plain)]
    assert areas(stages=[nothing], without=[nothing]) == plain


def test_the_state_of_a_stage_is_saved_with_its_session(nothing: str) -> None:
    def session() -> ForegroundSession:
        return ForegroundSession("difference", short_side=None, stages=[nothing])

    frames = [Frame(i, i / 25, image) for i, image in enumerate(FRAMES)]
    whole = session()
    expected = [whole.step(frame) for frame in frames]
    first, second = session(), session()
    begun = [first.step(frame) for frame in frames[:3]]
    second.restore(first.state())
    assert [*begun, *(second.step(frame) for frame in frames[3:])] == expected
    with pytest.raises(CheckpointError):
        ForegroundSession("difference", short_side=None).restore(first.state())


def test_a_stage_that_is_none_is_refused(nothing: str) -> None:
    with pytest.raises(ArgumentError, match="align"):
        areas(stages=["snow"])
    register(StageEntry("other", lambda segmenter: Nothing()))
    try:
        with pytest.raises(ArgumentError, match="other"):
            areas(stages=["other"])
    finally:
        STAGES.unregister("other")
