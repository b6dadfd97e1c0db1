"""Masks that other programs made: folders and archives of PNG, COCO, YouTube-VIS and CVAT for video 1.1."""

from __future__ import annotations

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from xml.parsers import expat

import numpy as np

from segue.errors import DatasetError, SegueError
from segue.masks import measure, read_index_mask, read_stored_mask
from segue.masks.tracks import RleTrack
from segue.naming import natural_key
from segue.types import IndexMask
from segue.video.mask_folder import read_records
from segue_web.film import Film, Plane, number_in

MAX_MASK_BYTES = 64 << 20
"""Largest mask file in an archive, unpacked."""

WRITTEN = ("masks", "cdnet", "ytvis.json", "coco.json")
"""What the commands of segue write into the folder of a film, in the order in which it is looked for."""

DAMAGED = (OSError, ValueError, RecursionError, zipfile.BadZipFile, expat.ExpatError, KeyError, TypeError)
"""What readers raise for files that are not what they seem."""

Read = Callable[[], IndexMask]
"""Reads the mask of a frame."""

Planes = list[tuple[int, Callable[[], Plane]]]
"""Objects of a frame, and what decodes their masks."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of objects by id, index masks (H, W) by frame, read when they are asked for, and known scores."""

    names: Mapping[int, str]
    masks: Mapping[int, Read]
    scores: Mapping[tuple[int, int], float] = field(default_factory=dict)  # by frame and object

    def frames(self) -> Iterator[tuple[int, IndexMask]]:
        """Index and mask of every frame that has one, in order."""
        for index in sorted(self.masks):
            yield index, self.masks[index]()

    def mask(self, index: int, size: tuple[int, int]) -> IndexMask:
        """Index mask of a frame; empty where there is none."""
        return self.masks[index]() if index in self.masks else np.zeros(size, np.uint8)

    def score(self, frame: int, number: int) -> float:
        """Score of an object on a frame; 1 where none was given."""
        return self.scores.get((frame, number), 1.0)


def read_labels(path: Path, film: Film, name: str | None = None) -> Labels:
    """Read whatever it is: a folder, an archive or a picture of masks, a JSON or an XML file.

    Messages call it ``name``, if that is given.
    """
    where = name or str(path)
    reader = _Reader(film, where)
    readers = {
        ".zip": reader.read_archive,
        ".png": reader.read_picture,
        ".json": reader.read_json,
        ".xml": reader.read_cvat,
    }
    try:
        if path.is_dir():
            path = next((path / name for name in WRITTEN if (path / name).exists()), path)
        read = reader.read_folder if path.is_dir() else readers.get(path.suffix.lower())
        if read is not None:
            return read(path)
    except SegueError as error:
        raise SegueError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from None
    except DAMAGED as error:
        raise SegueError(f"{where}: cannot be read ({type(error).__name__}: {error})") from None
    raise SegueError(
        f"{where}: give a folder or .zip of PNG masks, a .png, a COCO or YouTube-VIS .json, or a CVAT .xml"
    )


