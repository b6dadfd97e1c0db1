"""One step of each recipe: what learns, what stays, and what it starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segue.cli.options import Options
from segue.errors import CheckpointError, TrainingError
from segue.models.stcn import STCN, STCNLite
from segue.weights import load, write_checkpoint
from segue_train.data.clips import ClipBatches, ClipSampler, ClipShape
from segue_train.data.footage import Material, gather
from segue_train.recipe import CommonRecipe, RunSettings
from segue_train.recipes import stcn, stcn_lite
from segue_train.recipes.cutie import CutieRecipe
from segue_train.recipes.prompt import PromptRecipe
from segue_train.recipes.stcn import STCNRecipe
from segue_train.recipes.stcn_lite import STCNLiteRecipe
from segue_train.recipes.stm import STMRecipe
from segue_train.recipes.xmem import XMemRecipe
from tests.segue_train.making import write_all


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return gather(map(str, write_all(tmp_path_factory.mktemp("data"))), report=print)


def take_step(
    recipe: STCNRecipe | STCNLiteRecipe, batch: dict[str, Tensor]
) -> tuple[nn.Module, dict[str, Tensor], float]:
    """The module after one step, its tensors before, and the loss."""
    module = recipe.network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = recipe.optimizer(recipe.parameter_groups(module))
    loss, _ = module(batch, 0.0, 0)
    loss.backward()
    optimizer.step()
    return module, before, float(loss.detach())


def changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_a_step_of_stcn_lite_trains_all_but_the_first_layers(material: Material) -> None:
    recipe = STCNLiteRecipe(material.videos, material.stills)
    shape = ClipShape(1, 3, 32, 2)
    batch = ClipBatches(1, 0, recipe.sampler(), lambda *_: (shape, 0.5, 2))[0]
    module, before, loss = take_step(recipe, batch)
    assert 0 < loss < 100
    frozen = {name for name, value in module.named_parameters() if not value.requires_grad}
    assert {name.split(".")[2] for name in frozen} == {"stem", "blocks"}
    assert "network.key_encoder.blocks.3.project.weight" not in frozen
    moved = changed(module, before)
    assert not moved & frozen
    assert {
        "network.key_proj.weight",
        "network.decoder.pred.weight",
        "network.value_encoder.conv1.weight",
    } <= moved


@pytest.mark.parametrize("stage", [pytest.param(0, marks=pytest.mark.slow), 3])
def test_a_step_of_stcn_trains_all_but_the_statistics_of_norms(material: Material, stage: int) -> None:
    footage = material.stills if stage == 0 else material.videos
    recipe = STCNRecipe(stage, footage, batch=1, side=32)
    module, before, loss = take_step(recipe, recipe.batches(1, 0)[0])
    assert 0 < loss < 100
    moved = changed(module, before)
    assert not any("running" in name or "batches_tracked" in name for name in moved)
    channels = module.network.value_encoder.conv1.weight.shape[1]
    assert channels == (4 if stage == 0 else 5)
    assert {"network.key_encoder.conv1.weight", "network.key_encoder.bn1.weight"} <= moved


def test_trunks_start_from_torchvision_names(tmp_path: Path) -> None:
    source, network = STCN(), STCN()
    key = {name.replace("res2.", "layer1."): value for name, value in source.key_encoder.state_dict().items()}
    write_checkpoint(tmp_path / "r50.safetensors", {**key, "fc.weight": torch.zeros(10, 2048)}, {})
    biases = ("conv1.bias", "conv2.bias", "downsample.0.bias")
    value = {
        name: tensor[:, :3] if name == "conv1.weight" else tensor
        for name, tensor in source.value_encoder.state_dict().items()
        if not name.startswith("fuser.") and not name.endswith(biases)
    }
    write_checkpoint(tmp_path / "r18.safetensors", value, {})
    masks = network.value_encoder.conv1.weight[:, 3:].clone()
    stcn.load_trunks(
        network.key_encoder, network.value_encoder, tmp_path / "r50.safetensors", tmp_path / "r18.safetensors"
    )
    for name, tensor in network.key_encoder.state_dict().items():
        assert torch.equal(tensor, source.key_encoder.state_dict()[name]), name
    assert torch.equal(network.value_encoder.conv1.weight[:, 3:], masks)
    filled = network.value_encoder.state_dict()
    filled["conv1.weight"] = filled["conv1.weight"][:, :3]
    for name, tensor in value.items():
        assert torch.equal(filled[name], tensor), name
    assert not network.value_encoder.layer2[0].downsample[0].bias.any()
    with pytest.raises(CheckpointError, match=r"r18\.safetensors: .*layer1\.0\.conv3"):
        stcn.load_trunks(
            network.key_encoder,
            network.value_encoder,
            tmp_path / "r18.safetensors",
            tmp_path / "r18.safetensors",
        )


RECIPE = STCNRecipe(3, [], init=Path("trunks"), batch=2)
THIRD: Any = Path("mobilenet.safetensors")  # weights given as the third argument


@pytest.mark.parametrize(
    ("make", "named"),
    [
        pytest.param(lambda: STCNRecipe(3, [], side=40), "side", id="side"),
        pytest.param(lambda: STCNRecipe(3, [], side=0), "side", id="none"),
        pytest.param(lambda: STCNRecipe(3, [], batch=0), "batch", id="batch"),
        pytest.param(lambda: replace(RECIPE, batch=0), "batch", id="replaced"),
        pytest.param(lambda: STCNLiteRecipe([], [], THIRD), "reading", id="reading"),
        pytest.param(lambda: RunSettings(Path("run"), 0), "steps", id="steps"),
    ],
)
def test_a_value_of_a_recipe_or_a_run_is_checked_where_it_is_given(
    make: Callable[[], object], named: str
) -> None:
    assert (RECIPE.stage, RECIPE.init, RECIPE.rate) == (3, Path("trunks"), stcn.RATE)
    assert replace(RECIPE, rate=1e-3) == STCNRecipe(3, [], init=Path("trunks"), batch=2, rate=1e-3)
    with pytest.raises(TrainingError, match=named):
        make()


@pytest.mark.parametrize(
    "kind", [STCNRecipe, STMRecipe, XMemRecipe, CutieRecipe, STCNLiteRecipe, PromptRecipe]
)
def test_every_option_of_a_recipe_says_what_it_is(kind: type[CommonRecipe]) -> None:
    shown = {place[-1]: item.annotation.__metadata__[0] for place, item in Options(kind).parameters()}
    assert all(info.help for info in shown.values())
    assert "start" in shown
    assert not shown.keys() & {"footage", "videos", "stills", "groups", "name"}


def test_a_training_for_all_scales_shows_small_and_large_objects(tmp_path: Path) -> None:
    material = gather([str(folder) for folder in write_all(tmp_path)], report=print)
    sampler, rng = ClipSampler(material.videos, material.stills), np.random.default_rng(0)
    shapes = [stcn_lite.wide_scales(0.5, rng)[0] for _ in range(200)]
    assert {shape.side for shape in shapes if shape.zoom > 1} == {192, 256, 320, 384, 448}
    shape = ClipShape(1, 3, 96, 1, zoom=1.6)
    extents = []
    for _ in range(60):
        masks = sampler.draw(rng, False, 1, shape).masks
        if masks[0].any() and masks[2].any():
            extents.append([np.sqrt((mask == 1).sum()) / 96 for mask in masks])
    first, _, last = np.array(extents).T
    assert first.min() < 0.2
    assert first.max() > 0.5
    assert (last / np.maximum(first, 1e-6)).max() > 1.3, (
        "memory of another scale than the frame that reads it"
    )


def test_a_conditioning_frame_has_no_loss_and_half_of_the_steps_have_one() -> None:
    frames = [stcn_lite.corrected_frame(step, 4, 0.5) for step in range(400)]
    assert 150 < sum(map(len, frames)) < 250
    assert {t for each in frames for t in each} == {1, 2, 3}
    assert frames == [stcn_lite.corrected_frame(step, 4, 0.5) for step in range(400)], "also when resumed"
    assert not any(stcn_lite.corrected_frame(step, 2, 1.0) for step in range(20)), "nothing would be left"


def test_a_further_training_of_stcn_lite_starts_from_weights_of_it_alone(tmp_path: Path) -> None:
    wanted = load("stcn-lite").state_dict()
    network = STCNLiteRecipe([], [], start=Path("shipped")).network().network
    assert isinstance(network, STCNLite)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.state_dict().items())
    start = tmp_path / "other.safetensors"
    write_checkpoint(start, STCN().state_dict(), {})
    with pytest.raises(CheckpointError):
        STCNLiteRecipe([], [], start=start).network()
