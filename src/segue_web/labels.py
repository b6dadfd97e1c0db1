"""Labels of another program: objects and their masks, within the limits of the page."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from xml.parsers import expat

import numpy as np
from pydantic import ValidationError

from segue.arrays import BoolArray
from segue.errors import DatasetError, SegueError
from segue.inputs import first_line
from segue.masks import measure
from segue.masks.tracks import RleTrack
from segue.types import IndexMask
from segue_web.project import MOST_ATTRIBUTES
from segue_web.text import first_problem, without_controls
from segue_web.video import Video, number_in

MAX_OBJECTS = 10_000
"""Objects that are taken from one file; the page has to list them."""

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
        if isinstance(error, ValidationError):
            reason = first_problem(error.errors())
        elif isinstance(error, OSError | zipfile.BadZipFile | zlib.error | expat.ExpatError):
            reason = getattr(error, "strerror", None) or first_line(error)
        raise SegueError(f"{where}: cannot be read ({reason[:200]})") from None


@dataclass(slots=True)
class Labels:
    """Objects and masks of another program."""

    names: dict[int, str] = field(default_factory=dict)  # by id, in the order of the page
    masks: dict[int, Read] = field(default_factory=dict)  # by frame
    scores: dict[tuple[int, int], float] = field(default_factory=dict)  # by frame and object
    where: str = ""  # the file, for messages
    attributes: dict[int, dict[str, str]] = field(default_factory=dict)  # by id; ``group`` is one of them
    ids: dict[int, int] = field(default_factory=dict)  # the objects' own numbers in the file, by id
    _shapes: dict[int, list[tuple[int, RleTrack, int]]] = field(default_factory=dict)  # by frame
    _count: int = 0

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

    def add_object(self, number: int, name: str | None, own: object = None, about: object = None) -> None:
        """Take an object, or further attributes of a known one, as far as a project has room."""
        if number not in self.names:
            if len(self.names) >= MAX_OBJECTS:
                raise DatasetError(f"has more than {MAX_OBJECTS} objects; import it in parts")
            self.names[number] = without_controls(name or "")[:LONGEST_NAME] or f"Object {number}"
            if isinstance(own, int):
                self.ids[number] = own
        for key, value in about.items() if isinstance(about, dict) else ():
            key, known = without_controls(key), self.attributes.setdefault(number, {})
            room = key in known or len(known) < MOST_ATTRIBUTES
            if room and 0 < len(key) <= LONGEST_NAME and isinstance(value, str | int | float):
                known[key] = without_controls(str(value))[:LONGEST_VALUE]

    def add_mask(
        self, frame: int, number: int, shape: RleTrack, at: int = 0, score: float | None = None
    ) -> None:
        """Take the mask of an object on a frame, ``shape`` at a place; it is decoded when it is asked for."""
        self._count += 1
        if self._count > MAX_MASKS:
            raise DatasetError(f"has more than {MAX_MASKS} masks; import it in parts")
        shapes = self._shapes.setdefault(frame, [])
        shapes.append((number, shape, at))
        self.masks[frame] = partial(_united, shapes)
        if score is not None:
            self.scores[frame, number] = score

    def add_files(self, reads: Mapping[int, Callable[[], IndexMask]], size: tuple[int, int]) -> None:
        """Take mask files by frame; objects without names are looked for in all files."""
        self.masks = {index: partial(self._separated, read, size) for index, read in reads.items()}
        if not self.names:
            for number in sorted({number for read in self.masks.values() for number in read()}):
                self.add_object(number, None, number)

    def sort_objects(self, key: Callable[[int], Any]) -> None:
        """Sort the objects by their numbers; the last one is on top."""
        self.names = {number: self.names[number] for number in sorted(self.names, key=key)}

    def _separated(self, read: Callable[[], IndexMask], size: tuple[int, int]) -> dict[int, BoolArray]:
        mask = read()
        if mask.shape != size:
            shape, video = (f"{width}x{height}" for height, width in (mask.shape, size))
            raise DatasetError(f"{self.where}: a mask is {shape}, the video {video}")
        return {number: np.asarray(mask == number) for number in measure(mask)}


def by_frame(named: Mapping[str, T], video: Video) -> dict[int, T]:
    """Named items by frame: in order if each frame has one, else by names or numbers of images."""
    if len(named) == video.count:
        return dict(enumerate(named.values()))
    stems = {name: index for index, name in enumerate(video.names or ())}
    numbers = video.numbers or {index: index for index in range(video.count)}
    found: dict[int, T] = {}
    for name, value in named.items():
        stem = PurePosixPath(name).stem
        number = number_in(stem)
        index = stems.get(stem, None if number is None else numbers.get(number))
        if index is None:
            raise DatasetError(
                f"{name} names no frame of the video, which has {video.count}; the masks are {len(named)}"
            )
        if index in found:
            raise DatasetError(f"{name} is a second mask of frame {index}")
        found[index] = value
    return found


def _united(shapes: list[tuple[int, RleTrack, int]]) -> dict[int, BoolArray]:
    """The masks of a frame; those of one object are one."""
    found: dict[int, BoolArray] = {}
    for number, track, at in shapes:
        plane = track.decode(at)
        found[number] = found[number] | plane if number in found else plane
    return found