class _Reader:
    """Reads labels of a film, from what messages call ``where``."""

    def __init__(self, film: Film, where: str) -> None:
        self._size, self._count, self._numbers, self._where = film.size, film.count, film.numbers, where

    def read_folder(self, folder: Path) -> Labels:
        records = read_records(folder)
        if records:
            reads = {
                i: partial(read_index_mask, folder / record.file)
                for i, record in records.items()
                if i < self._count
            }
            names = {item.id: item.label for record in records.values() for item in record.objects}
            scores = {(i, item.id): item.score for i, record in records.items() for item in record.objects}
            return self._of_files(reads, names, scores)
        files = [path for path in folder.iterdir() if path.suffix.lower() == ".png"]
        if not files:
            raise DatasetError("there are no PNG masks")
        files.sort(key=lambda path: natural_key(path.name))
        return self._of_files(self._numbered({path.stem: partial(read_index_mask, path) for path in files}))

    def read_picture(self, path: Path) -> Labels:
        return self._of_files({0: partial(read_index_mask, path)})

    def read_archive(self, path: Path) -> Labels:
        archive = zipfile.ZipFile(path)
        members = [item for item in archive.infolist() if item.filename.lower().endswith(".png")]
        if not members:
            raise DatasetError("there are no PNG masks in the archive")
        if any(item.file_size > MAX_MASK_BYTES for item in members):
            raise DatasetError(f"a mask is larger than {MAX_MASK_BYTES >> 20} MiB")
        members.sort(key=lambda item: natural_key(item.filename))
        return self._of_files(
            self._numbered({item.filename: partial(_read_member, archive, item) for item in members})
        )

    def _numbered(self, named: Mapping[str, T]) -> dict[int, T]:
        """What is named, by frame: in order if there is one for each frame, else by the numbers in the names.

        That is the number of a picture of the film, where these have numbers, else the index itself.
        """
        if len(named) == self._count:
            return dict(enumerate(named.values()))
        known = self._numbers or {index: index for index in range(self._count)}
        numbered = {}
        for name, value in named.items():
            number = number_in(PurePosixPath(name).stem)
            index = None if number is None else known.get(number)
            if index is None:
                raise DatasetError(
                    f"{name} names no frame of the film, which has {self._count}; the masks are {len(named)}"
                )
            if index in numbered:
                raise DatasetError(f"{name} is a second mask of frame {index}")
            numbered[index] = value
        return numbered

    def _of_files(
        self,
        reads: Mapping[int, Read],
        names: Mapping[int, str | None] | None = None,
        scores: Mapping[tuple[int, int], float] | None = None,
    ) -> Labels:
        """Labels of mask files; where no record names the objects, all files are looked through for them."""
        masks = {index: partial(self._checked, read) for index, read in reads.items()}
        if not names:
            names = dict.fromkeys(sorted({i for read in masks.values() for i in measure(read())}))
        return Labels({i: name or f"Object {i}" for i, name in names.items()}, masks, scores or {})

    def _checked(self, read: Read) -> IndexMask:
        mask = read()
        if mask.shape != self._size:
            shape, film = (f"{width}x{height}" for height, width in (mask.shape, self._size))
            raise DatasetError(f"{self._where}: a mask is {shape}, the film {film}")
        return mask

    def read_json(self, path: Path) -> Labels:
        content = json.loads(path.read_bytes())
        if isinstance(content, list):  # results of YouTube-VIS
            return self._tracks(content, [f"class {item['category_id']}" for item in content])
        classes = {item["id"]: str(item["name"]) for item in content.get("categories", ())}
        names = [classes.get(item["category_id"]) for item in content["annotations"]]
        if "videos" not in content:
            return self._coco(content, names)
        videos = {item["id"] for item in content["videos"]}
        if len(videos) != 1:
            raise DatasetError(f"it is of {len(videos)} videos; give a file of this one alone")
        return self._tracks(content["annotations"], names)

    def _tracks(self, items: list[dict[str, Any]], names: Sequence[str | None]) -> Labels:
        planes: dict[int, Planes] = defaultdict(list)
        scores = {}
        for number, item in enumerate(items, 1):
            segmentations = item["segmentations"]
            if len(segmentations) > self._count:
                raise DatasetError(f"it has {len(segmentations)} frames, the film {self._count}")
            track = RleTrack.parse(segmentations, self._size)
            for t in range(len(track)):
                planes[t].append((number, partial(track.decode, t)))
            for t in np.flatnonzero(track.areas).tolist():
                scores[t, number] = float(item.get("score", 1.0))
        return self._of_planes(dict(enumerate(names, 1)), planes, scores)

    def _coco(self, content: Any, names: Sequence[str | None]) -> Labels:
        images = [(str(item.get("file_name", item["id"])), item["id"]) for item in content["images"]]
        images.sort(key=lambda image: natural_key(image[0]))
        order = self._numbered(dict(images))
        frames = {image: index for (_, image), index in zip(images, order, strict=True)}
        planes: dict[int, Planes] = defaultdict(list)
        labels: dict[int, str | None] = {}
        numbers: dict[Any, int] = {}
        scores = {}
        for item, name in zip(content["annotations"], names, strict=True):
            number = numbers.setdefault(item.get("track_id", ("alone", item["id"])), len(numbers) + 1)
            labels.setdefault(number, name)
            index = frames[item["image_id"]]
            track = RleTrack.parse([item["segmentation"]], self._size)
            planes[index].append((number, partial(track.decode, 0)))
            scores[index, number] = float(item.get("score", 1.0))
        return self._of_planes(labels, planes, scores)

    def read_cvat(self, path: Path) -> Labels:
        """Masks, polygons and boxes; polygons and boxes between two keyframes stay where they were last."""
        planes: dict[int, Planes] = defaultdict(list)
        names: dict[int, str | None] = {}
        numbers: dict[Any, int] = {}
        number = 0

        def start(tag: str, given: dict[str, str]) -> None:
            nonlocal number
            if tag == "track":
                key = given.get("group_id") or ("track", given["id"])
                number = numbers.setdefault(key, len(numbers) + 1)
                names.setdefault(number, given["label"])
            elif tag in ("mask", "polygon", "box") and given.get("outside") != "1":
                index = int(given["frame"])
                if not 0 <= index < self._count:
                    raise DatasetError(f"frame {index} is none of the film, which has {self._count}")
                planes[index].append((number, partial(_shape, tag, given, self._size)))

        def no_entities(*_: Any) -> None:
            raise DatasetError("it declares entities, which no annotation needs")

        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EntityDeclHandler = start, no_entities
        parser.Parse(path.read_bytes(), True)
        return self._of_planes(names, planes)

    def _of_planes(
        self,
        names: Mapping[int, str | None],
        planes: Mapping[int, Planes],
        scores: Mapping[tuple[int, int], float] | None = None,
    ) -> Labels:
        masks = {index: partial(_stacked, found, self._size) for index, found in planes.items()}
        return Labels({i: name or f"Object {i}" for i, name in names.items()}, masks, scores or {})


