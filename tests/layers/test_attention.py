"""Dense reading of a memory: definitions and laws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segue.layers.attention import Similarity, affinity, attend, read

SIMILARITIES: list[Similarity] = ["l2", "dot"]


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_l2_weights_are_those_of_the_negative_squared_distance() -> None:
    memory, query = normal(2, 8, 30, seed=0), normal(2, 8, 7, seed=1)
    distance = torch.cdist(memory.transpose(1, 2), query.transpose(1, 2)).square()
    expected = torch.softmax(-distance / 8**0.5, dim=1)
    torch.testing.assert_close(attend(affinity(memory, query, "l2")), expected, rtol=1e-4, atol=1e-6)


def test_the_dot_product_is_scaled_by_the_root_of_the_channels() -> None:
    memory, query = normal(1, 16, 5, seed=0), normal(1, 16, 3, seed=1)
    expected = torch.einsum("bcn,bcp->bnp", memory, query) / 4
    torch.testing.assert_close(affinity(memory, query, "dot"), expected)


def test_one_query_serves_the_keys_of_several_objects() -> None:
    memory, query = normal(3, 4, 6, seed=0), normal(1, 4, 5, seed=1)
    together = affinity(memory, query, "dot")
    for k in range(3):
        torch.testing.assert_close(together[k], affinity(memory[k], query[0], "dot"))


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 100))
def test_weights_sum_to_one_and_at_most_k_are_used(positions: int, top_k: int, seed: int) -> None:
    weights = attend(normal(positions, 6, seed=seed), top_k)
    torch.testing.assert_close(weights.sum(0), torch.ones(6))
    assert int((weights > 0).sum(0).max()) <= min(top_k, positions)


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 100))
def test_selecting_all_positions_equals_not_selecting(positions: int, more: int, seed: int) -> None:
    scores = normal(positions, 6, seed=seed)
    torch.testing.assert_close(attend(scores, positions + more), attend(scores, None))


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("top_k", [None, 5])
def test_the_order_of_memory_positions_does_not_matter(similarity: Similarity, top_k: int | None) -> None:
    key, query, value = normal(8, 24, seed=0), normal(8, 9, seed=1), normal(3, 24, seed=2)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))
    plain = read(attend(affinity(key, query, similarity), top_k), value)
    shuffled = read(attend(affinity(key[:, order], query, similarity), top_k), value[:, order])
    torch.testing.assert_close(plain, shuffled)


def test_extreme_keys_do_not_overflow() -> None:
    weights = attend(affinity(1e3 * normal(8, 24, seed=0), 1e3 * normal(8, 9, seed=1), "l2"), 20)
    assert torch.isfinite(weights).all()
