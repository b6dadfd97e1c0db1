"""Recipe of XMem: its published stages, from ImageNet classifiers to videos (paper, section 4; release).

The batches are those of all devices together, as published; give fewer clips a device with ``batch``. Random
draws of a step come from generators seeded by its number, so that a run can be resumed at any step.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, ClassVar

import cv2
import torch
from torch import nn

from segue.errors import TrainingError
from segue.models.xmem import XMem
from segue_train.clip_pass import class_targets, object_masks
from segue_train.losses import bootstrap_fraction, bootstrapped_cross_entropy
from segue_train.point_losses import slot_dice
from segue_train.recipe import Batch, Loss, Objective
from segue_train.recipes.stcn import RATE, StagedRecipe, prepared_frames
from segue_train.recurrent_data import JUMPS, LENGTH, OBJECTS, frames_near
from segue_train.recurrent_pass import deep_at_random, first_and_random, step_draws, xmem_pass
from segue_train.stcn_data import SampleBatches, SkipCurriculum, StillSamples, VideoSamples, long_enough


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the training, see :class:`XMemRecipe`."""

    objects: int
    batch: int
    references: int  # frames that are read
    steps: int
    fall: float  # share of the steps after which the learning rate falls to a tenth
    least_area: float = 0.36
    affine: tuple[float, float] = (15, 10)
    jumps: SkipCurriculum | None = None


STAGES = (
    Stage(1, 16, 2, 150_000, 1.0),  # still images
    Stage(OBJECTS, 8, 3, 250_000, 200_000 / 250_000, 0.25, (0, 0), SkipCurriculum(0.8, JUMPS)),  # BL30K
    Stage(OBJECTS, 8, 3, 150_000, 120_000 / 150_000, jumps=SkipCurriculum(0.9, JUMPS)),  # videos, after 1
    Stage(OBJECTS, 8, 3, 100_000, 80_000 / 100_000, jumps=SkipCurriculum(0.9, JUMPS)),  # videos, after 0
)
"""The published stages; a training is 0, 3 or 0, 1, 2; without still images 2 alone."""

FINETUNE_STEPS = 10_000
"""Steps of the finetuning that follows stages 2 and 3."""


@dataclass(frozen=True, slots=True)
class XMemRecipe(StagedRecipe):
    """Everything that one stage needs.

    Attributes:
        finetune: the finetuning after stages 2 and 3: frames are not turned, at the low learning rate.
    """

    optimise: ClassVar[Any] = partial(torch.optim.AdamW, weight_decay=0.05)
    finetune: bool = False
    name: str = "xmem"
    _: KW_ONLY
    rate: float = RATE

    def __post_init__(self) -> None:
        StagedRecipe.__post_init__(self)
        if self.finetune and self.stage < 2:
            raise TrainingError(f"stage {self.stage} has no finetuning; stages 2 and 3 have")

    @property
    def plan(self) -> Stage:
        """The published numbers of the stage."""
        return STAGES[self.stage]

    @property
    def steps(self) -> int:
        """Steps as published."""
        return FINETUNE_STEPS if self.finetune else self.plan.steps

    def network(self) -> nn.Module:
        return Objective(self.started(XMem(single_object=self.plan.objects == 1)), self.loss)

    def loss(self, network: XMem, batch: Batch, progress: float, step: int) -> Loss:
        """Bootstrapped cross-entropy and Dice of the predicted frames."""
        frames, exists = prepared_frames(batch["frames"]), batch["exists"]
        target = class_targets(batch["masks"], exists)
        draw = step_draws(step)
        chosen = first_and_random(len(frames), self.plan.references, draw)
        masks = object_masks(target[:, 0], exists.shape[1])
        output = xmem_pass(network, frames, masks, exists, deep_at_random(chosen, draw))
        share = bootstrap_fraction(step)
        parts: dict[str, torch.Tensor] = {}
        for t in range(1, frames.shape[1]):
            logits = output.logits[:, t - 1]
            parts[f"ce_loss_{t}"] = bootstrapped_cross_entropy(logits, target[:, t], exists, share)
            parts[f"dice_loss_{t}"] = slot_dice(logits, target[:, t])
        return torch.stack(list(parts.values())).sum(), parts

    def batches(self, count: int, seed: int) -> SampleBatches:
        plan = self.plan
        if self.stage == 0:
            stills = StillSamples(self.footage, self.side)
            return SampleBatches(count, seed, stills, self.batch or plan.batch)
        samples = VideoSamples(
            long_enough(self.footage, self.stage, LENGTH),
            self.side,
            plan.least_area,
            "drop" if self.stage == 1 else "keep",
            plan.objects,
            frames_near(LENGTH),
            frame_affine=(0, 0) if self.finetune else plan.affine,
            interpolation=cv2.INTER_LINEAR,
        )
        return SampleBatches(count, seed, samples, self.batch or plan.batch, plan.jumps)

    @property
    def falls(self) -> tuple[float, ...]:
        return (0.0,) if self.finetune else (self.plan.fall,)
