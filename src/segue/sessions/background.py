"""The background model: quantiles of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray
from segue.sessions.backgrounds import Background
from segue.sessions.base import checkpointed
from segue.sessions.empty_scene import PLANES, Scene, TemporalQuantileBuffer, gain_table, too_few
from segue.types import Image

MASK_ABOVE = 0.2  # foreground probability above which a pixel is left out of the background

_GROW = np.ones((5, 5), np.uint8)
_FRAMES_A_STEP = 4  # work of one step, in whole frames

_LIKE = 30  # levels up to which a pixel looks like the background
_DARK = 8.0  # levels below which the gain of another light is not known well

FIRST_FRAMES = 9  # so many are kept at a third of the distance for now, to know the scene soon
MOST_GAIN = 3.0  # by which the past follows another light


@dataclass(frozen=True, slots=True)
class MedianSettings:
    """Selection of frames for the background.

    Attributes:
        every: a frame is kept this many frames after the last one. If it is a multiple of three, the first
            few come three times as fast, and are thinned out when there are enough.
        keep: number of frames kept, at most 255. When there are more, every second one goes and ``every``
            doubles, so that they stay evenly spread over the past.
        longest: ``every`` does not grow beyond this; from then on the oldest frame goes. Something that
            stands still becomes background after about ``keep * longest`` frames.
        least: a pixel that was background in fewer kept frames takes the median of all of them.
    """

    every: int = 9
    keep: int = 35
    longest: int = 144
    least: int = 3


class MaskedMedian(Background):
    """Running per-pixel median of past frames, each without what was foreground in it.

    Masks are grown by two pixels. Per pixel the median goes over the kept frames in which the pixel was
    background; where there are too few of these it goes over all, so that an object that was there from the
    first frame on disappears some time after it has left. Of an even number of values the upper one of the
    middle two counts. The work is spread over the frames that follow a kept one, and the image changes
    when it is done.

    Example:
        >>> background = MaskedMedian()
        >>> for frame in frames:
        ...     mask = segment(frame, background.scene)
        ...     background.update(frame, mask)
    """

    _settings: MedianSettings = checkpointed()
    _dense: bool = checkpointed()
    _frames: list[Image] = checkpointed()
    _hidden: list[BoolArray] = checkpointed()
    _since: int = checkpointed()
    scene: Scene | None = checkpointed()
    _result: npt.NDArray[np.uint8] | None = checkpointed()
    _row: int = checkpointed()
    state_types = (MedianSettings, Scene)

    def __init__(self, settings: MedianSettings | None = None) -> None:
        self._first = settings or MedianSettings()
        self.restart()

    def restart(self) -> None:
        self._settings = self._first
        self._dense = self._first.every % 3 == 0
        self._frames = []  # planar, (3, H, W)
        self._hidden = []
        self._since = 0
        self.scene = None
        self._result = None  # a scene in the making, done up to a row
        self._row = 0
        self._past: TemporalQuantileBuffer | None = None

    def replace(self, image: Image) -> None:
        self.restart()
        self.update(image)
        self._frames *= self._settings.least
        self._hidden *= self._settings.least
        self._dense = False
        self._reorder()

    def update(self, frame: Image, foreground: npt.NDArray[np.generic] | None = None) -> None:
        """Take the next frame (H, W, 3), and where something was in front of the background, (H, W)."""
        if self._due():
            self._advance()
            self._keep(frame, foreground)
            self._since = 0
        self._since += 1
        height = frame.shape[0]
        rows = max(-(-height // self._distance), height * _FRAMES_A_STEP // len(self._frames), 1)
        self._advance(rows)

    def apply_gain(self, gains: Sequence[float]) -> None:
        if self.scene is None:
            return
        self._advance()
        tables = [gain_table(gain) for gain in gains]
        for i, frame in enumerate(self._frames):
            self._frames[i] = np.stack([table[plane] for table, plane in zip(tables, frame, strict=True)])
        self._reorder()
        self.scene = self.scene.in_other_light(gains)

    def follow_light(self, image: Image) -> None:
        if self.scene is None:
            return
        self._advance()
        before, now = (each.astype(np.float32) for each in (self.scene.image, image))
        gain = np.clip((now + _DARK) / (before + _DARK), 0.1, MOST_GAIN)
        # What else a pixel was keeps its distance from the image, in the new light.
        gain, offset = (np.ascontiguousarray(each.transpose(2, 0, 1)) for each in (gain, now - gain * before))

        def lit(planes: Image) -> Image:
            return np.asarray(np.clip(np.rint(planes * gain + offset), 0, 255), np.uint8)

        self._frames = [lit(frame) for frame in self._frames]
        self._reorder()
        known = self.scene.planes.copy()
        for first in range(0, 18, 3):
            known[first : first + 3] = lit(known[first : first + 3])
        self.scene = Scene(known)

    def _reset_transient_state(self) -> None:
        self.restart()

    def _keep(self, frame: Image, foreground: npt.NDArray[np.generic] | None) -> None:
        planes = np.array(frame.transpose(2, 0, 1), order="C")
        hidden = np.zeros(frame.shape[:2], bool) if foreground is None else foreground != 0
        grown = np.asarray(cv2.dilate(hidden.astype(np.uint8), _GROW) > 0)
        self._heal(planes, grown)
        self._frames.append(planes)
        self._hidden.append(grown)
        self._result, self._row = np.empty((PLANES, *grown.shape), np.uint8), 0

    def _reorder(self, where: BoolArray | None = None) -> None:
        """The kept frames have changed there, (H, W), or everywhere."""
        if self._past is not None:
            self._past.stale |= True if where is None else where.any(axis=1)

    def _heal(self, frame: Image, hidden: BoolArray) -> None:
        """Recompute the masks of kept frames where too few of them show the scene and the new one does."""
        if not self._frames:
            return
        covered = sum(mask.view(np.uint8) for mask in self._hidden)  # at most 255, see MedianSettings
        visible = np.uint8(len(self._frames)) - covered
        renewed = too_few(visible, len(self._frames), self._settings.least) & ~hidden
        if not renewed.any():
            return
        now = frame[:, renewed].astype(np.int16)
        for kept, mask in zip(self._frames, self._hidden, strict=True):
            mask[renewed] = np.abs(kept[:, renewed] - now).max(axis=0) > _LIKE
        self._reorder(renewed)

    @property
    def _distance(self) -> int:
        """Frames from one that is kept to the next."""
        return self._settings.every // 3 if self._dense else self._settings.every

    def _due(self) -> bool:
        """Whether the next frame is kept; makes room for it."""
        if not self._frames:
            return True
        if self._since < self._distance:
            return False
        if self._dense and len(self._frames) >= FIRST_FRAMES:
            self._advance()
            self._keep_only(slice(None, None, 3))
            self._dense = False
        if len(self._frames) < self._settings.keep:
            return True
        if 2 * self._settings.every > self._settings.longest:
            self._keep_only(slice(1, None))
            return True
        # Counted from the newest, so that the next frame is as far from it as the others from one another.
        self._advance()
        self._settings = replace(self._settings, every=2 * self._settings.every)
        self._keep_only(slice((len(self._frames) - 1) % 2, None, 2))
        return False

    def _keep_only(self, which: slice) -> None:
        self._frames, self._hidden = self._frames[which], self._hidden[which]
        self._reorder()

    def _advance(self, rows: int | None = None) -> None:
        """Complete the scene in the making, or so many rows more of it."""
        if self._result is None:
            return
        first, (height, width) = self._row, self._result.shape[1:]
        if self._past is None:
            self._past = TemporalQuantileBuffer(
                (height, width), max(self._settings.keep, self._settings.least)
            )
        self._row = height if rows is None else min(first + rows, height)
        self._past.update(self._frames, self._hidden, first, self._row)
        self._past.planes(self._settings.least, first, self._result[:, first : self._row])
        if self._row == height:
            self.scene, self._result = Scene(self._result), None
