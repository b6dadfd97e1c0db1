"""The size at which a foreground session works, by that of the frames."""

from __future__ import annotations

import warnings

import numpy as np

from segue.models.geometry import ResizePadGeometry
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.changes import difference, reduced
from segue.sessions.empty_scene import resized, same_shape
from segue.sessions.stages import Change
from segue.types import Frame, Image


class ForegroundWarning(UserWarning):
    """The frames changed their size, or the camera is followed from now on."""


class WorkingSize(Checkpointable):
    """Reduces frames to a short side."""

    _geometry: ResizePadGeometry | None = checkpointed(None)
    state_types = (ResizePadGeometry,)
    reset = Checkpointable.restart

    def __init__(self, short_side: int | None) -> None:
        self._short_side = short_side
        self.reset()

    def fits(self, frame: Frame) -> bool:
        """Whether a frame has the size of those before it."""
        return self._geometry is not None and self._geometry.image == frame.size

    def change(self, frame: Frame, image: Image | None) -> Image | None:
        """Take frames of another size; the empty scene at the new one, if the frame shows the same scene."""
        before = None if self._geometry is None else self._geometry.image
        self._geometry = ResizePadGeometry.of(frame.size, self._short_side, 1)
        if before is None:
            return None
        kept = image is not None and same_shape(frame.size, before)
        if image is not None and kept:
            change = difference(reduced(frame.image), reduced(resized(image, frame.size)))
            kept = change is not Change.scene
        (height, width), (rows, columns) = frame.size, before
        message = (
            f"frame {frame.index} is {width}x{height}, the frames before it are {columns}x{rows}; "
            f"the background is {'kept' if kept else 'learnt anew'}"
        )
        warnings.warn(message, ForegroundWarning, stacklevel=6)
        return resized(image, self.size) if image is not None and kept else None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of reduced frames."""
        assert self._geometry is not None
        return self._geometry.working

    def reduced(self, image: Image) -> Image:
        """A copy of a frame, (H, W, 3), at the working size: the caller may fill one array again."""
        assert self._geometry is not None
        return np.array(self._geometry.to_network(image))
