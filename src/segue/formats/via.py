"""JSON of VIA, the VGG Image Annotator: projects of versions 2 and 3, annotations of 1 and 2."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from segue.entries.formats import Format, Holds, SinkOptions
from segue.errors import DatasetError
from segue.formats.base import SpooledSink
from segue.formats.files import VIA_2, Files, is_via, json_entries
from segue.formats.folders import ANNOTATION_TOOLS
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.labels import Frames, Labels, Numbering, by_frame, frame_at, other_videos
from segue.masks.measure import UNNAMED
from segue.masks.outlines import coco_polygons
from segue.masks.shapes import Canvas
from segue.utils.inputs import is_number
from segue.utils.json_files import Record, validated
from segue.utils.naming import natural_key

_CLASSES = ("label", "class", "category", "name", "type", "object")
"""Attributes with the class of an object, in order of preference; without them, the first text is used."""

_TRACKS = frozenset({"track_id", "track", "object_id", "instance_id", "instance", "id"})
"""Attributes that say which object it is."""

_PROJECT_NAME = "masks made with segue"
"""Name of the projects that segue writes."""

_PROJECT_3 = frozenset({"project", "file", "view", "metadata"})

_FIELDS = {
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy", "r"),
    "ellipse": ("cx", "cy", "rx", "ry"),
}
"""Names of the numbers of shapes in versions 1 and 2, in the order that version 3 has."""

_SIDES = {**{name: len(keys) for name, keys in _FIELDS.items()}, "extreme rectangle": 8, "extreme circle": 6}
"""Number of values of a shape."""

_NAMES_3 = (
    *("point", "rect", "circle", "ellipse", "line", "polyline", "polygon"),
    *("extreme rectangle", "extreme circle"),
)
"""Shapes of version 3 by their numbers, from 1 on."""

_NO_AREAS = {"point": "points", "line": "lines", "polyline": "lines"}
"""Shapes without an area, and their plurals; a closed line has an area."""

_VIDEO = 4
"""Type of a file that is a video."""

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Values = dict[str, Any]


class _Region(Record):
    """A region of an image in versions 1 and 2."""

    shape_attributes: _Values
    region_attributes: _Values = Field(default_factory=dict)


class _Image(Record):
    """An image of versions 1 and 2; version 1 numbers its regions."""

    filename: Annotated[str, Field(min_length=1)]
    regions: list[_Region] = Field(default_factory=list)

    @field_validator("regions", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [*value.values()] if isinstance(value, dict) else value


class _File(Record):
    """A file of version 3."""

    fname: str
    type: int


class _View(Record):
    """A view of version 3: one file, or several side by side."""

    fid_list: Annotated[list[str | int], Field(min_length=1)]


class _Metadata(Record):
    """A region or time span of version 3."""

    vid: str | int
    z: list[_Number] = Field(default_factory=list)  # a time, or begin and end, in seconds
    xy: list[_Number] = Field(default_factory=list)  # the number of a shape, and its numbers
    av: _Values = Field(default_factory=dict)


class _Attribute(Record):
    """An attribute of version 3; values with options are keys."""

    aname: str
    options: dict[str, Any] = Field(default_factory=dict)

    def text(self, value: object) -> str:
        """Convert a value to words, separated by commas."""
        parts = str(value).split(",") if self.options else [str(value)]
        return ", ".join(str(self.options.get(part, part)) for part in parts)


@dataclass(slots=True)
class _ViaRegion:
    """A region of an image or a frame, of any version."""

    where: str  # it stands in the file
    shape: str
    numbers: list[float]
    about: _Values
    rotation: float = 0  # clockwise, in degrees

    @property
    def texts(self) -> dict[str, str | int]:
        """Non-empty attributes."""
        return {
            key: value for key, value in self.about.items() if isinstance(value, str | int) and value != ""
        }

    @property
    def track(self) -> str | int | None:
        """Id of the object; numeric texts are numbers."""
        track = next((value for key, value in self.texts.items() if key.lower() in _TRACKS), None)
        is_integer = isinstance(track, str) and re.fullmatch("[1-9][0-9]{0,8}", track)
        return int(track) if is_integer and track is not None else track

    @property
    def category(self) -> str | None:
        """Class of the object."""
        by_key = {key.lower(): value for key, value in self.texts.items() if key.lower() not in _TRACKS}
        key_value = next((by_key[key] for key in (*_CLASSES, *by_key) if key in by_key), None)
        return None if key_value is None else str(key_value)

    def counts(self, canvas: Canvas) -> bytes | None:
        """Run lengths; None for shapes without an area."""
        numbers = self.numbers
        if self.shape in ("polygon", "polyline"):
            is_closed = len(numbers) > 6 and numbers[:2] == numbers[-2:]
            return canvas.polygons([numbers]) if is_closed or self.shape == "polygon" else None
        if self.shape not in _SIDES:
            return None
        if len(numbers) != _SIDES[self.shape]:
            raise DatasetError(f"a {self.shape} has {len(numbers)} numbers, not {_SIDES[self.shape]}")
        if self.shape == "rect":
            return canvas.box(numbers[0], numbers[1], numbers[2], numbers[3])
        if self.shape == "extreme rectangle":
            across, down = numbers[::2], numbers[1::2]
            return canvas.box(min(across), min(down), max(across) - min(across), max(down) - min(down))
        if self.shape == "extreme circle":
            numbers = _circle_through(numbers)
        return canvas.ellipse(numbers[0], numbers[1], numbers[2], numbers[-1], self.rotation)


def _circle_through(numbers: list[float]) -> list[float]:
    """Centre and radius of the circle through three points."""
    points = np.array(numbers).reshape(3, 2)
    sides = 2 * (points[1:] - points[0])
    if abs(np.linalg.det(sides)) < 1e-9:
        raise DatasetError("the points of an extreme circle lie on a line")
    middle = np.linalg.solve(sides, (points[1:] ** 2).sum(1) - (points[0] ** 2).sum())
    return [*middle.tolist(), math.dist(middle, points[0])]


def read_via(labels: Labels, text: str, where: str, video: Frames) -> None:
    """Read regions; class and id identify an object, else class and position on the frame."""
    members = {key: value for key, place, value in json_entries(text, where) if place < 0}
    frames = (
        _of_project_3(members, labels, video) if members.keys() >= _PROJECT_3 else _of_images(members, video)
    )
    canvas, numbering, is_from_segue = Canvas.of(video.size), Numbering(), _is_from_segue(members)
    classes: dict[str | int | None, set[str]] = {}  # of each id
    for region in (region for regions in frames.values() for region in regions):
        if region.category is not None:
            classes.setdefault(region.track, set()).add(region.category)
    for index, regions in sorted(frames.items()):
        labels.masks.setdefault(index, {})
        for region in regions:
            try:
                counts = region.counts(canvas)
            except DatasetError as error:
                raise DatasetError(f"{region.where}: {error}") from None
            if counts is None:
                labels.skipped[_NO_AREAS.get(region.shape, f"shapes {region.shape[:40]}")] += 1
                continue
            track, name = region.track, region.category
            if name is None and track is not None and len(categories := classes.get(track, set())) == 1:
                name = next(iter(categories))  # it stands with another region of this id
            number = numbering.number(index, name, None if track is None else (name, track))
            labels.add_object(number, name, track, None if is_from_segue else region.texts, category=name)
            labels.add_mask(index, number, counts)
    labels.order_layers({number: place for place, number in enumerate(labels.names)})


def _is_from_segue(members: _Values) -> bool:
    """Whether segue wrote a project, whose objects have only class and id."""
    settings = members.get("_via_settings")
    project = settings.get("project") if isinstance(settings, dict) else None
    return isinstance(project, dict) and project.get("name") == _PROJECT_NAME


def _of_images(members: _Values, video: Frames) -> dict[int, list[_ViaRegion]]:
    """Regions by frame of versions 1 and 2."""
    images = members.get(VIA_2, members)
    if not isinstance(images, dict):
        raise DatasetError(f"{VIA_2} is no object")
    regions: dict[str, list[_ViaRegion]] = {}
    for key, value in images.items():
        image = validated(_Image, value, key)
        if image.filename in regions:
            raise DatasetError(f"{key}: two of its images are called {image.filename}; keep one")
        regions[image.filename] = [
            _region(one, f"{key}.regions[{place}]") for place, one in enumerate(image.regions)
        ]
    return by_frame(dict(sorted(regions.items(), key=lambda item: natural_key(item[0]))), video)


def _region(region: _Region, where: str) -> _ViaRegion:
    attributes = region.shape_attributes
    shape = str(attributes.get("name"))
    across, down = attributes.get("all_points_x"), attributes.get("all_points_y")
    if isinstance(across, list) and isinstance(down, list):
        if len(across) != len(down):
            raise DatasetError(f"{where}: has {len(across)} all_points_x, but {len(down)} all_points_y")
        values = [value for pair in zip(across, down, strict=True) for value in pair]
    else:
        values = [attributes.get(key) for key in _FIELDS.get(shape, ())]
    theta = attributes.get("theta", 0)
    if not all(map(is_number, [*values, theta])):
        raise DatasetError(f"{where}.shape_attributes: a {shape[:40]} lacks numbers")
    return _ViaRegion(where, shape, list(map(float, values)), region.region_attributes, math.degrees(theta))


def _of_project_3(members: _Values, labels: Labels, video: Frames) -> dict[int, list[_ViaRegion]]:
    """Regions by frame of version 3; for videos by time."""
    files = {key: validated(_File, one, f"file.{key}") for key, one in _items(members, "file")}
    views = {key: validated(_View, one, f"view.{key}") for key, one in _items(members, "view")}
    attributes = {
        key: validated(_Attribute, one, f"attribute.{key}") for key, one in _items(members, "attribute")
    }
    visible_files: dict[str, _File] = {}
    for key, view in views.items():
        file = files.get(str(view.fid_list[0]))
        if file is None:
            raise DatasetError(f"view.{key}: names no file of the project")
        visible_files[key] = file
    of_videos = {key: one.fname for key, one in visible_files.items() if one.type == _VIDEO}
    stills: dict[str, list[_ViaRegion]] = {
        one.fname: [] for one in visible_files.values() if one.type != _VIDEO
    }
    if len(stills) + len(of_videos) < len(visible_files):
        raise DatasetError("two of its images have one name; keep one")
    regions: dict[int, list[_ViaRegion]] = {}
    foreign = other_videos([*of_videos.values()], video)
    for key, value in _items(members, "metadata"):
        where = f"metadata.{key}"
        one = validated(_Metadata, value, where)
        file = visible_files.get(str(one.vid))
        if file is None:
            raise DatasetError(f"{where}.vid: {one.vid} is no view of the project")
        if file.fname in foreign and file.type == _VIDEO:
            continue
        if not one.xy:
            labels.skipped["spans of time" if one.z else "tags"] += 1
            continue
        region = _region_3(one, where, attributes)
        if file.type != _VIDEO:
            stills[file.fname].append(region)
        elif len(one.z) == 1:
            regions.setdefault(_frame_at(one.z[0], where, video), []).append(region)
        else:
            labels.skipped["shapes without one time"] += 1
    names = sorted(stills, key=natural_key)
    return regions | by_frame({name: stills[name] for name in names}, video)


def _region_3(one: _Metadata, where: str, attributes: Mapping[str, _Attribute]) -> _ViaRegion:
    kind = int(one.xy[0])
    if not 1 <= kind <= len(_NAMES_3):
        raise DatasetError(f"{where}.xy: {one.xy[0]:g} is no shape of VIA 3")
    about = {
        attributes[key].aname if key in attributes else key: attributes[key].text(value)
        if key in attributes
        else value
        for key, value in one.av.items()
    }
    return _ViaRegion(where, _NAMES_3[kind - 1], one.xy[1:], about)


def _frame_at(time: float, where: str, video: Frames) -> int:
    """Frame shown at a time."""
    try:
        index = frame_at(video, time)
    except DatasetError as error:
        raise DatasetError(f"{where}.z: {error}") from None
    if not 0 <= index < video.count:
        raise DatasetError(f"{where}.z: the video has no frame at {time:g} s")
    return index


def _items(members: _Values, key: str) -> Iterable[tuple[str, Any]]:
    """Entries of a section of a project."""
    value = members.get(key, {})
    if not isinstance(value, dict):
        raise DatasetError(f"{key} is no object")
    return value.items()


class ViaWriter(SpooledSink):
    """Writes a project of VIA 2 with polygons from below; ``label`` is the class, ``track_id`` the object.

    Args:
        path: file to write, ending in ``.json``.
        run: the options.
    """

    def __init__(self, path: Path, run: SinkOptions) -> None:
        super().__init__(path, run.source_size)
        self._whole_masks, self._names, self._images = run.whole, run.names, run.images

    def add(self, objects: FrameObjects) -> None:
        names = self._images or ()
        name = f"{frame_name(self._names, objects.index)}.jpg"
        name = names[objects.index] if objects.index < len(names) else name
        regions = [
            {
                "shape_attributes": {
                    "name": "polygon", "all_points_x": corners[::2], "all_points_y": corners[1::2]
                },
                "region_attributes": {"label": item.label or UNNAMED, "track_id": str(item.id)},
            }
            for item, (_, plane) in zip(objects.objects, objects.planes(), strict=True)
            for corners in coco_polygons(plane)
        ]  # fmt: skip
        image = {"filename": name, "size": -1, "regions": regions, "file_attributes": {}}
        self._append_entry(json.dumps([f"{name}-1", image]).encode())

    def _complete(self) -> None:
        text = {"type": "text", "description": "", "default_value": ""}
        texts = {"label": text, "track_id": text}
        head = {
            "_via_settings": {"ui": {}, "core": {}, "project": {"name": _PROJECT_NAME}},
            "_via_attributes": {"region": texts, "file": {}},
            "_via_data_format_version": "2.0.10",
        }
        keys: list[str] = []
        with self._file.path.open("w", encoding="utf-8") as stream:
            stream.write(f"{json.dumps(head)[:-1]}, {json.dumps(VIA_2)}: {{")
            for entry in self._entries():
                key, image = json.loads(entry)
                stream.write(f"{', ' if keys else ''}{json.dumps(key)}: {json.dumps(image)}")
                keys.append(key)
            stream.write(f'}}, "_via_image_id_list": {json.dumps(keys)}}}')


def _sniff(files: Files) -> float:
    text = files.annotation_ending(".json")
    return 0.8 if text is not None and is_via(text, files.names[0]) else 0.0


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    name, text = files.annotation or ("", "")
    read_via(labels, text, files.where(name), video)
    return labels


ENTRIES = (
    Format(
        "via",
        "via.json",
        ViaWriter,
        holds=Holds(layers=True, max_id=65535, classes=True, empty=True),
        sniff=_sniff,
        read=_read,
        endings=(".json",),
        title="VIA",
        about="a project of the VGG Image Annotator with polygons",
        group=ANNOTATION_TOOLS,
        known_only=True,
    ),
)
