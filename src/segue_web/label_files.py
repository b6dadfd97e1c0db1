"""Masks that other programs wrote: folders and archives of PNG, COCO, YouTube-VIS, XML of CVAT."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segue.datasets.json_files import entries, read_json_text
from segue.errors import DatasetError, SegueError
from segue.inputs import check_file, is_number
from segue.masks import read_index_mask, read_stored_mask
from segue.masks.tracks import RleTrack
from segue.naming import natural_key
from segue.types import IndexMask
from segue.video.mask_folder import read_records
from segue_web.cvat_shapes import CvatTracks
from segue_web.labels import Collector, Labels, Planes, add_attributes, errors_named
from segue_web.video import Video

MAX_MASK_BYTES = 64 << 20
"""Largest mask file in an archive, unpacked."""

MAX_BYTES = 128 << 20
"""Largest JSON or XML file."""

MAX_ENTRY = 16 << 20
"""Characters of one entry of a JSON file, which becomes many objects in memory before it can be checked."""

MAX_ENTRIES = 1_000_000
"""Entries of a JSON file."""

WRITTEN = ("masks", "cdnet", "ytvis.json", "coco.json")
"""Results of segue in the folder of a video, in the order of search."""

OF_SHAPES = {"track_id", "occluded", "rotation", "keyframe"}
"""Attributes in COCO files of CVAT that are of a shape, not of its object, which the first one names."""

_ANNOTATION = ("annotations", True)


def read_labels(path: Path, video: Video, name: str | None = None) -> Labels:
    """Read labels: a folder, an archive or an image of masks, a JSON or an XML file.

    Masks in files of their own are read when they are asked for; all else is checked now.
    """
    where = name or str(path)
    reader = _Reader(Collector(video, where))
    readers = {
        ".zip": reader.read_archive,
        ".png": reader.read_picture,
        ".json": reader.read_json,
        ".xml": reader.read_cvat,
    }
    with errors_named(where, path):
        if path.is_dir():
            path = next((path / name for name in WRITTEN if (path / name).exists()), path)
        read = reader.read_folder if path.is_dir() else readers.get(path.suffix.lower())
        if read is not None:
            return read(path)
    raise SegueError(
        f"{where}: give a folder or .zip of PNG masks, a .png, a COCO or YouTube-VIS .json, or a CVAT .xml"
    )


class _Reader:
    """Reads labels, one method for each kind of file."""

    def __init__(self, collector: Collector) -> None:
        self._labels = collector

    def read_folder(self, folder: Path) -> Labels:
        records = read_records(folder)
        if records:
            reads = {
                i: partial(read_index_mask, folder / record.file)
                for i, record in records.items()
                if i < self._labels.count
            }
            names = {item.id: item.label for record in records.values() for item in record.objects}
            scores = {(i, item.id): item.score for i, record in records.items() for item in record.objects}
            return self._labels.of_files(reads, names, scores)
        files = [path for path in folder.iterdir() if path.suffix.lower() == ".png"]
        if not files:
            raise DatasetError("there are no PNG masks")
        files.sort(key=lambda path: natural_key(path.name))
        named = {path.stem: partial(read_index_mask, path) for path in files}
        return self._labels.of_files(self._labels.by_frame(named))

    def read_picture(self, path: Path) -> Labels:
        return self._labels.of_files({0: partial(read_index_mask, path)})

    def read_archive(self, path: Path) -> Labels:
        archive = zipfile.ZipFile(path)
        members = [item for item in archive.infolist() if item.filename.lower().endswith(".png")]
        if not members:
            raise DatasetError("there are no PNG masks in the archive")
        if any(item.file_size > MAX_MASK_BYTES for item in members):
            raise DatasetError(f"a mask is larger than {MAX_MASK_BYTES >> 20} MiB")
        members.sort(key=lambda item: natural_key(item.filename))
        named = {item.filename: partial(_read_member, archive, item) for item in members}
        return self._labels.of_files(self._labels.by_frame(named))

    def read_json(self, path: Path) -> Labels:
        check_file(path, DatasetError, MAX_BYTES)
        text = read_json_text(path)
        if text.lstrip()[:1] == "[":  # results of YouTube-VIS
            items = (item for _, _, item in self._entries(text, path))
            return self._tracks((item, f"class {item['category_id']}") for item in items)
        classes: dict[Any, str] = {}
        images: dict[str, Any] = {}
        videos: set[Any] = set()
        annotated = False
        # Twice through the text, for annotations may stand before what they refer to; only one is held.
        for key, place, value in self._entries(text, path):
            annotated |= (key, place >= 0) == _ANNOTATION
            if key == "categories" and place >= 0:
                classes[value["id"]] = str(value["name"])
                self._labels.check_objects(len(classes))
            elif key == "videos" and place >= 0:
                videos.add(value["id"])
                if len(videos) > 1:
                    raise DatasetError("it is of several videos; give a file of this one alone")
            elif key == "images" and place >= 0:
                images[str(value.get("file_name", value["id"]))] = value["id"]
                if len(images) > self._labels.count:
                    raise DatasetError(f"it has more images than the video has frames, {self._labels.count}")
        if not annotated:
            raise DatasetError("has no annotations")
        found = (item for key, place, item in self._entries(text, path) if (key, place >= 0) == _ANNOTATION)
        named = ((item, classes.get(item["category_id"])) for item in found)
        return self._tracks(named) if videos else self._coco(images, named)

    def _entries(self, text: str, path: Path) -> Iterator[tuple[str, int, Any]]:
        """Key, place in its list and value of each entry, see :func:`segue.datasets.json_files.entries`."""
        for number, (key, place, _, value) in enumerate(entries(text, path, longest=MAX_ENTRY)):
            self._labels.limit.check()
            if number > MAX_ENTRIES:
                raise DatasetError(f"has more than {MAX_ENTRIES} entries; import it in parts")
            yield key, place, value

    def _tracks(self, items: Iterable[tuple[dict[str, Any], str | None]]) -> Labels:
        planes: dict[int, Planes] = defaultdict(list)
        scores: dict[tuple[int, int], float] = {}
        names: dict[int, str | None] = {}
        attributes: dict[int, dict[str, str]] = {}
        ids: dict[int, object] = {}
        for number, (item, name) in enumerate(items, 1):
            self._labels.check_objects(number)
            names[number] = name
            ids[number] = item.get("id")
            add_attributes(attributes, number, item.get("attributes"))
            segmentations = item["segmentations"]
            if len(segmentations) > self._labels.count:
                raise DatasetError(f"it has {len(segmentations)} frames, the video {self._labels.count}")
            track = RleTrack.parse(segmentations, self._labels.size)
            score = _score(item)
            self._labels.check_masks(len(scores))
            for t in np.flatnonzero(track.areas).tolist():
                planes[t].append((number, partial(track.decode, t)))
                scores[t, number] = score
        return self._labels.of_planes(names, planes, scores, attributes, ids)

    def _coco(self, images: Mapping[str, Any], items: Iterable[tuple[dict[str, Any], str | None]]) -> Labels:
        ordered = dict(sorted(images.items(), key=lambda image: natural_key(image[0])))
        order = self._labels.by_frame(ordered)
        frames = dict(zip(ordered.values(), order, strict=True))
        planes: dict[int, Planes] = defaultdict(list)
        names: dict[int, str | None] = {}
        numbers: dict[Any, int] = {}
        scores: dict[tuple[int, int], float] = {}
        attributes: dict[int, dict[str, str]] = {}
        for taken, (item, name) in enumerate(items):
            self._labels.check_masks(taken)
            about = item.get("attributes")
            about = about if isinstance(about, dict) else {}
            track = item.get("track_id", about.get("track_id"))
            number = numbers.setdefault(("alone", item["id"]) if track is None else track, len(numbers) + 1)
            self._labels.check_objects(number)
            names.setdefault(number, name)
            own = {key: value for key, value in about.items() if key not in OF_SHAPES}
            add_attributes(attributes, number, own)
            index = frames[item["image_id"]]
            shape = RleTrack.parse([item["segmentation"]], self._labels.size)
            planes[index].append((number, partial(shape.decode, 0)))
            scores[index, number] = _score(item)
        ids = {number: track for track, number in numbers.items()}
        if all(isinstance(track, int) for track in numbers):  # else in the order of the file
            names = {number: names[number] for number in sorted(names, key=ids.__getitem__)}
        return self._labels.of_planes(names, planes, scores, attributes, ids)

    def read_cvat(self, path: Path) -> Labels:
        """Masks, polygons and boxes on the frames that the file lists, keyframes or not; CVAT lists all."""
        check_file(path, DatasetError, MAX_BYTES)
        planes: dict[int, Planes] = defaultdict(list)
        boxes: dict[tuple[int, int], list[RleTrack]] = defaultdict(list)
        attributes: dict[int, dict[str, str]] = {}
        taken = 0

        def take(index: int, number: int, shape: RleTrack, is_box: bool) -> None:
            nonlocal taken
            if is_box:
                boxes[index, number].append(shape)
            else:
                planes[index].append((number, partial(shape.decode, 0)))
            taken += 1
            self._labels.check_masks(taken)

        def check(objects: int) -> None:
            self._labels.limit.check()
            self._labels.check_objects(objects)

        size, count = self._labels.size, self._labels.count
        tracks = CvatTracks(size, count, take, partial(add_attributes, attributes), check)
        tracks.read(path)
        # A box says less than a mask: it counts where an object has nothing else, and lies below the others.
        drawn = {(index, number) for index, found in planes.items() for number, _ in found}
        for index, number in sorted(set(boxes) - drawn, reverse=True):
            planes[index][:0] = [(number, partial(box.decode, 0)) for box in boxes[index, number]]
        frames = self._frames_of(tracks.pictures) or {index: index for index in planes}
        found = {index: planes[place] for index, place in frames.items() if place in planes}
        # What lies on top comes last in the list of objects.
        ordered = sorted(tracks.names, key=tracks.levels.__getitem__)
        names = {number: tracks.names[number] for number in ordered}
        return self._labels.of_planes(names, found, {}, attributes, tracks.ids)

    def _frames_of(self, pictures: Sequence[str]) -> dict[int, int]:
        """The places of images in a list, by the frame that each of them is."""
        places = {name: place for place, name in enumerate(pictures)}
        if len(places) < len(pictures):
            raise DatasetError("two of its images have one name")
        ordered = dict(sorted(places.items(), key=lambda named: natural_key(named[0])))
        return self._labels.by_frame(ordered) if ordered else {}


def _score(item: Mapping[str, Any]) -> float:
    """The score of an annotation; 1 where it has none."""
    score = item.get("score")
    if score is None:
        return 1.0
    if not is_number(score):
        raise DatasetError(f"a score is {str(score)[:40]!r}; it must be a number")
    return float(score)


def _read_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> IndexMask:
    """As :func:`segue.masks.read_index_mask`, for a file in an archive: 0 and 255 alone mean one object."""
    with archive.open(item) as file:
        values = read_stored_mask(io.BytesIO(file.read(MAX_MASK_BYTES + 1)), item.filename)
    return values if set(np.unique(values)) - {0, 255} else (values > 0).astype(np.uint8)
