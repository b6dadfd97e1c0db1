"""Training of segue-prompt: samples, clicks, what stays, and a run of the command."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from segue.datasets.davis import ImageMaskFolder
from segue.errors import DatasetError, TrainingError
from segue.models.segue_prompt import BOX, NEGATIVE, POSITIVE, PREVIOUS, SeguePrompt
from segue.prompts.planes import tight_box
from segue_train.commands import making
from segue_train.footage import VOID, Footage
from segue_train.prompt_samples import (
    PromptBatches,
    PromptSampler,
    click_on,
    largest_error,
    left_out,
    read_sources,
)
from segue_train.recipes.prompt import PromptObjective, losses
from tests.segue_train import commands


@pytest.fixture
def stills(tmp_path: Path) -> list[Footage]:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number in range(4):
        mask = np.zeros((90, 120), np.uint8)
        cv2.circle(mask, (40 + 10 * number, 45), 20, 1, -1)
        mask[:5] = VOID
        mask[80:, 100:] = 2
        image = rng.integers(0, 255, (90, 120, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"still_{number}.png"), image)
        cv2.imwrite(str(tmp_path / "masks" / f"still_{number}.png"), mask)
    folder = ImageMaskFolder(tmp_path / "images", tmp_path / "masks")
    return [Footage(path.stem, folder, (i,)) for i, path in enumerate(folder.images)]


def test_one_still_in_ten_is_left_out_and_always_the_same() -> None:
    names = [f"picture_{number}" for number in range(2000)]
    chosen = [name for name in names if left_out(name)]
    assert 150 < len(chosen) < 250
    assert left_out("coco_000000000025") == left_out("coco_000000000025")


def test_every_sample_shows_its_object_and_says_something_true_of_it(stills: list[Footage]) -> None:
    sampler, rng = PromptSampler(read_sources([(1.0, stills)])), np.random.default_rng(3)
    kinds = set()
    for _ in range(60):
        sample = sampler.draw(rng, 64)
        inside = sample.target == 1
        said = sample.planes.any((1, 2))
        assert inside.sum() >= 16
        assert said.any()
        kinds.add(tuple(said))
        positive = sample.planes[POSITIVE] > 0
        if positive.any():
            assert (positive & inside).any()
        negative = sample.planes[NEGATIVE] > 0
        if negative.any():
            assert (negative & (sample.target == 0)).any()
        if said[BOX]:
            wide = np.array(tight_box(sample.planes[BOX])) - np.array(tight_box(inside))
            assert np.abs(wide).max() <= 0.1 * 64 + 2
    assert {(True, False, False, False), (False, False, True, False)} <= kinds


def test_a_batch_depends_on_the_seed_and_its_number_alone(stills: list[Footage]) -> None:
    def batches() -> PromptBatches:
        return PromptBatches(10, 5, PromptSampler(read_sources([(1.0, stills)])), lambda _: (64, 2))

    for name, value in batches()[7].items():
        torch.testing.assert_close(value, batches()[7][name])


def test_pictures_without_objects_are_an_error(stills: list[Footage], tmp_path: Path) -> None:
    for path in (tmp_path / "masks").iterdir():
        cv2.imwrite(str(path), np.zeros((90, 120), np.uint8))
    with pytest.raises(DatasetError, match="no picture with an object"):
        read_sources([(1.0, stills)])


def test_a_sharp_click_is_the_deepest_pixel() -> None:
    error = np.zeros((40, 60), np.bool_)
    error[10:31, 20:41] = True
    error[0:4, 50:60] = True
    assert click_on(error, np.random.default_rng(0), sharp=1.0) == (30, 20)


def test_the_deeper_error_is_asked_for() -> None:
    target = np.zeros((40, 60), np.uint8)
    target[5:35, 5:35] = 1
    target[:, 55:] = VOID
    found = np.zeros((40, 60), np.bool_)
    found[5:35, 5:30] = True
    found[10:25, 40:60] = True
    error, missing = largest_error(found, target)
    assert not missing
    assert tight_box(error) == (40, 10, 55, 25)
    error, missing = largest_error(np.zeros_like(found), target)
    assert missing
    assert error.sum() == 900


def test_a_perfect_mask_costs_nothing_and_unlabelled_pixels_do_not_count() -> None:
    targets = torch.zeros(1, 32, 32, dtype=torch.uint8)
    targets[:, 8:24, 8:24] = 1
    targets[:, :, 28:] = VOID
    logits = torch.where(targets[:, None, ::2, ::2] == 1, 40.0, -40.0).repeat(1, 3, 1, 1)
    logits[..., 14:] = 40.0
    logits = torch.nn.functional.interpolate(logits, scale_factor=2)  # no blurred edges
    loss, parts = losses(logits, torch.full((1, 3), 40.0), targets, torch.zeros(1, 4, 32, 32))
    assert parts["iou"].item() == 1
    assert loss.item() == pytest.approx(0, abs=1e-3)


def test_the_first_mask_answers_alone_and_of_the_others_the_better_one_learns() -> None:
    targets = torch.zeros(1, 32, 32, dtype=torch.uint8)
    targets[:, 8:24, 8:24] = 1
    logits = torch.zeros(1, 3, 16, 16)
    logits[0, 1] = torch.where(targets[0, ::2, ::2] == 1, 3.0, -3.0)
    logits.requires_grad_(True)
    loss, _ = losses(logits, torch.zeros(1, 3), targets, torch.zeros(1, 4, 32, 32))
    loss.backward()
    assert logits.grad is not None
    learns = logits.grad.abs().sum((0, 2, 3)) > 0
    assert learns.tolist() == [True, True, False]


def test_what_stays_carries_its_mask_and_a_click_where_it_was_most_wrong() -> None:
    torch.manual_seed(0)
    objective = PromptObjective(SeguePrompt())
    targets = torch.zeros(6, 160, 160, dtype=torch.uint8)
    targets[:, 40:120, 40:120] = 1
    planes = torch.zeros(6, 4, 160, 160, dtype=torch.uint8)
    planes[:, BOX, 40:120, 40:120] = 255
    batch = {
        "pictures": torch.randint(0, 255, (6, 3, 160, 160), dtype=torch.uint8),
        "targets": targets,
        "planes": planes,
    }
    loss, _ = objective(batch, 0.0, 0)
    assert math.isfinite(loss.item())
    kept = objective.kept
    assert len(kept["pictures"]) >= 1
    assert kept["corrections"].tolist() == [1] * len(kept["pictures"])
    for sample, target in zip(kept["planes"], kept["targets"], strict=True):
        assert sample[PREVIOUS].any()
        clicks = sample[[POSITIVE, NEGATIVE]].amax((1, 2)) > 0
        assert clicks.sum() == 1
        wanted = 1 if clicks[0] else 0
        centre = sample[POSITIVE if clicks[0] else NEGATIVE].nonzero().float().mean(0).round().int()
        assert target[centre[0], centre[1]] == wanted
    objective(batch, 0.0, 1)
    assert max(objective.kept["corrections"].tolist()) <= 2


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would run."""
    pytest.importorskip("lightning_fabric", reason="the extra train is not installed")
    found: dict[str, Any] = {}
    monkeypatch.setattr(making, "train", lambda recipe, **settings: found.update(settings, recipe=recipe))
    return found


