"""Draw objects over an image: tinted areas, bright outlines, ids with a halo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks.files import fold_ids
from segue.masks.measure import measure
from segue.masks.values import DAVIS_PALETTE
from segue.utils.arrays import Box, FloatingArray, Image, IndexMask

_PEAKS = np.maximum(DAVIS_PALETTE.max(axis=1, keepdims=True), 1).astype(np.float32)
_LINE_COLOURS = np.rint(DAVIS_PALETTE * (255.0 / _PEAKS)).astype(np.uint8)
"""Hues of the palette at full brightness; its reds and blues are too dark for lines."""


def overlay(
    image: Image,
    mask: IndexMask,
    *,
    alpha: float = 0.5,
    outlines: bool = True,
    ids: bool = True,
    captions: Mapping[int, str] | None = None,
    boxes: bool = False,
    line_width: int | None = None,
) -> Image:
    """Draw the objects of an index mask over an image.

    Args:
        image: RGB, (H, W, 3), uint8; it is not changed.
        mask: index mask, (H, W), of the same size.
        alpha: weight of the object's colour in [0, 1]; 0 draws no tint.
        outlines: draw the inner rim of every object in its colour at full brightness.
        ids: write every object's id where the object is widest.
        captions: text to write after the id, by id.
        boxes: draw a box around every object.
        line_width: pixels of outlines and boxes; None is 1/240 of the shorter side.

    Returns:
        A new image, (H, W, 3), uint8. Pixels of the background stay as they are, but for letters.

    Raises:
        ValueError: image and mask differ in size.

    Example:
        >>> image = np.zeros((4, 4, 3), np.uint8)
        >>> overlay(image, np.ones((4, 4), np.uint8), alpha=1.0, outlines=False, ids=False)[0, 0]
        array([128,   0,   0], dtype=uint8)
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"image of {image.shape[:2]} and mask of {mask.shape} do not fit")
    entries = np.ascontiguousarray(fold_ids(mask))
    canvas = np.array(image, np.uint8)
    thickness = max(1, round(min(entries.shape) / 240)) if line_width is None else line_width
    area = _occupied(entries, thickness)
    part, part_entries = np.ascontiguousarray(canvas[area]), np.ascontiguousarray(entries[area])
    _tint(part, part_entries, alpha)
    if outlines:
        _draw_outlines(part, part_entries, thickness)
    canvas[area] = part
    extents = measure(mask) if ids or boxes else {}
    if boxes:
        for number, extent in extents.items():
            _draw_box(canvas, extent.box, _colour_of(number), thickness)
    if ids:
        for number, extent in extents.items():
            text = f"{number} {captions[number]}" if captions and number in captions else str(number)
            _draw_text(canvas, text, _widest_point(mask, number, extent.box))
    return canvas


def attention_strip(
    image: Image, mask: IndexMask, maps: npt.NDArray[np.floating], ids: Sequence[int]
) -> Image:
    """Draw an image with its objects, and the attention of each object beside it."""
    size = image.shape[1], image.shape[0]
    resized = np.asarray(cv2.resize(fold_ids(mask), size, interpolation=cv2.INTER_NEAREST), np.uint8)
    strip = [overlay(image, resized)]
    for number, plane in sorted(zip(ids, maps.astype(np.float32), strict=True), key=itemgetter(0)):
        canvas = heated(image, np.asarray(cv2.GaussianBlur(plane, (0, 0), 1), np.float32))
        rim = max(2, min(size) // 80)
        colour = _colour_of(number)
        inner = canvas[rim:-rim, rim:-rim].copy()
        canvas[:] = colour
        canvas[rim:-rim, rim:-rim] = inner
        strip.append(canvas)
    return np.hstack(strip)


def heated(image: Image, plane: FloatingArray, maximum: float | None = None) -> Image:
    """Tint an image by a map: blue is low, red is the maximum, 0 is unchanged."""
    size = image.shape[1], image.shape[0]
    heat = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_CUBIC).clip(0)
    heat = (heat / max(float(heat.max()) if maximum is None else maximum, 1e-9)).clip(max=1)
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    weight = 0.8 * heat[..., None] ** 0.5
    return np.asarray(np.rint(image * (1 - weight) + colours * weight), np.uint8)


