"""Two passes over a film: the first learns the empty scene of each of its parts, the second gives masks."""

from __future__ import annotations

import bisect
import itertools
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.errors import CheckpointError, PromptError, SegueError, SourceError
from segue.models.geometry import ResizePadGeometry
from segue.sessions.align import Aligner, to_reference
from segue.sessions.base import Checkpointable, SessionState, checkpointed
from segue.sessions.changes import Change, SceneChangeDetector
from segue.sessions.empty_scene import PLANES, Scene, resized, same_shape
from segue.sessions.scene_estimation import Sample, estimate_scene
from segue.sessions.segmenters import Segmenter
from segue.types import Frame, Image

LEARNT = ".safetensors"
"""Ending of a file with all that is known of the empty scene."""

KEEP = 64  # samples of a part at most; when there are more, every second one goes
LONGEST = 6000  # frames of a part: what changes in the course of the day is learnt anew
QUIET = 12  # frames without a change on either side of a cut
MARK_EVERY = 16  # frames from one mark of a film to the next


class FilmMarks(Checkpointable):
    """What a film is known by: checksums of every sixteenth pixel, chained, noted every sixteen frames."""

    _marks: list[int] = checkpointed()
    _sum: int = checkpointed()
    count: int = checkpointed()
    """Frames so far."""

    def __init__(self) -> None:
        self._marks, self._sum, self.count = [], 0, 0

    def copy(self) -> FilmMarks:
        """Those of the frames so far."""
        other = FilmMarks()
        other._marks, other._sum, other.count = list(self._marks), self._sum, self.count
        return other

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        pixels = np.ascontiguousarray(frame.image[::16, ::16])
        self._sum = zlib.crc32(pixels.tobytes(), zlib.crc32(repr(frame.image.shape).encode(), self._sum))
        self.count += 1
        if self.count % MARK_EVERY == 0:
            self._marks.append(self._sum)

    def compared(self, frames: Iterable[Frame], *, whole: bool = True) -> Iterator[Frame]:
        """The same frames again.

        Args:
            frames: those that come now.
            whole: their number is that of these marks; else only as many as these are compared.

        Raises:
            SourceError: they are others, or more or fewer.
        """
        now = FilmMarks()
        for frame in frames:
            now.add(frame)
            place = now.count // MARK_EVERY - 1
            differs = now.count % MARK_EVERY == 0 and place < len(self._marks)
            differs = differs and now._sum != self._marks[place]
            differs = differs or (now.count == self.count and now._sum != self._sum)
            if differs or (whole and now.count > self.count):
                raise SourceError(
                    f"frame {frame.index}: the film has changed since the first pass; start again with "
                    "--overwrite, or take one pass"
                )
            yield frame
        if now.count < self.count:
            raise SourceError(
                f"the film has {now.count} frames now, {self.count} in the first pass; start again with "
                "--overwrite, or take one pass"
            )


class FilmScenes(Checkpointable):
    """The empty scenes of a film, by the frame from which on each of them holds."""

    _firsts: list[int] = checkpointed()
    _begun_by: list[str] = checkpointed()  # values of Change
    _planes: list[npt.NDArray[np.uint8]] = checkpointed()

    def __init__(self) -> None:
        self._firsts, self._begun_by, self._planes = [], [], []

    @classmethod
    def of(cls, scene: Scene) -> FilmScenes:
        """One scene for all frames.

        Args:
            scene: the empty scene.

        Returns:
            A film with this scene from frame 0 on.
        """
        scenes = cls()
        scenes.add(0, scene)
        return scenes

    @classmethod
    def load(cls, path: Path) -> FilmScenes:
        """Read what :meth:`save` wrote; the file may come from anywhere.

        Args:
            path: the file.

        Returns:
            The scenes of the film.

        Raises:
            CheckpointError: it is missing, damaged, or holds something else.
        """
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

    def save(self, path: Path) -> None:
        """Write a safetensors file.

        Args:
            path: file to write; an existing one is replaced.

        Raises:
            SinkError: it cannot be written.
        """
        self.state().save(path)

    def add(self, first: int, scene: Scene, change: Change = Change.none) -> None:
        """Append a scene that holds from a frame on.

        Args:
            first: index of that frame; larger than those of the scenes before.
            scene: the empty scene.
            change: what happened to the picture as a whole on that frame.
        """
        self._firsts.append(first)
        self._begun_by.append(change.value)
        self._planes.append(scene.planes)

    def __len__(self) -> int:
        return len(self._firsts)

    def number_at(self, index: int) -> int:
        """Find the scene that holds on a frame.

        Args:
            index: index of the frame in the source.

        Returns:
            Number of the scene, from 0.
        """
        return max(0, bisect.bisect_right(self._firsts, index) - 1)

    def begun_by(self, number: int) -> Change:
        """Tell what happened to the picture as a whole where a scene begins.

        Args:
            number: number of the scene, from 0.

        Returns:
            The kind of change; ``Change.none`` for the first scene.
        """
        return Change(self._begun_by[number])

    def scene(self, number: int) -> Scene:
        """Give a scene by its number.

        Args:
            number: from 0, see :meth:`number_at`.

        Returns:
            The empty scene.
        """
        return Scene(self._planes[number])


