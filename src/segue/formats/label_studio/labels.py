"""Read labels from tasks of Label Studio."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from segue.errors import DatasetError
from segue.formats.files import json_entries
from segue.formats.label_studio.brush import decode_brush
from segue.formats.labels import Frames, Labels, by_frame, frame_at, other_videos
from segue.formats.schema import (
    CHECKED,
    AttributeDefinition,
    LabelSchema,
    found_attribute,
    found_class,
    found_schema,
)
from segue.formats.text import refuse_entities
from segue.masks.shapes import Canvas
from segue.utils.arrays import Float64Array
from segue.utils.inputs import is_number
from segue.utils.naming import natural_key
from segue.video.sources.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_OURS = re.compile(r"f[0-9]{1,9}o([0-9]{1,5})")
"""Regions of exports of segue are called by frame and object."""

_NO_AREAS = {"keypoint": "points", "vector": "lines", "relation": "relations", "timeline": "spans"}
"""Kinds of regions without an area, without the suffix ``labels``, and their plurals."""

_ABOUT_REGIONS = frozenset(
    {"choices", "textarea", "number", "rating", "taxonomy", "datetime", "pairwise", "ranker"}
)
"""Kinds of answers to questions about a region or a task; they repeat the shape of their region."""

_SHAPES = {"rle": "brush", "sequence": "videorectangle", "points": "polygon", "radiusX": "ellipse"}
"""Shapes by key of a region; with ``x``, a height makes a rectangle, otherwise it is a point."""

OF_FRAMES = "frame_"
"""Prefix of controls whose attributes may change between frames."""

MAX_KEYS = 100_000

SAME_RATE = 0.01
"""Rates of a tag and its video that differ by less are one; durations are rounded."""

Item = dict[str, Any]


def frames_in_tag(value: Item, rate: float | None, count: int | None = None) -> float:
    """Number of frames of the tag per frame of a video with this frame rate and length.

    The tag counts frames at a rate of its own, ``framesCount / duration``.
    """
    frames, duration = value.get("framesCount"), value.get("duration")
    if frames is None or not is_number(frames) or frames <= 0 or frames == count:
        return 1.0
    if duration is not None and is_number(duration) and duration > 0 and rate:
        ratio = float(frames) / float(duration) / rate
        return 1.0 if abs(ratio - 1) < SAME_RATE else ratio
    return float(frames) / count if count else 1.0


def index_at(video: Frames, frame: float, ratio: float) -> int:
    """Convert a frame of the tag, counted from 1 by the clock, to a frame of the video."""
    if not video.fps:
        return round((frame - 1) / ratio)
    half = min(1.0, ratio) / 2  # not where two frames meet
    return frame_at(video, (frame - 1 + half) / (ratio * video.fps))


def tag_position(video: Frames, index: int, ratio: float) -> float:
    """Convert a frame of the video to a position in the tag, from 1 on."""
    return 1 + ratio * (video.fps * video.time(index) if video.fps else index)


def read_tasks(labels: Labels, text: str, where: str, video: Frames, config: str | None = None) -> None:
    """Read exported tasks; attributes and colours come from ``config``, the labelling configuration."""
    names: dict[str, bool] = {}  # whether boxes of a video are drawn
    for name, task in _named_tasks(text, where):
        has_boxes = any(_shape_of(region) == "videorectangle" for region in _regions(task))
        names[name] = names.get(name, False) or has_boxes
    videos = {name for name, has_boxes in names.items() if has_boxes or _suffix(name) in VIDEO_SUFFIXES}
    stills = [name for name in sorted(names, key=natural_key) if name not in videos]
    frames = by_frame({name: name for name in stills}, video) if stills else {}
    index_of = {name: index for index, name in frames.items()}
    foreign = other_videos([name for name, has_boxes in names.items() if has_boxes], video)
    setup = _read_config(config)
    labels.schema = setup.schema
    numbers: dict[object, int] = {}
    for name, task in _named_tasks(text, where):
        if name in foreign:
            continue
        regions = _regions(task)
        classes = _classes(regions)
        for region in regions:
            _add_region(labels, numbers, region, index_of.get(name, 0), setup, video, classes)
    labels.settle_frame_attributes()
    by_id = all(isinstance(key, int) for key in numbers)
    labels.order_layers({number: labels.ids[number] if by_id else number for number in labels.names})


def is_task(item: object) -> bool:
    """Whether an entry is a task of Label Studio, as JSON or JSON-MIN."""
    if not isinstance(item, dict):
        return False
    full = "data" in item and bool({"annotations", "predictions"} & item.keys())
    return full or ("id" in item and bool({"annotator", "annotation_id"} & item.keys()))


def _tasks(text: str, where: str) -> Iterator[Item]:
    if text.lstrip()[:1] == "{":  # one task alone
        text = f"[{text}]"
    for _, _, item in json_entries(text, where):
        if not isinstance(item, dict):
            raise DatasetError("a task is no object")
        yield item if "data" in item else _expanded(item)


def _named_tasks(text: str, where: str) -> Iterator[tuple[str, Item]]:
    """Iterate over tasks with the names of their files, or their numbers."""
    for number, task in enumerate(_tasks(text, where)):
        yield _name_of(task) or str(task.get("id", number)), task


def _expanded(item: Item) -> Item:
    """Expand a task of JSON-MIN, which has each region as its value and image size."""
    entries = [one for value in item.values() if isinstance(value, list) for one in value]
    regions = [
        {"id": f"r{number}", "type": next((key for key in one if key.endswith("labels")), ""), "value": one}
        | {key: one.get(key) for key in ("original_width", "original_height")}
        for number, one in enumerate(entries)
        if isinstance(one, dict)
    ]
    data = {key: value for key, value in item.items() if isinstance(value, str)}
    return {"id": item.get("id"), "data": data, "annotations": [{"result": regions}]}


def _name_of(task: Item) -> str | None:
    """File or address of a task; its other texts may be captions."""
    data = task.get("data")
    texts = (
        [value for value in (data or {}).values() if isinstance(value, str)] if isinstance(data, dict) else []
    )
    files = [text for text in texts if _suffix(text) in IMAGE_SUFFIXES | VIDEO_SUFFIXES]
    places = [text for text in texts if "/" in text or "." in text]
    return next(iter([*files, *places, *texts]), None)


def _suffix(place: str) -> str:
    """Suffix of a path or address, which may name a file in its query."""
    path, _, query = place.partition("?")
    return (PurePosixPath(path).suffix or PurePosixPath(query).suffix).lower()


def _regions(task: Item) -> list[Item]:
    """Regions of the last annotator, or else of a model."""
    done = [one for one in task.get("annotations") or () if not one.get("was_cancelled")]
    annotations = done or task.get("predictions") or ()
    return [
        one for one in (annotations[-1].get("result") or () if annotations else ()) if isinstance(one, dict)
    ]


def _shape_of(region: Item) -> str | None:
    """Shape of a region; None if it has no area."""
    kind, value = str(region.get("type")), region.get("value")
    if kind in _ABOUT_REGIONS or kind.removesuffix("labels") in _NO_AREAS or not isinstance(value, dict):
        return None
    shape = next((shape for key, shape in _SHAPES.items() if key in value), None)
    return "rectangle" if shape is None and {"x", "height"} <= value.keys() else shape


def _classes(regions: Iterable[Item]) -> dict[str, str]:
    """Classes by region id; with the tag Labels they are separate entries."""
    classes: dict[str, str] = {}
    for region in regions:
        value = region.get("value")
        class_names = (
            value.get("labels") if isinstance(value, dict) and region.get("type") == "labels" else None
        )
        if isinstance(class_names, list) and class_names:
            classes.setdefault(str(region.get("id")), str(class_names[0]))
    return classes


@dataclass(slots=True)
class _LabelConfig:
    """Content of a labelling configuration."""

    attributes: dict[str, AttributeDefinition] = field(default_factory=dict)  # by the name of their control
    colours: dict[str, str] = field(default_factory=dict)  # by label
    schema: LabelSchema = field(default_factory=LabelSchema)


def _read_config(config: str | None) -> _LabelConfig:
    """Read a labelling configuration; its schema is empty if all attributes are texts."""
    setup, keys, header = _LabelConfig(), dict[str, str](), ""
    of_class: dict[str, list[AttributeDefinition]] = {}

    def walk(item: ET.Element, label: str) -> None:
        nonlocal header
        label = item.get("whenLabelValue", label)
        if item.tag == "Header":
            header = item.get("value", "")
        elif item.tag == "Label":
            setup.colours[item.get("value", "")] = item.get("background", "")
            keys[item.get("value", "")] = item.get("hotkey", "")
        elif item.tag in ("TextArea", "Choices"):
            one, name = _attribute(item, header), item.get("name", "")
            # A group is no attribute of a schema.
            plain = AttributeDefinition.model_construct(name=header or name)
            setup.attributes[name] = one or plain
            if one is not None and item.get("perRegion") == "true":
                of_class.setdefault(label, []).append(one)
        for part in item:
            walk(part, label)

    if config:
        walk(ET.fromstring(refuse_entities(config)), "")
    definitions = [one for each in of_class.values() for one in each]
    if any(keys.values()) or any(one.type != "text" or one.of == "frame" for one in definitions):
        classes = [
            found_class(name, colour, keys[name], of_class.get(name, []))
            for name, colour in setup.colours.items()
        ]
        setup.schema = found_schema([one for one in classes if one is not None], of_class.get("", ()))
    return setup


def _attribute(item: ET.Element, header: str) -> AttributeDefinition | None:
    """Attribute of a control; a multiple choice with one value is a check box."""
    name = item.get("name", "")
    about = {"name": header or name, "of": "frame" if name.startswith(OF_FRAMES) else "object"}
    values = [one.get("value", "") for one in item.iter("Choice")]
    if item.get("choice") == "multiple":
        return found_attribute(**about, type="check" if len(values) == 1 else "text")
    return found_attribute(**about, type="choice" if values else "text", values=values)


def _add_region(
    labels: Labels,
    numbers: dict[object, int],
    region: Item,
    index: int,
    setup: _LabelConfig,
    video: Frames,
    classes: Mapping[str, str],
) -> None:
    """Add a region of a task; ``index`` is the frame of its image."""
    kind, value, region_id = str(region.get("type")), region.get("value") or {}, region.get("id")
    shape = _shape_of(region)
    ours = _OURS.fullmatch(str(region_id))
    key: object = int(ours[1]) if ours else (index, str(region_id))
    if shape is None:
        if kind in ("textarea", "choices") and key in numbers:
            field_name = str(region.get("from_name"))
            one = setup.attributes.get(field_name)
            texts = value.get("text" if kind == "textarea" else "choices")
            values = texts if isinstance(texts, list) else [texts]
            text = values[0] if kind == "textarea" and values else ", ".join(map(str, values))
            name = field_name if one is None else one.name
            about = {name: CHECKED if one is not None and one.type == "check" else text}
            if one is not None and one.of == "frame":
                labels.add_frame_attributes(index, numbers[key], about)
            else:
                labels.add_object(numbers[key], None, about=about)
        elif kind not in _ABOUT_REGIONS:
            labels.skipped[_NO_AREAS.get(kind.removesuffix("labels"), f"regions of type {kind[:40]}")] += 1
        return
    if kind == "labels" and key in numbers:  # repeats the shape of the region that it names
        return
    class_names = value.get(kind) or value.get("labels")
    label = (
        str(class_names[0]) if isinstance(class_names, list) and class_names else classes.get(str(region_id))
    )
    number = numbers.setdefault(key, len(numbers) + 1)
    appearance = {"category": label, "colour": setup.colours.get(label or "")}
    labels.add_object(number, label, key if isinstance(key, int) else None, **appearance)
    size = region.get("original_height"), region.get("original_width")
    canvas = Canvas.of(video.size, *size)
    if shape == "videorectangle":
        for frame, box in _interpolated_boxes(value, video):
            labels.add_mask(frame, number, _percent_box(canvas, box))
        return
    labels.add_mask(index, number, _rasterise(shape, value, canvas))


def _numbers(value: Item, *keys: str) -> list[float]:
    """Read numbers of a shape, in percent."""
    numbers = [value.get(key, 0 if key == "rotation" else None) for key in keys]
    if not all(is_number(one) for one in numbers):
        raise DatasetError(f"a shape has no {', '.join(keys)} that are numbers")
    return [float(one) for one in numbers if one is not None]


def _percent_box(canvas: Canvas, value: Item) -> bytes:
    sides = _numbers(value, "x", "y", "width", "height", "rotation")
    return canvas.polygons([corners_of_box(sides, canvas.image_size).ravel().tolist()])


def corners_of_box(sides: Sequence[float], size: tuple[int, int]) -> Float64Array:
    """Corners (4, 2), in pixels, of x, y, width, height in percent, turned in degrees about the first."""
    x, y, w, h, rotation = sides
    height, width = size
    corners = np.array([(0, 0), (w, 0), (w, h), (0, h)]) / 100 * (width, height)
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    placed: Float64Array = corners @ turn.round(12) + np.array((x, y)) / 100 * (width, height)
    return placed.round(6)


def _rasterise(shape: str, value: Item, canvas: Canvas) -> bytes:
    height, width = canvas.image_size
    if shape == "brush":
        return canvas.plane(decode_brush(value.get("rle") or (), canvas.image_size))
    if shape == "polygon":
        points = value.get("points") or ()
        flat = [coordinate for point in points for coordinate in point]
        if not all(map(is_number, flat)):
            raise DatasetError("a polygon is not a list of pairs of numbers")
        sides = (width / 100, height / 100)
        return canvas.polygons([[one * sides[i % 2] for i, one in enumerate(flat)]])
    if shape == "ellipse":
        x, y, across, down, rotation = _numbers(value, "x", "y", "radiusX", "radiusY", "rotation")
        place = x * width / 100, y * height / 100, across * width / 100, down * height / 100
        return canvas.ellipse(*place, rotation)
    return _percent_box(canvas, value)


def _interpolated_boxes(value: Item, video: Frames) -> Iterator[tuple[int, Item]]:
    """Interpolate the boxes of a video region between its key frames."""
    keys = [key for key in value.get("sequence") or () if isinstance(key, dict)][:MAX_KEYS]
    keys.sort(key=lambda key: _numbers(key, "frame")[0])
    ratio = frames_in_tag(value, video.fps, video.count)
    last = tag_position(video, video.count - 1, ratio)
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        begin, is_visible = _numbers(key, "frame")[0], key.get("enabled", True)
        first = index_at(video, begin, ratio)
        end = _numbers(following, "frame")[0] if following else max(begin, last) + 1
        until = index_at(video, end, ratio) if following else (video.count if is_visible else first + 1)
        sides = ("x", "y", "width", "height", "rotation")
        now = _numbers(key, *sides)
        then = now if following is None or not is_visible else _numbers(following, *sides)
        for index in range(max(0, first), min(video.count, until if is_visible else min(first + 1, until))):
            share = (tag_position(video, index, ratio) - begin) / max(1e-9, end - begin)
            mixed = (a + (b - a) * min(1.0, max(0.0, share)) for a, b in zip(now, then, strict=True))
            yield index, dict(zip(sides, mixed, strict=True))
