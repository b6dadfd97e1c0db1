"""Masks of a project for annotation tools: Label Studio and CVAT."""

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

from segue.labels.text import without_controls
from segue.video.partial import write_complete
from segue_web.exports.snapshot import Snapshot, complete_folder, write_images
from segue_web.video import Video

_RUN_BITS = (3, 4, 9, 16)
"""Bits for the length of a run in Label Studio's format; runs are written in the shortest that holds them."""


def labelstudio(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """Tasks of Label Studio with brush labels, one a frame, beside the images they are of."""
    about: dict[str, Any] = {"type": "brushlabels", "from_name": "tag", "to_name": "image"}
    about["original_height"], about["original_width"] = video.size
    fields = {name: f"attribute{number}" for number, name in enumerate(taken.attribute_names(), 1)}
    with complete_folder(target) as folder:
        tasks = []
        for number, index in enumerate(write_images(video, taken, folder / "frames"), 1):
            results = []
            for i, plane in taken.planes(index).items():
                value = {"format": "rle", "rle": brush_rle(plane), "brushlabels": [taken.names[i]]}
                region = {"id": f"f{index}o{i}", "image_rotation": 0}
                results.append({**region, "value": value, **about})
                for attribute, text in taken.attributes.get(i, {}).items():
                    text_area = {
                        "type": "textarea",
                        "from_name": fields[attribute],
                        "value": {"text": [text]},
                    }
                    results.append({**about, **region, **text_area})
            image = quote(f"{target.name}/frames/{video.frame_name(index)}.jpg")
            annotations = [{"id": number, "result": results}]
            data = {"image": f"/data/local-files/?d={image}", "frame": index}
            tasks.append({"id": number, "data": data, "annotations": annotations})
            yield index
        config = ET.Element("View")
        ET.SubElement(config, "Image", name="image", value="$image")
        brushes = ET.SubElement(config, "BrushLabels", name="tag", toName="image")
        for name, colour in taken.colours.items():
            ET.SubElement(brushes, "Label", value=name, background=colour)
        for attribute, field in fields.items():
            ET.SubElement(config, "Header", value=attribute)
            given = {"name": field, "toName": "image", "perRegion": "true", "editable": "true"}
            ET.SubElement(config, "TextArea", given)
        (folder / "tasks.json").write_text(json.dumps(tasks), "utf-8")
        (folder / "labels.xml").write_text(ET.tostring(config, encoding="unicode"), "utf-8")


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
    for name, colour in taken.colours.items():
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
