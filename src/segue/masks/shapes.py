"""Rasterise annotated shapes to run lengths: polygons, turned boxes and ellipses, masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError
from segue.masks.measure import resize_mask
from segue.masks.rle import check_size, decode_rle, encode_rle, fill_polygons
from segue.masks.tracks import RleTrack
from segue.utils.inputs import is_number

_CORNERS = 96
"""Corners of the polygon that an ellipse is drawn as."""

MAX_SCALE = 16
"""Pixels of an annotated image for each of the video, at most; a few bytes can say any size."""

MAX_OTHER = 1 << 24
"""Pixels that an annotated image may have in any case."""

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Canvas:
    """A frame of ``size`` (height, width) for shapes of an image of size ``image_size``."""

    size: Size
    image_size: Size

    @classmethod
    def of(cls, size: Size, height: object = None, width: object = None) -> Canvas:
        """Create the canvas of an image; by default the image has the size of the frame."""
        if not height or not width:
            return cls(size, size)
        image_size = check_size(height, width)
        largest = max(MAX_SCALE * size[0] * size[1], MAX_OTHER)
        if image_size != size and image_size[0] * image_size[1] > largest:
            raise DatasetError(
                f"its images are {image_size[1]}x{image_size[0]}, the video is {size[1]}x{size[0]}; export "
                f"annotations of images with at most {largest} pixels"
            )
        if image_size != size and 2 * abs(image_size[0] * size[1] - image_size[1] * size[0]) > max(
            *image_size, *size
        ):
            turned = ", or turn its images as the video" if image_size == size[::-1] else ""
            raise DatasetError(
                f"its images are {image_size[1]}x{image_size[0]}, the video is {size[1]}x{size[0]}, "
                f"of another shape; export annotations of images of this shape{turned}"
            )
        return cls(size, image_size)

    def polygons(self, polygons: Sequence[Any]) -> bytes:
        """Run lengths of filled polygons, flat lists of coordinates."""
        if self.image_size == self.size:
            return fill_polygons(polygons, self.size)
        fill_polygons(polygons, self.image_size)  # checks them
        factors = self.size[1] / self.image_size[1], self.size[0] / self.image_size[0]
        return fill_polygons(
            [[value * factors[i % 2] for i, value in enumerate(one)] for one in polygons], self.size
        )

    def box(self, x: float, y: float, width: float, height: float, rotation: float = 0) -> bytes:
        """Run lengths of a box, turned clockwise about its centre, in degrees."""
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        return self.polygons([_turned(corners, (x + width / 2, y + height / 2), rotation)])

    def ellipse(self, x: float, y: float, across: float, down: float, rotation: float = 0) -> bytes:
        """Run lengths of an ellipse by its centre and semi-axes, turned clockwise in degrees."""
        angles = (2 * math.pi * i / _CORNERS for i in range(_CORNERS))
        corners = [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]
        return self.polygons([_turned(corners, (x, y), rotation)])

    def plane(self, mask: npt.NDArray[np.generic]) -> bytes:
        """Run lengths of a mask (H, W)."""
        if mask.shape != self.image_size:
            (rows, columns), (height, width) = mask.shape, self.image_size
            raise DatasetError(f"a mask is {columns}x{rows} pixels, its image {width}x{height}")
        return encode_rle(resize_mask(mask != 0, self.size))["counts"].encode()

    def window(self, left: int, top: int, width: int, height: int) -> tuple[slice, slice]:
        """Rows and columns of an image region; an error if it is not inside."""
        if min(left, top) < 0 or left + width > self.image_size[1] or top + height > self.image_size[0]:
            raise DatasetError(
                f"a mask of {width}x{height} pixels from ({left}, {top}) on lies outside of its image, "
                f"{self.image_size[1]}x{self.image_size[0]}"
            )
        return slice(top, top + height), slice(left, left + width)

    def segmentation(self, entry: Any) -> bytes | None:
        """Run lengths of a COCO segmentation: polygons, run lengths or an array; None if empty."""
        if isinstance(entry, np.ndarray):
            return self.plane(entry)
        if not entry:
            return None
        if isinstance(entry, list):
            polygons = entry if isinstance(entry[0], (list, tuple)) else [entry]
            return self.polygons(polygons)
        canvas = self
        if isinstance(entry, dict) and entry.get("size") != list(self.image_size):
            entry_size = entry.get("size")
            if not isinstance(entry_size, list) or len(entry_size) != 2:
                raise DatasetError("a mask has no size of two numbers, [height, width]")
            canvas = Canvas.of(self.size, *entry_size)
        counts = RleTrack.parse([entry], canvas.image_size).counts[0]
        if counts is None or canvas.image_size == canvas.size:
            return counts
        return canvas.plane(decode_rle({"size": [*canvas.image_size], "counts": counts.decode()}))

    def record(self, record: Mapping[str, Any]) -> bytes:
        """Run lengths of a COCO annotation; without a segmentation its box is used."""
        try:
            counts = self.segmentation(record.get("segmentation"))
        except DatasetError as error:
            raise DatasetError(f"segmentation: {error}") from None
        if counts is not None:
            return counts
        box = record.get("bbox")
        if not isinstance(box, (list, tuple, np.ndarray)) or len(box) != 4:
            raise DatasetError("an annotation has neither a segmentation nor a bbox of four numbers")
        x, y, width, height = (value.item() if isinstance(value, np.generic) else value for value in box)
        if not all(map(is_number, (x, y, width, height))):
            raise DatasetError("an annotation has a bbox that is not four numbers")
        about = record.get("attributes")
        rotation = about.get("rotation", 0) if isinstance(about, Mapping) else 0
        return self.box(x, y, width, height, rotation if is_number(rotation) else 0)


def _turned(corners: list[tuple[float, float]], middle: tuple[float, float], degrees: float) -> list[float]:
    """Rotate corners clockwise about a point; returns a flat list."""
    if not degrees % 360:
        return [value for corner in corners for value in corner]
    quarter = round(degrees / 90) if degrees % 90 == 0 else None
    exact = {0: (1.0, 0.0), 1: (0.0, 1.0), 2: (-1.0, 0.0), 3: (0.0, -1.0)}
    angle = math.radians(degrees)
    cos, sin = (math.cos(angle), math.sin(angle)) if quarter is None else exact[quarter % 4]
    turned = []
    for x, y in corners:
        dx, dy = x - middle[0], y - middle[1]
        turned += [middle[0] + dx * cos - dy * sin, middle[1] + dx * sin + dy * cos]
    return turned
