"""Recipes of SeqFormer and MS-STS VIS, and of our small network ``msstsvis-lite``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segue.errors import CheckpointError
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.models.deeplab import DeepLabTrunk, DeepLabV3
from segue.models.msstsvis import Discriminator
from segue.models.msstsvis.lite import DecodedProposals, MSSTSVISLite
from segue.models.seqformer import SeqFormer
from segue.naming import first_few
from segue.training.clips import ClipShape
from segue.training.instance_clips import (
    ClassedFootage,
    InstanceBatches,
    InstanceClipSampler,
    targets,
)
from segue.training.instance_losses import (
    ADVERSARIAL_WEIGHT,
    PROPOSAL_WEIGHTS,
    WEIGHTS,
    instance_losses,
    mask_targets,
    proposal_losses,
    separability_losses,
    soft_union,
)
from segue.training.trunks import load_mobilenet
from segue.training.ytvis_clips import clip_targets, valid_places
from segue.weights import load_strict, read_checkpoint

LITE_STEPS = 4000
"""Steps of ``msstsvis-lite``."""

SLOW = ("reference_points", "sampling_offsets")
"""Parts of names of the parameters that learn at a tenth of the rate."""


class InstanceObjective(nn.Module):
    """A network with its losses: ``forward(batch, progress, step)`` → loss and its parts."""

    def __init__(self, network: SeqFormer, discriminator: nn.Module | None = None) -> None:
        super().__init__()
        self.network = network
        self.discriminator = discriminator

    def forward(
        self, batch: dict[str, Tensor], progress: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Losses of a batch of :class:`InstanceBatches`, or of :class:`ClipBatches`, which pads."""
        frames = batch["frames"].permute(0, 1, 4, 2, 3).float() / 255
        if "sizes" in batch:
            clips = clip_targets(batch)
            valid = valid_places(batch["sizes"], frames.shape[-2], frames.shape[-1])
        else:
            clips, valid = targets(batch["masks"], batch["labels"]), None
        memory = self.network.encode(frames, valid)
        decoded = self.network.decode(memory)
        losses = instance_losses(self.network, memory, decoded, clips)
        parts = {name: losses.parts[name].detach() for name in WEIGHTS}
        total = losses.total
        if isinstance(decoded, DecodedProposals):
            proposals = proposal_losses(decoded.proposed, memory.levels, clips)
            total = total + sum(PROPOSAL_WEIGHTS[name] * value for name, value in proposals.items())
            parts |= {name: value.detach() for name, value in proposals.items()}
        if self.discriminator is not None:
            true = torch.stack([planes.any(0) for planes in mask_targets(clips)])
            predicted = soft_union(losses.masks, true.float())
            scaled = self.network.normalise(frames.flatten(0, 1), valid, frames.shape[1])
            deceive, judge = separability_losses(
                self.discriminator, memory, scaled.view_as(frames), true, predicted
            )
            total = total + ADVERSARIAL_WEIGHT * deceive + judge
            parts |= {"adversarial": deceive.detach(), "discriminator": judge.detach()}
        return total, parts


