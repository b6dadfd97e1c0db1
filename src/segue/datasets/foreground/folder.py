"""Videos with foreground labels, as read from CDnet2014, SBI2015, LASIESTA, LIMU and others.

Files are listed when a data set is opened and decoded on access. Images and labels are matched by the number
at the end of their names; labels have the values of :mod:`.labels` for all data sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.datasets.files import ByName, files_in, read_rgb, read_text, subfolders
from segue.datasets.foreground.labels import LabelReader, Labels, read_binary_labels, read_grey, read_region
from segue.errors import DatasetError
from segue.types import Image as RgbImage
from segue.utils.inputs import user_path
from segue.utils.naming import first_few
from segue.video.sources.kinds import IMAGE_SUFFIXES

NUMBER = re.compile(r"([0-9]+)$")
"""Digits at the end of a name."""

_DIGITS = re.compile(r"[0-9]{1,18}")
"""A frame number; no video has so many frames that it needs more digits."""


@dataclass(frozen=True)
class ForegroundSequence:
    """One video and its labels.

    Attributes:
        name: name of the video.
        category: name of the group that it belongs to, or an empty text.
        frames: images in the order of their numbers.
        numbers: number of each image in the data set, which may start anywhere and have gaps.
        truths: label file by number; there may be labels without an image and images without labels.
        roi: image of the region of interest, or None where all pixels are inside.
        temporal_roi: first and last number that count, or None where all labelled frames count.
        decode_image: reads an image as RGB, (H, W, 3), uint8.
        decode_labels: reads a label file as label values, (H, W), uint8.
        conditions: kinds of light, of camera angle and the like, by which scores are grouped as well.
    """

    name: str
    category: str
    frames: tuple[Path, ...]
    numbers: tuple[int, ...]
    truths: Mapping[int, Path] = field(hash=False)
    roi: Path | None = None
    temporal_roi: tuple[int, int] | None = None
    decode_image: Callable[[Path], RgbImage] = read_rgb
    decode_labels: LabelReader = read_grey
    conditions: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        images: Mapping[int, Path],
        truths: Mapping[int, Path],
        category: str = "",
        **more: Any,
    ) -> ForegroundSequence:
        """A video of image and label files by number, and further attributes by name."""
        return cls(name, category, tuple(images.values()), tuple(images), truths, **more)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def key(self) -> str:
        """``category/name``, or only the name without categories."""
        return f"{self.category}/{self.name}" if self.category else self.name

    @cached_property
    def labels(self) -> Mapping[int, Path]:
        """Label file by index of the image, in order."""
        return {i: self.truths[number] for i, number in enumerate(self.numbers) if number in self.truths}

    @cached_property
    def scored(self) -> tuple[int, ...]:
        """Numbers of the labelled frames inside the temporal region of interest, in order."""
        first, last = self.temporal_roi or (0, max(self.truths, default=0))
        return tuple(sorted(number for number in self.truths if first <= number <= last))

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the first image."""
        height, width, _ = self.read_image(0).shape
        return height, width

    def read_image(self, i: int) -> RgbImage:
        """Read a frame.

        Args:
            i: number of the frame, from 0.

        Returns:
            RGB image (H, W, 3), uint8.
        """
        return self.decode_image(self.frames[i])

    def read_labels(self, i: int) -> Labels:
        """Read the labels of a frame.

        Args:
            i: number of the frame, from 0.

        Returns:
            Labels (H, W), uint8: 0 background, 50 shadow, 85 outside the region of interest, 170 unknown, 255
            foreground.

        Raises:
            DatasetError: the frame has no labels, or its file cannot be read.
        """
        if i not in self.labels:
            raise DatasetError(f"{self.key}: frame {i} has no labels")
        return self.decode_labels(self.labels[i])

    def read_roi(self, size: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
        """Read the region of interest.

        Args:
            size: height and width of the result in pixels; None is the size of the images.

        Returns:
            Region (H, W), bool, True inside.
        """
        size = size or self.size
        return np.ones(size, np.bool_) if self.roi is None else read_region(self.roi, size)


_PARTS = ("input", "groundtruth")
"""Folders of a video with its images and its labels."""


class ForegroundFolder(ByName[ForegroundSequence]):
    """Videos of a data set, listed when it is opened.

    Args:
        root: folder of the data set.
        sequences: its videos, in order.

    Raises:
        DatasetError: there is none, or two have one key.
    """

    def __init__(self, root: Path, sequences: Iterable[ForegroundSequence]) -> None:
        self.root = root
        self._videos = {}
        for video in sequences:
            if video.key in self._videos:
                raise DatasetError(f"{root} holds video {video.key} twice; keep one")
            self._videos[video.key] = video
        if not self._videos:
            raise DatasetError(f"{root} holds no video in this layout; `segue data check {root}` says more")

    @property
    def keys(self) -> tuple[str, ...]:
        """``category/name`` of every video, in order."""
        return self.names

    def __getitem__(self, name: str) -> ForegroundSequence:
        """Find a video by key, or by name if the name is unique."""
        matches = self.select([name])
        if len(matches) > 1:
            raise DatasetError(f"{name} is more than one video: {first_few(video.key for video in matches)}")
        return next(iter(matches))

    def select(self, names: Iterable[str]) -> ForegroundFolder:
        """Choose videos.

        Args:
            names: keys, names or categories of videos.

        Returns:
            A data set of these videos, in the order of this one.

        Raises:
            DatasetError: no video is called so.
        """
        requested = set(names)
        selected = [
            video for video in self if not requested.isdisjoint((video.key, video.name, video.category))
        ]
        unknown = requested - {name for video in selected for name in (video.key, video.name, video.category)}
        if unknown:
            raise DatasetError(
                f"no video or category {first_few(sorted(unknown))} in {self.root}; "
                f"there are {first_few(self.keys)}"
            )
        return ForegroundFolder(self.root, selected)


@dataclass(frozen=True, slots=True)
class VideoLayout:
    """Folder layout of a data set: ``find`` gives name and folder of each video, ``read`` lists one.

    ``whole`` tells whether it is labelled throughout, and ``inside`` names a folder that a video must have to
    show that it is of this set.
    """

    find: Callable[[Path], Iterable[tuple[str, Path]]]
    read: Callable[[Path], ForegroundSequence]
    whole: bool = True
    inside: str = "."

    def fits(self, root: Path) -> bool:
        """Whether a folder contains a video."""
        return any((folder / self.inside).is_dir() for _, folder in self.find(root))


def open_plain(root: Path | str, *, binary: bool = False) -> ForegroundFolder:
    """Open videos ``<video>/input/*`` with labels ``<video>/groundtruth/*`` that end in the same number.

    ``ROI.bmp``, ``ROI.png`` and ``temporalROI.txt`` in the folder of a video are used where they are.

    Args:
        root: folder of the videos.
        binary: labels are foreground where they are not black, instead of values of CDnet2014.

    Returns:
        Videos by name, in natural order.

    Raises:
        DatasetError: a file does not fit, or there is no video.
    """
    root = user_path(root)
    decode = read_binary_labels if binary else read_grey
    videos = (replace(read_video(folder), decode_labels=decode) for folder in video_folders(root))
    return ForegroundFolder(root, videos)


def video_folders(root: Path) -> list[Path]:
    """Folders in ``root`` that hold a folder ``input`` or ``groundtruth``, in natural order."""
    return [folder for folder in subfolders(root) if any((folder / part).is_dir() for part in _PARTS)]


def is_plain(root: Path) -> bool:
    """Whether a folder holds a video with labels, as :func:`open_plain` opens it."""
    return any(all((folder / part).is_dir() for part in _PARTS) for folder in video_folders(root))


def read_video(folder: Path, category: str = "") -> ForegroundSequence:
    """List a video in the layout of CDnet2014, region and temporal region being optional."""
    regions = (path for path in (folder / "ROI.bmp", folder / "ROI.png") if path.is_file())
    temporal = folder / "temporalROI.txt"
    return ForegroundSequence.of(
        folder.name,
        numbered_files(folder / "input"),
        numbered_files(folder / "groundtruth"),
        category=category,
        roi=next(regions, None),
        temporal_roi=read_temporal_roi(temporal) if temporal.is_file() else None,
    )


def read_temporal_roi(path: Path) -> tuple[int, int]:
    """First and last frame number that count, from a file of one line ``from to``."""
    text = read_text(path)[:200].split()
    if len(text) != 2 or not all(_DIGITS.fullmatch(number) for number in text):
        raise DatasetError(f"{path} holds {' '.join(text)!r}; it must hold two frame numbers, first and last")
    first, last = map(int, text)
    if first > last:
        raise DatasetError(f"{path} goes from frame {first} to {last}; the first must not be the larger one")
    return first, last


def numbered_files(folder: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> dict[int, Path]:
    """Images in a folder by the number at the end of their names, in order; at least one."""
    files = files_in(folder, suffixes)
    if not files:
        raise DatasetError(f"{folder} holds no image")
    return by_number(files)


def by_number(files: Iterable[Path], pattern: re.Pattern[str] = NUMBER) -> dict[int, Path]:
    """Files by frame number, in order; the group of ``pattern`` is the number in a name without ending."""
    numbered: dict[int, Path] = {}
    for path in files:
        number = number_of(path.stem, pattern)
        if number is None:
            raise DatasetError(f"{path}: found no frame number in the name; it must be the digits at its end")
        if number in numbered:
            raise DatasetError(f"{path} and {numbered[number].name} are both of frame {number}; keep one")
        numbered[number] = path
    return dict(sorted(numbered.items()))


def number_of(stem: str, pattern: re.Pattern[str] = NUMBER) -> int | None:
    """Frame number in a file stem; None without one."""
    match = pattern.search(stem)
    return int(match[1]) if match is not None and _DIGITS.fullmatch(match[1]) else None
