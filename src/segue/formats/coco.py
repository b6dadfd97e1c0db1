"""Annotation and result files of COCO and YouTube-VIS, and records of SAM's mask generator."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, Literal, get_args

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import Field, TypeAdapter

from segue.entries import Format, Holds, SinkOptions
from segue.errors import DatasetError, SegueError, SinkError
from segue.formats.base import FileSink, SpooledSink, Writer
from segue.formats.files import DAMAGED, Files, json_entries
from segue.formats.folders import DATA_SETS, FolderWriter
from segue.formats.frames import FrameObjects, Size, frame_name
from segue.formats.labels import Frames, Labels, by_frame, check_images
from segue.formats.others import name_program
from segue.formats.schema import OCCLUDED, LabelSchema, schema_of
from segue.masks import Rle, decode_rle, rle_area, rle_box
from segue.masks.measure import Composed, class_number, composed
from segue.masks.outlines import coco_polygons
from segue.masks.shapes import Canvas
from segue.masks.tracks import RleTrack
from segue.utils.arrays import BoolArray
from segue.utils.naming import first_few, frame_stem, match_frames, natural_key
from segue.utils.version import __version__

OF_SHAPES = {"track_id", "rotation", "keyframe"}
"""Attributes in COCO files of CVAT that are of a shape, not of its object, which the first one names."""

INFO = {"description": "masks made with segue", "version": __version__}
"""The ``info`` of an annotation file of segue, all of whose attributes are of objects."""

SUBSET = "default"
"""Name that CVAT and datumaro give to the images of a task with one part."""

_SCORE = TypeAdapter(Annotated[float, Field(allow_inf_nan=False)])
_ANNOTATION = ("annotations", True)
_IDS = {"id", "image_id", "category_id", "video_id"}

Item = dict[str, Any]


@dataclass(slots=True)
class _Head:
    """What a file says beside its annotations."""

    classes: dict[Any, str] = field(default_factory=dict)
    colours: dict[Any, object] = field(default_factory=dict)
    images: dict[str, Item] = field(default_factory=dict)  # by name
    videos: dict[Any, Item] = field(default_factory=dict)
    objects: dict[Any, Item] = field(default_factory=dict)  # of segue: name, category, colour of a track
    other_images: set[Any] = field(default_factory=set)  # images of other videos
    annotated: bool = False
    of_tracks: bool = True  # whether an annotation is of a track, not of an image
    schema: LabelSchema = field(default_factory=LabelSchema)
    keys: set[str] = field(default_factory=set)
    is_own: bool = False  # whether segue wrote it
    ids_of_class: bool = False  # whether an image has one id in two classes, so that each has ids of its own
    _class_of: dict[tuple[Any, Any], Any] = field(default_factory=dict)  # by image and id

    def note_class(self, item: Item) -> None:
        """Note the class of an annotation with the id of an object."""
        track, category = _track_of(item), item.get("category_id")
        if track is not None and track not in self.objects:
            first = self._class_of.setdefault((item.get("image_id"), track), category)
            self.ids_of_class |= first != category

    def appearance(self, category: Any, track: Any) -> tuple[str | None, dict[str, object]]:
        """Name of an object, and its class and colour."""
        attributes = self.objects.get(track, {})
        name = self.classes.get(category)
        appearance: dict[str, object] = {"category": name, "colour": self.colours.get(category)}
        if name is None and category is not None:
            name = category if isinstance(category, str) else f"class {category}"
        if attributes:
            appearance = {key: attributes.get(key) or None for key in ("category", "colour")}
            name = attributes.get("name") or name
        return (name if isinstance(name, str) else None), appearance


def read_coco(labels: Labels, text: str, where: str, video: Frames) -> None:
    """Read an annotation file, or a list of results or records."""
    if text.lstrip()[:1] == "[":
        _read_list(labels, text, where, video)
        return
    head = _Head()
    # Twice through the text, for annotations may stand before what they refer to; only one is held.
    for key, place, value in json_entries(text, where):
        _take(head, key, place, _with_numbers(value))
    if not head.annotated:
        found_keys = first_few(sorted(head.keys)) or "nothing"
        raise DatasetError(f"has no annotations of COCO or YouTube-VIS, only {found_keys}")
    annotations = (
        _with_numbers(item)
        for key, place, item in json_entries(text, where)
        if (key, place >= 0) == _ANNOTATION
    )
    if head.videos and head.of_tracks:
        _read_tracks(labels, video, head, annotations)
    else:
        _choose_images(head, video)
        _read_images(labels, video, head, annotations)


def _with_numbers(item: Any) -> Any:
    """An entry whose ids are numbers where some programs write them as texts."""
    if isinstance(item, dict):
        for key in _IDS & item.keys():
            value = item[key]
            if (
                isinstance(value, str)
                and value.isascii()
                and value.isdecimal()
                and str(int(value[:18])) == value
            ):
                item[key] = int(value)
    return item


def _take(head: _Head, key: str, place: int, value: Any) -> None:
    head.keys.add(key)
    if (key, place >= 0) == _ANNOTATION:
        head.annotated = True
        head.of_tracks &= "image_id" not in value
        head.note_class(value)
    if key == "categories" and place >= 0:
        head.classes[value["id"]] = str(value["name"])
        head.colours[value["id"]] = value.get("color")
    elif key == "videos" and place >= 0:
        head.videos[value["id"]] = value
    elif key == "info" and isinstance(value, dict):
        head.is_own = value.get("description") == INFO["description"]
    elif key == "label_schema" and isinstance(value, dict):
        head.schema = schema_of(value, key)
    elif key == "objects" and place >= 0 and isinstance(value, dict):
        head.objects[value.get("id")] = value
    elif (key == "images" and place >= 0) or (key == "image" and isinstance(value, dict)):
        index = value.get("frame_index")  # in files of segue
        default_name = f"{index:05d}" if type(index) is int else value.get("id", value.get("image_id"))
        name = str(value.get("file_name", default_name))
        if head.images.setdefault(name, value) != value:
            raise DatasetError(f"two of its images are called {name}; export the video of one task")


def _choose_images(head: _Head, video: Frames) -> None:
    """Keep the images of this video, by the videos that the file lists, else by the folders of the images."""
    keep = {*head.images}
    if len(head.videos) > 1:
        video_id = _chosen_video(head, video)
        keep = {name for name, item in head.images.items() if item.get("video_id") == video_id}
    elif len(head.images) > video.count:
        video_name = getattr(video, "name", None)
        keep = {name for name in head.images if video_name in name.replace("\\", "/").split("/")[:-1]}
    check_images(len(keep or head.images), video)
    head.other_images = {item.get("id") for name, item in head.images.items() if keep and name not in keep}
    head.images = {
        name: item for name, item in head.images.items() if item.get("id") not in head.other_images
    }


def _read_list(labels: Labels, text: str, where: str, video: Frames) -> None:
    """Results of YouTube-VIS or COCO, or what SAM's mask generator gives of one image."""
    head = _Head()
    kinds: set[bool] = set()
    videos: set[Any] = set()
    for _, _, item in json_entries(text, where):
        kinds.add("segmentations" in item)
        head.note_class(item)
        videos.add(item.get("video_id") if "segmentations" in item else None)
        if "image_id" in item:
            head.images.setdefault(str(item["image_id"]), {"id": item["image_id"]})
    if len(kinds) > 1:
        raise DatasetError("mixes results of videos and of images")
    if len(videos) > 1:
        raise DatasetError(f"has results of {len(videos)} videos; give a file of this one alone")
    read = _read_tracks if True in kinds else _read_images
    read(labels, video, head, (item for _, _, item in json_entries(text, where)))


