"""Background of the first of two passes: collects frames and learns the background of each part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

import numpy as np
import numpy.typing as npt

from segue.models.geometry import reduced_to
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.recurrence import NO_PAST, Past, halved
from segue.sessions.foreground.background.scene_estimation import Sample, estimate_scene
from segue.sessions.foreground.background.video_scenes import VideoPart, VideoScenes
from segue.sessions.foreground.camera.changes import LONG_SIDE, Change, Comparison, Levels
from segue.sessions.foreground.camera.scene_events import SceneEvents
from segue.state import checkpointed
from segue.types import Image
from segue.utils.arrays import Float32Array

KEEP = 64
"""Maximum number of samples of a part; beyond it every second one is dropped."""

KEEP_OF_PAST = 32
"""Maximum number of these that count as the past of later frames."""

KEEP_OF_VIEW = 16
"""Maximum number of these that are reused when the camera returns to a view."""

LONGEST = 6000
"""Maximum number of frames of a part; smaller values follow the day faster, but lose standing objects."""

QUIET = 12
"""Frames without a change on both sides of a cut."""

RELIT = 0.4
"""Logarithm of the gain over a part's first frame from which on a new background begins."""

SETTLED = 0.08
"""Maximum logarithm of the gain between two frames of equal light."""

WAIT = 24
"""Frames after a frame that decide about a cut and a pan; results of the first pass wait for them."""


@dataclass(slots=True, eq=False)
class _Seen:
    """A frame at the working size, and its apparent event."""

    index: int
    image: Image
    cut: str  # value of the Change with which a part may begin, or of none
    pans: bool
    changes: bool
    view: int | None  # number of the view of the camera, if it is known


def _pans(pending: _Seen, waiting: Sequence[_Seen]) -> bool:
    """Whether the camera pans on a frame, or later before the next cut."""
    following = takewhile(lambda each: each.cut == Change.none.value, waiting)
    return pending.pans or any(each.pans for each in following)


def boundary(
    pending: _Seen,
    waiting: Sequence[_Seen],
    part: VideoPart | None,
    *,
    pans: bool,
    changes: bool,
    quiet: int,
    frames: int,
) -> Change | None:
    """Change with which a new part begins at a frame, other than light.

    Args:
        pending: the frame.
        waiting: frames after it.
        part: the part before; None at the first frame.
        pans: whether the camera pans.
        changes: whether the image changes as a whole.
        quiet: frames since the last thing that seemed to be a cut.
        frames: length of the part before.

    Returns:
        The change, none for a part of the same scene; None where no part begins.
    """
    none = Change.none.value
    if part is None:
        return Change.none
    is_clear = all(each.cut == none for each in waiting[: QUIET - 1])
    if pending.cut != none and quiet >= QUIET and is_clear:
        return Change(pending.cut)
    if part.pans != pans:  # after a pan, what was known before lies elsewhere
        return Change.none if pans else Change.scene
    if part.changes != changes or frames >= LONGEST:
        return Change.none
    return None


Probe = Callable[[Sample, Scene, Past], Float32Array]
"""Probability of foreground in a sample, (H, W), when the empty scene and its past are these."""


