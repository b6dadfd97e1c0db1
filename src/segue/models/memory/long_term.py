"""What XMem and Cutie share: a bounded memory of frames, and a long-term memory of what goes from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.errors import SegueError
from segue.models.base import FramePrompts, Schedule, Setup, Shape, TrackOutput
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.plan import FramePlan
from segue.models.memory.store import MemoryStore
from segue.models.memory.tracker import MemoryTracker
from segue.types import Image


@dataclass(frozen=True, slots=True)
class LongTermSchedule(Schedule):
    """When a frame becomes memory, and how much is kept.

    Attributes:
        long_term: replace frames by prototypes in a long-term memory; without it ``memory_frames`` and
            ``memory_policy`` bound the memory, the first frame of an object being kept.
        max_mid_term_frames: frames at which those between the first and the last are consolidated.
        min_mid_term_frames: frames that stay then, with the first.
        num_prototypes: elements that a consolidation adds to the long-term memory.
        max_long_term_elements: bound on the long-term memory.
        permanent: frames that never make room: ``entry`` are those on which objects entered, ``given`` all
            that have given masks (``force_permanent`` of Cutie's release).
        resize: how ``short_side`` reduces pictures: ``bilinear`` as the releases do, ``antialias``
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
    """A tracker whose memory of a view is a :class:`MemoryStore`."""

    weighs_uncertainty = False
    schedule: LongTermSchedule
    schedule_type: ClassVar[type[LongTermSchedule]] = LongTermSchedule
    mask_mode: ClassVar[Literal["nearest", "nearest-exact"]] = "nearest-exact"

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

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        for memory in self.memories:
            memory.discard_usage()
        return super().step(image, given, predict=predict)

    def new_memory(self) -> Any:
        """An empty memory of one view: a :class:`MemoryStore` or what holds several."""
        return MemoryStore(self.schedule.top_k, official=self.schedule.official)

    def geometry(self, size: Shape) -> ResizePadGeometry:
        return ResizePadGeometry.of(
            size,
            self.schedule.short_side,
            self.network.stride,
            truncate=True,
            mask_mode=self.mask_mode,
            keep_small=not self.schedule.official,
        )

    def resized(self, image: Image, geometry: ResizePadGeometry) -> npt.NDArray[Any]:
        if not geometry.resizes or self.schedule.resize == "area":
            return super().resized(image, geometry)
        planes = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None]
        smooth = self.schedule.resize == "antialias"
        small = F.interpolate(planes, size=geometry.working, mode="bilinear", antialias=smooth)
        return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())

    def read(self, view: int, query: Any, ids: Sequence[int], plan: FramePlan) -> Tensor:
        readout: Tensor = self.memories[view].read(query.key, query.selection, ids, count=plan.commit)
        return readout.to(self._setup.dtype)

    def write(self, view: int, entry: Any, plan: FramePlan) -> None:
        """Remember a frame, an entry (query, values (K, Cv, h, w)) or None, and make room."""
        store: MemoryStore = self.memories[view]
        store.commit_usage()
        if entry is not None:
            query, values = entry
            parts = query.key, query.shrinkage, query.selection, values
            store.append(self.ids, *parts, permanent=self.is_permanent(plan))
            self.make_room(store)

    def is_permanent(self, plan: FramePlan) -> bool:
        """Tell whether a frame stays in memory for good.

        Args:
            plan: of the frame.

        Returns:
            True for frames with given masks, where the schedule keeps these.
        """
        return plan.given is not None and self.schedule.permanent == "given"

    def make_room(self, store: MemoryStore) -> None:
        """Consolidate where the memory of frames is full; without long-term memory drop a frame.

        Args:
            store: memory of one view, after a frame was added.
        """
        schedule = self.schedule
        temporary = store.temporary()
        if not schedule.long_term:
            if schedule.memory_policy != "all" and len(temporary) > schedule.memory_frames - 1:
                store.drop_frame(
                    least(store, temporary) if schedule.memory_policy == "usage" else temporary[0]
                )
            return
        if len(temporary) >= schedule.max_mid_term_frames - 1:
            self.evict(store)
            store.consolidate(schedule.num_prototypes, schedule.min_mid_term_frames - 1)

    def evict(self, store: MemoryStore) -> None:
        """Thin out a long-term memory that has no room for more prototypes, as XMem does.

        Of elements whose usage equals the last one that must go, all go.

        Args:
            store: memory of one view, before prototypes are added.
        """
        room = self.schedule.max_long_term_elements - self.schedule.num_prototypes
        surplus = store.long - room
        if surplus > 0:
            usage = store.usage()[: store.long]
            bound = usage.kthvalue(surplus).values
            store.keep_long((usage > bound).nonzero().flatten())


def least(store: MemoryStore, frames: list[int]) -> int:
    """Of several frames, the one that was read least."""
    means = store.usage()[store.long :].view(-1, store.positions).mean(1)
    return min(frames, key=lambda n: float(means[n]))


def _check(schedule: LongTermSchedule) -> None:
    """Refuse what cannot work."""
    if schedule.include_last:
        raise SegueError("include_last: networks with a recurrent state do not also read the previous frame")
    for name in ("last_window", "penalty", "last_penalty"):
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
