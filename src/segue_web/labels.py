"""Masks that other programs made: folders and archives of PNG, COCO, YouTube-VIS and CVAT for video 1.1."""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from xml.parsers import expat

import numpy as np

from segue.arrays import BoolArray
from segue.datasets.json_files import entries, read_json_text
from segue.errors import DatasetError, SegueError
from segue.inputs import check_file, first_line, is_number
from segue.masks import measure, read_index_mask, read_stored_mask
from segue.masks.tracks import RleTrack
from segue.naming import natural_key
from segue.types import IndexMask
from segue.video.mask_folder import read_records
from segue_web.cvat_shapes import CvatTracks
from segue_web.film import Film, number_in
from segue_web.project import MOST_ATTRIBUTES
from segue_web.text import printable

MAX_MASK_BYTES = 64 << 20
"""Largest mask file in an archive, unpacked."""

MAX_BYTES = 128 << 20
"""Largest JSON or XML file."""

MAX_ENTRY = 16 << 20
"""Characters of one entry of a JSON file, which becomes many objects in memory before it can be checked."""

MAX_ENTRIES = 1_000_000
"""Entries of a JSON file."""

MAX_OBJECTS = 10_000
"""Objects that are taken from one file; the page has to list them."""

MAX_SECONDS = 120.0
"""Time that reading a file may take."""

LONGEST_NAME = 80
"""Characters of the name of an object; the page has no room for more."""

LONGEST_VALUE = 200
"""Characters of an attribute of an object."""

MAX_MASKS = 300_000
"""Masks of objects on frames that are taken from one file."""

_ANNOTATION = ("annotations", True)

WRITTEN = ("masks", "cdnet", "ytvis.json", "coco.json")
"""What the commands of segue write into the folder of a film, in the order in which it is looked for."""

DAMAGED = (
    *(OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, expat.ExpatError, MemoryError),
)
"""What readers raise for files that are not what they seem; a RecursionError is a RuntimeError."""

Read = Callable[[], IndexMask]
"""Reads the mask of a frame."""

Planes = list[tuple[int, Callable[[], BoolArray]]]
"""Objects of a frame, and what decodes their masks."""

T = TypeVar("T")


@contextmanager
def _read_from(where: str) -> Iterator[None]:
    """Errors of readers, in one line that names the file."""
    try:
        yield
    except SegueError as error:
        raise SegueError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from None
    except DAMAGED as error:
        reason = first_line(error)
        shown = reason if len(reason) <= 200 else f"{reason[:200]} ..."
        raise SegueError(f"{where}: cannot be read ({type(error).__name__}: {shown})") from None


@dataclass(frozen=True, slots=True)
class Labels:
    """Objects and masks of another program.

    Attributes:
        names: name of each object, by id.
        masks: readers of the index masks, (H, W), by frame.
        scores: those that are known, by frame and object.
        where: the file that they come from, for messages.
        attributes: of the objects that have any, by name; ``group`` is the group of an object.
    """

    names: Mapping[int, str]
    masks: Mapping[int, Read]
    scores: Mapping[tuple[int, int], float] = field(default_factory=dict)
    where: str = ""
    attributes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def frames(self) -> Iterator[tuple[int, IndexMask]]:
        """Index and mask of every frame that has one, in order; SegueError where one is damaged.

        Yields:
            Number of the frame and its index mask, (H, W).
        """
        for index in sorted(self.masks):
            yield index, self._read(index)

    def mask(self, index: int, size: tuple[int, int]) -> IndexMask:
        """Index mask of a frame; empty where there is none. SegueError where it is damaged.

        Args:
            index: number of the frame.
            size: height and width of an empty mask.

        Returns:
            (H, W), 0 background, 1.. objects.
        """
        return self._read(index) if index in self.masks else np.zeros(size, np.uint8)

    def score(self, frame: int, number: int) -> float:
        """Score of an object on a frame; 1 where none was given.

        Args:
            frame: its number.
            number: id of the object.

        Returns:
            In [0, 1].
        """
        return self.scores.get((frame, number), 1.0)

    def _read(self, index: int) -> IndexMask:
        with _read_from(self.where):
            return self.masks[index]()


