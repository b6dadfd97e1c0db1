"""Recipe of mustan-lite: a pool of artificial clips and films, one run.

What mattered in trials: what is known of the past of each pixel as an input, in training as good and as bad
as sessions come by; an encoder from ImageNet; moving backgrounds in most samples.
Scenes must be alive without movers, but nothing in them may change like something that is put there and
stays: with screens that change and stand still a network takes whatever has straight edges for one. Scenes
need things that are pasted and do not move, and movers that are mere shapes, or it learns how pasting looks.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from segue.flow.providers import FlowName, FlowProvider, flow_provider
from segue.layers.class_in_scale import ClassInScale
from segue.models.base import ForegroundNetwork
from segue.models.mustan_lite import MustanLite
from segue.sessions.extra_inputs import ComputedFlow
from segue.weights.checkpoint import match
from segue_train.foreground_pool import Pool, PoolBatches
from segue_train.losses import ForegroundObjective
from segue_train.recipe import CommonRecipe, warmed_cosine
from segue_train.trunks import load_mobilenet, tensors_to_start_from

STEPS = 3200
SAMPLES = 10_000
BATCH = 8
SHADOW_PRICE = 0.7  # weight of pixels in shadow, against 1 for all others, in the loss of foreground
# Of false alarms and misses. With equal ones a short training gives a timid network, and what it misses of
# somebody who stands still becomes background.
PRICES = (0.3, 0.7)
SAMPLE_SIZE = (160, 208)  # height and width of the samples of a pool
SHOWN_SIZE = (144, 192)  # height and width of what a batch shows of a sample


@dataclass(frozen=True, slots=True)
class PoolRecipe(CommonRecipe):
    """What both recipes share: a folder of a filled pool is what they learn from.

    Attributes:
        start: weights of this network to start from.
        rate: learning rate at its highest; the encoder has a tenth. A further training wants less.
    """

    pool: Path
    start: Path | None = None
    _: KW_ONLY
    gradient_clip: float | None = 5.0
    average_decay: float | None = 0.998
    rate: float = 2e-3

    def batches(self, count: int, seed: int) -> PoolBatches:
        """Batches of the samples of the pool."""
        return PoolBatches(count, seed, Pool(self.pool), BATCH, SHOWN_SIZE)

    def runnable(self, network: nn.Module) -> nn.Module:
        """The network as sessions run it."""
        return network

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, weight_decay=1e-2)

    def learning_rate(self, progress: float, step: int) -> float:
        return warmed_cosine(progress, step, warm_up=40, floor=0.01)


@dataclass(frozen=True, slots=True)
class MustanLiteRecipe(PoolRecipe):
    """Everything that a training of mustan-lite needs.

    Attributes:
        backbone: MobileNetV2 in torchvision's layout, where there is nothing else to start from.
        scaling: input that the backbone was trained with: ``unit`` is [-1, 1], ``imagenet`` torchvision's.
        start: weights of this network to start from; `shipped` for those that come with segue.
        rate: learning rate at its highest; the encoder has a tenth. A further training wants less.
        flow: look at optical flow too, by HOFAM's attention: dis, farneback or raft computes it.
        flow_weights: weights of torchvision's raft_small.
        flow_attention: weigh what is made of flow by attention; without is an ablation.
        class_in_scale: when rare foreground weighs more, as in HOFAM: never, as its release ran; once the
            batch is found well, as it was meant; always.
    """

    name: str = "mustan-lite"
    backbone: Path | None = None
    scaling: Literal["unit", "imagenet"] = "unit"
    flow: FlowName | None = None
    flow_weights: Path | None = None
    flow_attention: bool = True
    class_in_scale: ClassInScale = "as_run"

    factors: ClassVar[dict[str, float]] = {"network.encoder.": 0.1, "": 1.0}

    def network(self) -> nn.Module:
        network = MustanLite(self.flow, flow_attention=self.flow_attention)
        if self.start is not None:
            start_from(network, self.start)
        elif self.backbone is not None:
            load_mobilenet(network.encoder, self.backbone, self.scaling)
        for layer in (network.encoder.stem, *network.encoder.blocks[:6]):
            layer.requires_grad_(False)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        return ForegroundObjective(
            network, PRICES, shadow=SHADOW_PRICE, pooled=True, class_in_scale=self.class_in_scale
        )

    def batches(self, count: int, seed: int) -> PoolBatches:
        batches = PoolRecipe.batches(self, count, seed)
        return batches if self.flow is None else replace(batches, provider=self.provider)

    def provider(self) -> FlowProvider:
        """What computes the flow."""
        return flow_provider(self.flow or "dis", self.flow_weights)

    def runnable(self, network: nn.Module) -> nn.Module:
        """The network as sessions run it, with the flow that it learns from."""
        return (
            network if self.flow is None else ComputedFlow(cast(ForegroundNetwork, network), self.provider())
        )


def start_from(network: MustanLite, path: Path) -> None:
    """Start from other weights, or from those that come with segue if the path is ``shipped``.

    The attention to flow begins anew where they have none, adding nothing.
    """
    found = tensors_to_start_from(path, "mustan-lite")
    for name, value in network.state_dict().items():
        if name.startswith("flow_attention."):
            found.setdefault(name, value)
    network.load_state_dict(match(path, found, network.state_dict()))
