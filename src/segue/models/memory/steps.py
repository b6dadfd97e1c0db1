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
        commit: False for an image that is not taken: then nothing may change.
        uncertainty: of the masks with which it becomes memory, in [0, 1]; known when they are, and only where
            the schedule asks for it.
        window: the part of the image in which objects are predicted; None for all of it.
    """

    given: FramePrompts | None
    ids: tuple[int, ...]
    keep: bool
    commit: bool = True
    uncertainty: float = 0.0
    window: Window | None = None


class FrameSteps:
    """The steps of :class:`segue.models.memory.MemoryTracker`, which says in what order they are taken.

    Attributes:
        network: a :class:`segue.models.base.MemoryNetwork`.
        schedule: when a frame becomes memory, and how it is read.
        memories: what is remembered, for each view.
        object_states: what is kept of single objects, for each view.
        ids: the objects that are followed, ascending.
    """

    memories: list[Memory]
    object_states: list[ObjectStates]
    ids: tuple[int, ...]

    def __init__(self, network: Any, setup: Setup) -> None:
        self.network, self._setup = network, setup
        self.schedule = setup.schedule

    def geometry(self, size: Shape) -> ResizePadGeometry:
        """Choose the size at which images go through the network.

        Args:
            size: height and width of the images in pixels.

        Returns:
            Resizing and padding of images, and its inverse for masks.
        """
        return ResizePadGeometry.of(size, self.schedule.short_side, self.network.stride)

    def resized(self, image: Image, geometry: ResizePadGeometry) -> npt.NDArray[Any]:
        """Bring an image to the working size.

        Args:
            image: RGB (H, W, 3), uint8.
            geometry: what :meth:`geometry` returned.

        Returns:
            A copy, (h, w, 3), values of 0 to 255.
        """
        return np.array(geometry.to_network(image), order="C")

    def encode(self, pixels: npt.NDArray[Any], window: Window | None = None) -> Views:
        """Encode an image, or a window of it, and its mirror image where there are two views.

        Args:
            pixels: RGB (h, w, 3) at the working size, values of 0 to 255.
            window: the part of the image that is encoded; None for all of it.

        Returns:
            Query features of each view.
        """
        moved = torch.from_numpy(pixels).to(self._setup.device, non_blocking=True)
        prepared = self.network.prepare(moved).to(self._setup.dtype)
        if window is not None:
            prepared = window.cut(prepared)
        return [
            self.network.encode_query(view.contiguous(memory_format=torch.channels_last))
            for view in self._with_mirrored(prepared)
        ]

    def needs_prediction(self, given: FramePrompts) -> bool:
        """Tell whether objects are predicted on a frame with given masks, before those are merged in.

        Args:
            given: prompts of the frame.

        Returns:
            True here; a subclass may save the prediction where all objects have a mask.
        """
        return True

    def choose_windows(self, plan: FramePlan) -> Sequence[Window]:
        """Choose parts of the image in which objects are predicted: a part where they left the one before.

        Args:
            plan: what happens on the frame.

        Returns:
            Nothing, as the whole image is predicted; a subclass may choose parts.
        """
        return ()

    def predict(self, view: int, query: QueryFeatures, plan: FramePlan) -> Tensor:
        """Predict all objects by one view: read and decode.

        Args:
            view: 0, or 1 for the mirror image.
            query: features of the frame.
            plan: what happens on the frame.

        Returns:
            Log-odds (K, h, w), float32, in the order of ``self.ids``.
        """
        logits = []
        for part in self.passes(query, len(self.ids)):
            ids = self.ids[part]
            readout = self.read(view, query, ids, plan)
            logits.append(self.decode(view, query, readout, ids, plan).float())
        return joined(logits)

    def read(self, view: int, query: QueryFeatures, ids: Sequence[int], plan: FramePlan) -> Tensor:
        """Read from the memory of a view.

        Args:
            view: 0, or 1 for the mirror image.
            query: features of the frame.
            ids: objects that read.
            plan: what happens on the frame; reads count as usage where ``commit`` is set.

        Returns:
            Values (K, Cv, h, w) in the tracker's dtype.
        """
        at = (0, 0) if plan.window is None else plan.window.at(self.network.read_stride)
        readout = self.memories[view].read(query.key, ids, query.selection, count=plan.commit, at=at)
        return readout.to(self._setup.dtype)

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        """Decode what objects read.

        Args:
            view: 0, or 1 for the mirror image.
            query: features of the frame.
            readout: what :meth:`read` returned, (K, Cv, h, w).
            ids: the objects.
            plan: what happens on the frame; where ``commit`` is set, states of the objects may move on.

        Returns:
            Log-odds (K, h, w).
        """
        logits: Tensor = self.network.decode(query, readout)
        return logits

    def class_probabilities(self) -> ToProbabilities:
        """Choose the function from log-odds to class probabilities.

        It is kept with the results, so that it must not hold the tracker, and can be pickled.

        Returns:
            A function of log-odds (K, h, w) that gives probabilities (K+1, H', W') of background and objects.
        """
        return functools.partial(upsample_then_aggregate, aggregate=self.network.aggregate)

    def merge_masks(
        self, predicted: Tensor | None, ids: Sequence[int], mask: Tensor, given: Sequence[int]
    ) -> Tensor:
        """Probabilities of the objects ``ids``: those ``given`` as in ``mask``, the others as predicted.

        Inside the given masks nothing else remains; a corrected object has nothing outside its new mask
        (spec of the STCN release, "objects that appear later").

        Args:
            predicted: probabilities of the objects of ``self.ids``, background first; None where nothing was
                predicted.
            ids: all objects, also new ones.
            mask: index mask (H, W).
            given: the objects that the mask is about.

        Returns:
            (len(ids) + 1, H, W), background first.
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
        """Encode a frame with the masks of its objects.

        Args:
            view: 0, or 1 for the mirror image.
            query: features of the frame.
            masks: soft masks (K, H', W') in [0, 1] of the objects ``plan.ids``.
            plan: what happens on the frame.

        Returns:
            An entry for :meth:`write`; None where the frame does not become memory.
        """
        if not plan.keep and not self.schedule.include_last:
            return None
        total = masks.sum(0, keepdim=True)
        parts = self.passes(query, len(plan.ids))
        encoded = [self.network.encode_memory(query, masks[part], total) for part in parts]
        keys = [key for key, _ in encoded if key is not None] or [query.key]
        return replace(query, key=joined(keys)), joined([value for _, value in encoded])

    def write(self, view: int, entry: Any, plan: FramePlan) -> None:
        """Add an entry to the memory of a view.

        Args:
            view: 0, or 1 for the mirror image.
            entry: what :meth:`encode_masks` returned: the query with the key of the memory, and values
                (K, Cv, h, w); or None.
            plan: what happens on the frame.
        """
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
                uncertainty=plan.uncertainty,
            )

    def is_pinned(self, plan: FramePlan) -> bool:
        """Tell whether a frame makes room last.

        Args:
            plan: of the frame.

        Returns:
            True for frames with given masks.
        """
        return plan.given is not None

    def passes(self, query: QueryFeatures, objects: int) -> list[slice]:
        """Divide objects into groups that fit into memory together.

        Args:
            query: features of the frame.
            objects: number of objects.

        Returns:
            A slice over the objects for each pass through the network.
        """
        height, width = query.image.shape[-2:]
        size = max(1, self._setup.memory_limit // (PASS_BYTES_PER_PIXEL * height * width))
        return [slice(start, start + size) for start in range(0, objects, size)]

    def states_of(self, view: int, name: str, ids: Sequence[int], fresh: Tensor) -> Tensor:
        """Give the states of objects that :meth:`keep_states` has kept.

        Args:
            view: 0, or 1 for the mirror image.
            name: name of the state.
            ids: the objects.
            fresh: state of an object that has none yet.

        Returns:
            States (K, ...), in the order of ``ids``.
        """
        return self.object_states[view].of(name, ids, fresh)

    def keep_states(self, view: int, name: str, ids: Sequence[int], states: Tensor) -> None:
        """Keep states of objects instead of earlier ones; they take effect when the frame is done.

        Args:
            view: 0, or 1 for the mirror image.
            name: name of the state.
            ids: the objects.
            states: (K, ...), in the order of ``ids``.
        """
        self.object_states[view].keep(name, ids, states)

    def _with_mirrored(self, planes: Tensor) -> list[Tensor]:
        """Planes (..., H, W) for each view."""
        return [planes] if len(self.memories) == 1 else [planes, planes.flip(-1)]
