"""What a tracking session looks at before it takes prompts, and what it makes of probabilities."""

from __future__ import annotations

import pytest

from segue.errors import PromptError
from segue.sessions import TrackSession
from segue.types import Frame, RemovePrompt
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 3, 48, 64, 3)


def frame(t: int) -> Frame:
    return Frame(t, t / 25, FRAMES[t])


@pytest.fixture
def session() -> TrackSession:
    """Follows the objects of the first mask."""
    made = TrackSession(lively_lite(), device="cpu")
    made.step(frame(0), MASKS[0])
    return made


def test_what_is_not_followed_cannot_be_removed(session: TrackSession) -> None:
    listed = ", ".join(map(str, session.ids))
    with pytest.raises(PromptError, match=f"cannot remove object 77: followed are {listed}"):
        session.step(frame(1), [RemovePrompt(77)])
    with pytest.raises(PromptError, match="cannot remove object 77: none is followed yet"):
        TrackSession(lively_lite(), device="cpu").step(frame(0), [RemovePrompt(77)])
    before = session.ids
    session.step(frame(1), [RemovePrompt(before[0])])
    assert session.ids == before[1:]
