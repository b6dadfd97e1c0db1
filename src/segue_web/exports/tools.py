"""Masks of a project for annotation tools: Label Studio, CVAT, labelme and X-AnyLabeling."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt

from segue.labels.schema import CHECKED, OCCLUDED, UNCHECKED, AttributeDefinition
from segue.labels.text import without_controls
from segue.masks.outlines import coco_polygons
from segue.utils.files import write_complete
from segue_web.exports.snapshot import Snapshot, complete_folder, write_images
from segue_web.video import Video

_INPUTS = {"choice": "select", "check": "checkbox", "text": "text"}
"""CVAT's names of kinds of attributes."""

LABELME = "5.5.0"
"""The version of labelme whose files are written."""

_RUN_BITS = (3, 4, 9, 16)
"""Bits for the length of a run in Label Studio's format; runs are written in the shortest that holds them."""


def labelstudio(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """Tasks of Label Studio with brush labels, one a frame, beside the images they are of."""
    about: dict[str, Any] = {"type": "brushlabels", "from_name": "tag", "to_name": "image"}
    about["original_height"], about["original_width"] = video.size
    fields = [
        (f"{one.of}_attribute{number}", name, one) for number, (name, one) in enumerate(taken.fields(), 1)
    ]
    with complete_folder(target) as folder:
        tasks = []
        for number, index in enumerate(write_images(video, taken, folder / "frames"), 1):
            results = []
            for i, plane in taken.planes(index).items():
                value = {"format": "rle", "rle": brush_rle(plane), "brushlabels": [taken.names[i]]}
                region = {"id": f"f{index}o{i}", "image_rotation": 0}
                results.append({**region, "value": value, **about})
                given = taken.attributes_at(index, i)
                for field, name, one in fields:
                    if name in (None, taken.names[i]) and (said := _region_value(one, given.get(one.name))):
                        results.append({**about, **region, "from_name": field, **said})
            image = quote(f"{target.name}/frames/{video.frame_name(index)}.jpg")
            annotations = [{"id": number, "result": results}]
            data = {"image": f"/data/local-files/?d={image}", "frame": index}
            tasks.append({"id": number, "data": data, "annotations": annotations})
            yield index
        config = ET.Element("View")
        ET.SubElement(config, "Image", name="image", value="$image")
        brushes = ET.SubElement(config, "BrushLabels", name="tag", toName="image")
        keys = {one.name: one.key for one in taken.schema.classes if one.key}
        for name, colour in taken.colours.items():
            label = ET.SubElement(brushes, "Label", value=name, background=colour)
            if name in keys:
                label.set("hotkey", keys[name])
        for field, name, one in fields:
            _add_control(config, field, name, one)
        (folder / "tasks.json").write_text(json.dumps(tasks), "utf-8")
        (folder / "labels.xml").write_text(ET.tostring(config, encoding="unicode"), "utf-8")


def labelme(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """Images, and beside each a file of labelme and X-AnyLabeling; the parts of an object are a group."""
    height, width = video.size
    with complete_folder(target) as folder:
        for index in write_images(video, taken, folder):
            shapes = [
                {
                    "label": taken.names[i],
                    "points": [corners[at : at + 2] for at in range(0, len(corners), 2)],
                    "shape_type": "polygon",
                    "group_id": i,
                    "description": "",
                    "flags": {},
                    "attributes": taken.values_at(index, i),
                }
                for i, plane in taken.planes(index).items()
                for corners in coco_polygons(plane)
            ]
            name = video.frame_name(index)
            about = {
                "imagePath": f"{name}.jpg",
                "imageData": None,
                "imageHeight": height,
                "imageWidth": width,
            }
            image: dict[str, Any] = {"version": LABELME, "flags": {}, "shapes": shapes, **about}
            (folder / f"{name}.json").write_text(json.dumps(image), "utf-8")
            yield index


def _region_value(one: AttributeDefinition, text: str | None) -> dict[str, Any] | None:
    """The result of a region for an attribute; a check box that is not ticked has none."""
    if text is None or (one.type != "text" and not text):
        return None
    if one.type == "text":
        return {"type": "textarea", "value": {"text": [text]}}
    if one.type == "check" and text != CHECKED:
        return None
    return {"type": "choices", "value": {"choices": [one.name if one.type == "check" else text]}}


def _add_control(parent: ET.Element, field: str, name: str | None, one: AttributeDefinition) -> None:
    """Add what asks for an attribute, of a class if it is given, below its name; a box is an only choice."""
    if name is not None:
        about = {"visibleWhen": "region-selected", "whenTagName": "tag", "whenLabelValue": name}
        parent = ET.SubElement(parent, "View", about)
    ET.SubElement(parent, "Header", value=one.name)
    about = {"name": field, "toName": "image", "perRegion": "true"}
    if one.type == "text":
        ET.SubElement(parent, "TextArea", about | {"editable": "true"})
        return
    about["choice"] = "multiple" if one.type == "check" else "single"
    choices = ET.SubElement(parent, "Choices", about)
    for value in one.values or (one.name,):
        ET.SubElement(choices, "Choice", value=value)


def brush_rle(mask: npt.NDArray[np.generic]) -> list[int]:
    """Bytes of Label Studio's brush run lengths: RGBA values of 8 bits along the rows, 0 or 255.

    The bits: number of values (32), size of a value less 1 (5), four sizes of run lengths less 1 (4 each);
    then for each run a 1, which of the four sizes (2), the length less 1, and the value.

    ``mask``: (H, W), inside where not 0.
    """
    flat = mask.ravel() != 0
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
    starts = np.append(0, ends[:-1])
    parts = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _RUN_BITS)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        left, value = 4 * (end - start), "1" * 8 if flat[start] else "0" * 8
        while left:
            length = min(left, 1 << _RUN_BITS[-1])
            which = next(n for n, bits in enumerate(_RUN_BITS) if length <= 1 << bits)
            parts.append(f"1{which:02b}{length - 1:0{_RUN_BITS[which]}b}{value}")
            left -= length
    bits = np.frombuffer("".join(parts).encode(), np.uint8) - ord("0")
    return [int(byte) for byte in np.packbits(bits)]


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


def row_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Run lengths along the rows, the first one of zeros, as CVAT has them. ``mask``: (H, W), bool."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *runs] if flat.size and flat[0] else runs
