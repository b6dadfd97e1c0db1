"""Somebody who stands still is told from the ghost of somebody who has left."""

from __future__ import annotations

import numpy as np
import pytest

from segue.sessions.ghosts import EVERY, Ghosts
from tests.sessions.scenes import Bytes, square_mask, wall, with_squares

SIZE = (96, 128)
PLACE = [(30, 50)]
MASK = square_mask(SIZE, PLACE)


def found(pictures: list[Bytes], background: Bytes, mask: np.ndarray = MASK) -> list[int]:
    """Frames at which a ghost is reported."""
    watch = Ghosts()
    return [t for t, picture in enumerate(pictures) if watch.look(picture, background, mask) is not None]


@pytest.mark.parametrize("level", [0, 250])
def test_what_only_the_background_shows_is_a_ghost(level: int) -> None:
    with_ghost = with_squares(wall(), PLACE, level=level)
    watch = Ghosts()
    reports = [watch.look(wall(), with_ghost, MASK) for _ in range(3 * EVERY)]
    ghost = reports[-1]
    assert all(report is None for report in reports[:-1]), "it takes two looks at something that stands still"
    assert ghost is not None
    assert ghost[MASK].all()
    assert ghost.sum() < 2 * MASK.sum()


@pytest.mark.parametrize("level", [0, 250])
def test_who_stands_still_is_none(level: int) -> None:
    assert found([with_squares(wall(), PLACE, level=level)] * 60, wall()) == []


def test_who_stands_before_a_picture_on_the_wall_is_none() -> None:
    decorated = with_squares(wall(), [(28, 48)], side=24, level=0)
    assert found([with_squares(decorated, PLACE)] * 60, decorated) == []


def test_what_moves_is_none() -> None:
    ghostly = with_squares(wall(), PLACE)
    rng = np.random.default_rng(0)
    flickering = [rng.integers(0, 256, ghostly.shape, dtype=np.uint8) for _ in range(60)]
    assert found(flickering, ghostly) == []


def test_a_mask_that_has_just_come_is_none() -> None:
    watch = Ghosts()
    ghostly = with_squares(wall(), PLACE)
    reports = [
        watch.look(wall(), ghostly, MASK if t > EVERY else ~MASK & False) for t in range(3 * EVERY - 1)
    ]
    assert not any(report is not None for report in reports)


def test_it_goes_on_from_a_saved_state() -> None:
    ghostly, first, second = with_squares(wall(), PLACE), Ghosts(), Ghosts()
    for _ in range(3 * EVERY - 1):
        assert first.look(wall(), ghostly, MASK) is None
    second.restore(first.state())
    assert second.look(wall(), ghostly, MASK) is not None
