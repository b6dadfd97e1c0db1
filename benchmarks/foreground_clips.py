"""Labelled videos for foreground benchmarks: as they are, and shaken.

Frames and labels come one by one; `foreground_events.py` puts events in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segue.datasets.cdnet import open_cdnet
from segue.datasets.foreground import ForegroundSequence
from segue.datasets.labels import UNKNOWN
from segue.types import Frame, Image

Labels = npt.NDArray[np.uint8]
Shot = tuple[Image, Labels | None]
"""An image and its labels, if it has some."""

FPS = 25.0
SHAKE_PIXELS, SHAKE_DEGREES = 4.0, 0.3
"""Standard deviations of an artificial shake: horizontal, vertical, and turning."""

SHAKE_BAND = (1.5, 6.0)
"""Widths, in frames, of the two Gaussians whose difference filters the shake."""

ZOOM = 1.06
"""A shaken video is enlarged so far that its border stays outside, mostly."""


@dataclass(frozen=True, slots=True)
class Video:
    """A video that can be played again and again.

    Attributes:
        name: for tables.
        roi: pixels that count, (H, W).
        shots: plays it.
    """

    name: str
    roi: npt.NDArray[np.bool_]
    shots: Callable[[], Iterator[Shot]]

    def frames(self) -> Iterator[tuple[Frame, Labels | None]]:
        """Frames with time stamps, and labels."""
        for index, (image, labels) in enumerate(self.shots()):
            yield Frame(index, index / FPS, image), labels


def read_videos(root: Path, names: list[str]) -> list[Video]:
    """Videos of a CDnet folder by ``category/video``."""
    videos = open_cdnet(root)
    return [video_of(videos[name]) for name in names]


def video_of(video: ForegroundSequence) -> Video:
    """A video of a data set."""

    def shots() -> Iterator[Shot]:
        for index in range(len(video)):
            yield video.read_image(index), video.read_labels(index) if index in video.labels else None

    return Video(video.name, video.read_roi(), shots)


def shaken(video: Video, seed: int = 0) -> Video:
    """Frames and labels moved together, as by a camera on a mast in the wind."""

    def shots() -> Iterator[Shot]:
        every = list(video.shots())
        for (image, labels), (right, down, turn) in zip(every, _path(len(every), seed), strict=True):
            height, width = image.shape[:2]
            matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, ZOOM)
            matrix[:, 2] += (right, down)
            size = width, height
            moved = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)
            if labels is not None:
                labels = np.asarray(
                    cv2.warpAffine(labels, matrix, size, flags=cv2.INTER_NEAREST, borderValue=UNKNOWN),
                    np.uint8,
                )
            yield np.asarray(moved, np.uint8), labels

    return Video(f"{video.name}, shaken", video.roi, shots)


def _path(length: int, seed: int) -> npt.NDArray[np.float64]:
    """Movement of each frame: right and down in pixels, turn in degrees."""
    fast, slow = SHAKE_BAND
    noise = np.random.default_rng(seed).standard_normal((length + 200, 3))
    band = ndimage.gaussian_filter1d(noise, fast, axis=0) - ndimage.gaussian_filter1d(noise, slow, axis=0)
    band = band[100 : 100 + length]
    return np.asarray(band / band.std(axis=0) * (SHAKE_PIXELS, SHAKE_PIXELS, SHAKE_DEGREES))
