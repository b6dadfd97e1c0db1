"""Recipe of STCN: its published stages, from ImageNet classifiers to videos (paper, section 4; release).

The batch is that of one device. The published runs used two devices, so that one device sees half of their
data in as many steps. Where a run is shortened with another number of steps, the learning rate falls and the
gap between frames changes at the same share of the run; the bootstrapping of the loss follows the count of
steps, as published, so that in a run of less than 20 000 steps all pixels count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from segue.errors import TrainingError
from segue.layers.colours import normalise
from segue.models.cutie import Cutie
from segue.models.stcn import STCN
from segue.models.stm import STM
from segue.models.xmem import XMem
from segue.options import option
from segue.weights import read_checkpoint
from segue.weights.checkpoint import VALUE_STEM, match
from segue_train.clip_pass import class_targets, clip_logits, object_masks
from segue_train.data.footage import Footage
from segue_train.data.stcn_data import SampleBatches, SkipCurriculum, StillSamples, VideoSamples, long_enough
from segue_train.losses.masks import bootstrap_fraction, bootstrapped_cross_entropy
from segue_train.recipe import UNCHECKED, Batch, CommonRecipe, Loss, Objective, checked_dataclass
from segue_train.trunks import copy_tensors

SEED = 14159265
RATE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Published constants of one stage of a training.

    Attributes:
        objects: slots; one means a network without the mask of the others.
        falls: shares of the steps after which the learning rate falls to a tenth.
        min_area: smallest share of a video frame that a crop shows.
        small_objects: whether videos keep them.
        skips: largest gap between the frames of a clip; None for clips of still images.
        affine: largest rotation and shear of single frames of a video, in degrees.
        references: frames that are read, of XMem and Cutie.
        side: side of the frames.
        points: points of a frame that Cutie's losses look at.
    """

    batch: int
    steps: int
    objects: int = 1
    falls: tuple[float, ...] = ()
    min_area: float = 0.36
    small_objects: Literal["keep", "drop"] = "keep"
    skips: Callable[[int, int], int] | None = None
    affine: tuple[float, float] = (15, 10)
    references: int = 2
    side: int = 384
    points: int = 8192


_TWO = partial(Stage, objects=2, batch=4)
STAGES = (
    Stage(batch=8, steps=300_000, falls=(150_000 / 300_000,)),  # still images
    _TWO(
        steps=500_000,
        falls=(400_000 / 500_000,),
        min_area=0.25,
        small_objects="drop",
        skips=SkipCurriculum(0.8),
    ),  # BL30K
    # YouTube-VOS and DAVIS, after stage 1 and after stage 0
    _TWO(steps=300_000, falls=(250_000 / 300_000,), skips=SkipCurriculum(0.9)),
    _TWO(steps=150_000, falls=(125_000 / 150_000,), skips=SkipCurriculum(0.9)),
)
"""Published stages; a training is 0, 3 or 0, 1, 2."""


N = TypeVar("N", STCN, XMem, Cutie)


@checked_dataclass()
class StagedRecipe(CommonRecipe):
    """One stage of a training that begins with still images."""

    stages: ClassVar[Sequence[Stage]] = STAGES
    encoders: ClassVar[tuple[str, str]] = ("key_encoder", "value_encoder")
    growing: ClassVar[Sequence[str]] = (VALUE_STEM,)  # weights with one more input channel for other objects

    stage: Annotated[int, option(ge=0, le=3)]
    """0: still images; 1: BL30K; 2: videos after stage 1; 3: videos after stage 0."""

    footage: Annotated[Sequence[Footage], UNCHECKED]
    """Still images for stage 0, videos for the others; none of it may be used for scores."""

    start: Path | None = option(None)
    """Weights of an earlier stage or run of this network."""

    init: Path | None = option(None)
    """ResNet-50 of torchvision, for the key encoder, if the run does not start from other weights."""

    init_value: Path | None = option(None)
    """ResNet-18 of torchvision, for the value encoder."""

    batch: int | None = option(None, ge=1)
    """Clips per batch and device. [default: as published]"""

    side: int | None = option(384)
    """Side of the square frames, a multiple of 16."""

    rate: Annotated[float, option(gt=0)] = field(default=RATE, kw_only=True)

    def __post_init__(self) -> None:
        side = self.plan.side if self.side is None else self.side
        if side % STCN.stride or side < STCN.stride:
            raise TrainingError(f"side is {side}; it must be a multiple of {STCN.stride}")

    @property
    def plan(self) -> Stage:
        """Published constants of the stage."""
        return self.stages[self.stage]

    @property
    def steps(self) -> int:
        """Published number of steps."""
        return self.plan.steps

    @property
    def falls(self) -> tuple[float, ...]:  # type: ignore[override]
        return self.plan.falls

    def started(self, network: N) -> N:
        """Create the network with the weights of ``start``, or of its backbones."""
        if self.start is not None:
            fill(network, self.start, self.growing)
        elif self.init is not None and self.init_value is not None:
            key, value = map(network.get_submodule, self.encoders)
            load_trunks(key, value, self.init, self.init_value)
        return network

    def stills(self, side: int) -> StillSamples:
        """Create the samples of stage 0."""
        return StillSamples(self.footage, side)

    def videos(self, side: int) -> VideoSamples:
        """Create the samples of the other stages."""
        footage = long_enough(self.footage, self.stage)
        return VideoSamples(footage, side, self.plan.min_area, self.plan.small_objects)

    def batches(self, count: int, seed: int) -> SampleBatches:
        plan, side = self.plan, self.side or self.plan.side
        samples = self.stills(side) if self.stage == 0 else self.videos(side)
        return SampleBatches(count, seed, samples, self.batch or plan.batch, plan.skips)


