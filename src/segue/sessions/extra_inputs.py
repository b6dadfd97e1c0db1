"""Further inputs of some foreground networks: optical flow, and depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.arrays import UInt8Array
from segue.errors import FlowError, PromptError
from segue.flow.providers import GAPS, SINGLE_GAP, FlowImages, FlowProvider
from segue.layers.flow_attention import FilteredFlow
from segue.models.base import (
    ExplainedFlow,
    ExplainedNetwork,
    Features,
    ForegroundCapabilities,
    ForegroundNetwork,
    foreground_capabilities,
)
from segue.models.hofam import HOFAM
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.empty_scene import resized, same_shape
from segue.types import Frame, Image

Extra = Literal["depth", "flow"]  # inputs in addition to the image


PUBLISHED_SIDE = 256  # side of the images that HOFAM and STAM were made for
PERCENTILES = (1, 99)  # of the depth of a scene that become 0 and 255
IMAGE = "image"  # role of frames that flow is computed to


class FlowNetwork(nn.Module):
    """HOFAM or STAM: frames that bring their flow in, logits out.

    Frames are resized to 256 x 256 as published; the network without its two coarsest levels takes them at
    the nearest multiples of 64. Logits are resized back. :class:`ComputedFlow` computes the flow.

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
        """Encode frames (N, 3, H, W) and their flow, (N, gaps, H, W) in [0, 1]; a FlowError without it."""
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
    ) -> tuple[list[Tensor], list[FilteredFlow]]:
        """No flow, as the frames bring it, and filtered flow of each level."""
        half = len(current) // 2
        return [], self.network.filtered_flow(current[:half], current[half:])

    def resized(self, planes: Tensor) -> Tensor:
        """Frames or flow images (N, C, H, W) at the size that the network takes."""
        size = tuple(self._side(side) for side in planes.shape[-2:])
        return F.interpolate(planes, size, mode="bilinear", antialias=True)

    def _side(self, side: int) -> int:
        multiple = self.network.size_multiple
        return multiple * max(1, round(side / multiple)) if multiple < PUBLISHED_SIDE else PUBLISHED_SIDE


class ComputedFlow(nn.Module):
    """A network that takes flow, with the flow computed of its frames, at the size at which it takes them.

    Args:
        network: a network whose frames bring their flow.
        provider: gives the flow from a frame to earlier ones; one instance for each session.
    """

    def __init__(self, network: ForegroundNetwork, provider: FlowProvider) -> None:
        super().__init__()
        able = foreground_capabilities(network)
        self.network = network
        self.images = FlowImages(provider, able.flow_gaps)
        self.capabilities = replace(able, flow=False, graphs=None)
        self.current, self.background = network.current, network.background
        self.channels, self.threshold = network.channels, network.threshold
        self.size_multiple = network.size_multiple
        self._own = len(network.context)
        self.context = (*network.context, *((-gap, IMAGE) for gap in able.flow_gaps))

    def encode(self, frames: Tensor, role: str) -> Features:
        """As the network; the current frame waits, and is encoded when its flow is known."""
        if role not in (IMAGE, self.current):
            return self.network.encode(frames, role)
        return (self.network.resized(frames) if isinstance(self.network, FlowNetwork) else frames,)

    def decode(
        self,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Logits (N, channels, *size) of the current frame, as of a network that takes no flow."""
        found, _ = self._encoded(current, context)
        return self.network.decode(found, context[: self._own], background, size)

    def context_maps(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> Sequence[Tensor]:
        """See :class:`segue.models.base.ExplainedNetwork`."""
        found, _ = self._encoded(current, context)
        network = cast(ExplainedNetwork, self.network)
        return network.context_maps(found, context[: self._own], background)

    def explain_flow(
        self, current: Features, context: Sequence[Features], background: Features | None
    ) -> tuple[list[Tensor], list[FilteredFlow]]:
        """See :class:`segue.models.base.ExplainedFlow`."""
        found, motion = self._encoded(current, context)
        network = cast(ExplainedFlow, self.network)
        return motion, network.explain_flow(found, context[: self._own], background)[1]

    def _encoded(self, current: Features, context: Sequence[Features]) -> tuple[Features, list[Tensor]]:
        (frames,) = current
        earlier = [image for (image,) in context[self._own :]]
        planes, motion = compute_flow(self.images, frames, earlier)
        return cast(ExplainedFlow, self.network).encode(frames, self.current, planes), motion


def compute_flow(
    images: FlowImages, frames: Tensor, earlier: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Flow images (N, gaps, H, W) from frames to earlier ones, and flow by gap, (N, 2, H, W); largest first.

    Frames, and those before them by growing gap, are (N, 3, H, W) in [0, 1].
    """
    windows = torch.stack([frames, *earlier], 1)
    flows = [images.flows(now, before) for now, *before in map(_images, windows)]
    planes = torch.from_numpy(np.stack([images.image(each) for each in flows]))
    motion = [torch.from_numpy(np.stack(gap)).movedim(-1, 1) for gap in zip(*flows, strict=True)]
    return planes.to(frames).movedim(-1, 1) / 255, motion


def _images(frames: Tensor) -> list[Image]:
    """(T, 3, H, W) in [0, 1] → RGB images."""
    return list((255 * frames.float()).round().to(torch.uint8).movedim(1, -1).contiguous().cpu().numpy())


def check_extra(frame: Frame, taken: Extra | None, name: str) -> None:
    """Refuse depth or flow that the model ``name`` does not take, or that does not fit, before a change."""
    height, width = frame.size
    for extra in get_args(Extra):
        plane = getattr(frame, extra)
        if plane is None:
            continue
        if extra != taken:
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
        """Scale a map, (H, W), in any unit; what is not positive and finite is unknown and gives 0."""
        values = np.asarray(depth, np.float32)
        known = np.isfinite(values) & (values > 0)
        if self._range is None and known.any():
            low, high = np.percentile(values[known], PERCENTILES)
            self._range = float(low), float(high)
        low, high = self._range or (0.0, 0.0)
        scaled = (np.where(known, values, low) - low) / max(high - low, 1e-6)
        return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)), np.uint8)


def plane_of(frame: Frame, size: tuple[int, int], scale: DepthScale) -> UInt8Array | None:
    """Scaled depth of a frame, or its flow image, at a height and width; None if it brings neither."""
    if frame.flow is not None:
        return np.array(resized(frame.flow, size))  # the caller may fill one array again and again
    if frame.depth is None:
        return None
    nearest = cv2.resize(scale(frame.depth), size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(nearest, np.uint8)
