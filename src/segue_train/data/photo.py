"""Augment labelled images as in STCN's release, which uses Pillow images.

A mask is warped together with its image: index masks take the nearest pixel, soft masks of still images are
resampled as the image is. Pixels from outside are grey in the image and 0 in the mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import PIL.Image
import PIL.ImageEnhance

from segue.types import Image
from segue_train.data.warp import Matrix, Rng, Size, log_uniform, random_part

FILL = (124, 116, 104)  # colour outside of an image: the ImageNet mean
SPLINE_POINTS = 12
SPLINE_SPREAD = 0.02
"""Control points of the spline warp and the deviation of their shift, in parts of the side."""


Change = Callable[[Image, int, tuple[int, ...]], Image]
"""Warps an image with an interpolation flag of OpenCV, and fills outside pixels with a colour."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image (H, W, 3) and its mask, (H, W) or (H, W, planes), uint8."""

    image: Image
    mask: Image

    def each(self, act: Change, image: int, mask: int) -> Labelled:
        """Transform image and mask alike, each with its OpenCV flag."""
        return Labelled(act(self.image, image, FILL), act(self.mask, mask, (0, 0, 0)))


@dataclass(frozen=True, slots=True)
class Jitter:
    """Ranges of a colour change: factors are drawn from ``1 ± range``, the hue shift from ``± hue`` turns."""

    brightness: float
    contrast: float
    saturation: float
    hue: float = 0.0

    def draw(self, rng: Rng) -> Callable[[Image], Image]:
        """Draw a colour change: brightness, contrast, saturation and hue, in random order."""
        factors = 1 + rng.uniform(-1, 1, 3) * [self.brightness, self.contrast, self.saturation]
        turn = rng.uniform(-self.hue, self.hue)
        order = rng.permutation(4)
        enhancers = (PIL.ImageEnhance.Brightness, PIL.ImageEnhance.Contrast, PIL.ImageEnhance.Color)

        def change(pixels: Image) -> Image:
            image = PIL.Image.fromarray(pixels)
            for i in order:
                if i < 3:
                    image = enhancers[i](image).enhance(float(factors[i]))
                elif self.hue:
                    image = _turn_hue(image, turn)
            return np.asarray(image)

        return change


def affine(angle: float, scale: float, shear: float, size: Size) -> Matrix:
    """Affine map that rotates, shears and scales around the centre of an image."""
    rotation, skew = np.deg2rad([angle, shear])
    turn = np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])
    centre = np.array([size[1] - 1, size[0] - 1]) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = scale * turn @ np.array([[1, np.tan(skew)], [0, 1]])
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre
    return matrix


def warp_affine(item: Labelled, matrix: Matrix, *, image: int, mask: int) -> Labelled:
    """Apply an affine map within the frame."""
    height, width = item.image.shape[:2]

    def warp(x: Image, flags: int, fill: tuple[int, ...]) -> Image:
        warped = cv2.warpAffine(x, matrix[:2], (width, height), flags=flags, borderValue=fill)
        return np.asarray(warped, np.uint8)

    return item.each(warp, image, mask)


def warp_spline(rng: Rng, item: Labelled) -> Labelled:
    """Warp by a random thin-plate spline; bilinear for the image, nearest for the mask."""
    from scipy.interpolate import RBFInterpolator  # takes long to import, and few recipes bend

    height, width = item.image.shape[:2]
    rows = rng.choice(height, SPLINE_POINTS, replace=False) / height
    columns = rng.choice(width, SPLINE_POINTS, replace=False) / width
    points = np.stack([columns, rows], axis=1)
    displaced = points + rng.normal(0, SPLINE_SPREAD, points.shape)
    y, x = np.mgrid[:height, :width]
    grid = np.stack([x.ravel() / width, y.ravel() / height], axis=1)
    # The remapping asks where each pixel comes from, hence the spline from the moved points back.
    spline = RBFInterpolator(displaced, points, kernel="thin_plate_spline")
    where = (spline(grid) * [width, height]).astype(np.float32)
    where_x, where_y = (where[:, i].reshape(height, width) for i in (0, 1))

    def warp(x: Image, flags: int, fill: tuple[int, ...]) -> Image:
        return np.asarray(cv2.remap(x, where_x, where_y, flags, borderValue=fill), np.uint8)

    return item.each(warp, cv2.INTER_LINEAR, cv2.INTER_NEAREST)


def flip(item: Labelled) -> Labelled:
    """Mirror left and right."""
    return Labelled(*(np.ascontiguousarray(x[:, ::-1]) for x in (item.image, item.mask)))


def resize(item: Labelled, height: int, width: int) -> Labelled:
    """Resize: bicubic for the image, nearest for the mask."""
    image = PIL.Image.fromarray(item.image).resize((width, height), PIL.Image.Resampling.BICUBIC)
    mask = cv2.resize(item.mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return Labelled(np.asarray(image), np.asarray(mask, np.uint8))


def resize_short_side(item: Labelled, side: int) -> Labelled:
    """Resize so that the shorter side is ``side``; the other one is rounded down."""
    height, width = item.image.shape[:2]
    short = min(height, width)
    return resize(item, height * side // short, width * side // short)


def random_crop(rng: Rng, item: Labelled, side: int) -> Labelled:
    """Random square crop; smaller images are padded on both sides first."""
    height, width = item.image.shape[:2]
    pad_y, pad_x = max(side - height, 0), max(side - width, 0)

    def pad(x: Image, border: int, fill: tuple[int, ...]) -> Image:
        return np.asarray(cv2.copyMakeBorder(x, pad_y, pad_y, pad_x, pad_x, border, value=fill), np.uint8)

    if pad_y or pad_x:
        item = item.each(pad, cv2.BORDER_CONSTANT, cv2.BORDER_CONSTANT)
    return crop(item, random_part(rng, item.mask.shape[:2], (side, side)))


def crop(item: Labelled, part: tuple[slice, slice]) -> Labelled:
    """Crop an image and its mask to rows and columns."""
    return Labelled(item.image[part], item.mask[part])


def draw_window(rng: Rng, size: Size, min_area: float) -> tuple[slice, slice]:
    """Draw a random region of an image."""
    height, width = size
    for _ in range(10):
        area = height * width * rng.uniform(min_area, 1)
        ratio = log_uniform(rng, 3 / 4, 4 / 3)
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random_part(rng, size, (h, w))
    h, w = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    top, left = (height - h) // 2, (width - w) // 2
    return slice(top, top + h), slice(left, left + w)


def grey(image: Image) -> Image:
    """Remove colour, keeping three channels."""
    return np.asarray(PIL.Image.fromarray(image).convert("L").convert("RGB"))


def _turn_hue(image: PIL.Image.Image, turn: float) -> PIL.Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    shifted = np.asarray(hue) + np.uint8(round(turn * 255) % 256)
    return PIL.Image.merge("HSV", (PIL.Image.fromarray(shifted), saturation, value)).convert("RGB")
