"""What is taken away of a mask, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import segue
from segue.jobs.options import TrackOptions
from segue.jobs.tracking import make_schedule
from segue.models.base import MemoryNetwork
from segue.models.stcn import STCN, STCNLite
from segue.types import Frame
from tests.clips import clip
from tests.lite import lively_lite


@pytest.mark.parametrize("make", [lively_lite, STCN], ids=["stcn-lite", "stcn"])
def test_a_session_goes_on_from_its_state_with_any_network(make: Callable[[], MemoryNetwork]) -> None:
    frames, masks = clip(5, 5, 48, 64, 2)
    network = make()
    schedule = replace(network.schedule, max_jump=0.02)
    whole, first, second = (segue.TrackSession(network, schedule, device="cpu") for _ in range(3))
    expected = [whole.step(Frame(t, t, image), None if t else masks[0]) for t, image in enumerate(frames)]
    for t in range(3):
        first.step(Frame(t, t, frames[t]), None if t else masks[0])
    second.restore(first.state())
    for t in (3, 4):
        found = second.step(Frame(t, t, frames[t]))
        assert np.array_equal(found.probabilities, expected[t].probabilities)


@pytest.mark.parametrize(("max_jump", "expected"), [(None, 0.03), (0, None), (0.1, 0.1)])
def test_reach_is_the_network_s_own_or_what_is_asked_for(
    max_jump: float | None, expected: float | None
) -> None:
    assert make_schedule(STCNLite.schedule, TrackOptions(max_jump=max_jump)).max_jump == expected
    with pytest.raises(ValueError, match="max_jump"):
        make_schedule(STCNLite.schedule, TrackOptions(max_jump=3))
