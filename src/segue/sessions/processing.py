"""Images as the tensors that a network takes, and its maps as masks of the images' size.

For programs that call networks themselves. Sessions do the same inside; what is here is their code.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from segue.errors import ArgumentError
from segue.inputs import check_number, kind_of
from segue.models.base import ForegroundNetwork, InstanceNetwork, Setup, Shape
from segue.models.geometry import ResizePadGeometry
from segue.models.memory import MemoryTracker
from segue.sessions.foreground import SHORT_SIDE
from segue.sessions.instances import compose
from segue.sessions.official import as_tensor, enlarged, resized
from segue.sessions.segmenters import extended
from segue.types import Image, IndexMask
from segue.video.readers import FrameLike, as_frame
from segue.weights.pretrained import pretrained_folder, read_config

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class ProcessedInputs:
    """Output of a processor.

    Attributes:
        pixel_values: float32; of images (N, 3, H', W'), of a video (1, T, 3, H', W'). For tracking they are
            normalised as the network wants it, else in [0, 1].
        original_size: height and width of the images, for ``post_process``.
    """

    pixel_values: Tensor
    original_size: Shape


class ImageProcessor:
    """Images to the tensors of a network that tracks, finds foreground or instances, and back to masks.

    Networks that answer prompts have :class:`segue.Prompter`.

    Args:
        network: as :func:`segue.load` or :func:`segue.from_pretrained` gives it; it is not changed.
        short_side: larger images are reduced to this short side; None takes the default of sessions.

    Raises:
        ArgumentError: it is another kind of network.

    Example:
        >>> network = segue.from_pretrained("FOLDER")  # doctest: +SKIP
        >>> processor = segue.ImageProcessor(network)
        >>> inputs = processor([image])
        >>> inputs.pixel_values.shape
        torch.Size([1, 3, 384, 688])
    """

    def __init__(self, network: Any, *, short_side: int | None = None) -> None:
        if short_side is not None:
            check_number("short_side", short_side, least=1, whole=True)
        self._layout = _layout_of(network, short_side)

    @classmethod
    def from_pretrained(cls, where: str | os.PathLike[str], **options: Any) -> ImageProcessor:
        """Make the processor of a network.

        Args:
            where: folder, repository or name, see :func:`segue.from_pretrained`.
            **options: further arguments of :func:`segue.from_pretrained`.

        Returns:
            The processor.
        """
        return cls(read_config(pretrained_folder(where, **options)).skeleton())

    def __call__(self, images: FrameLike | Iterable[FrameLike]) -> ProcessedInputs:
        """Images as a batch of a network."""
        arrays = _arrays(images)
        pixels = torch.cat([self._layout.pixels(image) for image in arrays])
        return ProcessedInputs(pixels, _size(arrays[0]))

    def post_process(self, maps: Tensor, original_size: Shape) -> IndexMask:
        """Maps of the network as index masks of the size of the images.

        Args:
            maps: what the network's last step gives. Tracking: log-odds (K, h, w) of K objects on one frame.
                Foreground: logits (N, C, h, w). Instances: mask logits (K, T, h, w) of K queries.
            original_size: height and width of the images.

        Returns:
            Tracking: (H, W), where object k of the maps, counted from 1, has the value k. Foreground:
            (N, H, W), 1 is foreground. Instances: (T, H, W), values as for tracking.
        """
        with torch.inference_mode():
            return self._layout.masks(maps.detach(), original_size)


class VideoProcessor(ImageProcessor):
    """:class:`ImageProcessor` for clips: its ``pixel_values`` are (1, T, 3, H', W').

    A clip is held in memory as a whole; videos of any length go through :func:`segue.track` and the like.
    """

    def __call__(self, images: FrameLike | Iterable[FrameLike]) -> ProcessedInputs:
        """The frames of a clip as one sample of a network."""
        inputs = super().__call__(images)
        return ProcessedInputs(inputs.pixel_values[None], inputs.original_size)


class _Tracking:
    """As the tracker of the network does it."""

    def __init__(self, network: Any, short_side: int | None) -> None:
        schedule = network.schedule
        if short_side is not None:
            schedule = replace(schedule, short_side=short_side)
        setup = Setup(schedule, _CPU, torch.float32, memory_limit=0)
        self._tracker: MemoryTracker = network.tracker(network, setup)

    def pixels(self, image: Image) -> Tensor:
        small = self._tracker.resized(image, self._tracker.geometry(_size(image)))
        return cast(Tensor, self._tracker.network.prepare(torch.from_numpy(small))).float()

    def masks(self, maps: Tensor, size: Shape) -> IndexMask:
        geometry = self._tracker.geometry(size)
        seen = self._tracker.class_probabilities()(maps.float(), geometry.padded)
        return np.asarray(geometry.to_image(seen).argmax(0).cpu().numpy(), np.uint16)


@dataclass(frozen=True)
class _Foreground:
    """As :class:`segue.sessions.ForegroundSession` and its segmenter do it."""

    network: ForegroundNetwork
    short_side: int

    def _geometry(self, size: Shape) -> ResizePadGeometry:
        return ResizePadGeometry.of(size, self.short_side, 1)

    def pixels(self, image: Image) -> Tensor:
        small = self._geometry(_size(image)).to_network(image)
        return extended(as_tensor([small], _CPU, torch.float32)[0], self.network.size_multiple)

    def masks(self, maps: Tensor, size: Shape) -> IndexMask:
        rows, columns = self._geometry(size).working
        likely = maps[:, 0, :rows, :columns].float().sigmoid().cpu().numpy()
        whole = [cv2.resize(each, size[::-1], interpolation=cv2.INTER_LINEAR) for each in likely]
        return np.asarray(np.stack(whole) >= self.network.threshold, np.uint8)


@dataclass(frozen=True)
class _Instances:
    """As :class:`segue.sessions.InstanceSession` does it."""

    short_side: int

    def pixels(self, image: Image) -> Tensor:
        return as_tensor([resized(image, self.short_side)], _CPU, torch.float32)[0]

    def masks(self, maps: Tensor, size: Shape) -> IndexMask:
        ids = range(1, len(maps) + 1)
        return np.stack([compose(enlarged(frame, size), ids) for frame in maps.unbind(1)])


_Layout = _Tracking | _Foreground | _Instances
"""Input images of the networks of one task, and the meaning of their maps."""


def _layout_of(network: Any, short_side: int | None) -> _Layout:
    tracker = getattr(network, "tracker", None)
    if isinstance(tracker, type) and issubclass(tracker, MemoryTracker):
        return _Tracking(network, short_side)
    if isinstance(network, ForegroundNetwork):
        return _Foreground(network, short_side or SHORT_SIDE)
    if isinstance(network, nn.Module) and hasattr(network, "mask_logits"):
        instances = cast(InstanceNetwork, network)
        return _Instances(short_side or instances.short_side)
    if isinstance(network, str):
        raise ArgumentError(f"network: {network!r} is a name; give the network, segue.load({network!r})")
    raise ArgumentError(
        f"network: {kind_of(network)} has no processor: give a network that tracks with a memory, or "
        "finds foreground or instances; for clicks and boxes there is segue.Prompter"
    )


def _arrays(images: Any) -> list[Image]:
    # A frame and a PIL image are not iterable; arrays and tensors are, of single images too.
    several = isinstance(images, Iterable) and getattr(images, "ndim", 4) == 4
    arrays = [as_frame(each, index).image for index, each in enumerate(images if several else [images])]
    sizes = {_size(image) for image in arrays}
    if len(sizes) != 1:
        listed = ", ".join(f"{width}x{height}" for height, width in sorted(sizes)) or "none"
        raise ArgumentError(f"images: give images of one size; there are {listed}")
    return arrays


def _size(image: Image) -> Shape:
    return image.shape[0], image.shape[1]
