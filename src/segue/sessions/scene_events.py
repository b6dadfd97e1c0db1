"""Tell what happens to the image as a whole: cuts, light, a camera that pans."""

from __future__ import annotations

from segue.sessions.backgrounds import Background
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.changes import SceneChangeDetector, is_shown
from segue.sessions.panning import PanDetector
from segue.sessions.stages import Change
from segue.types import FollowCamera, Image


class SceneEvents(Checkpointable):
    """Gives the event of each frame; ``pans`` tells whether the camera pans and is followed there."""

    _changes: SceneChangeDetector = checkpointed(SceneChangeDetector)
    _pan: PanDetector = checkpointed(PanDetector)
    pans: bool = checkpointed(False)

    def __init__(self, follow: FollowCamera = "never") -> None:
        super().__init__()
        self._follow = follow

    def look(self, image: Image, background: Background, known: Change | None) -> Change:
        """Take the next frame, RGB (h, w, 3), uint8, as it was taken, and tell what happens on it.

        ``known``: what is known to happen, None where nothing is known.
        """
        pans = self._follow == "always" or background.pans
        pans = pans or (self._follow == "auto" and self._pan.look(image))
        event = self._event(self._changes.look(image), image, background, known, pans=pans)
        if event is not Change.none and self._follow == "auto":
            self._pan.restart()
            pans = self._pan.look(image)
        self.pans = pans
        return event

    def _event(
        self, seen: Change, image: Image, background: Background, known: Change | None, *, pans: bool
    ) -> Change:
        if self.pans and not pans:  # what was known before the camera panned lies elsewhere
            return Change.scene
        if known in (Change.scene, Change.light):
            return known
        if pans or known is not None:
            return Change.none
        return Change.none if seen is Change.scene and is_shown(background.image, image) else seen
