"""Common interface of networks and classical background subtraction."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.flow.providers import FlowImages, FlowProvider
from segue.models.base import (
    PLAIN_STAGES,
    Features,
    ForegroundCapabilities,
    ForegroundNetwork,
    foreground_capabilities,
)
from segue.sessions.foreground.background.quantiles import Look, Scene, bounds_of
from segue.sessions.foreground.segmenters.explaining import Rows, explain
from segue.sessions.foreground.segmenters.extra_inputs import Extra
from segue.types import Image
from segue.utils.arrays import Float32Array, UInt8Array
from segue.utils.devices import to_device
from segue.utils.recent import lru_get
from segue.weights.prepared import Prepared

FAINTEST = 10
"""Levels by which a mean of 5 x 5 pixels must leave the range of the background for a network to look at it.
In SBI 2015, Wallflower and CDnet 2014 the faintest frame in which mustan-lite finds something has 14."""

MARGIN = 48
"""Margin in pixels around the part that differs from the background."""

STEP = 32
"""Input sides of a network are multiples of this; each new size costs time at first."""


Window = tuple[slice, slice]
"""Rows and columns of a part of an image."""

BACKGROUNDS = 4
"""Backgrounds whose features are cached: a sharp one, and others blurred like frames."""

LOOKS = 8
"""Background images whose features are cached."""


@dataclass(slots=True, eq=False)
class SegmenterInput:
    """Input of a segmenter for one frame.

    Attributes:
        image: RGB (h, w, 3), uint8.
        plane: the frame's ``extra``, uint8, (h, w) or (h, w, gaps), if it has one.
        recurrence: returns the frequency of the colours of a window at their places, see
            :meth:`segue.sessions.foreground.background.recurrence.Past.recurrence`.
        features: network features by role.
    """

    image: Image
    plane: UInt8Array | None = None
    recurrence: Callable[..., UInt8Array] | None = field(default=None, compare=False)
    features: dict[str, Features] = field(default_factory=dict, compare=False)


class Segmenter(Protocol):
    """Maps a frame with context to probabilities; the session does everything else.

    Attributes:
        name: name in messages and saved states.
        channels: 1 is foreground, 2 adds shadow.
        threshold: default probability from which on a pixel is foreground.
        uses_background: whether it uses the background.
        extra: additional input, if any.
        restorable: whether it is stateless: its output depends on the arguments of :meth:`step` only.
        offsets: distances of the frames in its context, such as -3; results wait for those above 0.
        stages: names of the session stages it needs, see :mod:`.stage_list`.
        fingerprint: identifies its weights in saved states.
        forms: choice of layer implementations, as JSON; empty without any.
        precision: precision of the convolutions of its network; None without one.
        capabilities: further capabilities of a network.
    """

    name: str
    channels: int = 1
    threshold: float = 0.5
    uses_background: bool = False
    extra: Extra | None = None
    restorable: bool = True
    offsets: tuple[int, ...] = ()
    stages: tuple[str, ...] = PLAIN_STAGES
    fingerprint: str = ""
    forms: Mapping[str, Any] = MappingProxyType({})
    precision: torch.dtype | None = None
    capabilities: ForegroundCapabilities = ForegroundCapabilities()

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        """Segment a frame; frames come in their order.

        Args:
            frame: the frame.
            context: the frames at each of ``offsets``; beyond the ends of the scene its first or last one.
            scene: the background for this frame; another object if it has changed.

        Returns:
            Probabilities of foreground and, with two channels, of shadow: (channels, h, w), float32.
        """

    def restart(self) -> None:
        """Forget the scene."""
        return

    def explanation(self) -> Rows:
        """Images of the inputs and features of the last result."""
        return [[]]


class NetworkSegmenter(Segmenter):
    """Runs a foreground network frame by frame; each frame is encoded once per role.

    Images that do not fit the network are padded by repeating the border.

    Args:
        prepared: the network, prepared for a device.
        flow: computes optical flow, for networks that use it; None is the default of the network.
    """

    def __init__(
        self,
        prepared: Prepared[ForegroundNetwork],
        *,
        flow: FlowProvider | None = None,
    ) -> None:
        network, self._guard = prepared.network, prepared.inference_guard
        self._network, self._device, self._dtype = network, prepared.device, prepared.dtype
        self.fingerprint, self.forms = prepared.digest, prepared.forms.as_json()
        self.precision = prepared.precision
        able = foreground_capabilities(network)
        # A copy: sessions of the network may run in several threads.
        provider = flow or copy.deepcopy(cast("FlowProvider | None", able.flow_provider))
        self.capabilities = replace(able, flow_provider=provider)
        self._flow = None if provider is None else FlowImages(provider, able.flow_gaps)
        gaps = () if self._flow is None else able.flow_gaps
        self._roles = {role for _, role in network.context}
        offsets = (*(offset for offset, _ in network.context), *(-gap for gap in gaps))
        self.offsets = tuple(dict.fromkeys(offsets))
        self.name = f"{type(network).__name__} in {prepared.precision}"
        self.channels, self.threshold = network.channels, network.threshold
        self.uses_background = network.background is not None
        self._looks_at_range = self.uses_background and able.temporal_quantiles
        self._takes = "flow" if able.flow else "depth"
        if self._flow is None and (able.flow or able.depth):
            self.extra = "flow" if able.flow else "depth"
        self.stages = able.stages
        self._backgrounds: WeakKeyDictionary[Scene, Features] = WeakKeyDictionary()  # the last used last
        self._looks: WeakKeyDictionary[Look, Features] = WeakKeyDictionary()

    def restart(self) -> None:
        self._backgrounds.clear()
        self._looks.clear()

    @torch.inference_mode()
    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        network, (height, width) = self._network, frame.image.shape[:2]
        if self._flow is not None:
            frame.plane = self._flow(frame.image, [context[-gap].image for gap in self._flow.gaps])
        self._last = frame, context, scene
        maps = np.zeros((self.channels, height, width), np.float32)
        part, window = maps, None
        if self._looks_at_range and frame.plane is None:
            window = differing(frame.image, scene, network.size_multiple)
            if window is None:
                return maps
            part = maps[:, *window]
        with self._guard():
            size = padded_size((part.shape[1], part.shape[2]), network.size_multiple)
            logits = network.decode(*self._features(frame, context, scene, window), size)
        inside = logits[0, :, : part.shape[1], : part.shape[2]]
        part[:] = inside.float().sigmoid_().cpu().numpy()
        return maps

    @torch.inference_mode()
    def explanation(self) -> Rows:
        frame, context, scene = self._last
        with self._guard():
            features = self._features(frame, context, scene)
            return explain(self._network, self.capabilities, *features, frame.plane)

    def _features(
        self,
        frame: SegmenterInput,
        context: Mapping[int, SegmenterInput],
        scene: Scene,
        window: Window | None = None,
    ) -> tuple[Features, list[Features], Features | None]:
        """Features of a frame, its context and the scene, in a window, for the decoder."""
        network, size = self._network, frame.image.shape[:2]
        if window is None or frame.image[window].shape[:2] == size:
            current = self._encoded(frame, network.current)
            if network.current not in self._roles:
                del frame.features[network.current]  # nobody asks for them again
        else:
            current = self._encode_current(frame, window)
        context_features = [self._encoded(context[offset], role) for offset, role in network.context]
        background_features = self._encoded_background(scene)
        if window is None:
            return current, context_features, background_features
        height, _ = padded_size(size, network.size_multiple)
        cut = partial(_inside, window=window, height=height, multiple=network.size_multiple)
        return (
            current,
            [cut(each) for each in context_features],
            None if background_features is None else cut(background_features),
        )

    def _encoded(self, frame: SegmenterInput, role: str) -> Features:
        """Features of a frame in a role, cached."""
        if role not in frame.features:
            if role == self._network.current:
                frame.features[role] = self._encode_current(frame)
            else:
                frame.features[role] = self._network.encode(self._prepared(frame.image), role)
        return frame.features[role]

    def _encode_current(self, frame: SegmenterInput, window: Window = (slice(None), slice(None))) -> Features:
        """Encode a window of the current frame, with additional inputs."""
        extra = {}
        if frame.plane is not None:
            extra[self._takes] = self._tensor(np.atleast_3d(frame.plane[window]).transpose(2, 0, 1))
        if self.capabilities.recurrence and frame.recurrence is not None:
            extra["recurrence"] = self._tensor(frame.recurrence(*window), self._network.size_multiple // 2)
        return self._network.encode(self._prepared(frame.image[window]), self._network.current, **extra)

    def _encoded_background(self, scene: Scene) -> Features | None:
        if self._network.background is None:
            return None
        parts = self.capabilities.background_parts

        def encode() -> Features:
            if parts is None:
                planes = self.capabilities.temporal_quantiles
                scene_tensor = self._tensor(scene.planes) if planes else self._prepared(scene.image)
                return self._network.encode(scene_tensor, role)
            image, statistics = parts
            maps = lru_get(
                self._looks, scene.look, lambda: self._encoded_image(scene.look.image, image), LOOKS
            )
            return *maps, *self._network.encode(self._tensor(scene.planes), statistics)

        role = self._network.background
        return lru_get(self._backgrounds, scene, encode, BACKGROUNDS)

    def _encoded_image(self, image: Image, role: str) -> Features:
        return self._network.encode(self._tensor(image.transpose(2, 0, 1)), role)

    def _tensor(self, planes: npt.NDArray[np.uint8], multiple: int | None = None) -> Tensor:
        """Convert planes (C, h, w) to a network input, (1, C, h, w) in [0, 1]."""
        padded = extended(planes, multiple or self._network.size_multiple, first=1)
        return to_device(torch.from_numpy(padded), self._device).to(self._dtype)[None].div_(255)

    def _prepared(self, image: Image) -> Tensor:
        """Convert an image to a network input, (1, 3, h, w) in [0, 1]."""
        pixels = to_device(torch.from_numpy(extended(image, self._network.size_multiple)), self._device)
        frames = pixels[None].permute(0, 3, 1, 2).to(self._dtype).div_(255)
        return frames.contiguous(memory_format=torch.channels_last)


def differing(image: Image, scene: Scene, multiple: int) -> Window | None:
    """Window of an image, (h, w, 3), that differs from the background, with a margin; None if nothing does.

    It begins at multiples of ``multiple``, which divides :data:`STEP`.
    """
    low, high = bounds_of(scene)
    beyond = np.maximum(cv2.subtract(image, high), cv2.subtract(low, image))
    similar = cv2.inRange(cv2.blur(beyond, (5, 5)), (0, 0, 0), (FAINTEST - 1,) * 3)
    left, top, width, height = cv2.boundingRect(cv2.bitwise_not(similar))
    if not width:
        return None
    sides = (top, top + height, image.shape[0]), (left, left + width, image.shape[1])
    rows, columns = (_widened(*side, multiple) for side in sides)
    return rows, columns


def _widened(begin: int, end: int, full: int, multiple: int) -> slice:
    """Widen a range of one image side by the margin, to a multiple of :data:`STEP`."""
    begin, end = max(0, begin - MARGIN) // multiple * multiple, min(full, end + MARGIN)
    length = -(-(end - begin) // STEP) * STEP
    begin = max(0, min(begin, -(-full // multiple) * multiple - length))
    return slice(begin, min(full, begin + length))


def _inside(maps: Features, window: Window, height: int, multiple: int) -> Features:
    """Crop feature maps of an image of this height to a window that begins at multiples of ``multiple``."""
    cut = []
    for each in maps:
        stride = height // each.shape[-2]
        rows, columns = (
            slice(side.start // stride, -(-side.stop // multiple) * multiple // stride) for side in window
        )
        cut.append(each[..., rows, columns])
    return tuple(cut)


def padded_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Round height and width up to multiples of a number."""
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width


def extended(values: UInt8Array, multiple: int, *, first: int = 0) -> UInt8Array:
    """Copy an array, padded right and below to multiples of a number by repeating the border.

    ``first``: axis of the height; the width is the next one.
    """
    height, width = values.shape[first : first + 2]
    rows, columns = padded_size((height, width), multiple)
    # A copy in any case: PyTorch complains of images that are read-only.
    if (rows, columns) == (height, width):
        return np.array(values, order="C")
    wide = np.empty((*values.shape[:first], rows, columns, *values.shape[first + 2 :]), np.uint8)
    leading = (slice(None),) * first
    wide[*leading, :height, :width] = values
    wide[*leading, :height, width:] = values[*leading, :, width - 1 : width]
    wide[*leading, height:] = wide[*leading, height - 1 : height]
    return wide
