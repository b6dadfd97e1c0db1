"""Notice that the background is wrong: most of the picture is foreground for several frames."""

from __future__ import annotations

from segue.sessions.backgrounds import Background
from segue.sessions.base import checkpointed
from segue.sessions.changes import is_shown
from segue.sessions.stages import Change, Stage, WorkFrame

FLOOD = 0.7  # foreground on more than this share of the picture ...
FLOOD_FRAMES = 5  # ... for so many frames means that the background is wrong
SWEEPS = 0.2  # what fills the picture moves if from one frame to the next this share of it changes


class Flood(Stage):
    """Begins the background anew where most of the picture is foreground and does not move."""

    name = "flood"
    _frames: int = checkpointed()

    def __init__(self) -> None:
        self.reset(Change.scene)

    def reset(self, event: Change) -> None:
        if event is Change.scene:
            self._frames = 0

    def result(self, frame: WorkFrame, background: Background) -> None:
        flooded = frame.mask is not None and float(frame.mask.mean()) > FLOOD
        if flooded and frame.moving > SWEEPS:
            flooded = background.scene is None or not is_shown(background.scene.picture, frame.image)
        self._frames = self._frames + 1 if flooded else 0
        if self._frames >= FLOOD_FRAMES:
            self._frames, frame.relearn = 0, True
            background.replace(frame.image, trusted=False)
