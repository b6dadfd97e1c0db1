"""PointRend on Mask R-CNN with ResNet-50: masks refined at uncertain points.

Kirillov et al., "PointRend: Image Segmentation as Rendering" (CVPR 2020); numbers are those of the release
for COCO, whose file is renamed by :func:`rename_release`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.resnet import ConstantBatchNorm
from segue.models.detection.mask_rcnn import (
    DETECTRON,
    RPN,
    SHORT_SIDE,
    BoxPredictor,
    RegionDetector,
    padded,
    renamed,
    resnet_fpn,
    scale_to,
    two_fully_connected,
)

CLASSES = 80
"""COCO's classes in order, without gaps; the background is the last of 81 scores."""

MEAN_BGR = (103.53, 116.28, 123.675)
"""Subtracted from the image, which is BGR in 0..255."""

COARSE_SIDE = 7
"""Side of the coarse prediction."""

STEPS, POINTS = 5, 28 * 28
"""Number of doublings of the coarse prediction, and of points recomputed in each."""

MASK_STRIDE = 4
"""Stride of the level for masks of boxes of any size."""


def point_sample(features: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples (N, C, P) of maps (N, C, h, w) at points (N, P, 2) in 0..1; zero outside."""
    return F.grid_sample(features, 2 * points[:, :, None] - 1, align_corners=False)[..., 0]


def regular_grid(count: int, side: int, like: Tensor) -> Tensor:
    """Centres of the cells of a square grid, row by row. Returns x and y in 0..1, (count, side², 2)."""
    centres = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack((x, y), -1).view(1, -1, 2).expand(count, -1, -1)


def uncertain_points(uncertainty: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Indices (N, P) and centres (N, P, 2) of the most uncertain cells of (N, 1, h, w), in 0..1."""
    height, width = uncertainty.shape[-2:]
    indices = uncertainty.flatten(1).topk(min(count, height * width), dim=1).indices
    points = torch.stack(((indices % width + 0.5) / width, (indices // width + 0.5) / height), -1)
    return indices, points.to(uncertainty)


def sample_in_boxes(features: Tensor, boxes: Tensor, points: Tensor, stride: int = MASK_STRIDE) -> Tensor:
    """Samples (R, C, P) of a map (1, C, h, w) at points (R, P, 2), in 0..1 of boxes (R, 4)."""
    height, width = features.shape[-2:]
    places = points * (boxes[:, None, 2:] - boxes[:, None, :2]) + boxes[:, None, :2]
    scaled = places / places.new_tensor((width * stride, height * stride))
    sampled = point_sample(features, scaled.flatten(0, 1)[None])[0]
    return sampled.view(len(sampled), *points.shape[:2]).transpose(0, 1)


class CoarseHead(nn.Module):
    """A mask of 7x7 logits for each class."""

    def __init__(self, channels: int = 256, hidden: int = 1024, classes: int = CLASSES) -> None:
        super().__init__()
        self.classes = classes
        self.reduce_spatial_dim_conv = nn.Conv2d(channels, channels, 2, 2)
        self.fc1 = nn.Linear(channels * COARSE_SIDE**2, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.prediction = nn.Linear(hidden, classes * COARSE_SIDE**2)

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, 14, 14) → (R, classes, 7, 7)."""
        x = F.relu(self.reduce_spatial_dim_conv(x)).flatten(1)
        x = F.relu(self.fc2(F.relu(self.fc1(x))))
        return self.prediction(x).view(-1, self.classes, COARSE_SIDE, COARSE_SIDE)


class PointHead(nn.Module):
    """Class logits of points from fine features and coarse logits, the input of every layer."""

    def __init__(self, channels: int = 256, hidden: int = 256, classes: int = CLASSES) -> None:
        super().__init__()
        self.fc1 = nn.Conv1d(channels + classes, hidden, 1)
        self.fc2 = nn.Conv1d(hidden + classes, hidden, 1)
        self.fc3 = nn.Conv1d(hidden + classes, hidden, 1)
        self.predictor = nn.Conv1d(hidden + classes, classes, 1)

    def forward(self, fine: Tensor, coarse: Tensor, labels: Tensor) -> Tensor:
        """(R, C, P) and (R, classes, P) → logits of the labelled classes, (R, 1, P)."""
        x = torch.cat((fine, coarse), 1)
        for layer in (self.fc1, self.fc2, self.fc3):
            x = torch.cat((F.relu(layer(x)), coarse), 1)
        assert self.predictor.bias is not None
        return torch.baddbmm(
            self.predictor.bias[labels, None, None], self.predictor.weight[labels].transpose(1, 2), x
        )


class PointMaskHead(nn.Module):
    """Predicts the mask of a region from coarse to fine."""

    def __init__(
        self,
        channels: int = 256,
        classes: int = CLASSES,
        coarse_hidden: int = 1024,
        point_hidden: int = 256,
        points: int = POINTS,
    ) -> None:
        super().__init__()
        self.coarse_head = CoarseHead(channels, coarse_hidden, classes)
        self.point_head = PointHead(channels, point_hidden, classes)
        self.points = points

    @property
    def start(self) -> tuple[int, int]:
        """Side of the first, fully predicted grid, and the number of doublings."""
        side, steps = COARSE_SIDE, STEPS
        while 4 * side**2 <= self.points:
            side, steps = 2 * side, steps - 1
        return side, steps

    def coarse(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Coarse logits (R, classes, 7, 7) of boxes (R, 4) of a map (1, C, h, w) at stride 4."""
        grid = regular_grid(len(boxes), 2 * COARSE_SIDE, boxes)
        pooled = sample_in_boxes(features, boxes, grid)
        return self.coarse_head(pooled.unflatten(2, (2 * COARSE_SIDE, 2 * COARSE_SIDE)))

    def forward(self, features: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """Logits of the labelled classes, (R, side, side); the side is 224 as released."""
        coarse = self.coarse(features, boxes)
        side, steps = self.start

        def at(points: Tensor) -> Tensor:
            fine = sample_in_boxes(features, boxes, points)
            return self.point_head(fine, point_sample(coarse, points), labels)

        mask = at(regular_grid(len(boxes), side, boxes)).unflatten(2, (side, side))
        for _ in range(steps):
            mask = F.interpolate(mask, scale_factor=2.0, mode="bilinear", align_corners=False)
            indices, points = uncertain_points(-mask.abs(), self.points)
            flat = mask.flatten(2)
            flat.scatter_(2, indices[:, None], at(points))
            mask = flat.view_as(mask)
        return mask[:, 0]


class PointRend(RegionDetector):
    """Detects objects of 80 classes with sharp masks."""

    convention = DETECTRON

    def __init__(self, min_score: float = 0.05, short_side: int = SHORT_SIDE) -> None:
        backbone, rpn = resnet_fpn(ConstantBatchNorm, stride_first=True), RPN(1, DETECTRON)
        heads = nn.ModuleDict(
            {
                "box_head": two_fully_connected(),
                "box_predictor": BoxPredictor(CLASSES + 1, CLASSES),
                "mask_head": PointMaskHead(),
            }
        )
        super().__init__(backbone, rpn, heads, min_score, short_side)

    def prepare(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        resized = _resized(image, scale_to(self.short_side, image))
        return normalised(resized.flip(0)[None] * 255), (resized.shape[1], resized.shape[2])

    def masks(self, pyramid: list[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        return self.roi_heads["mask_head"](pyramid[0], boxes, labels).sigmoid()

    @staticmethod
    def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Paste masks (N, m, m) of boxes (N, 4) into an image, (N, H, W): bilinear, zero outside."""
        height, width = size
        y = torch.arange(height, device=boxes.device, dtype=boxes.dtype) + 0.5
        x = torch.arange(width, device=boxes.device, dtype=boxes.dtype) + 0.5
        sides = boxes[:, 2:] - boxes[:, :2]
        across = (x - boxes[:, :1]) / sides[:, :1] * 2 - 1
        down = (y - boxes[:, 1:2]) / sides[:, 1:] * 2 - 1
        canvas = masks.new_zeros(len(masks), height, width)
        is_inside = (down.abs() <= 1 + 2 / masks.shape[1], across.abs() <= 1 + 2 / masks.shape[2])
        # First pixel along each axis and the number of pixels; one read for all objects.
        spans = torch.stack([span for axis in is_inside for span in (axis.int().argmax(1), axis.sum(1))], 1)
        # Object by object: all grids together would take sixteen bytes for every pixel of every object.
        for plane, mask, u, v, span in zip(canvas, masks, across, down, spans.tolist(), strict=True):
            top, rows, left, columns = span
            if not rows or not columns:
                continue
            bottom, right = top + rows, left + columns
            grid = torch.stack(torch.broadcast_tensors(u[left:right], v[top:bottom, None]), -1)
            resampled = F.grid_sample(mask[None, None], grid[None], align_corners=False)
            plane[top:bottom, left:right] = resampled[0, 0]
        return canvas


def normalised(images: Tensor) -> Tensor:
    """Subtract the mean from blue, green, red (B, 3, H, W) in 0..255, and pad to (B, 3, H', W')."""
    return padded(images - images.new_tensor(MEAN_BGR).view(3, 1, 1))


def _resized(image: Tensor, scale: float) -> Tensor:
    """Resize an image (3, H, W) in [0, 1] to the release's size: Pillow's bilinear filter on 8 bits."""
    size = (int(image.shape[2] * scale + 0.5), int(image.shape[1] * scale + 0.5))
    pixels = (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    resized = PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).to(image) / 255


_NAMES = (
    (r"^backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.body.bn1."),
    (r"^backbone\.bottom_up\.stem\.", "backbone.body."),
    (r"^backbone\.fpn_lateral(\d)\.", lambda m: f"backbone.fpn.inner_blocks.{int(m[1]) - 2}.0."),
    (r"^backbone\.fpn_output(\d)\.", lambda m: f"backbone.fpn.layer_blocks.{int(m[1]) - 2}.0."),
    (r"^backbone\.bottom_up\.res(\d)\.", lambda m: f"backbone.body.layer{int(m[1]) - 1}."),
    (r"\.conv(\d)\.norm\.", r".bn\1."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.shortcut\.", ".downsample.0."),
    (r"^proposal_generator\.rpn_head\.conv\.", "rpn.head.conv.0.0."),
    (r"^proposal_generator\.rpn_head\.objectness_logits\.", "rpn.head.cls_logits."),
    (r"^proposal_generator\.rpn_head\.anchor_deltas\.", "rpn.head.bbox_pred."),
    (r"^roi_heads\.box_head\.fc1\.", "roi_heads.box_head.fc6."),
    (r"^roi_heads\.box_head\.fc2\.", "roi_heads.box_head.fc7."),
    (r"^roi_heads\.mask_coarse_head\.coarse_mask_fc(\d)\.", r"roi_heads.mask_head.coarse_head.fc\1."),
    (r"^roi_heads\.mask_coarse_head\.", "roi_heads.mask_head.coarse_head."),
    (r"^roi_heads\.mask_point_head\.", "roi_heads.mask_head.point_head."),
)


def rename_release(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the released file, new or old."""
    return renamed(state, _NAMES, "pixel_mean|pixel_std|cell_anchors|num_batches_tracked")
