"""JSON of labelme and X-AnyLabeling: a file per image, with polygons, and masks as base64 PNG."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from segue.entries.formats import Format, Holds, SinkOptions
from segue.errors import DatasetError, SegueError
from segue.formats.files import Files, is_labelme, json_entries
from segue.formats.folders import ANNOTATION_TOOLS, FolderWriter
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.labels import Frames, Labels, Numbering, by_frame
from segue.masks.files import read_levels
from segue.masks.measure import UNNAMED
from segue.masks.outlines import coco_polygons
from segue.masks.shapes import Canvas
from segue.utils.json_files import Record, validated

LABELME_VERSION = "5.5.0"
"""Version of labelme of written files."""

_NO_AREAS = {"point": "points", "points": "points", "line": "lines", "linestrip": "lines"}
"""Types of shapes without an area, and their plurals."""

_OUTLINES = frozenset({"polygon", "rotation", "oriented_rectangle", "quadrilateral"})
"""Types of shapes that are given by all of their corners; rectangles may be, or by two of them."""

_IMAGE_PATH = re.compile(r'"imagePath"\s*:\s*("(?:[^"\\]|\\.)*")')

_Coordinate = Annotated[float, Field(allow_inf_nan=False)]
_Point = Annotated[list[_Coordinate], Field(min_length=2, max_length=2)]


class _Shape(Record):
    """A shape of an image; optional fields may be missing."""

    label: str
    points: list[_Point] = Field(default_factory=list)
    shape_type: str | None = None  # None of early versions, which had polygons alone
    group_id: int | str | None = None
    mask: str | None = None
    score: _Coordinate | None = None
    description: str | None = None
    flags: dict[str, bool] | None = None
    attributes: dict[str, Any] | None = None
    difficult: bool = False

    def about(self) -> dict[str, Any]:
        """Fields of the shape other than its label."""
        description = {"description": self.description} if self.description else {}
        return {**(self.flags or {}), **(self.attributes or {}), **description} | (
            {"difficult": True} if self.difficult else {}
        )

    def counts(self, canvas: Canvas) -> bytes:
        """Run lengths of the shape."""
        if self.shape_type == "mask":
            return self._stored(canvas)
        if self.shape_type == "rectangle" and len(self.points) == 2:
            (x0, y0), (x1, y1) = self.points
            return canvas.box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
        if self.shape_type == "circle":
            self._check_points(2)
            (x, y), edge = self.points
            radius = math.dist((x, y), edge)
            return canvas.ellipse(x, y, radius, radius)
        return canvas.polygons([[value for point in self.points for value in point]])

    def _check_points(self, count: int) -> None:
        if len(self.points) != count:
            raise DatasetError(f"a {self.shape_type} has {len(self.points)} points, not {count}")

    def _stored(self, canvas: Canvas) -> bytes:
        """Run lengths of a mask, stored as an image of the box between two points."""
        self._check_points(2)
        left, top = (int(value) for value in self.points[0])
        height, width = canvas.image_size
        try:
            data = base64.b64decode(self.mask or "", validate=True)
            part = read_levels(io.BytesIO(data), "mask", height * width)
            window = canvas.window(left, top, *part.shape[::-1])
        except ValueError:
            raise DatasetError("mask: is no base64") from None
        plane = np.zeros(canvas.image_size, np.bool_)
        plane[window] = part > 0
        return canvas.plane(plane)


class _Head(Record):
    """Fields of an image without its shapes."""

    imagePath: Annotated[str, Field(min_length=1)]  # noqa: N815
    imageHeight: int | None = None  # noqa: N815
    imageWidth: int | None = None  # noqa: N815


def read_labelme(labels: Labels, files: Mapping[str, Callable[[], str]], video: Frames) -> None:
    """Read files, each for the image that it names; image paths are not opened.

    The same label and group are one object on all frames; without a group, the n-th of a label is.
    """
    heads = {name: _head(read(), name) for name, read in files.items()}
    images: dict[str, str] = {}
    for name, head in heads.items():
        if images.setdefault(head.imagePath, name) != name:
            raise DatasetError(
                f"{name}: imagePath is {head.imagePath}, as in {images[head.imagePath]}; keep one"
            )
    numbering = Numbering()
    for index, name in sorted(by_frame(images, video).items()):
        labels.masks.setdefault(index, {})
        canvas = _canvas(heads[name], video, name)
        for place, item in _shapes(files[name](), name):
            where = f"{name}: shapes[{place}]"
            shape = validated(_Shape, item, where)
            kind = shape.shape_type or "polygon"
            if kind not in (*_OUTLINES, "rectangle", "circle", "mask"):
                labels.skipped[_NO_AREAS.get(kind, f"shapes of type {kind[:40]}")] += 1
                continue
            try:
                counts = shape.counts(canvas)
            except SegueError as error:
                raise DatasetError(f"{where}: {error}") from None
            group = None if shape.group_id is None else (shape.label, shape.group_id)
            number = numbering.number(index, shape.label, group)
            labels.add_object(number, shape.label, shape.group_id, shape.about(), category=shape.label)
            labels.add_mask(index, number, counts, shape.score)
    labels.order_layers({number: place for place, number in enumerate(labels.names)})


def image_name(text: str) -> str | None:
    """Name of the image of a file, without the folders of another machine."""
    match = _IMAGE_PATH.search(text)
    if match is None:
        return None
    try:
        path = str(json.loads(match[1]))
    except ValueError:
        return None
    return path.replace("\\", "/").rpartition("/")[2] or None


def _head(text: str, name: str) -> _Head:
    values = {key: value for key, place, value in json_entries(text, name) if place < 0}
    if "shapes" in values:
        raise DatasetError(f"{name}: shapes is no list")
    return validated(_Head, values, f"{name}: ")


def _shapes(text: str, name: str) -> Iterator[tuple[int, Any]]:
    return ((place, item) for key, place, item in json_entries(text, name) if key == "shapes" and place >= 0)


def _canvas(head: _Head, video: Frames, name: str) -> Canvas:
    try:
        return Canvas.of(video.size, head.imageHeight, head.imageWidth)
    except DatasetError as error:
        raise DatasetError(f"{name}: imageHeight, imageWidth: {error}") from None


class LabelmeWriter(FolderWriter):
    """Writes images, each with a file of labelme and X-AnyLabeling with polygons from below.

    The parts of an object are a group.

    Args:
        folder: folder to write; it appears when it is complete.
        run: the options.
    """

    def __init__(self, folder: Path, run: SinkOptions) -> None:
        super().__init__(folder, r"[^/]+\.(?:jpg|json)", marks=run.labels is None)
        self._names, self._size, self._whole_masks = run.names, run.source_size, run.whole

    def add(self, objects: FrameObjects) -> None:
        name = frame_name(self._names, objects.index)
        self.put(self._partial / f"{name}.jpg", objects.jpeg())
        self.put(self._partial / f"{name}.json", _text_of(objects, f"{name}.jpg").encode())


def _text_of(objects: FrameObjects, image: str) -> str:
    """Create the text of the file beside an image."""
    height, width = objects.size
    shapes = [
        {
            "label": item.label or UNNAMED,
            "points": [corners[at : at + 2] for at in range(0, len(corners), 2)],
            "shape_type": "polygon",
            "group_id": item.id,
            "description": "",
            "flags": {},
            "attributes": dict(objects.attributes.get(item.id, {})),
        }
        for item, (_, plane) in zip(objects.objects, objects.planes(), strict=True)
        for corners in coco_polygons(plane)
    ]
    about = {"imagePath": image, "imageData": None, "imageHeight": height, "imageWidth": width}
    return json.dumps({"version": LABELME_VERSION, "flags": {}, "shapes": shapes, **about})


def _sniff(files: Files) -> float:
    if files.kinds and {*files.kinds.values()} == {"labelme"}:
        return 1.0
    text = files.annotation_ending(".json")
    return 0.9 if text is not None and is_labelme(text) else 0.0


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    names = [*files.kinds] if len(files.selected) != 1 else files.selected
    read_labelme(labels, {files.where(name): partial(files.text, name) for name in names}, video)
    return labels


ENTRIES = (
    Format(
        "labelme",
        "labelme",
        LabelmeWriter,
        needs_frames=True,
        holds=Holds(layers=True, max_id=65535, classes=True, attributes=True, empty=True),
        sniff=_sniff,
        read=_read,
        endings=(".json",),
        title="labelme, X-AnyLabeling",
        about="images and polygons",
        group=ANNOTATION_TOOLS,
        known_only=True,
    ),
)