class CollectingBackground(Background):
    """Collects frames of each part of a video, and learns its background.

    Frames wait: those after a frame tell whether a part begins with it.

    Args:
        probe: segments a sample before a background.
        offsets: distances of the frames that the model wants beside a frame, such as -3.
        keep_past: keep frames of each part, which tell how often colours were seen.
    """

    collects = True
    scenes: VideoScenes = checkpointed(VideoScenes)
    view: int | None = checkpointed(None)
    _waiting: deque[_Seen] = checkpointed(deque)
    _recent: deque[Image] = checkpointed()
    _samples: list[Sample] = checkpointed(list)
    _views: dict[int, list[Sample]] = checkpointed(dict)  # of parts that have ended
    _references: dict[int, Image] = checkpointed(dict)  # what frames of each view are aligned to
    _known: tuple[int, ...] = checkpointed(tuple)
    _view: int | None = checkpointed(None)  # of the part
    _newest: Image | None = checkpointed(None)  # as it was aligned
    _frames: int = checkpointed(0)  # of the part
    _every: int = checkpointed(1)
    _light: Float32Array | None = checkpointed(None)  # the first frame of the part, reduced
    _quiet: int = checkpointed(QUIET)  # frames since the last thing that seemed to be a cut
    state_types = (Sample, _Seen)

    def __init__(self, probe: Probe, offsets: Collection[int], *, keep_past: bool = False) -> None:
        self._probe, self._keeps_past = probe, keep_past
        self._offsets = [offset for offset in offsets if offset < 0] or [-1]
        self.restart()

    def restart(self) -> None:
        super().restart()
        self._recent = deque(maxlen=1 - min(self._offsets))

    @property
    def image(self) -> Image | None:
        """The aligned previous frame, which fills borders of shaken frames."""
        return self._newest

    def enter(self, view: int | None, known: Collection[int], frames: Sequence[Image] = ()) -> None:
        self._newest = None if view is None else self._references.get(view)

    def observe(self, index: int, image: Image, event: Change, events: SceneEvents) -> None:
        self.view, self._known = events.views.current, events.views.known
        self._waiting.append(_Seen(index, image, event.value, events.pans, events.changes, self.view))
        if event is not Change.none:  # the scene has begun when it settled
            since_change = list(self._waiting)[-1 - events.settled :]
            for each in since_change:
                each.cut, each.changes, each.view = Change.none.value, False, self.view
            since_change[0].cut = event.value
        if len(self._waiting) > WAIT:
            self._learn()

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        self._newest = self._waiting[-1].image = frame
        if self.view is not None:
            self._references.setdefault(self.view, frame)
            self._references = {
                view: image for view, image in self._references.items() if view in self._known
            }

    def finish(self) -> None:
        """Learn from the waiting frames and the last part."""
        while self._waiting:
            self._learn()
        self._close()

    def _learn(self) -> None:
        """Process the longest-waiting frame; it may begin a new part."""
        pending, waiting = self._waiting.popleft(), list(self._waiting)
        pans = _pans(pending, waiting)
        changes = pending.changes and not pans
        relit = self._is_relit(pending.image) and not pans and not changes
        part = self.scenes.learnt[-1] if self.scenes.learnt else None
        start = boundary(
            pending, waiting, part, pans=pans, changes=changes, quiet=self._quiet, frames=self._frames
        )
        self._quiet = self._quiet + 1 if pending.cut == Change.none.value else 1
        if start is None and relit:
            if not self._has_settled(pending.image):  # on its way to another light
                self._frames += 1
                return
            start = Change.light
        if start is not None:
            self._begin(pending, start, pans=pans, changes=changes)
        if not pans and not changes:
            self._view = self._view if pending.view is None else pending.view
            if self._light is None:
                self._light = reduced_to(pending.image, LONG_SIDE).astype(np.float32)
            self._sample(pending.image)
        self._frames += 1

    def _is_relit(self, image: Image) -> bool:
        """Whether a frame differs much in brightness or colour from the part's first frame."""
        return self._light is not None and _light_between(reduced_to(image, LONG_SIDE), self._light) > RELIT

    def _has_settled(self, image: Image) -> bool:
        """Whether the following frames have the same light."""
        now, following = reduced_to(image, LONG_SIDE), [each.image for each in islice(self._waiting, QUIET)]
        later = (reduced_to(each, LONG_SIDE) for each in following[:: QUIET // 2])
        same = (_light_between(each, now) < SETTLED for each in later)
        return len(following) == QUIET and all(same)

    def _begin(self, pending: _Seen, change: Change, *, pans: bool, changes: bool) -> None:
        self._close()
        planes = Scene.of(pending.image, 1).planes
        self.scenes.learnt.append(VideoPart(pending.index, change.value, planes, pans, changes))
        self._frames, self._every, self._samples, self._view, self._light = 0, 1, [], pending.view, None
        self._recent.clear()
        if change is Change.back and pending.view in self._views:
            self._samples = list(self._views[pending.view])

    def _sample(self, image: Image) -> None:
        """Sample a frame of the part for its background."""
        self._recent.append(image)
        if self._frames % self._every == 0 and len(self._samples) == KEEP:
            self._samples, self._every = self._samples[::2], 2 * self._every
        if self._frames % self._every == 0:
            last = len(self._recent) - 1
            context = {offset: self._recent[max(0, last + offset)] for offset in self._offsets}
            self._samples.append(Sample(image, context))

    def _close(self) -> None:
        """Learn the background of the part from its samples."""
        if not self.scenes.learnt:
            return
        if self._samples:
            part, past = self.scenes.learnt[-1], NO_PAST
            if self._keeps_past:
                retained = self._samples[:: -(-len(self._samples) // KEEP_OF_PAST)]
                part.past = np.stack([halved(sample.image) for sample in retained])
                past = Past([*part.past])

            def probe(sample: Sample, scene: Scene) -> Float32Array:
                return self._probe(sample, scene, past)

            part.planes = estimate_scene(self._samples, probe).planes
        self.scenes.keep(self.scenes.learnt[-1])
        if self._samples and self._view is not None:
            self._views[self._view] = self._samples[:: -(-len(self._samples) // KEEP_OF_VIEW)]
            self._views = {view: samples for view, samples in self._views.items() if view in self._known}


def _light_between(image: Levels, other: Levels) -> float:
    """Largest absolute log gain per colour between two reduced images."""
    return float(np.abs(np.log(Comparison(image, other).gains)).max())
