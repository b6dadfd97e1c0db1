"""Recipe of stcn-lite: MobileNetV2 from ImageNet, one run over stills and videos together.

What mattered in trials: the key projection starts from the principal components of the joint feature, at
a scale that makes the affinity a sharp cosine similarity; both kinds of data from the first step on; the
gap between frames grows; the weights are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from segue.models.base import Schedule
from segue.models.stcn import FEATURE_GAIN, STCNLite
from segue.options import option
from segue_train.clip_pass import class_targets, clip_logits, object_masks
from segue_train.data.clips import ClipBatches, ClipSampler, ClipShape
from segue_train.data.footage import VOID, Footage
from segue_train.data.warp import Rng, picked
from segue_train.losses.masks import dice_loss, hardest_mean
from segue_train.recipe import UNCHECKED, Batch, CommonRecipe, Loss, Objective, checked_dataclass
from segue_train.teacher import Teacher, distillation_loss
from segue_train.trunks import MobileNetRecipe

STEPS = 13_000
SLOW_FROM = 0.74  # progress from which slow clips are shown; a further training shows them from a tenth on
SLOW_SHARE = 0.6
HARDEST = 0.25  # share of the pixels that count in the end
LONGER = ((3, 192), (4, 192), (5, 192), (3, 256))  # frames of a clip and sides of the crop, drawn at random
SLOW = ((5, 192), (6, 192), (8, 160))
SCALES = ((3, 192), (5, 192), (4, 256), (3, 320), (4, 320), (3, 384), (3, 448))
ZOOM = 1.6
BATCH = 4  # clips of three frames


@checked_dataclass()
class STCNLiteRecipe(MobileNetRecipe):
    """Options of a training of stcn-lite."""

    optimise: ClassVar[Any] = partial(torch.optim.AdamW, weight_decay=1e-2)

    videos: Annotated[Sequence[Footage], UNCHECKED]
    """Labelled footage; none of it may be used for scores."""

    stills: Annotated[Sequence[Footage], UNCHECKED]
    """Labelled footage; none of it may be used for scores."""

    reading: Literal["dense", "session"] = option("dense")
    """How to read a clip's memory: `dense` computes the softmax over the whole memory, `session` reads like a
    session with the network's schedule (best positions, penalties, window)."""

    name: str = "stcn-lite"

    conditioning: float = option(0.0, ge=0, le=1)
    """Share of batches in which memory contains the true mask of a second frame from the start, as after a
    correction."""

    scales: Literal["narrow", "wide"] = option("narrow")
    """`wide` uses crops of 192 to 448 pixels with objects that fill a tenth to all of the crop, and memory
    and query frames that differ in scale; for fine-tuning."""

    teacher: str | None = option(None)
    """Tracking network whose soft masks are also learnt, such as cutie; its weights must be installed."""

    teacher_weights: Path | None = option(None)
    """Weight file of the teacher."""

    teacher_share: float = option(0.5, ge=0)
    """Weight of the teacher's masks relative to the labels."""

    gradient_clip: ClassVar[float | None] = 3.0
    rate: Annotated[float, option(gt=0)] = field(default=6e-4, kw_only=True)
    """Maximum learning rate; use about a quarter for fine-tuning."""

    batch: Annotated[int, option(ge=1)] = field(default=BATCH, kw_only=True)
    """Clips per batch and device, for three frames of 192x192 with one object; batches of larger or longer
    clips have fewer."""

    factors: ClassVar[dict[str, float]] = {
        "network.key_encoder.": 0.2,
        "network.key_proj.": 0.3,
        "": 1.0,
    }

    def sampler(self) -> ClipSampler:
        """Create the sampler of clips."""
        return ClipSampler(self.videos, self.stills)

    def network(self) -> nn.Module:
        network = STCNLite()
        network = self.started(self.name, network, network.key_encoder)
        if self.start is None and self.backbone is not None:
            initialise_key(network, self.sampler())
        teacher = self.teacher and Teacher(self.teacher, self.teacher_weights, self.teacher_share)
        loss = partial(
            clip_loss,
            schedule=network.schedule if self.reading == "session" else None,
            share=HARDEST if self.start else None,
            teacher=teacher or None,
            conditioning=self.conditioning,
        )
        return Objective(network, loss)

    def batches(self, count: int, seed: int) -> ClipBatches:
        schedule = wide_scales if self.scales == "wide" else continued if self.start else curriculum
        return ClipBatches(count, seed, self.sampler(), partial(schedule, clips=self.batch))

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Group parameters; a pretrained tracker learns at two fifths of the rate."""
        groups = CommonRecipe.parameter_groups(self, network)
        share = 0.4 if self.start else 1.0
        return [{**group, "lr": share * group["lr"]} for group in groups]

    def learning_rate(self, progress: float, step: int) -> float:
        """Factor: 60 warm-up steps, constant to 30 %, cosine down to 3 %."""
        warm = min(1.0, (step + 1) / 60)
        decay = 0.5 + 0.5 * math.cos(math.pi * max(0.0, progress - 0.3) / 0.7)
        return warm * (0.03 + 0.97 * decay)


def curriculum(progress: float, rng: Rng, clips: int = BATCH) -> tuple[ClipShape, float, int]:
    """Video share 0.3 → 0.75, gap 2 → 12 until half time; longer clips and larger crops, then slow ones.

    Without the slow clips, in which things move little from frame to frame, the network leaves trails: on a
    still backdrop what an object uncovers looks most like the same place one frame before, when the object's
    rim was on it.
    """
    if progress > 0.7:
        return _late(progress, rng, clips, SLOW_FROM, SLOW, slowest=0.1)
    ramp = min(1.0, 2 * progress)
    frames, side = picked(rng, LONGER) if progress > 0.35 else (3, 192)
    return _shape(rng, clips, frames, side, 1.0), 0.3 + 0.45 * ramp, round(2 + 10 * ramp)


def continued(progress: float, rng: Rng, clips: int = BATCH) -> tuple[ClipShape, float, int]:
    """Curriculum of fine-tuning: wide gaps and long clips at once, slow clips after a tenth.

    The slow ones are slower and longer than those of :func:`curriculum`: a trail grows from frame to frame.
    """
    return _late(progress, rng, clips, 0.1, (*SLOW, (10, 144)), slowest=0.05)


def wide_scales(progress: float, rng: Rng, clips: int = BATCH) -> tuple[ClipShape, float, int]:
    """Curriculum of fine-tuning for all scales: a third like fine-tuning, the rest with zoom."""
    if rng.random() < 1 / 3:
        return continued(progress, rng, clips)
    frames, side = picked(rng, SCALES)
    return _shape(rng, clips, frames, side, 1.0, ZOOM), 0.75, 8 if progress > 0.8 else 12


def _late(
    progress: float,
    rng: Rng,
    clips: int,
    slow_from: float,
    slow: Sequence[tuple[int, int]],
    slowest: float,
) -> tuple[ClipShape, float, int]:
    """Late part of a curriculum: long clips, large crops, and slow clips from ``slow_from`` on."""
    max_gap, pace = 8 if progress > 0.8 else 12, 1.0
    frames, side = picked(rng, LONGER)
    if rng.random() < 0.15:
        frames, side = 3, 320
    if progress > slow_from and rng.random() < SLOW_SHARE:
        frames, side = picked(rng, slow)
        pace, max_gap = float(rng.uniform(slowest, 0.5)), int(rng.integers(1, 3))
    return _shape(rng, clips, frames, side, pace), 0.75, max_gap


def _shape(rng: Rng, clips: int, frames: int, side: int, pace: float, zoom: float = 1.0) -> ClipShape:
    """Draw the shape of a batch: one or two objects, as many pixels as three frames of 192x192 per clip."""
    objects = 2 if rng.random() < 0.35 else 1
    pixels = clips * 3 * 192 * 192 * (0.75 if objects == 2 else 1)
    batch = max(1, round(pixels / (frames * side * side)))
    return ClipShape(batch, frames, side, objects, pace, zoom)


def clip_loss(
    network: STCNLite,
    batch: Batch,
    progress: float,
    step: int,
    *,
    schedule: Schedule | None = None,
    share: float | None = None,
    teacher: Teacher | None = None,
    conditioning: float = 0.0,
) -> Loss:
    """Cross-entropy of the hardest pixels, half the Dice loss, and optionally distillation."""
    frames, exists = batch["frames"].float() / 127.5 - 1, batch["exists"]
    corrected = corrected_frame(step, frames.shape[1], conditioning)
    masks = object_masks(batch["masks"][:, 0], exists.shape[1])
    object_masks_at = {t: object_masks(batch["masks"][:, t], exists.shape[1]) for t in corrected}
    logits = clip_logits(network, frames, masks, exists, schedule, object_masks_at)
    target = class_targets(batch["masks"], exists)[:, 1:]
    for t in corrected:
        target[:, t - 1] = VOID
    losses = F.cross_entropy(logits.transpose(1, 2), target, reduction="none", ignore_index=VOID)
    entropy = hardest_mean(losses, target, share or hardest_share(progress))
    overlap = dice_loss(logits, target, exists)
    total, parts = entropy + 0.5 * overlap, {"entropy": entropy, "dice": overlap}
    if teacher is not None:
        soft = teacher.probabilities(batch["frames"], batch["masks"][:, 0], exists.shape[1])
        parts["teacher"] = distillation_loss(logits, soft)
        total = total + teacher.share * parts["teacher"]
    return total, parts


def corrected_frame(step: int, length: int, share: float) -> list[int]:
    """Second frame whose true mask enters memory in this step, if any."""
    rng = np.random.default_rng([step, length])
    return [int(rng.integers(1, length))] if length > 2 and rng.random() < share else []


def hardest_share(progress: float) -> float:
    """Share of pixels in the loss: all at first, the hardest quarter in the second half."""
    return 1 - (1 - HARDEST) * min(1.0, max(0.0, (progress - 0.15) / 0.35))


@torch.no_grad()
def initialise_key(network: STCNLite, sampler: ClipSampler, images: int = 60, seed: int = 0) -> None:
    """Initialise the key projection with the principal components of the joint feature.

    The centre tap projects on the leading components, scaled so that the L2 affinity equals a cosine
    similarity at a temperature of about 0.1; the bias removes the mean.
    """
    rng = np.random.default_rng(seed)
    shape = ClipShape(1, 1, 192, 1)
    rows = []
    for i in range(images):
        clip = sampler.draw(rng, bool(i % 2), 1, shape)
        image = torch.from_numpy(clip.frames[0]).permute(2, 0, 1)[None].float() / 127.5 - 1
        joint = network.encode_query(image).features[0] / FEATURE_GAIN
        rows.append(joint[0].flatten(1).T)
    features = torch.cat(rows)
    mean = features.mean(0)
    components = torch.linalg.eigh(torch.cov(features.T)).eigenvectors.flip(1)[:, : network.key_channels]
    projection = components.T * (6.3 / math.sqrt(2))
    network.key_proj.weight.zero_()
    network.key_proj.weight[:, :, 1, 1] = projection
    assert network.key_proj.bias is not None
    network.key_proj.bias.copy_(-projection @ mean)
