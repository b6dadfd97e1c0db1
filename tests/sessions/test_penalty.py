"""Frames whose masks are predictions are penalised, and the previous frame is read within a window."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segue.layers.attention import affinity
from segue.models.memory import MemoryTable
from segue.models.memory.similarity import key_rows, query_rows

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


def test_the_previous_frame_is_read_only_within_its_window() -> None:
    memory = bank(last_window=0)
    memory.top_k = 1
    same = torch.ones(1, 8, 3, 4)
    numbers = torch.arange(12.0).view(1, 1, 3, 4).expand(1, 2, 3, 4)
    memory.write([1], same + 5, values(-1.0), pinned=True)
    memory.write([1], same, numbers, keep=False)
    torch.testing.assert_close(memory.read(same, [1]), numbers)
