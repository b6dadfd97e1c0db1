"""DeepLabV3 on MobileNetV2, for the 21 classes of PASCAL VOC, with batch norms folded in.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (2017), in the small variant
without dilated branches.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import Activation
from segue.layers.mobilenet import InvertedResidual

_STAGES = ((1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1), (6, 64, 4, 2, 1), (6, 96, 3, 1, 1))
_DILATED = ((6, 160, 1, 1, 1), (6, 160, 2, 1, 2), (6, 320, 1, 1, 2))
"""Expansion, channels, repeats, first stride and dilation."""


def _conv(
    cin: int,
    cout: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation = "none",
    dilation: int = 1,
) -> nn.Module:
    # On odd sides, and there are no others, this is TensorFlow's SAME padding.
    dilation = dilation if kernel > 1 else 1
    conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2 * dilation, dilation, groups)
    return nn.Sequential(OrderedDict(conv=conv, clip=nn.ReLU6() if activation == "relu6" else nn.Identity()))


VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)
"""Classes in the order of the outputs."""

SIDE = 513
"""Side of the square that images are brought to."""


class DeepLabV3(nn.Module):
    """Semantic segmentation: images (B, 3, H, W), RGB in [0, 1] → logits (B, 21, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 32, 3, 2, activation="relu6")
        blocks: list[nn.Module] = []
        cin = 32
        for expansion, cout, repeats, first_stride, dilation in (*_STAGES, *_DILATED):
            for i in range(repeats):
                conv = partial(_conv, dilation=dilation)
                blocks.append(InvertedResidual(cin, cout, first_stride if i == 0 else 1, expansion, conv))
                cin = cout
        self.blocks = nn.Sequential(*blocks)
        self.aspp0 = _conv(320, 256)
        self.image_pooling = _conv(320, 256)
        self.concat_projection = _conv(512, 256)
        self.logits = nn.Conv2d(256, len(VOC_NAMES), 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1
        x = self.blocks(self.stem(x))
        pooled = F.relu(self.image_pooling(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        x = torch.cat((pooled, F.relu(self.aspp0(x))), 1)
        logits = self.logits(F.relu(self.concat_projection(x)))
        return F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=True)
