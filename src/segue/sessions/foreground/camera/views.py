"""Views of a camera at rest, remembered to recognise them later."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from segue.models.geometry import reduced_to
from segue.sessions.foreground.camera.changes import (
    LONG_SIDE,
    SAME_LIGHT,
    TOUCH,
    Change,
    Comparison,
    Gains,
    share_of,
)
from segue.sessions.foreground.camera.registration import normalised, shift, to_reference
from segue.sessions.foreground.camera.step import AROUND
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.arrays import UInt8Array

MAX_VIEWS = 8
"""Maximum number of remembered views; the one unseen for longest is dropped."""

EVERY, KEEP = 9, 15
"""Distance of the frames of a view's median, and their number."""

SAME = 0.6
"""Minimum share of an image with the structure of its view."""

DIFFERS = 0.5
"""Minimum share of differing pixels in a settled image of another view, also with objects in front."""

GONE, HIDDEN = 0.4, 0.05
"""An image that shows less of the structure of the view than the first, and less than the second in its
colours, is no view with an object before it: the camera, the lens or the light is another one."""

RELIT, CLOSE = 0.2, 0.3
"""Maximum share of pixels in another light, and minimum share of the visible view in its own colours, of an
image of the view in its light."""

SHAKEN = 0.05
"""Maximum shake of a camera at rest, in longer sides."""

FASTEST = 0.08
"""Maximum change of the light per frame that is tracked."""

LIT = 0.1
"""Share of pixels that one gain per colour may leave unexplained."""


@dataclass(slots=True, eq=False)
class _View:
    """A remembered view."""

    frames: deque[UInt8Array]  # reduced to LONG_SIDE
    median: Image  # of these
    newest: Image  # RGB (h, w, 3), small
    since: int = 0  # frames since the last one that was kept


class ViewComparison(Comparison):
    """Comparison of a frame with the median of the current view; both are reduced to :data:`LONG_SIDE`."""

    def __init__(self, small: Image, median: Image) -> None:
        super().__init__(reduced_to(small, LONG_SIDE), median)
        self.small = small

    def has_colours(self) -> bool:
        """Whether half of it has the colours of the view, as a crowd hides a plain square's structure."""
        return share_of(self.distance <= TOUCH) >= 1 - DIFFERS


class Views(Checkpointable):
    """Compares frames with the current view and earlier ones.

    Attributes:
        current: number of the view; None while the camera is not known to rest.
    """

    current: int | None = checkpointed(None)
    _known: dict[int, _View] = checkpointed(dict)  # by number, the one of the last frame last
    _count: int = checkpointed(0)
    _light: Gains = checkpointed(SAME_LIGHT, later=True)  # over that of the median
    state_types = (_View,)

    @property
    def known(self) -> tuple[int, ...]:
        """Numbers of all remembered views."""
        return tuple(self._known)

    def begin(self, small: Image) -> None:
        """Remember a new view. ``small``: RGB (h, w, 3), uint8, reduced to ``VIEW_SIDE``."""
        self.current, self._count = self._count, self._count + 1
        self._light = SAME_LIGHT
        tiny = reduced_to(small, LONG_SIDE)
        self._known[self.current] = _View(deque([tiny], maxlen=KEEP), tiny, small)
        while len(self._known) > MAX_VIEWS:
            del self._known[next(iter(self._known))]

    def learn(self, small: Image) -> None:
        """Add a frame of the current view."""
        view = self._view
        view.since, view.newest = view.since + 1, small
        if view.since >= EVERY:
            view.frames.append(reduced_to(small, LONG_SIDE))
            view.median, view.since = np.asarray(np.median(np.stack(view.frames), axis=0), np.uint8), 0

    def find(self, small: Image) -> bool:
        """Find the remembered view of an image, and make it current."""
        image, likeness_of = reduced_to(small, LONG_SIDE), {}
        for number, view in self._known.items():
            view_images = view.median, reduced_to(view.newest, LONG_SIDE)
            likeness_of[number] = max(_similarity(image, other) for other in view_images)
        best = max(likeness_of, key=lambda number: likeness_of[number], default=None)
        if best is None or likeness_of[best] < SAME:
            return False
        self.current, self._light = best, SAME_LIGHT
        self._known[best] = self._known.pop(best)
        return True

    def compare(self, small: Image) -> ViewComparison:
        """Compare a small image, RGB (h, w, 3), uint8, with the current view."""
        return ViewComparison(small, self._view.median)

    def is_gone(self, comparison: ViewComparison) -> bool:
        """Whether the current view, also shifted, is no longer visible.

        To be asked for each frame: the exposure of a camera, which follows what passes, is followed.
        """
        view, small, lit = self._view, comparison.small, self._in_light_of(comparison)
        share, close = comparison.visible_shares()
        if share >= GONE or close >= HIDDEN or comparison.has_colours():
            return False
        if Comparison(comparison.image, lit).visible_shares()[1] >= HIDDEN:
            return False
        matrix = shift(normalised(view.newest, AROUND), normalised(small, AROUND))
        if np.abs(matrix[:, 2]).max() > SHAKEN * max(small.shape):
            return True
        return ViewComparison(to_reference(small, matrix, small), view.median).visible_shares()[0] < DIFFERS

    def is_visible(self, comparison: ViewComparison) -> bool:
        """Whether an image shows the current view in its light, apart from objects.

        Something large that moves from frame to frame changes as much of the image as a lamp does, but what
        it leaves free is as it was.
        """
        change = comparison.difference()
        visible_share = comparison.visible_shares()[1]
        return change.change is Change.none and change.relit <= RELIT and visible_share >= CLOSE

    def _in_light_of(self, comparison: ViewComparison) -> Image:
        """Median of the current view adapted to the light of an image, unless it jumped."""
        light = np.asarray(self._light)
        self._light = tuple(np.clip(comparison.gains, light * (1 - FASTEST), light * (1 + FASTEST)).tolist())
        return np.asarray(np.clip(np.rint(comparison.other * np.asarray(self._light)), 0, 255), np.uint8)

    def differs(self, comparison: ViewComparison) -> bool:
        """Whether more than half of an image differs from the current view, in any light."""
        change = comparison.difference()
        return not comparison.has_colours() if change.altered > DIFFERS else change.relit > DIFFERS

    @property
    def _view(self) -> _View:
        assert self.current is not None
        return self._known[self.current]


def _similarity(image: Image, other: Image) -> float:
    """Share of two images with equal structure; 0 if no gain matches their light."""
    change = Comparison(image, other).difference()
    return 1 - change.altered if change.relit <= LIT else 0.0
