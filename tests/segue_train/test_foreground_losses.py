"""Losses of foreground networks, against the golden numbers and by their laws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segue.datasets.labels import MOTION, OUTSIDE, SHADOW, STATIC, UNKNOWN
from segue_train.foreground_samples import UNLIT
from segue_train.losses import (
    ForegroundObjective,
    foreground_target,
    known,
    pixel_weights,
    shadow_known,
    shadow_target,
    tversky_loss,
    weighted_cross_entropy,
)
from tests.golden_arrays import Golden

LABELS = torch.tensor([[[STATIC, SHADOW, OUTSIDE, UNKNOWN, MOTION, UNLIT]]], dtype=torch.uint8)


def test_both_losses_are_the_golden_ones(golden: Callable[[str], Golden]) -> None:
    arrays = golden("mustan_loss")
    logits, labels = torch.from_numpy(arrays["logits"])[:, 0], torch.from_numpy(arrays["labels"])[:, 0]
    target, weight = foreground_target(labels), known(labels)
    entropy = weighted_cross_entropy(logits, target, weight)
    overlap = tversky_loss(logits, target, weight)
    assert float(entropy) == pytest.approx(float(arrays["bce"]), abs=1e-6)
    assert float(overlap) == pytest.approx(float(arrays["tversky_a03_b07_s1"]), abs=1e-6)
    assert float(entropy + overlap) == pytest.approx(float(arrays["total"]), abs=1e-6)


def test_labels_say_what_moves_what_is_shadow_and_what_counts() -> None:
    assert foreground_target(LABELS).flatten().tolist() == [0, 0, 0, 0, 1, 0]
    assert known(LABELS).flatten().tolist() == [1, 1, 0, 0, 1, 1]
    torch.testing.assert_close(pixel_weights(LABELS, 0.25).flatten(), torch.tensor([1, 0.25, 0, 0, 1, 1]))
    assert shadow_target(LABELS).flatten().tolist() == [0, 1, 0, 0, 0, 0]
    assert shadow_known(LABELS).flatten().tolist() == [1, 1, 0, 0, 1, 0]


def test_tversky_with_equal_prices_is_dice() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 7, generator=generator)
    target = (torch.rand(3, 5, 7, generator=generator) > 0.6).float()
    probability = torch.sigmoid(logits)
    both, total = (probability * target).sum((1, 2)), (probability + target).sum((1, 2))
    dice = (2 * both / total).mean()
    found = tversky_loss(logits, target, torch.ones_like(target), 0.5, 0.5, smooth=0.0)
    torch.testing.assert_close(found, 1 - dice)


def test_a_pooled_index_is_that_of_all_pictures_laid_side_by_side() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(3, 5, 7, generator=generator)
    target = (torch.rand(3, 5, 7, generator=generator) > 0.7).float()
    target[1] = 0
    weight = (torch.rand(3, 5, 7, generator=generator) > 0.2).float()
    wide = [values.transpose(0, 1).reshape(1, 5, 21) for values in (logits, target, weight)]
    pooled = tversky_loss(logits, target, weight, 0.4, 0.6, pooled=True)
    torch.testing.assert_close(pooled, tversky_loss(*wide, 0.4, 0.6))


def test_an_empty_picture_without_alarms_costs_nothing() -> None:
    silent, nothing = torch.full((1, 4, 4), -40.0), torch.zeros(1, 4, 4)
    assert float(tversky_loss(silent, nothing, torch.ones(1, 4, 4))) == pytest.approx(0, abs=1e-6)
    assert float(weighted_cross_entropy(silent, nothing, torch.ones(1, 4, 4))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [weighted_cross_entropy, tversky_loss])
def test_the_gradient_is_the_numerical_one(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    target = (torch.rand(2, 3, 4, generator=generator) > 0.5).double()
    weight = (torch.rand(2, 3, 4, generator=generator) > 0.3).double()
    inside = logits.clone().requires_grad_()
    loss(inside, target, weight).backward()
    assert inside.grad is not None
    step = 1e-2  # the losses are taken in float32
    for index in np.ndindex(2, 3, 4):
        shift = torch.zeros_like(logits)
        shift[index] = step
        slope = (loss(logits + shift, target, weight) - loss(logits - shift, target, weight)) / (2 * step)
        assert float(inside.grad[index]) == pytest.approx(float(slope), abs=2e-4)
        if not weight[index]:
            assert inside.grad[index] == 0


class Constant(nn.Module):
    """A network whose logits are its parameter."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, window: Tensor, background: Tensor) -> Tensor:
        return self.logits


def batch(labels: Tensor) -> dict[str, Tensor]:
    window = torch.zeros(1, 3, 3, *labels.shape[1:], dtype=torch.uint8)
    return {"window": window, "background": window[:, 0], "labels": labels}


def test_shadows_that_nobody_labelled_teach_nothing_of_shadow() -> None:
    labels = torch.full((1, 4, 4), UNLIT, dtype=torch.uint8)
    objective = ForegroundObjective(Constant(torch.zeros(1, 2, 4, 4)))
    objective(batch(labels), 0.0, 0)[0].backward()
    assert isinstance(objective.network, Constant)
    gradient = objective.network.logits.grad
    assert gradient is not None
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1].abs().sum() == 0
