"""Bootstrapped cross-entropy and its schedule."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segue_train.losses import bootstrap_fraction, bootstrapped_cross_entropy


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("iteration", "fraction"),
    [(0, 1.0), (19_999, 1.0), (20_000, 1.0), (45_000, 0.575), (70_000, 0.15), (300_000, 0.15)],
)
def test_the_fraction_falls_linearly_from_all_to_15_percent(iteration: int, fraction: float) -> None:
    assert bootstrap_fraction(iteration) == pytest.approx(fraction)


def test_all_pixels_give_plain_cross_entropy() -> None:
    logits, target = normal(2, 3, 8, 9), torch.randint(0, 3, (2, 8, 9))
    loss = bootstrapped_cross_entropy(logits, target, torch.ones(2, 2), 1.0)
    torch.testing.assert_close(loss, F.cross_entropy(logits, target))


def test_only_the_hardest_pixels_of_each_sample_count() -> None:
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 1, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0])
    target = torch.zeros(1, 1, 4, dtype=torch.int64)
    loss = bootstrapped_cross_entropy(logits, target, torch.ones(1, 1), 0.5)
    expected = F.softplus(torch.tensor([2.0, 3.0])).mean()
    torch.testing.assert_close(loss, expected)


def test_an_absent_object_takes_no_part_and_gets_no_gradient() -> None:
    logits, target = normal(1, 3, 4, 5).requires_grad_(), torch.randint(0, 2, (1, 4, 5))
    loss = bootstrapped_cross_entropy(logits, target, torch.tensor([[1.0, 0.0]]), 1.0)
    torch.testing.assert_close(loss, F.cross_entropy(logits[:, :2], target))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.equal(gradient[:, 2], torch.zeros(1, 4, 5))
