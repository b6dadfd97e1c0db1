"""The benchmark of the parts of a foreground session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.sessions.scenes import wall, with_squares

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import foreground_clips
import foreground_parts


def test_each_part_takes_some_of_the_time_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    import segue.sessions.foreground as rooms

    for kind, method in foreground_parts.PARTS:  # the originals come back after the test
        monkeypatch.setattr(getattr(rooms, kind), method, getattr(getattr(rooms, kind), method))

    def shots() -> Iterator[foreground_clips.Shot]:
        for t in range(20):
            yield with_squares(wall(), [(30, 5 * t)]), None

    film = foreground_clips.Film("room", np.ones((96, 128), bool), shots)
    monkeypatch.setattr(foreground_clips, "read_films", lambda data, names: [film])
    found = foreground_parts.measure(Path(), False, "room")
    assert set(found) == set(foreground_parts.PARTS.values())
    session = found.pop("session")
    assert all(spent > 0 for spent in found.values())
    assert sum(found.values()) < session
