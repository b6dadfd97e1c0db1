"""Labels of another program: objects and their masks, within the limits of the page."""

from __future__ import annotations

import time
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from xml.parsers import expat

import numpy as np

from segue.arrays import BoolArray
from segue.errors import DatasetError, SegueError
from segue.inputs import first_line
from segue.masks import measure
from segue.masks.tracks import RleTrack
from segue.types import IndexMask
from segue_web.project import MOST_ATTRIBUTES
from segue_web.text import without_controls
from segue_web.video import Video, number_in

MAX_OBJECTS = 10_000
"""Objects that are taken from one file; the page has to list them."""

MAX_SECONDS = 120.0
"""Time that reading a file may take."""

LONGEST_NAME = 80
"""Characters of the name of an object; the page has no room for more."""

LONGEST_VALUE = 200
"""Characters of an attribute of an object."""

MAX_MASKS = 300_000
"""Masks of objects on frames that are taken from one file."""

DAMAGED = (
    *(OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, expat.ExpatError, MemoryError),
)
"""Errors of readers for malformed files; a RecursionError is a RuntimeError."""

Read = Callable[[], dict[int, BoolArray]]
"""Reads the masks (H, W) of the objects of a frame, which may overlap; the last one is on top."""

Shape = tuple[int, RleTrack, int]
"""A mask: its object, a track, and the frame of the track."""

T = TypeVar("T")


@contextmanager
def errors_named(where: str, path: Path | None = None) -> Iterator[None]:
    """Errors of readers, in one line that calls the file ``where``, wherever it lies (``path``)."""
    try:
        yield
    except SegueError as error:
        text = str(error).replace(str(path or where), where)
        raise SegueError(f"{where}: {text.removeprefix(f'{where}: ')}") from None
    except KeyError as error:
        raise SegueError(f"{where}: an entry has no {str(error)[:80]}") from None
    except DAMAGED as error:
        reason = "it is damaged, or of another format"
        if isinstance(error, OSError | zipfile.BadZipFile | zlib.error | expat.ExpatError):
            reason = getattr(error, "strerror", None) or first_line(error)
        raise SegueError(f"{where}: cannot be read ({reason[:200]})") from None


@dataclass(slots=True)
class Labels:
    """Objects and masks of another program."""

    names: dict[int, str] = field(default_factory=dict)  # by id, in the order of the page
    masks: Mapping[int, Read] = field(default_factory=dict)  # by frame
    scores: dict[tuple[int, int], float] = field(default_factory=dict)  # by frame and object
    where: str = ""  # the file, for messages
    attributes: dict[int, dict[str, str]] = field(default_factory=dict)  # by id; ``group`` is one of them
    ids: dict[int, int] = field(default_factory=dict)  # the objects' own numbers in the file, by id

    def objects(self, index: int) -> dict[int, BoolArray]:
        """Mask of each object that a frame shows, (H, W), bool; SegueError where it is damaged."""
        with errors_named(self.where):
            found = self.masks[index]() if index in self.masks else {}
        return {number: plane for number, plane in found.items() if plane.any()}

    def mask(self, index: int, size: tuple[int, int]) -> IndexMask:
        """Index mask (H, W) of a frame; empty where there is none."""
        mask = np.zeros(size, np.uint16)
        for number, plane in self.objects(index).items():
            mask[plane] = number
        return mask

    def score(self, frame: int, number: int) -> float:
        """Score of an object on a frame; 1 where none was given."""
        return self.scores.get((frame, number), 1.0)


