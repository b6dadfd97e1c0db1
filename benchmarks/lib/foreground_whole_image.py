"""Labelled videos in which the whole image changes: light, camera, lens. Real stills, real movers over them.

Each video is still for some time, changes once or more, and is still again, while objects go through it. From
the beginning of a change until a second after its end nothing may be foreground. Frames before
:data:`BEGINS` have no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.lib.foreground_clips import Labels, Shot, Video, wide_image
from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue_train.data.cut_outs import CutOut, Mover, draw_mover
from segue_train.data.foreground.clips import paint
from segue_train.data.warp import Rng

Levels = npt.NDArray[np.float32]

VIEW = 180, 240
"""Height and width of what the camera sees, in pixels."""

BEGINS, AT = 61, 70
"""The first frame with labels, and the one on which the first change begins."""

STILL = 90
"""Frames between two changes, and after the last one."""

SECOND = 25
"""Frames after a change in which nothing may be foreground."""

FULL_HEIGHT = 200
"""Height of the wide image."""

MOVERS = 3
"""Objects while the image is still."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The image between two changes.

    Attributes:
        right: where the camera is, in pixels of the wide image.
        zoom: how much nearer the camera is.
        turn: its angle, in degrees.
        down: how much lower it is, in pixels.
        look: what becomes of the levels, (H, W, 3), 0 to 255.
        noise: standard deviation of the sensor, in levels.
        frames: length.
        way: frames of the change that leads to it; in them camera and levels go from the one to the other.
    """

    right: float = 0.0
    zoom: float = 1.0
    turn: float = 0.0
    down: float = 0.0
    look: Callable[[Levels], Levels] = lambda levels: levels
    noise: float = 1.5
    frames: int = STILL
    way: int = 1


def _grey(levels: Levels) -> Levels:
    """As cameras show the night: one channel, softer contrast."""
    grey = levels @ np.array([0.55, 0.3, 0.15], np.float32)
    return np.asarray(np.repeat(0.75 * grey[..., None] + 20, 3, 2), np.float32)


def _dark(levels: Levels) -> Levels:
    return np.asarray(0.3 * (0.6 * levels + 0.4 * levels.mean(axis=2, keepdims=True)) + 6, np.float32)


def _flash(levels: Levels) -> Levels:
    return np.asarray(255 - 0.5 * (255 - levels), np.float32)


def _covered(levels: Levels) -> Levels:
    """Cloth or a hand before the lens."""
    shade = np.linspace(18, 40, levels.shape[1], dtype=np.float32)[None, :, None]
    return np.asarray(np.broadcast_to(shade, levels.shape), np.float32)


def _warm(levels: Levels) -> Levels:
    return np.asarray(levels * np.array([1.0, 0.75, 0.55]), np.float32)


def _bright(levels: Levels) -> Levels:
    return np.asarray(1.5 * levels, np.float32)


DAY = Stay()
NIGHT = Stay(look=_grey, noise=4.0)
FAR, FARTHER = Stay(right=420, way=10), Stay(right=840, way=10)

KINDS: dict[str, tuple[Stay, ...]] = {
    "grey and back": (NIGHT, DAY),
    "infrared": (Stay(look=_flash, frames=6), NIGHT),
    "exposure": (Stay(look=_bright), DAY),
    "white balance": (Stay(look=_warm),),
    "night mode": (Stay(look=_dark, noise=4.0, way=20),),
    "preset tour": (FAR, FARTHER, replace(DAY, way=10)),
    "pan of 10 frames": (Stay(right=130, way=10),),
    "pan of 40 frames": (Stay(right=420, way=40),),
    "cut and back": (replace(FAR, way=1), DAY),
    "zoom": (Stay(zoom=1.4, way=3),),
    "lens covered": (Stay(look=_covered, frames=40), DAY),
    "camera bumped": (Stay(turn=5.0, right=22, down=9, way=2),),
}
"""What the image changes to, one after the other, from a still day on."""


def whole_image_videos(stills: Path, cut_outs: Sequence[CutOut], seed: int = 80) -> list[Video]:
    """One video of each kind.

    Args:
        stills: folder of images, some of which stand side by side.
        cut_outs: what the objects look like.
        seed: of the first video.
    """
    return [
        whole_image_video(name, stays, stills, cut_outs, number)
        for number, (name, stays) in enumerate(KINDS.items(), start=seed)
    ]


def whole_image_video(
    name: str, stays: Sequence[Stay], stills: Path, cut_outs: Sequence[CutOut], seed: int
) -> Video:
    """A video of one kind, drawn from a seed."""
    course = _course(stays)

    def shots() -> Iterator[Shot]:
        rng = np.random.default_rng(seed)
        wide = wide_image(rng, stills, 840 + VIEW[1] + 60, FULL_HEIGHT)
        movers = list(_movers(rng, cut_outs, course))
        for time, (old, new, share, busy) in enumerate(course):
            canvas, solid = wide.copy(), np.zeros(wide.shape[:2], np.uint8)
            for mover in movers:
                paint(canvas, solid, mover, time)
            matrix = _matrix(old, new, share)
            size = VIEW[::-1]
            image = cv2.warpAffine(canvas, matrix, size, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)
            alpha = np.asarray(cv2.warpAffine(solid, matrix, size), np.uint8)
            image = np.clip((1 - share) * old.look(image) + share * new.look(image), 0, 255)
            noise = np.random.default_rng([seed, time]).standard_normal(image.shape, np.float32)
            shown = np.clip(image + new.noise * noise + 0.5, 0, 255).astype(np.uint8)
            yield shown, _labels(alpha, busy=busy) if time >= BEGINS else None

    return Video(name, np.ones(VIEW, bool), shots)


Moment = tuple[Stay, Stay, float, bool]
"""From what to what the image changes, how far it has come, and whether all foreground is wrong."""


def _course(stays: Sequence[Stay]) -> list[Moment]:
    old, course = Stay(frames=AT), [(Stay(), Stay(), 1.0, False)] * AT
    for stay in stays:
        course += [(old, stay, (step + 1) / stay.way, True) for step in range(stay.way)]
        course += [(stay, stay, 1.0, step < SECOND) for step in range(stay.frames)]
        old = stay
    return course


def _movers(rng: Rng, cut_outs: Sequence[CutOut], course: Sequence[Moment]) -> Iterator[Mover]:
    """Movers that are in the view at times at which it is still."""
    quiet = [time for time, (*_, busy) in enumerate(course) if not busy]
    first = [time for time in quiet if 15 < time < AT]
    last = [time for time in quiet if time >= AT]
    for time in (*rng.choice(first, 1), *rng.choice(last, min(MOVERS, len(last)), replace=False)):
        stay = course[time][1]
        mover = draw_mover(rng, cut_outs, VIEW, heights=(0.2 * VIEW[0], 0.5 * VIEW[0]))
        pace = float(rng.choice([-1, 1]) * rng.uniform(2, 4))
        x = stay.right + rng.uniform(0.3, 0.7) * VIEW[1] - pace * time
        y = rng.uniform(0.6, 1.0) * VIEW[0]
        yield replace(mover.passing(0), place=(x, y), velocity=(pace, 0.0))


def _matrix(old: Stay, new: Stay, share: float) -> npt.NDArray[np.float64]:
    def between(first: float, second: float) -> float:
        return (1 - share) * first + share * second

    height, width = VIEW
    right, down = between(old.right, new.right), between(old.down, new.down)
    middle = width / 2 + right, height / 2 + down
    matrix = cv2.getRotationMatrix2D(middle, between(old.turn, new.turn), between(old.zoom, new.zoom))
    matrix[:, 2] -= np.array([right, down])
    return np.asarray(matrix)


def _labels(alpha: npt.NDArray[np.uint8], *, busy: bool) -> Labels:
    """Labels of CDnet2014; objects are unknown while nothing need be found."""
    labels = np.full(alpha.shape, STATIC, np.uint8)
    labels[alpha > 50] = UNKNOWN
    if not busy:
        labels[alpha > 150] = MOTION
    return labels
