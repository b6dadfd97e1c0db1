"""HOFAM's parts as layers of their own: what they give, and that a network starts unchanged with them."""

from __future__ import annotations

import pytest
import torch

from segue.models.hofam import HOFAM


@pytest.mark.parametrize("attention", [True, False])
def test_hofam_shows_what_it_decodes_with(attention: bool) -> None:
    torch.manual_seed(0)
    network = HOFAM(2, levels=6, attention=attention).eval()
    images, flow = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    found = network.filtered_flow(network.encode_frame(images), network.encode_flow(flow))
    assert [each.filtered.shape[-1] for each in found] == [32, 16, 8, 4, 2]
    for each in found:
        assert (each.attention is not None) is attention
        if each.attention is not None:
            assert ((each.attention > 0) & (each.attention < 1)).all()
