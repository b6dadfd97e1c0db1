"""Tracker of Cutie: memories of groups of objects, their summaries, states and last masks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.errors import SegueError
from segue.layers.pieces import cat
from segue.models.base import FramePrompts, QueryFeatures, Setup, Shape
from segue.models.cutie.transformer import QUERIES, WIDTH
from segue.models.geometry import aggregate_logits
from segue.models.memory.long_term import LongTermSchedule, LongTermTracker
from segue.models.memory.memory import Sharing
from segue.models.memory.table import MemoryTable
from segue.models.memory.tracker import FramePlan, ToProbabilities
from segue.state import checkpointed
from segue.types import MemoryPolicy

SENSORY = "sensory"
"""Name of the recurrent states of the objects, (256, h, w)."""

SUMMARY = "summary"
"""Name of the sums over all that an object remembers, (16, 257)."""

LAST_MASK = "last_mask"
"""Name of the masks on the frame before, reduced to memory positions, (h, w)."""


@dataclass(frozen=True, slots=True)
class CutieSchedule(LongTermSchedule):
    """When frames enter memory, and how much is kept; Cutie's configuration names in brackets.

    ``memory_frames`` is [max_mem_frames], ``max_long_term_elements`` [max_num_tokens],
    ``max_mid_term_frames`` and ``min_mid_term_frames`` are those of [long_term], and ``short_side`` is
    [max_internal_size].

    Attributes:
        stagger_updates: of the frames between two memory frames, those on which the decoder moves the
            recurrent states on.
        chunk_size: objects that go through the object transformer together, as in [chunk_size]: results
            depend on it; None is all that entered together.
        buffer_tokens: elements that an eviction makes room for beyond those that are needed.
    """

    top_k: int | None = 30
    memory_frames: int = 5
    memory_policy: MemoryPolicy = "fifo"
    long_term: bool = False
    stagger_updates: int = 5
    chunk_size: int | None = None
    buffer_tokens: int = 2000


class CutieTracker(LongTermTracker):
    """Tracks objects with Cutie; see :class:`segue.models.base.Tracker` for the methods.

    Objects that entered on other frames do not see one another before the decoder, as in the release.
    """

    schedule: CutieSchedule
    schedule_type = CutieSchedule
    sharing: ClassVar[Sharing] = "entry"

    def __init__(self, network: Any, setup: Setup) -> None:
        super().__init__(network, setup)
        schedule = self.schedule
        if schedule.stagger_updates < 1:
            raise SegueError(f"stagger_updates is {schedule.stagger_updates}; it must be at least 1")
        room = schedule.max_long_term_elements - schedule.num_prototypes
        if schedule.long_term and not 0 <= schedule.buffer_tokens < room:
            raise SegueError(
                f"buffer_tokens is {schedule.buffer_tokens}; it must be at least 0 and less than "
                f"max_long_term_elements - num_prototypes, {room}, or nothing is left when that is full"
            )

    # The release numbers objects in the order of their entry, and keeps the last masks by that number.
    _order: list[int] = checkpointed(list)
    _last_order: list[int] = checkpointed(list)

    def needs_prediction(self, prompts: FramePrompts) -> bool:
        """Whether to predict: not if exactly the tracked objects have given masks."""
        return set(self.ids) != set(prompts.ids)

    def class_probabilities(self) -> ToProbabilities:
        return aggregate_then_upsample

    def updates_sensory(self) -> bool:
        """Whether the decoder updates the recurrent states on the next frame."""
        every, times = self.schedule.mem_every, self.schedule.stagger_updates
        since_memory = self._seen - self._last_memory
        if times >= every:
            return 1 <= since_memory <= every
        return since_memory in np.round(np.linspace(1, every, times)).astype(int)

    def predict(self, view: int, query: QueryFeatures, plan: FramePlan) -> Tensor:
        update = self.updates_sensory()
        logits: dict[int, Tensor] = {}
        for table in self.memories[view].tables:
            for ids in self._chunks(table.ids):
                object_logits, updated = self._predict_chunk(view, query, table, ids, plan, update=update)
                logits.update(zip(ids, object_logits, strict=True))
                if update:
                    self.keep_states(view, SENSORY, ids, updated)
        return torch.stack([logits[i] for i in self.ids])

    def _predict_chunk(
        self,
        view: int,
        query: Any,
        table: MemoryTable,
        ids: Sequence[int],
        plan: FramePlan,
        *,
        update: bool,
    ) -> tuple[Tensor, Tensor]:
        """Predict log-odds (K, 4h, 4w) and recurrent states of interacting objects."""
        readout = table.read(query.key, ids, query.selection).to(self._setup.dtype)
        sensory = self._sensory(view, query, ids)
        masks = self.states_of(view, LAST_MASK, self._read_as(ids), query.key[0, 0].float() * 0)
        pixel = self.network.fuse(query, readout, sensory, masks)
        summaries = self.states_of(view, SUMMARY, ids, self._no_summary(query))
        parts = self.passes(query, len(ids))
        pixel = self.network.object_transformer(pixel, summaries, parts=parts)[0]
        decoded = [self.network.decode(query, pixel[part], sensory[part], update=update) for part in parts]
        states = cat([updated for _, updated in decoded]) if update else sensory
        return cat([logits.float() for logits, _ in decoded]), states

    def _chunks(self, ids: Sequence[int]) -> Iterator[Sequence[int]]:
        size = self.schedule.chunk_size
        size = len(ids) if size is None or size < 1 else size
        for start in range(0, len(ids), size):
            yield ids[start : start + size]

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        self.keep_states(view, LAST_MASK, plan.ids, self._small(masks))
        return super().encode_masks(view, query, masks, plan)

    def encode_objects(
        self,
        view: int,
        query: QueryFeatures,
        masks: Tensor,
        total: Tensor,
        ids: Sequence[int],
        plan: FramePlan,
    ) -> tuple[None, Tensor]:
        value, updated = self.network.encode_memory(query, masks, total, self._sensory(view, query, ids))
        self.keep_states(view, SENSORY, ids, updated)
        summaries = self.states_of(view, SUMMARY, ids, self._no_summary(query))
        self.keep_states(view, SUMMARY, ids, summaries + self.network.summarise(value, self._small(masks)))
        return None, value

    def _small(self, masks: Tensor) -> Tensor:
        """Reduce masks (K, H, W) to memory positions, (K, h, w)."""
        return F.avg_pool2d(masks[None].float(), self.network.stride)[0]

    def finish(self, plan: FramePlan) -> None:
        super().finish(plan)
        self._order += [i for i in plan.ids if i not in self._order]
        self._last_order = list(self._order)
        for memory in self.memories:  # masks of objects that are gone serve one frame, see `_read_as`
            memory.states[LAST_MASK] = {i: memory.states[LAST_MASK][i] for i in plan.ids}

    def evict(self, table: MemoryTable) -> None:
        """Keep the most used elements if there is no room for more prototypes."""
        schedule = self.schedule
        room = schedule.max_long_term_elements - schedule.num_prototypes
        if table.long >= room:
            keep_indices = (
                table.usage()[: table.long].topk(min(room - schedule.buffer_tokens, table.long)).indices
            )
            table.keep_long(keep_indices)

    def forget(self, ids: Collection[int]) -> None:
        """Stop tracking objects.

        As in the release, with ``official`` those that stay read, on the next frame, the last mask of the
        object whose number they take over, and an object that enters again under an id goes on adding to the
        summaries that it had.
        """
        kinds = (SUMMARY, LAST_MASK)
        saved = [{kind: dict(memory.states.get(kind, {})) for kind in kinds} for memory in self.memories]
        super().forget(ids)
        self._order = [i for i in self._order if i not in ids]
        if self.schedule.official:
            for memory, saved_states in zip(self.memories, saved, strict=True):
                memory.states.update(saved_states)
        else:
            self._last_order = list(self._order)

    def _read_as(self, ids: Sequence[int]) -> list[int]:
        """Objects whose last masks are read: their own, except after an ``official`` :meth:`forget`."""
        return [self._last_order[self._order.index(i)] for i in ids]

    def _sensory(self, view: int, query: QueryFeatures, ids: Sequence[int]) -> Tensor:
        initial = query.key.new_zeros(self.network.sensory_channels, *query.key.shape[-2:])
        return self.states_of(view, SENSORY, ids, initial)

    def _no_summary(self, query: QueryFeatures) -> Tensor:
        return torch.zeros(QUERIES, WIDTH + 1, device=query.key.device)


def aggregate_then_upsample(logits: Tensor, size: Shape) -> Tensor:
    """Merge log-odds (K, h, w), then enlarge them to probabilities (K+1, H', W'), background first."""
    odds = aggregate_logits(logits.sigmoid())
    return F.interpolate(odds[None], size=size, mode="bilinear")[0].softmax(0)
