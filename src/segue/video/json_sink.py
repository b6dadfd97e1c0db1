"""Masks as run lengths in JSON: COCO annotations a frame, or YouTube-VIS results a track."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np

from segue.errors import SinkError
from segue.masks import encode_objects, rle_area, rle_box
from segue.types import Frame, Segmentation
from segue.video.array_sink import Spool
from segue.video.sinks import FileSink, frame_name, sized_mask

Flavour = Literal["coco", "ytvis"]


class CocoSink(FileSink):
    """Writes run lengths of every object as JSON.

    "coco" is an annotation file: ``images`` (one a frame), ``annotations`` (one a visible object and frame,
    with ``score``, and the object's id as ``track_id``) and ``categories``. "ytvis" is a result file of
    YouTube-VIS: a list with one entry an object, ``video_id``, ``category_id`` (its last one), ``score``
    (mean over the frames where the object is visible) and ``segmentations`` with one run length or null for
    every frame.

    Args:
        path: file to write, ending in ``.json``.
        flavour: "coco" or "ytvis".
        size: height and width of the masks; None keeps that of each mask.
        names: name of the picture by frame index, for ``file_name``; None takes ``00012``.
        video_id: number of the video.
        categories: category number by label; other labels get the next free numbers as they come. An
            object without label is an "object".
    """

    def __init__(
        self,
        path: Path,
        *,
        flavour: Flavour = "coco",
        size: tuple[int, int] | None = None,
        names: tuple[str, ...] | None = None,
        video_id: int = 1,
        categories: Mapping[str, int] | None = None,
    ) -> None:
        if flavour not in get_args(Flavour):
            raise SinkError(f"flavour {flavour!r}: choose one of {', '.join(get_args(Flavour))}")
        super().__init__(path, size)
        self._flavour = flavour
        self._names = names
        self._video_id = video_id
        self._categories = dict(categories or {})
        self._spool = Spool(path)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        mask = sized_mask(segmentation, self._size)
        lengths = encode_objects(mask, segmentation.ids)
        objects = [
            (item.id, self._category(item.label), item.score, lengths[item.id])
            for item in segmentation.objects
        ]
        entry = (segmentation.index, segmentation.time, mask.shape, objects)
        self._spool.append(json.dumps(entry).encode())

    def _complete(self) -> None:
        with self._file.path.open("w", encoding="utf-8") as stream:
            if self._flavour == "coco":
                self._write_coco(stream)
            else:
                json.dump(self._tracks(), stream)

    def _release(self) -> None:
        self._spool.close()

    def _category(self, label: str | None) -> int:
        name = "object" if label is None else label
        if name not in self._categories:
            self._categories[name] = max(self._categories.values(), default=0) + 1
        return self._categories[name]

    def _entries(self) -> Iterator[tuple[int, float, tuple[int, int], list[Any]]]:
        """Index, time, size and objects of each frame."""
        return (json.loads(data) for data in self._spool)

    def _write_coco(self, stream: IO[str]) -> None:
        categories = ({"id": number, "name": name} for name, number in self._categories.items())
        stream.write('{"images": [')
        _write_items(stream, self._images())
        stream.write('], "annotations": [')
        _write_items(stream, self._annotations())
        stream.write('], "categories": [')
        _write_items(stream, categories)
        stream.write("]}")

    def _images(self) -> Iterator[dict[str, Any]]:
        for index, time, (height, width), _ in self._entries():
            yield {
                "id": index + 1,
                "file_name": frame_name(self._names, index),
                "height": height,
                "width": width,
                "video_id": self._video_id,
                "frame_index": index,
                "time": time,
            }

    def _annotations(self) -> Iterator[dict[str, Any]]:
        numbers = itertools.count(1)
        for index, _, _, objects in self._entries():
            for track, category, score, rle in objects:
                box = rle_box(rle)
                if box is not None:
                    yield {
                        "id": next(numbers),
                        "image_id": index + 1,
                        "track_id": track,
                        "category_id": category,
                        "segmentation": rle,
                        "area": rle_area(rle),
                        "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                        "iscrowd": 0,
                        "score": score,
                    }

    def _tracks(self) -> list[dict[str, Any]]:
        tracks: dict[int, list[Any]] = {}
        categories: dict[int, int] = {}
        scores: dict[int, list[float]] = {}
        length = 0
        for length, (*_, objects) in enumerate(self._entries(), start=1):
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


def _write_items(stream: IO[str], items: Iterator[dict[str, Any]]) -> None:
    for position, item in enumerate(items):
        stream.write((",\n" if position else "\n") + json.dumps(item))