def _chosen_video(head: _Head, video: Frames) -> Any:
    """The number of the video of a file that is meant; None where it has none."""
    if len(head.videos) <= 1:
        return next(iter(head.videos), None)
    video_name = getattr(video, "name", None)
    same = [number for number, item in head.videos.items() if video_name and video_name in _names_of(item)]
    if len(same) != 1:
        raise DatasetError("it is of several videos; give a file of this one alone")
    return same[0]


def _names_of(item: Item) -> set[str]:
    files = item.get("file_names") or [item.get("file_name") or item.get("name") or ""]
    parts = str(files[0]).replace("\\", "/").split("/")
    return {frame_stem(parts[-1]), parts[-2] if len(parts) > 1 else "", str(item.get("name", ""))}


def _read_tracks(labels: Labels, video: Frames, head: _Head, items: Iterable[Item]) -> None:
    """Annotations of YouTube-VIS."""
    video_id = _chosen_video(head, video)
    about = head.videos.get(video_id, {})
    canvas = Canvas.of(video.size, about.get("height"), about.get("width"))
    names = [str(name) for name in about.get("file_names") or ()]
    frames = match_frames(names, video.count, video.names) if names else None
    number = 0
    for item in items:
        if len(head.videos) > 1 and item.get("video_id") != video_id:
            continue
        number += 1
        segmentations = item["segmentations"]
        num_frames = video.count if frames is None else len(frames)
        if len(segmentations) > num_frames:
            raise DatasetError(f"it has {len(segmentations)} frames, the video {num_frames}")
        counts, score = _track_counts(item, segmentations, canvas), score_of(item)
        visible = {t: one for t, one in enumerate(counts) if one is not None and _area(one, video.size)}
        if not visible:
            labels.left_out["objects without a mask"] += 1
            continue
        name, appearance = head.appearance(item["category_id"], item.get("id"))
        labels.add_object(number, name, item.get("id"), item.get("attributes"), **appearance)
        for t, one in visible.items():
            labels.add_mask(t if frames is None else frames[t], number, one, score)


