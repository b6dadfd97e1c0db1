"""Frames whose masks are predictions are penalised, and the previous frame is read within a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.layers.attention import affinity
from segue.models.memory import MemoryTable
from segue.models.memory.similarity import key_rows, query_rows
from segue.prompt_types import MaskPrompt, PointPrompt, Prompt
from segue.prompts import ImagePrompter, ImagePrompts, MaskPrediction, resolve_prompts
from segue.sessions import TrackSession
from segue.types import Frame

IMAGE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
MASK = np.zeros(IMAGE.shape[:2], bool)
MASK[20:44, 20:60] = True


class Everything(ImagePrompter):
    """Takes the whole image for the object."""

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        whole = np.full((1, *self.size), 0.9, np.float32)
        return MaskPrediction(self.size, (0, 0, *self.size[::-1]), np.array([0.8], np.float32), whole)


KEY = torch.randn(1, 8, 3, 4, generator=torch.Generator().manual_seed(0))
ROWS = KEY[0].flatten(1).T


def values(number: float) -> torch.Tensor:
    return torch.full((1, 2, 3, 4), number)


def bank(**settings: Any) -> MemoryTable:
    return MemoryTable(**{"memory_frames": 8, **settings})


def test_confidence_penalty_is_taken_off_the_affinity() -> None:
    plain = affinity(KEY.flatten(2), KEY.flatten(2), "l2")[0]
    penalised = key_rows(ROWS, "l2", penalty=1.5) @ query_rows(ROWS, "l2").T
    torch.testing.assert_close(penalised, plain - 1.5)


@pytest.mark.parametrize(("keep", "expected"), [(True, 0.5), (False, 2.0)])
def test_of_two_equal_frames_the_given_one_is_believed_more(keep: bool, expected: float) -> None:
    memory = bank(penalty=0.5, last_penalty=2.0)
    memory.write([1], KEY, values(0.0), pinned=True)
    memory.write([1], KEY, values(1.0), keep=keep)
    share = memory.read(KEY, [1])
    odds = share / (1 - share)
    torch.testing.assert_close(odds, torch.full_like(odds, -expected).exp())


def test_a_kept_frame_that_is_not_trusted_counts_as_predicted() -> None:
    memory = bank(penalty=0.5)
    memory.write([1], KEY, values(0.0), pinned=True)
    memory.write([1], KEY, values(1.0), pinned=True, trusted=False)
    share = memory.read(KEY, [1])
    torch.testing.assert_close(share / (1 - share), torch.full_like(share, -0.5).exp())


@pytest.mark.parametrize(
    ("prompt", "trusted"),
    [
        (PointPrompt(1, [(12, 30)]), False),  # most of the mask stays as it was predicted
        (PointPrompt(1, [(12, 30)], whole=True), True),
        (PointPrompt(2, [(12, 30)]), True),
        (MaskPrompt(1, MASK, 0.8), True),
    ],
)
def test_masks_that_clicks_corrected_count_as_predicted(prompt: Prompt, trusted: bool) -> None:
    session = TrackSession("stcn-lite", device="cpu", prompter=Everything)
    session.step(IMAGE, MASK.astype(np.uint8))
    session.step(IMAGE, [prompt])
    (table,) = session.tracker.memories[0].tables  # type: ignore[attr-defined]
    penalty = 0.0 if trusted else table.penalty * 8  # times the root of 64 channels
    first, second = (
        rows[:, -1] - rows[:, :-1].square().sum(1) for rows in table._tables["keys"].rows.chunk(2)
    )
    torch.testing.assert_close(first, torch.zeros_like(first), atol=1e-3, rtol=0)
    torch.testing.assert_close(second, torch.full_like(second, penalty), atol=1e-3, rtol=0)


def test_an_object_that_was_lost_is_clicked_anew_rather_than_corrected() -> None:
    lost = np.zeros(IMAGE.shape[:2], np.float32)
    frame, prompts = Frame(0, 0.0, IMAGE), [PointPrompt(1, [(12, 30)])]
    for known, expected in ((lost, set()), (lost + MASK, {1})):
        found = resolve_prompts(frame, prompts, prompter=Everything, previous_masks={1: known})
        assert found.corrected == expected


def test_the_previous_frame_is_read_only_within_its_window() -> None:
    memory = bank(last_window=0)
    memory.top_k = 1
    same = torch.ones(1, 8, 3, 4)
    numbers = torch.arange(12.0).view(1, 1, 3, 4).expand(1, 2, 3, 4)
    memory.write([1], same + 5, values(-1.0), pinned=True)
    memory.write([1], same, numbers, keep=False)
    torch.testing.assert_close(memory.read(same, [1]), numbers)
