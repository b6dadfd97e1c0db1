"""The empty scene: quantiles of each pixel over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, UInt8Array
from segue.errors import PromptError
from segue.types import Image

Level = TypeVar("Level", np.uint8, np.float32)

PLANES = 21  # planes of a scene

LOW = 0.1  # the range of a pixel reaches from this quantile of its past to the opposite one
DOUBT_FROM = 5  # with fewer kept frames a single one in which a pixel was background is enough


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Background statistics.

    Attributes:
        planes: (21, H, W), uint8; not written to. Three times red, green and blue: 10 % quantile, median and
            90 % quantile of the frames in which the pixel was background; the same of all frames; shares of
            255: of the frames in which the pixel was foreground, and of the steps from one to the next at
            which it changed sides; and seven times the number of frames.
        image: the median of the background, RGB (H, W, 3), uint8.
    """

    planes: npt.NDArray[np.uint8]
    image: Image = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", np.ascontiguousarray(self.planes[3:6].transpose(1, 2, 0)))

    @classmethod
    def of(cls, image: Image, frames: int = 35) -> Scene:
        """A scene that is known from an image. ``image``: RGB (H, W, 3), uint8."""
        if image.ndim != 3 or image.shape[2] != 3:
            raise PromptError(f"an empty scene is an image (H, W, 3), not an array {image.shape}")
        known = np.tile(image.transpose(2, 0, 1), (6, 1, 1))
        height, width = image.shape[:2]
        count = np.full((1, height, width), min(255, 7 * frames), np.uint8)
        return cls(np.concatenate([known, np.zeros((2, height, width), np.uint8), count]))

    @property
    def range(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Low and high quantile of the background, each (3, H, W)."""
        return self.planes[0:3], self.planes[6:9]

    def in_other_light(self, gains: Sequence[float]) -> Scene:
        """The scene brighter or darker by factors of red, green and blue."""
        return Scene(np.concatenate([in_other_light(self.planes[:18], gains), self.planes[18:]]))


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) are the same image enlarged or reduced, up to rounding."""
    (height, width), (rows, columns) = size, other
    return abs(height * columns - width * rows) <= max(height, width, rows, columns)


def resized(image: npt.NDArray[Level], size: tuple[int, int]) -> npt.NDArray[Level]:
    """An image or a map, (H, W, 3) or (H, W), at another height and width."""
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), image.dtype)


def in_other_light(planes: UInt8Array, gains: Sequence[float]) -> UInt8Array:
    """Planes (n, H, W) of red, green, blue, red, ... brighter or darker by factors of these colours."""
    lit = np.empty_like(planes)
    for channel, gain in enumerate(gains):
        table = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
        lit[channel::3] = table[planes[channel::3]]
    return lit


class TemporalQuantileBuffer:
    """The values of each pixel in ascending order: of all frames, and of those in which it was background."""

    def __init__(self, keep: int, size: tuple[int, int]) -> None:
        self._all, self._visible = (np.empty((keep, 3, *size), np.uint8) for _ in range(2))
        self._hidden: list[BoolArray] = []

    def add(self, frame: UInt8Array, hidden: BoolArray) -> None:
        """Take a frame, (3, H, W), and where something was in front of the background, (H, W)."""
        self._hidden.append(hidden)
        count = len(self._hidden)
        sort_in(self._all[:count], frame)
        sort_in(self._visible[:count], np.where(hidden, np.uint8(255), frame))  # which comes last

    def planes(self, least: int) -> UInt8Array:
        """The planes of a :class:`Scene`; a pixel needs ``least`` frames in which it was background."""
        hidden, count = np.stack(self._hidden), len(self._hidden)
        covered = hidden.sum(0, dtype=np.uint8)
        changes = (hidden[1:] ^ hidden[:-1]).sum(0, dtype=np.uint8)
        shown = np.uint8(count) - covered
        partly = (covered > 0) & ~too_few(shown, count, least)
        of_all = np.concatenate([self._all[rank] for rank in ranks(count)])
        background, pixels = of_all.copy(), np.flatnonzero(partly)
        values = self._visible.reshape(len(self._visible), 3, -1)
        for i, rank in enumerate(ranks(shown.reshape(-1)[pixels].astype(np.intp))):
            for channel in range(3):
                background[3 * i + channel].reshape(-1)[pixels] = values[rank, channel, pixels]
        shares = np.arange(256) * 255
        often = (shares // count).astype(np.uint8)[covered]
        restless = (shares // max(1, count - 1)).astype(np.uint8)[changes]
        known = np.full_like(often, min(255, 7 * count))
        return np.concatenate([background, of_all, np.stack([often, restless, known])])


def scene_planes(
    frames: Iterable[UInt8Array], hidden: Sequence[BoolArray] | BoolArray, least: int
) -> UInt8Array:
    """Temporal statistics (21, H, W) of frames (3, H, W); see :meth:`TemporalQuantileBuffer.planes`.

    ``hidden``, (H, W) each, is where something was in front of the background.
    """
    past = TemporalQuantileBuffer(len(hidden), hidden[0].shape)
    for frame, covered in zip(frames, hidden, strict=True):
        past.add(frame, covered)
    return past.planes(least)


def sort_in(stack: npt.NDArray[Level], values: npt.NDArray[Level]) -> None:
    """Put values into their places in an ascending stack, whose last entry is free."""
    # What is smaller stays, the value comes after it, and the rest moves on by one.
    moved = np.empty_like(stack)
    moved[0] = values
    np.maximum(stack[:-1], values, out=moved[1:])
    np.minimum(stack[:-1], moved[:-1], out=stack[:-1])
    stack[-1] = moved[-1]


def ranks(count: Any) -> tuple[Any, Any, Any]:
    """Places of the low quantile, the median and the high quantile among ``count`` values in order."""
    low = (count - 1) // round(1 / LOW)
    return low, count // 2, count - 1 - low


def too_few(visible: npt.NDArray[np.integer], frames: int, least: int) -> BoolArray:
    """Mask (H, W) of pixels that were background in too few of ``frames`` kept frames."""
    return np.asarray(visible < (least if frames >= DOUBT_FROM else 1))


def median_of(arrays: Sequence[npt.NDArray[Level]]) -> npt.NDArray[Level]:
    """Median of arrays of one shape, (H, W) or (H, W, C); of an even number the mean of the middle two."""
    stack, middle = np.stack(arrays), len(arrays) // 2
    for last in range(1, len(stack)):
        sort_in(stack[: last + 1], stack[last].copy())
    if len(stack) % 2:
        return np.asarray(stack[middle])
    return np.asarray((stack[middle - 1] + stack[middle]) / 2, stack.dtype)
