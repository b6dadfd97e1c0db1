"""Objects of a frame, the common input of all formats."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import cv2
import numpy as np

from segue.errors import ArgumentError
from segue.formats.text import without_controls
from segue.masks import Rle, decode_rle, encode_objects, encode_rle, resize_mask
from segue.types import Frame, IndexMask, ObjectInfo, Segmentation, visible_in
from segue.utils.arrays import BoolArray, UInt8Array, UInt16Array, id_type

Size: TypeAlias = "tuple[int, int] | Callable[[], tuple[int, int] | None] | None"
"""Output height and width of a sink, or a function that returns them at the first result; None keeps the
size of each result."""

JPEG_QUALITY = 95


class FrameObjects:
    """Objects of a frame in layer order, the last one on top; masks may overlap.

    Args:
        index: index of the frame, from 0.
        masks: mask of each object that the frame shows, by id, from below: (H, W), bool, or run lengths.
        size: height and width of the masks; by default those of the first one.
        time: time stamp in seconds.
        labels: class or name of each object, by id.
        scores: score of each object, by id; default 1.
        attributes: attributes of each object on this frame, by id; those of check boxes are bool.
        frame: returns the frame with its image, for formats with images.
        jpeg: returns the image as a JPEG file; by default it is encoded from ``frame``.

    Attributes:
        index: index of the frame, from 0.
        time: time stamp in seconds.
        attributes: attributes of each object on this frame, by id.

    Example:
        >>> objects = FrameObjects(3, {1: below, 2: above}, labels={1: "road", 2: "car"})
        >>> objects.mask[above].tolist() == [2] * above.sum()
    """

    def __init__(
        self,
        index: int,
        masks: Mapping[int, BoolArray | Rle],
        size: tuple[int, int] | None = None,
        *,
        time: float = 0.0,
        labels: Mapping[int, str | None] | None = None,
        scores: Mapping[int, float] | None = None,
        attributes: Mapping[int, Mapping[str, str | bool]] | None = None,
        frame: Callable[[], Frame] | None = None,
        jpeg: Callable[[], bytes] | None = None,
    ) -> None:
        self.index, self.time = index, time
        self.attributes = attributes or {}
        self._masks, self._size = masks, size
        self._labels, self._scores = labels or {}, scores or {}
        self._frame, self._jpeg = frame, jpeg

    @classmethod
    def of_result(
        cls, result: Segmentation, frame: Frame, size: Size = None, *, whole: bool = False
    ) -> FrameObjects:
        """Take the objects of a result.

        Args:
            result: the result.
            frame: its frame.
            size: height and width to which its masks are brought; None keeps them.
            whole: whether masks include hidden parts; else they are visible parts.

        Returns:
            The objects, in the order of the result.
        """
        return _ResultObjects(result, frame, size, whole)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the masks."""
        if self._size is None:
            for mask in self._masks.values():
                self._size = (mask["size"][0], mask["size"][1]) if isinstance(mask, dict) else mask.shape
                break
        if self._size is None:
            raise ArgumentError("size: a frame without a mask needs the size of the video")
        return self._size

    @cached_property
    def objects(self) -> tuple[ObjectInfo, ...]:
        """Visible objects from below: id, label and score; boxes and areas are computed."""
        return tuple(
            ObjectInfo(i, _plain(self._labels.get(i)), self._scores.get(i, 1.0)) for i in self._masks
        )

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the visible objects, from below."""
        return tuple(item.id for item in self.objects)

    @cached_property
    def lengths(self) -> dict[int, Rle]:
        """Compressed run lengths of each object, from below; may overlap."""
        return {i: mask if isinstance(mask, dict) else encode_rle(mask) for i, mask in self._masks.items()}

    def planes(self) -> Iterator[tuple[int, BoolArray]]:
        """Iterate over the masks of the objects, from the lowest layer up.

        Yields:
            Id and mask, (H, W), bool; masks may overlap.
        """
        for i, mask in self._masks.items():
            yield i, decode_rle(mask) if isinstance(mask, dict) else mask

    @cached_property
    def mask(self) -> IndexMask:
        """Index mask, (H, W), uint8 or uint16: topmost object of each pixel."""
        mask = np.zeros(self.size, id_type(max(self._masks, default=0)))
        for i, plane in self.planes():
            mask[plane] = i
        return mask

    @cached_property
    def result(self) -> Segmentation:
        """Visible pixels as a result of a run."""
        objects = visible_in(self.mask, sorted(self.objects, key=lambda item: item.id))
        return Segmentation(self.index, self.time, self.mask, objects)

    @cached_property
    def frame(self) -> Frame:
        """Frame with its image.

        Raises:
            ArgumentError: the objects were given without images.
        """
        if self._frame is None:
            raise ArgumentError("frame: this format has images; give the video")
        return self._frame()

    @cached_property
    def colours(self) -> UInt8Array | UInt16Array:
        """Image in full bit depth: RGB, (H, W, 3), uint8 or uint16."""
        return self.frame.colours

    def jpeg(self) -> bytes:
        """Encode the image as JPEG.

        Returns:
            The bytes of the file.
        """
        if self._jpeg is not None:
            return self._jpeg()
        image = cv2.cvtColor(self.frame.image, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()


class _ResultObjects(FrameObjects):
    """Objects of a result; masks are computed on demand."""

    def __init__(self, result: Segmentation, frame: Frame, size: Size, whole: bool) -> None:
        super().__init__(result.index, {}, time=result.time, frame=lambda: frame)
        self.__dict__["result"] = result
        self._target, self._whole = size, whole

    @property
    def size(self) -> tuple[int, int]:
        height, width = known_size(self._target) or self.result.mask.shape
        return height, width

    @cached_property
    def objects(self) -> tuple[ObjectInfo, ...]:
        return tuple(
            item if (label := _plain(item.label)) == item.label else replace(item, label=label)
            for item in self.result.objects
        )

    @cached_property
    def lengths(self) -> dict[int, Rle]:
        if self._whole:
            return {number: encode_rle(plane) for number, plane in self.planes()}
        return encode_objects(self.mask, self.result.ids)

    def planes(self) -> Iterator[tuple[int, BoolArray]]:
        if self._whole:
            yield from sized_masks(self.result, self._target)
            return
        for item in self.objects:
            yield item.id, np.asarray(self.mask == item.id)

    @cached_property
    def mask(self) -> IndexMask:
        return sized_mask(self.result, self._target)


@lru_cache(maxsize=1024)
def _plain(label: str | None) -> str | None:
    """Label that every format can hold."""
    return None if label is None else without_controls(label)


def known_size(size: Size) -> tuple[int, int] | None:
    """Size of a sink's files, if it is known."""
    return size() if callable(size) else size


