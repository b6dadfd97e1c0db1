"""Tracks and images of CVAT's XML, their shapes as masks: polygons, boxes, run lengths along rows."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from segue.arrays import BoolArray
from segue.errors import DatasetError
from segue.masks import encode_rle
from segue.masks.tracks import RleTrack

MAX_CORNERS = 1 << 20
"""Characters of the corners of a polygon."""

LARGEST_COORDINATE = 1e6

MAX_TEXT = 10_000
"""Characters of an attribute that are read."""

_NO_RUNS = re.compile(r"[^0-9, ]|[0-9]{19}|[0-9] |,[^0-9 ]|, [^0-9]|^[^0-9]|[^0-9]$")
"""Never occurs in numbers separated by commas; matching the whole text would take memory for each number."""


class CvatTracks:
    """Reads the shapes of a file of CVAT for video 1.1, or for images 1.1, one element at a time.

    Tracks of one group are one object, and so are shapes of images with one group and label; those without
    a group are objects of their own. ``take`` gets frame, number of the object, and shape of every mask, and
    whether it is only a box;
    ``attribute`` number, and name and text of an attribute; ``check`` the number of objects so far, before
    each element, and raises where there are too many.

    Attributes:
        names: label of each object, by number from 1 on.
        ids: the groups that are objects, by number.
        levels: how high an object lies over others (``z_order``), by number.
        pictures: names of the images of a file for images, in its order; ``take`` gets places in this list
            instead of frames then.
    """

    def __init__(
        self,
        size: tuple[int, int],
        count: int,
        take: Callable[[int, int, RleTrack, bool], None],
        attribute: Callable[[int, dict[str, str]], None],
        check: Callable[[int], None],
    ) -> None:
        self.names: dict[int, str | None] = {}
        self.ids: dict[int, int] = {}
        self.levels: dict[int, float] = defaultdict(float)
        self.pictures: list[str] = []
        self._size, self._count = size, count
        self._take, self._attribute, self._check = take, attribute, check
        self._numbers: dict[tuple[str, ...], int] = {}
        self._number = 0  # of the object that a track or a shape is of
        self._image: int | None = None  # place of the image that is being read
        self._name: str | None = None  # of the attribute that is being read
        self._text = ""

    def read(self, path: Path) -> None:
        """Read a file."""
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler, parser.EntityDeclHandler = self._characters, _no_entities
        with path.open("rb") as stream:
            parser.ParseFile(stream)

    def _start(self, tag: str, given: dict[str, str]) -> None:
        self._check(len(self._numbers))
        self._name, self._text = (given.get("name") if tag == "attribute" and self._number else None), ""
        if tag == "track":
            group = _group(given)
            self._begin(("group", group) if group else ("track", wanted(given, "id", tag)), given, tag)
        elif tag == "image":
            self._image = len(self.pictures)
            self.pictures.append(wanted(given, "name", tag))
            if len(self.pictures) > self._count:
                raise DatasetError(f"it has more images than the video has frames, {self._count}")
        elif tag in ("mask", "polygon", "box") and given.get("outside") != "1":
            if self._image is None:
                index = number_of(given, "frame", tag)
                if index != int(index) or not 0 <= index < self._count:
                    raise DatasetError(f"frame {index:g} is none of the video, which has {self._count}")
            else:
                index, group = self._image, _group(given)
                label = wanted(given, "label", tag)
                alone = ("shape", str(len(self._numbers)))
                self._begin(("group", group, label) if group else alone, given, tag)
            if not self._number:
                raise DatasetError(f"a {tag} belongs to no track")
            if self._number not in self.levels:
                self.levels[self._number] = _as_number(given.get("z_order", "0"), "a z_order")
            self._take(int(index), self._number, shape_of(tag, given, self._size), tag == "box")

    def _begin(self, same: tuple[str, ...], given: Mapping[str, str], tag: str) -> None:
        """The following shapes belong to an object: the one of the same name, or a new one."""
        self._number = self._numbers.setdefault(same, len(self._numbers) + 1)
        self._check(len(self._numbers))
        self.names.setdefault(self._number, wanted(given, "label", tag))
        if same[0] == "group" and same[1].isdecimal() and len(same[1]) < 10:
            self.ids[self._number] = int(same[1])

    def _characters(self, part: str) -> None:
        if self._name is not None and len(self._text) <= MAX_TEXT:
            self._text += part

    def _end(self, tag: str) -> None:
        if tag == "attribute" and self._name is not None:
            self._attribute(self._number, {self._name: self._text})
        self._name = None
        if tag in ("track", "image"):
            self._number, self._image = 0, None


def _group(given: Mapping[str, str]) -> str:
    """The group of a track or a shape, empty where it has none, which CVAT writes as 0."""
    group = given.get("group_id", "")
    return "" if group == "0" else group


def _no_entities(*_: Any) -> None:
    raise DatasetError("it declares entities, which no annotation needs")


def wanted(given: Mapping[str, str], key: str, tag: str) -> str:
    """Value of an element under a key."""
    if key not in given:
        raise DatasetError(f"a {tag} has no {key}")
    return given[key]


def number_of(given: Mapping[str, str], key: str, tag: str) -> float:
    """A number of a shape of CVAT."""
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
    """The mask of a shape of CVAT, as one frame of a track."""
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
        raise DatasetError("a mask lies outside the video")
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
