"""Track objects through a video with any tracking network."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch

from segue.errors import ArgumentError, PromptError
from segue.flow.crowd import CROWD, SPECK, Crowd, CrowdPlan, CrowdWarning
from segue.inference.running import own_precision
from segue.masks import encode_rle
from segue.models.base import (
    FramePrompts,
    Schedule,
    Setup,
    Tracker,
    TrackNetwork,
    TrackOutput,
    track_capabilities,
)
from segue.prompt_inputs.arguments import PromptArguments, PromptsLike, as_prompts, collect_prompts
from segue.prompt_inputs.checks import check_frame, check_ids
from segue.prompt_types import PROMPTS, MaskPrompt, Prompt, check_count
from segue.prompts import MakePrompter, find_prompter, resolve_prompts
from segue.registry import MODELS
from segue.sessions.association import new_objects
from segue.sessions.networks import track_network
from segue.sessions.session import Session, one_thread_at_a_time
from segue.sessions.track_results import segmentation_of, with_crowd
from segue.state import Checkpointable, SessionState, checkpointed
from segue.types import Frame, Segmentation
from segue.utils.arrays import check_id, in_rgb
from segue.utils.inputs import kind_of
from segue.utils.keywords import suggests_names
from segue.utils.lazy import LazyCallable
from segue.utils.notices import warn_caller
from segue.video.decoding.readers import Colour, FrameLike, as_frame
from segue.weights.prepared import Prepared

BY_FRAME = (
    "prompts: a dictionary is by frame in segue.track; for objects by id give masks={7: mask} or "
    "boxes={7: box}"
)

_DETECTOR = LazyCallable("segue.sessions.detecting:detector")
"""Imported late: one of the detectors uses tracking."""

_NO_PROMPTS = FramePrompts(torch.empty(0, dtype=torch.int32), ())


class TrackSession(Checkpointable, Session):
    """Tracks objects frame by frame; each result is available immediately.

    Objects can be added, corrected or removed on any frame. A corrected object has the new mask from that
    frame on. An object that is not visible stays in memory and may return. With more than 64 objects, objects
    smaller than 20 pixels at network size keep their shape and move with the optical flow.

    Args:
        network: name for :func:`segue.load`; a network, which is not changed; or a shared network from
            ``segue.load(name, device="cpu")``. Sessions with the same name also share the network.
        schedule: rules for storing and reading the memory; None is the network's schedule.
        device: None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device; a few pixels may differ.
        fit: resize masks that differ in size from the video, instead of refusing them.
        prompter: prompter for boxes and points; None is the network if it accepts them, otherwise the
            prompter of its name, which is segue-prompt for most networks and for a network without a name.
            Points of a tracked object correct its predicted mask.
        memory_limit: approximate maximum of bytes for one pass of value encoder or decoder; more objects run
            in several passes.
        frames: number of frames of the video, if known; SAM 2 uses it for fewer than 16 frames.

    Example:
        >>> session = TrackSession("stcn-lite")
        >>> result = session.step(first_image, first_mask)
        >>> for image in images:
        ...     result = session.step(image)
    """

    _object_info: dict[int, tuple[str | None, float | None]] = checkpointed(dict)
    """Label of each object, and the predicted IoU of its first mask if a prompter made that."""

    _size: tuple[int, int] | None = checkpointed(None)
    _next_index: int = checkpointed(0)
    tracker: Tracker = checkpointed()
    _crowd: Crowd = checkpointed(Crowd, later=True)
    _added: list[Prompt | str | Sequence[str]] = checkpointed(list, later=True)  # for the next frame
    state_types = PROMPTS

    @suggests_names
    def __init__(
        self,
        network: str | TrackNetwork | Prepared[TrackNetwork],
        schedule: Schedule | None = None,
        *,
        device: str | int | torch.device | None = None,
        fast: bool = False,
        fit: bool = False,
        prompter: MakePrompter | None = None,
        memory_limit: int = 4 << 30,
        frames: int | None = None,
    ) -> None:
        if prompter is not None and not callable(prompter):
            raise ArgumentError(
                f"prompter: {kind_of(prompter)}; give segue.Prompter, or a function of an image"
            )
        if schedule is not None and not isinstance(schedule, Schedule):
            raise ArgumentError(f"schedule: {kind_of(schedule)}; give a segue.models.base.Schedule")
        self.prepared = prepared = track_network(network, device=device, fast=fast)
        self.schedule, self.fit = schedule or prepared.network.schedule, fit
        self._confidence = track_capabilities(prepared.network).confidence
        self.device, self.precision = prepared.device, prepared.precision
        default = "segue-prompt" if prepared.name is None else MODELS.find(prepared.name).prompter
        self.prompter: MakePrompter = prompter or find_prompter(
            default, device=self.device, fast=prepared.precision != torch.float32
        )
        in_int8 = prepared.precision == torch.int8
        self.setup = Setup(self.schedule, self.device, prepared.dtype, memory_limit, frames, in_int8)
        with own_precision(self.device):
            self.tracker = prepared.network.tracker(prepared.network, self.setup)
        self.native = self.tracker.prompts if prompter is None else frozenset()
        self._warned_of_small = self._warned_of_slow = False
        self._text_detector: tuple[Any, Any] = None, None
        self.reset()

    @one_thread_at_a_time
    def reset(self) -> None:
        """Remove all objects and frames."""
        self.tracker.reset()
        self.restart()

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects, ascending."""
        return tuple(sorted((*self.tracker.ids, *self._crowd.places)))

    @property
    def requires_update(self) -> bool:
        """Whether the next frame changes the memory, so that it must not be skipped."""
        return self.tracker.requires_update or bool(self._crowd.places or self._added)

    @one_thread_at_a_time
    def skip(self, frame: Frame) -> None:
        """Skip a frame without a result; it counts for the schedule.

        Args:
            frame: the next frame.
        """
        frame = as_frame(frame, self._next_index, self._size)
        self.check_intact()
        self.tracker.skip()
        self._size, self._next_index = self._size or frame.size, frame.index + 1

    @one_thread_at_a_time
    @torch.inference_mode()
    def remove(self, ids: int | Iterable[int]) -> None:
        """Stop tracking objects; a later prompt for one of them starts a new track.

        Prompts of these objects that wait for the next frame are dropped.

        Args:
            ids: one or several objects; objects that are not tracked are ignored.

        Raises:
            PromptError: an id is not a whole number from 1 on; the session is unchanged.
        """
        ids = check_ids(ids)
        with self.changing("removing objects"):
            self.tracker.forget(ids)
            self._crowd.places = {i: each for i, each in self._crowd.places.items() if i not in ids}
        self._object_info = {i: info for i, info in self._object_info.items() if i not in ids}
        self._added = [item for item in self._added if not (isinstance(item, Prompt) and item.id in ids)]

    @suggests_names
    @one_thread_at_a_time
    @torch.inference_mode()
    def step(
        self,
        frame: FrameLike,
        prompts: PromptsLike | FramePrompts | None = None,
        *,
        text: str | Sequence[str] | None = None,
        predict: bool = True,
        colour: Colour = "rgb",
        **arguments: Unpack[PromptArguments],
    ) -> Segmentation:
        """Segment the next frame.

        Args:
            frame: a :class:`segue.Frame`, or an image (H, W, 3), uint8 (array, tensor or PIL), which gets
                the next index; all frames of a session have the same size.
            prompts: prompts of this frame: an index mask (H, W), a path or prompts, see
                :func:`segue.prompt_inputs.as_prompts`; or the result of :meth:`resolve`. They may be empty,
                for example without detections, and so may ``boxes`` and ``masks``.
            text: phrases to detect on this frame, such as ``"person, red car"``. A detection that is not
                tracked yet becomes an object with the next free id and the phrase as its label.
            predict: False uses only the prompts for this frame and treats all other objects as hidden, like
                the evaluation of the STCN release on annotated frames whose result is not required.
            colour: order of the channels of an image, and of masks in colours; ``bgr`` is that of
                ``cv2.imread``. A :class:`segue.Frame` is RGB.
            arguments: prompts by their kinds, see :class:`segue.prompt_inputs.PromptArguments`; box, points
                and strokes are of object 1.

        Returns:
            The result of this frame. Its mask is (H, W), uint8, or uint16 if an object has an id above 255; 0
            is background. Without tracked objects, the mask is 0 everywhere.

        Raises:
            PromptError: a prompt does not match the frame.
            SourceError: the frame differs in size from the earlier frames.

        After an error, the session is unchanged, and you can pass the frame again. If memory ran out while
        the frame was written to the memory, the session refuses to continue.
        """
        frame = as_frame(frame, self._next_index, self._size, colour=colour)
        self.check_intact()
        if colour == "bgr":
            prompts = in_rgb(prompts)
            arguments["masks"] = in_rgb(arguments.get("masks"))
        resolved = self._resolved(frame, prompts, arguments, text)
        start = time.perf_counter()
        plan = self._crowd.plan(frame.image, resolved, self.tracker.ids, self.schedule.short_side)
        tracked = self._step_tracker(frame, plan, resolved.removed, predict=predict)
        with self.changing(f"the result of frame {frame.index}"):
            self._size, self._next_index = self._size or frame.size, frame.index + 1
            self._added = []
            if resolved is not _NO_PROMPTS:
                self._object_info = self._info_with(resolved)
            self._crowd.take(plan.places, frame.image)
            result = self._result(frame, tracked, resolved.expected)
            if len(result.objects) + len(plan.places) > CROWD:
                self._warn_of_crowd(frame.index, plan, time.perf_counter() - start)
            if crowd := plan.places if predict else plan.added:
                result = with_crowd(result, crowd, self._labels)
            if not resolved.whole:
                return result
            whole = {i: encode_rle(plane.cpu().numpy())["counts"] for i, plane in resolved.whole.items()}
            objects = (replace(item, whole=whole.get(item.id)) for item in result.objects)
            return replace(result, objects=tuple(objects))

    def _resolved(
        self,
        frame: Frame,
        prompts: PromptsLike | FramePrompts | None,
        arguments: PromptArguments,
        text: str | Sequence[str] | None,
    ) -> FramePrompts:
        """Resolve all prompts of a frame to the format of trackers.

        Added prompts wait until their frame is processed; invalid ones are dropped.
        """
        if self._added or text is not None or _has_values(arguments):
            with self._dropping_invalid(frame):
                collected = self._collected(frame, prompts, arguments, text)
                return _NO_PROMPTS if collected is None else self.resolve(frame, collected)
        elif isinstance(prompts, Mapping):
            raise PromptError(BY_FRAME)
        if prompts is None:
            return _NO_PROMPTS
        return prompts if isinstance(prompts, FramePrompts) else self.resolve(frame, prompts)

    def _step_tracker(
        self, frame: Frame, plan: CrowdPlan, removed: Collection[int], *, predict: bool
    ) -> TrackOutput | None:
        """Run the network's tracker on a frame; None if it has no objects."""
        prompts = plan.prompts
        if prompts is not None:
            prompts = prompts.on(self.device)
        forgotten = {*removed, *plan.added} & {*self.tracker.ids}
        with self._forgotten(forgotten) if forgotten else nullcontext():
            if prompts is None and not (self.tracker.ids and predict):
                self.tracker.skip()
                return None
            try:
                with self.prepared.inference_guard():
                    return self.tracker.step(frame.image, prompts, predict=predict)
            except BaseException as error:
                if getattr(self.tracker, "torn", None) is not None:
                    self.torn = f"frame {frame.index} failed in the middle ({type(error).__name__})"
                raise

    @one_thread_at_a_time
    def add(
        self,
        prompts: PromptsLike | None = None,
        *,
        id: int = 1,
        text: str | Sequence[str] | None = None,
        **arguments: Unpack[PromptArguments],
    ) -> None:
        """Add prompts for the next frame, such as the clicks of a person who sees the last frame.

        The next :meth:`step` uses all prompts added before it. Invalid prompts raise an error there and are
        dropped.

        Args:
            prompts: prompts as for :meth:`step`.
            id: object of ``box``, points, strokes and a single mask.
            text: phrases to detect on the next frame.
            arguments: prompts by their kinds, see :class:`segue.prompt_inputs.PromptArguments`; points of a
                tracked object correct its mask.

        Raises:
            PromptError: a prompt has a wrong form.
        """
        id = check_id(id)
        if text is not None:
            self._added.append(text)
        if prompts is not None or text is None or _has_values(arguments):
            if isinstance(prompts, Mapping):
                raise PromptError(BY_FRAME)
            corrects = id in {*self.ids, *(item.id for item in self._added if isinstance(item, Prompt))}
            self._added += collect_prompts(prompts, **arguments, size=self._size, id=id, corrects=corrects)

    @contextmanager
    def _dropping_invalid(self, frame: Frame) -> Iterator[None]:
        """Drop added prompts if they are invalid."""
        try:
            yield
        except PromptError:
            try:
                added = self._collected(frame, None, {}, None)
                if added is not None:
                    self.resolve(frame, added)
            except PromptError:
                self._added = []
            raise

    def _collected(
        self,
        frame: Frame,
        prompts: PromptsLike | FramePrompts | None,
        arguments: PromptArguments,
        text: str | Sequence[str] | None,
    ) -> list[Prompt] | None:
        """All prompts of a frame: added before it, or given with it."""
        added = self._added
        if isinstance(prompts, Mapping):
            raise PromptError(BY_FRAME)
        if isinstance(prompts, FramePrompts):
            raise PromptError("prompts: add cannot be joined with what resolve gave; give it prompts")
        collected = [item for item in added if isinstance(item, Prompt)]
        if prompts is not None or _has_values(arguments):
            corrects = 1 in {*self.ids, *(item.id for item in collected)}
            collected += collect_prompts(
                prompts, **arguments, size=frame.size, corrects=corrects, needed=False
            )
        for phrases in [*(item for item in added if not isinstance(item, Prompt)), text]:
            if phrases is not None:
                collected += self._of_text(frame, phrases, {item.id for item in collected})
        return collected or None

    def _of_text(
        self, frame: Frame, text: str | Sequence[str], used_ids: Collection[int]
    ) -> list[MaskPrompt]:
        """Prompts of new objects on a frame that match a text."""
        key = text if isinstance(text, str) else tuple(text)
        if key != self._text_detector[0]:
            fast = self.prepared.precision != torch.float32
            self._text_detector = key, _DETECTOR(text=text, device=self.device, fast=fast)
        tracked = self.peek(frame) if self.ids else None
        return new_objects(self._text_detector[1](frame), tracked, {*self.ids, *used_ids})

    def _info_with(self, prompts: FramePrompts) -> dict[int, tuple[str | None, float | None]]:
        """Labels and predicted IoUs of the objects after prompts."""
        remaining = {i: each for i, each in self._object_info.items() if i not in prompts.removed}
        labels = {i: prompts.labels.get(i, self._object_info.get(i, (None,))[0]) for i in prompts.ids}
        return remaining | {i: (label, prompts.expected.get(i)) for i, label in labels.items()}

    def _warn_of_crowd(self, index: int, plan: CrowdPlan, seconds: float) -> None:
        """Warn once about objects tracked by flow, and about slow frames of many objects."""
        count = len(self.tracker.ids)
        if plan.added and not self._warned_of_small:
            self._warned_of_small = True
            text = (
                f"frame {index}: {len(self.ids)} objects; {len(plan.added)} of them have at most {SPECK} "
                "pixels a side for the network, keep their shape and follow the optical flow; for masks of "
                f"the network enlarge parts of the image with at most {CROWD} objects each"
            )
            warn_caller(text, CrowdWarning)
        if plan.prompts is None and count > CROWD and not self._warned_of_slow:
            self._warned_of_slow = True
            text = (
                f"frame {index}: {count} objects, a frame takes about {seconds:.1f} s; follow fewer at a "
                "time, or give a smaller short side"
            )
            warn_caller(text, CrowdWarning)

    @property
    def _labels(self) -> dict[int, str | None]:
        """Label of each object."""
        return {i: label for i, (label, _) in self._object_info.items()}

    @contextmanager
    def _forgotten(self, ids: Collection[int]) -> Iterator[None]:
        """Stop tracking objects; if the block fails, they are tracked as before."""
        saved = self.tracker.state(copy=False)  # neither forgetting nor a frame that fails writes into it
        try:
            self.tracker.forget(ids)
            yield
        except BaseException:
            if self.torn is None:
                with self.changing("going back"):
                    self.tracker.restore(saved)
            raise

    @one_thread_at_a_time
    @torch.inference_mode()
    def peek(self, frame: FrameLike, *, colour: Colour = "rgb") -> Segmentation:
        """Predict the objects on the next frame without advancing.

        Args:
            frame: the next frame; pass it to :meth:`step` afterwards.
            colour: order of the channels of an image, as in :meth:`step`.

        Returns:
            The result that :meth:`step` without prompts will give.

        Raises:
            PromptError: no object is tracked yet.
        """
        frame = as_frame(frame, self._next_index, self._size, colour=colour)
        self.check_intact()
        if not self.ids:
            raise PromptError(f"frame {frame.index}: no object is followed yet; give a prompt first")
        tracked = None
        if self.tracker.ids:
            with self.prepared.inference_guard():
                tracked = self.tracker.peek(frame.image)
        result = self._result(frame, tracked, {})
        crowd = self._crowd.warped(frame.image)
        return with_crowd(result, crowd, self._labels) if crowd else result

    @one_thread_at_a_time
    def state(self, *, copy: bool = True) -> SessionState:
        """The complete state for :meth:`restore`; see :meth:`Session.state`."""
        return super().state(copy=copy)

    @torch.inference_mode()
    @one_thread_at_a_time
    def restore(self, state: SessionState) -> None:
        """Continue from a state with the same network, weights, schedule and precision."""
        super().restore(state)

    def _reset_transient_state(self) -> None:
        self.reset()

    def _forms(self) -> dict[str, Any]:
        return self.prepared.forms.as_json()

    def _config_fingerprint(self) -> dict[str, Any]:
        return {
            "network": type(self.prepared.network).__name__,
            "weights": self.prepared.digest,
            "schedule": asdict(self.schedule),
            "precision": str(self.prepared.precision),
        }

    def resolve(self, frame: Frame, value: PromptsLike) -> FramePrompts:
        """Convert the prompts for the next frame to masks (H, W), int32, for :meth:`step`."""
        prompts = as_prompts(value, f"prompts of frame {frame.index}")
        if not prompts:  # a detector may have found nothing
            return _NO_PROMPTS
        check_frame(prompts, frame.index)
        previous_masks: dict[int, npt.NDArray[np.float32]] = {}
        if "point" not in self.native:
            corrected = {item.id for item in prompts if item.corrects} & set(self.ids)
            if corrected:
                planes = self.peek(frame).probabilities
                previous_masks = {i: planes[self.ids.index(i) + 1] for i in corrected}
        resolved = resolve_prompts(
            frame,
            prompts,
            fit=self.fit,
            native=self.native,
            prompter=self.prompter,
            previous_masks=previous_masks,
        )
        # Clicks that agree with a mask leave the prediction, and its score, as they are.
        confirmed = [
            i
            for i in resolved.corrected - resolved.labels.keys()
            if np.array_equal(resolved.mask.numpy() == i, previous_masks[i] > 0.5)
        ]
        if confirmed:
            resolved = resolved.without(confirmed)
        if unknown := [i for i in resolved.removed if i not in self.ids]:
            followed = f"followed are {', '.join(map(str, self.ids))}" if self.ids else "none is followed yet"
            raise PromptError(f"cannot remove object {unknown[0]}: {followed}")
        check_count(len({*self.ids, *resolved.ids} - set(resolved.removed)))
        return resolved

    def _result(
        self, frame: Frame, tracked: TrackOutput | None, expected: Mapping[int, float]
    ) -> Segmentation:
        """The result of a frame; without an output of the tracker it is empty."""
        if tracked is None:
            return Segmentation(frame.index, frame.time, np.zeros(frame.size, np.uint8))
        return segmentation_of(
            frame.index, frame.time, tracked, self._object_info, expected, self._confidence
        )


def _has_values(arguments: PromptArguments) -> bool:
    """Whether any argument is given."""
    return any(each is not None for each in arguments.values())