def _ascending(numbers: Sequence[Any]) -> bool:
    whole = all(type(number) is int and number >= 0 for number in numbers)
    return whole and all(one < other for one, other in itertools.pairwise(numbers))


def _are_planes(planes: Any) -> bool:
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8:
        return False
    return planes.ndim == 3 and len(planes) == PLANES and min(planes.shape) > 0


class LearntBackground(Checkpointable):
    """The empty scenes of a film that are known beforehand; the exposure alone is followed.

    Args:
        scenes: those of the film, also such as are learnt before the first frame comes.
        of_this_film: they are those of the very film, so that its cuts are known, too.
    """

    _number: int = checkpointed()
    scene: Scene | None = checkpointed()
    state_types = (Scene,)

    def __init__(self, scenes: FilmScenes, *, of_this_film: bool = False) -> None:
        self.scenes, self._of_this_film = scenes, of_this_film
        self._size: tuple[int, int] | None = None
        self._number, self.scene = -1, None

    def seek(self, index: int) -> Change | None:
        """Take the scene of a frame, and tell whether something happens there, if that is known."""
        number = self.scenes.number_at(index)
        begins = number != self._number
        if begins:
            self._number = number
            self.restart()
        if not self._of_this_film:
            return None
        return self.scenes.begun_by(number) if begins else Change.none

    def restart(self) -> None:
        """Go back to the scene as it was learnt."""
        if self._number >= 0:
            self.scene = _sized(self.scenes.scene(self._number), self._size)

    def fit(self, size: tuple[int, int]) -> None:
        self._size = size
        for number in range(len(self.scenes)):
            height, width = self.scenes.scene(number).planes.shape[1:]
            if not same_shape(size, (height, width)):
                raise PromptError(
                    f"the learnt scene is {width}x{height}, but the frames are {size[1]}x{size[0]}"
                )
        self.restart()

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Frames change nothing."""

    def apply_gain(self, gains: Sequence[float]) -> None:
        if self.scene is not None:
            self.scene = self.scene.in_other_light(gains)

    def follow_light(self, picture: Image) -> None:
        """Another light has a scene of its own."""

    def replace(self, picture: Image, *, trusted: bool) -> None:
        """The scene stays."""

    def remove_ghost(self, frame: Image, ghost: npt.NDArray[np.bool_]) -> None:
        """The scene is empty."""


def _sized(scene: Scene, size: tuple[int, int] | None) -> Scene:
    if size is None or scene.planes.shape[1:] == size:
        return scene
    return Scene(np.ascontiguousarray(np.stack([resized(plane, size) for plane in scene.planes])))


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A frame after something has happened that may be a cut: its index, and it at the working size."""

    index: int
    image: Image


