"""One step of each recipe: what learns, what stays, and what it starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segue.errors import CheckpointError, TrainingError
from segue.models.stcn import STCN, STCNLite
from segue.weights import load, write_checkpoint
from segue_train.clip_pass import class_targets
from segue_train.clips import ClipBatches, ClipShape, Curriculum
from segue_train.footage import VOID, Material, gather
from segue_train.losses import dice_loss, hardest_mean
from segue_train.recipes import stcn
from segue_train.recipes.stcn import STAGES, STCNRecipe
from segue_train.recipes.stcn_lite import LARGE_SIDE, STCNLiteRecipe, edge_weights, further, start_from
from segue_train.trunks import load_mobilenet
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
    batch = ClipBatches(1, 0, recipe.sampler(), lambda *_: Curriculum(0.5, 2, shape))[0]
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


@pytest.mark.parametrize("stage", [0, 3])
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


def test_stages_are_the_published_ones() -> None:
    table = [(stage.objects, stage.batch, stage.steps, round(stage.fall * stage.steps)) for stage in STAGES]
    assert table == [
        (1, 8, 300_000, 150_000),
        (2, 4, 500_000, 400_000),
        (2, 4, 300_000, 250_000),
        (2, 4, 150_000, 125_000),
    ]
    recipe = STCNRecipe(3, [])
    assert recipe.learning_rate(124_999 / 150_000, 124_999) == 1
    assert recipe.learning_rate(125_000 / 150_000, 125_000) == 0.1


def test_a_two_object_stage_adds_one_orthogonal_channel_to_stage_0(tmp_path: Path) -> None:
    first = STCN(single_object=True)
    write_checkpoint(tmp_path / "s0.safetensors", first.state_dict(), {})
    second = STCN()
    stcn.fill(second, tmp_path / "s0.safetensors")
    stem = second.value_encoder.conv1.weight
    assert torch.equal(stem[:, :4], first.value_encoder.conv1.weight)
    torch.testing.assert_close(stem[:, 4].flatten(1).T @ stem[:, 4].flatten(1), torch.eye(49))


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
    stcn.load_trunks(network, tmp_path / "r50.safetensors", tmp_path / "r18.safetensors")
    for name, tensor in network.key_encoder.state_dict().items():
        assert torch.equal(tensor, source.key_encoder.state_dict()[name]), name
    assert torch.equal(network.value_encoder.conv1.weight[:, 3:], masks)
    filled = network.value_encoder.state_dict()
    filled["conv1.weight"] = filled["conv1.weight"][:, :3]
    for name, tensor in value.items():
        assert torch.equal(filled[name], tensor), name
    assert not network.value_encoder.layer2[0].downsample[0].bias.any()
    with pytest.raises(CheckpointError, match=r"r18\.safetensors: .*missing \(layer1\.0\.conv3"):
        stcn.load_trunks(network, tmp_path / "r18.safetensors", tmp_path / "r18.safetensors")


def test_a_backbone_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "other.safetensors", {"conv1.weight": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"other\.safetensors.*MobileNetV2"):
        load_mobilenet(STCNLite().key_encoder, tmp_path / "other.safetensors")


@pytest.mark.parametrize("settings", [{"side": 40}, {"side": 0}, {"batch": 0}])
def test_unfit_sizes_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match="must be"):
        STCNRecipe(3, [], **settings)  # type: ignore[arg-type]


def test_classes_of_absent_objects_are_background_and_void_stays() -> None:
    masks = torch.tensor([[[[0, 1, 2, VOID]]], [[[0, 1, 2, VOID]]]])
    target = class_targets(masks, torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    assert target.flatten(1).tolist() == [[0, 1, 2, VOID], [0, 0, 2, VOID]]


@pytest.mark.parametrize(
    "loss",
    [
        lambda logits, target: hardest_mean(
            nn.functional.cross_entropy(logits.transpose(1, 2), target, reduction="none", ignore_index=VOID),
            target,
            0.4,
        ),
        lambda logits, target: dice_loss(logits, target, torch.ones(2, 2)),
    ],
)
def test_what_is_predicted_on_void_changes_no_loss(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 3, 6, 7, generator=generator)
    target = torch.randint(0, 3, (2, 3, 6, 7), generator=generator)
    target[..., :2, :] = VOID
    other = logits.clone()
    other[..., :2, :] = torch.randn(2, 3, 3, 2, 7, generator=generator)
    torch.testing.assert_close(loss(logits, target), loss(other, target))
    other[..., 2:, :] += torch.randn(2, 3, 3, 4, 7, generator=generator)
    assert not torch.allclose(loss(logits, target), loss(other, target))


def test_parts_of_stcn_lite_start_from_weights_without_them_and_learn(
    material: Material, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    start = tmp_path / "before.safetensors"
    write_checkpoint(start, STCNLite().state_dict(), {})
    parts = {"weighting": True, "sensory": True, "summaries": True}
    recipe = STCNLiteRecipe(material.videos, material.stills, start=start, reading="session", **parts)
    shape = ClipShape(1, 4, 32, 2)
    batch = ClipBatches(1, 0, recipe.sampler(), lambda *_: Curriculum(0.5, 2, shape))[0]
    module = recipe.network().train()
    network = module.network
    assert isinstance(network, STCNLite)
    assert torch.equal(network.decoder.pred.weight, loaded(start).decoder.pred.weight)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = recipe.optimizer(recipe.parameter_groups(module))
    for _ in range(2):  # what is added last is zero before the first step, and hides the rest
        module(batch, 0.0, 0)[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    own = {name for name in before if name.split(".")[1] in parts}
    assert own
    assert own <= changed(module, before)
    write_checkpoint(start, STCN().state_dict(), {})
    with pytest.raises(CheckpointError):
        recipe.network()


def test_frozen_weights_stay_while_further_parts_learn(material: Material, tmp_path: Path) -> None:
    start = tmp_path / "before.safetensors"
    write_checkpoint(start, STCNLite().state_dict(), {})
    recipe = STCNLiteRecipe(material.videos, material.stills, start=start, sensory=True, freeze=True)
    module = recipe.network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = recipe.optimizer(recipe.parameter_groups(module))
    batch = ClipBatches(1, 0, recipe.sampler(), lambda *_: Curriculum(0.5, 2, ClipShape(1, 4, 32, 2)))[0]
    for _ in range(2):
        module(batch, 0.0, 0)[0].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert changed(module, before) == {name for name in before if name.startswith("network.sensory.")}
    for wrong in (replace(recipe, sensory=False), replace(recipe, start=None)):
        with pytest.raises(TrainingError, match="--freeze"):
            wrong.network()


def loaded(path: Path) -> STCNLite:
    network = load("stcn-lite", path)
    assert isinstance(network, STCNLite)
    return network


def test_pixels_at_edges_weigh_more_and_void_has_none_of_its_own() -> None:
    target = torch.zeros(1, 1, 20, 20, dtype=torch.int64)
    target[..., :10] = 1
    weights = edge_weights(target, 1)[0, 0]
    assert weights.shape == (20, 20)
    assert 0.4 < weights[10, 9] < 0.6
    assert weights[10, 9] == pytest.approx(weights[10, 10].item(), abs=0.06)
    assert weights[10, 0] == weights[10, -1] == 0
    target[..., :10] = VOID
    assert not edge_weights(target, 1).any()


def test_a_share_of_a_further_training_shows_large_crops() -> None:
    rng = np.random.default_rng(0)
    sides = [further(0.5, rng, large=0.5).shape.side for _ in range(200)]
    assert 70 < sides.count(LARGE_SIDE) < 130
    assert LARGE_SIDE not in [further(0.5, rng).shape.side for _ in range(200)]


def test_a_further_training_of_stcn_lite_may_start_from_what_comes_with_segue() -> None:
    network = STCNLite()
    start_from(network, Path("shipped"))
    wanted = load("stcn-lite").state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.state_dict().items())