@checked_dataclass()
class STCNRecipe(StagedRecipe):
    """Options of one stage."""

    optimise: ClassVar[Any] = partial(torch.optim.Adam, weight_decay=1e-7)
    name: str = "stcn"

    def network(self) -> nn.Module:
        return Objective(self.started(STCN(single_object=self.plan.objects == 1)), clip_loss)


def clip_loss(
    network: STCN | STM,
    batch: Batch,
    progress: float,
    step: int,
    fraction: Callable[[int], float] = bootstrap_fraction,
) -> Loss:
    """Sum over the predicted frames of the cross-entropy of the hardest pixels."""
    frames, exists = prepared_frames(batch["frames"]), batch["exists"]
    length = frames.shape[1]
    masks = object_masks(batch["masks"][:, 0], exists.shape[1])
    logits = clip_logits(network, frames, masks, exists)
    target, share = class_targets(batch["masks"], exists), fraction(step)
    losses = [
        bootstrapped_cross_entropy(logits[:, t - 1], target[:, t], exists, share) for t in range(1, length)
    ]
    return torch.stack(losses).sum(), {f"frame_{t}": loss for t, loss in enumerate(losses, start=1)}


def prepared_frames(images: Tensor) -> Tensor:
    """Normalise images (B, T, 3, H, W), uint8, by ImageNet's mean and deviation."""
    planes = normalise(images.permute(0, 1, 3, 4, 2).flatten(0, 1))[0]
    return planes.transpose(0, 1).reshape(images.shape)


def fill(network: STCN | XMem | Cutie, path: Path, growing: Sequence[str] = (VALUE_STEM,)) -> None:
    """Initialise from the weights of an earlier stage.

    Weights of stage 0 lack the mask of the other objects; a network with that input gets a new channel, last,
    with orthogonal weights, in the tensors that are ``growing``.
    """
    tensors, expected = read_checkpoint(path).tensors, network.state_dict()
    for name in growing:
        loaded, target = tensors.get(name), expected[name]
        if loaded is not None and loaded.dim() == 4 and loaded.shape[1] + 1 == target.shape[1]:
            other_channel = nn.init.orthogonal_(torch.empty_like(target[:, :1]))
            tensors[name] = torch.cat([loaded.to(other_channel.dtype), other_channel], dim=1)
    network.load_state_dict(match(path, tensors, expected))


@torch.no_grad()
def load_trunks(key: nn.Module, value: nn.Module, resnet50: Path, resnet18: Path) -> None:
    """Initialise from ImageNet classifiers in torchvision's layout.

    The key side takes ResNet-50 to its third stage, the value side ResNet-18; torchvision calls ``layer1``
    what the key side calls ``res2``. Biases of the value side, which the classifier lacks, start at 0; the
    channels of its first convolution that see masks keep their orthogonal start.
    """
    copy_tensors(
        resnet50, {name.replace("res2.", "layer1."): tensor for name, tensor in key.state_dict().items()}
    )
    trunk = {
        name: tensor
        for name, tensor in value.state_dict().items()
        if name.startswith(("conv1.", "bn1.", "layer1.", "layer2.", "layer3."))
    }
    trunk["conv1.weight"] = trunk["conv1.weight"][:, :3]
    for name in [name for name in trunk if name.endswith(("conv1.bias", "conv2.bias", "downsample.0.bias"))]:
        trunk.pop(name).zero_()
    copy_tensors(resnet18, trunk)
