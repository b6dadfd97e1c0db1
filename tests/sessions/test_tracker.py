"""The steps of a tracker with a memory, each alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from segue.models.base import FramePrompts, QueryFeatures, Schedule, Setup
from segue.models.memory import FramePlan, MemoryTracker
from segue.models.memory.components import UNLIKELY
from segue.models.memory.tracker import COARSE_ABOVE


class Seeing(MemoryTracker):
    """Predicts given log-odds."""

    logits: Tensor

    def predict(self, view: int, query: QueryFeatures, plan: FramePlan) -> Tensor:
        return self.logits


def tracker(**schedule: Any) -> Seeing:
    network = SimpleNamespace(
        similarity="l2",
        shared_keys=True,
        stride=16,
        read_stride=16,
        aggregate_prompts=False,
    )
    return Seeing(network, Setup(Schedule(**schedule), torch.device("cpu"), torch.float32, 1 << 30))


def test_the_memory_is_as_the_schedule_says() -> None:
    asked = {"memory_policy": "fifo", "memory_frames": 5, "top_k": 7, "penalty": 0.5, "last_penalty": 0.25}
    tracking = tracker(**asked, uncertainty_penalty=2.0, include_last=True, last_window=3)
    memory = tracking.new_memory()._new_table()
    assert (memory.policy, memory.memory_frames, memory.top_k) == ("fifo", 5, 7)
    assert (memory.penalty, memory.last_penalty, memory.uncertainty_penalty) == (0.5, 0.25, 2.0)
    assert (memory.similarity, memory.last_window) == ("l2", 3)
    assert memory.coarse_above is None, "a frame of a network with stride 16 has few positions"
    tracking.network.read_stride = 8
    assert tracking.new_memory()._new_table().coarse_above == COARSE_ABOVE
    assert tracker(last_window=3).new_memory()._new_table().last_window is None, (
        "the previous frame is not read"
    )


def test_given_masks_take_their_pixels_from_what_was_predicted() -> None:
    tracking = tracker()
    tracking.ids = (2, 5)
    predicted = torch.tensor([0.1, 0.3, 0.6])[:, None, None].repeat(1, 2, 3)
    mask = torch.tensor([[5, 7, 0], [5, 0, 0]])

    merged = tracking.merge_masks(predicted, (2, 5, 7), mask, (5, 7))

    assert merged[1].tolist() == [[0, 0, pytest.approx(0.3)], [0, pytest.approx(0.3), pytest.approx(0.3)]]
    assert merged[2].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert merged[3].tolist() == [[0, 1, 0], [0, 0, 0]]
    torch.testing.assert_close(merged.sum(0), torch.ones(2, 3))


def test_an_object_that_nothing_was_predicted_of_is_nowhere() -> None:
    merged = tracker().merge_masks(None, (1, 4), torch.tensor([[4, 0]]), (4,))
    assert merged.tolist() == [[[0, 1]], [[0, 0]], [[1, 0]]]


def test_the_mask_before_is_looked_at_in_the_middle_of_the_cells_of_the_prediction() -> None:
    """A cell is 4x4 pixels here; an object of 2x2 in the middle of one has none of their corners."""
    tracking = tracker(max_jump=0.05)
    tracking.ids = (1,)
    tracking.logits = torch.full((1, 20, 30), -6.0)
    tracking.logits[0, 3:6, 4:7] = 4.0  # where the object was
    tracking.logits[0, 16, 25] = 4.0  # a spot far away
    tracking._previous_masks = torch.zeros(1, 80, 120, dtype=torch.bool)
    tracking._previous_masks[0, 4 * 4 + 1 : 4 * 4 + 3, 4 * 5 + 1 : 4 * 5 + 3] = True

    found = tracking._predict([None], FramePlan(None, (1,), keep=False))

    assert found[0, 16, 25] == UNLIKELY
    assert (found[0, 3:6, 4:7] == 4.0).all()


def test_objects_share_a_pass_as_far_as_the_memory_limit_allows() -> None:
    tracking = tracker()
    query = QueryFeatures(torch.zeros(1, 3, 8, 16), torch.zeros(1, 4, 1, 1), ())
    for limit, expected in ((1, 1), (2 * 512 * 8 * 16, 2), (3 * 512 * 8 * 16 - 1, 2)):
        tracking._setup = Setup(Schedule(), torch.device("cpu"), torch.float32, limit)
        passes = tracking.passes(query, 5)
        assert passes[0] == slice(0, expected)
        assert [list(range(5))[part] for part in passes] == [
            list(range(5))[start : start + expected] for start in range(0, 5, expected)
        ]


def test_a_frame_is_memory_every_so_often_counted_from_the_last_one() -> None:
    tracking = tracker(mem_every=3)
    tracking.ids = (1,)
    kept = []
    for number in range(9):
        given = FramePrompts(torch.zeros(1, 1), (1,)) if number in (0, 4) else None
        plan = FramePlan(given, (1,), keep=given is not None or tracking.requires_update)
        kept.append(plan.keep)
        tracking.finish(plan)
    assert [number for number, keep in enumerate(kept) if keep] == [0, 3, 4, 7]
