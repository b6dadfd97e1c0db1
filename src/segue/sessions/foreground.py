"""Segment what moves or does not belong to the scene."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import nn

from segue.arrays import BoolArray
from segue.errors import ArgumentError, PromptError
from segue.models.base import ForegroundNetwork
from segue.models.geometry import ResizePadGeometry
from segue.sessions.background import MASK_ABOVE, MaskedMedian
from segue.sessions.backgrounds import Background
from segue.sessions.base import Checkpointable, Session, SessionState, checkpointed
from segue.sessions.changes import difference, reduced
from segue.sessions.empty_scene import Scene, resized, same_shape
from segue.sessions.explaining import Explanation, draw
from segue.sessions.extra_inputs import DepthScale, check_extra, plane_of
from segue.sessions.film_scenes import FilmScenes, LearntBackground
from segue.sessions.foreground_masks import ForegroundMasks
from segue.sessions.networks import foreground_model
from segue.sessions.scene_events import SceneEvents
from segue.sessions.segmenters import Maps, NetworkSegmenter, Segmenter
from segue.sessions.stage_list import checked, followed, stages_for
from segue.sessions.stages import NO_IMAGE, Change, StageList, WorkFrame
from segue.sessions.subtractors import Subtractor, SubtractorBackground
from segue.types import FollowCamera, Frame, Image, IndexMask, Prompt, Segmentation
from segue.video.readers import FrameLike, as_frame

SHORT_SIDE = 240  # frames are reduced to this short side, near the size that the networks were trained at

_GROW = np.ones((9, 9), np.uint8)


class ForegroundWarning(UserWarning):
    """The frames changed their size, or the camera is followed from now on."""


class ForegroundSession(Checkpointable, Session):
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

    _segmenter: Segmenter = checkpointed()
    _background: Background = checkpointed()
    _masks: ForegroundMasks = checkpointed()
    _stages: StageList = checkpointed()
    _events: SceneEvents = checkpointed()
    _depth_scale: DepthScale = checkpointed()
    _geometry: ResizePadGeometry | None = checkpointed()
    _queue: deque[WorkFrame] = checkpointed()
    _hidden: BoolArray | None = checkpointed()
    _completed: int = checkpointed()
    _next_index: int = checkpointed()
    _pans: bool = checkpointed()
    state_types = (ResizePadGeometry, WorkFrame)

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
        self._short_side, self._warm_up = short_side, warm_up
        self._stages = stages_for(self._segmenter, self._background, follow_camera, without)
        follow = followed(follow_camera, checked(without))
        self._events = SceneEvents(follow)
        self._uses_scene = self._segmenter.uses_background and follow != "always"
        self._depth_scale = DepthScale()
        self._explains = False
        self.lag = self._segmenter.lag + self._stages.lag
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._geometry = None
        self._explanation: Image | None = None
        self._queue = deque()
        self._masks.reset()
        self._events.restart()
        self._next_index, self._pans = 0, False
        self._begin_scene()

    @property
    def restorable(self) -> bool:
        """Whether :meth:`state` can be called; OpenCV's subtractors do not tell what they know."""
        return self._segmenter.restorable and not isinstance(self._background, SubtractorBackground)

    @property
    def background(self) -> Image | None:
        """The empty scene at the working size, RGB (h, w, 3), uint8; None if there is no such image."""
        if isinstance(self._segmenter, Subtractor):
            return self._segmenter.scene
        return self._picture if self._uses_scene else None

    @property
    def scenes(self) -> FilmScenes | None:
        """All that is known of the empty scene, to be saved; None if there is no such image."""
        if self.background is None:
            return None
        if isinstance(self._background, LearntBackground):
            return self._background.scenes
        scene = self._background.scene
        return FilmScenes.of(Scene.of(self.background) if scene is None else scene)

    @property
    def _picture(self) -> Image | None:
        scene = self._background.scene
        return None if scene is None else scene.picture

    def explain(self) -> None:
        """Keep with each result from now on what it was made of, for :attr:`explanation`."""
        self._explains = True
        if isinstance(self._segmenter, NetworkSegmenter):
            self._segmenter.explains = True

    @property
    def explanation(self) -> Image | None:
        """Inputs of the last result as one image at the working size, RGB (rows h, n w, 3).

        The frame; the empty scene, its low and its high quantile, all of what was background; the maps of the
        context at each scale, for networks that tell them; probability of foreground. For networks that look
        at flow three further rows: flow by the colour wheel, filtered flow and its attention at each scale,
        see :func:`segue.sessions.explaining.draw`. None before the first result, and if :meth:`explain` was
        not called.
        """
        return self._explanation

    @property
    def explanations(self) -> Mapping[str, Image]:
        """:attr:`explanation` by file suffix, as in an ``InstanceSession``."""
        return {} if self._explanation is None else {"": self._explanation}

    def step(
        self, frame: FrameLike, prompts: IndexMask | Sequence[Prompt] | None = None
    ) -> Segmentation | None:
        """Take the next frame.

        Args:
            frame: a :class:`segue.Frame`, or an image (H, W, 3), uint8 (array, tensor or PIL), which gets
                the index after the last one.
            prompts: None; foreground is found without prompts.

        Returns:
            The result of the frame ``lag`` frames before, with its mask (H, W) at the size of that frame, or
            None if there is none.

        Raises:
            PromptError: there is a prompt, the region of interest, depth or flow does not fit the frame, or
                the model takes none.
        """
        frame = as_frame(frame, self._next_index)
        if prompts is not None:
            raise PromptError(f"frame {frame.index}: foreground is found without prompts")
        check_extra(frame, self._segmenter.extra, self._segmenter.name)
        work = self._begun(frame)
        for stage in self._stages:
            stage.arrive(work, self._background)
        self._queue.append(work)
        self._next_index = frame.index + 1
        due = self._prepared()
        assert due.scene is not None
        maps = self._segmenter.step(work.image, due.scene, work.plane, **due.adapted)
        if maps is not None:
            self._complete(due, maps)
        self._finish(keep=self._stages.lag)
        return self._give()

    def finish(self) -> Iterator[Segmentation]:
        """The results that are still due after the last frame.

        Returns:
            An iterator over the results, in order of frames.
        """
        self._drain()
        self._finish()
        while (result := self._give()) is not None:
            yield result

    def state(self, *, copy: bool = True) -> SessionState:
        """A copy of what :meth:`restore` needs, due results with masks alone; if :attr:`restorable`.

        Args:
            copy: without effect; the tensors are always copies.

        Returns:
            Tensors and JSON values by name.
        """
        return super().state()

    def _reset_transient_state(self) -> None:
        self.reset()

    def _config_fingerprint(self) -> dict[str, Any]:
        return {
            "model": self._segmenter.name,
            "stages": self._stages.names,
            "short_side": self._short_side,
            "warm_up": self._warm_up,
            "objects": self._masks.objects,
        }

    def _begun(self, frame: Frame) -> WorkFrame:
        """The next frame at the working size, after the session has done what happens on it."""
        image = self._reduced(frame)
        if self._background.begins(frame.index):  # frames that wait belong to the scene before
            self._drain()
        known = self._background.seek(frame.index)
        event, pans = self._events.look(image, frame.time, self._picture, known)
        if event is Change.scene:
            self._end_scene()
        elif event is not Change.none:
            self._drain()
            self._stages.reset(event)
            if event is Change.light and not self._segmenter.uses_background:
                self._segmenter.restart()
            else:
                self._segmenter.pause()
        if pans and not self._pans and self._completed:
            warnings.warn(
                f"frame {frame.index}: the camera pans and is followed from here on",
                ForegroundWarning,
                stacklevel=3,
            )
        self._pans = pans
        assert self._geometry is not None
        work = WorkFrame(frame.index, frame.time, frame.size, image, pans=pans, event=event)
        work.plane = plane_of(frame, self._geometry.working, self._depth_scale)
        work.moving, work.hidden = self._events.moving, self._hidden
        return work

    def _reduced(self, frame: Frame) -> Image:
        if self._geometry is None or self._geometry.picture != frame.size:
            self._masks.check(frame.size)
            geometry = ResizePadGeometry.of(frame.size, self._short_side, 1)
            if self._geometry is None:
                self._background.fit(geometry.working)
            else:
                self._change_size(self._geometry, geometry, frame)
            self._geometry = geometry
        # A copy where nothing is reduced: the caller may fill one array again and again.
        return np.array(self._geometry.to_network(frame.image))

    def _change_size(self, before: ResizePadGeometry, now: ResizePadGeometry, frame: Frame) -> None:
        """Keep the background if the frame shows the same scene; else begin another one."""
        (height, width), (rows, columns), picture = frame.size, before.picture, self._picture
        if picture is not None and (
            not same_shape(frame.size, before.picture)
            or difference(reduced(frame.image), reduced(resized(picture, frame.size))) is Change.scene
        ):
            picture = None
        warnings.warn(
            f"frame {frame.index} is {width}x{height}, the frames before it are {columns}x{rows}; "
            f"the background is {'learnt anew' if picture is None else 'kept'}",
            ForegroundWarning,
            stacklevel=5,
        )
        self._end_scene()  # frames that wait need the background at their own size
        self._background.fit(now.working)
        self._events.restart()
        if picture is not None:
            self._background.replace(resized(picture, now.working))

    def _end_scene(self) -> None:
        self._drain()
        self._finish()
        self._masks.restart()
        self._begin_scene()

    def _begin_scene(self) -> None:
        self._segmenter.restart()
        self._background.restart()
        self._stages.reset(Change.scene)
        self._depth_scale.restart()
        self._hidden = None
        self._completed = 0

    def _waiting(self) -> WorkFrame | None:
        """The first frame that the network has not decoded."""
        return next((each for each in self._queue if each.maps is None and each.result is None), None)

    def _prepared(self) -> WorkFrame:
        """The frame that the network decodes next, with what it is compared with."""
        due, scene = self._waiting(), self._background.scene
        assert due is not None
        due.scene, due.tone, due.context = Scene.of(due.image, 1) if scene is None else scene, None, None
        for stage in self._stages:
            stage.before(due, self._background)
        return due

    def _drain(self) -> None:
        """Decode the frames that wait for others which will not come."""
        while self._waiting() is not None:
            due = self._prepared()
            assert due.scene is not None
            maps = self._segmenter.drain(due.scene, **due.adapted)
            assert maps is not None
            self._complete(due, maps)

    def _complete(self, frame: WorkFrame, maps: Maps) -> None:
        """Take the probabilities of a frame, and let the background learn from it."""
        frame.maps = maps
        for stage in reversed(self._stages):
            stage.after(frame, self._background)
        if self._explains:
            frame.picture = self._explained(frame)
        frame.mask = (frame.foreground if frame.learned is None else frame.learned) > MASK_ABOVE
        self._hidden = np.asarray(cv2.dilate(frame.mask.view(np.uint8), _GROW) > 0)
        if self._uses_scene and not frame.pans:
            self._background.update(frame.image, frame.mask)
        self._completed += 1
        frame.empty = self._completed <= self._warm_up

    def _finish(self, keep: int = 0) -> None:
        """Make the results of all decoded frames but the last ones."""
        ready = [each for each in self._queue if each.maps is not None]
        for frame in ready[: max(0, len(ready) - keep)]:
            for stage in reversed(self._stages):
                stage.result(frame, self._background)
            assert frame.maps is not None
            named = frame.index, frame.time, frame.size
            frame.result = (
                self._masks.nothing(*named) if frame.empty else self._masks.result(*named, frame.maps)
            )
            frame.image, frame.plane, frame.matrix, frame.maps = NO_IMAGE, None, None, None

    def _give(self) -> Segmentation | None:
        """The next result, if it is made."""
        if not self._queue or self._queue[0].result is None:
            return None
        frame = self._queue.popleft()
        self._explanation = frame.picture
        return frame.result

    def _explained(self, frame: WorkFrame) -> Image:
        shown: list[Image] = []
        if self._uses_scene:
            scene = self._background.scene or Scene.of(frame.image, 1)
            quantiles = [scene.planes[i : i + 3].transpose(1, 2, 0) for i in (0, 6)]
            shown = [scene.picture, *quantiles]
        network = self._segmenter if isinstance(self._segmenter, NetworkSegmenter) else None
        told = Explanation() if network is None else network.explanation
        return draw(frame.image, shown, frame.foreground, told)


def as_segmenter(
    model: ForegroundNetwork | Segmenter, *, device: str | torch.device | None = None, fast: bool = False
) -> Segmenter:
    """A segmenter as it is; a network made into one."""
    if not isinstance(model, nn.Module):
        return cast(Segmenter, model)
    return NetworkSegmenter(cast(ForegroundNetwork, model), device=device, fast=fast)