def read_labels(path: Path, film: Film, name: str | None = None) -> Labels:
    """Read whatever it is: a folder, an archive or a picture of masks, a JSON or an XML file.

    Masks in files of their own are read when they are asked for; all else is checked now.

    Args:
        path: the file or folder.
        film: what the masks are of.
        name: what messages call the file, if not by its path.

    Returns:
        Names of the objects, and masks by frame index.

    Raises:
        SegueError: it is damaged, of another film, too large, or takes longer than :data:`MAX_SECONDS`.
    """
    where = name or str(path)
    reader = _Reader(film, where)
    readers = {
        ".zip": reader.read_archive,
        ".png": reader.read_picture,
        ".json": reader.read_json,
        ".xml": reader.read_cvat,
    }
    with _read_from(where):
        if path.is_dir():
            path = next((path / name for name in WRITTEN if (path / name).exists()), path)
        read = reader.read_folder if path.is_dir() else readers.get(path.suffix.lower())
        if read is not None:
            return read(path)
    raise SegueError(
        f"{where}: give a folder or .zip of PNG masks, a .png, a COCO or YouTube-VIS .json, or a CVAT .xml"
    )


def read_complete_labels(path: Path, film: Film, name: str | None = None) -> Labels:
    """As :func:`read_labels`; every mask has been read once, so that none is found to be damaged later.

    Args:
        path: the file or folder.
        film: what the masks are of.
        name: what messages call the file, if not by its path.

    Returns:
        Names of the objects, and masks by frame index.
    """
    limit = _Limit()
    labels = read_labels(path, film, name)
    with _read_from(labels.where):
        for _ in labels.frames():
            limit.check()
    return labels


class _Limit:
    """The time that reading may take, from now on."""

    def __init__(self) -> None:
        self._end = time.monotonic() + MAX_SECONDS

    def check(self) -> None:
        """Raise DatasetError if it is over."""
        if time.monotonic() > self._end:
            raise DatasetError(f"takes longer than {MAX_SECONDS:.0f} s to read; import it in parts")


