"""A foreground network: what is bright."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segue.models.base import Features, ForegroundCapabilities
from segue.registry import Entry


class Bright(nn.Module):
    """Brightness against a limit that it has learnt."""

    current = "current"
    context: tuple[tuple[int, str], ...] = ()
    background: str | None = None
    channels = 1
    threshold = 0.5
    size_multiple = 1
    capabilities = ForegroundCapabilities()

    def __init__(self) -> None:
        super().__init__()
        self.limit = nn.Parameter(torch.tensor(0.5))

    def encode(self, frames: Tensor, role: str) -> Features:
        return (frames.mean(1, keepdim=True),)

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        return 40 * (current[0] - self.limit)


BRIGHT = Entry("bright", "foreground", Bright, licence="MIT", signature="limit", threshold=0.9)
