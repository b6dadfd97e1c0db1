"""What is taken away of a mask, and what is not."""

from __future__ import annotations

import pytest

from segue.jobs.tracking import make_schedule
from segue.jobs.values import TrackOptions
from segue.models.stcn import STCNLite


@pytest.mark.parametrize(("max_jump", "expected"), [(None, 0.03), (0, None), (0.1, 0.1)])
def test_reach_is_the_network_s_own_or_what_is_asked_for(
    max_jump: float | None, expected: float | None
) -> None:
    assert make_schedule(STCNLite, TrackOptions(max_jump=max_jump)).max_jump == expected
    with pytest.raises(ValueError, match="max_jump"):
        make_schedule(STCNLite, TrackOptions(max_jump=3))
