"""Hundreds of small objects keep their shape and follow the motion around them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from segue.flow.crowd import CROWD, CrowdWarning
from segue.prompt_types import RemovePrompt
from segue.sessions import SessionState, TrackSession
from segue.types import IndexMask, Segmentation

SIDE, COUNT, STEP = 12, 81, 2
Levels = npt.NDArray[np.uint8]


def cells(count: int = COUNT) -> tuple[list[Levels], list[IndexMask]]:
    """Discs on a grid of 240 pixels that move to the right, and their masks."""
    rng = np.random.default_rng(0)
    rows, columns = np.divmod(np.arange(count), 9)
    levels = rng.integers(90, 250, count)
    y, x = np.mgrid[:240, :240]
    images, masks = list[Levels](), list[IndexMask]()
    for t in range(4):
        image, mask = np.full((240, 240), 40.0), np.zeros((240, 240), np.uint8)
        for k in range(count):
            inside = (y - 20 - 25 * rows[k]) ** 2 + (x - 15 - 25 * columns[k] - STEP * t) ** 2 < SIDE**2 / 4
            image[inside], mask[inside] = levels[k], k + 1
        noisy = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        images.append(np.repeat(noisy[..., None], 3, 2))
        masks.append(mask)
    return images, masks


IMAGES, MASKS = cells()


def overlap(found: IndexMask, true: IndexMask) -> float:
    """Mean IoU of all objects."""
    pairs = ((found == i, true == i) for i in range(1, COUNT + 1))
    return float(np.mean([(one & other).sum() / (one | other).sum() for one, other in pairs]))


def follow(session: TrackSession, prompts: dict[int, Any], times: range = range(4)) -> list[Segmentation]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrowdWarning)
        return [session.step(IMAGES[t], prompts.get(t)) for t in times]


def test_small_objects_of_a_crowd_are_followed_better_than_by_a_copy() -> None:
    session = TrackSession("stcn-lite", device="cpu")
    last = follow(session, {0: MASKS[0]})[-1]
    assert session.ids == last.ids == tuple(range(1, COUNT + 1))
    assert overlap(last.mask, MASKS[-1]) > 0.8
    assert overlap(MASKS[0], MASKS[-1]) < 0.5
    assert np.array_equal(last.probabilities.argmax(0), last.mask)
    assert np.allclose(last.probabilities.sum(0), 1)


def test_a_warning_says_how_they_are_followed() -> None:
    with pytest.warns(CrowdWarning, match=f"{COUNT} objects"):
        TrackSession("stcn-lite", device="cpu").step(IMAGES[0], MASKS[0])


def test_a_crowd_goes_on_from_its_state_and_is_looked_ahead() -> None:
    session, other = (TrackSession("stcn-lite", device="cpu") for _ in range(2))
    expected = follow(session, {0: MASKS[0]})
    follow(other, {0: MASKS[0]}, range(2))
    state = other.state()
    other.reset()
    assert other.ids == ()
    other.restore(state)
    assert np.array_equal(other.peek(IMAGES[2]).mask, expected[2].mask)
    assert follow(other, {}, range(2, 4)) == expected[2:]


def test_an_object_is_removed_and_drawn_by_the_network_once_it_is_large() -> None:
    session = TrackSession("stcn-lite", device="cpu")
    large = np.zeros((240, 240), np.uint8)
    large[100:160, 100:160] = 7
    results = follow(session, {0: MASKS[0], 2: [RemovePrompt(5)], 3: large})
    assert 5 not in results[2].ids
    assert not (results[2].mask == 5).any()
    assert session.tracker.ids == (7,)
    assert (results[3].mask == 7).sum() > 1000
    session.remove([7, 8])
    assert set(session.ids) == {*range(1, COUNT + 1)} - {5, 7, 8}


def test_a_few_objects_are_left_to_the_network() -> None:
    images, masks = cells(CROWD)
    session = TrackSession("stcn-lite", device="cpu")
    session.step(images[0], masks[0])
    assert session.tracker.ids == tuple(range(1, CROWD + 1))


def test_a_state_of_a_version_without_crowds_is_taken() -> None:
    session = TrackSession("stcn-lite", device="cpu")
    session.step(IMAGES[0], (MASKS[0] == 1).astype(np.uint8))
    state = session.state()
    parts = {name: part for name, part in state.values["parts"].items() if name != "_crowd"}
    tensors = {name: part for name, part in state.tensors.items() if not name.startswith("_crowd")}
    session.restore(SessionState(tensors, {**state.values, "parts": parts}))
    assert session.ids == (1,)
