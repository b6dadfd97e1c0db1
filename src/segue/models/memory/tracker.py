"""Tracker of memory networks: sequence of steps, and state between frames."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.inference.cpu.features import has_full_int8
from segue.layers.pieces import cat
from segue.models.base import (
    FramePrompts,
    Highest,
    PredictedObjects,
    QueryFeatures,
    Setup,
    Shape,
    TrackOutput,
    shared_image,
)
from segue.models.geometry import ResizePadGeometry
from segue.models.memory.components import EVEN, LIKELY_LOGIT, suppress_distant_components
from segue.models.memory.memory import Memory
from segue.models.memory.parts import binary_masks, total_of
from segue.models.memory.table import MemoryTable, PartialValues, Values
from segue.models.memory.window import Sides, Window
from segue.registry import PromptKind
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.devices import to_device

COARSE_ABOVE = 2500
"""Memory positions of one frame above which stride-8 networks read from coarse to fine (240p has 1620)."""

MIN_TABLE_MASKS = 16
"""Minimum number of given masks for looking up a frame's probabilities by object instead of by pixel."""

PASS_BYTES_PER_PIXEL = 512
"""Rough use of memory by one object in one pass of a decoder, per pixel of the image."""

ToProbabilities = Callable[[Tensor, Shape], Tensor]
"""Log-odds (K, h, w) and a size (H', W') to probabilities (K+1, H', W'), background first."""

Views = list[QueryFeatures]
"""Image, and its mirror image with ``flip_tta``; each has its own memory."""


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Plan for one frame.

    Attributes:
        prompts: the prompts of the frame.
        ids: the objects after it, ascending.
        keep: whether the frame becomes permanent memory.
        corrects: whether its prompts only correct predicted masks, which mostly stay unchanged.
        occupied: memory positions (h, w), bool, that its masks touch; set with the masks, if the schedule
            needs it.
        window: window of the image in which objects are predicted; None for the whole image.
    """

    prompts: FramePrompts | None
    ids: tuple[int, ...]
    keep: bool
    corrects: bool = False
    occupied: Tensor | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction on an image, before memory is written.

    Attributes:
        pixels: the image at the working size.
        requested_plan: the plan of the frame.
        plan: the same, with the window that was taken.
        views: query features.
        logits: log-odds of the objects in the whole image, (K, h, w), float32; None where none were wanted.
    """

    pixels: npt.NDArray[Any]
    requested_plan: FramePlan
    plan: FramePlan
    views: Views
    logits: Tensor | None


