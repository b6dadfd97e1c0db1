"""``segue train`` for the foreground networks of the papers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import DatasetError, FlowError, SegueError, TrainingError
from segue.models.hofam import HOFAM
from tests.flow.files import save_flo
from tests.segue_train.commands import run
from tests.segue_train.scenes import save_scene


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cdnet")
    save_scene(root, "baseline", "yard", frames=4)
    save_scene(root, "baseline", "office", frames=4)
    return root


def test_hofam_is_trained_resumed_and_loaded_as_it_was_built(root: Path, tmp_path: Path) -> None:
    command = (
        "hofam", "--data", f"cdnet={root}", "--exclude", "office", "--validate", "--validate-every", 1,
        "--flow-mode", "single", "--gf", 2, "--levels", 6, "--batch", 1, "--steps", 2, "--log-every", 1,
        "--workers", 0, "--device", "cpu", "--out", tmp_path,
    )  # fmt: skip
    first = run(*command, "--until", 1)
    assert "1 real and 0 rendered videos to learn from, 1 left out" in first
    assert "step 1/2  score 0." in first
    assert "step 2/2" in run(*command, "--resume")
    for name in ("stam.safetensors", "stam-best.safetensors"):
        network = segue.load("stam", weights=tmp_path / name)
        assert isinstance(network, HOFAM)
        assert network.options == {"gf": 2, "flow_mode": "single", "levels": 6, "attention": True}


def test_hofam_learns_from_the_flow_files_of_another_program_without_attention(
    root: Path, tmp_path: Path
) -> None:
    for name in ("yard", "office"):
        for index in range(4):
            save_flo(tmp_path / f"flow/baseline/{name}/{index}.flo", np.full((48, 64, 2), index / 4))
    command = (
        "hofam", "--data", f"cdnet={root}", "--exclude", "office", "--validate", "--validate-every", 1,
        "--flow-mode", "single", "--flow", tmp_path / "flow", "--no-attention", "--gamma", 2, "--gf", 2,
        "--levels", 6, "--batch", 1, "--steps", 1, "--log-every", 1, "--workers", 0, "--device", "cpu",
    )  # fmt: skip
    assert "score 0." in run(*command, "--out", tmp_path / "run")
    network = segue.load("stam", weights=tmp_path / "run" / "stam.safetensors")
    assert isinstance(network, HOFAM)
    assert not network.attn
    (tmp_path / "flow/baseline/yard/0.flo").unlink()
    (tmp_path / "flow/baseline/yard/1.flo").unlink()
    with pytest.raises(FlowError):
        run(*command, "--out", tmp_path / "again")


@pytest.mark.parametrize("name", ["pspnet", "deeplabv3plus"])
def test_networks_of_another_library_are_trained_and_loaded(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)  # as if it were not installed
    command = ("semantic", "--architecture", name, "--data", f"cdnet={root}", "--steps", 1, "--out", tmp_path)
    with pytest.raises(SegueError, match="pip install segmentation-models-pytorch"):
        run(*command, "--batch", 2, "--workers", 0, "--device", "cpu")
    monkeypatch.syspath_prepend(Path(__file__).with_name("libraries"))
    monkeypatch.delitem(sys.modules, "segmentation_models_pytorch")
    options = ("--exclude", "office", "--validate", "--batch", 2, "--workers", 0, "--device", "cpu")
    said = run(*command, *options, "--overwrite", "--validate-every", 1)
    assert "score 0." in said
    assert "s/step  0 s left" in said
    (log,) = tmp_path.glob("logs/*/metrics.csv")
    assert "seconds_per_step" in log.read_text(), "a run of fewer steps than --log-every has a row"
    network = segue.load(name, weights=tmp_path / f"{name}.safetensors")
    assert network(torch.rand(1, 3, 64, 96)).shape == (1, 1, 64, 96)
    results = segue.foreground(
        np.zeros((2, 40, 60, 3), np.uint8), model=name, weights=tmp_path / f"{name}.safetensors", device="cpu"
    )
    assert [result.mask.shape for result in results] == [(40, 60)] * 2


def test_options_of_mustan_reach_the_network(root: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    data = ("--data", f"cdnet={root}", "--data", f"isd={root / 'baseline'}", "--out", tmp_path)
    run("mustan2", *data, "--frames", 5, "--frm", "concat", "--background", "--size", "96x128")
    recipe = seen["recipe"]
    assert (recipe.name, recipe.size, len(recipe.sources)) == ("mustan2", (96, 128), 2)
    with torch.device("meta"):
        network = recipe.build()
    assert network.offsets == (-6, -3, 0, 3, 6)
    assert network.background == "past"
    assert seen["validate"] is None
    changed = ("--causal", "--context", "early", "--no-rlim", "--width", "0.5")
    run("mustan1", *data, *changed, "--exclude", "office", "--validate")
    options = {"frames": 3, "causal": True, "frm": "attention", "context": "early"}
    small = {
        "background": False,
        "depth_channels": 0,
        "rlim": False,
        "width": 0.5,
        "scales": 5,
        "normals": False,
    }
    assert seen["recipe"].options == {**options, **small}
    assert [video.name for video, _ in seen["validate"].keywords["videos"]] == ["office", "office"]


def test_a_scene_is_learned_from_the_published_frames(
    root: Path, tmp_path: Path, seen: dict[str, Any]
) -> None:
    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"baseline": {"yard": {"25": [1, 3, 4]}}}), encoding="utf-8")
    scene = root / "baseline" / "yard"
    said = run("fgsegnet", scene, "--frames", 25, "--frame-list", lists, "--epochs", 10, "--out", tmp_path)
    assert "baseline/yard: 2 frames to learn from, 1 to validate" in said
    assert seen["steps"] == 20
    with pytest.raises(DatasetError, match="baseline/office"):
        run(
            "fgsegnet", root / "baseline" / "office", "--frames", 25, "--frame-list", lists, "--out", tmp_path
        )


def test_mustan_learns_from_the_frames_of_a_list(root: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    lists = tmp_path / "lists.json"
    frames = {name: {"200": [1, 3, 4], "25": [3]} for name in ("yard", "office")}
    lists.write_text(json.dumps({"baseline": frames}), encoding="utf-8")
    order = ("mustan2", "--data", f"cdnet={root}", "--frame-list", lists, "--out", tmp_path / "run")
    run(*order)
    assert {tuple(video.truths) for videos in seen["recipe"].sources for video in videos} == {(1, 3, 4)}
    run(*order, "--labelled", 25)
    assert {tuple(video.truths) for videos in seen["recipe"].sources for video in videos} == {(3,)}


def test_one_fgsegnet_learns_from_several_scenes(root: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    data = ("--data", f"cdnet={root}", "--out", tmp_path)
    said = run("fgsegnet", *data, "--frames", 3, "--epochs", 10)
    videos = [video.key for video, _ in seen["recipe"].scenes]
    assert f"{len(videos)} scenes: {2 * len(videos)} frames to learn from, {len(videos)} to validate" in said
    assert seen["steps"] == 20 * len(videos)
    run("fgsegnet", *data, "--frames", 3, "--epochs", 10, "--steps", 7)
    assert (seen["steps"], seen["validate_every"]) == (7, 2 * len(videos))
    run("fgsegnet", *data, "--frames", 5, "--exclude", "office")
    assert [video.key for video, _ in seen["recipe"].scenes] == [
        name for name in videos if "office" not in name
    ]
    run(
        "fgsegnet", root / "baseline" / "office", root / "baseline" / "yard", "--frames", 5, "--out", tmp_path
    )
    assert [video.name for video, _ in seen["recipe"].scenes] == ["office", "yard"]
    with pytest.raises(TrainingError):
        run("fgsegnet", "--out", tmp_path)
    with pytest.raises(TrainingError):
        run("fgsegnet", root / "baseline" / "office", "--fold", 0, "--out", tmp_path)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--depth", "no video brings depth maps"),
        ("--normals", "no video brings normals"),
        ("--validate", "--exclude or --fold"),
        *(
            (f"--size={size}", f"size is '{size}', but must be height and width")
            for size in ("240", "axb", "-1x40", "240x")
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    root: Path, tmp_path: Path, option: str, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        run("mustan2", "--data", f"cdnet={root}", "--out", tmp_path, option)
