"""What a tracking session looks at before it takes prompts, and what it makes of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import PromptError
from segue.sessions import TrackSession
from segue.sessions.track import MAX_OBJECTS, expected_overlap, largest
from segue.types import Frame, MaskPrompt, PointPrompt, RemovePrompt
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 3, 48, 64, 3)
POINTS = [PointPrompt(2, ((30.0, 20.0),)), PointPrompt(9, ((5.0, 5.0),))]


def frame(t: int) -> Frame:
    return Frame(t, t / 25, FRAMES[t])


@pytest.fixture
def session() -> TrackSession:
    """Follows the objects of the first mask."""
    made = TrackSession(lively_lite(), device="cpu")
    made.step(frame(0), MASKS[0])
    return made


@pytest.mark.parametrize(
    ("native", "prompts", "looks"),
    [
        (frozenset(), POINTS, [2]),
        (frozenset({"box"}), POINTS, [2]),
        (frozenset({"point"}), POINTS, []),
        (frozenset(), POINTS[1:], []),  # a new object is nowhere yet
        (frozenset(), [MaskPrompt(2, MASKS[1] == 2)], []),
        (frozenset(), MASKS[1], []),
    ],
)
def test_where_an_object_is_taken_to_be_is_looked_up_for_points_that_correct_it(
    native: frozenset[str],
    prompts: Any,
    looks: list[int],
    session: TrackSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session.native = native  # type: ignore[assignment]
    planes = np.stack([np.full((48, 64), level, np.float32) for level in range(len(session.ids) + 1)])
    seen: list[dict[int, Any]] = []

    class Looked:
        probabilities = planes

    def resolved(frame: Frame, prompts: Any, *, known: dict[int, Any], **others: Any) -> Any:
        seen.append(known)
        raise PromptError("far enough")

    monkeypatch.setattr("segue.sessions.track.resolve", resolved)
    monkeypatch.setattr(session, "peek", lambda _: Looked() if looks else pytest.fail("looked in vain"))
    with pytest.raises(PromptError, match="far enough"):
        session.step(frame(1), prompts)
    assert {number: int(plane[0, 0]) for number, plane in seen[0].items()} == {
        number: session.ids.index(number) + 1 for number in looks
    }


def test_what_is_not_followed_cannot_be_removed(session: TrackSession) -> None:
    listed = ", ".join(map(str, session.ids))
    with pytest.raises(PromptError, match=f"cannot remove object 77: followed are {listed}"):
        session.step(frame(1), [RemovePrompt(77)])
    with pytest.raises(PromptError, match="cannot remove object 77: none is followed yet"):
        TrackSession(lively_lite(), device="cpu").step(frame(0), [RemovePrompt(77)])
    before = session.ids
    session.step(frame(1), [RemovePrompt(before[0])])
    assert session.ids == before[1:]


@pytest.mark.parametrize(("known", "removed", "good"), [(3, 0, True), (4, 0, False), (4, 1, True)])
def test_objects_are_counted_without_those_that_are_removed(
    known: int, removed: int, good: bool, session: TrackSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_OBJECTS == 1000
    own = len(session.ids)
    monkeypatch.setattr("segue.sessions.track.MAX_OBJECTS", own + 3)
    mask = np.zeros((48, 64), bool)
    prompts: list[Any] = []
    for i in range(known):
        inside = mask.copy()
        inside[4 * i : 4 * i + 3, 50:60] = True
        prompts.append(MaskPrompt(100 + i, inside))
    prompts += [RemovePrompt(i) for i in session.ids[:removed]]
    if good:
        session.step(frame(1), prompts)
        assert len(session.ids) == own + known - removed
        return
    with pytest.raises(PromptError, match=f"{own + known} objects are more than the {own + 3}"):
        session.step(frame(1), prompts)
    assert len(session.ids) == own


def test_the_largest_plane_is_the_first_of_equals() -> None:
    planes = torch.tensor([[0.2, 0.5, 0.3], [0.2, 0.1, 0.6], [0.1, 0.5, 0.7]])[:, None]
    best, place = largest(planes)
    assert best.tolist() == [[pytest.approx(0.2), pytest.approx(0.5), pytest.approx(0.7)]]
    assert place.tolist() == [[0, 0, 2]]
    assert place.dtype == torch.int16
    assert planes[0, 0, 2] == pytest.approx(0.3), "the planes stay as they are"


@pytest.mark.parametrize(
    ("inside", "total", "area", "confidence", "expected"),
    [
        (80.0, 80.0, 100, (1.0, 0.0), 0.8),
        (80.0, 100.0, 100, (1.0, 0.0), 80 / 120),
        (80.0, 70.0, 100, (1.0, 0.0), 0.8),  # no less than what is inside
        (50.0, 50.0, 100, (3.0, 0.0), 0.5),
        (80.0, 80.0, 100, (2.0, 0.0), 16 / 17),  # odds of four, squared
        (50.0, 50.0, 100, (1.0, 1.0), 1 / (1 + np.exp(-1.0))),
        (100.0, 100.0, 100, (1.0, 0.0), 1 - 1e-6),
        (0.0, 5.0, 100, (1.0, 0.0), 1e-6),
    ],
)
def test_the_expected_overlap_is_calibrated_by_its_log_odds(
    inside: float, total: float, area: int, confidence: tuple[float, float], expected: float
) -> None:
    assert expected_overlap(inside, total, area, confidence) == pytest.approx(expected, rel=1e-6)


def test_the_score_of_an_object_is_the_overlap_that_its_probabilities_let_one_expect(
    session: TrackSession,
) -> None:
    result = session.step(frame(1))
    seen = 0
    for number, item in enumerate(result.objects, 1):
        plane, inside = result.probabilities[number], result.mask == item.id
        if item.area:
            seen += 1
            overlap = expected_overlap(
                float(plane[inside].sum()), float(plane.sum()), int(inside.sum()), session._confidence
            )
            assert item.score == pytest.approx(overlap, rel=1e-3)
    assert seen
