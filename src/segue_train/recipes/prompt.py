"""Recipe of segue-prompt: single images, and samples that are kept for corrections.

What mattered in trials: a sample stays for some steps with the network's own mask as previous mask and a
click in its largest error (streaming); without this, corrections never improve a mask. Most steps are taken
on small crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.segue_prompt import NEGATIVE, POSITIVE, PREVIOUS, SeguePrompt
from segue.options import option
from segue.prompts.planes import draw_disk
from segue.utils.arrays import Float32Array, UInt8Array
from segue_train.data.footage import VOID, Footage
from segue_train.data.prompt_samples import (
    UNIT_WEIGHT,
    CorrectionSampler,
    PromptBatches,
    PromptSampler,
    click_on,
    counted,
    largest_error,
    piece_at,
    read_sources,
)
from segue_train.losses.masks import dice_distance
from segue_train.recipe import UNCHECKED, Batch, Loss, checked_dataclass, warmed_cosine
from segue_train.trunks import MobileNetRecipe

STEPS = 4000
BATCH = 16
Shapes = tuple[tuple[float, int, float, float], ...]
"""Until which progress a crop has which side, and how many samples of the batch are new and in all."""
SHAPES: Shapes = ((0.5, 160, 6 / 16, 1.0), (1.0, 192, 5 / 16, 12 / 16))
STAY = 0.75  # probability that a sample may stay for a correction, where there is room
MAX_CORRECTIONS = 6


@checked_dataclass()
class PromptRecipe(MobileNetRecipe):
    """Options of a training of segue-prompt."""

    optimise: ClassVar[Any] = partial(torch.optim.AdamW, betas=(0.9, 0.99), weight_decay=1e-2)

    groups: Annotated[Sequence[tuple[float, Sequence[Footage]]], UNCHECKED]
    """Footage of each kind with the share of the samples that come from it; none of it may be used for
    scores."""

    name: str = "segue-prompt"
    shapes: ClassVar[Shapes] = SHAPES
    gradient_clip: ClassVar[float | None] = 2.0
    rate: Annotated[float, option(gt=0)] = field(default=1.5e-3, kw_only=True)
    """Maximum learning rate; use about a quarter for fine-tuning."""

    batch: Annotated[int, option(ge=2)] = field(default=BATCH, kw_only=True)
    """Samples per batch and device for crops of 160x160, new samples and samples reused for a correction;
    crops of 192x192 have three quarters as many."""

    corrections: Annotated[list[str], option()] = field(default_factory=list, kw_only=True)
    """Folder of frames with tracking errors, written by `tools/tracked_errors.py`. Repeatable."""

    corrected: Annotated[float, option(ge=0, le=1)] = field(default=0.45, kw_only=True)
    """Share of samples that correct an error of --corrections."""

    factors: ClassVar[dict[str, float]] = {"network.encoder.": 0.2, "": 1.0}

    def network(self) -> nn.Module:
        network = SeguePrompt()
        return PromptObjective(self.started(self.name, network, network.encoder), self.batch, self.shapes)

    def batches(self, count: int, seed: int) -> PromptBatches:
        def shape(progress: float) -> tuple[int, int]:
            _, side, share_of_new, _ = next(row for row in self.shapes if progress < row[0])
            return side, max(1, round(share_of_new * self.batch))

        tracked = [CorrectionSampler(Path(folder)) for folder in self.corrections]
        sampler = PromptSampler(read_sources(self.groups))
        return PromptBatches(count, seed, sampler, shape, tracked, self.corrected)

    def learning_rate(self, progress: float, step: int) -> float:
        return warmed_cosine(progress, step, warm_up=100, floor=0.01)


class PromptObjective(nn.Module):
    """A network with its loss and kept samples; checkpoints store those of the first device."""

    def __init__(self, network: SeguePrompt, samples: int = BATCH, shapes: Shapes = SHAPES) -> None:
        super().__init__()
        self.network, self.samples, self.shapes = network, samples, shapes
        self.carried: dict[str, Tensor] = {}

    def get_extra_state(self) -> dict[str, Tensor]:
        """Kept samples, for a checkpoint."""
        return self.carried

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restore the kept samples of a checkpoint."""
        if state and "counts" not in state:  # of before tracked masks were corrected
            state = {**state, "counts": torch.full_like(state["targets"], UNIT_WEIGHT)}
        self.carried = state

    def forward(self, batch: Batch, progress: float, step: int) -> Loss:
        """Loss of a batch whose ``images`` are (N, 3, S, S), uint8, and its parts by name."""
        side = batch["images"].shape[-1]
        room = round(self.samples * next(total for _, shape, _, total in self.shapes if shape == side))
        device = batch["images"].device
        none = torch.zeros(len(batch["images"]), dtype=torch.uint8, device=device)
        batch = {**batch, "corrections": none}
        if self.carried and self.carried["images"].shape[-1] == side:
            batch = {name: torch.cat([value, self.carried[name].to(device)]) for name, value in batch.items()}
        images = batch["images"].float().div(255).to(memory_format=torch.channels_last)
        logits, quality = self.network(images, batch["planes"].float() / 255)
        loss, parts = losses(
            logits.float(), quality.float(), batch["targets"], batch["planes"], batch["counts"]
        )
        is_new = batch["corrections"] == 0
        parts["iou1"] = parts["iou"][is_new].mean()
        parts["iou"] = parts["iou"].mean()
        self.carried = self._staying(batch, logits.detach(), room, np.random.default_rng(step))
        return loss, parts

    def _staying(
        self, batch: dict[str, Tensor], logits: Tensor, room: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Samples for the next step, with this step's mask and another click, on the CPU."""
        num_new = int((batch["corrections"] == 0).sum())
        able = np.flatnonzero(batch["corrections"].numpy(force=True) < MAX_CORRECTIONS)
        able = able[rng.random(len(able)) < STAY]
        selected = rng.permutation(able)[: max(0, room - num_new)]
        if not len(selected):
            return {}
        index = torch.from_numpy(selected).to(logits.device)
        carried = {name: value[index].cpu() for name, value in batch.items()}
        size = carried["targets"].shape[-2:]
        masks = F.interpolate(logits[index, :1].float(), size=size, mode="bilinear")[:, 0]
        for k, mask in enumerate(masks.sigmoid().numpy(force=True)):
            planes, target = carried["planes"][k].numpy(), carried["targets"][k].numpy()
            tracked = (carried["counts"][k] != UNIT_WEIGHT).any()
            if tracked:
                mask = _combine_masks(planes, mask)
            planes[PREVIOUS] = np.round(255 * mask)
            error, missing = largest_error(mask > 0.5, target)
            if error.any():
                place = click_on(error, rng)
                draw_disk(planes[POSITIVE if missing else NEGATIVE], place)
                if tracked:
                    clicked = torch.from_numpy(counted(planes[PREVIOUS], target, piece_at(error, place)))
                    carried["counts"][k] = clicked
        carried["corrections"] += 1
        return carried


def _combine_masks(planes: UInt8Array, mask: Float32Array) -> Float32Array:
    """Combine the previous mask with an answer near the click, like `segue.prompts.correct`."""
    previous_mask = np.divide(planes[PREVIOUS], 255, dtype=np.float32)
    labels = cv2.connectedComponents(
        ((mask > 0.5) != (previous_mask > 0.5)).astype(np.uint8), connectivity=4
    )[1]
    clicked = planes[POSITIVE : NEGATIVE + 1].any(0)
    return np.where(np.isin(labels, np.setdiff1d(labels[clicked], 0)), mask, previous_mask)


def losses(logits: Tensor, quality: Tensor, targets: Tensor, planes: Tensor, counts: Tensor) -> Loss:
    """Loss of mask logits (N, 3, S/2, S/2) and of their predicted IoU (N, 3).

    The first mask answers for itself; of the two others only the better one learns, a third as much, so that
    they come to hold what else the prompt may mean. Pixels near edges count up to seven times, clicked ones
    three times. Of the frames of a tracker, what was right counts more, so that it stays, and errors that
    were not clicked count less (``counts``, uint8 in parts of ``ONCE``).
    """
    is_labelled = (targets != VOID).float()
    truth = (targets == 1).float()
    logits = F.interpolate(logits, size=targets.shape[-2:], mode="bilinear")
    edge = (truth - F.avg_pool2d(truth[:, None], 15, 1, 7, count_include_pad=False)[:, 0]).abs()
    clicked = (planes[:, POSITIVE : NEGATIVE + 1].amax(1) > 0).float()
    weight = is_labelled * (1 + 6 * edge + 2 * clicked) * (counts.float() / UNIT_WEIGHT)
    each = truth[:, None].expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, each, reduction="none")
    entropy = (entropy * weight[:, None]).sum((2, 3)) / weight.sum((1, 2)).clamp(min=1)[:, None]
    probability = logits.sigmoid() * is_labelled[:, None]
    is_relevant = (counts >= UNIT_WEIGHT).float()[:, None]
    dice = dice_distance(probability * is_relevant, each * is_relevant, (2, 3))
    mask_loss = entropy + dice
    predicted = (probability > 0.5).float()
    both = (predicted * each).sum((2, 3))
    iou = both / (predicted.sum((2, 3)) + truth.sum((1, 2))[:, None] - both).clamp(min=1)
    judged = F.binary_cross_entropy_with_logits(quality, iou.detach())
    loss = mask_loss[:, 0].mean() + 0.3 * mask_loss[:, 1:].amin(1).mean() + 0.15 * judged
    return loss, {"entropy": entropy[:, 0].mean(), "dice": dice[:, 0].mean(), "iou": iou[:, 0].detach()}