def sized_mask(segmentation: Segmentation, size: Size) -> IndexMask:
    """Mask of a result at the size of a sink's files; None keeps its own."""
    target = known_size(size)
    return segmentation.mask if target is None else resize_mask(segmentation.mask, target)


def sized_masks(segmentation: Segmentation, size: Size) -> Iterator[tuple[int, BoolArray]]:
    """Id and whole mask of each object of a result, at the size of a sink's files."""
    target = known_size(size)
    for number, plane in zip(segmentation.ids, segmentation.masks, strict=True):
        yield number, plane if target is None else resize_mask(plane.view(np.uint8), target) > 0


def frame_name(names: Sequence[str] | None, index: int) -> str:
    """Name of a frame's image without suffix; ``00012`` if it has none."""
    return names[index] if names is not None and index < len(names) else f"{index:05d}"


def layer_order(frames: Iterable[Sequence[int]], rank: Mapping[int, Any]) -> list[int] | None:
    """Find one layer order for all frames.

    Args:
        frames: objects of each frame, from below.
        rank: decides between objects that no frame orders; every object has one.

    Returns:
        All objects of ``rank``, from below; None where frames contradict one another.
    """
    above: dict[int, set[int]] = {i: set() for i in rank}
    for objects in frames:
        for lower, upper in pairwise(objects):
            above[lower].add(upper)
    waiting = dict.fromkeys(rank, 0)
    for uppers in above.values():
        for upper in uppers:
            waiting[upper] += 1
    free = [(rank[i], i) for i, count in waiting.items() if not count]
    heapq.heapify(free)
    order: list[int] = []
    while free:
        _, lower = heapq.heappop(free)
        order.append(lower)
        for upper in above[lower]:
            waiting[upper] -= 1
            if not waiting[upper]:
                heapq.heappush(free, (rank[upper], upper))
    return order if len(order) == len(rank) else None
