"""A scene that is hidden for a while, or comes back after another one, is still known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segue.sessions import SessionState
from segue.sessions.changes import Change, SceneChangeDetector, reduced, shown_share
from segue.sessions.foreground import ForegroundSession
from segue.sessions.seen_scenes import LEAST_FRAMES, MOST, SeenScenes
from segue.sessions.subtractors import BackgroundDifference
from segue.types import Frame, Segmentation
from tests.sessions.scenes import Bytes, film, overlap, square_mask, wall, with_squares

SIZE = (96, 128)
PLACE = [(40, 60)]


def new_session() -> ForegroundSession:
    return ForegroundSession(BackgroundDifference(), align=False)


def run(session: ForegroundSession, frames: list[Frame]) -> list[Segmentation]:
    results = (session.step(frame) for frame in frames)
    return [result for result in results if result is not None]


def other(seed: int = 9) -> Bytes:
    return wall(seed, light=1.4)


def with_leaf(scene: Bytes, seed: int) -> Bytes:
    """The scene behind something that fills all but a strip at the left, and looks different each time."""
    picture = scene.copy()
    picture[:, 24:] = wall(seed, light=0.5 + seed % 2)[:, 24:]
    return picture


def test_what_sweeps_past_the_lens_is_foreground_and_no_other_scene() -> None:
    swept = [with_leaf(wall(), 20 + t) for t in range(30)]
    watch = SceneChangeDetector()
    assert Change.scene in [watch.look(picture, t / 25) for t, picture in enumerate(swept)]
    results = run(new_session(), film([wall()] * 30 + swept + [wall()] * 10))
    for result in results[30:60]:
        assert result.mask[:, 40:].mean() > 0.7
        assert not result.mask[:, :20].any()
    assert not results[-1].mask.any()


@pytest.mark.parametrize("away", [1, 40])
def test_a_scene_that_comes_back_is_known(away: int) -> None:
    back = [with_squares(wall(), PLACE)] * 5
    for result in run(new_session(), film([wall()] * 30 + [other()] * away + back))[-5:]:
        assert overlap(result.mask, square_mask(SIZE, PLACE)) > 0.8


def test_a_camera_that_goes_round_its_places_knows_each_of_them() -> None:
    places = [wall(), other(9), other(11)]
    session = new_session()
    run(session, film([place for place in places for _ in range(30)]))
    for place in places * 2:
        results = run(session, film([place] * 3 + [with_squares(place, PLACE)] * 30))
        assert not results[2].mask.any()
        assert overlap(results[3].mask, square_mask(SIZE, PLACE)) > 0.8


def test_a_scene_that_was_hardly_seen_is_not_kept() -> None:
    back = [with_squares(wall(), PLACE)] * 5
    pictures = [wall()] * (LEAST_FRAMES - 1) + [other()] * 40 + back
    assert not any(result.mask.any() for result in run(new_session(), film(pictures))[-5:])


def test_no_more_than_a_few_scenes_are_kept() -> None:
    session = new_session()
    run(session, film([other(seed) for seed in range(30, 36) for _ in range(LEAST_FRAMES)]))
    assert len(session._seen_scenes._scenes) == MOST


def test_it_goes_on_from_a_saved_state(tmp_path: Path) -> None:
    frames = film([wall()] * 30 + [other()] * 30 + [with_squares(wall(), PLACE)] * 5)
    expected = run(new_session(), frames)
    session = new_session()
    run(session, frames[:45])
    session.state().save(tmp_path / "state.safetensors")
    later = new_session()
    later.restore(SessionState.load(tmp_path / "state.safetensors"))
    for result, right in zip(run(later, frames[45:]), expected[45:], strict=True):
        assert np.array_equal(result.mask, right.mask)
    assert expected[-1].mask.any()


def test_a_scene_of_another_size_does_not_come_back() -> None:
    session, kept = new_session(), SeenScenes()
    run(session, film([wall()] * LEAST_FRAMES))
    kept.keep(LEAST_FRAMES, session._background, None)  # type: ignore[arg-type]
    assert kept.come_back(cv2.resize(wall(), (256, 192), interpolation=cv2.INTER_AREA), None) is None


def test_a_large_thing_that_comes_to_rest_before_the_lens_becomes_the_scene() -> None:
    covered = [with_leaf(wall(), 20)] * 20
    results = run(new_session(), film([wall()] * 30 + covered))
    assert results[31].mask[:, 30:].mean() > 0.7
    assert not results[-1].mask.any()


def test_a_reset_session_knows_no_scene() -> None:
    session = new_session()
    run(session, film([wall()] * 30 + [other()] * 30))
    session.reset()
    assert session._seen_scenes.come_back(wall(), None) is None


def test_the_share_of_a_scene_that_is_shown() -> None:
    scene = reduced(wall())
    assert shown_share(scene, scene) == 1
    half = wall()
    half[:, 64:] = other()[:, 64:]
    assert 0.3 < shown_share(reduced(half), scene) < 0.7
    assert shown_share(reduced(other()), scene) < 0.05
    assert shown_share(reduced(wall(light=0.5)), scene) < 0.05, "in another light its levels are others"
    assert shown_share(np.full_like(scene, 90), np.full_like(scene, 90)) == 0, "a plain wall shows nothing"
    assert shown_share(scene[:-1], scene) == 0


def test_a_scene_that_is_still_seen_does_not_come_back() -> None:
    session, kept = new_session(), SeenScenes()
    run(session, film([wall()] * LEAST_FRAMES))
    kept.keep(LEAST_FRAMES, session._background, None)  # type: ignore[arg-type]
    assert kept.come_back(wall(), wall()) is None
    assert kept.come_back(wall(), other()) is not None
    assert kept.come_back(wall(), other()) is None, "it is given once"
