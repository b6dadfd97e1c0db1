"""Dense optical flow by OpenCV or a network, and flow images for networks.

A flow image says how far each pixel moved since some earlier frames, one channel for each of them. HOFAM's
release does not say which frames, nor the scale; measured on its demo images, red is the brightest channel
and blue the darkest, about 3 : 1.7 : 1. Gaps and scale here are therefore ours.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from segue.errors import FlowError
from segue.types import FlowName as FlowName
from segue.types import Image
from segue.utils.devices import to_device
from segue.utils.inputs import user_path
from segue.utils.threads import PerThread
from segue.weights.loading import load_strict

Flow = npt.NDArray[np.float32]
"""Motion of each pixel, (H, W, 2), x and y in pixels."""

RAFT_STRIDE, RAFT_SMALLEST = 8, 128  # sides that RAFT takes: multiples of the first, at least the second

DIS_SMALLEST, QUICK_SMALLEST = 16, 32
"""Least sides for DIS by its two presets: OpenCV refuses smaller images, or writes outside their memory."""

GAPS = (1, 3, 5)  # frames back from the current one to those of HOFAM's three channels
SINGLE_GAP = (1,)  # the same for STAM, whose flow image has one channel
SCALE = 20.0  # pixels of motion that are white
SIDE = 256  # sides of the image whose pixels lengths are counted in


class FlowProvider(Protocol):
    """Computes the flow from one image to another."""

    def __call__(self, first: Image, second: Image) -> Flow:
        """Flow of each pixel of ``first``, (H, W, 2), to ``second``; both are RGB, uint8."""


class DIS:
    """Dense inverse search (Kroeger et al., ECCV 2016) by OpenCV, preset MEDIUM: the default.

    Threads may share it.

    Args:
        quick: preset FAST instead, which takes a quarter of the time and is less exact at outlines.
    """

    def __init__(self, *, quick: bool = False) -> None:
        preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if quick else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        self._search = PerThread(partial(_dis, preset))
        self._smallest = QUICK_SMALLEST if quick else DIS_SMALLEST

    def __call__(self, first: Image, second: Image) -> Flow:
        height, width = first.shape[:2]
        below, right = (max(self._smallest - side, 0) for side in (height, width))
        grey: list[Any] = [_grey(first), _grey(second)]
        if below or right:
            grey = [cv2.copyMakeBorder(each, 0, below, 0, right, cv2.BORDER_REPLICATE) for each in grey]
        flow: Any = self._search().calc(*grey, None)  # type: ignore[call-overload]
        return np.ascontiguousarray(flow[:height, :width], np.float32)


def _dis(preset: int) -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(preset)


class Farneback:
    """Polynomial expansion (Farnebäck, SCIA 2003) by OpenCV."""

    def __call__(self, first: Image, second: Image) -> Flow:
        flow = np.empty((*first.shape[:2], 2), np.float32)
        cv2.calcOpticalFlowFarneback(
            _grey(first),
            _grey(second),
            flow,
            pyr_scale=0.5,
            levels=3,
            winsize=15,
            iterations=3,
            poly_n=5,
            poly_sigma=1.2,
            flags=0,
        )
        return flow


class RAFT:
    """Recurrent all-pairs field transforms (Teed, Deng, ECCV 2020), the small network of torchvision.

    Args:
        weights: weight file of torchvision's ``raft_small``; segue has none.
        device: device of the network.

    Raises:
        FlowError: torchvision is not there.
        CheckpointError: the file cannot be read or does not fit.
    """

    def __init__(self, weights: str | os.PathLike[str], device: str | torch.device = "cpu") -> None:
        self._network = load_strict(_raft_small(), user_path(weights)).to(device)
        self._device = torch.device(device)

    @torch.inference_mode()
    def __call__(self, first: Image, second: Image) -> Flow:
        images = to_device(torch.from_numpy(np.stack([first, second])), self._device).movedim(-1, 1)
        height, width = images.shape[-2:]
        below, right = (max(-side % RAFT_STRIDE, RAFT_SMALLEST - side) for side in (height, width))
        padded = F.pad(images.float() / 127.5 - 1, (0, right, 0, below), mode="replicate")
        flow = self._network(padded[:1], padded[1:])[-1][0, :, :height, :width]
        return np.ascontiguousarray(flow.movedim(0, -1).cpu().numpy(), np.float32)


def flow_provider(
    name: FlowName | str | Path,
    weights: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
) -> FlowProvider:
    """Make a provider of optical flow.

    Args:
        name: ``dis``, ``farneback`` or ``raft``.
        weights: weight file of RAFT; the others have none.
        device: device of RAFT; the others run on the CPU.

    Returns:
        A callable that takes two images and gives their flow.

    Raises:
        FlowError: there is none of this name, or something that it needs is missing.
        CheckpointError: the weight file cannot be read or does not fit.
    """
    if name not in get_args(FlowName):
        names = ", ".join(get_args(FlowName))
        raise FlowError(f"no flow is called {str(name)!r}, nor is that a folder; known are {names}")
    if name == "raft":
        if weights is None:
            raise FlowError("raft needs a file with the weights of torchvision's raft_small")
        return RAFT(weights, device)
    return DIS() if name == "dis" else Farneback()


def _raft_small() -> Any:
    try:
        flow = import_module("torchvision.models.optical_flow")
    except (ImportError, RuntimeError) as error:
        # A torchvision that was built for another torch fails with a RuntimeError.
        raise FlowError(f"raft needs a torchvision that fits torch {torch.__version__}: {error}") from error
    with torch.random.fork_rng(devices=[]):  # its weights come from a file
        return flow.raft_small(weights=None)


def _grey(image: Image) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


@dataclass(frozen=True, slots=True)
class FlowImages:
    """Flow images between a frame and earlier frames.

    Motion is measured in pixels of a 256 x 256 image, as published, for any frame size.

    Attributes:
        provider: computes the flow.
        gaps: growing distances of the earlier frames, in frames.
        scale: motion in pixels that is white.
    """

    provider: FlowProvider = field(default_factory=DIS)
    gaps: tuple[int, ...] = GAPS  # growing
    scale: float = SCALE  # whatever the gap

    def __call__(self, current: Image, earlier: Sequence[Image]) -> Image:
        """Compute the flow image of a frame.

        Args:
            current: RGB image (H, W, 3), uint8.
            earlier: frames of the gaps before it, growing; at the start of a video the oldest there is.

        Returns:
            Lengths of flow (H, W, gaps), uint8; the largest gap is the first channel (red).
        """
        return self.image(self.flows(current, earlier))

    def flows(self, current: Image, earlier: Sequence[Image]) -> list[Flow]:
        """Compute the flow of a frame to earlier ones.

        Args:
            current: RGB (H, W, 3), uint8.
            earlier: images of the same size, by growing gap.

        Returns:
            Flow (H, W, 2) in pixels for each of them, largest gap first.
        """
        return [self.provider(current, image) for image in reversed(earlier)]

    def image(self, flows: Sequence[Flow]) -> Image:
        """Turn flow into an image.

        Args:
            flows: result of :meth:`flows`.

        Returns:
            Lengths of the flow (H, W, gaps), uint8.
        """
        height, width = flows[0].shape[:2]
        unit = np.array((SIDE / width, SIDE / height), np.float32)
        return np.stack([lengths(flow * unit, self.scale) for flow in flows], axis=2)


def lengths(flow: Flow, scale: float) -> npt.NDArray[np.uint8]:
    """Lengths of flow (H, W, 2) as grey values, (H, W); ``scale`` pixels and more are white."""
    distance = np.linalg.norm(flow, axis=2)
    return np.asarray(np.rint(255 * np.clip(distance / scale, 0, 1)), np.uint8)
