"""The loss of HOFAM against its released graph, and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.layers.class_in_scale import class_scale
from segue_train.losses import ALPHA, BINARISE, focal_loss, hofam_loss
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


def test_the_focal_factor_is_that_of_the_release(golden: GoldenReader) -> None:
    expected = golden("hofam_loss")
    for case in cases(expected):
        probability, target = inputs(expected, case)
        y = torch.where(target > BINARISE, target, 0.0)
        check(focal_loss(probability, y, torch.ones(()), 2), expected[f"{case}.focal_mean_gamma2"])
        scale = class_scale(y, RELEASED_BATCH)
        check(focal_loss(probability, y, scale, 2), expected[f"{case}.focal_class_in_scale_mean_gamma2"])


@pytest.mark.parametrize("case", ["small", "good"])
def test_the_gate_opens_for_a_good_batch_alone(golden: GoldenReader, case: str) -> None:
    probability, target = inputs(golden("hofam_loss"), case)

    def total(mode: Any) -> Tensor:
        return hofam_loss(probability, target, class_in_scale=mode)[0]

    like: Any = {"small": "as_run", "good": "always"}[case]
    assert torch.equal(total("gated"), total(like))
    assert not torch.equal(total("as_run"), total("always"))


@pytest.mark.parametrize(("pixels", "scale"), [(0, 12.5), (1, 12.5), (16, 1.0), (64, 0.25)])
def test_rare_foreground_has_a_large_scale(pixels: int, scale: float) -> None:
    y = torch.zeros(64)
    y[:pixels] = 1
    assert float(class_scale(y.view(1, 8, 8))) == scale


def test_an_empty_batch_has_a_finite_loss() -> None:
    for probability in (torch.zeros(2, 4, 4), torch.full((2, 4, 4), 0.5)):
        loss, parts = hofam_loss(probability, torch.zeros(2, 4, 4), class_in_scale="always")
        assert torch.isfinite(loss)
        assert torch.isfinite(parts["dice"])


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_gradients_are_the_differences_of_values(gamma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64) * 0.98 + 0.01
    target = (torch.rand(2, 3, 4, generator=generator) > 0.5).double()
    torch.autograd.gradcheck(
        lambda p: hofam_loss(p, target, class_in_scale="as_run", gamma=gamma)[0],
        probability.requires_grad_(),
    )


def test_without_the_factor_the_focal_term_is_a_weighted_entropy() -> None:
    p, y = torch.tensor([[[0.2, 0.7]]]), torch.tensor([[[1.0, 0.0]]])
    expected = -(ALPHA * torch.log(p[0, 0, 0]) + (1 - ALPHA) * torch.log(1 - p[0, 0, 1])) / 2
    torch.testing.assert_close(focal_loss(p, y, torch.ones(()), 0), expected)
