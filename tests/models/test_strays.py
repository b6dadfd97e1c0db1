"""What is taken away of a mask, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

import segue
from segue.jobs.options import TrackOptions
from segue.jobs.tracking import make_schedule
from segue.models.base import MemoryNetwork
from segue.models.memory.components import UNLIKELY, suppress_distant_components
from segue.models.stcn import STCN, STCNLite
from segue.types import Frame, IndexMask
from tests.clips import clip
from tests.lite import lively_lite

Map = npt.NDArray[np.float32]


def scene(*boxes: tuple[int, int, int, int]) -> Map:
    """Log-odds of 4 inside boxes (top, left, bottom, right), and of -6 outside."""
    logits = np.full((1, 60, 80), -6, np.float32)
    for top, left, bottom, right in boxes:
        logits[0, top:bottom, left:right] = 4
    return logits


def cleaned(now: Map, before: Map, max_jump: int = 5) -> Map:
    return suppress_distant_components(now.copy(), before > 0, max_jump)


OBJECT = (20, 20, 40, 40)
FAR_SPOT = (5, 70, 10, 75)


def test_a_small_piece_far_away_goes_and_the_object_stays() -> None:
    found = cleaned(scene(OBJECT, FAR_SPOT), scene(OBJECT))
    assert (found[0, 5:10, 70:75] == UNLIKELY).all()
    found[0, 5:10, 70:75] = -6
    assert np.array_equal(found, scene(OBJECT))


@pytest.mark.parametrize("away", [5, 6])
def test_near_is_up_to_so_many_rows_and_columns_on_every_side(away: int) -> None:
    """Single positions with ``away`` - 1 empty rows or columns between them and the object."""
    places = [(20 - away, 30), (39 + away, 30), (30, 20 - away), (30, 39 + away)]
    now = scene(OBJECT, *((row, column, row + 1, column + 1) for row, column in places))
    found = cleaned(now, scene(OBJECT), max_jump=5)
    assert [bool(found[0, row, column] == 4) for row, column in places] == [away <= 5] * 4


def test_a_piece_that_comes_near_stays_whole() -> None:
    arm = (28, 44, 32, 78)  # four positions beside the object, and as long as two of it
    assert np.array_equal(cleaned(scene(OBJECT, arm), scene(OBJECT)), scene(OBJECT, arm))


def test_an_object_that_jumped_is_found() -> None:
    assert np.array_equal(cleaned(scene(FAR_SPOT), scene(OBJECT)), scene(FAR_SPOT))


def test_an_object_that_jumped_is_found_beside_a_remnant() -> None:
    now = scene((20, 20, 23, 23), (40, 60, 58, 78))
    assert np.array_equal(cleaned(now, scene(OBJECT)), now)


def test_an_object_that_comes_back_is_found_anywhere() -> None:
    now = scene(OBJECT, FAR_SPOT)
    assert np.array_equal(cleaned(now, scene()), now)


def test_objects_do_not_lose_pieces_to_one_another() -> None:
    now = np.concatenate([scene(OBJECT), scene(FAR_SPOT)])
    before = np.concatenate([scene(OBJECT), scene(FAR_SPOT)]) > 0
    assert np.array_equal(suppress_distant_components(now.copy(), before, 5), now)


@pytest.mark.parametrize("make", [lively_lite, STCN], ids=["stcn-lite", "stcn"])
def test_a_session_goes_on_from_its_state_with_any_network(make: Callable[[], MemoryNetwork]) -> None:
    frames, masks = clip(5, 5, 48, 64, 2)
    network = make()
    schedule = replace(network.schedule, max_jump=0.02)
    whole, first, second = (segue.TrackSession(network, schedule, device="cpu") for _ in range(3))
    expected = [whole.step(Frame(t, t, image), None if t else masks[0]) for t, image in enumerate(frames)]
    for t in range(3):
        first.step(Frame(t, t, frames[t]), None if t else masks[0])
    second.restore(first.state())
    for t in (3, 4):
        found = second.step(Frame(t, t, frames[t]))
        assert np.array_equal(found.probabilities, expected[t].probabilities)


@pytest.mark.parametrize(("max_jump", "expected"), [(None, 0.03), (0, None), (0.1, 0.1)])
def test_reach_is_the_network_s_own_or_what_is_asked_for(
    max_jump: float | None, expected: float | None
) -> None:
    assert make_schedule(STCNLite.schedule, TrackOptions(max_jump=max_jump)).max_jump == expected
    with pytest.raises(ValueError, match="part of the diagonal"):
        make_schedule(STCNLite.schedule, TrackOptions(max_jump=3))


@pytest.fixture(scope="module")
def film() -> tuple[list[npt.NDArray[np.uint8]], list[IndexMask]]:
    """A striped disc goes out at the right and comes back at the left, on a soft backdrop."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:96, :160]
    backdrop = 90 + 40 * np.sin(x / 23 + 1)[..., None] * np.cos(y[..., None] / 31 + np.arange(3))
    frames, masks = [], []
    for place in (60, 80, 100, 125, 150, 178, 220, 220, 220, -18, 12, 30, 45):
        disc = (x - place) ** 2 + (y - 50) ** 2 < 18**2
        stripes = np.where(((x - place + y) // 5 % 2)[..., None], (220, 60, 40), (250, 220, 80))
        picture = np.where(disc[..., None], stripes, backdrop) + rng.normal(0, 3, (96, 160, 3))
        frames.append(picture.clip(0, 255).astype(np.uint8))
        masks.append(disc.astype(np.uint8))
    return frames, masks


def test_what_left_at_one_side_is_found_at_the_other(
    film: tuple[list[npt.NDArray[np.uint8]], list[IndexMask]],
) -> None:
    frames, masks = film
    session = segue.TrackSession(cast(STCNLite, segue.load("stcn-lite")), device="cpu")
    assert session.schedule.max_jump
    results = [
        session.step(Frame(t, t / 10, frame), None if t else masks[0]).mask for t, frame in enumerate(frames)
    ]
    assert not results[7].any(), "out of sight"
    found, truth = results[-1] > 0, masks[-1] > 0
    assert (found & truth).sum() / (found | truth).sum() > 0.8
