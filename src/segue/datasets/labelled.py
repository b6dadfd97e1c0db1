"""Results in any format that is read: a file or folder for each video, or one file of several videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segue.datasets.files import image_size
from segue.datasets.results import Results, open_results
from segue.errors import DatasetError, SegueError
from segue.formats.frames import FrameObjects
from segue.formats.labels import Labels
from segue.formats.reading import read_labels
from segue.masks import StoredMask
from segue.masks.files import OtherSizeError
from segue.utils.inputs import user_path
from segue.utils.naming import natural_key


@dataclass(frozen=True)
class FrameFiles:
    """A video as readers of labels need it, by the images of its frames."""

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
        """Frames of data sets have no times."""
        return 0.0


class LabelledResults(Results):
    """Results of videos in formats of annotations; see :func:`open_any_results`."""

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
        """Names of all frames of a video: those that a file does not list show no object."""
        return self._videos[sequence].names

    def read(self, sequence: str, name: str, size: tuple[int, int] | None = None) -> StoredMask:
        labels, video = self._labels(sequence), self._videos[sequence]
        if size is not None and labels.size != size:
            where = self._places[sequence]
            raise OtherSizeError(f"{where}: has another size than its annotations", labels.size)
        index = video.names.index(name)
        numbers = _own_ids(labels)
        planes = {numbers[number]: plane for number, plane in labels.planes(index).items()}
        mask: StoredMask = FrameObjects(index, planes, labels.size).mask  # type: ignore[assignment]
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


def _own_ids(labels: Labels) -> dict[int, int]:
    """The ids that objects have in their file, else their numbers."""
    ids = {number: labels.ids.get(number, 0) for number in labels.names}
    distinct = len({*ids.values()}) == len(ids) and all(1 <= i <= 65535 for i in ids.values())
    return ids if distinct else {number: number for number in labels.names}


def open_any_results(path: Results | Path | str, videos: Mapping[str, Sequence[Path]]) -> Results:
    """Open results of videos in any format that is read.

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
        places = {name: found for name in about if (found := _place_of(place, name)) is not None}
        if not places:
            raise
        return LabelledResults(place, places, about)


def _place_of(folder: Path, video: str) -> Path | None:
    """The file or folder of a video in a folder, if there is one."""
    if not folder.is_dir():
        return None
    if (folder / video).exists():
        return folder / video
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.stem == video]
    return files[0] if files else None
