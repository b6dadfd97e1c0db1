"""How the limit of ``bright`` is learnt from labelled videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.cli.options import Options
from segue.options import option
from segue_blobs.foreground import Bright
from segue_train.commands import VideoData, training
from segue_train.recipe import UNCHECKED, Batch, Batches, CommonRecipe, Loss, Objective, checked_dataclass


@dataclass(frozen=True)
class Frames(Batches):
    """One frame of a video after the other."""

    videos: Any

    def batch_of(self, number: int) -> Batch:
        video = self.videos[number % len(self.videos)]
        frame = number // len(self.videos) % len(video)
        image, labels = np.array(video.read_image(frame)), np.array(video.read_labels(frame))
        return {"frames": torch.from_numpy(image).movedim(-1, 0)[None], "labels": torch.from_numpy(labels)}


@checked_dataclass()
class BrightRecipe(CommonRecipe):
    """Everything that a training of bright needs."""

    videos: Annotated[Any, UNCHECKED]
    """Labelled videos."""

    smooth: float = option(0.0, ge=0)
    """How much less than certain the labels are."""

    name: str = "bright"
    rate: Annotated[float, option(gt=0)] = field(default=0.01, kw_only=True)

    def network(self) -> nn.Module:
        return Objective(Bright(), self.loss)

    def batches(self, count: int, seed: int) -> Frames:
        return Frames(count, seed, self.videos)

    def loss(self, network: nn.Module, batch: Batch, progress: float, step: int) -> Loss:
        """Cross-entropy of all pixels."""
        frames = batch["frames"].float() / 255
        logits: Tensor = network.decode(network.encode(frames, "current"), (), None, frames.shape[-2:])  # type: ignore[operator]
        target = (batch["labels"] == 255).float().clamp(self.smooth, 1 - self.smooth)
        loss = F.binary_cross_entropy_with_logits(logits[0, 0], target)
        return loss, {"entropy": loss}


@training("bright", Options(VideoData), Options(BrightRecipe), steps=20)
def bright(data: VideoData, options: dict[str, Any], run: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Train bright on labelled videos."""
    videos = data.gather()
    return BrightRecipe([*videos.real, *videos.rendered], **options), {"validate": data.validation(videos)}
