"""Labelled videos with events put in; the labels tell what would be right.

A light that is switched, a cut, somebody who stops or leaves, missing frames, another resolution, and
backgrounds that move by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from foreground_clips import Labels, Shot, Video
from segue.datasets.labels import MOTION, STATIC, UNKNOWN
from segue.sessions.empty_scene import Scene, scene_planes
from segue.types import Image

BEFORE, AFTER = 100, 60
"""Frames of a video before and after an event."""

SENSOR = 2.0
"""Standard deviation of the noise that is put on repeated on_screen, in levels."""

LIGHT_OFF = 0.45
"""Share of the light that is left at the darker side of a shown when the light is switched off."""

JUMP = 1.45
"""Gain of a camera that changes its exposure from one frame to the next."""

WAVE_PIXELS, WAVE_FRAMES = 3.0, 20
"""Standard deviation of what a background waves, and how many frames a wave takes."""

SCREEN_FRAMES = 5
"""Frames between two on_screen of a screen."""


@dataclass(frozen=True, slots=True)
class Event:
    """A video in which something happens.

    Attributes:
        name: what happens.
        video: the video.
        at: frame from which on all must be well again.
    """

    name: str
    video: Video
    at: int


def cut(first: Video, second: Video) -> Event:
    """One video, then another one of the same size."""

    def shots() -> Iterator[Shot]:
        size = first.roi.shape
        yield from _part(first, 0, BEFORE)
        for image, labels in _part(second, 0, AFTER):
            yield _resized(image, labels, (size[0], size[1]))

    name = f"{first.name} to {second.name}"
    return Event("scene cut", Video(name, np.ones_like(first.roi), shots), BEFORE)


def switched(video: Video) -> Event:
    """The light goes, more at one side than at the other, and comes back."""

    def shots() -> Iterator[Shot]:
        for index, (image, labels) in enumerate(_part(video, 0, BEFORE + AFTER)):
            if BEFORE <= index < BEFORE + AFTER // 2:
                across = np.linspace(LIGHT_OFF, 1.6 * LIGHT_OFF, image.shape[1])[None, :, None]
                image = _bytes(image * across)
            yield image, labels

    return Event("light switch", Video(video.name, video.roi, shots), BEFORE)


def exposed(video: Video) -> Event:
    """The camera takes another exposure, for good."""

    def shots() -> Iterator[Shot]:
        for index, (image, labels) in enumerate(_part(video, 0, BEFORE + AFTER)):
            yield (image if index < BEFORE else _bytes(image * JUMP)), labels

    return Event("exposure jump", Video(video.name, video.roi, shots), BEFORE)


def stopped(video: Video, frames: int = 250) -> Event:
    """The video stands still from some frame on, but for the noise of the sensor."""

    def shots() -> Iterator[Shot]:
        last: Shot | None = None
        for last in _part(video, 0, BEFORE):
            yield last
        assert last is not None
        yield from ((image, last[1]) for image in _noisy(last[0], frames))

    return Event("everybody stops", Video(video.name, video.roi, shots), BEFORE)


def empty(video: Video) -> Event:
    """The scene without anybody."""

    def shots() -> Iterator[Shot]:
        scene = without_anybody(video)
        yield from ((image, _nothing(scene)) for image in _noisy(scene, AFTER))

    return Event("empty scene", Video(video.name, video.roi, shots), 0)


def left(video: Video, leaves: int = 40, heals: int = 150) -> Event:
    """Somebody who was there from the first frame on leaves, and nobody comes: what stays is a ghost."""

    def shots() -> Iterator[Shot]:
        image, labels = max(
            ((image, labels) for image, labels in video.shots() if labels is not None),
            key=lambda shot: int((shot[1] == MOTION).sum()),
        )
        # Somebody who has always been there cannot be told from the scene: that part counts for nothing.
        doubtful = np.where(labels == MOTION, UNKNOWN, STATIC).astype(np.uint8)
        scene = without_anybody(video)
        yield from ((shown, doubtful) for shown in _noisy(image, leaves))
        yield from ((shown, _nothing(scene)) for shown in _noisy(scene, heals + AFTER))

    return Event("somebody leaves", Video(video.name, video.roi, shots), leaves + heals)


def dropped(video: Video) -> Event:
    """The connection fails: frames are missing, a second of them and then two of three."""

    def shots() -> Iterator[Shot]:
        yield from _part(video, 0, BEFORE)
        yield from list(_part(video, BEFORE + 25, BEFORE + 25 + 3 * AFTER))[::3]

    return Event("frames missing", Video(video.name, video.roi, shots), BEFORE)


def resized(video: Video) -> Event:
    """The camera changes its resolution, twice."""

    def shots() -> Iterator[Shot]:
        height, width = video.roi.shape
        for index, (image, labels) in enumerate(_part(video, 0, BEFORE + AFTER)):
            factor = 1.0 if index < BEFORE else 0.5 if index < BEFORE + AFTER // 2 else 1.5
            yield _resized(image, labels, (round(factor * height), round(factor * width)))

    return Event("other resolution", Video(video.name, video.roi, shots), BEFORE)


def waving(video: Video, seed: int = 0) -> Event:
    """The empty scene, half of which waves as leaves and water do."""

    def shots() -> Iterator[Shot]:
        scene = without_anybody(video)
        height, width = scene.shape[:2]
        rows, columns = np.indices((height, width), dtype=np.float32)
        edge = ndimage.gaussian_filter(np.where(columns < width / 2, 1.0, 0.0), 4)
        fields = [_field(seed + i, (height, width)) for i in range(4)]
        for index, shown in enumerate(_noisy(scene, BEFORE)):
            turn = 2 * np.pi * index / WAVE_FRAMES
            down, right = (
                edge * (np.sin(turn) * one + np.cos(1.7 * turn) * other)
                for one, other in (fields[:2], fields[2:])
            )
            moved = cv2.remap(
                shown,
                (columns + right).astype(np.float32),
                (rows + down).astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT,
            )
            yield np.asarray(moved, np.uint8), _nothing(scene)

    return Event("waving background", Video(video.name, video.roi, shots), AFTER)


def screens(video: Video, other: Video) -> Event:
    """The empty scene with a screen on which another video runs."""

    def shots() -> Iterator[Shot]:
        scene = without_anybody(video)
        height, width = (side // 4 for side in scene.shape[:2])
        on_screen = [image for image, _ in _part(other, 0, BEFORE)][::SCREEN_FRAMES]
        for index, image in enumerate(_noisy(scene, BEFORE)):
            screen = cv2.resize(on_screen[index // SCREEN_FRAMES], (width, height))
            image[height : 2 * height, 2 * width : 3 * width] = screen
            yield image, _nothing(scene)

    return Event("screen", Video(video.name, video.roi, shots), AFTER)


def events(videos: list[Video]) -> Iterator[Event]:
    """All events of the videos."""
    yield cut(videos[0], videos[-1])
    for video in videos:
        yield from (switched(video), exposed(video), dropped(video), resized(video))
        yield from (empty(video), stopped(video), left(video), waving(video), screens(video, videos[0]))


def without_anybody(video: Video) -> Image:
    """Median of a video over the frames in which a pixel is labelled as background."""
    shots = [(image, labels) for image, labels in video.shots() if labels is not None][::5]
    frames = np.ascontiguousarray(np.stack([image.transpose(2, 0, 1) for image, _ in shots]))
    near = np.ones((9, 9), np.uint8)
    hidden = [cv2.dilate((labels != STATIC).astype(np.uint8), near) > 0 for _, labels in shots]
    return Scene(scene_planes(frames, np.stack(hidden), least=1)).image


def _part(video: Video, first: int, last: int) -> Iterator[Shot]:
    """Shots ``first`` to ``last - 1``, as far as there are so many."""
    for index, shot in enumerate(video.shots()):
        if index >= last:
            return
        if index >= first:
            yield shot


def _noisy(shown: Image, frames: int) -> Iterator[Image]:
    """A shown again and again, with the noise of a sensor."""
    rng = np.random.default_rng(0)
    for _ in range(frames):
        yield _bytes(shown + rng.normal(0, SENSOR, shown.shape))


def _field(seed: int, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """A smooth field with a deviation of :data:`WAVE_PIXELS`."""
    noise = np.random.default_rng(seed).standard_normal(size)
    smooth = ndimage.gaussian_filter(noise, max(size) / 24)
    return np.asarray(smooth / smooth.std() * WAVE_PIXELS / 2**0.5)


def _nothing(scene: Image) -> Labels:
    return np.zeros(scene.shape[:2], np.uint8)


def _bytes(values: npt.NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _resized(image: Image, labels: Labels | None, size: tuple[int, int]) -> Shot:
    height, width = size
    shown = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if labels is not None:
        labels = np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    return shown, labels
