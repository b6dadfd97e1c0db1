"""Video sessions for networks that take boxes and points themselves, on any frame."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np

from segue.errors import CheckpointError, PromptError
from segue.inference.running import own_precision
from segue.models.base import FramePrompts, VideoTracker, track_capabilities
from segue.prompt_types import BoxPrompt, PointPrompt, Prompt
from segue.prompts import resolve_prompts
from segue.registry import PromptKind
from segue.sessions.track import TrackSession
from segue.sessions.track_results import segmentation_of
from segue.sessions.videos.provenance import StoredMask, decode, present
from segue.sessions.videos.session import VideoSession, stored_objects
from segue.state import SessionState
from segue.types import Frame, Image, ObjectMaps, Point, Segmentation, visible_in
from segue.utils.arrays import BoolArray, Float32Array
from segue.video import Source

Label = tuple[Point, int]
"""Point with 1 on the object and 0 outside."""

Marks = tuple[bool, tuple[Label, ...]]
"""Whether an object has a box on a frame, and its points there."""


class PromptedVideoSession(VideoSession):
    """Tracks objects through a video with a network that takes boxes and points itself.

    The network says which frames keep their masks, and remembers all frames. Masks of frames are those that
    it has; after values were restored, they are the stored ones until a frame is tracked or prompted.

    Args:
        session: has the network, its schedule, its prompter and their options.
        source: the video.
        frames: indices of its frames, ascending.
        size: height and width of the frames.
        keep_corrections: corrected frames keep their masks; overrides the schedule.
    """

    def __init__(
        self,
        session: TrackSession,
        source: Source,
        frames: Sequence[int],
        size: tuple[int, int],
        *,
        keep_corrections: bool,
    ) -> None:
        super().__init__(session, source, frames, size)
        self._prepared, self._prompter = session.prepared, session.prompter
        self._native: frozenset[PromptKind] = session.native
        make = track_capabilities(session.prepared.network).video
        assert make is not None
        setup = replace(session.setup, frames=len(frames))
        with own_precision(session.device):
            self._tracker: VideoTracker = make(
                session.prepared.network, setup, self._image, len(frames), keep_corrections=keep_corrections
            )
        self._current: Frame | None = None
        self._latest: Segmentation | None = None  # that was asked for, until something changes
        self._marks: dict[tuple[int, int], Marks] = {}
        self._encoded_frames: set[int] = set()  # frames whose masks are those that the network has
        self._tracker.reset()

    @staticmethod
    def takes(session: TrackSession) -> bool:
        """Whether a session's network takes boxes and points of a whole video itself."""
        return bool(session.native) and track_capabilities(session.prepared.network).video is not None

    def reset(self) -> None:
        super().reset()
        self._forget_all()

    def prompt(self, frame: Frame, prompts: Sequence[Prompt]) -> None:
        resolved = resolve_prompts(
            frame, prompts, fit=self._fit, native=self._native, prompter=self._prompter
        )
        self._prompt_network(frame, resolved)
        for number in resolved.removed:
            self.remove_from(number, frame.index)
        for number in resolved.ids:
            self._object(number, resolved)
        self._take_over(frame.index, {*resolved.ids, *self._prompted_on(frame.index)})

    def propagate(self, start: int | None, stop: int | None) -> Iterator[int]:
        begin = self._first_frame() if start is None else start
        if start is not None or stop is not None:
            return self._pass(begin, self._frames[-1] if stop is None else stop)
        backwards = self._pass(begin, self._frames[0]) if begin != self._frames[0] else iter(())
        return chain(self._pass(begin, self._frames[-1]), islice(backwards, 1, None))

    def withdraw(self, id: int, index: int) -> None:
        masks = self.objects[id]
        is_prompted = index in masks.prompts
        masks.withdraw(index)
        self._latest = None
        if is_prompted:
            self._unprompt(index, id)
            self._take_over(index, self._prompted_on(index))
        if not masks.prompts:
            self.remove(id)

    def remove(self, id: int) -> None:
        super().remove(id)
        self._latest = None
        self._marks = {key: marks for key, marks in self._marks.items() if key[1] != id}
        if id in self._tracker.ids:
            self._tracker.remove(id)

    def remove_from(self, id: int, index: int) -> list[int]:
        withdrawn = super().remove_from(id, index)
        self._latest = None
        for each in withdrawn:
            self._unprompt(each, id)
        return withdrawn

    def result(self, index: int) -> Segmentation:
        result = super().result(index)
        exact = self._network_result(index) if index in self._encoded_frames else None
        if exact is None or exact.ids != result.ids:
            return result
        labels = {item.id: item.label for item in result.objects}
        return replace(exact, objects=tuple(replace(item, label=labels[item.id]) for item in exact.objects))

    def restore_values(self, values: Mapping[str, Any]) -> None:
        """Restore prompts and masks; the network gets the masks of prompted frames."""
        super().restore_values(values)
        self._forget_all()
        for index in self.prompted:
            stored = self.stored_at(index)
            masks = {
                i: decode(whole_counts or counts, self._size)
                for i, (_, counts, whole_counts, _) in stored.items()
                if index in self.objects[i].prompts
            }
            self._add_masks(self._source.frame(index), masks)

    def state(self) -> SessionState:
        marks = [[*key, has_box, points] for key, (has_box, points) in self._marks.items()]
        native = SessionState.joined({"tracker": self._tracker.state()}, {"marks": marks})
        values = {"video": self.values(), "network": self._digest, "taken": sorted(self._encoded_frames)}
        return SessionState.joined({"native": native}, values)

    def _apply(self, state: SessionState) -> None:
        super()._apply(state)
        native = state.part("native")
        marks = {
            (int(index), int(i)): (
                bool(has_box),
                tuple(((float(x), float(y)), int(on)) for (x, y), on in points),
            )
            for index, i, has_box, points in native.values["marks"]
        }
        encoded_frames = {int(index) for index in state.values["taken"]}
        if not encoded_frames <= {*self._frames}:
            raise CheckpointError(
                f"the state has frames that this video does not have: {sorted(encoded_frames)}"
            )
        self._tracker.restore(native.part("tracker"))
        self._marks, self._latest, self._encoded_frames = marks, None, encoded_frames

    def _forget_all(self) -> None:
        """Remove all objects from the network."""
        self._tracker.reset()
        self._latest, self._marks, self._encoded_frames = None, {}, set()

    def _prompted_on(self, index: int) -> set[int]:
        """Objects with prompts on a frame."""
        return {i for i, masks in self.objects.items() if index in masks.prompts}

    def _take_over(self, index: int, prompted: Collection[int]) -> None:
        """Store the network's masks of a frame, of prompted and tracked objects."""
        self._encoded_frames.add(index)
        result = self._network_result(index, prompted)
        for stored in () if result is None else stored_objects(result, self.objects.keys()):
            number = stored[0].id
            masks = self.objects[number]
            if number in prompted:
                masks.prompt(index, stored, self._new_revision())
            else:
                masks.withdraw(index)
                masks.tracked[index] = [StoredMask(stored, present(masks.sources(index)))]

    def _first_frame(self) -> int:
        """First frame whose prompts hold in later passes."""
        starts = [i for i in self.prompted if any(self._is_prompted(i, id) for id in self.objects)]
        if not starts:
            raise PromptError(f"no frame is prompted to start from, only corrected; {self.prompts_text}")
        return starts[0]

    def _prompt_network(self, frame: Frame, prompts: FramePrompts) -> None:
        """Give the prompts of a frame to the network."""
        visible = result.ids if (result := self._network_result(frame.index)) is not None else ()
        for number in {item.id for item in prompts.prompts} - {*visible}:
            marks = [item for item in prompts.prompts if item.id == number]
            if not any(isinstance(item, BoxPrompt) or item.positive for item in marks):
                raise PromptError(f"object {number}: needs at least one positive point or a box")
        self._add_masks(frame, {i: prompts.plane(i).numpy() for i in prompts.masked})
        with self._reading(frame):
            for number in dict.fromkeys(item.id for item in prompts.prompts):
                self._click(frame.index, number, [item for item in prompts.prompts if item.id == number])

    def _add_masks(self, frame: Frame, masks: Mapping[int, BoolArray]) -> None:
        """Add masks (H, W) of objects on a frame; they may overlap."""
        with self._reading(frame):
            for number, mask in masks.items():
                self._marks.pop((frame.index, number), None)
                self._tracker.mask(self._place(frame.index), number, mask)

    def _unprompt(self, index: int, id: int) -> None:
        """Withdraw the prompts of an object on a frame from the network."""
        self._marks.pop((index, id), None)
        self._latest = None
        self._tracker.unprompt(self._place(index), id)

    def _pass(self, start: int, stop: int) -> Iterator[int]:
        """Track all objects from one frame to another; yields frame indices, ``start`` first."""
        first, last = self._place(start), self._place(stop)
        passes = self._tracker.propagate(first, reverse=last < first, frames=abs(last - first))
        for frame in self._source.walk(start, stop):
            with self._reading(frame):
                if not self._tracker.ids or next(passes, None) is None:
                    return
            self._take_over(frame.index, {i for i in self.objects if self._is_prompted(frame.index, i)})
            yield frame.index

    def _is_prompted(self, index: int, id: int) -> bool:
        """Whether an object keeps its mask on a frame in a new pass."""
        return self._tracker.is_prompted(self._place(index), id)

    def _network_result(self, index: int, prompted: Collection[int] = ()) -> Segmentation | None:
        """The network's result of a frame; None if no object has a mask.

        Objects that were removed before are left out, unless they are ``prompted`` there.
        """
        if self._latest is None or self._latest.index != index:
            with self._prepared.inference_guard():
                output = self._tracker.output(self._place(index))
            if output is None:
                return None
            result = segmentation_of(index, self._source.times[index], output, {}, {}, (1.0, 0.0))
            absent = {i for i, masks in self.objects.items() if masks.is_absent(index)}
            self._latest = _without(result, absent - {*prompted})
        return self._latest

    def _click(self, index: int, number: int, prompts: Sequence[BoxPrompt | PointPrompt]) -> None:
        """Add box and points of an object on a frame; repeated ones are added once.

        As in the notebook of SAM 2, a call may repeat them.
        """
        key = index, number
        points = [point for item in prompts if isinstance(item, PointPrompt) for point in _labelled(item)]
        box = next((item.box for item in prompts if isinstance(item, BoxPrompt)), None)
        has_box, earlier = self._marks.get(key, (False, ()))
        add = box is None and (has_box or not set(earlier) <= set(points))
        if add:
            last_labels = dict(earlier)
            points = [(at, on) for at, on in points if last_labels.get(at) != on]
            if not points:
                return
        positions, labels = [at for at, _ in points], [on for _, on in points]
        self._tracker.click(self._place(index), number, positions, labels, box=box, add=add)
        self._marks[key] = box is not None or (add and has_box), (*(earlier if add else ()), *points)

    def _place(self, index: int) -> int:
        return bisect_left(self._frames, index)

    def _image(self, place: int) -> Image:
        if self._current is not None and self._current.index == self._frames[place]:
            return self._current.image
        return self._source.frame(self._frames[place]).image

    @contextmanager
    def _reading(self, frame: Frame) -> Iterator[None]:
        """Run the network on a frame that is already read."""
        self._current, self._latest = frame, None
        try:
            with self._prepared.inference_guard():
                yield
        finally:
            self._current = None


def _without(result: Segmentation, ids: Collection[int]) -> Segmentation:
    """Leave objects out of a result; each pixel belongs to the object with the highest log-odds above 0."""
    rows = [row for row, i in enumerate(result.ids) if i not in ids]
    if len(rows) == len(result.ids):
        return result
    objects = [result.objects[row] for row in rows]
    numbers = np.array([0, *(item.id for item in objects)], result.mask.dtype)
    logits = result._logits_of(rows)
    mask = numbers[np.concatenate([np.zeros_like(result.mask, np.float32)[None], logits]).argmax(0)]
    maps = ObjectMaps(partial(result._logits_of, rows), partial(_probabilities_of, result, rows))
    return replace(result, mask=mask, objects=visible_in(mask, objects), _probabilities=maps)


def _probabilities_of(result: Segmentation, rows: Sequence[int]) -> Float32Array:
    """Probabilities (k+1, H, W) of the background and some objects of a result."""
    selected = result.probabilities[[0, *(row + 1 for row in rows)]]
    return np.asarray(selected / selected.sum(0), np.float32)


def _labelled(prompt: PointPrompt) -> list[Label]:
    return [*((at, 1) for at in prompt.positive), *((at, 0) for at in prompt.negative)]
