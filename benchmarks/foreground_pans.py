"""Videos of a camera that pans for hundreds of frames, with labels: a window moves over a wide image.

The image is made of stills side by side, which fade into one another; objects of DAVIS val move over it.
Everything is drawn from fixed seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from foreground_clips import Labels, Shot, Video
from segue.datasets.labels import MOTION, STATIC, UNKNOWN
from segue.types import Image
from segue.video.images import read_image
from segue_train.cut_outs import CutOut, Mover, draw_mover
from segue_train.foreground_clips import paint
from segue_train.warp import Rng

LENGTH = 300
"""Frames of a video."""

VIEW = 180, 240
"""Height and width of what the camera sees, in pixels."""

PACE = 2.0
"""Pixels a frame by which the camera pans."""

HEIGHT = 220
"""Height of the wide image: the camera goes up and down, too."""

FADE = 40
"""Pixels in which two stills fade into one another."""

MOVERS = 14
"""Objects of a video."""

NEAR, NEAR_WIDTH = 1.6, 7
"""Near things pass so many times faster than the wide image; how wide they are in pixels."""

Path3 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kind:
    """What happens in a video.

    Attributes:
        name: for tables.
        rest: frames for which the camera rests in the middle of the video.
        near: trunks stand between the camera and what it pans over.
    """

    name: str
    rest: int = 0
    near: bool = False


KINDS = (Kind("pan"), Kind("pan, rest, pan", rest=100), Kind("pan, near things", near=True))


def panning_videos(stills: Path, cut_outs: Sequence[CutOut]) -> list[Video]:
    """One video of each kind.

    Args:
        stills: folder of images, of which the first by name are taken.
        cut_outs: what the objects look like.
    """
    return [panning(kind, stills, cut_outs, seed) for seed, kind in enumerate(KINDS, start=60)]


def panning(kind: Kind, stills: Path, cut_outs: Sequence[CutOut], seed: int) -> Video:
    """A video of one kind, drawn from a seed."""

    def shots() -> Iterator[Shot]:
        rng = np.random.default_rng(seed)
        way = _way(rng, kind.rest)
        height, width = VIEW
        wide = _wide(rng, stills, round(way[:, 0].max()) + width + 2)
        movers = [_mover(rng, cut_outs, way, time) for time in np.linspace(10, LENGTH, MOVERS)]
        trunks = np.arange(60, NEAR * wide.shape[1], 150)
        for time in range(LENGTH):
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

    return Video(kind.name, np.ones(VIEW, bool), shots)


def _way(rng: Rng, rest: int) -> Path3:
    """Where the camera is on each frame, right and down in pixels of the wide image."""
    pace = np.full(LENGTH, PACE)
    pace[(LENGTH - rest) // 2 : (LENGTH + rest) // 2] = 0
    right = np.cumsum(cv2.GaussianBlur(pace[None], (0, 0), 3)[0])
    middle = (HEIGHT - VIEW[0]) / 2
    down = middle + 0.8 * middle * np.sin(right / 90 + rng.uniform(0, 6))
    return np.stack([right, down], axis=1) + rng.normal(0, 0.3, (LENGTH, 2)) * (pace > 0)[:, None]


def _wide(rng: Rng, stills: Path, width: int) -> Image:
    """Stills side by side, (HEIGHT, at least ``width``, 3)."""
    paths = sorted(stills.iterdir())
    wide: npt.NDArray[np.float32] | None = None
    while wide is None or wide.shape[1] < width:
        still = read_image(paths[int(rng.integers(len(paths)))])
        size = round(still.shape[1] * HEIGHT / still.shape[0]), HEIGHT
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
    mover = draw_mover(rng, cut_outs, VIEW, heights=(0.12 * VIEW[0], 0.4 * VIEW[0]))
    vx, vy = mover.velocity
    right, down = way[min(int(time), LENGTH - 1)]
    x = right + rng.uniform(0.1, 0.9) * VIEW[1] - vx * time
    y = down + rng.uniform(0.4, 1.0) * VIEW[0] - 0.3 * vy * time
    return replace(mover.passing(0), place=(x, y), velocity=(vx, 0.3 * vy))


def _labels(alpha: npt.NDArray[np.uint8]) -> Labels:
    """Labels of CDnet2014: what is partly covered is unknown."""
    labels = np.full(alpha.shape, STATIC, np.uint8)
    labels[alpha > 50] = UNKNOWN
    labels[alpha > 150] = MOTION
    return labels
