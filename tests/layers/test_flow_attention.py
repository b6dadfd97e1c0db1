"""HOFAM's parts as layers of their own: what they give, and that a network starts unchanged with them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segue.layers.class_in_scale import ClassInScaleWeight
from segue.layers.flow_attention import FlowAttention, filter_flow
from segue.models.hofam import HOFAM


def test_attention_weighs_what_is_made_of_both() -> None:
    joined, guide = torch.rand(1, 4, 3, 3), torch.randn(1, 2, 3, 3)
    found = filter_flow(joined, guide, lambda x: 2 * x[:, :2], lambda x: -x)
    torch.testing.assert_close(found.weighed, 2 * joined[:, :2] / (1 + guide.exp()))
    for left_out in (
        filter_flow(joined, guide, torch.neg, None),
        filter_flow(joined, None, torch.neg, torch.neg),
    ):
        assert left_out.attention is None
        torch.testing.assert_close(left_out.weighed, -joined)


def awakened(layer: FlowAttention) -> FlowAttention:
    generator = torch.Generator().manual_seed(0)
    for values in layer.fusion.parameters():
        values.data.copy_(torch.randn(values.shape, generator=generator))
    return layer.eval()


@pytest.mark.parametrize("attention", [True, False])
def test_a_layer_adds_nothing_until_it_has_learned(attention: bool) -> None:
    torch.manual_seed(0)
    layer = FlowAttention(2, (3, 4), (5, None), (6, 7), attention=attention).eval()
    flow = layer.encode(torch.rand(1, 2, 16, 24))
    picture, guide = torch.rand(1, 3, 8, 12), torch.randn(1, 5, 8, 12)

    def fine(guide: Tensor) -> Tensor:
        return layer(0, picture, flow[0], guide).weighed

    assert fine(guide).shape == (1, 6, 8, 12)
    assert not fine(guide).any()
    awakened(layer)
    assert fine(guide).any()
    assert torch.equal(fine(guide), fine(-guide)) is not attention
    coarse = layer(1, torch.rand(1, 4, 4, 6), flow[1], None)
    assert coarse.attention is None
    assert coarse.weighed.shape == (1, 7, 4, 6)
    assert bool([name for name, _ in layer.named_parameters() if name.startswith("attn")]) is attention


def test_scales_of_different_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="of 2, 1 and 2 scales"):
        FlowAttention(2, (3, 4), (5,), (6, 7))
    with pytest.raises(ValueError, match="1 to 4"):
        FlowAttention(2, (3,) * 5, (5,) * 5, (6,) * 5)


@pytest.mark.parametrize("attention", [True, False])
def test_hofam_shows_what_it_decodes_with(attention: bool) -> None:
    torch.manual_seed(0)
    network = HOFAM(2, levels=6, attention=attention).eval()
    pictures, flow = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    found = network.filtered_flow(network.encode_frame(pictures), network.encode_flow(flow))
    assert [each.filtered.shape[-1] for each in found] == [32, 16, 8, 4, 2]
    for each in found:
        assert (each.attention is not None) is attention
        if each.attention is not None:
            assert ((each.attention > 0) & (each.attention < 1)).all()


def test_foreground_weighs_more_when_it_is_rare_and_found() -> None:
    truth = torch.zeros(2, 32, 32)
    truth[:, :8, :8] = 1
    poor = torch.full_like(truth, 0.5)
    weights = {mode: [float(ClassInScaleWeight(mode)(found, truth)) for found in (truth, poor)]
               for mode in ("as_run", "gated", "always")}  # fmt: skip
    assert weights == {"as_run": [1, 1], "gated": [4, 1], "always": [4, 4]}
    assert not ClassInScaleWeight("always")(poor.requires_grad_(), truth).requires_grad
