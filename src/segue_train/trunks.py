"""Pretrained trunks that trainings start from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from segue.errors import CheckpointError
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.weights import read_checkpoint
from segue.weights.checkpoint import match


def load_mobilenet(
    trunk: MobileNetV2Trunk, path: Path, scaling: Literal["unit", "imagenet"] = "unit"
) -> None:
    """Fill a trunk from an ImageNet classifier in torchvision's layout.

    Args:
        trunk: filled in place.
        path: of the classifier.
        scaling: input that the classifier was trained with, see :meth:`MobileNetV2Trunk.load_torchvision`.

    Raises:
        CheckpointError: the file cannot be read, or lacks a layer or has one of another shape.
    """
    try:
        trunk.load_torchvision(read_checkpoint(path).tensors, scaling)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: no MobileNetV2 in torchvision's layout: {error} is missing"
        ) from error
    except RuntimeError as error:
        raise CheckpointError(f"{path}: no MobileNetV2 of width 1: {error}") from error


@torch.no_grad()
def take(path: Path, wanted: dict[str, Tensor]) -> None:
    """Fill tensors in place from those of the same names in a file, which may hold more.

    Raises:
        CheckpointError: the file cannot be read, or a tensor is missing or has another shape.
    """
    tensors = read_checkpoint(path).tensors
    present = {name: tensors[name] for name in wanted if name in tensors}
    for name, tensor in match(path, present, wanted).items():
        wanted[name].copy_(tensor)
