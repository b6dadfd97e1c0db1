"""Segment what moves or does not belong to the scene."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from segue.errors import ArgumentError, PromptError, SegueError
from segue.models.base import ForegroundNetwork
from segue.models.geometry import ResizePadGeometry
from segue.sessions.align import Aligner, to_frame, to_reference
from segue.sessions.along_motion import REACH, Found, MotionAverage
from segue.sessions.background import MASK_ABOVE, GhostDetector, MaskedMedian
from segue.sessions.base import Checkpointable, Session, SessionState, checkpointed
from segue.sessions.changes import Change, SceneChangeDetector, difference, exposure, is_shown, reduced, relit
from segue.sessions.empty_scene import Background, Scene, resized, same_shape
from segue.sessions.explaining import Explanation, draw
from segue.sessions.extra_inputs import DepthScale, check_extra, plane_of
from segue.sessions.film_scenes import FilmScenes, LearntBackground
from segue.sessions.foreground_masks import ForegroundMasks, Pending
from segue.sessions.lights import without_lights
from segue.sessions.moving_camera import MovingCameraSegmenter
from segue.sessions.networks import foreground_model
from segue.sessions.precipitation import Precipitation
from segue.sessions.segmenters import Maps, NetworkSegmenter, Segmenter
from segue.sessions.shadows import without_shadows
from segue.sessions.sharpness import Blur, relative_blur
from segue.sessions.subtractors import Subtractor, SubtractorBackground
from segue.types import FollowCamera, Frame, Image, IndexMask, Prompt, Segmentation
from segue.video.readers import FrameLike, as_frame

SHORT_SIDE = 240  # frames are reduced to this short side, near the size that the networks were trained at

FLOOD = 0.7  # foreground on more than this share of the picture ...
FLOOD_FRAMES = 5  # ... for so many frames means that the background is wrong
SWEEPS = 0.2  # what fills the picture moves if from one frame to the next this share of it changes

_GROW = np.ones((9, 9), np.uint8)


class ForegroundWarning(UserWarning):
    """The frames changed their size, or the camera is followed from now on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """The result of a frame, and what it was made of as a picture, if that is kept."""

    result: Segmentation
    picture: Image | None


