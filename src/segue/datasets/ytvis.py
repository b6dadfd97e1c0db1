"""Reader of YouTube-VIS 2019 and 2021 and of OVIS; images and masks are decoded when they are used.

Annotation file (JSON)::

    videos       id, width, height, length, file_names
    categories   id, name
    annotations  id, video_id, category_id, iscrowd, segmentations and areas with one entry or null a frame

A segmentation is a run length, its counts a string or a list of integers, or a list of polygons. Files
without ``annotations``, as those of the validation and test sets, can be read too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from segue.datasets.files import read_rgb
from segue.datasets.instances import ClipInstances, DetectedInstance, Instance, decode_clip
from segue.errors import DatasetError
from segue.masks.rle import check_size
from segue.masks.tracks import RleTrack
from segue.types import Image
from segue.utils.inputs import user_path
from segue.utils.json_files import Record, entries, validated
from segue.utils.naming import first_few

ANNOTATION_FILES = (
    "{split}.json",
    "{split}/instances.json",
    "annotations_{split}.json",
    "annotations/{split}.json",
    "annotations/annotations_{split}.json",
    "annotations/instances_{split}.json",
    "annotations/instances_{split}_sub.json",
    "instances_{split}_sub.json",
    "instances.json",
)
"""Paths of the annotations of a split below the root, in the layouts in which the sets are distributed."""

IMAGE_FOLDERS = ("{split}/JPEGImages", "JPEGImages", "{split}", "Images/{split}")
"""Paths of the images below the root."""

_Number = Annotated[int, Field(ge=0, lt=2**63)]
_Area = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Category(Record):
    id: _Number
    name: str = Field(min_length=1)


class _Video(Record):
    id: _Number
    width: int
    height: int
    length: int
    file_names: list[str] = Field(min_length=1)


class _Image(Record):
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


@dataclass(frozen=True, slots=True)
class YTVISVideo:
    """One video, by its number."""

    id: int
    name: str  # folder of its images, or the number where that would not tell videos apart
    size: tuple[int, int]  # height and width in pixels
    file_names: tuple[str, ...]  # images in order, as paths below the folder of images

    def __len__(self) -> int:
        return len(self.file_names)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """File names without folder and suffix."""
        return tuple(PurePosixPath(name).stem for name in self.file_names)


class YTVISDataset:
    """The videos of an annotation file.

    >>> dataset = YTVISDataset.open("youtube_vis_2021", "train")
    >>> video = dataset.videos[0]
    >>> dataset.read_image(video, 3), dataset.instances(video, range(5)).masks

    Run lengths are checked and kept compressed.

    Args:
        annotations: the JSON file.
        images: folder that its ``file_names`` are relative to.

    Attributes:
        path: the annotation file.
        images: folder of the images; None if they are not there.
        videos: in the order of the file.
        categories: names by number, in the order of the file.
        annotated: whether the file has annotations.

    Raises:
        DatasetError: a file or folder is missing, or an entry is wrong; the message names it.
    """

    _frames_key: ClassVar[str] = "videos"
    _video_record: ClassVar[type[_Video | _Image]] = _Video
    _annotation_record: ClassVar[type[_VideoAnnotation | _ImageAnnotation]] = _VideoAnnotation

    def __init__(self, annotations: Path | str, images: Path | str | None = None) -> None:
        self.path = user_path(annotations)
        self.images = None if images is None else user_path(images)
        if self.images is not None and not self.images.is_dir():
            raise DatasetError(f"no folder {self.images} of images")
        self.categories: dict[int, str] = {}
        self.annotated = False
        self._instances: dict[int, list[Instance]] = {}
        self._by_id: dict[int, YTVISVideo] = {}
        self._read()
        if len({".", *(video.name for video in self)}) <= len(self):  # folders do not tell them apart
            self._by_id = {number: replace(video, name=str(number)) for number, video in self._by_id.items()}
        self.videos = tuple(self._by_id.values())

    @classmethod
    def open(cls, root: Path | str, split: str = "valid") -> YTVISDataset:
        """Find annotations and images of a split (train, valid, test) below ``root``.

        The paths are in `ANNOTATION_FILES` and `IMAGE_FOLDERS`. ``root`` may also be the
        annotation file itself; then the images are sought beside it.

        Args:
            root: folder of the data set, or the annotation file.
            split: ``train``, ``valid`` or ``test``.

        Returns:
            The data set; ``images`` is None where the images are not found.

        Raises:
            DatasetError: there is no annotation file, or it is wrong.
        """
        root = user_path(root)
        if root.is_file():
            folders = (root.parent / "JPEGImages", root.parent / root.stem / "JPEGImages")
            dataset = cls(root, next((folder for folder in folders if folder.is_dir()), None))
            if dataset.images is None and (root.parent / dataset.videos[0].file_names[0]).is_file():
                dataset.images = root.parent  # as rendered rooms have them
            return dataset
        files = [root / name.format(split=split) for name in ANNOTATION_FILES]
        path = next((file for file in files if file.is_file()), None)
        if path is None:
            raise DatasetError(f"no annotations of split {split} below {root}; put them at {files[0]}")
        images = (root / name.format(split=split) for name in IMAGE_FOLDERS)
        return cls(path, next((folder for folder in images if folder.is_dir()), None))

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[YTVISVideo]:
        return iter(self._by_id.values())

    def video(self, number: int) -> YTVISVideo:
        """Look up a video.

        Args:
            number: its id in the file.

        Returns:
            The video, with size and file names of its frames.

        Raises:
            DatasetError: no video has this id.
        """
        if number not in self._by_id:
            numbers = first_few(str(item) for item in self._by_id)
            raise DatasetError(f"no video {number} in {self.path}; there are {numbers}")
        return self._by_id[number]

    def annotations(self, video: YTVISVideo) -> tuple[Instance, ...]:
        """Give the annotated instances of a video.

        Args:
            video: of this data set.

        Returns:
            Instances in the order of the file, with compressed masks.
        """
        return tuple(self._instances.get(video.id, ()))

    def instances(self, video: YTVISVideo, frames: Sequence[int]) -> ClipInstances:
        """Decode the instances that are visible on at least one of some frames.

        Args:
            video: one of :attr:`videos`.
            frames: numbers of frames, from 0.

        Returns:
            Masks, boxes and categories of N instances on T frames.

        Raises:
            DatasetError: a mask is damaged, or all of them would take too much memory.
        """
        return decode_clip(self.annotations(video), frames, video.size)

    def read_image(self, video: YTVISVideo, frame: int) -> Image:
        """Read a frame of a video.

        Args:
            video: of this data set.
            frame: number of the frame, from 0.

        Returns:
            RGB image (H, W, 3), uint8.
        """
        path = self.image_path(video, frame)
        image = read_rgb(path)
        if image.shape[:2] != video.size:
            height, width = video.size
            raise DatasetError(
                f"{path} is {image.shape[1]}x{image.shape[0]}, but annotated as {width}x{height}"
            )
        return image

    def image_path(self, video: YTVISVideo, frame: int) -> Path:
        """Name the file of a frame, which need not exist.

        Args:
            video: of this data set.
            frame: number of the frame, from 0.

        Returns:
            A path below ``images``.
        """
        root, name = self.images, video.file_names[frame]
        if root is None:
            raise DatasetError("no folder of images was given, so that none can be read; give one")
        windows = PureWindowsPath(name)  # knows both kinds of separators
        if windows.drive or windows.root or ".." in windows.parts or "\0" in name:
            raise DatasetError(
                f"image {name!r} leads out of its folder {root}; the annotation file is not sound"
            )
        return root / name

    def _read(self) -> None:
        early: set[int] = set()  # annotations that come before their video
        ids: set[int] = set()
        for key, i, value in entries(self.path, self.path):
            where = f"{self.path}: {key}[{i}]"
            if key in (self._frames_key, "categories", "annotations") and i < 0 and value is not None:
                raise DatasetError(f"{self.path}: {key} is not a list")
            if i < 0:
                continue
            if key == self._frames_key:
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
                raise DatasetError(f"{where}: its {self._frames_key[:-1]} is not in the file")
        if not self._by_id:
            raise DatasetError(f"{self.path} holds no {self._frames_key}; is it an annotation file?")
        used = {item.category for instances in self._instances.values() for item in instances}
        if used - self.categories.keys():
            unknown = first_few(str(number) for number in sorted(used - self.categories.keys()))
            raise DatasetError(f"{self.path}: annotations of categories that are not in the file: {unknown}")

    def _add_video(self, value: Any, where: str) -> None:
        record = validated(self._video_record, value, where)
        if record.id in self._by_id:
            raise DatasetError(f"{where}: id {record.id} occurs twice")
        if record.length != len(record.file_names):
            raise DatasetError(f"{where}: length is {record.length}, but file_names {len(record.file_names)}")
        size = record.height, record.width
        try:
            check_size(*size)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
        folder = PurePosixPath(record.file_names[0]).parent.as_posix()
        self._by_id[record.id] = YTVISVideo(record.id, folder, size, tuple(record.file_names))

    def _add_annotation(self, value: Any, where: str, ids: set[int]) -> bool:
        """Keep an annotation; False if its video is not known (yet)."""
        record = validated(self._annotation_record, value, where)
        video = self._by_id.get(record.video_id)
        if video is None:
            return False
        if record.id in ids:
            raise DatasetError(f"{where}: id {record.id} occurs twice")
        ids.add(record.id)
        for name, values in (("segmentations", record.segmentations), ("areas", record.areas)):
            if len(values) != len(video):
                raise DatasetError(f"{where}: {len(values)} {name}, but its video has {len(video)} frames")
        try:
            masks = RleTrack.parse(record.segmentations, video.size)
        except DatasetError as error:
            raise DatasetError(f"{where}.{error}") from None
        areas = [area for area in record.areas if area]
        mean_area = float(np.mean(areas)) if areas else 0.0
        instance = Instance(record.id, record.category_id, masks, mean_area, bool(record.iscrowd))
        self._instances.setdefault(video.id, []).append(instance)
        return True


def _add_category(names: dict[int, str], value: Any, where: str) -> None:
    record = validated(_Category, value, where)
    if record.id in names or record.name in names.values():
        raise DatasetError(f"{where}: id {record.id} or name {record.name!r} occurs twice")
    names[record.id] = record.name


class CocoImages(YTVISDataset):
    """The images of an annotation file; each is a video whose only frame is 0.

    >>> dataset = CocoImages.open("coco", "train2017")
    >>> image = dataset.videos[0]
    >>> dataset.read_image(image, 0), dataset.instances(image, [0]).masks
    """

    _frames_key: ClassVar[str] = "images"
    _video_record = _Image
    _annotation_record = _ImageAnnotation


class _Outlined(_ImageAnnotation):
    """An annotation with an outline, whose number nothing is evaluated by."""

    id: int = Field(ge=0, lt=2**63)

    @field_validator("segmentation")
    @classmethod
    def _no_box(cls, value: Any) -> Any:
        if not value:
            raise ValueError("a box is no mask; export outlines")
        return value


class OutlinedImages(CocoImages):
    """The images of an annotation file to learn masks from, as Roboflow exports it."""

    _annotation_record = _Outlined


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


def read_results(path: Path | str, dataset: YTVISDataset) -> dict[int, list[DetectedInstance]]:
    """Results by the number of their video, in the order of the file; videos without results have none."""
    path = user_path(path)
    results: dict[int, list[DetectedInstance]] = {}
    for key, i, value in entries(path, path):
        if key or i < 0:
            raise DatasetError(f"{path} is not a list of results; each entry must be an object in one list")
        where = f"{path}: entry {i}"
        record = validated(_Result, value, where)
        try:
            size = dataset.video(record.video_id).size
            masks = RleTrack.parse(record.segmentations, size, forms="compressed")
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
        instance = DetectedInstance(record.category_id, record.score, masks)
        results.setdefault(record.video_id, []).append(instance)
    if not results:
        raise DatasetError(f"{path} holds no result; the official evaluation needs at least one")
    return results
