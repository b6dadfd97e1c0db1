"""Recipe of XMem: its published stages, from ImageNet classifiers to videos (paper, section 4; release).

The batches are those of all devices together, as published; give fewer clips a device with ``batch``. Random
draws of a step come from generators seeded by its number, so that a run can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import cv2
import torch
from torch import nn

from segue.errors import TrainingError
from segue.models.xmem import XMem
from segue.options import option
from segue_train.clip_pass import class_targets, object_masks, random_draws, xmem_pass
from segue_train.data.stcn_data import (
    JUMPS,
    LENGTH,
    OBJECTS,
    SkipCurriculum,
    VideoSamples,
    long_enough,
    nearby_frames,
)
from segue_train.losses.masks import bootstrap_fraction, bootstrapped_cross_entropy, object_dice
from segue_train.recipe import Batch, Loss, Objective, checked_dataclass
from segue_train.recipes.stcn import Stage, StagedRecipe, prepared_frames

_VIDEOS = partial(Stage, objects=OBJECTS, batch=8, references=3)
STAGES = (
    Stage(batch=16, steps=150_000),  # still images
    _VIDEOS(
        steps=250_000,
        falls=(200_000 / 250_000,),
        min_area=0.25,
        small_objects="drop",
        affine=(0, 0),
        skips=SkipCurriculum(0.8, JUMPS),
    ),  # BL30K
    # videos, after stage 1 and after stage 0
    _VIDEOS(steps=150_000, falls=(120_000 / 150_000,), skips=SkipCurriculum(0.9, JUMPS)),
    _VIDEOS(steps=100_000, falls=(80_000 / 100_000,), skips=SkipCurriculum(0.9, JUMPS)),
)
"""Published stages; a training is 0, 3 or 0, 1, 2; without still images 2 alone."""

FINETUNE_STEPS = 10_000
"""Steps of the finetuning that follows stages 2 and 3."""


@checked_dataclass()
class XMemRecipe(StagedRecipe):
    """Options of one stage."""

    optimise: ClassVar[Any] = partial(torch.optim.AdamW, weight_decay=0.05)
    stages: ClassVar[Sequence[Stage]] = STAGES

    finetune: bool = option(False)
    """Fine-tuning after stages 2 and 3, without rotations and at the low learning rate."""

    name: str = "xmem"

    def __post_init__(self) -> None:
        StagedRecipe.__post_init__(self)
        if self.finetune and self.stage < 2:
            raise TrainingError(f"stage {self.stage} has no finetuning; stages 2 and 3 have")

    @property
    def plan(self) -> Stage:
        """Published constants of the stage, or of the fine-tuning after it."""
        plan = self.stages[self.stage]
        return replace(plan, steps=FINETUNE_STEPS, falls=(0.0,), affine=(0, 0)) if self.finetune else plan

    def network(self) -> nn.Module:
        return Objective(self.started(XMem(single_object=self.plan.objects == 1)), self.loss)

    def loss(self, network: XMem, batch: Batch, progress: float, step: int) -> Loss:
        """Bootstrapped cross-entropy and Dice of the predicted frames."""
        frames, exists = prepared_frames(batch["frames"]), batch["exists"]
        target = class_targets(batch["masks"], exists)
        draws = random_draws(
            torch.Generator().manual_seed(step), len(frames), self.plan.references, first=True
        )
        output = xmem_pass(network, frames, object_masks(target[:, 0], exists.shape[1]), exists, draws)
        share = bootstrap_fraction(step)
        parts: dict[str, torch.Tensor] = {}
        for t in range(1, frames.shape[1]):
            logits = output[:, t - 1]
            parts[f"ce_loss_{t}"] = bootstrapped_cross_entropy(logits, target[:, t], exists, share)
            parts[f"dice_loss_{t}"] = object_dice(logits, target[:, t]).mean()
        return torch.stack(list(parts.values())).sum(), parts

    def videos(self, side: int) -> VideoSamples:
        return VideoSamples(
            long_enough(self.footage, self.stage, LENGTH),
            side,
            self.plan.min_area,
            self.plan.small_objects,
            self.plan.objects,
            nearby_frames(LENGTH),
            frame_affine=self.plan.affine,
            interpolation=cv2.INTER_LINEAR,
        )
