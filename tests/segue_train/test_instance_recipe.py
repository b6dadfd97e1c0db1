"""The published recipe of SeqFormer and MS-STS VIS, and its commands."""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import CheckpointError, DatasetError, TrainingError
from segue.layers.resnet import Bottleneck, ResidualTrunk
from segue.models.msstsvis import MSSTSVIS, Parts
from segue.models.seqformer import SeqFormer, Size
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.weights import read_checkpoint, write_checkpoint
from segue.weights.checkpoint import OPTIONS
from segue_train.data.instance_augment import PUBLISHED, STILLS, InstanceClip, Sizes, cropped
from segue_train.data.ytvis_clips import coco_channels
from segue_train.recipes.msstsvis import PublishedRecipe, load_trunk, start_from
from tests.segue_train.commands import run
from tests.segue_train.data.test_ytvis_clips import NAMES, small_clip
from tests.segue_train.instance_sets import save_coco, save_ytvis

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TINY = Size(
    width=64, hidden=32, encoder_layers=1, decoder_layers=2, heads=4, queries=6, classes=4, dropout=0.0
)

COCO = {1: "person", 2: "bicycle", 17: "cat", 18: "dog", 25: "giraffe", 42: "surfboard", 43: "tennis racket"}


def tiny(kind: type[SeqFormer] = SeqFormer, size: Size = TINY) -> SeqFormer:
    torch.manual_seed(0)
    return kind("r18", size)


class SmallClips:
    """A source of clips that are not enlarged."""

    frames = 2
    sizes = Sizes(longest=64)

    def __len__(self) -> int:
        return 2

    def draw(self, rng: np.random.Generator, place: int) -> InstanceClip:
        return cropped(small_clip(), slice(0, 40 + place), slice(0, 64))


def test_a_run_writes_weights_without_the_discriminator(tmp_path: Path) -> None:
    loop = importlib.import_module("segue_train.loop")

    def build() -> SeqFormer:
        network = tiny(MSSTSVIS, size=replace(TINY, classes=3))
        network.options = {"classes": '{"1": "lamp"}'}
        return network

    recipe = PublishedRecipe("tiny", build, [SmallClips()], batch=2, separability=True)
    settings = loop.RunSettings(tmp_path / "run", steps=1, accelerator="cpu", report=lambda _: None)
    weights = read_checkpoint(loop.train(recipe, settings))
    assert weights.tensors.keys() == build().state_dict().keys()
    assert json.loads(weights.metadata[OPTIONS]) == {"classes": '{"1": "lamp"}'}


def test_the_cost_of_a_step_is_known_before_it_begins() -> None:
    recipe = PublishedRecipe("tiny", tiny, [SmallClips()], batch=2, separability=True)
    one, four = (recipe.cost(2, size) for size in ((64, 64), (128, 128)))
    assert four.operations == pytest.approx(4 * one.operations, rel=0.2)
    assert one.memory < four.memory < 4 * one.memory
    text = recipe.step_cost(3, on_processor=True)
    assert "2 clips of 2 frames of 64x32" in text
    assert "a step of 3" in text
    assert "processor" not in recipe.step_cost(3, on_processor=False)
    assert (PUBLISHED.largest, STILLS.largest) == ((480, 768), (832, 1344))


def test_weights_of_another_training_are_a_start(tmp_path: Path) -> None:
    before = tiny(size=replace(TINY, classes=7))
    write_checkpoint(tmp_path / "coco.safetensors", before.state_dict(), {})
    network = tiny(MSSTSVIS)
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    start_from(network, tmp_path / "coco.safetensors")
    for name, value in network.state_dict().items():
        new = "class_embed" in name or ".ms_sts." in name or ".temporal_attn." in name
        assert torch.equal(value, fresh[name] if new else before.state_dict()[name])
    with pytest.raises(CheckpointError):
        start_from(tiny(size=replace(TINY, queries=7)), tmp_path / "coco.safetensors")


def test_a_trunk_of_another_depth_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "r26.safetensors", ResidualTrunk(Bottleneck, (2, 2, 2, 2)).state_dict(), {})
    with torch.device("meta"):
        network = SeqFormer("r50", TINY)
    with pytest.raises(CheckpointError, match=r"layer1\.2"):
        load_trunk(network, tmp_path / "r26.safetensors")


def test_coco_has_the_classes_of_both_editions() -> None:
    for names in (YOUTUBE_VIS_2019, YOUTUBE_VIS_2021):
        channels = coco_channels(COCO, names)
        for number in (1, 17, 18, 25, 42):
            assert names[channels[number]] == COCO[number]
        assert names[channels[43]] == "tennis_racket"
        assert set(channels.values()) <= set(names)
    assert coco_channels(COCO, {3: "Dog", 9: "Tennis_Racket", 4: "otter"}) == {18: 3, 43: 9}
    with pytest.raises(DatasetError):
        coco_channels(COCO, {1: "otter"})


