"""Values and constants shared by the parts of SAM 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

IMAGE_SIDE = 1024
"""Side of the square that the network of the release sees, in pixels."""

STRIDE = 32
"""Image sides are multiples of this."""

LOW = 4
"""Predicted masks have the image side divided by this."""

MEMORY_FRAMES = 7
"""Frames with a code for their place in time: six before the current one, and prompted ones."""

ABSENT = -1024.0
"""Logit everywhere of an object that is not there."""

MASK_LOGIT = 10.0
"""Logit, up to the sign, of a mask that was given."""

MEMORY_SCALE, MEMORY_SHIFT = 20.0, -10.0
"""Scale and shift of masks before they enter memory."""


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants for given weights and image size, computed once."""

    side: int
    trunk: Tensor | None  # position of its patches, (1, side/4, side/4, C), where it has one
    image: Tensor  # sine position of the map, (1, g², 256)
    memory: Tensor  # position of the rows that are remembered of a frame, (Q, 64)
    grid: Tensor  # position of its cells for the decoder, (1, 256, g, g)
    rotary: Tensor  # code of its cells, complex64, (g², 128)
    memory_rotary: Tensor | None  # code of remembered rows, (Q, 128); None where they are the cells
    fine: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(slots=True)
class Encoded:
    """Features of one image."""

    coarse: Tensor  # map of stride 16, (1, 256, g, g)
    fine: tuple[Tensor, Tensor]  # strides 4 and 8, (1, 32, 4g, 4g) and (1, 64, 2g, 2g)
    image_tokens: Tensor | None = (
        None  # first step of memory attention, (1, g², 256), once an object needs it
    )


@dataclass(frozen=True, slots=True)
class Record:
    """Masks, scores and memory of K objects on one image; trackers keep records of single objects."""

    pointer: Tensor  # what the objects are, (K, 256)
    score: Tensor  # logits of the objects being there, (K,)
    iou: Tensor  # predicted IoU of the masks, (K,), in [0, 1]
    features: Tensor | None = (
        None  # memory, (K, Q, 64); None where it is not encoded yet, or needed no longer
    )
    low_res_masks: Tensor | None = field(default=None, compare=False)  # later frames do not read it
    """Mask logits, (K, 1, side/4, side/4), ``ABSENT`` everywhere without object; None if they are needed
    no longer."""

    @property
    def expected(self) -> Tensor:
        """Predicted IoU of the masks, (K,); 0 for absent objects."""
        return self.iou * (self.score > 0)

    def each(self) -> Iterator[Record]:
        """Record of each object, with separate storage."""
        assert self.low_res_masks is not None
        parts = zip(self.pointer.split(1), self.score.split(1), self.iou.split(1), strict=True)
        for number, (part, low) in enumerate(zip(parts, self.low_res_masks.split(1), strict=True)):
            features = None if self.features is None else self.features[number, None].contiguous().clone()
            yield Record(*part, features, low)


class VideoNetwork(Protocol):
    """Parts of :class:`.network.SAM2Base` for tracking."""

    side_step: int
    no_mem_embed: nn.Parameter
    maskmem_tpos_enc: nn.Parameter

    def constants(self, side: int) -> Constants: ...
    def encode(self, image: Tensor, constants: Constants) -> Encoded: ...
    def without_memory(self, coarse: Tensor) -> Tensor: ...
    def pointer_position(self, distances: Tensor) -> Tensor: ...
    def with_memory(
        self, encoded: Encoded, memory: Tensor, position: Tensor, pointers: int, constants: Constants
    ) -> Tensor: ...
    def predict_masks(
        self,
        image: Tensor,
        encoded: Encoded,
        constants: Constants,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        multimask: bool,
        dynamic: bool,
    ) -> Record: ...
    def answer_mask(self, mask: Tensor, encoded: Encoded, constants: Constants) -> Record: ...
    def encode_memory(self, encoded: Encoded, record: Record, binary: bool) -> Tensor: ...
