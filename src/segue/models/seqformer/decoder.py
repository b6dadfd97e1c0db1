"""SeqFormer's decoder, dynamic masks, and attention maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.attention import splat
from segue.layers.linear import ActivatedLinear
from segue.models.seqformer.encoder import DeformableAttention, Levels
from segue.utils.devices import to_device

CHANNELS = 8
"""Channels of the mask features and of the tiny networks."""

STRIDE = 8
"""Pixels of the frame per cell of the mask features."""

EPSILON = 1e-5
"""Keeps the logits of references finite."""

PARTS = ((CHANNELS + 2) * CHANNELS, CHANNELS * CHANNELS, CHANNELS, CHANNELS, CHANNELS, 1)
"""Numbers that make a query's network: weights of its three layers, then biases; 169 in all."""


class MaskFeatures(nn.Module):
    """Merges the three finest levels to 8 channels at stride 8, by plain 3x3 convolutions."""

    def __init__(self, width: int = 256, middle: int = 64) -> None:
        super().__init__()
        self.lay1 = nn.Conv2d(width, middle, 3, padding=1)
        self.lay2 = nn.Conv2d(middle, CHANNELS, 3, padding=1)
        self.lay3 = nn.Conv2d(width, width, 3, padding=1)
        self.lay4 = nn.Conv2d(width, width, 3, padding=1)
        self.dcn = nn.Conv2d(width, width, 3, padding=1)
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_uniform_(parameter, a=1)
            else:
                nn.init.zeros_(parameter)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """Maps (B, C, h, w) at strides 8, 16 and 32 → (B, 8, h, w) at stride 8."""
        x = F.relu(self.lay3(coarse))
        x = F.relu(self.lay4(middle + F.interpolate(x, middle.shape[-2:])))
        x = F.relu(self.dcn(fine + F.interpolate(x, fine.shape[-2:])))
        return F.relu(self.lay2(F.relu(self.lay1(x))))


def dynamic_masks(features: Tensor, parameters: Tensor, centres: Tensor) -> Tensor:
    """Mask logits (K, T, 2h, 2w), at stride 4, of queries in one clip (SeqFormer, section 3.3).

    ``features``: (T, 8, h, w), at stride 8; ``parameters``: weights, then biases, (K, 169); ``centres``: x
    and y of the queries in pixels, (K, T, 2).
    """
    h, w = features.shape[-2:]
    x = torch.arange(w, device=features.device, dtype=features.dtype) * STRIDE + STRIDE // 2
    y = torch.arange(h, device=features.device, dtype=features.dtype) * STRIDE + STRIDE // 2
    return upsample_aligned(relative_masks(features, parameters, centres[..., :1] - x, centres[..., 1:] - y))


