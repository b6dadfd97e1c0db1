"""Frames of short films beside those near them in time: both directions, and cameras that pan."""

from __future__ import annotations

import numpy as np
import pytest

import segue
from segue.sessions import nearby, two_passes
from segue.sessions.film_scenes import FilmScenes, LearntBackground
from segue.sessions.moving_camera import motion_between
from segue.sessions.nearby import Nearby
from segue.sessions.scene_estimation import Sample
from segue.sessions.subtractors import BackgroundDifference
from segue.sessions.two_passes import SceneLearner
from segue.types import Image
from tests.sessions.scenes import film, overlap, wall
from tests.sessions.test_camera import PAN, TRUTH

SIZE = (96, 128)


def learnt(pictures: list[Image]) -> SceneLearner:
    first = SceneLearner(BackgroundDifference(), short_side=None, align=False)
    for frame in film(pictures):
        first.take(frame)
    first.finish()
    return first


def test_what_moves_is_found_from_the_first_frame_on_while_the_camera_pans() -> None:
    pictures = [frame.image for frame in PAN]
    found = [result.mask == 1 for result in segue.foreground(pictures, model="median", passes=2)]
    good = [overlap(mask, true) for mask, true in zip(found, TRUTH, strict=True)]
    assert min(good[1:28]) > 0.55
    assert np.mean(good[:28]) > 0.8
    assert max((mask & ~true).mean() for mask, true in zip(found, TRUTH, strict=True)) < 0.02


def test_the_context_of_the_first_frames_lies_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearby, "camera_motion_by_ecc", lambda *_: np.eye(3))
    pictures = [np.full((*SIZE, 3), t, np.uint8) for t in range(10)]
    seen: dict[int, list[int]] = {}

    def probe(sample: Sample, scene: object) -> np.ndarray:
        beside = (sample.context[way][0, 0, 0] for way in (-3, -6))
        seen[int(sample.image[0, 0, 0])] = [int(value) for value in beside]
        return np.zeros(SIZE, np.float32)

    Nearby(pictures, probe, (-3, -6)).foreground()
    assert (seen[0], seen[4], seen[9]) == ([3, 6], [1, 9], [6, 3])


def test_motion_leads_there_and_back_and_over_no_gap() -> None:
    steps = {i: np.array([[1, 0, 2.0], [0, 1, i], [0, 0, 1]]) for i in range(1, 6)}
    there, back = (motion_between(steps.get, *ends, SIZE) for ends in ((1, 3), (3, 1)))
    assert there is not None
    assert back is not None
    assert there[:2, 2].tolist() == [4, 5]
    assert np.allclose(there @ back, np.eye(3))
    del steps[2]
    assert motion_between(steps.get, 1, 3, SIZE) is None
    assert motion_between(steps.get, 3, 5, SIZE) is not None


@pytest.mark.parametrize("short", [30, 40])
def test_a_longer_film_is_not_kept(short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_passes, "SHORT", short)
    first = learnt([frame.image for frame in PAN])
    assert len(first.while_panning) == (len(PAN) if short == 40 else 0)


def test_a_still_camera_knows_nothing_of_pans() -> None:
    assert not learnt([wall()] * 40).while_panning
    background, foreground = LearntBackground(FilmScenes()), np.full(SIZE, 0.7, np.float32)
    assert background.judged(3, foreground) is foreground
