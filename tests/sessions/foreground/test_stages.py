"""Stages of a foreground session: which ones run, how they are left out and saved, what they are given."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segue.errors import ArgumentError, CheckpointError, PromptError, ResumeError
from segue.registry import STAGES
from segue.sessions import SessionState
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoPart, VideoScenes
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference, Subtractor
from segue.sessions.foreground.session import ForegroundSession, ForegroundWarning
from segue.sessions.foreground.stages.entries import OF_CAMERA
from segue.state import FORMAT
from segue.types import Frame, Segmentation
from tests.sessions.foreground.scenes import video, wall, with_squares
from tests.sessions.foreground.tiny_foreground import TinyForeground

COMMON = ["align", "exposure", "blur"]
OWN = ["panels", "shadows", "lights", "rain", "contrast"]
WALK = video([with_squares(wall(), [(30, 4 * t)]) for t in range(20)])


def names(*arguments: object, **options: object) -> list[str]:
    return ForegroundSession(*arguments, **options)._stages.names  # type: ignore[arg-type]


def twice() -> LearntBackground:
    return LearntBackground(VideoScenes.of(Scene.of(wall())), of_this_video=True)


def test_the_model_the_camera_and_the_passes_say_which_stages_run() -> None:
    assert names(BackgroundDifference()) == COMMON
    assert names("mustan-lite") == ["agreement", *COMMON, *OWN]
    assert names("mustan-lite", detector=None) == COMMON + OWN
    assert names("mustan-lite", follow_camera="auto") == ["follow", "agreement", *COMMON, *OWN]
    assert names("mustan-lite", background=twice(), detector=None) == [
        "follow",
        "align",
        "average",
        *COMMON[1:],
        *OWN,
    ]
    assert names(Subtractor("mog2")) == ["align"], "it does not look at the empty scene"


def test_stages_are_left_out_by_name() -> None:
    assert names("mustan-lite", without=["rain", "align"]) == [
        "agreement",
        *COMMON[1:],
        "panels",
        "shadows",
        "lights",
        "contrast",
    ]
    session = ForegroundSession("mustan-lite", background=twice(), without=["average", "follow"])
    assert session.lag == 0
    for wrong in (["rains"], "rain"):
        with pytest.raises(ArgumentError):
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
    with pytest.raises(CheckpointError):
        SessionState.load(path)


def played(session: ForegroundSession, frames: list[Frame]) -> list[Segmentation]:
    return [*played_so_far(session, frames), *session.finish()]


def played_so_far(session: ForegroundSession, frames: list[Frame]) -> list[Segmentation]:
    return [result for frame in frames if (result := session.step(frame)) is not None]


def ahead() -> TinyForeground:
    return TinyForeground(((-2, "past"), (2, "future")))


def test_frames_that_wait_are_done_with_the_background_of_their_size() -> None:
    """Another size ends the scene: two frames still wait for frames after them, and see their own scene."""
    before = WALK[:10]
    after = [Frame(10 + t, (10 + t) / 25, np.repeat(np.repeat(wall(), 2, 0), 2, 1)) for t in range(4)]
    alone = played(ForegroundSession(ahead(), background=twice(), short_side=None), before)
    with pytest.warns(ForegroundWarning):
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


def shaken_film(count: int = 28) -> list[Frame]:
    """A shaken, blurred camera, two objects, a lamp that is switched, and a cut near the end."""
    rng = np.random.default_rng(3)
    frames = []
    for t in range(count):
        scene = wall(1 if t < count - 6 else 8, 64, 80, light=1.5 if t > 20 else 1.0)
        image = with_squares(scene, [(20, 3 * t - 10), (36, 70 - 3 * t)], side=14, level=40)
        down, right = rng.integers(0, 6, 2)
        image = image[down : down + 48, right : right + 64]
        if t % 3 == 2:
            image = cv2.blur(image, (7, 1))
        noisy = image + rng.normal(0, 2, image.shape)
        frames.append(Frame(t, t / 25, np.clip(noisy, 0, 255).astype(np.uint8)))
    return frames


FILM = shaken_film()


def learnt_film() -> LearntBackground:
    scenes = VideoScenes.of(Scene.of(wall(1, 64, 80)[3:51, 3:67]))
    scenes.learnt.append(VideoPart(8, Change.none.value, scenes.learnt[0].planes, pans=True))
    scenes.learnt.append(VideoPart(16, Change.scene.value, scenes.learnt[0].planes))
    return LearntBackground(scenes, of_this_video=True)


MAKERS: dict[str, Callable[[Collection[str]], ForegroundSession]] = {
    "median": lambda without: ForegroundSession("median", without=without),
    "ahead": lambda without: ForegroundSession(ahead(), without=without),
    "fixed": lambda without: ForegroundSession("mustan-lite", without=without),
    "auto": lambda without: ForegroundSession("mustan-lite", follow_camera="auto", without=without),
    "always": lambda without: ForegroundSession("mustan-lite", follow_camera="always", without=without),
    "two passes": lambda without: ForegroundSession("mustan-lite", background=learnt_film(), without=without),
}
LEFT_OUT: list[tuple[str, ...]] = [(), *((name,) for name in (*OF_CAMERA, *STAGES.names))]


@pytest.mark.filterwarnings("ignore::segue.sessions.foreground.session.ForegroundWarning")
@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        pytest.param(
            # "auto" has the stages of "fixed" and one more, and those that are left out are the same for all.
            kind,
            seed,
            marks=[pytest.mark.slow] if kind == "fixed" or (seed and kind != "two passes") else [],
        )
        for kind in MAKERS
        for seed in range(2)
    ],
)
def test_sessions_that_are_saved_and_restored_at_random_frames_go_on_as_if_nothing_had_been(
    kind: str, seed: int
) -> None:
    rng = np.random.default_rng([seed, *kind.encode()])
    without = LEFT_OUT[int(rng.integers(1, len(LEFT_OUT)))] if seed else ()
    expected = played(MAKERS[kind](without), FILM)
    points = set(rng.choice(len(FILM), 6, replace=False).tolist())
    session, found = MAKERS[kind](without), []
    for t, frame in enumerate(FILM):
        if t in points:
            state, session = session.state(), MAKERS[kind](without)
            session.restore(state)
        if (result := session.step(frame)) is not None:
            found.append(result)
    for one, other in zip([*found, *session.finish()], expected, strict=True):
        assert one == replace(other, mask=one.mask)
        assert np.array_equal(one.mask, other.mask), (one.index, points, without)


def test_a_frame_that_is_refused_for_its_size_changes_nothing() -> None:
    session = ForegroundSession(
        BackgroundDifference(),
        background=LearntBackground(VideoScenes.of(Scene.of(wall()))),
        masks=ForegroundMasks(objects=True),
    )
    before = played_so_far(session, WALK[:12])[-1]
    with pytest.raises(PromptError):
        session.step(Frame(12, 12 / 25, np.zeros((128, 96, 3), np.uint8)))
    after = session.step(WALK[12])
    assert after is not None
    assert before.ids == after.ids == (1,)


def test_frames_that_wait_keep_where_objects_were_before_them() -> None:
    session, again = ForegroundSession(ahead()), ForegroundSession(ahead())
    played_so_far(session, FILM[:9])
    again.restore(session.state())
    waiting = [frame.hidden for frame in session._frames]
    assert any(hidden is not None and hidden.any() for hidden in waiting)
    for hidden, frame in zip(waiting, again._frames, strict=True):
        assert frame.hidden is not None
        assert np.array_equal(frame.hidden, hidden)
