"""FgSegNet_v2 against its Keras code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segue.models.fgsegnet import FgSegNetV2
from tests.fill import fill
from tests.golden_arrays import Golden

CONTRACT = Path(__file__).parent.parent / "contracts" / "fgsegnet_v2.json"

GoldenReader = Callable[[str], Golden]


@pytest.fixture(scope="module")
def network() -> FgSegNetV2:
    filled = FgSegNetV2()
    fill(filled, "fgsegnet_v2")
    return filled


def for_scene(network: FgSegNetV2, scene: str) -> FgSegNetV2:
    with torch.device("meta"):
        other = FgSegNetV2(scene=scene)
    other.load_state_dict(network.state_dict(), assign=True)
    return other.eval()


def test_names_shapes_and_what_learns_are_those_of_the_contract() -> None:
    with torch.device("meta"):
        network = FgSegNetV2()
    network.freeze_backbone()
    contract = json.loads(CONTRACT.read_text())
    found = {name: (list(value.shape), value.requires_grad) for name, value in network.named_parameters()}
    assert found == {name: (entry["shape"], entry["trainable"]) for name, entry in contract.items()}
    sizes = [value.numel() for value in network.parameters()]
    assert sum(sizes) == 9_225_161
    assert sum(value.numel() for value in network.parameters() if value.requires_grad) == 7_489_673
    assert round(53 * sum(sizes) / 1e6) == 489


def test_outputs_are_those_of_the_release(network: FgSegNetV2, golden: GoldenReader) -> None:
    expected = golden("fgsegnet_v2")
    seen: dict[str, Tensor] = {}
    taps = {"block1_conv2": "backbone.block1_conv2", "block2_conv2": "backbone.block2_conv2",
            "fpm_norm": "fpm.norm", "decoder_conv3": "decoder.conv3"}  # fmt: skip
    hooks = [
        network.get_submodule(layer).register_forward_hook(keep(seen, name)) for name, layer in taps.items()
    ]
    cat = network.fpm.norm.register_forward_pre_hook(lambda _, inputs: seen.__setitem__("fpm_cat", inputs[0]))
    frames = torch.from_numpy(expected["image_u8"]).float() / 255
    with torch.inference_mode():
        seen |= {"prob": torch.sigmoid(network(frames)), "block4_conv3": network.encode(frames, "current")[2]}
    for hook in (*hooks, cat):
        hook.remove()
    for name in ("block1_conv2", "block2_conv2"):
        seen[name] = seen[name].relu()
    steps = {"block1_conv2": 4, "block2_conv2": 2, "decoder_conv3": 2}
    for name, value in seen.items():
        channels, step = (1, 1) if name == "prob" else (8, steps.get(name, 1))
        expected.check(name, value[:, ::channels, ::step, ::step])


def keep(seen: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[name] = output

    return hook


@pytest.mark.parametrize("scene", ["streetCornerAtNight", "tramCrossroad_1fps", "bridgeEntry"])
def test_odd_sizes_follow_the_release(network: FgSegNetV2, golden: GoldenReader, scene: str) -> None:
    expected = golden("fgsegnet_v2")
    if f"odd_{scene}.prob" not in expected.arrays:
        pytest.skip("only among the full arrays")
    frames = torch.from_numpy(expected[f"odd_{scene}.image_u8"]).float() / 255
    with torch.inference_mode():
        probability = torch.sigmoid(for_scene(network, scene)(frames))
    expected.check(f"odd_{scene}.prob", probability)
