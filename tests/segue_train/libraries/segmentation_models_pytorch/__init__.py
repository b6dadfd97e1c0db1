"""PSPNet and DeepLabV3+ of segmentation_models_pytorch in small, in its place where it is not installed.

Arguments, parts, names of tensors and what raises are those of its commit 5006616; widths are not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 8


class _Encoder(nn.Module):
    output_stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 7, 16, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, F.relu(self.bn1(self.conv1(x)))]


def _conv_norm(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


class _Model(nn.Module):
    encoder: _Encoder

    def __init__(
        self,
        encoder_name: str,
        encoder_weights: str | None,
        in_channels: int,
        classes: int,
        decoder: nn.Module,
    ) -> None:
        super().__init__()
        assert (encoder_name, encoder_weights, in_channels) == ("resnet50", None, 3)
        self.encoder, self.decoder = _Encoder(), decoder
        self.segmentation_head = nn.Sequential(nn.Conv2d(WIDTH, classes, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        if any(side % self.encoder.output_stride for side in x.shape[-2:]):
            raise RuntimeError(f"Wrong input shape height={x.shape[-2]}, width={x.shape[-1]}.")
        logits = self.segmentation_head(self.decoder(self.encoder(x)))
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=True)


class _Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        block = nn.Module()
        block.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())
        )
        self.psp = nn.Module()
        self.psp.blocks = nn.ModuleList([block])
        self.conv = _conv_norm(2 * WIDTH, WIDTH)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        pooled = self.psp.blocks[0].pool(x).expand_as(x)
        mixed: Tensor = self.conv(torch.cat([pooled, x], 1))
        return mixed


class _Atrous(nn.Module):
    """Batch norms after global pooling refuse single images in training, as those of the library."""

    def __init__(self) -> None:
        super().__init__()
        aspp = nn.Module()
        pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_conv_norm(WIDTH, WIDTH))
        aspp.convs = nn.ModuleList([_conv_norm(WIDTH, WIDTH), pooling])
        self.aspp = nn.ModuleList([aspp])

    def forward(self, features: list[Tensor]) -> Tensor:
        first, pooling = self.aspp[0].convs
        mixed: Tensor = first(features[-1]) + pooling(features[-1])
        return mixed


class PSPNet(_Model):
    """Pyramid pooling."""

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
    ) -> None:
        super().__init__(encoder_name, encoder_weights, in_channels, classes, _Pyramid())


class DeepLabV3Plus(_Model):
    """Atrous spatial pyramid pooling."""

    def __init__(
        self,
        encoder_name: str = "resnet34",
        encoder_weights: str | None = "imagenet",
        in_channels: int = 3,
        classes: int = 1,
    ) -> None:
        super().__init__(encoder_name, encoder_weights, in_channels, classes, _Atrous())
