"""Masks of a project for CVAT."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from segue.labels.cvat import row_runs
from segue.labels.schema import CHECKED, OCCLUDED, UNCHECKED
from segue.labels.text import without_controls
from segue.utils.files import write_complete
from segue_web.exports.snapshot import Snapshot
from segue_web.video import Video

_INPUTS = {"choice": "select", "check": "checkbox", "text": "text"}
"""CVAT's names of kinds of attributes."""


def cvat(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """CVAT for video 1.1: a track of one frame for each mask; those of an object are in one group."""
    root = ET.Element("annotations")
    _add(root, version="1.1")
    root.append(_meta(video, taken))
    numbers = count()
    for index in taken.span:
        for i, plane in taken.planes(index).items():
            track = ET.SubElement(root, "track", id=str(next(numbers)), label=taken.names[i])
            track.attrib |= {"source": "semi-auto", "group_id": str(i)}
            left, top, width, height = cv2.boundingRect(plane.astype(np.uint8))
            given = taken.attributes_at(index, i)
            occluded = int(given.get(OCCLUDED) == CHECKED)
            about = {"frame": index, "keyframe": 1, "outside": 0, "occluded": occluded, "z_order": i,
                     "rle": ", ".join(map(str, row_runs(plane[top : top + height, left : left + width]))),
                     "left": left, "top": top, "width": width, "height": height}  # fmt: skip
            shape = ET.SubElement(track, "mask", {name: str(value) for name, value in about.items()})
            for attribute, text in given.items():
                ET.SubElement(shape, "attribute", name=attribute).text = text
        yield index
    ET.indent(root)
    write_complete(target, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _meta(video: Video, taken: Snapshot) -> ET.Element:
    """Task metadata of CVAT."""
    meta = ET.Element("meta")
    task = ET.SubElement(meta, "task")
    last = video.count - 1
    _add(task, name=video.name, size=video.count, mode="interpolation", start_frame=0, stop_frame=last)
    labels = ET.SubElement(task, "labels")
    for name, colour in taken.colours.items():
        label = ET.SubElement(labels, "label")
        _add(label, name=name, color=colour, type="mask")
        attributes = ET.SubElement(label, "attributes")
        for one in taken.fields_of(name):
            about: dict[str, object] = {"name": one.name, "mutable": one.of == "frame"}
            about["input_type"] = _INPUTS[one.type]
            # CVAT gives the first value to whatever has none: a choice has an empty one, for "not said".
            values = {"choice": ("", *one.values), "check": (UNCHECKED,), "text": ("",)}[one.type]
            entry = ET.SubElement(attributes, "attribute")
            _add(entry, **about, default_value=values[0])
            ET.SubElement(entry, "values").text = "\n".join(map(without_controls, values))
    height, width = video.size
    _add(ET.SubElement(task, "original_size"), width=width, height=height)
    return meta


def _add(parent: ET.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = without_controls(str(text))
