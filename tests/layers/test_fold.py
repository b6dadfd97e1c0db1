"""Folding batch norms changes no output and nothing of the original."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segue.layers.folding import fold_batch_norms
from segue.models.stcn import STCN
from segue.models.stm import STM


@pytest.fixture(scope="module", params=["stcn_network", "stm_network"])
def network(request: pytest.FixtureRequest) -> STCN | STM:
    chosen: STCN | STM = request.getfixturevalue(request.param)
    return chosen


def outputs(network: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (64, 80, 3), generator=generator, dtype=torch.uint8)
    masks = torch.rand(2, 64, 80, generator=generator)
    with torch.inference_mode():
        query = network.encode_query(network.prepare(image))
        _, values = network.encode_memory(query, masks)
        return [query.key, *query.features, values, network.decode(query, values)]


def test_a_folded_network_gives_the_same_outputs_without_any_norm(network: STCN | STM) -> None:
    folded = fold_batch_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for expected, measured in zip(outputs(network), outputs(folded), strict=True):
        assert (measured - expected).abs().max() <= 1e-5 * expected.abs().max()
