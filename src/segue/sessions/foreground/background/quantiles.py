"""Background statistics: quantiles of each pixel over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.types import Image
from segue.utils.arrays import BoolArray, Level, UInt8Array

Known = TypeVar("Known")

LOW = 0.1
"""Lower quantile of a pixel's range; the upper one is opposite."""

DOUBT_FROM = 5
"""Kept frames below which a single background frame of a pixel suffices."""


MAX_DIFFERENCE = 60
"""Levels up to which means of 4 x 4 pixels of two images of a scene differ that look the same to an encoder:
what is compared pixel by pixel is always up to date."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Look:
    """A background image that is encoded once and shared by similar backgrounds."""

    image: Image  # RGB (H, W, 3), uint8; not written to

    def is_like(self, image: Image) -> bool:
        """Whether an image, RGB (H, W, 3), is similar."""
        if image.shape != self.image.shape:
            return False
        height, width = image.shape[:2]
        size = max(1, width // 4), max(1, height // 4)
        one, other = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (self.image, image))
        return int(cv2.absdiff(one, other).max()) <= MAX_DIFFERENCE


OWN = Look(np.zeros((0, 0, 3), np.uint8))
"""Stands for the image of a scene itself."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Scene:
    """Background statistics.

    Attributes:
        planes: (21, H, W), uint8; not written to. Three times red, green and blue: 10 % quantile, median and
            90 % quantile of the frames in which the pixel was background; the same of all frames; shares of
            255: of the frames in which the pixel was foreground, and of the steps from one to the next at
            which it changed sides; and seven times the number of frames.
        look: image to encode; by default the image itself.
        image: the median of the background, RGB (H, W, 3), uint8.
    """

    planes: npt.NDArray[np.uint8]
    look: Look = OWN
    image: Image = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", np.ascontiguousarray(self.planes[3:6].transpose(1, 2, 0)))
        if self.look is OWN:
            object.__setattr__(self, "look", Look(self.image))

    @classmethod
    def of(cls, image: Image, frames: int = 35) -> Scene:
        """Background statistics from one image, RGB (H, W, 3), uint8."""
        if image.ndim != 3 or image.shape[2] != 3:
            raise PromptError(f"an empty scene is an image (H, W, 3), not an array {image.shape}")
        planes = np.tile(image.transpose(2, 0, 1), (6, 1, 1))
        height, width = image.shape[:2]
        count = np.full((1, height, width), min(255, 7 * frames), np.uint8)
        return cls(np.concatenate([planes, np.zeros((2, height, width), np.uint8), count]))

    def in_other_light(self, gains: Sequence[float]) -> Scene:
        """Scale the background by factors of red, green and blue."""
        planes = np.concatenate([in_other_light(self.planes[:18], gains), self.planes[18:]])
        return Scene(planes).with_look(self.look)

    def with_look(self, look: Look) -> Scene:
        """Share the encoding of another background image if it is similar."""
        return Scene(self.planes, look) if look.is_like(self.image) else self


def once_per_scene(compute: Callable[[Scene], Known]) -> Callable[[Scene], Known]:
    """Cache a function's value for each scene in use.

    Its results must not hold the scene.
    """
    cache: WeakKeyDictionary[Scene, Known] = WeakKeyDictionary()

    @wraps(compute)
    def look_up(scene: Scene) -> Known:
        value = cache.get(scene)
        if value is None:
            value = cache[scene] = compute(scene)
        return value

    return look_up


