"""A memory network with a recurrent state of each object: segue's tracker with two steps of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.models.base import QueryFeatures, Schedule, Tracker
from segue.models.geometry import aggregate, padding
from segue.models.memory import FramePlan, MemoryTracker
from segue.registry import Entry

STRIDE = 4


class FadingTracker(MemoryTracker):
    """Remembers how often an object was seen at each place, and believes what it read a little less there."""

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        seen = self.states_of(view, "seen", ids, torch.zeros(query.key.shape[-2:]))
        logits: Tensor = self.network.decode(query, readout)
        share = F.avg_pool2d(logits.sigmoid(), STRIDE)
        self.keep_states(view, "seen", ids, torch.lerp(seen, share, self.network.pace.detach()))
        unseen = F.interpolate(1 - seen[None], scale_factor=STRIDE)[0]
        return logits - FadingMemory.doubt * unseen

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        if plan.prompts is not None:
            self.keep_states(view, "seen", plan.ids, F.avg_pool2d(masks, STRIDE))
        return super().encode_masks(view, query, masks, plan)

    @property
    def requires_update(self) -> bool:
        return bool(self.ids)  # every frame moves the states on


class FadingMemory(nn.Module):
    """Keys are colours, values are masks."""

    schedule = Schedule(mem_every=2, top_k=4)
    tracker: ClassVar[type[Tracker]] = FadingTracker
    stride = read_stride = STRIDE
    key_channels, value_channels = 3, STRIDE * STRIDE
    similarity = "l2"
    shared_keys = aggregate_prompts = masks_in_padding = True
    aggregate = staticmethod(aggregate)
    doubt = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.pace = nn.Parameter(torch.tensor(0.5))

    def prepare(self, image: Tensor) -> Tensor:
        planes = image.permute(2, 0, 1)[None].float() / 16
        return F.pad(planes, padding(image.shape[0], image.shape[1], STRIDE))

    def encode_query(self, image: Tensor) -> QueryFeatures:
        return QueryFeatures(image, F.avg_pool2d(image, STRIDE), ())

    def encode_memory(
        self, query: QueryFeatures, masks: Tensor, total: Tensor | None = None
    ) -> tuple[None, Tensor]:
        return None, F.pixel_unshuffle(masks[:, None], STRIDE)

    def decode(self, query: QueryFeatures, readout: Tensor) -> Tensor:
        return 8 * F.pixel_shuffle(readout, STRIDE)[:, 0] - 4


ENTRY = Entry("fading-memory", "track", FadingMemory)