class SceneLearner(Checkpointable):
    """The first pass: takes the frames of a film, and learns the empty scene of each part of it.

    A part ends at a cut, where the light is switched, or after 6000 frames. What seems to be a cut counts
    only between twelve frames on either side without another one: leaves that sweep past the lens seem to be
    one again and again. Of each part 64 frames at most are kept, evenly spread, each with those before it
    that the segmenter looks at.

    Args:
        segmenter: what says which pixels are foreground, given an empty scene.
        short_side: as in :class:`segue.sessions.foreground.ForegroundSession`.
        align: hold the picture of a shaken camera still.

    Raises:
        SegueError: the segmenter does not look at the empty scene, or looks at something else as well.
    """

    scenes: FilmScenes = checkpointed()
    marks: FilmMarks = checkpointed()
    done: bool = checkpointed()
    _watch: SceneChangeDetector = checkpointed()
    _aligner: Aligner | None = checkpointed()
    _geometry: ResizePadGeometry | None = checkpointed()
    _recent: deque[Image] = checkpointed()
    _samples: list[Sample] = checkpointed()
    _first: int | None = checkpointed()
    _begun_by: str = checkpointed()
    _frames: int = checkpointed()
    _every: int = checkpointed()
    _quiet: int = checkpointed()
    _doubtful: str = checkpointed()
    _waiting: list[_Waiting] = checkpointed()
    state_types = (ResizePadGeometry, Sample, _Waiting)

    def __init__(self, segmenter: Segmenter, *, short_side: int | None, align: bool) -> None:
        if not segmenter.uses_background:
            raise SegueError(f"two passes learn the empty scene, at which {segmenter.name} does not look")
        if segmenter.extra is not None:
            raise SegueError(f"two passes know no {segmenter.extra}, which {segmenter.name} looks at")
        self._segmenter, self._short_side = segmenter, short_side
        self.scenes, self.marks, self._watch = FilmScenes(), FilmMarks(), SceneChangeDetector()
        self._aligner = Aligner() if align else None
        self._geometry, self.done = None, False
        self._recent, self._samples = deque(maxlen=1 - min(segmenter.past, default=-1)), []
        self._first, self._begun_by, self._frames, self._every = None, Change.none.value, 0, 1
        # Frames since the last thing that seemed to be a cut; what it was, and the frames since, while nobody
        # knows whether it is one.
        self._quiet, self._doubtful, self._waiting = QUIET, Change.none.value, []

    def take(self, frame: Frame) -> None:
        """Look at the next frame."""
        self.marks.add(frame)
        if self._geometry is None:
            self._geometry = ResizePadGeometry.of(frame.size, self._short_side, 1)
        image = np.array(self._geometry.to_network(frame.image))
        change = self._watch.look(image, frame.time)
        if change in (Change.scene, Change.light):
            may_be, before = self._quiet >= QUIET, self._waiting
            self._waiting, self._quiet = [], 0
            for each in before:  # what seemed to be a cut before was none
                self._learn(each.index, each.image)
            self._doubtful = change.value if may_be else Change.none.value
        self._quiet += 1
        if Change(self._doubtful) is Change.none:
            self._learn(frame.index, image)
            return
        self._waiting.append(_Waiting(frame.index, image))
        if len(self._waiting) >= QUIET:
            self._cut()

    def finish(self) -> None:
        """There are no more frames."""
        if self._waiting:
            self._cut()
        self._end_part()
        self.done = True

    def _config_fingerprint(self) -> dict[str, Any]:
        return {
            "model": self._segmenter.name,
            "short_side": self._short_side,
            "align": self._aligner is not None,
        }

    def _cut(self) -> None:
        """A part begins with the first frame that waits."""
        self._end_part()
        self._begun_by, self._doubtful = self._doubtful, Change.none.value
        if self._aligner is not None and Change(self._begun_by) is Change.scene:
            self._aligner.restart()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._learn(each.index, each.image)

    def _learn(self, index: int, image: Image) -> None:
        """Look at the next frame of the part."""
        if self._frames >= LONGEST:
            self._end_part()
        if self._first is None:
            self._first = index
        matrix = None if self._aligner is None else self._aligner.find(image)
        if matrix is not None:
            image = to_reference(image, matrix, self._recent[-1] if self._recent else image)
        self._recent.append(image)
        if self._frames % self._every == 0 and len(self._samples) == KEEP:
            self._samples, self._every = self._samples[::2], 2 * self._every
        if self._frames % self._every == 0:
            last = len(self._recent) - 1
            offsets = self._segmenter.past or (-1,)
            context = {offset: self._recent[max(0, last + offset)] for offset in offsets}
            self._samples.append(Sample(image, context))
        self._frames += 1

    def _end_part(self) -> None:
        if self._first is None:
            return
        self._segmenter.restart()
        scene = estimate_scene(self._samples, self._probability)
        self._segmenter.restart()
        self.scenes.add(self._first, scene, Change(self._begun_by))
        self._first, self._begun_by, self._frames, self._every = None, Change.none.value, 0, 1
        self._samples = []
        self._recent.clear()

    def _probability(self, sample: Sample, scene: Scene) -> npt.NDArray[np.float32]:
        return np.asarray(self._segmenter.probe(sample.image, sample.context, scene)[0], np.float32)


class TwoPasses(Iterable[Frame]):
    """The frames of a film for the second pass; the first one is made when they are asked for.

    Args:
        learner: what makes the first pass.
        frames: gives the frames of the film from the beginning, each time.
        background: gets the learnt scenes.
    """

    def __init__(
        self, learner: SceneLearner, frames: Callable[[], Iterable[Frame]], background: LearntBackground
    ) -> None:
        self._learner, self._frames, self._background = learner, frames, background

    def __iter__(self) -> Iterator[Frame]:
        for _ in self.learning():
            pass
        return self.second()

    def learning(self) -> Iterator[int]:
        """Make the first pass, or the rest of one that was restored; gives the number of frames done so far.

        Raises:
            SourceError: the frames before are not those that were restored.
        """
        learner = self._learner
        if not learner.done:
            known = learner.marks.copy()
            for number, frame in enumerate(known.compared(self._frames(), whole=False), start=1):
                if number > known.count:
                    learner.take(frame)
                    yield number
            learner.finish()
        self._background.scenes = learner.scenes

    def second(self) -> Iterator[Frame]:
        """The frames of the second pass, after the first one.

        Raises:
            SourceError: they are not those of the first one.
        """
        return self._learner.marks.compared(self._frames())

    def state(self) -> SessionState:
        """What the first pass knows so far."""
        return self._learner.state(copy=False)

    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
        self._learner.restore(state)
