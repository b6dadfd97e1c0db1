"""Long-term memory of XMem and Cutie, for evicted frames."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

from segue.errors import SegueError
from segue.models.base import Schedule, Setup, Shape
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.memory import Memory, Sharing
from segue.models.memory.table import MemoryTable
from segue.models.memory.tracker import FramePlan, MemoryTracker


@dataclass(frozen=True, slots=True)
class LongTermSchedule(Schedule):
    """When frames enter memory, and how much is kept.

    Attributes:
        long_term: replace frames by prototypes in a long-term memory; without it ``memory_frames`` and
            ``memory_policy`` bound the memory, the first frame of an object being kept.
        max_mid_term_frames: frames at which those between the first and the last are consolidated.
        min_mid_term_frames: frames that stay then, with the first.
        num_prototypes: elements that a consolidation adds to the long-term memory.
        max_long_term_elements: bound on the long-term memory.
        permanent: frames that never make room: ``entry`` are those on which objects entered, ``given`` all
            that have given masks (``force_permanent`` of Cutie's release).
        resize: how ``short_side`` reduces images: ``bilinear`` as the releases do, ``antialias``
            bilinearly with antialiasing, ``area`` by averaging.
        official: reproduce defects of the release that change numbers (docs/systems).
    """

    long_term: bool = True
    max_mid_term_frames: int = 10
    min_mid_term_frames: int = 5
    num_prototypes: int = 128
    max_long_term_elements: int = 10_000
    permanent: Literal["entry", "given"] = "entry"
    resize: Literal["bilinear", "antialias", "area"] = "bilinear"
    official: bool = False


class LongTermTracker(MemoryTracker):
    """A tracker with an optional long-term memory."""

    schedule: LongTermSchedule
    schedule_type: ClassVar[type[LongTermSchedule]] = LongTermSchedule
    mask_mode: ClassVar[Literal["nearest", "nearest-exact"]] = "nearest-exact"
    sharing: ClassVar[Sharing] = "all"

    def __init__(self, network: Any, setup: Setup) -> None:
        schedule = setup.schedule
        if not isinstance(schedule, self.schedule_type):
            common = {item.name: getattr(schedule, item.name) for item in fields(schedule)}
            schedule = replace(network.schedule, **common)
        _check(schedule)
        self.reports_network_masks = schedule.official
        super().__init__(network, replace(setup, schedule=schedule))

    @property
    def requires_update(self) -> bool:
        return bool(self.ids)  # the recurrent states move on with every frame

    def new_memory(self) -> Memory:
        schedule = self.schedule
        table = functools.partial(
            MemoryTable,
            similarity="anisotropic",
            top_k=schedule.top_k,
            memory_frames=None if schedule.long_term else schedule.memory_frames,
            policy=schedule.memory_policy,
            spare_pinned=True,
            official=schedule.official,
        )
        return Memory(table, self.sharing)

    def geometry(self, size: Shape) -> ResizePadGeometry:
        return ResizePadGeometry.of(
            size,
            self.schedule.short_side,
            self.network.stride,
            truncate=True,
            mask_mode=self.mask_mode,
            keep_small=not self.schedule.official,
            resize=self.schedule.resize,
        )

    def write(self, view: int, entry: Any, plan: FramePlan) -> None:
        super().write(view, entry, plan)
        if entry is not None and self.schedule.long_term:
            for table in self.memories[view].tables:
                self.compress(table)

    def is_pinned(self, plan: FramePlan) -> bool:
        return plan.prompts is not None and self.schedule.permanent == "given"

    def compress(self, table: MemoryTable) -> None:
        """Compress frames to prototypes if the memory of frames is full."""
        if len(table.temporary()) >= self.schedule.max_mid_term_frames - 1:
            self.evict(table)
            table.compress(self.schedule.num_prototypes, self.schedule.min_mid_term_frames - 1)

    def evict(self, table: MemoryTable) -> None:
        """Remove the least used elements like XMem: all that equal the last one's usage."""
        room = self.schedule.max_long_term_elements - self.schedule.num_prototypes
        surplus = table.long - room
        if surplus > 0:
            usage = table.usage()[: table.long]
            bound = usage.kthvalue(surplus).values
            table.keep_long((usage > bound).nonzero().flatten())


def _check(schedule: LongTermSchedule) -> None:
    """Raise an error for an impossible schedule."""
    if schedule.include_last:
        raise SegueError("include_last: networks with a recurrent state do not also read the previous frame")
    for name in ("last_window", "dense_radius", "penalty", "last_penalty"):
        if getattr(schedule, name):
            raise SegueError(f"{name}: XMem and Cutie have none; leave it out")
    if schedule.official and schedule.permanent == "given":
        raise SegueError("permanent: with official only the first frames are permanent, as in the release")
    if not 1 <= schedule.min_mid_term_frames < schedule.max_mid_term_frames:
        raise SegueError(
            f"min_mid_term_frames is {schedule.min_mid_term_frames}; it must be at least 1 and less than "
            f"max_mid_term_frames, {schedule.max_mid_term_frames}"
        )
    if not 1 <= schedule.num_prototypes <= schedule.max_long_term_elements:
        raise SegueError(
            f"num_prototypes is {schedule.num_prototypes}; it must be from 1 to max_long_term_elements, "
            f"{schedule.max_long_term_elements}"
        )
