"""Multi-head self-attention with one projection for queries, keys and values."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Self-attention among the n items of (B, n, C), without residual or norm.

    Args:
        width: channels; divisible by ``heads``.
        heads: number of heads.
        qkv_bias: whether queries, keys and values have a bias.
        project: False uses the items themselves as queries, keys and values.
    """

    def __init__(self, width: int, heads: int = 8, qkv_bias: bool = False, project: bool = True) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width is {width}; it must be a multiple of the {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias) if project else None
        self.proj = nn.Linear(width, width) if project else None

    def forward(self, x: Tensor) -> Tensor:
        if self.qkv is None or self.proj is None:
            heads = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            return F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        y: Tensor = self.proj(attended)
        return y
