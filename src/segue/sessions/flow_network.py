"""Networks that look at optical flow, for the session of foreground networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.flow.pictures import GAPS, SINGLE_GAP, FlowPictures
from segue.flow.providers import FlowProvider
from segue.models.foreground import Features
from segue.models.hofam import HOFAM
from segue.types import Image

PUBLISHED_SIDE = 256
"""Side of the pictures that HOFAM and STAM were made for."""


class FlowNetwork(nn.Module):
    """HOFAM or STAM with a flow provider: frames in, logits out.

    Frames are resized to 256 x 256 as published; the network without its two coarsest levels takes them at
    the nearest multiples of 64. Logits are resized back.

    Args:
        network: the network.
        provider: gives the flow from a frame to earlier ones; one instance for each session.
    """

    current = "current"
    background: str | None = None
    channels = 1
    size_multiple = 1

    def __init__(self, network: HOFAM, provider: FlowProvider) -> None:
        super().__init__()
        self.network = network
        gaps = SINGLE_GAP if network.flow_mode == "single" else GAPS
        self.pictures = FlowPictures(provider, gaps)
        self.context = tuple((-gap, "picture") for gap in self.pictures.gaps)

    def encode(self, frames: Tensor, role: str) -> Features:
        """RGB (N, 3, H, W) in [0, 1] → resized frames; for the current role the encoder's maps too."""
        size = tuple(self._side(side) for side in frames.shape[-2:])
        resized = F.interpolate(frames, size, mode="bilinear", antialias=True)
        return (resized, *self.network.encode_frame(resized)) if role == self.current else (resized,)

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Logits (N, 1, *size); the context are the earlier frames, there is no background."""
        frames, *maps = current
        windows = torch.stack([frames, *(earlier for (earlier,) in context)], 1)
        flow = np.stack([self.pictures(now, earlier) for now, *earlier in map(_pictures, windows)])
        planes = torch.from_numpy(flow).to(frames).movedim(-1, 1) / 255
        logits = self.network.decode(tuple(maps), self.network.encode_flow(planes))
        return F.interpolate(logits, size, mode="bilinear")

    def _side(self, side: int) -> int:
        multiple = self.network.size_multiple
        return multiple * max(1, round(side / multiple)) if multiple < PUBLISHED_SIDE else PUBLISHED_SIDE


def _pictures(frames: Tensor) -> list[Image]:
    """(T, 3, H, W) in [0, 1] → RGB pictures."""
    return list((255 * frames.float()).round().to(torch.uint8).movedim(1, -1).contiguous().cpu().numpy())
