"""STM in training: the published pass, its samples, two steps of it, and what it starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

import segue
from segue.errors import CheckpointError, DatasetError, TrainingError
from segue.layers.colours import normalise
from segue.models.stm import STM
from segue.weights import write_checkpoint
from segue_train.clip_pass import clip_logits, object_masks
from segue_train.data.footage import gather
from segue_train.recipes import stm
from segue_train.recipes.stm import STMRecipe
from tests.clips import clip
from tests.golden_arrays import Golden
from tests.segue_train.commands import run
from tests.segue_train.making import write_all, write_stills


@torch.no_grad()
def golden_clip(network: STM) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-odds (1, 2, 3, H, W) of the second and third frame of the golden clip, and its masks."""
    frames, masks = clip(11, 10, 96, 144, 2)
    planes = torch.cat([normalise(torch.from_numpy(frame)) for frame in frames[:3]])[None]
    ids = torch.from_numpy(masks[None, :3]).long()
    return clip_logits(network, planes, object_masks(ids[:, 0], 2), torch.ones(1, 2)), ids


def test_the_pass_of_a_clip_is_the_published_inference(
    stm_network: STM, golden: Callable[[str], Golden]
) -> None:
    expected = golden("stm_clip2")
    logits, _ = golden_clip(stm_network)
    found = torch.softmax(logits[0], dim=1)
    labels = Golden("stm_clip2", {"argmax": expected["argmax"][1:3]})
    labels.check("argmax", found.argmax(1).to(torch.uint8))
    np.testing.assert_allclose(found.mean((2, 3)).T, expected["meanprob"][:3, 1:3], atol=1e-5)


def test_two_steps_are_trained_and_the_result_follows(tmp_path: Path) -> None:
    footage = gather([str(write_all(tmp_path)[0])], report=print).videos
    recipe = STMRecipe(1, footage, batch=1, side=32)
    module = recipe.network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = recipe.optimizer(recipe.parameter_groups(module))
    batches = recipe.batches(2, 1)
    for i in range(2):
        loss, parts = module(batches[i], i / 2, i)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert 0 < float(loss.detach()) < 100
        assert float(loss.detach()) == pytest.approx(sum(float(part.detach()) for part in parts.values()))
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert not any("running" in name for name in moved)
    assert {"network.Encoder_M.conv1_o.weight", "network.Encoder_Q.conv1.weight"} <= moved
    trained = cast(STM, module.network)
    write_checkpoint(tmp_path / "stm.safetensors", trained.state_dict(), {})
    frames, masks = clip(5, 2, 32, 48, 2)
    tracker = cast(STM, segue.load("stm", tmp_path / "stm.safetensors"))
    *_, result = segue.track(list(frames), {0: masks[0]}, model=tracker, device="cpu")
    assert result.ids == (1, 2)


def test_stills_give_clips_of_up_to_three_objects(tmp_path: Path) -> None:
    stills = gather([str(write_stills(tmp_path / "stills", *clip(4, 3, 64, 80, 4)))], report=print).stills
    batches = STMRecipe(0, stills, batch=2, side=64).batches(6, 1)
    ids: set[int] = set()
    for i in range(6):
        assert batches[i]["frames"].shape == (2, 3, 3, 64, 64)
        ids |= set(batches[i]["masks"].unique().tolist())
    assert ids == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("options", "kind", "named"),
    [
        pytest.param("--data STILLS", TrainingError, "ResNet-50", id="start"),
        pytest.param("--data VIDEOS --start START", DatasetError, "stage 0", id="videos"),
        pytest.param("--data STILLS --start START --side 40", TrainingError, "multiple of 16", id="side"),
    ],
)
def test_the_command_asks_for_what_it_needs(
    tmp_path: Path, options: str, kind: type[Exception], named: str
) -> None:
    videos, stills = write_all(tmp_path)
    places = {"VIDEOS": videos, "STILLS": stills, "START": tmp_path / "start.safetensors"}
    words = [places.get(word, word) for word in options.split()]
    with pytest.raises(kind, match=named):
        run("stm", "--stage", 0, *words, "--out", tmp_path / "run")


def test_both_encoders_start_from_one_resnet(tmp_path: Path) -> None:
    source, network = STM(), STM()
    names = {"res2": "layer1", "res3": "layer2", "res4": "layer3"}
    tensors = {}
    for name, tensor in source.Encoder_Q.state_dict().items():
        stage, dot, rest = name.partition(".")
        tensors[names.get(stage, stage) + dot + rest] = tensor
    write_checkpoint(tmp_path / "r50.safetensors", {**tensors, "fc.weight": torch.zeros(10, 2048)}, {})
    own = network.Encoder_M.conv1_m.weight.clone()
    stm.load_trunk(network, tmp_path / "r50.safetensors")
    for encoder in (network.Encoder_Q, network.Encoder_M):
        for name, tensor in source.Encoder_Q.state_dict().items():
            assert torch.equal(encoder.state_dict()[name], tensor), name
    assert torch.equal(network.Encoder_M.conv1_m.weight, own)
    write_checkpoint(tmp_path / "less.safetensors", {"conv1.weight": tensors["conv1.weight"]}, {})
    with pytest.raises(CheckpointError, match=r"less\.safetensors: .*missing"):
        stm.load_trunk(network, tmp_path / "less.safetensors")