class ForegroundSession(Checkpointable, Session):
    """Gives the foreground of each frame; frames go in one by one.

    Everything between camera and network is done here: frames are reduced to the working size, those of a
    shaken camera are aligned, the background is kept up to date, and another scene or light is noticed. The
    first frame of a scene is its first background, so nothing is foreground there.

    Args:
        model: name for :func:`segue.load`, a foreground network in evaluation mode, or a classical segmenter.
        background: what gives the picture of the empty scene; by default a :class:`MaskedMedian`. A session
            needs one of its own.
        masks: how masks are made of probabilities; a session needs one of its own.
        short_side: larger frames are reduced to this short side; None never reduces.
        align: align the frames of a shaken camera.
        remove_rain: for networks, take rain and snow out of the frames, and small short pieces out of the
            masks while it falls, see :class:`segue.sessions.precipitation.Precipitation`.
        follow_camera: for networks, see :func:`as_segmenter`.
        warm_up: frames of each scene whose masks are empty while the background is learnt.
        device: None takes a GPU if there is one; for networks.
        fast: bfloat16 where the processor or GPU has it; for networks.

    Example:
        >>> session = ForegroundSession("mustan-lite")
        >>> for frame in segue.open_source("camera.mp4"):
        ...     result = session.step(frame)
    """

    _segmenter: Segmenter = checkpointed()
    _background: Background = checkpointed()
    _masks: ForegroundMasks = checkpointed()
    _watch: SceneChangeDetector = checkpointed()
    _ghosts: GhostDetector = checkpointed()
    _depth_scale: DepthScale = checkpointed()
    _precipitation: Precipitation | None = checkpointed()
    _aligner: Aligner | None = checkpointed()
    _geometry: ResizePadGeometry | None = checkpointed()
    _pending: deque[Pending] = checkpointed()
    _average: MotionAverage | None = checkpointed()
    _due: deque[_Given] = checkpointed()
    _hidden: npt.NDArray[np.bool_] | None = checkpointed()
    _completed: int = checkpointed()
    _flooded: int = checkpointed()
    _next_index: int = checkpointed()
    _following: bool = checkpointed()
    state_types = (ResizePadGeometry, Pending, Blur, _Given)

    def __init__(
        self,
        model: str | ForegroundNetwork | Segmenter,
        *,
        background: Background | None = None,
        masks: ForegroundMasks | None = None,
        short_side: int | None = SHORT_SIDE,
        align: bool = True,
        remove_rain: bool = True,
        follow_camera: FollowCamera | None = None,
        warm_up: int = 0,
        device: str | torch.device | None = None,
        fast: bool = False,
    ) -> None:
        if warm_up < 0 or (short_side is not None and short_side < 1):
            raise ArgumentError(f"warm_up is {warm_up} and short_side {short_side}: give no negative numbers")
        self._segmenter = as_segmenter(foreground_model(model), follow_camera, device=device, fast=fast)
        self._background = background or MaskedMedian()
        self._masks = masks or ForegroundMasks()
        self._masks.settle(self._segmenter.threshold)
        self._short_side = short_side
        self._aligner = Aligner() if align else None
        self._warm_up = warm_up
        self._watch = SceneChangeDetector()
        self._ghosts = GhostDetector()
        self._depth_scale = DepthScale()
        is_network = isinstance(self._segmenter, (NetworkSegmenter, MovingCameraSegmenter))
        self._precipitation = Precipitation() if remove_rain and is_network else None
        self._explains = False
        # Whoever knows the scenes of the film beforehand can wait for the frames after each one, too.
        waits = isinstance(self._background, LearntBackground) and self._background.of_this_film
        self._average = MotionAverage() if waits else None
        self.lag = self._segmenter.lag + (REACH if waits else 0)
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._geometry = None
        self._explanation: Image | None = None
        self._pending = deque()
        self._due = deque()
        if self._average is not None:
            self._average.restart()
        self._masks.reset()
        self._watch.restart()
        self._hidden = None
        self._completed = 0
        self._next_index = 0
        self._following = False
        self._begin_scene()

    @property
    def restorable(self) -> bool:
        """Whether :meth:`state` can be called; OpenCV's subtractors do not tell what they know."""
        return self._segmenter.restorable and not isinstance(self._background, SubtractorBackground)

    @property
    def background(self) -> Image | None:
        """The empty scene at the working size, RGB (h, w, 3), uint8; None if there is no such picture."""
        if isinstance(self._segmenter, Subtractor):
            return self._segmenter.scene
        return self._picture if self._segmenter.uses_background else None

    @property
    def scenes(self) -> FilmScenes | None:
        """All that is known of the empty scene, to be saved; None if there is no such picture."""
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
        """What the last result was made of, as one picture at the working size, RGB (rows h, n w, 3).

        The frame; the empty scene, its low and its high quantile, all of what was background; the maps of the
        context at each scale, for networks that tell them; probability of foreground. For networks that look
        at flow three further rows: flow by the colour wheel, filtered flow and its attention at each scale,
        see :func:`segue.sessions.explaining.draw`. None before the first result, and if :meth:`explain` was
        not called.
        """
        return self._explanation

    @property
    def explanations(self) -> Mapping[str, Image]:
        """:attr:`explanation` by what its file ends with, as those of an ``InstanceSession``."""
        return {} if self._explanation is None else {"": self._explanation}

    def _explained(self, image: Image, foreground: npt.NDArray[np.float32]) -> Image:
        shown: list[Image] = []
        if self._segmenter.uses_background:
            scene = self._empty(image)
            quantiles = [scene.planes[i : i + 3].transpose(1, 2, 0) for i in (0, 6)]
            shown = [scene.picture, *quantiles]
        network = self._segmenter if isinstance(self._segmenter, NetworkSegmenter) else None
        return draw(image, shown, foreground, Explanation() if network is None else network.explanation)

    def step(
        self, frame: FrameLike, prompts: IndexMask | Sequence[Prompt] | None = None
    ) -> Segmentation | None:
        """Take the next frame.

        Args:
            frame: a :class:`segue.Frame`, or a picture (H, W, 3), uint8 (array, tensor or PIL), which gets
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
        image = self._reduced(frame)
        known = self._background.seek(frame.index)
        following, followed = self._segmenter.follows(image), self._following
        change = self._watch.look(image, frame.time)
        if following or (change is not Change.pause and self._segmenter.camera_moved):
            change = Change.none
        if change is Change.scene and is_shown(self._picture, image):
            change = Change.none
        if known is not None and (known is not Change.none or change is not Change.pause):
            change = known
        if followed and not following:  # what was known before the camera panned lies elsewhere
            change = Change.scene
        if change is Change.scene:
            self._end_scene()
            following = self._segmenter.follows(image)
        self._following = following
        if following and not followed and self._completed:
            warnings.warn(
                f"frame {frame.index}: the camera pans and is followed from here on",
                ForegroundWarning,
                stacklevel=2,
            )
        matrix = None if self._aligner is None or following else self._aligner.find(image)
        assert self._geometry is not None
        plane = plane_of(frame, self._geometry.working, self._depth_scale)
        if matrix is not None:
            image = to_reference(image, matrix, self._empty(image).picture)
            plane = None if plane is None else to_reference(plane, matrix, plane)
        self._follow(change, image)
        if self._precipitation is not None:
            if following or change in (Change.light, Change.pause):
                self._precipitation.restart()
            if not following:
                image = self._precipitation.look(image, self._picture, self._hidden)
        blur = None if matrix is None else self._blur(image)
        self._pending.append(Pending(frame.index, frame.time, frame.size, image, matrix, blur))
        self._next_index = frame.index + 1
        maps = self._segmenter.step(image, self._seen_next(), plane)
        if maps is not None:
            self._complete(maps)
        return self._give() if self._due else None

    def finish(self) -> Iterator[Segmentation]:
        """The results that are still due after the last frame.

        Returns:
            An iterator over the results, in order of frames.
        """
        self._drain()
        self._drain_average()
        while self._due:
            yield self._give()

    def _give(self) -> Segmentation:
        given = self._due.popleft()
        self._explanation = given.picture
        return given.result

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
            "short_side": self._short_side,
            "align": self._aligner is not None,
            "warm_up": self._warm_up,
            "objects": self._masks.objects,
            "averaged": self._average is not None,
        }

    def _reduced(self, frame: Frame) -> Image:
        if self._geometry is None or self._geometry.picture != frame.size:
            self._masks.check(frame.size)
            geometry = ResizePadGeometry.of(frame.size, self._short_side, 1)
            picture = self._picture
            self._background.fit(geometry.working)
            before, self._geometry = self._geometry, geometry
            if before is not None:
                self._change_size(before, frame, picture)
        # A copy where nothing is reduced: the caller may fill one array again and again.
        return np.array(self._geometry.to_network(frame.image))

    def _change_size(self, before: ResizePadGeometry, frame: Frame, picture: Image | None) -> None:
        """Keep ``picture`` as the background if the frame shows the same scene; else begin another one."""
        assert self._geometry is not None
        (height, width), (rows, columns) = frame.size, before.picture
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
        self._end_scene()
        self._watch.restart()
        if picture is not None:
            self._background.replace(resized(picture, self._geometry.working), trusted=True)

    def _empty(self, image: Image) -> Scene:
        """The background, or ``image`` as long as there is none."""
        scene = self._background.scene
        return Scene.of(image, 1) if scene is None else scene

    def _blur(self, image: Image) -> Blur | None:
        """By what a frame of a camera that moves is less sharp than the empty scene, if anything."""
        picture = self._picture
        if picture is None or not self._segmenter.uses_background:
            return None
        return relative_blur(image, picture, self._hidden)

    def _seen_next(self) -> Scene:
        """The empty scene, as sharp as the frame that is due."""
        item = self._pending[0]
        scene = self._empty(item.image)
        return scene if item.blur is None else item.blur.of_scene(scene)

    def _end_scene(self) -> None:
        self._drain()
        self._drain_average()
        self._masks.restart()
        self._begin_scene()

    def _begin_scene(self) -> None:
        self._segmenter.restart()
        self._background.restart()
        if self._aligner is not None:
            self._aligner.restart()
        self._ghosts.restart()
        self._depth_scale.restart()
        if self._precipitation is not None:
            self._precipitation.restart()
        self._hidden = None
        self._completed = self._flooded = 0

    def _follow(self, change: Change, image: Image) -> None:
        """Bring context and background in line with what has happened to the picture as a whole."""
        picture = self._picture
        if change is Change.light:
            self._drain()
            if self._segmenter.uses_background:
                self._segmenter.pause()
            else:
                self._segmenter.restart()
            if picture is not None and self._hidden is not None:
                self._background.follow_light(relit(picture, image, self._hidden))
        elif change is Change.pause:
            self._drain()
            self._segmenter.pause()
        elif picture is not None and self._segmenter.uses_background and not self._following:
            gains = exposure(image, picture)
            if gains is not None:
                self._background.apply_gain(gains)

    def _drain(self) -> None:
        """Complete the frames that wait for others which will not come."""
        while self._pending:
            maps = self._segmenter.drain(self._seen_next())
            assert maps is not None
            self._complete(maps)

    def _complete(self, maps: Maps) -> None:
        """Make the result of the first frame that is due."""
        item = self._pending.popleft()
        if self._precipitation is not None:
            maps[0] = self._precipitation.lasting(maps[0], self._segmenter.threshold)
        if self._segmenter.ignores_lights and not self._following and self._picture is not None:
            maps[0] = without_lights(maps[0], self._segmenter.threshold, item.image, self._picture)
        picture = self._explained(item.image, maps[0]) if self._explains else None
        shown = maps
        if self._segmenter.suppresses_shadows and not self._following and self._picture is not None:
            shown = without_shadows(maps, self._segmenter.threshold, item.image, self._picture)
        self._learn_from(item.image, maps[0])  # shadow is no background either
        maps = shown
        self._completed += 1
        found = Found(item, maps, picture, self._completed <= self._warm_up, self._is_settled(item.index))
        for each in [found] if self._average is None else self._average.add(found):
            self._settle(each)

    def _is_settled(self, index: int) -> bool:
        return isinstance(self._background, LearntBackground) and index in self._background.while_panning

    def _drain_average(self) -> None:
        """Complete the frames that wait for what comes after them."""
        for found in [] if self._average is None else self._average.drain():
            self._settle(found)

    def _settle(self, found: Found) -> None:
        """Make the result of a frame of which all is known."""
        item, maps = found.item, found.maps
        if found.empty:
            self._due.append(_Given(self._masks.nothing(item.index, item.time, item.size), found.picture))
            return
        if item.matrix is not None:
            maps = np.stack([to_frame(values, item.matrix) for values in maps])
        if isinstance(self._background, LearntBackground):
            maps[0] = self._background.judged(item.index, maps[0])
        result = self._masks.result(item.index, item.time, item.size, maps)
        self._due.append(_Given(result, found.picture))

    def _learn_from(self, image: Image, foreground: npt.NDArray[np.float32]) -> None:
        mask = foreground > MASK_ABOVE
        self._hidden = np.asarray(cv2.dilate(mask.view(np.uint8), _GROW) > 0)
        flooded = mask.mean() > FLOOD and not (self._watch.moving > SWEEPS and is_shown(self._picture, image))
        self._flooded = self._flooded + 1 if flooded else 0
        if self._flooded >= FLOOD_FRAMES:
            self._flooded = 0
            self._background.replace(image, trusted=False)
            # Frames that wait for their future would lose it.
            if not self._segmenter.uses_background and not self._pending:
                self._segmenter.restart()
        elif self._segmenter.uses_background and not self._following:
            self._background.update(image, mask)
            scene = self._empty(image)
            ghost = self._ghosts.look(image, scene.picture, mask)
            if ghost is not None:
                self._background.remove_ghost(image, ghost)


def as_segmenter(
    model: ForegroundNetwork | Segmenter,
    follow_camera: FollowCamera | None = None,
    *,
    device: str | torch.device | None = None,
    fast: bool = False,
) -> Segmenter:
    """A segmenter as it is; a network made into one."""
    follow_camera = None if follow_camera == "never" else follow_camera
    if not isinstance(model, nn.Module):
        if follow_camera is not None:
            raise SegueError(
                "follow_camera is for networks: mog2, knn, median and difference need a still camera"
            )
        return cast(Segmenter, model)
    network = cast(ForegroundNetwork, model)
    if follow_camera is None:
        return NetworkSegmenter(network, device=device, fast=fast)
    if follow_camera == "auto":
        return MovingCameraSegmenter(network, always=False, device=device, fast=fast)
    return MovingCameraSegmenter(network, follow_camera, device=device, fast=fast)
