"""NanoDet-Plus-m: boxes of COCO's 80 classes, 1.2 M parameters.

No paper describes it; it is the network of the repository RangiLyu/nanodet. ShuffleNetV2 1.0 (Ma et al., ECCV
2018) gives features at strides 8 to 32, a path aggregation of ghost blocks (Han et al., GhostNet, CVPR 2020)
four levels at strides 8 to 64, and each level has a head of generalised focal loss (Li et al., NeurIPS 2020):
class logits, and for each side of the box a distribution over eight distances.

The batch norms are folded, as in the released inference models. The places of the norms in the official
sequences stay empty, so that the names are those of the release.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ActivatedConv2d
from segue.models.detection.boxes import areas, clip, suppress
from segue.models.detection.detections import Detections, TensorDetections, concatenate, take
from segue.types import Image
from segue.utils.devices import to_device

STRIDES = (8, 16, 32, 64)
CLASSES, BINS = 80, 8
WIDTH = 96
"""Channels of the four levels."""

SIDE = 416
"""Image side in training."""

MULTIPLE = 32
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
"""For blue, green and red, in that order, in 0..255."""

_LEVELS = torch.arange(256, dtype=torch.float32)[:, None]
_NORMALISED = ((_LEVELS - torch.tensor(MEAN)) / torch.tensor(STD)).numpy()[None]
"""Normalised levels of blue, green and red, (1, 256, 3), for OpenCV's tables."""

NMS_IOU = 0.6
LIMIT = 100
"""Most boxes of an image."""

TILE_OVERLAP = 0.2
"""Overlap of adjacent tiles, as a share of their side."""

TILE_RIM = 0.01
"""A box that ends within this share of the side of a tile, at an edge where the image goes on, is a cut-off
part of an object that another tile or the whole image shows better."""

PART_COVERED = 0.8
"""A box of a tile is removed if this share of it lies in a better one of its class from another view."""


class NanoDetPlus(nn.Module):
    """Detector; takes images as :func:`prepare` makes them, sides in multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ShuffleNetV2()
        self.fpn = GhostPAN(self.backbone.channels)
        self.head = Head()

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) → (B, 112, h, w) for each stride: 80 class logits, then 8 bins of each side."""
        return self.head(self.fpn(self.backbone(images)))

    @torch.inference_mode()
    def detect(self, image: Image, min_score: float = 0.05, tiles: int = 1) -> TensorDetections:
        """Detect objects in an image of any size.

        Args:
            image: RGB, (H, W, 3), uint8.
            min_score: minimum score of a box, in 0..1.
            tiles: look also at ``tiles`` x ``tiles`` overlapping parts at full detail, for objects that
                are small in a large image; 1 looks at the whole alone.

        Returns:
            Boxes in pixels of the image, scores and class numbers, see
            :data:`segue.models.detection.classes.COCO_ORDER`; best first.
        """
        height, width = image.shape[:2]
        detections = [self._detect(image, min_score)]
        for x0, y0, x1, y1 in tile_grid(height, width, tiles):
            part = self._detect(image[y0:y1, x0:x1], min_score)
            corner, size = part.boxes.new_tensor([[x0, y0], [x1 - x0, y1 - y0]])
            inside = torch.cat((part.boxes[:, :2], size - part.boxes[:, 2:]), 1) > TILE_RIM * size.repeat(2)
            at_border = inside.new_tensor([x0 == 0, y0 == 0, x1 == width, y1 == height])
            part = replace(part, boxes=part.boxes + corner.repeat(2))
            detections.append(take(part, (inside | at_border).all(1)))
        if len(detections) == 1:
            return detections[0]
        views = torch.cat([torch.full_like(part.labels, i) for i, part in enumerate(detections)])
        merged = concatenate(detections)
        keep = suppress(merged.boxes, merged.scores, merged.labels, NMS_IOU)
        merged, views = take(merged, keep), views[keep]
        return take(merged, _not_parts(merged, views).nonzero()[:LIMIT, 0])

    def _detect(self, image: Image, min_score: float) -> TensorDetections:
        # In the copy for inference the weights are buffers; the original has no others.
        weight = next(itertools.chain(self.buffers(), self.parameters()))
        pixels = to_device(prepare(image), weight.device).to(weight.dtype)
        outputs = self(pixels.contiguous(memory_format=torch.channels_last))
        detections = select(outputs, (pixels.shape[2], pixels.shape[3]), min_score)
        scale = torch.tensor([image.shape[1] / pixels.shape[3], image.shape[0] / pixels.shape[2]])
        scale = to_device(scale.to(detections.boxes.dtype), detections.boxes.device)
        return replace(detections, boxes=detections.boxes * scale.repeat(2))


