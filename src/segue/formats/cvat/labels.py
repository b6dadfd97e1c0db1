"""Read labels from the XML of CVAT, of a task, a job or a project."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import itemgetter
from typing import Literal

from segue.errors import DatasetError
from segue.formats.cvat.shapes import MAX_KEY_CORNERS, SHAPES, AnyShape, corners_of, shape_between
from segue.formats.labels import MAX_MASKS, Frames, Labels, by_frame, check_images
from segue.formats.schema import (
    OCCLUDED,
    AttributeDefinition,
    ClassDefinition,
    found_attribute,
    found_class,
    found_schema,
)
from segue.formats.text import refuse_entities
from segue.masks.outlines import outline_between
from segue.masks.shapes import Canvas
from segue.masks.splines import KeyedShape, ShapeKey
from segue.utils.naming import first_few, frame_stem, natural_key

_MAX_READ = 16 << 20
"""Characters that are parsed at a time at most; their elements are in memory together."""

_NO_AREAS = {
    "points": "points",
    "polyline": "lines",
    "tag": "tags",
    "skeleton": "skeletons",
    "cuboid": "cuboids",
}
"""Elements of shapes without an area, and their plurals."""


@dataclass(slots=True)
class _Task:
    """A task of the file."""

    id: str
    names: set[str]  # of the task and of its video
    height: int | None
    width: int | None
    end: int | None = None  # the frame after its last one


@dataclass(slots=True)
class _Reading:
    """State of the reader."""

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
        """Object of a track or shape; shapes of a group share one."""
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
        """Add a shape of a track or an image."""
        shape = SHAPES[item.tag].model_validate(item.attrib)
        index = shape.frame if image is None else image
        if index is None or not 0 <= index < self.video.count:
            raise DatasetError(f"frame {index} is none of the video, which has {self.video.count}")
        self._add_shape(item, shape, index, number, canvas)

    def draw_track(self, items: Sequence[ET.Element], number: int, canvas: Canvas, end: int) -> None:
        """Add the shapes of a track up to a frame, and interpolate after key frames like CVAT."""
        items = sorted(items, key=lambda item: _integer(item.get("frame")) or 0)
        if (keyed := _keyed_shape(items, canvas, min(end, self.video.count))) is not None:
            self.labels.shapes.setdefault(number, []).append(keyed)
        for item, later in zip_longest(items, items[1:]):
            if _is_set(item, "outside"):
                continue
            self.draw(item, number, canvas, None)
            if not _is_set(item, "keyframe") or item.tag == "mask":  # masks have no frames between them
                continue
            shape = SHAPES[item.tag].model_validate(item.attrib)
            goal = None if later is None else SHAPES[later.tag].model_validate(later.attrib)
            first, last = shape.frame or 0, end if goal is None else goal.frame or 0
            for index in range(first + 1, min(last, self.video.count)):
                filled = shape_between(shape, goal, (index - first) / (last - first))
                self._add_shape(item, filled, index, number, canvas)

    def _add_shape(self, item: ET.Element, shape: AnyShape, index: int, number: int, canvas: Canvas) -> None:
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
    """Keys of a track of polygons or upright boxes, in order; None for other shapes."""
    scale = canvas.size[1] / canvas.image_size[1], canvas.size[0] / canvas.image_size[0]
    keys: dict[int, ShapeKey] = {}
    on, previous = False, None
    for item in items:
        shape = SHAPES[item.tag].model_validate(item.attrib)
        corners = corners_of(shape)
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


def read_cvat(labels: Labels, text: str, video: Frames) -> None:
    """Read the areas of a file; tracks of a group are one object."""
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
    _add_to_labels(reading)


def _read_item(reading: _Reading, item: ET.Element, task: _Task | None) -> None:
    """Read a track, or the shapes of an image."""
    skipped, video = reading.labels.skipped, reading.video
    for shape in item:
        if shape.tag in _NO_AREAS and not _is_set(shape, "outside"):
            skipped[_NO_AREAS[shape.tag]] += 1
    all_shapes = [shape for shape in item if shape.tag in SHAPES]
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


def _add_to_labels(reading: _Reading) -> None:
    """Add everything read to the labels, by frame of the video."""
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
    """A text that is read in growing pieces.

    Expat looks at an attribute from its beginning again with each piece, and one may be most of the file.
    """

    _length = 1 << 16

    def read(self, size: int | None = -1) -> str:
        self._length = min(2 * self._length, _MAX_READ)
        return super().read(self._length)


def _parsed(text: str, event: Literal["start", "end"] = "end") -> Iterator[tuple[str, ET.Element]]:
    """Iterate over the elements of a text as they begin or end, while it is parsed."""
    return ET.iterparse(_GrowingReads(text), (event,))


def _items(text: str) -> Iterator[ET.Element]:
    """Iterate over tracks and images."""
    for _, item in _parsed(text):
        if item.tag in ("track", "image"):
            yield item
            item.clear()
        elif item.tag not in SHAPES and any(shape.tag in SHAPES for shape in item):
            raise DatasetError(
                f"a {next(shape.tag for shape in item if shape.tag in SHAPES)} belongs to no track"
            )


def _tasks(text: str, classes: dict[str, ClassDefinition]) -> list[_Task]:
    """Read the tasks in the head of a file, and add its labels to ``classes``."""
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
            called = {one for name in names for one in _stems_of(name)}
            tasks.append(_Task(item.findtext("id", ""), called, **sizes, end=end))
        elif item.tag in ("meta", "track", "image"):
            source = item.findtext("source", "") if item.tag == "meta" else ""
            if source and len(tasks) == 1:
                tasks[0].names |= _stems_of(source)
            size = item.find("original_size") if item.tag == "meta" else None
            if size is not None and len(tasks) == 1 and tasks[0].height is None:
                tasks[0].height, tasks[0].width = (
                    _integer(size.findtext(side)) for side in ("height", "width")
                )
            break
    return tasks


def _attribute(item: ET.Element) -> AttributeDefinition | None:
    """Read an attribute of a label: text, number, checkbox, radio or select."""
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


def _stems_of(name: str) -> set[str]:
    """Names of a task or its video, with and without suffix."""
    stem = frame_stem(name)
    return {stem, stem.rpartition(".")[0] or stem} - {""}


def _integer(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _select_task(tasks: list[_Task], video: Frames) -> _Task:
    """Select the task of this video."""
    video_name = getattr(video, "name", None)
    same = [task for task in tasks if video_name and frame_stem(video_name) in task.names]
    if len(tasks) > 1 and len(same) != 1:
        names = first_few(sorted(name for task in tasks for name in task.names))
        raise DatasetError(
            f"it is of {len(tasks)} tasks ({names}), none or several of this video; export one task"
        )
    return same[0] if len(tasks) > 1 else tasks[0]


def _canvas(video: Frames, task: _Task | None, item: ET.Element) -> Canvas:
    """Canvas of an image by its size, or of a track by the size of its task."""
    if task is not None:
        return Canvas.of(video.size, task.height, task.width)
    return Canvas.of(video.size, _integer(item.get("height")), _integer(item.get("width")))


def _is_set(item: ET.Element, key: str) -> bool:
    """Whether a flag of a shape is set; some programs write it as a word."""
    return item.get(key, "").lower() in ("1", "true")


def _required(item: ET.Element, key: str) -> str:
    """Value of an element under a key."""
    if key not in item.attrib:
        raise DatasetError(f"a {item.tag} has no {key}")
    return item.attrib[key]
