"""A tracking network that teaches another one."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from segue.errors import CheckpointError
from segue.weights import load
from segue_train.data.clips import ClipBatches, ClipShape
from segue_train.data.footage import VOID, Material, gather
from segue_train.recipe import Batch
from segue_train.recipes.stcn_lite import STCNLiteRecipe
from segue_train.teacher import Teacher, distillation_loss
from tests.cli.running import Command
from tests.segue_train.making import write_all


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return gather(map(str, write_all(tmp_path_factory.mktemp("data"))), report=print)


@pytest.fixture(scope="module")
def batch(material: Material) -> Batch:
    sampler = STCNLiteRecipe(material.videos, material.stills).sampler()
    return ClipBatches(1, 0, sampler, lambda *_: (ClipShape(2, 3, 48, 2), 0.5, 2))[0]


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher("stcn-lite")


def test_a_teacher_gives_the_masks_of_a_session(teacher: Teacher) -> None:
    frames = torch.full((2, 3, 3, 48, 64), 40, dtype=torch.uint8)
    masks = torch.zeros(2, 48, 64, dtype=torch.uint8)
    for t in range(3):
        frames[:, t, :, 10:34, 10 + 4 * t : 34 + 4 * t] = 230
    masks[0, 10:34, 10:34] = 2
    masks[1, :4] = VOID  # nothing to follow in the second clip
    soft = teacher.probabilities(frames, masks, 2)
    assert soft.shape == (2, 2, 3, 48, 64)
    torch.testing.assert_close(soft.sum(2), torch.ones(2, 2, 48, 64))
    assert soft[0, :, 2, 16:28, 20:30].min() > 0.5, "the object has the channel of its id"
    assert soft[0, :, 1].max() == 0
    assert soft[1, :, 0].min() == 1


def test_the_loss_is_least_where_the_student_says_the_same() -> None:
    target = torch.rand(1, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(2)
    same, other = distillation_loss(target.log(), target), distillation_loss(target.roll(1, 2).log(), target)
    entropy = -(target * target.log()).sum(2).mean()
    torch.testing.assert_close(same, entropy)
    assert other > same


def test_a_student_learns_from_a_teacher_which_stays_as_it_is(material: Material, batch: Batch) -> None:
    recipe = STCNLiteRecipe(material.videos, material.stills, teacher="stcn-lite", teacher_share=4.0)
    torch.manual_seed(0)
    module = recipe.network().train()
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    known, losses = load("stcn-lite").state_dict(), []
    for _ in range(8):
        optimizer.zero_grad()
        loss, parts = module(batch, 0.0, 0)
        loss.backward()
        optimizer.step()
        losses.append(float(parts["teacher"].detach()))
    assert losses[-1] < 0.7 * losses[0]
    taught = module.loss.keywords["teacher"]
    network = taught._prepared.network
    assert all(parameter.grad is None for parameter in network.parameters())
    frames, masks = batch["frames"], batch["masks"][:, 0]
    fresh = Teacher("stcn-lite").probabilities(frames, masks, 2)
    assert torch.equal(taught.probabilities(frames, masks, 2), fresh)
    assert not {name for name in module.state_dict() if "teacher" in name}
    assert all(torch.equal(value, known[name]) for name, value in load("stcn-lite").state_dict().items())


def test_a_teacher_goes_to_other_processes_without_its_network(teacher: Teacher) -> None:
    other = pickle.loads(pickle.dumps(teacher))
    assert other == teacher
    assert other._prepared is None


def test_a_teacher_without_weights_is_refused_before_data_are_read(command: Command, tmp_path: Path) -> None:
    outcome = command(
        *("train", "stcn-lite", "--data", tmp_path / "none", "--start", "shipped"),
        *("--teacher", "cutie", "--out", tmp_path / "out"),
    )
    assert outcome.code == 2
    assert "segue weights get cutie" in outcome.err
    with pytest.raises(CheckpointError, match="segue weights get xmem"):
        Teacher("xmem")
