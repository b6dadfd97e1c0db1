"""Development scenes of what is hard outdoors: shaking with blur, low contrast, small things, things in view.

They are made of highway and office, from fixed seeds; SBI2015's five videos begin with objects in view. None
of the code that shakes or fogs here is that of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from foreground_clips import Labels, Shot, Video, video_of
from segue.datasets import open_sbi
from segue.datasets.foreground import ForegroundSequence, numbered_files
from segue.datasets.labels import OUTSIDE, STATIC, UNKNOWN, read_sbi_labels
from segue.types import Image

REACH = 0.08
"""Largest movement of a shaken camera, in parts of the width."""

TURN = 1.5
"""Its largest angle in degrees."""

SHUTTER, READOUT = 0.9, 0.4
"""Times of the exposure and between the first and the last row, in parts of the time of a frame."""

POSES = 11
"""Images that are averaged for one exposure."""

EMPTY_LENGTH = 200
"""Frames of an empty scene."""

Change = Callable[[Image, int], Image]
"""An image as it is changed at an index."""


def sbi_videos(root: Path) -> list[Video]:
    """The videos of SBI2015 that are in a folder."""
    return [video_of(video) for video in open_sbi(root)]


def moving_videos(root: Path) -> list[Video]:
    """The videos of a folder that has the layout of SBI2015, whatever they are called."""
    found = []
    for folder in sorted(path for path in root.iterdir() if (path / "groundtruth").is_dir()):
        images, truths = (numbered_files(folder / name) for name in ("input", "groundtruth"))
        video = ForegroundSequence.of(folder.name, images, truths, decode_labels=read_sbi_labels)
        found.append(video_of(video))
    return found


def hand_held(video: Video, seed: int = 0, length: int | None = None) -> Video:
    """A video as a camera sees it that is shaken by up to :data:`REACH`, with blur and rolling shutter.

    Where the path leaves the image it is mirrored, and its label unknown.
    """

    def shots() -> Iterator[Shot]:
        path: npt.NDArray[np.float64] | None = None
        for index, (image, labels) in enumerate(islice(video.shots(), length)):
            if path is None:
                path = _path(index_count(video, length), seed, image.shape[1])
            yield _exposed(image, path, index), None if labels is None else _moved(labels, path, index)

    return Video(f"{video.name}, hand-held", video.roi, shots)


def index_count(video: Video, length: int | None) -> int:
    """Frames of a video, ``length`` at most."""
    return sum(1 for _ in islice(video.shots(), length))


def _path(frames: int, seed: int, width: int) -> npt.NDArray[np.float64]:
    """Position of the camera in x, y (pixels) and angle (degrees), :data:`POSES` times a frame."""
    noise = np.random.default_rng(seed).standard_normal(((frames + 40) * POSES, 3))
    hand = ndimage.gaussian_filter1d(noise, 0.9 * POSES, axis=0)  # trembles within a few frames
    wind = ndimage.gaussian_filter1d(noise[::-1], 5 * POSES, axis=0)
    path = (hand / hand.std(axis=0) + wind / wind.std(axis=0))[10 * POSES : (frames + 20) * POSES]
    gusts = 0.35 + 0.65 * np.sin(np.arange(len(path)) * 2 * np.pi / (90 * POSES)) ** 2
    path = (path - path[POSES * 4]) * gusts[:, None]
    return np.asarray(path / np.abs(path).max(axis=0) * (REACH * width, 0.6 * REACH * width, TURN))


def _rows_of(path: npt.NDArray[np.float64], time: float, height: int) -> npt.NDArray[np.float64]:
    """Where the camera is when each row is read, (height, 3); ``time`` in frames."""
    times = (time + 4 + READOUT * (np.arange(height) / height - 0.5)) * POSES
    places = np.arange(len(path))
    return np.stack([np.interp(times, places, path[:, i]) for i in range(3)], axis=1)


def _maps(pose: npt.NDArray[np.float64], size: tuple[int, int]) -> tuple[npt.NDArray[np.float32], ...]:
    """Where each pixel of the frame comes from in the still image."""
    height, width = size
    x = np.arange(width) - width / 2
    y = np.arange(height)[:, None] - height / 2
    cosine, sine = (f(np.deg2rad(pose[:, 2]))[:, None] for f in (np.cos, np.sin))
    columns = cosine * x - sine * y + pose[:, 0:1] + width / 2
    rows = sine * x + cosine * y + pose[:, 1:2] + height / 2
    return columns.astype(np.float32), rows.astype(np.float32)


def _exposed(image: Image, path: npt.NDArray[np.float64], index: int) -> Image:
    total = np.zeros(image.shape, np.float32)
    for part in np.linspace(-0.5, 0.5, POSES):
        pose = _rows_of(path, index + SHUTTER * part, image.shape[0])
        columns, rows = _maps(pose, image.shape[:2])
        total += cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    noise = np.random.default_rng([5, index]).standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(total / POSES + noise + 0.5, 0, 255), np.uint8)


def _moved(labels: Labels, path: npt.NDArray[np.float64], index: int) -> Labels:
    pose = _rows_of(path, index, labels.shape[0])
    columns, rows = _maps(pose, (labels.shape[0], labels.shape[1]))
    return np.asarray(cv2.remap(labels, columns, rows, cv2.INTER_NEAREST, borderValue=UNKNOWN), np.uint8)


def changed(video: Video, what: str, change: Change, length: int) -> Video:
    """The first frames of a video, all of which is changed."""

    def shots() -> Iterator[Shot]:
        for index, (image, labels) in enumerate(islice(video.shots(), length)):
            yield change(image, index), labels

    return Video(f"{video.name}, {what}", video.roi, shots)


def _noisy(values: npt.NDArray[np.float32], sigma: float, index: int, *, grey: bool) -> Image:
    rng = np.random.default_rng([11, index])
    shape = (*values.shape[:2], 1) if grey else values.shape
    return np.asarray(
        np.clip(values + sigma * rng.standard_normal(shape, np.float32) + 0.5, 0, 255), np.uint8
    )


def fog(image: Image, index: int, *, near: float = 0.4, far: float = 0.1) -> Image:
    """Fog in a grey video: a share ``near`` of the light comes through at the bottom, ``far`` at the top."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    share = np.linspace(far, near, len(grey), dtype=np.float32)[:, None]
    return _noisy(np.repeat((grey * share + 190 * (1 - share))[..., None], 3, 2), 1.0, index, grey=True)


