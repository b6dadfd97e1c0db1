"""Recurrent state of an object ("sensory memory") in XMem and Cutie, and its updates.

Cheng and Schwing, "XMem" (ECCV 2022), section 3.5. The gate is not a standard GRU: the candidate sees the
state as it is, and the forget gate also scales the part that is kept.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SensoryGate(nn.Module):
    """``f·h·(1 - u) + u·n``: forget gate ``f``, update gate ``u`` and candidate ``n`` of ``cat[x, h]``."""

    def __init__(self, cin: int, channels: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(cin + channels, 3 * channels, 3, padding=1)
        nn.init.xavier_normal_(self.transform.weight)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """(K, cin, h, w) and (K, channels, h, w) → (K, channels, h, w)."""
        forget, update, new = self.transform(torch.cat([x, state], 1)).chunk(3, dim=1)
        update = update.sigmoid()
        return forget.sigmoid() * state * (1 - update) + update * new.tanh()


class SensoryUpdate(SensoryGate):
    """Gate over decoder features at strides 16, 8 and 4, the last with the log-odds."""

    def __init__(self, widths: tuple[int, int, int], joint: int, channels: int) -> None:
        super().__init__(joint, channels)
        wide16, wide8, wide4 = widths
        self.g16_conv = nn.Conv2d(wide16, joint, 1)
        self.g8_conv = nn.Conv2d(wide8, joint, 1)
        self.g4_conv = nn.Conv2d(wide4 + 1, joint, 1)

    def update(self, g16: Tensor, g8: Tensor, g4: Tensor, logits: Tensor, state: Tensor) -> Tensor:
        """State after a frame.

        ``g16``: (K, C, h, w), what the decoder computed at stride 16; ``g8``: (K, C, 2h, 2w), the same at
        stride 8; ``g4``: (K, C, 4h, 4w), the same at stride 4; ``logits``: (K, 1, 4h, 4w), log-odds at stride
        4; ``state``: (K, C', h, w), the state before.
        """
        fine = torch.cat([F.avg_pool2d(g4, 4), F.avg_pool2d(logits, 4)], 1)
        joint = self.g16_conv(g16) + self.g8_conv(F.avg_pool2d(g8, 2)) + self.g4_conv(fine)
        return self(joint, state)
