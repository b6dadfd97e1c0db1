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
from segue.errors import DatasetError
from segue.models.segue_prompt import BOX, NEGATIVE, POSITIVE, PREVIOUS, SeguePrompt
from segue.prompts.planes import tight_box
from segue_train.data.footage import VOID, Footage
from segue_train.data.prompt_samples import (
    ELSEWHERE,
    MENDED,
    RETAINED_WEIGHT,
    UNIT_WEIGHT,
    CorrectionSampler,
    PromptBatches,
    PromptSampler,
    is_held_out,
    read_sources,
)
from segue_train.recipes.prompt import PromptObjective
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


def test_every_sample_shows_its_object_and_says_something_true_of_it(stills: list[Footage]) -> None:
    sampler, rng = PromptSampler(read_sources([(1.0, stills)])), np.random.default_rng(3)
    kinds = set()
    for _ in range(60):
        _, target, planes, counts = sampler.draw(rng, 64)
        inside = target == 1
        said = planes.any((1, 2))
        assert inside.sum() >= 16
        assert (counts == UNIT_WEIGHT).all()
        assert said.any()
        kinds.add(tuple(said))
        positive = planes[POSITIVE] > 0
        if positive.any():
            assert (positive & inside).any()
        negative = planes[NEGATIVE] > 0
        if negative.any():
            assert (negative & (target == 0)).any()
        if said[BOX]:
            wide = np.array(tight_box(planes[BOX])) - np.array(tight_box(inside))
            assert np.abs(wide).max() <= 0.1 * 64 + 2
    assert {(True, False, False, False), (False, False, True, False)} <= kinds


def test_a_batch_depends_on_the_seed_and_its_number_alone(stills: list[Footage]) -> None:
    def batches() -> PromptBatches:
        return PromptBatches(10, 5, PromptSampler(read_sources([(1.0, stills)])), lambda _: (64, 2))

    for name, value in batches()[7].items():
        torch.testing.assert_close(value, batches()[7][name])


def test_images_without_objects_are_an_error(stills: list[Footage], tmp_path: Path) -> None:
    assert read_sources([(1.0, stills)])
    for path in (tmp_path / "masks").iterdir():
        cv2.imwrite(str(path), np.zeros((90, 120), np.uint8))
    with pytest.raises(DatasetError):
        read_sources([(1.0, stills)])


