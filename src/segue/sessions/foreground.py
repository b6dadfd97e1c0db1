"""Segment what moves or does not belong to the scene."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import nn

from segue.arrays import BoolArray
from segue.errors import ArgumentError
from segue.models.base import ForegroundNetwork
from segue.sessions.background import MASK_ABOVE, MaskedMedian
from segue.sessions.backgrounds import Background
from segue.sessions.base import SessionState, checkpointed
from segue.sessions.empty_scene import Scene
from segue.sessions.explaining import draw
from segue.sessions.extra_inputs import DepthScale, check_extra, plane_of
from segue.sessions.film_scenes import FilmScenes, LearntBackground
from segue.sessions.foreground_masks import ForegroundMasks
from segue.sessions.networks import foreground_model
from segue.sessions.scene_events import SceneEvents
from segue.sessions.segmenters import Maps, NetworkSegmenter, Segmenter
from segue.sessions.session import ExplainedSession
from segue.sessions.stage_list import checked, followed, stages_for
from segue.sessions.stages import Change, StageList, WorkFrame
from segue.sessions.subtractors import Subtractor
from segue.sessions.working_size import ForegroundWarning as ForegroundWarning
from segue.sessions.working_size import WorkingSize
from segue.types import FollowCamera, Frame, Image

SHORT_SIDE = 240  # frames are reduced to this short side, near the size that the networks were trained at

_GROW = np.ones((9, 9), np.uint8)


class ForegroundSession(ExplainedSession):
    """Gives the foreground of each frame; frames go in one by one.

    Frames are reduced to the working size and pass through the stages of the model, see
    :mod:`segue.sessions.stage_list`; the background is kept up to date. The first frame of a scene is its
    first background, so nothing is foreground there.

    Args:
        model: name for :func:`segue.load`, a foreground network in evaluation mode, or a classical segmenter.
        background: what gives the image of the empty scene; by default a :class:`MaskedMedian`. A session
            needs one of its own.
        masks: how masks are made of probabilities; a session needs one of its own.
        short_side: larger frames are reduced to this short side; None never reduces.
        without: names of stages to leave out, such as ``["align", "rain"]``.
        follow_camera: for networks, how a moving camera is followed: ``features`` or ``ecc`` always, ``auto``
            while it pans; None never.
        warm_up: frames of each scene whose masks are empty while the background is learnt.
        device: None takes a GPU if there is one; for networks.
        fast: bfloat16 on GPUs and processors that are faster with it; for networks.

    Example:
        >>> session = ForegroundSession("mustan-lite")
        >>> for frame in segue.open_source("camera.mp4"):
        ...     result = session.step(frame)
    """

    finds, resizes = "foreground is", True
    _segmenter: Segmenter = checkpointed()
    _background: Background = checkpointed()
    _masks: ForegroundMasks = checkpointed()
    _stages: StageList = checkpointed()
    _events: SceneEvents = checkpointed()
    _depth_scale: DepthScale = checkpointed()
    _working: WorkingSize = checkpointed()
    _waiting: deque[WorkFrame] = checkpointed()  # for the network ...
    _decoded: deque[WorkFrame] = checkpointed()  # ... and then for the frames after them
    _hidden: BoolArray | None = checkpointed()
    _completed: int = checkpointed()
    state_types = (WorkFrame,)

    def __init__(
        self,
        model: str | ForegroundNetwork | Segmenter,
        *,
        background: Background | None = None,
        masks: ForegroundMasks | None = None,
        short_side: int | None = SHORT_SIDE,
        without: Collection[str] = (),
        follow_camera: FollowCamera | None = None,
        warm_up: int = 0,
        device: str | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        if warm_up < 0 or (short_side is not None and short_side < 1):
            raise ArgumentError(f"warm_up is {warm_up} and short_side {short_side}: give no negative numbers")
        self._segmenter = as_segmenter(foreground_model(model), device=device, fast=fast)
        self._background = background or MaskedMedian()
        self._masks = masks or ForegroundMasks()
        self._masks.settle(self._segmenter.threshold)
        self._working, self._short_side, self._warm_up = WorkingSize(short_side), short_side, warm_up
        self._stages = stages_for(self._segmenter, self._background, follow_camera, without)
        follow = followed(follow_camera, checked(without))
        self._events, self._depth_scale = SceneEvents(follow), DepthScale()
        self._learns = self._segmenter.uses_background and follow != "always"
        self.lag = self._segmenter.lag + self._stages.lag
        self.reset()

    def reset(self) -> None:
        super().reset()
        self._working.reset()
        self._waiting, self._decoded = deque(), deque()
        self._masks.reset()
        self._events.restart()
        self._begin_scene()

    @property
    def restorable(self) -> bool:
        """Whether :meth:`state` can be called; OpenCV's subtractors do not tell what they know."""
        return self._segmenter.restorable and self._background.restorable

    @property
    def background(self) -> Image | None:
        """The empty scene at the working size, RGB (h, w, 3), uint8; None if there is no such image."""
        if isinstance(self._segmenter, Subtractor):
            return self._segmenter.scene
        return self._background.picture if self._learns else None

    @property
    def scenes(self) -> FilmScenes | None:
        """All that is known of the empty scene, to be saved; None if there is no such image."""
        picture, background = self.background, self._background
        if picture is None:
            return None
        if isinstance(background, LearntBackground):
            return background.scenes
        return FilmScenes.of(background.scene or Scene.of(picture))

    def explain(self) -> None:
        """Keep with each result from now on what it was made of, for :attr:`explanation`.

        That is one image at the working size, RGB (rows h, n w, 3): the frame; the empty scene, its low and
        its high quantile, all of what was background; the maps of the context at each scale, for networks
        that tell them; probability of foreground. For networks that look at flow three further rows: flow by
        the colour wheel, filtered flow and its attention at each scale, see
        :func:`segue.sessions.explaining.draw`.
        """
        super().explain()
        self._segmenter.explains = True

    def state(self, *, copy: bool = True) -> SessionState:
        """As :meth:`Session.state`, due results with masks alone; only if :attr:`restorable`."""
        return super().state()  # a segmenter of somebody else knows no copy

    def _config_fingerprint(self) -> dict[str, Any]:
        return {
            "model": self._segmenter.name,
            "stages": self._stages.names,
            "short_side": self._short_side,
            "warm_up": self._warm_up,
            "objects": self._masks.objects,
        }

    def _take(self, frame: Frame) -> None:
        check_extra(frame, self._segmenter.extra, self._segmenter.name)
        image = self._reduced(frame)
        if self._background.begins(frame.index):  # frames that wait belong to the scene before
            self._drain()
        event = self._seen(frame, image)
        plane = plane_of(frame, self._working.size, self._depth_scale)
        work = WorkFrame(frame.index, frame.time, frame.size, image, plane, pans=self._events.pans)
        work.event, work.moving, work.hidden = event, self._events.moving, self._hidden
        self._stages.arrive(work, self._background)
        self._waiting.append(work)
        step = self._segmenter.step
        self._decode(lambda scene, **adapted: step(work.image, scene, work.plane, **adapted))
        self._finish(keep=self._stages.lag)

    def _end(self) -> None:
        self._drain()
        self._finish()

    def _reduced(self, frame: Frame) -> Image:
        """A frame at the working size, which changes with that of the frames."""
        if not self._working.fits(frame):
            self._masks.check(frame.size)
            kept = self._working.change(frame, self._background.picture)
            self._end_scene()  # frames that wait need the background at their own size
            self._events.restart()
            self._background.fit(self._working.size)
            if kept is not None:
                self._background.replace(kept)
        return self._working.reduced(frame.image)

    def _seen(self, frame: Frame, image: Image) -> Change:
        """What happens to the image as a whole on a frame; scenes end and begin."""
        known, panned = self._background.seek(frame.index), self._events.pans
        event = self._events.look(image, frame.time, self._background.picture, known)
        if event is Change.scene:
            self._end_scene()
        elif event is not Change.none:
            self._drain()
            self._stages.reset(event)
            if event is Change.light and not self._segmenter.uses_background:
                self._segmenter.restart()
            else:
                self._segmenter.pause()
        if self._events.pans and not panned and self._completed:
            message = f"frame {frame.index}: the camera pans and is followed from here on"
            warnings.warn(message, ForegroundWarning, stacklevel=5)
        return event

    def _end_scene(self) -> None:
        self._end()
        self._masks.restart()
        self._begin_scene()

    def _begin_scene(self) -> None:
        self._segmenter.restart()
        self._background.restart()
        self._stages.reset(Change.scene)
        self._depth_scale.restart()
        self._hidden, self._completed = None, 0

    def _drain(self) -> None:
        """Decode the frames that wait for others which will not come."""
        while self._waiting:
            self._decode(self._segmenter.drain)

    def _decode(self, decode: Callable[..., Maps | None]) -> None:
        """Have the network decode the next frame, if it can; the background learns from it."""
        frame, background = self._waiting[0], self._background
        frame.scene = background.scene or Scene.of(frame.image, 1)
        self._stages.before(frame, background)
        maps = decode(frame.scene, **frame.adapted)
        if maps is None:
            return
        frame.maps = maps
        self._decoded.append(self._waiting.popleft())
        self._stages.after(frame, background)
        if self._explains:
            shown = background.scene or Scene.of(frame.image, 1) if self._learns else None
            frame.picture = draw(frame.image, shown, frame.foreground, self._segmenter.explanation)
        mask = (frame.foreground if frame.learned is None else frame.learned) > MASK_ABOVE
        self._hidden = np.asarray(cv2.dilate(mask.view(np.uint8), _GROW) > 0)
        if self._learns and not frame.pans:
            background.update(frame.image, mask)
        self._completed += 1
        frame.empty = self._completed <= self._warm_up

    def _finish(self, keep: int = 0) -> None:
        """Make the results of all decoded frames but the last ones."""
        while len(self._decoded) > keep:
            frame = self._decoded.popleft()
            self._stages.result(frame, self._background)
            assert frame.maps is not None
            named = frame.index, frame.time, frame.size
            result = self._masks.nothing(*named) if frame.empty else self._masks.result(*named, frame.maps)
            self._due.append((result, {} if frame.picture is None else {"": frame.picture}))


def as_segmenter(
    model: ForegroundNetwork | Segmenter, *, device: str | torch.device | None = None, fast: bool = False
) -> Segmenter:
    """A segmenter as it is; a network made into one."""
    if not isinstance(model, nn.Module):
        return cast(Segmenter, model)
    return NetworkSegmenter(cast(ForegroundNetwork, model), device=device, fast=fast)