def _track_counts(item: Item, segmentations: Sequence[Any], canvas: Canvas) -> Sequence[bytes | None]:
    """Run lengths by frame; the boxes where an object has nothing else."""
    boxes = item.get("bboxes")
    if not any(segmentations) and isinstance(boxes, list) and any(boxes):
        return [canvas.record({"bbox": box}) if box else None for box in boxes]
    if canvas.own == canvas.size:
        try:
            return RleTrack.parse(segmentations, canvas.size).counts
        except DatasetError:  # of another size than the file says of its video
            pass
    return [canvas.segmentation(entry) for entry in segmentations]


def _read_images(labels: Labels, video: Frames, head: _Head, items: Iterable[Item]) -> None:
    """Annotations of COCO."""
    names = {
        name: item.get("id")
        for name, item in sorted(head.images.items(), key=lambda item: natural_key(item[0]))
    }
    frames: dict[Any, int] = {None: 0}
    if names:
        frames = {image: index for index, image in by_frame(names, video).items()}
    canvases: dict[Any, Canvas] = {}
    for one in head.images.values():
        canvases[one.get("id")] = Canvas.of(video.size, one.get("height"), one.get("width"))
    single = next(iter(frames)) if len(head.images) <= 1 else None
    numbers: dict[Any, int] = {}
    for item in items:
        image: Any = item.get("image_id", single)
        if image in head.other_images:
            continue
        if image not in frames:
            if "image_id" not in item:
                raise DatasetError("an annotation has no image_id")
            raise DatasetError(f"an annotation is of image {image}, which the file does not list")
        about = item.get("attributes")
        about = about if isinstance(about, dict) else {}
        if kind := _no_area(item):
            labels.left_out[kind] += 1
            continue
        counts = canvases.get(image, Canvas.of(video.size)).record(item)
        if not _area(counts, video.size):
            labels.left_out["shapes without an area"] += 1
            continue
        track = _track_of(item)
        category = None if "predicted_iou" in item and "category_id" not in item else item["category_id"]
        same = (track, category) if head.ids_of_class else track
        alone = ("alone", item.get("id", len(numbers)))
        number = numbers.setdefault(alone if track is None else same, len(numbers) + 1)
        name, appearance = head.appearance(category, track)
        object_attributes, frame_attributes = _divided(about, head, appearance.get("category"))
        labels.add_object(number, name, track, object_attributes, **appearance)
        labels.add_frame_attributes(frames[image], number, frame_attributes)
        labels.add_mask(frames[image], number, counts, score_of(item))
    labels.schema = head.schema
    labels.settle_frame_attributes()
    by_id = all(isinstance(track, int) for track in numbers)  # else in the order of the file
    labels.order_layers({number: labels.ids[number] if by_id else number for number in labels.names})


def _track_of(item: Item) -> Any:
    """The id of the object of an annotation, which several images may show; None where it has none."""
    about = item.get("attributes")
    nested_id = about.get("track_id") if isinstance(about, dict) else None
    return item.get("track_id", item.get("instance_id", nested_id))


