"""Initial weights of trainings: pretrained backbones, and whole networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.nn.utils.fusion import fuse_conv_bn_weights

from segue.errors import CheckpointError
from segue.layers.colours import image_statistics
from segue.layers.mobilenet import InvertedResidual, MobileNetV2Trunk
from segue.options import option
from segue.weights import load, read_checkpoint
from segue.weights.checkpoint import match
from segue_train.recipe import CommonRecipe, checked_dataclass

N = TypeVar("N", bound=nn.Module)
Scaling = Literal["unit", "imagenet"]

SHIPPED = Path("shipped")
"""Name of the shipped weights for ``--start``."""


@checked_dataclass(kw_only=True)
class MobileNetRecipe(CommonRecipe):
    """Base of recipes for small networks with MobileNetV2 as encoder."""

    average_decay: ClassVar[float | None] = 0.998
    # First blocks of the encoder, which do not learn, nor does the stem: gradients at strides 2 and 4 cost as
    # much as all the others together.
    frozen: ClassVar[int] = 3

    backbone: Path | None = option(None, flags="init", kw_only=True)
    """MobileNetV2 in torchvision's layout, if the run does not start from other weights."""

    scaling: Scaling = option("unit", flags="init-scaling", kw_only=True)
    """Input scaling of the backbone's training: `unit` is [-1, 1], `imagenet` torchvision's."""

    start: Path | None = option(None, kw_only=True)
    """Weights of this network to start from; `shipped` for those in the package."""

    def started(self, name: str, network: N, encoder: MobileNetV2Trunk, new: tuple[str, ...] = ()) -> N:
        """Create the network ``name`` with initial weights; ``new...`` may be missing."""
        if self.start is not None:
            shipped = self.start == SHIPPED
            tensors = load(name).state_dict() if shipped else read_checkpoint(self.start).tensors
            expected = network.state_dict()
            initial = {key: value for key, value in expected.items() if key.startswith(new)}
            network.load_state_dict(match(self.start, initial | dict(tensors), expected))
        elif self.backbone is not None:
            load_mobilenet(encoder, self.backbone, self.scaling)
        for layer in (encoder.stem, *encoder.blocks[: self.frozen]):
            layer.requires_grad_(False)
        return convert_conv2d_weight_memory_format(network, torch.channels_last)


@torch.no_grad()
def load_mobilenet(trunk: MobileNetV2Trunk, path: Path, scaling: Scaling = "unit") -> None:
    """Initialise a backbone in place from an ImageNet classifier in torchvision's layout.

    Its input was in [-1, 1] (`unit`), or normalised by the ImageNet statistics, which the stem takes up.
    """
    state = read_checkpoint(path).tensors
    try:
        _fold(trunk.stem, state, "features.0.0", "features.0.1")
        for i, block in enumerate(trunk.blocks, start=1):
            assert isinstance(block, InvertedResidual)
            prefix = f"features.{i}.conv"
            layers = [block.depthwise] if block.expand is None else [block.expand, block.depthwise]
            for k, conv in enumerate(layers):
                _fold(conv, state, f"{prefix}.{k}.0", f"{prefix}.{k}.1")
            _fold(block.project, state, f"{prefix}.{len(layers)}", f"{prefix}.{len(layers) + 1}")
    except KeyError as error:
        raise CheckpointError(
            f"{path}: no MobileNetV2 in torchvision's layout: {error} is missing"
        ) from error
    except RuntimeError as error:
        raise CheckpointError(f"{path}: no MobileNetV2 of width 1: {error}") from error
    if scaling == "imagenet":
        # From (p - mean) / std to x with p = (x + 1) / 2.
        mean, std = image_statistics()
        assert trunk.stem.bias is not None
        trunk.stem.bias += (trunk.stem.weight * (0.5 - mean) / std).sum((1, 2, 3))
        trunk.stem.weight /= 2 * std


def _fold(conv: nn.Conv2d, state: Mapping[str, Tensor], weight: str, norm: str) -> None:
    """Write ``weight`` followed by batch norm ``norm`` into ``conv``, computed in float64."""
    leaves = ("running_mean", "running_var", "weight", "bias")
    mean, var, gain, shift = (state[f"{norm}.{leaf}"].double() for leaf in leaves)
    kernel = state[f"{weight}.weight"].double()
    fused = fuse_conv_bn_weights(kernel, None, mean, var, 1e-5, gain, shift)
    for parameter, value in zip(conv.parameters(), fused, strict=True):
        parameter.copy_(value)


@torch.no_grad()
def copy_tensors(path: Path, parameters: dict[str, Tensor]) -> None:
    """Copy tensors in place from those of the same names in a file."""
    tensors = read_checkpoint(path).tensors
    present = {name: tensors[name] for name in parameters if name in tensors}
    for name, tensor in match(path, present, parameters).items():
        parameters[name].copy_(tensor)
