"""Positions whose masks are predictions are penalised, and the previous frame is read within a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from segue.layers.attention import affinity
from segue.models.memory import MemoryTable
from segue.models.memory.similarity import key_rows, query_rows
from segue.models.memory.tracker import TRUSTED
from segue.sessions import TrackSession
from tests.lite import lively_lite

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


def test_a_corrected_frame_is_believed_more_only_where_it_was_corrected() -> None:
    memory = bank(penalty=0.5, top_k=2)
    corrected = torch.zeros(3, 4, dtype=torch.bool)
    corrected[1, 2] = True
    memory.write([1], 30 * KEY, values(0.0), pinned=True)
    memory.write([1], 30 * KEY, values(1.0), pinned=True, trusted=corrected)
    share = memory.read(30 * KEY, [1])[0, 0]
    odds = torch.where(corrected, 1.0, np.exp(-0.5)).float()
    torch.testing.assert_close(share / (1 - share), odds, rtol=1e-3, atol=0)


def test_a_cell_of_positions_is_believed_as_its_best_one() -> None:
    key = 30 * torch.randn(1, 8, 2, 2, generator=torch.Generator().manual_seed(1))
    key = key.repeat_interleave(2, 2).repeat_interleave(2, 3)
    memory = bank(penalty=0.5, top_k=4, coarse_above=1, coarse_cells=1)
    corrected = torch.zeros(4, 4, dtype=torch.bool)
    corrected[2, 3] = True
    empty, full = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
    memory.write([1], key, empty, pinned=False)
    memory.write([1], key, full, pinned=True, trusted=corrected)
    torch.testing.assert_close(memory.read(key, [1])[0, 0, 2:, 2:], torch.ones(2, 2))


@pytest.mark.parametrize("flip_tta", [False, True])
def test_what_a_mask_leaves_as_predicted_stays_penalised(
    flip_tta: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    write = MemoryTable.write

    def writing(self: MemoryTable, *given: Any, trusted: torch.Tensor | None = None, **named: Any) -> None:
        told.append(trusted)
        write(self, *given, trusted=trusted, **named)

    monkeypatch.setattr(MemoryTable, "write", writing)
    network = lively_lite()
    session = TrackSession(network, replace(network.schedule, flip_tta=flip_tta))
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    first = np.zeros((96, 128), np.uint8)
    first[40:60, 70:90] = 1
    session.step(image, first)
    predicted = session.peek(image).mask
    mended = predicted.copy()
    mended[8:16, 8:16] = 1 - mended[8:16, 8:16]
    session.step(image, mended)
    mended[:16, 112:] = 2
    session.step(image, mended)
    count = 1 + flip_tta
    assert told[:count] == [None] * count
    assert told[2 * count :] == [None] * count, "an object that is new here is no correction"
    around = torch.zeros(12, 16, dtype=torch.bool)
    around[: 2 + TRUSTED, : 2 + TRUSTED] = True
    for place, found in enumerate(told[count : 2 * count]):
        assert found is not None
        assert torch.equal(found, around if place == 0 else around.flip(-1))


def test_the_previous_frame_is_read_only_within_its_window() -> None:
    memory = bank(last_window=0)
    memory.top_k = 1
    same = torch.ones(1, 8, 3, 4)
    numbers = torch.arange(12.0).view(1, 1, 3, 4).expand(1, 2, 3, 4)
    memory.write([1], same + 5, values(-1.0), pinned=True)
    memory.write([1], same, numbers, keep=False)
    torch.testing.assert_close(memory.read(same, [1]), numbers)
