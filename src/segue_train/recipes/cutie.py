"""Recipe of Cutie: still images, then videos (paper, section 4; release).

The batches are those of all devices together, as published; give fewer clips a device with ``batch``. Random
draws of a step come from generators seeded by its number, so that a run can be resumed at any step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from segue.models.cutie import Cutie
from segue.models.cutie.network import Size
from segue.options import option
from segue_train.clip_pass import class_targets, cutie_pass, object_masks, random_draws
from segue_train.data.photo import Jitter
from segue_train.data.stcn_data import (
    JUMPS,
    LENGTH,
    OBJECTS,
    PastedVideos,
    SkipCurriculum,
    StillSamples,
    VideoSamples,
    long_enough,
    nearby_frames,
)
from segue_train.losses.masks import Uniform, point_losses
from segue_train.recipe import Batch, CommonRecipe, Loss, Objective, checked_dataclass
from segue_train.recipes.stcn import Stage, StagedRecipe, prepared_frames

RATE = 1e-4
AUXILIARY = 0.01
"""Weight of the losses of the recurrent states and of the queries."""

GROWING = ("mask_encoder.conv1.weight", "pixel_fuser.sensory_compress.weight")
"""Weights that get an input channel for other objects."""


_VIDEOS = partial(Stage, objects=OBJECTS, batch=16, side=480, references=3, points=12_544)
STAGES = (
    Stage(batch=16, steps=80_000),  # still images
    # DAVIS, YouTube-VOS (and MOSE); "mega": BURST and OVIS as well
    _VIDEOS(steps=125_000, falls=(100_000 / 125_000, 115_000 / 125_000), skips=SkipCurriculum(0.8, JUMPS)),
    _VIDEOS(steps=175_000, falls=(140_000 / 175_000, 160_000 / 175_000), skips=SkipCurriculum(0.8, JUMPS)),
)
"""Published stages; a training is 0 and 1, or 0 and 2."""


@checked_dataclass()
class CutieRecipe(StagedRecipe):
    """Options of one stage."""

    optimise: ClassVar[Any] = partial(torch.optim.AdamW, weight_decay=0.001)
    factors: ClassVar[Mapping[str, float]] = {"network.pixel_encoder.": 0.1, "": 1.0}
    stages: ClassVar[Sequence[Stage]] = STAGES
    encoders: ClassVar[tuple[str, str]] = ("pixel_encoder", "mask_encoder")
    growing: ClassVar[Sequence[str]] = GROWING

    stage: Annotated[int, option(ge=0, le=2)]
    """0 still images, 1 videos, 2 more videos for longer."""

    init: Path | None = option(None)
    """ResNet-50 of torchvision (ResNet-18 for size small), if the run does not start from other weights."""

    init_value: Path | None = option(None)
    """ResNet-18 of torchvision, for the mask encoder."""

    batch: int | None = option(16, ge=1)
    """Clips per batch and device."""

    side: int | None = option(None)
    """Side of the square frames, a multiple of 16. [default: as published]"""

    size: Size = option("base")
    """Size of the network, base or small."""

    points: int | None = None
    """Points of a frame that the losses look at. [default: as published]"""

    name: str = "cutie"
    rate: Annotated[float, option(gt=0)] = field(default=RATE, kw_only=True)
    gradient_clip: ClassVar[float | None] = 3.0

    def network(self) -> nn.Module:
        return Objective(self.started(Cutie(self.size, single_object=self.plan.objects == 1)), self.loss)

    def loss(self, network: Cutie, batch: Batch, progress: float, step: int) -> Loss:
        """Losses at points of predicted frames, see :func:`cutie_loss`."""
        frames, exists = prepared_frames(batch["frames"]), batch["exists"]
        slots = max(1, int(exists.sum(1).max()))  # as many as the fullest clip has
        exists = exists[:, :slots]
        target = class_targets(batch["masks"], exists)
        draw = torch.Generator().manual_seed(step)
        draws = random_draws(draw, len(frames), self.plan.references, first=False)
        output = cutie_pass(network, frames, object_masks(target[:, 0], slots), exists, draws)
        points = self.points or self.plan.points
        return cutie_loss(
            output, target[:, 1:], exists, points, lambda shape: torch.rand(shape, generator=draw)
        )

    def stills(self, side: int) -> StillSamples:
        return StillSamples(self.footage, side, clip_scale=(0.5, 2.0), frame_scale=(0.5, 2.0))

    def videos(self, side: int) -> VideoSamples:
        return PastedVideos(
            long_enough(self.footage, self.stage, LENGTH),
            side,
            slots=self.plan.objects,
            choose=nearby_frames(LENGTH),
            clip_affine=(25, 20),
            frame_affine=(0, 0),
            frame_jitter=Jitter(0.1, 0.05, 0.05),
        )

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups; the initial queries and their embeddings have no weight decay."""
        groups = CommonRecipe.parameter_groups(self, network)
        free = {
            id(p) for name, p in network.named_parameters() if ".query_init." in name or ".query_emb." in name
        }
        undecayed = [p for group in groups for p in group["params"] if id(p) in free]
        for group in groups:
            group["params"] = [p for p in group["params"] if id(p) not in free]
        return [*groups, {"params": undecayed, "lr": self.rate, "weight_decay": 0.0}]


def cutie_loss(
    outputs: Sequence[Tensor], target: Tensor, exists: Tensor, points: int, uniform: Uniform
) -> Loss:
    """Cross-entropy and Dice at points: of the masks, and with low weight of states and queries."""
    logits, sensory, queries = outputs
    parts: dict[str, Tensor] = {}
    batch = len(target)
    for sample in range(batch):
        classes = 1 + int(exists[sample].sum())
        truth = torch.stack([target[sample] == i for i in range(classes)], 1).float()
        levels = queries[sample].unbind(2)
        terms: list[tuple[str, Tensor, float]] = [
            ("loss_{}", logits[sample], 1.0),
            ("aux_sensory_{}", sensory[sample], AUXILIARY),
            *((f"aux_query_{{}}_l{n}", level, AUXILIARY) for n, level in enumerate(levels)),
        ]
        for name, values, weight in terms:
            frame_losses = point_losses(values[:, :classes].float(), truth, points, uniform)
            for kind, loss in zip(("ce", "dice"), frame_losses, strict=True):
                key = name.format(kind)
                parts[key] = parts.get(key, torch.zeros_like(loss)) + weight * loss / batch
    return torch.stack(list(parts.values())).sum(), parts
