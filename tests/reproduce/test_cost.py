"""Time of a network alone, of videos and of short clips."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from segue.reproduce import cost
from segue.sessions.foreground import ForegroundSession
from segue.types import Frame, Segmentation

LAG = 3


class Clock:
    """Stands for the clock: it goes on where the session works."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Session(ForegroundSession):
    """Looks three frames ahead; a result takes 2 s, and the first ones 100 s more."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.seen, self.given = clock, 0, 0

    def _result(self) -> Segmentation:
        self.given += 1
        self.clock.now += 2 + 100 * (self.given <= cost.WARM_UP)
        return Segmentation(0, 0.0, np.zeros((2, 2), np.uint8), ())

    def step(self, frame: object, prompts: object = None) -> Segmentation | None:
        self.seen += 1
        return self._result() if self.seen > LAG else None

    def finish(self) -> Iterator[Segmentation]:
        while self.given < self.seen:
            yield self._result()


@pytest.mark.parametrize(("frames", "seconds"), [(30, 2.0), (2, 102.0), (LAG + 1, 102.0)])
def test_steps_without_a_result_are_no_frames(
    frames: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(cost, "time", clock)
    settled = itertools.count()
    image = np.zeros((2, 2, 3), np.uint8)
    video = [Frame(i, float(i), image) for i in range(frames)]
    assert cost.seconds_of(Session(clock), video, lambda: next(settled)) == pytest.approx(seconds)
    assert next(settled) >= frames
