"""HOFAM and STAM against the released graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segue.models.hofam import HOFAM
from tests.fill import fill
from tests.golden_arrays import best_golden

CONTRACT = Path(__file__).parent.parent / "contracts" / "hofam.json"


@pytest.fixture(scope="module")
def small() -> HOFAM:
    """The golden network, of width 8."""
    network = HOFAM(8)
    fill(network, "hofam")
    return network


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_names_and_shapes_are_those_of_the_contract() -> None:
    with torch.device("meta"):
        network = HOFAM()
    contract = json.loads(CONTRACT.read_text())
    state = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert state == {name: entry["shape"] for name, entry in contract.items()}
    assert parameters(network) == 173_173_697
    assert len(state) == 134


def test_outputs_are_those_of_the_released_graph(small: HOFAM) -> None:
    expected = best_golden("hofam_forward")
    frames, flow = (torch.from_numpy(expected[name]).float() / 255 for name in ("image_u8", "flow_u8"))
    seen: dict[str, Tensor] = {}
    taps = {"e1": "enc_rgb.1", "e2": "enc_rgb.2", "e8": "enc_rgb.8", "fusion0": "fusion.0",
            "fusion7": "fusion.7", "att7_logits": "attn.7", "d3": "dec.3", "d7": "dec.7"}  # fmt: skip
    hooks = [
        small.get_submodule(layer).register_forward_hook(keep(seen, name)) for name, layer in taps.items()
    ]
    with torch.inference_mode():
        seen |= {"logits": small(frames, flow), "prob": small.probability(frames, flow)}
    for hook in hooks:
        hook.remove()
    steps = {"e1": 16, "e2": 8, "fusion7": 16, "d7": 16, "att7_logits": 16, "prob": 4}
    for name, value in seen.items():
        step = steps.get(name, 1)
        np.testing.assert_allclose(
            expected.like(name, value[..., ::step, ::step]), expected[name], rtol=0, atol=2e-4, err_msg=name
        )


def keep(seen: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, Tensor]) -> None:
        seen[name] = output[1] if isinstance(output, tuple) else output

    return hook


def test_the_network_without_its_coarsest_levels_takes_other_sizes() -> None:
    torch.manual_seed(0)
    network = HOFAM(4, levels=6).eval()
    assert network.size_multiple == 64
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 64, 128), torch.rand(1, 3, 64, 128)).shape == (1, 1, 64, 128)
    with pytest.raises(ValueError, match="100x64"):
        network(torch.rand(1, 3, 64, 100), torch.rand(1, 3, 64, 100))
