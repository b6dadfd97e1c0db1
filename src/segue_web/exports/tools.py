"""Masks of a project for annotation tools: Label Studio and VIA; CVAT is in :mod:`segue_web.exports.cvat`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from segue.masks import measure
from segue_web.exports.outlines import parts_of
from segue_web.exports.snapshot import Snapshot
from segue_web.exports.writing import complete_folder, write_pictures
from segue_web.film import Film

_RUN_BITS = (3, 4, 9, 16)
"""Bits for the length of a run in Label Studio's format; runs are written in the shortest that holds them."""


def labelstudio(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
    """Tasks of Label Studio with brush labels, one a frame, beside the pictures they are of."""
    about: dict[str, Any] = {"type": "brushlabels", "from_name": "tag", "to_name": "image"}
    about["original_height"], about["original_width"] = film.size
    fields = {name: f"attribute{number}" for number, name in enumerate(taken.attribute_names(), 1)}
    with complete_folder(target) as folder:
        tasks = []
        frames = list(taken.frames(film))
        for place in write_pictures(film, frames, folder / "frames"):
            index = frames[place]
            mask = taken.mask(index, film.size)
            results = []
            for i in measure(mask):
                value = {"format": "rle", "rle": brush_rle(mask == i), "brushlabels": [taken.names[i][0]]}
                region = {"id": f"f{index}o{i}", "image_rotation": 0}
                results.append({**region, "value": value, **about})
                for attribute, text in taken.attributes.get(i, {}).items():
                    of_region = {
                        "type": "textarea",
                        "from_name": fields[attribute],
                        "value": {"text": [text]},
                    }
                    results.append({**about, **region, **of_region})
            picture = quote(f"{target.name}/frames/{film.frame_name(index)}.jpg")
            annotations = [{"id": place + 1, "result": results}]
            data = {"image": f"/data/local-files/?d={picture}", "frame": index}
            tasks.append({"id": place + 1, "data": data, "annotations": annotations})
            yield place + 1
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

    Args:
        mask: (H, W), inside where not 0.

    Returns:
        Bytes, 0 to 255.
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


def via(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
    """A project of the VGG Image Annotator 2, with its pictures.

    VIA knows polygons without holes: each part of an object is a region of its own, those of one object have
    its number as ``track``, and holes are filled.
    """
    classes = {"type": "dropdown", "options": dict.fromkeys(taken.categories(), "")}
    own = {name: {"type": "text"} for name in taken.attribute_names()}
    attributes = {"region": {**own, "class": classes, "track": {"type": "text"}}, "file": {}}
    settings = {"ui": {}, "core": {"default_filepath": "images/"}, "project": {"name": target.name}}
    with complete_folder(target) as folder:
        pictures: dict[str, Any] = {}
        frames = list(taken.frames(film))
        for place in write_pictures(film, frames, folder / "images"):
            name = f"{film.frame_name(frames[place])}.jpg"
            size = (folder / "images" / name).stat().st_size
            regions = _regions(taken, taken.mask(frames[place], film.size))
            pictures[f"{name}{size}"] = {
                "filename": name,
                "size": size,
                "regions": regions,
                "file_attributes": {},
            }
            yield place + 1
        found = {"_via_settings": settings, "_via_img_metadata": pictures, "_via_attributes": attributes}
        version = {"_via_data_format_version": "2.0.10", "_via_image_id_list": list(pictures)}
        (folder / "via.json").write_text(json.dumps(found | version), "utf-8")


def _regions(taken: Snapshot, mask: npt.NDArray[Any]) -> list[dict[str, Any]]:
    return [
        {
            "shape_attributes": {
                "name": "polygon",
                "all_points_x": part.outside[:, 0].tolist(),
                "all_points_y": part.outside[:, 1].tolist(),
            },
            "region_attributes": {**taken.attributes.get(i, {}), "class": taken.names[i][0], "track": str(i)},
        }
        for i in measure(mask)
        for part in parts_of(mask == i)
        if len(part.outside) > 2
    ]
