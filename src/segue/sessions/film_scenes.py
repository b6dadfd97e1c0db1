"""The empty scenes of a video, learnt in a first pass, and a background model that serves them."""

from __future__ import annotations

import bisect
import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.arrays import Float32Array, UInt8Array
from segue.errors import CheckpointError, PromptError
from segue.sessions.backgrounds import Background
from segue.sessions.base import Checkpointable, SessionState, checkpointed
from segue.sessions.empty_scene import PLANES, Scene, resized, same_shape
from segue.sessions.stages import Change, Stage, WorkFrame

LEARNT = ".safetensors"
"""Ending of a file with all that is known of the empty scene."""

STEPS = 63  # of the probabilities that are kept for each frame while the camera pans


class FilmScenes(Checkpointable):
    """The empty scenes of a video, by the frame from which on each of them holds."""

    _firsts: list[int] = checkpointed()
    _begun_by: list[str] = checkpointed()  # values of Change
    _planes: list[npt.NDArray[np.uint8]] = checkpointed()

    def __init__(self) -> None:
        self._firsts, self._begun_by, self._planes = [], [], []

    @classmethod
    def of(cls, scene: Scene) -> FilmScenes:
        """One scene for all frames, from frame 0 on."""
        scenes = cls()
        scenes.add(0, scene)
        return scenes

    @classmethod
    def load(cls, path: str | Path) -> FilmScenes:
        """Read what :meth:`save` wrote; CheckpointError for anything else."""
        scenes, state = cls(), SessionState.load(path)
        try:
            scenes.restore(state)
            good = len(scenes._firsts) == len(scenes._planes) == len(scenes._begun_by) > 0
            good = good and _ascending(scenes._firsts) and all(map(Change, scenes._begun_by))
            good = good and all(_are_planes(planes) for planes in scenes._planes)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            good = False
        if not good:
            raise CheckpointError(f"{path}: no learnt scene of segue foreground")
        return scenes

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, an existing one is replaced; SinkError if that fails."""
        self.state().save(path)

    def add(self, first: int, scene: Scene, change: Change = Change.none) -> None:
        """Append a scene that holds from a frame on, and what happened to the image there."""
        self._firsts.append(first)
        self._begun_by.append(change.value)
        self._planes.append(scene.planes)

    def __len__(self) -> int:
        return len(self._firsts)

    def number_at(self, index: int) -> int:
        """Number, from 0, of the scene that holds on a frame of the source."""
        return max(0, bisect.bisect_right(self._firsts, index) - 1)

    def begun_by(self, number: int) -> Change:
        """What happened to the image as a whole where a scene begins; none for the first."""
        return Change(self._begun_by[number])

    def scene(self, number: int) -> Scene:
        """A scene by its number."""
        return Scene(self._planes[number])


def _ascending(numbers: Sequence[Any]) -> bool:
    whole = all(type(number) is int and number >= 0 for number in numbers)
    return whole and all(one < other for one, other in itertools.pairwise(numbers))


def _are_planes(planes: Any) -> bool:
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8:
        return False
    return planes.ndim == 3 and len(planes) == PLANES and min(planes.shape) > 0


class LearntBackground(Background):
    """Empty scenes that are known beforehand, in the size of the frames; the exposure alone is followed.

    Args:
        scenes: those of a video, or one for all frames, such as an image that was taken at night.
        of_this_film: they were learnt from the very frames that come.

    Example:
        >>> background = LearntBackground(FilmScenes.of(Scene.of(picture)))
    """

    while_panning: Mapping[int, UInt8Array]
    """Probability of foreground by the frames nearby, see :func:`packed`, where the camera pans."""

    _number: int = checkpointed()
    _size: tuple[int, int] | None = checkpointed()
    _gains: tuple[float, ...] = checkpointed()
    scene: Scene | None = checkpointed()
    state_types = (Scene,)

    def __init__(self, scenes: FilmScenes, *, of_this_film: bool = False) -> None:
        self.scenes, self.of_this_film = scenes, of_this_film
        self._size: tuple[int, int] | None = None
        self._number, self.scene, self._gains = -1, None, (1.0, 1.0, 1.0)
        self.while_panning = {}

    def seek(self, index: int) -> Change | None:
        """Take the scene of a frame, and tell whether something happens there, if that is known."""
        number, begins = self.scenes.number_at(index), self.begins(index)
        if begins:
            self._number = number
            self.restart()
        if not self.of_this_film:
            return None
        return self.scenes.begun_by(number) if begins else Change.none

    def begins(self, index: int) -> bool:
        """Whether another scene begins with a frame."""
        return self.scenes.number_at(index) != self._number

    def restart(self) -> None:
        """Go back to the scene as it was learnt."""
        self._gains = (1.0, 1.0, 1.0)
        if self._number >= 0:
            self.scene = self._learnt()

    def fit(self, size: tuple[int, int]) -> None:
        self._size = size
        for number in range(len(self.scenes)):
            height, width = self.scenes.scene(number).planes.shape[1:]
            if not same_shape(size, (height, width)):
                raise PromptError(
                    f"the empty scene is {width}x{height}, but the frames are {size[1]}x{size[0]}"
                )
        self.restart()

    def apply_gain(self, gains: Sequence[float]) -> None:
        if self.scene is not None:
            # From the scene as it was learnt: rounded levels that are scaled again and again drift away.
            self._gains = tuple(before * gain for before, gain in zip(self._gains, gains, strict=True))
            self.scene = self._learnt().in_other_light(self._gains)

    def _learnt(self) -> Scene:
        """The scene as it was learnt, at the size of the frames."""
        scene = self.scenes.scene(self._number)
        if self._size is None or scene.planes.shape[1:] == self._size:
            return scene
        return Scene(np.ascontiguousarray(np.stack([resized(plane, self._size) for plane in scene.planes])))


class KnownWhilePanning(Stage):
    """Gives the foreground that the first pass found beside the frames nearby where the camera pans."""

    name = "nearby"

    def __init__(self, background: LearntBackground) -> None:
        self._background = background

    def arrive(self, frame: WorkFrame, background: Background) -> None:
        frame.known = frame.index in self._background.while_panning

    def result(self, frame: WorkFrame, background: Background) -> None:
        if frame.known and frame.maps is not None:
            maps = frame.maps.copy()
            maps[0] = unpacked(self._background.while_panning[frame.index], maps[0].shape)
            frame.maps = maps


def packed(foreground: Float32Array) -> UInt8Array:
    """A compact map of probabilities in steps of 1/63; most pixels are 0."""
    steps = np.rint(foreground * STEPS).astype(np.uint8)
    return np.array(np.frombuffer(zlib.compress(steps.tobytes()), np.uint8))


def unpacked(data: UInt8Array, shape: tuple[int, ...]) -> Float32Array:
    """A map of probabilities that was packed."""
    try:
        values = zlib.decompressobj().decompress(data.tobytes(), math.prod(shape))
        steps = np.frombuffer(values, np.uint8).reshape(shape)
    except (zlib.error, ValueError) as error:
        raise CheckpointError(
            "what was learnt in the first pass is damaged or of another size; start again with --overwrite"
        ) from error
    return np.asarray(steps / np.float32(STEPS), np.float32)