def network_size(height: int, width: int) -> tuple[int, int]:
    """Input size for an image: the square of the training, for most aspect ratios."""
    share = min(1.0, 2 * min(height, width) / max(height, width))
    short = max(round(SIDE * share / MULTIPLE), 1) * MULTIPLE
    return (SIDE, short) if height > width else (short, SIDE)


def prepare(image: Image, size: tuple[int, int] | None = None) -> Tensor:
    """Resize an image (H, W, 3) and normalise it as blue, green, red: (1, 3, h, w), float32."""
    rows, columns = size or network_size(*image.shape[:2])
    if image.shape[0] > 2 * rows and image.shape[1] > 2 * columns:
        # Bilinear resizing reads two pixels a side and would skip the others.
        image = np.asarray(cv2.resize(image, (2 * columns, 2 * rows), interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] != (rows, columns):
        image = np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)
    normalised = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _NORMALISED)
    return torch.from_numpy(np.asarray(normalised)).permute(2, 0, 1)[None]


def decode(outputs: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Decode boxes (B, N, 4) in pixels and class logits (B, N, 80) of all cells, level by level."""
    values, points, strides = _cells(outputs)
    return clip(_boxes(values, points, strides), size), values[..., :CLASSES]


def _cells(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Values (B, N, 112) of all cells, level by level, with their points (N, 2) and strides (N, 1).

    A cell (i, j) of stride s stands for the point (j·s, i·s), without half a cell.
    """
    values, points, strides = [], [], []
    for stride, output in zip(STRIDES, outputs, strict=True):
        y, x = (torch.arange(side, device=output.device) for side in output.shape[-2:])
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        points.append(torch.stack((columns, rows), -1).view(-1, 2).to(output) * stride)
        strides.append(points[-1].new_full((len(points[-1]), 1), stride))
        values.append(output.flatten(2).transpose(1, 2))
    return torch.cat(values, 1), torch.cat(points), torch.cat(strides)


def _boxes(values: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Boxes (..., N, 4) in pixels of cells, from their values (..., N, 112), points and strides.

    A distance is the stride times the mean of its distribution over 0..7 (Generalized Focal Loss, section
    3.2).
    """
    steps = torch.arange(BINS, device=values.device, dtype=values.dtype)
    distances = (values[..., CLASSES:].unflatten(-1, (4, BINS)).softmax(-1) * steps).sum(-1) * strides
    return torch.cat((points - distances[..., :2], points + distances[..., 2:]), -1)


def select(outputs: Sequence[Tensor], size: tuple[int, int], min_score: float) -> TensorDetections:
    """Boxes of an image after class-wise suppression; a cell may give several classes."""
    values, points, strides = _cells([output.float() for output in outputs])
    scores = values[0, :, :CLASSES].sigmoid()
    cell, label = (scores > min_score).nonzero().unbind(1)
    boxes = clip(_boxes(values[0, cell], points[cell], strides[cell]), size)
    detections = Detections(boxes, scores[cell, label], label)
    detections = take(detections, areas(detections.boxes) > 0)
    keep = suppress(detections.boxes, detections.scores, detections.labels, NMS_IOU)
    return take(detections, keep[:LIMIT])


def tile_grid(height: int, width: int, tiles: int) -> list[tuple[int, int, int, int]]:
    """Overlapping tiles that cover an image, row by row."""
    if tiles <= 1:
        return []
    spans = []
    for side in (height, width):
        length = min(side, round(side / (tiles - (tiles - 1) * TILE_OVERLAP)))
        starts = np.linspace(0, side - length, tiles).round().astype(int).tolist()
        spans.append([(start, start + length) for start in starts])
    return [(x0, y0, x1, y1) for y0, y1 in spans[0] for x0, x1 in spans[1]]


def _not_parts(detections: TensorDetections, views: Tensor) -> Tensor:
    """Whether boxes lie outside every better box of their class from another view, (N,)."""
    low = torch.maximum(detections.boxes[:, None, :2], detections.boxes[None, :, :2])
    high = torch.minimum(detections.boxes[:, None, 2:], detections.boxes[None, :, 2:])
    inside = (high - low).clamp(min=0).prod(-1) > PART_COVERED * areas(detections.boxes)[:, None]
    other = (detections.labels[:, None] == detections.labels) & (views[:, None] != views)
    return ~(inside & other).tril(-1).any(1)


def _conv(
    cin: int, cout: int, kernel: int, stride: int = 1, *, depthwise: bool = False, leaky: bool = True
) -> ActivatedConv2d:
    groups = cin if depthwise else 1
    conv = ActivatedConv2d(cin, cout, kernel, stride, kernel // 2, groups=groups)
    conv.activation = "leaky" if leaky else "none"
    return conv


class ShuffleUnit(nn.Module):
    """A unit of ShuffleNetV2: half of the channels pass, or with stride 2 both halves are computed."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        half = cout // 2
        within = cin if stride > 1 else half
        none = nn.Identity()
        self.branch1 = (
            nn.Sequential(_conv(cin, cin, 3, stride, depthwise=True, leaky=False), none, _conv(cin, half, 1))
            if stride > 1
            else None
        )
        middle = _conv(half, half, 3, stride, depthwise=True, leaky=False)
        self.branch2 = nn.Sequential(_conv(within, half, 1), none, none, middle, none, _conv(half, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) → (B, cout, H/stride, W/stride)."""
        if self.branch1 is None:
            passed, x = x.chunk(2, 1)
        else:
            passed = self.branch1(x)
        return F.channel_shuffle(torch.cat((passed, self.branch2(x)), 1), 2)


class ShuffleNetV2(nn.Module):
    """Trunk: (B, 3, H, W) → features at strides 8, 16 and 32."""

    channels = (116, 232, 464)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_conv(3, 24, 3, 2))
        input_channels = (24, *self.channels)
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(ShuffleUnit(cin, cout, 2), *(ShuffleUnit(cout, cout, 1) for _ in range(units - 1)))
            for cin, cout, units in zip(input_channels, self.channels, (4, 8, 4), strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        x8 = self.stage2(F.max_pool2d(self.conv1(images), 3, 2, 1))
        x16 = self.stage3(x8)
        return [x8, x16, self.stage4(x16)]


class Ghost(nn.Module):
    """Half of the channels by a 1x1 convolution, the other half of these by a depthwise one."""

    def __init__(self, cin: int, cout: int, *, leaky: bool) -> None:
        super().__init__()
        half = cout // 2
        self.primary_conv = nn.Sequential(_conv(cin, half, 1, leaky=leaky))
        self.cheap_operation = nn.Sequential(_conv(half, half, 3, depthwise=True, leaky=leaky))

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) to (B, cout, H, W)."""
        first = self.primary_conv(x)
        return torch.cat((first, self.cheap_operation(first)), 1)


class GhostBottleneck(nn.Module):
    """Two ghost modules beside a depthwise shortcut: (B, 192, H, W) → (B, 96, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.ghost1 = Ghost(2 * WIDTH, WIDTH, leaky=True)
        self.ghost2 = Ghost(WIDTH, WIDTH, leaky=False)
        self.shortcut = nn.Sequential(
            _conv(2 * WIDTH, 2 * WIDTH, 5, depthwise=True, leaky=False),
            nn.Identity(),
            _conv(2 * WIDTH, WIDTH, 1, leaky=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.ghost2(self.ghost1(x)) + self.shortcut(x)


def _sequential(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _ghost_blocks(count: int) -> nn.ModuleList:
    return nn.ModuleList(_sequential(blocks=nn.Sequential(GhostBottleneck())) for _ in range(count))


def _separable(stride: int = 1) -> nn.Sequential:
    """5x5 depthwise and 1x1 convolution."""
    return _sequential(
        depthwise=_conv(WIDTH, WIDTH, 5, stride, depthwise=True), pointwise=_conv(WIDTH, WIDTH, 1)
    )


class GhostPAN(nn.Module):
    """Path aggregation in both directions, with an added level: strides 8 to 32 → 8 to 64, 96 channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.reduce_layers = nn.ModuleList(_sequential(conv=_conv(count, WIDTH, 1)) for count in channels)
        self.top_down_blocks = _ghost_blocks(2)
        self.downsamples = nn.ModuleList(_separable(2) for _ in channels[1:])
        self.bottom_up_blocks = _ghost_blocks(2)
        self.extra_lvl_in_conv = nn.ModuleList([_separable(2)])
        self.extra_lvl_out_conv = nn.ModuleList([_separable(2)])

    def forward(self, trunk: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C, h, w) at strides 8, 16 and 32 to maps (B, 96, h, w) at strides 8, 16, 32 and 64."""
        r8, r16, r32 = (layer(level) for layer, level in zip(self.reduce_layers, trunk, strict=True))
        t16 = self.top_down_blocks[0](torch.cat((_doubled(r32), r16), 1))
        o8 = self.top_down_blocks[1](torch.cat((_doubled(t16), r8), 1))
        o16 = self.bottom_up_blocks[0](torch.cat((self.downsamples[0](o8), t16), 1))
        o32 = self.bottom_up_blocks[1](torch.cat((self.downsamples[1](o16), r32), 1))
        o64 = self.extra_lvl_in_conv[0](r32) + self.extra_lvl_out_conv[0](o32)
        return [o8, o16, o32, o64]


class Head(nn.Module):
    """Two separable convolutions and outputs, with separate weights per level."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_convs = nn.ModuleList(nn.Sequential(_separable(), _separable()) for _ in STRIDES)
        self.gfl_cls = nn.ModuleList(_conv(WIDTH, CLASSES + 4 * BINS, 1, leaky=False) for _ in STRIDES)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Class logits and distances of each level (B, 96, h, w): (B, 80 + 32, h, w)."""
        together = zip(self.cls_convs, self.gfl_cls, levels, strict=True)
        return [output(convs(level)) for convs, output, level in together]


class NanoDetTrunk(NanoDetPlus):
    """The detector as a trunk, without its head."""

    channels = (WIDTH,) * len(STRIDES)
    fine, finest = ShuffleNetV2.channels[0], 24  # channels of the backbone at strides 8 and 2

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """RGB (B, 3, H, W), normalised by ImageNet's statistics → levels at strides 8 to 64."""
        return tuple(self.levels(images)[1])

    def levels(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features at stride 8 and the levels, of RGB (B, 3, H, W) where the detector takes BGR."""
        trunk = self.backbone(images.flip(1))
        return trunk[0], self.fpn(trunk)

    def edges(self, images: Tensor) -> Tensor:
        """Input (B, C, H/2, W/2) of the first layer, of RGB (B, 3, H, W) where the detector takes BGR."""
        return self.backbone.conv1(images.flip(1))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")
