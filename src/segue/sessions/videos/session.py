"""Base of video sessions: prompts on any frame, masks in both directions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segue.errors import CheckpointError, SegueError
from segue.models.base import FramePrompts
from segue.prompt_types import Prompt
from segue.sessions.track import TrackSession
from segue.sessions.videos.corrections import composite, to_rle
from segue.sessions.videos.object_state import as_json, from_json
from segue.sessions.videos.provenance import ObjectMasks, Revision, StoredObject
from segue.state import SessionState, blaming_state
from segue.types import Frame, Segmentation
from segue.video import Source

STATE_FORMAT = "segue-video-1"


class VideoSession(ABC):
    """Tracks objects through a video, with prompts on any frame, in both directions.

    Masks of objects are run lengths with what each was made from, see
    :mod:`segue.sessions.videos.provenance`. Frames are named by their index in the source.

    Args:
        session: has the network, its schedule, its prompter and their options.
        source: the video.
        frames: indices of its frames, ascending.
        size: height and width of the frames.

    Attributes:
        objects: the masks of each object by its id.
    """

    def __init__(
        self, session: TrackSession, source: Source, frames: Sequence[int], size: tuple[int, int]
    ) -> None:
        self._source, self._frames, self._size, self._fit = source, frames, size, session.fit
        self._digest = session.prepared.digest
        self.objects: dict[int, ObjectMasks] = {}
        self._revision: Revision = 0  # the last one that was given

    @property
    def prompted(self) -> tuple[int, ...]:
        """Indices of prompted frames, ascending."""
        return tuple(sorted({index for masks in self.objects.values() for index in masks.prompts}))

    @property
    def tracked(self) -> set[int]:
        """Indices of frames with tracked masks."""
        return {index for masks in self.objects.values() for index in masks.tracked}

    @property
    def known(self) -> set[int]:
        """Indices of frames with a result: prompted, tracked, or without any object that is present."""
        known = {*self.prompted, *self.tracked}
        absent = (i for i in self._frames if i not in known and self._is_empty(i))
        return known | {*absent}

    def _is_empty(self, index: int) -> bool:
        """Whether all objects are absent from a frame."""
        return bool(self.objects) and all(masks.is_absent(index) for masks in self.objects.values())

    @property
    def prompts_text(self) -> str:
        """List of prompted frames, for errors."""
        frames_text = ", ".join(map(str, self.prompted[:10]))
        return f"prompted frames are {frames_text}" if frames_text else "no frame is prompted"

    @abstractmethod
    def prompt(self, frame: Frame, prompts: Sequence[Prompt]) -> None:
        """Apply the prompts of a frame: add, correct and remove objects.

        Args:
            frame: the frame.
            prompts: at least one; points correct the mask that an object has there.

        Raises:
            PromptError: a prompt does not match the frame; nothing changes.
        """

    @abstractmethod
    def propagate(self, start: int | None, stop: int | None) -> Iterator[int]:
        """Track objects; each step stores the masks of a frame.

        Args:
            start: the frame to start from; None is the first prompted one.
            stop: the last frame, before ``start`` to track backwards; None is the last frame of the video.
                If both are None, frames before and after each prompted frame are tracked as far as needed.

        Yields:
            Indices of frames whose masks are known, each once.

        Raises:
            PromptError: there is no prompt to start from.
        """

    def withdraw(self, id: int, index: int) -> None:
        """Withdraw the prompts of an object on a frame, or its removal there."""
        masks = self.objects[id]
        masks.withdraw_own(index, self._size, self._new_revision)
        self._restore_pixels(id, [index])
        if not masks.is_prompted:
            self.remove(id)

    def remove(self, id: int) -> None:
        """Remove an object from all frames."""
        removed = self.objects.pop(id, None)
        self._restore_pixels(id, [] if removed is None else list(removed.prompts))

    def _restore_pixels(self, id: int, frames: Sequence[int]) -> None:
        """Give other objects the pixels that withdrawn clicks on an object took from them."""
        for number, masks in [*self.objects.items()]:
            taken = [frame for frame in frames if any(each.by == id for each in masks.taken.get(frame, ()))]
            for frame in taken:
                masks.restore_pixels(frame, id, self._size, self._new_revision)
            if taken and not masks.is_prompted:
                self.objects.pop(number)

    def remove_from(self, id: int, index: int) -> list[int]:
        """Make an object absent from a frame on; return frames whose prompts are withdrawn."""
        masks = self.objects.get(id)
        if masks is None:
            return []
        withdrawn = [each for each in masks.prompts if each >= index]
        masks.remove_from(index)
        self._restore_pixels(id, withdrawn)
        if not masks.is_prompted:
            self.remove(id)
            return []
        return withdrawn

    def result(self, index: int) -> Segmentation:
        """Result of a frame; objects with higher ids are in front."""
        empty = Segmentation(index, self._source.times[index], np.zeros(self._size, np.uint8))
        visible = [
            (replace(each[0], label=self.objects[i].label), *each[1:])
            for i, each in reversed(self.stored_at(index).items())
        ]
        return composite(empty, visible)

    def stored_at(self, index: int) -> dict[int, StoredObject]:
        """Masks of a frame by object, ascending."""
        by_id = {i: masks.at(index) for i, masks in sorted(self.objects.items())}
        return {i: stored for i, stored in by_id.items() if stored is not None}

    def reset(self) -> None:
        """Remove all objects and prompts."""
        self.objects, self._revision = {}, 0

    def values(self) -> dict[str, Any]:
        """All prompts and masks as JSON values."""
        return {
            "format": STATE_FORMAT,
            "frames": [self._frames[0], self._frames[-1], len(self._frames)],
            "size": list(self._size),
            "revision": self._revision,
            **as_json(self.objects),
        }

    def restore_values(self, values: Mapping[str, Any]) -> None:
        """Restore prompts and masks of :meth:`values`; invalid ones change nothing.

        Raises:
            CheckpointError: they are those of another video, or damaged.
        """
        here = {"format": STATE_FORMAT, "frames": [self._frames[0], self._frames[-1], len(self._frames)]}
        here["size"] = list(self._size)
        for name, value in here.items():
            if not isinstance(values, Mapping) or values.get(name) != value:
                saved = values.get(name) if isinstance(values, Mapping) else values
                raise CheckpointError(f"the state's {name} is {saved!r}, this video's is {value!r}")
        try:
            objects, revision = from_json(values, self._frames, self._size)
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError, SegueError) as error:
            raise CheckpointError(f"this is no state of a video: {error!r}") from error
        self.objects, self._revision = objects, revision

    def state(self) -> SessionState:
        """Complete state for :meth:`restore`."""
        return SessionState.joined({}, {"video": self.values(), "network": self._digest})

    def restore(self, state: SessionState) -> None:
        """Continue from a state; an invalid one changes nothing."""
        previous = self.state()
        try:
            with blaming_state():
                state.require({"network": self._digest})
                self._apply(state)
        except BaseException:
            self._apply(previous)
            raise

    def _apply(self, state: SessionState) -> None:
        VideoSession.restore_values(self, state.values["video"])

    def _object(self, id: int, resolved: FramePrompts) -> ObjectMasks:
        """Masks of a prompted object."""
        masks = self.objects.setdefault(id, ObjectMasks())
        masks.label = resolved.labels.get(id, masks.label)
        return masks

    def _new_revision(self) -> Revision:
        self._revision += 1
        return self._revision


def stored_objects(result: Segmentation, ids: Collection[int]) -> Iterator[StoredObject]:
    """Some objects of a result in stored form, without labels, boxes and areas."""
    for item, counts, whole_counts, unsure in to_rle(result, ids):
        yield replace(item, label=None, box=None, area=0, whole=None), counts, whole_counts, unsure
