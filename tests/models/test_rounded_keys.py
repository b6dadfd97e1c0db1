"""Keys that are rounded to 8-bit integers give nearly the same affinities, least wrong for close keys."""

from __future__ import annotations

import pytest
import torch

from segue.inference.cpu.features import has_full_int8
from segue.models.memory import MemoryTable
from segue.models.memory.rounded import RoundedKeys
from segue.models.memory.similarity import key_rows, query_rows

pytestmark = pytest.mark.skipif(not has_full_int8(), reason="this processor saturates sums of 8-bit products")

CHANNELS, HEIGHT, WIDTH = 64, 6, 8


def keys(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(1, CHANNELS, HEIGHT, WIDTH, generator=generator) + 1


def filled(*, in_int8: bool, coarse_above: int | None = None) -> MemoryTable:
    table = MemoryTable(
        top_k=5, memory_frames=3, penalty=1.0, last_penalty=2.0, in_int8=in_int8, coarse_above=coarse_above
    )
    for number in range(4):
        values = torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(10 + number))
        table.write([1], keys(number), values, keep=number < 3, pinned=number == 0)
    return table


def test_affinities_of_close_keys_are_nearly_exact() -> None:
    memory = keys(0)[0].flatten(1).T
    query = memory + 0.1 * keys(1)[0].flatten(1).T
    rows, asked = key_rows(memory, "l2", penalty=1.5), query_rows(query, "l2")
    exact = asked @ rows.T
    rounded, affinities = RoundedKeys().affinities(asked, {(0,): lambda: rows})
    found = affinities(rounded)
    error = (found - exact) - (found - exact).diagonal()[:, None]
    close = exact >= exact.diagonal()[:, None] - 10
    assert error[close].abs().max() < 0.1 < error.abs().max()
    torch.testing.assert_close(found.softmax(1), exact.softmax(1), atol=0.02, rtol=0)


def test_a_read_with_rounded_keys_is_close_to_the_exact_one() -> None:
    query = (keys(0) + keys(1) + keys(2)) / 3
    exact, found = (filled(in_int8=rounds).read(query, [1]) for rounds in (False, True))
    assert not torch.equal(found, exact)
    assert (found - exact).abs().mean() < 0.01


def test_rounded_keys_of_an_earlier_read_are_those_of_a_fresh_table() -> None:
    table, query = filled(in_int8=True), keys(2)
    table.read(query, [1])
    last = keys(7), torch.ones(1, 3, HEIGHT, WIDTH)
    fresh = filled(in_int8=True)
    for each in (table, fresh):
        each.write([1], *last, keep=False)
    assert torch.equal(table.read(query, [1]), fresh.read(query, [1]))


def test_a_read_from_coarse_to_fine_is_exact() -> None:
    exact, found = (filled(in_int8=rounds, coarse_above=1).read(keys(5), [1]) for rounds in (False, True))
    assert torch.equal(found, exact)
