"""Moving textures from videos of moving cameras, stabilised and without objects.

They contain real motion: leaves, water, crowds, and a little parallax. Played forwards and backwards, as in
wind, they make a fixed scene sway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segue.sessions.foreground.camera.step import CameraStep
from segue.sessions.foreground.stages.follow import Homography, camera_motion
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array
from segue_train.data.footage import Footage
from segue_train.data.foreground.dynamic_background import leaves, swaying
from segue_train.data.foreground.scenery import Effect, Occluder, blob
from segue_train.data.photo import Labelled, resize
from segue_train.data.warp import Rng, Size, log_uniform, picked

SHORT_SIDE = 300
"""Short side to which frames of a video are reduced, in pixels."""

LENGTH = 24
"""Frames of a texture; over longer ones the error of the steps adds up."""

STARTS = 3
"""Textures of a video at most, at different times."""

MIN_SIDE = 72
"""Pixels of the shorter side of a texture."""

MIN_ACTIVE, ACTIVE = 0.1, 12
"""Share of the pixels of a texture that leave their median by so many levels at some time."""

MAX_STRONG, STRONG = 0.25, 60
"""Maximum share of pixels with a larger change than so many levels; videos with more are not at rest."""

GROW = np.ones((9, 9), np.uint8)
"""Kernel that dilates masks beyond their objects."""


@dataclass(frozen=True, slots=True)
class Texture:
    """A region with internal motion; ``frames``: RGB (n, h, w, 3), uint8."""

    frames: Image


def textures_of(videos: Sequence[Footage]) -> list[Texture]:
    """Extract textures from videos of moving cameras, without their objects.

    Args:
        videos: labelled videos.

    Returns:
        Up to :data:`STARTS` textures of each.
    """
    textures = []
    for video in videos:
        last = len(video) - LENGTH
        for start in np.unique(np.linspace(0, last, STARTS).round().astype(int)) if last >= 0 else ():
            texture = _texture([video.read(int(start) + i) for i in range(LENGTH)])
            if texture is not None:
                textures.append(texture)
    return textures


def _texture(frames: Sequence[tuple[Image, UInt8Array]]) -> Texture | None:
    """Largest object-free region of a stabilised stretch, if it is large enough and moves."""
    height, width = frames[0][1].shape
    scale = min(1.0, SHORT_SIDE / min(height, width))
    size = round(scale * height), round(scale * width)
    resized = [resize(Labelled(*frame), *size) for frame in frames]
    middle = len(resized) // 2
    matrices: list[Homography] = [np.eye(3)] * len(resized)
    for numbers, way in ((range(middle + 1, len(resized)), -1), (range(middle - 1, -1, -1), 1)):
        for i in numbers:
            one, other = resized[i], resized[i + way]
            begin = CameraStep.between(one.image, other.image).matrix(size)
            step = camera_motion((one.image, one.mask), (other.image, other.mask), begin)
            if step is None:
                return None
            matrices[i] = matrices[i + way] @ step
    still = np.stack([_warped(each.image, m) for each, m in zip(resized, matrices, strict=True)])
    free = np.ones(size, bool)
    for each, matrix in zip(resized, matrices, strict=True):
        hidden = np.asarray(cv2.dilate((each.mask > 0).view(np.uint8), GROW), np.uint8)
        hidden[[0, -1]] = hidden[:, [0, -1]] = 1
        free &= _warped(1 - hidden, matrix, cv2.INTER_NEAREST) > 0
    rows, columns = largest_rectangle(free)
    part = still[:, rows, columns]
    if min(part.shape[1:3]) < MIN_SIDE:
        return None
    middle = np.median(part[::3], axis=0).astype(np.float32)
    change = np.abs(part - middle).max(axis=(0, 3))
    if (change > ACTIVE).mean() < MIN_ACTIVE or (change > STRONG).mean() > MAX_STRONG:
        return None
    return Texture(np.ascontiguousarray(part))


def _warped(image: Image, matrix: Homography, flags: int = cv2.INTER_LINEAR) -> Image:
    """Warp an image to another of its size; black outside."""
    return np.asarray(cv2.warpPerspective(image, matrix, image.shape[1::-1], flags=flags), np.uint8)


def largest_rectangle(free: BoolArray) -> tuple[slice, slice]:
    """Rows and columns of the largest rectangle of True in a mask, (H, W)."""
    best, window = 0, (slice(0, 0), slice(0, 0))
    heights = np.zeros(free.shape[1] + 1, int)  # of the true columns that end at a row; the last one closes
    for row, inside in enumerate(free):
        heights[:-1] = np.where(inside, heights[:-1] + 1, 0)
        open_columns: list[tuple[int, int]] = []  # where a rectangle of a height begins, heights ascending
        for column, height in enumerate(heights.tolist()):
            first = column
            while open_columns and open_columns[-1][1] >= height:
                first, tall = open_columns.pop()
                if (column - first) * tall > best:
                    best = (column - first) * tall
                    window = slice(row - tall + 1, row + 1), slice(first, column)
            open_columns.append((first, height))
    return window


def swaying_texture(rng: Rng, size: Size, textures: Sequence[Texture]) -> Effect:
    """Draw a swaying texture in a part of the scene or all over it.

    Mostly it also bends as a whole, by up to 12 pixels, and is as ragged as leaves.
    """
    texture, whole = picked(rng, textures), rng.random() < 0.35
    at, layer_at = _swaying_part(rng, size, texture, whole=whole, ragged=0.4)

    def act(canvas: Image, time: int) -> Image:
        layer = layer_at(time)
        weight = layer[..., 3:].astype(np.float32) / 255
        changed, below = canvas.copy(), canvas[at].astype(np.float32)
        changed[at] = (below + weight * (layer[..., :3] - below)).astype(np.uint8)
        return changed

    return act


def occluding_texture(rng: Rng, size: Size, textures: Sequence[Texture]) -> Occluder:
    """Draw a swaying texture with gaps before the scene and its movers."""
    at, layer_at = _swaying_part(rng, size, picked(rng, textures), whole=False, ragged=1.0)

    def layer(time: int) -> Image:
        canvas = np.zeros((*size, 4), np.uint8)
        canvas[at] = layer_at(time)
        return canvas

    return layer


def _swaying_part(
    rng: Rng, size: Size, texture: Texture, *, whole: bool, ragged: float
) -> tuple[tuple[slice, slice], Callable[[int], Image]]:
    """Region of a canvas, and its swaying content by time, (h, w, 4), the fourth channel its alpha.

    A part that is not the whole is as ragged as leaves with a probability.
    """
    frames = texture.frames
    height, width = frames.shape[1:3]
    scale = max(size[0] / height, size[1] / width) if whole else log_uniform(rng, 0.3, 1) * size[0] / height
    scaled_size = max(8, round(scale * height)), max(8, round(scale * width))
    turn = -1 if rng.random() < 0.5 else 1
    frames = np.stack(
        [cv2.resize(frame[:, ::turn], scaled_size[::-1], interpolation=cv2.INTER_AREA) for frame in frames]
    )[:, : size[0], : size[1]]
    part = frames.shape[1], frames.shape[2]
    top, left = (int(rng.integers(full - side + 1)) for full, side in zip(size, part, strict=True))
    at = slice(top, top + part[0]), slice(left, left + part[1])
    alpha = np.ones(part, np.float32)
    if not whole:
        alpha = np.minimum(blob(rng, part, rng.uniform(0.4, 0.9)), _inside(*part))
        if rng.random() < ragged:
            alpha *= leaves(rng, part)
    alpha, path = np.asarray(255 * alpha, np.uint8), path_in_wind(rng, len(frames))
    bend = None
    if rng.random() < 0.7:
        strength = np.full(part, log_uniform(rng, 0.5, 12), np.float32)
        bend = swaying(rng, part, int(rng.integers(3, 20)), strength)

    def layer(time: int) -> Image:
        swayed = np.dstack([frames[path(time)], alpha])
        return swayed if bend is None else np.asarray(bend(swayed, time), np.uint8)

    return at, layer


def path_in_wind(rng: Rng, count: int) -> Callable[[int], int]:
    """Frame index of a texture by time: to and fro, with varying speed."""
    speeds = log_uniform(rng, 0.05, 2.5) * np.array([1, rng.uniform(1.3, 2.9)])
    phases = rng.uniform(0, 2 * np.pi, 4)
    gusts, lull = 2 * np.pi / log_uniform(rng, 40, 500), rng.uniform(0, 1)
    middle = (count - 1) / 2

    def number(time: int) -> int:
        wind = 1 - lull * (
            0.5 + 0.25 * np.sin(gusts * time + phases[2]) + 0.25 * np.sin(2.7 * gusts * time + phases[3])
        )
        swing = 0.65 * np.sin(speeds[0] * time + phases[0]) + 0.35 * np.sin(speeds[1] * time + phases[1])
        return round(middle + middle * float(wind * swing))

    return number


def _inside(height: int, width: int) -> Float32Array:
    """Window that is 1 inside and falls to 0 at the border, (height, width)."""
    rows, columns = (np.minimum(np.arange(side), np.arange(side)[::-1]) / 4 for side in (height, width))
    return np.minimum(np.minimum(rows[:, None], columns[None]), 1).astype(np.float32)
