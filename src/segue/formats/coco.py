"""Annotation and result files of COCO and YouTube-VIS, and records of SAM's mask generator."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, Literal, get_args

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import Field, TypeAdapter, field_validator

from segue.entries import Format, Holds, SinkOptions
from segue.errors import ArgumentError, DatasetError, SegueError, SinkError
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
from segue.masks.rle import check_size
from segue.masks.shapes import Canvas
from segue.masks.tracks import RleTrack
from segue.utils.arrays import BoolArray
from segue.utils.inputs import user_path
from segue.utils.json_files import Record, entries, validated
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


_ONE_FRAME = "give that of a frame: segue.Segmentation.from_coco(json.load(file)).prompts"


def _choose_images(head: _Head, video: Frames) -> None:
    """Keep the images of this video, by the videos that the file lists, else by the folders of the images."""
    keep = {*head.images}
    if len(head.videos) > 1:
        video_id = _chosen_video(head, video)
        keep = {name for name, item in head.images.items() if item.get("video_id") == video_id}
    elif len(head.images) > video.count:
        video_name = getattr(video, "name", None)
        keep = {name for name in head.images if video_name in name.replace("\\", "/").split("/")[:-1]}
    check_images(len(keep or head.images), video, _ONE_FRAME)
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
            labels.skipped["objects without a mask"] += 1
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
            labels.skipped[kind] += 1
            continue
        counts = canvases.get(image, Canvas.of(video.size)).record(item)
        if not _area(counts, video.size):
            labels.skipped["shapes without an area"] += 1
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


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """An annotated object."""

    id: int
    category: int
    masks: RleTrack  # one for each frame of the video
    mean_area: float  # over the frames where it is seen, as the file has it; benchmarks sort objects by it
    crowd: bool = False  # a group that is not annotated one by one


@dataclass(frozen=True, slots=True, eq=False)
class DetectedInstance:
    """An object that some program found; a higher score is a higher confidence."""

    category: int
    score: float
    masks: RleTrack


_Number = Annotated[int, Field(ge=0, lt=2**63)]
_Area = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Category(Record):
    id: _Number
    name: str = Field(min_length=1)


class AnnotatedVideo(Record):
    """A video of an annotation file."""

    id: _Number
    width: int
    height: int
    length: int
    file_names: list[str] = Field(min_length=1)


class AnnotatedImage(Record):
    """An image of COCO, with what a video of one frame has."""

    id: _Number
    width: int
    height: int
    file_name: str
    length: ClassVar[int] = 1

    @property
    def file_names(self) -> list[str]:
        return [self.file_name]


class _Annotation(Record):
    id: int = Field(ge=1, lt=2**63)  # to the official evaluations a 0 means that nothing was matched
    category_id: _Number
    iscrowd: int = Field(ge=0, le=1)


class _VideoAnnotation(_Annotation):
    video_id: _Number
    segmentations: list[Any]
    areas: list[_Area | None]


class _ImageAnnotation(_Annotation):
    """A COCO annotation as the annotation of a video of one frame."""

    video_id: _Number = Field(validation_alias="image_id")
    segmentation: Any = None
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    area: _Area

    @property
    def segmentations(self) -> list[Any]:
        if self.segmentation or self.bbox is None:
            return [self.segmentation]
        x, y, width, height = self.bbox  # an empty segmentation means the box
        return [[[x, y, x + width, y, x + width, y + height, x, y + height]]]

    @property
    def areas(self) -> list[float | None]:
        return [self.area]


class _Result(Record):
    video_id: int
    category_id: int
    score: float = Field(allow_inf_nan=False)
    segmentations: list[Any]


class _Outlined(_ImageAnnotation):
    """An annotation with an outline, whose number nothing is evaluated by."""

    id: int = Field(ge=0, lt=2**63)

    @field_validator("segmentation")
    @classmethod
    def _no_box(cls, value: Any) -> Any:
        if not value:
            raise ValueError("a box is no mask; export outlines")
        return value


AnnotationKind = Literal["videos", "images", "outlines"]
"""What an annotation file is of; ``outlines``: images to learn masks from, in which a box is no mask."""

_KINDS: dict[
    AnnotationKind,
    tuple[str, type[AnnotatedVideo | AnnotatedImage], type[_VideoAnnotation | _ImageAnnotation]],
]
_KINDS = {
    "videos": ("videos", AnnotatedVideo, _VideoAnnotation),
    "images": ("images", AnnotatedImage, _ImageAnnotation),
    "outlines": ("images", AnnotatedImage, _Outlined),
}
"""Key and record of the videos or images, and record of the annotations."""


class AnnotationFile:
    """A whole annotation file, each entry checked: what AP and trainings need, where imports take more.

    The file is read entry by entry; run lengths are checked and kept compressed.

    Args:
        path: the JSON file, or a zip archive of it.
        kind: what its annotations are of.

    Attributes:
        path: the file.
        videos: entries of videos or images by number, in the order of the file.
        categories: names by number, in the order of the file.
        annotated: whether the file has annotations; those of validation and test sets have none.
        instances: annotations by the number of their video, in the order of the file.

    Raises:
        DatasetError: an entry is wrong; the message names it.
    """

    def __init__(self, path: Path, kind: AnnotationKind = "videos") -> None:
        self.path = path
        self.videos: dict[int, AnnotatedVideo | AnnotatedImage] = {}
        self.categories: dict[int, str] = {}
        self.annotated = False
        self.instances: dict[int, list[Instance]] = {}
        self._key, self._video_record, self._annotation_record = _KINDS[kind]
        self._read()

    def _read(self) -> None:
        early: set[int] = set()  # annotations that come before their video
        ids: set[int] = set()
        for key, i, value in entries(self.path, self.path):
            where = f"{self.path}: {key}[{i}]"
            if key in (self._key, "categories", "annotations") and i < 0 and value is not None:
                raise DatasetError(f"{self.path}: {key} is not a list")
            if i < 0:
                continue
            if key == self._key:
                self._add_video(value, where)
            elif key == "categories":
                _add_category(self.categories, value, where)
            elif key == "annotations":
                self.annotated = True
                if not self._add_annotation(value, where, ids):
                    early.add(i)
        for key, i, value in entries(self.path, self.path) if early else ():
            where = f"{self.path}: annotations[{i}]"
            is_early = key == "annotations" and i in early
            if is_early and not self._add_annotation(value, where, ids):
                raise DatasetError(f"{where}: its {self._key[:-1]} is not in the file")
        if not self.videos:
            raise DatasetError(f"{self.path} holds no {self._key}; is it an annotation file?")
        used = {item.category for instances in self.instances.values() for item in instances}
        if used - self.categories.keys():
            unknown = first_few(str(number) for number in sorted(used - self.categories.keys()))
            raise DatasetError(f"{self.path}: annotations of categories that are not in the file: {unknown}")

    def _add_video(self, value: Any, where: str) -> None:
        record = validated(self._video_record, value, where)
        if record.id in self.videos:
            raise DatasetError(f"{where}: id {record.id} occurs twice")
        if record.length != len(record.file_names):
            raise DatasetError(f"{where}: length is {record.length}, but file_names {len(record.file_names)}")
        try:
            check_size(record.height, record.width)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
        self.videos[record.id] = record

    def _add_annotation(self, value: Any, where: str, ids: set[int]) -> bool:
        """Keep an annotation; False if its video is not known (yet)."""
        record = validated(self._annotation_record, value, where)
        video = self.videos.get(record.video_id)
        if video is None:
            return False
        if record.id in ids:
            raise DatasetError(f"{where}: id {record.id} occurs twice")
        ids.add(record.id)
        for name, values in (("segmentations", record.segmentations), ("areas", record.areas)):
            if len(values) != video.length:
                raise DatasetError(f"{where}: {len(values)} {name}, but its video has {video.length} frames")
        try:
            masks = RleTrack.parse(record.segmentations, (video.height, video.width))
        except DatasetError as error:
            raise DatasetError(f"{where}.{error}") from None
        areas = [area for area in record.areas if area]
        mean_area = float(np.mean(areas)) if areas else 0.0
        instance = Instance(record.id, record.category_id, masks, mean_area, bool(record.iscrowd))
        self.instances.setdefault(video.id, []).append(instance)
        return True


def _add_category(names: dict[int, str], value: Any, where: str) -> None:
    record = validated(_Category, value, where)
    if record.id in names or record.name in names.values():
        raise DatasetError(f"{where}: id {record.id} or name {record.name!r} occurs twice")
    names[record.id] = record.name


def read_class_names(path: Path | str) -> dict[int, str]:
    """Names by number, as ``categories`` of the file has them."""
    path = user_path(path)
    names: dict[int, str] = {}
    for key, i, value in entries(path, path):
        if key == "categories" and i >= 0:
            _add_category(names, value, f"{path}: categories[{i}]")
    if not names:
        raise DatasetError(f"{path} has no categories; give an annotation file of YouTube-VIS, OVIS or COCO")
    return names


def read_results(path: Path, size_of: Callable[[int], tuple[int, int]]) -> dict[int, list[DetectedInstance]]:
    """Results of YouTube-VIS by the number of their video, in the order of the file, for AP.

    Args:
        path: a list of results, as JSON or zipped.
        size_of: gives height and width of a video by its number.

    Returns:
        Results by video; videos without results have none.

    Raises:
        DatasetError: an entry is wrong, its video is not known, or there is no result.
    """
    results: dict[int, list[DetectedInstance]] = {}
    for key, i, value in entries(path, path):
        if key or i < 0:
            raise DatasetError(f"{path} is not a list of results; each entry must be an object in one list")
        where = f"{path}: entry {i}"
        record = validated(_Result, value, where)
        try:
            masks = RleTrack.parse(record.segmentations, size_of(record.video_id), forms="compressed")
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
        instance = DetectedInstance(record.category_id, record.score, masks)
        results.setdefault(record.video_id, []).append(instance)
    if not results:
        raise DatasetError(f"{path} holds no result; the official evaluation needs at least one")
    return results


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
    records: Iterable[Mapping[str, Any]] | Mapping[str, Any],
    size: tuple[int, int] | None,
    names: Mapping[int, str] | None,
    index: int,
) -> Composed:
    """COCO results or annotations of one image; see :meth:`segue.Segmentation.from_coco`."""
    if isinstance(records, Mapping):
        records, size, names = _of_image(records, size, names, index)
    if size is None:
        raise ArgumentError("size: give height and width of the image of these records")
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


def _of_image(
    content: Mapping[str, Any], size: tuple[int, int] | None, names: Mapping[int, str] | None, index: int
) -> tuple[list[Mapping[str, Any]], tuple[int, int], Mapping[int, str]]:
    """Annotations, size and class names of one image of the content of a COCO file."""
    try:
        images = sorted(content["images"], key=lambda image: image.get("frame_index", image["id"]))
        places = {image.get("frame_index", place): image for place, image in enumerate(images)}
        if index not in places:
            raise DatasetError(f"index: it has no image {index}; it has {len(images)} from {min(places)} on")
        image = places[index]
        names_of_file = {int(item["id"]): str(item["name"]) for item in content.get("categories", ())}
        records = [item for item in content["annotations"] if item["image_id"] == image["id"]]
        return records, size or (int(image["height"]), int(image["width"])), names_of_file | dict(names or {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"is no COCO file of annotations ({type(error).__name__}: {error})") from None


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
