"""Shapes of CVAT's XML as masks: polygons, boxes, and run lengths along the rows of a box."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from segue.arrays import BoolArray
from segue.errors import DatasetError
from segue.masks import encode_rle
from segue.masks.tracks import RleTrack

MAX_CORNERS = 1 << 20
"""Characters of the corners of a polygon."""

LARGEST_COORDINATE = 1e6

_NO_RUNS = re.compile(r"[^0-9, ]|[0-9]{19}|[0-9] |,[^0-9 ]|, [^0-9]|^[^0-9]|[^0-9]$")
"""What is nowhere in numbers separated by commas. A match of the whole would take memory for each number."""


def wanted(given: Mapping[str, str], key: str, tag: str) -> str:
    """What an element says under a key.

    Args:
        given: attributes of the element.
        key: name of the attribute.
        tag: name of the element, for the message.

    Returns:
        The text.

    Raises:
        DatasetError: the element has no such attribute.
    """
    if key not in given:
        raise DatasetError(f"a {tag} has no {key}")
    return given[key]


def number_of(given: Mapping[str, str], key: str, tag: str) -> float:
    """A number of a shape of CVAT.

    Args:
        given: attributes of the element.
        key: name of the attribute.
        tag: name of the element, for the message.

    Returns:
        A finite number.
    """
    return _as_number(wanted(given, key, tag), f"{key} of a {tag}")


def _as_number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST_COORDINATE:
        raise DatasetError(f"{what} is {text[:40]!r}; it must be a number")
    return value


def shape_of(tag: str, given: dict[str, str], size: tuple[int, int]) -> RleTrack:
    """The mask of a shape of CVAT, as one frame of a track.

    Args:
        tag: ``mask``, ``box`` or ``polygon``.
        given: attributes of the element.
        size: height and width of the film.

    Returns:
        A track whose only frame is the mask.

    Raises:
        DatasetError: an attribute is missing, damaged or too long.
    """
    if tag == "mask":
        encoded = encode_rle(_mask(given, size))
        return RleTrack.parse([dict(encoded)], size)
    if tag == "box":
        x0, y0, x1, y1 = (number_of(given, key, tag) for key in ("xtl", "ytl", "xbr", "ybr"))
        return RleTrack.parse([[[x0, y0, x1, y0, x1, y1, x0, y1]]], size)
    text = wanted(given, "points", tag)
    if len(text) > MAX_CORNERS:
        raise DatasetError(f"a polygon has more than {MAX_CORNERS} characters of corners")
    corners = [_as_number(value, "a corner") for pair in text.split(";") for value in pair.split(",")]
    return RleTrack.parse([[corners]], size)


def _mask(given: dict[str, str], size: tuple[int, int]) -> BoolArray:
    """The mask of CVAT: run lengths along the rows of a box, the first one of zeros."""
    left, top, width, height = (
        int(number_of(given, key, "mask")) for key in ("left", "top", "width", "height")
    )
    if min(left, top, width, height) < 0 or left + width > size[1] or top + height > size[0]:
        raise DatasetError("a mask lies outside the film")
    text = wanted(given, "rle", "mask")
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
