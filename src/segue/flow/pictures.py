"""Flow as a picture: how far each pixel moved since some earlier frames, one channel for each of them.

HOFAM's release does not say which frames, nor the scale; measured on its demo pictures, red is the brightest
channel and blue the darkest, about 3 : 1.7 : 1. Gaps and scale here are therefore ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from segue.flow.providers import DIS, FlowProvider
from segue.types import Image

GAPS = (1, 3, 5)
"""Frames back from the current one to those of HOFAM's three channels."""

SINGLE_GAP = (1,)
"""The same for STAM, whose flow picture has one channel."""

SCALE = 20.0
"""Pixels of motion that are white."""


@dataclass(frozen=True, slots=True)
class FlowPictures:
    """Makes flow pictures.

    Attributes:
        provider: gives the flow.
        gaps: frames back to each earlier frame, growing.
        scale: pixels of motion that are white, whatever the gap.
    """

    provider: FlowProvider = field(default_factory=DIS)
    gaps: tuple[int, ...] = GAPS
    scale: float = SCALE

    def __call__(self, current: Image, earlier: Sequence[Image]) -> Image:
        """Flow picture of a frame, (H, W, len(gaps)), uint8; the largest gap is the first channel (red).

        Args:
            current: RGB, (H, W, 3), uint8; the published size is 256 x 256.
            earlier: the frame of each gap; at the start of a film the oldest there is.
        """
        channels = []
        for picture in reversed(earlier):
            distance = np.linalg.norm(self.provider(current, picture), axis=2)
            channels.append(np.rint(255 * np.clip(distance / self.scale, 0, 1)).astype(np.uint8))
        return np.stack(channels, axis=2)
