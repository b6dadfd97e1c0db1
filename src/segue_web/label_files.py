"""Masks that other programs wrote: folders and archives of PNG, COCO, YouTube-VIS, XML of CVAT."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from operator import itemgetter
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
from segue_web.cvat_shapes import SHAPES, as_number, frame_of, shape_of, wanted
from segue_web.labels import MAX_MASKS, Collector, Labels, errors_named
from segue_web.text import refuse_entities
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
    """Read labels: a folder, an archive or an image of masks, a JSON or an XML file."""
    where = name or str(path)
    reader = _Reader(video, where)
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


class _Reader(Collector):
    """Reads labels, one method for each kind of file."""

    def read_folder(self, folder: Path) -> Labels:
        records = read_records(folder)
        if records:
            items = [(index, item) for index, record in records.items() for item in record.objects]
            for number, name in {item.id: item.label for _, item in items}.items():
                self.add_object(number, name, number)
            self.labels.scores = {(index, item.id): item.score for index, item in items}
            known = {i: record for i, record in records.items() if i < self.count}
            return self.of_files({i: partial(read_index_mask, folder / it.file) for i, it in known.items()})
        files = [path for path in folder.iterdir() if path.suffix.lower() == ".png"]
        if not files:
            raise DatasetError("there are no PNG masks")
        files.sort(key=lambda path: natural_key(path.name))
        return self.of_files(self.by_frame({path.stem: partial(read_index_mask, path) for path in files}))

    def read_picture(self, path: Path) -> Labels:
        return self.of_files({0: partial(read_index_mask, path)})

    def read_archive(self, path: Path) -> Labels:
        archive = zipfile.ZipFile(path)
        members = [item for item in archive.infolist() if item.filename.lower().endswith(".png")]
        if not members:
            raise DatasetError("there are no PNG masks in the archive")
        if any(item.file_size > MAX_MASK_BYTES for item in members):
            raise DatasetError(f"a mask is larger than {MAX_MASK_BYTES >> 20} MiB")
        members.sort(key=lambda item: natural_key(item.filename))
        named = {item.filename: partial(_read_member, archive, item) for item in members}
        return self.of_files(self.by_frame(named))

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
            elif key == "videos" and place >= 0:
                videos.add(value["id"])
                if len(videos) > 1:
                    raise DatasetError("it is of several videos; give a file of this one alone")
            elif key == "images" and place >= 0:
                images[str(value.get("file_name", value["id"]))] = value["id"]
                self._check_pictures(images)
        if not annotated:
            raise DatasetError("has no annotations")
        found = (item for key, place, item in self._entries(text, path) if (key, place >= 0) == _ANNOTATION)
        named = ((item, classes.get(item["category_id"])) for item in found)
        return self._tracks(named) if videos else self._coco(images, named)

    def _entries(self, text: str, path: Path) -> Iterator[tuple[str, int, Any]]:
        """Key, place in its list and value of each entry, see :func:`segue.datasets.json_files.entries`."""
        for number, (key, place, _, value) in enumerate(entries(text, path, longest=MAX_ENTRY)):
            self.check_time()
            if number > MAX_ENTRIES:
                raise DatasetError(f"has more than {MAX_ENTRIES} entries; import it in parts")
            yield key, place, value

    def _check_pictures(self, pictures: Collection[str]) -> None:
        if len(pictures) > self.count:
            raise DatasetError(f"it has more images than the video has frames, {self.count}")

    def _tracks(self, items: Iterable[tuple[dict[str, Any], str | None]]) -> Labels:
        for number, (item, name) in enumerate(items, 1):
            self.add_object(number, name, item.get("id"), item.get("attributes"))
            segmentations = item["segmentations"]
            if len(segmentations) > self.count:
                raise DatasetError(f"it has {len(segmentations)} frames, the video {self.count}")
            track, score = RleTrack.parse(segmentations, self.size), _score(item)
            for t in np.flatnonzero(track.areas).tolist():
                self.add(t, number, track, t, score)
        return self.of_shapes()

    def _coco(self, images: Mapping[str, Any], items: Iterable[tuple[dict[str, Any], str | None]]) -> Labels:
        frames = {images[name]: index for name, index in self._frames_of(images).items()}
        numbers: dict[Any, int] = {}
        for item, name in items:
            about = item.get("attributes")
            about = about if isinstance(about, dict) else {}
            track = item.get("track_id", about.get("track_id"))
            number = numbers.setdefault(("alone", item["id"]) if track is None else track, len(numbers) + 1)
            own = {key: value for key, value in about.items() if key not in OF_SHAPES}
            self.add_object(number, name, track, own)
            shape = RleTrack.parse([item["segmentation"]], self.size)
            self.add(frames[item["image_id"]], number, shape, score=_score(item))
        # Else in the order of the file.
        alike = all(isinstance(track, int) for track in numbers)
        return self.of_shapes(self.labels.ids.__getitem__ if alike else None)

    def read_cvat(self, path: Path) -> Labels:
        """Masks, polygons and boxes on the frames that the file lists; tracks of a group are one object."""
        check_file(path, DatasetError, MAX_BYTES)
        text = io.StringIO(refuse_entities(path.read_text("utf-8-sig")))
        numbers: dict[tuple[str, ...], int] = {}
        pictures: dict[str, int] = {}
        levels: dict[int, float] = {}
        shapes: list[tuple[bool, int, int, RleTrack]] = []
        number, image = 0, None  # of the object that a track or a shape is of, and of the image around it

        def begin(item: ET.Element) -> int:
            group, label = item.get("group_id", "0"), wanted(item, "label")
            if is_grouped := group not in ("", "0"):
                same = ("group", group) if item.tag == "track" else ("group", group, label)
            else:
                same = ("track", wanted(item, "id")) if item.tag == "track" else ("shape", str(len(numbers)))
            number = numbers.setdefault(same, len(numbers) + 1)
            self.add_object(number, label, int(group) if is_grouped and group.isdecimal() else None)
            return number

        for event, item in ET.iterparse(text, ("start", "end")):
            self.check_time()
            is_shape = item.tag in SHAPES and item.get("outside") != "1"
            if event == "start" and item.tag == "image":
                image = len(pictures)
                if pictures.setdefault(wanted(item, "name"), image) != image:
                    raise DatasetError("two of its images have one name")
                self._check_pictures(pictures)
            elif event == "start" and (item.tag == "track" or (is_shape and image is not None)):
                number = begin(item)
            elif event == "end" and item.tag == "attribute" and number:
                self.add_object(number, None, about={item.get("name", ""): item.text or ""})
            elif event == "end" and is_shape:
                if not number:
                    raise DatasetError(f"a {item.tag} belongs to no track")
                levels.setdefault(number, as_number(item.get("z_order", "0"), "a z_order"))
                index = frame_of(item, self.count) if image is None else image
                shapes.append((item.tag == "box", index, number, shape_of(item, self.size)))
                if len(shapes) > MAX_MASKS:
                    break  # the check below refuses them
            if event == "end" and item.tag in ("track", "image"):
                number, image = 0, None
            if event == "end" and item.tag in (*SHAPES, "track", "image"):
                item.clear()
        # A box says less than a mask: it counts where an object has nothing else, and lies below the others.
        drawn = {(index, number) for is_box, index, number, _ in shapes if not is_box}
        boxes = [shape for shape in shapes if shape[0] and shape[1:3] not in drawn]
        frames = {pictures[name]: index for name, index in self._frames_of(pictures).items()}
        for _, place, number, shape in sorted(boxes, key=itemgetter(2)) + [it for it in shapes if not it[0]]:
            self.add(frames.get(place, place), number, shape)
        # What lies on top comes last in the list of objects.
        return self.of_shapes(lambda number: levels.get(number, 0.0))

    def _frames_of(self, pictures: Mapping[str, Any]) -> dict[str, int]:
        """The frame of each image by its name, if there are any."""
        ordered = {name: name for name in sorted(pictures, key=natural_key)}
        return {name: index for index, name in self.by_frame(ordered).items()} if ordered else {}


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
