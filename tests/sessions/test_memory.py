"""The memory bank: what it keeps, what makes room, and how it comes back from a saved state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segue.models.memory import Memory
from segue.types import MemoryPolicy
from tests.sessions.banks import MemoryEntry, filled_bank, new_bank, random_frames, reference, write_entry

few = settings(max_examples=60, deadline=None)
policies = st.sampled_from(["usage", "fifo", "all"])
SIZE = (2, 3)


def query(seed: int = 1) -> Tensor:
    return torch.randn(1, 4, *SIZE, generator=torch.Generator().manual_seed(seed))


def kept(bank: Memory) -> list[int]:
    """Numbers of the writes that the bank remembers, from 1."""
    return sorted(1 + frame.number for table in bank.tables[:1] for frame in table.frames)


def read(bank: Memory, key: Tensor, ids: Sequence[int]) -> Tensor:
    """A read that counts."""
    found = bank.read(key, ids)
    bank.commit()
    return found


def remembers(bank: Memory, frames: Sequence[MemoryEntry]) -> None:
    """Assert that a bank reads exactly as one that holds these frames alone."""
    expected = reference(frames, query(), [1])
    torch.testing.assert_close(bank.read(query(), [1]), expected, rtol=1e-4, atol=1e-5)


def test_fifo_lets_the_oldest_frame_go() -> None:
    entries = random_frames(1, 6, 1, SIZE)
    bank = filled_bank(entries, memory_frames=3, policy="fifo")
    assert kept(bank) == [4, 5, 6]
    remembers(bank, entries[3:])


def test_usage_lets_the_frame_go_that_is_read_least() -> None:
    entries = random_frames(3, 4, 1, SIZE)
    bank = filled_bank(entries[:3], memory_frames=3, policy="usage", top_k=1)
    # Each position finds itself, in the first frame and in the third.
    for sought in (entries[0], entries[2]):
        read(bank, sought.keys, [1])
    write_entry(bank, entries[3])
    assert kept(bank) == [1, 3, 4]
    remembers_top(bank, [entries[0], entries[2], entries[3]])


def remembers_top(bank: Memory, frames: Sequence[MemoryEntry]) -> None:
    expected = reference(frames, query(), [1], top_k=1)
    torch.testing.assert_close(bank.read(query(), [1]), expected, rtol=1e-4, atol=1e-5)


def test_usage_counts_the_reads_since_a_frame_was_written() -> None:
    entries = random_frames(4, 4, 1, SIZE)
    bank = filled_bank(entries[:2], memory_frames=3, policy="usage", top_k=1)
    for sought in (entries[0], entries[0], entries[1], entries[1]):
        read(bank, sought.keys, [1])
    write_entry(bank, entries[2])
    read(bank, entries[2].keys, [1])
    read(bank, entries[0].keys, [1])
    # Reads of all positions: 3 of 6 for the first frame, 2 of 6 for the second, 1 of 2 for the third.
    write_entry(bank, entries[3])
    assert kept(bank) == [1, 3, 4]


@pytest.mark.parametrize("policy", ["usage", "fifo"])
def test_frames_with_given_masks_stay_while_others_are_left(policy: MemoryPolicy) -> None:
    entries = random_frames(5, 8, 1, SIZE)
    bank = new_bank(memory_frames=3, policy=policy)
    for number, frame in enumerate(entries):
        write_entry(bank, frame, pinned=number in (0, 3))
    assert kept(bank) == [1, 4, 8]


@few
@given(
    writes=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=20),
    bound=st.integers(1, 5),
    policy=st.sampled_from(["usage", "fifo"]),
    seed=st.integers(0, 1000),
)
def test_the_bound_is_never_exceeded(
    writes: list[tuple[bool, bool, bool]], bound: int, policy: MemoryPolicy, seed: int
) -> None:
    entries = random_frames(seed, len(writes), 2, SIZE)
    bank = new_bank(memory_frames=bound, policy=policy, top_k=3)
    tables: list[int] = []
    for frame, (keep, pinned, reads) in zip(entries, writes, strict=True):
        write_entry(bank, frame, keep=keep, pinned=pinned and keep)
        if reads:
            read(bank, frame.keys, [1, 2])
        (table,) = bank.tables
        tables.append(table.nbytes)
        assert sum(one.kept for one in table.frames) <= bound
        assert len(table.frames) <= bound + 1
        assert table.frames[-1].kept or not keep
        assert max(kept(bank)) == len(tables), "the newest frame is always there"
    full = new_bank(memory_frames=bound, policy=policy)
    for frame in random_frames(seed, 3 * bound + 6, 2, SIZE):
        write_entry(full, frame)
    write_entry(full, frame, keep=False)
    assert max(tables) <= full.tables[0].nbytes, "tables do not grow beyond the bound"


def test_the_previous_frame_is_replaced_by_the_next() -> None:
    entries = random_frames(7, 4, 1, SIZE)
    bank = new_bank()
    write_entry(bank, entries[0])
    write_entry(bank, entries[1], keep=False)
    remembers(bank, entries[:2])
    write_entry(bank, entries[2], keep=False)
    remembers(bank, [entries[0], entries[2]])
    write_entry(bank, entries[3])
    remembers(bank, [entries[0], entries[3]])


def test_a_previous_frame_drives_no_kept_one_out() -> None:
    entries = random_frames(8, 4, 1, SIZE)
    bank = filled_bank(entries[:2], memory_frames=2, policy="fifo")
    write_entry(bank, entries[2], keep=False)
    assert kept(bank) == [1, 2, 3]
    write_entry(bank, entries[3])
    remembers(bank, [entries[1], entries[3]])


def test_objects_join_later_and_read_from_there_on() -> None:
    entries = random_frames(9, 4, 3, SIZE, present=[[2], [2], [1, 2], [1, 2, 3]])
    bank = filled_bank(entries, top_k=5)
    expected = reference(entries, query(), [3, 1, 2], top_k=5)
    torch.testing.assert_close(bank.read(query(), [3, 1, 2]), expected, rtol=1e-4, atol=1e-5)


def test_forgetting_an_object_removes_the_frames_that_only_it_needs() -> None:
    entries = random_frames(10, 3, 2, SIZE, present=[[1], [1, 2], [1, 2]])
    bank = filled_bank(entries)
    bank.forget([1])
    assert kept(bank) == [2, 3]
    expected = reference(entries[1:], query(), [2])
    torch.testing.assert_close(bank.read(query(), [2]), expected, rtol=1e-4, atol=1e-5)
    bank.forget([2])
    assert bank.tables == []


def test_forgetting_writes_nothing_into_a_state_that_shares_the_memory() -> None:
    entries = random_frames(10, 3, 2, SIZE, present=[[1], [1, 2], [1, 2]])
    bank = filled_bank(entries)
    shared, copied = bank.state(copy=False), bank.state()
    bank.forget([1])
    assert all(torch.equal(tensor, copied.tensors[name]) for name, tensor in shared.tensors.items())
    bank.restore(shared)
    remembers(bank, entries)


def test_an_object_that_comes_back_has_no_memory_of_before() -> None:
    entries = random_frames(11, 3, 2, SIZE)
    bank = filled_bank(entries[:2])
    bank.forget([1])
    write_entry(bank, entries[2])
    remembers(bank, entries[2:])


@settings(max_examples=25, deadline=None)
@given(data=st.data(), policy=policies, shared=st.booleans(), count=st.none() | st.integers(1, 9))
def test_a_restored_bank_goes_on_bit_by_bit(
    data: st.DataObject, policy: MemoryPolicy, shared: bool, count: int | None
) -> None:
    entries = random_frames(12, 12, 2, (4, 4), shared=shared)
    options: dict[str, Any] = {
        "policy": policy,
        "shared_keys": shared,
        "top_k": count,
        "memory_frames": 3,
        "coarse_above": data.draw(st.sampled_from([None, 0])),
    }
    written = data.draw(st.integers(0, 6))
    bank = new_bank(**options)
    for frame in entries[:written]:
        write_entry(bank, frame)
        read(bank, frame.keys[:1], [1, 2])
    copies = [new_bank(**options) for _ in range(2)]
    state = bank.state()
    for one in (bank, *copies):
        if one is not bank:
            one.restore(state)
        for frame in entries[written:]:
            write_entry(one, frame)
            read(one, frame.keys[:1], [1, 2])
    reads = [one.read(entries[0].keys[:1], [1, 2]) for one in (bank, *copies)]
    assert torch.equal(reads[0], reads[1])
    assert torch.equal(reads[0], reads[2]), "a state can be restored more than once"
    assert kept(bank) == kept(copies[0]) == kept(copies[1])


@pytest.fixture
def nan_in_new_memory() -> Iterator[None]:
    """New tables are full of NaN instead of whatever stood there, as PyTorch fills them when asked to."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.empty(9).new_empty(9).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("nan_in_new_memory")
@pytest.mark.parametrize("bound", [None, 3])
def test_uninitialised_memory_is_never_read(bound: int | None) -> None:
    """Products of all frames multiply by zero what an object does not have, and NaN stays NaN."""
    present = [[1], [1], [1, 2], [1, 2], [1, 2, 3], [1, 2, 3]]
    entries = random_frames(13, len(present), 3, SIZE, present=present)
    bank = new_bank(memory_frames=bound, policy="fifo")
    for number, frame in enumerate(entries, start=1):
        write_entry(bank, frame)
        remembered = entries[:number] if bound is None else entries[max(number - bound, 0) : number]
        ids = sorted({i for one in remembered for i in one.values})
        expected = reference(remembered, query(), ids)
        torch.testing.assert_close(bank.read(query(), ids), expected, rtol=1e-4, atol=1e-5)
