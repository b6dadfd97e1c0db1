"""Masks of a project for labelme and X-AnyLabeling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segue.masks.outlines import coco_polygons
from segue_web.exports.snapshot import Snapshot, complete_folder, write_images
from segue_web.video import Video

LABELME = "5.5.0"
"""The version of labelme whose files are written."""


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
