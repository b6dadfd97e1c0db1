"""The steps of a tracker with a memory, each alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from segue.models.base import QueryFeatures, Schedule, Setup
from segue.models.memory import FramePlan, MemoryTracker


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
