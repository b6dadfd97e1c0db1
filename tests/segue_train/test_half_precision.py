"""Networks of the papers in half precision: `16-mixed` on CUDA devices, which STCN takes by itself there.

On a processor the same goes through `bf16-mixed`, for half precision has no scaled gradients there.
"""

from __future__ import annotations

import csv
import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from segue.datasets.foreground.cdnet import open_cdnet
from segue.datasets.foreground.sets import open_hofam
from segue.weights import read_checkpoint
from segue_train.data.footage import gather
from segue_train.recipe import Precision, Recipe, RunSettings
from segue_train.recipes.hofam import HofamRecipe
from segue_train.recipes.mustan import MustanRecipe
from segue_train.recipes.stcn import STCNRecipe
from tests.needs import needs
from tests.segue_train.making import write_all
from tests.segue_train.scenes import save_composites, save_scene

needs("tensorboard")
train = importlib.import_module("segue_train.loop").train

PLACES = [
    pytest.param("cpu", "bf16-mixed", marks=pytest.mark.slow),
    pytest.param(
        "cuda",
        "16-mixed",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
        ],
    ),
]


def stcn(root: Path) -> Recipe:
    return STCNRecipe(3, gather(map(str, write_all(root)), report=print).videos, batch=1, side=32)


def mustan(root: Path) -> Recipe:
    save_scene(root, "baseline", "yard")
    return MustanRecipe("mustan2", [list(open_cdnet(root))], {"width": 0.125}, batch=2, size=(32, 32))


def hofam(root: Path) -> Recipe:
    return HofamRecipe("hofam", list(open_hofam(save_composites(root))), gf=1, batch=1)


@pytest.mark.parametrize(("accelerator", "precision"), PLACES)
@pytest.mark.parametrize("make", [stcn, mustan, hofam])
def test_a_network_learns_in_half_precision_and_goes_on(
    make: Callable[[Path], Recipe], accelerator: str, precision: Precision, tmp_path: Path
) -> None:
    assert precision in get_args(Precision)
    recipe = make(tmp_path / "data")
    half = 3 if accelerator == "cpu" else 20  # steps; the scale falls in the first ones until gradients fit
    settings = RunSettings(
        out=tmp_path / "run",
        steps=2 * half,
        until=half,
        accelerator=accelerator,
        precision=precision,
        log_every=1,
        report=lambda text: None,
    )
    first = read_checkpoint(train(recipe, settings)).tensors
    if precision == "16-mixed":
        saved = torch.load(settings.out / "last.ckpt", map_location="cpu", weights_only=True)
        assert saved["precision"]["scale"] >= 1
    last = read_checkpoint(train(recipe, replace(settings, until=None, resume=True)))
    assert last.metadata["step"] == str(2 * half)
    assert {value.dtype for value in last.tensors.values() if value.is_floating_point()} == {torch.float32}
    assert all(torch.isfinite(value).all() for value in last.tensors.values())
    moved = [name for name, value in last.tensors.items() if not torch.equal(value, first[name])]
    assert len(moved) > len(last.tensors) / 2
    for folder in ("from-0", f"from-{half}"):
        with (settings.out / "logs" / folder / "metrics.csv").open() as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file)]
        assert len(losses) == half
        assert all(map(math.isfinite, losses))
