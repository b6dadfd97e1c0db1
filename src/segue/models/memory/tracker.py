"""What follows objects with a memory network: the steps of a frame, and the recurrent states of objects."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.models.base import FramePrompts, QueryFeatures, Setup, Shape, TrackOutput
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.bank import MemoryBank
from segue.models.memory.components import suppress_distant_components
from segue.models.memory.outputs import (
    Compact,
    ToProbabilities,
    joined,
    to_array,
    uncertainty,
    upsample_then_aggregate,
)
from segue.models.memory.plan import FramePlan
from segue.registry import PromptKind
from segue.types import Image

COARSE_ABOVE = 2500
"""Memory positions of one frame above which stride-8 networks read from coarse to fine (240p has 1620)."""

Views = list[QueryFeatures]
"""The picture, and its mirror image with ``flip_tta``; each has a memory of its own."""

MIRRORED = "mirror."
"""Begins the names of the tensors of the mirror image's memory in a state."""

OBJECT = "object."
"""Begins the names of what is kept of single objects in a state, before the name of what it is and the id."""

ObjectStates = dict[str, dict[int, Tensor]]
"""Tensors of single objects, such as recurrent states: by what they are, then by the id of the object."""

PASS_BYTES_PER_PIXEL = 512
"""Rough use of memory by one object in one pass of a decoder, per pixel of the picture."""


