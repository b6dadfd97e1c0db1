"""The films of the foreground benchmarks, and how methods are scored on them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from segue.datasets.labels import MOTION, UNKNOWN
from tests.sessions.scenes import overlap, square_mask, wall, with_squares

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import foreground_clips as clips
from foreground_methods import session
from foreground_scores import score, score_table

SIZE = (96, 128)


def shots() -> Iterator[clips.Shot]:
    """A square that crosses a room."""
    for t in range(40):
        place = [(30, 5 * t - 40)]
        yield with_squares(wall(), place), np.where(square_mask(SIZE, place), MOTION, 0).astype(np.uint8)


FILM = clips.Film("room", np.ones(SIZE, bool), shots)


def test_a_method_is_scored_on_every_labelled_frame() -> None:
    found = score(FILM, session("median", align=False))
    assert found.counts.tp + found.counts.fp + found.counts.fn + found.counts.tn == 40 * 96 * 128
    assert found.counts.measures()["F"] > 0.8
    assert found.flooded == 0
    assert "| median | 0." in score_table({"median": {"room": found}})


def test_in_a_shaken_film_the_labels_move_with_the_frames() -> None:
    compared = 0
    for image, labels in clips.shaken(FILM).shots():
        assert labels is not None
        if (labels == MOTION).sum() > 300 and not (labels == UNKNOWN).any():
            assert overlap(image[..., 0] > 200, labels == MOTION) > 0.85
            compared += 1
    assert compared > 3
    pictures = [image for image, _ in clips.shaken(FILM).shots()]
    assert all(not np.array_equal(one, other) for one, other in itertools.pairwise(pictures))


@pytest.mark.parametrize(
    ("film", "length"),
    [
        (clips.cut(FILM, FILM, at=10), 50),
        (clips.switched(FILM, at=5), 40),
        (clips.stopped(FILM, at=20, frames=30), 50),
        (clips.empty(FILM, frames=30), 30),
        (clips.left(FILM, leaves=10, frames=60), 60),
    ],
    ids=lambda value: value.name if isinstance(value, clips.Film) else "",
)
def test_events_have_frames_and_labels_and_flood_nothing(film: clips.Film, length: int) -> None:
    played = list(film.frames())
    assert [frame.index for frame, _ in played] == list(range(length))
    for frame, labels in played:
        assert labels is not None
        assert frame.size == labels.shape == SIZE
    assert score(film, session("median")).flooded == 0


def test_there_is_no_truth_where_somebody_has_always_been() -> None:
    film = clips.left(FILM, leaves=10, frames=20)
    for index, (_, labels) in enumerate(film.shots()):
        assert labels is not None
        assert (labels == MOTION).sum() == 0
        assert (labels == UNKNOWN).any() == (index < 10)
