"""A foreground network with its loss, as the training loop takes it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from segue.training.foreground_losses import (
    foreground_target,
    priced,
    shadow_known,
    shadow_target,
    tversky_loss,
    weighted_cross_entropy,
)

SHADOW_WEIGHT = 0.3
"""Of the loss of shadow, against 1 for that of foreground."""

TEACHER_WEIGHT = 0.5
"""Of the cross-entropy against what a teacher says, against 1 for that against the labels."""


class ForegroundObjective(nn.Module):
    """``forward(batch, progress, step)`` → loss and its parts.

    Args:
        network: takes ``(window, background)``, or the window alone, in [0, 1].
        tversky: prices of false alarms and misses.
        shadow: weight of pixels in shadow in the loss of foreground.
        pooled: the Tversky index is that of a batch, not the mean of those of its pictures.
        background: the network takes a picture of the empty scene.
        teacher: a trained network with the same inputs, whose soft masks are learned too; it learns nothing.
    """

    def __init__(
        self,
        network: nn.Module,
        tversky: tuple[float, float] = (0.5, 0.5),
        *,
        shadow: float = 1.0,
        pooled: bool = False,
        background: bool = True,
        teacher: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.background, self.shadow = background, shadow
        self.overlap = partial(tversky_loss, alpha=tversky[0], beta=tversky[1], pooled=pooled)
        # In a list it is no part of the module: neither its weights nor its mode follow those of the student.
        self.teacher: Sequence[nn.Module] = [] if teacher is None else [teacher.eval().requires_grad_(False)]

    def forward(
        self, batch: dict[str, Tensor], progress: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = [batch["window"].float() / 255]
        if self.background:
            inputs.append(batch["background"].float() / 255)
        logits, labels = self.network(*inputs), batch["labels"]
        weight, target = priced(labels, self.shadow), foreground_target(labels)
        parts = {
            "entropy": weighted_cross_entropy(logits[:, 0], target, weight),
            "tversky": self.overlap(logits[:, 0], target, weight),
        }
        loss = parts["entropy"] + parts["tversky"]
        if logits.shape[1] > 1:
            weight, target = shadow_known(labels), shadow_target(labels)
            parts["shadow"] = weighted_cross_entropy(logits[:, 1], target, weight)
            parts["shadow"] = parts["shadow"] + self.overlap(logits[:, 1], target, weight)
            loss = loss + SHADOW_WEIGHT * parts["shadow"]
        for teacher in self.teacher:
            with torch.no_grad():
                soft = torch.sigmoid(teacher(*inputs)[:, : logits.shape[1]].float())
            parts["teacher"] = weighted_cross_entropy(logits, soft, torch.ones_like(soft))
            loss = loss + TEACHER_WEIGHT * parts["teacher"]
        return loss, parts
