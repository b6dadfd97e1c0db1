"""Samples of the past as sessions of a network know it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue.layers.colours import RECURRENCE_PLANES, SCENE_PLANES
from segue.utils.arrays import Float64Array
from segue_train.data.cut_outs import cut_outs_of_stills
from segue_train.data.footage import gather
from segue_train.data.foreground.clips import ClipMaker, scenes_of
from segue_train.data.foreground.session_samples import (
    AT_RANDOM,
    MIN_DISTANCE,
    MIN_WRONG,
    MORE_EVERY,
    WORST,
    ArtificialFilms,
    Film,
    MovingFilms,
    SessionSamples,
    _Choice,
    _Segmented,
    covered,
)
from segue_train.trunks import SHIPPED
from tests.segue_train.making import write_all

SIZE = (48, 64)


@pytest.fixture
def clips(tmp_path: Path) -> ClipMaker:
    stills = gather(map(str, write_all(tmp_path)), report=print).stills
    return ClipMaker(cut_outs_of_stills(stills), scenes_of(stills), (-6, -3, 0), SIZE)


def test_samples_are_those_of_a_film_as_its_session_saw_it(clips: ClipMaker) -> None:
    maker, windows = SessionSamples(ArtificialFilms(clips, (30, 40)), [SHIPPED], SIZE), set()
    again = maker.samples(np.random.default_rng(0))
    for seed in range(2):
        samples = maker.samples(np.random.default_rng(seed))
        assert 1 <= len(samples) <= 7
        for one, other in zip(samples, again, strict=True) if seed == 0 else ():
            for name in ("window", "background", "labels"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for one in samples:
            assert one.window.shape == (3, *SIZE, 3)
            assert one.background.shape == (*SIZE, SCENE_PLANES + RECURRENCE_PLANES)
            windows.add(one.window.tobytes())
    assert len(windows) > 3


def _height(maker: ClipMaker, seed: int) -> float:
    """Height of a mover, in pixels."""
    mover = maker.mover(np.random.default_rng(seed))
    return mover.cut_out.height * abs(mover.scale)


def test_half_of_the_films_have_larger_frames_with_larger_movers(clips: ClipMaker) -> None:
    films = ArtificialFilms(clips, (1, 5))
    sizes: list[tuple[int, ...]] = []
    for seed in range(12):
        film = films.film(np.random.default_rng(seed))
        shapes = {part.shape[:2] for frame in film.frames for part in frame}
        assert len(shapes) == 1
        sizes += shapes
    assert 2 < sizes.count(SIZE) < 10
    assert all(
        height >= SIZE[0] and height / width == pytest.approx(0.75, rel=0.03) for height, width in sizes
    )
    heights = [[_height(maker, seed) for seed in range(9)] for maker in (clips, clips.scaled(2))]
    np.testing.assert_allclose(heights[1], np.multiply(2, heights[0]))


def test_samples_of_moving_cameras_are_parts_of_their_frames(tmp_path: Path) -> None:
    videos, _ = write_all(tmp_path, frames=16)
    films = MovingFilms(gather([str(videos)], report=print).videos, SIZE)
    labels: set[int] = set()
    for seed in range(3):
        film = films.film(np.random.default_rng(seed))
        sizes = {part.shape[:2] for frame in film.frames for part in frame}
        assert len(sizes) == 1
        assert np.all(np.array(*sizes) >= SIZE)
        for sample in SessionSamples(films, [SHIPPED], SIZE).samples(np.random.default_rng(seed)):
            assert sample.window.shape == (3, *SIZE, 3)
            assert sample.background.shape == (*SIZE, SCENE_PLANES + RECURRENCE_PLANES)
            labels |= set(np.unique(sample.labels).tolist())
    assert MOTION in labels
    assert STATIC not in labels


class Noise:
    """A film of a length, whose frames are drawn when they are due."""

    def __init__(self, length: int) -> None:
        self.length = length

    def film(self, rng: np.random.Generator) -> Film:
        labels = np.where(rng.random((48, 64)) < 0.1, np.uint8(MOTION), np.uint8(0))
        return Film(
            self.length, ((rng.integers(0, 256, (48, 64, 3), np.uint8), labels) for _ in range(self.length))
        )


def test_a_long_film_takes_no_more_memory_than_a_short_one() -> None:
    def peak(length: int) -> int:
        maker = SessionSamples(Noise(length), [SHIPPED], SIZE)
        tracemalloc.start()
        try:
            maker.samples(np.random.default_rng(0))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20)  # loads the network, and fills what stays for all films
    assert peak(120) < 1.3 * peak(60)


def greedy(errors: Float64Array, at_random: Collection[int]) -> list[int]:
    """Places at random, and of all others the worst one after the other."""
    places = sorted(at_random)
    for place in np.argsort(errors)[::-1].tolist():
        if len(places) == len(at_random) + WORST or errors[place] < MIN_WRONG:
            break
        if all(abs(place - other) >= MIN_DISTANCE for other in places):
            places.append(place)
    return sorted(places)


@pytest.mark.parametrize("seed", range(40))
def test_the_worst_frames_are_those_of_the_whole_film(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length, pixels = int(rng.integers(1, 90)), 20_000
    # Errors that rise and fall slowly lie beside one another, so that each chosen frame excludes many.
    wrong = rng.permutation(pixels // 40)[:length] if seed % 2 else 3 * np.arange(1, length + 1)
    labels = np.zeros((100, 200), np.uint8)
    choice = _Choice(np.random.default_rng(seed), length)
    for number in range(length):
        foreground = np.zeros((100, 200), np.float32)
        foreground.reshape(-1)[: wrong[number]] = 1
        plain = np.full((1, 1), number)
        choice.add(number, _Segmented(plain, plain, plain, foreground), labels)
    count = min(AT_RANDOM + length // MORE_EVERY, length)
    at_random = np.random.default_rng(seed).choice(length, count, replace=False).tolist()
    selected = [int(seen.window[0, 0]) for seen, _ in choice.selected()]
    assert selected == greedy(wrong / pixels, at_random)


def test_a_covered_lens_has_no_foreground() -> None:
    frames = [np.full((20, 30, 3), 200, np.uint8)] * 80
    labels = [np.full((20, 30), MOTION, np.uint8)] * 80
    kinds: set[int] = set()
    for seed in range(6):
        shown, known = covered(np.random.default_rng(seed), frames, labels)
        for image, label in zip(shown, known, strict=True):
            assert (label == MOTION).all() == (image == 200).all()
            kinds |= set(np.unique(label).tolist())
    assert kinds == {MOTION, STATIC, UNKNOWN}