class Collector:
    """Makes :class:`Labels` of a video from the content of a file, within limits."""

    def __init__(self, video: Video, where: str) -> None:
        self.labels = Labels(where=where)
        self.size, self.count = video.size, video.count
        self._end = time.monotonic() + MAX_SECONDS
        self._shapes: dict[int, list[Shape]] = defaultdict(list)
        self._masks = 0
        self._numbers = video.numbers
        self._named = {name: index for index, name in enumerate(video.names or ())}

    def check_time(self) -> None:
        """Refuse what takes too long."""
        if time.monotonic() > self._end:
            raise DatasetError(f"takes longer than {MAX_SECONDS:.0f} s to read; import it in parts")

    def add_object(self, number: int, name: str | None, own: object = None, about: object = None) -> None:
        """Take an object, or further attributes of a known one, as far as a project has room."""
        labels = self.labels
        if number not in labels.names:
            if len(labels.names) >= MAX_OBJECTS:
                raise DatasetError(f"has more than {MAX_OBJECTS} objects; import it in parts")
            labels.names[number] = without_controls(name or "")[:LONGEST_NAME] or f"Object {number}"
            if isinstance(own, int):
                labels.ids[number] = own
        for name, value in about.items() if isinstance(about, dict) else ():
            name, known = without_controls(name), labels.attributes.setdefault(number, {})
            room = name in known or len(known) < MOST_ATTRIBUTES
            if room and 0 < len(name) <= LONGEST_NAME and isinstance(value, str | int | float):
                known[name] = without_controls(str(value))[:LONGEST_VALUE]

    def add(self, frame: int, number: int, shape: RleTrack, at: int = 0, score: float | None = None) -> None:
        """Take a mask of an object on a frame, which is decoded when it is asked for."""
        self._masks += 1
        if self._masks > MAX_MASKS:
            raise DatasetError(f"has more than {MAX_MASKS} masks; import it in parts")
        self._shapes[frame].append((number, shape, at))
        if score is not None:
            self.labels.scores[frame, number] = score

    def of_shapes(self, order: Callable[[int], Any] | None = None) -> Labels:
        """Labels of the masks that were added; ``order`` sorts the objects, the last of which is on top."""
        labels = self.labels
        labels.masks = {index: partial(_united, shapes) for index, shapes in self._shapes.items()}
        if order is not None:
            labels.names = {number: labels.names[number] for number in sorted(labels.names, key=order)}
        return labels

    def of_files(self, reads: Mapping[int, Callable[[], IndexMask]]) -> Labels:
        """Labels of mask files; where no record names the objects, all files are looked through for them."""
        labels = self.labels
        labels.masks = {index: partial(self._separated, read) for index, read in reads.items()}
        if not labels.names:
            found: set[int] = set()
            for read_masks in labels.masks.values():
                self.check_time()
                found |= read_masks().keys()
            for number in sorted(found):
                self.add_object(number, None, number)
        return labels

    def by_frame(self, named: Mapping[str, T]) -> dict[int, T]:
        """Named items by frame: in order if each frame has one, else by names or numbers of images."""
        if len(named) == self.count:
            return dict(enumerate(named.values()))
        known = self._numbers or {index: index for index in range(self.count)}
        numbered = {}
        for name, value in named.items():
            stem = PurePosixPath(name).stem
            number = number_in(stem)
            index = self._named.get(stem, None if number is None else known.get(number))
            if index is None:
                raise DatasetError(
                    f"{name} names no frame of the video, which has {self.count}; the masks are {len(named)}"
                )
            if index in numbered:
                raise DatasetError(f"{name} is a second mask of frame {index}")
            numbered[index] = value
        return numbered

    def _separated(self, read: Callable[[], IndexMask]) -> dict[int, BoolArray]:
        mask = read()
        if mask.shape != self.size:
            shape, video = (f"{width}x{height}" for height, width in (mask.shape, self.size))
            raise DatasetError(f"{self.labels.where}: a mask is {shape}, the video {video}")
        return {number: np.asarray(mask == number) for number in measure(mask)}


def _united(shapes: Iterable[Shape]) -> dict[int, BoolArray]:
    """The masks of a frame; those of one object are one."""
    found: dict[int, BoolArray] = {}
    for number, track, at in shapes:
        plane = track.decode(at)
        found[number] = found[number] | plane if number in found else plane
    return found
