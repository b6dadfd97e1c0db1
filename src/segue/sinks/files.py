"""Results in one file: numpy archive, run lengths in JSON."""

from __future__ import annotations

import itertools
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from segue.conversions.composing import class_number
from segue.errors import SinkError
from segue.masks import Rle, decode_rle, encode_objects, encode_rle, rle_area, rle_box
from segue.masks.outlines import coco_polygons
from segue.sinks.base import FileSink, Size, known_size, sized_mask, sized_masks
from segue.types import Frame, Segmentation
from segue.utils.files import writing
from segue.utils.version import __version__

_LENGTH = struct.Struct("<Q")


class SpooledSink(FileSink):
    """A sink whose results wait in a file until all are known: memory stays flat for long videos."""

    def __init__(self, path: str | Path, size: Size) -> None:
        path = Path(path)
        super().__init__(path, size)
        try:
            with writing(path):
                # Nameless: it is gone when the process is, however that ends.
                self._spool = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
        except SinkError:
            self._file.discard()
            raise

    def _append_entry(self, entry: bytes) -> None:
        with writing(self._file.final):
            self._spool.write(_LENGTH.pack(len(entry)) + entry)

    def _entries(self) -> Iterator[bytes]:
        """All items in order; none may be added meanwhile."""
        self._spool.seek(0)
        while header := self._spool.read(_LENGTH.size):
            yield self._spool.read(_LENGTH.unpack(header)[0])

    def _release(self) -> None:
        with suppress(OSError):  # nobody reads it any more
            self._spool.close()


