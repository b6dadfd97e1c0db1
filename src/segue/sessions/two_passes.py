"""Two passes over a video: the first learns the empty scene of each of its parts, the second gives masks."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.arrays import UInt8Array
from segue.errors import SegueError, SourceError
from segue.models.geometry import ResizePadGeometry
from segue.sessions.align import Aligner
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.changes import SceneChangeDetector
from segue.sessions.contrast import Contrast
from segue.sessions.empty_scene import Scene
from segue.sessions.film_scenes import FilmScenes, LearntBackground, packed
from segue.sessions.nearby import Nearby
from segue.sessions.panning import PanDetector
from segue.sessions.passes import Passes
from segue.sessions.registration import to_reference
from segue.sessions.scene_estimation import Sample, estimate_scene
from segue.sessions.segmenters import Segmenter
from segue.sessions.stage_list import checked
from segue.sessions.stages import Change
from segue.types import Frame, Image

KEEP = 64  # samples of a part at most; when there are more, every second one goes
PIECE = 128  # frames that are kept until it is known whether the camera pans in them
BESIDE = 24  # frames on either side that tell what is foreground in a frame while the camera pans
LONGEST = 6000  # frames of a part: what changes in the course of the day is learnt anew
QUIET = 12  # frames without a change on either side of a cut
MARK_EVERY = 16  # frames from one mark of a video to the next


class FilmMarks(Checkpointable):
    """Identity of a video: chained checksums of every sixteenth pixel, stored every sixteen frames."""

    _marks: list[int] = checkpointed()
    _sum: int = checkpointed()
    count: int = checkpointed()
    """Frames so far."""

    def __init__(self) -> None:
        self._marks, self._sum, self.count = [], 0, 0

    def copy(self) -> FilmMarks:
        """Checksums of the frames so far."""
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
        """The same frames again."""
        now = FilmMarks()
        for frame in frames:
            now.add(frame)
            place = now.count // MARK_EVERY - 1
            differs = now.count % MARK_EVERY == 0 and place < len(self._marks)
            differs = differs and now._sum != self._marks[place]
            differs = differs or (now.count == self.count and now._sum != self._sum)
            if differs or (whole and now.count > self.count):
                raise SourceError(
                    f"frame {frame.index}: the video has changed since the first pass; start again with "
                    "--overwrite, or take one pass"
                )
            yield frame
        if now.count < self.count:
            raise SourceError(
                f"the video has {now.count} frames now, {self.count} in the first pass; start again with "
                "--overwrite, or take one pass"
            )


class TwoPasses(Checkpointable, Passes):
    """The frames of a video for the second pass; the first one learns the empty scene of each part of it.

    Args:
        segmenter: looks at the empty scene.
        frames: gives the frames of the video from the beginning, for each pass.
        background: gets what was learnt.
        short_side: larger frames are reduced to this short side; None never reduces.
        without: names of stages to leave out.
    """

    scenes: FilmScenes = checkpointed()
    marks: FilmMarks = checkpointed()
    while_panning: dict[int, UInt8Array] = checkpointed()
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
    _waiting: dict[int, Image] = checkpointed()  # frames after something that may be a cut
    _pan: PanDetector = checkpointed()
    _pans: bool = checkpointed()
    _piece: dict[int, Image] = checkpointed()
    _before: dict[int, Image] = checkpointed()
    state_types = (ResizePadGeometry, Sample)

    def __init__(
        self,
        segmenter: Segmenter,
        frames: Callable[[], Iterable[Frame]],
        background: LearntBackground,
        *,
        short_side: int | None,
        without: Collection[str] = (),
    ) -> None:
        if not segmenter.uses_background:
            raise SegueError(f"two passes learn the empty scene, at which {segmenter.name} does not look")
        if segmenter.extra is not None:
            raise SegueError(f"two passes know no {segmenter.extra}, which {segmenter.name} looks at")
        self._segmenter, self._short_side = segmenter, short_side
        self._source, self._background = frames, background
        self.scenes, self.marks, self._watch = FilmScenes(), FilmMarks(), SceneChangeDetector()
        stages = set(segmenter.stages) - checked(without)
        self._aligner = Aligner() if "align" in stages else None
        self._contrast = Contrast() if "contrast" in stages else None
        self._looks_nearby = "nearby" not in without
        self._geometry, self.done = None, False
        self._recent, self._samples = deque(maxlen=1 - min(segmenter.past, default=-1)), []
        self._first, self._begun_by, self._frames, self._every = None, Change.none.value, 0, 1
        # Frames since the last thing that seemed to be a cut; what it was, and the frames since, while nobody
        # knows whether it is one.
        self._quiet, self._doubtful, self._waiting = QUIET, Change.none.value, {}
        # The piece so far, the end of the one before it if the camera panned there, and whether it pans in
        # the part that the pieces before are.
        self.while_panning, self._piece, self._before = {}, {}, {}
        self._pan, self._pans = PanDetector(), False

    def learning(self) -> Iterator[int]:
        """Run or continue the first pass; yields the number of frames done so far."""
        if not self.done:
            known = self.marks.copy()
            for number, frame in enumerate(known.compared(self._source(), whole=False), start=1):
                if number > known.count:
                    self.take(frame)
                    yield number
            self.finish()
        self._background.scenes, self._background.while_panning = self.scenes, self.while_panning

    def second(self) -> Iterator[Frame]:
        """The frames of the second pass, after the first one."""
        return self.marks.compared(self._source())

    def take(self, frame: Frame) -> None:
        """Look at the next frame in the first pass."""
        self.marks.add(frame)
        if self._geometry is None:
            self._geometry = ResizePadGeometry.of(frame.size, self._short_side, 1)
        image = np.array(self._geometry.to_network(frame.image))
        change = self._watch.look(image, frame.time)
        if change in (Change.scene, Change.light):
            may_be, before = self._quiet >= QUIET, self._waiting
            self._waiting, self._quiet = {}, 0
            for index, earlier in before.items():  # what seemed to be a cut before was none
                self._learn(index, earlier)
            self._doubtful = change.value if may_be else Change.none.value
        self._quiet += 1
        if Change(self._doubtful) is Change.none:
            self._learn(frame.index, image)
            return
        self._waiting[frame.index] = image
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
            "stages": [self._aligner is not None, self._contrast is not None, self._looks_nearby],
        }

    def _cut(self) -> None:
        """A part begins with the first frame that waits."""
        self._end_part()
        self._begun_by, self._doubtful = self._doubtful, Change.none.value
        if self._aligner is not None and Change(self._begun_by) is Change.scene:
            self._aligner.restart()
        waiting, self._waiting = self._waiting, {}
        for index, image in waiting.items():
            self._learn(index, image)

    def _learn(self, index: int, image: Image) -> None:
        """Look at the next frame of the part."""
        self._piece[index] = image
        if len(self._piece) == PIECE:
            self._end_piece()

    def _end_piece(self) -> None:
        """Learn from the frames of a piece, in which the camera pans or does not."""
        piece, self._piece = self._piece, {}
        if not piece:
            return
        pans = self._looks_nearby and True in [self._pan.look(image) for image in piece.values()]
        if self._first is not None and pans != self._pans:
            self._close()
            if self._pans:  # as in one pass: what was known before the camera came to rest lies elsewhere
                self._begun_by = Change.scene.value
                if self._aligner is not None:
                    self._aligner.restart()
        self._pans = pans
        if pans:
            self._look_nearby(piece)
        else:
            self._before = {}
        for index, image in piece.items():
            self._sample(index, image)

    def _sample(self, index: int, image: Image) -> None:
        """Take a frame of the part for its scene."""
        if self._frames >= LONGEST:
            self._close()
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

    def _look_nearby(self, piece: dict[int, Image]) -> None:
        """Look at each frame of a piece, and again at the end of the piece before, beside those near it."""
        frames = self._before | piece
        self._restart()
        found = Nearby([*frames.values()], self._probability, self._segmenter.past).foreground()
        known = len(self._before) // 2
        for index, foreground in [*zip(frames, found, strict=True)][known:]:
            self.while_panning[index] = packed(foreground)
        self._before = dict([*frames.items()][-2 * BESIDE :])

    def _end_part(self) -> None:
        self._end_piece()
        self._close()
        self._before, self._pans = {}, False
        self._pan.restart()

    def _close(self) -> None:
        """Learn the scene of the part, if it has begun."""
        if self._first is None:
            return
        self._restart()
        # What is foreground is known where the camera pans, so that the scene matters little there.
        scene = estimate_scene(self._samples, None if self._pans else self._probability)
        self._restart()
        self.scenes.add(self._first, scene, Change(self._begun_by))
        self._first, self._begun_by, self._frames, self._every = None, Change.none.value, 0, 1
        self._samples = []
        self._recent.clear()

    def _restart(self) -> None:
        self._segmenter.restart()
        if self._contrast is not None:
            self._contrast.reset(Change.scene)

    def _probability(self, sample: Sample, scene: Scene) -> npt.NDArray[np.float32]:
        scene, tone = (scene, None) if self._contrast is None else self._contrast.adapt(scene)
        more = {} if tone is None else {"tone": tone}
        return np.asarray(self._segmenter.probe(sample.image, sample.context, scene, **more)[0], np.float32)
