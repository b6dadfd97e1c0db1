"""Shapes of CVAT's XML as masks: polygons, boxes, run lengths along rows."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np

from segue.arrays import BoolArray
from segue.errors import DatasetError
from segue.masks import encode_rle
from segue.masks.tracks import RleTrack

MAX_CORNERS = 1 << 20
"""Characters of the corners of a polygon."""

LARGEST_COORDINATE = 1e6

SHAPES = ("mask", "polygon", "box")

_NO_RUNS = re.compile(r"[^0-9, ]|[0-9]{19}|[0-9] |,[^0-9 ]|, [^0-9]|^[^0-9]|[^0-9]$")
"""Never occurs in numbers separated by commas; matching the whole text would take memory for each number."""


def wanted(item: ET.Element, key: str) -> str:
    """Value of an element under a key."""
    if key not in item.attrib:
        raise DatasetError(f"a {item.tag} has no {key}")
    return item.attrib[key]


def frame_of(item: ET.Element, count: int) -> int:
    """The frame of a shape."""
    index = _number_of(item, "frame")
    if index != int(index) or not 0 <= index < count:
        raise DatasetError(f"frame {index:g} is none of the video, which has {count}")
    return int(index)


def _number_of(item: ET.Element, key: str) -> float:
    return as_number(wanted(item, key), f"{key} of a {item.tag}")


def as_number(text: str, what: str) -> float:
    """A number of a file of CVAT."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST_COORDINATE:
        raise DatasetError(f"{what} is {text[:40]!r}; it must be a number")
    return value


def shape_of(item: ET.Element, size: tuple[int, int]) -> RleTrack:
    """The mask of a shape of CVAT, as one frame of a track."""
    if item.tag == "mask":
        return RleTrack.parse([dict(encode_rle(_mask(item, size)))], size)
    if item.tag == "box":
        x0, y0, x1, y1 = (_number_of(item, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        return RleTrack.parse([[[x0, y0, x1, y0, x1, y1, x0, y1]]], size)
    text = wanted(item, "points")
    if len(text) > MAX_CORNERS:
        raise DatasetError(f"a polygon has more than {MAX_CORNERS} characters of corners")
    corners = [as_number(value, "a corner") for pair in text.split(";") for value in pair.split(",")]
    return RleTrack.parse([[corners]], size)


def _mask(item: ET.Element, size: tuple[int, int]) -> BoolArray:
    """The mask of CVAT: run lengths along the rows of a box, the first one of zeros."""
    left, top, width, height = (int(_number_of(item, key)) for key in ("left", "top", "width", "height"))
    if min(left, top, width, height) < 0 or left + width > size[1] or top + height > size[0]:
        raise DatasetError("a mask lies outside the video")
    text = wanted(item, "rle")
    if not text or _NO_RUNS.search(text) or text.count(",") > width * height:
        raise DatasetError("the run lengths of a mask are not numbers separated by commas, or too many")
    # Not by a list of Python's numbers, which would take ten times the memory.
    runs = np.fromstring(text, np.int64, sep=",")
    if (runs < 0).any() or (runs > width * height).any() or runs.sum() != width * height:
        raise DatasetError("the run lengths of a mask do not add up to its size")
    plane = np.zeros(size, np.bool_)
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    plane[top : top + height, left : left + width] = values.reshape(height, width)
    return plane
