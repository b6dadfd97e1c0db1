"""The published recipe of SeqFormer and MS-STS VIS: YouTube-VIS and COCO together.

Wu et al., "SeqFormer" (ECCV 2022), and Thawakar et al., "MS-STS VIS" (ECCV 2022), with the constants of their
releases: 12 epochs, learning rates to a tenth after epochs 4 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import nn

from segue.models.msstsvis import Discriminator
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.encoder import EncoderLayer
from segue.training.recipe import CommonRecipe
from segue.training.recipes.msstsvis import InstanceObjective, load_trunk, rate_groups
from segue.training.ytvis_clips import ClipBatches, ClipSource
from segue.weights import read_checkpoint
from segue.weights.checkpoint import match

EPOCHS = 12
DROPS = (4 / 12, 10 / 12)
RATE, TRUNK_RATE = 2e-4, 2e-5
WEIGHT_DECAY = 1e-4

CLASS_HEADS = "detr.class_embed."
NEW_PARTS = (".ms_sts.", ".temporal_attn.")
"""In names of the tensors that MS-STS VIS has beyond SeqFormer."""


@dataclass(frozen=True, slots=True)
class PublishedRecipe(CommonRecipe):
    """Everything that a training needs.

    Attributes:
        name: name of the network.
        build: makes it with fresh weights.
        sources: clips to learn from; none of them may be used for scores.
        batch: clips of a batch, per device; in all the papers have 16 for SeqFormer, 10 for MS-STS VIS.
        separability: the discriminator and its adversarial loss.
        trunk: classifier of the trunk, in torchvision's layout.
        start: weights to start from, such as those of a training on COCO.
    """

    name: str
    build: Callable[[], SeqFormer]
    sources: Sequence[ClipSource]
    batch: Annotated[int, Ge(1)]
    separability: bool
    trunk: Path | None = None
    start: Path | None = None
    _: KW_ONLY
    rate: float = RATE
    gradient_clip: float | None = 0.1

    def steps(self, batches: int) -> int:
        """Steps of the published number of epochs, of so many batches each, on all devices together."""
        return math.ceil(EPOCHS * sum(map(len, self.sources)) / (self.batch * batches))

    def network(self) -> nn.Module:
        network = self.build()
        if self.trunk is not None:
            load_trunk(network, self.trunk)
        if self.start is not None:
            start_from(network, self.start)
        for layer in network.detr.transformer.encoder.layers:
            # Nothing reads it, and several devices would wait for its gradient.
            assert isinstance(layer, EncoderLayer)
            layer.self_attn.output_proj_box.requires_grad_(False)
        return InstanceObjective(network, Discriminator(network.size.width) if self.separability else None)

    def batches(self, count: int, seed: int) -> ClipBatches:
        return ClipBatches(self.sources, self.batch, count, seed)

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Trunk and slow parameters at a tenth of the rate of the rest."""
        return rate_groups(network, self.rate, TRUNK_RATE)

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)

    def learning_rate(self, progress: float, step: int) -> float:
        return float(0.1 ** sum(progress >= drop for drop in DROPS))


def start_from(network: SeqFormer, path: Path) -> None:
    """Start from other weights, such as those of a training on COCO.

    Class heads of another number of classes begin anew, as published; so do the parts of MS-STS VIS where the
    file is one of SeqFormer. All else must fit.
    """
    expected = network.state_dict()
    found = {
        name: value
        for name, value in read_checkpoint(path).tensors.items()
        if not name.startswith(CLASS_HEADS) or name not in expected or value.shape == expected[name].shape
    }
    for name, value in expected.items():
        if name.startswith(CLASS_HEADS) or any(part in name for part in NEW_PARTS):
            found.setdefault(name, value)
    network.load_state_dict(match(path, found, expected))
