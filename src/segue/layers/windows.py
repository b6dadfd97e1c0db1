"""Split maps into square windows and join them."""

from __future__ import annotations

from torch import Tensor


def to_windows(x: Tensor, window: int) -> Tensor:
    """Split a map (B, H, W, C) into square windows."""
    batch, height, width, channels = x.shape
    tiles = x.view(batch, height // window, window, width // window, window, channels)
    return tiles.transpose(2, 3).reshape(-1, window, window, channels)


def from_windows(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Inverse of :func:`to_windows`. Returns (B, H, W, C)."""
    window, channels = x.shape[1], x.shape[3]
    height, width = size
    tiles = x.view(-1, height // window, width // window, window, window, channels)
    return tiles.transpose(2, 3).reshape(-1, height, width, channels)