def _read_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> IndexMask:
    """As :func:`segue.masks.read_index_mask`, for a file in an archive: 0 and 255 alone mean one object."""
    with archive.open(item) as file:
        values = read_stored_mask(io.BytesIO(file.read(MAX_MASK_BYTES + 1)), item.filename)
    return values if set(np.unique(values)) - {0, 255} else (values > 0).astype(np.uint8)


def _stacked(planes: Planes, size: tuple[int, int]) -> IndexMask:
    mask = np.zeros(size, np.uint16)
    for number, decode in planes:
        mask[decode()] = number
    return mask


def _shape(tag: str, given: dict[str, str], size: tuple[int, int]) -> Plane:
    """The mask of a shape of CVAT."""
    if tag == "mask":
        left, top, width, height = (int(float(given[key])) for key in ("left", "top", "width", "height"))
        if min(left, top, width, height) < 0 or left + width > size[1] or top + height > size[0]:
            raise DatasetError("a mask lies outside the film")
        runs = np.array(given["rle"].split(","), np.int64)
        if (runs < 0).any() or runs.sum() != width * height:
            raise DatasetError("the run lengths of a mask do not add up to its size")
        plane = np.zeros(size, np.bool_)
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        plane[top : top + height, left : left + width] = values.reshape(height, width)
        return plane
    if tag == "box":
        x0, y0, x1, y1 = (float(given[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        corners = [x0, y0, x1, y0, x1, y1, x0, y1]
    else:
        corners = [float(value) for pair in given["points"].split(";") for value in pair.split(",")]
    return RleTrack.parse([[corners]], size).decode(0)
