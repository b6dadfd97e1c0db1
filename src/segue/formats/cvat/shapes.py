"""Shapes of CVAT: boxes, ellipses, polygons and masks, interpolated between keys."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import BaseModel, Field

from segue.errors import DatasetError
from segue.masks.outlines import outline_between
from segue.masks.shapes import Canvas
from segue.utils.arrays import Float64Array

MAX_KEY_CORNERS = 1000
"""Corners of a shape that is kept with its keys; one with more becomes masks alone."""

MAX_CORNERS = 1 << 20
"""Characters of the corners of a polygon."""

_NO_RUNS = re.compile(r"[^0-9, ]|[0-9]{19}|[0-9] |,[^0-9 ]|, [^0-9]|^[^0-9]|[^0-9]$")
"""Finds characters that cannot occur in run lengths; matching the whole text would take memory per number."""

_Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=0, le=1_000_000)]


class _Shape(BaseModel):
    """Attributes of a shape, texts in the file."""

    frame: int | None = None  # None of a shape in an image
    z_order: _Coordinate = 0
    rotation: _Coordinate = 0  # clockwise, in degrees
    occluded: bool = False


class _Box(_Shape):
    """A rectangle."""

    xtl: _Coordinate
    ytl: _Coordinate
    xbr: _Coordinate
    ybr: _Coordinate

    def counts(self, canvas: Canvas) -> bytes:
        return canvas.box(self.xtl, self.ytl, self.xbr - self.xtl, self.ybr - self.ytl, self.rotation)


class _Ellipse(_Shape):
    """An ellipse: centre and semi-axes."""

    cx: _Coordinate
    cy: _Coordinate
    rx: _Coordinate
    ry: _Coordinate

    def counts(self, canvas: Canvas) -> bytes:
        return canvas.ellipse(self.cx, self.cy, self.rx, self.ry, self.rotation)


class _Polygon(_Shape):
    """A polygon: ``x,y;x,y``."""

    points: Annotated[str, Field(max_length=MAX_CORNERS)]

    def counts(self, canvas: Canvas) -> bytes:
        corners = [float(value) for pair in self.points.split(";") for value in pair.split(",")]
        return canvas.polygons([corners])

    @cached_property
    def corners(self) -> Float64Array:
        pairs = [[float(value) for value in pair.split(",")] for pair in self.points.split(";")]
        return np.array(pairs, np.float64).reshape(-1, 2)


class _Mask(_Shape):
    """Run lengths along the rows of a box, beginning with zeros."""

    left: _Pixels
    top: _Pixels
    width: _Pixels
    height: _Pixels
    rle: Annotated[str, Field(min_length=1)]

    def counts(self, canvas: Canvas) -> bytes:
        window = canvas.window(self.left, self.top, self.width, self.height)
        area = self.width * self.height
        if self.rle.count(",") > area or _NO_RUNS.search(self.rle):
            raise DatasetError("the run lengths of a mask are not numbers separated by commas, or too many")
        # Not by a list of Python's numbers, which would take ten times the memory.
        runs = np.fromstring(self.rle, np.int64, sep=",")
        if (runs > area).any() or runs.sum() != area:
            raise DatasetError("the run lengths of a mask do not add up to its size")
        plane = np.zeros(canvas.image_size, np.bool_)
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        plane[window] = inside.reshape(self.height, self.width)
        return canvas.plane(plane)


AnyShape: TypeAlias = _Box | _Ellipse | _Polygon | _Mask

SHAPES: dict[str, type[AnyShape]] = {
    "mask": _Mask,
    "polygon": _Polygon,
    "ellipse": _Ellipse,
    "box": _Box,
}
"""Models of shapes by element name."""


def shape_between(shape: AnyShape, later: AnyShape | None, share: float) -> AnyShape:
    """Interpolate two shapes of one kind, turning the shorter way; other shapes stay, as in CVAT."""
    if isinstance(shape, _Polygon) and isinstance(later, _Polygon):
        corners = outline_between(shape.corners, later.corners, share)
        points = ";".join(f"{x},{y}" for x, y in corners.tolist())
        return _Polygon.model_validate({**shape.model_dump(), "points": points})
    if isinstance(shape, _Box) and isinstance(later, _Box):
        names = ("xtl", "ytl", "xbr", "ybr")
    elif isinstance(shape, _Ellipse) and isinstance(later, _Ellipse):
        names = ("cx", "cy", "rx", "ry")
    else:
        return shape
    values = {name: (1 - share) * getattr(shape, name) + share * getattr(later, name) for name in names}
    turn = (later.rotation - shape.rotation + 180) % 360 - 180
    return shape.model_copy(update={**values, "rotation": shape.rotation + share * turn})


def corners_of(shape: AnyShape) -> Float64Array | None:
    """Corners of a polygon or an upright box; None for other shapes."""
    if isinstance(shape, _Polygon):
        return shape.corners
    if isinstance(shape, _Box) and not shape.rotation:
        places = (
            (shape.xtl, shape.ytl),
            (shape.xbr, shape.ytl),
            (shape.xbr, shape.ybr),
            (shape.xtl, shape.ybr),
        )
        return np.array(places, np.float64)
    return None
