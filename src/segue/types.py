"""The values that flow through segue: frames in, segmentations out, prompts beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""RGB picture, (H, W, 3), uint8."""

IndexMask = npt.NDArray[np.integer]
"""Index mask, (H, W), any integer type: 0 is background, every other value the id of an object."""

Box = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in pixels; ``x1`` and ``y1`` are exclusive."""

Point = tuple[float, float]
"""``(x, y)`` in pixels."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video.

    Attributes:
        index: position in the source, from 0; a stride leaves gaps.
        time: presentation time in seconds from the start of the source.
        image: RGB, (H, W, 3), uint8.
        depth: distance from the camera, (H, W), in any unit, 0 where it is not known; None where there is
            none, as in most videos.
    """

    index: int
    time: float
    image: Image
    depth: npt.NDArray[np.generic] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.image.shape[:2]
        return height, width


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of one object on one frame.

    Attributes:
        id: value of the object in the index mask; the same through the whole video.
        label: class or name, if anybody gave one.
        score: mean probability inside the object's own mask, in [0, 1]; 0 when it is not visible.
        box: tight ``(x0, y0, x1, y1)`` around the mask, or None when the object is not visible.
        area: number of pixels.
    """

    id: int
    label: str | None = None
    score: float = 1.0
    box: Box | None = None
    area: int = 0


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The result for one frame, the one result type of every session.

    Attributes:
        index: index of the frame.
        time: time stamp of the frame in seconds.
        mask: index mask, (H, W), uint8 or uint16; 0 is background.
        objects: all objects that are followed on this frame, visible or not, in the order of the
            probability channels.
    """

    index: int
    time: float
    mask: IndexMask
    objects: tuple[ObjectInfo, ...] = ()
    _probabilities: Callable[[], npt.NDArray[np.float32]] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Class probabilities, (K+1, H, W), float32, background first, then ``objects`` in order.

        Computed when asked for, from a compact form, so that keeping results costs little.
        A result that was read from a file has only its mask: then these are its one-hot maps.
        """
        if self._probabilities is not None:
            return self._probabilities()
        ids = np.array([0, *(item.id for item in self.objects)])
        one_hot = self.mask[None] == ids[:, None, None]
        return np.asarray(one_hot, np.float32)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of ``objects``, in order."""
        return tuple(item.id for item in self.objects)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a person or a detector says of one object on a frame; use one of the subclasses.

    Attributes:
        id: id of the object, at least 1. A known id is corrected, a new one is added.
        label: class or name, carried through to the results.
    """

    id: int
    label: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class MaskPrompt(Prompt):
    """The object covers the pixels where ``mask`` (H, W) is true or non-zero."""

    mask: npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class BoxPrompt(Prompt):
    """The object is inside ``box``; ``fill`` takes the whole box instead of refining it with GrabCut."""

    box: Box
    fill: bool = False


@dataclass(frozen=True, slots=True)
class PointPrompt(Prompt):
    """The object is under every point of ``positive`` and under none of ``negative``."""

    positive: tuple[Point, ...]
    negative: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovePrompt(Prompt):
    """The object with this id is followed no longer, from this frame on."""
