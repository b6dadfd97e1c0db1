"""What some foreground networks look at besides the frame: optical flow, and depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.flow.providers import GAPS, SINGLE_GAP, FlowPictures, FlowProvider
from segue.models.base import Features
from segue.models.hofam import HOFAM
from segue.sessions.base import SessionState
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
    threshold = 15 / 255  # of the grey values that the authors write
    size_multiple = 1
    takes_depth = False

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


Depth = npt.NDArray[np.uint8]
"""(H, W), uint8: the 1st to the 99th percentile of the scene as 0 to 255; 0 where nothing is known."""

PERCENTILES = (1, 99)


class DepthScale:
    """Scales depth maps by the range of the first one of a scene.

    The reading of the paper takes the range of the whole film, which a camera does not know yet; the depth of
    a scene hardly changes.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the scene."""
        self._range: tuple[float, float] | None = None

    def __call__(self, depth: npt.NDArray[np.generic]) -> Depth:
        """Scale a map, (H, W), of any unit; 0, negative and infinite values and NaN are unknown."""
        values = np.asarray(depth, np.float32)
        known = np.isfinite(values) & (values > 0)
        if self._range is None and known.any():
            low, high = np.percentile(values[known], PERCENTILES)
            self._range = float(low), float(high)
        low, high = self._range or (0.0, 0.0)
        scaled = (np.where(known, values, low) - low) / max(high - low, 1e-6)
        return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)), np.uint8)

    def state(self) -> SessionState:
        """All that :meth:`restore` needs."""
        return SessionState({}, {"range": self._range})

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        found = state.values["range"]
        self._range = None if found is None else (found[0], found[1])
