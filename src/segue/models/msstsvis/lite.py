"""msstsvis-lite: segue's small MS-STS VIS on the bundled detector, for a CPU.

Levels are those of NanoDet-Plus at strides 16 to 64. Its boxes and class scores, linked over the frames, are
what the queries start from: learned queries need far more training than a small network can have. The decoder
refines boxes, says how sure it is, and asks for masks of features at stride 4, which see edges through the
detector's first layer. The detector is not trained. Deformable DETR (Zhu et al., ICLR 2021, appendix A.4)
calls queries from proposals the two-stage variant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.activated import ConvNormReLU
from segue.layers.linear import Perceptron
from segue.models.detection.boxes import suppress
from segue.models.detection.classes import COCO_NAMES
from segue.models.detection.nanodet import CLASSES, MULTIPLE, WIDTH, NanoDetTrunk, decode
from segue.models.msstsvis.network import MSSTSVIS, Parts
from segue.models.segue_prompt import Join, Separable
from segue.models.seqformer import Memory
from segue.models.seqformer.decoder import CHANNELS, Decoded, relative_masks, to_maps
from segue.models.seqformer.network import Size
from segue.utils.arrays import Float32Array
from segue.utils.devices import to_device

PER_FRAME = 20
"""Detections of a frame that are linked."""

SAME = 0.6
"""IoU above which a detection duplicates a better one of any class."""

WAVES = 4
"""Number of frequencies that encode a box for its query."""

LINKED = 0.3
"""Least IoU with the detection of the previous frame."""

OTHER_CLASS = 0.6
"""Weight of the overlap of two detections with different best classes."""

LOOK_MOMENTUM = 0.8
"""Part of its look that a linked detection keeps from one frame to the next."""

NEVER = -20.0
"""Class logit of channels without a class."""

Ints = npt.NDArray[np.int64]

LITE_SIZE = Size(
    width=96,
    hidden=256,
    encoder_layers=1,
    decoder_layers=3,
    heads=4,
    levels=3,
    points=4,
    queries=20,
    classes=max(COCO_NAMES) + 1,
    dropout=0.0,
)


@dataclass(frozen=True)
class DecodedTubes(Decoded):
    """Queries after every decoder layer, with the detector's scores."""

    class_prior: Tensor  # its class logits, means over the frames where it saw the object, (N, Q, 80)


class MaskFeatures(nn.Module):
    """Mask features from frame-exchanged tokens, finer levels, and edges."""

    def __init__(self, width: int, fine: int, edges: int) -> None:
        super().__init__()
        self.join8 = Join(width, fine, 64)
        self.blocks8 = nn.Sequential(Separable(64, 5), Separable(64, 5))
        self.edges = ConvNormReLU(edges, 32, 3, stride=2)
        self.join4 = Join(64, 32, 32)
        self.blocks4 = nn.Sequential(Separable(32, 5), Separable(32, 5))
        self.head = nn.Conv2d(32, CHANNELS, 1)

    def forward(self, tokens: Tensor, fine: Tensor, edges: Tensor) -> Tensor:
        """Maps at strides 16, 8 and 2 → (B, 8, h, w) at stride 4."""
        x = self.blocks8(self.join8(tokens, fine))
        return self.head(self.blocks4(self.join4(x, self.edges(edges))))


