"""XML of CVAT: for video 1.1 and for images 1.1, of a task, a job or a project."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from segue.entries import Format, Holds, SinkOptions
from segue.errors import DatasetError
from segue.formats.base import SpooledSink
from segue.formats.files import Files
from segue.formats.folders import ANNOTATION_TOOLS
from segue.formats.frames import FrameObjects, Size
from segue.formats.labels import DEFAULT_COLOUR, MAX_MASKS, Frames, Labels, by_frame, check_images
from segue.formats.schema import (
    CHECKED,
    OCCLUDED,
    UNCHECKED,
    AttributeDefinition,
    ClassDefinition,
    found_attribute,
    found_class,
    found_schema,
    texts_of,
)
from segue.formats.text import refuse_entities, without_controls
from segue.masks.measure import UNNAMED
from segue.masks.outlines import outline_between
from segue.masks.shapes import Canvas
from segue.masks.splines import KeyedShape, ShapeKey, flattened
from segue.utils.arrays import Float64Array
from segue.utils.naming import first_few, frame_stem, natural_key

MAX_KEY_CORNERS = 1000
"""Corners of a shape that is kept with its keys; one with more becomes masks alone."""

MAX_CORNERS = 1 << 20
"""Characters of the corners of a polygon."""

_MAX_READ = 16 << 20
"""Characters that are parsed at a time at most; their elements are in memory together."""

_NO_RUNS = re.compile(r"[^0-9, ]|[0-9]{19}|[0-9] |,[^0-9 ]|, [^0-9]|^[^0-9]|[^0-9]$")
"""Never occurs in numbers separated by commas; matching the whole text would take memory for each number."""

_NO_AREAS = {
    "points": "points",
    "polyline": "lines",
    "tag": "tags",
    "skeleton": "skeletons",
    "cuboid": "cuboids",
}
"""Elements of shapes that are no areas, and what several are called."""

_INPUTS = {"choice": "select", "check": "checkbox", "text": "text"}
"""CVAT's names of kinds of attributes."""

_Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=0, le=1_000_000)]


class _Shape(BaseModel):
    """Attributes of a shape, which are texts in the file."""

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
    """An ellipse by its middle and half axes."""

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
    """Run lengths along the rows of a box, the first one of zeros."""

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
        plane = np.zeros(canvas.own, np.bool_)
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        plane[window] = inside.reshape(self.height, self.width)
        return canvas.plane(plane)


_AnyShape: TypeAlias = _Box | _Ellipse | _Polygon | _Mask

_SHAPES: dict[str, type[_AnyShape]] = {
    "mask": _Mask,
    "polygon": _Polygon,
    "ellipse": _Ellipse,
    "box": _Box,
}
"""By the name of the element."""


def _between(shape: _AnyShape, later: _AnyShape | None, share: float) -> _AnyShape:
    """A shape on the way to one of its kind; others stay, as CVAT shows them. It turns the shorter way."""
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


@dataclass(slots=True)
class _Task:
    """A task that a file is of."""

    id: str
    names: set[str]  # of the task and of its video
    height: int | None
    width: int | None
    end: int | None = None  # the frame after its last one


