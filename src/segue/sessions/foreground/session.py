"""Session for foreground segmentation."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
import torch

from segue.entries.detectors import Detector
from segue.errors import ArgumentError, SegueError
from segue.models.base import ForegroundNetwork
from segue.models.geometry import ResizePadGeometry
from segue.models.hofam import HOFAM
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.median import MASK_ABOVE, MaskedMedian
from segue.sessions.foreground.background.quantiles import Scene, resized, same_shape
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from segue.sessions.foreground.box_finder import BoxFinder
from segue.sessions.foreground.camera.changes import Change, is_blank
from segue.sessions.foreground.camera.scene_events import REST, SceneEvents
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.segmenters.base import Segmenter, SegmenterInput
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.sessions.foreground.segmenters.explaining import draw
from segue.sessions.foreground.segmenters.extra_inputs import DepthScale, check_extra, plane_of
from segue.sessions.foreground.segmenters.subtractors import Subtractor
from segue.sessions.foreground.stage_list import followed, stages_for
from segue.sessions.foreground.stages.agreement import Agreement
from segue.sessions.foreground.stages.base import StageList, WorkFrame
from segue.sessions.foreground.stages.entries import checked
from segue.sessions.session import ExplainedSession, one_thread_at_a_time
from segue.state import SessionState, checkpointed
from segue.types import FollowCamera, Frame, Image, Segmentation
from segue.utils.arrays import BoolArray
from segue.utils.keywords import suggests_names
from segue.utils.notices import warn_caller
from segue.weights.prepared import Prepared

SHORT_SIDE = 240
"""Short side in pixels to which frames are reduced, near the training size of the networks."""

DECISIONS = {Change.scene: "cut", Change.back: "back", Change.light: "light", Change.none: ""}
"""Names of changes in the log and in explanations."""

_GROW = np.ones((9, 9), np.uint8)

_LOGGER = logging.getLogger("segue")


class ForegroundWarning(UserWarning):
    """The frame size changed, or camera motion is compensated from now on."""


class ForegroundSession(ExplainedSession):
    """Segments the foreground frame by frame.

    Frames are resized to the working size and pass through the stages of the model, see
    :mod:`.stage_list`. The session updates the background. The first frame of a scene is its initial
    background and has no foreground.

    Args:
        model: name for :func:`segue.load`; a foreground network; a shared network from
            ``segue.load(name, device="cpu")``; or a classical segmenter.
        background: background model; by default a :class:`MaskedMedian`. Each session needs a separate one.
        masks: converts probabilities to masks; each session needs a separate one.
        short_side: larger frames are resized to this short side; None keeps their size.
        without: names of stages to remove, such as ``["align", "rain"]``.
        stages: further stages by name, such as those of plug-ins.
        follow_camera: for networks, when to compensate camera motion: ``always``, ``auto`` during pans, or
            ``never``; None is never.
        warm_up: number of frames of each scene with empty masks while the background is learnt.
        detector: for the stage ``agreement``: name of a detector that knows classes, or one whose objects
            have boxes; None removes the stage.
        detector_classes: classes that this detector looks for; None is people, vehicles, boats and animals.
        device: None selects a GPU if there is one; for networks.
        fast: half precision or 8-bit integers if they are faster on the device; for networks.

    Example:
        >>> session = ForegroundSession("mustan-lite")
        >>> for frame in segue.open_source("camera.mp4"):
        ...     result = session.step(frame)
    """

    finds, resizes = "foreground is", True
    _background: Background = checkpointed()
    _masks: ForegroundMasks = checkpointed()
    _stages: StageList = checkpointed()
    _events: SceneEvents = checkpointed()
    _depth_scale: DepthScale = checkpointed()
    _geometry: ResizePadGeometry | None = checkpointed(None)
    _frames: deque[WorkFrame] = checkpointed()  # that wait, and those before them in their context
    _num_segmented: int = checkpointed(0)  # the first ones: have been segmented ...
    _num_emitted: int = checkpointed(0)  # ... and have a result
    _hidden: BoolArray | None = checkpointed(None)
    _completed: int = checkpointed(0)
    _settling: deque[Image] = checkpointed()  # the last frames of a change
    _decision: str = checkpointed("")  # on the last frame
    _is_unknown: bool = checkpointed(False, later=True)  # the scene, on the last frame
    _num_blank: int = checkpointed(REST, later=True)  # frames of one colour since the last other one
    state_types = (WorkFrame, SegmenterInput, ResizePadGeometry)

    @suggests_names
    def __init__(
        self,
        model: str | ForegroundNetwork | HOFAM | Prepared[ForegroundNetwork] | Segmenter,
        *,
        background: Background | None = None,
        masks: ForegroundMasks | None = None,
        short_side: int | None = SHORT_SIDE,
        without: Collection[str] = (),
        stages: Collection[str] = (),
        follow_camera: FollowCamera | None = None,
        warm_up: int = 0,
        detector: str | Detector | None = "nanodet",
        detector_classes: Collection[str] | None = None,
        device: str | int | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        if warm_up < 0 or (short_side is not None and short_side < 1):
            raise ArgumentError(f"warm_up is {warm_up} and short_side {short_side}: give no negative numbers")
        self._segmenter = foreground_segmenter(model, device=device, fast=fast)
        self.precision = self._segmenter.precision
        self._background = background or MaskedMedian()
        self._masks = masks or ForegroundMasks()
        self._masks.set_default_threshold(self._segmenter.threshold)
        self._short_side, self._warm_up = short_side, warm_up
        self._box_finder: BoxFinder | None = None
        if detector is None:
            without = {*checked(without), Agreement.name}
        self._stages = stages_for(self._segmenter, self._background, follow_camera, without, stages)
        if detector is not None and Agreement.name in self._stages.names:
            self._box_finder = BoxFinder(detector, detector_classes, device=device, fast=fast)
        follow = followed(follow_camera, without)
        self._events, self._depth_scale = SceneEvents(follow), DepthScale()
        self._learns = self._segmenter.uses_background and follow in ("never", "auto")
        offsets = 0, *self._segmenter.offsets
        self._ahead, self._past = max(offsets), -min(offsets)
        self.lag = max(self._ahead, self._stages.ahead) + self._stages.lag
        self.reset()

    @one_thread_at_a_time
    def reset(self) -> None:
        super().reset()
        self._frames, self._settling = deque(), deque(maxlen=REST - 1)
        self._num_blank = REST
        self._masks.reset()
        self._events.restart()
        self._background.restart()
        self._begin_scene()

    @property
    def restorable(self) -> bool:
        """Whether :meth:`state` is available; OpenCV's subtractors do not expose their state."""
        return self._segmenter.restorable

    @property
    def is_blind(self) -> bool:
        """Whether the background of the last frame is unknown.

        The image changes as a whole, the camera pans, or the scene begins and is not known yet.
        """
        is_blank = 0 < self._num_blank < self._events.rest
        return self._events.changes or self._events.pans or self._is_unknown or is_blank

    @property
    def detector_classes(self) -> frozenset[str] | None:
        """Classes that the detector looks for; None without one."""
        return None if self._box_finder is None else self._box_finder.classes

    @property
    def camera_motion(self) -> tuple[float, float]:
        """Motion of a panning camera to the last frame.

        To the right and down, in parts of the longer side; zeros if the camera does not pan.
        """
        return self._events.step.way() if self._events.pans else (0.0, 0.0)

    @property
    def background(self) -> Image | None:
        """Background image at the working size, RGB (h, w, 3), uint8; None if unavailable."""
        if isinstance(self._segmenter, Subtractor):
            return self._segmenter.scene
        return self._background.image if self._learns else None

    @property
    def scenes(self) -> VideoScenes | None:
        """Background model for saving; None without a background image."""
        image, background = self.background, self._background
        if image is None:
            return None
        if isinstance(background, LearntBackground):
            return background.scenes
        return VideoScenes.of(background.scene or Scene.of(image))

    @one_thread_at_a_time
    def state(self, *, copy: bool = True) -> SessionState:
        """See :meth:`Session.state`; due results keep masks only. Requires :attr:`restorable`."""
        if not self.restorable:
            raise SegueError(f"{self._segmenter.name} cannot be saved")
        return super().state(copy=copy)

    def _forms(self) -> dict[str, Any]:
        return dict(self._segmenter.forms)

    def _config_fingerprint(self) -> dict[str, Any]:
        return {
            "model": self._segmenter.name,
            "weights": self._segmenter.fingerprint,
            "stages": self._stages.names,
            "short_side": self._short_side,
            "warm_up": self._warm_up,
            "objects": self._masks.objects,
            **({} if self._box_finder is None else {"detector": self._box_finder.config}),
        }

    def _prepare(self, frame: Frame) -> None:
        check_extra(frame, self._segmenter.extra, self._segmenter.name)
        if self._geometry is None or self._geometry.image != frame.size:
            self._masks.check(frame.size)
            self._background.check(frame.size)

    def _take(self, frame: Frame, prepared: None) -> None:
        if self._geometry is None or self._geometry.image != frame.size:
            self._geometry = self._resize(frame)
        image = np.array(self._geometry.to_network(frame.image))  # the caller may fill one array again
        self._num_blank = min(self._num_blank + 1, REST) if is_blank(image) else 0
        # Few frames of one colour among others tell nothing of the scene.
        if 0 < self._num_blank < self._events.rest:
            self._forget_context()
            self._give_empty(self._masks.out_of_sight(frame.index, frame.time, frame.size), image)
            return
        self._detect_change(frame, image)
        is_known = self._completed > 0 or (self._learns and self._background.image is not None)
        self._is_unknown = not is_known or self._completed < self._warm_up
        if self._events.changes:
            self._settling.append(image)
            self._give_empty(self._masks.nothing(frame.index, frame.time, frame.size), image)
            return
        segmenter_input = SegmenterInput(image)
        if self._segmenter.extra is not None:
            segmenter_input.plane = plane_of(frame, image.shape[:2], self._depth_scale)
        work = WorkFrame(
            frame.index,
            frame.time,
            frame.size,
            image,
            segmenter_input,
            pans=self._events.pans,
            decision=self._decision,
            hidden=self._hidden,
            step=self._events.step,
        )
        if self._box_finder is not None:
            work.find_boxes = cache(partial(self._box_finder.find, frame.image, image.shape[:2]))
        for hook in self._stages.on_frame:
            hook(work, self._background)
        self._frames.append(work)
        self._advance(max(self._ahead, self._stages.ahead if work.pans else 0))
        work.find_boxes = None  # holds the frame at its full size; a result that is not due yet has no boxes

    def _end(self) -> None:
        self._advance(complete=True)

    def _give_empty(self, result: Segmentation, image: Image) -> None:
        """Empty result of a frame that is blank or changes as a whole."""
        strip = None
        if self._explains:
            strip = draw(image, None, np.zeros(image.shape[:2], np.float32), [[]], self._decision)
        self._due.append((result, strip))

    def _resize(self, frame: Frame) -> ResizePadGeometry:
        """Adapt to another frame size; background and objects stay if the aspect is the same."""
        geometry, image = ResizePadGeometry.of(frame.size, self._short_side, 1), self._background.image
        previous_size = frame.size if self._geometry is None else self._geometry.image
        retained_background = image if same_shape(frame.size, previous_size) else None
        if previous_size != frame.size:
            (height, width), (rows, columns) = frame.size, previous_size
            message = (
                f"frame {frame.index} is {width}x{height}, the frames before it are {columns}x{rows}; "
                f"the background is {'learnt anew' if retained_background is None else 'kept'}"
            )
            warn_caller(message, ForegroundWarning)
        # Frames that wait need the background and the objects at their own size.
        self._forget_context()
        if retained_background is not None:
            self._masks.fit(frame.size)
            if self._geometry is not None and self._geometry.working == geometry.working:
                return geometry
        self._begin_scene(keeps_objects=retained_background is not None)
        self._background.fit(geometry.working)
        if retained_background is not None:
            self._background.replace(resized(retained_background, geometry.working))
        return geometry

    def _detect_change(self, frame: Frame, image: Image) -> None:
        """Handle changes of the whole image; scenes end and begin."""
        panned, changed, previous_decision = self._events.pans, self._events.changes, self._decision
        known_event = None
        if isinstance(self._background, LearntBackground):
            # Frames that wait belong to the scene before.
            known_event = self._background.seek(frame.index, self._advance)
        event, view = (
            self._events.update(image, self._background.image, known_event, time=frame.time),
            self._events.views.current,
        )
        if self._events.changes and not changed:
            self._forget_context()
        if event is Change.light:
            self._forget_context()
            for stage in self._stages:
                stage.reset(event)
            if not self._segmenter.uses_background:
                self._segmenter.restart()
        elif event is not Change.none:
            self._begin_scene(event, view)
        if self._events.pans and not panned and self._completed and "follow" in self._stages.names:
            message = f"frame {frame.index}: the camera pans and is followed from here on"
            warn_caller(message, ForegroundWarning)
        self._background.observe(frame.index, image, event, self._events)
        if self._events.changes:
            self._decision = "change"
        elif self._events.pans:
            self._decision = "pan"
        else:
            self._decision = "rest" if previous_decision == "pan" else DECISIONS[event]
        if self._decision not in ("", previous_decision) and not self._background.collects:
            _LOGGER.info("frame %d: %s", frame.index, self._decision)

    def _forget_context(self) -> None:
        """Complete all frames, so that later ones do not use them as context."""
        self._advance(complete=True)
        self._frames.clear()
        self._num_segmented = self._num_emitted = 0

    def _begin_scene(
        self, event: Change = Change.scene, view: int | None = None, *, keeps_objects: bool = False
    ) -> None:
        """Complete the current scene, and begin one, whose view may be known."""
        self._forget_context()
        if not keeps_objects:
            self._masks.restart()
        self._segmenter.restart()
        settling = self._settling if view is not None else ()
        self._background.enter(view, self._events.views.known, list(settling)[:: -(-len(settling) // 2) or 1])
        self._settling.clear()
        for stage in self._stages:
            stage.reset(event)
        self._depth_scale.restart()
        self._hidden, self._completed = None, 0

    def _advance(self, ahead: int = 0, *, complete: bool = False) -> None:
        """Segment all frames but the last ``ahead``, and compute the due results, or all."""
        while self._num_segmented < len(self._frames) - ahead:
            self._decode(self._num_segmented)
            self._num_segmented += 1
            self._make_results(self._num_segmented - self._stages.lag)
        if complete:
            self._make_results(self._num_segmented)
        while self._num_emitted and self._num_segmented > self._past:
            self._frames.popleft()
            self._num_emitted -= 1
            self._num_segmented -= 1

    def _decode(self, place: int) -> None:
        """Segment a frame and update the background."""
        frame, background, last = self._frames[place], self._background, len(self._frames) - 1
        frame.scene = background.scene or Scene.of(frame.image, 1)
        frame.context = {
            offset: self._frames[min(max(place + offset, 0), last)].input
            for offset in self._segmenter.offsets
        }
        frame.input.recurrence = partial(background.recurrence, frame.image)
        for hook in self._stages.before_segment:
            hook(frame, background)
        frame.maps = self._segmenter.step(frame.input, frame.context, frame.scene)
        for hook in self._stages.after_segment:
            hook(frame, background)
        if self._explains:
            visible_scene = background.scene or Scene.of(frame.image, 1) if self._learns else None
            rows = self._segmenter.explanation()
            frame.explanation = draw(frame.image, visible_scene, frame.foreground, rows, frame.decision)
        mask = (frame.foreground if frame.learned is None else frame.learned) > MASK_ABOVE
        self._hidden = np.asarray(cv2.dilate(mask.view(np.uint8), _GROW) > 0)
        if self._learns and not frame.pans:
            background.learn(frame.image, mask)
        self._completed += 1
        frame.empty = self._completed <= self._warm_up
        frame.context, frame.scene, frame.input.recurrence = {}, None, None
        if place >= self._past:  # no later frame has it in its context
            self._frames[place - self._past].input.features.clear()

    def _make_results(self, until: int) -> None:
        """Compute the results of the first frames up to an index."""
        while self._num_emitted < until:
            frame = self._frames[self._num_emitted]
            for hook in self._stages.postprocess:
                hook(frame, self._background)
            assert frame.maps is not None
            frame_values = frame.index, frame.time, frame.size
            result = (
                self._masks.nothing(*frame_values)
                if frame.empty
                else self._masks.result(*frame_values, frame.maps, frame.image, frame.find_boxes)
            )
            self._due.append((result, frame.explanation))
            frame.maps = frame.explanation = None  # the frame may stay as context
            self._num_emitted += 1
