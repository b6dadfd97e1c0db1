"""What a foreground session does when the picture as a whole changes: each rule by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segue.sessions import foreground
from segue.sessions.changes import Change
from segue.sessions.empty_scene import Scene
from segue.sessions.foreground import FLOOD, FLOOD_FRAMES, SWEEPS, ForegroundSession
from segue.sessions.segmenters import Maps, Segmenter
from segue.types import Frame
from tests.sessions.scenes import Bytes, wall
from tests.sessions.tiny_foreground import TinyForeground

PICTURE = wall(0, 40, 48)


class Told:
    """Tells a change for each frame, and how much of it moves."""

    def __init__(self, *changes: Change, moving: float = 0.0) -> None:
        self.changes, self.moving = list(changes), moving

    def look(self, image: Bytes, time: float) -> Change:
        return self.changes.pop(0) if self.changes else Change.none

    def restart(self) -> None:
        """Nothing is known."""


class Steady(Segmenter):
    """Gives the same foreground everywhere; notes what happens to it."""

    name = "steady"
    uses_background = True

    def __init__(self, level: float = 0.0, *, looks: bool = True) -> None:
        self.level, self.uses_background = level, looks
        self.happened: list[str] = []
        self.following: list[bool] = []

    def follows(self, image: Bytes) -> bool:
        return bool(self.following) and self.following[0]

    @property
    def camera_moved(self) -> bool:
        return False

    def step(self, image: Bytes, scene: Scene, plane: Any = None) -> Maps | None:
        if self.following:
            self.following.pop(0)
        self.happened.append("step")
        return np.full((1, *image.shape[:2]), self.level, np.float32)

    def pause(self) -> None:
        self.happened.append("pause")

    def restart(self) -> None:
        self.happened.append("restart")


def session_of(segmenter: Segmenter, *changes: Change, moving: float = 0.0) -> ForegroundSession:
    session = ForegroundSession(segmenter, align=False, short_side=None)
    session._watch = Told(*changes, moving=moving)  # type: ignore[assignment]
    if isinstance(segmenter, Steady):
        segmenter.happened.clear()
    return session


@pytest.mark.parametrize(
    ("change", "looks", "happened"),
    [
        (Change.none, True, ["step"]),
        (Change.pause, True, ["pause", "step"]),
        (Change.pause, False, ["pause", "step"]),
        (Change.light, True, ["pause", "step"]),
        (Change.light, False, ["restart", "step"]),
        (Change.scene, True, ["restart", "step"]),
        (Change.scene, False, ["restart", "step"]),
    ],
)
def test_what_a_method_forgets_when_the_picture_changes(
    change: Change, looks: bool, happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreground, "is_shown", lambda *_: False)
    segmenter = Steady(looks=looks)
    session = session_of(segmenter, Change.none, change)
    session.step(PICTURE)
    session.step(PICTURE)
    assert segmenter.happened == ["step", *happened]


@pytest.mark.parametrize(("shown", "restarts"), [(True, 0), (False, 1)])
def test_where_the_scene_is_still_seen_there_is_no_cut(
    shown: bool, restarts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreground, "is_shown", lambda *_: shown)
    segmenter = Steady()
    session = session_of(segmenter, Change.none, Change.scene)
    session.step(PICTURE)
    session.step(PICTURE)
    assert segmenter.happened.count("restart") == restarts


@pytest.mark.parametrize(
    ("following", "change", "known"),
    [
        ([False, False], Change.none, True),
        ([False, False], Change.light, False),
        ([False, False], Change.pause, False),
        ([False, True], Change.none, False),
        ([False, True], Change.light, False),
    ],
)
@pytest.mark.filterwarnings("ignore:frame 1. the camera pans")
def test_rain_is_looked_for_anew_after_light_pauses_and_pans(
    following: list[bool], change: Change, known: bool
) -> None:
    class Falls:
        falls = False

        def __init__(self) -> None:
            self.happened: list[str] = []

        def restart(self) -> None:
            self.happened.append("restart")

        def look(self, image: Bytes, picture: Any, hidden: Any) -> Bytes:
            self.happened.append("look")
            return image

        def lasting(self, found: Any, threshold: float) -> Any:
            return found

    segmenter = Steady()
    segmenter.following = list(following)
    session = session_of(segmenter, Change.none, change)
    falls = Falls()
    session._precipitation = falls  # type: ignore[assignment]
    session.step(PICTURE)
    session.step(PICTURE)
    second = [] if following[1] else ["look"]
    assert falls.happened == (["look", "look"] if known else ["look", "restart", *second])


def test_rain_is_looked_for_by_networks_alone() -> None:
    network = TinyForeground()
    assert ForegroundSession(network, device="cpu")._precipitation is not None
    assert ForegroundSession(network, device="cpu", remove_rain=False)._precipitation is None
    assert ForegroundSession(Steady())._precipitation is None
    assert ForegroundSession(Steady())._aligner is not None
    assert ForegroundSession(Steady(), align=False)._aligner is None


@pytest.mark.parametrize(
    ("level", "moving", "shown", "replaced"),
    [
        (0.9, 0.0, False, True),
        (0.2, 0.0, False, False),  # probabilities that are no foreground
        (0.9, SWEEPS + 0.01, True, False),  # something large sweeps past
        (0.9, SWEEPS, True, True),
        (0.9, SWEEPS + 0.01, False, True),
    ],
)
def test_a_flood_means_that_the_background_is_wrong(
    level: float, moving: float, shown: bool, replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreground, "is_shown", lambda *_: shown)
    session = session_of(Steady(level), moving=moving)
    seen: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        session._background,
        "replace",
        lambda picture, *, trusted: seen.append((session._next_index - 1, trusted)),
    )
    for _ in range(2 * FLOOD_FRAMES):
        session.step(PICTURE)
    wanted = [(FLOOD_FRAMES - 1, False), (2 * FLOOD_FRAMES - 1, False)] if replaced else []
    assert seen == wanted


def test_a_flood_fills_more_than_seven_tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    class Part(Steady):
        def step(self, image: Bytes, scene: Scene, plane: Any = None) -> Maps | None:
            maps = np.zeros((1, *image.shape[:2]), np.float32)
            maps[:, : round(self.level * 40)] = 1
            return maps

    assert FLOOD == 0.7
    for rows, floods in ((28, 0), (29, FLOOD_FRAMES)):
        session = session_of(Part(rows / 40))
        for _ in range(FLOOD_FRAMES - 1):
            session.step(PICTURE)
        assert session._flooded == max(floods - 1, 0)


def test_exposure_is_followed_where_nothing_else_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    gains: list[tuple[float, ...]] = []
    monkeypatch.setattr(foreground, "exposure", lambda *_: (1.5, 1.0, 1.0))
    for changes, looks, following, count in (
        ((Change.none, Change.none), True, [], 1),
        ((Change.none, Change.light), True, [], 0),
        ((Change.none, Change.pause), True, [], 0),
        ((Change.none, Change.none), False, [], 0),
    ):
        segmenter = Steady(looks=looks)
        segmenter.following = list(following)
        session = session_of(segmenter, *changes)
        gains.clear()
        monkeypatch.setattr(session._background, "apply_gain", gains.append)
        session.step(PICTURE)
        session.step(PICTURE)
        assert len(gains) == count, changes


@pytest.mark.parametrize(("warm_up", "empty"), [(0, 0), (3, 3)])
def test_masks_are_empty_while_the_background_is_learnt(warm_up: int, empty: int) -> None:
    session = ForegroundSession(Steady(0.9), align=False, warm_up=warm_up)
    results = [session.step(PICTURE) for _ in range(6)]
    assert [bool(result.mask.any()) for result in results if result is not None] == [
        t >= empty for t in range(6)
    ]


def test_frames_are_numbered_on_and_a_reset_begins_anew() -> None:
    session = session_of(Steady())
    first = session.step(Frame(7, 0.3, PICTURE))
    second = session.step(PICTURE)
    assert first is not None
    assert second is not None
    assert (first.index, second.index, second.time) == (7, 8, 8 / 25)
    session.reset()
    third = session.step(PICTURE)
    assert third is not None
    assert third.index == 0


def test_a_method_that_cannot_be_saved_says_so() -> None:
    plain, other = Steady(), Steady()
    other.restorable = False
    assert session_of(plain).restorable
    assert not session_of(other).restorable
    assert session_of(Steady(looks=False)).background is None
    session = session_of(plain)
    assert session.background is None
    assert session.scenes is None
    session.step(PICTURE)
    assert session.background is not None
    assert session.scenes is not None
    assert len(session.scenes) == 1
    assert SimpleNamespace(**session._config_fingerprint()) == SimpleNamespace(
        model="steady", short_side=None, align=False, warm_up=0, objects=False, averaged=False
    )
