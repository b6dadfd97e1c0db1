"""Augment clips: affine random walks, smooth displacement, colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from segue.types import Image
from segue.utils.arrays import Float32Array

Matrix = npt.NDArray[np.float64]
Pair = tuple[Image, Image]  # an image and its index mask
Size = tuple[int, int]
Rng = np.random.Generator
Item = TypeVar("Item")


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Draw a number with uniform logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def picked(rng: Rng, items: Sequence[Item]) -> Item:
    """Draw one of some items uniformly."""
    return items[int(rng.integers(len(items)))]


class Kinds(Generic[Item]):
    """Items of several kinds, drawn by shares."""

    def __init__(self, groups: Sequence[tuple[float, Sequence[Item]]]) -> None:
        self.kinds = [items for _, items in groups if items]
        shares = np.array([share for share, items in groups if items], np.float64)
        self.shares = shares / shares.sum()

    def draw(self, rng: Rng) -> Item:
        """Draw a kind by its share, then an item uniformly."""
        return picked(rng, self.kinds[int(rng.choice(len(self.kinds), p=self.shares))])


def random_part(rng: Rng, size: Size, part: Size) -> tuple[slice, slice]:
    """Draw rows and columns of a random image region."""
    top, left = (
        int(rng.integers(full_length - length + 1)) for full_length, length in zip(size, part, strict=True)
    )
    return slice(top, top + part[0]), slice(left, left + part[1])


@dataclass(frozen=True, slots=True)
class Motion:
    """Spread of an affine change: rotation and shear in degrees, log scale, shift in parts of the side."""

    rotation: float
    log_scale: float
    shear: float
    shift: float

    def scaled(self, factor: float) -> Motion:
        """Copy with slower or faster motion."""
        return Motion(*(factor * value for value in (self.rotation, self.log_scale, self.shear, self.shift)))

    def draw(self, rng: Rng, centre: tuple[float, float], side: float) -> Matrix:
        """Draw an affine map, (3, 3), around ``centre`` (x, y)."""
        angle, skew = np.deg2rad(rng.normal(0, [self.rotation, self.shear]))
        sx, sy = np.exp(rng.normal(0, self.log_scale) + rng.normal(0, self.log_scale / 3, 2))
        rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = rotate @ np.array([[sx, np.tan(skew)], [0, sy]])
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = centre - linear @ centre + rng.normal(0, self.shift * side, 2)
        return matrix


def walk(rng: Rng, motion: Motion, length: int, centre: tuple[float, float], side: float) -> list[Matrix]:
    """Accumulate random affine maps; half of the sequences keep their direction."""
    steps = [motion.draw(rng, centre, side) for _ in range(length - 1)]
    if steps and rng.random() < 0.5:
        steps = [steps[0]] * len(steps)
    path = [np.eye(3)]
    for step in steps:
        path.append(step @ path[-1])
    return path


def crop_matrix(centre: tuple[float, float], scale: float, side: int, flip: bool) -> Matrix:
    """Map from an image to a square crop of it."""
    sign = -scale if flip else scale
    return np.array(
        [[sign, 0, side / 2 - sign * centre[0]], [0, scale, side / 2 - scale * centre[1]], [0, 0, 1]]
    )


def zoom(factor: float, centre: tuple[float, float]) -> Matrix:
    """Scale about a point (x, y), (3, 3)."""
    x, y = centre
    return np.array([[factor, 0, x - factor * x], [0, factor, y - factor * y], [0, 0, 1]])


def displacement(rng: Rng, side: int, strength: float) -> Float32Array:
    """Draw a smooth random displacement field."""
    field = rng.normal(0, strength, (5, 5, 2)).astype(np.float32)
    return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def apply(
    image: Image, matrix: Matrix, side: int, field: Float32Array | None = None, *, mask: bool = False
) -> Image:
    """Warp to a square: images are reflected at the border; masks are 0 outside, by nearest neighbour."""
    flags = cv2.INTER_NEAREST if mask else cv2.INTER_LINEAR
    border = cv2.BORDER_CONSTANT if mask else cv2.BORDER_REFLECT_101
    if field is None:
        warped = cv2.warpAffine(image, matrix[:2], (side, side), flags=flags, borderMode=border)
        return np.asarray(warped, np.uint8)
    inverse = np.linalg.inv(matrix)[:2].astype(np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    grid = np.stack([x, y], axis=-1) + field
    grid = grid @ inverse[:, :2].T + inverse[:, 2]
    return np.asarray(cv2.remap(image, grid[..., 0], grid[..., 1], flags, borderMode=border), np.uint8)


def colour_jitter(rng: Rng, strength: float) -> Float32Array:
    """Draw a colour map: brightness, contrast, saturation, tint."""
    contrast, saturation = 1 + rng.uniform(-strength, strength, 2)
    offset = 255 * rng.uniform(-strength, strength) * 0.5
    gain = contrast * (1 + rng.uniform(-strength, strength, 3) * 0.3)
    luma = np.array([0.299, 0.587, 0.114])
    mix = saturation * np.eye(3) + (1 - saturation) * luma[None, :]
    matrix = np.zeros((3, 4), np.float32)
    matrix[:, :3] = gain[:, None] * mix
    matrix[:, 3] = offset + 128 * (1 - gain)
    return matrix


def apply_colour(image: Image, matrix: Float32Array) -> Image:
    """Apply a colour map, clipped to 0..255."""
    return np.asarray(cv2.transform(image, matrix), np.uint8)