@dataclass(slots=True)
class _Reading:
    """What is read so far."""

    labels: Labels
    video: Frames
    numbers: dict[tuple[str, ...], int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    levels: dict[int, float] = field(default_factory=dict)
    boxes: list[tuple[int, int, bytes]] = field(default_factory=list)  # frame or image, object, run lengths
    painted: list[tuple[int, int, bytes]] = field(default_factory=list)  # the same of other shapes
    frame_attributes: list[tuple[int, int, dict[str, object]]] = field(
        default_factory=list
    )  # attributes of shapes
    classes: dict[str, ClassDefinition] = field(default_factory=dict)  # by label

    def object_of(self, item: ET.Element) -> int:
        """The object of a track or of a shape in an image; those of a group are one."""
        group, label = item.get("group_id", "0"), _required(item, "label")
        is_grouped = group not in ("", "0")
        same: tuple[str, ...] = ("group", group, label)
        if not is_grouped:
            same = (
                ("track", _required(item, "id")) if item.tag == "track" else ("shape", str(len(self.numbers)))
            )
        number = self.numbers.setdefault(same, len(self.numbers) + 1)
        group_number = int(group) if is_grouped and group.isdecimal() else None
        colour = self.classes[label].colour if label in self.classes else None
        self.labels.add_object(number, label, group_number, category=label, colour=colour)
        return number

    def draw(self, item: ET.Element, number: int, canvas: Canvas, image: int | None) -> None:
        """Take a shape of a track, or of an image."""
        shape = _SHAPES[item.tag].model_validate(item.attrib)
        index = shape.frame if image is None else image
        if index is None or not 0 <= index < self.video.count:
            raise DatasetError(f"frame {index} is none of the video, which has {self.video.count}")
        self._add_shape(item, shape, index, number, canvas)

    def draw_track(self, items: Sequence[ET.Element], number: int, canvas: Canvas, end: int) -> None:
        """Take the shapes of a track up to a frame; as CVAT does, fill the frames after key frames."""
        items = sorted(items, key=lambda item: _integer(item.get("frame")) or 0)
        if (keyed := _keyed_shape(items, canvas, min(end, self.video.count))) is not None:
            self.labels.shapes.setdefault(number, []).append(keyed)
        for item, later in zip_longest(items, items[1:]):
            if _is_set(item, "outside"):
                continue
            self.draw(item, number, canvas, None)
            if not _is_set(item, "keyframe") or item.tag == "mask":  # masks have no frames between them
                continue
            shape = _SHAPES[item.tag].model_validate(item.attrib)
            goal = None if later is None else _SHAPES[later.tag].model_validate(later.attrib)
            first, last = shape.frame or 0, end if goal is None else goal.frame or 0
            for index in range(first + 1, min(last, self.video.count)):
                filled = _between(shape, goal, (index - first) / (last - first))
                self._add_shape(item, filled, index, number, canvas)

    def _add_shape(self, item: ET.Element, shape: _AnyShape, index: int, number: int, canvas: Canvas) -> None:
        self.levels.setdefault(number, shape.z_order)
        (self.boxes if item.tag == "box" else self.painted).append((index, number, shape.counts(canvas)))
        if len(self.boxes) + len(self.painted) > MAX_MASKS:
            raise DatasetError(f"has more than {MAX_MASKS} masks; import it in parts")
        attributes: dict[str, object] = {OCCLUDED: shape.occluded}
        category = self.labels.class_of.get(number, "")
        defined = self.classes[category].attributes if category in self.classes else ()
        of_frames = {one.name for one in defined if one.of == "frame"}
        for about in item.iter("attribute"):
            name, value = about.get("name", ""), about.text or ""
            if name in of_frames:
                attributes[name] = value
            else:
                self.labels.add_object(number, None, about={name: value})
        self.frame_attributes.append((index, number, attributes))


def _keyed_shape(items: Sequence[ET.Element], canvas: Canvas, end: int) -> KeyedShape | None:
    """Polygons or upright boxes of a track, ascending, with their keys; None of a track of other shapes."""
    scale = canvas.size[1] / canvas.own[1], canvas.size[0] / canvas.own[0]
    keys: dict[int, ShapeKey] = {}
    on, previous = False, None
    for item in items:
        shape = _SHAPES[item.tag].model_validate(item.attrib)
        corners = _corners_of(shape)
        frame = shape.frame or 0
        if corners is None or not 3 <= len(corners) <= MAX_KEY_CORNERS:
            return None
        is_on = not _is_set(item, "outside")
        if frame < end and (_is_set(item, "keyframe") or is_on != on):
            if previous is not None and len(previous) == len(corners):
                corners = outline_between(previous, corners, 1.0)  # each corner at the place of its own
            previous = corners
            places = (corners * scale).tolist()
            keys[frame] = ShapeKey(tuple((x, y, 0.0, 0.0, 0.0, 0.0) for x, y in places), is_on)
        on = is_on
    if not any(key.on for key in keys.values()):
        return None
    last = max(keys)
    if keys[last].on:  # it stays as it is
        keys[end - 1] = keys[last]
    return KeyedShape(keys)


def _corners_of(shape: _AnyShape) -> Float64Array | None:
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


def read_cvat(labels: Labels, text: str, video: Frames) -> None:
    """Areas on the frames that the file lists; tracks of a group are one object."""
    text = refuse_entities(text)
    _, root = next(_parsed(text, "start"))
    if root.tag == "annotation":
        raise DatasetError("is a file of Pascal VOC, not of CVAT: convert it to COCO, or give its masks")
    if root.tag != "annotations":
        raise DatasetError(f"is no file of CVAT: it begins with <{root.tag[:40]}>, not <annotations>")
    reading = _Reading(labels, video)
    tasks, task = _tasks(text, reading.classes), None
    if tasks:
        task = _select_task(tasks, video)
    for item in _items(text):
        of = item.get("task_id")
        if task is None or of is None or of == task.id:
            _read_item(reading, item, task)
    _store(reading)


def _read_item(reading: _Reading, item: ET.Element, task: _Task | None) -> None:
    """A track, or the shapes of an image."""
    skipped, video = reading.labels.skipped, reading.video
    for shape in item:
        if shape.tag in _NO_AREAS and not _is_set(shape, "outside"):
            skipped[_NO_AREAS[shape.tag]] += 1
    all_shapes = [shape for shape in item if shape.tag in _SHAPES]
    shapes = [shape for shape in all_shapes if not _is_set(shape, "outside")]
    if item.tag != "track":
        image = len(reading.images)
        if reading.images.setdefault(_required(item, "name"), image) != image:
            raise DatasetError("two of its images have one name")
        check_images(len(reading.images), video)
        for shape in shapes:
            reading.draw(shape, reading.object_of(shape), _canvas(video, None, item), image)
    elif shapes:
        end = video.count if task is None or task.end is None else task.end
        reading.draw_track(all_shapes, reading.object_of(item), _canvas(video, task, item), end)
    elif not any(shape.tag in _NO_AREAS for shape in item):
        skipped["tracks without a shape"] += 1


def _store(reading: _Reading) -> None:
    """Put what was read into the labels, by the frames of the video."""
    labels = reading.labels
    # A box says less than a mask: it counts where an object has nothing else, and lies below the others.
    painted = {(index, number) for index, number, _ in reading.painted}
    below = [box for box in sorted(reading.boxes, key=itemgetter(1)) if box[:2] not in painted]
    names = {name: reading.images[name] for name in sorted(reading.images, key=natural_key)}
    frames = {image: index for index, image in by_frame(names, reading.video).items()} if names else {}
    for place, number, counts in below + reading.painted:
        labels.add_mask(frames.get(place, place), number, counts)
    # Text alone is what a file has that says nothing more of its attributes.
    attributes = [one for each in reading.classes.values() for one in each.attributes]
    if any(one.type != "text" or one.of == "frame" for one in attributes):
        labels.schema = found_schema([*reading.classes.values()], ())
    for place, number, about in reading.frame_attributes:
        labels.add_frame_attributes(frames.get(place, place), number, about)
    labels.settle_frame_attributes()
    # What lies on top comes last in the list of objects.
    painted_objects = {number for _, number, _ in reading.painted}
    labels.sort_objects(lambda number: (number in painted_objects, reading.levels.get(number, 0.0)))


class _GrowingReads(io.StringIO):
    """A text that is read in larger and larger pieces.

    Expat looks at an attribute from its beginning again with each piece, and one may be most of the file.
    """

    _length = 1 << 16

    def read(self, size: int | None = -1) -> str:
        self._length = min(2 * self._length, _MAX_READ)
        return super().read(self._length)


def _parsed(text: str, event: Literal["start", "end"] = "end") -> Iterator[tuple[str, ET.Element]]:
    """Elements of a text where they begin or end, the first ones before all of it is read."""
    return ET.iterparse(_GrowingReads(text), (event,))


def _items(text: str) -> Iterator[ET.Element]:
    """Tracks and images, one after the other."""
    for _, item in _parsed(text):
        if item.tag in ("track", "image"):
            yield item
            item.clear()
        elif item.tag not in _SHAPES and any(shape.tag in _SHAPES for shape in item):
            raise DatasetError(
                f"a {next(shape.tag for shape in item if shape.tag in _SHAPES)} belongs to no track"
            )


def _tasks(text: str, classes: dict[str, ClassDefinition]) -> list[_Task]:
    """The tasks that the head of a file describes; its labels are added to ``classes``."""
    tasks: list[_Task] = []
    sizes: dict[str, int | None] = {}
    for _, item in _parsed(text):
        if item.tag == "label":
            attributes = [_attribute(one) for one in item.iter("attribute")]
            name = item.findtext("name", "")
            # The parts of a skeleton are no objects.
            class_definition = (
                None
                if item.findtext("parent")
                else found_class(name, item.findtext("color"), None, attributes)
            )
            if class_definition is not None:
                classes[name] = class_definition
        elif item.tag in ("task", "job"):
            size = item.find("original_size")
            sizes = {
                side: _integer(None if size is None else size.findtext(side)) for side in ("height", "width")
            }
            names = {item.findtext("name", ""), item.findtext("source", "")}
            last = _integer(item.findtext("stop_frame"))
            end = _integer(item.findtext("size")) if last is None else last + 1
            called = {one for name in names for one in _called(name)}
            tasks.append(_Task(item.findtext("id", ""), called, **sizes, end=end))
        elif item.tag in ("meta", "track", "image"):
            source = item.findtext("source", "") if item.tag == "meta" else ""
            if source and len(tasks) == 1:
                tasks[0].names |= _called(source)
            size = item.find("original_size") if item.tag == "meta" else None
            if size is not None and len(tasks) == 1 and tasks[0].height is None:
                tasks[0].height, tasks[0].width = (
                    _integer(size.findtext(side)) for side in ("height", "width")
                )
            break
    return tasks


def _attribute(item: ET.Element) -> AttributeDefinition | None:
    """An attribute of a label: CVAT's text, number, checkbox, radio and select."""
    kind = {"checkbox": "check", "radio": "choice", "select": "choice"}.get(
        item.findtext("input_type", ""), "text"
    )
    values = [each.strip() for each in item.findtext("values", "").splitlines() if each.strip()]
    about = {"type": kind, "of": "frame" if item.findtext("mutable", "").lower() == "true" else "object"}
    return found_attribute(
        name=item.findtext("name", ""),
        **about,
        values=list(dict.fromkeys(values)) if kind == "choice" else (),
    )


def _called(name: str) -> set[str]:
    """What a task or its video may be called here: with and without its ending."""
    stem = frame_stem(name)
    return {stem, stem.rpartition(".")[0] or stem} - {""}


def _integer(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _select_task(tasks: list[_Task], video: Frames) -> _Task:
    """The task of a file that is of this video."""
    video_name = getattr(video, "name", None)
    same = [task for task in tasks if video_name and frame_stem(video_name) in task.names]
    if len(tasks) > 1 and len(same) != 1:
        names = first_few(sorted(name for task in tasks for name in task.names))
        raise DatasetError(
            f"it is of {len(tasks)} tasks ({names}), none or several of this video; export one task"
        )
    return same[0] if len(tasks) > 1 else tasks[0]


def _canvas(video: Frames, task: _Task | None, item: ET.Element) -> Canvas:
    """The canvas of an image by its size, of a track by that of its task."""
    if task is not None:
        return Canvas.of(video.size, task.height, task.width)
    return Canvas.of(video.size, _integer(item.get("height")), _integer(item.get("width")))


def _is_set(item: ET.Element, key: str) -> bool:
    """Whether a flag of a shape is set; other programs than CVAT write it as a word."""
    return item.get(key, "").lower() in ("1", "true")


def _required(item: ET.Element, key: str) -> str:
    """Value of an element under a key."""
    if key not in item.attrib:
        raise DatasetError(f"a {item.tag} has no {key}")
    return item.attrib[key]


def row_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Run lengths along the rows, the first one of zeros, as CVAT has them. ``mask``: (H, W), bool."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


class CvatWriter(SpooledSink):
    """Writes CVAT for video 1.1: a track of one frame for each mask; those of an object are in one group.

    Objects with shapes have a track of polygons with their keys for each shape instead.

    Args:
        path: file to write.
        labels: the objects as they are known beforehand; None for those that come.
        span: frames from the first to the last one; those that come by default.
        length: frames of the video; those up to the last one that comes by default.
        name: of the video.
    """

    def __init__(
        self,
        path: Path,
        labels: Labels | None,
        *,
        span: range | None = None,
        length: int | None = None,
        name: str = "",
        size: Size = None,
        whole: bool = False,
    ) -> None:
        super().__init__(path, size)
        self._whole_masks = whole
        self._known, self._name, self._span, self._length = labels is not None, name, span, length
        self._labels = Labels((0, 0)) if labels is None else labels
        self._levels = {} if labels is None else labels.levels()
        self._numbers = count()
        self._last = -1
        if labels is not None:
            frames = span or range(length or 0)
            for i, shapes in labels.shapes.items():
                for keyed in shapes:
                    about = frames, length or frames.stop, self._levels[i]
                    track = _track(labels, i, keyed, next(self._numbers), *about)
                    if len(track):  # it is on some of the frames
                        self._append_tracks([track])

    def add(self, objects: FrameObjects) -> None:
        labels, self._last = self._labels, objects.index
        if not self._known:
            labels.size = objects.size
            for item in objects.objects:
                labels.names.setdefault(item.id, item.label or UNNAMED)
        # What is on top on this frame has the highest level, and as its level its id where ids grow upwards.
        levels = self._levels or dict(zip(objects.ids, sorted(objects.ids), strict=True))
        tracks: list[ET.Element] = []
        for i, plane in objects.planes():
            if i in labels.shapes or not plane.any():
                continue
            track = ET.Element("track", id=str(next(self._numbers)), label=labels.names[i])
            track.attrib |= {"source": "semi-auto", "group_id": str(i)}
            left, top, width, height = cv2.boundingRect(plane.view(np.uint8))
            attributes = texts_of(objects.attributes.get(i, {}))
            occluded = int(attributes.get(OCCLUDED) == CHECKED)
            about = {"frame": objects.index, "keyframe": 1, "outside": 0, "occluded": occluded,
                     "z_order": levels[i],
                     "rle": ", ".join(map(str, row_runs(plane[top : top + height, left : left + width]))),
                     "left": left, "top": top, "width": width, "height": height}  # fmt: skip
            shape = ET.SubElement(track, "mask", {name: str(value) for name, value in about.items()})
            for attribute, text in attributes.items():
                ET.SubElement(shape, "attribute", name=attribute).text = text
            tracks.append(track)
        if tracks:
            self._append_tracks(tracks)

    def _append_tracks(self, tracks: Iterable[ET.Element]) -> None:
        """Keep the text of tracks as it stands in the file, with the line break before each."""
        root = ET.Element("annotations")
        root.extend(tracks)
        ET.indent(root)
        text = ET.tostring(root, encoding="utf-8")
        self._append_entry(text.removeprefix(b"<annotations>").removesuffix(b"\n</annotations>"))

    def _complete(self) -> None:
        length = self._last + 1 if self._length is None else self._length
        labels = self._labels
        colours = labels.colours if self._known else dict.fromkeys(labels.names.values(), DEFAULT_COLOUR)
        root = ET.Element("annotations")
        _add(root, version="1.1")
        root.append(_meta(labels, colours, self._name, length))
        ET.indent(root)
        head, end = ET.tostring(root, encoding="utf-8", xml_declaration=True).rsplit(b"\n", 1)
        with self._file.path.open("wb") as stream:
            stream.write(head)
            for tracks in self._entries():
                stream.write(tracks)
            stream.write(b"\n" + end)


def _track(
    labels: Labels, number: int, shape: KeyedShape, track: int, frames: range, length: int, level: int
) -> ET.Element:
    """A shape as a track of polygons: its keys, and all frames where corners go in no straight line."""
    about = {"id": str(track), "label": labels.names[number], "source": "semi-auto", "group_id": str(number)}
    element = ET.Element("track", about)
    span = range(max(shape.span.start, frames.start), min(shape.span.stop, frames.stop))
    is_on = False
    for index in range(span.start, span.stop + (span.stop < length)):
        was_on, is_on = is_on, index in span and shape.is_on(index)
        # Where it ends, CVAT wants a polygon, too, and goes there in a straight line.
        corners = shape.corners_at(index if index in span else span.stop - 1)
        is_needed = is_on and _is_key(shape, index, span)
        if corners is None or not (is_needed or is_on != was_on):
            continue
        attributes = labels.attributes_at(index, number)
        occluded = int(attributes.get(OCCLUDED) == CHECKED)
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in flattened(corners).tolist())
        values = {"frame": index, "keyframe": 1, "outside": int(not is_on), "occluded": occluded,
                  "z_order": level, "points": points}  # fmt: skip
        polygon = ET.SubElement(element, "polygon", {name: str(value) for name, value in values.items()})
        for attribute, text in attributes.items():
            ET.SubElement(polygon, "attribute", name=attribute).text = text
    return element


def _is_key(shape: KeyedShape, index: int, span: range) -> bool:
    """Whether CVAT, which goes in straight lines, needs a key on a frame."""
    if index in shape.keys or index in (span.start, span.stop - 1):
        return True
    before = max((frame for frame in shape.keys if frame < index), default=None)
    return before is not None and shape.keys[before].motion != "linear"


def _meta(annotations: Labels, colours: Mapping[str, str], name: str, length: int) -> ET.Element:
    """Task metadata of CVAT."""
    meta = ET.Element("meta")
    task = ET.SubElement(meta, "task")
    _add(task, name=name, size=length, mode="interpolation", start_frame=0, stop_frame=length - 1)
    labels = ET.SubElement(task, "labels")
    for kind, colour in colours.items():
        label = ET.SubElement(labels, "label")
        _add(label, name=kind, color=colour, type="any" if annotations.shapes else "mask")
        attributes = ET.SubElement(label, "attributes")
        for one in annotations.fields_of(kind):
            about: dict[str, object] = {"name": one.name, "mutable": one.of == "frame"}
            about["input_type"] = _INPUTS[one.type]
            # CVAT gives the first value to whatever has none: a choice has an empty one, for "not said".
            values = {"choice": ("", *one.values), "check": (UNCHECKED,), "text": ("",)}[one.type]
            entry = ET.SubElement(attributes, "attribute")
            _add(entry, **about, default_value=values[0])
            ET.SubElement(entry, "values").text = "\n".join(map(without_controls, values))
    height, width = annotations.size
    _add(ET.SubElement(task, "original_size"), width=width, height=height)
    return meta


def _add(parent: ET.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = without_controls(str(text))


def _open(path: Path, run: SinkOptions) -> CvatWriter:
    about: dict[str, Any] = {"span": run.span, "length": run.count, "name": run.source}
    return CvatWriter(path, run.labels, size=run.source_size, whole=run.whole, **about)


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    read_cvat(labels, files.annotation_ending(".xml") or "", video)
    return labels


ENTRIES = (
    Format(
        "cvat",
        "cvat.xml",
        _open,
        holds=Holds(
            layers=True,
            max_id=65535,
            classes=True,
            colours=True,
            attributes=True,
            frame_attributes=True,
            schema=True,
            keys=True,
        ),
        sniff=lambda files: 0.9 if files.annotation_ending(".xml") else 0.0,
        read=_read,
        endings=(".xml",),
        title="CVAT for video 1.1",
        about="one XML file: masks, and polygons for shapes with keys",
        group=ANNOTATION_TOOLS,
    ),
)
