"""The recipe of ``msstsvis-lite`` and its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segue.errors import DatasetError, TrainingError
from segue.models.detection.boxes import COCO_NAMES
from segue.models.msstsvis.lite import DecodedTubes, MSSTSVISLite
from segue.weights import read_checkpoint
from segue_train.commands import making
from segue_train.instance_clips import UNKNOWN
from segue_train.instance_losses import ClipTargets
from segue_train.recipes.msstsvis import InstanceObjective, LiteRecipe, asked
from tests.segue_train import commands
from tests.segue_train.instance_sets import save_coco, save_ytvis

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
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


def stills(folder: Path) -> Path:
    """A folder of three pictures with two objects each; ``left_out`` keeps none of them back."""
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 10:30], mask[20:50, 45:75] = 1, 2
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for name in ("toy_1", "toy_2", "owl_1"):
        picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{name}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    return folder


def test_footage_of_all_forms_has_classes_of_coco(tmp_path: Path, seen: dict[str, Any]) -> None:
    vis = save_ytvis(tmp_path / "vis", {1: "Person", 2: "flying_disc"})
    coco = save_coco(tmp_path / "coco", {1: "fire hydrant", 2: "otter"})
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"toy": "cat", "toy_2": ["dog", "sports ball"]}))
    data = [
        word for text in (f"isd={vis}", f"coco={coco}", stills(tmp_path / "s")) for word in ("--data", text)
    ]
    output = run(*data, "--names", names, "--share", "toy=2,owl=0.5", "--out", tmp_path / "run", "--steps", 7)
    assert "toy: 2 pictures, share 0.44" in output
    recipe = seen["recipe"]
    assert isinstance(recipe, LiteRecipe)
    found = {
        (share, item.complete, *(COCO_NAMES.get(item.label(i)) for i in (1, 2)))
        for share, items in recipe.groups
        for item in items
    }
    assert found == {
        (1.0, True, "person", "frisbee"),
        (1.0, True, "fire hydrant", None),
        (2.0, False, "cat", "cat"),
        (2.0, True, "dog", "sports ball"),
        (0.5, False, None, None),
    }
    assert (recipe.name, recipe.start, seen["steps"]) == ("msstsvis-lite", None, 7)
    batch = recipe.batches(4, seed=1)[3]
    assert batch["complete"].shape == (2,)
    assert batch["masks"].amax() <= (batch["labels"] != 0).sum(1).amax()


def test_what_is_wrong_is_named(tmp_path: Path, seen: dict[str, Any]) -> None:
    data, out = ("--data", stills(tmp_path / "s")), ("--out", tmp_path / "run")
    names = tmp_path / "names.json"
    for text, complaint in (
        ('{"toy": "otter"}', "toy: COCO has no category otter"),
        ('{"toy": 3}', "toy: a name or a list"),
        ("[]", "a JSON object was expected"),
        ("{", "cannot be read as JSON"),
    ):
        names.write_text(text)
        with pytest.raises(DatasetError, match=complaint):
            run(*data, *out, "--names", names)
    with pytest.raises(TrainingError, match="kinds are owl, toy"):
        run(*data, *out, "--share", "cat=2")
    with pytest.raises(DatasetError, match="LAYOUT one of"):
        run("--data", "davis=x", *out)


@pytest.mark.parametrize("switch", ["", "split_attention", "decoder_attention"])
def test_each_part_of_the_paper_can_be_left_out(switch: str) -> None:
    recipe = LiteRecipe(
        [],
        split_attention=switch != "split_attention",
        decoder_attention=switch != "decoder_attention",
    )
    objective = recipe.network()
    assert isinstance(objective, InstanceObjective)
    names = {name for name, _ in objective.network.named_parameters()}
    assert any(".ms_sts." in name for name in names) == (switch != "split_attention")
    assert any(".temporal_attn." in name for name in names) == (switch != "decoder_attention")
    assert objective.discriminator is not None


def clip_of(*boxes: tuple[float, float, float, float], labels: tuple[int, ...]) -> ClipTargets:
    """Objects of two frames of 64x64 that stand still; boxes in centre form, in pixels."""
    masks = torch.zeros(len(boxes), 2, 64, 64, dtype=torch.bool)
    for plane, (x, y, w, h) in zip(masks, boxes, strict=True):
        plane[:, int(y - h / 2) : int(y + h / 2), int(x - w / 2) : int(x + w / 2)] = True
    tracks = (torch.tensor(boxes) / 64)[:, None].expand(-1, 2, -1)
    return ClipTargets(torch.tensor(labels), tracks, masks)


def test_what_no_query_is_about_is_not_asked_for() -> None:
    clip = clip_of((16, 16, 20, 20), (48, 48, 20, 20), labels=(UNKNOWN, 18))
    starts = torch.tensor([[16.0, 16, 20, 20], [16, 16, 20, 16], [48, 10, 20, 20]]) / 64
    references = starts.expand(1, 2, -1, -1)
    nothing = torch.zeros(1, 3, 96)
    decoded = DecodedTubes([], [], [references], [], nothing, nothing, torch.zeros(1, 3, 80))
    logits = torch.zeros(1, 3, 91)
    logits[0, 0, 17] = 3.0
    (wanted,), counted = asked([clip], decoded, logits, torch.tensor([False]))
    assert wanted.labels.tolist() == [17]
    assert wanted.masks.shape[0] == wanted.boxes.shape[0] == 1
    assert counted.tolist() == [[True, True, False]]
    _, counted = asked([clip], decoded, logits, torch.tensor([True]))
    assert counted.all()


def test_all_but_the_detector_learns() -> None:
    torch.manual_seed(0)
    objective = LiteRecipe([]).network()
    assert isinstance(objective, InstanceObjective)
    assert isinstance(objective.network, MSSTSVISLite)
    picture = torch.randint(0, 256, (1, 2, 64, 64, 3), dtype=torch.uint8)
    found = objective.network.eval().encode(picture.permute(0, 1, 4, 2, 3).float() / 255).found
    assert found is not None
    x0, y0, x1, y1 = (64 * found[0, 0, 0, :4]).round().int().tolist()
    masks = torch.zeros(1, 2, 64, 64, dtype=torch.uint8)
    masks[..., y0:y1, x0:x1] = 1
    batch = {
        "frames": picture,
        "masks": masks,
        "labels": torch.tensor([[UNKNOWN, 0]]),
        "complete": torch.tensor([True]),
    }
    loss, parts = objective.train()(batch, 0.0, 0)
    loss.backward()
    idle = [name for name, p in objective.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle
    assert all(p.grad is None for p in objective.network.detector.parameters())
    assert {"loss_ce", "loss_dice", "adversarial"} <= parts.keys()
    assert float(parts["loss_dice"]) > 0


def test_a_run_writes_weights_that_say_their_parts(tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric", reason="the extra train is not installed")
    run(
        *("--data", stills(tmp_path / "s"), "--out", tmp_path / "run", "--steps", 1),
        *("--no-split-attention", "--precision", "32-true", "--device", "cpu"),
    )
    weights = read_checkpoint(tmp_path / "run" / "msstsvis-lite.safetensors")
    parts = json.loads(json.loads(weights.metadata["options"])["parts"])
    assert parts == {"intra_mode": "none", "inter_mode": "none", "decoder_attention": True}
    assert weights.tensors.keys() == MSSTSVISLite(json.dumps(parts)).state_dict().keys()
