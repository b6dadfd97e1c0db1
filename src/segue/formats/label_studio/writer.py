"""Write tasks of Label Studio with brushes, and the labelling configuration."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segue.entries.formats import SinkOptions
from segue.formats.folders import FolderWriter
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.label_studio.brush import encode_brush
from segue.formats.labels import DEFAULT_COLOUR, Labels
from segue.formats.schema import (
    CHECKED,
    AttributeDefinition,
    texts_of,
)
from segue.masks.measure import UNNAMED
from segue.utils.files import writing


class LabelStudioWriter(FolderWriter):
    """Writes a task with brush labels per frame, images, and the labelling configuration.

    The files are ``tasks.json``, ``labels.xml`` and the images in ``frames``.

    Args:
        folder: folder to write; it appears when it is complete.
        run: the options.
    """

    def __init__(self, folder: Path, run: SinkOptions) -> None:
        super().__init__(folder, r"tasks\.json|labels\.xml|frames/[^/]+\.jpg", marks=run.labels is None)
        self._names, self._size, self._whole_masks = run.names, run.source_size, run.whole
        self._has_labels = run.labels is not None
        self._labels: Labels = Labels((0, 0)) if run.labels is None else run.labels
        self._fields = [
            (f"{one.of}_attribute{number}", name, one)
            for number, (name, one) in enumerate(self._labels.fields(), 1)
        ]
        self._images = self.subfolder("frames")
        self._tasks = 0
        self._stream = (self._partial / "tasks.json").open("w", encoding="utf-8")

    def add(self, objects: FrameObjects) -> None:
        labels = self._labels
        if not self._has_labels:
            for item in objects.objects:
                labels.names.setdefault(item.id, item.label or UNNAMED)
        height, width = objects.size
        about: dict[str, Any] = {"type": "brushlabels", "from_name": "tag", "to_name": "image"}
        about["original_height"], about["original_width"] = height, width
        results = []
        for i, plane in objects.planes():
            if not plane.any():
                continue
            value = {"format": "rle", "rle": encode_brush(plane), "brushlabels": [labels.names[i]]}
            region = {"id": f"f{objects.index}o{i}", "image_rotation": 0}
            results.append({**region, "value": value, **about})
            attributes = texts_of(objects.attributes.get(i, {}))
            for field_name, name, one in self._fields:
                if name in (None, labels.names[i]) and (
                    region_value := _region_value(one, attributes.get(one.name))
                ):
                    results.append({**about, **region, "from_name": field_name, **region_value})
        name = f"{frame_name(self._names, objects.index)}.jpg"
        self.put(self._images / name, objects.jpeg())
        self._tasks += 1
        address = f"/data/local-files/?d={quote(f'{self._folder.name}/frames/{name}')}"
        data = {"image": address, "frame": objects.index}
        annotations = [{"id": self._tasks, "result": results}]
        task = {"id": self._tasks, "data": data, "annotations": annotations}
        with writing(self._folder):
            self._stream.write(("[" if self._tasks == 1 else ", ") + json.dumps(task))

    def _complete(self) -> None:
        self._stream.write("]" if self._tasks else "[]")
        self._stream.close()
        labels = self._labels
        colours = labels.colours if self._has_labels else dict.fromkeys(labels.names.values(), DEFAULT_COLOUR)
        config = ET.Element("View")
        ET.SubElement(config, "Image", name="image", value="$image")
        brushes = ET.SubElement(config, "BrushLabels", name="tag", toName="image")
        keys = {one.name: one.key for one in labels.schema.classes if one.key}
        for name, colour in colours.items():
            label = ET.SubElement(brushes, "Label", value=name, background=colour)
            if name in keys:
                label.set("hotkey", keys[name])
        for field_name, of, one in self._fields:
            _add_control(config, field_name, of, one)
        (self._partial / "labels.xml").write_text(ET.tostring(config, encoding="unicode"), "utf-8")

    def abort(self) -> None:
        with suppress(OSError):
            self._stream.close()
        super().abort()


def _region_value(one: AttributeDefinition, text: str | None) -> dict[str, Any] | None:
    """Result of a region for an attribute; None for a check box that is not ticked."""
    if text is None or (one.type != "text" and not text):
        return None
    if one.type == "text":
        return {"type": "textarea", "value": {"text": [text]}}
    if one.type == "check" and text != CHECKED:
        return None
    return {"type": "choices", "value": {"choices": [one.name if one.type == "check" else text]}}


def _add_control(parent: ET.Element, field: str, name: str | None, one: AttributeDefinition) -> None:
    """Add the control of an attribute below its name, for one class or all."""
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
