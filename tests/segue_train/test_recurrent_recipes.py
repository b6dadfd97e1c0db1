"""Recipes of XMem and Cutie: one step of each, the published numbers, and what the stages start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segue.models.cutie import Cutie
from segue.weights import write_checkpoint
from segue_train.data.clips import Clip
from segue_train.data.footage import Material, gather
from segue_train.data.stcn_data import SampleBatches, VideoSamples, paste
from segue_train.recipes import stcn
from segue_train.recipes.cutie import GROWING, CutieRecipe
from segue_train.recipes.xmem import XMemRecipe
from tests.segue_train.making import write_all


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return gather(map(str, write_all(tmp_path_factory.mktemp("data"))), report=print)


def step(recipe: Any, batch: dict[str, Tensor]) -> tuple[nn.Module, set[str]]:
    """The module after one step, and the tensors that moved."""
    module = recipe.network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = recipe.optimizer(recipe.parameter_groups(module))
    loss, parts = module(batch, 0.0, 0)
    assert 0 < float(loss.detach()) < 1000
    assert sum(float(part.detach()) for part in parts.values()) == pytest.approx(
        float(loss.detach()), rel=1e-4
    )
    loss.backward()
    optimizer.step()
    return module, {
        name for name, value in module.state_dict().items() if not torch.equal(value, before[name])
    }


def clip_batch(material: Material, slots: int) -> dict[str, Tensor]:
    """A small clip of a video; the made videos are shorter than those that the recipes ask for."""
    samples = VideoSamples(material.videos, 32, slots=slots)
    return SampleBatches(1, 0, samples, 1)[0]


@pytest.mark.parametrize("stage", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_a_step_of_xmem_trains_all_but_the_statistics_of_norms(material: Material, stage: int) -> None:
    recipe = XMemRecipe(stage, material.stills if stage == 0 else material.videos, batch=1, side=32)
    batch = recipe.batches(1, 0)[0] if stage == 0 else clip_batch(material, 3)
    module, moved = step(recipe, batch)
    assert not any("running" in name or "batches_tracked" in name for name in moved)
    learned = {name for name, _ in module.named_parameters()}
    assert {"network.decoder.hidden_update.transform.weight", "network.key_proj.e_proj.weight"} <= moved
    assert len(moved & learned) > 0.9 * len(learned)


@pytest.mark.parametrize("stage", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_step_of_cutie_trains_all_but_the_statistics_of_norms(material: Material, stage: int) -> None:
    footage = material.stills if stage == 0 else material.videos
    recipe = CutieRecipe(stage, footage, size="small", batch=1, side=32, points=64)
    batch = recipe.batches(1, 0)[0] if stage == 0 else clip_batch(material, 3)
    module, moved = step(recipe, batch)
    assert not any("running" in name or "inv_freq" in name for name in moved)
    learned = {name for name, _ in module.named_parameters()}
    assert {"network.object_transformer.query_init.weight", "network.pixel_encoder.conv1.weight"} <= moved
    assert len(moved & learned) > 0.9 * len(learned)


def test_pasted_objects_cover_and_get_the_next_ids() -> None:
    grey, white = np.full((20, 20, 3), 90, np.uint8), np.full((20, 20, 3), 255, np.uint8)
    mask, front = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    mask[2:12, 2:12] = 1
    front[8:18, 8:18], front[0:4, 14:18] = 1, 2
    joined = paste(Clip([grey], [mask]), Clip([white], [front]), 1, 1)
    assert joined.masks[0][10, 10] == 2
    assert joined.masks[0][4, 4] == 1
    assert joined.masks[0][1, 15] == 0  # there was room for one object
    assert joined.frames[0][13, 13].tolist() == [255, 255, 255]
    assert 90 < joined.frames[0][8, 13, 0] < 255


def test_a_video_stage_adds_orthogonal_channels_to_stage_0(tmp_path: Path) -> None:
    first = Cutie("small", single_object=True)
    write_checkpoint(tmp_path / "c0.safetensors", first.state_dict(), {})
    second = Cutie("small")
    stcn.fill(second, tmp_path / "c0.safetensors", GROWING)
    stem = second.mask_encoder.conv1.weight
    assert torch.equal(stem[:, :4], first.mask_encoder.conv1.weight)
    torch.testing.assert_close(stem[:, 4].flatten(1).T @ stem[:, 4].flatten(1), torch.eye(49))
    compress = second.pixel_fuser.sensory_compress.weight
    assert torch.equal(compress[:, :257], first.pixel_fuser.sensory_compress.weight)
    assert float(compress[:, 257].detach().norm()) == pytest.approx(1, abs=1e-4)
