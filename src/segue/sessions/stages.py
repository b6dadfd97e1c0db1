"""The interface of the stages around a segmenter, and the frame that passes through them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, Float32Array, UInt8Array
from segue.errors import ResumeError
from segue.sessions.base import Checkpointable, SessionState
from segue.types import Image

if TYPE_CHECKING:
    from segue.sessions.backgrounds import Background
    from segue.sessions.contrast import Tone
    from segue.sessions.empty_scene import Scene


class Change(Enum):
    """Global change since the previous frame."""

    none = "none"
    pause = "pause"
    light = "light"
    scene = "scene"


@dataclass(slots=True, eq=False)
class WorkFrame:
    """A frame on its way through a session; what does not compare is needed within one step only."""

    index: int  # in the source
    time: float  # in seconds
    size: tuple[int, int]  # height and width of the frame
    image: Image  # RGB (h, w, 3), uint8, at the working size, aligned, without rain
    plane: UInt8Array | None = None  # depth or flow at the working size, if the frame brings it
    matrix: npt.NDArray[np.float32] | None = None  # from the reference to the frame, (2, 3)
    pans: bool = False  # the camera pans and is followed
    known: bool = False  # the foreground is known from a pass before
    empty: bool = False  # the mask stays empty: the session warms up
    maps: Float32Array | None = None  # probabilities (C, h, w), foreground first
    picture: Image | None = None  # explanation of the result
    event: Change = field(default=Change.none, compare=False)  # of the image as a whole
    moving: float = field(default=0.0, compare=False)  # share of the image that changed
    hidden: BoolArray | None = field(default=None, compare=False)  # by objects on the frame before
    scene: Scene | None = field(default=None, compare=False)  # as the network compares it
    tone: Tone | None = field(default=None, compare=False)  # contrast for the network
    context: Mapping[int, Image] | None = field(default=None, compare=False)  # None: as they are
    learned: Float32Array | None = field(default=None, compare=False)  # not to be learnt

    @property
    def foreground(self) -> Float32Array:
        """Probability of foreground, (h, w), once the network has seen the frame."""
        assert self.maps is not None
        foreground: Float32Array = self.maps[0]
        return foreground

    @foreground.setter
    def foreground(self, values: Float32Array) -> None:
        assert self.maps is not None
        self.maps[0] = values

    @property
    def adapted(self) -> dict[str, Any]:
        """Extra network inputs of the frame, as keywords of a segmenter."""
        given = {"tone": self.tone, "context": self.context}
        return {name: value for name, value in given.items() if value is not None}


class Stage(Checkpointable):
    """One rule around a segmenter: a class derives from this one and says only what it does.

    Stages form an onion: the first one in the list sees a frame first on its way to the network, and its
    probabilities last on their way out.

    Attributes:
        name: what ``without`` calls it.
        lag: frames after a frame that :meth:`result` needs to have been done.
    """

    name: ClassVar[str]
    lag: ClassVar[int] = 0

    def reset(self, event: Change) -> None:
        """Forget the scene, or after a pause or another light what must be close in time."""

    def arrive(self, frame: WorkFrame, background: Background) -> None:
        """Take the next frame; its image may be changed."""

    def before(self, frame: WorkFrame, background: Background) -> None:
        """Prepare a frame right before the network decodes it: scene, contrast, context."""

    def after(self, frame: WorkFrame, background: Background) -> None:
        """Change the probabilities of a frame before the background learns from it."""

    def result(self, frame: WorkFrame, background: Background) -> None:
        """Change the probabilities of a frame before its mask is made, ``lag`` frames later."""


class StageList:
    """The stages of a session, whose states are saved by name."""

    def __init__(self, stages: Iterable[Stage] = ()) -> None:
        self._stages = {stage.name: stage for stage in stages}
        self.lag = max((stage.lag for stage in self), default=0)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._stages.values())

    @property
    def names(self) -> list[str]:
        """Names in the order of the list."""
        return [*self._stages]

    def reset(self, event: Change) -> None:
        """Tell all stages."""
        for stage in self:
            stage.reset(event)

    def arrive(self, frame: WorkFrame, background: Background) -> None:
        """Show all stages the next frame, the outermost first."""
        for stage in self:
            stage.arrive(frame, background)

    def before(self, frame: WorkFrame, background: Background) -> None:
        """Have all stages prepare a frame for the network, the outermost first."""
        for stage in self:
            stage.before(frame, background)

    def after(self, frame: WorkFrame, background: Background) -> None:
        """Have all stages change the probabilities of a frame, the outermost last."""
        for stage in reversed(self._stages.values()):
            stage.after(frame, background)

    def result(self, frame: WorkFrame, background: Background) -> None:
        """Have all stages change the result of a frame, the outermost last."""
        for stage in reversed(self._stages.values()):
            stage.result(frame, background)

    def state(self, *, copy: bool = True) -> SessionState:
        """States of all stages by name."""
        return SessionState.joined({stage.name: stage.state(copy=copy) for stage in self}, {})

    def restore(self, state: SessionState) -> None:
        """Go on from a state; it must be of the same stages."""
        saved = state.values["parts"]
        if set(saved) != set(self.names):
            raise ResumeError(f"the session was saved with the stages {', '.join(saved)}")
        for stage in self:
            stage.restore(state.part(stage.name))