class MemoryTracker(Checkpointable):
    """Tracks objects with a :class:`segue.models.base.MemoryNetwork` and a memory per view.

    See :class:`segue.models.base.Tracker` for what the public methods do. A frame goes through these steps,
    each a method that a subclass, named by its network, may refine:

    =========================== =======================================================================
    :meth:`encode`              an image as the network sees it
    :meth:`needs_prediction`    whether the objects are predicted where masks are given
    :meth:`choose_window`       the part of the image in which objects are predicted
    :meth:`widen`               a larger part, where an object leaves it
    :meth:`read`                readout of some objects from the memory of a view
    :meth:`decode`              their log-odds; may move what is kept of them on
    :meth:`merge`               log-odds to the result, and soft masks for the memory
    :meth:`class_probabilities` log-odds to probabilities of background and objects
    :meth:`merge_masks`         puts given masks into the prediction
    :meth:`crop_masks`          masks of the predicted region, without padding
    :meth:`encode_masks`        a frame with its masks as an entry of the memory
    :meth:`encode_objects`      some of its objects, as many as fit into memory together
    :meth:`write`               puts the entry into the memory of a view
    :meth:`finish`              counts the frame
    =========================== =======================================================================

    Nothing changes before :meth:`write`: a step that failed before can be taken again. ``torn`` says that one
    failed later, as where the memory cannot grow.

    ``memories`` holds the memory of each view, see :meth:`new_memory`. Tensors of single objects, such as
    their recurrent states ("sensory memory"), are kept by a step with :meth:`keep_states` under a name of its
    choice; they are removed, saved and restored with the object, and take effect when the frame is done.
    """

    prompts: frozenset[PromptKind] = frozenset()
    reports_network_masks = False
    """Whether results hold given masks at the network's reduced size."""

    memories: list[Memory] = checkpointed(list)
    ids: tuple[int, ...] = checkpointed(())
    _previous_masks: Tensor | None = checkpointed(None)
    _seen: int = checkpointed(0)
    _last_memory: int = checkpointed(0)

    def __init__(self, network: Any, setup: Setup) -> None:
        self.network, self._setup = network, setup
        self.schedule, self.device = setup.schedule, setup.device
        self._dense_radius = setup.schedule.dense_radius
        if self._dense_radius is not None and network.similarity != "l2":
            self._dense_radius = None
        if setup.schedule.flip_tta or setup.device.type != "cpu":
            self._dense_radius = None  # a GPU loses more by waiting for the positions than it gains
        self.reset()

    def reset(self) -> None:
        self.restart()
        views = 2 if self.schedule.flip_tta else 1
        self.memories = [self.new_memory() for _ in range(views)]
        self._peeked: Prediction | None = None

    def _reset_transient_state(self) -> None:
        self.reset()

    def new_memory(self) -> Memory:
        """Create the memory of one view."""
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
            in_int8=self._setup.in_int8 and has_full_int8(),  # weights of 7 bits would blur keys
        )
        return Memory(table, "all" if network.shared_keys else "object")

    @property
    def requires_update(self) -> bool:
        return bool(self.ids) and (self.schedule.include_last or self._keeps_frame)

    @property
    def _keeps_frame(self) -> bool:
        """Whether the next frame stays in memory without prompts."""
        return self._seen - self._last_memory >= self.schedule.mem_every

    def skip(self) -> None:
        self._peeked = None
        self._seen += 1

    def finish(self, plan: FramePlan) -> None:
        """Count the frame."""
        if plan.keep:
            self._last_memory = self._seen
        self._seen += 1

    def step(self, image: Image, prompts: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        ids = self.ids if prompts is None else tuple(sorted({*self.ids, *prompts.ids}))
        keep = prompts is not None or self._keeps_frame
        geometry = self.geometry(image.shape[:2])
        needs_prediction = bool(self.ids) and predict and (prompts is None or self.needs_prediction(prompts))
        corrects = prompts is not None and {*prompts.ids} <= prompts.corrected
        prediction = self._predict_frame(
            image, geometry, FramePlan(prompts, ids, keep, corrects), predict=needs_prediction
        )
        plan = prediction.plan
        if prompts is None:
            assert prediction.logits is not None
            tracked, masks = self.merge(prediction.logits, geometry)
        else:
            whole = {i: geometry.mask_to_network(plane.int()) > 0 for i, plane in prompts.whole.items()}
            probabilities, tracked = self._merge(prediction.logits, prompts, geometry, ids, whole)
            if whole:
                probabilities = with_whole_masks(probabilities, ids, whole)
            masks = probabilities[1:]
        finds_masks = self.schedule.max_jump is not None
        finds_occupied = plan.keep and self._dense_radius is not None
        binary = binary_masks(masks) if finds_masks or finds_occupied else None
        if finds_occupied and binary is not None:
            occupied = F.max_pool2d(binary.any(0, keepdim=True).float(), self.network.read_stride)[0] > 0
            plan = replace(plan, occupied=occupied)
        masks = self.crop_masks(masks, geometry, plan)
        entries = [
            self.encode_masks(view, query, masks.flip(-1) if view else masks, plan)
            for view, query in enumerate(prediction.views)
        ]
        with self.changing("writing the memory"):
            self.ids, self._previous_masks, self._peeked = ids, binary if finds_masks else None, None
            for memory in self.memories:
                memory.commit()
            for view, entry in enumerate(entries):
                self.write(view, entry, plan)
            self.finish(plan)
        return tracked

    def _predict_unprompted(
        self, logits: Tensor | None, prompts: FramePrompts, geometry: ResizePadGeometry
    ) -> PredictedObjects | None:
        """Prediction of the objects without given masks, from log-odds (K, h, w)."""
        rows = [row for row, i in enumerate(self.ids) if i not in prompts.ids]
        if logits is None or not rows:
            return None
        ids = tuple(self.ids[row] for row in rows)
        return PredictedObjects(ids, logits[rows], functools.partial(object_logits, geometry=geometry))

    def peek(self, image: Image) -> TrackOutput:
        geometry = self.geometry(image.shape[:2])
        plan = FramePlan(None, self.ids, keep=self._keeps_frame)
        prediction = self._peeked = self._predict_frame(image, geometry, plan, predict=True)
        assert prediction.logits is not None
        return self.merge(prediction.logits, geometry)[0]

    def forget(self, ids: Collection[int]) -> None:
        if not set(ids) & set(self.ids):
            return
        self._peeked = None
        stay = [i not in ids for i in self.ids]
        self.ids = tuple(i for i in self.ids if i not in ids)
        self._previous_masks = None if self._previous_masks is None else self._previous_masks[stay]
        for memory in self.memories:
            memory.forget(ids)

    def geometry(self, size: Shape) -> ResizePadGeometry:
        """Geometry for images of this size."""
        return ResizePadGeometry.of(size, self.schedule.short_side, self.network.stride)

    def encode(self, pixels: npt.NDArray[Any], window: Window | None = None) -> Views:
        """Encode query features of each view of an image (h, w, 3) or a window of it."""
        on_device = to_device(torch.from_numpy(pixels), self._setup.device)
        prepared = self.network.prepare(on_device).to(self._setup.dtype)
        if window is not None:
            prepared = window.cut(prepared)
        view = prepared.contiguous(memory_format=torch.channels_last)
        views = [view] if len(self.memories) == 1 else [view, view.flip(-1)]
        return list(map(self.network.encode_query, views))

    def needs_prediction(self, prompts: FramePrompts) -> bool:
        """Whether objects are predicted on a frame with given masks."""
        return True

    def choose_window(self, plan: FramePlan) -> Window | None:
        """Choose the image region to predict; None for all of it."""
        return None

    def widen(self, window: Window, sides: Sides) -> Window | None:
        """Widen a window at the sides that objects cross; None for the whole image."""
        return None

    def predict(self, view: int, query: QueryFeatures, plan: FramePlan) -> Tensor:
        """Predict log-odds (K, h, w), float32, of all objects by one view, in order of ``self.ids``."""
        readout = self.read(view, query, self.ids, plan)
        return cat(
            [
                self.decode(view, query, readout[part], self.ids[part], plan).float()
                for part in self.passes(query, len(self.ids))
            ]
        )

    def read(self, view: int, query: QueryFeatures, ids: Sequence[int], plan: FramePlan) -> Tensor:
        """Read values (K, Cv, h, w) of objects from the memory of a view."""
        at = (0, 0) if plan.window is None else plan.window.at(self.network.read_stride)
        within = self.read_mask(ids, plan)
        readout = self.memories[view].read(query.key, ids, query.selection, at=at, within=within)
        return readout.to(self._setup.dtype)

    def read_mask(self, ids: Sequence[int], plan: FramePlan) -> Tensor | None:
        """Positions whose readout :meth:`decode` uses, (K, h, w), bool; None for all."""
        return None

    def decode(
        self, view: int, query: QueryFeatures, readout: Tensor, ids: Sequence[int], plan: FramePlan
    ) -> Tensor:
        """Decode readouts (K, Cv, h, w) to log-odds (K, h, w); states may be updated."""
        return self.network.decode(query, readout)

    def class_probabilities(self) -> ToProbabilities:
        """Function from log-odds (K, h, w) to probabilities (K+1, H', W'), kept by results.

        It must not hold the tracker, and must be picklable.
        """
        return functools.partial(upsample_then_aggregate, aggregate=self.network.aggregate)

    def merge(self, logits: Tensor, geometry: ResizePadGeometry) -> tuple[TrackOutput, Any]:
        """Merge log-odds (K, h, w) to a result, and soft masks (K, H', W') for the memory.

        A subclass with its own :meth:`crop_masks` and :meth:`encode_masks` may return them as
        :class:`segue.models.memory.parts.Parts`.
        """
        to_probabilities = self.class_probabilities()
        probabilities = to_probabilities(logits, geometry.padded)
        expand = functools.partial(to_image, geometry=geometry, to_probabilities=to_probabilities)
        full_logits = functools.partial(object_logits, geometry=geometry)
        return TrackOutput(
            self.ids,
            geometry.to_image(probabilities),
            logits,
            expand,
            logits=full_logits,
            by_object=True,
        ), probabilities[1:]

    def crop_masks(self, masks: Tensor, geometry: ResizePadGeometry, plan: FramePlan) -> Any:
        """Soft masks (K, H', W') as :meth:`encode_masks` takes them; ``masks`` may change."""
        masks = masks.to(self._setup.dtype)
        if not self.network.masks_in_padding:
            geometry.clear_padding(masks)
        return masks if plan.window is None else plan.window.cut(masks)

    def merge_masks(
        self, predicted: Tensor | None, ids: Sequence[int], mask: Tensor, prompted: Sequence[int]
    ) -> Tensor:
        """Merge given masks of ``prompted`` objects with predictions: (len(ids) + 1, H, W).

        Inside the given masks nothing else remains; a corrected object has nothing outside its new mask (spec
        of the STCN release, "objects that appear later").
        """
        if prompts_many(predicted, ids, prompted):
            return self._merge_prompted(ids, mask)
        merged = torch.zeros(len(ids), *mask.shape, device=mask.device)
        for channel, i in enumerate(ids):
            if i in prompted:
                merged[channel] = mask == i
            elif predicted is not None:
                merged[channel] = predicted[self.ids.index(i) + 1].masked_fill(mask > 0, 0)
        if self.network.aggregate_prompts:
            return self.network.aggregate(merged)
        return torch.cat([1 - merged.sum(0, keepdim=True), merged])

    def _merge_prompted(self, ids: Sequence[int], mask: Tensor) -> Tensor:
        """See :meth:`merge_masks` if all objects are given: pixels of one object are equal."""
        return values_of(channels_of(ids, mask), values=self._given_values(len(ids)).to(mask.device))

    def _given_values(self, objects: int) -> Tensor:
        """Probabilities (K+1, K+1) of all channels in rows, per given channel in columns."""
        one_hot = torch.eye(objects + 1)[1:, None]
        if self.network.aggregate_prompts:
            values: Tensor = self.network.aggregate(one_hot)[:, 0]
            return values
        return torch.cat([1 - one_hot.sum(0, keepdim=True), one_hot])[:, 0]

    def _given_output(self, ids: Sequence[int], mask: Tensor) -> TrackOutput:
        """Result of an index mask (H, W) of all objects, without probabilities."""
        channels, values = channels_of(ids, mask), self._given_values(len(ids))
        on_device = values.to(mask.device)
        areas = torch.bincount(channels.flatten(), minlength=len(values))
        sums = (on_device.double() @ areas.double()).float()
        channels = channels.to(torch.int16)
        highest = Highest(on_device.diagonal()[channels.int()], channels, sums)
        expand = functools.partial(values_of, values=values)
        return TrackOutput(tuple(ids), None, channels, expand, highest=highest)

    def encode_masks(self, view: int, query: QueryFeatures, masks: Any, plan: FramePlan) -> Any:
        """Encode masks of :meth:`crop_masks` for :meth:`write`; None if the frame is not kept."""
        if not plan.keep and not self.schedule.include_last:
            return None
        total = total_of(masks)
        if plan.prompts is not None and plan.prompts.whole:
            total = total.clamp(max=1)  # in its own whole mask each object sees no others
        keys: list[Tensor] = []
        values: list[Tensor | PartialValues] = []
        for part in self.passes(query, len(plan.ids)):
            key, part_values = self.encode_objects(view, query, masks[part], total, plan.ids[part], plan)
            values.extend(part_values)  # to join them would take their memory twice
            if key is not None:
                keys.append(key)
        return replace(query, key=cat(keys or [query.key])), values

    def encode_objects(
        self,
        view: int,
        query: QueryFeatures,
        masks: Tensor,
        total: Tensor,
        ids: Sequence[int],
        plan: FramePlan,
    ) -> tuple[Tensor | None, Values]:
        """Encode values of some objects, and keys if separate; ``total`` is the sum of all masks."""
        return self.network.encode_memory(query, masks, total)

    def write(self, view: int, entry: Any, plan: FramePlan) -> None:
        """Add an entry of :meth:`encode_masks` to the memory of a view."""
        if entry is not None:
            query, values = entry
            self.memories[view].write(
                plan.ids,
                query.key,
                values,
                shrinkage=query.shrinkage,
                selection=query.selection,
                keep=plan.keep,
                pinned=self.is_pinned(plan),
                trusted=not plan.corrects,
                occupied=plan.occupied,
            )

    def is_pinned(self, plan: FramePlan) -> bool:
        """Whether a frame has given masks, and is evicted last."""
        return plan.prompts is not None

    def passes(self, query: QueryFeatures, objects: int) -> list[slice]:
        """Slices over the objects that fit into memory together."""
        height, width = query.image.shape[-2:]
        size = max(1, self._setup.memory_limit // (PASS_BYTES_PER_PIXEL * height * width))
        return [slice(start, start + size) for start in range(0, objects, size)]

    def states_of(self, view: int, name: str, ids: Sequence[int], initial: Tensor) -> Tensor:
        """States (K, ...) of objects by name, ``initial`` for new ones."""
        return self.memories[view].states_of(name, ids, initial)

    def keep_states(self, view: int, name: str, ids: Sequence[int], states: Tensor) -> None:
        """Set states (K, ...) of objects by name, effective when the frame is done."""
        self.memories[view].keep_states(name, ids, states)

    def _predict_frame(
        self, image: Image, geometry: ResizePadGeometry, plan: FramePlan, *, predict: bool
    ) -> Prediction:
        """Predict an image; memory and states change only when the frame is done."""
        pixels, peeked = np.array(geometry.to_network(image), order="C"), self._peeked  # pixels: a copy
        # By content: a caller may fill one array with image after image.
        if peeked is not None and not np.array_equal(peeked.pixels, pixels):
            peeked = None
        if peeked is not None and peeked.requested_plan == plan and predict:
            return peeked
        for memory in self.memories:
            memory.discard()
        cached_views = {} if peeked is None else {peeked.plan.window: peeked.views}
        if not predict:
            return Prediction(pixels, plan, plan, self._encoded(pixels, cached_views, None), None)
        window = first = self.choose_window(plan)
        while True:
            inside = replace(plan, window=window)
            # What stays in memory is the whole image.
            views = self._encoded(pixels, cached_views, None if plan.keep else window)
            logits = self._predict_within(views, inside)
            # Features of the whole image, cut, leave faint traces beside the sides of a window.
            threshold = EVEN if plan.keep else LIKELY_LOGIT
            sides = None if window is None else window.left_sides(window.cut(logits), threshold)
            loses_object = window is not None and self._loses_object(logits)
            if window is None or sides is None or not (any(sides) or loses_object):
                return Prediction(pixels, plan, plan if plan.keep else inside, views, logits)
            self.memories[0].discard()
            window = self.widen(window, sides) if window is first and not loses_object else None

    def _loses_object(self, logits: Tensor) -> bool:
        """Whether a visible object vanishes in log-odds (K, h, w)."""
        masks = self._previous_masks
        if masks is None:
            return False
        is_empty = logits.flatten(1).amax(1) <= EVEN
        return bool(is_empty.any()) and bool(masks[is_empty].any())

    def _predict_within(self, views: Views, plan: FramePlan) -> Tensor:
        """Predict log-odds (K, h, w) of the image within the window of a plan."""
        window = plan.window
        visible_views = views if window is None or not plan.keep else window.part(views)
        logits = self.predict(0, visible_views[0], plan)
        if len(visible_views) > 1:
            logits = (logits + self.predict(1, visible_views[1], plan).flip(-1)) / 2
        if window is not None:
            logits = window.paste(logits)
        if self._previous_masks is None or self.schedule.max_jump is None:
            return logits
        return suppress_distant_components(logits, self._previous_masks, self.schedule.max_jump)

    def _encoded(
        self, pixels: npt.NDArray[Any], cached_views: dict[Window | None, Views], window: Window | None
    ) -> Views:
        """Query features of an image or a window, cached if possible.

        They are made once where several sessions take the image.
        """
        if window not in cached_views:
            image = shared_image()
            # Windows that are together larger than the image are cut out of its features.
            cut = image is not None and window is not None and image.takers * window.share > 1
            part = None if cut else window
            make = functools.partial(self.encode, pixels, part)
            views = make() if image is None else image.cached(self.network, (pixels.shape, part), make)
            cached_views[window] = window.part(views) if cut and window is not None else views
        return cached_views[window]

    def _merge(
        self,
        logits: Tensor | None,
        prompts: FramePrompts,
        geometry: ResizePadGeometry,
        ids: Sequence[int],
        whole: Mapping[int, Tensor],
    ) -> tuple[Tensor, TrackOutput]:
        """Merge prediction and visible given masks: padded for the memory, and the result.

        ``whole`` has the masks that are partly hidden, at the padded size.
        """
        predicted = None
        if logits is not None:
            predicted = self.class_probabilities()(logits, geometry.padded)
        mask = geometry.mask_to_network(prompts.mask)
        for i, plane in whole.items():  # objects of which no visible pixel was sampled
            mask = torch.where(plane & (mask == 0), i, mask)
        probabilities = self.merge_masks(predicted, ids, mask, prompts.ids)
        if self.reports_network_masks or not (geometry.resizes or prompts_many(predicted, ids, prompts.ids)):
            output = geometry.to_image(probabilities)
        elif prompts_many(predicted, ids, prompts.ids):
            return probabilities, self._given_output(ids, prompts.mask)
        else:
            predicted = None if predicted is None else geometry.to_image(predicted)
            output = self.merge_masks(predicted, ids, prompts.mask, prompts.ids)
        unprompted = self._predict_unprompted(logits, prompts, geometry)
        return probabilities, TrackOutput(tuple(ids), output, predicted=unprompted, by_object=True)


def prompts_many(predicted: Tensor | None, ids: Sequence[int], prompted: Sequence[int]) -> bool:
    """Whether all objects are given, and enough of them for a table look-up."""
    return predicted is None and len(ids) >= MIN_TABLE_MASKS and {*ids} <= {*prompted}


def channels_of(ids: Sequence[int], mask: Tensor) -> Tensor:
    """Channels (H, W), int64, of an index mask: 0 is background, then objects in order."""
    places = torch.zeros(max(ids[-1], int(mask.max())) + 1, dtype=torch.long, device=mask.device)
    places[list(ids)] = torch.arange(1, len(ids) + 1, device=mask.device)
    return places[mask.long()]


def values_of(channels: Tensor, *, values: Tensor) -> Tensor:
    """Look up planes (C, H, W) for channels (H, W) in a table (C, K+1)."""
    return values[:, channels.flatten().long()].view(len(values), *channels.shape)


def with_whole_masks(probabilities: Tensor, ids: Sequence[int], whole: Mapping[int, Tensor]) -> Tensor:
    """Add hidden parts of whole masks (H, W), bool, to probabilities (K+1, H, W).

    There they have the value of the object in front.
    """
    highest = probabilities[1:].amax(0)
    probabilities = probabilities.clone()
    for i, plane in whole.items():
        channel = probabilities[1 + ids.index(i)]
        torch.where(plane, highest, channel, out=channel)
    return probabilities


def upsample_then_aggregate(logits: Tensor, size: Shape, *, aggregate: Callable[[Tensor], Tensor]) -> Tensor:
    """Enlarge log-odds (K, h, w), then merge sigmoids to (K+1, H, W), like STM, STCN and XMem."""
    full = F.interpolate(logits[None], size=size, mode="bilinear")[0]
    return aggregate(full.sigmoid_())


def to_image(logits: Tensor, *, geometry: ResizePadGeometry, to_probabilities: ToProbabilities) -> Tensor:
    """Convert log-odds (K, h, w) to probabilities (K+1, H, W) at image size."""
    return geometry.to_image(to_probabilities(logits, geometry.padded))


def object_logits(logits: Tensor, *, geometry: ResizePadGeometry) -> Tensor:
    """Enlarge log-odds (K, h, w) of separate objects to image size, (K, H, W)."""
    return geometry.to_image(F.interpolate(logits[None], size=geometry.padded, mode="bilinear")[0])
