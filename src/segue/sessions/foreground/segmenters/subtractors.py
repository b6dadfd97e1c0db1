"""Classical background subtraction with the interface of a network: MOG2, KNN and plain differences."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.segmenters.base import Segmenter, SegmenterInput
from segue.types import Image
from segue.utils.arrays import Float32Array

Method = Literal["mog2", "knn"]

SHADOW = 127
"""Value of shadow in the masks of OpenCV's subtractors."""

BLIND = 4
"""First frames of a scene with empty masks, since KNN marks everything as foreground."""


class Subtractor(Segmenter):
    """OpenCV's MOG2 or KNN; shadow is background, or the second channel.

    Args:
        method: ``mog2`` (Zivkovic 2004) or ``knn`` (Zivkovic and van der Heijden 2006).
        history: frames that the model remembers.
        threshold: squared distance to the model beyond which a pixel is foreground; by default 16 for MOG2
            as in OpenCV, and 800 for KNN, which is steadier over different scenes than OpenCV's 400.
        learning_rate: share of a new frame in the model; -1 leaves it to OpenCV.
        median: side of the median filter over the mask, odd; 1 for none.

    Raises:
        SegueError: a number is out of range.
    """

    channels = 2
    restorable = False

    def __init__(
        self,
        method: Method,
        *,
        history: int = 500,
        threshold: float | None = None,
        learning_rate: float = -1.0,
        median: int | None = None,
    ) -> None:
        if method not in _DEFAULTS:
            raise SegueError(f"method {method!r}: choose mog2 or knn")
        usual_threshold, usual_median = _DEFAULTS[method]
        self.name = method
        self._history = history
        self._threshold = usual_threshold if threshold is None else threshold
        self._learning_rate = learning_rate
        self._median = _checked_median(usual_median if median is None else median)
        if history < 1 or self._threshold <= 0:
            raise SegueError(f"history {history} and threshold {self._threshold}: give numbers above 0")
        self.restart()

    def restart(self) -> None:
        mog2, knn = cv2.createBackgroundSubtractorMOG2, cv2.createBackgroundSubtractorKNN
        self._model: Any = (mog2 if self.name == "mog2" else knn)(self._history, self._threshold, True)
        self._num_frames = 0

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        labels = self.apply(frame.image)
        if self._num_frames <= BLIND:
            labels = np.zeros_like(labels)
        return np.stack([_filtered(labels == value, self._median) for value in (255, SHADOW)])

    def apply(self, image: Image) -> Image:
        """Learn from a frame; returns OpenCV's labels (h, w): 0 background, 127 shadow, 255 foreground."""
        self._num_frames += 1
        cv2.setRNGSeed(self._num_frames)  # KNN draws from a generator that all the work of a thread shares
        return np.asarray(self._model.apply(image, learningRate=self._learning_rate), np.uint8)

    @property
    def scene(self) -> Image | None:
        """Background image of the model, RGB (h, w, 3), uint8; None before the first frame."""
        return np.asarray(self._model.getBackgroundImage(), np.uint8) if self._num_frames else None


_DEFAULTS: dict[str, tuple[float, int]] = {"mog2": (16.0, 5), "knn": (800.0, 9)}
"""Threshold and median filter."""


class BackgroundDifference(Segmenter):
    """Marks pixels as foreground if a channel differs from the background by more than a threshold.

    Args:
        threshold: levels, 0 to 255.
        median: side of the median filter over the mask, odd; 1 for none.
    """

    name = "median"
    uses_background = True

    def __init__(self, *, threshold: float = 35, median: int = 9) -> None:
        self._threshold = threshold
        self._median = _checked_median(median)

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        return self._beyond(frame.image, scene.image)

    def _beyond(self, image: Image, other: Image) -> Float32Array:
        """Mask of pixels with a channel that differs by more than the threshold, (1, h, w)."""
        differences = reduce(cv2.max, cv2.split(cv2.absdiff(image, other)))
        return _filtered(np.asarray(differences) > self._threshold, self._median)[None]


class FrameDifference(BackgroundDifference):
    """Marks pixels as foreground if a channel differs from the previous frame by more than a threshold.

    Args:
        threshold: levels, 0 to 255.
        median: side of the median filter over the mask, odd; 1 for none.
    """

    name = "difference"
    uses_background = False
    offsets = (-1,)

    def __init__(self, *, threshold: float = 20, median: int = 3) -> None:
        super().__init__(threshold=threshold, median=median)

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        return self._beyond(frame.image, context[-1].image)


def _checked_median(side: int) -> int:
    if side < 1 or side % 2 == 0:
        raise SegueError(f"median filter of {side} pixels: give an odd number, or 1 for none")
    return side


def _filtered(mask: npt.NDArray[np.bool_], median: int) -> npt.NDArray[np.float32]:
    """Apply the median filter to a mask, 0 or 1."""
    if median > 1:
        mask = cv2.medianBlur(mask.view(np.uint8) * np.uint8(255), median) > 0
    return mask.astype(np.float32)