class MemoryTracker:
    """Follows objects with a :class:`segue.models.base.MemoryNetwork` and a memory of each view.

    See :class:`segue.models.base.Tracker` for what the public methods do. A frame goes through these steps,
    each a method that a subclass, named by its network, may refine:

    =========================== =======================================================================
    :meth:`encode`              a picture as the network sees it
    :meth:`needs_prediction`    whether the objects are predicted where masks are given
    :meth:`read`                what some objects read from the memory of a view
    :meth:`decode`              their log-odds; may move what is kept of them on
    :meth:`class_probabilities` log-odds to probabilities of background and objects
    :meth:`merge_masks`         puts given masks into the prediction
    :meth:`encode_masks`        a frame with its masks as an entry of the memory
    :meth:`write`               puts the entry into the memory of a view
    :meth:`finish`              counts the frame
    =========================== =======================================================================

    All that may fail comes before :meth:`write`, and nothing changes before: a step that failed can be taken
    again. ``memories`` holds what :meth:`new_memory` made, for each view. Tensors of single objects, such as
    their recurrent states ("sensory memory"), are kept by a step with :meth:`keep_states` under a name of its
    choice; they are removed, saved and restored with the object, and take effect when the frame is done.
    """

    prompts: frozenset[PromptKind] = frozenset()
    weighs_uncertainty = True
    """Whether its memory uses ``uncertainty_penalty``."""

    reports_network_masks = False
    """Whether results hold given masks as the network saw them, where it sees the picture reduced."""

    def __init__(self, network: Any, setup: Setup) -> None:
        self.network, self._setup = network, setup
        self.schedule = setup.schedule
        self._peeked: tuple[npt.NDArray[Any], Views] | None = None
        self.reset()

    def reset(self) -> None:
        views = 2 if self.schedule.flip_tta else 1
        self.memories = [self.new_memory() for _ in range(views)]
        self.object_states: list[ObjectStates] = [{} for _ in range(views)]
        self._coming: list[ObjectStates] = [{} for _ in range(views)]
        self.ids: tuple[int, ...] = ()
        self._previous_masks: Tensor | None = None
        self._seen = self._last_memory = 0

    def new_memory(self) -> Any:
        """Make an empty memory of one view.

        Returns:
            A :class:`MemoryBank`; subclasses may return their own kind, which has ``read``, ``write``,
            ``forget``, ``state`` and ``restore``.
        """
        schedule, network = self.schedule, self.network
        return MemoryBank(
            similarity=network.similarity,
            shared_keys=network.shared_keys,
            top_k=schedule.top_k,
            memory_frames=schedule.memory_frames,
            policy=schedule.memory_policy,
            coarse_above=COARSE_ABOVE if network.read_stride < 16 else None,
            last_window=schedule.last_window if schedule.include_last else None,
            penalty=schedule.penalty,
            last_penalty=schedule.last_penalty,
            uncertainty_penalty=schedule.uncertainty_penalty,
        )

    @property
    def requires_update(self) -> bool:
        return bool(self.ids) and (self.schedule.include_last or self._keeps)

    @property
    def _keeps(self) -> bool:
        return self.since_memory >= self.schedule.mem_every

    @property
    def since_memory(self) -> int:
        """Frames from the last one that became permanent memory to the next one that comes."""
        return self._seen - self._last_memory

    def skip(self) -> None:
        self._seen += 1

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        ids = self.ids if given is None else tuple(sorted({*self.ids, *given.ids}))
        plan = FramePlan(given, ids, keep=given is not None or self._keeps)
        geometry, views = self._views(image)[1:]
        wanted = self.ids and predict and (given is None or self.needs_prediction(given))
        logits = self._predict(views, plan) if wanted else None
        if given is None:
            assert logits is not None
            tracked, seen = self._tracked(logits, geometry)
        else:
            seen, shown = self._merge(logits, given, geometry, ids)
            tracked = TrackOutput(ids, shown, functools.partial(to_array, shown.cpu()))
        before = None if self.schedule.max_jump is None else seen[1:] > 0.5
        if self.schedule.uncertainty_penalty > 0:
            plan = replace(plan, uncertainty=uncertainty(seen))
        # All that may fail is done before anything changes, so that a step that failed can be taken again.
        entries = self._entries(views, seen, geometry, plan)
        self.ids, self._previous_masks = ids, before
        for states, coming in zip(self.object_states, self._coming, strict=True):
            for name, values in coming.items():
                states.setdefault(name, {}).update(values)
        for view, entry in enumerate(entries):
            self.write(view, entry, plan)
        self.finish(plan)
        return tracked

    def peek(self, image: Image) -> TrackOutput:
        pixels, geometry, views = self._views(image)
        self._peeked = pixels, views
        plan = FramePlan(None, self.ids, keep=self._keeps, commit=False)
        return self._tracked(self._predict(views, plan), geometry)[0]

    def forget(self, ids: Collection[int]) -> None:
        stay = [i not in ids for i in self.ids]
        self.ids = tuple(i for i in self.ids if i not in ids)
        self._previous_masks = None if self._previous_masks is None else self._previous_masks[stay]
        for memory, kinds in zip(self.memories, self.object_states, strict=True):
            memory.forget(tuple(ids))
            for states in kinds.values():
                for i in ids:
                    states.pop(i, None)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, bank = self._view_state(0)
        if self._previous_masks is not None:
            tensors["before"] = self._previous_masks
        values = {"bank": bank, "ids": self.ids, "seen": self._seen, "last_memory": self._last_memory}
        if len(self.memories) > 1:
            mirrored, values["mirror"] = self._view_state(1)
            tensors |= {MIRRORED + name: value for name, value in mirrored.items()}
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        self.reset()
        self.ids = tuple(values["ids"])
        self._seen, self._last_memory = int(values["seen"]), int(values["last_memory"])
        bank = {name: value.to(self._setup.device) for name, value in tensors.items()}
        self._previous_masks = bank.pop("before", None)
        names = [name for name in bank if name.startswith(MIRRORED)]
        mirrored = {name.removeprefix(MIRRORED): bank.pop(name) for name in names}
        self._restore_view(0, bank, values["bank"])
        if len(self.memories) > 1:
            self._restore_view(1, mirrored, values["mirror"])

    def _view_state(self, view: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, values = self.memories[view].state()
        for name, states in self.object_states[view].items():
            tensors |= {f"{OBJECT}{name}.{i}": value for i, value in states.items()}
        return tensors, values

    def _restore_view(self, view: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        for name in [name for name in tensors if name.startswith(OBJECT)]:
            kind, _, i = name.removeprefix(OBJECT).rpartition(".")
            self.object_states[view].setdefault(kind, {})[int(i)] = tensors.pop(name).clone()
        self.memories[view].restore(tensors, values)

    def encode(self, pixels: npt.NDArray[Any]) -> Views:
        """Encode a picture, and its mirror image where there are two views.

        Args:
            pixels: RGB (h, w, 3) at the working size, values of 0 to 255.

        Returns:
            Query features of each view.
        """
        moved = torch.from_numpy(pixels).to(self._setup.device, non_blocking=True)
        return [
            self.network.encode_query(view.contiguous(memory_format=torch.channels_last))
            for view in self._with_mirrored(self.network.prepare(moved).to(self._setup.dtype))
        ]

    def geometry(self, size: Shape) -> ResizePadGeometry:
        """Choose the size at which pictures go through the network.

        Args:
            size: height and width of the pictures in pixels.

        Returns:
            How pictures are resized and padded, and masks brought back.
        """
        return ResizePadGeometry.of(size, self.schedule.short_side, self.network.stride)

    def resized(self, image: Image, geometry: ResizePadGeometry) -> npt.NDArray[Any]:
        """Bring a picture to the working size.

        Args:
            image: RGB (H, W, 3), uint8.
            geometry: what :meth:`geometry` returned.

        Returns:
            A copy, (h, w, 3), values of 0 to 255.
        """
        return np.array(geometry.to_network(image), order="C")

    def needs_prediction(self, given: FramePrompts) -> bool:
        """Tell whether objects are predicted on a frame with given masks, before those are merged in.

        Args:
            given: prompts of the frame.

        Returns:
            True here; a subclass may save the prediction where all objects have a mask.
        """
        return True

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
        readout: Tensor = self.memories[view].read(query.key, ids, count=plan.commit)
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
        return joined(keys), joined([value for _, value in encoded])

    def write(self, view: int, entry: Any, plan: FramePlan) -> None:
        """Add an entry to the memory of a view.

        Args:
            view: 0, or 1 for the mirror image.
            entry: what :meth:`encode_masks` returned.
            plan: what happens on the frame.
        """
        if entry is not None:
            pinned = plan.given is not None
            self.memories[view].write(
                self.ids, *entry, keep=plan.keep, pinned=pinned, uncertainty=plan.uncertainty
            )

    def finish(self, plan: FramePlan) -> None:
        """Count the frame.

        Args:
            plan: what happened on the frame.
        """
        if plan.keep:
            self._last_memory = self._seen
        self._seen += 1

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
        kept = self.object_states[view].get(name, {}) | self._coming[view].get(name, {})
        return torch.stack([kept.get(i, fresh) for i in ids])

    def keep_states(self, view: int, name: str, ids: Sequence[int], states: Tensor) -> None:
        """Keep states of objects instead of earlier ones; they take effect when the frame is done.

        Args:
            view: 0, or 1 for the mirror image.
            name: name of the state.
            ids: the objects.
            states: (K, ...), in the order of ``ids``.
        """
        self._coming[view].setdefault(name, {}).update(zip(ids, states.unbind(), strict=True))

    def _views(self, image: Image) -> tuple[npt.NDArray[Any], ResizePadGeometry, Views]:
        """What the network sees of a picture (a copy), and its features."""
        self._coming = [{} for _ in self.memories]
        geometry = self.geometry(image.shape[:2])
        # A copy, because PyTorch complains of pictures that are read-only.
        pixels = self.resized(image, geometry)
        peeked, self._peeked = self._peeked, None
        # By content: a caller may fill one array with picture after picture.
        if peeked is not None and np.array_equal(peeked[0], pixels):
            return pixels, geometry, peeked[1]
        return pixels, geometry, self.encode(pixels)

    def _with_mirrored(self, planes: Tensor) -> list[Tensor]:
        """Planes (..., H, W) for each view."""
        return [planes] if len(self.memories) == 1 else [planes, planes.flip(-1)]

    def _predict(self, views: Views, plan: FramePlan) -> Tensor:
        """Log-odds of all objects, (K, h, w), float32."""
        merged, *mirrored = (self.predict(view, query, plan) for view, query in enumerate(views))
        for logits in mirrored:
            merged = (merged + logits.flip(-1)) / 2
        if self._previous_masks is None or self.schedule.max_jump is None:
            return merged
        max_jump = round(self.schedule.max_jump * math.hypot(*merged.shape[1:]))
        step = self._previous_masks.shape[-1] // merged.shape[-1]
        before = self._previous_masks[:, step // 2 :: step, step // 2 :: step]
        kept = suppress_distant_components(merged.cpu().numpy(), before.cpu().numpy(), max_jump)
        return torch.from_numpy(kept).to(merged.device)

    def _tracked(self, logits: Tensor, geometry: ResizePadGeometry) -> tuple[TrackOutput, Tensor]:
        """The result of a prediction, and its probabilities at the padded size."""
        to_probabilities = self.class_probabilities()
        seen = Compact(logits, geometry, to_probabilities).probabilities()
        again = Compact(logits.cpu(), geometry, to_probabilities)
        return TrackOutput(self.ids, geometry.to_image(seen), again), seen

    def _merge(
        self, logits: Tensor | None, given: FramePrompts, geometry: ResizePadGeometry, ids: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Put given masks into the prediction; ``ids`` are all objects, also those new to the tracker.

        Gives probabilities at the padded size for the memory, and at the picture's for the result, which
        holds the masks as they were given even where the network sees the picture reduced.
        """
        predicted = None
        if logits is not None:
            predicted = Compact(logits, geometry, self.class_probabilities()).probabilities()
        seen = self.merge_masks(predicted, ids, geometry.mask_to_network(given.mask), given.ids)
        if not geometry.resizes or self.reports_network_masks:
            return seen, geometry.to_image(seen)
        predicted = None if predicted is None else geometry.to_image(predicted)
        return seen, self.merge_masks(predicted, ids, given.mask, given.ids)

    def _entries(
        self, views: Views, probabilities: Tensor, geometry: ResizePadGeometry, plan: FramePlan
    ) -> list[Any]:
        """What :meth:`encode_masks` gives for each view."""
        masks = probabilities[1:].to(self._setup.dtype)
        if not self.network.masks_in_padding:
            masks = geometry.pad(geometry.unpad(masks))
        sides = self._with_mirrored(masks)
        return [
            self.encode_masks(view, query, side, plan)
            for view, (query, side) in enumerate(zip(views, sides, strict=True))
        ]
