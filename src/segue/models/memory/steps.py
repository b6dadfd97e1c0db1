"""Steps of a frame with a memory network; subclasses can override each."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.layers.pieces import joined
from segue.models.base import FramePrompts, QueryFeatures, Setup, Shape
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.memory import Memory
from segue.models.memory.object_states import ObjectStates
from segue.models.memory.outputs import ToProbabilities, upsample_then_aggregate
from segue.models.memory.window import Window
from segue.types import Image

Views = list[QueryFeatures]
"""The image, and its mirror image with ``flip_tta``; each has a memory of its own."""

PASS_BYTES_PER_PIXEL = 512
"""Rough use of memory by one object in one pass of a decoder, per pixel of the image."""


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Plan for one frame.

    Attributes:
        given: the prompts of the frame.
        ids: the objects after it, ascending.
        keep: whether the frame becomes permanent memory.
        occupied: positions of the memory (h, w), bool, that its masks touch; known when they are, and only
            where the schedule asks for it.
        window: the part of the image in which objects are predicted; None for all of it.
    """

    given: FramePrompts | None
    ids: tuple[int, ...]
    keep: bool
    occupied: Tensor | None = None
    window: Window | None = None


class FrameSteps:
    """The steps of :class:`segue.models.memory.MemoryTracker`, which says in what order they are taken."""

    memories: list[Memory]
    object_states: list[ObjectStates]
    ids: tuple[int, ...]

    def __init__(self, network: Any, setup: Setup) -> None:
        self.network, self._setup = network, setup
        self.schedule = setup.schedule

    def geometry(self, size: Shape) -> ResizePadGeometry:
        """The size at which images go through the network, and the way back for masks."""
        return ResizePadGeometry.of(size, self.schedule.short_side, self.network.stride)

    def resized(self, image: Image, geometry: ResizePadGeometry) -> npt.NDArray[Any]:
        """A copy of an image (H, W, 3) at the working size, (h, w, 3)."""
        return np.array(geometry.to_network(image), order="C")

    def encode(self, pixels: npt.NDArray[Any], window: Window | None = None) -> Views:
        """Query features of each view of an image (h, w, 3) or a window of it."""
        moved = torch.from_numpy(pixels).to(self._setup.device, non_blocking=True)
        prepared = self.network.prepare(moved).to(self._setup.dtype)
        if window is not None:
            prepared = window.cut(prepared)
        return [
            self.network.encode_query(view.contiguous(memory_format=torch.channels_last))
            for view in self._with_mirrored(prepared)
        ]

    def needs_prediction(self, given: FramePrompts) -> bool:
        """Whether objects are predicted on a frame with given masks, before those are merged in."""
        return True

    def choose_windows(self, plan: FramePlan) -> Sequence[Window]:
        """Parts of the image in which objects are predicted, one after the other; none for all of it."""
        return ()

    def predict(self, view: int, query: QueryFeatures, plan: FramePlan) -> Tensor:
        """Log-odds (K, h, w), float32, of all objects by one view, in the order of ``self.ids``."""
        logits = []
        for part in self.passes(query, len(self.ids)):
            ids = self.ids[part]
            readout = self.read(view, query, ids, plan)
            logits.append(self.decode(view, query, readout, ids, plan).float())
        return joined(logits)

    def read(self, view: int, query: QueryFeatures, ids: Sequence[int], plan: FramePlan) -> Tensor:
        """Values (K, Cv, h, w) that objects read from a view."""
        at = (0, 0) if plan.window is None else plan.window.at(self.network.read_stride)
        readout = self.memories[view].read(query.key, ids, query.selection, at=at)
        return readout.to(self._setup.dtype)

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        """Log-odds (K, h, w) of readouts (K, Cv, h, w); states may move on."""
        logits: Tensor = self.network.decode(query, readout)
        return logits

    def class_probabilities(self) -> ToProbabilities:
        """A function from log-odds (K, h, w) to probabilities (K+1, H', W'), which results keep.

        It must not hold the tracker, and must be picklable.
        """
        return functools.partial(upsample_then_aggregate, aggregate=self.network.aggregate)

    def merge_masks(
        self, predicted: Tensor | None, ids: Sequence[int], mask: Tensor, given: Sequence[int]
    ) -> Tensor:
        """Probabilities (len(ids) + 1, H, W): objects ``given`` as in ``mask`` (H, W), others as predicted.

        Inside the given masks nothing else remains; a corrected object has nothing outside its new mask (spec
        of the STCN release, "objects that appear later").
        """
        merged = torch.zeros(len(ids), *mask.shape, device=mask.device)
        for channel, i in enumerate(ids):
            if i in given:
                merged[channel] = mask == i
            elif predicted is not None:
                merged[channel] = predicted[self.ids.index(i) + 1].masked_fill(mask > 0, 0)
        if self.network.aggregate_prompts:
            aggregated: Tensor = self.network.aggregate(merged)
            return aggregated
        return torch.cat([1 - merged.sum(0, keepdim=True), merged])

    def encode_masks(self, view: int, query: QueryFeatures, masks: Tensor, plan: FramePlan) -> Any:
        """An entry for :meth:`write` of soft masks (K, H', W'); None where the frame is not kept."""
        if not plan.keep and not self.schedule.include_last:
            return None
        total = masks.sum(0, keepdim=True)
        parts = self.passes(query, len(plan.ids))
        encoded = [self.network.encode_memory(query, masks[part], total) for part in parts]
        keys = [key for key, _ in encoded if key is not None] or [query.key]
        return replace(query, key=joined(keys)), joined([value for _, value in encoded])

    def write(self, view: int, entry: Any, plan: FramePlan) -> None:
        """Add an entry of :meth:`encode_masks` to the memory of a view."""
        memory = self.memories[view]
        memory.commit_usage()
        if entry is not None:
            query, values = entry
            memory.write(
                plan.ids,
                query.key,
                values,
                shrinkage=query.shrinkage,
                selection=query.selection,
                keep=plan.keep,
                pinned=self.is_pinned(plan),
                occupied=plan.occupied,
            )

    def is_pinned(self, plan: FramePlan) -> bool:
        """Whether a frame makes room last: one with given masks."""
        return plan.given is not None

    def passes(self, query: QueryFeatures, objects: int) -> list[slice]:
        """Slices over the objects, as many as fit into memory together."""
        height, width = query.image.shape[-2:]
        size = max(1, self._setup.memory_limit // (PASS_BYTES_PER_PIXEL * height * width))
        return [slice(start, start + size) for start in range(0, objects, size)]

    def states_of(self, view: int, name: str, ids: Sequence[int], fresh: Tensor) -> Tensor:
        """States (K, ...) of objects by name, ``fresh`` for those that have none yet."""
        return self.object_states[view].of(name, ids, fresh)

    def keep_states(self, view: int, name: str, ids: Sequence[int], states: Tensor) -> None:
        """Keep states (K, ...) of objects by name; they take effect when the frame is done."""
        self.object_states[view].keep(name, ids, states)

    def _with_mirrored(self, planes: Tensor) -> list[Tensor]:
        """Planes (..., H, W) for each view."""
        return [planes] if len(self.memories) == 1 else [planes, planes.flip(-1)]
