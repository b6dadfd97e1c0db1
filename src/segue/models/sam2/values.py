"""Values and constants shared by the parts of SAM 2."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

IMAGE_SIDE = 1024
"""Side of the square that the network of the release sees, in pixels."""

STRIDE = 32
"""The side is a multiple of this."""

LOW = 4
"""Masks come out at the side divided by this."""

MEMORY_FRAMES = 7
"""Frames with a code for their place in time: six before the current one, and prompted ones."""

ABSENT = -1024.0
"""Logit everywhere of an object that is not there."""

MASK_LOGIT = 10.0
"""Logit, up to the sign, of a mask that was given."""

MEMORY_SCALE, MEMORY_SHIFT = 20.0, -10.0
"""Scale and shift of masks before they are remembered."""


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants for given weights and image size, computed once.

    Attributes:
        trunk: position of its patches, (1, side/4, side/4, C).
        picture: sine position of the map, (1, g², 256).
        memory: sine position of a memory map, (g², 64).
        grid: position of its cells for the decoder, (1, 256, g, g).
        rotary: code of its cells, complex64, (g², 128).
    """

    side: int
    trunk: Tensor
    picture: Tensor
    memory: Tensor
    grid: Tensor
    rotary: Tensor
    fine: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(slots=True)
class Encoded:
    """Features of one image.

    Attributes:
        coarse: map of stride 16, (1, 256, g, g).
        fine: maps of strides 4 and 8, (1, 32, 4g, 4g) and (1, 64, 2g, 2g).
        begun: first step of memory attention, (1, g², 256); computed when the first object needs it.
    """

    coarse: Tensor
    fine: tuple[Tensor, Tensor]
    begun: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """Output of the tracker's head for K objects on one image.

    Attributes:
        low: mask logits at stride 4, (K, 1, side/4, side/4), float32; ``ABSENT`` everywhere without object.
        iou: predicted IoU of the masks, (K,), in [0, 1].
        score: logits of the objects being there, (K,).
        pointer: what the objects are, (K, 256).
    """

    low: Tensor
    iou: Tensor
    score: Tensor
    pointer: Tensor
