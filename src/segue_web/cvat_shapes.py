"""Shapes of CVAT's XML as masks: polygons, boxes, run lengths along rows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field

from segue.errors import DatasetError
from segue.masks import encode_rle
from segue.masks.rle import fill_polygons

MAX_CORNERS = 1 << 20
"""Characters of the corners of a polygon."""

_NO_RUNS = re.compile(r"[^0-9, ]|[0-9]{19}|[0-9] |,[^0-9 ]|, [^0-9]|^[^0-9]|[^0-9]$")
"""Never occurs in numbers separated by commas; matching the whole text would take memory for each number."""

_Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=0, le=1_000_000)]


class Shape(BaseModel):
    """Attributes of a shape, which are texts in the file."""

    frame: int | None = None  # None of a shape in an image
    outside: bool = False
    z_order: _Coordinate = 0

    def counts(self, size: tuple[int, int]) -> bytes:
        """Run lengths of its mask, checked."""
        raise NotImplementedError


class BoxShape(Shape):
    """A rectangle."""

    xtl: _Coordinate
    ytl: _Coordinate
    xbr: _Coordinate
    ybr: _Coordinate

    def counts(self, size: tuple[int, int]) -> bytes:
        corners = [self.xtl, self.ytl, self.xbr, self.ytl, self.xbr, self.ybr, self.xtl, self.ybr]
        return fill_polygons([corners], size)


class PolygonShape(Shape):
    """A polygon: ``x,y;x,y``."""

    points: Annotated[str, Field(max_length=MAX_CORNERS)]

    def counts(self, size: tuple[int, int]) -> bytes:
        corners = [float(value) for pair in self.points.split(";") for value in pair.split(",")]
        return fill_polygons([corners], size)


class MaskShape(Shape):
    """Run lengths along the rows of a box, the first one of zeros."""

    left: _Pixels
    top: _Pixels
    width: _Pixels
    height: _Pixels
    rle: Annotated[str, Field(min_length=1)]

    def counts(self, size: tuple[int, int]) -> bytes:
        rows, columns = (slice(self.top, self.top + self.height), slice(self.left, self.left + self.width))
        if rows.stop > size[0] or columns.stop > size[1]:
            raise DatasetError("a mask lies outside the video")
        area = self.width * self.height
        if _NO_RUNS.search(self.rle) or self.rle.count(",") > area:
            raise DatasetError("the run lengths of a mask are not numbers separated by commas, or too many")
        # Not by a list of Python's numbers, which would take ten times the memory.
        runs = np.fromstring(self.rle, np.int64, sep=",")
        if (runs > area).any() or runs.sum() != area:
            raise DatasetError("the run lengths of a mask do not add up to its size")
        plane = np.zeros(size, np.bool_)
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        plane[rows, columns] = inside.reshape(self.height, self.width)
        return encode_rle(plane)["counts"].encode()


SHAPES: dict[str, type[Shape]] = {"mask": MaskShape, "polygon": PolygonShape, "box": BoxShape}
"""By the name of the element."""


def wanted(item: ET.Element, key: str) -> str:
    """Value of an element under a key."""
    if key not in item.attrib:
        raise DatasetError(f"a {item.tag} has no {key}")
    return item.attrib[key]
