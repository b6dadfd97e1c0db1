"""Labelled videos for foreground benchmarks: real ones, and what a bad camera makes of them.

Cameras that shake, are held by hand or pan; fog, haze, infrared and night; small objects; the scene without
anybody. Frames and labels come one by one, drawn from fixed seeds, by none of the code that shakes or fogs in
the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segue.datasets import open_sbi
from segue.datasets.foreground.cdnet import open_cdnet
from segue.datasets.foreground.folder import ForegroundSequence, numbered_files
from segue.datasets.foreground.labels import MOTION, OUTSIDE, STATIC, UNKNOWN, read_sbi_labels
from segue.types import Frame, Image
from segue.video.sources.images import read_image
from segue_train.data.cut_outs import CutOut, Mover, draw_mover
from segue_train.data.foreground.clips import paint
from segue_train.data.warp import Rng

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
                path = _hand_path(index_count(video, length), seed, image.shape[1])
            yield _exposed(image, path, index), None if labels is None else _moved(labels, path, index)

    return Video(f"{video.name}, hand-held", video.roi, shots)


def index_count(video: Video, length: int | None) -> int:
    """Frames of a video, ``length`` at most."""
    return sum(1 for _ in islice(video.shots(), length))


def _hand_path(frames: int, seed: int, width: int) -> npt.NDArray[np.float64]:
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


PAN_LENGTH = 300
"""Frames of a video."""

PAN_VIEW = 180, 240
"""Height and width of what the camera sees, in pixels."""

PAN_PACE = 2.0
"""Pixels a frame by which the camera pans."""

PAN_HEIGHT = 220
"""Height of the wide image: the camera goes up and down, too."""

FADE = 40
"""Pixels in which two stills fade into one another."""

MOVERS = 14
"""Objects of a video."""

NEAR, NEAR_WIDTH = 1.6, 7
"""Near things pass so many times faster than the wide image; how wide they are in pixels."""

Path3 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PanKind:
    """What happens in a video.

    Attributes:
        name: for tables.
        rest: frames for which the camera rests in the middle of the video.
        near: trunks stand between the camera and what it pans over.
    """

    name: str
    rest: int = 0
    near: bool = False


PAN_KINDS = (PanKind("pan"), PanKind("pan, rest, pan", rest=100), PanKind("pan, near things", near=True))


def panning_videos(stills: Path, cut_outs: Sequence[CutOut]) -> list[Video]:
    """One video of each kind.

    Args:
        stills: folder of images, of which the first by name are taken.
        cut_outs: what the objects look like.
    """
    return [panning(kind, stills, cut_outs, seed) for seed, kind in enumerate(PAN_KINDS, start=60)]


def panning(kind: PanKind, stills: Path, cut_outs: Sequence[CutOut], seed: int) -> Video:
    """A video of one kind, drawn from a seed."""

    def shots() -> Iterator[Shot]:
        rng = np.random.default_rng(seed)
        way = _way(rng, kind.rest)
        height, width = PAN_VIEW
        wide = wide_image(rng, stills, round(way[:, 0].max()) + width + 2, PAN_HEIGHT)
        movers = [_mover(rng, cut_outs, way, time) for time in np.linspace(10, PAN_LENGTH, MOVERS)]
        trunks = np.arange(60, NEAR * wide.shape[1], 150)
        for time in range(PAN_LENGTH):
            canvas, solid = wide.copy(), np.zeros(wide.shape[:2], np.uint8)
            for mover in movers:
                paint(canvas, solid, mover, time)
            x, y = way[time]
            matrix = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
            image = np.asarray(cv2.warpAffine(canvas, matrix, (width, height)), np.uint8)
            alpha = np.asarray(cv2.warpAffine(solid, matrix, (width, height)), np.uint8)
            labels = _labels(alpha)
            if kind.near:
                for trunk in trunks:
                    at = round(float(trunk - NEAR * x))
                    if -NEAR_WIDTH < at < width:
                        columns = slice(max(0, at), at + NEAR_WIDTH)
                        image[:, columns], labels[:, columns] = (52, 46, 40), STATIC
            noise = np.random.default_rng([seed, time]).standard_normal(image.shape, np.float32)
            yield np.asarray(np.clip(image + 1.5 * noise + 0.5, 0, 255), np.uint8), labels

    return Video(kind.name, np.ones(PAN_VIEW, bool), shots)


def _way(rng: Rng, rest: int) -> Path3:
    """Where the camera is on each frame, right and down in pixels of the wide image."""
    pace = np.full(PAN_LENGTH, PAN_PACE)
    pace[(PAN_LENGTH - rest) // 2 : (PAN_LENGTH + rest) // 2] = 0
    right = np.cumsum(cv2.GaussianBlur(pace[None], (0, 0), 3)[0])
    middle = (PAN_HEIGHT - PAN_VIEW[0]) / 2
    down = middle + 0.8 * middle * np.sin(right / 90 + rng.uniform(0, 6))
    return np.stack([right, down], axis=1) + rng.normal(0, 0.3, (PAN_LENGTH, 2)) * (pace > 0)[:, None]


def wide_image(rng: Rng, stills: Path, width: int, height: int) -> Image:
    """Stills side by side, (``height``, at least ``width``, 3)."""
    paths = sorted(stills.iterdir())
    wide: npt.NDArray[np.float32] | None = None
    while wide is None or wide.shape[1] < width:
        still = read_image(paths[int(rng.integers(len(paths)))])
        size = round(still.shape[1] * height / still.shape[0]), height
        part = np.asarray(cv2.resize(still, size, interpolation=cv2.INTER_AREA), np.float32)
        if wide is None:
            wide = part
            continue
        share = np.linspace(0, 1, FADE, dtype=np.float32)[None, :, None]
        seam = wide[:, -FADE:] * (1 - share) + part[:, :FADE] * share
        wide = np.concatenate([wide[:, :-FADE], seam, part[:, FADE:]], axis=1)
    return wide.astype(np.uint8)


def _mover(rng: Rng, cut_outs: Sequence[CutOut], way: Path3, time: float) -> Mover:
    """A mover that the camera sees at a time, and that goes on its way without a stop."""
    mover = draw_mover(rng, cut_outs, PAN_VIEW, heights=(0.12 * PAN_VIEW[0], 0.4 * PAN_VIEW[0]))
    vx, vy = mover.velocity
    right, down = way[min(int(time), PAN_LENGTH - 1)]
    x = right + rng.uniform(0.1, 0.9) * PAN_VIEW[1] - vx * time
    y = down + rng.uniform(0.4, 1.0) * PAN_VIEW[0] - 0.3 * vy * time
    return replace(mover.passing(0), place=(x, y), velocity=(vx, 0.3 * vy))


def _labels(alpha: npt.NDArray[np.uint8]) -> Labels:
    """Labels of CDnet2014: what is partly covered is unknown."""
    labels = np.full(alpha.shape, STATIC, np.uint8)
    labels[alpha > 50] = UNKNOWN
    labels[alpha > 150] = MOTION
    return labels