def _divided(about: Item, head: _Head, category: object) -> tuple[Item, Item]:
    """Attributes of an object, and those that it has on a frame."""
    object_attributes: Item = {}
    frame_attributes: Item = {}
    for key, value in about.items():
        defined = head.schema.attribute(category if isinstance(category, str) else None, key)
        of_frame = isinstance(value, bool) and key == OCCLUDED if defined is None else defined.of == "frame"
        if head.is_own or key not in OF_SHAPES:
            (frame_attributes if of_frame else object_attributes)[key] = value
    return object_attributes, frame_attributes


def _area(counts: bytes, size: tuple[int, int]) -> int:
    return int(coco_mask.area({"size": [*size], "counts": counts}))


def _no_area(item: Item) -> str | None:
    """What an annotation is that has points alone, in the plural."""
    entry = item.get("segmentation")
    if isinstance(entry, list) and entry and all(isinstance(one, list) and len(one) < 6 for one in entry):
        return "points" if all(len(one) == 2 for one in entry) else "lines"
    if not isinstance(entry, np.ndarray) and not entry and item.get("keypoints"):
        return "skeletons"
    return None


def score_of(item: Mapping[str, Any]) -> float:
    """The score of an annotation, or the IoU that SAM expects; 1 where it has none."""
    score = item.get("score")
    score = item.get("predicted_iou") if score is None else score
    return _SCORE.validate_python(1.0 if score is None else score, strict=True)


