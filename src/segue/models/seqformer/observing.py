"""Observe the attention of an encoder: positions at each scale, and frames of the clip.

The deformable attention of SeqFormer reads a few points of each scale for every token; the split attention of
MS-STS VIS (Thawakar et al., ECCV 2022, section 3.1) reads the frames of a clip, inside each scale and between
scales. Layers hand what they have computed to an :class:`EncoderAttention`; without one nothing is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from segue.layers.attention import drawn
from segue.models.base import InstanceNetwork, Shape


@dataclass(slots=True)
class EncoderAttention:
    """Keeps what one layer of an encoder attends to. All values are float32.

    >>> seen = EncoderAttention()
    >>> memory = network.encode(frames, observer=seen)  # (1, T, 3, H, W) in [0, 1]
    >>> finest, *coarser = seen.spatial_maps(frame=2)   # where frame 2 is read, at each scale
    >>> seen.within[0]                                  # MS-STS VIS: which frames the finest scale reads

    Attributes:
        layer: number of the layer, from 0, or from the last one backwards: -1.
        shapes: rows and columns of each of the L scales, fine to coarse; tokens lie in this order.
        places: points that the deformable attention reads, (B, S, M, L, P, 2): x before y in pixels of the
            scale that is read; 0 is the centre of its first pixel. B counts the frames of all clips, S
            tokens, M heads and P points.
        weights: what each point counts, (B, S, M, L, P); sums over L and P are 1.
        within: attention inside scales, by scale: (N, T, h·w, T), frame and place by frame that is read,
            means over the heads. Sums over the last axis are 1. Empty where the network has no such block.
        between: attention between scales, by scale: (N, T, h·w, K, T). K is 2, the scale itself and its
            coarser neighbour (the coarsest: what it was before), or 1 where both are joined on their
            channels. Sums over K and the last axis are 1. Empty where the network has no such block.
    """

    layer: int = -1
    shapes: tuple[Shape, ...] = ()
    places: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    within: list[Tensor] = field(default_factory=list)
    between: list[Tensor] = field(default_factory=list)

    def take_points(self, places: Tensor, weights: Tensor, shapes: tuple[Shape, ...]) -> None:
        """Keep the points that the deformable attention reads.

        Args:
            places: as :attr:`places`.
            weights: as :attr:`weights`.
            shapes: as :attr:`shapes`.
        """
        self.places, self.weights, self.shapes = places.detach(), weights.detach(), shapes
        self.within, self.between = [], []

    def take_within(self, samples: int, frames: int, weights: Tensor) -> None:
        """Keep what the attention inside the next scale reads.

        Args:
            samples: number N of clips.
            frames: number T of their frames.
            weights: (N·h·w, T, T), or (N, T·h·w, T·h·w) where all places read each other, which are then
                added up by the frame that is read.
        """
        if weights.shape[1] == frames:
            by_place = weights.unflatten(0, (samples, -1)).transpose(1, 2)
        else:
            by_place = weights.unflatten(2, (frames, -1)).sum(-1).unflatten(1, (frames, -1))
        self.within.append(by_place.detach())

    def take_between(self, samples: int, weights: Tensor) -> None:
        """Keep what the next scale reads of itself and of its neighbour.

        Args:
            samples: number N of clips.
            weights: (N·h·w, T, K·T).
        """
        by_place = weights.unflatten(0, (samples, -1)).transpose(1, 2)
        self.between.append(by_place.unflatten(-1, (-1, weights.shape[1])).detach())

    def spatial_maps(self, frame: int, tokens: Tensor | None = None) -> list[Tensor]:
        """Draw where tokens of a frame look, one map for each scale that they read.

        Args:
            frame: number of the frame, in 0..B-1.
            tokens: what each token counts, (S,), not negative and not all 0; None counts all alike.

        Returns:
            L maps (h, w). All together add up to 1 where all points lie inside the frame, so the sum of a map
            is the share of its scale.
        """
        shares = self.weights.new_ones(self.weights.shape[1]) if tokens is None else tokens.to(self.weights)
        chosen = shares.nonzero()[:, 0]
        shares = shares[chosen] / shares.sum()
        places = self.places[frame, chosen]
        weights = self.weights[frame, chosen] * shares[:, None, None, None] / self.weights.shape[2]
        return [
            drawn(places[:, :, i].reshape(-1, 2), weights[:, :, i].flatten(), shape)
            for i, shape in enumerate(self.shapes)
        ]


class ObservableNetwork(InstanceNetwork, Protocol):
    """A network for instances that shows what its encoder attends to, for ``--explain``.

    It declares ``observes_encoder`` in its ``capabilities``.
    """

    def encode(
        self, frames: Tensor, valid: Tensor | None = None, observer: EncoderAttention | None = None
    ) -> Any:
        """Encode the frames of clips.

        Args:
            frames: RGB (N, T, 3, H, W), float in [0, 1].
            valid: (N, H, W), True where the frames of a sample are; None: everywhere.
            observer: keeps what a layer of the encoder attends to; None keeps nothing.

        Returns:
            The memory of the clips.
        """
