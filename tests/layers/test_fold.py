"""Folding batch norms changes no output and nothing of the original."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segue.layers.folding import fold_batch_norms
from segue.layers.gates import FRM, FuseBlock
from segue.models.stcn import STCN
from segue.models.stm import STM


@pytest.fixture(scope="module", params=["stcn_network", "stm_network"])
def network(request: pytest.FixtureRequest) -> STCN | STM:
    chosen: STCN | STM = request.getfixturevalue(request.param)
    return chosen


def outputs(network: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (64, 80, 3), generator=generator, dtype=torch.uint8)
    masks = torch.rand(2, 64, 80, generator=generator)
    with torch.inference_mode():
        query = network.encode_query(network.prepare(picture))
        _, values = network.encode_memory(query, masks)
        return [query.key, *query.features, values, network.decode(query, values)]


def test_a_folded_network_gives_the_same_outputs_without_any_norm(network: STCN | STM) -> None:
    folded = fold_batch_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for expected, measured in zip(outputs(network), outputs(folded), strict=True):
        assert (measured - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_original_is_left_alone_even_when_the_copy_is_cast(network: STCN | STM) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold_batch_norms(network).half()
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_does_not_change_is_shared(stcn_network: STCN) -> None:
    folded = fold_batch_norms(stcn_network)
    assert folded.decoder.pred.weight.data_ptr() == stcn_network.decoder.pred.weight.data_ptr()
    assert folded.key_encoder.conv1.weight.data_ptr() != stcn_network.key_encoder.conv1.weight.data_ptr()


def test_pairs_in_a_sequence_are_folded() -> None:
    block = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    block[1].running_mean.uniform_(-1, 1)
    block[1].running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    folded = fold_batch_norms(block)
    torch.testing.assert_close(folded(x), block.eval()(x), rtol=1e-5, atol=1e-6)
    assert isinstance(folded[1], nn.Identity)


@pytest.mark.parametrize("block", [FRM(4, 2), FuseBlock(4)], ids=["FRM", "FuseBlock"])
@torch.inference_mode()
def test_a_block_may_say_which_convolution_a_norm_follows(block: FRM | FuseBlock) -> None:
    generator = torch.Generator().manual_seed(0)
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            layer.running_mean.uniform_(-1, 1, generator=generator)
    one, two, three = torch.randn(3, 1, 4, 6, 6, generator=generator)
    inputs: Any = (one, [two, three]) if isinstance(block, FRM) else (one, two, three)
    folded = fold_batch_norms(block.eval())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    torch.testing.assert_close(folded(*inputs), block(*inputs), rtol=1e-5, atol=1e-6)
