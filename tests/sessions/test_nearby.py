"""Frames of short videos beside those near them in time: both directions, and cameras that pan."""

from __future__ import annotations

import numpy as np
import pytest

import segue
from segue.sessions import nearby, two_passes
from segue.sessions.along_motion import along_motion
from segue.sessions.film_scenes import FilmScenes, KnownWhilePanning, LearntBackground, packed
from segue.sessions.moving_camera import motion_between
from segue.sessions.nearby import Nearby
from segue.sessions.scene_estimation import Sample
from segue.sessions.stages import Change, WorkFrame
from segue.sessions.subtractors import BackgroundDifference
from segue.sessions.two_passes import TwoPasses
from segue.types import Image
from tests.sessions.scenes import film, overlap, wall
from tests.sessions.test_camera import PAN, TRUTH


def learnt(pictures: list[Image]) -> TwoPasses:
    background = LearntBackground(FilmScenes())
    first = TwoPasses(
        BackgroundDifference(), lambda: film(pictures), background, short_side=None, without=["align"]
    )
    assert list(first.learning()) == list(range(1, len(pictures) + 1))
    return first


SIZE, SIZE_OF_PAN = (96, 128), (120, 160)


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


def test_what_is_known_of_a_frame_beside_those_nearby_takes_the_place_of_its_foreground() -> None:
    background, known = LearntBackground(FilmScenes()), np.full(SIZE, 1 / 63, np.float32)
    background.while_panning = {3: packed(known)}
    stage = KnownWhilePanning(background)
    for index, level in ((3, 1 / 63), (4, 0.7)):
        frame = WorkFrame(index, 0.0, SIZE, wall(), maps=np.full((2, *SIZE), 0.7, np.float32))
        stage.arrive(frame, background)
        stage.result(frame, background)
        assert frame.maps is not None
        assert frame.known == (index == 3)
        np.testing.assert_allclose(frame.maps[0], level, rtol=1e-6)
        np.testing.assert_allclose(frame.maps[1], 0.7)


def test_what_is_found_on_most_frames_is_found_along_its_motion() -> None:
    """An object goes right by two pixels a frame, lost on one of them; a spot is on another one alone."""
    maps = [np.zeros(SIZE, np.float32) for _ in range(12)]
    for t, found in enumerate(maps):
        found[40:60, 20 + 2 * t : 40 + 2 * t] = t != 6
    maps[3][10:20, 100:110] = 1

    def flow(start: int, end: int) -> np.ndarray:
        assert abs(end - start) == 1
        return np.full((*SIZE, 2), (2 * (end - start), 0), np.float32)

    before = [found.copy() for found in maps]
    means = along_motion(maps, flow, 4)
    assert means[6][41:59, 33:51].min() > 0.85
    assert means[0][41:59, 21:39].min() > 0.99, "at the beginning the frames after it count alone"
    assert means[3][10:20, 100:110].max() < 0.2
    assert means[6][41:59, 56:].max() == 0
    assert means[6].dtype == np.float32
    assert all(np.array_equal(one, other) for one, other in zip(maps, before, strict=True))


def test_the_camera_rests_pans_and_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time a part begins; frames at rest are compared with a scene, others with those near them."""
    monkeypatch.setattr(two_passes, "PIECE", 30)
    nothing = np.zeros(SIZE_OF_PAN, np.float32)
    monkeypatch.setattr(Nearby, "foreground", lambda self: [nothing] * len(self._frames))
    pictures = [frame.image for frame in PAN]
    first = learnt([pictures[0]] * 60 + pictures[1:30] + [pictures[29]] * 61)
    assert first.scenes._firsts == [0, 60, 120]
    assert [first.scenes.begun_by(number) for number in range(3)] == [Change.none, Change.none, Change.scene]
    assert list(first.while_panning) == list(range(60, 120))
    assert np.array_equal(first.scenes.scene(0).picture, pictures[0])
    assert np.array_equal(first.scenes.scene(2).picture, pictures[29])
    assert first._before == {}
