"""Layers with soft edges, and their composition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.formats.frames import FrameObjects
from segue.masks.edges import Edge, Window, pure_colours, soft_masks
from segue.utils.arrays import Float32Array

EdgeOf = Callable[[int], Edge]
"""Gives the edge of an object."""

Levels = npt.NDArray[np.unsignedinteger[Any]]
"""Image of unsigned integers; white is the maximum of the type."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An object in a window of the image; colours are straight."""

    window: Window
    colours: Float32Array  # (h, w, 3), from 0 to 1
    alpha: Float32Array  # (h, w), from 0 to 1

    @classmethod
    def of(cls, image: Levels, window: Window, alpha: Float32Array, *, pure: bool) -> Layer:
        """Create the layer of an opacity in an RGB image; ``pure`` colours belong to the object only."""
        colours = image[window] / np.iinfo(image.dtype).max
        if pure and alpha.any():
            return cls(window, pure_colours(colours, alpha), alpha)
        return cls(window, np.asarray(colours, np.float32), alpha)

    def linear(self) -> Layer:
        """Convert the layer to linear light by the sRGB curve."""
        low = self.colours / 12.92
        high = ((self.colours + 0.055) / 1.055) ** 2.4
        return Layer(self.window, np.where(self.colours <= 0.04045, low, high).astype(np.float32), self.alpha)


def flattened(layers: Iterable[Layer], size: tuple[int, int], *, premultiplied: bool) -> Float32Array:
    """Compose layers to RGBA (H, W, 4), float32, the last one on top; empty pixels are 0."""
    flat = np.zeros((*size, 4), np.float32)
    for layer in layers:
        below, alpha = flat[layer.window], layer.alpha[..., None]
        below *= 1 - alpha
        below[..., :3] += layer.colours * alpha
        below[..., 3:] += alpha
    if not premultiplied:
        alpha = flat[..., 3:]
        np.divide(flat[..., :3], alpha, out=flat[..., :3], where=alpha > 0)
    return flat


def layers_of(
    objects: FrameObjects, numbers: Iterable[int], edge_of: EdgeOf, *, deep: bool = False
) -> dict[int, Layer]:
    """Layers of a frame from below; objects that it does not show are empty.

    ``deep`` colours have all bits of the video.
    """
    planes, nothing = dict(objects.planes()), np.zeros(objects.size, np.bool_)
    order = [*planes, *(i for i in numbers if i not in planes)]
    image, edges = objects.frame.image, [edge_of(i) for i in order]
    colours = objects.colours if deep else image
    soft = soft_masks([planes.get(i, nothing) for i in order], edges, image)
    return {
        i: Layer.of(colours, *each, pure=edge.detail)
        for i, edge, each in zip(order, edges, soft, strict=True)
    }


def as_levels(values: Float32Array, kind: type[np.uint8 | np.uint16]) -> Levels:
    """Convert values in [0, 1] to the levels of an integer type."""
    return np.asarray(np.round(np.clip(values, 0, 1) * np.iinfo(kind).max), kind)
