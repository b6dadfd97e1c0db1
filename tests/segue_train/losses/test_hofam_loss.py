"""The loss of HOFAM against its released graph, and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segue_train.losses.masks import BINARISE, class_scale, hofam_loss
from tests.golden_arrays import Golden

GoldenReader = Callable[[str], Golden]

RELEASED_BATCH = 16


def cases(expected: Golden) -> list[str]:
    return sorted({key.partition(".")[0] for key in expected.arrays})


def inputs(expected: Golden, case: str) -> tuple[Tensor, Tensor]:
    probability, target = (torch.from_numpy(expected[f"{case}.{key}"])[None] for key in ("pred", "gt"))
    return probability.requires_grad_(), target


def check(found: Tensor, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "focal", "gradient"),
    [
        ("as_run", "l2_base", "grad_total_base"),
        ("always", "l2_class_in_scale", "grad_total_class_in_scale"),
    ],
)
def test_loss_and_gradient_are_those_of_the_release(
    golden: GoldenReader, mode: Any, focal: str, gradient: str
) -> None:
    expected = golden("hofam_loss")
    for case in cases(expected):
        probability, target = inputs(expected, case)
        loss, parts = hofam_loss(probability, target, class_in_scale=mode, balance_batch=RELEASED_BATCH)
        check(parts["absolute"], expected[f"{case}.l1"])
        check(parts["focal"], expected[f"{case}.{focal}"])
        check(parts["dice"], expected[f"{case}.dice"])
        y = torch.where(target > BINARISE, target, 0.0)
        check(class_scale(y, RELEASED_BATCH), expected[f"{case}.beta_class_in_scale"])
        loss.backward()
        assert probability.grad is not None
        expected.check(f"{case}.{gradient}", probability.grad[:, ::8, ::8])
