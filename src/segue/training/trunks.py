"""Pretrained trunks that trainings start from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from segue.errors import CheckpointError
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.weights import read_checkpoint


def load_mobilenet(
    trunk: MobileNetV2Trunk, path: Path, scaling: Literal["unit", "imagenet"] = "unit"
) -> None:
    """Fill a trunk from an ImageNet classifier in torchvision's layout.

    Args:
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
