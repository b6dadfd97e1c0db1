"""Mask R-CNN with ResNet-50 and a feature pyramid, in both versions of torchvision.

He et al., "Mask R-CNN" (ICCV 2017); version 2 after Li et al., "Benchmarking Detection Transfer Learning with
Vision Transformers" (2021). Names and shapes are those of torchvision's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.colours import normalise_planes
from segue.layers.resnet import ConstantBatchNorm, FrozenBatchNorm
from segue.models.detection.boxes import pool_levels
from segue.models.detection.parts import (
    MULTIPLE,
    RPN,
    SHORT_SIDE,
    Backbone,
    BoxPredictor,
    Detections,
    TwoFullyConnected,
    choose,
    conv_block,
    renamed,
    scale_to,
)

CLASSES = 91
"""Outputs: background, and COCO's numbers with their gaps."""


class MaskPredictor(nn.Module):
    """(R, 256, 14, 14) → mask logits of every class, (R, 91, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv5_mask = nn.ConvTranspose2d(256, 256, 2, 2)
        self.mask_fcn_logits = nn.Conv2d(256, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mask_fcn_logits(F.relu(self.conv5_mask(x)))


class RoIHeads(nn.Module):
    """What looks at each region."""

    def __init__(self, version: Literal[1, 2]) -> None:
        super().__init__()
        norm = None if version == 1 else FrozenBatchNorm
        self.box_head: nn.Module
        if version == 1:
            self.box_head = TwoFullyConnected()
        else:
            blocks = [conv_block(256, 256, 3, norm) for _ in range(4)]
            self.box_head = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(256 * 7 * 7, 1024), nn.ReLU())
        self.box_predictor = BoxPredictor(CLASSES, CLASSES)
        self.mask_head = nn.Sequential(*(conv_block(256, 256, 3, norm) for _ in range(4)))
        self.mask_predictor = MaskPredictor()


class MaskRCNN(nn.Module):
    """Finds objects of 80 classes in a picture.

    Args:
        version: 1 or 2 of torchvision.
        least_score: detections must be above it.
        short_side: short side that pictures are brought to, in pixels; the long side is bounded likewise.
    """

    def __init__(
        self, version: Literal[1, 2] = 2, least_score: float = 0.05, short_side: int = SHORT_SIDE
    ) -> None:
        super().__init__()
        self.short_side = short_side
        if version == 1:
            # The weights of version 1 were trained with norms that divide by the bare deviation.
            self.backbone = Backbone(partial(ConstantBatchNorm, eps=0.0))
        else:
            self.backbone = Backbone(FrozenBatchNorm, FrozenBatchNorm)
        self.rpn = RPN(version, rounded=True, smallest=1e-3)
        self.roi_heads = RoIHeads(version)
        self.least_score = least_score

    def forward(self, image: Tensor) -> Detections:
        """Objects of a picture (3, H, W), RGB in [0, 1]."""
        original = (image.shape[1], image.shape[2])
        seen, size = self.prepare(image)
        padded = (seen.shape[2], seen.shape[3])
        pyramid = self.backbone(seen)
        proposals, _ = self.rpn(pyramid, size, padded)
        boxes, scores, labels = self._classify(pyramid, proposals, size)
        masks = self._masks(pyramid, boxes, labels)
        ratio = boxes.new_tensor((original[1] / size[1], original[0] / size[0])).repeat(2)
        boxes = boxes * ratio
        return Detections(boxes, scores, labels, paste(masks, boxes, original))

    def prepare(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The picture normalised, resized and padded, (1, 3, h, w), and its size before the padding."""
        height, width = image.shape[-2:]
        scale = scale_to(self.short_side, height, width)
        resized = F.interpolate(
            normalise_planes(image[None]),
            scale_factor=scale,
            mode="bilinear",
            recompute_scale_factor=True,
            align_corners=False,
        )
        size = (resized.shape[2], resized.shape[3])
        return F.pad(resized, (0, -size[1] % MULTIPLE, 0, -size[0] % MULTIPLE)), size

    def _pool(self, pyramid: list[Tensor], boxes: Tensor, side: int) -> Tensor:
        return pool_levels(pyramid[:4], (4, 8, 16, 32), boxes, side, ratio=2, aligned=False, eps=1e-6)

    def _classify(
        self, pyramid: list[Tensor], proposals: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        heads = self.roi_heads
        logits, deltas = heads.box_predictor(heads.box_head(self._pool(pyramid, proposals, 7)))
        probabilities = logits.softmax(-1)[:, 1:]
        boxes, scores, classes = choose(
            proposals, probabilities, deltas[:, 1:], size, least_score=self.least_score, smallest=1e-2
        )
        return boxes, scores, classes + 1

    def _masks(self, pyramid: list[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Probabilities of the labelled classes, (N, 28, 28)."""
        heads = self.roi_heads
        logits = heads.mask_predictor(heads.mask_head(self._pool(pyramid, boxes, 14)))
        chosen: Tensor = logits[torch.arange(len(labels), device=labels.device), labels]
        return chosen.sigmoid()


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (N, m, m) of boxes (N, 4) laid over a picture, (N, H, W), as torchvision does.

    A border of one cell is added and the box grown to match, then rounded to whole pixels.
    """
    side = masks.shape[-1]
    grown = F.pad(masks, (1, 1, 1, 1))
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = half * (side + 2) / side
    corners = torch.cat((centre - half, centre + half), 1).long().tolist()
    canvas = masks.new_zeros(len(masks), *size)
    for plane, mask, (x0, y0, x1, y1) in zip(canvas, grown, corners, strict=True):
        width, height = max(x1 - x0 + 1, 1), max(y1 - y0 + 1, 1)
        drawn = F.interpolate(mask[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
        top, left = max(y0, 0), max(x0, 0)
        bottom, right = min(y1 + 1, size[0]), min(x1 + 1, size[1])
        plane[top:bottom, left:right] = drawn[top - y0 : bottom - y0, left - x0 : right - x0]
    return canvas


_NAMES = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(?=weight|bias)", r"\1.0."),
    (r"^rpn\.head\.conv\.(?=weight|bias)", "rpn.head.conv.0.0."),
    (r"^roi_heads\.mask_head\.mask_fcn(\d)\.", lambda m: f"roi_heads.mask_head.{int(m[1]) - 1}.0."),
)


def rename_v1(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of the file of version 1, which is older than today's layout, as this network has them."""
    return renamed(state, _NAMES, "num_batches_tracked$")
