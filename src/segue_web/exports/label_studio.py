"""Masks of a project as tasks of Label Studio."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segue.labels.label_studio import encode_brush
from segue.labels.schema import CHECKED, AttributeDefinition
from segue_web.exports.snapshot import Snapshot, complete_folder, write_images
from segue_web.video import Video


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
                value = {"format": "rle", "rle": encode_brush(plane), "brushlabels": [taken.names[i]]}
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
