"""Backgrounds of a video from a first pass, and the background model that uses them."""

from __future__ import annotations

import bisect
import itertools
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from segue.errors import CheckpointError, PromptError, ResumeError
from segue.layers.colours import SCENE_PLANES
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Look, Scene, resized, same_shape
from segue.sessions.foreground.background.recurrence import NO_PAST, Past, RecentPast
from segue.sessions.foreground.camera.changes import SAME_LIGHT, Change, Gains, scaled
from segue.sessions.foreground.camera.scene_events import KnownEvent
from segue.state import Checkpointable, SessionState, checkpointed, saved_items
from segue.types import Image
from segue.utils.arrays import BoolArray, UInt8Array

LEARNT = ".safetensors"
"""Suffix of a background model."""

IN_MEMORY = 256 << 20
"""Bytes of backgrounds that stay in memory; at 240p 120 parts have so many."""

MAPPED = 64 << 20
"""Bytes mapped at once of the file with all other parts."""


@dataclass(slots=True, eq=False)
class VideoPart:
    """A part of a video with one background."""

    first: int  # frame of the source from which on it holds
    change: str  # value of the Change with which it begins
    planes: UInt8Array  # of its :class:`Scene`
    pans: bool = False  # the camera pans: there is no common background
    changes: bool = False  # the image changes as a whole: there is nothing to be found
    past: UInt8Array | None = None  # frames of it at half size, (n, ceil(H / 2), ceil(W / 2), 3)

    @property
    def is_valid(self) -> bool:
        """Whether its values are plausible, for values read from a file."""
        is_valid_part = (
            type(self.first) is int and self.first >= 0 and self.change in {each.value for each in Change}
        )
        planes = self.planes
        is_valid_part = (
            is_valid_part and isinstance(planes, np.ndarray) and planes.dtype == np.uint8 and planes.ndim == 3
        )
        is_valid_part = is_valid_part and len(planes) == SCENE_PLANES and min(planes.shape) > 0
        past = self.past
        if not is_valid_part or past is None:
            return is_valid_part
        half = tuple(-(-side // 2) for side in planes.shape[1:])
        is_valid_part = isinstance(past, np.ndarray) and past.dtype == np.uint8 and past.ndim == 4
        return is_valid_part and past.shape[1:] == (*half, 3)


class _Store:
    """Memory-mapped arrays in a temporary file."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None
        self._end = self._begin = 0  # of what is written, and of the map

    def put(self, values: UInt8Array) -> UInt8Array:
        """Store an array and return its mapped copy."""
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115  it goes with the last array in it
        if self._map is None or self._end + values.nbytes > self._begin + len(self._map):
            self._begin = self._end = -(-self._end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
            size = max(MAPPED, values.nbytes)
            self._file.truncate(self._begin + size)
            self._map = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_COPY, offset=self._begin)
        self._file.seek(self._end)
        self._file.write(np.ascontiguousarray(values).data)
        self._file.flush()
        place = self._end - self._begin
        self._end += values.nbytes
        return np.frombuffer(self._map, np.uint8, values.size, place).reshape(values.shape)


class VideoScenes(Checkpointable):
    """Backgrounds of a video, one per part."""

    learnt: list[VideoPart] = checkpointed(list)
    state_types = (VideoPart,)

    def __init__(self) -> None:
        super().__init__()
        self._reset_transient_state()

    def _reset_transient_state(self) -> None:
        self._store, self._held = _Store(), 0

    def keep(self, part: VideoPart) -> None:
        """Store the planes of a complete part: the first ones in memory, others on disk."""
        self._held += part.planes.nbytes + (0 if part.past is None else part.past.nbytes)
        if self._held > IN_MEMORY:
            part.planes = self._store.put(part.planes)
            part.past = None if part.past is None else self._store.put(part.past)

    def _take_over(self, state: SessionState) -> None:
        self.learnt = []
        for part in saved_items(state, "learnt", VideoPart):
            self.learnt.append(part)
            if part.is_valid:
                self.keep(part)

    @classmethod
    def of(cls, scene: Scene) -> VideoScenes:
        """One background for all frames."""
        scenes = cls()
        scenes.learnt.append(VideoPart(0, Change.none.value, scene.planes))
        return scenes

    @classmethod
    def load(cls, path: str | Path) -> VideoScenes:
        """Read a file of :meth:`save`.

        Args:
            path: the file.

        Returns:
            The scenes.

        Raises:
            CheckpointError: the file is damaged or something else.
        """
        scenes, state = cls(), SessionState.load(path)
        try:
            scenes.restore(state)
            good = bool(scenes.learnt) and all(part.is_valid for part in scenes.learnt)
            pairs = itertools.pairwise(scenes.learnt)
            good = good and all(one.first < other.first for one, other in pairs)
        except (ArithmeticError, AttributeError, LookupError, ResumeError, TypeError, ValueError):
            good = False
        if not good:
            raise CheckpointError(f"{path}: no learnt scene of segue foreground")
        return scenes

    def save(self, path: str | Path) -> None:
        """Write a safetensors file.

        Args:
            path: the file; an existing one is replaced.

        Raises:
            SinkError: it cannot be written.
        """
        self.state().save(path)

    @property
    def count(self) -> int:
        """Number of scenes: parts that differ in more than light."""
        parts = [part for part in self.learnt if not part.pans and not part.changes]
        scene_changes = {Change.scene.value, Change.back.value}
        return sum(number == 0 or part.change in scene_changes for number, part in enumerate(parts))

    def number_at(self, index: int) -> int:
        """Number of the part that contains a source frame, from 0."""
        return max(0, bisect.bisect_right([part.first for part in self.learnt], index) - 1)


class LearntBackground(Background):
    """Backgrounds known in advance, at the size of frames; only exposure is tracked.

    Args:
        scenes: those of a video, or one for all frames, such as an image that was taken at night.
        of_this_video: they were learnt from the very frames that come.

    Example:
        >>> background = LearntBackground(VideoScenes.of(Scene.of(image)))
    """

    _number: int = checkpointed()
    _size: tuple[int, int] | None = checkpointed()
    _gains: Gains = checkpointed()
    scene: Scene | None = checkpointed()
    _adopted: Scene | None = checkpointed(None, later=True)  # as learnt, with parts that have changed since
    state_types = (Scene, Look)

    def __init__(self, scenes: VideoScenes, *, of_this_video: bool = False) -> None:
        self.scenes, self.of_this_video = scenes, of_this_video
        self._size: tuple[int, int] | None = None
        self.recent = RecentPast()
        self._number, self.scene, self._gains, self._adopted = -1, None, SAME_LIGHT, None
        self._past: tuple[int, tuple[int, int] | None, Past] | None = None

    @property
    def past(self) -> Past:
        if self._past is None or self._past[:2] != (self._number, self._size):
            self._past = self._number, self._size, self._learnt_past()
        learnt = self._past[2].in_other_light(self._gains)
        return replace(learnt, recent=self.recent.frames, places=self.recent.places)

    def seek(self, index: int, leave: Callable[[], object] = lambda: None) -> KnownEvent | None:
        """Select the background of a frame and return its event; None for an unknown video.

        ``leave`` is called before another scene is taken.
        """
        number = self.scenes.number_at(index)
        part, begins = self.scenes.learnt[number], number != self._number
        if begins:
            leave()
            self._number = number
            self.restart()
        if not self.of_this_video:
            return None
        return KnownEvent(Change(part.change) if begins else Change.none, part.pans, part.changes)

    def restart(self) -> None:
        """Restore the background as learnt."""
        self._gains, self.recent, self._adopted = SAME_LIGHT, RecentPast(), None
        if self._number >= 0:
            self.scene = self._learnt()

    def check(self, size: tuple[int, int]) -> None:
        for part in self.scenes.learnt:
            height, width = part.planes.shape[1:]
            if not same_shape(size, (height, width)):
                raise PromptError(
                    f"the empty scene is {width}x{height}, but the frames are {size[1]}x{size[0]}"
                )

    def fit(self, size: tuple[int, int]) -> None:
        self._size = size
        self.restart()

    def apply_gain(self, gains: Sequence[float]) -> None:
        if self.scene is not None:
            # From the scene as it was learnt: rounded levels that are scaled again and again drift away.
            self._gains = scaled(self._gains, gains)
            self.scene = self._learnt().in_other_light(self._gains)
            self.recent.apply_gain(gains)

    def adopt(self, image: Image, region: BoolArray) -> None:
        if self.scene is not None:
            inverse = [1 / gain for gain in self._gains]
            in_learnt_light = Scene.of(image).in_other_light(inverse)
            self._adopted = Scene(np.where(region, in_learnt_light.planes, self._learnt().planes))
            self.scene = self._learnt().in_other_light(self._gains)

    def _learnt_past(self) -> Past:
        """Frames of the part at half the frame size."""
        frames = self.scenes.learnt[self._number].past if self._number >= 0 else None
        if frames is None:
            return NO_PAST
        size = None if self._size is None else (-(-self._size[0] // 2), -(-self._size[1] // 2))
        return Past([frame if size is None else resized(frame, size) for frame in frames])

    def _learnt(self) -> Scene:
        """Background as learnt, at the frame size, with parts that have changed since."""
        if self._adopted is not None:
            return self._adopted
        planes = self.scenes.learnt[self._number].planes
        if self._size is None or planes.shape[1:] == self._size:
            return Scene(planes)
        return Scene(np.ascontiguousarray(np.stack([resized(plane, self._size) for plane in planes])))
