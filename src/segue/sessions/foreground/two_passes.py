"""Two passes: the first learns the background of each part of a video, the second segments."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from segue.errors import SegueError, SourceDamageError, SourceError
from segue.sessions.foreground.background.collecting import CollectingBackground
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.recurrence import Past
from segue.sessions.foreground.background.scene_estimation import Sample
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from segue.sessions.foreground.segmenters.base import Segmenter, SegmenterInput
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.foreground.stages.contrast import PLAIN, contrast_gain, in_contrast
from segue.sessions.foreground.stages.entries import checked
from segue.sessions.session import Passes
from segue.state import Checkpointable, checkpointed
from segue.types import Frame
from segue.utils.arrays import Float32Array

_LOGGER = logging.getLogger("segue")


class NullSegmenter(Segmenter):
    """Segmenter without output, for the first pass, in which no background is known."""

    name = "first pass"
    uses_background = True

    def __init__(self, stages: Collection[str]) -> None:
        self.stages = tuple(stages)

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        return np.zeros((1, *frame.image.shape[:2]), np.float32)


class TwoPasses(Checkpointable, Passes):
    """Runs two passes over a video: the first learns backgrounds, the second gives the frames to segment.

    Args:
        segmenter: segmenter that uses the background.
        frames: opens the frames of the video from the beginning, for each pass.
        background: gets the learnt backgrounds.
        short_side: larger frames are reduced to this short side; None never reduces.
        without: names of stages to remove.
    """

    done: bool = checkpointed(False)
    _count: int = checkpointed(0)  # frames of the video that were looked at
    _session: ForegroundSession = checkpointed()

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
        self._collected = CollectingBackground(
            self._probability, segmenter.offsets, keep_past=segmenter.capabilities.recurrence
        )
        self._session = ForegroundSession(
            NullSegmenter([name for name in self._stages if name == "align"]),
            background=self._collected,
            short_side=short_side,
            without=without,
            follow_camera="auto",
        )

    @property
    def scenes(self) -> VideoScenes:
        """Backgrounds learnt so far."""
        return self._collected.scenes

    @property
    def summary(self) -> str:
        """Number of scenes, if there are several."""
        count = self.scenes.count
        return f"first pass: {count} scenes in {self._count} frames" if count > 1 else ""

    def learning(self) -> Iterator[int]:
        """Run or continue the first pass; yields the number of frames done."""
        if not self.done:
            try:
                for frame in islice(self._source(), self._count, None):
                    self.take(frame)
                    self.latest = frame
                    yield self._count
            except SourceDamageError:  # the second pass gives the frames before it, and meets it again
                if self._count == 0:
                    raise
            self.finish()
        self.latest = None
        self._background.scenes = self.scenes

    def second(self) -> Iterator[Frame]:
        """Frames of the second pass."""
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
        """Process the next frame in the first pass."""
        with self.changing(f"frame {frame.index} of the first pass"):
            self._count += 1
            self._session.step(frame)

    def finish(self) -> None:
        """End the first pass."""
        with self.changing("the end of the first pass"):
            deque(self._session.finish(), maxlen=0)
            self._collected.finish()
            self.done = True
        _LOGGER.info("first pass: %d scenes in %d frames", self.scenes.count, self._count)

    def _config_fingerprint(self) -> dict[str, Any]:
        return {"model": self._segmenter.name, "short_side": self._short_side, "stages": self._stages}

    def _probability(self, sample: Sample, scene: Scene, past: Past) -> Float32Array:
        offsets = self._segmenter.offsets
        images = [sample.image, *(sample.context.get(offset, sample.image) for offset in offsets)]
        gain = contrast_gain(scene, sample.image) if "contrast" in self._stages else PLAIN
        shown_scene = scene if gain == PLAIN else in_contrast(scene, gain)
        frame, *context = (SegmenterInput(gain.act(image)) for image in images)
        frame.recurrence = partial(past.recurrence, sample.image)
        foreground: Float32Array = self._segmenter.step(
            frame, dict(zip(offsets, context, strict=True)), shown_scene
        )[0]
        return foreground