def relative_masks(features: Tensor, parameters: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Mask logits (K, T, h, w) by tiny networks; ``across`` and ``down`` are distances in pixels."""
    (frames, _, h, w), queries = features.shape, len(parameters)
    if queries == 0:
        return features.new_zeros(0, frames, h, w)
    c = CHANNELS
    w0, w1, w2, b0, b1, b2 = torch.split(parameters, list(PARTS), dim=1)
    w0 = w0.view(queries, c, c + 2)
    # The distances are the same along a row or a column, so they join as two outer sums.
    columns = w0[:, :, None, :1] * across[:, None]  # (K, 8, T, w)
    rows = w0[:, :, None, 1:2] * down[:, None]  # (K, 8, T, h)
    # One product per query keeps its digits independent of the company.
    shared = features.transpose(0, 1).reshape(1, c, -1).expand(queries, -1, -1)
    weighted = torch.baddbmm(b0[..., None], w0[:, :, 2:], shared).view(queries, c, frames, h, w)
    hidden = (weighted + columns[..., None, :] + rows[..., None]).flatten(2)
    hidden = torch.baddbmm(b1[..., None], w1.view(queries, c, c), F.relu(hidden))
    logits = torch.baddbmm(b2[..., None], w2[:, None], F.relu(hidden))
    return logits.view(queries, frames, h, w)


def upsample_aligned(x: Tensor, factor: int = 2) -> Tensor:
    """Enlarge (N, C, h, w) so that the value of a cell is at the centre of its block."""
    h, w = x.shape[-2:]
    x = F.pad(x, (0, 1, 0, 1), mode="replicate")
    x = F.interpolate(x, (factor * h + 1, factor * w + 1), mode="bilinear", align_corners=True)
    shift = factor // 2
    x = F.pad(x, (shift, 0, shift, 0), mode="replicate")
    return x[..., : factor * h, : factor * w]


def to_maps(tokens: Tensor, shapes: Sequence[tuple[int, int]], count: int) -> list[Tensor]:
    """Convert the first levels of tokens (B, S, C) to maps (B, C, h, w)."""
    pieces = torch.split(tokens, [h * w for h, w in shapes], 1)
    return [
        piece.transpose(1, 2).unflatten(2, shape)
        for piece, shape in zip(pieces[:count], shapes[:count], strict=True)
    ]


@dataclass(frozen=True)
class Decoded:
    """Queries after every decoder layer; references are cx, cy, width, height in 0..1 of the frame."""

    instances: list[Tensor]  # of each layer, (N, Q, C)
    boxes: list[Tensor]  # of each layer, (N, T, Q, C)
    references: list[Tensor]  # before each layer, (N, T, Q, 2) for the first, then (N, T, Q, 4)
    refined: list[Tensor]  # after each layer, (N, T, Q, 4)
    start: Tensor  # what the first layer started from, (N, Q, C)
    position: Tensor  # code of the queries, (N, Q, C)


class DecoderLayer(nn.Module):
    """One update of instance and box queries; see section 3.2 of the paper."""

    def __init__(self, width: int, hidden: int, dropout: float, levels: int, heads: int, points: int) -> None:
        super().__init__()
        self.cross_attn = DeformableAttention(width, levels, heads, points)
        self.norm1 = nn.LayerNorm(width)
        self.norm1_box = nn.LayerNorm(width)
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.self_attn_box = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.norm2_box = nn.LayerNorm(width)
        self.linear1 = ActivatedLinear(width, hidden, "relu")
        self.linear2 = ActivatedLinear(hidden, width)
        self.norm3 = nn.LayerNorm(width)
        self.linear1_box = ActivatedLinear(width, hidden, "relu")
        self.linear2_box = ActivatedLinear(hidden, width)
        self.norm3_box = nn.LayerNorm(width)
        self.time_attention_weights = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)
        self.temporal_attn: nn.Module | None = None

    def forward(
        self,
        instance: Tensor,
        box: Tensor,
        query_position: Tensor,
        references: Tensor,
        memory: Tensor,
        levels: Levels,
    ) -> tuple[Tensor, Tensor]:
        """Refine queries (N, Q, C) and box queries (N, T or 1, Q, C) by memory (N, T, S, C)."""
        instance = self._among_queries(self.self_attn, self.norm2, instance, query_position)
        box = self.box_among_queries(box, query_position)
        samples, frames = memory.shape[:2]
        offsets, weights = self.plan_reading(box, query_position, frames)
        values = self.cross_attn.values(memory.flatten(0, 1), levels.padding)
        read = self.cross_attn.read(offsets, weights, references.flatten(0, 1), values, levels)
        read = read.unflatten(0, (samples, frames))
        update = self.dropout(self.cross_attn.output_proj_box(read))
        box = self.norm1_box(box + update)
        box = self.norm3_box(box + self._forward(box, self.linear1_box, self.linear2_box))
        share = self.time_attention_weights(box).softmax(1)
        read_features = (share * self.cross_attn.output_proj(read)).sum(1)
        instance = self.norm1(instance + self.dropout(read_features))
        instance = self.norm3(instance + self._forward(instance, self.linear1, self.linear2))
        return instance, box

    def _among_queries(
        self, attention: nn.MultiheadAttention, norm: nn.LayerNorm, queries: Tensor, position: Tensor
    ) -> Tensor:
        keys = queries + position
        return norm(queries + self.dropout(attention(keys, keys, queries, need_weights=False)[0]))

    def box_among_queries(self, box: Tensor, position: Tensor) -> Tensor:
        """Self-attention of box queries (N, T, Q, C) within a frame, then over frames."""
        position = position.repeat_interleave(box.shape[1], 0)
        flat = self._among_queries(self.self_attn_box, self.norm2_box, box.flatten(0, 1), position)
        box = flat.view_as(box)
        return box if self.temporal_attn is None else box + self.dropout(self.temporal_attn(box))

    def plan_reading(self, box: Tensor, query_position: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Sampling offsets (N·T, Q, M, L, P, 2) and weights (N·T, Q, M, L, P) of box queries."""
        sampling_plan = self.cross_attn.plan(box + query_position[:, None])
        offsets, weights = (each.expand(-1, frames, *each.shape[2:]).flatten(0, 1) for each in sampling_plan)
        return offsets, weights

    def _forward(self, x: Tensor, expand: nn.Linear, reduce: nn.Linear) -> Tensor:
        return self.dropout(reduce(self.dropout(expand(x))))


class Decoder(nn.Module):
    """A stack of layers; each refines the boxes for the next one."""

    def __init__(self, layers: list[DecoderLayer], bbox_embed: nn.ModuleList) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.bbox_embed = bbox_embed

    def forward(
        self, content: Tensor, query_position: Tensor, reference: Tensor, memory: Tensor, levels: Levels
    ) -> Decoded:
        """Refine queries (N, Q, C) at points (N, Q, 2) or boxes (N, T, Q, 4) by memory (N, T, S, C)."""
        frames = memory.shape[1]
        per_frame = levels.repeat(frames)
        decoded = Decoded([], [], [], [], content, query_position)
        instance, box = content, content[:, None]
        current = reference[:, None].expand(-1, frames, -1, -1) if reference.ndim == 3 else reference
        for layer, embed in zip(self.layers, self.bbox_embed, strict=True):
            scaled = scaled_references(current, levels)
            instance, box = layer(instance, box, query_position, scaled, memory, per_frame)
            refined = refine(embed(box).float(), current)
            decoded.instances.append(instance)
            decoded.boxes.append(box)
            decoded.references.append(current)
            decoded.refined.append(refined)
            current = refined.detach()
        return decoded


def scaled_references(references: Tensor, levels: Levels) -> Tensor:
    """Scale references in 0..1 of the frames to the padded levels."""
    scale = levels.valid.repeat(1, 1, references.shape[-1] // 2)
    return references[:, :, :, None] * scale[:, None, None]


def refine(delta: Tensor, reference: Tensor) -> Tensor:
    """Update a reference by a delta, (..., 4), in logits; returns boxes in [0, 1], (..., 4)."""
    reference = reference.clamp(0, 1)
    base = torch.log(reference.clamp(min=EPSILON) / (1 - reference).clamp(min=EPSILON))
    if base.shape[-1] == 2:
        base = F.pad(base, (0, 2))
    return (delta + base).sigmoid()


@torch.no_grad()
def attention_maps(layer: DecoderLayer, levels: Levels, decoded: Decoded, queries: Tensor) -> Tensor:
    """Attention (K, T, h, w) of the last layer on the finest level, for queries (K,) of the first clip."""
    box = decoded.boxes[-2] if len(decoded.boxes) > 1 else decoded.start[:, None]
    references = scaled_references(decoded.references[-1], levels).flatten(0, 1)
    frames = decoded.boxes[-1].shape[1]
    box = layer.box_among_queries(box, decoded.position)
    offsets, weights = layer.plan_reading(box, decoded.position, frames)
    places = layer.cross_attn.places(offsets, references, levels)[:frames, queries].float()
    size = torch.tensor([(w, h) for h, w in levels.shapes], dtype=places.dtype)
    size = to_device(size, places.device)[:, None]
    finest = (places + 0.5) / size * size[0] - 0.5
    shares = weights[:frames, queries].float() / layer.cross_attn.heads
    return splat(finest.flatten(2, 4), shares.flatten(2, 4), levels.shapes[0]).transpose(0, 1)
