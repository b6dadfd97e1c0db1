"""Recipe of HOFAM and STAM.

From the released code: Adam with a rate of 5e-4 and betas 0.95 and 0.999, the loss, no augmentation, 16,000
loop steps of four updates each. Ours: the batch (the release's default is 1, while its loss assumes 16), that
the fusion convolutions learn, and the gate of the class-in scale, which the release meant and did not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import cv2
import numpy as np
import torch
from torch import nn

from segue.datasets.foreground.folder import ForegroundSequence
from segue.datasets.foreground.labels import MOTION
from segue.datasets.foreground.sets import read_flow, read_frame
from segue.errors import DatasetError
from segue.flow import FlowFiles, FlowImages
from segue.flow.providers import GAPS, SINGLE_GAP, FlowName, flow_provider
from segue.models.hofam import HOFAM
from segue.options import option
from segue.sessions.foreground.segmenters.extra_inputs import FlowNetwork, computing_flow
from segue.types import Image
from segue.weights import load_strict
from segue_train.data.foreground.pool import cached_provider
from segue_train.losses.masks import ClassInScale, hofam_loss
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

STEPS = 64_000
SIDE = 256  # side of the images


@checked_dataclass()
class HofamRecipe(CommonRecipe):
    """Options of a training."""

    optimise: ClassVar[Any] = partial(torch.optim.Adam, betas=(0.95, 0.999))

    name: Literal["hofam", "stam"]
    """Which of the two networks."""

    videos: Annotated[Sequence[ForegroundSequence], UNCHECKED]
    """Labelled videos, or HOFAM's composite images (frame, flow and labels side by side); none of them may be
    used for scores."""

    gf: int = option(64, ge=1, le=64)
    """Width of the network; 16 is for computers without a GPU."""

    levels: Literal[6, 8] = option(8)
    """6 accepts sizes other than 256 x 256."""

    train_fusion: bool = option(True)
    """Train the fusion convolutions; the release does not."""

    attention: bool = option(True)
    """Weight both encoders by attention; off is an ablation."""

    gamma: float = option(0.0, ge=0)
    """Exponent of the focal loss; the release has 0, which turns it off."""

    class_in_scale: ClassInScale = option("gated")
    """When rare foreground has a higher weight: as intended, as the release ran, or always."""

    flow: str = option("dis")
    """Method for the flow of videos: dis, farneback or raft; or a folder with flow files, with a subfolder
    named after each video, such as baseline/highway."""

    flow_weights: Path | None = option(None)
    """Weights of torchvision's raft_small."""

    start: Path | None = option(None)
    """Weights of this network to start from."""

    batch: int = option(8, ge=1)
    """Images per batch and device."""

    rate: Annotated[float, option(gt=0)] = field(default=5e-4, kw_only=True)

    def network(self) -> nn.Module:
        network = HOFAM(
            self.gf,
            flow_mode="single" if self.name == "stam" else "hierarchical",
            levels=self.levels,
            train_fusion=self.train_fusion,
            attention=self.attention,
        )
        if self.start is not None:
            load_strict(network, self.start)
        return Objective(network, self.loss)

    def loss(self, network: HOFAM, batch: Batch, progress: float, step: int) -> Loss:
        """Compute the released loss, see :func:`~segue_train.losses.masks.hofam_loss`."""
        logits = network(batch["frames"].float() / 255, batch["flow"].float() / 255)
        probability, labels = torch.sigmoid(logits[:, 0].float()), batch["labels"].float() / 255
        return hofam_loss(probability, labels, class_in_scale=self.class_in_scale, gamma=self.gamma)

    def batches(self, count: int, seed: int) -> FlowBatches:
        scored = ((video, set(video.scored)) for video in self.videos)
        places = [
            (video, i)
            for video, scored_numbers in scored
            for i in video.labels
            if video.numbers[i] in scored_numbers
        ]
        if not places:
            raise DatasetError("no video has a labelled frame")
        computed = [video for video in self.videos if video.decode_image is not read_frame]
        files = {video.key: video_flow(self.files, self.gaps, video) for video in computed if self.files}
        return FlowBatches(count, seed, places, self.batch, self.gaps, files, (self.flow, self.flow_weights))

    @property
    def gaps(self) -> tuple[int, ...]:
        """Distances of the earlier frames."""
        return SINGLE_GAP if self.name == "stam" else GAPS

    @property
    def files(self) -> Path | None:
        """Folder of flow files, if ``flow`` is one."""
        return None if self.flow in get_args(FlowName) else Path(self.flow)

    def runnable(self, network: HOFAM) -> FlowNetwork:
        """Wrap the network for sessions, with the flow of its training."""
        wrapped = FlowNetwork(network)
        if not self.files:
            computing_flow(wrapped, flow_provider(self.flow, self.flow_weights))
        return wrapped


def video_flow(folder: Path, gaps: tuple[int, ...], video: ForegroundSequence) -> FlowFiles:
    """Open the flow files of a video, in a folder of its name."""
    return FlowFiles(folder / video.key, gaps, len(video))


@dataclass(frozen=True)
class FlowBatches(Batches):
    """Batches from shuffled passes through labelled frames; composite images have their own flow.

    The flow of the others comes from files, see :func:`video_flow`, or from the provider. A composite gives
    STAM its red channel, that of the largest gap, as the released demo does.
    """

    places: Sequence[tuple[ForegroundSequence, int]]
    batch: int
    gaps: tuple[int, ...]
    files: Mapping[str, FlowFiles]
    provider: tuple[str, Path | None]  # what :func:`~segue_train.data.foreground.pool.cached_provider` takes

    def batch_of(self, number: int) -> Batch:
        indices = in_passes(len(self.places), number, self.batch, self.seed)
        frames, flow, labels = map(
            stacked, zip(*(self._sample(*self.places[i]) for i in indices), strict=True)
        )
        return {"frames": frames.movedim(-1, 1), "flow": flow.movedim(-1, 1), "labels": labels}

    def _sample(self, video: ForegroundSequence, i: int) -> tuple[Image, Image, Image]:
        """Read RGB (256, 256, 3), flow (256, 256, 3 or 1), largest gap first, and labels (256, 256), uint8.

        Foreground is 255; unknown pixels are background, as in the release.
        """
        frame, labels = fitted(video.read_image(i)), video.read_labels(i)
        moving = np.where(labels == MOTION, np.uint8(MOTION), np.uint8(0))
        truth = cv2.resize(moving, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)
        return frame, self._flow(video, i, frame), np.asarray(truth, np.uint8)

    def _flow(self, video: ForegroundSequence, i: int, frame: Image) -> Image:
        if video.decode_image is read_frame:
            return fitted(read_flow(video.frames[i]))[..., : len(self.gaps)]
        if video.key in self.files:
            return np.atleast_3d(fitted(self.files[video.key](i)))
        images = FlowImages(cached_provider(*self.provider), self.gaps)
        return images(frame, [fitted(video.read_image(max(i - gap, 0))) for gap in self.gaps])


def fitted(image: Image) -> Image:
    """Resize an image to the network's input."""
    if image.shape[:2] == (SIDE, SIDE):
        return image
    interpolation = cv2.INTER_AREA if min(image.shape[:2]) > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=interpolation), np.uint8)
