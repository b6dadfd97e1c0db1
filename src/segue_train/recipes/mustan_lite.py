"""Recipe of mustan-lite: a pool of artificial clips and videos, one run.

What mattered in trials: what is known of the past of each pixel as an input, in training as good and as bad
as sessions come by; an encoder from ImageNet; moving backgrounds in most samples.
Backgrounds must move, but nothing in them may change like an object that is put there and stays. Scenes need
pasted objects that do not move, and movers that are plain shapes, or the network learns how pasting looks.
The shipped weights were trained with more effects: lamps, clouds, headlights, insects, shadows from outside
(commit 724f63b5), rain, snow, water and branches, which ``benchmarks/lib/foreground_scenes.py`` still shows,
and fog (commit 9b228075). Trainings without frames of moving cameras lose 0.03 to 0.04 of F where a camera
trembles or pans (research/mustan-lite.md).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from segue.errors import TrainingError
from segue.flow.providers import FlowName, flow_provider
from segue.models.base import ForegroundNetwork
from segue.models.mustan_lite import MustanLite
from segue.options import option
from segue.sessions.foreground.segmenters.extra_inputs import computing_flow
from segue_train.data.foreground.pool import Pool, PoolBatches
from segue_train.losses.masks import ClassInScale, foreground_loss
from segue_train.recipe import Batch, Loss, Objective, checked_dataclass, warmed_cosine
from segue_train.trunks import MobileNetRecipe

STEPS = 3200
SAMPLES = 10_000
BATCH = 8
SHADOW_PRICE = 0.7  # weight of pixels in shadow, against 1 for all others, in the loss of foreground
# Of false alarms and misses. With equal ones a short training gives a timid network, and what it misses of
# somebody who stands still becomes background.
PRICES = (0.3, 0.7)
SAMPLE_SIZE = (160, 208)  # height and width of the samples of a pool
SHOWN_SIZE = (144, 192)  # height and width of what a batch shows of a sample


class FixedNetwork(nn.Module):
    """A copy of a network that moves with its owner, but is neither trained nor saved.

    The copy is no registered submodule, so that optimisers, averages, gradients between devices and
    checkpoints do without it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = (deepcopy(network).eval().requires_grad_(False),)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Convert the copy's tensors with its owner's."""
        self._network[0]._apply(fn, recurse)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @property
    def network(self) -> nn.Module:
        """Copy in evaluation mode."""
        return self._network[0]


class RetainingObjective(Objective):
    """Objective that keeps the network close to its initial state and its batch statistics fixed."""

    def __init__(self, network: nn.Module, loss: Callable[..., Loss]) -> None:
        super().__init__(network, loss)
        self.start = FixedNetwork(network)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, batch: Batch, progress: float, step: int) -> Loss:
        return self.loss(self.network, batch, progress, step, start=self.start.network)


@checked_dataclass()
class MustanLiteRecipe(MobileNetRecipe):
    """Options of a training of mustan-lite."""

    optimise: ClassVar[Any] = partial(torch.optim.AdamW, weight_decay=1e-2)

    pool: Path
    """Folder of a filled pool."""

    name: str = "mustan-lite"

    flow: FlowName | None = option(None)
    """Also use optical flow with HOFAM's attention, computed by dis, farneback or raft."""

    flow_weights: Path | None = option(None)
    """Weights of torchvision's raft_small."""

    flow_attention: bool = option(True)
    """Weight the flow features by attention; off is an ablation."""

    recurrence: bool = option(False)
    """Add inputs for how often a frame's colours occurred at their positions before; the shipped weights do
    not use them."""

    class_in_scale: ClassInScale = option("as_run")
    """When rare foreground has a higher weight, as in HOFAM: never, as its release ran; once the batch is
    segmented well, as intended; or always."""

    shown_size: ClassVar[tuple[int, int]] = SHOWN_SIZE
    gradient_clip: ClassVar[float | None] = 5.0
    frozen: ClassVar[int] = 6

    rate: Annotated[float, option(gt=0)] = field(default=2e-3, kw_only=True)
    """Maximum learning rate; the encoder has a tenth. Fine-tuning needs a lower rate."""

    batch: Annotated[int, option(ge=1)] = field(default=BATCH, kw_only=True)
    """Samples per batch and device."""

    keep: Annotated[float, option(ge=0)] = field(default=0.0, kw_only=True)
    """Weight of a loss that keeps the outputs close to those of `--start` where these are right, so a short
    fine-tuning forgets little; batch statistics are also kept. 10 is a good value."""

    factors: ClassVar[dict[str, float]] = {"network.encoder.": 0.1, "": 1.0}

    def __post_init__(self) -> None:
        if self.keep and self.start is None:
            raise TrainingError("--keep stays with the weights of --start; give them")

    def network(self) -> nn.Module:
        network = MustanLite(self.flow, flow_attention=self.flow_attention, recurrence=self.recurrence)
        # Flow attention and recurrence that the weights lack add nothing at first.
        network = self.started(self.name, network, network.encoder, new=("flow_attention.", "recurrence."))
        loss = partial(
            foreground_loss,
            tversky=PRICES,
            shadow=SHADOW_PRICE,
            pooled=True,
            class_in_scale=self.class_in_scale,
        )
        if not self.keep:
            return Objective(network, loss)
        return RetainingObjective(network, partial(loss, keep=self.keep))

    def batches(self, count: int, seed: int) -> PoolBatches:
        provider = None if self.flow is None else (self.flow, self.flow_weights)
        return PoolBatches(count, seed, Pool(self.pool), self.batch, self.shown_size, provider)

    def learning_rate(self, progress: float, step: int) -> float:
        return warmed_cosine(progress, step, warm_up=40, floor=0.01)

    def runnable(self, network: nn.Module) -> nn.Module:
        """Wrap the network for sessions, with the flow of its training."""
        if self.flow is None:
            return network
        provider = flow_provider(self.flow, self.flow_weights)
        return cast(nn.Module, computing_flow(cast(ForegroundNetwork, network), provider))
