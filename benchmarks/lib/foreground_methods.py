"""The ways to find foreground that the benchmarks compare, by name."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.lib.foreground_clips import Video
from segue.registry import MODELS
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.segmenters.base import Segmenter, SegmenterInput
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.sessions.foreground.segmenters.subtractors import BackgroundDifference, FrameDifference, Subtractor
from segue.sessions.foreground.session import SHORT_SIDE, ForegroundSession
from segue.sessions.foreground.two_passes import TwoPasses
from segue.utils.arrays import Float32Array
from segue.weights import load

TWO_PASSES, FOLLOWED = ", two passes", ", camera followed"
"""What follows the name of a network that goes through a video twice, or follows a camera when it pans."""

CLASSICAL: Mapping[str, Callable[[], Segmenter]] = {
    "mog2": lambda: Subtractor("mog2", median=1),
    "mog2, median 5": lambda: Subtractor("mog2", median=5),
    "mog2 100, rate .001, median 9": lambda: Subtractor("mog2", threshold=100, learning_rate=0.001, median=9),
    "knn": lambda: Subtractor("knn", threshold=400, median=1),
    "knn, median 9": lambda: Subtractor("knn", threshold=400, median=9),
    "knn 800, median 9": lambda: Subtractor("knn", threshold=800, median=9),
    "median": BackgroundDifference,
    "difference": FrameDifference,
}
"""OpenCV's subtractors with several settings, and plain differences."""


class ContribSubtractor(Segmenter):
    """A background subtractor of opencv-contrib at its defaults, with a median filter of 5 over the mask.

    Args:
        name: ``GSOC``, ``LSBP`` or ``CNT``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.restart()

    def restart(self) -> None:
        self._model: Any = vars(cv2)["bgsegm"].__dict__[f"createBackgroundSubtractor{self.name}"]()

    def step(
        self, frame: SegmenterInput, context: Mapping[int, SegmenterInput], scene: Scene
    ) -> Float32Array:
        labels = self._model.apply(np.ascontiguousarray(frame.image[..., ::-1]))
        return (np.asarray(cv2.medianBlur(labels, 5))[None] == FOREGROUND_LABEL).astype(np.float32)


FOREGROUND_LABEL = 255

CONTRIB = {name.lower(): partial(ContribSubtractor, name) for name in ("GSOC", "LSBP", "CNT")}
"""Further subtractors, where the package of OpenCV is opencv-contrib."""

if hasattr(cv2, "bgsegm"):
    CLASSICAL = {**CLASSICAL, **CONTRIB}


class Clocked:
    """A segmenter that notes the seconds of its last step; everything else is left to the segmenter."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segmenter, name)

    def step(self, *inputs: Any) -> Float32Array:
        """Take the next frame; on a GPU the maps come back only when it is done."""
        begun = time.perf_counter()
        maps = self._segmenter.step(*inputs)
        self.seconds = time.perf_counter() - begun
        return maps


def network_of(method: str) -> str:
    """The name of a network without what follows it."""
    return method.removesuffix(TWO_PASSES).removesuffix(FOLLOWED)


def session(
    method: str,
    *,
    weights: Path | None = None,
    without: Collection[str] = (),
    device: str = "cpu",
    fast: bool = False,
    short_side: int = SHORT_SIDE,
    video: Video | None = None,
) -> ForegroundSession:
    """A fresh session, which tells shadow where the method does.

    Args:
        method: a key of :data:`CLASSICAL`, or the name of a network, with :data:`TWO_PASSES` or
            :data:`FOLLOWED` after it or not.
        weights: weight file of the network; None takes the bundled one.
        without: stages to leave out.
        device: for networks.
        fast: bfloat16.
        short_side: to which larger frames are reduced.
        video: what the first of two passes is made over, here and now.
    """
    masks = ForegroundMasks(shadows=True)
    if method in CLASSICAL:
        return ForegroundSession(CLASSICAL[method](), masks=masks, without=without, short_side=short_side)
    name, twice = network_of(method), method.endswith(TWO_PASSES)
    follows: Any = "auto" if method.endswith(FOLLOWED) else None
    segmenter = foreground_segmenter(name, weights, device=device, fast=fast)
    if not twice:
        return ForegroundSession(
            segmenter, masks=masks, without=without, follow_camera=follows, short_side=short_side
        )
    if video is None:
        raise ValueError(f"{method}: there is no video to learn the scene from")
    background = LearntBackground(VideoScenes(), of_this_video=True)
    passes = TwoPasses(
        segmenter,
        lambda: (frame for frame, _ in video.frames()),
        background,
        short_side=short_side,
        without=without,
    )
    deque(passes.learning(), maxlen=0)
    return ForegroundSession(
        segmenter, background=background, masks=masks, without=without, short_side=short_side
    )


def clocked(method: str, device: str, *, fast: bool = False, trained: bool = False) -> Clocked:
    """What a key of :data:`CLASSICAL` or the name of a network stands for.

    Args:
        method: the key or name; NAME=FILE is a network with a weight file.
        device: for networks.
        fast: bfloat16.
        trained: take the weights that come with segue, if there are some, and not random ones.
    """
    if method in CLASSICAL:
        return Clocked(CLASSICAL[method]())
    torch.manual_seed(0)
    name, _, file = method.partition("=")
    entry = MODELS.find(name)
    network: Any = name if trained and entry.bundled else entry.build().eval()
    if file:
        network = load(name, file)
    return Clocked(foreground_segmenter(network, device=device, fast=fast))
