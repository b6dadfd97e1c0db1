"""Mask R-CNN with ResNet-50 and a feature pyramid, in both versions of torchvision; PointRend builds on it.

Ren et al., "Faster R-CNN" (NIPS 2015); Lin et al., "Feature Pyramid Networks" (CVPR 2017); He et al., "Mask
R-CNN" (ICCV 2017); version 2 after Li et al., "Benchmarking Detection Transfer Learning with Vision
Transformers" (2021). Names and shapes are those of torchvision's files.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.colours import normalise_planes
from segue.layers.resnet import Bottleneck, ConstantBatchNorm, FrozenBatchNorm, Norm, ResidualTrunk
from segue.models.base import Shape
from segue.models.detection.boxes import cell_anchors, clip, decode, grid_anchors, pool_levels, suppress
from segue.models.detection.detections import Detections, TensorDetections

CLASSES = 91
"""Outputs of Mask R-CNN: background, and COCO's numbers with their gaps."""

ANCHOR_SIZES = (32, 64, 128, 256, 512)
"""Side of the square of an anchor's area, for each level of the pyramid."""

PROPOSALS = 1000
"""Proposals that are kept of a level before, and of the image after suppression."""

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Scale of the box head's deltas."""

LIMIT = 100
"""Most detections of an image."""

SHORT_SIDE, LONG_SIDE = 800, 1333
"""Short side that images are brought to, and the bound on their long side."""

MULTIPLE = 32
"""Images are padded to multiples of this."""


@dataclass(frozen=True, slots=True)
class Convention:
    """Conventions that differ between torchvision and Detectron 2."""

    smallest_proposal: float  # least side in pixels
    smallest_box: float
    background: int  # which of the class scores
    samples: int  # per side of a bin of a region; 0 takes as many as the bin has cells
    aligned: bool  # pixel centres are at halves, and anchors are not rounded to pixels
    clips_scaled: bool  # boxes are clipped once more at the size of the image, and empty ones left out


TORCHVISION = Convention(1e-3, 1e-2, background=0, samples=2, aligned=False, clips_scaled=False)
DETECTRON = Convention(0.0, 0.0, background=-1, samples=0, aligned=True, clips_scaled=True)