@once_per_scene
def bounds_of(scene: Scene) -> tuple[Image, Image]:
    """Low and high quantile of the background as images, RGB (H, W, 3)."""
    low, high = scene.planes[0:3], scene.planes[6:9]
    return np.ascontiguousarray(low.transpose(1, 2, 0)), np.ascontiguousarray(high.transpose(1, 2, 0))


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) have the same aspect, up to rounding."""
    (height, width), (rows, columns) = size, other
    return abs(height * columns - width * rows) <= max(height, width, rows, columns)


def resized(image: npt.NDArray[Level], size: tuple[int, int]) -> npt.NDArray[Level]:
    """Resize an image or map, (H, W, 3) or (H, W)."""
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), image.dtype)


def in_other_light(planes: UInt8Array, gains: Sequence[float]) -> UInt8Array:
    """Scale planes (n, H, W) of red, green, blue, red, ... by factors of these colours."""
    lit = np.empty_like(planes)
    for channel, gain in enumerate(gains):
        table = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
        for place in range(channel, len(planes), 3):
            cv2.LUT(planes[place], table, dst=lit[place])
    return lit


def scene_planes(
    frames: Iterable[UInt8Array], hidden: Sequence[BoolArray] | BoolArray, min_frames: int
) -> UInt8Array:
    """Planes (21, H, W) of a :class:`Scene` from frames (3, H, W).

    ``hidden``, (H, W) each, is where something was in front of the background; a pixel needs ``min_frames``
    in which it was background.
    """
    values, covers = [*frames], np.stack([*hidden])
    count = len(values)
    covered = covers.sum(0, dtype=np.uint8)
    changes = (covers[1:] ^ covers[:-1]).sum(0, dtype=np.uint8)
    num_visible = np.uint8(count) - covered
    partly = (covered > 0) & ~too_few(num_visible, count, min_frames)
    of_all = np.concatenate(order_statistics(values, ranks(count)))
    background, pixels = of_all.copy(), np.flatnonzero(partly)
    if pixels.size:
        last = -covers.view(np.uint8)  # 255, which comes last, where a pixel is covered
        visible = [
            np.take(frame.reshape(3, -1), pixels, axis=1) | np.take(last_values, pixels)
            for frame, last_values in zip(values, last, strict=True)
        ]
        stack = np.stack(order_statistics(visible, range(count)))
        for i, rank in enumerate(ranks(num_visible.reshape(-1)[pixels].astype(np.intp))):
            for channel in range(3):
                background[3 * i + channel].reshape(-1)[pixels] = stack[rank, channel, np.arange(len(pixels))]
    shares = np.arange(256) * 255
    often = (shares // count).astype(np.uint8)[covered]
    restless = (shares // max(1, count - 1)).astype(np.uint8)[changes]
    certainty = np.full_like(often, min(255, 7 * count))
    return np.concatenate([background, of_all, np.stack([often, restless, certainty])])


BLOCK = 1 << 16
"""Values that are put in order together, so that they stay in the cache."""


def order_statistics(arrays: Sequence[npt.NDArray[Level]], places: Iterable[int]) -> list[npt.NDArray[Level]]:
    """Order statistics of several arrays, element by element, at some ranks."""
    shape, ranks_needed = arrays[0].shape, [*places]
    flat = [np.asarray(each).reshape(-1) for each in arrays]
    selected = [np.empty_like(flat[0]) for _ in ranks_needed]
    for begin in range(0, flat[0].size, BLOCK):
        part = slice(begin, begin + BLOCK)
        rows = [each[part].copy() for each in flat]
        free = np.empty_like(rows[0])
        for low, high in comparators(len(rows)):
            one, other = rows[low], rows[high]
            np.minimum(one, other, out=free)
            np.maximum(one, other, out=other)
            rows[low], free = free, one
        for place, array in zip(ranks_needed, selected, strict=True):
            array[part] = rows[place]
    return [array.reshape(shape) for array in selected]


@lru_cache(maxsize=64)
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Comparators of a sorting network for ``count`` values, as pairs of positions.

    Batcher's odd-even merge sort (Sorting networks and their applications, AFIPS 1968).
    """
    sizes = [1 << power for power in range(count.bit_length())]
    return tuple(
        (place + i, place + i + step)
        for size in sizes
        for step in reversed([each for each in sizes if each <= size])
        for place in range(step % size, count - step, 2 * step)
        for i in range(min(step, count - place - step))
        if (place + i) // (2 * size) == (place + i + step) // (2 * size)
    )


def ranks(count: Any) -> tuple[Any, Any, Any]:
    """Ranks of the low quantile, the median and the high quantile among ``count`` values."""
    low = (count - 1) // round(1 / LOW)
    return low, count // 2, count - 1 - low


def too_few(visible: npt.NDArray[np.integer], frames: int, min_frames: int) -> BoolArray:
    """Mask (H, W) of pixels that were background in too few of ``frames`` frames."""
    return np.asarray(visible < (min_frames if frames >= DOUBT_FROM else 1))


def median_of(arrays: Sequence[npt.NDArray[Level]]) -> npt.NDArray[Level]:
    """Median of arrays of one shape, (H, W) or (H, W, C); the mean of the middle two for even numbers."""
    middle = len(arrays) // 2
    if len(arrays) % 2:
        return order_statistics(arrays, [middle])[0]
    low, high = order_statistics(arrays, [middle - 1, middle])
    return np.asarray((low.astype(np.float32) + high) / 2, low.dtype)
