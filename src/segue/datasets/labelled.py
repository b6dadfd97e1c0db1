"""Results in any readable format: one file or folder per video, or one file of several videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from segue.datasets.davis import Sequence as DavisSequence
from segue.datasets.files import IMAGE_SUFFIXES, ByName, files_in, image_size, subfolders
from segue.datasets.inventories import CheckedVideo, Inventory, check_headers
from segue.datasets.results import Results, open_results
from segue.errors import DatasetError, SegueError
from segue.formats.frames import FrameObjects
from segue.formats.labels import Labels
from segue.formats.reading import read_labels
from segue.masks import StoredMask
from segue.masks.files import OtherSizeError
from segue.utils.arrays import UInt8Array
from segue.utils.inputs import user_path
from segue.utils.naming import natural_key

MAX_OBJECTS = 254
"""Objects of a video in index masks, which have 255 for void."""


@dataclass(frozen=True)
class FrameFiles:
    """Properties of a video for readers of labels, from its image files."""

    name: str
    files: tuple[Path, ...]
    fps: None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(path.stem for path in self.files)

    @property
    def count(self) -> int:
        return len(self.files)

    @property
    def size(self) -> tuple[int, int]:
        return image_size(self.files[0])

    def time(self, index: int) -> float:
        """Time of a frame; always 0, as data sets have none."""
        return 0.0


class LabelledResults(Results):
    """Results in annotation formats; see :func:`open_any_results`."""

    def __init__(self, path: Path, places: Mapping[str, Path], videos: Mapping[str, FrameFiles]) -> None:
        self.path = path
        self._places, self._videos = dict(places), dict(videos)
        self._read: dict[str, Labels] = {}

    @property
    def sequences(self) -> tuple[str, ...]:
        return tuple(sorted(self._places, key=natural_key))

    def besides(self, sequences: object) -> tuple[str, ...]:
        return ()

    def __contains__(self, sequence: object) -> bool:
        return sequence in self._places

    def names(self, sequence: str) -> tuple[str, ...]:
        """Names of all frames of a video; frames that a file does not list are empty."""
        return self._videos[sequence].names

    def read(self, sequence: str, name: str, size: tuple[int, int] | None = None) -> StoredMask:
        labels, video = self._labels(sequence), self._videos[sequence]
        if size is not None and labels.size != size:
            where = self._places[sequence]
            raise OtherSizeError(f"{where}: has another size than its annotations", labels.size)
        index = video.names.index(name)
        mask: StoredMask = labels.mask(index)  # type: ignore[assignment]
        return mask

    def only(self, sequence: str) -> Results:
        return LabelledResults(
            self.path, {sequence: self._places[sequence]}, {sequence: self._videos[sequence]}
        )

    def alone_as(self, sequence: str) -> Results | None:
        return None

    def _labels(self, sequence: str) -> Labels:
        if sequence not in self._read:
            try:
                self._read[sequence] = read_labels(self._places[sequence], self._videos[sequence])
            except SegueError as error:
                raise DatasetError(f"sequence {sequence}: {error}") from error
        return self._read[sequence]


class AnnotatedSequence(DavisSequence):
    """A folder of images with annotations in any readable format."""

    def __init__(self, video: FrameFiles, place: Path) -> None:
        try:
            labels = read_labels(place, video)
        except SegueError as error:
            raise DatasetError(str(error)) from error
        if len(labels.names) > MAX_OBJECTS:
            raise DatasetError(f"{place}: has {len(labels.names)} objects; at most {MAX_OBJECTS} are taken")
        super().__init__(video.name, video.files, dict.fromkeys(sorted(labels.masks), place))
        object.__setattr__(self, "_labels", labels)

    @property
    def binary(self) -> bool:
        """Always False: objects have ids."""
        return False

    def read_mask(self, i: int) -> UInt8Array:
        """Index mask (H, W), uint8, of a frame: with the ids of the file, or numbered from below."""
        if i not in self.annotations:
            raise DatasetError(f"sequence {self.name}: frame {i} has no annotation")
        labels: Labels = self.__dict__["_labels"]
        planes = labels.planes(i)
        if max(labels.names, default=0) > MAX_OBJECTS:
            places = {number: place for place, number in enumerate(labels.names, 1)}
            planes = {places[number]: plane for number, plane in planes.items()}
        return np.asarray(FrameObjects(i, planes, labels.size).mask, np.uint8)


def open_labelled(root: Path | str) -> ByName[DavisSequence]:
    """Open folders of images with annotations of the same names, in any readable format.

    Args:
        root: folder with ``<video>/`` and ``<video>.json``, ``<video>.xml``, ``<video>.zip`` ...

    Returns:
        The videos by name; run lengths of all are held.

    Raises:
        DatasetError: there is no such video, or annotations cannot be read.
    """
    folder = user_path(root)
    videos: dict[str, DavisSequence] = {}
    for images in subfolders(folder):
        files = sorted(files_in(images, IMAGE_SUFFIXES), key=lambda path: natural_key(path.name))
        places = [path for path in sorted(folder.iterdir()) if path.is_file() and path.stem == images.name]
        if files and len(places) > 1:
            raise DatasetError(f"{folder}: has {places[0].name} and {places[1].name}; keep one")
        if files and places:
            videos[images.name] = AnnotatedSequence(FrameFiles(images.name, tuple(files)), places[0])
    if not videos:
        raise DatasetError(f"{folder}: no folder of images has a file of annotations of its name beside it")
    return ByName.of(folder, videos)


def open_any_results(path: Results | Path | str, videos: Mapping[str, Sequence[Path]]) -> Results:
    """Open results of videos in any readable format.

    Args:
        path: a folder or archive of index masks, as for :func:`open_results`; a file of annotations or
            results of one video or several, such as COCO; or a folder with a file or folder for each video,
            by its name.
        videos: the images of each video by its name.

    Returns:
        The results by video and name of a frame.

    Raises:
        DatasetError: there are none.
    """
    if isinstance(path, Results):
        return path
    place = user_path(path)
    about = {name: FrameFiles(name, tuple(files)) for name, files in videos.items()}
    if place.is_file() and place.suffix.lower() != ".zip":
        return LabelledResults(place, dict.fromkeys(about, place), about)
    try:
        return open_results(place)
    except DatasetError:
        places = {name: source for name in about if (source := _place_of(place, name)) is not None}
        if not places:
            raise
        return LabelledResults(place, places, about)


def _place_of(folder: Path, video: str) -> Path | None:
    """Find the file or folder of a video in a folder."""
    if not folder.is_dir():
        return None
    if (folder / video).exists():
        return folder / video
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.stem == video]
    return files[0] if files else None


def list_labelled(root: Path) -> Inventory:
    """List the videos of a folder for checks."""
    try:
        videos = [*open_labelled(root)]
    except DatasetError as error:
        return Inventory({}, problems=(str(error),))
    return Inventory({video.name: partial(_check, video) for video in videos})


def _check(video: DavisSequence) -> CheckedVideo:
    _, problems = check_headers(video.frames, "images", None)
    return CheckedVideo(video.name, len(video.frames), len(video.annotations), tuple(problems))
