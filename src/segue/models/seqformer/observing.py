"""Observe the attention of an encoder: positions at each scale, and frames of the clip.

The deformable attention of SeqFormer reads a few points of each scale for every token; the split attention of
MS-STS VIS (Thawakar et al., ECCV 2022, section 3.1) reads the frames of a clip, inside each scale and between
scales. Attention reports its reads to its ``watch``, if it has one; otherwise nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from segue.layers.attention import splat
from segue.models.base import Shape


@dataclass(slots=True)
class EncoderAttention:
    """Attention of one encoder layer, float32.

    Attributes:
        shapes: rows and columns of each of the L scales, fine to coarse; tokens lie in this order.
        places: points that the deformable attention reads, (B, S, M, L, P, 2): x before y in pixels of the
            scale that is read; 0 is the centre of its first pixel. B counts the frames of all clips, S
            tokens, M heads and P points.
        weights: weight of each point, (B, S, M, L, P); sums over L and P are 1.
        within: attention inside scales, by scale: (N, T, h·w, T), frame and place by frame that is read,
            means over the heads. Sums over the last axis are 1. Empty where the network has no such block.
        between: attention between scales, by scale: (N, T, h·w, K, T). K is 2, the scale itself and its
            coarser neighbour (the coarsest: what it was before), or 1 where both are joined on their
            channels. Sums over K and the last axis are 1. Empty where the network has no such block.
    """

    shapes: tuple[Shape, ...] = ()
    places: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    within: list[Tensor] = field(default_factory=list)
    between: list[Tensor] = field(default_factory=list)

    def spatial_maps(self, frame: int) -> list[Tensor]:
        """Maps of the attention of a frame's tokens, averaged.

        Args:
            frame: number of the frame in the clip.

        Returns:
            One map (h, w) for each scale that they read; together they sum to 1, less what is read outside.
        """
        places = self.places[frame]
        weights = self.weights[frame] / self.weights[frame].shape[:2].numel()
        return [
            splat(places[:, :, i].reshape(-1, 2), weights[:, :, i].flatten(), shape)
            for i, shape in enumerate(self.shapes)
        ]


@contextmanager
def observe_encoder(network: Any, layer: int = -1) -> Iterator[EncoderAttention]:
    """Record the attention of an encoder layer inside the block.

    Args:
        network: a SeqFormer or MS-STS VIS, which encodes one clip, or one frame of it, inside the block.
        layer: number of the layer, from 0, or from the last one backwards: -1.

    Yields:
        The attention, which is complete when the block ends.

    Example:
        >>> with observe_encoder(network) as seen:
        ...     memory = network.encode(frames)  # (1, T, 3, H, W) in [0, 1]
        >>> finest, *coarser = seen.spatial_maps(frame=2)  # where frame 2 is read, at each scale
        >>> seen.within[0]  # MS-STS VIS: which frames the finest scale reads
    """
    encoder: Any = network.detr.transformer.encoder.layers[layer]
    attention, points = EncoderAttention(), list[tuple[Tensor, Tensor, tuple[Shape, ...]]]()
    watched = [(encoder.self_attn, lambda *read: points.append(read))]
    reads: dict[str, list[Tensor]] = {"within": [], "between": []}
    for name, kind in (("intra_attn", "within"), ("inter_attn", "between")):
        if hasattr(encoder.ms_sts, name):
            watched.append((getattr(encoder.ms_sts, name), reads[kind].append))
    for part, keep in watched:
        part.watch = keep
    try:
        yield attention
    finally:
        for part, _ in watched:
            part.watch = None
    places, weights, (attention.shapes, *_) = zip(*points, strict=True)
    attention.places, attention.weights = torch.cat(places), torch.cat(weights)
    areas = [height * width for height, width in attention.shapes]
    for kind, reads_of_kind in reads.items():
        if reads_of_kind:
            by_place = torch.cat([_by_place(weights, len(attention.places)) for weights in reads_of_kind], 2)
            setattr(attention, kind, list(by_place.split(areas, 2)))
    attention.within = [weights[..., 0, :] for weights in attention.within]


def _by_place(weights: Tensor, frames: int) -> Tensor:
    """Weights of keys by frame and position, (1, T, places, K, T).

    ``weights``: (places, T, K·T), or (1, T·places, T·places) where all places read each other.
    """
    if weights.shape[1] != frames:
        by_frame = weights.unflatten(2, (frames, -1)).sum(-1).unflatten(1, (frames, -1))
        return by_frame[..., None, :]
    return weights.transpose(0, 1)[None].unflatten(-1, (-1, frames))
