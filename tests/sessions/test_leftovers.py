"""Patches that waving leaves behind become background; what came from elsewhere does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from segue.sessions.background import EVERY
from segue.sessions.empty_scene import Scene
from segue.sessions.foreground import ForegroundSession
from segue.sessions.leftovers import LOOKS, LeftoverDetector
from segue.sessions.subtractors import BackgroundDifference
from tests.sessions.scenes import Bytes, film, square_mask, wall, with_squares

SIZE = (96, 128)
PLACE = (30, 50)
LENGTH = (LOOKS + 1) * EVERY
SCENE = Scene.of(wall())
LIKE_AROUND = np.where(square_mask(SIZE, [PLACE])[..., None], np.roll(wall(), 4, axis=1), wall())
"""The scene, in which a patch shows what lies four pixels beside it."""


def found(pictures: Sequence[Bytes], masks: Sequence[np.ndarray], scene: Scene = SCENE) -> np.ndarray | None:
    """The last leftover in a film with these masks."""
    watch, last = LeftoverDetector(), None
    for picture, mask in zip(pictures, masks, strict=True):
        piece = watch.look(picture, scene, mask)
        last = last if piece is None else piece
    return last


def walks(steps: int, by: int = 3) -> list[np.ndarray]:
    """Masks of a square that comes from the left by so many steps, and stands at the place."""
    row, column = PLACE
    ways = [column - by * max(0, steps - t) for t in range(LENGTH)]
    return [square_mask(SIZE, [(row, at)]) for at in ways]


def test_what_stays_and_looks_like_its_surroundings_is_a_leftover_after_seconds() -> None:
    masks = walks(0)
    assert found([LIKE_AROUND] * (LENGTH - EVERY - 1), masks[: -EVERY - 1]) is None
    piece = found([LIKE_AROUND] * LENGTH, masks)
    assert piece is not None
    assert (piece == masks[-1]).all()


@pytest.mark.parametrize("level", [0, 250])
def test_what_has_other_colours_is_none(level: int) -> None:
    assert found([with_squares(wall(), [PLACE], level=level)] * LENGTH, walks(0)) is None


def test_what_came_from_elsewhere_is_none_whatever_its_colours() -> None:
    assert found([LIKE_AROUND] * LENGTH, walks(10)) is None
    assert found([LIKE_AROUND] * LENGTH, walks(2)) is not None  # six pixels are no way


def test_what_parts_from_somebody_who_came_is_none() -> None:
    masks = walks(10)
    row, column = PLACE
    for t in range(15, LENGTH):  # from here on a bag stands where somebody walks on
        masks[t] = square_mask(SIZE, [(row, column), (row, column + 3 * (t - 15))])
    assert found([LIKE_AROUND] * LENGTH, masks) is None


def test_who_was_lost_for_a_moment_is_none() -> None:
    masks = walks(10)
    masks[14] = np.zeros(SIZE, bool)
    assert found([LIKE_AROUND] * LENGTH, masks) is None


def test_what_comes_and_goes_is_none() -> None:
    masks = [mask if t // EVERY % 4 else np.zeros(SIZE, bool) for t, mask in enumerate(walks(0))]
    assert found([LIKE_AROUND] * LENGTH, masks) is None


def test_it_goes_on_from_a_saved_state() -> None:
    first, second, mask = LeftoverDetector(), LeftoverDetector(), square_mask(SIZE, [PLACE])
    reports = [first.look(LIKE_AROUND, SCENE, mask) for _ in range(LOOKS * EVERY - 1)]
    assert not any(report is not None for report in reports)
    second.restore(first.state())
    assert second.look(LIKE_AROUND, SCENE, mask) is not None


def test_a_session_takes_a_leftover_into_its_background() -> None:
    stripes = np.full((*SIZE, 3), 60, np.uint8)
    stripes[:, np.arange(SIZE[1]) % 16 < 8] = 160
    swayed = np.where(square_mask(SIZE, [PLACE])[..., None], np.roll(stripes, 8, axis=1), stripes)
    session = ForegroundSession(BackgroundDifference(), device="cpu")
    results = [session.step(frame) for frame in film([stripes] * 20 + [swayed] * (LENGTH + 10))]
    areas = [int((result.mask > 0).sum()) for result in results if result is not None]
    assert areas[20 + LENGTH // 2] > 300
    assert areas[-1] == 0
