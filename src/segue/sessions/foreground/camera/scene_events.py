"""Detect scene changes, light changes and camera motion."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

import numpy as np

from segue.models.geometry import reduced_to
from segue.sessions.foreground.camera.changes import (
    LONG_SIDE,
    Change,
    Comparison,
    Difference,
    farthest,
    is_visible,
)
from segue.sessions.foreground.camera.flicker import Flicker
from segue.sessions.foreground.camera.pan import PanDetector
from segue.sessions.foreground.camera.step import VIEW_SIDE, CameraStep
from segue.sessions.foreground.camera.views import LIT, ViewComparison, Views
from segue.state import Checkpointable, checkpointed
from segue.types import FollowCamera, Image
from segue.utils.arrays import UInt8Array

REST_SECONDS, REST, MIN_REST = 0.48, 12, 3
"""Seconds over which an image must stay for its view to have settled, and frames at most and at least: at 25
frames a second, for which the other numbers were chosen, and at few."""

STAYS = 10
"""Maximum difference in levels of a pixel in a settled view."""

RESTLESS = 0.35
"""Share of pixels that may differ more, such as objects and leaves."""

JUMPED = 0.3
"""Share of pixels that no gain explains when the light is switched."""

FASTEST = 0.035
"""Maximum speed of a pan's start that is tracked, in longer sides per frame."""

LONGEST = 50
"""Maximum number of frames of a change, at 25 frames/s; then a scene begins in any case."""

PACE = 0.25
"""Weight of the last step in the running mean of steps."""


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """Known facts about a frame: its event, whether the camera pans, whether the image changes."""

    change: Change
    pans: bool
    changes: bool


