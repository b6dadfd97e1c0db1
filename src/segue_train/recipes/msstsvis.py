"""Recipes of SeqFormer and MS-STS VIS, published and for the small network ``msstsvis-lite``.

As published are Wu et al., "SeqFormer" (ECCV 2022), and Thawakar et al., "MS-STS VIS" (ECCV 2022), with the
constants of their releases: YouTube-VIS and COCO together, 12 epochs, learning rates to a tenth after epochs
4 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from segue.errors import TrainingError
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.models.msstsvis import Discriminator, Parts
from segue.models.msstsvis.lite import DecodedTubes, MSSTSVISLite
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.encoder import EncoderLayer
from segue.options import option
from segue.weights import load, load_strict, read_checkpoint
from segue.weights.checkpoint import match
from segue_train.costs import Cost, cost, seconds_on_processor, time_left
from segue_train.data.clips import ClipShape
from segue_train.data.instance_clips import UNKNOWN, Groups, InstanceBatches, InstanceClipSampler, targets
from segue_train.data.ytvis_clips import ClipBatches, ClipSource, clip_targets, valid_places
from segue_train.losses import instances as instance_losses
from segue_train.losses.instances import ClipTargets, corners, intersection_union
from segue_train.recipe import UNCHECKED, Batch, CommonRecipe, Loss, checked_dataclass, warmed_cosine
from segue_train.trunks import SHIPPED, copy_tensors, load_mobilenet

EPOCHS, DROPS = 12, (4 / 12, 10 / 12)
STILL_EPOCHS, STILL_DROPS = 50, (40 / 50,)  # of the training on COCO, as the authors of SeqFormer stated
CLASS_HEADS = "detr.class_embed."
NEW_PARTS = (".ms_sts.", ".temporal_attn.")  # in names of the tensors that MS-STS VIS has beyond SeqFormer
LITE_STEPS = 2400  # steps of ``msstsvis-lite``
SHAPE = ClipShape(batch=2, frames=4, side=192, objects=0)
TOUCHED = 0.3  # overlap (IoU, mean over the frames that show it) from which on a query is about an object


class InstanceObjective(nn.Module):
    """A network with its losses, for batches of :class:`InstanceBatches` or :class:`ClipBatches`."""

    def __init__(self, network: SeqFormer, discriminator: nn.Module | None = None) -> None:
        super().__init__()
        self.network, self.discriminator = network, discriminator

    def forward(self, batch: Batch, progress: float, step: int) -> Loss:
        """Loss of a batch whose ``frames`` are (N, T, H, W, 3), uint8, and its parts by name."""
        frames = batch["frames"].movedim(-1, 2).float() / 255
        if "sizes" in batch:
            clips = clip_targets(batch)
            valid = valid_places(batch["sizes"], frames.shape[-2], frames.shape[-1])
        else:
            clips, valid = targets(batch["masks"], batch["labels"]), None
        memory = self.network.encode(frames, valid)
        decoded = self.network.decode(memory)
        counted = None
        if isinstance(decoded, DecodedTubes):
            clips, counted = proposed_targets(
                clips, decoded, self.network.class_logits(decoded, 0), batch["complete"]
            )
        total, losses, masks = instance_losses.instance_losses(self.network, memory, decoded, clips, counted)
        parts = {name: losses[name].detach() for name in instance_losses.WEIGHTS}
        if self.discriminator is not None:
            true = torch.stack([planes.any(0) for planes in instance_losses.mask_targets(clips)])
            predicted = instance_losses.soft_union(masks, true.float())
            scaled = self.network.normalise(frames.flatten(0, 1), valid, frames.shape[1])
            deceive, judge = instance_losses.separability_losses(
                self.discriminator, memory, scaled.view_as(frames), true, predicted
            )
            total = total + instance_losses.ADVERSARIAL_WEIGHT * deceive + judge
            parts |= {"adversarial": deceive.detach(), "discriminator": judge.detach()}
        return total, parts


@torch.no_grad()
def proposed_targets(
    clips: Sequence[ClipTargets], decoded: DecodedTubes, logits: Tensor, complete: Tensor
) -> tuple[list[ClipTargets], Tensor]:
    """Targets of queries that start from detections, and the queries (N, Q) treated as matched.

    Objects that no query is about are not asked for. Those of unknown class have the one that the query says
    which is most about them. Where a clip is not complete (N,), queries that are about no object may be
    right.
    """
    proposed, counted = [], []
    for clip, boxes, scores, is_complete in zip(clips, decoded.references[0], logits, complete, strict=True):
        about = overlaps(clip.boxes, boxes)
        counted.append(is_complete | (about >= TOUCHED).any(0))
        is_proposed = (about >= TOUCHED).any(1)
        detected = scores[about.argmax(1)].argmax(1)
        labels = torch.where(clip.labels == UNKNOWN, detected, clip.labels)
        proposed.append(ClipTargets(labels[is_proposed], clip.boxes[is_proposed], clip.masks[is_proposed]))
    return proposed, torch.stack(counted)


def overlaps(objects: Tensor, boxes: Tensor) -> Tensor:
    """Mean IoU (n, Q) of objects (n, T, 4) with boxes (T, Q, 4) over the frames that show the object."""
    is_present = (objects[..., 2] > 0).float()[:, None]
    common, union = intersection_union(corners(objects)[:, None], corners(boxes).transpose(0, 1)[None])
    return (common / union.clamp(min=1e-9) * is_present).sum(-1) / is_present.sum(-1).clamp(min=1)


_DECAYED = partial(torch.optim.AdamW, weight_decay=1e-4)
# The slow parameters, and the discriminator at half the rate.
_FACTORS: Mapping[str, float] = {
    "reference_points": 0.1,
    "sampling_offsets": 0.1,
    "discriminator.": 0.5,
    "": 1.0,
}


@checked_dataclass()
class LiteRecipe(CommonRecipe):
    """Recipe of ``msstsvis-lite``: small crops, first of single images and then of short clips."""

    optimise: ClassVar[Any] = _DECAYED
    factors: ClassVar[Mapping[str, float]] = _FACTORS

    groups: Annotated[Groups, UNCHECKED]
    """Classed footage of each kind, and how often it is drawn; none of it may be used for scores."""

    start: Path | None = option(None)
    """Weights of this network to start from; `shipped` for those in the package. By default only the detector
    starts from the weights in the package."""

    batch: int | None = option(None, ge=1)
    """Clips per batch and device. [default: 2]"""

    split_attention: bool = option(True)
    """Attention over time inside each scale and between scales, in the encoder."""

    decoder_attention: bool = option(True)
    """Attention of the box queries over the frames."""

    separability: bool = option(True)
    """The discriminator and its adversarial loss."""

    shape: Annotated[ClipShape, UNCHECKED] = SHAPE
    """Clips of a batch, frames of a clip, side of the square crops."""

    name: str = "msstsvis-lite"

    single_share: float = 0.3
    """See :class:`InstanceBatches`."""

    rate: Annotated[float, option(gt=0)] = field(default=8e-4, kw_only=True)
    gradient_clip: ClassVar[float | None] = 2.0
    average_decay: ClassVar[float | None] = 0.99

    def network(self) -> nn.Module:
        parts = Parts() if self.split_attention else Parts("none", "none")
        network = MSSTSVISLite(replace(parts, decoder_attention=self.decoder_attention).text())
        if self.start == SHIPPED:
            network.load_state_dict(load(self.name).state_dict())
        elif self.start is not None:
            load_strict(network, self.start)
        else:
            network.detector.load_state_dict(load("nanodet").state_dict())
        return _objective(network, self.separability)

    def batches(self, count: int, seed: int) -> InstanceBatches:
        shape = replace(self.shape, batch=self.batch or self.shape.batch)
        return InstanceBatches(count, seed, InstanceClipSampler(self.groups), shape, self.single_share)

    def learning_rate(self, progress: float, step: int) -> float:
        return warmed_cosine(progress, step, warm_up=50, floor=0.02)


def _objective(network: SeqFormer, separability: bool) -> InstanceObjective:
    for layer in network.detr.transformer.encoder.layers:
        # Nothing reads it, and several devices would wait for its gradient.
        assert isinstance(layer, EncoderLayer)
        layer.self_attn.output_proj_box.requires_grad_(False)
    return InstanceObjective(network, Discriminator(network.size.width) if separability else None)


def load_trunk(network: SeqFormer, path: Path) -> None:
    """Initialise the backbone from a classifier in torchvision's layout."""
    body = network.backbone.body
    if isinstance(body, MobileNetV2Trunk):
        load_mobilenet(body, path)
    else:  # classifiers of Swin have no norms of their own for the maps that are used here
        copy_tensors(
            path,
            {name: parameter for name, parameter in body.state_dict().items() if not name.startswith("norm")},
        )


