"""One step of each recipe of the foreground papers: what learns, what stays, and what it starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segue.datasets.foreground.folder import ForegroundSequence, read_video
from segue.datasets.foreground.sets import open_hofam
from segue.errors import DatasetError, TrainingError
from segue.layers.resnet import ResNet18
from segue.models.fgsegnet import FgSegNetV2
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.weights import write_checkpoint
from segue_train.data.foreground.videos import Crop
from segue_train.losses.masks import normal_loss
from segue_train.recipe import Recipe
from segue_train.recipes import mustan
from segue_train.recipes.fgsegnet import FgSegNetRecipe, load_trunk, split_frames
from segue_train.recipes.hofam import HofamRecipe
from segue_train.recipes.mustan import MustanRecipe
from tests.segue_train.scenes import save_composites, save_scene


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> ForegroundSequence:
    return read_video(save_scene(tmp_path_factory.mktemp("cdnet"), "baseline", "yard"), "baseline")


@pytest.fixture(scope="module")
def composites(tmp_path_factory: pytest.TempPathFactory) -> ForegroundSequence:
    return next(iter(open_hofam(save_composites(tmp_path_factory.mktemp("composites")))))


def take_step(recipe: Recipe) -> set[str]:
    """Names of the parameters that one step changes."""
    torch.manual_seed(0)
    module = recipe.network().train()
    before = {name: value.clone() for name, value in module.named_parameters()}
    optimizer = recipe.optimizer(recipe.parameter_groups(module))
    batch = recipe.batches(1, 0)[0]
    loss, parts = module(batch, 0.0, 0)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(part) for part in parts.values())
    loss.backward()
    optimizer.step()
    return {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}


@pytest.mark.parametrize(
    ("name", "options"),
    [("mustan2", {"share_encoders": True}), ("mustan1", {"background": True, "context": "early"})],
)
def test_a_step_of_mustan_trains_everything(video: ForegroundSequence, name: Any, options: Any) -> None:
    recipe = MustanRecipe(name, [[video]], options, batch=2, size=(32, 32))
    with torch.device("meta"):
        names = {f"network.{key}" for key, _ in recipe.build().named_parameters()}
    assert take_step(recipe) == names
    optimizer = recipe.optimizer([{"params": [nn.Parameter(torch.zeros(1))], "lr": mustan.RATE}])
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["weight_decay"] == 0
    assert mustan.RATE == 1e-4


def test_all_encoders_start_from_one_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = ResNet18()
    state = {**trunk.state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    write_checkpoint(tmp_path / "r18.safetensors", state, {})
    network = MUSTAN2(depth_channels=1)
    mustan.load_trunks(network, tmp_path / "r18.safetensors")
    for encoder in (network.enc_past, network.enc_cur, network.enc_fut):
        for name, value in trunk.state_dict().items():
            assert torch.equal(encoder.state_dict()[name], value), name
    assert not network.enc_cur.conv1_depth.weight.any()
    early = MUSTAN1(context="early")
    mustan.load_trunks(early, tmp_path / "r18.safetensors")
    image = torch.rand(1, 3, 32, 32)
    same = early.cnet.conv1(image.repeat(1, 3, 1, 1))
    torch.testing.assert_close(same, trunk.conv1(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"size": (16, 64)}, {"batch": 0}, {"options": {"frm": "none", "background": True}}]
)
def test_unfit_settings_of_mustan_are_refused(video: ForegroundSequence, settings: Any) -> None:
    with pytest.raises(TrainingError):
        MustanRecipe("mustan2", [[video]], **settings).build()
    with pytest.raises(TrainingError):
        MustanRecipe("mustan2", [])


def test_gamma_reaches_the_loss_of_hofam(composites: ForegroundSequence) -> None:
    losses = []
    for gamma in (0.0, 2.0):
        torch.manual_seed(0)
        recipe = HofamRecipe("hofam", [composites], gf=2, levels=6, gamma=gamma, batch=1)
        losses.append(recipe.network()(recipe.batches(1, 0)[0], 0.0, 0)[1]["focal"].item())
    assert 0 < losses[1] < 0.5 * losses[0]  # (1 - p)^2 of probabilities about a half
    for gamma in (-1.0, float("nan"), float("inf")):
        with pytest.raises(TrainingError):
            HofamRecipe("hofam", [composites], gamma=gamma)


def test_frames_of_a_scene_are_spread_and_divided(video: ForegroundSequence) -> None:
    split = split_frames(video, 5)
    train, held_back = split
    assert sorted(train + held_back) == [0, 2, 4, 6, 8]
    assert len(held_back) == 1
    assert split == split_frames(video, 5)
    train, held_back = split_frames(video, 200, numbers=[2, 3, 7])
    assert sorted(train + held_back) == [1, 2, 6]
    with pytest.raises(DatasetError):
        split_frames(video, 200, numbers=[2])


@pytest.mark.parametrize("loss", ["bce", "l1_as_run"])
def test_a_step_of_fgsegnet_from_weights_trains_its_last_block_and_head(
    video: ForegroundSequence, tmp_path: Path, loss: Any
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "start.safetensors"
    write_checkpoint(path, FgSegNetV2().state_dict(), {"options": '{"scaling": "imagenet"}'})
    recipe = FgSegNetRecipe([(video, ((0, 3, 5), (7,)))], start=path, loss=loss)
    module = recipe.network()
    assert isinstance(module.network, FgSegNetV2)
    assert module.network.scaling == "imagenet"
    changed = take_step(recipe)
    assert not any(f"block{block}_" in name for name in changed for block in (1, 2, 3))
    assert {"network.backbone.block4_conv1.weight", "network.decoder.head.weight"} <= changed
    score = recipe.validate(module.network.eval())
    assert -20 < score < 0


def test_vgg_weights_of_torchvision_fill_the_backbone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, network = FgSegNetV2(), FgSegNetV2("imagenet")
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
    convolutions = [layer for layer in source.backbone.children() if isinstance(layer, nn.Conv2d)]
    state = {
        f"features.{place}.{leaf}": value
        for place, layer in zip(places, convolutions, strict=True)
        for leaf, value in layer.state_dict().items()
    }
    write_checkpoint(tmp_path / "vgg.safetensors", {**state, "features.24.bias": torch.zeros(512)}, {})
    load_trunk(network, tmp_path / "vgg.safetensors")
    for name, value in source.backbone.state_dict().items():
        assert torch.equal(network.backbone.state_dict()[name], value), name


def test_normals_are_mirrored_with_the_image_and_are_unknown_where_a_video_has_none() -> None:
    stored = np.zeros((40, 48, 3), np.uint8)
    stored[:, :24] = (200, 100, 30)  # nothing is known of the right half
    crop = Crop((slice(0, 40), slice(0, 48)), True, (40, 48))
    mirrored = crop.of_normals(stored)
    assert not mirrored[:, :24].any()
    assert (mirrored[:, 24:] == (55, 100, 30)).all()
    predicted = torch.zeros(1, 3, 40, 48)
    predicted[:, :] = torch.tensor([200, 100, 30]).view(1, 3, 1, 1) / 127.5 - 1
    target = torch.from_numpy(stored).movedim(-1, 0)[None]
    assert float(normal_loss(5 * predicted, target)) == pytest.approx(0, abs=1e-5)
    assert float(normal_loss(-predicted, target)) == pytest.approx(2, abs=1e-5)
    assert float(normal_loss(predicted, torch.zeros_like(target))) == 0


def test_mustan_learns_normals_by_a_second_head_that_it_does_not_use_later(
    video: ForegroundSequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    slope = np.broadcast_to(np.array((128, 40, 30), np.uint8), (*video.size, 3))
    monkeypatch.setattr("segue_train.data.foreground.videos.read_normals", lambda video, i: slope)
    torch.manual_seed(0)
    recipe = MustanRecipe("mustan2", [[video]], {"width": 0.05, "normals": True}, size=(32, 32), batch=2)
    objective, batch = recipe.network().train(), recipe.batches(1, 0)[0]
    assert batch["normals"].shape == (2, 3, 32, 32)
    optimizer, losses = torch.optim.Adam(objective.parameters(), 1e-2), []
    for step in range(12):
        loss, parts = objective(batch, 0.0, step)
        losses.append(float(parts["normals"].detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    network = objective.network.eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 3, 32, 40)).shape == (1, 1, 32, 40)
    plain = MustanRecipe("mustan2", [[video]], {"width": 0.05}, size=(32, 32)).network()
    learnt = sum(parameter.numel() for parameter in objective.parameters())
    assert learnt - sum(parameter.numel() for parameter in plain.parameters()) == 3 * 8 * 9 + 3