class RegionDetector(nn.Module, ABC):
    """Detects boxes like Faster R-CNN; subclasses add masks.

    ``backbone`` gives feature maps, ``rpn`` proposes boxes, and ``heads`` are ``box_head`` and
    ``box_predictor``, and the mask head of the subclass.
    """

    convention: ClassVar[Convention]

    def __init__(
        self, backbone: nn.Module, rpn: RPN, heads: nn.ModuleDict, min_score: float, short_side: int
    ) -> None:
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = backbone, rpn, heads
        self.min_score, self.short_side = min_score, short_side

    @abstractmethod
    def prepare(self, image: Tensor) -> tuple[Tensor, Shape]:
        """Normalise, resize and pad an image: (1, 3, h, w), and its size before padding."""

    @abstractmethod
    def masks(self, pyramid: list[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Predict probabilities (N, m, m) of classes ``labels`` (N,) in boxes (N, 4)."""

    @staticmethod
    @abstractmethod
    def paste(masks: Tensor, boxes: Tensor, size: Shape) -> Tensor:
        """Paste masks (N, m, m) of boxes (N, 4) into an image, (N, H, W)."""

    def forward(self, image: Tensor) -> TensorDetections:
        """Detect objects in an image (3, H, W), RGB in [0, 1]."""
        original = (image.shape[1], image.shape[2])
        pixels, size = self.prepare(image)
        pyramid = self.backbone(pixels)
        proposals, _ = self.rpn(pyramid, size, (pixels.shape[2], pixels.shape[3]))
        boxes, scores, labels = self.classify(pyramid, proposals, size)
        masks = self.masks(pyramid, boxes, labels)
        boxes = boxes * boxes.new_tensor((original[1] / size[1], original[0] / size[0])).repeat(2)
        if self.convention.clips_scaled:
            boxes = clip(boxes, original)
            real = (boxes[:, 2:] > boxes[:, :2]).all(1)
            boxes, scores, labels, masks = boxes[real], scores[real], labels[real], masks[real]
        return Detections(boxes, scores, labels, self.paste(masks, boxes, original))

    def pool(self, pyramid: list[Tensor], boxes: Tensor, side: int = 7) -> Tensor:
        """Features (R, 256, side, side) of boxes (R, 4); the size of a box chooses its level."""
        return pool_levels(pyramid[:4], boxes, side, self.convention.samples, self.convention.aligned)

    def classify(
        self, pyramid: list[Tensor], proposals: Tensor, size: Shape
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (N, 4), scores (N,) and class numbers (N,) of proposals (R, 4), best first."""
        heads = self.roi_heads
        logits, deltas = heads["box_predictor"](heads["box_head"](self.pool(pyramid, proposals)))
        first = self.convention.background + 1
        probabilities = logits.softmax(-1)[:, first : first + logits.shape[1] - 1]
        region, label = (probabilities > self.min_score).nonzero().unbind(1)
        boxes = clip(decode(deltas[region, label + first], proposals[region], BOX_WEIGHTS), size)
        scores = probabilities[region, label]
        large = (boxes[:, 2:] - boxes[:, :2] >= self.convention.smallest_box).all(1)
        boxes, scores, label = boxes[large], scores[large], label[large]
        keep = suppress(boxes, scores, label, 0.5)[:LIMIT]
        return boxes[keep], scores[keep], label[keep] + first


class MaskRCNN(RegionDetector):
    """Detects objects of 80 classes with masks, in either version of torchvision."""

    convention = TORCHVISION

    def __init__(
        self, version: Literal[1, 2] = 2, min_score: float = 0.05, short_side: int = SHORT_SIDE
    ) -> None:
        # The weights of version 1 were trained with norms that divide by the bare deviation.
        norms = (partial(ConstantBatchNorm, eps=0.0), None) if version == 1 else (FrozenBatchNorm,) * 2
        backbone, rpn, norm = resnet_fpn(*norms), RPN(version, TORCHVISION), norms[1]
        if version == 1:
            box_head = two_fully_connected()
        else:
            blocks = [conv_block(256, 256, 3, norm) for _ in range(4)]
            box_head = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(256 * 7 * 7, 1024), nn.ReLU())
        heads = nn.ModuleDict(
            {
                "box_head": box_head,
                "box_predictor": BoxPredictor(CLASSES, CLASSES),
                "mask_head": nn.Sequential(*(conv_block(256, 256, 3, norm) for _ in range(4))),
                "mask_predictor": nn.Sequential(
                    OrderedDict(
                        conv5_mask=nn.ConvTranspose2d(256, 256, 2, 2),
                        relu=nn.ReLU(),
                        mask_fcn_logits=nn.Conv2d(256, CLASSES, 1),
                    )
                ),
            }
        )
        super().__init__(backbone, rpn, heads, min_score, short_side)

    def prepare(self, image: Tensor) -> tuple[Tensor, Shape]:
        resized = F.interpolate(
            normalise_planes(image[None]),
            scale_factor=scale_to(self.short_side, image),
            mode="bilinear",
            recompute_scale_factor=True,
            align_corners=False,
        )
        return padded(resized), (resized.shape[2], resized.shape[3])

    def masks(self, pyramid: list[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        features = self.roi_heads["mask_head"](self.pool(pyramid, boxes, 14))
        logits: Tensor = self.roi_heads["mask_predictor"](features)
        return logits[torch.arange(len(labels), device=labels.device), labels].sigmoid()

    @staticmethod
    def paste(masks: Tensor, boxes: Tensor, size: Shape) -> Tensor:
        """Paste masks (N, m, m) of boxes (N, 4) into an image, (N, H, W), like torchvision.

        A border of one cell is added and the box grown to match, then rounded to whole pixels.
        """
        side = masks.shape[-1]
        grown = F.pad(masks, (1, 1, 1, 1))
        centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        half = half * (side + 2) / side
        corners = torch.cat((centre - half, centre + half), 1).long().tolist()
        canvas = masks.new_zeros(len(masks), *size)
        for plane, mask, (x0, y0, x1, y1) in zip(canvas, grown, corners, strict=True):
            shape = max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1)
            resized = F.interpolate(mask[None, None], shape, mode="bilinear", align_corners=False)[0, 0]
            top, left = max(y0, 0), max(x0, 0)
            bottom, right = min(y1 + 1, size[0]), min(x1 + 1, size[1])
            plane[top:bottom, left:right] = resized[top - y0 : bottom - y0, left - x0 : right - x0]
        return canvas


def conv_block(
    cin: int, cout: int, kernel: int, norm: Norm | None = None, *, activate: bool = True
) -> nn.Sequential:
    """Convolution with optional norm and ReLU; without a norm it has a bias."""
    layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=norm is None)]
    if norm is not None:
        layers.append(norm(cout))
    if activate:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class FPN(nn.Module):
    """Feature pyramid: maps at strides 4 to 32 → five maps of 256 channels at strides 4 to 64."""

    def __init__(self, channels: Sequence[int], norm: Norm | None) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(conv_block(c, 256, 1, norm, activate=False) for c in channels)
        self.layer_blocks = nn.ModuleList(conv_block(256, 256, 3, norm, activate=False) for _ in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four maps (B, C, h, w) at strides 4 to 32 to five, (B, 256, h, w), at strides 4 to 64."""
        lateral = [block(level) for block, level in zip(self.inner_blocks, maps, strict=True)]
        merged = [lateral[-1]]
        for level in reversed(lateral[:-1]):
            merged.insert(0, level + F.interpolate(merged[0], level.shape[-2:]))
        pyramid = [block(level) for block, level in zip(self.layer_blocks, merged, strict=True)]
        return [*pyramid, F.max_pool2d(pyramid[-1], 1, stride=2)]


def resnet_fpn(norm: Norm, pyramid_norm: Norm | None = None, stride_first: bool = False) -> nn.Sequential:
    """ResNet-50 and its feature pyramid."""
    body = ResidualTrunk(Bottleneck, (3, 4, 6, 3), norm, stride_first=stride_first)
    return nn.Sequential(OrderedDict(body=body, fpn=FPN(body.channels, pyramid_norm)))


class RPNHead(nn.Module):
    """Objectness and deltas of three anchors at each position of each level."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*(conv_block(256, 256, 3) for _ in range(depth)))
        self.cls_logits = nn.Conv2d(256, 3, 1)
        self.bbox_pred = nn.Conv2d(256, 12, 1)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 256, h, w) → logits (1, 3, h, w) and deltas (1, 12, h, w)."""
        x = self.conv(level)
        return self.cls_logits(x), self.bbox_pred(x)


class RPN(nn.Module):
    """Region proposals."""

    def __init__(self, depth: int, convention: Convention) -> None:
        super().__init__()
        self.head = RPNHead(depth)
        self.convention = convention

    def forward(self, pyramid: Sequence[Tensor], size: Shape, padded: Shape) -> tuple[Tensor, Tensor]:
        """Boxes (R, 4), best first, and their logits, from the five levels of one image."""
        boxes, logits, levels = [], [], []
        rounded = not self.convention.aligned
        for i, features in enumerate(pyramid):
            height, width = features.shape[-2:]
            stride = (padded[0] // height, padded[1] // width) if rounded else (4 * 2**i,) * 2
            cell = cell_anchors(ANCHOR_SIZES[i], rounded=rounded).to(features)
            objectness, deltas = self.head(features)
            scores = objectness[0].permute(1, 2, 0).flatten()
            moves = deltas[0].unflatten(0, (-1, 4)).permute(2, 3, 0, 1).reshape(-1, 4)
            best = scores.topk(min(PROPOSALS, len(scores)))
            anchors = grid_anchors(cell, (height, width), stride)[best.indices]
            boxes.append(decode(moves[best.indices], anchors, (1.0, 1.0, 1.0, 1.0)))
            logits.append(best.values)
            levels.append(torch.full_like(best.indices, i))
        proposals, scores, level = clip(torch.cat(boxes), size), torch.cat(logits), torch.cat(levels)
        sides = proposals[:, 2:] - proposals[:, :2]
        large = ((sides >= self.convention.smallest_proposal) & (sides > 0)).all(1)
        proposals, scores, level = proposals[large], scores[large], level[large]
        keep = suppress(proposals, scores, level, 0.7)[:PROPOSALS]
        return proposals[keep], scores[keep]


def two_fully_connected() -> nn.Sequential:
    """Create the box head of Faster R-CNN."""
    fc6, fc7 = nn.Linear(256 * 7 * 7, 1024), nn.Linear(1024, 1024)
    return nn.Sequential(OrderedDict(flat=nn.Flatten(), fc6=fc6, relu6=nn.ReLU(), fc7=fc7, relu7=nn.ReLU()))


class BoxPredictor(nn.Module):
    """Class scores and one box for each class."""

    def __init__(self, outputs: int, boxes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(1024, outputs)
        self.bbox_pred = nn.Linear(1024, 4 * boxes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(R, 1024) → logits (R, outputs) and deltas (R, boxes, 4)."""
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


