"""YouTube-VIS 2019 and 2021, OVIS and COCO; images and masks are decoded when used.

:class:`segue.formats.coco.annotations.AnnotationFile` reads the annotations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import ClassVar

from segue.datasets.files import read_rgb
from segue.datasets.instances import ClipInstances, DetectedInstance, Instance, decode_clip
from segue.errors import DatasetError
from segue.formats.coco.annotations import AnnotatedImage, AnnotatedVideo, AnnotationFile, AnnotationKind
from segue.formats.coco.annotations import read_class_names as read_class_names
from segue.formats.coco.annotations import read_results as read_result_file
from segue.types import Image
from segue.utils.inputs import user_path
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
"""Paths of the annotations of a split below the root, in the layouts of the distributed sets."""

IMAGE_FOLDERS = ("{split}/JPEGImages", "JPEGImages", "{split}", "Images/{split}")
"""Paths of the images below the root."""


@dataclass(frozen=True, slots=True)
class YTVISVideo:
    """A video by number."""

    id: int
    name: str  # folder of its images, or the number where that would not tell videos apart
    size: tuple[int, int]  # height and width in pixels
    file_names: tuple[str, ...]  # images in order, as paths below the folder of images

    def __len__(self) -> int:
        return len(self.file_names)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """File names without folder and extension."""
        return tuple(PurePosixPath(name).stem for name in self.file_names)


class YTVISDataset:
    """Videos of an annotation file.

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

    _kind: ClassVar[AnnotationKind] = "videos"

    def __init__(self, annotations: Path | str, images: Path | str | None = None) -> None:
        self.path = user_path(annotations)
        self.images = None if images is None else user_path(images)
        if self.images is not None and not self.images.is_dir():
            raise DatasetError(f"no folder {self.images} of images")
        file = AnnotationFile(self.path, self._kind)
        self.categories, self.annotated, self._instances = file.categories, file.annotated, file.instances
        self._by_id = {number: _video(entry) for number, entry in file.videos.items()}
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
        """Annotated instances of a video.

        Args:
            video: of this data set.

        Returns:
            Instances in the order of the file, with compressed masks.
        """
        return tuple(self._instances.get(video.id, ()))

    def instances(self, video: YTVISVideo, frames: Sequence[int]) -> ClipInstances:
        """Decode the instances visible on at least one of some frames.

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
        """Path of a frame's file, which may not exist.

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


class CocoImages(YTVISDataset):
    """Images of an annotation file, each a video with only frame 0.

    >>> dataset = CocoImages.open("coco", "train2017")
    >>> image = dataset.videos[0]
    >>> dataset.read_image(image, 0), dataset.instances(image, [0]).masks
    """

    _kind: ClassVar[AnnotationKind] = "images"


class OutlinedImages(CocoImages):
    """Training images of an annotation file, as Roboflow exports them."""

    _kind = "outlines"


def _video(entry: AnnotatedVideo | AnnotatedImage) -> YTVISVideo:
    folder = PurePosixPath(entry.file_names[0]).parent.as_posix()
    return YTVISVideo(entry.id, folder, (entry.height, entry.width), tuple(entry.file_names))


def read_results(path: Path | str, dataset: YTVISDataset) -> dict[int, list[DetectedInstance]]:
    """Read results by video number, in the order of the file; videos without results have none."""
    return read_result_file(user_path(path), lambda number: dataset.video(number).size)
