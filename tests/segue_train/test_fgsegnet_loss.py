"""The losses of FgSegNet_v2: what was meant, and what the released code ran with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.fgsegnet import FgSegNetV2
from segue_train.losses import balanced_weights, fgsegnet_loss
from tests.fill import fill
from tests.golden_arrays import Golden

GoldenReader = Callable[[str], Golden]


def test_both_losses_are_those_of_the_release(golden: GoldenReader) -> None:
    expected = golden("fgsegnet_v2")
    network = FgSegNetV2()
    fill(network, "fgsegnet_v2")
    with torch.inference_mode():
        probability = torch.sigmoid(network(torch.from_numpy(expected["image_u8"]).float() / 255))[0]
    labels = torch.from_numpy(expected["loss.gt"])[None]
    target, known = labels.clamp(min=0), (labels >= 0).float()
    for kind, key in (("bce", "loss.standard"), ("l1_as_run", "loss.keras206_as_run")):
        kind_: Any = kind
        np.testing.assert_allclose(fgsegnet_loss(probability, target, known, kind_), expected[key], rtol=1e-5)


def one(value: float) -> Tensor:
    return torch.full((1, 1, 1), value)


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.9, 1.0])
def test_what_ran_is_a_scaled_absolute_difference(probability: float) -> None:
    """15.942 and 16.118 are the log-odds of 1 - 1e-7 and 1e-7 in single precision."""
    known = torch.ones(1, 1, 1)
    moving = fgsegnet_loss(one(probability), one(1.0), known, "l1_as_run")
    still = fgsegnet_loss(one(probability), one(0.0), known, "l1_as_run")
    assert float(moving) == pytest.approx(15.942 * (1 - probability), abs=1e-3)
    assert float(still) == pytest.approx(16.118 * probability, abs=1e-3)


def test_entropy_is_the_mean_over_known_pixels() -> None:
    probability, target = torch.tensor([[[0.2, 0.6, 0.9]]]), torch.tensor([[[0.0, 1.0, 0.0]]])
    known = torch.tensor([[[1.0, 1.0, 0.0]]])
    expected = -(math.log(0.8) + math.log(0.6)) / 2
    assert float(fgsegnet_loss(probability, target, known)) == pytest.approx(expected)
    assert float(fgsegnet_loss(probability, target, torch.zeros(1, 1, 3))) == 0


def test_balanced_classes_count_equally_in_each_picture() -> None:
    target = torch.tensor([[[1.0, 0, 0, 0]], [[1.0, 1.0, 1.0, 0]]])
    known = torch.tensor([[[1.0, 1, 1, 1]], [[1.0, 1, 0, 1]]])
    weights = balanced_weights(target, known) * known
    torch.testing.assert_close((weights * target).sum((1, 2)), torch.tensor([2.0, 1.5]))
    torch.testing.assert_close((weights * (1 - target)).sum((1, 2)), torch.tensor([2.0, 1.5]))


@pytest.mark.parametrize("kind", ["bce", "l1_as_run"])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_gradients_are_the_differences_of_values(kind: Any, class_weight: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64) * 0.98 + 0.01
    target = (torch.rand(2, 3, 4, generator=generator) > 0.5).double()
    known = (torch.rand(2, 3, 4, generator=generator) > 0.2).double()
    torch.autograd.gradcheck(
        lambda p: fgsegnet_loss(p, target, known, kind, class_weight), probability.requires_grad_()
    )