class MSSTSVISLite(MSSTSVIS):
    """MS-STS VIS whose queries are linked detections; class channels are the category numbers of COCO.

    Frames of any size are stretched to sides in multiples of 32.

    Args:
        parts: parts of the paper as a text of :meth:`segue.models.msstsvis.Parts.text`; by default all.
    """

    short_side = 320
    score = 0.35
    half_precision = False  # objects near the least score come and go: one of five in a clip of SAM 2's demo
    numbers: Tensor

    def __init__(self, parts: str = "") -> None:
        super().__init__("nanodet", LITE_SIZE, Parts.parse(parts) if parts else Parts())
        width = LITE_SIZE.width
        del self.detr.transformer.reference_points, self.detr.query_embed, self.mask_head
        class_heads = [nn.Linear(width, 1) for _ in range(LITE_SIZE.decoder_layers)]
        for layer in (*class_heads, cast(nn.Linear, cast(Perceptron, self.detr.bbox_embed[0]).layers[-1])):
            # At the start it says what the detector says.
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.detr.class_embed = nn.ModuleList(class_heads)
        # Queries are made of what was seen of linked detections, and of where they are.
        parts_of_queries = {"content": nn.Linear(WIDTH, width), "place": nn.Linear(8 * WAVES + 1, width)}
        self.queries = nn.ModuleDict(parts_of_queries)
        self.mask_features = MaskFeatures(width, WIDTH + NanoDetTrunk.fine, NanoDetTrunk.finest)
        self.class_names = dict(COCO_NAMES)
        self.options = {"parts": self.parts.text()}
        numbers = torch.tensor(list(COCO_NAMES))
        self.register_buffer("numbers", numbers, persistent=False)

    @property
    def detector(self) -> NanoDetTrunk:
        return cast(NanoDetTrunk, self.backbone.body)

    def encode(self, frames: Tensor, valid: Tensor | None = None) -> Memory:
        if valid is not None:
            raise ValueError("msstsvis-lite takes clips of one size, without padding")
        samples, count = frames.shape[:2]
        size = tuple(-(-side // MULTIPLE) * MULTIPLE for side in frames.shape[-2:])
        images = frames.flatten(0, 1)
        if size != tuple(images.shape[-2:]):
            images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        pixels = self.normalise(images, None, count)
        fine, maps = self.detector.levels(pixels)
        sources = [
            projection(level) for projection, level in zip(self.detr.input_proj, maps[1:], strict=True)
        ]
        tokens, levels = self.relate(sources, None, samples)
        features = self.mask_features(
            to_maps(tokens, levels.shapes, 1)[0], torch.cat((maps[0], fine), 1), self.detector.edges(pixels)
        )
        detected = detections(self.detector.head(maps), maps, (pixels.shape[-2], pixels.shape[-1]))
        return Memory.of(frames, levels, tokens, features, detected)

    def decode(self, memory: Memory) -> DecodedTubes:
        assert memory.detections is not None
        starts, shares, tube_features = zip(
            *(tubes(clip, self.size.queries) for clip in memory.detections), strict=True
        )
        boxes = torch.stack(starts)
        logits, embeddings = torch.stack(tube_features).split((CLASSES, WIDTH), -1)
        place = torch.cat((waves(boxes.mean(1)), torch.stack(shares)[..., None]), -1)
        embeddings, place = (each.to(memory.tokens.dtype) for each in (embeddings, place))
        content, position = self.queries["content"](embeddings), self.queries["place"](place)
        decoder = self.detr.transformer.decoder
        decoded = decoder(content, position, boxes, memory.tokens, memory.levels)
        return DecodedTubes(**vars(decoded), class_prior=logits)

    def class_logits(self, decoded: Decoded, layer: int = -1) -> Tensor:
        """Class scores before the sigmoid, (N, Q, 91): the detector's, with a correction per query."""
        assert isinstance(decoded, DecodedTubes)
        logits = decoded.class_prior + self.detr.class_embed[layer](decoded.instances[layer]).float()
        table = logits.new_full((*logits.shape[:2], self.size.classes), NEVER)
        return table.index_copy(-1, self.numbers, logits)

    def mask_logits(
        self,
        memory: Memory,
        decoded: Decoded,
        sample: int,
        queries: Tensor,
        layer: int = -1,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """See SeqFormer; distances are in halves of the box sides."""
        boxes = decoded.refined[layer][sample][:, queries].detach().transpose(0, 1)
        parameters = self.controller(decoded.instances[layer][sample][queries])
        features = memory.features[sample].float()
        rows, columns = features.shape[-2:]
        middles = ((torch.arange(n, device=boxes.device) + 0.5) / n for n in (columns, rows))
        centre, reach = boxes[..., :2], boxes[..., 2:].clamp(min=1e-3) / 2
        across, down = (
            ((centre[..., i, None] - middle) / reach[..., i, None]).clamp(-8, 8)
            for i, middle in enumerate(middles)
        )
        return relative_masks(features, parameters.float(), across, down)


@torch.no_grad()
def detections(outputs: list[Tensor], maps: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Select the best detections of each frame from maps (B, 96, h, w) of each level."""
    embeddings = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], 1)
    scale = to_device(torch.tensor((size[1], size[0]) * 2, dtype=torch.float32), embeddings.device)
    boxes, logits = decode([output.float() for output in outputs], size)
    best = logits.amax(2).topk(min(8 * PER_FRAME, logits.shape[1]), 1)
    frames = torch.arange(len(embeddings), device=embeddings.device)[:, None].expand_as(best.indices)
    candidates = boxes.gather(1, best.indices[..., None].expand(-1, -1, 4)).flatten(0, 1)
    is_kept = torch.zeros(len(candidates), dtype=torch.int32, device=embeddings.device)
    is_kept[suppress(candidates, best.values.flatten(), frames.flatten(), SAME)] = 1
    # Where fewer are apart, the surest stands in again.
    first = is_kept.view_as(best.indices).sort(dim=1, descending=True, stable=True)
    places = (first.indices * first.values)[:, :PER_FRAME]
    selected = best.indices.gather(1, places)[..., None]
    parts = boxes / scale, logits, embeddings.float()
    return torch.cat([part.gather(1, selected.expand(-1, -1, part.shape[-1])) for part in parts], -1)


@torch.no_grad()
def tubes(detected: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Link the detections of a clip over its frames: boxes (T, count, 4), centre form."""
    logits = detected[..., 4 : 4 + CLASSES]
    best = logits.max(-1)
    # One download of all: each makes the processor wait for the device.
    embeddings = F.normalize(detected[..., 4 + CLASSES :], dim=-1)
    parts = (
        detected[..., :4],
        best.values[..., None],
        best.indices[..., None].to(embeddings.dtype),
        embeddings,
    )
    rows = torch.cat(parts, -1).cpu().numpy()
    labels = rows[..., 5].astype(np.int64)
    linked, linked_indices = link(rows[..., :4], rows[..., 4], labels, rows[..., 6:], count)
    picks = to_device(torch.from_numpy(linked_indices), detected.device)
    is_visible = (picks >= 0).float()
    picked = detected.gather(1, picks.clamp(min=0)[..., None].expand(-1, -1, detected.shape[-1]))[..., 4:]
    means = (picked * is_visible[..., None]).sum(0) / is_visible.sum(0)[:, None]
    low, high = to_device(torch.from_numpy(linked), detected.device).split(2, -1)
    return torch.cat(((low + high) / 2, high - low), -1), is_visible.mean(0), means


def waves(boxes: Tensor) -> Tensor:
    """Sines and cosines (..., 8·WAVES) of boxes (..., 4) in 0..1, at doubling rates."""
    rates = math.pi * 2.0 ** torch.arange(WAVES, device=boxes.device)
    angles = (boxes[..., None] * rates).flatten(-2)
    return torch.cat((angles.sin(), angles.cos()), -1)


def link(
    boxes: Float32Array, scores: Float32Array, labels: Ints, embeddings: Float32Array, count: int
) -> tuple[Float32Array, Ints]:
    """Link detections over the frames of a clip, the highest score first."""
    frames = len(boxes)
    free = np.ones(scores.shape, np.bool_)
    tubes = []
    for index in np.argsort(-scores, axis=None, kind="stable"):
        start, first = divmod(int(index), scores.shape[1])
        if not free[start, first]:
            continue
        picks = np.full(frames, -1)
        picks[start] = first
        free[start, first] = False
        for steps in (range(start + 1, frames), range(start - 1, -1, -1)):
            box, label, embedding = boxes[start, first], labels[start, first], embeddings[start, first]
            for t in steps:
                fits = overlaps(box, boxes[t]) * np.where(labels[t] == label, 1.0, OTHER_CLASS) * free[t]
                best = int(np.where(fits >= LINKED, fits + embeddings[t] @ embedding, -1.0).argmax())
                if fits[best] >= LINKED:
                    picks[t], free[t, best] = best, False
                    box, label = boxes[t, best], labels[t, best]
                    embedding = LOOK_MOMENTUM * embedding + (1 - LOOK_MOMENTUM) * embeddings[t, best]
        tubes.append(picks)
        if len(tubes) == count:
            break
    return np.stack([_filled(boxes, picks) for picks in tubes], 1), np.stack(tubes, 1)


def overlaps(box: Float32Array, boxes: Float32Array) -> Float32Array:
    """IoU of a box with each of several."""
    inner = (np.minimum(box[2:], boxes[..., 2:]) - np.maximum(box[:2], boxes[..., :2])).clip(min=0).prod(-1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    return np.asarray(inner / np.maximum(area + areas - inner, 1e-9), np.float32)


def _filled(boxes: Float32Array, picks: Ints) -> Float32Array:
    """Boxes of one tube, (T, 4), with gaps filled."""
    indices = np.flatnonzero(picks >= 0)
    linked_boxes = boxes[indices, picks[indices]]
    frames = np.arange(len(picks))
    return np.stack([np.interp(frames, indices, column) for column in linked_boxes.T], -1).astype(np.float32)
