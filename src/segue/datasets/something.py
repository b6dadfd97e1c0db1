"""Reader of Something-Else: hand-drawn boxes in videos of Something-Something.

Layout, as in https://github.com/joaanna/something_else::

    annotations.json           {"<video>": [{"name": "<video>/0001.jpg", "labels": [...]}, ...]}
    videos/<video>/0001.jpg    12 frames a second

A label has ``box2d`` (``x1``, ``y1``, ``x2``, ``y2`` in pixels), ``category``, and ``gt_annotation``, which
tells the objects of a video apart. Objects are known by it here, not by their place in the list, as in the
STCN report: places shift as soon as an object leaves the image.

Materzynska et al., "Something-Else: Compositional Action Recognition with Spatial-Temporal Interaction
Networks", CVPR 2020.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path, PureWindowsPath
from typing import Annotated, ClassVar

from pydantic import Field

from segue.datasets.files import IMAGE_SUFFIXES, ByName, image_size, read_rgb
from segue.errors import DatasetError
from segue.masks import fill_boxes
from segue.types import Box
from segue.types import Image as RgbImage
from segue.utils.arrays import UInt8Array
from segue.utils.inputs import user_path
from segue.utils.json_files import Record, entries, validated
from segue.utils.naming import natural_key

MAX_OBJECTS = 254
"""Most objects of a video: 255 means void in an index mask."""

_Coordinate = Annotated[float, Field(allow_inf_nan=False)]


class _Box(Record):
    x1: _Coordinate
    y1: _Coordinate
    x2: _Coordinate
    y2: _Coordinate


class _Label(Record):
    box2d: _Box
    category: str
    gt_annotation: str | None = None

    @property
    def box(self) -> Box:
        return self.box2d.x1, self.box2d.y1, self.box2d.x2, self.box2d.y2


class _Frame(Record):
    name: str
    labels: list[_Label]


@dataclass(frozen=True)
class BoxSequence:
    """A video with objects as boxes, from its first image with a box on.

    Ids count the boxes of the first frame; objects that come later are left out.
    """

    name: str
    frames: tuple[Path, ...]
    annotations: Mapping[int, Mapping[int, Box]] = field(hash=False)
    labels: Mapping[int, str] = field(hash=False)
    binary: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.frames)

    def read_image(self, i: int) -> RgbImage:
        """Read a frame. Returns RGB (H, W, 3), uint8."""
        return read_rgb(self.frames[i])

    def read_boxes(self, i: int) -> Mapping[int, Box]:
        """Boxes of a frame."""
        return self.annotations[i]

    def read_mask(self, i: int) -> UInt8Array:
        """Filled boxes of a frame; later ids cover earlier ones."""
        return fill_boxes(self.annotations[i], image_size(self.frames[i]))


class SomethingElseFolder(ByName[BoxSequence]):
    """Annotated videos with images, in natural order.

    >>> SomethingElseFolder("something_else")["2"].read_boxes(0)

    Args:
        root: folder that holds ``annotations.json`` and ``videos``.
        videos: names of those that are wanted; None is all whose folder is there.

    Raises:
        DatasetError: a file, folder, image or wanted video is missing, or an annotation is wrong.
    """

    split = "boxes of Something-Else"

    def __init__(self, root: Path | str, videos: Iterable[str] | None = None) -> None:
        self.root = user_path(root)
        path, folder = self.root / "annotations.json", self.root / "videos"
        if not folder.is_dir():
            raise DatasetError(f"no folder {folder}; it must hold one folder of images for each video")
        requested = None if videos is None else list(dict.fromkeys(videos))
        records: dict[str, list[_Frame]] = {}
        for name, i, value in entries(path, path):
            # Folders are looked for among names that are there: a name of the file is not made a path.
            available = (
                _is_plain(name) and (folder / name).is_dir() if requested is None else name in requested
            )
            if i >= 0 and available:
                records.setdefault(name, []).append(validated(_Frame, value, f"{path}: {name}[{i}]"))
        for name in requested or ():
            if name not in records:
                raise DatasetError(f"no video {name} in {path}; it has no annotated frame")
        if not records:
            raise DatasetError(f"{folder} holds no video that is annotated in {path}")
        self._videos = {
            name: _sequence(name, records[name], folder, path)
            for name in requested or sorted(records, key=natural_key)
        }


def _is_plain(name: str) -> bool:
    """Whether a name has no path separators and no parent folders."""
    windows = PureWindowsPath(name)  # knows both kinds of separators
    return windows.parts == (name,) and not windows.drive and name != ".." and "\0" not in name


def _sequence(name: str, records: list[_Frame], folder: Path, path: Path) -> BoxSequence:
    records = list(dropwhile(lambda record: not record.labels, records))
    if not records:
        raise DatasetError(f"{path}: video {name} has no box")
    first = dict(_keyed(records[0]))
    numbers = {key: number for number, key in enumerate(first, start=1)}
    labels = dict(enumerate((label.category for label in first.values()), start=1))
    if len(numbers) > MAX_OBJECTS:
        raise DatasetError(
            f"{path}: video {name} has {len(numbers)} boxes in a frame; at most {MAX_OBJECTS} are read"
        )
    frames = tuple(_image(name, record.name, folder, path) for record in records)
    boxes = {
        i: {numbers[key]: label.box for key, label in _keyed(record) if key in numbers}
        for i, record in enumerate(records)
    }
    return BoxSequence(name, frames, boxes, labels)


def _keyed(record: _Frame) -> Iterator[tuple[tuple[str, int], _Label]]:
    """Labels of a frame with the keys that identify their objects."""
    counts: Counter[str] = Counter()
    for label in record.labels:
        name = label.gt_annotation or label.category
        counts[name] += 1
        yield (name, counts[name]), label


def _image(video: str, name: str, folder: Path, path: Path) -> Path:
    head, _, file = name.partition("/")
    plain = head == video and _is_plain(video) and _is_plain(file)
    if not plain or Path(file).suffix.lower() not in IMAGE_SUFFIXES:
        raise DatasetError(f"{path}: video {video}: {name!r} is no image of it, such as {video}/0001.jpg")
    image = folder / video / file
    if not image.is_file():
        raise DatasetError(f"no image {image}; {path} has boxes for it")
    return image