class RecordsSink(FileSink):
    """Writes entries of a result file of YouTube-VIS that are known apart from the results.

    Args:
        path: file to write, ending in ``.json``.
        records: gives the entries, once all results are there.
    """

    def __init__(self, path: str | Path, records: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(path)
        self._records = records

    def add(self, objects: FrameObjects) -> None:
        pass

    def _release(self) -> None:
        pass

    def _complete(self) -> None:
        self._file.path.write_text(json.dumps(self._records()), "utf-8")


Flavour = Literal["coco", "ytvis"]

Attributes = Mapping[int, Mapping[str, str]] | Callable[[int, int], Mapping[str, Any]]


class CocoSink(SpooledSink):
    """Writes run lengths of every object as JSON.

    "coco" is an annotation file: ``info``, ``licenses`` (none is known), ``images`` (one a frame),
    ``annotations`` (one a visible object and frame, from below, with ``score``, and the object's id as
    ``track_id``) and ``categories``. "ytvis" is a result file of
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
        shown = [item for item in objects.objects if item.id in lengths]
        for item in sorted(shown, key=lambda item: item.id):  # in whatever order they lie on one another
            self._category(item.label)
        rows = [
            (item.id, self._category(item.label), item.score, lengths[item.id], self._about(objects, item.id))
            for item in shown
        ]
        self._append_entry(json.dumps((objects.index, objects.time, objects.size, rows)).encode())

    def _about(self, objects: FrameObjects, number: int) -> Mapping[str, Any]:
        """The attributes of an object on a frame."""
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
        length = 0
        for length, (*_, objects) in enumerate(self._frames(), start=1):
            for number, category, score, rle, _ in objects:
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


class YtvisWriter(FileSink):
    """Writes an annotation file of YouTube-VIS: objects from below, and their names as categories.

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

    def _release(self) -> None:
        pass


def _file_name(names: Sequence[str] | None, index: int) -> str:
    """The file name of a frame, also of one of a video file."""
    return names[index] if names is not None and index < len(names) else f"{index:05d}.jpg"


class _JpegNames(Sequence[str]):
    """Names of the images of all frames, however many there are."""

    def __init__(self, names: Sequence[str] | None) -> None:
        self._names = names

    def __len__(self) -> int:
        return 1 << 60

    def __getitem__(self, index: Any) -> Any:
        return f"{frame_name(self._names, index)}.jpg"


class CocoImagesWriter(FolderWriter):
    """Writes an annotation file of COCO and its images, in the folders that CVAT and datumaro look for."""

    def __init__(self, folder: Path, run: SinkOptions) -> None:
        own_files = rf"annotations/instances_{SUBSET}\.json|images/{SUBSET}/[^/]+\.jpg"
        super().__init__(folder, own_files, marks=run.labels is None)
        self._names, self._size, self._whole_masks = run.names, run.source_size, run.whole
        self._images = self.subfolder("images", SUBSET)
        file = self.subfolder("annotations") / f"instances_{SUBSET}.json"
        self._coco = _open_coco(file, run, _JpegNames(run.names))

    def add(self, objects: FrameObjects) -> None:
        self.put(self._images / f"{frame_name(self._names, objects.index)}.jpg", objects.jpeg())
        self._coco.add(objects)

    def _complete(self) -> None:
        self._coco.close()

    def abort(self) -> None:
        self._coco.abort()
        super().abort()


def _write_items(stream: IO[str], items: Iterator[dict[str, Any]]) -> None:
    """Write the items of a JSON array, one a line."""
    for position, item in enumerate(items):
        stream.write((",\n" if position else "\n") + json.dumps(item))


def video_entry(number: int, names: Sequence[str], size: tuple[int, int]) -> dict[str, Any]:
    """The entry of a video whose frames have these names, for an annotation file."""
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
    """The annotation of an object with run lengths, or None, for each frame of a video."""
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


def from_coco(
    records: Iterable[Mapping[str, Any]], size: tuple[int, int], names: Mapping[int, str] | None
) -> Composed:
    """COCO results or annotations of one image; see :meth:`segue.Segmentation.from_coco`."""
    canvas = Canvas.of(size)
    planes: list[BoolArray] = []
    ids: list[int] = []
    labels: list[str | None] = []
    scores: list[float] = []
    for number, record in enumerate(records, start=1):
        try:
            counts = canvas.record(record)
        except DatasetError as error:
            raise DatasetError(f"record {number}: {error}") from None
        planes.append(decode_rle({"size": [*size], "counts": counts.decode("ascii")}))
        ids.append(int(record.get("track_id", number)))
        category = record.get("category_id")
        labels.append(None if category is None else (names or {}).get(int(category), str(int(category))))
        score = record.get("score", record.get("predicted_iou"))
        scores.append(1.0 if score is None else float(score))
    return composed(planes, size, ids, labels, scores)


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    assert files.annotation is not None
    name, text = files.annotation
    try:
        read_coco(labels, text, files.where(name), video)
    except (*DAMAGED, SegueError):
        if (program := name_program(text, name)) is not None:
            raise DatasetError(f"is a file of {program}") from None
        raise
    return labels


def _sniff(files: Files) -> float:
    """Any JSON may be of COCO; the reader says what it is where it is of another program."""
    return 0.5 if files.annotation is not None and files.annotation[0].lower().endswith(".json") else 0.0


def _open_coco(
    path: Path, run: SinkOptions, names: Sequence[str] | None = None, *, polygons: bool = False
) -> CocoSink:
    labels, names = run.labels, run.images if names is None else names
    if labels is None:
        about: dict[str, Any] = {"categories": run.categories}
    else:
        # The numbers of a schema's classes are the same for all videos.
        about = {"categories": labels.categories() if labels.schema.classes else None}
        about |= {"objects": labels.objects, "label_schema": labels.schema.as_json()}
    return CocoSink(path, size=run.source_size, names=names, whole=run.whole, polygons=polygons, **about)


def _open_ytvis(path: Path, run: SinkOptions) -> Writer:
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


_HOLDS = Holds(
    layers=True, max_id=65535, classes=True, names=True, colours=True, scores=True, attributes=True,
    frame_attributes=True, schema=True,
)  # fmt: skip

ENTRIES = (
    Format(
        "coco",
        "coco.json",
        _open_coco,
        holds=_HOLDS,
        sniff=_sniff,
        read=_read,
        endings=(".json",),
        title="COCO",
        about="one JSON file with masks per frame",
        group=DATA_SETS,
        known_only=True,
    ),
    Format(
        "coco-images",
        "coco",
        CocoImagesWriter,
        needs_frames=True,
        title="COCO with images",
        about="the JSON file and the frames as JPEG",
        group=DATA_SETS,
        export="coco_images",
        known_only=True,
    ),
    Format(
        "ytvis",
        "ytvis.json",
        _open_ytvis,
        holds=Holds(layers=True, max_id=65535, classes=True, names=True, colours=True, attributes=True),
        title="YouTube-VIS",
        about="one JSON file with a track per object",
        group=DATA_SETS,
    ),
    Format(
        "coco-polygons",
        "coco-polygons.json",
        partial(_open_coco, polygons=True),
        holds=_HOLDS,
        title="COCO, polygons",
    ),
)
