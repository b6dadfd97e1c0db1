"""Every recipe takes steps on a device that is not the processor; all that it computes with goes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.datasets.foreground.folder import ForegroundSequence, read_video
from segue.datasets.foreground.sets import open_hofam
from segue.models.msstsvis import MSSTSVIS
from segue.models.seqformer import SeqFormer
from segue_train.data.clips import ClipShape
from segue_train.data.footage import Material, gather
from segue_train.data.foreground import pool as foreground_pool
from segue_train.data.foreground.samples import Sample
from segue_train.data.instance_clips import NamedFootage
from segue_train.data.warp import Rng
from segue_train.recipes.cutie import CutieRecipe
from segue_train.recipes.fgsegnet import FgSegNetRecipe
from segue_train.recipes.hofam import HofamRecipe
from segue_train.recipes.msstsvis import LiteRecipe, PublishedRecipe
from segue_train.recipes.mustan import MustanRecipe
from segue_train.recipes.mustan_lite import RetainingObjective
from segue_train.recipes.stcn import STCNRecipe
from segue_train.recipes.stcn_lite import STCNLiteRecipe
from segue_train.recipes.stm import STMRecipe
from segue_train.recipes.xmem import XMemRecipe
from segue_train.trunks import SHIPPED
from tests.logical_device import DEVICE, LogicalDevice
from tests.segue_train.making import write_all
from tests.segue_train.scenes import save_composites, save_scene
from tests.segue_train.small_recipes import SmallMustanLite, SmallPrompt
from tests.segue_train.test_instance_recipe import TINY, SmallClips


@dataclass(frozen=True)
class TrainingData:
    """Tiny data of every kind."""

    material: Material
    video: ForegroundSequence
    composites: ForegroundSequence
    pool: Path


class Squares:
    """Draws a bright square on a dark ground."""

    def samples(self, rng: Rng) -> list[Sample]:
        window, background = np.zeros((3, 48, 64, 3), np.uint8), np.zeros((48, 64, 23), np.uint8)
        labels = np.zeros((48, 64), np.uint8)
        left = int(rng.integers(0, 40))
        window[-1, 8:24, left : left + 16], labels[8:24, left : left + 16] = 200, 255
        return [Sample(window, background, labels)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = tmp_path_factory.mktemp("data")
    foreground_pool.fill(folder / "pool", [(Squares(), 4)], 1, 0, {"data": "squares"}, print)
    return TrainingData(
        gather(map(str, write_all(folder / "labelled")), report=print),
        read_video(save_scene(folder / "cdnet", "baseline", "yard"), "baseline"),
        next(iter(open_hofam(save_composites(folder / "composites")))),
        folder / "pool",
    )


def lite_of_instances(data: TrainingData) -> LiteRecipe:
    named = [NamedFootage.of(video, {video.name: ("dog", "cat")}) for video in data.material.videos]
    return LiteRecipe([(1.0, named)], shape=ClipShape(1, 2, 64, 2))


def published_instances(kind: type[SeqFormer]) -> PublishedRecipe:
    size = replace(TINY, classes=3)
    return PublishedRecipe("tiny", lambda: kind("r18", size), [SmallClips()], 1, kind is MSSTSVIS)


def pooled(data: TrainingData, **options: Any) -> SmallMustanLite:
    return SmallMustanLite(data.pool, batch=2, start=SHIPPED, **options)


def lite_tracker(data: TrainingData, **options: Any) -> STCNLiteRecipe:
    return STCNLiteRecipe(data.material.videos, data.material.stills, **options)


RECIPES: dict[str, Callable[[TrainingData], Any]] = {
    "mustan-lite": pooled,
    "mustan-lite that keeps": partial(pooled, keep=10.0),
    "mustan-lite with flow": partial(pooled, flow="dis", class_in_scale="gated"),
    "segue-prompt": lambda data: SmallPrompt(groups=[(1.0, data.material.stills)]),
    "stcn-lite": lite_tracker,
    "stcn-lite as sessions read": partial(lite_tracker, reading="session"),
    "stcn-lite with a teacher": partial(lite_tracker, teacher="stcn-lite"),
    "msstsvis-lite": lite_of_instances,
    "seqformer": lambda data: published_instances(SeqFormer),
    "msstsvis": lambda data: published_instances(MSSTSVIS),
    "mustan1": lambda data: MustanRecipe("mustan1", [[data.video]], {"width": 0.125}, batch=2, size=(32, 32)),
    "mustan2": lambda data: MustanRecipe("mustan2", [[data.video]], {"width": 0.125}, batch=2, size=(32, 32)),
    "hofam": lambda data: HofamRecipe("hofam", [data.composites], gf=1, levels=6, batch=1),
    "stam": lambda data: HofamRecipe("stam", [data.composites], gf=1, levels=6, batch=1),
    "fgsegnet": lambda data: FgSegNetRecipe([(data.video, ((0, 3, 5), (7,)))]),
    "stcn": lambda data: STCNRecipe(3, data.material.videos, batch=1, side=32),
    "xmem": lambda data: XMemRecipe(0, data.material.stills, batch=1, side=32),
    "cutie": lambda data: CutieRecipe(0, data.material.stills, size="small", batch=1, side=32, points=64),
    "stm": lambda data: STMRecipe(1, data.material.videos, batch=1, side=32),
}


SLOW = {"stcn", "xmem", "stm", "mustan1", "stam", "seqformer", "msstsvis", "segue-prompt"}
"""The others prove the steps that these share with them; ``make test-slow`` runs all."""


@pytest.mark.usefixtures("small_clips")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in RECIPES],
)
def test_a_recipe_learns_on_a_device(name: str, data: TrainingData) -> None:
    torch.manual_seed(0)
    recipe = RECIPES[name](data)
    objective = recipe.network()
    batches = recipe.batches(2, seed=1)
    with LogicalDevice():
        objective.to(DEVICE).train()
        groups = recipe.parameter_groups(objective)
        optimizer = recipe.optimizer(groups)
        for step in range(2):
            batch = {part: value.to(DEVICE) for part, value in batches[step].items()}
            loss, parts = objective(batch, step / 2, step)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        values = [value.cpu() for value in (loss, *parts.values())]
    assert all(value.isfinite() for value in values)
    assert all(value.device == DEVICE for group in groups for value in group["params"])


def test_the_network_that_a_training_stays_with_is_in_no_checkpoint(data: TrainingData) -> None:
    plain, retaining = pooled(data).network(), pooled(data, keep=10.0).network()
    assert retaining.state_dict().keys() == plain.state_dict().keys()
    assert len(list(retaining.parameters())) == len(list(plain.parameters()))
    retaining.train()
    assert isinstance(retaining, RetainingObjective)
    assert not any(part.training for part in retaining.start.network.modules())
    assert not any(value.requires_grad for value in retaining.start.network.parameters())