def test_kept_samples_carry_their_mask_and_a_click_on_the_largest_error() -> None:
    torch.manual_seed(0)
    objective = PromptObjective(SeguePrompt())
    targets = torch.zeros(6, 160, 160, dtype=torch.uint8)
    targets[:, 40:120, 40:120] = 1
    planes = torch.zeros(6, 4, 160, 160, dtype=torch.uint8)
    planes[:, BOX, 40:120, 40:120] = 255
    batch = {
        "images": torch.randint(0, 255, (6, 3, 160, 160), dtype=torch.uint8),
        "targets": targets,
        "planes": planes,
        "counts": torch.full_like(targets, UNIT_WEIGHT),
    }
    loss, _ = objective(batch, 0.0, 0)
    assert math.isfinite(loss.item())
    kept = objective.carried
    assert len(kept["images"]) >= 1
    assert kept["corrections"].tolist() == [1] * len(kept["images"])
    for sample, target in zip(kept["planes"], kept["targets"], strict=True):
        assert sample[PREVIOUS].any()
        clicks = sample[[POSITIVE, NEGATIVE]].amax((1, 2)) > 0
        assert clicks.sum() == 1
        wanted = 1 if clicks[0] else 0
        centre = sample[POSITIVE if clicks[0] else NEGATIVE].nonzero().float().mean(0).round().int()
        assert target[centre[0], centre[1]] == wanted
    objective(batch, 0.0, 1)
    assert max(objective.carried["corrections"].tolist()) <= 2


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """Frames of one disk, where the tracker lost a part and took a neighbour."""
    folder, rng = tmp_path / "tracked_errors", np.random.default_rng(0)
    for kind in ("images", "masks", "tracked"):
        (folder / kind).mkdir(parents=True)
    for number in range(3):
        mask, given = np.zeros((90, 120), np.uint8), np.zeros((90, 120), np.uint8)
        cv2.circle(mask, (50, 45), 25, 1, -1)
        mask[:3] = VOID
        given[mask == 1] = 230
        given[:, 58:] = 0
        given[60:80, 95:110] = 200
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), rng.integers(0, 255, (90, 120, 3), np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
        cv2.imwrite(str(folder / "tracked" / f"{number}.png"), given)
    return folder


def test_a_correction_has_the_mask_of_a_tracker_and_a_click_on_its_largest_error(tracked: Path) -> None:
    sampler, rng = CorrectionSampler(tracked), np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        _, target, planes, counts = sampler.draw(rng, 64)
        assert not planes[BOX].any()
        given = planes[PREVIOUS] > 127
        right = given == (target == 1)
        assert set(np.unique(counts)) <= {
            int(value * UNIT_WEIGHT) for value in (ELSEWHERE, RETAINED_WEIGHT, MENDED)
        }
        np.testing.assert_array_equal(counts == int(RETAINED_WEIGHT * UNIT_WEIGHT), right)
        on, off = planes[POSITIVE] > 0, planes[NEGATIVE] > 0
        seen.add((bool(on.any()), bool(off.any())))
        if on.any() and not off.any():
            y, x = np.argwhere(on).mean(0).round().astype(int)
            assert target[y, x] == 1
    assert {(True, False), (True, True)} <= seen


def test_frames_without_what_a_tracker_made_of_them_are_an_error(tracked: Path) -> None:
    (tracked / "tracked" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"1\.png"):
        CorrectionSampler(tracked)


def test_a_share_of_the_samples_corrects_a_tracker(stills: list[Footage], tracked: Path) -> None:
    sampler = PromptSampler(read_sources([(1.0, stills)]))
    batches = PromptBatches(1, 5, sampler, lambda _: (64, 80), [CorrectionSampler(tracked)], 0.5)
    corrects = (batches[0]["counts"] != UNIT_WEIGHT).flatten(1).any(1).float()
    assert 0.3 < corrects.mean() < 0.7


def test_a_correction_that_stays_keeps_what_was_not_clicked() -> None:
    torch.manual_seed(0)
    objective = PromptObjective(SeguePrompt())
    size = (6, 160, 160)
    targets = torch.zeros(size, dtype=torch.uint8)
    targets[:, 40:120, 40:120] = 1
    planes = torch.zeros(6, 4, 160, 160, dtype=torch.uint8)
    planes[:, PREVIOUS, :20, :20] = 255  # far from the click, and wrong
    planes[:, POSITIVE, 78:82, 78:82] = 255
    batch = {
        "images": torch.randint(0, 255, (6, 3, 160, 160), dtype=torch.uint8),
        "targets": targets,
        "planes": planes,
        "counts": torch.full(size, int(RETAINED_WEIGHT * UNIT_WEIGHT), dtype=torch.uint8),
    }
    objective(batch, 0.0, 0)
    for sample in objective.carried["planes"]:
        changed = (sample[PREVIOUS] > 127) != (planes[0, PREVIOUS] > 127)
        labels = cv2.connectedComponents(changed.numpy().astype(np.uint8), connectivity=4)[1]
        touched = np.unique(labels[78:82, 78:82])
        assert set(np.unique(labels)) - {0} <= set(touched)


def test_a_checkpoint_of_before_corrections_can_be_resumed() -> None:
    objective = PromptObjective(SeguePrompt())
    objective.set_extra_state({"targets": torch.zeros(2, 8, 8, dtype=torch.uint8)})
    assert (objective.carried["counts"] == UNIT_WEIGHT).all()


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
    kept = [f"other_{n}" for n in range(40) if not is_held_out(f"other_{n}")]
    assert f"other: {len(kept)} images, share 0.75" in text
    shares = {items[0].name.split("_")[0]: (share, len(items)) for share, items in seen["recipe"].groups}
    assert shares["other"] == (3.0, len(kept))
    assert shares["still"][0] == 1.0
