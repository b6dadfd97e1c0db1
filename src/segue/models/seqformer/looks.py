"""Where the queries of SeqFormer and MS-STS VIS look: pictures of their attention over the frames.

The poster of MS-STS VIS shows, frame by frame, what is attended to for one instance, as a map over the
picture. Here that is the deformable attention of the last decoder layer, by which a box query reads what the
encoder made of the frame: all points of all heads and levels with their weights, drawn into one map of the
finest level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from segue.models.seqformer.decoder import Decoded, DecoderLayer, scaled_references

if TYPE_CHECKING:
    from segue.models.seqformer.network import Memory, SeqFormer


@torch.no_grad()
def attention_maps(
    network: SeqFormer, memory: Memory, decoded: Decoded, queries: Tensor, sample: int = 0
) -> Tensor:
    """How much each place counts for queries, (K, T, h, w), float32, at the size of the finest level.

    A map adds up to 1 where all points lie inside the frame.

    Args:
        network: in evaluation mode.
        memory, decoded: what it made of the clips.
        queries: (K,), indices.
        sample: which of the N clips.
    """
    layer = network.detr.transformer.decoder.layers[-1]
    assert isinstance(layer, DecoderLayer)
    box = decoded.boxes[-2] if len(decoded.boxes) > 1 else decoded.start
    references = scaled_references(decoded.references[-1], memory.levels)
    levels = memory.levels.repeat(references.shape[1])
    places, weights = layer.looks(box, decoded.position, references, levels)
    places, weights = places[sample][:, queries].float(), weights[sample][:, queries].float()
    size = places.new_tensor([(w, h) for h, w in levels.shapes])[:, None]
    finest = (places + 0.5) / size * size[0] - 0.5
    maps = _drawn(finest.flatten(2, 4), weights.flatten(2, 4) / layer.cross_attn.heads, levels.shapes[0])
    return maps.transpose(0, 1)


def _drawn(points: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights (..., n) at points (..., n, 2), x before y, shared by the four pixels around: (..., h, w)."""
    height, width = size
    low = points.floor()
    part = points - low
    maps = points.new_zeros(*points.shape[:-2], height * width)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = (low[..., 0] + dx).long(), (low[..., 1] + dy).long()
            share = (part[..., 0] if dx else 1 - part[..., 0]) * (part[..., 1] if dy else 1 - part[..., 1])
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            index = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).long()
            maps.scatter_add_(-1, index, weights * share * inside)
    return maps.unflatten(-1, size)
