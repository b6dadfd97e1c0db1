"""One step of each recipe of the foreground papers: what learns, what stays, and what it starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segue.datasets.cdnet import open_cdnet
from segue.datasets.foreground import ForegroundSequence, read_video
from segue.datasets.foreground_sets import open_hofam
from segue.errors import CheckpointError, DatasetError, TrainingError
from segue.flow import FlowPictures
from segue.flow.providers import DIS
from segue.layers.resnet import ResNet18
from segue.models.fgsegnet import FgSegNetV2
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.weights import write_checkpoint
from segue_train.loop import Recipe
from segue_train.recipes import mustan
from segue_train.recipes.fgsegnet import FgSegNetRecipe, Split, load_trunk, split_frames
from segue_train.recipes.hofam import FlowBatches, FlowSamples, HofamRecipe
from segue_train.recipes.mustan import MustanRecipe
from tests.datasets.foreground_videos import save
from tests.flow.files import save_flo
from tests.segue_train.scenes import save_composites, save_scene


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> ForegroundSequence:
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
def test_a_step_of_mustan_trains_everything(film: ForegroundSequence, name: Any, options: Any) -> None:
    recipe = MustanRecipe(name, [[film]], options, batch=2, size=(32, 32))
    with torch.device("meta"):
        names = {f"network.{key}" for key, _ in recipe.build().named_parameters()}
    assert take_step(recipe) == names
    optimizer = recipe.optimizer([{"params": [nn.Parameter(torch.zeros(1))], "lr": mustan.RATE}])
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["weight_decay"] == 0
    assert mustan.RATE == 1e-4


def test_depth_is_learned_from_where_films_bring_it(tmp_path: Path) -> None:
    folder = save_scene(tmp_path, "train", "scene", frames=4)
    for number in range(1, 5):
        save(folder / "depth" / f"d{number:06d}.png", np.arange(48 * 64, dtype=np.uint16).reshape(48, 64))
    options = {"width": 0.125, "depth_channels": 1}
    recipe = MustanRecipe("mustan2", [list(open_cdnet(tmp_path))], options, batch=2, size=(32, 32))
    assert "network.enc_cur.conv1_depth.weight" in take_step(recipe)


def test_the_rate_of_mustan_is_halved_three_times() -> None:
    recipe = MustanRecipe.__dict__["learning_rate"]
    rates = [recipe(None, progress, 0) for progress in (0, 0.49, 0.5, 0.75, 0.95)]
    assert rates == [1, 1, 0.5, 0.25, 0.125]


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
    picture = torch.rand(1, 3, 32, 32)
    same = early.cnet.conv1(picture.repeat(1, 3, 1, 1))
    torch.testing.assert_close(same, trunk.conv1(picture), rtol=1e-4, atol=1e-5)


def test_a_trunk_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "other.safetensors", {"features.0.weight": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"other\.safetensors: .*missing"):
        mustan.load_trunks(MUSTAN1(frm="none"), tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"other\.safetensors: .*missing"):
        load_trunk(FgSegNetV2(), tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    "settings", [{"size": (16, 64)}, {"batch": 0}, {"options": {"frm": "none", "background": True}}]
)
def test_unfit_settings_of_mustan_are_refused(film: ForegroundSequence, settings: Any) -> None:
    with pytest.raises(TrainingError):
        MustanRecipe("mustan2", [[film]], **settings).build()
    with pytest.raises(TrainingError, match="no films"):
        MustanRecipe("mustan2", [])


@pytest.mark.parametrize(("name", "train_fusion"), [("hofam", True), ("stam", False)])
def test_a_step_of_hofam_trains_the_fusion_only_if_asked(
    composites: ForegroundSequence, name: Any, train_fusion: bool
) -> None:
    recipe = HofamRecipe(name, [composites], gf=2, levels=6, train_fusion=train_fusion, batch=1)
    changed = take_step(recipe)
    assert any(name.startswith("network.fusion.") for name in changed) == train_fusion
    assert {
        "network.enc_rgb.1.conv.weight",
        "network.attn.7.norm.bias",
        "network.dec.8.deconv.weight",
    } <= changed
    optimizer = recipe.optimizer([{"params": [nn.Parameter(torch.zeros(1))], "lr": 1.0}])
    assert optimizer.defaults["betas"] == (0.95, 0.999)


def test_gamma_reaches_the_loss_of_hofam(composites: ForegroundSequence) -> None:
    losses = []
    for gamma in (0.0, 2.0):
        torch.manual_seed(0)
        recipe = HofamRecipe("hofam", [composites], gf=2, levels=6, gamma=gamma, batch=1)
        losses.append(recipe.network()(recipe.batches(1, 0)[0], 0.0, 0)[1]["focal"].item())
    assert 0 < losses[1] < 0.5 * losses[0]  # (1 - p)^2 of probabilities about a half
    for gamma in (-1.0, float("nan"), float("inf")):
        with pytest.raises(TrainingError, match="gamma is"):
            HofamRecipe("hofam", [composites], gamma=gamma)


def test_flow_of_films_may_come_from_files(film: ForegroundSequence, tmp_path: Path) -> None:
    for gap in (1, 3):
        for index in range(gap, len(film)):
            height, width = film.size
            flow = np.zeros((height, width, 2))
            flow[..., 0] = (index + gap) * width / 256
            save_flo(tmp_path / film.key / str(gap) / f"{index}.flo", flow)
    sample = FlowSamples([film], DIS, (1, 3), tmp_path)[4]
    index = FlowSamples([film], DIS, (1, 3), tmp_path).places[4][1]
    shown = [round(255 * (index + gap) / 20) if index >= gap else 0 for gap in (3, 1)]
    assert sample.flow.shape == (256, 256, 2)
    assert sample.flow[7, 9].tolist() == shown


def test_composites_bring_their_flow(composites: ForegroundSequence) -> None:
    batches = FlowBatches(2, 0, FlowSamples([composites], DIS, (1, 3, 5)), batch=3)
    batch = batches[0]
    assert batch["frames"].shape == batch["flow"].shape == (3, 3, 256, 256)
    assert sorted(batch["flow"][:, 0, 0, 0].tolist()) == [10, 20, 30]
    assert batch["flow"][0, 1:, 0, 0].tolist() == [2, 1]
    assert set(batch["labels"].unique().tolist()) == {0, 255}
    single = FlowSamples([composites], DIS, (1,))[0]
    assert single.flow.shape == (256, 256, 1)
    orders = [batches[step]["flow"][:, 0, 0, 0].tolist() for step in range(2)]
    assert sorted(orders[0]) == sorted(orders[1])
    with pytest.raises(IndexError):
        batches[2]


def test_the_flow_of_films_is_computed_from_earlier_frames(film: ForegroundSequence) -> None:
    sample = FlowSamples([film], DIS, (1, 3))[6]
    assert sample.frame.shape == (256, 256, 3)
    frames = [FlowSamples([film], DIS, (1,))[i].frame for i in (6, 5, 3)]
    expected = FlowPictures(DIS(), (1, 3))(frames[0], frames[1:])
    assert np.array_equal(sample.flow, expected)
    first = FlowSamples([film], DIS, (1, 3))[0]
    assert not first.flow.any()


def test_frames_of_a_scene_are_spread_and_divided(film: ForegroundSequence) -> None:
    split = split_frames(film, 5)
    chosen = sorted(split.train + split.held_back)
    assert chosen == [0, 2, 4, 6, 8]
    assert len(split.held_back) == 1
    assert split == split_frames(film, 5)
    published = split_frames(film, 200, numbers=[2, 3, 7])
    assert sorted(published.train + published.held_back) == [1, 2, 6]
    with pytest.raises(DatasetError, match="1 labelled frames"):
        split_frames(film, 200, numbers=[2])


@pytest.mark.parametrize("loss", ["bce", "l1_as_run"])
def test_a_step_of_fgsegnet_from_weights_trains_its_last_block_and_head(
    film: ForegroundSequence, tmp_path: Path, loss: Any
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "start.safetensors"
    write_checkpoint(path, FgSegNetV2().state_dict(), {"options": '{"scaling": "imagenet"}'})
    recipe = FgSegNetRecipe([(film, Split((0, 3, 5), (7,)))], start=path, loss=loss)
    module = recipe.network()
    assert isinstance(module.network, FgSegNetV2)
    assert module.network.scaling == "imagenet"
    changed = take_step(recipe)
    assert not any(f"block{block}_" in name for name in changed for block in (1, 2, 3))
    assert {"network.backbone.block4_conv1.weight", "network.decoder.head.weight"} <= changed
    score = recipe.validate(module.network.eval())
    assert -20 < score < 0


def test_a_scene_is_shown_frame_by_frame(film: ForegroundSequence) -> None:
    batches = FgSegNetRecipe([(film, Split((0, 3, 5), (7,)))]).batches(6, seed=1)
    shown = [int((batches[step]["labels"][0, 20] > 0).nonzero()[0]) // 6 for step in range(6)]
    assert sorted(shown[:3]) == sorted(shown[3:]) == [0, 3, 5]
    assert batches[0]["frames"].shape == (1, 3, 48, 64)
    both = FgSegNetRecipe([(film, Split((0, 3), (7,))), (film, Split((5,), (1,)))]).batches(3, seed=1)
    shown = [int((both[step]["labels"][0, 20] > 0).nonzero()[0]) // 6 for step in range(3)]
    assert sorted(shown) == [0, 3, 5]


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
