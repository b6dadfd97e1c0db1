"""Masks of a project for annotation tools: Label Studio; CVAT is in :mod:`segue_web.exports.cvat`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from segue_web.exports.snapshot import Snapshot
from segue_web.exports.writing import complete_folder, write_images
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
            for i, plane in taken.planes(index):
                value = {"format": "rle", "rle": brush_rle(plane), "brushlabels": [taken.names[i][0]]}
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
        for name, colour in dict(taken.names.values()).items():
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
