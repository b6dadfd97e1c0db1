"""Labelled films for foreground benchmarks: as they are, shaken, and with events put in.

Frames and labels come one by one; where something was made up, the labels tell what would be right.
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
from segue.datasets.labels import MOTION, UNKNOWN
from segue.types import Frame, Image

Labels = npt.NDArray[np.uint8]
Shot = tuple[Image, Labels | None]
"""A picture and its labels, if it has some."""

FPS = 25.0
SHAKE_PIXELS, SHAKE_DEGREES = 4.0, 0.3
"""Standard deviations of an artificial shake: horizontal, vertical, and turning."""

SHAKE_BAND = (1.5, 6.0)
"""Widths, in frames, of the two Gaussians whose difference filters the shake."""

ZOOM = 1.06
"""A shaken film is enlarged so far that its border stays outside, mostly."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film that can be played again and again.

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


def read_films(root: Path, names: list[str]) -> list[Film]:
    """Films of a CDnet folder by ``category/video``."""
    videos = open_cdnet(root)
    return [_plain(videos[name]) for name in names]


def _plain(video: ForegroundSequence) -> Film:
    def shots() -> Iterator[Shot]:
        for index in range(len(video)):
            yield video.read_image(index), video.read_labels(index) if index in video.labels else None

    return Film(video.name, video.read_roi(), shots)


def shaken(film: Film, seed: int = 0) -> Film:
    """Frames and labels moved together, as by a camera on a mast in the wind."""

    def shots() -> Iterator[Shot]:
        every = list(film.shots())
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

    return Film(f"{film.name}, shaken", film.roi, shots)


def _path(length: int, seed: int) -> npt.NDArray[np.float64]:
    """Movement of each frame: right and down in pixels, turn in degrees."""
    fast, slow = SHAKE_BAND
    noise = np.random.default_rng(seed).standard_normal((length + 200, 3))
    band = ndimage.gaussian_filter1d(noise, fast, axis=0) - ndimage.gaussian_filter1d(noise, slow, axis=0)
    band = band[100 : 100 + length]
    return np.asarray(band / band.std(axis=0) * (SHAKE_PIXELS, SHAKE_PIXELS, SHAKE_DEGREES))


def cut(first: Film, second: Film, at: int = 100) -> Film:
    """One film, then another."""

    def shots() -> Iterator[Shot]:
        for index, shot in enumerate(first.shots()):
            if index == at:
                break
            yield shot
        size = first.roi.shape
        for image, labels in second.shots():
            yield _fitted(image, size, cv2.INTER_AREA), _fitted_labels(labels, size)

    return Film(f"{first.name} cut to {second.name}", np.ones_like(first.roi), shots)


def switched(film: Film, at: int = 150, light: float = 0.45) -> Film:
    """The light goes, more at one side than at the other, and comes back a hundred frames later."""

    def shots() -> Iterator[Shot]:
        for index, (image, labels) in enumerate(film.shots()):
            if at <= index < at + 100:
                across = np.linspace(light, min(1.0, 1.6 * light), image.shape[1])[None, :, None]
                yield np.asarray(np.clip(image * across, 0, 255), np.uint8), labels
            else:
                yield image, labels

    return Film(f"{film.name}, light switched", film.roi, shots)


def stopped(film: Film, at: int = 200, frames: int = 500) -> Film:
    """The film stands still from some frame on, but for the noise of the sensor."""

    def shots() -> Iterator[Shot]:
        rng = np.random.default_rng(0)
        for index, shot in enumerate(film.shots()):
            if index < at:
                yield shot
                continue
            image, labels = shot
            for _ in range(frames):
                yield np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8), labels
            return

    return Film(f"{film.name}, everybody stops", film.roi, shots)


def empty(film: Film, frames: int = 200) -> Film:
    """The scene without anybody: the median of the film, with the noise of a sensor."""

    def shots() -> Iterator[Shot]:
        rng = np.random.default_rng(0)
        scene = np.median([image for image, _ in list(film.shots())[::9]], axis=0)
        nothing = np.zeros(scene.shape[:2], np.uint8)
        for _ in range(frames):
            yield np.clip(scene + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8), nothing

    return Film(f"{film.name}, empty", film.roi, shots)


def left(film: Film, leaves: int = 40, frames: int = 400) -> Film:
    """Somebody who was there from the first frame on leaves, and nobody comes: what stays is a ghost."""

    def shots() -> Iterator[Shot]:
        every = list(film.shots())
        image, labels = max(
            (shot for shot in every if shot[1] is not None), key=lambda shot: int((shot[1] == MOTION).sum())
        )
        scene = np.median([picture for picture, _ in every[::9]], axis=0)
        rng = np.random.default_rng(0)
        nothing = np.zeros(scene.shape[:2], np.uint8)
        assert labels is not None
        for index in range(frames):
            picture = image if index < leaves else scene
            # Somebody who has always been there cannot be told from the scene: that part counts for nothing.
            truth = np.where(labels == MOTION, UNKNOWN, 0).astype(np.uint8) if index < leaves else nothing
            yield np.clip(picture + rng.normal(0, 2, scene.shape), 0, 255).astype(np.uint8), truth

    return Film(f"{film.name}, somebody leaves", film.roi, shots)


def _fitted(image: Image, size: tuple[int, ...], how: int) -> Image:
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=how), np.uint8)


def _fitted_labels(labels: Labels | None, size: tuple[int, ...]) -> Labels | None:
    return None if labels is None else _fitted(labels, size, cv2.INTER_NEAREST)
