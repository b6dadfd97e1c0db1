"""DeepLabV3 on MobileNetV2, for the 21 classes of PASCAL VOC.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (2017), see
:class:`segue.layers.deeplab.DeepLabTrunk`.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.deeplab import DeepLabTrunk

VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)
"""Classes in the order of the outputs."""

SIDE = 513
"""Side of the square that pictures are brought to."""


class DeepLabV3(DeepLabTrunk):
    """Semantic segmentation: pictures (B, 3, H, W), RGB in [0, 1] → logits (B, 21, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Conv2d(256, len(VOC_NAMES), 1)

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        x = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1
        logits = self.logits(self.maps(x)[-1])
        return F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=True)
