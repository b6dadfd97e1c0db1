"""Recipe of HOFAM and STAM.

From the released code: Adam with a rate of 5e-4 and betas 0.95 and 0.999, the loss, no augmentation, 16,000
loop steps of four updates each. Ours: the batch (the release's default is 1, while its loss assumes 16), that
the fusion convolutions learn, and the gate of the class-in scale, which the release meant and did not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import torch
from annotated_types import Ge, Le
from torch import nn

from segue.datasets.foreground import ForegroundSequence
from segue.errors import TrainingError
from segue.flow.providers import GAPS, SINGLE_GAP, FlowName, FlowProvider, flow_provider
from segue.models.hofam import HOFAM
from segue.sessions.extra_inputs import FlowNetwork
from segue.weights import load_strict
from segue_train.flow_samples import FlowBatches, FlowSamples
from segue_train.losses import ClassInScale, hofam_loss
from segue_train.recipe import Batch, CommonRecipe, Loss, Objective

RATE = 5e-4
BETAS = (0.95, 0.999)
STEPS = 64_000
BATCH = 8


@dataclass(frozen=True, slots=True)
class HofamRecipe(CommonRecipe):
    """Everything that a training needs.

    Attributes:
        name: which of the two networks.
        films: labelled films, or composites with their flow; none of them may be used for scores.
        gf: width of the network; 16 is for computers without a GPU.
        levels: 6 takes other sizes than 256 x 256.
        train_fusion: let the fusion convolutions learn; the release does not.
        attention: weigh both encoders by attention; without is an ablation.
        gamma: exponent of the focal loss; the release has 0, which is none.
        class_in_scale: when rare foreground weighs more: as meant, as the release ran, always.
        flow: what computes the flow of films: dis, farneback or raft; or a folder with the flow files of
            another program, in a folder for each film that is called after it, such as baseline/highway.
        flow_weights: weights of torchvision's raft_small.
        start: weights of this network to start from.
        batch: pictures of a batch, per device.
    """

    name: Literal["hofam", "stam"]
    films: Sequence[ForegroundSequence]
    gf: Annotated[int, Ge(1), Le(64)] = 64
    levels: Literal[6, 8] = 8
    train_fusion: bool = True
    attention: bool = True
    gamma: Annotated[float, Ge(0)] = 0.0
    class_in_scale: ClassInScale = "gated"
    flow: str = "dis"
    flow_weights: Path | None = None
    start: Path | None = None
    batch: Annotated[int, Ge(1)] = BATCH
    _: KW_ONLY
    rate: float = RATE

    def __post_init__(self) -> None:
        if self.batch < 1 or not 1 <= self.gf <= 64 or not 0 <= self.gamma < math.inf:
            raise TrainingError(
                f"batch is {self.batch}, gf is {self.gf} and gamma is {self.gamma}; at least 1, 1 to 64, and "
                "at least 0"
            )

    def network(self) -> nn.Module:
        mode: Literal["single", "hierarchical"] = "single" if self.name == "stam" else "hierarchical"
        network = HOFAM(
            self.gf,
            flow_mode=mode,
            levels=self.levels,
            train_fusion=self.train_fusion,
            attention=self.attention,
        )
        if self.start is not None:
            load_strict(network, self.start)
        loss = partial(flow_loss, class_in_scale=self.class_in_scale, gamma=self.gamma)
        return Objective(network, loss)

    def batches(self, count: int, seed: int) -> FlowBatches:
        samples = FlowSamples(self.films, self.provider, self.gaps, self.files)
        return FlowBatches(samples, self.batch, count, seed)

    @property
    def gaps(self) -> tuple[int, ...]:
        """Frames back to each earlier frame."""
        return SINGLE_GAP if self.name == "stam" else GAPS

    @property
    def files(self) -> Path | None:
        """Folder of flow files, where ``flow`` is one."""
        return None if self.flow in get_args(FlowName) else Path(self.flow)

    def provider(self) -> FlowProvider:
        """What computes the flow of films."""
        return flow_provider(self.flow, self.flow_weights)

    def runnable(self, network: HOFAM) -> FlowNetwork:
        """The network as sessions run it, with the flow that it learns from."""
        return FlowNetwork(network, None if self.files else self.provider())

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, betas=BETAS)


def flow_loss(
    network: HOFAM, batch: Batch, progress: float, step: int, class_in_scale: ClassInScale, gamma: float
) -> Loss:
    """The released loss, see :func:`~segue_train.losses.hofam_loss`."""
    logits = network(batch["frames"].float() / 255, batch["flow"].float() / 255)
    probability, labels = torch.sigmoid(logits[:, 0].float()), batch["labels"].float() / 255
    loss = hofam_loss(probability, labels, class_in_scale=class_in_scale, gamma=gamma)
    return loss.total, {"absolute": loss.absolute, "focal": loss.focal, "dice": loss.dice}