class NpzSink(SpooledSink):
    """Writes ``masks`` (T, H, W), ``frames`` (T,), ``times`` (T,) and ``ids`` (K,) for :func:`numpy.load`.

    ``masks`` is uint8, or uint16 if an id is beyond 255; ``frames`` are indices in the source, int64;
    ``times`` are seconds, float64; ``ids`` are all ids that were followed, sorted. The masks wait compressed
    on disk, never all of them in memory.

    Args:
        path: file to write, ending in ``.npz``.
        size: height and width of the masks; None keeps the size of the first one.
    """

    def __init__(self, path: str | Path, *, size: Size = None) -> None:
        super().__init__(path, size)
        self._frames: list[int] = []
        self._times: list[float] = []
        self._ids: set[int] = set()
        self._dtype: npt.DTypeLike = np.uint8

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        mask = sized_mask(segmentation, self._size).astype("<u2")
        self._size = mask.shape
        if mask.max(initial=0) > 255:
            self._dtype = np.uint16
        self._append_entry(zlib.compress(mask.tobytes(), 1))
        self._frames.append(segmentation.index)
        self._times.append(segmentation.time)
        self._ids.update(segmentation.ids)

    def _complete(self) -> None:
        header: dict[str, Any] = {
            "shape": (len(self._frames), *(known_size(self._size) or (0, 0))),
            "fortran_order": False,
            "descr": np.lib.format.dtype_to_descr(np.dtype(self._dtype)),
        }
        arrays = {
            "frames": np.array(self._frames, np.int64),
            "times": np.array(self._times, np.float64),
            "ids": np.array(sorted(self._ids), np.int64),
        }
        with zipfile.ZipFile(self._file.path, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open(_member("masks"), "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for data in self._entries():
                    mask = np.frombuffer(zlib.decompress(data), "<u2")
                    stream.write(mask.astype(self._dtype).tobytes())
            for name, values in arrays.items():
                with archive.open(_member(name), "w") as stream:
                    np.lib.format.write_array(stream, values, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    """An archive member without the time of writing, so that equal results are equal files."""
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


class RecordsSink(FileSink):
    """Writes entries of a result file of YouTube-VIS that are known apart from the results.

    Args:
        path: file to write, ending in ``.json``.
        records: gives the entries, once all results are there.
    """

    def __init__(self, path: str | Path, records: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(path)
        self._records = records

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        pass

    def _release(self) -> None:
        pass

    def _complete(self) -> None:
        self._file.path.write_text(json.dumps(self._records()), "utf-8")


Flavour = Literal["coco", "ytvis"]


class CocoSink(SpooledSink):
    """Writes run lengths of every object as JSON.

    "coco" is an annotation file: ``info``, ``licenses`` (none is known), ``images`` (one a frame),
    ``annotations`` (one a visible object and frame, with ``score``, and the object's id as ``track_id``) and
    ``categories``. "ytvis" is a result file of
    YouTube-VIS: a list with one entry an object, ``video_id``, ``category_id`` (its last one), ``score``
    (mean over the frames where the object is visible) and ``segmentations`` with one run length or null for
    every frame.

    Args:
        path: file to write, ending in ``.json``.
        flavour: "coco" or "ytvis".
        size: height and width of the masks; None keeps the size of each mask.
        names: file name of the image by frame index; the frames of a video have none.
        video_id: number of the video.
        categories: category number by label; other labels get the next free numbers as they come. An
            object without label is an "object".
        attributes: by object and name, or what gives those of a frame and an object; "coco" writes them to
            each annotation of the object, as CVAT does.
        polygons: "coco" writes outlines in place of run lengths, for tools that know polygons alone.
        objects: what else is known of each object, with its ``id``; "coco" writes it as ``objects``.
        label_schema: classes and attributes that objects may have; "coco" writes it as ``label_schema``.
        whole: write the whole mask of each object, which may overlap others; else what is visible of it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        flavour: Flavour = "coco",
        size: Size = None,
        names: tuple[str, ...] | None = None,
        video_id: int = 1,
        categories: Mapping[str, int] | None = None,
        attributes: Mapping[int, Mapping[str, str]] | Callable[[int, int], Mapping[str, Any]] | None = None,
        objects: Sequence[Mapping[str, Any]] = (),
        label_schema: Mapping[str, Any] | None = None,
        polygons: bool = False,
        whole: bool = False,
    ) -> None:
        if flavour not in get_args(Flavour):
            raise SinkError(f"flavour {flavour!r}: choose one of {', '.join(get_args(Flavour))}")
        super().__init__(path, size)
        self._flavour = flavour
        self._names = names
        self._video_id = video_id
        self._categories = dict(categories or {})
        by_id = {} if attributes is None or callable(attributes) else attributes
        self._attributes_at = attributes if callable(attributes) else lambda _, number: by_id.get(number, {})
        self._objects = objects
        self._label_schema = label_schema
        self._polygons = polygons
        self._whole_masks = whole

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        if self._whole_masks:
            lengths = {number: encode_rle(plane) for number, plane in sized_masks(segmentation, self._size)}
            size = known_size(self._size) or segmentation.mask.shape
        else:
            mask = sized_mask(segmentation, self._size)
            lengths, size = encode_objects(mask, segmentation.ids), mask.shape
        self.write_lengths(segmentation, lengths, size)

    def write_lengths(
        self, segmentation: Segmentation, lengths: Mapping[int, Rle], size: tuple[int, ...]
    ) -> None:
        """Write a frame whose objects may overlap.

        Args:
            segmentation: the result, whose own mask is not written.
            lengths: run lengths by id.
            size: height and width of the masks in pixels.
        """
        objects = [
            (item.id, self._category(item.label), item.score, lengths[item.id])
            for item in segmentation.objects
            if item.id in lengths
        ]
        entry = (segmentation.index, segmentation.time, size, objects)
        self._append_entry(json.dumps(entry).encode())

    def _complete(self) -> None:
        with self._file.path.open("w", encoding="utf-8") as stream:
            if self._flavour == "ytvis":
                json.dump(self._tracks(), stream)
                return
            stream.write(f'{{"info": {json.dumps(info())}, "licenses": [], "images": [')
            write_items(stream, self._images())
            stream.write('], "annotations": [')
            write_items(stream, self._annotations())
            stream.write('], "categories": [')
            write_items(stream, ({"id": number, "name": name} for name, number in self._categories.items()))
            if self._objects:
                stream.write('], "objects": [')
                write_items(stream, (dict(item) for item in self._objects))
            stream.write("]")
            if self._label_schema:
                stream.write(f', "label_schema": {json.dumps(self._label_schema)}')
            stream.write("}")

    def _category(self, label: str | None) -> int:
        return class_number("object" if label is None else label, self._categories)

    def _frames(self) -> Iterator[tuple[int, float, tuple[int, int], list[Any]]]:
        """Index, time, size and objects of each frame."""
        return map(json.loads, self._entries())

    def _images(self) -> Iterator[dict[str, Any]]:
        names = self._names or ()
        for index, time, (height, width), _ in self._frames():
            yield {
                "id": index + 1,
                **({"file_name": names[index]} if index < len(names) else {}),
                "height": height,
                "width": width,
                "video_id": self._video_id,
                "frame_index": index,
                "time": time,
            }

    def _annotations(self) -> Iterator[dict[str, Any]]:
        numbers = itertools.count(1)
        for index, _, _, objects in self._frames():
            for track, category, score, rle in objects:
                box = rle_box(rle)
                if box is not None:
                    about = self._attributes_at(index, track)
                    yield {
                        "id": next(numbers),
                        "image_id": index + 1,
                        "track_id": track,
                        "category_id": category,
                        "segmentation": coco_polygons(decode_rle(rle)) if self._polygons else rle,
                        "area": rle_area(rle),
                        "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                        "iscrowd": 0,
                        "score": score,
                        **({"attributes": dict(about)} if about else {}),
                    }

    def _tracks(self) -> list[dict[str, Any]]:
        tracks: dict[int, list[Any]] = {}
        categories: dict[int, int] = {}
        scores: dict[int, list[float]] = {}
        length = 0
        for length, (*_, objects) in enumerate(self._frames(), start=1):
            for number, category, score, rle in objects:
                categories[number] = category  # the class may become clear only late
                lengths = tracks.setdefault(number, [])
                lengths.extend([None] * (length - 1 - len(lengths)))
                if rle_area(rle):
                    lengths.append(rle)
                    scores.setdefault(number, []).append(score)
        return [
            {
                "video_id": self._video_id,
                "category_id": categories[number],
                "score": float(np.mean(scores.get(number, 0.0))),
                "segmentations": lengths + [None] * (length - len(lengths)),
            }
            for number, lengths in sorted(tracks.items())
        ]


def info() -> dict[str, str]:
    """The ``info`` of an annotation file of COCO: the same for the same masks."""
    return {"description": "masks made with segue", "version": __version__}


def write_items(stream: IO[str], items: Iterator[dict[str, Any]]) -> None:
    """Write the items of a JSON array, one a line."""
    for position, item in enumerate(items):
        stream.write((",\n" if position else "\n") + json.dumps(item))
