"""Tracker of memory networks: order of the steps and state between frames."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from segue.models.base import FramePrompts, Setup, TrackOutput
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.components import LIKELY, suppress_distant_components
from segue.models.memory.memory import Memory
from segue.models.memory.object_states import ObjectStates
from segue.models.memory.outputs import ToImage
from segue.models.memory.steps import FramePlan, FrameSteps, Views
from segue.models.memory.table import MemoryTable
from segue.models.memory.window import Window
from segue.registry import PromptKind
from segue.types import Image

COARSE_ABOVE = 2500
"""Memory positions of one frame above which stride-8 networks read from coarse to fine (240p has 1620)."""

MIRRORED = "mirror."
"""Begins the names of the tensors of the mirror image's memory in a state."""

OBJECT = "object."
"""Begins the names of what is kept of single objects in a state."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of an image, before anything of it is remembered.

    Attributes:
        pixels: the image at the working size.
        asked: the plan of the frame.
        plan: the same, with the window that was taken.
        views: query features.
        logits: log-odds of the objects in the whole image, (K, h, w), float32; None where none were wanted.
    """

    pixels: npt.NDArray[Any]
    asked: FramePlan
    plan: FramePlan
    views: Views
    logits: Tensor | None


class MemoryTracker(FrameSteps):
    """Follows objects with a :class:`segue.models.base.MemoryNetwork` and a memory of each view.

    See :class:`segue.models.base.Tracker` for what the public methods do. A frame goes through these steps,
    each a method that a subclass, named by its network, may refine:

    =========================== =======================================================================
    :meth:`encode`              an image as the network sees it
    :meth:`needs_prediction`    whether the objects are predicted where masks are given
    :meth:`choose_windows`       the part of the image in which objects are predicted
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
    reports_network_masks = False
    """Whether results hold given masks as the network saw them, where it sees the image reduced."""

    def __init__(self, network: Any, setup: Setup) -> None:
        super().__init__(network, setup)
        self.reset()

    def reset(self) -> None:
        views = 2 if self.schedule.flip_tta else 1
        self.memories = [self.new_memory() for _ in range(views)]
        self.object_states = [ObjectStates() for _ in range(views)]
        self.ids = ()
        self._previous_masks: Tensor | None = None
        self._peeked: Look | None = None
        self._seen = self._last_memory = 0

    def new_memory(self) -> Memory:
        """An empty memory of one view."""
        schedule, network = self.schedule, self.network
        table = functools.partial(
            MemoryTable,
            similarity=network.similarity,
            top_k=schedule.top_k,
            memory_frames=schedule.memory_frames,
            policy=schedule.memory_policy,
            coarse_above=COARSE_ABOVE if network.read_stride < 16 else None,
            last_window=schedule.last_window if schedule.include_last else None,
            dense_radius=self._dense_radius,
            penalty=schedule.penalty,
            last_penalty=schedule.last_penalty,
        )
        return Memory(table, "all" if network.shared_keys else "object")

    @property
    def _dense_radius(self) -> int | None:
        """That of the schedule; a GPU loses more by waiting for the positions than it gains."""
        schedule = self.schedule
        if schedule.dense_radius is None or schedule.flip_tta or self._setup.device.type != "cpu":
            return None
        return schedule.dense_radius if self.network.similarity == "l2" else None

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
        self._peeked = None
        self._seen += 1

    def finish(self, plan: FramePlan) -> None:
        """Count the frame."""
        if plan.keep:
            self._last_memory = self._seen
        self._seen += 1

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        ids = self.ids if given is None else tuple(sorted({*self.ids, *given.ids}))
        plan = FramePlan(given, ids, keep=given is not None or self._keeps)
        geometry = self.geometry(image.shape[:2])
        wanted = bool(self.ids) and predict and (given is None or self.needs_prediction(given))
        look = self._look(image, geometry, plan, wanted=wanted)
        plan = look.plan
        if given is None:
            assert look.logits is not None
            tracked, seen = self._tracked(look.logits, geometry)
        else:
            seen, shown = self._merge(look.logits, given, geometry, ids)
            tracked = TrackOutput(ids, shown)
        before = None if self.schedule.max_jump is None else seen[1:] > 0.5
        if plan.keep and self._dense_radius is not None:
            touched = F.max_pool2d(seen[1:].amax(0, keepdim=True), self.network.read_stride)[0] > 0.5
            plan = replace(plan, occupied=touched)
        # All that may fail is done before anything changes, so that a step that failed can be taken again.
        entries = self._entries(look.views, seen, geometry, plan)
        self.ids, self._previous_masks, self._peeked = ids, before, None
        for states in self.object_states:
            states.commit()
        for view, entry in enumerate(entries):
            self.write(view, entry, plan)
        self.finish(plan)
        return tracked

    def peek(self, image: Image) -> TrackOutput:
        geometry = self.geometry(image.shape[:2])
        look = self._look(image, geometry, FramePlan(None, self.ids, keep=self._keeps), wanted=True)
        self._peeked = look
        assert look.logits is not None
        return self._tracked(look.logits, geometry)[0]

    def forget(self, ids: Collection[int]) -> None:
        if not set(ids) & set(self.ids):
            return
        self._peeked = None
        stay = [i not in ids for i in self.ids]
        self.ids = tuple(i for i in self.ids if i not in ids)
        self._previous_masks = None if self._previous_masks is None else self._previous_masks[stay]
        for memory, states in zip(self.memories, self.object_states, strict=True):
            memory.forget(tuple(ids))
            states.forget(ids)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, memory = self._view_state(0)
        if self._previous_masks is not None:
            tensors["before"] = self._previous_masks
        values = {"memory": memory, "ids": self.ids, "seen": self._seen, "last_memory": self._last_memory}
        if len(self.memories) > 1:
            mirrored, values["mirror"] = self._view_state(1)
            tensors |= _named(mirrored, MIRRORED)
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        self.reset()
        self.ids = tuple(values["ids"])
        self._seen, self._last_memory = int(values["seen"]), int(values["last_memory"])
        tensors = {name: value.to(self._setup.device) for name, value in tensors.items()}
        self._previous_masks = tensors.pop("before", None)
        mirrored = _taken(tensors, MIRRORED)
        self._restore_view(0, tensors, values["memory"])
        if len(self.memories) > 1:
            self._restore_view(1, mirrored, values["mirror"])

    def _view_state(self, view: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, values = self.memories[view].state()
        return tensors | _named(self.object_states[view].state(), OBJECT), values

    def _restore_view(self, view: int, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        self.object_states[view].restore(_taken(tensors, OBJECT))
        self.memories[view].restore(tensors, values)

    def _look(self, image: Image, geometry: ResizePadGeometry, plan: FramePlan, *, wanted: bool) -> Look:
        """What is seen of an image; memory and states change only when the frame is done."""
        pixels, peeked = self.resized(image, geometry), self._peeked
        # By content: a caller may fill one array with image after image.
        if peeked is not None and not np.array_equal(peeked.pixels, pixels):
            peeked = None
        if peeked is not None and peeked.asked == plan and wanted:
            return peeked
        for memory, states in zip(self.memories, self.object_states, strict=True):
            memory.discard_usage()
            states.discard()
        known = {} if peeked is None else {peeked.plan.window: peeked.views}

        def encode(window: Window | None = None) -> Views:
            if window not in known:
                known[window] = self.encode(pixels, window)
            return known[window]

        if not wanted:
            return Look(pixels, plan, plan, encode(), None)
        for window in self.choose_windows(plan):
            inside = replace(plan, window=window)
            # What stays in memory is the whole image.
            views = encode() if plan.keep else encode(window)
            logits = self._predict([window.part(query) for query in views] if plan.keep else views, inside)
            if not window.is_left(logits, LIKELY):
                taken = plan if plan.keep else inside
                return Look(pixels, plan, taken, views, self._without_jumps(window.paste(logits)))
            self.memories[0].discard_usage()
        return Look(pixels, plan, plan, encode(), self._without_jumps(self._predict(encode(), plan)))

    def _predict(self, views: Views, plan: FramePlan) -> Tensor:
        """Log-odds of all objects, (K, h, w), float32, of the image or the window."""
        merged, *mirrored = (self.predict(view, query, plan) for view, query in enumerate(views))
        for logits in mirrored:
            merged = (merged + logits.flip(-1)) / 2
        return merged

    def _without_jumps(self, logits: Tensor) -> Tensor:
        """Log-odds (K, h, w) without small pieces far from where the objects were."""
        if self._previous_masks is None or self.schedule.max_jump is None:
            return logits
        max_jump = round(self.schedule.max_jump * math.hypot(*logits.shape[1:]))
        step = self._previous_masks.shape[-1] // logits.shape[-1]
        before = self._previous_masks[:, step // 2 :: step, step // 2 :: step]
        return suppress_distant_components(logits, before, max_jump)

    def _tracked(self, logits: Tensor, geometry: ResizePadGeometry) -> tuple[TrackOutput, Tensor]:
        """The result of a prediction, and its probabilities at the padded size."""
        to_probabilities = self.class_probabilities()
        seen = to_probabilities(logits, geometry.padded)
        shown = geometry.to_image(seen)
        return TrackOutput(self.ids, shown, logits, ToImage(geometry, to_probabilities)), seen

    def _merge(
        self, logits: Tensor | None, given: FramePrompts, geometry: ResizePadGeometry, ids: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Prediction with given masks, padded for the memory and at the image's size for the result."""
        predicted = None
        if logits is not None:
            predicted = self.class_probabilities()(logits, geometry.padded)
        seen = self.merge_masks(predicted, ids, geometry.mask_to_network(given.mask), given.ids)
        if not geometry.resizes or self.reports_network_masks:
            return seen, geometry.to_image(seen)
        predicted = None if predicted is None else geometry.to_image(predicted)
        return seen, self.merge_masks(predicted, ids, given.mask, given.ids)

    def _entries(
        self, views: Views, probabilities: Tensor, geometry: ResizePadGeometry, plan: FramePlan
    ) -> list[Any]:
        """Result of :meth:`encode_masks` for each view."""
        masks = probabilities[1:].to(self._setup.dtype)
        if not self.network.masks_in_padding:
            masks = geometry.pad(geometry.unpad(masks))
        if plan.window is not None:
            masks = plan.window.cut(masks)
        sides = self._with_mirrored(masks)
        return [
            self.encode_masks(view, query, side, plan)
            for view, (query, side) in enumerate(zip(views, sides, strict=True))
        ]


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors with a prefix before their names."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _taken(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors out whose names begin with a prefix; their names here lack it."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}
