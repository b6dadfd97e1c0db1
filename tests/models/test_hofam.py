"""HOFAM and STAM against the released graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from segue.models.hofam import HOFAM, SameConv, SameDeconv, picture_norm, same_padding
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


def test_the_release_leaves_the_fusion_untrained() -> None:
    with torch.device("meta"):
        network = HOFAM(train_fusion=False)
    still = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert {name.split(".")[0] for name in still} == {"fusion"}
    assert sum(network.get_parameter(name).numel() for name in still) == 59_026_880


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


@given(size=st.integers(1, 40), kernel=st.sampled_from([3, 5, 7]), stride=st.sampled_from([1, 2]))
def test_same_padding_gives_every_output_that_touches_the_input(size: int, kernel: int, stride: int) -> None:
    before, after = same_padding(size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert 0 <= after - before <= 1


@pytest.mark.parametrize(("kernel", "padding"), [(7, (2, 3)), (5, (1, 2)), (3, (0, 1))])
def test_even_sides_are_padded_unevenly(kernel: int, padding: tuple[int, int]) -> None:
    assert same_padding(256, kernel, 2) == padding


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_the_transposed_convolution_is_the_gradient_of_the_convolution(kernel: int) -> None:
    down, up = SameConv(2, 3, kernel, 2), SameDeconv(3, 2, kernel)
    with torch.no_grad():
        up.weight.copy_(down.weight)
        for layer in (down, up):
            assert layer.bias is not None
            layer.bias.zero_()
    x = torch.rand(1, 2, 12, 16, requires_grad=True)
    y = torch.rand(1, 3, 6, 8)
    (down(x) * y).sum().backward()
    torch.testing.assert_close(x.grad, up(y))


def test_the_norm_is_over_the_whole_picture() -> None:
    x = torch.randn(2, 3, 4, 5) * torch.tensor([1.0, 5.0, 0.1])[:, None, None] + 2
    norm = picture_norm(3)
    torch.nn.init.constant_(norm.bias, 0.5)
    deviation = x.flatten(1).std(1, correction=0)[:, None, None, None]
    expected = (x - x.mean((1, 2, 3), keepdim=True)) / deviation + 0.5
    torch.testing.assert_close(norm(x), expected)


def test_the_network_without_its_coarsest_levels_takes_other_sizes() -> None:
    torch.manual_seed(0)
    network = HOFAM(4, levels=6).eval()
    assert network.size_multiple == 64
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 64, 128), torch.rand(1, 3, 64, 128)).shape == (1, 1, 64, 128)
    with pytest.raises(ValueError, match="100x64"):
        network(torch.rand(1, 3, 64, 100), torch.rand(1, 3, 64, 100))


def test_a_single_flow_is_repeated() -> None:
    torch.manual_seed(0)
    stam, hofam = HOFAM(4, flow_mode="single", levels=6).eval(), HOFAM(4, levels=6).eval()
    hofam.load_state_dict(stam.state_dict())
    frames, flow = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(stam(frames, flow), hofam(frames, flow.expand(-1, 3, -1, -1)))


def test_dropout_is_off_unless_passes_are_averaged() -> None:
    torch.manual_seed(0)
    network = HOFAM(4, levels=6).eval()
    frames, flow = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    plain = network.probability(frames, flow)
    assert torch.equal(plain, network.probability(frames, flow))
    one, other = (network.probability(frames, flow, mc_dropout=1) for _ in range(2))
    assert not torch.equal(one, other)
    assert not any(module.training for module in network.modules())
    torch.manual_seed(1)
    first = [network.probability(frames, flow, mc_dropout=1) for _ in range(3)]
    torch.manual_seed(1)
    torch.testing.assert_close(network.probability(frames, flow, mc_dropout=3), torch.stack(first).mean(0))


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = HOFAM(2).train()
    network(torch.rand(1, 3, 256, 256), torch.rand(1, 3, 256, 256)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize("settings", [{"gf": 0}, {"gf": 128}, {"levels": 7}])
def test_unfit_sizes_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="6 or 8"):
        HOFAM(**settings)  # type: ignore[arg-type]
