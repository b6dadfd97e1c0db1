"""The interface of the stages around a segmenter, and the frame that passes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.camera.step import CameraStep
from segue.sessions.foreground.segmenters.base import SegmenterInput
from segue.state import Checkpointable
from segue.types import Box, Image
from segue.utils.arrays import BoolArray, Float32Array


@dataclass(slots=True, eq=False)
class WorkFrame:
    """A frame in a session; fields that are not compared are valid for one step only."""

    index: int  # in the source
    time: float  # in seconds
    size: tuple[int, int]  # height and width of the frame
    image: Image  # RGB (h, w, 3), uint8, at the working size, aligned, without rain
    input: SegmenterInput  # what the segmenter sees of it
    matrix: Float32Array | None = None  # from the reference to the frame, (2, 3)
    pans: bool = False  # the camera pans and is followed
    empty: bool = False  # the mask stays empty: the session warms up
    maps: Float32Array | None = None  # probabilities (C, h, w), foreground first
    explanation: Image | None = None  # explanation of the result
    decision: str = ""  # about the image as a whole, in one word
    hidden: BoolArray | None = None  # by objects on the frame before
    boxes: tuple[Box, ...] | None = None  # of detected objects, at the working size; None: nobody looked
    detection_interval: int = 0  # frames since the last look of the detector
    find_boxes: Callable[[], tuple[Box, ...]] | None = field(default=None, compare=False)
    """Runs the session's detector on the original frame; available within :meth:`Stage.on_frame`."""
    step: CameraStep = field(
        default_factory=CameraStep, compare=False
    )  # of the camera, from the frame before
    scene: Scene | None = field(default=None, compare=False)  # background as the segmenter compares it
    context: Mapping[int, SegmenterInput] = field(default_factory=dict, compare=False)
    learned: Float32Array | None = field(default=None, compare=False)  # not to be learnt

    def replace_image(self, image: Image) -> None:
        """Change the image, for the segmenter as well."""
        self.image = self.input.image = image

    @property
    def foreground(self) -> Float32Array:
        """Probability of foreground, (h, w), after the segmenter."""
        assert self.maps is not None
        foreground: Float32Array = self.maps[0]
        return foreground

    @foreground.setter
    def foreground(self, values: Float32Array) -> None:
        assert self.maps is not None
        self.maps[0] = values


class Stage(Checkpointable):
    """Base class of a processing step before or after a segmenter; subclasses override some hooks.

    Stages form an onion: the first one in the list sees a frame first on its way to the segmenter, and its
    probabilities last on their way out.

    Attributes:
        name: name for ``without``.
        lag: frames after a frame that :meth:`postprocess` needs to have been done.
        ahead: frames after a frame that :meth:`before_segment` needs while the camera pans.
    """

    name: ClassVar[str]
    lag: int = 0
    ahead: int = 0

    def reset(self, event: Change) -> None:
        """Forget the scene, or recent frames only if the light changed; by default everything.

        ``event``: never ``none``; for ``back``, the learnt background is already in place.
        """
        self.restart()

    def on_frame(self, frame: WorkFrame, background: Background) -> None:
        """Process the next frame; its image may be changed."""

    def before_segment(self, frame: WorkFrame, background: Background) -> None:
        """Prepare a frame for the segmenter: scene, contrast, context."""

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        """Change the probabilities of a frame before the background learns from it."""

    def postprocess(self, frame: WorkFrame, background: Background) -> None:
        """Change the probabilities of a frame before its mask is made, ``lag`` frames later."""


class StageList(list[Stage]):
    """The stages of a session, outermost first, and the hooks that they define.

    Attributes:
        on_frame, before_segment: hooks in the order of the stages.
        after_segment, postprocess: hooks in the opposite order.
    """

    def __init__(self, stages: Iterable[Stage] = ()) -> None:
        super().__init__(stages)
        self.names = [stage.name for stage in self]
        self.lag = max((stage.lag for stage in self), default=0)
        self.ahead = max((stage.ahead for stage in self), default=0)
        self.on_frame = [stage.on_frame for stage in self._with("on_frame")]
        self.before_segment = [stage.before_segment for stage in self._with("before_segment")]
        self.after_segment = [stage.after_segment for stage in reversed(self._with("after_segment"))]
        self.postprocess = [stage.postprocess for stage in reversed(self._with("postprocess"))]

    def _with(self, hook: str) -> list[Stage]:
        return [stage for stage in self if getattr(type(stage), hook) is not getattr(Stage, hook)]
