"""SAM 2 on a stream: frames in order, prompts on any frame, bounded memory.

Only what a later frame can see is kept: all prompted frames, the last six maps and the last fifteen pointers
of each object. The masks are those of the release's predictor, which keeps the whole video.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from segue.errors import PromptError, SegueError
from segue.models.base import FramePrompts, Schedule, Setup, TrackOutput, shared_image
from segue.models.sam2.images import points_on_square, square_mask, video_image, video_logits
from segue.models.sam2.objects import ObjectMemory, ObjectSteps, Settings
from segue.models.sam2.values import IMAGE_SIDE, Constants, Encoded, Record, VideoNetwork
from segue.prompt_types import BoxPrompt, PointPrompt
from segue.registry import PromptKind
from segue.state import Checkpointable, checkpointed
from segue.types import Image, MemoryPolicy


@dataclass(frozen=True, slots=True)
class SAM2Schedule(Schedule, Settings):
    """Schedule of SAM 2: every frame enters memory; ``short_side`` is the side of the input.

    ``memory_policy="fifo"`` with ``memory_frames`` is another way to say ``prompted_frames``.
    """

    mem_every: int = 1
    top_k: int | None = None
    memory_policy: MemoryPolicy = "all"
    short_side: int | None = IMAGE_SIDE


PASS_BYTES_PER_PIXEL = 512
"""Approximate bytes per object and pixel of the square input when objects are tracked together."""

UNUSED = (
    "mem_every",
    "top_k",
    "include_last",
    "last_window",
    "penalty",
    "last_penalty",
    "max_jump",
    "flip_tta",
)
"""Fields of a schedule that say nothing to SAM 2."""


def settings_of(schedule: Schedule) -> Settings:
    """Settings of a schedule, by default those of the release."""
    published = SAM2Schedule()
    for name in UNUSED:
        if getattr(schedule, name) != getattr(published, name):
            raise SegueError(f"SAM 2 has no {name}; leave it out")
    if schedule.memory_policy == "usage":
        raise SegueError("SAM 2 does not count how often memory is read; choose memory policy fifo or all")
    source = schedule if isinstance(schedule, Settings) else published
    settings = Settings(**{item.name: getattr(source, item.name) for item in fields(Settings)})
    if schedule.memory_policy == "all":
        return settings
    if schedule.memory_frames < 2:
        raise SegueError(f"memory_frames is {schedule.memory_frames}; SAM 2 sees at least 2 prompted frames")
    return replace(settings, prompted_frames=schedule.memory_frames)


def side_of(short_side: int | None, network: VideoNetwork) -> int:
    """Side of the input for a working size: the nearest supported multiple."""
    if short_side is None:
        return IMAGE_SIDE
    return max(1, round(short_side / network.side_step)) * network.side_step


@dataclass(slots=True)
class EncodedImage:
    """An image, its features, and the records on it."""

    image: Image
    encoded: Encoded
    records: dict[int, Record]


class SAM2Tracker(Checkpointable):
    """Tracks objects with :class:`segue.models.sam2.network.SAM2`.

    See :class:`segue.models.base.Tracker` for what the methods do. A mask or a box says anew where an object
    is, and makes the frame a prompted one. Points alone correct what is found of a known object; as in the
    release, the corrected frame counts as a tracked one.
    """

    prompts: frozenset[PromptKind] = frozenset({"box", "point"})
    state_types = (ObjectMemory, Record)
    objects: dict[int, ObjectMemory] = checkpointed(dict)
    _seen: int = checkpointed(0)

    def __init__(self, network: VideoNetwork, setup: Setup) -> None:
        self.settings = settings_of(setup.schedule)
        self._setup, self.device = setup, setup.device
        with torch.inference_mode():
            self._constants: Constants = network.constants(side_of(setup.schedule.short_side, network))
        together = max(1, setup.memory_limit // (PASS_BYTES_PER_PIXEL * self._constants.side**2))
        self._steps = ObjectSteps(network, self._constants, self.settings, together)
        self.reset()

    def reset(self) -> None:
        self.restart()
        self._peeked: EncodedImage | None = None

    def _reset_transient_state(self) -> None:
        self.reset()

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self.objects))

    @property
    def requires_update(self) -> bool:
        return bool(self.objects)

    def skip(self) -> None:
        self._seen += 1
        self._peeked = None

    def forget(self, ids: Collection[int]) -> None:
        for i in set(ids) & self.objects.keys():
            del self.objects[i]

    def peek(self, image: Image) -> TrackOutput:
        encoded_image = self._looked(image)
        self._track(encoded_image, self.ids, remember=True)
        self._peeked = replace(encoded_image, image=image.copy())
        return self._output(self.ids, encoded_image.records, image)

    def step(self, image: Image, prompts: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        clicks = clicks_by_object(prompts.prompts if prompts is not None else (), self.objects)
        encoded_image = self._looked(image)
        self._peeked = None
        masked = () if prompts is None else prompts.masked
        # A box says anew where the object is.
        corrected = {i for i in clicks if i in self.objects and clicks[i].box is None}
        unprompted = [i for i in self.ids if i not in masked and i not in clicks and predict]
        self._track(encoded_image, unprompted, remember=True)
        self._track(encoded_image, corrected, remember=False)
        records = {i: encoded_image.records[i] for i in unprompted}
        for i, object_clicks in clicks.items():
            records[i] = self._clicked(encoded_image, object_clicks, image, i if i in corrected else None)
        for i in masked:
            assert prompts is not None
            mask = square_mask(prompts.plane(i), self._constants.side)
            records[i] = self._steps.from_mask(encoded_image.encoded, mask)
        for i in (*clicks, *masked):
            records[i] = self._steps.encode_memory(encoded_image.encoded, records[i])
        ids = tuple(sorted({*self.objects, *records}))
        output = self._output(ids, records, image)
        # All that may fail is done; a step that failed can be taken again.
        for i, record in records.items():
            memory = self.objects.setdefault(i, ObjectMemory())
            prompted = i in masked or (i in clicks and (i not in corrected or self.settings.keep_corrections))
            (memory.prompted if prompted else memory.tracked)[self._seen] = record
        for memory in self.objects.values():
            memory.prune(self._seen, self.settings)
        self._seen += 1
        return output

    def _output(self, ids: tuple[int, ...], by_id: Mapping[int, Record], image: Image) -> TrackOutput:
        records = [by_id.get(i) for i in ids]
        size = image.shape[0], image.shape[1]
        return output_of(ids, records, self._steps.low_masks(records), size)

    def _looked(self, image: Image) -> EncodedImage:
        # By content: a caller may fill one array with image after image.
        if self._peeked is not None and np.array_equal(self._peeked.image, image):
            return self._peeked
        square = video_image(image, self._constants.side, self._setup.device).to(self._setup.dtype)
        network, shared = self._steps.network, shared_image()
        encode = partial(network.encode, square, self._constants)
        encoded = encode() if shared is None else shared.cached(network, tuple(square.shape), encode)
        return EncodedImage(image, encoded, {})

    def _track(self, encoded_image: EncodedImage, ids: Iterable[int], *, remember: bool) -> None:
        views = {
            i: self.objects[i].view(self._seen, self.settings, self._setup.frames)
            for i in ids
            if i not in encoded_image.records or (remember and encoded_image.records[i].features is None)
        }
        encoded_image.records |= self._steps.track(encoded_image.encoded, views, remember=remember)

    def _clicked(
        self, encoded_image: EncodedImage, clicks: ObjectClicks, image: Image, corrected: int | None
    ) -> Record:
        points, labels = points_on_square(
            clicks.positive,
            clicks.negative,
            clicks.box,
            (image.shape[0], image.shape[1]),
            self._constants.side,
            self._setup.device,
        )
        if corrected is None:
            return self._steps.click(encoded_image.encoded, points, labels, None, None)
        view = self.objects[corrected].view(self._seen, self.settings, self._setup.frames)
        return self._steps.click(
            encoded_image.encoded, points, labels, encoded_image.records[corrected].low_res_masks, view
        )


def output_of(
    ids: tuple[int, ...], records: Sequence[Record | None], low: Tensor, size: tuple[int, int]
) -> TrackOutput:
    """Create the result of objects from mask logits (1, K, h, w)."""
    hidden = low.new_zeros(1)
    scores = torch.cat([hidden if record is None else record.expected for record in records])
    logits = partial(video_logits, size=size)
    return TrackOutput(
        ids, merged(low, size), low, partial(merged, size=size), scores.clamp(0, 1), logits=logits
    )


@dataclass(frozen=True, slots=True)
class ObjectClicks:
    """All points and the box of one object."""

    positive: tuple[tuple[float, float], ...] = ()
    negative: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None


def clicks_by_object(
    prompts: Sequence[BoxPrompt | PointPrompt], tracked_ids: Collection[int]
) -> dict[int, ObjectClicks]:
    """Prompts by object."""
    clicks: dict[int, ObjectClicks] = {}
    for prompt in prompts:
        object_clicks = clicks.get(prompt.id, ObjectClicks())
        if isinstance(prompt, BoxPrompt):
            if object_clicks.box is not None:
                raise PromptError(f"object {prompt.id}: give one box, with or without points")
            clicks[prompt.id] = replace(object_clicks, box=prompt.box)
        else:
            positive, negative = (
                object_clicks.positive + prompt.positive,
                object_clicks.negative + prompt.negative,
            )
            clicks[prompt.id] = replace(object_clicks, positive=positive, negative=negative)
    for i, object_clicks in clicks.items():
        if not (object_clicks.positive or object_clicks.box or (i in tracked_ids and object_clicks.negative)):
            raise PromptError(f"object {i}: needs at least one positive point or a box")
    return clicks


def merged(low: Tensor, size: tuple[int, int]) -> Tensor:
    """Merge mask logits (1, K, h, w) to probabilities (K+1, H, W), background first.

    A softmax over the logits and 0 for the background, as in the release with ``non_overlap_masks``.
    """
    logits = video_logits(low, size)
    return torch.cat([torch.zeros_like(logits[:1]), logits]).softmax(0)
