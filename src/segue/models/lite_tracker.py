"""Tracker of stcn-lite: on a CPU, objects are predicted and encoded in windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segue.inference.threads import run_each
from segue.models.base import QueryFeatures, Setup, Shape, TrackOutput
from segue.models.geometry import ResizePadGeometry
from segue.models.memory import FramePlan, MemoryTracker
from segue.models.memory.components import EVEN
from segue.models.memory.parts import merge_parts
from segue.models.memory.table import Changes
from segue.models.memory.tracker import object_logits, to_image
from segue.models.memory.window import ALIGNED, OUTSIDE, Sides, Window
from segue.state import checkpointed
from segue.utils.arrays import BoolArray

WIDER = 2
"""Growth of a window at sides where objects leave it, in margins."""

STEP_OF_INT8 = 48
"""Sides of windows are multiples of so many pixels where layers are of 8-bit integers: oneDNN makes a kernel
of each layer for each size, and all those of a new size take as long as a frame."""

HIDDEN, AREA_DECAY = 0.8, 0.95
"""An object with less than this part of its largest area hides; the largest one falls by the second factor
from one frame in memory to the next, as objects also become smaller."""

NARROW = 0.25
"""Share of the margin in which an object's values are recomputed; farther away the last ones are kept."""

TOGETHER = 8
"""Objects that are decoded or encoded at once, in windows of the same size."""

MANY = 6
"""Minimum number of objects for encoding each one in its own window on memory frames."""

EDGE = 16
"""Pixels at the sides of these windows that see too little around them."""

DECODED = 0.8
"""Part of the margin within which each of several objects is decoded."""


Chunk = tuple[list[int], list[Window]]
"""Places of objects that are computed together, and their windows, of one size; none for the whole image."""


