"""Which network ``segue instances`` takes, and detectors whose finds are followed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import segue
from segue.api.instances import instances
from segue.formats.mask_records import read_records
from segue.models.deeplab import VOC_NAMES, DeepLabV3
from segue.models.detection import mask_rcnn as detector
from segue.models.detection.mask_rcnn import MaskRCNN
from segue.registry import MODELS
from segue.sessions import detecting
from segue.weights.default import default_model
from segue.weights.download import cached
from tests.cli.running import FRAMES, Command
from tests.fill import fill_plainly


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))


@pytest.fixture
def bundled() -> None:
    if not (Path(segue.__file__).parent / "assets" / "stcn-lite.safetensors").exists():
        pytest.skip("no weights come with this version")


@pytest.fixture(scope="module")
def deeplab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to which every image is one person."""
    state = fill_plainly(DeepLabV3).state_dict()
    state["logits.weight"].zero_()
    state["logits.bias"].zero_()[VOC_NAMES.index("person")] = 4.0
    path = tmp_path_factory.mktemp("weights") / "deeplab.safetensors"
    save_file(state, path)
    return path


@pytest.fixture(scope="module")
def mask_rcnn() -> MaskRCNN:
    """A network to which each of its proposals is a car that fills its box."""
    torch.manual_seed(0)
    network = MaskRCNN(1, short_side=64).eval()
    predictors = (network.roi_heads.box_predictor.cls_score, network.roi_heads.mask_predictor.mask_fcn_logits)
    for predictor in predictors:
        assert predictor.bias is not None
        torch.nn.init.zeros_(predictor.weight)
        torch.nn.init.zeros_(predictor.bias)
        predictor.bias.data[3] = 6.0
    torch.nn.init.zeros_(network.roi_heads.box_predictor.bbox_pred.weight)
    return network


def put(*names: str) -> None:
    """Pretend that weights of these networks were downloaded."""
    for name in names:
        cached(MODELS.find(name)).parent.mkdir(parents=True, exist_ok=True)
        cached(MODELS.find(name)).touch()


def test_the_best_network_whose_weights_are_at_hand_is_the_default() -> None:
    assert (default_model(), default_model(detectors=False)) == ("nanodet+stcn-lite", "msstsvis-lite")
    for there, model, alone in (
        ("maskrcnn-v1", "maskrcnn-v1+stcn-lite", "msstsvis-lite"),
        ("maskrcnn", "maskrcnn+stcn-lite", "msstsvis-lite"),
        ("stcn", "maskrcnn+stcn", "msstsvis-lite"),
        ("seqformer-r50", "seqformer-r50", "seqformer-r50"),
        ("seqformer-r101", "seqformer-r101", "seqformer-r101"),
    ):
        put(there)
        assert (default_model(), default_model(detectors=False)) == (model, alone)


@pytest.mark.usefixtures("bundled")
def test_the_weights_tell_their_network_and_the_command_says_so(
    command: Command, inputs: Path, deeplab: Path, tmp_path: Path
) -> None:
    outputs = ("--format", "png", "--format", "ytvis", "--output", tmp_path / "out")
    outcome = command("instances", inputs / "clip.mp4", "--weights", deeplab, "--window", 3, *outputs)
    assert outcome.code == 0, outcome.err
    assert outcome.err.startswith(f"model: deeplab+stcn-lite, that of {deeplab}\n")
    records = read_records(tmp_path / "out" / "masks")
    assert {item.label for record in records.values() for item in record.objects} == {"person"}
    # The detector looked three times, and knew the person again each time.
    assert [[item.id for item in record.objects] for record in records.values()] == [[1]] * 8
    tracks = json.loads((tmp_path / "out" / "ytvis.json").read_text())
    assert [track["category_id"] for track in tracks] == [VOC_NAMES.index("person")]


@pytest.fixture
def cars(mask_rcnn: MaskRCNN, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a model whose detector is ``mask_rcnn``, with few proposals."""
    monkeypatch.setattr(detecting, "load", lambda name, weights=None: {"maskrcnn-v1": mask_rcnn}[name])
    monkeypatch.setattr(detector, "PROPOSALS", 12)
    return "maskrcnn-v1+stcn-lite"


@pytest.mark.usefixtures("bundled")
def test_finds_of_mask_rcnn_keep_ids_and_classes_and_are_not_found_twice(cars: str) -> None:
    still = [FRAMES[0]] * 6
    results = list(instances(still, model=cars, classes=["car"], top=4, window=2, device="cpu"))
    assert 1 < len(results[0].objects) <= 4
    for result in results:
        assert {item.label for item in result.objects} == {"car"}
        assert result.ids == results[0].ids  # looked at three times
        assert set(np.unique(result.mask)) <= {0, *result.ids}
    none = list(instances(still[:1], model=cars, classes=["person"], device="cpu"))
    assert not none[0].objects


def test_missing_weights_are_told_with_the_way_to_get_them(command: Command, inputs: Path) -> None:
    complaint = command("instances", inputs / "clip.mp4", "--model", "maskrcnn+stcn-lite").complaint
    assert "`segue weights get maskrcnn`" in complaint