def haze(image: Image, index: int) -> Image:
    """Coloured haze, with the noise of a phone."""
    air = np.array([205, 200, 185], np.float32)
    return _noisy(image * np.float32(0.3) + air * np.float32(0.7), 2.0, index, grey=False)


def infrared(image: Image, index: int) -> Image:
    """A thermal camera: grey, what is dark is warm, soft and noisy."""
    grey = cv2.GaussianBlur(255 - image[..., 0], (0, 0), 1.2).astype(np.float32)
    return _noisy(np.repeat((60 + 0.35 * grey)[..., None], 3, 2), 3.0, index, grey=True)


def night(image: Image, index: int) -> Image:
    """Little light and much noise, in grey."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return _noisy(np.repeat((8 + 0.35 * grey)[..., None], 3, 2), 5.0, index, grey=True)


def reduced_to(video: Video, share: float) -> Video:
    """A video whose objects are small: each frame is reduced and laid four or more times beside itself."""

    def shots() -> Iterator[Shot]:
        for image, labels in video.shots():
            height, width = image.shape[:2]
            size = round(width * share), round(height * share)
            tiles = -(-height // size[1]), -(-width // size[0])
            reduced = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            small = np.tile(reduced, (*tiles, 1))
            if labels is None:
                yield small[:height, :width], None
                continue
            nearest = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
            few = np.tile(np.asarray(nearest, np.uint8), tiles)
            yield small[:height, :width], few[:height, :width]

    def roi() -> npt.NDArray[np.bool_]:
        height, width = video.roi.shape
        size = round(width * share), round(height * share)
        tiles = -(-height // size[1]), -(-width // size[0])
        own = cv2.resize(video.roi.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
        return np.asarray(np.tile(own, tiles)[:height, :width])

    return replace(video, name=f"{video.name}, small", roi=roi(), shots=shots)


def empty_scene(video: Video, length: int = EMPTY_LENGTH) -> Video:
    """The median of a video with the noise of a sensor: nobody is there."""

    def shots() -> Iterator[Shot]:
        images = [image for index, (image, _) in enumerate(video.shots()) if index % 12 == 0]
        plate = np.median(np.stack(images), axis=0).astype(np.float32)
        nothing = np.full(plate.shape[:2], STATIC, np.uint8)
        nothing[~video.roi] = OUTSIDE
        for index in range(length):
            yield _noisy(plate, 1.5, index, grey=False), nothing

    return Video(f"{video.name}, empty", video.roi, shots)
