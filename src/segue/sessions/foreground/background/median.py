"""Background model by per-pixel quantiles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from segue.models.geometry import reduced_to
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Look, Scene, in_other_light, scene_planes, too_few
from segue.sessions.foreground.background.recurrence import RECENT_FRAMES, Past, halved
from segue.sessions.foreground.camera.changes import LONG_SIDE, SAME_LIGHT, Gains, scaled
from segue.sessions.foreground.camera.step import CameraStep
from segue.state import SessionState, checkpointed
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array

MASK_ABOVE = 0.2
"""Foreground probability above which a pixel is excluded from the background; larger values absorb
objects."""

KEPT = 9
"""Frames of a view that are kept while the camera shows another one."""

EXPLAINED, OFF = 0.75, 16.0
"""Minimum share of pixels that another light explains, and the maximum difference of those in levels."""

LESS = 0.35
"""Maximum remaining share of the differences within the image; a plain colour would leave more."""

MIN_GOOD = 0.2
"""Minimum share of pixels for estimating it."""

DARKEST, BRIGHTEST = 2, 250
"""Levels beyond which pixels may be clipped."""

ROUNDS = 3
"""Rounds of fitting colours to the pixels that the previous fit explains."""

EXPLAINS = 0.05
"""Minimum share of image parts that a small movement explains."""

MIN_MOTION = 0.005
"""Distance in longer sides after which the background is learned anew."""

RETURNS, RETURN_SHARE = 3, 0.1
"""Recurrences of a colour among recent frames, and share of them with it, from which on it is background
regardless of the mask: otherwise swaying things would hide their place for ever."""

_GROW = np.ones((5, 5), np.uint8)

_LIKE = 30
"""Maximum difference in levels of a pixel that looks like the background."""


@dataclass(frozen=True, slots=True)
class MedianSettings:
    """Selection of frames for the background.

    Attributes:
        every: a frame is kept this many frames after the last one.
        keep: number of frames kept, at most 255. When there are more, every second one goes and ``every``
            doubles, so that they stay evenly spread over the past.
        longest: ``every`` does not grow beyond this; from then on the oldest frame goes. Something that
            stands still becomes background after about ``keep * longest`` frames.
        least: a pixel that was background in fewer kept frames takes the median of all of them.
    """

    every: int = 9
    keep: int = 35
    longest: int = 288
    least: int = 3


@dataclass(slots=True, eq=False)
class _Past:
    """State of a view while another one is visible."""

    frames: list[Image]  # planar, (3, H, W)
    hidden: list[BoolArray]


def fit_colour_map(scene: Image, image: Image) -> Float32Array | None:
    """Affine colour map, (3, 4), from an image to another of the same scene in another light.

    None where no such map explains most of the image.
    """
    one, other = (reduced_to(each, LONG_SIDE).reshape(-1, 3).astype(np.float32) for each in (scene, image))
    colours = np.column_stack([one, np.ones(len(one), np.float32)])
    good = ((other > DARKEST) & (other < BRIGHTEST)).all(axis=1)
    for _ in range(ROUNDS):
        if good.mean() < MIN_GOOD:
            return None
        fitted = np.linalg.lstsq(colours[good], other[good], rcond=None)[0]
        residual = np.abs(np.clip(colours @ fitted, 0, 255) - other).max(axis=1)
        good = (residual < np.quantile(residual, EXPLAINED)) & good
    spread = np.abs(other - np.median(other, axis=0)).max(axis=1)
    if (residual < OFF).mean() < EXPLAINED or np.median(residual) > LESS * np.median(spread):
        return None
    return np.asarray(fitted.T, np.float32)


def is_displaced(scene: Image, image: Image) -> bool:
    """Whether the camera has moved, so that no pixel shows the same point."""
    return float(np.hypot(*CameraStep.between(scene, image).way(EXPLAINS))) > MIN_MOTION


def in_colours(frame: Image, colours: Float32Array) -> Image:
    """Apply a colour map to a planar frame, (3, H, W)."""
    values = np.tensordot(colours[:, :3], frame.astype(np.float32), 1) + colours[:, 3, None, None]
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


class MaskedMedian(Background):
    """Running per-pixel median of past frames without their foreground.

    Masks are grown by two pixels, and colours that come back again and again are learnt in spite of them.
    Per pixel the median goes over the kept frames in which the pixel was background; where there are too
    few of these it goes over all, so that an object that was there from the first frame on disappears some
    time after it has left. Of an even number of values the upper one of the middle two counts.

    Example:
        >>> background = MaskedMedian()
        >>> for frame in frames:
        ...     mask = segment(frame, background.scene)
        ...     background.update(frame, mask)
    """

    _every: int = checkpointed()
    _frames: list[Image] = checkpointed(list)  # planar, (3, H, W)
    _hidden: list[BoolArray] = checkpointed(list)
    _lights: list[Gains] = checkpointed(list, later=True)  # of now over those in which each was taken
    _since: int = checkpointed(0)
    scene: Scene | None = checkpointed(None)
    _learnt: Scene | None = checkpointed(None, later=True)  # the scene in the light in which it was learnt
    _gains: Gains = checkpointed(SAME_LIGHT, later=True)  # of now over that light
    view: int | None = checkpointed(None)
    _views: dict[int, _Past] = checkpointed(dict)
    state_types = (Scene, Look, _Past)

    def __init__(self, settings: MedianSettings | None = None) -> None:
        self._settings = settings or MedianSettings()
        self.restart()

    def restart(self) -> None:
        super().restart()
        self._every = self._settings.every
        self._halves: list[Image] = []  # kept frames at half size; those that it lacks at the end are made

    @property
    def past(self) -> Past:
        missing = self._lit_frames(len(self._halves))
        self._halves += [halved(np.ascontiguousarray(frame.transpose(1, 2, 0))) for frame in missing]
        return replace(super().past, frames=self._halves)

    def enter(self, view: int | None, known: Collection[int], frames: Sequence[Image] = ()) -> None:
        views, left, light = self._views, None, None
        if self._frames:
            stride = -(-len(self._frames) // KEPT)
            left = _Past(self._lit_frames()[::-stride][::-1], self._hidden[::-stride][::-1])
            if frames and self.image is not None and not is_displaced(self.image, frames[-1]):
                light = fit_colour_map(self.image, frames[-1])
            if self.view is not None:
                views[self.view] = left
        for forgotten in views.keys() - known:
            del views[forgotten]
        self.restart()
        self._views = views
        self.view, past = view, None if view is None else self._views.pop(view, None)
        if past is not None:
            self._frames, self._hidden = past.frames, past.hidden
            self._lights = [SAME_LIGHT] * len(past.frames)
            self._learn()
        elif left is not None and light is not None:
            self._frames = [in_colours(frame, light) for frame in left.frames]
            self._hidden = [hidden.copy() for hidden in left.hidden]
            self._lights = [SAME_LIGHT] * len(left.frames)
            self._learn()
        else:
            for frame in frames:
                self._keep(frame, None)
            self._since = self._every

    def replace(self, image: Image) -> None:
        self.restart()
        self.update(image)
        self._frames *= self._settings.least
        self._hidden *= self._settings.least
        self._lights *= self._settings.least

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Update with the next frame (H, W, 3) and its foreground mask, (H, W)."""
        if self._since >= self._every or not self._frames:
            is_full = len(self._frames) >= self._settings.keep
            if is_full and 2 * self._every <= self._settings.longest:
                # Counted from the newest: the next frame is as far from it as the others from one another.
                self._every *= 2
                self._keep_only(slice((len(self._frames) - 1) % 2, None, 2))
            else:
                if is_full:
                    self._keep_only(slice(1, None))
                self._keep(frame, foreground)
                self._since = 0
        self._since += 1

    def apply_gain(self, gains: Sequence[float]) -> None:
        if self.scene is None:
            return
        self.recent.apply_gain(gains)
        # From what was taken: rounded levels that are scaled again and again drift away.
        self._lights, self._halves = [scaled(light, gains) for light in self._lights], []
        self._learnt, self._gains = self._learnt or self.scene, scaled(self._gains, gains)
        self.scene = self._learnt.in_other_light(self._gains)

    def adopt(self, image: Image, region: BoolArray) -> None:
        if not self._frames:
            return
        planes = image.transpose(2, 0, 1)
        self._frames = [np.where(region, planes, frame) for frame in self._lit_frames()]
        self._hidden = [hidden & ~region for hidden in self._hidden]
        self._lights, self._halves = [SAME_LIGHT] * len(self._frames), []
        self._learn()

    def _reset_transient_state(self) -> None:
        self.restart()

    def _take_over(self, state: SessionState) -> None:
        super()._take_over(state)
        self._lights = self._lights or [SAME_LIGHT] * len(self._frames)  # earlier versions saved none

    def _keep(self, frame: Image, foreground: npt.NDArray[np.generic] | None) -> None:
        planes = np.array(frame.transpose(2, 0, 1), order="C")
        hidden = np.zeros(frame.shape[:2], bool) if foreground is None else foreground != 0
        grown = np.asarray(cv2.dilate(hidden.view(np.uint8), _GROW) > 0)
        if grown.any() and len(self.recent.frames) >= RECENT_FRAMES:
            grown &= ~self.recent.returns(frame, RETURNS, RETURN_SHARE)
        if self._frames:
            self._heal(planes, grown)
        self._frames.append(planes)
        self._lights.append(SAME_LIGHT)
        self._hidden.append(grown)
        self._learn()

    def _lit_frames(self, first: int = 0) -> list[Image]:
        """Kept frames from an index on, in the current light."""
        pairs = zip(self._frames[first:], self._lights[first:], strict=True)
        return [frame if light == SAME_LIGHT else in_other_light(frame, light) for frame, light in pairs]

    def _learn(self) -> None:
        """Compute the background of the kept frames."""
        frames, previous = self._lit_frames(), self.scene
        scene = Scene(scene_planes(frames, self._hidden, self._settings.least))
        if previous is not None:
            scene = scene.with_look(previous.look)
        self.scene, self._learnt, self._gains = scene, None, SAME_LIGHT

    def _heal(self, frame: Image, hidden: BoolArray) -> None:
        """Recompute the masks of kept frames if too few show the background and the new one does."""
        covered = np.stack(self._hidden).sum(axis=0, dtype=np.uint8)  # at most 255, see MedianSettings
        renewed = too_few(len(self._frames) - covered, len(self._frames), self._settings.least) & ~hidden
        if not renewed.any():
            return
        now = frame[:, renewed].astype(np.int16)
        for planes, mask in zip(self._lit_frames(), self._hidden, strict=True):
            mask[renewed] = np.abs(planes[:, renewed] - now).max(axis=0) > _LIKE

    def _keep_only(self, which: slice) -> None:
        # Those of all, or none: sessions whose network looks at no past never make them.
        self._halves = self._halves[which] if len(self._halves) == len(self._frames) else []
        self._frames, self._hidden = self._frames[which], self._hidden[which]
        self._lights = self._lights[which]
