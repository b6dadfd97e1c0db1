"""What Mask R-CNN and PointRend share: trunk with feature pyramid, region proposals, box head.

Ren et al., "Faster R-CNN" (NIPS 2015); Lin et al., "Feature Pyramid Networks" (CVPR 2017). Names follow
torchvision's detectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.resnet import Bottleneck, ConstantBatchNorm, Norm, ResidualTrunk
from segue.models.detection.boxes import areas, cell_anchors, clip, decode, grid_anchors, suppress

ANCHOR_SIZES = (32, 64, 128, 256, 512)
"""Side of the square of an anchor's area, for each level of the pyramid."""

PROPOSALS = 1000
"""Proposals that are kept of a level before, and of the picture after suppression."""

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Scale of the box head's deltas."""

LIMIT = 100
"""Most detections of a picture."""

SHORT_SIDE, LONG_SIDE = 800, 1333
"""Short side that pictures are brought to, and the bound on their long side."""

MULTIPLE = 32
"""Pictures are padded to multiples of this."""


@dataclass(frozen=True)
class Detections:
    """Objects of one picture, best first.

    Attributes:
        boxes: (N, 4), x0, y0, x1, y1 in pixels.
        scores: (N,), in 0..1.
        labels: (N,), int64, class numbers of the network.
        masks: (N, H, W), probabilities at the size of the picture.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.scores)


def conv_block(
    cin: int, cout: int, kernel: int, norm: Norm | None = None, *, activate: bool = True
) -> nn.Sequential:
    """Convolution, norm and ReLU, of which the last two may be missing; without a norm there is a bias."""
    layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=norm is None)]
    if norm is not None:
        layers.append(norm(cout))
    if activate:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class FPN(nn.Module):
    """Feature pyramid: maps at strides 4 to 32 → five maps of 256 channels at strides 4 to 64."""

    def __init__(self, channels: Sequence[int], norm: Norm | None = None) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(conv_block(c, 256, 1, norm, activate=False) for c in channels)
        self.layer_blocks = nn.ModuleList(conv_block(256, 256, 3, norm, activate=False) for _ in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        lateral = [block(level) for block, level in zip(self.inner_blocks, maps, strict=True)]
        merged = [lateral[-1]]
        for level in reversed(lateral[:-1]):
            merged.insert(0, level + F.interpolate(merged[0], level.shape[-2:]))
        pyramid = [block(level) for block, level in zip(self.layer_blocks, merged, strict=True)]
        return [*pyramid, F.max_pool2d(pyramid[-1], 1, stride=2)]


class Backbone(nn.Module):
    """ResNet-50 and its feature pyramid."""

    def __init__(
        self,
        norm: Norm = ConstantBatchNorm,
        pyramid_norm: Norm | None = None,
        stride_first: bool = False,
    ) -> None:
        super().__init__()
        self.body = ResidualTrunk(Bottleneck, (3, 4, 6, 3), norm, stride_first=stride_first)
        self.fpn = FPN(self.body.channels, pyramid_norm)

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.fpn(self.body(x))


class RPNHead(nn.Module):
    """For each place of each level three anchors: objectness and deltas."""

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
    """Region proposals of at least ``smallest`` pixels a side; torchvision's anchors are whole pixels."""

    def __init__(self, depth: int, *, rounded: bool, smallest: float) -> None:
        super().__init__()
        self.head = RPNHead(depth)
        self.rounded, self.smallest = rounded, smallest

    def forward(
        self, pyramid: Sequence[Tensor], size: tuple[int, int], padded: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Boxes (R, 4), best first, and their logits, from the five levels of one picture.

        ``size`` is height and width of the picture, ``padded`` that of what the network saw.
        """
        boxes, logits, levels = [], [], []
        for i, features in enumerate(pyramid):
            objectness, deltas = self.head(features)
            scores = objectness[0].permute(1, 2, 0).flatten()
            moves = deltas[0].unflatten(0, (-1, 4)).permute(2, 3, 0, 1).reshape(-1, 4)
            best = scores.topk(min(PROPOSALS, len(scores)))
            anchors = self._anchors(features, i, padded)[best.indices]
            boxes.append(decode(moves[best.indices], anchors, (1.0, 1.0, 1.0, 1.0)))
            logits.append(best.values)
            levels.append(torch.full_like(best.indices, i))
        found, scores, level = clip(torch.cat(boxes), size), torch.cat(logits), torch.cat(levels)
        sides = found[:, 2:] - found[:, :2]
        large = (sides >= self.smallest).all(1) & (sides > 0).all(1)
        found, scores, level = found[large], scores[large], level[large]
        kept = suppress(found, scores, level, 0.7)[:PROPOSALS]
        return found[kept], scores[kept]

    def _anchors(self, features: Tensor, level: int, padded: tuple[int, int]) -> Tensor:
        height, width = features.shape[-2:]
        stride = (padded[0] // height, padded[1] // width) if self.rounded else (4 * 2**level,) * 2
        cell = cell_anchors(ANCHOR_SIZES[level], rounded=self.rounded).to(features)
        return grid_anchors(cell, (height, width), stride)


class TwoFullyConnected(nn.Module):
    """The box head of Faster R-CNN: (R, 256, 7, 7) → (R, 1024)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc6 = nn.Linear(256 * 7 * 7, 1024)
        self.fc7 = nn.Linear(1024, 1024)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))


class BoxPredictor(nn.Module):
    """Class scores and one box for each class."""

    def __init__(self, outputs: int, boxes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(1024, outputs)
        self.bbox_pred = nn.Linear(1024, 4 * boxes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(R, 1024) → logits (R, outputs) and deltas (R, boxes, 4)."""
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


def choose(
    proposals: Tensor,
    probabilities: Tensor,
    deltas: Tensor,
    size: tuple[int, int],
    *,
    least_score: float,
    smallest: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Final boxes (N, 4), scores (N,) and classes (N,) in 0..K-1 of a picture, best first.

    Args:
        proposals: (R, 4).
        probabilities: (R, K), of the classes without background.
        deltas: (R, K, 4).
        size: height and width of the picture.
        least_score: detections must be above it.
        smallest: least side of a box in pixels.
    """
    region, label = (probabilities > least_score).nonzero().unbind(1)
    boxes = decode(deltas[region, label], proposals[region], BOX_WEIGHTS)
    boxes = clip(boxes, size)
    scores = probabilities[region, label]
    sides = boxes[:, 2:] - boxes[:, :2]
    fits = (sides >= smallest).all(1) if smallest else areas(boxes) >= 0
    boxes, scores, label = boxes[fits], scores[fits], label[fits]
    kept = suppress(boxes, scores, label, 0.5)[:LIMIT]
    return boxes[kept], scores[kept], label[kept]


def scale_to(short_side: int, height: int, width: int) -> float:
    """Factor that brings a picture to a short side, its long side bounded in the published proportion."""
    long_side = LONG_SIDE * short_side / SHORT_SIDE
    return min(short_side / min(height, width), long_side / max(height, width))


def renamed(
    state: Mapping[str, Tensor],
    patterns: Iterable[tuple[str, str | Callable[[re.Match[str]], str]]],
    left_out: str,
) -> dict[str, Tensor]:
    """Tensors of a file under the names that all patterns in turn make of theirs."""
    tensors = {}
    for name, tensor in state.items():
        if re.search(left_out, name) is None:
            new = name
            for pattern, replacement in patterns:
                new = re.sub(pattern, replacement, new)
            tensors[new] = tensor
    return tensors
