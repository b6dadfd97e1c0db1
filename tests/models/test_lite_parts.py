"""Parts that stcn-lite may have: nothing changes before they learn, and states follow their objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from segue.models.lite_parts import LiteTracker
from segue.sessions import SessionState, TrackSession
from segue.types import Frame, RemovePrompt
from tests.clips import clip
from tests.lite import with_parts

FRAMES = 8


def probabilities(session: TrackSession, start: int = 0) -> list[npt.NDArray[np.float32]]:
    frames, masks = clip(3, FRAMES, 64, 96, 2)
    found = []
    for i in range(start, FRAMES):
        result = session.step(Frame(i, i / 24, frames[i]), masks[0] if i == 0 else None)
        found.append(np.asarray(result.probabilities))
    return found


def test_states_are_saved_restored_and_forgotten_with_their_object(tmp_path: Path) -> None:
    network = with_parts(learned=True)
    session = TrackSession(network, device="cpu")
    whole = probabilities(session)
    first, second = TrackSession(network, device="cpu"), TrackSession(network, device="cpu")
    frames, masks = clip(3, FRAMES, 64, 96, 2)
    for i in range(4):
        first.step(Frame(i, i / 24, frames[i]), masks[0] if i == 0 else None)
    first.state().save(tmp_path / "session.safetensors")
    second.restore(SessionState.load(tmp_path / "session.safetensors"))
    assert np.array_equal(probabilities(second, start=4)[-1], whole[-1])
    second.step(Frame(8, 8 / 24, frames[-1]), [RemovePrompt(1)])
    assert isinstance(second.tracker, LiteTracker)
    assert all(set(kept) == {2} for kept in second.tracker.object_states[0].kept.values())
