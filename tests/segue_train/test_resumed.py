"""Every recipe: a run that was interrupted and resumed ends with the weights of one that was not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.datasets.foreground.folder import ForegroundSequence, read_video
from segue.datasets.foreground.sets import open_hofam
from segue.models.msstsvis import MSSTSVIS
from segue.models.seqformer import SeqFormer
from segue.weights import read_checkpoint
from segue_train.data.clips import ClipShape
from segue_train.data.footage import Material, gather
from segue_train.data.foreground import pool as foreground_pool
from segue_train.data.foreground.samples import Sample
from segue_train.data.instance_clips import NamedFootage
from segue_train.data.warp import Rng
from segue_train.recipes import stcn_lite
from segue_train.recipes.cutie import CutieRecipe
from segue_train.recipes.fgsegnet import FgSegNetRecipe
from segue_train.recipes.hofam import HofamRecipe
from segue_train.recipes.msstsvis import LiteRecipe, PublishedRecipe
from segue_train.recipes.mustan import MustanRecipe
from segue_train.recipes.stcn import STCNRecipe
from segue_train.recipes.stm import STMRecipe
from segue_train.recipes.xmem import XMemRecipe
from tests.needs import needs
from tests.segue_train.making import write_all
from tests.segue_train.scenes import save_composites, save_scene
from tests.segue_train.small_recipes import SmallMustanLite, SmallPrompt
from tests.segue_train.test_instance_recipe import TINY, SmallClips

needs("tensorboard")
loop = importlib.import_module("segue_train.loop")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return gather(map(str, write_all(tmp_path_factory.mktemp("data"))), report=print)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> ForegroundSequence:
    return read_video(save_scene(tmp_path_factory.mktemp("cdnet"), "baseline", "yard"), "baseline")


@pytest.fixture(scope="module")
def composites(tmp_path_factory: pytest.TempPathFactory) -> ForegroundSequence:
    return next(iter(open_hofam(save_composites(tmp_path_factory.mktemp("composites")))))


def require_same_end(recipe: Any, folder: Path) -> None:
    """Train two steps at once, and one after another; random numbers drawn between must not matter."""
    settings = loop.RunSettings(folder / "whole", 2, seed=1, accelerator="cpu", report=lambda _: None)
    whole = read_checkpoint(loop.train(recipe, settings)).tensors
    parts = replace(settings, out=folder / "parts")
    loop.train(recipe, replace(parts, until=1))
    torch.manual_seed(9)
    resumed = read_checkpoint(loop.train(recipe, replace(parts, resume=True))).tensors
    assert [name for name, value in whole.items() if not torch.equal(value, resumed[name])] == []


@pytest.mark.parametrize("name", ["hofam", "stam"])
def test_hofam_and_stam(name: Any, composites: ForegroundSequence, tmp_path: Path) -> None:
    require_same_end(HofamRecipe(name, [composites], gf=2, levels=6, batch=1), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mustan1", "mustan2"])
def test_mustan(name: Any, video: ForegroundSequence, tmp_path: Path) -> None:
    require_same_end(MustanRecipe(name, [[video]], batch=2, size=(32, 32)), tmp_path)


def test_mustan_lite(tmp_path: Path) -> None:
    class Squares:
        """A bright square on a dark ground."""

        def samples(self, rng: Rng) -> list[Sample]:
            window, background = np.zeros((3, 48, 64, 3), np.uint8), np.zeros((48, 64, 21), np.uint8)
            labels = np.zeros((48, 64), np.uint8)
            left = int(rng.integers(0, 40))
            window[-1, 8:24, left : left + 16], labels[8:24, left : left + 16] = 200, 255
            return [Sample(window, background, labels)]

    foreground_pool.fill(tmp_path / "pool", [(Squares(), 8)], 1, 0, {"data": "squares"}, print)
    require_same_end(SmallMustanLite(tmp_path / "pool", batch=2), tmp_path)


def test_segue_prompt(material: Material, tmp_path: Path) -> None:
    require_same_end(SmallPrompt(groups=[(1.0, material.stills)]), tmp_path)


@pytest.mark.usefixtures("small_clips")
@pytest.mark.parametrize("teacher", [pytest.param(None, marks=pytest.mark.slow), "stcn-lite"])
def test_stcn_lite(teacher: str | None, material: Material, tmp_path: Path) -> None:
    require_same_end(stcn_lite.STCNLiteRecipe(material.videos, material.stills, teacher=teacher), tmp_path)


@pytest.mark.slow
def test_msstsvis_lite(material: Material, tmp_path: Path) -> None:
    named = [NamedFootage.of(video, {video.name: ["dog", "cat"]}) for video in material.videos]
    require_same_end(LiteRecipe([(1.0, named)], shape=ClipShape(1, 2, 64, 2)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SeqFormer, MSSTSVIS])
def test_seqformer_and_msstsvis_have_dropout(kind: type[SeqFormer], tmp_path: Path) -> None:
    size = replace(TINY, classes=3, dropout=0.5)

    def build() -> SeqFormer:
        return kind("r18", size)

    recipe = PublishedRecipe("tiny", build, [SmallClips()], batch=1, separability=kind is MSSTSVIS)
    require_same_end(recipe, tmp_path)


LARGE: dict[str, Callable[[Material, ForegroundSequence], Any]] = {
    "stcn": lambda material, _: STCNRecipe(3, material.videos, batch=1, side=32),
    "xmem": lambda material, _: XMemRecipe(0, material.stills, batch=1, side=32),
    "cutie": lambda material, _: CutieRecipe(0, material.stills, size="small", batch=1, side=32, points=64),
    "stm": lambda material, _: STMRecipe(1, material.videos, batch=1, side=32),
    "fgsegnet": lambda _, video: FgSegNetRecipe([(video, ((0, 3, 5), (7,)))]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_networks(name: str, material: Material, video: ForegroundSequence, tmp_path: Path) -> None:
    require_same_end(LARGE[name](material, video), tmp_path)
