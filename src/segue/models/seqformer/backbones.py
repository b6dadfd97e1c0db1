"""Trunks that SeqFormer and MS-STS VIS can stand on, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, cast

from torch import Tensor, nn

from segue.layers.deeplab import DeepLabTrunk
from segue.layers.mobilenet import MobileNetV2Trunk
from segue.layers.resnet import ResidualTrunk, ResNet18Trunk, ResNetTrunk
from segue.layers.swin import SwinTrunk

BackboneName = Literal["r18", "r50", "r101", "swin-l", "mobilenet-v2", "deeplab"]


class Trunk(Protocol):
    """What all trunks have in common."""

    channels: Sequence[int]

    def __call__(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (B, 3, H, W) → maps, fine to coarse."""
        ...


class Backbone(nn.Module):
    """A trunk, and which of its maps are used.

    Attributes:
        channels: of the maps that are used.
        symmetric_input: frames are wanted in [-1, 1] instead of normalised by ImageNet's statistics.
    """

    def __init__(self, name: BackboneName) -> None:
        super().__init__()
        self.body = _TRUNKS[name]()
        self.used = _USED.get(name, slice(1, None))
        self.channels = tuple(cast(Trunk, self.body).channels)[self.used]
        self.symmetric_input = name in ("mobilenet-v2", "deeplab")
        if isinstance(self.body, DeepLabTrunk):
            # It knows the classes of PASCAL VOC from more pictures than are learned from here.
            self.body.requires_grad_(False)
        if isinstance(self.body, ResidualTrunk):
            # Stem and first stage keep what ImageNet taught them.
            self.body.conv1.requires_grad_(False)
            self.body.layer1.requires_grad_(False)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (B, 3, H, W) → the maps that are used, the finest at stride 8."""
        maps: tuple[Tensor, ...] = self.body(frames)
        return maps[self.used]


_USED: Mapping[str, slice] = {"mobilenet-v2": slice(2, None), "deeplab": slice(None)}

_TRUNKS: Mapping[BackboneName, Callable[[], nn.Module]] = {
    "r18": ResNet18Trunk,
    "r50": lambda: ResNetTrunk((3, 4, 6, 3)),
    "r101": lambda: ResNetTrunk((3, 4, 23, 3)),
    "swin-l": SwinTrunk,
    "mobilenet-v2": MobileNetV2Trunk,
    "deeplab": DeepLabTrunk,
}
