"""SAM 2.1 on images, against the image predictor of the release, and prompters by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from segue.errors import CheckpointError, PromptError
from segue.models.sam2 import SAM2
from segue.prompts import ImagePrompts, Prompter, find_prompter
from segue.prompts.sam import SAM2Prompter, SAM2Stills
from segue.registry import PROMPTERS
from segue.types import Image
from segue.weights import Prepared
from tests.clips import clip
from tests.golden_arrays import Golden, load_golden

SIDE = 256

CASES = {
    "point": ([[70, 50]], [1], True),
    "point_single": ([[70, 50]], [1], False),
    "two_points": ([[70, 50], [20, 90]], [1, 0], True),
    "box": ([[40, 30], [110, 80]], [2, 3], False),
    "box_multi": ([[40, 30], [110, 80]], [2, 3], True),
    "box_points": ([[40, 30], [110, 80], [60, 45], [100, 75]], [2, 3, 1, 0], False),
}


@pytest.fixture(scope="module")
def stills(sam2_network: SAM2) -> SAM2Stills:
    return SAM2Stills(Prepared(sam2_network, torch.device("cpu"), torch.float32, ""), SIDE)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return load_golden("sam2_image", shared / "golden")


def on_square(points: list[list[float]], image: Image) -> torch.Tensor:
    scale = torch.tensor([image.shape[1], image.shape[0]])
    return torch.tensor(points, dtype=torch.float32)[None] / scale * SIDE


def check(golden: Golden, tag: str, logits: torch.Tensor, iou: torch.Tensor) -> None:
    expected = golden[f"{tag}_low"].astype(np.float32)
    found = logits.reshape(expected.shape[:-2] + logits.shape[-2:])[..., ::2, ::2].numpy()
    assert np.abs(found - expected).max() <= 0.05, tag
    assert np.abs(iou.numpy().reshape(-1) - golden[f"{tag}_iou"].reshape(-1)).max() <= 1e-4, tag
    large = F.interpolate(logits, size=golden["image"].shape[:2], mode="bilinear") > 0
    packed = golden[f"{tag}_mask"]
    masks = np.unpackbits(packed, axis=-1)[..., : golden["image"].shape[1]]
    assert (large.numpy().reshape(masks.shape) != masks).mean() <= 2e-4, tag


@pytest.mark.shared
@torch.inference_mode()
def test_images_give_what_the_release_gives(golden: Golden, stills: SAM2Stills) -> None:
    image = golden["image"]
    encoded = stills.encode(image)
    golden.check("embed", encoded[1][0, ::16])
    for tag, (points, labels, multimask) in CASES.items():
        marks = on_square(points, image), torch.tensor([labels])
        check(golden, tag, *stills.predict(encoded, *marks, multimask=multimask))
    first = stills.predict(encoded, on_square([[70, 50]], image), torch.tensor([[1]]))[0]
    best = int(golden["best"])
    before = first[:, best : best + 1]
    marks = on_square([[70, 50], [90, 70]], image), torch.tensor([[1, 0]])
    check(golden, "refine", *stills.predict(encoded, *marks, before, multimask=False))
    nothing = torch.empty(1, 0, 2), torch.empty(1, 0)
    check(golden, "mask_only", *stills.predict(encoded, *nothing, before, multimask=False))
    boxes = torch.cat([on_square([[40, 30], [110, 80]], image), on_square([[10, 60], [60, 100]], image)])
    labels = torch.tensor([[2, 3], [2, 3]])
    check(golden, "boxes2", *stills.predict(encoded, boxes, labels, multimask=False))


def test_a_mask_so_far_changes_the_answer_and_bad_prompts_are_refused(stills: SAM2Stills) -> None:
    image = clip(7, 1, 48, 64, 2)[0][0]
    prompter = SAM2Prompter(image, stills)
    first = prompter.answer(ImagePrompts(points=[(30, 20)]))
    earlier = np.zeros((48, 64), np.float32)
    earlier[10:30, 20:50] = 1
    corrected = prompter.answer(ImagePrompts(points=[(30, 20)], negative=[(5, 5)], mask=earlier))
    assert len(corrected) == 1
    assert not np.array_equal(first.mask, corrected.mask)
    assert len(prompter.answer(ImagePrompts(mask=earlier))) == 1
    assert len(prompter.answer(ImagePrompts(scribble=[[(20, 20), (30, 22), (40, 24)]]))) == 1
    with pytest.raises(PromptError):
        prompter.answer(ImagePrompts(points=[(64, 20)]))
    with pytest.raises(PromptError):
        prompter.answer(ImagePrompts(mask=np.zeros((48, 64), np.float32)))


def test_prompters_are_found_by_name_or_file(
    sam2_network: SAM2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    image = clip(7, 1, 48, 64, 2)[0][0]
    assert isinstance(find_prompter("segue-prompt", device="cpu")(image), Prompter)
    with pytest.raises(CheckpointError, match=r"`segue weights get sam2-tiny` downloads"):
        find_prompter("sam2-tiny", device="cpu")
    file = tmp_path / "some.safetensors"
    save_file(sam2_network.state_dict(), file)
    made = find_prompter(str(file), device="cpu")(image)
    assert isinstance(made, SAM2Prompter)
    with pytest.raises(PromptError):
        find_prompter("sam2")
    other = tmp_path / "other.safetensors"
    save_file({"key_encoder.stem.weight": torch.zeros(1)}, other)
    with pytest.raises(PromptError):
        find_prompter(str(other))
    assert {"sam2-tiny", "sam2-large"} <= set(PROMPTERS.names)
