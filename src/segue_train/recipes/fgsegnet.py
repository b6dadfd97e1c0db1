"""Recipe of FgSegNet_v2: train on a few labelled frames of each scene.

From the released code: 200 or 25 frames of a scene, the last fifth of a random order kept for validation,
whole frames one by one, RMSprop with a rate of 1e-4, VGG-16 from ImageNet of which only the fourth block
learns. Ours: cross-entropy with balanced classes, which the release meant; what it ran with can be chosen.
The release lowers the rate and stops where the validation loss stalls; here the rate falls at fixed shares of
the run, and the weights with the best validation are kept beside the last ones. The release has a network for
each scene; one for several scenes learns from the frames of all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import nn

from segue.datasets.foreground.folder import ForegroundSequence
from segue.errors import DatasetError, TrainingError
from segue.models.fgsegnet import BACKBONE, FgSegNetV2
from segue.options import option
from segue.weights import load
from segue_train.losses.masks import ClassWeight, Kind, fgsegnet_loss, foreground_target, labelled_weight
from segue_train.recipe import (
    UNCHECKED,
    Batch,
    Batches,
    CommonRecipe,
    Loss,
    Objective,
    checked_dataclass,
    in_passes,
)
from segue_train.trunks import copy_tensors

EPOCHS = 100
FRAMES = 200  # frames that a scene is learned from; published are 200 and 25
VALIDATION_SHARE = 0.2  # share of the frames that validates
ORDER_SEED = 42


Split = tuple[tuple[int, ...], tuple[int, ...]]
"""Frames of a scene, by index, that are learned from and that validate; no score may be taken on them."""


def split_frames(
    video: ForegroundSequence, count: int = FRAMES, numbers: Collection[int] | None = None
) -> Split:
    """Choose the frames of a scene as the release does."""
    scored = set(video.scored if numbers is None else numbers)
    labelled = [i for i in video.labels if video.numbers[i] in scored]
    if numbers is None and len(labelled) > count:
        labelled = [labelled[i] for i in np.linspace(0, len(labelled) - 1, count).round().astype(int)]
    if len(labelled) < 2:
        raise DatasetError(
            f"{video.key}: {len(labelled)} labelled frames to learn from; 2 or more are needed"
        )
    order = np.random.default_rng(ORDER_SEED).permutation(labelled).tolist()
    num_validation = max(1, round(VALIDATION_SHARE * len(order)))
    return tuple(order[:-num_validation]), tuple(order[-num_validation:])


@checked_dataclass()
class FgSegNetRecipe(CommonRecipe):
    """Options of a training."""

    optimise: ClassVar[Any] = partial(torch.optim.RMSprop, alpha=0.9, eps=1e-8)

    scenes: Annotated[Sequence[tuple[ForegroundSequence, Split]], UNCHECKED]
    """Videos with their frames."""

    trunk: Path | None = option(None, flags="init")
    """VGG-16 of torchvision; without it or other weights, all layers start at random and are trained."""

    start: Path | None = option(None)
    """Weights of a network for another scene, to start from."""

    loss: Kind = option("bce")
    """Loss as intended, or as the release ran."""

    class_weight: ClassWeight = option("balanced")
    """Class weight as intended, or none as the release ran."""

    batch: int = option(1, ge=1)
    """Frames per batch, all of one size; the published number is one."""

    name: str = "fgsegnet"
    rate: Annotated[float, option(gt=0)] = field(default=1e-4, kw_only=True)
    falls: ClassVar[tuple[float, ...]] = (0.6, 0.85)

    def network(self) -> nn.Module:
        scene = self.scenes[0][0].name if len(self.scenes) == 1 else None
        if self.start is not None:
            started = load(self.name, self.start)
            assert isinstance(started, FgSegNetV2)
            network = FgSegNetV2(started.scaling, scene)
            network.load_state_dict(started.state_dict())
        else:
            network = FgSegNetV2("raw255" if self.trunk is None else "imagenet", scene)
            if self.trunk is not None:
                load_trunk(network, self.trunk)
        if self.start is not None or self.trunk is not None:
            network.freeze_backbone()
        return Objective(network, partial(scene_loss, kind=self.loss, class_weight=self.class_weight))

    def batches(self, count: int, seed: int) -> SceneFrames:
        frames = [(video, i) for video, (train, _) in self.scenes for i in train]
        if self.batch > 1:
            sizes = {video.read_image(split[0][0]).shape[:2] for video, split in self.scenes}
            if len(sizes) > 1:
                raise TrainingError(
                    f"--batch {self.batch}: the scenes have {len(sizes)} sizes, and frames of a batch have "
                    "one; --accumulate averages over batches"
                )
        return SceneFrames(count, seed, frames, self.batch)

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> float:
        """Negative loss on the held-out frames, for a network in evaluation mode."""
        device = next(network.parameters()).device
        losses = []
        for video, (_, validation_frames) in self.scenes:
            for i in validation_frames:
                batch = {name: value.to(device) for name, value in scene_batch(video, i).items()}
                losses.append(float(scene_loss(network, batch, 0.0, 0, self.loss, self.class_weight)[0]))
        return -float(np.mean(losses))


@dataclass(frozen=True)
class SceneFrames(Batches):
    """Whole frames of scenes, in shuffled passes."""

    frames: Sequence[tuple[ForegroundSequence, int]]
    batch: int = 1

    def batch_of(self, number: int) -> Batch:
        places = in_passes(len(self.frames), number, self.batch, self.seed)
        batches = [scene_batch(*self.frames[place]) for place in places]
        return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def scene_batch(video: ForegroundSequence, i: int) -> Batch:
    """Read a labelled frame as a batch."""
    frames = torch.from_numpy(np.array(video.read_image(i))).movedim(-1, 0)[None]
    return {"frames": frames, "labels": torch.from_numpy(np.array(video.read_labels(i)))[None]}


def scene_loss(
    network: nn.Module, batch: Batch, progress: float, step: int, kind: Kind, class_weight: ClassWeight
) -> Loss:
    """See :func:`~segue_train.losses.masks.fgsegnet_loss`; returns no parts."""
    probability = torch.sigmoid(network(batch["frames"].float() / 255)[:, 0].float())
    target, counts = foreground_target(batch["labels"]), labelled_weight(batch["labels"])
    return fgsegnet_loss(probability, target, counts, kind, class_weight), {}


def load_trunk(network: FgSegNetV2, path: Path) -> None:
    """Initialise the backbone from torchvision's VGG-16."""
    names, place = {}, 0
    for block, widths in enumerate(BACKBONE, start=1):
        for i in range(1, len(widths)):
            names[f"features.{place}"] = network.backbone.get_submodule(f"block{block}_conv{i}")
            place += 2
        place += 1  # pooling
    parameters = {
        f"{name}.{leaf}": value for name, conv in names.items() for leaf, value in conv.state_dict().items()
    }
    copy_tensors(path, parameters)
