"""The recipe of ``msstsvis-lite`` and its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from segue.cli.train import making
from segue.datasets.ytvis import CocoImages
from segue.errors import CheckpointError, DatasetError, TrainingError
from segue.models.deeplab import DeepLabV3
from segue.models.msstsvis.lite import LITE_NAMES, MSSTSVISLite
from segue.training.instance_clips import classed_footage
from segue.training.recipes.msstsvis import InstanceObjective, lite, load_trunk
from segue.weights import write_checkpoint
from tests.fill import fill_plainly
from tests.training import commands
from tests.training.instance_sets import save_coco, save_ytvis

# pycocotools 2.0 speaks to numpy 2 in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would run."""
    pytest.importorskip("lightning_fabric", reason="the extra train is not installed")
    found: dict[str, Any] = {}
    monkeypatch.setattr(making, "train", lambda recipe, **settings: found.update(settings, recipe=recipe))
    return found


def run(*arguments: object) -> str:
    """What the command writes; its errors are raised."""
    return commands.run("msstsvis-lite", *arguments)


def test_classes_of_the_data_are_grouped_and_counted(tmp_path: Path, seen: dict[str, Any]) -> None:
    vis = save_ytvis(tmp_path / "vis", {1: "Person", 2: "skateboard"})
    coco = save_coco(tmp_path / "coco", {1: "fire hydrant", 2: "zebra"})
    data = ("--data", f"3@isd={vis}", "--data", f"coco={coco}", "--init", tmp_path / "a.safetensors")
    assert "6 videos and 2 still images" in run(*data, "--out", tmp_path / "run", "--steps", 7)
    recipe = seen["recipe"]
    names = [[LITE_NAMES[label] for label in item.labels] for item in (recipe.videos[0], recipe.stills[0])]
    assert names == [["person", "object"], ["object", "animal"]]
    assert (recipe.name, recipe.backbone, seen["steps"]) == ("msstsvis-lite", tmp_path / "a.safetensors", 7)


def test_what_is_wrong_is_named(tmp_path: Path, seen: dict[str, Any]) -> None:
    coco = save_coco(tmp_path, {1: "lamp", 2: "coal"})
    with pytest.raises(DatasetError, match="LAYOUT one of"):
        run("--data", coco, "--init", "a", "--out", tmp_path / "run")
    with pytest.raises(TrainingError, match="nothing to start from: give --init with a DeepLabV3"):
        run("--data", f"coco={coco}", "--out", tmp_path / "run")


def test_the_trunk_starts_from_deeplab(tmp_path: Path) -> None:
    teacher = fill_plainly(DeepLabV3())
    write_checkpoint(tmp_path / "deeplab.safetensors", teacher.state_dict(), {})
    network = MSSTSVISLite()
    load_trunk(network, tmp_path / "deeplab.safetensors")
    for name, value in network.backbone.body.state_dict().items():
        assert torch.equal(value, teacher.state_dict()[name])
    write_checkpoint(tmp_path / "other.safetensors", network.state_dict(), {})
    with pytest.raises(CheckpointError, match=r"other\.safetensors"):
        load_trunk(network, tmp_path / "other.safetensors")


def test_all_but_the_trunk_learns(tmp_path: Path) -> None:
    stills = classed_footage(
        CocoImages.open(save_coco(tmp_path, {1: "lamp", 2: "coal"}), "train2017"), {1: 4, 2: 4}
    )
    torch.manual_seed(0)
    objective = lite([], stills, None).network()
    assert isinstance(objective, InstanceObjective)
    batch = {
        "frames": torch.randint(0, 256, (1, 2, 64, 64, 3), dtype=torch.uint8),
        "masks": torch.zeros(1, 2, 64, 64, dtype=torch.uint8),
        "labels": torch.tensor([[4, 0]]),
    }
    batch["masks"][..., 8:40, 16:56] = 1
    loss, parts = objective(batch, 0.0, 0)
    loss.backward()
    idle = [name for name, p in objective.named_parameters() if p.requires_grad and p.grad is None]
    # Nothing reads the second output of the attention among tokens.
    assert all(".encoder.layers.0.self_attn.output_proj_box." in name for name in idle)
    assert all(p.grad is None for p in objective.network.backbone.parameters())
    assert {"loss_ce", "loss_dice", "proposal_ce", "proposal_giou"} <= parts.keys()