class SceneEvents(Checkpointable):
    """Detects the event of each frame.

    A frame is compared with earlier frames, to see whether the view has settled, and with the current view,
    to see whether it is still visible. If the view is lost, the state is ``changes`` until frames are stable.
    The view is then the same, an earlier one, or a new scene.

    Attributes:
        pans: the camera pans and is followed.
        changes: the image changes as a whole: there is nothing that it could be compared with.
        views: the views of the camera.
        settled: frames before the last one that already belong to the scene that begins on it.
        rest: frames over which an image must stay for its view to have settled, by the times of frames.
        step: of the camera, from the frame before the last one to it.
    """

    _before: Image | None = checkpointed(None)  # the last frame, RGB (h, w, 3), small
    _pan: PanDetector = checkpointed(PanDetector)
    _flicker: Flicker = checkpointed(Flicker, later=True)
    views: Views = checkpointed(Views)
    _recent: deque[UInt8Array] = checkpointed(partial(deque, maxlen=REST + 1))  # RGB (h, w, 3), very small
    _since: int = checkpointed(0)  # frames since the change began
    _restless: int = checkpointed(0)  # frames since the view has settled for the last time
    _differs: int = checkpointed(0)  # settled frames in a row that differ from the view
    pans: bool = checkpointed(False)
    changes: bool = checkpointed(False)
    settled: int = checkpointed(0)
    rest: int = checkpointed(REST, later=True)
    _time: float | None = checkpointed(None, later=True)  # of the last frame
    _step_seconds: float | None = checkpointed(None, later=True)  # usual distance of two frames

    def __init__(self, follow: FollowCamera = "never") -> None:
        super().__init__()
        self._follow, self.step = follow, CameraStep()

    def update(
        self,
        image: Image,
        empty: Image | None = None,
        known: KnownEvent | None = None,
        *,
        time: float | None = None,
    ) -> Change:
        """Process the next original frame, RGB (h, w, 3), uint8, and return its event.

        ``empty``: image of the empty scene; ``known``: what is known to happen; ``time``: of the frame in
        seconds. None if unknown.
        """
        self._take_time(time)
        panned, self.settled = self.pans, 0
        small = reduced_to(image, VIEW_SIDE)
        if self._before is not None and self._before.shape != small.shape:
            self.restart()
        small = self._flicker.update(small, self._before)
        self.step, self._before = CameraStep(self._before, small), small
        if known is not None:
            self.pans, self.changes = known.pans, known.changes
            return Change.scene if panned and not self.pans and not self.changes else known.change
        tiny = reduced_to(small, LONG_SIDE)
        previous = self._recent[-1] if self._recent else tiny
        self._recent.append(tiny)
        self.pans = self._follow == "always" or (self._follow == "auto" and self._pan.update(self.step))
        self.pans = self.pans and not (self.changes and self._pan.pace > FASTEST)
        if self.pans:
            self.changes, self.views.current = False, None
            return Change.none
        jump = Comparison(tiny, previous).difference(self.step)
        # Another scene is not the same one in bands, and of no known view they are no other light.
        if self._flicker.moved and (jump.change is Change.scene or self.views.current is None):
            jump = jump._replace(change=Change.none)
        event = self._event(jump, small, empty, panned=panned)
        if event is not Change.none:
            self._pan.restart()
        return event

    def _take_time(self, time: float | None) -> None:
        """Adapt frame counts to the frame rate."""
        if time is not None and self._time is not None and time > self._time:
            step, usual = time - self._time, self._step_seconds
            self._step_seconds = step if usual is None else usual + PACE * (min(step, 2 * usual) - usual)
            self.rest = min(max(round(REST_SECONDS / self._step_seconds), MIN_REST), REST)
        self._time = time

    def _event(self, jump: Difference, small: Image, empty: Image | None, *, panned: bool) -> Change:
        """Event of a frame that differs by ``jump`` from the previous one."""
        if panned:  # what was known before the camera panned lies elsewhere
            return self._arrive(small)
        rest, settled = self.rest, False
        recent = [*self._recent][-rest - 1 :]
        if len(recent) > rest:  # settled if they show the same, but for what moves
            earlier = np.stack([recent[0], recent[rest // 2], recent[rest - 1]])
            differs = farthest(earlier, np.stack([recent[-1]] * len(earlier))) > STAYS
            settled = bool(differs.mean(axis=(1, 2)).max() < RESTLESS)
        self._restless = 0 if settled else self._restless + 1
        if self.changes:
            self._since += 1
            if settled:
                self.settled = rest
                return self._arrive(small)
            return self._give_up() if self._since >= self._longest else Change.none
        # A camera that is carried has no view; before one that rests, much may move for long.
        comparison = None if self.views.current is None else self.views.compare(small)
        if comparison is None or (self._restless > rest and self.views.is_gone(comparison)):
            return self._without_view(jump.change, small, empty, settled=settled)
        if jump.change is Change.light and jump.relit <= LIT:
            return Change.light
        switched = jump.change is Change.light or (jump.relit > JUMPED and jump.altered < JUMPED)
        if (switched and not self.views.is_visible(comparison)) or self.views.is_gone(comparison):
            self.changes, self._since = True, 0
            return Change.none
        return self._at_rest(comparison) if settled else Change.none

    @property
    def _longest(self) -> int:
        """Maximum frames of a change before a scene begins with an unsettled view."""
        return LONGEST * self.rest // REST

    def _at_rest(self, comparison: ViewComparison) -> Change:
        """Process a frame of a settled view, which may have changed gradually."""
        self._differs = self._differs + 1 if self.views.differs(comparison) else 0
        if self._differs >= self.rest:
            self.settled = 2 * self.rest - 1
            return self._arrive(comparison.small)
        if self._differs == 0:
            self.views.learn(comparison.small)
        return Change.none

    def _without_view(self, change: Change, small: Image, empty: Image | None, *, settled: bool) -> Change:
        """Process a frame without a known view, compared only with the previous frame."""
        if change is Change.none and settled:
            if self.views.find(small):
                return Change.back
            self.views.begin(small)
            gave_up, self._since = self._since >= self._longest, 0
            return Change.scene if gave_up else Change.none
        if change is Change.scene and is_visible(empty, small):
            return Change.none
        if change is Change.scene:
            self.views.current = None
        return change

    def _give_up(self) -> Change:
        """Begin a scene with an unknown view."""
        self.changes, self.views.current = False, None
        return Change.scene

    def _arrive(self, small: Image) -> Change:
        """Begin a scene with the settled view, remembered or new."""
        self.changes, self._differs, previous_view = False, 0, self.views.current
        if self.views.find(small):
            return Change.light if self.views.current == previous_view else Change.back
        self.views.begin(small)
        return Change.scene
