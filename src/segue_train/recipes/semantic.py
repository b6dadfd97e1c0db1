"""Recipe of PSPNet and DeepLabV3+, the baselines of HOFAM's release.

The release says nothing of how it trained them. Here they see what HOFAM sees: images of 256 x 256, without
augmentation. Ours: Adam with a rate of 1e-4 that falls, cross-entropy, and a ResNet-50 of ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np
import torch
from torch import nn

from segue.datasets.foreground.folder import ForegroundSequence
from segue.errors import DatasetError
from segue.models.semantic import Architecture, SemanticNetwork
from segue.options import option
from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue_train.losses.masks import foreground_target, labelled_weight, weighted_cross_entropy
from segue_train.recipe import (
    UNCHECKED,
    Batch,
    Batches,
    CommonRecipe,
    Loss,
    Objective,
    checked_dataclass,
    in_passes,
    stacked,
)
from segue_train.recipes.hofam import SIDE, fitted
from segue_train.trunks import copy_tensors

STEPS = 16_000


@checked_dataclass()
class SemanticRecipe(CommonRecipe):
    """Options of a training."""

    name: Architecture
    """Which of the two networks."""

    videos: Annotated[Sequence[ForegroundSequence], UNCHECKED]
    """Labelled videos; none of them may be used for scores."""

    trunk: Path | None = option(None, flags="init")
    """ResNet-50 of torchvision to start from; without it, all layers start at random."""

    batch: int = option(8, ge=2)
    """Images per batch and device; batch norms need at least two."""

    rate: Annotated[float, option(gt=0)] = field(default=1e-4, kw_only=True)
    falls: ClassVar[tuple[float, ...]] = (0.6, 0.85)

    def network(self) -> nn.Module:
        network = SemanticNetwork(self.name)
        if self.trunk is not None:
            copy_tensors(self.trunk, network.network.get_submodule("encoder").state_dict())
        return Objective(network, semantic_loss)

    def batches(self, count: int, seed: int) -> LabelledFrames:
        scored = ((video, set(video.scored)) for video in self.videos)
        places = [(video, i) for video, of in scored for i in video.labels if video.numbers[i] in of]
        if not places:
            raise DatasetError("no video has a labelled frame")
        return LabelledFrames(count, seed, places, self.batch)


@dataclass(frozen=True)
class LabelledFrames(Batches):
    """Batches from shuffled passes through labelled frames."""

    places: Sequence[tuple[ForegroundSequence, int]]
    batch: int

    def batch_of(self, number: int) -> Batch:
        indices = in_passes(len(self.places), number, self.batch, self.seed)
        frames, labels = zip(*(self._sample(*self.places[i]) for i in indices), strict=True)
        return {"frames": stacked(frames).movedim(-1, 1), "labels": stacked(labels)}

    def _sample(self, video: ForegroundSequence, i: int) -> tuple[Image, UInt8Array]:
        """Read RGB (256, 256, 3) and labels (256, 256), uint8."""
        labels = cv2.resize(video.read_labels(i), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)
        return fitted(video.read_image(i)), np.asarray(labels, np.uint8)


def semantic_loss(network: nn.Module, batch: Batch, progress: float, step: int) -> Loss:
    """Cross-entropy over the labelled pixels; returns no parts."""
    logits: torch.Tensor = network(batch["frames"].float() / 255)[:, 0]
    target, counts = foreground_target(batch["labels"]), labelled_weight(batch["labels"])
    return weighted_cross_entropy(logits, target, counts), {}
