"""Masks of a project as tracks of CVAT for video 1.1."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray
from segue.video.partial import write_complete
from segue_web.exports.snapshot import Snapshot
from segue_web.interpolation import Corners, filled
from segue_web.text import without_controls
from segue_web.video import Video


def cvat(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """CVAT for video 1.1: a track for the polygons of each object, and one of a frame for each other mask."""
    tracks = _Tracks(video, taken)
    for index in taken.span:
        tracks.add(index, dict(taken.planes(index)))
        yield index
    root = ET.Element("annotations")
    _add(root, version="1.1")
    root.append(_meta(video, taken, {taken.names[i][0] for i in tracks.polygons}))
    tracks.end(taken.span.stop)
    for number, track in enumerate([*tracks.polygons.values(), *tracks.masks]):
        track.set("id", str(number))
        root.append(track)
    ET.indent(root)
    write_complete(target, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _meta(video: Video, taken: Snapshot, mixed: set[str]) -> ET.Element:
    """Task metadata of CVAT; labels in ``mixed`` have polygons as well as masks."""
    meta = ET.Element("meta")
    task = ET.SubElement(meta, "task")
    last = video.count - 1
    _add(task, name=video.name, size=video.count, mode="interpolation", start_frame=0, stop_frame=last)
    labels = ET.SubElement(task, "labels")
    for name, colour in dict(taken.names.values()).items():
        label = ET.SubElement(labels, "label")
        _add(label, name=name, color=colour, type="any" if name in mixed else "mask")
        attributes = ET.SubElement(label, "attributes")
        for attribute in taken.attribute_names():
            about = {"name": attribute, "mutable": False, "input_type": "text"}
            _add(ET.SubElement(attributes, "attribute"), **about, default_value="", values="")
    height, width = video.size
    _add(ET.SubElement(task, "original_size"), width=width, height=height)
    return meta


class _Tracks:
    """Collects tracks frame by frame: polygons by object, which come first and lie below, and masks."""

    def __init__(self, video: Video, taken: Snapshot) -> None:
        self._video, self._taken = video, taken
        self.polygons: dict[int, ET.Element] = {}
        self.masks: list[ET.Element] = []
        self._open: dict[int, str] = {}  # corners of the polygons of the frame before, by object

    def add(self, index: int, planes: Mapping[int, BoolArray]) -> None:
        """Take the masks of a frame, each (H, W), bool."""
        drawn = {i: found for i, found in self._taken.polygons_on(index).items() if i in planes}
        kept: set[int] = set()
        for i in sorted(drawn):
            corners, kind = drawn[i]
            if np.array_equal(planes[i], filled(_read_back(corners), self._video.size)):
                kept.add(i)
                self._polygon(index, i, _written(corners), key=kind == "key")
        for i in [i for i in self._open if i not in kept]:
            self._hide(index, i)
        for i, plane in planes.items():
            if i in kept:
                continue
            left, top, width, height = cv2.boundingRect(plane.astype(np.uint8))
            runs = ", ".join(map(str, row_runs(plane[top : top + height, left : left + width])))
            track = self._track(i)
            self._shape(track, "mask", index, i, rle=runs, left=left, top=top, width=width, height=height)
            self.masks.append(track)

    def end(self, index: int) -> None:
        """End the polygons of the last frame that was taken."""
        for i in [*self._open]:
            self._hide(index, i)

    def _polygon(self, index: int, i: int, points: str, *, key: bool) -> None:
        if i not in self.polygons:
            self.polygons[i] = self._track(i)
        # A polygon that appears needs no keyframe of a person to be one of CVAT.
        begins = i not in self._open
        self._shape(self.polygons[i], "polygon", index, i, key=key or begins, points=points)
        self._open[i] = points

    def _hide(self, index: int, i: int) -> None:
        """CVAT shows a polygon until its track says that it is outside."""
        points = self._open.pop(i)
        if index < self._video.count:
            self._shape(self.polygons[i], "polygon", index, i, outside=1, points=points)

    def _track(self, i: int) -> ET.Element:
        about = {"label": self._taken.names[i][0], "source": "semi-auto", "group_id": str(i)}
        return ET.Element("track", about)

    def _shape(
        self, track: ET.Element, tag: str, index: int, i: int, *, key: bool = True, **more: object
    ) -> None:
        about = {"frame": index, "keyframe": int(key), "outside": 0, "occluded": 0, "z_order": i, **more}
        shape = ET.SubElement(track, tag, {name: str(value) for name, value in about.items()})
        for attribute, text in self._taken.attributes.get(i, {}).items():
            ET.SubElement(shape, "attribute", name=attribute).text = text


def _written(corners: Corners) -> str:
    """Corners as CVAT has them: ``x,y;x,y``."""
    return ";".join(f"{x:.4f},{y:.4f}" for x, y in corners.tolist())


def _read_back(corners: Corners) -> Corners:
    """Corners as a reader of the file gets them."""
    return np.array([pair.split(",") for pair in _written(corners).split(";")], np.float64)


def _add(parent: ET.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = without_controls(str(text))


def row_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Run lengths along the rows, the first one of zeros, as CVAT has them. ``mask``: (H, W), bool."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *runs] if flat.size and flat[0] else runs
