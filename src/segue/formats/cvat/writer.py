"""Write CVAT for video 1.1: masks, and polygons with keys."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.entries.formats import SinkOptions
from segue.formats.base import SpooledSink
from segue.formats.frames import FrameObjects, Size
from segue.formats.labels import DEFAULT_COLOUR, Labels
from segue.formats.schema import (
    CHECKED,
    OCCLUDED,
    UNCHECKED,
    texts_of,
)
from segue.formats.text import without_controls
from segue.masks.measure import UNNAMED
from segue.masks.splines import KeyedShape, flattened

_INPUTS = {"choice": "select", "check": "checkbox", "text": "text"}
"""CVAT's names of kinds of attributes."""


def row_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Run lengths of a bool mask (H, W) along its rows, beginning with zeros, as in CVAT."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


class CvatWriter(SpooledSink):
    """Writes CVAT for video 1.1: a track per mask, grouped by object.

    Objects with shapes have a track of polygons with their keys for each shape instead.

    Args:
        path: file to write.
        labels: objects known beforehand; None if they come with the frames.
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
        self._has_labels, self._name, self._span, self._length = labels is not None, name, span, length
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
        if not self._has_labels:
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
        """Add the text of tracks as in the final file, with the line break before each."""
        root = ET.Element("annotations")
        root.extend(tracks)
        ET.indent(root)
        text = ET.tostring(root, encoding="utf-8")
        self._append_entry(text.removeprefix(b"<annotations>").removesuffix(b"\n</annotations>"))

    def _complete(self) -> None:
        length = self._last + 1 if self._length is None else self._length
        labels = self._labels
        colours = labels.colours if self._has_labels else dict.fromkeys(labels.names.values(), DEFAULT_COLOUR)
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
    """Write a shape as a track of polygons: its keys, and every frame of a non-linear motion."""
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
    """Whether CVAT, which interpolates linearly, needs a key on a frame."""
    if index in shape.keys or index in (span.start, span.stop - 1):
        return True
    previous_key = max((frame for frame in shape.keys if frame < index), default=None)
    return previous_key is not None and shape.keys[previous_key].motion != "linear"


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


def open_cvat(path: Path, run: SinkOptions) -> CvatWriter:
    """Open the writer of CVAT for a run or an export."""
    about: dict[str, Any] = {"span": run.span, "length": run.count, "name": run.source}
    return CvatWriter(path, run.labels, size=run.source_size, whole=run.whole, **about)
