"""Detections in an image, as tensors of networks or arrays of other libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

A = TypeVar("A")
L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class Detections(Generic[A, L]):
    """N detected objects of an image; those of networks are best first.

    Attributes:
        boxes: ``(x0, y0, x1, y1)`` in pixels of the image, (N, 4), floating.
        scores: in [0, 1], (N,).
        labels: class numbers of the network, (N,), int64; of named objects their N names.
        masks: probabilities at the size of the image, (N, H, W); None if there are only boxes.
    """

    boxes: A
    scores: A
    labels: L
    masks: A | None = None

    def __len__(self) -> int:
        scores: Any = self.scores
        return len(scores)


TensorDetections = Detections[Tensor, Tensor]
"""Detections with class numbers, as returned by networks."""


def take(detections: TensorDetections, index: Tensor) -> TensorDetections:
    """Select detections by (N,), bool, or (K,), integers."""
    masks = None if detections.masks is None else detections.masks[index]
    return Detections(detections.boxes[index], detections.scores[index], detections.labels[index], masks)


def concatenate(parts: list[TensorDetections]) -> TensorDetections:
    """Join detections without masks."""
    boxes, scores, labels = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("boxes", "scores", "labels")
    )
    return Detections(boxes, scores, labels)


def on_cpu(detections: TensorDetections) -> TensorDetections:
    """Move detections to the CPU."""
    masks = None if detections.masks is None else detections.masks.cpu()
    return Detections(detections.boxes.cpu(), detections.scores.cpu(), detections.labels.cpu(), masks)
