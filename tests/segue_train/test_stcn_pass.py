"""The training pass of STCN against the published one: outputs, losses and gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.stcn import STCN
from segue_train.clip_pass import clip_logits
from segue_train.losses.masks import bootstrap_fraction, bootstrapped_cross_entropy
from tests.clips import clip
from tests.fill import fill
from tests.golden_arrays import Golden

GoldenReader = Callable[[str], Golden]

ZERO_GRADIENT = "key_proj.key_proj.bias"
"""Adding a constant to all keys moves no distance: what is measured here is rounding noise."""

ITERATIONS = (0, 45_000, 70_001)

Measured = tuple[Tensor, list[tuple[float, ...]], dict[str, float]]


def run(network: STCN, seeds: tuple[int, ...], exists: Tensor) -> Measured:
    """Logits (B, 2, K+1, H, W), rows of losses, and gradient norms of the last row's total."""
    clips = [clip(seed, 3, 64, 80, 2) for seed in seeds]
    images = torch.cat([network.prepare(torch.from_numpy(f)) for frames, _ in clips for f in frames])
    ids = torch.from_numpy(np.stack([masks for _, masks in clips])).long()
    slots = torch.arange(1, exists.shape[1] + 1)
    known = (exists * slots)[:, :, None, None, None] == ids[:, None]
    target = ids * known.any(1)
    logits = clip_logits(
        network,
        images.view(len(seeds), 3, 3, 64, 80),
        known[:, :, 0].float() * exists[..., None, None],
        exists,
    )
    rows = []
    for iteration in ITERATIONS:
        fraction = bootstrap_fraction(iteration)
        first, second = (
            bootstrapped_cross_entropy(logits[:, t], target[:, t + 1], exists, fraction) for t in (0, 1)
        )
        total = first + second
        rows.append((first.item(), second.item(), total.item(), fraction))
    network.zero_grad()
    total.backward()
    norms = {name: float(parameter.grad.norm()) for name, parameter in network.named_parameters()}
    return logits.detach(), rows, norms


def two_objects() -> Measured:
    network = fill(STCN, "stcn")
    return run(cast(STCN, network.train()), (21, 23), torch.tensor([[1.0, 1.0], [1.0, 0.0]]))


def single_object() -> Measured:
    network = fill(partial(STCN, single_object=True), "stcn")
    return run(cast(STCN, network.train()), (21,), torch.ones(1, 1))


MEASURES: dict[str, Callable[[], Measured]] = {"stcn_train_mo": two_objects, "stcn_train_so": single_object}


@pytest.mark.parametrize("name", ["stcn_train_mo", pytest.param("stcn_train_so", marks=pytest.mark.slow)])
def test_outputs_losses_and_gradients_are_the_published_ones(name: str, golden: GoldenReader) -> None:
    expected = golden(name)
    logits, rows, norms = MEASURES[name]()
    for frame in (1, 2):
        expected.check(f"logits_{frame}", logits[:, frame - 1])
        expected.check(f"prob_{frame}", torch.softmax(logits[:, frame - 1], dim=1)[:, 1:])
    assert expected["iterations"].tolist() == list(ITERATIONS)
    np.testing.assert_allclose(rows, expected["losses"], rtol=1e-5)
    reference = dict(zip(expected["grad_names"].tolist(), expected["grad_norms"], strict=True))
    assert norms.keys() == reference.keys()
    for parameter, norm in norms.items():
        if parameter != ZERO_GRADIENT:
            assert norm == pytest.approx(reference[parameter], rel=1e-3), parameter
