"""Frames whose masks are predictions are penalised, and the previous frame is read within a window."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segue.errors import ArgumentError
from segue.jobs.parts import TrackOptions
from segue.jobs.tracking import make_schedule
from segue.layers.attention import Similarity, affinity
from segue.models.memory import MemoryTable
from segue.models.memory.outputs import uncertainty
from segue.models.memory.similarity import key_rows, query_rows
from segue.models.xmem import XMem
from segue.sessions import TrackSession
from tests.clips import clip
from tests.lite import lively_lite

KEY = torch.randn(1, 8, 3, 4, generator=torch.Generator().manual_seed(0))


def values(number: float) -> torch.Tensor:
    return torch.full((1, 2, 3, 4), number)


def bank(**settings: Any) -> MemoryTable:
    return MemoryTable(**{"memory_frames": 8, **settings})


def test_confidence_penalty_is_taken_off_the_affinity() -> None:
    plain = affinity(KEY.flatten(2), KEY.flatten(2), "l2")[0]
    penalised = key_rows(KEY[0], "l2", penalty=1.5) @ query_rows(KEY[0], "l2").T
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


@pytest.mark.parametrize("similarity", ["l2", "dot"])
def test_of_two_equal_frames_the_surer_one_is_believed_more(similarity: Similarity) -> None:
    memory = MemoryTable(similarity, uncertainty_penalty=4.0)
    memory.write([1], KEY, values(0.0), uncertainty=0.1)
    memory.write([1], KEY, values(1.0), uncertainty=0.6)
    share = memory.read(KEY, [1])
    odds = share / (1 - share)
    torch.testing.assert_close(odds, torch.full_like(odds, -4.0 * 0.5).exp())
    plain = MemoryTable(similarity)
    plain.write([1], KEY, values(0.0), uncertainty=0.1)
    plain.write([1], KEY, values(1.0), uncertainty=0.6)
    torch.testing.assert_close(plain.read(KEY, [1]), torch.full_like(share, 0.5))


def test_the_frame_that_nobody_was_sure_of_makes_room_first() -> None:
    memory = bank(uncertainty_penalty=8.0)
    memory.memory_frames = 3
    memory.write([1], KEY, values(0.0), pinned=True, uncertainty=1.0)
    for number, uncertain in ((1.0, 0.0), (2.0, 1.0)):
        memory.write([1], KEY, values(number), uncertainty=uncertain)
    memory.read(KEY, [1])
    memory.commit_usage()
    assert [frame.number for frame in memory.frames] == [0, 1, 2]
    memory.write([1], KEY, values(3.0))
    assert [frame.number for frame in memory.frames] == [0, 1, 3]


def test_masks_are_as_uncertain_as_the_pixels_that_they_take() -> None:
    """The object has 0.9 of a pixel: twice what it lacks counts, and pixels of the background do not."""
    probabilities = torch.tensor([[[0.1, 0.9, 0.6]], [[0.9, 0.1, 0.4]]])
    assert uncertainty(probabilities) == pytest.approx(0.2)
    assert uncertainty(torch.tensor([[[0.9]], [[0.1]]])) == 1


def test_a_session_hands_the_uncertainty_of_its_masks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[tuple[bool, float]] = []
    write = MemoryTable.write

    def watched(bank: MemoryTable, *entry: Any, uncertainty: float, **how: Any) -> None:
        writes.append((how["pinned"], uncertainty))
        write(bank, *entry, uncertainty=uncertainty, **how)

    monkeypatch.setattr(MemoryTable, "write", watched)
    frames, masks = clip(5, 4, 48, 64, 2)
    network = lively_lite()
    options = TrackOptions(settings={"uncertainty_penalty": 2.0})
    session = TrackSession(network, make_schedule(network, options), device="cpu")
    for t, image in enumerate(frames):
        session.step(image, masks[0] if t == 0 else None)
    assert [pinned for pinned, _ in writes] == [True, False, False, False]
    assert writes[0][1] == pytest.approx(0, abs=1e-5)
    assert all(0 < uncertain <= 1 for _, uncertain in writes[1:])
    writes.clear()
    TrackSession(network, device="cpu").step(frames[0], masks[0])
    assert writes == [(True, 0.0)]


def test_an_uncertainty_penalty_that_nothing_heeds_is_refused() -> None:
    asked = TrackOptions(settings={"uncertainty_penalty": 2.0})
    with pytest.raises(ArgumentError, match="uncertainty_penalty"):
        make_schedule(XMem, asked)
    below = TrackOptions(settings={"uncertainty_penalty": -1.0})
    with pytest.raises(ArgumentError, match="uncertainty_penalty"):
        make_schedule(XMem, below)
