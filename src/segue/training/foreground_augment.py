"""Changes of foreground windows, the same for all frames or growing over time, that leave the labels true.

The paper of MUSTAN does not tell its augmentations; the ranges are our reading (see docs/systems/mustan.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from segue.training.foreground_clips import Sample
from segue.training.photo import Jitter
from segue.training.scenery import blob
from segue.training.warp import Picture, Plane, Rng, Size, log_uniform, random_part

COLOUR = Jitter(brightness=0.4, contrast=0.4, saturation=0.3, hue=0.05)
GAMMA = (0.7, 1.5)

SCALE = (0.75, 1.5)
"""Enlargement of a picture whose short side was brought to that of the crop."""

NOISE = 0.04
"""Largest deviation of the noise, of 1."""

BLUR = (0.3, 1.2)
"""Range of the blur's deviation in pixels."""

DRIFT = 0.1
"""Largest change of the light from one end of a window to the other, in parts."""

SHIFT = 0.02
"""Most that a context frame lies beside the current one, in parts of the sides."""

OFTEN, SELDOM = 0.5, 0.3
"""Shares of the windows with noise or drift; with blur, shifted context or shadows."""


def cut(rng: Rng, pictures: Sequence[Picture], size: Size) -> list[Picture]:
    """The same random part of all pictures at ``size`` (H, W), every second time mirrored.

    Colours (H, W, 3) are resampled, labels (H, W) take the nearest pixel.
    """
    height, width = pictures[0].shape[:2]
    scale = min(size) / min(height, width) * rng.uniform(*SCALE)
    part = random_part(
        rng, (height, width), (min(height, round(size[0] / scale)), min(width, round(size[1] / scale)))
    )
    step = -1 if rng.random() < 0.5 else 1
    return [_resize(np.ascontiguousarray(picture[part][:, ::step]), size) for picture in pictures]


def augment(rng: Rng, sample: Sample, now: int) -> Sample:
    """Change the light, the colours and the sensor of a window and its background; ``now`` is current."""
    frames = [*sample.window, sample.background]
    times = [*(i - now for i in range(len(sample.window))), 0]
    if rng.random() < SELDOM:
        frames = _shade(rng, frames, times)
    if rng.random() < SELDOM:
        frames = [frame if i == now else _shift(rng, frame) for i, frame in enumerate(frames)]
    change, table = COLOUR.draw(rng), _gamma(rng)
    frames = [cv2.LUT(change(frame), table) for frame in frames]
    if rng.random() < OFTEN:
        slope = rng.uniform(-DRIFT, DRIFT) / max(1, len(sample.window) - 1)
        frames = [_gain(frame, 1 + slope * time) for frame, time in zip(frames, times, strict=True)]
    if rng.random() < SELDOM:
        deviation = rng.uniform(*BLUR)
        frames = [cv2.GaussianBlur(frame, (0, 0), deviation) for frame in frames]
    if rng.random() < OFTEN:
        deviation = 255 * rng.uniform(0, NOISE)
        frames = [_noise(rng, frame, deviation) for frame in frames]
    *window, background = frames
    return Sample(np.stack(window), background, sample.labels)


def _shade(rng: Rng, frames: Sequence[Picture], times: Sequence[int]) -> list[Picture]:
    """Darken a soft region that moves on from frame to frame; it is no foreground."""
    height, width = frames[0].shape[:2]
    field = blob(rng, (2 * height, 2 * width), rng.uniform(0.05, 0.3))
    depth, (down, right) = rng.uniform(0.1, 0.6), rng.uniform(-0.06, 0.06, 2)
    shaded = []
    for frame, time in zip(frames, times, strict=True):
        top = int(np.clip(height * (0.5 + down * time), 0, height))
        left = int(np.clip(width * (0.5 + right * time), 0, width))
        shade = field[top : top + height, left : left + width, None]
        shaded.append(np.asarray(frame * (1 - depth * shade), np.uint8))
    return shaded


def _shift(rng: Rng, frame: Picture) -> Picture:
    height, width = frame.shape[:2]
    right, down = rng.uniform(-SHIFT, SHIFT, 2) * [width, height]
    matrix = np.array([[1, 0, right], [0, 1, down]])
    shifted = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shifted, np.uint8)


def _gamma(rng: Rng) -> Picture:
    """Grey values by grey value."""
    exponent = log_uniform(rng, *GAMMA)
    return np.asarray(np.rint(255 * (np.arange(256) / 255) ** exponent), np.uint8)


def _gain(frame: Picture, gain: float) -> Picture:
    return np.asarray(cv2.convertScaleAbs(frame, alpha=max(gain, 0.0)), np.uint8)


def _noise(rng: Rng, frame: Picture, deviation: float) -> Picture:
    noise: Plane = rng.standard_normal(frame.shape, np.float32) * np.float32(deviation)
    return np.asarray(np.clip(frame + noise + 0.5, 0, 255), np.uint8)


def _resize(part: Picture, size: Size) -> Picture:
    smaller = part.shape[0] > size[0]
    colour = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    interpolation = cv2.INTER_NEAREST_EXACT if part.ndim == 2 else colour
    return np.asarray(cv2.resize(part, size[::-1], interpolation=interpolation), np.uint8)
