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
    """A frame on its way through a session; what does not compare is needed within one step only.

    Attributes:
        index: index in the source.
        time: time stamp in seconds.
        size: height and width of the frame.
        image: RGB (h, w, 3), uint8, at the working size, aligned, without rain.
        plane: depth or flow at the working size, if the frame brings it.
        matrix: from the reference to the frame, (2, 3); None where both are the same.
        pans: whether the camera pans and is followed.
        known: whether the foreground is known from a pass before.
        empty: whether the mask stays empty, because the session warms up.
        maps: probabilities (C, h, w), float32, foreground first; None before the network has seen the frame.
        picture: explanation of the result, if it is kept.
        event: what happened to the image as a whole.
        moving: share of the image that is not as on the frame before.
        hidden: where objects were on the last frame that was done, grown, (h, w).
        scene: the empty scene as the network compares the frame with it.
        tone: contrast in which the network sees the frame and those beside it.
        context: frames beside it by their distance, brought onto it; None takes them as they are.
        learned: probability of pixels that the background must not learn, (h, w); None takes ``maps``.
    """

    index: int
    time: float
    size: tuple[int, int]
    image: Image
    plane: UInt8Array | None = None
    matrix: npt.NDArray[np.float32] | None = None
    pans: bool = False
    known: bool = False
    empty: bool = False
    maps: Float32Array | None = None
    picture: Image | None = None
    event: Change = field(default=Change.none, compare=False)
    moving: float = field(default=0.0, compare=False)
    hidden: BoolArray | None = field(default=None, compare=False)
    scene: Scene | None = field(default=None, compare=False)
    tone: Tone | None = field(default=None, compare=False)
    context: Mapping[int, Image] | None = field(default=None, compare=False)
    learned: Float32Array | None = field(default=None, compare=False)

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
