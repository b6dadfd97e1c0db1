"""Masks that other programs wrote: folders and archives of PNG, COCO, YouTube-VIS, XML of CVAT."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from segue.datasets.json_files import entries, read_json_text
from segue.errors import DatasetError, SegueError
from segue.inputs import check_file, first_line
from segue.masks import encode_rle, read_index_mask, read_stored_mask
from segue.masks.rle import fill_polygons
from segue.masks.tracks import RleTrack
from segue.naming import is_hidden, natural_key
from segue.types import IndexMask
from segue.video.mask_folder import read_records
from segue_web.labels import MAX_MASKS, Labels, by_frame
from segue_web.text import first_problem, refuse_entities
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

DAMAGED = (
    *(OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, ET.ParseError, MemoryError),
)
"""Errors of readers for malformed files; a RecursionError is a RuntimeError."""

_ANNOTATION = ("annotations", True)
_SCORE = TypeAdapter(Annotated[float, Field(allow_inf_nan=False)])

MAX_CORNERS = 1 << 20
"""Characters of the corners of a polygon."""

_NO_RUNS = re.compile(r"[^0-9, ]|[0-9]{19}|[0-9] |,[^0-9 ]|, [^0-9]|^[^0-9]|[^0-9]$")
"""Never occurs in numbers separated by commas; matching the whole text would take memory for each number."""

_Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=0, le=1_000_000)]

T = TypeVar("T")


def read_labels(path: Path, video: Video, name: str | None = None) -> Labels:
    """Read labels: a folder, an archive or an image of masks, a JSON or an XML file."""
    where = name or str(path)
    labels = Labels(video.size)
    with _errors_named(where, path):
        if path.is_dir():
            path = next((path / name for name in WRITTEN if (path / name).exists()), path)
        read = _read_folder if path.is_dir() else _READERS.get(path.suffix.lower())
        if read is not None:
            read(labels, path, video)
            return labels
    raise SegueError(
        f"{where}: give a folder or .zip of PNG masks, a .png, a COCO or YouTube-VIS .json, or a CVAT .xml"
    )


def _read_folder(labels: Labels, folder: Path, video: Video) -> None:
    records = read_records(folder)
    if records:
        items = [(index, item) for index, record in records.items() for item in record.objects]
        for number, name in {item.id: item.label for _, item in items}.items():
            labels.add_object(number, name, number)
        labels.scores = {(index, item.id): item.score for index, item in items}
        files = {index: folder / record.file for index, record in records.items() if index < video.count}
    else:
        paths = [
            path for path in folder.iterdir() if path.suffix.lower() == ".png" and not is_hidden(path.name)
        ]
        if not paths:
            raise DatasetError("there are no PNG masks")
        paths.sort(key=lambda path: natural_key(path.name))
        files = by_frame({path.stem: path for path in paths}, video)
    labels.add_files({index: partial(read_index_mask, path) for index, path in files.items()})


def _read_image(labels: Labels, path: Path, video: Video) -> None:
    labels.add_files({0: partial(read_index_mask, path)})


def _read_archive(labels: Labels, path: Path, video: Video) -> None:
    archive = zipfile.ZipFile(path)
    members = [
        item
        for item in archive.infolist()
        if item.filename.lower().endswith(".png") and not is_hidden(item.filename)
    ]
    if not members:
        raise DatasetError("there are no PNG masks in the archive")
    if any(item.file_size > MAX_MASK_BYTES for item in members):
        raise DatasetError(f"a mask is larger than {MAX_MASK_BYTES >> 20} MiB")
    members.sort(key=lambda item: natural_key(item.filename))
    named = {item.filename: partial(_read_member, archive, item) for item in members}
    labels.add_files(by_frame(named, video))


def _read_json(labels: Labels, path: Path, video: Video) -> None:
    check_file(path, DatasetError, MAX_BYTES)
    text = read_json_text(path)
    if text.lstrip()[:1] == "[":  # results of YouTube-VIS
        items = (item for _, _, item in _entries(text, path))
        _read_tracks(labels, video, ((item, f"class {item['category_id']}") for item in items))
        return
    classes: dict[Any, str] = {}
    images: dict[str, Any] = {}
    videos: set[Any] = set()
    annotated = False
    # Twice through the text, for annotations may stand before what they refer to; only one is held.
    for key, place, value in _entries(text, path):
        annotated |= (key, place >= 0) == _ANNOTATION
        if key == "categories" and place >= 0:
            classes[value["id"]] = str(value["name"])
        elif key == "videos" and place >= 0:
            videos.add(value["id"])
            if len(videos) > 1:
                raise DatasetError("it is of several videos; give a file of this one alone")
        elif key == "images" and place >= 0:
            images[str(value.get("file_name", value["id"]))] = value["id"]
            _check_images(images, video)
    if not annotated:
        raise DatasetError("has no annotations")
    found = (item for key, place, item in _entries(text, path) if (key, place >= 0) == _ANNOTATION)
    named = ((item, classes.get(item["category_id"])) for item in found)
    if videos:
        _read_tracks(labels, video, named)
    else:
        _read_images(labels, video, images, named)


def _entries(text: str, path: Path) -> Iterator[tuple[str, int, Any]]:
    """Key, place in its list and value of each entry, see :func:`segue.datasets.json_files.entries`."""
    for number, (key, place, _, value) in enumerate(entries(text, path, longest=MAX_ENTRY)):
        if number > MAX_ENTRIES:
            raise DatasetError(f"has more than {MAX_ENTRIES} entries; import it in parts")
        yield key, place, value


def _check_images(images: Collection[str], video: Video) -> None:
    if len(images) > video.count:
        raise DatasetError(f"it has more images than the video has frames, {video.count}")


def _frames_of(images: Mapping[str, T], video: Video) -> dict[T, int]:
    """The frame of each image, by what stands under its name."""
    names = {name: name for name in sorted(images, key=natural_key)}
    return {images[name]: index for index, name in by_frame(names, video).items()} if names else {}


def _read_tracks(labels: Labels, video: Video, items: Iterable[tuple[dict[str, Any], str | None]]) -> None:
    """Annotations of YouTube-VIS, each with the name of its class."""
    for number, (item, name) in enumerate(items, 1):
        labels.add_object(number, name, item.get("id"), item.get("attributes"))
        segmentations = item["segmentations"]
        if len(segmentations) > video.count:
            raise DatasetError(f"it has {len(segmentations)} frames, the video {video.count}")
        track, score = RleTrack.parse(segmentations, video.size), _score(item)
        for t in np.flatnonzero(track.areas).tolist():
            labels.add_mask(t, number, track.counts[t], score)


def _read_images(
    labels: Labels,
    video: Video,
    images: Mapping[str, Any],
    items: Iterable[tuple[dict[str, Any], str | None]],
) -> None:
    """Annotations of COCO, each with the name of its class."""
    frames = _frames_of(images, video)
    numbers: dict[Any, int] = {}
    for item, name in items:
        about = item.get("attributes")
        about = about if isinstance(about, dict) else {}
        track = item.get("track_id", about.get("track_id"))
        number = numbers.setdefault(("alone", item["id"]) if track is None else track, len(numbers) + 1)
        own = {key: value for key, value in about.items() if key not in OF_SHAPES}
        labels.add_object(number, name, track, own)
        shape = RleTrack.parse([item["segmentation"]], video.size)
        labels.add_mask(frames[item["image_id"]], number, shape.counts[0], _score(item))
    if all(isinstance(track, int) for track in numbers):  # else in the order of the file
        labels.sort_objects(labels.ids.__getitem__)


class _Shape(BaseModel):
    """Attributes of a shape, which are texts in the file; ``counts`` are run lengths of its mask."""

    frame: int | None = None  # None of a shape in an image
    z_order: _Coordinate = 0


class _Box(_Shape):
    """A rectangle."""

    xtl: _Coordinate
    ytl: _Coordinate
    xbr: _Coordinate
    ybr: _Coordinate

    def counts(self, size: tuple[int, int]) -> bytes:
        corners = [self.xtl, self.ytl, self.xbr, self.ytl, self.xbr, self.ybr, self.xtl, self.ybr]
        return fill_polygons([corners], size)


class _Polygon(_Shape):
    """A polygon: ``x,y;x,y``."""

    points: Annotated[str, Field(max_length=MAX_CORNERS)]

    def counts(self, size: tuple[int, int]) -> bytes:
        corners = [float(value) for pair in self.points.split(";") for value in pair.split(",")]
        return fill_polygons([corners], size)


class _Mask(_Shape):
    """Run lengths along the rows of a box, the first one of zeros."""

    left: _Pixels
    top: _Pixels
    width: _Pixels
    height: _Pixels
    rle: Annotated[str, Field(min_length=1)]

    def counts(self, size: tuple[int, int]) -> bytes:
        rows, columns = (slice(self.top, self.top + self.height), slice(self.left, self.left + self.width))
        if rows.stop > size[0] or columns.stop > size[1]:
            raise DatasetError("a mask lies outside the video")
        area = self.width * self.height
        if _NO_RUNS.search(self.rle) or self.rle.count(",") > area:
            raise DatasetError("the run lengths of a mask are not numbers separated by commas, or too many")
        # Not by a list of Python's numbers, which would take ten times the memory.
        runs = np.fromstring(self.rle, np.int64, sep=",")
        if (runs > area).any() or runs.sum() != area:
            raise DatasetError("the run lengths of a mask do not add up to its size")
        plane = np.zeros(size, np.bool_)
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        plane[rows, columns] = inside.reshape(self.height, self.width)
        return encode_rle(plane)["counts"].encode()


_SHAPES: dict[str, type[_Box | _Polygon | _Mask]] = {
    "mask": _Mask,
    "polygon": _Polygon,
    "box": _Box,
}
"""By the name of the element."""


def _wanted(item: ET.Element, key: str) -> str:
    """Value of an element under a key."""
    if key not in item.attrib:
        raise DatasetError(f"a {item.tag} has no {key}")
    return item.attrib[key]


def _read_cvat(labels: Labels, path: Path, video: Video) -> None:
    """Masks, polygons and boxes on the frames that the file lists; tracks of a group are one object."""
    check_file(path, DatasetError, MAX_BYTES)
    text = io.StringIO(refuse_entities(path.read_text("utf-8-sig")))
    numbers: dict[tuple[str, ...], int] = {}
    images: dict[str, int] = {}
    levels: dict[int, float] = {}
    boxes: list[tuple[int, int, bytes]] = []  # frame or image, object, run lengths
    drawn: list[tuple[int, int, bytes]] = []  # the same of masks and polygons

    def object_of(item: ET.Element) -> int:
        group, label = item.get("group_id", "0"), _wanted(item, "label")
        if is_grouped := group not in ("", "0"):
            same = ("group", group) if item.tag == "track" else ("group", group, label)
        else:
            same = ("track", _wanted(item, "id")) if item.tag == "track" else ("shape", str(len(numbers)))
        number = numbers.setdefault(same, len(numbers) + 1)
        labels.add_object(number, label, int(group) if is_grouped and group.isdecimal() else None)
        return number

    def draw(item: ET.Element, number: int, image: int | None) -> None:
        shape = _SHAPES[item.tag].model_validate(item.attrib)
        levels.setdefault(number, shape.z_order)
        index = shape.frame if image is None else image
        if index is None or not 0 <= index < video.count:
            raise DatasetError(f"frame {index} is none of the video, which has {video.count}")
        (boxes if item.tag == "box" else drawn).append((index, number, shape.counts(video.size)))
        if len(boxes) + len(drawn) > MAX_MASKS:
            raise DatasetError(f"has more than {MAX_MASKS} masks; import it in parts")
        for about in item.iter("attribute"):
            labels.add_object(number, None, about={about.get("name", ""): about.text or ""})

    for _, item in ET.iterparse(text):
        shapes = [shape for shape in item if shape.tag in _SHAPES and shape.get("outside") != "1"]
        if item.tag == "track":
            number = object_of(item)
            for shape in shapes:
                draw(shape, number, None)
        elif item.tag == "image":
            image = len(images)
            if images.setdefault(_wanted(item, "name"), image) != image:
                raise DatasetError("two of its images have one name")
            _check_images(images, video)
            for shape in shapes:
                draw(shape, object_of(shape), image)
        elif shapes:
            raise DatasetError(f"a {shapes[0].tag} belongs to no track")
        if item.tag in ("track", "image"):
            item.clear()
    # A box says less than a mask: it counts where an object has nothing else, and lies below the others.
    known = {(index, number) for index, number, _ in drawn}
    below = [box for box in sorted(boxes, key=itemgetter(1)) if box[:2] not in known]
    frames = _frames_of(images, video)
    for place, number, counts in below + drawn:
        labels.add_mask(frames.get(place, place), number, counts)
    # What lies on top comes last in the list of objects.
    labels.sort_objects(lambda number: levels.get(number, 0.0))


@contextmanager
def _errors_named(where: str, path: Path) -> Iterator[None]:
    """Errors of readers, in one line that calls the file ``where``, wherever it lies (``path``)."""
    try:
        yield
    except SegueError as error:
        text = str(error).replace(str(path), where)
        raise SegueError(f"{where}: {text.removeprefix(f'{where}: ')}") from None
    except KeyError as error:
        raise SegueError(f"{where}: an entry has no {str(error)[:80]}") from None
    except DAMAGED as error:
        reason = "it is damaged, or of another format"
        if isinstance(error, ValidationError):
            reason = first_problem(error.errors())
        elif isinstance(error, OSError | zipfile.BadZipFile | zlib.error | ET.ParseError):
            reason = getattr(error, "strerror", None) or first_line(error)
        raise SegueError(f"{where}: cannot be read ({reason[:200]})") from None


def _score(item: Mapping[str, Any]) -> float:
    """The score of an annotation; 1 where it has none."""
    return _SCORE.validate_python(1.0 if item.get("score") is None else item["score"], strict=True)


def _read_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> IndexMask:
    """As :func:`segue.masks.read_index_mask`, for a file in an archive: 0 and 255 alone mean one object."""
    with archive.open(item) as file:
        values = read_stored_mask(io.BytesIO(file.read(MAX_MASK_BYTES + 1)), item.filename)
    return values if set(np.unique(values)) - {0, 255} else (values > 0).astype(np.uint8)


_READERS = {".zip": _read_archive, ".png": _read_image, ".json": _read_json, ".xml": _read_cvat}
"""By the suffix of a file."""
