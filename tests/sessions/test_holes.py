"""Holes of moving objects."""

from __future__ import annotations

import numpy as np
import pytest

from segue.sessions.holes import with_holes_filled

Probabilities = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def car(pane: float, side: int = 6, column: int = 22) -> Probabilities:
    """A piece of 20 by 30 pixels at (10, 10) with a square pane of a probability at (15, column)."""
    picture = np.full((40, 60), 0.02, np.float32)
    picture[10:30, 10:40] = 0.9
    picture[15 : 15 + side, column : column + side] = pane
    return picture


def test_a_doubtful_pane_is_filled() -> None:
    found = with_holes_filled(car(0.3), 0.5)
    assert (found[10:30, 10:40] >= 0.5).all()
    assert (found >= 0.5).sum() == 20 * 30


@pytest.mark.parametrize(
    "picture",
    [car(0.02), car(0.3, side=14), car(0.3, column=36), np.full((40, 60), 0.3, np.float32)],
    ids=["scene seen clearly", "large", "open to the side", "nothing"],
)
def test_other_gaps_stay(picture: Probabilities) -> None:
    assert (
        with_holes_filled(picture, 0.5) is picture
        or not ((with_holes_filled(picture, 0.5) >= 0.5) ^ (picture >= 0.5)).any()
    )


def test_holes_belong_to_the_piece_around_them() -> None:
    picture = car(0.3)
    picture[0:3, 0:3] = 0.9  # a small piece before it, in the order of rows
    picture[32:37, 45:50] = 0.9
    picture[33:36, 46:49] = 0.3  # nine pixels in a ring of sixteen
    found = with_holes_filled(picture, 0.5) >= 0.5
    assert found[15:21, 22:28].all()
    assert not found[33:36, 46:49].any()
    at_the_border = np.full((8, 8), 0.9, np.float32)
    at_the_border[0, 3:5] = 0.3
    assert with_holes_filled(at_the_border, 0.5) is at_the_border
