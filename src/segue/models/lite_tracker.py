"""The tracker of stcn-lite: on a processor it predicts and encodes objects in windows around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from segue.models.base import QueryFeatures
from segue.models.memory import FramePlan, MemoryTracker
from segue.models.memory.components import EVEN
from segue.models.memory.window import OUTSIDE, Window

WIDER = 2
"""Margin of the window where objects left the first one, in its margins."""

WIDEST = 0.6
"""Largest part of an image that a wider window may be. Objects often leave a larger one too, and to see the
image at once takes less time than both."""

NARROW = 0.25
"""Part of the margin within which the values of an object are made anew; farther away the last ones stay."""

DECODED = 0.8
"""Part of the margin within which each of several objects is decoded."""


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

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        masks, margin = self._previous_masks, self._margin()
        if len(self.ids) == 1 or masks is None or margin is None:
            return super().decode(view, query, readout, ids, plan)
        masks = masks[[self.ids.index(i) for i in ids]]
        masks = masks if plan.window is None else plan.window.cut(masks)
        windows = Window.around_each(masks, round(DECODED * margin))
        decoded = [self._decode_one(query, *one) for one in zip(readout.split(1), windows, strict=True)]
        highest = torch.cat(decoded).amax(0, keepdim=True)
        for number, (window, logits) in enumerate(zip(windows, decoded, strict=True)):
            # Where another object wins, this one does not leave.
            winning = logits.masked_fill(logits < highest, OUTSIDE)
            # An object that only may be there (LIKELY) is no reason to decode it again.
            if window is not None and window.is_left(window.cut(winning), EVEN):
                one = slice(number, number + 1)
                (wider,) = Window.around_each(masks[one], WIDER * margin)
                decoded[number] = self._decode_one(query, readout[one], wider)
        return torch.cat(decoded)

    def _decode_one(self, query: QueryFeatures, readout: Tensor, window: Window | None) -> Tensor:
        """Log-odds (1, h, w) of an object by its readout (1, Cv, h, w), perhaps by a window alone."""
        if window is None:
            return self.network.decode(query, readout)
        joint, *maps = query.features
        inside = replace(query, features=(joint, *map(window.part_of, maps)))
        return window.paste(self.network.decode(inside, window.part_of(readout)))

    def _margin(self) -> int | None:
        """Margin of the windows around objects in pixels; None for a frame that is predicted whole."""
        masks, schedule = self._previous_masks, self.schedule
        if masks is None or schedule.window is None or not schedule.include_last:
            return None
        # A GPU gains less from the smaller sizes than the processor loses by waiting for the masks.
        whole = masks.device.type != "cpu" or schedule.flip_tta
        return None if whole else round(schedule.window * min(masks.shape[-2:]))

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        """As of any tracker; objects are encoded in their windows, and the rest is the last frame's."""
        seen, margin = self._previous_masks, self._margin()
        if plan.keep or margin is None or seen is None:
            return super().encode_masks(view, query, masks, plan)
        total = masks.sum(0, keepdim=True)
        key, values = self.memories[0].tables[0].last_entry(plan.ids)
        height, width = masks.shape[1:]
        part = plan.window or Window(0, 0, height, width, (height, width))
        windows = Window.around_each((masks > 0.5) | part.cut(seen), round(NARROW * margin))
        fresh = []
        for own, last, window in zip(masks.split(1), part.part_of(values).split(1), windows, strict=True):
            if window is None:
                fresh.append(self.network.encode_memory(query, own, total)[1])
            else:
                joint, *maps = query.features
                inside = replace(
                    query, image=window.part_of(query.image), features=(window.part_of(joint), *maps)
                )
                made = self.network.encode_memory(inside, window.cut(own), window.cut(total))
                fresh.append(window.put(last, made[1]))
        return replace(query, key=part.put(key, query.key)), part.put(values, torch.cat(fresh))
