"""Write COCO and YouTube-VIS: annotations, results, and annotations with images."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np

from segue.entries.formats import SinkOptions
from segue.errors import SinkError
from segue.formats.base import FileSink, SpooledSink, Writer
from segue.formats.folders import FolderWriter
from segue.formats.frames import FrameObjects, Size, frame_name
from segue.formats.labels import Labels
from segue.masks import Rle, decode_rle, rle_area, rle_box
from segue.masks.measure import class_number
from segue.masks.outlines import coco_polygons
from segue.utils.version import __version__

INFO = {"description": "masks made with segue", "version": __version__}
"""The ``info`` of annotation files written by segue; their attributes belong to objects."""

SUBSET = "default"
"""Subset name of CVAT and datumaro for tasks with one subset."""


class RecordsSink(FileSink):
    """Writes a result file of YouTube-VIS from entries that are computed after the last frame.

    Args:
        path: file to write, ending in ``.json``.
        records: computes the entries, after the last frame.
    """

    def __init__(self, path: str | Path, records: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(path)
        self._records = records

    def add(self, objects: FrameObjects) -> None:
        pass

    def _complete(self) -> None:
        self._file.path.write_text(json.dumps(self._records()), "utf-8")


Flavour = Literal["coco", "ytvis"]

Attributes = Mapping[int, Mapping[str, str]] | Callable[[int, int], Mapping[str, Any]]


class CocoSink(SpooledSink):
    """Writes the run lengths of every object as JSON.

    "coco" is an annotation file: ``info``, ``licenses`` (none is known), ``images`` (one a frame),
    ``annotations`` (one a visible object and frame, from below, with ``score``, and the object's id as
    ``track_id``) and ``categories``. "ytvis" is a result file of
    YouTube-VIS: a list with one entry an object, ``video_id``, ``category_id`` (its last one), ``score``
    (mean over the frames where the object is visible) and ``segmentations`` with one run length or null for
    every frame; beside these fields its ``id``, and ``frames``, the indices, if they are not counted from 0.

    Args:
        path: file to write, ending in ``.json``.
        flavour: "coco" or "ytvis".
        size: height and width of the masks; None keeps the size of each mask.
        names: file name of the image by frame index; the frames of a video have none.
        video_id: number of the video.
        categories: category number by label; other labels get the next free numbers as they come. An
            object without label is an "object".
        attributes: attributes by object and name, or a function of frame and object; "coco" writes them to
            each annotation of the object, as CVAT does.
        polygons: "coco" writes outlines in place of run lengths, for tools that know polygons alone.
        objects: further data of each object, with its ``id``; "coco" writes it as ``objects``.
        label_schema: classes and attributes that objects may have; "coco" writes it as ``label_schema``.
        whole: write the whole mask of each object, which may overlap others; else its visible part.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        flavour: Flavour = "coco",
        size: Size = None,
        names: Sequence[str] | None = None,
        video_id: int = 1,
        categories: Mapping[str, int] | None = None,
        attributes: Attributes | None = None,
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

    def add(self, objects: FrameObjects) -> None:
        lengths = objects.lengths
        visible = [item for item in objects.objects if item.id in lengths]
        for item in sorted(visible, key=lambda item: item.id):  # in whatever order they lie on one another
            self._category(item.label)
        rows = [
            (item.id, self._category(item.label), item.score, lengths[item.id], self._about(objects, item.id))
            for item in visible
        ]
        self._append_entry(json.dumps((objects.index, objects.time, objects.size, rows)).encode())

    def _about(self, objects: FrameObjects, number: int) -> Mapping[str, Any]:
        """Attributes of an object on a frame."""
        return {**self._attributes_at(objects.index, number), **objects.attributes.get(number, {})}

    def _complete(self) -> None:
        with self._file.path.open("w", encoding="utf-8") as stream:
            if self._flavour == "ytvis":
                json.dump(self._tracks(), stream)
                return
            stream.write(f'{{"info": {json.dumps(INFO)}, "licenses": [], "images": [')
            _write_items(stream, self._images())
            stream.write('], "annotations": [')
            _write_items(stream, self._annotations())
            stream.write('], "categories": [')
            _write_items(stream, ({"id": number, "name": name} for name, number in self._categories.items()))
            if self._objects:
                stream.write('], "objects": [')
                _write_items(stream, (dict(item) for item in self._objects))
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
        for index, time, (height, width), _ in self._frames():
            yield {
                "id": index + 1,
                "file_name": _file_name(self._names, index),
                "height": height,
                "width": width,
                "video_id": self._video_id,
                "frame_index": index,
                "time": time,
            }

    def _annotations(self) -> Iterator[dict[str, Any]]:
        numbers = itertools.count(1)
        for index, _, _, objects in self._frames():
            for track, category, score, rle, about in objects:
                box = rle_box(rle)
                if box is not None:
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
                        **({"attributes": about} if about else {}),
                    }

    def _tracks(self) -> list[dict[str, Any]]:
        tracks: dict[int, list[Any]] = {}
        categories: dict[int, int] = {}
        scores: dict[int, list[float]] = {}
        frames: list[int] = []
        for length, (index, *_, objects) in enumerate(self._frames(), start=1):
            frames.append(index)
            for number, category, score, rle, _ in objects:
                categories[number] = category  # the class may become clear only late
                lengths = tracks.setdefault(number, [])
                lengths.extend([None] * (length - 1 - len(lengths)))
                if rle_area(rle):
                    lengths.append(rle)
                    scores.setdefault(number, []).append(score)
        length = len(frames)
        of_frames = {} if frames == [*range(length)] else {"frames": frames}
        return [
            {
                "id": number,
                "video_id": self._video_id,
                "category_id": categories[number],
                "score": float(np.mean(scores.get(number, 0.0))),
                "segmentations": lengths + [None] * (length - len(lengths)),
                **of_frames,
            }
            for number, lengths in sorted(tracks.items())
        ]


