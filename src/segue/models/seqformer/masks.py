"""SeqFormer's masks: features of each frame, and a tiny network per query that reads them (CondInst)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 8
"""Channels of the mask features and of the tiny networks."""

STRIDE = 8
"""Pixels of the frame per cell of the mask features."""

PARAMETERS = (CHANNELS + 2) * CHANNELS + CHANNELS * CHANNELS + CHANNELS + CHANNELS + CHANNELS + 1
"""Numbers that make a query's network: 169."""


class MaskFeatures(nn.Module):
    """Joins the three finest levels of a frame to 8 channels at stride 8; plain 3x3 convolutions."""

    def __init__(self, width: int = 256, middle: int = 64) -> None:
        super().__init__()
        self.lay1 = nn.Conv2d(width, middle, 3, padding=1)
        self.lay2 = nn.Conv2d(middle, CHANNELS, 3, padding=1)
        self.lay3 = nn.Conv2d(width, width, 3, padding=1)
        self.lay4 = nn.Conv2d(width, width, 3, padding=1)
        self.dcn = nn.Conv2d(width, width, 3, padding=1)
        for conv in self.children():
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_uniform_(conv.weight, a=1)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """Maps (B, C, h, w) at strides 8, 16 and 32 → (B, 8, h, w) at stride 8."""
        x = F.relu(self.lay3(coarse))
        x = F.relu(self.lay4(middle + F.interpolate(x, middle.shape[-2:])))
        x = F.relu(self.dcn(fine + F.interpolate(x, fine.shape[-2:])))
        features: Tensor = F.relu(self.lay2(F.relu(self.lay1(x))))
        return features


def dynamic_masks(features: Tensor, parameters: Tensor, centres: Tensor) -> Tensor:
    """Mask logits of K queries in the frames of one clip.

    Each query has its own network of three 1x1 convolutions. It sees the features and how far each cell is
    from the query's reference point, in pixels. A query's mask does not depend on the others.

    Args:
        features: (T, 8, h, w).
        parameters: (K, 169): all weights, then all biases.
        centres: (K, T, 2), reference points x, y in pixels.

    Returns:
        (K, T, 2h, 2w), at stride 4.
    """
    (frames, _, h, w), queries = features.shape, len(parameters)
    if queries == 0:
        return features.new_zeros(0, frames, 2 * h, 2 * w)
    c = CHANNELS
    w0, w1, w2, b0, b1, b2 = torch.split(parameters, [(c + 2) * c, c * c, c, c, c, 1], dim=1)
    w0 = w0.view(queries, c, c + 2)
    x = torch.arange(w, device=features.device, dtype=features.dtype) * STRIDE + STRIDE // 2
    y = torch.arange(h, device=features.device, dtype=features.dtype) * STRIDE + STRIDE // 2
    # The distances are the same along a row or a column, so they join as two outer sums.
    across = w0[:, :, None, :1] * (centres[..., :1] - x)[:, None]  # (K, 8, T, w)
    down = w0[:, :, None, 1:2] * (centres[..., 1:] - y)[:, None]  # (K, 8, T, h)
    # One product per query keeps its digits independent of the company.
    shared = features.transpose(0, 1).reshape(1, c, -1).expand(queries, -1, -1)
    seen = torch.baddbmm(b0[..., None], w0[:, :, 2:], shared).view(queries, c, frames, h, w)
    hidden = (seen + across[..., None, :] + down[..., None]).flatten(2)
    hidden = torch.baddbmm(b1[..., None], w1.view(queries, c, c), F.relu(hidden))
    logits = torch.baddbmm(b2[..., None], w2[:, None], F.relu(hidden))
    return upsample_aligned(logits.view(queries, frames, h, w))


def upsample_aligned(x: Tensor, factor: int = 2) -> Tensor:
    """Enlarge (N, C, h, w) so that the value of a cell lands in the middle of its block."""
    h, w = x.shape[-2:]
    x = F.pad(x, (0, 1, 0, 1), mode="replicate")
    x = F.interpolate(x, (factor * h + 1, factor * w + 1), mode="bilinear", align_corners=True)
    shift = factor // 2
    x = F.pad(x, (shift, 0, shift, 0), mode="replicate")
    return x[..., : factor * h, : factor * w]


def to_maps(tokens: Tensor, shapes: Sequence[tuple[int, int]], count: int) -> list[Tensor]:
    """The first ``count`` levels of tokens (B, S, C) as maps (B, C, h, w)."""
    pieces = torch.split(tokens, [h * w for h, w in shapes], 1)
    return [
        piece.transpose(1, 2).unflatten(2, shape)
        for piece, shape in zip(pieces[:count], shapes[:count], strict=True)
    ]
