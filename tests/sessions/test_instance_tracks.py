"""How instances of one window become the objects of the next, with numbers that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import ArgumentError
from segue.sessions.instance_tracks import EMBEDDING_ALONE, MOMENTUM, Instances, Tracks, suppress
from segue.sessions.instances import DUPLICATE, InstanceOptions, compose
from tests.sessions.test_instances import instances, square

LOOKS = torch.eye(4)


def only(look: Any, scores: list[float], masks: Any) -> Instances:
    return instances((look, scores, masks))


def test_a_known_object_changes_its_look_and_class_slowly() -> None:
    tracks = Tracks()
    tracks.update(only(LOOKS[0], [0.9, 0.1], square(0, 0)), shared=0, keep=2)
    tracks.update(only(LOOKS[1], [0.1, 0.7], square(0, 0)), shared=2, keep=1)
    (track,) = tracks.known
    assert torch.allclose(track.embedding, MOMENTUM * LOOKS[0] + (1 - MOMENTUM) * LOOKS[1])
    assert torch.allclose(
        track.class_scores, MOMENTUM * torch.tensor([0.9, 0.1]) + (1 - MOMENTUM) * torch.tensor([0.1, 0.7])
    )
    assert track.label == int(track.class_scores.argmax())
    assert track.score == pytest.approx(float(track.class_scores.max()))
    assert track.masks.shape == (1, 12, 12)
    assert (track.missing, tracks.last_id) == (0, 1)


def test_the_frames_that_the_next_window_shares_are_the_last_ones() -> None:
    tracks = Tracks()
    moves = torch.cat([square(0, 0, frames=1), square(6, 6, frames=2)])
    tracks.update(only(LOOKS[0], [0.9], moves), shared=0, keep=2)
    assert torch.equal(tracks.known[0].masks, square(6, 6))
    # On the first two frames of this window it is where it was on the last two of the one before.
    goes_on = torch.cat([square(6, 6, frames=2), square(0, 0, frames=1)])
    assert tracks.update(only(LOOKS[1], [0.9], goes_on), shared=2, keep=2) == [1]
    nothing = Instances(torch.zeros(0, 4), torch.zeros(0, 1), torch.zeros(0, 3, 12, 12, dtype=torch.bool))
    assert tracks.update(nothing, shared=2, keep=2) == []
    assert tracks.known[0].missing == 1
    assert (tracks.known[0].masks.shape, bool(tracks.known[0].masks.any())) == ((2, 12, 12), False)
    assert tracks.update(nothing, shared=2, keep=0) == []
    assert tracks.known[0].masks.shape == (0, 12, 12)


@pytest.mark.parametrize(
    ("likeness", "same"), [(EMBEDDING_ALONE + 0.02, True), (EMBEDDING_ALONE - 0.02, False)]
)
def test_without_overlap_the_look_must_be_very_like(likeness: float, same: bool) -> None:
    tracks = Tracks()
    tracks.update(only(LOOKS[0], [0.9], square(0, 0)), shared=0, keep=2)
    nothing = Instances(torch.zeros(0, 4), torch.zeros(0, 1), torch.zeros(0, 2, 12, 12, dtype=torch.bool))
    tracks.update(nothing, shared=2, keep=2)
    look = torch.tensor([likeness, (1 - likeness**2) ** 0.5, 0, 0])
    assert tracks.update(only(look, [0.9], square(6, 6)), shared=2, keep=2) == [1 if same else 2]


def test_of_two_that_overlap_the_liker_one_is_the_object() -> None:
    tracks = Tracks()
    tracks.update(only(LOOKS[0], [0.9, 0.1], square(0, 0)), shared=0, keep=2)
    both = instances((LOOKS[1], [0.9, 0.1], square(0, 0)), (LOOKS[0], [0.9, 0.1], square(0, 0)))
    assert tracks.update(both, shared=2, keep=2) == [2, 1]
    tracks = Tracks()
    tracks.update(only(LOOKS[0], [0.9, 0.1], square(0, 0)), shared=0, keep=2)
    classes = instances((LOOKS[0], [0.1, 0.9], square(0, 0)), (LOOKS[0], [0.9, 0.1], square(0, 0)))
    assert tracks.update(classes, shared=2, keep=2) == [2, 1]
    tracks = Tracks()
    tracks.update(only(LOOKS[0], [0.9, 0.1], square(0, 0)), shared=0, keep=2)
    places = instances((LOOKS[0], [0.9, 0.1], square(0, 2)), (LOOKS[0], [0.9, 0.1], square(0, 0)))
    assert tracks.update(places, shared=2, keep=2) == [2, 1]


def test_an_object_that_differs_in_everything_but_touches_is_a_new_one() -> None:
    tracks = Tracks()
    tracks.update(only(LOOKS[0], [0.9, 0.0], square(0, 0)), shared=0, keep=2)
    assert tracks.update(only(LOOKS[1], [0.0, 0.9], square(2, 2)), shared=2, keep=2) == [2]


def wide(width: int) -> Any:
    mask = torch.zeros(1, 1, 100, dtype=torch.bool)
    mask[..., :width] = True
    return mask


@pytest.mark.parametrize(
    ("width", "kept"), [(round(100 * DUPLICATE), [0, 1]), (round(100 * DUPLICATE) + 1, [0])]
)
def test_what_overlaps_a_better_one_too_much_is_dropped(width: int, kept: list[int]) -> None:
    found = Instances(LOOKS[:2], torch.ones(2, 1), torch.stack([wide(100), wide(width)]))
    assert suppress(found, DUPLICATE) == kept
    assert suppress(Instances(LOOKS[:0], torch.ones(0, 1), torch.zeros(0, 1, 1, 100).bool()), 0.5) == []


def test_what_was_dropped_drops_nothing_itself() -> None:
    found = Instances(LOOKS[:3], torch.ones(3, 1), torch.stack([wide(50), wide(80), wide(100)]))
    assert suppress(found, 0.6) == [0, 2]


def test_a_pixel_belongs_to_the_first_of_equals_and_to_nobody_at_zero() -> None:
    logits = torch.tensor([[[1.0, 0.0, -1.0, 2.0]], [[1.0, 0.0, 0.5, 3.0]]])
    mask = compose(logits, [5, 2])
    assert (mask.tolist(), mask.dtype) == ([[5, 0, 2, 2]], np.uint8)
    assert compose(logits, [255, 2]).dtype == np.uint8
    assert compose(logits, [256, 2]).dtype == np.uint16


@pytest.mark.parametrize(
    "wrong",
    [
        {"short_side": 31},
        {"window": 3, "overlap": 3},
        {"window": 0},
        {"overlap": -1},
        {"top": 0},
        {"score": 1.5},
        {"score": -0.1},
    ],
)
def test_windows_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        InstanceOptions(**wrong)
    InstanceOptions(window=3, overlap=2, score=1.0, top=1)
    InstanceOptions(window=1, overlap=0, score=0.0)