class YtvisWriter(FileSink):
    """Writes an annotation file of YouTube-VIS, with object names as categories.

    Args:
        path: file to write, ending in ``.json``.
        labels: the objects.
        names: file name of each frame.
        span: frames that are written.
        video: name of the video.
    """

    def __init__(
        self, path: Path, labels: Labels, names: Sequence[str] | None, span: range, video: str
    ) -> None:
        super().__init__(path)
        self._labels, self._span = labels, span
        self._names = [f"{video}/{_file_name(names, index)}" for index in span]
        self._tracks: dict[int, list[Rle | None]] = {i: [None] * len(span) for i in labels.names}

    def add(self, objects: FrameObjects) -> None:
        for number, lengths in objects.lengths.items():
            self._tracks[number][objects.index - self._span.start] = lengths

    def _complete(self) -> None:
        labels, categories = self._labels, self._labels.categories()
        annotations = []
        for i, lengths in self._tracks.items():
            entry = track_entry(i, 1, categories[labels.names[i]], lengths, labels.size)
            about = labels.attributes.get(i)
            annotations.append({**entry, "attributes": about} if about else entry)
        content = {
            "info": INFO,
            "licenses": [],
            "videos": [video_entry(1, self._names, labels.size)],
            "categories": [
                {"id": n, "name": name, "supercategory": "object"} for name, n in categories.items()
            ],
            "annotations": annotations,
            "objects": [*labels.objects],
        }
        self._file.path.write_bytes(json.dumps(content).encode())


def _file_name(names: Sequence[str] | None, index: int) -> str:
    """File name of a frame, generated for video files."""
    return names[index] if names is not None and index < len(names) else f"{index:05d}.jpg"


class _JpegNames(Sequence[str]):
    """Image names of any number of frames."""

    def __init__(self, names: Sequence[str] | None) -> None:
        self._names = names

    def __len__(self) -> int:
        return 1 << 60

    def __getitem__(self, index: Any) -> Any:
        return f"{frame_name(self._names, index)}.jpg"


class CocoImagesWriter(FolderWriter):
    """Writes a COCO annotation file and its images, in the layout of CVAT and datumaro."""

    def __init__(self, folder: Path, run: SinkOptions) -> None:
        own_files = rf"annotations/instances_{SUBSET}\.json|images/{SUBSET}/[^/]+\.jpg"
        super().__init__(folder, own_files, marks=run.labels is None)
        self._names, self._size, self._whole_masks = run.names, run.source_size, run.whole
        self._images = self.subfolder("images", SUBSET)
        file = self.subfolder("annotations") / f"instances_{SUBSET}.json"
        self._coco = open_coco(file, run, _JpegNames(run.names))

    def add(self, objects: FrameObjects) -> None:
        self.put(self._images / f"{frame_name(self._names, objects.index)}.jpg", objects.jpeg())
        self._coco.add(objects)

    def _complete(self) -> None:
        self._coco.close()

    def abort(self) -> None:
        self._coco.abort()
        super().abort()


def _write_items(stream: IO[str], items: Iterator[dict[str, Any]]) -> None:
    """Write the items of a JSON array, one per line."""
    for position, item in enumerate(items):
        stream.write((",\n" if position else "\n") + json.dumps(item))


def video_entry(number: int, names: Sequence[str], size: tuple[int, int]) -> dict[str, Any]:
    """Create the entry of a video for an annotation file."""
    height, width = size
    return {
        "id": number,
        "width": width,
        "height": height,
        "length": len(names),
        "file_names": [*names],
    }


def track_entry(
    number: int, video: int, category: int, lengths: Sequence[Rle | None], size: tuple[int, int]
) -> dict[str, Any]:
    """Create the annotation of an object from its run lengths, or None, per frame."""
    height, width = size
    boxes = [rle and rle_box(rle) for rle in lengths]
    return {
        "id": number,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "width": width,
        "height": height,
        "length": len(lengths),
        "segmentations": [*lengths],
        "areas": [rle and rle_area(rle) for rle in lengths],
        "bboxes": [box and [box[0], box[1], box[2] - box[0], box[3] - box[1]] for box in boxes],
    }


def open_coco(
    path: Path, run: SinkOptions, names: Sequence[str] | None = None, *, polygons: bool = False
) -> CocoSink:
    """Open the writer of COCO for a run or an export."""
    labels, names = run.labels, run.images if names is None else names
    if labels is None:
        about: dict[str, Any] = {"categories": run.categories}
    else:
        # The numbers of a schema's classes are the same for all videos.
        about = {"categories": labels.categories() if labels.schema.classes else None}
        about |= {"objects": labels.objects, "label_schema": labels.schema.as_json()}
    return CocoSink(path, size=run.source_size, names=names, whole=run.whole, polygons=polygons, **about)


def open_ytvis(path: Path, run: SinkOptions) -> Writer:
    """Open a writer of YouTube-VIS: annotations of an export, results of a run."""
    if run.labels is not None:
        return YtvisWriter(path, run.labels, run.images, run.span or range(run.count or 0), run.source)
    if run.records is not None:
        return RecordsSink(path, run.records)
    return CocoSink(
        path,
        size=run.source_size,
        names=run.names,
        categories=run.categories,
        whole=run.whole,
        flavour="ytvis",
    )
