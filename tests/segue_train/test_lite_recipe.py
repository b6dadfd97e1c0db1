"""The recipe of ``msstsvis-lite`` and its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.errors import DatasetError, TrainingError
from segue.models.detection.classes import COCO_NAMES
from segue.models.msstsvis.lite import MSSTSVISLite
from segue.weights import read_checkpoint
from segue_train.recipes.msstsvis import LiteRecipe
from tests.segue_train import commands
from tests.segue_train.instance_sets import save_coco, save_ytvis

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def run(*arguments: object) -> str:
    """What the command writes; its errors are raised."""
    return commands.run("msstsvis-lite", *arguments)


def stills(folder: Path) -> Path:
    """A folder of three images with two objects each; ``left_out`` keeps none of them back."""
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 10:30], mask[20:50, 45:75] = 1, 2
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for name in ("toy_1", "toy_2", "owl_1"):
        image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
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
    assert "toy: 2 images, share 0.44" in output
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


@pytest.mark.parametrize(
    ("names", "options", "kind", "named"),
    [
        pytest.param('{"toy": "otter"}', "--names names.json", DatasetError, "toy.*otter", id="category"),
        pytest.param('{"toy": 3}', "--names names.json", DatasetError, "names.json.* toy", id="number"),
        pytest.param("[]", "--names names.json", DatasetError, "names.json", id="list"),
        pytest.param("{", "--names names.json", DatasetError, "names.json", id="torn"),
        pytest.param("{}", "--share cat=2", TrainingError, "owl, toy", id="share"),
        pytest.param("{}", "--data davis=x", DatasetError, "LAYOUT", id="layout"),
    ],
)
def test_invalid_options_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: str,
    options: str,
    kind: type[Exception],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.json").write_text(names)
    with pytest.raises(kind, match=named):
        run("--data", stills(tmp_path / "s"), "--out", "run", *options.split())


def test_a_run_writes_weights_that_say_their_parts(tmp_path: Path) -> None:
    run(
        *("--data", stills(tmp_path / "s"), "--out", tmp_path / "run", "--steps", 1),
        *("--no-split-attention", "--precision", "32-true", "--device", "cpu"),
    )
    weights = read_checkpoint(tmp_path / "run" / "msstsvis-lite.safetensors")
    parts = json.loads(json.loads(weights.metadata["options"])["parts"])
    assert parts == {"intra_mode": "none", "inter_mode": "none", "decoder_attention": True}
    assert weights.tensors.keys() == MSSTSVISLite(json.dumps(parts)).state_dict().keys()
