"""Read labels from files of COCO and YouTube-VIS, and from records of SAM's mask generator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import Field, TypeAdapter

from segue.errors import DatasetError
from segue.formats.coco.writers import INFO
from segue.formats.files import json_entries
from segue.formats.labels import Frames, Labels, by_frame, check_images
from segue.formats.schema import OCCLUDED, LabelSchema, schema_of
from segue.masks.shapes import Canvas
from segue.masks.tracks import RleTrack
from segue.utils.naming import first_few, frame_stem, match_frames, natural_key

OF_SHAPES = {"track_id", "rotation", "keyframe"}
"""Attributes in COCO files of CVAT that are of a shape, not of its object, which the first one names."""

_SCORE = TypeAdapter(Annotated[float, Field(allow_inf_nan=False)])
_ANNOTATION = ("annotations", True)
_IDS = {"id", "image_id", "category_id", "video_id"}

Item = dict[str, Any]


@dataclass(slots=True)
class _Head:
    """Content of a file without its annotations."""

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
    is_from_segue: bool = False  # whether segue wrote it
    ids_of_class: bool = False  # whether an image has one id in two classes, so that each has ids of its own
    _class_of: dict[tuple[Any, Any], Any] = field(default_factory=dict)  # by image and id

    def note_class(self, item: Item) -> None:
        """Note the class of an annotation that has an object id."""
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
        _read_entry(head, key, place, _with_numeric_ids(value))
    if not head.annotated:
        found_keys = first_few(sorted(head.keys)) or "nothing"
        raise DatasetError(f"has no annotations of COCO or YouTube-VIS, only {found_keys}")
    annotations = (
        _with_numeric_ids(item)
        for key, place, item in json_entries(text, where)
        if (key, place >= 0) == _ANNOTATION
    )
    if head.videos and head.of_tracks:
        _read_tracks(labels, video, head, annotations)
    else:
        _choose_images(head, video)
        _read_images(labels, video, head, annotations)


def _with_numeric_ids(item: Any) -> Any:
    """Convert ids that some programs write as text."""
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


def _read_entry(head: _Head, key: str, place: int, value: Any) -> None:
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
        head.is_from_segue = value.get("description") == INFO["description"]
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
    """Keep the images of this video, by the videos of the file or the folders of the images."""
    keep = {*head.images}
    if len(head.videos) > 1:
        video_id = _select_video(head, video)
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
    """Read results of YouTube-VIS or COCO, or records of one image from SAM's mask generator."""
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


def _select_video(head: _Head, video: Frames) -> Any:
    """Number of the matching video of a file; None if the file lists no videos."""
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
    """Read annotations of YouTube-VIS."""
    video_id = _select_video(head, video)
    about = head.videos.get(video_id, {})
    canvas = Canvas.of(video.size, about.get("height"), about.get("width"))
    names = [str(name) for name in about.get("file_names") or ()]
    listed = match_frames(names, video.count, video.names) if names else None
    number = 0
    for item in items:
        if len(head.videos) > 1 and item.get("video_id") != video_id:
            continue
        number += 1
        segmentations = item["segmentations"]
        frames = _frames_of(item, video.count) if listed is None else listed
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


def _frames_of(item: Item, count: int) -> Sequence[int] | None:
    """Frames of the run lengths of a result of segue; None if they are counted from 0."""
    frames = item.get("frames")
    if frames is None:
        return None
    if not isinstance(frames, list) or not all(type(i) is int and 0 <= i < count for i in frames):
        raise DatasetError(f"its frames are not those of the video, which has {count}")
    return frames


def _track_counts(item: Item, segmentations: Sequence[Any], canvas: Canvas) -> Sequence[bytes | None]:
    """Run lengths by frame; boxes for an object that has only boxes."""
    boxes = item.get("bboxes")
    if not any(segmentations) and isinstance(boxes, list) and any(boxes):
        return [canvas.record({"bbox": box}) if box else None for box in boxes]
    if canvas.image_size == canvas.size:
        try:
            return RleTrack.parse(segmentations, canvas.size).counts
        except DatasetError:  # of another size than the file says of its video
            pass
    return [canvas.segmentation(entry) for entry in segmentations]


def _read_images(labels: Labels, video: Frames, head: _Head, items: Iterable[Item]) -> None:
    """Read annotations of COCO."""
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
        if kind := _kind_without_area(item):
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
        object_attributes, frame_attributes = _split_attributes(about, head, appearance.get("category"))
        labels.add_object(number, name, track, object_attributes, **appearance)
        labels.add_frame_attributes(frames[image], number, frame_attributes)
        labels.add_mask(frames[image], number, counts, score_of(item))
    labels.schema = head.schema
    labels.settle_frame_attributes()
    by_id = all(isinstance(track, int) for track in numbers)  # else in the order of the file
    labels.order_layers({number: labels.ids[number] if by_id else number for number in labels.names})


def _track_of(item: Item) -> Any:
    """Object id of an annotation, shared between images; None if it has none."""
    about = item.get("attributes")
    nested_id = about.get("track_id") if isinstance(about, dict) else None
    return item.get("track_id", item.get("instance_id", nested_id))


def _split_attributes(about: Item, head: _Head, category: object) -> tuple[Item, Item]:
    """Split attributes into those of an object and those of a frame."""
    object_attributes: Item = {}
    frame_attributes: Item = {}
    for key, value in about.items():
        defined = head.schema.attribute(category if isinstance(category, str) else None, key)
        of_frame = isinstance(value, bool) and key == OCCLUDED if defined is None else defined.of == "frame"
        if head.is_from_segue or key not in OF_SHAPES:
            (frame_attributes if of_frame else object_attributes)[key] = value
    return object_attributes, frame_attributes


def _area(counts: bytes, size: tuple[int, int]) -> int:
    return int(coco_mask.area({"size": [*size], "counts": counts}))


def _kind_without_area(item: Item) -> str | None:
    """Name the kind of an annotation without an area, in the plural; None if it has one."""
    entry = item.get("segmentation")
    if isinstance(entry, list) and entry and all(isinstance(one, list) and len(one) < 6 for one in entry):
        return "points" if all(len(one) == 2 for one in entry) else "lines"
    if not isinstance(entry, np.ndarray) and not entry and item.get("keypoints"):
        return "skeletons"
    return None


def score_of(item: Mapping[str, Any]) -> float:
    """Score of an annotation, or its predicted IoU; 1 if it has neither."""
    score = item.get("score")
    score = item.get("predicted_iou") if score is None else score
    return _SCORE.validate_python(1.0 if score is None else score, strict=True)
