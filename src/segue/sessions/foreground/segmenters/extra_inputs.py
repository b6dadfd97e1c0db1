"""Additional inputs of some foreground networks: optical flow and depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor, nn

from segue.errors import FlowError, PromptError
from segue.flow.providers import GAPS, SINGLE_GAP, FlowProvider
from segue.layers.flow_attention import FilteredFlow
from segue.models.base import (
    Features,
    ForegroundCapabilities,
    ForegroundNetwork,
    foreground_capabilities,
)
from segue.models.hofam import HOFAM
from segue.sessions.foreground.background.quantiles import resized, same_shape
from segue.state import Checkpointable, checkpointed
from segue.types import Frame
from segue.utils.arrays import UInt8Array

Extra = Literal["depth", "flow"]  # inputs in addition to the image


PUBLISHED_SIDE = 256
"""Image side of HOFAM and STAM as published."""

PERCENTILES = (1, 99)
"""Percentiles of a scene's depth that become 0 and 255."""


class FlowNetwork(nn.Module):
    """HOFAM or STAM for frames that come with their flow.

    Frames are resized to 256 x 256 as published; for the network without its two coarsest levels, to the
    nearest multiples of 64. Logits are resized back. For computed flow see :func:`computing_flow`.

    Args:
        network: the network.
    """

    context: tuple[tuple[int, str], ...] = ()
    current = "current"
    background: str | None = None
    channels = 1
    threshold = 15 / 255  # of the grey values that the authors write
    size_multiple = 1

    def __init__(self, network: HOFAM) -> None:
        super().__init__()
        self.network = network
        gaps = SINGLE_GAP if network.flow_mode == "single" else GAPS
        self.capabilities = ForegroundCapabilities(
            flow=True, flow_gaps=gaps, explains_flow=True, short_side=256
        )

    def encode(self, frames: Tensor, role: str, flow: Tensor | None = None) -> Features:
        """Encode frames (N, 3, H, W) and flow, (N, gaps, H, W) in [0, 1]; FlowError without it."""
        gaps = len(self.capabilities.flow_gaps)
        if flow is None or flow.shape[1] != gaps:
            raise FlowError(f"each frame must bring a flow image of {gaps} channels")
        network = self.network
        return (*network.encode_frame(self.resized(frames)), *network.encode_flow(self.resized(flow)))

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Logits (N, 1, *size) of frames with their flow; above 0 is foreground."""
        half = len(current) // 2
        return F.interpolate(self.network.decode(current[:half], current[half:]), size, mode="bilinear")

    def explain_flow(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> list[FilteredFlow]:
        """Filtered flow of each level."""
        half = len(current) // 2
        return self.network.filtered_flow(current[:half], current[half:])

    def resized(self, planes: Tensor) -> Tensor:
        """Resize frames or flow images (N, C, H, W) to the input size of the network."""
        size = tuple(self._side(side) for side in planes.shape[-2:])
        return F.interpolate(planes, size, mode="bilinear", antialias=True)

    def _side(self, side: int) -> int:
        multiple = self.network.size_multiple
        return multiple * max(1, round(side / multiple)) if multiple < PUBLISHED_SIDE else PUBLISHED_SIDE


def computing_flow(network: ForegroundNetwork, provider: FlowProvider) -> ForegroundNetwork:
    """Let the sessions of a flow network compute flow from their frames.

    Args:
        network: network for frames that come with their flow; changed in place.
        provider: computes the flow from a frame to earlier ones; each session has a copy.

    Returns:
        The network.
    """
    network.capabilities = replace(foreground_capabilities(network), flow_provider=provider)
    return network


def check_extra(frame: Frame, accepted: Extra | None, name: str) -> None:
    """Raise an error for missing flow, and for depth or flow that the model ``name`` does not accept."""
    height, width = frame.size
    if accepted == "flow" and frame.flow is None:
        raise FlowError(f"frame {frame.index}: {name} looks at flow; each frame must bring a flow image")
    for extra in get_args(Extra):
        plane = getattr(frame, extra)
        if plane is None:
            continue
        if extra != accepted:
            raise PromptError(f"frame {frame.index} brings {extra}, but {name} takes none")
        fits = plane.shape == frame.size if extra == "depth" else same_shape(plane.shape[:2], frame.size)
        if not fits:
            what, (rows, columns) = {"depth": "depth map", "flow": "flow"}[extra], plane.shape[:2]
            raise PromptError(
                f"frame {frame.index}: the {what} is {columns}x{rows}, but the frame is {width}x{height}"
            )


class DepthScale(Checkpointable):
    """Scales depth maps by the range of the first one of a scene."""

    _range: tuple[float, float] | None = checkpointed(None)

    def __call__(self, depth: npt.NDArray[np.generic]) -> UInt8Array:
        """Scale a map, (H, W), in any unit; values that are not positive and finite become 0."""
        values = np.asarray(depth, np.float32)
        is_valid = np.isfinite(values) & (values > 0)
        if self._range is None and is_valid.any():
            low, high = np.percentile(values[is_valid], PERCENTILES)
            self._range = float(low), float(high)
        low, high = self._range or (0.0, 0.0)
        scaled = (np.where(is_valid, values, low) - low) / max(high - low, 1e-6)
        return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)), np.uint8)


def plane_of(frame: Frame, size: tuple[int, int], scale: DepthScale) -> UInt8Array | None:
    """Scaled depth of a frame, or its flow image, at a height and width; None if it brings neither."""
    if frame.flow is not None:
        return np.array(resized(frame.flow, size))  # the caller may fill one array again and again
    if frame.depth is None:
        return None
    nearest = cv2.resize(scale(frame.depth), size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(nearest, np.uint8)