class _Reader:
    """Reads labels of a film, from what messages call ``where``."""

    def __init__(self, film: Film, where: str) -> None:
        self._size, self._count, self._numbers, self._where = film.size, film.count, film.numbers, where
        self._limit = _Limit()

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
            names = dict.fromkeys(sorted(self._ids_in(masks.values())))
        return self._labels(names, masks, scores)

    def _ids_in(self, reads: Iterable[Read]) -> set[int]:
        found: set[int] = set()
        for read in reads:
            self._limit.check()
            found |= measure(read()).keys()
        return found

    def _labels(
        self,
        names: Mapping[int, str | None],
        masks: Mapping[int, Read],
        scores: Mapping[tuple[int, int], float] | None = None,
        attributes: Mapping[int, Mapping[str, str]] | None = None,
    ) -> Labels:
        self._check_number(len(names))
        known = {i: printable(name or "")[:LONGEST_NAME] or f"Object {i}" for i, name in names.items()}
        return Labels(known, masks, scores or {}, self._where, attributes or {})

    def _check_number(self, objects: int) -> None:
        if objects > MAX_OBJECTS:
            raise DatasetError(f"has more than {MAX_OBJECTS} objects; import it in parts")

    def _check_masks(self, masks: int) -> None:
        if masks > MAX_MASKS:
            raise DatasetError(f"has more than {MAX_MASKS} masks; import it in parts")

    def _checked(self, read: Read) -> IndexMask:
        mask = read()
        if mask.shape != self._size:
            shape, film = (f"{width}x{height}" for height, width in (mask.shape, self._size))
            raise DatasetError(f"{self._where}: a mask is {shape}, the film {film}")
        return mask

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
                self._check_number(len(classes))
            elif key == "videos" and place >= 0:
                videos.add(value["id"])
                if len(videos) > 1:
                    raise DatasetError("it is of several videos; give a file of this one alone")
            elif key == "images" and place >= 0:
                images[str(value.get("file_name", value["id"]))] = value["id"]
                if len(images) > self._count:
                    raise DatasetError(f"it has more pictures than the film has frames, {self._count}")
        if not annotated:
            raise DatasetError("has no annotations")
        found = (item for key, place, item in self._entries(text, path) if (key, place >= 0) == _ANNOTATION)
        named = ((item, classes.get(item["category_id"])) for item in found)
        return self._tracks(named) if videos else self._coco(images, named)

    def _entries(self, text: str, path: Path) -> Iterator[tuple[str, int, Any]]:
        """Key, place in its list and value of each entry, see :func:`segue.datasets.json_files.entries`."""
        for number, (key, place, _, value) in enumerate(entries(text, path, longest=MAX_ENTRY)):
            self._limit.check()
            if number > MAX_ENTRIES:
                raise DatasetError(f"has more than {MAX_ENTRIES} entries; import it in parts")
            yield key, place, value

    def _tracks(self, items: Iterable[tuple[dict[str, Any], str | None]]) -> Labels:
        planes: dict[int, Planes] = defaultdict(list)
        scores: dict[tuple[int, int], float] = {}
        names: dict[int, str | None] = {}
        attributes: dict[int, dict[str, str]] = {}
        for number, (item, name) in enumerate(items, 1):
            self._check_number(number)
            names[number] = name
            _add_attributes(attributes, number, item.get("attributes"))
            segmentations = item["segmentations"]
            if len(segmentations) > self._count:
                raise DatasetError(f"it has {len(segmentations)} frames, the film {self._count}")
            track = RleTrack.parse(segmentations, self._size)
            score = _score(item)
            self._check_masks(len(scores))
            for t in np.flatnonzero(track.areas).tolist():
                planes[t].append((number, partial(track.decode, t)))
                scores[t, number] = score
        return self._of_planes(names, planes, scores, attributes)

    def _coco(self, images: Mapping[str, Any], items: Iterable[tuple[dict[str, Any], str | None]]) -> Labels:
        ordered = dict(sorted(images.items(), key=lambda image: natural_key(image[0])))
        order = self._numbered(ordered)
        frames = dict(zip(ordered.values(), order, strict=True))
        planes: dict[int, Planes] = defaultdict(list)
        names: dict[int, str | None] = {}
        numbers: dict[Any, int] = {}
        scores: dict[tuple[int, int], float] = {}
        attributes: dict[int, dict[str, str]] = {}
        for taken, (item, name) in enumerate(items):
            self._check_masks(taken)
            number = numbers.setdefault(item.get("track_id", ("alone", item["id"])), len(numbers) + 1)
            self._check_number(number)
            names.setdefault(number, name)
            _add_attributes(attributes, number, item.get("attributes"))
            index = frames[item["image_id"]]
            track = RleTrack.parse([item["segmentation"]], self._size)
            planes[index].append((number, partial(track.decode, 0)))
            scores[index, number] = _score(item)
        return self._of_planes(names, planes, scores, attributes)

    def read_cvat(self, path: Path) -> Labels:
        """Masks, polygons and boxes; polygons and boxes between two keyframes stay where they were last."""
        check_file(path, DatasetError, MAX_BYTES)
        planes: dict[int, Planes] = defaultdict(list)
        attributes: dict[int, dict[str, str]] = {}
        taken = 0

        def take(index: int, number: int, shape: RleTrack) -> None:
            nonlocal taken
            planes[index].append((number, partial(shape.decode, 0)))
            taken += 1
            self._check_masks(taken)

        def check(objects: int) -> None:
            self._limit.check()
            self._check_number(objects)

        tracks = CvatTracks(self._size, self._count, take, partial(_add_attributes, attributes), check)
        tracks.read(path)
        return self._of_planes(tracks.names, planes, None, attributes)

    def _of_planes(
        self,
        names: Mapping[int, str | None],
        planes: Mapping[int, Planes],
        scores: Mapping[tuple[int, int], float] | None = None,
        attributes: Mapping[int, Mapping[str, str]] | None = None,
    ) -> Labels:
        masks = {index: partial(_stacked, found, self._size) for index, found in planes.items()}
        return self._labels(names, masks, scores, attributes)


def _add_attributes(known: dict[int, dict[str, str]], number: int, given: Any) -> None:
    """Take texts, numbers and truth values that a file says of an object, as far as a project has room."""
    if not isinstance(given, dict):
        return
    for name, value in ((printable(name), value) for name, value in given.items()):
        own = known.setdefault(number, {})
        room = name in own or len(own) < MOST_ATTRIBUTES
        if room and 0 < len(name) <= LONGEST_NAME and isinstance(value, str | int | float):
            own[name] = printable(str(value))[:LONGEST_VALUE]


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


def _stacked(planes: Planes, size: tuple[int, int]) -> IndexMask:
    mask = np.zeros(size, np.uint16)
    for number, decode in planes:
        mask[decode()] = number
    return mask