def _occupied(entries: npt.NDArray[np.uint8], margin: int) -> tuple[slice, slice]:
    """Rows and columns around all objects."""
    x, y, width, height = cv2.boundingRect(entries)
    return slice(max(y - margin, 0), y + height + margin), slice(max(x - margin, 0), x + width + margin)


def _tint(canvas: Image, entries: npt.NDArray[np.uint8], alpha: float) -> None:
    colours = cv2.LUT(cv2.merge((entries, entries, entries)), DAVIS_PALETTE[None])
    blend = cv2.addWeighted(canvas, 1.0 - alpha, colours, alpha, 0.0)
    cv2.copyTo(blend, entries, canvas)


def _draw_outlines(canvas: Image, entries: npt.NDArray[np.uint8], thickness: int) -> None:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thickness + 1, 2 * thickness + 1))
    rim = (cv2.dilate(entries, kernel) != entries) | (cv2.erode(entries, kernel) != entries)
    rim &= entries > 0
    canvas[rim] = _LINE_COLOURS[entries[rim]]


def _colour_of(number: int) -> npt.NDArray[np.uint8]:
    """Bright RGB colour of an object."""
    return np.asarray(_LINE_COLOURS[int(fold_ids(np.array([[number]]))[0, 0])])


def _draw_box(canvas: Image, box: Box, colour: npt.NDArray[np.uint8], thickness: int) -> None:
    """Draw the inner rim of a box."""
    x0, y0, x1, y1 = (int(side) for side in box)
    for area in (
        np.s_[y0 : y0 + thickness, x0:x1],
        np.s_[max(y1 - thickness, y0) : y1, x0:x1],
        np.s_[y0:y1, x0 : x0 + thickness],
        np.s_[y0:y1, max(x1 - thickness, x0) : x1],
    ):
        canvas[area] = colour


def _widest_point(mask: IndexMask, number: int, box: Box) -> tuple[int, int]:
    """Pixel ``(x, y)`` of the object farthest from its border; unlike the mean, it is always inside."""
    x0, y0, x1, y1 = (int(side) for side in box)
    inside = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.uint8)
    np.equal(mask[y0:y1, x0:x1], number, out=inside[1:-1, 1:-1].view(np.bool_))
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares are whole numbers. Roots of equal ones differ in the last digit with the place in memory.
    row, column = np.unravel_index(int(np.rint(np.square(distance)).argmax()), distance.shape)
    return x0 + int(column) - 1, y0 + int(row) - 1


def _draw_text(canvas: Image, text: str, centre: tuple[int, int]) -> None:
    """Write white letters with a dark halo, shifted into the image."""
    letters, transmittance = _letters(text, min(canvas.shape[:2]))
    letters, transmittance = (
        letters[: canvas.shape[0], : canvas.shape[1]],
        transmittance[: canvas.shape[0], : canvas.shape[1]],
    )
    height, width = letters.shape[:2]
    x = min(max(centre[0] - width // 2, 0), canvas.shape[1] - width)
    y = min(max(centre[1] - height // 2, 0), canvas.shape[0] - height)
    part = canvas[y : y + height, x : x + width]
    part[...] = np.minimum(np.rint(part * transmittance + letters), 255)


@lru_cache(maxsize=256)
def _letters(text: str, short_side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """Coverage of pixels by a text, 0 to 255, and the share that its dark halo leaves; (H, W, 1)."""
    scale = max(0.4, short_side / 480)
    thickness = max(1, round(scale * 1.8))
    (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    canvas = np.zeros((height + baseline + 4, width + 4), np.uint8)
    cv2.putText(
        canvas, text, (2, height + 2), cv2.FONT_HERSHEY_SIMPLEX, scale, (255,), thickness, cv2.LINE_AA
    )
    # The halo grows from the letters, because a second, thicker line of text would be wider.
    halo = cv2.dilate(canvas, np.ones((3, 3), np.uint8))
    return canvas[..., None], 1.0 - halo[..., None] / 255.0
