"""Recipe of STM: still images, then videos (Oh et al., ICCV 2019, section 3; authors' answers).

The release has no training code. From the paper and its authors come: three frames of 384×384, the second
segmented from the first, the third from both, one backward pass for both losses; cross-entropy after soft
aggregation; Adam at a constant 1e-5; four clips a batch; batch norms whose statistics stay; frames of a video
in order, their gap growing by 5 every 20 passes from 0 to 25 frames that are left out, for all data sets
alike, so that labelled frames count in YouTube-VOS. Not published, and taken from STCN or chosen here: the
ranges of the random transforms, at most three objects a clip, the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from torch import nn

from segue.models.stm import STM
from segue.options import option
from segue.weights import load_strict
from segue_train.data.clips import frame_order
from segue_train.data.stcn_data import FRAMES, StillSamples, VideoSamples, long_enough
from segue_train.data.warp import Rng
from segue_train.recipe import Objective, checked_dataclass
from segue_train.recipes.stcn import Stage, StagedRecipe, clip_loss
from segue_train.trunks import copy_tensors


def growing_gap(epoch: int, epochs: int) -> int:
    """Largest distance of two frames in a pass: 0 to 25 frames skipped, 5 more every 20 passes."""
    return 1 + min(5 * (epoch // 20), 25)


OBJECTS = 3
# Steps on still images and on videos as STCN has them; STM's own are not published.
STAGES = (
    Stage(objects=OBJECTS, batch=4, steps=300_000),
    Stage(objects=OBJECTS, batch=4, steps=150_000, skips=growing_gap),
)


@checked_dataclass()
class STMRecipe(StagedRecipe):
    """Options of one stage."""

    stages: ClassVar[Sequence[Stage]] = STAGES

    stage: Annotated[int, option(ge=0, le=1)]
    """0: still images; 1: videos."""

    init: Path | None = option(None)
    """ResNet-50 of torchvision, for both encoders."""

    batch: int | None = option(4, ge=1)
    """Clips per batch and device."""

    name: str = "stm"

    def network(self) -> nn.Module:
        network = STM()
        if self.start is not None:
            load_strict(network, self.start)
        elif self.init is not None:
            load_trunk(network, self.init)
        return Objective(network, partial(clip_loss, fraction=lambda step: 1.0))  # all pixels count

    def stills(self, side: int) -> StillSamples:
        return StillSamples(self.footage, side, OBJECTS, spline_share=0)

    def videos(self, side: int) -> VideoSamples:
        footage = long_enough(self.footage, self.stage)
        return VideoSamples(footage, side, slots=OBJECTS, choose=frames_in_order, video_frames=False)


def frames_in_order(rng: Rng, count: int, max_gap: int) -> list[int]:
    """Choose three frames in order of time."""
    return sorted(frame_order(rng, count, FRAMES, max_gap))


@torch.no_grad()
def load_trunk(network: STM, resnet50: Path) -> None:
    """Initialise both encoders from torchvision's ResNet-50; stems for masks stay random."""
    for encoder in (network.Encoder_Q, network.Encoder_M):
        layers = {f"res{stage + 1}.": f"layer{stage}." for stage in (1, 2, 3)}
        parameters = {
            layers.get(name[:5], name[:5]) + name[5:]: tensor
            for name, tensor in encoder.state_dict().items()
            if not name.startswith(("conv1_", "mean", "std"))
        }
        copy_tensors(resnet50, parameters)
