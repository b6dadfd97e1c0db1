"""Losses of foreground networks, against the golden numbers and by their laws."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segue.datasets.foreground.labels import MOTION, STATIC
from segue_train.data.foreground.samples import UNLIT
from segue_train.losses.masks import (
    foreground_loss,
    foreground_target,
    labelled_weight,
    tversky_loss,
    weighted_cross_entropy,
)
from segue_train.recipe import Objective
from tests.golden_arrays import Golden


def test_foreground_losses_equal_the_golden_values(golden: Callable[[str], Golden]) -> None:
    arrays = golden("mustan_loss")
    logits, labels = torch.from_numpy(arrays["logits"])[:, 0], torch.from_numpy(arrays["labels"])[:, 0]
    target, weight = foreground_target(labels), labelled_weight(labels)
    entropy = weighted_cross_entropy(logits, target, weight)
    overlap = tversky_loss(logits, target, weight, 0.3, 0.7)
    assert float(entropy) == pytest.approx(float(arrays["bce"]), abs=1e-6)
    assert float(overlap) == pytest.approx(float(arrays["tversky_a03_b07_s1"]), abs=1e-6)
    assert float(entropy + overlap) == pytest.approx(float(arrays["total"]), abs=1e-6)


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
    objective = Objective(Constant(torch.zeros(1, 2, 4, 4)), foreground_loss)
    objective(batch(labels), 0.0, 0)[0].backward()
    assert isinstance(objective.network, Constant)
    gradient = objective.network.logits.grad
    assert gradient is not None
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1].abs().sum() == 0


def test_a_training_stays_with_its_start_only_where_that_is_right() -> None:
    labels = torch.tensor([[[MOTION, MOTION], [STATIC, STATIC]]], dtype=torch.uint8)
    before = torch.tensor([[[[2.0, -2.0], [-2.0, 2.0]]]])
    start, network = Constant(before), Constant(before + 1)
    loss, parts = foreground_loss(network, batch(labels), 0.0, 0, start=start, keep=10.0)
    plain = foreground_loss(network, batch(labels), 0.0, 0)[0]
    target, found = (x[0, 0].sigmoid().detach() for x in (before, before + 1))
    divergence = target * (target / found).log() + (1 - target) * ((1 - target) / (1 - found)).log()
    expected = float((divergence[0, 0] + divergence[1, 0]) / 2)
    assert parts["keep"].item() == pytest.approx(expected, rel=1e-5)
    assert (loss - plain).item() == pytest.approx(10 * expected, rel=1e-5)