@checked_dataclass()
class PublishedRecipe(CommonRecipe):
    """Options of a training."""

    optimise: ClassVar[Any] = _DECAYED
    factors: ClassVar[Mapping[str, float]] = {".backbone.": 0.1, **_FACTORS}
    name: str

    build: Annotated[Callable[[], SeqFormer], UNCHECKED]
    """Makes the network with fresh weights."""

    sources: Annotated[Sequence[ClipSource], UNCHECKED]
    """Clips to learn from; none of them may be used for scores."""

    batch: Annotated[int, option(ge=1)]
    """Clips per batch and device."""

    separability: Annotated[bool, option()]
    """The discriminator and its adversarial loss."""

    trunk: Path | None = option(None, flags="init")
    """Classifier of the trunk, in torchvision's layout."""

    start: Path | None = option(None)
    """Initial weights, such as from a training on COCO."""

    clips: int | None = option(None, ge=1)
    """Clips per step on all devices together; batches are accumulated to this number. None uses one batch of
    each device."""

    epochs: int = option(EPOCHS)
    """Passes over all clips."""

    falls: tuple[float, ...] = field(default=DROPS, kw_only=True)  # type: ignore[misc]
    """Shares of the run after which the rate falls to a tenth."""

    rate: Annotated[float, option(gt=0)] = field(default=2e-4, kw_only=True)
    gradient_clip: ClassVar[float | None] = 0.1

    def steps(self, batches: int) -> int:
        """Published number of epochs in steps of these batches, over all devices."""
        return math.ceil(self.epochs * sum(map(len, self.sources)) / (self.batch * batches))

    def accumulated(self, devices: int) -> int:
        """Number of batches that a device accumulates for a step."""
        clips_per_pass = self.batch * devices
        clips_a_step = clips_per_pass if self.clips is None else self.clips
        if clips_a_step % clips_per_pass:
            raise TrainingError(
                f"{clips_a_step} clips a step are no multiple of the {clips_per_pass} that {devices} devices "
                f"take at once with --batch {self.batch}; change --devices or --batch, or give --clips or "
                "--accumulate"
            )
        return clips_a_step // clips_per_pass

    def network(self) -> nn.Module:
        network = self.build()
        if self.trunk is not None:
            load_trunk(network, self.trunk)
        if self.start is not None:
            start_from(network, self.start)
        return _objective(network, self.separability)

    def batches(self, count: int, seed: int) -> ClipBatches:
        return ClipBatches(count, seed, self.sources, self.batch)

    def cost(self, frames: int, size: tuple[int, int]) -> Cost:
        """Cost of a batch of clips of this size, without masks, losses and discriminator."""
        with torch.device("meta"):
            network, images = self.build().train(), torch.rand(self.batch, frames, 3, *size)
            return cost(network, partial(clip_pass, network, images))

    def step_cost(self, batches: int, *, on_processor: bool) -> str:
        """Describe the memory of a batch of large clips, and on a CPU the time of a step."""
        frames = max(source.frames for source in self.sources)
        height, width = max(source.sizes.largest for source in self.sources)
        counted = self.cost(frames, (height, width))
        what = f"{self.batch} clip{'s' * (self.batch > 1)} of {frames} frame{'s' * (frames > 1)}"
        text = f"a batch of {what} of {width}x{height} takes at least {counted.memory:.1f} GiB"
        if not on_processor:
            return text
        seconds = seconds_on_processor(counted.operations * batches)
        return f"{text}, and a step of {batches} about {time_left(seconds)} on this processor"


def clip_pass(network: SeqFormer, frames: Tensor) -> list[Tensor]:
    """Forward pass of SeqFormer without masks and losses, which need matched queries."""
    decoded = network.decode(network.encode(frames))
    return [network.class_logits(decoded, layer) for layer in range(network.size.decoder_layers)]


def start_from(network: SeqFormer, path: Path) -> None:
    """Initialise from other weights, such as of a training on COCO.

    Class heads of another number of classes begin anew, as published; so do the parts of MS-STS VIS where the
    file is one of SeqFormer. All else must fit.
    """
    expected = network.state_dict()
    renamed = {
        name: value
        for name, value in read_checkpoint(path).tensors.items()
        if not name.startswith(CLASS_HEADS) or name not in expected or value.shape == expected[name].shape
    }
    for name, value in expected.items():
        if name.startswith(CLASS_HEADS) or any(part in name for part in NEW_PARTS):
            renamed.setdefault(name, value)
    network.load_state_dict(match(path, renamed, expected))