@dataclass(frozen=True, slots=True)
class InstanceRecipe:
    """Everything that a training needs; the defaults are the published ones.

    Attributes:
        build: makes the network.
        videos, stills: classed footage; none of it may be used for scores.
        shape: clips of a batch, frames of a clip, side of the square crops.
        name: name of the network.
        rate: learning rate of all but the trunk.
        trunk_rate: of the trunk.
        drops: progress at which the rates fall to a tenth; none follows a cosine instead.
        separability: train a discriminator beside the network.
        backbone: file of the trunk to start from.
        video_share, single_share: see :class:`InstanceBatches`.
        start: weights of a former run of this network, or None.
    """

    build: Callable[[], SeqFormer]
    videos: Sequence[ClassedFootage]
    stills: Sequence[ClassedFootage]
    shape: ClipShape
    name: str
    rate: float = 2e-4
    trunk_rate: float = 2e-5
    drops: tuple[float, ...] = (4 / 12, 10 / 12)
    separability: bool = True
    backbone: Path | None = None
    start: Path | None = None
    gradient_clip: float | None = 0.1
    average_decay: float | None = None
    video_share: float = 0.5
    single_share: float = 0.0

    def network(self) -> nn.Module:
        """The objective with a network that starts from ``start``, or from a trained trunk."""
        network = self.build()
        if self.start is not None:
            load_strict(network, self.start)
        elif self.backbone is not None:
            load_trunk(network, self.backbone)
        width = network.size.width
        return InstanceObjective(network, Discriminator(width) if self.separability else None)

    def batches(self, count: int, seed: int) -> InstanceBatches:
        """Whole batches by number."""
        sampler = InstanceClipSampler(self.videos, self.stills)
        return InstanceBatches(sampler, self.shape, count, seed, self.video_share, self.single_share)

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """See :func:`rate_groups`."""
        return rate_groups(network, self.rate, self.trunk_rate)

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """AdamW, weight decay 1e-4."""
        return torch.optim.AdamW(groups, weight_decay=1e-4)

    def learning_rate(self, progress: float, step: int) -> float:
        """Steps as published, or 50 warm-up steps and a cosine down to 2 %."""
        if self.drops:
            return float(0.1 ** sum(progress >= drop for drop in self.drops))
        return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * progress)))


def rate_groups(network: nn.Module, rate: float, trunk_rate: float) -> list[dict[str, Any]]:
    """Trunk, slow ones, the discriminator at half the rate of the rest, and the rest."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        own = rate
        if ".backbone." in name:
            own = trunk_rate
        elif any(part in name for part in SLOW):
            own = rate / 10
        elif name.startswith("discriminator."):
            own = rate / 2
        groups.setdefault(own, []).append(parameter)
    return [{"params": parameters, "lr": own} for own, parameters in groups.items()]


def lite(
    videos: Sequence[ClassedFootage],
    stills: Sequence[ClassedFootage],
    backbone: Path | None,
    start: Path | None = None,
) -> InstanceRecipe:
    """The recipe of ``msstsvis-lite``: small crops, single pictures first and then short clips.

    Args:
        videos, stills: classed footage; none of it may be used for scores.
        backbone: DeepLabV3 on MobileNetV2, for the trunk.
        start: weights of this network to start from.
    """
    return InstanceRecipe(
        build=MSSTSVISLite,
        videos=videos,
        stills=stills,
        shape=ClipShape(batch=3, frames=3, side=192, objects=0),
        name="msstsvis-lite",
        rate=6e-4,
        drops=(),
        separability=False,
        backbone=backbone,
        start=start,
        gradient_clip=2.0,
        average_decay=0.998,
        video_share=0.4,
        single_share=0.6,
    )


def load_trunk(network: SeqFormer, path: Path) -> None:
    """Start the trunk from a classifier in torchvision's layout, or from a DeepLabV3.

    Raises:
        CheckpointError: the file cannot be read, or is of another trunk.
    """
    body = network.backbone.body
    if isinstance(body, DeepLabTrunk):
        whole = DeepLabV3()
        load_strict(whole, path)
        body.load_state_dict({name: whole.state_dict()[name] for name in body.state_dict()})
        return
    if isinstance(body, MobileNetV2Trunk):
        load_mobilenet(body, path)
        return
    tensors = read_checkpoint(path).tensors
    # Classifiers of Swin have no norms of their own for the maps that are used here.
    wanted = {name: value for name, value in body.state_dict().items() if not name.startswith("norm")}
    unfit = [
        name for name, value in wanted.items() if name not in tensors or tensors[name].shape != value.shape
    ]
    if unfit:
        raise CheckpointError(f"{path}: weights of another trunk: {first_few(unfit)}")
    body.load_state_dict({**body.state_dict(), **{name: tensors[name] for name in wanted}})