def test_options_reach_the_recipe(tmp_path: Path, seen: dict[str, Any]) -> None:
    vis, coco = save_ytvis(tmp_path / "vis", NAMES), save_coco(tmp_path / "coco", {1: "lamp", 2: "soot"})
    data = ("--data", f"ovis={vis}", "--data", f"coco={coco}", "--out", tmp_path / "run")
    output = run("msstsvis", *data, "--init", tmp_path / "resnet.pth", "--backbone", "r101", "--batch", 2)
    assert "14 clips an epoch, 2 classes" in output
    assert seen["validate"] is None
    recipe = seen["recipe"]
    assert "10 clips a step at a rate of 0.0002: --batch 2 on 1 device with --accumulate 5" in output
    assert (recipe.name, recipe.separability, seen["steps"]) == (
        "msstsvis-r101",
        True,
        math.ceil(12 * 14 / 10),
    )
    assert seen["accumulate"] == 5
    assert recipe.trunk == tmp_path / "resnet.pth"
    with torch.device("meta"):
        network = recipe.build()
    assert isinstance(network, MSSTSVIS)
    assert network.class_names == NAMES
    assert network.options == {"classes": '{"1": "lamp", "2": "coal"}', "parts": Parts().text()}
    run("seqformer", *data, "--start", tmp_path / "a.safetensors", "--steps", 7)
    assert (seen["recipe"].name, seen["recipe"].separability, seen["steps"]) == ("seqformer-r50", False, 7)
    assert seen["accumulate"] == 8
    run("seqformer", *data, "--start", tmp_path / "a.safetensors", "--devices", 2, "--clips", 4)
    assert seen["accumulate"] == 1
    run("seqformer", *data, "--start", tmp_path / "a.safetensors", "--devices", 3, "--accumulate", 2)
    assert seen["steps"] == math.ceil(12 * 14 / 12)
    with pytest.raises(TrainingError):
        run("seqformer", *data, "--start", tmp_path / "a.safetensors", "--devices", 3)


def test_still_images_of_coco_are_one_frame_with_the_numbers_of_their_categories(
    tmp_path: Path, seen: dict[str, Any]
) -> None:
    coco = save_coco(tmp_path / "coco", {1: "person", 2: "bicycle"})
    order = (
        "seqformer-coco",
        "--data",
        f"coco={coco}",
        "--init",
        tmp_path / "r.pth",
        "--out",
        tmp_path / "run",
    )
    output = run(*order)
    assert "2 images an epoch" in output
    assert "16 clips a step at a rate of 0.0002: --batch 2 on 1 device with --accumulate 8" in output
    recipe = seen["recipe"]
    assert (recipe.name, recipe.separability, seen["steps"]) == (
        "seqformer-r50-coco",
        False,
        math.ceil(50 * 2 / 16),
    )
    assert [recipe.learning_rate(place, 0) for place in (0.79, 0.81)] == pytest.approx([1, 0.1])
    with torch.device("meta"):
        assert recipe.build().classes == 91
    for seed in range(4):
        clip = recipe.sources[0].draw(np.random.default_rng(seed), 0)
        assert len(clip.frames) == 1
        assert set(clip.labels.tolist()) <= {1, 2}
        assert clip.masks.shape == (len(clip.labels), 1, *clip.size)
        assert min(clip.size) >= 480
    with pytest.raises(DatasetError):
        run("seqformer-coco", "--data", f"ytvis={save_ytvis(tmp_path / 'vis', NAMES)}", *order[3:])
    far = save_coco(tmp_path / "far", {1: "person", 2: "bicycle", 91: "lamp"})
    with pytest.raises(DatasetError, match="lamp"):
        run("seqformer-coco", "--data", f"coco={far}", *order[3:])


def test_the_small_recipe_sees_smaller_clips(tmp_path: Path, seen: dict[str, Any]) -> None:
    root = tmp_path / "isd"
    save_ytvis(root, NAMES)
    (root / "train.json").rename(root / "train" / "instances.json")
    for number in (1, 2):
        (root / "train" / "JPEGImages" / f"v{number}").rename(root / "train" / f"v{number}")
    (root / "train" / "JPEGImages").rmdir()
    run(
        "msstsvis-r18",
        "--data",
        f"isd={root}",
        "--init",
        tmp_path / "resnet18.pth",
        "--out",
        tmp_path / "run",
    )
    recipe = seen["recipe"]
    assert (recipe.name, recipe.separability, recipe.batch) == ("msstsvis-r18", True, 4)
    clip = recipe.sources[0].draw(np.random.default_rng(0), 0)
    assert max(clip.size) <= 384
    with torch.device("meta"):
        assert recipe.build().size.width == 128


def test_videos_that_validate_are_not_trained_on(tmp_path: Path, seen: dict[str, Any]) -> None:
    vis = save_ytvis(tmp_path / "vis", NAMES)
    save_ytvis(tmp_path / "vis", NAMES, split="valid")
    data = ("--data", f"ytvis={vis}", "--init", tmp_path / "resnet.pth", "--out", tmp_path / "run")
    run("seqformer", *data, "--validate", vis, "--validate-every", 7)
    assert seen["validate"].keywords["dataset"].path == vis / "valid.json"
    assert seen["validate_every"] == 7
    other = save_ytvis(tmp_path / "other", {1: "lamp", 2: "otter"})
    for root, reason in ((vis, "both trained on and validated on"), (other, "other categories")):
        with pytest.raises(DatasetError, match=reason):
            run("seqformer", *data, "--validate", root / "train.json")


@pytest.mark.parametrize(
    ("data", "init", "kind", "named"),
    [
        pytest.param(["vis"], "resnet.pth", DatasetError, "one of coco, isd, ovis, ytvis", id="layout"),
        pytest.param(
            ["ytvis=vis", "ytvis=other"], "resnet.pth", DatasetError, "other.train", id="categories"
        ),
        pytest.param(["ytvis=many"], "resnet.pth", DatasetError, "1 to 41: heron", id="number"),
        pytest.param(["ytvis=vis"], None, TrainingError, "--init", id="weights"),
    ],
)
def test_wrong_data_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: list[str],
    init: str | None,
    kind: type[Exception],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_ytvis(tmp_path / "vis", NAMES)
    save_ytvis(tmp_path / "other", {1: "lamp", 2: "otter"})
    save_ytvis(tmp_path / "many", NAMES | {42: "heron"})
    options = [word for root in data for word in ("--data", root)] + (["--init", init] if init else [])
    with pytest.raises(kind, match=named):
        run("seqformer", *options, "--out", "run")
