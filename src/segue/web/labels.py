"""Masks that other programs made: folders and archives of PNG, COCO, YouTube-VIS and CVAT for video 1.1."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError, SegueError
from segue.masks import measure, read_index_mask, read_stored_mask
from segue.masks.tracks import RleTrack
from segue.naming import natural_key
from segue.types import IndexMask
from segue.video.mask_folder import read_records
from segue.web.film import number_in

MAX_MASK_BYTES = 64 << 20
"""Largest mask file in an archive, unpacked."""


WRITTEN = ("masks", "cdnet", "ytvis.json", "coco.json")
"""What the commands of segue write into the folder of a film, in the order in which it is looked for."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Objects and masks, read one frame at a time.

    Attributes:
        names: name by object id.
        masks: gives the index mask of a frame, (H, W), by frame index.
        scores: score by frame and object, where there is one.
    """

    names: Mapping[int, str]
    masks: Mapping[int, Callable[[], IndexMask]]
    scores: Mapping[tuple[int, int], float] = field(default_factory=dict)

    def frames(self) -> Iterator[tuple[int, IndexMask]]:
        """Index and mask of every frame that has one, in order."""
        for index in sorted(self.masks):
            yield index, self.masks[index]()

    def score(self, frame: int, number: int) -> float:
        """Score of an object on a frame; 1 where none was given."""
        return self.scores.get((frame, number), 1.0)


def read_labels(
    path: Path,
    size: tuple[int, int],
    count: int,
    name: str | None = None,
    numbers: Mapping[int, int] | None = None,
) -> Labels:
    """Read whatever it is: a folder, an archive or a picture of masks, a JSON or an XML file.

    Args:
        path: file or folder.
        size: height and width of the film.
        count: frames of the film.
        name: what to call the file in messages.
        numbers: frame index by the number in the names of the film's pictures, which masks may bear too.
    """
    where = name or str(path)
    film = _Frames(count, numbers or {})
    try:
        if path.is_dir():
            inner = next((path / name for name in WRITTEN if (path / name).exists()), path)
            if inner.is_file():
                return read_labels(inner, size, count, where, numbers)
            return _read_folder(inner, size, film, where)
        kind = path.suffix.lower()
        if kind == ".zip":
            return _read_zip(path, size, film, where)
        if kind == ".png":
            return _of_files({0: lambda: read_index_mask(path)}, size, where)
        if kind == ".xml":
            return _read_cvat(path.read_bytes(), size, count)
        if kind == ".json":
            return _read_json(json.loads(path.read_bytes()), size, film)
    except SegueError as error:
        raise SegueError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from None
    except (
        OSError,
        ValueError,
        RecursionError,
        zipfile.BadZipFile,
        expat.ExpatError,
        KeyError,
        TypeError,
    ) as error:
        raise SegueError(f"{where}: cannot be read ({type(error).__name__}: {error})") from None
    raise SegueError(
        f"{where}: give a folder or .zip of PNG masks, a .png, a COCO or YouTube-VIS .json, or a CVAT .xml"
    )


@dataclass(frozen=True, slots=True)
class _Frames:
    """How many frames a film has, and the numbers of its pictures: see :func:`read_labels`."""

    count: int
    numbers: Mapping[int, int]


def _read_folder(folder: Path, size: tuple[int, int], film: _Frames, where: str) -> Labels:
    records = read_records(folder)
    if records:
        readers = {i: _reader(folder / record.file) for i, record in records.items() if i < film.count}
        names = {item.id: item.label for record in records.values() for item in record.objects}
        scores = {(i, item.id): item.score for i, record in records.items() for item in record.objects}
        return _of_files(readers, size, where, names, scores)
    files = sorted(
        (path for path in folder.iterdir() if path.suffix.lower() == ".png"),
        key=lambda p: natural_key(p.name),
    )
    if not files:
        raise DatasetError("there are no PNG masks")
    return _of_files(_numbered({path.stem: _reader(path) for path in files}, film), size, where)


def _reader(path: Path) -> Callable[[], IndexMask]:
    return lambda: read_index_mask(path)


def _read_zip(path: Path, size: tuple[int, int], film: _Frames, where: str) -> Labels:
    archive = zipfile.ZipFile(path)
    members = [
        item for item in archive.infolist() if item.filename.lower().endswith(".png") and not item.is_dir()
    ]
    if not members:
        raise DatasetError("there are no PNG masks in the archive")
    if any(item.file_size > MAX_MASK_BYTES for item in members):
        raise DatasetError(f"a mask is larger than {MAX_MASK_BYTES >> 20} MiB")
    members.sort(key=lambda item: natural_key(item.filename))

    def reader(item: zipfile.ZipInfo) -> Callable[[], IndexMask]:
        def read() -> IndexMask:
            with archive.open(item) as file:
                return _png(file.read(MAX_MASK_BYTES + 1), item.filename)

        return read

    return _of_files(_numbered({item.filename: reader(item) for item in members}, film), size, where)


def _png(data: bytes, name: str) -> IndexMask:
    """As :func:`segue.masks.read_index_mask`, for a file in an archive: 0 and 255 alone mean one object."""
    values = read_stored_mask(io.BytesIO(data), name)
    return values if set(np.unique(values)) - {0, 255} else (values > 0).astype(np.uint8)


def _numbered(named: dict[str, Callable[[], IndexMask]], film: _Frames) -> dict[int, Callable[[], IndexMask]]:
    """Frame index of each file: by order if there is one for every frame, else by the number in its name.

    That is the number of a picture of the film, where these have numbers, else the index itself.
    """
    if len(named) == film.count:
        return dict(enumerate(named.values()))
    known = film.numbers or {index: index for index in range(film.count)}
    numbered = {}
    for name, read in named.items():
        number = number_in(PurePosixPath(name).stem)
        index = None if number is None else known.get(number)
        if index is None:
            raise DatasetError(
                f"{name} names no frame of the film, which has {film.count}; the masks are {len(named)}"
            )
        if index in numbered:
            raise DatasetError(f"{name} is a second mask of frame {index}")
        numbered[index] = read
    return numbered


def _of_files(
    masks: Mapping[int, Callable[[], IndexMask]],
    size: tuple[int, int],
    where: str,
    names: Mapping[int, str | None] | None = None,
    scores: Mapping[tuple[int, int], float] | None = None,
) -> Labels:
    """Labels of mask files; where no record names the objects, all files are looked through for them."""

    def checked(read: Callable[[], IndexMask]) -> Callable[[], IndexMask]:
        def load() -> IndexMask:
            mask = read()
            if mask.shape != size:
                raise DatasetError(
                    f"{where}: a mask is {mask.shape[1]}x{mask.shape[0]}, the film {size[1]}x{size[0]}"
                )
            return mask

        return load

    readers = {index: checked(read) for index, read in masks.items()}
    if not names:
        names = dict.fromkeys(sorted({i for read in readers.values() for i in measure(read())}))
    return Labels({i: name or f"Object {i}" for i, name in names.items()}, readers, scores or {})


def _read_json(content: Any, size: tuple[int, int], film: _Frames) -> Labels:
    count = film.count
    if isinstance(content, list):  # results of YouTube-VIS
        entries = [{**item, "name": f"class {item['category_id']}"} for item in content]
        return _of_tracks(entries, size, count)
    names = {item["id"]: str(item["name"]) for item in content.get("categories", ())}
    if "videos" in content:
        videos = {item["id"]: item for item in content["videos"]}
        if len(videos) != 1:
            raise DatasetError(f"it is of {len(videos)} videos; give a file of this one alone")
        return _of_tracks(
            [{**item, "name": names.get(item["category_id"])} for item in content["annotations"]], size, count
        )
    return _read_coco(content, names, size, film)


def _of_tracks(entries: list[dict[str, Any]], size: tuple[int, int], count: int) -> Labels:
    tracks: dict[int, RleTrack] = {}
    names, scores = {}, {}
    for number, item in enumerate(entries, 1):
        segmentations = item["segmentations"]
        if len(segmentations) > count:
            raise DatasetError(f"it has {len(segmentations)} frames, the film {count}")
        tracks[number] = RleTrack.parse(segmentations, size)
        names[number] = item["name"] or f"Object {number}"
        for t in np.flatnonzero(tracks[number].areas).tolist():
            scores[t, number] = float(item.get("score", 1.0))

    def reader(t: int) -> Callable[[], IndexMask]:
        return lambda: _stacked(((i, track.decode(t)) for i, track in tracks.items() if t < len(track)), size)

    longest = max(map(len, tracks.values()), default=0)
    return Labels(names, {t: reader(t) for t in range(longest)}, scores)


def _read_coco(content: Any, names: dict[int, str], size: tuple[int, int], film: _Frames) -> Labels:
    images = sorted(content["images"], key=lambda item: natural_key(str(item.get("file_name", item["id"]))))
    order = _numbered({str(item.get("file_name", item["id"])): _nothing for item in images}, film)
    frames = {item["id"]: index for item, index in zip(images, order, strict=True)}
    found: dict[int, list[tuple[int, RleTrack]]] = {}
    labels: dict[int, str] = {}
    numbers: dict[Any, int] = {}
    scores = {}
    for item in content["annotations"]:
        key = item.get("track_id", ("alone", item["id"]))
        number = numbers.setdefault(key, len(numbers) + 1)
        labels.setdefault(number, names.get(item["category_id"]) or f"Object {number}")
        index = frames[item["image_id"]]
        found.setdefault(index, []).append((number, RleTrack.parse([item["segmentation"]], size)))
        scores[index, number] = float(item.get("score", 1.0))

    def reader(index: int) -> Callable[[], IndexMask]:
        return lambda: _stacked(((number, track.decode(0)) for number, track in found[index]), size)

    return Labels(labels, {index: reader(index) for index in found}, scores)


def _nothing() -> IndexMask:
    raise AssertionError("only the order is wanted")


def _stacked(planes: Iterator[tuple[int, npt.NDArray[np.bool_]]], size: tuple[int, int]) -> IndexMask:
    mask = np.zeros(size, np.uint16)
    for number, plane in planes:
        mask[plane] = number
    return mask


def _read_cvat(data: bytes, size: tuple[int, int], count: int) -> Labels:
    """Masks, polygons and boxes; polygons and boxes between two keyframes stay where they were last."""
    shapes: dict[int, list[tuple[int, str, dict[str, str]]]] = {}
    names: dict[int, str] = {}
    numbers: dict[Any, int] = {}
    current: list[int] = [0]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "track":
            key = attributes.get("group_id") or ("track", attributes["id"])
            current[0] = numbers.setdefault(key, len(numbers) + 1)
            names.setdefault(current[0], attributes["label"])
        elif tag in ("mask", "polygon", "box") and attributes.get("outside") != "1":
            index = int(attributes["frame"])
            if not 0 <= index < count:
                raise DatasetError(f"frame {index} is none of the film, which has {count}")
            shapes.setdefault(index, []).append((current[0], tag, attributes))

    def no_entities(*_: Any) -> None:
        raise DatasetError("it declares entities, which no annotation needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = start, no_entities
    parser.Parse(data, True)

    def reader(index: int) -> Callable[[], IndexMask]:
        return lambda: _stacked(
            ((number, _shape(tag, given, size)) for number, tag, given in shapes[index]), size
        )

    return Labels(names, {index: reader(index) for index in shapes})


def _shape(tag: str, given: dict[str, str], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    if tag == "mask":
        left, top, width, height = (int(float(given[key])) for key in ("left", "top", "width", "height"))
        plane = np.zeros(size, np.bool_)
        if min(left, top, width, height) < 0 or left + width > size[1] or top + height > size[0]:
            raise DatasetError("a mask lies outside the film")
        runs = np.array(given["rle"].split(","), np.int64)
        if (runs < 0).any() or runs.sum() != width * height:
            raise DatasetError("the run lengths of a mask do not add up to its size")
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        plane[top : top + height, left : left + width] = values.reshape(height, width)
        return plane
    if tag == "box":
        x0, y0, x1, y1 = (float(given[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        corners = [x0, y0, x1, y0, x1, y1, x0, y1]
    else:
        corners = [float(value) for pair in given["points"].split(";") for value in pair.split(",")]
    return RleTrack.parse([[corners]], size).decode(0)
