"""Two passes over a video: the first learns the background of each of its parts, the second gives masks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

import numpy as np

from segue.arrays import Float32Array
from segue.errors import SegueError, SourceDamageError, SourceError
from segue.models.geometry import ResizePadGeometry
from segue.sessions.align import Aligner
from segue.sessions.backgrounds import Background
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.contrast import PLAIN, in_usual_contrast
from segue.sessions.empty_scene import Scene
from segue.sessions.passes import Passes
from segue.sessions.registration import to_reference
from segue.sessions.scene_estimation import Sample, estimate_scene
from segue.sessions.scene_events import SceneEvents
from segue.sessions.segmenters import Segmenter, SegmenterInput
from segue.sessions.stage_list import checked
from segue.sessions.stages import Change
from segue.sessions.video_scenes import LearntBackground, VideoPart, VideoScenes
from segue.types import Frame, Image

_LOGGER = logging.getLogger("segue")

KEEP = 64  # samples of a part at most; when there are more, every second one goes
KEEP_OF_VIEW = 16  # of these at most help where the camera shows the same view again
LONGEST = 6000  # frames of a part: what changes in the course of the day is learnt anew
QUIET = 12  # frames without a change on either side of a cut
WAIT = 24  # frames after a frame that tell whether there is a cut, and whether the camera pans


@dataclass(slots=True, eq=False)
class _Seen:
    """A frame at the working size, and what seems to happen on it."""

    index: int
    image: Image
    cut: str  # value of the Change with which a part may begin, or of none
    pans: bool
    changes: bool
    view: int | None  # number of the view of the camera, if it is known


class TwoPasses(Checkpointable, Passes):
    """The frames of a video for the second pass; the first one learns the background of each part of it.

    Args:
        segmenter: looks at the background.
        frames: gives the frames of the video from the beginning, for each pass.
        background: gets what was learnt.
        short_side: larger frames are reduced to this short side; None never reduces.
        without: names of stages to leave out.
    """

    scenes: VideoScenes = checkpointed(VideoScenes)
    done: bool = checkpointed(False)
    _count: int = checkpointed(0)  # frames of the video that were looked at
    _events: SceneEvents = checkpointed()
    _aligner: Aligner | None = checkpointed()
    _geometry: ResizePadGeometry | None = checkpointed(None)
    _waiting: deque[_Seen] = checkpointed(deque)
    _recent: deque[Image] = checkpointed()
    _samples: list[Sample] = checkpointed(list)
    _views: dict[int, list[Sample]] = checkpointed(dict)  # of parts that have ended
    _view: int | None = checkpointed(None)  # of the part
    _frames: int = checkpointed(0)  # of the part
    _every: int = checkpointed(1)
    _quiet: int = checkpointed(QUIET)  # frames since the last thing that seemed to be a cut
    state_types = (ResizePadGeometry, Sample, _Seen)

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
        super().__init__()
        self._segmenter, self._short_side = segmenter, short_side
        self._source, self._background = frames, background
        self._stages = sorted({*segmenter.stages, "follow"} - checked(without))
        self._events = SceneEvents("auto" if "follow" in self._stages else "never")
        self._aligner = Aligner() if "align" in self._stages else None
        self._offsets = [offset for offset in segmenter.offsets if offset < 0] or [-1]
        self._recent = deque(maxlen=1 - min(self._offsets))

    def learning(self) -> Iterator[int]:
        """Run or continue the first pass; yields the number of frames done so far."""
        if not self.done:
            try:
                for frame in islice(self._source(), self._count, None):
                    self.take(frame)
                    yield self._count
            except SourceDamageError:  # the second pass gives the frames before it, and meets it again
                if self._count == 0:
                    raise
            self.finish()
        self._background.scenes = self.scenes

    def second(self) -> Iterator[Frame]:
        """The frames of the second pass, after the first one."""
        count = 0
        for count, frame in enumerate(self._source(), start=1):
            if count > self._count:
                break
            yield frame
        if count != self._count:
            now = f"more than {self._count}" if count > self._count else str(count)
            raise SourceError(
                f"the video has {now} frames now, {self._count} in the first pass; "
                "start again with --overwrite, or take one pass"
            )

    def take(self, frame: Frame) -> None:
        """Look at the next frame in the first pass."""
        with self.changing(f"frame {frame.index} of the first pass"):
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        self._count += 1
        if self._geometry is None:
            self._geometry = ResizePadGeometry.of(frame.size, self._short_side, 1)
        image = np.array(self._geometry.to_network(frame.image))
        events, change = self._events, self._events.look(image, Background(), None)
        seen = _Seen(frame.index, image, change.value, events.pans, events.changes, events.views.current)
        self._waiting.append(seen)
        if change is not Change.none:  # the scene has begun when it settled
            begun = list(self._waiting)[-1 - events.settled :]
            for each in begun:
                each.cut, each.changes, each.view = Change.none.value, False, seen.view
            begun[0].cut = change.value
        if len(self._waiting) > WAIT:
            self._learn()

    def finish(self) -> None:
        """There are no more frames."""
        with self.changing("the end of the first pass"):
            while self._waiting:
                self._learn()
            self._close()
            self.done = True
        _LOGGER.info("first pass: %d scenes in %d frames", self.scenes.count, self._count)

    def _config_fingerprint(self) -> dict[str, Any]:
        return {"model": self._segmenter.name, "short_side": self._short_side, "stages": self._stages}

    def _learn(self) -> None:
        """Take the frame that has waited longest; it may begin another part."""
        seen, none, parts = self._waiting.popleft(), Change.none.value, self.scenes.learnt
        change, clear = Change(seen.cut), all(each.cut == none for each in islice(self._waiting, QUIET - 1))
        is_cut = seen.cut != none and self._quiet >= QUIET and clear
        self._quiet = self._quiet + 1 if seen.cut == none else 1
        following = takewhile(lambda each: each.cut == none, self._waiting)
        pans = seen.pans or any(each.pans for each in following)
        seen.changes = seen.changes and not pans
        if not parts:
            self._begin(seen, Change.none, pans=pans)
        elif is_cut:
            self._begin(seen, change, pans=pans)
        elif parts[-1].pans != pans:  # after a pan, what was known before lies elsewhere
            self._begin(seen, Change.none if pans else Change.scene, pans=pans)
        elif parts[-1].changes != seen.changes or self._frames >= LONGEST:
            self._begin(seen, Change.none, pans=pans)
        if not pans and not seen.changes:
            self._view = self._view if seen.view is None else seen.view
            self._sample(seen.image)
        self._frames += 1

    def _begin(self, seen: _Seen, change: Change, *, pans: bool) -> None:
        self._close()
        planes = Scene.of(seen.image, 1).planes
        self.scenes.learnt.append(VideoPart(seen.index, change.value, planes, pans, seen.changes))
        self._frames, self._every, self._samples, self._view = 0, 1, [], seen.view
        self._recent.clear()
        if change.is_scene and self._aligner is not None:
            self._aligner.restart()
        if change is Change.back and seen.view in self._views:
            self._samples = list(self._views[seen.view])
            if self._aligner is not None:
                self._aligner.refer_to(self._samples[0].image)

    def _sample(self, image: Image) -> None:
        """Take a frame of the part for its background."""
        matrix = None if self._aligner is None else self._aligner.find(image)
        if matrix is not None:
            image = to_reference(image, matrix, self._recent[-1] if self._recent else image)
        self._recent.append(image)
        if self._frames % self._every == 0 and len(self._samples) == KEEP:
            self._samples, self._every = self._samples[::2], 2 * self._every
        if self._frames % self._every == 0:
            last = len(self._recent) - 1
            context = {offset: self._recent[max(0, last + offset)] for offset in self._offsets}
            self._samples.append(Sample(image, context))

    def _close(self) -> None:
        """Learn the background of the part, if it has samples."""
        if self._samples:
            scene = estimate_scene(self._samples, self._probability)
            self.scenes.learnt[-1].planes = scene.planes
        if self._samples and self._view is not None:
            self._views[self._view] = self._samples[:: -(-len(self._samples) // KEEP_OF_VIEW)]
            known = self._events.views.known
            self._views = {view: samples for view, samples in self._views.items() if view in known}

    def _probability(self, sample: Sample, scene: Scene) -> Float32Array:
        offsets = self._segmenter.offsets
        images = [sample.image, *(sample.context.get(offset, sample.image) for offset in offsets)]
        gain, shown = in_usual_contrast(scene) if "contrast" in self._stages else (PLAIN, scene)
        frame, *beside = (SegmenterInput(gain.act(image)) for image in images)
        foreground: Float32Array = self._segmenter.step(
            frame, dict(zip(offsets, beside, strict=True)), shown
        )[0]
        return foreground
