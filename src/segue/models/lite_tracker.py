"""The tracker of stcn-lite: on a processor it predicts and encodes objects in windows around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from segue.inference.threads import run_each
from segue.models.base import QueryFeatures, TrackOutput
from segue.models.geometry import ResizePadGeometry
from segue.models.memory import FramePlan, MemoryTracker
from segue.models.memory.components import EVEN
from segue.models.memory.parts import merge_parts
from segue.models.memory.table import Changes
from segue.models.memory.window import OUTSIDE, Window

WIDER = 2
"""Margin of the window where objects left the first one, in its margins."""

WIDEST = 0.6
"""Largest part of an image that a wider window may be. Objects often leave a larger one too, and to see the
image at once takes less time than both."""

NARROW = 0.25
"""Part of the margin within which the values of an object are made anew; farther away the last ones stay."""

TOGETHER = 8
"""Objects that are decoded or encoded at once, in windows of the same size."""

MANY = 6
"""Objects from which on each is encoded on a kept frame in a window around it alone."""

EDGE = 16
"""Pixels at the sides of these windows that see too little around them."""

DECODED = 0.8
"""Part of the margin within which each of several objects is decoded."""


Chunk = tuple[list[int], list[Window]]
"""Places of objects that are computed together, and their windows, of one size; none for the whole image."""


class LiteTracker(MemoryTracker):
    """Follows objects in a window around them where that suffices."""

    def choose_windows(self, plan: FramePlan) -> Sequence[Window]:
        masks, margin = self._previous_masks, self._margin()
        if masks is None or margin is None:
            return ()
        first, wider = Window.around(masks, margin), Window.around(masks, WIDER * margin)
        if wider is not None and wider.share > WIDEST:
            wider = None
        return [window for window in (first, wider) if window is not None]

    def wanted(self, ids: Sequence[int], plan: FramePlan) -> Tensor | None:
        margin = self._margin()
        if len(self.ids) < MANY or margin is None:  # before the masks are taken: on a GPU that waits
            return None
        masks = self._masks_before(ids, plan)
        if masks is None:
            return None
        stride = self.network.read_stride
        found = torch.ones(len(ids), *(side // stride for side in masks.shape[1:]), dtype=torch.bool)
        # Also what is read where an object leaves its window.
        for plane, window in zip(found, Window.around_each(masks, WIDER * margin), strict=True):
            if window is not None:
                plane.zero_()
                window.cut(plane).fill_(True)
        return found

    def _masks_before(self, ids: Sequence[int], plan: FramePlan) -> Tensor | None:
        """The last masks (K, h, w), bool, of some objects in the part of the image that is predicted."""
        masks = self._previous_masks
        if masks is None:
            return None
        masks = masks[[self.ids.index(i) for i in ids]]
        return masks if plan.window is None else plan.window.cut(masks)

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        margin = self._margin()
        masks = None if len(self.ids) == 1 or margin is None else self._masks_before(ids, plan)
        if masks is None or margin is None:
            return super().decode(view, query, readout, ids, plan)
        windows = Window.around_each(masks, round(DECODED * margin))
        decoded = torch.cat(self._decode_within(query, readout, windows))
        highest = decoded.amax(0, keepdim=True)
        for number, window in enumerate(windows):
            if window is None:
                continue
            one = slice(number, number + 1)
            own = window.cut(decoded[one])
            # Where another object wins, this one does not leave.
            winning = own.masked_fill(own < window.cut(highest), OUTSIDE)
            # An object that only may be there (LIKELY) is no reason to decode it again.
            if window.is_left(winning, EVEN):
                wider = Window.around_each(masks[one], WIDER * margin)
                (decoded[one],) = self._decode_within(query, readout[one], wider)
        return decoded

    def _decode_within(
        self, query: QueryFeatures, readout: Tensor, windows: Sequence[Window | None]
    ) -> list[Tensor]:
        """Log-odds (1, h, w) of each object by its readout (K, Cv, h, w), in its window if it has one."""
        found: dict[int, Tensor] = {}
        joint, *maps = query.features

        def decode(chunk: Chunk) -> None:
            places, parts = chunk
            if not parts:
                logits = self.network.decode(query, readout[places])
                found.update(zip(places, logits.split(1), strict=True))
                return
            inside = replace(query, features=(joint, *(_stacked(parts, planes) for planes in maps)))
            own = _stacked(parts, *(readout[place : place + 1] for place in places))
            logits = self.network.decode(inside, own[:, None])
            for place, part, one in zip(places, parts, logits, strict=True):
                found[place] = part.paste(one)

        self._run_each(decode, _of_a_size(windows))
        return [found[place] for place in range(len(windows))]

    def _run_each(self, work: Callable[[Chunk], None], chunks: list[Chunk]) -> None:
        """Chunks of many objects are computed side by side, the largest first; those of few one by one."""
        if len(chunks) < 2 or sum(len(places) for places, _ in chunks) < MANY:
            for chunk in chunks:
                work(chunk)
            return
        sizes = [len(places) * (parts[0].share if parts else 1) for places, parts in chunks]
        order = sorted(range(len(chunks)), key=sizes.__getitem__, reverse=True)
        run_each(work, [chunks[place] for place in order])

    def _margin(self) -> int | None:
        """Margin of the windows around objects in pixels; None for a frame that is predicted whole."""
        masks, schedule = self._previous_masks, self.schedule
        if masks is None or schedule.window is None or not schedule.include_last:
            return None
        # A GPU gains less from the smaller sizes than the processor loses by waiting for the masks.
        whole = masks.device.type != "cpu" or schedule.flip_tta
        return None if whole else round(schedule.window * min(masks.shape[-2:]))

    def merge(self, logits: Tensor, geometry: ResizePadGeometry) -> tuple[TrackOutput, Tensor]:
        if len(logits) < MANY or self._margin() is None:
            return super().merge(logits, geometry)
        highest, seen = merge_parts(logits, geometry)
        return self._output(None, logits, geometry, highest), seen

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        """As of any tracker; objects are encoded in their windows, and the rest is the last frame's."""
        seen, margin = self._previous_masks, self._margin()
        if plan.keep or margin is None or seen is None:
            return super().encode_masks(view, query, masks, plan)
        total = masks.sum(0, keepdim=True)
        height, width = masks.shape[1:]
        part = plan.window or Window(0, 0, height, width, (height, width))
        windows = Window.around_each((masks > 0.5) | part.cut(seen), round(NARROW * margin))
        if len(masks) >= MANY and plan.window is None and plan.ids == self.ids:
            return query, Changes(self._encoded_parts(query, masks, total, windows))
        key, values = self.memories[0].tables[0].last_entry(plan.ids)
        fresh = part.part_of(values)  # no copy of the whole image, which nobody else uses
        self._encode_within(query, masks, total, windows, fresh)
        values = fresh if plan.window is None else part.put(values, fresh)
        return replace(query, key=part.put(key, query.key)), values

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
            return super().encode_objects(view, query, masks, total, ids, plan)
        # Far from an object all values are those of a frame without it.
        windows = Window.around_each(masks > 0.5, round(self.schedule.window * min(masks.shape[-2:])))
        without = self.network.encode_memory(query, torch.zeros_like(total), total)[1]
        values = without.expand(len(masks), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        self._encode_within(query, masks, total, windows, values, EDGE)
        return None, values

    def _encoded_parts(
        self, query: QueryFeatures, masks: Tensor, total: Tensor, windows: Sequence[Window | None]
    ) -> list[tuple[tuple[int, int], Tensor]]:
        """Where the windows of masks (K, H, W) lie, each alone, and the values there; of all without one."""
        found: dict[int, tuple[tuple[int, int], Tensor]] = {}

        def encode(chunk: Chunk) -> None:
            places, parts = chunk
            made = self._encoded_chunk(query, masks, total, chunk)
            for number, (place, one) in enumerate(zip(places, made, strict=True)):
                found[place] = parts[number].at(self.network.read_stride) if parts else (0, 0), one

        self._run_each(encode, _of_a_size(windows))
        return [found[place] for place in range(len(windows))]

    def _encoded_chunk(self, query: QueryFeatures, masks: Tensor, total: Tensor, chunk: Chunk) -> Tensor:
        """Values (N, Cv, h, w) of a chunk of masks (K, H, W) in their windows."""
        places, parts = chunk
        if not parts:
            whole: Tensor = self.network.encode_memory(query, masks[places], total)[1]
            return whole
        joint, *maps = query.features
        image, joint_parts = (_stacked(parts, planes) for planes in (query.image, joint))
        inside = replace(query, image=image, features=(joint_parts, *maps))
        own = _stacked(parts, *(masks[place : place + 1] for place in places))
        made: Tensor = self.network.encode_memory(inside, own, _stacked(parts, total))[1]
        return made[:, 0]

    def _encode_within(
        self,
        query: QueryFeatures,
        masks: Tensor,
        total: Tensor,
        windows: Sequence[Window | None],
        values: Tensor,
        edge: int = 0,
    ) -> None:
        """Make values (K, Cv, h, w) of masks (K, H, W) anew, in the window of each alone if it has one.

        Those within ``edge`` pixels of the sides of a window stay, for they see less than all around them.
        """

        def encode(chunk: Chunk) -> None:
            places, parts = chunk
            made = self._encoded_chunk(query, masks, total, chunk)
            if not parts:
                values[places] = made
                return
            for place, part, one in zip(places, parts, made, strict=True):
                inner = part.without_edge(edge)
                inner.cut(values[place]).copy_(inner.within(part, one))

        self._run_each(encode, _of_a_size(windows))


def _of_a_size(windows: Sequence[Window | None]) -> list[Chunk]:
    """Places of windows of the same size, at most ``TOGETHER``, and these windows; none for the whole."""
    groups: dict[tuple[int, int], list[Chunk]] = {}
    for place, window in enumerate(windows):
        size = (0, 0) if window is None else (window.height, window.width)
        chunks = groups.setdefault(size, [])
        if not chunks or len(chunks[-1][0]) == TOGETHER:
            chunks.append(([], []))
        places, parts = chunks[-1]
        places.append(place)
        if window is not None:
            parts.append(window)
    return [chunk for chunks in groups.values() for chunk in chunks]


def _stacked(windows: Sequence[Window], *planes: Tensor) -> Tensor:
    """The parts of planes inside of windows of one size, one below the other; one plane serves all."""
    each = planes * len(windows) if len(planes) == 1 else planes
    parts = [window.cut(own) for window, own in zip(windows, each, strict=True)]
    joined = torch.cat(parts)
    return joined.contiguous(memory_format=torch.channels_last) if joined.dim() == 4 else joined[:, None]