class LiteTracker(MemoryTracker):
    """Tracks objects in windows around them if that suffices."""

    _largest: dict[int, int] = checkpointed(dict, later=True)  # pixels of objects by id

    def __init__(self, network: Any, setup: Setup) -> None:
        super().__init__(network, setup)
        self._windows = partial(Window.around, step=STEP_OF_INT8 if setup.in_int8 else ALIGNED)

    def choose_window(self, plan: FramePlan) -> Window | None:
        masks, margin = self._previous_masks, self._margin()
        if masks is None or margin is None:
            return None
        planes: BoolArray = masks.numpy()  # NumPy takes a tenth of the time
        if not np.all(planes.any((1, 2))):  # an object out of sight may come back anywhere
            return None
        union = torch.from_numpy(np.asarray(planes.any(0, keepdims=True)))
        return self._windows(
            union, WIDER * margin if plan.keep and self._is_mostly_hidden(planes) else margin
        )[0]

    def finish(self, plan: FramePlan) -> None:
        super().finish(plan)
        if plan.keep and self._previous_masks is not None and self._margin() is not None:
            areas = np.count_nonzero(self._previous_masks.numpy(), axis=(1, 2))
            self._largest = {
                i: max(int(area), round(AREA_DECAY * self._largest.get(i, 0)))
                for i, area in zip(self.ids, areas, strict=True)
            }

    def _is_mostly_hidden(self, masks: BoolArray) -> bool:
        """Whether much of an object is hidden, so that it may reappear elsewhere."""
        areas = np.count_nonzero(masks, axis=(1, 2))
        pairs = zip(self.ids, areas, strict=True)
        return any(area < HIDDEN * self._largest.get(i, 0) for i, area in pairs)

    def widen(self, window: Window, sides: Sides) -> Window | None:
        margin = self._margin()
        return None if margin is None else window.widened(sides, WIDER * margin)

    def read_mask(self, ids: Sequence[int], plan: FramePlan) -> Tensor | None:
        margin = self._margin()
        if len(self.ids) < MANY or margin is None:  # before the masks are taken: on a GPU that waits
            return None
        masks = self._masks_for(ids, plan)
        if masks is None:
            return None
        stride = self.network.read_stride
        mask = torch.ones(len(ids), *(side // stride for side in masks.shape[1:]), dtype=torch.bool)
        # Also what is read where an object leaves its window.
        for plane, window in zip(mask, self._windows(masks, WIDER * margin), strict=True):
            if window is not None:
                plane.zero_()
                window.cut(plane).fill_(True)
        return mask

    def _masks_for(self, ids: Sequence[int], plan: FramePlan) -> Tensor | None:
        """Last masks (K, h, w), bool, of some objects in the predicted region."""
        masks = self._previous_masks
        if masks is None:
            return None
        masks = masks[[self.ids.index(i) for i in ids]]
        return masks if plan.window is None else plan.window.cut(masks)

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        margin = self._margin()
        masks = None if len(self.ids) == 1 or margin is None else self._masks_for(ids, plan)
        if masks is None or margin is None:
            logits: Tensor = self.network.decode(query, readout)
            return logits
        windows = self._windows(masks, round(DECODED * margin))
        decoded = torch.cat(self._decode_within(query, readout, windows))
        highest = decoded.amax(0, keepdim=True)
        for number, window in enumerate(windows):
            if window is None:
                continue
            one = slice(number, number + 1)
            object_logits = window.cut(decoded[one])
            # Where another object wins, this one does not leave.
            winning = object_logits.masked_fill(object_logits < window.cut(highest), OUTSIDE)
            # An object that only may be there (LIKELY) is no reason to decode it again.
            if any(window.left_sides(winning, EVEN)):
                wider = self._windows(masks[one], WIDER * margin)
                (decoded[one],) = self._decode_within(query, readout[one], wider)
        return decoded

    def _decode_within(
        self, query: QueryFeatures, readout: Tensor, windows: Sequence[Window | None]
    ) -> list[Tensor]:
        """Decode log-odds (1, h, w) of each object from its readout, in its window if any."""
        joint, *maps = query.features

        def decode(places: list[int], parts: list[Window]) -> Sequence[Tensor]:
            if not parts:
                return self.network.decode(query, readout[places]).split(1)
            inside = replace(query, features=(joint, *(_stacked(parts, planes) for planes in maps)))
            logits = self.network.decode(inside, _stacked(parts, readout, places)[:, None])
            return [part.paste(one) for part, one in zip(parts, logits, strict=True)]

        return _by_size(decode, windows)

    def _margin(self) -> int | None:
        """Margin of windows around objects in pixels; None to predict the whole frame."""
        masks, schedule = self._previous_masks, self.schedule
        if masks is None or schedule.window is None or not schedule.include_last:
            return None
        # A GPU gains less from the smaller sizes than the processor loses by waiting for the masks.
        reads_everything = masks.device.type != "cpu" or schedule.flip_tta
        return None if reads_everything else round(schedule.window * min(masks.shape[-2:]))

    def merge(self, logits: Tensor, geometry: ResizePadGeometry) -> tuple[TrackOutput, Tensor]:
        if len(logits) < MANY or self._margin() is None:
            return super().merge(logits, geometry)
        highest, probabilities = merge_parts(logits, geometry)
        expand = partial(to_image, geometry=geometry, to_probabilities=self.class_probabilities())
        full_logits = partial(object_logits, geometry=geometry)
        output = TrackOutput(
            self.ids, None, logits, expand, highest=highest, logits=full_logits, by_object=True
        )
        return output, probabilities

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        """Encode objects in their windows; elsewhere the values of the last frame are kept."""
        previous, margin = self._previous_masks, self._margin()
        if plan.keep or margin is None or previous is None:
            return super().encode_masks(view, query, masks, plan)
        size: Shape = (masks.shape[1], masks.shape[2])
        full = Window(0, 0, *size, size)
        part, stride = plan.window or full, self.network.read_stride
        windows = self._windows((masks > 0.5) | part.cut(previous), round(NARROW * margin))
        encoded = self._encode_within(query, masks, masks.sum(0, keepdim=True), windows)
        row, column = part.at(stride)
        changed = []
        for window, values in zip(windows, encoded, strict=True):
            down, across = (window or full).at(stride)
            changed.append(((row + down, column + across), values))
        if plan.window is not None:
            key = self.memories[0].tables[0].last_key()
            part.cut(key).copy_(query.key)
            query = replace(query, key=key)
        return query, Changes(changed)

    def encode_objects(
        self,
        view: int,
        query: QueryFeatures,
        masks: Tensor,
        total: Tensor,
        ids: Sequence[int],
        plan: FramePlan,
    ) -> tuple[Tensor | None, Tensor]:
        if len(masks) < MANY or masks.device.type != "cpu" or self.schedule.window is None:
            return None, self.network.encode_memory(query, masks, total)[1]
        # Far from an object all values are those of a frame without it.
        windows = self._windows(masks > 0.5, round(self.schedule.window * min(masks.shape[-2:])))
        without = self.network.encode_memory(query, torch.zeros_like(total), total)[1]
        values = without.expand(len(masks), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        encoded = self._encode_within(query, masks, total, windows)
        for value, window, object_value in zip(values, windows, encoded, strict=True):
            if window is None:
                value.copy_(object_value)
            else:  # what is near a side sees less than all around it
                inner = window.without_edge(EDGE)
                inner.cut(value).copy_(inner.cut(object_value, window))
        return None, values

    def _encode_within(
        self, query: QueryFeatures, masks: Tensor, total: Tensor, windows: Sequence[Window | None]
    ) -> list[Tensor]:
        """Encode values (Cv, h, w) of each mask (K, H, W), in its window if any."""
        joint, *maps = query.features

        def encode(places: list[int], parts: list[Window]) -> Tensor:
            if not parts:
                values: Tensor = self.network.encode_memory(query, masks[places], total)[1]
                return values
            features = (_stacked(parts, joint), *maps)
            inside = replace(query, image=_stacked(parts, query.image), features=features)
            object_masks, every = _stacked(parts, masks, places), _stacked(parts, total)
            encoded: Tensor = self.network.encode_memory(inside, object_masks, every)[1]
            return encoded[:, 0]

        return _by_size(encode, windows)


def _by_size(
    work: Callable[[list[int], list[Window]], Iterable[Tensor]], windows: Sequence[Window | None]
) -> list[Tensor]:
    """Apply ``work`` to objects, batched by window size.

    It takes their places, ``TOGETHER`` at most, and their windows, none for the whole image. Of many objects
    such chunks are computed side by side, the largest first; of few one by one.
    """
    chunks: list[Chunk] = []
    open_chunks: dict[Shape, Chunk] = {}
    for place, window in enumerate(windows):
        size = (0, 0) if window is None else (window.height, window.width)
        if size not in open_chunks or len(open_chunks[size][0]) == TOGETHER:
            open_chunks[size] = [], []
            chunks.append(open_chunks[size])
        places, parts = open_chunks[size]
        places.append(place)
        if window is not None:
            parts.append(window)
    results = [torch.empty(0)] * len(windows)

    def take(chunk: Chunk) -> None:
        for place, result in zip(chunk[0], work(*chunk), strict=True):
            results[place] = result

    if len(windows) < MANY:
        for chunk in chunks:
            take(chunk)
    else:
        chunks.sort(key=lambda chunk: len(chunk[0]) * (chunk[1][0].share if chunk[1] else 1), reverse=True)
        run_each(take, chunks)
    return results


def _stacked(windows: Sequence[Window], planes: Tensor, places: Sequence[int] | None = None) -> Tensor:
    """Stack the parts of planes (K, ...) inside windows of one size.

    ``places`` says which plane each window takes; without it there is one for all.
    """
    parts = []
    for number, window in enumerate(windows):
        plane = planes if places is None else planes[places[number]][None]
        parts.append(window.cut(plane))
    joined = torch.cat(parts)
    return joined.contiguous(memory_format=torch.channels_last) if joined.dim() == 4 else joined[:, None]
