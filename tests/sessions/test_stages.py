"""Stages of a foreground session: which ones run, how they are left out and saved, what they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.errors import ArgumentError, CheckpointError, ResumeError
from segue.sessions import SessionState
from segue.sessions.base import FORMAT
from segue.sessions.empty_scene import Scene
from segue.sessions.foreground import ForegroundSession, ForegroundWarning
from segue.sessions.stages import Change
from segue.sessions.subtractors import BackgroundDifference, Subtractor
from segue.sessions.video_scenes import LearntBackground, VideoPart, VideoScenes
from segue.types import Frame, Segmentation
from tests.sessions.scenes import video, wall, with_squares
from tests.sessions.tiny_foreground import TinyForeground

COMMON = ["align", "exposure", "blur"]
OWN = ["shadows", "lights", "rain", "contrast"]
WALK = video([with_squares(wall(), [(30, 4 * t)]) for t in range(20)])


def names(*arguments: object, **options: object) -> list[str]:
    return ForegroundSession(*arguments, **options)._stages.names  # type: ignore[arg-type]


def twice() -> LearntBackground:
    return LearntBackground(VideoScenes.of(Scene.of(wall())), of_this_video=True)


def test_the_model_the_camera_and_the_passes_say_which_stages_run() -> None:
    assert names(BackgroundDifference()) == COMMON
    assert names("mustan-lite") == COMMON + OWN
    assert names("mustan-lite", follow_camera="auto") == ["follow", *COMMON, *OWN]
    assert names("mustan-lite", background=twice()) == ["follow", "align", "average", *COMMON[1:], *OWN]
    assert names(Subtractor("mog2")) == ["align"], "it does not look at the empty scene"


def test_stages_are_left_out_by_name() -> None:
    assert names("mustan-lite", without=["rain", "align"]) == [
        *COMMON[1:],
        "shadows",
        "lights",
        "contrast",
    ]
    session = ForegroundSession("mustan-lite", background=twice(), without=["average", "follow"])
    assert session.lag == 0
    for wrong in (["rains"], "rain"):
        with pytest.raises(ArgumentError, match="without"):
            ForegroundSession("mustan-lite", without=wrong)


@pytest.mark.parametrize("name", ["rain", "align"])
def test_a_state_is_one_of_the_same_stages(name: str) -> None:
    """An option that changes what is saved is part of what a state belongs to."""
    whole, part = (ForegroundSession("mustan-lite", without=without) for without in ((), (name,)))
    for session in (whole, part):
        session.step(WALK[0])
    with pytest.raises(ResumeError):
        whole.restore(part.state())
    with pytest.raises(ResumeError):
        part.restore(whole.state())


def test_an_older_state_is_refused(tmp_path: Path) -> None:
    session, path = ForegroundSession("median"), tmp_path / "state.safetensors"
    session.step(WALK[0])
    session.state().save(path)
    path.write_bytes(path.read_bytes().replace(FORMAT.encode(), b"segue-session-09"))
    with pytest.raises(CheckpointError, match="not a saved session of this version"):
        SessionState.load(path)


def played(session: ForegroundSession, frames: list[Frame]) -> list[Segmentation]:
    given = [result for frame in frames if (result := session.step(frame)) is not None]
    return [*given, *session.finish()]


def ahead() -> TinyForeground:
    return TinyForeground(((-2, "past"), (2, "future")))


def test_frames_that_wait_are_done_with_the_background_of_their_size() -> None:
    """Another size ends the scene: two frames still wait for frames after them, and see their own scene."""
    before = WALK[:10]
    after = [Frame(10 + t, (10 + t) / 25, np.repeat(np.repeat(wall(), 2, 0), 2, 1)) for t in range(4)]
    alone = played(ForegroundSession(ahead(), background=twice(), short_side=None), before)
    with pytest.warns(ForegroundWarning, match="the frames before it are"):
        both = played(ForegroundSession(ahead(), background=twice(), short_side=None), before + after)
    assert [each.index for each in both] == list(range(14))
    for one, other in zip(alone, both, strict=False):
        assert np.array_equal(one.mask, other.mask)


def test_frames_that_wait_are_done_with_the_scene_that_they_belong_to() -> None:
    known = VideoScenes.of(Scene.of(wall()))
    known.learnt.append(VideoPart(10, Change.scene.value, Scene.of(wall(7)).planes))
    frames = [*WALK[:10], *(Frame(t, t / 25, wall(7)) for t in range(10, 14))]

    def session() -> ForegroundSession:
        return ForegroundSession(
            ahead(), background=LearntBackground(known, of_this_video=True), without=["average"]
        )

    alone, both = played(session(), frames[:10]), played(session(), frames)
    for one, other in zip(alone, both, strict=False):
        assert np.array_equal(one.mask, other.mask)