def scale_to(short_side: int, image: Tensor) -> float:
    """Factor that brings an image (..., h, w) to a short side, its long side bounded as published."""
    sides = image.shape[-2:]
    return min(short_side / min(sides), LONG_SIDE * short_side / SHORT_SIDE / max(sides))


def padded(images: Tensor) -> Tensor:
    """Pad images (B, 3, h, w) with zeros at the right and bottom, to multiples of :data:`MULTIPLE`."""
    return F.pad(images, (0, -images.shape[-1] % MULTIPLE, 0, -images.shape[-2] % MULTIPLE))


def renamed(
    state: Mapping[str, Tensor],
    patterns: Iterable[tuple[str, str | Callable[[re.Match[str]], str]]],
    left_out: str,
) -> dict[str, Tensor]:
    """Rename the tensors of a file by all patterns in turn."""
    tensors = {}
    for name, tensor in state.items():
        if re.search(left_out, name) is None:
            new = name
            for pattern, replacement in patterns:
                new = re.sub(pattern, replacement, new)
            tensors[new] = tensor
    return tensors


_NAMES = (
    (r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(?=weight|bias)", r"\1.0."),
    (r"^rpn\.head\.conv\.(?=weight|bias)", "rpn.head.conv.0.0."),
    (r"^roi_heads\.mask_head\.mask_fcn(\d)\.", lambda m: f"roi_heads.mask_head.{int(m[1]) - 1}.0."),
)


def rename_v1(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of torchvision's file of version 1, which has an older layout."""
    return renamed(state, _NAMES, "num_batches_tracked$")
