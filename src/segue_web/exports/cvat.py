"""Masks of a project as tracks of CVAT for video 1.1."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from segue.video.partial import write_complete
from segue_web.exports.snapshot import Snapshot
from segue_web.text import without_controls
from segue_web.video import Video


def cvat(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """CVAT for video 1.1: a track of one frame for each mask; those of an object are in one group."""
    root = ET.Element("annotations")
    _add(root, version="1.1")
    root.append(_meta(video, taken))
    numbers = count()
    for index in taken.span:
        for i, plane in taken.planes(index):
            track = ET.SubElement(root, "track", id=str(next(numbers)), label=taken.names[i][0])
            track.attrib |= {"source": "semi-auto", "group_id": str(i)}
            left, top, width, height = cv2.boundingRect(plane.astype(np.uint8))
            about = {"frame": index, "keyframe": 1, "outside": 0, "occluded": 0, "z_order": i,
                     "rle": ", ".join(map(str, row_runs(plane[top : top + height, left : left + width]))),
                     "left": left, "top": top, "width": width, "height": height}  # fmt: skip
            shape = ET.SubElement(track, "mask", {name: str(value) for name, value in about.items()})
            for attribute, text in taken.attributes.get(i, {}).items():
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
    for name, colour in dict(taken.names.values()).items():
        label = ET.SubElement(labels, "label")
        _add(label, name=name, color=colour, type="mask")
        attributes = ET.SubElement(label, "attributes")
        for attribute in taken.attribute_names():
            about = {"name": attribute, "mutable": False, "input_type": "text"}
            _add(ET.SubElement(attributes, "attribute"), **about, default_value="", values="")
    height, width = video.size
    _add(ET.SubElement(task, "original_size"), width=width, height=height)
    return meta


def _add(parent: ET.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = without_controls(str(text))


def row_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Run lengths along the rows, the first one of zeros, as CVAT has them. ``mask``: (H, W), bool."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *runs] if flat.size and flat[0] else runs
