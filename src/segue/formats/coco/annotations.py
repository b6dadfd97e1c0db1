"""Annotation and result files of COCO and YouTube-VIS, validated, for AP and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from segue.errors import DatasetError
from segue.masks.rle import check_size
from segue.masks.tracks import RleTrack
from segue.utils.inputs import user_path
from segue.utils.json_files import Record, entries, validated
from segue.utils.naming import first_few


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
    """A detected object; a higher score is a higher confidence."""

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
    """An image of COCO, with the fields of a video of one frame."""

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
    """A COCO annotation with the fields of a video annotation."""

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


class _OutlinedAnnotation(_ImageAnnotation):
    """An annotation with an outline; its number is not used in evaluations."""

    id: int = Field(ge=0, lt=2**63)

    @field_validator("segmentation")
    @classmethod
    def _no_box(cls, value: Any) -> Any:
        if not value:
            raise ValueError("a box is no mask; export outlines")
        return value


AnnotationKind = Literal["videos", "images", "outlines"]
"""Content of an annotation file; ``outlines``: images for training on masks, where boxes are no masks."""

_KINDS: dict[
    AnnotationKind,
    tuple[str, type[AnnotatedVideo | AnnotatedImage], type[_VideoAnnotation | _ImageAnnotation]],
]
_KINDS = {
    "videos": ("videos", AnnotatedVideo, _VideoAnnotation),
    "images": ("images", AnnotatedImage, _ImageAnnotation),
    "outlines": ("images", AnnotatedImage, _OutlinedAnnotation),
}
"""Key and record of the videos or images, and record of the annotations."""


class AnnotationFile:
    """A validated annotation file for AP and training; imports accept more.

    The file is read entry by entry; run lengths are checked and kept compressed.

    Args:
        path: the JSON file, or a zip archive of it.
        kind: kind of its annotations.

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
        """Add an annotation; returns False if its video has not been read."""
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
    """Read the class names of the ``categories`` of a file, by number."""
    path = user_path(path)
    names: dict[int, str] = {}
    for key, i, value in entries(path, path):
        if key == "categories" and i >= 0:
            _add_category(names, value, f"{path}: categories[{i}]")
    if not names:
        raise DatasetError(f"{path} has no categories; give an annotation file of YouTube-VIS, OVIS or COCO")
    return names


def read_results(path: Path, size_of: Callable[[int], tuple[int, int]]) -> dict[int, list[DetectedInstance]]:
    """Read results of YouTube-VIS for AP, by video number, in the order of the file.

    Args:
        path: a list of results, as JSON or zipped.
        size_of: returns height and width of a video by its number.

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
