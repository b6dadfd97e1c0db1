"""A foreground network small enough for tests, with every part that a session must serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.base import Features, ForegroundCapabilities


class TinyForeground(nn.Module):
    """Looks at the past, the present, perhaps the future, and the empty scene, each with its own encoder.

    Args:
        context: offsets and roles.
        background: whether it takes an image of the empty scene.
    """

    current = "now"
    channels = 2
    threshold = 0.3
    size_multiple = 4
    capabilities = ForegroundCapabilities()

    def __init__(
        self,
        context: tuple[tuple[int, str], ...] = ((-3, "past"), (-1, "past")),
        background: bool = True,
    ) -> None:
        super().__init__()
        self.context = context
        self.background = "scene" if background else None
        generator = torch.Generator().manual_seed(7)
        self.encoders = nn.ModuleDict(
            {role: nn.Conv2d(3, 4, 4, stride=4) for role in ("past", "now", "future", "scene")}
        )
        self.head = nn.Conv2d(4 * (len(context) + 1 + background), 2, 1)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        self.encoded: Counter[str] = Counter()
        self.eval()

    def encode(self, frames: Tensor, role: str) -> Features:
        """One map at stride 4."""
        self.encoded[role] += len(frames)
        return (torch.tanh(self.encoders[role](frames)),)

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Logits of foreground and shadow."""
        members = [*context, current] + ([] if background is None else [background])
        logits = self.head(torch.cat([maps for (maps,) in members], 1))
        return F.interpolate(logits, size=size, mode="bilinear")

    def forward(self, window: Tensor, scene: Tensor | None) -> Tensor:
        """Logits (1, 2, H, W) of one window.

        Args:
            window: context in order, then the current frame, (T, 3, H, W) in [0, 1].
            scene: (1, 3, H, W).
        """
        context = [self.encode(window[i : i + 1], role) for i, (_, role) in enumerate(self.context)]
        empty = None if scene is None else self.encode(scene, "scene")
        height, width = window.shape[-2:]
        return self.decode(self.encode(window[-1:], self.current), context, empty, (height, width))


class MovesByItself(TinyForeground):
    """Says that what differs from the empty scene is foreground, and what is darker there is shadow."""

    def __init__(self) -> None:
        super().__init__(context=())
        for encoder in self.encoders.values():
            encoder.weight.data[:] = 1 / 48
            encoder.bias.data[:] = 0

    def encode(self, frames: Tensor, role: str) -> Features:
        """Mean brightness at stride 4."""
        self.encoded[role] += len(frames)
        return (self.encoders[role](frames)[:, :1],)

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Bright is foreground, dark is shadow."""
        assert background is not None
        difference = current[0] - background[0]
        logits = torch.cat([difference - 0.15, -difference - 0.05], 1) * 60
        return F.interpolate(logits, size=size, mode="bilinear")
