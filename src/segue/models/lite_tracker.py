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
from segue.models.memory.parts import Parts, boxes_of, merge_parts, planes_of, total_of, working_window
from segue.models.memory.table import PartialValues, Values
from segue.models.memory.tracker import object_logits, to_image
from segue.models.memory.window import ALIGNED, OUTSIDE, Boxes, Sides, Window
from segue.state import checkpointed

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
        self._measured: tuple[Tensor, Boxes] | None = None  # the previous masks, and boxes around them

    def choose_window(self, plan: FramePlan) -> Window | None:
        masks, margin = self._previous_masks, self._margin()
        if masks is None or margin is None:
            return None
        boxes = self._boxes_of(masks)
        if not boxes.visible.all():  # an object out of sight may come back anywhere
            return None
        is_wide = plan.keep and self._is_mostly_hidden(masks)
        return self._windows(boxes.union(), WIDER * margin if is_wide else margin)[0]

    def _boxes_of(self, masks: Tensor) -> Boxes:
        """Boxes around the previous masks, measured once."""
        if self._measured is None or self._measured[0] is not masks:
            self._measured = masks, Boxes.of(masks)
        return self._measured[1]

    def _areas(self, masks: Tensor) -> list[int]:
        """Number of pixels of each of the previous masks."""
        sides = self._boxes_of(masks).sides.tolist()
        return [
            int(np.count_nonzero(plane[top:bottom, left:right]))
            for plane, (top, left, bottom, right) in zip(masks.numpy(), sides, strict=True)
        ]

    def finish(self, plan: FramePlan) -> None:
        super().finish(plan)
        if plan.keep and self._previous_masks is not None and self._margin() is not None:
            self._largest = {
                i: max(area, round(AREA_DECAY * self._largest.get(i, 0)))
                for i, area in zip(self.ids, self._areas(self._previous_masks), strict=True)
            }

    def _is_mostly_hidden(self, masks: Tensor) -> bool:
        """Whether much of an object is hidden, so that it may reappear elsewhere."""
        pairs = zip(self.ids, self._areas(masks), strict=True)
        return any(area < HIDDEN * self._largest.get(i, 0) for i, area in pairs)

    def widen(self, window: Window, sides: Sides) -> Window | None:
        margin = self._margin()
        return None if margin is None else window.widened(sides, WIDER * margin)

    def read_mask(self, ids: Sequence[int], plan: FramePlan) -> Tensor | None:
        margin = self._margin()
        if len(self.ids) < MANY or margin is None:  # before the masks are taken: on a GPU that waits
            return None
        boxes = self._boxes_for(ids, plan)
        if boxes is None:
            return None
        windows = self._windows(boxes, round(DECODED * margin))
        return torch.stack([self._positions_of(window, boxes) for window in windows])

    def _positions_of(self, window: Window | None, boxes: Boxes) -> Tensor:
        """Memory positions (h, w), bool, in a window of the image of some boxes; all without one."""
        height, width = (side // self.network.read_stride for side in boxes.image)
        mask = torch.full((height, width), window is None)
        if window is not None:
            window.cut(mask).fill_(True)
        return mask

    def _boxes_for(self, ids: Sequence[int], plan: FramePlan) -> Boxes | None:
        """Boxes around the last masks of some objects, in the predicted region."""
        masks = self._previous_masks
        if masks is None:
            return None
        boxes = self._boxes_of(masks).select([self.ids.index(i) for i in ids])
        return boxes if plan.window is None else boxes.cut(plan.window)

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        margin = self._margin()
        boxes = None if len(self.ids) == 1 or margin is None else self._boxes_for(ids, plan)
        if boxes is None or margin is None:
            logits: Tensor = self.network.decode(query, readout)
            return logits
        windows = self._windows(boxes, round(DECODED * margin))
        decoded = self._decode_within(query, readout, windows)
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
                (wider,) = self._windows(boxes.select([number]), WIDER * margin)
                within, table = self._positions_of(wider, boxes), self.memories[view].tables[0]
                more = table.read_wider(ids[number], readout[one], within).to(readout.dtype)
                decoded[one] = self._decode_within(query, more, [wider])
        return decoded

    def _decode_within(
        self, query: QueryFeatures, readout: Tensor, windows: Sequence[Window | None]
    ) -> Tensor:
        """Decode log-odds (K, h, w) of each object from its readout, in its window if any."""
        joint, *maps = query.features

        def decode(places: list[int], parts: list[Window]) -> Tensor:
            if not parts:
                whole: Tensor = self.network.decode(query, readout[places])
                return whole
            inside = replace(query, features=(joint, *(_stacked(parts, planes) for planes in maps)))
            logits: Tensor = self.network.decode(inside, _stacked(parts, readout, places)[:, None])
            return logits[:, 0]

        decoded = _by_size(decode, windows)
        logits = decoded[0].new_full((len(windows), *maps[-1].shape[-2:]), OUTSIDE)
        for plane, window, values in zip(logits, windows, decoded, strict=True):
            (plane if window is None else window.cut(plane)).copy_(values)
        return logits

    def _margin(self) -> int | None:
        """Margin of windows around objects in pixels; None to predict the whole frame."""
        masks, schedule = self._previous_masks, self.schedule
        if masks is None or schedule.window is None or not schedule.include_last:
            return None
        # A GPU gains less from the smaller sizes than the processor loses by waiting for the masks.
        reads_everything = masks.device.type != "cpu" or schedule.flip_tta
        return None if reads_everything else round(schedule.window * min(masks.shape[-2:]))

    def merge(self, logits: Tensor, geometry: ResizePadGeometry) -> tuple[TrackOutput, Tensor | Parts]:
        if len(logits) < MANY or self._margin() is None:
            return super().merge(logits, geometry)
        highest, masks = merge_parts(logits, geometry)
        expand = partial(to_image, geometry=geometry, to_probabilities=self.class_probabilities())
        full_logits = partial(object_logits, geometry=geometry)
        output = TrackOutput(
            self.ids, None, logits, expand, highest=highest, logits=full_logits, by_object=True
        )
        return output, masks

    def crop_masks(
        self, masks: Tensor | Parts, geometry: ResizePadGeometry, plan: FramePlan
    ) -> Tensor | Parts:
        if not isinstance(masks, Parts):
            return super().crop_masks(masks, geometry, plan)
        masks = masks.to(self._setup.dtype)
        if not self.network.masks_in_padding:
            masks = masks.clipped(working_window(geometry))
        return masks if plan.window is None else masks.cut(plan.window)

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor | Parts, plan: FramePlan) -> Any:
        """Encode objects in their windows; elsewhere the values of the last frame are kept."""
        previous, margin = self._previous_masks, self._margin()
        if plan.keep or margin is None or previous is None:
            return super().encode_masks(view, query, masks, plan)
        boxes = boxes_of(masks)
        full = Window(0, 0, *boxes.image, boxes.image)
        part, stride = plan.window or full, self.network.read_stride
        windows = self._windows(boxes.joined(self._boxes_of(previous).cut(part)), round(NARROW * margin))
        encoded = self._encode_within(query, masks, total_of(masks), windows)
        row, column = part.at(stride)
        changed = []
        for window, values in zip(windows, encoded, strict=True):
            down, across = (window or full).at(stride)
            changed.append(PartialValues((row + down, column + across), values))
        if plan.window is not None:
            key = self.memories[0].tables[0].last_key()
            part.cut(key).copy_(query.key)
            query = replace(query, key=key)
        return query, changed

    def encode_objects(
        self,
        view: int,
        query: QueryFeatures,
        masks: Tensor | Parts,
        total: Tensor,
        ids: Sequence[int],
        plan: FramePlan,
    ) -> tuple[Tensor | None, Values]:
        if len(masks) < MANY or total.device.type != "cpu" or self.schedule.window is None:
            return None, self.network.encode_memory(query, planes_of(masks), total)[1]
        # Far from an object all values are those of a frame without it.
        boxes = boxes_of(masks)
        windows = self._windows(boxes, round(self.schedule.window * min(boxes.image)))
        without = self.network.encode_memory(query, torch.zeros_like(total), total)[1][0]
        values: list[Tensor | PartialValues] = []
        for window, value in zip(windows, self._encode_within(query, masks, total, windows), strict=True):
            if window is None:
                values.append(value)
            else:  # what is near a side sees less than all around it
                inner = window.without_edge(EDGE)
                at = inner.at(self.network.read_stride)
                values.append(PartialValues(at, inner.cut(value, window), without))
        return None, values

    def _encode_within(
        self, query: QueryFeatures, masks: Tensor | Parts, total: Tensor, windows: Sequence[Window | None]
    ) -> list[Tensor]:
        """Encode values (Cv, h, w) of each mask (K, H, W), in its window if any."""
        joint, *maps = query.features

        def encode(places: list[int], parts: list[Window]) -> Tensor:
            planes = planes_of(masks, places, parts)
            if not parts:
                values: Tensor = self.network.encode_memory(query, planes, total)[1]
                return values
            features = (_stacked(parts, joint), *maps)
            inside = replace(query, image=_stacked(parts, query.image), features=features)
            encoded: Tensor = self.network.encode_memory(inside, planes[:, None], _stacked(parts, total))[1]
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
