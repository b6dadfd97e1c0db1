"""The face of the networks that segment what moves from a frame and a few others around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

Features = tuple[Tensor, ...]
"""Feature maps of a frame, fine to coarse, each (N, C, h, w)."""


@runtime_checkable
class ForegroundNetwork(Protocol):
    """A network whose work on a frame splits into a part per frame, which is kept, and a part per result.

    A session encodes each frame once per role and keeps what later results need, so that streaming costs
    one encoding per role and gives what ``forward`` gives on the whole window.
    """

    context: tuple[tuple[int, str], ...]
    """Frames besides the current one: offset to it in frames, negative is the past, and role."""

    current: str
    """Role of the current frame."""

    background: str | None
    """Role of a picture of the empty scene, or None where the network takes none."""

    channels: int
    """Output maps: 1 is foreground, 2 adds shadow."""

    size_multiple: int
    """Height and width must be multiples of this."""

    def encode(self, frames: Tensor, role: str) -> Features:
        """Features of RGB frames (N, 3, H, W) in [0, 1] for one role."""
        ...

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Logits (N, channels, H, W) at ``size``, the context in the order of ``self.context``."""
        ...
