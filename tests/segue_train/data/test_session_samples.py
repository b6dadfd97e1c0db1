"""Samples of the past as sessions of a network know it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue.layers.colours import RECURRENCE_PLANES, SCENE_PLANES
from segue_train.data.cut_outs import cut_outs_of_stills
from segue_train.data.footage import gather
from segue_train.data.foreground.clips import ClipMaker, scenes_of
from segue_train.data.foreground.session_samples import (
    ArtificialFilms,
    MovingFilms,
    SessionSamples,
    covered,
)
from segue_train.trunks import SHIPPED
from tests.segue_train.making import write_all

SIZE = (48, 64)


@pytest.fixture
def clips(tmp_path: Path) -> ClipMaker:
    stills = gather(map(str, write_all(tmp_path)), report=print).stills
    return ClipMaker(cut_outs_of_stills(stills), scenes_of(stills), (-6, -3, 0), SIZE)


def test_samples_are_those_of_a_film_as_its_session_saw_it(
    clips: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue_train.data.foreground.session_samples.LENGTHS", (30, 40))
    maker, windows = SessionSamples(ArtificialFilms(clips), [SHIPPED], SIZE), set()
    for seed in range(3):
        samples = maker.samples(np.random.default_rng(seed))
        again = maker.samples(np.random.default_rng(seed))
        assert 1 <= len(samples) <= 7
        for one, other in zip(samples, again, strict=True):
            for name in ("window", "background", "labels"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            assert one.window.shape == (3, *SIZE, 3)
            assert one.background.shape == (*SIZE, SCENE_PLANES + RECURRENCE_PLANES)
            windows.add(one.window.tobytes())
    assert len(windows) > 3


def test_samples_of_moving_cameras_are_parts_of_their_frames(tmp_path: Path) -> None:
    videos, _ = write_all(tmp_path, frames=16)
    films = MovingFilms(gather([str(videos)], report=print).videos, SIZE)
    labels: set[int] = set()
    for seed in range(6):
        film = films.film(np.random.default_rng(seed))
        assert {image.shape[:2] for image in film.frames} == {label.shape for label in film.labels}
        assert np.all(film.labels[0].shape >= np.array(SIZE))
        for sample in SessionSamples(films, [SHIPPED], SIZE).samples(np.random.default_rng(seed)):
            assert sample.window.shape == (3, *SIZE, 3)
            assert sample.background.shape == (*SIZE, SCENE_PLANES + RECURRENCE_PLANES)
            labels |= set(np.unique(sample.labels).tolist())
    assert MOTION in labels
    assert STATIC not in labels


def test_nothing_is_foreground_before_a_covered_lens() -> None:
    frames = [np.full((20, 30, 3), 200, np.uint8)] * 80
    labels = [np.full((20, 30), MOTION, np.uint8)] * 80
    kinds: set[int] = set()
    for seed in range(6):
        shown, known = covered(np.random.default_rng(seed), frames, labels)
        for image, label in zip(shown, known, strict=True):
            assert (label == MOTION).all() == (image == 200).all()
            kinds |= set(np.unique(label).tolist())
    assert kinds == {MOTION, STATIC, UNKNOWN}
