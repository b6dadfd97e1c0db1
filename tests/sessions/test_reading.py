"""Reading a memory in blocks against the dense affinity matrix."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segue.layers.attention import Similarity, affinity
from segue.models.memory import table
from segue.models.memory.selection import top_k
from tests.sessions.banks import filled_bank, new_bank, random_frames, reference, write_entry

few = settings(max_examples=60, deadline=None)
similarities = st.sampled_from(["l2", "dot"])
seeds = st.integers(0, 2**31)


@few
@given(
    frames=st.integers(1, 5),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    objects=st.integers(1, 3),
    count=st.none() | st.integers(1, 200),
    similarity=similarities,
    shared=st.booleans(),
    seed=seeds,
)
def test_a_read_equals_the_dense_reference(
    frames: int,
    height: int,
    width: int,
    objects: int,
    count: int | None,
    similarity: Similarity,
    shared: bool,
    seed: int,
) -> None:
    entries = random_frames(seed, frames, objects, (height, width), shared=shared)
    bank = filled_bank(entries, similarity=similarity, shared_keys=shared, top_k=count)
    query = torch.randn(1, 4, height, width, generator=torch.Generator().manual_seed(seed))
    ids = list(range(1, objects + 1))
    expected = reference(entries, query, ids, similarity=similarity, top_k=count)
    torch.testing.assert_close(bank.read(query, ids), expected, rtol=1e-4, atol=1e-5)


@few
@given(data=st.data(), count=st.none() | st.integers(1, 60), similarity=similarities, seed=seeds)
def test_objects_read_only_the_frames_in_which_they_are(
    data: st.DataObject, count: int | None, similarity: Similarity, seed: int
) -> None:
    objects, frames = 3, data.draw(st.integers(1, 5))
    others = st.lists(st.integers(0, frames - 1), min_size=objects - 1, max_size=objects - 1)
    entered = [0, *data.draw(others)]
    present = [{i for i, first in enumerate(entered, start=1) if first <= t} for t in range(frames)]
    entries = random_frames(seed, frames, objects, (2, 3), present=present)
    bank = filled_bank(entries, similarity=similarity, top_k=count)
    query = torch.randn(1, 4, 2, 3, generator=torch.Generator().manual_seed(seed))
    ids = sorted(set().union(*present))
    expected = reference(entries, query, ids, similarity=similarity, top_k=count)
    torch.testing.assert_close(bank.read(query, ids), expected, rtol=1e-4, atol=1e-5)


@few
@given(
    frames=st.integers(1, 4),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    window=st.integers(0, 4),
    count=st.none() | st.integers(1, 30),
    seed=seeds,
)
def test_the_last_frame_is_read_within_its_window(
    frames: int, size: tuple[int, int], window: int, count: int | None, seed: int
) -> None:
    entries = random_frames(seed, frames, 2, size)
    bank = filled_bank(entries, top_k=count, last_window=window)
    query = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(seed))
    expected = reference(entries, query, [1, 2], top_k=count, last_window=window)
    torch.testing.assert_close(bank.read(query, [1, 2]), expected, rtol=1e-4, atol=1e-5)


@few
@given(
    frames=st.integers(1, 4),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    radius=st.integers(0, 3),
    count=st.none() | st.integers(1, 30),
    seed=seeds,
)
def test_far_from_the_objects_one_position_in_four_is_read_and_counts_for_two(
    frames: int, size: tuple[int, int], radius: int, count: int | None, seed: int
) -> None:
    entries = random_frames(seed, frames, 1, size)
    bank = new_bank(top_k=count, dense_radius=radius)
    rows, columns = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    query = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(seed))
    scores, values = [], []
    for t, entry in enumerate(entries):
        y, x = seed % size[0], (seed + t) % size[1]
        near = ((rows - y).abs() <= radius) & ((columns - x).abs() <= radius)
        occupied = torch.zeros(size, dtype=torch.bool)
        occupied[y, x] = True
        write_entry(bank, entry, occupied=occupied)
        key, asked = entry.keys[0].flatten(1), query[0].flatten(1)
        affinities = (2 * key.T @ asked - key.square().sum(0)[:, None]) / 2 + (~near.flatten())[
            :, None
        ] * math.log(2)
        read = (near | ((rows % 2 == 0) & (columns % 2 == 0))).flatten()
        scores.append(affinities[read])
        values.append(entry.values[1].flatten(1)[:, read])
    together = torch.cat(scores)
    best, index = together.topk(min(count or len(together), len(together)), dim=0)
    expected = (torch.cat(values, 1)[:, index] * best.softmax(0)).sum(1).view(1, 3, *size)
    torch.testing.assert_close(bank.read(query, [1]), expected, rtol=1e-4, atol=1e-5)


@few
@given(rows=st.integers(1, 4), columns=st.integers(1, 700), count=st.integers(1, 12), seed=seeds)
def test_top_k_finds_the_values_that_torch_finds(rows: int, columns: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few different values, so that there are ties.
    scores = torch.randint(0, 50, (rows, columns), generator=generator).float()
    count = min(count, columns)
    best, places = top_k(scores, count)
    assert torch.equal(best.sort(1).values, torch.topk(scores, count, dim=1).values.flip(1))
    assert torch.equal(scores.gather(1, places), best)
    assert all(len(set(row)) == count for row in places.tolist())


@pytest.mark.parametrize("count", [None, 7])
@pytest.mark.parametrize("coarse", [False, True])
def test_the_size_of_the_blocks_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, count: int | None, coarse: bool
) -> None:
    entries = random_frames(5, 4, 2, (16, 18))
    query = torch.randn(1, 4, 16, 18, generator=torch.Generator().manual_seed(6))

    def read() -> Tensor:
        bank = filled_bank(entries, top_k=count, coarse_above=0 if coarse else None)
        return bank.read(query, [1, 2])

    whole = read()
    monkeypatch.setattr(table, "BLOCK_ELEMENTS", {"cpu": 1})
    torch.testing.assert_close(read(), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("similarity", ["l2", "dot"])
def test_coarse_to_fine_is_exact_where_every_cell_is_taken(
    similarity: Similarity,
) -> None:
    entries = random_frames(7, 3, 2, (6, 8))
    query = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(8))
    options: dict[str, Any] = {"similarity": similarity, "top_k": 11}
    fine = filled_bank(entries, **options, coarse_above=0, coarse_cells=3 * 6 * 8 // 4).read(query, [1, 2])
    torch.testing.assert_close(fine, filled_bank(entries, **options).read(query, [1, 2]))


@pytest.mark.parametrize("shared", [False, True])
def test_coarse_to_fine_reads_as_many_positions_as_were_asked_for(shared: bool) -> None:
    """24 cells have 96 positions."""
    entries = random_frames(7, 3, 2, (8, 10), shared=shared)
    query = torch.randn(1, 4, 8, 10, generator=torch.Generator().manual_seed(8))
    options: dict[str, Any] = {"top_k": 3 * 8 * 10, "shared_keys": shared}
    fine = filled_bank(entries, **options, coarse_above=0).read(query, [1, 2])
    torch.testing.assert_close(fine, filled_bank(entries, **options).read(query, [1, 2]))


def test_coarse_to_fine_reads_the_keys_of_each_object() -> None:
    entries = random_frames(9, 4, 2, (16, 16), shared=False)
    for i in (1, 2):
        query = entries[2].key_of(i)[None].clone()  # looks as this object did in the third frame
        bank = filled_bank(entries, top_k=1, coarse_above=0, coarse_cells=2, shared_keys=False)
        torch.testing.assert_close(bank.read(query, [i]), entries[2].values[i][None])
    bank.forget([1])
    torch.testing.assert_close(bank.read(query, [2]), entries[2].values[2][None])


def test_the_attention_a_frame_receives_is_counted() -> None:
    entries = random_frames(11, 3, 2, (4, 4))
    query = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(2))
    keys = torch.cat([frame.keys[0].flatten(1) for frame in entries], dim=1)
    weights = affinity(keys, query[0].flatten(1), "l2").softmax(0)
    shares = 2 * weights.view(3, 16, 16).sum((1, 2))  # both objects read
    for count in (None, 48):
        bank = filled_bank(entries, top_k=count)
        bank.read(query, [1, 2])
        bank.commit()
        torch.testing.assert_close(bank.tables[0].usage().view(3, -1).sum(1), shares)
