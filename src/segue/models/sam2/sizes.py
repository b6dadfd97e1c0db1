"""Sizes of SAM 2.1, recognised by tensor shapes; independent of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SizeName = Literal["tiny", "small", "base+", "large"]


@dataclass(frozen=True, slots=True)
class TrunkSize:
    """Size of a trunk."""

    width: int
    heads: int
    blocks: tuple[int, int, int, int]
    windows: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]
    grid: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.width * 2**stage for stage in range(4))


SIZES: Mapping[SizeName, TrunkSize] = {
    "tiny": TrunkSize(96, 1, (1, 2, 7, 2), (8, 4, 14, 7), (5, 7, 9), 7),
    "small": TrunkSize(96, 1, (1, 2, 11, 2), (8, 4, 14, 7), (7, 10, 13), 7),
    "base+": TrunkSize(112, 2, (2, 3, 16, 3), (8, 4, 14, 7), (12, 16, 20), 14),
    "large": TrunkSize(144, 2, (2, 6, 36, 4), (8, 4, 16, 8), (23, 33, 43), 7),
}
