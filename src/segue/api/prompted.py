"""Objects in a video by a network that takes boxes and points itself, on any frame."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from segue.errors import PromptError
from segue.inference.running import own_precision
from segue.models.base import FramePrompts, VideoTracker, track_capabilities
from segue.registry import PromptKind
from segue.sessions.track import TrackSession, segmentation_of
from segue.state import SessionState
from segue.types import BoxPrompt, Frame, Image, Point, PointPrompt, Segmentation
from segue.utils.arrays import BoolArray
from segue.video import Source

Label = tuple[Point, int]
"""A point with 1 if it is on the object and 0 if it is beside it."""

Marks = tuple[bool, tuple[Label, ...]]
"""Whether an object has a box on a frame, and its points there."""


class PromptedVideo:
    """What a network finds on the frames of a source, and what it remembers of them.

    Args:
        session: has the network, its schedule and its options.
        source: the video.
        frames: the indices of its frames, ascending.
        tracker: follows the objects on frames numbered from 0.

    Attributes:
        prompts: kinds of prompts that the network takes itself.
    """

    def __init__(
        self, session: TrackSession, source: Source, frames: Sequence[int], *, keep_corrections: bool
    ) -> None:
        self._prepared, self._source, self._frames = session.prepared, source, frames
        self.prompts: frozenset[PromptKind] = session.native
        make = track_capabilities(session.prepared.network).video
        assert make is not None
        setup = replace(session.setup, frames=len(frames))
        with own_precision(session.device):
            self._tracker: VideoTracker = make(
                session.prepared.network, setup, self._image, len(frames), keep_corrections=keep_corrections
            )
        self._current: Frame | None = None
        self.reset()

    @classmethod
    def of(
        cls, session: TrackSession, source: Source, frames: Sequence[int], *, keep_corrections: bool
    ) -> PromptedVideo | None:
        """What tracks a video with boxes and points, where the network of a session does."""
        if not session.native or track_capabilities(session.prepared.network).video is None:
            return None
        return cls(session, source, frames, keep_corrections=keep_corrections)

    def reset(self) -> None:
        """Forget all objects."""
        self._tracker.reset()
        self._latest: Segmentation | None = None  # that was asked for, until something changes
        self._marks: dict[tuple[int, int], Marks] = {}

    @property
    def ids(self) -> tuple[int, ...]:
        """The objects."""
        return tuple(self._tracker.ids)

    def add(self, frame: Frame, prompts: FramePrompts) -> None:
        """Take the prompts of a frame."""
        visible = result.ids if (result := self.result(frame.index)) is not None else ()
        for number in {item.id for item in prompts.prompts} - {*visible}:
            marks = [item for item in prompts.prompts if item.id == number]
            if not any(isinstance(item, BoxPrompt) or item.positive for item in marks):
                raise PromptError(f"object {number}: needs at least one positive point or a box")
        self.add_masks(frame, {i: prompts.plane(i).numpy() for i in prompts.masked})
        with self._reading(frame):
            for number in dict.fromkeys(item.id for item in prompts.prompts):
                self._click(frame.index, number, [item for item in prompts.prompts if item.id == number])

    def add_masks(self, frame: Frame, masks: Mapping[int, BoolArray]) -> None:
        """Take masks (H, W) of objects on a frame; they may overlap."""
        with self._reading(frame):
            for number, mask in masks.items():
                self._marks.pop((frame.index, number), None)
                self._tracker.mask(self._place(frame.index), number, mask)

    def unprompt(self, index: int, id: int) -> None:
        """Withdraw the prompts of an object on a frame."""
        self._marks.pop((index, id), None)
        self._latest = None
        self._tracker.unprompt(self._place(index), id)

    def remove(self, id: int) -> None:
        """Stop following an object."""
        self._latest = None
        self._marks = {key: marks for key, marks in self._marks.items() if key[1] != id}
        if id in self._tracker.ids:
            self._tracker.remove(id)

    def propagate(self, start: int, stop: int) -> Iterator[int]:
        """Track all objects from one frame to another; gives the indices of the frames, ``start`` first."""
        first, last = self._place(start), self._place(stop)
        passes = self._tracker.propagate(first, reverse=last < first, frames=abs(last - first))
        for frame in self._source.walk(start, stop):
            with self._reading(frame):
                if not self._tracker.ids or next(passes, None) is None:
                    return
            yield frame.index

    def is_prompted(self, index: int, id: int) -> bool:
        """Whether an object keeps its mask on a frame when the video is tracked anew."""
        return self._tracker.is_prompted(self._place(index), id)

    def result(self, index: int) -> Segmentation | None:
        """The objects that have a mask on a frame; None where none has."""
        if self._latest is None or self._latest.index != index:
            with self._prepared.inference_guard():
                output = self._tracker.output(self._place(index))
            if output is None:
                return None
            self._latest = segmentation_of(index, self._source.times[index], output, {}, {}, (1.0, 0.0))
        return self._latest

    def state(self) -> SessionState:
        """What :meth:`restore` needs to go on identically."""
        marks = [[*key, has_box, points] for key, (has_box, points) in self._marks.items()]
        return SessionState.joined({"tracker": self._tracker.state()}, {"marks": marks})

    def restore(self, state: SessionState) -> None:
        """Continue from a state of :meth:`state`."""
        marks = {
            (int(index), int(i)): (
                bool(has_box),
                tuple(((float(x), float(y)), int(on)) for (x, y), on in points),
            )
            for index, i, has_box, points in state.values["marks"]
        }
        self._tracker.restore(state.part("tracker"))
        self._marks, self._latest = marks, None

    def _click(self, index: int, number: int, prompts: Sequence[BoxPrompt | PointPrompt]) -> None:
        """Take box and points of an object on a frame: those that it has there count once.

        As in the notebook of SAM 2, a call may repeat them.
        """
        key = index, number
        points = [point for item in prompts if isinstance(item, PointPrompt) for point in _labelled(item)]
        box = next((item.box for item in prompts if isinstance(item, BoxPrompt)), None)
        has_box, earlier = self._marks.get(key, (False, ()))
        add = box is None and (has_box or not set(earlier) <= set(points))
        if add:
            points = [point for point in points if point not in earlier]
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
        """Run the network on a frame that was read."""
        self._current, self._latest = frame, None
        try:
            with self._prepared.inference_guard():
                yield
        finally:
            self._current = None


def _labelled(prompt: PointPrompt) -> list[Label]:
    return [*((at, 1) for at in prompt.positive), *((at, 0) for at in prompt.negative)]