def test_the_command_draws_kinds_by_their_shares_without_what_is_left_out(
    stills: list[Footage], tmp_path: Path, seen: dict[str, Any]
) -> None:
    for kind in ("images", "masks"):
        for number in range(40):
            (tmp_path / kind / f"other_{number}.png").write_bytes(
                (tmp_path / kind / "still_0.png").read_bytes()
            )
    options = ("--data", tmp_path, "--init", "a.safetensors", "--out", tmp_path / "run")
    text = commands.run("prompt", *options, "--share", "other=3")
    kept = [f"other_{n}" for n in range(40) if not left_out(f"other_{n}")]
    assert f"other: {len(kept)} pictures, share 0.75" in text
    shares = {items[0].name.split("_")[0]: (share, len(items)) for share, items in seen["recipe"].groups}
    assert shares["other"] == (3.0, len(kept))
    assert shares["still"][0] == 1.0


def test_what_is_wrong_with_the_command_is_named(
    stills: list[Footage], tmp_path: Path, seen: dict[str, Any]
) -> None:
    with pytest.raises(
        TrainingError, match=r"segue train prompt needs weights to begin from \(--init with a MobileNetV2"
    ):
        commands.run("prompt", "--data", tmp_path, "--out", tmp_path / "run")
    options = ("--data", tmp_path, "--init", "a.safetensors", "--out", tmp_path / "run")
    with pytest.raises(TrainingError, match="--share 'cats=2': give KIND=NUMBER; kinds are still"):
        commands.run("prompt", *options, "--share", "cats=2")
