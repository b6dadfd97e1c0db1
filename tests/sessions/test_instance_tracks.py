"""How instances of one window become the objects of the next, with numbers that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segue.errors import ArgumentError
from segue.sessions.instance_tracks import Tracks
from segue.sessions.instances import WindowOptions
from tests.sessions.test_instances import ids, instance, square

LOOKS = torch.eye(4)


def test_the_frames_that_the_next_window_shares_are_the_last_ones() -> None:
    tracks = Tracks()
    moves = torch.cat([square(0, 0, frames=1), square(6, 6, frames=2)])
    ids(tracks, instance(LOOKS[0], [0.9], moves), shared=0)
    assert torch.equal(tracks.known[0].masks, square(6, 6))
    # On the first two frames of this window it is where it was on the last two of the one before.
    goes_on = torch.cat([square(6, 6, frames=2), square(0, 0, frames=1)])
    assert ids(tracks, instance(LOOKS[1], [0.9], goes_on)) == [1]
    assert ids(tracks) == []
    assert tracks.known[0].missing == 1
    assert (tracks.known[0].masks.shape, bool(tracks.known[0].masks.any())) == ((2, 12, 12), False)
    assert ids(tracks, keep=0) == []
    assert tracks.known[0].masks.shape == (0, 12, 12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"short_side": 31},
        {"window": 3, "overlap": 3},
        {"window": 0},
        {"overlap": -1},
        {"window": 3.5, "overlap": 1},  # which no number of frames would fill
        {"overlap": 1.5},
        {"top": 0},
        {"score": 1.5},
        {"score": -0.1},
    ],
)
def test_windows_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        WindowOptions(**wrong)
    WindowOptions(window=3, overlap=2, score=1.0, top=1)
    WindowOptions(window=1, overlap=0, score=0.0)
